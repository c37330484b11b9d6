"""
Staff who make, export and answer batches in a simulated world (P5).

Holds: `Desk`. Imports: `_books`, `_oracle`, `_ports`, `batches`, `commits`,
`errors`, `postings` and `engine.requests`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, final

from autopay_core.batches import (
    Batch,
    BatchAnswer,
    BatchState,
    LineAccepted,
    LineAnswer,
    LineRefused,
    RefusalReason,
    control_totals,
)
from autopay_core.commits import PostingFilter
from autopay_core.engine.requests import ReadPostings, ask_many
from autopay_core.errors import InvalidValueError
from autopay_core.postings import Posting, PostingStatus
from autopay_core.testing.simulator._oracle import PromiseBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from autopay_core.engine.requests import Flow
    from autopay_core.testing.simulator._books import Books
    from autopay_core.testing.simulator._ports import Ledger

__all__ = ["Desk"]

_WORLDS: Final = 0.3
"""So many worlds have batches."""

_SHARE: Final = 0.5
"""So much of what workers begin there is work at the desk."""

_MOST: Final = 3
_READY: Final = frozenset({PostingStatus.PENDING, PostingStatus.QUEUED})
_REFUSALS: Final = [
    each for each in RefusalReason if each is not RefusalReason.NOT_SENT
]
_NOT_DONE: Final = frozenset({"BatchAnswered", "BatchExists"})
"""What staff are told whose batch, or answer, another one has overtaken."""


@final
class Desk:
    """
    Staff who send postings to the ledger in batches.

    Their chances are drawn apart from the world's, so that a world without
    batches is what it was before there were any.

    Args:
        seed: Decides what they do.
        system: Has the flows, as `System`.
        books: What was committed.
        ledger: Takes in what is sent.
        today: Returns the firm's day.

    Attributes:
        is_used: Whether there are batches in this world.

    """

    def __init__(
        self,
        seed: int,
        *,
        system: Any,  # noqa: ANN401 - flows of any kind
        books: Books,
        ledger: Ledger,
        today: Callable[[], date],
    ) -> None:
        self._system = system
        self._books = books
        self._ledger = ledger
        self._today = today
        self.rng = Random(f"desk of {seed}")  # noqa: S311 - to be repeated
        self.is_used = self.rng.random() < _WORLDS
        self._sent: dict[str, str] = {}
        self._answers: dict[str, BatchAnswer] = {}

    @property
    def _open(self) -> list[Batch]:
        known = self._books.known.values()
        return [each for each in known if not each.is_closed]

    def is_wanted(self) -> bool:
        """Draw whether a worker is one of them, and has something to do."""
        return (
            self.is_used
            and bool(self._books.oracle.postings)
            and self.rng.random() < _SHARE
        )

    def rounds(self) -> int:
        """Draw how often two of them work side by side."""
        if not self.is_used or not self._books.oracle.postings:
            return 0
        return self.rng.randint(0, 4)

    def free(self, postings: Iterable[Posting]) -> list[Posting]:
        """Return those that are in no batch."""
        taken = self._books.in_batch
        return [each for each in postings if each.id not in taken]

    def work(self) -> Flow[None]:
        """Make a batch, export one, or hand in an answer."""
        batches = self._open
        if not batches or self.rng.random() < 0.4:
            yield from self._make()
            return
        batch = self.rng.choice(batches)
        given = self._answers.get(batch.id)
        if given is None or self.rng.random() < 0.3:
            yield from self._export(batch)
        else:
            yield from self._answer(given)

    def _make(self) -> Flow[None]:
        wanted = PostingFilter(statuses=_READY)
        page = yield from ask_many(ReadPostings(wanted), Posting)
        if not page:
            return
        rng = self.rng
        some = rng.sample(page, rng.randint(1, min(_MOST, len(page))))
        # Now and then the name is one that is there.
        number = len(self._books.known) + rng.choice((0, 1, 1, 1))
        yield from self._done(
            self._system.make_batch(f"b-{number}", some, by="staff")
        )

    def _export(self, batch: Batch) -> Flow[None]:
        flow: Flow[Batch] = self._system.export_batch(batch.id, by="staff")
        sent = yield from flow
        self._arrives(sent)

    def _answer(self, given: BatchAnswer) -> Flow[None]:
        yield from self._done(self._system.answer_batch(given, by="ledger"))

    def _done(self, flow: Flow[Any]) -> Flow[None]:
        try:
            yield from flow
        except InvalidValueError as error:
            if error.code not in _NOT_DONE:
                raise

    def _arrives(self, batch: Batch) -> None:
        """Let the ledger take a batch in, once; it answers every line."""
        if batch.id in self._answers:
            return
        lines: list[LineAnswer] = []
        taken: list[Posting] = []
        for each in batch.postings:
            sent = self._sent.setdefault(each.id, batch.id)
            if sent != batch.id:
                raise PromiseBroken(
                    "P5", f"{each.id} was sent in {sent} and in {batch.id}"
                )
            if self.rng.random() < 0.2:
                del self._sent[each.id]
                reason = self.rng.choice(_REFUSALS)
                lines.append(LineRefused(posting=each.id, reason=reason))
                continue
            self._ledger.receive(each)
            taken.append(each)
            lines.append(
                LineAccepted(
                    posting=each.id,
                    number=f"L-{len(self._sent)}",
                    posted_on=self._today(),
                )
            )
        self._answers[batch.id] = BatchAnswer(
            batch=batch.id, lines=tuple(lines), booked=control_totals(taken)
        )

    def take_back(self) -> Flow[None]:
        """Take a batch back that never went out; with nobody between."""
        unsent = [each for each in self._open if each.state is BatchState.OPEN]
        if unsent:
            batch = self.rng.choice(unsent)
            yield from self._answer(
                BatchAnswer(
                    batch=batch.id,
                    lines=tuple(
                        LineRefused(
                            posting=each.id, reason=RefusalReason.NOT_SENT
                        )
                        for each in batch.postings
                    ),
                )
            )

    def clear(self) -> Flow[None]:
        """Bring every batch to its end."""
        for batch in self._open:
            if batch.id not in self._answers:
                yield from self._export(batch)
            yield from self._answer(self._answers[batch.id])
