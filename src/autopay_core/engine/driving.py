"""
The loops that carry a generator's requests to whoever answers them.

Holds: `drive`, `stream` and their awaitable forms; flows of the engine and
transactions of the SQL stores run in the same loop. Imports: nothing of the
package. What an answer raises is thrown into the generator, which knows what
it means.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

__all__ = ["Given", "drive", "drive_async", "stream", "stream_async"]

_R = TypeVar("_R")
_T = TypeVar("_T")


class Given(NamedTuple):
    """What a stream gives to its caller, instead of a request."""

    result: Any


# Two separate `try` blocks on purpose: a StopIteration that escapes from an
# answer must not look like the end of the generator.


def _advance(
    flow: Generator[Any, Any, object], answer: Callable[[Any], object], /
) -> object:
    """Drive *flow* to its end, or to the next result that it gives."""
    go_on: Callable[[], object] = partial(next, flow)
    while True:
        try:
            request = go_on()
        except StopIteration as stopped:
            return cast("object", stopped.value)
        if type(request) is Given:
            return cast("object", request)
        try:
            answered = answer(request)
        except Exception as error:  # noqa: BLE001 - the flow's to judge
            go_on = partial(flow.throw, error)
        else:
            go_on = partial(flow.send, answered)


async def _advance_async(
    flow: Generator[Any, Any, object],
    answer: Callable[[Any], Awaitable[object]],
    /,
) -> object:
    """Like `_advance`."""
    go_on: Callable[[], object] = partial(next, flow)
    while True:
        try:
            request = go_on()
        except StopIteration as stopped:
            return cast("object", stopped.value)
        if type(request) is Given:
            return cast("object", request)
        try:
            answered = await answer(request)
        except Exception as error:  # noqa: BLE001 - the flow's to judge
            go_on = partial(flow.throw, error)
        else:
            go_on = partial(flow.send, answered)


def drive(
    flow: Generator[_R, Any, _T], answer: Callable[[_R], object], /
) -> _T:
    """Drive *flow* to its end with answers; return its result."""
    return cast("_T", _advance(flow, answer))


async def drive_async(
    flow: Generator[_R, Any, _T], answer: Callable[[_R], Awaitable[object]], /
) -> _T:
    """Like `drive`, with answers that are awaited."""
    return cast("_T", await _advance_async(flow, answer))


def stream(
    flow: Generator[object, Any, None], answer: Callable[[Any], object], /
) -> Iterator[Any]:
    """Drive *flow* as results are taken; give each as it comes."""
    while isinstance(given := _advance(flow, answer), Given):
        yield given.result


async def stream_async(
    flow: Generator[object, Any, None],
    answer: Callable[[Any], Awaitable[object]],
    /,
) -> AsyncIterator[Any]:
    """Like `stream`, with answers that are awaited."""
    while isinstance(given := await _advance_async(flow, answer), Given):
        yield given.result
