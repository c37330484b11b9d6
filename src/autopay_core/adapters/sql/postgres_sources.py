"""
Where connections to PostgreSQL come from, blocking or awaitable in one text.

Holds: `Source` and its three kinds, `source_of`; `execute`; `settled` and
`at_once`, by which one text serves both. Imports: `errors`, `words`,
`postgres_words` and psycopg 3; a host's psycopg_pool or SQLAlchemy engine is
handed in.
"""

from __future__ import annotations

import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar, final

import psycopg

from autopay_core.adapters.sql.postgres_words import (
    statement,
    statements_of,
)
from autopay_core.adapters.sql.words import Ask, Batch, Row, last_of
from autopay_core.errors import InvalidValueError

__all__ = ["Connection", "Source", "at_once", "execute", "settled"]

_T = TypeVar("_T")
Connection: TypeAlias = (
    "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]"
)
Kind: TypeAlias = (
    "type[psycopg.Connection[Any] | psycopg.AsyncConnection[Any]]"
)

FRESH_SECONDS: Final = 1.0
"""A connection that rested longer is asked for a sign of life first."""


# -- One text ----------------------------------------------------------------


async def settled(answer: Any) -> Any:  # noqa: ANN401 - what the driver gives
    """Return an answer of the driver, which may have to be awaited."""
    return (await answer) if hasattr(answer, "__await__") else answer


def at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end that has blocking connections only."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        result: _T = stopped.value
        return result
    coroutine.close()
    raise AssertionError("with blocking connections nothing is waited for")


@contextlib.asynccontextmanager
async def _pipeline(connection: Connection) -> AsyncGenerator[None]:
    if isinstance(connection, psycopg.AsyncConnection):
        async with connection.pipeline():
            yield
    else:
        with connection.pipeline():
            yield


async def execute(connection: Connection, batch: Batch) -> list[list[Row]]:
    """Carry out a batch in one round trip."""
    sent = list(statements_of(batch))
    if len(sent) == 1:
        cursors = [
            await settled(connection.execute(sent[0].sql, sent[0].values))
        ]
    else:
        async with _pipeline(connection):
            cursors = [
                await settled(connection.execute(each.sql, each.values))
                for each in sent
            ]
    return [
        answer
        for each, cursor in zip(sent, cursors, strict=True)
        for answer in each.answers(
            []
            if cursor.description is None
            else await settled(cursor.fetchall())
        )
    ]


# -- Sources -----------------------------------------------------------------


class Source(ABC):
    """Where connections come from."""

    @abstractmethod
    async def take(self) -> Connection:
        """Lend a connection in autocommit mode."""

    @abstractmethod
    async def give(self, connection: Connection) -> None:
        """Take it back, closed if it is of no more use."""

    async def close(self) -> None:  # noqa: B027 - most own nothing
        """Close what is the source's own; a host's stays open."""


@final
class _OwnConnections(Source):
    """As many connections as are used at once; they are kept for later."""

    def __init__(self, kind: Kind, conninfo: str, settings: Ask) -> None:
        self._kind = kind
        self._conninfo = conninfo
        self._settings = settings
        self._idle: list[tuple[Connection, float]] = []
        self._pid = os.getpid()

    async def take(self) -> Connection:
        if self._pid != os.getpid():
            # Sockets from before a fork are the parent's.
            _INHERITED.extend(connection for connection, _ in self._idle)
            self._idle = []
            self._pid = os.getpid()
        while found := last_of(self._idle):
            rested, since = found
            if time.monotonic() - since < FRESH_SECONDS:
                return rested
            try:
                await settled(rested.execute("SELECT 1"))
            except psycopg.Error:
                await settled(rested.close())
            else:
                return rested
        fresh: Connection = await settled(
            self._kind.connect(self._conninfo, autocommit=True)
        )
        await settled(fresh.execute(*statement(self._settings)))
        return fresh

    async def give(self, connection: Connection) -> None:
        if not connection.closed:
            self._idle.append((connection, time.monotonic()))

    async def close(self) -> None:
        while self._pid == os.getpid() and (found := last_of(self._idle)):
            await settled(found[0].close())


_INHERITED: Final[list[object]] = []


@final
class _PoolConnections(Source):
    """A host's psycopg pool; its connections go back as they came."""

    def __init__(self, pool: Any) -> None:  # noqa: ANN401 - blocking or not
        self._pool = pool
        self._was: dict[int, bool] = {}

    async def take(self) -> Connection:
        connection: Connection = await settled(self._pool.getconn())
        self._was[id(connection)] = connection.autocommit
        await settled(connection.set_autocommit(True))
        return connection

    async def give(self, connection: Connection) -> None:
        was = self._was.pop(id(connection))
        if not connection.closed:
            await settled(connection.set_autocommit(was))
        await settled(self._pool.putconn(connection))


@final
class _EngineConnections(Source):
    """A host's SQLAlchemy engine on psycopg; its pool goes on as before."""

    def __init__(self, kind: Kind, engine: Any) -> None:  # noqa: ANN401 - blocking or not
        self._kind = kind
        self._engine = engine
        self._lent: dict[int, tuple[Any, bool]] = {}

    async def take(self) -> Connection:
        lent: Any = await settled(self._engine.raw_connection())
        found: Connection = lent.driver_connection
        if not isinstance(found, self._kind):
            await self._do(lent.close)
            raise InvalidValueError(
                "the engine must use psycopg 3 (postgresql+psycopg)",
                code="FieldType",
                path="engine",
            )
        self._lent[id(found)] = (lent, found.autocommit)
        await settled(found.set_autocommit(True))
        return found

    async def give(self, connection: Connection) -> None:
        lent, was = self._lent.pop(id(connection))
        if connection.closed:
            await self._do(lent.invalidate)
            return
        await settled(connection.set_autocommit(was))
        await self._do(lent.close)

    async def _do(self, function: Callable[[], object]) -> None:
        """Call what SQLAlchemy made for its own kind of coroutine."""
        if self._kind is psycopg.Connection:
            function()
            return
        from sqlalchemy.util import greenlet_spawn

        await greenlet_spawn(function)


def source_of(kind: Kind, where: object, settings: Ask) -> Source:
    """Return the source that goes with what a host gave."""
    if isinstance(where, str):
        return _OwnConnections(kind, where, settings)
    # By what it can do: the package need not be installed.
    if hasattr(where, "getconn"):
        return _PoolConnections(where)
    return _EngineConnections(kind, where)
