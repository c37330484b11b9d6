"""The next day of a standing order is never too late (O3)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import example, given, settings, strategies as st

from autopay_core._checks import DATE_MAX
from autopay_core.autopay import (
    AdvanceNotice,
    AutoPay,
    autopay_notices,
    due,
    passed_over,
    upcoming,
)
from autopay_core.book import DAYS_MOST, next_day
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.references import PaymentMethodRef
from autopay_core.schedules import Pause, Schedule
from worlds import (
    CARD,
    DAY,
    enrolled,
    standing_order,
    to_client,
    to_invoice,
)

_DAY = timedelta(days=1)
WEEKENDS = BusinessCalendar()

schedules = st.sampled_from(
    [
        Schedule.monthly(DAY),
        Schedule.monthly(DAY, every=3),
        Schedule.monthly(DAY, count=2),
        Schedule.monthly(DAY, until=date(2026, 4, 30)),
        Schedule.monthly(DAY, roll=Roll.FOLLOWING, calendar=WEEKENDS),
        Schedule.last_day(DAY, roll=Roll.PRECEDING, calendar=WEEKENDS),
        Schedule.weekly(DAY),
        Schedule.twice_monthly(DAY),
        Schedule.daily(DAY, every=9),
        Schedule.yearly(DAY),
        Schedule.once(DAY),
    ]
)
near = st.integers(-40, 460).map(lambda days: DAY + days * _DAY)
pauses = st.builds(
    lambda on, days: Pause(
        from_on=on, to_on=None if days is None else on + days * _DAY
    ),
    near,
    st.none() | st.integers(1, 70),
)


@st.composite
def orders(draw: st.DrawFn) -> AutoPay:
    schedule = draw(schedules)
    enrolment: list[Any] = draw(
        st.sampled_from(
            [
                [to_client()],
                [to_invoice("INV-1")],
                [to_client(), to_invoice("INV-1")],
                [
                    to_client(),
                    enrolled(to_client("C-2"), since=DAY + 40 * _DAY),
                ],
                [],
            ]
        )
    )
    expires_on = draw(st.none() | near)
    skips = frozenset(
        each.nominal_on
        for each in schedule.occurrences(DAY, DAY + 200 * _DAY)
        if draw(st.integers(0, 4)) == 0
    )
    return standing_order(
        schedule=schedule,
        enrollments=tuple(enrolment),
        pauses=tuple(draw(st.lists(pauses, max_size=2))),
        skips=skips,
        off_from=draw(st.none() | near),
        method=PaymentMethodRef(
            provider=CARD.provider, token=CARD.token, expires_on=expires_on
        ),
        advance_notice=draw(st.sampled_from([None, None, AdvanceNotice()])),
    )


def to_do(autopay: AutoPay, on: date) -> set[Any]:
    """Return all that dates ask for by a day, so that what is new shows."""
    found: set[Any] = {each.key for each in autopay_notices(autopay, on)}
    found |= {("due", each.nominal_on) for each in due(autopay, on)}
    found |= {
        ("over", each.nominal_on) for each, _ in passed_over(autopay, on)
    }
    if autopay.advance_notice is not None:
        days = autopay.advance_notice.days
        coming = upcoming(autopay, on + days * _DAY)
        if coming is not None and (coming.charge_on - on).days <= days + 4:
            found.add(("ahead", coming.nominal_on))
    return found


@settings(max_examples=150)
@given(orders(), near)
@example(standing_order(), DAY)
def test_o3_before_the_next_day_there_is_nothing_new_to_be_done(
    autopay: AutoPay, after: date
) -> None:
    next_on = next_day(autopay, after)
    assert after < next_on <= after + DAYS_MOST * _DAY

    day, before = after + _DAY, to_do(autopay, after)
    while day < next_on:
        now = to_do(autopay, day)
        assert now <= before, day
        before |= now
        day += _DAY


def test_an_order_has_its_next_turn_on_its_next_date() -> None:
    order = standing_order()

    assert next_day(order, DAY) == date(2026, 2, 28)
    assert next_day(order, date(2026, 2, 27)) == date(2026, 2, 28)


def test_an_order_that_is_over_has_a_turn_every_35_days() -> None:
    order = standing_order(schedule=Schedule.once(DAY))
    after = DAY + 400 * _DAY

    assert next_day(order, after) == after + DAYS_MOST * _DAY


def test_at_the_end_of_all_dates_there_is_a_next_day() -> None:
    assert next_day(standing_order(), DATE_MAX - 3 * _DAY) == DATE_MAX
