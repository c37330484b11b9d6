"""
Blocking ports for hosts on an event loop: each call in a thread.

Holds: `in_threads` for the four ports of a host, and `threaded` for one.
Imports: `ports`, `aio`. Needs nothing beyond the standard library.

A thread cannot be stopped. So a call whose task is cancelled is waited for if
it has begun, and never begins if it has not: when the cancellation comes out,
nothing goes on behind the caller's back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, final

from autopay_core import aio
from autopay_core._moved import moved
from autopay_core.ports import GatewayCapabilities, Ports

__all__ = ["in_threads", "threaded"]

__getattr__ = moved(__name__)


@final
class _Threaded:
    """
    A port with awaitable methods, over a blocking one.

    Every method is the blocking one's, called in a thread; what is no method
    is read at once.
    """

    def __init__(self, port: object, executor: Executor | None) -> None:
        self._port = port
        self._executor = executor

    @property
    def capabilities(self) -> GatewayCapabilities:
        """What a gateway promises; known without a call."""
        found: GatewayCapabilities = getattr(self._port, "capabilities")  # noqa: B009 - any port
        return found

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        method: Callable[..., object] = getattr(self._port, name)
        return partial(self._call, method)

    async def _call(
        self, method: Callable[..., object], *args: object
    ) -> object:
        # Taken by whoever is first: the thread, or who gives the call up.
        turn = [None]

        def begin() -> object:
            turn.pop()
            return method(*args)

        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._executor, begin)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await _over(call, turn)
            raise


async def _over(call: asyncio.Future[object], turn: list[None]) -> None:
    """Wait until a call that was given up has ended, or cannot begin."""
    # What it raises is nobody's any more.
    call.add_done_callback(_forget)
    try:
        turn.pop()
    except IndexError:
        # It has begun. Whoever cancels again waits as well.
        while not call.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([call])
    else:
        call.cancel()


def _forget(call: asyncio.Future[object]) -> None:
    if not call.cancelled():
        call.exception()


def threaded(port: object, executor: Executor | None = None) -> Any:  # noqa: ANN401 - whichever port it is
    """
    Make one blocking port awaitable.

    Args:
        port: Matter data, a gateway, a posting store or a notifier; it must
            bear calls from several threads.
        executor: Where to run the calls; the event loop's own threads if not
            given.

    """
    return _Threaded(port, executor)


def in_threads(
    ports: Ports, /, *, executor: Executor | None = None
) -> aio.Ports:
    """
    Make blocking ports awaitable, each call in a thread.

    Args:
        ports: The host's; they must bear calls from several threads.
        executor: Where to run the calls; the event loop's own threads if not
            given.

    """
    return aio.Ports(
        matters=threaded(ports.matters, executor),
        gateway=threaded(ports.gateway, executor),
        postings=threaded(ports.postings, executor),
        notifier=threaded(ports.notifier, executor),
        key_secret=ports.key_secret,
        policy=ports.policy,
    )
