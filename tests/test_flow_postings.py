"""What was captured has its posting, a debit under way none: rule P1."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryTwoStepGateway,
)
from autopay_core.charges import Cancelled
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


@FORMS
def test_r4_what_was_never_prepared_is_let_go_and_planned_again(
    two_step: bool,
) -> None:
    """
    An intent of before references were written with it, without one.

    It moved nothing, whatever form the gateway has by now (TS-1).
    """
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(5)
    _take_the_reference_away(world)
    if not two_step:
        world.gateway = MemoryGateway(clock=world.clock)
    world.clock.advance(minutes=2)

    [result] = world.recover()
    assert result.status is RunStatus.WAITING
    assert result.reason == "Withdrawn"
    assert world.reserved() == {}
    again = world.run(standing_order())

    assert again.charged == usd("120.00")
    first, second = world.record.attempts
    assert first.outcome == Cancelled(key=first.key)
    assert (first.number, second.number) == (1, 2)
    assert world.taken == [usd("120.00")]


def _take_the_reference_away(world: World) -> None:
    record = world.record
    [attempt] = record.attempts
    world.store._put_run(
        attrs.evolve(
            record, attempts=(attrs.evolve(attempt, reference=None),)
        ),
        set(),
    )


# -- R4: a debit that is pending is no doubt ----------------------------------


def _vanished() -> World:
    """Let the gateway forget a debit that it had called pending."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    [key] = world.gateway._executed
    world.gateway.forget(key)
    return world


def test_r4_a_debit_that_is_pending_for_months_is_no_doubt() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    for _ in range(90):
        world.clock.advance(days=1)
        [result] = world.recover()
        assert result.status is RunStatus.PENDING

    assert world.told() == []
    assert world.record.attempts[0].missing_since is None


def test_r4_two_look_ups_a_day_apart_that_do_not_find_it_are_a_doubt() -> None:
    world = _vanished()
    world.clock.advance(days=3)
    [first] = world.recover()
    assert first.status is RunStatus.PENDING
    assert world.record.attempts[0].missing_since == world.clock.at
    world.clock.advance(hours=25)

    [second] = world.recover()

    assert second.status is RunStatus.REVIEW
    assert second.reason == "Unresolved"
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.told() == [NoticeKind.NEEDS_REVIEW, NoticeKind.FAILED]


def test_r4_two_look_ups_that_are_nearer_are_none() -> None:
    world = _vanished()
    world.clock.advance(hours=2)
    for _ in range(12):
        world.clock.advance(hours=1.5)
        for result in world.recover():
            assert result.status is RunStatus.PENDING
    since = world.record.attempts[0].missing_since
    assert since is not None
    assert world.clock.at - since < timedelta(days=1)


def test_r4_a_debit_that_is_found_again_starts_anew() -> None:
    world = _vanished()
    world.clock.advance(days=3)
    world.recover()
    [done] = world.gateway._executed.values()
    done.is_kept = True
    world.clock.advance(hours=25)
    [found] = world.recover()
    assert found.status is RunStatus.PENDING
    assert world.record.attempts[0].missing_since is None
    done.is_kept = False
    world.clock.advance(hours=25)

    [lost] = world.recover()

    assert lost.status is RunStatus.PENDING
    assert world.told() == []


def test_r4_a_debit_in_review_that_settles_after_all_is_paid() -> None:
    world = _vanished()
    world.clock.advance(days=3)
    world.recover()
    world.clock.advance(hours=25)
    world.recover()
    [done] = world.gateway._executed.values()
    done.is_kept = True
    world.gateway.settle(done.request.key)
    world.clock.advance(days=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1
