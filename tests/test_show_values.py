"""What values show in a notebook and in rich, and that only then."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
from autopay_core.allocation import LeftOut
from autopay_core.calls import list_holds, list_movements
from autopay_core.movements import MovementState
from autopay_core.show.tables import Table
from autopay_core.show.values import html_of, parts_of
from worlds import standing_order, usd

DAY = date(2026, 1, 31)
NASTY = '<script>alert("1")</script> [red]x[/red]'
ALLOWED = {
    "p",
    "table",
    "caption",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "th",
    "td",
}


class _Seen(HTMLParser):
    """Collect tags, styles and text, as a browser would."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.styles: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.styles |= {value for name, value in attrs if name == "style"}

    def handle_data(self, data: str) -> None:
        self.text += data


def rich_text(value: object, width: int) -> str:
    console = pytest.importorskip("rich.console")
    shown = io.StringIO()
    console.Console(file=shown, width=width).print(value)
    return shown.getvalue()


def world() -> tuple[ap.Ports, ap.AutoPay, ap.RunResult]:
    ports = memory_ports(
        [
            ap.Invoice(
                number=number,
                client="C-1",
                matter="M-1",
                issued_on=date(2026, 1, place),
                balance=usd("1234.50"),
            )
            for place, number in enumerate(["INV-7", "INV-8", "INV-9"], 1)
        ],
        clock=lambda: datetime(2026, 1, 31, 9, tzinfo=UTC),
    )
    autopay = standing_order(
        schedule=ap.Schedule.monthly(DAY),
        limit=ap.Limit.up_to(usd("2000.00")),
        ar_message="Thank you",
        pauses=(ap.Pause(from_on=date(2026, 7, 1), to_on=date(2026, 8, 1)),),
        skips=frozenset({date(2026, 5, 31)}),
        off_from=date(2026, 12, 1),
    )
    return ports, autopay, ap.run(autopay, on=DAY, ports=ports)


def shown_values() -> dict[str, object]:
    ports, autopay, result = world()
    ap.hold(ap.Hold.on_payer("p9", by="Ann", reason="left"), ports=ports)
    ap.receive(
        ap.Movement(
            id="ev-1",
            kind=ap.MovementKind.RETURNED,
            amount=usd("5.00"),
            on=DAY,
            reference="pay-9",
        ),
        ports=ports,
    )
    assert result.allocation is not None
    movements = list_movements(MovementState.WAITING, ports=ports)
    return {
        "allocation": result.allocation,
        "result": result,
        "record": result.record,
        "autopay": autopay,
        "schedule": autopay.schedule,
        "postings": ap.read_postings(ports=ports),
        "posting": result.postings[0],
        "holds": list_holds(ports=ports),
        "hold": list_holds(ports=ports)[0],
        "movements": movements,
        "movement": movements[0].movement,
    }


VALUES = shown_values()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_shows_itself_in_a_notebook_that_nobody_trusts(
    name: str,
) -> None:
    value: Any = VALUES[name]
    seen = _Seen(value._repr_html_())

    assert seen.tags <= ALLOWED
    assert "table" in seen.tags
    # No colour of its own: it is read on a light page and on a dark one.
    properties = {
        each.partition(":")[0]
        for style in seen.styles
        for each in style.split(";")
    }
    assert properties <= {"text-align", "padding", "white-space", "min-width"}
    assert "tok_" not in seen.text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("name", VALUES)
def test_a_value_keeps_to_the_width_of_a_terminal(
    name: str, width: int
) -> None:
    text = rich_text(VALUES[name], width)

    assert max(map(len, text.splitlines())) <= width
    assert "tok_" not in text
    if name in {"allocation", "result", "record"} and width > 20:
        # No number and no date is broken or cut.
        for figure in ("1,234.50", "765.50", "USD 2,000.00", "2026-01-02"):
            assert figure in text


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_shown_in_print_and_reads_back_in_its_repr(
    name: str,
) -> None:
    value = VALUES[name]

    assert "tok_" not in str(value)
    assert len(str(value)) < 600
    assert str(value) != repr(value)


class _Printer:
    """What IPython hands in; it keeps what is written."""

    def __init__(self) -> None:
        self.said = ""

    def text(self, said: str) -> None:
        self.said += said


@pytest.mark.parametrize("name", VALUES)
def test_ipython_without_html_shows_what_print_does(name: str) -> None:
    value: Any = VALUES[name]
    plain, inside = _Printer(), _Printer()

    value._repr_pretty_(plain, cycle=False)
    value._repr_pretty_(inside, cycle=True)

    assert plain.said == str(value)
    assert inside.said == "..."


def test_a_table_is_shown_by_ipython_as_print_does() -> None:
    table, printer = Table(title="", header=("a",), rows=()), _Printer()

    table._repr_pretty_(printer, cycle=False)

    assert printer.said == "a\n-"


def test_a_list_of_ours_is_any_list() -> None:
    postings = VALUES["postings"]
    assert isinstance(postings, list)

    assert postings == list(postings)
    assert repr(postings) == repr(list(postings))
    assert str(postings).splitlines() == [str(each) for each in postings]


def test_of_nothing_that_is_said() -> None:
    ports = memory_ports()
    empty: Any = ap.read_postings(ports=ports)

    assert empty._repr_html_() == "<p>Nothing.</p>"
    assert rich_text(empty, 80) == "Nothing.\n"


def test_what_was_left_out_stands_under_the_table() -> None:
    allocation = VALUES["allocation"]
    assert isinstance(allocation, ap.Allocation)
    left = LeftOut(number="9", client="C-1", code="ConflictingInvoice")
    found = attrs.evolve(allocation, left_out=(left,))

    assert parts_of(found)[-1] == ("Left out: 9: left out, ConflictingInvoice")


def test_a_result_without_an_allocation_is_a_line() -> None:
    bare = ap.RunResult(
        key=None, status=ap.RunStatus.POSTPONED, detail=NASTY, autopay="ap-1"
    )

    assert parts_of(bare) == (f"ap-1: postponed: {NASTY}",)
    assert _Seen(html_of(bare)).tags == {"p"}
    assert NASTY in _Seen(html_of(bare)).text
    assert NASTY in rich_text(bare, 100)


def test_a_schedule_shows_its_first_dates_and_says_that_it_goes_on() -> None:
    endless = ap.Schedule.monthly(DAY)
    [said, table, more] = parts_of(endless)
    assert isinstance(table, Table)

    assert said == str(endless)
    assert table.rows[1] == ("2026-02-28", "2026-02-28", "Saturday")
    assert len(table.rows) == 12
    assert more == "and so on"
    assert len(parts_of(ap.Schedule.once(DAY))) == 2


def test_an_auto_pay_shows_what_was_agreed() -> None:
    [table] = parts_of(VALUES["autopay"])
    assert isinstance(table, Table)
    facts = {row[0]: row[1] for row in table.rows}

    assert facts["pays for"] == "client C-1"
    assert facts["paused"] == "from 2026-07-01 until 2026-08-01"
    assert facts["skipped"] == "2026-05-31"
    assert facts["off from"] == "2026-12-01"
    plain = standing_order(pauses=(ap.Pause(from_on=DAY, to_on=None),))
    [table] = parts_of(plain)
    assert isinstance(table, Table)
    facts = {row[0]: row[1] for row in table.rows}
    assert facts["paused"] == "from 2026-01-31 until further notice"
    assert "skipped" not in facts


def test_things_of_several_kinds_are_a_line_each() -> None:
    assert parts_of([usd("1.00"), VALUES["hold"]]) == (
        "USD 1.00",
        str(VALUES["hold"]),
    )


USED = """
import sys
from datetime import date
import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
autopay = ap.AutoPay(
    id="ap-1",
    payer="p",
    name="Acme",
    method=ap.PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c"),
    deposit_account=ap.DepositAccount(id="op"),
    schedule=ap.Schedule.monthly(date(2026, 1, 31)),
    limit=ap.Limit.all("USD"),
    enrollments=(ap.Association.to_client(payer="p", client="C-1"),),
)
result = ap.run(autopay, on=date(2026, 1, 31), ports=memory_ports())
print(result, autopay, ap.preview(autopay, on=date(2026, 1, 31),
      ports=memory_ports()))
before = {e for e in sys.modules if "show" in e or e.startswith("rich")}
result._repr_html_()
after = {e for e in sys.modules if "show" in e or e.startswith("rich")}
print(sorted(before), "autopay_core.show.values" in after, "rich" in after)
"""


def test_nothing_is_imported_until_it_is_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-c", USED],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == (
        "['autopay_core._shown'] True False"
    )


_words = st.text("ab1.,-", min_size=1, max_size=10)
_cells = st.lists(_words, max_size=5).map(" ".join)


@given(
    header=st.lists(_words, min_size=1, max_size=5, unique=True),
    rows=st.data(),
    width=st.integers(12, 100),
)
def test_at_any_width_no_word_is_broken_and_none_is_lost(
    header: list[str], rows: st.DataObject, width: int
) -> None:
    row = st.tuples(*[_cells] * len(header))
    places = st.frozensets(st.integers(0, len(header) - 1))
    table = Table(
        title="",
        header=tuple(header),
        rows=tuple(rows.draw(st.lists(row, max_size=4))),
        footer=rows.draw(st.one_of(st.just(()), row)),
        numeric=rows.draw(places),
        folded=rows.draw(places),
    )

    text = rich_text(table, width)

    assert max(map(len, text.splitlines()), default=0) <= width
    shown = set(text.split())
    for cells in (*table.rows, table.footer):
        for cell in cells:
            assert set(cell.split()) <= shown


# -- Tables for other tools --------------------------------------------------


def test_a_table_is_a_dictionary_for_each_row() -> None:
    table = Table(title="t", header=("a", "n"), rows=(("x", "10"),))

    assert table.records() == [{"a": "x", "n": "10"}]
    assert table.html() == table._repr_html_()


@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.text("=+-@1.,\"'\n", max_size=5)),
        max_size=3,
    )
)
def test_csv_reads_back_and_no_cell_is_a_formula(
    rows: list[tuple[str, str]],
) -> None:
    table = Table(title="", header=("a", "n"), rows=tuple(rows))
    read = list(csv.reader(io.StringIO(table.csv(), newline="")))

    assert read[0] == ["a", "n"]
    assert len(read) == len(rows) + 1
    for row in read[1:]:
        for cell in row:
            is_amount = cell[1:2].isdigit() or cell[1:2] in {".", ","}
            assert cell[:1] not in {"=", "+", "@"}
            assert cell[:1] != "-" or is_amount


def test_an_amount_that_went_back_is_no_formula() -> None:
    table = Table(
        title="", header=("n", "m"), rows=(("-1,234.50", "-1+cmd|x"),)
    )

    assert table.csv() == 'n,m\r\n"-1,234.50",\'-1+cmd|x\r\n'
