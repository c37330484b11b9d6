"""
``autopay statement``: what was taken from a payer, and what went back (N5).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `commits` and
`show.letters`. Nothing is written but the page that is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autopay_core.command import DONE, FOUND
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import a_day, add_store, open_store
from autopay_core.commits import Unreadable
from autopay_core.show.letters import statement

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument("payer", metavar="PAYER", help="the payer's id")
    for name, what in (("--from", "first"), ("--through", "last")):
        parser.add_argument(
            name,
            dest=f"{name[2:]}_on",
            type=a_day,
            required=True,
            metavar="DATE",
            help=f"the {what} day that is in it",
        )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write it as a page as well"
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Write the statement."""
    output = Output(options)
    with open_store(options) as store:
        runs = list(store.runs_as_read())
    readable = [each for each in runs if not isinstance(each, Unreadable)]
    said = statement(
        readable,
        payer=options.payer,
        from_on=options.from_on,
        through=options.through_on,
    )
    if options.html is not None:
        options.html.write_text(said.html(), "utf-8")
    output.give(
        {"payer": options.payer, "subject": said.subject, "text": said.text}
    )
    output.say(str(said))
    missing = len(runs) - len(readable)
    if missing:
        output.note(
            f"Not in it: {missing} that cannot be read, of whatever payer; "
            "the audit names them."
        )
    return FOUND if missing else DONE
