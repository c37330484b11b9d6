"""
The steps of a run as pure functions, from record to record (R2 to R8, N1).

Holds: the functions that compute a run's next record, with the postings and
notices of the same commit, as a `Change`; and the arithmetic of key ages and
pauses. Imports: `case`, `planning`, `requests` and the values. Nothing here
asks anybody anything. Long, since every step of a run stands here once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, TypedDict, final

import attrs

from autopay_core._checks import Readable, report_text
from autopay_core.allocation import Allocation, Reason
from autopay_core.associations import (
    Level,
    split_covered,
)
from autopay_core.autopay import AutoPay, upcoming
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeLine,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    Moving,
    NeedsPayer,
    Pending,
    idempotency_key,
)
from autopay_core.commits import (
    Ceiling,
    Change,
    Incident,
    OpenAmounts,
    Standing,
    Told,
)
from autopay_core.decisions import Decision
from autopay_core.engine.case import Case
from autopay_core.engine.planning import Plan
from autopay_core.engine.requests import Terms
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import Hold, HoldLevel
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.notices import (
    Notice,
    NoticeKind,
    notice_for_firm,
    notice_for_run,
)
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.retries import network_limit
from autopay_core.runs import (
    DOUBT_MOST,
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
    "SETTLE_SECONDS",
    "Verdict",
    "awaits_method",
    "close",
    "conclude",
    "decline",
    "found",
    "hold_targets",
    "intend",
    "is_known",
    "is_of_account",
    "is_of_form",
    "is_proven_absent",
    "is_taken_care_of",
    "key_ends",
    "key_lives",
    "look_later",
    "mismatch",
    "missing",
    "next_number",
    "next_version",
    "not_sent",
    "pay",
    "postpone",
    "presented_again",
    "refused",
    "reopened",
    "request_of",
    "rests",
    "review",
    "try_again",
    "wait",
    "why_nothing",
    "withdraw",
]

SEND_SECONDS: Final = 600
"""How long after it was planned a request may still take money."""

CLOCK_SECONDS: Final = 300
"""How far the gateway's clock may be from the store's."""

MISSING_MOST: Final = timedelta(days=1)
"""Two look-ups so far apart that do not find a pending debit are a doubt."""

SETTLE_SECONDS: Final = 24 * 3600
"""When a look-up shows a request at the latest, where nothing is declared."""

NOT_SENT_SECONDS: Final = 10
"""So long a run whose request never left is left alone."""

DAY_SECONDS: Final = 24 * 3600
"""No gateway keeps a run waiting for longer without being asked again."""

FIRST_LOOK_SECONDS: Final = 60
"""A sweep leaves a run alone so long: its own worker is still at it."""


@final
@attrs.frozen(repr=False)
class Verdict(Readable):
    """
    Why a run ends, or waits, without asking for money.

    Attributes:
        state: How it ends, or `RunState.WAITING`.
        reason: Stable code.
        detail: The same for a person.
        kinds: What is told.
        next_try_on: While it waits: the firm-local date before which nothing
            is tried; None for every sweep.
        told: What is told of the auto-pay with it, so that it is not told
            again (N5).
        is_late: It waits for somebody of the firm, which is an incident until
            the day is over (N1).

    """

    state: RunState
    reason: str
    detail: str
    kinds: tuple[NoticeKind, ...] = ()
    next_try_on: date | None = None
    told: tuple[Told, ...] = ()
    is_late: bool = False


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
    # What is planned now, rather than what an earlier attempt asked for.
    amount = taken if plan is None else plan.total
    return notice_for_run(
        kind,
        record.key,
        payer=record.payer,
        on=record.charge_on,
        name=name,
        amount=amount,
        reason=reason or record.reason,
        detail=detail or record.detail,
        occasion=occasion,
        **facts_of(record),
    )


class RunFacts(TypedDict, total=False):
    """What a notice tells of a run beside its state (N5)."""

    lines: tuple[ChargeLine, ...]
    reference: str
    method: str
    left: Money | None
    next_on: date | None


def facts_of(record: RunRecord) -> RunFacts:
    """Return what stands on record, and nothing that was worked out since."""
    facts = RunFacts(reference=record.payment_reference or "")
    allocation, intent = record.allocation, record.intent
    if allocation is not None:
        facts["lines"] = charge_lines(allocation)
        facts["left"] = left_of(allocation)
    if intent is not None:
        facts["method"] = intent.request.method.described
    on = record.next_try_on
    if on is None and intent is not None:
        on = intent.next_on
    facts["next_on"] = on
    return facts


def charge_lines(allocation: Allocation) -> tuple[ChargeLine, ...]:
    """Return what each invoice gets."""
    return tuple(
        ChargeLine(invoice=line.invoice.number, amount=line.amount)
        for line in allocation.lines
        if line.amount.is_positive
    )


def left_of(allocation: Allocation) -> Money:
    """Return what could still be paid besides, in the charge's currency."""
    nothing = Money.zero(allocation.limit.currency)
    return Money.total(
        (
            line.payable - line.amount
            for line in allocation.lines
            if line.payable.currency == nothing.currency
        ),
        nothing.currency,
    )


def _draft(case: Case, before: RunRecord | None) -> RunRecord:
    """Return the record that a decision about a run starts from."""
    if before is not None:
        return attrs.evolve(
            before,
            plan=None,
            next_try_at=None,
            next_try_on=None,
            charge_on=case.on,
        )
    return RunRecord(
        key=case.key,
        payer=case.autopay.payer,
        version=0,
        state=RunState.CANCELLED,
        charge_on=case.on,
        demanded_by=case.demanded_by,
    )


def _decision(draft: RunRecord) -> Decision | None:
    """Keep what the lines rested on, if the lines stay."""
    return None if draft.intent is None else draft.decision


def close(
    case: Case,
    standing: Standing,
    verdict: Verdict,
    plan: Plan | None = None,
) -> Change:
    """End a run, or let it wait, without asking for money (N1)."""
    draft = _draft(case, standing.run)
    record = attrs.evolve(
        draft,
        version=next_version(standing.run, verdict.state, case.key),
        state=verdict.state,
        reason=verdict.reason,
        detail=report_text(verdict.detail),
        plan=None if plan is None else plan.allocation,
        intent=draft.intent if plan is None else None,
        decision=_decision(draft) if plan is None else plan.decision,
        next_try_on=verdict.next_try_on,
        late_since=None,
        notes=() if plan is None else plan.notes,
    )
    notices = tuple(
        _about(
            kind,
            record,
            name=case.autopay.name,
            # What waits is told again when it waits for something else.
            occasion=verdict.reason
            if verdict.state is RunState.WAITING
            else "",
        )
        for kind in verdict.kinds
    )
    change = Change(runs=(record,), notices=notices, told=verdict.told)
    return change if plan is None else rests_on(change, standing, plan)


def rests_on(change: Change, standing: Standing, plan: Plan) -> Change:
    """Add to a step what was read for it: expectations, an incident's end."""
    ended, told = over(standing.incidents, "matters", standing.now)
    return attrs.evolve(
        change,
        notices=(*change.notices, *told, *plan.notices),
        expected=plan.expected,
        incidents=ended,
    )


def postpone(
    case: Case,
    standing: Standing,
    cause: str,
    detail: str,
    *,
    port: str = "",
) -> Change | None:
    """
    Put a run that cannot be decided now on record as late (R6, N1).

    The first run that is late for a cause stores the incident. At the first
    turn of a later day a person is told that this one is still late. None if
    all of that is on record.

    Args:
        case: The run.
        standing: What is on record.
        cause: Stable code.
        detail: The same for a person.
        port: What is away, so that its next success ends the incident; empty
            if it is none (a hold, other runs).

    """
    before = standing.run
    late_since, was_told = case.on, False
    if before is not None and before.late_since is not None:
        late_since = before.late_since
        was_told = before.charge_on > late_since
    draft = attrs.evolve(_draft(case, before), intent=None)
    if before is not None and before.attempts:
        draft = attrs.evolve(draft, intent=before.intent)
    record = attrs.evolve(
        draft,
        version=next_version(before, RunState.WAITING, case.key),
        state=RunState.WAITING,
        reason=cause,
        detail=report_text(f"{detail} It is tried again at each sweep."),
        late_since=late_since,
    )
    incidents: tuple[Incident, ...] = ()
    if port and cause not in {each.cause for each in standing.incidents}:
        incidents = (
            Incident(
                cause=cause, on=case.on, began_at=standing.now, port=port
            ),
        )
    notices: tuple[Notice, ...] = ()
    if case.on > late_since and not was_told:
        notices = (
            _about(
                NoticeKind.FAILED,
                record,
                name=case.autopay.name,
                occasion=f"late {late_since}",
            ),
        )
    if (
        before is not None
        and before.state is RunState.WAITING
        and (before.reason, before.late_since) == (cause, late_since)
        and not incidents
        and not notices
    ):
        return None
    return Change(runs=(record,), notices=notices, incidents=incidents)


def over(
    incidents: Sequence[Incident], port: str, now: datetime
) -> tuple[tuple[Incident, ...], tuple[Notice, ...]]:
    """Return the incidents that a success at a port ends, and what is told."""
    ended = tuple(
        attrs.evolve(each, over_at=now)
        for each in incidents
        if each.port == port
    )
    return ended, tuple(
        notice_for_firm(
            NoticeKind.INCIDENT,
            on=each.on,
            reason=each.cause,
            detail=(
                f"It is over since {now}; what is late is collected by the "
                "sweeps from now on."
            ),
            occasion="over",
        )
        for each in ended
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
        isinstance(each.outcome, Declined)
        and each.method == case.autopay.method.fingerprint
        for each in before.attempts
    )
    return before.intent if was_declined else None


PAID_OFF: Final = "paid_off"
"""The topic under which it is kept that a plan was told to be paid off."""


def why_nothing(case: Case, plan: Plan, standing: Standing) -> Verdict:
    """Tell why a plan takes no money; a plan paid off is told once (S7)."""
    lines = plan.allocation.lines
    plans_only = all(each.level is Level.INVOICE for each in case.associations)
    if plans_only and all(not line.payable.is_positive for line in lines):
        return _plan_over(case, plan, standing)
    reasons = {line.reason for line in lines}
    code, detail = next(
        (why for reason, why in _WHY_NOTHING.items() if reason in reasons),
        ("NothingDue", "Nothing can be paid now; each line says why."),
    )
    limit = case.autopay.limit
    if Reason.LIMIT_REACHED in reasons and _is_used_up(limit, plan.spent):
        return _told_once(
            case,
            standing,
            Verdict(
                RunState.NOTHING_DUE,
                "LifetimeReached",
                _all_paid(limit),
                (NoticeKind.ENDED,),
            ),
            _ENDED,
        )
    # Silent unless the order says otherwise (N2).
    kinds: tuple[NoticeKind, ...] = ()
    if case.autopay.tell_nothing_due:
        kinds = (NoticeKind.NOTHING_DUE,)
    return Verdict(RunState.NOTHING_DUE, code, detail, kinds)


def _is_used_up(limit: Limit, spent: Spent | None) -> bool:
    """Tell whether a lifetime's limit is reached, which is an end (S8)."""
    return (
        limit.lifetime is not None
        and spent is not None
        and spent.lifetime >= limit.lifetime
    )


def _plan_over(case: Case, plan: Plan, standing: Standing) -> Verdict:
    """Tell that what is enrolled is paid off, or gone (S7, B2)."""
    if plan.checked.gone:
        numbers = ", ".join(each.invoice for each in plan.checked.gone)
        return _told_once(
            case,
            standing,
            Verdict(
                RunState.NOTHING_DUE,
                "PlanGone",
                f"Not found any more, and not paid through us: {numbers}.",
                (NoticeKind.GONE,),
            ),
            "gone",
        )
    never = _never_seen(case, plan, standing)
    if never:
        return _told_once(
            case,
            standing,
            Verdict(
                RunState.NOTHING_DUE,
                "PlanGone",
                f"Not found, and never seen: {', '.join(never)}.",
                (NoticeKind.GONE,),
            ),
            "gone",
        )
    return _told_once(
        case,
        standing,
        Verdict(
            RunState.NOTHING_DUE,
            "PlanPaidOff",
            "What was enrolled is paid off.",
            (NoticeKind.PLAN_PAID_OFF,),
        ),
        PAID_OFF,
    )


def _never_seen(case: Case, plan: Plan, standing: Standing) -> tuple[str, ...]:
    """
    Return the invoices of plans of which nothing was ever known (N5).

    What a run of the order has paid, or told of, was seen.
    """
    if PAID_OFF in standing.told or (
        standing.latest is not None
        and (standing.latest.state is RunState.PAID)
    ):
        return ()
    seen = {
        *(line.invoice.number for line in plan.allocation.lines),
        *plan.checked.paid_off,
        *(each.invoice for each in plan.opened.expected),
        *(each.invoice for each in plan.expected),
    }
    return tuple(
        str(each.invoice)
        for each in case.associations
        if each.invoice not in seen
    )


def _told_once(
    case: Case, standing: Standing, verdict: Verdict, topic: str
) -> Verdict:
    """Tell something of an auto-pay, unless it was what was told last (N5)."""
    known = standing.told.get(topic)
    if known is not None and known.said == verdict.detail:
        return attrs.evolve(verdict, kinds=())
    told = Told(
        autopay=case.autopay.id,
        topic=topic,
        said=verdict.detail,
        key=str(case.key)[:128],
    )
    return attrs.evolve(verdict, told=(told,))


_WHY_NOTHING: Final = {
    Reason.BELOW_MINIMUM: ("BelowMinimum", "Less is due than may be charged."),
    Reason.WHOLE_INVOICES: (
        "CapBelowOldest",
        "The oldest invoice is more than the limit.",
    ),
    Reason.LIMIT_REACHED: ("LimitReached", "A limit is used up."),
}


def request_of(case: Case, standing: Standing, plan: Plan) -> ChargeRequest:
    """Return what the gateway will be asked, under the attempt's key (R2)."""
    autopay, terms = case.autopay, case.terms
    number = next_number(standing.run)
    return ChargeRequest(
        key=idempotency_key(
            terms.secret, case.key, number, store=standing.store
        ),
        method=autopay.method,
        amount=plan.allocation.total,
        deposit_account=autopay.deposit_account,
        description=autopay.name,
        not_after=standing.now + timedelta(seconds=SEND_SECONDS),
        run=case.key,
        payer=autopay.payer,
        lines=charge_lines(plan.allocation),
        number=number,
        authorization=terms.authorization,
    )


def next_number(before: RunRecord | None) -> int:
    """
    Return the number of a run's next attempt (R2).

    An answer, a cancel and a proven absence use a number up. An attempt that
    never left the machine hands its number on.
    """
    if before is None or not before.attempts:
        return 1
    last = before.attempts[-1]
    return last.number + (last.outcome is not None)


def _with_next(before: RunRecord, attempt: Attempt) -> tuple[Attempt, ...]:
    """Return a run's attempts with the next one, which may take over."""
    kept = [each for each in before.attempts if each.number < attempt.number]
    return (*kept, attempt)


def intend(
    case: Case,
    standing: Standing,
    plan: Plan,
    request: ChargeRequest,
    reference: str | None,
) -> Change:
    """Write down what will be charged, on conditions (R1, R7)."""
    autopay = case.autopay
    draft = _draft(case, standing.run)
    attempt = _attempt(case, standing, request, reference)
    record = attrs.evolve(
        draft,
        version=next_version(standing.run, RunState.OPEN, draft.key),
        state=RunState.OPEN,
        attempts=_with_next(draft, attempt),
        intent=_intent(case, plan, request),
        decision=plan.decision,
        reason="",
        detail="",
        next_try_at=standing.now + timedelta(seconds=FIRST_LOOK_SECONDS),
        notes=plan.notes,
    )
    paid = [
        line.invoice
        for line in plan.allocation.lines
        if line.amount.is_positive
    ]
    # A limit per month or lifetime is spent by runs that pay other clients,
    # too: whatever they changed since, this run counts again.
    is_shared = (autopay.limit.per_month, autopay.limit.lifetime) != (
        None,
        None,
    )
    clients = {each.client for each in paid}
    nothing = Money.zero(request.amount.currency)
    change = Change(
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
        unless_held=hold_targets(record),
        expect_holds=plan.opened.holds_version,
        attempts=plan.allowed,
        ceilings=_ceilings(case, standing, request.amount.currency),
    )
    return rests_on(change, standing, plan)


def _ceilings(
    case: Case, standing: Standing, currency: str
) -> tuple[Ceiling, ...]:
    """
    Return the host's ceilings of one currency (H4).

    They count from the day on that the caller calls today, or from the clock's
    own if that is earlier, so that a night which passes midnight is one.
    """
    policy = case.terms.policy
    since = policy.begin_of(min(case.on, policy.date_of(standing.now)))
    since = max(since, standing.now - _CEILINGS_MOST)
    host = policy.ceilings
    return tuple(
        Ceiling(most=most, since=since, payer=payer)
        for payer, amounts in (
            (case.autopay.payer, host.payer_day),
            ("", host.night),
        )
        for most in amounts
        if most.currency == currency
    )


_CEILINGS_MOST: Final = timedelta(days=2)
"""A day that was long ago is caught up with under the ceilings of today."""


def _attempt(
    case: Case,
    standing: Standing,
    request: ChargeRequest,
    reference: str | None,
) -> Attempt:
    capabilities = case.terms.capabilities
    return Attempt(
        number=request.number,
        key=request.key,
        amount=request.amount,
        method=request.method.fingerprint,
        began_at=standing.now,
        deadline=standing.now + timedelta(seconds=SEND_SECONDS),
        request_hash=request.request_hash,
        two_step=capabilities.two_step,
        reference=reference,
        account=capabilities.account,
        epoch=standing.epoch,
    )


def _intent(case: Case, plan: Plan, request: ChargeRequest) -> Intent:
    return Intent(
        allocation=plan.allocation,
        request=request,
        ar_message=case.autopay.ar_message,
        name=case.autopay.name,
        retry=case.autopay.retry,
        plans=_plans(case, plan),
        calendar=open_days(case.autopay),
        next_on=_next_on(case),
        automatic_posting=case.terms.policy.automatic_posting,
    )


def _next_on(case: Case) -> date | None:
    """Return the order's next charge date after this one, as it stands."""
    if case.payments_left == 1:
        return None
    following = upcoming(case.autopay, case.on + timedelta(days=1))
    return None if following is None else following.charge_on


def open_days(autopay: AutoPay) -> BusinessCalendar | None:
    """Return the calendar of a schedule that rolls; None for every day."""
    schedule = autopay.schedule
    return None if schedule.roll is Roll.NONE else schedule.calendar


def refused(
    case: Case,
    standing: Standing,
    plan: Plan,
    request: ChargeRequest,
) -> RunRecord:
    """
    Return the run as it would stand if its attempt were under way.

    For a gateway that says no before there is an intent (TS-9): what
    `decline` makes of it is the first thing that is written.
    """
    draft = _draft(case, standing.run)
    return attrs.evolve(
        draft,
        state=RunState.OPEN,
        attempts=_with_next(
            draft, _attempt(case, standing, request, reference=None)
        ),
        intent=_intent(case, plan, request),
        decision=plan.decision,
        notes=plan.notes,
        late_since=None,
    )


def _plans(case: Case, plan: Plan) -> tuple[str, ...]:
    """Return the paid invoices that only an invoice plan covers (S7)."""
    wider = [
        each for each in case.associations if each.level is not Level.INVOICE
    ]
    paid = [
        line.invoice
        for line in plan.allocation.lines
        if line.amount.is_positive
    ]
    return tuple(each.number for each in split_covered(paid, wider)[1])


def hold_targets(record: RunRecord) -> tuple[str, ...]:
    """Return what a hold may name to keep *record* from being sent (R7)."""
    return (
        Hold.target_of(HoldLevel.STORE),
        Hold.target_of(HoldLevel.PAYER, record.payer),
        Hold.target_of(HoldLevel.METHOD, record.attempts[-1].method),
        Hold.target_of(HoldLevel.AUTOPAY, record.key.autopay),
    )


def withdraw(record: RunRecord, detail: str) -> Change:
    """
    Let go of an attempt that is proven to take no money (R4, R9).

    Its number is used up; what is planned then goes under the next one.
    """
    return _moved(
        record,
        RunState.WAITING,
        "Withdrawn",
        detail,
        outcome=Cancelled(key=record.attempts[-1].key),
    )


def _moved(
    record: RunRecord,
    state: RunState,
    reason: str,
    detail: str,
    next_try_at: datetime | None = None,
    *notices: tuple[NoticeKind, str],
    outcome: Moving | Declined | Cancelled | None = None,
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
    outcome: Moving | Declined | Cancelled | None = None,
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
        next_try_on=None,
        attempts=attempts,
        # What is sent is late no longer; what is not is, since the same day.
        late_since=None if outcome is not None else record.late_since,
        review_since=None,
    )


def _with_last(record: RunRecord, last: Attempt) -> tuple[Attempt, ...]:
    """Return the attempts, with more known about the last one."""
    return (*record.attempts[:-1], last)


def not_sent(
    record: RunRecord, error: PortUnavailableError, on: date
) -> Change:
    """
    Let go of an attempt that never left this machine (PG-4).

    It is late, and an incident if it is the first; each sweep tries again,
    but not before the time that the gateway named.
    """
    began_at = record.attempts[-1].began_at
    asked = NOT_SENT_SECONDS if not error.retry_after else error.retry_after
    pause = timedelta(seconds=min(max(asked, NOT_SENT_SECONDS), DAY_SECONDS))
    late_since = on if record.late_since is None else record.late_since
    told: tuple[tuple[NoticeKind, str], ...] = ()
    if on > late_since:
        told = ((NoticeKind.FAILED, f"late {late_since}"),)
    change = _moved(
        record,
        RunState.WAITING,
        error.code,
        f"Nothing was sent: {error}",
        began_at + pause,
        *told,
    )
    [after] = change.runs
    return attrs.evolve(
        change,
        runs=(attrs.evolve(after, late_since=late_since),),
        incidents=(
            Incident(
                cause=error.code, on=on, began_at=began_at, port="gateway"
            ),
        ),
    )


def is_of_form(record: RunRecord, terms: Terms) -> bool:
    """Tell whether the gateway still has the form of the last attempt."""
    return record.attempts[-1].two_step == terms.capabilities.two_step


def try_again(record: RunRecord, now: datetime, opened: OpenAmounts) -> Change:
    """
    Write down another try under the same key (R4, R7, R9).

    Unless a hold came, or what is open on its invoices changed, since it was
    decided that the request is still right.
    """
    assert record.intent is not None
    clients = {
        line.invoice.client
        for line in record.intent.allocation.lines
        if line.amount.is_positive
    }
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
    return Change(
        runs=(again,),
        only_doubtful=True,
        unless_held=hold_targets(again),
        expect_holds=opened.holds_version,
        expect_versions={
            client: version
            for client, version in opened.versions.items()
            if client in clients
        },
    )


def set_again(record: RunRecord, at: datetime) -> RunRecord:
    """Return an intent that was not sent yet, with time from *at* on (R15)."""
    last = attrs.evolve(
        record.attempts[-1], deadline=at + timedelta(seconds=SEND_SECONDS)
    )
    return attrs.evolve(
        record,
        version=next_version(record, record.state, record.key),
        attempts=_with_last(record, last),
        next_try_at=at + timedelta(seconds=FIRST_LOOK_SECONDS),
    )


def wait(record: RunRecord, now: datetime, detail: str) -> Change:
    """
    Look again later; a doubt that is 18 hours old goes to review (R4).

    In either form of gateway, with one notice; and one more when it is there
    for a week, and for thirty days (N2).
    """
    later = look_later(record.attempts[-1].began_at, now)
    age = now - record.attempts[-1].began_at
    if (record.state is RunState.OPEN and age >= DOUBT_MOST) or (
        record.state is RunState.PENDING and payer_is_late(record, now)
    ):
        why = f"Nobody can say yet whether money moved. {detail}"
        return review(record, "Unresolved", why, later, since=now)
    version = next_version(record, record.state, record.key)
    since = None
    if record.state is RunState.REVIEW:
        since = now if record.review_since is None else record.review_since
    waiting = attrs.evolve(
        record, version=version, next_try_at=later, review_since=since
    )
    return Change(runs=(waiting,), notices=_reminders(waiting, now))


_REMINDED: Final = (timedelta(days=30), timedelta(days=7))


def _reminders(record: RunRecord, now: datetime) -> tuple[Notice, ...]:
    """Tell again of a run that nobody has got out of review (N2)."""
    if record.review_since is None:
        return ()
    number = record.attempts[-1].number
    return tuple(
        _about(
            NoticeKind.NEEDS_REVIEW,
            record,
            name="" if record.intent is None else record.intent.name,
            detail=f"In review for {each.days} days. {record.detail}",
            occasion=f"{number} {record.reason} {each.days} days",
        )
        for each in _REMINDED
        if now - record.review_since >= each
    )[:1]


def missing(record: RunRecord, now: datetime) -> Change:
    """
    Note that a look-up does not find a debit that was pending (R4).

    Two such look-ups a day apart make a doubt of it.
    """
    last = record.attempts[-1]
    later = look_later(last.began_at, now)
    if last.missing_since is not None and (
        now - last.missing_since >= MISSING_MOST
    ):
        return review(
            record,
            "Unresolved",
            "The gateway does not find a debit that it had called pending.",
            later,
            since=now,
        )
    if last.missing_since is None:
        last = attrs.evolve(last, missing_since=now)
    return Change(
        runs=(
            attrs.evolve(
                record,
                version=next_version(record, record.state, record.key),
                next_try_at=later,
                attempts=_with_last(record, last),
            ),
        )
    )


def found(record: RunRecord, now: datetime) -> Change:
    """Note that a debit is still pending, whatever an earlier look said."""
    last = attrs.evolve(record.attempts[-1], missing_since=None)
    later = look_later(last.began_at, now)
    if isinstance(last.outcome, NeedsPayer):
        end = last.outcome.until
        later = min(later, end if now < end else now + timedelta(hours=1))
    return Change(
        runs=(
            attrs.evolve(
                record,
                version=next_version(record, record.state, record.key),
                next_try_at=later,
                attempts=_with_last(record, last),
            ),
        )
    )


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
    if outcome.account and attempt.account not in ("", outcome.account):
        return "The gateway answered for another account."
    return (
        ""
        if isinstance(outcome, Declined)
        else _mismatch_of_money(attempt, outcome, may_be_less=may_be_less)
    )


def _mismatch_of_money(
    attempt: Attempt, outcome: Moving, *, may_be_less: bool
) -> str:
    if outcome.request not in ("", attempt.request_hash):
        return "The gateway answered another request."
    if outcome.amount == attempt.amount or (
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
    if isinstance(outcome, NeedsPayer):
        return _ask_payer(record, outcome)
    assert isinstance(outcome, Indeterminate)
    if outcome.unexpected and not attempt.erred:
        record = attrs.evolve(
            record,
            attempts=_with_last(record, attrs.evolve(attempt, erred=True)),
        )
    # Still where it was: the next look asks the gateway what became of it.
    sent_at = attempt.deadline - timedelta(seconds=SEND_SECONDS)
    return _moved(
        record,
        record.state,
        "Indeterminate",
        f"It is not known whether money moved. {outcome.detail}",
        look_later(attempt.began_at, sent_at),
    )


def _ask_payer(record: RunRecord, asked: NeedsPayer) -> Change:
    """Let the payer know where, and until when, to act."""
    attempt = record.attempts[-1]
    after = _step(
        record,
        RunState.PENDING,
        "NeedsPayer",
        f"The payer has to approve it by {asked.until}.",
        min(attempt.began_at + timedelta(hours=1), asked.until),
        outcome=asked,
    )
    notice = _about(
        NoticeKind.NEEDS_PAYER,
        after,
        name="" if after.intent is None else after.intent.name,
        # Another link, or more time, is told again.
        occasion=f"{attempt.number} {asked.until} {asked.link}",
    )
    return Change(
        runs=(after,), notices=(attrs.evolve(notice, link=asked.link),)
    )


def is_as_before(record: RunRecord, outcome: ChargeOutcome) -> bool:
    """Tell whether a gateway only repeats that a request is under way."""
    last = record.attempts[-1].outcome
    if isinstance(outcome, NeedsPayer):
        return last == outcome
    return (
        isinstance(outcome, Pending)
        and record.state is RunState.PENDING
        and not isinstance(last, NeedsPayer)
    )


def waits_for_payer(record: RunRecord) -> bool:
    """Tell whether the payer has to approve what is under way."""
    last = record.attempt
    return last is not None and isinstance(last.outcome, NeedsPayer)


def payer_is_late(record: RunRecord, now: datetime) -> bool:
    """
    Tell whether a payer's time was over 18 hours ago.

    It is no answer that money did not move, so it becomes a doubt (R4).
    """
    last = record.attempts[-1]
    return (
        isinstance(last.outcome, NeedsPayer)
        and now - last.outcome.until >= DOUBT_MOST
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
    notices = _paid_notices(paid, postings)
    ended = [each for each in notices if each.kind is NoticeKind.PLAN_PAID_OFF]
    told = [
        Told(
            autopay=paid.key.autopay,
            topic=PAID_OFF,
            said="What was enrolled is paid off.",
            key=each.key,
        )
        for each in ended[:1]
    ]
    last = _last_of_lifetime(paid, captured)
    if last is not None or _is_all_paid_off(paid, ended):
        # What the intent foresaw is not to come any more.
        notices = tuple(attrs.evolve(each, next_on=None) for each in notices)
    if last is not None:
        notices = (*notices, attrs.evolve(last, next_on=None))
        told.append(
            Told(
                autopay=paid.key.autopay,
                topic=_ENDED,
                said=last.detail,
                key=last.key,
            )
        )
    return Change(
        runs=(paid,), postings=postings, notices=notices, told=tuple(told)
    )


def reopened(record: RunRecord) -> tuple[Told, ...]:
    """Say that a plan is not paid off any more, so that it is told again."""
    assert record.intent is not None
    if not record.intent.plans:
        return ()
    return (
        Told(
            autopay=record.key.autopay,
            topic=PAID_OFF,
            said="Reopened.",
            key=str(record.key)[:128],
        ),
    )


def _is_all_paid_off(paid: RunRecord, ended: Sequence[Notice]) -> bool:
    """Tell whether nothing is enrolled but invoices that are paid off (S7)."""
    decision, allocation = paid.decision, paid.allocation
    if not ended or decision is None or allocation is None:
        return False
    unpaid = [
        line
        for line in allocation.lines
        if line.amount.is_positive or not line.invoice.balance.is_zero
    ]
    return (
        all(each.invoice is not None for each in decision.enrolled)
        and len(ended) == len(unpaid)
        and not allocation.left_out
    )


_ENDED: Final = "ended"
"""The topic under which it is kept that a lifetime's limit was told."""


def _all_paid(limit: Limit) -> str:
    return f"All of {limit.lifetime} has been paid."


def _last_of_lifetime(paid: RunRecord, captured: Captured) -> Notice | None:
    """Tell that a payment used up the limit of a lifetime (S8, N2)."""
    decision, intent = paid.decision, paid.intent
    if decision is None or decision.spent is None or intent is None:
        return None
    limit, spent = intent.allocation.limit, decision.spent
    if limit.lifetime is None or (
        spent.lifetime + captured.amount < limit.lifetime
    ):
        return None
    return _about(
        NoticeKind.ENDED,
        paid,
        name=intent.name,
        reason="LifetimeReached",
        detail=_all_paid(limit),
    )


_DECLINED: Final = "Declined"


def decline(
    record: RunRecord,
    declined: Declined,
    again: date | None,
    *,
    at: datetime | None = None,
    awaits_method: bool = False,
    holds: tuple[Hold, ...] = (),
) -> Change:
    """
    Write a decline: another attempt on a date, or the end (N1, N3).

    Args:
        record: The run, its last attempt under way.
        declined: The gateway's answer.
        again: The firm-local date of the next attempt; None for never with
            this method.
        at: The instant at which that date begins.
        awaits_method: Another method would be tried (N3).
        holds: What the answer holds (H2).

    """
    said = declined.message or "The payment was declined."
    detail = f"{said} (code {declined.code})"
    if again is not None:
        detail += f" It is tried again on {again}."
    elif awaits_method:
        detail += " It is tried again when there is another payment method."
    waits = again is not None or awaits_method
    change = _moved(
        record,
        RunState.WAITING if waits else RunState.FAILED,
        _DECLINED,
        detail,
        at,
        (NoticeKind.FAILED, f"declined {record.attempts[-1].number}"),
        outcome=declined,
    )
    [after], [notice] = change.runs, change.notices
    after = attrs.evolve(after, next_try_on=again)
    return attrs.evolve(
        change,
        runs=(after,),
        notices=(attrs.evolve(notice, **facts_of(after)),),
        holds=holds,
    )


def rests(record: RunRecord, now: datetime, method: str) -> bool:
    """Tell whether a run's time is to come, unless its method is new (N3)."""
    return (
        record.next_try_at is not None
        and now < record.next_try_at
        and not (
            record.state is RunState.WAITING
            and bool(record.attempts)
            and isinstance(record.attempts[-1].outcome, Declined)
            and record.attempts[-1].method != method
        )
    )


def is_taken_care_of(record: RunRecord, now: datetime) -> bool:
    """
    Tell whether somebody was at a doubt a moment ago.

    What only the auto-pay's own turn can do (R9) is not put off by looks
    that `recover` took meanwhile, however long the pause after those.
    """
    sent_at = record.attempts[-1].deadline - timedelta(seconds=SEND_SECONDS)
    later = sent_at + timedelta(seconds=FIRST_LOOK_SECONDS)
    at = record.next_try_at
    return now < later and at is not None and now < at


def awaits_method(record: RunRecord, method: str) -> bool:
    """Tell whether a run waits for another method than it was declined on."""
    last = record.attempt
    return (
        last is not None
        and isinstance(last.outcome, Declined)
        # One that was to be tried on a date, and was held or late then, says
        # so in its reason.
        and record.reason == _DECLINED
        and record.next_try_on is None
        and last.method == method
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


def reference_reused(record: RunRecord, outcome: ChargeOutcome) -> Change:
    """Park a run whose payment reference another run has (R8)."""
    assert isinstance(outcome, (Captured, Pending, NeedsPayer))
    later = record.attempts[-1].deadline + timedelta(hours=1)
    return review(
        record,
        "ReferenceReused",
        f"The gateway answered with payment {outcome.reference}, which is "
        "another run's.",
        later,
    )


def review(
    record: RunRecord,
    reason: str,
    detail: str,
    later: datetime,
    *,
    since: datetime | None = None,
) -> Change:
    """
    Park the run for a person; it is still looked up (R4, R8).

    Args:
        record: The run.
        reason: Stable code.
        detail: For people.
        later: When it is looked up again.
        since: Store time, if known; else it counts from the next look.

    """
    number = record.attempts[-1].number
    change = _moved(
        record,
        RunState.REVIEW,
        reason,
        detail,
        later,
        (NoticeKind.NEEDS_REVIEW, f"{number} {reason}"),
        (NoticeKind.FAILED, f"review {number}"),
    )
    [after] = change.runs
    return attrs.evolve(
        change, runs=(attrs.evolve(after, review_since=since),)
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
    """
    Tell whether "not found" proves that no money will ever move (R4).

    The deadline of the last try has passed, and the time that look-ups take
    to show it. In one step a gateway that forgets keys says "not found" of a
    capture, too; in two a reference is not forgotten. What was pending once
    is no request that never came.
    """
    if record.attempts[-1].outcome is not None:
        return False
    capabilities = terms.capabilities
    settle = capabilities.lookup_settle_seconds
    if settle is None or not capabilities.honours_deadline:
        return False
    proof = record.attempts[-1].deadline + timedelta(
        seconds=settle + CLOCK_SECONDS
    )
    return proof <= now and (
        capabilities.two_step or now < key_ends(record, terms)
    )


def is_of_account(record: RunRecord, terms: Terms) -> bool:
    """Tell whether the account that is asked now made the attempt (R12)."""
    asked = terms.capabilities.account
    return not asked or record.attempts[-1].account in ("", asked)
