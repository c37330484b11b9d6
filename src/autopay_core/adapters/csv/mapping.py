"""
What is where in a folder of exports, and how it is written.

Holds: `CsvMapping` and its parts. Imports: `cells` and the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from autopay_core._checks import (
    a,
    a_text,
    an_id,
    check_text,
    check_type,
    optional,
    tuple_of,
)
from autopay_core.adapters.csv.cells import CsvFormat, fold
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import InvoiceStatus
from autopay_core.money import check_currency
from autopay_core.references import AccountKind

if TYPE_CHECKING:
    from autopay_core._checks import Field

__all__ = [
    "ClientColumns",
    "Constant",
    "CsvMapping",
    "Hold",
    "InvoiceColumns",
    "MatterColumns",
]

# -- Checks of one field -----------------------------------------------------

_column: Final = a_text(most=128, empty=False)
_optional: Final = optional(_column)


def _file(_: object, field: Field, value: str) -> None:
    """Refuse a name that could lead out of the folder."""
    _column(_, field, value)
    if value in {".", ".."} or re.search(r"[/\\:]", value):
        raise InvalidValueError(
            "expected the name of a file in the folder",
            code="FileName",
            path=field.name,
            value=value,
        )


def _words(words: Mapping[str, Any], kind: type[Any]) -> Any:  # noqa: ANN401 - as attrs.field
    """Make a field of words that are compared without case and blanks."""

    def check(_: object, field: Field, value: Mapping[str, object]) -> None:
        for word, meaning in value.items():
            check_type(meaning, kind, f"{field.name}[{word!r}]")

    return attrs.field(default=words, converter=_folded, validator=check)


def _folded(words: Mapping[str, Any]) -> Mapping[str, Any]:
    check_type(words, Mapping, "words")
    return MappingProxyType({fold(each): words[each] for each in words})


_YES_NO: Final = MappingProxyType({"yes": True, "no": False})
_STATUSES: Final = MappingProxyType(
    {each.value.replace("_", " "): each for each in InvoiceStatus}
)
_ACCOUNTS: Final = MappingProxyType({each.value: each for each in AccountKind})


@attrs.frozen(kw_only=True)
class Export:
    """One file of the folder; every text but its name is a column."""

    file: str = attrs.field(validator=_file)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the export must have, each once."""
        fields = attrs.fields(type(self))[1:]
        names = [getattr(self, each.name) for each in fields]
        names += [each.column for each in getattr(self, "holds", ())]
        return tuple(
            dict.fromkeys(each for each in names if isinstance(each, str))
        )


# -- The mapping -------------------------------------------------------------


@final
@attrs.frozen
class Constant:
    """
    The same value in every row, for a column that an export lacks.

    Attributes:
        text: The value, as a cell would hold it.

    """

    text: str = attrs.field(validator=an_id)


@final
@attrs.frozen(kw_only=True)
class Hold:
    """
    A yes/no column that keeps an invoice from being collected.

    Attributes:
        column: Its name.
        status: What a yes makes of an open invoice.
        words: What is written for yes and no, regardless of case; any other
            word is refused, an empty cell too unless it is among them.

    """

    column: str = attrs.field(validator=_column)
    status: InvoiceStatus = attrs.field(
        default=InvoiceStatus.ON_HOLD, validator=a(InvoiceStatus)
    )
    words: Mapping[str, bool] = _words(_YES_NO, bool)


@final
@attrs.frozen(kw_only=True)
class InvoiceColumns(Export):
    """
    Where the open invoices are, and under which columns.

    Attributes:
        file: Name of the export in the folder.
        number: Invoice number.
        client: Client number; None takes the client of the matter from the
            matters' export.
        matter: Matter number, or a `Constant` for firms without matters.
        issued_on: Invoice date.
        balance: What is outstanding.
        due_on: Due date, if there is one; its cell may be empty.
        total: What was billed, if it is exported; its cell may be empty.
        currency: ISO 4217 code, if it is exported; without it the mapping's.
        status: A word for the status, if it is exported; what is not among
            `statuses` is not collected (`InvoiceStatus.UNKNOWN`).
        statuses: Meaning of these words, regardless of case.
        account: A word for the account the money belongs to, if exported.
        accounts: Meaning of these words, regardless of case; any other is
            refused.
        holds: Yes/no columns that keep an invoice from being collected.

    """

    file: str = attrs.field(default="open_invoices.csv", validator=_file)
    number: str = attrs.field(default="Invoice", validator=_column)
    client: str | None = attrs.field(default="Client", validator=_optional)
    matter: str | Constant = "Matter"
    issued_on: str = attrs.field(default="Invoice Date", validator=_column)
    balance: str = attrs.field(default="Balance", validator=_column)
    due_on: str | None = attrs.field(default=None, validator=_optional)
    total: str | None = attrs.field(default=None, validator=_optional)
    currency: str | None = attrs.field(default=None, validator=_optional)
    status: str | None = attrs.field(default=None, validator=_optional)
    statuses: Mapping[str, InvoiceStatus] = _words(_STATUSES, InvoiceStatus)
    account: str | None = attrs.field(default=None, validator=_optional)
    accounts: Mapping[str, AccountKind] = _words(_ACCOUNTS, AccountKind)
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))

    def __attrs_post_init__(self) -> None:
        """Check the matter and what depends on it."""
        if not isinstance(self.matter, Constant):
            check_text(self.matter, "matter", most=128, empty=False)
        elif self.client is None:
            raise InvalidValueError(
                "without a matter there is no client of the matter",
                code="FieldMissing",
                path="client",
            )


@final
@attrs.frozen(kw_only=True)
class ClientColumns(Export):
    """
    Where the clients are, and under which columns.

    Attributes:
        file: Name of the export in the folder.
        number: Client number.
        name: For people, and for the search by client name.

    """

    file: str = attrs.field(default="clients.csv", validator=_file)
    number: str = attrs.field(default="Client", validator=_column)
    name: str = attrs.field(default="Name", validator=_column)


@final
@attrs.frozen(kw_only=True)
class MatterColumns(Export):
    """
    Where the matters are, and under which columns.

    Attributes:
        file: Name of the export in the folder.
        number: Matter number.
        client: Number of the client that it belongs to.
        description: For people, and for the search by description.

    """

    file: str = attrs.field(default="matters.csv", validator=_file)
    number: str = attrs.field(default="Matter", validator=_column)
    client: str = attrs.field(default="Client", validator=_column)
    description: str = attrs.field(default="Description", validator=_column)


@final
@attrs.frozen(kw_only=True)
class CsvMapping:
    """
    What is where in a folder of exports, and how it is written.

    >>> mapping = CsvMapping(
    ...     currency="USD",
    ...     invoices=InvoiceColumns(
    ...         file="receivables.csv",
    ...         number="InvoiceNo",
    ...         client="Customer",
    ...         matter=Constant("general"),
    ...         issued_on="Date",
    ...         balance="Amount",
    ...         holds=(Hold(column="Disputed"),),
    ...     ),
    ...     clients=None,
    ...     matters=None,
    ...     written=CsvFormat(date="M/D/YYYY"),
    ... )
    >>> mapping.invoices.columns
    ('InvoiceNo', 'Customer', 'Date', 'Amount', 'Disputed')

    Attributes:
        currency: Of every amount without a currency column.
        invoices: The open invoices.
        clients: The clients; None if there is no such export.
        matters: The matters; None if there is no such export.
        written: How cells are written, in all of the files.

    Raises:
        InvalidValueError: A mapping that cannot be.

    """

    currency: str
    invoices: InvoiceColumns = attrs.field(
        factory=InvoiceColumns, validator=a(InvoiceColumns)
    )
    clients: ClientColumns | None = attrs.field(
        factory=ClientColumns, validator=optional(a(ClientColumns))
    )
    matters: MatterColumns | None = attrs.field(
        factory=MatterColumns, validator=optional(a(MatterColumns))
    )
    written: CsvFormat = attrs.field(factory=CsvFormat, validator=a(CsvFormat))

    def __attrs_post_init__(self) -> None:
        """Check the currency, and that a client can be found."""
        check_currency(self.currency)
        if self.invoices.client is None and self.matters is None:
            raise InvalidValueError(
                "the client of an invoice stands in no export",
                code="FieldMissing",
                path="invoices.client",
            )
