"""
Business calendars from published holidays (S9).

Holds: `market_calendar`. Imports: `business_days`, and holidays when it is
called (extra ``calendars``; importing it takes a third of a second). A
calendar is the host's to choose: the library has none of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autopay_core.business_days import BusinessCalendar
from autopay_core.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["market_calendar"]


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
