"""The posting store on SQLite."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from autopay_core.adapters.sqlite import SqlitePostingStore
from store_model import StoreModel, TestClock


class SqliteModel(StoreModel):
    def open_store(self, clock: TestClock) -> Any:
        return SqlitePostingStore(":memory:", in_memory=True, clock=clock)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "store"):
            self.store.close()


TestSqliteModel = SqliteModel.TestCase
TestSqliteModel.settings = settings(max_examples=60, stateful_step_count=30)
