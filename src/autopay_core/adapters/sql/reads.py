"""
What the SQL stores read.

Holds: `SqlReads`, and `certain`, a write that loses no race. Imports: the
values, `engine.driving`, `serialization`, `history`, `words`, `rows`,
`schema`, `methods`. A read is one batch on one snapshot, so that it costs one
round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar

from autopay_core.adapters.sql.methods import Listing, call, listing
from autopay_core.adapters.sql.rows import (
    POSTING_COLUMNS,
    add_to,
    instant,
    key_row,
    posting_of,
)
from autopay_core.adapters.sql.schema import UNFINISHED
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
from autopay_core.commits import (
    CLOCK_BEHIND,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
)
from autopay_core.engine.driving import Given
from autopay_core.errors import CommitUnknownError, PortUnavailableError
from autopay_core.history import HistoryEntry, HistoryHead, microseconds
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord
from autopay_core.serialization import loads

__all__ = ["ASK_STOPS", "ASK_VERSIONS", "SqlReads", "certain"]

_T = TypeVar("_T")

_PAGE: Final = 500

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
# Open postings of all invoices that the clients have any amount on.
_ASK_OPEN: Final = (
    "WITH numbers AS ("
    "SELECT invoice FROM autopay_postings WHERE is_open = 1 AND client IN ?? "
    "UNION SELECT invoice FROM autopay_reservations WHERE client IN ??) "
    "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) FROM ("
    "SELECT invoice, currency, minor FROM autopay_postings "
    # Not by the index of what is open: that is all of it.
    "WHERE is_open + 0 = 1 AND invoice IN {numbers} "
    "UNION ALL SELECT invoice, currency, minor FROM autopay_reservations "
    "WHERE invoice IN {numbers}) AS opened GROUP BY invoice, currency"
)
ASK_STOPS: Final = (
    "SELECT 1 FROM autopay_stops WHERE active = 1 AND target IN ?? LIMIT 1"
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


class SqlReads:
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
        self._ask_clock = _ASK_CLOCK.replace("{clock}", time)
        self._time = time
        self._mark = Mark()

    # -- Time ----------------------------------------------------------------

    def _timed(self, sql: str, *values: object) -> Ask:
        """Give the time to a statement that tells it."""
        if self._clock is None:
            return Ask(sql, values)
        return Ask(sql, (microseconds(self._clock()), *values))

    def _now(self) -> Calls[datetime]:
        (((clock, kept),),) = yield Read([self._timed(self._ask_clock)])
        return instant(self._mark.now(clock, kept))

    def _keep_time(self) -> Calls[None]:
        """Write down the latest time that was told, if it ran ahead."""
        if self._mark.is_ahead:
            yield from certain(self._write_time(self._mark.told))

    @staticmethod
    def _write_time(told: int) -> Steps[None]:
        yield [
            Ask(
                "UPDATE autopay_chains SET at = ? WHERE chain = 0 AND at < ?",
                (told, told),
            )
        ]

    # -- The port ------------------------------------------------------------

    @call
    def standing(self, key: RunKey, method: str, /) -> Calls[Standing]:
        """Read what is known about a run, its auto-pay and its method."""
        autopay, nominal_on = key_row(key)
        targets = [StopOrder.autopay(autopay), StopOrder.method(method)]
        asks = [
            self._timed(self._ask_clock),
            Ask(ASK_STOPS, (targets,)),
            Ask(_ASK_RUN, (autopay, nominal_on)),
            Ask(_ASK_UNFINISHED, (autopay,)),
            Ask(_ASK_LATEST, (autopay,)),
        ]
        (((clock, kept),), stops, run, unfinished, latest) = yield Read(asks)
        now = self._mark.now(clock, kept)
        records: dict[str, RunRecord] = {}
        for on, data in (*run, *unfinished, *latest):
            if on not in records:
                records[on] = loads(data, RunRecord)
        standing = Standing(
            now=instant(now),
            is_clock_suspect=instant(clock) + CLOCK_BEHIND < instant(now),
            run=records.get(nominal_on) if run else None,
            unfinished=tuple(records[on] for on, _ in unfinished),
            latest=records[latest[0][0]] if latest else None,
            is_stopped=bool(stops),
        )
        yield from self._keep_time()
        return standing

    @call
    def open_amounts(self, clients: Sequence[str], /) -> Calls[OpenAmounts]:
        """Read versions and open amounts of the clients' invoices."""
        wanted = list(clients)
        versions, opened = yield Read(
            [Ask(ASK_VERSIONS, (wanted,)), Ask(_ASK_OPEN, (wanted, wanted))]
        )
        known: dict[str, int] = dict(versions)
        amounts: dict[str, Money] = {}
        for number, currency, minor in opened:
            add_to(
                amounts, number, Money(amount_minor=minor, currency=currency)
            )
        return OpenAmounts(
            versions={each: known.get(each, 0) for each in wanted},
            amounts=amounts,
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
        """Read the attempts that charged a method, oldest first (N3)."""
        rows = yield from _rows(
            "SELECT at, minor, currency FROM autopay_attempts "
            "WHERE method = ? AND at >= ? "
            "ORDER BY at, autopay, nominal_on, number",
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
    ) -> Calls[Sequence[RunRecord]]:
        """Read runs under way whose time has come, by key."""
        now = yield from self._now()
        rows = yield from _rows(
            "SELECT data FROM autopay_runs "  # noqa: S608 - constants
            f"WHERE {UNFINISHED} "
            "AND state IN ('open', 'pending', 'review') "
            "AND (autopay, nominal_on) > (?, ?) "
            "AND (next_try_at IS NULL OR next_try_at <= ?) "
            "ORDER BY autopay, nominal_on LIMIT ?",
            *_place(after),
            microseconds(now),
            most,
        )
        return tuple(loads(data, RunRecord) for (data,) in rows)

    @call
    def claim(self, key: RunKey, seconds: int, /) -> Calls[bool]:
        """Reserve a run's work for a while (PS-14)."""
        return (yield from certain(self._claim(key, seconds)))

    def _claim(self, key: RunKey, seconds: int) -> Steps[bool]:
        (((clock, kept),),) = yield [self._timed(self._ask_clock)]
        now = self._mark.now(clock, kept)
        autopay, nominal_on = key_row(key)
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

    @call
    def postings(self, wanted: PostingFilter, /) -> Calls[Sequence[Posting]]:
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
        rows = yield from _rows(
            f"SELECT {POSTING_COLUMNS} FROM autopay_postings {where}"  # noqa: S608 - constants
            "ORDER BY id LIMIT ?",
            *values,
            wanted.most,
        )
        return tuple(posting_of(row) for row in rows)

    @call
    def undelivered(self, most: int, /) -> Calls[Sequence[Notice]]:
        """Read the oldest notices that are not marked as delivered."""
        rows = yield from _rows(
            "SELECT data FROM autopay_notices WHERE is_delivered = 0 "
            "ORDER BY place LIMIT ?",
            most,
        )
        return tuple(loads(data, Notice) for (data,) in rows)

    # -- Beside the port -----------------------------------------------------

    @call
    def now(self) -> Calls[datetime]:
        """Return the store's time; it never goes back (PS-12)."""
        now = yield from self._now()
        yield from self._keep_time()
        return now

    @listing(RunRecord)
    def runs(self) -> Listing:
        """Read every run on record, by key, a page at a time."""
        after: RunKey | None = None
        while rows := (
            yield from _rows(
                "SELECT data FROM autopay_runs "
                "WHERE (autopay, nominal_on) > (?, ?) "
                "ORDER BY autopay, nominal_on LIMIT ?",
                *_place(after),
                _PAGE,
            )
        ):
            for record in [loads(data, RunRecord) for (data,) in rows]:
                yield Given(record)
                after = record.key

    @listing(Notice)
    def notices(self) -> Listing:
        """Read every notice on record, oldest first, a page at a time."""
        after = 0
        while rows := (
            yield from _rows(
                "SELECT place, data FROM autopay_notices WHERE place > ? "
                "ORDER BY place LIMIT ?",
                after,
                _PAGE,
            )
        ):
            for notice in [loads(data, Notice) for _, data in rows]:
                yield Given(notice)
            after = rows[-1][0]

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
        )


def _place(after: RunKey | None) -> tuple[str, str]:
    """Return what every key comes after, or those after *after*."""
    return ("", "") if after is None else key_row(after)
