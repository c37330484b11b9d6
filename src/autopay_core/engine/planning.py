"""
What a run would pay: reads in the right order, then an allocation (R1, A2).

Holds: `plan_run`, `look_ahead` and `Plan`. Imports: `case`, `requests` and the
values. Open amounts are read before balances: what moves meanwhile is counted
twice at worst, never not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import Readable
from autopay_core.allocation import Allocation, allocate
from autopay_core.associations import (
    Association,
    InvoicePage,
    InvoiceQuery,
    check_covered,
)
from autopay_core.charges import (
    GatewayCapabilities,
)
from autopay_core.commits import (
    OpenAmounts,
)
from autopay_core.engine.case import Case
from autopay_core.engine.requests import (
    Flow,
    ReadInvoices,
    ReadOpen,
    ReadSpent,
    ask,
)
from autopay_core.errors import (
    IncompleteReadError,
    InvalidValueError,
)
from autopay_core.invoices import Invoice
from autopay_core.limits import Spent
from autopay_core.money import Money

__all__ = [
    "PAGES_MOST",
    "Plan",
    "check_chargeable",
    "look_ahead",
    "plan_run",
]

PAGES_MOST: Final = 100_000
"""More pages than this are a loop."""


def _read_invoices(
    payer: str, associations: tuple[Association, ...]
) -> Flow[list[Invoice]]:
    """Follow the pages to their end, or fail; check every row (A2)."""
    invoices: list[Invoice] = []
    if not associations:
        return invoices
    seen: set[str] = set()
    query = InvoiceQuery(payer=payer, associations=associations)
    total: int | None = None
    while True:
        page = yield from ask(ReadInvoices(query), InvoicePage)
        check_covered(page.invoices, associations)
        invoices.extend(page.invoices)
        total = page.total if total is None else total
        if page.total not in (None, total):
            raise IncompleteReadError("the number of rows changed meanwhile")
        if page.next_page is None:
            break
        if page.next_page in seen or len(seen) >= PAGES_MOST:
            raise IncompleteReadError("the pages go round in a circle")
        seen.add(page.next_page)
        query = attrs.evolve(query, page=page.next_page)
    if total is not None and len({each.number for each in invoices}) != total:
        raise IncompleteReadError(
            f"{total} invoices were announced, {len(invoices)} came"
        )
    return invoices


# -- Planning ----------------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False)
class Plan(Readable):
    """
    What a run would pay, and what that rests on.

    Attributes:
        allocation: Which invoice gets how much, and why.
        opened: Open amounts and versions as they were read before.

    """

    allocation: Allocation
    opened: OpenAmounts


def _month_of(on: date) -> tuple[date, date]:
    first = on.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return first, following


def plan_run(
    case: Case,
    *,
    held: Mapping[str, Money],
    ceilings: Mapping[str, Money] | None = None,
) -> Flow[Plan]:
    """
    Read open amounts, then balances, and allocate (R1, L1 to L7).

    In this order: money moves from a reservation to a posting to the
    balance, so what moves meanwhile is counted twice at worst, never not at
    all. *held* is what a refused commit said is open besides.
    """
    autopay, associations = case.autopay, case.associations
    clients = tuple(sorted({str(each.client) for each in associations}))
    opened = yield from ask(ReadOpen(clients), OpenAmounts)
    amounts = {**opened.amounts}
    for number, amount in held.items():
        known = amounts.get(number)
        amounts[number] = amount if known is None else max(known, amount)
    opened = attrs.evolve(opened, amounts=amounts)
    limit = autopay.limit
    spent: Spent | None = None
    if limit.per_month is not None or limit.lifetime is not None:
        begin, end = _month_of(case.on)
        currency = limit.currency
        spent = Spent(
            month=(
                yield from ask(
                    ReadSpent(autopay.id, begin, end, currency), Money
                )
            ),
            lifetime=(
                yield from ask(
                    ReadSpent(autopay.id, date.min, date.max, currency), Money
                )
            ),
        )
    invoices = yield from _read_invoices(autopay.payer, associations)
    allocation = allocate(
        invoices,
        limit,
        open_amounts=amounts,
        order=autopay.order,
        as_of=case.on,
        account=autopay.deposit_account.kind,
        spent=spent,
        ceilings=ceilings,
        minimum=Money(
            amount_minor=case.terms.capabilities.minimum_minor,
            currency=limit.currency,
        ),
    )
    return Plan(allocation=allocation, opened=opened)


def check_chargeable(amount: Money, capabilities: GatewayCapabilities) -> None:
    """
    Refuse an amount that the gateway does not take.

    Raises:
        InvalidValueError: Another currency (``CurrencyUnknown``), or more
            than its largest charge (``ChargeTooLarge``).

    """
    if (
        capabilities.currencies
        and amount.currency not in capabilities.currencies
    ):
        raise InvalidValueError(
            f"the gateway does not take {amount.currency}",
            code="CurrencyUnknown",
            path="limit.currency",
            value=amount.currency,
        )
    if amount.amount_minor > capabilities.maximum_minor:
        raise InvalidValueError(
            f"the gateway takes at most {capabilities.maximum_minor} minor "
            "units in one charge; set a limit",
            code="ChargeTooLarge",
            path="allocation.total",
            value=amount.amount_minor,
        )


def look_ahead(case: Case) -> Flow[Allocation]:
    """
    Return what a run would pay, and why; nothing is written (preview).

    Raises:
        InvalidValueError: The matter data cannot be used.
        PortError: It cannot be read.

    """
    plan = yield from plan_run(case, held={})
    return plan.allocation
