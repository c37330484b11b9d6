"""
How an export is read, row by row, before money moves.

Holds: `check` and `main`, the command. Imports: `cells`, `mapping`,
`profiles`, `reading`, `allocation` and the values.

::

    python -m autopay_core.adapters.csv check FILE --profile NAME
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from autopay_core._checks import clean_text, masked_text
from autopay_core.adapters.csv.cells import FILE_MAX
from autopay_core.adapters.csv.mapping import (
    FILE_TIME,
    Constant,
    CsvMapping,
)
from autopay_core.adapters.csv.profiles import PROFILES
from autopay_core.adapters.csv.reading import (
    InvoicesRead,
    Note,
    read_invoices,
)
from autopay_core.allocation import allocate
from autopay_core.errors import AutopayError
from autopay_core.invoices import Invoice, UnreadableRow
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.reads import check_readable

__all__ = ["check", "main"]

ALL_RIGHT: Final = 0
LEFT_OUT: Final = 1
REFUSED: Final = 2
"""What the command returns to the shell."""


def check(
    data: bytes, mapping: CsvMapping, tell: Callable[[str], object], /
) -> int:
    """
    Tell how every row is read, what is left out and why, and the totals.

    Args:
        data: The file's content.
        mapping: What is where in it.
        tell: Takes one line at a time.

    Returns:
        0 if every row can be used, 1 if something is left out, 2 if the file
        is refused.

    """
    columns = mapping.invoices
    if columns.client is None and not isinstance(columns.matter, Constant):
        # Only the matters' export knows it.
        mapping = attrs.evolve(
            mapping, invoices=attrs.evolve(columns, client=columns.matter)
        )
        tell("The client of each matter is not looked up: matters are shown.")

    def note(each: Note) -> None:
        tell(_line_of(each))

    try:
        read = read_invoices(data, mapping, {}, note=note)
        check_readable(read.rows, read.unreadable)
    except AutopayError as error:
        tell(f"REFUSED  {masked_text(clean_text(str(error)))}")
        return REFUSED
    if not read.rows and not mapping.may_be_empty:
        tell("REFUSED  there is a header and no row")
        return REFUSED
    return _sum_up(read, mapping, tell)


def _line_of(note: Note) -> str:
    what = note.what
    if isinstance(what, Invoice):
        shown = (
            f"{what.number}, client {what.client}, matter "
            f"{', '.join(what.every_matter)}, of {what.issued_on}, due "
            f"{what.due_on or '-'}: {what.balance}, {what.status.value}"
        )
    elif isinstance(what, UnreadableRow):
        shown = f"{what.code}: {what.where}: {what.detail}"
    else:
        shown = what
    shown = masked_text(clean_text(shown))
    return f"{note.line:>6}  {note.taken_as:<11}  {shown}"


def _sum_up(
    read: InvoicesRead,
    mapping: CsvMapping,
    tell: Callable[[str], object],
) -> int:
    """Tell what is left out in the end, and the totals by client."""
    left_out = {
        currency: allocate(
            read.invoices, Limit.all(currency), unreadable=read.unreadable
        ).left_out
        for currency in sorted({e.balance.currency for e in read.invoices})
        or [mapping.currency]
    }
    gone = {each for many in left_out.values() for each in many}
    numbers = {each.number for each in gone}
    totals: dict[tuple[str, str], int] = {}
    for each in read.invoices:
        if each.number not in numbers:
            at = each.client, each.balance.currency
            totals[at] = totals.get(at, 0) + each.balance.amount_minor
    tell("")
    for (client, currency), minor in sorted(totals.items()):
        total = Money(amount_minor=minor, currency=currency)
        tell(f"{total}  client {masked_text(clean_text(client))}")
    for currency in sorted({currency for _, currency in totals}):
        minor = sum(v for (_, each), v in totals.items() if each == currency)
        tell(f"{Money(amount_minor=minor, currency=currency)}  in all")
    if mapping.stated_at is FILE_TIME:
        tell("The balances hold for the time at which the file was written.")
    elif read.stated_in is not None:
        tell(f"The balances hold for {read.stated_in.isoformat()}.")
    else:
        tell(
            "The balances hold for the moment of the call: nothing says when."
        )
    if not gone:
        tell(f"{read.rows} rows; nothing is left out.")
        return ALL_RIGHT
    tell(f"{read.rows} rows; left out, until somebody mends the file:")
    for one in sorted(gone, key=str):
        tell(f"  {masked_text(clean_text(str(one)))}")
    return LEFT_OUT


def _mapping_of(options: argparse.Namespace) -> CsvMapping:
    """Return the profile, or what stands under a module's name."""
    if options.profile is not None:
        return PROFILES[options.profile](options.currency)
    module, _, name = options.mapping.partition(":")
    found = getattr(importlib.import_module(module), name)
    mapping = found() if callable(found) else found
    if not isinstance(mapping, CsvMapping):
        message = f"{options.mapping} is no CsvMapping"
        raise TypeError(message)
    return mapping


def _content_of(path: Path) -> tuple[bytes, str]:
    """Return what stands in a file, and why it cannot be used."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_MAX + 1)
    except OSError as error:
        return b"", type(error).__name__
    too_large = f"larger than {FILE_MAX} bytes"
    return data, too_large if len(data) > FILE_MAX else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Carry out the command; *arguments* are those of the shell.

    Returns:
        As `check`, and 2 if the file cannot be read.

    """
    parser = argparse.ArgumentParser(
        prog="python -m autopay_core.adapters.csv",
        description="Show how an export is read, before money moves.",
    )
    parser.add_argument("command", choices=["check"])
    parser.add_argument("file", type=Path)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--profile", choices=sorted(PROFILES))
    how.add_argument(
        "--mapping",
        help="module:name of a CsvMapping, or of a function that returns one",
    )
    parser.add_argument("--currency", default="USD")
    options = parser.parse_args(arguments)
    try:
        mapping = _mapping_of(options)
        # Where errors say the file's name it is that of this file.
        mapping = attrs.evolve(
            mapping,
            invoices=attrs.evolve(mapping.invoices, file=options.file.name),
        )
    except (ImportError, AttributeError, TypeError, AutopayError) as error:
        parser.error(f"no mapping: {error}")
    data, trouble = _content_of(options.file)
    if trouble:
        sys.stderr.write(f"{options.file.name}: {trouble}\n")
        return REFUSED
    return check(data, mapping, print)
