"""
How PostgreSQL is told what the stores' words mean.

Holds: `statements_of`, which makes few statements of a batch, `statement`,
`settings` and `DIALECT`. Imports: `words`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple, cast

from autopay_core.adapters.sql.words import (
    Ask,
    Batch,
    Dialect,
    Insert,
    Row,
    Table,
    lock_number,
)

__all__ = ["DIALECT", "locks", "settings", "statement", "statements_of"]

_PARTS_MOST: Final = 4
"""So many writes go in one statement: psycopg forgets longer ones."""


@cache
def _native(sql: str) -> bytes:
    """Say a shared statement in PostgreSQL's and psycopg's words."""
    sql = sql.replace("{lock}", " FOR UPDATE")
    sql = sql.replace("IN ??", "= ANY(?)")
    # An array is looked up one by one; a subquery may become a join that
    # reads the other table whole.
    sql = sql.replace(
        "IN {numbers}", "= ANY(ARRAY(SELECT invoice FROM numbers))"
    )
    return sql.replace("?", "%s").encode()


@cache
def _insertion(table: Table, *, has_one_row: bool) -> bytes:
    """Fill a table from one array for each column: one statement, any rows."""
    if has_one_row:
        rows = f"VALUES ({', '.join('%s' for _ in table.columns)})"
    else:
        text = ["%s::text[]"] * len(table.text)
        numbers = ["%s::bigint[]"] * len(table.numbers)
        rows = f"SELECT * FROM unnest({', '.join([*text, *numbers])})"  # noqa: S608 - constants
    return (
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) "
        f"{rows} {table.conflict}"
    ).encode()


def _array(values: Sequence[Any]) -> str:
    """
    Write an array as PostgreSQL reads it.

    psycopg looks at every element for its type and takes ten times as long.
    """
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _value(value: object) -> object:
    return _array(cast("list[Any]", value)) if _is_list(value) else value


def _is_list(value: object) -> bool:
    return type(value) is list


def statement(each: Ask | Insert) -> tuple[bytes, Sequence[Any]]:
    """Return the text and the values of one statement."""
    if isinstance(each, Insert):
        if len(each.rows) == 1:
            return _insertion(each.table, has_one_row=True), each.rows[0]
        columns = list(map(_array, zip(*each.rows, strict=True)))
        return _insertion(each.table, has_one_row=False), columns
    return _native(each.sql), list(map(_value, each.values))


class _Sent(NamedTuple):
    """What goes to the server as one statement, and how it is answered."""

    sql: bytes
    values: Sequence[Any]
    answers: Callable[[Sequence[Row]], list[list[Row]]]


def statements_of(batch: Batch) -> Iterator[_Sent]:
    """
    Join what a batch reads into one statement, and what it writes.

    A statement costs as much as what it does here. Writes are joined as long
    as no table comes twice, for their order is the server's.
    """
    for role, group in itertools.groupby(batch, _role):
        if role is _Role.ALONE:
            for each in group:
                yield _Sent(*statement(each), _one_answer)
        elif role is _Role.READS:
            yield _joined(list(group), _join_reads, _read_answers)
        else:
            for part in _by_tables(group):
                yield _joined(part, _join_writes, _write_answers)


class _Role(Enum):
    READS = "reads"
    WRITES = "writes"
    ALONE = "alone"


def _role(each: Ask | Insert) -> _Role:
    if isinstance(each, Insert):
        return _Role.WRITES
    word = each.sql.partition(" ")[0]
    if each.sql.startswith((_LOCK, _SETTING)) or word not in _ROLES:
        return _Role.ALONE
    return _ROLES[word]


_ROLES: Final = {
    "SELECT": _Role.READS,
    "WITH": _Role.READS,
    "INSERT": _Role.WRITES,
    "UPDATE": _Role.WRITES,
    "DELETE": _Role.WRITES,
}


def _by_tables(group: Iterable[Ask | Insert]) -> Iterator[list[Ask | Insert]]:
    part: list[Ask | Insert] = []
    tables: set[str] = set()
    for each in group:
        if isinstance(each, Insert):
            table = each.table.name
        else:
            table = next(
                word for word in each.sql.split() if word.startswith("autopay")
            )
        if table in tables or len(tables) == _PARTS_MOST:
            yield part
            part, tables = [], set()
        part.append(each)
        tables.add(table)
    yield part


def _joined(
    group: Sequence[Ask | Insert],
    join: Callable[[tuple[bytes, ...]], bytes],
    answers: Callable[[Sequence[Row]], list[list[Row]]],
) -> _Sent:
    statements = [statement(each) for each in group]
    return _Sent(
        join(tuple(sql for sql, _ in statements)),
        [value for _, values in statements for value in values],
        answers,
    )


@cache
def _join_reads(parts: tuple[bytes, ...]) -> bytes:
    """Read everything at one moment, each part as a list of rows."""
    return b"SELECT " + b", ".join(
        b"(SELECT json_agg(part) FROM (%b) AS part)" % part for part in parts
    )


@cache
def _join_writes(parts: tuple[bytes, ...]) -> bytes:
    """Write everything, and count the rows of what returns some."""
    tables = [
        b"part_%d AS (%b)" % (place, part) for place, part in enumerate(parts)
    ]
    counts = [
        b"(SELECT COUNT(*) FROM part_%d)" % place
        if b"RETURNING" in part
        else b"0"
        for place, part in enumerate(parts)
    ]
    return b"WITH %b SELECT %b" % (b", ".join(tables), b", ".join(counts))


def _one_answer(rows: Sequence[Row]) -> list[list[Row]]:
    return [list(rows)]


def _read_answers(rows: Sequence[Row]) -> list[list[Row]]:
    return [
        [tuple(each.values()) for each in found or ()] for found in rows[0]
    ]


def _write_answers(rows: Sequence[Row]) -> list[list[Row]]:
    return [[()] * count for count in rows[0]]


_SETTING: Final = "SELECT /* settings */"
_LOCK: Final = (
    "SELECT CASE WHEN is_shared "
    "THEN pg_advisory_xact_lock_shared(name)::text "
    "ELSE pg_advisory_xact_lock(name)::text END "
    "FROM unnest(?::bigint[], ?::boolean[]) AS wanted (name, is_shared)"
)


def locks(names: Mapping[str, bool]) -> Sequence[Ask]:
    """Lock names in the order given: an array is read from its start."""
    return (Ask(_LOCK, (list(map(lock_number, names)), list(names.values()))),)


_CLOCK: Final = (
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
)
DIALECT: Final = Dialect(
    clock=_CLOCK,
    locks=locks,
    absence_is_proof=True,
    columns=(
        "SELECT attname AS name FROM pg_catalog.pg_attribute "
        "WHERE attrelid = CAST(? AS regclass) AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum"
    ),
)


def settings(
    lock_seconds: float, statement_seconds: float, *, for_one_transaction: bool
) -> Ask:
    """
    Set how long to wait, and that plans do not depend on statistics.

    Every statement has its index. A new table's statistics would have it read
    whole until they are renewed; and planning anew, or compiling, costs more
    than running.
    """
    wanted = {
        "lock_timeout": str(int(lock_seconds * 1000)),
        "statement_timeout": str(int(statement_seconds * 1000)),
        "plan_cache_mode": "force_generic_plan",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "jit": "off",
    }
    calls = ", ".join(["set_config(?, ?, ?)"] * len(wanted))
    values = [
        value
        for name, setting in wanted.items()
        for value in (name, setting, for_one_transaction)
    ]
    return Ask(f"{_SETTING} {calls}", tuple(values))
