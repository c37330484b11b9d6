"""Read exports by a stated mapping, and write postings for a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core._checks import DATE_MAX, DATE_MIN
from autopay_core.adapters.csv import (
    ClientColumns,
    Column,
    Constant,
    CsvFormat,
    CsvMapping,
    CsvMatterData,
    Hold,
    InvoiceColumns,
    MatterColumns,
    StatedIn,
    Sum,
    Totals,
    guarded,
    postings_csv,
    write_postings_csv,
)
from autopay_core.adapters.csv.cells import CELL_MAX
from autopay_core.associations import (
    Association,
    InvoiceQuery,
    associate,
)
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
    SearchQuery,
    SearchResult,
)
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import AccountKind, DepositAccount, RunKey
from strategies import ids, invoices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WHOLE = CsvMapping(
    currency="USD",
    invoices=InvoiceColumns(
        due_on="Due",
        total="Billed",
        status="Status",
        account="Bank",
        holds=(Hold(column="Hold"),),
    ),
)
HEADER = (
    "Invoice,Client,Matter,Invoice Date,Due,Billed,Balance,Status,Bank,Hold"
)
ROW = "INV-7,C-1,M-1,2026-01-05,2026-02-04,120.00,80.00,Open,Operating,no"
SEVEN = Invoice(
    number="INV-7",
    client="C-1",
    matter="M-1",
    issued_on=date(2026, 1, 5),
    due_on=date(2026, 2, 4),
    total=Money.of("120.00", "USD"),
    balance=Money.of("80.00", "USD"),
)


def put(folder: Path, **files: str | bytes) -> Path:
    """Write exports; clients and matters are there unless given."""
    texts: dict[str, str | bytes] = {
        "clients": "Client,Name\nC-1,Acme\nC-2,Bolt\n",
        "matters": "Matter,Client,Description\nM-1,C-1,Lease\nM-2,C-2,Tax\n",
        "open_invoices": f"{HEADER}\n{ROW}\n",
        **files,
    }
    for name, text in texts.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.csv").write_bytes(data)
    return folder


def ask(
    matters: CsvMatterData, *clients: str, payer: str = "p"
) -> list[Invoice]:
    """Follow the pages to their end."""
    query = InvoiceQuery(
        payer=payer,
        associations=tuple(
            Association.to_client(payer=payer, client=each) for each in clients
        ),
    )
    found: list[Invoice] = []
    while True:
        page = matters.open_invoices(query)
        found.extend(page.invoices)
        if page.next_page is None:
            assert page.total in {None, len(found)}
            return found
        query = attrs.evolve(query, page=page.next_page)


def lost(matters: CsvMatterData, *clients: str) -> list[tuple[str, str]]:
    """Return code and place of the rows that could not be read."""
    page = matters.open_invoices(
        InvoiceQuery(
            payer="p",
            associations=tuple(
                Association.to_client(payer="p", client=each)
                for each in clients
            ),
        )
    )
    return [(each.code, each.where) for each in page.unreadable]


def find(
    matters: CsvMatterData, by: SearchBy, text: str
) -> list[SearchResult]:
    query = SearchQuery(by=by, text=text)
    found: list[SearchResult] = []
    while True:
        page = matters.search(query)
        found.extend(page.results)
        if page.next_page is None:
            return found
        query = attrs.evolve(query, page=page.next_page)


# -- What is read ------------------------------------------------------------


def test_a_row_is_read_as_its_mapping_says(tmp_path: Path) -> None:
    assert ask(CsvMatterData(put(tmp_path), WHOLE), "C-1") == [SEVEN]


def test_what_a_mapping_does_not_name_is_not_read(tmp_path: Path) -> None:
    matters = CsvMatterData(put(tmp_path), CsvMapping(currency="USD"))

    [invoice] = ask(matters, "C-1")

    assert invoice == attrs.evolve(SEVEN, due_on=None, total=None)


def test_an_empty_due_date_and_total_are_none(tmp_path: Path) -> None:
    row = ROW.replace("2026-02-04", "").replace("120.00", "")
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{row}\n")

    [invoice] = ask(CsvMatterData(folder, WHOLE), "C-1")

    assert invoice == attrs.evolve(SEVEN, due_on=None, total=None)


@pytest.mark.parametrize(
    ("status", "hold", "expected"),
    [
        ("Open", "no", InvoiceStatus.OPEN),
        ("OPEN ", " No", InvoiceStatus.OPEN),
        ("Open", "YES", InvoiceStatus.ON_HOLD),
        ("On Hold", "no", InvoiceStatus.ON_HOLD),
        ("draft", "yes", InvoiceStatus.DRAFT),
        ("In Collections", "no", InvoiceStatus.IN_COLLECTIONS),
        ("Written Down", "no", InvoiceStatus.UNKNOWN),
        ("Written Down", "yes", InvoiceStatus.UNKNOWN),
        ("", "no", InvoiceStatus.UNKNOWN),
    ],
)
def test_only_a_known_word_and_no_hold_make_an_invoice_open(
    tmp_path: Path, status: str, hold: str, expected: InvoiceStatus
) -> None:
    row = ROW.replace("Open", status).removesuffix("no") + hold
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{row}\n")

    [invoice] = ask(CsvMatterData(folder, WHOLE), "C-1")

    assert invoice.status is expected


def test_one_export_without_matters_can_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "ar.csv").write_text(
        "customer,no,InvoiceDate,amount,Disputed\n"
        "0379-NEVHP,611365,1/2/2013,55.94,No\n"
        "0379-NEVHP,7900770,1/26/2013,61.7,Yes\n"
        "8976-AMJEO,9231909,7/3/2012,65,No\n"
    )
    mapping = CsvMapping(
        currency="USD",
        invoices=InvoiceColumns(
            file="ar.csv",
            number="no",
            client="customer",
            matter=Constant("general"),
            issued_on="InvoiceDate",
            balance="amount",
            holds=(Hold(column="Disputed", status=InvoiceStatus.DISPUTED),),
        ),
        clients=None,
        matters=None,
        written=CsvFormat(date="M/D/YYYY"),
    )
    today = date(2013, 1, 25)
    matters = CsvMatterData(tmp_path, mapping, as_of=lambda: today)

    first = ask(matters, "0379-NEVHP")
    today = date(2013, 1, 26)
    both = ask(matters, "0379-NEVHP")

    assert [each.number for each in first] == ["611365"]
    assert [(each.number, each.status) for each in both] == [
        ("611365", InvoiceStatus.OPEN),
        ("7900770", InvoiceStatus.DISPUTED),
    ]
    assert {each.matter for each in both} == {"general"}
    assert find(matters, SearchBy.CLIENT_NUMBER, "8976-AMJEO") == [
        SearchResult(client="8976-AMJEO")
    ]


def test_the_client_may_stand_at_the_matter_only(tmp_path: Path) -> None:
    mapping = CsvMapping(
        currency="USD", invoices=InvoiceColumns(client=None, file="open.csv")
    )
    put(tmp_path)
    (tmp_path / "open.csv").write_text(
        "Invoice,Matter,Invoice Date,Balance\nINV-7,M-2,2026-01-05,80.00\n"
    )
    matters = CsvMatterData(tmp_path, mapping)

    assert [each.number for each in ask(matters, "C-2")] == ["INV-7"]
    assert ask(matters, "C-1") == []
    [found] = find(matters, SearchBy.INVOICE_NUMBER, "INV-7")
    assert (found.client, found.client_name) == ("C-2", "Bolt")


@pytest.mark.parametrize(
    ("written", "text", "amount"),
    [
        (CsvFormat(digit_group=","), "1,234,567.89", "1234567.89"),
        (CsvFormat(digit_group=","), "1234567.89", "1234567.89"),
        (CsvFormat(decimal_point=",", digit_group="."), "1.234,5", "1234.50"),
        (CsvFormat(decimal_point=",", digit_group="."), "-12", "-12.00"),
        (CsvFormat(symbol="$", digit_group=","), "$1,000", "1000.00"),
        (CsvFormat(symbol="$"), "-$5.10", "-5.10"),
        (CsvFormat(parentheses=True), "(5.10)", "-5.10"),
        (CsvFormat(parentheses=True, symbol="$"), "($5.10)", "-5.10"),
        (CsvFormat(parentheses=True), "5.10", "5.10"),
        (CsvFormat(digit_group="'"), "1'000.00", "1000.00"),
    ],
)
def test_amounts_are_read_as_they_are_written(
    written: CsvFormat, text: str, amount: str
) -> None:
    assert written.read_amount(text, "USD") == Money.of(amount, "USD")


@pytest.mark.parametrize(
    ("written", "text", "code"),
    [
        (CsvFormat(), "1,234.56", "AmountFormat"),
        (CsvFormat(), "$12", "AmountFormat"),
        (CsvFormat(), "(5.10)", "AmountFormat"),
        (CsvFormat(), " 5.10", "AmountFormat"),
        (CsvFormat(), "+5.10", "AmountFormat"),
        (CsvFormat(), "", "AmountFormat"),
        (CsvFormat(), "٣", "AmountFormat"),
        (CsvFormat(), "1_000", "AmountFormat"),
        (CsvFormat(), "NaN", "NonFiniteAmount"),
        (CsvFormat(), "1e9", "AmountTooLarge"),
        (CsvFormat(), "10.005", "AmountScale"),
        (CsvFormat(), "9" * 40, "AmountTooLarge"),
        (CsvFormat(digit_group=","), "1,23.45", "AmountFormat"),
        (CsvFormat(digit_group=","), "12,3456", "AmountFormat"),
        (CsvFormat(digit_group=","), ",123", "AmountFormat"),
        (CsvFormat(digit_group=","), "1234,567", "AmountFormat"),
        (CsvFormat(decimal_point=","), "12.50", "AmountFormat"),
        (CsvFormat(decimal_point=",", digit_group="."), "1.5", "AmountFormat"),
        (CsvFormat(parentheses=True), "(5.10", "AmountFormat"),
        (CsvFormat(parentheses=True), "5.10)", "AmountFormat"),
        (CsvFormat(parentheses=True), "(-5.10)", "AmountFormat"),
        (CsvFormat(symbol="$"), "5.10$", "AmountFormat"),
    ],
)
def test_amounts_written_otherwise_are_refused(
    written: CsvFormat, text: str, code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        written.read_amount(text, "USD")

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("written", "text", "expected"),
    [
        ("YYYY-MM-DD", "2026-01-05", date(2026, 1, 5)),
        ("M/D/YYYY", "1/5/2026", date(2026, 1, 5)),
        ("M/D/YYYY", "01/05/2026", date(2026, 1, 5)),
        ("D.M.YYYY", "1.5.2026", date(2026, 5, 1)),
        ("DD MM YYYY", "29 02 2028", date(2028, 2, 29)),
        ("YYYYMMDD", "20260105", date(2026, 1, 5)),
        ("MM/DD/YYYY", "1/5/2026", "DateFormat"),
        ("M/D/YYYY", "13/5/2026", "DateFormat"),
        ("M/D/YYYY", "1/5/26", "DateFormat"),
        ("M/D/YYYY", "1/5/2026 0:00", "DateFormat"),
        ("YYYY-MM-DD", "2026-02-30", "DateFormat"),
        ("YYYY-MM-DD", "2026-W01-1", "DateFormat"),
        (
            "YYYY-MM-DD",
            "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0665",
            "DateFormat",
        ),
        ("YYYY-MM-DD", "", "DateFormat"),
        ("YYYY-MM-DD", "0000-01-01", "DateFormat"),
        ("YYYY-MM-DD", "1899-12-31", "DateOutOfRange"),
        ("YYYY-MM-DD", "9999-12-31", "DateOutOfRange"),
    ],
)
def test_dates_are_read_as_they_are_written(
    written: str, text: str, expected: date | str
) -> None:
    reader = CsvFormat(date=written).read_date
    if isinstance(expected, date):
        assert reader(text) == expected
        return
    with pytest.raises(InvalidValueError) as caught:
        reader(text)

    assert caught.value.code == expected


# -- What is refused ---------------------------------------------------------


def with_cell(column: str, text: str) -> str:
    """Return the export with one cell of its only row changed."""
    cells: list[str] = [*ROW.split(",")]
    cells[_columns(HEADER).index(column)] = text
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerow(cells)
    return f"{HEADER}\n{made.getvalue()}"


CELLS = [
    ("Balance", "1,234.56", "AmountFormat"),
    ("Balance", "NaN", "NonFiniteAmount"),
    ("Balance", "Infinity", "NonFiniteAmount"),
    ("Balance", "10.005", "AmountScale"),
    ("Balance", "", "AmountFormat"),
    ("Balance", "9" * 16, "AmountTooLarge"),
    ("Balance", "10000000000.01", "AmountTooLarge"),
    ("Billed", "x", "AmountFormat"),
    ("Billed", "10000000000.01", "AmountTooLarge"),
    ("Invoice Date", "01/05/2026", "DateFormat"),
    ("Invoice Date", "", "DateFormat"),
    ("Invoice Date", "1788-01-01", "DateOutOfRange"),
    ("Due", "soon", "DateFormat"),
    ("Invoice", "", "FieldMissing"),
    ("Invoice", "   ", "FieldMissing"),
    ("Invoice", "x" * 129, "FieldTooLong"),
    ("Invoice", "INV\n7", "ControlCharacter"),
    ("Invoice", "INV\u202e7", "ControlCharacter"),
    ("Client", "", "FieldMissing"),
    ("Client", "x" * 129, "FieldTooLong"),
    ("Matter", "", "FieldMissing"),
    ("Matter", "a\tb", "ControlCharacter"),
    ("Bank", "Escrow", "UnknownValue"),
    ("Bank", "", "UnknownValue"),
    ("Hold", "maybe", "UnknownValue"),
    ("Hold", "", "UnknownValue"),
]


@pytest.mark.parametrize(("column", "text", "code"), CELLS)
def test_a_bad_cell_is_named_by_file_line_and_column(
    tmp_path: Path, column: str, text: str, code: str
) -> None:
    export = with_cell(column, text) + ROW.replace("INV-7", "INV-8")
    matters = CsvMatterData(put(tmp_path, open_invoices=export), WHOLE)

    assert lost(matters, "C-1") == [(code, f"open_invoices.csv:2:{column}")]
    # It keeps back its own invoice only (L5).
    assert [each.number for each in ask(matters, "C-1")] == ["INV-8"]


FILES: list[tuple[str, str | bytes, str, str]] = [
    ("nothing", "", "HeaderMissing", "open_invoices.csv:1"),
    ("blank lines", "\n\n", "HeaderMissing", "open_invoices.csv:1"),
    (
        "a column twice",
        f"{HEADER},Balance\n{ROW},1\n",
        "DuplicateColumn",
        "open_invoices.csv:1:Balance",
    ),
    (
        "a column missing",
        HEADER.replace("Balance", "Rest") + f"\n{ROW}\n",
        "ColumnMissing",
        "open_invoices.csv:1:Balance",
    ),
    (
        "a header in other letters",
        HEADER.lower() + f"\n{ROW}\n",
        "ColumnMissing",
        "open_invoices.csv:1:Invoice",
    ),
    (
        "a row too short",
        f"{HEADER}\n{ROW}\n{ROW.removesuffix(',no')}\n",
        "RowLength",
        "open_invoices.csv:3",
    ),
    (
        "a row too long",
        f"{HEADER}\n{ROW},\n",
        "RowLength",
        "open_invoices.csv:2",
    ),
    (
        "an amount with a comma, not quoted",
        f"{HEADER}\n{ROW.replace('80.00', '1,080.00')}\n",
        "RowLength",
        "open_invoices.csv:2",
    ),
    (
        "a quote that is never closed",
        f'{HEADER}\n{ROW}\n"{ROW}\n',
        "QuoteFormat",
        "open_invoices.csv:3",
    ),
    (
        "text after a quote",
        f'{HEADER}\n"INV"-7{ROW.removeprefix("INV-7")}\n',
        "QuoteFormat",
        "open_invoices.csv:2",
    ),
    (
        "a long cell",
        f"{HEADER}\n{ROW}{'x' * CELL_MAX}\n",
        "FieldTooLong",
        "open_invoices.csv:2",
    ),
    (
        "a cell beyond the parser's limit",
        f"{HEADER}\n{ROW}{'x' * 200_000}\n",
        "FieldTooLong",
        "open_invoices.csv:2",
    ),
    (
        "UTF-16",
        f"{HEADER}\n{ROW}\n".encode("utf-16"),
        "Encoding",
        "open_invoices.csv:1",
    ),
    (
        "UTF-16 without a mark",
        f"{HEADER}\n{ROW}\n".encode("utf-16-le"),
        "ControlCharacter",
        "open_invoices.csv:1",
    ),
    (
        "Windows' encoding",
        f"{HEADER}\n{ROW}\n{ROW.replace('C-1', 'Köhl')}\n".encode("cp1252"),
        "Encoding",
        "open_invoices.csv:3",
    ),
    (
        "a NUL byte",
        f"{HEADER}\n{ROW}\nINV\0{ROW}\n",
        "ControlCharacter",
        "open_invoices.csv:3",
    ),
]


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [each[1:] for each in FILES],
    ids=[each[0] for each in FILES],
)
def test_a_file_that_is_no_table_is_refused_whole(
    tmp_path: Path, text: str | bytes, code: str, path: str
) -> None:
    matters = CsvMatterData(put(tmp_path, open_invoices=text), WHOLE)

    for read in (
        lambda: ask(matters, "C-2"),
        lambda: find(matters, SearchBy.INVOICE_NUMBER, "INV-7"),
    ):
        with pytest.raises(FormatError) as caught:
            read()
        assert (caught.value.code, caught.value.path) == (code, path)


def test_a_line_is_where_its_row_begins(tmp_path: Path) -> None:
    # Two rows over five lines, Windows' ends of line, and a blank one.
    text = (
        f"Note,{HEADER}\r\n"
        f'"two\r\nlines",{ROW}\r\n'
        "\r\n"
        f'"three\n\nlines",{ROW.replace("INV-7", "INV-8")}\r\n'
        f"last,{ROW.replace('INV-7', 'INV-9').replace('80.00', 'x')}\r\n"
    )
    matters = CsvMatterData(put(tmp_path, open_invoices=text), WHOLE)

    assert lost(matters, "C-1") == [
        ("AmountFormat", "open_invoices.csv:8:Balance")
    ]


def test_a_mark_that_spreadsheets_write_is_no_part_of_the_header(
    tmp_path: Path,
) -> None:
    folder = put(tmp_path, open_invoices=f"\ufeff{HEADER}\n{ROW}\n")

    assert ask(CsvMatterData(folder, WHOLE), "C-1") == [SEVEN]


def test_another_encoding_and_delimiter_can_be_said(tmp_path: Path) -> None:
    text = f"{HEADER}\n{ROW.replace('C-1', 'Köhl')}\n".replace(",", ";")
    folder = put(
        tmp_path,
        open_invoices=text.encode("cp1252"),
        clients=b"Client;Name\n",
        matters=b"Matter;Client;Description\n",
    )
    mapping = attrs.evolve(
        WHOLE, written=CsvFormat(encoding="cp1252", delimiter=";")
    )

    [invoice] = ask(CsvMatterData(folder, mapping), "Köhl")

    assert invoice.client == "Köhl"


def test_l5_a_bad_row_is_told_to_its_own_client_and_no_other(
    tmp_path: Path,
) -> None:
    other = ROW.replace("INV-7", "INV-8").replace("C-1", "C-2")
    bad = other.replace("80.00", "4111 1111 1111 1111")
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{ROW}\n{bad}\n")
    matters = CsvMatterData(folder, WHOLE)

    assert ask(matters, "C-1") == [SEVEN]
    assert lost(matters, "C-1") == []
    [row] = matters.open_invoices(
        InvoiceQuery(
            payer="p",
            associations=(Association.to_client(payer="p", client="C-2"),),
        )
    ).unreadable
    assert (row.number, row.client, row.matter, row.code, row.where) == (
        "INV-8",
        "C-2",
        "M-1",
        "AmountFormat",
        "open_invoices.csv:3:Balance",
    )
    assert "it says" in row.detail
    assert "4111" not in row.detail


def test_l5_a_row_of_an_unknown_client_is_told_to_every_read(
    tmp_path: Path,
) -> None:
    bad = ROW.replace("INV-7,C-1", "INV-8,")
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{bad}\n{ROW}\n")
    matters = CsvMatterData(folder, WHOLE)

    assert ask(matters, "C-1") == [SEVEN]
    for client in ("C-1", "C-2"):
        assert lost(matters, client) == [
            ("FieldMissing", "open_invoices.csv:2:Client")
        ]


def test_l5_a_row_of_another_length_is_nobodys_unless_the_file_ends_there(
    tmp_path: Path,
) -> None:
    short = ROW.removesuffix(",no")
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{short}\n{ROW}\n")
    matters = CsvMatterData(folder, WHOLE)

    assert ask(matters, "C-1") == [SEVEN]
    assert lost(matters, "C-1") == [("RowLength", "open_invoices.csv:2")]


def test_a_matter_that_is_nowhere_has_no_client(tmp_path: Path) -> None:
    mapping = CsvMapping(currency="USD", invoices=InvoiceColumns(client=None))
    folder = put(
        tmp_path,
        open_invoices=f"{HEADER}\n{ROW}\n",
        matters=("Matter,Client,Description\nM-2,C-2,Tax\n"),
    )

    assert lost(CsvMatterData(folder, mapping), "C-2") == [
        ("UnknownMatter", "open_invoices.csv:2:Matter")
    ]


def test_a_matter_of_two_clients_is_nobodys(tmp_path: Path) -> None:
    mapping = CsvMapping(currency="USD", invoices=InvoiceColumns(client=None))
    folder = put(
        tmp_path,
        matters=(
            "Matter,Client,Description\n,C-1,x\nM-1,C-1,Tax\nM-1,C-2,Tax\n"
        ),
    )

    assert lost(CsvMatterData(folder, mapping), "C-1") == [
        ("DuplicateKey", "open_invoices.csv:2:Matter")
    ]


def test_an_equal_row_counts_once(tmp_path: Path) -> None:
    folder = put(tmp_path, open_invoices=f"{HEADER}\n{ROW}\n{ROW}\n")

    assert ask(CsvMatterData(folder, WHOLE), "C-1") == [SEVEN]


@pytest.mark.parametrize(
    "again",
    [
        ROW.replace("80.00", "81.00"),
        ROW.replace("C-1,M-1", "C-2,M-2"),
        ROW.replace("Open", "Draft"),
    ],
)
def test_l5_a_number_with_two_contents_is_left_out_for_both_clients(
    tmp_path: Path, again: str
) -> None:
    third = ROW.replace("INV-7,C-1", "INV-8,C-3")
    text = f"{HEADER}\n{ROW}\n{again}\n{third}\n{again}\n"
    matters = CsvMatterData(put(tmp_path, open_invoices=text), WHOLE)
    client = again.split(",")[1]

    for each in {"C-1", client}:
        assert ask(matters, each) == []
    found = lost(matters, *dict.fromkeys(["C-1", client]))
    assert found[:2] == [
        ("ConflictingInvoice", "open_invoices.csv:2:Invoice"),
        ("ConflictingInvoice", "open_invoices.csv:3:Invoice"),
    ]
    assert [each.number for each in ask(matters, "C-3")] == ["INV-8"]


def test_l5_a_bad_row_of_a_number_keeps_its_good_one_back(
    tmp_path: Path,
) -> None:
    bad = ROW.replace("80.00", "x")
    for rows in ([ROW, bad], [bad, ROW]):
        text = "\n".join([HEADER, *rows])
        matters = CsvMatterData(put(tmp_path, open_invoices=text), WHOLE)
        assert ask(matters, "C-1") == []
        assert len(lost(matters, "C-1")) == 1


def test_a_currency_column_decides_for_its_row(tmp_path: Path) -> None:
    mapping = CsvMapping(
        currency="USD", invoices=InvoiceColumns(currency="Cur")
    )
    text = (
        "Invoice,Client,Matter,Invoice Date,Balance,Cur\n"
        "A,C-1,M-1,2026-01-05,80,JPY\n"
        "B,C-2,M-2,2026-01-05,80.5,JPY\n"
        "C,C-3,M-3,2026-01-05,80,usd\n"
    )
    matters = CsvMatterData(put(tmp_path, open_invoices=text), mapping)

    assert ask(matters, "C-1")[0].balance == Money.of("80", "JPY")
    assert lost(matters, "C-2", "C-3") == [
        ("AmountScale", "open_invoices.csv:3:Balance"),
        ("CurrencyUnknown", "open_invoices.csv:4:Cur"),
    ]


def test_a_card_number_in_an_export_is_not_shown(tmp_path: Path) -> None:
    folder = put(tmp_path, clients="Client,Name\nC-1,4111111111111111\n")

    [found] = find(CsvMatterData(folder, WHOLE), SearchBy.CLIENT_NUMBER, "C-1")

    assert found.client_name == "…"


# -- The mapping itself ------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code", "path"),
    [
        (lambda: CsvFormat(delimiter=":"), "FormatInvalid", "delimiter"),
        (lambda: CsvFormat(encoding="utf-7"), "FormatInvalid", "encoding"),
        (lambda: CsvFormat(date="Y-MM-DD"), "FormatInvalid", "date"),
        (lambda: CsvFormat(months=("Jan",)), "FormatInvalid", "months"),
        (lambda: CsvFormat(zero=("1",)), "FormatInvalid", "zero"),
        (lambda: CsvFormat(zero=["-"]), "FieldType", "zero"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Column, "FieldMissing", "name"),
        (lambda: Column(name="a", place=1), "FieldMissing", "name"),
        (lambda: Column(place=0), "OutOfRange", "place"),
        (lambda: Sum(()), "FieldMissing", "plus"),
        (lambda: Sum(("",)), "FieldMissing", "plus"),
        (lambda: Totals(column=""), "FieldMissing", "column"),
        (lambda: Totals(column="a", grand=("",)), "FieldMissing", "grand"),
        (lambda: StatedIn(begins="As of ", date="D"), "FormatInvalid", "date"),
        (lambda: InvoiceColumns(kinds={"bill": 2}), "OutOfRange", "kinds"),
        (lambda: InvoiceColumns(balance=""), "FieldMissing", "balance"),
        (lambda: InvoiceColumns(client=""), "FieldMissing", "client"),
        (
            lambda: CsvMapping(currency="USD", stated_at="now"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            "FieldType",
            "stated_at",
        ),
        (lambda: CsvFormat(date="YYYY-MM"), "FormatInvalid", "date"),
        (lambda: CsvFormat(date="YYYY-MM-DDTHH"), "FormatInvalid", "date"),
        (lambda: CsvFormat(date="YYYY-MM-M-DD"), "FormatInvalid", "date"),
        (
            lambda: CsvFormat(decimal_point=";"),
            "FormatInvalid",
            "decimal_point",
        ),
        (lambda: CsvFormat(digit_group="."), "FormatInvalid", "digit_group"),
        (lambda: CsvFormat(symbol="1"), "FormatInvalid", "symbol"),
        (lambda: CsvMapping(currency="usd"), "CurrencyUnknown", "currency"),
        (
            lambda: InvoiceColumns(file="../x.csv"),
            "FileName",
            "file",
        ),
        (lambda: ClientColumns(file="a\\b"), "FileName", "file"),
        (lambda: MatterColumns(file=".."), "FileName", "file"),
        (lambda: InvoiceColumns(number=""), "FieldMissing", "number"),
        (
            lambda: InvoiceColumns(matter=Constant("m"), client=None),
            "FieldMissing",
            "client",
        ),
        (lambda: Constant(""), "FieldMissing", "text"),
        (
            lambda: CsvMapping(
                currency="USD",
                invoices=InvoiceColumns(client=None),
                matters=None,
            ),
            "FieldMissing",
            "invoices.client",
        ),
        (
            lambda: InvoiceColumns(
                statuses={"open": "open"}  # type: ignore[dict-item]
            ),
            "FieldType",
            "statuses['open']",
        ),
        (
            lambda: Hold(column="x", words=["yes"]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            "FieldType",
            "words",
        ),
        (
            lambda: CsvMatterData(
                ".", CsvMapping(currency="USD"), page_size=0
            ),
            "OutOfRange",
            "page_size",
        ),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(
    make: Callable[[], object], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert (caught.value.code, caught.value.path) == (code, path)


# -- The clauses of matter data ----------------------------------------------


def test_md_1_only_covered_rows_are_returned(tmp_path: Path) -> None:
    rows = [
        ROW,
        ROW.replace("INV-7,C-1,M-1", "INV-8,C-1,M-2"),
        ROW.replace("INV-7,C-1,M-1", "INV-9,C-2,M-1"),
    ]
    folder = put(tmp_path, open_invoices="\n".join([HEADER, *rows]))
    matters = CsvMatterData(folder, WHOLE)
    query = InvoiceQuery(
        payer="p",
        associations=(
            Association.to_matter(payer="p", client="C-1", matter="M-1"),
        ),
    )

    assert matters.open_invoices(query).invoices == (SEVEN,)


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_md_2_the_pages_give_every_row(tmp_path: Path, page_size: int) -> None:
    rows = [ROW.replace("INV-7", f"INV-{n}") for n in range(7)]
    folder = put(tmp_path, open_invoices="\n".join([HEADER, *rows]))

    found = ask(CsvMatterData(folder, WHOLE, page_size=page_size), "C-1")

    assert [each.number for each in found] == [f"INV-{n}" for n in range(7)]


def test_md_2_an_export_written_between_two_pages_is_an_incomplete_read(
    tmp_path: Path,
) -> None:
    rows = [ROW.replace("INV-7", f"INV-{n}") for n in range(3)]
    put(tmp_path, open_invoices="\n".join([HEADER, *rows]))
    matters = CsvMatterData(tmp_path, WHOLE, page_size=2)
    query = InvoiceQuery(
        payer="p",
        associations=(Association.to_client(payer="p", client="C-1"),),
    )
    page = matters.open_invoices(query)
    put(tmp_path, open_invoices="\n".join([HEADER, *rows[1:]]))

    with pytest.raises(IncompleteReadError):
        matters.open_invoices(attrs.evolve(query, page=page.next_page))
    with pytest.raises(InvalidValueError, match="PageFormat"):
        matters.open_invoices(attrs.evolve(query, page="2"))


def test_md_2_a_file_that_changes_while_it_is_read_is_an_incomplete_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matters = CsvMatterData(put(tmp_path), WHOLE)
    real, asked = os.fstat, iter(range(9))

    def growing(file: int) -> Any:
        found = real(file)
        return type(
            "Stat",
            (),
            {
                "st_size": found.st_size + next(asked),
                "st_mtime_ns": found.st_mtime_ns,
            },
        )

    monkeypatch.setattr(os, "fstat", growing)

    with pytest.raises(IncompleteReadError):
        ask(matters, "C-1")


def test_md_4_a_new_export_is_seen_at_once_even_at_the_same_time_and_size(
    tmp_path: Path,
) -> None:
    matters = CsvMatterData(put(tmp_path), WHOLE)
    path = tmp_path / "open_invoices.csv"
    before, stat = ask(matters, "C-1"), path.stat()

    put(tmp_path, open_invoices=f"{HEADER}\n{ROW.replace('80.00', '79.00')}\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = ask(matters, "C-1")

    assert before == [SEVEN]
    assert after == [attrs.evolve(SEVEN, balance=Money.of("79.00", "USD"))]


def test_md_5_an_empty_query_reads_nothing(tmp_path: Path) -> None:
    matters = CsvMatterData(tmp_path / "nowhere", WHOLE)

    page = matters.open_invoices(InvoiceQuery(payer="p", associations=()))

    assert page.invoices == ()


def test_md_7_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailableError) as caught:
        ask(CsvMatterData(tmp_path, WHOLE), "C-1")

    assert caught.value.code == "FileUnreadable"
    assert str(tmp_path) not in str(caught.value)


# -- Search (A6, MD-6) -------------------------------------------------------

FIRM = {
    "clients": (
        "Client,Name\n"
        "C-1,Straße & Söhne\n"
        'C-10,"Acme, Inc. 100%"\n'
        "C-3,Acme Holding\n"
    ),
    "matters": (
        "Matter,Client,Description\n"
        "M-1,C-1,Lease dispute\n"
        'M-2,C-10,"Tax\nappeal"\n'
        "M-1,C-10,LEASE renewal\n"
    ),
    "open_invoices": "\n".join(
        [
            HEADER,
            ROW,
            ROW.replace("INV-7,C-1,M-1", "INV-70,C-10,M-2"),
            ROW.replace("INV-7,C-1,M-1", "INV-8,C-9,M-9"),
        ]
    ),
}


@pytest.mark.parametrize(
    ("by", "text", "expected"),
    [
        (SearchBy.CLIENT_NAME, "acme", [("C-10",), ("C-3",)]),
        (SearchBy.CLIENT_NAME, "STRASSE", [("C-1",)]),
        (SearchBy.CLIENT_NAME, "%", [("C-10",)]),
        (SearchBy.CLIENT_NAME, "*", []),
        (SearchBy.CLIENT_NUMBER, "C-1", [("C-1",)]),
        (SearchBy.CLIENT_NUMBER, "c-1", []),
        (SearchBy.CLIENT_NUMBER, "C-9", [("C-9",)]),
        (SearchBy.MATTER_NUMBER, "M-1", [("C-1", "M-1"), ("C-10", "M-1")]),
        (SearchBy.MATTER_NUMBER, "M", []),
        (
            SearchBy.MATTER_DESCRIPTION,
            "lease",
            [("C-1", "M-1"), ("C-10", "M-1")],
        ),
        (SearchBy.MATTER_DESCRIPTION, "\\x0aapp", [("C-10", "M-2")]),
        (SearchBy.INVOICE_NUMBER, "INV-7", [("C-1", "M-1", "INV-7")]),
        (SearchBy.INVOICE_NUMBER, "INV", []),
    ],
)
@pytest.mark.parametrize("page_size", [1, 100])
def test_staff_find_what_to_associate(
    tmp_path: Path,
    by: SearchBy,
    text: str,
    expected: list[tuple[str, ...]],
    page_size: int,
) -> None:
    matters = CsvMatterData(put(tmp_path, **FIRM), WHOLE, page_size=page_size)

    found = find(matters, by, text)

    assert [
        tuple(
            each
            for each in (one.client, one.matter, one.invoice)
            if each is not None
        )
        for one in found
    ] == expected


def test_what_was_found_can_be_associated_and_paid(tmp_path: Path) -> None:
    matters = CsvMatterData(put(tmp_path, **FIRM), WHOLE)
    [found] = find(matters, SearchBy.INVOICE_NUMBER, "INV-70")

    page = matters.open_invoices(
        InvoiceQuery(payer="p", associations=(associate("p", found),))
    )

    assert [each.number for each in page.invoices] == ["INV-70"]
    assert found.client_name == "Acme, Inc. 100%"
    assert found.matter_description == "Tax\\x0aappeal"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Client,Name\nC-1,Acme\nC-1,Bolt\nC-1,Acme\n", ["Acme / Bolt"]),
        ("Client,Name\n,Acme\nC-1,Bolt\n", ["Bolt"]),
        ("Client,Name\n\u3164,Acme\nC-1,Bolt\n", ["Bolt"]),
    ],
)
def test_a6_a_search_finds_what_stands_beside_a_bad_row(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    bad = ROW.replace("INV-7,C-1", ",C-2")
    folder = put(
        tmp_path,
        clients=text,
        matters="Matter,Client,Description\n,C,x\nM-1,C-1,y\n",
        open_invoices=f"{HEADER}\n{bad}\n{ROW}\n",
    )
    matters = CsvMatterData(folder, WHOLE)

    found = find(matters, SearchBy.CLIENT_NUMBER, "C-1")

    assert [each.client_name for each in found] == names
    assert len(find(matters, SearchBy.MATTER_DESCRIPTION, "y")) == 1
    assert find(matters, SearchBy.CLIENT_NUMBER, "C") == []


def test_a6_an_invoice_whose_amount_cannot_be_read_is_found(
    tmp_path: Path,
) -> None:
    folder = put(tmp_path, open_invoices=with_cell("Balance", "x"))

    [found] = find(
        CsvMatterData(folder, WHOLE), SearchBy.INVOICE_NUMBER, "INV-7"
    )

    assert (found.client, found.matter) == ("C-1", "M-1")


# -- Round trips -------------------------------------------------------------

WORDS = {
    status: "" if status is InvoiceStatus.UNKNOWN else status.value
    for status in InvoiceStatus
}


def exported(rows: Iterable[Invoice], written: CsvFormat) -> bytes:
    """Write invoices as a system would that knows nothing of ours."""
    made = io.StringIO(newline="")
    writer = csv.writer(made, delimiter=written.delimiter)
    writer.writerow([*HEADER.split(","), "Cur"])
    for row in rows:
        writer.writerow(
            [
                row.number,
                row.client,
                row.matter,
                _day(row.issued_on, written),
                "" if row.due_on is None else _day(row.due_on, written),
                "" if row.total is None else _amount(row.total, written),
                _amount(row.balance, written),
                WORDS[row.status].replace("_", " ").upper(),
                row.account.value,
                "No",
                row.balance.currency,
            ]
        )
    return made.getvalue().encode(written.encoding)


def _day(day: date, written: CsvFormat) -> str:
    return (
        written.date.replace("YYYY", f"{day.year:04d}")
        .replace("MM", f"{day.month:02d}")
        .replace("DD", f"{day.day:02d}")
        .replace("M", str(day.month))
        .replace("D", str(day.day))
    )


def _amount(amount: Money, written: CsvFormat) -> str:
    digits = MINOR_DIGITS[amount.currency]
    whole, rest = divmod(abs(amount.amount_minor), 10**digits)
    text = f"{whole:,}".replace(",", written.digit_group)
    if digits:
        text += f"{written.decimal_point}{rest:0{digits}d}"
    text = written.symbol + text
    if amount.amount_minor >= 0:
        return text
    return f"({text})" if written.parentheses else f"-{text}"


formats = st.builds(
    CsvFormat,
    delimiter=st.sampled_from(",;\t|"),
    date=st.sampled_from(["YYYY-MM-DD", "M/D/YYYY", "DD.MM.YYYY", "D M YYYY"]),
    decimal_point=st.just("."),
    digit_group=st.sampled_from(["", ",", "'", " "]),
    symbol=st.sampled_from(["", "$", "US$ "]),
    parentheses=st.booleans(),
) | st.builds(
    CsvFormat,
    decimal_point=st.just(","),
    digit_group=st.sampled_from(["", ".", "\u202f"]),
)


@given(
    rows=st.lists(
        # An export has one column for the matter.
        invoices().map(lambda each: attrs.evolve(each, matters=())),
        max_size=5,
        unique_by=lambda each: each.number,
    ),
    written=formats,
)
def test_what_was_exported_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Invoice],
    written: CsvFormat,
) -> None:
    folder = tmp_path_factory.mktemp("firm")
    mapping = attrs.evolve(
        WHOLE,
        invoices=attrs.evolve(WHOLE.invoices, currency="Cur"),
        written=written,
    )
    (folder / "open_invoices.csv").write_bytes(exported(rows, written))
    clients = list(dict.fromkeys(each.client for each in rows))

    found = ask(CsvMatterData(folder, mapping, page_size=2), *clients)

    assert sorted(found, key=lambda each: each.number) == sorted(
        rows, key=lambda each: each.number
    )


@given(
    st.dictionaries(
        ids,
        st.dictionaries(ids, st.text(max_size=20).map(str.strip), max_size=3),
        max_size=4,
    )
)
def test_every_client_and_matter_is_found_by_its_number(
    tmp_path_factory: pytest.TempPathFactory,
    firm: dict[str, dict[str, str]],
) -> None:
    folder = tmp_path_factory.mktemp("firm")
    for name, rows in (
        ("clients", [["Client", "Name"], *([each, "N"] for each in firm)]),
        (
            "matters",
            [
                ["Matter", "Client", "Description"],
                *(
                    [matter, client, "D"]
                    for client, matters in firm.items()
                    for matter in matters
                ),
            ],
        ),
        ("open_invoices", [HEADER.split(",")]),
    ):
        with (folder / f"{name}.csv").open(
            "w", encoding="utf-8", newline=""
        ) as file:
            csv.writer(file).writerows(rows)
    found = CsvMatterData(folder, WHOLE).search(
        SearchQuery(by=SearchBy.CLIENT_NAME, text="n")
    )

    assert {each.client for each in found.results} == set(firm)
    described = CsvMatterData(folder, WHOLE).search(
        SearchQuery(by=SearchBy.MATTER_DESCRIPTION, text="D")
    )
    assert {(each.client, each.matter) for each in described.results} == {
        (client, matter)
        for client, matters in firm.items()
        for matter in matters
    }


@given(
    st.dates(DATE_MIN, DATE_MAX),
    st.sampled_from(["YYYY-MM-DD", "M/D/YYYY", "YYYYMMDD", "D. M. YYYY"]),
)
@example(date(2028, 2, 29), "M/D/YYYY")
def test_every_date_is_read_back(day: date, written: str) -> None:
    form = CsvFormat(date=written)

    assert form.read_date(_day(day, form)) == day


# -- Postings out ------------------------------------------------------------


def posting(**fields: Any) -> Posting:
    values: dict[str, Any] = {
        "id": "p-1",
        "run": RunKey(autopay="ap-1", nominal_on=date(2026, 1, 31)),
        "payer": "p",
        "client": "C-1",
        "matter": "M-1",
        "invoice": "INV-7",
        "amount": Money.of("80.00", "USD"),
        "charged_on": date(2026, 1, 31),
        "payment_reference": "pay-1",
        "deposit_account": DepositAccount(
            id="operating", kind=AccountKind.OPERATING
        ),
    }
    return Posting(**{**values, **fields})


def unguarded(cell: str) -> str:
    """Take one apostrophe away where a cell or a piece of it begins."""
    return re.sub("(^|[;\t|])'", r"\1", cell)


def read_back(lines: Iterable[str]) -> list[dict[str, str]]:
    return list(
        csv.DictReader(io.StringIO("".join(lines), newline=""), strict=True)
    )


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        " =1+1",
        "\u00a0=1+1",
        "\uff1d1+1",
        "\u3000\uff0b1",
        "'=1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://x";"y")',
    ],
)
def test_no_cell_of_an_export_is_a_formula(text: str) -> None:
    [row] = read_back(postings_csv([posting(ar_message=text, invoice=text)]))

    for cell in (row["ar_message"], row["invoice"]):
        assert cell.startswith("'")
        assert unguarded(cell) == text


@pytest.mark.parametrize("apart", [";", "\t", "|"])
@pytest.mark.parametrize("piece", ["=1+1", " -1", "@SUM(A1)", "\uff1d1"])
def test_no_piece_of_a_cell_is_a_formula_where_something_else_parts_cells(
    piece: str, apart: str
) -> None:
    """Excel in most of Europe parts cells at semicolons."""
    text = f"a{apart}{piece}{apart}b"

    lines = "".join(postings_csv([posting(ar_message=text)]))

    assert guarded(text) == f"a{apart}'{piece}{apart}b"
    assert unguarded(guarded(text)) == text
    for cell in csv.reader(io.StringIO(lines, newline=""), delimiter=apart):
        assert not any(each.lstrip(' "').startswith("=") for each in cell)


@pytest.mark.parametrize("text", ["\r=1", "\n=1", "a\n=1", "a\r\n@x"])
def test_no_line_within_a_cell_is_a_formula(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "Acme", "O'Hara", "a=b", "1-2", "Ä +", "INV-7"]
)
def test_harmless_texts_are_left_alone(text: str) -> None:
    assert guarded(text) == text


def test_numbers_and_dates_are_written_as_such() -> None:
    back = posting(
        id="p-2",
        amount=Money.of("-80.00", "USD"),
        reverses="p-1",
        status=PostingStatus.QUEUED,
    )

    _, line = postings_csv([back])

    assert '"INV-7",-80.00,"USD"' in line
    assert '"queued",2026-01-31,' in line
    assert line.endswith('"\r\n')


text_fields = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]),
    max_size=30,
).filter(lambda text: not any(char.isdigit() for char in text))


@given(invoice=ids, client=ids, message=text_fields)
@example(invoice='a"b', client="=x,y", message="'")
@example(invoice="'", client="''", message="'='")
@example(invoice=";'", client="';;'='", message="|;'=;-")
def test_every_text_of_a_posting_is_read_back(
    invoice: str, client: str, message: str
) -> None:
    [row] = read_back(
        postings_csv(
            [posting(invoice=invoice, client=client, ar_message=message)]
        )
    )

    for name, text in (
        ("invoice", invoice),
        ("client", client),
        ("ar_message", message),
    ):
        cell = row[name]
        assert unguarded(cell) == text
        assert (cell == text) == (guarded(text) == text)


def test_an_export_is_written_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "postings.csv"

    count = write_postings_csv([posting(), posting(id="p-2")], path)
    before = path.read_bytes()

    def broken() -> Iterable[Posting]:
        yield posting()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_postings_csv(broken(), path)
    with pytest.raises(PortUnavailableError) as caught:
        write_postings_csv([], tmp_path / "nowhere" / "x.csv")

    assert count == 2
    assert before.startswith(b'\xef\xbb\xbf"posting"')
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["postings.csv"]
    assert caught.value.code == "FileUnwritable"


def test_an_export_holds_no_payment_token() -> None:
    header, *_ = postings_csv([])

    assert "token" not in header
    assert "method" not in header


def _columns(text: str) -> Sequence[str]:
    return next(csv.reader([text]))


def test_every_line_has_as_many_cells_as_the_header() -> None:
    header, line = postings_csv([posting(note='a,"b"\u00e9')])

    assert len(_columns(header)) == len(_columns(line)) == 17
