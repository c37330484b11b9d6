"""
The clauses of the posting store that staff's work rests on (PS-26, PS-27).

Holds: `BatchClauses`, a part of `PostingStoreContract`. Imports: `_base` and
the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import attrs
import pytest

from autopay_core.batches import (
    Batch,
    BatchAnswer,
    BatchState,
    LineAccepted,
    LineRefused,
    PostingTotal,
    RefusalReason,
    answer,
    export,
)
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Decoded,
    PostingFilter,
    PostingMove,
    PostingSort,
    Told,
)
from autopay_core.money import Money
from autopay_core.ports import PostingStore
from autopay_core.postings import (
    OPEN_STATUSES,
    Posting,
    PostingStatus,
    move_posting,
)
from autopay_core.testing.contracts._base import (
    ACCOUNT,
    DAYS,
    RACERS,
    START,
    Clock,
    Contract,
    at_once,
    run_key,
    usd,
)

__all__ = ["BatchClauses", "answered", "batch_of", "making"]


def posting(number: int, **fields: object) -> Posting:
    """Return a pending posting, each of another auto-pay."""
    given: dict[str, object] = {
        "id": f"p-{number}",
        "run": run_key(f"ap-{number}"),
        "payer": "p-1",
        "client": "C-1",
        "matter": "M-C-1",
        "invoice": f"INV-{number}",
        "amount": usd(100 * number),
        "charged_on": DAYS[0],
        "payment_reference": f"pay-{number}",
        "deposit_account": ACCOUNT,
        "ar_message": "ß",
    }
    made: Posting = Posting(**{**given, **fields})  # type: ignore[arg-type]
    return made


def batch_of(
    postings: Sequence[Posting],
    name: str = "b-1",
    by: str = "kit",
) -> Batch:
    """Return a batch of postings, as they will stand in it."""
    return Batch(
        id=name,
        made_at=START,
        by=by,
        postings=tuple(
            each
            if each.status is PostingStatus.QUEUED
            else move_posting(each, PostingStatus.QUEUED)
            for each in postings
        ),
    )


def making(made: Batch, postings: Sequence[Posting]) -> Change:
    """Return the change that makes a batch of postings as they were read."""
    return Change(
        batches=(made,),
        moves=tuple(
            PostingMove(before=each, after=after)
            for each, after in zip(postings, made.postings, strict=True)
            if each != after
        ),
        by="kit",
    )


def answered(batch: Batch, refused: Sequence[str] = ()) -> Change:
    """Return the change that answers a batch, with some lines refused."""
    given = BatchAnswer(
        batch=batch.id,
        lines=tuple(
            LineRefused(
                posting=each.id,
                reason=RefusalReason.MATTER_CLOSED,
                detail="ü",
            )
            if each.id in refused
            else LineAccepted(
                posting=each.id, number=f"L-{each.id}", posted_on=DAYS[1]
            )
            for each in batch.postings
        ),
        booked=_sum(
            [each for each in batch.postings if each.id not in refused]
        ),
    )
    after = answer(
        export(batch, at=START, by="kit"), given, at=START, by="kit"
    )
    after = attrs.evolve(after, version=batch.version + 1)
    return Change(
        batches=(after,),
        moves=tuple(
            PostingMove(
                before=each,
                after=move_posting(
                    each, PostingStatus.INCOMPLETE, note="matter closed"
                )
                if each.id in refused
                else move_posting(
                    each,
                    PostingStatus.POSTED,
                    posted_on=DAYS[1],
                    ledger_number=f"L-{each.id}",
                ),
            )
            for each in batch.postings
        ),
        by="kit",
    )


def _sum(postings: Sequence[Posting]) -> tuple[Money, ...]:
    found: dict[str, int] = {}
    for each in postings:
        minor = found.get(each.amount.currency, 0) + each.amount.amount_minor
        found[each.amount.currency] = minor
    return tuple(
        Money(amount_minor=minor, currency=currency)
        for currency, minor in sorted(found.items())
    )


def put(store: PostingStore, *postings: Posting) -> None:
    """Write postings."""
    assert isinstance(store.commit(Change(postings=postings)), Committed)


def every(store: PostingStore) -> tuple[Posting, ...]:
    """Read every posting."""
    return tuple(Decoded(store.postings(PostingFilter())))


_INSTANT: Final = timedelta(microseconds=1)
_PENDING: Final = (posting(1), posting(2), posting(3))


_FILTERS: Final = {
    "all": PostingFilter(),
    "status": PostingFilter(statuses=OPEN_STATUSES),
    "one status": PostingFilter(statuses=frozenset({PostingStatus.APPLIED})),
    "run": PostingFilter(run=str(run_key("ap-3"))),
    "payer": PostingFilter(payer="p-2"),
    "client": PostingFilter(client="C-2"),
    "matter": PostingFilter(matter="M-ß"),
    "invoice": PostingFilter(invoice="INV-1"),
    "payment": PostingFilter(payment_reference="pay-2"),
    "from": PostingFilter(charged_from=DAYS[1]),
    "before": PostingFilter(charged_before=DAYS[1]),
    "least": PostingFilter(least=usd(200)),
    "greatest": PostingFilter(greatest=usd(200)),
    "between": PostingFilter(least=usd(-500), greatest=usd(200)),
    "currency": PostingFilter(least=Money(amount_minor=1, currency="JPY")),
    "several": PostingFilter(
        client="C-1",
        statuses=frozenset({PostingStatus.PENDING}),
        charged_from=DAYS[0],
        least=usd(1),
    ),
    "nothing": PostingFilter(matter="M-C-1", payer="nobody"),
}


class BatchClauses(Contract):
    """Batches, and lists with their totals; `store` is the subclass's."""

    # -- PS-26: batches -------------------------------------------------------

    def test_ps_26_a_batch_is_made_whole_and_read_as_it_was_made(
        self, store: PostingStore
    ) -> None:
        """PS-26: with its postings, which are queued by the same change."""
        put(store, *_PENDING)
        made = batch_of([_PENDING[2], _PENDING[0]])

        written = store.commit(making(made, [_PENDING[2], _PENDING[0]]))

        assert isinstance(written, Committed)
        assert list(store.batch("b-1")) == [made]
        assert list(store.batch("b-2")) == []
        assert [each.status.value for each in every(store)] == [
            "queued",
            "pending",
            "queued",
        ]

    def test_ps_26_a_batch_is_made_once(self, store: PostingStore) -> None:
        """PS-26: a second one under the id is refused, with all else."""
        put(store, *_PENDING)
        first = batch_of(_PENDING[:1])
        store.commit(making(first, _PENDING[:1]))
        second = batch_of(_PENDING[1:2])
        change = attrs.evolve(
            making(second, _PENDING[1:2]), told=(_anything_told(),)
        )

        assert store.commit(change) == Conflict(reason=ConflictReason.BATCH)
        assert list(store.batch("b-1")) == [first]
        assert every(store)[1] == _PENDING[1]
        assert store.standing(run_key(), "").told == {}

    @pytest.mark.parametrize("wrong", ["gone", "moved", "in another batch"])
    def test_ps_26_a_batch_with_a_posting_that_is_not_ready_is_not_made(
        self, store: PostingStore, wrong: str
    ) -> None:
        """PS-26: not at all; and the postings in the way are named."""
        put(store, *(_PENDING[:2] if wrong == "gone" else _PENDING))
        third = _PENDING[2]
        if wrong == "moved":
            removed = move_posting(third, PostingStatus.REMOVED)
            store.commit(
                Change(moves=(PostingMove(before=third, after=removed),))
            )
        elif wrong == "in another batch":
            store.commit(making(batch_of([third], "b-0"), [third]))
        before = every(store)
        queued = move_posting(third, PostingStatus.QUEUED)

        for seen in (third, queued):
            asked = [*_PENDING[:2], seen]
            answer = store.commit(making(batch_of(asked), asked))

            assert answer == Conflict(
                reason=ConflictReason.BATCH, postings=("p-3",)
            )
        assert list(store.batch("b-1")) == []
        assert every(store) == before

    def test_ps_26_a_queued_posting_goes_into_a_batch_as_it_stands(
        self, store: PostingStore
    ) -> None:
        """PS-26: another content is in the way."""
        queued = posting(1, status=PostingStatus.QUEUED)
        put(store, queued)
        other = attrs.evolve(queued, note="mended")

        assert store.commit(Change(batches=(batch_of([other]),))) == Conflict(
            reason=ConflictReason.BATCH, postings=("p-1",)
        )
        made = batch_of([queued])
        assert isinstance(store.commit(Change(batches=(made,))), Committed)

    def test_ps_26_a_batch_goes_on_from_the_version_before_only(
        self, store: PostingStore
    ) -> None:
        """PS-26: neither an old version nor one that skips a step stands."""
        put(store, *_PENDING)
        made = batch_of(_PENDING)
        store.commit(making(made, _PENDING))
        exported = export(made, at=START + timedelta(hours=1), by="kit")
        skipping = attrs.evolve(exported, version=3)

        for stale in (made, skipping):
            assert store.commit(Change(batches=(stale,))) == Conflict(
                reason=ConflictReason.BATCH
            )
        assert isinstance(store.commit(Change(batches=(exported,))), Committed)
        assert list(store.batch("b-1")) == [exported]

    def test_ps_26_a_posting_in_a_batch_moves_with_it_only(
        self, store: PostingStore
    ) -> None:
        """PS-26: until every line is answered; then it is free."""
        put(store, *_PENDING)
        made = batch_of(_PENDING)
        store.commit(making(made, _PENDING))
        first, second, _ = made.postings
        for to in (PostingStatus.POSTED, PostingStatus.PENDING):
            step = PostingMove(before=first, after=move_posting(first, to))
            assert store.commit(Change(moves=(step,))) == Conflict(
                reason=ConflictReason.BATCH, postings=("p-1",)
            )
        assert every(store) == made.postings

        change = answered(made, ["p-2"])
        assert isinstance(store.commit(change), Committed)
        assert list(store.batch("b-1")) == [*change.batches]
        posted, stuck, _ = every(store)
        assert (posted.posted_on, posted.ledger_number) == (DAYS[1], "L-p-1")
        assert stuck.status is PostingStatus.INCOMPLETE
        mended = move_posting(stuck, PostingStatus.PENDING, note="")
        step = PostingMove(before=stuck, after=mended)
        assert isinstance(store.commit(Change(moves=(step,))), Committed)
        again = batch_of([mended], "b-2")
        assert isinstance(store.commit(making(again, [mended])), Committed)
        assert second in again.postings

    def test_ps_26_of_racing_batches_one_gets_the_postings(
        self, store: PostingStore
    ) -> None:
        """PS-26: the others hear which postings were taken."""
        put(store, *_PENDING)
        batches = [batch_of(_PENDING, f"b-{place}") for place in range(RACERS)]

        answers = at_once(
            RACERS,
            lambda place: store.commit(making(batches[place], _PENDING)),
        )

        made = [each for each in answers if isinstance(each, Committed)]
        assert len(made) == 1
        assert [each for each in answers if each not in made] == [
            Conflict(
                reason=ConflictReason.BATCH, postings=("p-1", "p-2", "p-3")
            )
        ] * (RACERS - 1)
        assert len(store.batches(BatchFilter())) == 1

    def test_ps_26_batches_that_overlap_share_nothing(
        self, store: PostingStore
    ) -> None:
        """PS-26: whoever is first; a batch that is refused took nothing."""
        all_of_them = [
            posting(number, status=PostingStatus.QUEUED)
            for number in range(1, RACERS + 2)
        ]
        put(store, *all_of_them)

        answers = at_once(
            RACERS,
            lambda place: store.commit(
                Change(
                    batches=(
                        batch_of(
                            all_of_them[place : place + 2], f"b-{place:02}"
                        ),
                    )
                )
            ),
        )

        taken = [
            each.id
            for batch in Decoded(store.batches(BatchFilter()))
            for each in batch.postings
        ]
        kinds = {type(each) for each in answers}
        assert kinds <= {Committed, Conflict}
        assert Committed in kinds
        assert len(taken) == len(set(taken))

    def test_ps_26_two_batches_of_one_change_share_nothing_either(
        self, store: PostingStore
    ) -> None:
        """PS-26: not even if they come together."""
        queued = posting(1, status=PostingStatus.QUEUED)
        put(store, queued)
        both = (batch_of([queued], "b-1"), batch_of([queued], "b-2"))

        assert store.commit(Change(batches=both)) == Conflict(
            reason=ConflictReason.BATCH, postings=("p-1",)
        )
        assert store.commit(Change(batches=both[:1] * 2)) == Conflict(
            reason=ConflictReason.BATCH
        )

    def test_ps_26_batches_are_listed_by_state_posting_and_id(
        self, store: PostingStore
    ) -> None:
        """PS-26: page by page, as they were written."""
        queued = [
            posting(number, status=PostingStatus.QUEUED)
            for number in range(1, 6)
        ]
        put(store, *queued)
        made = [batch_of([each], f"b-{each.id}") for each in queued]
        for each in made:
            store.commit(Change(batches=(each,)))
        change = answered(made[1])
        store.commit(change)
        made[1] = change.batches[0]

        def listed(**wanted: object) -> list[Batch]:
            return list(store.batches(BatchFilter(**wanted)))  # type: ignore[arg-type]

        assert listed() == made
        assert listed(most=2) == made[:2]
        assert listed(after="b-p-2", most=2) == made[2:4]
        assert listed(states=frozenset({BatchState.OPEN})) == [
            made[0],
            *made[2:],
        ]
        assert listed(states=frozenset({BatchState.ANSWERED})) == [made[1]]
        assert listed(posting="p-2") == [made[1]]
        assert listed(posting="p-9") == []

    # -- PS-27: lists and totals ----------------------------------------------

    @pytest.fixture
    def listed(self, store: PostingStore, clock: Clock) -> PostingStore:
        """Return a store with postings that differ in every column."""
        for place, each in enumerate(_LISTED):
            put(store, each)
            clock.advance(60 if place % 2 else 0)
        queued = [
            each for each in _LISTED if each.status is PostingStatus.QUEUED
        ]
        made = batch_of(queued)
        assert isinstance(store.commit(Change(batches=(made,))), Committed)
        return store

    @pytest.mark.parametrize("name", sorted(_FILTERS))
    def test_ps_27_totals_agree_with_the_list(
        self, listed: PostingStore, name: str
    ) -> None:
        """PS-27: of every filter, which shows what it says."""
        wanted = _FILTERS[name]
        expected = [each for each in _LISTED if wanted.shows(each)]

        found = Decoded(listed.postings(wanted))

        assert sorted(each.id for each in found) == sorted(
            each.id for each in expected
        )
        assert list(listed.posting_totals(wanted)) == _totals(found)

    def test_ps_27_a_list_knows_since_when_each_stands_where_it_does(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-27: the time of its last step, or of its making, as committed."""
        put(store, *_PENDING)
        clock.advance(30)
        at = clock()
        clock.advance(30)
        [first, _, last] = _PENDING
        written = store.commit(
            Change(
                moves=tuple(
                    PostingMove(
                        before=each,
                        after=move_posting(each, PostingStatus.QUEUED),
                    )
                    for each in (first, last)
                )
            )
        )
        assert isinstance(written, Committed)
        later = at + timedelta(hours=1)
        if written.at is not None:
            at, later = written.at, written.at + _INSTANT

        for wanted, numbers in (
            (PostingFilter(moved_from=at), "13"),
            (PostingFilter(moved_before=at), "2"),
            (PostingFilter(moved_from=later), ""),
            (PostingFilter(moved_before=later), "123"),
            (PostingFilter(moved_from=at, moved_before=later), "13"),
            (PostingFilter(moved_from=at, invoice="INV-9"), ""),
        ):
            found = Decoded(store.postings(wanted))
            assert [each.id for each in found] == [f"p-{n}" for n in numbers]
            assert list(store.posting_totals(wanted)) == _totals(found)

    def test_ps_27_a_list_tells_since_when_each_stands_there(
        self, store: PostingStore, clock: Clock
    ) -> None:
        """PS-27: of a store that tells; then it is when the step was made."""
        made, moved = posting(1), posting(2)
        first = store.commit(Change(postings=(made, moved)))
        clock.advance(3_600)
        queued = move_posting(moved, PostingStatus.QUEUED)
        second = store.commit(
            Change(moves=(PostingMove(before=moved, after=queued),))
        )
        assert isinstance(first, Committed)
        assert isinstance(second, Committed)

        found = Decoded(store.postings(PostingFilter()))

        assert found == [made, queued]
        for each, step in zip(found, (first, second), strict=True):
            if each.since is not None and step.at is not None:
                assert each.since == step.at

    def test_ps_27_totals_are_of_all_that_the_filter_shows(
        self, listed: PostingStore
    ) -> None:
        """PS-27: whatever page of the list is looked at."""
        whole = list(listed.posting_totals(PostingFilter()))

        for page in (
            PostingFilter(most=1),
            PostingFilter(after="p-3"),
            PostingFilter(sort=PostingSort.MADE, descending=True, most=2),
        ):
            assert list(listed.posting_totals(page)) == whole

    def test_ps_27_a_batchs_postings_are_listed_for_ever(
        self, listed: PostingStore
    ) -> None:
        """PS-27: also once it is answered."""
        [made] = listed.batch("b-1")
        wanted = PostingFilter(batch="b-1")
        before = Decoded(listed.postings(wanted))
        assert before == sorted(made.postings, key=_by_id)
        assert list(listed.posting_totals(wanted)) == _totals(before)

        listed.commit(answered(made))

        after = Decoded(listed.postings(wanted))
        assert [each.id for each in after] == [each.id for each in before]
        assert list(listed.posting_totals(wanted)) == _totals(after)
        assert list(listed.postings(PostingFilter(batch="b-2"))) == []

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("sort", PostingSort)
    def test_ps_27_a_list_has_the_order_that_is_asked_for_page_by_page(
        self, listed: PostingStore, sort: PostingSort, *, descending: bool
    ) -> None:
        """PS-27: nothing twice, nothing left out, whatever is added."""
        wanted = PostingFilter(sort=sort, descending=descending, most=2)
        expected = {
            PostingSort.ID: sorted(_LISTED, key=_by_id),
            PostingSort.MADE: list(_LISTED),
            PostingSort.CHARGED: sorted(_LISTED, key=_by_charged),
            PostingSort.AMOUNT: sorted(_LISTED, key=_by_amount),
            PostingSort.PAYER: sorted(
                _LISTED, key=lambda each: (each.payer, each.id)
            ),
            PostingSort.CLIENT: sorted(
                _LISTED, key=lambda each: (each.client, each.id)
            ),
            PostingSort.INVOICE: sorted(
                _LISTED, key=lambda each: (each.invoice, each.id)
            ),
        }[sort]
        if descending:
            expected.reverse()
        found: list[Posting] = []
        while page := Decoded(listed.postings(wanted)):
            assert len(page) <= 2
            found.extend(page)
            wanted = attrs.evolve(wanted, after=page[-1].id)

        assert [each.id for each in found] == [each.id for each in expected]
        nobody = attrs.evolve(wanted, after="p-99")
        if sort is not PostingSort.ID:
            assert list(listed.postings(nobody)) == []


_LISTED: Final = (
    posting(4, client="C-2", matter="M-ß", invoice="INV-1"),
    posting(1, payer="p-2", charged_on=DAYS[1]),
    posting(3, status=PostingStatus.QUEUED),
    posting(2, status=PostingStatus.QUEUED, charged_on=date(2025, 1, 1)),
    posting(6, status=PostingStatus.APPLIED, charged_on=DAYS[2]),
    posting(
        5,
        amount=Money(amount_minor=7, currency="JPY"),
        status=PostingStatus.QUEUED,
    ),
    posting(7, amount=usd(-400), reverses="p-4", invoice="INV-1"),
)
"""In the order of their commits, of which each is later than all before."""


def _by_id(each: Posting) -> str:
    return each.id


def _by_charged(each: Posting) -> tuple[date, str]:
    return each.charged_on, each.id


def _by_amount(each: Posting) -> tuple[str, int, str]:
    return each.amount.currency, each.amount.amount_minor, each.id


def _totals(postings: Sequence[Posting]) -> list[PostingTotal]:
    found: dict[tuple[str, str], list[Posting]] = {}
    for each in postings:
        key = (each.status.value, each.amount.currency)
        found.setdefault(key, []).append(each)
    return [
        PostingTotal(
            status=some[0].status, count=len(some), amount=_sum(some)[0]
        )
        for _, some in sorted(found.items())
    ]


def _anything_told() -> Told:
    return Told(autopay="ap-1", topic="ending", said="soon", key="n-1")
