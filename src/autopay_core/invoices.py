"""
What the matter-management software says: invoices and search results (A6).

Holds: `Invoice`, `InvoiceStatus`, `SearchBy`, `SearchQuery`, `SearchResult`.
Imports: `_checks`, `errors`, `money`, `references`.
"""

from __future__ import annotations

from datetime import date
from typing import Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    check_date,
    check_each,
    check_id,
    check_text,
    check_type,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money, check_money
from autopay_core.references import (
    AccountKind,
    ClientId,
    InvoiceNumber,
    MatterId,
)

__all__ = [
    "BALANCE_MAX_MINOR",
    "Invoice",
    "InvoiceStatus",
    "SearchBy",
    "SearchPage",
    "SearchQuery",
    "SearchResult",
]

BALANCE_MAX_MINOR: Final = 10**12
"""Largest balance taken from the matter-management software, minor units."""


class InvoiceStatus(Choice):
    """
    Whether an invoice may be collected; only `OPEN` is.

    `UNKNOWN` is for words that an adapter has never seen: not collected (L4).
    """

    OPEN = "open"
    ON_HOLD = "on_hold"
    DISPUTED = "disputed"
    DRAFT = "draft"
    VOID = "void"
    IN_COLLECTIONS = "in_collections"
    UNKNOWN = "unknown"


@final
@attrs.frozen(kw_only=True, repr=False)
class Invoice(Readable):
    """
    One invoice as the matter-management software shows it at one moment.

    Attributes:
        number: Unique within the firm; compared exactly.
        client: The client's number.
        matter: The matter's number.
        issued_on: Invoice date; the first sort key (L2).
        due_on: Due date, or None.
        balance: What is outstanding; negative for a credit; at most
            `BALANCE_MAX_MINOR` either way.
        total: What was billed, if known; a larger balance is reported and
            not collected.
        status: Only `InvoiceStatus.OPEN` is collected.
        account: Where the money belongs (L6).

    Raises:
        InvalidValueError: A field that cannot be, with its path.

    """

    number: InvoiceNumber | str
    client: ClientId | str
    matter: MatterId | str
    issued_on: date
    balance: Money
    due_on: date | None = None
    total: Money | None = None
    status: InvoiceStatus = InvoiceStatus.OPEN
    account: AccountKind = AccountKind.OPERATING

    def __attrs_post_init__(self) -> None:
        """Check the fields; nothing is converted."""
        check_id(self.number, "number")
        check_id(self.client, "client")
        check_id(self.matter, "matter")
        check_date(self.issued_on, "issued_on")
        if self.due_on is not None:
            check_date(self.due_on, "due_on")
        _check_balance(self.balance, "balance")
        if self.total is not None:
            _check_balance(self.total, "total")
            if self.total.currency != self.balance.currency:
                raise InvalidValueError(
                    "balance and total are in two currencies",
                    code="MixedCurrency",
                    path="total",
                    value=self.total.currency,
                )
        check_type(self.status, InvoiceStatus, "status")
        check_type(self.account, AccountKind, "account")


def _check_balance(value: Money, path: str) -> None:
    check_money(value, path)
    if abs(value.amount_minor) > BALANCE_MAX_MINOR:
        raise InvalidValueError(
            f"beyond {BALANCE_MAX_MINOR} minor units",
            code="AmountTooLarge",
            path=path,
            value=value.amount_minor,
        )


class SearchBy(Choice):
    """The criterion by which staff find what to associate (A6)."""

    CLIENT_NAME = "client_name"
    CLIENT_NUMBER = "client_number"
    MATTER_NUMBER = "matter_number"
    MATTER_DESCRIPTION = "matter_description"
    INVOICE_NUMBER = "invoice_number"


@final
@attrs.frozen(kw_only=True, repr=False)
class SearchQuery(Readable):
    """
    A search for something to associate (A6).

    Numbers are matched exactly, names and descriptions by a part of them,
    regardless of case; ``*`` and ``%`` are literals.

    Attributes:
        by: The criterion.
        text: What to look for; 1 to 128 characters.
        page: Where to go on: the `SearchPage.next_page` of the page before.

    """

    by: SearchBy
    text: str
    page: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_type(self.by, SearchBy, "by")
        check_text(self.text, "text", most=128, empty=False)


@final
@attrs.frozen(kw_only=True, repr=False)
class SearchResult(Readable):
    """
    One thing that was found; `associations.associate` ties a payer to it.

    The level is the deepest number given: a client, a matter of it, or one
    invoice of that.

    Attributes:
        client: The client's number.
        client_name: For people.
        matter: The matter's number; None for a client.
        matter_description: For people.
        invoice: The invoice's number; None for a client or a matter.

    """

    client: ClientId | str
    client_name: str = ""
    matter: MatterId | str | None = None
    matter_description: str = ""
    invoice: InvoiceNumber | str | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_id(self.client, "client")
        if self.matter is not None:
            check_id(self.matter, "matter")
        if self.invoice is not None:
            check_id(self.invoice, "invoice")
            if self.matter is None:
                raise InvalidValueError(
                    "an invoice belongs to a matter",
                    code="FieldMissing",
                    path="matter",
                )
        check_text(self.client_name, "client_name")
        check_text(self.matter_description, "matter_description")


@final
@attrs.frozen(kw_only=True, repr=False)
class SearchPage(Readable):
    """
    A part of what a search found.

    Attributes:
        results: In a stable order.
        next_page: Where to go on; None at the end.

    """

    results: tuple[SearchResult, ...]
    next_page: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_each(self.results, SearchResult, "results")
