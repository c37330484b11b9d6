"""
How fast whole runs are on the SQL stores, beside their writes alone.

Ours is a sweep: every auto-pay has ten open invoices, and each run reads,
allocates, writes its intent, charges a gateway in memory, writes outcome,
postings and notice, and marks the notice as delivered: three durable commits.
The other side is what nobody can do without: the same rows in the same three
transactions, written by hand with the database's own driver, the JSON and the
hashes prepared beforehand, nothing read, nothing decided. What is written by
hand is recorded from a sweep of ours, so it is the same to the byte.

The sweep is of 10,000 auto-pays. The sides take turns in portions of it, and
the median portion counts: a disk shared with others slows both alike.
"""

# It looks behind the stores' faces, and its statements are constants.
# ruff: noqa: ANN401, ARG002, D102, PLC0415, S608

from __future__ import annotations

import multiprocessing
import secrets
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import tracemalloc
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from table import Row, compare, show

import autopay_core as ap
from autopay_core.adapters import postgres, sqlite
from autopay_core.adapters.memory import MemoryPostingStore, memory_ports
from autopay_core.adapters.sql.words import Ask, Insert
from autopay_core.associations import InvoicePage
from autopay_core.charges import Captured, GatewayCapabilities, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from autopay_core.associations import InvoiceQuery
    from autopay_core.charges import (
        ChargeOutcome,
        ChargeRequest,
        LookupOutcome,
    )
    from autopay_core.invoices import SearchPage

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

ON: Final = date(2026, 1, 31)
PORTION: Final = 100
"""So many that each portion has its share of checkpoints."""

PORTIONS: Final = 100
HISTORY: Final = 1_000_000
WORKERS: Final = (1, 2, 4)
WORKER_RUNS: Final = 300
POSTINGS_OF_A_RUN: Final = 10

_PAYMENTS: Final = iter(lambda: secrets.randbits(60), -1)
"""Numbers of payments, each once in all processes: a store refuses others."""

Write = tuple[str, "Sequence[Any]", bool]
"""A statement, its values or rows, and whether it is for many rows."""


def standing_order(name: str) -> tuple[ap.AutoPay, list[ap.Invoice]]:
    """Make an auto-pay with ten open invoices, the last paid in part."""
    invoices = [
        ap.Invoice(
            number=f"INV-{name}-{number}",
            client=f"C-{name}",
            matter=f"M-{name}",
            issued_on=date(2026, 1, 1 + number),
            balance=ap.Money.of("120.00", "USD"),
        )
        for number in range(POSTINGS_OF_A_RUN)
    ]
    autopay = ap.AutoPay(
        id=f"ap-{name}",
        payer=f"p-{name}",
        name="Acme monthly",
        method=ap.PaymentMethodRef(provider="acme", token=f"tok_{name}"),
        deposit_account=ap.DepositAccount(id="operating-1"),
        schedule=ap.Schedule.monthly(ON),
        limit=ap.Limit.up_to(ap.Money.of("1150.00", "USD")),
        enrollments=(
            ap.Association.to_client(payer=f"p-{name}", client=f"C-{name}"),
        ),
    )
    return autopay, invoices


def sweep_on(store: Any, names: Iterable[str]) -> float:
    """Sweep auto-pays on a store; return the seconds of the sweep."""
    made = [standing_order(name) for name in names]
    ports = attrs.evolve(
        memory_ports(
            [invoice for _, invoices in made for invoice in invoices]
        ),
        postings=store,
    )
    ports.gateway._numbers = _PAYMENTS  # type: ignore[attr-defined]  # noqa: SLF001
    begin = time.perf_counter()
    for result in ap.sweep(
        [autopay for autopay, _ in made], as_of=ON, ports=ports
    ):
        assert result.status is ap.RunStatus.PAID, result
    return time.perf_counter() - begin


# -- SQLite ------------------------------------------------------------------


class Recorder:
    """Records what a SQLite store writes, transaction by transaction."""

    def __init__(self) -> None:
        self.transactions: list[list[Write]] = []

    def __enter__(self) -> Self:
        self._execute = sqlite._execute  # noqa: SLF001
        sqlite._execute = self  # noqa: SLF001
        return self

    def __exit__(self, *_: object) -> None:
        sqlite._execute = self._execute  # noqa: SLF001

    def __call__(  # in place of the driver's own
        self, cursor: sqlite3.Cursor, batch: Sequence[Ask | Insert]
    ) -> Any:
        writes = [
            each
            for each in batch
            if isinstance(each, Insert)
            or not each.sql.startswith(("SELECT", "WITH"))
        ]
        if writes:
            self.transactions.append([self._write(each) for each in writes])
        return self._execute(cursor, batch)

    @staticmethod
    def _write(each: Ask | Insert) -> Write:
        if isinstance(each, Insert):
            return sqlite._insertion(each.table), list(each.rows), True  # noqa: SLF001
        sql, values = sqlite._statement(each)  # noqa: SLF001
        return sql, list(values), False


def in_memory() -> sqlite.SqlitePostingStore:
    """Make a store to record from."""
    return sqlite.SqlitePostingStore(":memory:", in_memory=True)


def record(
    store: sqlite.SqlitePostingStore, names: Sequence[str]
) -> list[list[Write]]:
    """Return what a sweep writes."""
    with Recorder() as recorder:
        sweep_on(store, names)
    # A lone statement writes the clock's mark down, once in a while; what a
    # sweep says of itself at its end is no part of a run.
    found = [
        each
        for each in recorder.transactions
        if len(each) > 1 and "INTO autopay_told" not in each[0][0]
    ]
    assert len(found) == 3 * len(names)
    return found


def write_by_hand(
    connection: sqlite3.Connection, transactions: Iterable[list[Write]]
) -> float:
    """Write with sqlite3 what was recorded; return the seconds."""
    begin = time.perf_counter()
    for writes in transactions:
        connection.execute("BEGIN IMMEDIATE")
        for sql, values, is_many in writes:
            if is_many:
                connection.executemany(sql, values)
            else:
                connection.execute(sql, values).fetchall()
        connection.execute("COMMIT")
    return time.perf_counter() - begin


def by_hand_in(folder: Path) -> sqlite3.Connection:
    """Open an empty database of the same schema, as safe as ours."""
    path = folder / "by-hand.db"
    sqlite.SqlitePostingStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def portions(
    *actions: Callable[[int], float], count: int = PORTIONS
) -> list[float]:
    """Return the median seconds of each action's portions, taking turns."""
    times: list[list[float]] = [[] for _ in actions]
    for portion in range(count):
        for place, action in enumerate(actions):
            times[place].append(action(portion))
    return [statistics.median(each[1:]) for each in times]


def names_of(portion: int, prefix: str = "") -> list[str]:
    """Name the auto-pays of a portion."""
    return [f"{prefix}{portion}-{number}" for number in range(PORTION)]


def sqlite_rows(folder: Path) -> Iterator[Row]:
    """Measure a sweep on SQLite and in memory beside its writes."""
    by_hand = by_hand_in(folder)
    memory = MemoryPostingStore()
    with (
        sqlite.SqlitePostingStore(folder / "ours.db") as store,
        in_memory() as recorded,
    ):
        on_sqlite, other, on_memory = portions(
            lambda portion: sweep_on(store, names_of(portion)),
            lambda portion: write_by_hand(
                by_hand, record(recorded, names_of(portion))
            ),
            lambda portion: sweep_on(memory, names_of(portion)),
        )
    by_hand.close()
    yield compare(
        "a run on SQLite: the same rows and commits by hand",
        on_sqlite / PORTION,
        other / PORTION,
        0.5,
    )
    yield compare(
        "a run in memory: the same rows and commits by hand",
        on_memory / PORTION,
        other / PORTION,
    )


# -- Flatness ----------------------------------------------------------------


def fill(path: Path, postings: int) -> None:
    """Put old, finished runs with applied postings into a store's file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    ((data,),) = connection.execute("SELECT data FROM autopay_runs LIMIT 1")
    for table, (source, columns) in _COPIES.items():
        connection.execute(
            f"{source} INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(columns.values())} "
            f"FROM {'line' if 'line(' in source else 'run'}",
            {
                "runs": postings // POSTINGS_OF_A_RUN,
                "each": POSTINGS_OF_A_RUN,
                "data": data,
            },
        )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


_RUNS: Final = (
    "WITH RECURSIVE run(n) AS (SELECT 0 UNION ALL "
    "SELECT n + 1 FROM run WHERE n + 1 < :runs)"
)
_LINES: Final = (
    "WITH RECURSIVE line(n, m) AS (SELECT 0, 0 UNION ALL SELECT "
    "n + (m + 1) / :each, (m + 1) % :each FROM line "
    "WHERE n * :each + m + 1 < :runs * :each)"
)
_CLIENTS: Final = (
    "WITH RECURSIVE run(n) AS (SELECT 0 UNION ALL "
    "SELECT n + 1 FROM run WHERE n + 1 < :runs / 24)"
)
_KEY: Final = {
    "autopay": "'old-' || (n / 24)",
    "nominal_on": "printf('20%02d-%02d-28', n % 24 / 12, n % 12 + 1)",
    "number": "0",
}
# By the names of the columns; ids as scattered as real ones.
_COPIES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "autopay_runs": (
        _RUNS,
        {
            **_KEY,
            "version": "3",
            "state": "'paid'",
            "charge_on": "'2025-01-28'",
            "taken_minor": "115000",
            "taken_currency": "'USD'",
            "data": ":data",
            "reference": "'old-pay-' || n",
            "account": "''",
        },
    ),
    "autopay_keys": (
        _RUNS,
        {**_KEY, "key": "'ap2' || upper(hex(randomblob(16)))"},
    ),
    "autopay_attempts": (
        _RUNS,
        {
            **_KEY,
            "method": "lower(hex(randomblob(16)))",
            "attempt": "1",
            "at": "1700000000000000 + n",
            "minor": "115000",
            "currency": "'USD'",
            "counts": "0",
            "payer": "'p-' || (n / 24)",
        },
    ),
    "autopay_postings": (
        _LINES,
        {
            **_KEY,
            "id": "'p-' || lower(hex(randomblob(16)))",
            "payer": "'p-' || (n / 24)",
            "client": "'C-old-' || (n / 24)",
            "matter": "'M-' || (n / 24)",
            "invoice": "'INV-old-' || n || '-' || m",
            "minor": "11500",
            "currency": "'USD'",
            "charged_on": "'2025-01-28'",
            "payment_reference": "'old-pay-' || n",
            "account": "'operating-1'",
            "account_kind": "'operating'",
            "ar_message": "''",
            "status": "'applied'",
            "note": "''",
            "is_open": "0",
            "moved_at": "1700000000000000 + n",
            "made_at": "1700000000000000 + n",
        },
    ),
    "autopay_notices": (
        _RUNS,
        {
            "key": "'n-' || lower(hex(randomblob(16)))",
            "is_delivered": "1",
            "data": "'{}'",
        },
    ),
    "autopay_clients": (
        _CLIENTS,
        {"client": "'C-old-' || n", "version": "48"},
    ),
    "autopay_history": (
        _RUNS,
        {
            "chain": "-1 - n % 16",
            "seq": "n",
            "at": "0",
            "transition": "lower(hex(randomblob(16)))",
            "body": "printf('%.600c', 'x')",
            "hash": "lower(hex(randomblob(32)))",
        },
    ),
}


def flat_rows(folder: Path, postings: int = HISTORY) -> Iterator[Row]:
    """Measure runs and movements with an empty history and a long one."""
    paths = {name: folder / f"{name}.db" for name in ("short", "long")}
    for path in paths.values():
        with sqlite.SqlitePostingStore(path) as store:
            sweep_on(store, ["first"])
    fill(paths["long"], postings)
    with (
        sqlite.SqlitePostingStore(paths["short"]) as short,
        sqlite.SqlitePostingStore(paths["long"]) as long,
    ):
        ours, other = portions(
            lambda portion: sweep_on(long, names_of(portion)),
            lambda portion: sweep_on(short, names_of(portion)),
            count=12,
        )
        back, early = portions(
            lambda portion: receive_on(long, portion),
            lambda portion: receive_on(short, portion),
            count=9,
        )
    yield compare(
        f"a run after {postings:,} postings: after none",
        ours / PORTION,
        other / PORTION,
        0.67,
    )
    yield compare(
        f"a movement after {postings:,} postings: after none",
        back / PORTION,
        early / PORTION,
        0.67,
    )


def receive_on(store: Any, portion: int) -> float:
    """
    Take in a return of each payment of a portion; return the seconds.

    The company names each by the payment's reference, the attempt's key, or
    the run, in turn.
    """
    ports = attrs.evolve(memory_ports(), postings=store)
    movements: list[ap.Movement] = []
    for place, name in enumerate(names_of(portion)):
        key = ap.RunKey(autopay=f"ap-{name}", nominal_on=ON)
        [attempt] = store.standing(key, "", "").run.attempts
        named = (
            {"reference": attempt.outcome.reference},
            {"key": attempt.key},
            {"run": key},
        )[place % 3]
        movements.append(
            ap.Movement(
                id=f"back-{name}",
                kind=ap.MovementKind.RETURNED,
                amount=ap.Money.of("1.00", "USD"),
                on=ON,
                **named,
            )
        )
    begin = time.perf_counter()
    for each in movements:
        placed = ap.receive(each, ports=ports)
        assert placed.state.name == "PLACED", placed
    return time.perf_counter() - begin


# -- Memory ------------------------------------------------------------------


def peak(folder: Path, count: int) -> int:
    """Return the most bytes that a sweep of so many auto-pays holds."""
    path = folder / f"peak-{count}.db"
    with sqlite.SqlitePostingStore(path) as store:
        ports = attrs.evolve(
            memory_ports(),
            matters=_Matters(),
            gateway=_Gateway(),
            notifier=_Notifier(),
            postings=store,
        )
        tracemalloc.start()
        for _ in ap.sweep(
            (standing_order(str(number))[0] for number in range(count)),
            as_of=ON,
            ports=ports,
        ):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


class _Matters:
    """Matter data that is made when it is asked for, and not kept."""

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        _, invoices = standing_order(query.payer.removeprefix("p-"))
        return InvoicePage(invoices=tuple(invoices))

    def search(self, query: ap.SearchQuery, /) -> SearchPage:
        raise NotImplementedError


class _Gateway:
    """A gateway that takes everything and remembers nothing."""

    capabilities = GatewayCapabilities()

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        return Captured(
            key=request.key, amount=request.amount, reference="pay-1"
        )

    def lookup(self, key: str, /) -> LookupOutcome:
        return NotFound()


class _Notifier:
    """A notifier that accepts everything and remembers nothing."""

    def send(self, notice: ap.Notice, /) -> None:
        pass


def memory_rows(folder: Path) -> Iterator[Row]:
    """Measure how memory grows from a few auto-pays to many."""
    peak(folder, 499)  # What the first sweeps load stays loaded.
    few, many = peak(folder, 500), peak(folder, 10_000)
    yield compare("peak memory of a sweep of 10,000: of 500", many, few, 0.8)


# -- PostgreSQL --------------------------------------------------------------


def _replay_on_postgres(
    conninfo: str, transactions: list[list[Write]]
) -> float:
    import psycopg

    with psycopg.connect(conninfo, autocommit=True) as connection:
        native = [
            [
                (sql.replace("?", "%s"), values, is_many)
                for sql, values, is_many in writes
            ]
            for writes in transactions
        ]
        begin = time.perf_counter()
        for writes in native:
            with connection.transaction(), connection.cursor() as cursor:
                for sql, values, is_many in writes:
                    if is_many:
                        cursor.executemany(sql, values)
                    else:
                        cursor.execute(sql, values)
        return time.perf_counter() - begin


def _moved(row: Sequence[Any], place: int) -> tuple[Any, ...]:
    """Put an entry where no other worker's is."""
    return (*row[:4], row[4] + 1_000_000 * (place + 1), *row[5:])


def _work(
    what: str,
    conninfo: str,
    prefix: str,
    barrier: Any,
    seconds: Any,
    place: int,
) -> None:
    names = [f"{prefix}{number}" for number in range(WORKER_RUNS)]
    if what == "ours":
        with postgres.PostgresPostingStore(conninfo) as store:
            sweep_on(store, [f"{prefix}warm"])
            barrier.wait()
            seconds[place] = sweep_on(store, names)
    else:
        with in_memory() as store:
            transactions = record(store, names)
        # Chains are shared: by hand nobody waits for another.
        for writes in transactions:
            writes[:] = [
                (sql, [_moved(row, place) for row in rows], is_many)
                if "INTO autopay_history" in sql
                else (sql, rows, is_many)
                for sql, rows, is_many in writes
            ]
        barrier.wait()
        seconds[place] = _replay_on_postgres(conninfo, transactions)


def _workers(what: str, server: Any, count: int) -> float:
    """Return the seconds of a run, with so many workers at once."""
    name = f"{what}_{count}"
    conninfo = server.new_database(name)
    postgres.PostgresPostingStore(conninfo).close()
    barrier = multiprocessing.Barrier(count)
    seconds = multiprocessing.Array("d", count)
    workers = [
        multiprocessing.Process(
            target=_work,
            args=(what, conninfo, f"{place}-", barrier, seconds, place),
        )
        for place in range(count)
    ]
    for each in workers:
        each.start()
    for each in workers:
        each.join(600)
        assert each.exitcode == 0
    slowest: float = max(seconds[:])
    return slowest / (WORKER_RUNS * count)


def postgres_rows() -> Iterator[Row]:
    """Measure sweeps on PostgreSQL beside their writes, with workers."""
    from postgres_server import find_programs, postgres_server

    if find_programs() is None:
        print("PostgreSQL is not here; its rows are left out", flush=True)
        return
    with postgres_server() as server:
        for count in WORKERS:
            pairs = [
                (
                    _workers("ours", server, count),
                    _workers("other", server, count),
                )
                for _ in range(3)
            ]
            ours, other = (min(each) for each in zip(*pairs, strict=True))
            yield compare(
                f"a run on PostgreSQL, {count} workers: by hand",
                ours,
                other,
                0.5,
            )


def rows() -> Iterator[Row]:
    """Measure everything, in a folder that is removed."""
    folder = Path(tempfile.mkdtemp(prefix="autopay-bench-"))
    try:
        yield from sqlite_rows(folder)
        yield from flat_rows(folder)
        yield from memory_rows(folder)
    finally:
        shutil.rmtree(folder)
    yield from postgres_rows()


if __name__ == "__main__":
    sys.exit(show(rows()))
