"""One run and its recovery: rules R1 to R8, P1, N1 to N4, S7, A2 to A5."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryTwoStepGateway,
)
from autopay_core.allocation import Reason
from autopay_core.associations import Association, InvoicePage, InvoiceQuery
from autopay_core.autopay import AdvanceNotice, occurrence_on
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.calls import attest, reverse, stop
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
    idempotency_key,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    Standing,
    StopOrder,
)
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import PLANS_MOST, collect
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    Charge,
    Commit,
    Confirm,
    Flow,
    Send,
    Terms,
    look_up,
    take_money,
)
from autopay_core.engine.telling import deliver
from autopay_core.errors import (
    CommitUnknownError,
    HostProtocolError,
    PortError,
    PortUnavailableError,
)
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import FAILED_AUTOPAY, NoticeKind
from autopay_core.postings import PostingStatus, Reversal, ReversalKind
from autopay_core.references import AccountKind, DepositAccount, RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunResult, RunState, RunStatus
from autopay_core.schedules import Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    START,
    Script,
    Traced,
    World,
    bill,
    lines_of,
    rig,
    standing_order,
    to_client,
    to_invoice,
    total,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

FORMS = pytest.mark.parametrize(
    "two_step", [False, True], ids=["one-step", "two-step"]
)
KEY = RunKey(autopay="ap-1", nominal_on=DAY)
TERMS = Terms(capabilities=GatewayCapabilities(), secret=b"s3cret")
FEBRUARY = date(2026, 2, 28)


def _traced(
    world: World, autopay: AutoPay, on: date = DAY
) -> Traced[RunResult]:
    ports = world.ports
    flow = collect(
        case_of(autopay, occurrence_on(autopay, on), terms_of(ports), as_of=on)
    )
    return Traced(flow, ports)


def _collecting() -> Flow[RunResult]:
    autopay = standing_order()
    return collect(
        case_of(autopay, occurrence_on(autopay, DAY), TERMS, as_of=DAY)
    )


# -- R1: the order of a run ---------------------------------------------------


def test_r1_a_run_asks_for_things_in_the_one_safe_order() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order())

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert traced.names == [
        "ReadStanding",
        "ReadOpen",
        "ReadInvoices",
        "Commit",  # the intent and its reservation
        "Charge",
        "Commit",  # outcome, postings and notices
        "Send",
        "Commit",  # delivered
    ]


def test_r1_a_two_step_run_writes_the_reference_down_before_its_use() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced = _traced(world, standing_order())

    traced.go()

    assert traced.names[3:8] == [
        "Commit",
        "Prepare",
        "Commit",
        "Confirm",
        "Commit",
    ]
    written, used = traced.requests[5], traced.requests[6]
    assert isinstance(written, Commit)
    assert isinstance(used, Confirm)
    assert written.change.runs[0].attempts[0].reference == used.reference


def test_r1_limits_by_month_are_read_between_open_amounts_and_balances() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    limit = Limit.all("USD", per_month=usd("50"))
    traced = _traced(world, standing_order(limit=limit))

    result = traced.go()

    assert traced.names[1:5] == [
        "ReadOpen",
        "ReadSpent",
        "ReadSpent",
        "ReadInvoices",
    ]
    assert result.charged == usd("50")


def test_r1_the_intent_rests_on_versions_and_open_amounts_as_read() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "10.00"))
    traced = _traced(world, standing_order(limit=Limit.up_to(usd("130"))))
    traced.go()

    intent = traced.requests[3]

    assert isinstance(intent, Commit)
    change = intent.change
    assert change.expect_versions == {"C-1": 0}
    assert change.expect_open == {"INV-1": usd("0"), "INV-2": usd("0")}
    assert change.only_doubtful
    assert change.unless_stopped == (
        StopOrder.autopay("ap-1"),
        StopOrder.method(CARD.fingerprint),
    )
    assert change.postings == ()


@FORMS
def test_r1_outcome_postings_and_notices_are_one_commit(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    traced = _traced(world, standing_order())
    traced.go()

    changes = [
        each.change for each in traced.requests if isinstance(each, Commit)
    ]

    [outcome] = [each for each in changes if each.postings]
    assert outcome.runs[0].state is RunState.PAID
    assert [each.kind for each in outcome.notices] == [NoticeKind.PAID]


def test_r1_a_reservation_made_meanwhile_makes_the_run_plan_again() -> None:
    world = World(bill("INV-1", "100.00"))
    other = standing_order(id="ap-2", limit=Limit.up_to(usd("30")))
    traced = _traced(world, standing_order())
    read_balances = world.matters.open_invoices

    def overtaken(query: InvoiceQuery) -> InvoicePage:
        page = read_balances(query)
        if not world.taken:
            rig(world.matters, open_invoices=read_balances)
            world.run(other)
        return page

    rig(world.matters, open_invoices=overtaken)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("30"), usd("70")]
    assert traced.names.count("ReadOpen") == 2


def test_r1_a_run_that_is_overtaken_for_ever_is_postponed() -> None:
    standing = Standing(now=START)
    opened = OpenAmounts(versions={"C-1": 0})
    page = InvoicePage(invoices=(bill("INV-1", "100.00"),))
    conflict = Conflict(reason="open")
    once = (standing, opened, page, conflict)
    script = Script(_collecting(), *once * PLANS_MOST)

    result = script.go()

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "Busy"
    assert not any(isinstance(each, Charge) for each in script.requests)


def test_r1_what_a_refused_commit_says_is_open_counts_under_any_client() -> (
    None
):
    """An open posting under the invoice's former client is not missed."""
    page = InvoicePage(invoices=(bill("INV-1", "100.00"),))
    script = Script(
        _collecting(),
        Standing(now=START),
        OpenAmounts(versions={"C-1": 0}),
        page,
        Conflict(reason="open", open_amounts={"INV-1": usd("100.00")}),
        Standing(now=START),
        OpenAmounts(versions={"C-1": 0}),
        page,
        Committed(),
    )

    result = script.go()

    assert result.status is RunStatus.NOTHING_DUE
    assert lines_of(result)[0].reason is Reason.COVERED_BY_OPEN


def test_r1_the_larger_of_two_reports_on_open_amounts_counts() -> None:
    page = InvoicePage(invoices=(bill("INV-1", "100.00"),))
    opened = OpenAmounts(versions={"C-1": 0}, amounts={"INV-1": usd("60.00")})
    script = Script(
        _collecting(),
        Standing(now=START),
        opened,
        page,
        Conflict(reason="open", open_amounts={"INV-1": usd("40.00")}),
        Standing(now=START),
        opened,
        page,
        Conflict(reason="version"),
        Standing(now=START, is_stopped=True),
        Committed(),
    )

    script.go()

    second = [each for each in script.requests if isinstance(each, Commit)][1]
    assert second.change.runs[0].attempts[0].amount == usd("40.00")


# -- R2, R3: one identity, one request ----------------------------------------


def test_r2_the_key_comes_from_identity_attempt_and_secret_alone() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())

    [captured] = world.gateway.captured

    assert captured.key == idempotency_key(b"s3cret", KEY, 1)


def test_r2_a_store_restored_from_a_backup_charges_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    lost = World(bill("INV-1", "120.00"))
    lost.gateway = world.gateway

    result = lost.run(standing_order())

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_r3_what_is_in_the_intent_is_charged_whatever_is_owed_by_then() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    _traced(world, standing_order()).cut(4)
    assert world.record.state is RunState.OPEN
    world.matters.put(bill("INV-1", "10.00"))
    world.matters.put(bill("INV-2", "999.00"))

    result = world.run(standing_order(limit=Limit.up_to(usd("5"))))

    assert result.charged == usd("120.00")
    assert world.taken == [usd("120.00")]


# -- R4: doubt ----------------------------------------------------------------

DOUBTS = [
    Fault.LOSE_REQUEST,
    Fault.LOSE_ANSWER,
    Fault.ANSWER_LATE,
    Fault.RAISE,
    Fault.ANSWER_NONE,
]


@FORMS
@pytest.mark.parametrize("fault", DOUBTS)
def test_r4_an_unclear_answer_is_a_doubt_that_the_key_resolves(
    fault: Fault, two_step: bool
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(fault)

    first = world.run(standing_order())
    assert first.status is RunStatus.OPEN
    assert first.reason == "Indeterminate"
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.postings() == ()
    world.clock.advance(minutes=2)
    again = world.recover()

    assert [each.status for each in again] == [RunStatus.PAID]
    world.gateway.flush()
    assert world.taken == [usd("120.00")]
    assert [each.amount for each in world.postings()] == [usd("120.00")]


@FORMS
def test_r4_nothing_else_of_the_auto_pay_is_charged_while_one_is_in_doubt(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.hides_new_requests = True
    world.gateway.script(Fault.LOSE_ANSWER, Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(), on=FEBRUARY)

    assert result.status is RunStatus.BLOCKED
    assert result.record is None
    assert result.reason == "InDoubt"
    assert world.taken == [usd("120.00")]


def test_r4_another_auto_pay_of_the_same_payer_goes_on() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(id="ap-2"))

    assert result.charged == usd("50.00")


def test_r4_not_found_alone_is_never_not_charged() -> None:
    """The request is on its way; a look-up that misses it proves nothing."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.ANSWER_LATE)
    world.run(standing_order())
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=True, by="Ann"),
        ports=world.ports,
    )
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r4_the_same_key_goes_out_again_with_a_new_deadline() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    traced = Traced(
        recover_one(world.record, terms_of(world.ports)), world.ports
    )

    traced.go()

    assert traced.names == [
        "ReadStanding",
        "Lookup",
        "Commit",
        "Charge",
        "Commit",
        "Send",
        "Commit",
    ]
    charge = traced.requests[3]
    assert isinstance(charge, Charge)
    assert charge.request.key == idempotency_key(b"s3cret", KEY, 1)
    assert charge.request.not_after == world.clock.at + timedelta(minutes=10)
    assert world.record.attempts[0].tries == 2


def test_r4_a_key_that_the_gateway_may_have_forgotten_goes_to_review() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(hours=18)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert result.reason == "Unresolved"
    assert world.taken == []
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.told() == [NoticeKind.NEEDS_REVIEW, NoticeKind.FAILED]


def test_r4_a_run_in_review_is_looked_up_for_ever_but_never_sent() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, honours_deadline=False
    )
    world.run(standing_order())
    world.clock.advance(hours=18)
    world.recover()
    for _ in range(3):
        world.clock.advance(days=2)
        [result] = world.recover()
        assert result.status is RunStatus.REVIEW
    world.gateway.flush()
    world.clock.advance(days=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.told().count(NoticeKind.NEEDS_REVIEW) == 1


def test_r4_looks_come_with_growing_pauses() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, key_retention_seconds=30 * 24 * 3600
    )
    pauses: list[float] = []
    world.gateway.script(*[Fault.LOSE_REQUEST] * 100)
    world.run(standing_order())
    while len(pauses) < 40:
        next_try_at = world.record.next_try_at
        assert next_try_at is not None
        pauses.append((next_try_at - world.clock.at).total_seconds())
        world.clock.at = next_try_at
        world.recover()

    assert min(pauses) >= 10
    assert pauses[-1] >= 3600
    assert pauses == sorted(pauses)


def test_r4_a_look_up_that_fails_or_is_unclear_changes_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    for answer in (
        PortUnavailableError("down"),
        PortError("broken"),
        Indeterminate(detail="busy"),
        None,
        "captured",
    ):
        standing = world.store.standing(KEY, CARD.fingerprint)
        script = Script(
            recover_one(world.record, terms_of(world.ports)),
            standing,
            answer,
            Committed(),
        )
        assert script.go().status is RunStatus.OPEN

    world.clock.advance(minutes=1)
    assert world.recover()[0].status is RunStatus.PAID


def test_r4_a_clock_that_is_behind_sends_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r4_a_clock_that_is_behind_starts_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.clock.advance(hours=-1)

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "ClockSuspect"
    assert world.taken == []


def test_r4_a_clock_that_is_behind_prepares_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    _traced(world, standing_order()).cut(4)
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.record.attempts[0].reference is None


@FORMS
def test_pg_4_a_request_that_never_left_is_no_doubt(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.UNAVAILABLE)

    first = world.run(standing_order())
    assert first.status is RunStatus.WAITING
    assert first.reason == "PortUnavailable"
    assert world.reserved() == {}
    assert world.told() == [NoticeKind.FAILED]
    early = world.run(standing_order())
    assert early == first
    world.clock.advance(minutes=1)
    again = world.run(standing_order())

    assert again.status is RunStatus.PAID
    assert [each.number for each in world.record.attempts] == [1, 2]
    keys = {each.key for each in world.record.attempts}
    assert len(keys) == 2


def test_pg_4_unavailable_on_a_later_try_says_nothing_about_the_first() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.UNAVAILABLE)
    world.run(standing_order())
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.gateway.flush()
    world.clock.advance(minutes=2)
    assert world.recover()[0].status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_a_gateway_that_is_down_for_days_is_told_of_once() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(*[Fault.UNAVAILABLE] * 50)
    for _ in range(50):
        world.sweep(standing_order())
        world.clock.advance(minutes=20)

    assert world.told() == [NoticeKind.FAILED]
    world.gateway.accept("")
    assert len(world.record.attempts) < 50


# -- R5: running again is free ------------------------------------------------


@FORMS
@pytest.mark.parametrize(
    ("fault", "declined", "balance", "ends"),
    [
        (None, False, "120.00", RunStatus.PAID),
        (None, True, "120.00", RunStatus.FAILED),
        (None, False, "0.00", RunStatus.NOTHING_DUE),
    ],
)
def test_r5_a_finished_run_returns_the_same_result_and_touches_nothing(
    two_step: bool,
    fault: None,
    declined: bool,
    balance: str,
    ends: RunStatus,
) -> None:
    world = World(bill("INV-1", balance), two_step=two_step)
    if declined:
        world.gateway.decline(CARD.token)
    first = world.run(standing_order())
    traced = _traced(world, standing_order())

    again = traced.go()

    assert first == again
    assert first.status is ends
    assert traced.names == ["ReadStanding"]


# -- R7: stop orders ----------------------------------------------------------


def _stopped(world: World, target: str) -> None:
    stop(StopOrder(target=target, active=True, by="Ann"), ports=world.ports)


@pytest.mark.parametrize(
    "target", [StopOrder.autopay("ap-1"), StopOrder.method(CARD.fingerprint)]
)
def test_r7_nothing_is_sent_after_a_stop_order(target: str) -> None:
    world = World(bill("INV-1", "120.00"))
    _stopped(world, target)

    result = world.run(standing_order())

    assert result.status is RunStatus.CANCELLED
    assert result.reason == "Stopped"
    assert world.taken == []
    assert world.told() == []


def test_r7_a_stop_order_that_was_lifted_stops_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    _stopped(world, StopOrder.autopay("ap-1"))
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=False, by="Ann"),
        ports=world.ports,
    )

    assert world.run(standing_order()).status is RunStatus.PAID


def test_r7_a_stop_order_between_planning_and_intent_is_kept() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order())
    read_balances = world.matters.open_invoices

    def stopped(query: InvoiceQuery) -> InvoicePage:
        _stopped(world, StopOrder.autopay("ap-1"))
        return read_balances(query)

    rig(world.matters, open_invoices=stopped)

    result = traced.go()

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []


def test_r7_a_stop_order_between_prepare_and_confirm_is_kept() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    _traced(world, standing_order()).cut(4)
    world.clock.advance(minutes=2)
    flow = recover_one(world.record, terms_of(world.ports))
    traced = Traced(flow, world.ports)
    prepare = world.two_step.prepare

    def stopped(request: ChargeRequest) -> str:
        _stopped(world, StopOrder.autopay("ap-1"))
        return prepare(request)

    rig(world.gateway, prepare=stopped)

    result = traced.go()

    assert result.status is RunStatus.CANCELLED
    assert world.reserved() == {}
    assert world.taken == []


def test_r7_two_steps_without_a_reference_are_let_go_when_stopped() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    _traced(world, standing_order()).cut(4)
    _stopped(world, StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.CANCELLED
    assert world.reserved() == {}


def test_r7_what_was_sent_before_the_stop_is_followed_to_its_end() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    _stopped(world, StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1


def test_r7_a_stopped_doubt_is_let_go_once_it_is_proven_absent() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    _stopped(world, StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=14)
    [early] = world.recover()
    assert early.status is RunStatus.OPEN
    world.clock.advance(minutes=5)

    [result] = world.recover()

    assert result.status is RunStatus.CANCELLED
    assert world.gateway.flush() == 0
    assert world.taken == []


@pytest.mark.parametrize(
    "weaker",
    [{"lookup_settle_seconds": None}, {"honours_deadline": False}],
)
def test_r7_without_the_promises_a_stopped_doubt_is_never_let_go(
    weaker: dict[str, Any],
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, **weaker
    )
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    _stopped(world, StopOrder.autopay("ap-1"))
    for hours in (1, 5, 30, 100):
        world.clock.advance(hours=hours)
        world.recover()

    assert world.record.state is RunState.REVIEW
    assert world.taken == []


def test_r7_a_stop_order_between_look_up_and_sending_again_is_kept() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    ask = world.gateway.lookup

    def stopped(key: str) -> LookupOutcome:
        _stopped(world, StopOrder.autopay("ap-1"))
        return ask(key)

    rig(world.gateway, lookup=stopped)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r7_an_auto_pay_that_is_turned_off_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []


def test_r7_turned_off_before_its_intent_was_sent_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    _traced(world, standing_order()).cut(4)
    world.clock.advance(minutes=30)

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []


# -- R8: answers to another question ------------------------------------------


@FORMS
@pytest.mark.parametrize("fault", [Fault.WRONG_AMOUNT, Fault.WRONG_KEY])
def test_r8_an_answer_to_another_question_posts_nothing(
    fault: Fault, two_step: bool
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(fault)

    result = world.run(standing_order())

    assert result.status is RunStatus.REVIEW
    assert result.reason == "GatewayMismatch"
    assert world.postings() == ()
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert NoticeKind.NEEDS_REVIEW in world.told()
    assert NoticeKind.FAILED in world.told()


def test_r8_a_later_look_up_that_agrees_resolves_the_review() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.WRONG_KEY)
    world.run(standing_order())
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1


def test_r8_the_same_wrong_answer_is_told_once() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.WRONG_AMOUNT)
    world.run(standing_order())
    [done] = world.gateway._executed.values()
    done.outcome = attrs.evolve(world.gateway.captured[0], amount=usd("7"))
    told = world.told()
    for _ in range(3):
        world.clock.advance(days=2)
        [result] = world.recover()
        assert result.status is RunStatus.REVIEW

    assert world.told() == told
    assert world.postings() == ()


def test_r8_another_currency_is_another_amount() -> None:
    world = World(bill("INV-1", "120.00"))
    key = idempotency_key(b"s3cret", KEY, 1)
    wrong = Captured(key=key, amount=Money.of("120.00", "CAD"), reference="x")
    rig(world.gateway, charge=lambda request: wrong)

    assert world.run(standing_order()).status is RunStatus.REVIEW


def test_contradictory_outcomes_raise_an_alarm() -> None:
    """A capture after a decline under the same key breaks a promise."""
    world = World(bill("INV-1", "120.00"))
    flow = collect(
        case_of(standing_order(), occurrence_on(standing_order(), DAY), TERMS)
    )
    traced = Traced(flow, world.ports)
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        """Take the money; meanwhile another worker hears of a decline."""
        world.gateway.decline(CARD.token)
        world.clock.advance(minutes=2)
        rig(world.gateway, charge=charge)
        world.recover()
        return Captured(key=request.key, amount=request.amount, reference="q")

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.FAILED
    [alarm] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.NEEDS_REVIEW
    ]
    assert alarm.reason == "ContradictoryOutcome"
    assert world.postings() == ()


def test_the_slow_worker_accepts_what_the_fast_one_wrote() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        answer = charge(request)
        world.clock.advance(minutes=2)
        world.recover()
        return answer

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1
    assert world.told() == [NoticeKind.PAID]


def test_a_definitive_outcome_is_applied_to_what_stands_by_then() -> None:
    """Another worker only counted a try; the capture is not dropped."""
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        world.clock.advance(minutes=2)
        world.gateway.script(Fault.LOSE_REQUEST)
        rig(world.gateway, charge=charge)
        world.recover()
        return charge(request)

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.record.attempts[0].tries == 2


def test_a_doubt_does_not_overwrite_what_another_worker_knows() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        charge(request)
        world.clock.advance(minutes=2)
        world.recover()
        return Indeterminate(detail="timeout")

    rig(world.gateway, charge=slow)

    assert traced.go().status is RunStatus.PAID


def test_the_reference_of_the_slower_of_two_workers_is_never_used() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced = _traced(world, standing_order())
    gateway = world.two_step
    prepare = gateway.prepare

    def slow(request: ChargeRequest) -> str:
        reference = prepare(request)
        world.clock.advance(minutes=2)
        rig(gateway, prepare=prepare)
        world.recover()
        return reference

    rig(gateway, prepare=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert "Confirm" not in traced.names
    assert world.taken == [usd("120.00")]


# -- P1: postings of a paid run -----------------------------------------------


@FORMS
def test_p1_every_captured_cent_has_its_posting_record(two_step: bool) -> None:
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "80.00", issued=date(2026, 1, 6)),
        bill("INV-3", "50.00", issued=date(2026, 1, 7)),
        two_step=two_step,
    )

    result = world.run(standing_order(limit=Limit.up_to(usd("150"))))

    postings = world.postings()
    assert {each.invoice: each.amount for each in postings} == {
        "INV-1": usd("120"),
        "INV-2": usd("30"),
    }
    assert total(each.amount for each in postings) == result.charged
    assert set(result.postings) == set(postings)
    [captured] = world.gateway.captured
    for each in postings:
        assert each.ar_message == "Thank you"
        assert each.deposit_account == DepositAccount(id="operating-1")
        assert each.payment_reference == captured.reference
        assert each.charged_on == DAY
        assert each.status is PostingStatus.PENDING
    assert world.told() == [NoticeKind.PAID_IN_PART]


def test_p1_a_pending_debit_has_no_posting_until_it_settles() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK)

    first = world.run(autopay)
    assert first.status is RunStatus.PENDING
    assert first.charged is None
    assert first.postings == ()
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.clock.advance(days=1)
    assert world.recover()[0].status is RunStatus.PENDING
    world.clock.advance(days=2)
    [key] = world.gateway._executed
    world.gateway.settle(key)
    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert world.reserved() == {"INV-1": usd("120.00")}  # now by its posting
    assert world.told() == [NoticeKind.PAID]


@FORMS
def test_a_pending_debit_does_not_hold_up_the_next_run(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.PEND)
    world.run(standing_order(method=BANK))
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(method=BANK), on=FEBRUARY)

    assert result.charged == usd("50.00")


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_pending_debit_is_not_taken_again_by_a_gateway_of_two_steps(
    is_stopped: bool,
) -> None:
    """The host changed its gateway while the debit was under way."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    world.gateway = MemoryTwoStepGateway(clock=world.clock)
    if is_stopped:
        _stopped(world, StopOrder.autopay("ap-1"))
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.PENDING
    assert world.gateway._prepared == {}
    assert world.reserved() == {"INV-1": usd("120.00")}


@pytest.mark.parametrize("is_stopped", [False, True])
def test_i2_a_doubt_is_not_sent_again_in_another_form(
    is_stopped: bool,
) -> None:
    """The host changed to a gateway of two steps that knows nothing yet."""
    world = World(bill("INV-1", "120.00"))
    before = world.gateway
    before.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    after = MemoryTwoStepGateway(clock=world.clock)
    world.gateway = after
    if is_stopped:
        _stopped(world, StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [soon] = world.recover()
    world.clock.advance(hours=23)
    [late] = world.recover()

    assert (len(before.captured), after.captured) == (1, [])
    assert soon.status is RunStatus.OPEN
    assert late.status is RunStatus.REVIEW
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r4_what_was_never_prepared_is_planned_again_in_one_step() -> None:
    """Two steps without a reference moved nothing, whatever comes after."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    _traced(world, standing_order()).cut(4)
    world.gateway = MemoryGateway(clock=world.clock)
    world.clock.advance(minutes=2)

    [result] = world.recover()
    world.clock.advance(minutes=2)
    again = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "GatewayForm"
    assert again.charged == usd("120.00")
    assert len(world.record.attempts) == 2


def test_a_pending_debit_that_nobody_knows_any_more_is_reviewed() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    [key] = world.gateway._executed
    world.gateway.forget(key)
    world.clock.advance(days=3)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert world.reserved() == {"INV-1": usd("120.00")}


# -- N1: declines -------------------------------------------------------------


@FORMS
def test_n1_a_decline_is_told_as_error_failed_autopay(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.decline(CARD.token)

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert world.reserved() == {}
    [notice] = world.notifier.sent
    assert notice.title == FAILED_AUTOPAY == "Error - Failed AutoPay"
    assert (notice.autopay, notice.payer, notice.name) == (
        "ap-1",
        "p1",
        "Acme monthly",
    )
    assert (notice.on, notice.amount) == (DAY, usd("120.00"))
    assert notice.reason == "Declined"
    assert notice.detail == "The card was declined. (code 51)"


def test_n1_a_decline_without_words_is_told_with_ours() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, message="")

    world.run(standing_order())

    [notice] = world.notifier.sent
    assert notice.detail == "The payment was declined. (code 51)"


def test_n1_matter_data_that_cannot_be_used_fails_the_run() -> None:
    world = World(bill("INV-1", "120.00"))
    world.matters.put(
        attrs.evolve(bill("INV-2", "1.00"), balance=Money.of("1.00", "CAD"))
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "MixedCurrency"
    assert world.taken == []
    assert world.told() == [NoticeKind.FAILED]


@FORMS
def test_n1_a_port_may_say_anything_and_the_run_still_ends(
    two_step: bool,
) -> None:
    """A message with a number like a card's is told without it (E3)."""
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    error = PortUnavailableError("request 4111 1111 1111 1111 \x00 failed")

    def unavailable(*_: object) -> NoReturn:
        raise error

    if two_step:
        rig(world.gateway, confirm=unavailable)
    else:
        rig(world.gateway, charge=unavailable)

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    [notice] = world.notifier.sent
    assert "4111" not in notice.detail
    assert "4111" not in world.record.detail


def test_n1_what_postpones_a_run_may_say_anything() -> None:
    world = World(bill("INV-1", "120.00"))

    def unavailable(_: object) -> NoReturn:
        raise PortUnavailableError("row 4111111111111111 \x00 failed")

    rig(world.matters, open_invoices=unavailable)

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    [notice] = world.notifier.sent
    assert "4111111" not in notice.detail


def test_n1_a_doubt_may_say_anything_and_still_goes_to_review() -> None:
    world = World(bill("INV-1", "120.00"))
    doubt = Indeterminate(detail="request 4111111111111111")
    rig(world.gateway, charge=lambda _: doubt)
    rig(world.gateway, lookup=lambda _: doubt)
    world.run(standing_order())
    world.clock.advance(days=1)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert "4111111" not in world.record.detail


# -- Postponed ----------------------------------------------------------------


def test_data_that_cannot_be_read_postpones_the_run_and_is_told_once() -> None:
    world = World(bill("INV-1", "120.00"))
    down = world.matters.open_invoices

    def unavailable(_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.matters, open_invoices=unavailable)
    for _ in range(3):
        result = world.run(standing_order())
        assert result.status is RunStatus.POSTPONED
        assert result.reason == "PortUnavailable"
        assert result.key == KEY
    rig(world.matters, open_invoices=down)

    assert world.records == ()
    assert world.run(standing_order()).status is RunStatus.PAID
    assert world.told() == [NoticeKind.FAILED, NoticeKind.PAID]


# -- N3: retries --------------------------------------------------------------

RETRY = RetryPolicy(retries_most=2, every_days=3)


def test_n3_a_decline_is_tried_again_as_the_policy_says() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)

    first = world.run(autopay)
    assert first.status is RunStatus.WAITING
    assert world.reserved() == {}
    assert world.record.next_try_at == START + timedelta(days=3)
    assert "It is tried again on 2026-02-03." in first.detail
    assert world.run(autopay) == first
    world.clock.advance(days=3)
    second = world.run(autopay)
    assert second.status is RunStatus.WAITING
    world.clock.advance(days=3)
    third = world.run(autopay)

    assert third.status is RunStatus.FAILED
    assert len(world.record.attempts) == 3
    assert world.told() == [NoticeKind.FAILED] * 3


def test_n3_a_retry_plans_again_from_what_is_owed_by_then() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.gateway.accept(CARD.token)
    world.matters.put(bill("INV-1", "70.00"))
    world.clock.advance(days=3)

    result = world.run(autopay, on=DAY)

    assert result.charged == usd("70.00")


def test_n3_a_retry_that_finds_nothing_owed_ends_the_run() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.matters.remove("INV-1")
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.NOTHING_DUE
    assert result.record is not None
    assert result.record.intent is None


@pytest.mark.parametrize(
    "decline_class",
    [DeclineClass.NEVER, DeclineClass.FIX_FIRST, DeclineClass.UNKNOWN],
)
def test_n3_a_hard_decline_is_never_tried_again(
    decline_class: DeclineClass,
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=decline_class)

    result = world.run(standing_order(retry=RETRY))

    assert result.status is RunStatus.FAILED


def _returned(world: World, autopay: AutoPay, code: str = "R01") -> None:
    """Let the bank return the debit of the run under way."""
    world.run(autopay)
    key = world.record.attempts[-1].key
    world.gateway.fail(key, code)
    world.clock.advance(hours=3)
    world.recover()


def test_n3_a_bank_debit_is_presented_again_for_the_same_amount() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    assert world.record.state is RunState.WAITING
    world.matters.put(bill("INV-2", "30.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.PENDING
    assert [each.amount for each in world.record.attempts] == [
        usd("120.00"),
        usd("120.00"),
    ]


def test_n3_a_bank_debit_whose_amount_would_differ_is_not_presented() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.FAILED
    assert result.reason == "RetryAmountChanged"
    assert world.taken == []


def test_n3_a_retry_that_never_left_does_not_free_the_amount() -> None:
    """Declined, then not sent, then sent: still the same amount."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    world.gateway.script(Fault.UNAVAILABLE)
    world.clock.advance(days=3)
    assert world.run(autopay).status is RunStatus.WAITING
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.FAILED
    assert result.reason == "RetryAmountChanged"


def test_n3_attempts_that_never_left_use_up_no_retries() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    world.gateway.script(*[Fault.UNAVAILABLE] * 5)
    autopay = standing_order(retry=RETRY)
    for _ in range(5):
        assert world.run(autopay).reason == "PortUnavailable"
        world.clock.advance(hours=2)

    result = world.run(autopay)

    assert result.reason == "Declined"
    assert result.status is RunStatus.WAITING


def test_n3_other_codes_of_a_bank_are_not_presented_again() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)

    _returned(world, autopay, "R16")

    assert world.record.state is RunState.FAILED


def test_n3_the_first_try_of_a_bank_debit_may_vary_by_run() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(method=BANK, retry=RETRY)
    world.gateway.script(Fault.UNAVAILABLE)
    world.run(autopay)
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(minutes=1)

    assert world.run(autopay).charged == usd("100.00")


# -- N4: advance notice -------------------------------------------------------


def test_n4_a_debit_that_was_not_announced_is_not_taken() -> None:
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(advance_notice=AdvanceNotice()))

    assert result.status is RunStatus.CANCELLED
    assert result.reason == "NoticeMissing"
    assert world.taken == []
    assert world.told() == [NoticeKind.FAILED]


def test_n4_an_amount_within_the_agreed_range_needs_no_announcement() -> None:
    world = World(bill("INV-1", "120.00"))
    policy = AdvanceNotice(least=usd("100"), most=usd("120"))

    result = world.run(standing_order(advance_notice=policy))

    assert result.status is RunStatus.PAID


# -- S7, A2 to A5 -------------------------------------------------------------


def test_s7_a_plan_ends_with_its_invoice_and_says_so_once() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "5.00"))
    plan = standing_order(
        enrollments=(to_invoice("INV-1"),), limit=Limit.up_to(usd("100"))
    )
    world.run(plan)
    last = world.run(plan, on=FEBRUARY)
    after = world.run(plan, on=date(2026, 3, 31))
    later = world.run(plan, on=date(2026, 4, 30))

    assert world.taken == [usd("100"), usd("20")]
    assert last.status is RunStatus.PAID
    assert [after.reason, later.reason] == ["PlanPaidOff"] * 2
    assert world.told() == [
        NoticeKind.PAID_IN_PART,
        NoticeKind.PAID,
        NoticeKind.PLAN_PAID_OFF,
        NoticeKind.PLAN_PAID_OFF,
    ]


def test_s7_an_invoice_numbered_like_a_card_is_paid_off_as_well() -> None:
    number = "4111111111111111"
    world = World(bill(number, "120.00"))
    plan = standing_order(enrollments=(to_invoice(number),))

    paid = world.run(plan)

    assert paid.status is RunStatus.PAID
    assert world.told() == [NoticeKind.PAID, NoticeKind.PLAN_PAID_OFF]
    assert [each.invoice for each in world.postings()] == [number]


def test_s7_a_plan_comes_back_to_life_when_its_invoice_is_reopened() -> None:
    world = World(bill("INV-1", "120.00"))
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    world.run(plan)
    for each in world.postings():
        world.store._put_posting(
            each, attrs.evolve(each, status=PostingStatus.APPLIED), set()
        )
    world.matters.put(bill("INV-1", "120.00"))

    result = world.run(plan, on=FEBRUARY)

    assert result.charged == usd("120.00")


def test_s7_a_plan_beside_a_client_is_not_told_as_paid_off() -> None:
    world = World(bill("INV-1", "120.00"))

    world.run(standing_order(enrollments=(to_invoice("INV-1"), to_client())))

    assert world.told() == [NoticeKind.PAID]


def test_a2_a_row_that_nobody_asked_for_rejects_the_run_with_an_alarm() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    foreign = bill("INV-9", "1.00", client="C-9")
    page = InvoicePage(invoices=(bill("INV-1", "120.00"), foreign))
    rig(world.matters, open_invoices=lambda _: page)

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "ForeignInvoice"
    assert world.told() == [NoticeKind.FAILED, NoticeKind.SECURITY_EVENT]
    for notice in world.notifier.sent:
        assert "INV-9" not in notice.detail
        assert "C-9" not in notice.detail
    assert world.taken == []


def test_a3_no_enrolments_pay_nothing_and_ask_for_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = _traced(world, standing_order(enrollments=()))

    result = traced.go()

    assert result.status is RunStatus.NOTHING_DUE
    assert result.reason == "NoAssociations"
    assert "ReadInvoices" not in traced.names


def test_a4_an_invoice_that_three_enrolments_cover_is_paid_once() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(
        enrollments=(
            to_client(),
            Association.to_matter(payer="p1", client="C-1", matter="M-1"),
            to_invoice("INV-1"),
        )
    )

    result = world.run(autopay)

    assert result.charged == usd("120.00")
    assert len(world.postings()) == 1


def test_a5_a_new_invoice_takes_part_at_its_place_in_the_order() -> None:
    world = World(bill("INV-2", "100.00", issued=date(2026, 1, 20)))
    world.matters.put(bill("INV-1", "30.00", issued=date(2026, 1, 2)))

    result = world.run(standing_order(limit=Limit.up_to(usd("50"))))

    assert [
        (line.invoice.number, line.amount) for line in lines_of(result)
    ] == [("INV-1", usd("30")), ("INV-2", usd("20"))]


def test_l6_trust_money_waits_for_another_charge() -> None:
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "50.00", account=AccountKind.TRUST),
    )

    result = world.run(standing_order())

    assert result.charged == usd("120.00")
    reasons = {line.invoice.number: line.reason for line in lines_of(result)}
    assert reasons["INV-2"] is Reason.OTHER_ACCOUNT


# -- Nothing due, and the gateway's limits ------------------------------------


@pytest.mark.parametrize(
    ("limit", "balance", "reason"),
    [
        (Limit.all("USD"), "0.00", "NothingDue"),
        (Limit.all("USD", minimum=usd("200")), "120.00", "BelowMinimum"),
        (
            Limit.up_to(usd("100"), whole_invoices=True),
            "120.00",
            "CapBelowOldest",
        ),
    ],
)
def test_nothing_due_says_why(limit: Limit, balance: str, reason: str) -> None:
    world = World(bill("INV-1", balance), bill("INV-2", "-5.00"))

    result = world.run(standing_order(limit=limit))

    assert result.status is RunStatus.NOTHING_DUE
    assert result.reason == reason
    assert result.record is not None
    assert result.record.plan is not None
    assert world.told() == [NoticeKind.NOTHING_DUE]


def test_l7_a_month_that_is_used_up_takes_nothing_more() -> None:
    world = World(bill("INV-1", "500.00", issued=date(2026, 1, 1)))
    autopay = standing_order(
        schedule=Schedule.weekly(date(2026, 1, 2)),
        limit=Limit.up_to(usd("40"), per_month=usd("60")),
    )
    for day in (2, 9, 16):
        world.run(autopay, on=date(2026, 1, day))

    assert world.taken == [usd("40"), usd("20")]
    assert world.records[-1].reason == "LimitReached"


def test_l7_a_lifetime_trims_the_last_charge() -> None:
    world = World(bill("INV-1", "500.00"))
    autopay = standing_order(limit=Limit.up_to(usd("40"), lifetime=usd("60")))
    for on in (DAY, FEBRUARY, date(2026, 3, 31)):
        world.run(autopay, on=on)

    assert world.taken == [usd("40"), usd("20")]


def test_a_charge_above_the_gateways_largest_is_refused() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=10_000
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "ChargeTooLarge"


def test_a_currency_that_the_gateway_does_not_take_is_refused() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, currencies=frozenset({"CAD"})
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "CurrencyUnknown"


def test_a_currency_that_the_gateway_takes_is_charged() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, currencies=frozenset({"USD"})
    )

    assert world.run(standing_order()).status is RunStatus.PAID


# -- Pages --------------------------------------------------------------------


def test_pages_are_followed_to_their_end() -> None:
    world = World(*[bill(f"INV-{n}", "1.00") for n in range(25)], page_size=10)

    result = world.run(standing_order())

    assert result.charged == usd("25.00")


@pytest.mark.parametrize(
    "pages",
    [
        # A token that comes again.
        [((), "1", None), ((), "1", None)],
        # Fewer rows than were announced.
        [(("INV-1",), None, 2)],
        # Another number of rows meanwhile.
        [(("INV-1",), "1", 2), (("INV-2",), None, 3)],
        # A row again where another one should be.
        [(("INV-1",), "1", 2), (("INV-1",), None, 2)],
    ],
)
def test_pages_that_do_not_add_up_postpone_the_run(
    pages: list[tuple[tuple[str, ...], str | None, int | None]],
) -> None:
    world = World()
    left = [
        InvoicePage(
            invoices=tuple(bill(each, "10.00") for each in numbers),
            next_page=following,
            total=count,
        )
        for numbers, following, count in pages
    ]
    rig(world.matters, open_invoices=lambda _: left.pop(0))

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "IncompleteRead"
    assert world.taken == []


def test_a_page_without_a_total_is_believed_at_its_end() -> None:
    world = World()
    page = InvoicePage(invoices=(bill("INV-1", "10.00"),))
    rig(world.matters, open_invoices=lambda _: page)

    assert world.run(standing_order()).charged == usd("10.00")


# -- Rolled dates -------------------------------------------------------------


def test_a_rolled_run_is_identified_by_its_nominal_date() -> None:
    calendar = BusinessCalendar(weekend=frozenset({6, 7}))
    rolled = Schedule.monthly(DAY, roll=Roll.FOLLOWING, calendar=calendar)
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(schedule=rolled), on=date(2026, 2, 2))

    assert result.key == KEY
    assert world.record.charge_on == date(2026, 2, 2)


# -- Attestation --------------------------------------------------------------


def _in_review() -> World:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(days=1)
    world.recover()
    assert world.record.state is RunState.REVIEW
    return world


def _word(
    world: World, outcome: Captured | Declined, **changes: str
) -> RunResult:
    words = {"by": "Ann", "reason": "checked", "evidence": "statement 7"}
    return attest(KEY, outcome, ports=world.ports, **{**words, **changes})


def test_r4_a_persons_word_that_it_was_not_charged_ends_the_run() -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    result = _word(world, Declined(key=key, code="attested"))

    assert result.status is RunStatus.FAILED
    assert world.reserved() == {}


def test_r4_a_persons_word_that_it_was_charged_posts_it() -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    result = _word(
        world, Captured(key=key, amount=usd("120.00"), reference="st-7")
    )

    assert result.status is RunStatus.PAID
    assert [each.payment_reference for each in world.postings()] == ["st-7"]


def _partly_captured(world: World, amount: str) -> RunResult:
    key = world.record.attempts[0].key
    return _word(
        world, Captured(key=key, amount=usd(amount), reference="st-7")
    )


def test_r8_a_persons_word_that_a_part_was_captured_posts_that_part() -> None:
    world = _in_review()

    result = _partly_captured(world, "50.00")

    assert result.status is RunStatus.PAID
    assert result.charged == usd("50.00")
    assert result.reason == "PartialCapture"
    assert [each.amount for each in world.postings()] == [usd("50.00")]
    assert world.reserved() == {"INV-1": usd("50.00")}
    told = world.notifier.sent[-1]
    assert (told.kind, told.amount) == (NoticeKind.PAID_IN_PART, usd("50.00"))
    after = world.run(standing_order(), on=FEBRUARY)
    assert after.charged == usd("70.00")


def test_r8_a_part_that_was_captured_is_all_that_counts_and_goes_back() -> (
    None
):
    world = _in_review()
    _partly_captured(world, "50.00")
    limit = Limit.all("USD", lifetime=usd("60.00"))

    after = world.run(standing_order(limit=limit), on=FEBRUARY)

    assert after.charged == usd("10.00")
    back = Reversal(
        event="ev-1", kind=ReversalKind.REFUND, amount=usd("50.01"), on=DAY
    )
    with pytest.raises(ValueError, match="ReversalExceeds"):
        reverse(KEY, back, ports=world.ports)


def test_r8_a_plan_of_which_a_part_was_captured_is_not_paid_off() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order(enrollments=(to_invoice("INV-1"),)))
    world.clock.advance(days=1)
    world.recover()

    _partly_captured(world, "119.99")

    assert NoticeKind.PLAN_PAID_OFF not in world.told()


@pytest.mark.parametrize(
    "amount", [usd("0"), usd("120.01"), Money.of("50.00", "CAD")]
)
def test_r8_nobodys_word_posts_more_or_another_currency(
    amount: Money,
) -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    with pytest.raises(ValueError, match="GatewayMismatch"):
        _word(world, Captured(key=key, amount=amount, reference="st-7"))

    assert world.record.state is RunState.REVIEW


@pytest.mark.parametrize("word", ["by", "reason", "evidence"])
def test_r4_an_attestation_needs_name_reason_and_evidence(word: str) -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    with pytest.raises(ValueError, match=word):
        _word(world, Declined(key=key, code="x"), **{word: " "})

    assert world.record.state is RunState.REVIEW


@pytest.mark.parametrize(
    "outcome",
    [
        Declined(key="other", code="x"),
        Captured(key="other", amount=usd("120.00"), reference="x"),
    ],
)
def test_r4_an_attestation_about_another_request_is_refused(
    outcome: Captured | Declined,
) -> None:
    world = _in_review()

    with pytest.raises(ValueError, match="GatewayMismatch"):
        _word(world, outcome)


def test_r4_only_a_run_in_review_can_be_attested() -> None:
    world = World(bill("INV-1", "120.00"))
    with pytest.raises(ValueError, match="NotInReview"):
        _word(world, Declined(key="x", code="x"))
    world.run(standing_order())

    with pytest.raises(ValueError, match="NotInReview"):
        _word(world, Declined(key="x", code="x"))


def test_r4_an_attestation_gives_way_to_what_was_found_meanwhile() -> None:
    world = _in_review()
    key = world.record.attempts[0].key
    intent = world.record.intent
    assert intent is not None
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        world.gateway.script()
        world.gateway._execute(
            key,
            attrs.evolve(intent.request, not_after=None),
        )
        world.clock.advance(days=2)
        world.recover()
        return commit(change)

    rig(world.store, commit=overtaken)

    result = _word(world, Declined(key=key, code="attested"))

    assert result.status is RunStatus.PAID


# -- The host's side of the protocol ------------------------------------------

PAGE = InvoicePage(invoices=(bill("INV-1", "120.00"),))
OPENED = OpenAmounts(versions={"C-1": 0})


@pytest.mark.parametrize(
    "answers",
    [
        [None],
        ["standing"],
        [Standing(now=START), None],
        [Standing(now=START), OPENED, (bill("INV-1", "1.00"),)],
        [Standing(now=START), OPENED, PAGE, None],
        [Standing(now=START), OPENED, PAGE, True],
    ],
)
def test_a_host_that_answers_wrongly_is_told_so(answers: list[object]) -> None:
    script = Script(_collecting(), *answers)

    with pytest.raises(HostProtocolError, match="was answered with"):
        script.go()


@pytest.mark.parametrize("answer", [None, 7, "ab", ["ab"], [None]])
def test_many_answers_are_checked_one_by_one(answer: object) -> None:
    script = Script(deliver(), answer)

    with pytest.raises(HostProtocolError, match="ReadUndelivered"):
        script.go()


def test_r4_a_host_may_throw_its_gateways_errors_into_the_flow() -> None:
    """`Ports` makes them doubts; another host need not."""
    script = Script(
        _collecting(),
        Standing(now=START),
        OPENED,
        PAGE,
        Committed(),
        PortError("broken"),
        Committed(),
    )

    assert script.go().status is RunStatus.OPEN


def test_what_a_store_refuses_to_keep_is_not_told() -> None:
    script = Script(
        _collecting(),
        Standing(now=START),
        PortUnavailableError("down"),
        Conflict(reason="odd"),
    )

    assert script.go().status is RunStatus.POSTPONED
    assert not any(isinstance(each, Send) for each in script.requests)


def test_a_step_that_another_worker_made_is_accepted() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    before = world.record
    world.clock.advance(minutes=2)
    world.recover()
    paid = Standing(now=world.clock.at, run=world.record)

    done = Script(recover_one(before, terms_of(world.ports)), paid)
    assert done.go().status is RunStatus.PAID
    overtaken = Script(
        recover_one(before, terms_of(world.ports)),
        Standing(now=world.clock.at, run=before),
        Indeterminate(),
        Conflict(reason="version"),
        paid,
    )
    assert overtaken.go().status is RunStatus.PAID


def test_r4_a_run_without_a_record_is_left_alone() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order(off_from=DAY))

    script = Script(
        recover_one(world.record, TERMS), Standing(now=world.clock.at)
    )

    assert script.go().status is RunStatus.CANCELLED


def test_a_record_that_vanishes_is_the_hosts_fault() -> None:
    script = Script(
        _collecting(),
        Standing(now=START),
        OPENED,
        PAGE,
        Committed(),
        Pending(
            key=idempotency_key(b"s3cret", KEY, 1),
            amount=usd("120.00"),
            reference="x",
        ),
        Conflict(reason="version"),
        Standing(now=START),
    )

    with pytest.raises(HostProtocolError, match="is gone"):
        script.go()


def test_a_commit_that_is_not_known_to_stand_is_raised_and_found_again() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit
    lost = [True]

    def unknown(change: Change) -> Committed | Conflict:
        done = commit(change)
        if lost.pop() if lost else False:
            raise CommitUnknownError("the answer was lost")
        return done

    rig(world.store, commit=unknown)

    with pytest.raises(CommitUnknownError):
        world.run(standing_order())
    world.clock.advance(minutes=2)

    assert world.run(standing_order()).status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


@FORMS
@pytest.mark.parametrize("cut", range(1, 10))
def test_a_run_that_dies_at_any_step_is_finished_by_the_next(
    cut: int, two_step: bool
) -> None:
    """The recovery table: whatever state a crash leaves, one charge."""
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    _traced(world, standing_order()).cut(cut)
    world.clock.advance(minutes=2)

    world.sweep(standing_order())

    assert world.record.state is RunState.PAID
    assert world.taken == [usd("120.00")]
    assert [each.amount for each in world.postings()] == [usd("120.00")]
    assert world.told() == [NoticeKind.PAID]
    assert world.store.undelivered(10) == ()


@pytest.mark.parametrize("answer", [None, 7, PortError("x"), KeyError("x")])
def test_a_broken_prepare_moves_no_money_and_is_no_doubt(
    answer: object,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    prepare = world.two_step.prepare

    def broken(_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    rig(world.gateway, prepare=broken)

    result = world.run(standing_order())
    assert result.status is RunStatus.WAITING
    assert world.told() == [NoticeKind.FAILED]
    assert world.reserved() == {}
    rig(world.gateway, prepare=prepare)
    world.clock.advance(minutes=1)

    assert world.run(standing_order()).status is RunStatus.PAID


def test_take_money_takes_nothing_but_an_outcome_for_an_answer() -> None:
    request = Charge(_request())

    for answer in (None, True, "captured", NotFound()):
        script = Script(take_money(request), answer)
        assert isinstance(script.go(), Indeterminate)


def test_a_look_up_that_fails_is_a_doubt() -> None:
    script = Script(look_up("key"), PortError("x", code="Broken"))

    assert script.go() == Indeterminate(detail="look-up: Broken")


def _request() -> ChargeRequest:
    return ChargeRequest(
        key="key",
        method=CARD,
        amount=usd("1"),
        deposit_account=DepositAccount(id="operating-1"),
    )
