"""
Simulate a range of seeds: ``python -m autopay_core.testing.simulator``.

Imports: `_ranges` and `_simulation`.

``--seeds 0:25000`` runs them on both workers and prints progress, throughput
and every broken promise with the command that repeats it; exit status 1 if
there is one. ``--trace 42`` prints what happens in one seed. ``--store
sqlite`` puts that store on trial, with a database in memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from autopay_core.testing.simulator._ranges import Tally, tallies
from autopay_core.testing.simulator._simulation import (
    STORES,
    simulate,
    system_on,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_SHOWN_MOST: Final = 10
_COMMAND: Final = "python -m autopay_core.testing.simulator --trace"


def _range(text: str) -> range:
    first, colon, last = text.partition(":")
    try:
        return range(int(first), int(last)) if colon else range(int(first))
    except ValueError:
        raise argparse.ArgumentTypeError("expected FIRST:END") from None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _trace(seed: int, store: str) -> int:
    outcome = simulate(seed, system=system_on(store), is_traced=True)
    for line in outcome.trace:
        _say(line)
    _say(outcome.message or f"seed {seed}: every promise was kept")
    return 0 if outcome.rule is None else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autopay_core.testing.simulator",
        description="Simulate auto-pays under faults, and check each promise.",
    )
    parser.add_argument("--seeds", type=_range, default=range(1_000))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trace", type=int, metavar="SEED")
    parser.add_argument(
        "--store",
        choices=tuple(STORES),
        default="memory",
        help="the shipped posting store that is put on trial",
    )
    parser.add_argument("--every", type=int, default=10, help="seconds")
    options = parser.parse_args(arguments)
    if options.trace is not None:
        return _trace(options.trace, options.store)

    total = Tally()
    began = said = time.monotonic()
    for one in tallies(options.seeds, options.workers, options.store):
        total.add(one)
        now = time.monotonic()
        if now - said >= options.every or total.seeds == len(options.seeds):
            said = now
            _say(
                f"{total.seeds:>9,} seeds  {total.captures:>9,} captures  "
                f"{total.faults:>10,} faults  {len(total.broken)} broken  "
                f"{total.seeds / max(now - began, 1e-9):,.0f} seeds/s"
            )
    for seed, message in sorted(total.broken)[:_SHOWN_MOST]:
        again = (
            "" if options.store == "memory" else f" --store {options.store}"
        )
        _say(f"seed {seed}: {message}\n    {_COMMAND} {seed}{again}")
    if total.broken:
        _trace(min(total.broken)[0], options.store)
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
