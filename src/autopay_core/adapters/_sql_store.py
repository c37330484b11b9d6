"""
The blocking face of an SQL store: each call of the port, carried out.

Holds: `BlockingSqlStore`, the base of the SQLite store and of the blocking
PostgreSQL store. Imports: the core, `_sql_calls`. It decides nothing: it hands
steps to two methods that a database provides, one for a snapshot and one for
a durable transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Final, TypeVar

from autopay_core.adapters._sql import (
    AnswerLostError,
    Calls,
    LostRaceError,
    Steps,
    Transact,
)
from autopay_core.adapters._sql_calls import SqlCalls
from autopay_core.adapters._sql_commit import SqlSteps
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    PostingFilter,
    Standing,
)
from autopay_core.errors import AutopayError
from autopay_core.history import HistoryEntry, HistoryHead
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord

__all__ = ["BlockingSqlStore"]

_T = TypeVar("_T")
PAGE: Final = 500
"""So many rows are read at once."""


class BlockingSqlStore(ABC):
    """
    `PostingStore` over a database that is driven step by step.

    Args:
        steps: What the transactions do.
        absence_is_proof: See `SqlCalls`.

    """

    def __init__(self, steps: SqlSteps, *, absence_is_proof: bool) -> None:
        self._steps = steps
        self._calls = SqlCalls(steps, absence_is_proof=absence_is_proof)

    @abstractmethod
    def _read(self, steps: Steps[_T]) -> _T:
        """
        Carry out *steps* on one snapshot.

        Raises:
            PortUnavailableError: The database cannot be read.

        """

    @abstractmethod
    def _write(self, steps: Steps[_T]) -> _T:
        """
        Carry out *steps* in one durable transaction.

        Raises:
            PortUnavailableError: Nothing was written.
            LostRaceError: Nothing was written; it may be tried again.
            AnswerLostError: Nobody knows.

        """

    def _run(self, calls: Calls[_T]) -> _T:
        """Carry out a call that takes several transactions."""
        advance: Callable[[], Transact] = partial(next, calls)
        while True:
            try:
                wanted = advance()
            except StopIteration as stopped:
                result: _T = stopped.value
                return result
            carry_out = self._write if wanted.writes else self._read
            try:
                answer = carry_out(wanted.steps)
            except (AutopayError, AnswerLostError, LostRaceError) as error:
                advance = partial(calls.throw, error)
            else:
                advance = partial(calls.send, answer)

    # -- The port ------------------------------------------------------------

    def standing(self, key: RunKey, method: str, /) -> Standing:
        """Read what is known about a run, its auto-pay and its method."""
        return self._run(self._calls.standing(key, method))

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read versions and open amounts of the clients' invoices."""
        return self._read(self._steps.open_amounts(clients))

    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Add up what the auto-pay took or is taking (L7)."""
        return self._read(
            self._steps.spent(autopay, from_on, before, currency)
        )

    def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Read the attempts that charged a method, oldest first (N3)."""
        return self._read(self._steps.attempts(method, since))

    def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Read runs under way whose time has come, by key."""
        return self._run(self._calls.unfinished(after, most))

    def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Reserve a run's work for a while (PS-14)."""
        return self._run(self._calls.claim(key, seconds))

    def commit(self, change: Change, /) -> Committed | Conflict:
        """
        Write *change* in one atomic, durable step, or nothing of it.

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: It may have been.
            PostingConflictError: Other content stands under a posting's id.

        """
        return self._run(self._calls.commit(change))

    def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Read postings in order of id."""
        return self._read(self._steps.postings(wanted))

    def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Read the oldest notices that are not marked as delivered."""
        return self._read(self._steps.undelivered(most))

    # -- Beside the port -----------------------------------------------------

    def now(self) -> datetime:
        """Return the store's time; it never goes back (PS-12)."""
        return self._run(self._calls.now())

    def runs(self) -> Iterator[RunRecord]:
        """Read every run on record, by key, a page at a time."""
        after: RunKey | None = None
        while page := self._read(self._steps.runs(after, PAGE)):
            yield from page
            after = page[-1].key

    def notices(self) -> Iterator[Notice]:
        """Read every notice on record, oldest first, a page at a time."""
        after = 0
        while page := self._read(self._steps.notices(after, PAGE)):
            for _, notice in page:
                yield notice
            after = page[-1][0]

    def history(
        self, chain: int, after: int = 0, most: int = 1_000, /
    ) -> Sequence[HistoryEntry]:
        """Read entries of a chain in order, after a place."""
        return self._read(self._steps.history(chain, after, most))

    def history_heads(self) -> Sequence[HistoryHead]:
        """Read the newest entry's place and hash of every chain."""
        return self._read(self._steps.history_heads())
