"""
The calls of the public face for hosts on an event loop.

Holds: `Ports` and the protocols of `ports` with awaitable methods, and the
calls of `calls` under the same names. Imports: `ports`, `engine`, `_crews`
(for many turns at once) and the values. The flows are the same; only the loop
that carries their requests awaits the answers. Long, since each call of
`calls` stands here once more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import date, datetime
from typing import Protocol, TypeVar, final, runtime_checkable

import attrs

from autopay_core.allocation import Allocation
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.autopay import AutoPay
from autopay_core.batches import (
    Acknowledged,
    Batch,
    BatchAnswer,
    BatchState,
    LedgerEntry,
    PostingTotal,
)
from autopay_core.charges import (
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    LookupOutcome,
)
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    Decoded,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
    Unreadable,
)
from autopay_core.engine import (
    breaking,
    conflicts,
    desk,
    foreseeing,
    looking,
    reallocating,
    receiving,
    recovery,
    staff,
    sweeping,
    telling,
)
from autopay_core.engine.dispatch import answering_async, terms_of
from autopay_core.engine.driving import drive_async, stream_async
from autopay_core.engine.looking import LISTED
from autopay_core.engine.requests import Flow, NextAutoPay, Request
from autopay_core.holds import Hold
from autopay_core.invoices import SearchPage, SearchQuery
from autopay_core.looks import Look
from autopay_core.money import Money
from autopay_core.monitoring import Health
from autopay_core.movements import Movement, MovementRecord, MovementState
from autopay_core.notices import Notice
from autopay_core.ports import AnyPorts
from autopay_core.postings import Posting, PostingStatus, PostingView, Reversal
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord, RunResult, RunState

__all__ = [
    "CancellingGateway",
    "FindingGateway",
    "MatterData",
    "Notifier",
    "PaymentGateway",
    "Ports",
    "PostingStore",
    "TwoStepGateway",
    "accept_balance",
    "acknowledge",
    "advance_postings",
    "answer_batch",
    "attest",
    "batch_queued",
    "clock_is_right",
    "close_case",
    "deliver",
    "distinct",
    "export_batch",
    "find_conflicts",
    "find_payments",
    "find_postings",
    "health",
    "hold",
    "lift",
    "lift_all",
    "list_batches",
    "list_holds",
    "list_movements",
    "list_runs",
    "look",
    "make_batch",
    "posting_totals",
    "preview",
    "read_postings",
    "reallocate",
    "receive",
    "recover",
    "rerun",
    "restored",
    "reverse",
    "run",
    "run_now",
    "stop",
    "sweep",
    "turn",
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
    async def prepare(self, request: ChargeRequest, /) -> str | Declined:
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


@runtime_checkable
class CancellingGateway(Protocol):
    """`ports.CancellingGateway` for hosts on an event loop."""

    @abstractmethod
    async def cancel(
        self, key: str, reference: str | None, /
    ) -> CancelOutcome:
        """Like `ports.CancellingGateway.cancel`."""
        ...


@runtime_checkable
class FindingGateway(Protocol):
    """`ports.FindingGateway` for hosts on an event loop."""

    @abstractmethod
    async def lookup_reference(
        self, reference: str, key: str, /
    ) -> LookupOutcome:
        """Like `ports.FindingGateway.lookup_reference`."""
        ...


class PostingStore(Protocol):
    """`ports.PostingStore` for hosts on an event loop."""

    @abstractmethod
    async def standing(
        self, key: RunKey, method: str, payer: str = "", /
    ) -> Standing:
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
    ) -> Sequence[RunRecord | Unreadable]:
        """Like `ports.PostingStore.unfinished`."""
        ...

    @abstractmethod
    async def waiting(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Like `ports.PostingStore.waiting`."""
        ...

    @abstractmethod
    async def under_way(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Like `ports.PostingStore.under_way`."""
        ...

    @abstractmethod
    async def referenced(
        self, reference: str, account: str, /
    ) -> Sequence[RunRecord]:
        """Like `ports.PostingStore.referenced`."""
        ...

    @abstractmethod
    async def keyed(self, key: str, /) -> Sequence[RunRecord]:
        """Like `ports.PostingStore.keyed`."""
        ...

    @abstractmethod
    async def sent(
        self, since: datetime, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Like `ports.PostingStore.sent`."""
        ...

    @abstractmethod
    async def movement(self, id: str, /) -> Sequence[MovementRecord]:  # noqa: A002 - the word
        """Like `ports.PostingStore.movement`."""
        ...

    @abstractmethod
    async def movements(
        self, state: MovementState, after: str, most: int, /
    ) -> Sequence[MovementRecord | Unreadable]:
        """Like `ports.PostingStore.movements`."""
        ...

    @abstractmethod
    async def holds(
        self, after: str, most: int, /
    ) -> Sequence[Hold | Unreadable]:
        """Like `ports.PostingStore.holds`."""
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
    async def postings(
        self, wanted: PostingFilter, /
    ) -> Sequence[Posting | Unreadable]:
        """Like `ports.PostingStore.postings`."""
        ...

    @abstractmethod
    async def posting_totals(
        self, wanted: PostingFilter, /
    ) -> Sequence[PostingTotal | Unreadable]:
        """Like `ports.PostingStore.posting_totals`."""
        ...

    @abstractmethod
    async def batch(self, id: str, /) -> Sequence[Batch]:  # noqa: A002 - the word
        """Like `ports.PostingStore.batch`."""
        ...

    @abstractmethod
    async def batches(
        self, wanted: BatchFilter, /
    ) -> Sequence[Batch | Unreadable]:
        """Like `ports.PostingStore.batches`."""
        ...

    @abstractmethod
    async def undelivered(self, most: int, /) -> Sequence[Notice | Unreadable]:
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


async def run_now(
    autopay: AutoPay,
    *,
    as_of: date,
    number: int,
    by: str,
    reason: str,
    ports: Ports,
) -> RunResult:
    """Like `autopay_core.calls.run_now`."""
    flow = sweeping.run_now(
        autopay, as_of, number, terms_of(ports), by=by, reason=reason
    )
    return await _drive(flow, ports)


async def sweep(
    autopays: Iterable[AutoPay] | AsyncIterable[AutoPay],
    *,
    as_of: date,
    ports: Ports,
    claim_seconds: int = 0,
    at_once: int = 1,
) -> AsyncIterator[RunResult]:
    """
    Like `autopay_core.sweep`; the auto-pays may come awaited.

    With *at_once* turns go on in tasks of the running loop. If the caller's
    task is cancelled, so are they.
    """
    answer, items = answering_async(ports), _each(autopays)

    async def answer_or_next(request: Request | NextAutoPay) -> object:
        if isinstance(request, NextAutoPay):
            return await _next(items)
        return await answer(request)

    flow = sweeping.sweep(
        as_of, terms_of(ports), claim_seconds=claim_seconds, at_once=at_once
    )
    if at_once == 1:
        async for result in stream_async(flow, answer_or_next):
            yield result
        return
    # As in `calls`.
    from autopay_core._crews import stream_at_once_async  # noqa: PLC0415

    turns = stream_at_once_async(
        flow, answer_or_next, groups=hasattr(ports.postings, "commit_many")
    )
    async with aclosing(turns):
        async for result in turns:
            yield result


async def turn(
    autopay: AutoPay, *, as_of: date, ports: Ports, claim_seconds: int = 0
) -> tuple[RunResult, ...]:
    """Like `autopay_core.calls.turn`."""
    flow = sweeping.turn(
        autopay, as_of, terms_of(ports), claim_seconds=claim_seconds
    )
    return await _drive(flow, ports)


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
) -> Decoded[Posting]:
    """Like `autopay_core.read_postings`."""
    return await _drive(staff.read_postings(view, invoice), ports)


async def advance_postings(
    moved: Sequence[Posting],
    to: PostingStatus,
    *,
    ports: Ports,
    by: str = "",
    note: str | None = None,
    sure: bool = False,
) -> tuple[Posting, ...] | None:
    """Like `autopay_core.advance_postings`."""
    flow = staff.advance_postings(moved, to, by=by, note=note, sure=sure)
    return await _drive(flow, ports)


async def make_batch(
    id: str,  # noqa: A002 - the word
    postings: Sequence[Posting],
    *,
    by: str,
    reason: str = "",
    ports: Ports,
) -> Batch | Conflict:
    """Like `autopay_core.calls.make_batch`."""
    flow = desk.make_batch(id, postings, by=by, reason=reason)
    return await _drive(flow, ports)


async def batch_queued(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
    reason: str = "",
    ports: Ports,
) -> Batch | None:
    """Like `autopay_core.calls.batch_queued`."""
    return await _drive(desk.batch_queued(id, by=by, reason=reason), ports)


async def reallocate(
    id: str,  # noqa: A002 - the word
    posting: Posting,
    to: Mapping[str, Money],
    *,
    client: str | None = None,
    by: str,
    reason: str,
    ports: Ports,
) -> tuple[Posting, ...] | None:
    """Like `autopay_core.calls.reallocate`."""
    flow = reallocating.reallocate(
        id,
        posting,
        to,
        terms_of(ports),
        client=client,
        by=by,
        reason=reason,
    )
    return await _drive(flow, ports)


async def export_batch(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
    ports: Ports,
) -> Batch:
    """Like `autopay_core.calls.export_batch`."""
    return await _drive(desk.export_batch(id, by=by), ports)


async def answer_batch(given: BatchAnswer, *, by: str, ports: Ports) -> Batch:
    """Like `autopay_core.calls.answer_batch`."""
    return await _drive(desk.answer_batch(given, by=by), ports)


async def acknowledge(
    shown: Sequence[LedgerEntry], *, by: str, ports: Ports
) -> Acknowledged:
    """Like `autopay_core.calls.acknowledge`."""
    return await _drive(desk.acknowledge(shown, by=by), ports)


async def list_batches(
    states: Sequence[BatchState] = (),
    *,
    posting: str | None = None,
    ports: Ports,
) -> Decoded[Batch]:
    """Like `autopay_core.calls.list_batches`."""
    return await _drive(desk.list_batches(states, posting), ports)


async def find_postings(
    wanted: PostingFilter, *, ports: Ports
) -> Decoded[Posting]:
    """Like `autopay_core.calls.find_postings`."""
    return await _drive(desk.find_postings(wanted), ports)


async def find_conflicts(*, by: str, ports: Ports) -> Decoded[Posting]:
    """Like `autopay_core.calls.find_conflicts`."""
    return await _drive(
        conflicts.find_conflicts(terms_of(ports), by=by), ports
    )


async def find_payments(
    *,
    payer: str | None = None,
    on: date | None = None,
    amount: Money | None = None,
    ports: Ports,
) -> Decoded[RunRecord]:
    """Like `autopay_core.calls.find_payments`."""
    return await _drive(desk.find_payments(payer, on, amount), ports)


async def posting_totals(
    wanted: PostingFilter | None = None, *, ports: Ports
) -> Decoded[PostingTotal]:
    """Like `autopay_core.calls.posting_totals`."""
    flow = desk.posting_totals(wanted or PostingFilter())
    return await _drive(flow, ports)


async def receive(
    movement: Movement, *, ports: Ports, by: str = ""
) -> MovementRecord:
    """Like `autopay_core.receive`."""
    return await _drive(
        receiving.receive(movement, terms_of(ports), by=by), ports
    )


async def list_movements(
    state: MovementState, *, ports: Ports
) -> Decoded[MovementRecord]:
    """Like `autopay_core.calls.list_movements`."""
    return await _drive(receiving.list_movements(state), ports)


async def close_case(
    movement: str, *, by: str, reason: str, ports: Ports
) -> MovementRecord:
    """Like `autopay_core.calls.close_case`."""
    return await _drive(
        receiving.close_case(movement, by=by, reason=reason), ports
    )


async def reverse(
    key: RunKey, reversal: Reversal, *, ports: Ports, by: str = ""
) -> RunResult:
    """Like `autopay_core.reverse`."""
    return await _drive(
        staff.reverse(key, reversal, terms_of(ports), by=by), ports
    )


async def hold(made: Hold, *, ports: Ports) -> Hold:
    """Like `autopay_core.calls.hold`."""
    return await _drive(staff.hold(made), ports)


async def lift(
    held: Hold, *, by: str, reason: str, second: str = "", ports: Ports
) -> Hold:
    """Like `autopay_core.calls.lift`."""
    flow = staff.lift(
        held, terms_of(ports), by=by, reason=reason, second=second
    )
    return await _drive(flow, ports)


async def lift_all(
    *,
    rule: str,
    since: datetime,
    by: str,
    reason: str,
    second: str = "",
    ports: Ports,
) -> list[Hold]:
    """Like `autopay_core.calls.lift_all`."""
    flow = staff.lift_all(
        rule, since, terms_of(ports), by=by, reason=reason, second=second
    )
    return await _drive(flow, ports)


async def health(*, ports: Ports) -> Health:
    """Like `autopay_core.calls.health`."""
    return await _drive(looking.look_at(ports.policy), ports)


async def look(autopay: AutoPay, *, on: date, ports: Ports) -> Look:
    """Like `autopay_core.calls.look`."""
    return await _drive(foreseeing.look(autopay, on, terms_of(ports)), ports)


async def list_runs(
    states: Collection[RunState] = LISTED, *, ports: Ports
) -> list[RunRecord | Unreadable]:
    """Like `autopay_core.calls.list_runs`."""
    return await _drive(looking.list_runs(states), ports)


async def list_holds(*, ports: Ports) -> Decoded[Hold]:
    """Like `autopay_core.calls.list_holds`."""
    return await _drive(breaking.list_holds(), ports)


async def rerun(
    key: RunKey, *, by: str, reason: str, ports: Ports
) -> RunResult:
    """Like `autopay_core.calls.rerun`."""
    return await _drive(staff.rerun(key, by=by, reason=reason), ports)


async def accept_balance(
    client: str,
    invoice: str,
    figure: Money,
    *,
    by: str,
    reason: str,
    ports: Ports,
) -> None:
    """Like `autopay_core.calls.accept_balance`."""
    flow = staff.accept_balance(client, invoice, figure, by=by, reason=reason)
    await _drive(flow, ports)


async def distinct(
    first: str, second: str, *, by: str, reason: str, ports: Ports
) -> None:
    """Like `autopay_core.calls.distinct`."""
    await _drive(staff.distinct(first, second, by=by, reason=reason), ports)


async def restored(
    *, since: datetime, stores: Sequence[str] = (), by: str, ports: Ports
) -> None:
    """Like `autopay_core.calls.restored`."""
    await _drive(staff.restored(since, stores, by=by), ports)


async def clock_is_right(*, by: str, reason: str, ports: Ports) -> None:
    """Like `autopay_core.calls.clock_is_right`."""
    await _drive(staff.clock_is_right(by=by, reason=reason), ports)


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
    second: str = "",
    ports: Ports,
) -> RunResult:
    """Like `autopay_core.attest`."""
    flow = staff.attest(
        key,
        outcome,
        terms_of(ports),
        by=by,
        reason=reason,
        evidence=evidence,
        second=second,
    )
    return await _drive(flow, ports)


async def deliver(*, ports: Ports) -> int:
    """Like `autopay_core.calls.deliver`."""
    return await _drive(telling.deliver(), ports)
