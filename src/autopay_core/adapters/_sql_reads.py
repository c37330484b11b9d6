"""
What the SQL stores read, as steps that a driver carries out.

Holds: `SqlReads`. Imports: the core, `serialization`, `history`, `_sql`.
A read is one batch on one snapshot, so that it costs one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from autopay_core.adapters._sql import Ask, Clock, Dialect, Mark, Row, Steps
from autopay_core.adapters._sql_rows import (
    POSTING_COLUMNS,
    add_to,
    instant,
    key_row,
    posting_of,
)
from autopay_core.adapters._sql_schema import UNFINISHED
from autopay_core.commits import (
    CLOCK_BEHIND,
    OpenAmounts,
    PostingFilter,
    Standing,
    StopOrder,
)
from autopay_core.history import HistoryEntry, HistoryHead, microseconds
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import RunKey
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord
from autopay_core.serialization import loads

__all__ = ["ASK_STOPS", "ASK_VERSIONS", "SqlReads"]

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
ASK_STOPS: Final = (
    "SELECT 1 FROM autopay_stops WHERE active = 1 AND target IN ?? LIMIT 1"
)
ASK_VERSIONS: Final = (
    "SELECT client, version FROM autopay_clients WHERE client IN ??"
)


class SqlReads:
    """
    What a posting store reads, and its claims, as steps.

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
        return instant(self.mark.now(clock, kept))

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
        autopay, nominal_on = key_row(key)
        targets = [StopOrder.autopay(autopay), StopOrder.method(method)]
        (((clock, kept),), stops, run, unfinished, latest) = yield [
            self._timed(self._ask_clock),
            Ask(ASK_STOPS, (targets,)),
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
            now=instant(now),
            is_clock_suspect=instant(clock) + CLOCK_BEHIND < instant(now),
            run=records.get(nominal_on) if run else None,
            unfinished=tuple(records[on] for on, _ in unfinished),
            latest=records[latest[0][0]] if latest else None,
            is_stopped=bool(stops),
        )

    def open_amounts(self, clients: Sequence[str]) -> Steps[OpenAmounts]:
        """Read versions and open amounts of the clients' invoices."""
        wanted = list(clients)
        versions, opened = yield [
            Ask(ASK_VERSIONS, (wanted,)),
            Ask(
                "WITH numbers AS ("
                "SELECT invoice FROM autopay_postings "
                "WHERE is_open = 1 AND client IN ?? "
                "UNION SELECT invoice FROM autopay_reservations "
                "WHERE client IN ??) "
                "SELECT invoice, currency, CAST(SUM(minor) AS BIGINT) FROM ("
                "SELECT invoice, currency, minor FROM autopay_postings "
                # Not by the index of what is open: that is all of it.
                "WHERE is_open + 0 = 1 "
                "AND invoice IN {numbers} "
                "UNION ALL "
                "SELECT invoice, currency, minor FROM autopay_reservations "
                "WHERE invoice IN {numbers}"
                ") AS opened GROUP BY invoice, currency",
                (wanted, wanted),
            ),
        ]
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
                at=instant(at),
                amount=Money(amount_minor=minor, currency=currency),
            )
            for at, minor, currency in rows
        )

    def unfinished(
        self, after: RunKey | None, most: int, now: datetime
    ) -> Steps[Sequence[RunRecord]]:
        """Read runs under way whose time has come, by key."""
        autopay, nominal_on = ("", "") if after is None else key_row(after)
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
        autopay, nominal_on = ("", "") if after is None else key_row(after)
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
                f"SELECT {POSTING_COLUMNS} FROM autopay_postings {where}"  # noqa: S608 - constants
                "ORDER BY id LIMIT ?",
                (*values, wanted.most),
            )
        ]
        return tuple(posting_of(row) for row in rows)

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
                at=instant(at),
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
