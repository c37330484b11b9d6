"""What is told is what is true: dates that move, pauses, plans (N4, N5)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st

from autopay_core.autopay import AdvanceNotice, AutoPayState, state_on
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState
from autopay_core.schedules import Pause, Schedule
from worlds import (
    CARD,
    DAY,
    World,
    bill,
    enrolled,
    rig,
    standing_order,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay
    from autopay_core.notices import Notice

ONE = timedelta(days=1)


def days(world: World, autopay: AutoPay, first: date, last: date) -> None:
    """Sweep on each day, from the first to the last."""
    on = first
    while on <= last:
        world.sweep(autopay, as_of=on)
        on += ONE


def told_of(world: World, kind: NoticeKind) -> list[Notice]:
    return [each for each in world.notifier.sent if each.kind is kind]


# -- N4: an announced date that moves -----------------------------------------


def moved(to: date) -> tuple[World, AutoPay]:
    """Announce the last of January, then move it."""
    world = World(bill("INV-1", "100.00"))
    autopay = standing_order(advance_notice=AdvanceNotice(days=10))
    days(world, autopay, DAY - timedelta(days=12), DAY - timedelta(days=6))
    [upcoming] = told_of(world, NoticeKind.UPCOMING)
    assert upcoming.on == DAY
    return world, attrs.evolve(autopay, moves={DAY: to})


def test_n4_a_date_that_is_moved_a_little_is_collected_as_announced() -> None:
    world, autopay = moved(DAY + 2 * ONE)

    days(world, autopay, DAY - 5 * ONE, DAY + 5 * ONE)

    assert world.taken == [usd("100.00")]
    assert world.record.charge_on == DAY + 2 * ONE
    assert len(told_of(world, NoticeKind.UPCOMING)) == 1


def test_n4_a_date_that_is_moved_far_is_announced_anew() -> None:
    world, autopay = moved(DAY + 18 * ONE)
    world.matters.put(bill("INV-2", "20.00"))

    days(world, autopay, DAY - 5 * ONE, DAY + 18 * ONE)

    announced = told_of(world, NoticeKind.UPCOMING)
    assert [(each.on, each.amount) for each in announced[:2]] == [
        (DAY, usd("100.00")),
        (DAY + 18 * ONE, usd("120.00")),
    ]
    assert world.taken == [usd("120.00")]


def test_n4_what_was_announced_for_later_is_not_taken_earlier() -> None:
    world = World(bill("INV-1", "100.00"))
    autopay = standing_order(advance_notice=AdvanceNotice(days=10))
    last = date(2026, 2, 28)
    days(world, autopay, last - 12 * ONE, last - 6 * ONE)
    autopay = attrs.evolve(autopay, moves={last: last - 3 * ONE})

    days(world, autopay, last - 5 * ONE, last + ONE)

    assert world.taken == []
    [*_, record] = world.records
    assert (record.key.nominal_on, record.reason) == (last, "NoticeMissing")
    assert told_of(world, NoticeKind.FAILED)[-1].on == last - 3 * ONE


def test_n4_what_waited_on_its_day_is_collected_as_announced() -> None:
    world = World(bill("INV-1", "100.00"))
    autopay = standing_order(advance_notice=AdvanceNotice(days=10))
    days(world, autopay, DAY - 12 * ONE, DAY - 6 * ONE)
    charge = world.one_step.charge
    rig(world.gateway, charge=away)
    days(world, autopay, DAY, DAY)
    assert world.record.state is RunState.WAITING
    world.matters.put(bill("INV-1", "130.00"))
    rig(world.gateway, charge=charge)

    days(world, autopay, DAY + ONE, DAY + ONE)

    assert world.taken == [usd("100.00")]


def away(*_: object) -> None:
    raise PortUnavailableError("no connection")


def test_n4_a_date_that_is_moved_away_and_skipped_is_dropped() -> None:
    world, autopay = moved(DAY + 2 * ONE)
    autopay = attrs.evolve(autopay, moves={}, skips=frozenset({DAY}))

    days(world, autopay, DAY - 5 * ONE, DAY + 5 * ONE)

    assert world.record.state is RunState.CANCELLED
    assert world.taken == []


# -- N4: two orders, one invoice ----------------------------------------------


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=4),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.sampled_from([3, 10]),
    st.booleans(),
)
@example([8, 0], [1], 10, False)  # The one that announces later goes first.
@example([8, 0], [1], 10, True)
def test_n4_a_payers_orders_announce_an_invoice_once(
    firsts: list[int], balances: list[int], notice: int, alone: bool
) -> None:
    """
    What another one announced before is left out.

    Whoever has the first turn, and in one sweep or in one for each.
    """
    world = World(
        *(
            bill(f"INV-{place}", f"{each * 10}.00")
            for place, each in enumerate(balances)
        )
    )
    orders = [
        standing_order(
            id=f"ap-{place}",
            schedule=Schedule.monthly(DAY + first * ONE),
            limit=Limit.up_to(usd("50")),
            advance_notice=AdvanceNotice(days=notice),
        )
        for place, first in enumerate(firsts)
    ]

    on = DAY - 20 * ONE
    while on < DAY:  # Nothing is collected yet.
        for some in [[each] for each in orders] if alone else [orders]:
            world.sweep(*some, as_of=on)
        on += ONE

    told: dict[str, int] = {}
    for each in told_of(world, NoticeKind.UPCOMING):
        for line in each.lines:
            told[str(line.invoice)] = (
                told.get(str(line.invoice), 0) + line.amount.amount_minor
            )
    for place, tens in enumerate(balances):
        assert told.get(f"INV-{place}", 0) <= tens * 1_000


def test_n4_what_another_order_has_collected_is_announced_no_more() -> None:
    """A list of who announces is kept, and not what was announced."""
    world = World(bill("INV-1", "100.00"), bill("INV-2", "30.00"))
    first = standing_order(advance_notice=AdvanceNotice(days=10))
    other = standing_order(
        id="ap-2",
        schedule=Schedule.monthly(DAY + 20 * ONE),
        advance_notice=AdvanceNotice(days=10),
    )
    world.sweep(first, other, as_of=DAY - 10 * ONE)
    world.sweep(first, other, as_of=DAY)
    assert world.taken == [usd("130.00")]
    world.matters.put(bill("INV-3", "7.00"))

    world.sweep(other, as_of=DAY + 10 * ONE)

    *_, last = told_of(world, NoticeKind.UPCOMING)
    assert (last.autopay, last.amount) == ("ap-2", usd("7.00"))


def test_n4_what_nobody_was_told_of_keeps_no_other_from_telling() -> None:
    """The notifier was down when the first one was to be announced."""
    world = World(bill("INV-1", "100.00"))
    orders = [
        standing_order(id=name, advance_notice=AdvanceNotice(days=10))
        for name in ("ap-1", "ap-2")
    ]
    send = world.notifier.send

    def picky(notice: Notice) -> None:
        if notice.autopay == "ap-1":
            raise PortError("the address is refused")
        send(notice)

    rig(world.notifier, send=picky)

    world.sweep(*orders, as_of=DAY - 10 * ONE)

    assert [each.autopay for each in told_of(world, NoticeKind.UPCOMING)] == [
        "ap-2"
    ]


# -- N5: a pause that is taken away -------------------------------------------


def weekly(*pauses: Pause) -> AutoPay:
    return standing_order(
        schedule=Schedule.weekly(DAY),
        limit=Limit.up_to(usd("1")),
        pauses=pauses,
    )


@pytest.mark.parametrize("to_on", [None, DAY + 60 * ONE])
def test_n5_the_end_of_a_pause_that_is_taken_away_is_told_once(
    to_on: date | None,
) -> None:
    world = World(bill("INV-1", "100.00"))
    paused = weekly(Pause(from_on=DAY + ONE, to_on=to_on))
    days(world, paused, DAY, DAY + 9 * ONE)

    days(world, weekly(), DAY + 10 * ONE, DAY + 20 * ONE)

    [rests] = told_of(world, NoticeKind.PAUSED)
    [resumed] = told_of(world, NoticeKind.RESUMED)
    assert resumed.on == DAY + 10 * ONE
    assert "2026-02-14" in resumed.detail
    assert rests.on == DAY + ONE


def test_n5_its_end_is_told_beside_what_else_there_is_to_tell() -> None:
    world = World(bill("INV-1", "100.00"))
    card = attrs.evolve(CARD, expires_on=DAY + 25 * ONE)
    paused = weekly(Pause(from_on=DAY + ONE, to_on=None))
    days(world, paused, DAY, DAY + 9 * ONE)

    runs = attrs.evolve(weekly(), method=card)
    days(world, runs, DAY + 10 * ONE, DAY + 11 * ONE)

    assert len(told_of(world, NoticeKind.RESUMED)) == 1
    assert len(told_of(world, NoticeKind.METHOD_EXPIRING)) == 1


def test_n5_a_pause_that_never_began_is_told_of_in_no_way() -> None:
    world = World(bill("INV-1", "100.00"))
    later = weekly(Pause(from_on=DAY + 30 * ONE, to_on=None))
    days(world, later, DAY, DAY + 9 * ONE)

    days(world, weekly(), DAY + 10 * ONE, DAY + 20 * ONE)

    assert told_of(world, NoticeKind.PAUSED) == []
    assert told_of(world, NoticeKind.RESUMED) == []


def test_n5_what_is_turned_off_while_it_rests_does_not_resume() -> None:
    world = World(bill("INV-1", "100.00"))
    paused = weekly(Pause(from_on=DAY + ONE, to_on=None))
    days(world, paused, DAY, DAY + 9 * ONE)
    off = attrs.evolve(weekly(), off_from=DAY + 10 * ONE)

    days(world, off, DAY + 10 * ONE, DAY + 20 * ONE)

    assert told_of(world, NoticeKind.RESUMED) == []


@settings(max_examples=40)
@given(
    st.lists(
        st.none()
        | st.tuples(st.integers(-3, 10), st.none() | st.integers(1, 12)),
        min_size=6,
        max_size=12,
    )
)
def test_n5_whether_it_rests_is_told_as_it_is(
    edits: list[tuple[int, int | None] | None],
) -> None:
    """Every two days the pause is another one, or none."""
    world = World(bill("INV-1", "100.00"))
    for place, edit in enumerate(edits):
        now = DAY + 2 * place * ONE
        pauses: tuple[Pause, ...] = ()
        if edit is not None:
            begin, length = edit
            from_on = now + begin * ONE
            to_on = None if length is None else from_on + length * ONE
            pauses = (Pause(from_on=from_on, to_on=to_on),)
        autopay = weekly(*pauses)
        days(world, autopay, now, now + ONE)

        about = [
            each.kind
            for each in world.notifier.sent
            if each.kind in (NoticeKind.PAUSED, NoticeKind.RESUMED)
        ]
        rests = state_on(autopay, now + ONE) is AutoPayState.PAUSED
        said = bool(about) and about[-1] is NoticeKind.PAUSED
        assert said == rests


# -- N5: a plan of an invoice that nobody has seen ----------------------------


def test_n5_an_invoice_that_was_never_seen_is_not_paid_off() -> None:
    world = World()
    plan = standing_order(enrollments=(enrolled(to_invoice("INV-9")),))

    days(world, plan, DAY, DAY + 40 * ONE)

    assert world.told() == [NoticeKind.GONE]
    assert "INV-9" in world.notifier.sent[0].detail
    assert {each.reason for each in world.records} == {"PlanGone"}


def test_n5_an_invoice_that_is_there_and_owes_nothing_is_paid_off() -> None:
    world = World(bill("INV-1", "0.00"))
    plan = standing_order(enrollments=(enrolled(to_invoice("INV-1")),))

    days(world, plan, DAY, DAY + 40 * ONE)

    assert len(world.told()) == 1


def test_n5_a_plan_that_was_paid_off_is_not_gone_later() -> None:
    world = World(bill("INV-1", "100.00"))
    plan = standing_order(
        schedule=Schedule.weekly(DAY),
        enrollments=(enrolled(to_invoice("INV-1")),),
    )
    world.sweep(plan)
    world.apply()
    world.matters.remove("INV-1")

    days(world, plan, DAY + ONE, DAY + 120 * ONE)

    assert world.told() == [NoticeKind.PAID, NoticeKind.PLAN_PAID_OFF]
