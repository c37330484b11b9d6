"""
How the SQL stores commit a change.

Holds: `SqlCommits`. Imports: the values, `serialization`, `history`, `words`,
`rows`, `proofs`, `schema`, `methods`, `reads`, `_batches`. A commit is two
batches inside one transaction. The first takes locks (on PostgreSQL; SQLite
has one writer anyway) and reads all that the change is conditional on. If that
holds, the second writes, and the history's entry is part of it. Long, since
what one commit reads and writes is understood as one thing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from functools import cache, partial
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias, cast

import attrs

from autopay_core.adapters._batches import batch_conflict
from autopay_core.adapters.sql.methods import call
from autopay_core.adapters.sql.proofs import (
    DELIVERED,
    PROVEN,
    RUNS,
    STORE,
    Proof,
    group_digest,
    key_of_row,
    row_digest,
)
from autopay_core.adapters.sql.reads import (
    ASK_CLOCK,
    ASK_HELD,
    ASK_VERSIONS,
    SqlReads,
)
from autopay_core.adapters.sql.rows import (
    ATTEMPT_KEYS,
    ATTEMPTS,
    BATCH_LINES,
    BATCHES,
    CLIENTS,
    DISTINCT,
    EXPECTED,
    HISTORY,
    HOLDS,
    INCIDENTS,
    MOVEMENTS,
    NOTICES,
    POSTING_COLUMNS,
    POSTINGS,
    RESERVATIONS,
    STATUS,
    STEPS,
    Key,
    add_to,
    attempt_rows,
    batch_lines,
    batch_row,
    day_of,
    facts_of,
    held_by,
    instant,
    key_row,
    keys_of,
    posting_of,
    posting_row,
    postings_digest,
    run_row,
    step_row,
    without_token,
)
from autopay_core.adapters.sql.schema import UNFINISHED
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Calls,
    Insert,
    LostRaceError,
    Row,
    Steps,
    Table,
    Write,
)
from autopay_core.balances import share_step
from autopay_core.batches import BatchState
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Incident,
)
from autopay_core.errors import (
    CommitUnknownError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.history import (
    by_chain,
    chain_of,
    digest,
    entry_body,
    entry_hash,
    microseconds,
)
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
    is_same_account,
)
from autopay_core.serialization import dumps

__all__ = ["SqlCommits"]

Answer: TypeAlias = Committed | Conflict | PostingConflictError
"""What one of several commits comes to."""

_TRIES: Final = 3
"""How often a transaction is tried that others keep winning."""

_LOCKS_MOST: Final = 200
"""A commit that touches more names locks the whole store instead."""

_ASK_HEADS: Final = (
    "SELECT chain, seq, hash FROM autopay_chains WHERE chain IN ({chains}) "
    "ORDER BY chain{lock}"
)
_OF_RUN: Final = "WHERE autopay = ? AND nominal_on = ? AND number = ?"
_ASK_VERSION: Final = (
    f"SELECT version, state, alone FROM autopay_runs {_OF_RUN}"  # noqa: S608 - constants
)
_ASK_HELD_BACK: Final = (
    "SELECT invoice, client, currency, minor FROM autopay_reservations "  # noqa: S608 - constants
    f"{_OF_RUN}"
)
_DROP_HELD_BACK: Final = f"DELETE FROM autopay_reservations {_OF_RUN}"  # noqa: S608 - constants
_ASK_STATES: Final = (
    "SELECT autopay, nominal_on, number, state FROM autopay_runs "  # noqa: S608 - constants
    f"WHERE autopay = ? AND {UNFINISHED}"
)
_STORE: Final = (
    "place",
    "id",
    "salt",
    "epoch",
    "holds_version",
    "trusted",
    "restored_since",
    "restored_stores",
)
_ASK_STORE: Final = f"SELECT {', '.join(_STORE)} FROM autopay_store"  # noqa: S608 - constants
_ASK_GOING_ON: Final = (
    "SELECT cause FROM autopay_incidents WHERE over_at IS NULL AND cause IN ??"
)
_REVISIONS: Final = (
    (
        EXPECTED.name,
        "SELECT invoice, revision FROM autopay_expected WHERE invoice IN ??",
    ),
    (
        DISTINCT.name,
        (
            "SELECT first, second, revision FROM autopay_distinct "
            "WHERE first IN ??"
        ),
    ),
    (
        INCIDENTS.name,
        (
            "SELECT cause, day, revision FROM autopay_incidents "
            "WHERE cause IN ?? AND day IN ??"
        ),
    ),
    (
        MOVEMENTS.name,
        "SELECT id, revision FROM autopay_movements WHERE id IN ??",
    ),
)
"""How often what entries of several chains may tell of was written."""
_ASK_UNDELIVERED: Final = (
    "SELECT key FROM autopay_notices WHERE is_delivered = 0 AND key IN ??"
)
_ASK_ATTEMPTS: Final = (
    "SELECT at FROM autopay_attempts "
    "WHERE method = ? AND counts = 1 AND at >= ?"
)
_ASK_CHARGED: Final = (
    "SELECT CAST(COALESCE(SUM(taken_minor), 0) AS BIGINT) FROM "
    "(SELECT DISTINCT autopay, nominal_on, number FROM autopay_attempts "
    "WHERE at >= ?{payer}) AS begun "
    "JOIN autopay_runs USING (autopay, nominal_on, number) "
    "WHERE taken_currency = ? "
    "AND state IN ('open', 'pending', 'review', 'paid'){others}"
)
_ASK_REFERENCES: Final = (
    "SELECT reference, account, autopay, nominal_on, number "
    "FROM autopay_runs WHERE reference IN ??"
)
_RUN: Final = (
    "version",
    "state",
    "charge_on",
    "next_try_at",
    "taken_minor",
    "taken_currency",
    "reference",
    "account",
    "alone",
    "data",
    "token",
    "autopay",
    "nominal_on",
    "number",
)
"""The columns of a run, in the order in which they are written."""
_ASK_POSTED: Final = (
    "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) AS minor "
    "FROM autopay_postings WHERE is_open + 0 = 1 AND invoice IN ?? "
    "GROUP BY invoice, currency"
)
_ASK_RESERVED: Final = (
    "SELECT invoice, currency, minor, autopay, nominal_on, number "
    "FROM autopay_reservations WHERE invoice IN ??"
)
_ASK_POSTINGS: Final = (
    f"SELECT {POSTING_COLUMNS}, made_at FROM autopay_postings WHERE id IN ??"  # noqa: S608 - constants
)
_ASK_BATCHES: Final = (
    "SELECT id, revision, state FROM autopay_batches WHERE id IN ??"
)
_ASK_BATCHED: Final = (
    "SELECT posting, batch FROM autopay_batch_lines "
    "WHERE is_open = 1 AND posting IN ??"
)
_ASK_NOTICES: Final = "SELECT key FROM autopay_notices WHERE key IN ??"


class _Facts(NamedTuple):
    """What a commit read under its locks."""

    now: int
    at: int
    heads: Mapping[int, tuple[int, str]]
    runs: Mapping[Key, tuple[int, str, int | None]]
    others: Sequence[Row]
    is_held: bool
    store: Row | None
    going_on: frozenset[str]
    revisions: Mapping[tuple[str, ...], int]
    undelivered: frozenset[str]
    attempts: Sequence[Row]
    charged: Sequence[int]
    references: Sequence[Row]
    versions: Mapping[str, int]
    opened: Mapping[str, Money]
    held: Mapping[Key, Sequence[Row]]
    postings: Mapping[str, Row]
    batches: Mapping[str, tuple[int, str]]
    batched: Mapping[str, str]
    notices: frozenset[str]


class SqlCommits(SqlReads):
    """What a posting store reads and writes."""

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
        yield from self._adopt()
        transition = secrets.token_hex(16)
        for _ in range(_TRIES):
            try:
                result: Committed | Conflict = yield Write(
                    self._commit(change, transition)
                )
            except LostRaceError:
                continue
            except AnswerLostError as lost:
                result = yield from self._settle(change, transition, lost)
            return result
        raise _busy()

    def _commit_together(
        self, changes: Sequence[Change]
    ) -> Calls[tuple[Answer, ...]]:
        """
        Write changes one after another in one transaction (PS-29).

        Raises:
            PortUnavailableError: Nothing of any was written.
            CommitUnknownError: All may have been.

        """
        yield from self._adopt()
        transitions = [secrets.token_hex(16) for _ in changes]
        for _ in range(_TRIES):
            try:
                answers: tuple[Answer, ...] = yield Write(
                    self._commit_each(changes, transitions)
                )
            except LostRaceError:
                continue
            except AnswerLostError as lost:
                for change, transition, answer in zip(
                    changes, transitions, lost.result, strict=True
                ):
                    if isinstance(answer, Committed):
                        # One stands for all.
                        answers = yield from self._settle(
                            change, transition, lost
                        )
                        return answers
                return cast("tuple[Answer, ...]", lost.result)
            return answers
        raise _busy()

    def _commit_each(
        self, changes: Sequence[Change], transitions: Sequence[str]
    ) -> Steps[tuple[Answer, ...]]:
        answers: list[Answer] = []
        for change, transition in zip(changes, transitions, strict=True):
            try:
                answers.append((yield from self._commit(change, transition)))
            except PostingConflictError as error:
                answers.append(error)
        return tuple(answers)

    def _settle(
        self, change: Change, transition: str, lost: AnswerLostError
    ) -> Calls[Any]:
        try:
            stands: bool = yield Write(self._is_committed(change, transition))
        except (PortError, AnswerLostError) as error:
            raise CommitUnknownError(
                "the answer to a commit was lost, and the store cannot be "
                "asked; read again before doing anything"
            ) from error
        if stands:
            result: Any = lost.result
            return result
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
        Write *change* whole, or nothing of it (PS-1 to PS-11, PS-16 to 22).

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
        change = attrs.evolve(
            change, incidents=tuple(_news(change.incidents, facts))
        )
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
            self._mark.tell(facts.at)
        return Committed(
            new_notices=frozenset(each.key for each in new_notices),
            at=instant(facts.at if writes else facts.now),
        )

    def _is_committed(self, change: Change, transition: str) -> Steps[bool]:
        """
        Tell whether a commit stands whose answer was lost (PS-13).

        Takes the same locks: whoever still holds them has not ended yet.
        """
        answers = yield [
            *self._locks(change),
            *(
                Ask(
                    "SELECT seq FROM autopay_history "
                    "WHERE chain = ? AND transition = ? "
                    "ORDER BY seq DESC LIMIT 1",
                    (chain, transition),
                )
                for chain in by_chain(change)
            ),
        ]
        return any(answers[-len(by_chain(change)) :])

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
            *_taken(change),
        ):
            names.add(f"client:{posting.client}")
            names.add(f"invoice:{posting.invoice}")
        names.update(f"client:{each}" for each in change.expect_versions or ())
        names.update(f"invoice:{each}" for each in change.expect_open or ())
        names.update(f"notice:{each.key}" for each in change.notices)
        names.update(f"hold:{each.target}" for each in change.holds)
        names.update(f"autopay:{each.autopay}" for each in change.told)
        names.update(f"incident:{each.cause}" for each in change.incidents)
        names.update(f"invoice:{each.invoice}" for each in change.expected)
        names.update(
            f"distinct:{min(each.first, each.second)}"
            for each in change.distinct
        )
        names.update(f"movement:{each.id}" for each in change.movements)
        names.update(f"batch:{each.id}" for each in change.batches)
        names.update(
            f"reference:{each.payment_reference}"
            for each in change.runs
            if each.payment_reference is not None
        )
        shared = {f"hold:{each}" for each in change.unless_held}
        shared.update(
            f"method:{attempt.method}"
            for record in change.runs
            for attempt in record.attempts
            if record.counts(attempt)
        )
        if change.attempts is not None:
            names.add(f"method:{change.attempts.method}")
        names.update(f"ceiling:{each.payer}" for each in change.ceilings)
        if change.holds:
            names.add("holds")
        elif change.expect_holds is not None:
            shared.add("holds")
        shared -= names
        if (
            change.restored is not None
            or change.trusted_clock
            or len(names) + len(shared) > _LOCKS_MOST
        ):
            return lock({"store": False})
        wanted = {"store": True}
        wanted.update(
            (each, each in shared) for each in sorted(names | shared)
        )
        return lock(wanted)

    def _read_facts(self, change: Change) -> Steps[_Facts]:
        """Lock, and read all that *change* is conditional on."""
        locks = self._locks(change)
        chains = tuple(by_chain(change))
        keys = [key_row(each.key) for each in change.runs]
        known = [key_row(each.key) for each in change.runs if each.version > 1]
        ids = [str(each.id) for each in change.postings]
        moved = [str(each.after.id) for each in change.moves]
        taken = [str(each.id) for each in _taken(change)]
        asks = [self._timed(ASK_CLOCK), Ask(_ask_heads(len(chains)), chains)]
        asks.extend(Ask(_ASK_VERSION, key) for key in keys)
        asks.extend(Ask(_ASK_HELD_BACK, key) for key in known)
        if change.only_doubtful:
            asks.extend(Ask(_ASK_STATES, key[:1]) for key in keys)
        asks.extend(_asks_for_store(change))
        asks.extend(ask for _, ask in _asks_for_revisions(change))
        asks.extend(_asks_for_attempts(change))
        asks.extend(_asks_for_charged(change))
        lists = (
            (ASK_HELD, change.unless_held),
            (_ASK_REFERENCES, _references_of(change)),
            (ASK_VERSIONS, change.expect_versions),
            (_ASK_POSTED, change.expect_open),
            (_ASK_RESERVED, change.expect_open),
            (_ASK_POSTINGS, [*ids, *moved, *taken]),
            (_ASK_BATCHES, [each.id for each in change.batches]),
            (_ASK_BATCHED, [*moved, *taken]),
            (_ASK_NOTICES, [each.key for each in change.notices]),
            (_ASK_UNDELIVERED, change.delivered),
            (_ASK_GOING_ON, [each.cause for each in change.incidents]),
        )
        asks.extend(Ask(sql, (list(each),)) for sql, each in lists if each)
        answers = iter((yield [*locks, *asks])[len(locks) :])
        (time,) = next(answers)
        heads = {chain: (seq, head) for chain, seq, head in next(answers)}
        runs = [next(answers) for _ in keys]
        back = [next(answers) for _ in known]
        doubts = [next(answers) for _ in keys if change.only_doubtful]
        stores = [next(answers)[0] for _ in _asks_for_store(change)]
        revisions = {
            (table, *key): revision
            for table, _ in _asks_for_revisions(change)
            for *key, revision in next(answers)
        }
        attempts = [next(answers) for _ in _asks_for_attempts(change)]
        charged_before = [next(answers)[0][0] for _ in change.ceilings]
        found = [next(answers) if each else [] for _, each in lists]
        (
            held,
            references,
            versions,
            posted,
            reserved,
            postings,
            batches,
            batched,
            notices,
            undelivered,
            going_on,
        ) = found
        return _Facts(
            now=self._mark.now(*time),
            # A clock that is trusted is taken at its word (R11).
            at=time[0] if change.trusted_clock else self._mark.later(*time),
            heads=heads,
            runs={
                key: rows[0]
                for key, rows in zip(keys, runs, strict=True)
                if rows
            },
            held=dict(zip(known, back, strict=True)),
            others=[row for rows in doubts for row in rows],
            is_held=bool(held)
            or any(
                change.expect_holds not in (None, row[_HOLDS_VERSION])
                for row in stores
            ),
            store=stores[0] if stores else None,
            going_on=frozenset(cause for (cause,) in going_on),
            revisions=revisions,
            undelivered=frozenset(key for (key,) in undelivered),
            attempts=[row for rows in attempts for row in rows],
            charged=charged_before,
            references=references,
            versions=dict(versions),
            opened=_opened(keys, posted, reserved),
            postings={row[0]: row for row in postings},
            batches={
                name: (revision, state) for name, revision, state in batches
            },
            batched=dict(batched),
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
        _write_store(change, facts, writes)
        for record in change.runs:
            _write_run(record, facts, writes, is_alone=change.only_doubtful)
        new_postings = {
            str(each.id): each
            for each in reversed(change.postings)
            if each.id not in facts.postings
        }
        writes.fill(
            POSTINGS,
            [
                (*posting_row(each), facts.at, facts.at)
                for each in new_postings.values()
            ],
        )
        for move in change.moves:
            writes.prove(
                POSTINGS.name,
                POSTINGS.columns,
                _moved(facts.postings[move.after.id], move.after, facts.at),
            )
        for move in change.moves:
            writes.must_find(
                "UPDATE autopay_postings SET status = ?, note = ?, "
                "posted_on = ?, ledger_number = ?, is_open = ?, moved_at = ? "
                "WHERE id = ? AND status = ? RETURNING id",
                move.after.status.value,
                move.after.note,
                day_of(move.after.posted_on),
                move.after.ledger_number,
                int(move.after.is_open),
                facts.at,
                move.after.id,
                move.before.status.value,
            )
        steps = [
            (each.client, share_step(before, each, instant(facts.at)))
            for before, each in (
                *((None, each) for each in new_postings.values()),
                *((each.before.status, each.after) for each in change.moves),
            )
        ]
        step_rows = [
            step_row(client, step)
            for client, step in steps
            if step is not None
        ]
        writes.fill(STEPS, step_rows)
        for row in step_rows:
            key = row_digest(STEPS.name, STEPS.columns, row)
            made = writes.counts.setdefault(STEPS.name, {})
            made[key] = made.get(key, 0) + 1
        touched = writes.touched
        touched.update(str(each.client) for each in new_postings.values())
        touched.update(str(each.after.client) for each in change.moves)
        # In one order, so that two commits never wait for each other.
        writes.fill(CLIENTS, [(each, 1) for each in sorted(touched)])
        if touched:
            writes.counts[CLIENTS.name] = dict.fromkeys(sorted(touched), 1)
        for table, rows in facts_of(change, facts.revisions):
            writes.fill(table, rows)
        _write_batches(change, facts, writes)
        writes.fill(
            NOTICES, [(each.key, dumps(each), 0) for each in new_notices]
        )
        if change.delivered:
            writes.add(
                "UPDATE autopay_notices SET is_delivered = 1 "
                "WHERE is_delivered = 0 AND key IN ??",
                list(change.delivered),
            )
            marked = facts.undelivered.union(
                each.key
                for each in new_notices
                if each.key in change.delivered
            )
            writes.proofs.extend(
                Proof(DELIVERED, key, "1") for key in sorted(marked)
            )
        if writes:
            _write_entries(
                change,
                facts,
                transition,
                writes,
                postings=new_postings,
                notices={str(each.key) for each in new_notices},
            )
        return writes, writes.guards


class _Writes(list[Ask | Insert]):
    """
    The statements of a commit, as they come together.

    Attributes:
        guards: The places of those that must find a row.
        touched: Clients whose version grows.
        digests: Of what is written, for the history's entry.
        proofs: Of every row that is written, for the same.
        counts: By table and key, how many more of what is only counted.
        stamp: Orders what entries say of holds and of the store.

    """

    def __init__(self) -> None:
        super().__init__()
        self.guards: list[int] = []
        self.touched: set[str] = set()
        self.digests: dict[str, str] = {}
        self.proofs: list[Proof] = []
        self.counts: dict[str, dict[str, int]] = {}
        self.stamp = 0

    def add(self, sql: str, *values: object) -> None:
        self.append(Ask(sql, values))

    def must_find(self, sql: str, *values: object) -> None:
        self.guards.append(len(self))
        self.add(sql, *values)

    def fill(self, table: Table, rows: Sequence[Row]) -> None:
        """Fill a table, and prove its rows."""
        if not rows:
            return
        self.append(Insert(table, rows))
        if table.name in PROVEN:
            for row in rows:
                self.prove(table.name, table.columns, row)

    def prove(self, table: str, names: tuple[str, ...], row: Row) -> None:
        """Let the history's entry say what stands in a row from now on."""
        columns = dict(zip(names, row, strict=True))
        stamp = columns.get("revision", 0)
        if table in (HOLDS.name, STORE):
            stamp = self.stamp
        self.proofs.append(
            Proof(
                table,
                key_of_row(columns[each] for each in PROVEN[table]),
                row_digest(table, names, row),
                columns.get("autopay"),
                stamp,
            )
        )


def _opened(
    own: Sequence[Key],
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
    reasons = [_run_conflict(each, facts) for each in change.runs]
    for reason in (*reasons, _other_conflict(change, facts)):
        if reason is not None:
            return Conflict(reason=reason)
    in_the_way = batch_conflict(
        change,
        versions={name: facts.batches[name][0] for name in facts.batches},
        batched=facts.batched,
        posting_of=partial(_known, facts),
    )
    if in_the_way is not None:
        return in_the_way
    if _is_open_changed(change, facts):
        return Conflict(reason=ConflictReason.OPEN, open_amounts=facts.opened)
    for move in change.moves:
        known = facts.postings.get(move.before.id)
        if known is None or known[STATUS] != move.before.status.value:
            return Conflict(reason=ConflictReason.POSTING)
    for new in change.postings:
        known = facts.postings.get(new.id)
        if known is not None and known[:-1] != posting_row(new):
            raise PostingConflictError(
                f"another posting stands under {new.id}"
            )
    return None


def _busy() -> PortUnavailableError:
    return PortUnavailableError(
        "other writers kept winning; nothing was written", code="StoreBusy"
    )


def _known(facts: _Facts, name: str) -> Posting | None:
    """Return a posting as it stands; None if there is none to be read."""
    row = facts.postings.get(name)
    if row is None:
        return None
    try:
        return posting_of(row[:-1])
    except InvalidValueError:
        return None


def _run_conflict(record: RunRecord, facts: _Facts) -> ConflictReason | None:
    key = key_row(record.key)
    stands = facts.runs.get(key)
    if record.version != (1 if stands is None else stands[0] + 1):
        return ConflictReason.VERSION
    for *other, state in facts.others:
        if (
            other[0] == key[0]
            and tuple(other) != key
            and RunState(state).is_doubtful
        ):
            return ConflictReason.DOUBT
    return None


def _other_conflict(change: Change, facts: _Facts) -> ConflictReason | None:
    """Look for what else changed (PS-7, PS-19, PS-20, PS-23, PS-28)."""
    if facts.is_held:
        return ConflictReason.HELD
    if change.attempts is not None:
        times = [at for (at,) in facts.attempts]
        for since, most in change.attempts.windows:
            if sum(at >= microseconds(since) for at in times) > most:
                return ConflictReason.ATTEMPTS
    for ceiling, charged in zip(change.ceilings, facts.charged, strict=True):
        more = ceiling.taken_by(change.runs).amount_minor
        if charged + more > ceiling.most.amount_minor:
            return ConflictReason.CEILING
    if change.unique_references and _is_reference_known(change, facts):
        return ConflictReason.REFERENCE
    for each in change.movements:
        stands = facts.revisions.get((MOVEMENTS.name, each.id), 0)
        if each.version != stands + 1:
            return ConflictReason.MOVEMENT
    return None


def _is_reference_known(change: Change, facts: _Facts) -> bool:
    own = {key_row(each.key) for each in change.runs}
    taken = [
        (reference, account)
        for reference, account, *key in facts.references
        if tuple(key) not in own
    ]
    for record in change.runs:
        reference = record.payment_reference
        if reference is None:
            continue
        account = record.attempts[-1].account
        if any(
            other == reference and is_same_account(account, at)
            for other, at in taken
        ):
            return True
        taken.append((reference, account))
    return False


def _references_of(change: Change) -> list[str]:
    if not change.unique_references:
        return []
    return [
        each.payment_reference
        for each in change.runs
        if each.payment_reference is not None
    ]


_HOLDS_VERSION: Final = _STORE.index("holds_version")


def _asks_for_store(change: Change) -> list[Ask]:
    is_asked = change.expect_holds is not None or _writes_store(change)
    return [Ask(_ASK_STORE)] if is_asked else []


def _writes_store(change: Change) -> bool:
    return bool(change.holds or change.restored or change.trusted_clock)


def _asks_for_revisions(change: Change) -> Iterator[tuple[str, Ask]]:
    keys: dict[str, tuple[list[str], ...]] = {
        EXPECTED.name: ([str(each.invoice) for each in change.expected],),
        DISTINCT.name: (
            [min(each.first, each.second) for each in change.distinct],
        ),
        INCIDENTS.name: (
            [each.cause for each in change.incidents],
            [each.on.isoformat() for each in change.incidents],
        ),
        MOVEMENTS.name: ([each.id for each in change.movements],),
    }
    for table, sql in _REVISIONS:
        if keys[table][0]:
            yield table, Ask(sql, keys[table])


def _news(incidents: Iterable[Incident], facts: _Facts) -> Iterator[Incident]:
    """Leave out what is under way already (PS-21)."""
    going_on = set(facts.going_on)
    for each in incidents:
        if each.over_at is None and each.cause in going_on:
            continue
        if each.over_at is None:
            going_on.add(each.cause)
        yield each


def _asks_for_attempts(change: Change) -> list[Ask]:
    """Ask for what counts since the first of the windows began."""
    if change.attempts is None or not change.attempts.windows:
        return []
    since = min(since for since, _ in change.attempts.windows)
    values = (change.attempts.method, microseconds(since))
    return [Ask(_ASK_ATTEMPTS, values)]


def _asks_for_charged(change: Change) -> Iterator[Ask]:
    """Ask what other runs took, or are about to take, under ceilings."""
    keys = [key_row(each.key) for each in change.runs]
    others = " AND NOT (autopay = ? AND nominal_on = ? AND number = ?)"
    for each in change.ceilings:
        payer = (each.payer,) if each.payer else ()
        yield Ask(
            _ASK_CHARGED.format(
                payer=" AND payer = ?" if payer else "",
                others=others * len(keys),
            ),
            (
                microseconds(each.since),
                *payer,
                each.most.currency,
                *(value for key in keys for value in key),
            ),
        )


@cache
def _ask_heads(count: int) -> str:
    return _ASK_HEADS.replace("{chains}", ", ".join("?" * count))


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
    proven, token = without_token(record)
    data = dumps(proven)
    writes.digests[str(record.key)] = digest(data)
    before = facts.runs.get(key)
    alone = None
    if record.state.is_doubtful and (
        is_alone or (before is not None and before[2] == 1)
    ):
        alone = 1
    values = (*run_row(record), alone, data, token, *key)
    writes.prove(RUNS, _RUN, values)
    if before is None:
        writes.must_find(
            "INSERT INTO autopay_runs (version, state, charge_on, "
            "next_try_at, taken_minor, taken_currency, reference, account, "
            "alone, data, token, autopay, nominal_on, number) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (autopay, nominal_on, number) "
            "DO NOTHING RETURNING version",
            *values,
        )
    else:
        writes.must_find(
            "UPDATE autopay_runs SET version = ?, state = ?, "  # noqa: S608 - constants
            "charge_on = ?, next_try_at = ?, taken_minor = ?, "
            "taken_currency = ?, reference = ?, account = ?, alone = ?, "
            f"data = ?, token = ? {_OF_RUN} AND version = ? RETURNING version",
            *values,
            before[0],
        )
    held = held_by(record) if record.state in RESERVING_STATES else {}
    was_held = {row[0]: row[1:] for row in facts.held.get(key, ())}
    writes.touched.update(row[0] for row in held.values())
    writes.touched.update(row[0] for row in was_held.values())
    autopay, nominal_on, number = key
    if held != was_held:
        if was_held:
            writes.add(_DROP_HELD_BACK, *key)
        writes.fill(
            RESERVATIONS,
            [
                (autopay, nominal_on, invoice, *row[:-1], number, row[-1])
                for invoice, row in held.items()
            ],
        )
    if held or was_held:
        digests = [
            row_digest(
                RESERVATIONS.name,
                RESERVATIONS.columns,
                (autopay, nominal_on, invoice, *row[:-1], number, row[-1]),
            )
            for invoice, row in sorted(held.items())
        ]
        writes.proofs.append(
            Proof(
                RESERVATIONS.name,
                key_of_row(key),
                group_digest(digests) if held else None,
                autopay,
            )
        )
    writes.fill(ATTEMPTS, attempt_rows(record))
    writes.fill(ATTEMPT_KEYS, keys_of(record))


def _write_batches(change: Change, facts: _Facts, writes: _Writes) -> None:
    """Write batches, and their lines where these are taken or let go."""
    written = sorted(change.batches, key=attrgetter("id"))
    writes.fill(BATCHES, [batch_row(each) for each in written])
    lines: list[Row] = []
    for each in written:
        _, state = facts.batches.get(each.id, (0, ""))
        was_closed = state == BatchState.ANSWERED.value
        if not state or each.is_closed is not was_closed:
            lines += batch_lines(each)
    writes.fill(BATCH_LINES, lines)


def _taken(change: Change) -> list[Posting]:
    """Return the postings that a change takes into batches, or keeps there."""
    return [
        posting
        for each in change.batches
        if not each.is_closed
        for posting in each.postings
    ]


def _moved(row: Row, after: Posting, at: int) -> Row:
    """Return the row of a posting that stands, one step further."""
    *columns_of_it, made_at = row
    columns = dict(
        zip(POSTINGS.columns, (*columns_of_it, at, made_at), strict=True)
    )
    columns.update(
        status=after.status.value,
        note=after.note,
        posted_on=day_of(after.posted_on),
        ledger_number=after.ledger_number,
        is_open=int(after.is_open),
    )
    return tuple(columns.values())


def _write_store(change: Change, facts: _Facts, writes: _Writes) -> None:
    """Write what changes of the store itself (H1, R11, R12)."""
    if facts.store is None or not _writes_store(change):
        return
    columns = dict(zip(_STORE, facts.store, strict=True))
    columns["holds_version"] += bool(change.holds)
    columns["trusted"] += change.trusted_clock
    if change.restored is not None:
        known = json.loads(columns["restored_stores"])
        columns["epoch"] += 1
        columns["restored_since"] = microseconds(change.restored.since)
        columns["restored_stores"] = json.dumps(
            sorted({*known, *change.restored.stores})
        )
    writes.stamp = (
        columns["holds_version"] + columns["trusted"] + columns["epoch"]
    )
    writes.add(
        "UPDATE autopay_store SET epoch = ?, holds_version = ?, trusted = ?, "
        "restored_since = ?, restored_stores = ? WHERE place = 1",
        *(columns[each] for each in _STORE[_STORE.index("epoch") :]),
    )
    writes.prove(STORE, _STORE, tuple(columns.values()))
    if change.trusted_clock:
        for column in ("at", "committed_at"):
            writes.add(
                f"UPDATE autopay_chains SET {column} = ? WHERE {column} > ?",  # noqa: S608 - constants
                facts.at,
                facts.at,
            )


def _write_entries(
    change: Change,
    facts: _Facts,
    transition: str,
    writes: _Writes,
    *,
    postings: Mapping[str, Posting],
    notices: AbstractSet[str],
) -> None:
    """Chain an entry to the history of each chain concerned."""
    digests = {each.id: digest(dumps(each)) for each in change.holds}
    digests.update(writes.digests)
    parts = by_chain(change)
    rows: dict[int, dict[str, list[list[object]]]] = {}
    for each in writes.proofs:
        chain = min(parts) if each.autopay is None else chain_of(each.autopay)
        said: list[object] = [each.key, each.digest]
        if each.stamp:
            said.append(each.stamp)
        of_chain = rows.setdefault(chain, {})
        of_chain.setdefault(each.table, []).append(said)
    for chain, part in parts.items():
        ids = {str(each.id): None for each in reversed(part.postings)}
        new = [postings[each] for each in ids if each in postings]
        if new:
            digests["postings"] = postings_digest(map(posting_row, new))
        keys = {each.key: each for each in part.notices if each.key in notices}
        body = entry_body(
            attrs.evolve(
                part, postings=tuple(new), notices=tuple(keys.values())
            ),
            digests=digests,
            rows=rows.get(chain, {}),
            counts=writes.counts if chain == min(parts) else {},
            chain=chain,
        )
        if body:
            _write_entry(chain, facts, transition, body, writes)


def _write_entry(
    chain: int, facts: _Facts, transition: str, body: str, writes: _Writes
) -> None:
    """Chain an entry to the history (see `history`)."""
    before, head = facts.heads[chain]
    seq = before + 1
    hashed = entry_hash(head, chain, seq, facts.at, transition, body)
    writes.fill(HISTORY, [(transition, body, hashed, chain, seq, facts.at)])
    writes.must_find(
        "UPDATE autopay_chains SET seq = ?, hash = ?, at = ?, "
        "committed_at = ? WHERE chain = ? AND seq = ? RETURNING seq",
        seq,
        hashed,
        facts.at,
        facts.at,
        chain,
        before,
    )
