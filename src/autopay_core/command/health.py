"""
``autopay health``: how a store is, and what somebody should look at (O3).

Holds: `add_arguments` and `carry_out`. Imports: `command`, `engine`,
`monitoring` and `policy`. Nothing is written. The exit code is 1
if there is any trouble, so that a monitor needs no more than that.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from autopay_core.command import DONE, FOUND
from autopay_core.command.output import Output, add_output
from autopay_core.command.places import add_store, open_store
from autopay_core.engine.dispatch import answering
from autopay_core.engine.driving import drive
from autopay_core.engine.looking import look_at
from autopay_core.monitoring import SWEEP_WITHIN
from autopay_core.policy import Policy

if TYPE_CHECKING:
    from autopay_core.monitoring import Health

__all__ = ["add_arguments", "carry_out"]

_HOURS: Final = SWEEP_WITHIN // timedelta(hours=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.add_argument(
        "--zone",
        default="UTC",
        metavar="NAME",
        help="the firm's time zone, such as America/New_York (default: UTC)",
    )
    parser.add_argument(
        "--sweep-hours",
        type=int,
        default=_HOURS,
        metavar="N",
        help=f"a sweep that ended longer ago is a trouble (default: {_HOURS})",
    )
    add_store(parser)
    add_output(parser)


def carry_out(options: argparse.Namespace) -> int:
    """Look at the store, and say what somebody should look at."""
    output = Output(options)
    policy = Policy(zone=options.zone)
    with open_store(options) as store:
        # The other ports are not asked.
        only: Any = SimpleNamespace(postings=store)
        found = drive(look_at(policy), answering(only))
    troubles = found.troubles(
        sweep_within=timedelta(hours=options.sweep_hours)
    )
    output.give(
        _json(found)
        | {
            "troubles": [
                {"kind": each.kind.value, "detail": each.detail}
                for each in troubles
            ]
        }
    )
    output.say(found.summary)
    for each in troubles:
        output.say(str(each))
    return FOUND if troubles else DONE


def _json(found: Health) -> dict[str, object]:
    def instant(at: Any) -> str | None:  # noqa: ANN401 - a date or an instant
        return None if at is None else at.isoformat()

    oldest = found.oldest_unposted
    return {
        "at": instant(found.at),
        "swept_for": instant(found.swept_for),
        "sweep_began": instant(found.sweep_began),
        "sweep_ended": instant(found.sweep_ended),
        "under_way": found.under_way,
        "in_review": found.in_review,
        "oldest_doubt": None
        if found.oldest_doubt is None
        else str(found.oldest_doubt),
        "doubt_since": instant(found.doubt_since),
        "late": found.late,
        "late_since": instant(found.late_since),
        "holds": found.holds,
        "undelivered": found.undelivered,
        "unposted": found.unposted,
        "oldest_unposted": None if oldest is None else str(oldest.id),
        "movements": found.movements,
    }
