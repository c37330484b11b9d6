"""
The steps of a run as pure functions, from record to record (R2 to R8, N1).

Holds: the functions that compute a run's next record, with the postings and
notices of the same commit, as a `Change`; and the arithmetic of key ages and
pauses. Imports: `case`, `planning`, `requests` and the values. Nothing here
asks anybody anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import Readable, report_text
from autopay_core.allocation import Allocation, Reason
from autopay_core.associations import (
    Level,
    covers,
)
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    Pending,
    idempotency_key,
)
from autopay_core.commits import (
    Change,
    Standing,
    StopOrder,
)
from autopay_core.engine.case import Case
from autopay_core.engine.planning import Plan
from autopay_core.engine.requests import Terms
from autopay_core.errors import AutopayError
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.retries import network_limit
from autopay_core.runs import (
    Attempt,
    Intent,
    RunRecord,
    RunState,
    check_move,
    postings_of,
)

__all__ = [
    "CLOCK_SECONDS",
    "FIRST_LOOK_SECONDS",
    "SEND_SECONDS",
    "Verdict",
    "cancel",
    "close",
    "conclude",
    "decline",
    "intend",
    "is_known",
    "is_of_form",
    "is_proven_absent",
    "key_ends",
    "key_lives",
    "look_later",
    "mismatch",
    "next_version",
    "not_sent",
    "pay",
    "prepared",
    "presented_again",
    "review",
    "stop_targets",
    "try_again",
    "wait",
    "why_nothing",
]

SEND_SECONDS: Final = 600
"""How long after it was planned a request may still take money."""

CLOCK_SECONDS: Final = 300
"""How far the gateway's clock may be from the store's."""

FIRST_LOOK_SECONDS: Final = 60
"""A sweep leaves a run alone so long: its own worker is still at it."""


@final
@attrs.frozen(repr=False)
class Verdict(Readable):
    """
    Why a run ends without asking for money.

    Attributes:
        state: How it ends.
        reason: Stable code.
        detail: The same for a person.
        kinds: What is told.

    """

    state: RunState
    reason: str
    detail: str
    kinds: tuple[NoticeKind, ...] = ()


def next_version(before: RunRecord | None, to: RunState, key: RunKey) -> int:
    """Check that the step exists, and count the version."""
    check_move(None if before is None else before.state, to, key)
    return 1 if before is None else before.version + 1


def _about(
    kind: NoticeKind,
    record: RunRecord,
    *,
    name: str,
    reason: str = "",
    detail: str = "",
    occasion: str = "",
) -> Notice:
    """Make a notice that says what *record* says, unless told otherwise."""
    plan, taken = record.plan, record.taken
    amount = None if plan is None else plan.total
    return notice_for_run(
        kind,
        record.key,
        payer=record.payer,
        on=record.charge_on,
        name=name,
        amount=amount if taken is None else taken,
        reason=reason or record.reason,
        detail=detail or record.detail,
        occasion=occasion,
    )


def _draft(case: Case, before: RunRecord | None) -> RunRecord:
    """Return the record that a decision about a run starts from."""
    if before is not None:
        return attrs.evolve(
            before, plan=None, next_try_at=None, charge_on=case.on
        )
    return RunRecord(
        key=case.key,
        payer=case.autopay.payer,
        version=0,
        state=RunState.CANCELLED,
        charge_on=case.on,
    )


def close(
    case: Case,
    standing: Standing,
    verdict: Verdict,
    plan: Allocation | None = None,
) -> Change:
    """End a run without asking for money, and tell of it (N1)."""
    draft = _draft(case, standing.run)
    record = attrs.evolve(
        draft,
        version=next_version(standing.run, verdict.state, case.key),
        state=verdict.state,
        reason=verdict.reason,
        detail=report_text(verdict.detail),
        plan=plan,
        intent=draft.intent if plan is None else None,
    )
    return Change(
        runs=(record,),
        notices=tuple(
            _about(kind, record, name=case.autopay.name)
            for kind in verdict.kinds
        ),
    )


def presented_again(case: Case, before: RunRecord | None) -> Intent | None:
    """Return what a bank debit may only repeat to the cent (N3)."""
    if before is None or not before.attempts:
        return None
    limit = network_limit(case.autopay.method, case.on)
    if limit is None or not limit.same_amount:
        return None
    # Any of them: a later one may never have left this machine.
    was_declined = any(
        isinstance(each.outcome, Declined) for each in before.attempts
    )
    return before.intent if was_declined else None


def why_nothing(case: Case, plan: Plan, standing: Standing) -> Verdict:
    """Tell why a plan takes no money; a plan paid off is told once (S7)."""
    lines = plan.allocation.lines
    plans_only = all(each.level is Level.INVOICE for each in case.associations)
    if plans_only and all(not line.payable.is_positive for line in lines):
        again = (
            standing.latest is not None
            and standing.latest.reason == "PlanPaidOff"
        )
        return Verdict(
            RunState.NOTHING_DUE,
            "PlanPaidOff",
            "What was enrolled is paid off.",
            () if again else (NoticeKind.PLAN_PAID_OFF,),
        )
    reasons = {line.reason for line in lines}
    code, detail = next(
        (why for reason, why in _WHY_NOTHING.items() if reason in reasons),
        ("NothingDue", "Nothing can be paid now; each line says why."),
    )
    return Verdict(
        RunState.NOTHING_DUE, code, detail, (NoticeKind.NOTHING_DUE,)
    )


_WHY_NOTHING: Final = {
    Reason.BELOW_MINIMUM: ("BelowMinimum", "Less is due than may be charged."),
    Reason.WHOLE_INVOICES: (
        "CapBelowOldest",
        "The oldest invoice is more than the limit.",
    ),
    Reason.LIMIT_REACHED: ("LimitReached", "A limit is used up."),
}


def intend(case: Case, standing: Standing, plan: Plan) -> Change:
    """Write down what will be charged, on conditions (R1, R7)."""
    autopay, terms = case.autopay, case.terms
    draft = _draft(case, standing.run)
    number = len(draft.attempts) + 1
    allocation = plan.allocation
    deadline = standing.now + timedelta(seconds=SEND_SECONDS)
    request = ChargeRequest(
        key=idempotency_key(terms.secret, draft.key, number),
        method=autopay.method,
        amount=allocation.total,
        deposit_account=autopay.deposit_account,
        description=autopay.name,
        not_after=deadline,
    )
    attempt = Attempt(
        number=number,
        key=request.key,
        amount=request.amount,
        method=autopay.method.fingerprint,
        began_at=standing.now,
        deadline=deadline,
        request_hash=request.request_hash,
        two_step=terms.capabilities.two_step,
    )
    record = attrs.evolve(
        draft,
        version=next_version(standing.run, RunState.OPEN, draft.key),
        state=RunState.OPEN,
        attempts=(*draft.attempts, attempt),
        intent=Intent(
            allocation=allocation,
            request=request,
            ar_message=autopay.ar_message,
            name=autopay.name,
            retry=autopay.retry,
            plans=_plans(case, plan),
        ),
        reason="",
        detail="",
        next_try_at=standing.now + timedelta(seconds=FIRST_LOOK_SECONDS),
    )
    paid = [
        line.invoice for line in allocation.lines if line.amount.is_positive
    ]
    # A limit per month or lifetime is spent by runs that pay other clients,
    # too: whatever they changed since, this run counts again.
    is_shared = (autopay.limit.per_month, autopay.limit.lifetime) != (
        None,
        None,
    )
    clients = {each.client for each in paid}
    nothing = Money.zero(allocation.total.currency)
    return Change(
        runs=(record,),
        expect_versions={
            client: version
            for client, version in plan.opened.versions.items()
            if is_shared or client in clients
        },
        expect_open={
            each.number: plan.opened.amounts.get(each.number, nothing)
            for each in paid
        },
        only_doubtful=True,
        unless_stopped=stop_targets(record),
    )


def _plans(case: Case, plan: Plan) -> tuple[str, ...]:
    """Return the paid invoices that only an invoice plan covers (S7)."""
    wider = [
        each for each in case.associations if each.level is not Level.INVOICE
    ]
    return tuple(
        line.invoice.number
        for line in plan.allocation.lines
        if line.amount.is_positive
        and not any(covers(each, line.invoice) for each in wider)
    )


def stop_targets(record: RunRecord) -> tuple[str, ...]:
    """Return what a stop order may name to keep *record* from going (R7)."""
    method = record.attempts[-1].method
    return (StopOrder.autopay(record.key.autopay), StopOrder.method(method))


def cancel(record: RunRecord) -> Change:
    """Let go of a stopped run that is proven to take no money (R7)."""
    return _moved(
        record,
        RunState.CANCELLED,
        "Stopped",
        "It was turned off before any money moved.",
    )


def _moved(
    record: RunRecord,
    state: RunState,
    reason: str,
    detail: str,
    next_try_at: datetime | None = None,
    *notices: tuple[NoticeKind, str],
    outcome: Captured | Pending | Declined | None = None,
) -> Change:
    """Move *record*, and tell of it as it stands then."""
    after = _step(record, state, reason, detail, next_try_at, outcome=outcome)
    name = "" if after.intent is None else after.intent.name
    return Change(
        runs=(after,),
        notices=tuple(
            _about(kind, after, name=name, occasion=occasion)
            for kind, occasion in notices
        ),
    )


def _step(
    record: RunRecord,
    state: RunState,
    reason: str = "",
    detail: str = "",
    next_try_at: datetime | None = None,
    *,
    outcome: Captured | Pending | Declined | None = None,
) -> RunRecord:
    """Return *record* moved, its last attempt with an outcome if given."""
    attempts = record.attempts
    if outcome is not None:
        attempt = attrs.evolve(record.attempts[-1], outcome=outcome)
        attempts = _with_last(record, attempt)
    return attrs.evolve(
        record,
        version=next_version(record, state, record.key),
        state=state,
        reason=reason,
        detail=report_text(detail),
        next_try_at=next_try_at,
        attempts=attempts,
    )


def _with_last(record: RunRecord, last: Attempt) -> tuple[Attempt, ...]:
    """Return the attempts, with more known about the last one."""
    return (*record.attempts[:-1], last)


def not_sent(record: RunRecord, error: AutopayError) -> Change:
    """Let go of an attempt that never left this machine (PG-4)."""
    return _moved(
        record,
        RunState.WAITING,
        error.code,
        f"Nothing was sent: {error}",
        # Counted from the first attempt, so that a gateway that is down for
        # days is not asked every minute.
        look_later(record.attempts[0].began_at, record.attempts[-1].began_at),
        (NoticeKind.FAILED, "not-sent"),
    )


def is_of_form(record: RunRecord, terms: Terms) -> bool:
    """Tell whether the gateway still has the form of the last attempt."""
    return record.attempts[-1].two_step == terms.capabilities.two_step


def try_again(record: RunRecord, now: datetime) -> Change:
    """Write down another try under the same key, unless stopped (R4, R7)."""
    last = record.attempts[-1]
    last = attrs.evolve(
        last,
        tries=last.tries + 1,
        deadline=now + timedelta(seconds=SEND_SECONDS),
    )
    later = now + timedelta(seconds=FIRST_LOOK_SECONDS)
    again = attrs.evolve(
        record,
        version=next_version(record, record.state, record.key),
        attempts=_with_last(record, last),
        next_try_at=later,
    )
    return Change(runs=(again,), unless_stopped=stop_targets(again))


def prepared(record: RunRecord, reference: str) -> Change:
    """Write a two-step gateway's reference down, unless stopped (R7)."""
    last = attrs.evolve(record.attempts[-1], reference=reference)
    after = attrs.evolve(
        record,
        version=next_version(record, record.state, record.key),
        attempts=_with_last(record, last),
    )
    return Change(runs=(after,), unless_stopped=stop_targets(after))


def wait(
    record: RunRecord, now: datetime, detail: str, terms: Terms
) -> Change:
    """Look again later; what is too old to be sent again goes to review."""
    later = look_later(record.attempts[-1].began_at, now)
    if record.state is RunState.OPEN and now >= key_ends(record, terms):
        why = f"The gateway may have forgotten the request. {detail}"
        return review(record, "Unresolved", why, later)
    version = next_version(record, record.state, record.key)
    waiting = attrs.evolve(record, version=version, next_try_at=later)
    return Change(runs=(waiting,))


_PAUSES: Final = (
    (timedelta(minutes=1), timedelta(seconds=10)),
    (timedelta(minutes=5), timedelta(minutes=1)),
    (timedelta(minutes=30), timedelta(minutes=5)),
    (timedelta(hours=2), timedelta(minutes=30)),
    (timedelta(hours=24), timedelta(hours=1)),
)


def look_later(began_at: datetime, now: datetime) -> datetime:
    """Return when to look again: soon at first, then daily, for ever (R4)."""
    age = now - began_at
    for younger, pause in _PAUSES:
        if age < younger:
            return now + pause
    return now + timedelta(days=1)


def is_known(record: RunRecord, outcome: Captured) -> bool:
    """Tell whether *record* has this capture on record."""
    return any(each.outcome == outcome for each in record.attempts)


def mismatch(
    record: RunRecord, outcome: ChargeOutcome, *, may_be_less: bool = False
) -> str:
    """
    Tell how *outcome* is not an answer to what was asked (R8).

    A gateway's answer is of the amount asked for; only a person may know
    that less was captured.
    """
    attempt = record.attempts[-1]
    if isinstance(outcome, Indeterminate):
        return ""
    if outcome.key != attempt.key:
        return "The gateway answered under another key."
    if isinstance(outcome, Declined) or outcome.amount == attempt.amount:
        return ""
    if (
        may_be_less
        and outcome.amount.currency == attempt.amount.currency
        and outcome.amount.is_positive
        and outcome.amount < attempt.amount
    ):
        return ""
    return (
        f"The gateway speaks of {outcome.amount}, and {attempt.amount} was "
        "asked for."
    )


def conclude(record: RunRecord, outcome: ChargeOutcome) -> Change:
    """
    Write what became of the last attempt; a decline is for `decline`.

    Outcome, postings and notices go into one change (R1, P1).
    """
    attempt = record.attempts[-1]
    wrong = mismatch(record, outcome)
    if wrong:
        later = attempt.deadline + timedelta(hours=1)
        return review(record, "GatewayMismatch", wrong, later)
    if isinstance(outcome, Captured):
        return pay(record, outcome)
    if isinstance(outcome, Pending):
        return _moved(
            record,
            RunState.PENDING,
            "Pending",
            "A bank debit is under way.",
            attempt.began_at + timedelta(hours=1),
            outcome=outcome,
        )
    assert isinstance(outcome, Indeterminate)
    # Still where it was: the next look asks the gateway what became of it.
    sent_at = attempt.deadline - timedelta(seconds=SEND_SECONDS)
    return _moved(
        record,
        record.state,
        "Indeterminate",
        f"It is not known whether money moved. {outcome.detail}",
        look_later(attempt.began_at, sent_at),
    )


def pay(record: RunRecord, captured: Captured) -> Change:
    """
    Write a capture with its postings and notices in one change (R1, P1).

    Of less than was asked for only on a person's word (R8).
    """
    asked = record.attempts[-1].amount
    reason = detail = ""
    if captured.amount != asked:
        reason = "PartialCapture"
        detail = f"{captured.amount} of {asked} was captured."
    paid = _step(record, RunState.PAID, reason, detail, outcome=captured)
    postings = postings_of(paid)
    return Change(
        runs=(paid,),
        postings=postings,
        notices=_paid_notices(paid, postings),
    )


def decline(
    record: RunRecord, declined: Declined, again: datetime | None
) -> Change:
    """Write a decline: another attempt at a time, or the end (N1, N3)."""
    said = declined.message or "The payment was declined."
    detail = f"{said} (code {declined.code})"
    if again is not None:
        detail += f" It is tried again on {again.date()}."
    return _moved(
        record,
        RunState.FAILED if again is None else RunState.WAITING,
        "Declined",
        detail,
        again,
        (NoticeKind.FAILED, f"declined {record.attempts[-1].number}"),
        outcome=declined,
    )


_CUT_SHORT: Final = frozenset(
    {
        Reason.PART_PAID,
        Reason.PER_INVOICE_LIMIT,
        Reason.ANNOUNCED_LIMIT,
        Reason.LIMIT_REACHED,
        Reason.WHOLE_INVOICES,
        Reason.WAITS_FOR_OLDER,
        Reason.NOT_ANNOUNCED,
    }
)
"""Reasons that leave something for a later run, of what may be paid."""


def _paid_notices(
    paid: RunRecord, postings: Sequence[Posting]
) -> tuple[Notice, ...]:
    """Tell what was paid, and which invoice plans that ended (N2, S7)."""
    intent = paid.intent
    assert intent is not None
    allocation, count = intent.allocation, len(postings)
    shares = {each.invoice: each.amount for each in postings}
    in_part = bool(paid.reason) or any(
        line.reason in _CUT_SHORT for line in allocation.lines
    )
    first = _about(
        NoticeKind.PAID_IN_PART if in_part else NoticeKind.PAID,
        paid,
        name=intent.name,
        reason="PaidInPart" if in_part else "Paid",
        detail=f"{count} invoice{'s were' if count > 1 else ' was'} paid.",
    )
    ended = [
        attrs.evolve(
            _about(
                NoticeKind.PLAN_PAID_OFF,
                paid,
                name=intent.name,
                reason="PlanPaidOff",
                detail=f"Invoice {line.invoice.number} is paid off.",
                occasion=str(line.invoice.number),
            ),
            amount=line.amount,
        )
        for line in allocation.lines
        if line.invoice.number in intent.plans
        and shares.get(line.invoice.number) == line.payable
    ]
    return (first, *ended)


def review(
    record: RunRecord, reason: str, detail: str, later: datetime
) -> Change:
    """Park the run for a person; it is still looked up (R4, R8)."""
    number = record.attempts[-1].number
    return _moved(
        record,
        RunState.REVIEW,
        reason,
        detail,
        later,
        (NoticeKind.NEEDS_REVIEW, f"{number} {reason}"),
        (NoticeKind.FAILED, f"review {number}"),
    )


def key_ends(record: RunRecord, terms: Terms) -> datetime:
    """
    Return when the gateway may have forgotten the key.

    A quarter early, for clocks that are wrong.
    """
    kept = terms.capabilities.key_retention_seconds
    return record.attempts[-1].began_at + timedelta(seconds=kept * 3 // 4)


def key_lives(record: RunRecord, now: datetime, terms: Terms) -> bool:
    """Tell whether the gateway surely still keeps the key (R4)."""
    return now + timedelta(seconds=SEND_SECONDS) < key_ends(record, terms)


def is_proven_absent(record: RunRecord, now: datetime, terms: Terms) -> bool:
    """Tell whether "not found" proves that no money will ever move (R4)."""
    capabilities = terms.capabilities
    settle = capabilities.lookup_settle_seconds
    if settle is None or not capabilities.honours_deadline:
        return False
    proof = record.attempts[-1].deadline + timedelta(
        seconds=settle + CLOCK_SECONDS
    )
    # A gateway that forgets keys would say "not found" of a capture, too.
    return proof <= now < key_ends(record, terms)
