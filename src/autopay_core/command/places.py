"""
Where a command finds auto-pays and ports: a folder, a host, a store.

Holds: `Place`, `add_place`, `add_book`, `open_place`, `add_store`,
`open_store`, and the types of arguments. Imports: `demo`, `book`,
`serialization`, `calls`, `ports`, `runs`, `autopay`, `_checks`, and
`adapters.sqlite` and `adapters.postgres` when a store is opened. A folder
holds a firm's exports and its firm.toml; its gateway and ledger are
make-believe, so no money moves. With ``--ports`` the host's own ports are
used, and money may.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Generator, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, final

from autopay_core._checks import check_date
from autopay_core.autopay import AutoPay
from autopay_core.calls import sweep
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.ports import Ports
from autopay_core.runs import RunResult

if TYPE_CHECKING:
    from autopay_core.adapters.postgres import PostgresPostingStore
    from autopay_core.adapters.sqlite import SqlitePostingStore
    from autopay_core.book import Book

__all__ = [
    "Place",
    "a_day",
    "add_book",
    "add_place",
    "add_store",
    "open_place",
    "open_store",
]

_STORE: Final = Path("autopay.db")
_T = TypeVar("_T")


def a_day(text: str) -> date:
    """Read a date of the command line."""
    try:
        day = date.fromisoformat(text)
        check_date(day, "date")
    except ValueError:
        message = f"{text!r} is not a date such as 2026-01-31"
        raise argparse.ArgumentTypeError(message) from None
    return day


# -- Auto-pays with their ports ----------------------------------------------


def add_place(parser: argparse.ArgumentParser) -> None:
    """Let people say where the auto-pays and the ports are."""
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help=(
            "a firm's exports and its firm.toml, with make-believe gateway "
            "and ledger (default: the example firm's)"
        ),
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help=f"the folder's posting store, a SQLite file (default: {_STORE})",
    )
    parser.add_argument(
        "--ports",
        metavar="MODULE:NAME",
        help="instead of a folder: the host's Ports, or what returns them",
    )
    parser.add_argument(
        "--autopays",
        type=Path,
        metavar="FILE",
        help="with --ports: the auto-pays, a line for each as dumps() writes",
    )
    parser.set_defaults(book=None)


def add_book(parser: argparse.ArgumentParser) -> None:
    """Let people say where the standing orders are kept."""
    parser.add_argument(
        "--book",
        metavar="MODULE:NAME",
        help="with --ports, instead of --autopays: the host's Book",
    )


@final
class Place:
    """
    Auto-pays, and the ports that go with them.

    Attributes:
        ports: The make-believe ones of a folder, or the host's.
        begin: Call it with each day before anything of it is done.

    """

    def __init__(
        self,
        ports: Ports,
        autopays: Callable[[], Iterator[AutoPay]],
        begin: Callable[[date], None],
        book: Book | None = None,
    ) -> None:
        self.ports = ports
        self._autopays = autopays
        self.begin = begin
        self._book = book

    def autopays(self) -> Iterator[AutoPay]:
        """
        Return the standing orders, read one by one.

        Raises:
            InvalidValueError: They are in a book, which is asked for one at a
                time.

        """
        if self._book is not None:
            raise InvalidValueError(
                "name an auto-pay: a book is asked for one at a time",
                code="FieldMissing",
                path="AUTOPAY",
            )
        return self._autopays()

    def sweep(self, as_of: date, at_once: int = 1, /) -> Iterator[RunResult]:
        """Run all that is due by a date; a book knows what that is (O3)."""
        if self._book is not None:
            return self._book.sweep(
                as_of=as_of, ports=self.ports, at_once=at_once
            )
        return sweep(
            self.autopays(), as_of=as_of, ports=self.ports, at_once=at_once
        )

    def count(self) -> int:
        """Return how many there are; each is read for it."""
        return sum(1 for _ in self.autopays())

    def autopay(self, wanted: str, /) -> AutoPay:
        """
        Return the standing order of an id.

        Raises:
            InvalidValueError: There is none (``UnknownValue``,
                ``NotInBook``).

        """
        if self._book is not None:
            kept = self._book.get(wanted).value
            assert isinstance(kept, AutoPay)
            return kept
        known: list[str] = []
        for each in self.autopays():
            if each.id == wanted:
                return each
            known.append(str(each.id))
        some = ", ".join(known[:_SHOWN_MOST])
        raise InvalidValueError(
            f"there is no such auto-pay; there are {some or 'none'}"
            f"{' and more' if len(known) > _SHOWN_MOST else ''}",
            code="UnknownValue",
            path="AUTOPAY",
            value=wanted,
        )


_SHOWN_MOST: Final = 20


@contextlib.contextmanager
def open_place(
    options: argparse.Namespace, first_day: date, /, *, writes: bool
) -> Generator[Place, None, None]:
    """
    Open what the command line names.

    Args:
        options: The command line.
        first_day: The first day of which something is asked.
        writes: Whether anything may be written; if not, a store that is not
            there is not made either.

    Raises:
        AutopayError: It cannot be used.

    """
    if options.ports is not None:
        for other in ("folder", "store"):
            if getattr(options, other) is not None:
                raise _not_together(f"--{other}", "--ports")
        yield _host_place(options)
        return
    if options.book is not None:
        raise _not_together("--book", "a folder; give --ports")
    if options.autopays is not None:
        raise _not_together("--autopays", "a folder, whose firm.toml has them")
    from autopay_core.demo import EXAMPLE, load_firm, open_world

    firm = load_firm(EXAMPLE if options.folder is None else options.folder)
    store: Path = _STORE if options.store is None else options.store
    is_there = store.exists()
    if options.store is not None and not writes and not is_there:
        raise _no_file("--store", store)
    database = store if is_there or writes else None
    with open_world(firm, database, first_day) as world:
        yield Place(
            world.ports,
            lambda: iter(world.autopays),
            world.begin if writes else _nothing,
        )


def _host_place(options: argparse.Namespace) -> Place:
    """Take what the host has: its ports, and its file or book of orders."""
    if (options.autopays is None) == (options.book is None):
        raise FormatError(
            "with --ports, give the auto-pays' file or the host's --book",
            code="FieldMissing",
            path="--autopays",
        )
    ports = _found(options.ports, "--ports", Ports)
    if options.book is not None:
        from autopay_core.book import Book

        book = _found(options.book, "--book", Book)
        return Place(ports, lambda: iter(()), _nothing, book)
    path: Path = options.autopays
    return Place(ports, lambda: _read(path), _nothing)


def _nothing(_: date) -> None:
    """Do nothing: the host's world goes on by itself."""


def _not_together(one: str, other: str) -> InvalidValueError:
    return InvalidValueError(
        f"it does not go together with {other}",
        code="NotTogether",
        path=one,
    )


def _no_file(option: str, path: Path) -> FormatError:
    return FormatError(
        "there is no such file",
        code="FileMissing",
        path=option,
        value=str(path),
    )


def _found(name: str, option: str, kind: type[_T]) -> _T:
    """Import what the host calls so, or what it returns."""
    # As `python -m` does, so that both forms of the command find it.
    if "" not in sys.path:
        sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise FormatError(
            f"it cannot be imported ({error}); give module:name",
            code="UnknownValue",
            path=option,
            value=name,
        ) from error
    made = found() if callable(found) else found
    if not isinstance(made, kind):
        raise FormatError(
            f"it is {type(made).__name__}, not {kind.__name__}",
            code="FieldType",
            path=option,
            value=name,
        )
    return made


def _read(path: Path) -> Iterator[AutoPay]:
    """Read auto-pays one by one; blank lines are passed over."""
    from autopay_core.serialization import loads

    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield loads(line, AutoPay)
                    except InvalidValueError as error:
                        raise error.at(f"{path.name}:{number}") from error
    except FileNotFoundError:
        raise _no_file("--autopays", path) from None


# -- A store alone -----------------------------------------------------------


def add_store(parser: argparse.ArgumentParser) -> None:
    """Let people say which store is read."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--store",
        "--sqlite",
        dest="sqlite",
        metavar="FILE",
        help=f"the posting store's SQLite file (default: {_STORE})",
    )
    which.add_argument(
        "--postgres",
        metavar="CONNINFO",
        help="how to connect; a password belongs into ~/.pgpass",
    )


def open_store(
    options: argparse.Namespace, /
) -> SqlitePostingStore | PostgresPostingStore:
    """
    Open the store that the command line names; its schema is left alone.

    Raises:
        AutopayError: It is not there, or cannot be used.

    """
    if options.postgres is not None:
        try:
            from autopay_core.adapters.postgres import PostgresPostingStore
        except ImportError as error:
            raise FormatError(
                f"install the extra 'postgres' ({error})",
                code="ExtraMissing",
                path="--postgres",
            ) from error

        return PostgresPostingStore(options.postgres, migrate=False)
    from autopay_core.adapters.sqlite import SqlitePostingStore

    path = Path(_STORE if options.sqlite is None else options.sqlite)
    if not path.is_file():
        raise _no_file("--store", path)
    return SqlitePostingStore(path, migrate=False)
