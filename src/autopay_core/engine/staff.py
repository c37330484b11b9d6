"""
What people and the ledger do to runs and postings (P2 to P4, R4, R7).

Holds: the flows of postings, reversals, stop orders and attestations.
Imports: `charging`, `telling`, `steps`, `requests` and the values.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from autopay_core._checks import check_text, clean_text
from autopay_core.charges import Captured, Declined
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    PostingFilter,
    PostingMove,
    StopOrder,
)
from autopay_core.engine.charging import as_it_stands, conclusion, finish
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadPostings,
    ask_many,
    commit,
    read_standing,
)
from autopay_core.engine.steps import mismatch, next_version, pay
from autopay_core.engine.telling import tell
from autopay_core.errors import InvalidValueError
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.postings import (
    Posting,
    PostingStatus,
    PostingView,
    Reversal,
    move_posting,
)
from autopay_core.references import RunKey
from autopay_core.runs import RunResult, RunState, result_of, reversal_postings

__all__ = [
    "advance_postings",
    "attest",
    "read_postings",
    "reverse",
    "stop",
]


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
        InvalidValueError: There is no such step.

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
        InvalidValueError: The run took no money (``OrphanEvent``), more would
            go back than was captured (``ReversalExceeds``), or the event came
            before with another content (``EventConflict``).
        CurrencyMismatchError: The reversal is in another currency.

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
        InvalidValueError: The run is not in review (``NotInReview``). A word
            is missing, or the outcome is of another key or currency, or of
            more than was asked for.

    """
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason", empty=False)
    check_text(evidence, "evidence", empty=False)
    standing = yield from read_standing(key, "")
    record = standing.run
    if record is None or record.state is not RunState.REVIEW:
        raise InvalidValueError(
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


def read_postings(
    view: PostingView, invoice: str | None
) -> Flow[list[Posting]]:
    """Read all the posting records that a view shows, page by page (P3)."""
    found: list[Posting] = []
    wanted = PostingFilter(
        statuses=view.statuses, invoice=invoice, most=READ_AT_ONCE
    )
    while True:
        page = yield from ask_many(ReadPostings(wanted), Posting)
        found.extend(page)
        if len(page) < READ_AT_ONCE:
            return found
        wanted = attrs.evolve(wanted, after=found[-1].id)
