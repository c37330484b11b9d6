"""
The rules S1 to S12, each test with the ids of those it keeps.

Examples come first, then properties against the day-by-day oracle. Cases
computed by others are in test_schedules_cases, other libraries' answers in
test_schedules_oracles, refusals in test_schedules_bad_input.
"""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from datetime import date
from itertools import islice, pairwise, takewhile
from typing import Any, TypedDict

import attrs
import pendulum
import pytest
from hypothesis import assume, example, given, strategies as st

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.schedules import (
    MissedPolicy,
    Occurrence,
    Pause,
    Schedule,
    ScheduleKind,
    one_year_after,
    split_missed,
)
from oracles_schedules import (
    CROWDED_LAST,
    DAY,
    any_date,
    crowded_date,
    groups,
    moves,
    near_month_end,
    pairs,
    pauses,
    schedules,
    some_date,
)

WEEKENDS = BusinessCalendar()
FRIDAYS_TOO = BusinessCalendar(weekend=frozenset({5, 6, 7}))
# Friday to Monday; the days on which it is open are Thursday 28 and Tuesday 2.
EASTER = BusinessCalendar(
    holidays=frozenset({date(2024, 3, 29), date(2024, 4, 1)}),
    name="Easter 2024",
)
YEAR = 366 * DAY


class Beside(TypedDict):
    """What a person changes about a schedule."""

    pauses: list[Pause]
    skips: frozenset[date]
    moves: dict[date, date]


def days(text: str) -> list[date]:
    return [date.fromisoformat(each) for each in text.split()]


def nominals(schedule: Schedule, most: int = 40) -> list[date]:
    return [each.nominal_on for each in islice(schedule.occurrences(), most)]


def charges(schedule: Schedule, most: int = 40) -> list[date]:
    return [each.charge_on for each in islice(schedule.occurrences(), most)]


def pair(occurrence: Occurrence | None) -> tuple[date, date] | None:
    return occurrence and (occurrence.nominal_on, occurrence.charge_on)


# -- S1 to S4: which dates ----------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.once(date(2026, 2, 28)), "2026-02-28"),
        (
            Schedule.daily(date(2026, 2, 27)),
            "2026-02-27 2026-02-28 2026-03-01",
        ),
        (
            Schedule.daily(date(2026, 2, 27), every=30),
            "2026-02-27 2026-03-29 2026-04-28",
        ),
        (
            Schedule.weekly(date(2026, 2, 27)),
            "2026-02-27 2026-03-06 2026-03-13",
        ),
        (
            Schedule.weekly(date(2026, 2, 27), every=2),
            "2026-02-27 2026-03-13 2026-03-27",
        ),
        (
            Schedule.twice_monthly(date(2026, 2, 16)),
            "2026-02-28 2026-03-15 2026-03-31",
        ),
        (
            Schedule.twice_monthly(date(2026, 2, 2), days=(1, 15)),
            "2026-02-15 2026-03-01 2026-03-15",
        ),
        (
            Schedule.monthly(date(2026, 1, 31)),
            "2026-01-31 2026-02-28 2026-03-31",
        ),
        (
            Schedule.monthly(date(2026, 11, 30), every=3),
            "2026-11-30 2027-02-28 2027-05-30",
        ),
        (
            Schedule.last_day(date(2026, 2, 28)),
            "2026-02-28 2026-03-31 2026-04-30",
        ),
        (
            Schedule.last_day(date(2026, 2, 1), every=12),
            "2026-02-28 2027-02-28 2028-02-29",
        ),
        (
            Schedule.quarterly(date(2026, 1, 31)),
            "2026-01-31 2026-04-30 2026-07-31",
        ),
        (
            Schedule.semiannual(date(2025, 8, 31)),
            "2025-08-31 2026-02-28 2026-08-31",
        ),
        (
            Schedule.yearly(date(2024, 2, 29)),
            "2024-02-29 2025-02-28 2026-02-28",
        ),
    ],
    ids=str,
)
def test_s1_every_kind_has_its_dates(
    schedule: Schedule, expected: str
) -> None:
    assert nominals(schedule, 3) == days(expected)


def test_s2_a_short_month_does_not_shorten_the_months_after_it() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))

    assert nominals(schedule, 5) == days(
        "2026-01-31 2026-02-28 2026-03-31 2026-04-30 2026-05-31"
    )


def test_s2_29_february_comes_back_in_leap_years_but_not_in_2100() -> None:
    schedule = Schedule.yearly(date(2096, 2, 29))

    assert nominals(schedule, 9) == days(
        "2096-02-29 2097-02-28 2098-02-28 2099-02-28 2100-02-28 "
        "2101-02-28 2102-02-28 2103-02-28 2104-02-29"
    )


def test_s2_the_anchor_day_may_be_later_than_the_first_date() -> None:
    assert nominals(Schedule.monthly(date(2026, 2, 28), day=31), 3) == days(
        "2026-02-28 2026-03-31 2026-04-30"
    )
    assert nominals(Schedule.yearly(date(2027, 2, 28), day=29), 3) == days(
        "2027-02-28 2028-02-29 2029-02-28"
    )


def test_s2_day_30_is_not_the_last_day() -> None:
    schedule = Schedule.monthly(date(2026, 4, 30))

    assert nominals(schedule, 3) == days("2026-04-30 2026-05-30 2026-06-30")
    assert schedule != Schedule.last_day(date(2026, 4, 30))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            Schedule.monthly(date(2026, 1, 15), day=31, every=2),
            "2026-01-31 2026-03-31",
        ),
        # The 10th of this month has passed: February, and from there.
        (
            Schedule.monthly(date(2026, 1, 15), day=10, every=2),
            "2026-02-10 2026-04-10",
        ),
        (
            Schedule.quarterly(date(2026, 1, 15), day=10),
            "2026-02-10 2026-05-10",
        ),
        (
            Schedule.semiannual(date(2026, 12, 15), day=10),
            "2027-01-10 2027-07-10",
        ),
        # A year's date is a day of one month.
        (Schedule.yearly(date(2026, 1, 15), day=10), "2027-01-10 2028-01-10"),
        (Schedule.yearly(date(2026, 1, 15), day=20), "2026-01-20 2027-01-20"),
        (
            Schedule.last_day(date(2026, 1, 30), every=3),
            "2026-01-31 2026-04-30",
        ),
        (
            Schedule.weekly(date(2026, 1, 15), weekday=1, every=3),
            "2026-01-19 2026-02-09",
        ),
        (
            Schedule.twice_monthly(date(2026, 1, 16), days=(10, 16)),
            "2026-01-16 2026-02-10",
        ),
    ],
    ids=repr,
)
def test_s3_the_first_match_counts_and_intervals_start_there(
    schedule: Schedule, expected: str
) -> None:
    assert nominals(schedule, 2) == days(expected)


@pytest.mark.parametrize(
    ("two", "expected"),
    [
        ((30, "last"), "2026-02-28 2026-03-30 2026-03-31 2026-04-30"),
        ((29, 30), "2026-02-28 2026-03-29 2026-03-30 2026-04-29"),
        ((30, 31), "2026-02-28 2026-03-30 2026-03-31 2026-04-30"),
        ((28, "last"), "2026-02-28 2026-03-28 2026-03-31 2026-04-28"),
        ((27, 28), "2026-02-27 2026-02-28 2026-03-27 2026-03-28"),
    ],
)
def test_s4_two_days_on_one_date_are_one_occurrence(
    two: tuple[int, int], expected: str
) -> None:
    schedule = Schedule.twice_monthly(date(2026, 2, 1), days=two)

    assert nominals(schedule, 4) == days(expected)
    # One occurrence also for whoever counts them.
    counted = attrs.evolve(schedule, count=4)
    assert nominals(counted) == days(expected)
    for number, on in enumerate(days(expected), start=1):
        assert schedule.number_of(on) == number
        assert pair(schedule.nth(number)) == (on, on)


def test_s4_in_a_leap_year_28_and_last_are_two_dates_even_in_february() -> (
    None
):
    schedule = Schedule.twice_monthly(date(2028, 2, 1), days=(28, "last"))

    assert nominals(schedule, 2) == days("2028-02-28 2028-02-29")


def test_s4_the_order_of_the_two_days_does_not_matter() -> None:
    one = Schedule.twice_monthly(date(2026, 2, 1), days=("last", 15))
    other = Schedule.twice_monthly(date(2026, 2, 1), days=(15, "last"))

    assert one == other
    assert hash(one) == hash(other)


# -- S5, S6: ends -------------------------------------------------------------


def test_s5_until_is_inclusive() -> None:
    on_it = Schedule.monthly(date(2026, 1, 31), until=date(2026, 2, 28))
    before_it = Schedule.monthly(date(2026, 1, 31), until=date(2026, 2, 27))

    assert nominals(on_it) == days("2026-01-31 2026-02-28")
    assert nominals(before_it) == days("2026-01-31")


def test_s5_until_is_judged_on_the_nominal_date() -> None:
    # Saturday 31 January is charged on Monday 2 February.
    schedule = Schedule.monthly(
        date(2026, 1, 31),
        until=date(2026, 1, 31),
        roll=Roll.FOLLOWING,
        calendar=WEEKENDS,
    )

    assert charges(schedule) == days("2026-02-02")
    assert schedule.next_on_or_after(date(2026, 2, 3)) is None


def test_s5_count_is_judged_on_nominal_dates() -> None:
    # Friday, Saturday, Sunday: three dates, two charges.
    schedule = Schedule.daily(
        date(2026, 1, 30), count=3, roll=Roll.FOLLOWING, calendar=WEEKENDS
    )

    assert charges(schedule) == days("2026-01-30 2026-02-02")


def test_s5_the_earlier_of_two_ends_counts() -> None:
    first_on, until = date(2026, 1, 1), date(2026, 1, 3)

    assert len(nominals(Schedule.daily(first_on, until=until, count=9))) == 3
    assert len(nominals(Schedule.daily(first_on, until=until, count=2))) == 2


@given(near_month_end, st.integers(1, 31))
@example(date(2024, 2, 29), 29)
@example(date(2024, 2, 29), 31)
@example(date(2023, 2, 28), 31)
@example(date(2023, 2, 28), 29)
@example(date(2026, 1, 31), 31)
def test_s6_a_year_has_12_months_4_quarters_2_halves_and_1_year(
    first_on: date, day: int
) -> None:
    for schedule, expected in (
        (Schedule.monthly(first_on, day=day), 12),
        (Schedule.monthly(first_on, day=day, every=5), 3),
        (Schedule.last_day(first_on), 12),
        (Schedule.quarterly(first_on, day=day), 4),
        (Schedule.semiannual(first_on, day=day), 2),
        (Schedule.yearly(first_on, day=day), 1),
    ):
        end = schedule.one_year_ends_on
        inside = [on for on in nominals(schedule) if on < end]
        assert len(inside) == expected, schedule
        # Not one day too early either: the anniversary is the first outside.
        assert end == one_year_after(inside[0])


def test_s6_the_anniversary_itself_does_not_run() -> None:
    schedule = Schedule.daily(date(2026, 1, 31))

    assert schedule.one_year_ends_on == date(2027, 1, 31)


def test_s6_the_year_starts_with_the_first_occurrence_not_before() -> None:
    schedule = Schedule.monthly(date(2026, 1, 15), day=31)

    assert schedule.one_year_ends_on == date(2027, 1, 31)


def test_s6_the_year_is_judged_on_nominal_dates() -> None:
    schedule = Schedule.monthly(
        date(2026, 1, 31), roll=Roll.FOLLOWING, calendar=WEEKENDS
    )

    assert schedule.first.charge_on == date(2026, 2, 2)
    assert schedule.one_year_ends_on == date(2027, 1, 31)


# -- S9: rolling --------------------------------------------------------------


@pytest.mark.parametrize(
    ("roll", "expected"),
    [
        (Roll.NONE, "2026-01-31 2026-02-28 2026-03-31 2026-04-30 2026-05-31"),
        (
            Roll.FOLLOWING,
            "2026-02-02 2026-03-02 2026-03-31 2026-04-30 2026-06-01",
        ),
        # The first one would be charged before the start.
        (
            Roll.MODIFIED_FOLLOWING,
            "2026-02-02 2026-02-27 2026-03-31 2026-04-30 2026-05-29",
        ),
        (
            Roll.PRECEDING,
            "2026-02-02 2026-02-27 2026-03-31 2026-04-30 2026-05-29",
        ),
    ],
)
def test_s9_month_ends_roll_off_weekends(roll: Roll, expected: str) -> None:
    schedule = Schedule.monthly(
        date(2026, 1, 31),
        roll=roll,
        calendar=None if roll is Roll.NONE else WEEKENDS,
    )

    assert charges(schedule, 5) == days(expected)
    assert nominals(schedule, 5) == days(
        "2026-01-31 2026-02-28 2026-03-31 2026-04-30 2026-05-31"
    )


def test_s9_modified_following_differs_from_preceding_within_a_month() -> None:
    modified = Schedule.monthly(
        date(2026, 1, 3), roll=Roll.MODIFIED_FOLLOWING, calendar=WEEKENDS
    )

    assert charges(modified, 2) == days("2026-01-05 2026-02-03")


@pytest.mark.parametrize("roll", [Roll.PRECEDING, Roll.MODIFIED_FOLLOWING])
def test_s9_no_roll_goes_before_the_start_and_none_overtakes_the_first(
    roll: Roll,
) -> None:
    # Saturday 30 and Sunday 31 May: back would be Friday 29.
    schedule = Schedule.daily(date(2026, 5, 30), roll=roll, calendar=WEEKENDS)

    assert [pair(each) for each in islice(schedule.occurrences(), 2)] == [
        (date(2026, 5, 30), date(2026, 6, 1)),
        (date(2026, 6, 2), date(2026, 6, 2)),
    ]


def test_s9_a_first_occurrence_after_first_on_may_go_back_to_it() -> None:
    schedule = Schedule.last_day(
        date(2026, 1, 30), roll=Roll.PRECEDING, calendar=WEEKENDS
    )

    assert schedule.first.charge_on == date(2026, 1, 30)


def test_s9_dates_that_collapse_are_identified_by_the_earliest() -> None:
    schedule = Schedule.daily(
        date(2024, 3, 28), roll=Roll.FOLLOWING, calendar=EASTER
    )

    assert [pair(each) for each in islice(schedule.occurrences(), 3)] == [
        (date(2024, 3, 28), date(2024, 3, 28)),
        (date(2024, 3, 29), date(2024, 4, 2)),
        (date(2024, 4, 3), date(2024, 4, 3)),
    ]
    for nominal_on in days("2024-03-29 2024-03-31 2024-04-02"):
        assert pair(schedule.occurrence_of(nominal_on)) == (
            date(2024, 3, 29),
            date(2024, 4, 2),
        )


def test_s9_going_back_the_earliest_of_a_collapse_is_the_open_day() -> None:
    schedule = Schedule.daily(
        date(2026, 5, 1), roll=Roll.PRECEDING, calendar=WEEKENDS
    )

    for nominal_on in days("2026-05-29 2026-05-30 2026-05-31"):
        assert pair(schedule.occurrence_of(nominal_on)) == (
            date(2026, 5, 29),
            date(2026, 5, 29),
        )


def test_s9_a_collapse_across_the_question_keeps_its_earliest_date() -> None:
    schedule = Schedule.daily(
        date(2024, 1, 1), roll=Roll.FOLLOWING, calendar=EASTER
    )

    assert pair(schedule.next_on_or_after(date(2024, 3, 31))) == (
        date(2024, 3, 29),
        date(2024, 4, 2),
    )


def test_s9_31_closed_days_in_a_row_are_rolled_over() -> None:
    closed = frozenset(date(2026, 3, 1) + each * DAY for each in range(31))
    calendar = BusinessCalendar(holidays=closed, weekend=frozenset())
    schedule = Schedule.monthly(
        date(2026, 3, 1), roll=Roll.FOLLOWING, calendar=calendar
    )

    # Two months become one occurrence.
    assert [pair(each) for each in islice(schedule.occurrences(), 2)] == [
        (date(2026, 3, 1), date(2026, 4, 1)),
        (date(2026, 5, 1), date(2026, 5, 1)),
    ]


# -- S10: questions -----------------------------------------------------------


def test_s10_next_looks_at_charge_dates() -> None:
    schedule = Schedule.monthly(
        date(2026, 1, 31), roll=Roll.FOLLOWING, calendar=WEEKENDS
    )

    assert pair(schedule.next_on_or_after(date(2026, 3, 1))) == (
        date(2026, 2, 28),
        date(2026, 3, 2),
    )


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule.daily(date(2026, 1, 31)),
        Schedule.weekly(date(2026, 1, 31), every=2),
        Schedule.monthly(date(2026, 1, 31)),
        Schedule.twice_monthly(date(2026, 1, 31), days=(30, "last")),
    ],
    ids=str,
)
def test_s10_far_questions_look_at_as_few_dates_as_near_ones(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    kind: Any = type(schedule._line.dates)
    select = kind.select

    def counting(dates: object, index: int) -> object:
        nonlocal looked_at
        looked_at += 1
        return select(dates, index)

    monkeypatch.setattr(kind, "select", counting)
    for on in (date(2026, 2, 1), date(2036, 2, 1), date(2199, 2, 1)):
        looked_at = 0
        assert schedule.next_on_or_after(on)
        assert schedule.previous_on_or_before(on)
        number = schedule.number_of(on + DAY)
        assert schedule.nth(number or 2_000)
        assert looked_at <= 5


@given(schedules())
@example(Schedule.monthly(date(2026, 1, 31))).via("the plainest one")
@example(
    Schedule.daily(
        date(2026, 5, 30), roll=Roll.MODIFIED_FOLLOWING, calendar=WEEKENDS
    )
).via("starts on a weekend at a month end")
@example(
    Schedule.twice_monthly(
        date(2023, 9, 30),
        days=(30, "last"),
        roll=Roll.FOLLOWING,
        calendar=WEEKENDS,
    )
).via("collides before and after rolling")
@example(
    Schedule.daily(
        date(2024, 1, 20),
        roll=Roll.MODIFIED_FOLLOWING,
        calendar=BusinessCalendar(
            holidays=frozenset(
                date(2024, 1, 31) + each * DAY for each in range(30)
            ),
            weekend=frozenset(),
        ),
    )
).via("a whole month is closed")
def test_the_occurrences_are_those_of_the_oracle(
    schedule: Schedule,
) -> None:
    """S1 to S5, S9 and S10, over every kind, end, calendar and roll."""
    horizon = schedule.first_on + 2 * YEAR
    expected = pairs(schedule, horizon)
    found = takewhile(
        lambda each: each.charge_on <= horizon, schedule.occurrences()
    )

    assert [pair(each) for each in found] == expected
    if expected:
        assert pair(schedule.first) == expected[0]


@given(schedules(crowded_date), crowded_date)
@example(
    Schedule.daily(
        date(2024, 3, 23), roll=Roll.PRECEDING, calendar=FRIDAYS_TOO
    ),
    date(2024, 3, 23),
)
@example(
    Schedule.monthly(
        date(2024, 1, 30), roll=Roll.MODIFIED_FOLLOWING, calendar=EASTER
    ),
    date(2024, 3, 29),
)
def test_next_and_previous_are_those_of_the_oracle(
    schedule: Schedule, on: date
) -> None:
    """S9 and S10: by charge dates, identified by the earliest nominal one."""
    horizon = max(schedule.first_on, on) + 2 * YEAR
    known = pairs(schedule, horizon)
    following = next((each for each in known if each[1] >= on), None)
    preceding = [each for each in known if each[1] <= on]

    found = schedule.next_on_or_after(on)
    if found is None or found.charge_on <= horizon:
        assert pair(found) == following
    assert pair(schedule.previous_on_or_before(on)) == (
        preceding[-1] if preceding else None
    )


def test_s10_a_stretch_holds_its_first_charge_date_but_not_its_last() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))
    found = schedule.occurrences(date(2026, 2, 28), date(2026, 4, 30))

    assert [each.charge_on for each in found] == days("2026-02-28 2026-03-31")


@given(schedules(), any_date, any_date)
def test_occurrences_start_and_stop_where_they_are_told(
    schedule: Schedule, on: date, before: date
) -> None:
    """S10: the part of the whole between two charge dates."""
    found = list(islice(schedule.occurrences(on, before), 20))
    following = schedule.next_on_or_after(on)

    if following is not None and following.charge_on < before:
        assert found[0] == following
    else:
        assert not found
    assert all(on <= each.charge_on < before for each in found)
    for one, other in pairwise(found):
        assert one.charge_on < other.charge_on
        assert schedule.next_on_or_after(one.charge_on + DAY) == other
        assert schedule.previous_on_or_before(other.charge_on - DAY) == one


@given(schedules())
def test_nth_counts_nominal_dates(schedule: Schedule) -> None:
    """S5 and S10: dates that collapse all return their occurrence."""
    number = 0
    for group in groups(schedule, schedule.first_on + YEAR):
        for nominal_on in group.nominals:
            number += 1
            assert pair(schedule.nth(number)) == group.pair
            assert pair(schedule.occurrence_of(nominal_on)) == group.pair
            assert schedule.number_of(nominal_on) == number
            assert schedule.is_nominal(nominal_on)


@given(schedules(), any_date)
def test_only_dates_of_the_rule_are_nominal(
    schedule: Schedule, on: date
) -> None:
    number = schedule.number_of(on)

    assert schedule.is_nominal(on) == (number is not None)
    assert (schedule.occurrence_of(on) is None) == (number is None)
    if number is not None:
        found = schedule.nth(number)
        assert found is not None
        assert found.nominal_on <= on


def test_s10_beyond_the_end_there_is_nothing() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31), count=2)

    assert schedule.nth(2) == schedule.previous_on_or_before(date(2200, 1, 1))
    assert schedule.nth(3) is None
    assert schedule.next_on_or_after(date(2026, 3, 1)) is None
    assert schedule.number_of(date(2026, 3, 31)) is None
    assert schedule.previous_on_or_before(date(2026, 1, 30)) is None


@pytest.mark.parametrize("roll", list(Roll))
def test_a_schedule_without_end_ends_with_the_range_of_dates(
    roll: Roll,
) -> None:
    # 31 December 2200 is a Wednesday; closed, it would roll into 2201.
    calendar = BusinessCalendar(holidays=frozenset({date(2200, 12, 31)}))
    for plain in (
        Schedule.daily(date(2200, 12, 1)),
        Schedule.monthly(date(2200, 10, 31), every=1),
        Schedule.twice_monthly(date(2200, 11, 1)),
        Schedule.yearly(date(1900, 12, 31), every=300),
        Schedule.monthly(date(1900, 12, 31), every=1000),
    ):
        schedule = attrs.evolve(
            plain,
            roll=roll,
            calendar=None if roll is Roll.NONE else calendar,
        )
        found = list(schedule.occurrences())
        assert found[-1].charge_on <= date(2200, 12, 31)
        assert found[-1] == schedule.previous_on_or_before(date(2200, 12, 31))
        assert schedule.nth(100_000) is None


def test_the_first_day_of_the_range_can_be_rolled_over() -> None:
    schedule = Schedule.daily(
        date(1900, 1, 1),
        roll=Roll.PRECEDING,
        calendar=BusinessCalendar(holidays=frozenset({date(1900, 1, 1)})),
    )

    assert pair(schedule.next_on_or_after(date(1900, 1, 1))) == (
        date(1900, 1, 1),
        date(1900, 1, 2),
    )


# -- S11: pauses and skips ----------------------------------------------------


def test_s11_a_pause_drops_what_it_covers_and_makes_nothing_up() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))
    pause = Pause(from_on=date(2026, 2, 28), to_on=date(2026, 4, 30))
    found = schedule.occurrences(before=date(2026, 6, 1), pauses=[pause])

    assert [each.nominal_on for each in found] == days(
        "2026-01-31 2026-04-30 2026-05-31"
    )


def test_s11_a_pause_until_further_notice_leaves_nothing_due() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31), count=3)
    pause = Pause(from_on=date(2026, 2, 1))

    assert [*schedule.occurrences(pauses=[pause])] == [schedule.first]
    assert schedule.next_on_or_after(date(2026, 2, 1), pauses=[pause]) is None


def test_s11_neither_a_skip_nor_a_pause_uses_up_the_count() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31), count=3)
    pause = Pause(from_on=date(2026, 3, 1), to_on=date(2026, 5, 1))
    skips = {date(2026, 2, 28)}

    assert [
        each.nominal_on
        for each in schedule.occurrences(pauses=[pause], skips=skips)
    ] == days("2026-01-31 2026-05-31 2026-06-30")
    assert pair(
        schedule.occurrence_of(date(2026, 6, 30), pauses=[pause], skips=skips)
    ) == (date(2026, 6, 30), date(2026, 6, 30))
    for gone in days("2026-02-28 2026-03-31 2026-07-31 2026-06-29"):
        assert (
            schedule.occurrence_of(gone, pauses=[pause], skips=skips) is None
        )


def test_s11_what_is_skipped_after_the_count_is_used_up_changes_nothing() -> (
    None
):
    schedule = Schedule.monthly(date(2026, 1, 31), count=2)

    assert nominals(schedule) == [
        each.nominal_on
        for each in schedule.occurrences(skips={date(2026, 3, 31)})
    ]


def test_s11_until_is_not_moved_by_a_skip() -> None:
    schedule = Schedule.monthly(
        date(2026, 1, 31), until=date(2026, 3, 31), count=3
    )
    found = schedule.occurrences(skips={date(2026, 2, 28)})

    assert [each.nominal_on for each in found] == days("2026-01-31 2026-03-31")


def test_s11_a_payment_made_once_is_not_made_up_when_skipped() -> None:
    schedule = Schedule.once(date(2026, 1, 31), count=1)

    assert [*schedule.occurrences(skips={date(2026, 1, 31)})] == []


def test_s11_a_pause_drops_by_the_nominal_or_the_charge_date() -> None:
    # Saturday 28 February is charged on Monday 2 March.
    schedule = Schedule.monthly(
        date(2026, 1, 31), roll=Roll.FOLLOWING, calendar=WEEKENDS
    )
    march = Pause(from_on=date(2026, 3, 1), to_on=date(2026, 3, 31))
    february = Pause(from_on=date(2026, 2, 28), to_on=date(2026, 3, 1))
    between = Pause(from_on=date(2026, 3, 1), to_on=date(2026, 3, 2))

    on = date(2026, 3, 1)
    for pause in (march, february):
        assert pair(schedule.next_on_or_after(on, pauses=[pause])) == (
            date(2026, 3, 31),
            date(2026, 3, 31),
        )
    assert pair(schedule.next_on_or_after(on, pauses=[between])) == (
        date(2026, 2, 28),
        date(2026, 3, 2),
    )


@pytest.mark.parametrize("skip", [date(2024, 12, 28), date(2024, 12, 27)])
def test_s11_a_skip_is_named_as_people_see_it_or_by_the_rule(
    skip: date,
) -> None:
    # Saturday 28 December is charged on Friday 27 December.
    schedule = Schedule.monthly(
        date(2024, 11, 28), roll=Roll.PRECEDING, calendar=WEEKENDS
    )

    found = schedule.next_on_or_after(date(2024, 12, 1), skips={skip})

    assert pair(found) == (date(2025, 1, 28), date(2025, 1, 28))


def test_s15_a_date_that_was_moved_keeps_its_name_and_its_place() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))
    moves = {date(2026, 2, 28): date(2026, 3, 5)}

    found = schedule.occurrences(before=date(2026, 4, 1), moves=moves)

    assert [pair(each) for each in found] == [
        (date(2026, 1, 31), date(2026, 1, 31)),
        (date(2026, 2, 28), date(2026, 3, 5)),
        (date(2026, 3, 31), date(2026, 3, 31)),
    ]
    for on in (date(2026, 2, 1), date(2026, 3, 5)):
        assert pair(schedule.next_on_or_after(on, moves=moves)) == (
            date(2026, 2, 28),
            date(2026, 3, 5),
        )
    assert pair(
        schedule.previous_on_or_before(date(2026, 3, 4), moves=moves)
    ) == (date(2026, 1, 31), date(2026, 1, 31))
    assert pair(schedule.occurrence_of(date(2026, 2, 28), moves=moves)) == (
        date(2026, 2, 28),
        date(2026, 3, 5),
    )


@pytest.mark.parametrize(
    "to",
    [date(2026, 1, 31), date(2026, 3, 31), date(2026, 4, 1), date(2026, 1, 1)],
)
def test_s15_a_move_past_its_neighbours_is_passed_over(to: date) -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))

    found = schedule.occurrence_of(
        date(2026, 2, 28), moves={date(2026, 2, 28): to}
    )

    assert pair(found) == (date(2026, 2, 28), date(2026, 2, 28))


def test_s15_the_first_date_is_not_moved_before_what_was_agreed() -> None:
    schedule = Schedule.monthly(date(2026, 1, 15), day=31)

    for to, charged in (
        (date(2026, 1, 15), date(2026, 1, 15)),
        (date(2026, 1, 14), date(2026, 1, 31)),
    ):
        moves = {date(2026, 1, 31): to}
        found = schedule.next_on_or_after(date(2026, 1, 1), moves=moves)
        assert pair(found) == (date(2026, 1, 31), charged)


def test_s15_the_last_date_may_go_beyond_the_end() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31), until=date(2026, 2, 28))
    moves = {date(2026, 2, 28): date(2026, 6, 1)}

    assert pair(schedule.next_on_or_after(date(2026, 5, 1), moves=moves)) == (
        date(2026, 2, 28),
        date(2026, 6, 1),
    )


def test_s15_pauses_and_skips_see_where_a_date_was_moved_to() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))
    moves = {date(2026, 2, 28): date(2026, 3, 5)}
    march = Pause(from_on=date(2026, 3, 1), to_on=date(2026, 3, 31))
    on = date(2026, 2, 1)

    for found in (
        schedule.next_on_or_after(on, moves=moves, pauses=[march]),
        schedule.next_on_or_after(on, moves=moves, skips={date(2026, 3, 5)}),
    ):
        assert pair(found) == (date(2026, 3, 31), date(2026, 3, 31))


@given(schedules(crowded_date), crowded_date)
def test_s6_the_last_before_a_day_is_named_before_it(
    schedule: Schedule, on: date
) -> None:
    named = [
        each
        for each in pairs(schedule, CROWDED_LAST + 40 * DAY)
        if each[0] < on
    ]

    found = schedule.last_before(on)

    assert pair(found) == (named[-1] if named else None)


def test_s11_a_collapsed_occurrence_is_dropped_whole_or_not_at_all() -> None:
    # Saturday to Monday, identified by Saturday.
    schedule = Schedule.daily(
        date(2026, 1, 30), count=5, roll=Roll.FOLLOWING, calendar=WEEKENDS
    )
    saturday, sunday = date(2026, 1, 31), date(2026, 2, 1)
    monday_charge = date(2026, 2, 2)

    for kept in (
        schedule.occurrences(skips={sunday}),
        schedule.occurrences(
            pauses=[Pause(from_on=sunday, to_on=date(2026, 2, 2))]
        ),
    ):
        assert [each.charge_on for each in kept] == charges(schedule)
    for dropped in (
        schedule.occurrences(skips={saturday}),
        schedule.occurrences(pauses=[Pause(from_on=saturday, to_on=sunday)]),
    ):
        found = [each.charge_on for each in dropped]
        assert monday_charge not in found
        # Three dates did not count: two more weekdays and a weekend's start.
        assert found == days(
            "2026-01-30 2026-02-03 2026-02-04 2026-02-05 2026-02-06"
        )


@given(
    schedules(crowded_date),
    st.lists(pauses, max_size=3),
    st.frozensets(crowded_date, max_size=5),
    moves,
    crowded_date,
)
@example(
    Schedule.daily(date(2024, 1, 1), count=4),
    [
        Pause(from_on=date(2024, 1, 3), to_on=date(2024, 1, 5)),
        Pause(from_on=date(2024, 1, 2), to_on=date(2024, 1, 4)),
    ],
    frozenset({date(2024, 1, 1), date(2024, 1, 3), date(2024, 1, 6)}),
    {},
    date(2024, 1, 4),
)
@example(
    # From the middle of one weekend to the middle of another.
    Schedule.daily(
        date(2024, 1, 5), count=20, roll=Roll.FOLLOWING, calendar=WEEKENDS
    ),
    [Pause(from_on=date(2024, 1, 7), to_on=date(2024, 1, 14))],
    frozenset({date(2024, 1, 21)}),
    {},
    date(2024, 1, 10),
)
@example(
    Schedule.daily(
        date(2024, 1, 1), roll=Roll.PRECEDING, calendar=FRIDAYS_TOO
    ),
    [Pause(from_on=date(2024, 1, 6))],
    frozenset({date(2024, 1, 1), date(2024, 1, 5)}),
    {},
    date(2024, 1, 2),
)
@example(
    # Two that are moved before the day, one after the other.
    Schedule.weekly(date(2024, 1, 1)),
    [],
    frozenset(),
    {
        date(2024, 1, 8): date(2024, 1, 2),
        date(2024, 1, 15): date(2024, 1, 3),
        date(2024, 1, 22): date(2024, 1, 28),
    },
    date(2024, 1, 5),
)
@example(
    # The last one, moved far beyond the end.
    Schedule.weekly(date(2024, 1, 1), count=2),
    [Pause(from_on=date(2024, 1, 9), to_on=date(2024, 1, 11))],
    frozenset({date(2024, 2, 1)}),
    {date(2024, 1, 8): date(2024, 1, 10)},
    date(2024, 1, 12),
)
def test_s11_what_is_paused_skipped_and_moved_is_that_of_the_oracle(
    schedule: Schedule,
    dropped_by: list[Pause],
    skips: frozenset[date],
    moves: dict[date, date],
    on: date,
) -> None:
    horizon = CROWDED_LAST + 2 * YEAR
    beside = Beside(pauses=dropped_by, skips=skips, moves=moves)
    expected = pairs(schedule, horizon, dropped_by, skips, moves)
    found = schedule.occurrences(**beside)
    within = takewhile(lambda each: each.charge_on <= horizon, found)

    assert [pair(each) for each in within] == expected
    following = schedule.next_on_or_after(on, **beside)
    if following is None or following.charge_on <= horizon:
        assert pair(following) == next(
            (each for each in expected if each[1] >= on), None
        )
    preceding = [each for each in expected if each[1] <= on]
    assert pair(schedule.previous_on_or_before(on, **beside)) == (
        preceding[-1] if preceding else None
    )
    for group in groups(schedule, horizon, moves=moves):
        assert pair(schedule.occurrence_of(group.nominals[0], **beside)) == (
            group.pair if group.pair in expected else None
        )


def test_s11_pauses_cost_no_walk_through_the_past() -> None:
    schedule = Schedule.daily(date(1900, 1, 1), count=100_000)
    pause = Pause(from_on=date(1900, 1, 2), to_on=date(1999, 12, 31))

    # 36,000 dates were dropped, and are made up at the end by the rule.
    assert schedule.next_on_or_after(date(2190, 1, 1)) is None
    found = schedule.next_on_or_after(date(2190, 1, 1), pauses=[pause])
    assert found is not None


# -- S12: missed occurrences --------------------------------------------------

JANUARY, FEBRUARY, MARCH = islice(
    Schedule.monthly(date(2026, 1, 31)).occurrences(), 3
)


@pytest.mark.parametrize(
    ("policy", "as_of", "run", "missed"),
    [
        (
            MissedPolicy.LATEST,
            date(2026, 4, 2),
            [MARCH],
            [JANUARY, FEBRUARY],
        ),
        (MissedPolicy.ALL, date(2026, 4, 2), [JANUARY, FEBRUARY, MARCH], []),
        (
            MissedPolicy.SKIP,
            date(2026, 4, 2),
            [],
            [JANUARY, FEBRUARY, MARCH],
        ),
        # What is due today was not missed.
        (
            MissedPolicy.SKIP,
            date(2026, 3, 31),
            [MARCH],
            [JANUARY, FEBRUARY],
        ),
    ],
)
def test_s12_the_policy_decides_what_of_the_past_runs(
    policy: MissedPolicy,
    as_of: date,
    run: list[Occurrence],
    missed: list[Occurrence],
) -> None:
    due = [MARCH, JANUARY, FEBRUARY]

    assert split_missed(due, policy, as_of=as_of) == (
        tuple(run),
        tuple(missed),
    )


@pytest.mark.parametrize("policy", list(MissedPolicy))
def test_s12_where_nothing_is_due_nothing_is_missed(
    policy: MissedPolicy,
) -> None:
    assert split_missed([], policy, as_of=date(2026, 1, 1)) == ((), ())


@given(st.frozensets(crowded_date, max_size=6), st.sampled_from(MissedPolicy))
def test_s12_nothing_that_was_due_is_lost(
    due_on: frozenset[date], policy: MissedPolicy
) -> None:
    due = [Occurrence(nominal_on=on, charge_on=on) for on in due_on]

    run, missed = split_missed(due, policy, as_of=CROWDED_LAST)

    assert {*run, *missed} == {*due}
    assert len(run) + len(missed) == len(due)


# -- S13 and the shape of the values ------------------------------------------


def test_s13_pendulum_dates_are_accepted_and_plain_dates_come_out() -> None:
    first_on = pendulum.date(2026, 1, 31)
    schedule = Schedule.monthly(
        first_on,
        until=pendulum.date(2026, 12, 31),
        roll=Roll.FOLLOWING,
        calendar=BusinessCalendar(
            holidays=frozenset({pendulum.date(2026, 2, 2)})
        ),
    )
    pause = Pause(
        from_on=pendulum.date(2026, 3, 1), to_on=pendulum.date(2026, 4, 1)
    )
    found = schedule.next_on_or_after(
        pendulum.date(2026, 2, 1), skips={pendulum.date(2026, 2, 28)}
    )

    assert found is not None
    assert found == Occurrence(
        nominal_on=pendulum.date(2026, 1, 31),
        charge_on=pendulum.date(2026, 2, 3),
    )
    calendar = schedule.calendar
    assert calendar is not None
    assert not calendar.is_open(pendulum.date(2026, 2, 2))
    every_date = [
        found.nominal_on,
        found.charge_on,
        schedule.first_on,
        schedule.until,
        schedule.one_year_ends_on,
        pause.from_on,
        pause.to_on,
        *calendar.holidays,
        *nominals(schedule, 1),
        Occurrence(nominal_on=first_on, charge_on=first_on).nominal_on,
    ]
    assert {type(each) for each in every_date} == {date}


REPR_NAMES = {
    "datetime": dt,
    "frozenset": frozenset,
    "BusinessCalendar": BusinessCalendar,
    "Occurrence": Occurrence,
    "Pause": Pause,
    "Roll": Roll,
    "Schedule": Schedule,
}


@given(schedules())
@example(Schedule.once(date(2026, 1, 31)))
@example(Schedule.twice_monthly(date(2026, 1, 31)))
@example(Schedule.weekly(date(2026, 1, 31), weekday=1))
def test_what_repr_shows_reads_back(schedule: Schedule) -> None:
    assert eval(repr(schedule), REPR_NAMES) == schedule  # noqa: S307
    for value in islice(schedule.occurrences(), 2):
        assert eval(repr(value), REPR_NAMES) == value  # noqa: S307


def test_repr_is_short_where_nothing_is_unusual() -> None:
    schedule = Schedule.monthly(date(2026, 1, 31))

    assert repr(schedule) == "Schedule.monthly(datetime.date(2026, 1, 31))"
    assert repr(BusinessCalendar(weekend=frozenset(), name="open")) == (
        "BusinessCalendar(weekend=frozenset(), name='open')"
    )


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.once(date(2026, 1, 31)), "once on 2026-01-31"),
        (Schedule.daily(date(2026, 1, 31)), "every day from 2026-01-31"),
        (
            Schedule.weekly(date(2026, 1, 31), every=2, count=1),
            "every 2 weeks on Saturday from 2026-01-31, once",
        ),
        (
            Schedule.twice_monthly(date(2026, 1, 31), count=12),
            (
                "every month on the 15th and the last day from 2026-01-31, "
                "12 times"
            ),
        ),
        (
            Schedule.monthly(date(2026, 2, 28), day=31, every=3),
            "every 3 months on the 31st from 2026-02-28",
        ),
        (
            Schedule.last_day(
                date(2026, 2, 28),
                until=date(2026, 9, 30),
                roll=Roll.PRECEDING,
                calendar=EASTER,
            ),
            (
                "every month on the last day from 2026-02-28, "
                "until 2026-09-30, "
                "closed days move back to the last open day by Easter 2024"
            ),
        ),
        (
            Schedule.quarterly(
                date(2026, 2, 12), roll=Roll.FOLLOWING, calendar=WEEKENDS
            ),
            (
                "every quarter on the 12th from 2026-02-12, "
                "closed days move to the next open day "
                "by 0 holidays and weekdays 67"
            ),
        ),
        (
            Schedule.semiannual(date(2026, 2, 23), every=2),
            "every 2 half-years on the 23rd from 2026-02-23",
        ),
        (
            Schedule.yearly(date(2027, 2, 28), day=29),
            "every year on 29 February from 2027-02-28",
        ),
    ],
)
def test_str_is_for_people(schedule: Schedule, expected: str) -> None:
    assert str(schedule) == expected


def test_an_occurrence_that_was_rolled_says_what_it_is_for() -> None:
    assert str(JANUARY) == "2026-01-31"
    assert (
        str(
            Occurrence(
                nominal_on=date(2026, 1, 31), charge_on=date(2026, 2, 2)
            )
        )
        == "2026-02-02 (for 2026-01-31)"
    )


@given(schedules(), some_date)
def test_schedules_are_values(schedule: Schedule, on: date) -> None:
    for other in (
        pickle.loads(pickle.dumps(schedule)),  # noqa: S301
        copy.deepcopy(schedule),
        attrs.evolve(schedule),
    ):
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert other.next_on_or_after(on) == schedule.next_on_or_after(on)


@given(schedules(), schedules())
def test_different_schedules_are_not_equal(
    one: Schedule, other: Schedule
) -> None:
    assume(repr(one) != repr(other))

    assert one != other


def test_schedules_cannot_be_changed() -> None:
    schedule: Any = Schedule.monthly(date(2026, 1, 31))

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        schedule.every = 2
    assert not hasattr(schedule, "__dict__")


def test_s1_the_kinds_keep_the_names_under_which_they_are_stored() -> None:
    assert {each.value for each in ScheduleKind} == {
        "once",
        "daily",
        "weekly",
        "twice_monthly",
        "monthly",
        "last_day",
        "quarterly",
        "semiannual",
        "yearly",
    }
