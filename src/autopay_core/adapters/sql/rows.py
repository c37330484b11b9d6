"""
How values become rows of the SQL stores' tables, and rows values again.

Holds: the tables that are filled in bulk, and functions between values and
rows. Imports: the values, `history`, `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from autopay_core.adapters.sql.words import Row, Table
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
_POSTING: Final = {
    "id": "id",
    "autopay": "run.autopay",
    "nominal_on": "run.nominal_on",
    "payer": "payer",
    "client": "client",
    "matter": "matter",
    "invoice": "invoice",
    "currency": "amount.currency",
    "charged_on": "charged_on",
    "payment_reference": "payment_reference",
    "account": "deposit_account.id",
    "account_kind": "deposit_account.kind",
    "ar_message": "ar_message",
    "reverses": "reverses",
    # Up to here nothing ever changes, nor does the amount.
    "status": "status",
    "note": "note",
    "minor": "amount.amount_minor",
    "is_open": "is_open",
}
"""Where a posting has what stands in a column; text columns come first."""

_LASTING: Final = 13
_NUMBERS: Final = 2
POSTINGS: Final = Table(
    "autopay_postings",
    tuple(_POSTING)[:-_NUMBERS],
    tuple(_POSTING)[-_NUMBERS:],
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
    """Return the instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def key_row(key: RunKey) -> tuple[str, str]:
    """Return a run's key as two columns."""
    return key.autopay, key.nominal_on.isoformat()


_WHOLE: Final = {
    "run": RunKey,
    "amount": Money,
    "deposit_account": DepositAccount,
}
"""What is in several columns."""

_value: Final = attrgetter("value")
_FORMS: Final[Mapping[str, tuple[Callable[[Any], object], ...]]] = {
    "nominal_on": (date.isoformat, date.fromisoformat),
    "charged_on": (date.isoformat, date.fromisoformat),
    "account_kind": (_value, AccountKind),
    "status": (_value, PostingStatus),
    "is_open": (int, bool),
}
"""How to write and read what is of another type in a posting."""

_parts: Final = attrgetter(*_POSTING.values())
_WRITTEN: Final = tuple(
    (place, _FORMS[column][0])
    for place, column in enumerate(_POSTING)
    if column in _FORMS
)


def posting_row(posting: Posting) -> Row:
    """Return a posting's columns, in the order of `POSTINGS`."""
    row = list(_parts(posting))
    for place, written in _WRITTEN:
        row[place] = written(row[place])
    return tuple(row)


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
    """Return the posting that *row* holds."""
    fields: dict[str, Any] = {}
    for (column, path), value in zip(_POSTING.items(), row, strict=True):
        found = _FORMS[column][1](value) if column in _FORMS else value
        whole, _, part = path.rpartition(".")
        (fields.setdefault(whole, {}) if whole else fields)[part] = found
    del fields["is_open"]  # Follows from the status.
    for whole, kind in _WHOLE.items():
        fields[whole] = kind(**fields[whole])
    return Posting(**fields)


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
    """Add an amount to an invoice's."""
    before = total.get(number)
    total[number] = amount if before is None else before + amount
