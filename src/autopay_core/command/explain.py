"""
``autopay explain``: why a run did what it did, from its record alone (X2).

Holds: `add_arguments` and `carry_out`. Imports: `command`,
`adapters.memory`, `calls`, `errors`, `runs` (for types) and
`show.sentences`. Nothing is written.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import attrs

from autopay_core import calls
from autopay_core.adapters.memory import memory_ports
from autopay_core.command import DONE
from autopay_core.command.finding import find_run
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import a_day, add_store, open_store
from autopay_core.errors import InvalidValueError
from autopay_core.show.sentences import explain

if TYPE_CHECKING:
    from autopay_core.runs import RunRecord

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="such as ap-04/2026-05-15; or ask for a payment instead",
    )
    parser.add_argument("--payer", metavar="PAYER", help="a payment of theirs")
    parser.add_argument(
        "--on", type=a_day, metavar="DATE", help="a payment of this day"
    )
    parser.add_argument(
        "--amount",
        metavar="AMOUNT",
        help="so much was taken, in all or on one invoice, such as 412.17",
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Say it in sentences."""
    output = Output(options)
    if options.run is not None:
        _say(output, options.run, explain(find_run(options)))
        return DONE
    if options.payer is None and options.on is None:
        raise InvalidValueError(
            "name the payer or the day, or both",
            code="FieldMissing",
            path="--payer",
        )
    with open_store(options) as store:
        # It asks the store, and none of the other ports.
        ports = attrs.evolve(memory_ports([]), postings=store)
        found = calls.find_payments(
            payer=options.payer, on=options.on, ports=ports
        )
    payments = [each for each in found if _took(each, options.amount)]
    if not payments and not found.unreadable:
        raise InvalidValueError(
            "there is no such payment on record",
            code="UnknownValue",
            path="--amount" if options.amount else "--payer",
            value=options.amount or options.payer,
        )
    for each in payments:
        _say(output, str(each.key), explain(each))
    return output.name_unreadable(found)


def _say(output: Output, run: str, said: tuple[str, ...]) -> None:
    output.give({"run": run, "sentences": list(said)})
    output.say(*said)


def _took(record: RunRecord, amount: str | None) -> bool:
    captured, allocation = record.captured, record.allocation
    if amount is None or captured is None or allocation is None:
        return amount is None
    shares = (each.amount for each in allocation.paid)
    return amount in {each.major for each in (captured.amount, *shares)}
