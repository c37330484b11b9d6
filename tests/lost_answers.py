"""
Commits of the SQL stores that break off, before or after they stand.

Holds: `lose_on_sqlite` and `lose_on_postgres`, which patch what carries out
the next COMMIT.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from autopay_core.adapters.sql.words import AnswerLostError, Ask
from autopay_core.engine.driving import drive

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
        cursor = connection.cursor()
        result = drive(steps, partial(sqlite._execute, cursor))
        connection.execute("ROLLBACK")
        raise AnswerLostError(result)

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
