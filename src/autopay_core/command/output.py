"""
What a command prints: for people, or as JSON lines for programs.

Holds: `Output`, `add_output`, and what stands in the JSON of a value.
Imports: `command`, `show.tables` and the values. An object of JSON is one
line, an amount is text in major units beside its currency, and no payment
token stands in any of it (E3).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, final

from autopay_core.allocation import Allocation
from autopay_core.batches import Batch, LedgerEntry
from autopay_core.command import DONE, FOUND
from autopay_core.commits import Decoded
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.postings import Posting
from autopay_core.runs import RunResult
from autopay_core.show.tables import Table, show

__all__ = [
    "Json",
    "Output",
    "add_output",
    "allocation_json",
    "batch_json",
    "entry_json",
    "hold_json",
    "posting_json",
    "result_json",
]

Json: TypeAlias = Mapping[str, object]

_NOTHING: Final[Json] = {"amount": None, "currency": None}


def add_output(parser: argparse.ArgumentParser) -> None:
    """Let people choose how it is printed."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON lines, for programs"
    )


@final
class Output:
    """Prints to the standard output, one way or the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.is_json: bool = options.json

    def say(self, *shown: Table | str) -> None:
        """Print for people only."""
        if not self.is_json:
            show(*shown)

    def give(self, found: Json) -> None:
        """Print for programs only, and at once."""
        if self.is_json:
            sys.stdout.write(f"{json.dumps(found)}\n")
            sys.stdout.flush()

    def name_unreadable(self, found: Decoded[Any]) -> int:
        """Tell people what of a list cannot be read; return the exit code."""
        for each in found.unreadable:
            self.note(f"{each}.")
        return FOUND if found.unreadable else DONE

    def note(self, text: str) -> None:
        """Tell people something that is not part of the answer."""
        sys.stderr.write(f"{text}\n")


def _money(amount: Money | None) -> Json:
    if amount is None:
        return _NOTHING
    return {"amount": amount.major, "currency": amount.currency}


def allocation_json(allocation: Allocation, /) -> Json:
    """Return which invoice gets how much, and why."""
    return {
        **_money(allocation.total),
        "lines": [
            {
                "invoice": each.invoice.number,
                "client": each.invoice.client,
                "matter": each.invoice.matter,
                "issued_on": each.invoice.issued_on.isoformat(),
                "balance": each.balance.major,
                "on_its_way": each.open.major,
                "payable": each.payable.major,
                **_money(each.amount),
                "reason": each.reason.value,
                "why": each.reason.text,
            }
            for each in allocation.lines
        ],
        "left_out": [
            {
                "invoice": each.number,
                "client": each.client,
                "code": each.code,
                "where": each.where,
            }
            for each in allocation.left_out
        ],
    }


def result_json(result: RunResult, /) -> Json:
    """Return how a run ended."""
    return {
        "run": None if result.key is None else str(result.key),
        "autopay": str(result.autopay),
        "status": result.status.value,
        **_money(result.charged),
        "reason": result.reason,
        "detail": result.detail,
        "invoices": [
            {"invoice": each.invoice, **_money(each.amount)}
            for each in result.postings
        ],
    }


def posting_json(posting: Posting, /) -> Json:
    """Return a posting record."""
    return {
        "posting": posting.id,
        "run": str(posting.run),
        "invoice": posting.invoice,
        "client": posting.client,
        "matter": posting.matter,
        **_money(posting.amount),
        "charged_on": posting.charged_on.isoformat(),
        "status": posting.status.value,
        "since": None if posting.since is None else posting.since.isoformat(),
        "payment_reference": posting.payment_reference,
        "deposit_account": posting.deposit_account.id,
        "ar_message": posting.ar_message,
        "note": posting.note,
    }


def batch_json(batch: Batch, /) -> Json:
    """Return a batch, without its postings."""
    return {
        "batch": batch.id,
        "state": batch.state.value,
        "made_at": batch.made_at.isoformat(),
        "by": batch.by,
        "postings": len(batch.postings),
        "totals": [_money(each) for each in batch.control],
        "accepted": len(batch.accepted),
        "refused": len(batch.refused),
    }


def entry_json(entry: LedgerEntry, /) -> Json:
    """Return one of our postings as the ledger shows it."""
    return {
        "posting": entry.posting,
        "invoice": entry.invoice,
        **_money(entry.amount),
    }


def hold_json(hold: Hold, /) -> Json:
    """Return a hold."""
    return {
        "hold": hold.id,
        "target": hold.target,
        **_money(hold.amount),
        "reason": hold.reason,
        "by": hold.by or None,
        "rule": hold.rule or None,
        "since": None if hold.since is None else hold.since.isoformat(),
        "releases": hold.releases,
    }
