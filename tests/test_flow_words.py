"""Balances that a person accepts, and postings that step back: B1, B2, P3."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest

from autopay_core.allocation import Reason
from autopay_core.associations import InvoicePage
from autopay_core.autopay import AdvanceNotice
from autopay_core.calls import (
    accept_balance,
    advance_postings,
    hold,
    look,
    read_postings,
    run,
    sweep,
)
from autopay_core.commits import Conflict, ConflictReason, Unreadable
from autopay_core.engine.requests import ReadHolds
from autopay_core.engine.staff import list_holds
from autopay_core.engine.telling import announce
from autopay_core.errors import HostProtocolError, InvalidValueError
from autopay_core.holds import Hold
from autopay_core.invoices import UnreadableRow
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind, notice_for_autopay
from autopay_core.policy import Policy
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import PaymentMethodRef
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    Script,
    World,
    bill,
    lines_of,
    rig,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

WORD = {"by": "Ann", "reason": "rebilled"}


def _applied_and_not_shown() -> World:
    """Let the ledger apply a payment that the balance does not show."""
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    world.clock.advance(hours=1)
    world.apply()
    world.clock.reach(FEBRUARY)
    return world


def test_b1_what_was_applied_must_show_or_a_person_accepts_it() -> None:
    world = _applied_and_not_shown()
    [first] = world.sweep(standing_order(), as_of=FEBRUARY)
    [line] = lines_of(first)
    assert line.reason is Reason.BALANCE_UNEXPECTED
    assert world.taken == [usd("120.00")]
    assert world.told()[-1] is NoticeKind.BALANCE_UNEXPECTED

    accept_balance("C-1", "INV-1", usd("120.00"), **WORD, ports=world.ports)
    march = date(2026, 3, 31)
    world.sweep(standing_order(), as_of=march)

    assert world.taken == [usd("120.00")] * 2


def test_b1_a_rise_that_is_paid_is_noted_and_not_told_as_stopped() -> None:
    """The firm reads the list of a night to the end when it is short."""
    world = World(bill("INV-1", "120.00"), bill("INV-10", "90.00"))
    world.run(standing_order(limit=Limit.up_to(usd("130.00"))))
    world.clock.advance(hours=1)
    world.apply()
    world.clock.reach(FEBRUARY)
    world.matters.put(bill("INV-10", "81.20"))
    world.hush()

    [result] = world.sweep(standing_order(), as_of=FEBRUARY)

    assert [(str(line.amount), line.reason) for line in lines_of(result)] == [
        ("USD 0.00", Reason.BALANCE_UNEXPECTED),
        ("USD 81.20", Reason.PAID),
    ]
    assert result.record is not None
    assert [each.partition(":")[0] for each in result.record.notes] == [
        "INV-1",
        "INV-10",
    ]
    [told] = [
        each
        for each in world.heard
        if each.kind is NoticeKind.BALANCE_UNEXPECTED
    ]
    assert told.detail == (
        "1 invoice gets nothing: INV-1: USD 120.00 is stated, USD 0.00 is "
        "expected"
    )


@pytest.mark.parametrize("client", ["C-1", "C-9"])
def test_b1_a_balance_of_which_nothing_is_expected_is_not_accepted(
    client: str,
) -> None:
    world = _applied_and_not_shown()

    with pytest.raises(InvalidValueError) as caught:
        accept_balance(client, "INV-9", usd("1"), **WORD, ports=world.ports)

    assert caught.value.code == "NothingExpected"


@pytest.mark.parametrize("word", ["by", "reason"])
def test_b1_nobody_accepts_a_balance_without_a_word(word: str) -> None:
    world = _applied_and_not_shown()
    said = {**WORD, word: ""}

    with pytest.raises(InvalidValueError):
        accept_balance("C-1", "INV-1", usd("1"), **said, ports=world.ports)


def test_b2_an_invoice_of_a_plan_that_is_gone_is_told_once_and_quietly() -> (
    None
):
    """Nobody paid it through us: it is no plan that is paid off."""
    world = World(bill("INV-1", "120.00"), bill("INV-2", "10.00"))
    order = standing_order(
        schedule=Schedule.daily(DAY), enrollments=(to_invoice("INV-1"),)
    )
    world.gateway.decline(order.method.token)
    world.sweep(order)
    world.hush()
    world.matters.remove("INV-1")

    results = [
        world.sweep(order, as_of=DAY + timedelta(days=day))[-1]
        for day in (1, 2, 3)
    ]

    assert {each.reason for each in results} == {"PlanGone"}
    assert [each.kind for each in world.heard] == [NoticeKind.GONE]


# -- P3: steps back -----------------------------------------------------------


def _step(
    world: World,
    to: PostingStatus,
    *,
    sure: bool = False,
    by: str = "Ann",
    note: str = "by hand",
) -> tuple[Posting, ...] | None:
    return advance_postings(
        read_postings(ports=world.ports),
        to,
        sure=sure,
        ports=world.ports,
        by=by,
        note=note,
    )


def test_p3_a_ledger_that_takes_a_payment_back_blocks_it_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    world.apply()
    assert world.reserved() == {}

    _step(world, PostingStatus.POSTED)

    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.run(standing_order(), on=FEBRUARY).charged is None


def test_p3_what_was_removed_by_mistake_is_restored() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    _step(world, PostingStatus.REMOVED)
    assert world.reserved() == {}

    _step(world, PostingStatus.PENDING)

    assert world.reserved() == {"INV-1": usd("120.00")}


def test_p3_a_step_back_that_the_balance_shows_is_asked_for_twice() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order(limit=Limit.up_to(usd("50"))))
    world.clock.advance(hours=1)
    world.apply()
    world.matters.put(bill("INV-1", "70.00"))
    whole = standing_order(limit=Limit.up_to(usd("70"), whole_invoices=True))
    hold(Hold.on_client("C-1", by="Ann", reason="x"), ports=world.ports)
    world.run(whole, on=FEBRUARY)  # The balance is read, and nothing paid.

    with pytest.raises(InvalidValueError) as caught:
        _step(world, PostingStatus.POSTED)
    assert caught.value.code == "ShareShown"
    assert world.reserved() == {}

    _step(world, PostingStatus.POSTED, sure=True)
    assert world.reserved() == {"INV-1": usd("50.00")}


@pytest.mark.parametrize(("by", "note"), [("", "why"), ("Ann", "")])
@pytest.mark.parametrize(
    ("begin", "to"),
    [
        (PostingStatus.PENDING, PostingStatus.REMOVED),
        (PostingStatus.REMOVED, PostingStatus.PENDING),
        (PostingStatus.APPLIED, PostingStatus.POSTED),
    ],
)
def test_p3_out_of_open_and_back_needs_who_and_why(
    begin: PostingStatus, to: PostingStatus, by: str, note: str
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    if begin is PostingStatus.APPLIED:
        world.apply()
    elif begin is PostingStatus.REMOVED:
        _step(world, PostingStatus.REMOVED)
    before = world.postings()

    with pytest.raises(InvalidValueError):
        _step(world, to, by=by, note=note)

    assert world.postings() == before


# -- What nobody can read -----------------------------------------------------


_ROW_7 = UnreadableRow(
    number=None, client=None, code="AmountFormat", where="row 7"
)


def test_l5_rows_without_a_client_are_told_once_and_the_others_are_paid() -> (
    None
):
    world = World()
    page = InvoicePage(
        invoices=tuple(bill(f"INV-{n}", "1.00") for n in range(200)),
        unreadable=(_ROW_7,),
    )
    rig(world.matters, open_invoices=lambda _: page)

    first, _ = world.sweep(standing_order(), standing_order(id="ap-2"))

    assert first.charged == usd("200.00")
    [told] = [
        each for each in world.notifier.sent if each.reason == "UnreadableRows"
    ]
    assert told.kind is NoticeKind.BALANCE_UNEXPECTED
    assert "row 7 (AmountFormat)" in told.detail


@pytest.mark.parametrize(
    ("row", "status", "kinds"),
    [
        (
            Unreadable(key="ap-1/2026-01-31", code="FormatNewer"),
            RunStatus.POSTPONED,
            [],
        ),
        (
            Unreadable(key="ap-1/2026-01-31", code="FormatWrong"),
            RunStatus.REVIEW,
            [NoticeKind.NEEDS_REVIEW],
        ),
        (
            Unreadable(key="no key at all", code="FormatWrong"),
            RunStatus.REVIEW,
            [NoticeKind.NEEDS_REVIEW],
        ),
    ],
)
def test_r6_a_run_that_nobody_can_read_is_told_and_holds_up_no_other(
    row: Unreadable, status: RunStatus, kinds: list[NoticeKind]
) -> None:
    world = World(bill("INV-1", "120.00"))
    rig(world.store, unfinished=lambda *_: (row,))
    for _ in range(2):
        [result] = world.recover()
        assert (result.status, result.reason) == (status, row.code)

    assert world.told() == kinds
    assert world.run(standing_order()).status is RunStatus.PAID


def test_r6_rows_that_wait_and_nobody_can_read_are_passed_over() -> None:
    world = World(bill("INV-1", "120.00"))
    row = Unreadable(key="ap-1/2026-01-31", code="FormatWrong")
    rig(world.store, waiting=lambda *_: (row,))

    [result] = world.sweep(standing_order())

    assert result.status is RunStatus.PAID


def test_r6_an_auto_pay_that_the_host_could_not_decode_is_told() -> None:
    world = World(bill("INV-1", "120.00"))
    given = [Unreadable(key="ap-7", code="FormatWrong"), standing_order()]

    first, second = sweep(given, as_of=DAY, ports=world.ports)  # type: ignore[arg-type]

    assert (first.autopay, first.status) == ("ap-7", RunStatus.POSTPONED)
    assert second.status is RunStatus.PAID
    [incident] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.INCIDENT
    ]
    assert "ap-7" in incident.detail


@pytest.mark.parametrize("answer", [None, 7, "ab", [None], ["hold"]])
def test_a_host_that_answers_with_no_holds_is_told_so(answer: object) -> None:
    script = Script(list_holds(), answer)

    with pytest.raises(HostProtocolError, match=ReadHolds.__name__):
        script.go()


def test_n1_a_notice_that_the_store_refuses_is_not_sent() -> None:
    told = notice_for_autopay(NoticeKind.ENDED, "ap-1", payer="p", on=DAY)
    script = Script(announce(told), Conflict(reason=ConflictReason.VERSION))

    script.go()

    assert len(script.requests) == 1


# -- N1: nobody's turn --------------------------------------------------------


def test_n1_a_run_whose_auto_pay_is_gone_is_told_after_a_week() -> None:
    world = World(bill("INV-1", "120.00"))
    world.matters.put(bill("INV-2", "5.00", client="C-2"))
    read = world.matters.open_invoices

    def down(_: object) -> object:
        raise InvalidValueError("no connection", code="Away")

    rig(world.matters, open_invoices=down)
    world.sweep(standing_order())
    rig(world.matters, open_invoices=read)
    other = standing_order(id="ap-2", enrollments=(to_client("C-2"),))
    for day in (1, 7):
        world.sweep(other, as_of=DAY + timedelta(days=day))
    assert NoticeKind.FAILED not in world.told()

    for day in (8, 9):
        world.sweep(other, as_of=DAY + timedelta(days=day))

    [told] = [
        each for each in world.notifier.sent if each.kind is NoticeKind.FAILED
    ]
    assert (told.autopay, told.reason) == ("ap-1", "NobodysTurn")


def test_n1_more_runs_that_wait_than_a_page_are_counted() -> None:
    clients = [f"C-{each:03}" for each in range(501)]
    world = World(
        *[bill(f"INV-{each}", "1.00", client=each) for each in clients]
    )

    def down(_: object) -> object:
        raise InvalidValueError("no connection", code="Away")

    rig(world.matters, open_invoices=down)

    world.sweep(
        *[
            standing_order(id=f"ap-{each}", enrollments=(to_client(each),))
            for each in clients
        ]
    )

    [told] = world.notifier.sent
    assert "501" in told.detail


# -- N4: announcements --------------------------------------------------------


def test_n4_a_debit_that_is_too_late_for_its_announcement_is_not_taken() -> (
    None
):
    """Up to three days after it, and no later."""
    for late, is_taken in ((3, True), (4, False)):
        world = World(bill("INV-1", "120.00"))
        order = standing_order(
            schedule=Schedule.monthly(FEBRUARY), advance_notice=AdvanceNotice()
        )
        world.sweep(order, as_of=FEBRUARY - timedelta(days=11))
        assert world.record.state is RunState.ANNOUNCED

        world.sweep(order, as_of=FEBRUARY + timedelta(days=late))

        assert bool(world.taken) is is_taken


CONSUMER = attrs.evolve(BANK, consumer=True)
CAREFUL = Policy(consumer_notice_needed=True)


def test_n4_a_consumer_is_not_debited_without_being_told_first() -> None:
    world = World(bill("INV-1", "120.00"))
    ports = world.ports_with(policy=CAREFUL)
    order = standing_order(method=CONSUMER)

    result = run(order, on=DAY, ports=ports)

    assert (result.status, result.reason) == (
        RunStatus.WAITING,
        "NoticeNeeded",
    )
    assert world.taken == []
    found = look(order, on=DAY, ports=ports)
    assert [each for each in found.blocks if "consumer" in each]
    assert look(order, on=DAY, ports=world.ports).blocks == ()
    # It is late, and so the firm is told (N1).
    assert world.told() == [NoticeKind.INCIDENT]
    ranged = AdvanceNotice(least=usd("1"), most=usd("200"))
    told = attrs.evolve(order, advance_notice=ranged)
    assert run(told, on=DAY, ports=ports).status is RunStatus.PAID


@pytest.mark.parametrize(
    ("method", "policy"),
    [
        (CONSUMER, Policy()),
        (BANK, CAREFUL),
        (attrs.evolve(CARD, consumer=True), CAREFUL),
    ],
)
def test_n4_nobody_else_has_to_be_told_first(
    method: PaymentMethodRef, policy: Policy
) -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order(method=method)

    result = run(order, on=DAY, ports=world.ports_with(policy=policy))

    assert result.status is RunStatus.PAID


def test_n4_announcements_take_each_others_amounts_into_account() -> None:
    """Weekly, ten days ahead: what the first one takes is not told twice."""
    world = World(bill("INV-1", "120.00"))
    first_on = DAY + timedelta(days=11)
    order = standing_order(
        schedule=Schedule.daily(first_on),
        advance_notice=AdvanceNotice(),
    )
    world.sweep(order, as_of=DAY)

    world.sweep(order, as_of=DAY + timedelta(days=1))

    assert [each.announced for each in world.records] == [
        {"INV-1": usd("120.00")}
    ]


def test_n4_a_date_that_was_announced_and_is_none_any_more_is_dropped() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    order = standing_order(
        schedule=Schedule.monthly(FEBRUARY), advance_notice=AdvanceNotice()
    )
    world.sweep(order, as_of=FEBRUARY - timedelta(days=11))
    moved = standing_order(
        schedule=Schedule.monthly(date(2026, 3, 15)),
        advance_notice=AdvanceNotice(),
    )

    world.sweep(moved, as_of=FEBRUARY + timedelta(days=1))

    [record] = [
        each for each in world.records if each.key.nominal_on == FEBRUARY
    ]
    assert (record.state, record.reason) == (RunState.CANCELLED, "Skipped")
    assert world.taken == []
