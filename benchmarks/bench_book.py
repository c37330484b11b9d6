"""
What a night of the book costs beside a sweep of what is due alone (O3).

100,000 orders are kept, each with its payer, and 3 % of them are due. The
other side hands just those to `ap.sweep`, ready-made. Both run on the same
kind of store; the book lies in the posting store's database. The sides take
turns in portions, so that a disk shared with others slows both alike. A night
on which nothing is due is measured as well.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from table import Row, compare, show

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.book import (
    Book,
    Draft,
    KeptAssociation,
    Payer,
    SavedMethod,
)
from autopay_core.book.sqlite import SqliteBookStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

ON: Final = date(2026, 1, 31)
LATER: Final = ON + timedelta(days=20)
KEPT: Final = 100_000
DUE: Final = 3_000
PORTION: Final = 100
LEAST: Final = 1 / 1.15
"""A night may cost so much more."""

IDLE_SECONDS: Final = 0.05
"""A night with nothing due may cost so much."""


def client_of(name: str) -> ap.Association:
    """Return what an order enrolls."""
    return ap.Association.to_client(payer=f"p-{name}", client=f"C-{name}")


def order(name: str, first_on: date = ON) -> ap.AutoPay:
    """Return a monthly order of all that its client owes."""
    return ap.AutoPay(
        id=f"ap-{name}",
        payer=f"p-{name}",
        name="Acme monthly",
        method=ap.PaymentMethodRef(provider="acme", token=f"tok_{name}"),
        deposit_account=ap.DepositAccount(id="operating-1"),
        schedule=ap.Schedule.monthly(first_on),
        limit=ap.Limit.all("USD"),
        enrollments=(client_of(name),),
    )


def bills(name: str) -> Iterator[ap.Invoice]:
    """Return ten open invoices of an order's client."""
    for number in range(10):
        yield ap.Invoice(
            number=f"INV-{name}-{number}",
            client=f"C-{name}",
            matter=f"M-{name}",
            issued_on=date(2026, 1, 1 + number),
            balance=ap.Money.of("120.00", "USD"),
        )


def drafts(autopay: ap.AutoPay, next_on: date) -> tuple[Draft, Draft]:
    """Return the first versions of an order and its payer."""
    word: dict[str, Any] = {"number": 1, "command": "Add", "by": "bench"}
    [enrolled] = autopay.enrollments
    payer = Payer(
        id=autopay.payer,
        associations=(KeptAssociation(association=enrolled.association),),
        methods=(SavedMethod(method=autopay.method),),
    )
    return (
        Draft(value=autopay, reason="bench", next_on=next_on, **word),
        Draft(value=payer, reason="bench", **word),
    )


def fill(store: Any, due: set[str]) -> None:  # noqa: ANN401 - any book's store
    """Keep what is due, and all the others."""
    kept = (
        each
        for number in range(KEPT)
        for name in (f"{number:06}",)
        for each in drafts(
            order(name, ON if name in due else LATER),
            ON if name in due else LATER,
        )
    )
    while portion := list(islice(kept, 2_000)):
        store.write(portion, {})


def ports_on(postings: Any, names: list[str]) -> ap.Ports:  # noqa: ANN401 - any store
    """Return ports with the bills of some orders."""
    found = memory_ports([each for name in names for each in bills(name)])
    return attrs.evolve(found, postings=postings)


def compared(name: str, stores: Callable[[str], Any]) -> Iterator[Row]:
    """Let a night of the book and a sweep alone take turns."""
    due = [f"{number:06}" for number in range(DUE)]
    alone = [f"alone-{number:06}" for number in range(DUE)]
    postings, beside, store = map(stores, ("postings", "beside", "book"))
    book = Book(store)
    fill(store, {*due})
    begin = time.perf_counter()
    assert not list(
        book.sweep(as_of=ON - timedelta(days=1), ports=ports_on(postings, []))
    )
    idle = time.perf_counter() - begin
    sides = [
        book.sweep(as_of=ON, ports=ports_on(postings, due)),
        ap.sweep(
            [order(each) for each in alone],
            as_of=ON,
            ports=ports_on(beside, alone),
        ),
    ]
    spent = [0.0, 0.0]
    for portion in range(DUE // PORTION + 1):
        for place in (0, 1) if portion % 2 else (1, 0):
            begin = time.perf_counter()
            found = list(islice(sides[place], PORTION))
            spent[place] += time.perf_counter() - begin
            assert all(each.status is ap.RunStatus.PAID for each in found)
            assert len(found) == (PORTION if portion < DUE // PORTION else 0)
    yield compare(
        f"a night of the book, {name}: a sweep of what is due", *spent, LEAST
    )
    yield compare(
        f"a night of the book with nothing due, {name}: 50 ms",
        idle,
        IDLE_SECONDS,
        1.0,
    )


def sqlite_rows(folder: Path) -> Iterator[Row]:
    """Measure nights on SQLite, the book in the posting store's file."""

    def stores(name: str) -> Any:  # noqa: ANN401 - any store
        if name == "book":
            return SqliteBookStore(folder / "postings.db")
        return SqlitePostingStore(folder / f"{name}.db")

    return compared("SQLite", stores)


def postgres_rows() -> Iterator[Row]:
    """Measure nights on PostgreSQL, the book in the posting store's tables."""
    from autopay_core.adapters.postgres import PostgresPostingStore
    from autopay_core.book.postgres import PostgresBookStore
    from postgres_server import find_programs, postgres_server

    if find_programs() is None:
        print("PostgreSQL is not here; its rows are left out", flush=True)
        return
    with postgres_server() as server:

        def stores(name: str) -> Any:  # noqa: ANN401 - any store
            if name == "book":
                return PostgresBookStore(
                    f"host={server.folder} user=autopay dbname=postings"
                )
            return PostgresPostingStore(server.new_database(name))

        yield from compared("PostgreSQL", stores)


def rows() -> Iterator[Row]:
    """Measure everything, in a folder that is removed."""
    folder = Path(tempfile.mkdtemp(prefix="autopay-bench-"))
    try:
        yield from sqlite_rows(folder)
        yield from postgres_rows()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(show(rows()))
