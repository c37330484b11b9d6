"""
Generated values, and a machine that compares a store with the memory store.

Holds: `records`, `notices`, `StoreMachine`, `machine_of`. Imports: `_base`,
`adapters.memory`, the core and hypothesis.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from typing_extensions import override

from autopay_core._checks import report_text
from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.charges import DeclineClass, Declined, Pending
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    PostingFilter,
    PostingMove,
    StopOrder,
)
from autopay_core.errors import PostingConflictError
from autopay_core.invoices import Invoice
from autopay_core.notices import Notice, NoticeKind
from autopay_core.ports import PostingStore
from autopay_core.postings import (
    POSTING_MOVES,
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    move_posting,
)
from autopay_core.references import PaymentMethodRef, RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import (
    RunRecord,
    RunState,
    postings_of,
    reservations,
    reversal_postings,
)
from autopay_core.testing.contracts._base import (
    DAYS,
    METHOD,
    OTHER_METHOD,
    Clock,
    intended,
    invoice,
    notice,
    paid,
    plain,
    run_key,
    stepped,
    usd,
)

_Answer: TypeAlias = Committed | Conflict | str

# -- Values -------------------------------------------------------------------

_texts: Final = st.text(max_size=60).map(report_text)
_ids: Final = _texts.filter(lambda text: bool(text.strip())).map(
    lambda text: text[:100]
)
_days: Final = st.dates(date(1900, 1, 1), date(2200, 12, 31))
_instants: Final = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - the zone comes with `timezones`
    datetime(2200, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
_cents: Final = st.integers(1, 10**12) | st.integers(1, 3)
_ENDED: Final = (
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.WAITING,
)


@st.composite
def _invoices(draw: st.DrawFn) -> tuple[Invoice, ...]:
    numbers = draw(
        st.lists(
            _ids,
            min_size=1,
            max_size=3,
            unique_by=lambda each: each.casefold().strip(),
        )
    )
    return tuple(
        attrs.evolve(
            invoice(number, draw(_cents)),
            client=draw(_ids),
            matter=draw(_ids),
            issued_on=draw(_days),
            due_on=draw(st.none() | _days),
        )
        for number in numbers
        if number.isascii() or number == number.casefold()
    ) or (invoice("INV-1", draw(_cents)),)


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Return runs in every state, first written as version 1."""
    key = RunKey(autopay=draw(_ids), nominal_on=draw(_days))
    at = draw(_instants)
    record = intended(run_key(), *draw(_invoices()), at=at)
    intent = record.intent
    assert intent is not None
    record = attrs.evolve(
        record,
        intent=attrs.evolve(
            intent,
            ar_message=draw(_texts),
            name=draw(_texts),
            retry=draw(st.none() | st.just(RetryPolicy(every_days=5))),
            plans=tuple(draw(st.lists(_ids, max_size=2))),
        ),
        payer=draw(_ids),
        charge_on=draw(_days),
        reason=draw(st.sampled_from(["", "Declined"])),
        detail=draw(_texts),
        next_try_at=draw(st.none() | _instants),
        announced=draw(
            st.none() | st.dictionaries(_ids, _cents.map(usd), max_size=2)
        ),
    )
    kind = draw(st.sampled_from(["open", "paid", "pending", "over", "plain"]))
    if kind == "paid":
        record = paid(record)
    elif kind == "pending":
        attempt = record.attempts[-1]
        record = stepped(
            record,
            RunState.PENDING,
            Pending(
                key=attempt.key, amount=attempt.amount, reference=draw(_ids)
            ),
        )
    elif kind == "over":
        declined = Declined(
            key="k",
            code=draw(st.sampled_from(["", "51", "R01"])),
            decline_class=draw(st.sampled_from(DeclineClass)),
            message=draw(_texts),
        )
        record = stepped(record, draw(st.sampled_from(_ENDED)), declined)
    elif kind == "plain":
        record = attrs.evolve(
            plain(key, RunState.NOTHING_DUE), plan=intent.allocation
        )
    return attrs.evolve(record, key=key, version=1)


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    """Return notices of every kind."""
    return Notice(
        key="n",
        kind=draw(st.sampled_from(NoticeKind)),
        payer=draw(_ids),
        autopay=draw(_ids),
        on=draw(_days),
        name=draw(_texts),
        amount=draw(st.none() | _cents.map(usd)),
        reason=draw(st.sampled_from(["", "Declined"])),
        detail=draw(_texts),
    )


# -- The machine --------------------------------------------------------------

AUTOPAYS: Final = ("ap-1", "ä/2")
DATES: Final = DAYS[:3]
CLIENTS: Final = ("C-1", "C-2")
METHODS: Final = (METHOD, OTHER_METHOD)
INVOICES: Final = (
    invoice("INV-1", 900),
    invoice("INV-2", 700),
    invoice("INV-3", 500, client="C-2"),
    # The same number under another client is still one invoice (PS-5).
    invoice("INV-1", 300, client="C-2"),
)
FILTERS: Final = (
    PostingFilter(),
    PostingFilter(most=1),
    PostingFilter(after="p-8"),
    PostingFilter(statuses=frozenset({PostingStatus.PENDING})),
    PostingFilter(
        statuses=frozenset({PostingStatus.POSTED, PostingStatus.APPLIED}),
        invoice="INV-1",
    ),
    PostingFilter(run=str(run_key(AUTOPAYS[1]))),
    PostingFilter(run="nobody"),
    PostingFilter(invoice="INV-3", most=2),
)
_GOES_TO: Final = (
    RunState.OPEN,
    RunState.PENDING,
    RunState.REVIEW,
    RunState.PAID,
    RunState.FAILED,
    RunState.WAITING,
)


def _answer(store: PostingStore, change: Change) -> _Answer:
    try:
        return store.commit(change)
    except PostingConflictError:
        return "PostingConflictError"


def _outcome(before: RunRecord, state: RunState) -> Pending | Declined | None:
    """Return what the gateway said for a run to come to a state."""
    last = before.attempts[-1]
    if state is RunState.PENDING:
        return Pending(key=last.key, amount=last.amount, reference="debit-1")
    if state is RunState.FAILED:
        return Declined(
            key=last.key,
            code="51",
            decline_class=DeclineClass.LATER,
            message="no",
        )
    return None


class StoreMachine(RuleBasedStateMachine):
    """
    The same changes to a store and to the memory store.

    Subclasses say how a store is opened, and opened again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.model = MemoryPostingStore(clock=self.clock)
        self.store: PostingStore = MemoryPostingStore(clock=self.clock)
        self.told = 0

    @abstractmethod
    def open_store(self, clock: Clock) -> PostingStore:
        """Open a store that nobody has used yet."""

    def open_again(self) -> PostingStore:
        """Open the store as another process would; itself if none can."""
        return self.store

    @initialize(
        begun=st.lists(
            st.tuples(st.sampled_from(AUTOPAYS), st.sampled_from(DATES)),
            max_size=4,
            unique=True,
        ),
        state=st.sampled_from(RunState),
    )
    def begin(self, begun: list[tuple[str, date]], state: RunState) -> None:
        """Open the store beside the model, with some runs under way."""
        self.store = self.open_store(self.clock)
        for place, (autopay, on) in enumerate(begun):
            record = intended(
                run_key(autopay, on), INVOICES[place % 3], at=self.clock.at
            )
            self.both(Change(runs=(record,)))
            if state is RunState.PAID:
                done = paid(record)
                self.both(Change(runs=(done,), postings=postings_of(done)))

    def both(self, change: Change) -> _Answer:
        """Commit to both; the answers must agree."""
        expected = _answer(self.model, change)
        self.model.now()
        assert _answer(self.store, change) == expected
        return expected

    def known(self, key: RunKey) -> RunRecord | None:
        """Return the run as the model has it."""
        return self.model.standing(key, "").run

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        invoices=st.lists(
            st.sampled_from(INVOICES),
            min_size=1,
            unique_by=lambda each: each.number,
        ),
        method=st.sampled_from(METHODS),
        versions=st.sampled_from([0, 0, None, 1]),
        opened=st.sampled_from([0, 0, None, 7]),
        is_guarded=st.booleans(),
    )
    def intend(
        self,
        autopay: str,
        on: date,
        invoices: list[Invoice],
        method: PaymentMethodRef,
        versions: int | None,
        opened: int | None,
        *,
        is_guarded: bool,
    ) -> None:
        """Mean to charge; *versions* and *opened* are off by so much."""
        key = run_key(autopay, on)
        before = self.known(key)
        if before is not None and not before.attempts:
            before = attrs.evolve(before, attempts=())
        record = intended(
            key, *invoices, at=self.clock.at, method=method, before=before
        )
        stands = self.model.open_amounts(CLIENTS)
        own = reservations(before)
        nothing = usd(0)
        self.both(
            Change(
                runs=(record,),
                expect_versions=None
                if versions is None
                else {
                    each.client: stands.versions[each.client] + versions
                    for each in invoices
                },
                expect_open=None
                if opened is None
                else {
                    each.number: stands.amounts.get(each.number, nothing)
                    - own.get(each.number, nothing)
                    + usd(opened)
                    for each in invoices
                },
                only_doubtful=is_guarded,
                unless_stopped=(
                    StopOrder.autopay(autopay),
                    StopOrder.method(method.fingerprint),
                )
                if is_guarded
                else (),
            )
        )

    def intents(self, *states: RunState) -> list[RunRecord]:
        """Return the runs with an intent, in one of some states if any."""
        return [
            each
            for each in self.model.runs()
            if each.intent is not None and (not states or each.state in states)
        ]

    def written(self) -> list[Posting]:
        """Return the postings that can still move."""
        return [
            each
            for each in self.model.postings(PostingFilter())
            if POSTING_MOVES[each.status]
        ]

    @precondition(lambda self: self.intents())
    @rule(
        data=st.data(),
        state=st.sampled_from(_GOES_TO),
        wait=st.sampled_from([None, 0, 3600]),
        is_stale=st.sampled_from([False, False, False, True]),
        is_guarded=st.booleans(),
    )
    def go_on(
        self,
        data: st.DataObject,
        state: RunState,
        wait: int | None,
        *,
        is_stale: bool,
        is_guarded: bool,
    ) -> None:
        """Take a run one step further, with its postings and a notice."""
        before = data.draw(st.sampled_from(self.intents()))
        step = (
            paid(before)
            if state is RunState.PAID
            else stepped(before, state, _outcome(before, state))
        )
        step = attrs.evolve(
            step,
            version=before.version if is_stale else step.version,
            next_try_at=None
            if wait is None
            else self.clock.at + timedelta(seconds=wait),
        )
        self.told += 1
        self.both(
            Change(
                runs=(step,),
                only_doubtful=is_guarded,
                postings=postings_of(step) if state is RunState.PAID else (),
                notices=(notice(f"n-{self.told}"),),
            )
        )

    @precondition(lambda self: self.intents(RunState.OPEN))
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        """Bring an open run to its good end."""
        before = data.draw(st.sampled_from(self.intents(RunState.OPEN)))
        done = paid(before)
        self.both(Change(runs=(done,), postings=postings_of(done)))

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
        ahead=st.sampled_from([0, 0, 0, 1]),
    )
    def write_down(
        self, autopay: str, on: date, state: RunState, ahead: int
    ) -> None:
        """Write a run that charges nothing; its version is off by *ahead*."""
        key = run_key(autopay, on)
        before = self.known(key)
        # What has an intent goes on by itself; this would be another run.
        is_next = before is not None and before.intent is None
        version = before.version if before is not None and is_next else 0
        record = attrs.evolve(plain(key, state), version=version + 1 + ahead)
        if state is RunState.ANNOUNCED:
            announced = {"INV-1": usd(5), "é": usd(6)}
            record = attrs.evolve(record, announced=announced)
        self.both(Change(runs=(record,), reason="planned"))

    @precondition(lambda self: self.intents(RunState.PAID))
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        """Let a cent go back of a paid run, once."""
        before = data.draw(st.sampled_from(self.intents(RunState.PAID)))
        if before.reversals:
            return
        back = Reversal(
            event="e-1", kind=ReversalKind.RETURN, amount=usd(1), on=DATES[0]
        )
        after = attrs.evolve(
            before, version=before.version + 1, reversals=(back,)
        )
        self.both(
            Change(runs=(after,), postings=reversal_postings(before, back))
        )

    @precondition(lambda self: self.written())
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Move a posting, and fail to move it again."""
        before = data.draw(st.sampled_from(self.written()))
        steps = sorted(
            POSTING_MOVES[before.status], key=lambda each: each.value
        )
        to = data.draw(st.sampled_from(steps))
        step = PostingMove(
            before=before, after=move_posting(before, to, note="why")
        )
        change = Change(moves=(step,), by="kit", reason="mended")
        self.both(change)
        assert self.both(change) == Conflict(reason=ConflictReason.POSTING)

    @precondition(lambda self: self.written())
    @rule(data=st.data(), is_other=st.booleans())
    def post_again(self, data: st.DataObject, *, is_other: bool) -> None:
        """Write a posting again, perhaps with another content."""
        posting = data.draw(st.sampled_from(self.written()))
        if is_other:
            posting = attrs.evolve(posting, payment_reference="another")
        self.both(Change(postings=(posting,), notices=(notice("with"),)))

    @rule(
        keys=st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        delivered=st.lists(st.sampled_from(["a", "b", "c", "nobody"])),
    )
    def tell(self, keys: list[str], delivered: list[str]) -> None:
        """Write notices and mark some."""
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
    def stop(self, whom: str, *, active: bool) -> None:
        """Give a stop order, or lift it."""
        order = StopOrder(target=whom, active=active, by="kit", reason="ö")
        self.both(Change(stops=(order,), by="kit"))

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        seconds=st.sampled_from([1, 60]),
    )
    def claim(self, autopay: str, on: date, seconds: int) -> None:
        """Claim a run."""
        key = run_key(autopay, on)
        assert self.store.claim(key, seconds) == self.model.claim(key, seconds)

    @rule(seconds=st.sampled_from([0.000001, 1, 61, 86_400, -30, -3_600]))
    def time_passes(self, seconds: float) -> None:
        """Move the clock, also back."""
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        """Open the store in another process, if that can be done."""
        self.store = self.open_again()

    @invariant()
    def everything_reads_the_same(self) -> None:
        """Read whatever can be read."""
        store, model = self.store, self.model
        for autopay in AUTOPAYS:
            for on in DATES:
                key = run_key(autopay, on)
                assert store.standing(key, METHOD.fingerprint) == (
                    model.standing(key, METHOD.fingerprint)
                )
            for begin, end in ((DATES[0], DATES[2]), (date.min, date.max)):
                assert store.spent(autopay, begin, end, "USD") == (
                    model.spent(autopay, begin, end, "USD")
                )
        for clients in (CLIENTS, ("C-2",), ("nobody",), ()):
            assert store.open_amounts(clients) == model.open_amounts(clients)
        since = self.clock.at - timedelta(days=1)
        for method in METHODS:
            assert sorted(
                store.attempts(method.fingerprint, since), key=repr
            ) == sorted(model.attempts(method.fingerprint, since), key=repr)
        for after in (None, run_key("ap-1", DATES[1])):
            for most in (1, 100):
                assert tuple(store.unfinished(after, most)) == tuple(
                    model.unfinished(after, most)
                )
        for wanted in FILTERS:
            assert tuple(store.postings(wanted)) == tuple(
                model.postings(wanted)
            )
        for most in (1, 100):
            assert tuple(store.undelivered(most)) == tuple(
                model.undelivered(most)
            )


def machine_of(
    new_store: Callable[[Clock], PostingStore],
    reopen: Callable[[PostingStore, Clock], PostingStore] | None,
) -> type[StoreMachine]:
    """Return the machine for one kind of store."""

    class Machine(StoreMachine):
        @override
        def open_store(self, clock: Clock) -> PostingStore:
            return new_store(clock)

        @override
        def open_again(self) -> PostingStore:
            if reopen is None:
                return self.store
            return reopen(self.store, self.clock)

    return Machine


__all__ = ["StoreMachine", "machine_of", "notices", "records"]
