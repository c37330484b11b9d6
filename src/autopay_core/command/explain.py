"""
``autopay explain``: why a run did what it did, from its record alone (X2).

Holds: `add_arguments` and `carry_out`. Imports: `command` and
`show.sentences`. Nothing is written.
"""

from __future__ import annotations

import argparse

from autopay_core.command import DONE
from autopay_core.command.finding import add_run, find_run
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import add_store
from autopay_core.show.sentences import explain

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    add_run(parser)
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Say it in sentences."""
    output = Output(options)
    said = explain(find_run(options))
    output.give({"run": options.run, "sentences": list(said)})
    output.say(*said)
    return DONE
