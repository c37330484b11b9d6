"""
Generated values, and a machine that compares a store with the memory store.

Holds: `records`, `notices`, `StoreMachine`, `machine_of`. Imports: `_base`,
`_batches`, `adapters.memory`, the core and hypothesis.
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
from autopay_core.balances import LOOK_BACK, Expected
from autopay_core.batches import (
    Batch,
    BatchState,
    export,
)
from autopay_core.charges import DeclineClass, Declined, Pending
from autopay_core.commits import (
    AttemptsAllowed,
    BatchFilter,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Distinct,
    Incident,
    PostingFilter,
    PostingMove,
    PostingSort,
    Restored,
    Standing,
    Told,
)
from autopay_core.corrections import reversal_postings
from autopay_core.errors import PostingConflictError
from autopay_core.holds import Hold, lift
from autopay_core.invoices import Invoice
from autopay_core.movements import (
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
)
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
from autopay_core.testing.contracts._batches import (
    answered,
    batch_of,
    making,
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


_EVENTS: Final = ("ev-1", "ev-ä")
BACK: Final = tuple(each for each in ReversalKind if each.takes_back)
"""What may go back of a paid run."""


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
    key = RunKey(
        autopay=draw(_ids),
        nominal_on=draw(_days),
        number=draw(st.sampled_from([0, 0, 1, 9_999])),
    )
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
        next_try_on=draw(st.none() | _days),
        demanded_by=draw(_texts),
        announced=draw(
            st.none() | st.dictionaries(_ids, _cents.map(usd), max_size=2)
        ),
    )
    record = attrs.evolve(
        record,
        attempts=tuple(
            attrs.evolve(
                each,
                account=draw(st.just("") | _ids),
                epoch=draw(st.integers(0, 3)),
            )
            for each in record.attempts
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
NUMBERS: Final = (0, 0, 1)
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
    PostingFilter(run=str(run_key(AUTOPAYS[0], number=1))),
    PostingFilter(run="nobody"),
    PostingFilter(payer="p-1", client="C-2", most=3),
    PostingFilter(payer="nobody"),
    PostingFilter(payment_reference="pay-k1-'ap-1'-260128"),
    PostingFilter(charged_from=DAYS[0], charged_before=DAYS[1]),
    PostingFilter(charged_from=DAYS[1]),
    PostingFilter(run="ap-1/2026-01-28#x"),
    PostingFilter(invoice="INV-3", most=2),
    PostingFilter(matter="M-C-2", descending=True),
    PostingFilter(batch="b-1"),
    PostingFilter(batch="nothing"),
    PostingFilter(least=usd(300), greatest=usd(700)),
    PostingFilter(greatest=usd(-1)),
    PostingFilter(sort=PostingSort.MADE, most=2),
    PostingFilter(sort=PostingSort.MADE, descending=True, after="p-8"),
    PostingFilter(sort=PostingSort.CHARGED, descending=True, most=3),
    PostingFilter(sort=PostingSort.AMOUNT, descending=True, most=3),
    PostingFilter(sort=PostingSort.PAYER, after="p-8"),
    PostingFilter(sort=PostingSort.CLIENT, most=3),
    PostingFilter(sort=PostingSort.INVOICE, descending=True, after="p-8"),
)
_BATCHES: Final = ("b-1", "b-ä")
_BATCH_FILTERS: Final = (
    BatchFilter(),
    BatchFilter(most=1),
    BatchFilter(after="b-1"),
    BatchFilter(states=frozenset({BatchState.OPEN, BatchState.EXPORTED})),
    BatchFilter(states=frozenset({BatchState.ANSWERED})),
    BatchFilter(posting="nobody"),
)
_HOLDS: Final = (
    Hold.on_store(by="kit", reason="ö"),
    Hold.on_payer("p-1", by="kit", reason="ö"),
    Hold.on_method(METHOD.fingerprint, by="kit", reason="ö"),
    *(Hold.on_autopay(each, by="kit", reason="ö") for each in AUTOPAYS),
    *(Hold.on_client(each, by="kit", reason="ö") for each in CLIENTS),
    Hold.on_matter("C-2", "M-C-2", by="kit", reason="ö"),
    Hold.on_invoice("INV-1", by="kit", reason="ö"),
)
_PASSING: Final = (
    0.000001,
    1,
    61,
    86_400,
    LOOK_BACK.total_seconds(),
    -30,
    -3_600,
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
        answer = _answer(self.store, change)
        assert answer == expected
        if isinstance(answer, Committed) and answer.at is not None:
            assert isinstance(expected, Committed)
            assert answer.at == expected.at
        return expected

    def standing(self, store: PostingStore, key: RunKey) -> Standing:
        """Read what is known, without what is every store's own."""
        standing = store.standing(key, METHOD.fingerprint, "p-1")
        return attrs.evolve(standing, store="")

    def known(self, key: RunKey) -> RunRecord | None:
        """Return the run as the model has it."""
        return self.model.standing(key, "").run

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        number=st.sampled_from(NUMBERS),
        invoices=st.lists(
            st.sampled_from(INVOICES),
            min_size=1,
            unique_by=lambda each: each.number,
        ),
        method=st.sampled_from(METHODS),
        versions=st.sampled_from([0, 0, None, 1]),
        opened=st.sampled_from([0, 0, None, 7]),
        is_guarded=st.booleans(),
        held=st.sampled_from([0, 0, None, 1]),
        most=st.sampled_from([None, 0, 1, 2]),
    )
    def intend(  # noqa: PLR0913, PLR0917 - each is drawn for itself
        self,
        autopay: str,
        on: date,
        number: int,
        invoices: list[Invoice],
        method: PaymentMethodRef,
        versions: int | None,
        opened: int | None,
        held: int | None,
        most: int | None,
        *,
        is_guarded: bool,
    ) -> None:
        """Mean to charge; *versions*, *opened* and *held* are off by so."""
        key = run_key(autopay, on, number)
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
                unless_held=(
                    "store:",
                    "payer:p-1",
                    f"method:{method.fingerprint}",
                    f"autopay:{autopay}",
                )
                if is_guarded
                else (),
                expect_holds=None
                if held is None
                else max(0, stands.holds_version - held),
                attempts=None
                if most is None
                else AttemptsAllowed(
                    method=method.fingerprint,
                    windows=(
                        (self.clock.at - timedelta(minutes=2), most),
                        (self.clock.at - timedelta(days=1), most + 1),
                    ),
                ),
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
    @rule(
        data=st.data(),
        account=st.sampled_from(["", "a-1", "a-2"]),
        is_unique=st.booleans(),
    )
    def debit(
        self, data: st.DataObject, account: str, *, is_unique: bool
    ) -> None:
        """Let a debit begin under a reference that others may have."""
        before = data.draw(st.sampled_from(self.intents(RunState.OPEN)))
        last = attrs.evolve(before.attempts[-1], account=account)
        step = stepped(
            attrs.evolve(before, attempts=(*before.attempts[:-1], last)),
            RunState.PENDING,
            _outcome(before, RunState.PENDING),
        )
        self.both(Change(runs=(step,), unique_references=is_unique))

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
        number=st.sampled_from(NUMBERS),
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
        self, autopay: str, on: date, number: int, state: RunState, ahead: int
    ) -> None:
        """Write a run that charges nothing; its version is off by *ahead*."""
        key = run_key(autopay, on, number)
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
    @rule(data=st.data(), kind=st.sampled_from(BACK))
    def reverse(self, data: st.DataObject, kind: ReversalKind) -> None:
        """Let a cent go back of a paid run, once."""
        before = data.draw(st.sampled_from(self.intents(RunState.PAID)))
        if before.reversals:
            return
        back = Reversal(event="e-1", kind=kind, amount=usd(1), on=DATES[0])
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
        first, again = self.both(change), self.both(change)
        if isinstance(first, Committed):
            assert again == Conflict(reason=ConflictReason.POSTING)
        else:
            # It is in a batch.
            assert again == first

    def ready(self) -> list[Posting]:
        """Return the postings that a batch may be made of."""
        wanted = frozenset({PostingStatus.PENDING, PostingStatus.QUEUED})
        return list(self.model.postings(PostingFilter(statuses=wanted)))

    @precondition(lambda self: self.ready())
    @rule(
        data=st.data(),
        name=st.sampled_from(_BATCHES),
        is_stale=st.sampled_from([False, False, False, True]),
    )
    def put_into_batch(
        self, data: st.DataObject, name: str, *, is_stale: bool
    ) -> None:
        """Make a batch, perhaps of what is in one, or no longer as read."""
        seen = data.draw(
            st.lists(
                st.sampled_from(self.ready()),
                min_size=1,
                max_size=3,
                unique_by=lambda each: each.id,
            )
        )
        if is_stale:
            seen = [attrs.evolve(each, note="as it was") for each in seen]
        made = attrs.evolve(batch_of(seen, name), made_at=self.clock.at)
        self.both(making(made, seen))

    def batches_under_way(self) -> list[Batch]:
        """Return the batches that are not answered."""
        return [
            each
            for each in self.model.batches(BatchFilter())
            if not each.is_closed
        ]

    @precondition(lambda self: self.batches_under_way())
    @rule(
        data=st.data(),
        is_answered=st.booleans(),
        is_refused=st.booleans(),
        is_stale=st.sampled_from([False, False, False, True]),
    )
    def go_on_with_batch(
        self,
        data: st.DataObject,
        *,
        is_answered: bool,
        is_refused: bool,
        is_stale: bool,
    ) -> None:
        """Export a batch, or answer its lines."""
        known = data.draw(st.sampled_from(self.batches_under_way()))
        if is_stale:
            known = attrs.evolve(known, version=known.version + 1)
        if is_answered:
            first = str(known.postings[0].id)
            self.both(answered(known, [first] if is_refused else []))
        elif known.state is BatchState.OPEN:
            after = export(known, at=self.clock.at, by="kit")
            self.both(Change(batches=(after,), by="kit", reason="exported"))

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

    @rule(hold=st.sampled_from(_HOLDS), is_over=st.booleans())
    def hold(self, hold: Hold, *, is_over: bool) -> None:
        """Put a hold on, or lift it."""
        if is_over:
            hold = lift(hold, by="kit", reason="over")
        self.both(Change(holds=(hold,), by="kit"))

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        topic=st.sampled_from(["ending", "é"]),
        cause=st.sampled_from(["MattersAway", "GatewayAway"]),
        on=st.sampled_from(DATES),
        is_over=st.booleans(),
    )
    def note(
        self, autopay: str, topic: str, cause: str, on: date, *, is_over: bool
    ) -> None:
        """Keep what was told, and an incident."""
        at = self.clock.at
        self.told += 1
        told = Told(
            autopay=autopay, topic=topic, said="ü", key=f"t-{self.told}"
        )
        incident = Incident(
            cause=cause, on=on, began_at=at, over_at=at if is_over else None
        )
        self.both(Change(told=(told,), incidents=(incident,)))

    @rule(
        invoices=st.lists(st.sampled_from(INVOICES), min_size=1, max_size=3),
        cents=st.integers(-5, 5),
        days=st.sampled_from([0, 1, 61, 200]),
        is_gone=st.booleans(),
        pair=st.none()
        | st.tuples(st.sampled_from("ab"), st.sampled_from("AB")),
    )
    def expect(
        self,
        invoices: list[Invoice],
        cents: int,
        days: int,
        pair: tuple[str, str] | None,
        *,
        is_gone: bool,
    ) -> None:
        """Keep what is expected of invoices, and that two are two."""
        at = self.clock.at
        self.both(
            Change(
                expected=tuple(
                    Expected(
                        invoice=each.number,
                        client=each.client,
                        matter=each.matter,
                        issued_on=each.issued_on,
                        figure=usd(cents),
                        balance=each.balance,
                        counted_at=at - timedelta(days=days),
                        fitted_at=at,
                        gone_since=at if is_gone else None,
                    )
                    for each in invoices
                ),
                distinct=()
                if pair is None
                else (
                    Distinct(
                        first=pair[0], second=pair[1], by="kit", reason="ß"
                    ),
                ),
            )
        )

    @rule(
        event=st.sampled_from(_EVENTS),
        state=st.sampled_from(MovementState),
        version=st.integers(1, 3),
    )
    def receive(self, event: str, state: MovementState, version: int) -> None:
        """Write a movement, from the version before or from another one."""
        record = MovementRecord(
            movement=Movement(
                id=event,
                kind=MovementKind.RETURNED,
                amount=usd(1),
                on=DATES[0],
                reference="debit-1",
            ),
            state=state,
            version=version,
        )
        self.both(Change(movements=(record,), by="kit"))

    @rule(lost=st.lists(st.sampled_from("xyz"), max_size=2))
    def restore(self, lost: list[str]) -> None:
        """Say that the store was restored."""
        word = Restored(since=self.clock.at, stores=tuple(lost), by="kit")
        self.both(Change(restored=word))

    @rule()
    def trust(self) -> None:
        """Say that the clock is right."""
        self.both(Change(trusted_clock=True, by="kit", reason="it is"))

    @rule(
        autopay=st.sampled_from(AUTOPAYS),
        on=st.sampled_from(DATES),
        number=st.sampled_from(NUMBERS),
        seconds=st.sampled_from([1, 60]),
    )
    def claim(self, autopay: str, on: date, number: int, seconds: int) -> None:
        """Claim a run."""
        key = run_key(autopay, on, number)
        assert self.store.claim(key, seconds) == self.model.claim(key, seconds)

    @rule(seconds=st.sampled_from(_PASSING))
    def time_passes(self, seconds: float) -> None:
        """Move the clock, also back."""
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        """Open the store in another process, if that can be done."""
        self.store = self.open_again()

    @invariant()
    def everything_of_auto_pays_reads_the_same(self) -> None:
        """Read whatever is known of auto-pays and clients."""
        store, model = self.store, self.model
        for autopay in AUTOPAYS:
            for on in DATES:
                for number in (0, 1):
                    key = run_key(autopay, on, number)
                    assert self.standing(store, key) == (
                        self.standing(model, key)
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

    def attempt_keys(self) -> list[str]:
        """Return the keys of the model's attempts, a few of them."""
        return [
            str(each.key)
            for record in self.model.runs()
            for each in record.attempts
        ][:4]

    @invariant()
    def every_list_reads_the_same(self) -> None:
        """Read whatever comes in pages."""
        store, model = self.store, self.model
        for after in (None, run_key("ap-1", DATES[1])):
            for most in (1, 100):
                assert tuple(store.unfinished(after, most)) == tuple(
                    model.unfinished(after, most)
                )
                assert tuple(store.waiting(after, most)) == tuple(
                    model.waiting(after, most)
                )
                assert tuple(store.under_way(after, most)) == tuple(
                    model.under_way(after, most)
                )
        for account in ("", "a-1"):
            assert tuple(store.referenced("debit-1", account)) == tuple(
                model.referenced("debit-1", account)
            )
        for event in _EVENTS:
            assert tuple(store.movement(event)) == tuple(model.movement(event))
        for state in (MovementState.WAITING, MovementState.CASE):
            assert tuple(store.movements(state, "", 2)) == tuple(
                model.movements(state, "", 2)
            )
        for key in ("key-1", *self.attempt_keys()):
            assert tuple(store.keyed(key)) == tuple(model.keyed(key))
        for most in (1, 100):
            assert tuple(store.undelivered(most)) == tuple(
                model.undelivered(most)
            )
            for last in ("", "h-8"):
                assert tuple(store.holds(last, most)) == tuple(
                    model.holds(last, most)
                )

    @invariant()
    def every_list_of_staff_reads_the_same(self) -> None:
        """Read postings, their totals, and batches."""
        store, model = self.store, self.model
        for wanted in FILTERS:
            assert tuple(store.postings(wanted)) == tuple(
                model.postings(wanted)
            )
            assert tuple(store.posting_totals(wanted)) == tuple(
                model.posting_totals(wanted)
            )
        for few in _BATCH_FILTERS:
            assert tuple(store.batches(few)) == tuple(model.batches(few))
        for name in _BATCHES:
            assert tuple(store.batch(name)) == tuple(model.batch(name))


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
