"""
Posting records as CSV for a ledger, or a spreadsheet, that imports files.

Holds: `postings_csv`, `write_postings_csv`. Imports: `writing`, `postings`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from autopay_core.adapters.csv.writing import (
    guarded,
    line_of,
    quoted,
    write_lines,
)
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
    yield line_of(map(quoted, _COLUMNS))
    for each in postings:
        yield line_of(
            str(value) if name in _BARE else quoted(value or "")
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
    return write_lines(postings_csv(postings), path)
