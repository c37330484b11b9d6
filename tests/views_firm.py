"""A practice-management database for tests, in SQL."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import psycopg
import sqlalchemy

from autopay_core.adapters.views import (
    AmountsIn,
    PostgresSource,
    SqlAlchemySource,
    SqliteSource,
    SqlMatterData,
    Statements,
)
from autopay_core.invoices import SearchBy
from postgres_server import shared_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from autopay_core.adapters.views import Source
    from autopay_core.invoices import Invoice, SearchResult

TABLES: Final = (
    """
    CREATE TABLE bill (
        bill_no VARCHAR(40) PRIMARY KEY, client_no VARCHAR(40),
        matter_no VARCHAR(40), issued {date}, due {date},
        outstanding {amount}, is_open INTEGER DEFAULT 1
    )
    """,
    "CREATE TABLE client (client_no VARCHAR(40), name VARCHAR(200))",
    """
    CREATE TABLE matter (
        matter_no VARCHAR(40), client_no VARCHAR(40), title VARCHAR(200)
    )
    """,
)
_BILLS: Final = (
    "SELECT bill_no AS number, client_no AS client, matter_no AS matter, "
    "issued AS issued_on, due AS due_on, outstanding AS balance FROM bill "
    "WHERE is_open = 1"
)
STATEMENTS: Final = Statements(
    invoices=f"{_BILLS} AND client_no IN (:clients)",
    searches={
        SearchBy.CLIENT_NAME: (
            "SELECT client_no AS client, name AS client_name FROM client "
            "WHERE LOWER(name) LIKE :like ESCAPE '!'"
        ),
        SearchBy.CLIENT_NUMBER: (
            "SELECT client_no AS client, name AS client_name FROM client "
            "WHERE client_no = :text"
        ),
        SearchBy.MATTER_NUMBER: (
            "SELECT client_no AS client, matter_no AS matter, "
            "title AS matter_description FROM matter WHERE matter_no = :text"
        ),
        SearchBy.MATTER_DESCRIPTION: (
            "SELECT client_no AS client, matter_no AS matter, "
            "title AS matter_description FROM matter "
            "WHERE LOWER(title) LIKE :like ESCAPE '!'"
        ),
        SearchBy.INVOICE_NUMBER: (
            "SELECT client_no AS client, matter_no AS matter, "
            "bill_no AS invoice FROM bill WHERE bill_no = :text"
        ),
    },
)
EACH: Final = Statements(
    invoices=f"{_BILLS} AND client_no = :client", searches=STATEMENTS.searches
)
EVERYBODY: Final = Statements(invoices=_BILLS, searches=STATEMENTS.searches)


class SqliteFirm:
    """The firm in a SQLite file; amounts in cents, for it has no decimals."""

    amounts = AmountsIn.MINOR
    date, amount = "TEXT", "INTEGER"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "practice.db"
        for each in TABLES:
            self.do(each.format(date=self.date, amount=self.amount))

    def do(self, statement: str, *values: object) -> None:
        with (
            contextlib.closing(sqlite3.connect(self.path)) as database,
            database,
        ):
            database.execute(statement, values)

    def source(self) -> Source:
        return SqliteSource(self.path, timeout_seconds=0.1)

    def shown(self, invoice: Invoice) -> tuple[Any, ...]:
        due = invoice.due_on
        return (
            invoice.issued_on.isoformat(),
            None if due is None else due.isoformat(),
            invoice.balance.amount_minor,
        )

    # -- What is the same in each --------------------------------------------

    def put(self, invoice: Invoice) -> None:
        self.do("DELETE FROM bill WHERE bill_no = ?", invoice.number)
        self.do(
            "INSERT INTO bill (bill_no, client_no, matter_no, issued, due, "
            "outstanding) VALUES (?, ?, ?, ?, ?, ?)",
            *(invoice.number, invoice.client, invoice.matter),
            *self.shown(invoice),
        )

    def name(self, found: SearchResult) -> None:
        if found.matter is None:
            self.do(
                "INSERT INTO client VALUES (?, ?)",
                found.client,
                found.client_name,
            )
        else:
            self.do(
                "INSERT INTO matter VALUES (?, ?, ?)",
                *(found.matter, found.client, found.matter_description),
            )

    def seed(
        self, invoices: Sequence[Invoice], directory: Sequence[SearchResult]
    ) -> None:
        for found in directory:
            self.name(found)
        for invoice in invoices:
            self.put(invoice)

    def adapter(self, statements: Statements = STATEMENTS) -> SqlMatterData:
        return SqlMatterData(
            self.source(), statements, currency="USD", amounts=self.amounts
        )


class PostgresFirm(SqliteFirm):
    """The firm on a PostgreSQL server; amounts with four decimals."""

    amounts = AmountsIn.MAJOR
    date, amount = "DATE", "NUMERIC(19, 4)"

    def __init__(self) -> None:
        self.address = shared_server().new_database("practice")
        for each in TABLES:
            self.do(each.format(date=self.date, amount=self.amount))

    def do(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.address) as database:
            database.execute(
                statement.replace("?", "%s").encode(), values or None
            )

    def source(self) -> Source:
        return PostgresSource(self.address, timeout_seconds=1)

    def shown(self, invoice: Invoice) -> tuple[Any, ...]:
        return invoice.issued_on, invoice.due_on, invoice.balance.major


class AlchemyFirm(SqliteFirm):
    """The SQLite file, by way of SQLAlchemy."""

    def source(self) -> Source:
        return SqlAlchemySource(
            sqlalchemy.create_engine(
                f"sqlite:///{self.path}",
                connect_args={"timeout": 0.1},
                poolclass=sqlalchemy.NullPool,
            )
        )


class AlchemyPostgresFirm(PostgresFirm):
    """The server, by way of SQLAlchemy."""

    def source(self) -> Source:
        return SqlAlchemySource(
            sqlalchemy.create_engine(
                "postgresql+psycopg://",
                creator=lambda: psycopg.connect(self.address),
                poolclass=sqlalchemy.NullPool,
            )
        )
