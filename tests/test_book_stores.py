"""The book's stores keep every clause, and cost the same at any size."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopay_core.adapters.sql.words import Ask
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.book import (
    Draft,
    Kind,
    MemoryBookStore,
    Stands,
    Turned,
)
from autopay_core.book.sql import (
    _ASK_DUE,
    _ASK_LATEST,
    _ASK_NUMBER,
    _ASK_OWNED,
    _ASK_VERSIONS,
    _MOVE_ON,
    _SET_ENTRY,
)
from autopay_core.book.sqlite import SqliteBookStore, migrations
from autopay_core.errors import (
    CommitUnknownError,
    PortUnavailableError,
    UnsafeStoreError,
)
from autopay_core.testing.contracts import BookStoreContract, Clock
from autopay_core.testing.contracts._books import TODAY, draft, order, written
from lost_answers import lose_on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autopay_core.book import BookStore


class TestMemoryBookStore(BookStoreContract):
    @pytest.fixture
    def new_book(self) -> Callable[[Clock], BookStore]:
        return lambda clock: MemoryBookStore(clock=clock)


class TestSqliteBookStore(BookStoreContract):
    @pytest.fixture
    def opened(self) -> Iterator[list[SqliteBookStore]]:
        stores: list[SqliteBookStore] = []
        yield stores
        for each in stores:
            each.close()

    @pytest.fixture
    def new_book(
        self, tmp_path: Path, opened: list[SqliteBookStore]
    ) -> Callable[[Clock], BookStore]:
        names = itertools.count()

        def made(clock: Clock) -> BookStore:
            path = tmp_path / f"book{next(names)}.db"
            # Beside a posting store, in its file.
            SqlitePostingStore(path, clock=clock).close()
            opened.append(SqliteBookStore(path, clock=clock))
            return opened[-1]

        return made

    @pytest.fixture
    def reopen_book(self) -> Callable[[Any, Clock], BookStore]:
        def again(store: Any, clock: Clock) -> BookStore:
            store.close()
            return SqliteBookStore(store._path, clock=clock)

        return again

    @pytest.fixture
    def spoil_version(self) -> Callable[[Any, Kind, str], None]:
        def spoil(store: Any, kind: Kind, id_: str) -> None:
            with closing(sqlite3.connect(store._path)) as other, other:
                other.execute(
                    "UPDATE autopay_book_versions "
                    "SET data = substr(data, 1, 60) "
                    "WHERE kind = ? AND id = ?",
                    (kind.value, id_),
                )

        return spoil


def in_memory(clock: Clock | None = None) -> SqliteBookStore:
    return SqliteBookStore(":memory:", in_memory=True, clock=clock or Clock())


# -- Lost answers -------------------------------------------------------------


def test_bk_1_a_write_whose_answer_was_lost_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteBookStore(tmp_path / "book.db", clock=Clock())
    lose_on_sqlite(monkeypatch, "after")

    [version] = written(store, draft(order()))

    assert store.latest(Kind.AUTOPAY, ["ap-1"])[0].version == version


def test_bk_1_a_write_that_broke_off_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteBookStore(tmp_path / "book.db", clock=Clock())
    lose_on_sqlite(monkeypatch, "before")

    with pytest.raises(CommitUnknownError):
        store.write((draft(order()),), {})

    assert written(store, draft(order()))


def test_bk_1_a_book_that_cannot_be_asked_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteBookStore(tmp_path / "book.db", clock=Clock())
    lose_on_sqlite(monkeypatch, "before")

    def away(*_: Any) -> Any:
        raise PortUnavailableError("away")

    monkeypatch.setattr(store, "_is_written", away)
    with pytest.raises(CommitUnknownError):
        store.write((draft(order()),), {})


def test_o3_days_whose_answer_was_lost_are_a_turn_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteBookStore(tmp_path / "book.db", clock=Clock())
    written(store, draft(order()))
    lose_on_sqlite(monkeypatch, "before")

    with pytest.raises(PortUnavailableError):
        store.move_on([Turned(id="ap-1", number=1, next_on=TODAY)])

    assert store.due(TODAY, None, 9)


# -- Schema -------------------------------------------------------------------


def test_the_schema_of_the_book_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    with pytest.raises(UnsafeStoreError) as raised:
        SqliteBookStore(path, migrate=False)
    assert raised.value.code == "SchemaOlder"

    SqliteBookStore(path).close()
    SqliteBookStore(path, migrate=False).close()

    with closing(sqlite3.connect(path)) as other:
        rows = other.execute("SELECT number, name FROM autopay_book_schema")
        assert rows.fetchall() == [(1, "book")]


def test_a_hosts_own_tool_can_make_the_book(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    with closing(sqlite3.connect(path)) as other:
        for migration in migrations():
            for each in migration.statements:
                other.execute(each)
        other.commit()

    store = SqliteBookStore(path, migrate=False)

    assert written(store, draft(order()))
    store.close()


def test_a_newer_book_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    SqliteBookStore(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO autopay_book_schema VALUES (2, 'later')")

    with pytest.raises(UnsafeStoreError) as raised:
        SqliteBookStore(path)

    assert raised.value.code == "SchemaNewer"


# -- Cost ---------------------------------------------------------------------

PLANS = {
    _ASK_LATEST.replace("IN ??", "IN (?, ?)"): ("autopay", "a", "b"),
    _ASK_OWNED: ("p-1", "", 500),
    _ASK_DUE: ("2026-01-31", "2026-01-01", "ap-1", 500),
    _ASK_VERSIONS: ("autopay", "ap-1", 9_000, 1),
    _ASK_NUMBER.replace("IN ??", "IN (?, ?)"): ("autopay", "a", "b"),
    _SET_ENTRY: (2, "2026-01-31", "autopay", "ap-1", 1),
    _MOVE_ON.replace("IN ??", "IN (?, ?)"): ("2026-01-31", 1, "a", "b"),
}


@pytest.mark.parametrize("sql", PLANS, ids=lambda sql: sql[:40])
def test_o3_every_statement_of_the_book_has_its_index(
    tmp_path: Path, sql: str
) -> None:
    path = tmp_path / "book.db"
    SqliteBookStore(path).close()

    with closing(sqlite3.connect(path)) as other:
        plan = other.execute(f"EXPLAIN QUERY PLAN {sql}", PLANS[sql])
        steps = [row[3] for row in plan]

    assert steps
    assert all(each.startswith("SEARCH") for each in steps), steps


def test_o3_a_night_reads_what_is_due_and_not_what_exists() -> None:
    """Counted, not timed: the rows that SQLite steps through."""
    later = TODAY + timedelta(days=20)

    def steps(kept: int) -> int:
        store = in_memory()
        drafts = [
            draft(order(n), next_on=TODAY if n < 10 else later)
            for n in range(kept)
        ]
        written(store, *drafts)
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        [connection] = store._idle
        connection.set_progress_handler(count, 1)
        assert len(store.due(TODAY, None, 500)) == 10
        connection.set_progress_handler(None, 0)
        return counted

    assert steps(1_000) <= steps(20) * 1.1


def test_a_payers_version_is_no_orders() -> None:
    store = in_memory()
    [version] = written(store, draft(order()))

    assert version.autopay == order()
    with pytest.raises(Exception, match="standing order's version"):
        _ = version.payer


def test_a_draft_names_what_it_is_of() -> None:
    with pytest.raises(ValueError, match="expected an AutoPay or a Payer"):
        Draft(
            value=cast("Any", "ap-1"),
            number=1,
            command="Try",
            by="kit",
            reason="kit",
        )


def test_other_writers_that_keep_winning_are_told() -> None:
    store: Any = in_memory()

    def lost(*_: Any) -> Any:
        from autopay_core.adapters.sql.words import LostRaceError

        raise LostRaceError
        yield [Ask("")]

    store._write = lost
    with pytest.raises(PortUnavailableError) as raised:
        store.write((draft(order()),), {})
    assert raised.value.code == "StoreBusy"


def test_racing_books_in_one_file_agree(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    first = SqliteBookStore(path, clock=Clock())
    second = SqliteBookStore(path, clock=Clock())
    written(first, draft(order()))

    assert written(second, draft(order(name="second"), 2))
    refused = first.write((draft(order(name="first"), 2),), {})

    assert refused == Stands(kind=Kind.AUTOPAY, id="ap-1", number=2)
    first.close()
    second.close()
