"""The order of a run, its identity, and its end: rules R1 to R3, R5."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autopay_core.allocation import Reason
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.charges import (
    idempotency_key,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    Standing,
)
from autopay_core.engine.collecting import PLANS_MOST
from autopay_core.engine.requests import (
    Charge,
    Commit,
    Confirm,
)
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    FORMS,
    KEY,
    SECRET,
    START,
    Script,
    World,
    a_run,
    bill,
    lines_of,
    rig,
    standing_order,
    traced_run,
    usd,
)

ON_HOLD = Hold.on_store(by="Ann", reason="audit")


# -- R1: the order of a run ---------------------------------------------------


def test_r1_a_run_asks_for_things_in_the_one_safe_order() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())

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
    traced = traced_run(world, standing_order())

    traced.go()

    assert traced.names == [
        "ReadStanding",
        "ReadOpen",
        "ReadInvoices",
        "Prepare",  # moves nothing, so nothing has to be on record yet
        "Commit",  # the intent, its reservation and the reference
        "Confirm",
        "Commit",  # outcome, postings and notices
        "Send",
        "Commit",  # delivered
    ]
    written, used = traced.requests[4], traced.requests[5]
    assert isinstance(written, Commit)
    assert isinstance(used, Confirm)
    assert written.change.runs[0].attempts[0].reference == used.reference


def test_r1_limits_by_month_are_read_between_open_amounts_and_balances() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    limit = Limit.all("USD", per_month=usd("50"))
    traced = traced_run(world, standing_order(limit=limit))

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
    traced = traced_run(world, standing_order(limit=Limit.up_to(usd("130"))))
    traced.go()

    intent = traced.requests[3]

    assert isinstance(intent, Commit)
    change = intent.change
    assert change.expect_versions == {"C-1": 0}
    assert change.expect_open == {"INV-1": usd("0"), "INV-2": usd("0")}
    assert change.only_doubtful
    assert change.unless_held == (
        "store:",
        "payer:p1",
        f"method:{CARD.fingerprint}",
        "autopay:ap-1",
    )
    assert change.expect_holds == 0
    assert change.postings == ()


@FORMS
def test_r1_outcome_postings_and_notices_are_one_commit(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    traced = traced_run(world, standing_order())
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
    traced = traced_run(world, standing_order())
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


def test_r6_a_run_that_is_overtaken_for_ever_is_late() -> None:
    standing = Standing(now=START)
    opened = OpenAmounts(versions={"C-1": 0})
    page = InvoicePage(invoices=(bill("INV-1", "100.00"),))
    conflict = Conflict(reason=ConflictReason.OPEN)
    once = (standing, opened, page, conflict)
    script = Script(a_run(), *once * PLANS_MOST, standing, Committed())

    result = script.go()

    assert result.status is RunStatus.WAITING
    assert result.reason == "Busy"
    assert result.record is not None
    assert result.record.late_since == DAY
    assert not any(isinstance(each, Charge) for each in script.requests)


def test_r1_what_a_refused_commit_says_is_open_counts_under_any_client() -> (
    None
):
    """An open posting under the invoice's former client is not missed."""
    page = InvoicePage(invoices=(bill("INV-1", "100.00"),))
    script = Script(
        a_run(),
        Standing(now=START),
        OpenAmounts(versions={"C-1": 0}),
        page,
        Conflict(
            reason=ConflictReason.OPEN, open_amounts={"INV-1": usd("100.00")}
        ),
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
        a_run(),
        Standing(now=START),
        opened,
        page,
        Conflict(
            reason=ConflictReason.OPEN, open_amounts={"INV-1": usd("40.00")}
        ),
        Standing(now=START),
        opened,
        page,
        Conflict(reason=ConflictReason.VERSION),
        Standing(now=START, holds=(ON_HOLD,)),
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

    store = world.store.standing(KEY, "").store
    assert captured.key == idempotency_key(SECRET, KEY, 1, store=store)


def test_r2_two_stores_never_make_the_same_key() -> None:
    """The same run in another firm's store, with the same secret."""
    keys = {
        idempotency_key(SECRET, KEY, 1, store=World().store._id)
        for _ in range(5)
    }

    assert len(keys) == 5


def test_r2_a_store_restored_from_a_backup_charges_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    lost = World(bill("INV-1", "120.00"))
    lost.store._id = world.store._id  # It comes back with the backup.
    lost.gateway = world.gateway

    result = lost.run(standing_order())

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_r3_what_is_in_the_intent_is_the_most_that_is_charged_for_it() -> None:
    """More is owed by then, and the limit is another one: it is the same."""
    world = World(bill("INV-1", "120.00"))
    traced_run(world, standing_order()).cut(4)
    assert world.record.state is RunState.OPEN
    world.matters.put(bill("INV-1", "500.00"))
    world.matters.put(bill("INV-2", "999.00"))
    world.clock.advance(minutes=2)

    result = world.run(standing_order(limit=Limit.up_to(usd("700"))))

    assert result.charged == usd("120.00")
    assert world.taken == [usd("120.00")]


def test_r3_what_is_owed_no_more_is_not_charged_though_it_was_intended() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    traced_run(world, standing_order()).cut(4)
    world.matters.put(bill("INV-1", "10.00"))
    world.clock.advance(minutes=30)

    result = world.run(standing_order())

    assert world.taken == [usd("10.00")]
    assert result.record is not None
    assert [each.number for each in result.record.attempts] == [1, 2]


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
    traced = traced_run(world, standing_order())

    again = traced.go()

    assert first == again
    assert first.status is ends
    assert traced.names == ["ReadStanding"]


# -- R15: a request has its time from its intent on ---------------------------


def slow_reads(world: World, seconds: int) -> None:
    """Let each read of the matter data take so long."""
    read = world.matters.open_invoices

    def slow(query: InvoiceQuery) -> InvoicePage:
        world.clock.advance(seconds=seconds)
        return read(query)

    rig(world.matters, open_invoices=slow)


@pytest.mark.parametrize("two_step", [False, True])
@pytest.mark.parametrize("seconds", [0, 200, 400, 4_000, 80_000])
def test_r15_slow_reads_cost_a_request_no_time(
    two_step: bool, seconds: int
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    slow_reads(world, seconds)

    result = world.run(standing_order())

    assert result.status is RunStatus.PAID
    [request] = world.gateway.executed
    assert request.not_after is not None
    assert request.not_after == world.record.attempts[-1].deadline
    assert request.not_after - world.clock() >= timedelta(seconds=300)


def test_r15_what_somebody_looked_at_meanwhile_is_not_sent() -> None:
    """Between the intent and its new deadline another worker came."""
    world = World(bill("INV-1", "120.00"))
    slow_reads(world, 80_000)
    traced = traced_run(world, standing_order())
    commit = world.store.commit
    seen: list[object] = []

    def raced(change: Change) -> Committed | Conflict:
        if len(seen) == 1:
            world.recover()
        seen.append(change)
        return commit(change)

    rig(world.store, commit=raced)

    result = traced.go()

    assert "Charge" not in traced.names
    assert world.taken == []
    assert result.status is not RunStatus.PAID
