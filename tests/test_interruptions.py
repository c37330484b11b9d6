"""Calls that are interrupted, beyond what the kit tries with each adapter."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psycopg
import pytest

from autopay_core.adapters import memory, postgres
from autopay_core.adapters.postgres import (
    AsyncPostgresPostingStore,
    PostgresPostingStore,
)
from autopay_core.adapters.sql import postgres_sources, words
from autopay_core.adapters.sql.words import Exclusive, move_last, receive
from autopay_core.adapters.threads import threaded
from autopay_core.charges import ChargeRequest
from autopay_core.commits import Change, Committed, Conflict
from autopay_core.history import verify_history
from autopay_core.references import PaymentMethodRef
from autopay_core.testing.contracts import _async, _interruptions
from autopay_core.testing.contracts._async import Awaited as OnLoop, Loop
from autopay_core.testing.contracts._base import intended, invoice, run_key
from autopay_core.testing.contracts._interruptions import (
    CALLS,
    Interruption,
    Lines,
    Suspensions,
    apart,
    check,
    folders_of,
    leaving,
)
from postgres_server import shared_server
from records import DATES, INVOICES, TestClock, intend, key_of, paid
from test_postgres import empty_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLACES = 8
"""So many places of a call are tried with each source of connections."""

# -- Connections that a host lends -------------------------------------------


@pytest.fixture
def conninfo() -> Iterator[str]:
    where = empty_database("interruptions")
    PostgresPostingStore(where).close()
    yield where
    with psycopg.connect(where, autocommit=True) as connection:
        # What a faulty store holds would hold up the next test.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def url() -> str:
    folder = shared_server().folder
    return f"postgresql+psycopg://autopay@/interruptions?host={folder}"


def pool_of(conninfo: str) -> Any:
    from psycopg_pool import ConnectionPool

    # So few that what is lost is soon missed.
    return ConnectionPool(
        conninfo, min_size=1, max_size=2, open=True, timeout=5
    )


def engine_of(_: str) -> Any:
    import sqlalchemy

    return sqlalchemy.create_engine(
        url(), pool_size=2, max_overflow=0, pool_timeout=5
    )


async def async_pool_of(conninfo: str) -> Any:
    from psycopg_pool import AsyncConnectionPool

    pool = AsyncConnectionPool(
        conninfo, min_size=1, max_size=2, open=False, timeout=5
    )
    await pool.open()
    return pool


async def async_engine_of(_: str) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(
        url(), pool_size=2, max_overflow=0, pool_timeout=5
    )


@pytest.mark.postgres
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("lender", [pool_of, engine_of])
def test_ps_1_a_host_gets_every_connection_back_that_is_fit_for_use(
    conninfo: str, lender: Callable[[str], Any], name: str
) -> None:
    def steps() -> Iterator[str]:
        # Made in the process that interrupts: it has threads of its own.
        store = PostgresPostingStore(lender(conninfo), clock=TestClock())
        beside = PostgresPostingStore(conninfo, clock=TestClock())
        by = Lines(folders_of(store))
        return check(name, store, beside, by, PLACES)

    apart(steps, 120)


@pytest.mark.postgres
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("lender", [async_pool_of, async_engine_of])
def test_ps_1_a_cancelled_task_takes_no_connection_along(
    conninfo: str, lender: Callable[[str], Any], name: str
) -> None:
    loop = Loop()
    lent = loop.run(lender(conninfo))
    inner = AsyncPostgresPostingStore(lent, clock=TestClock())
    store: Any = OnLoop(inner, loop)
    beside = PostgresPostingStore(conninfo, clock=TestClock())
    try:
        for _ in check(name, store, beside, Suspensions(loop.wrap), None):
            pass
    finally:
        beside.close()
        leave = getattr(lent, "dispose", None) or lent.close
        loop.run(leave())
        loop.close()


# -- A store with the fault is told by name -----------------------------------


def gives_back_whatever_comes(patch: pytest.MonkeyPatch) -> None:
    """Give connections back as they are, as if every end were a normal one."""

    async def end(source: Any, loan: Any, *, is_sound: bool) -> None:
        while loan.held:
            source._idle.append(loan.held.pop())

    async def is_alive(*_: object) -> bool:
        return True

    patch.setattr(postgres_sources.Source, "_end", end)
    patch.setattr(postgres_sources._OwnConnections, "_is_alive", is_alive)


@pytest.mark.postgres
def test_a_store_that_goes_on_with_an_interrupted_pipeline_is_told(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gives_back_whatever_comes(monkeypatch)
    loop = Loop()
    inner = AsyncPostgresPostingStore(conninfo, clock=TestClock())
    store: Any = OnLoop(inner, loop)
    beside = PostgresPostingStore(conninfo, clock=TestClock())

    def interrupt_everything() -> None:
        for name in CALLS:
            by = Suspensions(loop.wrap)
            for _ in check(name, store, beside, by, None):
                pass

    monkeypatch.setattr(_async, "PATIENCE", 5.0)
    try:
        with pytest.raises(AssertionError, match="was interrupted at "):
            interrupt_everything()
    finally:
        loop.close()


@pytest.mark.postgres
def test_a_store_that_goes_on_with_an_interrupted_transaction_is_told(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gives_back_whatever_comes(monkeypatch)

    def steps() -> Iterator[str]:
        store = PostgresPostingStore(conninfo, clock=TestClock())
        # Between what a commit writes and its COMMIT there are few lines.
        by = Lines((postgres.__file__,))
        beside = PostgresPostingStore(conninfo, clock=TestClock())
        return check("end", store, beside, by, None)

    with pytest.raises(pytest.fail.Exception, match="was interrupted at "):
        apart(steps, 60)


# -- The tools ----------------------------------------------------------------


def interrupted_at_every_line(call: Callable[[], object]) -> int:
    """Raise at each line of `words` in turn, `with` and `try` among them."""
    count = 0
    while True:
        count += 1
        left = count

        def trace(frame: Any, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename != words.__file__:
                return None
            if event == "line" and frame.f_lasti not in leaving(frame.f_code):
                left -= 1
                if not left:
                    raise Interruption
            return trace

        # The one before is coverage's.
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            call()
        except Interruption:
            continue
        else:
            return count
        finally:
            sys.settrace(before)


def test_an_exclusive_call_is_let_go_wherever_it_is_interrupted() -> None:
    alone = Exclusive()
    seen: list[int] = []

    def call_and_look() -> None:
        try:
            alone.call(lambda: None)
        finally:
            # From another thread: this one may enter twice.
            other = threading.Thread(
                target=lambda: alone.call(lambda: seen.append(1)), daemon=True
            )
            other.start()
            other.join(10)
            assert not other.is_alive()

    tried = interrupted_at_every_line(call_and_look)

    assert tried > 2
    assert len(seen) == tried


def test_an_exclusive_call_that_raises_is_let_go_once() -> None:
    alone = Exclusive()

    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            alone.call(fail)
    assert alone.call(lambda: 7) == 7


def test_what_is_moved_is_in_one_place_wherever_it_is_interrupted() -> None:
    there: list[str] = ["it"]
    here: list[str] = []

    def move() -> None:
        try:
            if not move_last(there, here):
                move_last(here, there)
        finally:
            assert len(there) + len(here) == 1

    assert interrupted_at_every_line(move) > 2
    assert not move_last([], here)
    receive(here, lambda: "more")
    assert here[-1] == "more"


def test_an_interruption_that_hangs_is_ended_and_told() -> None:
    def steps() -> Iterator[str]:
        yield "the place"
        threading.Event().wait()

    with pytest.raises(pytest.fail.Exception, match="after: the place"):
        apart(steps, 1)


def test_what_fails_in_a_process_of_its_own_fails_here() -> None:
    def steps() -> Iterator[str]:
        yield "the place"
        raise AssertionError("half of it stands")

    with pytest.raises(pytest.fail.Exception, match="half of it stands"):
        apart(steps, 60)


def test_places_are_spread_from_the_first_to_the_last() -> None:
    places = [(number,) for number in range(100)]

    assert _interruptions._spread(places, None) == places
    assert _interruptions._spread(places, 3) == [(0,), (49,), (99,)]
    assert _interruptions._spread(places[:2], 3) == places[:2]


# -- Threads ------------------------------------------------------------------


class Slow:
    """A port whose call ends when it is let."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.done: list[str] = []

    def call(self, name: str) -> str:
        self.has_begun.set()
        assert self.may_end.wait(10)
        self.done.append(name)
        return name


def test_a_call_in_a_thread_is_over_when_its_cancellation_comes_out() -> None:
    port = Slow()

    async def use() -> None:
        task = asyncio.ensure_future(threaded(port).call("one"))
        await asyncio.to_thread(port.has_begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        port.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert port.done == ["one"]

    asyncio.run(use())


def test_a_call_that_waits_for_a_thread_does_not_begin_once_cancelled() -> (
    None
):
    from concurrent.futures import ThreadPoolExecutor

    port = Slow()

    async def use() -> None:
        with ThreadPoolExecutor(1) as executor:
            made = threaded(port, executor)
            first = asyncio.ensure_future(made.call("one"))
            await asyncio.to_thread(port.has_begun.wait, 10)
            second = asyncio.ensure_future(made.call("two"))
            await asyncio.sleep(0.01)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            port.may_end.set()
            assert await first == "one"
            assert await made.call("three") == "three"

    asyncio.run(use())
    assert port.done == ["one", "three"]


# -- Gateways -----------------------------------------------------------------


def request_of(number: int) -> ChargeRequest:
    record = intended(run_key(f"ap-{number}"), invoice(f"INV-{number}", 100))
    assert record.intent is not None
    return record.intent.request


def repeated(call: Callable[[int], object], look: Callable[[], int]) -> None:
    """Interrupt a call at every line and call again: it counts once."""
    by = Lines((f"{Path(memory.__file__).parent}{os.sep}",))
    places = by.places(lambda: call(0))
    cut = 0
    for number, place in enumerate(places, start=1):
        before = look()
        cut += by.is_cut(partial(call, number), place)
        again = call(number)
        assert call(number) == again
        assert look() == before + 1, place
    assert cut > 5


@pytest.mark.parametrize("token", ["tok_good", "tok_bad"])
def test_pg_1_a_charge_that_is_interrupted_and_sent_again_is_one(
    token: str,
) -> None:
    gateway = memory.MemoryGateway(clock=TestClock())
    gateway.decline("tok_bad")
    method = PaymentMethodRef(provider="kit", token=token)

    repeated(
        lambda number: gateway.charge(
            attrs.evolve(request_of(number), method=method, not_after=None)
        ),
        lambda: len(gateway._executed),
    )

    charged = [each.key for each in gateway.captured]
    assert len(charged) == len(set(charged))
    assert len(charged) == (len(gateway._executed) if "good" in token else 0)


def test_ts_2_a_confirmation_that_is_interrupted_and_sent_again_is_one() -> (
    None
):
    gateway = memory.MemoryTwoStepGateway(clock=TestClock())
    references: dict[int, str] = {}

    def confirm(number: int) -> object:
        request = attrs.evolve(request_of(number), not_after=None)
        if number not in references:
            prepared = gateway.prepare(request)
            assert isinstance(prepared, str)
            references[number] = prepared
        return gateway.confirm(references[number], request)

    repeated(confirm, lambda: len(gateway._executed))

    assert len(gateway.captured) == len(gateway._executed)
    assert len({each.key for each in gateway.captured}) == len(
        gateway.captured
    )


# -- Under load ---------------------------------------------------------------


@pytest.mark.postgres
def test_hundreds_of_cancelled_calls_under_load_give_no_wrong_answer(
    conninfo: str,
) -> None:
    """The figure for 10,000 stands in docs/explanation/threats.md."""
    assert asyncio.run(cancelled_under_load(conninfo, 300)) > 50


async def cancelled_under_load(conninfo: str, calls: int) -> int:
    """
    Cancel calls at any moment, from tasks that share a store.

    Every answer that comes is compared with what was written, and at the end
    all that was told as written is there; returns how many were cut off.
    """
    random_moment = random.Random(7).random
    told: dict[Any, Any] = {}
    cut_off = 0
    async with AsyncPostgresPostingStore(conninfo) as store:

        async def cancelled(call: Any) -> Any:
            nonlocal cut_off
            task = asyncio.ensure_future(call)
            await asyncio.sleep(random_moment() * 0.01)
            task.cancel()
            try:
                return await task
            except asyncio.CancelledError:
                cut_off += 1
                return None

        async def work(name: str) -> None:
            key = key_of(name, DATES[0])
            record = intend(key, INVOICES, 900)
            done = paid(record)
            for change, run in (
                (Change(runs=(record,)), record),
                (Change(runs=(done,)), done),
            ):
                answer = await cancelled(store.commit(change))
                assert answer in (None, Committed())
                found = await cancelled(store.standing(key, ""))
                if found is not None and answer is not None:
                    assert found.run == run
                if answer is None:
                    # Whether it stands is seen by whoever tries again.
                    again = await store.commit(change)
                    assert isinstance(again, (Committed, Conflict))
                standing = await store.standing(key, "")
                assert standing.run == run
                told[key] = run

        names = iter([f"ap-{number}" for number in range(calls // 4)])

        async def worker() -> None:
            for name in names:
                await work(name)

        await asyncio.gather(*(worker() for _ in range(8)))
    with PostgresPostingStore(conninfo) as other:
        assert {each.key: each for each in other.runs()} == told
        assert verify_history(other) == ()
        with psycopg.connect(conninfo) as connection:
            row = connection.execute(
                "SELECT COUNT(*) FROM pg_stat_activity "
                "WHERE datname = current_database() "
                "AND state LIKE 'idle in transaction%'"
            ).fetchone()
            assert row == (0,)
    return cut_off
