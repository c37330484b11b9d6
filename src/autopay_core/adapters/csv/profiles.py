"""
Mappings for exports that many firms have, declared and never guessed.

Holds: `PROFILES` and what it names. Imports: `cells`, `mapping`. A profile is
a mapping like any other: `attrs.evolve` changes what is different in a firm,
and the command ``check`` shows what comes of it before money moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from autopay_core.adapters.csv.cells import CsvFormat
from autopay_core.adapters.csv.mapping import (
    CarriedDown,
    Column,
    Constant,
    CsvMapping,
    InvoiceColumns,
    LineItems,
    StatedIn,
    Totals,
)

__all__ = [
    "PROFILES",
    "ledes_1998b",
    "quickbooks_ageing",
    "quickbooks_open_invoices",
]

_DOLLARS: Final = CsvFormat(
    date="MM/DD/YYYY",
    digit_group=",",
    symbol="$",
    parentheses=True,
    padded=True,
)
_UNNAMED: Final = Column(place=1)
"""Under an empty header: the groups' headings, and the word of a total."""

_KINDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # The report writes what reduces the debt with a minus.
        "invoice": 1,
        "credit memo": 1,
        "payment": 1,
        "journal entry": 1,
    }
)
_TOTALS: Final = Totals(
    column=_UNNAMED, grand=("TOTAL",), each=("Total for ",)
)
_FOOTERS: Final = (
    "Monday, ",
    "Tuesday, ",
    "Wednesday, ",
    "Thursday, ",
    "Friday, ",
    "Saturday, ",
    "Sunday, ",
)
_AS_OF: Final = StatedIn(begins="As of ")


def quickbooks_open_invoices(
    currency: str = "USD", /, *, file: str = "open_invoices.csv"
) -> CsvMapping:
    """
    Map the report *Open Invoices* of QuickBooks Online, in US form.

    The customer stands above the rows in a column without a name, and
    identifies the client; each customer has a total, and all of them. The
    balances hold for the date in the line ``As of``. QuickBooks has no
    matters.

    Args:
        currency: ISO 4217 code of its amounts.
        file: Name of the export in the folder.

    """
    return CsvMapping(
        currency=currency,
        invoices=InvoiceColumns(
            file=file,
            number="Num",
            client=CarriedDown(column=_UNNAMED),
            matter=Constant("general"),
            issued_on="Date",
            due_on="Due Date",
            balance="Open Balance",
            kind="Transaction Type",
            kinds=_KINDS,
            totals=_TOTALS,
            footers=_FOOTERS,
        ),
        clients=None,
        matters=None,
        written=_DOLLARS,
        stated_at=_AS_OF,
    )


def quickbooks_ageing(
    currency: str = "USD", /, *, file: str = "ar_ageing_detail.csv"
) -> CsvMapping:
    """
    Map the report *A/R Aging Detail* of QuickBooks Online, in US form.

    Rows are grouped by their age, and each has its customer, who identifies
    the client. The balances hold for the date in the line ``As of``.

    Args:
        currency: ISO 4217 code of its amounts.
        file: Name of the export in the folder.

    """
    return CsvMapping(
        currency=currency,
        invoices=InvoiceColumns(
            file=file,
            number="Num",
            client="Customer",
            matter=Constant("general"),
            issued_on="Date",
            due_on="Due Date",
            balance="Open Balance",
            total="Amount",
            kind="Transaction Type",
            kinds=_KINDS,
            totals=_TOTALS,
            footers=_FOOTERS,
        ),
        clients=None,
        matters=None,
        written=_DOLLARS,
        stated_at=_AS_OF,
    )


def ledes_1998b(
    currency: str = "USD", /, *, file: str = "invoices.txt"
) -> CsvMapping:
    """
    Map a file in the format LEDES 1998B.

    Its lines are line items: those of an invoice are added up and must be
    what ``INVOICE_TOTAL`` says on each. LEDES says what was billed and not
    what is still open, so use it only for invoices of which nothing was paid.

    Args:
        currency: ISO 4217 code of its amounts.
        file: Name of the file in the folder.

    Source:
        LEDES Oversight Committee, LEDES 1998B format.

    """
    return CsvMapping(
        currency=currency,
        invoices=InvoiceColumns(
            file=file,
            number="INVOICE_NUMBER",
            client="CLIENT_ID",
            matter="LAW_FIRM_MATTER_ID",
            issued_on="INVOICE_DATE",
            balance="LINE_ITEM_TOTAL",
            line_items=LineItems(adds_up_to="INVOICE_TOTAL"),
        ),
        clients=None,
        matters=None,
        written=CsvFormat(
            delimiter="|", date="YYYYMMDD", quoted=False, line_end="[]"
        ),
    )


PROFILES: Final[Mapping[str, Callable[[str], CsvMapping]]] = MappingProxyType(
    {
        "quickbooks-open-invoices": quickbooks_open_invoices,
        "quickbooks-ageing": quickbooks_ageing,
        "ledes-1998b": ledes_1998b,
    }
)
"""By name: a function from the currency to the mapping."""
