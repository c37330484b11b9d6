"""
The promises, checked from outside at every step (I1 to I17, Q1 to Q6).

Holds: `Oracle`, `PromiseBroken`. Imports: `_judge`, `_settings` and the
values. It keeps books of its own: what was committed, what the gateway took,
what the ledger shows; it never asks the posting store for its opinion, except
to compare.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, final

from autopay_core.allocation import Reason
from autopay_core.autopay import AutoPay, in_force
from autopay_core.charges import DeclineClass, Declined, NeedsPayer
from autopay_core.notices import NoticeKind
from autopay_core.policy import Ceilings
from autopay_core.postings import PostingStatus, ReversalKind
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState, recompute
from autopay_core.testing.simulator._judge import Sending, why_not
from autopay_core.testing.simulator._settings import EPOCH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date, datetime

    from autopay_core.allocation import Allocation
    from autopay_core.associations import Association
    from autopay_core.charges import ChargeRequest
    from autopay_core.commits import Change, OpenAmounts
    from autopay_core.holds import Hold
    from autopay_core.invoices import Invoice
    from autopay_core.limits import Limit
    from autopay_core.postings import Posting
    from autopay_core.references import PaymentMethodRef
    from autopay_core.runs import Attempt, Intent

__all__ = ["KeyFacts", "Oracle", "PromiseBroken", "Reader"]

_RESERVING: Final = frozenset(
    {RunState.OPEN, RunState.PENDING, RunState.REVIEW}
)
_DOUBTFUL: Final = frozenset({RunState.OPEN, RunState.REVIEW})
_UNCHARGED: Final = frozenset(
    {
        RunState.FAILED,
        RunState.CANCELLED,
        RunState.NOTHING_DUE,
        RunState.MISSED,
        RunState.WAITING,
    }
)
_FINAL: Final = (_UNCHARGED - {RunState.WAITING}) | {RunState.PAID}
_ON_CARD_RETRIES: Final = 2
_DAY: Final = timedelta(days=1)
# A store that remembers a later time plans from that.
_LATEST: Final = {
    RunState.OPEN: 2 * _DAY + timedelta(hours=2),
    RunState.PENDING: 2 * _DAY + timedelta(hours=2),
    RunState.REVIEW: 2 * _DAY + timedelta(hours=2),
    RunState.WAITING: 2 * _DAY + timedelta(hours=2),
}
_BARRED: Final = frozenset(
    {
        Reason.BALANCE_UNEXPECTED,
        Reason.LOOKS_ALIKE,
        Reason.ON_HOLD,
        Reason.TAKES_PLACE,
    }
)
_DOUBT_MOST: Final = timedelta(hours=18)
_WINDOWS: Final = {"visa": ((30, 15),)}
_RETRY_MOST: Final = timedelta(days=32)
_TOLD_AS_FAILED: Final = frozenset(
    {RunState.FAILED, RunState.REVIEW, RunState.MISSED}
)
_REVIVED: Final = frozenset({RunState.FAILED, RunState.MISSED})


class PromiseBroken(BaseException):
    """
    The library broke one of its promises.

    Attributes:
        rule: The id of what was broken: an invariant, a rule or a clause.

    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


class Read(NamedTuple):
    """
    One row that came.

    Attributes:
        invoice: As it came.
        owed: What was owed on it then, before anything that we took.
        tick: When, counted in the reader's looks.

    """

    invoice: Invoice
    owed: int
    tick: int


@final
class Reader:
    """
    What one worker knows in one program.

    Attributes:
        autopays: The standing orders in its hand.
        as_of: What it calls today.
        reads: The last row of each invoice that came.
        cut: Rows of the last read that were cut off.
        came: Rows of the last read that came.
        looked: When it looked up each key.
        looked_on: The store's time, as it was read before the last of them.
        now: The store's time, as it was read last.
        order: Ids of the auto-pays that it has still to take in hand.
        stated: For when the balances of the last read hold; None for then.
        tick: Grows with each of its looks at the world.
        permit: The key that it may send once, for it has just written so.
        person: Who attests; None for a program in which nobody does.
        is_clock_suspect: The store's clock had gone back when it was read.
        is_turn_whole: Nothing went wrong in the turn of the order in hand.

    """

    __slots__ = (
        "as_of",
        "autopays",
        "came",
        "cut",
        "is_clock_suspect",
        "is_turn_whole",
        "looked",
        "looked_on",
        "now",
        "order",
        "permit",
        "person",
        "reads",
        "stated",
        "tick",
    )

    def __init__(self) -> None:
        self.came: set[str] = set()
        self.cut: set[str] = set()
        self.reads: dict[str, Read] = {}
        self.autopays: dict[str, AutoPay] = {}
        self.as_of: date | None = None
        self.looked: dict[str, int] = {}
        self.looked_on = self.now = EPOCH
        self.order: list[str] = []
        self.stated: int | None = None
        self.tick = 0
        self.permit: str | None = None
        self.person: str | None = None
        self.is_clock_suspect = False
        self.is_turn_whole = False

    def note_look(self, key: str) -> None:
        """Note that it asks the gateway about a key."""
        self.looked[key] = self.look()
        self.looked_on = self.now

    def look(self) -> int:
        """Count a look at the world."""
        self.tick += 1
        return self.tick


@final
class KeyFacts:
    """The truth about one idempotency key."""

    __slots__ = (
        "account",
        "allowed",
        "amount",
        "began_at",
        "captured",
        "deadlines",
        "declined",
        "hash",
        "known_on",
        "let_go",
        "may_have_left",
        "method",
        "number",
        "pending",
        "references",
        "reversed",
        "run",
        "shares",
        "tries",
    )

    def __init__(
        self,
        run: RunKey,
        attempt: Attempt,
        shares: dict[str, int],
        allowed: dict[str, int],
    ) -> None:
        self.run = run
        self.number = attempt.number
        self.method = attempt.method
        self.account = attempt.account
        self.began_at = attempt.began_at
        self.tries = attempt.tries
        self.hash = attempt.request_hash
        self.amount = attempt.amount.amount_minor
        self.shares = shares
        self.allowed = allowed
        self.deadlines = {attempt.deadline}
        self.references = {attempt.reference} - {None}
        self.may_have_left = False
        self.known_on: date | None = None
        self.captured = 0
        self.reversed = 0
        self.pending = False
        self.let_go = False
        self.declined: Declined | None = None


@final
class Oracle:
    """Everything that is known from outside, and the checks."""

    def __init__(self, ignored: frozenset[str] = frozenset()) -> None:
        self.ignored = ignored
        self.records: dict[RunKey, RunRecord] = {}
        self.keys: dict[str, KeyFacts] = {}
        self.by_run: dict[RunKey, list[KeyFacts]] = {}
        self.live: dict[str, int] = {}
        self.statuses: dict[str, PostingStatus] = {}
        self.postings: dict[str, Posting] = {}
        self.gone: dict[str, int] = {}
        self.books_postings = False
        self.ceilings = Ceilings()
        # What money stands on: what was paid, and what was put elsewhere.
        self.bases: set[str] = set()
        self.replaced: set[str] = set()
        self.shown: set[str] = set()
        self.holds: dict[str, Hold] = {}
        self.payers: dict[str, str] = {}
        self.rested: set[RunKey] = set()
        self.refused: dict[str, Declined] = {}
        self.never: dict[str, str] = {}
        self.mark: datetime | None = None
        self.is_settled = False
        self.is_open_changed = False
        self.checks = 0
        self.steps = 0

    # -- Commits -------------------------------------------------------------

    def committed(self, change: Change, reader: Reader) -> None:
        """Check a step of the store that was committed."""
        self.checks += 1
        self.steps += len(change.runs)
        if self.is_settled and (
            change.runs or change.postings or change.moves
        ):
            raise PromiseBroken("I17", "a finished run was written again")
        self.is_open_changed = bool(change.moves or change.postings)
        for record in change.runs:
            self._reallocated(record, change, reader)
            self._record(record, change, reader)
            self._comes_back(record)
        for posting in change.postings:
            self._posting(posting)
        for move in change.moves:
            if self.statuses.get(move.before.id) is not move.before.status:
                raise PromiseBroken("P3", f"{move.before.id} had moved")
            self.statuses[move.before.id] = move.after.status
            self.postings[move.before.id] = move.after
        for hold in change.holds:
            self._hold(hold)

    def _hold(self, hold: Hold) -> None:
        if not hold.lifted:
            self.holds[hold.id] = hold
            return
        self.holds.pop(hold.id, None)
        if hold.lifted_by:
            # A person says that the method may be asked again (H2).
            self.never.pop(hold.subject, None)

    def _record(
        self, record: RunRecord, change: Change, reader: Reader
    ) -> None:
        before = self.records.get(record.key)
        self._history(before, record)
        if reader.person is not None:
            _check_word(reader.person, before, record)
        if record.attempts:
            facts = self.by_run.get(record.key, [])
            attempt = record.attempts[-1]
            if (
                attempt.number > len(facts)
                or attempt.began_at != facts[-1].began_at
            ):
                self._new_attempt(before, record, reader)
            else:
                self._same_attempt(before, record, reader)
            self._answered(record, reader)
        self.is_open_changed |= record.state in _RESERVING or (
            before is not None and before.state in _RESERVING
        )
        self._matches_truth(record)
        self._explains(before, record)
        self._is_told(before, record, change)
        self.records[record.key] = record

    def _explains(self, before: RunRecord | None, record: RunRecord) -> None:
        """X1: what is on record gives the lines that are on record."""
        if "X1" in self.ignored or (
            before is not None and record.allocation is before.allocation
        ):
            return
        made = recompute(record)
        if not made.is_same:
            raise PromiseBroken(
                "X1",
                f"{record.key}: {made.missing or made.differs} do not explain",
            )

    def _answered(self, record: RunRecord, reader: Reader) -> None:
        """Note when a decline became known, and what it says for ever."""
        attempt = record.attempts[-1]
        facts = self.keys[attempt.key]
        if facts.known_on is not None or not isinstance(
            attempt.outcome, Declined
        ):
            return
        facts.known_on = reader.now.date()
        if facts.declined is None:
            if not (
                facts.let_go or attempt.key in self.refused or reader.person
            ):
                raise PromiseBroken("I8", f"{record.key}: nobody said no")
            facts.declined = attempt.outcome
        if attempt.outcome.decline_class is DeclineClass.NEVER:
            self.never[attempt.method] = attempt.outcome.code

    def _comes_back(self, record: RunRecord) -> None:
        """Q5: what is not over is looked at again, in good time."""
        now = self.mark
        assert now is not None
        again, on = record.next_try_at, record.next_try_on
        if record.state in _RESERVING and (
            again is None or again > now + _LATEST[record.state]
        ):
            raise PromiseBroken("Q5", f"{record.key}: again at {again}")
        if record.state is not RunState.WAITING:
            return
        is_late = again is not None and again > now + _LATEST[record.state]
        if on is not None:
            is_late = on > now.date() + _RETRY_MOST
        if is_late:
            raise PromiseBroken("Q5", f"{record.key}: again {again} {on}")

    def _history(self, before: RunRecord | None, record: RunRecord) -> None:
        """I10: versions count, ends are ends, attempts only grow."""
        if "I10" in self.ignored:
            return
        name = record.key.autopay
        if self.payers.setdefault(name, record.payer) != record.payer:
            raise PromiseBroken("R13", f"{name} is of another payer")
        if record.version != (1 if before is None else before.version + 1):
            raise PromiseBroken("I10", f"{record.key}: version jumps")
        if before is None:
            return
        if before.state in _FINAL and not (
            (
                before.state in _REVIVED
                and record.state is RunState.WAITING
                and record.demanded_by
                and before.reason != "Declined"
            )
            or (
                before.state is RunState.PAID
                and record.state is RunState.PAID
                and _is_same_plan(record.intent, before.intent)
                and record.attempts == before.attempts
                and record.reversals[: len(before.reversals)]
                == before.reversals
            )
        ):
            raise PromiseBroken(
                "I10", f"{record.key}: {before.state.value} is not the end"
            )
        if before.payer != record.payer or [
            each.key for each in before.attempts
        ] != [each.key for each in record.attempts[: len(before.attempts)]]:
            raise PromiseBroken("I10", f"{record.key}: history rewritten")

    def _new_attempt(
        self, before: RunRecord | None, record: RunRecord, reader: Reader
    ) -> None:
        """Check what is about to be charged, and on whose word."""
        attempt = record.attempts[-1]
        earlier = self.by_run.setdefault(record.key, [])
        if attempt.number == len(earlier):
            self._handed_on(record, earlier.pop())
        elif attempt.key in self.keys:
            raise PromiseBroken("I5", f"{attempt.key} is used again")
        if record.intent is None or attempt.number != len(earlier) + 1:
            raise PromiseBroken("I6", f"{record.key}: attempts skipped")
        if earlier and (earlier[-1].pending or earlier[-1].captured):
            raise PromiseBroken("I6", f"{record.key}: the last one took money")
        self._not_beside(record.key)
        autopay = reader.autopays.get(record.key.autopay)
        if autopay is None:
            raise PromiseBroken("I11", f"{record.key}: no standing order")
        if reader.cut - reader.came:
            raise PromiseBroken("MD-2", f"{record.key}: rows were missing")
        allocation = record.intent.allocation
        shares, allowed = self._lines(record, autopay, allocation, reader)
        self._amounts(record, autopay, shares)
        if earlier:
            self._again(before, record, autopay, earlier, reader)
        self._may_send(before, record, autopay, reader)
        if record.state in _RESERVING:
            for number, minor in shares.items():
                self._owed(record.key, number, minor, allowed[number])
            self._below_ceilings(record)
        facts = KeyFacts(record.key, attempt, shares, allowed)
        facts.declined = self.refused.get(attempt.key)
        self.keys[attempt.key] = facts
        earlier.append(facts)
        reader.permit = attempt.key

    def _below_ceilings(self, record: RunRecord) -> None:
        """H4: nobody takes more in a day than the host allows."""
        last = record.attempts[-1]
        today = last.began_at.date()
        for most, payer in (
            *((each, record.payer) for each in self.ceilings.payer_day),
            *((each, None) for each in self.ceilings.night),
        ):
            total = last.amount.amount_minor
            for each in self.records.values():
                if (
                    each.key != record.key
                    and payer in (None, each.payer)
                    and (
                        each.state in _RESERVING or each.state is RunState.PAID
                    )
                    and any(
                        at.began_at.date() == today for at in each.attempts
                    )
                ):
                    total += self.by_run[each.key][-1].amount - _freed(each)
            if total > most.amount_minor:
                raise PromiseBroken(
                    "H4", f"{record.key}: {total} on {today}, above {most}"
                )

    def _handed_on(self, record: RunRecord, last: KeyFacts) -> None:
        """R2: only what never left hands its number and key on."""
        if last.may_have_left or last.known_on is not None:
            raise PromiseBroken(
                "R2", f"{record.key}: a number is handed on after a doubt"
            )
        if record.attempts[-1].key not in self.keys:
            raise PromiseBroken("I5", f"{record.key}: another key")

    def _may_send(
        self,
        before: RunRecord | None,
        record: RunRecord,
        autopay: AutoPay,
        reader: Reader,
    ) -> None:
        """R7, R9, R10: it is right to ask for money at this moment."""
        attempt = record.attempts[-1]
        if record.state not in _RESERVING:
            # Refused before there was an intent: nothing is asked (TS-9).
            if attempt.key not in self.refused:
                raise PromiseBroken("I6", f"{record.key}: nobody refused")
            return
        if attempt.method != autopay.method.fingerprint:
            raise PromiseBroken("R9", f"{record.key}: another method now")
        if attempt.method in self.never:
            raise PromiseBroken(
                "H2", f"{record.key}: {attempt.method} never answers"
            )
        if (
            record.key in self.rested
            and not record.demanded_by
            # What was intended before it rested is not made up.
            and (before is None or before.state is not RunState.OPEN)
        ):
            raise PromiseBroken("S11", f"{record.key} is made up")
        self._not_barred(record)
        self._in_windows(autopay.method)
        told_for = None
        if (
            before is not None
            and before.attempts
            and before.attempts[-1].method == attempt.method
        ):
            told_for = before.next_try_on
        assert reader.as_of is not None
        why = why_not(
            Sending(
                autopay=autopay,
                nominal_on=record.key.nominal_on,
                is_demanded=bool(record.demanded_by),
                is_besides=bool(record.key.number),
                as_of=reader.as_of,
                told_for=told_for,
                held=[each.target for each in self.holds.values()],
                is_clock_suspect=reader.is_clock_suspect,
            )
        )
        if why is not None and "R10" not in self.ignored:
            # I13, which R10 says at length.
            raise PromiseBroken("R10", f"{record.key} is asked for {why}")

    def _in_windows(self, method: PaymentMethodRef) -> None:
        """N3: a network's windows are not full of declines."""
        assert self.mark is not None
        for days, most in _WINDOWS.get(method.network, ()):
            since = self.mark - days * _DAY
            count = sum(
                each.known_on is not None
                and each.method == method.fingerprint
                and each.began_at >= since
                for each in self.keys.values()
            )
            if count >= most:
                raise PromiseBroken("N3", f"{count} declines in {days} days")

    def _not_barred(self, record: RunRecord) -> None:
        """H1: nothing is asked for an invoice that is on hold."""
        barred = {
            each.target for each in self.holds.values() if each.amount is None
        }
        if not barred:
            return
        assert record.intent is not None
        for line in record.intent.allocation.lines:
            one = line.invoice
            if line.amount.is_positive and barred & {
                f"invoice:{one.number}",
                f"client:{one.client}",
                f"matter:{one.client}/{one.matter}",
            }:
                raise PromiseBroken("H1", f"{one.number} is on hold")

    def _not_beside(self, key: RunKey) -> None:
        """I6: while one run is in doubt, no other of the auto-pay begins."""
        for other in self.records.values():
            if (
                other.key != key
                and other.key.autopay == key.autopay
                and other.state in _DOUBTFUL
            ):
                raise PromiseBroken("I6", f"{other.key} is in doubt")

    def _owed(self, key: RunKey, number: str, minor: int, owed: int) -> None:
        """I1: what was taken, is in doubt and is asked for now was owed."""
        if "I1" in self.ignored:
            return
        total = minor + self.live.get(number, 0)
        for other in self.records.values():
            if other.state in _DOUBTFUL and other.key != key:
                facts = self.by_run[other.key][-1]
                if not (facts.captured or facts.pending):
                    total += facts.shares.get(number, 0)
        if total > owed:
            raise PromiseBroken(
                "I1", f"{key}: {total} of {number}, and {owed} was owed"
            )

    def _lines(
        self,
        record: RunRecord,
        autopay: AutoPay,
        allocation: Allocation,
        reader: Reader,
    ) -> tuple[dict[str, int], dict[str, int]]:
        """I11 and I12: who pays for what, oldest first."""
        shares: dict[str, int] = {}
        allowed: dict[str, int] = {}
        covering = in_force(autopay, record.key.nominal_on)
        limit = autopay.limit
        rank: tuple[object, ...] | None = None
        is_short = False
        for line in allocation.lines:
            invoice = line.invoice
            now = _rank(invoice, by_due=autopay.order.value == "due")
            if rank is not None and now <= rank:
                raise PromiseBroken("I12", f"{record.key}: order of lines")
            rank = now
            minor = line.amount.amount_minor
            payable = line.payable.amount_minor
            most = payable
            if limit.per_invoice is not None:
                most = min(most, limit.per_invoice.amount_minor)
            if minor > most or (
                limit.whole_invoices and minor not in (0, payable)
            ):
                raise PromiseBroken("I3", f"{record.key}: above its share")
            if payable and line.ceiling is None and line.reason not in _BARRED:
                if minor and is_short:
                    raise PromiseBroken("I12", f"{record.key}: newer first")
                is_short = is_short or minor < most
            if not minor:
                continue
            number = str(invoice.number)
            read = reader.reads.get(number)
            if read is None or read.invoice != invoice:
                raise PromiseBroken("R1", f"{number} was not read so")
            _check_enrolled(invoice, record.payer, covering)
            shares[number] = minor
            allowed[number] = read.owed
        return shares, allowed

    def _amounts(
        self, record: RunRecord, autopay: AutoPay, shares: dict[str, int]
    ) -> None:
        """I3: one amount everywhere, within every limit."""
        if "I3" in self.ignored:
            return
        assert record.intent is not None
        total = sum(shares.values())
        if (
            total <= 0
            or record.attempts[-1].amount.amount_minor != total
            or record.intent.request.amount.amount_minor != total
        ):
            raise PromiseBroken("I3", f"{record.key}: amounts differ")
        self._limits(record, autopay.limit, total)

    def _limits(self, record: RunRecord, limit: Limit, total: int) -> None:
        """I3: one run, a month and a lifetime are within their limits."""
        if limit.per_run is not None and total > limit.per_run.amount_minor:
            raise PromiseBroken("I3", f"{record.key}: above the limit")
        if limit.minimum is not None and total < limit.minimum.amount_minor:
            raise PromiseBroken("I3", f"{record.key}: below the minimum")
        if limit.lifetime is None and limit.per_month is None:
            return
        month = taken = 0
        for run, each in self.records.items():
            if (
                run.autopay != record.key.autopay
                or run == record.key
                or not (
                    each.state in _RESERVING or each.state is RunState.PAID
                )
            ):
                continue
            minor = self.by_run[run][-1].amount - _freed(each)
            taken += minor
            if (each.charge_on.year, each.charge_on.month) == (
                record.charge_on.year,
                record.charge_on.month,
            ):
                month += minor
        if (
            limit.lifetime is not None
            and taken + total > limit.lifetime.amount_minor
        ):
            raise PromiseBroken("I3", f"{record.key}: above the lifetime")
        if (
            limit.per_month is not None
            and month + total > limit.per_month.amount_minor
        ):
            raise PromiseBroken("I3", f"{record.key}: above the month")

    def _again(
        self,
        before: RunRecord | None,
        record: RunRecord,
        autopay: AutoPay,
        earlier: list[KeyFacts],
        reader: Reader,
    ) -> None:
        """I14: who may be asked again, and for how much."""
        if before is None or before.state is not RunState.WAITING:
            raise PromiseBroken("I6", f"{record.key} was not waiting")
        declined = [each for each in earlier if each.known_on is not None]
        if not declined:
            return  # What was asked before never took money.
        if before.intent is None or before.intent.retry is None:
            raise PromiseBroken("I14", f"{record.key}: no retry allowed")
        method = autopay.method
        same = [each for each in declined if each.method == method.fingerprint]
        if not same:
            return  # A new method starts anew.
        last = same[-1]
        assert last.declined is not None
        if last.declined.decline_class is not DeclineClass.LATER or (
            len(same) > _ON_CARD_RETRIES
        ):
            raise PromiseBroken("I14", f"{record.key}: no retry allowed")
        assert reader.as_of is not None
        if last.known_on is None or reader.as_of < last.known_on + _DAY:
            raise PromiseBroken("I14", f"{record.key}: too early")
        if method.network == "ach" and (
            last.declined.code not in ("R01", "R09")
            or record.attempts[-1].amount.amount_minor != last.amount
        ):
            raise PromiseBroken("I14", f"{record.key}: not the same debit")

    def _same_attempt(
        self, before: RunRecord | None, record: RunRecord, reader: Reader
    ) -> None:
        """R3 and I5: what was intended is what is charged."""
        attempt = record.attempts[-1]
        facts = self.keys.get(attempt.key)
        if facts is None or facts.run != record.key:
            raise PromiseBroken("I5", f"{record.key}: another key")
        if (
            facts.hash != attempt.request_hash
            or facts.amount != attempt.amount.amount_minor
            or attempt.reference not in {None, *facts.references}
        ):
            raise PromiseBroken("I5", f"{record.key}: another request")
        if (
            record.state in _RESERVING
            and before is not None
            and not _is_same_plan(record.intent, before.intent)
        ):
            raise PromiseBroken("R3", f"{record.key}: planned again")
        if record.state is RunState.OPEN and (
            before is not None
            and before.state is RunState.OPEN
            and attempt.tries == facts.tries
            and attempt.key in reader.looked
            and reader.looked_on - attempt.began_at >= _DOUBT_MOST
        ):
            raise PromiseBroken("R4", f"{record.key}: a doubt without end")
        if (
            record.state is RunState.PENDING
            and before is not None
            and before.state is RunState.PENDING
            and not reader.is_clock_suspect
            and isinstance(attempt.outcome, NeedsPayer)
            and attempt.key in reader.looked
            and reader.looked_on - attempt.outcome.until >= _DOUBT_MOST
        ):
            raise PromiseBroken("R4", f"{record.key}: waits for a payer")
        if not facts.may_have_left:
            facts.deadlines.add(attempt.deadline)  # Its reads were slow (R15).
        if attempt.tries > facts.tries:
            facts.tries = attempt.tries
            facts.deadlines.add(attempt.deadline)
            self._decided_again(before, record, facts, reader)

    def _decided_again(
        self,
        before: RunRecord | None,
        record: RunRecord,
        facts: KeyFacts,
        reader: Reader,
    ) -> None:
        """R9: what may have been executed is sent again only if right."""
        autopay = reader.autopays.get(record.key.autopay)
        if autopay is None:
            raise PromiseBroken("R9", f"{record.key}: no order in hand")
        key = record.attempts[-1].key
        looked = reader.looked.get(key)
        if looked is None:
            raise PromiseBroken("R9", f"{record.key}: nobody looked first")
        self._may_send(before, record, autopay, reader)
        if reader.cut - reader.came:
            raise PromiseBroken("MD-2", f"{record.key}: rows were missing")
        assert record.intent is not None
        covering = in_force(autopay, record.key.nominal_on)
        for line in record.intent.allocation.lines:
            number = str(line.invoice.number)
            minor = facts.shares.get(number)
            if minor is None:
                continue
            read = reader.reads.get(number)
            if "R9" not in self.ignored and (
                read is None or read.tick < looked
            ):
                raise PromiseBroken("R9", f"{number} was not read again")
            if read is None:
                continue
            _check_enrolled(read.invoice, record.payer, covering)
            own = minor if facts.captured or facts.pending else 0
            self._owed(record.key, number, minor - own, read.owed)
            facts.allowed[number] = read.owed
        reader.permit = key

    def _matches_truth(self, record: RunRecord) -> None:
        """I6, I7 and I8: what is written is what happened."""
        facts = self.by_run.get(record.key, ())
        live = [each for each in facts if each.captured]
        if record.state in _UNCHARGED:
            for each in facts:
                if each.captured or each.pending:
                    raise PromiseBroken(
                        "I8",
                        f"{record.key} is {record.state.value}, and money "
                        "was taken",
                    )
        elif record.state is RunState.PAID and (
            len(live) != 1 or live[0].number != len(record.attempts)
        ):
            raise PromiseBroken("I8", f"{record.key} is paid by {len(live)}")

    def _is_told(
        self, before: RunRecord | None, record: RunRecord, change: Change
    ) -> None:
        """N1: what people must know is stored with the step."""
        if before is not None and before.state is record.state:
            return
        wanted: tuple[NoticeKind, ...]
        if record.state in _TOLD_AS_FAILED:
            wanted = (NoticeKind.FAILED,)
        elif record.state is RunState.PAID:
            wanted = (NoticeKind.PAID, NoticeKind.PAID_IN_PART)
        else:
            return
        if not any(each.kind in wanted for each in change.notices):
            raise PromiseBroken("Q3", f"{record.key}: nobody is told")

    def _reallocated(
        self, record: RunRecord, change: Change, reader: Reader
    ) -> None:
        """P4 and I1: what is put elsewhere adds up, and is owed there."""
        known = self.records.get(record.key)
        before = 0 if known is None else len(known.reversals)
        moved = [each for each in record.reversals[before:] if each.to]
        if not moved:
            return
        minors = [each.amount.amount_minor for each in change.postings]
        if sum(minors) or sum(each < 0 for each in minors) != 1:
            raise PromiseBroken("P4", f"{record.key}: {minors} do not add up")
        for posting in change.postings:
            number = str(posting.invoice)
            minor = posting.amount.amount_minor
            if minor > 0:
                self.bases.add(posting.id)
            if minor < 0:
                if posting.status is PostingStatus.REMOVED:
                    assert posting.reverses is not None
                    self.replaced.add(posting.reverses)
            elif all(
                number != one.invoice or one.amount.is_positive
                for one in change.postings
            ):
                read = reader.reads.get(number)
                if read is None:
                    raise PromiseBroken("P4", f"{number} was not read")
                self._owed(record.key, number, minor, read.owed)

    def _posting(self, posting: Posting) -> None:
        """I7 and I15: no posting without money."""
        known = self.postings.get(posting.id)
        if known is not None:
            return
        facts = [
            each
            for each in self.by_run.get(posting.run, ())
            if (each.captured)
        ]
        if not facts:
            raise PromiseBroken("I7", f"{posting.id} has no money behind it")
        share = facts[-1].shares.get(str(posting.invoice))
        minor = posting.amount.amount_minor
        if posting.reverses is None:
            self.bases.add(posting.id)
            if share != minor:
                raise PromiseBroken(
                    "Q2", f"{posting.id}: {minor}, not {share}"
                )
        else:
            self._reversing(posting, minor)
        self.postings[posting.id] = posting
        self.statuses[posting.id] = posting.status

    def _reversing(self, posting: Posting, minor: int) -> None:
        """I15: what is left of a share is from nothing to all of it."""
        if self.books_postings:
            number = str(posting.invoice)
            self.live[number] = self.live.get(number, 0) + minor
        if posting.id in self.bases:
            return
        paid = posting
        while paid.id not in self.bases:
            assert paid.reverses is not None
            paid = self.postings[paid.reverses]
        gone = self.gone.get(paid.id, 0) + minor
        whole = paid.amount.amount_minor
        if not 0 <= whole + gone <= whole:
            raise PromiseBroken("I15", f"{posting.id} moves {gone} of {whole}")
        self.gone[paid.id] = gone

    # -- The gateway ---------------------------------------------------------

    def sent(
        self,
        request: ChargeRequest,
        reference: str | None,
        reader: Reader,
        account: str,
    ) -> None:
        """I4 and R9: what is sent was decided and written down just before."""
        self.checks += 1
        if self.is_settled:
            raise PromiseBroken("I17", "a finished run was charged again")
        facts = self.keys.get(request.key)
        if facts is None:
            raise PromiseBroken("I4", f"{request.key} is not on record")
        if request.request_hash != facts.hash:
            raise PromiseBroken("I5", f"{request.key}: another request")
        if account != facts.account:
            raise PromiseBroken("R12", f"{request.key}: another account")
        if request.not_after not in facts.deadlines:
            raise PromiseBroken("I4", f"{request.key}: deadline not on record")
        if reference is not None and reference not in facts.references:
            raise PromiseBroken("I4", f"{reference} is not on record")
        if reader.permit != request.key and "R9" not in self.ignored:
            raise PromiseBroken("R9", f"{request.key}: nobody decided so")
        reader.permit = None
        reader.looked.pop(request.key, None)
        facts.may_have_left = True

    def is_pending(self, key: str) -> bool:
        """Tell whether a debit is on record as under way."""
        record = self.records[self.keys[key].run]
        return record.state is RunState.PENDING

    def never_left(self, key: str) -> None:
        """Note that a first try provably moved nothing (PG-4)."""
        facts = self.keys[key]
        if facts.tries == 1:
            facts.may_have_left = False

    def accepted(self, key: str) -> None:
        """Check that money may move now: captured, or a debit begun."""
        facts = self.keys[key]
        run = facts.run
        for each in self.by_run[run]:
            if each.captured or each.pending:
                raise PromiseBroken("I2", f"{run} is charged twice")
        record = self.records[run]
        if record.state not in _RESERVING or record.attempts[-1].key != key:
            raise PromiseBroken(
                "I8", f"money moves for {run}, which is {record.state.value}"
            )
        for number, minor in facts.shares.items():
            total = self.live.get(number, 0) + minor
            self.live[number] = total
            if total <= facts.allowed[number] or "I1" in self.ignored:
                continue
            # More was billed since, and others were paid from it.
            owed = max(
                each.allowed.get(number, 0) for each in self.keys.values()
            )
            if total > owed:
                raise PromiseBroken(
                    "I1", f"{number}: {total} taken, {owed} owed"
                )

    def returned(self, key: str, minor: int) -> None:
        """Book money that went back, newest invoice first."""
        facts = self.keys[key]
        facts.reversed += minor
        skip = facts.reversed - minor
        for number, share in reversed(list(facts.shares.items())):
            gone = min(skip, share)
            skip -= gone
            back = min(minor, share - gone)
            minor -= back
            self.live[number] -= back

    def let_go(self, key: str) -> None:
        """Book that what waited for the payer was called off."""
        self.unaccepted(key)
        self.keys[key].pending = False
        self.keys[key].let_go = True

    def unaccepted(self, key: str) -> None:
        """Book a bank debit that failed."""
        for number, share in self.keys[key].shares.items():
            self.live[number] -= share

    # -- Coverage ------------------------------------------------------------

    def covered(self, opened: OpenAmounts, undone: Collection[str]) -> None:
        """I9: what the ledger does not show yet is held back in the store."""
        hidden: dict[str, int] = {}
        for posting in self.postings.values():
            if posting.id in undone and self.statuses[posting.id] in (
                PostingStatus.APPLIED,
                PostingStatus.REMOVED,
            ):
                continue  # Nobody knows yet; B1 is what keeps it from harm.
            if (
                posting.id in self.bases
                and posting.id not in self.shown
                and posting.id not in self.replaced
            ):
                number = str(posting.invoice)
                minor = posting.amount.amount_minor
                hidden[number] = hidden.get(number, 0) + minor
        for record in self.records.values():
            if record.state in _RESERVING:
                for number, minor in self.by_run[record.key][
                    -1
                ].shares.items():
                    hidden[number] = hidden.get(number, 0) + minor
        for number, minor in hidden.items():
            known = opened.amounts.get(number)
            if known is None or known.amount_minor < minor:
                raise PromiseBroken("I9", f"{number}: {minor} is not held")

    # -- When everything is over ---------------------------------------------

    def complete(self, autopays: Mapping[str, AutoPay]) -> None:
        """Q1 to Q4: nothing hangs, every cent has its posting."""
        for record in self.records.values():
            if self.is_under_way(record, autopays[record.key.autopay]):
                raise PromiseBroken(
                    "Q1", f"{record.key} is still {record.state.value}"
                )
        self._posted()

    def is_under_way(self, record: RunRecord, autopay: AutoPay) -> bool:
        """Tell whether a run has still to come to its end."""
        if record.state in _FINAL or record.state is RunState.ANNOUNCED:
            return False
        return record.state is not RunState.WAITING or not self._waits(
            record, autopay
        )

    def _waits(self, record: RunRecord, autopay: AutoPay) -> bool:
        """Tell whether a run waits for somebody: a hold, another method."""
        targets = {
            "store:",
            f"payer:{record.payer}",
            f"autopay:{record.key.autopay}",
            f"method:{autopay.method.fingerprint}",
        }
        if any(each.target in targets for each in self.holds.values()):
            return True
        method = autopay.method
        facts = [
            each
            for each in self.by_run.get(record.key, ())
            if each.method == method.fingerprint and each.declined is not None
        ]
        if not facts or record.next_try_on is not None:
            return False
        last = facts[-1].declined
        assert last is not None
        age = facts[-1].began_at - facts[0].began_at
        return (
            last.decline_class is not DeclineClass.LATER
            or (method.network == "ach" and last.code not in ("R01", "R09"))
            or len(facts) > _ON_CARD_RETRIES
            # The policy of every simulated retry ends after three weeks.
            or age > 20 * _DAY
        )

    def _posted(self) -> None:
        """Q2 and Q4: what was taken is posted, no more and no less."""
        found: dict[RunKey, dict[str, int]] = {}
        net = 0
        for posting in self.postings.values():
            minor = posting.amount.amount_minor
            net += minor
            if posting.reverses is None:
                shares = found.setdefault(posting.run, {})
                if str(posting.invoice) in shares:
                    raise PromiseBroken("Q2", f"{posting.id} is there twice")
                shares[str(posting.invoice)] = minor
        for key, facts in self.keys.items():
            if facts.captured:
                if found.pop(facts.run, None) != facts.shares:
                    raise PromiseBroken("Q2", f"{key}: postings are missing")
                net -= facts.captured - facts.reversed
        if found:
            raise PromiseBroken("Q2", "postings without a capture")
        if net:
            raise PromiseBroken("Q4", f"{net} more posted than taken")
        self._in_the_ledger()

    def _in_the_ledger(self) -> None:
        """P4: the ledger has on each invoice what stands on it, in the end."""
        differs: dict[str, int] = {}
        for posting in self.postings.values():
            number, minor = str(posting.invoice), posting.amount.amount_minor
            shown = minor if posting.id in self.shown else 0
            differs[number] = differs.get(number, 0) + minor - shown
        for number, minor in differs.items():
            if minor:
                raise PromiseBroken(
                    "P4", f"{number}: {minor} of it is not in the ledger"
                )


def _freed(record: RunRecord) -> int:
    """Return what went back of a run that may be taken again (L7)."""
    freed = 0
    events: set[str] = set()
    for each in record.reversals:
        if each.kind in (ReversalKind.RETURN, ReversalKind.CHARGEBACK):
            events.add(each.event)
            freed += each.amount.amount_minor
        elif each.kind is ReversalKind.REINSTATED and each.corrects in events:
            freed -= each.amount.amount_minor
    return freed


def _is_same_plan(one: Intent | None, other: Intent | None) -> bool:
    """Compare what two intents take, and under which request (R3)."""
    if one is other:
        return True
    return (
        one is not None
        and other is not None
        and one.request.request_hash == other.request.request_hash
        and one.allocation == other.allocation
    )


def _check_word(
    person: str, before: RunRecord | None, record: RunRecord
) -> None:
    """R4: a person has a name, and speaks of what is in review."""
    if not person.strip():
        raise PromiseBroken("R4", f"{record.key}: nobody attested it")
    if before is None or before.state is not RunState.REVIEW:
        raise PromiseBroken("R4", f"{record.key} was attested too early")


def _check_enrolled(
    invoice: Invoice, payer: str, covering: Iterable[Association]
) -> None:
    """I11: the invoice is one of those that its payer enrolled."""
    if not any(
        each.payer == payer
        and each.client == invoice.client
        and each.matter in (None, invoice.matter)
        and each.invoice in (None, invoice.number)
        for each in covering
    ):
        raise PromiseBroken("I11", f"{invoice.number} is not enrolled")


def _rank(invoice: Invoice, *, by_due: bool) -> tuple[object, ...]:
    """Order numbers, an I and digits, without the library's own key."""
    number = int(str(invoice.number)[1:])
    if not by_due:
        return (invoice.issued_on, number)
    return (
        invoice.due_on is None,
        invoice.due_on or 0,
        invoice.issued_on,
        number,
    )
