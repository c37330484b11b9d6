"""
``autopay holds``: what is on hold, why, and what ends it (H1).

Holds: `add_arguments` and `carry_out`. Imports: `command.output`,
`command.places`, `commits`, `holds` and `ports` (for types), and
`show.tables`. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from autopay_core.command.output import Output, add_output, hold_json
from autopay_core.command.places import add_store, open_store
from autopay_core.commits import Decoded
from autopay_core.show.tables import holds_table

if TYPE_CHECKING:
    from autopay_core.commits import Unreadable
    from autopay_core.holds import Hold
    from autopay_core.ports import PostingStore

__all__ = ["add_arguments", "carry_out"]

_PAGE: Final = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """List them."""
    output = Output(options)
    with open_store(options) as store:
        found = Decoded(_read(store))
    for each in found:
        output.give(hold_json(each))
    if found:
        output.say(holds_table(found, "On hold"))
    elif not found.unreadable:
        output.say("Nothing is on hold.")
    return output.name_unreadable(found)


def _read(store: PostingStore) -> Iterator[Hold | Unreadable]:
    after = ""
    while True:
        page = store.holds(after, _PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id
