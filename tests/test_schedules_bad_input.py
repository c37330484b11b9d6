"""
What schedules refuse, with which error, code and path (E2).

The numbers in the ids are the rows of the table of bad inputs.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from hypothesis import given, strategies as st

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import InvalidValueError
from autopay_core.schedules import (
    MissedPolicy,
    Occurrence,
    Pause,
    Schedule,
    ScheduleKind,
    one_year_after,
    split_missed,
)

if TYPE_CHECKING:
    from collections.abc import Callable


START = date(2026, 1, 31)
MONTHLY = Schedule.monthly(START)
ROLLED = Schedule.monthly(
    START, roll=Roll.FOLLOWING, calendar=BusinessCalendar()
)


def closed_for(days: int, *, weekend: frozenset[int]) -> BusinessCalendar:
    """Close so many days in a row from a Sunday on."""
    return BusinessCalendar(
        holidays=frozenset(
            date(2026, 3, 1) + timedelta(each) for each in range(days)
        ),
        weekend=weekend,
    )


BAD_DATES: list[tuple[str, Any, str]] = [
    ("41-naive", datetime(2026, 1, 31), "NaiveDatetime"),  # noqa: DTZ001
    ("aware", datetime(2026, 1, 31, tzinfo=UTC), "DateType"),
    ("pendulum", pendulum.datetime(2026, 1, 31), "DateType"),
    ("pendulum-naive", pendulum.naive(2026, 1, 31), "NaiveDatetime"),
    ("none", None, "FieldMissing"),
    ("text", "2026-01-31", "DateType"),
    ("42-year-1", date(1, 1, 1), "DateOutOfRange"),
    ("42-year-9999", date(9999, 12, 31), "DateOutOfRange"),
    ("just-before", date(1899, 12, 31), "DateOutOfRange"),
    ("just-after", date(2201, 1, 1), "DateOutOfRange"),
    ("pendulum-far", pendulum.date(9999, 1, 1), "DateOutOfRange"),
    ("43-epoch", 1_767_225_600, "DateType"),
]
TAKERS: list[tuple[str, str, Callable[[Any], object]]] = [
    ("once", "first_on", Schedule.once),
    ("daily", "first_on", Schedule.daily),
    ("weekly", "first_on", Schedule.weekly),
    ("twice_monthly", "first_on", Schedule.twice_monthly),
    ("monthly", "first_on", Schedule.monthly),
    (
        "monthly-day",
        "first_on",
        lambda bad: Schedule.monthly(bad, day=1),
    ),
    ("last_day", "first_on", Schedule.last_day),
    ("quarterly", "first_on", Schedule.quarterly),
    ("semiannual", "first_on", Schedule.semiannual),
    ("yearly", "first_on", Schedule.yearly),
    ("next", "on", MONTHLY.next_on_or_after),
    ("previous", "on", MONTHLY.previous_on_or_before),
    ("is_nominal", "nominal_on", MONTHLY.is_nominal),
    ("number_of", "nominal_on", MONTHLY.number_of),
    ("occurrence_of", "nominal_on", MONTHLY.occurrence_of),
    (
        "skips",
        "skips",
        lambda bad: MONTHLY.next_on_or_after(START, skips=[bad]),
    ),
    ("year", "first_on", one_year_after),
    (
        "nominal_on",
        "nominal_on",
        lambda bad: Occurrence(nominal_on=bad, charge_on=START),
    ),
    (
        "charge_on",
        "charge_on",
        lambda bad: Occurrence(nominal_on=START, charge_on=bad),
    ),
    ("pause", "from_on", lambda bad: Pause(from_on=bad)),
    (
        "holidays",
        "holidays",
        lambda bad: BusinessCalendar(holidays=frozenset({bad})),
    ),
    ("is_open", "on", BusinessCalendar().is_open),
    (
        "as_of",
        "as_of",
        lambda bad: split_missed([], MissedPolicy.ALL, as_of=bad),
    ),
]
# Here None says "no end".
OPTIONAL_TAKERS: list[tuple[str, str, Callable[[Any], object]]] = [
    ("until", "until", lambda bad: Schedule.monthly(START, until=bad)),
    ("pause_end", "to_on", lambda bad: Pause(from_on=START, to_on=bad)),
    ("from", "on_or_after", MONTHLY.occurrences),
    ("to", "before", lambda bad: MONTHLY.occurrences(before=bad)),
]


@pytest.mark.parametrize(
    ("path", "take", "bad", "code"),
    [
        pytest.param(path, take, bad, code, id=f"{name}-{case}")
        for name, path, take in [*TAKERS, *OPTIONAL_TAKERS]
        for case, bad, code in BAD_DATES
        if bad is not None or (name, path, take) in TAKERS
    ],
)
def test_s13_only_plain_dates_in_range_are_taken(
    path: str, take: Callable[[Any], object], bad: object, code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        take(bad)

    assert (caught.value.code, caught.value.path) == (code, path)


def kind(
    name: str,
    **given: Any,
) -> Callable[[], object]:
    """Make one later, perhaps with what no type checker would let pass."""
    return lambda: getattr(Schedule, name)(START, **given)


def raw(
    **given: Any,
) -> Callable[[], object]:
    return lambda: Schedule(**{"first_on": START, **given})


def calendar(
    **given: Any,
) -> Callable[[], object]:
    return lambda: BusinessCalendar(**given)


def paused_by(bad: Any) -> Callable[[], object]:
    return lambda: MONTHLY.next_on_or_after(START, pauses=[bad])


def number_of(bad: Any) -> Callable[[], object]:
    return lambda: MONTHLY.nth(bad)


def policy(bad: Any) -> Callable[[], object]:
    return lambda: split_missed([], bad, as_of=START)


REFUSED: list[tuple[Callable[[], object], str, str]] = [
    # Intervals
    *(
        (kind(name, every=every), "EveryInvalid", "every")
        for name in (
            "daily",
            "weekly",
            "monthly",
            "last_day",
            "quarterly",
            "semiannual",
            "yearly",
        )
        for every in (0, -1, 1_001, 10**5_000, 1.0, True, "1", None)
    ),
    (raw(kind=ScheduleKind.ONCE, every=2), "EveryInvalid", "every"),
    (
        raw(kind=ScheduleKind.TWICE_MONTHLY, days=(1, 15), every=2),
        "EveryInvalid",
        "every",
    ),
    # Counts
    *(
        (kind("monthly", count=count), "CountInvalid", "count")
        for count in (0, -1, 100_001, 10**5_000, 1.0, True, "1")
    ),
    # Days
    *(
        (kind(name, day=day), "DayInvalid", "days")
        for name in ("monthly", "quarterly", "semiannual", "yearly")
        for day in (0, -1, 32, 15.0, True, "15", "last", "LAST")
    ),
    *(
        (kind("twice_monthly", days=days), "DayInvalid", "days")
        for days in (
            (0, 15),
            (15, 32),
            (15, "Last"),
            ("first", "last"),
            (1.0, 15),
            (True, 15),
            (None, 15),
        )
    ),
    *(
        (kind("twice_monthly", days=days), "DaysInvalid", "days")
        for days in (
            (),
            (15,),
            (1, 15, "last"),
            (15, 15),
            ("last", "last"),
            (31, "last"),
            ("last", 31),
            [1, 15],
            None,
            15,
            "15",
        )
    ),
    (raw(kind=ScheduleKind.MONTHLY), "DaysInvalid", "days"),
    (raw(kind=ScheduleKind.MONTHLY, days=[31]), "DaysInvalid", "days"),
    (raw(kind=ScheduleKind.DAILY, days=(1,)), "DaysInvalid", "days"),
    (raw(kind=ScheduleKind.LAST_DAY, days=(31,)), "DayInvalid", "days"),
    (
        raw(kind=ScheduleKind.TWICE_MONTHLY, days=("last", 15)),
        "DaysInvalid",
        "days",
    ),
    # Weekdays
    *(
        (kind("weekly", weekday=weekday), "WeekdayInvalid", "weekday")
        for weekday in (0, 8, 1.0, True, "1")
    ),
    (raw(kind=ScheduleKind.WEEKLY), "WeekdayInvalid", "weekday"),
    (raw(kind=ScheduleKind.DAILY, weekday=1), "WeekdayInvalid", "weekday"),
    # Kinds
    (raw(kind="monthly", days=(31,)), "KindInvalid", "kind"),
    (raw(kind=None), "KindInvalid", "kind"),
    # Nothing would ever be due
    (kind("once", until=date(2026, 1, 30)), "ScheduleEmpty", "until"),
    (kind("daily", until=date(2026, 1, 30)), "ScheduleEmpty", "until"),
    (
        kind("monthly", day=15, until=date(2026, 2, 14)),
        "ScheduleEmpty",
        "until",
    ),
    (
        lambda: Schedule.yearly(date(2200, 12, 31), day=1),
        "ScheduleEmpty",
        "until",
    ),
    (
        lambda: Schedule.once(
            date(2200, 12, 31),
            roll=Roll.FOLLOWING,
            calendar=BusinessCalendar(
                holidays=frozenset({date(2200, 12, 31)})
            ),
        ),
        "ScheduleEmpty",
        "until",
    ),
    # Rolls and calendars
    (kind("monthly", roll=Roll.FOLLOWING), "CalendarMissing", "calendar"),
    (kind("monthly", calendar=BusinessCalendar()), "RollMissing", "roll"),
    (
        kind("monthly", roll="following", calendar=BusinessCalendar()),
        "RollInvalid",
        "roll",
    ),
    (kind("monthly", roll=None), "RollInvalid", "roll"),
    (
        kind("monthly", roll=Roll.FOLLOWING, calendar={6, 7}),
        "CalendarType",
        "calendar",
    ),
    (
        calendar(holidays={START}),
        "CalendarType",
        "holidays",
    ),
    (
        calendar(weekend=[6, 7]),
        "CalendarType",
        "weekend",
    ),
    *(
        (
            calendar(weekend=frozenset({day})),
            "WeekdayInvalid",
            "weekend",
        )
        for day in (0, 8, 1.0, True, "6")
    ),
    *(
        (calendar(name=name), "CalendarName", "name")
        for name in (None, 1, "x" * 101, "a\nb", "a\0", "\u202eFED", "\ud800")
    ),
    (
        calendar(weekend=frozenset(range(1, 8))),
        "CalendarClosed",
        "weekend",
    ),
    (
        lambda: closed_for(32, weekend=frozenset()),
        "CalendarClosed",
        "holidays",
    ),
    # 30 holidays, after a Friday and a Saturday.
    (
        lambda: closed_for(30, weekend=frozenset({5, 6})),
        "CalendarClosed",
        "holidays",
    ),
    # Pauses
    (
        lambda: Pause(from_on=START, to_on=START),
        "PauseEmpty",
        "to_on",
    ),
    (
        lambda: Pause(from_on=START, to_on=date(2026, 1, 30)),
        "PauseEmpty",
        "to_on",
    ),
    (
        paused_by((START, None)),
        "PauseType",
        "pauses",
    ),
    # Numbers of occurrences
    *(
        (number_of(number), "NumberInvalid", "number")
        for number in (0, -1, 1.0, True, "1", None)
    ),
    # 25: an occurrence in the future
    (
        lambda: split_missed(
            [MONTHLY.first], MissedPolicy.ALL, as_of=date(2026, 1, 30)
        ),
        "OccurrenceNotDue",
        "due",
    ),
    (
        policy("all"),
        "PolicyInvalid",
        "policy",
    ),
]


@pytest.mark.parametrize(
    ("make", "code", "path"),
    [
        pytest.param(*row, id=f"{number}-{row[1]}")
        for number, row in enumerate(REFUSED)
    ],
)
def test_what_cannot_recur_is_refused_with_code_and_path(
    make: Callable[[], object], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert (caught.value.code, caught.value.path) == (code, path)


def test_31_closed_days_in_a_row_are_allowed() -> None:
    """S9: the way to an open day is 31 days long, and no longer."""
    closed_for(31, weekend=frozenset())
    closed_for(29, weekend=frozenset({5, 6}))


def test_a_calendar_may_hold_every_holiday_of_300_years() -> None:
    """Look-ups take the same time, and the check goes over them once."""
    mondays = frozenset(
        date(1900, 1, 1) + timedelta(7 * each) for each in range(15_700)
    )
    schedule = Schedule.daily(
        date(1900, 1, 1),
        roll=Roll.FOLLOWING,
        calendar=BusinessCalendar(holidays=mondays),
    )
    found = schedule.next_on_or_after(date(2199, 12, 28))

    assert found
    assert found.charge_on == date(2199, 12, 31)


def test_bad_ends_of_a_range_are_refused_before_anything_is_taken() -> None:
    with pytest.raises(InvalidValueError):
        MONTHLY.occurrences(datetime(2026, 1, 1, tzinfo=UTC))


nonsense = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.datetimes(),
    st.dates(),
    st.lists(st.integers(), max_size=2),
    st.tuples(st.integers(), st.text(max_size=2)),
    st.frozensets(st.integers(), max_size=2),
    st.sampled_from(Roll),
)


@given(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(ScheduleKind), "first_on": nonsense},
        optional=dict.fromkeys(
            (
                "every",
                "days",
                "weekday",
                "until",
                "count",
                "roll",
                "calendar",
            ),
            nonsense,
        ),
    )
)
def test_nonsense_is_refused_by_name_or_makes_a_schedule(
    given: dict[str, Any],
) -> None:
    """E2: nothing but the library's own errors comes out."""
    made: Schedule | InvalidValueError
    try:
        made = Schedule(**given)
    except InvalidValueError as error:
        made = error

    if isinstance(made, Schedule):
        assert made.first.nominal_on >= made.first_on
    else:
        assert made.code
        assert made.path
