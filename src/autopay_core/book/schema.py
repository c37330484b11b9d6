"""
The tables of the book in SQL, and how they came about.

Holds: `migrations_for` the book, and the tables' columns. Imports:
`adapters.sql.schema`, `adapters.sql.words`. They have migrations and a table
of their own for what was made, so that the book may lie in the posting
store's database, or elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autopay_core.adapters.sql.schema import Migration
from autopay_core.adapters.sql.words import Table

__all__ = ["ENTRIES", "MADE", "MIGRATIONS", "VERSIONS", "migrations_for"]

MADE: Final = "autopay_book_schema"
"""The table that says which migrations were made."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS autopay_book_schema (
    number {int} NOT NULL PRIMARY KEY,
    name {text} NOT NULL
){clustered};

CREATE TABLE autopay_book_entries (
    kind {text} NOT NULL,
    id {text} NOT NULL,
    payer {text} NOT NULL,
    next_on {text},
    number {int} NOT NULL CHECK (number >= 1),
    PRIMARY KEY (kind, id)
){clustered};

CREATE INDEX autopay_book_entries_due
    ON autopay_book_entries (next_on, id) WHERE next_on IS NOT NULL;

CREATE INDEX autopay_book_entries_payer
    ON autopay_book_entries (payer, id) WHERE next_on IS NOT NULL;

CREATE TABLE autopay_book_versions (
    kind {text} NOT NULL,
    id {text} NOT NULL,
    command {text} NOT NULL,
    said_by {text} NOT NULL,
    reason {text} NOT NULL,
    data {text} NOT NULL,
    left_data {text} NOT NULL,
    number {int} NOT NULL CHECK (number >= 1),
    at {int} NOT NULL,
    PRIMARY KEY (kind, id, number)
){strict};
"""

MIGRATIONS: Final = (("book", _TABLES),)
"""Name and text of every migration, with the words that differ in braces."""

ENTRIES: Final = Table(
    "autopay_book_entries", ("kind", "id", "payer", "next_on"), ("number",)
)
VERSIONS: Final = Table(
    "autopay_book_versions",
    ("kind", "id", "command", "said_by", "reason", "data", "left_data"),
    ("number", "at"),
)


def migrations_for(words: Mapping[str, str], /) -> tuple[Migration, ...]:
    """Return the migrations in the words of one database."""
    return tuple(
        Migration(
            number=number,
            name=name,
            sql=(
                f"{text}\nINSERT INTO {MADE} (number, name) "
                f"VALUES ({number}, '{name}');\n"
            ).format(**words),
        )
        for number, (name, text) in enumerate(MIGRATIONS, start=1)
    )
