"""A store of before batches opens, stays proven, and sends its postings."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from autopay_core import calls
from autopay_core.adapters import sqlite
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.batches import Batch, BatchAnswer, LineAccepted
from autopay_core.commits import PostingFilter, PostingSort
from autopay_core.history import HistoryHead, verify_history
from autopay_core.postings import PostingStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA: Final = Path(__file__).parent / "data" / "6417867"
NOW: Final = datetime(2026, 4, 2, 9, tzinfo=UTC)


def later() -> datetime:
    return NOW


class OnSqlite:
    """The file as it was left, and a way past the library."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "evidence.db"
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(DATA.joinpath("sqlite.sql").read_text())

    def open(self) -> Any:
        return SqlitePostingStore(self.path, clock=later)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(text).fetchall()


class OnPostgres:
    """The same rows in PostgreSQL, under the schema of migration 4."""

    def __init__(self, folder: Path) -> None:
        import psycopg

        from autopay_core.adapters import postgres
        from postgres_server import shared_server

        source = OnSqlite(folder)
        self.conninfo = shared_server().new_database("before_batches")
        with psycopg.connect(self.conninfo) as connection:
            for each in postgres.migrations()[:4]:
                connection.execute(each.sql.encode())
            tables = source.sql(
                "SELECT name FROM sqlite_master WHERE type = 'table' "
                "AND name LIKE 'autopay%' AND name <> 'autopay_schema'"
            )
            for (table,) in tables:
                connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608 - our own
                names = [
                    name
                    for (name,) in source.sql(
                        f"SELECT name FROM pragma_table_info('{table}')"  # noqa: S608 - our own
                    )
                ]
                marks = ", ".join(["%s"] * len(names))
                for row in source.sql(
                    f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608 - our own
                ):
                    connection.execute(
                        f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 - our own
                        f"OVERRIDING SYSTEM VALUE VALUES ({marks})".encode(),
                        row,
                    )

    def open(self) -> Any:
        from autopay_core.adapters.postgres import PostgresPostingStore

        return PostgresPostingStore(self.conninfo, clock=later)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.conninfo) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(
    params=[OnSqlite, pytest.param(OnPostgres, marks=pytest.mark.postgres)]
)
def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[OnSqlite | OnPostgres]:
    return request.param(tmp_path)  # type: ignore[no-any-return]


def heads() -> list[HistoryHead]:
    return [
        HistoryHead(**each)
        for each in json.loads(DATA.joinpath("heads.json").read_text())
    ]


def test_the_evidence_is_of_migration_4(tmp_path: Path) -> None:
    numbers = OnSqlite(tmp_path).sql("SELECT MAX(number) FROM autopay_schema")

    assert numbers == [(4,)]
    assert len(sqlite.migrations()) > 4


def test_t2_what_was_proven_before_migration_5_stays_proven(
    place: Any,
) -> None:
    store = place.open()

    assert verify_history(store, anchors=heads()) == ()
    assert len(store.postings(PostingFilter())) == 9
    store.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("made_at", "7"),
        ("posted_on", "'2026-04-01'"),
        ("ledger_number", "'L-1'"),
        ("note", "'another'"),
        ("minor", "7"),
    ],
)
def test_t2_a_row_of_before_that_is_changed_is_found(
    place: Any, column: str, value: str
) -> None:
    store = place.open()

    place.sql(
        f"UPDATE autopay_postings SET {column} = {value} "  # noqa: S608 - our own
        "WHERE invoice = 'INV-6'"
    )

    [fault] = verify_history(store, anchors=heads())
    assert fault.row.startswith("autopay_postings")
    store.close()


def test_p5_postings_of_before_go_into_batches(place: Any) -> None:
    store = place.open()
    ports = attrs.evolve(memory_ports(clock=later), postings=store)
    ready = [
        each
        for each in calls.find_postings(
            PostingFilter(sort=PostingSort.MADE), ports=ports
        )
        if each.status in (PostingStatus.PENDING, PostingStatus.QUEUED)
    ]
    # All were made before it was noted when.
    assert [each.id for each in ready] == sorted(each.id for each in ready)

    made = calls.make_batch("b-1", ready, by="ann", ports=ports)
    assert isinstance(made, Batch)
    calls.export_batch("b-1", by="ann", ports=ports)
    calls.answer_batch(
        BatchAnswer(
            batch="b-1",
            lines=tuple(
                LineAccepted(
                    posting=each.id,
                    number=f"L-{each.invoice}",
                    posted_on=date(2026, 4, 2),
                )
                for each in ready
            ),
            booked=made.control,
        ),
        by="ledger",
        ports=ports,
    )

    [first] = store.postings(PostingFilter(invoice="INV-1"))
    assert first.status is PostingStatus.POSTED
    assert (first.posted_on, first.ledger_number) == (
        date(2026, 4, 2),
        "L-INV-1",
    )
    assert len(ready) == 5
    assert verify_history(store, anchors=heads()) == ()
    store.close()
