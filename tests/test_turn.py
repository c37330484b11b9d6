"""One auto-pay's turn by itself: rules S12, R4, R5, R6, R11."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, NoReturn, cast

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core import aio
from autopay_core.adapters.memory import Fault
from autopay_core.calls import turn
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.references import RunKey
from autopay_core.runs import RunStatus
from autopay_core.schedules import MissedPolicy
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
)

OTHER_KEY = RunKey(autopay="ap-2", nominal_on=DAY)
OTHERS = standing_order(
    id="ap-2",
    payer="p2",
    enrollments=(to_client("C-2", "p2"),),
    method=attrs.evolve(CARD, token="tok_card_0002"),
)


def _twins() -> tuple[World, World]:
    """Return two equal worlds, with a store of one id."""
    one, other = World(bill("INV-1", "9.00")), World(bill("INV-1", "9.00"))
    other.store._id = one.store._id
    return one, other


@given(
    fault=st.sampled_from([None, *Fault]),
    missed=st.sampled_from(MissedPolicy),
    days=st.lists(st.integers(0, 35), min_size=1, max_size=4).map(sorted),
)
def test_s12_a_turn_does_what_a_sweep_of_one_auto_pay_does(
    fault: Fault | None, missed: MissedPolicy, days: list[int]
) -> None:
    swept, turned = _twins()
    order = standing_order(missed=missed)
    if fault is not None:
        swept.gateway.script(fault)
        turned.gateway.script(fault)

    for day in days:
        as_of = DAY + timedelta(days=day)
        turned.clock.reach(as_of)
        # What a sweep recovers before the turn, a turn finds in it.
        swept.sweep(order, as_of=as_of)
        turn(order, as_of=as_of, ports=turned.ports)

    assert {each.key: each.state for each in turned.records} == {
        each.key: each.state for each in swept.records
    }
    assert turned.taken == swept.taken
    assert turned.reserved() == swept.reserved()


def test_r4_a_turn_goes_on_with_its_own_doubt_and_leaves_the_others() -> None:
    world = World(bill("INV-1", "9.00"), bill("INV-2", "7.00", client="C-2"))
    world.gateway.script(Fault.LOSE_ANSWER, Fault.LOSE_ANSWER)
    own = standing_order()
    world.sweep(own, OTHERS)
    world.clock.advance(hours=1)
    [before] = [each for each in world.records if each.key == OTHER_KEY]
    assert before.state.is_doubtful

    [result] = turn(own, as_of=DAY, ports=world.ports)

    assert result.status is RunStatus.PAID
    [after] = [each for each in world.records if each.key == OTHER_KEY]
    assert after == before
    [recovered] = world.recover()
    assert (recovered.key, recovered.status) == (OTHER_KEY, RunStatus.PAID)


def test_r5_a_second_turn_of_a_day_does_nothing() -> None:
    world = World(bill("INV-1", "9.00"))

    [first] = turn(standing_order(), as_of=DAY, ports=world.ports)

    assert first.status is RunStatus.PAID
    assert turn(standing_order(), as_of=DAY, ports=world.ports) == ()
    assert len(world.taken) == 1


def test_r6_what_a_turn_did_is_answered_if_its_end_cannot_be_told() -> None:
    def down(*_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    world = World(bill("INV-1", "9.00"))
    world.gateway.script(Fault.UNAVAILABLE)
    rig(world.store, waiting=down)
    rig(world.matters, open_invoices=down)

    [result] = turn(standing_order(), as_of=DAY, ports=world.ports)

    assert result.status is RunStatus.WAITING
    assert world.told() == []  # That it is late would have been told.


def test_r11_a_turn_of_a_day_that_has_not_come_is_refused() -> None:
    world = World(bill("INV-1", "9.00"))

    with pytest.raises(InvalidValueError) as caught:
        turn(standing_order(), as_of=FEBRUARY, ports=world.ports)

    assert caught.value.code == "DateAhead"
    assert world.records == ()


def test_r6_what_is_no_auto_pay_gets_no_turn() -> None:
    with pytest.raises(InvalidValueError) as caught:
        turn(cast("Any", "ap-1"), as_of=DAY, ports=World().ports)

    assert (caught.value.code, caught.value.path) == ("FieldType", "autopay")


def test_s12_the_awaited_turn_does_the_same() -> None:
    one, other = _twins()

    blocking = turn(standing_order(), as_of=DAY, ports=one.ports)
    awaited = asyncio.run(
        aio.turn(standing_order(), as_of=DAY, ports=awaitable(other.ports))
    )

    assert blocking == awaited
    assert one.records == other.records
    assert one.notifier.sent == other.notifier.sent
