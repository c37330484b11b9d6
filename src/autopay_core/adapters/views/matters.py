"""
Matter data out of a database, by the host's statements (MD-1 to MD-9, A6).

Holds: `SqlMatterData` and `Statements`. Imports: `rows`, `sources`,
`_search`, `associations` and the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import check_type
from autopay_core.adapters._search import matches
from autopay_core.adapters.views.rows import (
    AmountsIn,
    read_instant,
    read_invoices,
    read_results,
    read_totals,
    sum_of,
)
from autopay_core.adapters.views.sources import Answer, Ask, Source
from autopay_core.associations import InvoicePage, InvoiceQuery, visible
from autopay_core.errors import IncompleteReadError, InvalidValueError
from autopay_core.invoices import (
    Invoice,
    SearchBy,
    SearchPage,
    SearchQuery,
    UnreadableRow,
)
from autopay_core.money import check_currency

__all__ = ["SqlMatterData", "Statements"]

_FIRST: Final = re.compile(
    r"\s*(SELECT|WITH|VALUES|EXEC|EXECUTE|CALL)\b", re.IGNORECASE
)
_CLIENT: Final = re.compile(r"(?<![:\w]):client\b")
_CLIENTS: Final = re.compile(r"(?<![:\w]):clients\b")
_CLIENTS_MOST: Final = 500
"""Databases bound how many values a statement may have."""
_PAGE: Final = 200


def _a_statement(value: object, path: str) -> None:
    """Refuse what is no statement that reads."""
    check_type(value, str, path)
    if not isinstance(value, str) or _FIRST.match(value) is None:
        raise InvalidValueError(
            "expected a statement that reads: SELECT, WITH, VALUES, EXEC, or "
            "CALL",
            code="StatementFormat",
            path=path,
        )


def _kept(given: Mapping[SearchBy, str]) -> Mapping[SearchBy, str]:
    return MappingProxyType(dict(given))


@final
@attrs.frozen(kw_only=True)
class Statements:
    """
    What a host's database is asked.

    In each, ``:name`` stands for a value. Columns are named as the fields
    that they fill; SQL's ``AS`` does that.

    Attributes:
        invoices: The open invoices, with columns ``number``, ``client``,
            ``matter``, ``issued_on`` and ``balance``, and if there are such
            ``due_on``, ``total``, ``currency``, ``status``, ``account`` and
            ``matters`` (all that a bill names, with ``;`` between them).
            With ``:clients``, as in ``WHERE client IN (:clients)``, it is
            asked once for all clients of an order; with ``:client`` once for
            each. With neither it is asked for everybody's.
        searches: What is searched by each criterion, with a column ``client``
            and as far as it goes ``client_name``, ``matter``,
            ``matter_description`` and ``invoice``. ``:text`` is what was
            asked for, ``:like`` a pattern of it in small letters with ``!``
            before what is to be taken as it is. It may find too much: what
            does not match is left out (MD-6).
        stated_at: For when the balances hold, one value with its offset from
            UTC, such as that of a copy made each hour; empty for a database
            that is what the firm works with (B0).
        totals: One row with ``row_count``, ``control_total`` or both, of what
            *invoices* is asked for; empty for none (B3).

    Raises:
        InvalidValueError: A statement that does not begin as one that reads
            (``StatementFormat``), or the statement of totals asks for other
            clients than that of invoices.

    """

    invoices: str
    searches: Mapping[SearchBy, str] = attrs.field(
        factory=dict[SearchBy, str], converter=_kept
    )
    stated_at: str = ""
    totals: str = ""

    def __attrs_post_init__(self) -> None:
        """Check each."""
        _a_statement(self.invoices, "invoices")
        for by, statement in self.searches.items():
            check_type(by, SearchBy, "searches")
            _a_statement(statement, f"searches[{by.value}]")
        for name, statement in (
            ("stated_at", self.stated_at),
            ("totals", self.totals),
        ):
            if statement != "":
                _a_statement(statement, name)
        if self.totals and _form(self.totals) != _form(self.invoices):
            raise InvalidValueError(
                "the totals are not those of what is asked for; both need "
                ":clients, :client, or neither",
                code="StatementFormat",
                path="totals",
            )


def _form(statement: str) -> str:
    """Return how a statement is told whose rows are wanted."""
    if _CLIENTS.search(statement):
        return ":clients"
    return ":client" if _CLIENT.search(statement) else ""


@final
class SqlMatterData:
    """
    A firm's open invoices, out of views, tables or stored procedures.

    It only reads, and all of one call in one transaction. The statements are
    the host's; what they answer is checked as any foreign data: columns by
    their names, each row by itself, and nothing is guessed. Calls may come
    from several threads, each with a connection of its own.

    Args:
        source: Where to ask.
        statements: What to ask.
        currency: Of the rows that name none.
        amounts: What a number in a column of amounts stands for.

    """

    def __init__(
        self,
        source: Source,
        statements: Statements,
        *,
        currency: str,
        amounts: AmountsIn = AmountsIn.MAJOR,
    ) -> None:
        check_type(statements, Statements, "statements")
        check_type(amounts, AmountsIn, "amounts")
        check_currency(currency)
        self._source = source
        self._statements = statements
        self._currency = currency
        self._amounts = amounts

    def __repr__(self) -> str:
        """Show where, as far as that shows itself."""
        return f"SqlMatterData({self._source!r})"

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """
        Return the covered invoices, all on one page (MD-1 to MD-5).

        Raises:
            PortUnavailableError: The database cannot be asked
                (``DatabaseUnavailable``).
            IncompleteReadError: The rows are not as many, or do not add up
                to, what the database says (``RowCount``, ``ControlTotal``).
            PortError: It refuses a statement (``StatementRefused``).
            InvalidValueError: The columns are not those of invoices.

        """
        if not query.associations:
            return InvoicePage(invoices=())
        clients = list(
            dict.fromkeys(str(each.client) for each in query.associations)
        )
        stated_at, rows = self._source.read(
            lambda ask: self._read(ask, clients)
        )
        return self._page(query, clients, rows, stated_at)

    def search(self, query: SearchQuery, /) -> SearchPage:
        """
        Return a page of what matches (MD-6, A6).

        Raises:
            PortUnavailableError: As for `open_invoices`; so are the others.
            InvalidValueError: There is no statement for that criterion
                (``SearchUndeclared``), or it is a page that was not handed
                out (``PageFormat``).

        """
        statement = self._statements.searches.get(query.by)
        if statement is None:
            raise InvalidValueError(
                f"no statement searches by {query.by.value}",
                code="SearchUndeclared",
                path="by",
                value=query.by.value,
            )
        values = {"text": query.text, "like": _like(query.text)}
        wanted = {
            name: value
            for name, value in values.items()
            if re.search(rf"(?<![:\w]):{name}\b", statement)
        }
        answer = self._source.read(lambda ask: ask(statement, wanted))
        found = list(
            dict.fromkeys(
                each for each in read_results(answer) if matches(each, query)
            )
        )
        begin = _place(query.page)
        end = begin + _PAGE
        return SearchPage(
            results=tuple(found[begin:end]),
            next_page=str(end) if end < len(found) else None,
        )

    # -- Reading --------------------------------------------------------------

    def _read(
        self, ask: Ask, clients: Sequence[str]
    ) -> tuple[datetime | None, list[Invoice | UnreadableRow]]:
        """Ask for the moment, and then for what is open at that moment."""
        statements = self._statements
        stated_at: datetime | None = None
        rows: list[Invoice | UnreadableRow] = []
        if statements.stated_at:
            answer = ask(statements.stated_at, {})
            stated_at = read_instant(answer, "stated_at")
        for some in _some_of(statements.invoices, clients):
            answer = _asked(ask, statements.invoices, some)
            read = list(read_invoices(answer, self._currency, self._amounts))
            if statements.totals:
                answer = _asked(ask, statements.totals, some)
                self._check_totals(answer, read)
            rows.extend(read)
        return stated_at, rows

    def _page(
        self,
        query: InvoiceQuery,
        clients: Sequence[str],
        rows: Sequence[Invoice | UnreadableRow],
        stated_at: datetime | None,
    ) -> InvoicePage:
        invoices = [each for each in rows if isinstance(each, Invoice)]
        asked = frozenset(clients)
        foreign: list[Invoice] = []
        if _form(self._statements.invoices):
            # Of clients that nobody asked for: the run tells the firm (A2).
            foreign = [each for each in invoices if each.client not in asked]
        return InvoicePage(
            invoices=(*visible(invoices, query.associations), *foreign),
            unreadable=tuple(
                each
                for each in rows
                if isinstance(each, UnreadableRow)
                and (each.client is None or each.client in asked)
            ),
            source_rows=len(rows),
            stated_at=stated_at,
        )

    def _check_totals(
        self, answer: Answer, read: Sequence[Invoice | UnreadableRow]
    ) -> None:
        """Refuse rows that are not what the database says (B3)."""
        count, total = read_totals(answer, self._currency, self._amounts)
        if count is not None and count != len(read):
            raise IncompleteReadError(
                f"{count} rows are stated, {len(read)} came", code="RowCount"
            )
        invoices = [each for each in read if isinstance(each, Invoice)]
        if len(invoices) < len(read):
            return  # A row that cannot be read is missing in the sum (L5).
        came = sum_of(invoices, self._currency)
        if total is not None and total != came:
            raise IncompleteReadError(
                f"the rows add up to {came}, and {total} is stated",
                code="ControlTotal",
            )


def _some_of(
    statement: str, clients: Sequence[str]
) -> Iterator[Sequence[str]]:
    """Return the clients for each time that a statement is asked."""
    most = {":clients": _CLIENTS_MOST, ":client": 1}.get(_form(statement))
    if most is None:
        yield ()
        return
    for begin in range(0, len(clients), most):
        yield clients[begin : begin + most]


def _asked(ask: Ask, statement: str, clients: Sequence[str]) -> Answer:
    """Send a statement with the clients that it is for."""
    if not clients:
        return ask(statement, {})
    if _form(statement) == ":client":
        return ask(statement, {"client": clients[0]})
    values = {f"client{place}": each for place, each in enumerate(clients)}
    names = ", ".join(f":{name}" for name in values)
    return ask(_CLIENTS.sub(names, statement), values)


def _like(text: str) -> str:
    """Return a pattern that finds a text as it is, in small letters."""
    escaped = re.sub(r"[!%_\[]", r"!\g<0>", text.lower())
    return f"%{escaped}%"


def _place(page: str | None) -> int:
    """Return where a page of a search begins."""
    if page is None:
        return 0
    if re.fullmatch("[1-9][0-9]{0,8}", page) is None:
        raise InvalidValueError(
            "no page of this search",
            code="PageFormat",
            path="page",
            value=page,
        )
    return int(page)
