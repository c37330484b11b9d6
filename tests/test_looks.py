"""A look at an order: state, dates, end, and what blocks it (S14, R14)."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any, NoReturn

import pytest

import autopay_core as ap
from autopay_core import aio
from autopay_core.adapters.memory import Fault
from autopay_core.autopay import AutoPayState, Ending, Known, edit
from autopay_core.calls import clock_is_right, hold, look, run_now
from autopay_core.charges import Indeterminate
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.runs import RunStatus
from autopay_core.schedules import Occurrence
from worlds import (
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    enrolled,
    rig,
    standing_order,
    to_invoice,
    usd,
)

MARCH = date(2026, 3, 31)


def test_s14_a_look_says_what_an_order_does() -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order()

    found = look(order, on=DAY, ports=world.ports)

    assert found.state is AutoPayState.ACTIVE
    assert found.next == Occurrence(nominal_on=DAY, charge_on=DAY)
    assert [each.charge_on for each in found.outlook.dates] == [
        DAY,
        FEBRUARY,
        MARCH,
    ]
    assert found.ends_on == date(2027, 1, 31)
    assert found.outlook.ending is None
    assert found.outlook.next_charge is not None
    assert found.outlook.next_charge.total == usd("120.00")
    assert (found.blocks, found.next_number) == ((), 1)
    assert found.autopay is order
    assert str(found) == (
        "Acme monthly (ap-1): active; next on 2026-01-31; ends on 2027-01-31"
    )
    assert world.store.runs() == ()
    assert (
        asyncio.run(aio.look(order, on=DAY, ports=awaitable(world.ports)))
        == found
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payments": 1}, Ending.PAYMENTS),
        (
            {"limit": Limit(currency="USD", lifetime=usd("50"))},
            Ending.LIFETIME,
        ),
    ],
)
def test_s14_what_is_on_record_ends_an_order(
    changes: dict[str, Any], reason: Ending
) -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order(**changes)
    world.run(order)

    found = look(order, on=FEBRUARY, ports=world.ports)

    assert found.outlook.ending is reason
    assert (found.state, found.next) == (AutoPayState.ENDED, None)
    # What is known is what the questions of an order take.
    assert ap.state_on(order, FEBRUARY, known=found.known) is found.state
    assert ap.upcoming(order, FEBRUARY, known=found.known) is None
    assert ap.state_on(order, FEBRUARY, known=Known()) is AutoPayState.ACTIVE
    assert str(found).startswith("Acme monthly (ap-1): ended")


def test_s14_a_date_that_ran_with_nothing_due_is_not_the_next_one() -> None:
    world = World()
    order = standing_order()
    assert world.run(order).status is RunStatus.NOTHING_DUE

    found = look(order, on=DAY, ports=world.ports)

    assert found.next == Occurrence(nominal_on=FEBRUARY, charge_on=FEBRUARY)
    assert found.known.ran_to == DAY
    to = DAY + timedelta(days=3)
    with pytest.raises(InvalidValueError, match="has come already"):
        edit(order, as_of=DAY, known=found.known, moves={DAY: to})


def test_r10_a_date_that_waits_can_still_be_moved() -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order()
    hold(Hold.on_autopay(order.id, by="Ann", reason="asks"), ports=world.ports)
    assert world.run(order).status is RunStatus.WAITING

    found = look(order, on=DAY, ports=world.ports)

    assert found.known.ran_to is None
    to = DAY + timedelta(days=3)
    moved = edit(order, as_of=DAY, known=found.known, moves={DAY: to})
    assert moved.moves == {DAY: to}


def test_s7_a_plan_that_is_paid_off_has_no_next_date() -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order(enrollments=(enrolled(to_invoice("INV-1")),))
    before = look(order, on=DAY, ports=world.ports)
    # A plan ends when it is paid off, on no day that is certain.
    assert str(before) == "Acme monthly (ap-1): active; next on 2026-01-31"
    world.run(order)

    found = look(order, on=FEBRUARY, ports=world.ports)

    assert (found.state, found.next) == (AutoPayState.ENDED, None)
    assert found.outlook.is_paid_off


def test_s14_what_blocks_an_order_is_said() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    rig(world.gateway, lookup=lambda _: Indeterminate(detail="busy"))
    order = standing_order()
    world.run(order)
    hold(
        Hold.on_autopay("ap-1", by="ann", reason="a question of the payer"),
        ports=world.ports,
    )

    found = look(order, on=FEBRUARY, ports=world.ports)

    assert found.state is AutoPayState.NEEDS_ATTENTION
    assert found.blocks == (
        "a question of the payer",
        "the run ap-1/2026-01-31 is open and not resolved yet",
    )
    assert "a question of the payer" in str(found)


def test_s14_a_clock_that_cannot_be_right_blocks_everything() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    world.clock.advance(days=300)

    found = look(standing_order(), on=DAY, ports=world.ports)

    assert found.blocks == ("the store's clock cannot be right",)
    clock_is_right(by="ann", reason="it is", ports=world.ports)
    assert look(standing_order(), on=DAY, ports=world.ports).blocks == ()


def test_s14_what_is_owed_may_be_unreadable() -> None:
    def away(*_: Any) -> NoReturn:
        raise PortUnavailableError("away")

    world = World(bill("INV-1", "120.00"))
    rig(world.matters, open_invoices=away)

    found = look(standing_order(), on=DAY, ports=world.ports)

    assert found.outlook.next_charge is None
    assert found.next is not None


def test_r14_the_number_of_the_next_run_on_demand_is_a_new_one() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "5.00"))
    order = standing_order(limit=Limit.up_to(usd("50")))
    world.clock.reach(DAY)
    world.run(order)
    for number in (1, 2):
        found = look(order, on=DAY, ports=world.ports)
        assert found.next_number == number
        run_now(
            order,
            as_of=DAY,
            number=found.next_number,
            by="ann",
            reason="asked for",
            ports=world.ports,
        )

    assert look(order, on=DAY, ports=world.ports).next_number == 3
    other = DAY + timedelta(days=1)
    assert look(order, on=other, ports=world.ports).next_number == 1


def test_a_look_at_no_date_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        look(standing_order(), on="today", ports=World().ports)  # type: ignore[arg-type]
