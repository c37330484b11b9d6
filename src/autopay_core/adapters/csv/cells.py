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

from autopay_core._checks import (
    check_date,
    check_each,
    check_text,
    check_type,
    clean_text,
    masked_text,
)
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.money import Money

__all__ = [
    "CELL_MAX",
    "FILE_MAX",
    "HEADER_ROWS",
    "Cell",
    "CsvFormat",
    "Row",
    "Table",
    "fold",
    "read_table",
]

FILE_MAX: Final = 256 * 1024 * 1024
"""Largest file, in bytes."""

CELL_MAX: Final = 10_000
"""Longest cell, in characters; a quote that is never closed ends here."""

HEADER_ROWS: Final = 20
"""So many rows are looked through for the header."""

_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "cp1252": "cp1252",
    "utf-16": "utf-16",
}
_DELIMITERS: Final = frozenset(",;\t|")
_GROUPS: Final = frozenset({"", ",", ".", " ", "'", "\u00a0", "\u202f"})
_DATE_PARTS: Final = {
    "YYYY": "(?P<year>[0-9]{4})",
    "YY": "(?P<year>[0-9]{2})",
    "MM": "(?P<month>[0-9]{2})",
    "M": "(?P<month>[0-9]{1,2})",
    "DD": "(?P<day>[0-9]{2})",
    "D": "(?P<day>[0-9]{1,2})",
}
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_SHORT: Final = 3
_CENTURY: Final = 2000
_WORD_MAX: Final = 32
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
            spreadsheets write, ``"cp1252"``, or ``"utf-16"`` with its mark. A
            file that proves to be in another one is refused.
        date: ``YYYY`` once or ``YY`` for 2000 to 2099; ``M``, ``MM``, ``MMM``
            (Jan) or ``MMMM`` (January) once; ``D`` or ``DD`` once; and
            whatever stands between them; ``MM`` takes two digits, ``M`` one
            or two.
        decimal_point: Point or comma.
        digit_group: What stands between groups of three digits, if they are
            grouped at all; an amount may still be written without.
        symbol: Currency symbol before the digits, if any; an amount may
            still be written without.
        parentheses: Whether ``(12.00)`` is a credit of 12.00.
        zero: What is written for nothing, such as ``""`` or ``"-"``.
        padded: Whether blanks around dates and amounts are no part of them.
        trailing_minus: Whether ``12.00-`` is a credit of 12.00.
        months: The names of the months, for ``MMMM``, or for ``MMM`` their
            first three letters; case does not matter.
        quoted: Whether a cell may stand in quotes; LEDES has none.
        line_end: What every line ends with, such as ``"[]"`` in LEDES; a
            line without it was cut off.

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
    zero: tuple[str, ...] = ()
    padded: bool = False
    trailing_minus: bool = False
    months: tuple[str, ...] = _MONTHS
    quoted: bool = True
    line_end: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        for name in ("encoding", "date", "symbol", "line_end"):
            check_text(getattr(self, name), name, most=_WORD_MAX)
        for name in ("parentheses", "padded", "trailing_minus", "quoted"):
            check_type(getattr(self, name), bool, name)
        for name in ("zero", "months"):
            check_each(getattr(self, name), str, name)
        months = {each.casefold() for each in self.months}
        fits = {
            "delimiter": self.delimiter in _DELIMITERS,
            "encoding": self.encoding in _ENCODINGS,
            "months": len(months) == len(_MONTHS) and "" not in months,
            "date": _date_pattern(self.date, self.months) is not None,
            "decimal_point": self.decimal_point in {".", ","},
            "digit_group": self.digit_group in _GROUPS - {self.decimal_point},
            "symbol": len(self.symbol) <= _SYMBOL_MAX
            and not re.search(r"[0-9().,+-]", self.symbol),
            # What means nothing holds no digit but zeros.
            "zero": not re.search("[1-9]", "".join(self.zero)),
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
        plain = text.strip() if self.padded else text
        # Length before pattern: no date is longer.
        found = None if len(plain) > CELL_MAX else self._dates.fullmatch(plain)
        if found is None:
            _refuse(f"expected a date as {self.date}", "DateFormat", "", text)
        year = int(found["year"])
        if "YYYY" not in self.date:
            year += _CENTURY
        month = self._month_numbers.get(found["month"].casefold())
        try:
            read = dt.date(
                year,
                int(found["month"]) if month is None else month,
                int(found["day"]),
            )
        except ValueError:
            _refuse("there is no such day", "DateFormat", "", text)
        check_date(read, "")
        return read

    @cached_property
    def swapped(self) -> CsvFormat | None:
        """The same with day and month the other way round; None if by name."""
        if "MMM" in self.date:
            return None
        return attrs.evolve(
            self, date=self.date.translate(str.maketrans("DM", "MD"))
        )

    def read_amount(self, text: str, currency: str, /) -> Money:
        """
        Read an amount, written exactly so; nothing is rounded (M2).

        Raises:
            InvalidValueError: As `Money.of`.

        """
        plain = text.strip() if self.padded else text
        if plain in self.zero:
            return Money.zero(currency)
        found = self._amounts.fullmatch(plain)
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
        is_minus = any(
            found[sign] for sign in ("minus", "open", "after", "behind")
        )
        decimals = found["decimals"]
        point = "" if decimals is None else f".{decimals}"
        return Money.of(f"{'-' if is_minus else ''}{whole}{point}", currency)

    @cached_property
    def _dates(self) -> re.Pattern[str]:
        pattern = _date_pattern(self.date, self.months)
        assert pattern is not None
        return pattern

    @cached_property
    def _month_numbers(self) -> Mapping[str, int]:
        return {
            word.casefold(): number
            for number, name in enumerate(self.months, start=1)
            for word in (name, name[:_SHORT])
        }

    @cached_property
    def _amounts(self) -> re.Pattern[str]:
        blanks = "[ \u00a0]*" if self.padded else ""
        symbol = (
            f"(?:{re.escape(self.symbol)}{blanks})?" if self.symbol else ""
        )
        whole = "[0-9]{1,15}"
        if self.digit_group:
            group = re.escape(self.digit_group)
            whole = f"[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,5}}|{whole}"
        never = "(?!)"
        opened = r"\(" if self.parentheses else never
        behind = "-" if self.trailing_minus else never
        # One number with one sign: before it, on both sides, or behind it;
        # the symbol stands on either side of the sign.
        return re.compile(
            rf"(?:(?:(?P<minus>-)|(?P<open>{opened}))?{symbol}"
            rf"|{symbol}(?P<after>-))(?P<whole>{whole})"
            rf"(?:{re.escape(self.decimal_point)}"
            r"(?P<decimals>[0-9]{1,4}))?"
            rf"(?(open)\)|(?(minus)|(?(after)|(?P<behind>{behind})?)))"
        )


def _date_pattern(
    written: str, months: tuple[str, ...]
) -> re.Pattern[str] | None:
    """Return the pattern of a date format; None if it is none."""
    parts = re.split("(YYYY|YY|MMMM|MMM|MM|M|DD|D)", written)
    # A letter or a digit between them would leave open where a part ends.
    if any(char.isalnum() for part in parts[::2] for char in part):
        return None
    if sorted(part[0] for part in parts[1::2]) != ["D", "M", "Y"]:
        return None
    names = {
        "MMMM": _one_of(months),
        "MMM": _one_of([each[:_SHORT] for each in months]),
    }
    pieces = names | _DATE_PARTS
    return re.compile(
        "".join(pieces.get(part) or re.escape(part) for part in parts)
    )


def _one_of(months: Iterable[str]) -> str:
    return f"(?P<month>(?i:{'|'.join(map(re.escape, months))}))"


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

    __slots__ = ("_table", "cells", "line")

    def __init__(self, table: Table, line: int, cells: list[str]) -> None:
        self._table = table
        self.cells = cells
        self.line = line

    def __getitem__(self, column: str | int, /) -> Cell:
        """Return the cell under *column*, by its name or its place from 1."""
        shown = column if isinstance(column, str) else f"column {column}"
        return Cell(
            self.cells[self._table.places[column]],
            f"{self.where}:{shown}",
        )

    def text(self, column: str | int, /) -> str:
        """Return what is written under *column*."""
        return self.cells[self._table.places[column]]

    @property
    def where(self) -> str:
        """Such as ``open_invoices.csv:17``."""
        return f"{self._table.file}:{self.line}"

    @property
    def is_whole(self) -> bool:
        """Whether it has as many cells as the header."""
        return len(self.cells) == self._table.width

    @property
    def only(self) -> str | None:
        """What its one filled cell says; None if there are more, or none."""
        filled = [each for each in self.cells if each.strip()]
        return filled[0].strip() if len(filled) == 1 else None

    @property
    def is_blank(self) -> bool:
        """Whether no cell says anything."""
        return not any(each.strip() for each in self.cells)


@final
@attrs.frozen
class Table:
    """
    A file's columns and rows.

    Attributes:
        file: Its name.
        places: Where each column that is asked for stands.
        width: How many cells the header has.
        header: The header's line.
        title: First line and cells of what stands above the header.
        lines: First line and cells of each row under it.

    """

    file: str
    places: Mapping[str | int, int]
    width: int
    header: int
    title: tuple[tuple[int, list[str]], ...]
    lines: tuple[tuple[int, list[str]], ...]

    def __iter__(self) -> Iterator[Row]:
        """Return the rows, in their order."""
        for line, cells in self.lines:
            yield Row(self, line, cells)


def read_table(
    data: bytes,
    file: str,
    columns: Iterable[str | int],
    written: CsvFormat,
    /,
    *,
    header_line: int | None = None,
) -> Table:
    """
    Read a whole file as rows under a header.

    The header is the first of the first `HEADER_ROWS` rows that holds every
    column once; what stands above it is the title.

    Args:
        data: The file's content.
        file: Its name.
        columns: Those that must be there, once each, or their places from 1;
            others are ignored.
        written: How it is written.
        header_line: On which line the header stands, if that is said.

    Raises:
        FormatError: No text in its encoding (``Encoding``), a control
            character (``ControlCharacter``), a quote out of place
            (``QuoteFormat``), a cell that is too long (``FieldTooLong``), no
            header (``HeaderMissing``), a column that is missing or there
            twice (``ColumnMissing``, ``DuplicateColumn``), or a last line
            that was cut off (``RowLength``).

    """
    columns = tuple(columns)
    text = _without_ends(
        _decoded(data, file, written.encoding), file, written.line_end
    )
    rows = _rows(text, file, written)
    tried: list[tuple[int, list[str]]] = []
    for line, cells in rows:
        if header_line is None or line == header_line:
            tried.append((line, cells))
            places = _places(cells, columns)
            if None not in places.values():
                break
        if line == header_line or len(tried) == HEADER_ROWS:
            raise _no_header(tried, columns, file)
    else:
        raise _no_header(tried, columns, file)
    return Table(
        file=file,
        places={name: at for name, at in places.items() if at is not None},
        width=len(cells),
        header=line,
        title=tuple(tried[:-1]),
        lines=tuple(rows),
    )


def _places(
    names: list[str], columns: Iterable[str | int]
) -> dict[str | int, int | None]:
    """Return where each column stands; None if not once."""
    known: dict[str, int | None] = {}
    for at, name in enumerate(names):
        known[name] = None if name in known else at
    return {
        each: known.get(each)
        if isinstance(each, str)
        else each - 1
        if each <= len(names)
        else None
        for each in columns
    }


def _no_header(
    tried: list[tuple[int, list[str]]],
    columns: Iterable[str | int],
    file: str,
) -> FormatError:
    """Say what the row lacks that comes nearest to a header."""
    if not tried:
        return FormatError(
            "there is no header; is the file empty, or another one?",
            code="HeaderMissing",
            path=f"{file}:1",
        )

    def found(row: tuple[int, list[str]]) -> int:
        return sum(
            each is not None for each in _places(row[1], columns).values()
        )

    line, names = max(tried, key=found)
    places = _places(names, columns)
    column = next(each for each in places if places[each] is None)
    what, code = (
        ("there twice", "DuplicateColumn")
        if names.count(str(column)) > 1
        else ("missing", "ColumnMissing")
    )
    shown = ", ".join(clean_text(name, most=40) for name in names[:50])
    return FormatError(
        f"the column is {what}; the row that comes nearest to the header is "
        f"{masked_text(shown[:400])}; name the columns in the mapping as the "
        "file has them",
        code=code,
        path=f"{file}:{line}:{column}",
    )


def _decoded(data: bytes, file: str, encoding: str) -> str:
    """
    Return the text, unless the file proves to be in another encoding.

    A mark is proof, and so is text that is right as UTF-8: no text in
    another encoding has such letters by chance.
    """
    utf_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    proven = encoding
    if data.startswith(utf_16):
        proven = "utf-16"
    elif encoding == "utf-16":
        proven = "another encoding: it has no mark of UTF-16"
    elif encoding != "utf-8" and (
        data.startswith(codecs.BOM_UTF8) or _is_utf_8(data)
    ):
        proven = "utf-8"
    if proven != encoding:
        raise FormatError(
            f"the mapping says {encoding}, and the file is {proven}; say "
            "so in the mapping, or export it otherwise",
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
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FormatError(
            "a NUL byte; it is UTF-16 without a mark, or no text",
            code="ControlCharacter",
            path=f"{file}:{line}",
        )
    return text


def _is_utf_8(data: bytes) -> bool:
    if data.isascii():
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_ends(text: str, file: str, end: str) -> str:
    """Take the mark of its end off every line; one that lacks it was cut."""
    if not end:
        return text
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if line.strip() and not line.endswith(end):
            raise FormatError(
                f"the line does not end with {end}; it was cut off",
                code="RowLength",
                path=f"{file}:{place + 1}",
            )
    return "\n".join(each.removesuffix(end) for each in lines)


def _rows(
    text: str, file: str, written: CsvFormat
) -> Iterator[tuple[int, list[str]]]:
    """Return each row with its first line; lines without a cell are none."""
    # Untranslated: a newline inside of quotes is the cell's own.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=written.delimiter,
        quoting=csv.QUOTE_MINIMAL if written.quoted else csv.QUOTE_NONE,
        strict=True,
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
