"""
Forecasts as tables: of one auto-pay run by run, and of many.

Holds: `forecast_table` and `forecasts_table`. Imports: `show.foreseen`,
`show.tables`, `money` and `_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable

from autopay_core._checks import some_of
from autopay_core.money import Money
from autopay_core.show.foreseen import Projection
from autopay_core.show.tables import Table, sums

__all__ = ["forecast_table", "forecasts_table"]


def forecast_table(forecast: Projection, /, title: str = "") -> Table:
    """Show each run of a forecast, with the invoices that it would pay."""
    return Table(
        title=title or f"{forecast.autopay.name} ({forecast.autopay.id})",
        header=("date", "amount", "invoices", "numbers"),
        rows=tuple(
            (
                str(each.occurrence),
                str(each.total),
                str(len(each.allocation.paid)),
                some_of([str(x.invoice.number) for x in each.allocation.paid]),
            )
            for each in forecast.runs
        ),
        footer=("total", str(forecast.total), "", ""),
        numeric=frozenset({1, 2}),
        folded=frozenset({3}),
    )


def forecasts_table(
    forecasts: Iterable[Projection], /, title: str = ""
) -> Table:
    """Add up what each auto-pay would pay, and what would be left."""
    rows: list[tuple[str, ...]] = []
    totals: list[Money] = []
    runs = 0
    for each in forecasts:
        runs += len(each.runs)
        totals.append(each.total)
        rows.append(
            (
                str(each.autopay.id),
                each.autopay.name,
                str(len(each.runs)),
                str(each.runs[0].occurrence) if each.runs else "",
                str(each.total),
                sums(each.left.values()),
            )
        )
    return Table(
        title=title,
        header=("auto-pay", "name", "runs", "next", "amount", "left"),
        rows=tuple(rows),
        footer=(
            "total",
            "",
            str(runs),
            "",
            sums(totals),
            # An invoice may be left by two of them.
            "",
        ),
        numeric=frozenset({2, 4, 5}),
        folded=frozenset({1}),
    )
