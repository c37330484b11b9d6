"""
All four ports in memory, for notebooks, tests and the simulator.

Holds: `MemoryMatterData`, `MemoryGateway`, `MemoryTwoStepGateway`,
`MemoryPostingStore`, `MemoryNotifier` and `memory_ports`. Imports: the core.
They keep every clause of their ports, and break a promise only on demand:
the gateway can decline, delay, lose an answer, forget a key and answer late.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Final, cast, final

import attrs
from typing_extensions import override

from autopay_core.associations import (
    InvoicePage,
    InvoiceQuery,
    visible,
)
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
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
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.invoices import (
    Invoice,
    SearchBy,
    SearchPage,
    SearchQuery,
    SearchResult,
)
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.ports import Ports
from autopay_core.postings import Posting
from autopay_core.references import MethodKind, RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
    reservations,
)

__all__ = [
    "Clock",
    "Fault",
    "MemoryGateway",
    "MemoryMatterData",
    "MemoryNotifier",
    "MemoryPostingStore",
    "MemoryTwoStepGateway",
    "memory_ports",
]

Clock = Callable[[], datetime]
"""Tells the time, with a zone."""

CLOCK_BEHIND: Final = timedelta(minutes=5)
"""A clock that is further behind its own past is suspect."""

_UNDER_WAY: Final = RESERVING_STATES


def system_clock() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)


# -- Matter data -------------------------------------------------------------


@final
class MemoryMatterData:
    """
    Matter data in a dictionary that the test or the notebook edits.

    Args:
        invoices: What is there at first.
        directory: What a search finds besides the invoices' own numbers.
        page_size: Rows on a page.

    """

    def __init__(
        self,
        invoices: Iterable[Invoice] = (),
        *,
        directory: Iterable[SearchResult] = (),
        page_size: int = 1_000,
    ) -> None:
        self._invoices: dict[str, Invoice] = {}
        self._clients: dict[str, dict[str, Invoice]] = {}
        self._directory = list(directory)
        self._page_size = page_size
        for invoice in invoices:
            self.put(invoice)

    def put(self, invoice: Invoice, /) -> None:
        """Add an invoice, or replace the one with its number."""
        self.remove(invoice.number)
        self._invoices[invoice.number] = invoice
        self._clients.setdefault(invoice.client, {})[invoice.number] = invoice

    def remove(self, number: str, /) -> None:
        """Take an invoice away, as if it were paid or void."""
        before = self._invoices.pop(number, None)
        if before is not None:
            del self._clients[before.client][number]

    def get(self, number: str, /) -> Invoice | None:
        """Return an invoice by its number."""
        return self._invoices.get(number)

    def all(self) -> tuple[Invoice, ...]:
        """Return every invoice, in the order of their coming."""
        return tuple(self._invoices.values())

    def apply(self, posting: Posting, /) -> None:
        """Let the balance show a posting, as the firm's ledger would."""
        before = self._invoices[posting.invoice]
        self.put(attrs.evolve(before, balance=before.balance - posting.amount))

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Return a page of the covered invoices (MD-1 to MD-5)."""
        clients = dict.fromkeys(each.client for each in query.associations)
        found = visible(
            [
                invoice
                for client in clients
                for invoice in self._clients.get(client, {}).values()
                if not invoice.balance.is_zero
            ],
            query.associations,
        )
        start = int(query.page or "0")
        stop = start + self._page_size
        return InvoicePage(
            invoices=found[start:stop],
            next_page=str(stop) if stop < len(found) else None,
            total=len(found),
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        """Return a page of what matches (MD-6)."""
        # The directory comes first: it knows names.
        known = {
            (each.client, each.matter, each.invoice): each
            for each in reversed(self._directory)
        }
        for each in self._invoices.values():
            for matter, invoice in (
                (None, None),
                (each.matter, None),
                (each.matter, each.number),
            ):
                known.setdefault(
                    (each.client, matter, invoice),
                    SearchResult(
                        client=each.client, matter=matter, invoice=invoice
                    ),
                )
        found = [each for each in known.values() if _matches(each, query)]
        start = int(query.page or "0")
        stop = start + self._page_size
        return SearchPage(
            results=tuple(found[start:stop]),
            next_page=str(stop) if stop < len(found) else None,
        )


def _matches(found: SearchResult, query: SearchQuery) -> bool:
    text = query.text.casefold()
    if query.by is SearchBy.CLIENT_NAME:
        return found.matter is None and text in found.client_name.casefold()
    if query.by is SearchBy.CLIENT_NUMBER:
        return found.matter is None and found.client == query.text
    if query.by is SearchBy.MATTER_NUMBER:
        return found.invoice is None and found.matter == query.text
    if query.by is SearchBy.MATTER_DESCRIPTION:
        return (
            found.matter is not None
            and found.invoice is None
            and text in found.matter_description.casefold()
        )
    return found.invoice == query.text


# -- Payment gateway ---------------------------------------------------------


class Fault(Enum):
    """
    What a gateway in memory does on demand, once for each time it is asked.

    `UNAVAILABLE`: raises `PortUnavailableError`; nothing happened.
    `LOSE_REQUEST`: in doubt; the request never arrives.
    `LOSE_ANSWER`: in doubt; the money was taken.
    `ANSWER_LATE`: in doubt; the request arrives at `flush`.
    `RAISE`: takes the money, then raises an error of its own.
    `PEND`: a bank debit, until `settle` or `fail`.
    `WRONG_AMOUNT`, `WRONG_KEY`: breaks PG-7.
    `ANSWER_NONE`: returns None, as a careless adapter would.
    """

    UNAVAILABLE = "unavailable"
    LOSE_REQUEST = "lose_request"
    LOSE_ANSWER = "lose_answer"
    ANSWER_LATE = "answer_late"
    RAISE = "raise"
    PEND = "pend"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_KEY = "wrong_key"
    ANSWER_NONE = "answer_none"


@attrs.define(kw_only=True)
class _Executed:
    """What the gateway has on record under a key."""

    request: ChargeRequest
    outcome: Captured | Pending | Declined
    is_visible: bool = True
    is_kept: bool = True


class _Machine:
    """What both forms of the gateway share: execution, records, faults."""

    def __init__(
        self,
        *,
        clock: Clock,
        capabilities: GatewayCapabilities,
        bank_debits_pend: bool,
    ) -> None:
        self.capabilities = capabilities
        self._clock = clock
        self._bank_debits_pend = bank_debits_pend
        self._lock = threading.RLock()
        self._faults: deque[Fault] = deque()
        self._declines: dict[str, tuple[str, DeclineClass, str]] = {}
        self._executed: dict[str, _Executed] = {}
        self._late: list[tuple[str, ChargeRequest]] = []
        self._count = 0
        self.captured: list[Captured] = []
        self.hides_new_requests = False

    def script(self, *faults: Fault) -> None:
        """Do these things at the next requests, one for each."""
        self._faults.extend(faults)

    def decline(
        self,
        token: str,
        code: str = "51",
        decline_class: DeclineClass = DeclineClass.LATER,
        message: str = "The card was declined.",
    ) -> None:
        """Decline everything that *token* is charged, from now on."""
        self._declines[token] = (code, decline_class, message)

    def accept(self, token: str) -> None:
        """Stop declining *token*."""
        self._declines.pop(token, None)

    def forget(self, key: str) -> None:
        """Forget a key, as after its retention: PG-1 ends there."""
        if key in self._executed:
            self._executed[key].is_kept = False

    def reveal(self) -> None:
        """Let look-ups show what was hidden by `hides_new_requests`."""
        for each in self._executed.values():
            each.is_visible = True

    def flush(self) -> int:
        """Let late requests arrive; return how many took money."""
        late, self._late = self._late, []
        before = len(self.captured)
        for key, request in late:
            try:
                self._execute(key, request)
            except PortUnavailableError:
                continue
        return len(self.captured) - before

    def settle(self, key: str) -> None:
        """Let a pending bank debit succeed."""
        self._resolve(key, None)

    def fail(
        self,
        key: str,
        code: str = "R01",
        decline_class: DeclineClass = DeclineClass.LATER,
    ) -> None:
        """Let a pending bank debit fail."""
        self._resolve(key, (code, decline_class, "The debit was returned."))

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (PG-5, PG-7)."""
        with self._lock:
            known = self._executed.get(key)
            if known is None or not known.is_visible or not known.is_kept:
                return NotFound()
            return known.outcome

    def _resolve(
        self, key: str, decline: tuple[str, DeclineClass, str] | None
    ) -> None:
        with self._lock:
            known = self._executed[key]
            if not isinstance(known.outcome, Pending):
                raise InvalidValueError(
                    "the debit is not pending", code="NotPending", path="key"
                )
            if decline is None:
                known.outcome = self._capture(known.request)
            else:
                known.outcome = _declined(known.request, decline)

    def _capture(self, request: ChargeRequest) -> Captured:
        self._count += 1
        captured = Captured(
            key=request.key,
            amount=request.amount,
            reference=f"pay-{self._count:06d}",
        )
        self.captured.append(captured)
        return captured

    def _execute(self, key: str, request: ChargeRequest) -> _Executed:
        """Take the money, unless the key is known or the time is over."""
        with self._lock:
            known = self._executed.get(key)
            if known is not None and known.is_kept:
                if known.request.request_hash != request.request_hash:
                    raise PortError("another request", code="KeyReuse")
                return known
            if (
                self.capabilities.honours_deadline
                and request.not_after is not None
                and self._clock() > request.not_after
            ):
                raise PortUnavailableError(
                    "the deadline has passed", code="DeadlinePassed"
                )
            decline = self._declines.get(request.method.token)
            outcome: Captured | Pending | Declined
            if decline is not None:
                outcome = _declined(request, decline)
            elif self._pends(request):
                self._count += 1
                outcome = Pending(
                    key=request.key,
                    amount=request.amount,
                    reference=f"debit-{self._count:06d}",
                )
            else:
                outcome = self._capture(request)
            done = _Executed(
                request=request,
                outcome=outcome,
                is_visible=not self.hides_new_requests,
            )
            self._executed[key] = done
            return done

    def _pends(self, request: ChargeRequest) -> bool:
        return (
            self._bank_debits_pend
            and request.method.kind is MethodKind.BANK_ACCOUNT
        )

    def _answer(self, key: str, request: ChargeRequest) -> ChargeOutcome:
        """Execute a request with the next fault on the script, if any."""
        with self._lock:
            fault = self._faults.popleft() if self._faults else None
            if fault is None:
                return self._execute(key, request).outcome
            if fault is Fault.UNAVAILABLE:
                raise PortUnavailableError("the gateway cannot be reached")
            if fault is Fault.LOSE_REQUEST:
                return Indeterminate(detail="the connection broke")
            if fault is Fault.ANSWER_LATE:
                self._late.append((key, request))
                return Indeterminate(detail="no answer in time")
            if fault is Fault.PEND:
                was, self._bank_debits_pend = self._bank_debits_pend, True
                try:
                    pend = attrs.evolve(
                        request,
                        method=attrs.evolve(
                            request.method, kind=MethodKind.BANK_ACCOUNT
                        ),
                    )
                    return self._execute(key, pend).outcome
                finally:
                    self._bank_debits_pend = was
            outcome = self._execute(key, request).outcome
            return _spoiled(fault, outcome)


def _spoiled(
    fault: Fault, outcome: Captured | Pending | Declined
) -> ChargeOutcome:
    """Break what comes after the money moved."""
    if fault is Fault.RAISE:
        raise RuntimeError("the adapter broke after the money moved")
    if fault is Fault.ANSWER_NONE:
        return cast("ChargeOutcome", None)
    if fault is Fault.WRONG_KEY:
        return attrs.evolve(outcome, key="ap1SOMETHINGELSE")
    if fault is Fault.WRONG_AMOUNT and not isinstance(outcome, Declined):
        more = attrs.evolve(
            outcome.amount, amount_minor=outcome.amount.amount_minor + 1
        )
        return attrs.evolve(outcome, amount=more)
    return Indeterminate(detail="the answer was lost")


def _declined(
    request: ChargeRequest, decline: tuple[str, DeclineClass, str]
) -> Declined:
    code, decline_class, message = decline
    return Declined(
        key=request.key,
        code=code,
        decline_class=decline_class,
        message=message,
    )


_ONE_STEP: Final = GatewayCapabilities(
    key_retention_seconds=24 * 3600,
    lookup_settle_seconds=0,
    honours_deadline=True,
)
_TWO_STEP: Final = attrs.evolve(_ONE_STEP, two_step=True)


@final
class MemoryGateway(_Machine):
    """
    A one-step gateway that keeps its promises, or breaks them on demand.

    Args:
        clock: Its time, for deadlines.
        capabilities: What it declares.
        bank_debits_pend: Whether a bank account is debited in days, as in
            life, or at once.

    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        capabilities: GatewayCapabilities = _ONE_STEP,
        bank_debits_pend: bool = False,
    ) -> None:
        super().__init__(
            clock=clock,
            capabilities=capabilities,
            bank_debits_pend=bank_debits_pend,
        )

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Take the money, at most once per key (PG-1 to PG-8)."""
        return self._answer(request.key, request)


@final
class MemoryTwoStepGateway(_Machine):
    """
    A two-step gateway that keeps its promises, or breaks them on demand.

    Args:
        clock: Its time, for deadlines.
        capabilities: What it declares.
        bank_debits_pend: Whether a bank account is debited in days.

    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        capabilities: GatewayCapabilities = _TWO_STEP,
        bank_debits_pend: bool = False,
    ) -> None:
        super().__init__(
            clock=clock,
            capabilities=capabilities,
            bank_debits_pend=bank_debits_pend,
        )
        self._prepared: dict[str, ChargeRequest] = {}
        self._done: dict[str, ChargeOutcome] = {}

    def prepare(self, request: ChargeRequest, /) -> str:
        """Make a reference; no money moves (TS-1)."""
        with self._lock:
            reference = f"ref-{len(self._prepared) + 1:06d}"
            self._prepared[reference] = request
            return reference

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for *reference*, at most once (TS-2, TS-3)."""
        with self._lock:
            prepared = self._prepared[reference]
            if prepared.request_hash != request.request_hash:
                raise PortError("another request", code="KeyReuse")
            return self._answer(reference, request)

    @override
    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (TS-5)."""
        with self._lock:
            for each in self._executed.values():
                if each.request.key == key and each.is_visible:
                    return each.outcome
            return NotFound()


# -- Posting store -----------------------------------------------------------


@final
class MemoryPostingStore:
    """
    A posting store in dictionaries; gone with the process.

    Args:
        clock: Its time; `standing` never lets it go back (PS-12).

    """

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._latest_now = clock()
        self._runs: dict[RunKey, RunRecord] = {}
        self._autopays: dict[str, dict[RunKey, RunRecord]] = {}
        self._under_way: dict[RunKey, RunRecord] = {}
        self._attempts: dict[str, dict[tuple[RunKey, int], AttemptRecord]] = {}
        self._postings: dict[str, Posting] = {}
        self._notices: dict[str, Notice] = {}
        self._undelivered: dict[str, None] = {}
        self._stops: dict[str, StopOrder] = {}
        self._claims: dict[RunKey, datetime] = {}
        # What is open, by client and invoice and by invoice; and how often
        # a client's changed.
        self._open: dict[str, dict[str, Money]] = {}
        self._open_by_invoice: dict[str, Money] = {}
        self._versions: dict[str, int] = {}

    def now(self) -> datetime:
        """Return the store's time; it never goes back (PS-12)."""
        with self._lock:
            self._latest_now = max(self._latest_now, self._clock())
            return self._latest_now

    def standing(self, key: RunKey, method: str, /) -> Standing:
        """Read what is known about a run, its auto-pay and its method."""
        with self._lock:
            runs = self._autopays.get(key.autopay, {})
            past = [
                each
                for each in runs.values()
                if each.state is not RunState.ANNOUNCED
            ]
            now = self.now()
            return Standing(
                now=now,
                is_clock_suspect=self._clock() + CLOCK_BEHIND < now,
                run=self._runs.get(key),
                unfinished=tuple(
                    sorted(
                        (
                            each
                            for each in runs.values()
                            if not each.state.is_finished
                        ),
                        key=lambda each: each.key,
                    )
                ),
                latest=max(past, key=lambda each: each.key, default=None),
                is_stopped=self._is_stopped(
                    (StopOrder.autopay(key.autopay), StopOrder.method(method))
                ),
            )

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read versions and open amounts of the clients' invoices."""
        with self._lock:
            amounts: dict[str, Money] = {}
            for client in clients:
                for number in self._open.get(client, {}):
                    amounts[number] = self._open_by_invoice[number]
            return OpenAmounts(
                versions={
                    client: self._versions.get(client, 0) for client in clients
                },
                amounts=amounts,
            )

    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Add up what the auto-pay took or is taking (L7)."""
        with self._lock:
            return Money.total(
                (
                    taken
                    for each in self._autopays.get(autopay, {}).values()
                    if (taken := each.taken) is not None
                    and (
                        each.state in RESERVING_STATES
                        or each.state is RunState.PAID
                    )
                    and from_on <= each.charge_on < before
                    and taken.currency == currency
                ),
                currency,
            )

    def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Read the attempts that charged a method (N3)."""
        with self._lock:
            return tuple(
                each
                for each in self._attempts.get(method, {}).values()
                if each.at >= since
            )

    def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Read runs under way whose time has come, by key."""
        with self._lock:
            now = self.now()
            ripe = [
                each
                for key, each in self._under_way.items()
                if (after is None or key > after)
                and (each.next_try_at is None or each.next_try_at <= now)
            ]
            return tuple(sorted(ripe, key=lambda each: each.key)[:most])

    def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Reserve a run's work for a while (PS-14)."""
        with self._lock:
            now = self.now()
            until = self._claims.get(key)
            if until is not None and now < until:
                return False
            self._claims[key] = now + timedelta(seconds=seconds)
            return True

    def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Read postings in order of id."""
        with self._lock:
            found = sorted(
                (
                    each
                    for each in self._postings.values()
                    if (not wanted.statuses or each.status in wanted.statuses)
                    and wanted.invoice in (None, each.invoice)
                    and wanted.run in (None, str(each.run))
                    and (wanted.after is None or each.id > wanted.after)
                ),
                key=lambda each: each.id,
            )
            return tuple(found[: wanted.most])

    def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Read the oldest notices that are not marked as delivered."""
        with self._lock:
            keys = list(self._undelivered)[:most]
            return tuple(self._notices[key] for key in keys)

    def runs(self) -> tuple[RunRecord, ...]:
        """Return every run on record, by key."""
        with self._lock:
            return tuple(
                sorted(self._runs.values(), key=lambda each: each.key)
            )

    def notices(self) -> tuple[Notice, ...]:
        """Return every notice on record, oldest first."""
        with self._lock:
            return tuple(self._notices.values())

    def commit(self, change: Change, /) -> Committed | Conflict:
        """Write *change* whole, or nothing of it (PS-1 to PS-11)."""
        with self._lock:
            conflict = self._conflict(change)
            if conflict is not None:
                return conflict
            self._check_currencies(change)
            touched: set[str] = set()
            for record in change.runs:
                self._put_run(record, touched)
            for posting in change.postings:
                if posting.id not in self._postings:
                    self._put_posting(None, posting, touched)
            for move in change.moves:
                self._put_posting(move.before, move.after, touched)
            for client in touched:
                self._versions[client] = self._versions.get(client, 0) + 1
            for order in change.stops:
                self._stops[order.target] = order
            new = [
                each
                for each in change.notices
                if each.key not in self._notices
            ]
            for notice in new:
                self._notices[notice.key] = notice
                self._undelivered[notice.key] = None
            for key in change.delivered:
                self._undelivered.pop(key, None)
            return Committed(new_notices=frozenset(each.key for each in new))

    # -- Refusing -------------------------------------------------------------

    def _is_stopped(self, targets: Iterable[str]) -> bool:
        return any(
            self._stops[each].active for each in targets if each in self._stops
        )

    def _conflict(self, change: Change) -> Conflict | None:
        """Tell why *change* cannot stand; None if it can."""
        conflict = self._run_conflict(change)
        if conflict is not None:
            return conflict
        if self._is_stopped(change.unless_stopped):
            return Conflict(reason="stopped")
        if self._is_open_changed(change):
            return Conflict(reason="open", open_amounts=self._open_of(change))
        for move in change.moves:
            posting = self._postings.get(move.before.id)
            if posting is None or posting.status is not move.before.status:
                return Conflict(reason="posting")
        for new in change.postings:
            known = self._postings.get(new.id)
            if known is not None and known != new:
                raise PostingConflictError(
                    f"another posting stands under {new.id}"
                )
        return None

    def _run_conflict(self, change: Change) -> Conflict | None:
        """Compare the versions of runs, and count doubts (PS-2, PS-6)."""
        for record in change.runs:
            stands = self._runs.get(record.key)
            if record.version != (1 if stands is None else stands.version + 1):
                return Conflict(reason="version")
            others = self._autopays.get(record.key.autopay, {})
            if change.only_doubtful and any(
                other.state.is_doubtful and key != record.key
                for key, other in others.items()
            ):
                return Conflict(reason="doubt")
        return None

    def _is_open_changed(self, change: Change) -> bool:
        """Compare versions and open amounts (PS-4, PS-5)."""
        return any(
            self._versions.get(client, 0) != version
            for client, version in (change.expect_versions or {}).items()
        ) or self._open_of(change) != {
            number: amount
            for number, amount in (change.expect_open or {}).items()
            if not amount.is_zero
        }

    def _open_of(self, change: Change) -> dict[str, Money]:
        """Return what is open on the invoices of `expect_open` (PS-5)."""
        found = {
            number: self._open_by_invoice[number]
            for number in change.expect_open or {}
            if number in self._open_by_invoice
        }
        for record in change.runs:
            own = reservations(self._runs.get(record.key))
            for number, amount in own.items():
                if number in found:
                    found[number] -= amount
        return {
            number: amount
            for number, amount in found.items()
            if not amount.is_zero
        }

    def _check_currencies(self, change: Change) -> None:
        """
        Refuse an invoice that would be open in two currencies (M3).

        Before anything is written: later it would leave half a step (PS-1).
        """
        added = [
            *((each.invoice, each.amount) for each in change.postings),
            *(
                pair
                for record in change.runs
                for pair in reservations(record).items()
            ),
        ]
        seen: dict[str, Money] = {}
        for number, amount in added:
            first = seen.setdefault(number, amount)
            other = self._open_by_invoice.get(number, first)
            if {first.currency, other.currency} != {amount.currency}:
                raise CurrencyMismatchError(other.currency, amount.currency)

    # -- Writing --------------------------------------------------------------

    def _put_run(self, record: RunRecord, touched: set[str]) -> None:
        before = self._runs.get(record.key)
        for old, sign in ((before, -1), (record, 1)):
            held = reservations(old)
            if old is None or old.intent is None or not held:
                continue
            for line in old.intent.allocation.lines:
                if line.amount.is_positive:
                    self._shift(
                        line.invoice.client,
                        line.invoice.number,
                        line.amount if sign > 0 else -line.amount,
                    )
                    touched.add(line.invoice.client)
        self._runs[record.key] = record
        self._autopays.setdefault(record.key.autopay, {})[record.key] = record
        if record.state in _UNDER_WAY:
            self._under_way[record.key] = record
        else:
            self._under_way.pop(record.key, None)
        for attempt in record.attempts:
            self._attempts.setdefault(attempt.method, {})[
                record.key, attempt.number
            ] = AttemptRecord(at=attempt.began_at, amount=attempt.amount)

    def _put_posting(
        self, before: Posting | None, after: Posting, touched: set[str]
    ) -> None:
        if before is not None and before.is_open:
            self._shift(before.client, before.invoice, -before.amount)
        if after.is_open:
            self._shift(after.client, after.invoice, after.amount)
        touched.add(after.client)
        self._postings[after.id] = after

    def _shift(self, client: str, number: str, amount: Money) -> None:
        for book in (
            self._open.setdefault(client, {}),
            self._open_by_invoice,
        ):
            known = book.get(number)
            total = amount if known is None else known + amount
            if total.is_zero:
                del book[number]
            else:
                book[number] = total


# -- Notifier ----------------------------------------------------------------


@final
class MemoryNotifier:
    """
    Keeps what people would have been told, once for each key.

    Attributes:
        is_down: While True, nothing is accepted.

    """

    def __init__(self) -> None:
        self._sent: dict[str, Notice] = {}
        self.is_down = False

    def send(self, notice: Notice, /) -> None:
        """Accept *notice* (NT-1 to NT-3)."""
        if self.is_down:
            raise PortUnavailableError("the notifier is down")
        self._sent.setdefault(notice.key, notice)

    @property
    def sent(self) -> tuple[Notice, ...]:
        """What was accepted, oldest first."""
        return tuple(self._sent.values())


def memory_ports(
    invoices: Iterable[Invoice] = (),
    *,
    clock: Clock = system_clock,
    directory: Iterable[SearchResult] = (),
    key_secret: bytes = b"",
) -> Ports:
    """
    Return four ports in memory, ready for a notebook.

    Args:
        invoices: What the matter-management software knows at first.
        clock: The time of gateway and store.
        directory: What a search finds besides.
        key_secret: As `Ports.key_secret`.

    """
    return Ports(
        matters=MemoryMatterData(invoices, directory=directory),
        gateway=MemoryGateway(clock=clock),
        postings=MemoryPostingStore(clock=clock),
        notifier=MemoryNotifier(),
        key_secret=key_secret,
    )
