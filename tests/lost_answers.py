"""
Commits of the SQL stores that break off, before or after they stand.

Holds: `lose_on_sqlite` and `lose_on_postgres`, which patch what carries out
the next COMMIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autopay_core.adapters._sql import AnswerLostError, Ask

if TYPE_CHECKING:
    import pytest


def lose_on_sqlite(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    from autopay_core.adapters import sqlite

    genuine = sqlite._write_on

    def write(connection: Any, steps: Any) -> Any:
        monkeypatch.setattr(sqlite, "_write_on", genuine)
        if when == "after":
            raise AnswerLostError(genuine(connection, steps))
        connection.execute("BEGIN IMMEDIATE")
        result = sqlite._drive(connection, steps)
        connection.execute("ROLLBACK")
        raise AnswerLostError(result)

    monkeypatch.setattr(sqlite, "_write_on", write)


def lose_on_postgres(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    import psycopg

    from autopay_core.adapters import postgres

    execute, execute_async = postgres._execute, postgres._execute_async
    broken: list[str] = []

    def breaks(batch: Any) -> bool:
        return not broken and batch == [Ask("COMMIT")]

    def run(connection: Any, batch: Any) -> Any:
        if not breaks(batch):
            return execute(connection, batch)
        broken.append(when)
        if when == "after":
            execute(connection, batch)
        connection.close()
        raise psycopg.OperationalError("the connection is lost")

    async def run_async(connection: Any, batch: Any) -> Any:
        if not breaks(batch):
            return await execute_async(connection, batch)
        broken.append(when)
        if when == "after":
            await execute_async(connection, batch)
        await connection.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(postgres, "_execute", run)
    monkeypatch.setattr(postgres, "_execute_async", run_async)
