"""
What is where in a folder of exports, and how it is written.

Holds: `CsvMapping` and its parts. Imports: `cells` and the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

import attrs

from autopay_core._checks import (
    a,
    a_number,
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
    "FILE_TIME",
    "CarriedDown",
    "ClientColumns",
    "Column",
    "ColumnName",
    "Constant",
    "CsvMapping",
    "Hold",
    "InvoiceColumns",
    "LineItems",
    "MatterColumns",
    "StatedBy",
    "StatedIn",
    "Sum",
    "Totals",
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
_KINDS: Final = MappingProxyType(
    {"invoice": 1, "credit memo": -1, "credit note": -1}
)
_ACCOUNTS: Final = MappingProxyType({each.value: each for each in AccountKind})


@final
@attrs.frozen(kw_only=True)
class Column:
    """
    A column that is written otherwise than the rest, or has no name.

    Where a mapping takes the name of a column it takes this as well.

    Attributes:
        name: Its name in the header.
        place: Its place from 1, instead, for one whose header is empty.
        written: How its cells are written; None as the mapping says.

    """

    name: str | None = attrs.field(default=None, validator=_optional)
    place: int | None = attrs.field(
        default=None, validator=optional(a_number(1, 10_000))
    )
    written: CsvFormat | None = attrs.field(
        default=None, validator=optional(a(CsvFormat))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a column that is nowhere, or in two places."""
        if (self.name is None) == (self.place is None):
            raise InvalidValueError(
                "a column has a name, or else a place",
                code="FieldMissing",
                path="name",
            )

    @property
    def key(self) -> str | int:
        """What a row is asked for."""
        if self.name is not None:
            return self.name
        assert self.place is not None
        return self.place


ColumnName: TypeAlias = str | Column


def key_of(column: ColumnName) -> str | int:
    """Return what a row is asked for."""
    return column.key if isinstance(column, Column) else column


def _a_column(instance: object, field: Field, value: object) -> None:
    if not isinstance(value, Column):
        _column(instance, field, value)


_maybe_column: Final = optional(_a_column)


def _lines_of(_: object, field: Field, value: object) -> None:
    check_type(value, tuple, field.name)
    for each in cast("tuple[object, ...]", value):
        check_text(each, field.name, most=128, empty=False)


@attrs.frozen(kw_only=True)
class Export:
    """One file of the folder, and where its columns are."""

    file: str = attrs.field(validator=_file)

    @property
    def mapped(self) -> tuple[ColumnName, ...]:
        """Every column that is named here, each as it is named."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the export must have, each once."""
        return tuple(each for each in self.keys if isinstance(each, str))

    @property
    def keys(self) -> tuple[str | int, ...]:
        """The columns that the export must have, by name or place."""
        return tuple(dict.fromkeys(map(key_of, self.mapped)))


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
class CarriedDown:
    """
    A client that stands once, above or beside its first row, and holds below.

    Where a row says nothing under the column, the client of the rows above
    is meant; a row that says nothing else only names it. A total of it ends
    it.

    Attributes:
        column: Where it stands.

    """

    column: ColumnName = attrs.field(validator=_a_column)


@final
@attrs.frozen
class Sum:
    """
    An amount that is the sum of several columns, such as those of an ageing.

    Attributes:
        plus: What is added.
        minus: What is taken off, such as what was paid.

    """

    plus: tuple[ColumnName, ...] = attrs.field()
    minus: tuple[ColumnName, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse a sum of nothing."""
        for name in ("plus", "minus"):
            check_type(getattr(self, name), tuple, name)
            for each in getattr(self, name):
                if not isinstance(each, Column):
                    check_text(each, name, most=128, empty=False)
        if not self.plus:
            raise InvalidValueError(
                "a sum has a part", code="FieldMissing", path="plus"
            )


@final
@attrs.frozen(kw_only=True)
class Totals:
    """
    Rows that state what others add up to; they are checked (B3).

    Attributes:
        column: Where the word stands.
        grand: What is written there for the total of all rows, whole.
        each: What it begins with for the total of a group, before the text
            of the group's heading, such as ``"Total for "``.

    """

    column: ColumnName = attrs.field(validator=_a_column)
    grand: tuple[str, ...] = attrs.field(
        default=("Total",), validator=_lines_of
    )
    each: tuple[str, ...] = attrs.field(default=(), validator=_lines_of)


@final
@attrs.frozen(kw_only=True)
class LineItems:
    """
    Rows are line items: those of one invoice are added up.

    Attributes:
        adds_up_to: Where each line says what all lines of its invoice are
            together, if there is such a column; an invoice whose lines are
            not is left out.

    """

    adds_up_to: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )


@final
@attrs.frozen(kw_only=True)
class InvoiceColumns(Export):
    """
    Where the open invoices are, and under which columns.

    A column is its name in the header, or a `Column`.

    Attributes:
        file: Name of the export in the folder.
        number: Invoice number.
        client: Client number, `CarriedDown` if it stands once for several
            rows; None takes the client of the matter from the matters'
            export.
        matter: Matter number, or a `Constant` for firms without matters.
        issued_on: Invoice date.
        balance: What is outstanding, or a `Sum` of columns.
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
        kind: A word for what a row is (invoice, credit memo), if exported.
        kinds: Its sign, regardless of case: 1 for what is owed, -1 for a
            credit that is written as a positive amount, 0 for a row that is
            passed over; any other word is refused.
        totals: Rows that state what others add up to.
        line_items: Whether several rows are one invoice. Without it two rows
            of one invoice that differ anywhere keep it back.
        header_line: On which line the header stands; None finds it: the first
            row of 20 that holds every column once.
        footers: What rows begin with that say nothing about an invoice, such
            as the line of date and time under a report.

    """

    file: str = attrs.field(default="open_invoices.csv", validator=_file)
    number: ColumnName = attrs.field(default="Invoice", validator=_a_column)
    client: ColumnName | CarriedDown | None = "Client"
    matter: ColumnName | Constant = "Matter"
    issued_on: ColumnName = attrs.field(
        default="Invoice Date", validator=_a_column
    )
    balance: ColumnName | Sum = "Balance"
    due_on: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    total: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    currency: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    status: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    statuses: Mapping[str, InvoiceStatus] = _words(_STATUSES, InvoiceStatus)
    account: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    accounts: Mapping[str, AccountKind] = _words(_ACCOUNTS, AccountKind)
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))
    kind: ColumnName | None = attrs.field(
        default=None, validator=_maybe_column
    )
    kinds: Mapping[str, int] = _words(_KINDS, int)
    totals: Totals | None = attrs.field(
        default=None, validator=optional(a(Totals))
    )
    line_items: LineItems | None = attrs.field(
        default=None, validator=optional(a(LineItems))
    )
    header_line: int | None = attrs.field(
        default=None, validator=optional(a_number(1, 1_000_000))
    )
    footers: tuple[str, ...] = attrs.field(default=(), validator=_lines_of)

    def __attrs_post_init__(self) -> None:
        """Check what may be one of several, and what depends on it."""
        for name, kinds in (
            ("client", (Column, CarriedDown)),
            ("matter", (Column, Constant)),
            ("balance", (Column, Sum)),
        ):
            value = getattr(self, name)
            if value is None and name == "client":
                continue
            if not isinstance(value, kinds):
                check_text(value, name, most=128, empty=False)
        if isinstance(self.matter, Constant) and self.client is None:
            raise InvalidValueError(
                "without a matter there is no client of the matter",
                code="FieldMissing",
                path="client",
            )
        if not set(self.kinds.values()) <= {1, 0, -1}:
            raise InvalidValueError(
                "a sign is 1, -1 or 0", code="OutOfRange", path="kinds"
            )

    @property
    def amounts(self) -> Sum:
        """The columns of the balance."""
        if isinstance(self.balance, Sum):
            return self.balance
        return Sum((self.balance,))

    @property
    def saying(self) -> tuple[ColumnName, ...]:
        """The columns of which one at least is filled if a row is one."""
        named = (
            self.number,
            None if isinstance(self.client, CarriedDown) else self.client,
            None if isinstance(self.matter, Constant) else self.matter,
            self.issued_on,
            *self.amounts.plus,
            *self.amounts.minus,
            self.due_on,
            self.total,
            self.currency,
            self.status,
            self.account,
            *(each.column for each in self.holds),
            self.kind,
        )
        return tuple(each for each in named if each is not None)

    @property
    def mapped(self) -> tuple[ColumnName, ...]:
        """Every column that is named here."""
        others = (
            self.client.column
            if isinstance(self.client, CarriedDown)
            else None,
            None if self.totals is None else self.totals.column,
            None if self.line_items is None else self.line_items.adds_up_to,
        )
        return (
            *self.saying,
            *(each for each in others if each is not None),
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

    @property
    def mapped(self) -> tuple[ColumnName, ...]:
        """Every column that is named here."""
        return self.number, self.name


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

    @property
    def mapped(self) -> tuple[ColumnName, ...]:
        """Every column that is named here."""
        return self.number, self.client, self.description


@final
class StatedBy(Enum):
    """What says for when the balances hold (B0)."""

    FILE_TIME = "file_time"
    """The time at which the file was last written."""


FILE_TIME: Final = StatedBy.FILE_TIME
"""The file's own time says for when its balances hold (B0)."""


@final
@attrs.frozen(kw_only=True)
class StatedIn:
    """
    A line of the report that says for when its balances hold (B0).

    It stands above the header or among the footers. A date without a time
    means the first instant that it is that date anywhere, so that what was
    posted on the day itself still counts as open.

    Attributes:
        begins: What the line begins with, such as ``"As of "``; the date is
            the rest.
        date: How the date is written, as in `CsvFormat.date`.

    """

    begins: str = attrs.field(validator=a_text(most=128, empty=False))
    date: str = "MMMM D, YYYY"

    def __attrs_post_init__(self) -> None:
        """Check how the date is written."""
        CsvFormat(date=self.date)


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
        stated_at: What says for when the balances hold: `FILE_TIME`, a line
            of the report, or None for the moment of the call (B0).
        may_be_empty: Whether a file of open invoices without a row means that
            nothing is open; else it is an incomplete read (B3).

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
    stated_at: StatedBy | StatedIn | None = None
    may_be_empty: bool = attrs.field(default=False, validator=a(bool))

    def __attrs_post_init__(self) -> None:
        """Check the currency, and that a client can be found."""
        check_currency(self.currency)
        if self.stated_at is not None and not isinstance(
            self.stated_at, StatedIn
        ):
            check_type(self.stated_at, StatedBy, "stated_at")
        if self.invoices.client is None and self.matters is None:
            raise InvalidValueError(
                "the client of an invoice stands in no export",
                code="FieldMissing",
                path="invoices.client",
            )
