"""
Every SQL store against the memory store, on the same generated changes.

`StoreModel` is a hypothesis machine: whatever is committed to the one is
committed to the other, and everything that can be read must be equal after
every step (PS-15). A test subclasses it with `open_store`.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from autopay_core.allocation import Limit, allocate
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    Pending,
    RunKey,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    PostingFilter,
    PostingMove,
    StopOrder,
)
from autopay_core.errors import PostingConflictError
from autopay_core.history import verify_history
from autopay_core.invoices import Invoice
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.postings import (
    POSTING_MOVES,
    Attempt,
    Intent,
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    RunRecord,
    RunState,
    move_posting,
    postings_of,
    reversal_postings,
)
from autopay_core.references import DepositAccount, PaymentMethodRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopay_core.ports import PostingStore

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
AUTOPAYS = ["ap-1", "ap/2", "ä-3"]
DATES = [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
CLIENTS = ["C-1", "C-2"]
METHOD = PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c")
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

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        invoices=st.lists(
            st.sampled_from([*INVOICES, SHARED]),
            min_size=1,
            unique_by=lambda each: each.number,
        ),
        minor=st.integers(1, 3_000),
        method=st.sampled_from([METHOD, OTHER]),
        expects_versions=st.sampled_from(["none", "now", "stale"]),
        expects_open=st.sampled_from(["none", "now", "stale"]),
        only_doubtful=st.booleans(),
        unless_stopped=st.booleans(),
    )
    def intend(
        self,
        autopay: str,
        on: date,
        invoices: list[Invoice],
        minor: int,
        method: PaymentMethodRef,
        expects_versions: str,
        expects_open: str,
        only_doubtful: bool,
        unless_stopped: bool,
    ) -> None:
        key = key_of(autopay, on)
        before = self.record(key)
        record = intend(
            key,
            invoices,
            minor,
            now=self.clock.now,
            method=method,
            before=before,
        )
        opened = self.model.open_amounts(CLIENTS)
        own = {} if before is None else _held(before)
        stale = 1 if expects_versions == "stale" else 0
        lie = usd(7) if expects_open == "stale" else usd(0)
        self.both(
            Change(
                runs=(record,),
                expect_versions=None
                if expects_versions == "none"
                else {
                    each.client: opened.versions[each.client] + stale
                    for each in invoices
                },
                expect_open=None
                if expects_open == "none"
                else {
                    each.number: opened.amounts.get(each.number, usd(0))
                    - own.get(each.number, usd(0))
                    + lie
                    for each in invoices
                },
                only_doubtful=only_doubtful,
                unless_stopped=(
                    StopOrder.autopay(autopay),
                    StopOrder.method(method.fingerprint),
                )
                if unless_stopped
                else (),
                reason="planned",
            )
        )

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        state=st.sampled_from(
            [
                RunState.ANNOUNCED,
                RunState.WAITING,
                RunState.NOTHING_DUE,
                RunState.MISSED,
            ]
        ),
        version=st.sampled_from([1, 2]),
    )
    def write_down(
        self, autopay: str, on: date, state: RunState, version: int
    ) -> None:
        record = attrs.evolve(
            empty_run(key_of(autopay, on), state, "Why"), version=version
        )
        if state is RunState.ANNOUNCED:
            record = attrs.evolve(
                record, announced={"INV-1": usd(5), "é": usd(6)}
            )
        self.both(Change(runs=(record,)))

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        state=st.sampled_from(
            [
                RunState.OPEN,
                RunState.PENDING,
                RunState.REVIEW,
                RunState.PAID,
                RunState.FAILED,
                RunState.WAITING,
            ]
        ),
        is_stale=st.booleans(),
        wait=st.sampled_from([None, 0, 3600]),
        only_doubtful=st.booleans(),
    )
    def go_on(
        self,
        autopay: str,
        on: date,
        state: RunState,
        is_stale: bool,
        wait: int | None,
        only_doubtful: bool,
    ) -> None:
        record = self.record(key_of(autopay, on))
        if record is None or record.intent is None:
            return
        outcome: Captured | Pending | Declined | None = None
        if state is RunState.PAID:
            outcome = captured(record)
        elif state is RunState.PENDING:
            outcome = Pending(
                key=record.attempts[-1].key,
                amount=record.attempts[-1].amount,
                reference="debit-1",
            )
        elif state is RunState.FAILED:
            outcome = Declined(
                key=record.attempts[-1].key,
                code="51",
                decline_class=DeclineClass.LATER,
                message="no",
            )
        step = after(
            record,
            state,
            outcome,
            next_try_at=None
            if wait is None
            else self.clock.now + timedelta(seconds=wait),
        )
        if is_stale:
            step = attrs.evolve(step, version=record.version)
        self.notices += 1
        self.both(
            Change(
                runs=(step,),
                only_doubtful=only_doubtful,
                postings=postings_of(step) if state is RunState.PAID else (),
                notices=(notice(f"n-{self.notices}"),),
            )
        )

    @rule(autopay=st.sampled_from(AUTOPAYS), on=st.sampled_from(DATES))
    def reverse(self, autopay: str, on: date) -> None:
        record = self.record(key_of(autopay, on))
        if record is None or record.state is not RunState.PAID:
            return
        if record.reversals:
            return
        reversal = Reversal(
            event=f"e-{autopay}-{on}",
            kind=ReversalKind.RETURN,
            amount=usd(1),
            on=on,
        )
        self.both(
            Change(
                runs=(after(record, RunState.PAID, reversals=(reversal,)),),
                postings=reversal_postings(record, reversal),
            )
        )

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        postings = self.model.postings(PostingFilter())
        if not postings:
            return
        posting = data.draw(st.sampled_from(list(postings)))
        steps = sorted(POSTING_MOVES[posting.status], key=lambda s: s.value)
        if not steps:
            return
        to = data.draw(st.sampled_from(steps))
        step = PostingMove(
            before=posting, after=move_posting(posting, to, note="why")
        )
        change = Change(moves=(step,), by="jo", reason="mended")
        self.both(change)
        assert self.both(change) == Conflict(reason="posting")

    @rule(data=st.data(), differs=st.booleans())
    def post_again(self, data: st.DataObject, differs: bool) -> None:
        postings = self.model.postings(PostingFilter())
        if not postings:
            return
        posting = data.draw(st.sampled_from(list(postings)))
        if differs:
            posting = attrs.evolve(posting, payment_reference="another")
        self.both(
            Change(postings=(posting,), notices=(notice("with-posting"),))
        )

    @rule(
        keys=st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        delivered=st.lists(st.sampled_from(["a", "b", "c", "nobody"])),
    )
    def tell(self, keys: list[str], delivered: list[str]) -> None:
        self.both(
            Change(
                notices=tuple(map(notice, keys)), delivered=tuple(delivered)
            )
        )

    @rule(
        whom=st.sampled_from(
            [
                *map(StopOrder.autopay, AUTOPAYS),
                StopOrder.method(METHOD.fingerprint),
            ]
        ),
        active=st.booleans(),
    )
    def stop(self, whom: str, active: bool) -> None:
        order = StopOrder(target=whom, active=active, by="jo", reason="ö")
        self.both(Change(stops=(order,), by="jo"))

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        seconds=st.sampled_from([1, 60]),
    )
    def claim(self, autopay: str, on: date, seconds: int) -> None:
        key = key_of(autopay, on)
        assert self.store.claim(key, seconds) == self.model.claim(key, seconds)

    @rule(seconds=st.sampled_from([0.000001, 1, 61, 86_400, -30, -3_600]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
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


def _held(record: RunRecord) -> dict[Any, Money]:
    from autopay_core.postings import reservations

    return dict(reservations(record))


__all__ = [
    "AUTOPAYS",
    "CLIENTS",
    "DATES",
    "INVOICES",
    "METHOD",
    "Awaited",
    "Committed",
    "Posting",
    "StoreModel",
    "TestClock",
    "contextlib",
]
