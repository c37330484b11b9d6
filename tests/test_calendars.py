"""Published holidays as business calendars, beside QuantLib's (S9)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import QuantLib as ql  # noqa: N813

import autopay_core as ap
from autopay_core.adapters.calendars import market_calendar
from autopay_core.errors import InvalidValueError

YEARS = range(2022, 2032)


def _days(years: range) -> list[date]:
    first = date(years.start, 1, 1)
    return [
        first + timedelta(days=each)
        for each in range((date(years.stop, 1, 1) - first).days)
    ]


@pytest.mark.parametrize(
    ("market", "other"),
    [
        ("FED", ql.UnitedStates(ql.UnitedStates.FederalReserve)),
        ("ECB", ql.TARGET()),
    ],
)
def test_s9_a_market_is_open_when_quantlib_says_so(
    market: str, other: ql.Calendar
) -> None:
    calendar = market_calendar(YEARS, market=market)

    differs = [
        day
        for day in _days(YEARS)
        if calendar.is_open(day)
        != other.isBusinessDay(ql.Date(day.day, day.month, day.year))
    ]

    assert differs == []


def test_s9_a_debit_due_on_thanksgiving_goes_out_the_day_after() -> None:
    schedule = ap.Schedule.monthly(
        date(2026, 10, 26),
        roll=ap.Roll.FOLLOWING,
        calendar=market_calendar([2026]),
    )

    november = schedule.next_on_or_after(date(2026, 11, 1))

    assert november is not None
    assert november.charge_on == date(2026, 11, 27)


def test_a_market_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        market_calendar([2026], market="MOON")

    assert (caught.value.code, caught.value.path) == (
        "CalendarUnknown",
        "market",
    )
