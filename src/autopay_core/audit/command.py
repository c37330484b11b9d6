"""
The audit as a command (``python -m autopay_core.audit``).

Holds: `main`, and its parts `add_arguments` and `carry_out`, of which
``autopay audit`` is made. Imports: `checks`, `exports`, `findings`, `history`,
and `adapters.sqlite` and `adapters.postgres` when a store is opened: as a
library, the audit needs no driver.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from autopay_core.audit.checks import PENDING_SECONDS, STUCK_SECONDS, audit
from autopay_core.audit.exports import (
    GATEWAY_COLUMNS,
    LEDGER_COLUMNS,
    export_store,
    read_gateway_rows,
    read_ledger_rows,
)
from autopay_core.audit.findings import Code, Difference
from autopay_core.errors import AutopayError, FormatError, safe_text
from autopay_core.history import AuditedStore

__all__ = ["add_arguments", "carry_out", "main"]

_FOUND, _NOTHING_FOUND, _USAGE = 1, 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what the command takes."""
    parser.description = (
        "Compare a posting store with exports of the payment gateway and "
        "of the firm's ledger, and print every difference."
    )
    parser.epilog = (
        "Exit status: 0 nothing found, 1 differences, 2 it could not be "
        "done. Gateway columns: " + ", ".join(GATEWAY_COLUMNS) + ". "
        "Ledger columns: " + ", ".join(LEDGER_COLUMNS) + "."
    )
    store = parser.add_mutually_exclusive_group(required=True)
    store.add_argument(
        "--store",
        "--sqlite",
        dest="sqlite",
        metavar="FILE",
        help="the store's file",
    )
    store.add_argument(
        "--postgres",
        metavar="CONNINFO",
        help="how to connect; a password belongs into ~/.pgpass",
    )
    parser.add_argument(
        "--gateway", metavar="FILE", help="gateway export, CSV or JSON lines"
    )
    parser.add_argument(
        "--ledger", metavar="FILE", help="ledger export, CSV or JSON lines"
    )
    parser.add_argument(
        "--gateway-until",
        metavar="INSTANT",
        type=_instant,
        help="end of the gateway export, such as 2026-01-31T06:00:00+00:00",
    )
    for name, seconds, what in (
        ("--stuck-seconds", STUCK_SECONDS, "a run"),
        ("--pending-seconds", PENDING_SECONDS, "a bank debit"),
    ):
        parser.add_argument(
            name,
            metavar="N",
            type=int,
            default=seconds,
            help=f"{what} under way for longer is reported (%(default)s)",
        )
    parser.add_argument(
        "--ignore",
        metavar="CODE",
        action="append",
        default=[],
        choices=[each.value for each in Code],
        help="do not report this code; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("the instant needs a zone")
    return at


def _open_store(asked: argparse.Namespace) -> AuditedStore:
    # Only the command knows stores: as a library, the audit needs no driver.
    if asked.sqlite is not None:
        from autopay_core.adapters.sqlite import (  # noqa: PLC0415
            SqlitePostingStore,
        )

        if not Path(asked.sqlite).is_file():
            raise FormatError(
                "there is no such file",
                code="FileMissing",
                path="--sqlite",
                value=asked.sqlite,
            )
        return SqlitePostingStore(asked.sqlite, migrate=False)
    from autopay_core.adapters.postgres import (  # noqa: PLC0415
        PostgresPostingStore,
    )

    return PostgresPostingStore(asked.postgres, migrate=False)


def main(
    argv: Sequence[str] | None = None, *, out: TextIO | None = None
) -> int:
    """
    Carry out the command; return its exit status.

    Args:
        argv: Arguments; those of the process if None.
        out: Where to print; standard output if None.

    """
    parser = argparse.ArgumentParser(prog="python -m autopay_core.audit")
    add_arguments(parser)
    return carry_out(parser.parse_args(argv), out=out)


def carry_out(asked: argparse.Namespace, *, out: TextIO | None = None) -> int:
    """Do what was asked; return the exit status, as `main` does."""
    to: TextIO = sys.stdout if out is None else out
    try:
        found = audit(
            export_store(_open_store(asked)),
            read_gateway_rows(asked.gateway) if asked.gateway else None,
            read_ledger_rows(asked.ledger) if asked.ledger else None,
            stuck_seconds=asked.stuck_seconds,
            pending_seconds=asked.pending_seconds,
            gateway_until=asked.gateway_until,
        )
    except (ImportError, OSError, AutopayError) as error:
        sys.stderr.write(f"audit: {_reason(error)}\n")
        return _USAGE
    ignored = set(asked.ignore)
    found = tuple(each for each in found if each.code.value not in ignored)
    for each in found:
        line = _as_json(each) if asked.json else str(each)
        to.write(f"{line}\n")
    if not asked.json:
        for name in ("gateway", "ledger"):
            if getattr(asked, name) is None:
                to.write(f"Not compared: the {name} (give --{name}).\n")
        count = len(found)
        to.write(f"{count} difference{'' if count == 1 else 's'}\n")
    return _FOUND if found else _NOTHING_FOUND


def _reason(error: Exception) -> str:
    """Say why it could not be done."""
    if isinstance(error, ImportError):
        return f"install the extra 'postgres': {error}"
    if isinstance(error, OSError):
        name = safe_text(Path(str(error.filename)).name)
        return f"{name}: {error.strerror or type(error).__name__}"
    return str(error)


def _as_json(found: Difference) -> str:
    amount = found.amount
    return json.dumps(
        {
            "code": found.code.value,
            "subject": found.subject,
            "detail": found.detail,
            "amount": None if amount is None else amount.major,
            "currency": None if amount is None else amount.currency,
        }
    )
