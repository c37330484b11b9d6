"""
The promises, checked from outside at every step (I1 to I17, Q1 to Q6).

Holds: `Oracle`, `PromiseBroken`. Imports: the values. It keeps books of its
own: what was committed, what the gateway took, what the ledger shows; it never
asks the posting store for its opinion, except to compare.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, final

from autopay_core.autopay import AutoPay, in_force
from autopay_core.charges import DeclineClass, Declined
from autopay_core.notices import NoticeKind
from autopay_core.postings import PostingStatus
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState

if TYPE_CHECKING:
    from datetime import date, datetime

    from autopay_core.allocation import Allocation
    from autopay_core.charges import ChargeRequest
    from autopay_core.commits import Change, OpenAmounts
    from autopay_core.invoices import Invoice
    from autopay_core.limits import Limit
    from autopay_core.postings import Posting
    from autopay_core.runs import Attempt

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
    RunState.WAITING: 23 * _DAY,
}


class PromiseBroken(BaseException):
    """
    The library broke one of its promises.

    Attributes:
        rule: The id of what was broken: an invariant, a rule or a clause.

    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


@final
class Reader:
    """What one worker has read: balances, and whose standing orders."""

    __slots__ = ("as_of", "autopays", "came", "cut", "reads")

    def __init__(self) -> None:
        self.came: set[str] = set()
        self.cut: set[str] = set()
        self.reads: dict[str, tuple[Invoice, int]] = {}
        self.autopays: dict[str, AutoPay] = {}
        self.as_of: date | None = None


@final
class KeyFacts:
    """The truth about one idempotency key."""

    __slots__ = (
        "allowed",
        "amount",
        "captured",
        "deadlines",
        "declined",
        "hash",
        "number",
        "pending",
        "references",
        "reversed",
        "run",
        "shares",
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
        self.hash = attempt.request_hash
        self.amount = attempt.amount.amount_minor
        self.shares = shares
        self.allowed = allowed
        self.deadlines: set[datetime] = set()
        self.references: set[str] = set()
        self.captured = 0
        self.reversed = 0
        self.pending = False
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
        self.shown: set[str] = set()
        self.stopped: set[str] = set()
        self.is_settled = False
        self.checks = 0
        self.steps = 0

    # -- Commits -------------------------------------------------------------

    def committed(self, change: Change, reader: Reader, now: datetime) -> None:
        """Check a step of the store that was committed."""
        self.checks += 1
        self.steps += len(change.runs)
        if self.is_settled and (
            change.runs or change.postings or change.moves
        ):
            raise PromiseBroken("I17", "a finished run was written again")
        for record in change.runs:
            self._record(record, change, reader)
            self._comes_back(record, now)
        for posting in change.postings:
            self._posting(posting)
        for move in change.moves:
            if self.statuses.get(move.before.id) is not move.before.status:
                raise PromiseBroken("P3", f"{move.before.id} had moved")
            self.statuses[move.before.id] = move.after.status
            self.postings[move.before.id] = move.after
        for order in change.stops:
            if order.active:
                self.stopped.add(order.target)
            else:
                self.stopped.discard(order.target)

    def _record(
        self, record: RunRecord, change: Change, reader: Reader
    ) -> None:
        before = self.records.get(record.key)
        self._history(before, record)
        facts = self.by_run.get(record.key, [])
        if len(record.attempts) > len(facts):
            self._new_attempt(before, record, reader)
        elif record.attempts:
            self._same_attempt(before, record)
        self._matches_truth(record)
        self._is_told(before, record, change)
        self.records[record.key] = record

    def _comes_back(self, record: RunRecord, now: datetime) -> None:
        """Q5: what is not over is looked at again, in good time."""
        if record.state in _RESERVING or record.state is RunState.WAITING:
            again = record.next_try_at
            if again is None or again > now + _LATEST[record.state]:
                raise PromiseBroken("Q5", f"{record.key}: again at {again}")

    def _history(self, before: RunRecord | None, record: RunRecord) -> None:
        """I10: versions count, ends are ends, attempts only grow."""
        if "I10" in self.ignored:
            return
        if record.version != (1 if before is None else before.version + 1):
            raise PromiseBroken("I10", f"{record.key}: version jumps")
        if before is None:
            return
        if before.state in _FINAL and not (
            before.state is RunState.PAID
            and record.state is RunState.PAID
            and record.intent is before.intent
            and record.attempts == before.attempts
            and record.reversals[: len(before.reversals)] == before.reversals
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
        if record.intent is None or attempt.number != len(earlier) + 1:
            raise PromiseBroken("I6", f"{record.key}: attempts skipped")
        if attempt.key in self.keys:
            raise PromiseBroken("I5", f"{attempt.key} is used again")
        if earlier and (earlier[-1].pending or earlier[-1].captured):
            raise PromiseBroken("I6", f"{record.key}: the last one took money")
        self._not_in_doubt(record.key)
        autopay = reader.autopays.get(record.key.autopay)
        if autopay is None:
            raise PromiseBroken("I11", f"{record.key}: no standing order")
        self._not_stopped(record)
        if reader.cut - reader.came:
            raise PromiseBroken("MD-2", f"{record.key}: rows were missing")
        if (
            autopay.off_from is not None
            and reader.as_of is not None
            and reader.as_of >= autopay.off_from
        ):
            raise PromiseBroken("I13", f"{record.key}: it is turned off")
        allocation = record.intent.allocation
        shares, allowed = self._lines(record, autopay, allocation, reader)
        self._amounts(record, autopay, shares)
        if earlier:
            self._again(before, record, autopay, earlier[-1])
        for number, minor in shares.items():
            self._owed(record.key, number, minor, allowed[number])
        facts = KeyFacts(record.key, attempt, shares, allowed)
        facts.deadlines.add(attempt.deadline)
        self.keys[attempt.key] = facts
        earlier.append(facts)

    def _not_in_doubt(self, key: RunKey) -> None:
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
            if payable and line.ceiling is None:
                if minor and is_short:
                    raise PromiseBroken("I12", f"{record.key}: newer first")
                is_short = is_short or minor < most
            if not minor:
                continue
            number = str(invoice.number)
            read = reader.reads.get(number)
            if read is None or read[0] != invoice:
                raise PromiseBroken("R1", f"{number} was not read so")
            if not any(
                each.payer == record.payer
                and each.client == invoice.client
                and each.matter in (None, invoice.matter)
                and each.invoice in (None, number)
                for each in covering
            ):
                raise PromiseBroken("I11", f"{number} is not enrolled")
            shares[number] = minor
            allowed[number] = read[1]
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
            minor = self.by_run[run][-1].amount
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
        last: KeyFacts,
    ) -> None:
        """I14: who may be asked again, and for how much."""
        declines = [
            each.declined
            for each in self.by_run[record.key]
            if each.declined is not None
        ]
        assert before is not None
        if before.state is not RunState.WAITING:
            raise PromiseBroken("I6", f"{record.key} was not waiting")
        if last.declined is None:
            return  # It was never sent (PG-4).
        if (
            before.intent is None
            or before.intent.retry is None
            or last.declined.decline_class is not DeclineClass.LATER
            or len(declines) > _ON_CARD_RETRIES
        ):
            raise PromiseBroken("I14", f"{record.key}: no retry allowed")
        attempt, tried = record.attempts[-1], record.attempts[-2]
        if attempt.began_at - tried.began_at < _DAY:
            raise PromiseBroken("I14", f"{record.key}: too early")
        method = autopay.method
        is_same = before.intent.request.method == method
        if (
            method.network == "ach"
            and is_same
            and (
                last.declined.code not in ("R01", "R09")
                or record.attempts[-1].amount.amount_minor != last.amount
            )
        ):
            raise PromiseBroken("I14", f"{record.key}: not the same debit")

    def _same_attempt(
        self, before: RunRecord | None, record: RunRecord
    ) -> None:
        """R3 and I5: what was intended is what is charged."""
        attempt = record.attempts[-1]
        facts = self.keys.get(attempt.key)
        if facts is None or facts.run != record.key:
            raise PromiseBroken("I5", f"{record.key}: another key")
        if (
            facts.hash != attempt.request_hash
            or facts.amount != attempt.amount.amount_minor
        ):
            raise PromiseBroken("I5", f"{record.key}: another request")
        if (
            record.state in _RESERVING
            and before is not None
            and record.intent is not before.intent
            and record.intent != before.intent
        ):
            raise PromiseBroken("R3", f"{record.key}: planned again")
        is_sending = attempt.deadline not in facts.deadlines
        if attempt.reference is not None and (
            attempt.reference not in facts.references
        ):
            is_sending = True
            facts.references.add(attempt.reference)
        if is_sending:
            self._not_stopped(record)
            facts.deadlines.add(attempt.deadline)

    def _not_stopped(self, record: RunRecord) -> None:
        """I13: nothing is sent against an order to stop."""
        method = record.attempts[-1].method
        for target in (f"autopay:{record.key.autopay}", f"method:{method}"):
            if target in self.stopped:
                raise PromiseBroken("I13", f"{record.key} is stopped")

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
        if record.state in (RunState.FAILED, RunState.REVIEW):
            wanted = (NoticeKind.FAILED,)
        elif record.state is RunState.PAID:
            wanted = (NoticeKind.PAID, NoticeKind.PAID_IN_PART)
        else:
            return
        if not any(each.kind in wanted for each in change.notices):
            raise PromiseBroken("Q3", f"{record.key}: nobody is told")

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
            if share != minor:
                raise PromiseBroken(
                    "Q2", f"{posting.id}: {minor}, not {share}"
                )
        else:
            original = self.postings[posting.reverses]
            gone = sum(
                each.amount.amount_minor
                for each in self.postings.values()
                if each.reverses == posting.reverses
            )
            if original.amount.amount_minor + gone + minor < 0:
                raise PromiseBroken("I15", f"{posting.id} takes back too much")
        self.postings[posting.id] = posting
        self.statuses[posting.id] = posting.status

    # -- The gateway ---------------------------------------------------------

    def sent(self, request: ChargeRequest, reference: str | None) -> None:
        """I4: what reaches the gateway was written down before."""
        self.checks += 1
        if self.is_settled:
            raise PromiseBroken("I17", "a finished run was charged again")
        facts = self.keys.get(request.key)
        if facts is None:
            raise PromiseBroken("I4", f"{request.key} is not on record")
        if request.request_hash != facts.hash:
            raise PromiseBroken("I5", f"{request.key}: another request")
        if request.not_after not in facts.deadlines:
            raise PromiseBroken("I4", f"{request.key}: deadline not on record")
        if reference is not None and reference not in facts.references:
            raise PromiseBroken("I4", f"{reference} is not on record")

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

    def unaccepted(self, key: str) -> None:
        """Book a bank debit that failed."""
        for number, share in self.keys[key].shares.items():
            self.live[number] -= share

    # -- Coverage ------------------------------------------------------------

    def covered(self, opened: OpenAmounts) -> None:
        """I9: what the ledger does not show yet is held back in the store."""
        hidden: dict[str, int] = {}
        for posting in self.postings.values():
            if posting.reverses is None and posting.id not in self.shown:
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

    def complete(self) -> None:
        """Q1 to Q4: nothing hangs, every cent has its posting."""
        for record in self.records.values():
            if record.state not in _FINAL and (
                record.state is not RunState.ANNOUNCED
            ):
                raise PromiseBroken(
                    "Q1", f"{record.key} is still {record.state.value}"
                )
        self._posted()

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
