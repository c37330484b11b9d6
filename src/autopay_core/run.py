"""
The drivers: flows meet ports (R5, R6).

Holds: `Ports`, `AsyncPorts` and the calls of the public face: `preview`,
`run`, `sweep`, `recover` and what staff do, with their async twins. Imports:
`flow`, `upkeep`, `ports` and the values. Nothing here decides anything about
money: a driver only carries requests to ports and answers back.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from datetime import date
from functools import partial
from typing import Final, NoReturn, TypeVar, cast, final

import attrs

from autopay_core._checks import check_date, report_text
from autopay_core.allocation import Allocation
from autopay_core.autopay import AutoPay, occurrence_on
from autopay_core.charges import (
    Captured,
    Declined,
    RunKey,
)
from autopay_core.commits import PostingFilter, StopOrder
from autopay_core.errors import (
    AutopayError,
    HostProtocolError,
    InvalidValueError,
    PortError,
)
from autopay_core.flow import (
    RunResult,
    RunStatus,
    recover_one as _recover_one,
)
from autopay_core.planning import look_ahead as _look_ahead
from autopay_core.ports import (
    AsyncMatterData,
    AsyncNotifier,
    AsyncPaymentGateway,
    AsyncPostingStore,
    AsyncTwoStepGateway,
    MatterData,
    Notifier,
    PaymentGateway,
    PostingStore,
    TwoStepGateway,
)
from autopay_core.postings import (
    Posting,
    PostingStatus,
    PostingView,
    Reversal,
    RunRecord,
)
from autopay_core.requests import (
    Charge,
    Claim,
    Commit,
    Confirm,
    Flow,
    Lookup,
    Prepare,
    ReadAttempts,
    ReadInvoices,
    ReadOpen,
    ReadPostings,
    ReadSpent,
    ReadStanding,
    ReadUndelivered,
    ReadUnfinished,
    Request,
    Send,
    Terms,
    ask_many,
)
from autopay_core.upkeep import (
    advance_postings as _advance_postings,
    attest as _attest,
    deliver as _deliver,
    reverse as _reverse,
    run_one as _run_one,
    stop as _stop,
    sweep_one as _sweep_one,
)

__all__ = [
    "AsyncPorts",
    "Ports",
    "advance_postings",
    "advance_postings_async",
    "attest",
    "attest_async",
    "deliver",
    "deliver_async",
    "drive",
    "drive_async",
    "preview",
    "preview_async",
    "read_postings",
    "read_postings_async",
    "recover",
    "recover_async",
    "reverse",
    "reverse_async",
    "run",
    "run_async",
    "stop",
    "stop_async",
    "sweep",
    "sweep_async",
]

_T = TypeVar("_T")

_PAGE: Final = 500
"""How many records or postings are read at once."""


def _ask(ports: Ports | AsyncPorts, request: Request) -> object:  # noqa: C901, PLR0911, PLR0912 - one line for each request
    """Call the port that *request* is for; an async one gives an awaitable."""
    store = ports.postings
    match request:
        case ReadStanding():
            return store.standing(request.key, request.method)
        case ReadOpen():
            return store.open_amounts(request.clients)
        case ReadInvoices():
            return ports.matters.open_invoices(request.query)
        case Commit():
            return store.commit(request.change)
        case Charge():
            return _one_step(ports).charge(request.request)
        case Prepare():
            return _two_step(ports).prepare(request.request)
        case Confirm():
            return _two_step(ports).confirm(request.reference, request.request)
        case Lookup():
            return ports.gateway.lookup(request.key)
        case Send():
            return ports.notifier.send(request.notice)
        case ReadSpent():
            return store.spent(
                request.autopay,
                request.from_on,
                request.before,
                request.currency,
            )
        case ReadAttempts():
            return store.attempts(request.method, request.since)
        case ReadUnfinished():
            return store.unfinished(request.after, request.most)
        case ReadPostings():
            return store.postings(request.wanted)
        case ReadUndelivered():
            return store.undelivered(request.most)
        case Claim():
            return store.claim(request.key, request.seconds)
    raise HostProtocolError(f"no port answers {type(request).__name__}")


# A flow asks for the form that the capabilities declare, and `Ports` has
# checked that the gateway has it: asking its class again for every charge
# would cost more than the charge does in memory.


def _one_step(
    ports: Ports | AsyncPorts,
) -> PaymentGateway | AsyncPaymentGateway:
    return cast("PaymentGateway | AsyncPaymentGateway", ports.gateway)


def _two_step(
    ports: Ports | AsyncPorts,
) -> TwoStepGateway | AsyncTwoStepGateway:
    return cast("TwoStepGateway | AsyncTwoStepGateway", ports.gateway)


def _check_form(ports: Ports | AsyncPorts) -> None:
    """Refuse a gateway that declares a form which it does not have."""
    two_step = ports.gateway.capabilities.two_step
    needed = ("prepare", "confirm") if two_step else ("charge",)
    for name in (*needed, "lookup"):
        if callable(getattr(ports.gateway, name, None)):
            continue
        raise InvalidValueError(
            "the gateway lacks the methods of the form that it declares",
            code="GatewayForm",
            path="gateway",
            value=ports.gateway,
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class Ports:
    """
    The four ports of a host, and its secret.

    Attributes:
        matters: Reads the firm's matter-management software.
        gateway: Moves money, in one step or two. After a change from one form
            to the other a run in doubt is looked up, never sent again, and
            goes to review; `recover` before the change leaves none.
        postings: Keeps runs, reservations, postings and notices.
        notifier: Tells people.
        key_secret: Goes into every idempotency key, so that it cannot be
            guessed (R2); keep it the same for the life of the store.

    Raises:
        InvalidValueError: The gateway lacks the methods of the form that its
            capabilities declare (``GatewayForm``).

    """

    matters: MatterData
    gateway: PaymentGateway | TwoStepGateway
    postings: PostingStore
    notifier: Notifier
    key_secret: bytes = b""

    def __attrs_post_init__(self) -> None:
        """Check that the gateway has the form that it declares."""
        _check_form(self)

    def answer(self, request: Request, /) -> object:
        """
        Carry *request* to its port and return the answer.

        Any exception of a port that is no `AutopayError` is an integrator's
        bug or a broken connection: a `PortError` that says which port and
        what kind. A flow that asked for money takes it as a doubt (R4).
        """
        try:
            return _ask(self, request)
        except AutopayError as error:
            _refused(request, error)
        except Exception as error:  # noqa: BLE001 - no port may stop a sweep
            _broken(request, error)

    @property
    def terms(self) -> Terms:
        """What flows have to know of these ports."""
        return Terms(
            capabilities=self.gateway.capabilities, secret=self.key_secret
        )

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return (
            f"Ports(matters={self.matters!r}, gateway={self.gateway!r}, "
            f"postings={self.postings!r}, notifier={self.notifier!r})"
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class AsyncPorts:
    """
    `Ports` for hosts on an event loop.

    Attributes:
        matters: As `Ports.matters`, awaitable.
        gateway: As `Ports.gateway`, awaitable.
        postings: As `Ports.postings`, awaitable.
        notifier: As `Ports.notifier`, awaitable.
        key_secret: As `Ports.key_secret`.

    """

    matters: AsyncMatterData
    gateway: AsyncPaymentGateway | AsyncTwoStepGateway
    postings: AsyncPostingStore
    notifier: AsyncNotifier
    key_secret: bytes = b""

    def __attrs_post_init__(self) -> None:
        """Check that the gateway has the form that it declares."""
        _check_form(self)

    async def answer(self, request: Request, /) -> object:
        """Like `Ports.answer`."""
        try:
            return await cast("Awaitable[object]", _ask(self, request))
        except AutopayError as error:
            _refused(request, error)
        except Exception as error:  # noqa: BLE001 - no port may stop a sweep
            _broken(request, error)

    @property
    def terms(self) -> Terms:
        """What flows have to know of these ports."""
        return Terms(
            capabilities=self.gateway.capabilities, secret=self.key_secret
        )

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return (
            f"AsyncPorts(matters={self.matters!r}, gateway={self.gateway!r}, "
            f"postings={self.postings!r}, notifier={self.notifier!r})"
        )


def _refused(request: Request, error: AutopayError) -> NoReturn:
    """Raise what an error of ours means as an answer to *request*."""
    if isinstance(error, PortError) or isinstance(request, ReadInvoices):
        raise error
    # Only the matter data may say that what it read cannot be used (MD-7).
    raise PortError(str(error), code=error.code) from error


def _broken(request: Request, error: Exception) -> NoReturn:
    """Raise what a port's own exception means as an answer to *request*."""
    # Only the type: a message may hold a token, a query or a connection.
    kind = type(error).__name__
    message = f"the port raised {kind} at {type(request).__name__}"
    raise PortError(message, code="PortBroken") from error


# Two separate `try` blocks on purpose: a StopIteration that escapes from a
# port must not look like the end of the flow.


def drive(flow: Flow[_T], ports: Ports, /) -> _T:
    """Drive *flow* with blocking ports to its end; return its result."""
    advance: Callable[[], Request] = partial(next, flow)
    while True:
        try:
            request = advance()
        except StopIteration as stopped:
            result: _T = stopped.value
            return result
        try:
            answer = ports.answer(request)
        except AutopayError as error:
            advance = partial(flow.throw, error)
        else:
            advance = partial(flow.send, answer)


async def drive_async(flow: Flow[_T], ports: AsyncPorts, /) -> _T:
    """Drive *flow* with awaitable ports to its end; return its result."""
    advance: Callable[[], Request] = partial(next, flow)
    while True:
        try:
            request = advance()
        except StopIteration as stopped:
            result: _T = stopped.value
            return result
        try:
            answer = await ports.answer(request)
        except AutopayError as error:
            advance = partial(flow.throw, error)
        else:
            advance = partial(flow.send, answer)


# -- The public face ---------------------------------------------------------


def _previewed(autopay: AutoPay, on: date, terms: Terms) -> Flow[Allocation]:
    check_date(on, "on")
    return _look_ahead(autopay, on, on, terms)


def preview(autopay: AutoPay, *, on: date, ports: Ports) -> Allocation:
    """
    Return what a run would pay on a date, and why; nothing is written.

    Args:
        autopay: The standing order.
        on: Any date; it need not be one of the schedule.
        ports: The host's.

    Raises:
        InvalidValueError: The matter data cannot be used.
        PortError: It cannot be read.

    """
    return drive(_previewed(autopay, on, ports.terms), ports)


async def preview_async(
    autopay: AutoPay, *, on: date, ports: AsyncPorts
) -> Allocation:
    """Like `preview`, for hosts on an event loop."""
    return await drive_async(_previewed(autopay, on, ports.terms), ports)


def run(autopay: AutoPay, *, on: date, ports: Ports) -> RunResult:
    """
    Run *autopay* for the occurrence of a date; again costs nothing (R1, R5).

    What happens to a payment is a result: paid, declined, nothing due, in
    doubt. Only what the caller did wrong is raised. What fell due before and
    is not on record is put on record as missed.

    Args:
        autopay: The standing order.
        on: The occurrence's charge date, or its nominal date once the charge
            date has come.
        ports: The host's.

    Raises:
        StandingOrderError: Nothing is due on that date
            (``OccurrenceNotDue``).
        PortError: The posting store cannot be reached, or what it committed
            is not known; run again.

    """
    occurrence = occurrence_on(autopay, on)
    flow = _run_one(autopay, occurrence, on, ports.terms)
    return drive(flow, ports)


async def run_async(
    autopay: AutoPay, *, on: date, ports: AsyncPorts
) -> RunResult:
    """Like `run`, for hosts on an event loop."""
    occurrence = occurrence_on(autopay, on)
    flow = _run_one(autopay, occurrence, on, ports.terms)
    return await drive_async(flow, ports)


def _swept(
    autopay: object, as_of: date, terms: Terms, claim_seconds: int
) -> Flow[tuple[RunResult, ...]]:
    if not isinstance(autopay, AutoPay):
        raise InvalidValueError(
            "expected an AutoPay",
            code="FieldType",
            path="autopays",
            value=autopay,
        )
    return _sweep_one(autopay, as_of, terms, claim_seconds=claim_seconds)


def _set_back(autopay: object, as_of: date, error: Exception) -> RunResult:
    """Say what kept one auto-pay from its turn; the others go on (R6)."""
    key = None
    if isinstance(autopay, AutoPay):
        key = RunKey(autopay=autopay.id, nominal_on=as_of)
    if isinstance(error, AutopayError):
        return RunResult(
            key=key,
            status=RunStatus.POSTPONED,
            reason=error.code,
            detail=report_text(str(error)),
        )
    return RunResult(
        key=key,
        status=RunStatus.POSTPONED,
        reason="Unexpected",
        detail=f"{type(error).__name__} was raised.",
    )


def sweep(
    autopays: Iterable[AutoPay],
    *,
    as_of: date,
    ports: Ports,
    claim_seconds: int = 0,
) -> Iterator[RunResult]:
    """
    Run all that is due by a date, and give the results as they end (S12, R6).

    First goes on with what was left under way by whomever and offers notices
    that were not accepted before, then takes the auto-pays in turn. The
    auto-pays are read one by one and nothing is kept, so memory does not grow
    with their number. One auto-pay's failure never stops the others.

    Nothing happens until the results are taken: loop over them.

    Args:
        autopays: Any iterable, also one that reads them from a database.
        as_of: The date that the caller calls today, in the firm's zone.
        ports: The host's.
        claim_seconds: With several workers on the same auto-pays: claim each
            run for so long, so that they do not do the same work twice. Safe
            without: then they only waste time.

    """
    check_date(as_of, "as_of")
    terms = ports.terms
    yield from recover(ports=ports)
    for autopay in autopays:
        try:
            results = drive(
                _swept(autopay, as_of, terms, claim_seconds), ports
            )
        except Exception as error:  # noqa: BLE001 - R6
            results = (_set_back(autopay, as_of, error),)
        yield from results


async def sweep_async(
    autopays: Iterable[AutoPay] | AsyncIterable[AutoPay],
    *,
    as_of: date,
    ports: AsyncPorts,
    claim_seconds: int = 0,
) -> AsyncIterator[RunResult]:
    """Like `sweep`, for hosts on an event loop."""
    check_date(as_of, "as_of")
    terms = ports.terms
    async for result in recover_async(ports=ports):
        yield result
    async for autopay in _each(autopays):
        try:
            results = await drive_async(
                _swept(autopay, as_of, terms, claim_seconds), ports
            )
        except Exception as error:  # noqa: BLE001 - R6
            results = (_set_back(autopay, as_of, error),)
        for result in results:
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


def _read_unfinished(after: RunKey | None) -> Flow[tuple[RunRecord, ...]]:
    return ask_many(ReadUnfinished(after, _PAGE), RunRecord)


def recover(*, ports: Ports) -> Iterator[RunResult]:
    """
    Go on with every run that was left under way, and with notices (R4).

    Whoever started them, and however they ended. Runs that were looked at a
    moment ago wait for their time, with growing pauses.

    Raises:
        PortError: The posting store cannot be reached.

    """
    terms = ports.terms
    after: RunKey | None = None
    while True:
        records = drive(_read_unfinished(after), ports)
        for record in records:
            try:
                result = drive(_recover_one(record, terms), ports)
            except Exception as error:  # noqa: BLE001 - R6
                result = _left(record, error)
            yield result
        if len(records) < _PAGE:
            break
        after = records[-1].key
    drive(_deliver(), ports)


async def recover_async(*, ports: AsyncPorts) -> AsyncIterator[RunResult]:
    """Like `recover`, for hosts on an event loop."""
    terms = ports.terms
    after: RunKey | None = None
    while True:
        records = await drive_async(_read_unfinished(after), ports)
        for record in records:
            try:
                result = await drive_async(_recover_one(record, terms), ports)
            except Exception as error:  # noqa: BLE001 - R6
                result = _left(record, error)
            yield result
        if len(records) < _PAGE:
            break
        after = records[-1].key
    await drive_async(_deliver(), ports)


def _left(record: RunRecord, error: Exception) -> RunResult:
    found = _set_back(None, record.charge_on, error)
    return attrs.evolve(found, key=record.key, record=record)


# -- What staff and the ledger do --------------------------------------------


def _all_postings(
    statuses: frozenset[PostingStatus], invoice: str | None
) -> Flow[list[Posting]]:
    found: list[Posting] = []
    wanted = PostingFilter(statuses=statuses, invoice=invoice, most=_PAGE)
    while True:
        page = yield from ask_many(ReadPostings(wanted), Posting)
        found.extend(page)
        if len(page) < _PAGE:
            return found
        wanted = attrs.evolve(wanted, after=found[-1].id)


def read_postings(
    view: PostingView = PostingView.ALL,
    *,
    ports: Ports,
    invoice: str | None = None,
) -> list[Posting]:
    """
    Return the posting records that a view shows, in order of id (P3).

    Args:
        view: One of the staff's views.
        ports: The host's.
        invoice: Only this invoice's.

    """
    return drive(_all_postings(view.statuses, invoice), ports)


async def read_postings_async(
    view: PostingView = PostingView.ALL,
    *,
    ports: AsyncPorts,
    invoice: str | None = None,
) -> list[Posting]:
    """Like `read_postings`, for hosts on an event loop."""
    return await drive_async(_all_postings(view.statuses, invoice), ports)


def advance_postings(
    moved: Sequence[Posting],
    to: PostingStatus,
    *,
    ports: Ports,
    by: str = "",
    note: str | None = None,
) -> tuple[Posting, ...] | None:
    """
    Move posting records one step further in their life, all or none (P3).

    Args:
        moved: As they were read.
        to: Their next status.
        ports: The host's.
        by: Who asked for it.
        note: Why they are incomplete or were removed.

    Returns:
        The postings as they stand now; None if one of them had moved.

    Raises:
        TransitionError: There is no such step.

    """
    return drive(_advance_postings(moved, to, by=by, note=note), ports)


async def advance_postings_async(
    moved: Sequence[Posting],
    to: PostingStatus,
    *,
    ports: AsyncPorts,
    by: str = "",
    note: str | None = None,
) -> tuple[Posting, ...] | None:
    """Like `advance_postings`, for hosts on an event loop."""
    flow = _advance_postings(moved, to, by=by, note=note)
    return await drive_async(flow, ports)


def reverse(
    key: RunKey, reversal: Reversal, *, ports: Ports, by: str = ""
) -> RunResult:
    """
    Record that captured money went back, once for each event (P4).

    Raises:
        InvalidValueError: The run took no money (``OrphanEvent``), more would
            go back than was captured (``ReversalExceeds``), or the event
            came before with another content (``EventConflict``).

    """
    return drive(_reverse(key, reversal, by=by), ports)


async def reverse_async(
    key: RunKey, reversal: Reversal, *, ports: AsyncPorts, by: str = ""
) -> RunResult:
    """Like `reverse`, for hosts on an event loop."""
    return await drive_async(_reverse(key, reversal, by=by), ports)


def stop(order: StopOrder, *, ports: Ports) -> None:
    """
    Put a stop order on record: nothing is sent from here on (R7).

    What was sent before is still followed to its end.
    """
    drive(_stop(order), ports)


async def stop_async(order: StopOrder, *, ports: AsyncPorts) -> None:
    """Like `stop`, for hosts on an event loop."""
    await drive_async(_stop(order), ports)


def attest(
    key: RunKey,
    outcome: Captured | Declined,
    *,
    by: str,
    reason: str,
    evidence: str,
    ports: Ports,
) -> RunResult:
    """
    Resolve a run in review by a person's word (R4).

    Args:
        key: The run.
        outcome: What a person found out, under the attempt's key.
        by: Who says so.
        reason: Why it had to be said.
        evidence: Where it can be checked, such as a statement's number.
        ports: The host's.

    Raises:
        StandingOrderError: The run is not in review (``NotInReview``).
        InvalidValueError: A word is missing, or the outcome is of another
            key or currency, or of more than was asked for.

    """
    flow = _attest(key, outcome, by=by, reason=reason, evidence=evidence)
    return drive(flow, ports)


async def attest_async(
    key: RunKey,
    outcome: Captured | Declined,
    *,
    by: str,
    reason: str,
    evidence: str,
    ports: AsyncPorts,
) -> RunResult:
    """Like `attest`, for hosts on an event loop."""
    flow = _attest(key, outcome, by=by, reason=reason, evidence=evidence)
    return await drive_async(flow, ports)


def deliver(*, ports: Ports) -> int:
    """Offer notices again that were not accepted yet; return how many were."""
    return drive(_deliver(), ports)


async def deliver_async(*, ports: AsyncPorts) -> int:
    """Like `deliver`, for hosts on an event loop."""
    return await drive_async(_deliver(), ports)
