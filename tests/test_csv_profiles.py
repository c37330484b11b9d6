"""Files as people have them: declared, read whole or refused, and shown."""

from __future__ import annotations

import io
import os
import runpy
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters.csv import (
    FILE_TIME,
    PROFILES,
    CarriedDown,
    Column,
    Constant,
    CsvFormat,
    CsvMapping,
    CsvMatterData,
    InvoiceColumns,
    LineItems,
    StatedIn,
    Sum,
    Totals,
    check,
    ledes_1998b,
    quickbooks_ageing,
    quickbooks_open_invoices,
)
from autopay_core.adapters.csv.cells import CELL_MAX, HEADER_ROWS
from autopay_core.adapters.csv.command import main
from autopay_core.adapters.csv.reading import Note, read_invoices
from autopay_core.associations import Association, InvoiceQuery
from autopay_core.errors import (
    AutopayError,
    FormatError,
    IncompleteReadError,
    InvalidValueError,
)
from autopay_core.money import Money
from steps import growth

if TYPE_CHECKING:
    from pathlib import Path

    from autopay_core.adapters.csv.reading import InvoicesRead

PLAIN = CsvMapping(currency="USD", clients=None, matters=None)
HEAD = "Invoice,Client,Matter,Invoice Date,Balance"


def changed(written: CsvFormat | None = None, **columns: Any) -> CsvMapping:
    """Return the plain mapping with other columns and another format."""
    return attrs.evolve(
        PLAIN,
        invoices=attrs.evolve(PLAIN.invoices, **columns),
        written=written or PLAIN.written,
    )


def read(
    text: str | bytes, mapping: CsvMapping = PLAIN, notes: Any = None
) -> InvoicesRead:
    data = text if isinstance(text, bytes) else text.encode()
    return read_invoices(
        data, mapping, {}, note=None if notes is None else notes.append
    )


def owed(found: InvoicesRead) -> dict[str, str]:
    assert not found.unreadable, found.unreadable
    return {str(e.number): str(e.balance) for e in found.invoices}


def lost(found: InvoicesRead) -> list[tuple[str, str]]:
    return [(each.code, each.where) for each in found.unreadable]


def refusal(text: str | bytes, mapping: CsvMapping = PLAIN) -> tuple[str, str]:
    with pytest.raises(FormatError) as caught:
        read(text, mapping)
    return caught.value.code, caught.value.path


# -- Where the header stands -------------------------------------------------


@pytest.mark.parametrize("above", [0, 1, 3, HEADER_ROWS - 1])
def test_a_title_may_stand_above_the_header(above: int) -> None:
    title = "".join(f"Title {each}\n\n" for each in range(above))

    found = read(f"{title}{HEAD}\n1,C-1,M-1,2026-01-05,80.00\n")

    assert owed(found) == {"1": "USD 80.00"}
    assert found.rows == 1


def test_a_header_is_looked_for_in_the_first_rows_only() -> None:
    title = "T\n" * HEADER_ROWS

    assert refusal(f"{title}{HEAD}\n1,C-1,M-1,2026-01-05,80.00\n") == (
        "ColumnMissing",
        "open_invoices.csv:1:Invoice",
    )


def test_a_header_that_is_nearly_one_is_named() -> None:
    assert refusal(f"T,Client\n{HEAD.replace('Balance', 'Rest')}\n") == (
        "ColumnMissing",
        "open_invoices.csv:2:Balance",
    )
    assert refusal(f"{HEAD},Balance\n") == (
        "DuplicateColumn",
        "open_invoices.csv:1:Balance",
    )


def test_a_header_may_be_said_to_stand_on_a_line() -> None:
    text = f"{HEAD}\n1,C-1,M-1,2026-01-05,9\n{HEAD}\n2,C-1,M-1,2026-01-05,8\n"

    assert owed(read(text, changed(header_line=3))) == {"2": "USD 8.00"}
    for line in (2, 9):
        code, path = refusal(text, changed(header_line=line))
        assert code in {"ColumnMissing", "HeaderMissing"}, path


def test_a_column_without_a_name_has_a_place() -> None:
    text = f"{HEAD.replace('Client', '')}\n1,C-1,M-1,2026-01-05,80.00\n"

    found = read(text, changed(client=Column(place=2)))

    assert found.invoices[0].client == "C-1"
    assert refusal(text, changed(client=Column(place=6)))[0] == "ColumnMissing"
    bad = text.replace("C-1", "")
    assert lost(read(bad, changed(client=Column(place=2)))) == [
        ("FieldMissing", "open_invoices.csv:2:column 2")
    ]


# -- Titles, footers, headings, totals ---------------------------------------

ROWS = (
    "1,C-1,M-1,2026-01-05,80.00\n"
    "2,C-1,M-1,2026-01-06,20.00\n"
    "3,C-2,M-1,2026-01-07,-5.00\n"
)
TOTALLED = changed(
    totals=Totals(column="Invoice", grand=("Total",), each=("Sum of ",)),
    footers=("Printed ",),
)


def test_b3_rows_that_add_up_to_their_total_are_read() -> None:
    notes: list[Note] = []

    found = read(
        f"{HEAD}\n{ROWS}total,,,,95.00\n\n,,,,\nPrinted at noon\n",
        TOTALLED,
        notes,
    )

    assert owed(found) == {
        "1": "USD 80.00",
        "2": "USD 20.00",
        "3": "USD -5.00",
    }
    assert found.rows == 3
    assert [each.taken_as for each in notes] == [
        *["invoice"] * 3,
        "total",
        "footer",
    ]


@pytest.mark.parametrize("stated", ["94.99", "95.01", "100.00", "0.00"])
def test_b3_rows_that_do_not_add_up_are_no_read(stated: str) -> None:
    with pytest.raises(IncompleteReadError) as caught:
        read(f"{HEAD}\n{ROWS}Total,,,,{stated}\n", TOTALLED)

    assert caught.value.code == "ControlTotal"
    assert "open_invoices.csv:5" in str(caught.value)


def test_b3_a_total_of_rows_that_cannot_be_read_is_not_known() -> None:
    bad = ROWS.replace("20.00", "x")
    found = read(f"{HEAD}\n{bad}Total,,,,95.00\n", TOTALLED)

    assert lost(found) == [("AmountFormat", "open_invoices.csv:3:Balance")]
    assert len(found.invoices) == 2


def test_b3_nothing_follows_the_total_of_all() -> None:
    assert refusal(
        f"{HEAD}\n{ROWS}Total,,,,95.00\n4,C-1,M-1,2026-01-05,1.00\n", TOTALLED
    ) == ("RowAfterTotal", "open_invoices.csv:6")


def test_b3_a_total_in_several_currencies_is_none_of_ours() -> None:
    mapping = attrs.evolve(
        TOTALLED, invoices=attrs.evolve(TOTALLED.invoices, currency="Cur")
    )
    found = read(
        f"{HEAD},Cur\n1,C-1,M-1,2026-01-05,80.00,EUR\n"
        "2,C-1,M-1,2026-01-05,1,USD\nTotal,,,,1.00,\n",
        mapping,
    )

    assert len(found.invoices) == 2


def test_a_totals_row_that_nobody_declared_is_left_out_by_name() -> None:
    """One row of an unknown client is borne; it pays nobody."""
    found = read(f"{HEAD}\n{ROWS}Total,,,,95.00\n")

    assert lost(found) == [("FieldMissing", "open_invoices.csv:5:Client")]
    assert len(found.invoices) == 3


def test_b3_a_file_that_ends_within_a_row_was_cut_off() -> None:
    assert refusal(f"{HEAD}\n{ROWS}4,C-1,M-1,2026") == (
        "RowLength",
        "open_invoices.csv:5",
    )


def test_b3_a_header_alone_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "open_invoices.csv").write_text(f"{HEAD}\n")

    with pytest.raises(IncompleteReadError) as caught:
        page_of(tmp_path, PLAIN)
    assert caught.value.code == "NoRows"
    empty = page_of(tmp_path, attrs.evolve(PLAIN, may_be_empty=True))
    assert (empty.invoices, empty.total, empty.source_rows) == ((), 0, 0)


def page_of(folder: Path, mapping: CsvMapping, client: str = "C-1") -> Any:
    tie = Association.to_client(payer="p", client=client)
    return CsvMatterData(folder, mapping).open_invoices(
        InvoiceQuery(payer="p", associations=(tie,))
    )


# -- A client that is carried down -------------------------------------------

CARRIED = changed(
    client=CarriedDown(column="Client"),
    totals=Totals(column="Client", each=("Total for ",)),
)


def test_a_client_may_stand_above_its_rows() -> None:
    notes: list[Note] = []
    found = read(
        f"{HEAD}\n"
        ",C-1,,,\n"
        "1,,M-1,2026-01-05,80.00\n"
        "2,,M-1,2026-01-05,20.00\n"
        ",Total for C-1,,,100.00\n"
        ",C-2,,,\n"
        "3,,M-1,2026-01-05,5.00\n"
        ",Total for C-2,,,5.00\n"
        ",Total,,,105.00\n",
        CARRIED,
        notes,
    )

    assert [each.client for each in found.invoices] == ["C-1", "C-1", "C-2"]
    assert owed(found)["3"] == "USD 5.00"
    assert [each.taken_as for each in notes].count("heading") == 2


def test_a_client_may_stand_beside_its_first_row() -> None:
    found = read(
        f"{HEAD}\n1,C-1,M-1,2026-01-05,80\n2,,M-1,2026-01-05,20\n"
        "3,C-2,M-1,2026-01-05,5\n",
        CARRIED,
    )

    assert [each.client for each in found.invoices] == ["C-1", "C-1", "C-2"]


def test_l5_rows_under_no_client_are_nobodys() -> None:
    found = read(
        f"{HEAD}\n"
        "1,,M-1,2026-01-05,80.00\n"
        f",{'x' * 129},,,\n"
        "2,,M-1,2026-01-05,20.00\n"
        ",C-1,,,\n"
        "3,,M-1,2026-01-05,5.00\n"
        ",Total for C-1,,,5.00\n"
        "4,,M-1,2026-01-05,1.00\n",
        CARRIED,
    )

    assert [each.number for each in found.invoices] == ["3"]
    assert [
        (each.code, each.number, each.client) for each in found.unreadable
    ] == [
        ("ClientMissing", "1", None),
        ("ClientMissing", "2", None),
        ("ClientMissing", "4", None),
    ]


def test_b3_the_total_of_a_client_is_checked() -> None:
    with pytest.raises(IncompleteReadError, match="add up to"):
        read(
            f"{HEAD}\n,C-1,,,\n1,,M-1,2026-01-05,80\n,Total for C-1,,,81\n",
            CARRIED,
        )


def test_a_total_of_groups_within_groups_is_passed_over() -> None:
    found = read(
        f"{HEAD}\n,C-1,,,\n1,,M-1,2026-01-05,80.00\n,Total for C-1,,,80.00\n"
        ",Total for Holding,,,500.00\n",
        CARRIED,
    )

    assert owed(found) == {"1": "USD 80.00"}


# -- Line items --------------------------------------------------------------

ITEMS = (
    f"{HEAD},Task\n"
    "1,C-1,M-1,2026-01-05,10000.00,A\n"
    "1,C-1,M-1,2026-01-05,10000.00,C\n"
)


def test_two_equal_line_items_are_two() -> None:
    found = read(ITEMS, changed(line_items=LineItems()))

    assert owed(found) == {"1": "USD 20,000.00"}
    same = ITEMS.replace(",C\n", ",A\n")
    assert owed(read(same, changed(line_items=LineItems()))) == owed(found)


def test_line_items_that_nobody_declared_are_refused() -> None:
    assert refusal(ITEMS) == ("LineItems", "open_invoices.csv:3:Invoice")
    unequal = ITEMS.replace("10000.00,C", "9.00,C")
    assert [code for code, _ in lost(read(unequal))] == [
        "ConflictingInvoice"
    ] * 2


def test_a1_line_items_may_name_several_matters() -> None:
    found = read(
        f"{HEAD}\n"
        "1,C-1,M-1,2026-01-05,10\n"
        "1,C-1,M-2,2026-01-05,20\n"
        "1,C-1,M-1,2026-01-05,-5\n",
        changed(line_items=LineItems()),
    )

    [invoice] = found.invoices
    assert invoice.matter == "M-1"
    assert invoice.matters == ("M-1", "M-2")
    assert invoice.balance == Money.of("25", "USD")


@pytest.mark.parametrize(
    "again",
    [
        "1,C-2,M-1,2026-01-05,20,A",
        "1,C-1,M-1,2026-01-06,20,A",
        "1,C-1,M-1,2026-01-05,x,A",
    ],
)
def test_l5_a_line_item_that_differs_keeps_its_invoice_back(
    again: str,
) -> None:
    other = "2,C-1,M-1,2026-01-05,7,A"
    for rows in (
        [ITEMS.rstrip(), again, other],
        [HEAD + ",Task", again, ITEMS.split("\n")[1], other],
    ):
        found = read("\n".join(rows), changed(line_items=LineItems()))
        assert [each.number for each in found.invoices] == ["2"]
        assert {each.number for each in found.unreadable} == {"1"}


def test_l5_line_items_in_two_currencies_are_none() -> None:
    found = read(
        f"{HEAD},Cur\n1,C-1,M-1,2026-01-05,1,USD\n1,C-1,M-1,2026-01-05,1,EUR\n",
        changed(line_items=LineItems(), currency="Cur"),
    )

    assert not found.invoices


def test_b3_line_items_add_up_to_what_each_of_them_says() -> None:
    mapping = changed(line_items=LineItems(adds_up_to="Whole"))
    text = (
        f"{HEAD},Whole\n"
        "1,C-1,M-1,2026-01-05,10,30\n"
        "1,C-1,M-1,2026-01-05,20,30\n"
        "2,C-1,M-1,2026-01-05,20,30\n"
    )

    found = read(text, mapping)

    assert [each.number for each in found.invoices] == ["1"]
    assert lost(found) == [("ControlTotal", "open_invoices.csv:4:Whole")]
    other = text.replace("20,30\n2", "20,31\n2")
    assert not read(other, mapping).invoices


# -- Signs, sums -------------------------------------------------------------


def test_the_sign_may_follow_from_the_kind() -> None:
    mapping = changed(
        kind="Kind", kinds={"invoice": 1, "Credit Note": -1, "quote": 0}
    )
    text = (
        f"{HEAD},Kind\n"
        "1,C-1,M-1,2026-01-05,10,Invoice\n"
        "2,C-1,M-1,2026-01-05,4,CREDIT NOTE\n"
        "3,C-1,M-1,2026-01-05,9,Quote\n"
    )

    assert owed(read(text, mapping)) == {"1": "USD 10.00", "2": "USD -4.00"}
    assert lost(read(text.replace("Quote", "Order"), mapping)) == [
        ("UnknownValue", "open_invoices.csv:4:Kind")
    ]
    # Turned round twice a credit would be owed.
    assert lost(read(text.replace(",4,", ",-4,"), mapping)) == [
        ("SignConflict", "open_invoices.csv:3:Balance")
    ]


def test_a_balance_may_be_a_sum_of_columns() -> None:
    mapping = changed(
        CsvFormat(zero=("", "-")),
        balance=Sum(("Current", "Over 30"), minus=("Paid",)),
    )
    text = (
        f"{HEAD.replace('Balance', 'Current')},Over 30,Paid\n"
        "1,C-1,M-1,2026-01-05,10,,\n"
        "2,C-1,M-1,2026-01-05,-,4.50,0.50\n"
    )

    assert owed(read(text, mapping)) == {"1": "USD 10.00", "2": "USD 4.00"}
    assert lost(read(text.replace("4.50", "x"), mapping)) == [
        ("AmountFormat", "open_invoices.csv:3:Over 30")
    ]


# -- How cells are written ---------------------------------------------------

AMERICAN = CsvFormat(
    symbol="$",
    digit_group=",",
    parentheses=True,
    padded=True,
    trailing_minus=True,
    zero=("", "-", "\u2013"),
)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("$1,234.50", 1234_50),
        ("(45.00)", -45_00),
        ("($45.00)", -45_00),
        ("-$45.00", -45_00),
        ("$-45.00", -45_00),
        ("45.00-", -45_00),
        (" $ 1,234.50 ", 1234_50),
        ("", 0),
        (" - ", 0),
        ("\u2013", 0),
        ("$0.00", 0),
    ],
)
def test_amounts_as_people_write_them(text: str, minor: int) -> None:
    assert AMERICAN.read_amount(text, "USD").amount_minor == minor


@pytest.mark.parametrize(
    "text",
    [
        "(45",
        "45)",
        "(45-",
        "-45-",
        "$-45-",
        "-(45)",
        "$$45",
        "1,23",
        "--",
        "x",
    ],
)
def test_amounts_that_are_half_of_one_are_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        AMERICAN.read_amount(text, "USD")


def test_an_unusual_form_is_refused_unless_it_was_said() -> None:
    for text in ("45.00-", " 45.00", "", "-", "$45"):
        with pytest.raises(InvalidValueError):
            CsvFormat().read_amount(text, "USD")


def test_columns_may_be_written_each_in_its_own_way() -> None:
    mapping = changed(
        CsvFormat(delimiter=";", date="D.M.YYYY"),
        balance=Column(
            name="Balance",
            written=CsvFormat(decimal_point=",", digit_group="."),
        ),
        due_on=Column(name="Due", written=CsvFormat(date="D MMM YY")),
    )
    found = read(
        "Invoice;Client;Matter;Invoice Date;Balance;Due\n"
        "1;C-1;M-1;5.1.2026;1.234,50;4 feb 26\n",
        mapping,
    )

    [invoice] = found.invoices
    assert invoice.balance == Money.of("1234.50", "USD")
    assert (invoice.issued_on, invoice.due_on) == (
        date(2026, 1, 5),
        date(2026, 2, 4),
    )


GERMAN = (
    "Januar",
    "Februar",
    "M\u00e4rz",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
)


@pytest.mark.parametrize(
    ("written", "text", "day"),
    [
        (CsvFormat(date="MMMM D, YYYY"), "December 31, 2025", "2025-12-31"),
        (CsvFormat(date="D MMM YYYY"), "5 JAN 2026", "2026-01-05"),
        (CsvFormat(date="DD-MMM-YY"), "05-may-26", "2026-05-05"),
        (CsvFormat(date="MM/DD/YY"), "01/05/99", "2099-01-05"),
        (CsvFormat(date="YYYYMMDD"), "20260131", "2026-01-31"),
        (
            CsvFormat(date="D. MMMM YYYY", months=GERMAN),
            "5. m\u00c4RZ 2026",
            "2026-03-05",
        ),
        (CsvFormat(date="M/D/YYYY", padded=True), " 1/5/2026 ", "2026-01-05"),
    ],
)
def test_dates_as_people_write_them(
    written: CsvFormat, text: str, day: str
) -> None:
    assert str(written.read_date(text)) == day
    for bad in (text + "0", f"x{text}", "x" * (CELL_MAX + 1)):
        with pytest.raises(InvalidValueError):
            written.read_date(bad)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
@example(date(2026, 5, 31))
def test_every_date_of_the_century_is_read_back(day: date) -> None:
    for form, shown in (
        ("MMMM D, YYYY", f"{day:%B} {day.day}, {day.year}"),
        ("D MMM YY", f"{day.day} {day:%b} {day:%y}"),
    ):
        assert CsvFormat(date=form).read_date(shown) == day


# -- A file that contradicts its own profile ---------------------------------

US = changed(CsvFormat(date="MM/DD/YYYY"))


def test_day_and_month_the_other_way_round_put_every_date_in_doubt() -> None:
    text = f"{HEAD}\n1,C-1,M-1,05/01/2026,1\n2,C-1,M-1,25/01/2026,1\n"

    assert refusal(text, US) == (
        "DateOrder",
        "open_invoices.csv:3:Invoice Date",
    )


def test_one_date_of_another_form_is_a_slip_where_the_form_is_proven() -> None:
    text = (
        f"{HEAD}\n1,C-1,M-1,01/25/2026,1\n2,C-1,M-1,25/01/2026,1\n"
        "3,C-1,M-1,02/30/2026,1\n4,C-1,M-1,26/01/2026,1\n"
    )

    assert [code for code, _ in lost(read(text, US))] == ["DateFormat"] * 3
    named = changed(CsvFormat(date="D MMM YYYY"))
    assert lost(read(f"{HEAD}\n1,C-1,M-1,99 JAN 2026,1\n", named)) == [
        ("DateFormat", "open_invoices.csv:2:Invoice Date")
    ]


ACCENTS = f"{HEAD}\n1,Jos\u00e9,M-1,2026-01-05,1\n"


@pytest.mark.parametrize(
    ("data", "encoding", "word"),
    [
        (ACCENTS.encode("utf-8-sig"), "cp1252", "utf-8"),
        (ACCENTS.encode(), "cp1252", "utf-8"),
        (ACCENTS.encode("cp1252"), "utf-8", "not utf-8"),
        (ACCENTS.encode("utf-16"), "utf-8", "utf-16"),
        (ACCENTS.encode("utf-16"), "cp1252", "utf-16"),
        (ACCENTS.encode(), "utf-16", "no mark"),
    ],
)
def test_a_file_that_proves_to_be_in_another_encoding_is_refused(
    data: bytes, encoding: str, word: str
) -> None:
    mapping = changed(CsvFormat(encoding=encoding))

    with pytest.raises(FormatError, match=word) as caught:
        read(data, mapping)

    assert caught.value.code == "Encoding"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_file_in_its_encoding_is_read(encoding: str) -> None:
    mapping = changed(CsvFormat(encoding=encoding))

    [invoice] = read(ACCENTS.encode(encoding), mapping).invoices

    assert invoice.client == "Jos\u00e9"
    plain = f"{HEAD}\n1,C,M-1,2026-01-05,1\n".encode(encoding)
    assert len(read(plain, mapping).invoices) == 1


# -- For when balances hold (B0) ---------------------------------------------


def test_b0_a_file_may_say_for_when_its_balances_hold() -> None:
    mapping = attrs.evolve(PLAIN, stated_at=StatedIn(begins="As of "))
    for text in (
        f"As of January 31, 2026\n{HEAD}\n1,C-1,M-1,2026-01-05,1\n",
        f"{HEAD}\n1,C-1,M-1,2026-01-05,1\nAs of January 31, 2026\n",
        f'As of X\n"As of January 31, 2026"\n{HEAD}\n1,C-1,M-1,2026-01-05,1',
    ):
        # It is that date in some place before it is in UTC.
        assert read(text, mapping).stated_in == (
            datetime(2026, 1, 30, 10, tzinfo=UTC)
        )
    assert refusal(f"{HEAD}\n1,C-1,M-1,2026-01-05,1\n", mapping) == (
        "StatedAtMissing",
        "open_invoices.csv:1",
    )


def test_b0_the_files_own_time_counts_only_where_that_is_said(
    tmp_path: Path,
) -> None:
    file = tmp_path / "open_invoices.csv"
    file.write_text(f"{HEAD}\n1,C-1,M-1,2026-01-05,1\n")
    written_at = datetime(2026, 1, 31, 6, 30, tzinfo=UTC)
    os.utime(file, (written_at.timestamp(), written_at.timestamp()))

    assert page_of(tmp_path, PLAIN).stated_at is None
    timed = attrs.evolve(PLAIN, stated_at=FILE_TIME)
    matters = CsvMatterData(tmp_path, timed)
    query = InvoiceQuery(
        payer="p",
        associations=(Association.to_client(payer="p", client="C-1"),),
    )
    assert matters.open_invoices(query).stated_at == written_at
    # Written again with the same content it is newer.
    later = written_at + timedelta(days=1)
    os.utime(file, (later.timestamp(), later.timestamp()))
    assert matters.open_invoices(query).stated_at == later


# -- Named profiles ----------------------------------------------------------

OPEN_INVOICES = """\
Harbour Trading Co.,,,,,,
Open Invoices,,,,,,
"As of January 6, 2026",,,,,,

,Date,Transaction Type,Num,Term,Due Date,Open Balance
"Alvarez, Dana",,,,,,
,11/18/2025,Invoice,1021,Net 30,12/18/2025,"$1,459.00"
,12/02/2025,Credit Memo,1026,,12/02/2025,-$20.00
"Total for Alvarez, Dana",,,,,,"$1,439.00"
Birch Bakery,,,,,,
,12/14/2025,Invoice,1034,Net 30,01/13/2026,$86.40
Total for Birch Bakery,,,,,,$86.40
TOTAL,,,,,,"$1,525.40"

"Tuesday, Jan 06, 2026 01:42:33 AM GMT-8",,,,,,
"""

AGEING = """\
Harbour Trading Co.
A/R Aging Detail
"As of January 6, 2026"

,Date,Transaction Type,Num,Customer,Due Date,Amount,Open Balance
91 or more days past due,,,,,,,
,08/18/2025,Invoice,1001,"Alvarez, Dana",09/18/2025,"2,000.00","1,459.00"
Total for 91 or more days past due,,,,,,"2,000.00","1,459.00"
Current,,,,,,,
,12/14/2025,Invoice,1034,Birch Bakery,01/13/2026,86.40,86.40
Total for Current,,,,,,86.40,86.40
TOTAL,,,,,,"2,086.40","1,545.40"
"""

LEDES = (
    "LEDES1998B[]\n"
    "INVOICE_DATE|INVOICE_NUMBER|CLIENT_ID|LAW_FIRM_MATTER_ID|INVOICE_TOTAL|"
    "LINE_ITEM_NUMBER|LINE_ITEM_TOTAL|LINE_ITEM_DESCRIPTION[]\n"
    '20260105|900|C-7|M-1|1500.00|1|1000.00|Attend "mediation", travel[]\n'
    "20260105|900|C-7|M-1|1500.00|2|500.00|Draft[]\n"
    "20260106|901|C-7|M-2|75.00|1|75.00|Call[]\n"
)


def test_quickbooks_open_invoices_are_read() -> None:
    found = read(OPEN_INVOICES, quickbooks_open_invoices())

    assert owed(found) == {
        "1021": "USD 1,459.00",
        "1026": "USD -20.00",
        "1034": "USD 86.40",
    }
    assert [each.client for each in found.invoices] == [
        "Alvarez, Dana",
        "Alvarez, Dana",
        "Birch Bakery",
    ]
    assert found.stated_in == datetime(2026, 1, 5, 10, tzinfo=UTC)
    for line in OPEN_INVOICES.splitlines(keepends=True)[6:12]:
        if ",Invoice," in line or "Credit" in line:
            with pytest.raises(IncompleteReadError):
                read(
                    OPEN_INVOICES.replace(line, ""),
                    quickbooks_open_invoices(),
                )


def test_quickbooks_ageing_is_read() -> None:
    found = read(AGEING, quickbooks_ageing())

    assert owed(found) == {"1001": "USD 1,459.00", "1034": "USD 86.40"}
    assert [each.client for each in found.invoices] == [
        "Alvarez, Dana",
        "Birch Bakery",
    ]
    assert found.invoices[0].total == Money.of("2000", "USD")


def test_ledes_is_read_and_a_file_that_was_cut_is_not() -> None:
    found = read(LEDES, ledes_1998b())

    assert owed(found) == {"900": "USD 1,500.00", "901": "USD 75.00"}
    assert found.invoices[0].issued_on == date(2026, 1, 5)
    for end in range(1, len("|Call[]")):
        assert refusal(LEDES[: -1 - end], ledes_1998b())[0] == "RowLength"
    less = LEDES.replace("20260105|900|C-7|M-1|1500.00|2|500.00|Draft[]\n", "")
    assert lost(read(less, ledes_1998b())) == [
        ("ControlTotal", "invoices.txt:3:INVOICE_TOTAL")
    ]


@given(st.sampled_from([OPEN_INVOICES, AGEING, LEDES]), st.data())
def test_b3_no_row_is_lost_without_a_word(text: str, data: Any) -> None:
    """Whatever line is missing, fewer invoices are never read in silence."""
    lines = text.splitlines(keepends=True)
    gone = data.draw(st.integers(0, len(lines) - 1))
    less = "".join([*lines[:gone], *lines[gone + 1 :]])
    make = {
        OPEN_INVOICES: quickbooks_open_invoices,
        AGEING: quickbooks_ageing,
        LEDES: ledes_1998b,
    }[text]

    try:
        found = read(less, make())
    except AutopayError:
        return

    whole = read(text, make())
    missing = {e.number for e in whole.invoices} - {
        e.number for e in found.invoices
    }
    # A bill of LEDES that is gone whole leaves no trace.
    assert missing <= {e.number for e in found.unreadable} | {"901"}


# -- The command -------------------------------------------------------------


def told(text: str, mapping: CsvMapping = PLAIN) -> tuple[int, str]:
    lines: list[str] = []
    return check(text.encode(), mapping, lines.append), "\n".join(lines)


def test_the_command_shows_every_row_and_the_totals() -> None:
    code, shown = told(OPEN_INVOICES, quickbooks_open_invoices())

    assert code == 0
    assert "7  invoice      1021, client Alvarez, Dana" in shown
    assert "of 2025-11-18, due 2025-12-18: USD 1,459.00, open" in shown
    assert "total        of all rows" in shown
    assert "USD 1,439.00  client Alvarez, Dana" in shown
    assert "USD 1,525.40  in all" in shown
    assert "The balances hold for 2026-01-05T10:00:00+00:00." in shown
    assert "3 rows; nothing is left out." in shown


def test_the_command_says_what_is_left_out_and_why() -> None:
    code, shown = told(
        f"{HEAD}\n1,C-1,M-1,2026-01-05,80.00\n01,C-1,M-1,2026-01-05,1.00\n"
        "2,C-1,M-1,2026-01-05,4111 1111 1111 1111\n3,C-2,M-1,2026-01-05,7\n"
        "3,C-2,M-1,2026-01-05,7\n"
    )

    assert code == 1
    assert "4  left out     AmountFormat: open_invoices.csv:4:Balance" in shown
    assert "6  again        3" in shown
    assert "1: left out, AmbiguousInvoiceId" in shown
    assert "2: left out, AmountFormat (open_invoices.csv:4:Balance)" in shown
    assert "USD 7.00  in all" in shown
    assert "4111" not in shown
    assert "nothing says when" in shown


def test_the_command_says_what_is_refused() -> None:
    for text, word in (
        ("x\n", "ColumnMissing"),
        (f"{HEAD}\n", "no row"),
        (
            f"{HEAD}\n1,,M-1,2026-01-05,1\n2,,M-1,2026-01-05,1\n",
            "cannot be read",
        ),
    ):
        code, shown = told(text)
        assert code == 2
        assert "REFUSED" in shown
        assert word in shown


def test_the_command_shows_matters_where_the_file_has_no_client() -> None:
    mapping = attrs.evolve(
        CsvMapping(currency="USD", invoices=InvoiceColumns(client=None)),
        stated_at=FILE_TIME,
    )
    code, shown = told(f"{HEAD}\n1,C-1,M-1,2026-01-05,80.00\n", mapping)

    assert code == 0
    assert "matters are shown" in shown
    assert "client M-1" in shown
    assert "the time at which the file was written" in shown


MAPPING = attrs.evolve(PLAIN, may_be_empty=True)


def mapping() -> CsvMapping:
    return PLAIN


def test_the_command_is_run_from_the_shell(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "report.csv"
    file.write_text(OPEN_INVOICES)
    profile = ["--profile", "quickbooks-open-invoices"]

    assert main(["check", str(file), *profile]) == 0
    assert "in all" in capsys.readouterr().out
    file.write_text(f"{HEAD}\n1,C-1,M-1,2026-01-05,x\n")
    for name in ("MAPPING", "mapping"):
        assert (
            main(["check", str(file), "--mapping", f"{__name__}:{name}"]) == 1
        )
        assert "report.csv:2:Balance" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "gone"), *profile]) == 2
    assert "FileNotFoundError" in capsys.readouterr().err
    monkeypatch.setattr("autopay_core.adapters.csv.command.FILE_MAX", 3)
    assert main(["check", str(file), *profile]) == 2
    assert "larger than 3 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [f"{__name__}:HEAD", f"{__name__}:nothing", "no.module:x"]
)
def test_a_mapping_that_is_none_is_refused(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", "x.csv", "--mapping", wrong])

    assert caught.value.code == 2
    assert "no mapping" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", "x" * 200, "--profile", "ledes-1998b"])
    assert "FieldTooLong" in capsys.readouterr().err


def test_the_package_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["csv", "check", "--help"])
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    with pytest.raises(SystemExit) as caught:
        runpy.run_module("autopay_core.adapters.csv", run_name="__main__")

    assert caught.value.code == 0


def test_every_profile_makes_a_mapping_of_a_currency() -> None:
    for make in PROFILES.values():
        assert make("CAD").currency == "CAD"


# -- Linear ------------------------------------------------------------------


def test_e2_a_file_is_read_in_a_step_for_each_row() -> None:
    def reading(size: int) -> Any:
        rows = [f",C-{n},,,\n{n},,M-1,2026-01-05,1\n" for n in range(size)]
        same = ["7,,M-1,2026-01-05,1\n"] * size
        bad = [f"{n},,M-1,2026-01-05,{'9' * 40}x\n" for n in range(size)]
        data = "".join([HEAD, "\n", *rows, *same, *bad]).encode()
        mapping = attrs.evolve(
            CARRIED,
            invoices=attrs.evolve(CARRIED.invoices, line_items=LineItems()),
        )
        return lambda: read_invoices(data, mapping, {})

    assert 3 < growth(reading, 50) < 5


def test_e2_a_long_cell_takes_no_more_steps_than_a_short_one() -> None:
    def reading(size: int) -> Any:
        row = f"1,C-1,M-1,2026-01-05,{'1' * size}x\n"
        data = f"{HEAD}\n{row}".encode()
        return lambda: read_invoices(data, PLAIN, {})

    assert growth(reading, 2_000) < 1.5


def test_constants_and_columns_are_what_they_say() -> None:
    assert changed(matter=Constant("m")).invoices.columns == (
        "Invoice",
        "Client",
        "Invoice Date",
        "Balance",
    )
    assert Column(place=3).key == 3
