"""
On which day something is next to be done for a standing order (O3).

Holds: `next_day` and `DAYS_MOST`. Imports: `_checks`, `_life`, `autopay`. What
it returns may be too early, which costs a turn, and is never too late: between
the day of a turn and the next one nothing falls due, nothing has to be
announced and nothing is to be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import attrs

from autopay_core._checks import DATE_MAX
from autopay_core._life import begins_on, year_end
from autopay_core.autopay import AutoPay, ends_on, in_force, upcoming, years

__all__ = ["DAYS_MOST", "next_day"]

DAYS_MOST: Final = 35
"""However little there is to do, an order has a turn after so many days."""

_DAY: Final = timedelta(days=1)
_AHEAD: Final = 4
"""Days by which an announcement is tried earlier than it has to be (N4)."""

_TOLD_BEFORE: Final = (30, 7, 0)
"""Days before the end of a year on which it is told (N2)."""


def next_day(autopay: AutoPay, after: date, /) -> date:
    """
    Return the next day on which something is to be done, as dates decide.

    What waits on record, such as a retry, is not for dates to decide.

    Args:
        autopay: The standing order.
        after: The day of its last turn.

    """
    most = after + timedelta(days=DAYS_MOST)
    if most >= DATE_MAX:
        return DATE_MAX
    days = (each for each in _days(autopay, after, most) if each > after)
    return min(most, min(days, default=most))


def _days(autopay: AutoPay, after: date, most: date) -> Iterator[date]:
    """Return the days on which anything of any kind may be to be done."""
    yield from _dates(autopay, after, most)
    if autopay.advance_notice is not None:
        ahead = autopay.advance_notice.days
        coming = upcoming(autopay, after + timedelta(days=1 + ahead))
        if coming is not None:
            early = coming.charge_on - timedelta(days=ahead + _AHEAD)
            yield max(early, after + _DAY)
    yield from _of_pauses(autopay)
    yield from _of_ends(autopay, after)
    expires_on = autopay.method.expires_on
    if expires_on is not None:
        yield expires_on - timedelta(days=30)


def _of_pauses(autopay: AutoPay) -> Iterator[date]:
    for each in autopay.pauses:
        yield each.from_on
        if each.to_on is not None:
            yield each.to_on
    if autopay.pauses:
        # What has not begun does not rest.
        yield begins_on(autopay)


def _of_ends(autopay: AutoPay, after: date) -> Iterator[date]:
    end = ends_on(autopay)
    if end is not None:
        yield end
    for enrollment in autopay.enrollments:
        for _, over in years(enrollment, autopay.schedule):
            for days in _TOLD_BEFORE:
                yield over - timedelta(days=days)
            if abs((over - after).days) <= 2 * DAYS_MOST:
                yield year_end(autopay, over)


def _dates(autopay: AutoPay, after: date, most: date) -> Iterator[date]:
    """
    Return the next date of the schedule, whether it runs or is dropped.

    What falls away is put on record as well (S11), and uses up no count.
    """
    schedule = autopay.schedule
    if schedule.count is not None:
        schedule = attrs.evolve(schedule, count=None)
    for each in schedule.occurrences(
        after + _DAY, most + _DAY, moves=autopay.moves
    ):
        if not autopay.enrollments or in_force(autopay, each.nominal_on):
            yield each.charge_on
            return
