"""
What the matter-management software says: invoices and search results (A6).

Holds: `Invoice`, `InvoiceStatus`, `UnreadableRow`, `fold_number`, `SearchBy`,
`SearchQuery`, `SearchResult`. Imports: `_checks`, `_unicode`, `errors`,
`money`, `references`.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_code,
    a_date,
    a_new_id,
    a_text,
    check_each,
    check_new_id,
    optional,
    reported,
    tuple_of,
)
from autopay_core._unicode import fold_number
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
    "MATTERS_MAX",
    "Invoice",
    "InvoiceStatus",
    "SearchBy",
    "SearchPage",
    "SearchQuery",
    "SearchResult",
    "UnreadableRow",
    "fold_number",
]

BALANCE_MAX_MINOR: Final = 10**12
"""Largest balance taken from the matter-management software, minor units."""

MATTERS_MAX: Final = 1_000
"""Most matters that one bill may name."""


class InvoiceStatus(Choice):
    """Whether an invoice may be collected; only `OPEN` is (L4)."""

    OPEN = "open"
    """It is collected."""
    ON_HOLD = "on_hold"
    """The firm keeps it back."""
    DISPUTED = "disputed"
    """The client disputes it."""
    DRAFT = "draft"
    """It was not sent yet."""
    VOID = "void"
    """It was withdrawn."""
    IN_COLLECTIONS = "in_collections"
    """Somebody else collects it."""
    UNKNOWN = "unknown"
    """A word that an adapter has never seen; not collected."""


def _a_balance(_: object, field: attrs.Attribute[Any], value: Money) -> None:
    check_money(value, field.name)
    if abs(value.amount_minor) > BALANCE_MAX_MINOR:
        raise InvalidValueError(
            f"beyond {BALANCE_MAX_MINOR} minor units",
            code="AmountTooLarge",
            path=field.name,
            value=value.amount_minor,
        )


def _matters(
    invoice: Invoice,
    field: attrs.Attribute[Any],
    value: Any,  # noqa: ANN401 - whatever is given is checked
) -> None:
    """Refuse matters of which the invoice's is not the first (A1)."""
    if value == () and type(value) is tuple:
        return
    check_each(value, str, field.name)
    for place, each in enumerate(value):
        check_new_id(each, f"{field.name}[{place}]")
    if len(value) > MATTERS_MAX:
        raise InvalidValueError(
            f"at most {MATTERS_MAX} matters on one bill, not {len(value)}",
            code="FieldTooLong",
            path=field.name,
        )
    if len(set(value)) != len(value):
        raise InvalidValueError(
            "one matter is there twice",
            code="DuplicateValue",
            path=field.name,
        )
    if value[0] != invoice.matter:
        raise InvalidValueError(
            "the matter of the postings is the first of the matters",
            code="MattersOrder",
            path=field.name,
            value=value[0],
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class Invoice(Readable):
    """
    One invoice as the matter-management software shows it at one moment.

    Attributes:
        number: Unique within the firm; compared exactly.
        client: The client's number.
        matter: The matter's number; of a bill that names several, the first,
            which its postings carry.
        issued_on: Invoice date; the first sort key (L2).
        due_on: Due date, or None.
        balance: What is outstanding; negative for a credit; at most
            `BALANCE_MAX_MINOR` either way.
        total: What was billed, if known; a larger balance is reported and
            not collected.
        status: Only `InvoiceStatus.OPEN` is collected.
        account: Where the money belongs (L6).
        matters: All the matters that the bill names, `matter` first, if it
            names several; at most `MATTERS_MAX` (A1).

    Raises:
        InvalidValueError: A field that cannot be, with its path.

    """

    number: InvoiceNumber | str = attrs.field(validator=a_new_id)
    client: ClientId | str = attrs.field(validator=a_new_id)
    matter: MatterId | str = attrs.field(validator=a_new_id)
    issued_on: date = attrs.field(validator=a_date)
    balance: Money = attrs.field(validator=_a_balance)
    due_on: date | None = attrs.field(default=None, validator=optional(a_date))
    total: Money | None = attrs.field(
        default=None, validator=optional(_a_balance)
    )
    status: InvoiceStatus = attrs.field(
        default=InvoiceStatus.OPEN, validator=a(InvoiceStatus)
    )
    account: AccountKind = attrs.field(
        default=AccountKind.OPERATING, validator=a(AccountKind)
    )
    matters: tuple[str, ...] = attrs.field(default=(), validator=_matters)

    @property
    def every_matter(self) -> tuple[str, ...]:
        """All the matters that it names: one, or several (A1)."""
        return self.matters or (self.matter,)

    def __attrs_post_init__(self) -> None:
        """Refuse two currencies; nothing is converted."""
        if (
            self.total is not None
            and self.total.currency != self.balance.currency
        ):
            raise InvalidValueError(
                "balance and total are in two currencies",
                code="MixedCurrency",
                path="total",
                value=self.total.currency,
            )


@final
@attrs.frozen(kw_only=True, repr=False)
class UnreadableRow(Readable):
    """
    A row of the source that could not be read as an invoice (L5).

    It keeps its own invoice back and nobody else's, so an adapter returns it
    beside those it could read. What it says is somebody else's text: it is
    made one printable line, and a card number in it is left out.

    Attributes:
        number: The invoice's number, if that could be read.
        client: The client's number, if that could be read.
        code: Why not, such as ``"AmountFormat"``.
        where: The place for those who mend it, such as
            ``"open_invoices.csv:17:Balance"``.
        detail: What stands there and what is to be done, for people.
        matter: The matter's number, if that could be read.

    Raises:
        InvalidValueError: A number that cannot be (then it could not be read:
            give None), or a code that is no name (``CodeFormat``).

    """

    number: InvoiceNumber | str | None = attrs.field(
        validator=optional(a_new_id)
    )
    client: ClientId | str | None = attrs.field(validator=optional(a_new_id))
    code: str = attrs.field(validator=a_code)
    where: str = attrs.field(converter=reported, validator=a(str))
    detail: str = attrs.field(default="", converter=reported, validator=a(str))
    matter: MatterId | str | None = attrs.field(
        default=None, validator=optional(a_new_id)
    )


class SearchBy(Choice):
    """The criterion by which staff find what to associate (A6)."""

    CLIENT_NAME = "client_name"
    """A part of the client's name."""
    CLIENT_NUMBER = "client_number"
    """The client's number, exactly."""
    MATTER_NUMBER = "matter_number"
    """The matter's number, exactly."""
    MATTER_DESCRIPTION = "matter_description"
    """A part of the matter's description."""
    INVOICE_NUMBER = "invoice_number"
    """The invoice's number, exactly."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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

    by: SearchBy = attrs.field(validator=a(SearchBy))
    text: str = attrs.field(validator=a_text(most=128, empty=False))
    page: str | None = None


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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

    client: ClientId | str = attrs.field(validator=a_new_id)
    client_name: str = attrs.field(default="", validator=a_text())
    matter: MatterId | str | None = attrs.field(
        default=None, validator=optional(a_new_id)
    )
    matter_description: str = attrs.field(default="", validator=a_text())
    invoice: InvoiceNumber | str | None = attrs.field(
        default=None, validator=optional(a_new_id)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an invoice without its matter."""
        check_levels(self.matter, self.invoice)


def check_levels(matter: str | None, invoice: str | None, /) -> None:
    """Refuse an invoice without its matter (A1)."""
    if invoice is not None and matter is None:
        raise InvalidValueError(
            "an invoice belongs to a matter",
            code="FieldMissing",
            path="matter",
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class SearchPage(Readable):
    """
    A part of what a search found.

    Attributes:
        results: In a stable order.
        next_page: Where to go on; None at the end.

    """

    results: tuple[SearchResult, ...] = attrs.field(
        validator=tuple_of(SearchResult)
    )
    next_page: str | None = None
