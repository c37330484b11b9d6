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
    "UNSETTLED",
    "Migration",
    "check_schema",
    "migrations_for",
    "needs_adoption",
]

UNFINISHED: Final = (
    "state IN ('announced', 'open', 'pending', 'review', 'waiting')"
)
"""The condition of a partial index; queries repeat it to the letter."""

UNSETTLED: Final = (
    "reverses IS NOT NULL AND status NOT IN ('applied', 'removed')"
)
"""The same for reversals that the ledger does not show yet (B1)."""


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

# A run has a number besides its date, and so have all keys that hold one.
# SQLite changes no key of a table, so there they are made anew.
_NUMBERS_SQLITE: Final = """
CREATE TABLE autopay_runs_3 (
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    state TEXT NOT NULL,
    charge_on TEXT NOT NULL,
    next_try_at INTEGER,
    taken_minor INTEGER,
    taken_currency TEXT,
    alone INTEGER,
    data TEXT NOT NULL,
    PRIMARY KEY (autopay, nominal_on, number)
) STRICT;

INSERT INTO autopay_runs_3
    SELECT autopay, nominal_on, 0, version, state, charge_on, next_try_at,
    taken_minor, taken_currency, alone, data FROM autopay_runs;

DROP TABLE autopay_runs;

ALTER TABLE autopay_runs_3 RENAME TO autopay_runs;

CREATE UNIQUE INDEX autopay_runs_alone
    ON autopay_runs (autopay) WHERE alone = 1;

CREATE TABLE autopay_reservations_3 (
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    invoice TEXT NOT NULL,
    client TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor > 0),
    PRIMARY KEY (autopay, nominal_on, number, invoice)
) STRICT, WITHOUT ROWID;

INSERT INTO autopay_reservations_3
    SELECT autopay, nominal_on, 0, invoice, client, currency, minor
    FROM autopay_reservations;

DROP TABLE autopay_reservations;

ALTER TABLE autopay_reservations_3 RENAME TO autopay_reservations;

CREATE INDEX autopay_reservations_invoice
    ON autopay_reservations (invoice);

CREATE INDEX autopay_reservations_client
    ON autopay_reservations (client);

CREATE TABLE autopay_attempts_3 (
    method TEXT NOT NULL,
    autopay TEXT NOT NULL,
    nominal_on TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    counts INTEGER NOT NULL,
    PRIMARY KEY (method, autopay, nominal_on, number, attempt)
) STRICT, WITHOUT ROWID;

INSERT INTO autopay_attempts_3
    SELECT method, autopay, nominal_on, 0, number, at, minor, currency, 1
    FROM autopay_attempts;

DROP TABLE autopay_attempts;

ALTER TABLE autopay_attempts_3 RENAME TO autopay_attempts;
"""
_NUMBERS_POSTGRES: Final = """
ALTER TABLE autopay_runs ADD COLUMN number bigint NOT NULL DEFAULT 0;

ALTER TABLE autopay_runs ALTER COLUMN number DROP DEFAULT,
    DROP CONSTRAINT autopay_runs_pkey,
    ADD PRIMARY KEY (autopay, nominal_on, number);

ALTER TABLE autopay_reservations ADD COLUMN number bigint NOT NULL DEFAULT 0;

ALTER TABLE autopay_reservations ALTER COLUMN number DROP DEFAULT,
    DROP CONSTRAINT autopay_reservations_pkey,
    ADD PRIMARY KEY (autopay, nominal_on, number, invoice);

ALTER TABLE autopay_attempts RENAME COLUMN number TO attempt;

ALTER TABLE autopay_attempts ADD COLUMN number bigint NOT NULL DEFAULT 0,
    ADD COLUMN counts bigint NOT NULL DEFAULT 1;

ALTER TABLE autopay_attempts ALTER COLUMN number DROP DEFAULT,
    ALTER COLUMN counts DROP DEFAULT,
    DROP CONSTRAINT autopay_attempts_pkey,
    ADD PRIMARY KEY (method, autopay, nominal_on, number, attempt);

DROP INDEX autopay_runs_unfinished;
"""

# A stop order that was in force is a hold, by hand, of the same target.
_HOLD_SQLITE: Final = """json_object(
        'schema', 'hold', 'version', 1, 'data', json_object(
            'id', id, 'level', level, 'subject', subject, 'client', '',
            'reason', reason, 'by', said_by, 'rule', '', 'cause', '',
            'releases', 'a person', 'amount', NULL, 'since', NULL,
            'lifted', json('false'), 'lifted_by', '', 'lifted_second', '',
            'lifted_reason', ''))"""
_HOLD_POSTGRES: Final = """CAST(json_build_object(
        'schema', 'hold', 'version', 1, 'data', json_build_object(
            'id', id, 'level', level, 'subject', subject, 'client', '',
            'reason', reason, 'by', said_by, 'rule', '', 'cause', '',
            'releases', 'a person', 'amount', NULL, 'since', NULL,
            'lifted', FALSE, 'lifted_by', '', 'lifted_second', '',
            'lifted_reason', '')) AS text)"""

_EDITION: Final = f"""
{{numbers}}

CREATE INDEX autopay_runs_unfinished
    ON autopay_runs (autopay, nominal_on, number) WHERE {UNFINISHED};

ALTER TABLE autopay_runs ADD COLUMN reference {{text}};

ALTER TABLE autopay_runs ADD COLUMN account {{text}};

ALTER TABLE autopay_runs ADD COLUMN token {{text}};

CREATE INDEX autopay_runs_reference
    ON autopay_runs (reference, autopay, nominal_on, number)
    WHERE reference IS NOT NULL;

CREATE INDEX autopay_attempts_method
    ON autopay_attempts (method, at) WHERE counts = 1;

ALTER TABLE autopay_postings ADD COLUMN number {{int}} NOT NULL DEFAULT 0;

ALTER TABLE autopay_postings ADD COLUMN moved_at {{int}} NOT NULL DEFAULT 0;

DROP INDEX autopay_postings_run;

CREATE INDEX autopay_postings_run
    ON autopay_postings (autopay, nominal_on, number);

CREATE INDEX autopay_postings_payer ON autopay_postings (payer);

CREATE INDEX autopay_postings_payment
    ON autopay_postings (payment_reference);

CREATE INDEX autopay_postings_charged ON autopay_postings (charged_on);

CREATE INDEX autopay_postings_unsettled
    ON autopay_postings (client) WHERE {UNSETTLED};

DROP TABLE autopay_claims;

CREATE TABLE autopay_claims (
    autopay {{text}} NOT NULL,
    nominal_on {{text}} NOT NULL,
    number {{int}} NOT NULL,
    until_at {{int}} NOT NULL,
    PRIMARY KEY (autopay, nominal_on, number)
){{clustered}};

ALTER TABLE autopay_chains
    ADD COLUMN committed_at {{int}} NOT NULL DEFAULT 0;

UPDATE autopay_chains SET committed_at = COALESCE(
    (SELECT entry.at FROM autopay_history AS entry
    WHERE entry.chain = autopay_chains.chain
    AND entry.seq = autopay_chains.seq), 0);

CREATE TABLE autopay_store (
    place {{int}} NOT NULL PRIMARY KEY CHECK (place = 1),
    id {{text}} NOT NULL,
    salt {{text}} NOT NULL,
    epoch {{int}} NOT NULL,
    holds_version {{int}} NOT NULL,
    trusted {{int}} NOT NULL,
    restored_since {{int}},
    restored_stores {{text}} NOT NULL
){{clustered}};

INSERT INTO autopay_store (place, id, salt, epoch, holds_version, trusted,
    restored_since, restored_stores) VALUES (1, '', '', 0, 0, 0, NULL, '[]');

CREATE TABLE autopay_holds (
    id {{text}} NOT NULL PRIMARY KEY,
    target {{text}} NOT NULL,
    client {{text}},
    active {{int}} NOT NULL,
    data {{text}} NOT NULL
){{clustered}};

CREATE INDEX autopay_holds_target
    ON autopay_holds (target) WHERE active = 1;

CREATE INDEX autopay_holds_client
    ON autopay_holds (client) WHERE active = 1;

CREATE INDEX autopay_holds_active
    ON autopay_holds (id) WHERE active = 1;

INSERT INTO autopay_holds (id, target, client, active, data)
    SELECT id, target, NULL, 1, {{hold}} FROM (
        SELECT 'stop-' || ROW_NUMBER() OVER (ORDER BY target) AS id, target,
        CASE WHEN SUBSTR(target, 1, 8) = 'autopay:'
            THEN 'autopay' ELSE 'method' END AS level,
        CASE WHEN SUBSTR(target, 1, 8) = 'autopay:'
            THEN SUBSTR(target, 9) ELSE SUBSTR(target, 8) END AS subject,
        CASE WHEN reason = '' THEN 'stop order' ELSE reason END AS reason,
        said_by FROM autopay_stops WHERE active = 1) AS stopped;

DROP TABLE autopay_stops;

CREATE TABLE autopay_steps (
    place {{serial}},
    client {{text}} NOT NULL,
    invoice {{text}} NOT NULL,
    posting {{text}} NOT NULL,
    kind {{text}} NOT NULL,
    currency {{text}} NOT NULL,
    minor {{int}} NOT NULL,
    at {{int}} NOT NULL
){{strict}};

CREATE INDEX autopay_steps_client ON autopay_steps (client, at);

CREATE TABLE autopay_expected (
    invoice {{text}} NOT NULL PRIMARY KEY,
    client {{text}} NOT NULL,
    counted_at {{int}},
    revision {{int}} NOT NULL,
    data {{text}} NOT NULL
){{clustered}};

CREATE INDEX autopay_expected_client
    ON autopay_expected (client, counted_at);

CREATE TABLE autopay_distinct (
    first {{text}} NOT NULL,
    second {{text}} NOT NULL,
    said_by {{text}} NOT NULL,
    reason {{text}} NOT NULL,
    revision {{int}} NOT NULL,
    PRIMARY KEY (first, second)
){{clustered}};

CREATE TABLE autopay_told (
    autopay {{text}} NOT NULL,
    topic {{text}} NOT NULL,
    said {{text}} NOT NULL,
    key {{text}} NOT NULL,
    PRIMARY KEY (autopay, topic)
){{clustered}};

CREATE TABLE autopay_incidents (
    cause {{text}} NOT NULL,
    day {{text}} NOT NULL,
    port {{text}} NOT NULL,
    began_at {{int}} NOT NULL,
    over_at {{int}},
    revision {{int}} NOT NULL,
    PRIMARY KEY (cause, day)
){{clustered}};

CREATE INDEX autopay_incidents_going_on
    ON autopay_incidents (cause, day) WHERE over_at IS NULL;

CREATE TABLE autopay_movements (
    id {{text}} NOT NULL PRIMARY KEY,
    state {{text}} NOT NULL,
    run {{text}} NOT NULL,
    data {{text}} NOT NULL,
    revision {{int}} NOT NULL
){{clustered}};

CREATE INDEX autopay_movements_state
    ON autopay_movements (state, id) WHERE state <> 'placed';

CREATE TABLE autopay_keys (
    key {{text}} NOT NULL PRIMARY KEY,
    autopay {{text}} NOT NULL,
    nominal_on {{text}} NOT NULL,
    number {{int}} NOT NULL
){{clustered}};
"""  # noqa: S608 - constants

_SENT: Final = """
CREATE INDEX autopay_attempts_at
    ON autopay_attempts (at, autopay, nominal_on, number);
"""

# Columns that are new are left out of what the history has of rows that were
# written before: see `proofs.LATER`. Attempts have their payer for ceilings
# (H4).
_BATCHES: Final = """
CREATE TABLE autopay_batches (
    id {text} NOT NULL PRIMARY KEY,
    state {text} NOT NULL,
    data {text} NOT NULL,
    revision {int} NOT NULL
){strict};

CREATE INDEX autopay_batches_state
    ON autopay_batches (state, id) WHERE state <> 'answered';

CREATE TABLE autopay_batch_lines (
    batch {text} NOT NULL,
    posting {text} NOT NULL,
    is_open {int} NOT NULL,
    revision {int} NOT NULL,
    PRIMARY KEY (batch, posting)
){clustered};

CREATE UNIQUE INDEX autopay_batch_lines_open
    ON autopay_batch_lines (posting) WHERE is_open = 1;

CREATE INDEX autopay_batch_lines_posting
    ON autopay_batch_lines (posting, batch);

ALTER TABLE autopay_postings ADD COLUMN posted_on {text};

ALTER TABLE autopay_postings
    ADD COLUMN ledger_number {text} NOT NULL DEFAULT '';

ALTER TABLE autopay_postings ADD COLUMN made_at {int} NOT NULL DEFAULT 0;

CREATE INDEX autopay_postings_matter ON autopay_postings (matter);

CREATE INDEX autopay_postings_amount ON autopay_postings (currency, minor);

CREATE INDEX autopay_postings_made ON autopay_postings (made_at, id);

ALTER TABLE autopay_attempts ADD COLUMN payer {text} NOT NULL DEFAULT '';

CREATE INDEX autopay_attempts_payer ON autopay_attempts (payer, at);

DROP INDEX autopay_postings_charged;

CREATE INDEX autopay_postings_charged ON autopay_postings (charged_on, id);

CREATE INDEX autopay_postings_totals
    ON autopay_postings (status, currency, minor);
"""

_EDITION_NUMBER: Final = 3
MIGRATIONS: Final = (
    ("tables", _TABLES + "\n" + _CHAINS),
    ("indexes", _INDEXES),
    ("second edition", _EDITION),
    ("sent", _SENT),
    ("batches", _BATCHES),
)
"""Name and text of every migration, with the words that differ in braces."""

SQLITE_WORDS: Final = {
    "text": "TEXT",
    "int": "INTEGER",
    "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "strict": " STRICT",
    "clustered": " STRICT, WITHOUT ROWID",
    "numbers": _NUMBERS_SQLITE,
    "hold": _HOLD_SQLITE,
}
POSTGRES_WORDS: Final = {
    # In the order of code points, as Python and SQLite compare.
    "text": 'text COLLATE "C"',
    "int": "bigint",
    "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "strict": "",
    "clustered": "",
    "numbers": _NUMBERS_POSTGRES,
    "hold": _HOLD_POSTGRES,
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


def needs_adoption(made: Sequence[Migration], /) -> bool:
    """Tell whether a store is to be adopted after some migrations."""
    return any(each.number == _EDITION_NUMBER for each in made)


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
