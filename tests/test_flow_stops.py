"""Nothing is sent after a stop order: rule R7."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.calls import stop
from autopay_core.charges import (
    ChargeRequest,
    LookupOutcome,
)
from autopay_core.commits import (
    StopOrder,
)
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    Traced,
    World,
    bill,
    rig,
    standing_order,
    traced_run,
)


@pytest.mark.parametrize(
    "target", [StopOrder.autopay("ap-1"), StopOrder.method(CARD.fingerprint)]
)
def test_r7_nothing_is_sent_after_a_stop_order(target: str) -> None:
    world = World(bill("INV-1", "120.00"))
    world.stop(target)

    result = world.run(standing_order())

    assert result.status is RunStatus.CANCELLED
    assert result.reason == "Stopped"
    assert world.taken == []
    assert world.told() == []


def test_r7_a_stop_order_that_was_lifted_stops_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.stop(StopOrder.autopay("ap-1"))
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=False, by="Ann"),
        ports=world.ports,
    )

    assert world.run(standing_order()).status is RunStatus.PAID


def test_r7_a_stop_order_between_planning_and_intent_is_kept() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())
    read_balances = world.matters.open_invoices

    def stopped(query: InvoiceQuery) -> InvoicePage:
        world.stop(StopOrder.autopay("ap-1"))
        return read_balances(query)

    rig(world.matters, open_invoices=stopped)

    result = traced.go()

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []


def test_r7_a_stop_order_between_prepare_and_confirm_is_kept() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(4)
    world.clock.advance(minutes=2)
    flow = recover_one(world.record, terms_of(world.ports))
    traced = Traced(flow, world.ports)
    prepare = world.two_step.prepare

    def stopped(request: ChargeRequest) -> str:
        world.stop(StopOrder.autopay("ap-1"))
        return prepare(request)

    rig(world.gateway, prepare=stopped)

    result = traced.go()

    assert result.status is RunStatus.CANCELLED
    assert world.reserved() == {}
    assert world.taken == []


def test_r7_two_steps_without_a_reference_are_let_go_when_stopped() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(4)
    world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.CANCELLED
    assert world.reserved() == {}


def test_r7_what_was_sent_before_the_stop_is_followed_to_its_end() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1


def test_r7_a_stopped_doubt_is_let_go_once_it_is_proven_absent() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=14)
    [early] = world.recover()
    assert early.status is RunStatus.OPEN
    world.clock.advance(minutes=5)

    [result] = world.recover()

    assert result.status is RunStatus.CANCELLED
    assert world.gateway.flush() == 0
    assert world.taken == []


@pytest.mark.parametrize(
    "weaker",
    [{"lookup_settle_seconds": None}, {"honours_deadline": False}],
)
def test_r7_without_the_promises_a_stopped_doubt_is_never_let_go(
    weaker: dict[str, Any],
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, **weaker
    )
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.stop(StopOrder.autopay("ap-1"))
    for hours in (1, 5, 30, 100):
        world.clock.advance(hours=hours)
        world.recover()

    assert world.record.state is RunState.REVIEW
    assert world.taken == []


def test_r7_a_stop_order_between_look_up_and_sending_again_is_kept() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    ask = world.gateway.lookup

    def stopped(key: str) -> LookupOutcome:
        world.stop(StopOrder.autopay("ap-1"))
        return ask(key)

    rig(world.gateway, lookup=stopped)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r7_an_auto_pay_that_is_turned_off_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []


def test_r7_turned_off_before_its_intent_was_sent_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    traced_run(world, standing_order()).cut(4)
    world.clock.advance(minutes=30)

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []
