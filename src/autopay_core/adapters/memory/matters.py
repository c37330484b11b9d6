"""
Matter data in memory (MD-1 to MD-9).

Holds: `MemoryMatterData`. Imports: `_search`, `associations`, `postings` and
the values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs

from autopay_core.adapters._search import matches
from autopay_core.associations import InvoicePage, InvoiceQuery, visible
from autopay_core.invoices import (
    Invoice,
    SearchPage,
    SearchQuery,
    SearchResult,
)
from autopay_core.postings import Posting

__all__ = ["MemoryMatterData"]


@final
class MemoryMatterData:
    """
    Matter data in a dictionary that the test or the notebook edits.

    Args:
        invoices: What is there at first.
        directory: What a search finds besides the invoices' own numbers.
        page_size: Rows on a page.

    """

    def __init__(
        self,
        invoices: Iterable[Invoice] = (),
        *,
        directory: Iterable[SearchResult] = (),
        page_size: int = 1_000,
    ) -> None:
        self._invoices: dict[str, Invoice] = {}
        self._clients: dict[str, dict[str, Invoice]] = {}
        self._directory = list(directory)
        self._page_size = page_size
        for invoice in invoices:
            self.put(invoice)

    def put(self, invoice: Invoice, /) -> None:
        """Add an invoice, or replace the one with its number."""
        self.remove(invoice.number)
        self._invoices[invoice.number] = invoice
        self._clients.setdefault(invoice.client, {})[invoice.number] = invoice

    def remove(self, number: str, /) -> None:
        """Take an invoice away, as if it were paid or void."""
        before = self._invoices.pop(number, None)
        if before is not None:
            del self._clients[before.client][number]

    def get(self, number: str, /) -> Invoice | None:
        """Return an invoice by its number."""
        return self._invoices.get(number)

    def all(self) -> tuple[Invoice, ...]:
        """Return every invoice, in the order of their coming."""
        return tuple(self._invoices.values())

    def apply(self, posting: Posting, /) -> None:
        """Let the balance show a posting, as the firm's ledger would."""
        before = self._invoices[posting.invoice]
        self.put(attrs.evolve(before, balance=before.balance - posting.amount))

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Return a page of the covered invoices (MD-1 to MD-5)."""
        clients = dict.fromkeys(each.client for each in query.associations)
        found = visible(
            [
                invoice
                for client in clients
                for invoice in self._clients.get(client, {}).values()
                if not invoice.balance.is_zero
            ],
            query.associations,
        )
        start = int(query.page or "0")
        stop = start + self._page_size
        return InvoicePage(
            invoices=found[start:stop],
            next_page=str(stop) if stop < len(found) else None,
            total=len(found),
        )

    def search(self, query: SearchQuery, /) -> SearchPage:
        """Return a page of what matches (MD-6)."""
        # The directory comes first: it knows names.
        known = {
            (each.client, each.matter, each.invoice): each
            for each in reversed(self._directory)
        }
        for each in self._invoices.values():
            for matter, invoice in (
                (None, None),
                (each.matter, None),
                (each.matter, each.number),
            ):
                known.setdefault(
                    (each.client, matter, invoice),
                    SearchResult(
                        client=each.client, matter=matter, invoice=invoice
                    ),
                )
        found = [each for each in known.values() if matches(each, query)]
        start = int(query.page or "0")
        stop = start + self._page_size
        return SearchPage(
            results=tuple(found[start:stop]),
            next_page=str(stop) if stop < len(found) else None,
        )
