"""
How rows are proven by the history, and read to be compared with it (T2).

Holds: `Proof`, functions that make proofs of rows, and `SqlProofs`, which
reads every row there is. Imports: `engine.driving`, `history`, `methods`,
`rows`, `runs`, `serialization`, `words`. A proof covers every column of a row
but those in `LEFT_OUT`. When rows are read to be compared, the columns are
those of the schema: one that nobody writes a proof of is not passed over, it
differs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple

from autopay_core.adapters.sql.methods import Listing, listing
from autopay_core.adapters.sql.rows import (
    ATTEMPT_KEYS,
    ATTEMPTS,
    BATCH_LINES,
    BATCHES,
    CLIENTS,
    DISTINCT,
    EXPECTED,
    HOLDS,
    INCIDENTS,
    MOVEMENTS,
    NOTICES,
    POSTINGS,
    RESERVATIONS,
    STEPS,
    TOLD,
    with_token,
)
from autopay_core.adapters.sql.words import Ask, Calls, Dialect, Read, Row
from autopay_core.engine.driving import Given
from autopay_core.errors import AutopayError, InvalidValueError
from autopay_core.history import ProvenRow, digest
from autopay_core.runs import RunRecord, RunState
from autopay_core.serialization import loads

__all__ = [
    "CHAINS",
    "DELIVERED",
    "GROUPED",
    "KEYS",
    "PROVEN",
    "RUNS",
    "STORE",
    "Proof",
    "SqlProofs",
    "columns_of",
    "group_digest",
    "grouped_rows",
    "key_of_row",
    "page_of",
    "proven_rows",
    "row_digest",
]

_PAGE: Final = 500

RUNS: Final = "autopay_runs"
STORE: Final = "autopay_store"
CHAINS: Final = "autopay_chains"

KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        RUNS: ("autopay", "nominal_on", "number"),
        RESERVATIONS.name: ("autopay", "nominal_on", "number", "invoice"),
        ATTEMPTS.name: (
            "method",
            "autopay",
            "nominal_on",
            "number",
            "attempt",
        ),
        POSTINGS.name: ("id",),
        CLIENTS.name: ("client",),
        STEPS.name: ("place",),
        NOTICES.name: ("place",),
        HOLDS.name: ("id",),
        EXPECTED.name: ("invoice",),
        DISTINCT.name: ("first", "second"),
        TOLD.name: ("autopay", "topic"),
        INCIDENTS.name: ("cause", "day"),
        MOVEMENTS.name: ("id",),
        BATCHES.name: ("id",),
        BATCH_LINES.name: ("batch", "posting"),
        ATTEMPT_KEYS.name: ("key",),
        STORE: ("place",),
        CHAINS: ("chain",),
    }
)
"""By table that is proven: its key, in whose order it is read."""

LEFT_OUT: Final = MappingProxyType(
    {
        # A record is proven by its method's fingerprint (T3).
        RUNS: frozenset({"token"}),
        # The order of arrival is the database's.
        STEPS.name: frozenset({"place"}),
        NOTICES.name: frozenset({"place", "is_delivered"}),
    }
)
"""What no proof covers: what proves nothing, or is proven by itself."""

LATER: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        ATTEMPTS.name: MappingProxyType({"payer": ""}),
        POSTINGS.name: MappingProxyType(
            {"posted_on": None, "ledger_number": "", "made_at": 0}
        ),
    }
)
"""
Columns that a table was given later, and what stands there of rows of before.

A proof covers them where anything else stands, so that what was proven before
they were there stays proven, and whatever is changed shows.
"""

DELIVERED: Final = "delivered"
"""Under this name it is proven that a notice was."""

PROVEN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{
            table: key
            for table, key in KEYS.items()
            if table
            not in {
                CLIENTS.name,
                STEPS.name,
                RESERVATIONS.name,
                CHAINS,
            }
        },
        NOTICES.name: ("key",),
    }
)
"""Tables whose rows are proven one by one, and their keys."""

GROUPED: Final = RESERVATIONS.name
"""All the rows of a run are proven as one."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Proof(NamedTuple):
    """
    What an entry says of a row that its commit wrote.

    Attributes:
        table: The row's table.
        key: Its key as text.
        digest: Of its columns; None if it is there no longer.
        autopay: The auto-pay in whose chain it is told, if any.
        stamp: Orders what entries of several chains say of one row.

    """

    table: str
    key: str
    digest: str | None
    autopay: str | None = None
    stamp: int = 0


@cache
def _order(
    table: str, names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the proven columns in order, and where they stand in a row."""
    kept = sorted(set(names) - LEFT_OUT.get(table, frozenset()))
    return tuple(kept), tuple(names.index(each) for each in kept)


def row_digest(table: str, names: tuple[str, ...], row: Row) -> str:
    """Return what stands for every column of a row."""
    kept, places = _order(table, names)
    values = [row[place] for place in places]
    if table in LATER:
        later = LATER[table]
        filled = [
            (name, value)
            for name, value in zip(kept, values, strict=True)
            if name not in later or value != later[name]
        ]
        return digest(
            _encode(
                [[name for name, _ in filled], [value for _, value in filled]]
            )
        )
    return digest(_encode([kept, values]))


def group_digest(digests: Iterable[str]) -> str:
    """Return what stands for several rows, in the order of their keys."""
    return digest("".join(digests))


def key_of_row(parts: Iterable[object]) -> str:
    """Return a key as text; no part can hold what parts them."""
    return "\x1f".join(map(str, parts))


def columns_of(dialect: Dialect, table: str) -> Ask:
    """Ask for the names of a table's columns."""
    return Ask(dialect.columns, (table,))


def page_of(table: str, names: Sequence[str], after: Sequence[object]) -> Ask:
    """Ask for the next rows of a table, whole, in the order of its key."""
    key = ", ".join(KEYS[table])
    marks = ", ".join("?" * len(KEYS[table]))
    where = f"WHERE ({key}) > ({marks}) " if after else ""
    return Ask(
        f"SELECT {', '.join(names)} FROM {table} {where}"  # noqa: S608 - constants
        f"ORDER BY {key} LIMIT {_PAGE}",
        tuple(after),
    )


def proven_rows(
    table: str, names: tuple[str, ...], rows: Iterable[Row]
) -> Iterator[ProvenRow]:
    """Return what is to be compared of some rows of a table."""
    keys = [names.index(each) for each in KEYS[table]]
    for row in rows:
        key = key_of_row(row[place] for place in keys)
        if table == CLIENTS.name:
            version: int = row[names.index("version")]
            yield ProvenRow(table=table, key=key, count=version)
        elif table == STEPS.name:
            yield ProvenRow(
                table=table, key=row_digest(table, names, row), count=1
            )
        elif table == NOTICES.name:
            key = row[names.index("key")]
            yield ProvenRow(
                table=table, key=key, digest=row_digest(table, names, row)
            )
            delivered: int = row[names.index("is_delivered")]
            if delivered:
                yield ProvenRow(
                    table=DELIVERED, key=key, digest=str(delivered)
                )
        elif table == CHAINS:
            committed: int = row[names.index("committed_at")]
            yield ProvenRow(table=table, key=key, digest=str(committed))
        elif table == RUNS and not _fits_token(names, row):
            yield ProvenRow(table=table, key=key, digest="another token")
        else:
            yield ProvenRow(
                table=table, key=key, digest=row_digest(table, names, row)
            )


_FINISHED: Final = frozenset(
    each.value for each in RunState if each.is_finished
)


def _fits_token(names: tuple[str, ...], row: Row) -> bool:
    """
    Tell whether a run's token is the one that its record is made with (T3).

    No digest covers it: the record's fingerprint, which one does, proves it.
    """
    columns = dict(zip(names, row, strict=True))
    token: str | None = columns["token"]
    if token is None and columns["state"] in _FINISHED:
        return True
    try:
        record = loads(columns["data"], RunRecord)
    except AutopayError:
        return True  # It differs, or is of a newer version.
    try:
        with_token(record, token)
    except InvalidValueError:
        return False
    return True


class SqlProofs:
    """What an SQL store shows of its rows."""

    _dialect: Dialect

    @listing(ProvenRow)
    def rows(self) -> Listing:
        """Read a digest of every row, as it stands (T2)."""
        for table in KEYS:
            names = yield from _names(self._dialect, table)
            after: Sequence[object] = ()
            held: list[Row] = []
            while page := (yield from _page(table, names, after)):
                last = dict(zip(names, page[-1], strict=True))
                after = [last[each] for each in KEYS[table]]
                if table == GROUPED:
                    held.extend(page)
                    # The last run's may go on in the next page.
                    whole, held = _split(names, held)
                    found = grouped_rows(names, whole)
                else:
                    found = proven_rows(table, names, page)
                for each in found:
                    yield Given(each)
            for each in grouped_rows(names, held):
                yield Given(each)


def _run_of(names: tuple[str, ...], row: Row) -> str:
    return key_of_row(row[names.index(each)] for each in KEYS[RUNS])


def _split(
    names: tuple[str, ...], rows: list[Row]
) -> tuple[list[Row], list[Row]]:
    """Part the rows of the last run from those before it."""
    last = _run_of(names, rows[-1])
    first = next(
        place for place, row in enumerate(rows) if _run_of(names, row) == last
    )
    return rows[:first], rows[first:]


def grouped_rows(
    names: tuple[str, ...], rows: Iterable[Row]
) -> Iterator[ProvenRow]:
    """Return what is to be compared of runs' rows, in the order of keys."""
    for key, group in itertools.groupby(rows, partial(_run_of, names)):
        digests = [row_digest(GROUPED, names, row) for row in group]
        yield ProvenRow(table=GROUPED, key=key, digest=group_digest(digests))


def _names(dialect: Dialect, table: str) -> Calls[tuple[str, ...]]:
    (rows,) = yield Read([columns_of(dialect, table)])
    return tuple(name for (name,) in rows)


def _page(
    table: str, names: Sequence[str], after: Sequence[object]
) -> Calls[list[Row]]:
    rows: list[Row]
    (rows,) = yield Read([page_of(table, names, after)])
    return rows
