"""
How a schedule reads to people.

Holds: the words for a recurrence and for rolling. Imports: `_recurrence`,
`business_days`.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from autopay_core._recurrence import DayOfMonth, ScheduleKind
from autopay_core.business_days import Roll

__all__ = ["ROLL_TEXTS", "recurrence_text"]

ROLL_TEXTS: Final = {
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


def recurrence_text(
    kind: ScheduleKind,
    first_on: date,
    every: int,
    days: tuple[DayOfMonth, ...],
    weekday: int | None,
) -> str:
    """Return such as ``every 2 months on the 31st``."""
    unit = _UNITS[kind]
    text = f"every {unit}" if every == 1 else f"every {every} {unit}s"
    if weekday is not None:
        return f"{text} on {_WEEKDAYS[weekday - 1]}"
    if kind is ScheduleKind.YEARLY:
        month = _MONTHS[first_on.month - 1]
        return f"{text} on {days[0]} {month}"
    if days:
        on_days = " and the ".join(map(_ordinal_text, days))
        return f"{text} on the {on_days}"
    return text


def _ordinal_text(day: DayOfMonth) -> str:
    if day == "last":
        return "last day"
    teens = range(11, 14)
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if day in teens else endings.get(day % 10, "th")
    return f"{day}{ending}"
