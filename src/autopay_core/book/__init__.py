"""
The book: standing orders and what payers have, kept in versions (O1, O3).

Holds: `Book` and `AsyncBook`, in one text, and gives the names that hosts use
with them. Imports: its modules, `_crews` (for many turns at once),
`adapters.sql`, `aio`, `engine`, `ports` and the values. Nothing in here moves
money or decides about it: the book hands `calls.sweep`'s turns the orders that
are due, and keeps who changed what. Long for the descriptions of its calls.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from datetime import date
from inspect import isawaitable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast, final

from autopay_core import aio
from autopay_core._checks import check_type
from autopay_core.adapters.sql.methods import (
    Awaitable,
    Blocking,
    Listing,
    call,
    listing,
)
from autopay_core.adapters.sql.words import Calls
from autopay_core.allocation import Allocation
from autopay_core.associations import Association
from autopay_core.authorizations import Authorization, Given, words_hash
from autopay_core.autopay import AutoPay
from autopay_core.book import flows, nights
from autopay_core.book.commands import (
    ChangeAccount,
    ChangeLimit,
    ChangeMessage,
    ChangeMethod,
    ChangeName,
    ChangeRules,
    ChangeSchedule,
    Command,
    Enroll,
    Leave,
    MoveDate,
    PauseDates,
    Renew,
    Resume,
    Skip,
    TurnOff,
    TurnOn,
)
from autopay_core.book.days import DAYS_MOST, next_day
from autopay_core.book.flows import (
    Adopted,
    AskBook,
    BookFlow,
    Done,
    Look,
    Preview,
    Proof,
)
from autopay_core.book.store import (
    AsyncBookStore,
    BookStore,
    MemoryBookStore,
)
from autopay_core.book.values import (
    Draft,
    Kept,
    Kind,
    OutdatedError,
    Stands,
    Trace,
    Turned,
    Version,
)
from autopay_core.engine.dispatch import (
    answering,
    answering_async,
    terms_of,
)
from autopay_core.engine.driving import (
    drive,
    drive_async,
    stream,
    stream_async,
)
from autopay_core.errors import HostProtocolError
from autopay_core.invoices import SearchBy, SearchResult
from autopay_core.looks import Outlook
from autopay_core.payers import KeptAssociation, Payer, SavedMethod
from autopay_core.ports import Ports
from autopay_core.references import PaymentMethodRef, RunKey
from autopay_core.runs import RunResult

__all__ = [
    "DAYS_MOST",
    "Adopted",
    "AsyncBook",
    "AsyncBookStore",
    "Authorization",
    "Book",
    "BookStore",
    "ChangeAccount",
    "ChangeLimit",
    "ChangeMessage",
    "ChangeMethod",
    "ChangeName",
    "ChangeRules",
    "ChangeSchedule",
    "Command",
    "Done",
    "Draft",
    "Enroll",
    "Given",
    "Kept",
    "KeptAssociation",
    "Kind",
    "Leave",
    "Look",
    "MemoryBookStore",
    "MoveDate",
    "OutdatedError",
    "Outlook",
    "PauseDates",
    "Payer",
    "Preview",
    "Proof",
    "Renew",
    "Resume",
    "SavedMethod",
    "Skip",
    "Stands",
    "Trace",
    "TurnOff",
    "TurnOn",
    "Turned",
    "Version",
    "next_day",
    "words_hash",
]

_T = TypeVar("_T")
AnyPorts: TypeAlias = Ports | aio.Ports
"""A host's, blocking for a `Book`, awaitable for an `AsyncBook`."""


class _Asked(NamedTuple):
    """A flow, and the ports that it asks besides the book's store."""

    flow: Any
    ports: AnyPorts | None
    at_once: int = 1


def _asks(flow: BookFlow[_T], ports: AnyPorts | None = None) -> Calls[_T]:
    return cast("Calls[_T]", _Asked(flow, ports))


def _groups(ports: AnyPorts | None) -> bool:
    return ports is not None and hasattr(ports.postings, "commit_many")


def _lists(flow: Any, ports: AnyPorts, at_once: int) -> Listing:  # noqa: ANN401 - a stream
    return cast("Listing", _Asked(flow, ports, at_once))


class Commands:
    """What a book can do: the same for `Book` and for `AsyncBook`."""

    # -- Payers ---------------------------------------------------------------

    @call
    def save_payer(
        self, payer: str, name: str, *, by: str, reason: str, version: int
    ) -> Calls[Done]:
        """
        Keep a payer, or change the name of one.

        Args:
            payer: The payer's id.
            name: For people.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen; 0 for none.

        Raises:
            OutdatedError: Another version stands.

        """
        flow = flows.save_payer(
            payer, name, by=by, reason=reason, version=version
        )
        return _asks(flow)

    @call
    def associate(
        self,
        payer: str,
        found: Sequence[SearchResult | Association],
        *,
        by: str,
        reason: str,
        version: int,
        search_by: SearchBy | None = None,
        text: str = "",
    ) -> Calls[Done]:
        """
        Tie a payer to what staff ticked, and keep what it was found by (A6).

        Args:
            payer: The payer's id.
            found: What was ticked; what is associated already stays.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen; 0 for none.
            search_by: The criterion of the search, if there was one.
            text: What was searched for.

        Raises:
            OutdatedError: Another version stands.

        """
        flow = flows.associate_payer(
            payer,
            found,
            search_by,
            text,
            by=by,
            reason=reason,
            version=version,
        )
        return _asks(flow)

    @call
    def remove_association(
        self,
        payer: str,
        association: Association,
        *,
        as_of: date,
        by: str,
        reason: str,
        version: int,
    ) -> Calls[Done]:
        """
        Take an association away, and out of all orders, in one step (A7).

        Args:
            payer: The payer's id.
            association: One that the payer has.
            as_of: The date that the caller calls today.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen.

        Raises:
            OutdatedError: Another version stands.
            InvalidValueError: The payer does not have it (``NotAssociated``).

        """
        flow = flows.remove_association(
            payer, association, as_of, by=by, reason=reason, version=version
        )
        return _asks(flow)

    @call
    def preview_removal(
        self,
        payer: str,
        what: Association | PaymentMethodRef,
        *,
        as_of: date,
        ports: AnyPorts,
    ) -> Calls[tuple[Preview, ...]]:
        """
        Return what each order would lose with it; write nothing (A7).

        Args:
            payer: The payer's id.
            what: The association, or the payment method, that would go.
            as_of: The date that the caller calls today.
            ports: The host's.

        Raises:
            InvalidValueError: The payer does not have it.

        """
        flow = flows.preview_removal(payer, what, as_of, terms_of(ports))
        return _asks(flow, ports)

    @call
    def save_method(
        self,
        payer: str,
        method: PaymentMethodRef,
        *,
        by: str,
        reason: str,
        version: int,
        label: str = "",
    ) -> Calls[Done]:
        """
        Keep a payment method that a payer saved.

        Args:
            payer: The payer's id.
            method: The provider's token for it.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen; 0 for none.
            label: For people, such as ``"Visa ending in 41aa"``.

        Raises:
            OutdatedError: Another version stands.

        """
        flow = flows.save_method(
            payer, method, label, by=by, reason=reason, version=version
        )
        return _asks(flow)

    @call
    def remove_method(
        self,
        payer: str,
        method: PaymentMethodRef,
        *,
        as_of: date,
        by: str,
        reason: str,
        version: int,
    ) -> Calls[Done]:
        """
        Keep that a payer no longer has a payment method (A7).

        Orders that are paid by it are not charged from that day on; each date
        that is lost is told, until `ChangeMethod` gives them another one.

        Args:
            payer: The payer's id.
            method: One that the payer has.
            as_of: The date that the caller calls today.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen.

        Raises:
            OutdatedError: Another version stands.
            InvalidValueError: The payer does not have it
                (``MethodNotSaved``).

        """
        flow = flows.remove_method(
            payer, method, as_of, by=by, reason=reason, version=version
        )
        return _asks(flow)

    @call
    def authorize(
        self,
        payer: str,
        authorization: Authorization,
        *,
        by: str,
        reason: str,
        version: int,
    ) -> Calls[Done]:
        """
        Keep what a payer allowed (O2).

        Where `Policy.authorization_needed` names the kind of an order's
        method, nothing is charged without one in force, nor more than it
        allows; each charge names the one that it rests on.

        Args:
            payer: The payer's id.
            authorization: What was allowed.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen; 0 for none.

        Raises:
            OutdatedError: Another version stands.
            InvalidValueError: Another one has its id (``DuplicateValue``).

        """
        flow = flows.authorize(
            payer, authorization, by=by, reason=reason, version=version
        )
        return _asks(flow)

    @call
    def revoke(
        self,
        payer: str,
        authorization: str,
        *,
        as_of: date,
        by: str,
        reason: str,
        version: int,
    ) -> Calls[Done]:
        """
        Keep that a payer allows something no longer (O2).

        Args:
            payer: The payer's id.
            authorization: Its id.
            as_of: The first day on which it is revoked.
            by: Who does it.
            reason: Why.
            version: The payer's version that was seen.

        Raises:
            OutdatedError: Another version stands.
            InvalidValueError: There is none of that id (``NotInBook``).

        """
        flow = flows.revoke(
            payer,
            authorization,
            as_of,
            by=by,
            reason=reason,
            version=version,
        )
        return _asks(flow)

    @call
    def proof(self, key: RunKey, *, ports: AnyPorts) -> Calls[Proof]:
        """
        Return what one charge rests on (O2).

        Who allowed it, in which words; what was announced, taken and posted.

        Raises:
            InvalidValueError: No such run is on record (``RunNotFound``).

        """
        return _asks(flows.proof(key), ports)

    @call
    def payer(self, payer: str) -> Calls[Version]:
        """
        Return a payer as it stands.

        Raises:
            InvalidValueError: The book has no such payer (``NotInBook``).

        """
        return _asks(flows.standing_version(Kind.PAYER, payer))

    @call
    def payer_changes(self, payer: str) -> Calls[tuple[Trace, ...]]:
        """Return who changed what about a payer, ascending."""
        return _asks(flows.traces(Kind.PAYER, payer))

    # -- Standing orders ------------------------------------------------------

    @call
    def add(
        self, autopay: AutoPay, *, as_of: date, by: str, reason: str
    ) -> Calls[Done]:
        """
        Take a new standing order into the book.

        Args:
            autopay: The order; what it enrolls is associated with its payer
                and its method is saved, where the book knows the payer.
            as_of: The date that the caller calls today.
            by: Who does it.
            reason: Why.

        Raises:
            OutdatedError: An order stands under its id.
            InvalidValueError: ``NotAssociated`` or ``MethodNotSaved``.

        """
        flow = flows.add(autopay, as_of, "Add", by=by, reason=reason)
        return _asks(flow)

    @call
    def adopt(
        self, texts: Iterable[str], *, as_of: date, by: str, reason: str
    ) -> Calls[tuple[Adopted, ...]]:
        """
        Take a host's own orders into the book, as they are.

        Ids, windows and so the runs on record stay theirs. One that was
        adopted before is left as it stands; what cannot be taken says why and
        holds up no other.

        Args:
            texts: Auto-pays as `serialization.dumps` writes them.
            as_of: The date that the caller calls today.
            by: Who does it.
            reason: Why.

        """
        return _asks(flows.adopt(texts, as_of, by=by, reason=reason))

    @call
    def do(
        self,
        autopay: str,
        command: Command,
        *,
        as_of: date,
        by: str,
        reason: str,
        version: int,
        ports: AnyPorts,
    ) -> Calls[Done]:
        """
        Carry out a command about a standing order.

        Args:
            autopay: The order's id.
            command: Such as ``Skip(date(2026, 5, 31))``.
            as_of: The date that the caller calls today.
            by: Who does it.
            reason: Why.
            version: The version that was seen.
            ports: The host's; the posting store knows what was collected.

        Raises:
            OutdatedError: Another version stands.
            InvalidValueError: What the command itself refuses; the day has
                not come (``DateAhead``).

        """
        flow = flows.do(
            autopay,
            command,
            as_of,
            terms_of(ports),
            by=by,
            reason=reason,
            version=version,
        )
        return _asks(flow, ports)

    @call
    def preview(
        self, autopay: str, command: Command, *, as_of: date, ports: AnyPorts
    ) -> Calls[Preview]:
        """
        Return what a command would change; write nothing.

        Raises:
            InvalidValueError: What `do` would raise for it.

        """
        flow = flows.preview(autopay, command, as_of, terms_of(ports))
        return _asks(flow, ports)

    @call
    def preview_new(
        self, autopay: AutoPay, *, as_of: date, ports: AnyPorts
    ) -> Calls[Outlook]:
        """Return what a new order would do; write nothing."""
        flow = flows.preview_new(autopay, as_of, terms_of(ports))
        return _asks(flow, ports)

    @call
    def get(self, autopay: str) -> Calls[Version]:
        """
        Return a standing order as it stands.

        Raises:
            InvalidValueError: The book has no such order (``NotInBook``).

        """
        return _asks(flows.standing_version(Kind.AUTOPAY, autopay))

    @call
    def look(self, autopay: str, *, on: date, ports: AnyPorts) -> Calls[Look]:
        """
        Return an order's state, next dates, end and what blocks it (S14).

        Args:
            autopay: The order's id.
            on: Any date.
            ports: The host's.

        """
        return _asks(flows.look(autopay, on, terms_of(ports)), ports)

    @call
    def versions(self, autopay: str) -> Calls[tuple[Version, ...]]:
        """Return every version of an order, ascending."""
        return _asks(flows.versions(Kind.AUTOPAY, autopay))

    @call
    def changes(self, autopay: str) -> Calls[tuple[Trace, ...]]:
        """Return who changed what about an order, ascending."""
        return _asks(flows.traces(Kind.AUTOPAY, autopay))

    @call
    def of_payer(self, payer: str) -> Calls[tuple[Kept, ...]]:
        """Return the standing orders of a payer, by id."""
        return _asks(flows.owned(payer))

    # -- Days and nights ------------------------------------------------------

    @call
    def due(self, as_of: date) -> Calls[tuple[Kept, ...]]:
        """Return the orders for which something is to be done (O3)."""
        return _asks(flows.due(as_of))

    @call
    def preview_run(
        self, autopay: str, *, as_of: date, ports: AnyPorts
    ) -> Calls[Allocation]:
        """Return what `run_now` would pay, and why; write nothing."""
        flow = flows.preview_run(autopay, as_of, terms_of(ports))
        return _asks(flow, ports)

    @call
    def run_now(
        self,
        autopay: str,
        *,
        as_of: date,
        number: int,
        by: str,
        reason: str,
        ports: AnyPorts,
    ) -> Calls[RunResult]:
        """
        Run an order because a person asks for it, besides its schedule (R14).

        As `calls.run_now`, of the version that stands, and of what its payer
        is associated with.

        Raises:
            InvalidValueError: The payer no longer has the method
                (``MethodNotSaved``); what `calls.run_now` raises.

        """
        flow = flows.run_now(
            autopay, as_of, number, terms_of(ports), by=by, reason=reason
        )
        return _asks(flow, ports)

    @call
    def begin_night(
        self, *, as_of: date, ports: AnyPorts
    ) -> Calls[tuple[tuple[str, ...], ...]]:
        """
        Begin a night whose turns are taken elsewhere, and say whose they are.

        Does what `sweep` does before its first turn: looks at what was left
        under way, offers notices again, places movements. A host that gives
        each order a job begins with this, gives each its `turn`, and ends the
        night with a `sweep`, which finds what was lost on the way.

        Returns:
            Ids of the orders that have a turn, in groups. Orders of different
            groups have no client, payer or payment method in common and may
            have their turns at once; those of a group take them in turn.

        """
        return _asks(nights.begin(as_of, terms_of(ports)), ports)

    @call
    def turn(
        self,
        autopay: str,
        *,
        as_of: date,
        ports: AnyPorts,
        claim_seconds: int = 0,
    ) -> Calls[tuple[RunResult, ...]]:
        """
        Give one order the turn that `sweep` would give it (O3).

        As `calls.turn`, of the version that stands, of what its payer is
        associated with, and its next day moves as after a sweep. An order
        that is not due does nothing, so a turn too many costs nothing. Only
        an announcement (N4) may differ: it does not know what the payer's
        other orders announced in this night, and may name an invoice that
        one of them pays first.

        Args:
            autopay: The order's id.
            as_of: The date that the caller calls today, in the firm's zone.
            ports: The host's.
            claim_seconds: As `calls.sweep`.

        Raises:
            InvalidValueError: The book has no such order (``NotInBook``), or
                the day has not come (``DateAhead``).
            PortError: The posting store or the book cannot be reached; call
                it again.

        """
        flow = nights.turn(
            autopay, as_of, terms_of(ports), claim_seconds=claim_seconds
        )
        return _asks(flow, ports)

    @listing(RunResult)
    def sweep(
        self,
        *,
        as_of: date,
        ports: AnyPorts,
        claim_seconds: int = 0,
        at_once: int = 1,
    ) -> Listing:
        """
        Run all that is due by a date, and give the results as they end (O3).

        As `calls.sweep` of every order in the book, but only those have a
        turn for which something is to be done. What its payer is no longer
        associated with, or no longer has, is not paid (A7).

        Nothing happens until the results are taken: loop over them.

        Args:
            as_of: The date that the caller calls today, in the firm's zone.
            ports: The host's.
            claim_seconds: As `calls.sweep`.
            at_once: As `calls.sweep`; the book itself is asked from one
                thread.

        """
        flow = nights.sweep(
            as_of,
            terms_of(ports),
            claim_seconds=claim_seconds,
            at_once=at_once,
        )
        return _lists(flow, ports, at_once)


# -- Blocking and awaitable ---------------------------------------------------


@final
class Book(Commands, Blocking):
    """
    Standing orders, and what their payers have, in versions (O1).

    Whoever changes something says who it is, why, and which version was seen;
    if another one stands by then, nothing is written and `OutdatedError` says
    which. The same command for the same version a second time, as a double
    click sends it, changes nothing and gives what the first one made.

    Args:
        store: Where it is kept: `MemoryBookStore`, or one of
            `autopay_core.book.sqlite` and `autopay_core.book.postgres`.

    """

    def __init__(self, store: BookStore) -> None:
        self._store = store

    def __repr__(self) -> str:
        """Show where it is kept."""
        return f"Book({self._store!r})"

    def close(self) -> None:
        """Close the store, if it can be closed."""
        close = getattr(self._store, "close", None)
        if close is not None:
            close()

    def _carry_out(self, wanted: Any) -> object:  # noqa: ANN401 - a call of the store
        if type(wanted) is not AskBook:
            raise HostProtocolError("this call of the book needs the ports")
        return getattr(self._store, wanted.method)(*wanted.arguments)

    def _call(self, calls: Calls[_T]) -> _T:
        flow, ports, _ = cast("_Asked", calls)
        return cast("_T", drive(flow, self._answerer(ports)))

    def _list(self, calls: Listing) -> Iterator[Any]:
        flow, ports, at_once = cast("_Asked", calls)
        if at_once == 1:
            return stream(flow, self._answerer(ports))
        # As in `calls`.
        from autopay_core._crews import stream_at_once  # noqa: PLC0415

        return stream_at_once(
            flow, self._answerer(ports), at_once, groups=_groups(ports)
        )

    def _answerer(self, ports: AnyPorts | None) -> Callable[[Any], object]:
        if ports is None:
            return self._carry_out
        check_type(ports, Ports, "ports")
        of_ports = answering(ports)

        def answer(request: Any) -> object:  # noqa: ANN401 - any request
            if type(request) is AskBook:
                return self._carry_out(request)
            return of_ports(request)

        return answer


@final
class AsyncBook(Commands, Awaitable):
    """
    `Book` for hosts on an event loop: its methods are awaited.

    `sweep` is iterated with ``async for``, and *ports* are `aio.Ports`.

    Args:
        store: Where it is kept: `AsyncPostgresBookStore`, or one whose
            methods return at once, such as `MemoryBookStore`.

    """

    def __init__(self, store: AsyncBookStore | BookStore) -> None:
        self._store = store

    def __repr__(self) -> str:
        """Show where it is kept."""
        return f"AsyncBook({self._store!r})"

    async def _carry_out(self, wanted: Any) -> object:  # noqa: ANN401 - a call of the store
        if type(wanted) is not AskBook:
            raise HostProtocolError("this call of the book needs the ports")
        made: Any = getattr(self._store, wanted.method)(*wanted.arguments)
        return (await made) if isawaitable(made) else made

    async def _call(self, calls: Calls[_T]) -> _T:
        flow, ports, _ = cast("_Asked", calls)
        return cast("_T", await drive_async(flow, self._answerer(ports)))

    def _list(self, calls: Listing) -> AsyncIterator[Any]:
        flow, ports, at_once = cast("_Asked", calls)
        if at_once == 1:
            return stream_async(flow, self._answerer(ports))
        # As in `calls`.
        from autopay_core._crews import stream_at_once_async  # noqa: PLC0415

        return stream_at_once_async(
            flow, self._answerer(ports), groups=_groups(ports)
        )

    def _answerer(
        self, ports: AnyPorts | None
    ) -> Callable[[Any], Coroutine[Any, Any, object]]:
        if ports is None:
            return self._carry_out
        check_type(ports, aio.Ports, "ports")
        of_ports = answering_async(ports)

        async def answer(request: Any) -> object:  # noqa: ANN401 - any request
            if type(request) is AskBook:
                return await self._carry_out(request)
            return await of_ports(request)

        return answer
