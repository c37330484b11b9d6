"""
Matter data from CSV exports (MD-1 to MD-9, A6).

Holds: `CsvMatterData`. Imports: `mapping`, `cells`, `reading`, `_search`,
`associations` and the values.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

import attrs

from autopay_core._checks import check_type, clean_text, report_text
from autopay_core.adapters._search import matches
from autopay_core.adapters.csv.cells import (
    FILE_MAX,
    Cell,
    Table,
    read_table,
)
from autopay_core.adapters.csv.mapping import (
    FILE_TIME,
    CsvMapping,
    Export,
)
from autopay_core.adapters.csv.reading import (
    InvoicesRead,
    id_of,
    owners_of,
    read_invoices,
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
    SearchPage,
    SearchQuery,
    SearchResult,
    UnreadableRow,
)

__all__ = ["CsvMatterData"]

_Content = tuple[bytes, ...]
"""What stood in the files."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AND: Final = " / "


@final
@attrs.frozen
class _Invoices:
    """
    What was read of the open invoices.

    Attributes:
        read: All of it.
        by_client: The invoices of each client, in their order.
        unreadable: The rows of each client that could not be read; those of
            unknown clients under None.

    """

    read: InvoicesRead
    by_client: Mapping[str, Sequence[Invoice]]
    unreadable: Mapping[str | None, Sequence[UnreadableRow]]


@final
class CsvMatterData:
    """
    Matter data from a folder of CSV exports.

    The files are read again at every call, and understood again when their
    content has changed, so a balance is as new as the export (MD-4). Write a
    new export under another name and rename it: what changes while it is
    read is an `IncompleteReadError`.

    A row that cannot be read is returned as such beside the others
    (`InvoicePage.unreadable`): to reads of its client, or to all if its
    client is in doubt (L5). A file that is not as the mapping says is refused
    whole. A column's status that is not known is not collected.

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
            FormatError: The file is not as the mapping says; the path says
                where.

        """
        if not query.associations:
            return InvoicePage(invoices=())
        mapping = self._mapping
        content, written_at = self._content(
            mapping.invoices,
            mapping.matters if mapping.invoices.client is None else None,
        )
        found = self._understood(content)
        if not found.read.rows and not mapping.may_be_empty:
            raise IncompleteReadError(
                f"{mapping.invoices.file} has a header and no row; if that "
                "means that nothing is open, say may_be_empty=True in the "
                "mapping",
                code="NoRows",
            )
        clients = dict.fromkeys(each.client for each in query.associations)
        rows = [
            each
            for client in clients
            for each in found.by_client.get(client, ())
        ]
        if self._as_of is not None:
            today = self._as_of()
            rows = [each for each in rows if each.issued_on <= today]
        covered = visible(rows, query.associations)
        start, stop, next_page = self._page(query.page, len(covered), content)
        lost: list[UnreadableRow] = []
        if start == 0:
            for client in (*clients, None):
                lost.extend(found.unreadable.get(client, ()))
        return InvoicePage(
            invoices=covered[start:stop],
            next_page=next_page,
            total=len(covered),
            unreadable=tuple(lost),
            source_rows=found.read.rows,
            stated_at=written_at
            if mapping.stated_at is FILE_TIME
            else found.read.stated_in,
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        """
        Return a page of what matches (MD-6, A6).

        Raises:
            PortUnavailableError: A file is not there, or may not be read.
            IncompleteReadError: A file was written meanwhile.
            FormatError: A file is not as the mapping says; the path says
                where.

        """
        mapping = self._mapping
        content, _ = self._content(
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

    def _content(self, *exports: Export | None) -> tuple[_Content, datetime]:
        """Return what stands in the files, and when the first was written."""
        read = [
            (b"", _EPOCH) if each is None else self._bytes(each.file)
            for each in exports
        ]
        return tuple(data for data, _ in read), read[0][1]

    def _bytes(self, file: str) -> tuple[bytes, datetime]:
        """Return a file's content, all of one moment, and that moment."""
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
        return data, _EPOCH + timedelta(microseconds=after.st_mtime_ns // 1000)

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
            data, export.file, export.keys, self._mapping.written
        )

    def _understood(self, content: _Content) -> _Invoices:
        """Return what the open invoices say, understood once for a content."""
        mapping = self._mapping
        content = content[: 2 if mapping.invoices.client is None else 1]
        cached = self._invoices
        if cached is not None and cached[0] == content:
            return cached[1]
        owners: Mapping[str, str | None] = {}
        if mapping.invoices.client is None:
            assert mapping.matters is not None
            owners = owners_of(
                self._table(content[1], mapping.matters), mapping.matters
            )
        read = read_invoices(content[0], mapping, owners)
        by_client: dict[str, list[Invoice]] = {}
        for invoice in read.invoices:
            by_client.setdefault(invoice.client, []).append(invoice)
        unreadable: dict[str | None, list[UnreadableRow]] = {}
        for row in read.unreadable:
            unreadable.setdefault(row.client, []).append(row)
        found = _Invoices(read, by_client, unreadable)
        self._invoices = (content, found)
        return found

    def _names(self, data: bytes) -> dict[str, str]:
        """Return the name of each client, as far as rows can be read."""
        names: dict[str, str] = {}
        columns = self._mapping.clients
        if columns is not None:
            for row in self._table(data, columns):
                with suppress(FormatError):
                    client = id_of(row[columns.number])
                    _add(names, client, row[columns.name])
        return names

    def _descriptions(self, data: bytes) -> dict[tuple[str, str], str]:
        """Return the description of each client's matters, likewise."""
        found: dict[tuple[str, str], str] = {}
        columns = self._mapping.matters
        if columns is not None:
            for row in self._table(data, columns):
                with suppress(FormatError):
                    key = (
                        id_of(row[columns.client]),
                        id_of(row[columns.number]),
                    )
                    _add(found, key, row[columns.description])
        return found

    def _read_directory(self, content: _Content) -> list[SearchResult]:
        """
        Return every client, matter and invoice, in the files' order.

        A row that cannot be read is not found; the others are.
        """
        _, of_matters, of_clients = content
        names = self._names(of_clients)
        matters = self._descriptions(of_matters)
        numbers: dict[tuple[str, str, str], None] = {}
        read = self._understood(content).read
        for each in read.invoices:
            for matter in each.every_matter:
                matters.setdefault((each.client, matter), "")
            numbers[each.client, each.matter, each.number] = None
        for lost in read.unreadable:
            if lost.client is not None and lost.matter is not None:
                matters.setdefault((lost.client, lost.matter), "")
                if lost.number is not None:
                    numbers[lost.client, lost.matter, lost.number] = None
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


def _add(names: dict[Any, str], key: object, cell: Cell) -> None:
    """
    Note a name, cleaned and masked; several names of one thing are all shown.

    Who searches sees then that the number is there twice.
    """
    name = report_text(cell.text)
    known = names.setdefault(key, name)
    if name not in known.split(_AND):
        names[key] = clean_text(f"{known}{_AND}{name}")
