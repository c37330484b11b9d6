"""What is captured goes to the ledger by itself, if the host says so (P2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core import aio, calls
from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.batches import BATCH_MOST, Batch, BatchAnswer, LineAccepted
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    PostingFilter,
)
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.limits import Limit
from autopay_core.movements import Movement, MovementKind
from autopay_core.policy import Policy
from autopay_core.postings import Posting, PostingStatus
from autopay_core.runs import RunStatus, postings_of
from autopay_core.serialization import dumps, loads
from worlds import (
    BANK,
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    posting,
    standing_order,
    usd,
)

if TYPE_CHECKING:
    from pathlib import Path

    from autopay_core.ports import Ports

STATUS = PostingStatus
BY_ITSELF = Policy(automatic_posting=True)


@pytest.fixture
def world() -> World:
    """Make a world of two invoices that are paid whole."""
    return World(bill("INV-1", "100"), bill("INV-2", "60"))


def pay(world: World, policy: Policy = BY_ITSELF) -> Any:
    ports = world.ports_with(policy=policy)
    [result] = calls.sweep([standing_order()], as_of=DAY, ports=ports)
    return result


def statuses(world: World) -> list[PostingStatus]:
    found = world.store.postings(PostingFilter())
    return [each.status for each in found if isinstance(each, Posting)]


def test_p2_what_is_captured_is_queued_where_the_host_says_so(
    world: World,
) -> None:
    result = pay(world)

    assert statuses(world) == [STATUS.QUEUED, STATUS.QUEUED]
    assert result.record.intent.automatic_posting
    assert {each.status for each in result.postings} == {STATUS.QUEUED}
    # What is queued has not reached the ledger: it is open.
    assert world.reserved() == {"INV-1": usd("100"), "INV-2": usd("60")}


def test_p2_without_the_setting_staff_select_it(world: World) -> None:
    result = pay(world, Policy())

    assert statuses(world) == [STATUS.PENDING, STATUS.PENDING]
    assert not result.record.intent.automatic_posting
    assert calls.batch_queued("b-1", by="job", ports=world.ports) is None


def test_p2_a_run_keeps_to_what_held_when_it_was_planned() -> None:
    slow = World(bill("INV-1", "100"), bank_debits_pend=True)
    ports = slow.ports_with(policy=BY_ITSELF)
    order = standing_order(method=BANK)
    [result] = calls.sweep([order], as_of=DAY, ports=ports)
    assert result.status is RunStatus.PENDING
    assert result.record is not None
    assert result.record.attempt is not None
    slow.clock.advance(days=3)
    slow.gateway.settle(result.record.attempt.key)

    list(calls.recover(ports=slow.ports))  # Without the setting, by now.

    assert statuses(slow) == [STATUS.QUEUED]


def test_p4_what_goes_back_is_queued_as_well(world: World) -> None:
    result = pay(world)
    calls.receive(
        Movement(
            id="evt-1",
            kind=MovementKind.RETURNED,
            amount=usd("60"),
            on=FEBRUARY,
            run=result.key,
        ),
        ports=world.ports,
    )

    assert statuses(world) == [STATUS.QUEUED] * 3
    batch = calls.batch_queued("b-1", by="job", ports=world.ports)
    assert batch is not None
    assert batch.control == (usd("100"),)


def test_p2_a_record_of_before_is_not_posted_by_itself(world: World) -> None:
    record = pay(world, Policy()).record
    text = dumps(record)
    assert '"automatic_posting":false' in text.replace(" ", "")

    before = text.replace('"automatic_posting":false,', "").replace(
        ',"automatic_posting":false', ""
    )

    assert loads(before, type(record)) == record


# -- The batch of what is queued ---------------------------------------------


def put(world: World, *postings: Posting) -> None:
    assert isinstance(world.store.commit(Change(postings=postings)), Committed)


def waiting(number: int, **fields: Any) -> Posting:
    return posting(
        **{
            "id": f"p-{number:04}",
            "invoice": f"INV-{number}",
            "status": STATUS.QUEUED,
            **fields,
        }
    )


def ids(batch: Batch | None) -> list[str]:
    return [] if batch is None else [str(each.id) for each in batch.postings]


def test_p5_what_is_queued_and_free_goes_first_charged_first(
    world: World,
) -> None:
    put(
        world,
        waiting(1, charged_on=FEBRUARY),
        waiting(2),
        waiting(3, status=STATUS.PENDING),
        waiting(4),
    )
    [second] = [
        each
        for each in world.store.postings(PostingFilter())
        if isinstance(each, Posting) and each.id == "p-0002"
    ]
    calls.make_batch("by-hand", [second], by="ann", ports=world.ports)

    batch = calls.batch_queued("2026-02-28", by="job", ports=world.ports)

    assert ids(batch) == ["p-0004", "p-0001"]
    # The job once more, and once more under another id.
    assert (
        calls.batch_queued("2026-02-28", by="job", ports=world.ports) == batch
    )
    assert calls.batch_queued("again", by="job", ports=world.ports) is None
    assert len(list(world.store.batches(BatchFilter()))) == 2


def test_p5_on_an_event_loop_it_is_the_same(world: World) -> None:
    put(world, waiting(1))

    batch = asyncio.run(
        aio.batch_queued("b-1", by="job", ports=awaitable(world.ports))
    )

    assert ids(batch) == ["p-0001"]
    assert batch == calls.batch_queued("b-1", by="ann", ports=world.ports)


def test_p5_more_than_a_batch_holds_waits_for_the_next(world: World) -> None:
    put(world, *(waiting(number) for number in range(1, BATCH_MOST + 3)))

    first = calls.batch_queued("b-1", by="job", ports=world.ports)
    second = calls.batch_queued("b-2", by="job", ports=world.ports)

    assert len(ids(first)) == BATCH_MOST
    assert ids(second) == [f"p-{BATCH_MOST + 1:04}", f"p-{BATCH_MOST + 2:04}"]


def test_p5_what_the_ledger_took_in_is_in_no_second_batch(
    world: World,
) -> None:
    put(world, waiting(1), waiting(2))
    ports = world.ports
    batch = calls.batch_queued("b-1", by="job", ports=ports)
    assert batch is not None
    calls.export_batch("b-1", by="job", ports=ports)
    calls.answer_batch(
        BatchAnswer(
            batch="b-1",
            lines=tuple(
                LineAccepted(posting=each.id, number="L-1", posted_on=DAY)
                for each in batch.postings
            ),
            booked=batch.control,
        ),
        by="ledger",
        ports=ports,
    )

    assert calls.batch_queued("b-2", by="job", ports=ports) is None


def test_p5_of_two_jobs_none_sends_what_the_other_sends(
    tmp_path: Path,
) -> None:
    world = World()
    with SqlitePostingStore(tmp_path / "a.db", clock=world.clock) as store:
        store.commit(Change(postings=(waiting(1), waiting(2))))
        ports = world.ports_with(postings=store)
        other: list[Batch | None] = []

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            def commit(self, change: Change, /) -> Committed | Conflict:
                if not other:
                    other.append(None)
                    other[0] = calls.batch_queued(
                        "theirs", by="job 2", ports=ports
                    )
                return store.commit(change)

        slow = world.ports_with(postings=Slow())

        mine = calls.batch_queued("mine", by="job 1", ports=slow)

    assert ids(other[0]) == ["p-0001", "p-0002"]
    assert mine is None


def test_p5_one_in_a_batch_that_cannot_be_read_is_left_out(
    world: World,
) -> None:
    put(world, waiting(1), waiting(2))
    [first, _] = world.store.postings(PostingFilter())
    assert isinstance(first, Posting)
    calls.make_batch("broken", [first], by="ann", ports=world.ports)

    ports = world.ports_with(postings=_Blind(world.store))
    batch = calls.batch_queued("b-1", by="job", ports=ports)

    assert ids(batch) == ["p-0002"]


class _Blind:
    """A store of which no batch can be listed."""

    def __init__(self, store: MemoryPostingStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def batches(self, _: BatchFilter, /) -> tuple[Batch, ...]:
        return ()


def test_p5_others_who_never_rest_are_said_by_name(world: World) -> None:
    put(world, waiting(1))

    class Busy(_Blind):
        def commit(self, change: Change, /) -> Conflict:
            return Conflict(reason=ConflictReason.BATCH)

    ports: Ports = world.ports_with(postings=Busy(world.store))

    with pytest.raises(PortUnavailableError) as raised:
        calls.batch_queued("b-1", by="job", ports=ports)
    assert raised.value.code == "StoreBusy"


@pytest.mark.parametrize(
    "given", [{"id": ""}, {"by": ""}, {"by": "x" * 129}, {"id": 7}]
)
def test_p5_a_batch_has_an_id_and_a_maker(
    world: World, given: dict[str, Any]
) -> None:
    words = {"id": "b-1", "by": "job", **given}
    with pytest.raises(InvalidValueError):
        calls.batch_queued(words["id"], by=words["by"], ports=world.ports)


def test_p1_the_sum_is_the_same_either_way(world: World) -> None:
    record = pay(world).record
    assert record.intent is not None
    by_hand = attrs.evolve(
        record, intent=attrs.evolve(record.intent, automatic_posting=False)
    )

    assert [
        attrs.evolve(each, status=STATUS.PENDING)
        for each in postings_of(record)
    ] == list(postings_of(by_hand))
    assert record.intent.allocation.limit == Limit.all("USD")
