"""
A second, slow answer to every question that `Schedule` answers.

It walks the calendar day by day and asks of each day whether the rule names
it, without ranks, months in a row or ordinals. Strategies for schedules stand
beside it: over the whole range, and in a few crowded weeks in which month
ends, weekends, holidays, pauses and ends of schedules collide.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.schedules import DayOfMonth, Pause, Schedule, ScheduleKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


DAY = timedelta(days=1)
FIRST = date(1900, 1, 1)
LAST = date(2200, 12, 31)
NO_MOVES: Mapping[date, date] = MappingProxyType({})
MONTHS = {
    ScheduleKind.TWICE_MONTHLY: 1,
    ScheduleKind.MONTHLY: 1,
    ScheduleKind.LAST_DAY: 1,
    ScheduleKind.QUARTERLY: 3,
    ScheduleKind.SEMIANNUAL: 6,
    ScheduleKind.YEARLY: 12,
}


class Group(NamedTuple):
    """One occurrence, with every nominal date that collapsed into it."""

    charge_on: date
    nominals: list[date]

    @property
    def pair(self) -> tuple[date, date]:
        return self.nominals[0], self.charge_on


def walk(from_on: date, to_on: date) -> Iterator[date]:
    while from_on <= to_on:
        yield from_on
        from_on += DAY


def named(schedule: Schedule, on: date) -> bool:
    """Tell whether the rule names *on*, its interval left aside (S1, S2)."""
    if schedule.kind is ScheduleKind.WEEKLY:
        return on.isoweekday() == schedule.weekday
    if schedule.kind in {ScheduleKind.ONCE, ScheduleKind.DAILY}:
        return True
    if (
        schedule.kind is ScheduleKind.YEARLY
        and on.month != schedule.first_on.month
    ):
        return False
    length = monthrange(on.year, on.month)[1]
    return on.day in {
        length if day == "last" else min(day, length) for day in schedule.days
    }


def in_step(schedule: Schedule, first: date, on: date) -> bool:
    """Tell whether *on* is a whole number of intervals after *first* (S3)."""
    if schedule.kind is ScheduleKind.ONCE:
        return on == first
    if schedule.kind in MONTHS:
        months = 12 * (on.year - first.year) + on.month - first.month
        return months % (MONTHS[schedule.kind] * schedule.every) == 0
    unit = 7 if schedule.kind is ScheduleKind.WEEKLY else 1
    return (on - first).days % (unit * schedule.every) == 0


def nominal_dates(schedule: Schedule, horizon: date) -> Iterator[date]:
    """Yield the nominal dates up to `until`, whatever `count` says."""
    days = walk(schedule.first_on, min(schedule.until or LAST, horizon))
    first: date | None = None
    for on in days:
        if named(schedule, on):
            first = first or on
            if in_step(schedule, first, on):
                yield on


def is_open(calendar: BusinessCalendar, on: date) -> bool:
    weekend = on.isoweekday() in calendar.weekend
    return not weekend and on not in calendar.holidays


def rolled(schedule: Schedule, nominal: date) -> date:
    """Roll *nominal*, going forward rather than before the start (S9)."""
    calendar = schedule.calendar
    if calendar is None:
        return nominal
    after = nominal
    while not is_open(calendar, after):
        after += DAY
    if schedule.roll is Roll.FOLLOWING:
        return after
    modified = schedule.roll is Roll.MODIFIED_FOLLOWING
    if modified and after.month == nominal.month:
        return after
    earlier = nominal
    while not is_open(calendar, earlier):
        earlier -= DAY
    return earlier if earlier >= schedule.first_on else after


def groups(
    schedule: Schedule,
    horizon: date,
    dropped_by: Collection[Pause] = (),
    skips: Collection[date] = (),
    moves: Mapping[date, date] = NO_MOVES,
) -> Iterator[Group]:
    """
    Yield the occurrences charged up to *horizon*, without what is dropped.

    What is dropped does not use up `count` (S5, S11).
    """
    left = schedule.count
    # Whatever is charged up to the horizon is named at most a roll later.
    nominals = nominal_dates(schedule, horizon + 32 * DAY)
    ruled = [
        Group(charge_on, list(collapsed))
        for charge_on, collapsed in groupby(
            nominals, key=lambda each: rolled(schedule, each)
        )
    ]
    for charge_on, named in moved(schedule, ruled, moves):
        if charge_on > horizon:
            return
        if any(
            on in skips
            or any(
                pause.from_on <= on < (pause.to_on or date.max)
                for pause in dropped_by
            )
            for on in (named[0], charge_on)
        ):
            continue
        kept = named if left is None else named[:left]
        if left is not None:
            left -= len(kept)
        if not kept:
            return
        yield Group(charge_on, kept)


def moved(
    schedule: Schedule, ruled: list[Group], moves: Mapping[date, date]
) -> Iterator[Group]:
    """Give each date the day it was moved to, if that is between (S15)."""
    before: date | None = None
    for place, group in enumerate(ruled):
        to = moves.get(group.nominals[0])
        after = [each.charge_on for each in ruled[place + 1 : place + 2]]
        if (
            to is not None
            and (to >= schedule.first_on if before is None else to > before)
            and all(to < each for each in after)
        ):
            before = to
        else:
            before = group.charge_on
        yield Group(before, group.nominals)


def pairs(
    schedule: Schedule,
    horizon: date,
    dropped_by: Collection[Pause] = (),
    skips: Collection[date] = (),
    moves: Mapping[date, date] = NO_MOVES,
) -> list[tuple[date, date]]:
    """Return (nominal, charge) of the occurrences up to *horizon*."""
    found = groups(schedule, horizon, dropped_by, skips, moves)
    return [group.pair for group in found]


# -- Strategies ---------------------------------------------------------------

CROWDED_FIRST = date(2023, 12, 25)
CROWDED_LAST = date(2024, 4, 10)

# Two years before the end every schedule still has an occurrence.
any_date = st.dates(FIRST, date(2198, 12, 31))
crowded_date = st.dates(CROWDED_FIRST, CROWDED_LAST)
near_month_end = st.builds(
    lambda year, month, back: (
        date(year, month, monthrange(year, month)[1]) - back * DAY
    ),
    st.sampled_from([1999, 2000, 2023, 2024, 2026, 2096, 2100]),
    st.integers(1, 12),
    st.integers(0, 3),
)
some_date = st.one_of(crowded_date, near_month_end, any_date)

day_numbers = st.one_of(st.integers(28, 31), st.integers(1, 31))
last_day: st.SearchStrategy[DayOfMonth] = st.just("last")
two_days = st.lists(
    st.one_of(day_numbers, last_day), min_size=2, max_size=2
).filter(lambda days: days[0] != days[1] and set(days) != {31, "last"})
intervals = st.one_of(
    st.just(1), st.integers(1, 4), st.sampled_from([5, 11, 12, 13, 90, 1000])
)


@st.composite
def calendars(
    draw: st.DrawFn, around: st.SearchStrategy[date] = crowded_date
) -> BusinessCalendar:
    """Draw calendars, some with closed stretches of up to a month."""
    weekend = draw(
        st.one_of(
            st.just(frozenset({6, 7})),
            st.frozensets(st.integers(1, 7), max_size=3),
        )
    )
    holidays = set(draw(st.frozensets(around, max_size=12)))
    if draw(st.booleans()):
        closed_from = draw(around)
        length = draw(st.integers(1, 24))
        holidays |= {closed_from + each * DAY for each in range(length)}
    # At most 12 + 24 days and what weekends add could be closed in a row;
    # S9 allows 31.
    while _longest_closed(weekend, holidays) > 31:
        holidays.remove(max(holidays))
    return BusinessCalendar(holidays=frozenset(holidays), weekend=weekend)


def _longest_closed(weekend: frozenset[int], holidays: set[date]) -> int:
    if not holidays:
        return len(weekend)
    longest = run = 0
    day = max(min(holidays) - 7 * DAY, date.min)
    while day <= max(holidays) + 7 * DAY:
        closed = day.isoweekday() in weekend or day in holidays
        run = run + 1 if closed else 0
        longest = max(longest, run)
        day += DAY
    return longest


@st.composite
def schedules(
    draw: st.DrawFn,
    starts: st.SearchStrategy[date] = some_date,
    *,
    rolls: bool = True,
    ends: bool = True,
) -> Schedule:
    """Draw schedules of every kind, end, calendar and roll."""
    kind = draw(st.sampled_from(ScheduleKind))
    first_on = draw(starts)
    days: tuple[DayOfMonth, ...] = ()
    weekday = None
    every = draw(intervals)
    if kind is ScheduleKind.TWICE_MONTHLY:
        drawn = draw(two_days)
        days = tuple(sorted(drawn, key=lambda day: (day == "last", day)))
        every = 1
    elif kind is ScheduleKind.LAST_DAY:
        days = ("last",)
    elif kind in MONTHS:
        days = (draw(st.one_of(st.just(first_on.day), day_numbers)),)
    elif kind is ScheduleKind.WEEKLY:
        weekday = draw(st.integers(1, 7))
    elif kind is ScheduleKind.ONCE:
        every = 1
    endless = Schedule(
        kind=kind, first_on=first_on, every=every, days=days, weekday=weekday
    )
    until = count = None
    if ends:
        # Not before the first nominal date: that would be refused.
        least = endless.first.nominal_on
        until = draw(
            st.one_of(
                st.none(),
                st.dates(least, min(LAST, least + 150 * DAY)),
                st.dates(least, LAST),
            )
        )
        count = draw(st.one_of(st.none(), st.integers(1, 30)))
    roll, calendar = Roll.NONE, None
    if rolls and draw(st.booleans()):
        roll = draw(st.sampled_from(list(Roll)[1:]))
        last = first_on + 100 * DAY
        around = st.dates(max(FIRST, first_on - 10 * DAY), last)
        calendar = draw(calendars(around))
    return Schedule(
        kind=kind,
        first_on=first_on,
        every=every,
        days=days,
        weekday=weekday,
        until=until,
        count=count,
        roll=roll,
        calendar=calendar,
    )


pauses = st.builds(
    lambda from_on, length: Pause(
        from_on=from_on,
        to_on=None if length is None else from_on + length * DAY,
    ),
    crowded_date,
    st.one_of(st.none(), st.integers(1, 60)),
)

moves = st.dictionaries(crowded_date, crowded_date, max_size=8)
