"""
``autopay receipt``: what a payment was for, as text and as a page (N5).

Holds: `add_arguments` and `carry_out`. Imports: `command` and `show.letters`.
Nothing is written but the page that is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autopay_core.command import DONE
from autopay_core.command.finding import add_run, find_run
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import add_store
from autopay_core.show.letters import receipt

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    add_run(parser)
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write it as a page as well"
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Write the receipt."""
    output = Output(options)
    said = receipt(find_run(options))
    if options.html is not None:
        options.html.write_text(said.html(), "utf-8")
    output.give(
        {"run": options.run, "subject": said.subject, "text": said.text}
    )
    output.say(str(said))
    return DONE
