"""
How notices reach the notifier (N1, N2).

Holds: the flows that store, deliver and offer again, that tell of incidents,
of stuck postings, and of what nobody can read. Imports: `requests` and the
values.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Final, final

from autopay_core.allocation import Reason
from autopay_core.commits import (
    Change,
    Committed,
    PostingFilter,
    Told,
    Unreadable,
)
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadPostings,
    ReadUndelivered,
    ReadWaiting,
    Send,
    ask_either,
    commit,
    id_of,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import (
    Notice,
    NoticeKind,
    notice_for_firm,
    notice_for_run,
)
from autopay_core.postings import OPEN_STATUSES, Posting, PostingStatus
from autopay_core.references import RunKey
from autopay_core.runs import (
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
)

__all__ = [
    "NOTICES_AT_ONCE",
    "Night",
    "about_stuck",
    "announce",
    "deliver",
    "incomplete",
    "place_of",
    "tell",
    "tell_unreadable",
]


def tell(notices: Sequence[Notice], committed: Committed) -> Flow[None]:
    """
    Deliver what was committed, unless it was told before.

    What the notifier does not accept stays to be offered again.
    """
    delivered: list[str] = []
    for notice in notices:
        if notice.key not in committed.new_notices:
            continue
        try:
            yield Send(notice)
        except PortError:
            continue
        delivered.append(notice.key)
    if delivered:
        yield from commit(Change(delivered=tuple(delivered)))


def announce(
    *notices: Notice, told: Sequence[Told] = (), by: str = ""
) -> Flow[None]:
    """
    Store notices that no run's step carries, and deliver them.

    Args:
        notices: What is told.
        told: What was told last of a topic, if that is something else now.
        by: Who says so, for the history.

    """
    if not notices and not told:
        return
    written = yield from commit(
        Change(notices=notices, told=tuple(told), by=by)
    )
    if isinstance(written, Committed):
        yield from tell(notices, written)


def incomplete(posting: Posting, note: str, batch: str = "") -> Notice:
    """Return the notice of a posting that someone must mend (P2)."""
    return notice_for_run(
        NoticeKind.POSTING_INCOMPLETE,
        posting.run,
        payer=posting.payer,
        on=posting.charged_on,
        amount=posting.amount,
        reason="PostingIncomplete",
        detail=f"Invoice {posting.invoice}: {note or 'see posting'}",
        # Each batch that refuses it is told.
        occasion=f"{posting.id}/{batch}" if batch else str(posting.id),
    )


_PENDING_WITHIN: Final = timedelta(days=30)
_APPLIED_WITHIN: Final = timedelta(days=14)
_STUCK: Final = (
    (
        "NotPosted",
        frozenset(OPEN_STATUSES - {PostingStatus.POSTED}),
        _PENDING_WITHIN,
        "not sent to the ledger for 30 days",
    ),
    (
        "NotApplied",
        frozenset({PostingStatus.POSTED}),
        _APPLIED_WITHIN,
        "sent to the ledger 14 days ago and not shown there yet",
    ),
)
"""Where a posting may be stuck, after how long, and how that is said."""


def about_stuck(
    now: datetime, on: date, since: datetime | None
) -> Flow[tuple[Notice, ...]]:
    """
    Make notices of the postings that have become stuck (P3, N2).

    Args:
        now: The store's time.
        on: The firm's day.
        since: The store's time of the last look; what was stuck then was
            told. None if there was none.

    """
    notices: list[Notice] = []
    for reason, statuses, within, what in _STUCK:
        wanted = PostingFilter(
            statuses=statuses,
            moved_from=None if since is None else since - within,
            moved_before=now - within,
            most=READ_AT_ONCE,
        )
        found = yield from ask_either(
            ReadPostings(wanted), Posting, Unreadable
        )
        if not found:
            continue
        count = _Count()
        for each in found:
            count.add(
                f"{each.key}, which cannot be read"
                if isinstance(each, Unreadable)
                else f"invoice {each.invoice}, {each.amount} of {each.run}"
            )
        notices.append(
            notice_for_firm(
                NoticeKind.POSTING_STUCK,
                on=on,
                reason=reason,
                detail=(
                    f"Postings {what}: {count}. Meanwhile their amounts "
                    "count as on the way."
                ),
                occasion=" ".join(map(id_of, found)),
            )
        )
    return tuple(notices)


NOTICES_AT_ONCE: Final = 1_000
"""How many notices are offered before they are marked; if all of them can
never be accepted, newer ones wait for a person to help."""


def deliver(most: int = NOTICES_AT_ONCE) -> Flow[int]:
    """
    Offer notices again that were not accepted yet; return how many were.

    Each is offered once a call. One that is refused holds up no other; a
    notifier that is down ends the call.
    """
    refused: set[str] = set()
    count = 0
    while True:
        wanted = ReadUndelivered(most + len(refused))
        notices = yield from ask_either(wanted, Notice, Unreadable)
        # What cannot be read holds up no other; the store's check tells of it.
        refused.update(
            each.key for each in notices if isinstance(each, Unreadable)
        )
        offered = [
            each
            for each in notices
            if isinstance(each, Notice) and each.key not in refused
        ]
        delivered: list[str] = []
        is_down = False
        for notice in offered:
            try:
                yield Send(notice)
            except PortUnavailableError:
                is_down = True
                break
            except PortError:
                refused.add(notice.key)
            else:
                delivered.append(notice.key)
        if delivered:
            yield from commit(Change(delivered=tuple(delivered)))
            count += len(delivered)
        if is_down or len(offered) < most:
            return count


# -- What a night has to tell the firm (N1, B1, L5) --------------------------

_NAMED_MOST: Final = 10
"""So many auto-pays an incident names; the others are counted."""

_ABANDONED_AFTER: Final = timedelta(days=7)
"""So long a run may wait beside the sweeps before that is told."""

_LISTED_MOST: Final = 500
"""So many invoices one notice lists at most."""

_STOPPED: Final = frozenset(
    {Reason.BALANCE_UNEXPECTED, Reason.LOOKS_ALIKE, Reason.TAKES_PLACE}
)
"""Reasons of lines that wait for a person's word (B1, B2)."""


@final
class Night:
    """
    What one sweep, or one run, found that is told to the firm at its end.

    A note for one notice, not a memory: what is late stands on record, and a
    sweep that dies is followed by one that finds the same.
    """

    def __init__(self) -> None:
        self._causes: set[str] = set()
        self._balances: set[str] = set()
        self._left_out: set[str] = set()
        self._set_back: dict[str, _Count] = {}

    def note(self, result: RunResult) -> None:
        """Keep what is to be told of a result."""
        record = result.record
        if result.status is RunStatus.POSTPONED:
            # Not on record, for its turn could not even begin.
            self._set_back.setdefault(result.reason, _Count()).add(
                result.autopay or "something that is not an auto-pay"
            )
        if (
            record is not None
            and record.state is RunState.WAITING
            and record.late_since is not None
        ):
            self._causes.add(record.reason)
        allocation = result.allocation
        if (
            allocation is None
            or record is None
            or len(self._balances) + len(self._left_out) >= _LISTED_MOST
        ):
            return
        # A rise that is taken as interest is noted as well, and paid.
        stopped = tuple(
            f"{line.invoice.number}: "
            for line in allocation.lines
            if line.reason in _STOPPED
        )
        self._balances.update(
            each for each in record.notes if each.startswith(stopped)
        )
        self._left_out.update(str(each) for each in allocation.left_out)

    def tell(
        self, on: date, turns: Collection[str] | None = None
    ) -> Flow[None]:
        """
        Tell it: one notice for each cause and day, with all names.

        Args:
            on: The firm's day.
            turns: Ids of the auto-pays that had something to do in a sweep;
                of what waits beside them, it is told that nobody goes on
                with it. None after a single run.

        """
        notices = yield from self._waiting(on, turns)
        for kind, reason, found in (
            (
                NoticeKind.BALANCE_UNEXPECTED,
                "BalanceUnexpected",
                self._balances,
            ),
            (NoticeKind.BALANCE_UNEXPECTED, "LeftOut", self._left_out),
        ):
            if found:
                names = "; ".join(sorted(found))
                said = "invoice gets" if len(found) == 1 else "invoices get"
                notices.append(
                    notice_for_firm(
                        kind,
                        on=on,
                        reason=reason,
                        detail=f"{len(found)} {said} nothing: {names}",
                        # The same again on one day is told once.
                        occasion=" ".join(sorted(found)),
                    )
                )
        yield from announce(*notices)

    def _waiting(
        self, on: date, turns: Collection[str] | None
    ) -> Flow[list[Notice]]:
        """Go once through the runs that wait at this moment."""
        if turns is None and not self._causes and not self._set_back:
            return []
        late = {each: _Count() for each in sorted(self._causes)}
        abandoned: list[Notice] = []
        after: RunKey | None = None
        while True:
            page = yield from ask_either(
                ReadWaiting(after, READ_AT_ONCE), RunRecord, Unreadable
            )
            for each in page:
                if isinstance(each, Unreadable):
                    continue
                if each.late_since is not None and each.reason in late:
                    late[each.reason].add(str(each.key))
                if (
                    turns is not None
                    and each.key.autopay not in turns
                    and on - _due_since(each) > _ABANDONED_AFTER
                ):
                    abandoned.append(_about_abandoned(each))
            if len(page) < READ_AT_ONCE:
                break
            after = place_of(page[-1])
        return [
            *abandoned,
            *(
                _about_late(on, cause, f"Late are {count}", "")
                for cause, count in late.items()
                if count.total
            ),
            *(
                _about_late(on, cause, f"Without a turn were {count}", "turn")
                for cause, count in sorted(self._set_back.items())
            ),
        ]


class _Count:
    """How many there are, and the first of them by name."""

    def __init__(self) -> None:
        self.total = 0
        self._names: list[str] = []

    def add(self, name: str) -> None:
        self.total += 1
        if self.total <= _NAMED_MOST:
            self._names.append(name)

    def __str__(self) -> str:
        more = ", …" if self.total > _NAMED_MOST else ""
        return f"{self.total}: {', '.join(self._names)}{more}"


def _about_late(on: date, cause: str, detail: str, occasion: str) -> Notice:
    """Tell the firm what is late for a cause; once a day (N1)."""
    return notice_for_firm(
        NoticeKind.INCIDENT,
        on=on,
        reason=cause,
        detail=f"{detail}. It is tried again at each sweep.",
        occasion=occasion,
    )


def _due_since(record: RunRecord) -> date:
    """Return the day on which a waiting run could have gone on."""
    if record.next_try_on is not None:
        return record.next_try_on
    return record.charge_on if record.late_since is None else record.late_since


def _about_abandoned(record: RunRecord) -> Notice:
    """Tell that a run waits, and that no sweep has its auto-pay any more."""
    return notice_for_run(
        NoticeKind.FAILED,
        record.key,
        payer=record.payer,
        on=record.charge_on,
        name="" if record.intent is None else record.intent.name,
        reason="NobodysTurn",
        detail=(
            "It waits to be tried again, and no sweep has had its auto-pay "
            "for a week; if that is gone, nothing more is collected for it."
        ),
        occasion="abandoned",
    )


def place_of(row: RunRecord | Unreadable) -> RunKey:
    """Return the key after which the next page begins."""
    return row.key if isinstance(row, RunRecord) else RunKey.of(row.key)


def tell_unreadable(row: Unreadable) -> Flow[RunResult]:
    """Tell of a run that nobody can read; it holds up no other (R6)."""
    key: RunKey | None
    try:
        key = RunKey.of(row.key)
    except InvalidValueError:
        key = None
    if row.code == "FormatNewer":
        # Left to newer workers, in silence.
        return RunResult(
            key=key,
            status=RunStatus.POSTPONED,
            reason=row.code,
            detail="A newer version wrote it, and goes on with it.",
        )
    notice = notice_for_firm(
        NoticeKind.NEEDS_REVIEW,
        on=None if key is None else key.nominal_on,
        reason=row.code,
        detail=f"The run {row.key} on record cannot be read.",
        occasion=row.key,
    )
    yield from announce(notice)
    return RunResult(
        key=key,
        status=RunStatus.REVIEW,
        reason=row.code,
        detail=notice.detail,
    )
