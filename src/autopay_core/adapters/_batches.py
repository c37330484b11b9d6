"""
What keeps a change from its batches, for every store of ours (PS-26).

Holds: `batch_conflict`. Imports: `commits`, `postings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autopay_core.commits import (
    Change,
    Conflict,
    ConflictReason,
    PostingMove,
)
from autopay_core.postings import Posting

__all__ = ["batch_conflict"]


def batch_conflict(
    change: Change,
    /,
    *,
    versions: Mapping[str, int],
    batched: Mapping[str, str],
    posting_of: Callable[[str], Posting | None],
) -> Conflict | None:
    """
    Tell what keeps a change from its batches or moves; None if nothing does.

    Args:
        change: What is to be committed.
        versions: By batch: what stands, at least of the change's batches.
        batched: By posting: the batch that is not answered, at least of the
            change's postings.
        posting_of: Returns a posting as it stands.

    """
    if any(
        each.version != versions.get(each.id, 0) + 1 for each in change.batches
    ) or len({each.id for each in change.batches}) < len(change.batches):
        return Conflict(reason=ConflictReason.BATCH)
    moves = {str(each.before.id): each for each in change.moves}
    taken = dict(batched)
    wrong: dict[str, None] = {}
    for batch in change.batches:
        for posting in batch.postings:
            known = str(posting.id)
            if not batch.is_closed and (
                taken.setdefault(known, batch.id) != batch.id
                or (
                    batch.version == 1
                    and not _stands(
                        posting, posting_of(known), moves.get(known)
                    )
                )
            ):
                wrong[known] = None
    own = {each.id for each in change.batches}
    wrong.update(
        (each, None) for each in moves if batched.get(each) not in {None, *own}
    )
    if not wrong:
        return None
    return Conflict(reason=ConflictReason.BATCH, postings=tuple(wrong))


def _stands(
    posting: Posting, known: Posting | None, move: PostingMove | None
) -> bool:
    """Tell whether a posting stands as a batch says, or will."""
    if move is None:
        return known == posting
    return known == move.before and move.after == posting
