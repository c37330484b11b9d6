"""
The tables of the SQL stores, and how they came about.

Holds: `Migration`, the numbered migrations for both databases, and the words
in which the two differ. Imports: `errors` and `history`. One schema serves
both: dates and enums are text, instants are microseconds since
1970 in UTC, amounts are minor units. Names begin with ``autopay_``, so that
the tables may live beside a host's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import attrs

from autopay_core.errors import UnsafeStoreError
from autopay_core.history import CHAINS, first_hash

__all__ = [
    "MIGRATIONS",
    "POSTGRES_WORDS",
    "SQLITE_WORDS",
    "UNFINISHED",
    "Migration",
    "check_schema",
    "migrations_for",
]

UNFINISHED: Final = (
    "state IN ('announced', 'open', 'pending', 'review', 'waiting')"
)
"""The condition of a partial index; queries repeat it to the letter."""


@final
@attrs.frozen(kw_only=True)
class Migration:
    """
    One numbered step of the schema, for hosts that run their own tool.

    Attributes:
        number: From 1, without gaps; `autopay_schema` has a row for each one
            that was made.
        name: What it does.
        sql: Statements, each ended by a semicolon at the end of a line. The
            row in `autopay_schema` is the last of them.

    """

    number: int
    name: str
    sql: str

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements one by one."""
        return tuple(
            each.strip() for each in self.sql.split(";\n") if each.strip()
        )


SCHEMA_TABLE: Final = """
CREATE TABLE IF NOT EXISTS autopay_schema (
    number {int} NOT NULL PRIMARY KEY,
    name {text} NOT NULL
){clustered};
"""

_TABLES: Final = """
CREATE TABLE autopay_runs (
    autopay {text} NOT NULL,
    nominal_on {text} NOT NULL,
    version {int} NOT NULL CHECK (version >= 1),
    state {text} NOT NULL,
    charge_on {text} NOT NULL,
    next_try_at {int},
    taken_minor {int},
    taken_currency {text},
    alone {int},
    data {text} NOT NULL,
    PRIMARY KEY (autopay, nominal_on)
){strict};

CREATE TABLE autopay_reservations (
    autopay {text} NOT NULL,
    nominal_on {text} NOT NULL,
    invoice {text} NOT NULL,
    client {text} NOT NULL,
    currency {text} NOT NULL,
    minor {int} NOT NULL CHECK (minor > 0),
    PRIMARY KEY (autopay, nominal_on, invoice)
){clustered};

CREATE TABLE autopay_attempts (
    method {text} NOT NULL,
    autopay {text} NOT NULL,
    nominal_on {text} NOT NULL,
    number {int} NOT NULL,
    at {int} NOT NULL,
    minor {int} NOT NULL,
    currency {text} NOT NULL,
    PRIMARY KEY (method, autopay, nominal_on, number)
){clustered};

CREATE TABLE autopay_postings (
    id {text} NOT NULL PRIMARY KEY,
    autopay {text} NOT NULL,
    nominal_on {text} NOT NULL,
    payer {text} NOT NULL,
    client {text} NOT NULL,
    matter {text} NOT NULL,
    invoice {text} NOT NULL,
    minor {int} NOT NULL CHECK (minor <> 0),
    currency {text} NOT NULL,
    charged_on {text} NOT NULL,
    payment_reference {text} NOT NULL,
    account {text} NOT NULL,
    account_kind {text} NOT NULL,
    ar_message {text} NOT NULL,
    reverses {text},
    status {text} NOT NULL,
    note {text} NOT NULL,
    is_open {int} NOT NULL
){strict};

CREATE TABLE autopay_clients (
    client {text} NOT NULL PRIMARY KEY,
    version {int} NOT NULL
){clustered};

CREATE TABLE autopay_notices (
    place {serial},
    key {text} NOT NULL UNIQUE,
    is_delivered {int} NOT NULL,
    data {text} NOT NULL
){strict};

CREATE TABLE autopay_stops (
    target {text} NOT NULL PRIMARY KEY,
    active {int} NOT NULL,
    said_by {text} NOT NULL,
    reason {text} NOT NULL
){clustered};

CREATE TABLE autopay_claims (
    autopay {text} NOT NULL,
    nominal_on {text} NOT NULL,
    until_at {int} NOT NULL,
    PRIMARY KEY (autopay, nominal_on)
){clustered};

CREATE TABLE autopay_chains (
    chain {int} NOT NULL PRIMARY KEY,
    seq {int} NOT NULL,
    hash {text} NOT NULL,
    at {int} NOT NULL
){clustered};

CREATE TABLE autopay_history (
    chain {int} NOT NULL,
    seq {int} NOT NULL,
    at {int} NOT NULL,
    transition {text} NOT NULL,
    body {text} NOT NULL,
    hash {text} NOT NULL,
    PRIMARY KEY (chain, seq)
){clustered};
"""

_CHAINS: Final = "".join(
    "INSERT INTO autopay_chains (chain, seq, hash, at) "  # noqa: S608 - constants
    f"VALUES ({chain}, 0, '{first_hash(chain)}', 0);\n"
    for chain in range(CHAINS)
)

_INDEXES: Final = f"""
CREATE UNIQUE INDEX autopay_runs_alone
    ON autopay_runs (autopay) WHERE alone = 1;

CREATE INDEX autopay_runs_unfinished
    ON autopay_runs (autopay, nominal_on) WHERE {UNFINISHED};

CREATE INDEX autopay_reservations_invoice
    ON autopay_reservations (invoice);

CREATE INDEX autopay_reservations_client
    ON autopay_reservations (client);

CREATE INDEX autopay_postings_run
    ON autopay_postings (autopay, nominal_on);

CREATE INDEX autopay_postings_invoice
    ON autopay_postings (invoice);

CREATE INDEX autopay_postings_client
    ON autopay_postings (client, is_open);

CREATE INDEX autopay_postings_status
    ON autopay_postings (status, id) WHERE status <> 'applied';

CREATE INDEX autopay_notices_undelivered
    ON autopay_notices (place) WHERE is_delivered = 0;
"""

MIGRATIONS: Final = (
    ("tables", _TABLES + "\n" + _CHAINS),
    ("indexes", _INDEXES),
)
"""Name and text of every migration, with the words that differ in braces."""

SQLITE_WORDS: Final = {
    "text": "TEXT",
    "int": "INTEGER",
    "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "strict": " STRICT",
    "clustered": " STRICT, WITHOUT ROWID",
}
POSTGRES_WORDS: Final = {
    # In the order of code points, as Python and SQLite compare.
    "text": 'text COLLATE "C"',
    "int": "bigint",
    "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "strict": "",
    "clustered": "",
}


def migrations_for(
    words: Mapping[str, str],
    texts: Sequence[tuple[str, str]] = MIGRATIONS,
    /,
) -> tuple[Migration, ...]:
    """Return the migrations in the words of one database."""
    made: list[Migration] = []
    for number, (name, text) in enumerate(texts, start=1):
        note = (
            "INSERT INTO autopay_schema (number, name) "  # noqa: S608 - constants
            f"VALUES ({number}, '{name}');\n"
        )
        whole = (SCHEMA_TABLE if number == 1 else "") + text + "\n" + note
        made.append(
            Migration(number=number, name=name, sql=whole.format(**words))
        )
    return tuple(made)


def check_schema(
    known: Sequence[Migration], made: Sequence[int], /, *, may_change: bool
) -> Sequence[Migration]:
    """
    Return the migrations that are missing.

    Raises:
        UnsafeStoreError: The schema is newer than this library
            (``SchemaNewer``), has a gap (``SchemaUnknown``), or is older and
            may not be changed (``SchemaOlder``).

    """
    if made and max(made) > len(known):
        raise UnsafeStoreError(
            f"the schema has version {max(made)}, and this autopay_core "
            f"knows {len(known)}; update it, and write nothing until then",
            code="SchemaNewer",
        )
    if list(made) != list(range(1, len(made) + 1)):
        raise UnsafeStoreError(
            "autopay_schema has gaps; restore it", code="SchemaUnknown"
        )
    missing = known[len(made) :]
    if missing and not may_change:
        raise UnsafeStoreError(
            f"the schema has version {len(made)} of {len(known)}; run the "
            "migrations first",
            code="SchemaOlder",
        )
    return missing
