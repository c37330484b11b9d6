"""
What has to hold of every step of a batch in a simulated world (P5).

Holds: `Books`. Imports: `_oracle`, `batches`, `commits` and `postings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from autopay_core.batches import Batch, LineAccepted, RefusalReason
from autopay_core.postings import Posting, PostingStatus
from autopay_core.testing.simulator._oracle import Oracle, PromiseBroken

if TYPE_CHECKING:
    from autopay_core.commits import Change

__all__ = ["Books"]


@final
class Books:
    """
    Every batch, by what was committed of it.

    Args:
        oracle: Knows every posting as it stands.

    Attributes:
        oracle: As given.
        known: By id, as each stands.
        in_batch: By posting, the batch that is not answered.

    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.known: dict[str, Batch] = {}
        self.in_batch: dict[str, str] = {}

    def committed(self, change: Change) -> None:
        """Check a step of the store that was committed (P5)."""
        own = {each.id for each in change.batches}
        for move in change.moves:
            batch = self.in_batch.get(move.before.id)
            if batch is not None and batch not in own:
                raise PromiseBroken(
                    "P5", f"{move.before.id} moves without {batch}"
                )
        for each in change.batches:
            self._step(each)

    def _step(self, batch: Batch) -> None:
        before = self.known.get(batch.id)
        if batch.version != (1 if before is None else before.version + 1):
            raise PromiseBroken("P5", f"{batch.id}: version jumps")
        if before is not None and (
            before.is_closed or before.postings != batch.postings
        ):
            raise PromiseBroken("P5", f"{batch.id} is another batch")
        for each in batch.postings:
            if before is None:
                self._enters(each, batch)
            if batch.is_closed:
                del self.in_batch[each.id]
                self._leaves(each, batch)
        self.known[batch.id] = batch

    def _enters(self, posting: Posting, batch: Batch) -> None:
        other = self.in_batch.setdefault(posting.id, batch.id)
        if other != batch.id:
            raise PromiseBroken(
                "P5", f"{posting.id} is in {other} and in {batch.id}"
            )
        if self.oracle.postings[posting.id] != posting:
            raise PromiseBroken("P5", f"{posting.id} stood otherwise")

    def _leaves(self, posting: Posting, batch: Batch) -> None:
        assert batch.answer is not None
        line = batch.answer.by_posting[posting.id]
        said = PostingStatus.INCOMPLETE
        if isinstance(line, LineAccepted):
            said = PostingStatus.POSTED
        elif line.reason is RefusalReason.NOT_SENT:
            said = PostingStatus.PENDING
        stands = self.oracle.statuses[posting.id]
        if stands is not said:
            raise PromiseBroken(
                "P5",
                f"{posting.id}: the ledger said {said.value}, and it is "
                f"{stands.value}",
            )
