"""
Matter data from CSV exports (MD-1 to MD-9, A6).

Holds: `CsvMatterData`. Imports: `mapping`, `cells`, `_search`, `associations`
and the values.
"""

from __future__ import annotations

import copy
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, final

import attrs

from autopay_core._checks import check_id, check_text, check_type
from autopay_core.adapters._search import matches
from autopay_core.adapters.csv.cells import (
    FILE_MAX,
    Cell,
    Row,
    Table,
    fold,
    read_table,
)
from autopay_core.adapters.csv.mapping import (
    Constant,
    CsvMapping,
    Export,
    InvoiceColumns,
    MatterColumns,
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
    SearchPage,
    SearchQuery,
    SearchResult,
)
from autopay_core.money import check_currency

__all__ = ["CsvMatterData"]

_Content = tuple[bytes, ...]
"""What stood in the files."""


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
        self._invoices: tuple[_Content, _Invoices] | None = None
        self._directory: tuple[_Content, Sequence[SearchResult]] | None = None

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
        found = [each for each in cached[1] if matches(each, query)]
        start, stop, next_page = self._page(query.page, len(found), content)
        return SearchPage(
            results=tuple(found[start:stop]), next_page=next_page
        )

    # -- Files ----------------------------------------------------------------

    def _content(self, *exports: Export | None) -> _Content:
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
        self, page: str | None, count: int, content: _Content
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
        export: Export,
    ) -> Table:
        return read_table(
            data, export.file, export.columns, self._mapping.written
        )

    def _read_invoices(self, content: _Content) -> _Invoices:
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

    def _read_directory(self, content: _Content) -> list[SearchResult]:
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
            where = mapping.matters
            table = self._table(content[1], where)
            if columns.client is None:
                owners = _owners(table, where)
            for row in table:
                key = _id(row[where.client]), _id(row[where.number])
                told = row[where.description]
                _set(matters, key, told, "another description")
        numbers: dict[tuple[str, str, str], None] = {}
        for row in self._table(content[0], columns):
            client = _client_of(row, columns, owners)
            matter = _matter_of(row, columns)
            matters.setdefault((client, matter), "")
            numbers[client, matter, _id(row[columns.number])] = None
        for client, _ in (*((each, "") for each, *_ in numbers), *matters):
            names.setdefault(client, "")
        found: dict[tuple[str, str | None], SearchResult] = {
            (client, None): SearchResult(client=client, client_name=name)
            for client, name in names.items()
        }
        found |= {
            (client, matter): attrs.evolve(
                found[client, None],
                matter=matter,
                matter_description=description,
            )
            for (client, matter), description in matters.items()
        }
        return [
            *found.values(),
            *(
                attrs.evolve(found[client, matter], invoice=number)
                for client, matter, number in numbers
            ),
        ]


def _fingerprint(content: _Content) -> str:
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
