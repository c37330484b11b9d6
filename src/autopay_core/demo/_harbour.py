"""
A small firm for a first look: one client, five invoices, all in memory.

Holds: `SmallFirm`, `harbour_foods`. Imports: `adapters.memory`, `calls`,
`invoices`, `money`, `ports`, `charges`, `postings`, `references`, `_checks`
and `show.tables`. Its time stands still until it is told to go on, and its
staff post when they are asked to.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Final, final

from autopay_core._checks import check_date
from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    memory_ports,
)
from autopay_core.calls import advance_postings, read_postings
from autopay_core.charges import DeclineClass
from autopay_core.invoices import Invoice, InvoiceStatus, SearchResult
from autopay_core.money import Money
from autopay_core.ports import Ports
from autopay_core.postings import Posting, PostingStatus, PostingView
from autopay_core.references import PaymentMethodRef
from autopay_core.show.tables import Table

__all__ = ["SmallFirm", "harbour_foods"]

_CLIENT: Final = "C-7"
_AT: Final = time(14, tzinfo=UTC)


@final
class SmallFirm:
    """
    A firm in memory, with a clock that you move.

    Attributes:
        ports: What its host hands in: matter data, gateway, store, notifier.
        today: The firm's date.

    """

    ports: Ports

    def __init__(self, today: date) -> None:
        self.today = today
        self._invoices: dict[str, Invoice] = {}
        self._matters = MemoryMatterData(
            directory=[
                SearchResult(client=_CLIENT, client_name="Harbour Foods")
            ]
        )
        self._gateway = MemoryGateway(clock=self._now)
        self._notifier = MemoryNotifier()
        made = memory_ports(clock=self._now)
        self.ports = Ports(
            matters=self._matters,
            gateway=self._gateway,
            postings=made.postings,
            notifier=self._notifier,
            key_secret=made.key_secret,
        )

    def _now(self) -> datetime:
        return datetime.combine(self.today, _AT)

    def go_to(self, day: date, /) -> None:
        """
        Let time pass until a day; it never goes back.

        Raises:
            InvalidValueError: It is not a date.

        """
        check_date(day, "day")
        self.today = max(self.today, day)

    def bill(
        self,
        number: str,
        matter: str,
        issued_on: date,
        amount: str,
        status: InvoiceStatus = InvoiceStatus.OPEN,
    ) -> None:
        """Write an invoice to the client, in dollars."""
        invoice = Invoice(
            number=number,
            client=_CLIENT,
            matter=matter,
            issued_on=issued_on,
            balance=Money.of(amount, "USD"),
            status=status,
        )
        self._matters.put(invoice)
        self._invoices[number] = invoice

    def invoices(self) -> Table:
        """Show what the firm has billed."""
        return Table(
            title="Harbour Foods (C-7)",
            header=("invoice", "matter", "issued", "billed", "status"),
            rows=tuple(
                (
                    str(each.number),
                    str(each.matter),
                    str(each.issued_on),
                    str(each.balance),
                    each.status.value.replace("_", " "),
                )
                for each in self._invoices.values()
            ),
            numeric=frozenset({3}),
        )

    def card_expires(self, method: PaymentMethodRef, /) -> None:
        """Let the gateway decline a payment method from now on."""
        self._gateway.decline(
            method.token,
            code="54",
            decline_class=DeclineClass.FIX_FIRST,
            message="The card has expired.",
        )

    def post(self) -> list[Posting]:
        """
        Let staff send what waits to the ledger, which applies it.

        In the order that is safe: the balance first, then the status.
        """
        pending = read_postings(PostingView.PENDING, ports=self.ports)
        queued = advance_postings(
            pending, PostingStatus.QUEUED, ports=self.ports, by="Ann"
        )
        posted = advance_postings(
            queued or (), PostingStatus.POSTED, ports=self.ports, by="Ann"
        )
        for each in posted or ():
            self._matters.apply(each)
        applied = advance_postings(
            posted or (), PostingStatus.APPLIED, ports=self.ports, by="ledger"
        )
        return sorted(
            applied or (),
            key=lambda each: (each.invoice, each.charged_on),
        )

    def told(self) -> list[str]:
        """Return the notices that people got, as a line each."""
        return [
            f"{each.on}: {each.title}. {each.detail}".strip()
            for each in self._notifier.sent
        ]


def harbour_foods() -> SmallFirm:
    """
    Return the firm of the tutorial, on the last day of January 2026.

    Its client Harbour Foods has two matters and five invoices, of which one
    is a credit and one is disputed.
    """
    firm = SmallFirm(date(2026, 1, 31))
    firm.bill("1042", "M-1", date(2025, 11, 30), "310.00")
    firm.bill("1058", "M-2", date(2025, 12, 31), "95.50")
    firm.bill("1061", "M-1", date(2026, 1, 15), "240.00")
    firm.bill("1063", "M-2", date(2026, 1, 20), "-40.00")
    disputed = InvoiceStatus.DISPUTED
    firm.bill("1064", "M-1", date(2026, 1, 22), "75.00", disputed)
    return firm
