"""
All four ports in memory, for notebooks, tests and the simulator.

Holds: `memory_ports`; gives what `matters`, `gateway`, `store` and `notifier`
hold. Imports: its modules, `ports`, `invoices`,
`policy` and `references`. They keep every clause of
their ports, and break a promise only on demand: the gateway can decline,
delay, lose an answer, forget a key and answer late.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autopay_core.adapters.memory.gateway import (
    Clock,
    Fault,
    MemoryGateway,
    MemoryTwoStepGateway,
    system_clock,
)
from autopay_core.adapters.memory.matters import MemoryMatterData
from autopay_core.adapters.memory.notifier import MemoryNotifier
from autopay_core.adapters.memory.store import MemoryPostingStore
from autopay_core.invoices import Invoice, SearchResult
from autopay_core.policy import Policy
from autopay_core.ports import Ports
from autopay_core.references import Secret

__all__ = [
    "MEMORY_SECRET",
    "Clock",
    "Fault",
    "MemoryGateway",
    "MemoryMatterData",
    "MemoryNotifier",
    "MemoryPostingStore",
    "MemoryTwoStepGateway",
    "memory_ports",
    "system_clock",
]

MEMORY_SECRET: Final = b"only for what is kept in memory, never for money"
"""The secret of `memory_ports`, for notebooks, tests and examples."""


def memory_ports(
    invoices: Iterable[Invoice] = (),
    *,
    clock: Clock = system_clock,
    directory: Iterable[SearchResult] = (),
    key_secret: Secret | bytes = MEMORY_SECRET,
    policy: Policy | None = None,
) -> Ports:
    """
    Return four ports in memory, ready for a notebook.

    Args:
        invoices: What the matter-management software knows at first.
        clock: The time of gateway and store.
        directory: What a search finds besides.
        key_secret: As `Ports.key_secret`; one of its own by default, for it
            keeps nobody's money.
        policy: As `Ports.policy`.

    """
    return Ports(
        matters=MemoryMatterData(invoices, directory=directory),
        gateway=MemoryGateway(clock=clock),
        postings=MemoryPostingStore(clock=clock),
        notifier=MemoryNotifier(),
        key_secret=Secret.of(key_secret),
        policy=Policy() if policy is None else policy,
    )
