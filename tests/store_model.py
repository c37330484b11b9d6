"""
Every SQL store against the memory store, on the same generated changes.

`StoreModel` is a hypothesis machine: whatever is committed to the one is
committed to the other, and everything that can be read must be equal after
every step (PS-15). A test subclasses it with `open_store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.allocation import allocate
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    Pending,
)
from autopay_core.commits import (
    Change,
    Conflict,
    ConflictReason,
    PostingFilter,
    PostingMove,
    StopOrder,
)
from autopay_core.errors import PostingConflictError
from autopay_core.history import verify_history
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.postings import (
    POSTING_MOVES,
    PostingStatus,
    Reversal,
    ReversalKind,
    move_posting,
)
from autopay_core.references import DepositAccount, PaymentMethodRef, RunKey
from autopay_core.runs import (
    Attempt,
    Intent,
    RunRecord,
    RunState,
    postings_of,
    reservations,
    reversal_postings,
)

if TYPE_CHECKING:
    from autopay_core.ports import PostingStore

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
AUTOPAYS = ["ap-1", "ap/2", "ä-3"]
DATES = [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
CLIENTS = ["C-1", "C-2"]
METHOD = PaymentMethodRef(provider="acme", token="tok_8f2k41zzqx")
OTHER = PaymentMethodRef(provider="acme", token="tok_other_77")
ACCOUNT = DepositAccount(id="op-1")
# The same number under two clients must still count as one invoice (PS-5).
INVOICES = [
    Invoice(
        number=number,
        client=client,
        matter=f"M-{client}",
        issued_on=date(2026, 1, place + 1),
        balance=Money.of("9.00", "USD"),
    )
    for place, (number, client) in enumerate(
        [("INV-1", "C-1"), ("INV-2", "C-1"), ("INV-3", "C-2"), ("1", "C-2")]
    )
]
SHARED = attrs.evolve(INVOICES[0], client="C-2", matter="M-C-2")


class TestClock:
    """A clock that a test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def key_of(autopay: str, on: date) -> RunKey:
    return RunKey(autopay=autopay, nominal_on=on)


KEYS = [key_of(autopay, on) for autopay in AUTOPAYS for on in DATES]


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def intend(
    key: RunKey,
    invoices: Sequence[Invoice],
    minor: int,
    *,
    now: datetime = START,
    method: PaymentMethodRef = METHOD,
    before: RunRecord | None = None,
    state: RunState = RunState.OPEN,
) -> RunRecord:
    """Return an open run that pays *invoices* up to an amount."""
    allocation = allocate(invoices, Limit.up_to(usd(minor)))
    attempts = () if before is None else before.attempts
    number = len(attempts) + 1
    request = ChargeRequest(
        key=f"k-{abs(hash((key, number))) % 10**9}",
        method=method,
        amount=allocation.total,
        deposit_account=ACCOUNT,
        description="Acme",
        not_after=now + timedelta(minutes=10),
    )
    attempt = Attempt(
        number=number,
        key=request.key,
        amount=request.amount,
        method=method.fingerprint,
        began_at=now,
        deadline=now + timedelta(minutes=10),
        request_hash=request.request_hash,
    )
    return RunRecord(
        key=key,
        payer="p-1",
        version=1 if before is None else before.version + 1,
        state=state,
        charge_on=key.nominal_on,
        attempts=(*attempts, attempt),
        intent=Intent(
            allocation=allocation, request=request, ar_message="AutoPay"
        ),
        next_try_at=now + timedelta(minutes=1),
    )


def empty_run(key: RunKey, state: RunState, reason: str = "") -> RunRecord:
    """Return a run that charges nothing."""
    return RunRecord(
        key=key,
        payer="p-1",
        version=1,
        state=state,
        charge_on=key.nominal_on,
        reason=reason,
    )


def after(
    record: RunRecord,
    state: RunState,
    outcome: Captured | Pending | Declined | None = None,
    **fields: Any,
) -> RunRecord:
    """Return the next version of a run."""
    attempts = record.attempts
    if outcome is not None:
        attempts = (
            *attempts[:-1],
            attrs.evolve(attempts[-1], outcome=outcome),
        )
    return attrs.evolve(
        record,
        version=record.version + 1,
        state=state,
        attempts=attempts,
        **fields,
    )


def captured(record: RunRecord) -> Captured:
    attempt = record.attempts[-1]
    return Captured(
        key=attempt.key, amount=attempt.amount, reference=f"pay-{attempt.key}"
    )


def paid(record: RunRecord) -> RunRecord:
    return after(record, RunState.PAID, captured(record), next_try_at=None)


def notice(key: str, kind: NoticeKind = NoticeKind.PAID) -> Notice:
    return Notice(
        key=key,
        kind=kind,
        payer="p-1",
        autopay="ap-1",
        on=DATES[0],
        amount=usd(100),
        detail='Paid "in part" \\ \u2013 ok',
    )


class Awaited:
    """An awaitable store, called from tests that do not await."""

    def __init__(self, store: Any, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            made = method(*args)
            if hasattr(made, "__aiter__"):
                return self._runner.run(_collect(made))
            return self._runner.run(_await(made))

        return call


async def _await(made: Any) -> Any:
    return await made


async def _collect(made: Any) -> list[Any]:
    return [each async for each in made]


def outcome_of(store: PostingStore, change: Change) -> Any:
    try:
        return store.commit(change)
    except PostingConflictError:
        return "posting conflict"


Choose = Callable[[Sequence[Any]], Any]

SOME_INVOICES = [
    INVOICES,
    INVOICES[:1],
    INVOICES[1:3],
    [SHARED],
    [SHARED, INVOICES[1]],
]


class StoreModel(RuleBasedStateMachine):
    """The memory store beside another one."""

    def open_store(self, clock: TestClock) -> Any:
        raise NotImplementedError

    def reopen_store(self) -> Any:
        return self.store

    @initialize()
    def begin(self) -> None:
        self.clock = TestClock()
        self.model = MemoryPostingStore(clock=self.clock)
        self.store = self.open_store(self.clock)
        self.notices = 0

    # -- What is written -----------------------------------------------------

    def both(self, change: Change) -> Any:
        expected = outcome_of(self.model, change)
        # A commit reads the clock in the SQL stores.
        self.model.now()
        assert outcome_of(self.store, change) == expected
        return expected

    def record(self, key: RunKey) -> RunRecord | None:
        return self.model.standing(key, "").run

    def intended(self) -> list[RunRecord]:
        return [each for each in self.model.runs() if each.intent is not None]

    def in_state(self, state: RunState) -> list[RunRecord]:
        return [each for each in self.model.runs() if each.state is state]

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Do anything that is possible now, what matters more often."""

        # One rule: hypothesis would switch some of many off, and few runs
        # would come to their end.
        def choose(items: Sequence[Any]) -> Any:
            return data.draw(st.sampled_from(list(items)))

        acts = [self.intend, self.begin_a_run, self.write_down]
        acts += [self.tell, self.stop, self.claim, self.wait, self.restart]
        if self.intended():
            acts += [self.go_on] * 4
        if self.in_state(RunState.OPEN):
            acts += [self.pay] * 2
        if self.in_state(RunState.PAID):
            acts += [self.reverse]
        if self.model.postings(PostingFilter()):
            acts += [self.move] * 2 + [self.post_again]
        choose(acts)(choose)

    def begin_a_run(self, choose: Choose) -> None:
        known = {each.key for each in self.model.runs()}
        fresh = [each for each in KEYS if each not in known]
        if fresh:
            minor = choose([1, 900, 1_000, 3_000])
            record = intend(choose(fresh), INVOICES, minor, now=self.clock.now)
            self.both(Change(runs=(record,)))

    def intend(self, choose: Choose) -> None:
        key = choose(KEYS)
        invoices = choose(SOME_INVOICES)
        method = choose([METHOD, OTHER])
        before = self.record(key)
        record = intend(
            key,
            invoices,
            choose([1, 900, 1_000, 3_000]),
            now=self.clock.now,
            method=method,
            before=before,
        )
        opened = self.model.open_amounts(CLIENTS)
        own = {} if before is None else dict(reservations(before))
        expects_versions = choose(["none", "now", "now", "stale"])
        expects_open = choose(["none", "now", "now", "stale"])
        targets = (
            StopOrder.autopay(str(key.autopay)),
            StopOrder.method(method.fingerprint),
        )
        self.both(
            Change(
                runs=(record,),
                expect_versions=None
                if expects_versions == "none"
                else {
                    each.client: opened.versions[each.client]
                    + (expects_versions == "stale")
                    for each in invoices
                },
                expect_open=None
                if expects_open == "none"
                else {
                    each.number: opened.amounts.get(each.number, usd(0))
                    - own.get(each.number, usd(0))
                    + usd(7 * (expects_open == "stale"))
                    for each in invoices
                },
                only_doubtful=choose([False, False, True]),
                unless_stopped=choose([(), targets]),
                reason="planned",
            )
        )

    def write_down(self, choose: Choose) -> None:
        key = choose(KEYS)
        before = self.record(key)
        if before is not None and before.intent is not None:
            return  # Its story goes on with `go_on`.
        state = choose(
            [
                RunState.ANNOUNCED,
                RunState.WAITING,
                RunState.NOTHING_DUE,
                RunState.MISSED,
            ]
        )
        version = 1 if before is None else before.version + 1
        record = attrs.evolve(
            empty_run(key, state, "Why"),
            version=version + choose([0, 0, 0, 1]),
        )
        if state is RunState.ANNOUNCED:
            record = attrs.evolve(
                record, announced={"INV-1": usd(5), "é": usd(6)}
            )
        self.both(Change(runs=(record,)))

    def go_on(self, choose: Choose) -> None:
        record = choose(self.intended())
        state = choose(
            [
                RunState.OPEN,
                RunState.PENDING,
                RunState.REVIEW,
                RunState.PAID,
                RunState.FAILED,
                RunState.WAITING,
            ]
        )
        last = record.attempts[-1]
        outcome: Captured | Pending | Declined | None = None
        if state is RunState.PAID:
            outcome = captured(record)
        elif state is RunState.PENDING:
            outcome = Pending(
                key=last.key, amount=last.amount, reference="debit-1"
            )
        elif state is RunState.FAILED:
            outcome = Declined(
                key=last.key,
                code="51",
                decline_class=DeclineClass.LATER,
                message="no",
            )
        wait = choose([None, 0, 3600])
        step = after(
            record,
            state,
            outcome,
            next_try_at=None
            if wait is None
            else self.clock.now + timedelta(seconds=wait),
        )
        if choose([False, False, False, True]):
            step = attrs.evolve(step, version=record.version)
        self.notices += 1
        self.both(
            Change(
                runs=(step,),
                only_doubtful=choose([False, True]),
                postings=postings_of(step) if state is RunState.PAID else (),
                notices=(notice(f"n-{self.notices}"),),
            )
        )

    def pay(self, choose: Choose) -> None:
        step = paid(choose(self.in_state(RunState.OPEN)))
        self.both(Change(runs=(step,), postings=postings_of(step)))

    def reverse(self, choose: Choose) -> None:
        record = choose(self.in_state(RunState.PAID))
        if record.reversals:
            return
        reversal = Reversal(
            event=f"e-{record.key}",
            kind=ReversalKind.RETURN,
            amount=usd(1),
            on=record.charge_on,
        )
        self.both(
            Change(
                runs=(after(record, RunState.PAID, reversals=(reversal,)),),
                postings=reversal_postings(record, reversal),
            )
        )

    def move(self, choose: Choose) -> None:
        posting = choose(self.model.postings(PostingFilter()))
        steps = sorted(POSTING_MOVES[posting.status], key=lambda s: s.value)
        if not steps:
            return
        step = PostingMove(
            before=posting,
            after=move_posting(posting, choose(steps), note="why"),
        )
        change = Change(moves=(step,), by="jo", reason="mended")
        self.both(change)
        assert self.both(change) == Conflict(reason=ConflictReason.POSTING)

    def post_again(self, choose: Choose) -> None:
        posting = choose(self.model.postings(PostingFilter()))
        if choose([False, True]):
            posting = attrs.evolve(posting, payment_reference="another")
        self.both(
            Change(postings=(posting,), notices=(notice("with-posting"),))
        )

    def tell(self, choose: Choose) -> None:
        keys = choose([[], ["a"], ["b", "a"], ["c", "b"]])
        delivered = choose([[], ["a"], ["c", "nobody"], ["b", "b"]])
        self.both(
            Change(
                notices=tuple(map(notice, keys)), delivered=tuple(delivered)
            )
        )

    def stop(self, choose: Choose) -> None:
        whom = choose(
            [
                *map(StopOrder.autopay, AUTOPAYS),
                StopOrder.method(METHOD.fingerprint),
            ]
        )
        active = choose([True, False])
        order = StopOrder(target=whom, active=active, by="jo", reason="ö")
        self.both(Change(stops=(order,), by="jo"))

    def claim(self, choose: Choose) -> None:
        key, seconds = choose(KEYS), choose([1, 60])
        assert self.store.claim(key, seconds) == self.model.claim(key, seconds)

    def wait(self, choose: Choose) -> None:
        self.clock.advance(choose([0.000001, 1, 61, 86_400, -30, -3_600]))

    def restart(self, choose: Choose) -> None:
        self.store = self.reopen_store()

    # -- What is read --------------------------------------------------------

    @invariant()
    @precondition(lambda self: hasattr(self, "store"))
    def everything_reads_the_same(self) -> None:
        store, model = self.store, self.model
        for autopay in AUTOPAYS:
            for on in DATES:
                key = key_of(autopay, on)
                assert store.standing(key, METHOD.fingerprint) == (
                    model.standing(key, METHOD.fingerprint)
                )
            for begin, end in ((DATES[0], DATES[2]), (date.min, date.max)):
                assert store.spent(autopay, begin, end, "USD") == (
                    model.spent(autopay, begin, end, "USD")
                )
        for clients in (CLIENTS, ["C-2"], ["nobody"], []):
            assert store.open_amounts(clients) == model.open_amounts(clients)
        for method in (METHOD, OTHER):
            since = self.clock.now - timedelta(days=1)
            assert sorted(
                store.attempts(method.fingerprint, since), key=repr
            ) == sorted(model.attempts(method.fingerprint, since), key=repr)
        for reached in (None, key_of("ap-1", DATES[1])):
            for most in (1, 100):
                assert store.unfinished(reached, most) == (
                    model.unfinished(reached, most)
                )
        for wanted in _FILTERS:
            assert store.postings(wanted) == model.postings(wanted)
        for most in (1, 100):
            assert store.undelivered(most) == model.undelivered(most)
        assert tuple(store.runs()) == model.runs()
        assert tuple(store.notices()) == model.notices()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert verify_history(self.store) == ()


_FILTERS = [
    PostingFilter(),
    PostingFilter(most=1),
    PostingFilter(after="p-8"),
    PostingFilter(statuses=frozenset({PostingStatus.PENDING})),
    PostingFilter(
        statuses=frozenset({PostingStatus.POSTED, PostingStatus.APPLIED}),
        invoice="INV-1",
    ),
    PostingFilter(run="ap/2/2026-01-31"),
    PostingFilter(run="nobody"),
    PostingFilter(invoice="INV-3", most=2),
]
