"""
A posting store in PostgreSQL, for any number of workers.

Holds: `PostgresPostingStore`, `AsyncPostgresPostingStore` and `migrations`.
Imports: the core and psycopg 3 (extra ``postgres``); a host's psycopg_pool or
SQLAlchemy engine can be handed in.

**Why no two commits can contradict each other.** Transactions are READ
COMMITTED, and each begins by locking the names of what it is about (the
auto-pay, the clients, the invoices, the notices, the stop orders) in one
order, with advisory locks that end with the transaction. What it reads
afterwards cannot change until it has ended, and no two wait for each other.
Row locks would not do: a commit is conditional on rows that are *not* there,
such as another client's reservation of the same invoice number, or a stop
order. SERIALIZABLE would do, at the price of retries under load and of
predicate locks on every read. The versions in the rows, and the unique
indexes, are checked besides, so that a store which is written to past these
locks still refuses.

**What becomes of a COMMIT without an answer.** Every commit has a random id in
the history. On a new connection the same locks are taken, which waits for
whatever is left of the old transaction; then the id is there or it is not.

Nothing is held while a call is not under way: no transaction, no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
import weakref
from collections.abc import (
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import date, datetime
from enum import Enum
from functools import cache, partial
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    final,
)

import psycopg
from psycopg.pq import TransactionStatus

from autopay_core.adapters._sql import (
    AnswerLostError,
    Ask,
    Batch,
    Calls,
    Clock,
    Dialect,
    Insert,
    LostRaceError,
    Row,
    Steps,
    Table,
    Transact,
    lock_number,
)
from autopay_core.adapters._sql_calls import SqlCalls
from autopay_core.adapters._sql_commit import SqlSteps
from autopay_core.adapters._sql_schema import (
    POSTGRES_WORDS,
    Migration,
    check_schema,
    migrations_for,
)
from autopay_core.adapters._sql_store import PAGE, BlockingSqlStore
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    PostingFilter,
    Standing,
)
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortUnavailableError,
    UnsafeStoreError,
)
from autopay_core.history import HistoryEntry, HistoryHead
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine
    from typing_extensions import TypeIs

__all__ = [
    "AsyncPostgresPostingStore",
    "Migration",
    "PostgresPostingStore",
    "migrations",
]

_T = TypeVar("_T")
_Blocking: TypeAlias = "psycopg.Connection[Any]"
_Awaitable: TypeAlias = "psycopg.AsyncConnection[Any]"
_Transaction: TypeAlias = Generator[Batch, list[list[Row]], _T]

_PARTS_MOST: Final = 4
"""So many writes go in one statement: psycopg forgets longer ones."""

_FRESH_SECONDS: Final = 1.0
"""A connection that rested longer is asked for a sign of life first."""

_CLOCK: Final = (
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
)

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
_IS_THERE: Final = Ask(
    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class "
    "WHERE relname = 'autopay_schema' AND pg_table_is_visible(oid))"
)
_MADE: Final = Ask("SELECT number FROM autopay_schema ORDER BY number")


def migrations() -> tuple[Migration, ...]:
    """
    Return the numbered steps of the schema, for a host's own tool.

    A store makes those that are missing when it starts, unless it is told
    not to. Tables go where the connection's ``search_path`` says.
    """
    return migrations_for(POSTGRES_WORDS)


# -- Words -------------------------------------------------------------------


@cache
def _native(sql: str) -> bytes:
    """Say a shared statement in PostgreSQL's and psycopg's words."""
    sql = sql.replace("{lock}", " FOR UPDATE")
    sql = sql.replace("IN ??", "= ANY(?)")
    # An array is looked up one by one; a subquery may become a join that
    # reads the other table whole.
    sql = sql.replace(
        "IN {numbers}", "= ANY(ARRAY(SELECT invoice FROM numbers))"
    )
    return sql.replace("?", "%s").encode()


@cache
def _insertion(table: Table, *, has_one_row: bool) -> bytes:
    """Fill a table from one array for each column: one statement, any rows."""
    if has_one_row:
        rows = f"VALUES ({', '.join('%s' for _ in table.columns)})"
    else:
        text = ["%s::text[]"] * len(table.text)
        numbers = ["%s::bigint[]"] * len(table.numbers)
        rows = f"SELECT * FROM unnest({', '.join([*text, *numbers])})"  # noqa: S608 - constants
    return (
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) "
        f"{rows} {table.conflict}"
    ).encode()


def _array(values: Sequence[Any]) -> str:
    """
    Write an array as PostgreSQL reads it.

    psycopg looks at every element for its type and takes ten times as long.
    """
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _value(value: object) -> object:
    return _array(cast("list[Any]", value)) if _is_list(value) else value


def _is_list(value: object) -> bool:
    return type(value) is list


def _statement(each: Ask | Insert) -> tuple[bytes, Sequence[Any]]:
    if isinstance(each, Insert):
        if len(each.rows) == 1:
            return _insertion(each.table, has_one_row=True), each.rows[0]
        columns = list(map(_array, zip(*each.rows, strict=True)))
        return _insertion(each.table, has_one_row=False), columns
    return _native(each.sql), list(map(_value, each.values))


class _Sent(NamedTuple):
    """What goes to the server as one statement, and how it is answered."""

    sql: bytes
    values: Sequence[Any]
    answers: Callable[[Sequence[Row]], list[list[Row]]]


def _send(batch: Batch) -> Iterator[_Sent]:
    """
    Join what a batch reads into one statement, and what it writes.

    A statement costs as much as what it does here. Writes are joined as long
    as no table comes twice, for their order is the server's.
    """
    for role, group in itertools.groupby(batch, _role):
        if role is _Role.ALONE:
            for each in group:
                yield _Sent(*_statement(each), _one_answer)
        elif role is _Role.READS:
            yield _joined(list(group), _join_reads, _read_answers)
        else:
            for part in _by_tables(group):
                yield _joined(part, _join_writes, _write_answers)


class _Role(Enum):
    READS = "reads"
    WRITES = "writes"
    ALONE = "alone"


def _role(each: Ask | Insert) -> _Role:
    if isinstance(each, Insert):
        return _Role.WRITES
    word = each.sql.partition(" ")[0]
    if each.sql.startswith((_LOCK, _SETTING)) or word not in _ROLES:
        return _Role.ALONE
    return _ROLES[word]


_ROLES: Final = {
    "SELECT": _Role.READS,
    "WITH": _Role.READS,
    "INSERT": _Role.WRITES,
    "UPDATE": _Role.WRITES,
    "DELETE": _Role.WRITES,
}


def _by_tables(group: Iterable[Ask | Insert]) -> Iterator[list[Ask | Insert]]:
    part: list[Ask | Insert] = []
    tables: set[str] = set()
    for each in group:
        if isinstance(each, Insert):
            table = each.table.name
        else:
            table = next(
                word for word in each.sql.split() if word.startswith("autopay")
            )
        if table in tables or len(tables) == _PARTS_MOST:
            yield part
            part, tables = [], set()
        part.append(each)
        tables.add(table)
    yield part


def _joined(
    group: Sequence[Ask | Insert],
    join: Callable[[tuple[bytes, ...]], bytes],
    answers: Callable[[Sequence[Row]], list[list[Row]]],
) -> _Sent:
    statements = [_statement(each) for each in group]
    return _Sent(
        join(tuple(sql for sql, _ in statements)),
        [value for _, values in statements for value in values],
        answers,
    )


@cache
def _join_reads(parts: tuple[bytes, ...]) -> bytes:
    """Read everything at one moment, each part as a list of rows."""
    return b"SELECT " + b", ".join(
        b"(SELECT json_agg(part) FROM (%b) AS part)" % part for part in parts
    )


@cache
def _join_writes(parts: tuple[bytes, ...]) -> bytes:
    """Write everything, and count the rows of what returns some."""
    tables = [
        b"part_%d AS (%b)" % (place, part) for place, part in enumerate(parts)
    ]
    counts = [
        b"(SELECT COUNT(*) FROM part_%d)" % place
        if b"RETURNING" in part
        else b"0"
        for place, part in enumerate(parts)
    ]
    return b"WITH %b SELECT %b" % (b", ".join(tables), b", ".join(counts))


def _one_answer(rows: Sequence[Row]) -> list[list[Row]]:
    return [list(rows)]


def _read_answers(rows: Sequence[Row]) -> list[list[Row]]:
    return [
        [tuple(each.values()) for each in found or ()] for found in rows[0]
    ]


def _write_answers(rows: Sequence[Row]) -> list[list[Row]]:
    return [[()] * count for count in rows[0]]


_SETTING: Final = "SELECT /* settings */"
_LOCK: Final = (
    "SELECT CASE WHEN is_shared "
    "THEN pg_advisory_xact_lock_shared(name)::text "
    "ELSE pg_advisory_xact_lock(name)::text END "
    "FROM unnest(?::bigint[], ?::boolean[]) AS wanted (name, is_shared)"
)


def _locks(names: Mapping[str, bool]) -> Sequence[Ask]:
    """Lock names in the order given: an array is read from its start."""
    return (Ask(_LOCK, (list(map(lock_number, names)), list(names.values()))),)


_DIALECT: Final = Dialect(clock=_CLOCK, locks=_locks)


# -- Transactions ------------------------------------------------------------


def _reading(steps: Steps[_T], limits: Batch) -> _Transaction[_T]:
    """Carry out the one batch of a read on a snapshot, in one round trip."""
    batch = next(steps)
    if limits:
        answers = yield [_BEGIN_READ, *limits, *batch, _COMMIT]
        answers = answers[1 + len(limits) : -1]
    else:
        # One statement, and so one snapshot.
        answers = yield batch
    try:
        steps.send(answers)
    except StopIteration as stopped:
        result: _T = stopped.value
        return result
    raise AssertionError("a read is one batch")


def _writing(steps: Steps[_T], limits: Batch) -> _Transaction[_T]:
    """Carry out steps in a transaction; a conflict rolls it back."""
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
    try:
        yield [_COMMIT]
    except psycopg.Error as error:
        raise AnswerLostError(result) from error
    return result


@contextlib.contextmanager
def _translated() -> Generator[None]:
    """Let no error of the driver cross the port; nothing was committed."""
    try:
        yield
    except (
        psycopg.errors.UniqueViolation,
        psycopg.errors.SerializationFailure,
        psycopg.errors.DeadlockDetected,
    ) as error:
        raise LostRaceError from error
    except (psycopg.DataError, UnicodeEncodeError) as error:
        raise InvalidValueError(
            "the database cannot hold the value", code="FieldType"
        ) from error
    except psycopg.Error as error:
        # Only the kind: a message may hold a row.
        raise PortUnavailableError(
            f"PostgreSQL said {type(error).__name__}; nothing was written",
            code=_code(error),
        ) from error


def _code(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if state in {"55P03", "57014"}:  # lock or statement took too long
        return "StoreBusy"
    if state.startswith("53"):
        return "StoreFull"
    if state in {"25006", "42501"}:
        return "StoreReadOnly"
    return "StoreUnavailable"


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


def _migrating(*, may_change: bool) -> _Transaction[None]:
    """Bring the schema up to date in one transaction, or refuse it."""
    known = migrations()
    ((is_there,),) = (yield [_IS_THERE])[0]
    made = [number for (number,) in (yield [_MADE])[0]] if is_there else []
    if not check_schema(known, made, may_change=may_change):
        return
    # Another worker may be faster: look again under a lock.
    yield [_BEGIN_WRITE, *_locks({"schema": False})]
    ((is_there,),) = (yield [_IS_THERE])[0]
    made = [number for (number,) in (yield [_MADE])[0]] if is_there else []
    missing = check_schema(known, made, may_change=True)
    yield [Ask(text) for each in missing for text in each.statements]
    yield [_COMMIT]


def _settings(
    lock_seconds: float, statement_seconds: float, *, for_one_transaction: bool
) -> Ask:
    """
    Set how long to wait, and that plans do not depend on statistics.

    Every statement has its index. A new table's statistics would have it read
    whole until they are renewed; and planning anew, or compiling, costs more
    than running.
    """
    wanted = {
        "lock_timeout": str(int(lock_seconds * 1000)),
        "statement_timeout": str(int(statement_seconds * 1000)),
        "plan_cache_mode": "force_generic_plan",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "jit": "off",
    }
    calls = ", ".join(["set_config(?, ?, ?)"] * len(wanted))
    values = [
        value
        for name, setting in wanted.items()
        for value in (name, setting, for_one_transaction)
    ]
    return Ask(f"{_SETTING} {calls}", tuple(values))


def _is_clean(connection: _Blocking | _Awaitable) -> bool:
    """Tell whether a connection may be used again as it is."""
    return (
        not connection.closed
        and connection.info.transaction_status is TransactionStatus.IDLE
    )


# -- Blocking ----------------------------------------------------------------


class _Source(Protocol):
    """Where connections come from."""

    def take(self) -> _Blocking:
        """Lend a connection in autocommit mode."""
        ...

    def give(self, connection: _Blocking) -> None:
        """Take it back, closed if it is of no more use."""
        ...

    def close(self) -> None:
        """Close what is the source's own."""
        ...


@final
class _OwnConnections:
    """As many connections as are used at once; they are kept for later."""

    def __init__(self, conninfo: str, settings: Ask) -> None:
        self._conninfo = conninfo
        self._settings = settings
        self._idle: list[tuple[_Blocking, float]] = []
        self._pid = os.getpid()

    def take(self) -> _Blocking:
        if self._pid != os.getpid():
            # Sockets from before a fork are the parent's.
            _INHERITED.extend(connection for connection, _ in self._idle)
            self._idle = []
            self._pid = os.getpid()
        while self._idle:
            rested, since = self._idle.pop()
            if time.monotonic() - since < _FRESH_SECONDS:
                return rested
            try:
                rested.execute("SELECT 1")
            except psycopg.Error:
                rested.close()
            else:
                return rested
        fresh: _Blocking = psycopg.connect(self._conninfo, autocommit=True)
        fresh.execute(*_statement(self._settings))
        return fresh

    def give(self, connection: _Blocking) -> None:
        if not connection.closed:
            self._idle.append((connection, time.monotonic()))

    def close(self) -> None:
        while self._idle and self._pid == os.getpid():
            self._idle.pop()[0].close()


_INHERITED: Final[list[object]] = []


@final
class _PoolConnections:
    """A host's psycopg pool; its connections go back as they came."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._was: dict[int, bool] = {}

    def take(self) -> _Blocking:
        connection: _Blocking = self._pool.getconn()
        self._was[id(connection)] = connection.autocommit
        connection.autocommit = True
        return connection

    def give(self, connection: _Blocking) -> None:
        was = self._was.pop(id(connection))
        if not connection.closed:
            connection.autocommit = was
        self._pool.putconn(connection)

    def close(self) -> None:
        """Leave the pool open: it is the host's."""


@final
class _EngineConnections:
    """A host's SQLAlchemy engine on psycopg; its pool goes on as before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lent: dict[int, tuple[Any, bool]] = {}

    def take(self) -> _Blocking:
        lent: Any = self._engine.raw_connection()
        found: object = lent.driver_connection
        if not _is_blocking(found):
            lent.close()
            raise InvalidValueError(
                "the engine must use psycopg 3 (postgresql+psycopg)",
                code="FieldType",
                path="engine",
            )
        self._lent[id(found)] = (lent, found.autocommit)
        found.autocommit = True
        return found

    def give(self, connection: _Blocking) -> None:
        lent, was = self._lent.pop(id(connection))
        if connection.closed:
            lent.invalidate()
            return
        connection.autocommit = was
        lent.close()

    def close(self) -> None:
        """Leave the engine open: it is the host's."""


def _is_blocking(found: object) -> TypeIs[_Blocking]:
    return isinstance(found, psycopg.Connection)


def _is_awaitable(found: object) -> TypeIs[_Awaitable]:
    return isinstance(found, psycopg.AsyncConnection)


# By what they can do: neither package has to be installed.
def _is_pool(where: object) -> TypeIs[ConnectionPool[Any]]:
    return hasattr(where, "getconn")


def _is_async_pool(where: object) -> TypeIs[AsyncConnectionPool[Any]]:
    return hasattr(where, "getconn")


def _source_of(
    where: str | ConnectionPool[Any] | Engine, settings: Ask
) -> _Source:
    if isinstance(where, str):
        return _OwnConnections(where, settings)
    if _is_pool(where):
        return _PoolConnections(where)
    return _EngineConnections(where)


def _execute(connection: _Blocking, batch: Batch) -> list[list[Row]]:
    """Carry out a batch in one round trip."""
    sent = list(_send(batch))
    if len(sent) == 1:
        cursors = [connection.execute(sent[0].sql, sent[0].values)]
    else:
        with connection.pipeline():
            cursors = [
                connection.execute(each.sql, each.values) for each in sent
            ]
    return [
        answer
        for each, cursor in zip(sent, cursors, strict=True)
        for answer in each.answers(
            [] if cursor.description is None else cursor.fetchall()
        )
    ]


def _drive(
    transaction: _Transaction[_T],
    execute: Callable[[Batch], list[list[Row]]],
) -> _T:
    advance: Callable[[], Batch] = partial(next, transaction)
    while True:
        try:
            batch = advance()
        except StopIteration as stopped:
            result: _T = stopped.value
            return result
        try:
            answers = execute(batch)
        except psycopg.Error as error:
            advance = partial(transaction.throw, error)
        else:
            advance = partial(transaction.send, answers)


@final
class PostgresPostingStore(BlockingSqlStore):
    """
    A posting store in PostgreSQL (PS-1 to PS-15).

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
        super().__init__(SqlSteps(_DIALECT, clock), absence_is_proof=True)
        is_own = isinstance(where, str)
        settings = _settings(
            lock_seconds, statement_seconds, for_one_transaction=not is_own
        )
        self._limits = () if is_own else (settings,)
        self._source = _source_of(where, settings)
        self._checked: weakref.WeakSet[_Blocking] = weakref.WeakSet()
        weakref.finalize(self, self._source.close)
        try:
            self._carry_out(_migrating(may_change=migrate))
        except BaseException:
            self._source.close()
            raise

    def close(self) -> None:
        """Close the store's own connections, not a host's."""
        self._source.close()

    def __enter__(self) -> PostgresPostingStore:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def _read(self, steps: Steps[_T]) -> _T:
        return self._carry_out(_reading(steps, self._limits))

    def _write(self, steps: Steps[_T]) -> _T:
        return self._carry_out(_writing(steps, self._limits))

    def _carry_out(self, transaction: _Transaction[_T]) -> _T:
        with _translated():
            connection = self._source.take()
            try:
                self._check(connection)
                return _drive(transaction, partial(_execute, connection))
            finally:
                self._give(connection)

    def _check(self, connection: _Blocking) -> None:
        """Refuse a server that could lose a commit, once a connection."""
        if connection not in self._checked:
            ((row,),) = _execute(connection, [_SETTINGS])
            _check_settings(row)
            self._checked.add(connection)

    def _give(self, connection: _Blocking) -> None:
        if not _is_clean(connection):
            with contextlib.suppress(psycopg.Error):
                connection.rollback()
        if not _is_clean(connection):
            connection.close()
        self._source.give(connection)


# -- Awaitable ---------------------------------------------------------------


class _AsyncSource(Protocol):
    """`_Source` for hosts on an event loop."""

    async def take(self) -> _Awaitable:
        """Like `_Source.take`."""
        ...

    async def give(self, connection: _Awaitable) -> None:
        """Like `_Source.give`."""
        ...

    async def close(self) -> None:
        """Like `_Source.close`."""
        ...


@final
class _OwnAsyncConnections:
    """Like `_OwnConnections`."""

    def __init__(self, conninfo: str, settings: Ask) -> None:
        self._conninfo = conninfo
        self._settings = settings
        self._idle: list[tuple[_Awaitable, float]] = []

    async def take(self) -> _Awaitable:
        while self._idle:
            rested, since = self._idle.pop()
            if time.monotonic() - since < _FRESH_SECONDS:
                return rested
            try:
                await rested.execute("SELECT 1")
            except psycopg.Error:
                await rested.close()
            else:
                return rested
        fresh: _Awaitable = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True
        )
        await fresh.execute(*_statement(self._settings))
        return fresh

    async def give(self, connection: _Awaitable) -> None:
        if not connection.closed:
            self._idle.append((connection, time.monotonic()))

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop()[0].close()


@final
class _AsyncPoolConnections:
    """Like `_PoolConnections`."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._was: dict[int, bool] = {}

    async def take(self) -> _Awaitable:
        connection: _Awaitable = await self._pool.getconn()
        self._was[id(connection)] = connection.autocommit
        await connection.set_autocommit(True)
        return connection

    async def give(self, connection: _Awaitable) -> None:
        was = self._was.pop(id(connection))
        if not connection.closed:
            await connection.set_autocommit(was)
        await self._pool.putconn(connection)

    async def close(self) -> None:
        """Leave the pool open: it is the host's."""


@final
class _AsyncEngineConnections:
    """Like `_EngineConnections`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lent: dict[int, tuple[Any, bool]] = {}

    async def take(self) -> _Awaitable:
        lent: Any = await self._engine.raw_connection()
        found: object = lent.driver_connection
        if not _is_awaitable(found):
            lent.close()
            raise InvalidValueError(
                "the engine must use psycopg 3 (postgresql+psycopg)",
                code="FieldType",
                path="engine",
            )
        self._lent[id(found)] = (lent, found.autocommit)
        await found.set_autocommit(True)
        return found

    async def give(self, connection: _Awaitable) -> None:
        lent, was = self._lent.pop(id(connection))
        if connection.closed:
            await _in_greenlet(lent.invalidate)
            return
        await connection.set_autocommit(was)
        await _in_greenlet(lent.close)

    async def close(self) -> None:
        """Leave the engine open: it is the host's."""


async def _in_greenlet(function: Callable[[], object]) -> None:
    """Call what SQLAlchemy made for its own kind of coroutine."""
    from sqlalchemy.util import greenlet_spawn

    await greenlet_spawn(function)


def _async_source_of(
    where: str | AsyncConnectionPool[Any] | AsyncEngine, settings: Ask
) -> _AsyncSource:
    if isinstance(where, str):
        return _OwnAsyncConnections(where, settings)
    if _is_async_pool(where):
        return _AsyncPoolConnections(where)
    return _AsyncEngineConnections(where)


async def _execute_async(
    connection: _Awaitable, batch: Batch
) -> list[list[Row]]:
    """Like `_execute`."""
    sent = list(_send(batch))
    if len(sent) == 1:
        cursors = [await connection.execute(sent[0].sql, sent[0].values)]
    else:
        async with connection.pipeline():
            cursors = [
                await connection.execute(each.sql, each.values)
                for each in sent
            ]
    return [
        answer
        for each, cursor in zip(sent, cursors, strict=True)
        for answer in each.answers(
            [] if cursor.description is None else await cursor.fetchall()
        )
    ]


@final
class AsyncPostgresPostingStore:
    """
    `PostgresPostingStore` for hosts on an event loop.

    It connects, checks the server and migrates at its first use, or when
    `open` is awaited.

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
        self._steps = SqlSteps(_DIALECT, clock)
        self._calls = SqlCalls(self._steps, absence_is_proof=True)
        is_own = isinstance(where, str)
        settings = _settings(
            lock_seconds, statement_seconds, for_one_transaction=not is_own
        )
        self._limits = () if is_own else (settings,)
        self._source = _async_source_of(where, settings)
        self._checked: weakref.WeakSet[_Awaitable] = weakref.WeakSet()
        self._may_migrate = migrate
        self._opening = asyncio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """
        Connect, check the server, and migrate.

        Raises:
            UnsafeStoreError: As `PostgresPostingStore`.
            PortUnavailableError: It cannot be reached.

        """
        async with self._opening:
            if self._is_open:
                return
            try:
                await self._carry_out(_migrating(may_change=self._may_migrate))
            except BaseException:
                await self._source.close()
                raise
            self._is_open = True

    async def close(self) -> None:
        """Close the store's own connections, not a host's."""
        await self._source.close()

    async def __aenter__(self) -> AsyncPostgresPostingStore:
        """Open the store."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.close()

    async def _read(self, steps: Steps[_T]) -> _T:
        if not self._is_open:
            await self.open()
        return await self._carry_out(_reading(steps, self._limits))

    async def _write(self, steps: Steps[_T]) -> _T:
        if not self._is_open:
            await self.open()
        return await self._carry_out(_writing(steps, self._limits))

    async def _carry_out(self, transaction: _Transaction[_T]) -> _T:
        with _translated():
            connection = await self._source.take()
            try:
                await self._check(connection)
                return await self._drive(transaction, connection)
            finally:
                await self._give(connection)

    async def _drive(
        self, transaction: _Transaction[_T], connection: _Awaitable
    ) -> _T:
        """Like the function `_drive`."""
        advance: Callable[[], Batch] = partial(next, transaction)
        while True:
            try:
                batch = advance()
            except StopIteration as stopped:
                result: _T = stopped.value
                return result
            try:
                answers = await _execute_async(connection, batch)
            except psycopg.Error as error:
                advance = partial(transaction.throw, error)
            else:
                advance = partial(transaction.send, answers)

    async def _check(self, connection: _Awaitable) -> None:
        if connection not in self._checked:
            ((row,),) = await _execute_async(connection, [_SETTINGS])
            _check_settings(row)
            self._checked.add(connection)

    async def _give(self, connection: _Awaitable) -> None:
        if not _is_clean(connection):
            with contextlib.suppress(psycopg.Error):
                await connection.rollback()
        if not _is_clean(connection):
            await connection.close()
        await self._source.give(connection)

    async def _run(self, calls: Calls[_T]) -> _T:
        """Like `BlockingSqlStore._run`."""
        advance: Callable[[], Transact] = partial(next, calls)
        while True:
            try:
                wanted = advance()
            except StopIteration as stopped:
                result: _T = stopped.value
                return result
            carry_out = self._write if wanted.writes else self._read
            try:
                answer = await carry_out(wanted.steps)
            except (AutopayError, AnswerLostError, LostRaceError) as error:
                advance = partial(calls.throw, error)
            else:
                advance = partial(calls.send, answer)

    # -- The port ------------------------------------------------------------

    async def standing(self, key: RunKey, method: str, /) -> Standing:
        """Like `PostingStore.standing`."""
        return await self._run(self._calls.standing(key, method))

    async def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Like `PostingStore.open_amounts`."""
        return await self._read(self._steps.open_amounts(clients))

    async def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Like `PostingStore.spent`."""
        return await self._read(
            self._steps.spent(autopay, from_on, before, currency)
        )

    async def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Like `PostingStore.attempts`."""
        return await self._read(self._steps.attempts(method, since))

    async def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Like `PostingStore.unfinished`."""
        return await self._run(self._calls.unfinished(after, most))

    async def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Like `PostingStore.claim`."""
        return await self._run(self._calls.claim(key, seconds))

    async def commit(self, change: Change, /) -> Committed | Conflict:
        """Like `PostingStore.commit`."""
        return await self._run(self._calls.commit(change))

    async def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Like `PostingStore.postings`."""
        return await self._read(self._steps.postings(wanted))

    async def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Like `PostingStore.undelivered`."""
        return await self._read(self._steps.undelivered(most))

    # -- Beside the port -----------------------------------------------------

    async def now(self) -> datetime:
        """Return the store's time; it never goes back (PS-12)."""
        return await self._run(self._calls.now())

    async def runs(self) -> AsyncIterator[RunRecord]:
        """Read every run on record, by key, a page at a time."""
        after: RunKey | None = None
        while page := await self._read(self._steps.runs(after, PAGE)):
            for record in page:
                yield record
            after = page[-1].key

    async def notices(self) -> AsyncIterator[Notice]:
        """Read every notice on record, oldest first, a page at a time."""
        after = 0
        while page := await self._read(self._steps.notices(after, PAGE)):
            for _, notice in page:
                yield notice
            after = page[-1][0]

    async def history(
        self, chain: int, after: int = 0, most: int = 1_000, /
    ) -> Sequence[HistoryEntry]:
        """Read entries of a chain in order, after a place."""
        return await self._read(self._steps.history(chain, after, most))

    async def history_heads(self) -> Sequence[HistoryHead]:
        """Read the newest entry's place and hash of every chain."""
        return await self._read(self._steps.history_heads())
