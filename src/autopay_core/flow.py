"""
One run from look-up to posting, and its recovery, without I/O (R1 to R8).

Holds: `collect`, `recover_one`, `RunResult`. Imports: `requests`, `planning`,
`steps` and the values, never `ports`. Every yield is a point where the process
may die; a flow remembers nothing, for the posting store is the memory. Whoever
finds a run later goes on from its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import Choice, Readable, report_text
from autopay_core.allocation import Allocation
from autopay_core.autopay import (
    AutoPay,
    in_force,
)
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
    RunKey,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    Standing,
)
from autopay_core.errors import (
    ForeignInvoiceError,
    HostProtocolError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.planning import (
    check_chargeable,
    plan_run,
)
from autopay_core.postings import (
    RESERVING_STATES,
    Posting,
    RunRecord,
    RunState,
    postings_of,
)
from autopay_core.requests import (
    Charge,
    Confirm,
    Flow,
    Prepare,
    ReadAttempts,
    Send,
    Terms,
    ask,
    ask_many,
    commit,
    look_up,
    read_standing,
    take_money,
)
from autopay_core.retries import AttemptRecord, next_attempt
from autopay_core.schedules import Occurrence
from autopay_core.steps import (
    Verdict,
    cancel,
    close,
    conclude,
    decline,
    draft_of,
    intend,
    is_known,
    is_of_form,
    is_proven_absent,
    key_ends,
    key_lives,
    look_later,
    mismatch,
    not_sent,
    prepared,
    presented_again,
    review,
    try_again,
    turned_off,
    wait,
    why_nothing,
)

__all__ = [
    "PLANS_MOST",
    "RunResult",
    "RunStatus",
    "announce",
    "as_it_stands",
    "collect",
    "conclusion",
    "finish",
    "recover_one",
    "result_of",
    "tell",
]

PLANS_MOST: Final = 3
"""How often a run is planned again when the world changed meanwhile."""


# -- Results -----------------------------------------------------------------


class RunStatus(Choice):
    """
    How a call about a run ended: the run's state, or why it has none.

    `POSTPONED`: something could not be read or reached; nothing was charged,
    and the next sweep tries again. `BLOCKED`: another run of the auto-pay is
    in doubt, and nothing else of it is charged until that is resolved (R4).
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
    POSTPONED = "postponed"
    BLOCKED = "blocked"


@final
@attrs.frozen(kw_only=True, repr=False)
class RunResult(Readable):
    """
    What became of a run, with everything that explains it.

    Attributes:
        key: The run; None only for something that is no auto-pay at all.
        status: How it ended.
        record: The run as it stands in the store; None if it has no record.
        reason: Stable code, such as ``"Declined"``.
        detail: The same for a person.

    """

    key: RunKey | None
    status: RunStatus
    record: RunRecord | None = None
    reason: str = ""
    detail: str = ""

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


def tell(notices: Sequence[Notice], committed: Committed) -> Flow[None]:
    """
    Deliver what was committed, unless it was told before.

    What the notifier does not accept stays to be offered again.
    """
    delivered: list[str] = []
    for notice in notices:
        if notice.key not in committed.new_notices:
            continue
        try:
            yield Send(notice)
        except PortError:
            continue
        delivered.append(notice.key)
    if delivered:
        yield from commit(Change(delivered=tuple(delivered)))


def finish(change: Change) -> Flow[RunResult | None]:
    """Commit a run's step and tell of it; None if the store had moved on."""
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return None
    yield from tell(change.notices, written)
    return result_of(change.runs[-1])


def collect(
    autopay: AutoPay,
    occurrence: Occurrence,
    terms: Terms,
    standing: Standing | None = None,
    *,
    as_of: date | None = None,
) -> Flow[RunResult]:
    """
    Take one due run from look-up to posting, or go on where it was left.

    The intent is on the books before money moves; once it is there it is
    what is charged, whatever the invoices say by then (R1, R3).

    Args:
        autopay: The standing order.
        occurrence: What is due.
        terms: The gateway's promises and the host's secret.
        standing: What was read a moment ago; None to read it now.
        as_of: The date that the caller calls today, on which it is charged;
            None for the occurrence's charge date.

    Returns:
        The result; a finished run returns the same one for ever (R5).

    """
    key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
    on = occurrence.charge_on if as_of is None else as_of
    held: dict[str, Money] = {}
    for _ in range(PLANS_MOST):
        if standing is None:
            standing = yield from read_standing(
                key, autopay.method.fingerprint
            )
        done = yield from _settled_before(
            standing, key, terms, is_off=turned_off(autopay, on)
        )
        if done is not None:
            return done
        try:
            change = yield from _decide(
                autopay, key, on, terms, standing, held
            )
        except PortError as error:
            return (yield from _postpone(autopay, key, on, error, standing))
        written = yield from commit(change)
        if isinstance(written, Committed):
            [record] = change.runs
            if record.state is RunState.OPEN:
                return (yield from _take(record, terms))
            yield from tell(change.notices, written)
            return result_of(record)
        held.update(written.open_amounts)
        standing = None
    return RunResult(
        key=key,
        status=RunStatus.POSTPONED,
        reason="Busy",
        detail="Other runs kept changing what is open; the next sweep tries.",
    )


def _settled_before(
    standing: Standing,
    key: RunKey,
    terms: Terms,
    *,
    is_off: bool,
) -> Flow[RunResult | None]:
    """Return the result if there is nothing to plan: done, or in doubt."""
    record = standing.run
    if record is not None and record.state.is_finished:
        return result_of(record)
    for other in standing.unfinished:
        if other.key != key and other.state.is_doubtful:
            result = yield from recover_one(other, terms, is_off=is_off)
            if result.status in (RunStatus.OPEN, RunStatus.REVIEW):
                return RunResult(
                    key=key,
                    status=RunStatus.BLOCKED,
                    record=record,
                    reason="InDoubt",
                    detail=f"The run {other.key} is not resolved yet.",
                )
    if record is None or record.state is RunState.ANNOUNCED:
        return None
    if record.state is not RunState.WAITING:
        return (yield from recover_one(record, terms, is_off=is_off))
    if record.next_try_at is not None and standing.now < record.next_try_at:
        return result_of(record)
    return None


def _decide(
    autopay: AutoPay,
    key: RunKey,
    on: date,
    terms: Terms,
    standing: Standing,
    held: Mapping[str, Money],
) -> Flow[Change]:
    """Plan the run and return the step to write: an intent, or its end."""
    before = standing.run
    draft = draft_of(before, autopay, key, on)
    verdict: Verdict | None = _ruled_out(autopay, key, on, standing)
    if verdict is not None:
        return close(before, draft, autopay.name, verdict)
    represented = presented_again(autopay, on, before)
    ceilings = draft.announced
    if ceilings is None and represented is not None:
        ceilings = represented.allocation.amounts
    try:
        plan = yield from plan_run(
            autopay, key.nominal_on, on, terms, held=held, ceilings=ceilings
        )
        check_chargeable(plan.allocation.total, terms.capabilities)
    except InvalidValueError as error:
        return close(before, draft, autopay.name, _unusable(error))
    total = plan.allocation.total
    policy = autopay.advance_notice
    if not total.is_positive:
        verdict = why_nothing(plan, standing)
    elif represented is not None and total != represented.request.amount:
        verdict = _AMOUNT_CHANGED
    elif (
        policy is not None
        and draft.announced is None
        and not policy.allows(total)
    ):
        verdict = _NOTICE_MISSING
    else:
        return intend(autopay, terms, standing, draft, plan)
    return close(before, draft, autopay.name, verdict, plan.allocation)


def _ruled_out(
    autopay: AutoPay, key: RunKey, on: date, standing: Standing
) -> Verdict | None:
    """Tell what keeps a run from being planned at all (R7, A3)."""
    if standing.is_stopped or turned_off(autopay, on):
        return _STOPPED
    if standing.is_clock_suspect:
        raise PortUnavailableError(
            "the store's clock is behind what it said before",
            code="ClockSuspect",
        )
    return None if in_force(autopay, key.nominal_on) else _NO_ASSOCIATIONS


def _unusable(error: InvalidValueError) -> Verdict:
    """Tell that the matter data cannot be used, and whose alarm it is (A2)."""
    if isinstance(error, ForeignInvoiceError):
        return Verdict(
            RunState.FAILED,
            error.code,
            f"{error.message} ({error.path})",
            (NoticeKind.FAILED, NoticeKind.SECURITY_EVENT),
        )
    return Verdict(
        RunState.FAILED,
        error.code,
        f"The matter data cannot be used: {error}",
        (NoticeKind.FAILED,),
    )


_STOPPED: Final = Verdict(
    RunState.CANCELLED,
    "Stopped",
    "The auto-pay was turned off, or its payment method removed.",
)
_NO_ASSOCIATIONS: Final = Verdict(
    RunState.NOTHING_DUE,
    "NoAssociations",
    "Nothing is enrolled, so nothing is paid.",
    (NoticeKind.NOTHING_DUE,),
)
_AMOUNT_CHANGED: Final = Verdict(
    RunState.FAILED,
    "RetryAmountChanged",
    "A bank debit may only be presented again for the same amount.",
    (NoticeKind.FAILED,),
)
_NOTICE_MISSING: Final = Verdict(
    RunState.CANCELLED,
    "NoticeMissing",
    "The debit was not announced in time, so it is not taken.",
    (NoticeKind.FAILED,),
)


def _postpone(
    autopay: AutoPay,
    key: RunKey,
    on: date,
    error: PortError,
    standing: Standing,
) -> Flow[RunResult]:
    """
    Leave the run for the next sweep, and say so once (N1).

    Nothing was charged and the run has no new state: data that cannot be
    read today may be there tomorrow.
    """
    detail = report_text(f"{error.code}: {error}; it is tried again.")
    notice = notice_for_run(
        NoticeKind.FAILED,
        key,
        payer=autopay.payer,
        on=on,
        name=autopay.name,
        reason=error.code,
        detail=detail,
        occasion="postponed",
    )
    yield from announce(notice)
    return RunResult(
        key=key,
        status=RunStatus.POSTPONED,
        record=standing.run,
        reason=error.code,
        detail=detail,
    )


def announce(*notices: Notice) -> Flow[None]:
    """Store notices that no run's step carries, and deliver them."""
    if not notices:
        return
    written = yield from commit(Change(notices=notices))
    if isinstance(written, Committed):
        yield from tell(notices, written)


# -- Taking the money --------------------------------------------------------


def _take(record: RunRecord, terms: Terms) -> Flow[RunResult]:
    """
    Send the request of a record that this flow has just written.

    `PortUnavailableError` on the first try of an attempt proves that it moved
    no money (PG-4); on a later one it says nothing about the tries before.
    """
    assert record.intent is not None
    attempt = record.attempts[-1]
    request = record.intent.request
    if request.not_after != attempt.deadline:  # of a later try
        request = attrs.evolve(request, not_after=attempt.deadline)
    outcome: ChargeOutcome
    charge: Charge | Confirm = Charge(request)
    if terms.capabilities.two_step:
        noted = yield from _with_reference(record, request)
        if isinstance(noted, RunResult):
            return noted
        record, charge = noted
    try:
        outcome = yield from take_money(charge)
    except PortUnavailableError as error:
        if attempt.tries == 1:
            return (
                yield from _finish_or_read(record, not_sent(record, error))
            )
        outcome = Indeterminate(detail=f"{error.code}: {error}")
    except PortError as error:
        outcome = Indeterminate(detail=f"{error.code}: {error}")
    return (yield from _conclude(record, outcome))


def _with_reference(
    record: RunRecord, request: ChargeRequest
) -> Flow[tuple[RunRecord, Confirm] | RunResult]:
    """
    Write a reference down before its use, unless one is on record.

    Money moves only for a reference on record (TS-1), so whatever keeps one
    from being made, nothing was sent.
    """
    reference = record.attempts[-1].reference
    if reference is None:
        try:
            reference = yield from ask(Prepare(request), str)
        except (PortError, HostProtocolError) as error:
            return (
                yield from _finish_or_read(record, not_sent(record, error))
            )
        change = prepared(record, reference)
        written = yield from commit(change)
        if isinstance(written, Conflict):
            return (yield from _overtaken(record, written))
        [record] = change.runs
    return record, Confirm(reference, request)


def _overtaken(record: RunRecord, conflict: Conflict) -> Flow[RunResult]:
    """Give way: somebody moved the run, or a stop order came (R7)."""
    if conflict.reason == "stopped":
        # No reference is on record, so none was or will be confirmed.
        return (yield from _finish_or_read(record, cancel(record)))
    return (yield from as_it_stands(record))


def _finish_or_read(record: RunRecord, change: Change) -> Flow[RunResult]:
    """Commit a step; if somebody was faster, return what stands instead."""
    result = yield from finish(change)
    if result is None:
        return (yield from as_it_stands(record))
    return result


def as_it_stands(record: RunRecord) -> Flow[RunResult]:
    """Read *record* again and return it as a result."""
    standing = yield from read_standing(record.key, record.attempts[-1].method)
    return result_of(record if standing.run is None else standing.run)


def _conclude(record: RunRecord, outcome: ChargeOutcome) -> Flow[RunResult]:
    """
    Write what became of the last attempt: outcome, postings and notices.

    Another worker may have moved the run meanwhile. An outcome that is
    definitive is not dropped for that: it is applied to what stands now.
    """
    key = record.attempts[-1].key
    while True:
        change = yield from conclusion(record, outcome)
        result = yield from finish(change)
        if result is not None:
            return result
        standing = yield from read_standing(
            record.key, record.attempts[-1].method
        )
        if standing.run is None:
            raise HostProtocolError(f"the record of {record.key} is gone")
        record = standing.run
        is_news = not isinstance(outcome, Indeterminate) and not (
            isinstance(outcome, Pending) and record.state is RunState.PENDING
        )
        is_current = (
            record.state in RESERVING_STATES and record.attempts[-1].key == key
        )
        if is_current and is_news:
            continue
        if isinstance(outcome, Captured) and not is_known(record, outcome):
            yield from _contradiction(record, outcome)
        return result_of(record)


def conclusion(record: RunRecord, outcome: ChargeOutcome) -> Flow[Change]:
    """Return the step for an outcome; a decline may be tried again (N3)."""
    if not isinstance(outcome, Declined) or mismatch(record, outcome):
        return conclude(record, outcome)
    assert record.intent is not None
    again: datetime | None = None
    if record.intent.retry is not None:
        attempt = record.attempts[-1]
        everywhere = yield from ask_many(
            ReadAttempts(
                attempt.method, attempt.began_at - timedelta(days=180)
            ),
            AttemptRecord,
        )
        again = next_attempt(
            record.intent.retry,
            outcome,
            record.intent.request.method,
            # What never left this machine was no try.
            tried=[
                each.began_at
                for each in record.attempts
                if each.outcome is not None or each is attempt
            ],
            everywhere=everywhere,
        )
    return decline(record, outcome, again)


def _contradiction(record: RunRecord, outcome: Captured) -> Flow[None]:
    """Raise the alarm: money was taken that the record says was not."""
    yield from announce(
        notice_for_run(
            NoticeKind.NEEDS_REVIEW,
            record.key,
            payer=record.payer,
            on=record.charge_on,
            name="" if record.intent is None else record.intent.name,
            amount=outcome.amount,
            reason="ContradictoryOutcome",
            detail=(
                f"The gateway says that payment {outcome.reference} was "
                f"taken, and the run is {record.state.value}; a gateway "
                "promise does not hold."
            ),
            occasion=f"contradiction {outcome.key}",
        )
    )


# -- Recovery ----------------------------------------------------------------


def recover_one(
    record: RunRecord, terms: Terms, *, is_off: bool = False
) -> Flow[RunResult]:
    """
    Go on with a run that was left under way (R4).

    Ask the gateway for the key; take a clear answer. Not found means nothing
    by itself: the same request goes out again under the same key while the
    gateway still keeps the key; a stopped one is let go only when it is
    proven that it can take no money; what is too old is parked for review,
    and looked up for ever.

    Args:
        record: Open, pending or in review.
        terms: The gateway's promises and the host's secret.
        is_off: The host says that it is turned off, as a stop order would.

    """
    method = record.attempts[-1].method if record.attempts else ""
    standing = yield from read_standing(record.key, method)
    record = record if standing.run is None else standing.run
    if standing.run is None or record.state not in RESERVING_STATES:
        return result_of(record)
    is_stopped = standing.is_stopped or is_off
    if _is_unprepared(record):
        return (
            yield from _prepare_again(
                record, standing, terms, is_stopped=is_stopped
            )
        )
    outcome = yield from look_up(record.attempts[-1].key)
    if isinstance(outcome, NotFound):
        settled = yield from _absent(
            record, standing, terms, is_stopped=is_stopped
        )
        if settled is not None:
            return settled
        detail = "The gateway does not know the request."
    elif isinstance(outcome, Indeterminate):
        detail = f"The gateway is not sure. {outcome.detail}"
    elif _is_news(record, outcome):
        return (yield from _conclude(record, outcome))
    else:
        detail = ""
    change = wait(record, standing.now, detail, terms)
    return (yield from _finish_or_read(record, change))


def _is_unprepared(record: RunRecord) -> bool:
    """
    Tell whether a gateway of two steps has moved nothing (TS-1).

    Money moves only for a reference on record.
    """
    attempt = record.attempts[-1]
    return (
        attempt.two_step
        and record.state is RunState.OPEN
        and attempt.reference is None
    )


def _prepare_again(
    record: RunRecord, standing: Standing, terms: Terms, *, is_stopped: bool
) -> Flow[RunResult]:
    """Go on with a run that surely moved nothing, or let it go (R7)."""
    if is_stopped:
        return (yield from _finish_or_read(record, cancel(record)))
    if not is_of_form(record, terms):
        change = not_sent(record, _NO_FORM)
        return (yield from _finish_or_read(record, change))
    return (yield from _send_again(record, standing, terms))


_NO_FORM: Final = PortUnavailableError(
    "the gateway has one step now", code="GatewayForm"
)


def _absent(
    record: RunRecord, standing: Standing, terms: Terms, *, is_stopped: bool
) -> Flow[RunResult | None]:
    """Act on a request that the gateway does not know, or wait (R4, R7)."""
    if record.state is RunState.PENDING and standing.now >= key_ends(
        record, terms
    ):
        # It was accepted once, so only a person can tell what became of it.
        later = look_later(record.attempts[-1].began_at, standing.now)
        change = review(
            record,
            "Unresolved",
            "The gateway has forgotten a debit that it had accepted.",
            later,
        )
        return (yield from _finish_or_read(record, change))
    if record.state is not RunState.OPEN or standing.is_clock_suspect:
        return None
    if not is_of_form(record, terms):
        # Another gateway knows nothing of it, so its word proves nothing.
        return None
    if is_stopped:
        return (yield from _let_go(record, standing, terms))
    if terms.capabilities.two_step or key_lives(record, standing.now, terms):
        return (yield from _send_again(record, standing, terms))
    return None


def _let_go(
    record: RunRecord, standing: Standing, terms: Terms
) -> Flow[RunResult | None]:
    """End a stopped run once it is proven that it can take no money (R7)."""
    if not is_proven_absent(record, standing.now, terms):
        return None
    # Of a capture whose key it has forgotten, a gateway says "not found",
    # too, and time went by since the clock was read.
    asked = yield from read_standing(record.key, record.attempts[-1].method)
    if asked.is_clock_suspect or asked.now >= key_ends(record, terms):
        return None
    return (yield from _finish_or_read(record, cancel(record)))


def _is_news(
    record: RunRecord, outcome: Captured | Pending | Declined
) -> bool:
    """Tell whether a look-up says more than the record knows."""
    if record.state is RunState.PENDING and isinstance(outcome, Pending):
        return False
    # In review the same wrong answer was told before.
    return record.state is not RunState.REVIEW or not mismatch(record, outcome)


def _send_again(
    record: RunRecord, standing: Standing, terms: Terms
) -> Flow[RunResult]:
    """Send the same request again under the same key (R4)."""
    if standing.is_clock_suspect:
        change = wait(record, standing.now, "The clock is wrong.", terms)
        return (yield from _finish_or_read(record, change))
    change = try_again(record, standing.now)
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return (yield from as_it_stands(record))
    return (yield from _take(change.runs[0], terms))
