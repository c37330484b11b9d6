"""
Who carries many turns of a sweep at once: threads, or tasks (O3).

Holds: `stream_at_once` and `stream_at_once_async`; `Together` and
`TogetherAsync`, which write what several turns have to write in one step of a
store that can. Imports: `errors`, `engine`. Outside the core, which has
neither threads nor a clock; loaded when a sweep is asked for with more than
one turn at once.

A port that says when it is worth asking again (`retry_after`) holds back
every turn that has not begun, a minute at a time and ten minutes in a sweep
at most: a sweep is not a place to wait for hours. Turns under way go on, for
what they meant to send has a deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
)
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from threading import Lock
from typing import Any, Final, cast, final

from autopay_core.engine.driving import (
    drive,
    drive_async,
    stream,
    stream_async,
)
from autopay_core.engine.requests import (
    AwaitTurn,
    BeginTurn,
    Commit,
    CommitMany,
    Ended,
)
from autopay_core.errors import (
    AutopayError,
    CommitUnknownError,
    PortUnavailableError,
)

__all__ = [
    "Rest",
    "Together",
    "TogetherAsync",
    "stream_at_once",
    "stream_at_once_async",
]

_REST_MOST: Final = 60.0
_RESTS_MOST: Final = 600.0


@final
class Rest:
    """
    How long the turns that have not begun are held back.

    Args:
        clock: Seconds that never go back.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._left = _RESTS_MOST

    def note(self, error: PortUnavailableError) -> None:
        """Hold them back for as long as a port says, within bounds."""
        seconds = min(error.retry_after or 0, _REST_MOST, self._left)
        until = self._clock() + seconds
        more = until - max(self._until, self._clock())
        if seconds > 0 and more > 0:
            self._left -= more
            self._until = until

    def seconds(self) -> float:
        """Return how long the next turn is still held back."""
        return max(0.0, self._until - self._clock())


@final
class _Waiting:
    """A change that a turn has to write, and what came of it."""

    def __init__(self, request: Commit) -> None:
        self.request = request
        self.answer: object = None
        self.is_over = False

    def result(self) -> object:
        """Return what the store said of it, or raise that."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def _give(some: list[_Waiting], answers: object) -> None:
    """Give each what the store said of it."""
    said = cast("list[object]", answers)
    if not isinstance(answers, (tuple, list)) or len(said) != len(some):
        _fail(some, CommitUnknownError("the store did not answer for each"))
        return
    for each, answer in zip(some, said, strict=True):
        each.answer = answer
        each.is_over = True


def _fail(some: list[_Waiting], error: BaseException) -> None:
    """Let an error of a step be everybody's; an exit is its thread's own."""
    for each in some:
        each.answer = (
            error
            if isinstance(error, AutopayError)
            else CommitUnknownError("the step that it was part of broke off")
        )
        each.is_over = True


@final
class Together:
    """
    Answers commits of several turns with one step of the store (PS-29).

    Nobody waits for others to come: whoever finds nobody writing writes at
    once, and those who come meanwhile are the next step.

    Args:
        answer: Answers every request.

    """

    def __init__(self, answer: Callable[[Any], object]) -> None:
        self._answer = answer
        self._coming = Lock()
        self._writing = Lock()
        self._waiting: list[_Waiting] = []

    def answer(self, request: Any) -> object:  # noqa: ANN401 - any request
        """Answer a request."""
        if type(request) is not Commit:
            return self._answer(request)
        mine = _Waiting(request)
        with self._coming:
            self._waiting.append(mine)
        with self._writing:
            if not mine.is_over:
                with self._coming:
                    some, self._waiting = self._waiting, []
                self._write(some)
        return mine.result()

    def _write(self, some: list[_Waiting]) -> None:
        try:
            if len(some) == 1:
                _give(some, [self._answer(some[0].request)])
            else:
                _give(some, self._answer(_all_of(some)))
        except BaseException as error:
            _fail(some, error)
            if not isinstance(error, Exception):
                raise


@final
class TogetherAsync:
    """`Together`, for turns in tasks."""

    def __init__(self, answer: Callable[[Any], Awaitable[object]]) -> None:
        self._answer = answer
        self._writing = asyncio.Lock()
        self._waiting: list[_Waiting] = []

    async def answer(self, request: Any) -> object:  # noqa: ANN401 - any request
        """Answer a request."""
        if type(request) is not Commit:
            return await self._answer(request)
        mine = _Waiting(request)
        self._waiting.append(mine)
        async with self._writing:
            if not mine.is_over:
                some, self._waiting = self._waiting, []
                await self._write(some)
        return mine.result()

    async def _write(self, some: list[_Waiting]) -> None:
        try:
            if len(some) == 1:
                _give(some, [await self._answer(some[0].request)])
            else:
                _give(some, await self._answer(_all_of(some)))
        except BaseException as error:
            _fail(some, error)
            if not isinstance(error, Exception):
                raise


def _all_of(some: list[_Waiting]) -> CommitMany:
    return CommitMany(tuple(each.request.change for each in some))


def stream_at_once(
    flow: Any,  # noqa: ANN401 - a stream of requests and results
    answer: Callable[[Any], object],
    at_once: int,
    *,
    groups: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    rest: Rest | None = None,
) -> Iterator[Any]:
    """
    Drive a sweep, with turns in threads; give each result as it comes.

    Whoever leaves the loop waits until what is under way has ended.

    Args:
        flow: The sweep.
        answer: Answers every other request, also from several threads.
        at_once: So many threads.
        groups: The store has `commit_many` (PS-29).
        sleep: How to wait.
        rest: How long to wait.

    """
    resting = Rest() if rest is None else rest
    over: SimpleQueue[Ended] = SimpleQueue()
    answer_together = Together(answer).answer if groups else answer

    def answer_of_turn(request: Any) -> object:  # noqa: ANN401 - any request
        try:
            return answer_together(request)
        except PortUnavailableError as error:
            resting.note(error)
            raise

    def carry_out(turn: BeginTurn) -> None:
        try:
            results: Any = drive(turn.flow, answer_of_turn)
        except BaseException as error:  # noqa: BLE001 - raised by the sweep
            over.put(Ended(turn.place, error=error))
        else:
            over.put(Ended(turn.place, results))

    with ThreadPoolExecutor(at_once, "autopay-turn") as pool:

        def answer_or_begin(request: Any) -> object:  # noqa: ANN401 - any request
            if type(request) is BeginTurn:
                while seconds := resting.seconds():
                    sleep(seconds)
                pool.submit(copy_context().run, carry_out, request)
                return None
            if type(request) is AwaitTurn:
                return over.get()
            return answer(request)

        yield from stream(flow, answer_or_begin)


async def stream_at_once_async(
    flow: Any,  # noqa: ANN401 - a stream of requests and results
    answer: Callable[[Any], Awaitable[object]],
    *,
    groups: bool = False,
    sleep: Callable[[float], Coroutine[Any, Any, object]] = asyncio.sleep,
    rest: Rest | None = None,
) -> AsyncGenerator[Any, None]:
    """
    Like `stream_at_once`, with turns in tasks of the running loop.

    If the caller's task is cancelled, so are they.
    """
    tasks = _Tasks(
        answer, sleep, Rest() if rest is None else rest, groups=groups
    )
    try:
        async for result in stream_async(flow, tasks.answer):
            yield result
    except asyncio.CancelledError:
        tasks.cancel()
        raise
    finally:
        await tasks.settle()


@final
class _Tasks:
    """The turns under way, each in a task."""

    def __init__(
        self,
        answer: Callable[[Any], Awaitable[object]],
        sleep: Callable[[float], Coroutine[Any, Any, object]],
        rest: Rest,
        *,
        groups: bool,
    ) -> None:
        self._answer = answer
        self._together = TogetherAsync(answer).answer if groups else answer
        self._sleep = sleep
        self._rest = rest
        self._over: asyncio.Queue[Ended] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, request: Any) -> object:  # noqa: ANN401 - any request
        """Begin a turn, wait for one, or answer what is asked."""
        if type(request) is AwaitTurn:
            return await self._over.get()
        if type(request) is not BeginTurn:
            return await self._answer(request)
        while seconds := self._rest.seconds():
            await self._sleep(seconds)
        task = asyncio.create_task(self._carry_out(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def _carry_out(self, turn: BeginTurn) -> None:
        try:
            results: Any = await drive_async(turn.flow, self._answer_of_turn)
        except BaseException as error:  # noqa: BLE001 - raised by the sweep
            self._over.put_nowait(Ended(turn.place, error=error))
        else:
            self._over.put_nowait(Ended(turn.place, results))

    async def _answer_of_turn(self, request: Any) -> object:  # noqa: ANN401 - any request
        try:
            return await self._together(request)
        except PortUnavailableError as error:
            self._rest.note(error)
            raise

    def cancel(self) -> None:
        """Cut the turns off that are under way."""
        for each in self._tasks:
            each.cancel()

    async def settle(self) -> None:
        """Wait until none is under way, whoever cancels meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                cancelled = error
                self.cancel()
        if cancelled is not None:
            raise cancelled
