"""What was captured has its posting, a debit under way none: rule P1."""

from __future__ import annotations

from datetime import date

import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryTwoStepGateway,
)
from autopay_core.commits import (
    StopOrder,
)
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.postings import PostingStatus
from autopay_core.references import DepositAccount
from autopay_core.runs import RunStatus
from worlds import (
    BANK,
    DAY,
    FEBRUARY,
    FORMS,
    World,
    bill,
    standing_order,
    total,
    traced_run,
    usd,
)


@FORMS
def test_p1_every_captured_cent_has_its_posting_record(two_step: bool) -> None:
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "80.00", issued=date(2026, 1, 6)),
        bill("INV-3", "50.00", issued=date(2026, 1, 7)),
        two_step=two_step,
    )

    result = world.run(standing_order(limit=Limit.up_to(usd("150"))))

    postings = world.postings()
    assert {each.invoice: each.amount for each in postings} == {
        "INV-1": usd("120"),
        "INV-2": usd("30"),
    }
    assert total(each.amount for each in postings) == result.charged
    assert set(result.postings) == set(postings)
    [captured] = world.gateway.captured
    for each in postings:
        assert each.ar_message == "Thank you"
        assert each.deposit_account == DepositAccount(id="operating-1")
        assert each.payment_reference == captured.reference
        assert each.charged_on == DAY
        assert each.status is PostingStatus.PENDING
    assert world.told() == [NoticeKind.PAID_IN_PART]


def test_p1_a_pending_debit_has_no_posting_until_it_settles() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK)

    first = world.run(autopay)
    assert first.status is RunStatus.PENDING
    assert first.charged is None
    assert first.postings == ()
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.clock.advance(days=1)
    assert world.recover()[0].status is RunStatus.PENDING
    world.clock.advance(days=2)
    [key] = world.gateway._executed
    world.gateway.settle(key)
    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert world.reserved() == {"INV-1": usd("120.00")}  # now by its posting
    assert world.told() == [NoticeKind.PAID]


@FORMS
def test_a_pending_debit_does_not_hold_up_the_next_run(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.PEND)
    world.run(standing_order(method=BANK))
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(method=BANK), on=FEBRUARY)

    assert result.charged == usd("50.00")


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_pending_debit_is_not_taken_again_by_a_gateway_of_two_steps(
    is_stopped: bool,
) -> None:
    """The host changed its gateway while the debit was under way."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    world.gateway = MemoryTwoStepGateway(clock=world.clock)
    if is_stopped:
        world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.PENDING
    assert world.gateway._prepared == {}
    assert world.reserved() == {"INV-1": usd("120.00")}


@pytest.mark.parametrize("is_stopped", [False, True])
def test_i2_a_doubt_is_not_sent_again_in_another_form(
    is_stopped: bool,
) -> None:
    """The host changed to a gateway of two steps that knows nothing yet."""
    world = World(bill("INV-1", "120.00"))
    before = world.gateway
    before.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    after = MemoryTwoStepGateway(clock=world.clock)
    world.gateway = after
    if is_stopped:
        world.stop(StopOrder.autopay("ap-1"))
    world.clock.advance(minutes=2)

    [soon] = world.recover()
    world.clock.advance(hours=23)
    [late] = world.recover()

    assert (len(before.captured), after.captured) == (1, [])
    assert soon.status is RunStatus.OPEN
    assert late.status is RunStatus.REVIEW
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r4_what_was_never_prepared_is_planned_again_in_one_step() -> None:
    """Two steps without a reference moved nothing, whatever comes after."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(4)
    world.gateway = MemoryGateway(clock=world.clock)
    world.clock.advance(minutes=2)

    [result] = world.recover()
    world.clock.advance(minutes=2)
    again = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "GatewayForm"
    assert again.charged == usd("120.00")
    assert len(world.record.attempts) == 2


def test_a_pending_debit_that_nobody_knows_any_more_is_reviewed() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    [key] = world.gateway._executed
    world.gateway.forget(key)
    world.clock.advance(days=3)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert world.reserved() == {"INV-1": usd("120.00")}
