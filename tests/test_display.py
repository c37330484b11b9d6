from __future__ import annotations

import io
import sys
from datetime import date
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters.memory import memory_ports
from autopay_core.allocation import Reason, allocate
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay
from autopay_core.calls import advance_postings, read_postings, run
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import Invoice, InvoiceStatus
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import FAILED_AUTOPAY, Notice, NoticeKind
from autopay_core.postings import PostingStatus, PostingView
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.runs import RunRecord, RunResult, RunStatus
from autopay_core.schedules import Schedule
from autopay_core.show.sentences import notice_text
from autopay_core.show.tables import (
    Table,
    allocation_table,
    autopays_table,
    postings_table,
    reasons_table,
    results_table,
    show,
    views_table,
)

if TYPE_CHECKING:
    from autopay_core.ports import Ports

DAY = date(2026, 1, 31)
NASTY = "<script>alert(1)</script> & [red]\"x\"[/red] {0} 'y'"


def invoice(number: str, balance: str, **fields: Any) -> Invoice:
    values: dict[str, Any] = {
        "number": number,
        "client": "C-1",
        "matter": "M-1",
        "issued_on": date(2026, 1, 5),
        "balance": Money.of(balance, "USD"),
    }
    return Invoice(**{**values, **fields})


INVOICES = [
    invoice("INV-9", "80.00", due_on=date(2026, 2, 3)),
    invoice("INV-10", "1234.50", due_on=date(2026, 2, 4)),
    invoice("INV-11", "5.00", status=InvoiceStatus.ON_HOLD),
]
AUTOPAY = AutoPay(
    id="ap-1",
    payer="p",
    name="Acme monthly",
    method=PaymentMethodRef(provider="acme", token="tok_secret_4242"),
    deposit_account=DepositAccount(id="operating"),
    schedule=Schedule.monthly(DAY),
    limit=Limit.up_to(Money.of("100.00", "USD")),
    enrollments=(Association.to_client(payer="p", client="C-1"),),
    ar_message="Thank you",
)


def paid() -> tuple[Ports, RunResult]:
    ports = memory_ports(INVOICES)
    return ports, run(AUTOPAY, on=DAY, ports=ports)


class _Text(HTMLParser):
    """Collect tags and text, as a browser would."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(table: Table) -> _Text:
    made = _Text()
    made.feed(table._repr_html_())
    made.close()
    return made


# -- Any table ---------------------------------------------------------------


def test_numbers_end_at_the_right_and_texts_begin_at_the_left() -> None:
    table = Table(
        title="Paid",
        header=("what", "amount", "why"),
        rows=(("a", "1.00", "x"), ("long", "1,000.00", "")),
        footer=("total", "1,001.00", ""),
        numeric=frozenset({1}),
    )

    assert str(table).splitlines() == [
        "Paid",
        "what     amount  why",
        "-----  --------  ---",
        "a          1.00  x",
        "long   1,000.00",
        "-----  --------  ---",
        "total  1,001.00",
    ]


def test_a_table_without_rows_still_shows_its_header() -> None:
    assert str(Table(title="", header=("a", "b"), rows=())) == "a  b\n-  -"


def test_wide_characters_and_marks_are_measured() -> None:
    table = Table(
        title="",
        header=("n", "x"),
        rows=(("日本", "1"), ("e\u0301a", "2"), ("abcd", "3")),
    )

    lines = str(table).splitlines()

    assert lines[2:] == ["日本  1", "e\u0301a    2", "abcd  3"]


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": (("a",),)},
        {"footer": ("a",)},
        {"rows": (("a", 1),)},
        {"rows": [("a", "b")]},
        {"title": None},
    ],
)
def test_a_table_of_another_shape_is_refused(fields: dict[str, Any]) -> None:
    values: dict[str, Any] = {"title": "", "header": ("a", "b"), "rows": ()}

    with pytest.raises(InvalidValueError):
        Table(**{**values, **fields})


cells = st.text(max_size=20)


@given(st.lists(st.tuples(cells, cells), max_size=4), cells)
@example([("\x1b[31mred", "a\r\nb")], "\x1b]0;title\x07")
@example([(NASTY, NASTY)], NASTY)
@example([("\u202egnp.exe", "\ud800")], "")
def test_no_text_is_a_command_a_tag_or_markup(
    rows: list[tuple[str, str]], title: str
) -> None:
    table = Table(title=title, header=("a", "b"), rows=tuple(rows))

    text, html = str(table), parsed(table)

    # One line for each row, whatever stands in it.
    assert text.count("\n") == len(rows) + 1 + bool(title)
    assert all(line.isprintable() for line in text.split("\n") if line) or (
        not any(char in text for char in "\x1b\r\x07\u202e\ud800")
    )
    assert set(html.tags) <= {
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert html.tags.count("td") == 2 * len(rows)
    shown = io.StringIO()
    console = pytest.importorskip("rich.console").Console(
        file=shown, width=500, color_system="truecolor", force_terminal=True
    )
    console.print(table)
    assert "\x1b[31m" not in shown.getvalue()
    assert "\x1b]0" not in shown.getvalue()


def test_what_stands_in_a_cell_is_shown_in_every_form() -> None:
    table = Table(title=NASTY, header=("a",), rows=((NASTY,),), footer=("s",))
    shown = io.StringIO()
    pytest.importorskip("rich.console").Console(file=shown, width=500).print(
        table
    )

    assert NASTY in str(table)
    assert NASTY in parsed(table).text
    assert shown.getvalue().count(NASTY) == 2


def test_a_table_is_shown_plainly_where_nobody_s_terminal_is() -> None:
    table = Table(title="t", header=("a" * 200,), rows=(("b" * 200,),))
    target = io.StringIO()

    show(table, "and [bold]a text[/bold] :smile:", file=target)

    assert target.getvalue() == (f"{table}\nand [bold]a text[/bold] :smile:\n")


def test_a_table_is_shown_without_rich(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    target = io.StringIO()

    show(Table(title="", header=("a",), rows=(("b",),)), "c", file=target)

    assert target.getvalue() == "a\n-\nb\nc\n"


def test_a_table_is_shown_with_rich_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")

    show(Table(title="t", header=("a",), rows=((NASTY,),)))

    text = capsys.readouterr().out
    assert "[red]" in text
    assert "─" in text or "━" in text


def test_on_a_narrow_terminal_no_number_is_cut_and_no_column_dropped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    numbers = tuple(f"{n}23,456,789.01" for n in range(1, 7))

    show(
        Table(
            title="",
            header=("1", "2", "3", "4", "5", "6", "why"),
            rows=((*numbers, "it was the last of them all"),),
            numeric=frozenset(range(6)),
            folded=frozenset({6}),
        )
    )

    text = capsys.readouterr().out
    assert all(each in text for each in numbers)
    assert "it was the last of" in text


# -- Our tables --------------------------------------------------------------


def test_an_allocation_shows_every_invoice_with_its_reason() -> None:
    allocation = allocate(
        INVOICES,
        AUTOPAY.limit,
        open_amounts={"INV-10": Money.of("34.50", "USD")},
    )

    table = allocation_table(allocation, "Run")

    assert [row[0] for row in table.rows] == ["INV-9", "INV-10", "INV-11"]
    assert table.rows[1][3:] == (
        "2026-02-04",
        "1,234.50",
        "34.50",
        "1,200.00",
        "20.00",
        Reason.PART_PAID.text,
    )
    assert table.rows[2][3:] == ("", "5.00", "0.00", "5.00", "0.00", "on hold")
    assert "USD 100.00" in table.footer


def test_reasons_are_counted_over_runs() -> None:
    allocation = allocate(INVOICES, AUTOPAY.limit)

    table = reasons_table([allocation, allocation])

    assert table.rows == (
        ("paid in full", "2", "USD 160.00", "USD 0.00"),
        (
            "paid in part: the limit ended here",
            "2",
            "USD 40.00",
            "USD 2,429.00",
        ),
        ("on hold", "2", "USD 0.00", "USD 10.00"),
    )
    assert table.footer[:3] == ("total", "6", "USD 200.00")
    assert reasons_table([]).rows == ()


def test_results_show_how_each_run_ended() -> None:
    _, result = paid()
    postponed = RunResult(
        key=None, status=RunStatus.POSTPONED, reason="Busy", detail="later"
    )

    table = results_table([result, postponed])

    assert table.rows == (
        ("ap-1", "2026-01-31", "paid", "USD 100.00", "", ""),
        ("", "", "postponed", "", "Busy", "later"),
    )
    assert table.footer[3] == "USD 100.00"


def test_auto_pays_are_added_up() -> None:
    _, result = paid()
    assert result.record is not None
    missed = RunRecord(
        key=attrs.evolve(result.record.key, nominal_on=date(2026, 2, 28)),
        payer="p",
        version=1,
        state=result.record.state.__class__.MISSED,
        charge_on=date(2026, 2, 28),
    )

    table = autopays_table(
        [result.record, missed], names={"ap-0": "Idle", "ap-1": "Acme"}
    )

    assert table.rows == (
        ("ap-0", "Idle", "0", "0", "0", "0", "0", ""),
        ("ap-1", "Acme", "2", "1", "0", "1", "2", "USD 100.00"),
    )
    assert table.footer[-1] == "USD 100.00"


def test_postings_are_counted_in_each_of_the_staff_s_views() -> None:
    ports, _ = paid()
    pending = read_postings(ports=ports)
    advance_postings(pending[:1], PostingStatus.QUEUED, ports=ports)

    postings = read_postings(ports=ports)
    counts = {view: count for view, count, _ in views_table(postings).rows}

    assert counts == {
        "pending/incomplete": "1",
        "pending": "1",
        "incomplete": "0",
        "queued": "1",
        "posted": "0",
        "removed": "0",
        "all": "2",
    }
    assert set(counts) == {each.value for each in PostingView}
    table = postings_table(postings)
    assert table.footer[4] == "USD 100.00"
    assert {row[9] for row in table.rows} == {"Thank you"}


def test_no_table_shows_a_payment_token() -> None:
    ports, result = paid()
    assert result.record is not None
    assert result.allocation is not None
    tables = [
        results_table([result]),
        autopays_table([result.record]),
        allocation_table(result.allocation),
        postings_table(read_postings(ports=ports)),
    ]

    for table in tables:
        assert "secret" not in f"{table}{table._repr_html_()}"


def test_a_notice_is_shown_line_by_line() -> None:
    notice = Notice(
        key="n-1",
        kind=NoticeKind.FAILED,
        payer="p",
        autopay="ap-1",
        on=DAY,
        name="Acme monthly",
        amount=Money.of("80.00", "USD"),
        reason="Declined",
        detail="The card has expired. (code 54)",
    )

    assert notice_text(notice).splitlines() == [
        FAILED_AUTOPAY,
        "Auto-pay: Acme monthly (ap-1)",
        "Payer: p",
        "Date: 2026-01-31",
        "Amount: USD 80.00",
        "Reason: Declined",
        "The card has expired. (code 54)",
    ]
