"""
Where statements are sent, for reading only.

Holds: `Source`, `Ask`, `Answer`, and `SqliteSource`, `PostgresSource`,
`SqlAlchemySource`. Imports: `errors`, and the standard library's sqlite3.
Another driver is imported when a source of it is made. What a driver raises,
and any address, stays in here: it may repeat a password.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
)
from urllib.parse import quote

import attrs

from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = [
    "Answer",
    "Ask",
    "PostgresSource",
    "Source",
    "SqlAlchemySource",
    "SqliteSource",
]

_T = TypeVar("_T")
_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_ON_POSTGRES: Final[dict[str, Any]] = {
    # Whatever the engine says, which may be AUTOCOMMIT.
    "isolation_level": "REPEATABLE READ",
    "postgresql_readonly": True,
}

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]+[0-9]*)\b")


@final
@attrs.frozen
class Answer:
    """
    What a statement was answered with.

    Attributes:
        columns: The names of the columns, as the database says them.
        rows: All of them, as many values in each as there are columns.

    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


Ask: TypeAlias = Callable[[str, Mapping[str, object]], Answer]
"""Sends one statement, in which each ``:name`` stands for a value."""


class Source(Protocol):
    """
    A database that can be read.

    What cannot be asked now is a `PortUnavailableError`, a statement that
    fails another `PortError`; neither shows an address.
    """

    def read(self, work: Callable[[Ask], _T], /) -> _T:
        """Do *work*, and all of it at one moment, where the database can."""
        ...


def _refuse(error: BaseException, *, is_away: bool) -> PortError:
    """Say in our words what a driver said."""
    if is_away:
        return PortUnavailableError(
            f"the database cannot be asked: {type(error).__name__}",
            code="DatabaseUnavailable",
        )
    return PortError(
        f"the database refused a statement: {type(error).__name__}",
        code="StatementRefused",
    )


def _is_away(error: sqlite3.Error | sqlite3.Warning) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _AWAY


def _no_rows() -> PortError:
    return PortError(
        "a statement answered with no rows at all, not even none; it has to "
        "be one that reads",
        code="StatementRefused",
    )


def _answered(description: Any, fetch: Callable[[], Any]) -> Answer:  # noqa: ANN401 - a driver's
    if description is None:
        raise _no_rows()
    return Answer(tuple(str(each[0]) for each in description), fetch())


@final
class SqliteSource:
    """
    A SQLite file, opened for reading at each call.

    Args:
        path: The file.
        timeout_seconds: How long a writer is waited for.

    """

    def __init__(
        self, path: str | Path, *, timeout_seconds: float = 5.0
    ) -> None:
        self._uri = f"file:{quote(str(path))}?mode=ro"
        self._timeout = timeout_seconds

    def __repr__(self) -> str:
        """Show no path."""
        return "<SqliteSource>"

    def read(self, work: Callable[[Ask], _T], /) -> _T:
        """
        Read in one transaction: all of one moment.

        Raises:
            PortUnavailableError: The file cannot be opened or read now
                (``DatabaseUnavailable``).
            PortError: It refuses a statement (``StatementRefused``).

        """
        connection: sqlite3.Connection | None = None

        def ask(statement: str, values: Mapping[str, object]) -> Answer:
            assert connection is not None
            cursor = connection.execute(statement, dict(values))
            return _answered(cursor.description, cursor.fetchall)

        try:
            connection = sqlite3.connect(
                self._uri,
                uri=True,
                timeout=self._timeout,
                isolation_level=None,
            )
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            return work(ask)
        # Several statements in one text are a Warning before Python 3.12.
        except (sqlite3.Error, sqlite3.Warning) as error:
            refusal = _refuse(error, is_away=_is_away(error))
        finally:
            if connection is not None:
                connection.close()
        raise refusal


@final
class PostgresSource:
    """
    A PostgreSQL server; extra ``postgres``. A connection for each call.

    It reads in a transaction that may write nothing and sees one moment. A
    pool of connections: by `SqlAlchemySource`.

    Args:
        address: Such as ``postgresql://reader@db.firm.example/elite``; a
            secret.
        timeout_seconds: How long to wait for the server, and for a statement.

    """

    def __init__(self, address: str, *, timeout_seconds: float = 30.0) -> None:
        import psycopg

        self._psycopg = psycopg
        self._hidden = _Hidden(address)
        self._timeout = timeout_seconds

    def __repr__(self) -> str:
        """Show no address."""
        return "<PostgresSource>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: it has a password."""
        raise TypeError(
            "PostgresSource is not pickled; make one in each process"
        )

    def read(self, work: Callable[[Ask], _T], /) -> _T:
        """
        Read in one transaction: all of one moment.

        Raises:
            PortUnavailableError: The server cannot be reached, or takes too
                long (``DatabaseUnavailable``).
            PortError: It refuses a statement (``StatementRefused``).

        """
        psycopg = self._psycopg
        connection: Any = None

        def ask(statement: str, values: Mapping[str, object]) -> Answer:
            text = _NAMED.sub(r"%(\1)s", statement.replace("%", "%%"))
            cursor = connection.execute(text, dict(values))
            return _answered(cursor.description, cursor.fetchall)

        try:
            connection = psycopg.connect(
                self._hidden.value,
                connect_timeout=max(2, int(self._timeout)),
            )
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            milliseconds = int(self._timeout * 1_000)
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
            return work(ask)
        except psycopg.Error as error:
            refusal = _refuse(
                error,
                is_away=isinstance(
                    error, psycopg.OperationalError | psycopg.InterfaceError
                ),
            )
        finally:
            if connection is not None:
                connection.close()
        raise refusal


@final
class SqlAlchemySource:
    """
    Any database that SQLAlchemy reaches; extra ``sqlalchemy``.

    The engine is the host's, with its driver, its pool and its times. On
    SQLite and PostgreSQL nothing can be written; elsewhere the transaction is
    rolled back and isolated as the engine says, and the user has to be one
    that may only read.

    Args:
        engine: A blocking one.

    """

    def __init__(self, engine: Engine) -> None:
        import sqlalchemy
        from sqlalchemy import exc

        self._text, self._exc = sqlalchemy.text, exc
        self._engine = engine
        self._dialect = engine.dialect.name

    def __repr__(self) -> str:
        """Show which dialect, and no address."""
        return f"<SqlAlchemySource of {self._engine.dialect.name}>"

    def read(self, work: Callable[[Ask], _T], /) -> _T:
        """
        Read in one transaction: on SQLite and PostgreSQL all of one moment.

        Raises:
            PortUnavailableError: There is no connection, or it broke
                (``DatabaseUnavailable``).
            PortError: The database refuses a statement
                (``StatementRefused``).

        """
        exc = self._exc
        connection: Any = None

        def ask(statement: str, values: Mapping[str, object]) -> Answer:
            result = connection.execute(self._text(statement), dict(values))
            if not result.returns_rows:
                raise _no_rows()
            names = list(result.keys())
            return Answer(tuple(map(str, names)), result.fetchall())

        try:
            connection = self._engine.connect()
            if self._dialect == "postgresql":
                connection.execution_options(**_ON_POSTGRES)
            if self._dialect == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("BEGIN")
            return work(ask)
        except exc.SQLAlchemyError as error:
            driver = getattr(error, "orig", None)
            refusal = _refuse(
                error,
                is_away=_is_away(driver)
                if isinstance(driver, sqlite3.Error)
                else isinstance(
                    error,
                    exc.OperationalError
                    | exc.InterfaceError
                    | exc.TimeoutError,
                )
                or getattr(error, "connection_invalidated", False),
            )
        finally:
            if connection is not None:
                self._give_back(connection)
        raise refusal

    def _give_back(self, connection: Any) -> None:  # noqa: ANN401 - a driver's
        """Roll back and give back; one that is broken is thrown away."""
        try:
            connection.rollback()
            if self._dialect == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = OFF")
            connection.close()
        except self._exc.SQLAlchemyError:
            connection.invalidate()
            connection.close()


class _Hidden:
    """A secret; whatever shows an error's frames shows no more."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        if type(value) is not str or not value:
            raise InvalidValueError(
                "expected the address of a server",
                code="StoreAddress",
                path="address",
            )
        self.value = value

    def __repr__(self) -> str:
        return "<address>"
