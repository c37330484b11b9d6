"""
How values become rows of the SQL stores' tables, and rows values again.

Holds: the tables that are filled in bulk, and functions between values and
rows. Imports: the values, `serialization`, `history`, `words`, `_holds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from autopay_core._checks import stored
from autopay_core.adapters._holds import client_of
from autopay_core.adapters.sql.words import Row, Table
from autopay_core.balances import ShareStep
from autopay_core.batches import Batch
from autopay_core.commits import Change
from autopay_core.errors import InvalidValueError
from autopay_core.history import digest, microseconds
from autopay_core.money import Money
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
    RunKey,
)
from autopay_core.runs import RESERVING_STATES, RunRecord
from autopay_core.serialization import dumps

__all__ = [
    "ATTEMPTS",
    "ATTEMPT_KEYS",
    "BATCHES",
    "BATCH_LINES",
    "CLIENTS",
    "DISTINCT",
    "EXPECTED",
    "HISTORY",
    "HOLDS",
    "INCIDENTS",
    "MOVEMENTS",
    "NOTICES",
    "POSTINGS",
    "POSTING_COLUMNS",
    "RESERVATIONS",
    "STATUS",
    "STEPS",
    "TOLD",
    "Key",
    "add_to",
    "attempt_rows",
    "batch_lines",
    "batch_row",
    "day_of",
    "facts_of",
    "held_by",
    "instant",
    "key_of",
    "key_row",
    "key_text",
    "keys_of",
    "posting_of",
    "posting_row",
    "postings_digest",
    "run_row",
    "status_of",
    "step_row",
    "with_token",
    "without_token",
]

_E = TypeVar("_E")

Key: TypeAlias = tuple[str, str, int]
"""A run's key as columns: auto-pay, nominal date, number."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

RESERVATIONS: Final = Table(
    "autopay_reservations",
    ("autopay", "nominal_on", "invoice", "client", "currency"),
    ("number", "minor"),
)
ATTEMPTS: Final = Table(
    "autopay_attempts",
    ("method", "autopay", "nominal_on", "currency", "payer"),
    ("number", "attempt", "at", "minor", "counts"),
    "ON CONFLICT (method, autopay, nominal_on, number, attempt) DO UPDATE "
    "SET at = excluded.at, minor = excluded.minor, "
    "currency = excluded.currency, counts = excluded.counts, "
    "payer = excluded.payer "
    "WHERE autopay_attempts.at <> excluded.at "
    "OR autopay_attempts.minor <> excluded.minor "
    "OR autopay_attempts.currency <> excluded.currency "
    "OR autopay_attempts.counts <> excluded.counts "
    "OR autopay_attempts.payer <> excluded.payer",
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
    "posted_on": "posted_on",
    "ledger_number": "ledger_number",
    "minor": "amount.amount_minor",
    "is_open": "is_open",
    "number": "run.number",
}
"""Where a posting has what stands in a column; text columns come first."""

_LASTING: Final = 13
_NUMBERS: Final = 3
POSTINGS: Final = Table(
    "autopay_postings",
    tuple(_POSTING)[:-_NUMBERS],
    # When it came to be, and to where it stands, is the store's to know.
    (*tuple(_POSTING)[-_NUMBERS:], "moved_at", "made_at"),
)
NOTICES: Final = Table("autopay_notices", ("key", "data"), ("is_delivered",))
CLIENTS: Final = Table(
    "autopay_clients",
    ("client",),
    ("version",),
    "ON CONFLICT (client) DO UPDATE "
    "SET version = autopay_clients.version + excluded.version",
)
HOLDS: Final = Table(
    "autopay_holds",
    ("id", "target", "client", "data"),
    ("active",),
    "ON CONFLICT (id) DO UPDATE SET target = excluded.target, "
    "client = excluded.client, active = excluded.active, "
    "data = excluded.data",
)
STEPS: Final = Table(
    "autopay_steps",
    ("client", "invoice", "posting", "kind", "currency"),
    ("minor", "at"),
)
EXPECTED: Final = Table(
    "autopay_expected",
    ("invoice", "client", "data"),
    ("counted_at", "revision"),
    "ON CONFLICT (invoice) DO UPDATE SET client = excluded.client, "
    "counted_at = excluded.counted_at, data = excluded.data, "
    "revision = excluded.revision",
)
DISTINCT: Final = Table(
    "autopay_distinct",
    ("first", "second", "said_by", "reason"),
    ("revision",),
    "ON CONFLICT (first, second) DO UPDATE SET said_by = excluded.said_by, "
    "reason = excluded.reason, revision = excluded.revision",
)
TOLD: Final = Table(
    "autopay_told",
    ("autopay", "topic", "said", "key"),
    (),
    "ON CONFLICT (autopay, topic) DO UPDATE SET said = excluded.said, "
    "key = excluded.key",
)
INCIDENTS: Final = Table(
    "autopay_incidents",
    ("cause", "day", "port"),
    ("began_at", "over_at", "revision"),
    "ON CONFLICT (cause, day) DO UPDATE SET port = excluded.port, "
    "began_at = excluded.began_at, "
    "over_at = excluded.over_at, revision = excluded.revision",
)
MOVEMENTS: Final = Table(
    "autopay_movements",
    ("id", "state", "run", "data"),
    ("revision",),
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
    "run = excluded.run, data = excluded.data, "
    "revision = excluded.revision",
)
BATCHES: Final = Table(
    "autopay_batches",
    ("id", "state", "data"),
    ("revision",),
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
    "data = excluded.data, revision = excluded.revision",
)
BATCH_LINES: Final = Table(
    "autopay_batch_lines",
    ("batch", "posting"),
    ("is_open", "revision"),
    "ON CONFLICT (batch, posting) DO UPDATE SET is_open = excluded.is_open, "
    "revision = excluded.revision",
)
ATTEMPT_KEYS: Final = Table(
    "autopay_keys",
    ("key", "autopay", "nominal_on"),
    ("number",),
    "ON CONFLICT (key) DO NOTHING",
)
HISTORY: Final = Table(
    "autopay_history",
    ("transition", "body", "hash"),
    ("chain", "seq", "at"),
)
POSTING_COLUMNS: Final = ", ".join(_POSTING)
STATUS: Final = POSTINGS.columns.index("status")
_MINOR: Final = POSTINGS.columns.index("minor")
_NUMBER: Final = POSTINGS.columns.index("number")


def instant(at: int) -> datetime:
    """Return the instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def key_row(key: RunKey) -> Key:
    """Return a run's key as columns."""
    return key.autopay, key.nominal_on.isoformat(), key.number


def key_of(text: str) -> Key:
    """Return the columns of a key's text; of another text what no run has."""
    try:
        return key_row(RunKey.of(text))
    except InvalidValueError:
        return "", "", -1


def key_text(autopay: str, nominal_on: str, number: int) -> str:
    """Return the text of a key whose run may not be readable."""
    day = f"{autopay}/{nominal_on}"
    return f"{day}#{number}" if number else day


_WHOLE: Final = {
    "run": RunKey,
    "amount": Money,
    "deposit_account": DepositAccount,
}
"""What is in several columns."""

_value: Final = attrgetter("value")


def day_of(on: date | None) -> str | None:
    """Return a date as text, if there is one."""
    return None if on is None else on.isoformat()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(
            "expected a date as 2026-01-31", code="DateFormat", value=text
        ) from None


def _day_from(text: str | None) -> date | None:
    return None if text is None else _day(text)


def _one_of(kind: Callable[[str], _E], text: str) -> _E:
    try:
        return kind(text)
    except ValueError:
        raise InvalidValueError(
            "not a word that is known", code="UnknownValue", value=text
        ) from None


status_of: Final = partial(_one_of, PostingStatus)
"""Read a posting's status."""


_FORMS: Final[Mapping[str, tuple[Callable[[Any], object], ...]]] = {
    "nominal_on": (date.isoformat, _day),
    "charged_on": (date.isoformat, _day),
    "account_kind": (_value, partial(_one_of, AccountKind)),
    "status": (_value, status_of),
    "posted_on": (day_of, _day_from),
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
    """Return a posting's columns, in the order of `POSTING_COLUMNS`."""
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
            + (f"\x1f{row[_NUMBER]}" if row[_NUMBER] else "")
            for row in rows
        )
    )


def posting_of(row: Sequence[Any], since: datetime | None = None) -> Posting:
    """
    Return the posting that *row* holds.

    Args:
        row: Its columns, in the order of `POSTING_COLUMNS`.
        since: Store time since which it stands where it stands, if wanted.

    Raises:
        InvalidValueError: It holds none that this version can read.

    """
    fields: dict[str, Any] = {}
    for (column, path), value in zip(_POSTING.items(), row, strict=True):
        found = _FORMS[column][1](value) if column in _FORMS else value
        whole, _, part = path.rpartition(".")
        (fields.setdefault(whole, {}) if whole else fields)[part] = found
    del fields["is_open"]  # Follows from the status.
    for whole, kind in _WHOLE.items():
        fields[whole] = kind(**fields[whole])
    return Posting(**fields, since=since)


def step_row(client: str, step: ShareStep) -> Row:
    """Return the columns of a share's step, in the order of `STEPS`."""
    return (
        client,
        step.invoice,
        step.posting,
        step.kind.value,
        step.amount.currency,
        step.amount.amount_minor,
        microseconds(step.at),
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
    taken, reference = record.spent, record.payment_reference
    return (
        record.version,
        record.state.value,
        record.charge_on.isoformat(),
        None
        if record.next_try_at is None
        else microseconds(record.next_try_at),
        None if taken is None else taken.amount_minor,
        None if taken is None else taken.currency,
        reference,
        None if reference is None else record.attempts[-1].account,
    )


def without_token(record: RunRecord) -> tuple[RunRecord, str | None]:
    """
    Part a run under way from the token that it would be charged with (T3).

    The token has a column of its own, which no digest covers and no finished
    run fills; the record keeps the method's fingerprint.
    """
    intent = record.intent
    if intent is None:
        return record, None
    forgetful = intent.forgetting()
    if forgetful is intent:
        return record, None
    return (
        attrs.evolve(record, intent=forgetful),
        intent.request.method.token,
    )


def with_token(record: RunRecord, token: str | None) -> RunRecord:
    """
    Return a run as it was before `without_token`.

    Raises:
        InvalidValueError: The token is gone, or is not the one that the
            record's fingerprint is made of (``TokenMismatch``).

    """
    intent = record.intent
    if intent is None or record.state.is_finished:
        if token is None:
            return record
        raise _mismatch()
    request = intent.request
    known_as = request.method.known_as
    if token is None and (
        not known_as or record.state not in RESERVING_STATES
    ):
        # Written before tokens had a column; or taken back to waiting after
        # its end: it is planned afresh, and nothing is sent with this.
        return record
    if token is None or not known_as:
        raise _mismatch()
    # It was let in when it was first written.
    method = stored(
        PaymentMethodRef,
        {
            **attrs.asdict(request.method, recurse=False),
            "token": token,
            "known_as": "",
        },
    )
    if method.fingerprint != known_as:
        raise _mismatch()
    return attrs.evolve(
        record,
        intent=attrs.evolve(
            intent, request=attrs.evolve(request, method=method)
        ),
    )


def _mismatch() -> InvalidValueError:
    return InvalidValueError(
        "the token beside a run is not the run's",
        code="TokenMismatch",
        path="token",
    )


def attempt_rows(record: RunRecord) -> list[Row]:
    """Return a run's attempts, in the order of `ATTEMPTS`."""
    autopay, nominal_on, number = key_row(record.key)
    return [
        (
            each.method,
            autopay,
            nominal_on,
            each.amount.currency,
            record.payer,
            number,
            each.number,
            microseconds(each.began_at),
            each.amount.amount_minor,
            int(record.counts(each)),
        )
        for each in record.attempts
    ]


def keys_of(record: RunRecord) -> list[Row]:
    """Return the keys of a run's attempts, in the order of `ATTEMPT_KEYS`."""
    autopay, nominal_on, number = key_row(record.key)
    return [
        (key, autopay, nominal_on, number)
        for key in dict.fromkeys(str(each.key) for each in record.attempts)
    ]


def batch_row(batch: Batch) -> Row:
    """Return a batch's columns, in the order of `BATCHES`."""
    return batch.id, batch.state.value, dumps(batch), batch.version


def batch_lines(batch: Batch) -> list[Row]:
    """Return a batch's lines, in the order of `BATCH_LINES`, by posting."""
    return [
        (batch.id, id_, int(not batch.is_closed), batch.version)
        for id_ in sorted(str(each.id) for each in batch.postings)
    ]


def facts_of(
    change: Change, revisions: Mapping[tuple[str, ...], int]
) -> Iterator[tuple[Table, list[Row]]]:
    """
    Give the rows of what is neither run, posting nor notice.

    By their keys, so that of two under one key the last stands; and in one
    order, so that two commits never wait for each other.

    Args:
        change: What is committed.
        revisions: By table and key, how often a row was written before, for
            those that entries of several chains may tell of.

    """

    def next_of(table: Table, *key: str) -> int:
        return revisions.get((table.name, *key), 0) + 1

    holds: dict[Any, Row] = {
        each.id: (
            each.id,
            each.target,
            client_of(each),
            dumps(each),
            int(each.is_in_force),
        )
        for each in change.holds
    }
    expected: dict[Any, Row] = {
        each.invoice: (
            each.invoice,
            each.client,
            dumps(each),
            # Of an invoice of which nothing is left nothing is counted.
            microseconds(each.counted_at) if each.figure.is_positive else None,
            next_of(EXPECTED, each.invoice),
        )
        for each in change.expected
    }
    distinct: dict[Any, Row] = {
        pair: (*pair, each.by, each.reason, next_of(DISTINCT, *pair))
        for each in change.distinct
        for pair in [tuple(sorted((each.first, each.second)))]
    }
    told: dict[Any, Row] = {
        (each.autopay, each.topic): (
            each.autopay,
            each.topic,
            each.said,
            each.key,
        )
        for each in change.told
    }
    incidents: dict[Any, Row] = {
        (each.cause, each.on): (
            each.cause,
            each.on.isoformat(),
            each.port,
            microseconds(each.began_at),
            None if each.over_at is None else microseconds(each.over_at),
            next_of(INCIDENTS, each.cause, each.on.isoformat()),
        )
        for each in change.incidents
    }
    movements: dict[Any, Row] = {
        each.id: (
            each.id,
            each.state.value,
            "" if each.run is None else str(each.run),
            dumps(each),
            each.version,
        )
        for each in change.movements
    }
    for table, rows in (
        (HOLDS, holds),
        (EXPECTED, expected),
        (DISTINCT, distinct),
        (TOLD, told),
        (INCIDENTS, incidents),
        (MOVEMENTS, movements),
    ):
        yield table, [rows[key] for key in sorted(rows)]


def add_to(total: dict[str, Money], number: str, amount: Money) -> None:
    """Add an amount to an invoice's."""
    before = total.get(number)
    total[number] = amount if before is None else before + amount
