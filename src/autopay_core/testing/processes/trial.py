"""
What a trial is made of: its settings, its clocks, its firm and its payers.

Holds: `Trial`, `Shared`, the auto-pays and bills, and `open_store`. Imports:
`adapters.postgres`, `adapters.sqlite`, `gateway_faulty` and the values. All
times are the trial's own: one second of the machine is ten minutes of the
store, so that deadlines pass, keys are forgotten and zombies wake up too late
within seconds.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import select
import struct
import time
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.associations import Association
from autopay_core.autopay import AutoPay
from autopay_core.charges import GatewayCapabilities, idempotency_key
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    DepositAccount,
    PaymentMethodRef,
    RunKey,
    Secret,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import MissedPolicy, Schedule
from autopay_core.testing.gateway_faulty import Mischief

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autopay_core.adapters.postgres import PostgresPostingStore
    from autopay_core.adapters.sqlite import SqlitePostingStore

__all__ = [
    "FIRST_DAY",
    "SECRET",
    "Shared",
    "Trial",
    "autopays",
    "bills",
    "keys_of",
    "mischief",
    "open_store",
    "promises",
]

FIRST_DAY: Final = date(2026, 1, 5)
SECRET: Final = Secret(b"a trial has nothing to hide from anybody")
CLIENTS: Final = ("C-0", "C-1", "C-2")

RETENTION_SECONDS: Final = 30 * 3600
SETTLE_SECONDS: Final = 180
ATTEMPTS_MOST: Final = 60

_BEGIN: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
_LAYOUT: Final = struct.Struct("=ddqq")
_WORD: Final = struct.Struct("=q")


@final
@attrs.frozen(kw_only=True)
class Trial:
    """
    What can be set.

    Attributes:
        folder: Everything of the trial is here.
        postgres: How to connect to a PostgreSQL server; empty for SQLite in
            the folder.
        kills: How many processes are killed with SIGKILL before it rests.
        workers: How many sweep at once.
        speed: Seconds of the store in one of the machine.
        two_step: The gateway prepares first, and then confirms.
        first_edition: It neither cancels nor finds references.
        seed: Of the bills, the kills and the mischief. It does not make a
            trial repeatable: the machine's scheduler has no seed.
        pause: Chance that a process is stopped for a while instead of killed.
        kills_a_day: So many kills, and two turns of each auto-pay, make a
            day.
        most_seconds: Everything is over by then, whatever happens.
        engine: Workers take jobs of Procrastinate, on PostgreSQL, instead of
            sweeping.
        hasty: End at the first alarm, without rest and audit.
        plant: ``module:function`` that plants a defect in each worker; it is
            called with the worker's `Ports` and returns those to use.

    """

    folder: Path
    postgres: str = ""
    kills: int = 60
    workers: int = 3
    speed: float = 600.0
    two_step: bool = False
    first_edition: bool = False
    seed: int = 0
    pause: float = 0.03
    kills_a_day: int = 8
    most_seconds: int = 240
    engine: bool = False
    hasty: bool = False
    plant: str = ""

    @property
    def gateway_path(self) -> Path:
        """Where the gateway keeps what it took."""
        return self.folder / "gateway.db"

    @property
    def ledger_path(self) -> Path:
        """Where the firm's ledger is, and what people were told."""
        return self.folder / "ledger.db"

    @property
    def store_path(self) -> Path:
        """Where the posting store is, on SQLite."""
        return self.folder / "store.db"

    @property
    def identity_path(self) -> Path:
        """Where the store's own id is written down, which is in every key."""
        return self.folder / "identity.txt"

    @property
    def socket_path(self) -> Path:
        """Where the gateway listens."""
        return self.folder / "gateway.sock"

    @property
    def alarms_path(self) -> Path:
        """Where processes write what must not happen."""
        return self.folder / "alarms.txt"

    @property
    def events_path(self) -> Path:
        """Where the gateway counts what it did."""
        return self.folder / "events.txt"


@final
class Shared:
    """
    The clocks and the date that all processes of a trial share.

    In memory that is inherited over a fork; it has one writer, the driver,
    or whom it waits for. The other way goes a pipe, through which processes
    say that they are ready.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._started = time.monotonic()
        self._memory = mmap.mmap(-1, _LAYOUT.size)
        self._write(0.0, 0.0, FIRST_DAY.toordinal(), 0)
        self._ears, self._mouth = os.pipe()

    def _read(self) -> tuple[float, float, int, int]:
        found: tuple[float, float, int, int] = _LAYOUT.unpack_from(
            self._memory
        )
        return found

    def _write(self, *values: float) -> None:
        # Copied at once: `pack_into` writes zeros first, and who reads
        # meanwhile would find no date.
        self._memory[: _LAYOUT.size] = _LAYOUT.pack(*values)

    def now(self) -> datetime:
        """Return the world's time, which is the gateway's."""
        offset = self._read()[0]
        since = (time.monotonic() - self._started) * self._speed + offset
        return _BEGIN + timedelta(seconds=since)

    def store_now(self) -> datetime:
        """Return the time of the store's machine, which may be wrong."""
        return self.now() + timedelta(seconds=self._read()[1])

    @property
    def today(self) -> date:
        """The date that everybody calls today."""
        return date.fromordinal(self._read()[2])

    @property
    def heals(self) -> bool:
        """Whether all mischief has ended."""
        return bool(self._read()[3])

    def say_ready(self) -> None:
        """Tell the driver that this process begins its work."""
        os.write(self._mouth, _WORD.pack(os.getpid()))

    def say_turn(self) -> None:
        """Tell the driver that a worker takes up another auto-pay."""
        os.write(self._mouth, _WORD.pack(0))

    def listen(self, seconds: float) -> list[int]:
        """
        Wait for words of processes, no longer than so.

        Each is the id of one that is ready, or 0 for a turn.
        """
        heard, _, _ = select.select([self._ears], [], [], max(0.0, seconds))
        if not heard:
            return []
        # Words are written whole, so that none is ever read in part.
        words = os.read(self._ears, _WORD.size * 64)
        return [word for (word,) in _WORD.iter_unpack(words)]

    def jump(self, seconds: float) -> None:
        """Let time pass for everybody at once."""
        offset, *rest = self._read()
        self._write(offset + seconds, *rest)

    def skew(self, seconds: float) -> None:
        """Set the store's clock wrong by so much."""
        offset, _, *rest = self._read()
        self._write(offset, seconds, *rest)

    def next_day(self) -> None:
        """Let the next date begin, and time go on to its early morning."""
        offset, skew, today, heals = self._read()
        tomorrow = date.fromordinal(today + 1) - _BEGIN.date()
        night = tomorrow - (self.now() - _BEGIN)
        offset += max(0.0, night.total_seconds())
        self._write(offset, skew, today + 1, heals)

    def heal(self) -> None:
        """End all mischief."""
        offset, _, today, _ = self._read()
        self._write(offset, 0.0, today, 1)


# -- The firm and its payers -------------------------------------------------


def usd(minor: int) -> Money:
    """Return US dollars from cents."""
    return Money(amount_minor=minor, currency="USD")


def autopays() -> tuple[AutoPay, ...]:
    """Return six auto-pays that overlap on three clients."""

    def autopay(
        number: int,
        payer: str,
        *covered: Association,
        limit: Limit,
        missed: MissedPolicy = MissedPolicy.LATEST,
        retry: RetryPolicy | None = None,
    ) -> AutoPay:
        return AutoPay(
            id=f"ap-{number}",
            payer=payer,
            name=f"Standing order {number}",
            method=PaymentMethodRef(
                provider="acme", token=f"tok_trial_{number:04d}"
            ),
            deposit_account=DepositAccount(id="operating-1"),
            schedule=Schedule.daily(FIRST_DAY),
            limit=limit,
            enrollments=covered,
            ar_message="AutoPay",
            missed=missed,
            retry=retry,
        )

    all_of, matter = Association.to_client, Association.to_matter
    often = RetryPolicy(retries_most=2, every_days=1)
    return (
        autopay(
            0,
            "p0",
            all_of(payer="p0", client="C-0"),
            limit=Limit.up_to(usd(250_00)),
            retry=often,
        ),
        autopay(
            1,
            "p1",
            matter(payer="p1", client="C-0", matter="C-0/M-1"),
            limit=Limit.all("USD"),
        ),
        autopay(
            2,
            "p2",
            all_of(payer="p2", client="C-1"),
            limit=Limit.up_to(usd(250_00)),
            missed=MissedPolicy.ALL,
        ),
        autopay(
            3,
            "p3",
            all_of(payer="p3", client="C-1"),
            all_of(payer="p3", client="C-2"),
            limit=Limit.all("USD"),
            missed=MissedPolicy.ALL,
            retry=often,
        ),
        autopay(
            4,
            "p4",
            all_of(payer="p4", client="C-2"),
            limit=Limit.up_to(usd(180_00), per_month=usd(1_500_00)),
        ),
        autopay(
            5,
            "p5",
            matter(payer="p5", client="C-2", matter="C-2/M-0"),
            matter(payer="p5", client="C-0", matter="C-0/M-0"),
            limit=Limit.up_to(usd(250_00)),
            missed=MissedPolicy.SKIP,
        ),
    )


def bills(seed: int, on: date) -> tuple[Invoice, ...]:
    """Return what the firm bills on a date; the same for every caller."""
    made: list[Invoice] = []
    for client in CLIENTS:
        text = f"{seed} {client} {on.isoformat()}"
        digest = hashlib.sha256(text.encode()).digest()
        made.extend(
            Invoice(
                number=f"{client}-{on:%y%m%d}-{place}",
                client=client,
                matter=f"{client}/M-{digest[1 + place] % 2}",
                issued_on=on,
                balance=usd(
                    1_00 + int.from_bytes(digest[4:6]) % 150_00 + place
                ),
            )
            for place in range(1 + digest[0] % 3)
        )
    return tuple(made)


def keys_of(trial: Trial, on: date) -> Mapping[str, RunKey]:
    """Return every idempotency key that a run of a date can have."""
    return _keys_of(_identity(trial.identity_path), on)


@cache
def _identity(path: Path) -> str:
    return path.read_text()


@cache
def _keys_of(store: str, on: date) -> Mapping[str, RunKey]:
    return {
        idempotency_key(SECRET, key, attempt, store=store): key
        for autopay in autopays()
        for key in [RunKey(autopay=autopay.id, nominal_on=on)]
        for attempt in range(1, ATTEMPTS_MOST + 1)
    }


def promises(trial: Trial) -> GatewayCapabilities:
    """Return what the gateway promises."""
    return GatewayCapabilities(
        two_step=trial.two_step,
        key_retention_seconds=RETENTION_SECONDS,
        lookup_settle_seconds=SETTLE_SECONDS,
        honours_deadline=True,
        account="trial",
        cancels=not trial.first_edition,
        finds_references=not trial.first_edition,
    )


def mischief(*, heals: bool) -> Mischief:
    """Return what the gateway does besides."""
    if heals:
        return Mischief(lag_seconds=SETTLE_SECONDS)
    return Mischief(
        unavailable=0.02,
        busy=0.02,
        refuse=0.02,
        lose_request=0.04,
        lose_answer=0.08,
        decline=0.04,
        late=0.05,
        slow=0.05,
        blind=0.05,
        late_seconds=1.2,
        lag_seconds=SETTLE_SECONDS,
    )


def open_store(
    trial: Trial, clock: Callable[[], datetime]
) -> SqlitePostingStore | PostgresPostingStore:
    """Open the store of a trial, with the trial's clock."""
    if trial.postgres:
        from autopay_core.adapters.postgres import (  # noqa: PLC0415 - an extra
            PostgresPostingStore,
        )

        return PostgresPostingStore(
            trial.postgres, clock=clock, lock_seconds=6, statement_seconds=8
        )
    from autopay_core.adapters.sqlite import (  # noqa: PLC0415 - as above
        SqlitePostingStore,
    )

    return SqlitePostingStore(trial.store_path, clock=clock)


def sound(trial: Trial, alarm: str) -> None:
    """Write down what must not happen, whole, from whichever process."""
    line = " ".join(alarm.split())[:1_000]
    _append(trial.alarms_path, line)


def count(trial: Trial, event: str) -> None:
    """Write down that something happened."""
    _append(trial.events_path, event)


def _append(path: Path, line: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(number, f"{line}\n".encode())
    finally:
        os.close(number)
