"""
``autopay verify``: a store against its own history (T1, T2).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `errors` and
`history`. Nothing is written but the file of heads, if one is asked for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from autopay_core.command import DONE, FOUND
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import add_store, open_store
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.history import HistoryHead, verify_history

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "--heads",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="heads that were kept outside; may be repeated",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="write the heads of now, to be kept on another machine",
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Check every chain and every row; return 1 if something differs."""
    output = Output(options)
    anchors = [each for path in options.heads for each in _read(path)]
    with open_store(options) as store:
        faults = verify_history(store, anchors=anchors)
        heads = store.history_heads()
    for each in faults:
        output.give(
            {
                "chain": each.chain,
                "seq": each.seq,
                "reason": each.reason,
                "row": each.row or None,
            }
        )
        place = each.row or f"chain {each.chain}, entry {each.seq}"
        output.say(f"{place}: {each.reason}")
    entries = sum(each.seq for each in heads)
    count = len(faults)
    output.say(
        f"{entries} entries of history, {len(anchors)} heads kept outside: "
        f"{count or 'no'} fault{'' if count == 1 else 's'}."
    )
    if options.keep is not None and not faults:
        options.keep.write_text(_written(heads), "utf-8")
    return FOUND if faults else DONE


def _written(heads: Iterable[HistoryHead]) -> str:
    return "".join(
        json.dumps({"chain": each.chain, "seq": each.seq, "hash": each.hash})
        + "\n"
        for each in heads
    )


def _read(path: Path) -> Iterator[HistoryHead]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = ["not text"]
    for number, line in enumerate(lines, 1):
        try:
            found: Any = json.loads(line)
            yield HistoryHead(**cast("dict[str, Any]", found))
        except (TypeError, ValueError, InvalidValueError) as error:
            raise FormatError(
                "it is no head of a history, as --keep writes them",
                code="JsonFormat",
                path=f"{path.name}:{number}",
            ) from error
