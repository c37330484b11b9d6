"""
Who may see and pay what (A1 to A6).

Holds: `Association`, `Level`, the query by associations, and the functions
that create, match and check them. Imports: `_checks`, `errors`, `invoices`,
`references`. No associations means nothing, never everything (A3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    an_id,
    check_id,
    optional,
    tuple_of,
)
from autopay_core.errors import ForeignInvoiceError, InvalidValueError
from autopay_core.invoices import Invoice, check_levels
from autopay_core.references import (
    ClientId,
    InvoiceNumber,
    MatterId,
    PayerId,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autopay_core.invoices import SearchResult

__all__ = [
    "Association",
    "InvoicePage",
    "InvoiceQuery",
    "Level",
    "associate",
    "check_covered",
    "covers",
    "visible",
]


class Level(Choice):
    """How much an association covers (A1)."""

    CLIENT = "client"
    """Every invoice of a client."""
    MATTER = "matter"
    """Every invoice of a matter."""
    INVOICE = "invoice"
    """One invoice."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Association(Readable):
    """
    Ties a payer to a client, a matter or one invoice, and all below it (A1).

    Make it with `to_client`, `to_matter`, `to_invoice` or `associate`.
    Numbers are compared exactly; ``*`` is a literal.

    Attributes:
        payer: Who may see and pay.
        client: The client's number.
        matter: The matter's number; None covers the whole client.
        invoice: The invoice's number; None covers the whole matter.

    Raises:
        InvalidValueError: A number that cannot be, or an invoice without its
            matter.

    """

    payer: PayerId | str = attrs.field(validator=an_id)
    client: ClientId | str = attrs.field(validator=an_id)
    matter: MatterId | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    invoice: InvoiceNumber | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an invoice without its matter."""
        check_levels(self.matter, self.invoice)

    @classmethod
    def to_client(cls, *, payer: str, client: str) -> Self:
        """Cover every matter and invoice of *client*."""
        return cls(payer=payer, client=client)

    @classmethod
    def to_matter(cls, *, payer: str, client: str, matter: str) -> Self:
        """Cover every invoice of *matter*."""
        check_id(matter, "matter")
        return cls(payer=payer, client=client, matter=matter)

    @classmethod
    def to_invoice(
        cls, *, payer: str, client: str, matter: str, invoice: str
    ) -> Self:
        """Cover one invoice: enrolled, it is a payment plan (S7)."""
        check_id(matter, "matter")
        check_id(invoice, "invoice")
        return cls(payer=payer, client=client, matter=matter, invoice=invoice)

    @property
    def level(self) -> Level:
        """How much this covers."""
        if self.invoice is not None:
            return Level.INVOICE
        return Level.CLIENT if self.matter is None else Level.MATTER


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class InvoiceQuery(Readable):
    """
    Ask for the open invoices under some associations of one payer (A2).

    Attributes:
        payer: Whose associations these are.
        associations: What is asked for; empty asks for nothing (A3).
        page: Where to go on: the `InvoicePage.next_page` of the page before.

    """

    payer: PayerId | str = attrs.field(validator=an_id)
    associations: tuple[Association, ...] = attrs.field(
        validator=tuple_of(Association)
    )
    page: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what belongs to somebody else (A2)."""
        check_owned(self.associations, self.payer, "associations")


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class InvoicePage(Readable):
    """
    A part of the open invoices under a query.

    Attributes:
        invoices: In any order; an invoice may be on two pages if it is equal.
        next_page: Where to go on; None at the end.
        total: How many invoices all pages hold together, if known; a chain
            that ends with another number is an incomplete read.

    """

    invoices: tuple[Invoice, ...] = attrs.field(validator=tuple_of(Invoice))
    next_page: str | None = None
    total: int | None = None


def associate(payer: str, found: SearchResult, /) -> Association:
    """Tie *payer* to something that a search found (A6)."""
    return Association(
        payer=payer,
        client=found.client,
        matter=found.matter,
        invoice=found.invoice,
    )


def covers(association: Association, invoice: Invoice, /) -> bool:
    """
    Tell whether *association* covers *invoice* (A1).

    All of client, matter and number must agree exactly, so that an invoice
    moved to another client is no longer covered by the old one.
    """
    return (
        association.client == invoice.client
        and association.matter in (None, invoice.matter)
        and association.invoice in (None, invoice.number)
    )


def visible(
    invoices: Iterable[Invoice], associations: Iterable[Association], /
) -> tuple[Invoice, ...]:
    """
    Keep the invoices that some association covers, in their order (A2, A4).

    An invoice that several associations cover is there once; without
    associations nothing is (A3).
    """
    index = _Index(associations)
    return tuple(each for each in invoices if index.covers(each))


def check_covered(
    invoices: Iterable[Invoice], associations: Iterable[Association], /
) -> None:
    """
    Refuse rows that none of *associations* asked for (A2).

    Raises:
        ForeignInvoiceError: Such a row; the run is rejected and a security
            event reported. Its content is not shown.

    """
    index = _Index(associations)
    for place, invoice in enumerate(invoices):
        if not index.covers(invoice):
            raise ForeignInvoiceError(
                "the matter data returned an invoice that nobody asked for; "
                "nothing is charged until its filter is mended",
                code="ForeignInvoice",
                path=f"invoices[{place}]",
            )


def check_owned(
    associations: Sequence[Association], payer: str, path: str, /
) -> None:
    """
    Refuse associations of another payer (A2).

    Raises:
        InvalidValueError: One belongs to somebody else
            (``AssociationOwnership``).

    """
    for place, association in enumerate(associations):
        if association.payer != payer:
            raise InvalidValueError(
                "the association belongs to another payer",
                code="AssociationOwnership",
                path=f"{path}[{place}].payer",
                value=association.payer,
            )


class _Index:
    """Sets of what is covered, so that each invoice costs three look-ups."""

    def __init__(self, associations: Iterable[Association]) -> None:
        self._clients: set[str] = set()
        self._matters: set[tuple[str, str]] = set()
        self._invoices: set[tuple[str, str, str]] = set()
        for each in associations:
            if each.matter is None:
                self._clients.add(each.client)
            elif each.invoice is None:
                self._matters.add((each.client, each.matter))
            else:
                self._invoices.add((each.client, each.matter, each.invoice))

    def covers(self, invoice: Invoice) -> bool:
        client, matter = invoice.client, invoice.matter
        return (
            client in self._clients
            or (client, matter) in self._matters
            or (client, matter, invoice.number) in self._invoices
        )
