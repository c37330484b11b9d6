"""
The clauses of the posting store, with races and a model.

Holds: `PostingStoreContract`. Imports: `_base`, `_model` and the core. The
model is the memory store: whatever is written to both reads the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from threading import Event, Thread
from typing import ClassVar, Final, TypeAlias

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

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
from autopay_core.errors import (
    CommitUnknownError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.invoices import Invoice
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.ports import PostingStore
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState, postings_of
from autopay_core.testing.contracts._base import (
    DAYS,
    METHOD,
    OTHER_METHOD,
    RACERS,
    Clock,
    Contract,
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
from autopay_core.testing.contracts._model import (
    machine_of,
    notices,
    records,
)

NewStore: TypeAlias = Callable[[Clock], PostingStore]
Reopen: TypeAlias = Callable[[PostingStore, Clock], PostingStore]
Spoil: TypeAlias = Callable[[PostingStore], AbstractContextManager[None]]

_HANDOVERS: Final = 30


class PostingStoreContract(Contract):
    """
    The clauses of `PostingStore`; override the fixtures in a subclass.

    Attributes:
        examples: How many histories and values are generated.
        steps: How long a generated history is.

    """

    examples: ClassVar[int] = 25
    steps: ClassVar[int] = 20

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
    def unavailable(self) -> Spoil | None:
        """Return how to make a store refuse commits for a while."""
        return None

    @pytest.fixture
    def lose_answer(self) -> Spoil | None:
        """Return how to lose the answers of a store's commits for a while."""
        return None

    @pytest.fixture
    def store(self, new_store: NewStore, clock: Clock) -> PostingStore:
        """Return an empty store."""
        return new_store(clock)

    # -- PS-1: whole, durable, seen -------------------------------------------

    def test_ps_1_a_change_stands_whole_and_is_seen_at_once(
        self, store: PostingStore
    ) -> None:
        """PS-1: run, postings, notices and stop orders in one step."""
        record = _opened(store)
        done = paid(record)
        stop = StopOrder(target="autopay:x", active=True, by="kit")

        written = store.commit(
            Change(
                runs=(done,),
                postings=postings_of(done),
                notices=(notice(),),
                stops=(stop,),
            )
        )

        assert written == Committed(new_notices=frozenset({"n-1"}))
        assert _run(store, record.key) == done
        assert _all(store) == postings_of(done)
        assert store.undelivered(10) == (notice(),)
        assert store.standing(run_key("x"), "").is_stopped

    @pytest.mark.parametrize("refusal", ["version", "stopped", "posting id"])
    def test_ps_1_a_change_that_is_refused_leaves_nothing_behind(
        self, store: PostingStore, refusal: str
    ) -> None:
        """PS-1: all of it, or nothing of it."""
        record = _opened(store)
        done = paid(record)
        first, *_ = postings_of(done)
        store.commit(
            Change(
                stops=(StopOrder(target="autopay:s", active=True, by="kit"),)
            )
        )
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
            unless_stopped=("autopay:s",) if refusal == "stopped" else (),
            postings=(
                attrs.evolve(first, id="p-0"),
                first,
                attrs.evolve(first, id="p-9"),
            ),
            notices=(notice("n-9"),),
            stops=(StopOrder(target="autopay:x", active=True, by="kit"),),
        )

        if refusal == "posting id":
            with pytest.raises(PostingConflictError):
                store.commit(change)
        else:
            assert isinstance(store.commit(change), Conflict)

        assert _everything(store) == before
        assert not store.standing(run_key("x"), "").is_stopped

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
        for state in (RunState.PENDING, RunState.REVIEW):
            record = stepped(record, state)
            store.commit(Change(runs=(record,)))
            assert _open(store)["INV-1"] == usd(3_000)
        done = paid(record)
        store.commit(Change(runs=(done,), postings=postings_of(done)))
        assert _open(store) == {"INV-1": usd(3_000), "INV-2": usd(4_000)}
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

    @pytest.mark.parametrize("target", ["autopay:ap-1", "method:m-1"])
    def test_ps_7_a_stop_order_in_force_refuses_a_change(
        self, store: PostingStore, target: str
    ) -> None:
        """PS-7: until it is lifted."""
        stop = StopOrder(target=target, active=True, by="kit")
        store.commit(Change(stops=(stop,)))
        change = Change(
            runs=(intended(run_key()),),
            unless_stopped=("autopay:ap-1", "method:m-1"),
        )

        assert store.standing(run_key(), "m-1").is_stopped
        assert store.commit(change) == Conflict(reason=ConflictReason.STOPPED)
        lifted = attrs.evolve(stop, active=False)
        store.commit(Change(stops=(lifted,)))

        assert not store.standing(run_key(), "m-1").is_stopped
        assert isinstance(store.commit(change), Committed)

    def test_ps_7_a_stop_order_for_somebody_else_stops_nothing(
        self, store: PostingStore
    ) -> None:
        """PS-7: targets are compared exactly."""
        stop = StopOrder(target="autopay:ap-11", active=True, by="kit")
        store.commit(Change(stops=(stop,)))

        written = store.commit(
            Change(
                runs=(intended(run_key()),), unless_stopped=("autopay:ap-1",)
            )
        )

        assert isinstance(written, Committed)
        assert not store.standing(run_key(), "").is_stopped

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

        assert first == Committed(new_notices=frozenset({"n-1", "n-2"}))
        assert again == Committed(new_notices=frozenset({"n-3"}))
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

        new = [
            answer
            for answer in answers
            if answer == Committed(new_notices=frozenset({"n-1"}))
        ]
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
            )
            keys.append(key)
            one = attrs.evolve(record, key=key)
            mine = attrs.evolve(told, key=f"n-{len(keys)}")
            done = postings_of(one) if one.state is RunState.PAID else ()
            written = store.commit(
                Change(runs=(one,), postings=done, notices=(mine,))
            )
            assert written == Committed(new_notices=frozenset({mine.key}))
            standing = store.standing(key, "")
            assert standing.run == one
            assert standing.unfinished == (
                () if one.state.is_finished else (one,)
            )
            assert sorted(
                store.postings(PostingFilter(run=str(key))), key=_by_id
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

    def test_ps_15_the_attempts_on_a_method_are_read_whoever_made_them(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-15: of every auto-pay, and only of that method."""
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
        assert [each.key.autopay for each in store.unfinished(None, 9)] == [
            "ap-1"
        ]
        clock.advance(61)

        first = store.unfinished(None, 2)
        then = store.unfinished(first[-1].key, 9)

        assert [each.key.autopay for each in first] == ["ap-0", "ap-1"]
        assert [each.key.autopay for each in then] == ["ap-2", "ap-3", "ap-4"]


# -- Short words --------------------------------------------------------------


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


def _posted(store: PostingStore) -> tuple[Posting, ...]:
    """Write a paid run and its posting."""
    done = paid(_opened(store))
    store.commit(Change(runs=(done,), postings=postings_of(done)))
    return postings_of(done)


def _run(store: PostingStore, key: RunKey) -> RunRecord | None:
    return store.standing(key, "").run


def _all(store: PostingStore) -> tuple[Posting, ...]:
    return tuple(store.postings(PostingFilter()))


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
        _all(store),
        tuple(store.undelivered(100)),
    )


def _one_won(
    answers: list[Committed | Conflict | Exception],
) -> None:
    kinds = sorted(type(each).__name__ for each in answers)
    assert kinds == ["Committed"] + ["Conflict"] * (len(answers) - 1)
