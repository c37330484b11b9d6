"""
Which of the invoices that are enrolled take part in a run (L8).

Holds: `Selection`. Imports: `_reasons`, `invoices`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Readable,
    a_number,
    check_new_id,
    check_type,
    optional,
)
from autopay_core._reasons import Reason
from autopay_core.invoices import Invoice, fold_number

__all__ = ["Selection"]

_DAYS_MOST: Final = 3_660
_NAMES_MOST: Final = 1_000


def _names(
    _: object, field: attrs.Attribute[Any], value: frozenset[str]
) -> None:
    check_type(value, frozenset, field.name)
    for each in value:
        check_new_id(each, field.name)


@final
@attrs.frozen(kw_only=True, repr=False)
class Selection(Readable):
    """
    What takes part of all that is enrolled; the rest waits, with a reason.

    It is asked on the day of each charge: what is not due yet, or not old
    enough, takes part in a later run. Without a selection everything takes
    part, as a firm's clients expect.

    Attributes:
        due_within: Only invoices that are due on the day of the charge, or
            within so many days after it; an invoice without a due date is due
            at once. None for all, whenever they are due.
        least_age: Only invoices of which the date lies at least so many days
            back; 0 for all.
        without_invoices: Numbers of invoices that take no part, and what
            looks like them (L5).
        without_matters: Matters of which no invoice takes part; an invoice of
            several matters takes none if one of them is named.

    Raises:
        InvalidValueError: A number of days that is below zero or above 3,660
            (``OutOfRange``), or names that cannot be.

    """

    due_within: int | None = attrs.field(
        default=None, validator=optional(a_number(0, _DAYS_MOST))
    )
    least_age: int = attrs.field(default=0, validator=a_number(0, _DAYS_MOST))
    without_invoices: frozenset[str] = attrs.field(
        default=frozenset[str](), validator=_names
    )
    without_matters: frozenset[str] = attrs.field(
        default=frozenset[str](), validator=_names
    )

    def bars(
        self, invoices: Iterable[Invoice], on: date, /
    ) -> dict[str, Reason]:
        """
        Return what takes no part in a charge on a date, by number, and why.

        A number with several rows is barred if one of them is.
        """
        found: dict[str, Reason] = {}
        # Whoever leaves INV-9 out does not want INV-09 to be paid for it.
        without = {fold_number(each) for each in self.without_invoices}
        for each in invoices:
            reason = self._reason(each, on, without)
            if reason is not None:
                found.setdefault(str(each.number), reason)
        return found

    def _reason(
        self, invoice: Invoice, on: date, without: set[str]
    ) -> Reason | None:
        matters = {str(invoice.matter), *map(str, invoice.matters)}
        if fold_number(invoice.number) in without or not (
            self.without_matters.isdisjoint(matters)
        ):
            return Reason.NOT_SELECTED
        if (
            self.due_within is not None
            and invoice.due_on is not None
            and (invoice.due_on - on).days > self.due_within
        ):
            return Reason.NOT_DUE_YET
        if invoice.issued_on + timedelta(days=self.least_age) > on:
            # One of a day to come has a reason of its own.
            return Reason.TOO_NEW if invoice.issued_on <= on else None
        return None

    def __str__(self) -> str:
        """Return it in words, for people."""
        said: list[str] = []
        if self.due_within == 0:
            said.append("only what is due")
        elif self.due_within is not None:
            said.append(f"only what is due within {self.due_within} days")
        if self.least_age:
            said.append(f"only what is {self.least_age} days old or older")
        for what, names in (
            ("invoices", self.without_invoices),
            ("matters", self.without_matters),
        ):
            if names:
                said.append(f"without {what} {', '.join(sorted(names))}")
        return ", ".join(said) or "everything"
