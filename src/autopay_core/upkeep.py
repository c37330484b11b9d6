"""
What is done around single runs: an auto-pay's turn, and people's orders.

Holds: the flows of a sweep, of notices, postings, reversals, stop orders and
attestations (S12, N2, N4, P2 to P4, R7). Imports: `flow` and what it imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import attrs

from autopay_core._checks import check_text, clean_text
from autopay_core.autopay import (
    AutoPay,
    autopay_notices,
    due,
    upcoming,
)
from autopay_core.charges import (
    Captured,
    Declined,
    RunKey,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    PostingMove,
    Standing,
    StopOrder,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
    StandingOrderError,
)
from autopay_core.flow import (
    RunResult,
    RunStatus,
    announce,
    as_it_stands,
    collect,
    conclusion,
    finish,
    recover_one,
    result_of,
    tell,
)
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.planning import (
    look_ahead,
)
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    RunRecord,
    RunState,
    move_posting,
    reversal_postings,
)
from autopay_core.requests import (
    Claim,
    Flow,
    ReadUndelivered,
    Send,
    Terms,
    ask,
    ask_many,
    commit,
    read_standing,
)
from autopay_core.schedules import Occurrence, split_missed
from autopay_core.steps import (
    mismatch,
    next_version,
    pay,
    turned_off,
)

__all__ = [
    "NOTICES_AT_ONCE",
    "advance_postings",
    "attest",
    "deliver",
    "reverse",
    "run_one",
    "stop",
    "sweep_one",
]

NOTICES_AT_ONCE: Final = 1_000
"""How many notices are offered before they are marked; if all of them can
never be accepted, newer ones wait for a person to help."""


# -- An auto-pay's turn in a sweep -------------------------------------------


def sweep_one(
    autopay: AutoPay, as_of: date, terms: Terms, *, claim_seconds: int = 0
) -> Flow[tuple[RunResult, ...]]:
    """
    Do all that is to be done for one auto-pay on a date (S12, R4, N2).

    Finish what was left open, record what was missed, run what is due,
    announce what is coming, and tell what there is to tell.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.
        claim_seconds: Claim each run for so long, so that other workers
            leave it alone; 0 claims nothing.

    """
    yield from announce(*autopay_notices(autopay, as_of))
    latest = autopay.schedule.previous_on_or_before(
        as_of, pauses=autopay.pauses, skips=autopay.skips
    )
    nominal_on = as_of if latest is None else latest.nominal_on
    key = RunKey(autopay=autopay.id, nominal_on=nominal_on)
    standing = yield from read_standing(key, autopay.method.fingerprint)
    results = yield from _go_on(autopay, as_of, terms, standing)
    if results:
        standing = yield from read_standing(key, autopay.method.fingerprint)
    after = None if standing.latest is None else standing.latest.key.nominal_on
    to_run, missed = split_missed(
        due(autopay, as_of, after=after), autopay.missed, as_of=as_of
    )
    recorded = yield from _record_missed(autopay, missed, standing)
    results.extend(recorded)
    if len(recorded) < len(missed):
        return tuple(results)  # Another worker is at it.
    for occurrence in to_run:
        run_key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
        if claim_seconds and not (
            yield from ask(Claim(run_key, claim_seconds), bool)
        ):
            break
        is_fresh = run_key == key and not results
        result = yield from collect(
            autopay,
            occurrence,
            terms,
            standing if is_fresh else None,
            as_of=as_of,
        )
        results.append(result)
        if result.status in (RunStatus.POSTPONED, RunStatus.BLOCKED):
            # A later run on record would hide this one from the next sweep.
            break
    if autopay.advance_notice is not None:
        results.extend((yield from _announce_ahead(autopay, as_of, terms)))
    return tuple(results)


def run_one(
    autopay: AutoPay, occurrence: Occurrence, as_of: date, terms: Terms
) -> Flow[RunResult]:
    """
    Run one occurrence because somebody asked for it (R1, S12).

    What fell due before it and is not on record would be hidden by it from
    every later sweep, so it is put on record as missed first.

    Args:
        autopay: The standing order.
        occurrence: What to run.
        as_of: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.

    """
    key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
    standing = yield from read_standing(key, autopay.method.fingerprint)
    latest = standing.latest
    earlier = [
        each
        for each in due(
            autopay,
            as_of,
            after=None if latest is None else latest.key.nominal_on,
        )
        if each.nominal_on < occurrence.nominal_on
    ]
    yield from _record_missed(autopay, earlier, standing)
    return (
        yield from collect(autopay, occurrence, terms, standing, as_of=as_of)
    )


def _go_on(
    autopay: AutoPay, as_of: date, terms: Terms, standing: Standing
) -> Flow[list[RunResult]]:
    """Go on with what was left under way and may be looked at again."""
    results: list[RunResult] = []
    for record in standing.unfinished:
        if (
            record.next_try_at is not None
            and standing.now < record.next_try_at
        ):
            continue
        if record.state is RunState.WAITING:
            occurrence = Occurrence(
                nominal_on=record.key.nominal_on, charge_on=record.charge_on
            )
            results.append(
                (yield from collect(autopay, occurrence, terms, as_of=as_of))
            )
        elif record.state is not RunState.ANNOUNCED:
            results.append(
                (
                    yield from recover_one(
                        record, terms, is_off=turned_off(autopay, as_of)
                    )
                )
            )
    return results


def _record_missed(
    autopay: AutoPay, missed: Sequence[Occurrence], standing: Standing
) -> Flow[list[RunResult]]:
    """Put on record what was not run, in one step (S12)."""
    known = {each.key: each for each in standing.unfinished}
    records: list[RunRecord] = []
    for occurrence in missed:
        key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
        before = known.get(key)
        records.append(
            RunRecord(
                key=key,
                payer=autopay.payer,
                version=next_version(before, RunState.MISSED, key),
                state=RunState.MISSED,
                charge_on=occurrence.charge_on,
                reason="Missed",
                detail="The host did not run on that date.",
            )
        )
    if not records:
        return []
    written = yield from commit(Change(runs=tuple(records)))
    if isinstance(written, Conflict):
        return []  # Another worker wrote them.
    return [result_of(each) for each in records]


def _announce_ahead(
    autopay: AutoPay, as_of: date, terms: Terms
) -> Flow[list[RunResult]]:
    """
    Announce amount and date of the next debit, once, in good time (N4).

    The announcement is on record only when the notifier has accepted it;
    until then the run may not take money.
    """
    policy = autopay.advance_notice
    assert policy is not None
    occurrence = upcoming(autopay, as_of + timedelta(days=policy.days))
    if occurrence is None or (
        (occurrence.charge_on - as_of).days > policy.days + _ANNOUNCE_DAYS
    ):
        return []
    key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
    standing = yield from read_standing(key, autopay.method.fingerprint)
    if standing.run is not None or standing.is_stopped:
        return []
    try:
        allocation = yield from look_ahead(
            autopay, occurrence.nominal_on, occurrence.charge_on, terms
        )
    except (InvalidValueError, PortError):
        return []  # The run itself will say what is wrong.
    if not allocation.total.is_positive or policy.allows(allocation.total):
        return []
    record = RunRecord(
        key=key,
        payer=autopay.payer,
        version=next_version(None, RunState.ANNOUNCED, key),
        state=RunState.ANNOUNCED,
        charge_on=occurrence.charge_on,
        plan=allocation,
        announced=allocation.amounts,
    )
    notice = notice_for_run(
        NoticeKind.UPCOMING,
        key,
        payer=autopay.payer,
        on=occurrence.charge_on,
        name=autopay.name,
        amount=allocation.total,
        reason="Upcoming",
        detail=f"At most this is debited on {occurrence.charge_on}.",
        # Another amount on another day is another announcement.
        occasion=str(allocation.total),
    )
    yield from commit(Change(notices=(notice,)))
    try:
        yield Send(notice)
    except PortError:
        return []
    written = yield from commit(
        Change(runs=(record,), delivered=(notice.key,))
    )
    return [] if isinstance(written, Conflict) else [result_of(record)]


_ANNOUNCE_DAYS: Final = 4
"""An announcement goes out this much earlier, so that one late sweep is none
too late."""


# -- What people and the ledger do -------------------------------------------


def deliver(most: int = NOTICES_AT_ONCE) -> Flow[int]:
    """
    Offer notices again that were not accepted yet; return how many were.

    Each is offered once a call. One that is refused holds up no other; a
    notifier that is down ends the call.
    """
    refused: set[str] = set()
    count = 0
    while True:
        wanted = ReadUndelivered(most + len(refused))
        notices = yield from ask_many(wanted, Notice)
        offered = [each for each in notices if each.key not in refused]
        delivered: list[str] = []
        is_down = False
        for notice in offered:
            try:
                yield Send(notice)
            except PortUnavailableError:
                is_down = True
                break
            except PortError:
                refused.add(notice.key)
            else:
                delivered.append(notice.key)
        if delivered:
            yield from commit(Change(delivered=tuple(delivered)))
            count += len(delivered)
        if is_down or len(offered) < most:
            return count


def advance_postings(
    postings: Sequence[Posting],
    to: PostingStatus,
    *,
    by: str = "",
    note: str | None = None,
) -> Flow[tuple[Posting, ...] | None]:
    """
    Move postings one step further in their life, all or none (P2, P3).

    Args:
        postings: As they were read.
        to: Their next status.
        by: Who asked for it.
        note: Why they are incomplete or were removed.

    Returns:
        The postings as they stand now; None if one of them had moved.

    Raises:
        TransitionError: There is no such step.

    """
    check_text(by, "by", most=128)
    postings = tuple(dict.fromkeys(postings))
    moves = tuple(
        PostingMove(before=each, after=move_posting(each, to, note=note))
        for each in postings
    )
    notices: tuple[Notice, ...] = ()
    if to is PostingStatus.INCOMPLETE:
        notices = tuple(
            notice_for_run(
                NoticeKind.POSTING_INCOMPLETE,
                each.run,
                payer=each.payer,
                on=each.charged_on,
                amount=each.amount,
                reason="PostingIncomplete",
                detail=f"Invoice {each.invoice}: {note or 'see posting'}",
                occasion=str(each.id),
            )
            for each in postings
        )
    written = yield from commit(
        Change(moves=moves, notices=notices, by=by, reason=note or "")
    )
    if isinstance(written, Conflict):
        return None
    yield from tell(notices, written)
    return tuple(each.after for each in moves)


def reverse(
    key: RunKey, reversal: Reversal, *, by: str = ""
) -> Flow[RunResult]:
    """
    Record that captured money went back, once for each event (P4).

    Raises:
        InvalidValueError: The run is not paid (``NotCaptured``), more would
            go back than was captured, or the event came before with another
            content (both ``ReversalExceeds`` or ``EventConflict``).

    """
    while True:
        standing = yield from read_standing(key, "")
        record = standing.run
        if record is None or record.state is not RunState.PAID:
            raise InvalidValueError(
                f"the run {key} took no money, so none goes back; keep the "
                "event and look again later",
                code="OrphanEvent",
                path="key",
                value=str(key),
            )
        for known in record.reversals:
            if known.event == reversal.event:
                if known != reversal:
                    raise InvalidValueError(
                        "the event came before with another content",
                        code="EventConflict",
                        path="event",
                        value=reversal.event,
                    )
                return result_of(record)
        after = attrs.evolve(
            record,
            version=next_version(record, record.state, key),
            reversals=(*record.reversals, reversal),
        )
        notice = notice_for_run(
            NoticeKind.RETURNED,
            key,
            payer=record.payer,
            on=reversal.on,
            amount=reversal.amount,
            reason=reversal.kind.name.title(),
            detail=f"{reversal.amount} went back.",
            occasion=reversal.event,
        )
        written = yield from commit(
            Change(
                runs=(after,),
                postings=reversal_postings(record, reversal),
                notices=(notice,),
                by=by,
                reason=reversal.kind.value,
            )
        )
        if isinstance(written, Committed):
            yield from tell((notice,), written)
            return result_of(after)


def stop(order: StopOrder) -> Flow[None]:
    """Put a stop order on record: nothing is sent from here on (R7)."""
    yield from commit(Change(stops=(order,), by=order.by, reason=order.reason))


def attest(
    key: RunKey,
    outcome: Captured | Declined,
    *,
    by: str,
    reason: str,
    evidence: str,
) -> Flow[RunResult]:
    """
    Resolve a run in review by a person's word (R4).

    Args:
        key: The run.
        outcome: What a person found out, under the attempt's key; a capture
            may be of less than was asked for, which goes to the oldest
            invoices.
        by: Who says so.
        reason: Why it had to be said.
        evidence: Where it can be checked, such as a statement's number.

    Raises:
        StandingOrderError: The run is not in review (``NotInReview``).
        InvalidValueError: A word is missing, or the outcome is of another
            key or currency, or of more than was asked for.

    """
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason", empty=False)
    check_text(evidence, "evidence", empty=False)
    standing = yield from read_standing(key, "")
    record = standing.run
    if record is None or record.state is not RunState.REVIEW:
        raise StandingOrderError(
            f"the run {key} is not in review",
            code="NotInReview",
            path="key",
            value=str(key),
        )
    wrong = mismatch(record, outcome, may_be_less=True)
    if wrong:
        raise InvalidValueError(wrong, code="GatewayMismatch", path="outcome")
    change = attrs.evolve(
        pay(record, outcome)
        if isinstance(outcome, Captured)
        else (yield from conclusion(record, outcome)),
        by=by,
        reason=clean_text(f"{reason} ({evidence})"),
    )
    result = yield from finish(change)
    if result is None:
        return (yield from as_it_stands(record))
    return result
