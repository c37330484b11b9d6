"""
Which turns of a sweep may go on beside each other (O3).

Holds: `one_by_one` and `side_by_side`, the two orders of turns, and
`in_groups`, for turns that others carry. Imports: `case`, `requests`,
`autopay`, `runs`. Pure: that turns overlap is decided
here, and how they do (threads, tasks) is the affair of whoever answers
`BeginTurn` and `AwaitTurn`. A look at what was left under way is a turn too.

Turns that have a client, a payer, a payment method or an id in common go on
one after another, in the order given, for each of them plans on what the one
before it left. So what is done for each order is what would be done without
overlapping. Results are given in the order given as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any, Final, TypeAlias, cast, final

from autopay_core.autopay import AutoPay
from autopay_core.engine.case import InHand
from autopay_core.engine.requests import (
    Again,
    AwaitTurn,
    BeginTurn,
    Ended,
    NextAutoPay,
    TurnOver,
)
from autopay_core.runs import RunRecord

__all__ = [
    "HandOver",
    "Take",
    "TurnOf",
    "Turns",
    "in_groups",
    "one_by_one",
    "side_by_side",
]

Turns: TypeAlias = Generator[Any, Any, None]
TurnOf: TypeAlias = Callable[[object], Generator[Any, Any, tuple[Any, ...]]]
"""Makes the flow of a turn, for whatever the caller gave."""

HandOver: TypeAlias = Callable[[tuple[Any, ...]], Generator[Any, Any, None]]
"""Gives the results of a turn to the caller of the sweep."""

Take: TypeAlias = Callable[[], Generator[Any, Any, list[object]]]
"""Returns the next that has a turn, in a list; an empty one at the end."""

_AHEAD: Final = 8
"""So many times `at_once` turns are taken in before the first of them is
over: others go on while some wait, and memory does not grow."""


def one_by_one(
    turn_of: TurnOf, hand_over: HandOver, take: Take | None = None
) -> Turns:
    """Let each turn begin when the one before it is over."""
    take = _next if take is None else take
    while True:
        given = yield from take()
        if not given:
            return
        results = yield from turn_of(given[0])
        yield from _give(given[0], results, hand_over)


def side_by_side(
    turn_of: TurnOf,
    hand_over: HandOver,
    at_once: int,
    take: Take | None = None,
) -> Turns:
    """
    Let so many turns go on at once, if they have nothing in common.

    An error that a turn ends with, which is the caller's own, ends the sweep:
    no other turn begins.
    """
    take = _next if take is None else take
    lanes = _Lanes()
    given: dict[int, object] = {}
    over: dict[int, tuple[Any, ...]] = {}
    taken = shown = going = 0
    is_more = True
    while True:
        while going < at_once and lanes.is_ready:
            place = lanes.first()
            if lanes.has_waited(place) and (
                yield from _has_moved(given, place, lanes)
            ):
                continue
            yield BeginTurn(place, turn_of(given[place]))
            going += 1
        if is_more and going < at_once and taken - shown < _AHEAD * at_once:
            found = yield from take()
            if found:
                given[taken] = found[0]
                lanes.join(taken, _marks_of(found[0]))
                taken += 1
            else:
                is_more = False
            continue
        if not going:
            return
        ended = yield AwaitTurn()
        assert isinstance(ended, Ended)
        if ended.error is not None:
            raise ended.error
        going -= 1
        lanes.leave(ended.place)
        over[ended.place] = ended.results
        while shown in over:
            yield from _give(given.pop(shown), over.pop(shown), hand_over)
            shown += 1


def in_groups(given: Mapping[str, object], /) -> tuple[tuple[str, ...], ...]:
    """
    Group what has a turn by what turns must have for themselves.

    Groups have nothing in common. Each keeps the order given, and they come
    in the order of their first.

    Args:
        given: By id, what a book or a caller gave.

    """
    group_of: dict[str, list[str]] = {}
    by_mark: dict[tuple[str, str], str] = {}
    for id_, each in given.items():
        group_of[id_] = [id_]
        for mark in _marks_of(each):
            other = group_of[by_mark.setdefault(mark, id_)]
            group = group_of[id_]
            if group is other:
                continue
            # The smaller one moves: each moves log n times.
            small, large = sorted((group, other), key=len)
            large.extend(small)
            for moved in small:
                group_of[moved] = large
    place = {id_: number for number, id_ in enumerate(given)}
    found = {each[0]: each for each in group_of.values()}.values()
    return tuple(
        sorted(
            (tuple(sorted(each, key=place.__getitem__)) for each in found),
            key=lambda each: place[each[0]],
        )
    )


def _next() -> Generator[Any, Any, list[object]]:
    answer = yield NextAutoPay()
    assert isinstance(answer, list)
    return cast("list[object]", answer)


def _give(
    given: object, results: tuple[Any, ...], hand_over: HandOver
) -> Turns:
    yield from hand_over(results)
    if isinstance(given, InHand):
        yield TurnOver(given, results)


def _has_moved(
    given: dict[int, object], place: int, lanes: _Lanes
) -> Generator[Any, Any, bool]:
    """
    Read an order of a book again that had to wait for its turn (R7).

    Returns:
        Whether it has something else in common with others now, so that it
        waits for those.

    """
    if not isinstance(given[place], InHand):
        return False
    answer = yield Again(given[place])
    [given[place]] = cast("list[object]", answer)
    return lanes.moves(place, _marks_of(given[place]))


def _marks_of(given: object) -> frozenset[tuple[str, str]]:
    """Return what a turn must have for itself."""
    if isinstance(given, InHand):
        given = given.autopay
    if isinstance(given, RunRecord):
        return frozenset(_marks_of_run(given))
    if not isinstance(given, AutoPay):
        return frozenset()
    return frozenset(
        [
            ("autopay", given.id),
            ("payer", given.payer),
            ("method", given.method.fingerprint),
            *(
                ("client", each.association.client)
                for each in given.enrollments
            ),
        ]
    )


def _marks_of_run(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "autopay", record.key.autopay
    yield "payer", record.payer
    for attempt in record.attempts:
        yield "method", attempt.method
    lines = record.intent.allocation.lines if record.intent else ()
    for line in lines:
        yield "client", line.invoice.client


@final
class _Lanes:
    """
    A queue for each mark; who is first in all of its queues may begin.

    A turn joins all of its queues in one step, so each queue has its turns
    in the same order, and no two wait for each other.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], deque[int]] = {}
        self._marks: dict[int, frozenset[tuple[str, str]]] = {}
        self._behind: dict[int, int] = {}
        self._waited: set[int] = set()
        self._ready: list[int] = []

    @property
    def is_ready(self) -> bool:
        """Whether a turn may begin."""
        return bool(self._ready)

    def first(self) -> int:
        """Return the place of the turn that may begin first; once."""
        return heappop(self._ready)

    def has_waited(self, place: int) -> bool:
        """Tell whether a turn had to wait for another one."""
        return place in self._waited

    def join(self, place: int, marks: frozenset[tuple[str, str]]) -> None:
        """Queue up behind all that have a mark in common."""
        behind = 0
        for each in marks:
            queue = self._queues.setdefault(each, deque())
            behind += bool(queue)
            queue.append(place)
        self._marks[place] = marks
        self._behind[place] = behind
        if behind:
            self._waited.add(place)
        else:
            heappush(self._ready, place)

    def leave(self, place: int) -> None:
        """Let those begin that waited only for this one, which is first."""
        del self._behind[place]
        self._waited.discard(place)
        for each in self._marks.pop(place):
            queue = self._queues[each]
            queue.popleft()
            if not queue:
                del self._queues[each]
                continue
            self._behind[queue[0]] -= 1
            if not self._behind[queue[0]]:
                heappush(self._ready, queue[0])

    def moves(self, place: int, marks: frozenset[tuple[str, str]]) -> bool:
        """Queue up anew if the marks are others; tell whether they are."""
        if marks == self._marks[place]:
            return False
        self.leave(place)
        self.join(place, marks)
        # Even if nobody was there: it has been read a moment ago.
        return True
