"""
A posting store in one SQLite file: the embedded default.

Holds: `SqlitePostingStore` and `migrations`; `OnSqlite`, on which whatever
else may lie in such a file can build. Imports: `sql`, `commits`,
`engine.driving`, `errors` and the standard library's sqlite3. Safe for any
number of threads and processes on one machine; not on a network file system.
Every commit is one transaction in WAL mode with full synchronous writing: when
`commit` returns, the change survives a crash of the machine. SQLite has one
writer at a time, taken with ``BEGIN IMMEDIATE``, so what a commit reads under
it cannot change.

A connection is kept for later only after a normal end. After anything else
its transaction is rolled back and it is closed. The file is made for its
owner alone, for it holds payment tokens; SQLite makes its side files alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, final

from autopay_core.adapters.sql.commit import Answer
from autopay_core.adapters.sql.methods import call
from autopay_core.adapters.sql.schema import (
    SQLITE_WORDS,
    Migration,
    check_schema,
    migrations_for,
    needs_adoption,
)
from autopay_core.adapters.sql.store import BlockingStore
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Batch,
    Calls,
    Clock,
    Dialect,
    Exclusive,
    Insert,
    Read,
    Row,
    Steps,
    Table,
    Transaction,
    closed_error,
    last_of,
    move_last,
    receive,
)
from autopay_core.commits import Change
from autopay_core.engine.driving import drive
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortUnavailableError,
    UnsafeStoreError,
)

__all__ = ["Migration", "SqlitePostingStore", "migrations"]

_OLDEST: Final = (3, 37, 0)  # STRICT tables
_FULL: Final = 2
_CACHE_KIBIBYTES: Final = 16 * 1024
"""Pages that a connection keeps at most, so that indexes stay at hand."""

_LOG_PAGES: Final = 4_000
"""
Pages that the write-ahead log grows by before they go into the file.

Most pages are written again and again: the more of them the log holds, the
fewer are copied. 16 MB are read in no time when the file is opened again.
"""

_MEMORY: Final = ":memory:"
_T = TypeVar("_T")

# Pages that were not synchronized may yet be found after a crash.
DIALECT: Final = Dialect(
    clock=None,
    locks=None,
    absence_is_proof=False,
    columns="SELECT name FROM pragma_table_info(?)",
)


def migrations() -> tuple[Migration, ...]:
    """
    Return the numbered steps of the schema, for a host's own tool.

    A store makes those that are missing when it opens its file, unless it is
    told not to.
    """
    return migrations_for(SQLITE_WORDS)


def system_clock() -> datetime:
    return datetime.now(UTC)


_LIST: Final = "IN ??"
_MARKS_MOST: Final = 64


@cache
def _native(sql: str, marks: int = 0) -> str:
    """Say a shared statement in SQLite's words, with lists of one length."""
    sql = sql.replace("{lock}", "")
    sql = sql.replace("{numbers}", "(SELECT invoice FROM numbers)")
    if marks > _MARKS_MOST:
        return sql.replace(_LIST, "IN (SELECT value FROM json_each(?))")
    return sql.replace(_LIST, f"IN ({', '.join('?' * marks)})")


def _is_list(value: object) -> bool:
    return type(value) is list


def _with_lists(ask: Ask) -> tuple[str, Sequence[Any]]:
    """
    Spell lists out, in lengths of 1, 2, 4 … so that few statements differ.

    A list is filled up with its last value, or with NULL, which nothing is.
    """
    longest = max(len(each) for each in ask.values if _is_list(each))
    marks = 1 << (longest - 1).bit_length() if longest else 1
    values: list[Any] = []
    for each in ask.values:
        if not _is_list(each):
            values.append(each)
        elif marks > _MARKS_MOST:
            values.append(json.dumps(each))
        else:
            values.extend(each)
            values.extend([each[-1] if each else None] * (marks - len(each)))
    return _native(ask.sql, marks), values


@cache
def _insertion(table: Table) -> str:
    columns = table.columns
    marks = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) "  # noqa: S608 - made of constants
        f"VALUES ({marks}) {table.conflict}"
    )


def _statement(ask: Ask) -> tuple[str, Sequence[Any]]:
    if _LIST in ask.sql:
        return _with_lists(ask)
    return _native(ask.sql), ask.values


def _execute(cursor: sqlite3.Cursor, batch: Batch) -> list[list[Row]]:
    """Carry out a batch, one statement after another."""
    answers: list[list[Row]] = []
    for each in batch:
        if isinstance(each, Insert):
            cursor.executemany(_insertion(each.table), each.rows)
            answers.append([])
        else:
            answers.append(cursor.execute(*_statement(each)).fetchall())
    return answers


_ERRORS: Final = (sqlite3.Error, UnicodeEncodeError, OverflowError)


def _translated(error: Exception) -> AutopayError:
    """Say an error of the driver in our words; nothing was committed."""
    if not isinstance(error, sqlite3.Error):
        return InvalidValueError(
            "the database cannot hold the value", code="FieldType"
        )
    return PortUnavailableError(
        f"SQLite said {_name_of(error)}; nothing was written",
        code=_code_of(error),
    )


def _name_of(error: sqlite3.Error) -> str:
    # The driver's own refusals have no name of SQLite's.
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _code_of(error: sqlite3.Error) -> str:
    name = _name_of(error)
    for start, code in (
        ("SQLITE_BUSY", "StoreBusy"),
        ("SQLITE_LOCKED", "StoreBusy"),
        ("SQLITE_FULL", "StoreFull"),
        ("SQLITE_READONLY", "StoreReadOnly"),
        ("SQLITE_CORRUPT", "StoreCorrupt"),
        ("SQLITE_NOTADB", "StoreCorrupt"),
    ):
        if name.startswith(start):
            return code
    return "StoreUnavailable"


class OnSqlite:
    """
    Connections to one SQLite file, and transactions on them.

    Args:
        path: The file; made if it is not there.
        in_memory: Keep nothing on disk; then *path* must be ``":memory:"``.
        busy_seconds: How long to wait for another writer.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        in_memory: bool,
        busy_seconds: float,
    ) -> None:
        self._path = os.fspath(path)
        _check_path(self._path, in_memory=in_memory)
        if sqlite3.sqlite_version_info < _OLDEST:
            raise UnsafeStoreError(
                f"SQLite {sqlite3.sqlite_version} has no STRICT tables; 3.37 "
                "or later is needed",
                code="StoreTooOld",
            )
        self._in_memory = in_memory
        self._busy_seconds = busy_seconds
        self._writer = Exclusive()
        self._idle: list[sqlite3.Connection] = []
        # One connection is the whole database when it is in memory.
        self._alone = Exclusive() if in_memory else None
        self._pid = os.getpid()
        self._is_closed = False
        weakref.finalize(self, _close_all, self._idle, self._pid)

    def close(self) -> None:
        """
        Close every connection, for good.

        A call that is under way ends; every later one is `StoreClosed`.
        """
        self._is_closed = True
        _close_all(self._idle, self._pid)

    def __repr__(self) -> str:
        """Show where it is."""
        return f"{type(self).__name__}({self._path!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: a file is opened, not copied."""
        raise TypeError(
            f"{type(self).__name__} is not pickled; make one in each process"
        )

    # -- Connections ---------------------------------------------------------

    def _take(self, held: list[sqlite3.Connection]) -> None:
        """
        Put a connection into *held* that nobody else uses meanwhile.

        Raises:
            PortUnavailableError: The store is closed.

        """
        self._check_open()
        if self._pid != os.getpid():
            self._leave_the_parents()
        if not move_last(self._idle, held):
            self._connect(held)
        # It may have been closed meanwhile.
        self._check_open()

    def _check_open(self) -> None:
        if self._is_closed:
            raise closed_error()

    def _give(self, held: list[sqlite3.Connection]) -> None:
        """Take a connection back, without a transaction of its own."""
        if held[0].in_transaction:
            held[0].execute("ROLLBACK")
        move_last(held, self._idle)
        if self._is_closed:
            _close_all(self._idle, self._pid)

    def _break_off(self, held: list[sqlite3.Connection]) -> None:
        """Give up a transaction that did not end as it should."""
        with contextlib.suppress(sqlite3.Error):
            # Not left to closing: statements that are not over put it off.
            held[0].execute("ROLLBACK")
        if self._in_memory and not held[0].in_transaction:
            # With the connection the database would be gone.
            self._give(held)
            return
        held[0].close()
        held.clear()

    def _leave_the_parents(self) -> None:
        """Use nothing that was opened before a fork; SQLite forbids it."""
        # Kept, not closed: what closing does to the files is the parent's.
        _INHERITED.extend(self._idle)
        self._idle = []
        self._writer = Exclusive()
        self._pid = os.getpid()

    def _connect(self, held: list[sqlite3.Connection]) -> None:
        if not self._in_memory:
            _make_private(self._path)
        receive(
            held,
            partial(
                sqlite3.connect,
                self._path,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            ),
        )
        self._make_safe(held[0])

    def _start_log(self, connection: sqlite3.Connection) -> str:
        """Switch to a write-ahead log; SQLite does not wait for others."""
        until = time.monotonic() + self._busy_seconds
        while True:
            try:
                ((mode,),) = connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                is_busy = _code_of(error) == "StoreBusy"
                if not is_busy or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return str(mode)

    def _make_safe(self, connection: sqlite3.Connection) -> None:
        """Set what durability rests on, and see that it is so (PS-1)."""
        if self._in_memory:
            return
        mode = self._start_log(connection)
        if mode != "wal":
            raise UnsafeStoreError(
                f"SQLite's journal is {mode!r} and cannot be a write-ahead "
                "log; keep the file on a local disk"
            )
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        ((level,),) = connection.execute("PRAGMA synchronous")
        if level < _FULL:
            raise UnsafeStoreError("SQLite does not write synchronously")

    # -- Transactions --------------------------------------------------------

    def _carry_out(self, wanted: Transaction) -> object:
        """Carry out one transaction."""
        if isinstance(wanted, Read):
            return self._lend(partial(_read_on, batch=wanted.batch))
        write = partial(_write_on, steps=wanted.steps)
        return self._writer.call(partial(self._lend, write))

    def _lend(self, use: Callable[[sqlite3.Connection], _T]) -> _T:
        """Let *use* have a connection that nobody else uses meanwhile."""
        refusal: AutopayError
        try:
            if self._alone is None:
                return self._used(use)
            return self._alone.call(partial(self._used, use))
        except _ERRORS as error:
            refusal = _translated(error)
        # Outside, so that it does not carry the other along: that one's
        # message and frames may hold a row.
        raise refusal

    def _used(self, use: Callable[[sqlite3.Connection], _T]) -> _T:
        held: list[sqlite3.Connection] = []
        try:
            self._take(held)
            result = use(held[0])
            self._give(held)
        except BaseException:
            try:
                if held:
                    self._break_off(held)
            finally:
                # What was interrupted in letting go does so again.
                if held:
                    self._break_off(held)
            raise
        return result


@final
class SqlitePostingStore(OnSqlite, BlockingStore):
    """
    A posting store in one SQLite file (PS-1 to PS-29).

    >>> store = SqlitePostingStore("postings.db")  # doctest: +SKIP

    Args:
        path: The file; made if it is not there.
        clock: Its time; the machine's if not given. It never goes back.
        in_memory: Keep nothing on disk; then *path* must be ``":memory:"``.
            For tests: every commit is lost with the process.
        migrate: Bring an older schema up to date; False refuses it.
        busy_seconds: How long to wait for another writer.

    Raises:
        UnsafeStoreError: The file cannot be in WAL mode with full
            synchronous writing, is in memory without having been asked for,
            or has a newer schema.
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
        BlockingStore.__init__(self, DIALECT, clock)
        self._migrate(may_change=migrate)

    @call
    def commit_many(
        self, changes: Sequence[Change], /
    ) -> Calls[Sequence[Answer]]:
        """
        Write changes one after another, and wait for the disk once (PS-29).

        A sweep with `at_once` writes so what its turns have to write at the
        same moment. PostgreSQL does that by itself.

        Raises:
            PortUnavailableError: Nothing of any was written.
            CommitUnknownError: All may have been.

        """
        return (yield from self._commit_together(changes))

    # -- Schema --------------------------------------------------------------

    def _migrate(self, *, may_change: bool) -> None:
        """Bring the schema up to date, or refuse it."""
        self._lend(
            partial(
                _migrate_on, adopted=self._adopted(), may_change=may_change
            )
        )
        # Another tool may have made the tables.
        drive(self._adopt(), self._carry_out)


def _read_on(connection: sqlite3.Connection, batch: Batch) -> list[list[Row]]:
    """Carry out a batch on one snapshot."""
    connection.execute("BEGIN")
    return _execute(connection.cursor(), batch)


def _write_on(connection: sqlite3.Connection, steps: Steps[_T]) -> _T:
    """
    Carry out *steps* in a transaction; what changes nothing is given up.

    Raises:
        AnswerLostError: The commit itself failed, so that it may or may not
            be found when the file is opened again.

    """
    connection.execute("BEGIN IMMEDIATE")
    before = connection.total_changes
    result = drive(steps, partial(_execute, connection.cursor()))
    if connection.total_changes == before:
        return result
    is_lost = False
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        is_lost = True
    if is_lost:
        raise AnswerLostError(result)
    return result


def _migrate_on(
    connection: sqlite3.Connection, *, adopted: Steps[None], may_change: bool
) -> None:
    def adopt(missing: Sequence[Migration]) -> None:
        if needs_adoption(missing):
            drive(adopted, partial(_execute, connection.cursor()))

    migrate_on(
        connection,
        migrations(),
        "autopay_schema",
        adopt,
        may_change=may_change,
    )


def migrate_on(
    connection: sqlite3.Connection,
    known: Sequence[Migration],
    table: str,
    then: Callable[[Sequence[Migration]], None],
    *,
    may_change: bool,
) -> None:
    """Make the migrations that *table* lacks, or refuse the schema."""
    if not check_schema(
        known, _made(connection, table), may_change=may_change
    ):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been faster.
    missing = check_schema(known, _made(connection, table), may_change=True)
    for migration in missing:
        for statement in migration.statements:
            connection.execute(statement)
    then(missing)
    connection.execute("COMMIT")


_INHERITED: Final[list[sqlite3.Connection]] = []
_making: Final = Exclusive()


def _make_private(path: str) -> None:
    """Make a new file that only its owner may read; SQLite's may be read."""
    if not Path(path).exists():
        _making.call(partial(_make_file, Path(path).resolve()))


def _make_file(path: Path) -> None:
    # Closing a file lets go of this process's locks on it, so that only a
    # new one is opened, and one at a time. Why it cannot be made, SQLite says.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _close_all(idle: list[sqlite3.Connection], pid: int) -> None:
    while pid == os.getpid() and (connection := last_of(idle)):
        connection.close()


def _made(connection: sqlite3.Connection, table: str) -> list[int]:
    """Return the numbers of the migrations that were made."""
    there = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = ?", (table,)
    ).fetchall()
    if not there:
        return []
    rows = connection.execute(f"SELECT number FROM {table} ORDER BY number")  # noqa: S608 - a constant
    return [number for (number,) in rows]


def _check_path(path: str, *, in_memory: bool) -> None:
    """Refuse a database that is gone with the process, unless asked for."""
    is_memory = path in ("", _MEMORY) or path.startswith("file:")
    if in_memory and path != _MEMORY:
        raise InvalidValueError(
            f"in memory, the path is {_MEMORY!r}",
            code="StorePath",
            path="path",
            value=path,
        )
    if is_memory and not in_memory:
        raise UnsafeStoreError(
            "a database in memory or under a URI may lose every commit; give "
            "a file, or in_memory=True for tests"
        )
