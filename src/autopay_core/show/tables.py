"""
Tables for people: in a terminal and in a notebook (E3, L4, P3).

Holds: `Table`, the functions that make one of runs, allocations and posting
records, and `show`. Imports: the values; rich only when it is installed and
asked for. Every text is data: in plain text its control characters are
escaped, in HTML its markup, and in rich it is no markup. Long, for each value
has its table.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from html import escape
from importlib.util import find_spec
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TextIO, final

import attrs

from autopay_core._checks import a, check_each, clean_text, tuple_of
from autopay_core.allocation import Reason
from autopay_core.errors import InvalidValueError
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.postings import PostingView, in_view
from autopay_core.runs import RunState

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable
    from rich.text import Text

    from autopay_core.allocation import Allocation
    from autopay_core.batches import Batch
    from autopay_core.movements import MovementRecord
    from autopay_core.postings import Posting
    from autopay_core.runs import RunRecord, RunResult

__all__ = [
    "Table",
    "allocation_table",
    "autopays_table",
    "batches_table",
    "holds_table",
    "movements_table",
    "postings_table",
    "reasons_table",
    "results_table",
    "show",
    "views_table",
]

_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_GAP: Final = "  "
_WIDE_GAP: Final = len(_GAP)
_FORMULA: Final = frozenset("=+-@")
_AMOUNT: Final = re.compile(r"-[\d,.]+")


@final
@attrs.frozen(kw_only=True)
class Table:
    """
    A table that shows itself: as text, in rich, and in a notebook.

    >>> print(Table(title="", header=("a", "n"), rows=(("x", "10"),)))
    a  n
    -  --
    x  10

    Attributes:
        title: Stands above; may be empty.
        header: Names of the columns.
        rows: As many cells as columns, in each.
        footer: A last row such as a sum, or empty.
        numeric: Which columns are numbers, from 0; they end at the right.
        folded: Which columns may be folded where there is little room.

    Raises:
        InvalidValueError: A row of another length (``RowLength``).

    """

    title: str = attrs.field(validator=a(str))
    header: tuple[str, ...] = attrs.field(validator=tuple_of(str))
    rows: tuple[tuple[str, ...], ...] = attrs.field(validator=tuple_of(tuple))
    footer: tuple[str, ...] = attrs.field(default=(), validator=tuple_of(str))
    numeric: frozenset[int] = frozenset()
    folded: frozenset[int] = frozenset()

    def __attrs_post_init__(self) -> None:
        """Check the shape."""
        for place, row in enumerate(self.rows):
            check_each(row, str, f"rows[{place}]")
        for row in (*self.rows, *((self.footer,) if self.footer else ())):
            if len(row) != len(self.header):
                raise InvalidValueError(
                    f"{len(row)} cells under a header of {len(self.header)}",
                    code="RowLength",
                    path="rows",
                )

    def __str__(self) -> str:
        """Return the table as plain text."""
        header = _clean(self.header)
        rows = [_clean(row) for row in self.rows]
        footer = [_clean(self.footer)] if self.footer else []
        widths = [
            max(map(_width, column))
            for column in zip(header, *rows, *footer, strict=True)
        ]
        rule = _GAP.join("-" * width for width in widths)
        lines = [clean_text(self.title)] if self.title else []
        lines += [self._line(header, widths), rule]
        lines += [self._line(row, widths) for row in rows]
        if footer:
            lines += [rule, self._line(footer[0], widths)]
        return "\n".join(lines)

    def records(self) -> list[dict[str, str]]:
        """
        Return a dictionary for each row, which pandas takes as it is.

        >>> Table(title="", header=("a", "n"), rows=(("x", "10"),)).records()
        [{'a': 'x', 'n': '10'}]

        """
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]

    def csv(self) -> str:
        """
        Return header and rows as CSV (RFC 4180), without title and sum.

        A cell that a spreadsheet would take for a formula has an apostrophe
        before it, so that opening the file computes nothing.
        """
        text = io.StringIO()
        writer = csv.writer(text)
        for row in (self.header, *self.rows):
            writer.writerow([_harmless(cell) for cell in _clean(row)])
        return text.getvalue()

    def html(self) -> str:
        """
        Return the table as HTML; every text is escaped.

        It has the colours of the page around it, and needs neither a style
        sheet nor a script.
        """
        return self._repr_html_()

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded: list[str] = []
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            blanks = " " * (width - _width(cell))
            padded.append(
                blanks + cell if place in self.numeric else cell + blanks
            )
        return _GAP.join(padded).rstrip()

    def _repr_html_(self) -> str:
        """Return the table for a notebook; every text is escaped."""
        parts = ['<table class="autopay-core">']
        if self.title:
            parts.append(f"<caption>{_html(self.title)}</caption>")
        parts.append(f"<thead>{self._html_row('th', self.header)}</thead>")
        body = "".join(self._html_row("td", row) for row in self.rows)
        parts.append(f"<tbody>{body}</tbody>")
        if self.footer:
            parts.append(f"<tfoot>{self._html_row('td', self.footer)}</tfoot>")
        parts.append("</table>")
        return "".join(parts)

    def _html_row(self, tag: str, cells: Sequence[str]) -> str:
        made = "".join(
            f'<{tag} style="{self._style(place)}">{_html(cell)}</{tag}>'
            for place, cell in enumerate(cells)
        )
        return f"<tr>{made}</tr>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - as IPython calls it
        """Return it for IPython without HTML: what `print` shows."""
        printer.text("..." if cycle else str(self))

    def _style(self, place: int) -> str:
        """Say how a cell stands; its colours are those of the page."""
        side = "right" if place in self.numeric else "left"
        fold = (
            ";min-width:14em"
            if place in self.folded
            else ";white-space:nowrap"
        )
        return f"text-align:{side};padding:1px 8px{fold}"

    def __rich__(self) -> Fitted:
        """Return the table for rich; no text is taken for markup."""
        return Fitted(self)


@final
class Fitted:
    """A table in rich, as wide as the terminal has room for."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Give the table, its texts folded, or its rows one by one."""
        del console
        table, room = self._table, options.max_width
        gap, widths = _WIDE_GAP, _widths(table, room, _WIDE_GAP)
        if widths is None:
            table, gap = _without_empty_columns(table), 1
            widths = _widths(table, room, gap, fold=True)
        if widths is None:
            yield from self._rows()
        else:
            yield _made(table, gap, widths)

    def _rows(self) -> Iterator[Text]:
        """Give each row as lines of a name and a cell: nothing is cut."""
        from rich.text import Text

        table = self._table
        if table.title:
            yield Text(clean_text(table.title), style="italic")
        for row in table.rows:
            for name, cell in zip(table.header, row, strict=True):
                if cell:
                    yield Text(f"{clean_text(name)}: {clean_text(cell)}")
            yield Text("")
        if table.footer:
            yield Text(" ".join(filter(None, map(clean_text, table.footer))))


def _made(table: Table, gap: int, widths: Sequence[int]) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(
        title=Text(clean_text(table.title)) if table.title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, gap - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_footer=bool(table.footer),
    )
    footer = table.footer or ("",) * len(table.header)
    for place, (name, last, width) in enumerate(
        zip(table.header, footer, widths, strict=True)
    ):
        made.add_column(
            Text(clean_text(name)),
            Text(clean_text(last)),
            justify="right" if place in table.numeric else "left",
            overflow="fold",
            width=width,
        )
    for row in table.rows:
        made.add_row(*(Text(clean_text(cell)) for cell in row))
    return made


def _without_empty_columns(table: Table) -> Table:
    """Leave out what says nothing, where there is little room."""
    rows = (*table.rows, table.footer) if table.footer else table.rows
    kept = [
        place
        for place in range(len(table.header))
        if any(row[place] for row in rows) or not rows
    ]

    def of(cells: Sequence[str]) -> tuple[str, ...]:
        return tuple(cells[place] for place in kept)

    return Table(
        title=table.title,
        header=of(table.header),
        rows=tuple(map(of, table.rows)),
        footer=of(table.footer) if table.footer else (),
        numeric=frozenset(
            new for new, old in enumerate(kept) if old in table.numeric
        ),
        folded=frozenset(
            new for new, old in enumerate(kept) if old in table.folded
        ),
    )


def _widths(
    table: Table, room: int, gap: int, *, fold: bool = False
) -> tuple[int, ...] | None:
    """
    Return how wide each column is; None if there is no room.

    A cell is broken between words only, and only where columns are folded: so
    no number and no date is ever broken.
    """
    rows = [_clean(each) for each in (table.header, *table.rows)]
    if table.footer:
        rows.append(_clean(table.footer))
    columns = list(zip(*rows, strict=True))
    most = [max(1, *map(_width, column)) for column in columns]
    least = [max(1, *map(_longest, column)) for column in columns]
    widths = least if fold else most
    left = room - gap * (len(columns) - 1) - sum(widths)
    if left < 0:
        return None
    # Long texts first, then whatever needs least to be whole.
    for place in sorted(
        range(len(widths)),
        key=lambda each: (
            each not in table.folded,
            most[each] - least[each],
        ),
    ):
        more = min(most[place] - widths[place], left)
        widths[place] += more
        left -= more
    return tuple(widths)


def _longest(cell: str) -> int:
    return max(map(_width, cell.split()), default=0)


def _clean(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(clean_text(cell) for cell in cells)


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    if cell[:1] in _FORMULA and not _AMOUNT.fullmatch(cell):
        return f"'{cell}"
    return cell


def _html(text: str) -> str:
    return escape(clean_text(text))


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def show(*shown: object, file: TextIO | None = None) -> None:
    """
    Print tables and texts: with rich if it is installed, plainly if not.

    Args:
        shown: Tables, or whatever has a text.
        file: Where to; None for the standard output.

    """
    target = sys.stdout if file is None else file
    if find_spec("rich") is None:
        for each in shown:
            print(each, file=target)
        return
    from rich.console import Console

    console = Console(file=target, highlight=False, soft_wrap=False)
    for each in shown:
        # Where nobody's terminal sets the width, nothing is folded.
        if isinstance(each, Table) and not console.is_terminal:
            print(each, file=target)
        elif isinstance(each, Table):
            console.print(each)
        else:
            console.print(str(each), markup=False, emoji=False, soft_wrap=True)


# -- From values to cells -----------------------------------------------------


def _rows(
    columns: Mapping[str, str], values: Iterable[object]
) -> tuple[tuple[str, ...], ...]:
    """Return a row for each value: its fields, by the columns' names."""
    fields: Callable[[object], tuple[object, ...]]
    fields = attrgetter(*columns.values())
    return tuple(tuple(map(_cell, fields(each))) for each in values)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case Money():
            # Without its currency, which stands in the sum.
            return str(value).partition(" ")[2]
        case Enum():
            return str(value.value).replace("_", " ")
        case datetime():
            return str(value.date())
        case _:
            return str(value)


def sums(amounts: Iterable[Money]) -> str:
    """Return the sum of each currency among *amounts*."""
    totals: dict[str, Money] = {}
    for each in amounts:
        known = totals.get(each.currency)
        totals[each.currency] = each if known is None else known + each
    return ", ".join(str(totals[currency]) for currency in sorted(totals))


# -- Allocations -------------------------------------------------------------

_LINE: Final = {
    "invoice": "invoice.number",
    "matter": "invoice.matter",
    "issued": "invoice.issued_on",
    "due": "invoice.due_on",
    "balance": "balance",
    "on its way": "open",
    "payable": "payable",
    "paid": "amount",
    "why": "reason.text",
}


def allocation_table(allocation: Allocation, /, title: str = "") -> Table:
    """Show which invoice gets how much of a run, and why (L4)."""
    return Table(
        title=title,
        header=tuple(_LINE),
        rows=_rows(_LINE, allocation.lines),
        footer=(*("",) * 6, "total", str(allocation.total), ""),
        numeric=frozenset({4, 5, 6, 7}),
        folded=frozenset({8}),
    )


def reasons_table(
    allocations: Iterable[Allocation], /, title: str = ""
) -> Table:
    """Count the reasons of all lines, with what was and was not paid."""
    lines = [line for each in allocations for line in each.lines]
    by_reason = {
        reason: [line for line in lines if line.reason is reason]
        for reason in Reason
    }
    return Table(
        title=title,
        header=("why", "lines", "paid", "payable, not paid"),
        rows=tuple(
            (
                reason.text,
                str(len(some)),
                sums(line.amount for line in some),
                sums(line.payable - line.amount for line in some),
            )
            for reason, some in by_reason.items()
            if some
        ),
        footer=(
            "total",
            str(len(lines)),
            sums(line.amount for line in lines),
            "",
        ),
        numeric=frozenset({1, 2, 3}),
        folded=frozenset({0}),
    )


# -- Runs --------------------------------------------------------------------


def results_table(results: Iterable[RunResult], /, title: str = "") -> Table:
    """Show how the runs of a sweep ended."""
    shown = list(results)
    charged = [each.charged for each in shown if each.charged is not None]
    return Table(
        title=title,
        header=("auto-pay", "run", "status", "charged", "reason", "detail"),
        rows=tuple(
            (
                *(
                    ("", "")
                    if each.key is None
                    else (each.key.autopay, str(each.key.nominal_on))
                ),
                _cell(each.status),
                "" if each.charged is None else str(each.charged),
                each.reason,
                each.detail,
            )
            for each in shown
        ),
        footer=("total", "", "", sums(charged), "", ""),
        numeric=frozenset({3}),
        folded=frozenset({5}),
    )


def autopays_table(
    records: Iterable[RunRecord],
    /,
    title: str = "",
    names: Mapping[str, str] = _NO_NAMES,
) -> Table:
    """
    Add up what each auto-pay did.

    Args:
        records: Runs, of any auto-pays.
        title: Stands above.
        names: Of auto-pays, by id; these stand there even without a run.

    """
    runs: dict[str, list[RunRecord]] = {each: [] for each in names}
    for record in records:
        runs.setdefault(record.key.autopay, []).append(record)
    return Table(
        title=title,
        header=("auto-pay", "name", *_FIGURES),
        rows=tuple(
            (autopay, names.get(autopay, ""), *_figures(some))
            for autopay, some in runs.items()
        ),
        footer=(
            "total",
            "",
            *_figures([each for some in runs.values() for each in some]),
        ),
        numeric=frozenset(range(2, 8)),
        folded=frozenset({1}),
    )


_FIGURES: Final = ("runs", "paid", "failed", "other", "invoices", "captured")


def _figures(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    paid = [each for each in runs if each.captured is not None]
    failed = sum(each.state is RunState.FAILED for each in runs)
    counts = (
        len(runs),
        len(paid),
        failed,
        len(runs) - len(paid) - failed,
        sum(
            len(each.allocation.paid)
            for each in paid
            if each.allocation is not None
        ),
    )
    captured = (each.captured for each in paid)
    return (
        *map(str, counts),
        sums(each.amount for each in captured if each is not None),
    )


# -- Postings ----------------------------------------------------------------

_POSTING: Final = {
    "charged": "charged_on",
    "invoice": "invoice",
    "client": "client",
    "matter": "matter",
    "amount": "amount",
    "status": "status",
    "since": "since",
    "payment": "payment_reference",
    "account": "deposit_account.id",
    "A/R message": "ar_message",
    "note": "note",
}


def postings_table(postings: Iterable[Posting], /, title: str = "") -> Table:
    """Show posting records as staff see them, in their order."""
    shown = list(postings)
    total = sums(each.amount for each in shown)
    return Table(
        title=title,
        header=tuple(_POSTING),
        rows=_rows(_POSTING, shown),
        footer=("total", "", "", "", total, *("",) * 6),
        numeric=frozenset({4}),
        folded=frozenset({9, 10}),
    )


def views_table(postings: Iterable[Posting], /, title: str = "") -> Table:
    """Count the posting records in each of the staff's views (P3)."""
    everything = tuple(postings)
    views = {view: in_view(everything, view) for view in PostingView}
    return Table(
        title=title,
        header=("view", "postings", "amount"),
        rows=tuple(
            (
                view.value,
                str(len(some)),
                sums(each.amount for each in some),
            )
            for view, some in views.items()
        ),
        numeric=frozenset({1, 2}),
    )


# -- Holds, movements -------------------------------------------------------


def holds_table(holds: Iterable[Hold], /, title: str = "") -> Table:
    """Show what is on hold, since when, why, and what ends it (H1)."""
    return Table(
        title=title,
        header=("what", "amount", "since", "made by", "why", "ends"),
        rows=tuple(
            (
                each.target,
                "all" if each.amount is None else str(each.amount),
                "" if each.since is None else str(each.since.date()),
                each.by or each.rule,
                each.reason,
                each.releases,
            )
            for each in holds
        ),
        numeric=frozenset({1}),
        folded=frozenset({4, 5}),
    )


def batches_table(batches: Iterable[Batch], /, title: str = "") -> Table:
    """Show batches, what they add up to, and what the ledger said (P5)."""
    return Table(
        title=title,
        header=(
            "batch",
            "made",
            "by",
            "postings",
            "total",
            "state",
            "refused",
        ),
        rows=tuple(
            (
                each.id,
                str(each.made_at.date()),
                each.by,
                str(len(each.postings)),
                ", ".join(map(str, each.control)),
                _cell(each.state),
                str(len(each.refused)) if each.is_closed else "",
            )
            for each in batches
        ),
        numeric=frozenset({3, 4, 6}),
    )


def movements_table(
    movements: Iterable[MovementRecord], /, title: str = ""
) -> Table:
    """Show what moved after the capture, and what became of it (P4)."""
    return Table(
        title=title,
        header=("movement", "on", "kind", "amount", "run", "state", "why"),
        rows=tuple(
            (
                each.movement.id,
                str(each.movement.on),
                _cell(each.movement.kind),
                str(each.movement.amount),
                "" if each.run is None else str(each.run),
                _cell(each.state),
                each.reason,
            )
            for each in movements
        ),
        numeric=frozenset({3}),
        folded=frozenset({6}),
    )
