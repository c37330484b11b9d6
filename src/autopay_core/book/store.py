"""
What keeps the book, in numbered clauses, and a store in memory.

Holds: `BookStore`, `AsyncBookStore`, `MemoryBookStore`. Imports: `_checks`,
`autopay`, `values`.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Protocol, TypeAlias, final

from autopay_core._checks import DATE_MAX
from autopay_core.autopay import AutoPay
from autopay_core.book.values import Draft, Kept, Kind, Stands, Turned, Version

__all__ = ["AsyncBookStore", "BookStore", "MemoryBookStore"]

Clock: TypeAlias = Callable[[], datetime]


class BookStore(Protocol):
    """
    Keeps payers and standing orders in versions (O1, O3).

    BK-1  A write is committed whole or not at all, durable when `write`
          returns, and seen by every read that begins after.
    BK-2  A version is written only after the one before it, the first after
          none; of racing writers one gets the versions, the others `Stands`
          with the version that stands.
    BK-3  `expects` refuses a write when another version stands, or any where
          it says 0, also of what the write does not touch.
    BK-4  What is read equals what was written, for every value; what cannot
          be decoded comes as `Unreadable` and holds up no other.
    BK-5  Versions have no gaps and never change; their times never go back.
    BK-6  `due` gives each order whose next day has come, by that day and id,
          after a place.
    BK-7  `move_on` moves the next day of an order only while the version
          stands that had its turn.
    """

    @abstractmethod
    def latest(self, kind: Kind, ids: Sequence[str], /) -> Sequence[Kept]:
        """Read what stands under some ids, in order of id."""
        ...

    @abstractmethod
    def versions(
        self,
        kind: Kind,
        id_: str,
        after: int,
        most: int,
        /,
    ) -> Sequence[Version]:
        """Read versions after a number, ascending."""
        ...

    @abstractmethod
    def owned(self, payer: str, after: str, most: int, /) -> Sequence[Kept]:
        """Read the standing orders of a payer, by id, after one."""
        ...

    @abstractmethod
    def due(
        self, as_of: date, after: tuple[date, str] | None, most: int, /
    ) -> Sequence[Kept]:
        """Read the standing orders whose next day has come (O3)."""
        ...

    @abstractmethod
    def write(
        self,
        drafts: Sequence[Draft],
        expects: Mapping[tuple[Kind, str], int],
        /,
    ) -> Sequence[Version] | Stands:
        """
        Write versions in one step, or none of them.

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: They may have been; the same command again
                finds out.

        """
        ...

    @abstractmethod
    def move_on(self, turned: Sequence[Turned], /) -> None:
        """Move the next day of orders whose turn has ended (O3)."""
        ...


class AsyncBookStore(Protocol):
    """`BookStore` for hosts on an event loop."""

    @abstractmethod
    async def latest(
        self, kind: Kind, ids: Sequence[str], /
    ) -> Sequence[Kept]:
        """Like `BookStore.latest`."""
        ...

    @abstractmethod
    async def versions(
        self,
        kind: Kind,
        id_: str,
        after: int,
        most: int,
        /,
    ) -> Sequence[Version]:
        """Like `BookStore.versions`."""
        ...

    @abstractmethod
    async def owned(
        self, payer: str, after: str, most: int, /
    ) -> Sequence[Kept]:
        """Like `BookStore.owned`."""
        ...

    @abstractmethod
    async def due(
        self, as_of: date, after: tuple[date, str] | None, most: int, /
    ) -> Sequence[Kept]:
        """Like `BookStore.due`."""
        ...

    @abstractmethod
    async def write(
        self,
        drafts: Sequence[Draft],
        expects: Mapping[tuple[Kind, str], int],
        /,
    ) -> Sequence[Version] | Stands:
        """Like `BookStore.write`."""
        ...

    @abstractmethod
    async def move_on(self, turned: Sequence[Turned], /) -> None:
        """Like `BookStore.move_on`."""
        ...


# -- In memory ----------------------------------------------------------------


def _system_clock() -> datetime:
    return datetime.now(UTC)


_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)


@final
class MemoryBookStore(BookStore):
    """
    A book in dictionaries; gone with the process.

    Args:
        clock: Its time; the machine's if not given.

    """

    def __init__(self, *, clock: Clock = _system_clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._latest_at = _NO_TIME
        self._versions: dict[tuple[Kind, str], list[Version]] = {}
        self._next: dict[str, date] = {}
        # By next day and id, for `due`.
        self._days: list[tuple[date, str]] = []
        self._owned: dict[str, list[str]] = {}

    def latest(self, kind: Kind, ids: Sequence[str], /) -> Sequence[Kept]:
        """Read what stands under some ids, in order of id."""
        with self._lock:
            return tuple(
                self._kept(kind, each)
                for each in sorted({*ids})
                if (kind, each) in self._versions
            )

    def _kept(self, kind: Kind, id_: str) -> Kept:
        version = self._versions[kind, id_][-1]
        return Kept(
            id=id_,
            number=version.number,
            version=version,
            next_on=self._next.get(id_) if kind is Kind.AUTOPAY else None,
        )

    def versions(
        self,
        kind: Kind,
        id_: str,
        after: int,
        most: int,
        /,
    ) -> Sequence[Version]:
        """Read versions after a number, ascending."""
        with self._lock:
            found = self._versions.get((kind, id_), [])
            return tuple(found[after : after + most])

    def owned(self, payer: str, after: str, most: int, /) -> Sequence[Kept]:
        """Read the standing orders of a payer, by id, after one."""
        with self._lock:
            ids = self._owned.get(payer, [])
            begin = bisect_right(ids, after)
            return tuple(
                self._kept(Kind.AUTOPAY, each)
                for each in ids[begin : begin + most]
            )

    def due(
        self, as_of: date, after: tuple[date, str] | None, most: int, /
    ) -> Sequence[Kept]:
        """Read the standing orders whose next day has come (O3)."""
        with self._lock:
            begin = 0 if after is None else bisect_right(self._days, after)
            found: list[Kept] = []
            for day, each in self._days[begin : begin + most]:
                if day > as_of:
                    break
                found.append(self._kept(Kind.AUTOPAY, each))
            return tuple(found)

    def write(
        self,
        drafts: Sequence[Draft],
        expects: Mapping[tuple[Kind, str], int],
        /,
    ) -> Sequence[Version] | Stands:
        """Write versions in one step, or none of them."""
        wanted = {
            **expects,
            **{(each.kind, each.id): each.number - 1 for each in drafts},
        }
        with self._lock:
            for (kind, id_), number in sorted(wanted.items(), key=_by_name):
                stands = len(self._versions.get((kind, id_), ()))
                if stands != number:
                    return Stands(kind=kind, id=id_, number=stands)
            self._latest_at = max(self._latest_at, self._clock())
            made = [version_of(each, self._latest_at) for each in drafts]
            for draft, version in zip(drafts, made, strict=True):
                place = (draft.kind, draft.id)
                self._versions.setdefault(place, []).append(version)
                if isinstance(draft.value, AutoPay):
                    if draft.number == 1:
                        owned = self._owned.setdefault(draft.value.payer, [])
                        insort(owned, draft.id)
                    self._set(draft.id, draft.next_on or DATE_MAX)
            return tuple(made)

    def _set(self, id_: str, next_on: date) -> None:
        known = self._next.get(id_)
        if known is not None:
            del self._days[bisect_left(self._days, (known, id_))]
        self._next[id_] = next_on
        insort(self._days, (next_on, id_))

    def move_on(self, turned: Sequence[Turned], /) -> None:
        """Move the next day of orders whose turn has ended (O3)."""
        with self._lock:
            for each in turned:
                stands = self._versions.get((Kind.AUTOPAY, each.id), ())
                if len(stands) == each.number:
                    self._set(each.id, each.next_on)


def _by_name(item: tuple[tuple[Kind, str], int]) -> tuple[str, str]:
    (kind, id_), _ = item
    return kind.value, id_


def version_of(draft: Draft, at: datetime) -> Version:
    """Return the version that a draft becomes at a time."""
    return Version(
        value=draft.value,
        number=draft.number,
        at=at,
        command=draft.command,
        by=draft.by,
        reason=draft.reason,
        left=draft.left,
    )
