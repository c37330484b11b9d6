"""
Blocking ports for hosts on an event loop, each call in a thread.

Holds: `in_threads` and the awaitable twins that it makes. Imports: the core
and the standard library. For ports that have no awaitable form of their own,
such as SQLite or a software development kit that blocks. A call that is
cancelled goes on in its thread to its end: what it did is found on record,
and the next sweep goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import date, datetime
from functools import partial
from typing import TypeVar, final

from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.charges import (
    ChargeOutcome,
    ChargeRequest,
    GatewayCapabilities,
    LookupOutcome,
    RunKey,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    PostingFilter,
    Standing,
)
from autopay_core.invoices import SearchPage, SearchQuery
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.ports import (
    MatterData,
    Notifier,
    PaymentGateway,
    PostingStore,
    TwoStepGateway,
)
from autopay_core.postings import Posting, RunRecord
from autopay_core.retries import AttemptRecord
from autopay_core.run import AsyncPorts, Ports

__all__ = [
    "ThreadedGateway",
    "ThreadedMatterData",
    "ThreadedNotifier",
    "ThreadedPostingStore",
    "ThreadedTwoStepGateway",
    "in_threads",
]

_T = TypeVar("_T")


class _Threaded:
    """Runs calls in an executor, or in the loop's own."""

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor

    async def _call(self, call: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, call)


@final
class ThreadedMatterData(_Threaded):
    """`AsyncMatterData` over blocking matter data."""

    def __init__(
        self, port: MatterData, executor: Executor | None = None
    ) -> None:
        super().__init__(executor)
        self._port = port

    async def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Like `MatterData.open_invoices`."""
        return await self._call(partial(self._port.open_invoices, query))

    async def search(self, query: SearchQuery, /) -> SearchPage:
        """Like `MatterData.search`."""
        return await self._call(partial(self._port.search, query))


@final
class ThreadedGateway(_Threaded):
    """`AsyncPaymentGateway` over a blocking gateway."""

    def __init__(
        self, port: PaymentGateway, executor: Executor | None = None
    ) -> None:
        super().__init__(executor)
        self._port = port

    @property
    def capabilities(self) -> GatewayCapabilities:
        """Like `PaymentGateway.capabilities`."""
        return self._port.capabilities

    async def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Like `PaymentGateway.charge`."""
        return await self._call(partial(self._port.charge, request))

    async def lookup(self, key: str, /) -> LookupOutcome:
        """Like `PaymentGateway.lookup`."""
        return await self._call(partial(self._port.lookup, key))


@final
class ThreadedTwoStepGateway(_Threaded):
    """`AsyncTwoStepGateway` over a blocking gateway."""

    def __init__(
        self, port: TwoStepGateway, executor: Executor | None = None
    ) -> None:
        super().__init__(executor)
        self._port = port

    @property
    def capabilities(self) -> GatewayCapabilities:
        """Like `TwoStepGateway.capabilities`."""
        return self._port.capabilities

    async def prepare(self, request: ChargeRequest, /) -> str:
        """Like `TwoStepGateway.prepare`."""
        return await self._call(partial(self._port.prepare, request))

    async def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Like `TwoStepGateway.confirm`."""
        return await self._call(
            partial(self._port.confirm, reference, request)
        )

    async def lookup(self, key: str, /) -> LookupOutcome:
        """Like `TwoStepGateway.lookup`."""
        return await self._call(partial(self._port.lookup, key))


@final
class ThreadedPostingStore(_Threaded):
    """`AsyncPostingStore` over a blocking store, such as SQLite."""

    def __init__(
        self, port: PostingStore, executor: Executor | None = None
    ) -> None:
        super().__init__(executor)
        self._port = port

    async def standing(self, key: RunKey, method: str, /) -> Standing:
        """Like `PostingStore.standing`."""
        return await self._call(partial(self._port.standing, key, method))

    async def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Like `PostingStore.open_amounts`."""
        return await self._call(partial(self._port.open_amounts, clients))

    async def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Like `PostingStore.spent`."""
        return await self._call(
            partial(self._port.spent, autopay, from_on, before, currency)
        )

    async def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Like `PostingStore.attempts`."""
        return await self._call(partial(self._port.attempts, method, since))

    async def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Like `PostingStore.unfinished`."""
        return await self._call(partial(self._port.unfinished, after, most))

    async def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Like `PostingStore.claim`."""
        return await self._call(partial(self._port.claim, key, seconds))

    async def commit(self, change: Change, /) -> Committed | Conflict:
        """Like `PostingStore.commit`."""
        return await self._call(partial(self._port.commit, change))

    async def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Like `PostingStore.postings`."""
        return await self._call(partial(self._port.postings, wanted))

    async def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Like `PostingStore.undelivered`."""
        return await self._call(partial(self._port.undelivered, most))


@final
class ThreadedNotifier(_Threaded):
    """`AsyncNotifier` over a blocking notifier."""

    def __init__(
        self, port: Notifier, executor: Executor | None = None
    ) -> None:
        super().__init__(executor)
        self._port = port

    async def send(self, notice: Notice, /) -> None:
        """Like `Notifier.send`."""
        await self._call(partial(self._port.send, notice))


def in_threads(
    ports: Ports, /, *, executor: Executor | None = None
) -> AsyncPorts:
    """
    Make blocking ports awaitable, each call in a thread.

    Args:
        ports: The host's; they must bear calls from several threads.
        executor: Where to run the calls; the event loop's own threads if not
            given.

    """
    gateway = ports.gateway
    return AsyncPorts(
        matters=ThreadedMatterData(ports.matters, executor),
        gateway=ThreadedTwoStepGateway(gateway, executor)
        if isinstance(gateway, TwoStepGateway)
        and gateway.capabilities.two_step
        else ThreadedGateway(_one_step(gateway), executor),
        postings=ThreadedPostingStore(ports.postings, executor),
        notifier=ThreadedNotifier(ports.notifier, executor),
        key_secret=ports.key_secret,
    )


def _one_step(gateway: PaymentGateway | TwoStepGateway) -> PaymentGateway:
    assert isinstance(gateway, PaymentGateway)
    return gateway
