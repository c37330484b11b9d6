"""The async twins: the same flows, the same results."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest

from autopay_core import aio, calls
from autopay_core.adapters.memory import Fault, MemoryGateway
from autopay_core.autopay import AdvanceNotice
from autopay_core.calls import (
    advance_postings,
    attest,
    deliver,
    preview,
    read_postings,
    recover,
    reverse,
    run,
    stop,
    sweep,
)
from autopay_core.charges import Declined, GatewayCapabilities
from autopay_core.commits import Change, StopOrder
from autopay_core.errors import InvalidValueError, PortError
from autopay_core.holds import NEVER_ANSWER, Hold
from autopay_core.postings import PostingStatus, Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    START,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable

    from autopay_core.autopay import AutoPay
    from autopay_core.ports import Ports
    from autopay_core.runs import RunResult

KEY = RunKey(autopay="ap-1", nominal_on=DAY)
FAULTS = [None, *Fault]


def _do(awaitable_: Awaitable[Any]) -> Any:
    async def main() -> object:
        return await awaitable_

    return asyncio.run(main())


def _collected(results: AsyncIterator[RunResult]) -> list[RunResult]:
    async def main() -> list[RunResult]:
        return [each async for each in results]

    return asyncio.run(main())


class _Blocking:
    """The public face, blocking."""

    def run(self, autopay: AutoPay, ports: Ports) -> RunResult:
        return run(autopay, on=DAY, ports=ports)

    def sweep(
        self, autopays: Iterable[AutoPay], as_of: date, ports: Ports
    ) -> list[RunResult]:
        return list(sweep(autopays, as_of=as_of, ports=ports))

    def recover(self, ports: Ports) -> list[RunResult]:
        return list(recover(ports=ports))


class _Async:
    """The public face, async."""

    def run(self, autopay: AutoPay, ports: Ports) -> RunResult:
        twin = awaitable(ports)
        result: RunResult = _do(aio.run(autopay, on=DAY, ports=twin))
        return result

    def sweep(
        self, autopays: Iterable[AutoPay], as_of: date, ports: Ports
    ) -> list[RunResult]:
        twin = awaitable(ports)
        return _collected(aio.sweep(autopays, as_of=as_of, ports=twin))

    def recover(self, ports: Ports) -> list[RunResult]:
        return _collected(aio.recover(ports=awaitable(ports)))


def _story(
    face: _Blocking | _Async,
    fault: Fault | None,
    two_step: bool,
    store: str = "",
) -> tuple[list[RunResult], World]:
    """Half a year of three auto-pays, one of which meets a fault."""
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "50.00", client="C-2"),
        bill("INV-3", "70.00", client="C-3"),
        two_step=two_step,
    )
    if store:
        world.store._id = store
    orders = [
        standing_order(retry=RetryPolicy()),
        standing_order(
            id="ap-2",
            enrollments=(to_client("C-2"),),
            method=attrs.evolve(CARD, token="tok_card_0002"),
        ),
        standing_order(
            id="ap-3",
            enrollments=(to_client("C-3"),),
            advance_notice=AdvanceNotice(),
        ),
    ]
    world.gateway.decline("tok_card_0002")
    if fault is not None:
        world.gateway.script(fault)
    results = face.sweep(orders, DAY - timedelta(days=12), world.ports)
    results.append(face.run(orders[0], world.ports))
    for _ in range(3):
        results += face.sweep(orders, DAY, world.ports)
        world.clock.advance(minutes=2)
        results += face.recover(world.ports)
    strange: Any = [None, *orders]
    for day in (date(2026, 3, 3), date(2026, 4, 2)):
        world.clock.reach(day)
        results += face.sweep(strange, day, world.ports)
    return results, world


@pytest.mark.parametrize("two_step", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_r1_both_drivers_tell_the_same_story(
    fault: Fault | None, two_step: bool
) -> None:
    results, world = _story(_Blocking(), fault, two_step)
    twin_results, twin = _story(_Async(), fault, two_step, world.store._id)

    assert results == twin_results
    assert world.records == twin.records
    assert world.gateway.captured == twin.gateway.captured
    assert world.notifier.sent == twin.notifier.sent
    assert world.postings() == twin.postings()


def test_p3_staffs_orders_have_equal_twins() -> None:
    def blocking(ports: Ports) -> list[object]:
        stop(_order(), ports=ports)
        return [
            preview(standing_order(), on=DAY, ports=ports),
            run(standing_order(), on=DAY, ports=ports),
            read := read_postings(ports=ports),
            advance_postings(read, PostingStatus.QUEUED, ports=ports),
            reverse(KEY, _back(), ports=ports),
            deliver(ports=ports),
            run(standing_order(id="ap-2"), on=DAY, ports=ports),
        ]

    async def twins(ports: Ports) -> list[object]:
        also = awaitable(ports)
        await aio.stop(_order(), ports=also)
        return [
            await aio.preview(standing_order(), on=DAY, ports=also),
            await aio.run(standing_order(), on=DAY, ports=also),
            read := await aio.read_postings(ports=also),
            await aio.advance_postings(read, PostingStatus.QUEUED, ports=also),
            await aio.reverse(KEY, _back(), ports=also),
            await aio.deliver(ports=also),
            await aio.run(standing_order(id="ap-2"), on=DAY, ports=also),
        ]

    one, other = World(bill("INV-1", "9.00")), World(bill("INV-1", "9.00"))
    other.store._id = one.store._id  # It is random, and goes into each key.

    assert blocking(one.ports) == asyncio.run(twins(other.ports))
    assert one.records == other.records


def _order() -> StopOrder:
    return StopOrder(target="autopay:ap-2", active=True, by="Ann")


def _back() -> Reversal:
    return Reversal(
        event="e", kind=ReversalKind.REFUND, amount=usd("1"), on=DAY
    )


def test_r4_an_attestation_has_an_equal_twin() -> None:
    ended: list[RunResult] = []
    for is_async in (False, True):
        world = World(bill("INV-1", "9.00"))
        world.store._id = "one store"
        world.gateway.capabilities = attrs.evolve(
            world.gateway.capabilities, lookup_settle_seconds=None
        )
        world.gateway.script(Fault.LOSE_REQUEST)
        world.run(standing_order())
        world.clock.advance(days=2)
        world.recover()
        outcome = Declined(key=world.record.attempts[0].key, code="x")
        words = {"by": "Ann", "reason": "checked", "evidence": "7"}
        if is_async:
            ports = awaitable(world.ports)
            ended.append(_do(aio.attest(KEY, outcome, ports=ports, **words)))
        else:
            ended.append(attest(KEY, outcome, ports=world.ports, **words))

    assert ended[0] == ended[1]
    assert ended[0].status is RunStatus.FAILED


def test_an_async_stream_of_auto_pays_is_read_one_by_one() -> None:
    world = World()
    read: list[int] = []

    async def stream() -> AsyncIterator[AutoPay]:
        for number in range(1_000):
            read.append(number)
            yield standing_order(id=f"ap-{number}")

    async def main() -> RunResult:
        ports = awaitable(world.ports)
        results = aio.sweep(stream(), as_of=DAY, ports=ports)
        return await anext(results)

    first = asyncio.run(main())

    assert first.key == RunKey(autopay="ap-0", nominal_on=DAY)
    assert read == [0]


def test_an_async_stream_of_auto_pays_is_read_to_its_end() -> None:
    world = World()

    async def stream() -> AsyncIterator[AutoPay]:
        for number in range(3):
            yield standing_order(id=f"ap-{number}")

    results = aio.sweep(stream(), as_of=DAY, ports=awaitable(world.ports))

    assert len(_collected(results)) == 3


def test_r6_an_async_sweep_survives_an_error_of_our_own() -> None:
    world = World(bill("INV-1", "9.00"))
    broken = standing_order(id="ap-0")
    object.__setattr__(broken, "enrollments", None)

    results = _Async().sweep([broken, standing_order()], DAY, world.ports)

    assert [each.reason for each in results] == ["Unexpected", ""]


def test_r4_an_async_sweep_finishes_what_was_left_open() -> None:
    world = World(bill("INV-1", "9.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.clock.advance(minutes=2)

    [result] = _Async().sweep([], DAY, world.ports)

    assert result.status is RunStatus.PAID


def test_r6_an_async_recovery_survives_a_broken_run() -> None:
    world = World(bill("INV-1", "9.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.clock.advance(minutes=2)

    def broken(*_: object) -> NoReturn:
        raise KeyError("x")

    rig(world.store, standing=broken)

    [result] = _Async().recover(world.ports)

    assert result.reason == "PortBroken"


def test_r4_an_async_recovery_reads_on_past_its_page() -> None:
    world = World(
        *[bill(f"INV-{n}", "1.00", client=f"C-{n}") for n in range(501)]
    )
    world.gateway.script(*[Fault.LOSE_ANSWER] * 501)
    world.sweep(
        *[
            standing_order(id=f"ap-{n:03}", enrollments=(to_client(f"C-{n}"),))
            for n in range(501)
        ]
    )
    world.clock.advance(minutes=2)

    assert len(_Async().recover(world.ports)) == 501


def test_a_stop_iteration_of_an_async_port_is_no_end() -> None:
    world = World(bill("INV-1", "9.00"))

    def careless(*_: object) -> NoReturn:
        raise StopAsyncIteration

    rig(world.gateway, charge=careless)

    assert _Async().run(standing_order(), world.ports).status is RunStatus.OPEN


def test_async_ports_check_their_gateway_and_hide_their_secret() -> None:
    world = World()
    two_step = MemoryGateway(capabilities=GatewayCapabilities(two_step=True))
    ports = awaitable(world.ports)

    assert "a secret" not in repr(ports)
    with pytest.raises(InvalidValueError, match="GatewayForm"):
        attrs.evolve(ports, gateway=two_step)  # type: ignore[arg-type]


def test_an_interrupted_task_leaves_a_run_that_is_found_again() -> None:
    """A cancelled task is a crash: nothing is swallowed, nothing is lost."""
    world = World(bill("INV-1", "9.00"))
    charge = world.one_step.charge

    def cancelled(*_: object) -> NoReturn:
        raise asyncio.CancelledError

    rig(world.gateway, charge=cancelled)
    with pytest.raises(asyncio.CancelledError):
        _Async().run(standing_order(), world.ports)
    rig(world.gateway, charge=charge)
    world.clock.advance(seconds=10)

    result = _Async().run(standing_order(), world.ports)

    assert result.status is RunStatus.PAID


def test_an_async_store_that_breaks_is_raised_as_a_port_error() -> None:
    world = World(bill("INV-1", "9.00"))

    def broken(*_: object) -> NoReturn:
        raise RuntimeError("password=hunter2")

    rig(world.store, standing=broken)

    with pytest.raises(PortError, match="RuntimeError at ReadStanding"):
        _Async().run(standing_order(), world.ports)


def test_every_word_of_a_person_has_an_equal_twin() -> None:
    """The same story with either face: holds, words, runs on demand."""
    made = Hold.on_payer("p1", by="Ann", reason="asked")
    word: dict[str, Any] = {"by": "Ann", "reason": "asked"}
    figure = usd("9.00")

    def blocking(world: World) -> list[object]:
        ports = world.ports
        return [
            calls.hold(made, ports=ports),
            calls.list_holds(ports=ports),
            calls.lift(made, **word, ports=ports),
            calls.lift_all(
                rule=NEVER_ANSWER, since=START, **word, ports=ports
            ),
            calls.run_now(
                standing_order(), as_of=DAY, number=1, **word, ports=ports
            ),
            run(standing_order(id="ap-2"), on=DAY, ports=ports),
            calls.rerun(_lost(world), **word, ports=ports),
        ]

    def say(ports: Ports) -> None:
        calls.accept_balance("C-1", "INV-1", figure, **word, ports=ports)
        calls.distinct("INV-1", "inv-1", **word, ports=ports)
        calls.restored(since=START, by="Ann", ports=ports)
        calls.clock_is_right(**word, ports=ports)

    async def say_too(ports: aio.Ports) -> None:
        await aio.accept_balance("C-1", "INV-1", figure, **word, ports=ports)
        await aio.distinct("INV-1", "inv-1", **word, ports=ports)
        await aio.restored(since=START, by="Ann", ports=ports)
        await aio.clock_is_right(**word, ports=ports)

    async def twins(world: World) -> list[object]:
        ports = awaitable(world.ports)
        return [
            await aio.hold(made, ports=ports),
            await aio.list_holds(ports=ports),
            await aio.lift(made, **word, ports=ports),
            await aio.lift_all(
                rule=NEVER_ANSWER, since=START, **word, ports=ports
            ),
            await aio.run_now(
                standing_order(), as_of=DAY, number=1, **word, ports=ports
            ),
            await aio.run(standing_order(id="ap-2"), on=DAY, ports=ports),
            await aio.rerun(_lost(world), **word, ports=ports),
        ]

    one, other = World(bill("INV-1", "9.00")), World(bill("INV-1", "9.00"))
    other.store._id = one.store._id

    assert blocking(one) == asyncio.run(twins(other))
    say(one.ports)
    asyncio.run(say_too(awaitable(other.ports)))
    assert one.store.standing(KEY, "") == other.store.standing(KEY, "")
    assert one.reserved() == other.reserved()
    assert one.records == other.records
    assert one.notifier.sent == other.notifier.sent


def _lost(world: World) -> RunKey:
    """Put a date on record that was missed."""
    record = RunRecord(
        key=RunKey(autopay="ap-9", nominal_on=DAY),
        payer="p1",
        version=1,
        state=RunState.MISSED,
        charge_on=DAY,
        reason="Missed",
    )
    world.store.commit(Change(runs=(record,)))
    return record.key
