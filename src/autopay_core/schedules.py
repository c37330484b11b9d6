"""
When a standing order is due: recurrence, rolling, pauses, moves (S1 to S15).

Holds: `Schedule` and `ScheduleOptions`; and under their public names
`ScheduleKind`, `Occurrence`, `Pause`, and what is done with missed ones
(`MissedPolicy`, `split_missed`). Imports: `_checks`, `_line`, `_moved`,
`_occurrences`, `_recurrence`, `_schedule_texts`, `_shown`, `business_days`,
`errors`.
Everything is a pure function of its arguments; "today" is always given, never
looked up.

Every kind of schedule is a pair of functions between indices and nominal
dates: see `_recurrence`. Neither rolling nor moving reverses the order of two
dates, which is why the questions about charge dates reduce to ranks too: see
`_line`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final, Self, TypedDict, Unpack, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    a,
    optional,
    plain_date,
)
from autopay_core._line import Beside, Line
from autopay_core._moved import moved
from autopay_core._occurrences import (
    MissedPolicy,
    Occurrence,
    Pause,
    split_missed,
)
from autopay_core._recurrence import (
    EVERY_MAX,
    DayOfMonth,
    ScheduleKind,
    ascending,
    check_recurrence,
    check_roll,
    dates_of,
    one_year_after,
)
from autopay_core._schedule_texts import ROLL_TEXTS, recurrence_text
from autopay_core._shown import Shown
from autopay_core.business_days import (
    BusinessCalendar,
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
    "ScheduleOptions",
    "one_year_after",
    "split_missed",
]

COUNT_MAX: Final = 100_000
"""Largest number of occurrences that `Schedule.count` may ask for."""

_DAY: Final = timedelta(days=1)
_NO_MOVES: Final[Mapping[date, date]] = MappingProxyType({})


class ScheduleOptions(TypedDict, total=False):
    """What every way of making a `Schedule` takes beside: see there."""

    until: date | None
    count: int | None
    roll: Roll
    calendar: BusinessCalendar | None


def _a_count(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse a count that is none (S5)."""
    if type(value) is not int or not 1 <= value <= COUNT_MAX:
        raise InvalidValueError(
            f"the number of occurrences must be an int from 1 to {COUNT_MAX}",
            code="CountInvalid",
            path=field.name,
            value=value,
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class Schedule(Shown):
    """
    A recurrence with its end, its calendar and its way of rolling.

    Make it with the class method of its kind. All of them take the first
    possible date and `ScheduleOptions`, those that repeat also `every`, as
    described here, and raise what the class raises.

    >>> schedule = Schedule.monthly(date(2026, 1, 31))
    >>> [str(each) for each in schedule.occurrences(before=date(2026, 5, 1))]
    ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']
    >>> schedule.next_on_or_after(date(2028, 2, 1)).charge_on
    datetime.date(2028, 2, 29)

    Nominal dates that roll onto one charge date are one occurrence,
    identified by the earliest of them (S9). Every question about dates takes
    charge dates unless it says nominal, and refuses what is not a date from
    1900 to 2200. Most take *pauses* and *skips*: an occurrence is dropped if
    its nominal or its charge date lies in a pause, or is a skip (S11). They
    take *moves* too, other charge dates by nominal date (S15); one that is
    not after the charge date before it and before the next one's is passed
    over, as is a skip that names no date.

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

    kind: ScheduleKind = attrs.field(
        validator=a(ScheduleKind, code="KindInvalid")
    )
    first_on: date
    every: int = 1
    days: tuple[DayOfMonth, ...] = ()
    weekday: int | None = None
    until: date | None = None
    count: int | None = attrs.field(default=None, validator=optional(_a_count))
    roll: Roll = attrs.field(
        default=Roll.NONE, validator=a(Roll, code="RollInvalid")
    )
    calendar: BusinessCalendar | None = attrs.field(
        default=None,
        validator=optional(a(BusinessCalendar, code="CalendarType")),
    )
    _line: Line = attrs.field(init=False, eq=False)
    # The line when nothing is paused, skipped or moved.
    _plain: Beside = attrs.field(init=False, eq=False)

    # -- Making one ----------------------------------------------------------

    @classmethod
    def once(cls, first_on: date, **options: Unpack[ScheduleOptions]) -> Self:
        """Make a schedule with one occurrence, whatever its end."""
        return cls(kind=ScheduleKind.ONCE, first_on=first_on, **options)

    @classmethod
    def daily(
        cls,
        first_on: date,
        *,
        every: int = 1,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """Make a schedule that is due every so many days."""
        return cls(
            kind=ScheduleKind.DAILY, first_on=first_on, every=every, **options
        )

    @classmethod
    def weekly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        weekday: int | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on one weekday, every so many weeks.

        The first is the first *weekday*, 1 for Monday to 7, from *first_on*;
        that of *first_on* if not given.
        """
        first_on = plain_date(first_on, "first_on")
        return cls(
            kind=ScheduleKind.WEEKLY,
            first_on=first_on,
            every=every,
            weekday=first_on.isoweekday() if weekday is None else weekday,
            **options,
        )

    @classmethod
    def twice_monthly(
        cls,
        first_on: date,
        *,
        days: tuple[DayOfMonth, DayOfMonth] = (15, "last"),
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on two days of every month.

        In a month too short to tell them apart they are one occurrence (S4).

        >>> schedule = Schedule.twice_monthly(
        ...     date(2026, 2, 1), days=("last", 29), count=3
        ... )
        >>> [str(each) for each in schedule.occurrences()]
        ['2026-02-28', '2026-03-29', '2026-03-31']

        *days* are two different ones in any order, 1 to 31 or ``"last"``; not
        31 together with ``"last"``, which are always one.
        """
        return cls(
            kind=ScheduleKind.TWICE_MONTHLY,
            first_on=first_on,
            days=ascending(days),
            **options,
        )

    @classmethod
    def monthly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on one day of every so many months.

        The first occurrence is the first such day from *first_on*; further
        ones are counted from its month (S3). *day* is 1 to 31, that of
        *first_on* if not given. Say 31 when the first occurrence is on 28
        February but means the 31st (S2).
        """
        return cls._on_a_day(
            ScheduleKind.MONTHLY, first_on, every, day, **options
        )

    @classmethod
    def last_day(
        cls,
        first_on: date,
        *,
        every: int = 1,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on the last day of every so many months.

        `Roll.PRECEDING` is the usual way to roll it.
        """
        return cls(
            kind=ScheduleKind.LAST_DAY,
            first_on=first_on,
            every=every,
            days=("last",),
            **options,
        )

    @classmethod
    def quarterly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on one day of every third month.

        The quarters are counted from the first occurrence, not from January.
        *day* is as for `monthly`.
        """
        return cls._on_a_day(
            ScheduleKind.QUARTERLY, first_on, every, day, **options
        )

    @classmethod
    def semiannual(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on one day of every sixth month.

        *day* is as for `monthly`.
        """
        return cls._on_a_day(
            ScheduleKind.SEMIANNUAL, first_on, every, day, **options
        )

    @classmethod
    def yearly(
        cls,
        first_on: date,
        *,
        every: int = 1,
        day: int | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        """
        Make a schedule that is due on one date of every so many years.

        *first_on* gives the month; the first occurrence is the first such
        date from there, perhaps a year later. *day* is as for `monthly`: say
        29 when the first occurrence is on 28 February but means the 29th (S2).
        """
        return cls._on_a_day(
            ScheduleKind.YEARLY, first_on, every, day, **options
        )

    @classmethod
    def _on_a_day(
        cls,
        kind: ScheduleKind,
        first_on: date,
        every: int,
        day: int | None,
        **options: Unpack[ScheduleOptions],
    ) -> Self:
        if day is None:
            day = plain_date(first_on, "first_on").day
        return cls(
            kind=kind, first_on=first_on, every=every, days=(day,), **options
        )

    def __attrs_post_init__(self) -> None:
        """Check the fields, and derive what makes look-ups fast."""
        put = object.__setattr__
        put(self, "first_on", plain_date(self.first_on, "first_on"))
        if self.until is not None:
            put(self, "until", plain_date(self.until, "until"))
        check_recurrence(self.kind, self.every, self.days, self.weekday)
        check_roll(self.roll, self.calendar)

        dates = dates_of(
            self.kind, self.first_on, self.every, self.days, self.weekday
        )
        line = Line(
            dates=dates,
            first_on=self.first_on,
            roll=self.roll,
            open=None
            if self.calendar is None
            else open_days(self.calendar.weekend, self.calendar.holidays),
            end=dates.rank((self.until or DATE_MAX) + _DAY) - 1,
            count=self.count,
        )
        end = self._index_of_the_end(line)
        if end < 0:
            raise InvalidValueError(
                f"nothing is due from {self.first_on} to "
                f"{self.until or DATE_MAX}",
                code="ScheduleEmpty",
                path="until",
                value=str(self.until),
            )
        # It is nobody else's yet, and a copy would take as long as the rest.
        put(line, "end", end)
        put(self, "_line", line)
        put(self, "_plain", line.beside((), (), _NO_MOVES))

    def _index_of_the_end(self, line: Line) -> int:
        end = line.end
        if self.kind is ScheduleKind.ONCE:
            end = 0
            if self.until is not None and self.until < self.first_on:
                end = -1
        # What would be charged beyond the range is not an occurrence.
        while end >= 0 and line.charge(line.dates.select(end)) > DATE_MAX:
            end -= 1
        return end

    # -- Asking it -----------------------------------------------------------

    @property
    def first(self) -> Occurrence:
        """The first occurrence."""
        return self._plain.at(0)

    @property
    def one_year_ends_on(self) -> date:
        """
        The first day outside the year that the first occurrence opens (S6).

        Compare nominal dates with it: an occurrence is inside if its nominal
        date is before. For an enrolment that joins later, take
        `one_year_after` of its own first nominal date.
        """
        return one_year_after(self._line.dates.select(0))

    def next_on_or_after(
        self,
        on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
        moves: Mapping[date, date] = _NO_MOVES,
    ) -> Occurrence | None:
        """
        Return the first occurrence charged on *on* or later (S10).

        Takes the same time however far *on* is from the start; with pauses
        or skips, a time that grows with their number.

        None when the schedule has ended by then.
        """
        on = plain_date(on, "on")
        line = self._beside(pauses, skips, moves)
        index = line.next_from(line.position(on))
        return None if index is None else line.at(index)

    def previous_on_or_before(
        self,
        on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
        moves: Mapping[date, date] = _NO_MOVES,
    ) -> Occurrence | None:
        """
        Return the last occurrence charged on *on* or earlier.

        None when the schedule has not begun by then.
        """
        line = self._beside(pauses, skips, moves)
        following = line.position(plain_date(on, "on") + _DAY)
        index = line.last_before(following)
        return None if index is None else line.at(index)

    def last_before(
        self,
        nominal_on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
        moves: Mapping[date, date] = _NO_MOVES,
    ) -> Occurrence | None:
        """
        Return the last occurrence whose nominal date is before *nominal_on*.

        None when there is none.
        """
        line = self._beside(pauses, skips, moves)
        named = self._line.dates.rank(plain_date(nominal_on, "nominal_on"))
        index = line.last_before(named)
        return None if index is None else line.at(index)

    def nth(self, number: int) -> Occurrence | None:
        """
        Return the occurrence of the *number*-th nominal date (S10).

        Nominal dates are counted, as by `count`: numbers whose dates collapse
        into one occurrence all return that occurrence.

        >>> Schedule.monthly(date(2026, 1, 31)).nth(602).nominal_on
        datetime.date(2076, 2, 29)

        The first is 1; None beyond the end of the schedule.

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
        if number > self._line.last + 1:
            return None
        return self._plain.at(self._line.start(number - 1))

    def is_nominal(self, on: date) -> bool:
        """Tell whether *on* is a date of the rule, before any rolling."""
        return self.number_of(on) is not None

    def number_of(self, nominal_on: date) -> int | None:
        """
        Return which nominal date *nominal_on* is, 1 for the first.

        The reverse of `nth`; None if it is not a date of the rule.
        """
        nominal_on = plain_date(nominal_on, "nominal_on")
        dates = self._line.dates
        index = dates.rank(nominal_on)
        if index > self._line.last or dates.select(index) != nominal_on:
            return None
        return index + 1

    def occurrence_of(
        self,
        nominal_on: date,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
        moves: Mapping[date, date] = _NO_MOVES,
    ) -> Occurrence | None:
        """
        Return the occurrence that the nominal date belongs to.

        A date that collapsed into an earlier one's occurrence returns that
        one, so the answer's `nominal_on` may be earlier than the question.
        None if it is not a date of the rule, or is dropped.
        """
        nominal_on = plain_date(nominal_on, "nominal_on")
        dates = self._line.dates
        index = dates.rank(nominal_on)
        line = self._beside(pauses, skips, moves)
        if (
            index > line.last
            or dates.select(index) != nominal_on
            or line.is_dropped(index)
        ):
            return None
        return line.at(self._line.start(index))

    def occurrences(
        self,
        on_or_after: date | None = None,
        before: date | None = None,
        *,
        pauses: Collection[Pause] = (),
        skips: Collection[date] = (),
        moves: Mapping[date, date] = _NO_MOVES,
    ) -> Iterator[Occurrence]:
        """
        Return the occurrences in ascending order, one by one.

        Pauses and skips drop whole occurrences, moves give them another
        charge date; no anchor moves, and what is dropped does not consume
        `count` (S11, S15).

        From *on_or_after*, or from the start, to the day before *before*, or
        to the end, by charge dates.
        """
        line = self._beside(pauses, skips, moves)
        index = 0
        if on_or_after is not None:
            index = line.position(plain_date(on_or_after, "on_or_after"))
        # Checked now, not when the first occurrence is taken.
        end = None if before is None else plain_date(before, "before")
        return line.walk(index, end)

    def _beside(
        self,
        pauses: Collection[Pause],
        skips: Collection[date],
        moves: Mapping[date, date],
    ) -> Beside:
        if pauses or skips or moves:
            return self._line.beside(pauses, skips, moves)
        return self._plain

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
        recurs = recurrence_text(
            self.kind, self.first_on, self.every, self.days, self.weekday
        )
        parts = [f"{recurs} from {self.first_on}"]
        if self.kind is ScheduleKind.ONCE:
            parts = [f"once on {self.first_on}"]
        if self.until is not None:
            parts.append(f"until {self.until}")
        if self.count is not None:
            parts.append("once" if self.count == 1 else f"{self.count} times")
        if self.calendar is not None:
            parts.append(f"{ROLL_TEXTS[self.roll]} by {self.calendar}")
        return ", ".join(parts)


__getattr__ = moved(__name__)
