"""
How long `allocate` takes beside `sorted`, which cannot be beaten.

Both put the same invoices into the same order with the same key; `allocate`
also checks every row, subtracts what is open, fills the limit and gives each
invoice its line and reason. It may take four times as long with a hundred
thousand invoices; with ten, what counts is what it costs to be called.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from table import Row, compare, show

from autopay_core.allocation import Order, allocate, sort_key
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIRED: Final = {10: None, 1_000: None, 100_000: 1 / 4}
SECONDS: Final = 1.0
"""Shortest time for which each size is repeated; the best time counts."""


def ledger(size: int) -> list[Invoice]:
    """Make the invoices of a big client, in no order."""
    rng = random.Random(size)
    first = date(2024, 1, 1)
    made: list[Invoice] = []
    for number in range(size):
        issued_on = first + timedelta(days=rng.randrange(730))
        due_on = issued_on + timedelta(days=30) if rng.random() < 0.9 else None
        made.append(
            Invoice(
                number=f"INV-{number}",
                client="C-1",
                matter=f"M-{number % 100}",
                issued_on=issued_on,
                due_on=due_on,
                balance=Money(
                    amount_minor=rng.randrange(1, 1_000_000), currency="USD"
                ),
            )
        )
    rng.shuffle(made)
    return made


def best(*actions: Callable[[], object]) -> list[float]:
    """Return the best time of each, taking turns: the noise is shared."""
    times = [float("inf")] * len(actions)
    started = time.perf_counter()
    rounds = 0
    gc.collect()
    while rounds < 3 or time.perf_counter() - started < SECONDS:
        for place, action in enumerate(actions):
            begin = time.perf_counter()
            action()
            times[place] = min(times[place], time.perf_counter() - begin)
        rounds += 1
    return times


def rows() -> list[Row]:
    """Measure each size: one invoice in five is partly on its way."""
    key = sort_key(Order.ISSUED)
    made: list[Row] = []
    for size, required in REQUIRED.items():
        invoices = ledger(size)
        owed = sum(each.balance.amount_minor for each in invoices)
        limit = Limit.up_to(Money(amount_minor=owed // 2, currency="USD"))
        opened = {
            each.number: Money(amount_minor=100, currency="USD")
            for each in invoices[::5]
        }
        ours, other = best(
            lambda: allocate(invoices, limit, open_amounts=opened),  # noqa: B023
            lambda: sorted(invoices, key=key),  # noqa: B023 - run at once
        )
        made.append(
            compare(
                f"allocate {size:,} invoices: sorted", ours, other, required
            )
        )
    return made


if __name__ == "__main__":
    sys.exit(show(rows()))
