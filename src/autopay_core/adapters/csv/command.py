"""
How an export is read, row by row, before money moves.

Holds: `check` and `main`, the command, and its parts `add_arguments` and
`carry_out`, of which ``autopay check`` is made. Imports: `cells`, `mapping`,
`profiles`, `reading`, `allocation` and the values.

::

    python -m autopay_core.adapters.csv check FILE --profile NAME
"""

from __future__ import annotations

import argparse
import importlib
import json
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

__all__ = ["add_arguments", "carry_out", "check", "main"]

ALL_RIGHT: Final = 0
LEFT_OUT: Final = 1
REFUSED: Final = 2
"""What the command returns to the shell."""


_Give = Callable[[dict[str, object]], object]


def _give_nobody(_: dict[str, object]) -> None:
    """Give it to nobody."""


def check(
    data: bytes,
    mapping: CsvMapping,
    tell: Callable[[str], object],
    /,
    *,
    give: _Give = _give_nobody,
) -> int:
    """
    Tell how every row is read, what is left out and why, and the totals.

    Args:
        data: The file's content.
        mapping: What is where in it.
        tell: Takes one line at a time, for people.
        give: Takes one object at a time, for programs: each row, and at the
            end what it comes to.

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
        give(_object_of(each))

    try:
        read = read_invoices(data, mapping, {}, note=note)
        check_readable(read.rows, read.unreadable)
    except AutopayError as error:
        return _refused(masked_text(clean_text(str(error))), tell, give)
    if not read.rows and not mapping.may_be_empty:
        return _refused("there is a header and no row", tell, give)
    return _sum_up(read, mapping, tell, give)


def _refused(why: str, tell: Callable[[str], object], give: _Give) -> int:
    tell(f"REFUSED  {why}")
    give({"refused": why})
    return REFUSED


def _object_of(note: Note) -> dict[str, object]:
    """Return how a row was read, for programs; what is long is masked."""
    found: dict[str, object] = {"line": note.line, "taken_as": note.taken_as}
    what = note.what
    if isinstance(what, Invoice):
        return found | {
            "invoice": what.number,
            "client": what.client,
            "matters": list(what.every_matter),
            "issued_on": what.issued_on.isoformat(),
            "due_on": None if what.due_on is None else what.due_on.isoformat(),
            "balance": what.balance.major,
            "currency": what.balance.currency,
            "status": what.status.value,
        }
    if isinstance(what, UnreadableRow):
        detail = masked_text(clean_text(what.detail))
        return found | {
            "code": what.code,
            "where": masked_text(clean_text(what.where)),
            "detail": detail,
        }
    return found | {"detail": masked_text(clean_text(what))}


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
    give: _Give,
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
    give(
        {
            "rows": read.rows,
            "left_out": [
                {
                    "invoice": each.number,
                    "client": each.client,
                    "code": each.code,
                    "where": masked_text(clean_text(each.where)),
                }
                for each in sorted(gone, key=str)
            ],
            "totals": [
                {
                    "client": client,
                    "amount": Money(
                        amount_minor=minor, currency=currency
                    ).major,
                    "currency": currency,
                }
                for (client, currency), minor in sorted(totals.items())
            ],
        }
    )
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
    # As `python -m` does, so that both forms of the command find it.
    if "" not in sys.path:
        sys.path.insert(0, "")
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
    add_arguments(parser)
    return carry_out(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument("file", type=Path)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--profile", choices=sorted(PROFILES))
    how.add_argument(
        "--mapping",
        help="module:name of a CsvMapping, or of a function that returns one",
    )
    parser.add_argument("--currency", default="USD")
    parser.add_argument(
        "--json", action="store_true", help="print JSON lines, for programs"
    )


def carry_out(options: argparse.Namespace) -> int:
    """Show how the file is read; return what `main` does."""
    try:
        mapping = _mapping_of(options)
        # Where errors say the file's name it is that of this file.
        mapping = attrs.evolve(
            mapping,
            invoices=attrs.evolve(mapping.invoices, file=options.file.name),
        )
    except (ImportError, AttributeError, TypeError, AutopayError) as error:
        sys.stderr.write(f"no mapping: {error}\n")
        raise SystemExit(REFUSED) from error
    data, trouble = _content_of(options.file)
    if trouble:
        sys.stderr.write(f"{options.file.name}: {trouble}\n")
        return REFUSED
    if options.json:
        return check(data, mapping, _tell_nobody, give=_print_json)
    return check(data, mapping, print)


def _tell_nobody(_: str) -> None:
    """Tell nobody."""


def _print_json(found: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(found)}\n")
