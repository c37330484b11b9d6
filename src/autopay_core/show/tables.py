"""
Tables for people: in a terminal and in a notebook (E3, L4, P3).

Holds: `Table`, the functions that make one of runs, allocations and posting
records, and `show`. Imports: the values; rich only when it is installed and
asked for. Every text is data: in plain text its control characters are
escaped, in HTML its markup, and in rich it is no markup.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from html import escape
from importlib.util import find_spec
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO, final

import attrs

from autopay_core._checks import a, check_each, clean_text, tuple_of
from autopay_core.allocation import Reason
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import PostingView, in_view
from autopay_core.runs import RunState

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from autopay_core.allocation import Allocation
    from autopay_core.postings import Posting
    from autopay_core.runs import RunRecord, RunResult

__all__ = [
    "Table",
    "allocation_table",
    "autopays_table",
    "postings_table",
    "reasons_table",
    "results_table",
    "show",
    "views_table",
]

_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_GAP: Final = "  "
_FOLD_LEAST: Final = 18
_VERY_WIDE: Final = 1_000


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
            parts.append(f"<tfoot>{self._html_row('th', self.footer)}</tfoot>")
        parts.append("</table>")
        return "".join(parts)

    def _html_row(self, tag: str, cells: Sequence[str]) -> str:
        made = "".join(
            f'<{tag} style="text-align:'
            f'{"right" if place in self.numeric else "left"}">'
            f"{_html(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{made}</tr>"

    def __rich__(self) -> RichTable:
        """Return the table for rich; no text is taken for markup."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(
            title=Text(clean_text(self.title)) if self.title else None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            show_footer=bool(self.footer),
        )
        footer = self.footer or ("",) * len(self.header)
        for place, (name, last) in enumerate(
            zip(self.header, footer, strict=True)
        ):
            made.add_column(
                Text(clean_text(name)),
                Text(clean_text(last)),
                justify="right" if place in self.numeric else "left",
                overflow="fold",
                no_wrap=place not in self.folded,
                min_width=_FOLD_LEAST if place in self.folded else None,
            )
        for row in self.rows:
            made.add_row(*(Text(clean_text(cell)) for cell in row))
        return made


def _clean(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(clean_text(cell) for cell in cells)


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
    from rich.measure import Measurement

    console = Console(file=target, highlight=False, soft_wrap=False)
    for each in shown:
        if isinstance(each, Table):
            # Where nobody's terminal sets the width, nothing is folded.
            if not console.is_terminal:
                print(each, file=target)
                continue
            # A number that is cut is worse than a line that is broken.
            options = console.options.update(width=_VERY_WIDE)
            least = Measurement.get(console, options, each).minimum
            wide = Console(file=target, width=max(console.width, least))
            wide.print(each, crop=False)
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
        case _:
            return str(value)


def _sums(amounts: Iterable[Money]) -> str:
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
                _sums(line.amount for line in some),
                _sums(line.payable - line.amount for line in some),
            )
            for reason, some in by_reason.items()
            if some
        ),
        footer=(
            "total",
            str(len(lines)),
            _sums(line.amount for line in lines),
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
        footer=("total", "", "", _sums(charged), "", ""),
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
        _sums(each.amount for each in captured if each is not None),
    )


# -- Postings ----------------------------------------------------------------

_POSTING: Final = {
    "charged": "charged_on",
    "invoice": "invoice",
    "client": "client",
    "matter": "matter",
    "amount": "amount",
    "status": "status",
    "payment": "payment_reference",
    "account": "deposit_account.id",
    "A/R message": "ar_message",
    "note": "note",
}


def postings_table(postings: Iterable[Posting], /, title: str = "") -> Table:
    """Show posting records as staff see them, in their order."""
    shown = list(postings)
    total = _sums(each.amount for each in shown)
    return Table(
        title=title,
        header=tuple(_POSTING),
        rows=_rows(_POSTING, shown),
        footer=("total", "", "", "", total, *("",) * 5),
        numeric=frozenset({4}),
        folded=frozenset({8, 9}),
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
                _sums(each.amount for each in some),
            )
            for view, some in views.items()
        ),
        numeric=frozenset({1, 2}),
    )
