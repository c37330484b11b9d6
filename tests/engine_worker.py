"""
A worker of an engine in a process of its own, for a test that kills it.

Started as ``python -m engine_worker ADDRESS FOLDER dies|lives``. One that dies
begins the night, and waits to be killed when the first money has moved; one
that lives comes an hour later, raises the jobs of the dead, and ends.
"""

from __future__ import annotations

import asyncio
import sys
import time as clocks
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import procrastinate

from autopay_core.adapters.memory import MemoryMatterData, MemoryNotifier
from autopay_core.adapters.postgres import PostgresPostingStore
from autopay_core.adapters.procrastinate import Nights
from autopay_core.book import Book
from autopay_core.book.postgres import PostgresBookStore
from autopay_core.ports import Ports
from autopay_core.testing.gateway_file import FileGateway
from worlds import CARD, DAY, SECRET, START, bill, standing_order, to_client

if TYPE_CHECKING:
    from autopay_core.runs import RunState

ORDERS: Final = 4


def gateway(folder: Path, at: datetime = START) -> FileGateway:
    return FileGateway(folder / "gateway.db", clock=lambda: at)


def add_orders(where: str) -> None:
    book = Book(PostgresBookStore(where, clock=lambda: START))
    for number in range(ORDERS):
        payer = f"p{number}"
        order = standing_order(
            id=f"ap-{number}",
            payer=payer,
            method=attrs.evolve(CARD, token=f"tok_of_payer_{number}"),
            enrollments=(to_client(f"C-{number}", payer),),
        )
        book.add(order, as_of=DAY, by="Ann", reason="signed form")
    book.close()


def states(where: str) -> list[RunState]:
    with PostgresPostingStore(where, clock=lambda: START) as store:
        return [each.state for each in store.runs()]


class _Dies:
    """A gateway that takes money, and never says so."""

    def __init__(self, inner: FileGateway, mark: Path) -> None:
        self._inner, self._mark = inner, mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def charge(self, request: Any, /) -> Any:
        self._inner.charge(request)
        self._mark.touch()
        clocks.sleep(60)
        raise AssertionError("nobody killed it")


def main(where: str, folder: Path, role: str) -> None:
    at = START if role == "dies" else START + timedelta(hours=1)

    def firm() -> tuple[Book, Ports]:
        acme: Any = gateway(folder, at)
        if role == "dies":
            acme = _Dies(acme, folder / "money-moved")
        ports = Ports(
            matters=MemoryMatterData(
                [
                    bill(f"INV-{n}", "9.00", client=f"C-{n}")
                    for n in range(ORDERS)
                ]
            ),
            gateway=acme,
            postings=PostgresPostingStore(where, clock=lambda: at),
            notifier=MemoryNotifier(),
            key_secret=SECRET,
        )
        return Book(PostgresBookStore(where, clock=lambda: at)), ports

    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=where)
    )
    nights = Nights(
        app,
        firm,
        not_before=None,
        every="0 0 1 1 *",
        watched="0 0 1 1 *",
        stalled_seconds=0.5,
    )

    async def work() -> None:
        async with app.open_async():
            if role == "dies":
                await nights.begin.defer_async(as_of=str(DAY))
            else:
                await nights.tend.defer_async(timestamp=0)
            for _ in range(20):
                await app.run_worker_async(
                    wait=False, update_heartbeat_interval=0.1
                )
                await asyncio.sleep(0.1)

    asyncio.run(work())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
