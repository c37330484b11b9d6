"""
Other libraries' answers to the same questions.

dateutil's for recurrence, QuantLib's for months and business days.
"""

from __future__ import annotations

from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import QuantLib as ql  # noqa: N813
from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, rruleset
from hypothesis import example, given, strategies as st

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.schedules import DayOfMonth, Schedule, one_year_after
from oracles_schedules import (
    DAY,
    calendars,
    crowded_date,
    day_numbers,
    intervals,
    some_date,
    two_days,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST = 60
# dateutil gives up after 9999, QuantLib begins in 1901 and ends in 2199.
quantlib_date = st.one_of(
    crowded_date, st.dates(date(1902, 1, 1), date(2190, 12, 31))
)


def nominals(schedule: Schedule) -> list[date]:
    return [each.nominal_on for each in islice(schedule.occurrences(), MOST)]


def dates(rule: Iterable[datetime], first_on: date) -> list[date]:
    """Return what *rule* says from *first_on* up to the range's end."""
    found = (
        each.date()
        for each in islice(rule, MOST + 31)
        if each.date() >= first_on
    )
    last = date(2200, 12, 31)
    return [each for each in islice(found, MOST) if each <= last]


def at(on: date) -> datetime:
    return datetime(on.year, on.month, on.day)  # noqa: DTZ001


def clamped(day: int | str) -> dict[str, Any]:
    """Say "this day, or the month's last if it lacks it" to dateutil."""
    if day == "last":
        return {"bymonthday": -1}
    assert isinstance(day, int)
    if day <= 28:
        return {"bymonthday": day}
    return {"bymonthday": tuple(range(28, day + 1)), "bysetpos": -1}


@given(some_date, intervals)
def test_daily_is_dateutil_s_daily(first_on: date, every: int) -> None:
    rule = rrule(DAILY, dtstart=at(first_on), interval=every, count=MOST)

    assert nominals(Schedule.daily(first_on, every=every)) == dates(
        rule, first_on
    )


@given(some_date, intervals, st.integers(1, 7))
def test_weekly_is_dateutil_s_weekly_from_the_first_such_day(
    first_on: date, every: int, weekday: int
) -> None:
    schedule = Schedule.weekly(first_on, every=every, weekday=weekday)
    start = next(
        rrule(WEEKLY, dtstart=at(first_on), byweekday=weekday - 1).__iter__()
    )
    rule = rrule(WEEKLY, dtstart=start, interval=every, count=MOST)

    assert nominals(schedule) == dates(rule, first_on)


@given(some_date, st.integers(1, 13), day_numbers)
@example(date(2026, 1, 31), 1, 31)
@example(date(2026, 2, 28), 1, 31)
@example(date(2026, 1, 15), 2, 10)
def test_monthly_is_dateutil_s_monthly_with_clamped_days(
    first_on: date, every: int, day: int
) -> None:
    schedule = Schedule.monthly(first_on, day=day, every=every)
    # dateutil counts intervals from the start's month, S3 from the month of
    # the first occurrence.
    first = next(
        iter(
            dates(
                rrule(
                    MONTHLY,
                    dtstart=at(first_on.replace(day=1)),
                    count=3,
                    **clamped(day),
                ),
                first_on,
            )
        )
    )
    rule = rrule(
        MONTHLY,
        dtstart=at(first.replace(day=1)),
        interval=every,
        count=MOST,
        **clamped(day),
    )

    assert nominals(schedule) == dates(rule, first_on)


@given(some_date, st.integers(1, 3))
@example(date(2024, 2, 29), 1)
@example(date(2096, 2, 29), 1)
def test_yearly_is_dateutil_s_yearly_with_clamped_days(
    first_on: date, every: int
) -> None:
    rule = rrule(
        YEARLY,
        dtstart=at(first_on),
        interval=every,
        until=at(date(2200, 12, 31)),
        bymonth=first_on.month,
        **clamped(first_on.day),
    )

    assert nominals(Schedule.yearly(first_on, every=every)) == dates(
        rule, first_on
    )


@given(some_date)
def test_last_day_is_dateutil_s_day_minus_one(first_on: date) -> None:
    rule = rrule(MONTHLY, dtstart=at(first_on), bymonthday=-1, count=MOST)

    assert nominals(Schedule.last_day(first_on)) == dates(rule, first_on)


@given(some_date, two_days)
@example(date(2026, 1, 31), [30, "last"])
@example(date(2026, 2, 1), [28, "last"])
@example(date(2026, 2, 1), [29, 31])
def test_twice_monthly_is_the_union_of_two_of_dateutil_s_rules(
    first_on: date, days: list[DayOfMonth]
) -> None:
    one, other = days
    rules = rruleset()
    for day in days:
        rules.rrule(
            rrule(
                MONTHLY,
                dtstart=at(first_on.replace(day=1)),
                count=MOST,
                **clamped(day),
            )
        )

    assert nominals(
        Schedule.twice_monthly(first_on, days=(one, other))
    ) == dates(rules, first_on)


def quantlib(on: date) -> ql.Date:
    return ql.Date(on.day, on.month, on.year)


def from_quantlib(on: ql.Date) -> date:
    return date(on.year(), on.month(), on.dayOfMonth())


@given(quantlib_date, st.sampled_from([1, 2, 3, 6, 12]), st.integers(0, 100))
@example(date(2024, 2, 29), 12, 4)
@example(date(2026, 1, 31), 1, 1)
def test_the_nth_is_quantlib_s_date_plus_months(
    first_on: date, months: int, index: int
) -> None:
    if first_on.year + index * months // 12 > 2197:
        return
    expected = from_quantlib(
        quantlib(first_on) + ql.Period(index * months, ql.Months)
    )
    found = Schedule.monthly(first_on, every=months).nth(index + 1)

    assert found is not None
    assert found.nominal_on == expected


@given(quantlib_date)
def test_a_year_is_quantlib_s_year(first_on: date) -> None:
    expected = from_quantlib(quantlib(first_on) + ql.Period(1, ql.Years))

    assert one_year_after(first_on) == expected


CONVENTIONS = {
    Roll.FOLLOWING: ql.Following,
    Roll.MODIFIED_FOLLOWING: ql.ModifiedFollowing,
    Roll.PRECEDING: ql.Preceding,
}
# QuantLib numbers weekdays from Sunday.
QUANTLIB_WEEKDAYS = (
    ql.Monday,
    ql.Tuesday,
    ql.Wednesday,
    ql.Thursday,
    ql.Friday,
    ql.Saturday,
    ql.Sunday,
)


@given(calendars(), st.sampled_from(list(CONVENTIONS)), crowded_date)
@example(BusinessCalendar(), Roll.MODIFIED_FOLLOWING, date(2024, 3, 30))
def test_dates_roll_as_quantlib_s_calendars_adjust_them(
    calendar: BusinessCalendar, roll: Roll, nominal_on: date
) -> None:
    theirs = ql.BespokeCalendar("theirs")
    for weekday in calendar.weekend:
        theirs.addWeekend(QUANTLIB_WEEKDAYS[weekday - 1])
    for holiday in calendar.holidays:
        theirs.addHoliday(quantlib(holiday))
    expected = theirs.adjust(quantlib(nominal_on), CONVENTIONS[roll])
    # Long before, so that the start is in nobody's way.
    schedule = Schedule.daily(
        nominal_on - 100 * DAY, roll=roll, calendar=calendar
    )
    found = schedule.occurrence_of(nominal_on)

    assert found is not None
    assert found.charge_on == from_quantlib(expected)
    assert calendar.is_open(nominal_on) == theirs.isBusinessDay(
        quantlib(nominal_on)
    )


@pytest.mark.parametrize(
    ("roll", "convention"), list(CONVENTIONS.items()), ids=str
)
def test_a_year_of_fed_holidays_rolls_as_quantlib_rolls_it(
    roll: Roll, convention: int
) -> None:
    fed = ql.UnitedStates(ql.UnitedStates.FederalReserve)
    year = [date(2025, 11, 1) + each * DAY for each in range(490)]
    closed = frozenset(
        on
        for on in year
        if on.isoweekday() < 6 and not fed.isBusinessDay(quantlib(on))
    )
    schedule = Schedule.daily(
        date(2025, 11, 3),
        roll=roll,
        calendar=BusinessCalendar(holidays=closed, name="FED"),
    )

    for on in year[10:-40]:
        found = schedule.occurrence_of(on)
        assert found is not None
        assert found.charge_on == from_quantlib(
            fed.adjust(quantlib(on), convention)
        )
