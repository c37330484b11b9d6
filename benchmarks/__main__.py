"""
Every benchmark in one run: `python benchmarks`.

Prints one table; the exit status is 1 if a ratio is below what is required.
Names of benchmarks as arguments run only those: `python benchmarks import`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from table import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from table import Row


def rows(wanted: list[str]) -> Iterator[Row]:
    """Run each benchmark in turn, and give its rows as they are ready."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if not wanted or path.stem.removeprefix("bench_") in wanted:
            yield from importlib.import_module(path.stem).rows()


if __name__ == "__main__":
    sys.exit(show(rows(sys.argv[1:])))
