"""
What a standing order does, seen from a date (S14).

Holds: `Outlook` and `Look`. Imports: `allocation`, `associations`, `autopay`,
`schedules`. What is in here was read in one go, and nothing of it is kept.
"""

from __future__ import annotations

from datetime import date
from typing import final

import attrs

from autopay_core._checks import Readable
from autopay_core.allocation import Allocation
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, AutoPayState, Ending, Known
from autopay_core.schedules import Occurrence

__all__ = ["Look", "Outlook"]


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Outlook(Readable):
    """
    What a standing order does, seen from a date (S14).

    Attributes:
        state: What it does on that date.
        ending: Why it is off or has ended; None if it is not.
        dates: The next dates that run, three at most.
        years: First and last-but-one day of each year of what is enrolled
            (S6): the second day is the first that is outside.
        ends_on: First day on which it has ended, if that is certain.
        next_charge: What would be paid on its next date by what is owed now,
            and why; None without a date, or where that could not be read.

    """

    state: AutoPayState
    ending: Ending | None
    dates: tuple[Occurrence, ...]
    years: tuple[tuple[Association, date, date], ...]
    ends_on: date | None
    next_charge: Allocation | None = None

    @property
    def next(self) -> Occurrence | None:
        """The next date that runs."""
        return self.dates[0] if self.dates else None

    @property
    def is_paid_off(self) -> bool:
        """Whether it has ended because nothing of it is left to pay (S7)."""
        return self.ending is Ending.PLANS


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Look(Readable):
    """
    A standing order as its host has it, and what it does on a date (S14).

    Attributes:
        autopay: The order that was looked at.
        on: The date.
        outlook: What it does.
        known: What is on record of it, for `state_on`, `ends_on`, `upcoming`.
        blocks: What keeps it from being collected now, for people; empty for
            nothing.
        next_number: The number of the next run on demand of that date (R14).

    """

    autopay: AutoPay
    on: date
    outlook: Outlook
    known: Known
    blocks: tuple[str, ...] = ()
    next_number: int = 1

    @property
    def state(self) -> AutoPayState:
        """What it does on that date."""
        return self.outlook.state

    @property
    def next(self) -> Occurrence | None:
        """The next date that runs."""
        return self.outlook.next

    @property
    def ends_on(self) -> date | None:
        """First day on which it has ended, if that is certain."""
        return self.outlook.ends_on

    def __str__(self) -> str:
        """Return it in a line, for people."""
        said = [f"{self.autopay.name} ({self.autopay.id}): {self.state.value}"]
        if self.next is not None:
            said.append(f"next on {self.next.charge_on}")
        if self.ends_on is not None:
            said.append(f"ends on {self.ends_on}")
        said.extend(self.blocks)
        return "; ".join(said)
