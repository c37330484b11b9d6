"""
Who may see and pay what (A1 to A6).

Holds: `Association`, `Level`, the query by associations, and the functions
that create, match and check them. Imports: `_checks`, `_shown`, `errors`,
`invoices`, `money`, `references`. No associations means nothing, never
everything (A3).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a_new_id,
    a_number,
    an_instant,
    check_id,
    optional,
    tuple_of,
)
from autopay_core._shown import Shown
from autopay_core.errors import ForeignInvoiceError, InvalidValueError
from autopay_core.invoices import Invoice, UnreadableRow, check_levels
from autopay_core.money import Money, an_amount
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
    "covered",
    "covers",
    "split_covered",
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
class Association(Shown):
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

    payer: PayerId | str = attrs.field(validator=a_new_id)
    client: ClientId | str = attrs.field(validator=a_new_id)
    matter: MatterId | str | None = attrs.field(
        default=None, validator=optional(a_new_id)
    )
    invoice: InvoiceNumber | str | None = attrs.field(
        default=None, validator=optional(a_new_id)
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

    def __str__(self) -> str:
        """Return what it covers, for people."""
        if self.invoice is not None:
            return f"invoice {self.invoice} of client {self.client}"
        if self.matter is not None:
            return f"matter {self.matter} of client {self.client}"
        return f"client {self.client}"

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

    payer: PayerId | str = attrs.field(validator=a_new_id)
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

    What a source cannot say it leaves out: only `invoices` must be given.

    Attributes:
        invoices: In any order; an invoice may be on two pages if it is equal.
        next_page: Where to go on; None at the end.
        total: How many invoices all pages hold together, if known; a chain
            that ends with another number is an incomplete read.
        stated_at: For when the balances hold; None for the call itself (B0).
        row_count: How many rows the source says that all pages hold together,
            unreadable ones among them and equal ones once, if it says so
            (B3).
        control_total: What the source says that their balances add up to;
            invoices in another currency stand aside (B3).
        unreadable: The rows that could not be read (L5): those of the query's
            clients, and those whose client could not be read.
        source_rows: How many rows the whole source has, of any
            client: the share of unreadable ones is judged by it (L5).

    Raises:
        InvalidValueError: A field of another type, or a count below zero.

    """

    invoices: tuple[Invoice, ...] = attrs.field(validator=tuple_of(Invoice))
    next_page: str | None = None
    total: int | None = None
    stated_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    row_count: int | None = attrs.field(
        default=None, validator=optional(a_number(0))
    )
    control_total: Money | None = attrs.field(
        default=None, validator=optional(an_amount)
    )
    unreadable: tuple[UnreadableRow, ...] = attrs.field(
        default=(), validator=tuple_of(UnreadableRow)
    )
    source_rows: int | None = attrs.field(
        default=None, validator=optional(a_number(0))
    )


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
    Tell whether *association* alone covers *invoice* (A1).

    All of client, matter and number must agree exactly, so that an invoice
    moved to another client is no longer covered by the old one. A bill that
    names several matters is covered by its client, by its own number under
    any of them, or by all of its matters together: see `covered`.
    """
    if association.client != invoice.client:
        return False
    if association.matter is None:
        return True
    matters = invoice.every_matter
    if association.invoice is None:
        return matters == (association.matter,)
    return (
        association.invoice == invoice.number and association.matter in matters
    )


def covered(invoice: Invoice, associations: Iterable[Association], /) -> bool:
    """
    Tell whether *associations* cover *invoice*, one or several together (A1).

    Several matter-level associations of one payer cover a bill that names
    their matters and no other.

    Args:
        invoice: The invoice or bill.
        associations: Those of one payer; what different payers hold never
            adds up.

    """
    return _Index(associations).covers(invoice)


def visible(
    invoices: Iterable[Invoice], associations: Iterable[Association], /
) -> tuple[Invoice, ...]:
    """
    Keep the invoices that are covered, in their order (A2, A4).

    An invoice that several associations cover is there once; without
    associations nothing is (A3).
    """
    return split_covered(invoices, associations)[0]


def split_covered(
    invoices: Iterable[Invoice], associations: Iterable[Association], /
) -> tuple[tuple[Invoice, ...], tuple[Invoice, ...]]:
    """
    Return the invoices that are covered, and those nobody asked for (A2).

    Both in their order. What nobody asked for is left out and told to the
    firm as a security event, without content; the others are paid. It takes
    one look at each association and each invoice.
    """
    index = _Index(associations)
    asked: list[Invoice] = []
    foreign: list[Invoice] = []
    for each in invoices:
        (asked if index.covers(each) else foreign).append(each)
    return tuple(asked), tuple(foreign)


def check_covered(
    invoices: Iterable[Invoice], associations: Iterable[Association], /
) -> None:
    """
    Refuse rows that none of *associations* asked for (A2).

    For hosts that would rather stop than leave such a row out, as
    `split_covered` does.

    Raises:
        ForeignInvoiceError: Such a row. Its content is not shown.

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


def split_unreadable(
    rows: Iterable[UnreadableRow], associations: Iterable[Association], /
) -> tuple[tuple[UnreadableRow, ...], tuple[UnreadableRow, ...]]:
    """
    Return the rows that are known to be covered, and the others (A2).

    What is not known of a row may be another payer's.
    """
    index = _Index(associations)
    ours: list[UnreadableRow] = []
    others: list[UnreadableRow] = []
    for each in rows:
        (ours if index.knows(each) else others).append(each)
    return tuple(ours), tuple(others)


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
        # By whom: two payers' matters never add up to one bill.
        self._matters: dict[tuple[str, str], set[str]] = {}
        self._invoices: set[tuple[str, str, str]] = set()
        for each in associations:
            if each.matter is None:
                self._clients.add(each.client)
            elif each.invoice is None:
                at = (each.client, each.matter)
                self._matters.setdefault(at, set()).add(each.payer)
            else:
                self._invoices.add((each.client, each.matter, each.invoice))

    def knows(self, row: UnreadableRow) -> bool:
        client, matter, number = row.client, row.matter, row.number
        if client is None or client in self._clients:
            return client is not None
        if matter is None or (client, matter) in self._matters:
            return matter is not None
        return number is not None and (
            (client, matter, number) in self._invoices
        )

    def covers(self, invoice: Invoice) -> bool:
        client, matter = invoice.client, invoice.matter
        if client in self._clients:
            return True
        if not invoice.matters:
            return (client, matter) in self._matters or (
                client,
                matter,
                invoice.number,
            ) in self._invoices
        number = invoice.number
        if any(
            (client, each, number) in self._invoices
            for each in invoice.matters
        ):
            return True
        holders = set(self._matters.get((client, matter), ()))
        for each in invoice.matters:
            holders &= self._matters.get((client, each), set())
        return bool(holders)
