"""
A payment gateway to test against: one file, many processes, all its faults.

Holds: `FaultyGateway`, `FaultyTwoStepGateway`, and the `Mischief` they do.
Imports: `audit`, `history`, `charges`, `money`, `references` and the standard
library. What a gateway has executed stands in an SQLite file that survives the
death of every process, so that a test can kill whatever it likes and ask
afterwards what was truly taken. Nothing leaves the machine; no money moves.

The gateway keeps its promises (PG-1 to PG-16, TS-1 to TS-16) and does no more
than they demand: look-ups lag, keys are forgotten after their retention,
answers are lost, and requests arrive late. Mischief is drawn at random from a
seed; declines that a test asks for by token are certain.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Any, Final, final

import attrs

from autopay_core._checks import check_id, check_type
from autopay_core.audit import GatewayKind, GatewayRow
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.history import microseconds
from autopay_core.money import Money
from autopay_core.references import MethodKind, PaymentMethodRef

__all__ = ["FaultyGateway", "FaultyTwoStepGateway", "Mischief"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS charges (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    prepared TEXT,
    status TEXT NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    method TEXT NOT NULL,
    code TEXT NOT NULL,
    decline_class TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    account TEXT NOT NULL,
    deposit TEXT NOT NULL,
    request_hash TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS charges_key ON charges (key);
CREATE TABLE IF NOT EXISTS cancelled (
    key TEXT NOT NULL PRIMARY KEY
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
    key TEXT NOT NULL PRIMARY KEY,
    request_hash TEXT NOT NULL,
    place INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS prepared (
    reference TEXT NOT NULL PRIMARY KEY,
    request_hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    event TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    of TEXT NOT NULL,
    key TEXT NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS declines (
    method TEXT NOT NULL PRIMARY KEY,
    code TEXT NOT NULL,
    decline_class TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
"""
_FOREVER: Final = 2**62
_BUSY_SECONDS: Final = 60


def _system_clock() -> datetime:
    return datetime.now(UTC)


@final
@attrs.frozen(kw_only=True)
class Mischief:
    """
    How often a gateway does what it may do, from 0 (never) to 1 (always).

    Attributes:
        unavailable: Refuses before it has read the request.
        busy: The same, with a time after which it is worth asking again.
        refuse: `prepare` says no (TS-9).
        lose_request: In doubt, and the request never arrives.
        lose_answer: In doubt, and the request was executed.
        decline: Declines, for good under that key.
        late: The request waits before it is executed.
        slow: The answer waits after it was executed.
        blind: A look-up cannot tell.
        late_seconds: How long `late` and `slow` wait at most, in seconds of
            the machine.
        lag_seconds: After how many seconds of the gateway's time at most a
            look-up shows a request.
        seed: Where the chances come from; None for the machine's own.

    """

    unavailable: float = 0.0
    busy: float = 0.0
    refuse: float = 0.0
    lose_request: float = 0.0
    lose_answer: float = 0.0
    decline: float = 0.0
    late: float = 0.0
    slow: float = 0.0
    blind: float = 0.0
    late_seconds: float = 0.2
    lag_seconds: float = 0.0
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the chances are chances."""
        for name in (
            "unavailable",
            "busy",
            "refuse",
            "lose_request",
            "lose_answer",
            "decline",
            "late",
            "slow",
            "blind",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidValueError(
                    "a chance is from 0 to 1",
                    code="OutOfRange",
                    path=name,
                    value=getattr(self, name),
                )


class _Books:
    """The file, and what both forms of the gateway do with it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = _system_clock,
        capabilities: GatewayCapabilities | None = None,
        mischief: Mischief | None = None,
        bank_debits_pend: bool = False,
    ) -> None:
        self._path = os.fspath(path)
        self._clock = clock
        self.capabilities = capabilities or self._promises()
        self.mischief = mischief or Mischief()
        self._bank_debits_pend = bank_debits_pend
        self._random = random.Random(self.mischief.seed)  # noqa: S311 - mischief
        self._random_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        settle = self.capabilities.lookup_settle_seconds
        if settle is not None and self.mischief.lag_seconds > settle:
            raise InvalidValueError(
                "look-ups would lag longer than is declared",
                code="OutOfRange",
                path="mischief.lag_seconds",
                value=self.mischief.lag_seconds,
            )
        with self._writing() as db:
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    db.execute(statement)

    @staticmethod
    def _promises() -> GatewayCapabilities:
        return GatewayCapabilities(
            lookup_settle_seconds=120, honours_deadline=True
        )

    def __repr__(self) -> str:
        """Show where it is."""
        return f"{type(self).__name__}({self._path!r})"

    # -- What a test tells it ------------------------------------------------

    def decline(
        self,
        method: PaymentMethodRef,
        code: str = "51",
        decline_class: DeclineClass = DeclineClass.LATER,
        message: str = "The card was declined.",
    ) -> None:
        """Decline everything that *method* is charged, from now on."""
        check_type(method, PaymentMethodRef, "method")
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO declines VALUES (?, ?, ?, ?)",
                (method.fingerprint, code, decline_class.value, message),
            )

    def accept(self, method: PaymentMethodRef) -> None:
        """Stop declining *method*."""
        check_type(method, PaymentMethodRef, "method")
        with self._writing() as db:
            db.execute(
                "DELETE FROM declines WHERE method = ?", (method.fingerprint,)
            )

    def settle(self, key: str) -> None:
        """Let a pending bank debit succeed."""
        self._resolve(key, GatewayKind.CAPTURED, ("", "", ""))

    def fail(
        self,
        key: str,
        code: str = "R01",
        decline_class: DeclineClass = DeclineClass.LATER,
    ) -> None:
        """Let a pending bank debit fail."""
        why = (code, decline_class.value, "The debit was returned.")
        self._resolve(key, GatewayKind.DECLINED, why)

    def give_back(
        self,
        reference: str,
        event: str,
        kind: GatewayKind = GatewayKind.REFUND,
        amount: Money | None = None,
    ) -> None:
        """
        Let captured money go back, once for each event.

        Args:
            reference: The payment's.
            event: Id of the event.
            kind: Return, refund or chargeback.
            amount: What goes back; all of the payment if None.

        Raises:
            InvalidValueError: There is no such payment (``NotCaptured``), or
                more would go back than was taken (``ReversalExceeds``).

        """
        check_id(event, "event")
        with self._writing() as db:
            row = db.execute(
                "SELECT key, minor, currency FROM charges "
                "WHERE place = ? AND status = 'captured'",
                (_place_of(reference),),
            ).fetchone()
            if row is None:
                raise InvalidValueError(
                    "no such payment was captured",
                    code="NotCaptured",
                    path="reference",
                    value=reference,
                )
            key, minor, currency = row
            wanted = minor if amount is None else amount.amount_minor
            ((gone,),) = db.execute(
                "SELECT COALESCE(SUM(minor), 0) FROM events "
                "WHERE of = ? AND event <> ?",
                (reference, event),
            )
            if gone + wanted > minor:
                raise InvalidValueError(
                    "more would go back than was captured",
                    code="ReversalExceeds",
                    path="amount",
                    value=wanted,
                )
            db.execute(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)",
                (event, kind.value, reference, key, wanted, currency),
            )

    # -- What was truly taken ------------------------------------------------

    def rows(self) -> Iterator[GatewayRow]:
        """Read everything on record, as for an audit, oldest first."""
        with self._lent() as db:
            for place, key, status, minor, currency in db.execute(
                "SELECT place, key, status, minor, currency FROM charges "
                "ORDER BY place"
            ):
                yield GatewayRow(
                    kind=GatewayKind(status),
                    reference=_reference_of(place),
                    key=key,
                    amount=Money(amount_minor=minor, currency=currency),
                )
            for event, kind, reference, minor, currency in db.execute(
                "SELECT event, kind, of, minor, currency FROM events "
                "ORDER BY event"
            ):
                yield GatewayRow(
                    kind=GatewayKind(kind),
                    reference=event,
                    amount=Money(amount_minor=minor, currency=currency),
                    of=reference,
                )

    def taken(self, key: str) -> list[tuple[Money, str]]:
        """Return what was captured under *key*, and into which account."""
        with self._lent() as db:
            rows = db.execute(
                "SELECT minor, currency, deposit FROM charges "
                "WHERE key = ? AND status = 'captured' ORDER BY place",
                (key,),
            ).fetchall()
        return [
            (Money(amount_minor=minor, currency=currency), deposit)
            for minor, currency, deposit in rows
        ]

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key*, if it shows by now (PG-5)."""
        self._be_reached()
        if self._happens("blind"):
            return Indeterminate(detail="the look-up failed")
        now = microseconds(self._clock())
        with self._writing() as db:
            # A key that was used again after its retention names the later
            # payment; of one step there is no other way to ask.
            places = db.execute(
                "SELECT k.place FROM keys AS k JOIN charges AS c "
                "ON c.place = k.place WHERE c.key = ? "
                "AND k.visible_at <= ? AND ? < k.kept_until ORDER BY k.place",
                (key, now, now),
            ).fetchall()
            return self._told(db, places)

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """Tell what became of a reference, without delay (PG-5)."""
        del key
        self._be_reached()
        with self._writing() as db:
            places = db.execute(
                "SELECT place FROM charges WHERE place = ? OR prepared = ?",
                (_place_of(reference), reference),
            ).fetchall()
            return self._told(db, places)

    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """
        See to it that nothing under *key* takes money any more (PG-11).

        It looks into the books, so that what does not show yet is no reason
        to call anything off; and what was forgotten is not called off either.
        """
        del reference  # All that was prepared under the key is cancelled.
        self._be_reached()
        with self._writing() as db:
            places = db.execute(
                "SELECT place FROM charges WHERE key = ? ORDER BY place",
                (key,),
            ).fetchall()
            if places:
                return _of_all([_outcome(db, place) for (place,) in places])
            db.execute("INSERT OR IGNORE INTO cancelled VALUES (?)", (key,))
        # Outside of the transaction: whoever hears of it can rely on it.
        return Cancelled(key=key)

    # -- Inside --------------------------------------------------------------

    def _happens(self, name: str) -> bool:
        chance: float = getattr(self.mischief, name)
        with self._random_lock:
            return self._random.random() < chance

    def _upto(self, most: float) -> float:
        with self._random_lock:
            return self._random.random() * most

    def _be_reached(self) -> None:
        """Raise if the gateway cannot, or does not want to, be asked now."""
        if self._happens("unavailable"):
            raise PortUnavailableError("the gateway cannot be reached")
        if self._happens("busy"):
            raise PortUnavailableError(
                "too many requests", code="Busy", retry_after=_BUSY_SECONDS
            )

    def _told(
        self, db: sqlite3.Connection, places: list[tuple[int]]
    ) -> LookupOutcome:
        """Return what a look-up tells of these, at this account (PG-12)."""
        mine = self.capabilities.account
        outcomes = [
            each
            for each in (_outcome(db, place) for (place,) in places)
            if not mine or each.account in {"", mine}
        ]
        return _of_all(outcomes) if outcomes else NotFound()

    def _take(
        self, key: str, request: ChargeRequest, prepared: str | None
    ) -> ChargeOutcome:
        """Execute a request, with what may happen on the way."""
        self._be_reached()
        if self._happens("lose_request"):
            return Indeterminate(detail="the connection broke")
        if self._happens("late"):
            time.sleep(self._upto(self.mischief.late_seconds))
        outcome = self._execute(key, request, prepared)
        if self._happens("slow"):
            time.sleep(self._upto(self.mischief.late_seconds))
        if self._happens("lose_answer"):
            return Indeterminate(detail="the answer was lost")
        return outcome

    def _execute(
        self, key: str, request: ChargeRequest, prepared: str | None
    ) -> ChargeOutcome:
        """Take the money, unless the key is known or the time is over."""
        with self._writing() as db:
            # Read under the lock: a request must not wait past its deadline.
            at = self._clock()
            now = microseconds(at)
            row = db.execute(
                "SELECT place, request_hash FROM keys "
                "WHERE key = ? AND ? < kept_until",
                (key, now),
            ).fetchone()
            if row is not None:
                if row[1] != request.request_hash:
                    raise PortError("another request", code="KeyReuse")
                return _outcome(db, row[0])
            gone = db.execute(
                "SELECT 1 FROM cancelled WHERE key = ?", (request.key,)
            ).fetchone()
            if gone is not None:
                raise PortUnavailableError(
                    "the key was cancelled", code="KeyCancelled"
                )
            if (
                self.capabilities.honours_deadline
                and request.not_after is not None
                and at > request.not_after
            ):
                raise PortUnavailableError(
                    "the deadline has passed", code="DeadlinePassed"
                )
            status, why = self._judge(db, request)
            cursor = db.execute(
                "INSERT INTO charges (key, prepared, status, minor, currency, "
                "method, code, decline_class, message, at, account, "
                "deposit, request_hash) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.key,
                    prepared,
                    status.value,
                    request.amount.amount_minor,
                    request.amount.currency,
                    request.method.fingerprint,
                    *why,
                    now,
                    self.capabilities.account,
                    request.deposit_account.id,
                    request.request_hash,
                ),
            )
            place = cursor.lastrowid
            assert place is not None
            lag = self._upto(self.mischief.lag_seconds)
            kept = self.capabilities.key_retention_seconds
            db.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                (
                    key,
                    request.request_hash,
                    place,
                    now + int(lag * 1_000_000),
                    # A reference is used at most once, for ever (TS-2).
                    _FOREVER
                    if prepared is not None
                    else now + kept * 1_000_000,
                ),
            )
            return _outcome(db, place)

    def _judge(
        self, db: sqlite3.Connection, request: ChargeRequest
    ) -> tuple[GatewayKind, tuple[str, str, str]]:
        """Decide what becomes of a new request."""
        fixed = db.execute(
            "SELECT code, decline_class, message FROM declines "
            "WHERE method = ?",
            (request.method.fingerprint,),
        ).fetchone()
        if fixed is not None:
            return GatewayKind.DECLINED, fixed
        if self._happens("decline"):
            later = DeclineClass.LATER.value
            why = ("51", later, "The card was declined.")
            return GatewayKind.DECLINED, why
        if (
            self._bank_debits_pend
            and request.method.kind is MethodKind.BANK_ACCOUNT
        ):
            return GatewayKind.PENDING, ("", "", "")
        return GatewayKind.CAPTURED, ("", "", "")

    def _resolve(
        self, key: str, status: GatewayKind, why: tuple[str, str, str]
    ) -> None:
        with self._writing() as db:
            cursor = db.execute(
                "UPDATE charges SET status = ?, code = ?, decline_class = ?, "
                "message = ? WHERE key = ? AND status = 'pending'",
                (status.value, *why, key),
            )
            if cursor.rowcount != 1:
                raise InvalidValueError(
                    "no debit is pending under the key",
                    code="NotPending",
                    path="key",
                    value=key,
                )

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path,
            timeout=60,
            isolation_level=None,
            check_same_thread=False,
        )
        # Durable when a call returns, wherever process or machine stop.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        return db

    @contextlib.contextmanager
    def _lent(self) -> Generator[sqlite3.Connection]:
        """Lend a connection that nobody else uses meanwhile."""
        if self._pid != os.getpid():
            # SQLite forbids what was opened before a fork; kept, not closed.
            _INHERITED.extend(self._idle)
            self._idle, self._pid = [], os.getpid()
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._connect()
        try:
            yield db
        finally:
            self._idle.append(db)

    @contextlib.contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lent() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the gateway can be used again all the same."""
        while self._idle and self._pid == os.getpid():
            self._idle.pop().close()


_INHERITED: Final[list[sqlite3.Connection]] = []


def _reference_of(place: int) -> str:
    return f"pay-{place:08d}"


def _place_of(reference: str) -> int:
    number = reference.removeprefix("pay-")
    return int(number) if number.isascii() and number.isdigit() else 0


def _outcome(
    db: sqlite3.Connection, place: int
) -> Captured | Pending | Declined:
    """Return what is on record, not what was asked (PG-7)."""
    row: tuple[Any, ...]
    (row,) = db.execute(
        "SELECT status, key, minor, currency, code, decline_class, message, "
        "account, request_hash FROM charges WHERE place = ?",
        (place,),
    )
    status, key, minor, currency, code, decline_class, message = row[:7]
    account, request_hash = row[7:]
    kind = GatewayKind(status)
    if kind is GatewayKind.DECLINED:
        return Declined(
            key=key,
            code=code,
            decline_class=DeclineClass(decline_class),
            message=message,
            account=account,
        )
    made = Captured if kind is GatewayKind.CAPTURED else Pending
    return made(
        key=key,
        amount=Money(amount_minor=minor, currency=currency),
        reference=_reference_of(place),
        account=account,
        request=request_hash,
    )


def _of_all(
    outcomes: list[Captured | Pending | Declined],
) -> Captured | Pending | Declined | Indeterminate:
    """
    Return the outcome that stands for all under one key.

    Of two payments neither is the answer: a person has to look (PG-5). A
    decline says nothing beside a payment.
    """
    payments = [each for each in outcomes if not isinstance(each, Declined)]
    if len(payments) > 1:
        return Indeterminate(detail="two payments stand under the key")
    return payments[0] if payments else outcomes[-1]


@final
class FaultyGateway(_Books):
    """
    A one-step gateway in a file (PG-1 to PG-16).

    Args:
        path: The file; made if it is not there.
        clock: The gateway's time; the machine's if not given.
        capabilities: What it promises, and keeps to the letter.
        mischief: What it does besides; nothing if not given.
        bank_debits_pend: Bank debits wait for `settle` or `fail`.

    """

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Take the money, at most once per key while it is kept (PG-1)."""
        return self._take(request.key, request, None)


@final
class FaultyTwoStepGateway(_Books):
    """
    A two-step gateway in a file (TS-1 to TS-16).

    Args:
        path: The file; made if it is not there.
        clock: The gateway's time; the machine's if not given.
        capabilities: What it promises; `two_step` must be true.
        mischief: What it does besides; nothing if not given.
        bank_debits_pend: Bank debits wait for `settle` or `fail`.

    """

    @staticmethod
    def _promises() -> GatewayCapabilities:
        return GatewayCapabilities(
            two_step=True, lookup_settle_seconds=120, honours_deadline=True
        )

    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """Make a reference; no money moves (TS-1, TS-8, TS-9)."""
        self._be_reached()
        if self._happens("refuse"):
            return Declined(
                key=request.key,
                code="refused",
                decline_class=DeclineClass.LATER,
                message="The payment method cannot be used now.",
                account=self.capabilities.account,
            )
        reference = f"prep-{os.urandom(12).hex()}"
        with self._writing() as db:
            db.execute(
                "INSERT INTO prepared VALUES (?, ?)",
                (reference, request.request_hash),
            )
        return reference

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for *reference*, at most once (TS-2, TS-3)."""
        with self._writing() as db:
            row = db.execute(
                "SELECT request_hash FROM prepared WHERE reference = ?",
                (reference,),
            ).fetchone()
        if row is None or row[0] != request.request_hash:
            raise PortError("no such reference", code="KeyReuse")
        return self._take(reference, request, reference)
