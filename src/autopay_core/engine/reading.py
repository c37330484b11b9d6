"""
What the matter data say, held against our own books (A2, B0 to B3, L1).

Holds: `read_invoices`, `check_read`, `all_payable` and what they are made of;
`read_payable` and `read_conflicting` for those who look at single postings.
Imports: `requests` and the values. Open amounts are read first and balances
after them: money moves from a reservation to a posting to the balance, so what
moves meanwhile is counted twice at worst, never not at all (R1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import Readable
from autopay_core.allocation import Allocation, Reason, allocate
from autopay_core.associations import (
    Association,
    InvoicePage,
    InvoiceQuery,
)
from autopay_core.balances import Checked, check_balances
from autopay_core.commits import OpenAmounts
from autopay_core.engine.requests import Flow, ReadInvoices, ReadOpen, ask
from autopay_core.errors import IncompleteReadError
from autopay_core.holds import Hold, barred_by, held_back
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.policy import Policy
from autopay_core.reads import InvoiceRead, join_pages
from autopay_core.references import AccountKind

__all__ = [
    "NONE_BARRED",
    "PAGES_MOST",
    "Conflicting",
    "all_payable",
    "barred_of",
    "check_read",
    "read_conflicting",
    "read_invoices",
    "read_payable",
    "with_holds",
]

NONE_BARRED: Final[Mapping[str, Reason]] = MappingProxyType({})
"""Nothing but what the books themselves keep back."""


PAGES_MOST: Final = 100_000
"""More pages than this are a loop."""


def read_invoices(
    payer: str, associations: tuple[Association, ...], policy: Policy
) -> Flow[InvoiceRead]:
    """Follow the pages to their end, or fail; check every row (A2, B3)."""
    if not associations:
        return InvoiceRead(invoices=())
    pages: list[InvoicePage] = []
    seen: set[str] = set()
    query = InvoiceQuery(payer=payer, associations=associations)
    while True:
        page = yield from ask(ReadInvoices(query), InvoicePage)
        pages.append(page)
        if page.next_page is None:
            break
        if page.next_page in seen or len(seen) >= PAGES_MOST:
            raise IncompleteReadError("the pages go round in a circle")
        seen.add(page.next_page)
        query = attrs.evolve(query, page=page.next_page)
    return join_pages(
        pages,
        associations,
        percent=policy.unreadable_percent_most,
        most=policy.unreadable_rows_most,
    )


def check_read(
    associations: tuple[Association, ...],
    opened: OpenAmounts,
    read: InvoiceRead,
    now: datetime,
    policy: Policy,
) -> Checked:
    """Check balances against what is expected of what was asked for."""
    # A row that the read was not to return is not gone for that (B2).
    wanted = {
        (each.client, each.matter, each.invoice) for each in associations
    }
    asked = {
        each.invoice: each
        for each in opened.expected
        if not wanted.isdisjoint(
            {
                (each.client, None, None),
                (each.client, each.matter, None),
                (each.client, each.matter, each.invoice),
            }
        )
    }
    # What could not be read is not gone, either.
    unclear = {each.number for each in read.unreadable}
    return check_balances(
        read.invoices,
        stated_at=read.stated_at,
        now=now,
        open_amounts=opened.amounts,
        recent=opened.steps,
        expected={
            number: each
            for number, each in asked.items()
            if number not in unclear
        },
        reserved=opened.reserved,
        reversals=opened.reversals,
        distinct=opened.distinct,
        oldest=policy.oldest_balance,
    )


def with_holds(
    amounts: Mapping[str, Money],
    holds: tuple[Hold, ...],
    invoices: tuple[Invoice, ...],
) -> Mapping[str, Money]:
    """Count what holds keep back of an invoice as open (H2)."""
    if not holds:
        return amounts
    counted = dict(amounts)
    for each in invoices:
        kept = held_back(holds, each)
        if kept.is_positive:
            known = counted.get(each.number)
            counted[each.number] = kept if known is None else known + kept
    return counted


def barred_of(
    checked: Checked,
    holds: tuple[Hold, ...],
    invoices: tuple[Invoice, ...],
    chosen: Mapping[str, Reason] = NONE_BARRED,
) -> dict[str, Reason]:
    """Return what keeps single invoices back: holds, balances, the order."""
    barred = {
        **chosen,
        **{number: each.reason for number, each in checked.barred.items()},
    }
    if holds:
        for each in invoices:
            if barred_by(holds, each) is not None:
                barred[each.number] = Reason.ON_HOLD
    return barred


def all_payable(
    opened: OpenAmounts,
    read: InvoiceRead,
    checked: Checked,
    limit: Limit,
    account: AccountKind,
    on: date,
    chosen: Mapping[str, Reason] = NONE_BARRED,
) -> Allocation:
    """Return what each invoice that was read can get today (L1 to L6)."""
    return allocate(
        read.invoices,
        limit,
        open_amounts=with_holds(
            checked.open_amounts, opened.holds, read.invoices
        ),
        as_of=on,
        account=account,
        barred=barred_of(checked, opened.holds, read.invoices, chosen),
        unreadable=read.unreadable,
        distinct=opened.distinct,
    )


def _looked_at(
    association: Association, now: datetime, policy: Policy
) -> Flow[tuple[OpenAmounts, InvoiceRead, Checked]]:
    """Read what is open under an association, then its balances (R1)."""
    opened = yield from ask(ReadOpen((str(association.client),)), OpenAmounts)
    associations = (association,)
    read = yield from read_invoices(association.payer, associations, policy)
    checked = check_read(associations, opened, read, now, policy)
    return opened, read, checked


def read_payable(
    association: Association,
    currency: str,
    account: AccountKind,
    now: datetime,
    policy: Policy,
) -> Flow[tuple[OpenAmounts, Allocation]]:
    """
    Read what each invoice under an association can get now (L1 to L6).

    Read in R1's order; with all that a run would count, and no limit.

    Args:
        association: Whose invoices, and which.
        currency: Of what is to be put on them.
        account: Where it is.
        now: Store time.
        policy: The host's.

    """
    opened, read, checked = yield from _looked_at(association, now, policy)
    return opened, all_payable(
        opened,
        read,
        checked,
        Limit.all(currency),
        account,
        policy.date_of(now),
    )


@final
@attrs.frozen(kw_only=True, repr=False)
class Conflicting(Readable):
    """
    What the matter data say of a client's invoices, to be compared (P2).

    Attributes:
        invoices: Those that are returned, by number.
        unclear: Numbers of which rows contradict each other or cannot be
            read.
        replaced: By number, the number that takes the place of one that is
            not returned (B2).
        is_whole: Whether every row could be read, so that what is not
            returned is not open.
        stated_at: For when it holds; None for the call itself.

    """

    invoices: Mapping[str, Invoice]
    unclear: frozenset[str]
    replaced: Mapping[str, str]
    is_whole: bool
    stated_at: datetime | None


def read_conflicting(
    association: Association, now: datetime, policy: Policy
) -> Flow[Conflicting]:
    """
    Read a client's invoices, to compare them with our postings (P2, R1).

    Args:
        association: Whose.
        now: Store time.
        policy: The host's.

    """
    _, read, checked = yield from _looked_at(association, now, policy)
    unreadable = [each.number for each in read.unreadable]
    return Conflicting(
        invoices={str(each.number): each for each in read.invoices},
        unclear=frozenset(filter(None, unreadable)),
        replaced={
            each.other: number
            for number, each in checked.barred.items()
            if each.other
        },
        is_whole=all(unreadable) and not read.unknown,
        stated_at=read.stated_at,
    )
