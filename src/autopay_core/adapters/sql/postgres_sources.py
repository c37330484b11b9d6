"""
Where connections to PostgreSQL come from, blocking or awaitable in one text.

Holds: `Source` and its three kinds, `source_of`; `execute`; `settled` and
`at_once`, by which one text serves both. Imports: `errors`, `words`,
`postgres_words` and psycopg 3; a host's psycopg_pool or SQLAlchemy engine is
handed in.

**What an interruption may leave behind.** A task that is cancelled, or a
KeyboardInterrupt, can leave a connection in the middle of a transaction, or
of a pipeline whose answers are still to come; whoever used it next would read
another call's answers. So a connection is given back only after a normal end,
and only if it says that it is idle and in no pipeline. Otherwise it is cut
off, which makes the server forget whatever was not committed, and a host's
pool is told. From the moment that it is lent until it is given back it is
always in one place that somebody clears.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar, final
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from autopay_core.adapters.sql.postgres_words import (
    statement,
    statements_of,
)
from autopay_core.adapters.sql.words import (
    Ask,
    Batch,
    Row,
    closed_error,
    last_of,
    move_last,
    receive,
)
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortUnavailableError,
)

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
    """
    Carry out a batch in one round trip.

    A command without rows is answered with what the server says that it did:
    a COMMIT may be answered with ROLLBACK.
    """
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
            [(cursor.statusmessage,)]
            if cursor.description is None
            else await settled(cursor.fetchall())
        )
    ]


# -- Sources -----------------------------------------------------------------


def is_clean(connection: Connection) -> bool:
    """Tell whether a connection may be used again as it is."""
    return (
        not connection.closed
        and connection.info.transaction_status is TransactionStatus.IDLE
        # An interruption may leave one that says that it is idle.
        and not connection.pgconn.pipeline_status
    )


@final
class Address:
    """A connection string; whatever shows an error's frames shows no more."""

    __slots__ = ("_conninfo",)

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def __repr__(self) -> str:
        return "<address>"

    def __str__(self) -> str:
        """Return the string, with its password."""
        return self._conninfo


def hidden(where: object) -> object:
    """Return what a host gave, such that it shows no password."""
    return Address(where) if isinstance(where, str) else where


@final
class Loan:
    """
    What a source lent, until it is given back.

    Attributes:
        held: What was lent, or nothing (any more): at most one.
        was: Whether a host's connection was in autocommit mode.

    """

    __slots__ = ("held", "was")

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.was: bool | None = None


class Source(ABC):
    """
    Where connections come from.

    Args:
        kind: Blocking or awaitable connections.

    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._is_closed = False
        self._ending: set[asyncio.Future[None]] = set()

    async def use(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """
        Let *work* have a connection in autocommit mode that is its alone.

        Raises:
            PortUnavailableError: The source is closed, or has none to lend.

        """
        self.check_open()
        loan = Loan()
        try:
            await self._lend(loan)
            # It may have been closed while a connection was waited for.
            self.check_open()
            result = await work(self._connection_of(loan.held[0]))
            await self._undisturbed(loan, is_sound=True)
        except GeneratorExit:
            # The event loop is gone: nothing can be awaited any more.
            for each in loan.held:
                self._connection_of(each).pgconn.finish()
            raise
        except BaseException:
            try:
                await self._undisturbed(loan, is_sound=False)
            finally:
                # What was interrupted in letting go does so again.
                await self._undisturbed(loan, is_sound=False)
            raise
        return result

    async def close(self) -> None:
        """Close what is the source's own, for good; a host's stays open."""
        self._is_closed = True

    def drop(self) -> None:  # noqa: B027 - most own nothing
        """Close what rests here, for now."""

    def check_open(self) -> None:
        """Refuse to go on once it is closed: closing is final (PS-1)."""
        if self._is_closed:
            raise closed_error()

    async def _undisturbed(self, loan: Loan, *, is_sound: bool) -> None:
        """Give back or cut off, to the end even if the task is cancelled."""
        if not loan.held:
            return
        if self._kind is psycopg.Connection:
            await self._end(loan, is_sound=is_sound)
            return
        ending = asyncio.ensure_future(self._end(loan, is_sound=is_sound))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def _end(self, loan: Loan, *, is_sound: bool) -> None:
        while loan.held:
            connection = self._connection_of(loan.held[0])
            if not (is_sound and is_clean(connection)):
                # Not `close`, which a pool may take for giving back.
                connection.pgconn.finish()
            await self._give(loan)

    @abstractmethod
    async def _lend(self, loan: Loan) -> None:
        """Put a connection in autocommit mode into *loan*."""

    @abstractmethod
    async def _give(self, loan: Loan) -> None:
        """Take it out and back: clean, or cut off."""

    def _connection_of(self, lent: Any) -> Connection:  # noqa: ANN401 - see `Loan`
        """Return the driver's connection of what was lent."""
        found: Connection = lent
        return found


async def _received(loan: Loan, function: Callable[[], Any]) -> None:
    """Put an answer of the driver into a loan, which may be awaited."""
    receive(loan.held, function)
    if hasattr(loan.held[0], "__await__"):
        loan.held.append(await loan.held.pop())


@final
class _OwnConnections(Source):
    """As many connections as are used at once; they are kept for later."""

    def __init__(self, kind: Kind, address: Address, settings: Ask) -> None:
        super().__init__(kind)
        self._address = address
        self._settings = settings
        self._idle: list[Any] = []
        self._since: WeakKeyDictionary[Connection, float]
        self._since = WeakKeyDictionary()
        self._pid = os.getpid()

    async def close(self) -> None:
        await super().close()
        self.drop()

    def drop(self) -> None:
        while self._pid == os.getpid() and (found := last_of(self._idle)):
            found.pgconn.finish()

    async def _undisturbed(self, loan: Loan, *, is_sound: bool) -> None:
        # Nothing is awaited in giving back what is one's own.
        await self._end(loan, is_sound=is_sound)

    async def _lend(self, loan: Loan) -> None:
        if self._pid != os.getpid():
            # Sockets from before a fork are the parent's.
            _INHERITED.extend(self._idle)
            self._idle = []
            self._pid = os.getpid()
        while move_last(self._idle, loan.held):
            if await self._is_alive(loan.held[0]):
                return
            loan.held[0].pgconn.finish()
            loan.held.clear()
        await _received(
            loan,
            lambda: self._kind.connect(str(self._address), autocommit=True),
        )
        fresh: Connection = loan.held[0]
        await settled(fresh.execute(*statement(self._settings)))

    async def _is_alive(self, rested: Connection) -> bool:
        if not is_clean(rested):
            return False
        if time.monotonic() - self._since.get(rested, 0.0) < FRESH_SECONDS:
            return True
        try:
            await settled(rested.execute("SELECT 1"))
        except psycopg.Error:
            return False
        return True

    async def _give(self, loan: Loan) -> None:
        connection = loan.held[0]
        if connection.closed:
            loan.held.clear()
            return
        self._since[connection] = time.monotonic()
        move_last(loan.held, self._idle)
        if self._is_closed:
            self.drop()


_INHERITED: Final[list[object]] = []


@final
class _PoolConnections(Source):
    """A host's psycopg pool; its connections go back as they came."""

    def __init__(self, kind: Kind, pool: Any) -> None:  # noqa: ANN401 - blocking or not
        super().__init__(kind)
        self._pool = pool

    async def _lend(self, loan: Loan) -> None:
        await _received(loan, self._pool.getconn)
        connection: Connection = loan.held[0]
        if not is_clean(connection):
            raise _unsound()
        loan.was = connection.autocommit
        await settled(connection.set_autocommit(True))

    async def _give(self, loan: Loan) -> None:
        connection: Connection = loan.held[0]
        if not connection.closed:
            await settled(connection.set_autocommit(bool(loan.was)))
        await settled(self._pool.putconn(loan.held.pop()))


@final
class _EngineConnections(Source):
    """A host's SQLAlchemy engine on psycopg; its pool goes on as before."""

    def __init__(self, kind: Kind, engine: Any) -> None:  # noqa: ANN401 - blocking or not
        super().__init__(kind)
        self._engine = engine

    def _connection_of(self, lent: Any) -> Connection:  # noqa: ANN401 - SQLAlchemy's proxy
        found: Connection = lent.driver_connection
        return found

    async def _lend(self, loan: Loan) -> None:
        refusal: AutopayError | None = None
        try:
            await _received(loan, self._engine.raw_connection)
        except Exception as error:
            refusal = _of_engine(error)
            if refusal is None:
                raise
        if refusal is not None:
            # Outside, so that it does not carry the other along.
            raise refusal
        found = self._connection_of(loan.held[0])
        if not isinstance(found, self._kind):
            await self._do(loan.held.pop().close)
            raise InvalidValueError(
                "the engine must use psycopg 3 (postgresql+psycopg)",
                code="FieldType",
                path="engine",
            )
        if not is_clean(found):
            raise _unsound()
        loan.was = found.autocommit
        await settled(found.set_autocommit(True))

    async def _give(self, loan: Loan) -> None:
        connection = self._connection_of(loan.held[0])
        if connection.closed:
            await self._do(loan.held.pop().invalidate)
            return
        await settled(connection.set_autocommit(bool(loan.was)))
        await self._do(loan.held.pop().close)

    async def _do(self, function: Callable[[], object]) -> None:
        """Call what SQLAlchemy made for its own kind of coroutine."""
        if self._kind is psycopg.Connection:
            function()
            return
        from sqlalchemy.util import greenlet_spawn

        await greenlet_spawn(function)


def _unsound() -> PortUnavailableError:
    return PortUnavailableError(
        "the host's pool lent a connection that is in use; it is closed, and "
        "nothing was written",
        code="StorePoolUnsound",
    )


def _of_engine(error: Exception) -> AutopayError | None:
    """Say in our words why an engine lends nothing; None if it is no error."""
    from sqlalchemy import exc

    if isinstance(error, exc.TimeoutError):
        return PortUnavailableError(
            "the host's engine had no connection in time; nothing was written",
            code="StorePoolBusy",
        )
    if isinstance(error, exc.SQLAlchemyError):
        return PortUnavailableError(
            f"the host's engine said {type(error).__name__}; nothing was "
            "written",
            code="StoreUnavailable",
        )
    return None


def source_of(kind: Kind, where: object, settings: Ask) -> Source:
    """
    Return the source that goes with what a host gave, `hidden`.

    Raises:
        InvalidValueError: It is no address of a server, no pool and no
            engine.

    """
    if isinstance(where, Address):
        _check_address(where)
        return _OwnConnections(kind, where, settings)
    # By what it can do: the package need not be installed.
    if hasattr(where, "getconn"):
        return _PoolConnections(kind, where)
    if hasattr(where, "raw_connection"):
        return _EngineConnections(kind, where)
    raise InvalidValueError(
        "expected a connection string, a pool or an engine",
        code="FieldType",
        path="where",
    )


def _check_address(address: Address) -> None:
    """Refuse what cannot be read, and show none of it: it has a password."""
    try:
        conninfo_to_dict(str(address))
    except psycopg.Error:
        pass
    else:
        return
    raise InvalidValueError(
        "expected an address as psycopg reads it, such as 'host=db.example "
        "dbname=autopay' or 'postgresql://db.example/autopay'",
        code="StoreAddress",
        path="where",
    )
