"""
Ranges of seeds on several processes.

Holds: `Tally`, `tally`, `tallies`. Imports: `_simulation`. In a module of its
own, for what another process is sent cannot live in ``__main__``.
"""

from __future__ import annotations

import gc
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.testing.simulator._simulation import (
    simulate,
    system_on,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Tally", "tallies", "tally"]

_CHUNK: Final = 500


@final
@attrs.define(kw_only=True)
class Tally:
    """
    What a range of seeds came to.

    Attributes:
        seeds: How many ran.
        calls: How many port calls were made.
        faults: How many faults there were.
        captures: How many charges took money.
        broken: Seed and message of every broken promise.

    """

    seeds: int = 0
    calls: int = 0
    faults: int = 0
    captures: int = 0
    broken: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])

    def add(self, other: Tally) -> None:
        """Count *other* in."""
        self.seeds += other.seeds
        self.calls += other.calls
        self.faults += other.faults
        self.captures += other.captures
        self.broken += other.broken


def tally(seeds: Iterable[int], store: str = "memory") -> Tally:
    """Run *seeds* on a store in this process."""
    system = system_on(store)
    found = Tally()
    # Worlds are small and soon gone: looking for rubbish less often saves a
    # fifth of the time.
    gc.set_threshold(100_000, 20, 20)
    for seed in seeds:
        outcome = simulate(seed, system=system)
        found.add(
            Tally(
                seeds=1,
                calls=outcome.calls,
                faults=outcome.faults,
                captures=outcome.captures,
                broken=[]
                if outcome.rule is None
                else [(seed, outcome.message)],
            )
        )
    return found


def tallies(
    seeds: range, workers: int, store: str = "memory"
) -> Iterator[Tally]:
    """Run *seeds* in chunks on so many processes; give each as it ends."""
    run = partial(tally, store=store)
    chunks = [
        seeds[place : place + _CHUNK] for place in range(0, len(seeds), _CHUNK)
    ]
    if workers == 1:
        yield from map(run, chunks)
        return
    # Spawned, so that a thread of the caller is not forked with its locks.
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(run, chunks)
