"""Decided again before it is sent again: rule R9."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.autopay import AutoPay
from autopay_core.calls import hold
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    Indeterminate,
)
from autopay_core.commits import Change, Restored
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.requests import Charge, Confirm
from autopay_core.engine.sweeping import sweep_one
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import Pause
from worlds import (
    CARD,
    DAY,
    FORMS,
    Traced,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    traced_run,
    usd,
)

OTHER_CARD = attrs.evolve(CARD, token="tok_card_0002")


def _in_doubt(
    form: bool | None = None, fault: Fault = Fault.LOSE_REQUEST
) -> World:
    """Let a request of 120.00 get lost; two minutes go by."""
    world = World(bill("INV-1", "120.00"), two_step=bool(form))
    world.gateway.script(fault)
    world.run(standing_order())
    assert world.record.state.is_doubtful
    world.clock.advance(minutes=2)
    return world


def _turn(world: World, autopay: AutoPay) -> Traced[object]:
    """Drive one turn of an auto-pay, and note what it asks for."""
    today = world.clock.at.date()
    flow = sweep_one(autopay, today, terms_of(world.ports))
    traced: Traced[object] = Traced(flow, world.ports)
    traced.go()
    return traced


# -- What is right is sent again ----------------------------------------------


@FORMS
def test_r9_what_is_right_is_sent_again_under_its_key_with_a_new_deadline(
    two_step: bool,
) -> None:
    world = _in_doubt(two_step)
    before = world.record.attempts[0]

    traced = _turn(world, standing_order())

    [sent] = [
        each for each in traced.requests if isinstance(each, (Charge, Confirm))
    ]
    assert sent.request.key == before.key
    assert sent.request.request_hash == before.request_hash
    assert sent.request.not_after == world.clock.at + timedelta(minutes=10)
    [after] = world.record.attempts
    assert (after.number, after.tries) == (1, 2)
    assert after.reference == before.reference
    assert world.taken == [usd("120.00")]


@FORMS
def test_r9_it_is_looked_up_and_read_again_in_order_before_it_is_sent(
    two_step: bool,
) -> None:
    world = _in_doubt(two_step)

    names = _turn(world, standing_order()).names

    begin = names.index("Lookup")
    assert names[begin : begin + 5] == [
        "Lookup",
        "ReadOpen",
        "ReadInvoices",
        "Commit",  # the try, on the condition of what was read
        "Confirm" if two_step else "Charge",
    ]
    assert "Prepare" not in names


def test_r9_its_own_reservation_does_not_count_against_it() -> None:
    """What is open on the invoice is this very run."""
    world = _in_doubt()
    assert world.reserved() == {"INV-1": usd("120.00")}

    assert world.run(standing_order()).charged == usd("120.00")


def test_r9_it_is_sent_with_growing_pauses_however_often_it_is_swept() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    world.gateway.script(*[Fault.LOSE_REQUEST] * 500)
    world.run(standing_order())
    tries = []
    for _ in range(16 * 60):
        world.clock.advance(minutes=1)
        world.sweep(standing_order(), as_of=DAY)
        tries.append(world.record.attempts[0].tries)

    assert tries[9] > 3
    assert tries[-1] < 50


# -- What is not right any more is never sent again ---------------------------


def _paid_by_check(world: World) -> AutoPay:
    world.matters.remove("INV-1")
    return standing_order()


def _paid_in_part(world: World) -> AutoPay:
    world.matters.put(bill("INV-1", "119.99"))
    return standing_order()


def _off(world: World) -> AutoPay:
    return standing_order(off_from=DAY)


def _paused(world: World) -> AutoPay:
    pause = Pause(from_on=DAY, to_on=DAY + timedelta(days=5))
    return standing_order(pauses=(pause,))


def _skipped(world: World) -> AutoPay:
    return standing_order(skips=frozenset({DAY}))


def _another_card(world: World) -> AutoPay:
    return standing_order(method=OTHER_CARD)


def _another_form_of_invoice(world: World) -> AutoPay:
    return standing_order(enrollments=(to_client("C-2"),))


def _held(made: Hold) -> Callable[[World], AutoPay]:
    def held(world: World) -> AutoPay:
        hold(made, ports=world.ports)
        return standing_order()

    return held


_ANN: dict[str, Any] = {"by": "Ann", "reason": "audit"}
NOT_RIGHT: list[tuple[str, Callable[[World], AutoPay]]] = [
    ("paid by hand", _paid_by_check),
    ("paid by hand in part", _paid_in_part),
    ("off", _off),
    ("paused", _paused),
    ("skipped", _skipped),
    ("another card", _another_card),
    ("not enrolled", _another_form_of_invoice),
    ("store held", _held(Hold.on_store(**_ANN))),
    ("payer held", _held(Hold.on_payer("p1", **_ANN))),
    ("method held", _held(Hold.on_method(CARD.fingerprint, **_ANN))),
    ("order held", _held(Hold.on_autopay("ap-1", **_ANN))),
    ("client held", _held(Hold.on_client("C-1", **_ANN))),
    ("matter held", _held(Hold.on_matter("C-1", "M-1", **_ANN))),
    ("invoice held", _held(Hold.on_invoice("INV-1", **_ANN))),
]
CHANGES = pytest.mark.parametrize(
    "change",
    [change for _, change in NOT_RIGHT],
    ids=[name for name, _ in NOT_RIGHT],
)


@FORMS
@CHANGES
def test_r9_what_is_not_right_any_more_is_never_sent_again(
    change: Callable[[World], AutoPay], two_step: bool
) -> None:
    """Under its key nothing moves; it is let go of once proven absent."""
    world = _in_doubt(two_step)
    key = world.record.attempts[0].key
    autopay = change(world)
    for _ in range(40):
        world.sweep(autopay, as_of=world.clock.at.date())
        world.clock.advance(minutes=1)

    assert key not in {each.key for each in world.gateway.captured}
    [record] = [each for each in world.records if each.key.nominal_on == DAY]
    assert record.attempts[0].tries == 1
    assert record.attempts[0].outcome == Cancelled(key=key)


@CHANGES
def test_r9_what_may_still_arrive_keeps_its_reservation(
    change: Callable[[World], AutoPay],
) -> None:
    """Before its deadline and settle time "not found" proves nothing."""
    world = _in_doubt(fault=Fault.ANSWER_LATE)
    autopay = change(world)

    world.sweep(autopay, as_of=DAY)

    assert world.record.state.is_doubtful
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.gateway.flush()
    world.clock.advance(hours=1)
    world.sweep(autopay, as_of=DAY)
    assert world.record.state is RunState.PAID
    assert len(world.postings()) == 1


@FORMS
@CHANGES
def test_r9_it_is_cancelled_at_the_gateway_where_it_can_be(
    change: Callable[[World], AutoPay], two_step: bool
) -> None:
    world = _in_doubt(two_step, fault=Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    key = world.record.attempts[0].key
    autopay = change(world)

    world.sweep(autopay, as_of=DAY)

    [record] = [each for each in world.records if each.key.nominal_on == DAY]
    assert record.attempts[0].outcome == Cancelled(key=key)
    assert world.gateway.flush() == 0
    assert key not in {each.key for each in world.gateway.captured}


def test_r9_what_was_cancelled_is_planned_afresh_under_the_next_number() -> (
    None
):
    world = _in_doubt(fault=Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    world.matters.put(bill("INV-1", "80.00"))

    [result] = world.sweep(standing_order(), as_of=DAY)[-1:]

    assert result.charged == usd("80.00")
    first, second = world.record.attempts
    assert (first.number, second.number) == (1, 2)
    assert first.key != second.key
    world.gateway.flush()
    assert world.taken == [usd("80.00")]


def test_r9_with_neither_cancel_nor_proof_it_goes_to_review() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.matters.remove("INV-1")
    for _ in range(19):
        world.clock.advance(hours=1)
        world.sweep(standing_order(), as_of=DAY)

    assert world.record.state is RunState.REVIEW
    assert world.record.attempts[0].tries == 1
    assert world.taken == []


@pytest.mark.parametrize(
    "answer",
    [
        PortUnavailableError("down"),
        Indeterminate(detail="busy"),
        None,
        Cancelled(key="another key"),
    ],
)
def test_r9_a_cancel_that_is_not_clear_cancels_nothing(answer: object) -> None:
    world = _in_doubt(fault=Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )

    def cancel(*_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    rig(world.gateway, cancel=cancel)
    world.matters.remove("INV-1")

    world.sweep(standing_order(), as_of=DAY)

    assert world.record.state.is_doubtful
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r9_a_cancel_that_comes_too_late_takes_the_answer() -> None:
    world = _in_doubt(fault=Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    attempt = world.record.attempts[0]

    def cancel(*_: object) -> CancelOutcome:
        return Captured(
            key=attempt.key, amount=attempt.amount, reference="pay-7"
        )

    rig(world.gateway, cancel=cancel)
    world.matters.remove("INV-1")

    world.sweep(standing_order(), as_of=DAY)

    assert world.record.state is RunState.PAID
    assert [each.payment_reference for each in world.postings()] == ["pay-7"]


# -- What cannot be decided is not sent ---------------------------------------


@FORMS
def test_r9_nothing_is_sent_on_balances_that_cannot_be_read(
    two_step: bool,
) -> None:
    world = _in_doubt(two_step)
    read = world.matters.open_invoices

    def down(_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.matters, open_invoices=down)
    world.sweep(standing_order(), as_of=DAY)
    assert world.record.state.is_doubtful
    assert world.record.attempts[0].tries == 1
    rig(world.matters, open_invoices=read)
    world.clock.advance(minutes=1)

    world.sweep(standing_order(), as_of=DAY)

    assert world.record.attempts[0].tries == 2
    assert world.taken == [usd("120.00")]


def test_r9_another_reservation_on_the_invoice_meanwhile_stops_it() -> None:
    """The step that counts the try rests on open amounts as they were read."""
    world = _in_doubt()
    read = world.matters.open_invoices

    def overtaken(query: InvoiceQuery) -> InvoicePage:
        page = read(query)
        rig(world.matters, open_invoices=read)
        world.matters.put(bill("INV-2", "5.00"))
        world.run(standing_order(id="ap-2", limit=Limit.up_to(usd("5"))))
        return page

    rig(world.matters, open_invoices=overtaken)

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    first = world.records[0]
    assert first.attempts[0].tries == 1
    assert world.taken == [usd("5.00")]


def test_r12_it_is_never_sent_at_another_account() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, account="acct-1"
    )
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, account="acct-2"
    )
    for _ in range(20):
        world.clock.advance(hours=1)
        world.sweep(standing_order(), as_of=DAY)

    assert world.record.state is RunState.REVIEW
    assert world.record.attempts[0].tries == 1
    assert world.taken == []


def test_r12_it_is_never_sent_again_after_a_restore() -> None:
    """An attempt of an earlier epoch is looked up only."""
    world = _in_doubt()
    word = Restored(since=world.clock.at, by="Ann")
    world.store.commit(Change(restored=word))

    world.sweep(standing_order(), as_of=DAY)

    assert world.record.attempts[0].tries == 1
    assert world.taken == []


def test_r9_a_request_of_the_day_before_is_not_sent_past_its_next_date() -> (
    None
):
    """The next date collects what is left (R10)."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    traced_run(world, standing_order()).cut(5)
    world.clock.reach(date(2026, 2, 28))

    world.sweep(standing_order(), as_of=date(2026, 2, 28))

    assert world.records[0].state is RunState.REVIEW
    assert world.records[0].attempts[0].tries == 1
    assert world.taken == []
