"""
How a store is, at a glance, for whoever watches it (O3).

Holds: `Health`, `Trouble`, `TroubleKind`. Imports: `holds`, `postings`,
`references`, `runs`. What is in here was read in one go, and nothing of it is
kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_instant,
    optional,
)
from autopay_core.holds import Hold
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.runs import DOUBT_MOST

__all__ = ["SWEEP_WITHIN", "Health", "Trouble", "TroubleKind"]


class TroubleKind(Choice):
    """What a person should look at; a closed list, for alarms."""

    NO_SWEEP = "no sweep"
    """No sweep ended, or the last one ended too long ago."""
    CLOCK = "clock"
    """The store's clock cannot be right; nothing new is sent (R11)."""
    STORE_HELD = "store held"
    """A hold on the whole store: nobody is charged (H1, H4)."""
    DOUBT = "doubt"
    """A run has been in doubt for too long (R4)."""
    REVIEW = "review"
    """A run waits for a person's word (R4)."""
    LATE = "late"
    """A run is late (N1)."""
    UNREADABLE = "unreadable"
    """A run on record cannot be read (R6)."""
    NOTICES = "notices"
    """Notices were not accepted yet (N5)."""
    POSTINGS = "postings"
    """A posting has waited for the ledger for too long (P3)."""
    MOVEMENTS = "movements"
    """A movement could not be placed or booked (P4)."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Trouble(Readable):
    """
    One thing that a person should look at.

    Attributes:
        kind: For alarms.
        detail: For people.

    """

    kind: TroubleKind = attrs.field(validator=a(TroubleKind))
    detail: str = attrs.field(validator=a_text(empty=False))

    def __str__(self) -> str:
        """Return it in a line, for people."""
        return f"{self.kind.value}: {self.detail}"


SWEEP_WITHIN: Final = timedelta(hours=26)
"""A sweep a day, and two hours in which it may begin later."""

POSTED_WITHIN: Final = timedelta(days=7)
"""A week is enough for staff and ledger to post a payment."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Health(Readable):
    """
    How a store is.

    Attributes:
        at: Store time at which it was looked at.
        on: The firm's date then.
        swept_for: The `as_of` of the last sweep that ended; None for none.
        sweep_began: Store time at which it began.
        sweep_ended: Store time at which it ended.
        is_clock_suspect: Whether the store's clock cannot be right (R11).
        store_hold: A hold on the whole store, or None.
        holds: How many holds are in force.
        under_way: How many runs are open, pending or in review.
        in_review: How many of them are in review.
        oldest_doubt: The run that has been open or in review for longest.
        doubt_since: Since when.
        late: How many runs are late (N1).
        late_since: Since which day the first of them is; None for none.
        unreadable: How many runs under way or waiting cannot be read.
        undelivered: How many notices were not accepted yet; 500 is as many or
            more.
        unposted: How many postings wait for the ledger.
        oldest_unposted: Of them, the one that was charged first.
        movements: How many movements could not be placed, or are cases; of
            each, 500 is as many or more.

    """

    at: datetime = attrs.field(validator=an_instant)
    on: date = attrs.field(validator=a_date)
    swept_for: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    sweep_began: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    sweep_ended: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    is_clock_suspect: bool = attrs.field(default=False, validator=a(bool))
    store_hold: Hold | None = attrs.field(
        default=None, validator=optional(a(Hold))
    )
    holds: int = attrs.field(default=0, validator=a_number(0))
    under_way: int = attrs.field(default=0, validator=a_number(0))
    in_review: int = attrs.field(default=0, validator=a_number(0))
    oldest_doubt: RunKey | None = attrs.field(
        default=None, validator=optional(a(RunKey))
    )
    doubt_since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    late: int = attrs.field(default=0, validator=a_number(0))
    late_since: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    unreadable: int = attrs.field(default=0, validator=a_number(0))
    undelivered: int = attrs.field(default=0, validator=a_number(0))
    unposted: int = attrs.field(default=0, validator=a_number(0))
    oldest_unposted: Posting | None = attrs.field(
        default=None, validator=optional(a(Posting))
    )
    movements: int = attrs.field(default=0, validator=a_number(0))

    @property
    def is_well(self) -> bool:
        """Whether nobody need look at anything."""
        return not self.troubles()

    def troubles(
        self,
        *,
        sweep_within: timedelta = SWEEP_WITHIN,
        doubt_most: timedelta = DOUBT_MOST,
        posted_within: timedelta = POSTED_WITHIN,
    ) -> tuple[Trouble, ...]:
        """
        Return what a person should look at, the most urgent first.

        Args:
            sweep_within: A sweep that ended longer ago is too old.
            doubt_most: A run in doubt for longer is reported.
            posted_within: A posting that waits for longer is reported.

        """
        found = (
            *self._of_the_store(sweep_within),
            *self._of_runs(doubt_most),
            *self._of_people(posted_within),
        )
        return tuple(
            Trouble(kind=kind, detail=detail) for kind, detail in found
        )

    def _of_the_store(
        self, sweep_within: timedelta
    ) -> Iterator[tuple[TroubleKind, str]]:
        if self.is_clock_suspect:
            yield (
                TroubleKind.CLOCK,
                "the store's clock cannot be right; nothing new is sent",
            )
        if self.store_hold is not None:
            yield (
                TroubleKind.STORE_HELD,
                f"nobody is charged: {self.store_hold.reason}",
            )
        if self.sweep_ended is None:
            yield TroubleKind.NO_SWEEP, "no sweep has ended yet"
        elif self.at - self.sweep_ended > sweep_within:
            yield (
                TroubleKind.NO_SWEEP,
                (
                    f"the last sweep ended at {_text(self.sweep_ended)}, for "
                    f"{self.swept_for}"
                ),
            )

    def _of_runs(
        self, doubt_most: timedelta
    ) -> Iterator[tuple[TroubleKind, str]]:
        since = self.doubt_since
        if self.in_review:
            yield (
                TroubleKind.REVIEW,
                (
                    f"{_count(self.in_review, 'run')} in review wait for a "
                    f"person's word; the oldest doubt is {self.oldest_doubt}"
                ),
            )
        elif since is not None and self.at - since > doubt_most:
            yield (
                TroubleKind.DOUBT,
                f"{self.oldest_doubt} has been in doubt since {_text(since)}",
            )
        if self.late:
            yield (
                TroubleKind.LATE,
                f"{_count(self.late, 'run')} late, since {self.late_since}",
            )
        if self.unreadable:
            yield (
                TroubleKind.UNREADABLE,
                f"{_count(self.unreadable, 'run')} cannot be read",
            )

    def _of_people(
        self, posted_within: timedelta
    ) -> Iterator[tuple[TroubleKind, str]]:
        if self.undelivered:
            yield (
                TroubleKind.NOTICES,
                f"{_count(self.undelivered, 'notice')} not accepted yet",
            )
        oldest = self.oldest_unposted
        if oldest is not None and self.on - oldest.charged_on > posted_within:
            yield (
                TroubleKind.POSTINGS,
                (
                    f"{_count(self.unposted, 'posting')} wait for the ledger, "
                    f"the oldest ({oldest.id}) since {oldest.charged_on}"
                ),
            )
        if self.movements:
            yield (
                TroubleKind.MOVEMENTS,
                (
                    f"{_count(self.movements, 'movement')} wait for a run, or "
                    "for a person"
                ),
            )

    @property
    def summary(self) -> str:
        """The figures in two sentences, for people."""
        ended = self.sweep_ended
        swept = (
            "No sweep has ended yet."
            if ended is None
            else f"The last sweep was for {self.swept_for}, and ended at "
            f"{_text(ended)}."
        )
        figures = ", ".join(
            [
                f"{_count(self.under_way, 'run')} under way",
                f"{self.in_review} in review",
                f"{self.late} late",
                f"{_count(self.holds, 'hold')}",
                f"{_count(self.unposted, 'posting')} not posted",
                f"{_count(self.undelivered, 'notice')} not delivered",
            ]
        )
        return f"{swept} {figures}."

    def __str__(self) -> str:
        """Return it in lines, for people."""
        return "\n".join([self.summary, *map(str, self.troubles())])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _text(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")
