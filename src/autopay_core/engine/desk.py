"""
What the firm's staff do at the desk where postings are managed (P5).

Holds: the flows of batches, of what the ledger shows, of lists of postings and
of their totals, and of the payments that a question is about. Imports:
`telling`, `knowing`, `requests` and the values.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Final, final

from autopay_core._checks import (
    DATE_MAX,
    check_date,
    check_id,
    check_text,
    check_type,
)
from autopay_core.batches import (
    BATCH_MOST,
    Acknowledged,
    Batch,
    BatchAnswer,
    BatchState,
    LedgerEntry,
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
from autopay_core.engine.knowing import (
    all_batches,
    all_postings,
    in_batches,
)
from autopay_core.engine.requests import (
    Flow,
    ReadBatch,
    ReadPostings,
    ReadTotals,
    ask_either,
    ask_many,
    commit,
    read_now,
    read_standing,
)
from autopay_core.engine.telling import incomplete, tell
from autopay_core.errors import (
    HostProtocolError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, postings_of

__all__ = [
    "acknowledge",
    "answer_batch",
    "batch_queued",
    "export_batch",
    "find_payments",
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


def batch_queued(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
    reason: str = "",
) -> Flow[Batch | None]:
    """
    Put what is queued, and in no batch on its way, into a batch (P2, P5).

    The first charged come first, as many as a batch holds.

    Args:
        id: The batch's; once, for ever. The same id again gives the batch
            that is there.
        by: Who makes it.
        reason: Why, for the history.

    Returns:
        The batch; None if nothing is queued.

    Raises:
        PortUnavailableError: Others kept moving what is queued
            (``StoreBusy``).

    """
    check_id(id, "id")
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason")
    in_the_way: set[str] = set()
    for _ in range(_ROUNDS):
        found = yield from ask_many(ReadBatch(id), Batch)
        if found:
            return found[0]
        ready = yield from _in_no_batch(in_the_way)
        if not ready:
            return None
        made = Batch(
            id=id, made_at=(yield from read_now()), by=by, postings=ready
        )
        written = yield from commit(
            Change(batches=(made,), by=by, reason=reason)
        )
        if not isinstance(written, Conflict):
            return made
        in_the_way.update(written.postings)
    raise PortUnavailableError(
        "others kept moving what is queued; say it again", code="StoreBusy"
    )


def _in_no_batch(in_the_way: Container[str]) -> Flow[tuple[Posting, ...]]:
    """Read what is queued and free, the first charged first."""
    taken = yield from in_batches()
    wanted = PostingFilter(statuses=frozenset({PostingStatus.QUEUED}))
    # One in a batch that cannot be read is found by the commit.
    free = [
        each
        for each in Decoded((yield from all_postings(wanted)))
        if each.id not in taken and str(each.id) not in in_the_way
    ]
    free.sort(key=lambda each: (each.charged_on, each.id))
    return tuple(free[:BATCH_MOST])


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


def acknowledge(
    shown: Sequence[LedgerEntry], *, by: str
) -> Flow[Acknowledged]:
    """
    Take in which postings the ledger's balances show (P2, P3).

    What is queued or posted, and shown as it is on record, is applied; the
    same figures again change nothing.

    Args:
        shown: What the ledger shows, of us alone, in any order.
        by: Whose figures they are.

    Raises:
        InvalidValueError: Nobody says so (``FieldMissing``), or one of them is
            no `LedgerEntry` (``FieldType``).
        PortUnavailableError: Others kept moving the same postings
            (``StoreBusy``); what was applied stands.

    """
    check_text(by, "by", most=128, empty=False)
    for place, each in enumerate(shown):
        check_type(each, LedgerEntry, f"shown[{place}]")
    book = _Shown(shown)
    for _ in range(_ROUNDS):
        if (yield from book.apply(by)):
            return (yield from book.rest())
    raise PortUnavailableError(
        "others kept moving the same postings; say it again", code="StoreBusy"
    )


_ROUNDS: Final = 8
_MOVES_AT_ONCE: Final = 500
_SENT: Final = frozenset({PostingStatus.QUEUED, PostingStatus.POSTED})


@final
class _Shown:
    """The ledger's figures, and what has become of each."""

    def __init__(self, shown: Iterable[LedgerEntry]) -> None:
        by_id: dict[str, list[LedgerEntry]] = {}
        for each in shown:
            by_id.setdefault(str(each.posting), []).append(each)
        self._left = {
            name: each[0] for name, each in by_id.items() if len(each) == 1
        }
        self._differs = [
            one for each in by_id.values() if len(each) > 1 for one in each
        ]
        self._applied: list[Posting] = []
        self._in_batch: set[str] = set()

    def apply(self, by: str) -> Flow[bool]:
        """Apply what is shown; tell whether nobody else moved any of it."""
        moves = yield from self._moves()
        is_whole = True
        for at in range(0, len(moves), _MOVES_AT_ONCE):
            some = moves[at : at + _MOVES_AT_ONCE]
            written = yield from commit(
                Change(moves=some, by=by, reason="the ledger shows it")
            )
            if isinstance(written, Conflict):
                self._in_batch.update(written.postings)
                is_whole = False
                continue
            for each in some:
                self._applied.append(each.after)
                del self._left[str(each.before.id)]
        return is_whole

    def _moves(self) -> Flow[tuple[PostingMove, ...]]:
        """Return the steps of what is shown as it is on record."""
        sent = yield from all_postings(PostingFilter(statuses=_SENT))
        return tuple(
            PostingMove(
                before=each, after=move_posting(each, PostingStatus.APPLIED)
            )
            for each in Decoded(sent)
            if str(each.id) not in self._in_batch
            and (entry := self._left.get(str(each.id))) is not None
            and entry.shows(each)
        )

    def rest(self) -> Flow[Acknowledged]:
        """Say what became of each."""
        stands = yield from self._stands()
        already: list[LedgerEntry] = []
        unexpected: list[LedgerEntry] = []
        unknown: list[LedgerEntry] = []
        for name, entry in self._left.items():
            posting = stands.get(name)
            if posting is None:
                unknown.append(entry)
            elif isinstance(posting, Unreadable):
                unexpected.append(entry)
            elif not entry.shows(posting):
                self._differs.append(entry)
            elif posting.status is PostingStatus.APPLIED:
                already.append(entry)
            else:
                unexpected.append(entry)
        return Acknowledged(
            applied=tuple(self._applied),
            already=tuple(already),
            differs=tuple(self._differs),
            unexpected=tuple(unexpected),
            unknown=tuple(unknown),
        )

    def _stands(self) -> Flow[dict[str, Posting | Unreadable]]:
        """Read, by id, what may be meant by the figures that are left."""
        numbers = {str(each.invoice) for each in self._left.values()}
        asked = [PostingFilter(invoice=each) for each in sorted(numbers)]
        if asked:  # What is under way may be shown on another invoice.
            asked.append(PostingFilter(statuses=_SENT))
        stands: dict[str, Posting | Unreadable] = {}
        for wanted in asked:
            for each in (yield from all_postings(wanted)):
                stands[str(each.id)] = each
        return stands


def list_batches(
    states: Sequence[BatchState], posting: str | None
) -> Flow[Decoded[Batch]]:
    """Read batches, page by page, by id (P5, R6)."""
    return (
        yield from all_batches(
            BatchFilter(states=frozenset(states), posting=posting)
        )
    )


_DAY: Final = timedelta(days=1)


def find_postings(
    wanted: PostingFilter,
) -> Flow[Decoded[Posting]]:
    """Read one page of postings (P3, R6)."""
    page = yield from ask_either(ReadPostings(wanted), Posting, Unreadable)
    return Decoded(page)


def find_payments(
    payer: str | None, on: date | None, amount: Money | None
) -> Flow[Decoded[RunRecord]]:
    """Read the runs that took money, by whose, when and how much (X2)."""
    wanted = _shares_of(payer, on, amount)
    shares: dict[RunKey, list[Money]] = {}
    found: list[RunRecord | Unreadable] = []
    for each in (yield from all_postings(wanted)):
        if isinstance(each, Unreadable):
            found.append(each)
        elif each.reverses is None:
            shares.setdefault(each.run, []).append(each.amount)
    for key in sorted(shares):
        if amount is not None and not _is_among(amount, shares[key]):
            continue
        record = yield from _record(key)
        # Among what was read a larger share may be missing.
        if (
            amount is None
            or isinstance(record, Unreadable)
            or _is_among(amount, [x.amount for x in postings_of(record)])
        ):
            found.append(record)
    return Decoded(found)


def _shares_of(
    payer: str | None, on: date | None, amount: Money | None
) -> PostingFilter:
    """Return which postings a payment has that is asked about."""
    if payer is None and on is None and amount is None:
        raise InvalidValueError(
            "name the payer, the day or the amount",
            code="FieldMissing",
            path="payer",
        )
    if payer is not None:
        check_id(payer, "payer")
    if amount is not None:
        check_type(amount, Money, "amount")
    before = None
    if on is not None:
        check_date(on, "on")
        before = on + _DAY if on < DATE_MAX else None
    return PostingFilter(
        payer=payer,
        charged_from=on,
        charged_before=before,
        greatest=amount,  # No share of a payment is more than all of it.
    )


def _is_among(amount: Money, shares: Sequence[Money]) -> bool:
    """Tell whether so much was taken for one invoice, or in all."""
    return amount in (*shares, Money.total(shares, shares[0].currency))


def _record(key: RunKey) -> Flow[RunRecord | Unreadable]:
    try:
        standing = yield from read_standing(key, "", "")
    except PortUnavailableError:
        raise
    except PortError as error:
        return Unreadable(key=str(key), code=error.code)
    return standing.run or Unreadable(key=str(key), code="RunNotFound")


def posting_totals(
    wanted: PostingFilter,
) -> Flow[Decoded[PostingTotal]]:
    """Count and add up the postings of a filter (P3, R6)."""
    sums = yield from ask_either(ReadTotals(wanted), PostingTotal, Unreadable)
    return Decoded(sums)
