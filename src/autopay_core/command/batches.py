"""
``autopay batches``: what went to the ledger together, and its answer (P5).

Holds: `add_arguments` and `carry_out`. Imports: `command.output`,
`command.places`, `batches`, `commits` and `ports` (for types), `errors` and
`show.tables`. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from autopay_core.batches import Batch, BatchState
from autopay_core.command.output import (
    Output,
    add_output,
    batch_json,
    posting_json,
)
from autopay_core.command.places import add_store, open_store
from autopay_core.commits import BatchFilter, Decoded
from autopay_core.errors import InvalidValueError
from autopay_core.show.tables import batches_table, postings_table

if TYPE_CHECKING:
    from autopay_core.commits import Unreadable
    from autopay_core.ports import PostingStore

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "batch",
        nargs="?",
        metavar="BATCH",
        help="only this one, with its postings and the ledger's answer",
    )
    parser.add_argument(
        "--state",
        choices=[each.value for each in BatchState],
        help="only those that stand there",
    )
    parser.add_argument(
        "--posting",
        metavar="ID",
        help="only those that this posting is, or was, in",
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """List them, or show one."""
    output = Output(options)
    if options.batch is not None:
        return _show(options, output)
    wanted = BatchFilter(
        states=frozenset(
            () if options.state is None else (BatchState(options.state),)
        ),
        posting=options.posting,
    )
    with open_store(options) as store:
        found = Decoded(_read(store, wanted))
    for each in found:
        output.give(batch_json(each))
    if found:
        output.say(batches_table(found, "Batches"))
    elif not found.unreadable:
        output.say("There are no such batches.")
    return output.name_unreadable(found)


def _show(options: argparse.Namespace, output: Output) -> int:
    with open_store(options) as store:
        found = Decoded(store.batch(options.batch))
    if not found and not found.unreadable:
        raise InvalidValueError(
            "there is no batch of that id",
            code="BatchUnknown",
            path="BATCH",
            value=options.batch,
        )
    for batch in found:
        output.give(
            {
                **batch_json(batch),
                "lines": [posting_json(each) for each in batch.postings],
                "refusals": [
                    {
                        "posting": each.posting,
                        "reason": each.reason.value,
                        "detail": each.detail,
                    }
                    for each in batch.refused
                ],
            }
        )
        output.say(
            batches_table([batch], "The batch"),
            postings_table(batch.postings, "As they were sent"),
        )
        invoices = {each.id: each.invoice for each in batch.postings}
        for each in batch.refused:
            output.say(
                f"Refused: invoice {invoices[each.posting]}, {each.note}"
            )
    return output.name_unreadable(found)


def _read(
    store: PostingStore, wanted: BatchFilter
) -> Iterator[Batch | Unreadable]:
    while True:
        page = store.batches(wanted)
        yield from page
        if len(page) < wanted.most:
            return
        last = page[-1]
        wanted = attrs.evolve(
            wanted, after=last.id if isinstance(last, Batch) else last.key
        )
