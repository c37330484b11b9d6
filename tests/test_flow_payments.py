"""An agreed number of payments ends an order (S8, N2)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings, strategies as st

from autopay_core.autopay import AdvanceNotice
from autopay_core.calls import preview, receive, run_now
from autopay_core.limits import Limit
from autopay_core.movements import Movement, MovementKind
from autopay_core.notices import NoticeKind
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunStatus
from autopay_core.schedules import Schedule
from autopay_core.show.projection import forecast
from worlds import BANK, CARD, DAY, World, bill, standing_order, usd

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

WEEK = timedelta(days=7)


def agreed(payments: int, **more: Any) -> AutoPay:
    """Return an order of ten dollars a week, so many times."""
    return standing_order(
        schedule=Schedule.weekly(DAY),
        limit=Limit.up_to(usd("10")),
        payments=payments,
        **more,
    )


def weeks(world: World, autopay: AutoPay, first: int, last: int) -> None:
    for week in range(first, last + 1):
        world.sweep(autopay, as_of=DAY + week * WEEK)


def first_of(world: World) -> RunRecord:
    return min(world.records, key=lambda each: each.key.nominal_on)


def test_s8_it_ends_after_so_many_payments_and_says_so_once() -> None:
    world = World(bill("INV-1", "1000.00"))

    weeks(world, agreed(3), 0, 8)

    assert world.taken == [usd("10")] * 3
    ended = [
        each for each in world.notifier.sent if each.kind is NoticeKind.ENDED
    ]
    assert [each.on for each in ended] == [DAY + 2 * WEEK]


def test_s8_a_run_by_itself_ends_there_too() -> None:
    world = World(bill("INV-1", "1000.00"))
    autopay = agreed(1)
    world.run(autopay)

    result = world.run(autopay, DAY + WEEK)

    assert result.status is RunStatus.NOTHING_DUE
    assert result.reason == "PaymentsCollected"
    assert world.taken == [usd("10")]


def test_s8_a_preview_and_a_forecast_know_it() -> None:
    world = World(bill("INV-1", "1000.00"))
    autopay = agreed(3)
    weeks(world, autopay, 0, 0)
    on = DAY + timedelta(days=1)

    ahead = forecast(autopay, as_of=on, ports=world.ports)
    assert len(ahead.runs) == 2
    weeks(world, autopay, 1, 2)
    on = DAY + 2 * WEEK + timedelta(days=1)

    assert forecast(autopay, as_of=on, ports=world.ports).runs == ()
    after = preview(autopay, on=DAY + 3 * WEEK, ports=world.ports)
    assert after.total == usd("0")
    assert after.lines == ()


def test_s8_a_payment_that_went_back_does_not_count() -> None:
    world = World(bill("INV-1", "1000.00"))
    autopay = agreed(2)
    weeks(world, autopay, 0, 1)
    reference = first_of(world).payment_reference
    assert reference is not None

    receive(
        Movement(
            id="m-1",
            kind=MovementKind.RETURNED,
            amount=usd("10"),
            on=DAY + timedelta(days=9),
            code="R01",
            reference=reference,
        ),
        ports=world.ports,
    )
    weeks(world, autopay, 2, 5)

    assert world.taken == [usd("10")] * 3


def test_s8_what_is_under_way_counts_until_it_fails() -> None:
    world = World(bill("INV-1", "1000.00"), bank_debits_pend=True)
    autopay = agreed(1, method=BANK)
    weeks(world, autopay, 0, 1)
    assert len(world.gateway.executed) == 1

    world.gateway.fail(first_of(world).attempts[-1].key, code="R01")
    weeks(world, autopay, 2, 3)
    assert len(world.gateway.executed) == 2


def test_s8_a_payment_on_demand_is_none_of_them() -> None:
    world = World(bill("INV-1", "1000.00"))
    autopay = agreed(1)
    world.clock.reach(DAY)
    words = {"by": "Ann", "reason": "asked"}
    run_now(autopay, as_of=DAY, number=1, **words, ports=world.ports)

    weeks(world, autopay, 0, 2)

    assert world.taken == [usd("10")] * 2
    again = run_now(
        autopay, as_of=DAY + 2 * WEEK, number=1, **words, ports=world.ports
    )
    assert again.status is RunStatus.PAID


def test_n4_nothing_is_announced_after_the_last_one() -> None:
    world = World(bill("INV-1", "1000.00"))
    autopay = agreed(1, advance_notice=AdvanceNotice(days=3))
    for day in range(-5, 20):
        world.sweep(autopay, as_of=DAY + timedelta(days=day))

    assert world.told().count(NoticeKind.UPCOMING) == 1
    assert world.taken == [usd("10")]


@settings(max_examples=40)
@given(
    payments=st.integers(1, 4),
    declines=st.sets(st.integers(0, 8)),
    asleep=st.sets(st.integers(0, 9), max_size=3),
    retry=st.booleans(),
)
def test_s8_never_more_than_agreed(
    payments: int, declines: set[int], asleep: set[int], retry: bool
) -> None:
    world = World(bill("INV-1", "1000.00"))
    policy = RetryPolicy(retries_most=2, every_days=2) if retry else None
    autopay = agreed(payments, retry=policy)
    for week in range(10):
        if week in declines:
            world.gateway.decline(CARD.token)
        else:
            world.gateway.accept(CARD.token)
        if week not in asleep:
            world.sweep(autopay, as_of=DAY + week * WEEK)
            world.sweep(autopay, as_of=DAY + week * WEEK + timedelta(days=2))

    assert len(world.taken) <= payments
    good = [each for each in range(10) if each not in declines | asleep]
    assert len(world.taken) >= min(payments, len(good))


def test_s8_the_day_on_which_it_ended_is_the_last_payments() -> None:
    world = World(bill("INV-1", "1000.00"))
    weeks(world, agreed(2), 0, 3)

    [notice] = [
        each for each in world.notifier.sent if each.kind is NoticeKind.ENDED
    ]
    assert notice.on == date(2026, 2, 7)


# -- A lifetime's limit (S8, L7) ----------------------------------------------


def test_s8_a_lifetimes_limit_is_told_with_the_payment_that_reaches_it() -> (
    None
):
    world = World(bill("INV-1", "1000.00"))
    limit = Limit.up_to(usd("10"), lifetime=usd("25"))
    autopay = standing_order(schedule=Schedule.weekly(DAY), limit=limit)

    weeks(world, autopay, 0, 1)
    assert NoticeKind.ENDED not in world.told()
    weeks(world, autopay, 2, 2)
    assert world.told()[-1] is NoticeKind.ENDED
    weeks(world, autopay, 3, 8)

    assert world.taken == [usd("10"), usd("10"), usd("5")]
    assert world.told().count(NoticeKind.ENDED) == 1
    [ended] = [
        each for each in world.notifier.sent if each.kind is NoticeKind.ENDED
    ]
    assert ended.reason == "LifetimeReached"
    assert ended.on == DAY + 2 * WEEK


def test_s8_more_postings_than_a_page_are_counted() -> None:
    """One payment of so many invoices is one payment."""
    many = 1_001
    world = World(*(bill(f"INV-{each}", "1.00") for each in range(many)))
    autopay = standing_order(schedule=Schedule.weekly(DAY), payments=2)
    weeks(world, autopay, 0, 0)
    assert len(world.postings()) == many
    world.matters.put(bill("INV-X", "5.00"))

    weeks(world, autopay, 1, 1)
    world.matters.put(bill("INV-Y", "5.00"))
    weeks(world, autopay, 2, 3)

    assert len(world.taken) == 2
