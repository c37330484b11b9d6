"""
Late, lost and silent: rule N1.

Every status of a run and every reason that stands in one is walked over: what
is told, to whom, and what of it is told again when the day is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.associations import InvoicePage
from autopay_core.autopay import AdvanceNotice, AutoPay
from autopay_core.calls import hold, rerun, sweep
from autopay_core.charges import Captured, DeclineClass
from autopay_core.commits import Change, Committed, Conflict, ConflictReason
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunResult, RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Pause, Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

RETRY = RetryPolicy(retries_most=2, every_days=3)
TOMORROW = DAY + timedelta(days=1)


class Heard(Enum):
    """What people hear of how a run ended."""

    TOLD = "told"
    """Somebody is told of this very run."""
    INCIDENT = "incident"
    """The firm is told, once for the cause and the day."""
    SILENT = "silent"
    """Nobody is told."""


Story = Callable[[World], RunResult]


def _world(**changes: Any) -> World:
    return World(bill("INV-1", "120.00"), **changes)


def _swept(
    world: World, autopay: AutoPay, as_of: date = DAY, key: Any = KEY
) -> RunResult:
    """Sweep, and return what became of one run, told from now on."""
    world.hush()
    results = world.sweep(autopay, as_of=as_of)
    return next(each for each in results if each.key in {key, None})


def _down(*_: object) -> NoReturn:
    raise PortUnavailableError("no connection")


# -- Paid, under way, in doubt ------------------------------------------------


def _paid(world: World) -> RunResult:
    return _swept(world, standing_order())


def _paid_in_part(world: World) -> RunResult:
    return _swept(world, standing_order(limit=Limit.up_to(usd("1"))))


def _pending(world: World) -> RunResult:
    world.gateway.script(Fault.PEND)
    return _swept(world, standing_order(method=BANK))


def _needs_payer(world: World) -> RunResult:
    world.gateway.ask_payer(CARD.token)
    return _swept(world, standing_order())


def _payments_collected(world: World) -> RunResult:
    world.run(standing_order(payments=1))
    order = standing_order(payments=1)
    world.sweep(order, as_of=DAY + timedelta(days=1))  # The end is told.
    key = attrs.evolve(KEY, nominal_on=FEBRUARY)
    return _swept(world, order, FEBRUARY, key)


def _in_doubt(world: World) -> RunResult:
    world.gateway.script(Fault.LOSE_REQUEST)
    return _swept(world, standing_order())


def _unresolved(world: World) -> RunResult:
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    _in_doubt(world)
    world.clock.advance(hours=19)
    return world.recover()[0]


def _mismatch(world: World) -> RunResult:
    world.gateway.script(Fault.WRONG_AMOUNT)
    return _swept(world, standing_order())


def _reference_reused(world: World) -> RunResult:
    world.matters.put(bill("INV-2", "5.00", client="C-2"))
    other = standing_order(id="ap-0", enrollments=(to_client("C-2"),))
    world.sweep(other)
    [first] = world.gateway.captured
    rig(
        world.gateway,
        charge=lambda request: Captured(
            key=request.key, amount=request.amount, reference=first.reference
        ),
    )
    return _swept(world, standing_order())


def _blocked(world: World) -> RunResult:
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    _in_doubt(world)
    world.clock.reach(FEBRUARY)
    world.recover()
    world.hush()
    return world.sweep(standing_order(), as_of=FEBRUARY)[-1]


# -- Lost ---------------------------------------------------------------------


def _declined(world: World) -> RunResult:
    world.gateway.decline(CARD.token)
    return _swept(world, standing_order())


def _declined_with_a_retry(world: World) -> RunResult:
    world.gateway.decline(CARD.token)
    return _swept(world, standing_order(retry=RETRY))


def _overtaken(world: World) -> RunResult:
    world.gateway.decline(CARD.token, decline_class=DeclineClass.FIX_FIRST)
    world.sweep(standing_order(retry=RETRY))
    world.matters.remove("INV-1")
    return _swept(world, standing_order(retry=RETRY), FEBRUARY)


def _enrolment_ended(world: World) -> RunResult:
    once = standing_order(schedule=Schedule.once(DAY))
    world.gateway.decline(CARD.token, decline_class=DeclineClass.FIX_FIRST)
    world.sweep(attrs.evolve(once, retry=RETRY))
    world.hush()
    for month in range(1, 13):
        day = date(2026 + month // 12, month % 12 + 1, 28)
        world.sweep(standing_order(id="ap-0"), as_of=day)
    world.clock.reach(date(2027, 2, 1))
    return _swept(world, attrs.evolve(once, retry=RETRY), date(2027, 2, 1))


def _too_large(world: World) -> RunResult:
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=100
    )
    return _swept(world, standing_order())


def _other_currency(world: World) -> RunResult:
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, currencies=frozenset({"CAD"})
    )
    return _swept(world, standing_order())


def _amount_changed(world: World) -> RunResult:
    order = standing_order(method=BANK, retry=RETRY)
    world.gateway.decline(BANK.token, code="R01")
    world.sweep(order)
    world.matters.put(bill("INV-1", "100.00"))
    return _swept(world, order, DAY + timedelta(days=3))


def _not_announced(world: World) -> RunResult:
    return _swept(world, standing_order(advance_notice=AdvanceNotice()))


def _missed(world: World) -> RunResult:
    order = standing_order(missed=MissedPolicy.LATEST)
    return _swept(world, order, FEBRUARY)


def _held_by_a_rule(world: World) -> RunResult:
    world.matters.put(bill("INV-2", "5.00", client="C-2"))
    world.gateway.decline(CARD.token, decline_class=DeclineClass.NEVER)
    world.sweep(standing_order(id="ap-0", enrollments=(to_client("C-2"),)))
    return _swept(world, standing_order())


# -- Late ---------------------------------------------------------------------


def _matters_away(world: World) -> RunResult:
    rig(world.matters, open_invoices=_down)
    return _swept(world, standing_order())


def _gateway_away(world: World) -> RunResult:
    world.gateway.script(*[Fault.UNAVAILABLE] * 9)
    return _swept(world, standing_order())


def _prepare_away(world: World) -> RunResult:
    rig(world.gateway, prepare=_down)
    return _swept(world, standing_order())


def _incomplete(world: World) -> RunResult:
    page = InvoicePage(invoices=(), total=7)
    rig(world.matters, open_invoices=lambda _: page)
    return _swept(world, standing_order())


def _nonsense(world: World) -> RunResult:
    rig(world.matters, open_invoices=lambda _: 7)
    return _swept(world, standing_order())


def _busy(world: World) -> RunResult:
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        if change.expect_open is not None:
            return Conflict(reason=ConflictReason.OPEN)
        return commit(change)

    rig(world.store, commit=overtaken)
    return _swept(world, standing_order())


def _above_a_ceiling(world: World) -> RunResult:
    commit = world.store.commit

    def refused(change: Change) -> Committed | Conflict:
        if change.expect_open is not None:
            return Conflict(reason=ConflictReason.CEILING)
        return commit(change)

    rig(world.store, commit=refused)
    return _swept(world, standing_order())


def _held_by_a_person(world: World) -> RunResult:
    hold(Hold.on_store(by="Ann", reason="audit"), ports=world.ports)
    return _swept(world, standing_order())


def _clock_suspect(world: World) -> RunResult:
    world.clock.advance(hours=-1)
    return _swept(world, standing_order())


def _unexpected(world: World) -> RunResult:
    broken = standing_order()
    object.__setattr__(broken, "enrollments", None)
    return _swept(world, broken)


# -- Silent -------------------------------------------------------------------


def _nothing_due(world: World) -> RunResult:
    world.matters.put(bill("INV-1", "0.00"))
    return _swept(world, standing_order())


def _no_associations(world: World) -> RunResult:
    return _swept(world, standing_order(enrollments=()))


def _limit_reached(world: World) -> RunResult:
    order = standing_order(
        limit=Limit.all("USD", per_month=usd("10")),
        schedule=Schedule.daily(DAY - timedelta(days=1)),
    )
    world.run(order, on=DAY - timedelta(days=1))
    return _swept(world, order)


def _below_minimum(world: World) -> RunResult:
    limit = Limit.all("USD", minimum=usd("200"))
    return _swept(world, standing_order(limit=limit))


def _cap_below_oldest(world: World) -> RunResult:
    limit = Limit.up_to(usd("1"), whole_invoices=True)
    return _swept(world, standing_order(limit=limit))


def _withdrawn(world: World) -> RunResult:
    _in_doubt(world)
    world.clock.advance(minutes=30)
    return world.recover()[0]


def _rerun(world: World) -> RunResult:
    _missed(world)
    world.hush()
    return rerun(KEY, by="Ann", reason="asked", ports=world.ports)


def _off(world: World) -> RunResult:
    return _swept(world, standing_order(off_from=DAY))


def _paused(world: World) -> RunResult:
    pause = Pause(from_on=DAY, to_on=TOMORROW)
    return _swept(world, standing_order(pauses=(pause,)), TOMORROW)


def _skipped(world: World) -> RunResult:
    world.gateway.decline(CARD.token)
    world.sweep(standing_order(retry=RETRY))
    order = standing_order(retry=RETRY, skips=frozenset({DAY}))
    return _swept(world, order, DAY + timedelta(days=3))


def _not_before(world: World) -> RunResult:
    """Known too late for its retry's own date to say it."""
    until = datetime(2026, 2, 20, tzinfo=UTC)
    world.gateway.decline(
        CARD.token, decline_class=DeclineClass.NEVER, not_before=until
    )
    return _declined_with_a_retry(world)


def _network_window(world: World) -> RunResult:
    card = attrs.evolve(CARD, network="mastercard")
    world.gateway.decline(CARD.token)
    orders = []
    for each in range(10):
        world.matters.put(bill(f"INV-1{each}", "9.00", client=f"D-{each}"))
        orders.append(
            standing_order(
                id=f"ap-0{each}",
                method=card,
                enrollments=(to_client(f"D-{each}"),),
            )
        )
    world.sweep(*orders)
    return _swept(world, standing_order(method=card))


# -- Told otherwise -----------------------------------------------------------


def _plan_paid_off(world: World) -> RunResult:
    world.run(standing_order(id="ap-2"))
    world.apply()
    world.matters.put(bill("INV-1", "0.00"))
    world.hush()
    return _swept(world, standing_order(enrollments=(to_invoice("INV-1"),)))


def _announced(world: World) -> RunResult:
    order = standing_order(
        schedule=Schedule.monthly(FEBRUARY), advance_notice=AdvanceNotice()
    )
    day = FEBRUARY - timedelta(days=11)
    return _swept(world, order, day, attrs.evolve(KEY, nominal_on=FEBRUARY))


FAILED, REVIEWED = NoticeKind.FAILED, NoticeKind.NEEDS_REVIEW
INCIDENT = NoticeKind.INCIDENT
TOLD, SILENT = Heard.TOLD, Heard.SILENT

TABLE: list[tuple[Story, str, str, Heard, list[NoticeKind]]] = [
    (_paid, "paid", "", TOLD, [NoticeKind.PAID]),
    (_paid_in_part, "paid", "", TOLD, [NoticeKind.PAID_IN_PART]),
    (_pending, "pending", "Pending", SILENT, []),
    (_needs_payer, "pending", "NeedsPayer", TOLD, [NoticeKind.NEEDS_PAYER]),
    (_payments_collected, "nothing_due", "PaymentsCollected", SILENT, []),
    (_in_doubt, "open", "Indeterminate", SILENT, []),
    (_unresolved, "review", "Unresolved", TOLD, [REVIEWED, FAILED]),
    (_mismatch, "review", "GatewayMismatch", TOLD, [REVIEWED, FAILED]),
    (_reference_reused, "review", "ReferenceReused", TOLD, [REVIEWED, FAILED]),
    (_blocked, "blocked", "InDoubt", SILENT, []),
    (_declined, "failed", "Declined", TOLD, [FAILED]),
    (_declined_with_a_retry, "waiting", "Declined", TOLD, [FAILED]),
    (_overtaken, "failed", "Overtaken", TOLD, [FAILED]),
    (_enrolment_ended, "failed", "EnrollmentEnded", TOLD, [FAILED]),
    (_too_large, "failed", "ChargeTooLarge", TOLD, [FAILED]),
    (_other_currency, "failed", "CurrencyUnknown", TOLD, [FAILED]),
    (_amount_changed, "failed", "RetryAmountChanged", TOLD, [FAILED]),
    (_not_announced, "cancelled", "NoticeMissing", TOLD, [FAILED]),
    (_missed, "missed", "Missed", TOLD, [FAILED, NoticeKind.PAID]),
    (_held_by_a_rule, "waiting", "Held", TOLD, [FAILED]),
    (_matters_away, "waiting", "PortUnavailable", Heard.INCIDENT, [INCIDENT]),
    (_gateway_away, "waiting", "PortUnavailable", Heard.INCIDENT, [INCIDENT]),
    (_prepare_away, "waiting", "PortUnavailable", Heard.INCIDENT, [INCIDENT]),
    (_incomplete, "waiting", "IncompleteRead", Heard.INCIDENT, [INCIDENT]),
    (_nonsense, "waiting", "HostProtocol", Heard.INCIDENT, [INCIDENT]),
    (_busy, "waiting", "Busy", Heard.INCIDENT, [INCIDENT]),
    (_above_a_ceiling, "waiting", "Ceiling", Heard.INCIDENT, [INCIDENT]),
    (_held_by_a_person, "waiting", "Held", Heard.INCIDENT, [INCIDENT]),
    (_clock_suspect, "postponed", "ClockSuspect", Heard.INCIDENT, [INCIDENT]),
    (_unexpected, "postponed", "Unexpected", Heard.INCIDENT, [INCIDENT]),
    (_nothing_due, "nothing_due", "NothingDue", SILENT, []),
    (_no_associations, "nothing_due", "NoAssociations", SILENT, []),
    (_limit_reached, "nothing_due", "LimitReached", SILENT, []),
    (_below_minimum, "nothing_due", "BelowMinimum", SILENT, []),
    (_cap_below_oldest, "nothing_due", "CapBelowOldest", SILENT, []),
    (_withdrawn, "waiting", "Withdrawn", SILENT, []),
    (_rerun, "waiting", "Rerun", SILENT, []),
    (_off, "cancelled", "Off", SILENT, []),
    (_paused, "cancelled", "Paused", SILENT, []),
    (_skipped, "cancelled", "Skipped", SILENT, []),
    (_network_window, "waiting", "NetworkWindow", SILENT, []),
    (
        _plan_paid_off,
        "nothing_due",
        "PlanPaidOff",
        TOLD,
        [NoticeKind.PLAN_PAID_OFF],
    ),
    (_announced, "announced", "", TOLD, [NoticeKind.UPCOMING]),
]
"""Of every way in which a run ends or waits: what people hear of it."""

OF_THE_ORDER = {
    NoticeKind.ENDED,
    NoticeKind.ENDING_SOON,
    NoticeKind.PAUSED,
    NoticeKind.RESUMED,
}
"""What is told of a standing order, whatever becomes of its runs (N2)."""

ELSEWHERE = {
    # A person's word (test_flow_attestation).
    "PartialCapture",
    # Waiting for a day is on record only for what was asked before it: the
    # gate's own table says so, and none of these is told (test_gate).
    "BeforeItsDate",
    "ClosedDay",
    "NotBefore",
    # A book says what its payer still has and allows (test_book).
    "MethodGone",
    "NotAuthorized",
    # A policy of the host (test_flow_words).
    "NoticeNeeded",
    # Needs what is expected of an invoice (test_balances, test_flow_words).
    "PlanGone",
}
"""Reasons that are walked over in another test."""


def _of(story: Story) -> World:
    return _world(two_step=story is _prepare_away)


@pytest.mark.parametrize(
    ("story", "status", "reason", "heard", "kinds"),
    TABLE,
    ids=[f"{row[0].__name__[1:]}" for row in TABLE],
)
def test_n1_of_every_status_and_reason_it_is_said_who_hears_of_it(
    story: Story,
    status: str,
    reason: str,
    heard: Heard,
    kinds: list[NoticeKind],
) -> None:
    world = _of(story)

    result = story(world)

    assert (result.status, result.reason) == (RunStatus(status), reason)
    told = [each.kind for each in world.heard if each.kind not in OF_THE_ORDER]
    assert told == kinds
    assert heard is (
        Heard.INCIDENT
        if INCIDENT in told
        else Heard.TOLD
        if told
        else Heard.SILENT
    )
    for notice in world.heard:
        is_of_a_run = bool(notice.autopay)
        assert is_of_a_run is (notice.kind is not INCIDENT)


def test_n1_the_table_walks_over_every_status() -> None:
    assert {RunStatus(row[1]) for row in TABLE} == set(RunStatus)


def test_n1_the_table_walks_over_every_reason_of_the_reference() -> None:
    page = Path(__file__).parent.parent / "docs" / "reference" / "codes.md"
    rows = page.read_text(encoding="utf-8").partition("What else stands in")[2]
    states = "|".join(each.name for each in RunStatus)
    listed = {
        reason
        for names, _ in re.findall(
            rf"^\| (`[^|]+`) \| [^|]*`({states})`", rows, re.MULTILINE
        )
        for reason in re.findall(r"`(\w+)`", names)
    }

    assert len(listed) > 25
    assert listed - {row[2] for row in TABLE} == ELSEWHERE


# -- The end of the day -------------------------------------------------------

LATE = [
    row[0]
    for row in TABLE
    if row[3] is Heard.INCIDENT
    # Not on record: what has no turn is told each day as long as it has none.
    and row[1] == RunStatus.WAITING.value
]


@pytest.mark.parametrize(
    "story", LATE, ids=[each.__name__[1:] for each in LATE]
)
def test_n1_what_is_late_at_the_end_of_the_day_is_told_as_a_failure_once(
    story: Story,
) -> None:
    world = _of(story)
    story(world)
    world.hush()
    world.sweep(standing_order())
    assert world.heard == []

    for hours in (24, 1, 1, 24):
        world.clock.advance(hours=hours)
        world.sweep(standing_order(), as_of=world.clock.at.date())

    [failure] = [each for each in world.heard if each.kind is FAILED]
    assert failure.title == "Error-Failed AutoPay"
    assert failure.autopay == "ap-1"
    assert str(world.record.late_since) == str(DAY)
    incidents = [each.on for each in world.heard if each.kind is INCIDENT]
    assert incidents == [TOMORROW, DAY + timedelta(days=2)]


def test_n1_an_outage_with_many_due_is_one_notice_and_one_at_its_end() -> None:
    """An hour without matter data, 300 due; the next sweep pays them all."""
    clients = [f"C-{each:03}" for each in range(300)]
    world = World(
        *[bill(f"INV-{each}", "10.00", client=each) for each in clients]
    )
    orders = [
        standing_order(id=f"ap-{each}", enrollments=(to_client(each),))
        for each in clients
    ]
    read = world.matters.open_invoices
    rig(world.matters, open_invoices=_down)
    late = world.sweep(*orders)
    assert {each.status for each in late} == {RunStatus.WAITING}
    [notice] = world.heard
    assert notice.kind is INCIDENT
    assert "300" in notice.detail
    assert notice.detail.count("ap-C-") == 10
    rig(world.matters, open_invoices=read)
    world.clock.advance(hours=1)
    world.hush()

    paid = world.sweep(*orders)

    assert [each.charged for each in paid] == [usd("10.00")] * 300
    heard = [each.kind for each in world.heard]
    assert heard.count(INCIDENT) == 1
    assert heard.count(NoticeKind.PAID) == 300
    assert FAILED not in heard


def test_n1_a_hold_on_the_store_is_one_notice_however_many_are_due() -> None:
    clients = [f"C-{each}" for each in range(30)]
    world = World(
        *[bill(f"INV-{each}", "10.00", client=each) for each in clients]
    )
    hold(Hold.on_store(by="Ann", reason="audit"), ports=world.ports)

    world.sweep(
        *[
            standing_order(id=f"ap-{each}", enrollments=(to_client(each),))
            for each in clients
        ]
    )

    [notice] = world.heard
    assert (notice.kind, notice.reason) == (INCIDENT, "Held")
    assert {each.state for each in world.records} == {RunState.WAITING}


def test_n1_a_sweep_that_dies_loses_no_notice() -> None:
    """The next one finds the same on record; a notifier may be down, too."""
    world = _world()
    rig(world.matters, open_invoices=_down)
    results = sweep([standing_order()], as_of=DAY, ports=world.ports)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert world.told() == []
    world.notifier.is_down = True
    world.sweep(standing_order())
    assert world.told() == []
    world.notifier.is_down = False

    world.deliver()

    assert world.told() == [INCIDENT]


def test_n1_a_gateways_incident_does_not_end_with_matter_data() -> None:
    world = _world()
    world.gateway.script(*[Fault.UNAVAILABLE] * 3)
    for _ in range(3):
        world.sweep(standing_order())
        world.clock.advance(minutes=1)
    assert world.told() == [INCIDENT]

    world.sweep(standing_order())

    assert world.record.state is RunState.PAID
    over = [each for each in world.heard if each.kind is INCIDENT][1:]
    assert len(over) == 1
    assert "over" in over[0].detail
