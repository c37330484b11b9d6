"""
A trial whose workers take jobs of Procrastinate instead of sweeping.

Holds: `prepare_jobs`, `work_jobs`, `Resting`, `jobs_of`. Imports:
`adapters.procrastinate`, `book`, `book.postgres`, `trial`, `errors`, `ports`,
`runs`, procrastinate and the standard library's asyncio. Everything is as in
the other trials, but that a worker dies with its jobs, and what it leaves is
found by those that come after it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import TYPE_CHECKING, Final, final

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.retry import RetryStrategy

from autopay_core.adapters.procrastinate import Nights
from autopay_core.book import Book
from autopay_core.book.postgres import PostgresBookStore
from autopay_core.errors import PortError
from autopay_core.testing.processes.trial import (
    FIRST_DAY,
    Shared,
    Trial,
    autopays,
    count,
    sound,
)

if TYPE_CHECKING:
    from autopay_core.ports import Ports
    from autopay_core.runs import RunResult

__all__ = ["Resting", "jobs_of", "prepare_jobs", "work_jobs"]

Watch = Callable[["Iterable[RunResult]"], None]

_STALLED_SECONDS: Final = 0.5
_BEGIN_SECONDS: Final = 0.2
_REST_SECONDS: Final = 40.0
_UNDER_WAY: Final = ("todo", "doing")


def prepare_jobs(trial: Trial, shared: Shared) -> None:
    """Make the queue's tables, and the book with the trial's orders."""
    app = App(connector=SyncPsycopgConnector(conninfo=trial.postgres))
    with app.open():
        app.schema_manager.apply_schema()
    book = _book(trial, shared)
    for each in autopays():
        book.add(each, as_of=FIRST_DAY, by="trial", reason="trial")
    book.close()


def _book(trial: Trial, shared: Shared) -> Book:
    return Book(PostgresBookStore(trial.postgres, clock=shared.store_now))


@final
class _Heard:
    """A book that tells the driver of each turn, and has results watched."""

    def __init__(
        self, book: Book, watch: Watch, say_turn: Callable[[], None]
    ) -> None:
        self.begin_night = book.begin_night
        self.sweep = book.sweep
        self._turn = book.turn
        self._watch = watch
        self._say_turn = say_turn

    def turn(self, autopay: str, *, as_of: date, ports: Ports) -> None:
        """Give an order its turn."""
        self._say_turn()
        self._watch(self._turn(autopay, as_of=as_of, ports=ports))


def _queue(
    trial: Trial, shared: Shared, ports: Ports, watch: Watch
) -> tuple[App, Nights]:
    app = App(
        connector=PsycopgConnector(
            conninfo=trial.postgres, min_size=1, max_size=4
        )
    )
    book = _Heard(_book(trial, shared), watch, shared.say_turn)
    nights = Nights(
        app,
        lambda: (book, ports),
        at_once=3,
        not_before=None,
        every="* * * * * *",
        watched="0 0 1 1 *",
        stalled_seconds=_STALLED_SECONDS,
        retry=RetryStrategy(retry_exceptions=[PortError]),
    )
    return app, nights


async def _work(app: App, *, wait: bool) -> None:
    await app.run_worker_async(
        wait=wait,
        concurrency=3,
        fetch_job_polling_interval=0.05,
        update_heartbeat_interval=0.1,
        stalled_worker_timeout=_STALLED_SECONDS,
        install_signal_handlers=False,
        listen_notify=False,
    )


def work_jobs(
    trial: Trial, shared: Shared, ports: Ports, watch: Watch
) -> None:
    """Take jobs until killed, and see to it that nights begin."""
    app, nights = _queue(trial, shared, ports, watch)

    async def begin() -> None:
        while True:
            waits = await app.job_manager.list_jobs_async(
                task=nights.begin.name, status="todo"
            )
            if not list(waits):
                await nights.begin.defer_async(as_of=str(shared.today))
            await asyncio.sleep(_BEGIN_SECONDS)

    async def main() -> None:
        async with app.open_async():
            shared.say_ready()
            await asyncio.gather(begin(), _work(app, wait=True))

    while True:
        try:
            asyncio.run(main())
        except ConnectorException as error:
            # One that was stopped for too long is struck off by the others,
            # and ends when it notices; whatever supervises it starts it again.
            count(trial, f"worker ended {type(error.__cause__).__name__}")


@final
class Resting:
    """Works until no job is left, night after night."""

    def __init__(
        self, trial: Trial, shared: Shared, ports: Ports, watch: Watch
    ) -> None:
        self._trial = trial
        self._shared = shared
        self._app, self._nights = _queue(trial, shared, ports, watch)
        self._runner = asyncio.Runner()
        self._runner.run(self._open())

    async def _open(self) -> None:
        await self._app.open_async()

    def night(self) -> None:
        """Let a night begin and end."""
        self._runner.run(self._night())

    async def _night(self) -> None:
        day = str(self._shared.today)
        await self._nights.begin.defer_async(as_of=day)
        until = time.monotonic() + _REST_SECONDS
        while left := await self._left():
            if time.monotonic() > until:
                sound(self._trial, f"Stranded jobs {left}")
                return
            await _work(self._app, wait=False)
            await asyncio.sleep(0.02)

    async def _left(self) -> list[str]:
        nights = self._nights
        return [
            f"{each.call_string} {each.status}"
            for task in (nights.begin, nights.turn, nights.end)
            for status in _UNDER_WAY
            for each in await self._app.job_manager.list_jobs_async(
                task=task.name, status=status
            )
        ]


def jobs_of(trial: Trial) -> dict[str, int]:
    """Count the jobs of each task by what became of them, and attempts."""
    app = App(connector=SyncPsycopgConnector(conninfo=trial.postgres))
    found: Counter[str] = Counter()
    with app.open():
        for each in app.job_manager.list_jobs():
            task = each.task_name.partition(":")[2]
            found[f"{task} {each.status}"] += 1
            if each.attempts > 1:
                found[f"{task} again"] += each.attempts - 1
    return dict(sorted(found.items()))
