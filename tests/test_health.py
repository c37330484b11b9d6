"""How a store is, at a glance: rules O3, R4, N1, P3, and what waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest

from autopay_core import aio
from autopay_core.adapters.memory import Fault
from autopay_core.calls import (
    health,
    hold,
    list_runs,
    receive,
    recover,
    sweep,
)
from autopay_core.commits import Change, Unreadable
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.monitoring import Trouble, TroubleKind
from autopay_core.movements import Movement, MovementKind
from autopay_core.policy import Policy
from autopay_core.postings import PostingStatus
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState
from autopay_core.schedules import Schedule
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    KEY,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.monitoring import Health

SECOND = standing_order(
    id="ap-2",
    enrollments=(to_client("C-2"),),
    method=attrs.evolve(CARD, token="tok_card_0002"),
)


def kinds(found: Health, **more: Any) -> list[TroubleKind]:
    return [each.kind for each in found.troubles(**more)]


def looked(world: World) -> Health:
    return health(ports=world.ports)


def test_o3_a_store_that_nobody_swept_is_in_trouble() -> None:
    found = looked(World())

    assert kinds(found) == [TroubleKind.NO_SWEEP]
    assert not found.is_well
    assert (found.swept_for, found.sweep_began, found.sweep_ended) == (
        None,
        None,
        None,
    )
    assert str(found).splitlines() == [
        (
            "No sweep has ended yet. 0 runs under way, 0 in review, 0 late, "
            "0 holds, 0 postings not posted, 0 notices not delivered."
        ),
        "no sweep: no sweep has ended yet",
    ]


def test_o3_a_sweep_leaves_its_times() -> None:
    world = World(bill("INV-1", "9.00"))
    charge = world.one_step.charge

    def slow(request: Any) -> Any:
        world.clock.advance(minutes=7)
        return charge(request)

    rig(world.gateway, charge=slow)
    began = world.clock.at
    world.sweep(standing_order())

    found = looked(world)

    assert found.is_well
    assert found.swept_for == DAY
    assert found.sweep_began is not None
    assert found.sweep_ended is not None
    assert timedelta(0) <= found.sweep_began - began < timedelta(seconds=1)
    took = found.sweep_ended - found.sweep_began
    assert timedelta(minutes=7) <= took < timedelta(minutes=8)
    assert f"The last sweep was for {DAY}" in found.summary


def test_o3_a_sweep_that_is_too_long_ago_is_a_trouble() -> None:
    world = World()
    world.sweep()
    world.clock.advance(hours=25)
    assert looked(world).is_well

    world.clock.advance(hours=2)

    assert kinds(looked(world)) == [TroubleKind.NO_SWEEP]
    assert kinds(looked(world), sweep_within=timedelta(hours=30)) == []


def test_o3_a_sweep_that_is_left_leaves_no_times() -> None:
    world = World(bill("INV-1", "9.00"))
    results: Any = sweep([standing_order()], as_of=DAY, ports=world.ports)
    next(results)
    results.close()

    assert kinds(looked(world)) == [TroubleKind.NO_SWEEP]


def test_r11_a_sweep_by_a_wrong_clock_leaves_no_times() -> None:
    world = World()
    world.sweep()
    before = looked(world)
    world.clock.advance(hours=-1)
    world.sweep()

    found = looked(world)

    assert found.sweep_ended == before.sweep_ended
    assert found.is_clock_suspect
    assert kinds(found) == [TroubleKind.CLOCK]


@pytest.mark.parametrize("broken", [1, 2])
def test_o3_a_store_that_is_away_for_the_mark_stops_no_sweep(
    broken: int,
) -> None:
    """The first time is read before all else, the last one after it."""
    world = World(bill("INV-1", "9.00"))
    asked, reads = world.store.standing, [0]

    def away(*arguments: Any) -> Any:
        if arguments[0].autopay == "-":
            reads[0] += 1
            if reads[0] == broken:
                raise PortUnavailableError("away")
        return asked(*arguments)

    rig(world.store, standing=away)
    world.sweep(standing_order())

    assert world.taken == [usd("9.00")]
    assert looked(world).sweep_ended is None


def test_r4_a_doubt_is_told_when_it_is_old_and_a_review_at_once() -> None:
    world = World(bill("INV-1", "9.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    rig(world.gateway, lookup=lambda _: nobody_knows())
    world.sweep(standing_order())

    found = looked(world)
    assert (found.under_way, found.in_review) == (1, 0)
    assert found.oldest_doubt == KEY
    assert found.is_well
    assert kinds(found, doubt_most=timedelta(seconds=-1)) == [
        TroubleKind.DOUBT
    ]
    world.clock.advance(hours=20)
    list(recover(ports=world.ports))
    found = looked(world)

    assert (found.under_way, found.in_review) == (1, 1)
    assert kinds(found) == [TroubleKind.REVIEW]


def nobody_knows() -> NoReturn:
    raise PortUnavailableError("down")


def test_a_debit_that_is_pending_is_no_doubt() -> None:
    world = World(bill("INV-1", "9.00"), bank_debits_pend=True)
    world.sweep(standing_order(method=BANK))

    found = looked(world)

    assert (found.under_way, found.oldest_doubt) == (1, None)
    assert found.is_well


def test_n1_what_is_late_is_counted_since_its_first_day() -> None:
    world = World(bill("INV-1", "9.00"), bill("INV-2", "9.00", client="C-2"))
    rig(world.matters, open_invoices=lambda _: nobody_knows())
    world.sweep(standing_order(), SECOND)

    found = looked(world)

    assert (found.late, found.late_since) == (2, DAY)
    assert kinds(found) == [TroubleKind.LATE]


def test_n1_late_since_is_the_first_day_of_all() -> None:
    world = World(bill("INV-1", "9.00"), bill("INV-2", "9.00", client="C-2"))
    rig(world.matters, open_invoices=lambda _: nobody_knows())
    world.sweep(standing_order())
    later = DAY + timedelta(days=1)
    world.sweep(
        attrs.evolve(SECOND, schedule=Schedule.monthly(later)), as_of=later
    )

    assert (looked(world).late, looked(world).late_since) == (2, DAY)


def test_h1_a_hold_on_the_store_is_a_trouble_and_another_is_none() -> None:
    world = World()
    world.sweep()
    hold(Hold.on_payer("p1", by="Ann", reason="bankrupt"), ports=world.ports)
    assert (looked(world).holds, looked(world).is_well) == (1, True)

    hold(Hold.on_store(by="Ann", reason="audit"), ports=world.ports)

    found = looked(world)
    assert found.holds == 2
    assert found.troubles() == (
        Trouble(
            kind=TroubleKind.STORE_HELD, detail="nobody is charged: audit"
        ),
    )


def test_n5_notices_that_were_not_accepted_are_counted() -> None:
    world = World(bill("INV-1", "9.00"))
    world.notifier.is_down = True
    world.sweep(standing_order())

    found = looked(world)

    assert found.undelivered == 1
    assert kinds(found) == [TroubleKind.NOTICES]


def test_p3_a_posting_that_waits_for_a_week_is_stuck() -> None:
    world = World(bill("INV-1", "9.00"), bill("INV-2", "5.00"))
    world.sweep(standing_order())
    world.clock.advance(days=7)
    world.sweep()
    assert (looked(world).unposted, looked(world).is_well) == (2, True)

    world.clock.advance(days=1)
    world.sweep()

    found = looked(world)
    assert kinds(found) == [TroubleKind.POSTINGS]
    assert found.oldest_unposted is not None
    assert found.oldest_unposted.status is PostingStatus.PENDING
    world.apply()
    assert looked(world).unposted == 0


def test_p3_the_oldest_posting_is_the_one_that_was_charged_first() -> None:
    world = World(*(bill(f"INV-{number}", "9.00") for number in range(9)))
    daily = standing_order(
        schedule=Schedule.daily(DAY), limit=Limit.up_to(usd("9.00"))
    )
    for day in range(9):
        world.sweep(daily, as_of=DAY + timedelta(days=day))

    found = looked(world)

    assert found.unposted == 9
    assert found.oldest_unposted is not None
    assert found.oldest_unposted.charged_on == DAY


def test_p3_the_week_is_counted_by_the_firm_s_dates() -> None:
    world = World(bill("INV-1", "9.00"))
    world.sweep(standing_order())
    world.clock.advance(days=7, hours=13)
    world.sweep()
    policy = Policy(zone="America/New_York")

    assert kinds(looked(world)) == [TroubleKind.POSTINGS]
    assert health(ports=world.ports_with(policy=policy)).is_well


def test_p4_a_movement_that_waits_is_counted() -> None:
    world = World()
    world.sweep()
    lost = Movement(
        id="evt-1",
        kind=MovementKind.RETURNED,
        amount=usd("9.00"),
        on=DAY,
        reference="pay-unknown",
    )
    receive(lost, ports=world.ports)

    found = looked(world)

    assert found.movements == 1
    assert TroubleKind.MOVEMENTS in kinds(found)


def test_r6_a_run_that_cannot_be_read_is_counted() -> None:
    world = World()
    world.sweep()
    rig(
        world.store,
        under_way=lambda *_: (Unreadable(key=str(KEY), code="Bad"),),
    )

    found = looked(world)

    assert found.unreadable == 1
    assert kinds(found) == [TroubleKind.UNREADABLE]


# -- What goes on some day ----------------------------------------------------


def test_the_runs_that_go_on_are_listed_by_state_and_key() -> None:
    world = World(
        bill("INV-1", "9.00"),
        bill("INV-2", "9.00", client="C-2"),
        bank_debits_pend=True,
    )
    debit = standing_order(id="ap-3", method=BANK)
    world.sweep(debit)
    hold(Hold.on_autopay("ap-2", by="Ann", reason="asked"), ports=world.ports)
    world.sweep(SECOND)

    listed = list_runs(ports=world.ports)

    assert [(str(each.key), each.state) for each in listed] == [  # type: ignore[union-attr]
        ("ap-3/2026-01-31", RunState.PENDING),
        ("ap-2/2026-01-31", RunState.WAITING),
    ]
    assert list_runs([RunState.REVIEW], ports=world.ports) == []
    [waits] = list_runs({RunState.WAITING}, ports=world.ports)
    assert waits == listed[1]
    assert list_runs((), ports=world.ports) == []


def test_more_runs_than_a_page_holds_are_listed() -> None:
    world = World()
    for number in range(501):
        key = RunKey(autopay=f"ap-{number:03}", nominal_on=DAY)
        waits = RunRecord(
            key=key,
            payer="p1",
            version=1,
            state=RunState.WAITING,
            charge_on=DAY,
        )
        world.store.commit(Change(runs=(waits,)))

    assert len(list_runs(ports=world.ports)) == 501


@pytest.mark.parametrize(
    "state", [RunState.PAID, RunState.ANNOUNCED, RunState.FAILED]
)
def test_what_goes_on_no_more_is_not_listed(state: RunState) -> None:
    with pytest.raises(InvalidValueError) as refused:
        list_runs([state], ports=World().ports)
    assert (refused.value.code, refused.value.path) == ("RunState", "states")


def test_both_are_awaited_on_an_event_loop() -> None:
    world = World(bill("INV-1", "9.00"))
    world.sweep(standing_order())
    world.clock.reach(FEBRUARY)
    ports = awaitable(world.ports)

    async def main() -> tuple[Any, Any]:
        return await aio.health(ports=ports), await aio.list_runs(ports=ports)

    found, listed = asyncio.run(main())

    assert (found.swept_for, listed) == (DAY, [])
