"""
Matter data from Clio Manage (MD-1 to MD-9, A6).

Holds: `ClioMatterData`. Imports: `asking`, `bills`, `tokens`, `wire`,
`_search`, `associations` and the values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast, final

import attrs

from autopay_core._checks import check_type
from autopay_core.adapters._search import matches
from autopay_core.adapters.clio.asking import Asking, Reading
from autopay_core.adapters.clio.bills import (
    BILL_FIELDS,
    BillsRead,
    id_of,
    is_closed,
    is_id,
    matters_of,
    name_of,
    read_bills,
    shown,
)
from autopay_core.adapters.clio.tokens import ClioApp, ClioTokens
from autopay_core.adapters.clio.wire import Wire
from autopay_core.associations import InvoicePage, InvoiceQuery, visible
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.invoices import (
    Invoice,
    SearchBy,
    SearchPage,
    SearchQuery,
    SearchResult,
    UnreadableRow,
)
from autopay_core.money import check_currency

__all__ = ["ClioMatterData"]

_BILLS: Final = "/api/v4/bills.json"
_MATTERS: Final = "/api/v4/matters.json"
_CONTACTS: Final = "/api/v4/contacts.json"
_COMMON: Final = {"order": "id(asc)", "limit": "200"}
_OPEN: Final = {"state": "awaiting_payment", "fields": BILL_FIELDS, **_COMMON}
_SHARED: Final = timedelta(minutes=15)
_SHARED_MOST: Final = timedelta(hours=24)


def _system_clock() -> datetime:
    return datetime.now(UTC)


@final
@attrs.frozen(kw_only=True)
class _Found:
    """What one reading said, and when it began."""

    read: BillsRead
    stated_at: datetime


@final
class ClioMatterData:
    """
    The open bills of one account at Clio Manage.

    Clients are known by the ids of their contacts, matters by their display
    numbers, bills by their numbers. A bill is open in the state
    ``awaiting_payment``; a state or a kind that is not known is not
    collected. A trust request belongs to the trust account (L6).

    As a rule one pass reads every open bill and serves all clients for
    *shared_for*; its balances hold for the moment before its first request
    (B0). A pass that is interrupted, by a rate limit say, goes on where it
    was when it is asked again in that time. With ``shared_for=None`` each
    call reads the bills of its own clients.

    Nothing is waited for: what asks to come later is a
    `PortUnavailableError`, and nothing is sent before that time. Calls may
    come from several threads; one pass serves them all.

    Args:
        tokens: The user's, as they were kept last.
        app: The host's application, for new tokens.
        save: Keeps new tokens; called before anything else is asked, and
            again until it raises nothing.
        currency: Of the bills that name none.
        base: Where the account is: ``https://app.clio.com``, or ``eu.``,
            ``ca.`` or ``au.`` before it.
        shared_for: How old a pass may get, at most a day; None to read
            client by client.
        clock: The host's time.
        pages_most: No list has more pages of two hundred rows.
        timeout_seconds: How long an answer is waited for.

    Raises:
        InvalidValueError: No such address (``ClioAddress``), currency or
            time.

    """

    def __init__(  # noqa: PLR0913 - what an account is asked with
        self,
        tokens: ClioTokens,
        *,
        app: ClioApp,
        save: Callable[[ClioTokens], object],
        currency: str,
        base: str = "https://app.clio.com",
        shared_for: timedelta | None = _SHARED,
        clock: Callable[[], datetime] = _system_clock,
        pages_most: int = 500,
        timeout_seconds: float = 30.0,
    ) -> None:
        check_type(tokens, ClioTokens, "tokens")
        check_type(app, ClioApp, "app")
        check_type(pages_most, int, "pages_most")
        check_currency(currency)
        if pages_most < 1 or not timeout_seconds > 0:
            raise InvalidValueError(
                "at least one page, and some time to wait",
                code="OutOfRange",
                path="pages_most" if pages_most < 1 else "timeout_seconds",
            )
        if shared_for is not None and not (
            timedelta(0) <= shared_for <= _SHARED_MOST
        ):
            raise InvalidValueError(
                "from no time to a day",
                code="OutOfRange",
                path="shared_for",
            )
        self._asking = Asking(
            Wire(base, timeout_seconds),
            app=app,
            tokens=tokens,
            save=save,
            clock=clock,
            pages_most=pages_most,
        )
        self._currency = currency
        self._shared_for = shared_for
        self._clock = clock
        self._lock = threading.Lock()
        self._found: _Found | None = None
        self._begun: Reading | None = None

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """
        Return the covered bills, all on one page (MD-1 to MD-5).

        Raises:
            PortUnavailableError: Clio does not answer, or asks to come later
                (``ClioUnreachable``, ``ClioFailed``, ``ClioBusy``).
            IncompleteReadError: What it answers contradicts itself, or is no
                list of bills.
            PortError: It refuses the request or the tokens, or these could
                not be kept (``ClioRefused``, ``ClioLogin``,
                ``TokensNotSaved``).

        """
        if not query.associations:
            return InvoicePage(invoices=())
        clients = dict.fromkeys(str(e.client) for e in query.associations)
        if self._shared_for is None:
            found = self._of_clients(list(clients))
        else:
            with self._lock:
                found = self._of_everybody(self._shared_for)
        rows: list[Invoice] = []
        lost: list[UnreadableRow] = []
        for client in clients:
            rows.extend(found.read.invoices.get(client, ()))
        for each in (*clients, None):
            lost.extend(found.read.unreadable.get(each, ()))
        covered = visible(rows, query.associations)
        return InvoicePage(
            invoices=covered,
            total=len(covered),
            unreadable=tuple(lost),
            source_rows=found.read.rows,
            stated_at=found.stated_at,
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        """
        Return a page of what matches (MD-6, A6).

        Raises:
            PortUnavailableError: As for `open_invoices`; so are the others.
            InvalidValueError: A page that was not handed out
                (``PageFormat``).

        """
        if query.by is SearchBy.CLIENT_NUMBER and not is_id(query.text):
            return SearchPage(results=())
        path, params = _asked_for(query)
        reading = (
            self._asking.begin(path, params)
            if query.page is None
            else self._asking.reading_at(query.page, path)
        )
        self._asking.go_on(reading)
        [page] = reading.pages
        found: dict[SearchResult, None] = {}
        for row in page.rows:
            if type(row) is dict:
                for each in _results(cast("dict[str, Any]", row), query.by):
                    if matches(each, query):
                        found[each] = None
        return SearchPage(
            results=tuple(found), next_page=self._asking.page_after(reading)
        )

    # -- Reading --------------------------------------------------------------

    def _of_everybody(self, shared_for: timedelta) -> _Found:
        """Return the pass that is still new enough, or make a new one."""
        found = self._found
        if found is not None and self._is_new(found.stated_at, shared_for):
            return found
        begun = self._begun
        self._begun = None
        if begun is None or not self._is_new(begun.started_at, shared_for):
            begun = self._asking.begin(_BILLS, _OPEN)
        try:
            while begun.target is not None:
                self._asking.go_on(begun)
        except PortUnavailableError:
            self._begun = begun
            raise
        found = _Found(
            read=read_bills(begun.pages, currency=self._currency),
            stated_at=begun.started_at,
        )
        self._found = found
        return found

    def _is_new(self, moment: datetime, shared_for: timedelta) -> bool:
        # A clock that was set back makes a pass of later: not to be trusted.
        return timedelta(0) <= self._clock() - moment < shared_for

    def _of_clients(self, clients: list[str]) -> _Found:
        """Read the bills of some clients, one after the other."""
        invoices: dict[str, Any] = {}
        unreadable: dict[str | None, list[UnreadableRow]] = {}
        rows = 0
        stated_at = self._clock()
        # What is not written as an id is nobody's.
        for client in filter(is_id, clients):
            reading = self._asking.begin(
                _BILLS, {"client_id": client, **_OPEN}
            )
            while reading.target is not None:
                self._asking.go_on(reading)
            read = read_bills(
                reading.pages, currency=self._currency, client=client
            )
            invoices |= read.invoices
            for owner, lost in read.unreadable.items():
                unreadable.setdefault(owner, []).extend(lost)
            rows += read.rows
        return _Found(
            read=BillsRead(
                invoices=invoices, unreadable=unreadable, rows=rows
            ),
            stated_at=stated_at,
        )

    def __repr__(self) -> str:
        """Show no token."""
        return "ClioMatterData(…)"


def _asked_for(query: SearchQuery) -> tuple[str, Mapping[str, str]]:
    """Return what list is asked for, and how."""
    match query.by:
        case SearchBy.CLIENT_NAME:
            return _CONTACTS, {
                "query": query.text,
                "client_only": "true",
                "fields": "id,name",
                **_COMMON,
            }
        case SearchBy.CLIENT_NUMBER:
            return _CONTACTS, {
                "ids[]": query.text,
                "client_only": "true",
                "fields": "id,name",
                **_COMMON,
            }
        case SearchBy.MATTER_NUMBER | SearchBy.MATTER_DESCRIPTION:
            return _MATTERS, {
                "query": query.text,
                "fields": "id,display_number,description,client{id,name}",
                **_COMMON,
            }
        case SearchBy.INVOICE_NUMBER:
            return _BILLS, {
                "query": query.text,
                "fields": (
                    "id,number,state,client{id,name},"
                    "matters{id,display_number}"
                ),
                **_COMMON,
            }


def _results(row: Mapping[str, Any], by: SearchBy) -> Iterator[SearchResult]:
    """Return what a row says; one that cannot be read is not found."""
    with suppress(InvalidValueError):
        match by:
            case SearchBy.CLIENT_NAME | SearchBy.CLIENT_NUMBER:
                yield SearchResult(
                    client=id_of(row.get("id"), "id"),
                    client_name=shown(row.get("name")),
                )
            case SearchBy.MATTER_NUMBER | SearchBy.MATTER_DESCRIPTION:
                client, name = _owner(row)
                yield SearchResult(
                    client=client,
                    client_name=name,
                    matter=name_of(row, "display_number"),
                    matter_description=shown(row.get("description")),
                )
            case SearchBy.INVOICE_NUMBER if not is_closed(row):
                client, name = _owner(row)
                yield SearchResult(
                    client=client,
                    client_name=name,
                    matter=matters_of(row)[0],
                    invoice=name_of(row, "number"),
                )
            case SearchBy.INVOICE_NUMBER:
                pass


def _owner(row: Mapping[str, Any]) -> tuple[str, str]:
    client: object = row.get("client")
    found = cast("dict[str, object]", client if type(client) is dict else {})
    return id_of(found.get("id"), "client.id"), shown(found.get("name"))
