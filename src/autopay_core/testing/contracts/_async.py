"""
The contracts of the async ports: the same tests through an event loop.

Holds: an ``Async…Contract`` for each port. Imports: `_base`, `_gateways`,
`_interruptions`, `_matters`, `_sandbox`, `_stores`, `aio`, `ports` and
`invoices`. The loop runs in a thread of its own, so that racing callers race
on it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from threading import Thread
from typing import Any, TypeAlias, TypeVar, cast

import pytest

from autopay_core import aio
from autopay_core.invoices import Invoice, SearchResult
from autopay_core.ports import (
    MatterData,
    Notifier,
    PaymentGateway,
    PostingStore,
    TwoStepGateway,
)
from autopay_core.testing.contracts._base import Clock, Contract
from autopay_core.testing.contracts._gateways import (
    PaymentGatewayContract,
    TwoStepGatewayContract,
)
from autopay_core.testing.contracts._interruptions import (
    PATIENCE,
    Suspensions,
    check,
)
from autopay_core.testing.contracts._matters import (
    MatterDataContract,
    NotifierContract,
    Seed,
)
from autopay_core.testing.contracts._sandbox import Gateway
from autopay_core.testing.contracts._stores import (
    Interrupted,
    NewStore,
    PostingStoreContract,
    Reopen,
)

_T = TypeVar("_T")
AsyncSeed: TypeAlias = Callable[
    [Sequence[Invoice], Sequence[SearchResult]], aio.MatterData
]
NewAsyncStore: TypeAlias = Callable[
    [Clock], aio.PostingStore | Awaitable[aio.PostingStore]
]
AsyncReopen: TypeAlias = Callable[
    [aio.PostingStore, Clock],
    aio.PostingStore | Awaitable[aio.PostingStore],
]
Around: TypeAlias = Callable[[Awaitable[Any]], Awaitable[Any]]


class Loop:
    """An event loop in a thread, for callers that do not await."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._around: Around | None = None

    def wrap(self, around: Around | None) -> None:
        """Wait for what *around* makes of everything from now on."""
        self._around = around

    def run(self, made: Awaitable[_T]) -> _T:
        """Wait for *made* on the loop; return its result."""
        awaited = made if self._around is None else self._around(made)

        async def wait() -> _T:
            return await awaited

        answer = asyncio.run_coroutine_threadsafe(wait(), self._loop)
        return answer.result(PATIENCE)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Awaited:
    """An async port, called from tests that do not await."""

    def __init__(self, port: object, loop: Loop) -> None:
        self.port = port
        self._loop = loop

    def __getattr__(self, name: str) -> object:
        """Return a field as it is, a method so that it is waited for."""
        found: object = getattr(self.port, name)
        if not callable(found):
            return found

        def waited(*arguments: object) -> object:
            made: object = found(*arguments)
            return self._loop.run(made) if inspect.isawaitable(made) else made

        return waited


class OnALoop(Contract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        """Return the event loop on which the port lives."""
        loop = Loop()
        yield loop
        loop.close()


class _OtherAccount(OnALoop):
    @pytest.fixture
    def async_other_account(
        self,
    ) -> Callable[[], aio.PaymentGateway | aio.TwoStepGateway] | None:
        """Return how to make the gateway for another of its accounts."""
        return None

    @pytest.fixture
    def other_account(
        self,
        async_other_account: (
            Callable[[], aio.PaymentGateway | aio.TwoStepGateway] | None
        ),
        loop: Loop,
    ) -> Callable[[], Gateway] | None:
        """Return `async_other_account` for callers that do not await."""
        if async_other_account is None:
            return None
        other = async_other_account
        return lambda: cast("Gateway", Awaited(other(), loop))


class AsyncPaymentGatewayContract(_OtherAccount, PaymentGatewayContract):
    """The clauses of `aio.PaymentGateway`."""

    @pytest.fixture
    def async_gateway(self) -> aio.PaymentGateway:
        """Return the gateway."""
        raise NotImplementedError

    @pytest.fixture
    def gateway(
        self, async_gateway: aio.PaymentGateway, loop: Loop
    ) -> PaymentGateway:
        """Return the gateway for callers that do not await."""
        return cast("PaymentGateway", Awaited(async_gateway, loop))


class AsyncTwoStepGatewayContract(_OtherAccount, TwoStepGatewayContract):
    """The clauses of `aio.TwoStepGateway`."""

    @pytest.fixture
    def async_gateway(self) -> aio.TwoStepGateway:
        """Return the gateway."""
        raise NotImplementedError

    @pytest.fixture
    def gateway(
        self, async_gateway: aio.TwoStepGateway, loop: Loop
    ) -> TwoStepGateway:
        """Return the gateway for callers that do not await."""
        return cast("TwoStepGateway", Awaited(async_gateway, loop))


class AsyncMatterDataContract(OnALoop, MatterDataContract):
    """The clauses of `aio.MatterData`."""

    @pytest.fixture
    def async_seed(self) -> AsyncSeed:
        """Return how to make invoices and names known to the software."""
        raise NotImplementedError

    @pytest.fixture
    def seed(self, async_seed: AsyncSeed, loop: Loop) -> Seed:
        """Return `async_seed` for callers that do not await."""

        def seeded(
            invoices: Sequence[Invoice], directory: Sequence[SearchResult]
        ) -> MatterData:
            return cast(
                "MatterData", Awaited(async_seed(invoices, directory), loop)
            )

        return seeded


class AsyncNotifierContract(OnALoop, NotifierContract):
    """The clauses of `aio.Notifier`."""

    @pytest.fixture
    def async_notifier(self) -> aio.Notifier:
        """Return the notifier."""
        raise NotImplementedError

    @pytest.fixture
    def notifier(self, async_notifier: aio.Notifier, loop: Loop) -> Notifier:
        """Return the notifier for callers that do not await."""
        return cast("Notifier", Awaited(async_notifier, loop))


class AsyncPostingStoreContract(OnALoop, PostingStoreContract):
    """The clauses of `aio.PostingStore`."""

    @pytest.fixture
    def new_async_store(self) -> NewAsyncStore:
        """Return how to make an empty store; it may have to be awaited."""
        raise NotImplementedError

    @pytest.fixture
    def async_reopen(self) -> AsyncReopen | None:
        """Return how another process opens the store that is given."""
        return None

    @pytest.fixture
    def new_store(
        self, new_async_store: NewAsyncStore, loop: Loop
    ) -> NewStore:
        """Return `new_async_store` for callers that do not await."""

        def made(clock: Clock) -> PostingStore:
            return _waited(new_async_store(clock), loop)

        return made

    @pytest.fixture
    def reopen(
        self, async_reopen: AsyncReopen | None, loop: Loop
    ) -> Reopen | None:
        """Return `async_reopen` for callers that do not await."""
        if async_reopen is None:
            return None
        again = async_reopen

        def opened(store: PostingStore, clock: Clock) -> PostingStore:
            assert isinstance(store, Awaited)
            inner = cast("aio.PostingStore", store.port)
            return _waited(again(inner, clock), loop)

        return opened

    @pytest.fixture
    def async_beside(self) -> AsyncReopen | None:
        """Return how to open a store once more while it stays open."""
        return None

    @pytest.fixture
    def interrupted(
        self,
        new_store: NewStore,
        clock: Clock,
        async_beside: AsyncReopen | None,
        loop: Loop,
    ) -> Interrupted:
        """Return how to cancel a call of `CALLS` and look what stands."""

        def cancelled(name: str) -> None:
            store = new_store(clock)
            assert isinstance(store, Awaited)
            inner = cast("aio.PostingStore", store.port)
            other = (
                None
                if async_beside is None
                else _waited(async_beside(inner, clock), loop)
            )
            by = Suspensions(loop.wrap)
            for _ in check(name, store, other, by, self.interruptions):
                pass

        return cancelled


def _waited(
    made: aio.PostingStore | Awaitable[aio.PostingStore], loop: Loop
) -> PostingStore:
    store = loop.run(made) if inspect.isawaitable(made) else made
    return cast("PostingStore", Awaited(store, loop))
