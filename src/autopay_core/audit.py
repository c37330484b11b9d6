"""
Compare the store with what the gateway and the ledger say (P1, R4).

Holds: `audit` and its `Difference` values, the rows of the two exports and
their readers, `export_store`, and ``python -m autopay_core.audit``. Imports:
the values and `history`; a store only when the command opens one. The truth is
outside: what the gateway took and
what the firm's ledger shows is compared with what the store believes, never
the store with itself alone.

Everything streams. The rows are joined in a private SQLite file that is gone
with the process, so that a year of payments needs no more memory than a day.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol, Self, TextIO, cast, final

import attrs

from autopay_core._checks import check_id, check_instant, check_type
from autopay_core.commits import OpenAmounts, PostingFilter
from autopay_core.errors import (
    AutopayError,
    FormatError,
    InvalidValueError,
    safe_text,
)
from autopay_core.history import (
    HistoryFault,
    HistoryStore,
    microseconds,
    verify_history,
)
from autopay_core.money import Money
from autopay_core.postings import OPEN_STATUSES, Posting, PostingStatus
from autopay_core.runs import (
    RunRecord,
    RunState,
    postings_of,
    reservations,
    reversal_postings,
)

__all__ = [
    "GATEWAY_COLUMNS",
    "LEDGER_COLUMNS",
    "AuditedStore",
    "Code",
    "Difference",
    "GatewayKind",
    "GatewayRow",
    "LedgerKind",
    "LedgerRow",
    "StoreExport",
    "audit",
    "export_store",
    "main",
    "read_gateway_rows",
    "read_ledger_rows",
    "write_rows",
]

GATEWAY_COLUMNS: Final = (
    "kind",
    "reference",
    "key",
    "amount",
    "currency",
    "of",
)
"""
Columns of a gateway export, in CSV or as fields of JSON lines.

``kind`` is one of `GatewayKind`; ``reference`` the gateway's payment
reference, or the event's id for money that went back; ``key`` the idempotency
key of a charge, empty for money that went back; ``amount`` and ``currency``
as in ``125.50`` and ``USD``; ``of`` the reference of the payment that went
back, empty for a charge.
"""

LEDGER_COLUMNS: Final = ("kind", "id", "invoice", "amount", "currency")
"""
Columns of a ledger export, in CSV or as fields of JSON lines.

``kind`` is one of `LedgerKind`; ``id`` the posting record's id for a
``posting``, any text for the others; ``invoice`` its number; ``amount`` what
was billed, or what the payment took off the balance, negative for money that
went back.
"""

STUCK_SECONDS: Final = 24 * 3600
"""A run under way for longer is stuck, unless it is a bank debit."""

PENDING_SECONDS: Final = 10 * 24 * 3600
"""A bank debit under way for longer is stuck."""

_PAGE: Final = 1_000
_CLIENTS_AT_ONCE: Final = 200
_FOUND, _NOTHING_FOUND, _USAGE = 1, 0, 2


# -- Rows of the exports -----------------------------------------------------


class GatewayKind(Enum):
    """What a row of a gateway export tells."""

    CAPTURED = "captured"
    PENDING = "pending"
    DECLINED = "declined"
    RETURN = "return"
    REFUND = "refund"
    CHARGEBACK = "chargeback"

    @property
    def goes_back(self) -> bool:
        """Whether money went back to the payer."""
        return self in _GOES_BACK


_GOES_BACK: Final = frozenset(
    {GatewayKind.RETURN, GatewayKind.REFUND, GatewayKind.CHARGEBACK}
)


@final
@attrs.frozen(kw_only=True)
class GatewayRow:
    """
    One row of a gateway export.

    Attributes:
        kind: What it tells.
        reference: The payment's reference, or the id of the event.
        key: Idempotency key of a charge; empty if the gateway does not say.
        amount: More than nothing.
        of: Reference of the payment that went back; empty for a charge.

    """

    kind: GatewayKind
    reference: str
    amount: Money
    key: str = ""
    of: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_type(self.kind, GatewayKind, "kind")
        check_id(self.reference, "reference")
        check_type(self.amount, Money, "amount")
        if not self.amount.is_positive:
            raise FormatError(
                "an amount at the gateway is more than nothing",
                code="OutOfRange",
                path="amount",
                value=str(self.amount),
            )
        name = "of" if self.kind.goes_back else "key"
        check_id(getattr(self, name), name)


class LedgerKind(Enum):
    """
    What a row of a ledger export tells.

    `BILLED`: what the invoice asks for, credit notes included. `POSTING`: a
    posting record of ours that the balance shows. `OTHER`: a payment of
    anybody else.
    """

    BILLED = "billed"
    POSTING = "posting"
    OTHER = "other"


@final
@attrs.frozen(kw_only=True)
class LedgerRow:
    """
    One row of a ledger export.

    Attributes:
        kind: What it tells.
        id: Id of the posting record; any text for other kinds.
        invoice: The invoice's number.
        amount: Billed, or taken off the balance.

    """

    kind: LedgerKind
    id: str
    invoice: str
    amount: Money

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_type(self.kind, LedgerKind, "kind")
        check_id(self.id, "id")
        check_id(self.invoice, "invoice")
        check_type(self.amount, Money, "amount")


# -- The store ---------------------------------------------------------------


class AuditedStore(Protocol):
    """What `export_store` reads; the stores of this library have it."""

    def now(self) -> datetime:
        """Return the store's time."""
        ...

    def runs(self) -> Iterable[RunRecord]:
        """Read every run on record."""
        ...

    def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Read postings in order of id."""
        ...

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read what is open on the clients' invoices."""
        ...


@final
@attrs.frozen(kw_only=True)
class StoreExport:
    """
    What a store says, read once from start to end.

    Attributes:
        now: The store's time.
        runs: Every run on record.
        postings: Every posting record.
        open_amounts: Asks the store what is open on clients' invoices; None
            skips the comparison.
        history_faults: Where the history does not fit, if there is one.

    """

    now: datetime
    runs: Iterable[RunRecord]
    postings: Iterable[Posting]
    open_amounts: Callable[[Sequence[str]], OpenAmounts] | None = None
    history_faults: Iterable[HistoryFault] = ()

    def __attrs_post_init__(self) -> None:
        """Check what ages are counted from."""
        check_instant(self.now, "now")


def _all_postings(store: AuditedStore) -> Iterator[Posting]:
    wanted = PostingFilter(most=_PAGE)
    while page := store.postings(wanted):
        yield from page
        wanted = attrs.evolve(wanted, after=page[-1].id)


def export_store(store: AuditedStore, /) -> StoreExport:
    """
    Return what *store* says; it is read while the audit goes on.

    Stop the workers meanwhile, or expect what they did between the exports
    to be reported.
    """
    faults: Iterable[HistoryFault] = ()
    if hasattr(store, "history_heads") and hasattr(store, "history"):
        faults = verify_history(cast("HistoryStore", store))
    return StoreExport(
        now=store.now(),
        runs=store.runs(),
        postings=_all_postings(store),
        open_amounts=store.open_amounts,
        history_faults=faults,
    )


# -- What can be found -------------------------------------------------------


class Code(Enum):
    """What a difference is; the values are stable."""

    CHARGE_WITHOUT_RECORD = "ChargeWithoutRecord"
    """The gateway took money under a key that no run has."""
    CHARGE_ON_UNPAID_RUN = "ChargeOnUnpaidRun"
    """The gateway took money, and the run ended, or waits, without it."""
    CHARGE_WITHOUT_POSTING = "ChargeWithoutPosting"
    """The gateway took money long ago, and the run is still under way."""
    PAID_WITHOUT_CAPTURE = "PaidWithoutCapture"
    """The run is paid, and the gateway took nothing under its reference."""
    CAPTURE_AMOUNT = "CaptureAmount"
    """The gateway took another amount than the run has on record."""
    DOUBLE_CAPTURE = "DoubleCapture"
    """The gateway took money for one run more than once."""
    POSTING_MISSING = "PostingMissing"
    """A paid invoice of a paid run has no posting record."""
    POSTING_DIFFERS = "PostingDiffers"
    """A posting record has another invoice or amount than the run."""
    POSTING_WITHOUT_CAPTURE = "PostingWithoutCapture"
    """A posting record that no paid run explains."""
    REVERSAL_NOT_RECORDED = "ReversalNotRecorded"
    """Money went back at the gateway, and the run does not know."""
    REVERSAL_WITHOUT_EVENT = "ReversalWithoutEvent"
    """The run knows of money that went back; the gateway does not."""
    ORPHAN_REVERSAL = "OrphanReversal"
    """A reversing posting whose original, or event, is not there."""
    REVERSAL_EXCEEDS = "ReversalExceeds"
    """More of a posting was reversed than it is."""
    OVERPAID = "Overpaid"
    """More was, or is about to be, paid on an invoice than was billed."""
    INVOICE_NOT_IN_LEDGER = "InvoiceNotInLedger"
    """A paid invoice that the ledger does not know."""
    LEDGER_WITHOUT_POSTING = "LedgerWithoutPosting"
    """The ledger shows a posting that the store does not have."""
    LEDGER_AHEAD = "LedgerAhead"
    """The ledger shows a posting that the store has as not applied."""
    LEDGER_BEHIND = "LedgerBehind"
    """The store has a posting as applied that the ledger does not show."""
    LEDGER_AMOUNT = "LedgerAmount"
    """The ledger shows a posting with another invoice or amount."""
    APPLIED_TWICE = "AppliedTwice"
    """The ledger shows one posting more than once."""
    STUCK_RUN = "StuckRun"
    """A run has been under way for too long."""
    OPEN_AMOUNT = "OpenAmount"
    """The store holds back what no run and no posting explains, or less."""
    HISTORY_BROKEN = "HistoryBroken"
    """The chain of the store's history does not fit."""


@final
@attrs.frozen(kw_only=True)
class Difference:
    """
    One thing that does not agree.

    Attributes:
        code: What it is.
        subject: The run, posting, invoice or payment that it is about.
        detail: What each side says.
        amount: The money it is about, if any.

    """

    code: Code
    subject: str
    detail: str
    amount: Money | None = None

    def __str__(self) -> str:
        """Return one line for people."""
        amount = "" if self.amount is None else f"  {self.amount}"
        return f"{self.code.value}  {self.subject}{amount}  {self.detail}"


# -- The comparison ----------------------------------------------------------

_SCHEMA: Final = """
CREATE TABLE runs (run TEXT PRIMARY KEY, state TEXT, paid TEXT, minor INTEGER,
    currency TEXT, began INTEGER, deadline INTEGER) WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, run TEXT) WITHOUT ROWID;
CREATE TABLE expected (id TEXT PRIMARY KEY, run TEXT, invoice TEXT,
    minor INTEGER, currency TEXT) WITHOUT ROWID;
CREATE TABLE reversals (run TEXT, event TEXT, minor INTEGER, currency TEXT,
    PRIMARY KEY (run, event)) WITHOUT ROWID;
CREATE TABLE postings (id TEXT PRIMARY KEY, run TEXT, client TEXT,
    invoice TEXT, minor INTEGER, currency TEXT, status TEXT, is_open INTEGER,
    is_coming INTEGER, reverses TEXT) WITHOUT ROWID;
CREATE TABLE held (client TEXT, invoice TEXT, minor INTEGER, currency TEXT);
CREATE TABLE gateway (kind TEXT, reference TEXT, key TEXT, minor INTEGER,
    currency TEXT, of TEXT, goes_back INTEGER);
CREATE TABLE ledger (kind TEXT, id TEXT, invoice TEXT, minor INTEGER,
    currency TEXT);
CREATE TABLE open (
    invoice TEXT PRIMARY KEY, minor INTEGER, currency TEXT
) WITHOUT ROWID;
"""
_INDEXES: Final = """
CREATE INDEX gateway_key ON gateway (key);
CREATE INDEX gateway_of ON gateway (of);
CREATE INDEX gateway_reference ON gateway (reference);
CREATE INDEX ledger_id ON ledger (id);
CREATE INDEX ledger_invoice ON ledger (invoice, currency);
CREATE INDEX postings_invoice ON postings (invoice, currency);
CREATE INDEX postings_reverses ON postings (reverses);
CREATE INDEX postings_client ON postings (client) WHERE is_open = 1;
CREATE VIEW takings AS SELECT g.*, k.run, r.state, r.paid, r.began,
    r.deadline, r.minor AS run_minor, r.currency AS run_currency,
    g.minor - COALESCE((SELECT SUM(b.minor) FROM gateway AS b
        WHERE b.goes_back = 1 AND b.of = g.reference), 0) AS kept
    FROM gateway AS g
    LEFT JOIN keys AS k ON k.key = g.key LEFT JOIN runs AS r ON r.run = k.run
    WHERE g.kind IN ('captured', 'pending');
"""

_UNDER_WAY: Final = (
    RunState.OPEN.value,
    RunState.PENDING.value,
    RunState.REVIEW.value,
)


def audit(
    store: StoreExport,
    gateway_rows: Iterable[GatewayRow] | None,
    ledger_rows: Iterable[LedgerRow] | None,
    /,
    *,
    stuck_seconds: int = STUCK_SECONDS,
    pending_seconds: int = PENDING_SECONDS,
    gateway_until: datetime | None = None,
) -> tuple[Difference, ...]:
    """
    Return everything in which store, gateway and ledger do not agree.

    Args:
        store: What the store says.
        gateway_rows: What the gateway says; None leaves it out, with all
            that only it can tell.
        ledger_rows: What the ledger says; None leaves it out.
        stuck_seconds: A run under way for longer is reported.
        pending_seconds: The same for a bank debit.
        gateway_until: The gateway's export ends here: what a run may have
            captured later is not looked for. None if it was made after the
            store's.

    Returns:
        The differences, by code and subject.

    """
    with _Desk() as desk:
        desk.read_store(store)
        found = list(desk.postings())
        found += desk.stuck(store.now, stuck_seconds, pending_seconds)
        if store.open_amounts is not None:
            found += desk.open_amounts(store.open_amounts)
        if gateway_rows is not None:
            desk.read_gateway(gateway_rows)
            found += desk.gateway(store.now, stuck_seconds, gateway_until)
        if ledger_rows is not None:
            desk.read_ledger(ledger_rows)
            found += desk.ledger()
    found += (
        Difference(
            code=Code.HISTORY_BROKEN,
            subject=f"chain {each.chain}, entry {each.seq}",
            detail=f"The history does not fit: {each.reason}.",
        )
        for each in store.history_faults
    )
    order = {code: place for place, code in enumerate(Code)}
    found.sort(key=lambda each: (order[each.code], each.subject, each.detail))
    return tuple(found)


class _Desk:
    """A private database in which the rows are laid out and joined."""

    def __init__(self) -> None:
        # An empty name is a file without a name that SQLite removes itself.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA + _INDEXES)
        self._broken: list[Difference] = []

    def __enter__(self) -> Self:
        self._db.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _ask(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        return self._db.execute(sql, values)

    def _put(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self._db.execute(
                f"INSERT OR IGNORE INTO {table} VALUES ({marks})",  # noqa: S608 - made of constants
                row,
            )

    # -- Laying out ----------------------------------------------------------

    def read_store(self, store: StoreExport) -> None:
        """Lay out runs, what they explain, and posting records."""
        for record in store.runs:
            self._put_run(record)
        self._put("postings", map(_posting_row, store.postings))

    def _put_run(self, record: RunRecord) -> None:
        name = str(record.key)
        captured = record.captured
        is_paid = record.state is RunState.PAID and captured is not None
        attempt = record.attempt
        taken = captured.amount if captured is not None else None
        began = deadline = None
        if attempt is not None:
            began = microseconds(attempt.began_at)
            deadline = microseconds(attempt.deadline)
        self._put(
            "runs",
            [
                (
                    name,
                    record.state.value,
                    captured.reference if captured and is_paid else None,
                    None if taken is None else taken.amount_minor,
                    None if taken is None else taken.currency,
                    began,
                    deadline,
                )
            ],
        )
        self._put("keys", ((each.key, name) for each in record.attempts))
        held = reservations(record)
        if record.intent is not None and held:
            self._put(
                "held",
                (
                    (
                        line.invoice.client,
                        line.invoice.number,
                        line.amount.amount_minor,
                        line.amount.currency,
                    )
                    for line in record.intent.allocation.lines
                    if line.amount.is_positive
                ),
            )
        if is_paid:
            self._put_expected(record)
        self._put(
            "reversals",
            (
                (
                    name,
                    each.event,
                    each.amount.amount_minor,
                    each.amount.currency,
                )
                for each in record.reversals
            ),
        )

    def _put_expected(self, record: RunRecord) -> None:
        """Lay out the postings that a paid run must have (P1, P4)."""
        try:
            wanted = list(postings_of(record))
            known = record.reversals
            for place, reversal in enumerate(known):
                before = attrs.evolve(record, reversals=known[:place])
                wanted += reversal_postings(before, reversal)
        except InvalidValueError as error:
            self._broken.append(
                Difference(
                    code=Code.POSTING_DIFFERS,
                    subject=str(record.key),
                    detail=f"The run cannot be posted: {error}",
                )
            )
            return
        self._put(
            "expected",
            (
                (
                    each.id,
                    str(record.key),
                    each.invoice,
                    each.amount.amount_minor,
                    each.amount.currency,
                )
                for each in wanted
            ),
        )

    def read_gateway(self, rows: Iterable[GatewayRow]) -> None:
        """Lay out what the gateway says."""
        self._put(
            "gateway",
            (
                (
                    each.kind.value,
                    each.reference,
                    each.key,
                    each.amount.amount_minor,
                    each.amount.currency,
                    each.of,
                    int(each.kind.goes_back),
                )
                for each in rows
            ),
        )

    def read_ledger(self, rows: Iterable[LedgerRow]) -> None:
        """Lay out what the ledger says."""
        self._put(
            "ledger",
            (
                (
                    each.kind.value,
                    each.id,
                    each.invoice,
                    each.amount.amount_minor,
                    each.amount.currency,
                )
                for each in rows
            ),
        )

    # -- Comparing -----------------------------------------------------------

    def postings(self) -> Iterator[Difference]:
        """Compare runs with posting records (P1, P4)."""
        yield from self._broken
        for run, posting, minor, currency in self._ask(
            "SELECT run, id, minor, currency FROM expected "
            "WHERE id NOT IN (SELECT id FROM postings)"
        ):
            yield Difference(
                code=Code.POSTING_MISSING,
                subject=run,
                detail=f"The posting record {posting} is not there.",
                amount=_money(minor, currency),
            )
        for run, posting, invoice, minor, currency, was in self._ask(
            "SELECT e.run, p.id, p.invoice, p.minor, p.currency, "
            "e.invoice || ' ' || e.minor || ' ' || e.currency "
            "FROM expected AS e JOIN postings AS p ON p.id = e.id "
            "WHERE (p.run, p.invoice, p.minor, p.currency) "
            "IS NOT (e.run, e.invoice, e.minor, e.currency)"
        ):
            yield Difference(
                code=Code.POSTING_DIFFERS,
                subject=run,
                detail=(
                    f"The posting record {posting} on {invoice} is not what "
                    f"the run says (minor units: {was})."
                ),
                amount=_money(minor, currency),
            )
        for run, posting, minor, currency, reverses in self._ask(
            "SELECT run, id, minor, currency, reverses FROM postings "
            "WHERE id NOT IN (SELECT id FROM expected)"
        ):
            yield Difference(
                code=(
                    Code.POSTING_WITHOUT_CAPTURE
                    if reverses is None
                    else Code.ORPHAN_REVERSAL
                ),
                subject=run,
                detail=f"No run explains the posting record {posting}.",
                amount=_money(minor, currency),
            )
        for run, posting, left, currency in self._ask(
            "SELECT o.run, o.id, o.minor + SUM(r.minor), o.currency "
            "FROM postings AS o JOIN postings AS r ON r.reverses = o.id "
            "GROUP BY o.id HAVING o.minor + SUM(r.minor) < 0"
        ):
            yield Difference(
                code=Code.REVERSAL_EXCEEDS,
                subject=run,
                detail=f"More of the posting record {posting} went back "
                "than it is.",
                amount=_money(-left, currency),
            )

    def stuck(
        self, now: datetime, stuck_seconds: int, pending_seconds: int
    ) -> Iterator[Difference]:
        """Find runs that have been under way for too long (Q5)."""
        limits = dict.fromkeys(_UNDER_WAY, stuck_seconds)
        limits[RunState.PENDING.value] = pending_seconds
        for state, seconds in limits.items():
            before = microseconds(now - timedelta(seconds=seconds))
            for run, began in self._ask(
                "SELECT run, began FROM runs WHERE state = ? AND began < ?",
                state,
                before,
            ):
                hours = (microseconds(now) - began) // 3_600_000_000
                yield Difference(
                    code=Code.STUCK_RUN,
                    subject=run,
                    detail=f"It has been {state} for {hours} hours.",
                )

    def open_amounts(
        self, ask: Callable[[Sequence[str]], OpenAmounts]
    ) -> Iterator[Difference]:
        """Compare what the store holds back with what explains it (PS-11)."""
        clients = [
            client
            for (client,) in self._ask(
                "SELECT client FROM postings UNION SELECT client FROM held "
                "ORDER BY client"
            )
        ]
        for start in range(0, len(clients), _CLIENTS_AT_ONCE):
            opened = ask(clients[start : start + _CLIENTS_AT_ONCE]).amounts
            # An invoice under two clients is told twice, with one amount.
            self._db.executemany(
                "INSERT OR IGNORE INTO open VALUES (?, ?, ?)",
                (
                    (number, each.amount_minor, each.currency)
                    for number, each in opened.items()
                    if not each.is_zero
                ),
            )
        for invoice, currency, explained, told in self._ask(
            "SELECT invoice, currency, SUM(explained), SUM(told) FROM ("
            "SELECT invoice, currency, minor AS explained, 0 AS told "
            "FROM postings WHERE is_open = 1 UNION ALL "
            "SELECT invoice, currency, minor, 0 FROM held UNION ALL "
            "SELECT invoice, currency, 0, minor FROM open) "
            "GROUP BY invoice, currency HAVING SUM(explained) <> SUM(told)"
        ):
            yield Difference(
                code=Code.OPEN_AMOUNT,
                subject=invoice,
                detail=(
                    f"The store holds back {_money(told, currency)}, runs "
                    f"and postings explain {_money(explained, currency)}."
                ),
                amount=_money(told - explained, currency),
            )

    def gateway(
        self, now: datetime, stuck_seconds: int, until: datetime | None
    ) -> Iterator[Difference]:
        """Compare runs with what the gateway took (I2, I7, I8, R8)."""
        for kind, reference, key, minor, currency in self._ask(
            "SELECT kind, reference, key, minor, currency FROM takings "
            "WHERE run IS NULL"
        ):
            yield Difference(
                code=Code.CHARGE_WITHOUT_RECORD,
                subject=reference,
                detail=f"It is {kind} under {key}, which no run has.",
                amount=_money(minor, currency),
            )
        before = microseconds(now - timedelta(seconds=stuck_seconds))
        for run, state, began, reference, kept, currency in self._ask(
            "SELECT run, state, began, reference, kept, currency "
            "FROM takings WHERE run IS NOT NULL AND state <> 'paid' "
            "AND kept > 0 AND kind = 'captured'"
        ):
            is_open = state in _UNDER_WAY
            if is_open and began >= before:
                continue
            yield Difference(
                code=(
                    Code.CHARGE_WITHOUT_POSTING
                    if is_open
                    else Code.CHARGE_ON_UNPAID_RUN
                ),
                subject=run,
                detail=f"The run is {state}, and {reference} was captured.",
                amount=_money(kept, currency),
            )
        yield from self._captures(until)
        yield from self._reversals()

    def _captures(self, until: datetime | None) -> Iterator[Difference]:
        last = None if until is None else microseconds(until)
        for run, reference, minor, currency, deadline in self._ask(
            "SELECT run, paid, minor, currency, deadline FROM runs AS r "
            "WHERE state = 'paid' AND NOT EXISTS (SELECT 1 FROM takings AS t "
            "WHERE t.kind = 'captured' AND t.reference = r.paid "
            "AND t.run = r.run)"
        ):
            if last is not None and deadline > last:
                continue
            yield Difference(
                code=Code.PAID_WITHOUT_CAPTURE,
                subject=run,
                detail=f"The gateway knows no capture {reference} of it.",
                amount=_money(minor, currency),
            )
        for run, reference, minor, currency, recorded in self._ask(
            "SELECT run, reference, minor, currency, "
            "run_minor || ' ' || run_currency FROM takings "
            "WHERE state = 'paid' AND kind = 'captured' "
            "AND reference = paid AND (minor, currency) "
            "IS NOT (run_minor, run_currency)"
        ):
            yield Difference(
                code=Code.CAPTURE_AMOUNT,
                subject=run,
                detail=(
                    f"The capture {reference} is not what the run has on "
                    f"record (minor units: {recorded})."
                ),
                amount=_money(minor, currency),
            )
        for run, count, references in self._ask(
            "SELECT run, COUNT(*), GROUP_CONCAT(reference, ', ') FROM ("
            "SELECT run, reference FROM takings WHERE kind = 'captured' "
            "AND run IS NOT NULL AND kept > 0 ORDER BY reference) "
            "GROUP BY run HAVING COUNT(*) > 1"
        ):
            yield Difference(
                code=Code.DOUBLE_CAPTURE,
                subject=run,
                detail=f"It was captured {count} times: {references}.",
            )

    def _reversals(self) -> Iterator[Difference]:
        for run, event, minor, currency in self._ask(
            "SELECT COALESCE(t.run, b.of), b.reference, b.minor, b.currency "
            "FROM gateway AS b "
            "LEFT JOIN takings AS t ON t.reference = b.of "
            "LEFT JOIN reversals AS v ON v.run = t.run "
            "AND v.event = b.reference AND v.minor = b.minor "
            "AND v.currency = b.currency "
            "WHERE b.goes_back = 1 AND v.event IS NULL "
            # Money that was never on a paid run is reported as such above.
            "AND (t.run IS NULL OR t.state = 'paid')"
        ):
            yield Difference(
                code=Code.REVERSAL_NOT_RECORDED,
                subject=run,
                detail=f"The gateway's event {event} is not on record.",
                amount=_money(minor, currency),
            )
        for run, event, minor, currency in self._ask(
            "SELECT v.run, v.event, v.minor, v.currency FROM reversals AS v "
            "WHERE NOT EXISTS (SELECT 1 FROM gateway AS b "
            "WHERE b.goes_back = 1 AND b.reference = v.event)"
        ):
            yield Difference(
                code=Code.REVERSAL_WITHOUT_EVENT,
                subject=run,
                detail=f"The gateway knows no event {event}.",
                amount=_money(minor, currency),
            )

    def ledger(self) -> Iterator[Difference]:
        """Compare posting records with what the ledger shows (P2, I1)."""
        for posting, invoice, minor, currency in self._ask(
            "SELECT id, invoice, minor, currency FROM ledger "
            "WHERE kind = 'posting' AND id NOT IN (SELECT id FROM postings)"
        ):
            yield Difference(
                code=Code.LEDGER_WITHOUT_POSTING,
                subject=invoice,
                detail=f"The store has no posting record {posting}.",
                amount=_money(minor, currency),
            )
        for posting, run, status, minor, currency in self._ask(
            "SELECT DISTINCT p.id, p.run, p.status, p.minor, p.currency "
            "FROM postings AS p JOIN ledger AS l "
            "ON l.id = p.id AND l.kind = 'posting' "
            "WHERE p.status <> 'applied'"
        ):
            yield Difference(
                code=Code.LEDGER_AHEAD,
                subject=run,
                detail=f"The ledger shows {posting}, which is {status}.",
                amount=_money(minor, currency),
            )
        for posting, run, minor, currency in self._ask(
            "SELECT id, run, minor, currency FROM postings "
            "WHERE status = 'applied' AND id NOT IN "
            "(SELECT id FROM ledger WHERE kind = 'posting')"
        ):
            yield Difference(
                code=Code.LEDGER_BEHIND,
                subject=run,
                detail=f"The ledger does not show {posting}.",
                amount=_money(minor, currency),
            )
        for posting, run, minor, currency in self._ask(
            "SELECT p.id, p.run, l.minor, l.currency FROM postings AS p "
            "JOIN ledger AS l ON l.id = p.id AND l.kind = 'posting' "
            "WHERE (l.invoice, l.minor, l.currency) "
            "IS NOT (p.invoice, p.minor, p.currency)"
        ):
            yield Difference(
                code=Code.LEDGER_AMOUNT,
                subject=run,
                detail=f"The ledger shows {posting} otherwise.",
                amount=_money(minor, currency),
            )
        for posting, invoice, count in self._ask(
            "SELECT id, invoice, COUNT(*) FROM ledger "
            "WHERE kind = 'posting' GROUP BY id HAVING COUNT(*) > 1"
        ):
            yield Difference(
                code=Code.APPLIED_TWICE,
                subject=invoice,
                detail=f"The ledger shows {posting} {count} times.",
            )
        yield from self._balances()

    def _balances(self) -> Iterator[Difference]:
        """Find invoices on which too much was, or will be, paid (I1)."""
        for invoice, currency, billed, shown, coming, is_known in self._ask(
            "SELECT invoice, currency, SUM(billed), SUM(shown), "
            "SUM(coming), MAX(known) FROM ("
            "SELECT invoice, currency, "
            "CASE kind WHEN 'billed' THEN minor ELSE 0 END AS billed, "
            "CASE kind WHEN 'billed' THEN 0 ELSE minor END AS shown, "
            "0 AS coming, kind = 'billed' AS known FROM ledger UNION ALL "
            "SELECT invoice, currency, 0, 0, minor, 0 FROM postings "
            "WHERE is_coming = 1 AND id NOT IN "
            "(SELECT id FROM ledger WHERE kind = 'posting')) "
            "GROUP BY invoice, currency "
            "HAVING MAX(known) = 0 OR SUM(shown) + SUM(coming) > SUM(billed)"
        ):
            yield Difference(
                code=Code.OVERPAID if is_known else Code.INVOICE_NOT_IN_LEDGER,
                subject=invoice,
                detail=(
                    f"Billed {_money(billed, currency)}, the ledger shows "
                    f"{_money(shown, currency)} paid, and "
                    f"{_money(coming, currency)} is on its way."
                ),
                amount=_money(shown + coming - billed, currency),
            )


_COMING: Final = frozenset(OPEN_STATUSES)


def _posting_row(posting: Posting) -> tuple[object, ...]:
    return (
        posting.id,
        str(posting.run),
        posting.client,
        posting.invoice,
        posting.amount.amount_minor,
        posting.amount.currency,
        posting.status.value,
        int(posting.is_open),
        int(
            posting.status in _COMING
            or posting.status is PostingStatus.APPLIED
        ),
        posting.reverses,
    )


def _money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)


# -- Files -------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Read rows with their line numbers from CSV or JSON lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
                yield from _json_lines(file)
            else:
                yield from _csv_lines(file)
    except UnicodeDecodeError as error:
        raise FormatError(
            "the file is not UTF-8", code="Encoding", path=path.name
        ) from error


def _json_lines(file: TextIO) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise FormatError(
                "expected one JSON object on the line",
                code="JsonFormat",
                path=str(number),
            )
        yield number, cast("Mapping[str, object]", row)


def _csv_lines(file: TextIO) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, None) or []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise FormatError(
                    f"{len(header)} columns were announced, {len(row)} came",
                    code="ColumnCount",
                    path=str(reader.line_num),
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise FormatError(
            f"the line is no CSV: {error}",
            code="CsvFormat",
            path=str(reader.line_num),
        ) from error


def _cells(
    row: Mapping[str, object], columns: Sequence[str]
) -> dict[str, str]:
    """Return the columns as text, or refuse the row."""
    found: dict[str, str] = {}
    for name in columns:
        value = row.get(name, "" if name in {"key", "of"} else None)
        if not isinstance(value, str):
            raise FormatError(
                "the column is missing, or no text",
                code="FieldMissing",
                path=name,
                value=value,
            )
        found[name] = value
    return found


def _read(
    path: Path, columns: Sequence[str], make: Callable[[dict[str, str]], Any]
) -> Iterator[Any]:
    lines = _lines(path)
    while True:
        try:
            number, row = next(lines)
        except StopIteration:
            return
        except FormatError as error:
            raise (
                error if error.path == path.name else _at(error, path)
            ) from None
        try:
            made = make(_cells(row, columns))
        except InvalidValueError as error:
            raise error.at(f"{path.name}:{number}") from None
        yield made


def _at(error: FormatError, path: Path) -> FormatError:
    """Say file and line."""
    return FormatError(
        error.message, code=error.code, path=f"{path.name}:{error.path}"
    )


def _kind(kinds: type[Enum], value: str) -> Any:  # noqa: ANN401 - that enum
    try:
        return kinds(value)
    except ValueError:
        known = ", ".join(str(each.value) for each in kinds)
        raise FormatError(
            f"expected one of {known}",
            code="UnknownValue",
            path="kind",
            value=value,
        ) from None


def _gateway_row(cells: dict[str, str]) -> GatewayRow:
    return GatewayRow(
        kind=_kind(GatewayKind, cells["kind"]),
        reference=cells["reference"],
        key=cells["key"],
        amount=Money.of(cells["amount"], cells["currency"]),
        of=cells["of"],
    )


def _ledger_row(cells: dict[str, str]) -> LedgerRow:
    return LedgerRow(
        kind=_kind(LedgerKind, cells["kind"]),
        id=cells["id"],
        invoice=cells["invoice"],
        amount=Money.of(cells["amount"], cells["currency"]),
    )


def read_gateway_rows(path: str | os.PathLike[str], /) -> Iterator[GatewayRow]:
    """
    Read a gateway export: `GATEWAY_COLUMNS`, in any order, others ignored.

    Args:
        path: A CSV file with a header; or JSON lines, if the name ends in
            ``.jsonl``, ``.ndjson`` or ``.json``.

    Raises:
        FormatError: A line cannot be read; the path is ``file:line.column``.
        InvalidValueError: A value refuses itself; the path says where.

    """
    return _read(Path(path), GATEWAY_COLUMNS, _gateway_row)


def read_ledger_rows(path: str | os.PathLike[str], /) -> Iterator[LedgerRow]:
    """
    Read a ledger export: `LEDGER_COLUMNS`, in any order, others ignored.

    Args:
        path: As for `read_gateway_rows`.

    Raises:
        FormatError: A line cannot be read; the path is ``file:line.column``.
        InvalidValueError: A value refuses itself; the path says where.

    """
    return _read(Path(path), LEDGER_COLUMNS, _ledger_row)


def write_rows(
    path: str | os.PathLike[str],
    rows: Iterable[GatewayRow | LedgerRow],
    /,
) -> int:
    """
    Write rows as CSV that the readers above read; return how many.

    Args:
        path: The file; replaced if it is there.
        rows: All of one kind.

    """
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for count, row in enumerate(rows, start=1):
            columns: Sequence[str]
            if isinstance(row, GatewayRow):
                columns, given = GATEWAY_COLUMNS, (row.reference, row.key)
            else:
                columns, given = LEDGER_COLUMNS, (row.id, row.invoice)
            if count == 1:
                writer.writerow(columns)
            cells = [
                row.kind.value,
                *given,
                row.amount.major,
                row.amount.currency,
            ]
            if isinstance(row, GatewayRow):
                cells.append(row.of)
            writer.writerow(cells)
    return count


# -- The command -------------------------------------------------------------


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m autopay_core.audit",
        description=(
            "Compare a posting store with exports of the payment gateway and "
            "of the firm's ledger, and print every difference."
        ),
        epilog=(
            "Exit status: 0 nothing found, 1 differences, 2 it could not be "
            "done. Gateway columns: " + ", ".join(GATEWAY_COLUMNS) + ". "
            "Ledger columns: " + ", ".join(LEDGER_COLUMNS) + "."
        ),
    )
    store = parser.add_mutually_exclusive_group(required=True)
    store.add_argument("--sqlite", metavar="FILE", help="the store's file")
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
    return parser.parse_args(argv)


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
    asked = _arguments(sys.argv[1:] if argv is None else argv)
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
    except ImportError as error:
        sys.stderr.write(f"audit: install the extra 'postgres': {error}\n")
        return _USAGE
    except OSError as error:
        reason = error.strerror or type(error).__name__
        name = safe_text(Path(str(error.filename)).name)
        sys.stderr.write(f"audit: {name}: {reason}\n")
        return _USAGE
    except AutopayError as error:
        sys.stderr.write(f"audit: {error}\n")
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


def _as_json(found: Difference) -> str:
    return json.dumps(
        {
            "code": found.code.value,
            "subject": found.subject,
            "detail": found.detail,
            "amount": None if found.amount is None else found.amount.major,
            "currency": (
                None if found.amount is None else found.amount.currency
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
