"""
``autopay postings``: the posting records, as staff see them (P3).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `adapters.csv`,
`commits`, `postings`, `ports` (for types) and `show.tables`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from autopay_core.command.output import Output, add_output, posting_json
from autopay_core.command.places import add_store, open_store
from autopay_core.commits import Decoded, PostingFilter
from autopay_core.postings import PostingView
from autopay_core.show.tables import postings_table

if TYPE_CHECKING:
    from autopay_core.commits import Unreadable
    from autopay_core.ports import PostingStore
    from autopay_core.postings import Posting

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "--view",
        choices=[each.value for each in PostingView],
        default=PostingView.ALL.value,
        help="which of them (default: %(default)s)",
    )
    parser.add_argument(
        "--invoice", metavar="NUMBER", help="only this invoice's"
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write them to a CSV file as well",
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """List them."""
    output = Output(options)
    view = PostingView(options.view)
    with open_store(options) as store:
        found = Decoded(_read(store, view, options.invoice))
    if options.export is not None:
        from autopay_core.adapters.csv import write_postings_csv

        write_postings_csv(found, options.export)
    for each in found:
        output.give(posting_json(each))
    output.say(postings_table(found, f"Postings: {view.value}"))
    return output.name_unreadable(found)


def _read(
    store: PostingStore, view: PostingView, invoice: str | None
) -> Iterator[Posting | Unreadable]:
    wanted = PostingFilter.of_view(view, invoice=invoice)
    while True:
        page = store.postings(wanted)
        yield from page
        if len(page) < wanted.most:
            return
        wanted = attrs.evolve(wanted, after=page[-1].id)
