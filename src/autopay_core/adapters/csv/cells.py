"""
What stands in a CSV file: rows by column, and cells as values (E2, M2).

Holds: `CsvFormat`, `Table`, `Cell` and the functions that read them. Imports:
`money` and the standard library's csv. How dates and amounts are written is
said beforehand; a cell that is written otherwise is refused with file, line
and column.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final, NoReturn, TypeVar, final

import attrs

from autopay_core._checks import check_date, check_text, check_type, clean_text
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.money import Money

__all__ = [
    "CELL_MAX",
    "FILE_MAX",
    "Cell",
    "CsvFormat",
    "Table",
    "read_table",
]

FILE_MAX: Final = 256 * 1024 * 1024
"""Largest file, in bytes."""

CELL_MAX: Final = 10_000
"""Longest cell, in characters; a quote that is never closed ends here."""

_ENCODINGS: Final = {"utf-8": "utf-8", "cp1252": "cp1252"}
_DELIMITERS: Final = frozenset(",;\t|")
_GROUPS: Final = frozenset({"", ",", ".", " ", "'", "\u00a0", "\u202f"})
_DATE_PARTS: Final = {
    "YYYY": "(?P<year>[0-9]{4})",
    "MM": "(?P<month>[0-9]{2})",
    "M": "(?P<month>[0-9]{1,2})",
    "DD": "(?P<day>[0-9]{2})",
    "D": "(?P<day>[0-9]{1,2})",
}
_SYMBOL_MAX: Final = 8
_T = TypeVar("_T")


def _refuse(message: str, code: str, path: str, value: object) -> NoReturn:
    raise FormatError(message, code=code, path=path, value=value)


@final
@attrs.frozen(kw_only=True)
class CsvFormat:
    """
    How a practice-management system writes its exports.

    >>> CsvFormat(date="D.M.YYYY", decimal_point=",", digit_group=".")
    ... # doctest: +ELLIPSIS
    CsvFormat(delimiter=',', encoding='utf-8', date='D.M.YYYY', ...)

    Attributes:
        delimiter: Comma, semicolon, tab or bar.
        encoding: ``"utf-8"``, with or without the byte order mark that
            spreadsheets write, or ``"cp1252"``.
        date: ``YYYY`` once, ``M`` or ``MM`` once, ``D`` or ``DD`` once, and
            whatever stands between them; ``MM`` takes two digits, ``M`` one
            or two.
        decimal_point: Point or comma.
        digit_group: What stands between groups of three digits, if they are
            grouped at all; an amount may still be written without.
        symbol: Currency symbol before the digits, if any; an amount may
            still be written without.
        parentheses: Whether ``(12.00)`` is a credit of 12.00.

    Raises:
        InvalidValueError: A format that cannot be (``FormatInvalid``).

    """

    delimiter: str = ","
    encoding: str = "utf-8"
    date: str = "YYYY-MM-DD"
    decimal_point: str = "."
    digit_group: str = ""
    symbol: str = ""
    parentheses: bool = False

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        for name in ("encoding", "date", "symbol"):
            check_text(getattr(self, name), name, most=32)
        check_type(self.parentheses, bool, "parentheses")
        fits = {
            "delimiter": self.delimiter in _DELIMITERS,
            "encoding": self.encoding in _ENCODINGS,
            "date": _date_pattern(self.date) is not None,
            "decimal_point": self.decimal_point in {".", ","},
            "digit_group": self.digit_group in _GROUPS - {self.decimal_point},
            "symbol": len(self.symbol) <= _SYMBOL_MAX
            and not re.search(r"[0-9().,+-]", self.symbol),
        }
        for name, fit in fits.items():
            if not fit:
                raise InvalidValueError(
                    "no cells are written so",
                    code="FormatInvalid",
                    path=name,
                    value=getattr(self, name),
                )

    def read_date(self, text: str, /) -> dt.date:
        """
        Read a date, written exactly so.

        Raises:
            InvalidValueError: It is written otherwise, or there is no such
                day (``DateFormat``), or it is before 1900 or after 2200
                (``DateOutOfRange``).

        """
        found = self._dates.fullmatch(text)
        if found is None:
            _refuse(f"expected a date as {self.date}", "DateFormat", "", text)
        try:
            read = dt.date(
                int(found["year"]), int(found["month"]), int(found["day"])
            )
        except ValueError:
            _refuse("there is no such day", "DateFormat", "", text)
        check_date(read, "")
        return read

    def read_amount(self, text: str, currency: str, /) -> Money:
        """
        Read an amount, written exactly so; nothing is rounded (M2).

        Raises:
            InvalidValueError: As `Money.of`.

        """
        found = self._amounts.fullmatch(text)
        if found is None:
            # It knows what is wrong with most that is no amount at all.
            Money.of(text, currency)
            _refuse(
                "expected an amount such as "
                f"{self.symbol}1{self.digit_group}234{self.decimal_point}50",
                "AmountFormat",
                "",
                text,
            )
        whole = found["whole"]
        if self.digit_group:
            whole = whole.replace(self.digit_group, "")
        minus = "-" if found["minus"] or found["open"] else ""
        decimals = found["decimals"]
        point = "" if decimals is None else f".{decimals}"
        return Money.of(f"{minus}{whole}{point}", currency)

    @cached_property
    def _dates(self) -> re.Pattern[str]:
        pattern = _date_pattern(self.date)
        assert pattern is not None
        return pattern

    @cached_property
    def _amounts(self) -> re.Pattern[str]:
        symbol = f"(?:{re.escape(self.symbol)})?" if self.symbol else ""
        whole = "[0-9]{1,15}"
        if self.digit_group:
            group = re.escape(self.digit_group)
            whole = f"[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,5}}|{whole}"
        number = (
            f"{symbol}(?P<whole>{whole})"
            f"(?:{re.escape(self.decimal_point)}(?P<decimals>[0-9]{{1,4}}))?"
        )
        if self.parentheses:
            # One number, with a parenthesis on both sides or on none.
            return re.compile(
                rf"(?:(?P<minus>-)|(?P<open>\())?{number}(?(open)\))"
            )
        return re.compile(f"(?P<minus>-)?(?P<open>(?!))?{number}")


def _date_pattern(written: str) -> re.Pattern[str] | None:
    """Return the pattern of a date format; None if it is none."""
    parts = re.split("(YYYY|MM|M|DD|D)", written)
    # A letter or a digit between them would leave open where a part ends.
    if any(char.isalnum() for part in parts[::2] for char in part):
        return None
    if sorted(part[0] for part in parts[1::2]) != ["D", "M", "Y"]:
        return None
    return re.compile(
        "".join(_DATE_PARTS.get(part) or re.escape(part) for part in parts)
    )


@final
@attrs.frozen
class Cell:
    """
    One cell, and where it stands.

    Attributes:
        text: What is written there, nothing stripped.
        path: Such as ``open_invoices.csv:17:Balance``.

    """

    text: str
    path: str

    def read(self, reader: Callable[[str], _T], /) -> _T:
        """
        Return what *reader* makes of the text.

        Raises:
            FormatError: With the code of what *reader* refused, and where.

        """
        try:
            return reader(self.text)
        except InvalidValueError as error:
            raise FormatError(
                error.message, code=error.code, path=self.path, value=self.text
            ) from error

    def word(self, meanings: Mapping[str, _T], what: str, /) -> _T:
        """
        Return the meaning of a word, regardless of case and blanks around.

        Raises:
            FormatError: It has none (``UnknownValue``).

        """
        found = meanings.get(fold(self.text))
        if found is None:
            known = ", ".join(map(repr, sorted(meanings)))
            _refuse(
                f"no {what} is written so; the mapping knows {known}",
                "UnknownValue",
                self.path,
                self.text,
            )
        return found

    def refuse(self, message: str, code: str) -> FormatError:
        """Return the error that this cell is."""
        return FormatError(message, code=code, path=self.path, value=self.text)

    @property
    def shown(self) -> str:
        """The text as one printable line, for people."""
        return clean_text(self.text)


def fold(word: str) -> str:
    """Return what is compared of a word."""
    return word.strip().casefold()


@final
class Row:
    """One row; its cells are asked for by column."""

    __slots__ = ("_cells", "_table", "line")

    def __init__(self, table: Table, line: int, cells: list[str]) -> None:
        self._table = table
        self._cells = cells
        self.line = line

    def __getitem__(self, column: str, /) -> Cell:
        """Return the cell under *column*."""
        return Cell(
            self._cells[self._table.places[column]],
            f"{self._table.file}:{self.line}:{column}",
        )


@final
@attrs.frozen
class Table:
    """
    A file's columns and rows.

    Attributes:
        file: Its name.
        places: Where each column that is asked for stands.
        lines: First line and cells of each row.

    """

    file: str
    places: Mapping[str, int]
    lines: tuple[tuple[int, list[str]], ...]

    def __iter__(self) -> Iterator[Row]:
        """Return the rows, in their order."""
        for line, cells in self.lines:
            yield Row(self, line, cells)


def read_table(
    data: bytes, file: str, columns: Iterable[str], written: CsvFormat, /
) -> Table:
    """
    Read a whole file, or refuse it: one row too short could move a column.

    Args:
        data: The file's content.
        file: Its name.
        columns: Those that must be there, once each; others are ignored.
        written: How it is written.

    Raises:
        FormatError: No text in its encoding (``Encoding``), a control
            character (``ControlCharacter``), a quote out of place
            (``QuoteFormat``), a cell that is too long (``FieldTooLong``), no
            header (``HeaderMissing``), a column that is missing or there
            twice (``ColumnMissing``, ``DuplicateColumn``), or a row of
            another length than the header (``RowLength``).

    """
    text = _decoded(data, file, written.encoding)
    rows = _rows(text, file, written.delimiter)
    header = next(rows, None)
    if header is None:
        raise FormatError(
            "the file is empty; expected a header",
            code="HeaderMissing",
            path=f"{file}:1",
        )
    line, names = header
    places: dict[str, int] = {}
    for column in columns:
        found = [at for at, name in enumerate(names) if name == column]
        if len(found) != 1:
            what, code = (
                ("there twice", "DuplicateColumn")
                if found
                else ("missing", "ColumnMissing")
            )
            shown = ", ".join(clean_text(name, most=40) for name in names)
            raise FormatError(
                f"the column is {what}; the header is {shown[:400]}",
                code=code,
                path=f"{file}:{line}:{column}",
            )
        [places[column]] = found
    lines: list[tuple[int, list[str]]] = []
    for line, cells in rows:
        if len(cells) != len(names):
            raise FormatError(
                f"{len(cells)} cells under a header of {len(names)}",
                code="RowLength",
                path=f"{file}:{line}",
            )
        lines.append((line, cells))
    return Table(file=file, places=places, lines=tuple(lines))


def _decoded(data: bytes, file: str, encoding: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FormatError(
            f"it is UTF-16; export it as {encoding}",
            code="Encoding",
            path=f"{file}:1",
        )
    # Spreadsheets write it into UTF-8, and it is no part of a column's name.
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode(_ENCODINGS[encoding])
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"it is not {encoding}; export it so, or say its encoding",
            code="Encoding",
            path=f"{file}:{line}",
            value=data[error.start : error.end],
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FormatError(
            "a NUL byte; it is UTF-16 without a mark, or no text",
            code="ControlCharacter",
            path=f"{file}:{line}",
        )
    return text


def _rows(
    text: str, file: str, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Return each row with its first line; lines without a cell are none."""
    # Untranslated: a newline inside of quotes is the cell's own.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "limit" in str(error):
                raise _too_long(file, line) from error
            raise FormatError(
                f"it is no CSV: {error}",
                code="QuoteFormat",
                path=f"{file}:{line}",
            ) from error
        if not cells:
            continue
        if max(map(len, cells)) > CELL_MAX:
            raise _too_long(file, line)
        yield line, cells


def _too_long(file: str, line: int) -> FormatError:
    return FormatError(
        f"a cell is longer than {CELL_MAX} characters; is a quote open?",
        code="FieldTooLong",
        path=f"{file}:{line}",
    )
