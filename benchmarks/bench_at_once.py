"""
What a sweep of many turns at once takes beside the least that it can (O3).

The least is the waiting, divided by how many wait at once, and the work,
measured as the same sweep without any waiting and one turn after another. 200
charges of 20 ms go on in 16 threads, 5,000 of 100 ms in 200 tasks.

And what is won by writing in one step what several turns have to write
(PS-29): on SQLite, with a disk that takes so many milliseconds for each
commit, beside a sweep of one turn after another.
"""

# ruff: noqa: ANN401 - ports of any kind are wrapped here

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from table import Row, compare, show

import autopay_core as ap
from autopay_core import aio
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sql.words import Write
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.charges import ChargeRequest, GatewayCapabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

ON: Final = date(2026, 1, 31)
THREADS: Final = (200, 0.02, 16, 1.5)
TASKS: Final = (5_000, 0.1, 200, 1.3)
"""Charges, seconds of each, how many at once, and how much more is good."""


DISKS: Final = ((0.0, None), (0.005, None), (0.010, 3.0), (0.020, 3.0))
"""Seconds that a commit waits for the disk, and how much faster is wanted."""


class Slow:
    """A gateway whose company takes its time."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    @property
    def capabilities(self) -> GatewayCapabilities:
        """What the gateway inside promises."""
        found: GatewayCapabilities = self._inner.capabilities
        return found

    def charge(self, request: ChargeRequest) -> Any:
        """Charge, after a while."""
        time.sleep(self._seconds)
        return self._inner.charge(request)

    def lookup(self, key: str) -> Any:
        """Look up at once."""
        return self._inner.lookup(key)


class Awaited:
    """A port in memory for an event loop; its charges are waited for."""

    def __init__(self, inner: Any, seconds: float = 0.0) -> None:
        self._inner = inner
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        """Make a method awaitable."""
        method = getattr(self._inner, name)
        if not callable(method):
            return method

        async def called(*arguments: Any) -> Any:
            if name == "charge" and self._seconds:
                await asyncio.sleep(self._seconds)
            return method(*arguments)

        return called


def order(number: int) -> ap.AutoPay:
    """Return a monthly order that has nothing in common with any other."""
    payer = f"p-{number}"
    return ap.AutoPay(
        id=f"ap-{number}",
        payer=payer,
        name="Acme monthly",
        method=ap.PaymentMethodRef(provider="acme", token=f"tok_{number:06}"),
        deposit_account=ap.DepositAccount(id="operating-1"),
        schedule=ap.Schedule.monthly(ON),
        limit=ap.Limit.all("USD"),
        enrollments=(
            ap.Association.to_client(payer=payer, client=f"C-{number}"),
        ),
    )


def firm(count: int) -> ap.Ports:
    """Return ports with ten open invoices for each order."""
    return memory_ports(
        [
            ap.Invoice(
                number=f"INV-{number}-{each}",
                client=f"C-{number}",
                matter=f"M-{number}",
                issued_on=date(2026, 1, 1 + each),
                balance=ap.Money.of("120.00", "USD"),
            )
            for number in range(count)
            for each in range(10)
        ]
    )


def in_threads(count: int, seconds: float, at_once: int) -> float:
    """Sweep; return how long it took."""
    ports = firm(count)
    ports = attrs.evolve(ports, gateway=Slow(ports.gateway, seconds))
    orders = [order(number) for number in range(count)]
    begin = time.perf_counter()
    results = list(ap.sweep(orders, as_of=ON, ports=ports, at_once=at_once))
    took = time.perf_counter() - begin
    assert all(each.status is ap.RunStatus.PAID for each in results)
    assert len(results) == count
    return took


def in_tasks(count: int, seconds: float, at_once: int) -> float:
    """Sweep on an event loop; return how long it took."""
    ports = firm(count)
    awaited: Any = aio.Ports(
        matters=Awaited(ports.matters),
        gateway=Awaited(ports.gateway, seconds),
        postings=Awaited(ports.postings),
        notifier=Awaited(ports.notifier),
        key_secret=ports.key_secret,
    )
    orders = [order(number) for number in range(count)]

    async def night() -> int:
        paid = 0
        async for each in aio.sweep(
            orders, as_of=ON, ports=awaited, at_once=at_once
        ):
            paid += each.status is ap.RunStatus.PAID
        return paid

    begin = time.perf_counter()
    paid = asyncio.run(night())
    took = time.perf_counter() - begin
    assert paid == count
    return took


def on_disk(seconds: float, at_once: int) -> float:
    """Sweep 200 orders on SQLite; return how long it took."""
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        store = SqlitePostingStore(Path(folder) / "postings.db")
        carry_out: Any = getattr(store, "_carry_out")  # noqa: B009 - not ours

        def slowly(wanted: Any) -> object:
            if type(wanted) is not Write:
                return carry_out(wanted)
            with lock:  # SQLite has one writer, who waits for the disk.
                time.sleep(seconds)
                return carry_out(wanted)

        store.__dict__["_carry_out"] = slowly
        ports = attrs.evolve(firm(200), postings=store)
        orders = [order(number) for number in range(200)]
        begin = time.perf_counter()
        results = list(
            ap.sweep(orders, as_of=ON, ports=ports, at_once=at_once)
        )
        took = time.perf_counter() - begin
        store.close()
    assert len(results) == 200
    return took


def rows() -> Iterator[Row]:
    """Measure both forms, and what is won by writing together."""
    for seconds, faster in DISKS:
        yield compare(
            f"200 runs, SQLite, {seconds * 1000:.0f} ms a commit, 16 threads: "
            "one",
            on_disk(seconds, 16),
            on_disk(seconds, 1),
            faster,
        )
    for name, sweep, (count, seconds, at_once, more) in (
        ("threads", in_threads, THREADS),
        ("tasks", in_tasks, TASKS),
    ):
        work = sweep(count, 0.0, 1)
        ideal = count * seconds / at_once
        ours = sweep(count, seconds, at_once)
        yield compare(
            f"{count:,} charges of {seconds * 1000:.0f} ms, {at_once} {name}: "
            "least",
            ours,
            ideal + work,
            1 / more,
        )


if __name__ == "__main__":
    sys.exit(show(rows()))
