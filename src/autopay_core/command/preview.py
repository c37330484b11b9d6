"""
``autopay preview``: what a run would pay, and why.

Holds: `add_arguments` and `carry_out`. Imports: `command`, `calls` and
`show.tables`. Nothing is written.
"""

from __future__ import annotations

import argparse

from autopay_core.calls import preview
from autopay_core.command import DONE, FOUND
from autopay_core.command.output import Output, add_output, allocation_json
from autopay_core.command.places import a_day, add_book, add_place, open_place
from autopay_core.show.tables import allocation_table

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument("autopay", metavar="AUTOPAY", help="its id")
    parser.add_argument(
        "--on", type=a_day, required=True, metavar="DATE", help="any date"
    )
    add_place(parser)
    add_book(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Show the allocation; return 1 if an invoice had to be left out."""
    output = Output(options)
    with open_place(options, options.on, writes=False) as place:
        autopay = place.autopay(options.autopay)
        allocation = preview(autopay, on=options.on, ports=place.ports)
    head = {"autopay": str(autopay.id), "on": options.on.isoformat()}
    output.give({**head, **allocation_json(allocation)})
    title = f"{autopay.name} ({autopay.id}) on {options.on}"
    output.say(allocation_table(allocation, title))
    for each in allocation.left_out:
        output.say(f"Left out: {each}")
    return FOUND if allocation.left_out else DONE
