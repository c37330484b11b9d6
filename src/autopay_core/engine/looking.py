"""
What a monitor, or a person, asks about a store as a whole (O3).

Holds: `look_at`, which makes a `Health`; `list_runs`; and `swept`,
`looked_for_stuck` and `stuck_since`, what a sweep leaves on record of itself.
Imports: `breaking`, `requests`, `telling` and the values. Only the posting
store is asked, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Final, TypeAlias

import attrs

from autopay_core._shown import Listed
from autopay_core.batches import PostingTotal
from autopay_core.commits import PostingFilter, PostingSort, Told, Unreadable
from autopay_core.engine.breaking import list_holds
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    THE_STORE,
    Flow,
    ReadMovements,
    ReadPostings,
    ReadTotals,
    ReadUndelivered,
    ReadUnderWay,
    ReadWaiting,
    Request,
    ask_either,
    read_all,
    read_standing,
)
from autopay_core.engine.telling import place_of
from autopay_core.errors import InvalidValueError
from autopay_core.holds import HoldLevel
from autopay_core.monitoring import Health
from autopay_core.movements import MovementRecord, MovementState
from autopay_core.notices import Notice
from autopay_core.policy import Policy
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import RunKey
from autopay_core.runs import RESERVING_STATES, RunRecord, RunState

__all__ = [
    "LISTED",
    "STUCK",
    "list_runs",
    "look_at",
    "looked_for_stuck",
    "stuck_since",
    "swept",
]

LISTED: Final = RESERVING_STATES | {RunState.WAITING}
"""States in which a run goes on some day."""

_SWEEP: Final = "sweep"
STUCK: Final = "stuck"
"""The topic under which it stands until when stuck postings were told."""

_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)

_OLDEST_MOST: Final = 20
"""So many of the oldest postings are read, for the first may be unreadable."""

_AskRuns: TypeAlias = Callable[[RunKey | None, int], Request]

_UNPOSTED: Final = frozenset(
    {
        PostingStatus.PENDING,
        PostingStatus.QUEUED,
        PostingStatus.INCOMPLETE,
    }
)


def swept(as_of: date, began: datetime, ended: datetime) -> Told:
    """Return what a sweep leaves on record of itself."""
    said = f"{as_of} {began.isoformat()} {ended.isoformat()}"
    return Told(autopay=THE_STORE.autopay, topic=_SWEEP, said=said, key=_SWEEP)


def looked_for_stuck(now: datetime) -> Told:
    """Return until when it was told which postings are stuck."""
    said = now.isoformat()
    return Told(autopay=THE_STORE.autopay, topic=STUCK, said=said, key=STUCK)


def stuck_since(told: Mapping[str, Told]) -> datetime | None:
    """Return until when it was told what is stuck; None if nobody knows."""
    before = told.get(STUCK)
    if before is None:
        return None
    try:
        since = datetime.fromisoformat(before.said)
    except ValueError:
        return None  # What was told is told again; that is all (R6).
    return since if since.tzinfo is not None and since > _OLDEST else None


def _with_sweep(health: Health, told: Told | None) -> Health:
    if told is None:
        return health
    try:
        as_of, began, ended = told.said.split()
        return attrs.evolve(
            health,
            swept_for=date.fromisoformat(as_of),
            sweep_began=datetime.fromisoformat(began),
            sweep_ended=datetime.fromisoformat(ended),
        )
    except ValueError:
        return attrs.evolve(health, unreadable=health.unreadable + 1)


def list_runs(
    states: Collection[RunState] = LISTED,
) -> Flow[list[RunRecord | Unreadable]]:
    """
    Read the runs that go on some day, by state and key (R4, N1).

    Raises:
        InvalidValueError: A state is none of `LISTED` (``RunState``).

    """
    for each in states:
        if each not in LISTED:
            raise InvalidValueError(
                f"runs that are {each.value} are not listed",
                code="RunState",
                path="states",
                value=each.value,
            )
    return _list_runs(frozenset(states))


def _list_runs(
    states: frozenset[RunState],
) -> Flow[list[RunRecord | Unreadable]]:
    found: list[RunRecord | Unreadable] = Listed()
    for ask, of in (
        (ReadUnderWay, RESERVING_STATES),
        (ReadWaiting, {RunState.WAITING}),
    ):
        if states.isdisjoint(of):
            continue
        runs = yield from read_all(
            partial(_ask_next, ask), RunRecord, None, place_of
        )
        found.extend(
            each
            for each in runs
            if isinstance(each, Unreadable) or each.state in states
        )
    return found


def _ask_next(ask: _AskRuns, after: RunKey | None) -> Request:
    return ask(after, READ_AT_ONCE)


def look_at(policy: Policy) -> Flow[Health]:
    """Read how the store is, at a glance."""
    standing = yield from read_standing(THE_STORE, "", "")
    holds = yield from list_holds()
    runs = yield from _list_runs(LISTED)
    lost = [*holds.unreadable]
    lost += [each for each in runs if isinstance(each, Unreadable)]
    readable = [each for each in runs if isinstance(each, RunRecord)]
    under_way = [each for each in readable if each.state in RESERVING_STATES]
    doubts = sorted(
        (each.attempts[-1].began_at, each.key)
        for each in under_way
        if each.state.is_doubtful
    )
    late = [
        each.late_since
        for each in readable
        if each.state is RunState.WAITING and each.late_since is not None
    ]
    undelivered = yield from ask_either(
        ReadUndelivered(READ_AT_ONCE), Notice, Unreadable
    )
    wanted = PostingFilter(
        statuses=_UNPOSTED, sort=PostingSort.CHARGED, most=_OLDEST_MOST
    )
    oldest = yield from ask_either(ReadPostings(wanted), Posting, Unreadable)
    totals = yield from ask_either(
        ReadTotals(wanted), PostingTotal, Unreadable
    )
    lost += [
        each for each in (*oldest, *totals) if isinstance(each, Unreadable)
    ]
    movements = 0
    for state in (MovementState.WAITING, MovementState.CASE):
        page = yield from ask_either(
            ReadMovements(state, "", READ_AT_ONCE), MovementRecord, Unreadable
        )
        movements += len(page)
        lost += [each for each in page if isinstance(each, Unreadable)]
    found = Health(
        at=standing.now,
        on=policy.date_of(standing.now),
        is_clock_suspect=standing.is_clock_suspect,
        store_hold=next(
            (each for each in holds if each.level is HoldLevel.STORE), None
        ),
        holds=len(holds),
        under_way=len(under_way),
        in_review=sum(each.state is RunState.REVIEW for each in under_way),
        oldest_doubt=doubts[0][1] if doubts else None,
        doubt_since=doubts[0][0] if doubts else None,
        late=len(late),
        late_since=min(late, default=None),
        unreadable=len(lost),
        undelivered=len(undelivered),
        unposted=sum(
            each.count for each in totals if isinstance(each, PostingTotal)
        ),
        oldest_unposted=next(
            (each for each in oldest if isinstance(each, Posting)), None
        ),
        movements=movements,
    )
    return _with_sweep(found, standing.told.get(_SWEEP))
