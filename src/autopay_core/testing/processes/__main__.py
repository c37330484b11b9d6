"""
The command ``python -m autopay_core.testing.processes``.

Holds: `main`. Imports: `driver` and `trial`. Exit status 0 if nothing was
found, 1 if something was, 2 for a wrong command.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from autopay_core.testing.processes.driver import drive
from autopay_core.testing.processes.trial import Trial

_USUAL = Trial(folder=Path())


def main(argv: Sequence[str] | None = None) -> int:
    """
    Carry out the command; return its exit status.

    Args:
        argv: Arguments; those of the process if None.

    """
    parser = argparse.ArgumentParser(
        prog="python -m autopay_core.testing.processes",
        description=(
            "Kill processes that sweep, post and charge, on a real database, "
            "and audit what is left."
        ),
    )
    parser.add_argument("--folder", type=Path, help="keep everything there")
    parser.add_argument(
        "--postgres",
        metavar="CONNINFO",
        default="",
        help="an empty database of a throw-away server; SQLite if not given",
    )
    parser.add_argument("--two-step", action="store_true")
    parser.add_argument(
        "--first-edition",
        action="store_true",
        help="a gateway that neither cancels nor finds references",
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="with --postgres: workers take jobs instead of sweeping",
    )
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--workers", type=int, default=_USUAL.workers)
    parser.add_argument("--seed", type=int, default=_USUAL.seed)
    parser.add_argument("--pause", type=float, default=_USUAL.pause)
    parser.add_argument(
        "--most-seconds", type=int, default=_USUAL.most_seconds
    )
    parser.add_argument(
        "--hasty", action="store_true", help="end at the first alarm"
    )
    parser.add_argument("--plant", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.engine and not asked.postgres:
        parser.error("--engine needs --postgres")
    with tempfile.TemporaryDirectory(prefix="autopay-trial-") as folder:
        report = drive(
            Trial(
                folder=asked.folder or Path(folder),
                postgres=asked.postgres,
                kills=asked.kills,
                # An order that was paid has no other turn on its day.
                kills_a_day=3 if asked.engine else _USUAL.kills_a_day,
                engine=asked.engine,
                workers=asked.workers,
                two_step=asked.two_step,
                first_edition=asked.first_edition,
                seed=asked.seed,
                pause=asked.pause,
                most_seconds=asked.most_seconds,
                hasty=asked.hasty,
                plant=asked.plant,
            )
        )
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
