"""
What surrounds everybody in a simulated world: time, chance, and the truth.

Holds: `Nature`. Imports: `_books`, `_oracle`, `_settings`, `charges`,
`commits`, `postings`. The world's ports draw their faults here, and its
workers their turns, from one row of numbers that the seed decides.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from autopay_core.charges import DeclineClass, Declined
from autopay_core.testing.simulator._books import Books
from autopay_core.testing.simulator._oracle import Oracle, Reader
from autopay_core.testing.simulator._settings import (
    EPOCH,
    Settings,
    at,
    draw_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from autopay_core.charges import ChargeRequest
    from autopay_core.commits import Change
    from autopay_core.postings import Posting

__all__ = ["Nature"]

_BEHIND: Final = timedelta(minutes=5)
"""A store's clock may be so far behind what it once said (R11)."""

_NEVER_CODES: Final = (
    ("14", DeclineClass.NEVER),
    ("51", DeclineClass.LATER),
    ("51", DeclineClass.LATER),
    ("54", DeclineClass.FIX_FIRST),
)
_BANK_CODES: Final = (
    ("R01", DeclineClass.LATER),
    ("R02", DeclineClass.NEVER),
)


def _nothing(_: Change) -> None:
    """Look at nothing, until somebody does."""


class Nature:
    """
    Time, chance, what was promised, and what really happened.

    Args:
        seed: Decides everything.
        theme: As `World`.
        ignored: As `World`.
        is_traced: As `World`.

    """

    def __init__(
        self,
        seed: int,
        *,
        theme: str | None,
        ignored: frozenset[str],
        is_traced: bool,
    ) -> None:
        self.rng = rng = Random(seed)  # noqa: S311 - to be repeated
        self.random = rng.random
        self.settings: Settings = draw_settings(rng, theme)
        self.rates = dict(self.settings.rates)
        self.trace: list[str] | None = [] if is_traced else None
        self.now = self.settings.begins * 24 * 3_600
        self.skew = 0
        self.undone: dict[str, Posting] = {}
        self.is_declined = self.settings.is_declined
        self.skew_ends: int | None = None
        self.faults = 0
        self.oracle = Oracle(ignored)
        self.books = Books(self.oracle)
        self.moved: Callable[[Change], None] = _nothing
        self.reader = Reader()

    # -- Time ----------------------------------------------------------------

    def clock(self) -> datetime:
        """Return the store's time, which may be wrong."""
        return at(self.now + self.skew)

    def mark_time(self, said: datetime | None) -> bool:
        """Note what the store said the time is; tell whether that is gone."""
        clock, oracle = self.clock(), self.oracle
        said = clock if said is None else said
        if oracle.mark is None or oracle.mark < said:
            oracle.mark = said
        return clock + _BEHIND < oracle.mark

    def seconds(self, instant: datetime) -> int:
        """Return seconds since the beginning."""
        return int((instant - EPOCH).total_seconds())

    def today(self) -> date:
        """Return the host's date."""
        return at(self.now).date()

    def pass_time(self, seconds: int) -> None:
        """Let so many seconds go by."""
        self.now += seconds
        if self.skew_ends is not None and self.now >= self.skew_ends:
            # A clock that was set back far is mended before its time comes
            # round again.
            self.skew, self.skew_ends = 0, None

    # -- Chance --------------------------------------------------------------

    def fails(self, fault: str) -> bool:
        """Draw whether *fault* happens now."""
        rate = self.rates[fault]
        if rate and self.random() < rate:
            self.faults += 1
            if self.trace is not None:
                self.note(f"    fault: {fault}")
            return True
        return False

    def decline(self, request: ChargeRequest) -> Declined:
        """Draw a decline."""
        if self.is_declined:
            return Declined(
                key=request.key, code="51", decline_class=DeclineClass.LATER
            )
        codes = (
            _BANK_CODES if request.method.network == "ach" else _NEVER_CODES
        )
        code, kind = self.rng.choice(codes)
        return Declined(key=request.key, code=code, decline_class=kind)

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(line)

    def stamp(self) -> str:
        """Return the time as a trace shows it."""
        return f"{at(self.now):%d %H:%M:%S}"
