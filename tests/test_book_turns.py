"""An order's turn by itself is the one that a sweep would give it (O3)."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from autopay_core import holds as hold_values
from autopay_core.adapters.memory import Fault
from autopay_core.autopay import AdvanceNotice
from autopay_core.book import Book, ChangeName, MemoryBookStore, TurnOff
from autopay_core.calls import hold, lift
from autopay_core.commits import Unreadable
from autopay_core.engine.lanes import in_groups
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.runs import RunStatus
from autopay_core.schedules import MissedPolicy, Schedule
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay
    from autopay_core.runs import RunResult

ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}


class Desk(World):
    """A world whose orders are in a book, with a turn for each."""

    def __init__(self, *invoices: Any, **more: Any) -> None:
        super().__init__(*invoices, **more)
        self.book = Book(MemoryBookStore(clock=self.clock))

    def add(self, **changes: Any) -> None:
        self.book.add(standing_order(**changes), as_of=DAY, **ANN)

    def begin(self, as_of: date = DAY) -> tuple[tuple[str, ...], ...]:
        self.clock.reach(as_of)
        return self.book.begin_night(as_of=as_of, ports=self.ports)

    def turn(
        self, autopay: str = "ap-1", as_of: date = DAY, **more: Any
    ) -> tuple[RunResult, ...]:
        self.clock.reach(as_of)
        return self.book.turn(autopay, as_of=as_of, ports=self.ports, **more)

    def night(self, as_of: date) -> None:
        self.clock.reach(as_of)
        list(self.book.sweep(as_of=as_of, ports=self.ports))

    def next_on(self, autopay: str = "ap-1") -> date | None:
        kept = {each.id: each for each in self.book.of_payer("p1")}
        return kept[autopay].next_on


ORDERS: dict[str, dict[str, Any]] = {
    "ap-1": {},
    "ap-2": {"schedule": Schedule.weekly(DAY)},
    "ap-3": {
        "schedule": Schedule.monthly(DAY, day=15),
        "enrollments": (to_client("C-2"),),
        "missed": MissedPolicy.ALL,
    },
    "ap-4": {
        "enrollments": (to_client("C-2"),),
        "advance_notice": AdvanceNotice(),
    },
}


def office() -> Desk:
    made = Desk(
        *(
            bill(f"INV-{number}", "10", client=client)
            for number, client in enumerate(("C-1", "C-2") * 3)
        )
    )
    made.store._id = "the same"
    for id_, changes in ORDERS.items():
        made.add(id=id_, **changes)
    return made


@settings(max_examples=30)
@given(
    faults=st.lists(st.sampled_from(Fault), max_size=3),
    days=st.lists(st.integers(0, 40), min_size=1, max_size=4).map(sorted),
)
def test_o3_turns_of_a_night_do_what_its_sweep_does(
    faults: list[Fault], days: list[int]
) -> None:
    swept, turned = office(), office()
    for each in (swept, turned):
        each.gateway.script(*faults)

    for day in days:
        as_of = DAY + timedelta(days=day)
        swept.night(as_of)
        groups = turned.begin(as_of)
        due = {each.id for each in turned.book.due(as_of)}
        assert due <= {each for group in groups for each in group}
        for id_ in (each for group in groups for each in group):
            turned.turn(id_, as_of)

    assert {each.key: each.state for each in turned.records} == {
        each.key: each.state for each in swept.records
    }
    assert turned.taken == swept.taken
    assert turned.reserved() == swept.reserved()
    for id_ in ORDERS:
        assert turned.next_on(id_) == swept.next_on(id_)


def test_o3_a_turn_moves_the_next_day_as_a_sweep_does() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()

    [result] = desk.turn()

    assert result.status is RunStatus.PAID
    assert desk.next_on() == FEBRUARY
    assert desk.turn() == ()
    assert desk.taken == [usd("9")]


def test_o3_an_edit_in_the_middle_of_a_turn_by_itself_is_not_lost() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()
    charge = desk.gateway.charge  # type: ignore[union-attr]

    def charge_and_edit(request: Any) -> Any:
        desk.book.do(
            "ap-1",
            ChangeName("Acme"),
            as_of=DAY,
            version=1,
            ports=desk.ports,
            **ANN,
        )
        return charge(request)

    rig(desk.gateway, charge=charge_and_edit)
    desk.turn()

    assert desk.next_on() == DAY


def test_r7_a_turn_is_of_the_order_as_it_stands() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()
    [[id_]] = desk.begin()
    off = TurnOff()
    desk.book.do("ap-1", off, as_of=DAY, version=1, ports=desk.ports, **ANN)

    desk.turn(id_)

    assert desk.taken == []


def test_a7_a_turn_pays_by_no_method_that_the_payer_has_no_more() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.book.associate("p1", [to_client()], version=0, **ANN)
    desk.book.save_method("p1", CARD, version=1, **ANN)
    desk.add()
    desk.book.remove_method("p1", CARD, as_of=DAY, version=2, **ANN)

    [result] = desk.turn()

    assert result.status is RunStatus.FAILED
    assert desk.taken == []


def test_r6_a_turn_of_what_cannot_be_read_says_so_and_stays_due() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()
    store: Any = desk.book._store
    [kept] = store.due(DAY, None, 1)
    spoilt = attrs.evolve(
        kept, version=Unreadable(key="ap-1", code="FormatNewer")
    )
    rig(store, latest=lambda *_: (spoilt,))

    assert desk.begin() == (("ap-1",),)
    [result] = desk.turn()

    assert (result.status, result.reason, result.autopay) == (
        RunStatus.POSTPONED,
        "FormatNewer",
        "ap-1",
    )
    assert desk.next_on() == DAY


def test_a_turn_of_an_order_that_is_not_in_the_book_is_refused() -> None:
    with pytest.raises(InvalidValueError) as raised:
        Desk().turn("ap-9")

    assert raised.value.code == "NotInBook"


def test_r11_no_order_has_a_turn_of_a_day_that_has_not_come() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.book.turn("ap-1", as_of=FEBRUARY, ports=desk.ports)

    assert raised.value.code == "DateAhead"
    assert desk.next_on() == DAY


def test_a_store_that_is_away_raises_and_the_order_stays_due() -> None:
    def away(*_: object) -> Any:
        raise PortUnavailableError("away")

    desk = Desk(bill("INV-1", "9.00"))
    desk.add()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.store, "standing", away)
        with pytest.raises(PortUnavailableError):
            desk.turn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.book._store, "move_on", away)
        with pytest.raises(PortUnavailableError):
            desk.turn()

    assert desk.next_on() == DAY
    assert desk.turn() == ()
    assert (desk.next_on(), desk.taken) == (FEBRUARY, [usd("9")])


def test_o3_a_turn_that_another_worker_has_is_left_to_it() -> None:
    desk = Desk(bill("INV-1", "9.00"))
    desk.add()
    desk.clock.reach(DAY)
    assert desk.store.claim(KEY, 60)

    desk.turn(claim_seconds=60)

    assert desk.taken == []
    assert desk.next_on() == DAY + timedelta(days=1)
    desk.clock.advance(seconds=61)
    [result] = desk.turn(claim_seconds=60)
    assert result.status is RunStatus.PAID


def test_r5_one_turn_on_two_machines_at_the_same_moment_charges_once() -> None:
    desk, both = Desk(bill("INV-1", "9.00")), threading.Barrier(2, timeout=30)
    desk.add()
    desk.clock.reach(DAY)
    opened = desk.store.open_amounts

    def meet(*clients: Any) -> Any:
        found = opened(*clients)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # Both have read that nothing is on its way.
        both.abort()
        return found

    rig(desk.store, open_amounts=meet)
    with ThreadPoolExecutor(2) as pool:
        turns = [pool.submit(desk.turn) for _ in range(2)]
    for each in turns:
        each.result()

    assert desk.taken == [usd("9")]
    assert len(desk.records) == 1


def test_o3_a_night_begins_with_what_was_left_open_and_with_what_waits() -> (
    None
):
    desk = Desk(bill("INV-1", "9.00"), bill("INV-2", "7.00", client="C-2"))
    desk.add()
    desk.add(id="ap-2", enrollments=(to_client("C-2"),))
    held = hold(
        hold_values.Hold.on_payer("p1", by="Ann", reason="asked"),
        ports=desk.ports,
    )
    desk.night(DAY)
    assert desk.book.due(DAY) == ()

    lift(held, by="Ann", reason="settled", ports=desk.ports)

    # One payer, so one after the other.
    assert desk.begin() == (("ap-1", "ap-2"),)


def test_o3_orders_with_nothing_in_common_are_in_groups_of_their_own() -> None:
    def order(number: int, payer: str, *clients: str) -> AutoPay:
        return standing_order(
            id=f"ap-{number}",
            payer=payer,
            method=attrs.evolve(CARD, token=f"tok_of_{payer}"),
            enrollments=tuple(to_client(each, payer) for each in clients),
        )

    orders = [
        order(1, "p1", "C-1"),
        order(2, "p2", "C-2"),
        order(3, "p3", "C-3"),
        order(4, "p4", "C-4", "C-2"),
        order(5, "p1", "C-4"),
        order(6, "p6", "C-6"),
    ]
    given_by_book: dict[str, object] = {each.id: each for each in orders}
    given_by_book["ap-7"] = Unreadable(key="ap-7", code="FormatNewer")

    assert in_groups(given_by_book) == (
        ("ap-1", "ap-2", "ap-4", "ap-5"),
        ("ap-3",),
        ("ap-6",),
        ("ap-7",),
    )
    assert in_groups({}) == ()
