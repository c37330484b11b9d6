"""A charge that the payer has to approve (R4, R7, R9, PG-17)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.calls import attest
from autopay_core.charges import (
    Cancelled,
    Captured,
    Declined,
    Indeterminate,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import StopOrder
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.notices import Audience, NoticeKind
from autopay_core.runs import RunState, RunStatus
from autopay_core.serialization import dumps, loads
from autopay_core.show.sentences import notice_text
from worlds import CARD, DAY, KEY, World, bill, rig, standing_order, usd

if TYPE_CHECKING:
    from autopay_core.charges import ChargeRequest
    from autopay_core.runs import RunResult

LINK = "https://pay.example/approve?payment=4111111111111111"


def asking(*, cancels: bool = True, **more: Any) -> World:
    """Return a world in which the payer's bank wants to hear the payer."""
    world = World(bill("INV-1", "120.00"), **more)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=cancels
    )
    world.gateway.ask_payer(CARD.token, LINK)
    return world


def asked_of(world: World) -> NeedsPayer:
    """Return what stands on record."""
    outcome = world.record.attempts[-1].outcome
    assert isinstance(outcome, NeedsPayer)
    return outcome


def again(world: World, hours: float) -> RunResult:
    """Look at it again after some hours."""
    world.clock.advance(hours=hours)
    on = world.clock().date()
    return world.sweep(standing_order(), as_of=on)[-1]


# -- It is under way ----------------------------------------------------------


@pytest.mark.parametrize("two_step", [False, True])
def test_pg_17_the_payer_is_asked_once_with_the_link(two_step: bool) -> None:
    world = asking(two_step=two_step)

    result = world.run(standing_order())
    again(world, 2)
    again(world, 2)

    assert result.status is RunStatus.PENDING
    assert result.reason == "NeedsPayer"
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.taken == []
    [notice] = world.notifier.sent
    assert notice.kind is NoticeKind.NEEDS_PAYER
    assert notice.link == LINK
    assert notice.amount == usd("120.00")
    assert notice.audience == {Audience.PAYER}
    assert LINK in notice_text(notice)
    assert LINK not in repr(notice)
    assert LINK not in repr(world.record)


def test_pg_17_what_the_payer_approves_is_paid() -> None:
    world = asking()
    world.run(standing_order())
    world.gateway.settle(world.record.attempts[-1].key)

    result = again(world, 2)

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.told() == [NoticeKind.NEEDS_PAYER, NoticeKind.PAID]


def test_pg_17_a_payer_who_refuses_has_declined() -> None:
    world = asking()
    world.run(standing_order())
    world.gateway.fail(world.record.attempts[-1].key, code="refused")

    result = again(world, 2)

    assert result.status is RunStatus.FAILED
    assert world.told() == [NoticeKind.NEEDS_PAYER, NoticeKind.FAILED]


def test_pg_17_another_link_is_told_again() -> None:
    world = asking()
    world.run(standing_order())
    key = world.record.attempts[-1].key
    other = attrs.evolve(asked_of(world), link="https://pay.example/other")
    rig(world.gateway, lookup=lambda _: other)

    again(world, 2)
    again(world, 2)

    assert asked_of(world) == other
    assert other.key == key
    assert [each.link for each in world.notifier.sent] == [LINK, other.link]


def test_pg_17_a_debit_may_follow_an_approval() -> None:
    world = asking()
    world.run(standing_order())
    key = world.record.attempts[-1].key
    world.gateway.accept(CARD.token)

    pending = Pending(key=key, amount=usd("120.00"), reference="debit-1")
    rig(world.gateway, lookup=lambda _: pending)

    result = again(world, 2)

    assert result.status is RunStatus.PENDING
    assert result.reason == "Pending"
    assert world.record.attempts[-1].outcome == pending


# -- Its time is over ---------------------------------------------------------


def test_pg_17_it_is_called_off_when_the_time_is_over() -> None:
    world = asking()
    world.run(standing_order())
    key = world.record.attempts[-1].key

    result = again(world, 25)

    assert result.status is RunStatus.FAILED
    assert result.reason == "Declined"
    assert "did not approve" in result.detail
    assert world.reserved() == {}
    assert world.gateway.lookup(key) == NotFound()
    failed = world.notifier.sent[-1]
    assert failed.kind is NoticeKind.FAILED
    assert failed.audience == set(Audience)


def test_pg_17_a_late_yes_wins_over_the_calling_off() -> None:
    world = asking()
    world.run(standing_order())
    key = world.record.attempts[-1].key
    lookup = world.gateway.lookup
    old = lookup(key)
    rig(world.gateway, lookup=lambda _: old)  # A look-up that lags.
    world.gateway.settle(key)

    result = again(world, 25)

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_pg_17_what_cannot_be_called_off_is_looked_at_then_reviewed() -> None:
    world = asking(cancels=False)
    world.run(standing_order())

    assert again(world, 25).status is RunStatus.PENDING
    assert again(world, 24).status is RunStatus.REVIEW
    assert again(world, 24).status is RunStatus.REVIEW

    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.told() == [
        NoticeKind.NEEDS_PAYER,
        NoticeKind.NEEDS_REVIEW,
        NoticeKind.FAILED,
    ]


def test_pg_17_review_ends_with_an_answer() -> None:
    world = asking(cancels=False)
    world.run(standing_order())
    again(world, 25)
    again(world, 24)
    world.gateway.settle(world.record.attempts[-1].key)

    assert again(world, 24).status is RunStatus.PAID


def test_pg_17_a_gateway_that_is_away_is_asked_again() -> None:
    world = asking()
    world.run(standing_order())

    def away(key: str, reference: str | None) -> Cancelled:
        raise PortUnavailableError("away")

    cancel = world.gateway.cancel
    rig(world.gateway, cancel=away)
    assert again(world, 25).status is RunStatus.PENDING
    rig(world.gateway, cancel=cancel)

    assert again(world, 6).status is RunStatus.FAILED


def test_pg_17_nobody_is_told_of_a_link_that_is_over() -> None:
    """The answer was lost, and is found when the payer's time is over."""
    world = asking()
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())

    result = again(world, 25)

    assert result.status is RunStatus.FAILED
    assert world.told() == [NoticeKind.FAILED]


def test_pg_17_recover_calls_off_too() -> None:
    """It needs no order in hand to let go of what has no time left."""
    world = asking()
    world.run(standing_order())
    world.clock.advance(hours=25)

    [result] = world.recover()

    assert result.status is RunStatus.FAILED


# -- It is not right any more -------------------------------------------------


def test_r9_what_was_paid_by_hand_is_called_off() -> None:
    world = asking()
    world.run(standing_order())
    world.matters.put(bill("INV-1", "20.00"))

    result = again(world, 2)

    first, second = world.record.attempts
    assert first.outcome == Cancelled(key=first.key)
    assert second.amount == usd("20.00")
    assert result.status is RunStatus.PENDING  # Asked for the rest.
    assert world.reserved() == {"INV-1": usd("20.00")}
    assert world.gateway.lookup(first.key) == NotFound()


def test_r7_a_stop_order_calls_it_off() -> None:
    world = asking()
    world.run(standing_order())
    world.stop(StopOrder.autopay("ap-1"))

    assert again(world, 2).reason == "Held"
    assert world.reserved() == {}


def test_r9_recover_does_not_judge_what_is_right() -> None:
    world = asking()
    world.run(standing_order())
    world.matters.put(bill("INV-1", "20.00"))
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.PENDING


def test_r9_what_cannot_be_read_is_not_called_off() -> None:
    world = asking()
    world.run(standing_order())

    def away(query: object) -> None:
        raise PortUnavailableError("away")

    rig(world.matters, open_invoices=away)

    assert again(world, 2).status is RunStatus.PENDING


def test_r9_what_cannot_be_called_off_goes_on() -> None:
    world = asking()
    world.run(standing_order())
    world.matters.put(bill("INV-1", "20.00"))
    rig(world.gateway, cancel=lambda *_: Indeterminate(detail="busy"))

    assert again(world, 2).status is RunStatus.PENDING


def test_r9_without_cancels_it_goes_on() -> None:
    world = asking(cancels=False)
    world.run(standing_order())
    world.matters.put(bill("INV-1", "20.00"))

    assert again(world, 2).status is RunStatus.PENDING


def test_r9_a_calling_off_whose_answer_was_lost_is_asked_for_again() -> None:
    world = asking()
    world.run(standing_order())
    world.matters.put(bill("INV-1", "20.00"))
    cancel = world.gateway.cancel

    def lost(key: str, reference: str | None) -> Indeterminate:
        cancel(key, reference)
        return Indeterminate(detail="lost")

    rig(world.gateway, cancel=lost)
    assert again(world, 2).status is RunStatus.PENDING
    rig(world.gateway, cancel=cancel)

    again(world, 2)

    first, second = world.record.attempts
    assert first.outcome == Cancelled(key=first.key)
    assert second.amount == usd("20.00")


def test_r4_what_is_not_found_after_review_is_called_off() -> None:
    world = asking(cancels=False)
    world.run(standing_order())
    again(world, 25)
    again(world, 24)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    rig(world.gateway, lookup=lambda _: NotFound())

    again(world, 24)

    first = world.record.attempts[0]
    assert first.outcome == Cancelled(key=first.key)


# -- People's word, and the values --------------------------------------------


def took_nothing(world: World, *, second: str = "") -> RunResult:
    """Let a person say that nothing was charged."""
    return attest(
        world.record.key,
        Declined(key=world.record.attempts[-1].key, code="no"),
        by="Ann",
        reason="the payer said so",
        evidence="a call",
        second=second,
        ports=world.ports,
    )


def test_r4_nobody_can_say_that_it_took_nothing_while_it_may() -> None:
    world = asking(cancels=False)
    world.gateway.script(Fault.LOSE_ANSWER)
    lookup = world.gateway.lookup
    rig(world.gateway, lookup=lambda _: Indeterminate(detail="busy"))
    world.run(standing_order())
    assert again(world, 20).status is RunStatus.REVIEW
    rig(world.gateway, lookup=lookup)

    with pytest.raises(InvalidValueError) as refused:
        took_nothing(world)

    assert refused.value.code == "GatewayContradicts"


def test_r4_when_the_time_is_over_two_people_can_say_so() -> None:
    """The gateway says for ever that the payer has to act."""
    world = asking(cancels=False)
    world.run(standing_order())
    again(world, 25)
    again(world, 24)
    assert world.record.state is RunState.REVIEW

    with pytest.raises(InvalidValueError) as early:
        took_nothing(world, second="Bob")
    world.clock.advance(hours=24)
    with pytest.raises(InvalidValueError) as alone:
        took_nothing(world)

    assert early.value.code == "TooEarly"
    assert alone.value.code == "SecondName"
    assert took_nothing(world, second="Bob").status is RunStatus.FAILED
    assert world.reserved() == {}


def test_r9_in_review_it_is_called_off_once_the_gateway_can() -> None:
    world = asking(cancels=False)
    world.run(standing_order())
    again(world, 25)
    assert again(world, 24).status is RunStatus.REVIEW
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )

    assert again(world, 24).status is RunStatus.FAILED
    assert world.reserved() == {}


def test_r11_nothing_is_called_off_by_a_clock_that_is_wrong() -> None:
    world = asking(cancels=False)
    world.run(standing_order())
    again(world, 25)
    assert again(world, 24).status is RunStatus.REVIEW
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    # The store has seen a later time, and its next look has come by that.
    world.store._latest_now += timedelta(days=3)

    result = again(world, 12)

    assert result.status is RunStatus.REVIEW
    key = world.record.attempts[-1].key
    assert isinstance(world.gateway.lookup(key), NeedsPayer)


def test_r8_what_was_answered_wrongly_is_not_called_off() -> None:
    world = asking()
    charge, lookup = world.one_step.charge, world.gateway.lookup

    def more(asked: object) -> NeedsPayer:
        assert isinstance(asked, NeedsPayer)
        return attrs.evolve(asked, amount=usd("121.00"))

    rig(
        world.gateway,
        charge=lambda request: more(charge(request)),
        lookup=lambda key: more(lookup(key)),
    )
    assert world.run(standing_order()).status is RunStatus.REVIEW

    assert again(world, 30).status is RunStatus.REVIEW
    assert isinstance(lookup(world.record.attempts[-1].key), NeedsPayer)


def test_m_the_record_reads_back_with_the_link() -> None:
    world = asking()
    world.run(standing_order())

    assert loads(dumps(world.record), type(world.record)) == world.record
    assert asked_of(world).link == LINK


@pytest.mark.parametrize(
    "link",
    [
        "",
        "http://pay.example/",
        "https://",
        "https://pay.example/a b",
        "https://pay.example/\n",
        "javascript:alert(1)",
        "https://pay.example/" + "a" * 1_000,
    ],
)
def test_e2_a_link_is_an_https_address(link: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        NeedsPayer(
            key="k-1",
            amount=usd("1"),
            reference="r-1",
            link=link,
            until=datetime(2026, 2, 1, tzinfo=UTC),
        )

    assert refused.value.code == "LinkInvalid"


def test_r8_another_amount_to_approve_is_a_mismatch() -> None:
    world = asking()
    charge = world.one_step.charge

    def more(request: ChargeRequest) -> NeedsPayer:
        outcome = charge(request)
        assert isinstance(outcome, NeedsPayer)
        return attrs.evolve(outcome, amount=usd("121.00"))

    rig(world.gateway, charge=more)

    assert world.run(standing_order()).status is RunStatus.REVIEW


def test_n2_it_is_told_until_when() -> None:
    world = asking()
    result = world.run(standing_order())

    until = asked_of(world).until
    assert until - world.clock() <= timedelta(days=1)
    assert str(until) in result.detail
    assert world.notifier.sent[0].run == KEY
    assert not isinstance(world.record.captured, Captured)
    assert world.record.charge_on == DAY
