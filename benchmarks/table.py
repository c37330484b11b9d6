"""
What the benchmarks share: a comparison, and a table of them.

Every figure is measured in one run, ours and theirs in turn, and judged as a
ratio, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Row(NamedTuple):
    """
    One comparison.

    Attributes:
        name: What was asked, and of whom else.
        ours: Seconds, or bytes where the name says so.
        other: The same of the other side.
        ratio: Other by ours; more is better.
        required: Least ratio that is good enough, or None.

    """

    name: str
    ours: float
    other: float
    ratio: float
    required: float | None


def compare(
    name: str, ours: float, other: float, required: float | None = None
) -> Row:
    """Make a row of two figures."""
    return Row(name, ours, other, other / ours, required)


def is_slow(row: Row) -> bool:
    """Tell whether a ratio is below what is required."""
    return row.required is not None and row.ratio < row.required


def show(rows: Iterable[Row]) -> int:
    """Print a table as the rows come; return 1 if one of them is slow."""
    print(f"{'':62}{'ours':>12}{'other':>12}{'ratio':>10}  required")
    slow = 0
    for row in rows:
        required = "" if row.required is None else f"{row.required:8.2f}"
        mark = "  TOO SLOW" if is_slow(row) else ""
        print(
            f"{row.name:62}{_figure(row.ours):>12}{_figure(row.other):>12}"
            f"{row.ratio:10.2f}  {required}{mark}",
            flush=True,
        )
        slow |= is_slow(row)
    return slow


def _figure(value: float) -> str:
    if value >= 1_000:  # bytes
        return f"{value / 1_000_000:.2f} MB"
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1:
            return f"{value * scale:.2f} {unit}"
    return f"{value * 1e9:.0f} ns"
