"""A night in jobs of Procrastinate, on a real server (O3)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time as clocks
from datetime import date, time
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

pytest.importorskip("procrastinate")
import procrastinate

import engine_worker
from autopay_core import calls
from autopay_core.adapters.procrastinate import Nights, NoNightError
from autopay_core.book import AsyncBook, Book, MemoryBookStore
from autopay_core.errors import (
    HostProtocolError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.monitoring import TroubleKind
from autopay_core.policy import Policy
from autopay_core.runs import RunState
from postgres_server import shared_server
from trials import KILLS, SECONDS, SEED, environment, run_trial
from worlds import (
    CARD,
    DAY,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
)

pytestmark = [pytest.mark.postgres]

ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}


@pytest.fixture
def where() -> str:
    """Return a database with the queue's tables and nothing in them."""
    server = shared_server()
    address = server.new_database("engine")
    app = procrastinate.App(
        connector=procrastinate.SyncPsycopgConnector(conninfo=address)
    )
    with app.open():
        app.schema_manager.apply_schema()
    return address


class Office(World):
    """A world whose orders are in a book, and whose nights are jobs."""

    def __init__(self, where: str, payers: int = 3, **settings: Any) -> None:
        super().__init__(
            *(bill(f"INV-{n}", "9.00", client=f"C-{n}") for n in range(payers))
        )
        self.where = where
        self.book: Any = Book(MemoryBookStore(clock=self.clock))
        self.of_jobs: Any = self.ports
        for number in range(payers):
            payer = f"p{number}"
            order = standing_order(
                id=f"ap-{number}",
                payer=payer,
                method=attrs.evolve(CARD, token=f"tok_of_payer_{number}"),
                enrollments=(to_client(f"C-{number}", payer),),
            )
            self.book.add(order, as_of=DAY, **ANN)
        self.app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=where, min_size=1, max_size=6
            )
        )
        self.nights = Nights(
            self.app, lambda: (self.book, self.of_jobs), **settings
        )

    def defer(self, *nights: date) -> None:
        async def main() -> None:
            async with self.app.open_async():
                for each in nights:
                    await self.nights.begin.defer_async(as_of=str(each))

        asyncio.run(main())

    def work(self, **more: Any) -> None:
        """Let a worker do all that can be done now."""

        async def main() -> None:
            async with self.app.open_async():
                # One that does not wait ends when all lanes are taken.
                while self.is_waited_for():
                    await self.app.run_worker_async(
                        wait=False,
                        concurrency=4,
                        listen_notify=False,
                        install_signal_handlers=False,
                        **more,
                    )

        asyncio.run(main())

    def is_waited_for(self) -> bool:
        with psycopg.connect(self.where) as connection:
            row = connection.execute(
                "SELECT count(*) FROM procrastinate_jobs WHERE "
                "status = 'todo' AND coalesce(scheduled_at, now()) <= now()"
            ).fetchone()
        assert row is not None
        return bool(row[0])

    def finish(self) -> None:
        """Let a worker do all there is, also what comes later."""
        self.work()
        while not all(
            status in {"succeeded", "failed"}
            for task in ("begin", "turn", "end")
            for status, _, _ in self.jobs(task)
        ):
            self.make_due()
            self.work()

    def do(self, task: Any) -> None:
        """Let a periodic task do its work once."""

        async def main() -> None:
            async with self.app.open_async():
                await task.defer_async(timestamp=0)

        asyncio.run(main())
        self.work()

    def jobs(self, task: str = "turn") -> list[tuple[str, str | None, Any]]:
        with psycopg.connect(self.where) as connection:
            return connection.execute(
                "SELECT status::text, lock, args FROM procrastinate_jobs "
                "WHERE task_name = %s ORDER BY id",
                (f"autopay:{task}",),
            ).fetchall()

    def states(self) -> list[RunState]:
        return [each.state for each in self.records]

    def make_due(self, seconds: int = 3_600) -> None:
        """Let time pass for jobs that come later."""
        with psycopg.connect(self.where) as connection:
            connection.execute(
                "UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - "
                "make_interval(secs => %s)",
                (seconds,),
            )


def quietly(**settings: Any) -> dict[str, Any]:
    """Return settings with which nothing begins by itself."""
    return {
        "not_before": None,
        "every": "0 0 1 1 *",
        "watched": "0 0 1 1 *",
        **settings,
    }


def test_o3_a_night_is_a_turn_for_each_order_and_a_sweep_at_the_end(
    where: str,
) -> None:
    office = Office(where, 5, **quietly(at_once=2))
    office.defer(DAY)

    office.finish()

    assert office.states() == [RunState.PAID] * 5
    assert len(office.taken) == 5
    assert office.book.due(DAY) == ()
    assert [status for status, _, _ in office.jobs()] == ["succeeded"] * 5
    assert {lock for _, lock, _ in office.jobs()} == {
        "autopay:autopay:0",
        "autopay:autopay:1",
    }
    assert calls.health(ports=office.ports).swept_for == DAY
    assert repr(office.nights) == "Nights('autopay')"


def test_o3_a_job_carries_an_id_and_a_date_and_nothing_else(
    where: str,
) -> None:
    office = Office(where, 1, **quietly())
    office.defer(DAY)
    office.work()

    [(_, _, args)] = office.jobs()
    assert args == {"autopay": "ap-0", "as_of": "2026-01-31"}
    with psycopg.connect(where) as connection:
        rows = connection.execute(
            "SELECT row_to_json(j)::text FROM procrastinate_jobs j"
        ).fetchall()
    assert not any("tok_" in text for (text,) in rows)


def test_r5_a_night_that_is_enqueued_twice_does_nothing_twice(
    where: str,
) -> None:
    office = Office(where, 3, **quietly())
    office.defer(DAY, DAY)
    with office.app.open():
        assert office.nights.enqueue(DAY) == 3
        assert office.nights.enqueue(DAY) == 0
    assert len(office.jobs()) == 3

    office.work()
    office.defer(DAY)
    office.work()

    assert len(office.jobs()) == 3
    assert len(office.jobs("end")) >= 1
    assert len(office.taken) == 3


def test_o3_what_is_enqueued_stands_and_falls_with_the_host_s_transaction(
    where: str,
) -> None:
    office = Office(where, 3, **quietly())
    with office.app.open(), psycopg.connect(where) as connection:
        assert office.nights.enqueue(DAY, connection=connection) == 3
        connection.rollback()
        assert office.jobs() == []
        assert office.nights.enqueue(DAY, connection=connection) == 3
        connection.commit()

    assert len(office.jobs()) == 3


def test_o3_a_night_on_an_event_loop_does_the_same(where: str) -> None:
    office = Office(where, 3, **quietly())
    office.book = AsyncBook(office.book._store)
    office.of_jobs = awaitable(office.ports)

    async def main() -> None:
        async with office.app.open_async():
            async with await psycopg.AsyncConnection.connect(
                where
            ) as connection:
                assert (
                    await office.nights.enqueue_async(
                        DAY, connection=connection
                    )
                    == 3
                )
            with pytest.raises(HostProtocolError):
                office.nights.enqueue(DAY)

    asyncio.run(main())
    office.finish()
    office.do(office.nights.watch)

    assert len(office.taken) == 3
    assert calls.health(ports=office.ports).swept_for == DAY
    assert [status for status, _, _ in office.jobs("watch")] == ["succeeded"]


def test_o3_turns_that_meet_go_on_one_after_another(where: str) -> None:
    office = Office(where, 4, **quietly(at_once=3))
    also = standing_order(
        id="ap-4", payer="p1", enrollments=(to_client("C-1", "p1"),)
    )
    office.book.add(also, as_of=DAY, **ANN)
    with office.app.open():
        office.nights.enqueue(DAY)

    lanes = {args["autopay"]: lock for _, lock, args in office.jobs()}
    assert lanes["ap-1"] == lanes["ap-4"]
    assert len({lanes[f"ap-{n}"] for n in range(3)}) == 3


def test_o3_turns_at_one_account_of_the_gateway_are_so_many_at_once(
    where: str,
) -> None:
    office = Office(where, 6, **quietly(at_once=2))
    office.gateway.capabilities = attrs.evolve(
        office.gateway.capabilities, account="acct-7"
    )
    with office.app.open():
        office.nights.enqueue(DAY)

    assert {lock for _, lock, _ in office.jobs()} == {
        "autopay:acct-7:0",
        "autopay:acct-7:1",
    }
    with pytest.raises(InvalidValueError) as raised:
        Nights(
            procrastinate.Blueprint(),
            lambda: (office.book, office.ports),
            at_once=0,
        )
    assert raised.value.path == "at_once"


def test_r6_a_turn_that_ends_with_a_port_s_error_comes_again_beside_its_lane(
    where: str,
) -> None:
    office = Office(where, 3, **quietly(at_once=1))
    answers = office.store.standing
    left = [1]

    def away(key: Any, *more: Any) -> Any:
        if key.autopay == "ap-0" and left[0]:
            left[0] -= 1
            raise PortUnavailableError("away", retry_after=120)
        return answers(key, *more)

    rig(office.store, standing=away)
    office.defer(DAY)
    office.work()

    assert sorted(each.key.autopay for each in office.records) == [
        "ap-1",
        "ap-2",
    ]
    first, *others = office.jobs()
    assert first[:2] == ("todo", "autopay:autopay:0:again")
    assert {status for status, _, _ in others} == {"succeeded"}
    office.make_due()
    office.work()
    assert office.states() == [RunState.PAID] * 3


def test_r6_what_failed_for_good_has_its_turn_at_the_end_of_the_night(
    where: str,
) -> None:
    office = Office(where, 2, **quietly())
    turn = office.book.turn

    def broken(autopay: str, **more: Any) -> Any:
        if autopay == "ap-0":
            raise ValueError("a mistake of ours")
        return turn(autopay, **more)

    rig(office.book, turn=broken)
    office.defer(DAY)
    office.finish()

    assert [status for status, _, _ in office.jobs()] == [
        "failed",
        "succeeded",
    ]
    assert office.states() == [RunState.PAID] * 2
    assert calls.health(ports=office.ports).swept_for == DAY


def test_o3_a_night_is_begun_when_it_is_time_and_none_ran(where: str) -> None:
    office = Office(where, 1, **quietly(not_before=time(9), at_once=1))
    # Noon in UTC is seven in the morning there.
    office.of_jobs = office.ports_with(policy=Policy(zone="America/New_York"))
    office.do(office.nights.tend)
    assert office.jobs("begin") == []

    office.clock.advance(hours=3)
    office.do(office.nights.tend)
    office.do(office.nights.tend)
    office.make_due()
    office.work()
    office.do(office.nights.tend)

    assert len(office.jobs("begin")) == 1
    assert len(office.taken) == 1
    assert [status for status, _, _ in office.jobs("tend")] == (
        ["succeeded"] * 4
    )


def test_o3_an_alarm_sounds_if_no_night_ran(where: str) -> None:
    heard: list[Any] = []
    silent = Office(where, 1, **quietly())
    office = Office(where, 1, **quietly(alarm=heard.append))
    office.defer(DAY)
    office.finish()
    office.do(office.nights.watch)
    assert heard == []

    office.clock.advance(hours=27)
    office.do(office.nights.watch)
    silent.do(silent.nights.watch)

    assert [each.kind for each in heard] == [TroubleKind.NO_SWEEP]
    assert [status for status, _, _ in office.jobs("watch")][-1] == "failed"
    assert NoNightError(heard[0]).trouble is heard[0]


# -- Workers that die ---------------------------------------------------------


def test_r4_a_worker_that_is_killed_in_a_turn_strands_and_doubles_nothing(
    where: str, tmp_path: Path
) -> None:
    engine_worker.add_orders(where)
    arguments = [sys.executable, "-m", "engine_worker", where, str(tmp_path)]
    worker = subprocess.Popen([*arguments, "dies"], env=environment())
    try:
        until = clocks.monotonic() + 30
        while not (tmp_path / "money-moved").exists():
            assert worker.poll() is None
            assert clocks.monotonic() < until
            clocks.sleep(0.02)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    # Nobody has heard of it for half a second.
    clocks.sleep(0.6)
    other = subprocess.run(
        [*arguments, "lives"], env=environment(), check=False, timeout=60
    )

    assert other.returncode == 0
    taken = [each.amount for each in engine_worker.gateway(tmp_path).captured]
    assert len(taken) == engine_worker.ORDERS
    with psycopg.connect(where) as connection:
        rows = connection.execute(
            "SELECT status::text, max(attempts), count(*) "
            "FROM procrastinate_jobs WHERE task_name = 'autopay:turn' "
            "GROUP BY status"
        ).fetchall()
    # One had a second attempt.
    assert rows == [("succeeded", 2, engine_worker.ORDERS)]
    assert set(engine_worker.states(where)) == {RunState.PAID}


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_nothing_is_stranded_or_paid_twice_when_workers_are_killed(
    tmp_path: Path,
) -> None:
    report = run_trial(
        tmp_path,
        "--engine",
        *("--postgres", shared_server().new_database("trial")),
        *("--kills", str(KILLS // 2)),
        *("--seed", str(SEED)),
        *("--most-seconds", str(SECONDS)),
    )

    assert report["problems"] == []
    assert report["kills"] >= KILLS // 2
    assert report["processes"]["work killed"] > 0
    assert report["captures"] > 0
    # The dead were raised, and what they had was finished.
    again = ("begin again", "turn again", "end again")
    assert sum(report["jobs"].get(each, 0) for each in again) > 0
