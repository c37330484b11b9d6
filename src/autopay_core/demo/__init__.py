"""
A year of a firm's auto-pays, from files to posting records, day by day.

Holds: `play`, which runs it, and `main`, its command line. Imports: its
modules, `adapters.csv`, `adapters.memory`, `adapters.sqlite`,
`testing.gateway_file`, `testing.ledger`, `calls` and `ports`. The gateway and
the ledger are make-believe; all the rest is what a host would do: sweep once a
day. Nothing is remembered between two days but what stands in the store's and
the gateway's files, so it may be killed at any time: started again it goes on
where it was, and charges nothing twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Generator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, final

from autopay_core.adapters.csv import CsvMatterData, write_postings_csv
from autopay_core.adapters.memory import MemoryNotifier
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.calls import read_postings, sweep
from autopay_core.demo._firm import FIRM_FILE, Firm, load_firm
from autopay_core.demo._report import Report, print_report
from autopay_core.errors import AutopayError
from autopay_core.ports import Ports
from autopay_core.testing.gateway_file import FileGateway
from autopay_core.testing.ledger import Ledger

__all__ = [
    "EXAMPLE",
    "FIRM_FILE",
    "Firm",
    "Report",
    "add_arguments",
    "load_firm",
    "main",
    "play",
]

EXAMPLE: Final = Path(__file__).parent / "firm"
"""The folder of the example firm."""

_SWEEP_AT: Final = time(6, tzinfo=UTC)
_DAY: Final = timedelta(days=1)

# A sweep leaves what is under way alone for a minute: its own worker may
# still be at it. Ours was killed, and its runs are to be taken up at once.
_RESTART: Final = timedelta(minutes=2)

_Tell = Callable[[date], None]


@final
class _Clock:
    """The time of the story; it goes on when it is told to."""

    def __init__(self, first_day: date) -> None:
        self.at = datetime.combine(first_day, _SWEEP_AT)

    def __call__(self) -> datetime:
        return self.at

    def today(self) -> date:
        """Return the firm's date."""
        return self.at.date()


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
    clock = _Clock(firm.first_day)
    is_restart = database.exists()
    gateway = FileGateway(
        gateway_path(database),
        clock=clock,
        declines=firm.declines,
        debit_days=firm.debit_days,
    )
    with SqlitePostingStore(database, clock=clock) as store:
        _check_pair(store, gateway, database)
        if is_restart:
            clock.at = max(clock.at, store.now()) + _RESTART
        ledger = Ledger(
            CsvMatterData(firm.folder, firm.mapping, as_of=clock.today),
            store,
            days=firm.ledger_days,
            refused=firm.refused,
            by_hand=firm.by_hand,
        )
        ports = Ports(
            matters=ledger,
            gateway=gateway,
            postings=store,
            notifier=MemoryNotifier(),
            key_secret=b"a secret for make-believe money, never for real",
        )
        while clock.today() <= last_day:
            today = clock.today()
            ledger.advance(today, ports=ports)
            for _ in sweep(firm.autopays, as_of=today, ports=ports):
                pass
            tell(today)
            clock.at += _DAY
        return Report(
            autopays=firm.autopays,
            runs=tuple(store.runs()),
            postings=tuple(read_postings(ports=ports)),
            notices=tuple(store.notices()),
            captured=gateway.captured,
        )


def _check_pair(
    store: SqlitePostingStore, gateway: FileGateway, database: Path
) -> None:
    """
    Refuse one file without the other: half of the memory is lost.

    A new gateway would not know the keys of what was taken before, and a new
    store not what was posted.
    """
    was_charged = any(each.attempts for each in store.runs())
    if was_charged == (gateway.count > 0):
        return
    # The intent is written first: the process may have died right after it.
    if was_charged and not any(each.captured for each in store.runs()):
        return
    path = gateway_path(database)
    raise AutopayError(
        f"{database.name} and {path.name} are not of one demo; start over "
        "with --fresh"
    )


def gateway_path(database: Path, /) -> Path:
    """Return where the gateway of a posting store keeps its memory."""
    return database.with_name(f"{database.stem}-gateway.db")


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
        "--database",
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


def main(options: argparse.Namespace) -> int:
    """Run the demo; return 0 if everything adds up."""
    database: Path = options.database
    try:
        firm = load_firm(options.folder)
        if options.fresh:
            _delete(database)
        last_day = options.until or firm.last_day
        with _progress(firm.first_day, last_day) as tell:
            report = play(firm, database, until=last_day, tell=tell)
        if options.export is not None:
            write_postings_csv(report.postings, options.export)
        return print_report(report, options.explain, database)
    except AutopayError as error:
        print(f"autopay_core demo: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read it has read enough; nothing is left to be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(
            "\nStopped. Start it again, and it goes on where it was.",
            file=sys.stderr,
        )
        return 130


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


@contextlib.contextmanager
def _progress(first_day: date, last_day: date) -> Generator[_Tell, None, None]:
    """Show how far it is, if somebody is looking."""
    days = (last_day - first_day).days + 1
    if not sys.stderr.isatty():
        yield _quiet
        return
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield _plain_bar(first_day, days)
        print(file=sys.stderr)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} days"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(first_day.isoformat(), total=days)

        def tell(day: date) -> None:
            bar.update(
                task,
                completed=(day - first_day).days + 1,
                description=day.isoformat(),
            )

        yield tell


def _plain_bar(first_day: date, days: int) -> _Tell:
    def tell(day: date) -> None:
        done = (day - first_day).days + 1
        filled = "#" * (40 * done // max(days, 1))
        print(
            f"\r{day} [{filled:<40}] {done}/{days} days",
            end="",
            file=sys.stderr,
            flush=True,
        )

    return tell
