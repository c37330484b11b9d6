"""
The firm: its practice database, its ports, and its book.

`Firm` is all of a host's wiring. The practice-management system is a SQLite
file that is only read, by `adapters.views`; `Ledger` is the one who writes it.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Generator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Self

import autopay_core as ap
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.views import (
    AmountsIn,
    SqliteSource,
    SqlMatterData,
    Statements,
)
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    LineAccepted,
    LineAnswer,
    LineRefused,
    RefusalReason,
)
from autopay_core.book import Book
from autopay_core.book.sqlite import SqliteBookStore
from office.company import Company

START = date(2026, 1, 30)
_TABLES = """
CREATE TABLE client (no PRIMARY KEY, name);
CREATE TABLE matter (no PRIMARY KEY, client, title, is_closed DEFAULT 0);
CREATE TABLE bill (no PRIMARY KEY, client, matter, issued, due, cents);
CREATE TABLE day (today, since);
CREATE TABLE booked (posting PRIMARY KEY);
INSERT INTO client VALUES
    ('C-7', 'Harbour Foods Inc.'), ('C-8', 'Osei & Sons');
INSERT INTO matter (no, client, title) VALUES
    ('M-1', 'C-7', 'Lease of the cold store'),
    ('M-2', 'C-7', 'Trade mark HARBOUR'),
    ('M-3', 'C-8', 'Probate of A. Osei');
INSERT INTO bill VALUES
    ('1042', 'C-7', 'M-1', '2026-01-05', '2026-02-04', 31000),
    ('1058', 'C-7', 'M-2', '2026-01-12', '2026-02-11', 9550),
    ('1063', 'C-8', 'M-3', '2026-01-20', NULL, 120000);
"""
_BILLS = (
    "SELECT no AS number, client, matter, issued AS issued_on, due AS due_on,"
    " cents AS balance FROM bill WHERE cents <> 0 AND client IN (:clients)"
)
_SEARCHES = {
    ap.SearchBy.CLIENT_NAME: "SELECT no AS client, name AS client_name"
    " FROM client WHERE LOWER(name) LIKE :like ESCAPE '!'",
    ap.SearchBy.CLIENT_NUMBER: "SELECT no AS client, name AS client_name"
    " FROM client WHERE no = :text",
    ap.SearchBy.MATTER_NUMBER: "SELECT client, no AS matter,"
    " title AS matter_description FROM matter WHERE no = :text",
    ap.SearchBy.MATTER_DESCRIPTION: "SELECT client, no AS matter,"
    " title AS matter_description FROM matter"
    " WHERE LOWER(title) LIKE :like ESCAPE '!'",
    ap.SearchBy.INVOICE_NUMBER: "SELECT client, matter, no AS invoice"
    " FROM bill WHERE no = :text",
}


class Ledger:
    """The practice-management system, from its own side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            with self._open() as database:
                database.executescript(_TABLES)
                database.execute(
                    "INSERT INTO day VALUES (?, ?)",
                    (str(START), _machine().isoformat()),
                )

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        with (
            contextlib.closing(sqlite3.connect(self.path)) as database,
            database,
        ):
            yield database

    def do(self, statement: str, *values: object) -> list[tuple]:
        """Carry out a statement of the firm's own."""
        with self._open() as database:
            return database.execute(statement, values).fetchall()

    def answer(self, batch: Batch, on: date) -> BatchAnswer:
        """Book a batch line by line; a closed matter takes no payment."""
        lines: list[LineAnswer] = []
        booked: list[ap.Money] = []
        for each in batch.postings:
            [(is_closed,)] = self.do(
                "SELECT is_closed FROM matter WHERE no = ?", each.matter
            )
            if is_closed:
                lines.append(
                    LineRefused(
                        posting=each.id, reason=RefusalReason.MATTER_CLOSED
                    )
                )
                continue
            self._book(each)
            booked.append(each.amount)
            lines.append(
                LineAccepted(
                    posting=each.id, number=f"GL-{each.id}", posted_on=on
                )
            )
        total = [ap.Money.total(booked, "USD")] if booked else []
        return BatchAnswer(
            batch=batch.id, lines=tuple(lines), booked=tuple(total)
        )

    def _book(self, posting: ap.Posting) -> None:
        """Book a payment, once, however often it is sent."""
        with self._open() as database:
            new = database.execute(
                "INSERT OR IGNORE INTO booked VALUES (?)", (posting.id,)
            )
            if new.rowcount:
                database.execute(
                    "UPDATE bill SET cents = cents - ? WHERE no = ?",
                    (posting.amount.amount_minor, posting.invoice),
                )


class Firm:
    """All that the pages need; closed by its ``with`` block."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(folder / "practice.db")
        self.company = Company(folder / "company.db", self.clock)
        store = folder / "autopay.db"
        self.postings = SqlitePostingStore(store, clock=self.clock)
        self._kept = SqliteBookStore(store, clock=self.clock)
        self.book = Book(self._kept)
        self.ports = ap.Ports(
            matters=SqlMatterData(
                SqliteSource(self.ledger.path),
                Statements(invoices=_BILLS, searches=_SEARCHES),
                currency="USD",
                amounts=AmountsIn.MINOR,
            ),
            gateway=self.company.gateway,
            postings=self.postings,
            notifier=self,
            key_secret=_secret(folder / "secret"),
            policy=ap.Policy(zone="America/New_York"),
        )
        self.mail: list[ap.Notice] = []

    def __enter__(self) -> Self:
        """Return the firm."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self._kept.close()
        self.postings.close()

    @property
    def today(self) -> date:
        """The firm's day; a button moves it, so that a year can be tried."""
        [(day,)] = self.ledger.do("SELECT today FROM day")
        return date.fromisoformat(day)

    def clock(self) -> datetime:
        """Return the firm's time: that morning, and what has passed since."""
        [(day, since)] = self.ledger.do("SELECT today, since FROM day")
        passed = _machine() - datetime.fromisoformat(since)
        morning = datetime.combine(date.fromisoformat(day), time(14), UTC)
        return morning + min(max(passed, timedelta(0)), timedelta(hours=8))

    def go_to(self, day: date) -> None:
        """Let it be another day; never an earlier one."""
        if day > self.today:
            self.ledger.do(
                "UPDATE day SET today = ?, since = ?",
                *(str(day), _machine().isoformat()),
            )

    def send(self, notice: ap.Notice, /) -> None:
        """Keep a notice in place of a mail; see `adapters.smtp` for mails."""
        self.mail.append(notice)


def _machine() -> datetime:
    return datetime.now(UTC)


def _secret(path: Path) -> bytes:
    """Return the secret of idempotency keys; yours is in a secret store."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()
