"""
How notices reach the notifier (N1, N2).

Holds: the flows that store, deliver and offer again. Imports: `requests` and
the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autopay_core.commits import Change, Committed
from autopay_core.engine.requests import (
    Flow,
    ReadUndelivered,
    Send,
    ask_many,
    commit,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.notices import Notice

__all__ = [
    "NOTICES_AT_ONCE",
    "announce",
    "deliver",
    "tell",
]


def tell(notices: Sequence[Notice], committed: Committed) -> Flow[None]:
    """
    Deliver what was committed, unless it was told before.

    What the notifier does not accept stays to be offered again.
    """
    delivered: list[str] = []
    for notice in notices:
        if notice.key not in committed.new_notices:
            continue
        try:
            yield Send(notice)
        except PortError:
            continue
        delivered.append(notice.key)
    if delivered:
        yield from commit(Change(delivered=tuple(delivered)))


def announce(*notices: Notice) -> Flow[None]:
    """Store notices that no run's step carries, and deliver them."""
    if not notices:
        return
    written = yield from commit(Change(notices=notices))
    if isinstance(written, Committed):
        yield from tell(notices, written)


NOTICES_AT_ONCE: Final = 1_000
"""How many notices are offered before they are marked; if all of them can
never be accepted, newer ones wait for a person to help."""


# -- What people and the ledger do -------------------------------------------


def deliver(most: int = NOTICES_AT_ONCE) -> Flow[int]:
    """
    Offer notices again that were not accepted yet; return how many were.

    Each is offered once a call. One that is refused holds up no other; a
    notifier that is down ends the call.
    """
    refused: set[str] = set()
    count = 0
    while True:
        wanted = ReadUndelivered(most + len(refused))
        notices = yield from ask_many(wanted, Notice)
        offered = [each for each in notices if each.key not in refused]
        delivered: list[str] = []
        is_down = False
        for notice in offered:
            try:
                yield Send(notice)
            except PortUnavailableError:
                is_down = True
                break
            except PortError:
                refused.add(notice.key)
            else:
                delivered.append(notice.key)
        if delivered:
            yield from commit(Change(delivered=tuple(delivered)))
            count += len(delivered)
        if is_down or len(offered) < most:
            return count
