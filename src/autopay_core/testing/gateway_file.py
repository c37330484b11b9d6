"""
A make-believe payment gateway that outlives its process (PG-1 to PG-16).

Holds: `FileGateway`, `DeclineRule`. Imports: `charges`, `money`, `references`
and the standard library's sqlite3. It moves no money, but remembers in a file
what it would have moved: kill the process that uses it, start it again, and
count what was taken under each key.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, final

import attrs

from autopay_core._checks import check_date, check_id, check_type
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.money import Money
from autopay_core.references import MethodKind

__all__ = ["DeclineRule", "FileGateway"]

_CAPABILITIES: Final = GatewayCapabilities(
    key_retention_seconds=30 * 24 * 3600,
    lookup_settle_seconds=0,
    honours_deadline=True,
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS executed (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    request_hash TEXT NOT NULL,
    outcome TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    code TEXT NOT NULL,
    decline_class TEXT NOT NULL,
    message TEXT NOT NULL,
    at TEXT NOT NULL,
    account TEXT NOT NULL DEFAULT '',
    deposit TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS cancelled (key TEXT NOT NULL PRIMARY KEY) STRICT;
"""
_ADDED: Final = ("account", "deposit")
"""Columns that a file of before does not have."""


def _system_clock() -> datetime:
    return datetime.now(UTC)


@final
@attrs.frozen(kw_only=True)
class DeclineRule:
    """
    Decline what a token is charged, for some time or for ever.

    Attributes:
        token: Of the payment method.
        code: The network's code.
        decline_class: What it means for trying again.
        message: For people.
        from_on: First day of it; None from the beginning.
        before: First day after it; None for ever.

    """

    token: str
    code: str = "51"
    decline_class: DeclineClass = DeclineClass.LATER
    message: str = "The card was declined."
    from_on: date | None = None
    before: date | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_id(self.token, "token")
        check_id(self.code, "code")
        check_type(self.decline_class, DeclineClass, "decline_class")
        for name in ("from_on", "before"):
            value = getattr(self, name)
            if value is not None:
                check_date(value, name)

    def applies(self, token: str, on: date, /) -> bool:
        """Tell whether a charge of *token* on a date is declined."""
        return (
            token == self.token
            and (self.from_on is None or self.from_on <= on)
            and (self.before is None or on < self.before)
        )


@final
class FileGateway:
    """
    A one-step gateway whose memory is a SQLite file.

    Safe for threads and processes: one key moves money once, whoever asks,
    and what was moved is on disk before anybody hears of it.

    Args:
        path: The file; made if it is not there.
        clock: Its time, for deadlines, decline rules and bank debits.
        declines: Which charges are declined; the first rule counts.
        debit_days: How many days a bank debit is pending; 0 captures at
            once.
        capabilities: What it declares; with an account, outcomes name it.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = _system_clock,
        declines: Sequence[DeclineRule] = (),
        debit_days: int = 0,
        capabilities: GatewayCapabilities = _CAPABILITIES,
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._declines = tuple(declines)
        self._debit_days = debit_days
        self._lock = threading.Lock()
        self.capabilities = capabilities
        with self._transaction() as connection:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            columns = connection.execute("PRAGMA table_info(executed)")
            known = {each[1] for each in columns}
            for name in _ADDED:
                if name not in known:
                    connection.execute(
                        f"ALTER TABLE executed ADD COLUMN {name} "
                        "TEXT NOT NULL DEFAULT ''"
                    )

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """
        Take the money, at most once per key (PG-1 to PG-8).

        Raises:
            PortUnavailableError: The deadline has passed, or the file cannot
                be written; nothing was taken.
            PortError: Another request stands under the key (``KeyReuse``).

        """
        now = self._clock()
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT request_hash FROM executed WHERE key = ?",
                (request.key,),
            ).fetchone()
            if known is None:
                if _is_cancelled(connection, request.key):
                    raise PortUnavailableError(
                        "the key was cancelled", code="KeyCancelled"
                    )
                if request.not_after is not None and now > request.not_after:
                    raise PortUnavailableError(
                        "the deadline has passed", code="DeadlinePassed"
                    )
                self._execute(connection, request, now)
            elif known[0] != request.request_hash:
                raise PortError("another request", code="KeyReuse")
            outcome = _outcome(connection, request.key)
        # Outside of the transaction: whoever hears of it can rely on it.
        assert not isinstance(outcome, NotFound)
        return outcome

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (PG-5, PG-7)."""
        with self._transaction() as connection:
            return self._found(connection, key)

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """Tell what became of a payment, by its reference (PG-5)."""
        del key
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT key FROM executed WHERE number = ?",
                (_number_of(reference),),
            ).fetchone()
            return NotFound() if row is None else self._found(connection, *row)

    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """See to it that nothing under *key* takes money any more (PG-11)."""
        del reference
        with self._transaction() as connection:
            found = _outcome(connection, key)
            if not isinstance(found, NotFound):
                return found
            connection.execute(
                "INSERT OR IGNORE INTO cancelled VALUES (?)", (key,)
            )
        # Outside of the transaction: whoever hears of it can rely on it.
        return Cancelled(key=key)

    @property
    def captured(self) -> tuple[Captured, ...]:
        """What was captured ever, in its order; pending debits aside."""
        with self._transaction() as connection:
            keys = connection.execute(
                "SELECT key FROM executed WHERE outcome = 'captured' "
                "ORDER BY number"
            ).fetchall()
            outcomes = [_outcome(connection, key) for (key,) in keys]
        return tuple(each for each in outcomes if isinstance(each, Captured))

    def taken(self, key: str) -> list[tuple[Money, str]]:
        """Return what was captured under *key*, and into which account."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT amount_minor, currency, deposit FROM executed "
                "WHERE key = ? AND outcome = 'captured'",
                (key,),
            ).fetchall()
        return [
            (Money(amount_minor=minor, currency=currency), deposit)
            for minor, currency, deposit in rows
        ]

    @property
    def count(self) -> int:
        """How many keys were executed ever, declines included."""
        with self._transaction() as connection:
            (count,) = connection.execute(
                "SELECT COUNT(*) FROM executed"
            ).fetchone()
        return int(count)

    def _found(
        self, connection: sqlite3.Connection, key: str
    ) -> LookupOutcome:
        """Return what is on record, at this account; a debit grows older."""
        due = self._clock() - timedelta(days=self._debit_days)
        connection.execute(
            "UPDATE executed SET outcome = 'captured' WHERE key = ? "
            "AND outcome = 'pending' AND at <= ?",
            (key, _text(due)),
        )
        found = _outcome(connection, key)
        mine = self.capabilities.account
        if isinstance(found, NotFound) or not mine:
            return found
        # A look-up tells of no other account (PG-12).
        return found if found.account in {"", mine} else NotFound()

    def _execute(
        self,
        connection: sqlite3.Connection,
        request: ChargeRequest,
        now: datetime,
    ) -> None:
        token, code, decline_class, message = request.method.token, "", "", ""
        outcome = "captured"
        if self._debit_days and (
            request.method.kind is MethodKind.BANK_ACCOUNT
        ):
            outcome = "pending"
        for rule in self._declines:
            if rule.applies(token, now.date()):
                outcome, code = "declined", rule.code
                decline_class = rule.decline_class.value
                message = rule.message
                break
        connection.execute(
            "INSERT INTO executed (key, request_hash, outcome, amount_minor, "
            "currency, code, decline_class, message, at, account, "
            "deposit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.key,
                request.request_hash,
                outcome,
                request.amount.amount_minor,
                request.amount.currency,
                code,
                decline_class,
                message,
                _text(now),
                self.capabilities.account,
                request.deposit_account.id,
            ),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """
        Give one durable transaction; nothing of it stands on an error.

        Closing a connection rolls back what is not committed.
        """
        is_committing = False
        try:
            with (
                self._lock,
                contextlib.closing(
                    sqlite3.connect(
                        self._path, timeout=30, isolation_level=None
                    )
                ) as connection,
            ):
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                is_committing = True
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            name = type(error).__name__
            if is_committing:
                raise PortError(f"the gateway's file: {name}") from error
            raise PortUnavailableError(
                f"the gateway's file: {name}; nothing was taken"
            ) from error


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _number_of(reference: str) -> int:
    number = reference.removeprefix("pay-")
    return int(number) if number.isascii() and number.isdigit() else 0


def _is_cancelled(connection: sqlite3.Connection, key: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM cancelled WHERE key = ?", (key,)
    ).fetchone()
    return row is not None


def _outcome(
    connection: sqlite3.Connection, key: str
) -> Captured | Pending | Declined | NotFound:
    row = connection.execute(
        "SELECT outcome, amount_minor, currency, number, code, "
        "decline_class, message, account, request_hash FROM executed "
        "WHERE key = ?",
        (key,),
    ).fetchone()
    if row is None:
        return NotFound()
    kind, minor, currency, number, code, decline_class, message = row[:7]
    account, request_hash = row[7:]
    if kind == "declined":
        return Declined(
            key=key,
            code=code,
            decline_class=DeclineClass(decline_class),
            message=message,
            account=account,
        )
    made = Pending if kind == "pending" else Captured
    return made(
        key=key,
        amount=Money(amount_minor=minor, currency=currency),
        reference=f"pay-{number:06d}",
        account=account,
        request=request_hash,
    )
