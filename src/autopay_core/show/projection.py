"""
What an auto-pay will pay: a forecast on the invoices of today (S14, L1).

Holds: `forecast`, which reads what it rests on from the ports, and `project`,
which is given it. Imports: `foreseen`, `autopay`, `engine`, `ports` and the
values. Runs follow the schedule, each is allocated as a real one, and what it
pays is taken off the balances at once. They end where the order does: with its
years, with its plans, with what was agreed in all. New invoices, declines and
returns are not foreseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from autopay_core._checks import check_date, check_type
from autopay_core._life import NOTHING_KNOWN
from autopay_core.allocation import Reason, allocate
from autopay_core.associations import visible
from autopay_core.autopay import AutoPay, Known, in_force, upcoming
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import drive
from autopay_core.engine.sweeping import outlook
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Spent
from autopay_core.money import Money
from autopay_core.schedules import one_year_after
from autopay_core.show.foreseen import ProjectedRun, Projection

if TYPE_CHECKING:
    from autopay_core.invoices import Invoice
    from autopay_core.ports import Ports

__all__ = ["RUNS_MAX", "forecast", "project"]

RUNS_MAX: Final = 10_000
"""Most runs that are foreseen; more are refused, never cut off."""

_DAY: Final = timedelta(days=1)
_NO_AMOUNTS: Final[Mapping[str, Money]] = MappingProxyType({})
_NO_REASONS: Final[Mapping[str, Reason]] = MappingProxyType({})
_NOT_ANNOUNCED: Final[Mapping[date, Mapping[str, Money]]] = MappingProxyType(
    {}
)


def project(  # noqa: PLR0913 - one parameter for each thing known
    autopay: AutoPay,
    invoices: Iterable[Invoice],
    *,
    from_on: date,
    before: date | None = None,
    open_amounts: Mapping[str, Money] = _NO_AMOUNTS,
    spent: Spent | None = None,
    minimum: Money | None = None,
    known: Known = NOTHING_KNOWN,
    barred: Mapping[str, Reason] = _NO_REASONS,
    announced: Mapping[date, Mapping[str, Money]] = _NOT_ANNOUNCED,
) -> Projection:
    """
    Foresee what *autopay* pays on *invoices*, run by run.

    On what you give it; `forecast` reads all that from the ports.

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
        known: What else is on record, for an agreed number of payments and
            for plans that are paid off or gone.
        barred: Invoices that get nothing, with the reason, by number.
        announced: The most that each invoice gets, by nominal date (N4).

    Raises:
        InvalidValueError: The invoices cannot be used, or there are too many
            runs (``TooManyRuns``).

    """
    check_type(autopay, AutoPay, "autopay")
    check_date(from_on, "from_on")
    before = one_year_after(from_on) if before is None else before
    check_date(before, "before")
    currency = autopay.limit.currency
    rows = list(invoices)
    known = _as_known(known, spent, rows, from_on, currency)
    month = from_on.replace(day=1)
    applied: dict[str, Money] = {}
    runs: list[ProjectedRun] = []
    on = from_on
    while (coming := upcoming(autopay, on, known=known)) is not None:
        on = coming.charge_on
        if on >= before:
            break
        if len(runs) >= RUNS_MAX:
            raise InvalidValueError(
                f"more than {RUNS_MAX} runs; look at a shorter time",
                code="TooManyRuns",
                path="before",
                value=str(before),
            )
        taken = known.spent
        if taken is not None and on.replace(day=1) != month:
            taken = attrs.evolve(taken, month=Money.zero(currency))
        month = on.replace(day=1)
        covered = visible(
            [_less(each, applied) for each in rows],
            in_force(autopay, coming.nominal_on, known=known),
        )
        kept_back = barred
        if autopay.selection is not None:
            kept_back = {**autopay.selection.bars(covered, on), **barred}
        allocation = allocate(
            covered,
            autopay.limit,
            open_amounts=open_amounts,
            order=autopay.order,
            as_of=on,
            account=autopay.deposit_account.kind,
            spent=taken,
            minimum=minimum,
            barred=kept_back,
            ceilings=announced.get(coming.nominal_on),
        )
        runs.append(ProjectedRun(occurrence=coming, allocation=allocation))
        for line in allocation.paid:
            number = line.invoice.number
            applied[number] = (
                applied.get(number, Money.zero(currency)) + line.amount
            )
        known = _after(known, taken, runs[-1])
        on += _DAY
    return Projection(
        autopay=autopay,
        from_on=from_on,
        before=before,
        runs=tuple(runs),
        left=_left(autopay, rows, applied, open_amounts),
    )


def forecast(
    autopay: AutoPay,
    *,
    as_of: date,
    through: date | None = None,
    ports: Ports,
) -> Projection:
    """
    Foresee what *autopay* will pay, on what the ports know today (S14).

    Reads what a run would read, and writes nothing: balances, what is on its
    way, limits that are used up, announcements, holds. Made on the eve of a
    run it says what the run will do. New invoices, declines and returns are
    not foreseen.

    Args:
        autopay: The standing order.
        as_of: First charge date that is looked at; usually today.
        through: Last one; None for a year.
        ports: The host's.

    Raises:
        InvalidValueError: There are too many runs (``TooManyRuns``).
        PortError: Something cannot be read.

    """
    found = drive(outlook(autopay, as_of, terms_of(ports)), answering(ports))
    return project(
        autopay,
        found.invoices,
        from_on=as_of,
        before=None if through is None else through + _DAY,
        open_amounts=found.open_amounts,
        spent=found.spent,
        minimum=found.minimum,
        barred=found.barred,
        announced=found.announced,
        known=found.known,
    )


def _as_known(
    known: Known,
    spent: Spent | None,
    rows: Iterable[Invoice],
    on: date,
    currency: str,
) -> Known:
    """Begin with what was taken, and with what shows no balance (S7)."""
    if spent is None:
        spent = known.spent or Spent.nothing(currency)
    settled = {
        str(each.number): on for each in rows if not each.balance.is_positive
    }
    return attrs.evolve(
        known, spent=spent, paid_off={**settled, **known.paid_off}
    )


def _after(known: Known, taken: Spent | None, run: ProjectedRun) -> Known:
    """Return what will be known when a run was made (S7, S8)."""
    allocation = run.allocation
    if not allocation.total.is_positive:
        return attrs.evolve(known, spent=taken)
    assert taken is not None
    paid_off = {
        str(line.invoice.number): run.occurrence.charge_on
        for line in allocation.paid
        if line.amount == line.payable
    }
    return attrs.evolve(
        known,
        spent=Spent(
            month=taken.month + allocation.total,
            lifetime=taken.lifetime + allocation.total,
        ),
        collected=known.payments + 1,
        recent=(*known.recent[-1:], run.occurrence),
        paid_off={**known.paid_off, **paid_off},
    )


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
