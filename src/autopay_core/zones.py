"""
The firm's zone: which day it is there, and when a run starts (S13).

Holds: `today_in`, `run_instant`. Imports: `_checks`, `errors`, `policy`,
pendulum. An edge: nothing in the core imports it, because schedules are dates
and need no zone. Even here no clock is read; the caller says what time it is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pendulum

from autopay_core._checks import check_date
from autopay_core.errors import InvalidValueError
from autopay_core.policy import date_in, zone_named

__all__ = ["run_instant", "today_in"]


def today_in(zone: str, now: datetime) -> date:
    """
    Return the date that people in *zone* have on their calendar (S13).

    >>> from datetime import timedelta, timezone
    >>> today_in("America/New_York", datetime(2026, 3, 1, 4, 59, tzinfo=UTC))
    datetime.date(2026, 2, 28)

    Args:
        zone: IANA name, such as ``"America/New_York"`` or ``"UTC"``.
        now: The present, in any zone; pendulum's are accepted.

    Raises:
        InvalidValueError: *now* has no zone (`NaiveDatetime`) or is not from
            1900 to 2200 there (`DateOutOfRange`), or *zone* is not in the time
            zone database (`TimeZoneUnknown`).

    """
    return date_in(now, zone, "now")


def run_instant(on: date, at: time, zone: str) -> pendulum.DateTime:
    """
    Return the instant at which clocks in *zone* show *at* on *on* (S13).

    A time that the clocks skip is as late as it would have been had they not
    been changed: 02:30 becomes 03:30 on the day they go forward. A time that
    they show twice is the first of the two. So every date has exactly one
    run, and `Schedule` need not know about zones.

    >>> start = run_instant(date(2026, 3, 8), time(2, 30), "America/New_York")
    >>> start.isoformat()
    '2026-03-08T03:30:00-04:00'

    Args:
        on: Charge date of an occurrence.
        at: Time by the clocks of *zone*, itself without one.
        zone: IANA name, such as ``"America/New_York"`` or ``"UTC"``.

    Returns:
        A value in *zone*, where it may show another time, or even another
        date: Samoa had no 30 December 2011. Python finds a time that is
        shown twice unequal to everything in another zone; compare
        ``.in_timezone("UTC")``.

    Raises:
        InvalidValueError: *on* is not a date from 1900 to 2200, *at* is not a
            time or has a zone (`TimeType`), or *zone* is not in the time zone
            database (`TimeZoneUnknown`).

    Source:
        RFC 5545, section 3.3.5. pendulum 3.3 gets one of the two cases wrong
        whichever fold it is given, so `zoneinfo` resolves the local time and
        pendulum only ever sees UTC.

    """
    check_date(on, "on")
    _check_time(at)
    # Fold 0 means both: the offset before a gap, the first of two (PEP 495).
    local = datetime(
        on.year,
        on.month,
        on.day,
        at.hour,
        at.minute,
        at.second,
        at.microsecond,
        tzinfo=zone_named(zone),
        fold=0,
    )
    instant = pendulum.instance(local.astimezone(UTC))
    return instant.in_timezone(zone)


def _check_time(at: object) -> None:
    if not isinstance(at, time) or at.tzinfo is not None:
        raise InvalidValueError(
            "expected a datetime.time without a zone",
            code="TimeType",
            path="at",
            value=at,
        )
