"""
How fast the next run is found, beside other people's libraries.

Everything is measured in one process, interleaved, and reported as a ratio,
so that a busy machine slows both sides alike. Run it as it is for a table;
`rows` gives the same to a program.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from itertools import count
from timeit import default_timer
from typing import TYPE_CHECKING

import pendulum
import QuantLib as ql  # noqa: N813
from dateutil.rrule import MONTHLY, rrule
from table import Row, compare, show

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable


START = date(2026, 1, 31)
YEARS = (1, 10, 50, 75)
SCHEDULES = 100_000
# Of those, as many as the slow side is asked; its time is scaled up.
SAMPLE = 100


def in_years(years: int) -> date:
    """Return a day between two runs, so that nobody finds it at once."""
    return date(START.year + years, 3, 5)


def dateutil_after(on: date) -> date:
    """Ask dateutil for the 31st or the month's last, from a fresh rule."""
    rule = rrule(
        MONTHLY,
        dtstart=datetime(START.year, START.month, START.day),  # noqa: DTZ001
        bymonthday=(28, 29, 30, 31),
        bysetpos=-1,
    )
    found = rule.after(datetime(on.year, on.month, on.day), inc=True)  # noqa: DTZ001
    assert found is not None
    return found.date()


def quantlib_after(on: date) -> date:
    """Add months to QuantLib's date until it is late enough."""
    start = ql.Date(START.day, START.month, START.year)
    wanted = ql.Date(on.day, on.month, on.year)
    for months in count():
        found = start + ql.Period(months, ql.Months)
        if found >= wanted:
            return date(found.year(), found.month(), found.dayOfMonth())
    raise AssertionError


def pendulum_after(on: date) -> date:
    """Add months to pendulum's date until it is late enough."""
    start = pendulum.date(START.year, START.month, START.day)
    for months in count():
        found = start.add(months=months)
        if found >= on:
            return date(found.year, found.month, found.day)
    raise AssertionError


def seconds(action: Callable[[], object], budget: float = 0.02) -> float:
    """Return the time of one call, from as many as fit into *budget*."""
    calls = 1
    while True:
        begun = default_timer()
        for _ in range(calls):
            action()
        taken = default_timer() - begun
        if taken >= budget:
            return taken / calls
        calls *= 4


def compared(
    name: str,
    ours: Callable[[], object],
    other: Callable[[], object],
    required: float | None,
) -> Row:
    """Time both in turns and take the best of each."""
    pairs = [(seconds(ours), seconds(other)) for _ in range(5)]
    best_ours, best_other = map(min, zip(*pairs, strict=True))
    return compare(name, best_ours, best_other, required)


def next_run_rows() -> list[Row]:
    """Compare one look-up, one to 75 years after the start."""
    schedule = Schedule.monthly(START)
    made: list[Row] = []
    for years in YEARS:
        on = in_years(years)
        found = schedule.next_on_or_after(on)
        assert found is not None
        for name, other in (
            ("dateutil", dateutil_after),
            ("QuantLib", quantlib_after),
            ("pendulum", pendulum_after),
        ):
            assert other(on) == found.charge_on, name
            required = 300 if (name, years) == ("dateutil", 10) else None
            made.append(
                compared(
                    f"next run after {years} years: {name}",
                    lambda on=on: schedule.next_on_or_after(on),  # type: ignore[misc]
                    lambda on=on, other=other: other(on),  # type: ignore[misc]
                    required,
                )
            )
    return made


def flat_rows() -> list[Row]:
    """Compare a look-up in 75 years with one next month, for every family."""
    fed = BusinessCalendar(holidays=frozenset({date(2026, 12, 25)}))
    near, far = date(2026, 3, 5), in_years(75)
    return [
        compared(
            f"in 75 years, against next month: {name}",
            lambda schedule=schedule: schedule.next_on_or_after(far),  # type: ignore[misc]
            lambda schedule=schedule: schedule.next_on_or_after(near),  # type: ignore[misc]
            1 / 1.5,
        )
        for name, schedule in {
            "monthly": Schedule.monthly(START),
            "daily": Schedule.daily(START),
            "twice monthly": Schedule.twice_monthly(START, days=(30, "last")),
            "rolled": Schedule.monthly(
                START, roll=Roll.PRECEDING, calendar=fed
            ),
        }.items()
    ]


def many_rows() -> list[Row]:
    """Ask 100,000 schedules for their next run, ten years on."""
    kinds = (
        Schedule.monthly,
        Schedule.last_day,
        Schedule.quarterly,
        Schedule.weekly,
        Schedule.twice_monthly,
    )
    schedules = [
        kinds[each % len(kinds)](START + timedelta(each % 365))
        for each in range(SCHEDULES)
    ]
    on = in_years(10)

    begun = default_timer()
    found = [schedule.next_on_or_after(on) for schedule in schedules]
    ours = default_timer() - begun
    assert len(found) == SCHEDULES

    begun = default_timer()
    for _ in range(SAMPLE):
        dateutil_after(on)
    other = (default_timer() - begun) * SCHEDULES / SAMPLE
    return [
        compare(
            f"next runs of {SCHEDULES:,} schedules: dateutil, from {SAMPLE}",
            ours,
            other,
        )
    ]


def rows() -> list[Row]:
    """Measure everything."""
    return [*next_run_rows(), *flat_rows(), *many_rows()]


if __name__ == "__main__":
    sys.exit(show(rows()))
