"""
A forecast as a value: each run as it would be, and what is left (S14).

Holds: `Projection`, `ProjectedRun`. Imports: `show.forecasts`,
`show.timeline`, `autopay`, `allocation`, `money`, `schedules` and `_checks`;
the first two, and altair, only when it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, final

import attrs

from autopay_core._checks import clean_text
from autopay_core.allocation import Allocation
from autopay_core.autopay import AutoPay
from autopay_core.money import Money
from autopay_core.schedules import Occurrence

__all__ = ["ProjectedRun", "Projection"]


@final
@attrs.frozen(kw_only=True)
class ProjectedRun:
    """
    One run as it would be.

    Attributes:
        occurrence: When.
        allocation: Which invoice would get how much, and why.

    """

    occurrence: Occurrence
    allocation: Allocation

    @property
    def total(self) -> Money:
        """What would be charged."""
        return self.allocation.total


@final
@attrs.frozen(kw_only=True)
class Projection:
    """
    What an auto-pay would pay in some time.

    In a notebook it shows itself as a picture; `chart` is one of altair.

    Attributes:
        autopay: The standing order.
        from_on: First day that is looked at.
        before: First day that is not any more.
        runs: Every run in between, also those that would pay nothing.
        left: What would still be payable after them, by invoice number.

    """

    autopay: AutoPay
    from_on: date
    before: date
    runs: tuple[ProjectedRun, ...]
    left: Mapping[str, Money]

    @property
    def total(self) -> Money:
        """What would be charged in all."""
        return Money.total(
            (each.total for each in self.runs), self.autopay.limit.currency
        )

    @property
    def paid_off_on(self) -> Mapping[str, date]:
        """The day on which each invoice would be paid off, by number."""
        return {
            line.invoice.number: each.occurrence.charge_on
            for each in self.runs
            for line in each.allocation.paid
            if line.amount == line.payable
        }

    def __str__(self) -> str:
        """Return a line for each run, for people."""
        from autopay_core.show.forecasts import forecast_table

        return str(forecast_table(self))

    def _repr_svg_(self) -> str:
        """Return the timeline."""
        from autopay_core.show.timeline import timeline

        return timeline(self).svg

    def _repr_html_(self) -> str:
        """Return the timeline with its figures, for a notebook."""
        from autopay_core.show.timeline import timeline

        return timeline(self).html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - as IPython calls it
        """Return it for IPython without HTML: what `print` shows."""
        printer.text("..." if cycle else str(self))

    def __rich__(self) -> object:
        """Return the figures for rich."""
        from autopay_core.show.forecasts import forecast_table

        return forecast_table(self).__rich__()

    def chart(self) -> Any:  # noqa: ANN401 - altair is optional
        """
        Return an altair chart: bars of what each invoice would get.

        Raises:
            ImportError: altair is not installed; it is in the extra
                ``plots``.

        """
        import altair as alt

        # Only a label on an axis: nothing is computed from a float.
        values = [
            {
                "date": each.occurrence.charge_on.isoformat(),
                "amount": float(line.amount.major),
                "invoice": str(line.invoice.number),
                "why": line.reason.text,
            }
            for each in self.runs
            for line in each.allocation.paid
        ]
        inline: Any = alt.Data
        return (
            alt.Chart(inline(values=values))
            .mark_bar()
            .encode(
                x=alt.X("date:O", title="charged on"),
                y=alt.Y(
                    "amount:Q", title=self.autopay.limit.currency, stack=True
                ),
                color=alt.Color("invoice:N", title="invoice"),
                tooltip=["date:O", "invoice:N", "amount:Q", "why:N"],
            )
            .properties(title=clean_text(self.autopay.name))
        )
