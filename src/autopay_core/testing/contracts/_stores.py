"""
The clauses of the posting store, with races and a model.

Holds: `PostingStoreContract`. Imports: `_base`, `_batches`, `_interruptions`,
`_model` and the core. The model is the memory store: whatever is written to
both reads the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from functools import partial
from threading import Event, Thread
from typing import ClassVar, Final, TypeAlias

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from autopay_core.balances import Expected, ShareStepKind
from autopay_core.charges import DeclineClass, Declined, Pending
from autopay_core.commits import (
    AttemptsAllowed,
    Ceiling,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Decoded,
    Distinct,
    Incident,
    PostingFilter,
    PostingMove,
    Restored,
    Told,
    Unreadable,
)
from autopay_core.corrections import reversal_postings
from autopay_core.errors import (
    CommitUnknownError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.holds import Hold, lift
from autopay_core.invoices import Invoice
from autopay_core.money import Money
from autopay_core.movements import (
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
)
from autopay_core.notices import Notice
from autopay_core.ports import PostingStore
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    move_posting,
)
from autopay_core.references import RunKey
from autopay_core.runs import (
    RunRecord,
    RunState,
    postings_of,
)
from autopay_core.testing.contracts._base import (
    DAYS,
    METHOD,
    OTHER_METHOD,
    RACERS,
    START,
    Clock,
    at_once,
    intended,
    invoice,
    notice,
    paid,
    plain,
    run_key,
    stepped,
    usd,
)
from autopay_core.testing.contracts._batches import BatchClauses
from autopay_core.testing.contracts._interruptions import (
    CALLS,
    Lines,
    apart,
    check,
    folders_of,
)
from autopay_core.testing.contracts._model import (
    machine_of,
    notices,
    records,
)

NewStore: TypeAlias = Callable[[Clock], PostingStore]
Reopen: TypeAlias = Callable[[PostingStore, Clock], PostingStore]
SpoilRun: TypeAlias = Callable[[PostingStore, RunKey], None]
Spoil: TypeAlias = Callable[[PostingStore], AbstractContextManager[None]]
Interrupted: TypeAlias = Callable[[str], None]

_HANDOVERS: Final = 30
_LONGEST: Final = 300.0
"""Seconds after which a call that is interrupted everywhere is given up."""


class PostingStoreContract(BatchClauses):
    """
    The clauses of `PostingStore`; override the fixtures in a subclass.

    Attributes:
        examples: How many histories and values are generated.
        steps: How long a generated history is.
        interruptions: In how many places each call is interrupted; None for
            every one, which may take minutes.

    """

    examples: ClassVar[int] = 25
    steps: ClassVar[int] = 20
    interruptions: ClassVar[int | None] = 12

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the store's time, which tests move."""
        return Clock()

    @pytest.fixture
    def new_store(self) -> NewStore:
        """Return how to make an empty store; called many times by a test."""
        raise NotImplementedError

    @pytest.fixture
    def reopen(self) -> Reopen | None:
        """Return how another process opens the store that is given."""
        return None

    @pytest.fixture
    def beside(self) -> Reopen | None:
        """Return how to open a store once more while it stays open."""
        return None

    @pytest.fixture
    def interrupted(
        self, new_store: NewStore, clock: Clock, beside: Reopen | None
    ) -> Interrupted:
        """Return how to interrupt a call of `CALLS` and look what stands."""

        def steps(name: str) -> Iterator[str]:
            store = new_store(clock)
            return check(
                name,
                store,
                None if beside is None else beside(store, clock),
                Lines(folders_of(store)),
                self.interruptions,
            )

        return lambda name: apart(partial(steps, name), _LONGEST)

    @pytest.fixture
    def unavailable(self) -> Spoil | None:
        """Return how to make a store refuse commits for a while."""
        return None

    @pytest.fixture
    def lose_answer(self) -> Spoil | None:
        """Return how to lose the answers of a store's commits for a while."""
        return None

    @pytest.fixture
    def spoil_run(self) -> SpoilRun | None:
        """Return how to make what stands about a run unreadable."""
        return None

    @pytest.fixture
    def store(self, new_store: NewStore, clock: Clock) -> PostingStore:
        """Return an empty store."""
        return new_store(clock)

    # -- PS-1: whole, durable, seen -------------------------------------------

    def test_ps_1_a_change_stands_whole_and_is_seen_at_once(
        self, store: PostingStore
    ) -> None:
        """PS-1: run, postings, notices and holds in one step."""
        record = _opened(store)
        done = paid(record)
        hold = _hold("x")

        written = store.commit(
            Change(
                runs=(done,),
                postings=postings_of(done),
                notices=(notice(),),
                holds=(hold,),
            )
        )

        assert _new(written) == {"n-1"}
        assert _run(store, record.key) == done
        assert _all(store) == postings_of(done)
        assert store.undelivered(10) == (notice(),)
        assert store.standing(run_key("x"), "").holds == (hold,)

    @pytest.mark.parametrize("refusal", ["version", "held", "posting id"])
    def test_ps_1_a_change_that_is_refused_leaves_nothing_behind(
        self, store: PostingStore, refusal: str
    ) -> None:
        """PS-1: all of it, or nothing of it."""
        record = _opened(store)
        done = paid(record)
        first, *_ = postings_of(done)
        store.commit(Change(holds=(_hold("s"),)))
        other = attrs.evolve(first, payment_reference="another")
        if refusal == "posting id":
            store.commit(Change(postings=(other,)))
        before = _everything(store)
        change = Change(
            runs=(
                attrs.evolve(done, version=9)
                if refusal == "version"
                else done,
            ),
            unless_held=("autopay:s",) if refusal == "held" else (),
            postings=(
                attrs.evolve(first, id="p-0"),
                first,
                attrs.evolve(first, id="p-9"),
            ),
            notices=(notice("n-9"),),
            holds=(_hold("x"),),
        )

        if refusal == "posting id":
            with pytest.raises(PostingConflictError):
                store.commit(change)
        else:
            assert isinstance(store.commit(change), Conflict)

        assert _everything(store) == before
        assert store.standing(run_key("x"), "").holds == ()

    def test_ps_1_what_was_committed_is_there_for_another_process(
        self, store: PostingStore, clock: Clock, reopen: Reopen | None
    ) -> None:
        """PS-1: durable when `commit` returns."""
        if reopen is None:
            pytest.skip("no way to open the store again was given: reopen")
        done = paid(_opened(store))
        store.commit(
            Change(
                runs=(done,), postings=postings_of(done), notices=(notice(),)
            )
        )
        before = _everything(store)

        assert _everything(reopen(store, clock)) == before

    @pytest.mark.parametrize("call", CALLS)
    def test_ps_1_a_call_that_is_interrupted_leaves_all_of_it_or_nothing(
        self, interrupted: Interrupted, call: str
    ) -> None:
        """PS-1: wherever it is cut off; and the next calls answer right."""
        interrupted(call)

    # -- PS-2, PS-3: versions -------------------------------------------------

    def test_ps_2_a_run_is_written_only_from_the_version_before(
        self, store: PostingStore
    ) -> None:
        """PS-2: neither an old version nor one that skips a step stands."""
        record = _opened(store)
        later = stepped(record, RunState.OPEN)
        store.commit(Change(runs=(later,)))
        for version in (1, 2, 4):
            stale = attrs.evolve(later, version=version)

            assert store.commit(Change(runs=(stale,))) == Conflict(
                reason=ConflictReason.VERSION
            )

        assert _run(store, record.key) == later

    def test_ps_2_of_racing_writers_one_wins(
        self, store: PostingStore
    ) -> None:
        """PS-2: every other one gets `Conflict`, never an error."""
        record = _opened(store)
        steps = [
            attrs.evolve(stepped(record, RunState.OPEN), detail=f"by {place}")
            for place in range(RACERS)
        ]

        answers = at_once(
            RACERS, lambda place: store.commit(Change(runs=(steps[place],)))
        )

        _one_won(answers)
        [winner] = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, Committed)
        ]
        assert _run(store, record.key) == steps[winner]

    def test_ps_3_a_run_is_begun_once(self, store: PostingStore) -> None:
        """PS-3: a second record under the key is refused."""
        first = _opened(store)
        other = intended(first.key, invoice("INV-2", 500))

        assert store.commit(Change(runs=(other,))) == Conflict(
            reason=ConflictReason.VERSION
        )
        assert _run(store, first.key) == first

    def test_ps_3_runs_on_demand_of_a_day_have_numbers(
        self, store: PostingStore
    ) -> None:
        """PS-3: each number is a run of its own, and none is the latest."""
        runs = [intended(run_key(number=number)) for number in (2, 0, 1)]
        for each in runs:
            assert isinstance(store.commit(Change(runs=(each,))), Committed)
        again = intended(run_key(number=2), invoice("INV-2", 500))

        assert store.commit(Change(runs=(again,))) == Conflict(
            reason=ConflictReason.VERSION
        )
        standing = store.standing(run_key(number=1), "")
        assert standing.run == runs[2]
        assert standing.latest == runs[1]
        assert [each.key.number for each in standing.unfinished] == [0, 1, 2]

    def test_ps_3_two_hosts_that_begin_a_run_at_once_begin_it_once(
        self, store: PostingStore
    ) -> None:
        """PS-3: whatever each of them means to charge."""
        key = run_key()
        plans = [
            intended(key, invoice(f"INV-{place}", 100 + place))
            for place in range(RACERS)
        ]

        answers = at_once(
            RACERS, lambda place: store.commit(Change(runs=(plans[place],)))
        )

        _one_won(answers)
        assert _run(store, key) in plans

    # -- PS-4, PS-5, PS-11: open amounts --------------------------------------

    def test_ps_4_every_change_of_open_amounts_grows_the_version(
        self, store: PostingStore
    ) -> None:
        """PS-4: reserving, handing over, moving and letting go."""
        seen = [_version(store)]
        record = _opened(store)
        seen.append(_version(store))
        done = paid(record)
        store.commit(Change(runs=(done,), postings=postings_of(done)))
        seen.append(_version(store))
        for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
            _move(store, status)
            if status is PostingStatus.APPLIED:
                seen.append(_version(store))
        other = _opened(store, on=DAYS[1])
        seen.append(_version(store))
        store.commit(Change(runs=(stepped(other, RunState.WAITING),)))
        seen.append(_version(store))

        assert seen == sorted(set(seen))

    def test_ps_4_a_plan_on_open_amounts_that_changed_is_refused(
        self, store: PostingStore
    ) -> None:
        """PS-4: even when the amount came back to what it was."""
        before = _version(store)
        other = _opened(store, on=DAYS[1])
        store.commit(Change(runs=(stepped(other, RunState.WAITING),)))
        assert _open(store) == {}
        change = Change(
            runs=(intended(run_key()),), expect_versions={"C-1": before}
        )

        refused = store.commit(change)
        now = attrs.evolve(change, expect_versions={"C-1": _version(store)})

        assert isinstance(refused, Conflict)
        assert refused.reason is ConflictReason.OPEN
        assert isinstance(store.commit(now), Committed)

    def test_ps_4_of_racing_plans_on_one_client_one_stands(
        self, store: PostingStore
    ) -> None:
        """PS-4: two auto-pays never plan on the same open amounts."""
        version = _version(store)
        runs = [intended(run_key(f"ap-{place}")) for place in range(RACERS)]

        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(runs=(runs[place],), expect_versions={"C-1": version})
            ),
        )

        _one_won(answers)
        assert _open(store) == {"INV-1": usd(10_000)}

    def test_ps_5_the_open_amount_is_compared_whoever_holds_it(
        self, store: PostingStore
    ) -> None:
        """PS-5: under whatever client it was written."""
        elsewhere = invoice("INV-1", 4_000, client="C-2")
        store.commit(Change(runs=(intended(run_key("ap-2"), elsewhere),)))
        record = intended(run_key())

        refused = store.commit(
            Change(runs=(record,), expect_open={"INV-1": usd(0)})
        )
        known = store.commit(
            Change(runs=(record,), expect_open={"INV-1": usd(4_000)})
        )

        assert refused == Conflict(
            reason=ConflictReason.OPEN, open_amounts={"INV-1": usd(4_000)}
        )
        assert isinstance(known, Committed)

    def test_ps_5_what_the_runs_of_the_change_hold_does_not_count(
        self, store: PostingStore
    ) -> None:
        """PS-5: a run may go on from its own reservation."""
        record = _opened(store)

        written = store.commit(
            Change(
                runs=(stepped(record, RunState.OPEN),),
                expect_open={"INV-1": usd(0)},
            )
        )

        assert isinstance(written, Committed)

    def test_ps_5_an_amount_that_is_gone_is_a_change_too(
        self, store: PostingStore
    ) -> None:
        """PS-5: expecting more than there is is refused as well."""
        refused = store.commit(
            Change(
                runs=(intended(run_key()),), expect_open={"INV-1": usd(100)}
            )
        )

        assert refused == Conflict(reason=ConflictReason.OPEN)

    def test_ps_11_reservations_and_open_postings_count_once_each(
        self, store: PostingStore
    ) -> None:
        """PS-11: by invoice, until the ledger shows them."""
        two = (invoice("INV-1", 3_000), invoice("INV-2", 4_000))
        record = _opened(store, *two)
        assert _open(store) == {"INV-1": usd(3_000), "INV-2": usd(4_000)}
        assert store.open_amounts(("C-1",)).reserved == _open(store)
        for state in (RunState.PENDING, RunState.REVIEW):
            record = stepped(record, state)
            store.commit(Change(runs=(record,)))
            assert _open(store)["INV-1"] == usd(3_000)
        done = paid(record)
        store.commit(Change(runs=(done,), postings=postings_of(done)))
        assert _open(store) == {"INV-1": usd(3_000), "INV-2": usd(4_000)}
        assert store.open_amounts(("C-1",)).reserved == {}
        other = _opened(store, invoice("INV-1", 500), on=DAYS[1])
        assert _open(store)["INV-1"] == usd(3_500)
        store.commit(Change(runs=(stepped(other, RunState.FAILED),)))
        for status in (
            PostingStatus.QUEUED,
            PostingStatus.POSTED,
            PostingStatus.APPLIED,
        ):
            assert _open(store)["INV-1"] == usd(3_000)
            _move(store, status)

        assert _open(store) == {}

    def test_ps_11_no_reader_misses_an_amount_that_is_handed_over(
        self, store: PostingStore
    ) -> None:
        """PS-11: at every instant it is held by the run or by its posting."""
        opened = [
            _opened(store, invoice(f"INV-{place}", 100), on=day)
            for place, day in enumerate(DAYS)
        ]
        whole = usd(100 * len(DAYS))
        seen: list[Money] = []
        is_over = Event()

        def look() -> None:
            while not is_over.is_set():
                seen.append(Money.total(_open(store).values(), "USD"))

        reader = Thread(target=look)
        reader.start()
        try:
            for record in opened:
                done = paid(record)
                store.commit(Change(runs=(done,), postings=postings_of(done)))
        finally:
            is_over.set()
            reader.join()

        assert set(seen) <= {whole}
        assert Money.total(_open(store).values(), "USD") == whole

    # -- PS-6, PS-7: doubt and stop orders ------------------------------------

    @pytest.mark.parametrize("state", [RunState.OPEN, RunState.REVIEW])
    def test_ps_6_a_second_doubt_of_an_auto_pay_is_refused(
        self, store: PostingStore, state: RunState
    ) -> None:
        """PS-6: while one run is open or in review."""
        first = _opened(store)
        store.commit(Change(runs=(stepped(first, state),)))
        second = intended(run_key(on=DAYS[1]))

        refused = store.commit(Change(runs=(second,), only_doubtful=True))
        other = store.commit(
            Change(runs=(intended(run_key("ap-2")),), only_doubtful=True)
        )

        assert refused == Conflict(reason=ConflictReason.DOUBT)
        assert isinstance(other, Committed)

    @pytest.mark.parametrize(
        "state", [RunState.PENDING, RunState.WAITING, RunState.FAILED]
    )
    def test_ps_6_what_is_not_in_doubt_holds_up_nothing(
        self, store: PostingStore, state: RunState
    ) -> None:
        """PS-6: a debit under way, a retry to come, a run that ended."""
        first = _opened(store)
        store.commit(Change(runs=(stepped(first, state),)))
        second = intended(run_key(on=DAYS[1]))

        written = store.commit(Change(runs=(second,), only_doubtful=True))

        assert isinstance(written, Committed)

    def test_ps_6_of_racing_runs_of_an_auto_pay_one_is_in_doubt(
        self, store: PostingStore
    ) -> None:
        """PS-6: whatever their dates and clients are."""
        runs = [
            intended(
                run_key(on=day), invoice(f"INV-{day}", 100, client=f"C-{day}")
            )
            for day in DAYS
        ]

        answers = at_once(
            len(DAYS),
            lambda place: store.commit(
                Change(runs=(runs[place],), only_doubtful=True)
            ),
        )

        _one_won(answers)

    @pytest.mark.parametrize(
        "hold",
        [
            Hold.on_store(by="kit", reason="why"),
            Hold.on_payer("p-1", by="kit", reason="why"),
            Hold.on_method("m-1", by="kit", reason="why"),
            Hold.on_autopay("ap-1", by="kit", reason="why"),
        ],
    )
    def test_ps_7_a_hold_in_force_refuses_a_change(
        self, store: PostingStore, hold: Hold
    ) -> None:
        """PS-7: until it is lifted; and it is read with the standing."""
        store.commit(Change(holds=(hold,)))
        change = Change(
            runs=(intended(run_key()),),
            unless_held=("store:", "payer:p-1", "method:m-1", "autopay:ap-1"),
        )

        assert store.standing(run_key(), "m-1", "p-1").holds == (hold,)
        assert store.commit(change) == Conflict(reason=ConflictReason.HELD)
        assert list(store.holds("", 9)) == [hold]
        lifted = lift(hold, by="kit", reason="over")
        store.commit(Change(holds=(lifted,)))

        assert store.standing(run_key(), "m-1", "p-1").holds == ()
        assert list(store.holds("", 9)) == []
        assert isinstance(store.commit(change), Committed)

    def test_ps_7_a_hold_on_somebody_else_holds_nothing(
        self, store: PostingStore
    ) -> None:
        """PS-7: targets are compared exactly."""
        store.commit(Change(holds=(_hold("ap-11"),)))

        written = store.commit(
            Change(runs=(intended(run_key()),), unless_held=("autopay:ap-1",))
        )

        assert isinstance(written, Committed)
        assert store.standing(run_key(), "").holds == ()

    def test_ps_7_a_plan_on_holds_that_changed_is_refused(
        self, store: PostingStore
    ) -> None:
        """PS-7: whatever they are on, and when one was lifted as well."""
        hold = Hold.on_invoice("INV-9", by="kit", reason="why")
        change = Change(
            runs=(intended(run_key()),), expect_holds=_holds_version(store)
        )
        for each in (hold, lift(hold, by="kit", reason="over")):
            store.commit(Change(holds=(each,)))

            assert store.commit(change) == Conflict(reason=ConflictReason.HELD)

        now = attrs.evolve(change, expect_holds=_holds_version(store))
        assert isinstance(store.commit(now), Committed)

    def test_ps_7_a_hold_and_a_plan_never_both_win_in_the_wrong_order(
        self, store: PostingStore
    ) -> None:
        """PS-7: what is committed after a hold was put on, saw it."""
        seen = _holds_version(store)
        is_held = Event()
        late: list[object] = []

        def act(place: int) -> None:
            if place == RACERS // 2:
                store.commit(Change(holds=(_hold("ap-1"),)))
                is_held.set()
                return
            was_held = is_held.is_set()
            conditions = (
                Change(unless_held=("autopay:ap-1",)),
                Change(expect_holds=seen),
            )
            answer = store.commit(
                attrs.evolve(
                    conditions[place % 2],
                    runs=(intended(run_key(f"ap-{place}")),),
                )
            )
            if was_held and isinstance(answer, Committed):
                late.append(answer)

        at_once(RACERS, act)

        assert late == []

    # -- PS-8, PS-9: postings -------------------------------------------------

    def test_ps_8_a_posting_is_written_once(self, store: PostingStore) -> None:
        """PS-8: the same again is left alone, however far it has come."""
        done = paid(_opened(store))
        store.commit(Change(runs=(done,), postings=postings_of(done)))

        again = store.commit(Change(postings=postings_of(done)))

        assert isinstance(again, Committed)
        assert _all(store) == postings_of(done)
        assert _open(store) == {"INV-1": usd(10_000)}

    def test_ps_8_another_content_under_an_id_is_an_error(
        self, store: PostingStore
    ) -> None:
        """PS-8: and nothing of the change stands."""
        done = paid(_opened(store))
        [posting] = postings_of(done)
        store.commit(Change(runs=(done,), postings=(posting,)))
        other = attrs.evolve(posting, amount=usd(1))

        with pytest.raises(PostingConflictError):
            store.commit(Change(postings=(other,), notices=(notice(),)))

        assert _all(store) == (posting,)
        assert store.undelivered(10) == ()

    def test_ps_9_a_posting_moves_only_from_where_it_was_read(
        self, store: PostingStore
    ) -> None:
        """PS-9: a step from a status that it has left is refused."""
        [posting] = _posted(store)
        queued = PostingMove(
            before=posting, after=move_posting(posting, PostingStatus.QUEUED)
        )
        removed = PostingMove(
            before=posting, after=move_posting(posting, PostingStatus.REMOVED)
        )

        assert isinstance(store.commit(Change(moves=(queued,))), Committed)
        refused = store.commit(
            Change(moves=(removed,), notices=(notice("n-9"),))
        )

        assert refused == Conflict(reason=ConflictReason.POSTING)
        assert _all(store) == (queued.after,)
        assert "n-9" not in {each.key for each in store.undelivered(10)}

    def test_ps_9_a_posting_that_is_not_there_does_not_move(
        self, store: PostingStore
    ) -> None:
        """PS-9: it is refused, not made."""
        [posting] = postings_of(paid(intended(run_key())))
        move = PostingMove(
            before=posting, after=move_posting(posting, PostingStatus.QUEUED)
        )

        assert store.commit(Change(moves=(move,))) == Conflict(
            reason=ConflictReason.POSTING
        )
        assert _all(store) == ()

    def test_ps_9_of_racing_moves_of_a_posting_one_is_made(
        self, store: PostingStore
    ) -> None:
        """PS-9: it is queued once, whoever presses the button."""
        [posting] = _posted(store)
        move = PostingMove(
            before=posting, after=move_posting(posting, PostingStatus.QUEUED)
        )

        _one_won(
            at_once(RACERS, lambda _: store.commit(Change(moves=(move,))))
        )

    # -- PS-10: notices -------------------------------------------------------

    def test_ps_10_a_notice_is_written_once(self, store: PostingStore) -> None:
        """PS-10: a key that stands is left alone, and said not to be new."""
        first = store.commit(Change(notices=(notice(), notice("n-2"))))
        again = store.commit(
            Change(
                notices=(
                    attrs.evolve(notice(), detail="Something else."),
                    notice("n-3"),
                )
            )
        )

        assert _new(first) == {"n-1", "n-2"}
        assert _new(again) == {"n-3"}
        assert store.undelivered(10) == (
            notice(),
            notice("n-2"),
            notice("n-3"),
        )

    def test_ps_10_a_notice_is_given_until_it_is_marked(
        self, store: PostingStore
    ) -> None:
        """PS-10: the oldest first, and never again once it is marked."""
        for number in range(5):
            store.commit(Change(notices=(notice(f"n-{number}"),)))
        assert [each.key for each in store.undelivered(2)] == ["n-0", "n-1"]
        store.commit(Change(delivered=("n-0", "n-3", "nobody")))
        store.commit(Change(notices=(notice("n-0"),)))

        assert [each.key for each in store.undelivered(10)] == [
            "n-1",
            "n-2",
            "n-4",
        ]

    def test_ps_10_of_racing_writers_of_a_notice_one_writes_it(
        self, store: PostingStore
    ) -> None:
        """PS-10: one of them is told that it is new."""
        answers = at_once(
            RACERS, lambda _: store.commit(Change(notices=(notice(),)))
        )

        new = [answer for answer in answers if _new(answer) == {"n-1"}]
        assert len(new) == 1
        assert store.undelivered(10) == (notice(),)

    # -- PS-12, PS-14: time ---------------------------------------------------

    def test_ps_12_the_stores_time_never_goes_back(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-12: and it says so when its clock is behind."""
        clock.advance(3_600)
        before = store.standing(run_key(), "")
        store.commit(Change(notices=(notice(),)))
        clock.advance(-7_200)

        behind = store.standing(run_key(), "")
        clock.advance(7_201)
        caught_up = store.standing(run_key(), "")

        assert behind.now >= before.now
        assert not before.is_clock_suspect
        assert behind.is_clock_suspect
        assert not caught_up.is_clock_suspect
        assert caught_up.now > behind.now

    def test_ps_12_a_commit_is_later_than_what_was_told_before(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-12: however coarse, or late, the clock is."""
        for step in (0, 0, -60, 60):
            clock.advance(step)
            before = store.standing(run_key(), "").now
            written = store.commit(Change(notices=(notice(f"{before}"),)))
            after = store.standing(run_key(), "")

            assert isinstance(written, Committed)
            assert written.at is None or before < written.at <= after.now
            assert after.now > before

    def test_ps_12_the_stores_time_survives_a_restart(
        self, store: PostingStore, clock: Clock, reopen: Reopen | None
    ) -> None:
        """PS-12: also when the clock was set back meanwhile."""
        if reopen is None:
            pytest.skip("no way to open the store again was given: reopen")
        clock.advance(3_600)
        store.commit(Change(notices=(notice(),)))
        before = store.standing(run_key(), "").now
        clock.advance(-7_200)

        after = reopen(store, clock).standing(run_key(), "")

        assert after.now >= before
        assert after.is_clock_suspect

    def test_ps_14_a_claim_is_one_claimants_until_it_is_over(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-14: then it is anybody's."""
        assert store.claim(run_key(), 60)
        assert not store.claim(run_key(), 60)
        assert store.claim(run_key(on=DAYS[1]), 60)
        clock.advance(59)
        assert not store.claim(run_key(), 60)
        clock.advance(2)

        assert store.claim(run_key(), 60)

    def test_ps_14_of_racing_claimants_one_gets_the_run(
        self, store: PostingStore
    ) -> None:
        """PS-14: the others leave it alone."""
        answers = at_once(RACERS, lambda _: store.claim(run_key(), 60))

        assert sorted(map(str, answers)) == ["False"] * (RACERS - 1) + ["True"]

    # -- PS-13: failure -------------------------------------------------------

    def test_ps_13_unavailable_means_that_nothing_was_committed(
        self, store: PostingStore, unavailable: Spoil | None
    ) -> None:
        """PS-13: it is a promise; whoever reads later finds nothing."""
        if unavailable is None:
            pytest.skip("no way to refuse commits was given: unavailable")
        before = _everything(store)
        with unavailable(store), pytest.raises(PortUnavailableError):
            store.commit(
                Change(runs=(intended(run_key()),), notices=(notice(),))
            )

        assert _everything(store) == before
        assert isinstance(
            store.commit(Change(runs=(intended(run_key()),))), Committed
        )

    def test_ps_13_a_commit_whose_answer_is_lost_is_not_known(
        self, store: PostingStore, lose_answer: Spoil | None
    ) -> None:
        """PS-13: reading again tells; it is never called unavailable."""
        if lose_answer is None:
            pytest.skip("no way to lose an answer was given: lose_answer")
        with lose_answer(store):
            try:
                store.commit(Change(runs=(intended(run_key()),)))
            except CommitUnknownError:
                pass
            except PortUnavailableError:
                assert _run(store, run_key()) is None
                return

        assert _run(store, run_key()) in (None, intended(run_key()))

    # -- PS-15: what is read is what was written ------------------------------

    def test_ps_15_every_run_reads_as_it_was_written(
        self, store: PostingStore
    ) -> None:
        """PS-15: also the largest amounts and the oddest texts."""
        keys: list[RunKey] = []

        @_generated(self.examples * 2)
        @given(record=records(), told=notices())
        def check(record: RunRecord, told: Notice) -> None:
            key = RunKey(
                autopay=f"{record.key.autopay[:100]}#{len(keys)}",
                nominal_on=record.key.nominal_on,
                number=record.key.number,
            )
            keys.append(key)
            one = attrs.evolve(record, key=key)
            mine = attrs.evolve(told, key=f"n-{len(keys)}")
            done = postings_of(one) if one.state is RunState.PAID else ()
            written = store.commit(
                Change(runs=(one,), postings=done, notices=(mine,))
            )
            assert _new(written) == {mine.key}
            standing = store.standing(key, "")
            assert standing.run == one
            assert standing.unfinished == (
                () if one.state.is_finished else (one,)
            )
            assert sorted(
                Decoded(store.postings(PostingFilter(run=str(key)))),
                key=_by_id,
            ) == sorted(done, key=_by_id)
            [found] = [
                each
                for each in store.undelivered(len(keys) + 10)
                if each.key == mine.key
            ]
            assert found == mine

        check()

    def test_ps_15_any_history_reads_like_the_model(
        self, new_store: NewStore, reopen: Reopen | None
    ) -> None:
        """PS-15: after each step every read equals the memory store's."""
        run_state_machine_as_test(
            machine_of(new_store, reopen),
            settings=_settings(self.examples, self.steps),
        )

    def test_ps_15_what_was_taken_is_added_up_by_charge_date(
        self, store: PostingStore
    ) -> None:
        """PS-15: captured, or else reserved, and nothing of what failed."""
        for place, day in enumerate(DAYS[:4]):
            record = _opened(store, invoice(f"INV-{place}", 100), on=day)
            if place == 1:
                store.commit(Change(runs=(paid(record, usd(40)),)))
            if place == 2:
                store.commit(Change(runs=(stepped(record, RunState.FAILED),)))

        def spent(first: int, last: int) -> Money:
            return store.spent("ap-1", DAYS[first], DAYS[last], "USD")

        assert spent(0, 4) == usd(240)
        assert spent(1, 3) == usd(40)
        assert spent(0, 0) == usd(0)
        assert store.spent("ap-1", DAYS[0], DAYS[4], "CAD") == (
            Money.zero("CAD")
        )
        assert store.spent("ap-2", DAYS[0], DAYS[4], "USD") == usd(0)

    def test_ps_15_what_a_bank_took_back_is_not_spent(
        self, store: PostingStore
    ) -> None:
        """PS-15: a return and a lost dispute; a refund stays spent (L7)."""
        done = paid(_opened(store))
        store.commit(Change(runs=(done,)))
        kinds = [each for each in ReversalKind if each.takes_back]
        for place, kind in enumerate(kinds):
            back = Reversal(
                event=f"e-{place}",
                kind=kind,
                amount=usd(10 ** (place + 1)),
                on=DAYS[0],
            )
            done = attrs.evolve(
                done,
                version=done.version + 1,
                reversals=(*done.reversals, back),
            )
            store.commit(Change(runs=(done,)))

        kept = usd(10_000) - Money.total(
            (
                each.amount
                for each in done.reversals
                if each.kind is not ReversalKind.REFUND
            ),
            "USD",
        )
        assert store.spent("ap-1", DAYS[0], DAYS[1], "USD") == kept

    def test_ps_15_attempts_that_count_are_read_whoever_made_them(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-15: of every auto-pay, of that method, and none that paid."""
        declined = Declined(
            key="k", code="51", decline_class=DeclineClass.LATER
        )
        first = intended(run_key(), at=clock.at)
        store.commit(Change(runs=(first,)))
        waiting = stepped(first, RunState.WAITING, declined)
        store.commit(Change(runs=(waiting,)))
        clock.advance(86_400)
        again = intended(run_key(), at=clock.at, before=waiting)
        store.commit(Change(runs=(again,)))
        store.commit(
            Change(
                runs=(
                    intended(
                        run_key("ap-2"), at=clock.at, method=OTHER_METHOD
                    ),
                    intended(run_key("ap-3"), at=clock.at),
                )
            )
        )

        def count(days: float) -> int:
            since = clock.at - timedelta(days=days)
            return len(store.attempts(METHOD.fingerprint, since))

        assert count(2) == 3
        assert count(0.5) == 2
        store.commit(Change(runs=(paid(again),)))
        assert count(2) == 2
        assert len(store.attempts("nobody", clock.at)) == 0

    def test_ps_15_runs_under_way_are_read_by_key_when_their_time_has_come(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-15: open, pending and in review; page by page."""
        for place in range(5):
            store.commit(Change(runs=(intended(run_key(f"ap-{place}")),)))
        pending = stepped(
            intended(run_key("ap-1")),
            RunState.PENDING,
            Pending(key="k", amount=usd(10_000), reference="d-1"),
        )
        store.commit(Change(runs=(pending,)))
        store.commit(Change(runs=(plain(run_key("ap-9"), RunState.MISSED),)))
        assert [_autopay(each) for each in store.unfinished(None, 9)] == [
            "ap-1"
        ]
        clock.advance(61)

        first = store.unfinished(None, 2)
        then = store.unfinished(run_key("ap-1"), 9)

        assert [_autopay(each) for each in first] == ["ap-0", "ap-1"]
        assert [_autopay(each) for each in then] == ["ap-2", "ap-3", "ap-4"]

    def test_ps_15_runs_that_wait_are_read_by_key(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-15: whenever they go on."""
        for place in range(4):
            waiting = plain(run_key(f"ap-{place}"), RunState.WAITING)
            later = clock.at + timedelta(days=place)
            store.commit(
                Change(runs=(attrs.evolve(waiting, next_try_at=later),))
            )
        missed = stepped(
            plain(run_key("ap-2"), RunState.WAITING), RunState.MISSED
        )
        store.commit(Change(runs=(missed,)))

        first = store.waiting(None, 2)
        then = store.waiting(run_key("ap-1"), 9)

        assert [_autopay(each) for each in first] == ["ap-0", "ap-1"]
        assert [_autopay(each) for each in then] == ["ap-3"]

    # -- PS-16: the store itself ----------------------------------------------

    def test_ps_15_runs_under_way_are_listed_whenever_they_go_on(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-15: open, pending and in review, by key, page by page."""
        opened = intended(run_key("ap-1"), at=clock.at)
        pending = intended(run_key("ap-2"), at=clock.at)
        review = intended(run_key("ap-3"), at=clock.at)
        ended = intended(run_key("ap-4"), at=clock.at)
        store.commit(Change(runs=(review,)))
        for record in (opened, pending, ended):
            store.commit(Change(runs=(record,)))
        debit = Pending(
            key=pending.attempts[0].key,
            amount=pending.attempts[0].amount,
            reference="debit-1",
        )
        pending = stepped(pending, RunState.PENDING, debit)
        later = clock.at + timedelta(days=9)
        review = attrs.evolve(
            stepped(review, RunState.REVIEW), next_try_at=later
        )
        store.commit(Change(runs=(pending,)))
        store.commit(Change(runs=(review,)))
        store.commit(Change(runs=(paid(ended),)))
        store.commit(Change(runs=(plain(run_key("ap-0"), RunState.WAITING),)))

        assert tuple(store.under_way(None, 9)) == (opened, pending, review)
        assert tuple(store.under_way(None, 2)) == (opened, pending)
        assert tuple(store.under_way(pending.key, 9)) == (review,)

    def test_ps_16_a_store_has_an_id_of_its_own(
        self,
        new_store: NewStore,
        clock: Clock,
        reopen: Reopen | None,
    ) -> None:
        """PS-16: another one for each, and the same for every process."""
        ids: list[str] = []
        stores: list[PostingStore] = []
        # At once: where there is one database, the next one empties it.
        for _ in range(3):
            stores.append(new_store(clock))
            ids.append(stores[-1].standing(run_key(), "").store)

        assert len({*ids}) == len(ids)
        assert all(len(each) >= _ID_LEAST for each in ids)
        if reopen is not None:
            again = reopen(stores[-1], clock)
            assert again.standing(run_key(), "").store == ids[-1]

    def test_ps_16_a_word_that_it_was_restored_raises_the_epoch(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-16: and nothing else does; what was told stays told."""
        store.commit(Change(runs=(intended(run_key()),)))
        before = store.standing(run_key(), "")
        since = clock.at - timedelta(days=1)
        for lost in ("a", "b"):
            store.commit(
                Change(
                    restored=Restored(since=since, stores=(lost,), by="kit")
                )
            )

        after = store.standing(run_key(), "")
        assert (before.epoch, before.restored_since) == (0, None)
        assert (after.epoch, after.store) == (2, before.store)
        assert after.restored_since == since
        assert after.restored_stores == {"a", "b"}

    # -- PS-17, PS-18: what is on invoices ------------------------------------

    def test_ps_17_holds_come_with_the_open_amounts_that_they_are_about(
        self, store: PostingStore
    ) -> None:
        """PS-17: on clients, their matters, and any invoice."""
        mine = [
            Hold.on_client("C-1", by="kit", reason="why"),
            Hold.on_matter("C-1", "M-1", by="kit", reason="why"),
            Hold.on_invoice("INV-9", by="kit", reason="why"),
        ]
        others = [
            Hold.on_client("C-2", by="kit", reason="why"),
            Hold.on_matter("C-2", "M-1", by="kit", reason="why"),
            _hold("ap-1"),
        ]
        over = lift(
            Hold.on_client("C-1", by="joe", reason="why"),
            by="kit",
            reason="over",
        )
        versions = [_holds_version(store)]
        for each in (*mine, *others, over):
            store.commit(Change(holds=(each,)))
            versions.append(_holds_version(store))

        found = store.open_amounts(("C-1",)).holds
        assert sorted(found, key=_id_of) == sorted(mine, key=_id_of)
        assert versions == sorted({*versions})

    def test_ps_18_a_correction_that_is_not_sent_is_a_step_all_the_same(
        self, store: PostingStore
    ) -> None:
        """PS-18: of a posting that was put on other invoices (P4)."""
        done = paid(_opened(store, invoice("INV-1", 500)))
        [share] = postings_of(done)
        store.commit(Change(runs=(done,), postings=(share,)))
        taken = attrs.evolve(
            share,
            id="p-taken",
            amount=-share.amount,
            status=PostingStatus.REMOVED,
            reverses=share.id,
        )
        store.commit(
            Change(
                postings=(taken,),
                moves=(
                    PostingMove(
                        before=share,
                        after=move_posting(share, PostingStatus.REMOVED),
                    ),
                ),
            )
        )

        found = store.open_amounts(("C-1",))
        assert (found.amounts, found.reversals) == ({}, {})
        assert {each.kind: each.posting for each in found.steps} == {
            ShareStepKind.REVERSED: "p-taken",
            ShareStepKind.REMOVED: share.id,
        }

    def test_ps_18_steps_of_shares_are_kept_in_their_order(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-18: out of open, and a reversal's; for sixty days at least."""
        done = paid(_opened(store, invoice("INV-1", 500)))
        back = Reversal(
            event="e-1", kind=ReversalKind.RETURN, amount=usd(40), on=DAYS[0]
        )
        [reversal] = reversal_postings(done, back)
        store.commit(
            Change(runs=(done,), postings=(*postings_of(done), reversal))
        )
        assert store.open_amounts(("C-1",)).reversals == {"INV-1": usd(40)}
        written = store.open_amounts(("C-1",))
        for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
            clock.advance(60)
            _move(store, status)

        found = store.open_amounts(("C-1",))
        assert [(each.kind, each.amount) for each in written.steps] == [
            (ShareStepKind.REVERSED, usd(40))
        ]
        assert [(each.kind, each.amount) for each in found.steps] == [
            (ShareStepKind.REVERSED, usd(40)),
            (ShareStepKind.APPLIED, usd(500)),
        ]
        applied_at = found.steps[-1].at
        assert applied_at >= clock.at
        assert found.reversals == {}
        assert store.open_amounts(("C-2",)).steps == ()
        clock.advance(61 * 86_400)
        assert store.open_amounts(("C-1",)).steps == ()
        counted = Expected(
            invoice="INV-9",
            client="C-1",
            matter="M-1",
            issued_on=DAYS[0],
            figure=usd(1),
            balance=usd(1),
            counted_at=applied_at,
            fitted_at=applied_at,
        )
        store.commit(Change(expected=(counted,)))
        assert store.open_amounts(("C-1",)).steps == found.steps[1:]

    def test_ps_18_what_is_expected_is_what_was_written_last(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-18: by invoice, and under the client that it has by now."""
        first = Expected(
            invoice="INV-1",
            client="C-1",
            matter="M-1",
            issued_on=DAYS[0],
            figure=usd(900),
            balance=usd(800),
            counted_at=clock.at,
            fitted_at=clock.at,
        )
        gone = attrs.evolve(first, figure=usd(700), gone_since=clock.at)
        other = attrs.evolve(first, invoice="INV-2", client="C-2")
        moved = attrs.evolve(other, client="C-1")

        store.commit(Change(expected=(first, other)))
        before = store.open_amounts(("C-1",)).expected
        store.commit(Change(expected=(gone, moved)))

        assert before == (first,)
        assert store.open_amounts(("C-1",)).expected == (gone, moved)
        assert store.open_amounts(("C-2",)).expected == ()

    def test_ps_18_numbers_that_are_two_are_read_in_either_order(
        self, store: PostingStore
    ) -> None:
        """PS-18: with whatever clients are asked for."""
        for first, second in (("7", "07"), ("07", "7"), ("a", "A")):
            store.commit(
                Change(
                    distinct=(
                        Distinct(
                            first=first, second=second, by="kit", reason="so"
                        ),
                    )
                )
            )

        assert store.open_amounts(("C-1",)).distinct == {
            frozenset({"7", "07"}),
            frozenset({"a", "A"}),
        }

    # -- PS-19, PS-20: references and attempts --------------------------------

    @pytest.mark.parametrize(
        ("account", "other", "is_refused"),
        [
            ("a-1", "a-1", True),
            ("a-1", "a-2", False),
            ("", "a-2", True),
            ("a-1", "", True),
        ],
    )
    def test_ps_19_two_runs_have_no_payment_reference_in_common(
        self,
        store: PostingStore,
        account: str,
        other: str,
        *,
        is_refused: bool,
    ) -> None:
        """PS-19: at one account; an account that is not known is any."""
        first = _charged(run_key(), "pay-1", account)
        second = _charged(run_key("ap-2"), "pay-1", other)
        store.commit(Change(runs=(first,), unique_references=True))

        answer = store.commit(Change(runs=(second,), unique_references=True))
        again = attrs.evolve(first, version=2)

        if is_refused:
            assert answer == Conflict(reason=ConflictReason.REFERENCE)
            assert _run(store, second.key) is None
        else:
            assert isinstance(answer, Committed)
        assert isinstance(
            store.commit(Change(runs=(again,), unique_references=True)),
            Committed,
        )

    def test_ps_19_references_may_repeat_where_that_is_said(
        self, store: PostingStore
    ) -> None:
        """PS-19: and the runs that have one are found by it."""
        runs = [
            _charged(run_key(f"ap-{place}"), "pay-1", f"a-{place % 2}")
            for place in range(4)
        ]
        for each in runs:
            assert isinstance(store.commit(Change(runs=(each,))), Committed)

        assert list(store.referenced("pay-1", "a-1")) == [runs[1], runs[3]]
        assert list(store.referenced("pay-1", "")) == runs
        assert list(store.referenced("pay-2", "a-1")) == []

    def test_ps_19_of_racing_runs_one_gets_the_reference(
        self, store: PostingStore
    ) -> None:
        """PS-19: the others are refused, never an error."""
        runs = [
            _charged(run_key(f"ap-{place}"), "pay-1", "a-1")
            for place in range(RACERS)
        ]

        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(runs=(runs[place],), unique_references=True)
            ),
        )

        _one_won(answers)
        assert len(store.referenced("pay-1", "a-1")) == 1

    def test_ps_20_a_change_is_refused_when_too_many_attempts_count(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-20: in any window, of that method, whoever made them."""
        declined = Declined(
            key="k", code="51", decline_class=DeclineClass.LATER
        )
        for place in range(2):
            record = intended(run_key(f"ap-{place}"), at=clock.at)
            store.commit(Change(runs=(record,)))
            store.commit(
                Change(runs=(stepped(record, RunState.FAILED, declined),))
            )
            clock.advance(3_600)
        clock.advance(-3_600)
        lately = clock.at - timedelta(minutes=1)
        before = clock.at - timedelta(hours=1)

        def allows(*windows: tuple[datetime, int], by: str = "ap-9") -> bool:
            record = intended(run_key(by, DAYS[1]), at=clock.at)
            answer = store.commit(
                Change(
                    runs=(record,),
                    attempts=AttemptsAllowed(
                        method=METHOD.fingerprint, windows=windows
                    ),
                )
            )
            if isinstance(answer, Committed):
                return True
            assert answer == Conflict(reason=ConflictReason.ATTEMPTS)
            return False

        assert not allows((lately, 0))
        assert not allows((lately, 9), (before, 1))
        assert not allows((before, 1))
        assert allows((lately, 1), (before, 2))
        assert not allows((before, 2), by="ap-8")
        assert allows((before, 3), by="ap-8")

    def test_ps_20_what_was_approved_does_not_count(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-20: declines and doubts do, its own run's among them."""
        store.commit(Change(runs=(paid(intended(run_key("ap-2"))),)))
        first = _opened(store)
        none = AttemptsAllowed(
            method=METHOD.fingerprint,
            windows=((clock.at - timedelta(days=1), 0),),
        )
        one = attrs.evolve(none, windows=((none.windows[0][0], 1),))
        refused = Conflict(reason=ConflictReason.ATTEMPTS)
        again = stepped(first, RunState.OPEN)

        assert store.commit(Change(runs=(again,), attempts=none)) == refused
        assert (
            store.commit(
                Change(runs=(intended(run_key("ap-3")),), attempts=none)
            )
            == refused
        )
        assert isinstance(
            store.commit(Change(runs=(again,), attempts=one)), Committed
        )

    def test_ps_20_of_racing_attempts_no_more_than_allowed_are_made(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-20: whatever auto-pays they are of."""
        allowed = AttemptsAllowed(
            method=METHOD.fingerprint,
            windows=((clock.at - timedelta(days=1), 0),),
        )

        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(
                    runs=(intended(run_key(f"ap-{place}")),), attempts=allowed
                )
            ),
        )

        _one_won(answers)

    # -- PS-28: ceilings ------------------------------------------------------

    def test_ps_28_what_would_be_above_a_ceiling_is_refused(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-28: of the payer's runs or of all, since a time."""
        since = clock.at
        first = _taking("ap-1", 300, clock.at)
        other = _taking("ap-2", 50, clock.at, payer="p-2")
        store.commit(Change(runs=(first, other)))

        def allows(
            place: int, most: Money, since: datetime, payer: str = ""
        ) -> bool:
            ceiling = Ceiling(most=most, since=since, payer=payer)
            more = _taking(f"more-{place}", 200, clock.at)
            answer = store.commit(Change(runs=(more,), ceilings=(ceiling,)))
            if isinstance(answer, Committed):
                return True
            assert answer == Conflict(reason=ConflictReason.CEILING)
            return False

        assert not allows(1, usd(549), since)
        assert not allows(1, usd(499), since, "p-1")
        assert allows(1, usd(500), since, "p-1")
        assert not allows(2, usd(749), since)
        assert allows(2, usd(750), since)
        assert allows(3, usd(1), since, "p-9")
        euros = Money(amount_minor=1, currency="EUR")
        assert allows(4, euros, since)
        clock.advance(3_600)
        assert not allows(5, usd(199), clock.at)
        assert allows(5, usd(200), clock.at)

    def test_ps_28_what_was_declined_is_not_taken(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-28: what was captured is, and the run's own words are not two."""
        ceiling = Ceiling(most=usd(300), since=clock.at, payer="p-1")
        declined = Declined(key="k", code="51")
        first = _taking("ap-1", 200, clock.at)
        store.commit(Change(runs=(first,), ceilings=(ceiling,)))
        more = Change(
            runs=(_taking("ap-2", 101, clock.at),), ceilings=(ceiling,)
        )
        refused = Conflict(reason=ConflictReason.CEILING)
        again = attrs.evolve(first, version=2)

        assert store.commit(more) == refused
        assert isinstance(
            store.commit(Change(runs=(again,), ceilings=(ceiling,))), Committed
        )
        store.commit(Change(runs=(stepped(again, RunState.FAILED, declined),)))
        assert isinstance(store.commit(more), Committed)
        store.commit(Change(runs=(paid(more.runs[0]),)))
        third = _taking("ap-3", 200, clock.at)
        assert (
            store.commit(Change(runs=(third,), ceilings=(ceiling,))) == refused
        )

    def test_ps_28_of_racing_runs_no_more_is_taken_than_allowed(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-28: whoever asks at the same moment."""
        ceiling = Ceiling(most=usd(250), since=clock.at)

        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(
                    runs=(
                        _taking(
                            f"ap-{place}", 100, clock.at, payer=f"p-{place}"
                        ),
                    ),
                    ceilings=(ceiling,),
                )
            ),
        )

        assert sum(isinstance(each, Committed) for each in answers) == 2
        assert answers.count(Conflict(reason=ConflictReason.CEILING)) == (
            RACERS - 2
        )

    # -- PS-21: what was told -------------------------------------------------

    def test_ps_21_what_was_told_last_is_read_by_topic(
        self, store: PostingStore
    ) -> None:
        """PS-21: of that auto-pay."""
        first = Told(autopay="ap-1", topic="ending", said="1 May", key="n-1")
        other = Told(autopay="ap-1", topic="method", said="1 Jun", key="n-2")
        second = attrs.evolve(first, said="2 May", key="n-3")
        elsewhere = attrs.evolve(first, autopay="ap-2", said="3 May")

        store.commit(Change(told=(first, other, elsewhere)))
        store.commit(Change(told=(second,)))

        assert store.standing(run_key(), "").told == {
            "ending": second,
            "method": other,
        }
        assert store.standing(run_key("ap-2"), "").told == {
            "ending": elsewhere
        }

    def test_ps_21_incidents_are_read_until_they_are_over(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-21: one that is under way stands, whoever is late next."""
        first = Incident(cause="MattersAway", on=DAYS[0], began_at=clock.at)
        third = attrs.evolve(first, cause="GatewayAway", port="gateway")
        store.commit(Change(incidents=(first, third)))
        clock.advance(60)
        later = attrs.evolve(first, began_at=clock.at)
        other = attrs.evolve(first, on=DAYS[1])
        store.commit(Change(incidents=(later,)))
        store.commit(Change(incidents=(other,)))
        assert store.standing(run_key(), "").incidents == (third, first)
        over = attrs.evolve(first, over_at=clock.at)
        store.commit(Change(incidents=(over,)))

        assert store.standing(run_key(), "").incidents == (third,)
        store.commit(Change(incidents=(other,)))
        assert store.standing(run_key(), "").incidents == (third, other)

    # -- PS-23, PS-24: movements and keys -------------------------------------

    def test_ps_23_a_movement_is_written_from_the_version_before_only(
        self, store: PostingStore
    ) -> None:
        """PS-23: once by its own id; a second first one is refused."""
        first = _received("ev-1")
        placed = attrs.evolve(
            first, state=MovementState.PLACED, version=2, run=run_key()
        )

        assert isinstance(store.commit(Change(movements=(first,))), Committed)
        for stale in (first, attrs.evolve(placed, version=3)):
            answer = store.commit(
                Change(movements=(stale,), told=(_anything_told(),))
            )
            assert answer == Conflict(reason=ConflictReason.MOVEMENT)
        assert store.standing(run_key(), "").told == {}
        assert list(store.movement("ev-1")) == [first]
        assert isinstance(store.commit(Change(movements=(placed,))), Committed)

        assert list(store.movement("ev-1")) == [placed]
        assert list(store.movement("ev-2")) == []

    def test_ps_23_movements_are_listed_by_state_and_id(
        self, store: PostingStore
    ) -> None:
        """PS-23: page by page, as they were written."""
        records = [_received(f"ev-{place}") for place in range(5)]
        case = attrs.evolve(
            _received("ev-9"), state=MovementState.CASE, reason="why"
        )
        store.commit(Change(movements=(*records, case)))

        def listed(after: str, most: int) -> list[MovementRecord]:
            found = store.movements(MovementState.WAITING, after, most)
            return Decoded(found)

        assert listed("", 9) == records
        assert listed("", 2) == records[:2]
        assert listed("ev-1", 2) == records[2:4]
        assert list(store.movements(MovementState.CASE, "", 9)) == [case]

    def test_ps_23_of_racing_writers_one_gets_the_movement(
        self, store: PostingStore
    ) -> None:
        """PS-23: the others are refused, never an error."""
        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(
                    movements=(
                        attrs.evolve(
                            _received("ev-1"), run=run_key(f"ap-{place}")
                        ),
                    )
                )
            ),
        )

        _one_won(answers)

    def test_ps_24_a_run_is_found_by_the_key_of_any_attempt(
        self, store: PostingStore
    ) -> None:
        """PS-24: the first one's as well as the last one's."""
        opened = _opened(store)
        [attempt] = opened.attempts
        second = attrs.evolve(
            opened,
            version=opened.version + 1,
            attempts=(
                attrs.evolve(
                    attempt,
                    outcome=Declined(
                        key=attempt.key,
                        code="51",
                        decline_class=DeclineClass.LATER,
                    ),
                ),
                attrs.evolve(attempt, number=2, key="another-key"),
            ),
        )
        store.commit(Change(runs=(second,)))

        assert list(store.keyed(str(attempt.key))) == [second]
        assert list(store.keyed("another-key")) == [second]
        assert list(store.keyed("no-key")) == []

    # -- PS-25: what was sent lately ------------------------------------------

    def test_ps_25_runs_are_read_by_when_they_were_sent(
        self, store: PostingStore
    ) -> None:
        """PS-25: newest first, and no more than asked for."""
        runs = [
            intended(
                run_key(f"ap-{place}"), at=START + timedelta(minutes=place)
            )
            for place in range(4)
        ]
        for each in (*runs, plain(run_key("ap-9"), RunState.WAITING)):
            store.commit(Change(runs=(each,)))
        times = [each.attempts[-1].began_at for each in runs]

        assert list(store.sent(times[0], 9)) == runs[::-1]
        assert list(store.sent(times[2], 9)) == [runs[3], runs[2]]
        assert list(store.sent(times[0], 3)) == runs[:0:-1]
        assert list(store.sent(times[3] + timedelta(seconds=1), 9)) == []

    def test_ps_25_a_run_counts_by_its_last_attempt(
        self, store: PostingStore
    ) -> None:
        """PS-25: it is there once, and as it stands."""
        opened = _opened(store)
        [attempt] = opened.attempts
        later = attempt.began_at + timedelta(hours=2)
        second = attrs.evolve(
            opened,
            version=opened.version + 1,
            attempts=(
                attrs.evolve(
                    attempt,
                    outcome=Declined(
                        key=attempt.key,
                        code="51",
                        decline_class=DeclineClass.LATER,
                    ),
                ),
                attrs.evolve(
                    attempt, number=2, key="another-key", began_at=later
                ),
            ),
        )
        store.commit(Change(runs=(second,)))

        assert list(store.sent(attempt.began_at, 9)) == [second]
        assert list(store.sent(later, 9)) == [second]

    # -- PS-29: several changes at once ---------------------------------------

    def test_ps_29_each_of_several_changes_is_answered_by_itself(
        self, store: PostingStore
    ) -> None:
        """PS-29: as if each had come alone, one after another."""
        commit_many = getattr(store, "commit_many", None)
        if commit_many is None:
            pytest.skip("it writes one change at a time: no commit_many")
        one = intended(run_key("ap-1"))
        two = intended(run_key("ap-2"), invoice("INV-2", 100, client="C-2"))
        wrong = attrs.evolve(two, version=3)
        done = paid(one)
        made = postings_of(done)
        other = attrs.evolve(made[0], note="another one")
        three = intended(run_key("ap-3"), invoice("INV-3", 100, client="C-3"))

        answers = commit_many(
            (
                Change(runs=(one,)),
                Change(runs=(wrong,)),
                Change(runs=(done,), postings=made),
                Change(postings=(other,)),
                Change(runs=(three,), notices=(notice("n-1"), notice("n-2"))),
                Change(notices=(notice("n-1"),)),
            )
        )

        first, second, third, fourth, fifth, sixth = answers
        for each in (first, third, fifth, sixth):
            assert isinstance(each, Committed)
        assert second == Conflict(reason=ConflictReason.VERSION)
        assert isinstance(fourth, PostingConflictError)
        assert set(fifth.new_notices) == {"n-1", "n-2"}
        assert not sixth.new_notices
        assert first.at <= third.at <= fifth.at <= sixth.at
        assert _run(store, done.key) == done
        assert _run(store, two.key) is None
        assert _run(store, three.key) == three
        assert sorted(_all(store), key=_by_id) == sorted(made, key=_by_id)

    def test_ps_29_no_changes_have_no_answers(
        self, store: PostingStore
    ) -> None:
        """PS-29: and nothing is written."""
        commit_many = getattr(store, "commit_many", None)
        if commit_many is None:
            pytest.skip("it writes one change at a time: no commit_many")

        assert list(commit_many(())) == []

    # -- PS-22: what cannot be read -------------------------------------------

    def test_ps_22_a_run_that_cannot_be_read_holds_up_no_other(
        self, store: PostingStore, clock: Clock, spoil_run: SpoilRun | None
    ) -> None:
        """PS-22: lists say which; asking for it is an error of the port."""
        if spoil_run is None:
            pytest.skip("no way to spoil a run was given: spoil_run")
        for place in range(3):
            store.commit(Change(runs=(intended(run_key(f"ap-{place}")),)))
            store.commit(
                Change(
                    runs=(
                        plain(
                            run_key(f"ap-{place}", DAYS[1]), RunState.WAITING
                        ),
                    )
                )
            )
        for day in DAYS[:2]:
            spoil_run(store, run_key("ap-1", day))
        clock.advance(61)

        lists = (
            store.unfinished(None, 9),
            store.waiting(None, 9),
            store.under_way(None, 9),
        )

        days = (DAYS[0], DAYS[1], DAYS[0])
        for day, (first, second, third) in zip(days, lists, strict=True):
            assert isinstance(first, RunRecord)
            assert isinstance(second, Unreadable)
            assert isinstance(third, RunRecord)
            assert second.key == str(run_key("ap-1", day))
            assert second.code
        with pytest.raises(PortError):
            store.standing(run_key("ap-1"), "")
        assert store.standing(run_key("ap-2"), "").run == lists[0][2]

    def test_port_1_calls_at_once_get_their_own_answers(
        self, store: PostingStore
    ) -> None:
        """PORT-1: whatever other threads read and write meanwhile."""
        records = [
            intended(
                run_key(f"ap-{place}"),
                invoice(f"INV-{place}", 100 + place, client=f"C-{place}"),
                method=attrs.evolve(METHOD, token=f"tok_kit_{place:04}"),
            )
            for place in range(RACERS)
        ]

        def act(place: int) -> tuple[RunRecord | None, list[int]]:
            record = records[place]
            written = store.commit(Change(runs=(record,)))
            assert isinstance(written, Committed)
            shares = store.open_amounts((f"C-{place}",)).amounts.values()
            return (
                _run(store, record.key),
                [each.amount_minor for each in shares],
            )

        answers = at_once(RACERS, act)

        assert answers == [
            (record, [100 + place]) for place, record in enumerate(records)
        ]


# -- Short words --------------------------------------------------------------

_ID_LEAST: Final = 16
"""Characters that a store's id has at least."""


def _settings(examples: int, steps: int = 1) -> settings:
    return settings(
        database=None,
        deadline=None,
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=[
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.too_slow,
        ],
    )


def _generated(examples: int) -> settings:
    return _settings(examples)


def _by_id(posting: Posting) -> str:
    return posting.id


def _opened(
    store: PostingStore, *invoices: Invoice, on: date = DAYS[0]
) -> RunRecord:
    """Write an open run of auto-pay ap-1."""
    record = intended(run_key(on=on), *invoices)
    written = store.commit(Change(runs=(record,)))
    assert isinstance(written, Committed)
    return record


def _taking(
    autopay: str, cents: int, at: datetime, *, payer: str = "p-1"
) -> RunRecord:
    """Return a run that is about to take so much."""
    bill = invoice(f"INV-{autopay}", cents, client=f"C-{autopay}")
    record = intended(
        run_key(autopay),
        bill,
        at=at,
        method=attrs.evolve(METHOD, token=f"tok_kit_{autopay}"),
    )
    return attrs.evolve(record, payer=payer)


def _posted(store: PostingStore) -> tuple[Posting, ...]:
    """Write a paid run and its posting."""
    done = paid(_opened(store))
    store.commit(Change(runs=(done,), postings=postings_of(done)))
    return postings_of(done)


def _hold(autopay: str) -> Hold:
    return Hold.on_autopay(autopay, by="kit", reason="why")


def _id_of(hold: Hold) -> str:
    return hold.id


def _holds_version(store: PostingStore) -> int:
    return store.open_amounts(()).holds_version


def _new(answer: Committed | Conflict | Exception) -> AbstractSet[str]:
    """Return the keys of notices that were new."""
    assert isinstance(answer, Committed)
    return answer.new_notices


def _autopay(found: RunRecord | Unreadable) -> str:
    assert isinstance(found, RunRecord)
    return found.key.autopay


def _charged(key: RunKey, reference: str, account: str) -> RunRecord:
    """Return a run whose debit is under way, first written as version 1."""
    record = intended(key)
    last = attrs.evolve(record.attempts[-1], account=account)
    pending = Pending(key=last.key, amount=last.amount, reference=reference)
    return attrs.evolve(
        stepped(
            attrs.evolve(record, attempts=(last,)), RunState.PENDING, pending
        ),
        version=1,
    )


def _run(store: PostingStore, key: RunKey) -> RunRecord | None:
    return store.standing(key, "").run


def _all(store: PostingStore) -> tuple[Posting, ...]:
    return tuple(Decoded(store.postings(PostingFilter())))


def _open(store: PostingStore) -> dict[str, Money]:
    found = store.open_amounts(("C-1",)).amounts
    return {str(number): amount for number, amount in found.items()}


def _version(store: PostingStore) -> int:
    return store.open_amounts(("C-1",)).versions["C-1"]


def _move(store: PostingStore, to: PostingStatus) -> None:
    moves = tuple(
        PostingMove(before=each, after=move_posting(each, to))
        for each in _all(store)
    )
    assert isinstance(store.commit(Change(moves=moves)), Committed)


def _everything(store: PostingStore) -> object:
    """Read all that a change can write, but the time."""
    opened = store.open_amounts(("C-1", "C-2"))
    standing = store.standing(run_key(), "")
    return (
        standing.run,
        standing.unfinished,
        dict(opened.amounts),
        dict(opened.versions),
        opened.holds_version,
        opened.steps,
        standing.holds,
        _all(store),
        tuple(store.undelivered(100)),
    )


def _one_won(
    answers: list[Committed | Conflict | Exception],
) -> None:
    kinds = sorted(type(each).__name__ for each in answers)
    assert kinds == ["Committed"] + ["Conflict"] * (len(answers) - 1)


def _received(event: str) -> MovementRecord:
    """Return a movement that waits for its run."""
    return MovementRecord(
        movement=Movement(
            id=event,
            kind=MovementKind.REFUNDED,
            amount=usd(40),
            on=DAYS[0],
            reference="pay-ß",
            invoices={"INV-1": usd(30), "é": usd(10)},
        ),
        state=MovementState.WAITING,
        reason="MovementUnplaced",
        detail="no run has it",
    )


def _anything_told() -> Told:
    return Told(autopay="ap-1", topic="ending", said="soon", key="n-1")
