"""
The command line: ``autopay``, and ``python -m autopay_core``.

Holds: `main`, the list of commands and the exit codes. Imports: `_checks`.
A command's module is imported by its name once it is asked for, so that the
help comes at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from autopay_core.errors import PortError

__all__ = [
    "AGAIN",
    "COMMANDS",
    "DONE",
    "FOUND",
    "INTERRUPTED",
    "REFUSED",
    "Command",
    "main",
]

DONE: Final = 0
"""It is done, and nothing is wrong."""
FOUND: Final = 1
"""It is done, and something of it needs a person."""
REFUSED: Final = 2
"""It could not be done; the command, a file or a store has to be mended."""
AGAIN: Final = 3
"""Something was out of reach or is in doubt: give the same command again."""
INTERRUPTED: Final = 130
"""It was stopped from the keyboard."""


class Command(NamedTuple):
    """
    One command.

    Attributes:
        name: What is typed.
        module: Its home below `autopay_core`, with `add_arguments` and
            `carry_out`.
        help: What it does, in a line.

    """

    name: str
    module: str
    help: str


COMMANDS: Final = (
    Command("preview", "command.preview", "what a run would pay, and why"),
    Command("run", "command.run", "run one auto-pay for one date"),
    Command("sweep", "command.sweep", "run all that is due, day by day"),
    Command("forecast", "command.forecast", "what will be paid in a year"),
    Command("explain", "command.explain", "why a run did what it did"),
    Command("receipt", "command.receipt", "what a payment was for"),
    Command("statement", "command.statement", "what was taken from a payer"),
    Command("postings", "command.postings", "list the posting records"),
    Command("batches", "command.batches", "list what went to the ledger"),
    Command(
        "acknowledge",
        "command.acknowledge",
        "take in what the ledger shows by now",
    ),
    Command("holds", "command.holds", "list what is on hold, and why"),
    Command("health", "command.health", "say what somebody should look at"),
    Command("verify", "command.verify", "check a store against its history"),
    Command("audit", "audit.command", "compare a store with other books"),
    Command("check", "adapters.csv.command", "show how an export is read"),
    Command("demo", "demo", "play an invented firm's year"),
)
"""Every command, in the order in which the help lists them."""

_EPILOG: Final = (
    "Exit codes: 0 done; 1 done, and something of it needs a person; 2 it "
    "could not be done; 3 something was out of reach or is in doubt, so give "
    "the same command again; 130 stopped from the keyboard."
)


_STAYS: Final = frozenset({"StoreCorrupt"})
"""What the file of a store has, and keeps until somebody acts."""


class _Home(Protocol):
    """What a command's module has."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    carry_out: Callable[[argparse.Namespace], int]


class _Version(argparse.Action):
    """Prints the version; it is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it, and end."""
        from importlib.metadata import version

        sys.stdout.write(f"autopay {version('autopay_core')}\n")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="autopay",
        description="Recurring automatic payment of a law firm's invoices.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        *("-V", "--version"),
        action=_Version,
        nargs=0,
        help="show the version and exit",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    name = next((each for each in asked if not each.startswith("-")), "")
    home: _Home | None = None
    for each in COMMANDS:
        made = subparsers.add_parser(
            each.name,
            help=each.help,
            description=f"{each.help[0].upper()}{each.help[1:]}.",
            epilog=_EPILOG,
            allow_abbrev=False,
        )
        if each.name == name:
            found = import_module(f"autopay_core.{each.module}")
            home = cast("_Home", found)
            home.add_arguments(made)
    options = parser.parse_args(asked)
    # argparse has ended the process unless one of them was named.
    assert home is not None
    return _guarded(home.carry_out, options, f"autopay {name}")


def _guarded(
    command: Callable[[argparse.Namespace], int],
    options: argparse.Namespace,
    name: str,
) -> int:
    """Carry out a command; a user's mistake is a message, no traceback."""
    from autopay_core.errors import AutopayError, PortError

    try:
        code = command(options)
        sys.stdout.flush()
    except PortError as error:
        _complain(name, f"{error} [{error.code}]")
        return AGAIN if _may_pass(error) else REFUSED
    except AutopayError as error:
        _complain(name, str(error))
        return REFUSED
    except BrokenPipeError:
        # Whoever read it has read enough; nothing is left to be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        path = "" if error.filename is None else f"{error.filename}: "
        _complain(name, f"{path}{error.strerror or type(error).__name__}")
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; give the same command to go on.\n")
        return INTERRUPTED
    return code


def _may_pass(error: PortError) -> bool:
    """Tell whether the same command may succeed later."""
    from autopay_core.errors import CommitUnknownError, PortUnavailableError

    is_away = isinstance(error, (CommitUnknownError, PortUnavailableError))
    return is_away and error.code not in _STAYS


def _complain(name: str, message: str) -> None:
    from autopay_core._checks import clean_text, masked_text

    sys.stderr.write(f"{name}: {masked_text(clean_text(message))}\n")
