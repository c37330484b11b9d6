"""
The dates of a rule in a line: rolled, dropped, moved (S5, S9, S11, S15).

Holds: `Line`, nominal dates with their charge dates as indices, and `Beside`,
what pauses, skips and moves make of them. Imports: `_checks`,
`_occurrences`, `_recurrence`, `business_days`. Neither rolling nor moving
reverses the order of two dates, so every question about charge dates comes
down to an index, wherever it lies (S10).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs

from autopay_core._checks import Readable, check_type, plain_date
from autopay_core._occurrences import Occurrence, Pause, occurrence
from autopay_core._recurrence import Dates
from autopay_core.business_days import OpenDays, Roll

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["Beside", "Line"]

_DAY: Final = timedelta(days=1)
# Beyond every index: 301 years have less than 110,000 days.
_NEVER: Final = 1_000_000

_Span: TypeAlias = tuple[int, int]


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Line(Readable):
    """
    Nominal dates by index, each with the day on which it is charged.

    Attributes:
        dates: The rule.
        first_on: Nothing is charged before.
        roll: What happens to closed days.
        open: The days that are not closed; None when nothing rolls.
        end: Index of the last nominal date, whatever is counted; -1 for none.
        count: How many occurrences there are at most, or None.

    """

    dates: Dates
    first_on: date
    roll: Roll
    open: OpenDays | None
    end: int
    count: int | None

    @property
    def last(self) -> int:
        """Index of the last nominal date when nothing is dropped."""
        return (
            self.end if self.count is None else min(self.end, self.count - 1)
        )

    def charge(self, nominal: date) -> date:
        """Roll a nominal date (S9); a later one never ends up earlier."""
        if self.open is None:
            return nominal
        ordinal = nominal.toordinal()
        if self.open.is_open(ordinal):
            return nominal
        following = date.fromordinal(self.open.on_or_after(ordinal))
        if self.roll is Roll.FOLLOWING or (
            self.roll is Roll.MODIFIED_FOLLOWING
            and following.month == nominal.month
        ):
            return following
        preceding = date.fromordinal(self.open.on_or_before(ordinal))
        # Of the dates that would go before the start, only the first must
        # not; if the others did, they would overtake it.
        return following if preceding < self.first_on else preceding

    def position(self, on: date) -> int:
        """Return the first index that is charged on *on* or later."""
        if self.open is None:
            return self.dates.rank(on)
        ordinal = on.toordinal()
        last_open = self.open.on_or_before(ordinal - 1)
        if last_open < self.first_on.toordinal():
            # No day from the start to here is open: whatever is due in
            # between goes forward, to *on* or later.
            return 0
        next_open = self.open.on_or_after(ordinal)
        if self.roll is Roll.FOLLOWING:
            threshold = last_open + 1
        elif self.roll is Roll.PRECEDING:
            threshold = next_open
        else:
            # Dates in the gap go forward if they are in the month of its
            # end, and back out of the question if they are not.
            month_begins = next_open - date.fromordinal(next_open).day + 1
            threshold = max(last_open + 1, month_begins)
        return self.dates.rank(date.fromordinal(threshold))

    def start(self, index: int) -> int:
        """Return the earliest index in the same occurrence as *index*."""
        if self.open is None:
            return index
        return self.position(self.charge(self.dates.select(index)))

    def boundary(self, index: int) -> int:
        """Return the first index from *index* that begins an occurrence."""
        if self.open is None or index > self.end:
            return index
        charge = self.charge(self.dates.select(index))
        start = self.position(charge)
        return index if start == index else self.position(charge + _DAY)

    def identifies(self, nominal: date) -> int | None:
        """Return the index of the occurrence that *nominal* identifies."""
        index = self.dates.rank(nominal)
        if (
            index > self.end
            or self.dates.select(index) != nominal
            or self.boundary(index) != index
        ):
            return None
        return index

    def beside(
        self,
        pauses: Collection[Pause],
        skips: Collection[date],
        moves: Mapping[date, date],
    ) -> Beside:
        """Return the line with what a person changed about it."""
        if not pauses and not skips and not moves:
            return Beside(line=self, moved={}, spans=(), last=self.last)
        moved = self._moved(moves) if moves else {}
        line = Beside(line=self, moved=moved, spans=(), last=self.last)
        if not pauses and not skips:
            return line
        spans = _merged([*line.paused(pauses), *line.skipped(skips)])
        return attrs.evolve(line, spans=spans, last=self._last_beside(spans))

    def _moved(self, moves: Mapping[date, date]) -> dict[int, date]:
        """
        Return the charge dates that stand instead of the rolled ones (S15).

        Each lies between the one before it, moved or not, and the next, so
        that no two change places; one that does not is passed over.
        """
        moved: dict[int, date] = {}
        for nominal in sorted(moves):
            index = self.identifies(plain_date(nominal, "moves"))
            target = plain_date(moves[nominal], "moves")
            if index is None:
                continue
            if index == 0:
                fits = target >= self.first_on
            else:
                before = self.start(index - 1)
                fits = target > moved.get(before, self._charge_at(before))
            following = self.boundary(index + 1)
            if fits and (
                following > self.end or target < self._charge_at(following)
            ):
                moved[index] = target
        return moved

    def _charge_at(self, index: int) -> date:
        return self.charge(self.dates.select(index))

    def _last_beside(self, spans: tuple[_Span, ...]) -> int:
        """Return the last index when the ones in *spans* do not count."""
        if self.count is None:
            return self.end
        last = self.count - 1
        for start, stop in spans:
            if start > last:
                break
            last += stop - start
        return min(last, self.end)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Beside(Readable):
    """
    A line with what pauses, skips and moves make of it (S11, S15).

    Attributes:
        line: The rule's dates.
        moved: Charge dates that stand instead of the rolled ones, by the
            index of their occurrence.
        spans: Indices that are dropped: whole occurrences, ascending,
            disjoint.
        last: Index of the last nominal date: what is dropped uses up no
            `count`.

    """

    line: Line
    moved: dict[int, date]
    spans: tuple[_Span, ...]
    last: int

    def at(self, index: int) -> Occurrence:
        """Return the occurrence that begins at an index."""
        nominal = self.line.dates.select(index)
        if self.moved and index in self.moved:
            return occurrence(nominal, self.moved[index])
        return occurrence(nominal, self.line.charge(nominal))

    def position(self, on: date) -> int:
        """Return the first index that is charged on *on* or later."""
        line = self.line
        index = line.position(on)
        if not self.moved:
            return index
        # Only the one before can have been moved to here or later: those
        # before it are charged before its own date, moved or not.
        if index > 0:
            before = line.start(min(index - 1, line.end))
            if before in self.moved and self.moved[before] >= on:
                return before
        while index in self.moved and self.moved[index] < on:
            index = line.boundary(index + 1)
        return index

    def is_dropped(self, index: int) -> bool:
        """Tell whether a pause or a skip drops that index."""
        return any(start <= index < stop for start, stop in self.spans)

    def next_from(self, index: int) -> int | None:
        """Return the first index from *index* that runs."""
        for start, stop in self.spans:
            if start <= index < stop:
                index = stop
        return index if index <= self.last else None

    def last_before(self, index: int) -> int | None:
        """Return where the last occurrence before *index* begins."""
        index = min(index - 1, self.last)
        for start, stop in reversed(self.spans):
            if start <= index < stop:
                index = start - 1
        return self.line.start(index) if index >= 0 else None

    def walk(self, index: int, before: date | None) -> Iterator[Occurrence]:
        """Return what runs from *index* on, charged before a day."""
        line, moved = self.line, self.moved
        past_last = self.last + 1
        charged: date | None = None
        for start, stop in (*self.spans, (past_last, past_last)):
            for each in range(index, min(start, past_last)):
                nominal = line.dates.select(each)
                charge = line.charge(nominal)
                if charge == charged:
                    continue
                charged = charge
                if moved:
                    charge = moved.get(each, charge)
                if before is not None and charge >= before:
                    return
                yield occurrence(nominal, charge)
            index = max(index, stop)

    def paused(self, pauses: Collection[Pause]) -> list[_Span]:
        """Return what lies in a pause by its nominal or its charge date."""
        spans: list[_Span] = []
        for pause in pauses:
            check_type(pause, Pause, "pauses", "PauseType")
            for rank in (self._named_from, self.position):
                start = rank(pause.from_on)
                stop = _NEVER if pause.to_on is None else rank(pause.to_on)
                if start < stop:
                    spans.append((start, stop))
        return spans

    def skipped(self, skips: Collection[date]) -> list[_Span]:
        """Return what a skip names by its nominal or its charge date."""
        spans: list[_Span] = []
        for skip in skips:
            on = plain_date(skip, "skips")
            spans.extend(
                (index, self.line.boundary(index + 1))
                for index in (self.line.identifies(on), self._charged(on))
                if index is not None
            )
        return spans

    def _charged(self, on: date) -> int | None:
        """Return the index of the occurrence that is charged on a day."""
        index = self.position(on)
        if index > self.line.end or self.at(index).charge_on != on:
            return None
        return index

    def _named_from(self, on: date) -> int:
        """Return the first occurrence whose nominal date is *on* or later."""
        return self.line.boundary(self.line.dates.rank(on))


def _merged(spans: list[_Span]) -> tuple[_Span, ...]:
    """Sort *spans* and join those that touch or overlap."""
    merged: list[_Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)
