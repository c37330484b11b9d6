"""
The book in one SQLite file, such as the posting store's.

Holds: `SqliteBookStore` and `migrations`. Imports: `sql`, `schema`,
`adapters.sqlite`, `adapters.sql`. As durable as the posting store there:
every write is one transaction in WAL mode with full synchronous writing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import final

from autopay_core.adapters.sql.schema import SQLITE_WORDS, Migration
from autopay_core.adapters.sql.words import Clock
from autopay_core.adapters.sqlite import (
    DIALECT,
    OnSqlite,
    migrate_on,
    system_clock,
)
from autopay_core.book.schema import MADE, migrations_for
from autopay_core.book.sql import BlockingBook

__all__ = ["SqliteBookStore", "migrations"]


def migrations() -> tuple[Migration, ...]:
    """Return the numbered steps of the book's schema."""
    return migrations_for(SQLITE_WORDS)


@final
class SqliteBookStore(OnSqlite, BlockingBook):
    """
    A book in one SQLite file (BK-1 to BK-7).

    >>> store = SqliteBookStore("postings.db")  # doctest: +SKIP

    Args:
        path: The file; the posting store's, or one of its own.
        clock: Its time; the machine's if not given.
        in_memory: Keep nothing on disk; then *path* must be ``":memory:"``.
        migrate: Bring an older schema up to date; False refuses it.
        busy_seconds: How long to wait for another writer.

    Raises:
        UnsafeStoreError: As `SqlitePostingStore`.
        PortUnavailableError: The file cannot be opened.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock = system_clock,
        in_memory: bool = False,
        migrate: bool = True,
        busy_seconds: float = 30.0,
    ) -> None:
        OnSqlite.__init__(
            self, path, in_memory=in_memory, busy_seconds=busy_seconds
        )
        BlockingBook.__init__(self, DIALECT, clock)
        self._lend(
            partial(
                migrate_on,
                known=migrations(),
                table=MADE,
                then=_nothing,
                may_change=migrate,
            )
        )


def _nothing(_: Sequence[Migration]) -> None:
    """Adopt nothing: there were no books before."""
