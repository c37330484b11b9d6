"""
A night on several machines: a job for each order, in Procrastinate (O3).

Holds: `Nights`, `NoNightError`. Imports: `aio`, `calls`, `errors`,
`monitoring`, `policy`, `ports`, procrastinate and the standard library's
asyncio. What is on record decides, and no job does: one that is lost, late,
killed or done twice costs time and never money. So jobs carry the id of an
order and a date, and nothing that is worth stealing.

No job has a queueing lock: Procrastinate cannot set one back to waiting while
another waits under the same lock, and would keep it, and all behind it, for
ever. Whether something waits already is asked instead, and a job too many does
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias, cast, final

from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.tasks import Task

from autopay_core import aio
from autopay_core.calls import health
from autopay_core.errors import (
    AutopayError,
    HostProtocolError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.monitoring import Health, Trouble, TroubleKind
from autopay_core.policy import zone_named
from autopay_core.ports import Ports

__all__ = ["Alarm", "Firm", "Nights", "NoNightError", "TurnsBook"]

_IN_A_CHUNK: Final = 500
_RETRIES: Final = 8
_REST: Final = 10
_REST_MOST: Final = 600
_UNDER_WAY: Final = (Status.TODO, Status.DOING)


class TurnsBook(Protocol):
    """What is needed of a book: `Book` and `AsyncBook` have it."""

    @property
    def begin_night(self) -> Any:  # noqa: ANN401 - blocking or awaited
        """As `Book.begin_night`."""
        ...

    @property
    def turn(self) -> Any:  # noqa: ANN401 - blocking or awaited
        """As `Book.turn`."""
        ...

    @property
    def sweep(self) -> Any:  # noqa: ANN401 - blocking or awaited
        """As `Book.sweep`."""
        ...


Firm: TypeAlias = Callable[[], tuple[TurnsBook, Ports | aio.Ports]]
"""Opens a firm's book and ports, in the process that needs them."""

Alarm: TypeAlias = Callable[[Trouble], object]
"""Tells somebody, or raises."""


@final
class NoNightError(AutopayError, RuntimeError):
    """
    No night has ended for too long; somebody should look at the workers.

    Attributes:
        trouble: What `Health.troubles` says of it.

    """

    code = "NoNight"

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


@final
class Nights:
    """
    The tasks of a firm's nights, added to an app or a blueprint of the host.

    A night is begun (`begin`), which enqueues a turn for each order that has
    one; each takes its `turn`; then it is ended (`end`) by a sweep, which
    finds whatever was lost on the way and puts on record that a night ran.
    Every few minutes `tend` sets jobs of dead workers back to waiting, and
    begins the night when it is time and none ran. Once an hour `watch` sounds
    the alarm if none ended within 26 hours.

    Turns that have a client, a payer or a payment method in common go on one
    after another. A job that ends with a port's error comes again later; what
    is on record decides what it does then.

    Args:
        tasks: The host's app, or a blueprint of it.
        firm: Opens book and ports; called once in each process that works,
            and never in one that only enqueues by `begin`.
        name: Begins the names of the tasks and is their queue; another for
            each firm.
        at_once: So many turns at once for a gateway's account, on all
            machines together.
        not_before: `tend` begins a night no earlier, in the firm's zone; None
            if somebody else begins it.
        every: When to tend, as cron writes it.
        watched: When to watch, likewise.
        stalled_seconds: A worker that has not been heard of for so long is
            dead.
        retry: When a turn that ended with an error comes again. If not given:
            after a port's error, at the port's word or after ten seconds,
            then twice as many each time, eight times, and then not before
            the end of the night.
        alarm: Gets the trouble; without it the job of `watch` fails, with
            `NoNightError`.

    Raises:
        InvalidValueError: *at_once* is below 1 (``OutOfRange``).

    """

    def __init__(  # noqa: PLR0913 - settings, by name
        self,
        tasks: Blueprint,
        firm: Firm,
        *,
        name: str = "autopay",
        at_once: int = 4,
        not_before: time | None = time(2),
        every: str = "*/5 * * * *",
        watched: str = "17 * * * *",
        stalled_seconds: float = 60,
        retry: BaseRetryStrategy | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        if at_once < 1:
            raise InvalidValueError(
                "no turn could ever begin",
                code="OutOfRange",
                path="at_once",
                value=at_once,
            )
        self._firm = firm
        self._opened: tuple[TurnsBook, Ports | aio.Ports] | None = None
        self._name = name
        self._at_once = at_once
        self._not_before = not_before
        self._stalled_seconds = stalled_seconds
        self._alarm = alarm

        def task(
            func: Callable[..., Any],
            retry: BaseRetryStrategy | None = None,
            lock: str | None = None,
        ) -> Task[..., None, ...]:
            made = tasks.task(
                name=f"{name}:{func.__name__.strip('_')}",
                queue=name,
                retry=retry or False,
                lock=lock,
                pass_context=True,
            )
            return cast("Task[..., None, ...]", made(func))

        self.begin = task(self._begin, _Again(), f"{name}:begin")
        self.turn = task(self._turn, retry or _AgainAside())
        self.end = task(self._end, _Again(), f"{name}:end")
        self.tend = task(self._tend)
        self.watch = task(self._watch)
        tasks.periodic(cron=every)(self.tend)
        tasks.periodic(cron=watched)(self.watch)

    def __repr__(self) -> str:
        """Show whose they are."""
        return f"Nights({self._name!r})"

    # -- What a host calls ----------------------------------------------------

    def enqueue(self, as_of: date, *, connection: object = None) -> int:
        """
        Begin a night here and now, and enqueue its turns (O3).

        As the task `begin`, but in the host's transaction: if that is rolled
        back, nothing is enqueued.

        Args:
            as_of: The date that the caller calls today, in the firm's zone.
            connection: An open connection of psycopg; the app's own if None.

        Returns:
            How many turns were enqueued; those that wait already are not.

        Raises:
            PortError: The posting store or the book cannot be reached.
            HostProtocolError: The firm's book is awaited; see
                `enqueue_async`.

        """
        book, ports = self._open()
        if isinstance(ports, aio.Ports):
            raise HostProtocolError("the book is awaited: use enqueue_async")
        manager = cast("App", self.turn.blueprint).job_manager
        day = as_of.isoformat()
        # First: one whose turn ends meanwhile is not due any more.
        listed = [
            each
            for task in (self.turn, self.end)
            for status in _UNDER_WAY
            for each in manager.list_jobs(task=task.name, status=status.value)
        ]
        groups = book.begin_night(as_of=as_of, ports=ports)
        turns, end = self._jobs(groups, day, ports, listed)
        for chunk in _chunks([*turns, *end]):
            manager.batch_defer_jobs(chunk, connection=connection)
        return len(turns)

    async def enqueue_async(
        self, as_of: date, *, connection: object = None
    ) -> int:
        """Like `enqueue`, for hosts on an event loop."""
        manager = cast("App", self.turn.blueprint).job_manager
        return await self._enqueue(manager, as_of, connection)

    async def _enqueue(
        self, manager: JobManager, as_of: date, connection: object = None
    ) -> int:
        book, ports = self._open()
        day = as_of.isoformat()
        # First: one whose turn ends meanwhile is not due any more.
        listed = await _under_way(manager, self.turn, self.end)
        groups = await _have(
            ports, lambda: book.begin_night(as_of=as_of, ports=ports)
        )
        turns, end = self._jobs(groups, day, ports, listed)
        for chunk in _chunks([*turns, *end]):
            await manager.batch_defer_jobs_async(chunk, connection=connection)
        return len(turns)

    def _open(self) -> tuple[TurnsBook, Ports | aio.Ports]:
        if self._opened is None:
            self._opened = self._firm()
        return self._opened

    def _jobs(
        self,
        groups: Iterable[Iterable[str]],
        day: str,
        ports: Ports | aio.Ports,
        listed: Iterable[Job],
    ) -> tuple[list[Job], list[Job]]:
        """Return the turns of a night, and its end, that do not wait yet."""
        known = {
            (each.task_name, each.task_kwargs.get("autopay"))
            for each in listed
            if each.task_kwargs.get("as_of") == day
        }
        account = ports.gateway.capabilities.account or self._name
        turns = [
            self.turn.configure(
                lock=f"autopay:{account}:{place % self._at_once}",
                task_kwargs={"autopay": autopay, "as_of": day},
            ).job
            for place, group in enumerate(groups)
            for autopay in group
            if (self.turn.name, autopay) not in known
        ]
        if (self.end.name, None) in known:
            return turns, []
        # After the turns, where there is a choice.
        end = self.end.configure(task_kwargs={"as_of": day}, priority=-1)
        return turns, [end.job]

    # -- What jobs do ---------------------------------------------------------

    async def _begin(self, context: JobContext, *, as_of: str) -> None:
        """Enqueue the turns of a night."""
        await self._enqueue(context.app.job_manager, date.fromisoformat(as_of))

    async def _turn(
        self, context: JobContext, *, autopay: str, as_of: str
    ) -> None:
        """Give one order its turn."""
        del context
        book, ports = self._open()
        day = date.fromisoformat(as_of)
        await _have(ports, lambda: book.turn(autopay, as_of=day, ports=ports))

    async def _end(self, context: JobContext, *, as_of: str) -> None:
        """End a night by a sweep, once no turn of it is left."""
        manager = context.app.job_manager
        left = await _under_way(manager, self.begin, self.turn)
        if any(each.task_kwargs.get("as_of") == as_of for each in left):
            pause = timedelta(seconds=self._stalled_seconds / 4)
            later = self.end.configure(
                task_kwargs={"as_of": as_of},
                priority=-1,
                schedule_at=datetime.now(UTC) + pause,
            )
            await manager.defer_job_async(later.job)
            return
        book, ports = self._open()
        results = book.sweep(as_of=date.fromisoformat(as_of), ports=ports)
        if isinstance(ports, aio.Ports):
            async for _ in cast("AsyncIterator[object]", results):
                pass
        else:
            await asyncio.to_thread(deque[object], results, 0)

    async def _tend(self, context: JobContext, *, timestamp: int) -> None:
        """Set jobs of the dead back to waiting; begin a night in time."""
        del timestamp
        manager = context.app.job_manager
        await self._raise_the_dead(manager)
        if self._not_before is None:
            return
        found = await self._health()
        if not self._is_time(found):
            return
        left = await _under_way(manager, self.begin, self.turn, self.end)
        day = found.on.isoformat()
        if not any(each.task_kwargs.get("as_of") == day for each in left):
            begin = self.begin.configure(task_kwargs={"as_of": day})
            await manager.defer_job_async(begin.job)

    async def _raise_the_dead(self, manager: JobManager) -> None:
        stalled = await manager.get_stalled_jobs(
            queue=self._name, seconds_since_heartbeat=self._stalled_seconds
        )
        for each in stalled:
            # Another may have been faster.
            with contextlib.suppress(ConnectorException):
                if each.task_name in {self.tend.name, self.watch.name}:
                    # The next one comes by itself.
                    await manager.finish_job(
                        each, Status.FAILED, delete_job=False
                    )
                else:
                    await manager.retry_job(each)

    def _is_time(self, found: Health) -> bool:
        _, ports = self._open()
        now = found.at.astimezone(zone_named(ports.policy.zone))
        assert self._not_before is not None
        return (
            not found.is_clock_suspect
            and now.time() >= self._not_before
            and (found.swept_for is None or found.swept_for < found.on)
        )

    async def _watch(self, context: JobContext, *, timestamp: int) -> None:
        """Sound the alarm if no night ended for too long."""
        del context, timestamp
        for trouble in (await self._health()).troubles():
            if trouble.kind is not TroubleKind.NO_SWEEP:
                continue
            if self._alarm is None:
                raise NoNightError(trouble)
            self._alarm(trouble)

    async def _health(self) -> Health:
        _, ports = self._open()
        if isinstance(ports, aio.Ports):
            return await aio.health(ports=ports)
        return await asyncio.to_thread(health, ports=ports)


async def _have(ports: Ports | aio.Ports, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - any answer
    """Await what is awaited; let what blocks do so in a thread."""
    if isinstance(ports, aio.Ports):
        return await call()
    return await asyncio.to_thread(call)


async def _under_way(
    manager: JobManager, *tasks: Task[..., None, ...]
) -> list[Job]:
    """Return the jobs of some tasks that wait or are being done."""
    return [
        each
        for task in tasks
        for status in _UNDER_WAY
        for each in await manager.list_jobs_async(
            task=task.name, status=status.value
        )
    ]


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    left = iter(jobs)
    while chunk := list(islice(left, _IN_A_CHUNK)):
        yield chunk


class _Again(BaseRetryStrategy):
    """
    What ended with a port's error comes again, later each time.

    Anything else is a mistake that trying again does not mend.
    """

    def get_retry_decision(
        self, *, exception: BaseException, job: Job
    ) -> RetryDecision | None:
        """Return when it comes again, if it does."""
        if not isinstance(exception, PortError) or job.attempts >= _RETRIES:
            return None
        seconds = float(_REST * 2**job.attempts)
        if isinstance(exception, PortUnavailableError):
            seconds = exception.retry_after or seconds
        return RetryDecision(
            retry_in={"seconds": int(min(seconds, _REST_MOST))},
            lock=self.lock_of(job),
        )

    def lock_of(self, job: Job) -> str | None:
        """Return another lock for it; None if it keeps its own."""
        del job
        return None


@final
class _AgainAside(_Again):
    """`_Again`, beside its lane: who rests must not hold up those behind."""

    def lock_of(self, job: Job) -> str | None:
        """Return another lock for it."""
        lock = job.lock or ""
        return lock if lock.endswith(":again") else f"{lock}:again"
