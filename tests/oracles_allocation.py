"""
What `allocate` must answer, worked out in other ways.

Nothing of `autopay_core.allocation` is used but the names of its reasons: the
order is made by comparing texts character by character, the amounts are handed
out cent by cent, or found from sums, and never by a loop over what is left.
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING

from autopay_core.allocation import Order, Reason
from autopay_core.invoices import InvoiceStatus

if TYPE_CHECKING:
    from autopay_core.invoices import Invoice
    from strategies import Case

DIGITS = "0123456789"


def compare_numbers(left: str, right: str) -> int:
    """Compare two invoice numbers: below zero if *left* comes first (L2)."""
    at, to = 0, 0
    while at < len(left) and to < len(right):
        if left[at] in DIGITS and right[to] in DIGITS:
            one, at = digits_from(left, at)
            two, to = digits_from(right, to)
            if (len(one), one) != (len(two), two):
                return -1 if (len(one), one) < (len(two), two) else 1
        elif left[at] != right[to]:
            # A digit comes before everything that is none.
            one, two = left[at], right[to]
            if one in DIGITS or two in DIGITS:
                return -1 if one in DIGITS else 1
            return -1 if one < two else 1
        else:
            at, to = at + 1, to + 1
    if len(left) - at or len(right) - to:
        return -1 if at == len(left) else 1
    return (left > right) - (left < right)


def digits_from(text: str, start: int) -> tuple[str, int]:
    """Return the digits from *start*, leading zeros aside, and their end."""
    end = start
    while end < len(text) and text[end] in DIGITS:
        end += 1
    return text[start:end].lstrip("0"), end


def compare_invoices(left: Invoice, right: Invoice, order: Order) -> int:
    """Compare two invoices: below zero if *left* is paid first (L2)."""
    by_date = [(left.issued_on, right.issued_on), (left.due_on, right.due_on)]
    if order is Order.DUE:
        by_date.reverse()
    for one, two in by_date:
        if one == two:
            continue
        if one is None or two is None:
            return 1 if one is None else -1
        return -1 if one < two else 1
    return compare_numbers(left.number, right.number)


def in_order(case: Case) -> list[Invoice]:
    """Return the invoices of *case* as they are paid (L2)."""

    def compare(left: Invoice, right: Invoice) -> int:
        return compare_invoices(left, right, case.order)

    return sorted(case.invoices, key=cmp_to_key(compare))


def opened(case: Case, invoice: Invoice) -> int:
    """Return what is on its way for *invoice*, in minor units."""
    found = case.open_amounts.get(invoice.number)
    return 0 if found is None else found.amount_minor


def payable(case: Case, invoice: Invoice) -> int:
    """Return balance minus open, never below zero (L1)."""
    return max(0, invoice.balance.amount_minor - opened(case, invoice))


def ceiling(case: Case, invoice: Invoice) -> int | None:
    """Return the most for this one invoice (L7, N4)."""
    found: list[int] = []
    if case.limit.per_invoice is not None:
        found.append(case.limit.per_invoice.amount_minor)
    if case.ceilings is not None:
        announced = case.ceilings.get(invoice.number)
        found.append(0 if announced is None else announced.amount_minor)
    return min(found, default=None)


def budget(case: Case) -> int | None:
    """Return the smallest of the limits for the run's total (L7)."""
    limit, spent = case.limit, case.spent
    found: list[int] = []
    if limit.per_run is not None:
        found.append(limit.per_run.amount_minor)
    if limit.per_month is not None:
        assert spent is not None
        found.append(limit.per_month.amount_minor - spent.month.amount_minor)
    if limit.lifetime is not None:
        assert spent is not None
        found.append(limit.lifetime.amount_minor - spent.lifetime.amount_minor)
    return max(0, min(found)) if found else None


def least(case: Case) -> int:
    """Return the smallest charge: the payer's or the gateway's (L7)."""
    both = [case.limit.minimum, case.minimum]
    return max([0, *(each.amount_minor for each in both if each is not None)])


def takes_part(case: Case, invoice: Invoice) -> bool:
    """Tell whether *invoice* could be paid if enough money was there."""
    too_much = (
        invoice.total is not None
        and invoice.balance.amount_minor > max(0, invoice.total.amount_minor)
    )
    return (
        invoice.status is InvoiceStatus.OPEN
        and invoice.account is case.account
        and (case.as_of is None or invoice.issued_on <= case.as_of)
        and invoice.number not in case.ended
        and not too_much
    )


def wanted(case: Case) -> list[tuple[Invoice, int]]:
    """Return what each invoice would take if there was no limit per run."""
    made: list[tuple[Invoice, int]] = []
    for invoice in in_order(case):
        owed = payable(case, invoice)
        most = ceiling(case, invoice)
        wants = owed if most is None else min(owed, most)
        if not takes_part(case, invoice):
            wants = 0
        if case.limit.whole_invoices and wants < owed:
            wants = 0
        made.append((invoice, wants))
    return made


def by_sums(case: Case) -> dict[str, int]:
    """Find the amounts from the sums of what was wanted before (L3)."""
    asked = wanted(case)
    most = budget(case)
    paid: dict[str, int] = {}
    for place, (invoice, wants) in enumerate(asked):
        before = sum(each for _, each in asked[:place])
        gets = wants
        if most is not None:
            gets = min(wants, max(0, most - before))
        if case.limit.whole_invoices and gets < wants:
            # Then `before` stays above what fits for all that follow, too.
            gets = 0
        paid[invoice.number] = gets
    if sum(paid.values()) < least(case):
        paid = dict.fromkeys(paid, 0)
    return {number: minor for number, minor in paid.items() if minor}


def cent_by_cent(case: Case) -> dict[str, int]:
    """
    Hand out one cent at a time, to the first that still takes one (L3).

    With whole invoices only, the cents of an invoice that was not filled are
    taken back; it was the last one that got any.
    """
    asked = wanted(case)
    paid = {invoice.number: 0 for invoice, _ in asked}
    most = budget(case)
    left = sum(wants for _, wants in asked) if most is None else most
    while left > 0:
        hungry = [
            invoice.number
            for invoice, wants in asked
            if paid[invoice.number] < wants
        ]
        if not hungry:
            break
        paid[hungry[0]] += 1
        left -= 1
    if case.limit.whole_invoices:
        for invoice, wants in asked:
            if paid[invoice.number] < wants:
                paid[invoice.number] = 0
    if sum(paid.values()) < least(case):
        paid = dict.fromkeys(paid, 0)
    return {number: minor for number, minor in paid.items() if minor}


def may_say(  # noqa: PLR0911 - one return for each kind of reason
    case: Case, invoice: Invoice, gets: int
) -> set[Reason]:
    """Return the reasons that are true of *invoice*, most telling first."""
    owed = payable(case, invoice)
    most = ceiling(case, invoice)
    balance = invoice.balance.amount_minor
    if invoice.status is not InvoiceStatus.OPEN:
        by_name = {"unknown": Reason.UNKNOWN_STATUS}
        value = invoice.status.value
        return {by_name.get(value) or Reason(value)}
    if not takes_part(case, invoice):
        true = {
            Reason.OTHER_ACCOUNT: invoice.account is not case.account,
            Reason.NOT_YET_ISSUED: case.as_of is not None
            and invoice.issued_on > case.as_of,
            Reason.ENROLLMENT_ENDED: invoice.number in case.ended,
            Reason.BALANCE_EXCEEDS_TOTAL: invoice.total is not None
            and invoice.balance > invoice.total,
        }
        return {reason for reason, holds in true.items() if holds}
    if owed == 0:
        if balance < 0:
            return {Reason.CREDIT_BALANCE}
        if opened(case, invoice) > balance:
            return {Reason.OVER_POSTED}
        return {Reason.COVERED_BY_OPEN if balance else Reason.NOTHING_OWED}
    if gets == owed:
        return {Reason.PAID}
    if gets:
        if gets != most:
            return {Reason.PART_PAID}
        return {Reason.PER_INVOICE_LIMIT, Reason.ANNOUNCED_LIMIT}
    if most == 0:
        return {Reason.NOT_ANNOUNCED}
    return {
        Reason.LIMIT_REACHED,
        Reason.WHOLE_INVOICES,
        Reason.WAITS_FOR_OLDER,
        Reason.BELOW_MINIMUM,
    }
