"""
What the SQL stores read.

Holds: `SqlReads`, and `certain`, a write that loses no race. Imports: the
values, `engine.driving`, `serialization`, `history`, `words`, `rows`,
`schema`, `methods`, `adoption`, `proofs`, `_holds`. A read is one batch on one
snapshot, so that it costs one round trip. Long for the texts of its queries.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from autopay_core.adapters._holds import targets_of
from autopay_core.adapters.sql.adoption import adopt
from autopay_core.adapters.sql.methods import Listing, call, listing
from autopay_core.adapters.sql.proofs import SqlProofs
from autopay_core.adapters.sql.rows import (
    POSTING_COLUMNS,
    Key,
    add_to,
    day_of,
    instant,
    key_of,
    key_row,
    key_text,
    posting_of,
    status_of,
    with_token,
)
from autopay_core.adapters.sql.schema import UNFINISHED, UNSETTLED
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Calls,
    Clock,
    Dialect,
    LostRaceError,
    Mark,
    Read,
    Row,
    Steps,
    Write,
)
from autopay_core.balances import (
    LOOK_BACK,
    Expected,
    ShareStep,
    ShareStepKind,
    steps_needed_since,
)
from autopay_core.batches import Batch, BatchState, PostingTotal
from autopay_core.commits import (
    CLOCK_BEHIND,
    BatchFilter,
    Incident,
    OpenAmounts,
    PostingFilter,
    PostingSort,
    Standing,
    Told,
    Unreadable,
    decoded,
)
from autopay_core.engine.driving import Given
from autopay_core.errors import (
    AutopayError,
    CommitUnknownError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.history import (
    CHAINS,
    HistoryEntry,
    HistoryHead,
    microseconds,
)
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.movements import MovementRecord, MovementState
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord, is_same_account
from autopay_core.serialization import loads

__all__ = ["ASK_CLOCK", "ASK_HELD", "ASK_VERSIONS", "SqlReads", "certain"]

_T = TypeVar("_T")

_PAGE: Final = 500
_TRIES: Final = 3

_RUN: Final = (
    "SELECT autopay, nominal_on, number, data, token FROM autopay_runs "
)
_KEY: Final = "autopay, nominal_on, number"
_ASK_RUN: Final = _RUN + "WHERE autopay = ? AND nominal_on = ? AND number = ?"
_ASK_UNFINISHED: Final = (
    f"{_RUN}WHERE autopay = ? AND {UNFINISHED} ORDER BY nominal_on, number"
)
_ASK_LATEST: Final = (
    _RUN + "WHERE autopay = ? AND state <> 'announced' AND number = 0 "
    "ORDER BY nominal_on DESC LIMIT 1"
)
_ASK_REFERENCED: Final = (
    "SELECT autopay, nominal_on, number, data, token, account "  # noqa: S608 - constants
    f"FROM autopay_runs WHERE reference = ? ORDER BY {_KEY}"
)
_ASK_KEYED: Final = (
    _RUN + f"WHERE ({_KEY}) IN (SELECT {_KEY} "  # noqa: S608 - constants
    "FROM autopay_keys WHERE key = ?)"
)
_ASK_SENT: Final = (
    "SELECT autopay, nominal_on, number, data, token FROM autopay_runs "  # noqa: S608 - constants
    f"JOIN (SELECT {_KEY}, MAX(at) AS last FROM autopay_attempts "
    f"WHERE at >= ? GROUP BY {_KEY} "
    "ORDER BY last DESC, autopay DESC, nominal_on DESC, number DESC LIMIT ?) "
    f"AS newest USING ({_KEY}) "
    "ORDER BY last DESC, autopay DESC, nominal_on DESC, number DESC"
)
_TIME: Final = (
    "{clock} AS clock, (SELECT MAX(at) FROM autopay_chains) AS kept, trusted"
)
ASK_CLOCK: Final = f"SELECT {_TIME} FROM autopay_store"  # noqa: S608 - constants
_ASK_STORE: Final = (
    f"SELECT {_TIME}, "  # noqa: S608 - constants
    "(SELECT MAX(committed_at) FROM autopay_chains) AS committed_at, "
    "id, epoch, restored_since, restored_stores FROM autopay_store"
)
_ASK_AMOUNTS: Final = f"SELECT {_TIME}, holds_version FROM autopay_store"  # noqa: S608 - constants
_ASK_HOLDS: Final = (
    "SELECT data FROM autopay_holds WHERE active = 1 AND target IN ?? "
    "ORDER BY id"
)
_ASK_LINE_HOLDS: Final = (
    "SELECT data FROM autopay_holds WHERE active = 1 AND client IN ?? "
    "ORDER BY id"
)
_ASK_TOLD: Final = (
    "SELECT topic, said, key FROM autopay_told WHERE autopay = ?"
)
_ASK_INCIDENTS: Final = (
    "SELECT cause, day, began_at, port FROM autopay_incidents "
    "WHERE over_at IS NULL ORDER BY cause, day"
)
_ASK_EXPECTED: Final = (
    "SELECT invoice, data FROM autopay_expected WHERE client IN ??"
)
_ASK_DISTINCT: Final = "SELECT first, second FROM autopay_distinct"
# The mark is never after now, so that nothing is missed.
_LOOK_BACK: Final = LOOK_BACK.days * 86_400_000_000
_ASK_STEPS: Final = (
    "SELECT place, posting, invoice, kind, currency, minor, at "  # noqa: S608 - constants
    "FROM autopay_steps WHERE client IN ?? AND at >= (SELECT MIN(since) FROM ("
    f"SELECT MAX(at) - {_LOOK_BACK} AS since FROM autopay_chains UNION ALL "
    "SELECT MIN(counted_at) AS since FROM autopay_expected "
    "WHERE client IN ??) AS needed)"
)
_ASK_UNSETTLED: Final = (
    "SELECT invoice, currency, minor FROM autopay_postings "  # noqa: S608 - constants
    f"WHERE client IN ?? AND {UNSETTLED} AND minor < 0"
)
# Open postings of all invoices that the clients have any amount on.
_ASK_OPEN: Final = (
    "WITH numbers AS ("
    "SELECT invoice FROM autopay_postings WHERE is_open = 1 AND client IN ?? "
    "UNION SELECT invoice FROM autopay_reservations WHERE client IN ??) "
    "SELECT invoice, currency, reserved, "
    "CAST(SUM(minor) AS BIGINT) AS minor FROM ("
    "SELECT invoice, currency, minor, 0 AS reserved FROM autopay_postings "
    # Not by the index of what is open: that is all of it.
    "WHERE is_open + 0 = 1 AND invoice IN {numbers} "
    "UNION ALL SELECT invoice, currency, minor, 1 AS reserved "
    "FROM autopay_reservations WHERE invoice IN {numbers}) AS opened "
    "GROUP BY invoice, currency, reserved"
)
ASK_HELD: Final = (
    "SELECT 1 AS one FROM autopay_holds "
    "WHERE active = 1 AND target IN ?? LIMIT 1"
)
ASK_VERSIONS: Final = (
    "SELECT client, version FROM autopay_clients WHERE client IN ??"
)


def certain(steps: Steps[_T]) -> Calls[_T]:
    """
    Write what loses no race.

    Raises:
        PortUnavailableError: Nothing was written.
        CommitUnknownError: It may have been.

    """
    try:
        result: _T = yield Write(steps)
    except LostRaceError as error:
        raise PortUnavailableError(
            "another writer won; nothing was written", code="StoreBusy"
        ) from error
    except AnswerLostError as lost:
        raise CommitUnknownError("the answer to a commit was lost") from lost
    return result


def _rows(sql: str, *values: object) -> Calls[list[Row]]:
    """Read the rows of one statement."""
    rows: list[Row]
    (rows,) = yield Read([Ask(sql, values)])
    return rows


def _found(kind: type[_T], key: str, data: str) -> _T | Unreadable:
    """Read a value, or say why it cannot be read (PS-22)."""
    try:
        return loads(data, kind)
    except AutopayError as error:
        return Unreadable(key=key, code=error.code)


def _run(row: Row) -> RunRecord | Unreadable:
    autopay, nominal_on, number, data, token, *_ = row
    key = key_text(autopay, nominal_on, number)
    found = _found(RunRecord, key, data)
    if isinstance(found, Unreadable):
        return found
    try:
        return with_token(found, token)
    except InvalidValueError as error:
        return Unreadable(key=key, code=error.code)


def _posting(row: Row) -> Posting | Unreadable:
    *columns, moved_at = row
    try:
        return posting_of(columns, _since(moved_at))
    except InvalidValueError as error:
        return Unreadable(key=row[0], code=error.code)


def _since(moved_at: int) -> datetime | None:
    """
    Return since when a posting stands where it stands, if that is known.

    It is not in a row of before it was kept; and it decides nothing, so one
    that cannot be is none.
    """
    try:
        return instant(moved_at) if moved_at else None
    except (OverflowError, TypeError):
        return None


def _total(row: Row) -> PostingTotal | Unreadable:
    status, currency, count, minor = row
    try:
        return PostingTotal(
            status=status_of(status),
            count=count,
            amount=Money(amount_minor=minor, currency=currency),
        )
    except InvalidValueError as error:
        return Unreadable(key=f"{status} {currency}", code=error.code)


def _listed(
    sure: Callable[[RunRecord | Unreadable], RunRecord | Unreadable],
) -> Listing:
    """Read every run, by key, a page at a time."""
    after: Sequence[object] = _place(None)
    while rows := (
        yield from _rows(
            f"{_RUN}WHERE ({_KEY}) > (?, ?, ?) ORDER BY {_KEY} LIMIT ?",
            *after,
            _PAGE,
        )
    ):
        for row in rows:
            yield Given(sure(_run(row)))
        after = rows[-1][:3]


def _notices(
    sure: Callable[[Notice | Unreadable], Notice | Unreadable],
) -> Listing:
    """Read every notice, oldest first, a page at a time."""
    after = 0
    while rows := (
        yield from _rows(
            "SELECT place, key, data FROM autopay_notices WHERE place > ? "
            "ORDER BY place LIMIT ?",
            after,
            _PAGE,
        )
    ):
        for _, key, data in rows:
            yield Given(sure(_found(Notice, key, data)))
        after = rows[-1][0]


def _as_read(found: _T) -> _T:
    return found


class SqlReads(SqlProofs):
    """
    What a posting store reads.

    Args:
        dialect: How the database differs.
        clock: The store's time; None for the database's own.

    """

    def __init__(self, dialect: Dialect, clock: Clock | None = None) -> None:
        self._dialect = dialect
        self._clock = clock
        time = dialect.clock if clock is None else "CAST(? AS BIGINT)"
        assert time is not None, "a database without a clock needs one"
        self._time = time
        self._mark = Mark()
        self._is_adopted = False

    # -- Time ----------------------------------------------------------------

    def _timed(self, sql: str, *values: object) -> Ask:
        """Give the time to a statement that tells it."""
        sql = sql.replace("{clock}", self._time)
        if self._clock is None:
            return Ask(sql, values)
        return Ask(sql, (microseconds(self._clock()), *values))

    def _now(self) -> Calls[datetime]:
        ((time,),) = yield Read([self._timed(ASK_CLOCK)])
        return instant(self._mark.now(*time))

    def _keep_time(self) -> Calls[None]:
        """Write down the latest time that was told, if it ran ahead."""
        if self._mark.is_ahead:
            yield from certain(
                self._write_time(self._mark.told, self._mark.trusted)
            )

    def _write_time(self, told: int, trusted: int) -> Steps[None]:
        yield [
            *self._lock({"store": True}),
            Ask(
                "UPDATE autopay_chains SET at = ? WHERE chain = 0 AND at < ? "
                # Not what was told before a person put the clock right.
                "AND (SELECT trusted FROM autopay_store) = ?",
                (told, told, trusted),
            ),
        ]

    def _lock(self, names: Mapping[str, bool]) -> Sequence[Ask]:
        """Lock names, where there is more than one writer at a time."""
        lock = self._dialect.locks
        return () if lock is None else lock(names)

    def _adopt(self) -> Calls[None]:
        """
        Bring a store that has just been made, or migrated, up to date.

        Raises:
            PortUnavailableError: It could not be; nothing else was written.
            PortError: Somebody deleted what the store knows of itself.

        """
        tries = iter(range(_TRIES))
        while not self._is_adopted:
            (named,) = yield Read([Ask("SELECT id FROM autopay_store")])
            if not named:
                raise PortError(
                    "the row of autopay_store is gone; restore it",
                    code="StoreCorrupt",
                )
            if named[0] != ("",):
                self._is_adopted = True
                return
            if next(tries, None) is None:
                raise PortUnavailableError(
                    "the store could not be brought up to date"
                )
            # Lost or not, it does no harm to do it again.
            with contextlib.suppress(LostRaceError, AnswerLostError):
                yield Write(self._adopted())

    def _adopted(self) -> Steps[None]:
        locks = self._lock({"store": False})
        return adopt(self._dialect, locks, self._timed(ASK_CLOCK))

    # -- The port ------------------------------------------------------------

    @call
    def standing(
        self, key: RunKey, method: str, payer: str = "", /
    ) -> Calls[Standing]:
        """Read what is known about a run, its auto-pay, method and payer."""
        yield from self._adopt()
        autopay, nominal_on, number = key_row(key)
        asks = [
            self._timed(_ASK_STORE),
            Ask(_ASK_HOLDS, (list(targets_of(autopay, method, payer)),)),
            Ask(_ASK_TOLD, (autopay,)),
            Ask(_ASK_INCIDENTS),
            Ask(_ASK_RUN, (autopay, nominal_on, number)),
            Ask(_ASK_UNFINISHED, (autopay,)),
            Ask(_ASK_LATEST, (autopay,)),
        ]
        (
            ((*time, committed_at, store, epoch, since, stores),),
            holds,
            told,
            incidents,
            run,
            unfinished,
            latest,
        ) = yield Read(asks)
        now = self._mark.now(*time)
        records: dict[Row, RunRecord] = {}
        for row in (*run, *unfinished, *latest):
            if row[:3] not in records:
                records[row[:3]] = decoded(_run(row))
        standing = Standing(
            now=instant(now),
            clock=instant(time[0]),
            committed_at=instant(committed_at) if committed_at else None,
            is_clock_suspect=instant(time[0]) + CLOCK_BEHIND < instant(now),
            store=store,
            epoch=epoch,
            restored_since=None if since is None else instant(since),
            restored_stores=frozenset(json.loads(stores)),
            run=records[run[0][:3]] if run else None,
            unfinished=tuple(records[row[:3]] for row in unfinished),
            latest=records[latest[0][:3]] if latest else None,
            holds=tuple(_hold(row) for row in holds),
            told={
                topic: Told(autopay=autopay, topic=topic, said=said, key=key)
                for topic, said, key in told
            },
            incidents=tuple(
                Incident(
                    cause=cause,
                    on=date.fromisoformat(day),
                    began_at=instant(began_at),
                    port=port,
                )
                for cause, day, began_at, port in incidents
            ),
        )
        yield from self._keep_time()
        return standing

    @call
    def open_amounts(self, clients: Sequence[str], /) -> Calls[OpenAmounts]:
        """Read versions and open amounts of the clients' invoices."""
        wanted = list(clients)
        asks = [
            self._timed(_ASK_AMOUNTS),
            Ask(ASK_VERSIONS, (wanted,)),
            Ask(_ASK_OPEN, (wanted, wanted)),
            Ask(_ASK_LINE_HOLDS, ([*wanted, ""],)),
            Ask(_ASK_UNSETTLED, (wanted,)),
            Ask(_ASK_STEPS, (wanted, wanted)),
            Ask(_ASK_EXPECTED, (wanted,)),
            Ask(_ASK_DISTINCT),
        ]
        (
            ((*time, holds_version),),
            versions,
            opened,
            holds,
            unsettled,
            steps,
            expected,
            distinct,
        ) = yield Read(asks)
        now = instant(self._mark.now(*time))
        known: dict[str, int] = dict(versions)
        amounts: dict[str, Money] = {}
        reserved: dict[str, Money] = {}
        for number, currency, is_reserved, minor in opened:
            amount = Money(amount_minor=minor, currency=currency)
            add_to(amounts, number, amount)
            if is_reserved:
                add_to(reserved, number, amount)
        reversals: dict[str, Money] = {}
        for number, currency, minor in unsettled:
            back = Money(amount_minor=-minor, currency=currency)
            add_to(reversals, number, back)
        rows = tuple(
            decoded(_found(Expected, f"what {number} owes", data))
            for number, data in sorted(expected)
        )
        since = microseconds(steps_needed_since(rows, now))
        return OpenAmounts(
            versions={each: known.get(each, 0) for each in wanted},
            amounts=amounts,
            holds=tuple(_hold(row) for row in holds),
            holds_version=holds_version,
            steps=tuple(
                _step(row) for row in sorted(steps) if row[-1] >= since
            ),
            reserved=reserved,
            reversals=reversals,
            expected=rows,
            distinct=frozenset(frozenset(pair) for pair in distinct),
        )

    @call
    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Calls[Money]:
        """Add up what the auto-pay took or is taking (L7)."""
        rows = yield from _rows(
            "SELECT taken_minor FROM autopay_runs WHERE autopay = ? "
            "AND charge_on >= ? AND charge_on < ? AND taken_currency = ? "
            "AND state IN ('open', 'pending', 'review', 'paid')",
            autopay,
            from_on.isoformat(),
            before.isoformat(),
            currency,
        )
        return Money(
            amount_minor=sum(minor for (minor,) in rows), currency=currency
        )

    @call
    def attempts(
        self, method: str, since: datetime, /
    ) -> Calls[Sequence[AttemptRecord]]:
        """Read the attempts of a method that count, oldest first (N3)."""
        rows = yield from _rows(
            "SELECT at, minor, currency FROM autopay_attempts "  # noqa: S608 - constants
            "WHERE method = ? AND counts = 1 AND at >= ? "
            f"ORDER BY at, {_KEY}, attempt",
            method,
            microseconds(since),
        )
        return tuple(
            AttemptRecord(
                at=instant(at),
                amount=Money(amount_minor=minor, currency=currency),
            )
            for at, minor, currency in rows
        )

    @call
    def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Calls[Sequence[RunRecord | Unreadable]]:
        """Read runs under way whose time has come, by key."""
        now = yield from self._now()
        rows = yield from _rows(
            f"{_RUN}WHERE {UNFINISHED} "
            "AND state IN ('open', 'pending', 'review') "
            f"AND ({_KEY}) > (?, ?, ?) "
            "AND (next_try_at IS NULL OR next_try_at <= ?) "
            f"ORDER BY {_KEY} LIMIT ?",
            *_place(after),
            microseconds(now),
            most,
        )
        return tuple(map(_run, rows))

    @call
    def waiting(
        self, after: RunKey | None, most: int, /
    ) -> Calls[Sequence[RunRecord | Unreadable]]:
        """Read runs that are waiting, by key, whenever they go on (N1)."""
        rows = yield from _rows(
            f"{_RUN}WHERE {UNFINISHED} AND state = 'waiting' "
            f"AND ({_KEY}) > (?, ?, ?) ORDER BY {_KEY} LIMIT ?",
            *_place(after),
            most,
        )
        return tuple(map(_run, rows))

    @call
    def under_way(
        self, after: RunKey | None, most: int, /
    ) -> Calls[Sequence[RunRecord | Unreadable]]:
        """Read runs under way, by key, whenever they are looked at again."""
        rows = yield from _rows(
            f"{_RUN}WHERE {UNFINISHED} "
            "AND state IN ('open', 'pending', 'review') "
            f"AND ({_KEY}) > (?, ?, ?) ORDER BY {_KEY} LIMIT ?",
            *_place(after),
            most,
        )
        return tuple(map(_run, rows))

    @call
    def referenced(
        self, reference: str, account: str, /
    ) -> Calls[Sequence[RunRecord]]:
        """Read the runs with a payment reference at an account (R8)."""
        yield from self._adopt()
        rows = yield from _rows(_ASK_REFERENCED, reference)
        return tuple(
            decoded(_run(row))
            for row in rows
            if is_same_account(account, row[-1])
        )

    @call
    def keyed(self, key: str, /) -> Calls[Sequence[RunRecord]]:
        """Read the run one of whose attempts has a key (PS-24)."""
        yield from self._adopt()
        rows = yield from _rows(_ASK_KEYED, key)
        return tuple(decoded(_run(row)) for row in rows)

    @call
    def sent(
        self, since: datetime, most: int, /
    ) -> Calls[Sequence[RunRecord | Unreadable]]:
        """Read runs with an attempt that began since, newest first (PS-25)."""
        yield from self._adopt()
        rows = yield from _rows(_ASK_SENT, microseconds(since), most)
        return tuple(map(_run, rows))

    @call
    def movement(self, id: str, /) -> Calls[Sequence[MovementRecord]]:  # noqa: A002 - the word
        """Read what was received under a movement's own id (P4)."""
        rows = yield from _rows(
            "SELECT id, data FROM autopay_movements WHERE id = ?", id
        )
        return tuple(_movement(row) for row in rows)

    @call
    def movements(
        self, state: MovementState, after: str, most: int, /
    ) -> Calls[Sequence[MovementRecord | Unreadable]]:
        """Read movements in a state, by id, after one (P4)."""
        rows = yield from _rows(
            "SELECT id, data FROM autopay_movements WHERE state = ? "
            # Repeats the condition of a partial index.
            "AND state <> 'placed' AND id > ? ORDER BY id LIMIT ?",
            state.value,
            after,
            most,
        )
        return tuple(_found(MovementRecord, *row) for row in rows)

    @call
    def holds(
        self, after: str, most: int, /
    ) -> Calls[Sequence[Hold | Unreadable]]:
        """Read the holds in force, by id, after one (H1)."""
        rows = yield from _rows(
            "SELECT id, data FROM autopay_holds WHERE active = 1 AND id > ? "
            "ORDER BY id LIMIT ?",
            after,
            most,
        )
        return tuple(_found(Hold, *row) for row in rows)

    @call
    def claim(self, key: RunKey, seconds: int, /) -> Calls[bool]:
        """Reserve a run's work for a while (PS-14)."""
        return (yield from certain(self._claim(key, seconds)))

    def _claim(self, key: RunKey, seconds: int) -> Steps[bool]:
        ((time,),) = yield [self._timed(ASK_CLOCK)]
        now = self._mark.now(*time)
        autopay, nominal_on, number = key_row(key)
        _, claimed = yield [
            Ask(
                # What is over is of no use; the table stays small.
                "DELETE FROM autopay_claims WHERE autopay = ? "
                "AND (nominal_on <> ? OR number <> ?) AND until_at <= ?",
                (autopay, nominal_on, number, now),
            ),
            Ask(
                "INSERT INTO autopay_claims "  # noqa: S608 - constants
                "(autopay, nominal_on, number, until_at) "
                f"VALUES (?, ?, ?, ?) ON CONFLICT ({_KEY}) "
                "DO UPDATE SET until_at = excluded.until_at "
                "WHERE autopay_claims.until_at <= ? RETURNING until_at",
                (
                    autopay,
                    nominal_on,
                    number,
                    now + seconds * 1_000_000,
                    now,
                ),
            ),
        ]
        return bool(claimed)

    @call
    def postings(
        self, wanted: PostingFilter, /
    ) -> Calls[Sequence[Posting | Unreadable]]:
        """Read postings, in order of id if no other is asked for (PS-27)."""
        terms, values = _terms(wanted)
        columns = (*_SORTS[wanted.sort], "id")
        if wanted.after is not None:
            sign = "<" if wanted.descending else ">"
            named = ", ".join(columns)
            terms.append(
                f"({named}) {sign} (SELECT {named} "  # noqa: S608 - constants
                "FROM autopay_postings WHERE id = ?)"
                if len(columns) > 1
                else f"id {sign} ?"
            )
            values.append(wanted.after)
        way = " DESC" if wanted.descending else ""
        order = ", ".join(f"{each}{way}" for each in columns)
        rows = yield from _rows(
            f"SELECT {POSTING_COLUMNS}, moved_at "  # noqa: S608 - constants
            f"FROM autopay_postings {_where(terms)}"
            f"ORDER BY {order} LIMIT ?",
            *values,
            wanted.most,
        )
        return tuple(map(_posting, rows))

    @call
    def posting_totals(
        self, wanted: PostingFilter, /
    ) -> Calls[Sequence[PostingTotal | Unreadable]]:
        """Count and add up the postings of a filter (PS-27)."""
        terms, values = _terms(wanted)
        rows = yield from _rows(
            "SELECT status, currency, COUNT(*) AS count, "  # noqa: S608 - constants
            "CAST(SUM(minor) AS BIGINT) AS minor FROM autopay_postings "
            f"{_where(terms)}"
            "GROUP BY status, currency ORDER BY status, currency",
            *values,
        )
        return tuple(map(_total, rows))

    @call
    def batch(self, id: str, /) -> Calls[Sequence[Batch]]:  # noqa: A002 - the word
        """Read the batch of an id, if there is one (PS-26)."""
        rows = yield from _rows(
            "SELECT id, data FROM autopay_batches WHERE id = ?", id
        )
        return tuple(_batch(row) for row in rows)

    @call
    def batches(
        self, wanted: BatchFilter, /
    ) -> Calls[Sequence[Batch | Unreadable]]:
        """Read batches in order of id."""
        terms, values = ["id > ?"], [cast("Any", wanted.after)]
        if wanted.states:
            terms.append("state IN ??")
            values.append(sorted(each.value for each in wanted.states))
            if BatchState.ANSWERED not in wanted.states:
                # Repeats the condition of a partial index.
                terms.append("state <> 'answered'")
        if wanted.posting is not None:
            terms.append(
                "id IN (SELECT batch FROM autopay_batch_lines "
                "WHERE posting = ?)"
            )
            values.append(wanted.posting)
        rows = yield from _rows(
            f"SELECT id, data FROM autopay_batches {_where(terms)}"  # noqa: S608 - constants
            "ORDER BY id LIMIT ?",
            *values,
            wanted.most,
        )
        return tuple(_found(Batch, *row) for row in rows)

    @call
    def undelivered(
        self, most: int, /
    ) -> Calls[Sequence[Notice | Unreadable]]:
        """Read the oldest notices that are not marked as delivered."""
        found: list[Notice | Unreadable] = []
        wanted, after = most, 0
        # What cannot be read is never marked; it must not fill the answer.
        while wanted:
            rows = yield from _rows(
                "SELECT place, key, data FROM autopay_notices "
                "WHERE is_delivered = 0 AND place > ? ORDER BY place LIMIT ?",
                after,
                wanted,
            )
            found.extend(_found(Notice, key, data) for _, key, data in rows)
            if len(rows) < wanted:
                break
            after = rows[-1][0]
            wanted = most - sum(isinstance(each, Notice) for each in found)
        return tuple(found)

    # -- Beside the port -----------------------------------------------------

    @call
    def now(self) -> Calls[datetime]:
        """Return the store's time; it never goes back (PS-12)."""
        yield from self._adopt()
        now = yield from self._now()
        yield from self._keep_time()
        return now

    @listing(RunRecord)
    def runs(self) -> Listing:
        """Read every run on record, by key, a page at a time."""
        return _listed(decoded)

    @listing(cast("type[RunRecord | Unreadable]", object))
    def runs_as_read(self) -> Listing:
        """Read every run as `runs` does; one that cannot be read is said."""
        return _listed(_as_read)

    @listing(Notice)
    def notices(self) -> Listing:
        """Read every notice on record, oldest first, a page at a time."""
        return _notices(decoded)

    @listing(cast("type[Notice | Unreadable]", object))
    def notices_as_read(self) -> Listing:
        """Read every notice as `notices` does; one that cannot be is said."""
        return _notices(_as_read)

    @call
    def history(
        self, chain: int, after: int = 0, most: int = 1_000, /
    ) -> Calls[Sequence[HistoryEntry]]:
        """Read entries of a chain in order, after a place."""
        rows = yield from _rows(
            "SELECT seq, at, transition, body, hash "
            "FROM autopay_history WHERE chain = ? AND seq > ? "
            "ORDER BY seq LIMIT ?",
            chain,
            after,
            most,
        )
        return tuple(
            HistoryEntry(
                chain=chain,
                seq=seq,
                at=instant(at),
                transition=transition,
                body=body,
                hash=hashed,
            )
            for seq, at, transition, body, hashed in rows
        )

    @call
    def history_heads(self) -> Calls[Sequence[HistoryHead]]:
        """Read the newest entry's place and hash of every chain."""
        rows = yield from _rows(
            "SELECT chain, seq, hash FROM autopay_chains ORDER BY chain"
        )
        return tuple(
            HistoryHead(chain=chain, seq=seq, hash=hashed)
            for chain, seq, hashed in rows
            # Of another number there is none; its own is missed.
            if 0 <= chain < CHAINS
        )


_SORTS: Final[Mapping[PostingSort, tuple[str, ...]]] = MappingProxyType(
    {
        PostingSort.ID: (),
        PostingSort.MADE: ("made_at",),
        PostingSort.CHARGED: ("charged_on",),
        PostingSort.AMOUNT: ("currency", "minor"),
        PostingSort.PAYER: ("payer",),
        PostingSort.CLIENT: ("client",),
        PostingSort.INVOICE: ("invoice",),
    }
)
"""The columns that go before the id in an order; each has an index."""


def _terms(wanted: PostingFilter) -> tuple[list[str], list[Any]]:
    """Return the conditions of a filter, and their values."""
    terms: list[str] = []
    values: list[Any] = []
    if wanted.statuses:
        terms.append("status IN ??")
        values.append(sorted(each.value for each in wanted.statuses))
        if PostingStatus.APPLIED not in wanted.statuses:
            # Repeats the condition of a partial index.
            terms.append("status <> 'applied'")
    if wanted.run is not None:
        terms.append("autopay = ? AND nominal_on = ? AND number = ?")
        values.extend(key_of(wanted.run))
    for term, value in (
        ("invoice = ?", wanted.invoice),
        ("payer = ?", wanted.payer),
        ("client = ?", wanted.client),
        ("matter = ?", wanted.matter),
        ("payment_reference = ?", wanted.payment_reference),
        ("charged_on >= ?", day_of(wanted.charged_from)),
        ("charged_on < ?", day_of(wanted.charged_before)),
        ("moved_at >= ?", _micros(wanted.moved_from)),
        ("moved_at < ?", _micros(wanted.moved_before)),
        (
            "id IN (SELECT posting FROM autopay_batch_lines WHERE batch = ?)",
            wanted.batch,
        ),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    for sign, amount in ((">=", wanted.least), ("<=", wanted.greatest)):
        if amount is not None:
            terms.append(f"currency = ? AND minor {sign} ?")
            values.extend((amount.currency, amount.amount_minor))
    return terms, values


def _micros(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _where(terms: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(terms)} " if terms else ""


def _place(after: RunKey | None) -> Key:
    """Return what every key comes after, or those after *after*."""
    return ("", "", -1) if after is None else key_row(after)


def _movement(row: Row) -> MovementRecord:
    return decoded(_found(MovementRecord, *row))


def _batch(row: Row) -> Batch:
    return decoded(_found(Batch, *row))


def _hold(row: Row) -> Hold:
    return decoded(_found(Hold, "a hold", row[0]))


def _step(row: Row) -> ShareStep:
    _, posting, number, kind, currency, minor, at = row
    return ShareStep(
        posting=posting,
        invoice=number,
        amount=Money(amount_minor=minor, currency=currency),
        kind=ShareStepKind(kind),
        at=instant(at),
    )
