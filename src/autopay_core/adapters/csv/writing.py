"""
How CSV files are written for people and ledgers.

Holds: `guarded`, `quoted`, `line_of`, `write_lines`. Imports: `errors`. Texts
are quoted and guarded against spreadsheets that calculate; a file is written
whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from autopay_core.errors import PortUnavailableError

__all__ = ["guarded", "line_of", "quoted", "write_lines"]

_PIECES: Final = re.compile("([;\t|])")


def write_lines(lines: Iterable[str], path: str | os.PathLike[str], /) -> int:
    """
    Write the lines of a CSV file, whole or not at all.

    UTF-8 with the byte order mark that spreadsheets look for.

    Args:
        lines: The header first.
        path: Replaced if it is there.

    Returns:
        How many lines follow the header.

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
            for line in lines:
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


def line_of(cells: Iterable[str], /) -> str:
    """Return cells, quoted where they have to be, as a line."""
    return ",".join(cells) + "\r\n"


def quoted(text: str, /) -> str:
    """Return a text as a cell, guarded."""
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
