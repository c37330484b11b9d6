"""Clio's bills, by the contract kit, against the make-believe company."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from autopay_core.adapters.clio import ClioApp, ClioMatterData, ClioTokens
from autopay_core.testing.clio import FakeClio
from autopay_core.testing.contracts import MatterDataContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from autopay_core.associations import InvoicePage, InvoiceQuery
    from autopay_core.invoices import (
        Invoice,
        SearchPage,
        SearchQuery,
        SearchResult,
    )
    from autopay_core.ports import MatterData


class Renumbered:
    """
    The adapter, for a kit whose clients are called C-1.

    A client's number at Clio is the id of a contact, which Clio gives: the
    numbers of the kit's clients are exchanged for those, and back. Numbers
    that are no client's go through as they are.
    """

    def __init__(self, inner: MatterData, ids: dict[str, str]) -> None:
        self.inner, self.ids = inner, ids

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        page = self.inner.open_invoices(
            attrs.evolve(
                query,
                associations=tuple(
                    attrs.evolve(each, client=self.id_of(each.client))
                    for each in query.associations
                ),
            )
        )
        return attrs.evolve(
            page,
            invoices=tuple(
                attrs.evolve(each, client=self.number_of(each.client))
                for each in page.invoices
            ),
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        if query.by.value == "client_number":
            query = attrs.evolve(query, text=self.id_of(query.text))
        page = self.inner.search(query)
        return attrs.evolve(
            page,
            results=tuple(
                attrs.evolve(each, client=self.number_of(each.client))
                for each in page.results
            ),
        )

    def id_of(self, number: str) -> str:
        return self.ids.get(number, number)

    def number_of(self, client: str) -> str:
        [found] = [ours for ours, id_ in self.ids.items() if id_ == client]
        return found


class Firm:
    """What the kit knows, written into the make-believe company."""

    def __init__(self, company: FakeClio) -> None:
        self.company = company
        self.clients: dict[str, str] = {}
        self.matters: dict[tuple[str, str], str] = {}

    def put(self, invoice: Invoice) -> None:
        for bill in self.company.bills.values():
            if bill.number == invoice.number:
                bill.balance = invoice.balance
                return
        self.company.bill(
            invoice.number,
            self.matter(invoice.client, invoice.matter),
            invoice.balance,
            issued_on=invoice.issued_on,
            due_on=invoice.due_on,
        )

    def client(self, number: str, name: str = "") -> str:
        if number not in self.clients:
            self.clients[number] = self.company.client(name or "A client")
        return self.clients[number]

    def matter(self, client: str, number: str, told: str = "") -> str:
        owner = self.client(client)
        if (client, number) not in self.matters:
            made = self.company.matter(owner, number, told)
            self.matters[client, number] = made
        return self.matters[client, number]


class ClioContract(MatterDataContract):
    shared_for: timedelta | None

    @pytest.fixture
    def company(self) -> Iterator[FakeClio]:
        with FakeClio() as company:
            yield company
            assert company.complaints == []

    @pytest.fixture
    def firm(self, company: FakeClio) -> Firm:
        return Firm(company)

    @pytest.fixture
    def seed(
        self, company: FakeClio, firm: Firm
    ) -> Callable[[Sequence[Invoice], Sequence[SearchResult]], MatterData]:
        def seeded(
            given: Sequence[Invoice], directory: Sequence[SearchResult]
        ) -> MatterData:
            for each in directory:
                if each.matter is None:
                    firm.client(each.client, each.client_name)
            for each in directory:
                if each.matter is not None:
                    told = each.matter_description
                    firm.matter(each.client, each.matter, told)
            for invoice in given:
                firm.put(invoice)
            adapter = ClioMatterData(
                ClioTokens(*company.tokens),
                app=ClioApp(*company.app),
                save=lambda _: None,
                currency="USD",
                base=company.url,
                shared_for=self.shared_for,
            )
            return Renumbered(adapter, firm.clients)

        return seeded

    @pytest.fixture
    def put(self, firm: Firm) -> Callable[[Invoice], None]:
        return firm.put

    @pytest.fixture
    def offline(
        self, company: FakeClio
    ) -> Callable[[], AbstractContextManager[None]]:
        return company.offline

    @pytest.fixture
    def spoil(self, company: FakeClio) -> Callable[[], None]:
        return lambda: company.trouble("null_balance")


class TestClioInOnePass(ClioContract):
    shared_for = timedelta(0)


class TestClioByClient(ClioContract):
    shared_for = None
