"""The posting store on SQLite keeps every clause, threads and restarts too."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, cast

import pytest

from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.testing.contracts import Clock, PostingStoreContract
from lost_answers import lose_on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from autopay_core.ports import PostingStore
    from autopay_core.references import RunKey


class Files:
    """The files of the stores of a test, and what can befall them."""

    @pytest.fixture
    def files(self) -> dict[int, Path]:
        return {}

    @pytest.fixture
    def opened(self) -> Iterator[list[SqlitePostingStore]]:
        stores: list[SqlitePostingStore] = []
        yield stores
        for each in stores:
            each.close()

    @pytest.fixture
    def lose_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[object], AbstractContextManager[None]]:
        @contextmanager
        def lost(_: object) -> Iterator[None]:
            """Let a commit stand, and its answer be lost."""
            with monkeypatch.context() as patch:
                lose_on_sqlite(patch, "after")
                yield

        return lost


class TestSqlitePostingStore(Files, PostingStoreContract):
    examples = 15

    @pytest.fixture
    def new_store(
        self,
        tmp_path: Path,
        files: dict[int, Path],
        opened: list[SqlitePostingStore],
    ) -> Callable[[Clock], PostingStore]:
        numbers = itertools.count()

        def made(clock: Clock) -> PostingStore:
            file = tmp_path / f"{next(numbers)}.db"
            store = SqlitePostingStore(file, clock=clock, busy_seconds=2)
            files[id(store)] = file
            opened.append(store)
            return store

        return made

    @pytest.fixture
    def reopen(
        self, files: dict[int, Path], opened: list[SqlitePostingStore]
    ) -> Callable[[PostingStore, Clock], PostingStore]:
        def again(store: PostingStore, clock: Clock) -> PostingStore:
            file = files[id(store)]
            cast("SqlitePostingStore", store).close()
            other = SqlitePostingStore(file, clock=clock)
            files[id(other)] = file
            opened.append(other)
            return other

        return again

    @pytest.fixture
    def beside(
        self, files: dict[int, Path], opened: list[SqlitePostingStore]
    ) -> Callable[[PostingStore, Clock], PostingStore]:
        def once_more(store: PostingStore, clock: Clock) -> PostingStore:
            opened.append(SqlitePostingStore(files[id(store)], clock=clock))
            return opened[-1]

        return once_more

    @pytest.fixture
    def unavailable(
        self, files: dict[int, Path]
    ) -> Callable[[PostingStore], AbstractContextManager[None]]:
        return lambda store: locked(files[id(store)])

    @pytest.fixture
    def spoil_run(
        self, files: dict[int, Path]
    ) -> Callable[[PostingStore, RunKey], None]:
        def spoil(store: PostingStore, key: RunKey) -> None:
            with closing(sqlite3.connect(files[id(store)])) as other:
                other.execute(
                    "UPDATE autopay_runs SET data = replace(data, "
                    "'\"version\":1', '\"version\":99') "
                    "WHERE autopay = ? AND nominal_on = ?",
                    (key.autopay, key.nominal_on.isoformat()),
                )
                other.commit()

        return spoil


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let another program hold the write lock for too long."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.rollback()


class TestSqlitePostingStoreInMemory(PostingStoreContract):
    examples = 5

    @pytest.fixture
    def new_store(self) -> Callable[[Clock], PostingStore]:
        return lambda clock: SqlitePostingStore(
            ":memory:", in_memory=True, clock=clock
        )
