"""Declines, data that cannot be read, retries: rules N1, N3, N4."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.autopay import AdvanceNotice
from autopay_core.charges import (
    DeclineClass,
    Indeterminate,
)
from autopay_core.errors import (
    PortUnavailableError,
)
from autopay_core.money import Money
from autopay_core.notices import FAILED_AUTOPAY, NoticeKind
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunState, RunStatus
from worlds import (
    BANK,
    CARD,
    DAY,
    FORMS,
    KEY,
    START,
    World,
    bill,
    rig,
    standing_order,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay


# -- N1: declines -------------------------------------------------------------


@FORMS
def test_n1_a_decline_is_told_as_error_failed_autopay(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.decline(CARD.token)

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert world.reserved() == {}
    [notice] = world.notifier.sent
    assert notice.title == FAILED_AUTOPAY == "Error - Failed AutoPay"
    assert (notice.autopay, notice.payer, notice.name) == (
        "ap-1",
        "p1",
        "Acme monthly",
    )
    assert (notice.on, notice.amount) == (DAY, usd("120.00"))
    assert notice.reason == "Declined"
    assert notice.detail == "The card was declined. (code 51)"


def test_n1_a_decline_without_words_is_told_with_ours() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, message="")

    world.run(standing_order())

    [notice] = world.notifier.sent
    assert notice.detail == "The payment was declined. (code 51)"


def test_n1_matter_data_that_cannot_be_used_fails_the_run() -> None:
    world = World(bill("INV-1", "120.00"))
    world.matters.put(
        attrs.evolve(bill("INV-2", "1.00"), balance=Money.of("1.00", "CAD"))
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "MixedCurrency"
    assert world.taken == []
    assert world.told() == [NoticeKind.FAILED]


@FORMS
def test_n1_a_port_may_say_anything_and_the_run_still_ends(
    two_step: bool,
) -> None:
    """A message with a number like a card's is told without it (E3)."""
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    error = PortUnavailableError("request 4111 1111 1111 1111 \x00 failed")

    def unavailable(*_: object) -> NoReturn:
        raise error

    if two_step:
        rig(world.gateway, confirm=unavailable)
    else:
        rig(world.gateway, charge=unavailable)

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    [notice] = world.notifier.sent
    assert "4111" not in notice.detail
    assert "4111" not in world.record.detail


def test_n1_what_postpones_a_run_may_say_anything() -> None:
    world = World(bill("INV-1", "120.00"))

    def unavailable(_: object) -> NoReturn:
        raise PortUnavailableError("row 4111111111111111 \x00 failed")

    rig(world.matters, open_invoices=unavailable)

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    [notice] = world.notifier.sent
    assert "4111111" not in notice.detail


def test_n1_a_doubt_may_say_anything_and_still_goes_to_review() -> None:
    world = World(bill("INV-1", "120.00"))
    doubt = Indeterminate(detail="request 4111111111111111")
    rig(world.gateway, charge=lambda _: doubt)
    rig(world.gateway, lookup=lambda _: doubt)
    world.run(standing_order())
    world.clock.advance(days=1)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert "4111111" not in world.record.detail


# -- Postponed ----------------------------------------------------------------


def test_data_that_cannot_be_read_postpones_the_run_and_is_told_once() -> None:
    world = World(bill("INV-1", "120.00"))
    down = world.matters.open_invoices

    def unavailable(_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.matters, open_invoices=unavailable)
    for _ in range(3):
        result = world.run(standing_order())
        assert result.status is RunStatus.POSTPONED
        assert result.reason == "PortUnavailable"
        assert result.key == KEY
    rig(world.matters, open_invoices=down)

    assert world.records == ()
    assert world.run(standing_order()).status is RunStatus.PAID
    assert world.told() == [NoticeKind.FAILED, NoticeKind.PAID]


# -- N3: retries --------------------------------------------------------------

RETRY = RetryPolicy(retries_most=2, every_days=3)


def test_n3_a_decline_is_tried_again_as_the_policy_says() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)

    first = world.run(autopay)
    assert first.status is RunStatus.WAITING
    assert world.reserved() == {}
    assert world.record.next_try_at == START + timedelta(days=3)
    assert "It is tried again on 2026-02-03." in first.detail
    assert world.run(autopay) == first
    world.clock.advance(days=3)
    second = world.run(autopay)
    assert second.status is RunStatus.WAITING
    world.clock.advance(days=3)
    third = world.run(autopay)

    assert third.status is RunStatus.FAILED
    assert len(world.record.attempts) == 3
    assert world.told() == [NoticeKind.FAILED] * 3


def test_n3_a_retry_plans_again_from_what_is_owed_by_then() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.gateway.accept(CARD.token)
    world.matters.put(bill("INV-1", "70.00"))
    world.clock.advance(days=3)

    result = world.run(autopay, on=DAY)

    assert result.charged == usd("70.00")


def test_n3_a_retry_that_finds_nothing_owed_ends_the_run() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.matters.remove("INV-1")
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.NOTHING_DUE
    assert result.record is not None
    assert result.record.intent is None


@pytest.mark.parametrize(
    "decline_class",
    [DeclineClass.NEVER, DeclineClass.FIX_FIRST, DeclineClass.UNKNOWN],
)
def test_n3_a_hard_decline_is_never_tried_again(
    decline_class: DeclineClass,
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=decline_class)

    result = world.run(standing_order(retry=RETRY))

    assert result.status is RunStatus.FAILED


def _returned(world: World, autopay: AutoPay, code: str = "R01") -> None:
    """Let the bank return the debit of the run under way."""
    world.run(autopay)
    key = world.record.attempts[-1].key
    world.gateway.fail(key, code)
    world.clock.advance(hours=3)
    world.recover()


def test_n3_a_bank_debit_is_presented_again_for_the_same_amount() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    assert world.record.state is RunState.WAITING
    world.matters.put(bill("INV-2", "30.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.PENDING
    assert [each.amount for each in world.record.attempts] == [
        usd("120.00"),
        usd("120.00"),
    ]


def test_n3_a_bank_debit_whose_amount_would_differ_is_not_presented() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.FAILED
    assert result.reason == "RetryAmountChanged"
    assert world.taken == []


def test_n3_a_retry_that_never_left_does_not_free_the_amount() -> None:
    """Declined, then not sent, then sent: still the same amount."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    world.gateway.script(Fault.UNAVAILABLE)
    world.clock.advance(days=3)
    assert world.run(autopay).status is RunStatus.WAITING
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(days=3)

    result = world.run(autopay)

    assert result.status is RunStatus.FAILED
    assert result.reason == "RetryAmountChanged"


def test_n3_attempts_that_never_left_use_up_no_retries() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    world.gateway.script(*[Fault.UNAVAILABLE] * 5)
    autopay = standing_order(retry=RETRY)
    for _ in range(5):
        assert world.run(autopay).reason == "PortUnavailable"
        world.clock.advance(hours=2)

    result = world.run(autopay)

    assert result.reason == "Declined"
    assert result.status is RunStatus.WAITING


def test_n3_other_codes_of_a_bank_are_not_presented_again() -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)

    _returned(world, autopay, "R16")

    assert world.record.state is RunState.FAILED


def test_n3_the_first_try_of_a_bank_debit_may_vary_by_run() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(method=BANK, retry=RETRY)
    world.gateway.script(Fault.UNAVAILABLE)
    world.run(autopay)
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(minutes=1)

    assert world.run(autopay).charged == usd("100.00")


# -- N4: advance notice -------------------------------------------------------


def test_n4_a_debit_that_was_not_announced_is_not_taken() -> None:
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(advance_notice=AdvanceNotice()))

    assert result.status is RunStatus.CANCELLED
    assert result.reason == "NoticeMissing"
    assert world.taken == []
    assert world.told() == [NoticeKind.FAILED]


def test_n4_an_amount_within_the_agreed_range_needs_no_announcement() -> None:
    world = World(bill("INV-1", "120.00"))
    policy = AdvanceNotice(least=usd("100"), most=usd("120"))

    result = world.run(standing_order(advance_notice=policy))

    assert result.status is RunStatus.PAID
