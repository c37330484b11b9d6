"""
One whole read of the matter data, checked (A2, B0, B3, L5).

Holds: `InvoiceRead` and `join_pages`, which makes it of the pages of one
query; `check_readable`, the share of unreadable rows that is borne. Imports:
`_checks`, `associations`, `errors`, `invoices`, `money`. A read that is short,
does not add up, or holds only what nobody asked for is unreadable, and never
empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, TypeVar, final

import attrs

from autopay_core._checks import Readable
from autopay_core.associations import (
    Association,
    InvoicePage,
    split_covered,
    split_unreadable,
)
from autopay_core.errors import IncompleteReadError
from autopay_core.invoices import Invoice, UnreadableRow
from autopay_core.money import Money

__all__ = [
    "UNREADABLE_MOST",
    "UNREADABLE_PERCENT",
    "InvoiceRead",
    "check_readable",
    "join_pages",
]

UNREADABLE_MOST: Final = 20
"""Most rows of unknown clients that a read may have (L5)."""

UNREADABLE_PERCENT: Final = 1
"""Largest share of them among the source's rows; one row is always borne."""

_T = TypeVar("_T")


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class InvoiceRead(Readable):
    """
    What one read of the matter data says, all pages together.

    Attributes:
        invoices: Those that the associations cover, in their order; equal
            rows may still be there twice.
        unreadable: The rows that could not be read and are the payer's, by
            client, matter and number as far as known, or by the number of an
            invoice that was read.
        foreign: How many rows nobody asked for were left out (A2).
        unknown: The rows that could not be read and of which it is not known
            whose they are; told to the firm only, once for a read (L5).
        stated_at: For when the balances hold: the earliest moment that a page
            states; None for the call itself (B0).

    """

    invoices: tuple[Invoice, ...]
    unreadable: tuple[UnreadableRow, ...] = ()
    foreign: int = 0
    unknown: tuple[UnreadableRow, ...] = ()
    stated_at: datetime | None = None


def check_readable(
    rows: int,
    unreadable: Iterable[UnreadableRow],
    /,
    *,
    percent: int = UNREADABLE_PERCENT,
    most: int = UNREADABLE_MOST,
) -> None:
    """
    Refuse a read in which too many rows are nobody's (L5).

    Rows whose client is known keep back their own invoice only and do not
    count here. Of the others one is borne however small the source is.

    Args:
        rows: How many the whole source has, unreadable ones among them.
        unreadable: All of its unreadable rows.
        percent: Largest share of the source's rows.
        most: Largest number.

    Raises:
        IncompleteReadError: More than *most* (``UnreadableRows``), or more
            than one and than *percent* of *rows*.

    """
    unknown = sum(each.client is None for each in unreadable)
    if unknown > most or (unknown > 1 and unknown * 100 > rows * percent):
        raise IncompleteReadError(
            f"{unknown} of {rows} rows cannot be read, not even whose they "
            "are; nothing is charged on this source until it is mended",
            code="UnreadableRows",
        )


def join_pages(
    pages: Sequence[InvoicePage],
    associations: Iterable[Association],
    /,
    *,
    percent: int = UNREADABLE_PERCENT,
    most: int = UNREADABLE_MOST,
) -> InvoiceRead:
    """
    Make one read of the pages of one query, in their order.

    Args:
        pages: All of them, the last without a `InvoicePage.next_page`.
        associations: What was asked for.
        percent: As in `check_readable`.
        most: As in `check_readable`.

    Raises:
        IncompleteReadError: The pages contradict each other or what came is
            not what was announced (``IncompleteRead``, ``RowCount``,
            ``ControlTotal``), only rows came that nobody asked for
            (``OnlyForeign``), or too many rows cannot be read
            (``UnreadableRows``).

    """
    associations = tuple(associations)
    rows = tuple(each for page in pages for each in page.invoices)
    # On two pages is once; a place names a row.
    lost = tuple(dict.fromkeys(e for page in pages for e in page.unreadable))
    distinct = tuple(dict.fromkeys(rows))
    _check_stated(pages, distinct, lost)
    source_rows = _agreed([each.source_rows for each in pages], "source_rows")
    came = len(distinct) + len(lost)
    check_readable(
        came if source_rows is None else source_rows,
        lost,
        percent=percent,
        most=most,
    )
    invoices, foreign = split_covered(rows, associations)
    if foreign and not invoices:
        raise IncompleteReadError(
            f"{len(foreign)} rows came that nobody asked for, and nothing "
            "else; nothing is charged until the filter is mended",
            code="OnlyForeign",
        )
    ours, others = split_unreadable(lost, associations)
    numbers = {each.number for each in invoices}
    clients = {each.client for each in associations}
    twins = tuple(each for each in others if each.number in numbers)
    unknown = tuple(
        each
        for each in others
        if each.number not in numbers
        and (each.client is None or each.client in clients)
    )
    stated = [each.stated_at for each in pages if each.stated_at is not None]
    return InvoiceRead(
        invoices=invoices,
        unreadable=(*ours, *twins),
        foreign=len(foreign) + len(others) - len(twins) - len(unknown),
        unknown=unknown,
        stated_at=min(stated, default=None),
    )


def _agreed(said: Sequence[_T | None], what: str) -> _T | None:
    """Return what the pages say, if any does; all that do say the same."""
    found = [each for each in said if each is not None]
    if any(each != found[0] for each in found):
        raise IncompleteReadError(
            f"{what}: the pages contradict each other; the rows changed "
            "meanwhile"
        )
    return found[0] if found else None


def _check_stated(
    pages: Sequence[InvoicePage],
    distinct: Sequence[Invoice],
    lost: Sequence[UnreadableRow],
) -> None:
    """Refuse a read that is not what the source says that it is (B3)."""
    total = _agreed([each.total for each in pages], "total")
    numbers = {each.number for each in distinct}
    if total is not None and len(numbers) != total:
        raise IncompleteReadError(
            f"{total} invoices were announced, {len(numbers)} came"
        )
    stated = _agreed([each.row_count for each in pages], "row_count")
    came = len(distinct) + len(lost)
    if stated is not None and stated != came:
        raise IncompleteReadError(
            f"the source states {stated} rows, {came} came", code="RowCount"
        )
    control = _agreed([each.control_total for each in pages], "control_total")
    # What a row that could not be read is worth is not known.
    if control is None or lost:
        return
    added = Money.total(
        (
            each.balance
            for each in distinct
            if each.balance.currency == control.currency
        ),
        control.currency,
    )
    if added != control:
        raise IncompleteReadError(
            f"the source states {control} in all, its rows add up to {added}",
            code="ControlTotal",
        )
