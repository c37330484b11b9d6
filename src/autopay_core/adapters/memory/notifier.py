"""
A notifier in memory (NT-1 to NT-4).

Holds: `MemoryNotifier`. Imports: `notices`.
"""

from __future__ import annotations

from typing import final

from autopay_core.errors import PortUnavailableError
from autopay_core.notices import Notice

__all__ = ["MemoryNotifier"]


@final
class MemoryNotifier:
    """
    Keeps what people would have been told, once for each key.

    Attributes:
        is_down: While True, nothing is accepted.

    """

    def __init__(self) -> None:
        self._sent: dict[str, Notice] = {}
        self.is_down = False

    def send(self, notice: Notice, /) -> None:
        """Accept *notice* (NT-1 to NT-3)."""
        if self.is_down:
            raise PortUnavailableError("the notifier is down")
        self._sent.setdefault(notice.key, notice)

    @property
    def sent(self) -> tuple[Notice, ...]:
        """What was accepted, oldest first."""
        return tuple(self._sent.values())
