"""
How money is taken, and how the answer is written down (R1 to R4, R8).

Holds: the flows from an intent on record to an outcome on record. Imports:
`steps`, `telling`, `requests` and the values.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    Pending,
)
from autopay_core.commits import Change, Conflict, ConflictReason
from autopay_core.engine.requests import (
    Charge,
    Confirm,
    Flow,
    Prepare,
    ReadAttempts,
    Terms,
    ask,
    ask_many,
    commit,
    read_standing,
    take_money,
)
from autopay_core.engine.steps import (
    cancel,
    conclude,
    decline,
    is_known,
    mismatch,
    not_sent,
    prepared,
)
from autopay_core.engine.telling import announce, tell
from autopay_core.errors import (
    HostProtocolError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import NoticeKind, notice_for_run
from autopay_core.retries import AttemptRecord, next_attempt
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunResult,
    RunState,
    result_of,
)

__all__ = [
    "as_it_stands",
    "conclusion",
    "finish",
]


def finish(change: Change) -> Flow[RunResult | None]:
    """Commit a run's step and tell of it; None if the store had moved on."""
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return None
    yield from tell(change.notices, written)
    return result_of(change.runs[-1])


# -- Taking the money --------------------------------------------------------


def take(record: RunRecord, terms: Terms) -> Flow[RunResult]:
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
            return (yield from finish_or_read(record, not_sent(record, error)))
        outcome = Indeterminate(detail=f"{error.code}: {error}")
    except PortError as error:
        outcome = Indeterminate(detail=f"{error.code}: {error}")
    return (yield from settle(record, outcome))


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
            return (yield from finish_or_read(record, not_sent(record, error)))
        change = prepared(record, reference)
        written = yield from commit(change)
        if isinstance(written, Conflict):
            return (yield from _overtaken(record, written))
        [record] = change.runs
    return record, Confirm(reference, request)


def _overtaken(record: RunRecord, conflict: Conflict) -> Flow[RunResult]:
    """Give way: somebody moved the run, or a stop order came (R7)."""
    if conflict.reason is ConflictReason.STOPPED:
        # No reference is on record, so none was or will be confirmed.
        return (yield from finish_or_read(record, cancel(record)))
    return (yield from as_it_stands(record))


def finish_or_read(record: RunRecord, change: Change) -> Flow[RunResult]:
    """Commit a step; if somebody was faster, return what stands instead."""
    result = yield from finish(change)
    if result is None:
        return (yield from as_it_stands(record))
    return result


def as_it_stands(record: RunRecord) -> Flow[RunResult]:
    """Read *record* again and return it as a result."""
    standing = yield from read_standing(record.key, record.attempts[-1].method)
    return result_of(record if standing.run is None else standing.run)


def settle(record: RunRecord, outcome: ChargeOutcome) -> Flow[RunResult]:
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
