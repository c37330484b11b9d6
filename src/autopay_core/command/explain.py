"""
``autopay explain``: why a run did what it did, from its record alone (X2).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `commits` and
`show.sentences`. Nothing is written.
"""

from __future__ import annotations

import argparse

from autopay_core.command import DONE
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import add_store, open_store
from autopay_core.commits import Unreadable
from autopay_core.errors import InvalidValueError
from autopay_core.show.sentences import explain

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument("run", metavar="RUN", help="such as ap-04/2026-05-15")
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Say it in sentences."""
    output = Output(options)
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
            said = explain(record)
            break
        else:
            raise InvalidValueError(
                "there is no such run on record; the form is "
                "AUTOPAY/NOMINAL-DATE",
                code="UnknownValue",
                path="RUN",
                value=options.run,
            )
    output.give({"run": options.run, "sentences": list(said)})
    output.say(*said)
    return DONE
