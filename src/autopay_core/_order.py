"""
In which order invoices are paid (L2).

Holds: `Order`, `natural_key`, `sort_key`. Imports: `_checks`, `invoices`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final, TypeAlias

from autopay_core._checks import Choice
from autopay_core.invoices import Invoice

__all__ = ["Order", "natural_key", "sort_key"]

NaturalKey: TypeAlias = tuple[tuple[str | int, ...], str]
SortKey: TypeAlias = tuple[int, int, NaturalKey]

_split_digits = re.compile("([0-9]+)").split
_HEX: Final = 16
_NO_DUE_DATE: Final = date.max.toordinal()


class Order(Choice):
    """
    Which date comes first when invoices are put in order (L2).

    Either way an invoice without a due date comes after those that have one,
    and the invoice number decides the rest.
    """

    ISSUED = "issued"
    """Invoice date, then due date."""
    DUE = "due"
    """Due date, then invoice date."""


def natural_key(number: str, /) -> NaturalKey:
    """
    Return a sort key that puts INV-9 before INV-10 (L2).

    Runs of ASCII digits compare by value, whatever their length; what is
    between them by code point. Where that leaves a tie (INV-7, INV-07) the
    exact text decides, so no two texts share a key, and any two keys can be
    compared.

    >>> sorted(["INV-10", "INV-9", "INV-09"], key=natural_key)
    ['INV-09', 'INV-9', 'INV-10']

    """
    # Texts and numbers alternate from a text on, so like meets like.
    texts = _split_digits(number)
    parts: list[str | int] = [*texts]
    for place in range(1, len(texts), 2):
        # Digits read in base 16 keep their order, and unlike in base 10 the
        # conversion has neither a length limit nor a quadratic cost.
        parts[place] = int(texts[place], _HEX)
    return tuple(parts), number


def sort_key(order: Order, /) -> Callable[[Invoice], SortKey]:
    """Return the total order of allocation as a key for `sorted` (L2)."""
    return _by_due if order is Order.DUE else _by_issued


def _by_issued(invoice: Invoice) -> SortKey:
    due_on = invoice.due_on
    return (
        invoice.issued_on.toordinal(),
        _NO_DUE_DATE if due_on is None else due_on.toordinal(),
        natural_key(invoice.number),
    )


def _by_due(invoice: Invoice) -> SortKey:
    due_on = invoice.due_on
    return (
        _NO_DUE_DATE if due_on is None else due_on.toordinal(),
        invoice.issued_on.toordinal(),
        natural_key(invoice.number),
    )
