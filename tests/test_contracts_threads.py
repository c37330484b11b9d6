"""Blocking ports in threads keep every clause of the async ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from autopay_core.adapters.memory import (
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.threads import threaded
from autopay_core.testing.contracts import (
    AsyncMatterDataContract,
    AsyncNotifierContract,
    AsyncPaymentGatewayContract,
    AsyncPostingStoreContract,
    AsyncTwoStepGatewayContract,
    Clock,
)
from test_contracts_memory import Channel, Firm, Sandbox
from test_contracts_sqlite import Files, locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


class TestThreadedGateway(Sandbox, AsyncPaymentGatewayContract):
    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return threaded(inner)


class TestThreadedTwoStepGateway(Sandbox, AsyncTwoStepGatewayContract):
    machine = MemoryTwoStepGateway

    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return threaded(inner)


class TestThreadedMatterData(Firm, AsyncMatterDataContract):
    @pytest.fixture
    def async_seed(self, firm: MemoryMatterData) -> Any:
        return lambda invoices, directory: threaded(
            self.filled(firm, invoices, directory)
        )


class TestThreadedNotifier(Channel, AsyncNotifierContract):
    @pytest.fixture
    def async_notifier(self, inner: MemoryNotifier) -> Any:
        return threaded(inner)


class TestThreadedMemoryPostingStore(AsyncPostingStoreContract):
    examples = 5

    @pytest.fixture
    def new_async_store(self) -> Callable[[Clock], Any]:
        return lambda clock: threaded(MemoryPostingStore(clock=clock))


class TestThreadedSqlitePostingStore(Files, AsyncPostingStoreContract):
    examples = 5

    @pytest.fixture
    def new_async_store(
        self,
        tmp_path: Path,
        files: dict[int, Path],
        opened: list[SqlitePostingStore],
    ) -> Callable[[Clock], Any]:
        def made(clock: Clock) -> Any:
            file = tmp_path / f"{len(opened)}.db"
            opened.append(
                SqlitePostingStore(file, clock=clock, busy_seconds=2)
            )
            store = threaded(opened[-1])
            files[id(store)] = file
            return store

        return made

    @pytest.fixture
    def async_reopen(
        self, files: dict[int, Path], opened: list[SqlitePostingStore]
    ) -> Callable[[Any, Clock], Any]:
        def again(store: Any, clock: Clock) -> Any:
            opened.append(SqlitePostingStore(files[id(store)], clock=clock))
            other = threaded(opened[-1])
            files[id(other)] = files[id(store)]
            return other

        return again

    @pytest.fixture
    def async_beside(
        self, files: dict[int, Path], opened: list[SqlitePostingStore]
    ) -> Callable[[Any, Clock], Any]:
        def once_more(store: Any, clock: Clock) -> Any:
            opened.append(SqlitePostingStore(files[id(store)], clock=clock))
            return threaded(opened[-1])

        return once_more

    @pytest.fixture
    def unavailable(
        self, files: dict[int, Path]
    ) -> Callable[[Any], AbstractContextManager[None]]:
        return lambda _: locked([*files.values()][-1])
