"""
Blocking ports for hosts on an event loop: each call in a thread.

Holds: `in_threads` for the four ports of a host, and `threaded` for one.
Imports: `ports`, `aio`. Needs nothing beyond the standard library.
"""

from __future__ import annotations

import asyncio
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
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, partial(method, *args)
        )


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
    )
