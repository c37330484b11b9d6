"""
What is written down about money: intents, runs, postings (R1 to R4, P1 to P4).

Holds: `Intent`, `Attempt`, `RunRecord` and its states, `Posting` and its life
cycle, the two transition tables, the staff's views, and the pure functions
that make postings from a captured charge and from its reversal. Imports: the
value modules and `allocation`. Nothing here is ever edited: each step makes a
new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NewType, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    check_date,
    check_each,
    check_id,
    check_instant,
    check_text,
    check_type,
)
from autopay_core._hashes import sha256
from autopay_core.allocation import Allocation
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    IdempotencyKey,
    Pending,
    RunKey,
)
from autopay_core.errors import (
    AmountError,
    CurrencyMismatchError,
    InvalidValueError,
    TransitionError,
)
from autopay_core.money import Money
from autopay_core.references import (
    ClientId,
    DepositAccount,
    InvoiceNumber,
    MatterId,
    PayerId,
)
from autopay_core.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "OPEN_STATUSES",
    "POSTING_MOVES",
    "RESERVING_STATES",
    "RUN_MOVES",
    "Attempt",
    "Intent",
    "Posting",
    "PostingId",
    "PostingStatus",
    "PostingView",
    "Reversal",
    "ReversalKind",
    "RunRecord",
    "RunState",
    "in_view",
    "move_posting",
    "open_amounts",
    "posting_id",
    "postings_of",
    "reservations",
    "reversal_postings",
]

PostingId = NewType("PostingId", str)
"""Identifies a posting record; derived, so writing twice writes once."""


class RunState(Choice):
    """
    Where a run stands; what may follow is in `RUN_MOVES`.

    `ANNOUNCED`: amount and date were announced, nothing is reserved (N4).
    `OPEN`: the intent is written and money may have moved (R1, R4).
    `PENDING`: the gateway says that a bank debit is under way.
    `REVIEW`: parked for a person; still looked up, never final (R4, R8).
    `WAITING`: nothing is under way; another attempt comes later (N3).
    `PAID`: captured, and every cent has its posting record.
    `FAILED`: definitively not charged; "Error - Failed AutoPay" (N1).
    `NOTHING_DUE`, `CANCELLED`, `MISSED`: definitively not charged.
    """

    ANNOUNCED = "announced"
    OPEN = "open"
    PENDING = "pending"
    REVIEW = "review"
    WAITING = "waiting"
    PAID = "paid"
    FAILED = "failed"
    NOTHING_DUE = "nothing_due"
    CANCELLED = "cancelled"
    MISSED = "missed"

    @property
    def is_finished(self) -> bool:
        """Whether running again does nothing (R5)."""
        return self in _FINISHED

    @property
    def is_doubtful(self) -> bool:
        """Whether money may have moved without our knowing (R4)."""
        return self in (RunState.OPEN, RunState.REVIEW)


_FINISHED: Final = frozenset(
    {
        RunState.PAID,
        RunState.FAILED,
        RunState.NOTHING_DUE,
        RunState.CANCELLED,
        RunState.MISSED,
    }
)

RESERVING_STATES: Final = frozenset(
    {RunState.OPEN, RunState.PENDING, RunState.REVIEW}
)
"""States in which a run's allocation is held back from every other run."""

_OUTCOMES: Final = frozenset(
    {
        RunState.PENDING,
        RunState.REVIEW,
        RunState.WAITING,
        RunState.PAID,
        RunState.FAILED,
        RunState.CANCELLED,
    }
)

RUN_MOVES: Final[Mapping[RunState | None, frozenset[RunState]]] = (
    MappingProxyType(
        {
            None: frozenset(RunState)
            - {RunState.PENDING, RunState.REVIEW, RunState.PAID},
            RunState.ANNOUNCED: frozenset(
                {
                    RunState.OPEN,
                    RunState.WAITING,
                    RunState.FAILED,
                    RunState.NOTHING_DUE,
                    RunState.CANCELLED,
                    RunState.MISSED,
                }
            ),
            # OPEN to OPEN: another try under the same key, or its reference.
            RunState.OPEN: _OUTCOMES | {RunState.OPEN},
            RunState.PENDING: _OUTCOMES - {RunState.CANCELLED},
            RunState.REVIEW: _OUTCOMES,
            RunState.WAITING: frozenset(
                {
                    RunState.WAITING,
                    RunState.OPEN,
                    RunState.FAILED,
                    RunState.NOTHING_DUE,
                    RunState.CANCELLED,
                }
            ),
            # PAID to PAID: a return, refund or chargeback was recorded (P4).
            RunState.PAID: frozenset({RunState.PAID}),
            RunState.FAILED: frozenset(),
            RunState.NOTHING_DUE: frozenset(),
            RunState.CANCELLED: frozenset(),
            RunState.MISSED: frozenset(),
        }
    )
)
"""Every step of a run that exists, by its state before (None: no record)."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Intent(Readable):
    """
    The allocation and charge request, written before money moves (R1, R3).

    Attributes:
        allocation: Which invoice gets how much, and why.
        request: What the gateway is asked; its amount is the allocation's
            total.
        ar_message: Goes with every posting to the firm's ledger.
        name: The auto-pay's name, for notices.
        retry: The auto-pay's policy on declines (N3). With the name it makes
            recovery independent of the auto-pay, which may be gone by then.
        plans: Numbers of the invoices that are paid by a plan only (S7).

    Raises:
        InvalidValueError: The amounts differ.

    """

    allocation: Allocation
    request: ChargeRequest
    ar_message: str = ""
    name: str = ""
    retry: RetryPolicy | None = None
    plans: tuple[InvoiceNumber | str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_text(self.ar_message, "ar_message")
        check_text(self.name, "name")
        if self.request.amount != self.allocation.total:
            raise InvalidValueError(
                "the charge must equal the allocation's total",
                code="IntentAmount",
                path="request.amount",
                value=str(self.request.amount),
            )


@final
@attrs.frozen(kw_only=True, repr=False)
class Attempt(Readable):
    """
    One logical try to take the money, under one key.

    Attributes:
        number: 1 for the first.
        key: Its idempotency key.
        amount: What is asked for.
        method: Fingerprint of the payment method.
        began_at: Store time when the intent was planned; the key's age
            counts from here.
        deadline: After this store time no try of this attempt can take
            money, if the gateway honours deadlines.
        two_step: Whether the gateway had two steps when it began; no gateway
            of the other form is ever sent the same attempt again.
        tries: How often a request may have been sent.
        reference: What a two-step gateway prepared; None for one step.
        outcome: Captured, pending or declined; None while in doubt, and for
            an attempt that was given up as never sent.
        request_hash: Of the whole request under the key (R2).

    """

    number: int
    key: IdempotencyKey | str
    amount: Money
    method: str
    began_at: datetime
    deadline: datetime
    request_hash: str
    two_step: bool = False
    tries: int = 1
    reference: str | None = None
    outcome: Captured | Pending | Declined | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_type(self.number, int, "number")
        check_id(self.key, "key")
        check_type(self.amount, Money, "amount")
        check_id(self.method, "method")
        check_instant(self.began_at, "began_at")
        check_instant(self.deadline, "deadline")
        check_type(self.two_step, bool, "two_step")
        check_type(self.tries, int, "tries")


class ReversalKind(Choice):
    """Why captured money went back (P4)."""

    RETURN = "return"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


@final
@attrs.frozen(kw_only=True, repr=False)
class Reversal(Readable):
    """
    Captured money that went back, as the gateway reported it (P4).

    Attributes:
        event: The gateway's id of the event; applied once.
        kind: Return, refund or chargeback.
        amount: What went back; more than nothing.
        on: The firm-local date of the event.

    """

    event: str
    kind: ReversalKind
    amount: Money
    on: date

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_id(self.event, "event")
        check_type(self.kind, ReversalKind, "kind")
        check_type(self.amount, Money, "amount")
        if not self.amount.is_positive:
            raise AmountError(
                "a reversal is more than nothing",
                code="PostingSign",
                path="amount",
                value=self.amount.amount_minor,
            )
        check_date(self.on, "on")


@final
@attrs.frozen(kw_only=True, repr=False)
class RunRecord(Readable):
    """
    All that is known about one run, at one version.

    Attributes:
        key: Auto-pay and nominal date.
        payer: Who pays.
        version: 1 when first written, and one more at each step; the store
            refuses a step from any other version.
        state: Where the run stands.
        charge_on: The date on which it was, or would have been, charged.
        attempts: Every attempt in order; the last is the current one.
        intent: What the last attempt charges.
        plan: The allocation of a run that charges nothing.
        reason: Code of what happened, such as ``"Declined"``; stable.
        detail: The same for a person.
        next_try_at: Not looked at again by a sweep before this store time.
        reversals: What went back of a paid run, in the order of arrival.
        announced: Amounts by invoice that were announced (N4).

    """

    key: RunKey
    payer: PayerId | str
    version: int
    state: RunState
    charge_on: date
    attempts: tuple[Attempt, ...] = ()
    intent: Intent | None = None
    plan: Allocation | None = None
    reason: str = ""
    detail: str = ""
    next_try_at: datetime | None = None
    reversals: tuple[Reversal, ...] = ()
    announced: Mapping[str, Money] | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields that later steps rely on."""
        check_type(self.version, int, "version")
        check_date(self.charge_on, "charge_on")
        check_each(self.attempts, Attempt, "attempts")
        if self.state in RESERVING_STATES or self.state is RunState.PAID:
            if self.intent is None or not self.attempts:
                raise InvalidValueError(
                    f"a run that is {self.state.value} has an intent",
                    code="FieldMissing",
                    path="intent",
                )
            if self.attempts[-1].request_hash != (
                self.intent.request.request_hash
            ):
                raise InvalidValueError(
                    "another request stands under the attempt's key",
                    code="KeyReuse",
                    path="intent.request",
                )

    @property
    def allocation(self) -> Allocation | None:
        """The lines with their reasons, charged or not."""
        return self.plan if self.intent is None else self.intent.allocation

    @property
    def attempt(self) -> Attempt | None:
        """The current, or last, attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def captured(self) -> Captured | None:
        """The capture of a paid run."""
        outcome = self.attempts[-1].outcome if self.attempts else None
        return outcome if isinstance(outcome, Captured) else None

    @property
    def taken(self) -> Money | None:
        """
        What the last attempt took, or may take: captured, or else asked for.

        Counts against limits per month and lifetime while the run reserves
        or is paid (L7).
        """
        if not self.attempts:
            return None
        last, captured = self.attempts[-1], self.captured
        return last.amount if captured is None else captured.amount


def check_move(
    before: RunState | None, after: RunState, key: RunKey, /
) -> None:
    """
    Refuse a step of a run that does not exist in `RUN_MOVES`.

    Raises:
        TransitionError: Code ``RunTransition``.

    """
    if after not in RUN_MOVES[before]:
        was = "no record" if before is None else before.value
        raise TransitionError(
            f"{key}: no run goes from {was} to {after.value}",
            code="RunTransition",
            path="state",
            value=after.value,
        )


def reservations(record: RunRecord | None, /) -> Mapping[str, Money]:
    """
    Return what *record* holds back from other runs, by invoice (R1).

    Its allocation while money is, or may be, under way; nothing otherwise.
    """
    if (
        record is None
        or record.state not in RESERVING_STATES
        or record.intent is None
    ):
        return {}
    return record.intent.allocation.amounts


class PostingStatus(Choice):
    """
    Where a posting record stands on its way into the firm's ledger (P2).

    `PENDING`: waits. `INCOMPLETE`: a data conflict that someone must mend.
    `QUEUED`: selected for posting. `POSTED`: sent. `APPLIED`: the ledger
    shows it. `REMOVED`: handled by hand.
    """

    PENDING = "pending"
    INCOMPLETE = "incomplete"
    QUEUED = "queued"
    POSTED = "posted"
    APPLIED = "applied"
    REMOVED = "removed"


OPEN_STATUSES: Final = frozenset(
    {
        PostingStatus.PENDING,
        PostingStatus.INCOMPLETE,
        PostingStatus.QUEUED,
        PostingStatus.POSTED,
    }
)
"""Statuses that count as open: the balance does not show them yet (P2)."""

POSTING_MOVES: Final[Mapping[PostingStatus, frozenset[PostingStatus]]] = (
    MappingProxyType(
        {
            PostingStatus.PENDING: frozenset(
                {
                    PostingStatus.INCOMPLETE,
                    PostingStatus.QUEUED,
                    PostingStatus.REMOVED,
                }
            ),
            PostingStatus.INCOMPLETE: frozenset(
                {PostingStatus.PENDING, PostingStatus.REMOVED}
            ),
            PostingStatus.QUEUED: frozenset(
                {
                    PostingStatus.PENDING,
                    PostingStatus.INCOMPLETE,
                    PostingStatus.POSTED,
                    # A firm whose ledger acknowledges nothing.
                    PostingStatus.APPLIED,
                    PostingStatus.REMOVED,
                }
            ),
            # The ledger took it, or refused it after all.
            PostingStatus.POSTED: frozenset(
                {
                    PostingStatus.APPLIED,
                    PostingStatus.INCOMPLETE,
                    PostingStatus.REMOVED,
                }
            ),
            PostingStatus.APPLIED: frozenset(),
            PostingStatus.REMOVED: frozenset(),
        }
    )
)
"""Every step of a posting that exists; anything else is refused (P3)."""


class PostingView(Choice):
    """The staff's views in Manage Postings, each a set of statuses (P3)."""

    PENDING_INCOMPLETE = "pending/incomplete"
    PENDING = "pending"
    INCOMPLETE = "incomplete"
    QUEUED = "queued"
    POSTED = "posted"
    REMOVED = "removed"
    ALL = "all"

    @property
    def statuses(self) -> frozenset[PostingStatus]:
        """What this view shows; posted includes applied."""
        return _VIEWS[self]


_VIEWS: Final[Mapping[PostingView, frozenset[PostingStatus]]] = {
    PostingView.PENDING_INCOMPLETE: frozenset(
        {PostingStatus.PENDING, PostingStatus.INCOMPLETE}
    ),
    PostingView.PENDING: frozenset({PostingStatus.PENDING}),
    PostingView.INCOMPLETE: frozenset({PostingStatus.INCOMPLETE}),
    PostingView.QUEUED: frozenset({PostingStatus.QUEUED}),
    PostingView.POSTED: frozenset(
        {PostingStatus.POSTED, PostingStatus.APPLIED}
    ),
    PostingView.REMOVED: frozenset({PostingStatus.REMOVED}),
    PostingView.ALL: frozenset(PostingStatus),
}


@final
@attrs.frozen(kw_only=True, repr=False)
class Posting(Readable):
    """
    One invoice's share of a captured payment, on its way to the ledger (P1).

    Attributes:
        id: Derived from run, attempt and invoice.
        run: The run that paid.
        payer: Who paid.
        client: The invoice's client.
        matter: The invoice's matter.
        invoice: The invoice's number.
        amount: What was paid; negative for a reversal (P4).
        status: Where it stands.
        charged_on: The date of the charge, or of the reversal.
        payment_reference: The gateway's reference of the payment.
        deposit_account: Where the money went.
        ar_message: The auto-pay's text for the firm's ledger.
        reverses: Id of the posting that this one reverses, or None.
        note: Why it is incomplete or was removed.

    """

    id: PostingId | str
    run: RunKey
    payer: PayerId | str
    client: ClientId | str
    matter: MatterId | str
    invoice: InvoiceNumber | str
    amount: Money
    charged_on: date
    payment_reference: str
    deposit_account: DepositAccount
    ar_message: str = ""
    status: PostingStatus = PostingStatus.PENDING
    reverses: PostingId | str | None = None
    note: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_id(self.id, "id")
        check_id(self.payer, "payer")
        check_id(self.client, "client")
        check_id(self.matter, "matter")
        check_id(self.invoice, "invoice")
        check_type(self.amount, Money, "amount")
        check_date(self.charged_on, "charged_on")
        check_text(self.note, "note")
        if self.amount.is_zero or self.amount.is_negative == (
            self.reverses is None
        ):
            raise AmountError(
                "a posting is more than nothing, a reversal less",
                code="PostingSign",
                path="amount",
                value=self.amount.amount_minor,
            )

    @property
    def is_open(self) -> bool:
        """
        Whether this lowers what may be paid on the invoice (P2, L1).

        A reversal never does: until the ledger shows it the amount stays
        blocked, for adding it back could pay the invoice twice when the
        ledger shows a step before we hear of it.
        """
        return self.status in OPEN_STATUSES and self.reverses is None


def move_posting(
    posting: Posting, to: PostingStatus, /, *, note: str | None = None
) -> Posting:
    """
    Return *posting* one step further in its life (P3).

    Raises:
        TransitionError: There is no such step (``PostingTransition``).

    """
    if to not in POSTING_MOVES[posting.status]:
        raise TransitionError(
            f"no posting goes from {posting.status.value} to {to.value}",
            code="PostingTransition",
            path="status",
            value=to.value,
        )
    return attrs.evolve(
        posting, status=to, note=posting.note if note is None else note
    )


def in_view(
    postings: Iterable[Posting], view: PostingView, /
) -> tuple[Posting, ...]:
    """Keep the postings that *view* shows, in their order (P3)."""
    shown = view.statuses
    return tuple(each for each in postings if each.status in shown)


def open_amounts(
    postings: Iterable[Posting], held: Iterable[Mapping[str, Money]], /
) -> dict[str, Money]:
    """
    Add up what each invoice's balance does not show yet (L1).

    Args:
        postings: Any; those that are not open do not count.
        held: Reservations of runs under way, from `reservations`.

    """
    total: dict[str, Money] = {}
    for posting in postings:
        if posting.is_open:
            before = total.get(posting.invoice)
            total[posting.invoice] = (
                posting.amount if before is None else before + posting.amount
            )
    for reserved in held:
        for number, amount in reserved.items():
            before = total.get(number)
            total[number] = amount if before is None else before + amount
    return total


def posting_id(key: RunKey, attempt: int, number: str, /) -> PostingId:
    """
    Derive the id of an invoice's posting, so that it is written once (P1).

    A hash, so that the id is short whatever the invoice's number is.
    """
    return _posting_id(_start_of_id(key, attempt), number)


def _start_of_id(key: RunKey, attempt: int) -> str:
    """Return what the ids of an attempt's postings are all made of."""
    parts = (key.autopay, key.nominal_on.isoformat(), str(attempt))
    return "".join(f"{len(part)}:{part}," for part in parts)


def _posting_id(start: str, number: str) -> PostingId:
    whole = f"{start}{len(number)}:{number},"
    return PostingId(f"p-{sha256(whole)[:32]}")


def postings_of(record: RunRecord, /) -> tuple[Posting, ...]:
    """
    Make the posting records of a paid run: one for each invoice paid (P1).

    Their sum is what was captured. If a person attested less than was
    allocated, it goes to the oldest invoices, as far as it reaches.

    Raises:
        InvalidValueError: The run is not paid, or more was captured than was
            allocated.

    """
    captured = record.captured
    if captured is None or record.intent is None:
        raise InvalidValueError(
            "only a captured run has postings",
            code="NotCaptured",
            path="attempts",
        )
    intent, attempt = record.intent, record.attempts[-1]
    start = _start_of_id(record.key, attempt.number)
    currency, left = captured.amount.currency, captured.amount.amount_minor
    postings: list[Posting] = []
    for line in intent.allocation.lines:
        share = line.amount
        if share.amount_minor > left:
            share = Money(amount_minor=left, currency=share.currency)
        if share.is_zero or share.currency != currency:
            continue
        left -= share.amount_minor
        postings.append(
            Posting(
                id=_posting_id(start, line.invoice.number),
                run=record.key,
                payer=record.payer,
                client=line.invoice.client,
                matter=line.invoice.matter,
                invoice=line.invoice.number,
                amount=share,
                charged_on=record.charge_on,
                payment_reference=captured.reference,
                deposit_account=intent.request.deposit_account,
                ar_message=intent.ar_message,
            )
        )
    if left:
        raise InvalidValueError(
            "more was captured than was allocated",
            code="GatewayMismatch",
            path="captured.amount",
            value=str(captured.amount),
        )
    return tuple(postings)


def reversal_postings(
    record: RunRecord, reversal: Reversal, /
) -> tuple[Posting, ...]:
    """
    Make the postings of money that went back, newest invoice first (P4).

    The mirror of the order of payment: the invoice paid last is reopened
    first. What earlier reversals of *record* took back is skipped.

    Raises:
        InvalidValueError: More would go back than was captured
            (``ReversalExceeds``), or the run was never paid.
        CurrencyMismatchError: The reversal is in another currency.

    """
    paid = postings_of(record)
    currency = paid[0].amount.currency
    if reversal.amount.currency != currency:
        raise CurrencyMismatchError(currency, reversal.amount.currency)
    gone = sum(each.amount.amount_minor for each in record.reversals)
    left = reversal.amount.amount_minor
    made: list[Posting] = []
    for posting in reversed(paid):
        before = min(gone, posting.amount.amount_minor)
        gone -= before
        share = min(left, posting.amount.amount_minor - before)
        if not share:
            continue
        left -= share
        made.append(
            attrs.evolve(
                posting,
                id=posting_id(
                    record.key,
                    record.attempts[-1].number,
                    f"{posting.id}:{reversal.event}",
                ),
                amount=Money(amount_minor=-share, currency=currency),
                charged_on=reversal.on,
                reverses=posting.id,
                note=reversal.kind.value,
            )
        )
    if left:
        raise InvalidValueError(
            "more would go back than was captured",
            code="ReversalExceeds",
            path="amount",
            value=str(reversal.amount),
        )
    return tuple(made)
