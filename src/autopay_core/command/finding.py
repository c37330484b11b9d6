"""
The run that a person names.

Holds: `add_run` and `find_run`. Imports: `command`, `commits` and `runs` (for
types).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autopay_core.command.places import open_store
from autopay_core.commits import Unreadable
from autopay_core.errors import InvalidValueError

if TYPE_CHECKING:
    from autopay_core.runs import RunRecord

__all__ = ["add_run", "find_run"]


def add_run(parser: argparse.ArgumentParser) -> None:
    """Let people name a run."""
    parser.add_argument("run", metavar="RUN", help="such as ap-04/2026-05-15")


def find_run(options: argparse.Namespace) -> RunRecord:
    """
    Return the run that was named.

    Raises:
        InvalidValueError: There is none (``UnknownValue``), or it is on
            record and cannot be read.

    """
    with open_store(options) as store:
        for record in store.runs_as_read():
            if str(record.key) != options.run:
                continue
            if isinstance(record, Unreadable):
                raise InvalidValueError(
                    "the run is on record and cannot be read",
                    code=record.code,
                    path="RUN",
                    value=options.run,
                )
            return record
    raise InvalidValueError(
        "there is no such run on record; the form is AUTOPAY/NOMINAL-DATE",
        code="UnknownValue",
        path="RUN",
        value=options.run,
    )
