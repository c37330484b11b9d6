"""
Business calendars from published holidays (S9), and charge dates as a file.

Holds: `market_calendar`, `calendar_file`. Imports: `autopay`, `business_days`
and the values; holidays and icalendar when they are called (extra
``calendars``; importing holidays takes a third of a second). A calendar is the
host's to choose: the library has none of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from autopay_core._checks import check_date, clean_text
from autopay_core._hashes import sha256
from autopay_core._life import NOTHING_KNOWN
from autopay_core.autopay import Known, upcoming
from autopay_core.business_days import BusinessCalendar
from autopay_core.errors import InvalidValueError
from autopay_core.schedules import one_year_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime

    from autopay_core.autopay import AutoPay
    from autopay_core.schedules import Occurrence

__all__ = ["EVENTS_MAX", "calendar_file", "market_calendar"]

EVENTS_MAX: Final = 10_000
"""Most dates of one file; more are refused, never cut off."""


def market_calendar(
    years: Iterable[int], *, market: str = "FED"
) -> BusinessCalendar:
    """
    Return the days on which a financial market is closed (S9).

    The Federal Reserve's are the right ones for ACH debits: no debit settles
    on them.

    >>> from datetime import date
    >>> market_calendar([2026]).is_open(date(2026, 11, 26))  # Thanksgiving
    False

    Args:
        years: Every year that the schedule may reach; holidays of other
            years are not known and count as open days.
        market: A market's code in the holidays package: ``"FED"`` for the
            Federal Reserve, ``"ECB"`` for TARGET, ``"NYSE"`` for New York.

    Raises:
        InvalidValueError: The market is not known (``CalendarUnknown``).

    """
    import holidays

    try:
        closed = holidays.financial_holidays(market, years=tuple(years))
    except NotImplementedError as error:
        raise InvalidValueError(
            "the holidays package does not know that market",
            code="CalendarUnknown",
            path="market",
            value=market,
        ) from error
    return BusinessCalendar(holidays=frozenset(closed), name=market)


def calendar_file(
    autopay: AutoPay,
    *,
    from_on: date,
    before: date | None = None,
    at: datetime,
    known: Known = NOTHING_KNOWN,
) -> bytes:
    """
    Return the dates on which an auto-pay charges, as an iCalendar file.

    One all-day event for each charge date, with what `upcoming` respects:
    pauses, skips, moves, rolls and the end. A date that moves keeps its event
    in calendars that were given the file before, for an event's id is made of
    auto-pay and nominal date. Amounts are not in it: they are not known yet.

    Args:
        autopay: The standing order.
        from_on: First charge date.
        before: First one that is not in it any more; None for a year later.
        at: When the file is made, with a zone.
        known: As for `upcoming`.

    Returns:
        The file, in UTF-8 with the line ends of RFC 5545.

    Raises:
        InvalidValueError: There are too many dates (``TooManyRuns``).

    """
    from icalendar import Calendar, Event

    check_date(from_on, "from_on")
    end = one_year_after(from_on) if before is None else before
    check_date(end, "before")
    name = clean_text(autopay.name or str(autopay.id))
    calendar: Any = Calendar()
    calendar.add("prodid", "-//autopay_core//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    for each in _dates(autopay, from_on, end, known):
        event: Any = Event()
        identity = sha256(f"{autopay.id}/{each.nominal_on}")[:32]
        event.add("uid", f"{identity}@autopay.invalid")
        event.add("dtstamp", at)
        event.add("dtstart", each.charge_on)
        event.add("dtend", each.charge_on + timedelta(days=1))
        event.add("summary", f"AutoPay: {name}")
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def _dates(
    autopay: AutoPay, from_on: date, before: date, known: Known
) -> Iterator[Occurrence]:
    on = from_on
    for _ in range(EVENTS_MAX + 1):
        each = upcoming(autopay, on, known=known)
        if each is None or each.charge_on >= before:
            return
        yield each
        on = each.charge_on + timedelta(days=1)
    raise InvalidValueError(
        f"at most {EVENTS_MAX} dates in one file; end it earlier",
        code="TooManyRuns",
        path="before",
    )
