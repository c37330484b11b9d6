"""Postings go to the ledger in batches: rules P2 to P5."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core import aio, batches, calls
from autopay_core.adapters.csv import postings_csv
from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.threads import in_threads
from autopay_core.batches import (
    BATCH_MOST,
    Batch,
    BatchAnswer,
    BatchState,
    LineAccepted,
    LineAnswer,
    LineRefused,
    PostingTotal,
    RefusalReason,
    control_totals,
)
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    PostingFilter,
    PostingMove,
    PostingSort,
)
from autopay_core.errors import (
    CommitUnknownError,
    CurrencyMismatchError,
    HostProtocolError,
    InvalidValueError,
)
from autopay_core.history import chain_of, verify_history
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.references import DepositAccount, RunKey
from autopay_core.show.tables import batches_table
from worlds import DAY, World, posting, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT = datetime(2026, 2, 3, 9, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
BOOKED_ON = date(2026, 2, 4)
STATUS = PostingStatus


def queued(number: int, **fields: Any) -> Posting:
    """Return a queued posting of 10, 20, 30 … dollars."""
    return posting(
        **{
            "id": f"p-{number}",
            "invoice": f"INV-{number}",
            "amount": usd(str(number * 10)),
            "status": STATUS.QUEUED,
            **fields,
        }
    )


def batch_of(*postings: Posting, **fields: Any) -> Batch:
    given = {"id": "b-1", "made_at": AT, "by": "ann", **fields}
    return Batch(postings=postings or (queued(1), queued(2)), **given)


def taken(number: int) -> LineAccepted:
    return LineAccepted(
        posting=f"p-{number}", number=f"L-{number}", posted_on=BOOKED_ON
    )


def refused(
    number: int,
    reason: RefusalReason = RefusalReason.MATTER_CLOSED,
    detail: str = "",
) -> LineRefused:
    return LineRefused(posting=f"p-{number}", reason=reason, detail=detail)


def answer_of(*lines: LineAnswer, booked: str = "", batch: str = "b-1") -> Any:
    return BatchAnswer(
        batch=batch, lines=lines, booked=(usd(booked),) if booked else ()
    )


class Shelf:
    """A store of which a test changes one method."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def commit(self, change: Change, /) -> Committed | Conflict:
        done: Committed | Conflict = self.store.commit(change)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidValueError) as caught:
        call()
    return caught.value.code


# -- Values -------------------------------------------------------------------


def test_p5_a_batch_knows_its_control_totals_and_accounts() -> None:
    trust = DepositAccount(id="trust-1")
    yen = Money(amount_minor=500, currency="JPY")
    back = queued(4, amount=usd("-5"), reverses="p-1")

    batch = batch_of(
        queued(1),
        queued(2, deposit_account=trust),
        queued(3, amount=yen),
        back,
    )

    assert batch.control == (yen, usd("25"))
    assert batch.accounts == (queued(1).deposit_account, trust)
    assert str(batch) == "b-1: 4 postings, JPY 500, USD 25.00, open, by ann"
    assert (batch.accepted, batch.refused) == ((), ())
    assert not batch.is_closed


def test_p5_totals_of_nothing_are_none() -> None:
    assert control_totals([]) == ()


@pytest.mark.parametrize(
    ("postings", "code"),
    [
        ((), "BatchSize"),
        (
            tuple(queued(1, id=f"p-{n}") for n in range(BATCH_MOST + 1)),
            "BatchSize",
        ),
        ((queued(1), queued(1)), "DuplicateValue"),
        ((queued(1, status=STATUS.PENDING),), "PostingNotReady"),
        ([queued(1)], "FieldType"),
        (("p-1",), "FieldType"),
    ],
)
def test_p5_a_batch_is_of_queued_postings(postings: Any, code: str) -> None:
    assert (
        code_of(
            lambda: Batch(id="b-1", made_at=AT, by="ann", postings=postings)
        )
        == code
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"state": BatchState.EXPORTED},
        {"exported_at": AT},
        {"state": BatchState.ANSWERED},
        {"state": BatchState.ANSWERED, "answered_at": AT},
        {"answered_at": AT},
        {"answer": answer_of(taken(1), taken(2), booked="30")},
    ],
)
def test_p5_a_batch_has_the_times_of_its_state(fields: Any) -> None:
    assert code_of(lambda: batch_of(**fields)) == "BatchState"


def test_p5_a_batch_is_exported_once() -> None:
    exported = batches.export(batch_of(), at=LATER, by="bob")

    assert exported.state is BatchState.EXPORTED
    assert exported.version == 2
    assert (exported.exported_at, exported.exported_by) == (LATER, "bob")
    assert batches.export(exported, at=AT, by="cy") is exported


def exported_batch(*postings: Posting) -> Batch:
    return batches.export(batch_of(*postings), at=LATER, by="bob")


def answered(batch: Batch, given: Any) -> Batch:
    return batches.answer(batch, given, at=LATER, by="cy")


def test_p5_an_answer_closes_a_batch() -> None:
    given = answer_of(refused(2), taken(1), booked="10")

    closed = answered(exported_batch(), given)

    assert closed.is_closed
    assert closed.version == 3
    assert (closed.answered_at, closed.answered_by) == (LATER, "cy")
    assert closed.accepted == (taken(1),)
    assert closed.refused == (refused(2),)


def test_p5_the_same_answer_again_is_nothing_another_one_is_refused() -> None:
    closed = answered(
        exported_batch(), answer_of(refused(2), taken(1), booked="10")
    )
    same = answer_of(taken(1), refused(2), booked="10")

    assert answered(closed, same) is closed
    for other in (
        answer_of(taken(1), taken(2), booked="30"),
        answer_of(taken(1), refused(2), booked="11"),
        answer_of(taken(1), refused(2), booked="10", batch="b-2"),
    ):
        code = code_of(lambda given=other: answered(closed, given))  # type: ignore[misc]
        assert code == "BatchAnswered"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer_of(taken(1), booked="10"), "BatchLines"),
        (answer_of(taken(1), taken(2), taken(3), booked="60"), "BatchLines"),
        (
            answer_of(taken(1), taken(2), booked="30", batch="b-2"),
            "BatchLines",
        ),
        (answer_of(taken(1), taken(2), booked="10"), "ControlTotal"),
        (answer_of(taken(1), taken(2)), "ControlTotal"),
        (answer_of(refused(1), refused(2), booked="1"), "ControlTotal"),
    ],
)
def test_p5_an_answer_is_for_each_line_and_adds_up(
    given: Any, code: str
) -> None:
    assert code_of(lambda: answered(exported_batch(), given)) == code


def test_p5_a_total_of_nothing_is_as_none() -> None:
    given = answer_of(refused(1), refused(2), booked="0")

    assert answered(exported_batch(), given).is_closed


def test_p5_what_was_not_exported_is_only_taken_back() -> None:
    not_sent = RefusalReason.NOT_SENT
    back = answer_of(refused(1, not_sent), refused(2, not_sent))
    for given in (
        answer_of(taken(1), refused(2, not_sent), booked="10"),
        answer_of(refused(1), refused(2, not_sent)),
    ):
        code = code_of(lambda given=given: answered(batch_of(), given))  # type: ignore[misc]
        assert code == "BatchNotExported"

    assert answered(batch_of(), back).is_closed


def test_p5_an_answer_says_one_thing_of_each() -> None:
    assert code_of(lambda: answer_of(taken(1), refused(1))) == "BatchLines"
    assert (
        code_of(
            lambda: BatchAnswer(
                batch="b-1", lines=(), booked=(usd("1"), usd("2"))
            )
        )
        == "ControlTotal"
    )
    assert code_of(lambda: BatchAnswer(batch="b", lines=("x",))) == "FieldType"  # type: ignore[arg-type]
    assert code_of(lambda: BatchAnswer(batch="b", lines=[taken(1)])) == (  # type: ignore[arg-type]
        "FieldType"
    )


def test_e3_a_card_number_in_the_ledgers_words_is_masked() -> None:
    line = refused(1, detail="card 4111 1111 1111 1111\tdeclined")

    assert line.detail == "card …\\x09declined"
    assert line.note == "matter closed: card …\\x09declined"
    assert refused(1).note == "matter closed"
    assert len(refused(1, detail="x" * 1_000).note) == 1_000


# -- What a posting keeps of the ledger ---------------------------------------


def test_p2_a_posting_keeps_what_the_ledger_said_while_it_is_there() -> None:
    posted = move_posting(
        queued(1), STATUS.POSTED, posted_on=BOOKED_ON, ledger_number="L-1"
    )
    assert (posted.posted_on, posted.ledger_number) == (BOOKED_ON, "L-1")

    applied = move_posting(posted, STATUS.APPLIED)
    assert (applied.posted_on, applied.ledger_number) == (BOOKED_ON, "L-1")
    for to in (STATUS.INCOMPLETE,):
        again = move_posting(posted, to, posted_on=BOOKED_ON)
        assert (again.posted_on, again.ledger_number) == (None, "")
    with pytest.raises(InvalidValueError, match="what the ledger says"):
        PostingMove(
            before=posted, after=attrs.evolve(applied, ledger_number="")
        )


# -- The desk -----------------------------------------------------------------


class Desk:
    """A firm's desk: postings, and the calls of its staff."""

    def __init__(self, make: Callable[[Any], Any] | None = None) -> None:
        self.world = World()
        if make is not None:
            self.world.store = make(self.world.clock)
        self.store: Any = self.world.store
        self.ports = self.world.ports

    def put(self, *postings: Posting) -> None:
        assert isinstance(
            self.store.commit(Change(postings=postings)), Committed
        )

    def now(self, number: int) -> Posting:
        [found] = [
            each
            for each in self.store.postings(PostingFilter())
            if each.id == f"p-{number}"
        ]
        assert isinstance(found, Posting)
        return found

    def make(self, name: str, *numbers: int, by: str = "ann") -> Any:
        return calls.make_batch(
            name, [self.now(each) for each in numbers], by=by, ports=self.ports
        )

    def export(self, name: str, by: str = "bob") -> Batch:
        return calls.export_batch(name, by=by, ports=self.ports)

    def answer(self, given: BatchAnswer, by: str = "cy") -> Batch:
        return calls.answer_batch(given, by=by, ports=self.ports)

    def advance(self, number: int, to: PostingStatus, **words: Any) -> Any:
        return calls.advance_postings(
            [self.now(number)], to, ports=self.ports, **words
        )


def pending(number: int, **fields: Any) -> Posting:
    return queued(number, status=STATUS.PENDING, **fields)


def on_sqlite(folder: Path, clock: Any) -> Any:
    return SqlitePostingStore(folder / "desk.db", clock=clock)


def on_postgres(_: Path, clock: Any) -> Any:
    from autopay_core.adapters.postgres import PostgresPostingStore
    from test_postgres import empty_database

    return PostgresPostingStore(empty_database("desk"), clock=clock)


def in_memory(_: Path, clock: Any) -> Any:
    return MemoryPostingStore(clock=clock)


STORES = [
    in_memory,
    on_sqlite,
    pytest.param(on_postgres, marks=pytest.mark.postgres),
]


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(lambda clock: request.param(tmp_path, clock))
    made.put(*(pending(number) for number in range(1, 5)))
    yield made
    if not isinstance(made.store, MemoryPostingStore):
        assert verify_history(made.store) == ()
        made.store.close()


def test_p5_a_batch_of_which_two_lines_are_refused_mended_sent_again(
    desk: Desk,
) -> None:
    first = desk.make("b-1", 3, 1, 2, 4)
    assert [each.id for each in first.postings] == ["p-3", "p-1", "p-2", "p-4"]
    assert first.control == (usd("100"),)
    assert desk.now(1).status is STATUS.QUEUED
    desk.export("b-1")

    closed = desk.answer(
        answer_of(
            taken(1),
            refused(2, detail="since May"),
            taken(3),
            refused(4, RefusalReason.PERIOD_CLOSED),
            booked="40",
        )
    )

    assert closed.is_closed
    assert desk.now(1).status is STATUS.POSTED
    assert desk.now(1).posted_on == BOOKED_ON
    assert desk.now(1).ledger_number == "L-1"
    assert desk.now(2).status is STATUS.INCOMPLETE
    assert desk.now(2).note == "matter closed: since May"
    assert desk.world.told() == [NoticeKind.POSTING_INCOMPLETE] * 2
    for number in (2, 4):
        desk.advance(number, STATUS.PENDING, by="ann", note="mended")
    second = desk.make("b-2", 2, 4)
    desk.export("b-2")
    desk.answer(answer_of(taken(2), refused(4), booked="20", batch="b-2"))
    assert isinstance(second, Batch)
    assert desk.now(2).status is STATUS.POSTED
    # What is refused again is told again.
    assert desk.world.told() == [NoticeKind.POSTING_INCOMPLETE] * 3


def test_p5_of_two_people_who_post_the_queue_one_sends_it(desk: Desk) -> None:
    for number in (1, 2):
        desk.advance(number, STATUS.QUEUED)
    seen = [desk.now(number) for number in (1, 2, 3)]
    mine = desk.make("ann-1", 1, 2)

    yours = calls.make_batch("bob-1", seen, by="bob", ports=desk.ports)

    assert isinstance(mine, Batch)
    assert yours == Conflict(
        reason=ConflictReason.BATCH, postings=("p-1", "p-2")
    )
    assert desk.now(3).status is STATUS.PENDING
    assert list(desk.store.batch("bob-1")) == []


def test_p5_a_double_click_makes_one_batch(desk: Desk) -> None:
    seen = [desk.now(1), desk.now(2)]
    first = calls.make_batch("b-1", seen, by="ann", ports=desk.ports)

    assert desk.make("b-1", 2, 1) == first
    assert calls.make_batch("b-1", seen, by="ann", ports=desk.ports) == first
    assert code_of(lambda: desk.make("b-1", 3)) == "BatchExists"


def test_p5_a_batch_whose_answer_was_lost_is_found_again(desk: Desk) -> None:
    store = desk.store

    class Losing(Shelf):
        def commit(self, change: Change, /) -> Committed | Conflict:
            super().commit(change)
            raise CommitUnknownError("lost")

    lossy = desk.world.ports_with(postings=Losing(store))
    seen = [desk.now(1)]
    with pytest.raises(CommitUnknownError):
        calls.make_batch("b-1", seen, by="ann", ports=lossy)

    again = calls.make_batch("b-1", seen, by="ann", ports=desk.ports)

    assert list(store.batch("b-1")) == [again]


@pytest.mark.parametrize(
    "status", [STATUS.INCOMPLETE, STATUS.POSTED, STATUS.APPLIED]
)
def test_p5_only_what_is_ready_goes_into_a_batch(
    desk: Desk, status: PostingStatus
) -> None:
    wrong = queued(1, status=status)

    code = code_of(
        lambda: calls.make_batch("b-1", [wrong], by="ann", ports=desk.ports)
    )

    assert code == "PostingNotReady"


def test_p5_a_batch_is_made_and_answered_by_somebody(desk: Desk) -> None:
    assert code_of(lambda: desk.make("b-1", 1, by=" ")) == "FieldMissing"
    assert code_of(lambda: desk.make("", 1)) == "FieldMissing"
    assert code_of(lambda: desk.make("b-1")) == "BatchSize"
    desk.make("b-1", 1)
    assert code_of(lambda: desk.export("b-1", by="")) == "FieldMissing"
    assert (
        code_of(lambda: desk.answer(answer_of(taken(1), booked="10"), by=""))
        == "FieldMissing"
    )
    assert code_of(lambda: desk.export("b-2")) == "BatchUnknown"
    assert (
        code_of(
            lambda: desk.answer(answer_of(taken(1), booked="10", batch="b-2"))
        )
        == "BatchUnknown"
    )


def test_p5_the_export_is_the_same_bytes_each_time(desk: Desk) -> None:
    desk.make("b-1", 2, 1)
    first = "".join(postings_csv(desk.export("b-1").postings))

    desk.world.clock.advance(days=1)
    assert "".join(postings_csv(desk.export("b-1").postings)) == first
    desk.answer(answer_of(taken(1), refused(2), booked="10"))
    desk.advance(2, STATUS.PENDING, by="ann", note="mended")
    again = desk.export("b-1", by="dee")

    assert "".join(postings_csv(again.postings)) == first
    assert again.exported_by == "bob"
    assert first.count("\r\n") == 3


def test_p5_a_posting_in_a_batch_moves_with_it_only(desk: Desk) -> None:
    desk.make("b-1", 1, 2)

    for to in (STATUS.POSTED, STATUS.PENDING, STATUS.REMOVED):
        with pytest.raises(InvalidValueError, match="answer the batch") as it:
            desk.advance(1, to, by="ann", note="by hand")
        assert it.value.code == "PostingInBatch"
    not_sent = RefusalReason.NOT_SENT
    desk.answer(answer_of(refused(1, not_sent), refused(2, not_sent)))

    assert desk.now(1).status is STATUS.PENDING
    assert desk.now(1).note == "not sent"
    assert desk.world.told() == []
    assert desk.advance(1, STATUS.REMOVED, by="ann", note="by hand")


def test_p5_an_answer_that_does_not_add_up_changes_nothing(desk: Desk) -> None:
    desk.make("b-1", 1, 2)
    before = desk.export("b-1")

    code = code_of(
        lambda: desk.answer(answer_of(taken(1), taken(2), booked="29"))
    )

    assert code == "ControlTotal"
    assert list(desk.store.batch("b-1")) == [before]
    assert desk.now(1).status is STATUS.QUEUED


def test_p5_the_same_answer_twice_is_taken_in_once(desk: Desk) -> None:
    desk.make("b-1", 1, 2)
    desk.export("b-1")
    given = answer_of(taken(1), refused(2), booked="10")
    closed = desk.answer(given)

    assert desk.answer(given, by="dee") == closed
    assert desk.world.told() == [NoticeKind.POSTING_INCOMPLETE]
    other = answer_of(taken(1), taken(2), booked="30")
    assert code_of(lambda: desk.answer(other)) == "BatchAnswered"


class Overtaken(Shelf):
    """A store in which somebody else does the same just before."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.first: Callable[[], object] | None = None

    def commit(self, change: Change, /) -> Committed | Conflict:
        first, self.first = self.first, None
        if first is not None:
            first()
        return super().commit(change)


@pytest.fixture
def overtaken(desk: Desk) -> Any:
    return Overtaken(desk.store)


def test_p5_of_two_who_make_export_or_answer_at_once_one_does(
    desk: Desk, overtaken: Overtaken
) -> None:
    ports = desk.world.ports_with(postings=overtaken)
    seen = [desk.now(1)]
    given = answer_of(taken(1), booked="10")

    overtaken.first = lambda: desk.make("b-1", 1, by="dee")
    made = calls.make_batch("b-1", seen, by="ann", ports=ports)
    overtaken.first = lambda: desk.export("b-1", by="dee")
    exported = calls.export_batch("b-1", by="bob", ports=ports)
    overtaken.first = lambda: desk.answer(given, by="dee")
    closed = calls.answer_batch(given, by="cy", ports=ports)

    assert isinstance(made, Batch)
    assert (made.by, exported.exported_by) == ("dee", "dee")
    assert closed.answered_by == "dee"


def test_ps_26_a_store_that_lets_a_posting_slip_away_is_named() -> None:
    desk = Desk()
    desk.put(pending(1))
    desk.make("b-1", 1)
    desk.export("b-1")
    desk.store._batched.clear()
    desk.advance(1, STATUS.PENDING, by="ann")

    with pytest.raises(HostProtocolError, match="PS-26"):
        desk.answer(answer_of(taken(1), booked="10"))


def test_p5_batches_are_listed(desk: Desk) -> None:
    made = [desk.make(f"b-{number}", number) for number in (1, 2, 3)]
    desk.export("b-2")

    assert calls.list_batches([BatchState.OPEN], ports=desk.ports) == [
        made[0],
        made[2],
    ]
    assert calls.list_batches(posting="p-3", ports=desk.ports) == [made[2]]
    assert calls.list_batches(posting="p-4", ports=desk.ports) == []
    assert len(calls.list_batches(ports=desk.ports)) == 3


def test_p5_more_batches_than_a_page_are_listed() -> None:
    desk = Desk()
    desk.put(*(pending(number) for number in range(1, 42)))
    for number in range(1, 42):
        desk.make(f"b-{number:02}", number)

    found = calls.list_batches(ports=desk.ports)

    assert [each.id for each in found] == [f"b-{n:02}" for n in range(1, 42)]


def test_p3_the_list_has_filters_an_order_and_totals(desk: Desk) -> None:
    desk.put(pending(9, amount=Money(amount_minor=7, currency="JPY")))
    desk.advance(2, STATUS.QUEUED)
    wanted = PostingFilter(
        least=usd("20"),
        greatest=usd("40"),
        sort=PostingSort.MADE,
        descending=True,
        most=2,
    )

    page = calls.find_postings(wanted, ports=desk.ports)
    rest = calls.find_postings(
        attrs.evolve(wanted, after=page[-1].id), ports=desk.ports
    )

    assert [each.id for each in [*page, *rest]] == ["p-4", "p-3", "p-2"]
    assert tuple(calls.posting_totals(wanted, ports=desk.ports)) == (
        PostingTotal(status=STATUS.PENDING, count=2, amount=usd("70")),
        PostingTotal(status=STATUS.QUEUED, count=1, amount=usd("20")),
    )
    assert len(calls.posting_totals(ports=desk.ports)) == 3
    assert (
        calls.find_postings(
            attrs.evolve(wanted, after="p-0"), ports=desk.ports
        )
        == []
    )


def test_m3_a_filter_has_one_currency() -> None:
    with pytest.raises(CurrencyMismatchError):
        PostingFilter(
            least=usd("1"), greatest=Money(amount_minor=7, currency="JPY")
        )
    assert code_of(lambda: PostingFilter(sort="id")) == "FieldType"  # type: ignore[arg-type]
    assert code_of(lambda: BatchFilter(states={BatchState.OPEN})) == (  # type: ignore[arg-type]
        "FieldType"
    )


def test_p5_on_an_event_loop_the_calls_are_the_same(desk: Desk) -> None:
    ports = in_threads(desk.ports)
    seen = [desk.now(1), desk.now(2)]

    async def work() -> Batch:
        made = await aio.make_batch("b-1", seen, by="ann", ports=ports)
        assert isinstance(made, Batch)
        await aio.export_batch("b-1", by="bob", ports=ports)
        given = answer_of(taken(1), refused(2), booked="10")
        closed = await aio.answer_batch(given, by="cy", ports=ports)
        assert await aio.list_batches(ports=ports) == [closed]
        wanted = PostingFilter(batch="b-1")
        found = await aio.find_postings(wanted, ports=ports)
        assert [each.id for each in found] == ["p-1", "p-2"]
        totals = await aio.posting_totals(wanted, ports=ports)
        assert len(await aio.posting_totals(ports=ports)) == 3
        assert sum(each.count for each in totals) == 2
        return closed

    assert asyncio.run(work()).is_closed


# -- History ------------------------------------------------------------------


def entries_of(store: Any) -> dict[int, list[Any]]:
    """Return what entries say of batches, by chain."""
    found: dict[int, list[Any]] = {}
    for head in store.history_heads():
        for entry in store.history(head.chain):
            if "batches" in entry.facts:
                found.setdefault(head.chain, []).append(entry.facts)
    return found


@pytest.fixture(params=STORES[1:])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(lambda clock: request.param(tmp_path, clock))
    made.put(
        *(
            pending(number, run=RunKey(autopay=f"ap-{number}", nominal_on=DAY))
            for number in range(1, 9)
        )
    )
    yield made
    made.store.close()


def test_t1_each_chain_of_a_batch_has_an_entry_of_each_step(
    kept: Desk,
) -> None:
    numbers = range(1, 9)
    kept.make("b-1", *numbers)
    kept.export("b-1")
    kept.answer(answer_of(*(taken(each) for each in numbers), booked="360"))

    chains = Counter(chain_of(f"ap-{each}") for each in numbers)
    found = entries_of(kept.store)
    assert found.keys() == chains.keys()
    assert len(chains) > 1
    for chain, lines in chains.items():
        assert [(each["batches"], each["by"]) for each in found[chain]] == [
            ([["b-1", "open", lines]], "ann"),
            ([["b-1", "exported", lines]], "bob"),
            ([["b-1", "answered", lines]], "cy"),
        ]
    assert verify_history(kept.store) == ()


def test_t1_a_batch_of_one_chain_has_one_entry_for_each_step(
    desk: Desk,
) -> None:
    if isinstance(desk.store, MemoryPostingStore):
        pytest.skip("it has no history")
    desk.make("b-1", 1, 2)
    desk.export("b-1")
    desk.export("b-1", by="dee")

    [said] = entries_of(desk.store).values()

    assert [each["batches"] for each in said] == [
        [["b-1", "open", 2]],
        [["b-1", "exported", 2]],
    ]


def test_t2_a_batch_that_is_changed_by_hand_is_found(tmp_path: Path) -> None:
    made = Desk(lambda clock: on_sqlite(tmp_path, clock))
    made.put(pending(1), pending(2))
    made.make("b-1", 1, 2)
    made.export("b-1")

    for change, row in (
        ("UPDATE autopay_batches SET state = 'open'", "autopay_batches b-1"),
        (
            "UPDATE autopay_batch_lines SET is_open = 0 WHERE posting = 'p-2'",
            "autopay_batch_lines b-1 p-2",
        ),
    ):
        with closing(sqlite3.connect(tmp_path / "desk.db")) as connection:
            connection.execute(change)
            connection.commit()
        assert row in {each.row for each in verify_history(made.store)}
    made.store.close()


# -- Shown --------------------------------------------------------------------


def test_a_batch_and_a_list_of_them_show_themselves(desk: Desk) -> None:
    desk.make("b-1", 1, 2)
    desk.export("b-1")
    desk.answer(answer_of(taken(1), refused(2), booked="10"))
    found = calls.list_batches(ports=desk.ports)

    assert "INV-2" in found[0]._repr_html_()
    assert "b-1: 2 postings" in found[0]._repr_html_()
    [row] = batches_table(found).rows
    assert row[:1] + row[2:] == (
        "b-1",
        "ann",
        "2",
        "USD 30.00",
        "answered",
        "1",
    )
    assert "answered" in found._repr_html_()


# -- Cost ---------------------------------------------------------------------


def test_ps_27_totals_of_everything_read_an_index_only(
    tmp_path: Path,
) -> None:
    made = Desk(lambda clock: on_sqlite(tmp_path, clock))
    made.put(pending(1))

    assert len(made.store.posting_totals(PostingFilter())) == 1

    with closing(sqlite3.connect(tmp_path / "desk.db")) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT status, currency, COUNT(*), "
            "SUM(minor) FROM autopay_postings GROUP BY status, currency "
            "ORDER BY status, currency"
        ).fetchall()
    assert [step for *_, step in plan] == [
        "SCAN autopay_postings USING COVERING INDEX autopay_postings_totals"
    ]
    made.store.close()


def test_p5_a_batch_of_five_thousand_goes_all_the_way(tmp_path: Path) -> None:
    made = Desk(lambda clock: on_sqlite(tmp_path, clock))
    lines = [
        queued(1, id=f"p-{number:04}", amount=usd("1"))
        for number in range(BATCH_MOST)
    ]
    made.put(*lines)

    batch = calls.make_batch("b-1", lines, by="ann", ports=made.ports)
    assert isinstance(batch, Batch)
    made.export("b-1")
    closed = made.answer(
        BatchAnswer(
            batch="b-1",
            lines=tuple(
                LineAccepted(
                    posting=each.id, number="L-1", posted_on=BOOKED_ON
                )
                for each in lines
            ),
            booked=batch.control,
        )
    )

    assert closed.is_closed
    assert made.store.posting_totals(PostingFilter(batch="b-1")) == (
        PostingTotal(
            status=STATUS.POSTED, count=BATCH_MOST, amount=usd("5000")
        ),
    )
    assert verify_history(made.store) == ()
    made.store.close()
