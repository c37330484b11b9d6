"""
Commits of the SQL stores that break off, before or after they stand.

Holds: `lose_on_sqlite` and `lose_on_postgres`, which break the connection
of the next COMMIT: what the stores make of that is theirs.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, cast

from autopay_core.adapters.sql.words import Ask

if TYPE_CHECKING:
    import pytest


class _Breaking:
    """A connection to SQLite whose COMMIT breaks off."""

    def __init__(self, connection: sqlite3.Connection, when: str) -> None:
        self._connection = connection
        self._when = when

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self._connection.execute(sql)
        if self._when == "after":
            self._connection.execute(sql)
        raise sqlite3.OperationalError("disk I/O error")


def lose_on_sqlite(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    from autopay_core.adapters import sqlite

    genuine = sqlite._write_on

    def write(connection: Any, steps: Any) -> Any:
        monkeypatch.setattr(sqlite, "_write_on", genuine)
        return genuine(cast("Any", _Breaking(connection, when)), steps)

    monkeypatch.setattr(sqlite, "_write_on", write)


def lose_on_postgres(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    import psycopg

    from autopay_core.adapters import postgres
    from autopay_core.adapters.sql.postgres_sources import execute, settled

    broken: list[str] = []

    async def run(connection: Any, batch: Any) -> Any:
        if broken or batch != [Ask("COMMIT")]:
            return await execute(connection, batch)
        broken.append(when)
        if when == "after":
            await execute(connection, batch)
        await settled(connection.close())
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(postgres, "execute", run)
