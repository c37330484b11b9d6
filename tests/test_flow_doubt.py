"""What is not known and what was never sent: rule R4, clause PG-4."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.calls import stop
from autopay_core.charges import (
    Indeterminate,
    idempotency_key,
)
from autopay_core.commits import (
    Committed,
    StopOrder,
)
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    Charge,
)
from autopay_core.errors import (
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunStatus
from worlds import (
    CARD,
    FEBRUARY,
    FORMS,
    KEY,
    Script,
    Traced,
    World,
    bill,
    standing_order,
    traced_run,
    usd,
)

DOUBTS = [
    Fault.LOSE_REQUEST,
    Fault.LOSE_ANSWER,
    Fault.ANSWER_LATE,
    Fault.RAISE,
    Fault.ANSWER_NONE,
]


@FORMS
@pytest.mark.parametrize("fault", DOUBTS)
def test_r4_an_unclear_answer_is_a_doubt_that_the_key_resolves(
    fault: Fault, two_step: bool
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(fault)

    first = world.run(standing_order())
    assert first.status is RunStatus.OPEN
    assert first.reason == "Indeterminate"
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.postings() == ()
    world.clock.advance(minutes=2)
    again = world.recover()

    assert [each.status for each in again] == [RunStatus.PAID]
    world.gateway.flush()
    assert world.taken == [usd("120.00")]
    assert [each.amount for each in world.postings()] == [usd("120.00")]


@FORMS
def test_r4_nothing_else_of_the_auto_pay_is_charged_while_one_is_in_doubt(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.hides_new_requests = True
    world.gateway.script(Fault.LOSE_ANSWER, Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(), on=FEBRUARY)

    assert result.status is RunStatus.BLOCKED
    assert result.record is None
    assert result.reason == "InDoubt"
    assert world.taken == [usd("120.00")]


def test_r4_another_auto_pay_of_the_same_payer_goes_on() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(id="ap-2"))

    assert result.charged == usd("50.00")


def test_r4_not_found_alone_is_never_not_charged() -> None:
    """The request is on its way; a look-up that misses it proves nothing."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.ANSWER_LATE)
    world.run(standing_order())
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=True, by="Ann"),
        ports=world.ports,
    )
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r4_the_same_key_goes_out_again_with_a_new_deadline() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    traced = Traced(
        recover_one(world.record, terms_of(world.ports)), world.ports
    )

    traced.go()

    assert traced.names == [
        "ReadStanding",
        "Lookup",
        "Commit",
        "Charge",
        "Commit",
        "Send",
        "Commit",
    ]
    charge = traced.requests[3]
    assert isinstance(charge, Charge)
    assert charge.request.key == idempotency_key(b"s3cret", KEY, 1)
    assert charge.request.not_after == world.clock.at + timedelta(minutes=10)
    assert world.record.attempts[0].tries == 2


def test_r4_a_key_that_the_gateway_may_have_forgotten_goes_to_review() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(hours=18)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert result.reason == "Unresolved"
    assert world.taken == []
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.told() == [NoticeKind.NEEDS_REVIEW, NoticeKind.FAILED]


def test_r4_a_run_in_review_is_looked_up_for_ever_but_never_sent() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, honours_deadline=False
    )
    world.run(standing_order())
    world.clock.advance(hours=18)
    world.recover()
    for _ in range(3):
        world.clock.advance(days=2)
        [result] = world.recover()
        assert result.status is RunStatus.REVIEW
    world.gateway.flush()
    world.clock.advance(days=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.told().count(NoticeKind.NEEDS_REVIEW) == 1


def test_r4_looks_come_with_growing_pauses() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, key_retention_seconds=30 * 24 * 3600
    )
    pauses: list[float] = []
    world.gateway.script(*[Fault.LOSE_REQUEST] * 100)
    world.run(standing_order())
    while len(pauses) < 40:
        next_try_at = world.record.next_try_at
        assert next_try_at is not None
        pauses.append((next_try_at - world.clock.at).total_seconds())
        world.clock.at = next_try_at
        world.recover()

    assert min(pauses) >= 10
    assert pauses[-1] >= 3600
    assert pauses == sorted(pauses)


def test_r4_a_look_up_that_fails_or_is_unclear_changes_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    for answer in (
        PortUnavailableError("down"),
        PortError("broken"),
        Indeterminate(detail="busy"),
        None,
        "captured",
    ):
        standing = world.store.standing(KEY, CARD.fingerprint)
        script = Script(
            recover_one(world.record, terms_of(world.ports)),
            standing,
            answer,
            Committed(),
        )
        assert script.go().status is RunStatus.OPEN

    world.clock.advance(minutes=1)
    assert world.recover()[0].status is RunStatus.PAID


def test_r4_a_clock_that_is_behind_sends_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r4_a_clock_that_is_behind_starts_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.clock.advance(hours=-1)

    result = world.run(standing_order())

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "ClockSuspect"
    assert world.taken == []


def test_r4_a_clock_that_is_behind_prepares_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(4)
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.record.attempts[0].reference is None


@FORMS
def test_pg_4_a_request_that_never_left_is_no_doubt(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.UNAVAILABLE)

    first = world.run(standing_order())
    assert first.status is RunStatus.WAITING
    assert first.reason == "PortUnavailable"
    assert world.reserved() == {}
    assert world.told() == [NoticeKind.FAILED]
    early = world.run(standing_order())
    assert early == first
    world.clock.advance(minutes=1)
    again = world.run(standing_order())

    assert again.status is RunStatus.PAID
    assert [each.number for each in world.record.attempts] == [1, 2]
    keys = {each.key for each in world.record.attempts}
    assert len(keys) == 2


def test_pg_4_unavailable_on_a_later_try_says_nothing_about_the_first() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.UNAVAILABLE)
    world.run(standing_order())
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.gateway.flush()
    world.clock.advance(minutes=2)
    assert world.recover()[0].status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_a_gateway_that_is_down_for_days_is_told_of_once() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(*[Fault.UNAVAILABLE] * 50)
    for _ in range(50):
        world.sweep(standing_order())
        world.clock.advance(minutes=20)

    assert world.told() == [NoticeKind.FAILED]
    world.gateway.accept("")
    assert len(world.record.attempts) < 50
