"""The book on PostgreSQL keeps every clause, on a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from autopay_core.adapters.postgres import PostgresPostingStore
from autopay_core.book import Kind
from autopay_core.book.postgres import (
    AsyncPostgresBookStore,
    PostgresBookStore,
    migrations,
)
from autopay_core.book.sql import (
    _ASK_DUE,
    _ASK_LATEST,
    _ASK_NUMBER,
    _ASK_OWNED,
    _ASK_VERSIONS,
    _MOVE_ON,
)
from autopay_core.errors import PortUnavailableError, UnsafeStoreError
from autopay_core.testing.contracts import (
    AsyncBookStoreContract,
    BookStoreContract,
    Clock,
)
from autopay_core.testing.contracts._books import draft, order, written
from lost_answers import lose_on_postgres
from postgres_server import shared_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopay_core.book import AsyncBookStore, BookStore

pytestmark = [pytest.mark.postgres]

WIPE = "TRUNCATE autopay_book_entries, autopay_book_versions"


def database() -> str:
    """Return a database with an empty book; it is made once."""
    server = shared_server()
    where = f"host={server.folder} user=autopay dbname=book"
    try:
        with psycopg.connect(where) as connection:
            connection.execute(WIPE)
    except psycopg.OperationalError:
        server.new_database("book")
        # Beside a posting store, in its database.
        PostgresPostingStore(where).close()
    except psycopg.errors.UndefinedTable:
        pass  # No book has been opened on it yet.
    return where


def spoil(_: Any, kind: Kind, id_: str) -> None:
    where = f"host={shared_server().folder} user=autopay dbname=book"
    with psycopg.connect(where) as other:
        other.execute(
            "UPDATE autopay_book_versions SET data = left(data, 60) "
            "WHERE kind = %s AND id = %s",
            (kind.value, id_),
        )


class TestPostgresBookStore(BookStoreContract):
    @pytest.fixture
    def opened(self) -> Iterator[list[PostgresBookStore]]:
        stores: list[PostgresBookStore] = []
        yield stores
        for each in stores:
            each.close()

    @pytest.fixture
    def new_book(
        self, opened: list[PostgresBookStore]
    ) -> Callable[[Clock], BookStore]:
        def made(clock: Clock) -> BookStore:
            opened.append(PostgresBookStore(database(), clock=clock))
            return opened[-1]

        return made

    @pytest.fixture
    def reopen_book(
        self, opened: list[PostgresBookStore]
    ) -> Callable[[Any, Clock], BookStore]:
        def again(store: Any, clock: Clock) -> BookStore:
            store.close()
            where = f"host={shared_server().folder} user=autopay dbname=book"
            opened.append(PostgresBookStore(where, clock=clock))
            return opened[-1]

        return again

    @pytest.fixture
    def spoil_version(self) -> Callable[[Any, Kind, str], None]:
        return spoil


class TestAsyncPostgresBookStore(AsyncBookStoreContract):
    @pytest.fixture
    def opened(self, loop: Any) -> Iterator[list[AsyncPostgresBookStore]]:
        stores: list[AsyncPostgresBookStore] = []
        yield stores
        for each in stores:
            loop.run(each.close())

    @pytest.fixture
    def new_async_book(
        self, opened: list[AsyncPostgresBookStore]
    ) -> Callable[[Clock], AsyncBookStore]:
        def made(clock: Clock) -> AsyncBookStore:
            opened.append(AsyncPostgresBookStore(database(), clock=clock))
            return opened[-1]

        return made

    @pytest.fixture
    def spoil_version(self) -> Callable[[Any, Kind, str], None]:
        return spoil


def test_bk_1_a_write_whose_answer_was_lost_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = PostgresBookStore(database())
    lose_on_postgres(monkeypatch, "after")

    [version] = written(store, draft(order()))

    assert store.latest(Kind.AUTOPAY, ["ap-1"])[0].version == version
    store.close()


def test_bk_1_a_write_that_broke_off_is_proven_not_to_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = PostgresBookStore(database())
    lose_on_postgres(monkeypatch, "before")

    with pytest.raises(PortUnavailableError):
        store.write((draft(order()),), {})

    assert not store.latest(Kind.AUTOPAY, ["ap-1"])
    store.close()


def test_a_books_time_is_the_servers_unless_a_clock_is_given() -> None:
    with PostgresBookStore(database()) as store:
        first, second = (
            written(store, draft(order(name=f"n{n}"), n))[0] for n in (1, 2)
        )

    assert first.at <= second.at
    assert first.at.year >= 2026


def test_a_newer_book_is_left_alone() -> None:
    where = database()
    PostgresBookStore(where).close()
    with psycopg.connect(where) as other:
        other.execute("INSERT INTO autopay_book_schema VALUES (2, 'later')")
    try:
        with pytest.raises(UnsafeStoreError) as raised:
            PostgresBookStore(where)
        assert raised.value.code == "SchemaNewer"

        async def opened() -> None:
            async with AsyncPostgresBookStore(where):
                pass

        with pytest.raises(UnsafeStoreError):
            asyncio.run(opened())
    finally:
        with psycopg.connect(where) as other:
            other.execute("DELETE FROM autopay_book_schema WHERE number = 2")


def test_a_hosts_own_tool_can_make_the_book() -> None:
    server = shared_server()
    server.new_database("book_by_hand")
    where = f"host={server.folder} user=autopay dbname=book_by_hand"
    with psycopg.connect(where) as other:
        for migration in migrations():
            for each in migration.statements:
                other.execute(each.encode())

    with PostgresBookStore(where, migrate=False) as store:
        assert written(store, draft(order()))


PLANS: dict[str, tuple[Any, ...]] = {
    _ASK_LATEST: ("autopay", ["a", "b"]),
    _ASK_OWNED: ("p-1", "", 500),
    _ASK_DUE: ("2026-01-31", "2026-01-01", "ap-1", 500),
    _ASK_VERSIONS: ("autopay", "ap-1", 9_000, 1),
    _ASK_NUMBER: ("autopay", ["a", "b"]),
    _MOVE_ON: ("2026-01-31", 1, ["a", "b"]),
}


@pytest.mark.parametrize("sql", PLANS, ids=lambda sql: sql[:40])
def test_o3_every_statement_of_the_book_has_its_index(sql: str) -> None:
    where = database()
    PostgresBookStore(where).close()
    native = sql.replace("IN ??", "= ANY(?)").replace("?", "%s")

    with psycopg.connect(where) as other:
        for name in ("hashjoin", "mergejoin", "seqscan"):
            other.execute(f"SET enable_{name} = off".encode())
        rows = other.execute(f"EXPLAIN {native}".encode(), PLANS[sql])
        plan = "\n".join(line for (line,) in rows)

    assert "Index" in plan
    assert "Seq Scan" not in plan
