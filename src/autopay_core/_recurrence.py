"""
Which dates recur: kinds of schedules, and their arithmetic (S1 to S4).

Holds: `ScheduleKind`, `DayOfMonth`, the checks of what recurs, and three
rules, each a pair of functions over an ascending sequence of *nominal dates*:
``select(k)``, the k-th of them, and ``rank(d)``, how many lie before *d*. Both
are integer arithmetic, so every question costs the same however far it lies
from the start (S10). Imports: `_checks`, `business_days`, `errors`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from functools import lru_cache
from typing import Final, Literal, TypeAlias, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    DATE_MIN,
    Choice,
    Readable,
    check_type,
    plain_date,
)
from autopay_core.business_days import (
    MONDAY,
    SUNDAY,
    BusinessCalendar,
    Roll,
)
from autopay_core.errors import InvalidValueError

__all__ = [
    "EVERY_MAX",
    "DayOfMonth",
    "ScheduleKind",
    "one_year_after",
]

DayOfMonth: TypeAlias = int | Literal["last"]
"""A day of the month: 1 to 31, or the last one whatever its number."""

EVERY_MAX: Final = 1_000
"""Largest interval, in units of the schedule's kind."""

# Every month has the days up to here, so nothing needs clamping.
_ALWAYS_THERE: Final = 28
_LONGEST: Final = 31
_FEBRUARY: Final = 1
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Charge dates may lie a month outside the range of nominal ones.
_FIRST_TABLE_YEAR: Final = DATE_MIN.year - 1
_LAST_TABLE_YEAR: Final = DATE_MAX.year + 1


class ScheduleKind(Choice):
    """How a schedule recurs (S1)."""

    ONCE = "once"
    """On one date."""
    DAILY = "daily"
    """Every day, or every so many."""
    WEEKLY = "weekly"
    """On one day of the week."""
    TWICE_MONTHLY = "twice_monthly"
    """On two days of the month, of which one may be the last."""
    MONTHLY = "monthly"
    """On one day of the month."""
    LAST_DAY = "last_day"
    """On the last day of the month."""
    QUARTERLY = "quarterly"
    """Every three months."""
    SEMIANNUAL = "semiannual"
    """Every six months."""
    YEARLY = "yearly"
    """Every year."""


_MONTHS_OF: Final = {
    ScheduleKind.MONTHLY: 1,
    ScheduleKind.LAST_DAY: 1,
    ScheduleKind.QUARTERLY: 3,
    ScheduleKind.SEMIANNUAL: 6,
    ScheduleKind.YEARLY: 12,
}
_WITHOUT_INTERVAL: Final = frozenset(
    {ScheduleKind.ONCE, ScheduleKind.TWICE_MONTHLY}
)


def month_of(on: date) -> int:
    """Return the month's number when those of all years are in a row."""
    return on.year * 12 + on.month - 1


def month_length(month: int) -> int:
    """Count the days of the month that `month_of` numbered."""
    year, of_year = divmod(month, 12)
    if (
        of_year == _FEBRUARY
        and year % 4 == 0
        and (year % 100 != 0 or year % 400 == 0)
    ):
        return 29
    return _MONTH_LENGTHS[of_year]


def one_year_after(first_on: date) -> date:
    """
    Return the first day outside the year that starts on *first_on* (S6).

    Twelve months later, or the last day of that month. The window is half
    open, so the anniversary itself does not run: 12 monthly occurrences, 4
    quarterly ones, 1 yearly one, always.

    >>> one_year_after(date(2024, 2, 29))
    datetime.date(2025, 2, 28)

    Args:
        first_on: Nominal date of the first occurrence of that year.

    Raises:
        InvalidValueError: Not a date from 1900 to 2200.

    Source:
        Rule S6.

    """
    first_on = plain_date(first_on, "first_on")
    month = month_of(first_on) + 12
    day = min(first_on.day, month_length(month))
    return date(month // 12, month % 12 + 1, day)


@final
@attrs.frozen(repr=False, eq=False)
class EveryDays(Readable):
    """
    Nominal dates a fixed number of days apart.

    Attributes:
        first: Ordinal of the first one.
        step: Days.

    """

    first: int
    step: int

    def rank(self, on: date) -> int:
        """Count the nominal dates before *on*."""
        behind = on.toordinal() - self.first
        return -(-behind // self.step) if behind > 0 else 0

    def select(self, index: int) -> date:
        """Return the nominal date with *index* others before it."""
        return date.fromordinal(self.first + index * self.step)


@final
@attrs.frozen(repr=False, eq=False)
class EveryMonths(Readable):
    """
    Nominal dates on one day of months a fixed number apart (S2).

    Attributes:
        first: Number of the first month.
        step: Months.
        day: 1 to 31, clamped to the length of each month.

    """

    first: int
    step: int
    day: int

    def rank(self, on: date) -> int:
        """Count the nominal dates before *on*."""
        ahead = on.year * 12 + on.month - 1 - self.first
        if ahead < 0:
            return 0
        index, rest = divmod(ahead, self.step)
        # Without clamping: on 28 February nothing is later than the 31st.
        return index + 1 if rest or on.day > self.day else index

    def select(self, index: int) -> date:
        """Return the nominal date with *index* others before it."""
        month = self.first + index * self.step
        day = self.day
        if day > _ALWAYS_THERE:
            day = min(day, month_length(month))
        year, of_year = divmod(month, 12)
        return date(year, of_year + 1, day)


@lru_cache(maxsize=4)
def _dates_before_months(low: int) -> tuple[int, ...]:
    """
    Count the dates of a twice-monthly rule before each month of the range.

    Two a month, one where the month is too short to tell *low* from the
    later day (S4). 3,600 numbers make `rank` a look-up and `select` a binary
    search; a closed form over leap years would be neither shorter nor
    clearer.
    """
    counts = [0]
    for month in range(_FIRST_TABLE_YEAR * 12, _LAST_TABLE_YEAR * 12 + 12):
        counts.append(counts[-1] + (2 if low < month_length(month) else 1))
    return tuple(counts)


@final
@attrs.frozen(repr=False, eq=False)
class TwiceMonthly(Readable):
    """
    Nominal dates on two days of each month, a set (S4).

    Attributes:
        low: The earlier day.
        high: The later day, 31 for the last.
        before: What `_dates_before_months` says of *low*.
        skipped: Dates of the table that lie before the first nominal date.

    """

    low: int
    high: int
    before: tuple[int, ...] = attrs.field(eq=False, repr=False)
    skipped: int = 0

    def rank(self, on: date) -> int:
        """Count the nominal dates before *on*."""
        month = month_of(on)
        rank = self.before[month - _FIRST_TABLE_YEAR * 12] - self.skipped
        # In a month in which the two are one, no day comes after either.
        if on.day > self.low:
            rank += 1
        if on.day > self.high:
            rank += 1
        return max(rank, 0)

    def select(self, index: int) -> date:
        """Return the nominal date with *index* others before it."""
        wanted = index + self.skipped
        place = bisect_right(self.before, wanted) - 1
        month = place + _FIRST_TABLE_YEAR * 12
        day = self.low if wanted == self.before[place] else self.high
        return date(month // 12, month % 12 + 1, min(day, month_length(month)))


Dates: TypeAlias = EveryDays | EveryMonths | TwiceMonthly


def ascending(days: tuple[DayOfMonth, ...]) -> tuple[DayOfMonth, ...]:
    """Put numbers in order and ``"last"`` behind them."""
    check_type(days, tuple, "days", "DaysInvalid")
    return tuple(
        sorted(
            days,
            key=lambda day: day if isinstance(day, int) else _LONGEST + 1,
        )
    )


def dates_of(
    kind: ScheduleKind,
    first_on: date,
    every: int,
    days: tuple[DayOfMonth, ...],
    weekday: int | None,
) -> Dates:
    """Choose the arithmetic of a checked schedule, and its start (S3)."""
    if kind in {ScheduleKind.ONCE, ScheduleKind.DAILY}:
        return EveryDays(first_on.toordinal(), every)
    if weekday is not None:
        ahead = (weekday - first_on.isoweekday()) % 7
        return EveryDays(first_on.toordinal() + ahead, 7 * every)
    numbers = [_LONGEST if day == "last" else day for day in days]
    if kind is ScheduleKind.TWICE_MONTHLY:
        low, high = numbers
        before = _dates_before_months(max(low, _ALWAYS_THERE - 1))
        all_dates = TwiceMonthly(low, high, before)
        return attrs.evolve(all_dates, skipped=all_dates.rank(first_on))
    [day] = numbers
    month = month_of(first_on)
    if first_on.day > day:
        # A day that this month lacks has not passed: it is the last one.
        month += 12 if kind is ScheduleKind.YEARLY else 1
    step = _MONTHS_OF[kind] * every
    return EveryMonths(month, step, day)


def check_recurrence(
    kind: ScheduleKind,
    every: int,
    days: tuple[DayOfMonth, ...],
    weekday: int | None,
) -> None:
    """Refuse what cannot recur (S1, S4)."""
    most = 1 if kind in _WITHOUT_INTERVAL else EVERY_MAX
    if type(every) is not int or not 1 <= every <= most:
        raise InvalidValueError(
            f"the interval must be an int from 1 to {most}",
            code="EveryInvalid",
            path="every",
            value=every,
        )
    if kind is ScheduleKind.WEEKLY:
        if type(weekday) is not int or not MONDAY <= weekday <= SUNDAY:
            raise InvalidValueError(
                "expected an ISO weekday, 1 for Monday to 7 for Sunday",
                code="WeekdayInvalid",
                path="weekday",
                value=weekday,
            )
    elif weekday is not None:
        raise InvalidValueError(
            "only a weekly schedule has a weekday",
            code="WeekdayInvalid",
            path="weekday",
            value=weekday,
        )
    _check_days(kind, days)


def _check_days(kind: ScheduleKind, days: tuple[DayOfMonth, ...]) -> None:
    """Refuse days that do not fit the kind, or that are always one (S4)."""
    if kind is ScheduleKind.TWICE_MONTHLY:
        expected = 2
    else:
        expected = 1 if kind in _MONTHS_OF else 0
    check_type(days, tuple, "days", "DaysInvalid")
    if len(days) != expected:
        raise InvalidValueError(
            f"{kind.value} takes a tuple of {expected} days of the month",
            code="DaysInvalid",
            path="days",
            value=days,
        )
    for day in days:
        last = isinstance(day, str) and day == "last"
        if not last and (type(day) is not int or not 1 <= day <= _LONGEST):
            raise InvalidValueError(
                "a day of the month is an int from 1 to 31, or 'last'",
                code="DayInvalid",
                path="days",
                value=day,
            )
        last_allowed = kind in {
            ScheduleKind.LAST_DAY,
            ScheduleKind.TWICE_MONTHLY,
        }
        if last and not last_allowed:
            raise InvalidValueError(
                "this kind takes a number; use last_day() for month ends",
                code="DayInvalid",
                path="days",
                value=day,
            )
        if kind is ScheduleKind.LAST_DAY and not last:
            raise InvalidValueError(
                "last_day falls on 'last'; use monthly() for a number",
                code="DayInvalid",
                path="days",
                value=day,
            )
    if kind is ScheduleKind.TWICE_MONTHLY and (
        days != ascending(days) or days[0] == days[1] or days == (31, "last")
    ):
        raise InvalidValueError(
            "twice a month needs two days that differ in some month, in "
            "ascending order; (31, 'last') is monthly(day=31)",
            code="DaysInvalid",
            path="days",
            value=str(days),
        )


def check_roll(roll: Roll, calendar: BusinessCalendar | None) -> None:
    """Refuse a roll without a calendar, and the other way round (S9)."""
    if calendar is None:
        if roll is not Roll.NONE:
            raise InvalidValueError(
                "rolling needs a calendar; give a BusinessCalendar",
                code="CalendarMissing",
                path="calendar",
            )
        return
    if roll is Roll.NONE:
        # Somebody believes that closed days are avoided; they would not be.
        raise InvalidValueError(
            "a calendar has no effect without a roll; say which, such as "
            "roll=Roll.FOLLOWING",
            code="RollMissing",
            path="roll",
            value="NONE",
        )
