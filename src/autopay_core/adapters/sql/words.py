"""
The words in which SQL stores describe what a database is to do.

Holds: statements (`Ask`, `Insert`); `Read` and `Write`, the transactions that
a method yields; `Steps`, which yield a transaction's batches and are sent
their rows; `Dialect` for what differs between databases; `Mark` for time that
never goes back (PS-12); and what an interruption cannot catch half-way
(`Exclusive`, `move_last`, `receive`). Imports: `errors`. Nothing here does
I/O: SQLite, and PostgreSQL blocking and awaitable, carry out the same methods
(`reads`, `commit`), so that they cannot differ in what they decide.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import (
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from datetime import datetime
from functools import partial
from itertools import starmap
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final

from autopay_core.errors import PortUnavailableError

__all__ = [
    "AnswerLostError",
    "Ask",
    "Batch",
    "Calls",
    "Clock",
    "Dialect",
    "Exclusive",
    "Insert",
    "LostRaceError",
    "Mark",
    "Read",
    "Row",
    "Steps",
    "Table",
    "Transaction",
    "Write",
    "closed_error",
    "last_of",
    "lock_number",
    "move_last",
    "receive",
]

Clock: TypeAlias = Callable[[], datetime]
Row: TypeAlias = tuple[Any, ...]

_MARK_SLACK: Final = 1_000_000
"""Reads write the clock's mark down if it is so many microseconds ahead."""


class Ask(NamedTuple):
    """
    One statement.

    ``?`` is a value; ``IN ??`` is a list of text, ``IN {numbers}`` the
    column of the table ``numbers``; ``{clock}`` is the time in microseconds;
    ``{lock}`` locks the rows that are read.
    """

    sql: str
    values: tuple[Any, ...] = ()


class Table(NamedTuple):
    """A table's columns, and what a driver needs to fill it quickly."""

    name: str
    text: tuple[str, ...]
    numbers: tuple[str, ...]
    conflict: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the order of an `Insert`'s rows."""
        return (*self.text, *self.numbers)


class Insert(NamedTuple):
    """New rows of a table: text columns first, then numbers."""

    table: Table
    rows: Sequence[Row]


Batch: TypeAlias = Sequence["Ask | Insert"]
_T = TypeVar("_T")
Steps: TypeAlias = Generator[Batch, list[list[Row]], _T]


class LostRaceError(Exception):
    """Something was written between the first batch and the second."""


class Dialect(NamedTuple):
    """
    How a database differs.

    Attributes:
        clock: The database's own time in microseconds, as SQL; None if the
            store is handed a clock.
        locks: Makes statements that lock names until the transaction ends,
            one after another as given; True locks a name for sharing. None
            if there is one writer at a time anyway.
        absence_is_proof: A commit that a later look does not find can never
            appear afterwards.
        columns: Asks for the names of a table's columns.

    """

    clock: str | None
    locks: Callable[[Mapping[str, bool]], Sequence[Ask]] | None
    absence_is_proof: bool
    columns: str


class Read(NamedTuple):
    """One batch on one snapshot; answered with its rows."""

    batch: Batch


class Write(NamedTuple):
    """One durable transaction; answered with what its steps give."""

    steps: Steps[Any]


Transaction: TypeAlias = Read | Write
Calls: TypeAlias = Generator[Transaction, Any, _T]
"""A method of a store: yields transactions, returns *_T*."""


class AnswerLostError(Exception):
    """
    Nobody knows whether a transaction was committed.

    Attributes:
        result: What its steps gave.

    """

    def __init__(self, result: Any) -> None:  # noqa: ANN401 - any steps' result
        super().__init__("the answer to a COMMIT was lost")
        self.result = result


@final
class Mark:
    """
    The latest time that this process has told, or read (PS-12).

    The database keeps the mark of the last commit; between commits this one
    keeps time from going back, and `is_ahead` says when to write it down.
    """

    def __init__(self) -> None:
        self._alone = Exclusive()
        self._told = 0
        self._kept = 0
        self._trusted = 0

    def now(self, clock: int, kept: int, trusted: int) -> int:
        """
        Return store time, from what a clock says and what was kept.

        Args:
            clock: What the clock says.
            kept: The mark that is written down.
            trusted: How often a person said that the clock is right (R11);
                whenever that has grown, the mark begins anew.

        """
        return self._alone.call(partial(self._now, clock, kept, trusted))

    def _now(self, clock: int, kept: int, trusted: int) -> int:
        if trusted > self._trusted:
            self._told = self._kept = 0
            self._trusted = trusted
        elif trusted < self._trusted:
            kept = 0  # Read before the word was given.
        self._told = max(self._told, clock, kept)
        self._kept = max(self._kept, kept)
        return self._told

    def later(self, clock: int, kept: int, trusted: int) -> int:
        """
        Return the time of a commit: later than all that was told.

        What was read before it does not show it, however coarse the clock is
        (B1). Arguments as for `now`; `tell` it once it is written.
        """
        return max(clock, self.now(clock, kept, trusted) + 1)

    def tell(self, at: int) -> None:
        """Keep the time of a commit."""
        self._alone.call(partial(self._now, at, 0, self._trusted))

    @property
    def trusted(self) -> int:
        """How often a person said that the clock is right."""
        return self._trusted

    @property
    def is_ahead(self) -> bool:
        """Whether a restart now, after a read, could let time go back."""
        return self._told - self._kept > _MARK_SLACK

    @property
    def told(self) -> int:
        """The latest time."""
        return self._told


def lock_number(name: str) -> int:
    """Return the 64-bit number that stands for a name in a lock."""
    hashed = hashlib.blake2b(f"autopay_core {name}".encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)


# -- What an interruption cannot catch half-way -------------------------------
#
# A KeyboardInterrupt comes between any two lines. What is lent must at every
# moment be with the lender or with the borrower.


@final
class Exclusive:
    """A lock that is let go however a call ends; calls do not nest."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def call(self, function: Callable[[], _T]) -> _T:
        """Call *function* while no other thread does so."""
        try:
            with self._lock:
                return function()
        except BaseException:
            # Interrupted at the last line of all, ours may still be locked;
            # another thread's would not be let go by this.
            with contextlib.suppress(RuntimeError):
                self._lock.release()
            raise


def move_last(source: list[_T], target: list[_T]) -> bool:
    """Move the last of a list to another; tell whether there was one."""
    try:
        # One step of the interpreter, so that nothing comes between.
        target.extend(map(_pop, (source,)))
    except IndexError:
        return False
    return True


_pop: Final[Callable[[list[Any]], Any]] = list[Any].pop


def receive(target: list[_T], function: Callable[[], _T]) -> None:
    """Add what *function* returns to a list; it is never only on its way."""
    target.extend(starmap(function, ((),)))


def closed_error() -> PortUnavailableError:
    """Return what a closed store says: closing is final (PS-1)."""
    return PortUnavailableError(
        "the store is closed; nothing was written", code="StoreClosed"
    )


def last_of(idle: list[_T]) -> _T | None:
    """Take the last of what lies idle, if any; other threads do so too."""
    try:
        return idle.pop()
    except IndexError:
        return None
