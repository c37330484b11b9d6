"""
A posting store in memory (PS-1 to PS-28).

Holds: `MemoryPostingStore`. Imports: `gateway`, `_batches`, `_holds` and the
values. A commit notes what stood before each of its steps, so that one that is
interrupted leaves nothing behind (PS-1). Long, since it is the whole port,
each method of a few lines.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final, final

import attrs

from autopay_core.adapters._batches import batch_conflict
from autopay_core.adapters._holds import client_of, targets_of
from autopay_core.adapters.memory.gateway import Clock, system_clock
from autopay_core.balances import (
    Expected,
    ShareStep,
    share_step,
    steps_needed_since,
)
from autopay_core.batches import Batch, PostingTotal
from autopay_core.commits import (
    CLOCK_BEHIND,
    AttemptsAllowed,
    BatchFilter,
    Ceiling,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Distinct,
    Incident,
    OpenAmounts,
    PostingFilter,
    PostingSort,
    Restored,
    Standing,
    Told,
)
from autopay_core.errors import CurrencyMismatchError, PostingConflictError
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.movements import MovementRecord, MovementState
from autopay_core.notices import Notice
from autopay_core.postings import OPEN_STATUSES, Posting
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
    is_same_account,
    reservations,
)

__all__ = ["MemoryPostingStore"]

_TICK: Final = timedelta(microseconds=1)
_PLACES: Final[Mapping[PostingSort, Callable[[Posting], tuple[Any, ...]]]] = {
    PostingSort.ID: lambda _: (),
    PostingSort.CHARGED: lambda each: (each.charged_on,),
    PostingSort.AMOUNT: lambda each: (
        each.amount.currency,
        each.amount.amount_minor,
    ),
    PostingSort.PAYER: lambda each: (each.payer,),
    PostingSort.CLIENT: lambda each: (each.client,),
    PostingSort.INVOICE: lambda each: (each.invoice,),
}
"""What goes before the id in an order; when it was made the store knows."""


@final
class MemoryPostingStore:
    """
    A posting store in dictionaries; gone with the process.

    Args:
        clock: Its time; `standing` never lets it go back (PS-12).
        identity: Its id, for worlds that are to be repeated; random if empty
            (PS-22).

    """

    def __init__(
        self, *, clock: Clock = system_clock, identity: str = ""
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._latest_now = clock()
        self._committed_at: datetime | None = None
        self._id = identity or secrets.token_hex(16)
        self._restored: tuple[Restored, ...] = ()
        self._runs: dict[RunKey, RunRecord] = {}
        self._autopays: dict[str, dict[RunKey, RunRecord]] = {}
        self._under_way: dict[RunKey, RunRecord] = {}
        self._waiting: dict[RunKey, RunRecord] = {}
        self._references: dict[str, dict[RunKey, str]] = {}
        self._attempts: dict[str, dict[tuple[RunKey, int], AttemptRecord]] = {}
        self._postings: dict[str, Posting] = {}
        self._notices: dict[str, Notice] = {}
        self._undelivered: dict[str, None] = {}
        self._holds: dict[str, Hold] = {}
        self._holds_version = 0
        self._told: dict[str, dict[str, Told]] = {}
        self._incidents: dict[tuple[str, date], Incident] = {}
        self._expected: dict[str, Expected] = {}
        self._expected_of: dict[str, dict[str, Expected]] = {}
        self._distinct: dict[frozenset[str], Distinct] = {}
        self._movements: dict[str, MovementRecord] = {}
        self._batches: dict[str, Batch] = {}
        # The batch that is not answered, by posting, and every posting's.
        self._batched: dict[str, str] = {}
        self._made: dict[str, datetime] = {}
        self._moved: dict[str, datetime] = {}
        self._keys: dict[str, RunKey] = {}
        self._claims: dict[RunKey, datetime] = {}
        # What is open, by client and invoice and by invoice; and how often
        # a client's changed.
        self._open: dict[str, dict[str, Money]] = {}
        self._open_by_invoice: dict[str, Money] = {}
        self._versions: dict[str, int] = {}
        # What stood before the steps of the commit under way.
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []
        self._reserved: dict[str, Money] = {}
        self._posted: dict[str, dict[str, None]] = {}
        self._steps: dict[str, dict[int, ShareStep]] = {}
        self._steps_made = 0

    def now(self) -> datetime:
        """Return the store's time; it never goes back (PS-12)."""
        return self._time()[1]

    def _time(self) -> tuple[datetime, datetime]:
        """Return what the clock says, and the store's time."""
        with self._lock:
            clock = self._clock()
            self._latest_now = max(self._latest_now, clock)
            return clock, self._latest_now

    def standing(
        self, key: RunKey, method: str, payer: str = "", /
    ) -> Standing:
        """Read what is known about a run, its auto-pay, method and payer."""
        with self._lock:
            runs = _by_key(self._autopays.get(key.autopay, {}).values())
            scheduled = [
                each
                for each in runs
                if each.state is not RunState.ANNOUNCED and not each.key.number
            ]
            clock, now = self._time()
            return Standing(
                now=now,
                clock=clock,
                committed_at=self._committed_at,
                is_clock_suspect=clock + CLOCK_BEHIND < now,
                store=self._id,
                epoch=len(self._restored),
                restored_since=(
                    self._restored[-1].since if self._restored else None
                ),
                restored_stores=frozenset(
                    each for one in self._restored for each in one.stores
                ),
                run=self._runs.get(key),
                unfinished=tuple(
                    each for each in runs if not each.state.is_finished
                ),
                latest=scheduled[-1] if scheduled else None,
                holds=self._holds_on(targets_of(key.autopay, method, payer)),
                told=dict(self._told.get(key.autopay, {})),
                incidents=tuple(
                    each
                    for _, each in sorted(
                        self._incidents.items(), key=lambda item: item[0]
                    )
                    if each.over_at is None
                ),
            )

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read versions and open amounts of the clients' invoices."""
        with self._lock:
            now = self.now()
            amounts: dict[str, Money] = {}
            expected = tuple(
                each
                for _, each in sorted(
                    found
                    for client in {*clients}
                    for found in self._expected_of.get(client, {}).items()
                )
            )
            since = steps_needed_since(expected, now)
            for client in clients:
                for number in self._open.get(client, {}):
                    amounts[number] = self._open_by_invoice[number]
            return OpenAmounts(
                versions={
                    client: self._versions.get(client, 0) for client in clients
                },
                amounts=amounts,
                holds=tuple(
                    each
                    for each in self._in_force()
                    if client_of(each) in {"", *clients}
                ),
                holds_version=self._holds_version,
                steps=tuple(
                    step
                    for _, step in sorted(
                        (
                            each
                            for client in {*clients}
                            for each in self._steps.get(client, {}).items()
                        ),
                        key=_place,
                    )
                    if step.at >= since
                ),
                reserved={
                    number: self._reserved[number]
                    for number in amounts
                    if number in self._reserved
                },
                reversals=self._reversals(clients),
                expected=expected,
                distinct=frozenset(self._distinct),
            )

    def _reversals(self, clients: Sequence[str]) -> dict[str, Money]:
        """Add up what went back and is not applied yet (B1)."""
        found: dict[str, Money] = {}
        for client in {*clients}:
            for each in self._posted.get(client, ()):
                posting = self._postings[each]
                if (
                    posting.amount.is_negative
                    and posting.status in OPEN_STATUSES
                ):
                    number, back = posting.invoice, -posting.amount
                    known = found.get(number)
                    found[number] = back if known is None else known + back
        return found

    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Add up what the auto-pay took or is taking (L7)."""
        with self._lock:
            taken = (
                each.spent
                for each in self._autopays.get(autopay, {}).values()
                if each.state in {*RESERVING_STATES, RunState.PAID}
                and from_on <= each.charge_on < before
            )
            return Money.total(
                (
                    each
                    for each in taken
                    if each is not None and each.currency == currency
                ),
                currency,
            )

    def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Read the attempts of a method that count (N3)."""
        with self._lock:
            return tuple(
                each
                for each in self._attempts.get(method, {}).values()
                if each.at >= since
            )

    def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Read runs under way whose time has come, by key."""
        with self._lock:
            now = self.now()
            ripe = [
                each
                for each in _after(after, self._under_way)
                if each.next_try_at is None or each.next_try_at <= now
            ]
            return tuple(_by_key(ripe)[:most])

    def waiting(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Read runs that are waiting, by key, whenever they go on (N1)."""
        with self._lock:
            return tuple(_by_key(_after(after, self._waiting))[:most])

    def under_way(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord]:
        """Read runs under way, by key, whenever they are looked at again."""
        with self._lock:
            return tuple(_by_key(_after(after, self._under_way))[:most])

    def referenced(
        self, reference: str, account: str, /
    ) -> Sequence[RunRecord]:
        """Read the runs with a payment reference at an account (R8)."""
        with self._lock:
            return tuple(
                self._runs[key]
                for key, other in sorted(
                    self._references.get(reference, {}).items()
                )
                if is_same_account(account, other)
            )

    def keyed(self, key: str, /) -> Sequence[RunRecord]:
        """Read the run one of whose attempts has a key (PS-24)."""
        with self._lock:
            run = self._keys.get(key)
            return () if run is None else (self._runs[run],)

    def sent(self, since: datetime, most: int, /) -> Sequence[RunRecord]:
        """Read runs with an attempt that began since, newest first (PS-25)."""
        with self._lock:
            newest = sorted(
                (
                    each
                    for each in self._runs.values()
                    if each.attempts and each.attempts[-1].began_at >= since
                ),
                key=lambda each: (each.attempts[-1].began_at, each.key),
                reverse=True,
            )
            return tuple(newest[:most])

    def movement(self, id: str, /) -> Sequence[MovementRecord]:  # noqa: A002 - the word
        """Read what was received under a movement's own id (P4)."""
        with self._lock:
            found = self._movements.get(id)
            return () if found is None else (found,)

    def movements(
        self, state: MovementState, after: str, most: int, /
    ) -> Sequence[MovementRecord]:
        """Read movements in a state, by id, after one (P4)."""
        with self._lock:
            found = [
                each
                for _, each in sorted(self._movements.items())
                if each.state is state and each.id > after
            ]
            return tuple(found[:most])

    def holds(self, after: str, most: int, /) -> Sequence[Hold]:
        """Read the holds in force, by id, after one (H1)."""
        with self._lock:
            found = [each for each in self._in_force() if each.id > after]
            return tuple(found[:most])

    def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Reserve a run's work for a while (PS-14)."""
        with self._lock:
            now = self.now()
            until = self._claims.get(key)
            if until is not None and now < until:
                return False
            self._claims[key] = now + timedelta(seconds=seconds)
            return True

    def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Read postings in order of id."""
        with self._lock:
            found = sorted(
                (
                    (self._place_of(each, wanted), each)
                    for each in self._shown(wanted)
                ),
                key=itemgetter(0),
                reverse=wanted.descending,
            )
            if wanted.after is not None:
                last = self._postings.get(wanted.after)
                if last is not None:
                    begin = self._place_of(last, wanted)
                elif wanted.sort is PostingSort.ID:
                    begin = (wanted.after,)
                else:
                    return ()
                found = [
                    each
                    for each in found
                    if (
                        each[0] < begin
                        if wanted.descending
                        else each[0] > begin
                    )
                ]
            return tuple(
                attrs.evolve(each, since=self._moved[each.id])
                for _, each in found[: wanted.most]
            )

    def _shown(self, wanted: PostingFilter) -> list[Posting]:
        """Return the postings of a filter, in no order."""
        known = (
            self._postings.values()
            if wanted.batch is None
            else self._of_batch(wanted.batch)
        )
        first, end = wanted.moved_from, wanted.moved_before
        return [
            each
            for each in known
            if wanted.shows(each)
            and (first is None or self._moved[each.id] >= first)
            and (end is None or self._moved[each.id] < end)
        ]

    def _of_batch(self, id: str) -> list[Posting]:  # noqa: A002 - the word
        found = self._batches.get(id)
        lines = () if found is None else found.postings
        return [self._postings[each.id] for each in lines]

    def _place_of(
        self, posting: Posting, wanted: PostingFilter
    ) -> tuple[Any, ...]:
        """Return a posting's place in the order that is asked for."""
        if wanted.sort is PostingSort.MADE:
            return self._made[posting.id], posting.id
        return *_PLACES[wanted.sort](posting), posting.id

    def posting_totals(
        self, wanted: PostingFilter, /
    ) -> Sequence[PostingTotal]:
        """Count and add up the postings of a filter (PS-27)."""
        with self._lock:
            found: dict[tuple[str, str], list[Posting]] = {}
            for each in self._shown(wanted):
                key = (each.status.value, each.amount.currency)
                found.setdefault(key, []).append(each)
            return tuple(
                PostingTotal(
                    status=some[0].status,
                    count=len(some),
                    amount=Money.total(
                        (each.amount for each in some), currency
                    ),
                )
                for (_, currency), some in sorted(found.items())
            )

    def batch(self, id: str, /) -> Sequence[Batch]:  # noqa: A002 - the word
        """Read the batch of an id, if there is one (PS-26)."""
        with self._lock:
            found = self._batches.get(id)
            return () if found is None else (found,)

    def batches(self, wanted: BatchFilter, /) -> Sequence[Batch]:
        """Read batches in order of id."""
        with self._lock:
            found = [
                each
                for id, each in sorted(self._batches.items())  # noqa: A001 - the word
                if id > wanted.after
                and (not wanted.states or each.state in wanted.states)
                and (
                    wanted.posting is None
                    or any(one.id == wanted.posting for one in each.postings)
                )
            ]
            return tuple(found[: wanted.most])

    def undelivered(self, most: int, /) -> Sequence[Notice]:
        """Read the oldest notices that are not marked as delivered."""
        with self._lock:
            keys = list(self._undelivered)[:most]
            return tuple(self._notices[key] for key in keys)

    def runs(self) -> tuple[RunRecord, ...]:
        """Return every run on record, by key."""
        with self._lock:
            return tuple(_by_key(self._runs.values()))

    def notices(self) -> tuple[Notice, ...]:
        """Return every notice on record, oldest first."""
        with self._lock:
            return tuple(self._notices.values())

    def commit(self, change: Change, /) -> Committed | Conflict:
        """Write *change* whole, or nothing of it (PS-1 to PS-11)."""
        with self._lock:
            return self._conflict(change) or self._written(change)

    def _written(self, change: Change) -> Committed:
        """Write *change*, or leave all as it was if that breaks off."""
        self._check_currencies(change)
        self._before.clear()
        try:
            return self._write(change)
        except BaseException:
            self._take_back()
            raise

    def _write(self, change: Change) -> Committed:
        at = self._time_of(change)
        touched: set[str] = set()
        for record in change.runs:
            self._put_run(record, touched)
        for posting in change.postings:
            if posting.id not in self._postings:
                self._put_posting(None, posting, at, touched)
        for move in change.moves:
            self._put_posting(move.before, move.after, at, touched)
        for client in touched:
            version = self._versions.get(client, 0) + 1
            self._put(self._versions, client, version)
        new = self._put_notices(change)
        self._put_facts(change)
        return Committed(new_notices=new, at=at)

    def _put(self, book: dict[Any, Any], key: object, value: object) -> None:
        """Write an entry such that it can be taken back."""
        self._before.append((book, key, book.get(key, _NOTHING)))
        if value is _NOTHING:
            book.pop(key, None)
        else:
            book[key] = value

    def _add(self, book: dict[str, Money], number: str, more: Money) -> None:
        """Add to an invoice's amount; what is nothing is left out."""
        known = book.get(number)
        total = more if known is None else known + more
        self._put(book, number, _NOTHING if total.is_zero else total)

    def _take_back(self) -> None:
        """Leave everything as it stood before the commit under way."""
        while self._before:
            book, key, value = self._before[-1]
            if value is _NOTHING:
                book.pop(key, None)
            else:
                book[key] = value
            self._before.pop()

    def _time_of(self, change: Change) -> datetime:
        """Return the time of a commit, if it writes anything (PS-12)."""
        if not (
            _is_something(change)
            or any(each.id not in self._postings for each in change.postings)
            or any(each.key not in self._notices for each in change.notices)
            or self._news(change.incidents)
        ):
            return self.now()
        clock, now = self._time()
        # Later than all that was told: what was read before it does not
        # show it, however coarse the clock is (B1).
        at = clock if change.trusted_clock else max(clock, now + _TICK)
        self._latest_now = at
        self._put(vars(self), "_committed_at", at)
        return at

    def _news(self, incidents: Iterable[Incident]) -> list[Incident]:
        """Leave out what is under way already (PS-21)."""
        going_on = {
            each.cause
            for each in self._incidents.values()
            if each.over_at is None
        }
        news: list[Incident] = []
        for each in incidents:
            if each.over_at is None and each.cause in going_on:
                continue
            if each.over_at is None:
                going_on.add(each.cause)
            news.append(each)
        return news

    def _put_notices(self, change: Change) -> frozenset[str]:
        """Write notices; return the keys of those that are new."""
        new = frozenset(
            each.key
            for each in change.notices
            if each.key not in self._notices
        )
        for notice in change.notices:
            if notice.key in new:
                self._put(self._notices, notice.key, notice)
                self._put(self._undelivered, notice.key, None)
        if change.delivered:
            gone = set(change.delivered)
            left = dict.fromkeys(
                key for key in self._undelivered if key not in gone
            )
            # As a whole: put back one by one, the order would be another.
            self._put(vars(self), "_undelivered", left)
        return new

    def _put_facts(self, change: Change) -> None:
        """Write what is neither run, posting nor notice."""
        for hold in change.holds:
            self._put(self._holds, hold.id, hold)
        if change.holds:
            self._put(vars(self), "_holds_version", self._holds_version + 1)
        for told in change.told:
            book = self._told.setdefault(told.autopay, {})
            self._put(book, told.topic, told)
        for incident in self._news(change.incidents):
            key = (incident.cause, incident.on)
            self._put(self._incidents, key, incident)
        for expected in change.expected:
            self._put_expected(expected)
        for pair in change.distinct:
            both = frozenset({pair.first, pair.second})
            self._put(self._distinct, both, pair)
        for movement in change.movements:
            self._put(self._movements, movement.id, movement)
        self._put_batches(change)
        if change.restored is not None:
            words = (*self._restored, change.restored)
            self._put(vars(self), "_restored", words)

    def _put_expected(self, expected: Expected) -> None:
        """Write what is expected of an invoice, whoever's it was before."""
        number = expected.invoice
        before = self._expected.get(number)
        if before is not None and before.client != expected.client:
            self._put(self._expected_of[before.client], number, _NOTHING)
        book = self._expected_of.setdefault(expected.client, {})
        self._put(book, number, expected)
        self._put(self._expected, number, expected)

    def _put_batches(self, change: Change) -> None:
        """Write batches, and which postings are in one (PS-26)."""
        for batch in change.batches:
            self._put(self._batches, batch.id, batch)
            for posting in batch.postings:
                self._put(
                    self._batched,
                    posting.id,
                    _NOTHING if batch.is_closed else batch.id,
                )

    # -- Holds ----------------------------------------------------------------

    def _in_force(self) -> list[Hold]:
        """Return the holds in force, by id."""
        return [
            each for _, each in sorted(self._holds.items()) if each.is_in_force
        ]

    def _holds_on(self, targets: Iterable[str]) -> tuple[Hold, ...]:
        wanted = frozenset(targets)
        return tuple(
            each for each in self._in_force() if each.target in wanted
        )

    # -- Refusing -------------------------------------------------------------

    def _conflict(self, change: Change) -> Conflict | None:
        """Tell why *change* cannot stand; None if it can."""
        reason = self._run_conflict(change) or self._other_conflict(change)
        if reason is not None:
            return Conflict(reason=reason)
        in_the_way = batch_conflict(
            change,
            versions={
                each.id: self._batches[each.id].version
                for each in change.batches
                if each.id in self._batches
            },
            batched=self._batched,
            posting_of=self._postings.get,
        )
        if in_the_way is not None:
            return in_the_way
        if self._is_open_changed(change):
            return Conflict(
                reason=ConflictReason.OPEN, open_amounts=self._open_of(change)
            )
        for move in change.moves:
            posting = self._postings.get(move.before.id)
            if posting is None or posting.status is not move.before.status:
                return Conflict(reason=ConflictReason.POSTING)
        for new in change.postings:
            known = self._postings.get(new.id)
            if known is not None and known != new:
                raise PostingConflictError(
                    f"another posting stands under {new.id}"
                )
        return None

    def _other_conflict(self, change: Change) -> ConflictReason | None:
        """Look for what else changed (PS-7, PS-19, PS-20, PS-23, PS-28)."""
        if self._holds_on(change.unless_held) or (
            change.expect_holds not in (None, self._holds_version)
        ):
            return ConflictReason.HELD
        if change.attempts is not None and self._is_window_full(
            change.attempts
        ):
            return ConflictReason.ATTEMPTS
        if any(self._is_above(each, change) for each in change.ceilings):
            return ConflictReason.CEILING
        if change.unique_references and self._is_reference_known(change.runs):
            return ConflictReason.REFERENCE
        for each in change.movements:
            stands = self._movements.get(each.id)
            if each.version != (1 if stands is None else stands.version + 1):
                return ConflictReason.MOVEMENT
        return None

    def _is_window_full(self, allowed: AttemptsAllowed) -> bool:
        """Count the attempts on record that count (PS-20)."""
        times = [
            each.at for each in self._attempts.get(allowed.method, {}).values()
        ]
        return any(
            sum(at >= since for at in times) > most
            for since, most in allowed.windows
        )

    def _is_above(self, ceiling: Ceiling, change: Change) -> bool:
        """Add up what is taken, and would be by the change (PS-28)."""
        own = {each.key for each in change.runs}
        others = [each for key, each in self._runs.items() if key not in own]
        return ceiling.taken_by((*others, *change.runs)) > ceiling.most

    def _is_reference_known(self, runs: Sequence[RunRecord]) -> bool:
        """Tell whether another run has a reference of these (PS-19)."""
        changed = {each.key for each in runs}
        taken = [
            (reference, account)
            for reference in {each.payment_reference for each in runs}
            for key, account in self._references.get(
                reference or "", {}
            ).items()
            if key not in changed
        ]
        for record in runs:
            reference = record.payment_reference
            if reference is None:
                continue
            account = record.attempts[-1].account
            if any(
                other == reference and is_same_account(account, at)
                for other, at in taken
            ):
                return True
            taken.append((reference, account))
        return False

    def _run_conflict(self, change: Change) -> ConflictReason | None:
        """Compare the versions of runs, and count doubts (PS-2, PS-6)."""
        for record in change.runs:
            stands = self._runs.get(record.key)
            if record.version != (1 if stands is None else stands.version + 1):
                return ConflictReason.VERSION
            others = self._autopays.get(record.key.autopay, {})
            if change.only_doubtful and any(
                other.state.is_doubtful and key != record.key
                for key, other in others.items()
            ):
                return ConflictReason.DOUBT
        return None

    def _is_open_changed(self, change: Change) -> bool:
        """Compare versions and open amounts (PS-4, PS-5)."""
        return any(
            self._versions.get(client, 0) != version
            for client, version in (change.expect_versions or {}).items()
        ) or self._open_of(change) != {
            number: amount
            for number, amount in (change.expect_open or {}).items()
            if not amount.is_zero
        }

    def _open_of(self, change: Change) -> dict[str, Money]:
        """Return what is open on the invoices of `expect_open` (PS-5)."""
        found = {
            number: self._open_by_invoice[number]
            for number in change.expect_open or {}
            if number in self._open_by_invoice
        }
        for record in change.runs:
            own = reservations(self._runs.get(record.key))
            for number, amount in own.items():
                if number in found:
                    found[number] -= amount
        return {
            number: amount
            for number, amount in found.items()
            if not amount.is_zero
        }

    def _check_currencies(self, change: Change) -> None:
        """
        Refuse an invoice that would be open in two currencies (M3).

        Before anything is written: later it would leave half a step (PS-1).
        """
        added: list[tuple[str, Money]]
        added = [(each.invoice, each.amount) for each in change.postings]
        for record in change.runs:
            added += reservations(record).items()
        seen: dict[str, Money] = {}
        for number, amount in added:
            first = seen.setdefault(number, amount)
            other = self._open_by_invoice.get(number, first)
            if {first.currency, other.currency} != {amount.currency}:
                raise CurrencyMismatchError(other.currency, amount.currency)

    # -- Writing --------------------------------------------------------------

    def _put_run(self, record: RunRecord, touched: set[str]) -> None:
        before = self._runs.get(record.key)
        self._hold_back(before, touched, is_over=True)
        self._hold_back(record, touched)
        key = record.key
        self._put(self._runs, key, record)
        self._put(self._autopays.setdefault(key.autopay, {}), key, record)
        for states, book in (
            (RESERVING_STATES, self._under_way),
            ({RunState.WAITING}, self._waiting),
        ):
            self._put(
                book, key, record if record.state in states else _NOTHING
            )
        if before is not None and before.payment_reference is not None:
            known = self._references[before.payment_reference]
            self._put(known, key, _NOTHING)
        if record.payment_reference is not None:
            self._put(
                self._references.setdefault(record.payment_reference, {}),
                key,
                record.attempts[-1].account,
            )
        for attempt in record.attempts:
            self._put(self._keys, attempt.key, key)
            self._put(
                self._attempts.setdefault(attempt.method, {}),
                (key, attempt.number),
                AttemptRecord(at=attempt.began_at, amount=attempt.amount)
                if record.counts(attempt)
                else _NOTHING,
            )

    def _hold_back(
        self,
        record: RunRecord | None,
        touched: set[str],
        *,
        is_over: bool = False,
    ) -> None:
        """Count what a run reserves, or count it no longer."""
        if record is None or record.intent is None or not reservations(record):
            return
        for line in record.intent.allocation.lines:
            if line.amount.is_positive:
                self._shift(
                    line.invoice.client,
                    line.invoice.number,
                    -line.amount if is_over else line.amount,
                )
                self._add(
                    self._reserved,
                    line.invoice.number,
                    -line.amount if is_over else line.amount,
                )
                touched.add(line.invoice.client)

    def _put_posting(
        self,
        before: Posting | None,
        after: Posting,
        at: datetime,
        touched: set[str],
    ) -> None:
        if before is not None and before.is_open:
            self._shift(before.client, before.invoice, -before.amount)
        if after.is_open:
            self._shift(after.client, after.invoice, after.amount)
        touched.add(after.client)
        self._put(self._postings, after.id, after)
        if before is None:
            self._put(self._made, after.id, at)
        self._put(self._moved, after.id, at)
        step = share_step(before and before.status, after, at)
        if step is not None:
            place = self._steps_made + 1
            self._put(vars(self), "_steps_made", place)
            self._put(self._steps.setdefault(after.client, {}), place, step)
        self._put(self._posted.setdefault(after.client, {}), after.id, None)

    def _shift(self, client: str, number: str, amount: Money) -> None:
        for book in (
            self._open.setdefault(client, {}),
            self._open_by_invoice,
        ):
            self._add(book, number, amount)


_NOTHING: Final = object()


def _place(step: tuple[int, ShareStep]) -> int:
    return step[0]


def _is_something(change: Change) -> bool:
    """Tell whether a change writes more than new postings and notices."""
    return any(
        (
            change.runs,
            change.moves,
            change.delivered,
            change.holds,
            change.told,
            change.expected,
            change.distinct,
            change.movements,
            change.batches,
            change.restored,
            change.trusted_clock,
        )
    )


def _after(
    after: RunKey | None, book: Mapping[RunKey, RunRecord]
) -> list[RunRecord]:
    return [each for key, each in book.items() if after is None or key > after]


def _by_key(records: Iterable[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda each: each.key)
