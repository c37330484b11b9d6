"""
The calls of the public face for hosts on an event loop.

Holds: `Ports` and the protocols of `ports` with awaitable methods, and the
calls of `calls` under the same names. Imports: `ports`, `engine` and the
values. The flows are the same; only the loop that carries their requests
awaits the answers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Sequence,
)
from datetime import date, datetime
from typing import Protocol, TypeVar, final, runtime_checkable

import attrs

from autopay_core.allocation import Allocation
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.autopay import AutoPay
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    LookupOutcome,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
)
from autopay_core.engine import recovery, staff, sweeping, telling
from autopay_core.engine.dispatch import answering_async, terms_of
from autopay_core.engine.driving import drive_async, stream_async
from autopay_core.engine.requests import Flow, NextAutoPay, Request
from autopay_core.invoices import SearchPage, SearchQuery
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.ports import AnyPorts
from autopay_core.postings import Posting, PostingStatus, PostingView, Reversal
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord, RunResult

__all__ = [
    "MatterData",
    "Notifier",
    "PaymentGateway",
    "Ports",
    "PostingStore",
    "TwoStepGateway",
    "advance_postings",
    "attest",
    "deliver",
    "preview",
    "read_postings",
    "recover",
    "reverse",
    "run",
    "stop",
    "sweep",
]

_T = TypeVar("_T")


class MatterData(Protocol):
    """`ports.MatterData` for hosts on an event loop."""

    @abstractmethod
    async def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Like `ports.MatterData.open_invoices`."""
        ...

    @abstractmethod
    async def search(self, query: SearchQuery, /) -> SearchPage:
        """Like `ports.MatterData.search`."""
        ...


@runtime_checkable
class PaymentGateway(Protocol):
    """`ports.PaymentGateway` for hosts on an event loop."""

    @property
    @abstractmethod
    def capabilities(self) -> GatewayCapabilities:
        """Like `ports.PaymentGateway.capabilities`."""
        ...

    @abstractmethod
    async def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Like `ports.PaymentGateway.charge`."""
        ...

    @abstractmethod
    async def lookup(self, key: str, /) -> LookupOutcome:
        """Like `ports.PaymentGateway.lookup`."""
        ...


@runtime_checkable
class TwoStepGateway(Protocol):
    """`ports.TwoStepGateway` for hosts on an event loop."""

    @property
    @abstractmethod
    def capabilities(self) -> GatewayCapabilities:
        """Like `ports.TwoStepGateway.capabilities`."""
        ...

    @abstractmethod
    async def prepare(self, request: ChargeRequest, /) -> str:
        """Like `ports.TwoStepGateway.prepare`."""
        ...

    @abstractmethod
    async def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Like `ports.TwoStepGateway.confirm`."""
        ...

    @abstractmethod
    async def lookup(self, key: str, /) -> LookupOutcome:
        """Like `ports.TwoStepGateway.lookup`."""
        ...


class PostingStore(Protocol):
    """`ports.PostingStore` for hosts on an event loop."""

    @abstractmethod
    async def standing(self, key: RunKey, method: str, /) -> Standing:
        """Like `ports.PostingStore.standing`."""
        ...

    @abstractmethod
    async def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Like `ports.PostingStore.open_amounts`."""
        ...

    @abstractmethod
    async def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Like `ports.PostingStore.spent`."""
        ...

    @abstractmethod
    async def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Like `ports.PostingStore.attempts`."""
        ...

    @abstractmethod
    async def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Like `ports.PostingStore.unfinished`."""
        ...

    @abstractmethod
    async def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Like `ports.PostingStore.claim`."""
        ...

    @abstractmethod
    async def commit(self, change: Change, /) -> Committed | Conflict:
        """Like `ports.PostingStore.commit`."""
        ...

    @abstractmethod
    async def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Like `ports.PostingStore.postings`."""
        ...

    @abstractmethod
    async def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Like `ports.PostingStore.undelivered`."""
        ...


class Notifier(Protocol):
    """`ports.Notifier` for hosts on an event loop."""

    @abstractmethod
    async def send(self, notice: Notice, /) -> None:
        """Like `ports.Notifier.send`."""
        ...


@final
@attrs.frozen(kw_only=True, repr=False)
class Ports(
    AnyPorts[
        MatterData, PaymentGateway | TwoStepGateway, PostingStore, Notifier
    ]
):
    """
    `autopay_core.Ports` for hosts on an event loop.

    Attributes:
        matters: Awaitable.
        gateway: Awaitable.
        postings: Awaitable.
        notifier: Awaitable.
        key_secret: As `autopay_core.Ports`.

    """


async def _drive(flow: Flow[_T], ports: Ports) -> _T:
    return await drive_async(flow, answering_async(ports))


async def preview(autopay: AutoPay, *, on: date, ports: Ports) -> Allocation:
    """Like `autopay_core.preview`."""
    flow = sweeping.preview(autopay, on, terms_of(ports))
    return await _drive(flow, ports)


async def run(autopay: AutoPay, *, on: date, ports: Ports) -> RunResult:
    """Like `autopay_core.run`."""
    return await _drive(sweeping.run(autopay, on, terms_of(ports)), ports)


async def sweep(
    autopays: Iterable[AutoPay] | AsyncIterable[AutoPay],
    *,
    as_of: date,
    ports: Ports,
    claim_seconds: int = 0,
) -> AsyncIterator[RunResult]:
    """Like `autopay_core.sweep`; the auto-pays may come awaited."""
    answer, items = answering_async(ports), _each(autopays)

    async def answer_or_next(request: Request | NextAutoPay) -> object:
        if isinstance(request, NextAutoPay):
            return await _next(items)
        return await answer(request)

    flow = sweeping.sweep(as_of, terms_of(ports), claim_seconds=claim_seconds)
    async for result in stream_async(flow, answer_or_next):
        yield result


async def _each(
    items: Iterable[_T] | AsyncIterable[_T],
) -> AsyncIterator[_T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _next(items: AsyncIterator[_T]) -> list[_T]:
    async for item in items:
        return [item]
    return []


async def recover(*, ports: Ports) -> AsyncIterator[RunResult]:
    """Like `autopay_core.recover`."""
    flow = recovery.recover(terms_of(ports))
    async for result in stream_async(flow, answering_async(ports)):
        yield result


async def read_postings(
    view: PostingView = PostingView.ALL,
    *,
    ports: Ports,
    invoice: str | None = None,
) -> list[Posting]:
    """Like `autopay_core.read_postings`."""
    return await _drive(staff.read_postings(view, invoice), ports)


async def advance_postings(
    moved: Sequence[Posting],
    to: PostingStatus,
    *,
    ports: Ports,
    by: str = "",
    note: str | None = None,
) -> tuple[Posting, ...] | None:
    """Like `autopay_core.advance_postings`."""
    flow = staff.advance_postings(moved, to, by=by, note=note)
    return await _drive(flow, ports)


async def reverse(
    key: RunKey, reversal: Reversal, *, ports: Ports, by: str = ""
) -> RunResult:
    """Like `autopay_core.reverse`."""
    return await _drive(staff.reverse(key, reversal, by=by), ports)


async def stop(order: StopOrder, *, ports: Ports) -> None:
    """Like `autopay_core.stop`."""
    await _drive(staff.stop(order), ports)


async def attest(
    key: RunKey,
    outcome: Captured | Declined,
    *,
    by: str,
    reason: str,
    evidence: str,
    ports: Ports,
) -> RunResult:
    """Like `autopay_core.attest`."""
    flow = staff.attest(key, outcome, by=by, reason=reason, evidence=evidence)
    return await _drive(flow, ports)


async def deliver(*, ports: Ports) -> int:
    """Like `autopay_core.calls.deliver`."""
    return await _drive(telling.deliver(), ports)
