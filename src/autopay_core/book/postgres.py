"""
The book in PostgreSQL, such as the posting store's database.

Holds: `PostgresBookStore`, `AsyncPostgresBookStore` and `migrations`.
Imports: `sql`, `schema`, `adapters.postgres`, `adapters.sql`. A write locks
the names that it depends on, in one order, and then reads which versions
stand; the primary key is a second refusal.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import psycopg

from autopay_core.adapters.postgres import OnPostgres, migrating
from autopay_core.adapters.sql.postgres_sources import at_once, hidden
from autopay_core.adapters.sql.postgres_words import DIALECT
from autopay_core.adapters.sql.schema import POSTGRES_WORDS, Migration
from autopay_core.adapters.sql.words import Clock, Steps, Transaction
from autopay_core.book.schema import MADE, migrations_for
from autopay_core.book.sql import AwaitableBook, BlockingBook

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["AsyncPostgresBookStore", "PostgresBookStore", "migrations"]


def migrations() -> tuple[Migration, ...]:
    """Return the numbered steps of the book's schema."""
    return migrations_for(POSTGRES_WORDS)


def _migrating(*, may_change: bool) -> Steps[None]:
    return migrating(
        migrations(), MADE, "book schema", _nothing, may_change=may_change
    )


def _nothing(_: Sequence[Migration]) -> Steps[None]:
    """Adopt nothing: there were no books before."""
    yield from ()


@final
class PostgresBookStore(OnPostgres, BlockingBook):
    """
    A book in PostgreSQL (BK-1 to BK-7).

    Args:
        where: As `PostgresPostingStore`; the same database, or another.
        clock: Its time; the database server's if not given.
        migrate: Bring an older schema up to date; False refuses it.
        lock_seconds: How long to wait for another worker's write.
        statement_seconds: How long one statement may take.

    Raises:
        UnsafeStoreError: As `PostgresPostingStore`.
        PortUnavailableError: It cannot be reached.

    """

    def __init__(
        self,
        where: str | ConnectionPool[Any] | Engine,
        *,
        clock: Clock | None = None,
        migrate: bool = True,
        lock_seconds: float = 10.0,
        statement_seconds: float = 30.0,
    ) -> None:
        at = hidden(where)
        del where
        OnPostgres.__init__(
            self, psycopg.Connection, at, (lock_seconds, statement_seconds)
        )
        BlockingBook.__init__(self, DIALECT, clock)
        weakref.finalize(self, self._source.drop)
        try:
            at_once(self._drive(_migrating(may_change=migrate)))
        except BaseException:
            self._source.drop()
            raise

    def close(self) -> None:
        """Close the book's own connections for good, not a host's pool."""
        at_once(self._source.close())

    def _carry_out(self, wanted: Transaction) -> object:
        return at_once(self._transact(wanted))


@final
class AsyncPostgresBookStore(OnPostgres, AwaitableBook):
    """
    `PostgresBookStore` for hosts on an event loop.

    It connects, checks the server and migrates at its first use.

    Args:
        where: As `AsyncPostgresPostingStore`.
        clock: As `PostgresBookStore`.
        migrate: As `PostgresBookStore`.
        lock_seconds: As `PostgresBookStore`.
        statement_seconds: As `PostgresBookStore`.

    """

    def __init__(
        self,
        where: str | AsyncConnectionPool[Any] | AsyncEngine,
        *,
        clock: Clock | None = None,
        migrate: bool = True,
        lock_seconds: float = 10.0,
        statement_seconds: float = 30.0,
    ) -> None:
        at = hidden(where)
        del where
        OnPostgres.__init__(
            self,
            psycopg.AsyncConnection,
            at,
            (lock_seconds, statement_seconds),
        )
        AwaitableBook.__init__(self, DIALECT, clock)
        self._may_migrate = migrate
        self._opening = asyncio.Lock()
        self._is_open = False
        weakref.finalize(self, self._source.drop)

    async def open(self) -> None:
        """
        Connect, check the server, and migrate.

        Raises:
            UnsafeStoreError: As `PostgresPostingStore`.
            PortUnavailableError: It cannot be reached, or is closed.

        """
        self._source.check_open()
        async with self._opening:
            if self._is_open:
                return
            try:
                await self._drive(_migrating(may_change=self._may_migrate))
            except BaseException:
                self._source.drop()
                raise
            self._is_open = True

    async def close(self) -> None:
        """Close the book's own connections for good, not a host's pool."""
        await self._source.close()

    async def __aenter__(self) -> AsyncPostgresBookStore:
        """Open the book's store."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the book's store."""
        await self.close()

    async def _carry_out(self, wanted: Transaction) -> object:
        if not self._is_open:
            await self.open()
        return await self._transact(wanted)
