"""
A make-believe firm's ledger: what happens to posting records (P2, L1).

Holds: `Ledger`. Imports: the core. It selects, sends and applies posting
records some days after the charge, as staff and software do, and shows every
applied one in the balances. It remembers nothing that is not in the posting
store, so it may be killed and made again at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.calls import advance_postings
from autopay_core.commits import Decoded, PostingFilter
from autopay_core.money import Money
from autopay_core.postings import Posting, PostingStatus

if TYPE_CHECKING:
    from autopay_core.invoices import Invoice, SearchPage, SearchQuery
    from autopay_core.ports import MatterData, Ports, PostingStore

__all__ = ["Ledger"]

_PAGE: Final = 500
_SHOWN: Final = frozenset({PostingStatus.APPLIED, PostingStatus.REMOVED})
_NEXT: Final = (
    (PostingStatus.PENDING, PostingStatus.QUEUED),
    (PostingStatus.QUEUED, PostingStatus.POSTED),
    (PostingStatus.POSTED, PostingStatus.APPLIED),
)


@final
class Ledger:
    """
    Matter data whose balances follow the posting records.

    An invoice's balance is what *opening* says, less every posting that was
    applied to the ledger or handled by hand.

    Args:
        opening: What the software shows without any posting.
        store: Where the posting records are; read once, now.
        days: How many days after the charge a posting is queued, posted and
            applied.
        refused: Why the ledger takes no posting for an invoice, by number;
            these become incomplete.
        by_hand: Numbers of invoices whose postings staff enter by hand.

    """

    def __init__(
        self,
        opening: MatterData,
        store: PostingStore,
        *,
        days: tuple[int, int, int] = (1, 2, 4),
        refused: Mapping[str, str] = MappingProxyType({}),
        by_hand: Collection[str] = (),
    ) -> None:
        self._opening = opening
        self._days = days
        self._refused = refused
        self._by_hand = frozenset(by_hand)
        self._shown: dict[str, Money] = {}
        for posting in _all(store, _SHOWN):
            self._show(posting)

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """
        Return the opening's page, with the balances of now (MD-4, MD-8).

        What the postings have paid off is not open any more.
        """
        page = self._opening.open_invoices(query)
        invoices: list[Invoice] = []
        for each in page.invoices:
            shown = self._shown.get(each.number)
            if shown is None:
                invoices.append(each)
            elif shown != each.balance:
                invoices.append(
                    attrs.evolve(each, balance=each.balance - shown)
                )
        return InvoicePage(invoices=tuple(invoices), next_page=page.next_page)

    def search(self, query: SearchQuery, /) -> SearchPage:
        """Search as the opening does."""
        return self._opening.search(query)

    def advance(self, as_of: date, /, *, ports: Ports) -> int:
        """
        Take every posting as far as it is by a date; return how many steps.

        Calling it again changes nothing, and neither does being killed in
        between: where a posting belongs depends on its own date only.
        """
        steps = 0
        for (before, after), days in zip(_NEXT, self._days, strict=True):
            ripe = [
                each
                for each in _all(ports.postings, frozenset({before}))
                if (as_of - each.charged_on).days >= days
            ]
            groups: dict[tuple[PostingStatus, str | None], list[Posting]] = {}
            for each in ripe:
                groups.setdefault(self._step(each, after), []).append(each)
            for (to, note), some in groups.items():
                moved = advance_postings(
                    some, to, ports=ports, by="ledger", note=note
                )
                for each in moved or ():
                    steps += 1
                    if each.status in _SHOWN:
                        self._show(each)
        return steps

    def _step(
        self, posting: Posting, to: PostingStatus
    ) -> tuple[PostingStatus, str | None]:
        """Return where *posting* goes, and a word on it."""
        if to is PostingStatus.QUEUED and posting.invoice in self._by_hand:
            return PostingStatus.REMOVED, "entered by hand"
        if to is PostingStatus.POSTED and posting.invoice in self._refused:
            return PostingStatus.INCOMPLETE, self._refused[posting.invoice]
        return to, None

    def _show(self, posting: Posting) -> None:
        before = self._shown.get(posting.invoice)
        self._shown[posting.invoice] = (
            posting.amount if before is None else before + posting.amount
        )


def _all(
    store: PostingStore, statuses: frozenset[PostingStatus]
) -> list[Posting]:
    found: list[Posting] = []
    wanted = PostingFilter(statuses=statuses, most=_PAGE)
    while True:
        page = store.postings(wanted)
        found.extend(Decoded(page))
        if len(page) < _PAGE:
            return found
        wanted = attrs.evolve(wanted, after=page[-1].id)
