"""
On which days money moves: calendars, and rolling off closed days (S9).

Holds: `BusinessCalendar`, `Roll`. Imports: `_checks`, `errors`. The calendar
is the host's; nothing here knows a holiday by itself.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    check_type,
    plain_date,
)
from autopay_core.errors import InvalidValueError

__all__ = [
    "ROLL_MAX_DAYS",
    "BusinessCalendar",
    "Roll",
]

ROLL_MAX_DAYS: Final = 31
"""Longest way to an open day; a calendar closed for longer is refused."""
MONDAY: Final = 1
_NAME_MAX: Final = 100
SUNDAY: Final = 7


class Roll(Choice):
    """
    Where a charge goes when its nominal date is closed (S9).

    Source: the business day conventions of ISDA's 2006 definitions, section
    4.12, as QuantLib implements them.
    """

    NONE = "none"
    """Stay: charge on the nominal date whatever day it is."""

    FOLLOWING = "following"
    """Go to the next open day."""

    MODIFIED_FOLLOWING = "modified_following"
    """Go to the next open day, or back if that is in another month."""

    PRECEDING = "preceding"
    """Go back to the last open day, the usual choice for month ends."""


@final
@attrs.frozen(repr=False, eq=False)
class OpenDays(Readable):
    """
    A calendar in the form that is fast to ask: proleptic ordinals of days.

    Attributes:
        weekend: Whether the days with ``ordinal % 7 == i`` are closed.
        holidays: Ordinals.

    """

    weekend: tuple[bool, ...]
    holidays: frozenset[int]

    def is_open(self, ordinal: int) -> bool:
        """Tell whether money may move on that day."""
        return not self.weekend[ordinal % 7] and ordinal not in self.holidays

    def on_or_after(self, ordinal: int) -> int:
        """Return the first open day from *ordinal* on."""
        while self.weekend[ordinal % 7] or ordinal in self.holidays:
            ordinal += 1
        return ordinal

    def on_or_before(self, ordinal: int) -> int:
        """Return the last open day up to *ordinal*."""
        while self.weekend[ordinal % 7] or ordinal in self.holidays:
            ordinal -= 1
        return ordinal


# A firm's schedules share few calendars, but deserialization makes each of
# them anew: what is derived from equal calendars is derived once.
@lru_cache(maxsize=64)
def open_days(weekend: frozenset[int], holidays: frozenset[date]) -> OpenDays:
    """Index a calendar, or refuse it for being closed too long (S9)."""
    days = OpenDays(
        weekend=tuple((day or SUNDAY) in weekend for day in range(7)),
        holidays=frozenset(map(date.toordinal, holidays)),
    )
    if all(days.weekend):
        raise InvalidValueError(
            "a calendar needs an open weekday",
            code="CalendarClosed",
            path="weekend",
            value=str(sorted(weekend)),
        )
    looked_up_to = 0
    for holiday in sorted(days.holidays):
        if holiday <= looked_up_to:
            continue
        last_open = days.on_or_before(holiday)
        looked_up_to = days.on_or_after(holiday)
        if looked_up_to - last_open > ROLL_MAX_DAYS + 1:
            closed_on = date.fromordinal(last_open + 1)
            raise InvalidValueError(
                f"no open day within {ROLL_MAX_DAYS} days of {closed_on}",
                code="CalendarClosed",
                path="holidays",
                value=str(closed_on),
            )
    return days


def _weekdays(
    _: object, field: attrs.Attribute[Any], value: frozenset[int]
) -> None:
    check_type(value, frozenset, field.name, "CalendarType")
    for day in value:
        if type(day) is not int or not MONDAY <= day <= SUNDAY:
            raise InvalidValueError(
                "expected ISO weekdays, 1 for Monday to 7 for Sunday",
                code="WeekdayInvalid",
                path=field.name,
                value=day,
            )


def _a_name(_: object, field: attrs.Attribute[str], value: str) -> None:
    check_type(value, str, field.name, "CalendarName")
    if len(value) > _NAME_MAX or not value.isprintable():
        raise InvalidValueError(
            f"expected up to {_NAME_MAX} printable characters",
            code="CalendarName",
            path=field.name,
            value=value,
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class BusinessCalendar:
    """
    The host's idea of the days on which money moves (S9).

    >>> calendar = BusinessCalendar(holidays=frozenset({date(2026, 7, 3)}))
    >>> calendar.is_open(date(2026, 7, 3)), calendar.is_open(date(2026, 7, 6))
    (False, True)

    Attributes:
        holidays: Closed days beside the weekend, from 1900 to 2200.
        weekend: Closed weekdays by ISO number, 1 for Monday to 7.
        name: What people call it; part of the value, of no effect.

    Raises:
        InvalidValueError: Not sets, not weekdays, or closed for more than 31
            days in a row. A holiday is not a date from 1900 to 2200.

    """

    holidays: frozenset[date] = attrs.field(
        default=frozenset[date](), validator=a(frozenset, code="CalendarType")
    )
    weekend: frozenset[int] = attrs.field(
        default=frozenset({6, 7}), validator=_weekdays
    )
    name: str = attrs.field(default="", validator=_a_name)

    def __attrs_post_init__(self) -> None:
        """Make a `date` of each subclass; refuse what is closed too long."""
        holidays = frozenset(
            [plain_date(day, "holidays") for day in self.holidays]
        )
        object.__setattr__(self, "holidays", holidays)
        open_days(self.weekend, holidays)

    def is_open(self, on: date) -> bool:
        """
        Tell whether money moves on *on*.

        Raises:
            InvalidValueError: Not a date from 1900 to 2200.

        """
        on = plain_date(on, "on")
        return on.isoweekday() not in self.weekend and on not in self.holidays

    def __repr__(self) -> str:
        holidays = ", ".join(map(repr, sorted(self.holidays)))
        weekend = ", ".join(map(repr, sorted(self.weekend)))
        given = [
            f"holidays=frozenset({{{holidays}}})" if holidays else "",
            f"weekend=frozenset({f'{{{weekend}}}' if weekend else ''})",
            f"name={self.name!r}" if self.name else "",
        ]
        return f"BusinessCalendar({', '.join(filter(None, given))})"

    def __str__(self) -> str:
        weekend = "".join(map(str, sorted(self.weekend)))
        return self.name or (
            f"{len(self.holidays)} holidays and weekdays {weekend or 'none'}"
        )


def open_on_or_after(calendar: BusinessCalendar | None, on: date) -> date:
    """Return the first open day from *on*; without a calendar all are open."""
    if calendar is None:
        return on
    days = open_days(calendar.weekend, calendar.holidays)
    return date.fromordinal(days.on_or_after(on.toordinal()))
