"""Published holidays as business calendars, beside QuantLib's (S9)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import given, strategies as st
from icalendar import Calendar

import autopay_core as ap
from autopay_core.adapters import calendars
from autopay_core.adapters.calendars import calendar_file, market_calendar
from autopay_core.errors import InvalidValueError
from autopay_core.schedules import Schedule
from autopay_core.show.projection import project
from worlds import DAY, standing_order

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


# -- Charge dates as a file ---------------------------------------------------

AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def events(file: bytes) -> list[Any]:
    """Return the events of a file, as another program reads them."""
    calendar: Any = Calendar.from_ical(file)
    return list(calendar.walk("VEVENT"))


def test_a_file_has_each_charge_date_of_a_year() -> None:
    autopay = standing_order(skips=frozenset({date(2026, 3, 31)}))

    file = calendar_file(autopay, from_on=DAY, at=AT)

    days = [each["dtstart"].dt for each in events(file)]
    assert days[:4] == [
        date(2026, 1, 31),
        date(2026, 2, 28),
        date(2026, 4, 30),
        date(2026, 5, 31),
    ]
    assert len(days) == 11
    assert {str(each["summary"]) for each in events(file)} == {
        "AutoPay: Acme monthly"
    }
    assert file.endswith(b"\r\n")


@given(
    st.dates(date(2026, 1, 1), date(2027, 6, 1)),
    st.integers(0, 400),
    st.sampled_from(
        [Schedule.weekly(DAY), Schedule.monthly(DAY), Schedule.daily(DAY)]
    ),
)
def test_a_file_has_what_a_forecast_has(
    from_on: date, days: int, schedule: Schedule
) -> None:
    autopay = standing_order(schedule=schedule)
    before = from_on + timedelta(days=days)

    file = calendar_file(autopay, from_on=from_on, before=before, at=AT)

    foreseen = project(autopay, [], from_on=from_on, before=before)
    assert [each["dtstart"].dt for each in events(file)] == [
        each.occurrence.charge_on for each in foreseen.runs
    ]


def test_a_date_that_moves_keeps_its_event() -> None:
    autopay = standing_order()
    moved = attrs.evolve(autopay, moves={date(2026, 2, 28): date(2026, 3, 2)})

    before, after = (
        {
            str(each["uid"]): each["dtstart"].dt
            for each in events(calendar_file(one, from_on=DAY, at=AT))
        }
        for one in (autopay, moved)
    )

    assert before.keys() == after.keys()
    assert [
        (before[each], after[each])
        for each in before
        if before[each] != after[each]
    ] == [(date(2026, 2, 28), date(2026, 3, 2))]


def test_a_name_cannot_write_a_line_of_its_own() -> None:
    autopay = standing_order(name="Acme, \\n Ltd; DTSTART:19990101")

    file = calendar_file(autopay, from_on=DAY, at=AT)

    assert file.count(b"\r\nDTSTART") == len(events(file))
    assert str(events(file)[0]["summary"]).startswith("AutoPay: Acme, ")


def test_what_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "EVENTS_MAX", 3)

    with pytest.raises(InvalidValueError) as refused:
        calendar_file(standing_order(), from_on=DAY, at=AT)

    assert refused.value.code == "TooManyRuns"
