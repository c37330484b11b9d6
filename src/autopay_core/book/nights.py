"""
A night of what is due: who has a turn, and when again (O3, A7).

Holds: `sweep`; and, for a host that gives each order a job, `begin` and
`turn`. Imports: `flows`, `days`, `changes`, `values`, `_life`, `engine` and
the values. The turns themselves are those of `engine.sweeping`; what is added
here is whose turn it is, what was changed since the last one, and the day on
which the next one comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, final

from autopay_core._checks import check_date, check_id
from autopay_core._life import latest_on
from autopay_core.autopay import AutoPay, AutoPayState, due, state_on
from autopay_core.book.changes import method_removed, what_changed
from autopay_core.book.days import next_day
from autopay_core.book.flows import (
    AskBook,
    BookFlow,
    in_hand,
    latest,
    not_in_book,
    place_of,
    readable,
)
from autopay_core.book.values import Kept, Kind, Turned, Version
from autopay_core.commits import Standing, Told, Unreadable
from autopay_core.engine import sweeping
from autopay_core.engine.case import InHand
from autopay_core.engine.knowing import record_of
from autopay_core.engine.lanes import in_groups
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Again,
    NextAutoPay,
    ReadUnfinished,
    ReadWaiting,
    Terms,
    TurnOver,
    ask_either,
    read_standing,
)
from autopay_core.engine.telling import announce, place_of as place_of_run
from autopay_core.errors import PortError
from autopay_core.notices import Notice
from autopay_core.payers import Payer
from autopay_core.policy import date_in
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunResult, RunState, RunStatus

__all__ = ["begin", "sweep", "turn"]

_DAY: Final = timedelta(days=1)
_MOVED_AT_ONCE: Final = 100
# A night that was down may tell late, but not for ever.
_TOLD_DAYS: Final = timedelta(days=30)

_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")

VERSION: Final = "version"
"""The topic under which the version that was told is kept (N5)."""
METHOD: Final = "method"
"""The topic under which the removal of a method is kept (N5)."""

BookStream: TypeAlias = Generator[Any, Any, None]

_OVER: Final = frozenset(
    {
        RunStatus.ANNOUNCED,
        RunStatus.PAID,
        RunStatus.FAILED,
        RunStatus.NOTHING_DUE,
        RunStatus.CANCELLED,
        RunStatus.MISSED,
    }
)
"""What needs no turn tomorrow."""


def sweep(
    as_of: date, terms: Terms, *, claim_seconds: int = 0, at_once: int = 1
) -> BookStream:
    """Run what is due by a date, and give the results in turn (O3)."""
    inner = sweeping.sweep(
        as_of, terms, claim_seconds=claim_seconds, at_once=at_once
    )
    return _sweep(inner, _Turns(as_of, terms))


def begin(as_of: date, terms: Terms) -> BookFlow[tuple[tuple[str, ...], ...]]:
    """
    Begin a night as a sweep does, and return whose turn it is (O3).

    In groups: orders that have something in common, in the order in which a
    sweep gives them their turns.
    """
    check_date(as_of, "as_of")
    yield from sweeping.begin(terms)
    night = _Turns(as_of, terms)
    given: dict[str, object] = {}
    while (kept := (yield from night.next_one())) is not None:
        given[kept.id] = yield from night.given(kept)
    return in_groups(given)


def turn(
    id: str,  # noqa: A002 - the word
    as_of: date,
    terms: Terms,
    *,
    claim_seconds: int = 0,
) -> BookFlow[tuple[RunResult, ...]]:
    """
    Give one order the turn that a sweep would give it (O3).

    Whether it is due or not: a turn too many costs nothing (R5).
    """
    check_id(id, "autopay")
    check_date(as_of, "as_of")
    night = _Turns(as_of, terms)
    found = yield from latest(Kind.AUTOPAY, [id])
    if id not in found:
        raise not_in_book(Kind.AUTOPAY, id)
    given = yield from night.given(found[id])
    results = yield from sweeping.turn_of(
        given, as_of, terms, claim_seconds=claim_seconds
    )
    if isinstance(given, InHand):
        yield from night.answer(TurnOver(given, results))
    yield from night.finish()
    return results


def _sweep(inner: BookStream, night: _Turns) -> BookStream:
    go_on: Callable[[], Any] = partial(next, inner)
    while True:
        try:
            request = go_on()
        except StopIteration:
            break
        if isinstance(request, (NextAutoPay, Again, TurnOver)):
            answer = yield from night.answer(request)
            go_on = partial(inner.send, answer)
            continue
        try:
            answer = yield request
        except Exception as error:  # noqa: BLE001 - the engine's to judge
            go_on = partial(inner.throw, error)
        else:
            go_on = partial(inner.send, answer)
    yield from night.finish()


@final
class _InHand(NamedTuple):
    """A turn under way: what stands in the book, and whose it is."""

    kept: Kept
    payer: Payer | None = None


def _removed(held: _InHand, as_of: date) -> Notice | None:
    """Return the notice that the order's method is gone, if it is (A7)."""
    version, payer = held.kept.version, held.payer
    if payer is None or isinstance(version, Unreadable):
        return None
    autopay = version.autopay
    for each in payer.methods:
        if (
            each.method.fingerprint == autopay.method.fingerprint
            and each.removed_on is not None
            and each.removed_on <= as_of
        ):
            return method_removed(autopay, each.removed_on, as_of)
    return None


def _said(standing: Standing, topic: str) -> str:
    told = standing.told.get(topic)
    return "" if told is None else told.said


def _number_of(said: str) -> int:
    """Return the version that was told; the first if that is no number."""
    return int(said) if _NUMBER.fullmatch(said) else 1


def _told(autopay: AutoPay, topic: str, said: str, key: str) -> Told:
    return Told(autopay=autopay.id, topic=topic, said=said, key=key)


@final
class _Turns:
    """
    Whose turn it is, one after another.

    The next days are moved for many orders at once: a night that is cut off
    gives these a turn again, and a turn too many costs nothing (R5).
    """

    def __init__(self, as_of: date, terms: Terms) -> None:
        self._as_of = as_of
        self._terms = terms
        self._after: tuple[date, str] | None = None
        self._in_hand: dict[str, _InHand] = {}
        self._turned: list[Turned] = []
        self._had: set[str] = set()
        self._page: list[str] = []
        self._woken: Iterator[str] | None = None
        self._broken: PortError | None = None

    def answer(
        self, request: NextAutoPay | Again | TurnOver
    ) -> BookFlow[list[object]]:
        """
        Answer what a sweep asks of whoever gives it its orders.

        Without a book no other turn begins; what is under way ends, and is
        told, before that is raised.
        """
        broken = self._broken
        if broken is None:
            try:
                return (yield from self._asked(request))
            except PortError as error:
                self._broken = broken = error
        if isinstance(request, Again):
            # It may have been turned off while it waited.
            return [Unreadable(key=request.given.autopay.id, code=broken.code)]
        return []

    def _asked(
        self, request: NextAutoPay | Again | TurnOver
    ) -> BookFlow[list[object]]:
        if isinstance(request, NextAutoPay):
            return (yield from self._next())
        autopay = request.given.autopay
        if isinstance(request, Again):
            return (yield from self._again(autopay))
        yield from self._end(autopay, request.results)
        return []

    def _next(self) -> BookFlow[list[object]]:
        kept = yield from self.next_one()
        if kept is None or len(self._turned) >= _MOVED_AT_ONCE:
            yield from self._move_on()
        if kept is None:
            return []
        return [(yield from self.given(kept))]

    def _again(self, autopay: AutoPay) -> BookFlow[list[object]]:
        """Read an order again whose turn had to wait for others (R7)."""
        found = yield from latest(Kind.AUTOPAY, [autopay.id])
        return [(yield from self.given(found[autopay.id]))]

    def finish(self) -> BookFlow[None]:
        """Keep what is left to be kept; raise what the book raised."""
        if self._broken is not None:
            raise self._broken
        yield from self._move_on()

    def _move_on(self) -> BookFlow[None]:
        if self._turned:
            yield AskBook("move_on", (tuple(self._turned),))
            self._turned = []

    def next_one(self) -> BookFlow[Kept | None]:
        """
        Read the next order as it stands when its turn begins (R7).

        One by one: whoever is turned off while others are charged is not
        charged any more. What is edited after its turn has its next one on
        another night (R13).
        """
        while self._woken is None:
            if not self._page:
                page = yield AskBook(
                    "due", (self._as_of, self._after, READ_AT_ONCE)
                )
                if not page:
                    self._woken = iter((yield from self._wake()))
                    break
                self._after = place_of(page[-1])
                self._page = [each.id for each in reversed(page)]
            id_ = self._page.pop()
            if id_ in self._had:
                continue
            found = yield from latest(Kind.AUTOPAY, [id_])
            if id_ in found:
                self._had.add(id_)
                return found[id_]
        for id_ in self._woken:
            found = yield from latest(Kind.AUTOPAY, [id_])
            if id_ in found:
                return found[id_]
        return None

    def _wake(self) -> BookFlow[list[str]]:
        """
        Return the orders that something on record waits for.

        A retry, a run in doubt, one that was taken back to waiting, or one
        that a hold kept back: whatever is not over has a turn.
        """
        ids: dict[str, None] = {}
        for ask in (ReadUnfinished, ReadWaiting):
            after: RunKey | None = None
            while True:
                page = yield from ask_either(
                    ask(after, READ_AT_ONCE), RunRecord, Unreadable
                )
                for each in page:
                    if isinstance(each, RunRecord):
                        ids[each.key.autopay] = None
                if len(page) < READ_AT_ONCE:
                    break
                after = place_of_run(page[-1])
        return [each for each in ids if each not in self._had]

    def given(self, kept: Kept) -> BookFlow[object]:
        """Return an order as it may be collected, by what its payer has."""
        self._in_hand[kept.id] = _InHand(kept)
        if isinstance(kept.version, Unreadable):
            return kept.version
        autopay = kept.version.autopay
        payers = yield from latest(Kind.PAYER, [autopay.payer])
        owner = payers.get(autopay.payer)
        if owner is None:
            return InHand(autopay)
        if isinstance(owner.version, Unreadable):
            # Nobody knows what the payer still has: nothing is taken.
            return Unreadable(key=kept.id, code=owner.version.code)
        payer = owner.version.payer
        self._in_hand[kept.id] = _InHand(kept, payer)
        return in_hand(autopay, payer, self._as_of, self._terms)

    def _end(
        self, autopay: AutoPay, results: tuple[RunResult, ...]
    ) -> BookFlow[None]:
        """Tell what was changed, and keep when an order is next."""
        held = self._in_hand.pop(autopay.id)
        try:
            next_on = yield from self._next_on(held, autopay, results)
        except PortError:
            next_on = self._as_of + _DAY  # Nobody knows what is left.
        kept = held.kept
        self._turned.append(
            Turned(id=kept.id, number=kept.number, next_on=next_on)
        )

    def _next_on(
        self, held: _InHand, autopay: AutoPay, results: tuple[RunResult, ...]
    ) -> BookFlow[date]:
        """Work out when an order is next: tomorrow, if anything is left."""
        kept, tomorrow = held.kept, self._as_of + _DAY
        came = latest_on(autopay, self._as_of)
        nominal_on = self._as_of if came is None else came.nominal_on
        key = RunKey(autopay=autopay.id, nominal_on=nominal_on)
        is_left = any(each.status not in _OVER for each in results)
        # On record before; or left to another worker, who may have died; or
        # nothing was written, for the clock cannot be right.
        is_elsewhere = all(each.key != key for each in results)
        # What was announced before an edit may be no date any more, and is
        # put on record as dropped when its day comes (S11).
        may_be_announced = (
            autopay.advance_notice is not None or kept.number > 1
        )
        to_be_told = kept.number > 1 or _removed(held, self._as_of)
        next_on = next_day(autopay, self._as_of)
        if is_left and not to_be_told:
            return tomorrow
        if not (is_elsewhere or may_be_announced or to_be_told):
            return next_on
        standing = yield from read_standing(
            key, autopay.method.fingerprint, autopay.payer
        )
        if to_be_told and not standing.is_clock_suspect:
            yield from self._tell_changes(held, standing)
        if is_left or (is_elsewhere and self._is_open(autopay, standing)):
            return tomorrow
        announced = [
            each.charge_on
            for each in standing.unfinished
            if each.state is RunState.ANNOUNCED
            and each.charge_on > self._as_of
        ]
        return min([next_on, *announced])

    def _tell_changes(
        self, held: _InHand, standing: Standing
    ) -> BookFlow[None]:
        """
        Tell how an order differs from what was told last (N2, N5).

        Not of one that has ended or is off, which is told by itself; that
        nothing is enrolled any more is told here.
        """
        version, as_of = readable(held.kept), self._as_of
        autopay, number = version.autopay, str(version.number)
        is_new = version.number > 1 and number != _said(standing, VERSION)
        removed = _removed(held, as_of)
        if removed is not None and removed.key == _said(standing, METHOD):
            removed = None
        if not is_new and removed is None:
            return
        known = yield from record_of(autopay, as_of)
        state = state_on(autopay, as_of, known=known)
        if state is AutoPayState.OFF or (
            state is AutoPayState.ENDED and autopay.enrollments
        ):
            return
        notices: list[Notice] = []
        told: list[Told] = []
        if is_new:
            notices += yield from self._changes(version, standing)
            key = notices[-1].key if notices else f"version-{number}"
            told.append(_told(autopay, VERSION, number, key))
        if removed is not None:
            notices.append(removed)
            told.append(_told(autopay, METHOD, removed.key, removed.key))
        yield from announce(*notices, told=told)

    def _changes(
        self, version: Version, standing: Standing
    ) -> BookFlow[tuple[Notice, ...]]:
        """Return what is to be told of what was changed since then."""
        before: Version | None = None
        number = _number_of(_said(standing, VERSION))
        while number < version.number:
            page = yield AskBook(
                "versions",
                (Kind.AUTOPAY, version.id, number - 1, READ_AT_ONCE),
            )
            for each in page:
                # What was changed long ago is known by now.
                if each.number < version.number and (
                    before is None or self._is_old(each)
                ):
                    before = each
                number = each.number + 1
            if len(page) < READ_AT_ONCE:
                break
        if before is None or self._is_old(version):
            return ()
        return what_changed(
            before.autopay,
            version.autopay,
            on=self._day_of(version),
            as_of=self._as_of,
            number=version.number,
        )

    def _is_old(self, version: Version) -> bool:
        return self._day_of(version) < self._as_of - _TOLD_DAYS

    def _day_of(self, version: Version) -> date:
        return date_in(version.at, self._terms.policy.zone, "at")

    def _is_open(self, autopay: AutoPay, standing: Standing) -> bool:
        """Tell whether something on record is to be gone on with."""
        done = standing.latest
        return (
            standing.is_clock_suspect
            or any(
                each.state is not RunState.ANNOUNCED
                for each in standing.unfinished
            )
            or bool(
                due(
                    autopay,
                    self._as_of,
                    after=None if done is None else done.key.nominal_on,
                )
            )
        )
