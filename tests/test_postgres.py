"""The posting store on PostgreSQL, blocking and awaitable."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from hypothesis import settings

from autopay_core.adapters.postgres import (
    AsyncPostgresPostingStore,
    PostgresPostingStore,
)
from postgres_server import shared_server
from store_model import Awaited, StoreModel, TestClock

pytestmark = pytest.mark.postgres

WIPE = """
TRUNCATE autopay_runs, autopay_reservations, autopay_attempts,
    autopay_postings, autopay_clients, autopay_notices, autopay_stops,
    autopay_claims, autopay_history RESTART IDENTITY;
"""


def empty_database(name: str) -> str:
    """Return a database with an empty schema; it is made once."""
    server = shared_server()
    conninfo = f"host={server.folder} user=autopay dbname={name}"
    try:
        with psycopg.connect(conninfo) as connection:
            from autopay_core.history import CHAINS, first_hash

            connection.execute(WIPE)
            for chain in range(CHAINS):
                connection.execute(
                    "UPDATE autopay_chains SET seq = 0, at = 0, hash = %s "
                    "WHERE chain = %s",
                    (first_hash(chain), chain),
                )
    except psycopg.OperationalError:
        server.new_database(name)
    return conninfo


class PostgresModel(StoreModel):
    def open_store(self, clock: TestClock) -> Any:
        return PostgresPostingStore(empty_database("model"), clock=clock)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "store"):
            self.store.close()


class AsyncPostgresModel(StoreModel):
    def open_store(self, clock: TestClock) -> Any:
        self.runner = asyncio.Runner()
        return Awaited(
            AsyncPostgresPostingStore(empty_database("model"), clock=clock),
            self.runner,
        )

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "runner"):
            self.store.close()
            self.runner.close()


TestPostgresModel = PostgresModel.TestCase
TestPostgresModel.settings = settings(max_examples=15, stateful_step_count=20)
TestAsyncPostgresModel = AsyncPostgresModel.TestCase
TestAsyncPostgresModel.settings = settings(
    max_examples=8, stateful_step_count=20
)
