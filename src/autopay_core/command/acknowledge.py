"""
``autopay acknowledge``: what the ledger's balances show by now (P2, P3).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `command.output`,
`command.places`, `adapters.memory`, `audit`, `calls` and the values. The file
is the ledger export that the audit takes; of it, the rows of our postings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs

from autopay_core import calls
from autopay_core.adapters.memory import memory_ports
from autopay_core.audit import LedgerKind, read_ledger_rows
from autopay_core.batches import LedgerEntry
from autopay_core.command import DONE, FOUND
from autopay_core.command.output import (
    Output,
    add_output,
    entry_json,
    posting_json,
)
from autopay_core.command.places import add_store, open_store

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "ledger",
        type=Path,
        metavar="FILE",
        help="the ledger's export, as CSV or JSON lines, as for the audit",
    )
    parser.add_argument(
        "--by", required=True, metavar="NAME", help="whose figures they are"
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Apply what is shown as it is on record, and name the rest."""
    output = Output(options)
    entries = [
        LedgerEntry(posting=each.id, invoice=each.invoice, amount=each.amount)
        for each in read_ledger_rows(options.ledger)
        if each.kind is LedgerKind.POSTING
    ]
    with open_store(options) as store:
        # It asks the store, and none of the other ports.
        ports = attrs.evolve(memory_ports([]), postings=store)
        found = calls.acknowledge(entries, by=options.by, ports=ports)
    for posting in found.applied:
        output.give({"result": "applied", **posting_json(posting)})
    for result, some in (
        ("already", found.already),
        ("differs", found.differs),
        ("unexpected", found.unexpected),
        ("unknown", found.unknown),
    ):
        for each in some:
            output.give({"result": result, **entry_json(each)})
    output.say(str(found))
    return DONE if found.is_clean else FOUND
