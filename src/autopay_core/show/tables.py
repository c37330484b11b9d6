"""
Tables for people: in a terminal and in a notebook (E3, L4, P3).

Holds: `Table`, the functions that make one of runs, allocations and posting
records, `notice_text` and `show`. Imports: the core; rich only when it is
installed and asked for. Every text is data: in plain text its control
characters are escaped, in HTML its markup, and in rich it is no markup.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO, final

import attrs

from autopay_core._checks import check_each, check_type, clean_text
from autopay_core.allocation import Reason
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import PostingView, in_view
from autopay_core.runs import RunState

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from autopay_core.allocation import Allocation
    from autopay_core.notices import Notice
    from autopay_core.postings import Posting
    from autopay_core.runs import RunRecord, RunResult

__all__ = [
    "Table",
    "allocation_table",
    "autopays_table",
    "notice_text",
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

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: tuple[str, ...] = ()
    numeric: frozenset[int] = frozenset()
    folded: frozenset[int] = frozenset()

    def __attrs_post_init__(self) -> None:
        """Check the shape."""
        check_type(self.title, str, "title")
        check_each(self.header, str, "header")
        check_each(self.rows, tuple, "rows")
        check_each(self.footer, str, "footer")
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


# -- Allocations -------------------------------------------------------------


def allocation_table(allocation: Allocation, /, title: str = "") -> Table:
    """Show which invoice gets how much of a run, and why (L4)."""
    return Table(
        title=title,
        header=(
            "invoice",
            "matter",
            "issued",
            "due",
            "balance",
            "on its way",
            "payable",
            "paid",
            "why",
        ),
        rows=tuple(
            (
                line.invoice.number,
                line.invoice.matter,
                line.invoice.issued_on.isoformat(),
                ""
                if line.invoice.due_on is None
                else line.invoice.due_on.isoformat(),
                _amount(line.balance),
                _amount(line.open),
                _amount(line.payable),
                _amount(line.amount),
                line.reason.text,
            )
            for line in allocation.lines
        ),
        footer=(*("",) * 6, "total", str(allocation.total), ""),
        numeric=frozenset({4, 5, 6, 7}),
        folded=frozenset({8}),
    )


def reasons_table(
    allocations: Iterable[Allocation], /, title: str = ""
) -> Table:
    """Count the reasons of all lines, with what was and was not paid."""
    counts: dict[Reason, int] = {}
    paid: dict[Reason, list[Money]] = {}
    left: dict[Reason, list[Money]] = {}
    for allocation in allocations:
        for line in allocation.lines:
            counts[line.reason] = counts.get(line.reason, 0) + 1
            paid.setdefault(line.reason, []).append(line.amount)
            left.setdefault(line.reason, []).append(line.payable - line.amount)
    return Table(
        title=title,
        header=("why", "lines", "paid", "payable, not paid"),
        rows=tuple(
            (
                reason.text,
                str(counts[reason]),
                _sums(paid[reason]),
                _sums(left[reason]),
            )
            for reason in Reason
            if reason in counts
        ),
        footer=(
            "total",
            str(sum(counts.values())),
            _sums(each for some in paid.values() for each in some),
            "",
        ),
        numeric=frozenset({1, 2, 3}),
        folded=frozenset({0}),
    )


def _amount(amount: Money) -> str:
    """Return an amount without its currency, which stands in the sum."""
    return str(amount).partition(" ")[2]


def _sums(amounts: Iterable[Money]) -> str:
    """Return the sum of each currency among *amounts*."""
    totals: dict[str, Money] = {}
    for each in amounts:
        known = totals.get(each.currency)
        totals[each.currency] = each if known is None else known + each
    return ", ".join(str(totals[currency]) for currency in sorted(totals))


# -- Runs --------------------------------------------------------------------


def results_table(results: Iterable[RunResult], /, title: str = "") -> Table:
    """Show how the runs of a sweep ended."""
    rows: list[tuple[str, ...]] = []
    charged: list[Money] = []
    for each in results:
        amount = each.charged
        if amount is not None:
            charged.append(amount)
        rows.append(
            (
                "" if each.key is None else each.key.autopay,
                "" if each.key is None else each.key.nominal_on.isoformat(),
                each.status.value.replace("_", " "),
                "" if amount is None else str(amount),
                each.reason,
                each.detail,
            )
        )
    return Table(
        title=title,
        header=("auto-pay", "run", "status", "charged", "reason", "detail"),
        rows=tuple(rows),
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
    everything = [each for some in runs.values() for each in some]

    def figures(some: Sequence[RunRecord]) -> tuple[str, ...]:
        paid = [each for each in some if each.captured is not None]
        failed = [each for each in some if each.state is RunState.FAILED]
        captured = [
            each.captured.amount for each in paid if each.captured is not None
        ]
        invoices = sum(
            len(each.allocation.paid)
            for each in paid
            if each.allocation is not None
        )
        others = len(some) - len(paid) - len(failed)
        return (
            str(len(some)),
            str(len(paid)),
            str(len(failed)),
            str(others),
            str(invoices),
            _sums(captured),
        )

    return Table(
        title=title,
        header=(
            "auto-pay",
            "name",
            "runs",
            "paid",
            "failed",
            "other",
            "invoices",
            "captured",
        ),
        rows=tuple(
            (autopay, names.get(autopay, ""), *figures(some))
            for autopay, some in runs.items()
        ),
        footer=("total", "", *figures(everything)),
        numeric=frozenset(range(2, 8)),
        folded=frozenset({1}),
    )


# -- Postings ----------------------------------------------------------------


def postings_table(postings: Iterable[Posting], /, title: str = "") -> Table:
    """Show posting records as staff see them, in their order."""
    shown = list(postings)
    return Table(
        title=title,
        header=(
            "charged",
            "invoice",
            "client",
            "matter",
            "amount",
            "status",
            "payment",
            "account",
            "A/R message",
            "note",
        ),
        rows=tuple(
            (
                each.charged_on.isoformat(),
                each.invoice,
                each.client,
                each.matter,
                _amount(each.amount),
                each.status.value,
                each.payment_reference,
                each.deposit_account.id,
                each.ar_message,
                each.note,
            )
            for each in shown
        ),
        footer=(
            *("total", "", "", ""),
            _sums(each.amount for each in shown),
            *("",) * 5,
        ),
        numeric=frozenset({4}),
        folded=frozenset({8, 9}),
    )


def views_table(postings: Iterable[Posting], /, title: str = "") -> Table:
    """Count the posting records in each of the staff's views (P3)."""
    everything = tuple(postings)
    rows: list[tuple[str, ...]] = []
    for view in PostingView:
        some = in_view(everything, view)
        rows.append(
            (
                view.value,
                str(len(some)),
                _sums(each.amount for each in some),
            )
        )
    return Table(
        title=title,
        header=("view", "postings", "amount"),
        rows=tuple(rows),
        numeric=frozenset({1, 2}),
    )


def notice_text(notice: Notice, /) -> str:
    """Show a notice as a person would get it, line by line."""
    lines = (
        ("", notice.title),
        ("Auto-pay: ", f"{notice.name} ({notice.autopay})".strip()),
        ("Payer: ", notice.payer),
        ("Date: ", notice.on.isoformat()),
        ("Amount: ", "" if notice.amount is None else str(notice.amount)),
        ("Reason: ", notice.reason),
        ("", notice.detail),
    )
    return "\n".join(
        f"{what}{clean_text(text)}" for what, text in lines if text
    )
