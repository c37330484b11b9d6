"""
What every SQL store does, as steps that a driver carries out.

Holds: `SqlSteps`, generators that yield batches of statements and are sent
their rows; `Clock` arithmetic for PS-12; and the words in which databases
differ. Imports: the core, `serialization`, `history`. Nothing here does I/O:
SQLite, and PostgreSQL blocking and awaitable, drive the same steps, so that
they cannot differ in what they decide.

A read is one batch on one snapshot, so that it costs one round trip. A
commit is two batches inside one transaction. The first takes locks (on
PostgreSQL; SQLite has one writer anyway) and reads all that the change is
conditional on. If that holds, the second writes.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final

from autopay_core.adapters._sql_schema import UNFINISHED
from autopay_core.charges import RunKey
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
)
from autopay_core.errors import (
    CommitUnknownError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.history import (
    HistoryEntry,
    HistoryHead,
    chain_of,
    digest,
    entry_body,
    entry_hash,
    microseconds,
)
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import (
    RESERVING_STATES,
    Posting,
    PostingStatus,
    RunRecord,
    RunState,
)
from autopay_core.references import AccountKind, DepositAccount
from autopay_core.retries import AttemptRecord
from autopay_core.serialization import dumps, loads

__all__ = [
    "AnswerLostError",
    "Ask",
    "Batch",
    "Calls",
    "Clock",
    "Dialect",
    "Insert",
    "LostRaceError",
    "Row",
    "SqlCalls",
    "SqlSteps",
    "Steps",
    "Table",
    "Transact",
    "lock_number",
]

Clock: TypeAlias = Callable[[], datetime]
Row: TypeAlias = tuple[Any, ...]

CLOCK_BEHIND: Final = timedelta(minutes=5)
"""A clock that is further behind its own past is suspect."""

_TRIES: Final = 3
"""How often a transaction is tried that others keep winning."""

_MARK_SLACK: Final = 1_000_000
"""Reads write the clock's mark down if it is so many microseconds ahead."""

_LOCKS_MOST: Final = 200
"""A commit that touches more names locks the whole store instead."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Ask(NamedTuple):
    """
    One statement.

    ``?`` is a value; ``IN ??`` is a list of text; ``{clock}`` is the time in
    microseconds; ``{lock}`` locks the rows that are read.
    """

    sql: str
    values: tuple[Any, ...] = ()


class Table(NamedTuple):
    """A table's columns, and what a driver needs to fill it quickly."""

    name: str
    text: tuple[str, ...]
    numbers: tuple[str, ...]
    conflict: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the order of an `Insert`'s rows."""
        return (*self.text, *self.numbers)


class Insert(NamedTuple):
    """New rows of a table: text columns first, then numbers."""

    table: Table
    rows: Sequence[Row]


Batch: TypeAlias = Sequence["Ask | Insert"]
_T = TypeVar("_T")
Steps: TypeAlias = Generator[Batch, list[list[Row]], _T]


class LostRaceError(Exception):
    """Something was written between the first batch and the second."""


class Dialect(NamedTuple):
    """
    How a database differs.

    Attributes:
        clock: The database's own time in microseconds, as SQL; None if the
            store is handed a clock.
        locks: Makes statements that lock names until the transaction ends,
            one after another as given; True locks a name for sharing. None
            if there is one writer at a time anyway.

    """

    clock: str | None
    locks: Callable[[Mapping[str, bool]], Sequence[Ask]] | None


_RESERVATIONS: Final = Table(
    "autopay_reservations",
    ("autopay", "nominal_on", "invoice", "client", "currency"),
    ("minor",),
)
_ATTEMPTS: Final = Table(
    "autopay_attempts",
    ("method", "autopay", "nominal_on", "currency"),
    ("number", "at", "minor"),
    "ON CONFLICT (method, autopay, nominal_on, number) DO UPDATE "
    "SET at = excluded.at, minor = excluded.minor, "
    "currency = excluded.currency "
    "WHERE autopay_attempts.at <> excluded.at "
    "OR autopay_attempts.minor <> excluded.minor "
    "OR autopay_attempts.currency <> excluded.currency",
)
_POSTINGS: Final = Table(
    "autopay_postings",
    (
        "id",
        "autopay",
        "nominal_on",
        "payer",
        "client",
        "matter",
        "invoice",
        "currency",
        "charged_on",
        "payment_reference",
        "account",
        "account_kind",
        "ar_message",
        "reverses",
        "status",
        "note",
    ),
    ("minor", "is_open"),
)
_NOTICES: Final = Table("autopay_notices", ("key", "data"), ("is_delivered",))
_CLIENTS: Final = Table(
    "autopay_clients",
    ("client",),
    ("version",),
    "ON CONFLICT (client) DO UPDATE "
    "SET version = autopay_clients.version + excluded.version",
)
_STOPS: Final = Table(
    "autopay_stops",
    ("target", "said_by", "reason"),
    ("active",),
    "ON CONFLICT (target) DO UPDATE SET said_by = excluded.said_by, "
    "reason = excluded.reason, active = excluded.active",
)
_HISTORY: Final = Table(
    "autopay_history",
    ("transition", "body", "hash"),
    ("chain", "seq", "at"),
)
_POSTING_COLUMNS: Final = ", ".join(_POSTINGS.columns)
_STATUS: Final = _POSTINGS.columns.index("status")
_MINOR: Final = _POSTINGS.columns.index("minor")


# -- Values and rows ---------------------------------------------------------


def _instant(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def _key_row(key: RunKey) -> tuple[str, str]:
    return key.autopay, key.nominal_on.isoformat()


def _posting_row(posting: Posting) -> Row:
    account = posting.deposit_account
    return (
        posting.id,
        *_key_row(posting.run),
        posting.payer,
        posting.client,
        posting.matter,
        posting.invoice,
        posting.amount.currency,
        posting.charged_on.isoformat(),
        posting.payment_reference,
        account.id,
        account.kind.value,
        posting.ar_message,
        posting.reverses,
        posting.status.value,
        posting.note,
        posting.amount.amount_minor,
        int(posting.is_open),
    )


_LASTING: Final = 13
"""So many text columns of a posting never change, nor does its amount."""


def postings_digest(rows: Iterable[Row]) -> str:
    """Return what stands in an entry for what never changes of postings."""
    # No field can hold the characters that part them.
    return digest(
        "\x1e".join(
            "\x1f".join(row[:_LASTING])
            + f"\x1f{row[_LASTING]}\x1f{row[_MINOR]}"
            for row in rows
        )
    )


def _posting(row: Row) -> Posting:
    (
        posting_id,
        autopay,
        nominal_on,
        payer,
        client,
        matter,
        invoice,
        currency,
        charged_on,
        payment_reference,
        account,
        account_kind,
        ar_message,
        reverses,
        status,
        note,
        minor,
        _,
    ) = row
    return Posting(
        id=posting_id,
        run=RunKey(autopay=autopay, nominal_on=date.fromisoformat(nominal_on)),
        payer=payer,
        client=client,
        matter=matter,
        invoice=invoice,
        amount=Money(amount_minor=minor, currency=currency),
        charged_on=date.fromisoformat(charged_on),
        payment_reference=payment_reference,
        deposit_account=DepositAccount(
            id=account, kind=AccountKind(account_kind)
        ),
        ar_message=ar_message,
        reverses=reverses,
        status=PostingStatus(status),
        note=note,
    )


def _held(record: RunRecord) -> dict[str, tuple[str, str, int]]:
    """Return what a run would hold back: by invoice, whatever its state."""
    if record.intent is None:
        return {}
    return {
        str(line.invoice.number): (
            str(line.invoice.client),
            line.amount.currency,
            line.amount.amount_minor,
        )
        for line in record.intent.allocation.lines
        if line.amount.is_positive
    }


def _run_row(record: RunRecord) -> tuple[Any, ...]:
    """Return the columns of a run that a query or an index needs."""
    taken = record.attempts[-1].amount if record.attempts else None
    return (
        record.version,
        record.state.value,
        record.charge_on.isoformat(),
        None
        if record.next_try_at is None
        else microseconds(record.next_try_at),
        None if taken is None else taken.amount_minor,
        None if taken is None else taken.currency,
    )


def _add(total: dict[str, Money], number: str, amount: Money) -> None:
    before = total.get(number)
    total[number] = amount if before is None else before + amount


@final
class Mark:
    """
    The latest time that this process has told, or read (PS-12).

    The database keeps the mark of the last commit; between commits this one
    keeps time from going back, and `is_ahead` says when to write it down.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = 0
        self._kept = 0

    def now(self, clock: int, kept: int) -> int:
        """Return store time, from what a clock says and what was kept."""
        with self._lock:
            self._told = max(self._told, clock, kept)
            self._kept = max(self._kept, kept)
            return self._told

    @property
    def is_ahead(self) -> bool:
        """Whether a restart now, after a read, could let time go back."""
        return self._told - self._kept > _MARK_SLACK

    @property
    def told(self) -> int:
        """The latest time."""
        return self._told


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


@final
class SqlSteps:
    """
    The methods of a posting store, as steps.

    Args:
        dialect: How the database differs.
        clock: The store's time; None for the database's own.

    """

    def __init__(self, dialect: Dialect, clock: Clock | None = None) -> None:
        self._dialect = dialect
        self._clock = clock
        time = dialect.clock if clock is None else "CAST(? AS BIGINT)"
        assert time is not None, "a database without a clock needs one"
        self._ask_clock = _ASK_CLOCK.replace("{clock}", time)
        self._ask_head = _ASK_HEAD.replace("{clock}", time)
        self.mark = Mark()

    # -- Time ----------------------------------------------------------------

    def _timed(self, sql: str, *values: object) -> Ask:
        """Give the time to a statement that tells it."""
        if self._clock is None:
            return Ask(sql, values)
        return Ask(sql, (microseconds(self._clock()), *values))

    def now(self) -> Steps[datetime]:
        """Read the store's time; it never goes back (PS-12)."""
        (((clock, kept),),) = yield [self._timed(self._ask_clock)]
        return _instant(self.mark.now(clock, kept))

    def keep_mark(self) -> Steps[None]:
        """Write down the latest time that was told."""
        told = self.mark.told
        yield [
            Ask(
                "UPDATE autopay_chains SET at = ? WHERE chain = 0 AND at < ?",
                (told, told),
            )
        ]

    # -- Reading -------------------------------------------------------------

    def standing(self, key: RunKey, method: str) -> Steps[Standing]:
        """Read what is known about a run, its auto-pay and its method."""
        autopay, nominal_on = _key_row(key)
        targets = [StopOrder.autopay(autopay), StopOrder.method(method)]
        (((clock, kept),), stops, run, unfinished, latest) = yield [
            self._timed(self._ask_clock),
            Ask(_ASK_STOPS, (targets,)),
            Ask(_ASK_RUN, (autopay, nominal_on)),
            Ask(_ASK_UNFINISHED, (autopay,)),
            Ask(_ASK_LATEST, (autopay,)),
        ]
        now = self.mark.now(clock, kept)
        records: dict[str, RunRecord] = {}
        for on, data in (*run, *unfinished, *latest):
            if on not in records:
                records[on] = loads(data, RunRecord)
        return Standing(
            now=_instant(now),
            is_clock_suspect=_instant(clock) + CLOCK_BEHIND < _instant(now),
            run=records.get(nominal_on) if run else None,
            unfinished=tuple(records[on] for on, _ in unfinished),
            latest=records[latest[0][0]] if latest else None,
            is_stopped=bool(stops),
        )

    def open_amounts(self, clients: Sequence[str]) -> Steps[OpenAmounts]:
        """Read versions and open amounts of the clients' invoices."""
        wanted = list(clients)
        versions, opened = yield [
            Ask(_ASK_VERSIONS, (wanted,)),
            Ask(
                "WITH numbers AS ("
                "SELECT invoice FROM autopay_postings "
                "WHERE is_open = 1 AND client IN ?? "
                "UNION SELECT invoice FROM autopay_reservations "
                "WHERE client IN ??) "
                "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) FROM ("
                "SELECT invoice, currency, minor FROM autopay_postings "
                "WHERE is_open = 1 "
                "AND invoice IN (SELECT invoice FROM numbers) "
                "UNION ALL "
                "SELECT invoice, currency, minor FROM autopay_reservations "
                "WHERE invoice IN (SELECT invoice FROM numbers)"
                ") AS opened GROUP BY invoice, currency",
                (wanted, wanted),
            ),
        ]
        known: dict[str, int] = dict(versions)
        amounts: dict[str, Money] = {}
        for number, currency, minor in opened:
            _add(amounts, number, Money(amount_minor=minor, currency=currency))
        return OpenAmounts(
            versions={each: known.get(each, 0) for each in wanted},
            amounts=amounts,
        )

    def spent(
        self, autopay: str, from_on: date, before: date, currency: str
    ) -> Steps[Money]:
        """Add up what the auto-pay took or is taking (L7)."""
        (rows,) = yield [
            Ask(
                "SELECT taken_minor FROM autopay_runs WHERE autopay = ? "
                "AND charge_on >= ? AND charge_on < ? AND taken_currency = ? "
                "AND state IN ('open', 'pending', 'review', 'paid')",
                (
                    autopay,
                    from_on.isoformat(),
                    before.isoformat(),
                    currency,
                ),
            )
        ]
        return Money(
            amount_minor=sum(minor for (minor,) in rows), currency=currency
        )

    def attempts(
        self, method: str, since: datetime
    ) -> Steps[Sequence[AttemptRecord]]:
        """Read the attempts that charged a method, oldest first (N3)."""
        (rows,) = yield [
            Ask(
                "SELECT at, minor, currency FROM autopay_attempts "
                "WHERE method = ? AND at >= ? "
                "ORDER BY at, autopay, nominal_on, number",
                (method, microseconds(since)),
            )
        ]
        return tuple(
            AttemptRecord(
                at=_instant(at),
                amount=Money(amount_minor=minor, currency=currency),
            )
            for at, minor, currency in rows
        )

    def unfinished(
        self, after: RunKey | None, most: int, now: datetime
    ) -> Steps[Sequence[RunRecord]]:
        """Read runs under way whose time has come, by key."""
        autopay, nominal_on = ("", "") if after is None else _key_row(after)
        (rows,) = yield [
            Ask(
                "SELECT data FROM autopay_runs "  # noqa: S608 - constants
                f"WHERE {UNFINISHED} "
                "AND state IN ('open', 'pending', 'review') "
                "AND (autopay, nominal_on) > (?, ?) "
                "AND (next_try_at IS NULL OR next_try_at <= ?) "
                "ORDER BY autopay, nominal_on LIMIT ?",
                (autopay, nominal_on, microseconds(now), most),
            )
        ]
        return tuple(loads(data, RunRecord) for (data,) in rows)

    def runs(
        self, after: RunKey | None, most: int
    ) -> Steps[Sequence[RunRecord]]:
        """Read every run on record, by key, a page at a time."""
        autopay, nominal_on = ("", "") if after is None else _key_row(after)
        (rows,) = yield [
            Ask(
                "SELECT data FROM autopay_runs "
                "WHERE (autopay, nominal_on) > (?, ?) "
                "ORDER BY autopay, nominal_on LIMIT ?",
                (autopay, nominal_on, most),
            )
        ]
        return tuple(loads(data, RunRecord) for (data,) in rows)

    def postings(self, wanted: PostingFilter) -> Steps[Sequence[Posting]]:
        """Read postings in order of id."""
        terms: list[str] = []
        values: list[Any] = []
        if wanted.statuses:
            terms.append("status IN ??")
            values.append(sorted(each.value for each in wanted.statuses))
            if PostingStatus.APPLIED not in wanted.statuses:
                # Repeats the condition of a partial index.
                terms.append("status <> 'applied'")
        if wanted.run is not None:
            autopay, _, nominal_on = wanted.run.rpartition("/")
            terms.append("autopay = ? AND nominal_on = ?")
            values.extend((autopay, nominal_on))
        if wanted.invoice is not None:
            terms.append("invoice = ?")
            values.append(wanted.invoice)
        if wanted.after is not None:
            terms.append("id > ?")
            values.append(wanted.after)
        where = f"WHERE {' AND '.join(terms)} " if terms else ""
        (rows,) = yield [
            Ask(
                f"SELECT {_POSTING_COLUMNS} FROM autopay_postings {where}"  # noqa: S608 - constants
                "ORDER BY id LIMIT ?",
                (*values, wanted.most),
            )
        ]
        return tuple(_posting(row) for row in rows)

    def undelivered(self, most: int) -> Steps[Sequence[Notice]]:
        """Read the oldest notices that are not marked as delivered."""
        (rows,) = yield [
            Ask(
                "SELECT data FROM autopay_notices WHERE is_delivered = 0 "
                "ORDER BY place LIMIT ?",
                (most,),
            )
        ]
        return tuple(loads(data, Notice) for (data,) in rows)

    def notices(self, after: int, most: int) -> Steps[Sequence[Row]]:
        """Read every notice on record with its place, oldest first."""
        (rows,) = yield [
            Ask(
                "SELECT place, data FROM autopay_notices WHERE place > ? "
                "ORDER BY place LIMIT ?",
                (after, most),
            )
        ]
        return [(place, loads(data, Notice)) for place, data in rows]

    def history_heads(self) -> Steps[Sequence[HistoryHead]]:
        """Read the newest entry's place and hash of every chain."""
        (rows,) = yield [
            Ask("SELECT chain, seq, hash FROM autopay_chains ORDER BY chain")
        ]
        return tuple(
            HistoryHead(chain=chain, seq=seq, hash=hashed)
            for chain, seq, hashed in rows
        )

    def history(
        self, chain: int, after: int, most: int
    ) -> Steps[Sequence[HistoryEntry]]:
        """Read entries of a chain in order, after a place."""
        (rows,) = yield [
            Ask(
                "SELECT seq, at, transition, body, hash "
                "FROM autopay_history WHERE chain = ? AND seq > ? "
                "ORDER BY seq LIMIT ?",
                (chain, after, most),
            )
        ]
        return tuple(
            HistoryEntry(
                chain=chain,
                seq=seq,
                at=_instant(at),
                transition=transition,
                body=body,
                hash=hashed,
            )
            for seq, at, transition, body, hashed in rows
        )

    # -- Claiming ------------------------------------------------------------

    def claim(self, key: RunKey, seconds: int) -> Steps[bool]:
        """Reserve a run's work for a while (PS-14)."""
        (((clock, kept),),) = yield [self._timed(self._ask_clock)]
        now = self.mark.now(clock, kept)
        autopay, nominal_on = _key_row(key)
        _, claimed = yield [
            Ask(
                # What is over is of no use; the table stays small.
                "DELETE FROM autopay_claims WHERE autopay = ? "
                "AND nominal_on <> ? AND until_at <= ?",
                (autopay, nominal_on, now),
            ),
            Ask(
                "INSERT INTO autopay_claims (autopay, nominal_on, until_at) "
                "VALUES (?, ?, ?) ON CONFLICT (autopay, nominal_on) "
                "DO UPDATE SET until_at = excluded.until_at "
                "WHERE autopay_claims.until_at <= ? RETURNING until_at",
                (autopay, nominal_on, now + seconds * 1_000_000, now),
            ),
        ]
        return bool(claimed)

    # -- Committing ----------------------------------------------------------

    def commit(
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

    def is_committed(self, change: Change, transition: str) -> Steps[bool]:
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
            for number, (client, _, _) in _held(record).items():
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
        keys = [_key_row(each.key) for each in change.runs]
        known = [
            _key_row(each.key) for each in change.runs if each.version > 1
        ]
        ids = [str(each.id) for each in change.postings]
        ids.extend(str(each.after.id) for each in change.moves)
        asks = [self._timed(self._ask_head, chain_of(change))]
        asks.extend(Ask(_ASK_VERSION, key) for key in keys)
        asks.extend(Ask(_ASK_HELD, key) for key in known)
        if change.only_doubtful:
            asks.extend(Ask(_ASK_STATES, key[:1]) for key in keys)
        lists = (
            (_ASK_STOPS, change.unless_stopped),
            (_ASK_VERSIONS, change.expect_versions),
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
            at=self.mark.now(clock, kept),
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
        writes: list[Ask | Insert] = []
        guards: list[int] = []
        digests: dict[str, str] = {}
        touched: set[str] = set()
        for record in change.runs:
            _write_run(
                record,
                facts,
                writes,
                guards,
                touched,
                digests,
                is_alone=change.only_doubtful,
            )
        new_postings = {
            str(each.id): each
            for each in reversed(change.postings)
            if each.id not in facts.postings
        }
        if new_postings:
            rows = [_posting_row(each) for each in new_postings.values()]
            digests["postings"] = postings_digest(rows)
            writes.append(Insert(_POSTINGS, rows))
        for move in change.moves:
            guards.append(len(writes))
            writes.append(
                Ask(
                    "UPDATE autopay_postings "
                    "SET status = ?, note = ?, is_open = ? "
                    "WHERE id = ? AND status = ? RETURNING id",
                    (
                        move.after.status.value,
                        move.after.note,
                        int(move.after.is_open),
                        move.after.id,
                        move.before.status.value,
                    ),
                )
            )
        touched.update(str(each.client) for each in new_postings.values())
        touched.update(str(each.after.client) for each in change.moves)
        if touched:
            # In one order, so that two commits never wait for each other.
            writes.append(
                Insert(_CLIENTS, [(each, 1) for each in sorted(touched)])
            )
        if change.stops:
            last = {each.target: each for each in change.stops}
            writes.append(
                Insert(
                    _STOPS,
                    [
                        (each.target, each.by, each.reason, int(each.active))
                        for each in last.values()
                    ],
                )
            )
        if new_notices:
            writes.append(
                Insert(
                    _NOTICES,
                    [(each.key, dumps(each), 0) for each in new_notices],
                )
            )
        if change.delivered:
            writes.append(
                Ask(
                    "UPDATE autopay_notices SET is_delivered = 1 "
                    "WHERE is_delivered = 0 AND key IN ??",
                    (list(change.delivered),),
                )
            )
        if writes:
            body = entry_body(
                change,
                digests=digests,
                new_postings=new_postings,
                new_notices=[each.key for each in new_notices],
            )
            guards.append(len(writes) + 1)
            writes.extend(_entry(chain_of(change), facts, transition, body))
        return writes, guards


class Transact(NamedTuple):
    """One transaction that a call needs; answered with what its steps give."""

    steps: Steps[Any]
    writes: bool


Calls: TypeAlias = Generator[Transact, Any, _T]


class AnswerLostError(Exception):
    """
    Nobody knows whether a transaction was committed.

    Attributes:
        result: What its steps gave.

    """

    def __init__(self, result: Any) -> None:  # noqa: ANN401 - any steps' result
        super().__init__("the answer to a COMMIT was lost")
        self.result = result


@final
class SqlCalls:
    """
    The calls that take more than one transaction.

    Args:
        steps: What the transactions do.
        absence_is_proof: A commit that a later look does not find can never
            appear afterwards.

    """

    def __init__(self, steps: SqlSteps, *, absence_is_proof: bool) -> None:
        self._steps = steps
        self._absence_is_proof = absence_is_proof

    def standing(self, key: RunKey, method: str) -> Calls[Standing]:
        """Read, and write down the time if it ran ahead (PS-12)."""
        standing: Standing = yield Transact(
            self._steps.standing(key, method), writes=False
        )
        yield from self._keep_time()
        return standing

    def now(self) -> Calls[datetime]:
        """Read the time, and write it down if it ran ahead (PS-12)."""
        now: datetime = yield Transact(self._steps.now(), writes=False)
        yield from self._keep_time()
        return now

    def unfinished(
        self, after: RunKey | None, most: int
    ) -> Calls[Sequence[RunRecord]]:
        """Read runs under way whose time has come, by key."""
        now: datetime = yield Transact(self._steps.now(), writes=False)
        runs: Sequence[RunRecord] = yield Transact(
            self._steps.unfinished(after, most, now), writes=False
        )
        return runs

    def _keep_time(self) -> Calls[None]:
        if self._steps.mark.is_ahead:
            yield from _certain(self._steps.keep_mark())

    def claim(self, key: RunKey, seconds: int) -> Calls[bool]:
        """Reserve a run's work for a while (PS-14)."""
        return (yield from _certain(self._steps.claim(key, seconds)))

    def commit(self, change: Change) -> Calls[Committed | Conflict]:
        """
        Write *change*; settle a commit whose answer was lost (PS-1, PS-13).

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: It may have been.
            PostingConflictError: Other content stands under a posting's id.

        """
        transition = _new_transition()
        for _ in range(_TRIES):
            try:
                result: Committed | Conflict = yield Transact(
                    self._steps.commit(change, transition), writes=True
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
            stands: bool = yield Transact(
                self._steps.is_committed(change, transition), writes=True
            )
        except (PortError, AnswerLostError) as error:
            raise CommitUnknownError(
                "the answer to a commit was lost, and the store cannot be "
                "asked; read again before doing anything"
            ) from error
        if stands:
            found: Committed | Conflict = lost.result
            return found
        if self._absence_is_proof:
            raise PortUnavailableError(
                "the commit broke off; nothing was written"
            ) from lost
        raise CommitUnknownError(
            "the commit broke off and is not there now; it may appear when "
            "the database recovers"
        ) from lost


def _certain(steps: Steps[_T]) -> Calls[_T]:
    try:
        result: _T = yield Transact(steps, writes=True)
    except LostRaceError as error:
        raise PortUnavailableError(
            "another writer won; nothing was written", code="StoreBusy"
        ) from error
    except AnswerLostError as lost:
        raise CommitUnknownError("the answer to a commit was lost") from lost
    return result


def _new_transition() -> str:
    """Return a random id for a commit."""
    return secrets.token_hex(16)


_ASK_RUN: Final = (
    "SELECT nominal_on, data FROM autopay_runs "
    "WHERE autopay = ? AND nominal_on = ?"
)
_ASK_UNFINISHED: Final = (
    "SELECT nominal_on, data FROM autopay_runs "  # noqa: S608 - constants
    f"WHERE autopay = ? AND {UNFINISHED} ORDER BY nominal_on"
)
_ASK_LATEST: Final = (
    "SELECT nominal_on, data FROM autopay_runs "
    "WHERE autopay = ? AND state <> 'announced' "
    "ORDER BY nominal_on DESC LIMIT 1"
)
_ASK_CLOCK: Final = "SELECT {clock}, MAX(at) FROM autopay_chains"
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
_ASK_STOPS: Final = (
    "SELECT 1 FROM autopay_stops WHERE active = 1 AND target IN ?? LIMIT 1"
)
_ASK_VERSIONS: Final = (
    "SELECT client, version FROM autopay_clients WHERE client IN ??"
)
_ASK_POSTED: Final = (
    "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) "
    "FROM autopay_postings WHERE is_open = 1 AND invoice IN ?? "
    "GROUP BY invoice, currency"
)
_ASK_RESERVED: Final = (
    "SELECT invoice, currency, minor, autopay, nominal_on "
    "FROM autopay_reservations WHERE invoice IN ??"
)
_ASK_POSTINGS: Final = (
    f"SELECT {_POSTING_COLUMNS} FROM autopay_postings WHERE id IN ??"  # noqa: S608 - constants
)
_ASK_NOTICES: Final = "SELECT key FROM autopay_notices WHERE key IN ??"


def _opened(
    own: Sequence[tuple[str, str]],
    posted: Sequence[Row],
    reserved: Sequence[Row],
) -> dict[str, Money]:
    """Add up what is open, without the runs of the change (PS-5)."""
    total: dict[str, Money] = {}
    for number, currency, minor in posted:
        _add(total, number, Money(amount_minor=minor, currency=currency))
    for number, currency, minor, *key in reserved:
        if tuple(key) not in own:
            _add(total, number, Money(amount_minor=minor, currency=currency))
    return total


def _conflict(change: Change, facts: _Facts) -> Conflict | None:
    """Tell why *change* may not be written, in the order of the ports."""
    for record in change.runs:
        reason = _run_conflict(record, facts)
        if reason is not None:
            return Conflict(reason=reason)
    if facts.is_stopped:
        return Conflict(reason="stopped")
    if _is_open_changed(change, facts):
        return Conflict(reason="open", open_amounts=facts.opened)
    for move in change.moves:
        known = facts.postings.get(move.before.id)
        if known is None or known[_STATUS] != move.before.status.value:
            return Conflict(reason="posting")
    for new in change.postings:
        known = facts.postings.get(new.id)
        if known is not None and known != _posting_row(new):
            raise PostingConflictError(
                f"another posting stands under {new.id}"
            )
    return None


def _run_conflict(record: RunRecord, facts: _Facts) -> str | None:
    autopay, nominal_on = key = _key_row(record.key)
    stands = facts.runs.get(key)
    if record.version != (1 if stands is None else stands[0] + 1):
        return "version"
    for other, other_on, state in facts.others:
        if (
            other == autopay
            and other_on != nominal_on
            and RunState(state).is_doubtful
        ):
            return "doubt"
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
    record: RunRecord,
    facts: _Facts,
    writes: list[Ask | Insert],
    guards: list[int],
    touched: set[str],
    digests: dict[str, str],
    *,
    is_alone: bool,
) -> None:
    """Add the statements that write a run and what it holds back."""
    key = _key_row(record.key)
    data = dumps(record)
    digests[str(record.key)] = digest(data)
    before = facts.runs.get(key)
    alone = None
    if record.state.is_doubtful and (
        is_alone or (before is not None and before[2] == 1)
    ):
        alone = 1
    guards.append(len(writes))
    if before is None:
        writes.append(
            Ask(
                "INSERT INTO autopay_runs (version, state, charge_on, "
                "next_try_at, taken_minor, taken_currency, alone, data, "
                "autopay, nominal_on) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (autopay, nominal_on) DO NOTHING "
                "RETURNING version",
                (*_run_row(record), alone, data, *key),
            )
        )
    else:
        writes.append(
            Ask(
                "UPDATE autopay_runs SET version = ?, state = ?, "
                "charge_on = ?, next_try_at = ?, taken_minor = ?, "
                "taken_currency = ?, alone = ?, data = ? WHERE autopay = ? "
                "AND nominal_on = ? AND version = ? RETURNING version",
                (*_run_row(record), alone, data, *key, before[0]),
            )
        )
    held = _held(record) if record.state in RESERVING_STATES else {}
    was_held = {
        number: (client, currency, minor)
        for number, client, currency, minor in facts.held.get(key, ())
    }
    touched.update(client for client, _, _ in (*held.values(),))
    touched.update(client for client, _, _ in (*was_held.values(),))
    if held != was_held:
        if was_held:
            writes.append(
                Ask(
                    "DELETE FROM autopay_reservations "
                    "WHERE autopay = ? AND nominal_on = ?",
                    key,
                )
            )
        if held:
            writes.append(
                Insert(
                    _RESERVATIONS,
                    [
                        (*key, number, client, currency, minor)
                        for number, (client, currency, minor) in held.items()
                    ],
                )
            )
    if record.attempts:
        writes.append(
            Insert(
                _ATTEMPTS,
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
        )


def _entry(
    chain: int, facts: _Facts, transition: str, body: str
) -> tuple[Insert, Ask]:
    """Chain an entry to the history (see `history`)."""
    seq = facts.seq + 1
    hashed = entry_hash(facts.head, chain, seq, facts.at, transition, body)
    return (
        Insert(_HISTORY, [(transition, body, hashed, chain, seq, facts.at)]),
        Ask(
            "UPDATE autopay_chains SET seq = ?, hash = ?, at = ? "
            "WHERE chain = ? AND seq = ? RETURNING seq",
            (seq, hashed, facts.at, chain, facts.seq),
        ),
    )


def lock_number(name: str) -> int:
    """Return the 64-bit number that stands for a name in a lock."""
    hashed = hashlib.blake2b(f"autopay_core {name}".encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)
