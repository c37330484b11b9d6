"""
What a store needs once, after it was made or migrated, that SQL cannot say.

Holds: `adopt`. Imports: the values, `serialization`, `history`, `proofs`,
`words`, `rows`. The migrations are texts, so that hosts may run them with a
tool of their own; the first process that uses the store afterwards does the
rest, and a store that migrates by itself does it in the same transaction. The
store gets its own random id (PS-16), columns of runs of before get what
follows from the runs, and a checkpoint in the history says what stood (T2).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from autopay_core.adapters.sql.proofs import (
    CHAINS,
    GROUPED,
    KEYS,
    RUNS,
    columns_of,
    grouped_rows,
    page_of,
    proven_rows,
)
from autopay_core.adapters.sql.rows import (
    ATTEMPT_KEYS,
    HISTORY,
    attempt_rows,
    key_row,
    keys_of,
    run_row,
)
from autopay_core.adapters.sql.words import Ask, Dialect, Insert, Row, Steps
from autopay_core.errors import AutopayError
from autopay_core.history import ProvenRow, entry_hash
from autopay_core.runs import RunRecord
from autopay_core.serialization import loads

__all__ = ["adopt"]

_PUT_RUN: Final = (
    "UPDATE autopay_runs SET taken_minor = ?, reference = ?, account = ? "
    "WHERE autopay = ? AND nominal_on = ? AND number = ?"
)
_PUT_ATTEMPT: Final = (
    "UPDATE autopay_attempts SET counts = ? WHERE method = ? "
    "AND autopay = ? AND nominal_on = ? AND number = ? AND attempt = ?"
)
_ASK_HEAD: Final = "SELECT seq, hash FROM autopay_chains WHERE chain = 0"
_PUT_HEAD: Final = (
    # It is no commit: nobody asked for it.
    "UPDATE autopay_chains SET seq = ?, hash = ?, at = ? WHERE chain = 0"
)
_CHAIN: Final = 0
"""It is verified first, so what it says of before comes before all else."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def adopt(dialect: Dialect, locks: Sequence[Ask], clock: Ask) -> Steps[None]:
    """
    Fill columns that are new, name the store, and write a checkpoint.

    Once in a store's life; nothing if another process was faster.

    Args:
        dialect: How the database differs.
        locks: What keeps every other writer away meanwhile.
        clock: Asks for the time, and the mark that was kept.

    """
    *_, ((name,),), ((now, kept, _),), ((seq, head),) = yield [
        *locks,
        Ask("SELECT id FROM autopay_store"),
        clock,
        Ask(_ASK_HEAD),
    ]
    if name:
        return
    names = yield from _names(dialect, RUNS)
    data = names.index("data")
    after: Sequence[object] = ()
    while page := (yield [page_of(RUNS, names, after)])[0]:
        after = _key(RUNS, names, page[-1])
        if changes := [
            each for row in page for each in _changes_of(row[data])
        ]:
            yield changes
    yield [
        Ask(
            "UPDATE autopay_store SET id = ?, salt = ? WHERE place = 1",
            (secrets.token_hex(16), secrets.token_hex(16)),
        )
    ]
    at = max(now, kept)
    # The entries themselves tell when a chain's last one was made.
    for table in [each for each in KEYS if each != CHAINS]:
        names = yield from _names(dialect, table)
        after = ()
        kept_back: list[Row] = []
        while page := (yield [page_of(table, names, after)])[0]:
            after = _key(table, names, page[-1])
            if table == GROUPED:
                # A run's rows are proven as one, however many pages they
                # fill.
                kept_back.extend(page)
                continue
            body = _said(proven_rows(table, names, page))
            seq, head, writes = _entry(seq, head, at, body)
            yield writes
        if kept_back:
            body = _said(grouped_rows(names, kept_back))
            seq, head, writes = _entry(seq, head, at, body)
            yield writes


def _names(dialect: Dialect, table: str) -> Steps[tuple[str, ...]]:
    (rows,) = yield [columns_of(dialect, table)]
    return tuple(name for (name,) in rows)


def _key(table: str, names: tuple[str, ...], row: Row) -> list[object]:
    return [row[names.index(each)] for each in KEYS[table]]


def _entry(
    seq: int, head: str, at: int, body: str
) -> tuple[int, str, list[Ask | Insert]]:
    """Return the next place, its hash, and the statements that write it."""
    seq += 1
    transition = secrets.token_hex(16)
    hashed = entry_hash(head, _CHAIN, seq, at, transition, body)
    return (
        seq,
        hashed,
        [
            Insert(HISTORY, [(transition, body, hashed, _CHAIN, seq, at)]),
            Ask(_PUT_HEAD, (seq, hashed, at)),
        ],
    )


def _said(rows: Iterable[ProvenRow]) -> str:
    """Return the body of an entry that says what stands."""
    proven: dict[str, list[list[object]]] = {}
    counts: dict[str, dict[str, int]] = {}
    for each in rows:
        if each.digest:
            proven.setdefault(each.table, []).append([each.key, each.digest])
        else:
            of_table = counts.setdefault(each.table, {})
            of_table[each.key] = of_table.get(each.key, 0) + each.count
    return _encode({"checkpoint": True, "rows": proven, "counts": counts})


def _changes_of(data: str) -> Iterator[Ask | Insert]:
    """Return what is to be written of one run's columns."""
    try:
        record = loads(data, RunRecord)
    except AutopayError:
        # Its attempts count, which can only send less (PS-22).
        return
    _, _, _, _, taken, _, reference, account = run_row(record)
    if reference is not None:
        key = key_row(record.key)
        yield Ask(_PUT_RUN, (taken, reference, account, *key))
    if keys := keys_of(record):
        yield Insert(ATTEMPT_KEYS, keys)
    for row in attempt_rows(record):
        method, autopay, on, _, _, number, attempt, *_, counts = row
        if not counts:
            yield Ask(
                _PUT_ATTEMPT,
                (counts, method, autopay, on, number, attempt),
            )
