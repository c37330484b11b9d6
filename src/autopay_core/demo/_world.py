"""
A firm's folder as its host sees it, with make-believe money.

Holds: `World`, `open_world`, `gateway_path`. Imports: `_firm`,
`adapters.csv`, `adapters.memory`, `adapters.sqlite`, `testing.gateway_file`,
`testing.ledger`, `ports` and `autopay`. Exports and auto-pays are the
firm's; the gateway and the ledger are make-believe and do what firm.toml
says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, final

from autopay_core.adapters.csv import CsvMatterData
from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.autopay import AutoPay
from autopay_core.demo._firm import Firm
from autopay_core.errors import AutopayError
from autopay_core.ports import Ports
from autopay_core.testing.gateway_file import FileGateway
from autopay_core.testing.ledger import Ledger

__all__ = ["World", "gateway_path", "open_world"]

_SWEEP_AT: Final = time(6, tzinfo=UTC)
_SECRET: Final = b"a secret for make-believe money, never for real"

# A sweep leaves what is under way alone for a minute: its own worker may
# still be at it. Ours was killed, and its runs are to be taken up at once.
_RESTART: Final = timedelta(minutes=2)


@final
class _Clock:
    """The time of the story; it goes on when it is told to."""

    def __init__(self, first_day: date) -> None:
        self.at = datetime.combine(first_day, _SWEEP_AT)

    def __call__(self) -> datetime:
        return self.at

    def today(self) -> date:
        """Return the firm's date."""
        return self.at.date()


@final
class World:
    """
    A firm's auto-pays and ports on some day of its story.

    Attributes:
        firm: What its folder says.
        ports: What its host would hand in.

    """

    def __init__(
        self,
        firm: Firm,
        clock: _Clock,
        store: SqlitePostingStore | MemoryPostingStore,
        gateway: FileGateway | MemoryGateway,
    ) -> None:
        self.firm = firm
        self._clock = clock
        self._store = store
        self._gateway = gateway
        self._ledger = Ledger(
            CsvMatterData(firm.folder, firm.mapping, as_of=clock.today),
            store,
            days=firm.ledger_days,
            refused=firm.refused,
            by_hand=firm.by_hand,
        )
        self.ports = Ports(
            matters=self._ledger,
            gateway=gateway,
            postings=store,
            notifier=MemoryNotifier(),
            key_secret=_SECRET,
        )

    @property
    def autopays(self) -> tuple[AutoPay, ...]:
        """The firm's standing orders."""
        return self.firm.autopays

    @property
    def store(self) -> SqlitePostingStore | MemoryPostingStore:
        """The posting store, for what it shows beside its port."""
        return self._store

    @property
    def gateway(self) -> FileGateway | MemoryGateway:
        """The make-believe gateway."""
        return self._gateway

    @property
    def today(self) -> date:
        """The day of the story; it never goes back."""
        return self._clock.today()

    def begin(self, day: date, /) -> None:
        """Go on to a day, and let staff and ledger do their work of it."""
        self._clock.at = max(self._clock.at, datetime.combine(day, _SWEEP_AT))
        self._ledger.advance(day, ports=self.ports)


@contextlib.contextmanager
def open_world(
    firm: Firm, database: Path | None, first_day: date, /
) -> Generator[World, None, None]:
    """
    Open a firm's world, where it was left or on a first day.

    The store's time is the story's, and it never goes back over restarts: so
    the day on which to go on is the day of the store's latest commit, if that
    is later.

    Args:
        firm: What its folder says.
        database: The posting store's file, with the gateway's beside it; None
            for a world in memory, which nobody remembers.
        first_day: The day of the story.

    Raises:
        AutopayError: A file cannot be used, or one is there without the
            other.

    """
    clock = _Clock(first_day)
    if database is None:
        yield World(
            firm,
            clock,
            MemoryPostingStore(clock=clock),
            MemoryGateway(clock=clock),
        )
        return
    is_restart = database.exists()
    gateway = FileGateway(
        gateway_path(database),
        clock=clock,
        declines=firm.declines,
        debit_days=firm.debit_days,
    )
    with SqlitePostingStore(database, clock=clock) as store:
        _check_pair(store, gateway, database)
        if is_restart:
            clock.at = max(clock.at, store.now()) + _RESTART
        yield World(firm, clock, store, gateway)


def _check_pair(
    store: SqlitePostingStore, gateway: FileGateway, database: Path
) -> None:
    """
    Refuse one file without the other: half of the memory is lost.

    A new gateway would not know the keys of what was taken before, and a new
    store not what was posted.
    """
    was_charged = any(each.attempts for each in store.runs())
    if was_charged == (gateway.count > 0):
        return
    # The intent is written first: the process may have died right after it.
    if was_charged and not any(each.captured for each in store.runs()):
        return
    path = gateway_path(database)
    raise AutopayError(
        f"{database.name} and {path.name} are not of one demo; start over "
        "with --fresh, or with another --store"
    )


def gateway_path(database: Path, /) -> Path:
    """Return where the gateway of a posting store keeps its memory."""
    return database.with_name(f"{database.stem}-gateway.db")
