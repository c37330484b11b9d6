"""Declines, data that cannot be read, retries: rules N1, N3, N4."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.allocation import Reason
from autopay_core.autopay import AdvanceNotice
from autopay_core.business_days import BusinessCalendar, Roll
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
from autopay_core.schedules import Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    FORMS,
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


# -- N1: declines -------------------------------------------------------------


@FORMS
def test_n1_a_decline_is_told_as_error_failed_autopay(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.decline(CARD.token)

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert world.reserved() == {}
    [notice] = world.notifier.sent
    assert notice.title == FAILED_AUTOPAY == "Error-Failed AutoPay"
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


def test_m3_an_invoice_in_another_currency_stops_nobody() -> None:
    world = World(bill("INV-1", "120.00"))
    world.matters.put(
        attrs.evolve(bill("INV-2", "1.00"), balance=Money.of("1.00", "CAD"))
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert result.record is not None
    assert result.record.intent is not None
    assert [
        (line.invoice.number, line.reason)
        for line in result.record.intent.allocation.lines
    ] == [("INV-1", Reason.PAID), ("INV-2", Reason.OTHER_CURRENCY)]


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

    assert result.status is RunStatus.WAITING
    assert "4111111" not in result.detail
    [notice] = world.notifier.sent
    assert notice.kind is NoticeKind.INCIDENT
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


# -- Late ---------------------------------------------------------------------


def test_n1_data_that_cannot_be_read_makes_the_run_late_and_is_told_once() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    down = world.matters.open_invoices

    def unavailable(_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.matters, open_invoices=unavailable)
    for _ in range(3):
        result = world.run(standing_order())
        assert result.status is RunStatus.WAITING
        assert result.reason == "PortUnavailable"
        assert result.key == KEY
    rig(world.matters, open_invoices=down)

    assert world.record.version == 1
    assert world.record.late_since == DAY
    assert world.run(standing_order()).status is RunStatus.PAID
    assert sorted(world.told(), key=str) == [
        NoticeKind.INCIDENT,  # it began
        NoticeKind.INCIDENT,  # it is over
        NoticeKind.PAID,
    ]


# -- N3: retries --------------------------------------------------------------

RETRY = RetryPolicy(retries_most=2, every_days=3)
RETRIED_ON = DAY + timedelta(days=3)
OTHER_CARD = attrs.evolve(CARD, token="tok_card_0002")


def test_n3_a_decline_is_tried_again_as_the_policy_says() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)

    first = world.run(autopay)
    assert first.status is RunStatus.WAITING
    assert world.reserved() == {}
    assert world.record.next_try_on == DAY + timedelta(days=3)
    assert world.record.next_try_at == datetime(2026, 2, 3, tzinfo=UTC)
    assert "It is tried again on 2026-02-03." in first.detail
    assert world.run(autopay) == first
    assert world.sweep(autopay, as_of=DAY + timedelta(days=2)) == []
    [second] = world.sweep(autopay, as_of=DAY + timedelta(days=3))
    assert second.status is RunStatus.WAITING
    [third] = world.sweep(autopay, as_of=DAY + timedelta(days=6))

    assert third.status is RunStatus.FAILED
    assert [each.number for each in world.record.attempts] == [1, 2, 3]
    assert len({each.key for each in world.record.attempts}) == 3
    assert world.told() == [NoticeKind.FAILED] * 3


def test_n3_a_retry_plans_again_from_what_is_owed_by_then() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.gateway.accept(CARD.token)
    world.matters.put(bill("INV-1", "70.00"))

    [result] = world.sweep(autopay, as_of=RETRIED_ON)

    assert result.charged == usd("70.00")


def test_n3_a_retry_that_finds_nothing_owed_ends_the_run() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.matters.remove("INV-1")

    [result] = world.sweep(autopay, as_of=RETRIED_ON)

    assert result.status is RunStatus.NOTHING_DUE
    assert result.record is not None
    assert result.record.intent is None


@pytest.mark.parametrize(
    ("decline_class", "retry", "state"),
    [
        (DeclineClass.NEVER, RETRY, RunState.WAITING),
        (DeclineClass.FIX_FIRST, RETRY, RunState.WAITING),
        (DeclineClass.UNKNOWN, RETRY, RunState.FAILED),
        (DeclineClass.NEVER, None, RunState.FAILED),
        (DeclineClass.FIX_FIRST, None, RunState.FAILED),
        (DeclineClass.LATER, None, RunState.FAILED),
    ],
)
def test_n3_a_hard_decline_is_never_tried_again_with_its_method(
    decline_class: DeclineClass, retry: RetryPolicy | None, state: RunState
) -> None:
    """With a policy it waits for another method, where one helps."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=decline_class)
    autopay = standing_order(retry=retry)

    world.run(autopay)
    assert world.record.state is state
    assert world.record.next_try_on is None
    world.gateway.accept(CARD.token)
    for day in range(1, 28):
        world.sweep(autopay, as_of=DAY + timedelta(days=day))

    assert world.taken == []
    assert len(world.record.attempts) == 1


@pytest.mark.parametrize(
    "decline_class", [DeclineClass.NEVER, DeclineClass.FIX_FIRST]
)
def test_n3_another_method_is_tried_as_a_new_attempt_with_a_new_budget(
    decline_class: DeclineClass,
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=decline_class)
    world.run(standing_order(retry=RETRY))
    world.gateway.decline(OTHER_CARD.token)
    renewed = standing_order(retry=RETRY, method=OTHER_CARD)

    for day in (1, 4, 7, 10):
        world.sweep(renewed, as_of=DAY + timedelta(days=day))

    first, *others = world.record.attempts
    assert first.method == CARD.fingerprint
    assert [each.method for each in others] == [OTHER_CARD.fingerprint] * 3
    assert world.record.state is RunState.FAILED


def test_n3_what_waits_for_another_method_is_given_up_at_the_next_date() -> (
    None
):
    """The date that overtakes it collects it, and so it is told."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=DeclineClass.FIX_FIRST)
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.gateway.accept(CARD.token)

    given_up, paid = world.sweep(autopay, as_of=FEBRUARY)

    assert (given_up.status, given_up.reason) == (
        RunStatus.FAILED,
        "Overtaken",
    )
    assert str(FEBRUARY) in given_up.detail
    assert paid.charged == usd("120.00")


def test_n3_a_retry_falls_on_an_open_day_of_the_calendar_that_is_told() -> (
    None
):
    """3 February is closed; the first open day after it is told and kept."""
    world = World(bill("INV-1", "120.00"))
    calendar = BusinessCalendar(
        weekend=frozenset({6, 7}), holidays=frozenset({date(2026, 2, 3)})
    )
    monday = date(2026, 2, 2)
    autopay = standing_order(
        retry=RetryPolicy(retries_most=1, every_days=1),
        schedule=Schedule.monthly(
            monday, roll=Roll.FOLLOWING, calendar=calendar
        ),
    )
    world.gateway.decline(CARD.token)

    [declined] = world.sweep(autopay, as_of=monday)

    assert world.record.next_try_on == date(2026, 2, 4)
    assert "on 2026-02-04" in declined.detail
    assert "on 2026-02-04" in world.notifier.sent[-1].detail


def test_n3_a_retry_counts_from_the_day_on_which_the_decline_was_known() -> (
    None
):
    """A debit that comes back after four days is not tried the same day."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    world.run(autopay)
    world.gateway.fail(world.record.attempts[-1].key, "R01")
    world.clock.advance(days=4)

    world.recover()

    assert world.record.next_try_on == date(2026, 2, 7)


def test_n3_an_answer_that_says_not_before_is_obeyed() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(
        CARD.token, not_before=datetime(2026, 2, 10, 9, tzinfo=UTC)
    )
    autopay = standing_order(retry=RETRY)
    world.run(autopay)
    world.gateway.accept(CARD.token)

    for day in range(1, 10):
        world.sweep(autopay, as_of=DAY + timedelta(days=day))
    assert world.taken == []
    assert world.record.next_try_on == date(2026, 2, 10)
    world.sweep(autopay, as_of=date(2026, 2, 10))

    assert world.taken == [usd("120.00")]


MASTERCARD = attrs.evolve(CARD, network="mastercard")


def test_n3_a_full_window_waits_in_silence_and_opens_by_itself() -> None:
    """Ten declines a day: the eleventh order is not sent, but waits."""
    world = World(
        *[
            bill(f"INV-{each}", "10.00", client=f"C-{each}")
            for each in range(11)
        ]
    )
    world.gateway.decline(CARD.token)
    orders = [
        standing_order(
            id=f"ap-{each:02}",
            method=MASTERCARD,
            enrollments=(to_client(f"C-{each}"),),
        )
        for each in range(11)
    ]

    *declined, full = world.sweep(*orders)

    assert {each.reason for each in declined} == {"Declined"}
    assert (full.status, full.reason) == (RunStatus.WAITING, "NetworkWindow")
    assert full.record is not None
    assert full.record.attempts == ()
    assert full.record.late_since is None
    assert full.record.next_try_on == DAY + timedelta(days=1)
    assert world.told() == [NoticeKind.FAILED] * 10
    world.gateway.accept(CARD.token)
    world.clock.advance(hours=25)
    [paid] = world.sweep(*orders, as_of=DAY + timedelta(days=1))
    assert paid.charged == usd("10.00")


def test_n3_approved_charges_fill_no_window() -> None:
    world = World(
        *[
            bill(f"INV-{each}", "10.00", client=f"C-{each}")
            for each in range(12)
        ]
    )

    results = world.sweep(
        *[
            standing_order(
                id=f"ap-{each:02}",
                method=MASTERCARD,
                enrollments=(to_client(f"C-{each}"),),
            )
            for each in range(12)
        ]
    )

    assert {each.status for each in results} == {RunStatus.PAID}


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

    [result] = world.sweep(autopay, as_of=RETRIED_ON)

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

    [result] = world.sweep(autopay, as_of=RETRIED_ON)

    assert result.status is RunStatus.FAILED
    assert result.reason == "RetryAmountChanged"
    assert world.taken == []


def test_n3_a_retry_that_never_left_does_not_free_the_amount() -> None:
    """Declined, then not sent, then sent: still the same amount."""
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)
    _returned(world, autopay)
    world.gateway.script(Fault.UNAVAILABLE)
    [not_sent] = world.sweep(autopay, as_of=RETRIED_ON)
    assert not_sent.reason == "PortUnavailable"
    assert [each.number for each in world.record.attempts] == [1, 2]
    world.matters.put(bill("INV-1", "100.00"))
    world.clock.advance(minutes=1)

    [result] = world.sweep(autopay, as_of=RETRIED_ON)

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


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("R16", RunState.WAITING),  # held: another method would be tried
        ("R23", RunState.FAILED),
    ],
)
def test_n3_other_codes_of_a_bank_are_not_presented_again(
    code: str, state: RunState
) -> None:
    world = World(bill("INV-1", "120.00"), bank_debits_pend=True)
    autopay = standing_order(method=BANK, retry=RETRY)

    _returned(world, autopay, code)

    assert world.record.state is state
    assert world.record.next_try_on is None
    for day in range(1, 28):
        world.sweep(autopay, as_of=DAY + timedelta(days=day))
    assert len(world.record.attempts) == 1


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
