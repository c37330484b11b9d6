"""
``autopay forecast``: what will be paid, on what is known today.

Holds: `add_arguments` and `carry_out`. Imports: `autopay`, `command`, `money`,
`show.forecasts`, `show.foreseen`, `show.progress` and `show.projection`.
Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from autopay_core.autopay import AutoPay
from autopay_core.command import DONE
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import (
    Place,
    a_day,
    add_book,
    add_place,
    open_place,
)
from autopay_core.money import Money
from autopay_core.show.forecasts import forecast_table, forecasts_table
from autopay_core.show.foreseen import Projection
from autopay_core.show.progress import Tell, progress, quiet
from autopay_core.show.projection import forecast

__all__ = ["add_arguments", "carry_out"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "autopay",
        metavar="AUTOPAY",
        nargs="?",
        help="its id (default: all of them)",
    )
    parser.add_argument(
        "--as-of",
        type=a_day,
        required=True,
        metavar="DATE",
        help="the first date that is looked at",
    )
    parser.add_argument(
        "--through",
        type=a_day,
        metavar="DATE",
        help="the last one (default: a year)",
    )
    add_place(parser)
    add_book(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Show the runs of one auto-pay, or the sums of all."""
    output = Output(options)
    with open_place(options, options.as_of, writes=False) as place:
        if options.autopay is not None:
            [found] = _foreseen(
                [place.autopay(options.autopay)], options, place, output
            )
            output.say(forecast_table(found))
            return DONE
        with progress(place.count(), "auto-pays") as tell:
            foreseen = _foreseen(
                place.autopays(), options, place, output, tell
            )
            # One by one: of each, only its line is kept.
            if output.is_json:
                for _ in foreseen:
                    pass
                return DONE
            table = forecasts_table(foreseen, f"From {options.as_of} on")
    output.say(
        table,
        "Each is foreseen by itself: an invoice that two of them cover is "
        "counted in both.",
    )
    return DONE


def _foreseen(
    autopays: Iterable[AutoPay],
    options: argparse.Namespace,
    place: Place,
    output: Output,
    tell: Tell = quiet,
) -> Iterator[Projection]:
    """Foresee them one by one, and give each to programs."""
    for done, autopay in enumerate(autopays, 1):
        found = forecast(
            autopay,
            as_of=options.as_of,
            through=options.through,
            ports=place.ports,
        )
        _give(output, found)
        tell(done, str(autopay.id))
        yield found


def _give(output: Output, found: Projection) -> None:
    def amount(money: Money) -> dict[str, object]:
        return {"amount": money.major, "currency": money.currency}

    output.give(
        {
            "autopay": str(found.autopay.id),
            "from_on": found.from_on.isoformat(),
            "before": found.before.isoformat(),
            **amount(found.total),
            "runs": [
                {
                    "nominal_on": each.occurrence.nominal_on.isoformat(),
                    "charge_on": each.occurrence.charge_on.isoformat(),
                    **amount(each.total),
                    "invoices": [
                        {"invoice": line.invoice.number, **amount(line.amount)}
                        for line in each.allocation.paid
                    ],
                }
                for each in found.runs
            ],
            "left": {
                number: money.major for number, money in found.left.items()
            },
        }
    )
