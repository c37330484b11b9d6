"""
The comparison: a table of checks over rows laid out in a private database.

Holds: `Check`, `CHECKS`, `audit`. Imports: `exports`, `findings`, `history`
and the values. A new check is a row of the table. Everything streams: the
rows are joined in an SQLite file that is gone with the process, so that a
year of payments needs no more memory than a day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, cast, final

import attrs

from autopay_core.audit.exports import GatewayRow, LedgerRow, StoreExport
from autopay_core.audit.findings import Code, Difference
from autopay_core.batches import Batch
from autopay_core.commits import OpenAmounts, Unreadable
from autopay_core.corrections import every_posting
from autopay_core.errors import InvalidValueError
from autopay_core.history import microseconds
from autopay_core.money import Money
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
    recompute,
    reservations,
)

__all__ = ["CHECKS", "PENDING_SECONDS", "STUCK_SECONDS", "Check", "audit"]

STUCK_SECONDS: Final = 24 * 3600
"""A run under way for longer is stuck, unless it is a bank debit."""

PENDING_SECONDS: Final = 10 * 24 * 3600
"""A bank debit under way for longer is stuck."""

_CLIENTS_AT_ONCE: Final = 200

# Columns are named after the fields that fill them; see `_Desk.put`.
_SCHEMA: Final = """
CREATE TABLE runs (run TEXT PRIMARY KEY, state, paid, minor, currency, began,
    deadline, is_under_way) WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, run) WITHOUT ROWID;
CREATE TABLE expected (id TEXT PRIMARY KEY, run, invoice, minor, currency)
    WITHOUT ROWID;
CREATE TABLE unpostable (run, error);
CREATE TABLE undecided (run, differs);
CREATE TABLE unreadable (key, code);
CREATE TABLE unreadable_postings (key, code);
CREATE TABLE unreadable_batches (key, code);
CREATE TABLE batches (id TEXT PRIMARY KEY, is_answered, exported)
    WITHOUT ROWID;
CREATE TABLE lines (batch, posting, invoice, minor, currency);
CREATE TABLE reversals (run TEXT, event TEXT, minor, currency,
    PRIMARY KEY (run, event)) WITHOUT ROWID;
CREATE TABLE postings (id TEXT PRIMARY KEY, run, client, invoice, minor,
    currency, status, is_open, reverses) WITHOUT ROWID;
CREATE TABLE held (client, invoice, minor, currency);
CREATE TABLE open (invoice TEXT PRIMARY KEY, minor, currency) WITHOUT ROWID;
CREATE TABLE gateway (kind, reference, key, minor, currency, of);
CREATE TABLE ledger (kind, id, invoice, minor, currency);
CREATE TABLE faults (chain, seq, reason, row);

CREATE INDEX gateway_key ON gateway (key);
CREATE INDEX gateway_of ON gateway (of);
CREATE INDEX gateway_reference ON gateway (reference);
CREATE INDEX ledger_id ON ledger (id);
CREATE INDEX ledger_invoice ON ledger (invoice, currency);
CREATE INDEX lines_posting ON lines (posting);
CREATE INDEX postings_invoice ON postings (invoice, currency);
CREATE INDEX postings_reverses ON postings (reverses);
CREATE INDEX postings_client ON postings (client) WHERE is_open = 1;

CREATE VIEW gone AS SELECT * FROM gateway
    WHERE kind IN ('return', 'refund', 'chargeback');
CREATE VIEW takings AS SELECT g.*, k.run, r.state, r.paid, r.began,
    r.is_under_way, r.minor AS run_minor, r.currency AS run_currency,
    g.minor - COALESCE((SELECT SUM(b.minor) FROM gone AS b
        WHERE b.of = g.reference), 0) AS kept
    FROM gateway AS g
    LEFT JOIN keys AS k ON k.key = g.key LEFT JOIN runs AS r ON r.run = k.run
    WHERE g.kind IN ('captured', 'pending');
CREATE VIEW balances AS SELECT invoice, currency, SUM(billed) AS billed,
    SUM(shown) AS shown, SUM(coming) AS coming, MAX(known) AS is_known FROM (
        SELECT invoice, currency, kind = 'billed' AS known, 0 AS coming,
            CASE kind WHEN 'billed' THEN minor ELSE 0 END AS billed,
            CASE kind WHEN 'billed' THEN 0 ELSE minor END AS shown
            FROM ledger
        UNION ALL SELECT invoice, currency, 0, minor, 0, 0 FROM postings
            WHERE status <> 'removed' AND id NOT IN
            (SELECT id FROM ledger WHERE kind = 'posting'))
    GROUP BY invoice, currency;
"""


@final
@attrs.frozen
class Check:
    """
    One comparison.

    Attributes:
        code: What its rows are.
        sentence: What each row says, with the row's columns in braces.
        sql: Gives a row for each difference: its ``subject``, the sentence's
            columns, and ``minor`` and ``currency`` if it is about money. It
            may use ``money``, ``:now``, ``:stuck``, ``:pending`` and
            ``:until``.

    """

    code: Code
    sentence: str
    sql: str


_OF_BATCHES: Final = (
    # Batches and the posting records in them (P5).
    Check(
        Code.UNREADABLE_BATCH,
        "It cannot be read ({code}); its lines are compared with nothing.",
        "SELECT key AS subject, code FROM unreadable_batches",
    ),
    Check(
        Code.BATCH_DIFFERS,
        "Its posting {posting} on {invoice} is {what}.",
        """SELECT l.batch AS subject, l.posting, l.invoice, l.minor,
        l.currency, CASE WHEN p.id IS NULL THEN 'not on record'
            ELSE 'on record otherwise' END AS what
        FROM lines AS l LEFT JOIN postings AS p ON p.id = l.posting
        WHERE (p.invoice, p.minor, p.currency)
        IS NOT (l.invoice, l.minor, l.currency)
        AND l.posting NOT IN (SELECT key FROM unreadable_postings)""",
    ),
    Check(
        Code.BATCH_DIFFERS,
        "It is not answered, and its posting {posting} on {invoice} is "
        "{status}.",
        """SELECT l.batch AS subject, l.posting, l.invoice, l.minor,
        l.currency, p.status FROM lines AS l
        JOIN batches AS b ON b.id = l.batch
        JOIN postings AS p ON p.id = l.posting
        WHERE NOT b.is_answered AND p.status <> 'queued'""",
    ),
    Check(
        Code.IN_TWO_BATCHES,
        "It is in {count} batches that are not answered.",
        """SELECT l.posting AS subject, COUNT(*) AS count, l.minor, l.currency
        FROM lines AS l JOIN batches AS b ON b.id = l.batch
        WHERE NOT b.is_answered GROUP BY l.posting HAVING COUNT(*) > 1""",
    ),
    Check(
        Code.STUCK_BATCH,
        "It went to the ledger long ago, and is not answered.",
        """SELECT id AS subject FROM batches
        WHERE NOT is_answered AND exported < :pending""",
    ),
)

_OF_THE_STORE: Final = (
    *_OF_BATCHES,
    # Runs and posting records (P1, P4).
    Check(
        Code.POSTING_DIFFERS,
        "The run cannot be posted: {error}",
        "SELECT run AS subject, error FROM unpostable",
    ),
    Check(
        Code.UNREADABLE_RUN,
        "It cannot be read ({code}); what follows from it is not compared.",
        "SELECT key AS subject, code FROM unreadable",
    ),
    Check(
        Code.UNREADABLE_POSTING,
        "It cannot be read ({code}); its amount is compared with nothing.",
        "SELECT key AS subject, code FROM unreadable_postings",
    ),
    Check(
        Code.DECISION_DIFFERS,
        "Its inputs on record do not give its lines: {differs}",
        "SELECT run AS subject, differs FROM undecided",
    ),
    Check(
        Code.POSTING_MISSING,
        "The posting record {id} is not there.",
        """SELECT run AS subject, id, minor, currency FROM expected
        WHERE id NOT IN (SELECT id FROM postings)""",
    ),
    Check(
        Code.POSTING_DIFFERS,
        "The posting record {id} on {invoice} is not what the run says "
        "(minor units: {was}).",
        """SELECT e.run AS subject, p.id, p.invoice, p.minor, p.currency,
        e.invoice || ' ' || e.minor || ' ' || e.currency AS was
        FROM expected AS e JOIN postings AS p ON p.id = e.id
        WHERE (p.run, p.invoice, p.minor, p.currency)
        IS NOT (e.run, e.invoice, e.minor, e.currency)""",
    ),
    Check(
        Code.POSTING_WITHOUT_CAPTURE,
        "No run explains the posting record {id}.",
        """SELECT run AS subject, id, minor, currency FROM postings
        WHERE id NOT IN (SELECT id FROM expected) AND reverses IS NULL""",
    ),
    Check(
        Code.ORPHAN_REVERSAL,
        "No run explains the posting record {id}.",
        """SELECT run AS subject, id, minor, currency FROM postings
        WHERE id NOT IN (SELECT id FROM expected)
        AND reverses IS NOT NULL""",
    ),
    Check(
        Code.REVERSAL_EXCEEDS,
        "More of the posting record {id} went back than it is.",
        # What came again of it reverses a reversal, and so does what was put
        # on other invoices (P4); what goes back of that reverses it.
        """SELECT o.run AS subject, o.id, o.currency,
        -(o.minor + SUM(r.minor)) AS minor
        FROM postings AS o JOIN (
            SELECT reverses AS first, minor FROM postings WHERE minor < 0
            UNION ALL SELECT b.reverses AS first, a.minor
            FROM postings AS a JOIN postings AS b ON a.reverses = b.id
            WHERE a.minor > 0
        ) AS r ON r.first = o.id
        GROUP BY o.id HAVING o.minor + SUM(r.minor) < 0""",
    ),
    # Runs that have been under way for too long (Q5).
    Check(
        Code.STUCK_RUN,
        "It has been {state} for {hours} hours.",
        """SELECT run AS subject, state, (:now - began) / 3600000000 AS hours
        FROM runs WHERE is_under_way AND began <
        CASE state WHEN 'pending' THEN :pending ELSE :stuck END""",
    ),
    Check(
        Code.HISTORY_BROKEN,
        "The history does not fit: {reason}.",
        """SELECT 'chain ' || chain || ', entry ' || seq ||
        CASE WHEN row = '' THEN '' ELSE ', ' || row END AS subject, reason
        FROM faults""",
    ),
)

_OF_OPEN_AMOUNTS: Final = (
    # What the store holds back, and what explains it (PS-11).
    Check(
        Code.OPEN_AMOUNT,
        "The store holds back {told}, runs and postings explain {explained}.",
        """SELECT invoice AS subject, money(SUM(told), currency) AS told,
        money(SUM(explained), currency) AS explained,
        SUM(told) - SUM(explained) AS minor, currency FROM (
        SELECT invoice, currency, minor AS explained, 0 AS told
        FROM postings WHERE is_open = 1 UNION ALL
        SELECT invoice, currency, minor, 0 FROM held UNION ALL
        SELECT invoice, currency, 0, minor FROM open)
        GROUP BY invoice, currency HAVING SUM(explained) <> SUM(told)""",
    ),
)

_OF_THE_GATEWAY: Final = (
    # Runs and what the gateway took (R2, R4, R8).
    Check(
        Code.CHARGE_WITHOUT_RECORD,
        "It is {kind} under {key}, which no run has.",
        """SELECT reference AS subject, kind, key, minor, currency
        FROM takings WHERE run IS NULL""",
    ),
    Check(
        Code.CHARGE_WITHOUT_POSTING,
        "The run is {state}, and {reference} was captured.",
        """SELECT run AS subject, state, reference, kept AS minor, currency
        FROM takings WHERE is_under_way AND began < :stuck
        AND kept > 0 AND kind = 'captured'""",
    ),
    Check(
        Code.CHARGE_ON_UNPAID_RUN,
        "The run is {state}, and {reference} was captured.",
        """SELECT run AS subject, state, reference, kept AS minor, currency
        FROM takings WHERE NOT is_under_way AND state <> 'paid'
        AND kept > 0 AND kind = 'captured'""",
    ),
    Check(
        Code.PAID_WITHOUT_CAPTURE,
        "The gateway knows no capture {paid} of it.",
        """SELECT run AS subject, paid, minor, currency FROM runs AS r
        WHERE state = 'paid' AND (:until IS NULL OR deadline <= :until)
        AND NOT EXISTS (SELECT 1 FROM takings AS t WHERE t.kind = 'captured'
        AND t.reference = r.paid AND t.run = r.run)""",
    ),
    Check(
        Code.CAPTURE_AMOUNT,
        "The capture {reference} is not what the run has on record "
        "(minor units: {recorded}).",
        """SELECT run AS subject, reference, minor, currency,
        run_minor || ' ' || run_currency AS recorded FROM takings
        WHERE state = 'paid' AND kind = 'captured' AND reference = paid
        AND (minor, currency) IS NOT (run_minor, run_currency)""",
    ),
    Check(
        Code.DOUBLE_CAPTURE,
        "It was captured {count} times: {references}.",
        """SELECT run AS subject, COUNT(*) AS count,
        GROUP_CONCAT(reference, ', ') AS "references" FROM (
        SELECT run, reference FROM takings WHERE kind = 'captured'
        AND run IS NOT NULL AND kept > 0 ORDER BY reference)
        GROUP BY run HAVING COUNT(*) > 1""",
    ),
    # Money that was never on a paid run is reported as such above.
    Check(
        Code.REVERSAL_NOT_RECORDED,
        "The gateway's event {reference} is not on record.",
        """SELECT COALESCE(t.run, b.of) AS subject, b.reference, b.minor,
        b.currency FROM gone AS b
        LEFT JOIN takings AS t ON t.reference = b.of
        LEFT JOIN reversals AS v ON v.run = t.run AND v.event = b.reference
        AND v.minor = b.minor AND v.currency = b.currency
        WHERE v.event IS NULL AND (t.run IS NULL OR t.state = 'paid')""",
    ),
    Check(
        Code.REVERSAL_WITHOUT_EVENT,
        "The gateway knows no event {event}.",
        """SELECT run AS subject, event, minor, currency FROM reversals
        WHERE event NOT IN (SELECT reference FROM gone)""",
    ),
)

_OF_THE_LEDGER: Final = (
    # Posting records and what the ledger shows (P2).
    Check(
        Code.LEDGER_WITHOUT_POSTING,
        "The store has no posting record {id}.",
        """SELECT invoice AS subject, id, minor, currency FROM ledger
        WHERE kind = 'posting' AND id NOT IN (SELECT id FROM postings)""",
    ),
    Check(
        Code.LEDGER_AHEAD,
        "The ledger shows {id}, which is {status}.",
        """SELECT run AS subject, id, status, minor, currency FROM postings
        WHERE status <> 'applied'
        AND id IN (SELECT id FROM ledger WHERE kind = 'posting')""",
    ),
    Check(
        Code.LEDGER_BEHIND,
        "The ledger does not show {id}.",
        """SELECT run AS subject, id, minor, currency FROM postings
        WHERE status = 'applied'
        AND id NOT IN (SELECT id FROM ledger WHERE kind = 'posting')""",
    ),
    Check(
        Code.LEDGER_AMOUNT,
        "The ledger shows {id} otherwise.",
        """SELECT p.run AS subject, p.id, l.minor, l.currency
        FROM postings AS p
        JOIN ledger AS l ON l.id = p.id AND l.kind = 'posting'
        WHERE (l.invoice, l.minor, l.currency)
        IS NOT (p.invoice, p.minor, p.currency)""",
    ),
    Check(
        Code.APPLIED_TWICE,
        "The ledger shows {id} {count} times.",
        """SELECT invoice AS subject, id, COUNT(*) AS count FROM ledger
        WHERE kind = 'posting' GROUP BY id HAVING COUNT(*) > 1""",
    ),
    # Invoices on which too much was, or will be, paid.
    *(
        Check(
            code,
            "Billed {billed}, the ledger shows {shown} paid, and {coming} "
            "is on its way.",
            f"""SELECT invoice AS subject, currency,
            money(billed, currency) AS billed,
            money(shown, currency) AS shown,
            money(coming, currency) AS coming,
            shown + coming - billed AS minor FROM balances WHERE {which}""",  # noqa: S608 - made of constants
        )
        for code, which in (
            (Code.OVERPAID, "is_known AND shown + coming > billed"),
            (Code.INVOICE_NOT_IN_LEDGER, "NOT is_known"),
        )
    ),
)

CHECKS: Final = (
    *_OF_THE_STORE,
    *_OF_OPEN_AMOUNTS,
    *_OF_THE_GATEWAY,
    *_OF_THE_LEDGER,
)
"""Every comparison; `audit` leaves out those whose side is not given."""


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
        pending_seconds: The same for a bank debit, and for a batch that is
            not answered.
        gateway_until: The gateway's export ends here: what a run may have
            captured later is not looked for. None if it was made after the
            store's.

    Returns:
        The differences, by code and subject.

    """

    def ago(seconds: int) -> int:
        return microseconds(store.now - timedelta(seconds=seconds))

    # An empty name is a file without a name that SQLite removes itself.
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        desk = _Desk(database)
        checks = list(_OF_THE_STORE)
        desk.put_store(store)
        if store.open_amounts is not None:
            checks += _OF_OPEN_AMOUNTS
            desk.put_open(store.open_amounts)
        if gateway_rows is not None:
            checks += _OF_THE_GATEWAY
            desk.put("gateway", gateway_rows)
        if ledger_rows is not None:
            checks += _OF_THE_LEDGER
            desk.put("ledger", ledger_rows)
        found = desk.differences(
            checks,
            now=ago(0),
            stuck=ago(stuck_seconds),
            pending=ago(pending_seconds),
            until=None
            if gateway_until is None
            else microseconds(gateway_until),
        )
    order = {code: place for place, code in enumerate(Code)}
    found.sort(key=lambda each: (order[each.code], each.subject, each.detail))
    return tuple(found)


def _readable(
    found: Iterable[Posting | Unreadable], lost: list[Unreadable]
) -> Iterator[Posting]:
    """Give the readable ones, and add the others to *lost*."""
    for each in found:
        if isinstance(each, Unreadable):
            lost.append(each)
        else:
            yield each


@final
class _Desk:
    """The private database, its rows laid out from values."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        database.row_factory = sqlite3.Row
        database.create_function("money", 2, lambda *of: str(_money(*of)))
        database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            f"{_SCHEMA} BEGIN;"
        )
        self._columns = {
            table: [
                column["name"]
                for column in database.execute(f"PRAGMA table_info({table})")
            ]
            for (table,) in database.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            ).fetchall()
        }

    def put(
        self, table: str, values: Iterable[object], run: str | None = None
    ) -> None:
        """
        Lay values out, each column filled from the field of its name.

        An amount fills ``minor`` and ``currency``. Values that do not know
        their run get *run*.
        """
        columns = self._columns[table]
        marks = ", ".join("?" * len(columns))
        self._db.executemany(
            f"INSERT OR IGNORE INTO {table} VALUES ({marks})",  # noqa: S608 - made of constants
            (
                [_cell(value, column, run) for column in columns]
                for value in values
            ),
        )

    def put_store(self, store: StoreExport) -> None:
        """Lay out runs, what they explain, postings, batches and faults."""
        for record in store.runs:
            if isinstance(record, Unreadable):
                self.put("unreadable", [record])
            else:
                self._put_run(record, str(record.key))
        lost: list[Unreadable] = []
        self.put("postings", _readable(store.postings, lost))
        self.put("unreadable_postings", lost)
        for batch in store.batches:
            if isinstance(batch, Unreadable):
                self.put("unreadable_batches", [batch])
            else:
                self._put_batch(batch)
        self.put("faults", store.history_faults)

    def _put_batch(self, batch: Batch) -> None:
        exported = batch.exported_at
        row: dict[str, object] = {
            "id": batch.id,
            "is_answered": batch.is_closed,
            "exported": None if exported is None else microseconds(exported),
        }
        self.put("batches", [row])
        self.put(
            "lines",
            (
                {
                    "batch": batch.id,
                    "posting": each.id,
                    "invoice": each.invoice,
                    "amount": each.amount,
                }
                for each in batch.postings
            ),
        )

    def _put_run(self, record: RunRecord, run: str) -> None:
        attempt, captured = record.attempt, record.captured
        is_paid = record.state is RunState.PAID and captured is not None
        row: dict[str, object] = {
            "state": record.state,
            "paid": captured.reference if captured and is_paid else None,
            "amount": captured and captured.amount,
            "began": attempt and microseconds(attempt.began_at),
            "deadline": attempt and microseconds(attempt.deadline),
            "is_under_way": record.state in RESERVING_STATES,
        }
        self.put("runs", [row], run)
        differs = recompute(record).differs
        if differs:
            self.put("undecided", [{"differs": ", ".join(differs)}], run)
        self.put("keys", record.attempts, run)
        self.put(
            "reversals",
            (each for each in record.reversals if each.kind.takes_back),
            run,
        )
        if record.intent is not None and reservations(record):
            self.put(
                "held",
                (
                    {
                        "client": line.invoice.client,
                        "invoice": line.invoice.number,
                        "amount": line.amount,
                    }
                    for line in record.intent.allocation.lines
                    if line.amount.is_positive
                ),
            )
        if is_paid:
            self._put_expected(record, run)

    def _put_expected(self, record: RunRecord, run: str) -> None:
        """Lay out the postings that a paid run must have (P1, P4)."""
        try:
            wanted = every_posting(record)
        except InvalidValueError as error:
            self.put("unpostable", [{"error": str(error)}], run)
        else:
            self.put("expected", wanted)

    def put_open(self, ask: Callable[[Sequence[str]], OpenAmounts]) -> None:
        """Ask the store what it holds back, and lay it out."""
        clients = [
            client
            for (client,) in self._db.execute(
                "SELECT client FROM postings UNION SELECT client FROM held "
                "ORDER BY client"
            )
        ]
        for start in range(0, len(clients), _CLIENTS_AT_ONCE):
            opened = ask(clients[start : start + _CLIENTS_AT_ONCE]).amounts
            # An invoice under two clients is told twice, with one amount.
            self.put(
                "open",
                (
                    {"invoice": number, "amount": amount}
                    for number, amount in opened.items()
                    if not amount.is_zero
                ),
            )

    def differences(
        self, checks: Iterable[Check], **given: int | None
    ) -> list[Difference]:
        """Return what the checks find."""
        return [
            Difference(
                code=check.code,
                subject=row["subject"],
                detail=check.sentence.format_map(row),
                amount=_amount(row),
            )
            for check in checks
            for row in self._db.execute(check.sql, given)
        ]


def _cell(value: object, column: str, run: str | None) -> object:
    """Return what stands under a column for a value."""
    if column == "run" and run is not None:
        return run
    name = "amount" if column in {"minor", "currency"} else column
    found: object
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)[name]
    else:
        found = getattr(value, name)
    match found:
        case Money():
            minor = found.amount_minor
            return minor if column == "minor" else found.currency
        case Enum():
            return found.value
        case RunKey():
            return str(found)
        case _:
            return found


def _amount(row: sqlite3.Row) -> Money | None:
    """Return the money that a difference is about, if any."""
    if "minor" not in row.keys() or row["minor"] is None:  # noqa: SIM118
        return None
    return _money(row["minor"], row["currency"])


def _money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)
