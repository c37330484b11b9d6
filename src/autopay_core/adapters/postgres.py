"""
A posting store in PostgreSQL, for any number of workers.

Holds: `PostgresPostingStore`, `AsyncPostgresPostingStore` and `migrations`.
Imports: `sql`, `engine.driving`, `commits` and psycopg 3 (extra ``postgres``);
a host's psycopg_pool or SQLAlchemy engine can be handed in. Both stores are
one text; the blocking one runs it with connections that block.

**Why no two commits can contradict each other.** Transactions are READ
COMMITTED, and each begins by locking the names of what it is about (the
auto-pay, the clients, the invoices, the notices, the holds, the method) in one
order, with advisory locks that end with the transaction. What it reads
afterwards cannot change until it has ended, and no two wait for each other.
Row locks would not do: a commit is conditional on rows that are *not* there,
such as another client's reservation of the same invoice number, or a hold.
SERIALIZABLE would do, at the price of retries under load and of predicate
locks on every read. The versions in the rows, and the unique indexes, are
checked besides, so that a store which is written to past these locks still
refuses.

**What becomes of a COMMIT without an answer.** Every commit has a random id in
the history. On a new connection the same locks are taken, which waits for
whatever is left of the old transaction; then the id is there or it is not.

COMMIT's own answer is read: the server answers a transaction that it gave up
with ROLLBACK, and no error.

Nothing is held while a call is not under way: no transaction, no lock. What
becomes of a call that is interrupted stands in `postgres_sources`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from autopay_core.adapters.sql.commit import SqlCommits
from autopay_core.adapters.sql.postgres_sources import (
    Address,
    Connection,
    Kind,
    at_once,
    execute,
    hidden,
    source_of,
)
from autopay_core.adapters.sql.postgres_words import (
    DIALECT,
    locks,
    settings,
)
from autopay_core.adapters.sql.schema import (
    POSTGRES_WORDS,
    Migration,
    check_schema,
    migrations_for,
    needs_adoption,
)
from autopay_core.adapters.sql.store import AwaitableStore, BlockingStore
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Batch,
    Clock,
    LostRaceError,
    Read,
    Row,
    Steps,
    Transaction,
)
from autopay_core.commits import Conflict
from autopay_core.engine.driving import drive_async
from autopay_core.errors import (
    InvalidValueError,
    PortUnavailableError,
    UnsafeStoreError,
)

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = [
    "AsyncPostgresPostingStore",
    "Migration",
    "PostgresPostingStore",
    "migrations",
]

_T = TypeVar("_T")

_BEGIN_READ: Final = Ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
_BEGIN_WRITE: Final = Ask("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
_COMMIT: Final = Ask("COMMIT")
_ROLLBACK: Final = Ask("ROLLBACK")
_SETTINGS: Final = Ask(
    "SELECT current_setting('fsync') AS fsync, "
    "current_setting('synchronous_commit') AS synchronous_commit, "
    "pg_is_in_recovery() AS is_replica"
)
# Not to_regclass(): what it does not find it remembers not to be there, also
# after waiting for the worker that makes it.
_IS_THERE: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class "
    "WHERE relname = ? AND pg_table_is_visible(oid))"
)


def migrations() -> tuple[Migration, ...]:
    """
    Return the numbered steps of the schema, for a host's own tool.

    A store makes those that are missing when it starts, unless it is told
    not to. Tables go where the connection's ``search_path`` says.
    """
    return migrations_for(POSTGRES_WORDS)


# -- Transactions ------------------------------------------------------------


def _reading(batch: Batch, limits: Batch) -> Steps[list[list[Row]]]:
    """Carry out a batch on a snapshot, in one round trip."""
    if not limits:
        # One statement, and so one snapshot.
        return (yield batch)
    answers = yield [_BEGIN_READ, *limits, *batch, _COMMIT]
    if not _is_committed(answers):
        raise _rolled_back()
    return answers[1 + len(limits) : -1]


def _writing(steps: Steps[_T], limits: Batch) -> Steps[_T]:
    """
    Carry out steps in a transaction; a conflict rolls it back.

    Raises:
        AnswerLostError: The answer to COMMIT did not come, or is another's.
        PortUnavailableError: The server gave the transaction up.

    """
    batch = next(steps)
    answers = yield [_BEGIN_WRITE, *limits, *batch]
    answers = answers[1 + len(limits) :]
    while True:
        try:
            batch = steps.send(answers)
        except StopIteration as stopped:
            result: _T = stopped.value
            break
        answers = yield batch
    if isinstance(result, Conflict):
        yield [_ROLLBACK]
        return result
    told: list[list[Row]] = []
    try:
        told = yield [_COMMIT]
    except psycopg.Error:
        # What the driver says may hold a row: it is not carried along.
        is_lost = True
    else:
        is_lost = not _is_committed(told) and told != _ROLLED_BACK
    if is_lost:
        raise AnswerLostError(result)
    if told == _ROLLED_BACK:
        raise _rolled_back()
    return result


_ROLLED_BACK: Final = [[("ROLLBACK",)]]


def _is_committed(answers: list[list[Row]]) -> bool:
    """Read what the server says that it did on a COMMIT at the end."""
    return answers[-1:] == [[("COMMIT",)]]


def _rolled_back() -> PortUnavailableError:
    return PortUnavailableError(
        "PostgreSQL answered COMMIT with ROLLBACK; nothing was written",
        code="StoreUnavailable",
    )


def _translated(error: psycopg.Error | UnicodeEncodeError) -> Exception:
    """Say an error of the driver in our words; nothing was committed."""
    if isinstance(
        error,
        (
            psycopg.errors.UniqueViolation,
            psycopg.errors.SerializationFailure,
            psycopg.errors.DeadlockDetected,
        ),
    ):
        return LostRaceError()
    if isinstance(error, (psycopg.DataError, UnicodeEncodeError)):
        return InvalidValueError(
            "the database cannot hold the value", code="FieldType"
        )
    # Only the kind: a message may hold a row.
    return PortUnavailableError(
        f"PostgreSQL said {type(error).__name__}; nothing was written",
        code=_code(error),
    )


def _code(error: psycopg.Error) -> str:
    # By name: a host's pool need not be installed here.
    by_name = _OF_POOLS.get(type(error).__name__)
    state = error.sqlstate or ""
    return by_name or _BY_STATE.get(state, "StoreUnavailable")


_OF_POOLS: Final = {
    "PoolClosed": "StorePoolClosed",
    "PoolTimeout": "StorePoolBusy",
    "TooManyRequests": "StorePoolBusy",
}
_BY_STATE: Final = {
    "55P03": "StoreBusy",  # a lock took too long
    "57014": "StoreBusy",  # a statement did
    "53300": "StoreBusy",  # too many connections
    "53100": "StoreFull",
    "25006": "StoreReadOnly",
    "42501": "StoreReadOnly",  # no right to write
}


def _check_settings(row: Row) -> None:
    """Refuse what could lose a commit (PS-1)."""
    fsync, synchronous_commit, is_replica = row
    if fsync != "on":
        raise UnsafeStoreError("PostgreSQL runs with fsync off")
    if synchronous_commit == "off":
        raise UnsafeStoreError(
            "synchronous_commit is off; set it to on for this role"
        )
    if is_replica:
        raise UnsafeStoreError(
            "this is a read replica; give the primary server",
            code="StoreReadOnly",
        )


def _migrating(adopted: Steps[None], *, may_change: bool) -> Steps[None]:
    """Bring the schema up to date in one transaction, or refuse it."""

    def adopt(missing: Sequence[Migration]) -> Steps[None]:
        if needs_adoption(missing):
            yield from adopted

    return migrating(
        migrations(), "autopay_schema", "schema", adopt, may_change=may_change
    )


def migrating(
    known: Sequence[Migration],
    table: str,
    lock: str,
    then: Callable[[Sequence[Migration]], Steps[None]],
    *,
    may_change: bool,
) -> Steps[None]:
    """Make the migrations that *table* lacks, or refuse the schema."""
    there = Ask(_IS_THERE, (table,))
    numbers = Ask(f"SELECT number FROM {table} ORDER BY number")  # noqa: S608 - a constant
    ((is_there,),) = (yield [there])[0]
    made = [number for (number,) in (yield [numbers])[0]] if is_there else []
    if not check_schema(known, made, may_change=may_change):
        return
    # Another worker may be faster: look again under a lock.
    yield [_BEGIN_WRITE, *locks({lock: False})]
    ((is_there,),) = (yield [there])[0]
    made = [number for (number,) in (yield [numbers])[0]] if is_there else []
    missing = check_schema(known, made, may_change=True)
    yield [Ask(text) for each in missing for text in each.statements]
    yield from then(missing)
    if not _is_committed((yield [_COMMIT])):
        raise _rolled_back()


# -- Stores ------------------------------------------------------------------


def _shown(where: object) -> str:
    """Show where a store is, without what is secret in an address."""
    if not isinstance(where, Address):
        return f"<{type(where).__name__}>"
    known = conninfo_to_dict(str(where))
    return ", ".join(
        f"{name}={known[name]!r}"
        for name in ("host", "port", "dbname")
        if name in known
    )


class OnPostgres:
    """Connections to PostgreSQL, and a transaction on each of its own."""

    _shown = "?"

    def __init__(
        self, kind: Kind, where: object, seconds: tuple[float, float]
    ) -> None:
        is_own = isinstance(where, Address)
        limits = settings(*seconds, for_one_transaction=not is_own)
        self._limits = () if is_own else (limits,)
        self._source = source_of(kind, where, limits)
        self._shown = _shown(where)
        self._checked: weakref.WeakSet[Connection] = weakref.WeakSet()

    async def _transact(self, wanted: Transaction) -> object:
        if isinstance(wanted, Read):
            return await self._drive(_reading(wanted.batch, self._limits))
        return await self._drive(_writing(wanted.steps, self._limits))

    async def _drive(self, batches: Steps[_T]) -> _T:
        refusal: Exception
        try:
            return await self._source.use(partial(self._driven, batches))
        except (psycopg.Error, UnicodeEncodeError) as error:
            refusal = _translated(error)
        # Outside, so that it does not carry the driver's error along: that
        # one's message and frames may hold a row, or an address.
        raise refusal

    async def _driven(self, batches: Steps[_T], connection: Connection) -> _T:
        await self._check(connection)
        return await drive_async(batches, partial(execute, connection))

    async def _check(self, connection: Connection) -> None:
        """Refuse a server that could lose a commit, once a connection."""
        if connection not in self._checked:
            ((row,),) = await execute(connection, [_SETTINGS])
            _check_settings(row)
            self._checked.add(connection)

    def __repr__(self) -> str:
        """Show what it is, and no address."""
        return f"{type(self).__name__}({self._shown})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: an address has a password."""
        raise TypeError(
            f"{type(self).__name__} is not pickled; make one in each process"
        )


class _PostingsOnPostgres(OnPostgres, SqlCommits):
    """What both posting stores are."""

    def __init__(
        self,
        kind: Kind,
        where: object,
        clock: Clock | None,
        seconds: tuple[float, float],
    ) -> None:
        OnPostgres.__init__(self, kind, where, seconds)
        SqlCommits.__init__(self, DIALECT, clock)

    async def _start(self, *, may_change: bool) -> None:
        try:
            await self._drive(
                _migrating(self._adopted(), may_change=may_change)
            )
            # Another tool may have made the tables.
            await drive_async(self._adopt(), self._transact)
        except BaseException:
            self._source.drop()
            raise


@final
class PostgresPostingStore(_PostingsOnPostgres, BlockingStore):
    """
    A posting store in PostgreSQL (PS-1 to PS-28).

    Args:
        where: A connection string; or a host's ``psycopg_pool``
            ``ConnectionPool`` or SQLAlchemy ``Engine`` (with psycopg), which
            stays the host's to close.
        clock: The store's time; the database server's if not given. It never
            goes back.
        migrate: Bring an older schema up to date; False refuses it.
        lock_seconds: How long to wait for another worker's commit.
        statement_seconds: How long one statement may take.

    Raises:
        UnsafeStoreError: The server has fsync or synchronous_commit off, is
            a read replica, or has a newer schema.
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
        super().__init__(
            psycopg.Connection, at, clock, (lock_seconds, statement_seconds)
        )
        weakref.finalize(self, self._source.drop)
        at_once(self._start(may_change=migrate))

    def close(self) -> None:
        """
        Close the store for good: its own connections, not a host's pool.

        A call that is under way ends; every later one is `StoreClosed`.
        """
        at_once(self._source.close())

    def _carry_out(self, wanted: Transaction) -> object:
        return at_once(self._transact(wanted))


@final
class AsyncPostgresPostingStore(_PostingsOnPostgres, AwaitableStore):
    """
    `PostgresPostingStore` for hosts on an event loop.

    Its methods are awaited; those that iterate are iterated with ``async
    for``. It connects, checks the server and migrates at its first use, or
    when `open` is awaited.

    Args:
        where: A connection string; or a host's ``psycopg_pool``
            ``AsyncConnectionPool`` or SQLAlchemy ``AsyncEngine`` (with
            psycopg), which stays the host's to close.
        clock: As `PostgresPostingStore`.
        migrate: As `PostgresPostingStore`.
        lock_seconds: As `PostgresPostingStore`.
        statement_seconds: As `PostgresPostingStore`.

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
        super().__init__(
            psycopg.AsyncConnection,
            at,
            clock,
            (lock_seconds, statement_seconds),
        )
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
            if not self._is_open:
                await self._start(may_change=self._may_migrate)
                self._is_open = True

    async def close(self) -> None:
        """
        Close the store for good: its own connections, not a host's pool.

        A call that is under way ends; every later one is `StoreClosed`.
        """
        await self._source.close()

    async def __aenter__(self) -> AsyncPostgresPostingStore:
        """Open the store."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.close()

    async def _carry_out(self, wanted: Transaction) -> object:
        if not self._is_open:
            await self.open()
        return await self._transact(wanted)
