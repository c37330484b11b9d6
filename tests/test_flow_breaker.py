"""When so much goes wrong at a gateway that nothing more is sent: rule H4."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.autopay import AutoPay
from autopay_core.calls import lift, list_holds, sweep
from autopay_core.charges import Captured, DeclineClass, Declined
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import BREAKER, HoldLevel, is_tripped, trips_now
from autopay_core.notices import NoticeKind
from autopay_core.policy import Breaker, Policy
from autopay_core.references import PaymentMethodRef
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunState, RunStatus
from autopay_core.serialization import dumps, loads
from worlds import (
    DAY,
    FORMS,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

MANY = 14


def _order(number: int) -> AutoPay:
    client, payer = f"C-{number:02d}", f"p-{number:02d}"
    return standing_order(
        id=f"ap-{number:02d}",
        payer=payer,
        method=PaymentMethodRef(provider="acme", token=f"tok_h4_{number:04d}"),
        enrollments=(to_client(client, payer=payer),),
    )


def _firm(many: int = MANY, **more: Any) -> tuple[World, list[AutoPay]]:
    world = World(
        *(
            bill(f"INV-{number}", "10.00", client=f"C-{number:02d}")
            for number in range(many)
        ),
        **more,
    )
    return world, [_order(number) for number in range(many)]


def _never(world: World, *orders: AutoPay) -> None:
    for each in orders:
        world.gateway.decline(
            each.method.token, code="41", decline_class=DeclineClass.NEVER
        )


def _of_store(world: World) -> list[str]:
    return [
        each.rule
        for each in list_holds(ports=world.ports)
        if each.level is HoldLevel.STORE
    ]


@FORMS
def test_h4_ten_never_answers_in_a_row_hold_the_store(two_step: bool) -> None:
    world, orders = _firm(two_step=two_step)
    _never(world, *orders)

    results = world.sweep(*orders)

    assert [each.status for each in results] == [RunStatus.FAILED] * 10 + [
        RunStatus.WAITING
    ] * (MANY - 10)
    assert _of_store(world) == [BREAKER]
    # What a gateway that is out of order says holds no method.
    assert [
        each
        for each in list_holds(ports=world.ports)
        if each.level is HoldLevel.METHOD
    ] == []
    told = [each for each in world.notifier.sent if each.reason == "Breaker"]
    assert [each.kind for each in told] == [NoticeKind.HELD]
    assert "10 of the last 10" in told[0].detail


def test_h4_nine_hold_the_methods_and_not_the_store() -> None:
    world, orders = _firm(9)
    _never(world, *orders)

    world.sweep(*orders)

    assert _of_store(world) == []
    assert len(list_holds(ports=world.ports)) == 9


def test_h4_a_clear_answer_in_between_begins_the_row_anew() -> None:
    world, orders = _firm()
    _never(world, *orders[:9], *orders[10:])

    results = world.sweep(*orders)

    assert results[9].status is RunStatus.PAID
    assert _of_store(world) == []


def test_h4_more_than_half_of_the_last_forty_hold_the_store() -> None:
    world, orders = _firm(44)
    _never(world, *(each for n, each in enumerate(orders) if n % 2 == 0))
    _never(world, orders[1])

    results = world.sweep(*orders)

    # 21 bad ones of at most 40 trip it: of the first 39, for two came at once.
    assert _of_store(world) == [BREAKER]
    paid = [each for each in results if each.status is RunStatus.PAID]
    assert len(paid) == 18


def _raising(answer: Exception) -> Any:
    def charge(*_: object) -> object:
        raise answer

    return charge


@FORMS
def test_h4_errors_that_nobody_foresaw_hold_the_store(two_step: bool) -> None:
    world, orders = _firm(two_step=two_step)
    rig(
        world.gateway,
        **{"confirm" if two_step else "charge": _raising(KeyError("x"))},
    )

    results = world.sweep(*orders)

    doubts = [each for each in results if each.status is RunStatus.OPEN]
    assert len(doubts) == 10
    assert _of_store(world) == [BREAKER]
    record = doubts[0].record
    assert record is not None
    assert record.attempts[-1].erred
    assert loads(dumps(record), RunRecord) == record


def test_h4_an_outage_counts_neither_way() -> None:
    world, orders = _firm()
    rig(
        world.gateway,
        charge=_raising(PortUnavailableError("away", code="GatewayAway")),
    )

    world.sweep(*orders)

    assert _of_store(world) == []


def test_h4_answers_of_more_than_an_hour_ago_do_not_count() -> None:
    world, orders = _firm()
    _never(world, *orders)
    world.sweep(*orders[:9])
    world.clock.advance(minutes=61)

    world.sweep(*orders[9:])

    assert _of_store(world) == []


def test_h4_answers_of_another_worker_count() -> None:
    """They are counted on record, not in a process."""
    world, orders = _firm()
    _never(world, *orders)
    for each in orders[:10]:
        list(sweep([each], as_of=DAY, ports=world.ports_with()))

    assert _of_store(world) == [BREAKER]


@pytest.mark.parametrize(("others", "is_held"), [(8, True), (7, False)])
def test_h4_answers_on_a_method_that_was_replaced_count(
    others: int, is_held: bool
) -> None:
    world, [first, *orders] = _firm()
    first = attrs.evolve(first, retry=RetryPolicy(retries_most=1))
    second = attrs.evolve(
        first, method=attrs.evolve(first.method, token="tok_h4_other")
    )
    _never(world, first, second, *orders)

    assert world.run(first).status is RunStatus.WAITING
    for each in orders[:others]:
        world.run(each)
    assert world.run(second).reason == "Declined"

    assert _of_store(world) == [BREAKER] * is_held


def test_h4_a_person_lifts_it_and_what_tripped_it_is_used_up() -> None:
    world, orders = _firm(21)
    _never(world, *orders)
    world.sweep(*orders)
    [held] = list_holds(ports=world.ports)

    lift(held, by="Ann", reason="their fault, mended", ports=world.ports)
    world.sweep(*orders[:19])

    assert _of_store(world) == []
    world.sweep(*orders)
    assert _of_store(world) == [BREAKER]


def test_h4_what_was_on_its_way_when_it_tripped_holds_no_method() -> None:
    world, orders = _firm()
    _never(world, *orders)
    charge = world.one_step.charge

    def slow(request: Any) -> Any:
        if request.run.autopay == "ap-00":
            # Meanwhile another worker asks for all the others.
            rig(world.gateway, charge=charge)
            world.sweep(*orders[1:])
            assert _of_store(world) == [BREAKER]
        return charge(request)

    rig(world.gateway, charge=slow)
    world.run(orders[0])

    assert [each.rule for each in list_holds(ports=world.ports)] == [BREAKER]


def test_h4_no_breaker_holds_nothing_where_the_host_wants_none() -> None:
    world, orders = _firm()
    _never(world, *orders)
    ports = world.ports_with(policy=Policy(breaker=None))

    results = list(sweep(orders, as_of=DAY, ports=ports))

    assert {each.status for each in results} == {RunStatus.FAILED}
    assert _of_store(world) == []


def test_h4_an_answer_of_another_account_does_not_count() -> None:
    world, orders = _firm()
    _never(world, *orders)
    capabilities = world.gateway.capabilities
    for each, account in ((orders[:9], "a-1"), (orders[9:], "a-2")):
        world.gateway.capabilities = attrs.evolve(
            capabilities, account=account
        )
        world.sweep(*each)

    assert _of_store(world) == []


@given(st.lists(st.booleans(), max_size=90))
def test_h4_a_replay_trips_where_the_last_answer_does(
    answers: list[bool],
) -> None:
    breaker = Breaker()
    trips = [
        place
        for place in range(1, len(answers) + 1)
        if trips_now(breaker, answers[:place])
    ]

    since = 0
    for place in range(1, len(answers) + 1):
        is_now = answers[place - 1] and is_tripped(
            breaker, answers[since:place]
        )
        assert (place in trips) == is_now
        if is_now:
            since = place


# -- E2: an outcome is what its fields say ------------------------------------


class _Lenient(Captured):  # type: ignore[misc]
    """What an adapter makes of ours, with a mind of its own."""

    @property
    def is_mine(self) -> bool:
        return True


def test_e2_what_a_subclass_of_an_outcome_captured_is_recorded() -> None:
    world = World(bill("INV-1", "120.00"))
    charge = world.one_step.charge

    def lenient(request: Any) -> Any:
        answer = charge(request)
        return _Lenient(
            **{
                each.name: getattr(answer, each.name)
                for each in attrs.fields(Captured)
            }
        )

    rig(world.gateway, charge=lenient)
    result = world.run(standing_order())

    assert result.status is RunStatus.PAID
    assert result.charged == usd("120.00")
    assert type(world.record.attempts[-1].outcome) is Captured


def test_e2_a_subclass_without_what_it_must_say_is_a_doubt() -> None:
    world = World(bill("INV-1", "120.00"))
    rig(world.gateway, charge=lambda _: object.__new__(_Lenient))

    assert world.run(standing_order()).status is RunStatus.OPEN
    assert world.record.attempts[-1].erred
    assert world.record.state is RunState.OPEN


@pytest.mark.parametrize("answer", [None, "captured", Declined])
def test_r4_an_answer_that_is_no_outcome_is_a_doubt(answer: Any) -> None:
    world = World(bill("INV-1", "120.00"))
    rig(world.gateway, charge=lambda _: answer)

    assert world.run(standing_order()).status is RunStatus.OPEN
