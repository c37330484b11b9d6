"""
What an auto-pay will pay: a forecast on the invoices of today (S6 to S8, L1).

Holds: `project`, `Projection`, `ProjectedRun`. Imports: `pictures`, `autopay`
and the values; altair only when a chart is asked for. A pure function: runs
follow the schedule, each is allocated as a real one, and what it pays is
taken off the balances at once. New invoices, declines and returns are not
foreseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from autopay_core._checks import check_date, check_type, clean_text
from autopay_core.allocation import Allocation, allocate
from autopay_core.associations import visible
from autopay_core.autopay import AutoPay, in_force
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Spent
from autopay_core.money import Money
from autopay_core.schedules import Occurrence, one_year_after
from autopay_core.show.pictures import bars

if TYPE_CHECKING:
    from autopay_core.invoices import Invoice

__all__ = ["RUNS_MAX", "ProjectedRun", "Projection", "project"]

RUNS_MAX: Final = 10_000
"""Most runs that are foreseen; more are refused, never cut off."""

_NO_AMOUNTS: Final[Mapping[str, Money]] = MappingProxyType({})


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

    def _repr_svg_(self) -> str:
        """Return a bar for each run."""
        title = f"{self.autopay.name}: {self.total} from {self.from_on} on"
        return bars(
            title,
            [(each.occurrence.charge_on, each.total) for each in self.runs],
        )

    def _repr_html_(self) -> str:
        """Return the picture with its figures, for a notebook."""
        rows = "".join(
            f"<tr><td>{each.occurrence.charge_on}</td>"
            f'<td style="text-align:right">{escape(str(each.total))}</td>'
            f'<td style="text-align:right">{len(each.allocation.paid)}</td>'
            "</tr>"
            for each in self.runs
        )
        return (
            f"{self._repr_svg_()}<details><summary>{escape(str(self.total))} "
            f'in {len(self.runs)} runs</summary><table class="autopay-core">'
            "<thead><tr><th>date</th><th>amount</th><th>invoices</th></tr>"
            f"</thead><tbody>{rows}</tbody></table></details>"
        )

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


def project(
    autopay: AutoPay,
    invoices: Iterable[Invoice],
    *,
    from_on: date,
    before: date | None = None,
    open_amounts: Mapping[str, Money] = _NO_AMOUNTS,
    spent: Spent | None = None,
    minimum: Money | None = None,
) -> Projection:
    """
    Foresee what *autopay* pays on *invoices*, run by run.

    Invoices that the enrolments do not cover are left out, those issued later
    come in on their day. Every run is taken to succeed and its postings to be
    applied before the next.

    Args:
        autopay: The standing order.
        invoices: As the matter data show them today, in any order.
        from_on: First charge date that is looked at.
        before: First one that is not any more; None for a year later.
        open_amounts: What is on its way already, by invoice number.
        spent: What was taken before, for a limit per month or lifetime; its
            month is that of *from_on*. None for nothing.
        minimum: The gateway's smallest charge.

    Raises:
        InvalidValueError: The invoices cannot be used, or there are too many
            runs (``TooManyRuns``).

    """
    check_type(autopay, AutoPay, "autopay")
    check_date(from_on, "from_on")
    before = one_year_after(from_on) if before is None else before
    check_date(before, "before")
    currency = autopay.limit.currency
    taken = Spent.nothing(currency) if spent is None else spent
    month = from_on.replace(day=1)
    rows = list(invoices)
    applied: dict[str, Money] = {}
    runs: list[ProjectedRun] = []
    for occurrence in _occurrences(autopay, from_on, before):
        on = occurrence.charge_on
        if on.replace(day=1) != month:
            month = on.replace(day=1)
            taken = attrs.evolve(taken, month=Money.zero(currency))
        allocation = allocate(
            visible(
                [_less(each, applied) for each in rows],
                in_force(autopay, occurrence.nominal_on),
            ),
            autopay.limit,
            open_amounts=open_amounts,
            order=autopay.order,
            as_of=on,
            account=autopay.deposit_account.kind,
            spent=taken,
            minimum=minimum,
        )
        runs.append(ProjectedRun(occurrence=occurrence, allocation=allocation))
        for line in allocation.paid:
            number = line.invoice.number
            applied[number] = (
                applied.get(number, Money.zero(currency)) + line.amount
            )
        taken = Spent(
            month=taken.month + allocation.total,
            lifetime=taken.lifetime + allocation.total,
        )
    return Projection(
        autopay=autopay,
        from_on=from_on,
        before=before,
        runs=tuple(runs),
        left=_left(autopay, rows, applied, open_amounts),
    )


def _occurrences(
    autopay: AutoPay, from_on: date, before: date
) -> list[Occurrence]:
    """Return what would run, as `autopay.due` would find it day by day."""
    if autopay.off_from is not None:
        before = min(before, autopay.off_from)
    found: list[Occurrence] = []
    for each in autopay.schedule.occurrences(
        from_on, before, pauses=autopay.pauses, skips=autopay.skips
    ):
        if not in_force(autopay, each.nominal_on):
            continue
        if len(found) >= RUNS_MAX:
            raise InvalidValueError(
                f"more than {RUNS_MAX} runs; look at a shorter time",
                code="TooManyRuns",
                path="before",
                value=str(before),
            )
        found.append(each)
    return found


def _less(invoice: Invoice, applied: Mapping[str, Money]) -> Invoice:
    """Return *invoice* as it is once that is applied."""
    amount = applied.get(invoice.number)
    if amount is None:
        return invoice
    return attrs.evolve(invoice, balance=invoice.balance - amount)


def _left(
    autopay: AutoPay,
    invoices: Iterable[Invoice],
    applied: Mapping[str, Money],
    open_amounts: Mapping[str, Money],
) -> dict[str, Money]:
    """Return what the enrolments cover and nobody has paid."""
    left: dict[str, Money] = {}
    for invoice in visible(
        [_less(each, applied) for each in invoices],
        [each.association for each in autopay.enrollments],
    ):
        amount = invoice.balance
        if invoice.number in open_amounts:
            amount -= open_amounts[invoice.number]
        if amount.is_positive:
            left[invoice.number] = amount
    return left
