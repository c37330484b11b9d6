"""
One life cycle: what is written down about a run (R1 to R5, P1).

Holds: `Intent`, `Attempt`, `RunRecord`, `RunState` with its transition table,
`RunResult`, and the postings that a record makes. Imports: the values. Nothing
here is ever edited: each step makes a new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_id_if_any,
    an_instant,
    kept_if_any,
    optional,
    tuple_of,
)
from autopay_core._shown import Shown
from autopay_core.allocation import Allocation
from autopay_core.business_days import BusinessCalendar
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeRequest,
    Declined,
    IdempotencyKey,
    Moving,
    NeedsPayer,
    Pending,
)
from autopay_core.decisions import Decision, Recomputed, again
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    posting_id_from,
    start_of_id,
)
from autopay_core.references import AutoPayId, InvoiceNumber, PayerId, RunKey
from autopay_core.retries import RetryPolicy

__all__ = [
    "DOUBT_MOST",
    "RESERVING_STATES",
    "RUN_MOVES",
    "Attempt",
    "Intent",
    "RunRecord",
    "RunResult",
    "RunState",
    "RunStatus",
    "check_move",
    "is_same_account",
    "postings_of",
    "recompute",
    "reservations",
    "result_of",
]


DOUBT_MOST: Final = timedelta(hours=18)
"""A doubt that old is in review, in either form of gateway (R4)."""


class RunState(Choice):
    """Where a run stands; what may follow is in `RUN_MOVES`."""

    ANNOUNCED = "announced"
    """Amount and date were announced, nothing is reserved (N4)."""
    OPEN = "open"
    """The intent is written and money may have moved (R1, R4)."""
    PENDING = "pending"
    """The gateway says that a bank debit is under way."""
    REVIEW = "review"
    """Parked for a person; still looked up, never final (R4, R8)."""
    WAITING = "waiting"
    """Nothing is under way; another attempt comes later (N3)."""
    PAID = "paid"
    """Captured, and every cent has its posting record."""
    FAILED = "failed"
    """Definitively not charged: "Error-Failed AutoPay" (N1)."""
    NOTHING_DUE = "nothing_due"
    """Definitively not charged: there was nothing to pay."""
    CANCELLED = "cancelled"
    """Definitively not charged: stopped, or not announced in time."""
    MISSED = "missed"
    """Definitively not charged: nothing swept on that day (S12)."""

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
    }
)

RUN_MOVES: Final[Mapping[RunState | None, frozenset[RunState]]] = (
    MappingProxyType(
        {
            None: frozenset(RunState)
            - {RunState.PENDING, RunState.REVIEW, RunState.PAID},
            # ANNOUNCED to ANNOUNCED: its date moved, and was told anew (N4).
            RunState.ANNOUNCED: frozenset(
                {
                    RunState.ANNOUNCED,
                    RunState.OPEN,
                    RunState.WAITING,
                    RunState.FAILED,
                    RunState.NOTHING_DUE,
                    RunState.CANCELLED,
                    RunState.MISSED,
                }
            ),
            # OPEN to OPEN: another try under the same key, or a look-up.
            RunState.OPEN: _OUTCOMES | {RunState.OPEN},
            RunState.PENDING: _OUTCOMES,
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
            # Back to waiting: a person's `rerun`, the only way back (R5).
            RunState.FAILED: frozenset({RunState.WAITING}),
            RunState.NOTHING_DUE: frozenset(),
            RunState.CANCELLED: frozenset(),
            RunState.MISSED: frozenset({RunState.WAITING}),
        }
    )
)
"""Every step of a run that exists, by its state before (None: no record)."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Intent(Readable):
    """
    The allocation and charge request, written before money moves (R1, R3).

    Attributes:
        allocation: Which invoice gets how much, and why.
        request: What the gateway is asked; its amount is the allocation's
            total. Of a finished run it holds no token any more (T3).
        ar_message: Goes with every posting to the firm's ledger.
        name: The auto-pay's name, for notices.
        retry: The auto-pay's policy on declines (N3). With the name it makes
            recovery independent of the auto-pay, which may be gone by then.
        plans: Numbers of the invoices that are paid by a plan only (S7).
        calendar: The open days on which a decline may be tried again, of a
            schedule that rolls; None for every day (N3).
        next_on: The auto-pay's next charge date after this one, as it stood
            then; for notices.
        automatic_posting: Whether its postings are queued for the ledger from
            the first, as `Policy.automatic_posting` said then (P2).

    Raises:
        InvalidValueError: The amounts differ.

    """

    allocation: Allocation
    request: ChargeRequest
    ar_message: str = attrs.field(default="", validator=a_text())
    name: str = attrs.field(default="", validator=a_text())
    retry: RetryPolicy | None = None
    plans: tuple[InvoiceNumber | str, ...] = ()
    calendar: BusinessCalendar | None = None
    next_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    automatic_posting: bool = attrs.field(default=False, validator=a(bool))

    def __attrs_post_init__(self) -> None:
        """Refuse a charge of another amount than was allocated (R3)."""
        if self.request.amount != self.allocation.total:
            raise InvalidValueError(
                "the charge must equal the allocation's total",
                code="IntentAmount",
                path="request.amount",
                value=str(self.request.amount),
            )

    def forgetting(self) -> Intent:
        """
        Return it without the payment method's token (T3).

        A request of before requests had a run keeps it: its hash is made of
        the token.
        """
        method = self.request.method
        if method.known_as or self.request.run is None:
            return self
        return attrs.evolve(
            self,
            request=attrs.evolve(self.request, method=method.forgotten()),
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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
        outcome: Captured, under way, declined or cancelled; None while in
            doubt, and for an attempt that never left the machine, whose
            number and key the next one takes over (R2).
        request_hash: Of the whole request under the key (R2).
        account: The gateway's account that was asked; empty means unknown
            and equals every one (R12).
        epoch: The store's epoch when it began (R12).
        missing_since: When a look-up first did not find a debit that the
            gateway had called pending; None while it finds it (R4).
        erred: A request of it was answered with an error that nobody foresaw
            (H4).

    """

    number: int = attrs.field(validator=a(int))
    key: IdempotencyKey | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    method: str = attrs.field(validator=an_id)
    began_at: datetime = attrs.field(validator=an_instant)
    deadline: datetime = attrs.field(validator=an_instant)
    request_hash: str
    two_step: bool = attrs.field(default=False, validator=a(bool))
    tries: int = attrs.field(default=1, validator=a(int))
    reference: str | None = None
    outcome: Moving | Declined | Cancelled | None = None
    account: str = attrs.field(default="", validator=an_id_if_any)
    epoch: int = attrs.field(default=0, validator=a_number(0))
    missing_since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    erred: bool = attrs.field(default=False, validator=a(bool))


@final
@attrs.frozen(kw_only=True, repr=False)
class RunRecord(Shown):
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
        reversals: What went back of a paid run, came again, or was put on
            other invoices, in the order in which it was booked.
        announced: Amounts by invoice that were announced (N4).
        next_try_on: Not tried again before this firm-local date (N3); what
            is told, where `next_try_at` is the instant.
        late_since: The firm's day on which it became late (N1); None for a
            run that is not, or was not.
        notes: What the firm should know about balances that were read, one
            sentence each: figures that do not fit (B1).
        demanded_by: Who asked for a run on demand (R14), or for a run to be
            done again (R5); empty for the schedule's.
        decision: What the lines rested on besides themselves (X1); None
            without lines, and for a record of an earlier edition.
        review_since: Store time since which it is in review; None where it
            is not, or was not looked at since (N2).

    """

    key: RunKey
    payer: PayerId | str
    version: int = attrs.field(validator=a(int))
    state: RunState
    charge_on: date = attrs.field(validator=a_date)
    attempts: tuple[Attempt, ...] = attrs.field(
        default=(), validator=tuple_of(Attempt)
    )
    intent: Intent | None = None
    plan: Allocation | None = None
    reason: str = ""
    detail: str = ""
    next_try_at: datetime | None = None
    reversals: tuple[Reversal, ...] = ()
    announced: Mapping[str, Money] | None = attrs.field(
        default=None, converter=kept_if_any
    )
    next_try_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    late_since: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    notes: tuple[str, ...] = attrs.field(default=(), validator=tuple_of(str))
    demanded_by: str = attrs.field(default="", validator=a_text(most=128))
    decision: Decision | None = attrs.field(
        default=None, validator=optional(a(Decision))
    )
    review_since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a record without what later steps rely on."""
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
        if self.state.is_finished and self.intent is not None:
            # Here and not in each step that finishes, so that no record can
            # be finished and still hold a token.
            object.__setattr__(self, "intent", self.intent.forgetting())

    def __str__(self) -> str:
        """Return it in a line, for people, as its result."""
        return str(result_of(self))

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
    def payment_reference(self) -> str | None:
        """The gateway's reference of what was captured, or is under way."""
        outcome = self.attempts[-1].outcome if self.attempts else None
        if isinstance(outcome, (Captured, Pending, NeedsPayer)):
            return outcome.reference
        return None

    def counts(self, attempt: Attempt, /) -> bool:
        """
        Tell whether an attempt counts against its network's windows (N3).

        Declined ones do, and those in doubt; not what was approved, nor what
        never left the machine.
        """
        if attempt.outcome is not None:
            return isinstance(attempt.outcome, Declined)
        return attempt is self.attempts[-1] and self.state.is_doubtful

    @property
    def taken(self) -> Money | None:
        """
        What the last attempt took, or may take: captured, or else asked for.

        See `spent` for what counts against limits.
        """
        if not self.attempts:
            return None
        last, captured = self.attempts[-1], self.captured
        return last.amount if captured is None else captured.amount

    @property
    def spent(self) -> Money | None:
        """
        What counts against limits per month and lifetime (L7).

        `taken`, without what a bank returned or a dispute took back; what
        was refunded stays in it, and what came again is in it again.
        """
        spent = self.taken
        if spent is None:
            return None
        freeing = {
            each.event for each in self.reversals if each.kind.frees_limits
        }
        for each in self.reversals:
            if each.event in freeing:
                spent -= each.amount
            elif (
                each.kind is ReversalKind.REINSTATED
                and each.corrects in freeing
            ):
                spent += each.amount
        return spent


def is_same_account(first: str, second: str, /) -> bool:
    """Compare gateway accounts; an empty one equals every one (R12)."""
    return not first or not second or first == second


def check_move(
    before: RunState | None, after: RunState, key: RunKey, /
) -> None:
    """
    Refuse a step of a run that does not exist in `RUN_MOVES`.

    Raises:
        InvalidValueError: Code ``RunTransition``.

    """
    if after not in RUN_MOVES[before]:
        was = "no record" if before is None else before.value
        raise InvalidValueError(
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


def postings_of(record: RunRecord, /) -> tuple[Posting, ...]:
    """
    Make the posting records of a paid run: one for each invoice paid (P1).

    Their sum is what was captured. They are pending, or queued where the
    host posts automatically (P2). If a person attested less than was
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
    start = start_of_id(record.key, attempt.number)
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
                id=posting_id_from(start, line.invoice.number),
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
                status=PostingStatus.QUEUED
                if intent.automatic_posting
                else PostingStatus.PENDING,
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


def recompute(record: RunRecord, /) -> Recomputed:
    """
    Make the lines of a run again from its record alone (X1).

    Equal for every run since records carry the number of the rule; what an
    older one lacks is named. A run that decided nothing has nothing to
    compare.
    """
    stands = record.allocation
    return Recomputed() if stands is None else again(record.decision, stands)


# -- Results -----------------------------------------------------------------


class RunStatus(Choice):
    """
    How a call about a run ended: the run's state, or why it has none.

    All but the last two are the names of `RunState`.
    """

    ANNOUNCED = "announced"
    """Amount and date were announced."""
    OPEN = "open"
    """It is not known yet whether money moved."""
    PENDING = "pending"
    """A bank debit is under way, or the payer has to approve it."""
    REVIEW = "review"
    """A person has to look at it."""
    WAITING = "waiting"
    """Another attempt comes later."""
    PAID = "paid"
    """Captured and posted."""
    FAILED = "failed"
    """Not charged, and people were told why."""
    NOTHING_DUE = "nothing_due"
    """There was nothing to pay."""
    CANCELLED = "cancelled"
    """Stopped, or not announced in time."""
    MISSED = "missed"
    """Nothing swept on that day."""
    POSTPONED = "postponed"
    """Not read or not reached; nothing was charged, the next sweep tries."""
    BLOCKED = "blocked"
    """Another run of the auto-pay is in doubt, and that comes first (R4)."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class RunResult(Shown):
    """
    What became of a run, with everything that explains it.

    Attributes:
        key: The run; None if an auto-pay's turn ended before any run of it.
        status: How it ended.
        record: The run as it stands in the store; None if it has no record.
        reason: Stable code, such as ``"Declined"``.
        detail: The same for a person.
        autopay: Id of the auto-pay; empty only for something that is none.

    """

    key: RunKey | None
    status: RunStatus
    record: RunRecord | None = None
    reason: str = ""
    detail: str = ""
    autopay: AutoPayId | str = attrs.field(
        default=attrs.Factory(
            lambda result: "" if result.key is None else result.key.autopay,
            takes_self=True,
        )
    )

    def __str__(self) -> str:
        """
        Return it in a line, for people; `show` and notebooks have more.

        As in ``ap-1/2026-01-31: paid USD 500.00 on 2 of 3 invoices: 7, 8``.
        """
        subject = str(self.autopay if self.key is None else self.key)
        said = f"{subject}: {self.status.value.replace('_', ' ')}"
        if self.charged is not None and self.allocation is not None:
            return f"{said} {self.allocation}"
        why = self.detail or self.reason
        return f"{said}: {why}" if why else said

    @property
    def allocation(self) -> Allocation | None:
        """Every invoice that was considered, with amount and reason."""
        return None if self.record is None else self.record.allocation

    @property
    def charged(self) -> Money | None:
        """What was captured; None if nothing was."""
        captured = None if self.record is None else self.record.captured
        return None if captured is None else captured.amount

    @property
    def postings(self) -> tuple[Posting, ...]:
        """The posting records of a paid run, as they were first written."""
        if self.record is None or self.record.state is not RunState.PAID:
            return ()
        return postings_of(self.record)


def result_of(record: RunRecord, /) -> RunResult:
    """Return what stands on record as a result."""
    return RunResult(
        key=record.key,
        status=RunStatus(record.state.value),
        record=record,
        reason=record.reason,
        detail=record.detail,
    )
