"""
A year of a firm's auto-pays, from files to posting records, day by day.

Holds: `play`, which runs it, and `carry_out`, its command; gives `open_world`,
one day of it, and `harbour_foods`, a small firm for a first look. Imports: its
modules, `adapters.csv`, `testing.gateway_file`, `calls` and `show.progress`.
The gateway and the ledger are make-believe; all the rest is what a host would
do: sweep once a day. Nothing is remembered between two days but what stands in
the store's and the gateway's files, so it may be killed at any time: started
again it goes on where it was, and charges nothing twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from autopay_core.adapters.csv import write_postings_csv
from autopay_core.calls import read_postings, sweep
from autopay_core.demo._firm import FIRM_FILE, Firm, load_firm
from autopay_core.demo._harbour import SmallFirm, harbour_foods
from autopay_core.demo._report import Report, print_report
from autopay_core.demo._world import World, gateway_path, open_world
from autopay_core.errors import AutopayError
from autopay_core.show.progress import progress
from autopay_core.testing.gateway_file import FileGateway

__all__ = [
    "EXAMPLE",
    "FIRM_FILE",
    "Firm",
    "Report",
    "SmallFirm",
    "World",
    "add_arguments",
    "carry_out",
    "gateway_path",
    "harbour_foods",
    "load_firm",
    "open_world",
    "play",
]

EXAMPLE: Final = Path(__file__).parent / "firm"
"""The folder of the example firm."""

_DAY: Final = timedelta(days=1)
_Tell = Callable[[date], None]


def _quiet(_: date) -> None:
    """Tell nobody."""


def play(
    firm: Firm,
    database: Path,
    /,
    *,
    until: date | None = None,
    tell: _Tell = _quiet,
) -> Report:
    """
    Run a firm's auto-pays day by day, and go on where it was left.

    The store's time is the story's, and it never goes back over restarts:
    so the day on which to go on is the day of the store's latest commit. That
    day is swept again, which costs nothing for what is finished (R5).

    Args:
        firm: Its files.
        database: The posting store; the gateway's file stands beside it.
        until: Last day that is run; None for the firm's.
        tell: Is told of each day that is over.

    Raises:
        AutopayError: A file cannot be used.

    """
    last_day = firm.last_day if until is None else until
    with open_world(firm, database, firm.first_day) as world:
        day = world.today
        while day <= last_day:
            world.begin(day)
            for _ in sweep(firm.autopays, as_of=day, ports=world.ports):
                pass
            tell(day)
            day += _DAY
        store, gateway = world.store, world.gateway
        assert isinstance(gateway, FileGateway)
        return Report(
            autopays=firm.autopays,
            runs=tuple(store.runs()),
            postings=tuple(read_postings(ports=world.ports)),
            notices=tuple(store.notices()),
            captured=gateway.captured,
        )


# -- The command line --------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the demo takes."""
    parser.add_argument(
        "--folder",
        type=Path,
        default=EXAMPLE,
        help="a firm's exports and its firm.toml (default: the example's)",
    )
    parser.add_argument(
        "--store",
        "--database",
        dest="database",
        metavar="FILE",
        type=Path,
        default=Path("autopay-demo.db"),
        help="the posting store's file (default: %(default)s)",
    )
    parser.add_argument(
        "--until",
        type=date.fromisoformat,
        metavar="DATE",
        help="the last day that is run, such as 2026-06-30",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start over: delete what an earlier demo left",
    )
    parser.add_argument(
        "--explain",
        metavar="RUN",
        help="the run whose lines are shown, such as ap-04/2026-05-15",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the posting records to a CSV file",
    )


def carry_out(options: argparse.Namespace) -> int:
    """
    Run the demo; return 0 if everything adds up.

    Raises:
        AutopayError: A file cannot be used.

    """
    database: Path = options.database
    firm = load_firm(options.folder)
    if options.fresh:
        _delete(database)
    last_day = options.until or firm.last_day
    days = (last_day - firm.first_day).days + 1
    with progress(days, "days") as bar:

        def tell(day: date) -> None:
            bar((day - firm.first_day).days + 1, day.isoformat())

        report = play(firm, database, until=last_day, tell=tell)
    if options.export is not None:
        write_postings_csv(report.postings, options.export)
    return print_report(report, options.explain, database)


def _files_of(database: Path) -> list[Path]:
    return [
        path.with_name(path.name + end)
        for path in (database, gateway_path(database))
        for end in ("", "-wal", "-shm", "-journal")
    ]


def _delete(database: Path) -> None:
    """Delete both files, but nothing that no demo has made."""
    if database.exists() and not gateway_path(database).exists():
        raise AutopayError(
            f"{database} is not an earlier demo's, so it is not deleted"
        )
    for path in _files_of(database):
        path.unlink(missing_ok=True)
