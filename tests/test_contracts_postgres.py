"""The posting stores on PostgreSQL keep every clause, on a real server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest

from autopay_core.adapters.postgres import (
    AsyncPostgresPostingStore,
    PostgresPostingStore,
)
from autopay_core.testing.contracts import (
    AsyncPostingStoreContract,
    Clock,
    PostingStoreContract,
)
from lost_answers import lose_on_postgres
from postgres_server import shared_server
from test_postgres import empty_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from autopay_core.ports import PostingStore
    from autopay_core.references import RunKey
    from autopay_core.testing.contracts._async import Loop

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def _contracts() -> str:
    return f"host={shared_server().folder} user=autopay dbname=contracts"


def _empty() -> str:
    try:
        return empty_database("contracts")
    except psycopg.errors.UndefinedTable:
        # The test before was skipped before its store made the schema.
        return _contracts()


class _Trouble:
    """What can befall a store on PostgreSQL."""

    @pytest.fixture
    def unavailable(
        self,
    ) -> Callable[[PostingStore], AbstractContextManager[None]]:
        @contextmanager
        def locked(_: PostingStore) -> Iterator[None]:
            """Another session holds a table for too long."""
            with psycopg.connect(_contracts()) as other:
                other.execute("LOCK TABLE autopay_runs IN EXCLUSIVE MODE")
                yield
                other.rollback()

        return locked

    @pytest.fixture
    def spoil_run(self) -> Callable[[PostingStore, RunKey], None]:
        def spoil(_: PostingStore, key: RunKey) -> None:
            with psycopg.connect(_contracts()) as other:
                other.execute(
                    "UPDATE autopay_runs SET data = left(data, 99) "
                    "WHERE autopay = %s AND nominal_on = %s",
                    (key.autopay, key.nominal_on.isoformat()),
                )

        return spoil

    @pytest.fixture
    def lose_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[PostingStore], AbstractContextManager[None]]:
        @contextmanager
        def lost(_: PostingStore) -> Iterator[None]:
            """Let a commit stand, and break the connection."""
            with monkeypatch.context() as patch:
                lose_on_postgres(patch, "after")
                yield

        return lost


class _Blocking(_Trouble, PostingStoreContract):
    examples = 4

    @pytest.fixture
    def opened(self) -> Iterator[list[PostgresPostingStore]]:
        stores: list[PostgresPostingStore] = []
        yield stores
        for each in stores:
            each.close()

    @pytest.fixture
    def new_store(
        self, opened: list[PostgresPostingStore]
    ) -> Callable[[Clock], PostingStore]:
        def made(clock: Clock) -> PostingStore:
            where = _empty()
            opened.append(
                PostgresPostingStore(where, clock=clock, lock_seconds=2)
            )
            return opened[-1]

        return made

    @pytest.fixture
    def reopen(
        self, opened: list[PostgresPostingStore]
    ) -> Callable[[PostingStore, Clock], PostingStore]:
        def again(store: PostingStore, clock: Clock) -> PostingStore:
            cast("PostgresPostingStore", store).close()
            opened.append(PostgresPostingStore(_contracts(), clock=clock))
            return opened[-1]

        return again

    @pytest.fixture
    def beside(
        self, opened: list[PostgresPostingStore]
    ) -> Callable[[PostingStore, Clock], PostingStore]:
        def once_more(_: PostingStore, clock: Clock) -> PostingStore:
            opened.append(PostgresPostingStore(_contracts(), clock=clock))
            return opened[-1]

        return once_more


class TestPostgresPostingStore(_Blocking):
    pass


class _Awaitable(_Trouble, AsyncPostingStoreContract):
    examples = 3

    @pytest.fixture
    def opened(self, loop: Loop) -> Iterator[list[Any]]:
        stores: list[Any] = []
        yield stores
        for each in stores:
            loop.run(each.close())

    @pytest.fixture
    def new_async_store(self, opened: list[Any]) -> Callable[[Clock], Any]:
        def made(clock: Clock) -> Any:
            where = _empty()
            opened.append(
                AsyncPostgresPostingStore(where, clock=clock, lock_seconds=2)
            )
            return opened[-1]

        return made

    @pytest.fixture
    def async_reopen(
        self, opened: list[Any], loop: Loop
    ) -> Callable[[Any, Clock], Any]:
        def again(store: Any, clock: Clock) -> Any:
            loop.run(store.close())
            opened.append(AsyncPostgresPostingStore(_contracts(), clock=clock))
            return opened[-1]

        return again

    @pytest.fixture
    def async_beside(self, opened: list[Any]) -> Callable[[Any, Clock], Any]:
        def once_more(_: Any, clock: Clock) -> Any:
            opened.append(AsyncPostgresPostingStore(_contracts(), clock=clock))
            return opened[-1]

        return once_more


class TestAsyncPostgresPostingStore(_Awaitable):
    pass
