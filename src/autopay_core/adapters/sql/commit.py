"""
How the SQL stores commit a change.

Holds: `SqlCommits`. Imports: the values, `serialization`, `history`, `words`,
`rows`, `schema`, `methods`, `reads`. A commit is two batches inside one
transaction. The first takes locks (on PostgreSQL; SQLite has one writer
anyway) and reads all that the change is conditional on. If that holds, the
second writes, and the history's entry is part of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from autopay_core.adapters.sql.methods import call
from autopay_core.adapters.sql.reads import (
    ASK_STOPS,
    ASK_VERSIONS,
    SqlReads,
)
from autopay_core.adapters.sql.rows import (
    ATTEMPTS,
    CLIENTS,
    HISTORY,
    NOTICES,
    POSTING_COLUMNS,
    POSTINGS,
    RESERVATIONS,
    STATUS,
    STOPS,
    add_to,
    held_by,
    key_row,
    posting_row,
    postings_digest,
    run_row,
)
from autopay_core.adapters.sql.schema import UNFINISHED
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Calls,
    Clock,
    Dialect,
    Insert,
    LostRaceError,
    Row,
    Steps,
    Table,
    Write,
)
from autopay_core.commits import Change, Committed, Conflict, ConflictReason
from autopay_core.errors import (
    CommitUnknownError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.history import (
    chain_of,
    digest,
    entry_body,
    entry_hash,
    microseconds,
)
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.runs import RESERVING_STATES, RunRecord, RunState
from autopay_core.serialization import dumps

__all__ = ["SqlCommits"]

_TRIES: Final = 3
"""How often a transaction is tried that others keep winning."""

_LOCKS_MOST: Final = 200
"""A commit that touches more names locks the whole store instead."""

_ASK_HEAD: Final = (
    "SELECT {clock}, seq, hash, at FROM autopay_chains WHERE chain = ?{lock}"
)
_ASK_VERSION: Final = (
    "SELECT version, state, alone FROM autopay_runs "
    "WHERE autopay = ? AND nominal_on = ?"
)
_ASK_HELD: Final = (
    "SELECT invoice, client, currency, minor FROM autopay_reservations "
    "WHERE autopay = ? AND nominal_on = ?"
)
_ASK_STATES: Final = (
    "SELECT autopay, nominal_on, state FROM autopay_runs "  # noqa: S608 - constants
    f"WHERE autopay = ? AND {UNFINISHED}"
)
_ASK_POSTED: Final = (
    "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) "
    "FROM autopay_postings WHERE is_open + 0 = 1 AND invoice IN ?? "
    "GROUP BY invoice, currency"
)
_ASK_RESERVED: Final = (
    "SELECT invoice, currency, minor, autopay, nominal_on "
    "FROM autopay_reservations WHERE invoice IN ??"
)
_ASK_POSTINGS: Final = (
    f"SELECT {POSTING_COLUMNS} FROM autopay_postings WHERE id IN ??"  # noqa: S608 - constants
)
_ASK_NOTICES: Final = "SELECT key FROM autopay_notices WHERE key IN ??"


class _Facts(NamedTuple):
    """What a commit read under its locks."""

    at: int
    seq: int
    head: str
    runs: Mapping[tuple[str, str], tuple[int, str, int | None]]
    others: Sequence[Row]
    is_stopped: bool
    versions: Mapping[str, int]
    opened: Mapping[str, Money]
    held: Mapping[tuple[str, str], Sequence[Row]]
    postings: Mapping[str, Row]
    notices: frozenset[str]


class SqlCommits(SqlReads):
    """
    What a posting store reads and writes.

    Args:
        dialect: How the database differs.
        clock: The store's time; None for the database's own.

    """

    def __init__(self, dialect: Dialect, clock: Clock | None = None) -> None:
        super().__init__(dialect, clock)
        self._ask_head = _ASK_HEAD.replace("{clock}", self._time)

    @call
    def commit(self, change: Change, /) -> Calls[Committed | Conflict]:
        """
        Write *change* in one atomic, durable step, or nothing of it.

        A commit whose answer was lost is looked for (PS-1, PS-13).

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: It may have been.
            PostingConflictError: Other content stands under a posting's id.

        """
        transition = secrets.token_hex(16)
        for _ in range(_TRIES):
            try:
                result: Committed | Conflict = yield Write(
                    self._commit(change, transition)
                )
            except LostRaceError:
                continue
            except AnswerLostError as lost:
                return (yield from self._settle(change, transition, lost))
            return result
        raise PortUnavailableError(
            "other writers kept winning; nothing was written",
            code="StoreBusy",
        )

    def _settle(
        self, change: Change, transition: str, lost: AnswerLostError
    ) -> Calls[Committed | Conflict]:
        try:
            stands: bool = yield Write(self._is_committed(change, transition))
        except (PortError, AnswerLostError) as error:
            raise CommitUnknownError(
                "the answer to a commit was lost, and the store cannot be "
                "asked; read again before doing anything"
            ) from error
        if stands:
            found: Committed | Conflict = lost.result
            return found
        if self._dialect.absence_is_proof:
            raise PortUnavailableError(
                "the commit broke off; nothing was written"
            ) from lost
        raise CommitUnknownError(
            "the commit broke off and is not there now; it may appear when "
            "the database recovers"
        ) from lost

    def _commit(
        self, change: Change, transition: str
    ) -> Steps[Committed | Conflict]:
        """
        Write *change* whole, or nothing of it (PS-1 to PS-11).

        A `Conflict` has written nothing.

        Raises:
            PostingConflictError: Other content stands under a posting's id.
            LostRaceError: Something stands that the locks should have kept
                away; the transaction must be given up, and may be repeated.

        """
        facts = yield from self._read_facts(change)
        conflict = _conflict(change, facts)
        if conflict is not None:
            return conflict
        new_notices = [
            each
            for each in {each.key: each for each in change.notices}.values()
            if each.key not in facts.notices
        ]
        writes, guards = self._writes(change, facts, new_notices, transition)
        if writes:
            answers = yield writes
            for place in guards:
                if not answers[place]:
                    raise LostRaceError
        return Committed(
            new_notices=frozenset(each.key for each in new_notices)
        )

    def _is_committed(self, change: Change, transition: str) -> Steps[bool]:
        """
        Tell whether a commit stands whose answer was lost (PS-13).

        Takes the same locks: whoever still holds them has not ended yet.
        """
        locks = self._locks(change)
        chain = chain_of(change)
        *_, found = yield [
            *locks,
            Ask(
                "SELECT seq FROM autopay_history "
                "WHERE chain = ? AND transition = ? "
                "ORDER BY seq DESC LIMIT 1",
                (chain, transition),
            ),
        ]
        return bool(found)

    def _locks(self, change: Change) -> Sequence[Ask]:
        """Lock what *change* is about, in one order for everybody."""
        lock = self._dialect.locks
        if lock is None:
            return ()
        names: set[str] = set()
        for record in change.runs:
            names.add(f"autopay:{record.key.autopay}")
            for number, (client, _, _) in held_by(record).items():
                names.add(f"client:{client}")
                names.add(f"invoice:{number}")
        for posting in (
            *change.postings,
            *(each.after for each in change.moves),
        ):
            names.add(f"client:{posting.client}")
            names.add(f"invoice:{posting.invoice}")
        names.update(f"client:{each}" for each in change.expect_versions or ())
        names.update(f"invoice:{each}" for each in change.expect_open or ())
        names.update(f"notice:{each.key}" for each in change.notices)
        names.update(f"stop:{each.target}" for each in change.stops)
        shared = {f"stop:{each}" for each in change.unless_stopped} - names
        if len(names) + len(shared) > _LOCKS_MOST:
            return lock({"store": False})
        wanted = {"store": True}
        wanted.update(
            (each, each in shared) for each in sorted(names | shared)
        )
        return lock(wanted)

    def _read_facts(self, change: Change) -> Steps[_Facts]:
        """Lock, and read all that *change* is conditional on."""
        locks = self._locks(change)
        keys = [key_row(each.key) for each in change.runs]
        known = [key_row(each.key) for each in change.runs if each.version > 1]
        ids = [str(each.id) for each in change.postings]
        ids.extend(str(each.after.id) for each in change.moves)
        asks = [self._timed(self._ask_head, chain_of(change))]
        asks.extend(Ask(_ASK_VERSION, key) for key in keys)
        asks.extend(Ask(_ASK_HELD, key) for key in known)
        if change.only_doubtful:
            asks.extend(Ask(_ASK_STATES, key[:1]) for key in keys)
        lists = (
            (ASK_STOPS, change.unless_stopped),
            (ASK_VERSIONS, change.expect_versions),
            (_ASK_POSTED, change.expect_open),
            (_ASK_RESERVED, change.expect_open),
            (_ASK_POSTINGS, ids),
            (_ASK_NOTICES, [each.key for each in change.notices]),
        )
        asks.extend(Ask(sql, (list(each),)) for sql, each in lists if each)
        answers = iter((yield [*locks, *asks])[len(locks) :])
        ((clock, seq, head, kept),) = next(answers)
        runs = [next(answers) for _ in keys]
        held = [next(answers) for _ in known]
        doubts = [next(answers) for _ in keys if change.only_doubtful]
        stops, versions, posted, reserved, postings, notices = (
            next(answers) if each else [] for _, each in lists
        )
        return _Facts(
            at=self._mark.now(clock, kept),
            seq=seq,
            head=head,
            runs={
                key: rows[0]
                for key, rows in zip(keys, runs, strict=True)
                if rows
            },
            held=dict(zip(known, held, strict=True)),
            others=[row for rows in doubts for row in rows],
            is_stopped=bool(stops),
            versions=dict(versions),
            opened=_opened(keys, posted, reserved),
            postings={row[0]: row for row in postings},
            notices=frozenset(key for (key,) in notices),
        )

    def _writes(
        self,
        change: Change,
        facts: _Facts,
        new_notices: Sequence[Notice],
        transition: str,
    ) -> tuple[list[Ask | Insert], list[int]]:
        """
        Return the statements, and the places of those that must find a row.

        None at all if the change changes nothing.
        """
        writes = _Writes()
        for record in change.runs:
            _write_run(record, facts, writes, is_alone=change.only_doubtful)
        new_postings = {
            str(each.id): each
            for each in reversed(change.postings)
            if each.id not in facts.postings
        }
        if new_postings:
            rows = [posting_row(each) for each in new_postings.values()]
            writes.digests["postings"] = postings_digest(rows)
            writes.fill(POSTINGS, rows)
        for move in change.moves:
            writes.must_find(
                "UPDATE autopay_postings SET status = ?, note = ?, "
                "is_open = ? WHERE id = ? AND status = ? RETURNING id",
                move.after.status.value,
                move.after.note,
                int(move.after.is_open),
                move.after.id,
                move.before.status.value,
            )
        touched = writes.touched
        touched.update(str(each.client) for each in new_postings.values())
        touched.update(str(each.after.client) for each in change.moves)
        # In one order, so that two commits never wait for each other.
        writes.fill(CLIENTS, [(each, 1) for each in sorted(touched)])
        stops = {each.target: each for each in change.stops}.values()
        writes.fill(
            STOPS,
            [
                (each.target, each.by, each.reason, int(each.active))
                for each in stops
            ],
        )
        writes.fill(
            NOTICES, [(each.key, dumps(each), 0) for each in new_notices]
        )
        if change.delivered:
            writes.add(
                "UPDATE autopay_notices SET is_delivered = 1 "
                "WHERE is_delivered = 0 AND key IN ??",
                list(change.delivered),
            )
        if writes:
            body = entry_body(
                change,
                digests=writes.digests,
                new_postings=new_postings,
                new_notices=[each.key for each in new_notices],
            )
            _write_entry(chain_of(change), facts, transition, body, writes)
        return writes, writes.guards


class _Writes(list[Ask | Insert]):
    """
    The statements of a commit, as they come together.

    Attributes:
        guards: The places of those that must find a row.
        touched: Clients whose version grows.
        digests: Of what is written, for the history's entry.

    """

    def __init__(self) -> None:
        super().__init__()
        self.guards: list[int] = []
        self.touched: set[str] = set()
        self.digests: dict[str, str] = {}

    def add(self, sql: str, *values: object) -> None:
        self.append(Ask(sql, values))

    def must_find(self, sql: str, *values: object) -> None:
        self.guards.append(len(self))
        self.add(sql, *values)

    def fill(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self.append(Insert(table, rows))


def _opened(
    own: Sequence[tuple[str, str]],
    posted: Sequence[Row],
    reserved: Sequence[Row],
) -> dict[str, Money]:
    """Add up what is open, without the runs of the change (PS-5)."""
    total: dict[str, Money] = {}
    for number, currency, minor in posted:
        add_to(total, number, Money(amount_minor=minor, currency=currency))
    for number, currency, minor, *key in reserved:
        if tuple(key) not in own:
            add_to(total, number, Money(amount_minor=minor, currency=currency))
    return total


def _conflict(change: Change, facts: _Facts) -> Conflict | None:
    """Tell why *change* may not be written, in the order of the ports."""
    for record in change.runs:
        reason = _run_conflict(record, facts)
        if reason is not None:
            return Conflict(reason=reason)
    if facts.is_stopped:
        return Conflict(reason=ConflictReason.STOPPED)
    if _is_open_changed(change, facts):
        return Conflict(reason=ConflictReason.OPEN, open_amounts=facts.opened)
    for move in change.moves:
        known = facts.postings.get(move.before.id)
        if known is None or known[STATUS] != move.before.status.value:
            return Conflict(reason=ConflictReason.POSTING)
    for new in change.postings:
        known = facts.postings.get(new.id)
        if known is not None and known != posting_row(new):
            raise PostingConflictError(
                f"another posting stands under {new.id}"
            )
    return None


def _run_conflict(record: RunRecord, facts: _Facts) -> ConflictReason | None:
    autopay, nominal_on = key = key_row(record.key)
    stands = facts.runs.get(key)
    if record.version != (1 if stands is None else stands[0] + 1):
        return ConflictReason.VERSION
    for other, other_on, state in facts.others:
        if (
            other == autopay
            and other_on != nominal_on
            and RunState(state).is_doubtful
        ):
            return ConflictReason.DOUBT
    return None


def _is_open_changed(change: Change, facts: _Facts) -> bool:
    for client, version in (change.expect_versions or {}).items():
        if facts.versions.get(client, 0) != version:
            return True
    return facts.opened != {
        number: amount
        for number, amount in (change.expect_open or {}).items()
        if not amount.is_zero
    }


def _write_run(
    record: RunRecord, facts: _Facts, writes: _Writes, *, is_alone: bool
) -> None:
    """Add the statements that write a run and what it holds back."""
    key = key_row(record.key)
    data = dumps(record)
    writes.digests[str(record.key)] = digest(data)
    before = facts.runs.get(key)
    alone = None
    if record.state.is_doubtful and (
        is_alone or (before is not None and before[2] == 1)
    ):
        alone = 1
    values = (*run_row(record), alone, data, *key)
    if before is None:
        writes.must_find(
            "INSERT INTO autopay_runs (version, state, charge_on, "
            "next_try_at, taken_minor, taken_currency, alone, data, "
            "autopay, nominal_on) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (autopay, nominal_on) DO NOTHING RETURNING version",
            *values,
        )
    else:
        writes.must_find(
            "UPDATE autopay_runs SET version = ?, state = ?, "
            "charge_on = ?, next_try_at = ?, taken_minor = ?, "
            "taken_currency = ?, alone = ?, data = ? WHERE autopay = ? "
            "AND nominal_on = ? AND version = ? RETURNING version",
            *values,
            before[0],
        )
    held = held_by(record) if record.state in RESERVING_STATES else {}
    was_held = {row[0]: row[1:] for row in facts.held.get(key, ())}
    writes.touched.update(row[0] for row in held.values())
    writes.touched.update(row[0] for row in was_held.values())
    if held != was_held:
        if was_held:
            writes.add(
                "DELETE FROM autopay_reservations "
                "WHERE autopay = ? AND nominal_on = ?",
                *key,
            )
        writes.fill(
            RESERVATIONS,
            [(*key, number, *row) for number, row in held.items()],
        )
    writes.fill(
        ATTEMPTS,
        [
            (
                each.method,
                *key,
                each.amount.currency,
                each.number,
                microseconds(each.began_at),
                each.amount.amount_minor,
            )
            for each in record.attempts
        ],
    )


def _write_entry(
    chain: int, facts: _Facts, transition: str, body: str, writes: _Writes
) -> None:
    """Chain an entry to the history (see `history`)."""
    seq = facts.seq + 1
    hashed = entry_hash(facts.head, chain, seq, facts.at, transition, body)
    writes.fill(HISTORY, [(transition, body, hashed, chain, seq, facts.at)])
    writes.must_find(
        "UPDATE autopay_chains SET seq = ?, hash = ?, at = ? "
        "WHERE chain = ? AND seq = ? RETURNING seq",
        seq,
        hashed,
        facts.at,
        chain,
        facts.seq,
    )
