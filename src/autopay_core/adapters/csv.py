"""
Matter data from CSV exports, and posting records as CSV (MD-1 to MD-9, A6).

Holds: `CsvMatterData` with the mapping that says how a practice-management
system writes its exports, and `write_postings_csv`. Imports: the core and
`_csv_cells`. Nothing is guessed: a cell that cannot be read is refused with
file, line and column, such as ``open_invoices.csv:17:Balance``.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    check_each,
    check_id,
    check_text,
    check_type,
)
from autopay_core.adapters._csv_cells import (
    FILE_MAX,
    Cell,
    CsvFormat,
    Row,
    Table,
    fold,
    read_table,
)
from autopay_core.associations import InvoicePage, InvoiceQuery, visible
from autopay_core.errors import (
    FormatError,
    IncompleteReadError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.invoices import (
    Invoice,
    InvoiceStatus,
    SearchBy,
    SearchPage,
    SearchQuery,
    SearchResult,
)
from autopay_core.money import check_currency
from autopay_core.postings import Posting
from autopay_core.references import AccountKind

__all__ = [
    "ClientColumns",
    "Constant",
    "CsvFormat",
    "CsvMapping",
    "CsvMatterData",
    "Hold",
    "InvoiceColumns",
    "MatterColumns",
    "postings_csv",
    "write_postings_csv",
]


# -- The mapping -------------------------------------------------------------


@final
@attrs.frozen
class Constant:
    """
    The same value in every row, for a column that an export lacks.

    Attributes:
        text: The value, as a cell would hold it.

    """

    text: str

    def __attrs_post_init__(self) -> None:
        """Check the field."""
        check_id(self.text, "text")


def _frozen(words: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep words as they are compared: regardless of case and blanks."""
    check_type(words, Mapping, "words")
    return MappingProxyType({fold(each): words[each] for each in words})


_YES_NO: Final = MappingProxyType({"yes": True, "no": False})
_STATUSES: Final = MappingProxyType(
    {each.value.replace("_", " "): each for each in InvoiceStatus}
)
_ACCOUNTS: Final = MappingProxyType({each.value: each for each in AccountKind})


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

    column: str
    status: InvoiceStatus = InvoiceStatus.ON_HOLD
    words: Mapping[str, bool] = attrs.field(default=_YES_NO, converter=_frozen)

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        _check_column(self.column, "column")
        check_type(self.status, InvoiceStatus, "status")
        _check_words(self.words, bool, "words")


@final
@attrs.frozen(kw_only=True)
class InvoiceColumns:
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

    file: str = "open_invoices.csv"
    number: str = "Invoice"
    client: str | None = "Client"
    matter: str | Constant = "Matter"
    issued_on: str = "Invoice Date"
    balance: str = "Balance"
    due_on: str | None = None
    total: str | None = None
    currency: str | None = None
    status: str | None = None
    statuses: Mapping[str, InvoiceStatus] = attrs.field(
        default=_STATUSES, converter=_frozen
    )
    account: str | None = None
    accounts: Mapping[str, AccountKind] = attrs.field(
        default=_ACCOUNTS, converter=_frozen
    )
    holds: tuple[Hold, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        _check_file(self.file)
        check_each(self.holds, Hold, "holds")
        for name in ("number", "issued_on", "balance"):
            _check_column(getattr(self, name), name)
        for name in (
            "client",
            "due_on",
            "total",
            "currency",
            "status",
            "account",
        ):
            if getattr(self, name) is not None:
                _check_column(getattr(self, name), name)
        _check_words(self.statuses, InvoiceStatus, "statuses")
        _check_words(self.accounts, AccountKind, "accounts")
        if not isinstance(self.matter, Constant):
            _check_column(self.matter, "matter")
        elif self.client is None:
            raise InvalidValueError(
                "without a matter there is no client of the matter",
                code="FieldMissing",
                path="client",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the export must have."""
        return _present(
            self.number,
            self.client,
            self.matter,
            self.issued_on,
            self.balance,
            self.due_on,
            self.total,
            self.currency,
            self.status,
            self.account,
            *(each.column for each in self.holds),
        )


@final
@attrs.frozen(kw_only=True)
class ClientColumns:
    """
    Where the clients are, and under which columns.

    Attributes:
        file: Name of the export in the folder.
        number: Client number.
        name: For people, and for the search by client name.

    """

    file: str = "clients.csv"
    number: str = "Client"
    name: str = "Name"

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        _check_file(self.file)
        _check_column(self.number, "number")
        _check_column(self.name, "name")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the export must have."""
        return (self.number, self.name)


@final
@attrs.frozen(kw_only=True)
class MatterColumns:
    """
    Where the matters are, and under which columns.

    Attributes:
        file: Name of the export in the folder.
        number: Matter number.
        client: Number of the client that it belongs to.
        description: For people, and for the search by description.

    """

    file: str = "matters.csv"
    number: str = "Matter"
    client: str = "Client"
    description: str = "Description"

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        _check_file(self.file)
        for name in ("number", "client", "description"):
            _check_column(getattr(self, name), name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the export must have."""
        return (self.number, self.client, self.description)


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
    invoices: InvoiceColumns = attrs.field(factory=InvoiceColumns)
    clients: ClientColumns | None = attrs.field(factory=ClientColumns)
    matters: MatterColumns | None = attrs.field(factory=MatterColumns)
    written: CsvFormat = attrs.field(factory=CsvFormat)

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_currency(self.currency)
        check_type(self.invoices, InvoiceColumns, "invoices")
        if self.clients is not None:
            check_type(self.clients, ClientColumns, "clients")
        if self.matters is not None:
            check_type(self.matters, MatterColumns, "matters")
        check_type(self.written, CsvFormat, "written")
        if self.invoices.client is None and self.matters is None:
            raise InvalidValueError(
                "the client of an invoice stands in no export",
                code="FieldMissing",
                path="invoices.client",
            )


def _present(*columns: str | Constant | None) -> tuple[str, ...]:
    """Return the columns among these, each once."""
    names = (each for each in columns if isinstance(each, str))
    return tuple(dict.fromkeys(names))


def _check_column(value: object, path: str) -> None:
    check_text(value, path, most=128, empty=False)


def _check_file(value: object) -> None:
    """Refuse a name that could lead out of the folder."""
    check_text(value, "file", most=128, empty=False)
    assert isinstance(value, str)
    if value in {".", ".."} or re.search(r"[/\\:]", value):
        raise InvalidValueError(
            "expected the name of a file in the folder",
            code="FileName",
            path="file",
            value=value,
        )


def _check_words(
    words: Mapping[str, object], kind: type[Any], path: str
) -> None:
    for word, meaning in words.items():
        if not isinstance(meaning, kind):
            check_type(meaning, kind, f"{path}[{word!r}]")


# -- Matter data -------------------------------------------------------------


@final
@attrs.frozen
class _Invoices:
    """
    What was read of the open invoices.

    Attributes:
        by_client: The invoices of each client, in their order.
        errors: The first error in a row of each client.

    """

    by_client: Mapping[str, Sequence[Invoice]]
    errors: Mapping[str, InvalidValueError]


@final
@attrs.frozen
class _Directory:
    """What a search goes through."""

    known: Sequence[SearchResult]


@final
class CsvMatterData:
    """
    Matter data from a folder of CSV exports.

    The files are read again at every call, and understood again when their
    content has changed, so a balance is as new as the export (MD-4). Write a
    new export under another name and rename it: what changes while it is
    read is an `IncompleteReadError`.

    A cell that cannot be read rejects every read that could be about its row:
    those of the same client; all, if the client or the row itself is in
    doubt. A column's status that is not known is not collected.

    Args:
        folder: Where the exports are.
        mapping: What is where in them.
        as_of: Tells the firm's date; an invoice is open from its invoice
            date, and not returned before. None returns whatever is exported.
        page_size: Rows on a page.

    Raises:
        InvalidValueError: The mapping is none, or a page holds nothing.

    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        mapping: CsvMapping,
        *,
        as_of: Callable[[], date] | None = None,
        page_size: int = 10_000,
    ) -> None:
        check_type(mapping, CsvMapping, "mapping")
        check_type(page_size, int, "page_size")
        if page_size < 1:
            raise InvalidValueError(
                "at least 1",
                code="OutOfRange",
                path="page_size",
                value=page_size,
            )
        self._folder = Path(folder)
        self._mapping = mapping
        self._as_of = as_of
        self._page_size = page_size
        # Content and what was understood of it; replaced, never changed, so
        # that threads may share them.
        self._invoices: tuple[tuple[bytes, ...], _Invoices] | None = None
        self._directory: tuple[tuple[bytes, ...], _Directory] | None = None

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """
        Return a page of the covered invoices (MD-1 to MD-5).

        Raises:
            PortUnavailableError: A file is not there, or may not be read.
            IncompleteReadError: A file was written meanwhile.
            InvalidValueError: A cell cannot be read; the path says which.

        """
        if not query.associations:
            return InvoicePage(invoices=())
        content = self._content(
            self._mapping.invoices,
            self._mapping.matters
            if self._mapping.invoices.client is None
            else None,
        )
        cached = self._invoices
        if cached is None or cached[0] != content:
            cached = (content, self._read_invoices(content))
            self._invoices = cached
        read = cached[1]
        clients = dict.fromkeys(each.client for each in query.associations)
        rows: list[Invoice] = []
        for client in clients:
            error = read.errors.get(client)
            if error is not None:
                raise copy.copy(error)
            rows.extend(read.by_client.get(client, ()))
        if self._as_of is not None:
            today = self._as_of()
            rows = [each for each in rows if each.issued_on <= today]
        found = visible(rows, query.associations)
        start, stop, next_page = self._page(query.page, len(found), content)
        return InvoicePage(
            invoices=found[start:stop], next_page=next_page, total=len(found)
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        """
        Return a page of what matches (MD-6, A6).

        Raises:
            PortUnavailableError: A file is not there, or may not be read.
            IncompleteReadError: A file was written meanwhile.
            InvalidValueError: A cell cannot be read; the path says which.

        """
        mapping = self._mapping
        content = self._content(
            mapping.invoices, mapping.matters, mapping.clients
        )
        cached = self._directory
        if cached is None or cached[0] != content:
            cached = (content, self._read_directory(content))
            self._directory = cached
        found = [each for each in cached[1].known if _matches(each, query)]
        start, stop, next_page = self._page(query.page, len(found), content)
        return SearchPage(
            results=tuple(found[start:stop]), next_page=next_page
        )

    # -- Files ----------------------------------------------------------------

    def _content(
        self, *exports: InvoiceColumns | MatterColumns | ClientColumns | None
    ) -> tuple[bytes, ...]:
        return tuple(
            b"" if each is None else self._bytes(each.file) for each in exports
        )

    def _bytes(self, file: str) -> bytes:
        """Return a file's content, all of one moment."""
        try:
            with (self._folder / file).open("rb") as stream:
                before = os.fstat(stream.fileno())
                if before.st_size > FILE_MAX:
                    raise FormatError(
                        f"larger than {FILE_MAX} bytes",
                        code="BodyTooLarge",
                        path=file,
                    )
                data = stream.read(FILE_MAX + 1)
                after = os.fstat(stream.fileno())
        except OSError as error:
            raise PortUnavailableError(
                f"{file} cannot be read: {type(error).__name__}",
                code="FileUnreadable",
            ) from error
        if len(data) != after.st_size or (
            before.st_mtime_ns != after.st_mtime_ns
        ):
            raise IncompleteReadError(f"{file} was written while it was read")
        return data

    def _page(
        self, page: str | None, count: int, content: tuple[bytes, ...]
    ) -> tuple[int, int, str | None]:
        """Return where a page starts and stops, and what comes after it."""
        start = 0
        if page is not None:
            found = re.fullmatch("([0-9a-f]{16})-([0-9]{1,9})", page)
            if found is None:
                raise InvalidValueError(
                    "no page of this search is called so",
                    code="PageFormat",
                    path="page",
                    value=page,
                )
            if found[1] != _fingerprint(content):
                raise IncompleteReadError(
                    "the exports were written again between two pages"
                )
            start = int(found[2])
        stop = start + self._page_size
        if stop >= count:
            return start, count, None
        return start, stop, f"{_fingerprint(content)}-{stop}"

    # -- Rows -----------------------------------------------------------------

    def _table(
        self,
        data: bytes,
        export: InvoiceColumns | MatterColumns | ClientColumns,
    ) -> Table:
        return read_table(
            data, export.file, export.columns, self._mapping.written
        )

    def _read_invoices(self, content: tuple[bytes, ...]) -> _Invoices:
        mapping = self._mapping
        columns = mapping.invoices
        owners: Mapping[str, str] = {}
        if columns.client is None:
            assert mapping.matters is not None
            owners = _owners(
                self._table(content[1], mapping.matters), mapping.matters
            )
        by_client: dict[str, list[Invoice]] = {}
        errors: dict[str, InvalidValueError] = {}
        seen: dict[str, Invoice] = {}
        for row in self._table(content[0], columns):
            client = _client_of(row, columns, owners)
            try:
                invoice = _invoice(row, client, mapping)
            except FormatError as error:
                errors.setdefault(client, error)
                continue
            known = seen.setdefault(invoice.number, invoice)
            if known is invoice:
                by_client.setdefault(client, []).append(invoice)
            elif known != invoice:
                conflict = InvalidValueError(
                    "the number is there with another content",
                    code="ConflictingInvoice",
                    path=row[columns.number].path,
                    value=invoice.number,
                )
                errors.setdefault(client, conflict)
                errors.setdefault(known.client, conflict)
        return _Invoices(by_client, errors)

    def _read_directory(self, content: tuple[bytes, ...]) -> _Directory:
        """Return every client, matter and invoice, in the files' order."""
        mapping = self._mapping
        columns = mapping.invoices
        names: dict[str, str] = {}
        matters: dict[tuple[str, str], str] = {}
        owners: dict[str, str] = {}
        if mapping.clients is not None:
            for row in self._table(content[2], mapping.clients):
                client = _id(row[mapping.clients.number])
                _set(names, client, row[mapping.clients.name], "another name")
        if mapping.matters is not None:
            table = self._table(content[1], mapping.matters)
            if columns.client is None:
                owners = _owners(table, mapping.matters)
            for row in table:
                key = (
                    _id(row[mapping.matters.client]),
                    _id(row[mapping.matters.number]),
                )
                _set(
                    matters,
                    key,
                    row[mapping.matters.description],
                    "another description",
                )
        numbers: dict[tuple[str, str, str], None] = {}
        for row in self._table(content[0], columns):
            client = _client_of(row, columns, owners)
            matter = _matter_of(row, columns)
            names.setdefault(client, "")
            matters.setdefault((client, matter), "")
            numbers[client, matter, _id(row[columns.number])] = None
        for client, _ in matters:
            names.setdefault(client, "")
        return _Directory(
            known=(
                *(
                    SearchResult(client=client, client_name=name)
                    for client, name in names.items()
                ),
                *(
                    SearchResult(
                        client=client,
                        client_name=names[client],
                        matter=matter,
                        matter_description=description,
                    )
                    for (client, matter), description in matters.items()
                ),
                *(
                    SearchResult(
                        client=client,
                        client_name=names[client],
                        matter=matter,
                        matter_description=matters[client, matter],
                        invoice=number,
                    )
                    for client, matter, number in numbers
                ),
            )
        )


def _fingerprint(content: tuple[bytes, ...]) -> str:
    """Name a content, so that a page of another one is noticed."""
    name = hashlib.blake2b(digest_size=8)
    for each in content:
        name.update(len(each).to_bytes(8, "big"))
        name.update(each)
    return name.hexdigest()


def _id(cell: Cell) -> str:
    def checked(text: str) -> str:
        check_id(text, "")
        return text

    return cell.read(checked)


def _set(names: dict[Any, str], key: object, cell: Cell, what: str) -> None:
    """Note a name; the same thing under two names is refused."""

    def checked(_: str) -> str:
        check_text(cell.shown, "")
        return cell.shown

    name = cell.read(checked)
    if names.setdefault(key, name) != name:
        raise cell.refuse(f"the number is there with {what}", "DuplicateKey")


def _owners(table: Table, columns: MatterColumns) -> dict[str, str]:
    """Return the client of each matter."""
    owners: dict[str, str] = {}
    for row in table:
        matter, client = _id(row[columns.number]), _id(row[columns.client])
        if owners.setdefault(matter, client) != client:
            raise row[columns.client].refuse(
                "the matter is there with another client", "DuplicateKey"
            )
    return owners


def _matter_of(row: Row, columns: InvoiceColumns) -> str:
    matter = columns.matter
    return matter.text if isinstance(matter, Constant) else _id(row[matter])


def _client_of(
    row: Row, columns: InvoiceColumns, owners: Mapping[str, str]
) -> str:
    if columns.client is not None:
        return _id(row[columns.client])
    assert isinstance(columns.matter, str)
    client = owners.get(_id(row[columns.matter]))
    if client is None:
        raise row[columns.matter].refuse(
            "the matter is not among the matters", "UnknownMatter"
        )
    return client


def _invoice(row: Row, client: str, mapping: CsvMapping) -> Invoice:
    """
    Return a row as an invoice.

    Raises:
        FormatError: A cell that cannot be read.

    """
    columns, written = mapping.invoices, mapping.written
    currency = mapping.currency
    if columns.currency is not None:
        currency = row[columns.currency].read(_currency)
    values: dict[str, Any] = {}

    def amount(text: str) -> object:
        return written.read_amount(text, currency)

    for name, column, reader in (
        ("number", columns.number, str),
        ("issued_on", columns.issued_on, written.read_date),
        ("balance", columns.balance, amount),
    ):
        values[name] = row[column].read(reader)
    for name, optional, reader in (
        ("due_on", columns.due_on, written.read_date),
        ("total", columns.total, amount),
    ):
        # An empty cell says that there is none.
        if optional is not None and row[optional].text:
            values[name] = row[optional].read(reader)
    if columns.account is not None:
        values["account"] = row[columns.account].word(
            columns.accounts, "account"
        )
    try:
        return Invoice(
            client=client,
            matter=_matter_of(row, columns),
            status=_status(row, columns),
            **values,
        )
    except FormatError:
        raise
    except InvalidValueError as error:
        # What the cells are alone they may not be together.
        place: object = getattr(columns, error.path, None)
        cell = row[place if isinstance(place, str) else columns.number]
        raise cell.refuse(error.message, error.code) from error


def _currency(text: str) -> str:
    check_currency(text)
    return text


def _status(row: Row, columns: InvoiceColumns) -> InvoiceStatus:
    """Return the status: what the status says, unless that is open."""
    status = InvoiceStatus.OPEN
    if columns.status is not None:
        word = fold(row[columns.status].text)
        status = columns.statuses.get(word, InvoiceStatus.UNKNOWN)
    for hold in columns.holds:
        held = row[hold.column].word(hold.words, "yes or no")
        if held and status is InvoiceStatus.OPEN:
            status = hold.status
    return status


def _matches(found: SearchResult, query: SearchQuery) -> bool:
    """Tell whether a search finds this (MD-6)."""
    part = query.text.casefold()
    match query.by:
        case SearchBy.CLIENT_NAME:
            return (
                found.matter is None and part in found.client_name.casefold()
            )
        case SearchBy.CLIENT_NUMBER:
            return found.matter is None and found.client == query.text
        case SearchBy.MATTER_NUMBER:
            return found.invoice is None and found.matter == query.text
        case SearchBy.MATTER_DESCRIPTION:
            return (
                found.matter is not None
                and found.invoice is None
                and part in found.matter_description.casefold()
            )
        case SearchBy.INVOICE_NUMBER:
            return found.invoice == query.text


# -- Postings out ------------------------------------------------------------

_HEADER: Final = (
    "posting",
    "status",
    "charged_on",
    "client",
    "matter",
    "invoice",
    "amount",
    "currency",
    "payer",
    "auto_pay",
    "nominal_on",
    "payment_reference",
    "deposit_account",
    "account_kind",
    "ar_message",
    "reverses",
    "note",
)


def postings_csv(postings: Iterable[Posting], /) -> Iterator[str]:
    r"""
    Return posting records as the lines of a CSV file, header first.

    RFC 4180: every text is quoted, lines end in CR LF. Amounts are numbers in
    major units, dates are ISO 8601, and neither is quoted. A text that a
    spreadsheet could take for a formula has an apostrophe in front, and so
    has one that begins with an apostrophe: take the first one away to have
    the text again.

    >>> next(postings_csv([]))[:28]
    '"posting","status","charged_'
    >>> guarded("=1+1"), guarded("O'Hara")
    ("'=1+1", "O'Hara")

    Source:
        RFC 4180; OWASP, CSV injection.

    """
    yield _line(map(_quoted, _HEADER))
    for each in postings:
        yield _line(
            (
                _quoted(each.id),
                _quoted(each.status.value),
                each.charged_on.isoformat(),
                _quoted(each.client),
                _quoted(each.matter),
                _quoted(each.invoice),
                each.amount.major,
                _quoted(each.amount.currency),
                _quoted(each.payer),
                _quoted(each.run.autopay),
                each.run.nominal_on.isoformat(),
                _quoted(each.payment_reference),
                _quoted(each.deposit_account.id),
                _quoted(each.deposit_account.kind.value),
                _quoted(each.ar_message),
                _quoted(each.reverses or ""),
                _quoted(each.note),
            )
        )


def write_postings_csv(
    postings: Iterable[Posting], path: str | os.PathLike[str], /
) -> int:
    """
    Write posting records to a CSV file, whole or not at all.

    UTF-8 with the byte order mark that spreadsheets look for.

    Args:
        postings: Such as `read_postings` gives.
        path: Replaced if it is there.

    Returns:
        How many there are.

    Raises:
        PortUnavailableError: The file cannot be written; the old one stands.

    """
    target = Path(path)
    count = -1
    beside = ""
    try:
        handle, beside = tempfile.mkstemp(
            prefix=f".{target.name[:32]}-", dir=target.parent
        )
        with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
            for line in postings_csv(postings):
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(target)
    except OSError as error:
        raise PortUnavailableError(
            f"{target.name} cannot be written: {type(error).__name__}",
            code="FileUnwritable",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
    return count


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def _quoted(text: str) -> str:
    doubled = guarded(text).replace('"', '""')
    return f'"{doubled}"'


def guarded(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if _is_dangerous(text) else text


def _is_dangerous(text: str) -> bool:
    if text.startswith(("'", "\t", "\r", "\n")):
        return True
    # Spreadsheets trim blanks of any kind and know full-width signs; a line
    # inside of a cell may land in a cell of its own.
    plain = unicodedata.normalize("NFKC", text)
    return any(
        line.strip().startswith(("=", "+", "-", "@"))
        for line in plain.splitlines()
    )
