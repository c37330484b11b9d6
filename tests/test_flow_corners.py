"""Where two workers meet, and where a run came from elsewhere: R1, R6, R12."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.autopay import AdvanceNotice
from autopay_core.calls import hold, lift, preview, restored, run_now
from autopay_core.charges import DeclineClass, idempotency_key
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
)
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    KEY,
    SECRET,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

WORD: dict[str, Any] = {"by": "Ann", "reason": "asked"}
RETRY = RetryPolicy(retries_most=2, every_days=3)


# -- Two workers --------------------------------------------------------------


def test_r6_who_is_overtaken_for_ever_by_a_worker_that_paid_is_not_late() -> (
    None
):
    """Each plan of the slow one is refused; the fast one took the money."""
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        if change.expect_open is None:
            return commit(change)
        if calls.count("intent") == 2:
            rig(world.store, commit=commit)
            world.run(standing_order())
        calls.append("intent")
        return Conflict(reason=ConflictReason.OPEN)

    calls: list[str] = []
    rig(world.store, commit=overtaken)

    result = world.run(standing_order())

    assert len(calls) == 3
    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.told() == [NoticeKind.PAID]


def test_r1_a_step_that_ends_a_run_is_decided_again_if_it_is_refused() -> None:
    """Off as it was read, by a worker that another one was faster than."""
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        world.run(standing_order())
        return commit(change)

    rig(world.store, commit=overtaken)

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.PAID


def test_r6_a_run_that_another_worker_has_put_off_is_its() -> None:
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit

    def down(_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        world.run(standing_order())
        return commit(change)

    rig(world.matters, open_invoices=down)
    rig(world.store, commit=overtaken)

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "PortUnavailable"
    assert world.record.version == 1


def test_n3_a_window_that_opened_meanwhile_is_no_reason_to_wait() -> None:
    """Another order's decline is proven to have been none, for example."""
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit

    def full_once(change: Change) -> Committed | Conflict:
        if change.attempts is not None:
            rig(world.store, commit=commit)
            return Conflict(reason=ConflictReason.ATTEMPTS)
        return commit(change)

    rig(world.store, commit=full_once)
    card = attrs.evolve(CARD, network="mastercard")

    assert world.run(standing_order(method=card)).charged == usd("120.00")


def test_r1_what_a_refused_commit_says_is_added_to_what_is_announced() -> None:
    """Announced for one date, reserved by another order: both count (N4)."""
    world = World(bill("INV-1", "120.00"))
    order = standing_order(
        schedule=Schedule.daily(DAY + timedelta(days=11)),
        advance_notice=AdvanceNotice(),
    )
    world.sweep(order, as_of=DAY)
    assert world.record.state is RunState.ANNOUNCED
    other = standing_order(id="ap-2", limit=Limit.up_to(usd("30")))
    world.run(other)

    foreseen = preview(order, on=DAY + timedelta(days=12), ports=world.ports)

    assert foreseen.total == usd("0")


def test_r6_a_store_that_goes_away_at_the_end_of_a_sweep_loses_nothing() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    waiting = world.store.waiting

    def down(*_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.store, waiting=down)
    rig(world.matters, open_invoices=down)
    [late] = world.sweep(standing_order())
    assert late.status is RunStatus.WAITING
    assert world.told() == []
    rig(world.store, waiting=waiting)

    world.sweep(standing_order())

    assert world.told() == [NoticeKind.INCIDENT]


def test_r11_a_doubt_of_today_is_looked_at_once_while_the_clock_is_wrong() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    order = standing_order(
        schedule=Schedule.daily(DAY), missed=MissedPolicy.ALL
    )
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(order)
    world.clock.advance(hours=2)
    world.store.now()
    world.clock.advance(hours=-1)

    results = world.sweep(order)

    assert {each.status for each in results} == {RunStatus.OPEN}
    assert world.record.attempts[0].tries == 1


# -- A run of elsewhere -------------------------------------------------------


def test_r14_a_run_on_demand_that_was_declined_is_tried_again_as_itself() -> (
    None
):
    world = World(bill("INV-1", "0.00"))
    order = standing_order(retry=RETRY)
    world.sweep(order)
    world.matters.put(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    day = DAY + timedelta(days=5)
    world.clock.reach(day)
    first = run_now(order, as_of=day, number=1, **WORD, ports=world.ports)
    assert first.status is RunStatus.WAITING
    world.gateway.accept(CARD.token)

    [paid] = world.sweep(order, as_of=day + timedelta(days=3))

    assert paid.key == first.key
    assert paid.charged == usd("120.00")


def test_s6_a_run_whose_date_is_no_date_any_more_goes_on_by_its_own() -> None:
    """The schedule was changed while it waited for a hold."""
    world = World(bill("INV-1", "120.00"))
    made = hold(Hold.on_autopay("ap-1", **WORD), ports=world.ports)
    world.sweep(standing_order())
    lift(made, **WORD, ports=world.ports)
    changed = standing_order(schedule=Schedule.weekly(date(2026, 1, 29)))

    [paid] = world.sweep(changed, as_of=DAY + timedelta(days=2))

    assert paid.key == KEY
    assert paid.charged == usd("120.00")


def test_r4_what_was_pending_once_is_never_proven_absent() -> None:
    """In review for a debit that vanished, whatever is declared."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    [key] = world.gateway._executed
    world.gateway.forget(key)
    for _ in range(4):
        world.clock.advance(days=2)
        world.sweep(standing_order(method=BANK), as_of=DAY)

    assert world.record.state is RunState.REVIEW
    assert world.reserved() == {"INV-1": usd("120.00")}


# -- R12: after a restore -----------------------------------------------------


def test_r12_a_date_well_before_the_backup_is_not_asked_about() -> None:
    world = World(bill("INV-1", "120.00"))
    world.clock.advance(days=20)
    restored(since=world.clock.at, by="Ann", ports=world.ports)
    asked = list[str]()
    lookup = world.gateway.lookup

    def noted(key: str) -> Any:
        asked.append(key)
        return lookup(key)

    rig(world.gateway, lookup=noted)

    world.run(standing_order())

    assert asked == []


def test_r12_what_was_declined_before_uses_its_number_up() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=DeclineClass.LATER)
    world.run(standing_order())
    world.gateway.accept(CARD.token)
    backup = World(bill("INV-1", "120.00"))
    backup.store._id = world.store._id
    backup.gateway = world.gateway
    restored(since=backup.clock.at, by="Ann", ports=backup.ports)

    result = backup.run(standing_order())

    assert result.charged == usd("120.00")
    assert result.record is not None
    assert [each.number for each in result.record.attempts] == [2]


@pytest.mark.parametrize("store", ["", "store-1"])
def test_r12_the_keys_of_the_formula_before_are_looked_up_as_well(
    store: str,
) -> None:
    """Of an edition whose stores had no id; nothing is sent for it again."""
    world = World(bill("INV-1", "120.00"))
    world.store._id = ""
    before = world.run(standing_order())
    assert before.record is not None
    assert before.record.attempts[0].key == idempotency_key(SECRET, KEY, 1)
    after = World(bill("INV-1", "120.00"))
    after.store._id = store
    after.gateway = world.gateway
    restored(since=after.clock.at, by="Ann", ports=after.ports)

    result = after.run(standing_order())

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert after.record.attempts[0].key == before.record.attempts[0].key


def test_r12_what_is_found_is_planned_again_if_the_world_moved() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    backup = World(bill("INV-1", "120.00"), bill("INV-2", "9.00"))
    backup.matters.remove("INV-2")
    backup.store._id = world.store._id
    backup.gateway = world.gateway
    restored(since=backup.clock.at, by="Ann", ports=backup.ports)
    read = backup.matters.open_invoices

    def held_meanwhile(query: InvoiceQuery) -> InvoicePage:
        page = read(query)
        rig(backup.matters, open_invoices=read)
        hold(Hold.on_client("C-9", **WORD), ports=backup.ports)
        return page

    rig(backup.matters, open_invoices=held_meanwhile)

    result = backup.run(standing_order())

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_r12_another_order_is_not_held_up_by_a_restore() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "9.00", client="C-2"))
    restored(since=world.clock.at, by="Ann", ports=world.ports)

    results = world.sweep(
        standing_order(),
        standing_order(id="ap-2", enrollments=(to_client("C-2"),)),
        as_of=DAY,
    )

    assert [each.status for each in results] == [RunStatus.PAID] * 2
    assert FEBRUARY > DAY


# -- What is left out, and what is seen once ----------------------------------


def test_n1_what_waits_for_a_day_of_its_own_is_nobodys_turn_a_week_after() -> (
    None
):
    """A retry whose auto-pay is gone by the day that was told for it."""
    world = World(bill("INV-1", "120.00"), bill("INV-2", "5.00", client="C-2"))
    world.gateway.decline(CARD.token)
    world.sweep(standing_order(retry=RETRY))
    assert world.record.next_try_on == DAY + timedelta(days=3)
    other = standing_order(
        id="ap-2",
        enrollments=(to_client("C-2"),),
        schedule=Schedule.monthly(date(2026, 2, 5)),
    )
    reasons: list[list[str]] = []
    for day in (9, 10, 11):
        world.hush()
        world.sweep(other, as_of=DAY + timedelta(days=day))
        reasons.append([each.reason for each in world.heard])

    assert [each.count("NobodysTurn") for each in reasons] == [0, 0, 1]


def test_n4_only_what_is_announced_for_other_dates_counts_beside() -> None:
    """A run that waits reserves nothing, and is not announced."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    order = standing_order(retry=RETRY)
    world.sweep(order)
    assert world.record.state is RunState.WAITING

    foreseen = preview(order, on=FEBRUARY, ports=world.ports)

    assert foreseen.total == usd("120.00")


def test_r12_a_store_without_an_id_asks_under_the_formula_of_before() -> None:
    world = World(bill("INV-1", "120.00"))
    world.store._id = ""
    restored(since=world.clock.at, by="Ann", ports=world.ports)
    asked = list[str]()
    lookup = world.gateway.lookup

    def noted(key: str) -> Any:
        asked.append(key)
        return lookup(key)

    rig(world.gateway, lookup=noted)

    world.run(standing_order())

    assert asked == [
        idempotency_key(SECRET, KEY, number) for number in range(1, 6)
    ]


def test_r11_one_date_is_looked_at_once_while_the_clock_is_wrong() -> None:
    """What waits is answered for already; it is not planned besides."""
    world = World(bill("INV-1", "120.00"))
    hold(Hold.on_store(**WORD), ports=world.ports)
    world.sweep(standing_order())
    world.clock.advance(hours=2)
    world.store.now()
    world.clock.advance(hours=-1)

    results = world.sweep(standing_order())

    assert [each.status for each in results] == [RunStatus.POSTPONED]
