"""
``autopay sweep``: all that is due, on a day or day by day.

Holds: `add_arguments` and `carry_out`. Imports: `command`,
`errors`, `money`, `runs` and `show.progress`. Killed and given again, it goes
on where it was.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import timedelta
from typing import Final

from autopay_core.command.output import Output, add_output, result_json
from autopay_core.command.places import (
    a_day,
    add_book,
    add_place,
    open_place,
)
from autopay_core.command.run import code_of
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.runs import RunStatus
from autopay_core.show.progress import progress

__all__ = ["add_arguments", "carry_out"]

_DAY: Final = timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "--as-of",
        type=a_day,
        required=True,
        metavar="DATE",
        help="the day that is today",
    )
    parser.add_argument(
        "--through",
        type=a_day,
        metavar="DATE",
        help="go on day by day to this one (default: only the one day)",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="so many turns side by side (default: 1)",
    )
    add_place(parser)
    add_book(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Sweep each day, and say how each run ended and what it came to."""
    output = Output(options)
    first, last = options.as_of, options.through or options.as_of
    if last < first:
        raise InvalidValueError(
            f"it is before --as-of {first}",
            code="OutOfRange",
            path="--through",
            value=str(last),
        )
    counts: Counter[RunStatus] = Counter()
    charged: dict[str, Money] = {}
    days = (last - first).days + 1
    with (
        open_place(options, first, writes=True) as place,
        progress(days, "days") as tell,
    ):
        for done in range(days):
            day = first + done * _DAY
            place.begin(day)
            for result in place.sweep(day, options.at_once):
                counts[result.status] += 1
                if result.charged is not None:
                    amount = result.charged
                    known = charged.get(amount.currency)
                    charged[amount.currency] = (
                        amount if known is None else known + amount
                    )
                output.give(result_json(result))
                output.say(str(result))
            tell(done + 1, day.isoformat())
    output.say(_sum_up(counts, charged))
    return code_of(counts)


def _sum_up(counts: Counter[RunStatus], charged: dict[str, Money]) -> str:
    if not counts:
        return "Nothing was due."
    kinds = ", ".join(
        f"{count} {status.value.replace('_', ' ')}"
        for status, count in sorted(
            counts.items(), key=lambda each: each[0].value
        )
    )
    sums = ", ".join(str(charged[each]) for each in sorted(charged))
    runs = counts.total()
    return (
        f"{runs} run{'' if runs == 1 else 's'} ({kinds}); "
        f"{sums or 'nothing'} charged."
    )
