"""
``autopay run``: one auto-pay, for one date of its schedule.

Holds: `add_arguments`, `carry_out` and `code_of`. Imports: `command`,
`calls` and `runs`. The same command again charges nothing (R5).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Final

from autopay_core.calls import run
from autopay_core.command import AGAIN, DONE, FOUND
from autopay_core.command.output import Output, add_output, result_json
from autopay_core.command.places import a_day, add_place, open_place
from autopay_core.runs import RunStatus

__all__ = ["add_arguments", "carry_out", "code_of"]

_FOR_A_PERSON: Final = frozenset({RunStatus.FAILED, RunStatus.REVIEW})
_NOT_YET: Final = frozenset(
    {RunStatus.OPEN, RunStatus.POSTPONED, RunStatus.BLOCKED}
)


def code_of(statuses: Iterable[RunStatus], /) -> int:
    """Return the exit code of runs that ended so."""
    seen = frozenset(statuses)
    if seen & _FOR_A_PERSON:
        return FOUND
    return AGAIN if seen & _NOT_YET else DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument("autopay", metavar="AUTOPAY", help="its id")
    parser.add_argument(
        "--on",
        type=a_day,
        required=True,
        metavar="DATE",
        help="a date of its schedule",
    )
    add_place(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Run it and say how it ended."""
    output = Output(options)
    with open_place(options, options.on, writes=True) as place:
        autopay = place.autopay(options.autopay)
        place.begin(options.on)
        result = run(autopay, on=options.on, ports=place.ports)
    output.give(result_json(result))
    output.say(str(result))
    for each in result.postings:
        output.say(f"  {each.invoice}: {each.amount}")
    return code_of([result.status])
