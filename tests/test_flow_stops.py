"""Nothing is sent after a stop order: rule R7."""

from __future__ import annotations

from datetime import date
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
    Declined,
    LookupOutcome,
)
from autopay_core.commits import (
    StopOrder,
)
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    KEY,
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

    assert result.status is RunStatus.WAITING
    assert result.reason == "Held"
    assert "a stop order" in result.detail
    assert world.taken == []
    assert world.told() == [NoticeKind.INCIDENT]


def test_r7_a_stop_order_that_was_lifted_stops_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.stop(StopOrder.autopay("ap-1"))
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=False, by="Ann"),
        ports=world.ports,
    )

    assert world.run(standing_order()).status is RunStatus.PAID


def test_r7_a_run_that_was_stopped_goes_on_when_the_order_is_lifted() -> None:
    """A hold makes it wait; it takes nothing away (H1)."""
    world = World(bill("INV-1", "120.00"))
    world.stop(StopOrder.autopay("ap-1"))
    world.run(standing_order())
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=False, by="Ann"),
        ports=world.ports,
    )

    [result] = world.sweep(standing_order(), as_of=date(2026, 2, 5))

    assert result.status is RunStatus.PAID
    assert result.key == KEY
    assert world.record.charge_on == date(2026, 2, 5)


def test_r7_a_stop_order_between_planning_and_intent_is_kept() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())
    read_balances = world.matters.open_invoices

    def stopped(query: InvoiceQuery) -> InvoicePage:
        world.stop(StopOrder.autopay("ap-1"))
        return read_balances(query)

    rig(world.matters, open_invoices=stopped)

    result = traced.go()

    assert result.status is RunStatus.WAITING
    assert result.reason == "Held"
    assert world.taken == []
    assert world.reserved() == {}


def test_r7_a_stop_order_between_prepare_and_intent_is_kept() -> None:
    """Nothing was written yet, so there is nothing that could be sent."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced = traced_run(world, standing_order())
    prepare = world.two_step.prepare

    def stopped(request: ChargeRequest) -> str | Declined:
        world.stop(StopOrder.autopay("ap-1"))
        return prepare(request)

    rig(world.gateway, prepare=stopped)

    result = traced.go()

    assert result.status is RunStatus.WAITING
    assert result.reason == "Held"
    assert "Confirm" not in traced.names
    assert world.record.attempts == ()
    assert world.reserved() == {}
    assert world.taken == []


def test_r7_what_is_prepared_is_not_confirmed_when_stopped_meanwhile() -> None:
    """The process died between intent and confirm; then a stop order came."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(5)
    world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)
    assert world.run(standing_order()).status is RunStatus.OPEN
    world.clock.advance(minutes=30)

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "Held"
    assert world.reserved() == {}
    assert world.taken == []


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

    assert result.status is RunStatus.WAITING
    assert result.reason == "Withdrawn"
    assert world.reserved() == {}
    assert world.gateway.flush() == 0
    [held] = world.sweep(standing_order())
    assert held.reason == "Held"
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

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r7_a_stop_order_between_deciding_and_sending_again_is_kept() -> None:
    """The step that counts the try is refused (R9)."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    read_balances = world.matters.open_invoices

    def stopped(query: InvoiceQuery) -> InvoicePage:
        world.stop(StopOrder.autopay("ap-1"))
        return read_balances(query)

    rig(world.matters, open_invoices=stopped)

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    assert world.record.attempts[0].tries == 1
    assert world.taken == []


def test_r7_an_auto_pay_that_is_turned_off_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert result.reason == "Off"
    assert world.taken == []
    assert world.told() == []


def test_r7_turned_off_before_its_intent_was_sent_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    traced_run(world, standing_order()).cut(4)
    world.clock.advance(minutes=30)

    result = world.run(standing_order(off_from=DAY))

    assert result.status is RunStatus.CANCELLED
    assert world.taken == []
