"""
A posting store in memory (PS-1 to PS-15).

Holds: `MemoryPostingStore`. Imports: `gateway` and the values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import final

from autopay_core.adapters.memory.gateway import Clock, system_clock
from autopay_core.commits import (
    CLOCK_BEHIND,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
)
from autopay_core.errors import CurrencyMismatchError, PostingConflictError
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
    reservations,
)

__all__ = ["MemoryPostingStore"]


@final
class MemoryPostingStore:
    """
    A posting store in dictionaries; gone with the process.

    Args:
        clock: Its time; `standing` never lets it go back (PS-12).

    """

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._latest_now = clock()
        self._runs: dict[RunKey, RunRecord] = {}
        self._autopays: dict[str, dict[RunKey, RunRecord]] = {}
        self._under_way: dict[RunKey, RunRecord] = {}
        self._attempts: dict[str, dict[tuple[RunKey, int], AttemptRecord]] = {}
        self._postings: dict[str, Posting] = {}
        self._notices: dict[str, Notice] = {}
        self._undelivered: dict[str, None] = {}
        self._stops: dict[str, StopOrder] = {}
        self._claims: dict[RunKey, datetime] = {}
        # What is open, by client and invoice and by invoice; and how often
        # a client's changed.
        self._open: dict[str, dict[str, Money]] = {}
        self._open_by_invoice: dict[str, Money] = {}
        self._versions: dict[str, int] = {}

    def now(self) -> datetime:
        """Return the store's time; it never goes back (PS-12)."""
        with self._lock:
            self._latest_now = max(self._latest_now, self._clock())
            return self._latest_now

    def standing(self, key: RunKey, method: str, /) -> Standing:
        """Read what is known about a run, its auto-pay and its method."""
        with self._lock:
            runs = _by_key(self._autopays.get(key.autopay, {}).values())
            past = [
                each for each in runs if each.state is not RunState.ANNOUNCED
            ]
            now = self.now()
            return Standing(
                now=now,
                is_clock_suspect=self._clock() + CLOCK_BEHIND < now,
                run=self._runs.get(key),
                unfinished=tuple(
                    each for each in runs if not each.state.is_finished
                ),
                latest=past[-1] if past else None,
                is_stopped=self._is_stopped(
                    (StopOrder.autopay(key.autopay), StopOrder.method(method))
                ),
            )

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read versions and open amounts of the clients' invoices."""
        with self._lock:
            amounts: dict[str, Money] = {}
            for client in clients:
                for number in self._open.get(client, {}):
                    amounts[number] = self._open_by_invoice[number]
            return OpenAmounts(
                versions={
                    client: self._versions.get(client, 0) for client in clients
                },
                amounts=amounts,
            )

    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """Add up what the auto-pay took or is taking (L7)."""
        with self._lock:
            taken = (
                each.taken
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
        """Read the attempts that charged a method (N3)."""
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
                for key, each in self._under_way.items()
                if (after is None or key > after)
                and (each.next_try_at is None or each.next_try_at <= now)
            ]
            return tuple(_by_key(ripe)[:most])

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
                    each
                    for each in self._postings.values()
                    if (not wanted.statuses or each.status in wanted.statuses)
                    and wanted.invoice in (None, each.invoice)
                    and wanted.run in (None, str(each.run))
                    and (wanted.after is None or each.id > wanted.after)
                ),
                key=lambda each: each.id,
            )
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
            conflict = self._conflict(change)
            if conflict is not None:
                return conflict
            self._check_currencies(change)
            touched: set[str] = set()
            for record in change.runs:
                self._put_run(record, touched)
            for posting in change.postings:
                if posting.id not in self._postings:
                    self._put_posting(None, posting, touched)
            for move in change.moves:
                self._put_posting(move.before, move.after, touched)
            for client in touched:
                self._versions[client] = self._versions.get(client, 0) + 1
            for order in change.stops:
                self._stops[order.target] = order
            new = [
                each
                for each in change.notices
                if each.key not in self._notices
            ]
            for notice in new:
                self._notices[notice.key] = notice
                self._undelivered[notice.key] = None
            for key in change.delivered:
                self._undelivered.pop(key, None)
            return Committed(new_notices=frozenset(each.key for each in new))

    # -- Refusing -------------------------------------------------------------

    def _is_stopped(self, targets: Iterable[str]) -> bool:
        return any(
            self._stops[each].active for each in targets if each in self._stops
        )

    def _conflict(self, change: Change) -> Conflict | None:
        """Tell why *change* cannot stand; None if it can."""
        conflict = self._run_conflict(change)
        if conflict is not None:
            return conflict
        if self._is_stopped(change.unless_stopped):
            return Conflict(reason=ConflictReason.STOPPED)
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

    def _run_conflict(self, change: Change) -> Conflict | None:
        """Compare the versions of runs, and count doubts (PS-2, PS-6)."""
        for record in change.runs:
            stands = self._runs.get(record.key)
            if record.version != (1 if stands is None else stands.version + 1):
                return Conflict(reason=ConflictReason.VERSION)
            others = self._autopays.get(record.key.autopay, {})
            if change.only_doubtful and any(
                other.state.is_doubtful and key != record.key
                for key, other in others.items()
            ):
                return Conflict(reason=ConflictReason.DOUBT)
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
        for old, sign in ((before, -1), (record, 1)):
            held = reservations(old)
            if old is None or old.intent is None or not held:
                continue
            for line in old.intent.allocation.lines:
                if line.amount.is_positive:
                    self._shift(
                        line.invoice.client,
                        line.invoice.number,
                        line.amount if sign > 0 else -line.amount,
                    )
                    touched.add(line.invoice.client)
        self._runs[record.key] = record
        self._autopays.setdefault(record.key.autopay, {})[record.key] = record
        if record.state in RESERVING_STATES:
            self._under_way[record.key] = record
        else:
            self._under_way.pop(record.key, None)
        for attempt in record.attempts:
            self._attempts.setdefault(attempt.method, {})[
                record.key, attempt.number
            ] = AttemptRecord(at=attempt.began_at, amount=attempt.amount)

    def _put_posting(
        self, before: Posting | None, after: Posting, touched: set[str]
    ) -> None:
        if before is not None and before.is_open:
            self._shift(before.client, before.invoice, -before.amount)
        if after.is_open:
            self._shift(after.client, after.invoice, after.amount)
        touched.add(after.client)
        self._postings[after.id] = after

    def _shift(self, client: str, number: str, amount: Money) -> None:
        for book in (
            self._open.setdefault(client, {}),
            self._open_by_invoice,
        ):
            known = book.get(number)
            total = amount if known is None else known + amount
            if total.is_zero:
                del book[number]
            else:
                book[number] = total


def _by_key(records: Iterable[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda each: each.key)
