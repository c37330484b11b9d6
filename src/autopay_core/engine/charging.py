"""
How money is taken, and how the answer is written down (R1 to R4, R8).

Holds: the flows from an intent on record to an outcome on record. Imports:
`breaking`, `steps`, `telling`, `requests`, `holds` and the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

import attrs

from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    Declined,
    Indeterminate,
)
from autopay_core.commits import (
    Change,
    Conflict,
    ConflictReason,
    Incident,
)
from autopay_core.engine.breaking import guarded
from autopay_core.engine.requests import (
    Charge,
    Confirm,
    Flow,
    ReadAttempts,
    Terms,
    ask_many,
    commit,
    read_standing,
    take_money,
)
from autopay_core.engine.steps import (
    conclude,
    decline,
    is_as_before,
    is_known,
    mismatch,
    not_sent,
    over,
    reference_reused,
    withdraw,
)
from autopay_core.engine.telling import announce, tell
from autopay_core.errors import (
    HostProtocolError,
    PortError,
    PortUnavailableError,
)
from autopay_core.holds import hold_for_decline
from autopay_core.notices import NoticeKind, notice_for_run
from autopay_core.retries import (
    AnotherMethod,
    AttemptRecord,
    Retry,
    after_decline,
)
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunResult,
    result_of,
)

__all__ = [
    "as_it_stands",
    "conclusion",
    "finish",
    "finish_or_read",
    "settle",
    "stands",
    "take",
]


def finish(change: Change) -> Flow[RunResult | None]:
    """Commit a run's step and tell of it; None if the store had moved on."""
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return None
    yield from tell(change.notices, written)
    return result_of(change.runs[-1])


# -- Taking the money --------------------------------------------------------


def take(
    record: RunRecord,
    terms: Terms,
    on: date,
    incidents: Sequence[Incident] = (),
) -> Flow[RunResult]:
    """
    Send the request of a record that this flow has just written.

    `PortUnavailableError` on the first try of an attempt proves that it moved
    no money (PG-4); on a later one it says nothing about the tries before.

    Args:
        record: The run, with its intent.
        terms: The host's.
        on: The firm's day, on which it is late if nothing can be sent.
        incidents: Those under way; a clear answer ends the gateway's (N1).

    """
    assert record.intent is not None
    attempt = record.attempts[-1]
    request = record.intent.request
    if request.not_after != attempt.deadline:  # of a later try
        request = attrs.evolve(request, not_after=attempt.deadline)
    outcome: ChargeOutcome
    charge: Charge | Confirm = Charge(request)
    if attempt.reference is not None:
        charge = Confirm(attempt.reference, request)
    try:
        outcome = yield from take_money(charge)
    except PortUnavailableError as error:
        if attempt.tries == 1:
            if error.code == "KeyCancelled":
                # Called off by another turn: the key is of no use any more.
                change = withdraw(record, "It was called off at the gateway.")
            else:
                change = not_sent(record, error, on)
            return (yield from finish_or_read(record, change))
        outcome = Indeterminate(detail=f"{error.code}: {error}")
    except PortError as error:
        outcome = Indeterminate(
            detail=f"{error.code}: {error}", unexpected=True
        )
    return (yield from settle(record, outcome, terms, incidents))


def finish_or_read(record: RunRecord, change: Change) -> Flow[RunResult]:
    """Commit a step; if somebody was faster, return what stands instead."""
    result = yield from finish(change)
    if result is None:
        return (yield from as_it_stands(record))
    return result


def stands(record: RunRecord) -> Flow[RunRecord]:
    """Read *record* again."""
    method = record.attempts[-1].method if record.attempts else ""
    standing = yield from read_standing(record.key, method, record.payer)
    return record if standing.run is None else standing.run


def as_it_stands(record: RunRecord) -> Flow[RunResult]:
    """Read *record* again and return it as a result."""
    return result_of((yield from stands(record)))


def settle(
    record: RunRecord,
    outcome: ChargeOutcome,
    terms: Terms,
    incidents: Sequence[Incident] = (),
) -> Flow[RunResult]:
    """
    Write what became of the last attempt: outcome, postings and notices.

    Another worker may have moved the run meanwhile. An outcome that is
    definitive is not dropped for that: it is applied to what stands now.
    """
    key = record.attempts[-1].key
    while True:
        change = yield from conclusion(record, outcome, terms)
        if not isinstance(outcome, Indeterminate):
            ended, told = over(
                incidents, "gateway", record.attempts[-1].began_at
            )
            change = attrs.evolve(
                change, incidents=ended, notices=(*change.notices, *told)
            )
        written = yield from commit(change)
        if not isinstance(written, Conflict):
            yield from tell(change.notices, written)
            return result_of(change.runs[-1])
        if written.reason is ConflictReason.REFERENCE:
            change = reference_reused(record, outcome)
            result = yield from finish(change)
            if result is not None:
                return result
        standing = yield from read_standing(
            record.key, record.attempts[-1].method, record.payer
        )
        if standing.run is None:
            raise HostProtocolError(f"the record of {record.key} is gone")
        record = standing.run
        is_news = not isinstance(outcome, Indeterminate) and not is_as_before(
            record, outcome
        )
        is_current = (
            record.state in RESERVING_STATES and record.attempts[-1].key == key
        )
        if is_current and is_news:
            continue
        if isinstance(outcome, Captured) and not is_known(record, outcome):
            yield from _contradiction(record, outcome)
        return result_of(record)


def conclusion(
    record: RunRecord, outcome: ChargeOutcome, terms: Terms
) -> Flow[Change]:
    """Return the step for an outcome; a decline may be tried again (N3)."""
    if isinstance(outcome, Declined) and not mismatch(record, outcome):
        return (yield from answer_no(record, outcome, terms))
    change = conclude(record, outcome)
    if terms.capabilities.unique_references:
        change = attrs.evolve(change, unique_references=True)
    if isinstance(outcome, Indeterminate) and outcome.unexpected:
        return (yield from guarded(change, terms))
    return change


def answer_no(
    record: RunRecord, declined: Declined, terms: Terms
) -> Flow[Change]:
    """Return the step for a decline of an attempt under way (H2, N3)."""
    intent, attempt = record.intent, record.attempts[-1]
    assert intent is not None
    method = intent.request.method
    standing = yield from read_standing(
        record.key, attempt.method, record.payer
    )
    on = terms.policy.date_of(standing.now)
    held = hold_for_decline(declined, method, on=on, since=standing.now)
    left: Retry | AnotherMethod | None = None
    if intent.retry is not None:
        tried = _tried(record)
        since = standing.now - timedelta(days=_WINDOW_DAYS_MOST)
        everywhere = yield from ask_many(
            ReadAttempts(attempt.method, since), AttemptRecord
        )
        left = after_decline(
            intent.retry,
            declined,
            method,
            known_on=on,
            tries=len(tried),
            first_on=terms.policy.date_of(tried[0]),
            calendar=intent.calendar,
            declines=_with(attempt.began_at, everywhere),
            not_before=declined.not_before,
            zone=terms.policy.zone,
            is_method_held=held is not None,
        )
    again = at = None
    if isinstance(left, Retry):
        again = left.on
        at = left.at or terms.policy.begin_of(left.on)
    change = decline(
        record,
        declined,
        again,
        at=at,
        awaits_method=isinstance(left, AnotherMethod),
        holds=() if held is None else (held,),
    )
    return (yield from guarded(change, terms))


def _with(
    began_at: datetime, everywhere: Sequence[AttemptRecord]
) -> list[datetime]:
    """Return when attempts were made, this one once (N3)."""
    times = [each.at for each in everywhere]
    return times if began_at in times else [*times, began_at]


_WINDOW_DAYS_MOST: Final = 30
"""The longest window of a network that counts attempts."""


def _tried(record: RunRecord) -> list[datetime]:
    """Return when the attempts on the current method were made (N3)."""
    last = record.attempts[-1]
    return [
        each.began_at
        for each in record.attempts
        if each.method == last.method
        # What never left this machine, or was called off, was no try.
        and (isinstance(each.outcome, Declined) or each is last)
    ]


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
