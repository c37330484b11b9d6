"""
How values become rows of the SQL stores' tables, and rows values again.

Holds: the tables that are filled in bulk, and functions between values and
rows. Imports: the value modules, `history`, `_sql`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from autopay_core.adapters._sql import Row, Table
from autopay_core.history import digest, microseconds
from autopay_core.money import Money
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import AccountKind, DepositAccount, RunKey
from autopay_core.runs import RunRecord

__all__ = [
    "ATTEMPTS",
    "CLIENTS",
    "HISTORY",
    "NOTICES",
    "POSTINGS",
    "POSTING_COLUMNS",
    "RESERVATIONS",
    "STATUS",
    "STOPS",
    "add_to",
    "held_by",
    "instant",
    "key_row",
    "posting_of",
    "posting_row",
    "postings_digest",
    "run_row",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

RESERVATIONS: Final = Table(
    "autopay_reservations",
    ("autopay", "nominal_on", "invoice", "client", "currency"),
    ("minor",),
)
ATTEMPTS: Final = Table(
    "autopay_attempts",
    ("method", "autopay", "nominal_on", "currency"),
    ("number", "at", "minor"),
    "ON CONFLICT (method, autopay, nominal_on, number) DO UPDATE "
    "SET at = excluded.at, minor = excluded.minor, "
    "currency = excluded.currency "
    "WHERE autopay_attempts.at <> excluded.at "
    "OR autopay_attempts.minor <> excluded.minor "
    "OR autopay_attempts.currency <> excluded.currency",
)
POSTINGS: Final = Table(
    "autopay_postings",
    (
        "id",
        "autopay",
        "nominal_on",
        "payer",
        "client",
        "matter",
        "invoice",
        "currency",
        "charged_on",
        "payment_reference",
        "account",
        "account_kind",
        "ar_message",
        "reverses",
        "status",
        "note",
    ),
    ("minor", "is_open"),
)
NOTICES: Final = Table("autopay_notices", ("key", "data"), ("is_delivered",))
CLIENTS: Final = Table(
    "autopay_clients",
    ("client",),
    ("version",),
    "ON CONFLICT (client) DO UPDATE "
    "SET version = autopay_clients.version + excluded.version",
)
STOPS: Final = Table(
    "autopay_stops",
    ("target", "said_by", "reason"),
    ("active",),
    "ON CONFLICT (target) DO UPDATE SET said_by = excluded.said_by, "
    "reason = excluded.reason, active = excluded.active",
)
HISTORY: Final = Table(
    "autopay_history",
    ("transition", "body", "hash"),
    ("chain", "seq", "at"),
)
POSTING_COLUMNS: Final = ", ".join(POSTINGS.columns)
STATUS: Final = POSTINGS.columns.index("status")
_MINOR: Final = POSTINGS.columns.index("minor")


def instant(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def key_row(key: RunKey) -> tuple[str, str]:
    return key.autopay, key.nominal_on.isoformat()


def posting_row(posting: Posting) -> Row:
    account = posting.deposit_account
    return (
        posting.id,
        *key_row(posting.run),
        posting.payer,
        posting.client,
        posting.matter,
        posting.invoice,
        posting.amount.currency,
        posting.charged_on.isoformat(),
        posting.payment_reference,
        account.id,
        account.kind.value,
        posting.ar_message,
        posting.reverses,
        posting.status.value,
        posting.note,
        posting.amount.amount_minor,
        int(posting.is_open),
    )


_LASTING: Final = 13
"""So many text columns of a posting never change, nor does its amount."""


def postings_digest(rows: Iterable[Row]) -> str:
    """Return what stands in an entry for what never changes of postings."""
    # No field can hold the characters that part them.
    return digest(
        "\x1e".join(
            "\x1f".join(row[:_LASTING])
            + f"\x1f{row[_LASTING]}\x1f{row[_MINOR]}"
            for row in rows
        )
    )


def posting_of(row: Row) -> Posting:
    (
        posting_id,
        autopay,
        nominal_on,
        payer,
        client,
        matter,
        invoice,
        currency,
        charged_on,
        payment_reference,
        account,
        account_kind,
        ar_message,
        reverses,
        status,
        note,
        minor,
        _,
    ) = row
    return Posting(
        id=posting_id,
        run=RunKey(autopay=autopay, nominal_on=date.fromisoformat(nominal_on)),
        payer=payer,
        client=client,
        matter=matter,
        invoice=invoice,
        amount=Money(amount_minor=minor, currency=currency),
        charged_on=date.fromisoformat(charged_on),
        payment_reference=payment_reference,
        deposit_account=DepositAccount(
            id=account, kind=AccountKind(account_kind)
        ),
        ar_message=ar_message,
        reverses=reverses,
        status=PostingStatus(status),
        note=note,
    )


def held_by(record: RunRecord) -> dict[str, tuple[str, str, int]]:
    """Return what a run would hold back: by invoice, whatever its state."""
    if record.intent is None:
        return {}
    return {
        str(line.invoice.number): (
            str(line.invoice.client),
            line.amount.currency,
            line.amount.amount_minor,
        )
        for line in record.intent.allocation.lines
        if line.amount.is_positive
    }


def run_row(record: RunRecord) -> tuple[Any, ...]:
    """Return the columns of a run that a query or an index needs."""
    taken = record.taken
    return (
        record.version,
        record.state.value,
        record.charge_on.isoformat(),
        None
        if record.next_try_at is None
        else microseconds(record.next_try_at),
        None if taken is None else taken.amount_minor,
        None if taken is None else taken.currency,
    )


def add_to(total: dict[str, Money], number: str, amount: Money) -> None:
    before = total.get(number)
    total[number] = amount if before is None else before + amount
