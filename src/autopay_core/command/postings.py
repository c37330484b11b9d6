"""
``autopay postings``: the posting records, as staff see them (P3).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `adapters.csv`,
`commits`, `postings`, `ports` (for types) and `show.tables`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from autopay_core.command.output import Output, add_output, posting_json
from autopay_core.command.places import a_day, add_store, open_store
from autopay_core.commits import Decoded, PostingFilter, PostingSort
from autopay_core.postings import PostingView
from autopay_core.show.tables import postings_table

if TYPE_CHECKING:
    from autopay_core.commits import Unreadable
    from autopay_core.ports import PostingStore
    from autopay_core.postings import Posting

__all__ = ["add_arguments", "carry_out"]


_ONLY: Final = (
    ("payer", "PAYER", "only this payer's"),
    ("client", "NUMBER", "only of this client's invoices"),
    ("matter", "NUMBER", "only of this matter's invoices"),
    ("run", "RUN", "only this run's, such as ap-1/2026-01-31"),
    ("reference", "TEXT", "only of this payment, as the gateway names it"),
    ("batch", "BATCH", "only those that are, or were, in this batch"),
)


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
    for name, value, words in _ONLY:
        parser.add_argument(f"--{name}", metavar=value, help=words)
    for name, words in (
        ("from", "charged, or gone back, on this date or later"),
        ("before", "charged, or gone back, before this date"),
    ):
        parser.add_argument(
            f"--{name}",
            dest=f"charged_{name}",
            type=a_day,
            metavar="DATE",
            help=words,
        )
    parser.add_argument(
        "--sort",
        choices=[each.value for each in PostingSort],
        default=PostingSort.ID.value,
        help="in what order (default: %(default)s)",
    )
    parser.add_argument(
        "--descending", action="store_true", help="in the reverse order"
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
    wanted = attrs.evolve(
        PostingFilter.of_view(view, invoice=options.invoice),
        payer=options.payer,
        client=options.client,
        matter=options.matter,
        run=options.run,
        payment_reference=options.reference,
        batch=options.batch,
        charged_from=options.charged_from,
        charged_before=options.charged_before,
        sort=PostingSort(options.sort),
        descending=options.descending,
    )
    with open_store(options) as store:
        found = Decoded(_read(store, wanted))
    if options.export is not None:
        from autopay_core.adapters.csv import write_postings_csv

        write_postings_csv(found, options.export)
    for each in found:
        output.give(posting_json(each))
    output.say(postings_table(found, f"Postings: {view.value}"))
    return output.name_unreadable(found)


def _read(
    store: PostingStore, wanted: PostingFilter
) -> Iterator[Posting | Unreadable]:
    while True:
        page = store.postings(wanted)
        yield from page
        if len(page) < wanted.most:
            return
        wanted = attrs.evolve(wanted, after=page[-1].id)
