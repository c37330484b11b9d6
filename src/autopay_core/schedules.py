"""
When a standing order is due: recurrence, rolling, pauses (S1 to S12).

Holds: `Schedule` and its parts (`ScheduleKind`, `Roll`, `BusinessCalendar`,
`Pause`), `Occurrence`, and what is done with missed ones (`MissedPolicy`,
`split_missed`). Imports: `_checks`, `errors`. Everything is a pure function
of its arguments; "today" is always given, never looked up.

Every kind of schedule is a pair of functions over an ascending sequence of
*nominal dates*: ``select(k)``, the k-th of them, and ``rank(d)``, how many
lie before *d*. Both are integer arithmetic, so every question costs the same
however far it lies from the start (S10). Rolling never reverses the order of
two dates, which is why the questions about charge dates reduce to ranks too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal, Self, TypeAlias, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    DATE_MIN,
    Choice,
    Readable,
    check_type,
    plain_date,
)
from autopay_core._moved import moved
from autopay_core.business_days import (
    MONDAY,
    SUNDAY,
    BusinessCalendar,
    OpenDays,
    Roll,
    open_days,
)
from autopay_core.errors import InvalidValueError

__all__ = [
    "COUNT_MAX",
    "EVERY_MAX",
    "DayOfMonth",
    "MissedPolicy",
    "Occurrence",
    "Pause",
    "Schedule",
    "ScheduleKind",
    "one_year_after",
    "split_missed",
]

DayOfMonth: TypeAlias = int | Literal["last"]
"""A day of the month: 1 to 31, or the last one whatever its number."""

EVERY_MAX: Final = 1_000
"""Largest interval, in units of the schedule's kind."""

COUNT_MAX: Final = 100_000
"""Largest number of occurrences that `Schedule.count` may ask for."""

_DAY: Final = timedelta(days=1)
# Every month has the days up to here, so nothing needs clamping.
_ALWAYS_THERE: Final = 28
_LONGEST: Final = 31
_FEBRUARY: Final = 1
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Charge dates may lie a month outside the range of nominal ones.
_FIRST_TABLE_YEAR: Final = DATE_MIN.year - 1
_LAST_TABLE_YEAR: Final = DATE_MAX.year + 1
# Beyond every index: 301 years have less than 110,000 days.
_NEVER: Final = 1_000_000


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


class MissedPolicy(Choice):
    """What becomes of what passed while the host was down (S12)."""

    LATEST = "latest"
    """Run the latest, record the earlier ones as missed; the default."""

    ALL = "all"
    """Run every one of them."""

    SKIP = "skip"
    """Run only what is due today, record the earlier ones as missed."""


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


def _month_of(on: date) -> int:
    """Return the month's number when those of all years are in a row."""
    return on.year * 12 + on.month - 1


def _month_length(month: int) -> int:
    """Count the days of the month that `_month_of` numbered."""
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
    month = _month_of(first_on) + 12
    day = min(first_on.day, _month_length(month))
    return date(month // 12, month % 12 + 1, day)


@final
@attrs.frozen(kw_only=True, repr=False)
class Occurrence(Readable):
    """
    One due date of a schedule.

    Attributes:
        nominal_on: The date by the rule; it identifies the occurrence.
        charge_on: What rolling made of it; equal without rolling.

    Raises:
        InvalidValueError: Not a date from 1900 to 2200.

    """

    nominal_on: date
    charge_on: date

    def __attrs_post_init__(self) -> None:
        """Check the fields; another subclass of `date` becomes a `date`."""
        nominal_on = plain_date(self.nominal_on, "nominal_on")
        _set_nominal(self, nominal_on)
        _set_charge(self, plain_date(self.charge_on, "charge_on"))

    def __str__(self) -> str:
        if self.nominal_on == self.charge_on:
            return f"{self.nominal_on}"
        return f"{self.charge_on} (for {self.nominal_on})"


# What the schedule computed needs no second check: writing the two slots
# takes a third of the time of the checking constructor.
_new_occurrence: Callable[[type[Occurrence]], Occurrence] = object.__new__
_set_nominal: Callable[[Occurrence, date], None] = Occurrence.__dict__[
    "nominal_on"
].__set__
_set_charge: Callable[[Occurrence, date], None] = Occurrence.__dict__[
    "charge_on"
].__set__


@final
@attrs.frozen(kw_only=True, repr=False)
class Pause(Readable):
    """
    A stretch in which nothing is due: [from, to) by nominal dates (S11).

    Attributes:
        from_on: The first nominal date that is dropped.
        to_on: The first one that runs again; None until further notice.

    Raises:
        InvalidValueError: Not a date from 1900 to 2200. It ends where it
            begins, or before.

    """

    from_on: date
    to_on: date | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields; subclasses of `date` become `date`."""
        object.__setattr__(
            self, "from_on", plain_date(self.from_on, "from_on")
        )
        if self.to_on is None:
            return
        object.__setattr__(self, "to_on", plain_date(self.to_on, "to_on"))
        if self.to_on <= self.from_on:
            raise InvalidValueError(
                f"a pause must end after it begins on {self.from_on}; its "
                "end is the first day that runs again",
                code="PauseEmpty",
                path="to_on",
                value=str(self.to_on),
            )


@final
@attrs.frozen(repr=False)
class _EveryDays(Readable):
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
@attrs.frozen(repr=False)
class _EveryMonths(Readable):
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
            day = min(day, _month_length(month))
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
        counts.append(counts[-1] + (2 if low < _month_length(month) else 1))
    return tuple(counts)


@final
@attrs.frozen(repr=False)
class _TwiceMonthly(Readable):
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
        month = _month_of(on)
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
        return date(
            month // 12, month % 12 + 1, min(day, _month_length(month))
        )


_Dates: TypeAlias = _EveryDays | _EveryMonths | _TwiceMonthly
_Span: TypeAlias = tuple[int, int]


@final
@attrs.frozen(kw_only=True, repr=False)
class Schedule:
    """
    A recurrence with its end, its calendar and its way of rolling.

    Make it with the class method of its kind. All of them take the first
    possible date, and `until`, `count`, `roll` and `calendar` as described
    here.

    >>> schedule = Schedule.monthly(date(2026, 1, 31))
    >>> [str(each) for each in schedule.occurrences(before=date(2026, 5, 1))]
    ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']
    >>> schedule.next_on_or_after(date(2028, 2, 1)).charge_on
    datetime.date(2028, 2, 29)

    Nominal dates that roll onto one charge date are one occurrence,
    identified by the earliest of them (S9).

    Attributes:
        kind: How it recurs.
        first_on: Nothing is due, and nothing is charged, before this date.
        every: Interval, in the unit of the kind.
        days: Days of the month, ascending, ``"last"`` after every number;
            two for twice a month, one for the other kinds counted in months,
            none for the rest. A day that a month lacks is its last (S2).
        weekday: ISO weekday of a weekly schedule, else None.
        until: Last possible nominal date, itself included; None for no end.
        count: Number of nominal dates; None for no end. With both, the
            earlier end counts (S5).
        roll: What happens to closed days (S9).
        calendar: Which days are closed; there if and only if it rolls.

    Raises:
        InvalidValueError: A recurrence that cannot be, or without occurrences.
            Not a date from 1900 to 2200, or with a time.

    """

    kind: ScheduleKind
    first_on: date
    every: int = 1
    days: tuple[DayOfMonth, ...] = ()
    weekday: int | None = None
    until: date | None = None
    count: int | None = None
    roll: Roll = Roll.NONE
    calendar: BusinessCalendar | None = None
    _dates: _Dates = attrs.field(init=False, eq=False)
    _open: OpenDays | None = attrs.field(init=False, eq=False)
    # Index of the last nominal date by the calendar's range, the kind and
    # `until`; by `count` as well.
    _end: int = attrs.field(init=False, eq=False)
    _last: int = attrs.field(init=False, eq=False)

    # -- Making one ----------------------------------------------------------

    @classmethod
    def once(
        cls,
        first_on: date,
        *,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule with one occurrence, whatever its end.

        Args:
            first_on: Its nominal date.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.ONCE,
            first_on=first_on,
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def daily(
        cls,
        first_on: date,
        *,
        every: int = 1,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due every so many days.

        Args:
            first_on: Nominal date of the first occurrence.
            every: Days from one to the next, 1 to 1,000.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.DAILY,
            first_on=first_on,
            every=every,
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def weekly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        weekday: int | None = None,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on one weekday, every so many weeks.

        Args:
            first_on: The first occurrence is the first *weekday* from here.
            every: Weeks from one to the next, 1 to 1,000.
            weekday: ISO number, 1 for Monday to 7; that of *first_on* if
                not given.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        first_on = plain_date(first_on, "first_on")
        return cls(
            kind=ScheduleKind.WEEKLY,
            first_on=first_on,
            every=every,
            weekday=first_on.isoweekday() if weekday is None else weekday,
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def twice_monthly(
        cls,
        first_on: date,
        *,
        days: tuple[DayOfMonth, DayOfMonth] = (15, "last"),
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on two days of every month.

        In a month too short to tell them apart they are one occurrence (S4).

        >>> schedule = Schedule.twice_monthly(
        ...     date(2026, 2, 1), days=("last", 29), count=3
        ... )
        >>> [str(each) for each in schedule.occurrences()]
        ['2026-02-28', '2026-03-29', '2026-03-31']

        Args:
            first_on: The first occurrence is the first of either from here.
            days: Two different ones in any order, 1 to 31 or ``"last"``;
                not 31 together with ``"last"``, which are always one.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.TWICE_MONTHLY,
            first_on=first_on,
            days=_ascending(days),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def monthly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on one day of every so many months.

        Args:
            first_on: The first occurrence is the first such day from here;
                further ones are counted from its month (S3).
            every: Months from one to the next, 1 to 1,000.
            day: 1 to 31; that of *first_on* if not given. Say 31 when the
                first occurrence is on 28 February but means the 31st (S2).
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.MONTHLY,
            first_on=first_on,
            every=every,
            days=(_day_or_that_of(first_on, day),),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def last_day(
        cls,
        first_on: date,
        *,
        every: int = 1,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on the last day of every so many months.

        `Roll.PRECEDING` is the usual way to roll it.

        Args:
            first_on: The first occurrence is the first month's end from here.
            every: Months from one to the next, 1 to 1,000.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.LAST_DAY,
            first_on=first_on,
            every=every,
            days=("last",),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def quarterly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on one day of every third month.

        The quarters are counted from the first occurrence, not from January.

        Args:
            first_on: The first occurrence is the first such day from here.
            every: Quarters from one to the next, 1 to 1,000.
            day: 1 to 31; that of *first_on* if not given.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.QUARTERLY,
            first_on=first_on,
            every=every,
            days=(_day_or_that_of(first_on, day),),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def semiannual(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on one day of every sixth month.

        Args:
            first_on: The first occurrence is the first such day from here.
            every: Half-years from one to the next, 1 to 1,000.
            day: 1 to 31; that of *first_on* if not given.
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.SEMIANNUAL,
            first_on=first_on,
            every=every,
            days=(_day_or_that_of(first_on, day),),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    @classmethod
    def yearly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        until: date | None = None,
        count: int | None = None,
        roll: Roll = Roll.NONE,
        calendar: BusinessCalendar | None = None,
    ) -> Self:
        """
        Make a schedule that is due on one date of every so many years.

        Args:
            first_on: Gives the month; the first occurrence is the first such
                date from here, perhaps a year later.
            every: Years from one to the next, 1 to 1,000.
            day: 1 to 31; that of *first_on* if not given. Say 29 when the
                first occurrence is on 28 February but means the 29th (S2).
            until: See `Schedule`.
            count: See `Schedule`.
            roll: See `Schedule`.
            calendar: See `Schedule`.

        Raises:
            InvalidValueError: A recurrence that cannot be. Not a date from
                1900 to 2200, or with a time.

        """
        return cls(
            kind=ScheduleKind.YEARLY,
            first_on=first_on,
            every=every,
            days=(_day_or_that_of(first_on, day),),
            until=until,
            count=count,
            roll=roll,
            calendar=calendar,
        )

    def __attrs_post_init__(self) -> None:
        """Check the fields, and derive what makes look-ups fast."""
        put = object.__setattr__
        put(self, "first_on", plain_date(self.first_on, "first_on"))
        if self.until is not None:
            put(self, "until", plain_date(self.until, "until"))
        _check_recurrence(self)
        _check_end(self)
        _check_roll(self)

        put(self, "_dates", _dates_of(self))
        put(
            self,
            "_open",
            None
            if self.calendar is None
            else open_days(self.calendar.weekend, self.calendar.holidays),
        )
        put(self, "_end", self._index_of_the_end())
        if self._end < 0:
            raise InvalidValueError(
                f"nothing is due from {self.first_on} to "
                f"{self.until or DATE_MAX}",
                code="ScheduleEmpty",
                path="until",
                value=str(self.until),
            )
        last = self._end if self.count is None else self.count - 1
        put(self, "_last", min(self._end, last))

    def _index_of_the_end(self) -> int:
        if self.kind is ScheduleKind.ONCE:
            end = 0
            if self.until is not None and self.until < self.first_on:
                end = -1
        else:
            until = self.until or DATE_MAX
            end = self._dates.rank(until + _DAY) - 1
        # What would be charged beyond the range is not an occurrence.
        while end >= 0 and self._charge(self._dates.select(end)) > DATE_MAX:
            end -= 1
        return end

    # -- Asking it -----------------------------------------------------------

    @property
    def first(self) -> Occurrence:
        """The first occurrence."""
        return self._occurrence(0)

    @property
    def one_year_ends_on(self) -> date:
        """
        The first day outside the year that the first occurrence opens (S6).

        Compare nominal dates with it: an occurrence is inside if its nominal
        date is before. For an enrolment that joins later, take
        `one_year_after` of its own first nominal date.
        """
        return one_year_after(self._dates.select(0))

    def next_on_or_after(
        self,
        on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
    ) -> Occurrence | None:
        """
        Return the first occurrence charged on *on* or later (S10).

        Takes the same time however far *on* is from the start; with pauses
        or skips, a time that grows with their number.

        Args:
            on: Compared with charge dates, not with nominal ones.
            pauses: Stretches of nominal dates that are dropped (S11).
            skips: Nominal dates of occurrences that are dropped (S11).

        Returns:
            None when the schedule has ended by then.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        on = plain_date(on, "on")
        index = self._position(on)
        if pauses or skips:
            spans = self._dropped(pauses, skips)
            for start, stop in spans:
                if start <= index < stop:
                    index = stop
            last = self._last_beside(spans)
        else:
            last = self._last
        return self._occurrence(index) if index <= last else None

    def previous_on_or_before(
        self,
        on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
    ) -> Occurrence | None:
        """
        Return the last occurrence charged on *on* or earlier.

        Args:
            on: Compared with charge dates, not with nominal ones.
            pauses: Stretches of nominal dates that are dropped (S11).
            skips: Nominal dates of occurrences that are dropped (S11).

        Returns:
            None when the schedule has not begun by then.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        following = self._position(plain_date(on, "on") + _DAY)
        spans = self._dropped(pauses, skips) if pauses or skips else []
        index = min(following - 1, self._last_beside(spans))
        for start, stop in spans:
            if start <= index < stop:
                index = start - 1
        return self._occurrence(self._start(index)) if index >= 0 else None

    def nth(self, number: int) -> Occurrence | None:
        """
        Return the occurrence of the *number*-th nominal date (S10).

        Nominal dates are counted, as by `count`: numbers whose dates collapse
        into one occurrence all return that occurrence.

        >>> Schedule.monthly(date(2026, 1, 31)).nth(602).nominal_on
        datetime.date(2076, 2, 29)

        Args:
            number: 1 for the first.

        Returns:
            None beyond the end of the schedule.

        Raises:
            InvalidValueError: Not an `int` of at least 1.

        """
        if type(number) is not int or number < 1:
            raise InvalidValueError(
                "occurrences are numbered from 1",
                code="NumberInvalid",
                path="number",
                value=number,
            )
        if number > self._last + 1:
            return None
        return self._occurrence(self._start(number - 1))

    def is_nominal(self, on: date) -> bool:
        """
        Tell whether *on* is a date of the rule, before any rolling.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        return self.number_of(on) is not None

    def number_of(self, nominal_on: date) -> int | None:
        """
        Return which nominal date *nominal_on* is, 1 for the first.

        The reverse of `nth`; None if it is not a date of the rule.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        nominal_on = plain_date(nominal_on, "nominal_on")
        index = self._dates.rank(nominal_on)
        if index > self._last or self._dates.select(index) != nominal_on:
            return None
        return index + 1

    def occurrence_of(
        self,
        nominal_on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
    ) -> Occurrence | None:
        """
        Return the occurrence that the nominal date belongs to.

        A date that collapsed into an earlier one's occurrence returns that
        one, so the answer's `nominal_on` may be earlier than the question.

        Args:
            nominal_on: The date by the rule, before any rolling.
            pauses: Stretches of nominal dates that are dropped (S11).
            skips: Nominal dates of occurrences that are dropped (S11).

        Returns:
            None if *nominal_on* is not a date of the rule, or is dropped.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        nominal_on = plain_date(nominal_on, "nominal_on")
        index = self._dates.rank(nominal_on)
        spans = self._dropped(pauses, skips) if pauses or skips else []
        if (
            index > self._last_beside(spans)
            or self._dates.select(index) != nominal_on
            or any(start <= index < stop for start, stop in spans)
        ):
            return None
        return self._occurrence(self._start(index))

    def occurrences(
        self,
        on_or_after: date | None = None,
        before: date | None = None,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
    ) -> Iterator[Occurrence]:
        """
        Return the occurrences in ascending order, one by one.

        Pauses and skips drop whole occurrences by the nominal date that
        identifies them; no anchor moves, and what is dropped does not consume
        `count` (S11). A skip that identifies no occurrence does nothing.

        Args:
            on_or_after: First charge date; None from the start.
            before: First charge date that is too late; None to the end.
            pauses: Stretches of nominal dates that are dropped.
            skips: Nominal dates of occurrences that are dropped.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200, or with a time.

        """
        index = 0
        if on_or_after is not None:
            index = self._position(plain_date(on_or_after, "on_or_after"))
        # Checked now, not when the first occurrence is taken.
        end = None if before is None else plain_date(before, "before")
        spans = self._dropped(pauses, skips) if pauses or skips else []
        return self._walk(index, end, spans)

    def _walk(
        self, index: int, before: date | None, spans: list[_Span]
    ) -> Iterator[Occurrence]:
        past_last = self._last_beside(spans) + 1
        charged: date | None = None
        for start, stop in [*spans, (past_last, past_last)]:
            for each in range(index, min(start, past_last)):
                nominal = self._dates.select(each)
                charge = self._charge(nominal)
                if charge == charged:
                    continue
                if before is not None and charge >= before:
                    return
                charged = charge
                yield _occurrence(nominal, charge)
            index = max(index, stop)

    # -- Dates and indices ---------------------------------------------------

    def _occurrence(self, index: int) -> Occurrence:
        nominal = self._dates.select(index)
        if self._open is None:
            return _occurrence(nominal, nominal)
        return _occurrence(nominal, self._charge(nominal))

    def _charge(self, nominal: date) -> date:
        """Roll a nominal date (S9); a later one never ends up earlier."""
        if self._open is None:
            return nominal
        ordinal = nominal.toordinal()
        if self._open.is_open(ordinal):
            return nominal
        following = date.fromordinal(self._open.on_or_after(ordinal))
        if self.roll is Roll.FOLLOWING or (
            self.roll is Roll.MODIFIED_FOLLOWING
            and following.month == nominal.month
        ):
            return following
        preceding = date.fromordinal(self._open.on_or_before(ordinal))
        # Of the dates that would go before the start, only the first must
        # not; if the others did, they would overtake it.
        return following if preceding < self.first_on else preceding

    def _position(self, on: date) -> int:
        """Return the first index that is charged on *on* or later."""
        if self._open is None:
            return self._dates.rank(on)
        ordinal = on.toordinal()
        last_open = self._open.on_or_before(ordinal - 1)
        if last_open < self.first_on.toordinal():
            # No day from the start to here is open: whatever is due in
            # between goes forward, to *on* or later.
            return 0
        next_open = self._open.on_or_after(ordinal)
        if self.roll is Roll.FOLLOWING:
            threshold = last_open + 1
        elif self.roll is Roll.PRECEDING:
            threshold = next_open
        else:
            # Dates in the gap go forward if they are in the month of its
            # end, and back out of the question if they are not.
            month_begins = next_open - date.fromordinal(next_open).day + 1
            threshold = max(last_open + 1, month_begins)
        return self._dates.rank(date.fromordinal(threshold))

    def _start(self, index: int) -> int:
        """Return the earliest index in the same occurrence as *index*."""
        if self._open is None:
            return index
        return self._position(self._charge(self._dates.select(index)))

    # -- Pauses and skips (S11) ----------------------------------------------

    def _dropped(
        self, pauses: Collection[Pause], skips: Collection[date]
    ) -> list[_Span]:
        """Return the dropped indices as ascending, disjoint spans."""
        spans: list[_Span] = []
        for pause in pauses:
            check_type(pause, Pause, "pauses", "PauseType")
            start = self._boundary(self._dates.rank(pause.from_on))
            stop = _NEVER
            if pause.to_on is not None:
                stop = self._boundary(self._dates.rank(pause.to_on))
            if start < stop:
                spans.append((start, stop))
        for skip in skips:
            nominal_on = plain_date(skip, "skips")
            start = self._dates.rank(nominal_on)
            stop = self._boundary(start + 1)
            if (
                start <= self._end
                and self._dates.select(start) == nominal_on
                and self._boundary(start) == start
            ):
                spans.append((start, stop))
        return _merged(spans)

    def _boundary(self, index: int) -> int:
        """Return the first index from *index* that begins an occurrence."""
        if self._open is None or index > self._end:
            return index
        charge = self._charge(self._dates.select(index))
        start = self._position(charge)
        return index if start == index else self._position(charge + _DAY)

    def _last_beside(self, spans: list[_Span]) -> int:
        """Return the last index when the ones in *spans* do not count."""
        if self.count is None or not spans:
            return self._last
        last = self.count - 1
        for start, stop in spans:
            if start > last:
                break
            last += stop - start
        return min(last, self._end)

    # -- Showing it ----------------------------------------------------------

    def __repr__(self) -> str:
        given = [repr(self.first_on)]
        if self.every != 1:
            given.append(f"every={self.every}")
        if self.kind is ScheduleKind.TWICE_MONTHLY:
            given.append(f"days={self.days!r}")
        elif self.days not in {(self.first_on.day,), ("last",), ()}:
            given.append(f"day={self.days[0]!r}")
        if self.weekday not in {self.first_on.isoweekday(), None}:
            given.append(f"weekday={self.weekday}")
        if self.until is not None:
            given.append(f"until={self.until!r}")
        if self.count is not None:
            given.append(f"count={self.count}")
        if self.calendar is not None:
            given.extend((f"roll={self.roll}", f"calendar={self.calendar!r}"))
        return f"Schedule.{self.kind.value}({', '.join(given)})"

    def __str__(self) -> str:
        parts = [f"{_recurrence_text(self)} from {self.first_on}"]
        if self.kind is ScheduleKind.ONCE:
            parts = [f"once on {self.first_on}"]
        if self.until is not None:
            parts.append(f"until {self.until}")
        if self.count is not None:
            parts.append("once" if self.count == 1 else f"{self.count} times")
        if self.calendar is not None:
            parts.append(f"{_ROLL_TEXTS[self.roll]} by {self.calendar}")
        return ", ".join(parts)


def _occurrence(nominal: date, charge: date) -> Occurrence:
    made = _new_occurrence(Occurrence)
    _set_nominal(made, nominal)
    _set_charge(made, charge)
    return made


def _merged(spans: list[_Span]) -> list[_Span]:
    """Sort *spans* and join those that touch or overlap."""
    merged: list[_Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _day_or_that_of(first_on: date, day: int | None) -> int:
    return plain_date(first_on, "first_on").day if day is None else day


def _ascending(days: tuple[DayOfMonth, ...]) -> tuple[DayOfMonth, ...]:
    """Put numbers in order and ``"last"`` behind them."""
    check_type(days, tuple, "days", "DaysInvalid")
    return tuple(
        sorted(
            days,
            key=lambda day: day if isinstance(day, int) else _LONGEST + 1,
        )
    )


def _dates_of(schedule: Schedule) -> _Dates:
    """Choose the arithmetic of a checked schedule, and its start (S3)."""
    first_on = schedule.first_on
    if schedule.kind in {ScheduleKind.ONCE, ScheduleKind.DAILY}:
        return _EveryDays(first_on.toordinal(), schedule.every)
    if schedule.weekday is not None:
        ahead = (schedule.weekday - first_on.isoweekday()) % 7
        return _EveryDays(first_on.toordinal() + ahead, 7 * schedule.every)
    numbers = [_LONGEST if day == "last" else day for day in schedule.days]
    if schedule.kind is ScheduleKind.TWICE_MONTHLY:
        low, high = numbers
        before = _dates_before_months(max(low, _ALWAYS_THERE - 1))
        all_dates = _TwiceMonthly(low, high, before)
        return attrs.evolve(all_dates, skipped=all_dates.rank(first_on))
    [day] = numbers
    month = _month_of(first_on)
    if first_on.day > day:
        # A day that this month lacks has not passed: it is the last one.
        month += 12 if schedule.kind is ScheduleKind.YEARLY else 1
    step = _MONTHS_OF[schedule.kind] * schedule.every
    return _EveryMonths(month, step, day)


def _check_recurrence(schedule: Schedule) -> None:
    """Refuse what cannot recur (S1, S4)."""
    kind = schedule.kind
    check_type(kind, ScheduleKind, "kind", "KindInvalid")
    most = 1 if kind in _WITHOUT_INTERVAL else EVERY_MAX
    every = schedule.every
    if type(every) is not int or not 1 <= every <= most:
        raise InvalidValueError(
            f"the interval must be an int from 1 to {most}",
            code="EveryInvalid",
            path="every",
            value=every,
        )
    weekday = schedule.weekday
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
    _check_days(kind, schedule.days)


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
        days != _ascending(days) or days[0] == days[1] or days == (31, "last")
    ):
        raise InvalidValueError(
            "twice a month needs two days that differ in some month, in "
            "ascending order; (31, 'last') is monthly(day=31)",
            code="DaysInvalid",
            path="days",
            value=str(days),
        )


def _check_end(schedule: Schedule) -> None:
    """Refuse a count that is none (S5)."""
    count = schedule.count
    if count is not None and (
        type(count) is not int or not 1 <= count <= COUNT_MAX
    ):
        raise InvalidValueError(
            f"the number of occurrences must be an int from 1 to {COUNT_MAX}",
            code="CountInvalid",
            path="count",
            value=count,
        )


def _check_roll(schedule: Schedule) -> None:
    """Refuse a roll without a calendar, and the other way round (S9)."""
    check_type(schedule.roll, Roll, "roll", "RollInvalid")
    if schedule.calendar is None:
        if schedule.roll is not Roll.NONE:
            raise InvalidValueError(
                "rolling needs a calendar; give a BusinessCalendar",
                code="CalendarMissing",
                path="calendar",
            )
        return
    check_type(schedule.calendar, BusinessCalendar, "calendar", "CalendarType")
    if schedule.roll is Roll.NONE:
        # Somebody believes that closed days are avoided; they would not be.
        raise InvalidValueError(
            "a calendar has no effect without a roll; say which, such as "
            "roll=Roll.FOLLOWING",
            code="RollMissing",
            path="roll",
            value="NONE",
        )


_ROLL_TEXTS: Final = {
    Roll.FOLLOWING: "closed days move to the next open day",
    Roll.MODIFIED_FOLLOWING: (
        "closed days move to the next open day of the month or else back"
    ),
    Roll.PRECEDING: "closed days move back to the last open day",
}
_WEEKDAYS: Final = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_UNITS: Final = {
    ScheduleKind.ONCE: "day",
    ScheduleKind.DAILY: "day",
    ScheduleKind.WEEKLY: "week",
    ScheduleKind.TWICE_MONTHLY: "month",
    ScheduleKind.MONTHLY: "month",
    ScheduleKind.LAST_DAY: "month",
    ScheduleKind.QUARTERLY: "quarter",
    ScheduleKind.SEMIANNUAL: "half-year",
    ScheduleKind.YEARLY: "year",
}


def _recurrence_text(schedule: Schedule) -> str:
    unit = _UNITS[schedule.kind]
    if schedule.every == 1:
        text = f"every {unit}"
    else:
        text = f"every {schedule.every} {unit}s"
    if schedule.weekday is not None:
        return f"{text} on {_WEEKDAYS[schedule.weekday - 1]}"
    if schedule.kind is ScheduleKind.YEARLY:
        month = _MONTHS[schedule.first_on.month - 1]
        return f"{text} on {schedule.days[0]} {month}"
    if schedule.days:
        days = " and the ".join(map(_ordinal_text, schedule.days))
        return f"{text} on the {days}"
    return text


def _ordinal_text(day: DayOfMonth) -> str:
    if day == "last":
        return "last day"
    teens = range(11, 14)
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if day in teens else endings.get(day % 10, "th")
    return f"{day}{ending}"


def split_missed(
    due: Sequence[Occurrence], policy: MissedPolicy, *, as_of: date
) -> tuple[tuple[Occurrence, ...], tuple[Occurrence, ...]]:
    """
    Split what is due into what is to run and what was missed (S12).

    What is charged on *as_of* itself is on time, never missed.

    >>> january, february = Schedule.monthly(
    ...     date(2026, 1, 31), count=2
    ... ).occurrences()
    >>> run, missed = split_missed(
    ...     [january, february], MissedPolicy.LATEST, as_of=date(2026, 3, 5)
    ... )
    >>> [str(each) for each in run], [str(each) for each in missed]
    (['2026-02-28'], ['2026-01-31'])

    Args:
        due: Occurrences that have not run, in any order.
        policy: What to do about them.
        as_of: The date that the caller calls today.

    Returns:
        Both in ascending order; together they are *due*.

    Raises:
        InvalidValueError: An occurrence is in the future (`OccurrenceNotDue`),
            or *policy* is not a `MissedPolicy`. *as_of* is not a date from
            1900 to 2200, or with a time.

    """
    as_of = plain_date(as_of, "as_of")
    check_type(policy, MissedPolicy, "policy", "PolicyInvalid")
    ordered = sorted(due, key=lambda each: (each.charge_on, each.nominal_on))
    if ordered and ordered[-1].charge_on > as_of:
        raise InvalidValueError(
            f"not due before {ordered[-1].charge_on}, and it is {as_of}",
            code="OccurrenceNotDue",
            path="due",
            value=str(ordered[-1].nominal_on),
        )
    if policy is MissedPolicy.ALL:
        cut = 0
    elif policy is MissedPolicy.LATEST:
        cut = len(ordered) - 1
    else:
        cut = sum(each.charge_on < as_of for each in ordered)
    cut = max(cut, 0)
    return tuple(ordered[cut:]), tuple(ordered[:cut])


__getattr__ = moved(__name__)
