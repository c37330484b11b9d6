"""What the ledger shows is applied, and nothing else is (P2, P3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core import aio, calls
from autopay_core.adapters.threads import in_threads
from autopay_core.batches import Acknowledged, LedgerEntry
from autopay_core.commits import Change, Conflict, ConflictReason
from autopay_core.engine import desk as flows
from autopay_core.engine.requests import Commit
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.postings import Posting, PostingStatus
from test_batches import STORES, Desk, answer_of, pending, queued, taken
from worlds import Script, usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATUS = PostingStatus


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Give a desk with a posting of each kind: 1 and 2 are sent."""
    made = Desk(lambda clock: request.param(tmp_path, clock))
    made.put(*(pending(number) for number in range(1, 7)))
    for number in (1, 2, 3, 4):
        made.advance(number, STATUS.QUEUED)
    made.advance(2, STATUS.POSTED)
    made.advance(3, STATUS.APPLIED, by="ann")
    made.advance(4, STATUS.INCOMPLETE, note="matter closed")
    made.advance(6, STATUS.REMOVED, by="ann", note="by hand")
    yield made
    if hasattr(made.store, "close"):
        made.store.close()


def shown(number: int, **fields: Any) -> LedgerEntry:
    return LedgerEntry(
        **{
            "posting": f"p-{number}",
            "invoice": f"INV-{number}",
            "amount": usd(str(number * 10)),
            **fields,
        }
    )


def said(desk: Desk, *entries: LedgerEntry, by: str = "ledger") -> Any:
    return calls.acknowledge(entries, by=by, ports=desk.ports)


def test_p2_what_was_sent_and_is_shown_is_applied(desk: Desk) -> None:
    found = said(desk, shown(2), shown(1))

    assert found == Acknowledged(applied=(desk.now(1), desk.now(2)))
    assert found.is_clean
    assert {desk.now(number).status for number in (1, 2)} == {STATUS.APPLIED}
    assert str(found) == "2 applied, 0 were before."


def test_p2_the_same_figures_again_change_nothing(desk: Desk) -> None:
    said(desk, shown(1), shown(2))

    again = said(desk, shown(1), shown(2), shown(3))

    assert again == Acknowledged(already=(shown(1), shown(2), shown(3)))
    assert again.is_clean


def test_p2_what_differs_stays_open(desk: Desk) -> None:
    less = shown(1, amount=usd("9.99"))
    other = shown(2, invoice="INV-9")

    found = said(desk, less, other)

    assert found == Acknowledged(differs=(less, other))
    assert not found.is_clean
    assert desk.now(1).status is STATUS.QUEUED
    assert desk.now(2).status is STATUS.POSTED
    assert str(found).splitlines()[1:] == [
        "p-1: USD 9.99 on INV-1 is not what is on record",
        "p-2: USD 20.00 on INV-9 is not what is on record",
    ]


def test_p2_what_the_ledger_shows_twice_is_a_persons(desk: Desk) -> None:
    found = said(desk, shown(1), shown(2), shown(1))

    assert found.differs == (shown(1), shown(1))
    assert [each.id for each in found.applied] == ["p-2"]
    assert desk.now(1).status is STATUS.QUEUED


def test_p2_what_nobody_sent_is_unexpected(desk: Desk) -> None:
    found = said(desk, shown(4), shown(5), shown(6))

    assert found == Acknowledged(unexpected=(shown(4), shown(5), shown(6)))
    assert [desk.now(number).status for number in (4, 5, 6)] == [
        STATUS.INCOMPLETE,
        STATUS.PENDING,
        STATUS.REMOVED,
    ]


def test_p2_an_applied_one_that_differs_is_said(desk: Desk) -> None:
    less = shown(3, amount=usd("1"))

    assert said(desk, less) == Acknowledged(differs=(less,))


def test_p2_what_is_of_no_posting_is_unknown(desk: Desk) -> None:
    found = said(desk, shown(9), shown(1))

    assert found.unknown == (shown(9),)
    assert [each.id for each in found.applied] == ["p-1"]
    assert str(found).endswith(
        "p-9: USD 90.00 on INV-9 is of no posting on record"
    )


def test_p5_what_is_in_a_batch_waits_for_its_answer(desk: Desk) -> None:
    desk.make("b-1", 1)

    found = said(desk, shown(1), shown(2))

    assert found.unexpected == (shown(1),)
    assert [each.id for each in found.applied] == ["p-2"]
    assert str(found).endswith(
        "p-1: USD 10.00 on INV-1 was not expected yet, or any more"
    )
    desk.export("b-1")
    desk.answer(answer_of(taken(1), booked="10"))
    assert said(desk, shown(1)).applied == (desk.now(1),)


def test_p4_what_went_back_is_shown_with_its_sign(desk: Desk) -> None:
    back = queued(8, invoice="INV-1", amount=-usd("3"), reverses="p-1")
    desk.put(back)
    entry = shown(8, invoice="INV-1", amount=-usd("3"))

    assert [each.id for each in said(desk, entry).applied] == ["p-8"]


def test_p2_many_figures_are_taken_in_by_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows, "_MOVES_AT_ONCE", 3)
    desk = Desk()
    desk.put(*(queued(number) for number in range(1, 9)))

    found = said(desk, *(shown(number) for number in range(1, 9)))

    assert len(found.applied) == 8


def test_p3_somebody_has_to_say_so(desk: Desk) -> None:
    with pytest.raises(InvalidValueError) as caught:
        said(desk, shown(1), by="")
    assert caught.value.code == "FieldMissing"
    with pytest.raises(InvalidValueError) as caught:
        said(desk, "p-1")  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.path) == ("FieldType", "shown[0]")


def test_p2_what_another_one_moved_meanwhile_is_looked_at_again() -> None:
    """The first commit loses a race; the second read shows who won."""
    one = queued(1)
    applied = attrs.evolve(one, status=STATUS.APPLIED)
    script = Script(
        flows.acknowledge([shown(1)], by="ledger"),
        [one],
        Conflict(reason=ConflictReason.POSTING),
        [],
        [applied],
        [],
    )

    assert script.go() == Acknowledged(already=(shown(1),))


def test_p2_who_loses_every_race_says_so() -> None:
    one = queued(1)
    lost = Conflict(reason=ConflictReason.POSTING)
    script = Script(
        flows.acknowledge([shown(1)], by="ledger"), *([one], lost) * 8
    )

    with pytest.raises(PortUnavailableError) as caught:
        script.go()

    assert caught.value.code == "StoreBusy"
    changes = [
        each.change for each in script.requests if isinstance(each, Commit)
    ]
    assert len(changes) == 8
    assert isinstance(changes[0], Change)
    assert changes[0].by == "ledger"


def test_p2_it_is_awaited_as_well(desk: Desk) -> None:
    async def act() -> Acknowledged:
        ports = in_threads(desk.ports)
        return await aio.acknowledge([shown(1)], by="ledger", ports=ports)

    found = asyncio.run(act())

    assert [each.id for each in found.applied] == ["p-1"]


def test_p2_what_is_applied_is_on_its_way_no_more(desk: Desk) -> None:
    before: Posting = desk.now(1)
    assert "INV-1" in desk.store.open_amounts(["C-1"]).amounts

    said(desk, shown(1))

    assert before.is_open
    assert "INV-1" not in desk.store.open_amounts(["C-1"]).amounts
