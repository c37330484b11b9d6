"""
What the firm's staff do at the desk where postings are managed (P5).

Holds: the flows of batches, of lists of postings and of their totals. Imports:
`telling`, `requests` and the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from autopay_core._checks import check_id, check_text
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    BatchState,
    LineAccepted,
    LineRefused,
    PostingTotal,
    RefusalReason,
    answer,
    export,
)
from autopay_core.commits import (
    BatchFilter,
    Change,
    Conflict,
    ConflictReason,
    Decoded,
    PostingFilter,
    PostingMove,
    Unreadable,
)
from autopay_core.engine.requests import (
    Flow,
    ReadBatch,
    ReadBatches,
    ReadPostings,
    ReadTotals,
    ask_either,
    ask_many,
    commit,
    id_of,
    read_all,
    read_now,
)
from autopay_core.engine.telling import incomplete, tell
from autopay_core.errors import HostProtocolError, InvalidValueError
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus, move_posting

__all__ = [
    "answer_batch",
    "export_batch",
    "find_postings",
    "list_batches",
    "make_batch",
    "posting_totals",
]


def make_batch(
    id: str,  # noqa: A002 - the word
    postings: Sequence[Posting],
    *,
    by: str,
    reason: str = "",
) -> Flow[Batch | Conflict]:
    """
    Put postings into a batch, all or none (P5).

    Args:
        id: The batch's; once, for ever.
        postings: Pending or queued, as they were read; in the order of the
            export.
        by: Who makes it.
        reason: Why, for the history.

    Returns:
        The batch, also if it is there already with the same postings; a
        `Conflict` with the ids of those that somebody else was faster with.

    Raises:
        InvalidValueError: One of the postings is neither pending nor queued
            (``PostingNotReady``); there is such a batch of other postings
            (``BatchExists``); there is none, or too many (``BatchSize``).

    """
    check_id(id, "id")
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason")
    postings = tuple(dict.fromkeys(postings))
    moves = tuple(
        PostingMove(before=each, after=_queued(each))
        for each in postings
        if each.status is not PostingStatus.QUEUED
    )
    known = yield from _same_batch(id, postings)
    if known is not None:
        return known
    made = Batch(
        id=id,
        made_at=(yield from read_now()),
        by=by,
        postings=tuple(_queued(each) for each in postings),
    )
    written = yield from commit(
        Change(batches=(made,), moves=moves, by=by, reason=reason)
    )
    if not isinstance(written, Conflict):
        return made
    # Made by a second click, or by a commit whose answer was lost.
    known = yield from _same_batch(id, postings)
    return written if known is None else known


def _queued(posting: Posting) -> Posting:
    """Return a posting as it stands in a batch."""
    if posting.status is PostingStatus.QUEUED:
        return posting
    if posting.status is PostingStatus.PENDING:
        return move_posting(posting, PostingStatus.QUEUED)
    raise InvalidValueError(
        f"only what is pending or queued goes into a batch, and {posting.id} "
        f"is {posting.status.value}",
        code="PostingNotReady",
        path="postings",
        value=posting.id,
    )


def _same_batch(
    id: str,  # noqa: A002 - the word
    postings: Sequence[Posting],
) -> Flow[Batch | None]:
    """Return the batch of an id, which has to be of the same postings."""
    found = yield from ask_many(ReadBatch(id), Batch)
    if not found:
        return None
    [known] = found
    if {each.id for each in known.postings} != {each.id for each in postings}:
        raise InvalidValueError(
            f"there is a batch {id} of other postings; take another id",
            code="BatchExists",
            path="id",
            value=id,
        )
    return known


def export_batch(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
) -> Flow[Batch]:
    """
    Put on record that a batch goes to the ledger; again is nothing (P5).

    Raises:
        InvalidValueError: There is no such batch (``BatchUnknown``).

    """
    check_text(by, "by", most=128, empty=False)
    while True:
        known = yield from _batch(id)
        if known.state is not BatchState.OPEN:
            return known
        after = export(known, at=(yield from read_now()), by=by)
        written = yield from commit(
            Change(batches=(after,), by=by, reason="exported")
        )
        if not isinstance(written, Conflict):
            return after
        _check_is_race(written)


def answer_batch(given: BatchAnswer, *, by: str) -> Flow[Batch]:
    """
    Take in what the ledger says of each line of a batch, at once (P5).

    What was accepted is posted, what was not sent waits again, and what was
    refused is incomplete and told.

    Raises:
        InvalidValueError: There is no such batch (``BatchUnknown``); it has
            another answer (``BatchAnswered``), or was not exported
            (``BatchNotExported``); the answer is of other lines
            (``BatchLines``) or does not add up (``ControlTotal``).

    """
    check_text(by, "by", most=128, empty=False)
    while True:
        known = yield from _batch(given.batch)
        after = answer(known, given, at=(yield from read_now()), by=by)
        if after is known:
            return known
        moves = _moves_of(after)
        notices = tuple(_notices_of(after, moves))
        written = yield from commit(
            Change(
                batches=(after,),
                moves=moves,
                notices=notices,
                by=by,
                reason="answered",
            )
        )
        if not isinstance(written, Conflict):
            yield from tell(notices, written)
            return after
        _check_is_race(written)


def _check_is_race(written: Conflict) -> None:
    """Refuse to go round for ever: a batch's postings move with it only."""
    if written.reason is not ConflictReason.BATCH or written.postings:
        raise HostProtocolError(
            "a posting of a batch that is not answered moved by itself; the "
            "posting store does not keep PS-26"
        )


def _moves_of(batch: Batch) -> tuple[PostingMove, ...]:
    """Return the step of each line, in the order of the batch."""
    assert batch.answer is not None
    lines = batch.answer.by_posting
    return tuple(
        PostingMove(before=each, after=_moved(each, lines[str(each.id)]))
        for each in batch.postings
    )


def _moved(posting: Posting, line: LineAccepted | LineRefused) -> Posting:
    if isinstance(line, LineAccepted):
        return move_posting(
            posting,
            PostingStatus.POSTED,
            posted_on=line.posted_on,
            ledger_number=line.number,
        )
    if line.reason is RefusalReason.NOT_SENT:
        return move_posting(posting, PostingStatus.PENDING, note=line.note)
    return move_posting(posting, PostingStatus.INCOMPLETE, note=line.note)


def _notices_of(
    batch: Batch, moves: Sequence[PostingMove]
) -> Iterator[Notice]:
    for each in moves:
        if each.after.status is PostingStatus.INCOMPLETE:
            yield incomplete(each.before, each.after.note, batch.id)


def _batch(id: str) -> Flow[Batch]:  # noqa: A002 - the word
    found = yield from ask_many(ReadBatch(id), Batch)
    if not found:
        raise InvalidValueError(
            f"there is no batch {id!r}",
            code="BatchUnknown",
            path="id",
            value=id,
        )
    return found[0]


def list_batches(
    states: Sequence[BatchState], posting: str | None
) -> Flow[Decoded[Batch]]:
    """Read batches, page by page, by id (P5, R6)."""
    wanted = BatchFilter(
        states=frozenset(states), posting=posting, most=_BATCHES_AT_ONCE
    )
    found = yield from read_all(
        lambda after: ReadBatches(attrs.evolve(wanted, after=after)),
        Batch,
        "",
        id_of,
        most=_BATCHES_AT_ONCE,
    )
    return Decoded(found)


_BATCHES_AT_ONCE: Final = 20
"""Each may hold thousands of postings."""


def find_postings(
    wanted: PostingFilter,
) -> Flow[Decoded[Posting]]:
    """Read one page of postings (P3, R6)."""
    page = yield from ask_either(ReadPostings(wanted), Posting, Unreadable)
    return Decoded(page)


def posting_totals(
    wanted: PostingFilter,
) -> Flow[Decoded[PostingTotal]]:
    """Count and add up the postings of a filter (P3, R6)."""
    sums = yield from ask_either(ReadTotals(wanted), PostingTotal, Unreadable)
    return Decoded(sums)
