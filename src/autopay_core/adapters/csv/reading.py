"""
From the rows of an export to invoices, and what could not be read (L5, B3).

Holds: `read_invoices` and `InvoicesRead`; `owners_of`, `id_of`. Imports:
`cells`, `mapping` and the values. One row that cannot be read keeps its own
invoice back; a file that contradicts what its mapping says of it is refused
whole, because then every row is in doubt. Long, since each refusal names the
file, the line, the column and a way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, NoReturn, final

import attrs

from autopay_core._checks import check_new_id
from autopay_core.adapters.csv.cells import (
    Cell,
    CsvFormat,
    Row,
    Table,
    fold,
    read_table,
)
from autopay_core.adapters.csv.mapping import (
    CarriedDown,
    Column,
    ColumnName,
    Constant,
    CsvMapping,
    InvoiceColumns,
    MatterColumns,
    StatedIn,
    key_of,
)
from autopay_core.errors import (
    FormatError,
    IncompleteReadError,
    InvalidValueError,
)
from autopay_core.invoices import Invoice, InvoiceStatus, UnreadableRow
from autopay_core.money import Money, check_currency

__all__ = [
    "InvoicesRead",
    "Note",
    "id_of",
    "owners_of",
    "read_invoices",
]

_MONTHS: Final = 12
_OF_THE_FILE: Final = frozenset({"LineItems"})
"""Refusals of a row that put every row in doubt."""

_FIRST_HOURS: Final = timedelta(hours=14)
"""So long before midnight in UTC it is a date somewhere."""


class Note(NamedTuple):
    """
    How one row was read, for people.

    Attributes:
        line: Its first line in the file.
        taken_as: ``invoice``, ``left out``, ``heading``, ``total``,
            ``footer``, ``passed over`` or ``again``.
        what: The invoice, or what it says.

    """

    line: int
    taken_as: str
    what: Invoice | UnreadableRow | str


@final
@attrs.frozen(kw_only=True)
class InvoicesRead:
    """
    What an export of open invoices says.

    Attributes:
        invoices: Those that could be read whole, in the file's order.
        unreadable: The rows that could not, and those of one number that
            contradict each other.
        rows: How many rows are about an invoice.
        header: The header's line.
        stated_in: For when the balances hold, if a line of the file says so.

    """

    invoices: Sequence[Invoice]
    unreadable: Sequence[UnreadableRow]
    rows: int
    header: int
    stated_in: datetime | None


def read_invoices(
    data: bytes,
    mapping: CsvMapping,
    owners: Mapping[str, str | None],
    /,
    *,
    note: Callable[[Note], None] | None = None,
) -> InvoicesRead:
    """
    Read an export of open invoices by its mapping.

    Args:
        data: The file's content.
        mapping: What is where.
        owners: The client of each matter, for a mapping without a column for
            it; None for one of two.
        note: Is told how each row was read.

    Raises:
        FormatError: The file is not as the mapping says: as `read_table`; a
            row after the grand total (``RowAfterTotal``), line items where
            there should be none (``LineItems``), day and month the other way
            round (``DateOrder``), no line that says for when the balances
            hold (``StatedAtMissing``).
        IncompleteReadError: Rows do not add up to their total
            (``ControlTotal``).

    """
    columns = mapping.invoices
    table = read_table(
        data,
        columns.file,
        columns.keys,
        mapping.written,
        header_line=columns.header_line,
    )
    return _Reader(mapping, owners, table, note or _silent).read()


def _silent(_: Note) -> None:
    """Tell nobody."""


def id_of(cell: Cell) -> str:
    """Return a cell as an identifier."""

    def checked(text: str) -> str:
        check_new_id(text, "")
        return text

    return cell.read(checked)


def owners_of(table: Table, columns: MatterColumns) -> dict[str, str | None]:
    """Return the client of each matter; None where rows contradict."""
    owners: dict[str, str | None] = {}
    for row in table:
        try:
            matter, client = (
                id_of(row[columns.number]),
                id_of(row[columns.client]),
            )
        except InvalidValueError:
            # Its invoices are of a matter that is nowhere.
            continue
        if owners.setdefault(matter, client) != client:
            owners[matter] = None
    return owners


@final
@attrs.define
class _Group:
    """The rows of one number so far."""

    invoice: Invoice
    row: Row
    stated: Money | None = None


@final
@attrs.define
class _Sums:
    """What the rows since a heading, or since the start, add up to."""

    minor: dict[str, int] = attrs.field(factory=dict[str, int])
    is_known: bool = True

    def add(self, amount: Money) -> None:
        at = amount.currency
        self.minor[at] = self.minor.get(at, 0) + amount.amount_minor


@final
class _Reader:
    """Goes over the rows once; what it knows of them so far is here."""

    def __init__(
        self,
        mapping: CsvMapping,
        owners: Mapping[str, str | None],
        table: Table,
        note: Callable[[Note], None],
    ) -> None:
        self._mapping = mapping
        self._columns = mapping.invoices
        self._owners = owners
        self._table = table
        self._note = note
        # Worked out once, not for each row.
        self._saying = tuple(map(key_of, mapping.invoices.saying))
        self._amounts = mapping.invoices.amounts
        self._groups: dict[str, _Group] = {}
        self._spoiled: set[str] = set()
        self._unreadable: list[UnreadableRow] = []
        self._rows = 0
        self._client: str | None = None  # carried down
        self._heading = ""
        self._since_heading = _Sums()
        self._since_start = _Sums()
        self._is_over = False
        self._stated: datetime | None = None
        # Cells that only make sense with day and month the other way round,
        # and columns in which the right way is proven.
        self._swapped: dict[str | int, Cell] = {}
        self._proven: set[str | int] = set()

    def read(self) -> InvoicesRead:
        for _, cells in self._table.title:
            self._look_for_moment(cells)
        rows = list(self._table)
        for place, row in enumerate(rows, start=1):
            if self._is_framework(row, is_last=place == len(rows)):
                continue
            self._rows += 1
            self._read_row(row)
        self._check_date_order()
        if isinstance(self._mapping.stated_at, StatedIn) and (
            self._stated is None
        ):
            raise FormatError(
                "no line says for when the balances hold: none begins with "
                f"{self._mapping.stated_at.begins!r} and a date as "
                f"{self._mapping.stated_at.date}",
                code="StatedAtMissing",
                path=f"{self._columns.file}:1",
            )
        return InvoicesRead(
            invoices=tuple(self._sound()),
            unreadable=tuple(self._unreadable),
            rows=self._rows,
            header=self._table.header,
            stated_in=self._stated,
        )

    # -- Rows that are no invoices --------------------------------------------

    def _is_framework(self, row: Row, *, is_last: bool) -> bool:
        """Tell whether *row* belongs to the report and not to an invoice."""
        columns = self._columns
        if row.is_blank:
            return True
        # A line of the report may hold a comma that is not in quotes.
        if (row.only is not None or not row.is_whole) and self._is_footer(row):
            return True
        if not row.is_whole:
            if is_last:
                raise FormatError(
                    f"{len(row.cells)} cells under a header of "
                    f"{self._table.width}, and the file ends; it was cut "
                    "off: export it again",
                    code="RowLength",
                    path=row.where,
                )
            return False
        if columns.totals is not None and self._is_total(row):
            return True
        if any(row.text(each).strip() for each in self._saying):
            if self._is_over:
                raise FormatError(
                    "a row after the total of all rows; the mapping says "
                    "that nothing follows it",
                    code="RowAfterTotal",
                    path=row.where,
                )
            return False
        self._take_heading(row)
        return True

    def _is_footer(self, row: Row) -> bool:
        self._look_for_moment(row.cells)
        shown = self._line(row.cells)
        stated = self._mapping.stated_at
        begins = [*self._columns.footers]
        if isinstance(stated, StatedIn):
            begins.append(stated.begins)
        if any(fold(shown).startswith(fold(each)) for each in begins):
            self._note(Note(row.line, "footer", shown))
            return True
        return False

    def _line(self, cells: list[str]) -> str:
        """Return a line of the report as it is written."""
        comma = self._mapping.written.delimiter
        return comma.join(cells).strip(f"{comma} ")

    def _take_heading(self, row: Row) -> None:
        """Take what heads the rows below; it may be their client."""
        client = self._columns.client
        self._heading = row.only or ""
        self._since_heading = _Sums()
        if isinstance(client, CarriedDown):
            cell = row[key_of(client.column)]
            if cell.text.strip():
                self._heading = cell.text.strip()
                self._client = self._carried(cell)
        self._note(Note(row.line, "heading", self._heading))

    def _carried(self, cell: Cell) -> str | None:
        """Return the client that a cell names; None leaves it in doubt."""
        try:
            return id_of(cell)
        except InvalidValueError:
            return None

    def _is_total(self, row: Row) -> bool:
        totals = self._columns.totals
        assert totals is not None
        word = fold(row[key_of(totals.column)].text)
        if word and word in {fold(each) for each in totals.grand}:
            self._check_total(row, self._since_start)
            self._is_over = True
            self._note(Note(row.line, "total", "of all rows"))
            return True
        for begin in map(fold, totals.each):
            if not word.startswith(begin):
                continue
            # Groups within groups: only the innermost is known by its rows.
            if word.removeprefix(begin).strip() == fold(self._heading):
                self._check_total(row, self._since_heading)
            self._client = None
            self._heading = ""
            self._since_heading = _Sums()
            self._note(Note(row.line, "total", word))
            return True
        return False

    def _check_total(self, row: Row, sums: _Sums) -> None:
        """Refuse a total that is not what the rows above add up to (B3)."""
        currency = self._mapping.currency
        stated = self._amount(row, currency, kind=1)
        if not sums.is_known or sums.minor.keys() - {currency}:
            return
        added = sums.minor.get(currency, 0)
        if stated.amount_minor != added:
            found = Money(amount_minor=added, currency=currency)
            raise IncompleteReadError(
                f"{row.where}: the file states {stated} in all, its rows add "
                f"up to {found}; rows are missing or there twice: export it "
                "again",
                code="ControlTotal",
            )

    def _look_for_moment(self, cells: list[str]) -> None:
        """Take the moment of the balances, if a line states it (B0)."""
        stated = self._mapping.stated_at
        if not isinstance(stated, StatedIn):
            return
        written = CsvFormat(
            date=stated.date, months=self._mapping.written.months
        )
        for text in (*map(str.strip, cells), self._line(cells)):
            if not text.startswith(stated.begins):
                continue
            try:
                on = written.read_date(
                    text.removeprefix(stated.begins).strip()
                )
            except InvalidValueError:
                continue
            self._stated = datetime.combine(on, time(), UTC) - _FIRST_HOURS

    # -- Rows that are --------------------------------------------------------

    def _read_row(self, row: Row) -> None:
        known: dict[str, str | None] = dict.fromkeys(
            ("number", "client", "matter")
        )
        try:
            self._take_row(row, known)
        except FormatError as error:
            if error.code in _OF_THE_FILE:
                raise
            self._leave_out(row, known, error)

    def _take_row(self, row: Row, known: dict[str, str | None]) -> None:
        if not row.is_whole:
            raise FormatError(
                f"{len(row.cells)} cells under a header of "
                f"{self._table.width}; is an amount with a comma not in "
                "quotes?",
                code="RowLength",
                path=row.where,
            )
        doubt = self._identify(row, known)
        sign = self._sign(row)
        if sign == 0:
            self._note(Note(row.line, "passed over", self._kind_of(row)))
        elif doubt is not None:
            raise doubt
        else:
            self._take(row, self._invoice(row, known, sign))

    def _identify(
        self, row: Row, known: dict[str, str | None]
    ) -> FormatError | None:
        """Read what says whose a row is, as far as possible."""
        columns = self._columns
        doubt: FormatError | None = None
        readers: dict[str, Callable[[Row], str]] = {
            "number": lambda row: id_of(row[key_of(columns.number)]),
            "matter": self._matter_of,
            "client": self._client_of,
        }
        for name, reader in readers.items():
            try:
                known[name] = reader(row)
            except FormatError as error:
                # The client's is the worst of them.
                doubt = error if doubt is None or name == "client" else doubt
        return doubt

    def _client_of(self, row: Row) -> str:
        columns = self._columns
        client = columns.client
        if isinstance(client, CarriedDown):
            cell = row[key_of(client.column)]
            if cell.text.strip():
                self._client = self._carried(cell)
            if self._client is None:
                raise cell.refuse(
                    "no client stands in this row or above it",
                    "ClientMissing",
                )
            return self._client
        if client is not None:
            return id_of(row[key_of(client)])
        assert not isinstance(columns.matter, Constant)
        cell = row[key_of(columns.matter)]
        matter = id_of(cell)
        owner = self._owners.get(matter)
        if owner is None:
            message, code = (
                ("the matters' export has two clients for it", "DuplicateKey")
                if matter in self._owners
                else ("the matter is not among the matters", "UnknownMatter")
            )
            raise cell.refuse(message, code)
        return owner

    def _matter_of(self, row: Row) -> str:
        matter = self._columns.matter
        if isinstance(matter, Constant):
            return matter.text
        return id_of(row[key_of(matter)])

    def _leave_out(
        self, row: Row, known: Mapping[str, str | None], error: FormatError
    ) -> None:
        number = known["number"]
        lost = UnreadableRow(
            number=number,
            client=known["client"],
            matter=known["matter"],
            code=error.code,
            where=error.path,
            detail=f"{error.message}; it says {error.safe_value}",
        )
        if number is not None:
            self._spoiled.add(number)
        self._unreadable.append(lost)
        self._since_start.is_known = self._since_heading.is_known = False
        self._note(Note(row.line, "left out", lost))

    def _take(self, row: Row, invoice: Invoice) -> None:
        """Add an invoice, or a line item to the one of its number."""
        items = self._columns.line_items
        stated = None
        if items is not None and items.adds_up_to is not None:
            stated = self._money(
                row, items.adds_up_to, invoice.balance.currency
            )
        group = self._groups.get(invoice.number)
        if group is None:
            self._groups[invoice.number] = _Group(invoice, row, stated)
            self._add_up(row, invoice.balance, invoice)
            return
        known = group.invoice
        if items is None:
            if group.row.cells == row.cells:
                self._note(Note(row.line, "again", invoice.number))
                return
            if known == invoice:
                raise row[key_of(self._columns.number)].refuse(
                    "the number is there twice, in rows that differ only "
                    "where the mapping does not look: if they are line "
                    "items, say line_items=LineItems() in the mapping",
                    "LineItems",
                )
            self._contradict(group, row)
        if known.balance.currency != invoice.balance.currency:
            self._contradict(group, row)
        whole = attrs.evolve(
            known,
            balance=known.balance + invoice.balance,
            matters=_with_matter(known, invoice.matter),
        )
        alike = attrs.evolve(
            invoice,
            balance=whole.balance,
            matter=known.matter,
            matters=whole.matters,
        )
        if alike != whole or stated != group.stated:
            self._contradict(group, row)
        group.invoice = whole
        self._add_up(row, invoice.balance, whole)

    def _add_up(self, row: Row, amount: Money, shown: Invoice) -> None:
        self._since_start.add(amount)
        self._since_heading.add(amount)
        self._note(Note(row.line, "invoice", shown))

    def _contradict(self, group: _Group, row: Row) -> NoReturn:
        """Leave out both rows of one number, each for its own client."""
        known = group.invoice
        column = key_of(self._columns.number)
        if known.number not in self._spoiled:
            self._leave_out(
                group.row,
                {
                    "number": known.number,
                    "client": known.client,
                    "matter": known.matter,
                },
                _contradiction(group.row[column]),
            )
        raise _contradiction(row[column])

    def _sound(self) -> Iterator[Invoice]:
        """Return the invoices of which every row was read."""
        for number, group in self._groups.items():
            if number in self._spoiled:
                continue
            invoice = group.invoice
            if group.stated is not None and group.stated != invoice.balance:
                items = self._columns.line_items
                assert items is not None
                assert items.adds_up_to is not None
                self._leave_out(
                    group.row,
                    {
                        "number": number,
                        "client": invoice.client,
                        "matter": invoice.matter,
                    },
                    group.row[key_of(items.adds_up_to)].refuse(
                        "the lines of the invoice add up to "
                        f"{invoice.balance}; some are missing or there twice",
                        "ControlTotal",
                    ),
                )
                continue
            yield invoice

    # -- Cells ----------------------------------------------------------------

    def _written(self, column: ColumnName) -> CsvFormat:
        if isinstance(column, Column) and column.written is not None:
            return column.written
        return self._mapping.written

    def _money(self, row: Row, column: ColumnName, currency: str) -> Money:
        written = self._written(column)
        return row[key_of(column)].read(
            lambda text: written.read_amount(text, currency)
        )

    def _amount(self, row: Row, currency: str, kind: int) -> Money:
        """Return the balance: one column, or a sum of several."""
        amounts = self._amounts
        found = Money.total(
            (
                *(self._money(row, each, currency) for each in amounts.plus),
                *(-self._money(row, each, currency) for each in amounts.minus),
            ),
            currency,
        )
        if kind >= 0:
            return found
        if found.is_negative:
            # Twice turned round, a credit would be owed.
            raise row[key_of(amounts.plus[0])].refuse(
                "the kind says that it is a credit and so does the sign; say "
                "in the mapping that the kind is 1",
                "SignConflict",
            )
        return -found

    def _date(self, row: Row, column: ColumnName) -> date:
        written = self._written(column)
        cell = row[key_of(column)]
        key = key_of(column)
        other = written.swapped
        try:
            found = cell.read(written.read_date)
        except FormatError:
            if other is not None and key not in self._swapped:
                try:
                    other.read_date(cell.text)
                except InvalidValueError:
                    pass
                else:
                    self._swapped[key] = cell
            raise
        if other is not None and found.day > _MONTHS:
            self._proven.add(key)
        return found

    def _check_date_order(self) -> None:
        """Refuse a file whose days are months: the others are misread too."""
        for key, cell in self._swapped.items():
            if key not in self._proven:
                raise cell.refuse(
                    "day and month are the other way round than the mapping "
                    "says, so that other dates may be read wrongly; mend "
                    "date= in the mapping",
                    "DateOrder",
                )

    def _kind_of(self, row: Row) -> str:
        kind = self._columns.kind
        return "" if kind is None else row[key_of(kind)].shown

    def _sign(self, row: Row) -> int:
        kind = self._columns.kind
        if kind is None:
            return 1
        return row[key_of(kind)].word(self._columns.kinds, "kind of row")

    def _invoice(
        self, row: Row, known: Mapping[str, str | None], sign: int
    ) -> Invoice:
        columns = self._columns
        currency = self._mapping.currency
        if columns.currency is not None:
            currency = row[key_of(columns.currency)].read(_currency)
        values: dict[str, Any] = {
            "issued_on": self._date(row, columns.issued_on),
            "balance": self._amount(row, currency, sign),
        }
        # An empty cell says that there is none.
        if columns.due_on is not None and row[key_of(columns.due_on)].text:
            values["due_on"] = self._date(row, columns.due_on)
        if columns.total is not None and row[key_of(columns.total)].text:
            values["total"] = self._money(row, columns.total, currency)
        if columns.account is not None:
            values["account"] = row[key_of(columns.account)].word(
                columns.accounts, "account"
            )
        try:
            return Invoice(**known, status=_status(row, columns), **values)  # type: ignore[arg-type]
        except FormatError:
            raise
        except InvalidValueError as error:
            # What the cells are alone they may not be together.
            place: object = getattr(columns, error.path, None)
            column = place if isinstance(place, (str, Column)) else None
            cell = row[key_of(column or columns.number)]
            raise cell.refuse(error.message, error.code) from error


def _contradiction(cell: Cell) -> FormatError:
    return cell.refuse(
        "the number is there with another content; say line_items= in the "
        "mapping if rows are line items",
        "ConflictingInvoice",
    )


def _with_matter(invoice: Invoice, matter: str) -> tuple[str, ...]:
    """Return the matters of a bill with one more that a line names (A1)."""
    if matter in invoice.every_matter:
        return invoice.matters
    return (*invoice.every_matter, matter)


def _currency(text: str) -> str:
    check_currency(text)
    return text


def _status(row: Row, columns: InvoiceColumns) -> InvoiceStatus:
    """Return the status: what the status says, unless that is open."""
    status = InvoiceStatus.OPEN
    if columns.status is not None:
        word = fold(row[key_of(columns.status)].text)
        status = columns.statuses.get(word, InvoiceStatus.UNKNOWN)
    for hold in columns.holds:
        held = row[hold.column].word(hold.words, "yes or no")
        if held and status is InvoiceStatus.OPEN:
            status = hold.status
    return status
