"""
Why an invoice gets what it gets, as codes and in words (L4).

Holds: `Reason`, those that give something, and those that follow from an
invoice's status. Imports: `_checks`, `invoices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autopay_core._checks import Choice
from autopay_core.invoices import InvoiceStatus

__all__ = ["BY_STATUS", "GIVING", "Reason"]


class Reason(Choice):
    """Why an invoice gets what it gets; `text` is for people (L4)."""

    PAID = "paid"
    """All that is payable."""
    PART_PAID = "part_paid"
    """What was left of the run's limit."""
    PER_INVOICE_LIMIT = "per_invoice_limit"
    """Up to the limit per invoice (L7)."""
    ANNOUNCED_LIMIT = "announced_limit"
    """Up to what was announced (N4)."""

    COVERED_BY_OPEN = "covered_by_open"
    """Nothing: all of it is on its way (L1)."""
    OVER_POSTED = "over_posted"
    """Nothing: more is on its way than is owed."""
    NOTHING_OWED = "nothing_owed"
    """Nothing: its balance is zero."""
    CREDIT_BALANCE = "credit_balance"
    """Nothing: the firm owes the client (L5)."""

    LIMIT_REACHED = "limit_reached"
    """Nothing: older invoices used the limit up."""
    WHOLE_INVOICES = "whole_invoices"
    """Nothing: less than the whole is left of the limit (L7)."""
    WAITS_FOR_OLDER = "waits_for_older"
    """Nothing: an older one could not be paid whole."""
    BELOW_MINIMUM = "below_minimum"
    """Nothing: less is due in all than may be charged."""

    ON_HOLD = "on_hold"
    """Nothing: the firm keeps it back."""
    DISPUTED = "disputed"
    """Nothing: the client disputes it."""
    DRAFT = "draft"
    """Nothing: it was not sent yet."""
    VOID = "void"
    """Nothing: it was withdrawn."""
    IN_COLLECTIONS = "in_collections"
    """Nothing: somebody else collects it."""
    UNKNOWN_STATUS = "unknown_status"
    """Nothing: its status is not understood."""
    NOT_YET_ISSUED = "not_yet_issued"
    """Nothing: its invoice date is still to come."""
    NOT_DUE_YET = "not_due_yet"
    """Nothing: it is due later than the auto-pay looks ahead (L8)."""
    TOO_NEW = "too_new"
    """Nothing: the auto-pay pays older invoices only (L8)."""
    NOT_SELECTED = "not_selected"
    """Nothing: the auto-pay leaves it, or its matter, out (L8)."""
    OTHER_ACCOUNT = "other_account"
    """Nothing: its money goes to the other kind of account (L6)."""
    BALANCE_EXCEEDS_TOTAL = "balance_exceeds_total"
    """Nothing: more is outstanding than was billed."""
    ENROLLMENT_ENDED = "enrollment_ended"
    """Nothing: its enrolment has ended (S6, S7)."""
    NOT_ANNOUNCED = "not_announced"
    """Nothing: it was not in the announcement (N4)."""
    OTHER_CURRENCY = "other_currency"
    """Nothing: it is in another currency than the limit (M3)."""
    BALANCE_UNEXPECTED = "balance_unexpected"
    """Nothing: more is owed than our payments should have left (B1)."""
    LOOKS_ALIKE = "looks_alike"
    """Nothing: its number looks like one that money is on its way to (B2)."""
    TAKES_PLACE = "takes_place"
    """Nothing: it may be another one under a new number (B2)."""

    @property
    def text(self) -> str:
        """The reason as a person reads it, without the amounts."""
        return _TEXTS[self]


GIVING: Final = frozenset(
    {
        Reason.PAID,
        Reason.PART_PAID,
        Reason.PER_INVOICE_LIMIT,
        Reason.ANNOUNCED_LIMIT,
    }
)
"""Reasons of the lines that get something; the others get nothing."""

_TEXTS: Final[Mapping[Reason, str]] = {
    Reason.PAID: "paid in full",
    Reason.PART_PAID: "paid in part: the limit ended here",
    Reason.PER_INVOICE_LIMIT: "paid up to the limit per invoice",
    Reason.ANNOUNCED_LIMIT: "paid up to the amount that was announced",
    Reason.COVERED_BY_OPEN: "all of it is already on its way",
    Reason.OVER_POSTED: (
        "more is already on its way than is owed; have the postings checked"
    ),
    Reason.NOTHING_OWED: "nothing is owed",
    Reason.CREDIT_BALANCE: (
        "a credit; it changes no other invoice's amount until staff apply it"
    ),
    Reason.LIMIT_REACHED: "the limit was used up before its turn",
    Reason.WHOLE_INVOICES: (
        "more than may be paid on it now, and only whole invoices are paid"
    ),
    Reason.WAITS_FOR_OLDER: (
        "an older invoice did not fit, and newer ones wait for it"
    ),
    Reason.BELOW_MINIMUM: "less is due in all than may be charged",
    Reason.ON_HOLD: "on hold",
    Reason.DISPUTED: "disputed",
    Reason.DRAFT: "a draft",
    Reason.VOID: "void",
    Reason.IN_COLLECTIONS: "in collections",
    Reason.UNKNOWN_STATUS: (
        "its status is not known to this system, so it is not collected"
    ),
    Reason.NOT_YET_ISSUED: "its invoice date is still to come",
    Reason.NOT_DUE_YET: "it is due later; the auto-pay pays what is due",
    Reason.TOO_NEW: "it is too new; the auto-pay pays older invoices only",
    Reason.NOT_SELECTED: "the auto-pay leaves it, or its matter, out",
    Reason.OTHER_ACCOUNT: (
        "its money belongs in another kind of account (operating, trust)"
    ),
    Reason.BALANCE_EXCEEDS_TOTAL: (
        "more is outstanding than was billed; have the invoice checked"
    ),
    Reason.ENROLLMENT_ENDED: "its enrolment has ended",
    Reason.NOT_ANNOUNCED: "it was not in the announcement of this debit",
    Reason.OTHER_CURRENCY: "it is in another currency than the limit",
    Reason.BALANCE_UNEXPECTED: (
        "more is owed than earlier payments should have left; have the "
        "balance checked, or accept it"
    ),
    Reason.LOOKS_ALIKE: (
        "its number looks like that of another invoice; say that they are "
        "two, or have one renumbered"
    ),
    Reason.TAKES_PLACE: (
        "it looks like an invoice that is gone, under another number; say "
        "that they are two"
    ),
}

BY_STATUS: Final[Mapping[InvoiceStatus, Reason]] = {
    InvoiceStatus.ON_HOLD: Reason.ON_HOLD,
    InvoiceStatus.DISPUTED: Reason.DISPUTED,
    InvoiceStatus.DRAFT: Reason.DRAFT,
    InvoiceStatus.VOID: Reason.VOID,
    InvoiceStatus.IN_COLLECTIONS: Reason.IN_COLLECTIONS,
    InvoiceStatus.UNKNOWN: Reason.UNKNOWN_STATUS,
}
