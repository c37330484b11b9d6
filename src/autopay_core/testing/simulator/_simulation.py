"""
One seed: a world, its workers step by step, faults, and the healing.

Holds: `System`, `World`, `Outcome`, `simulate`. Imports: `_nature`, `_oracle`,
`_ports`, `_settings`, `adapters.memory` and the core. The flows are those that
production runs, or what a test puts into a `System` in their place.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.autopay import due
from autopay_core.charges import (
    Captured,
    Declined,
    NotFound,
)
from autopay_core.commits import Change, PostingFilter, StopOrder
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import collect
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    Commit,
    ReadPostings,
    ReadUnfinished,
    ask_many,
)
from autopay_core.engine.staff import advance_postings, attest, reverse
from autopay_core.engine.sweeping import sweep_one
from autopay_core.engine.telling import deliver
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
)
from autopay_core.notices import NoticeKind
from autopay_core.ports import Ports
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
)
from autopay_core.runs import RunRecord, RunState
from autopay_core.testing.simulator._nature import Nature
from autopay_core.testing.simulator._oracle import PromiseBroken, Reader
from autopay_core.testing.simulator._ports import (
    Gateway,
    Killed,
    Ledger,
    Mailbox,
    Store,
)
from autopay_core.testing.simulator._settings import (
    FAULTS,
    draw_autopays,
    draw_invoice,
    draw_invoices,
    edited,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from autopay_core.engine.requests import Flow, Request
    from autopay_core.ports import PostingStore

__all__ = ["Outcome", "System", "World", "simulate"]

_DAY: Final = 24 * 3_600
_NO_FAULTS: Final[dict[str, float]] = dict.fromkeys(FAULTS, 0.0)
_ROUNDS: Final = 60
_LEAPS: Final = (60, 600, 3_600, 3_600, 6 * 3_600)
_AHEAD: Final = 290
_UNDER_WAY: Final = frozenset(
    {
        RunState.OPEN,
        RunState.PENDING,
        RunState.REVIEW,
        RunState.WAITING,
    }
)


@final
@attrs.frozen(kw_only=True)
class System:
    """
    What is simulated: the shipped flows and store, or others in their place.

    Attributes:
        collect: As `engine.collecting.collect`.
        recover_one: As `engine.recovery.recover_one`.
        sweep_one: As `engine.sweeping.sweep_one`.
        deliver: As `engine.telling.deliver`.
        advance_postings: As `engine.staff.advance_postings`.
        reverse: As `engine.staff.reverse`.
        attest: As `engine.staff.attest`.
        store: Makes a posting store that takes its time from ``clock``.

    """

    collect: Callable[..., Flow[Any]] = collect
    recover_one: Callable[..., Flow[Any]] = recover_one
    sweep_one: Callable[..., Flow[Any]] = sweep_one
    deliver: Callable[..., Flow[int]] = deliver
    advance_postings: Callable[..., Flow[Any]] = advance_postings
    reverse: Callable[..., Flow[Any]] = reverse
    attest: Callable[..., Flow[Any]] = attest
    store: Callable[..., PostingStore] = MemoryPostingStore


_SYSTEM: Final = System()


@final
@attrs.frozen(kw_only=True)
class Outcome:
    """
    What became of one seed.

    Attributes:
        seed: The seed.
        rule: The promise that was broken, such as ``"I1"``; None if all
            were kept.
        message: How.
        faults: How many faults there were.
        calls: How many port calls.
        captures: How many charges took money.
        trace: What happened, line by line; empty unless asked for.

    """

    seed: int
    rule: str | None
    message: str
    faults: int
    calls: int
    captures: int
    trace: tuple[str, ...] = ()


@final
class _Worker:
    """One worker: the flow that it is in, and what it has read."""

    __slots__ = ("answer", "flow", "name", "reader", "request")

    def __init__(self, name: str) -> None:
        self.name = name
        self.flow: Flow[None] | None = None
        self.request: Request | None = None
        self.reader = Reader()


@final
class World(Nature):
    """
    Everything outside the library, in one seed.

    Args:
        seed: Decides everything.
        system: What is simulated.
        theme: A mix of faults that goes to one point: ``"stops"``,
            ``"keys"``, ``"network"``, ``"retries"`` or ``"postings"``; None
            for any.
        ignored: Rules that are not checked, to see what else a planted bug
            breaks.
        is_traced: Whether to keep a trace.

    """

    def __init__(
        self,
        seed: int,
        system: System = _SYSTEM,
        *,
        theme: str | None = None,
        ignored: frozenset[str] = frozenset(),
        is_traced: bool = False,
    ) -> None:
        super().__init__(
            seed, theme=theme, ignored=ignored, is_traced=is_traced
        )
        rng = self.rng
        self.system = system
        self.calls = 0
        invoices = draw_invoices(rng)
        self.autopays = draw_autopays(rng, invoices)
        self.first = dict(self.autopays)
        self.ledger = Ledger(self, invoices)
        self.gateway = Gateway(self)
        self.store = Store(self, system.store(clock=self.clock))
        self.mailbox = Mailbox(self)
        self.ports = Ports(
            matters=self.ledger,
            gateway=self.gateway,
            postings=cast("PostingStore", self.store),
            notifier=self.mailbox,
            key_secret=b"simulated",
        )
        self.terms = terms_of(self.ports)
        self.answer = answering(self.ports)
        self.workers = [
            _Worker(f"w{number}") for number in range(self.settings.workers)
        ]
        self.events: list[tuple[Any, Reversal]] = []
        self.overtaken: set[str] = set()
        self._happenings: dict[str, Callable[[], None]] = {
            "land": self._land,
            "staff": self._staff_acts,
            "ledger": self._ledger_acts,
            "batch": self._batch,
            "by_hand": self._by_hand,
            "billing": self._billing,
            "stop": self._stop,
            "edit": self._edit,
            "debits": self._debits,
            "returns": self._returns,
            "skew": self._skews,
        }
        self._generation = 0
        self._swept_on: date | None = None

    # -- Workers -------------------------------------------------------------

    def run(self) -> None:
        """Let it all go wrong, then heal, then look at what is left."""
        settings, random = self.settings, self.random
        worker = self.workers[0]
        for _ in range(settings.steps):
            if random() < settings.event_rate:
                self._happen(self.rng.choice(settings.events))
            if random() >= settings.stickiness:
                worker = self.rng.choice(self.workers)
            self._step(worker)
        self._heal()

    def _step(self, worker: _Worker) -> None:
        """Let *worker* make one call, or begin something."""
        self.reader = worker.reader
        if worker.flow is None:
            worker.reader.reads = {}
            worker.flow = self._program(worker)
            self._advance(worker, None, None)
            return
        request = worker.request
        assert request is not None
        self.calls += 1
        if self.trace is not None:
            self.note(f"{self.stamp()} {worker.name} {_shown(request)}")
        answer: object = None
        error: AutopayError | None = None
        try:
            self._may_die("kill_before")
            answer = self.answer(request)
            self._may_die("kill_after")
        except Killed:
            self.note(f"    {worker.name} dies")
            worker.flow = worker.request = None
            return
        except AutopayError as raised:
            error = raised
        if self.trace is not None:
            self.note(f"    -> {_shown(error or answer)}")
        self._advance(worker, answer, error)

    def _may_die(self, fault: str) -> None:
        if self.fails(fault):
            raise Killed

    def _advance(
        self, worker: _Worker, answer: object, error: AutopayError | None
    ) -> None:
        flow = worker.flow
        assert flow is not None
        try:
            if error is not None:
                worker.request = flow.throw(error)
            elif worker.request is None:
                worker.request = next(flow)
            else:
                worker.request = flow.send(answer)
        except (StopIteration, PortError):
            worker.flow = worker.request = None
        except Exception as raised:
            raise PromiseBroken(
                "E1", f"{type(raised).__name__}: {raised}"
            ) from raised

    def _program(self, worker: _Worker) -> Flow[None]:
        """Choose what a worker does next."""
        roll = self.random()
        as_of = self.today()
        if self.random() < 0.05:
            as_of += timedelta(days=self.rng.choice((-1, 1)))
        if roll < 0.55:
            return self._sweep(worker.reader, as_of)
        if roll < 0.75:
            return self._collect(worker.reader, as_of)
        if roll < 0.85:
            return self._recover()
        if roll < 0.93:
            return self._staff()
        return self._reverse() if roll < 0.97 else self._testify()

    def _sweep(self, reader: Reader, as_of: date) -> Flow[None]:
        """Sweep as a host does: recover, then each auto-pay, then notices."""
        yield from self._recover()
        ids = list(self.autopays)
        self.rng.shuffle(ids)
        for each in ids:
            autopay = self.autopays[each]
            reader.autopays[each] = autopay
            reader.as_of = as_of
            try:
                yield from self.system.sweep_one(
                    autopay,
                    as_of,
                    self.terms,
                    claim_seconds=self.settings.claims,
                )
            except PortError:
                continue
        yield from self.system.deliver()

    def _recover(self) -> Flow[None]:
        records = yield from ask_many(ReadUnfinished(None, 500), RunRecord)
        for record in records:
            try:
                yield from self.system.recover_one(record, self.terms)
            except PortError:
                continue

    def _collect(self, reader: Reader, as_of: date) -> Flow[None]:
        """Run one occurrence on request, whatever a sweep thinks of it."""
        autopay = self.rng.choice(list(self.autopays.values()))
        found = due(autopay, as_of)
        if not found:
            return
        reader.autopays[autopay.id] = autopay
        reader.as_of = as_of
        occurrence = found[0]
        if self.random() < 0.3:
            # A run on request may overtake one that nobody swept yet.
            occurrence = self.rng.choice(found)
            self.overtaken.add(autopay.id)
        yield from self.system.collect(
            case_of(autopay, occurrence, self.terms, as_of=as_of)
        )

    # -- Staff and the ledger ------------------------------------------------

    def _staff(self) -> Flow[None]:
        """Move some postings one step on, as staff do."""
        status = self.rng.choice(
            (
                PostingStatus.PENDING,
                PostingStatus.QUEUED,
                PostingStatus.POSTED,
                PostingStatus.INCOMPLETE,
            )
        )
        postings = yield from ask_many(
            ReadPostings(PostingFilter(statuses=frozenset({status}))), Posting
        )
        if not postings:
            return
        some = self.rng.sample(postings, self.rng.randint(1, len(postings)))
        yield from self._move(some, status)

    def _move(
        self, postings: Sequence[Posting], status: PostingStatus
    ) -> Flow[None]:
        shown = self.oracle.shown
        roll = self.random()
        to = PostingStatus.QUEUED
        if status is PostingStatus.PENDING:
            to = PostingStatus.INCOMPLETE if roll < 0.1 else to
        elif status is PostingStatus.QUEUED:
            for each in postings:
                self.ledger.receive(each)
            to = PostingStatus.POSTED if roll < 0.7 else PostingStatus.APPLIED
        elif status is PostingStatus.POSTED:
            to = (
                PostingStatus.INCOMPLETE
                if roll < 0.1
                else PostingStatus.APPLIED
            )
        elif roll < 0.5:
            to = PostingStatus.PENDING
        else:
            # By hand: first in the ledger, then here.
            for each in postings:
                self.ledger.show(each)
            to = PostingStatus.REMOVED
        if to is PostingStatus.APPLIED:
            postings = [each for each in postings if each.id in shown]
        elif status is PostingStatus.POSTED:
            postings = [each for each in postings if each.id not in shown]
        if postings:
            yield from self.system.advance_postings(postings, to, by="staff")

    def _reverse(self) -> Flow[None]:
        """Take in an event of money that went back, perhaps again."""
        if not self.events:
            return
        key, reversal = self.rng.choice(self.events)
        try:
            yield from self.system.reverse(key, reversal)
        except InvalidValueError as error:
            if error.code != "OrphanEvent":
                raise

    def _testify(self) -> Flow[None]:
        """Say of a run in review what the bank's statement shows."""
        for record in self.oracle.records.values():
            if record.state is not RunState.REVIEW:
                continue
            found = self.gateway.found(record.attempts[-1].key)
            if found is None or not isinstance(found.outcome, Captured):
                continue
            try:
                yield from self.system.attest(
                    record.key,
                    found.outcome,
                    by="Kim",
                    reason="statement",
                    evidence="page 1",
                )
            except InvalidValueError as error:
                # Somebody was faster.
                if error.code != "NotInReview":
                    raise
                return
            return

    # -- What happens --------------------------------------------------------

    def _happen(self, event: str) -> None:
        """Let something happen in the world."""
        if self.trace is not None:
            self.note(f"{self.stamp()} world: {event}")
        rng = self.rng
        if event == "minutes":
            self.pass_time(rng.choice((1, 5, 15, 61, 61, 600)))
        elif event == "hours":
            self.pass_time(rng.choice((601, 1_800, 3_600, 4 * 3_600)))
        elif event == "days":
            self.pass_time(rng.choice((_DAY, _DAY, 25 * 3_600, 7 * _DAY)))
        else:
            self._happenings[event]()

    def _land(self) -> None:
        if self.gateway.late:
            self.gateway.land(self.rng.randrange(len(self.gateway.late)))

    def _staff_acts(self) -> None:
        """Let staff work on their own, between two calls of the workers."""
        before, self.reader = self.reader, Reader()
        self._drive(self._staff())
        self.reader = before

    def _ledger_acts(self) -> None:
        inbox = self.ledger.inbox
        if not inbox:
            return
        posting = inbox[self.rng.choice(list(inbox))]
        self.ledger.show(posting)
        known = self.oracle.postings[posting.id]
        if (
            known.status in (PostingStatus.QUEUED, PostingStatus.POSTED)
            and self.random() < 0.5
        ):
            # The ledger says so at once.
            before, self.reader = self.reader, Reader()
            self._drive(
                self.system.advance_postings([known], PostingStatus.APPLIED)
            )
            self.reader = before

    def _batch(self) -> None:
        """Let the firm's nightly batch bring everything to its end."""
        before, self.reader = self.reader, Reader()
        self._drive(self._clear())
        self.reader = before

    def _by_hand(self) -> None:
        ledger = self.ledger
        number = self.rng.choice(list(ledger.invoices))
        owed = ledger.invoices[number].balance.amount_minor
        if owed > 0:
            minor = owed if self.random() < 0.5 else max(1, owed // 2)
            ledger.pay_by_hand(number, minor)

    def _billing(self) -> None:
        ledger, rng = self.ledger, self.rng
        if rng.random() < 0.6 and len(ledger.invoices) < 7:
            ledger.bill(draw_invoice(rng, len(ledger.invoices) + 1))
        else:
            number = rng.choice(list(ledger.invoices))
            ledger.bill_more(number, rng.choice((100, 500, 1_000)))

    def _stop(self) -> None:
        autopay = self.rng.choice(list(self.autopays.values()))
        target = (
            StopOrder.autopay(autopay.id)
            if self.random() < 0.6
            else StopOrder.method(autopay.method.fingerprint)
        )
        is_on = target in self.oracle.stopped
        if is_on and self.random() < 0.5:
            return
        order = StopOrder(target=target, active=not is_on, by="payer")
        change = Change(stops=(order,))
        self.store.inner.commit(change)
        self.oracle.committed(change, self.reader, self.clock())

    def _edit(self) -> None:
        name = self.rng.choice(list(self.autopays))
        self._generation += 1
        self.autopays[name] = edited(
            self.rng,
            self.autopays[name],
            list(self.ledger.invoices.values()),
            self.today(),
            self._generation,
        )

    def _debits(self) -> None:
        pending = self.gateway.pending()
        if pending:
            one = self.rng.choice(pending)
            self.gateway.settle(one, fails=self.random() < 0.4)

    def _returns(self) -> None:
        captures = self.gateway.captures()
        if not captures:
            return
        one = self.rng.choice(captures)
        facts = self.oracle.keys[one.request.key]
        left = facts.captured - facts.reversed
        if not left:
            return
        minor = left if self.random() < 0.5 else self.rng.randint(1, left)
        self.oracle.returned(one.request.key, minor)
        self.events.append(
            (
                facts.run,
                Reversal(
                    event=f"event-{len(self.events) + 1}",
                    kind=self.rng.choice(list(ReversalKind)),
                    amount=usd(minor),
                    on=self.today(),
                ),
            )
        )

    def _skews(self) -> None:
        """
        Set the store's clock wrong, within what is assumed (PS-12).

        Ahead, or for good behind, by less than five minutes. Behind by up to
        25 hours, but mended before the time comes round again.
        """
        roll = self.random()
        self.skew_ends = None
        if roll < 0.3:
            self.skew = self.rng.randint(0, _AHEAD)
        elif roll < 0.5:
            self.skew = -self.rng.randint(0, _AHEAD)
        elif roll < 0.8:
            back = self.rng.choice((_AHEAD + 30, 3_600, 25 * 3_600))
            self.skew = -back
            self.skew_ends = self.now + back - _AHEAD
        else:
            self.skew = 0

    # -- Healing -------------------------------------------------------------

    def _drive(self, flow: Flow[Any]) -> None:
        """Drive *flow* to its end, without faults or others between."""
        rates, self.rates = self.rates, _NO_FAULTS
        try:
            request = next(flow)
            while True:
                try:
                    answer = self.answer(request)
                except AutopayError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except (StopIteration, PortError):
            return
        except Killed:
            return
        except Exception as raised:
            raise PromiseBroken(
                "E1", f"{type(raised).__name__}: {raised}"
            ) from raised
        finally:
            self.rates = rates

    def _heal(self) -> None:
        """End all faults, drain, and check what is left (Q1 to Q6)."""
        self.note("-- the world heals")
        self.rates = _NO_FAULTS
        self._finish_workers()
        self.skew, self.skew_ends = 0, None
        while self.gateway.late:
            self._land()
        self.gateway.reveal()
        self.reader = reader = Reader()
        steps = -1
        for place in range(_ROUNDS):
            if self._is_quiet(place) and self.oracle.steps == steps:
                break
            steps = self.oracle.steps
            self.pass_time(_LEAPS[place] if place < len(_LEAPS) else _DAY)
            self._drain(reader, place)
        self._check_end()

    def _finish_workers(self) -> None:
        for worker in self.workers:
            if self.random() < 0.5:
                worker.flow = worker.request = None
            while worker.flow is not None:
                self._step(worker)

    def _is_quiet(self, place: int) -> bool:
        return (
            place > 1
            and not any(
                each.state in _UNDER_WAY
                for each in self.oracle.records.values()
            )
            and not self.gateway.pending()
            and all(
                each in (PostingStatus.APPLIED, PostingStatus.REMOVED)
                for each in self.oracle.statuses.values()
            )
        )

    def _drain(self, reader: Reader, place: int) -> None:
        for each in self.gateway.pending():
            self.gateway.settle(each, fails=self.random() < 0.3)
        self._swept_on = self.today()
        if self.trace is not None:
            self.note(f"{self.stamp()} drains")
        self._drive(self._sweep(reader, self._swept_on))
        if place > len(_LEAPS) + 2:
            self._attest()
        for key, reversal in self.events:
            self._drive(self._reversed(key, reversal))
        while self.ledger.inbox:
            self._ledger_acts()
        self._drive(self._clear())

    def _reversed(self, key: Any, reversal: Reversal) -> Flow[None]:  # noqa: ANN401 - a run's key
        try:
            yield from self.system.reverse(key, reversal)
        except InvalidValueError as error:
            if error.code != "OrphanEvent":
                raise

    def _clear(self) -> Flow[None]:
        """Bring every posting to its end."""
        postings = [
            each
            for each in self.oracle.postings.values()
            if each.status
            not in (PostingStatus.APPLIED, PostingStatus.REMOVED)
        ]
        steps = {
            PostingStatus.INCOMPLETE: PostingStatus.PENDING,
            PostingStatus.PENDING: PostingStatus.QUEUED,
            PostingStatus.QUEUED: PostingStatus.POSTED,
            PostingStatus.POSTED: PostingStatus.APPLIED,
        }
        for status, to in steps.items():
            some = [each for each in postings if each.status is status]
            if not some:
                continue
            if to is PostingStatus.APPLIED:
                for each in some:
                    self.ledger.show(each)
            yield from self.system.advance_postings(some, to, by="staff")
            postings = [self.oracle.postings[each.id] for each in postings]

    def _attest(self) -> None:
        """Let a person say what the bank's statement shows."""
        for record in list(self.oracle.records.values()):
            if record.state is not RunState.REVIEW:
                continue
            key = record.attempts[-1].key
            found = self.gateway.found(key)
            if not isinstance(self.gateway.lookup(key), NotFound):
                raise PromiseBroken(
                    "Q1", f"{record.key} is in review, and the gateway knows"
                )
            outcome = (
                Declined(key=key, code="never arrived")
                if found is None
                else found.outcome
            )
            if isinstance(outcome, (Captured, Declined)):
                self._drive(
                    self.system.attest(
                        record.key,
                        outcome,
                        by="Kim",
                        reason="statement",
                        evidence="page 1",
                    )
                )

    def _check_end(self) -> None:
        oracle = self.oracle
        oracle.complete()
        opened = self.store.inner.open_amounts(("C1", "C2"))
        if opened.amounts:
            raise PromiseBroken("Q4", f"still held: {dict(opened.amounts)}")
        self._check_told()
        self._check_on_record()
        # I17: what is done is done.
        oracle.is_settled = True
        for record in list(oracle.records.values()):
            if record.state in (RunState.ANNOUNCED, *_UNDER_WAY):
                continue
            autopay = self.first[record.key.autopay]
            occurrence = autopay.schedule.occurrence_of(record.key.nominal_on)
            assert occurrence is not None
            self._drive(
                self.system.collect(
                    case_of(
                        autopay, occurrence, self.terms, as_of=self.today()
                    )
                )
            )

    def _check_told(self) -> None:
        """Q3: people know of every end, and of every doubt."""
        accepted = self.mailbox.accepted
        if self.store.inner.undelivered(1):
            raise PromiseBroken("Q3", "a notice is still to be delivered")
        told: dict[tuple[str, NoticeKind], int] = {}
        for each in accepted.values():
            place = (str(each.autopay), each.kind)
            told[place] = told.get(place, 0) + 1
        failed: dict[str, int] = {}
        paid: dict[str, int] = {}
        for record in self.oracle.records.values():
            name = record.key.autopay
            if record.state is RunState.FAILED:
                failed[name] = failed.get(name, 0) + 1
            elif record.state is RunState.PAID:
                paid[name] = paid.get(name, 0) + 1
        for name, count in failed.items():
            if told.get((name, NoticeKind.FAILED), 0) < count:
                raise PromiseBroken("Q3", f"{name}: nobody knows it failed")
        for name, count in paid.items():
            if (
                told.get((name, NoticeKind.PAID), 0)
                + told.get((name, NoticeKind.PAID_IN_PART), 0)
                != count
            ):
                raise PromiseBroken("Q3", f"{name}: no receipt, or two")

    def _check_on_record(self) -> None:
        """Q6: what was due is on record, whatever became of it."""
        if self._swept_on is None:
            return
        for name, autopay in self.autopays.items():
            if autopay is not self.first[name] or name in self.overtaken:
                continue
            for each in due(autopay, self._swept_on):
                if not any(
                    key.autopay == name and key.nominal_on == each.nominal_on
                    for key in self.oracle.records
                ):
                    raise PromiseBroken(
                        "Q6", f"{name}/{each.nominal_on} is not on record"
                    )


def _shown(value: object) -> str:
    """Return a request or an answer in a line."""
    if isinstance(value, Commit):
        change = value.change
        parts = [
            f"{each.key} v{each.version} {each.state.value}"
            for each in change.runs
        ]
        parts += [f"{len(change.postings)} postings"] * bool(change.postings)
        parts += [
            f"{each.before.invoice} {each.before.status.value}->"
            f"{each.after.status.value}"
            for each in change.moves
        ]
        parts += [f"{len(change.notices)} notices"] * bool(change.notices)
        return f"Commit({'; '.join(parts)})"
    text = repr(value)
    return text if len(text) < 200 else text[:197] + "..."


def simulate(
    seed: int,
    *,
    system: System = _SYSTEM,
    theme: str | None = None,
    ignored: frozenset[str] = frozenset(),
    is_traced: bool = False,
) -> Outcome:
    """
    Run one seed and return what became of it.

    Args:
        seed: Decides everything: world, faults and order.
        system: What is simulated; the library as shipped unless a test plants
            a bug.
        theme: As `World`.
        ignored: As `World`.
        is_traced: Keep a trace, which is slow.

    """
    world = World(
        seed, system, theme=theme, ignored=ignored, is_traced=is_traced
    )
    rule: str | None = None
    message = ""
    try:
        world.run()
    except PromiseBroken as broken:
        rule, message = broken.rule, str(broken)
    except Killed:
        rule, message = "E1", "a worker died where none can"
    return Outcome(
        seed=seed,
        rule=rule,
        message=message,
        faults=world.faults,
        calls=world.calls,
        captures=len(world.gateway.captures()),
        trace=tuple(world.trace or ()),
    )
