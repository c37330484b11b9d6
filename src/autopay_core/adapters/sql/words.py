"""
The words in which SQL stores describe what a database is to do.

Holds: statements (`Ask`, `Insert`); `Read` and `Write`, the transactions that
a method yields; `Steps`, which yield a transaction's batches and are sent
their rows; `Dialect` for what differs between databases; `Mark` for time that
never goes back (PS-12); and `last_of`. Imports: nothing of the package.
Nothing here does I/O: SQLite, and PostgreSQL blocking and awaitable, carry out
the same methods (`reads`, `commit`), so that they cannot differ in what they
decide.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import (
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final

__all__ = [
    "AnswerLostError",
    "Ask",
    "Batch",
    "Calls",
    "Clock",
    "Dialect",
    "Insert",
    "LostRaceError",
    "Mark",
    "Read",
    "Row",
    "Steps",
    "Table",
    "Transaction",
    "Write",
    "last_of",
    "lock_number",
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

    """

    clock: str | None
    locks: Callable[[Mapping[str, bool]], Sequence[Ask]] | None
    absence_is_proof: bool


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
        self._lock = threading.Lock()
        self._told = 0
        self._kept = 0

    def now(self, clock: int, kept: int) -> int:
        """Return store time, from what a clock says and what was kept."""
        with self._lock:
            self._told = max(self._told, clock, kept)
            self._kept = max(self._kept, kept)
            return self._told

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


def last_of(idle: list[_T]) -> _T | None:
    """Take the last of what lies idle, if any; other threads do so too."""
    try:
        return idle.pop()
    except IndexError:
        return None
