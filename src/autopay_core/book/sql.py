"""
The book's store in SQL: one text for SQLite and PostgreSQL.

Holds: `SqlBook` and `BlockingBook`, `AwaitableBook`. Imports: `schema`,
`store`, `values`, `adapters.sql`, `serialization`, `history` and the values.
A write is two batches in one transaction: the first takes locks (on
PostgreSQL; SQLite has one writer anyway) and reads which versions stand, the
second writes if they are those that were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

from autopay_core.adapters.sql.methods import Awaitable, Blocking, call
from autopay_core.adapters.sql.rows import instant
from autopay_core.adapters.sql.words import (
    AnswerLostError,
    Ask,
    Calls,
    Clock,
    Dialect,
    Insert,
    LostRaceError,
    Read,
    Row,
    Steps,
    Write,
)
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.book.schema import ENTRIES, VERSIONS
from autopay_core.book.store import AsyncBookStore, BookStore, version_of
from autopay_core.book.values import Draft, Kept, Kind, Stands, Turned, Version
from autopay_core.commits import Unreadable
from autopay_core.errors import (
    AutopayError,
    CommitUnknownError,
    FormatError,
    PortError,
    PortUnavailableError,
)
from autopay_core.history import microseconds
from autopay_core.payers import Payer
from autopay_core.serialization import dumps, loads
from autopay_core.serialization.reading import parse, reader
from autopay_core.serialization.writing import writer

__all__ = ["AwaitableBook", "BlockingBook", "SqlBook"]

_TRIES: Final = 3
_MOVED_AT_ONCE: Final = 500
_LEFT_MOST: Final = 16 * 1024 * 1024

_COLUMNS: Final = (
    "entry.id, entry.number, entry.next_on, version.kind, version.command, "
    "version.said_by, version.reason, version.data, version.left_data, "
    "version.at"
)
_STANDING: Final = (
    f"SELECT {_COLUMNS} FROM autopay_book_entries AS entry "  # noqa: S608 - constants
    "JOIN autopay_book_versions AS version ON version.kind = entry.kind "
    "AND version.id = entry.id AND version.number = entry.number WHERE "
)
_ASK_LATEST: Final = (
    _STANDING + "entry.kind = ? AND entry.id IN ?? ORDER BY entry.id"
)
_ASK_OWNED: Final = (
    _STANDING + "entry.payer = ? AND entry.id > ? "
    "AND entry.next_on IS NOT NULL ORDER BY entry.id LIMIT ?"
)
_ASK_DUE: Final = (
    _STANDING + "entry.next_on <= ? AND (entry.next_on, entry.id) > (?, ?) "
    "AND entry.next_on IS NOT NULL "
    "ORDER BY entry.next_on, entry.id LIMIT ?"
)
_ASK_VERSIONS: Final = (
    "SELECT id, number, kind, command, said_by, reason, data, left_data, at "
    "FROM autopay_book_versions WHERE kind = ? AND id = ? AND number > ? "
    "ORDER BY number LIMIT ?"
)
_ASK_NUMBER: Final = (
    "SELECT entry.id, entry.number, version.at "
    "FROM autopay_book_entries AS entry "
    "JOIN autopay_book_versions AS version ON version.kind = entry.kind "
    "AND version.id = entry.id AND version.number = entry.number "
    "WHERE entry.kind = ? AND entry.id IN ??"
)
_SET_ENTRY: Final = (
    "UPDATE autopay_book_entries SET number = ?, next_on = ? "
    "WHERE kind = ? AND id = ? AND number = ?"
)
_MOVE_ON: Final = (
    "UPDATE autopay_book_entries SET next_on = ? "
    "WHERE kind = 'autopay' AND number = ? AND id IN ??"
)

_KINDS: Final[Mapping[Kind, type[Any]]] = {
    Kind.AUTOPAY: AutoPay,
    Kind.PAYER: Payer,
}
_LEFT: Final[Any] = tuple[Enrollment, ...]
_DECODED_MOST: Final = 1_024
"""Versions that a store does not decode again; more than a page."""


class SqlBook:
    """
    The methods of a book's store, as transactions.

    Args:
        dialect: How the database differs.
        clock: Its time; None for the database's own.

    """

    def __init__(self, dialect: Dialect, clock: Clock | None) -> None:
        self._dialect = dialect
        self._clock = clock
        # What is due is read again when its turn begins (R7), and is still
        # the same, but for what somebody changed meanwhile.
        self._decode = lru_cache(_DECODED_MOST)(_version_of)

    @call
    def latest(
        self, kind: Kind, ids: Sequence[str], /
    ) -> Calls[tuple[Kept, ...]]:
        """Read what stands under some ids, in order of id."""
        return (yield from self._kept(Ask(_ASK_LATEST, (kind.value, [*ids]))))

    @call
    def owned(
        self, payer: str, after: str, most: int, /
    ) -> Calls[tuple[Kept, ...]]:
        """Read the standing orders of a payer, by id, after one."""
        return (yield from self._kept(Ask(_ASK_OWNED, (payer, after, most))))

    @call
    def due(
        self, as_of: date, after: tuple[date, str] | None, most: int, /
    ) -> Calls[tuple[Kept, ...]]:
        """Read the standing orders whose next day has come (O3)."""
        day, id_ = ("", "") if after is None else (str(after[0]), after[1])
        values = (str(as_of), day, id_, most)
        return (yield from self._kept(Ask(_ASK_DUE, values)))

    def _kept(self, ask: Ask) -> Calls[tuple[Kept, ...]]:
        (rows,) = yield Read([ask])
        return tuple(_kept_of(row, self._decode) for row in rows)

    @call
    def versions(
        self, kind: Kind, id_: str, after: int, most: int, /
    ) -> Calls[tuple[Version, ...]]:
        """Read versions after a number, ascending."""
        values = (kind.value, id_, after, most)
        (rows,) = yield Read([Ask(_ASK_VERSIONS, values)])
        return tuple(_version_of(row) for row in rows)

    @call
    def write(
        self,
        drafts: Sequence[Draft],
        expects: Mapping[tuple[Kind, str], int],
        /,
    ) -> Calls[tuple[Version, ...] | Stands]:
        """
        Write versions in one step, or none of them.

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: They may have been; the same command again
                finds out.

        """
        for _ in range(_TRIES):
            try:
                written: tuple[Version, ...] | Stands = yield Write(
                    self._write(drafts, expects)
                )
            except LostRaceError:
                continue
            except AnswerLostError as lost:
                return (yield from self._settle(lost))
            return written
        raise PortUnavailableError(
            "other writers kept winning; nothing was written",
            code="StoreBusy",
        )

    def _settle(
        self, lost: AnswerLostError
    ) -> Calls[tuple[Version, ...] | Stands]:
        """Find out whether a write stands whose answer was lost."""
        result: tuple[Version, ...] | Stands = lost.result
        if isinstance(result, Stands):
            return result
        try:
            stands: bool = yield Write(self._is_written(result))
        except (PortError, AnswerLostError, LostRaceError) as error:
            raise CommitUnknownError(
                "the answer to a commit was lost, and the book cannot be "
                "asked; give the same command again"
            ) from error
        if stands:
            return result
        if self._dialect.absence_is_proof:
            raise PortUnavailableError(
                "the commit broke off; nothing was written"
            ) from lost
        raise CommitUnknownError(
            "the commit broke off and is not there now; give the same "
            "command again"
        ) from lost

    def _write(
        self,
        drafts: Sequence[Draft],
        expects: Mapping[tuple[Kind, str], int],
    ) -> Steps[tuple[Version, ...] | Stands]:
        wanted = {
            **expects,
            **{(each.kind, each.id): each.number - 1 for each in drafts},
        }
        names = sorted(wanted, key=_name)
        # One statement for each kind, however many names there are.
        asked = {
            kind: [id_ for each, id_ in names if each is kind] for kind in Kind
        }
        answers = yield [
            *self._lock(names),
            self._now(),
            *(Ask(_ASK_NUMBER, (k.value, ids)) for k, ids in asked.items()),
        ]
        *_, clock = answers[: -len(asked)]
        latest = clock[0][0]
        numbers: dict[tuple[Kind, str], int] = {}
        for kind, rows in zip(asked, answers[-len(asked) :], strict=True):
            for id_, number, at in rows:
                numbers[kind, id_] = number
                latest = max(latest, at)
        for kind, id_ in names:
            number = numbers.get((kind, id_), 0)
            if number != wanted[kind, id_]:
                return Stands(kind=kind, id=id_, number=number)
        at = instant(latest)
        versions = tuple(version_of(each, at) for each in drafts)
        first = [each for each in drafts if each.number == 1]
        batch: list[Ask | Insert] = [
            Insert(VERSIONS, [_version_row(each) for each in versions])
        ]
        if first:
            batch.append(Insert(ENTRIES, [_entry_row(each) for each in first]))
        batch.extend(
            Ask(
                _SET_ENTRY,
                (
                    each.number,
                    None if each.next_on is None else str(each.next_on),
                    each.kind.value,
                    each.id,
                    each.number - 1,
                ),
            )
            for each in drafts
            if each.number > 1
        )
        yield batch
        return versions

    def _is_written(self, versions: Sequence[Version]) -> Steps[bool]:
        """Tell whether versions stand; whoever holds a lock has to end."""
        names = sorted(((each.kind, each.id) for each in versions), key=_name)
        answers = yield [
            *self._lock(names),
            *(
                Ask(
                    _ASK_VERSIONS,
                    (each.kind.value, each.id, each.number - 1, 1),
                )
                for each in versions
            ),
        ]
        found = answers[-len(versions) :]
        return all(
            rows and _version_of(rows[0]) == each
            for rows, each in zip(found, versions, strict=True)
        )

    def _lock(self, names: Sequence[tuple[Kind, str]]) -> Sequence[Ask]:
        if self._dialect.locks is None:
            return ()
        return self._dialect.locks(
            {f"book {kind.value} {id_}": False for kind, id_ in names}
        )

    def _now(self) -> Ask:
        if self._clock is None:
            return Ask(f"SELECT {self._dialect.clock} AS clock")
        return Ask(
            "SELECT CAST(? AS BIGINT) AS clock",
            (microseconds(self._clock()),),
        )

    @call
    def move_on(self, turned: Sequence[Turned], /) -> Calls[None]:
        """Move the next day of orders whose turn has ended (O3)."""
        parts: dict[tuple[str, int], list[str]] = {}
        for each in turned:
            place = (str(each.next_on), each.number)
            parts.setdefault(place, []).append(each.id)
        if not parts:
            return
        try:
            yield Write(_moving(parts))
        except (LostRaceError, AnswerLostError) as error:
            raise PortUnavailableError(
                "the days of the night were not written; a turn too many "
                "costs nothing",
                code="StoreBusy",
            ) from error


def _moving(parts: Mapping[tuple[str, int], Sequence[str]]) -> Steps[None]:
    yield [
        Ask(_MOVE_ON, (day, number, [*ids][begin : begin + _MOVED_AT_ONCE]))
        for (day, number), ids in parts.items()
        for begin in range(0, len(ids), _MOVED_AT_ONCE)
    ]


def _name(name: tuple[Kind, str]) -> tuple[str, str]:
    return name[0].value, name[1]


# -- Rows ---------------------------------------------------------------------


def _version_row(version: Version) -> Row:
    return (
        version.kind.value,
        version.id,
        version.command,
        version.by,
        version.reason,
        dumps(version.value),
        writer(_LEFT)(version.left) if version.left else "",
        version.number,
        microseconds(version.at),
    )


def _entry_row(draft: Draft) -> Row:
    value = draft.value
    is_order = isinstance(value, AutoPay)
    return (
        draft.kind.value,
        draft.id,
        value.payer if isinstance(value, AutoPay) else value.id,
        str(draft.next_on) if is_order and draft.next_on else None,
        draft.number,
    )


def _version_of(row: Row) -> Version:
    """
    Return a version.

    Raises:
        PortError: It cannot be decoded, or a newer version wrote it.

    """
    id_, number, kind, command, by, reason, data, left, at = row
    try:
        return Version(
            value=loads(data, _KINDS[Kind(kind)]),
            number=number,
            at=instant(at),
            command=command,
            by=by,
            reason=reason,
            left=reader(_LEFT)(parse(left, _LEFT_MOST)) if left else (),
        )
    except AutopayError as error:
        code = _code_of(error)
    raise PortError(
        f"version {number} of {id_} in the book cannot be read", code=code
    )


def _code_of(error: AutopayError) -> str:
    is_newer = (
        isinstance(error, FormatError) and error.code == "VersionUnsupported"
    )
    return "FormatNewer" if is_newer else "FormatUnreadable"


def _kept_of(row: Row, decode: Callable[[Row], Version]) -> Kept:
    id_, number, next_on, *rest = row
    version: Version | Unreadable
    try:
        version = decode((id_, number, *rest))
    except PortError as error:
        version = Unreadable(key=id_, code=error.code)
    return Kept(
        id=id_,
        number=number,
        version=version,
        next_on=None if next_on is None else date.fromisoformat(next_on),
    )


# -- Stores -------------------------------------------------------------------


class BlockingBook(SqlBook, Blocking, BookStore):
    """A book's store whose methods return values."""


class AwaitableBook(SqlBook, Awaitable, AsyncBookStore):
    """A book's store whose methods are awaited."""
