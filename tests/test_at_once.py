"""
Many turns of a sweep at once: rule O3, and R6, R7, R13 on the way.

That overlapping changes nothing is shown with turns that are driven request
by request, in every order that Hypothesis finds; that they do overlap, and
how they end, with real threads and tasks.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from autopay_core import aio
from autopay_core._crews import Rest, stream_at_once, stream_at_once_async
from autopay_core.adapters.memory import Fault
from autopay_core.autopay import AdvanceNotice
from autopay_core.book import (
    AsyncBook,
    Book,
    Draft,
    MemoryBookStore,
    TurnOff,
)
from autopay_core.calls import sweep
from autopay_core.commits import Unreadable
from autopay_core.engine import sweeping
from autopay_core.engine.case import InHand
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import Given, stream
from autopay_core.engine.lanes import side_by_side
from autopay_core.engine.requests import (
    Again,
    AwaitTurn,
    BeginTurn,
    Charge,
    Ended,
    NextAutoPay,
    ReadInvoices,
    TurnOver,
)
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from autopay_core.autopay import AutoPay
    from autopay_core.runs import RunResult

ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}
EIGHT = range(1, 9)


def order(number: int, **changes: Any) -> AutoPay:
    """Return an order that has nothing in common with any other."""
    fields: dict[str, Any] = {
        "id": f"ap-{number}",
        "payer": f"p{number}",
        "method": attrs.evolve(CARD, token=f"tok_card_{number:04}"),
        "enrollments": (to_client(f"C-{number}", f"p{number}"),),
    }
    return standing_order(**{**fields, **changes})


def world_of(*numbers: int, **more: Any) -> World:
    """Return a world in which each of these clients owes two invoices."""
    return World(
        *(
            bill(
                f"INV-{number}-{each}",
                f"{10 * number}.0{each}",
                client=f"C-{number}",
                matter=f"M-{number}",
            )
            for number in numbers
            for each in (1, 2)
        ),
        **more,
    )


# -- Nothing is changed by it -------------------------------------------------


class AnyOrder:
    """Answers a sweep, with a request of one of its turns after another."""

    def __init__(self, world: World, chance: Random) -> None:
        self._answer = answering(world.ports)
        self._chance = chance
        self._going: dict[int, Callable[[], Any]] = {}
        self._flows: dict[int, Any] = {}
        self._over: list[Ended] = []

    def answer(self, request: Any) -> Any:
        if type(request) is AwaitTurn:
            while not self._over:
                self._step()
            return self._over.pop(0)
        if type(request) is not BeginTurn:
            return self._answer(request)
        self._flows[request.place] = request.flow
        self._going[request.place] = partial(next, request.flow)
        for _ in range(self._chance.randrange(4)):
            self._step()
        return None

    def _step(self) -> None:
        if not self._going:
            return
        place = self._chance.choice(sorted(self._going))
        flow = self._flows[place]
        try:
            request = self._going[place]()
        except StopIteration as stopped:
            del self._going[place]
            self._over.append(Ended(place, stopped.value))
            return
        try:
            self._going[place] = partial(flow.send, self._answer(request))
        except Exception as error:  # noqa: BLE001 - the flow's to judge
            self._going[place] = partial(flow.throw, error)


def timeless(value: object) -> str:
    """Return what something is, but for when it was and what hangs on it."""
    text = re.sub(r"datetime\.datetime\([^()]*\)", "then", repr(value))
    text = re.sub(r"request_hash='[^']*'", "request_hash", text)
    # The gateway numbers payments as they come.
    return re.sub(r"\b(ref|pay|ask|debit)-[0-9]{6}", "payment", text)


def troubled(world: World) -> None:
    """Let what goes wrong depend on the method, not on who is first."""
    gateway = world.gateway
    name = "confirm" if hasattr(gateway, "confirm") else "charge"
    method = getattr(gateway, name)

    def asked(*arguments: Any) -> Any:
        fault = FAULTS_OF.get(arguments[-1].method.token)
        if fault is not None:
            gateway.script(fault)
        return method(*arguments)

    rig(gateway, **{name: asked})


FAULTS_OF: dict[str, Fault] = {}
FAULTS = [Fault.REFUSE, Fault.LOSE_ANSWER, Fault.UNAVAILABLE, Fault.PEND]


@st.composite
def crowds(draw: st.DrawFn) -> list[AutoPay]:
    """Draw orders of which some share a payer, a method or clients."""
    some = st.integers(1, 4)
    orders: list[AutoPay] = []
    for number in range(1, draw(st.integers(2, 9))):
        payer = f"p{draw(some)}"
        clients = draw(st.sets(some, min_size=1, max_size=2))
        orders.append(
            order(
                draw(st.integers(1, number)),
                payer=payer,
                name=f"Order {number}",
                method=attrs.evolve(CARD, token=f"tok_card_{draw(some):04}"),
                enrollments=tuple(
                    to_client(f"C-{each}", payer) for each in sorted(clients)
                ),
                advance_notice=draw(
                    st.none() | st.builds(AdvanceNotice, days=st.just(28))
                ),
            )
        )
    return orders


@given(
    orders=crowds(),
    at_once=st.integers(2, 5),
    two_step=st.booleans(),
    fault=st.none() | st.tuples(st.integers(1, 4), st.sampled_from(FAULTS)),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=150)
def test_o3_in_whatever_order_turns_go_on_the_same_is_done(
    orders: list[AutoPay],
    at_once: int,
    two_step: bool,
    fault: tuple[int, Fault] | None,
    chance: Random,
) -> None:
    one, many = (
        world_of(1, 2, 3, 4, two_step=two_step, bank_debits_pend=True)
        for _ in range(2)
    )
    many.store._id = one.store._id
    FAULTS_OF.clear()
    if fault is not None:
        FAULTS_OF[f"tok_card_{fault[0]:04}"] = fault[1]
    for world in (one, many):
        troubled(world)

    for day in (DAY, DAY + timedelta(days=1), FEBRUARY):
        for world in (one, many):
            world.clock.reach(day)
        items, order_of = iter(orders), AnyOrder(many, chance)

        def asked(
            request: Any,
            items: Iterator[AutoPay] = items,
            order_of: AnyOrder = order_of,
        ) -> Any:
            if type(request) is NextAutoPay:
                return list(itertools.islice(items, 1))
            return order_of.answer(request)

        flow = sweeping.sweep(day, terms_of(many.ports), at_once=at_once)
        found = list(stream(flow, asked))
        expected = list(sweep(orders, as_of=day, ports=one.ports))

        assert list(map(timeless, found)) == list(map(timeless, expected))
        for of in (records, World.postings, notices):
            assert set(map(timeless, of(many))) == set(map(timeless, of(one)))


def records(world: World) -> list[Any]:
    return [*world.records]


def notices(world: World) -> list[Any]:
    """Return what was told, but for incidents, which are everybody's."""
    return [
        each
        for each in world.notifier.sent
        if each.kind is not NoticeKind.INCIDENT
    ]


def told(given: AutoPay) -> InHand:
    return InHand(given)


def test_o3_who_was_edited_while_it_waited_waits_for_its_new_neighbours() -> (
    None
):
    """Driven by hand: the order in which threads end is nobody's to say."""
    first, third = told(order(1, method=CARD)), told(order(3))
    before = told(order(2, method=CARD))
    after = told(order(2, method=third.autopay.method))

    def turn_of(given: object) -> Any:
        yield given

    def hand_over(results: tuple[Any, ...]) -> Any:
        yield Given(results)

    flow = side_by_side(turn_of, hand_over, 3)
    answers: list[tuple[type, Any]] = [
        (NextAutoPay, [first]),
        (BeginTurn, None),
        (NextAutoPay, [before]),
        (NextAutoPay, [third]),
        (BeginTurn, None),
        (NextAutoPay, []),
        (AwaitTurn, Ended(0, ("first",))),
        (Given, None),
        (TurnOver, None),
        # Its method is the third one's by now, which is under way.
        (Again, [after]),
        (AwaitTurn, Ended(2, ("third",))),
        (Again, [after]),
        (BeginTurn, None),
        (AwaitTurn, Ended(1, ("second",))),
        (Given, None),
        (TurnOver, None),
        (Given, None),
        (TurnOver, None),
    ]
    asked: list[Any] = []
    answer: Any = None
    for kind, following in answers:
        asked.append(flow.send(answer))
        assert type(asked[-1]) is kind
        answer = following

    assert next(flow, None) is None
    begun = [each.place for each in asked if type(each) is BeginTurn]
    assert begun == [0, 2, 1]
    assert [each.result for each in asked if type(each) is Given] == [
        ("first",),
        ("second",),
        ("third",),
    ]
    over = [each.given for each in asked if type(each) is TurnOver]
    assert over == [first, after, third]


def test_o3_who_was_edited_and_has_no_neighbours_begins_at_once() -> None:
    first, before = told(order(1, method=CARD)), told(order(2, method=CARD))
    after = told(order(2))

    def turn_of(given: object) -> Any:
        yield given

    def hand_over(results: tuple[Any, ...]) -> Any:
        yield from results

    flow = side_by_side(turn_of, hand_over, 3)
    answer: Any = None
    for kind, following in [
        (NextAutoPay, [first]),
        (BeginTurn, None),
        (NextAutoPay, [before]),
        (NextAutoPay, []),
        (AwaitTurn, Ended(0)),
        (TurnOver, None),
        (Again, [after]),
        (BeginTurn, None),
        (AwaitTurn, Ended(1)),
        (TurnOver, None),
    ]:
        assert type(flow.send(answer)) is kind
        answer = following

    assert next(flow, None) is None


# -- It overlaps --------------------------------------------------------------


class Meeting:
    """Counts who is inside at once; lets the first so many meet."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._met = threading.Event()
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside >= self._count:
                self._met.set()
        assert self._met.wait(30)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


def meeting_at(world: World, meeting: Meeting) -> None:
    charge = world.one_step.charge

    def charged(request: Any) -> Any:
        with meeting:
            return charge(request)

    rig(world.gateway, charge=charged)


def test_o3_turns_with_nothing_in_common_go_on_side_by_side() -> None:
    world, meeting = world_of(*EIGHT), Meeting(4)
    meeting_at(world, meeting)

    results = world.sweep(*map(order, EIGHT), at_once=4)

    assert meeting.most == 4
    assert [each.key.autopay for each in results if each.key] == [
        f"ap-{number}" for number in EIGHT
    ]
    assert {each.status for each in results} == {RunStatus.PAID}


@pytest.mark.parametrize(
    "common",
    [
        {"payer": "p1", "enrollments": (to_client("C-1", "p1"),)},
        {"method": CARD},
        {"id": "ap-1"},
    ],
    ids=["client", "method", "id"],
)
def test_o3_turns_with_something_in_common_follow_each_other(
    common: dict[str, Any],
) -> None:
    world, meeting = world_of(*EIGHT), Meeting(1)
    meeting_at(world, meeting)

    world.sweep(*(order(each, **common) for each in EIGHT), at_once=4)

    assert meeting.most == 1


def in_doubt(world: World, **common: Any) -> list[AutoPay]:
    """Leave eight charges without an answer, and let an hour go by."""
    orders = [order(number, **common) for number in EIGHT]
    for each in orders:
        world.gateway.script(Fault.LOSE_ANSWER)
        [left] = world.sweep(each)
        assert left.status is RunStatus.OPEN
    world.clock.advance(hours=1)
    return orders


def test_o3_what_was_left_in_doubt_is_looked_at_side_by_side() -> None:
    world, meeting = world_of(*EIGHT), Meeting(4)
    orders = in_doubt(world)
    lookup = world.one_step.lookup

    def looked_up(*asked: Any) -> Any:
        with meeting:
            return lookup(*asked)

    rig(world.gateway, lookup=looked_up)

    results = world.sweep(*orders, at_once=4)

    assert meeting.most == 4
    assert [each.key.autopay for each in results if each.key] == [
        f"ap-{number}" for number in EIGHT
    ]
    assert {each.status for each in results} == {RunStatus.PAID}
    assert len(world.taken) == 8


def test_o3_doubts_about_one_method_are_looked_at_one_by_one() -> None:
    world, meeting = world_of(*EIGHT), Meeting(1)
    orders = in_doubt(world, method=CARD)
    lookup = world.one_step.lookup

    def looked_up(*asked: Any) -> Any:
        with meeting:
            return lookup(*asked)

    rig(world.gateway, lookup=looked_up)

    world.sweep(*orders, at_once=4)

    assert meeting.most == 1
    assert {each.state for each in world.records} == {RunState.PAID}


def test_o3_who_waits_holds_up_no_other() -> None:
    """Of ten turns of one payer one goes on, and others beside it."""
    world, meeting = world_of(*EIGHT), Meeting(3)
    meeting_at(world, meeting)
    mine = [
        order(each, payer="p1", enrollments=(to_client(f"C-{each}", "p1"),))
        for each in EIGHT[:6]
    ]

    results = world.sweep(*mine, order(7), order(8), at_once=3)

    assert meeting.most == 3
    assert {each.status for each in results} == {RunStatus.PAID}


def test_o3_so_many_turns_are_taken_in_ahead_and_no_more() -> None:
    """Memory does not grow with the number of orders."""
    begun = threading.Event()
    world, taken = world_of(*EIGHT), 0
    charge = world.one_step.charge

    def charged(request: Any) -> Any:
        if request.method.token == "tok_card_0001":
            assert begun.wait(30)
        return charge(request)

    rig(world.gateway, charge=charged)

    def orders() -> Iterator[AutoPay]:
        nonlocal taken
        for each in range(1, 200):
            taken = each
            if each == 2 * 8:
                begun.set()
            assert each <= 2 * 8 or begun.is_set()
            yield order(each)

    results = sweep(orders(), as_of=DAY, ports=world.ports, at_once=2)
    next(results)

    assert taken <= 2 * 8 + 2
    assert len(list(results)) == 198


# -- How it ends --------------------------------------------------------------


def test_o3_who_leaves_the_loop_waits_for_what_is_under_way() -> None:
    # More than are taken in before the first of them is over.
    many = range(1, 41)
    world, meeting = world_of(*many), Meeting(3)
    meeting_at(world, meeting)
    results: Any = sweep(
        map(order, many), as_of=DAY, ports=world.ports, at_once=3
    )

    with closing(results):
        assert next(results).status is RunStatus.PAID

    assert meeting.inside == 0
    assert 3 <= len(world.records) < len(many)
    assert {each.state.value for each in world.records} == {"paid"}
    assert not [
        each.name
        for each in threading.enumerate()
        if each.name.startswith("autopay-turn")
    ]


def test_o3_who_leaves_the_loop_waits_for_tasks() -> None:
    world = world_of(*EIGHT)

    async def main() -> None:
        results: Any = aio.sweep(
            map(order, EIGHT),
            as_of=DAY,
            ports=awaitable(world.ports),
            at_once=3,
        )
        assert (await anext(results)).status is RunStatus.PAID
        await results.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())

    assert 1 <= len(world.records) < len(EIGHT)
    assert {each.state.value for each in world.records} == {"paid"}


def hanging(world: World) -> tuple[Any, list[str]]:
    """Return ports at which each charge waits, and how each wait ended."""
    ports, ended = awaitable(world.ports), []

    async def charge(_: Any) -> NoReturn:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            await asyncio.sleep(0)
            ended.append("over")
            raise
        raise AssertionError

    rig(ports.gateway, charge=charge)
    return ports, ended


@pytest.mark.parametrize("times", [1, 2])
def test_o3_turns_are_cancelled_with_their_sweep(times: int) -> None:
    world = world_of(*EIGHT)
    ports, ended = hanging(world)

    async def night() -> None:
        orders = map(order, EIGHT)
        async for _ in aio.sweep(orders, as_of=DAY, ports=ports, at_once=3):
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(night())
        for _ in range(500):
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())

    assert ended.count("cancelled") == 3
    assert {each.state.value for each in world.records} == {"open"}


def test_o3_a_second_cancellation_while_turns_end_cuts_them_off() -> None:
    """It comes while the loop's leaver waits for what is under way."""
    world = world_of(*EIGHT)
    ports, ended = hanging(world)
    done = iter([True])
    charge = ports.gateway.charge

    async def first_is_quick(request: Any) -> Any:
        if next(done, False):
            return world.one_step.charge(request)
        return await charge(request)

    rig(ports.gateway, charge=first_is_quick)

    async def leaver() -> None:
        orders = map(order, EIGHT)
        results: Any = aio.sweep(orders, as_of=DAY, ports=ports, at_once=3)
        await anext(results)
        await results.aclose()

    async def main() -> None:
        task = asyncio.create_task(leaver())
        for _ in range(500):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())

    assert ended
    assert ended.count("cancelled") == ended.count("over")


@pytest.mark.parametrize("at_once", [0, -1, 1_001, 2.0, True, None])
def test_o3_a_number_that_is_none_is_refused(at_once: Any) -> None:
    world = World()
    with pytest.raises(InvalidValueError) as refused:
        world.sweep(standing_order(), at_once=at_once)
    assert (refused.value.code, refused.value.path) == (
        "OutOfRange",
        "at_once",
    )


def test_o3_a_day_that_has_not_come_ends_the_sweep() -> None:
    world = world_of(*EIGHT)
    with pytest.raises(InvalidValueError) as refused:
        list(
            sweep(
                map(order, EIGHT),
                as_of=FEBRUARY,
                ports=world.ports,
                at_once=3,
            )
        )
    assert refused.value.code == "DateAhead"
    assert world.records == ()


def test_o3_an_exit_in_a_thread_ends_the_sweep() -> None:
    world = world_of(*EIGHT)

    def leave(_: Any) -> NoReturn:
        raise SystemExit

    rig(world.gateway, charge=leave)
    with pytest.raises(SystemExit):
        world.sweep(*map(order, EIGHT), at_once=3)


def test_r6_what_is_no_auto_pay_stops_no_other() -> None:
    world = world_of(1, 2)
    given: list[Any] = [
        order(1),
        "nonsense",
        Unreadable(key="x", code="Bad"),
        order(2),
    ]

    found = list(sweep(given, as_of=DAY, ports=world.ports, at_once=3))

    assert [each.status for each in found] == [
        RunStatus.PAID,
        RunStatus.POSTPONED,
        RunStatus.POSTPONED,
        RunStatus.PAID,
    ]


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_o3_a_sweep_of_nobody_is_done(at_once: int) -> None:
    assert World().sweep(at_once=at_once) == []


def test_o3_tasks_do_what_threads_do() -> None:
    one, other = world_of(*EIGHT), world_of(*EIGHT)
    other.store._id = one.store._id

    async def main() -> list[RunResult]:
        ports = awaitable(other.ports)
        return [
            each
            async for each in aio.sweep(
                map(order, EIGHT), as_of=DAY, ports=ports, at_once=5
            )
        ]

    found = asyncio.run(main())
    expected = one.sweep(*map(order, EIGHT), at_once=5)

    assert [(each.key, each.charged) for each in found] == [
        (each.key, each.charged) for each in expected
    ]


# -- When it is worth asking again --------------------------------------------


class Time:
    """Seconds that go on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def busy(seconds: int | None) -> PortUnavailableError:
    return PortUnavailableError("busy", retry_after=seconds)


def test_o3_a_rest_is_as_long_as_a_port_says_within_bounds() -> None:
    time = Time()
    rest = Rest(time.clock)
    assert rest.seconds() == 0

    rest.note(busy(None))
    rest.note(busy(-5))
    assert rest.seconds() == 0

    rest.note(busy(30))
    rest.note(busy(20))  # Not shorter for that.
    assert rest.seconds() == 30
    time.sleep(10)
    assert rest.seconds() == 20

    rest.note(busy(3600))
    assert rest.seconds() == 60
    time.sleep(60)
    assert rest.seconds() == 0


def test_o3_the_rests_of_a_sweep_have_an_end() -> None:
    time = Time()
    rest = Rest(time.clock)
    for _ in range(100):
        rest.note(busy(60))
        time.sleep(rest.seconds())

    assert sum(time.slept) == 600


def two_turns() -> Any:
    """Return a stream with a turn after a turn that meets a busy port."""

    def turn(request: object) -> Any:
        try:
            yield request
        except PortUnavailableError:
            return ("busy",)
        return ("done",)

    for place in (0, 1):
        yield BeginTurn(place, turn(ReadInvoices if place else Charge))
        ended = yield AwaitTurn()
        yield Given(ended.results)


def test_o3_a_busy_port_holds_back_the_turns_that_have_not_begun() -> None:
    time = Time()

    def answer(request: Any) -> None:
        if request is Charge:
            raise busy(45)

    found = list(
        stream_at_once(
            two_turns(), answer, 2, sleep=time.sleep, rest=Rest(time.clock)
        )
    )

    assert found == [("busy",), ("done",)]
    assert time.slept == [45]


def test_o3_a_busy_port_holds_back_tasks_too() -> None:
    time = Time()

    async def answer(request: Any) -> None:
        if request is Charge:
            raise busy(45)

    async def main() -> list[Any]:
        return [
            each
            async for each in stream_at_once_async(
                two_turns(),
                answer,
                sleep=time.sleep_async,
                rest=Rest(time.clock),
            )
        ]

    assert asyncio.run(main()) == [("busy",), ("done",)]
    assert time.slept == [45]


# -- Orders of a book ---------------------------------------------------------


class Desk(World):
    """A world whose orders are in a book."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(*world_of(*numbers).matters._invoices.values())
        self.kept = MemoryBookStore(clock=self.clock)
        self.book = Book(self.kept)

    def add(self, autopay: AutoPay) -> None:
        self.book.add(autopay, as_of=DAY, **ANN)

    def night(self, **more: Any) -> list[RunResult]:
        return list(self.book.sweep(as_of=DAY, ports=self.ports, **more))

    def next_days(self) -> dict[str, Any]:
        return {
            kept.id: kept.next_on
            for number in EIGHT
            for kept in self.book.of_payer(f"p{number}")
        }


def test_o3_a_night_of_the_book_is_the_same_at_once() -> None:
    desks = [Desk(*EIGHT) for _ in range(3)]
    for desk in desks:
        desk.store._id = "one"
        for number in EIGHT:
            desk.add(order(number))
    one, many, tasks = desks

    async def main() -> list[RunResult]:
        book, ports = AsyncBook(tasks.kept), awaitable(tasks.ports)
        return [
            each
            async for each in book.sweep(as_of=DAY, ports=ports, at_once=4)
        ]

    found = [one.night(), many.night(at_once=4), asyncio.run(main())]

    assert len(found[0]) == len(EIGHT)
    for results, desk in zip(found, desks, strict=True):
        assert [(each.key, each.charged) for each in results] == [
            (each.key, each.charged) for each in found[0]
        ]
        assert desk.next_days() == one.next_days()
        assert desk.night(at_once=4) == []


def test_r7_an_order_that_waits_is_read_again_when_its_turn_begins() -> None:
    desk = Desk(1, 2)
    for number in (1, 2):
        desk.add(order(number, method=CARD))
    charge = desk.one_step.charge

    def charged(request: Any) -> Any:
        rig(desk.gateway, charge=charge)
        desk.book.do(
            "ap-2",
            TurnOff(DAY),
            as_of=DAY,
            version=1,
            ports=desk.ports,
            **ANN,
        )
        return charge(request)

    rig(desk.gateway, charge=charged)
    desk.night(at_once=2)

    assert [each.method.token for each in desk.gateway.executed] == [
        CARD.token
    ]
    assert desk.book.get("ap-2").number == 2


def test_o3_an_order_that_has_others_beside_it_now_waits_for_those() -> None:
    """It was edited while it waited: its method is another one's now."""
    desk = Desk(1, 2, 3)
    third = order(3)
    for each in (order(1, method=CARD), order(2, method=CARD), third):
        desk.add(each)
    moved, charge, going = threading.Event(), desk.one_step.charge, []

    def charged(request: Any) -> Any:
        going.append(request.method.token)
        if request.method.token == CARD.token:
            desk.kept.write([moved_to(third.method)], {})
            moved.set()
        elif going.count(request.method.token) == 1:
            assert moved.wait(30)
        outcome = charge(request)
        assert going.count(third.method.token) <= 2
        return outcome

    rig(desk.gateway, charge=charged)
    results = desk.night(at_once=3)

    assert {each.status for each in results} == {RunStatus.PAID}
    assert sorted(going) == sorted(
        [CARD.token, third.method.token, third.method.token]
    )


def moved_to(method: Any) -> Draft:
    return Draft(
        value=order(2, method=method),
        number=2,
        command="ChangeMethod",
        by="Ann",
        reason="asked by the payer",
        next_on=DAY,
    )


def test_o3_a_book_that_goes_away_ends_the_night_when_turns_are_over() -> None:
    desk = Desk(1, 2, 3)
    for number in (1, 2, 3):
        desk.add(order(number, method=CARD))
    charge = desk.one_step.charge

    def gone(*_: Any) -> NoReturn:
        raise PortUnavailableError("the book is away", code="StoreBusy")

    def charged(request: Any) -> Any:
        rig(desk.kept, latest=gone, due=gone, move_on=gone)
        return charge(request)

    rig(desk.gateway, charge=charged)
    found: list[RunResult] = []
    with pytest.raises(PortUnavailableError):
        found.extend(desk.book.sweep(as_of=DAY, ports=desk.ports, at_once=2))

    assert found[0].status is RunStatus.PAID
    assert {each.status for each in found[1:]} <= {RunStatus.POSTPONED}
    assert len(desk.gateway.executed) == 1
