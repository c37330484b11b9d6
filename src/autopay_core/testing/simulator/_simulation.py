"""
One seed: a world, its workers step by step, faults, and the healing.

Holds: `System`, `STORES`, `World`, `Outcome`, `simulate`. Imports: `_clerk`,
`_company`, `_desk`, `_judge`, `_nature`, `_oracle`, `_ports`, `_settings`,
`adapters.memory`, `adapters.sqlite` and the core. The flows are those that
production runs, or what a test puts into a `System` in their place.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.autopay import due
from autopay_core.charges import (
    Captured,
    Declined,
    Pending,
)
from autopay_core.commits import Change, Conflict, PostingFilter
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import collect
from autopay_core.engine.desk import (
    answer_batch,
    export_batch,
    make_batch,
)
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import Given
from autopay_core.engine.reallocating import reallocate
from autopay_core.engine.receiving import receive
from autopay_core.engine.recovery import recover
from autopay_core.engine.requests import (
    Commit,
    NextAutoPay,
    ReadPostings,
    ask_many,
)
from autopay_core.engine.staff import (
    accept_balance,
    advance_postings,
    attest,
    rerun,
    reverse,
)
from autopay_core.engine.sweeping import run_now, sweep
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
)
from autopay_core.holds import Hold, lift
from autopay_core.notices import NoticeKind
from autopay_core.policy import Ceilings
from autopay_core.ports import Ports
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
)
from autopay_core.references import RunKey, Secret
from autopay_core.runs import RunResult, RunState, RunStatus
from autopay_core.schedules import Occurrence
from autopay_core.testing.simulator._clerk import Clerk
from autopay_core.testing.simulator._company import Company
from autopay_core.testing.simulator._desk import Desk
from autopay_core.testing.simulator._judge import charge_on, resting
from autopay_core.testing.simulator._nature import Nature
from autopay_core.testing.simulator._oracle import PromiseBroken, Reader
from autopay_core.testing.simulator._ports import (
    STORE,
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
    draw_policy,
    edited,
    of_another_payer,
    usd,
    with_another_method,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime
    from random import Random

    from autopay_core.autopay import AutoPay
    from autopay_core.engine.case import Case
    from autopay_core.engine.requests import Flow, Request, Stream
    from autopay_core.movements import Movement
    from autopay_core.ports import PostingStore

__all__ = ["STORES", "Outcome", "System", "World", "simulate", "system_on"]

_DAY: Final = 24 * 3_600
_SECRET: Final = Secret(b"simulated, and of no use elsewhere")
_NO_FAULTS: Final[dict[str, float]] = dict.fromkeys(FAULTS, 0.0)
_AT_THE_DESK: Final = {
    **_NO_FAULTS,
    "down": 0.02,
    "commit_unknown": 0.05,
    "kill_before": 0.03,
    "kill_after": 0.05,
}
_ROUNDS: Final = 60
_LEAPS: Final = (600, 3_600, 3_600, 6 * 3_600)
_MENDED_AFTER: Final = 26
"""Days after which payers whose method is declined save another one."""
_AHEAD: Final = 290
_REFUSED: Final = frozenset({"AnotherPayer", "DateAhead"})
"""What a caller is told who is wrong about the day, or an id (R11, R13)."""
_NOT_NOW: Final = frozenset({"AnotherPayer", "DateAhead", "RunUnderWay"})
"""Why a run on demand is refused (R14)."""
_NOT_ATTESTED: Final = frozenset(
    {"FieldMissing", "GatewayContradicts", "NotInReview", "TooEarly"}
)
"""Why a person's word is not taken (R4)."""
_LATE: Final = frozenset({RunStatus.WAITING, RunStatus.POSTPONED})
_CAUSES: Final = frozenset(
    {
        "AnotherPayer",
        "BeforeItsDate",
        "Busy",
        "Ceiling",
        "ClockSuspect",
        "ClosedDay",
        "CommitUnknown",
        "DeadlinePassed",
        "Declined",
        "Held",
        "IncompleteRead",
        "KeyCancelled",
        "NetworkWindow",
        "NotBefore",
        "OnlyForeign",
        "PortUnavailable",
        "Rerun",
        "Timeout",
        "TwoContents",
        "Withdrawn",
    }
)
"""What may make a run late here; anything else is an error of ours (R6)."""
_UNDER_WAY: Final = frozenset(
    {
        RunState.OPEN,
        RunState.PENDING,
        RunState.REVIEW,
        RunState.WAITING,
    }
)


_BACK: Final = [each for each in ReversalKind if each.takes_back]
"""What a gateway takes back in a simulated year."""


def _in_memory(*, clock: Callable[[], datetime]) -> PostingStore:
    return MemoryPostingStore(clock=clock, identity=STORE)


@final
@attrs.frozen(kw_only=True)
class System:
    """
    What is simulated: the shipped flows and store, or others in their place.

    Attributes:
        sweep: As `engine.sweeping.sweep`.
        run_now: As `engine.sweeping.run_now`.
        rerun: As `engine.staff.rerun`.
        recover: As `engine.recovery.recover`.
        collect: As `engine.collecting.collect`.
        advance_postings: As `engine.staff.advance_postings`.
        make_batch: As `engine.desk.make_batch`.
        export_batch: As `engine.desk.export_batch`.
        answer_batch: As `engine.desk.answer_batch`.
        reallocate: As `engine.reallocating.reallocate`.
        receive: As `engine.receiving.receive`.
        reverse: As `engine.staff.reverse`.
        attest: As `engine.staff.attest`.
        accept_balance: As `engine.staff.accept_balance`.
        store: Makes a posting store that takes its time from ``clock``.

    """

    sweep: Callable[..., Stream[Any]] = sweep
    run_now: Callable[..., Flow[Any]] = run_now
    rerun: Callable[..., Flow[Any]] = rerun
    recover: Callable[..., Stream[Any]] = recover
    collect: Callable[..., Flow[Any]] = collect
    advance_postings: Callable[..., Flow[Any]] = advance_postings
    make_batch: Callable[..., Flow[Any]] = make_batch
    export_batch: Callable[..., Flow[Any]] = export_batch
    answer_batch: Callable[..., Flow[Any]] = answer_batch
    reallocate: Callable[..., Flow[Any]] = reallocate
    receive: Callable[..., Flow[Any]] = receive
    reverse: Callable[..., Flow[Any]] = reverse
    attest: Callable[..., Flow[Any]] = attest
    accept_balance: Callable[..., Flow[Any]] = accept_balance
    store: Callable[..., PostingStore] = _in_memory


_SYSTEM: Final = System()


def _in_sqlite(*, clock: Callable[[], datetime]) -> PostingStore:
    # Only for those who ask for it: it takes a database with it.
    from autopay_core.adapters.sqlite import (  # noqa: PLC0415
        SqlitePostingStore,
    )

    return SqlitePostingStore(":memory:", clock=clock, in_memory=True)


STORES: Final[Mapping[str, Callable[..., PostingStore]]] = {
    "memory": _in_memory,
    "sqlite": _in_sqlite,
}
"""The shipped stores that can be put on trial, by name."""


def system_on(store: str) -> System:
    """Return the shipped flows on one of `STORES`."""
    return System(store=STORES[store])


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

    __slots__ = ("flow", "name", "reader", "request")

    def __init__(self, name: str) -> None:
        self.name = name
        self.flow: Stream[Any] | None = None
        self.request: Request | NextAutoPay | None = None
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
        self.autopays = draw_autopays(
            rng, invoices, self.today(), self.settings
        )
        self.first = dict(self.autopays)
        self.ledger = Ledger(self, invoices)
        self.gateway = Gateway(self)
        self.store = Store(self, system.store(clock=self.clock))
        self.mailbox = Mailbox(self)
        self.company = Company(
            seed,
            system=system,
            oracle=self.oracle,
            gateway=self.gateway,
            today=self.today,
        )
        self.moved = self.company.committed
        self.clerk = Clerk(
            seed,
            system=system,
            ledger=self.ledger,
            oracle=self.oracle,
            may_be=self.company.finds_shares,
        )
        self.ports = Ports(
            matters=self.ledger,
            gateway=self.gateway,
            postings=cast("PostingStore", self.store),
            notifier=self.mailbox,
            key_secret=_SECRET,
            policy=draw_policy(seed),
        )
        self.terms = terms_of(self.ports)
        self.oracle.ceilings = self.ports.policy.ceilings
        self.answer = answering(self.ports)
        self.workers = [
            _Worker(f"w{number}") for number in range(self.settings.workers)
        ]
        self.events: list[tuple[RunKey, Reversal]] = []
        self.overtaken: set[str] = set()
        self.borrowed: dict[str, AutoPay] = {}
        self.desk = Desk(
            seed,
            system=system,
            books=self.books,
            ledger=self.ledger,
            today=self.today,
        )
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
            "interest": self._interest,
            "undo": self._undo,
            "restore": self._restore,
            "rerun": self._rerun,
            "account": self._exchange,
            "reuse": self._reuse,
        }
        self._generation = 0
        self._swept_on: date | None = None

    def close(self) -> None:
        """Let go of the store, if it has something to let go of."""
        close = getattr(self.store.inner, "close", None)
        if close is not None:
            close()

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
        if worker.flow is None:
            self._begin(
                worker,
                self._besides() or self._program,
            )
            return
        self.reader = worker.reader
        request = worker.request
        assert request is not None
        self.calls += 1
        if self.trace is not None:
            self.note(f"{self.stamp()} {worker.name} {_shown(request)}")
        answer: object = None
        error: AutopayError | None = None
        try:
            self._may_die("kill_before")
            answer = self._answered(request)
            self._may_die("kill_after")
        except Killed:
            self.note(f"    {worker.name} dies")
            worker.flow = worker.request = None
            return
        except AutopayError as raised:
            error = raised
        if error is not None or isinstance(answer, Conflict):
            worker.reader.is_turn_whole = False
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
                asked = flow.throw(error)
            elif worker.request is None:
                asked = next(flow)
            else:
                asked = flow.send(answer)
            while isinstance(asked, Given):
                self._given(asked.result)
                asked = next(flow)
        except (StopIteration, PortError):
            worker.flow = worker.request = None
        except InvalidValueError as raised:
            if raised.code not in _REFUSED:
                raise _unexpected(raised) from raised
            worker.flow = worker.request = None
        except Exception as raised:
            raise _unexpected(raised) from raised
        else:
            worker.request = asked

    def _given(self, result: RunResult) -> None:
        """Look at what a sweep gives: no error of the library's own (R6)."""
        if self.trace is not None:
            self.note(f"    gives {_shown(result)}")
        if result.status in (RunStatus.POSTPONED, RunStatus.BLOCKED):
            self.reader.is_turn_whole = False
        if result.status in _LATE and result.reason not in _CAUSES:
            raise PromiseBroken("E1", f"{result.reason}: {result.detail}")

    def _begin(
        self, worker: _Worker, program: Callable[[Reader], Stream[Any]]
    ) -> None:
        """Let *worker* start on something."""
        worker.reader = self.reader = Reader()
        worker.flow, worker.request = program(worker.reader), None
        self._advance(worker, None, None)

    def _answered(self, request: Request | NextAutoPay) -> object:
        """Answer a request: the host's own, or a port's."""
        if not isinstance(request, NextAutoPay):
            return self.answer(request)
        reader = self.reader
        if reader.is_turn_whole:
            self._rested(reader)
        if not reader.order:
            return []
        reader.is_turn_whole = True
        autopay = self.autopays[reader.order.pop()]
        reader.autopays = {autopay.id: autopay}
        return [autopay]

    def _rested(self, reader: Reader) -> None:
        """
        Note the dates that a whole turn saw while it was off or paused.

        But for what was in doubt then: it goes on where it was (R4), and if
        it is proven never to have left, it is planned afresh, not made up.
        """
        assert reader.as_of is not None
        for autopay in reader.autopays.values():
            for each in resting(autopay, reader.as_of):
                key = RunKey(autopay=autopay.id, nominal_on=each)
                known = self.oracle.records.get(key)
                if known is None or known.state is not RunState.OPEN:
                    self.oracle.rested.add(key)

    def _program(self, reader: Reader) -> Stream[Any]:
        """Choose what a worker does next."""
        roll = self.random()
        as_of = self.today()
        if self.random() < 0.05:
            as_of += timedelta(days=self.rng.choice((-1, 1)))
        if roll < 0.6:
            return self._sweep(reader, as_of)
        if roll < 0.72:
            return self._collect(reader, as_of)
        if roll < 0.75:
            return self._run_now(reader, as_of)
        if roll < 0.85:
            return self.system.recover(self.terms)
        if roll < 0.93:
            return self._staff()
        return self._reverse() if roll < 0.97 else self._testify(reader)

    def _besides(self) -> Callable[[Reader], Stream[Any]] | None:
        """Draw whether somebody does what only some worlds have."""
        if self.company.is_wanted():
            return lambda _: self.company.calls(self.terms)
        if self.clerk.is_wanted():
            return lambda _: self.clerk.work(self.terms)
        return self._at_the_desk if self.desk.is_wanted() else None

    def _at_the_desk(self, _: Reader) -> Flow[None]:
        return self.desk.work()

    def _sweep(self, reader: Reader, as_of: date) -> Stream[Any]:
        """Sweep as a host does, in some order; see `_answered`."""
        reader.order = list(self.autopays)
        self.rng.shuffle(reader.order)
        reader.as_of = as_of
        return self.system.sweep(
            as_of, self.terms, claim_seconds=self.settings.claims
        )

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

    def _run_now(self, reader: Reader, as_of: date) -> Flow[None]:
        """Run besides the schedule, because a person asks for it (R14)."""
        autopay = self.rng.choice(list(self.autopays.values()))
        reader.autopays[autopay.id] = autopay
        reader.as_of = as_of
        try:
            yield from self.system.run_now(
                autopay,
                as_of,
                self.rng.choice((1, 1, 2)),
                self.terms,
                by="Kim",
                reason="now",
            )
        except InvalidValueError as error:
            if error.code not in _NOT_NOW:
                raise

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
        if self.desk.is_used and self.desk.rng.random() < 0.8:
            some = self.desk.free(some)  # Others try what is in a batch.
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
            yield from self._advanced(postings, to)

    def _advanced(
        self, postings: Sequence[Posting], to: PostingStatus
    ) -> Flow[Any]:
        try:
            yield from self.system.advance_postings(
                postings, to, by="staff", note="the batch of today"
            )
        except InvalidValueError as error:
            if error.code != "PostingInBatch" or not self.desk.is_used:
                raise

    def _reverse(self) -> Flow[None]:
        """Take in an event of money that went back, perhaps again."""
        if not self.events:
            return
        key, reversal = self.rng.choice(self.events)
        try:
            yield from self.system.reverse(key, reversal, self.terms)
        except InvalidValueError as error:
            if error.code != "OrphanEvent":
                raise

    def _testify(self, reader: Reader) -> Flow[None]:
        """Say of a run what the bank's statement shows, rightly or not."""
        for record in self.oracle.records.values():
            if record.state not in (RunState.OPEN, RunState.REVIEW):
                continue
            key = record.attempts[-1].key
            found = self.gateway.found(key)
            said: Captured | Declined = Declined(key=key, code="no trace")
            if found is not None and isinstance(found.outcome, Captured):
                said = found.outcome
            reader.person = "Kim" if self.random() < 0.9 else ""
            yield from self._attested(record.key, said, reader)
            return

    # -- What happens --------------------------------------------------------

    def _happen(self, event: str) -> None:
        """Let something happen in the world."""
        if self.trace is not None:
            self.note(f"{self.stamp()} world: {event}")
        if self.clerk.is_mistaken():
            self._drive(lambda _: self.clerk.mistakes())
        if self.clerk.is_mistaken():
            self._drive(lambda _: self.clerk.bounces())
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
        if self.clerk.is_wanted():
            self._drive(lambda _: self.clerk.work(self.terms))
        if self.desk.is_used and self.desk.rng.random() < 0.2:
            self._drive(lambda _: self.desk.take_back())
            return
        self._drive(lambda _: self._staff())

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
            self._drive(
                lambda _: self._advanced([known], PostingStatus.APPLIED)
            )

    def _batch(self) -> None:
        """Let the firm's nightly batch bring everything to its end."""
        self._drive(lambda _: self._clear())

    def _by_hand(self) -> None:
        ledger = self.ledger
        number = self.rng.choice(list(ledger.invoices))
        owed = ledger.invoices[number].balance.amount_minor
        if any(str(each.invoice) == number for each in self.undone.values()):
            return  # Both at once look like interest.
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
        known = list(self.oracle.holds.values())
        if known and self.random() < 0.4:
            self._put(lift(self.rng.choice(known), by="Kim", reason="go on"))
            return
        autopay = self.rng.choice(list(self.autopays.values()))
        invoice = self.rng.choice(list(self.ledger.invoices.values()))
        by, why = "Kim", "stop"
        roll = self.random()
        if roll < 0.4:
            hold = Hold.on_autopay(autopay.id, by=by, reason=why)
        elif roll < 0.6:
            hold = Hold.on_method(
                autopay.method.fingerprint, by=by, reason=why
            )
        elif roll < 0.7:
            hold = Hold.on_payer(autopay.payer, by=by, reason=why)
        elif roll < 0.75:
            hold = Hold.on_store(by=by, reason=why)
        elif roll < 0.8:
            hold = Hold.on_client(invoice.client, by=by, reason=why)
        elif roll < 0.87:
            hold = Hold.on_matter(
                invoice.client, invoice.matter, by=by, reason=why
            )
        else:
            hold = Hold.on_invoice(invoice.number, by=by, reason=why)
        self._put(hold)

    def _put(self, hold: Hold) -> None:
        """Put a hold on record, or lift it, at once."""
        change = Change(holds=(hold,))
        self.store.inner.commit(change)
        self.mark_time(None)
        self.oracle.committed(change, Reader())

    def _save_method(self, name: str) -> None:
        """Let the payer save another payment method (N3)."""
        self._generation += 1
        self.autopays[name] = with_another_method(
            self.rng,
            self.autopays[name],
            self.settings.networks,
            self._generation,
        )

    def _edit(self) -> None:
        name = self.rng.choice(list(self.autopays))
        self._generation += 1
        self.autopays[name] = edited(
            self.rng,
            self.autopays[name],
            list(self.ledger.invoices.values()),
            self.today(),
            self._generation,
            self.settings.networks,
        )

    def _debits(self) -> None:
        pending = self.gateway.pending()
        if pending:
            one = self.rng.choice(pending)
            self.gateway.settle(one, fails=self.random() < 0.4)

    def _returns(self) -> None:
        if self.company.is_used:
            self.company.moves()
            return
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
                    kind=self.rng.choice(_BACK),
                    code=self.rng.choice(("", "R01", "R02", "R10")),
                    amount=usd(minor),
                    on=self.today(),
                ),
            )
        )

    def _interest(self) -> None:
        """Add interest to whatever is owed; less than any share of ours."""
        for number, each in list(self.ledger.invoices.items()):
            owed = each.balance.amount_minor
            if owed > 0:
                self.ledger.bill_more(number, max(1, owed * 3 // 200))

    def _undo(self) -> None:
        """Let the ledger take back a posting that it showed (B1)."""
        ledger = self.ledger
        shown = [
            each
            for each in self.oracle.postings.values()
            if each.status is PostingStatus.APPLIED
            and each.reverses is None
            and each.id in self.oracle.shown
            and not ledger.by_hand[str(each.invoice)]
        ]
        if shown:
            ledger.take_back(self.rng.choice(shown))

    def _restore(self) -> None:
        """Let staff see that, and post it again (P3)."""
        for number in list(self.undone):
            posting = self.oracle.postings[number]
            if posting.status is PostingStatus.APPLIED:
                self._drive(partial(self._reposted, posting))
                return

    def _reposted(self, posting: Posting, _: Reader) -> Flow[None]:
        try:
            yield from self._advanced([posting], PostingStatus.POSTED)
        except InvalidValueError as error:
            if error.code != "ShareShown":
                raise

    def _rerun(self) -> None:
        """Let a person want a date after all that was lost (S12)."""
        lost = [
            each.key
            for each in self.oracle.records.values()
            if each.state in (RunState.MISSED, RunState.FAILED)
        ]
        if lost:
            key = self.rng.choice(lost)
            self._drive(lambda _: self._revived(key))

    def _revived(self, key: RunKey) -> Flow[None]:
        try:
            yield from self.system.rerun(key, by="Kim", reason="after all")
        except InvalidValueError as error:
            if error.code != "NotRerunnable":
                raise

    def _exchange(self) -> None:
        """Ask another account of the gateway; every worker starts anew."""
        self.gateway.exchange()
        self.terms = terms_of(self.ports)
        self._begin_anew()

    def _reuse(self) -> None:
        """Give an id to another payer's order, or take it back (R13)."""
        name = self.rng.choice(list(self.autopays))
        mine = self.borrowed.pop(name, None)
        if mine is None:
            if not any(
                each.autopay == name and not each.number
                for each in self.oracle.records
            ):
                return
            self.borrowed[name] = mine = self.autopays[name]
            mine = of_another_payer(mine)
        self.autopays[name] = mine
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Let every worker die, as when the host changes something."""
        for worker in self.workers:
            worker.flow = worker.request = None

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

    def _drive(self, program: Callable[[Reader], Stream[Any]]) -> None:
        """Drive a flow to its end, without faults or others between."""
        rates, self.rates = self.rates, _NO_FAULTS
        before = self.reader
        somebody = _Worker("somebody")
        try:
            self._begin(somebody, program)
            while somebody.flow is not None:
                self._step(somebody)
        finally:
            self.rates = rates
            self.reader = before

    def _heal(self) -> None:
        """End all faults, drain, and check what is left (Q1 to Q6)."""
        self.note("-- the world heals")
        self.rates = _NO_FAULTS
        self._finish_workers()
        # Or what is above a ceiling by itself would wait for ever.
        self.ports = attrs.evolve(
            self.ports,
            policy=attrs.evolve(self.ports.policy, ceilings=Ceilings()),
        )
        self.terms = terms_of(self.ports)
        self.oracle.ceilings = Ceilings()
        self._lift()
        self.autopays.update(self.borrowed)
        for each in list(self.undone.values()):
            self.ledger.show(each)
        self.skew, self.skew_ends = 0, None
        while self.gateway.late:
            self._land()
        self.gateway.reveal()
        steps = -1
        for place in range(_ROUNDS):
            if self._is_quiet(place) and self.oracle.steps == steps:
                break
            steps = self.oracle.steps
            self.pass_time(_LEAPS[place] if place < len(_LEAPS) else _DAY)
            self._drain(place)
        self._check_end()

    def _lift(self) -> None:
        """Let people lift every hold, or let some of them stand."""
        if self.random() < 0.5:
            for each in list(self.oracle.holds.values()):
                self._put(lift(each, by="Kim", reason="all is well"))

    def _finish_workers(self) -> None:
        for worker in self.workers:
            if self.random() < 0.5:
                worker.flow = worker.request = None
            while worker.flow is not None:
                self._step(worker)

    def _is_quiet(self, place: int) -> bool:
        return (
            place > 0
            and not any(
                self.oracle.is_under_way(each, self.autopays[each.key.autopay])
                for each in self.oracle.records.values()
            )
            and not self.gateway.pending()
            and not self.store.inner.undelivered(1)
            and all(
                each in (PostingStatus.APPLIED, PostingStatus.REMOVED)
                for each in self.oracle.statuses.values()
            )
        )

    def _drain(self, place: int) -> None:
        self._ask_both(place)
        if place == _MENDED_AFTER and self.is_declined:
            self.is_declined = False
            for name in self.autopays:
                self._save_method(name)
        for each in self.gateway.pending():
            self.gateway.settle(each, fails=self.random() < 0.3)
        self._swept_on = self.today()
        if self.trace is not None:
            self.note(f"{self.stamp()} drains")
        swept_on = self._swept_on
        self._drive(lambda reader: self._sweep(reader, swept_on))
        if place > len(_LEAPS) + 2:
            self._attest()
        for event in self.events:
            record = self.oracle.records.get(event[0])
            if record is not None and event[1] in record.reversals:
                continue
            self._drive(partial(self._reversed, event))
        self._put_elsewhere(place)
        self._hear(place)
        self._send_together()
        while self.ledger.inbox:
            self._ledger_acts()
        self._drive(lambda _: self._clear())

    def _hear(self, place: int) -> None:
        """Let everything be told that the company has to tell (P4)."""
        if not self.company.is_used:
            return
        for _ in range(self.company.rng.randint(0, 3) if place < 4 else 0):
            self.company.moves()
        for each in self.company.untold():
            self._drive(partial(self._heard, each))

    def _heard(self, movement: Movement, _: Reader) -> Flow[Any]:
        return self.company.receives(movement, self.terms)

    def _send_together(self) -> None:
        """Let two people post the queue at once, and be cut off (P5)."""
        rng = self.desk.rng
        for _ in range(self.desk.rounds()):
            self._side_by_side(rng, self._at_the_desk, self._at_the_desk)

    def _put_elsewhere(self, place: int) -> None:
        """Let payments be moved while others are taken, or moved (P4)."""
        for _ in range(self.clerk.rounds() if place < len(_LEAPS) else 0):
            others: tuple[Callable[[Reader], Stream[Any]], ...] = (
                lambda _: self.clerk.work(self.terms),
                lambda reader: self._sweep(reader, self.today()),
                lambda _: self.company.calls(self.terms),
            )
            self._side_by_side(
                self.clerk.rng,
                others[0],
                self.clerk.rng.choice(others[: 2 + self.company.has_told]),
            )

    def _side_by_side(
        self, rng: Random, *programs: Callable[[Reader], Stream[Any]]
    ) -> None:
        """Let two work at once, in any order, and be cut off."""
        rates, before = self.rates, self.reader
        self.rates = _AT_THE_DESK
        staff = [_Worker("Ann"), _Worker("Bob")]
        for each, program in zip(staff, programs, strict=True):
            self._begin(each, program)
        while busy := [each for each in staff if each.flow is not None]:
            self._step(rng.choice(busy))
        self.rates, self.reader = rates, before

    def _ask_both(self, place: int) -> None:
        """Ask each of the gateway's accounts in turn, if both were used."""
        used = {each.account for each in self.oracle.keys.values()}
        if self.gateway.account not in used or (len(used) > 1 and place % 2):
            self._exchange()

    def _reversed(
        self, event: tuple[RunKey, Reversal], _: Reader
    ) -> Flow[None]:
        key, reversal = event
        try:
            yield from self.system.reverse(key, reversal, self.terms)
        except InvalidValueError as error:
            if error.code != "OrphanEvent":
                raise

    def _clear(self) -> Flow[None]:
        """Bring every posting to its end."""
        yield from self.desk.clear()
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
            yield from self._advanced(some, to)
            postings = [self.oracle.postings[each.id] for each in postings]

    def _namelessly(
        self, key: RunKey, said: Captured | Declined, reader: Reader
    ) -> Flow[None]:
        """Let nobody say so: that is refused, always (R4)."""
        reader.person = ""
        return self._attested(key, said, reader)

    def _attest(self) -> None:
        """Let a person say what the bank's statement shows."""
        for record in list(self.oracle.records.values()):
            if record.state is not RunState.REVIEW:
                continue
            key = record.attempts[-1].key
            found = self.gateway.found(key)
            if isinstance(
                self.gateway.lookup(key), (Captured, Pending, Declined)
            ):
                raise PromiseBroken(
                    "Q1", f"{record.key} is in review, and the gateway knows"
                )
            outcome = (
                Declined(key=key, code="never arrived")
                if found is None
                else found.outcome
            )
            if isinstance(outcome, (Captured, Declined)):
                self._drive(partial(self._namelessly, record.key, outcome))
                self._drive(partial(self._attested, record.key, outcome))

    def _attested(
        self, key: RunKey, said: Captured | Declined, reader: Reader
    ) -> Flow[Any]:
        if reader.person is None:
            reader.person = "Kim"
        try:
            yield from self.system.attest(
                key,
                said,
                self.terms,
                by=reader.person,
                reason="statement",
                evidence="page 1",
                second="Lee",
            )
        except InvalidValueError as error:
            if error.code not in _NOT_ATTESTED:
                raise

    def _check_end(self) -> None:
        oracle = self.oracle
        self.company.complete()
        oracle.complete(self.autopays)
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
            autopay = self.autopays[record.key.autopay]
            nominal_on = record.key.nominal_on
            occurrence = Occurrence(
                nominal_on=nominal_on, charge_on=charge_on(autopay, nominal_on)
            )
            case = case_of(
                autopay,
                occurrence,
                self.terms,
                as_of=self.today(),
                number=record.key.number,
                demanded_by=record.demanded_by,
            )
            self._drive(partial(self._collected, case))

    def _collected(self, case: Case, _: Reader) -> Flow[Any]:
        return self.system.collect(case)

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


def _unexpected(raised: Exception) -> PromiseBroken:
    return PromiseBroken("E1", f"{type(raised).__name__}: {raised}")


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
    finally:
        world.close()
    return Outcome(
        seed=seed,
        rule=rule,
        message=message,
        faults=world.faults,
        calls=world.calls,
        captures=len(world.gateway.captures()),
        trace=tuple(world.trace or ()),
    )
