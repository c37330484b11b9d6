"""
Posting records as CSV for a ledger, or a spreadsheet, that imports files.

Holds: `postings_csv`, `write_postings_csv`, `guarded`. Imports: `postings`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Final

from autopay_core.errors import PortUnavailableError
from autopay_core.postings import Posting

__all__ = ["guarded", "postings_csv", "write_postings_csv"]

_COLUMNS: Final = {
    "posting": "id",
    "status": "status.value",
    "charged_on": "charged_on",
    "client": "client",
    "matter": "matter",
    "invoice": "invoice",
    "amount": "amount.major",
    "currency": "amount.currency",
    "payer": "payer",
    "auto_pay": "run.autopay",
    "nominal_on": "run.nominal_on",
    "payment_reference": "payment_reference",
    "deposit_account": "deposit_account.id",
    "account_kind": "deposit_account.kind.value",
    "ar_message": "ar_message",
    "reverses": "reverses",
    "note": "note",
}
"""The columns, and the fields that they show."""

_BARE: Final = frozenset({"charged_on", "amount", "nominal_on"})
_PIECES: Final = re.compile("([;\t|])")
_fields: Final = attrgetter(*_COLUMNS.values())


def postings_csv(postings: Iterable[Posting], /) -> Iterator[str]:
    r"""
    Return posting records as the lines of a CSV file, header first.

    RFC 4180: every text is quoted, lines end in CR LF. Amounts are numbers in
    major units, dates are ISO 8601, and neither is quoted. A text that a
    spreadsheet could take for a formula has an apostrophe in front, and so
    has one that begins with an apostrophe; and likewise what follows a
    semicolon, a tab or a bar, at which a spreadsheet may part cells. Take one
    apostrophe away at each of these places to have the text again.

    >>> next(postings_csv([]))[:28]
    '"posting","status","charged_'
    >>> guarded("=1+1"), guarded("O'Hara")
    ("'=1+1", "O'Hara")

    Source:
        RFC 4180; OWASP, CSV injection.

    """
    yield _line(map(_quoted, _COLUMNS))
    for each in postings:
        yield _line(
            str(value) if name in _BARE else _quoted(value or "")
            for name, value in zip(_COLUMNS, _fields(each), strict=True)
        )


def write_postings_csv(
    postings: Iterable[Posting], path: str | os.PathLike[str], /
) -> int:
    """
    Write posting records to a CSV file, whole or not at all.

    UTF-8 with the byte order mark that spreadsheets look for.

    Args:
        postings: Such as `read_postings` gives.
        path: Replaced if it is there.

    Returns:
        How many there are.

    Raises:
        PortUnavailableError: The file cannot be written; the old one stands.

    """
    target = Path(path)
    count = -1
    beside = ""
    try:
        handle, beside = tempfile.mkstemp(
            prefix=f".{target.name[:32]}-", dir=target.parent
        )
        with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
            for line in postings_csv(postings):
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(target)
    except OSError as error:
        raise PortUnavailableError(
            f"{target.name} cannot be written: {type(error).__name__}",
            code="FileUnwritable",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
    return count


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def _quoted(text: str) -> str:
    doubled = guarded(text).replace('"', '""')
    return f'"{doubled}"'


def guarded(text: str) -> str:
    """
    Put an apostrophe before what a spreadsheet would calculate.

    Where a spreadsheet parts cells at semicolons, tabs or bars, each piece of
    the text may become a cell of its own, so each is looked at.
    """
    first, *others = _PIECES.split(text)
    whole = first + "".join(
        f"'{each}" if place % 2 and _is_dangerous(each) else each
        for place, each in enumerate(others)
    )
    return f"'{whole}" if _is_dangerous(text) else whole


def _is_dangerous(text: str) -> bool:
    if text.startswith(("'", "\t", "\r", "\n")):
        return True
    # Spreadsheets trim blanks of any kind and know full-width signs; a line
    # inside of a cell may land in a cell of its own.
    plain = unicodedata.normalize("NFKC", text)
    return any(
        line.strip().startswith(("=", "+", "-", "@"))
        for line in plain.splitlines()
    )
