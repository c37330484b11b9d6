"""A year of bills at a make-believe Clio that misbehaves."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from random import Random

import attrs
import pytest

import autopay_core as ap
from autopay_core.adapters.clio import ClioApp, ClioMatterData, ClioTokens
from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryPostingStore,
    memory_ports,
)
from autopay_core.references import AccountKind
from autopay_core.runs import RunRecord, RunState
from autopay_core.testing.clio import TROUBLES, FakeClio, Mischief
from worlds import Clock

START = date(2026, 1, 5)
RATES = dict.fromkeys(TROUBLES, 0.02) | {
    "busy": 0.04,
    "hang": 0.0,  # twice a year, since it takes its time
    "refresh_refused": 0.005,
}
CLIENTS = 5


class Year:
    """A firm with five clients, seven payers, and a bad connection."""

    def __init__(
        self, seed: int, company: FakeClio, shared_for: timedelta | None
    ) -> None:
        self.random = Random(seed)
        self.clock = Clock(datetime(2026, 1, 5, 8, tzinfo=UTC))
        self.company = company
        self.shared_for = shared_for
        self.clients = [
            company.client(f"Client {place}") for place in range(CLIENTS)
        ]
        self.files = [
            [company.matter(each, f"{each}-{n}", "A matter") for n in range(2)]
            for each in self.clients
        ]
        self.kept = ClioTokens(*company.tokens)
        self.ports = memory_ports([], clock=self.clock)
        self.connect()
        self.numbers = 0
        self.given_up = 0
        self.results: Counter[str] = Counter()
        self.autopays = [self.order(place) for place in range(CLIENTS + 2)]

    def connect(self) -> None:
        """Start the process again, with the tokens that were kept."""
        matters = ClioMatterData(
            self.kept,
            app=ClioApp(*self.company.app),
            save=self.keep,
            currency="USD",
            base=self.company.url,
            shared_for=self.shared_for,
            clock=self.clock,
            timeout_seconds=1.0,
        )
        self.ports = attrs.evolve(self.ports, matters=matters)

    def keep(self, tokens: ClioTokens) -> None:
        if self.random.random() < 0.1:
            raise OSError("the disk is full")
        self.kept = tokens

    def order(self, place: int) -> ap.AutoPay:
        # The last two pay for clients that have payers of their own.
        client = self.clients[place % CLIENTS]
        kind = AccountKind.TRUST if place == 2 else AccountKind.OPERATING
        whole = ap.Association.to_client(payer=f"p-{place}", client=client)
        of_matters = [
            ap.Association.to_matter(
                payer=f"p-{place}", client=client, matter=f"{client}-{n}"
            )
            for n in range(2)
        ]
        return ap.AutoPay(
            id=f"ap-{place}",
            payer=f"p-{place}",
            name=f"Payer {place}",
            method=ap.PaymentMethodRef(
                provider="acme", token=f"tok_year_{place:04d}"
            ),
            deposit_account=ap.DepositAccount(id=kind.value, kind=kind),
            schedule=ap.Schedule.weekly(START)
            if place % 2
            else ap.Schedule.daily(START),
            limit=ap.Limit.up_to(ap.Money.of("450.00", "USD")),
            enrollments=tuple(of_matters) if place == 1 else (whole,),
        )

    def write_bills(self) -> None:
        for place, files in enumerate(self.files):
            self.numbers += 1
            cents = self.random.randint(5_000, 40_000)
            matters = files if self.random.random() < 0.2 else files[:1]
            self.company.bill(
                f"{self.numbers:05d}",
                list(matters),
                ap.Money(amount_minor=cents, currency="USD"),
                issued_on=self.clock().date(),
                kind="trust_kind" if place == 2 else "revenue_kind",
                state=self.random.choice(["awaiting_payment", "draft"]),
            )

    def send_drafts(self) -> None:
        for each in self.company.bills.values():
            if each.state == "draft":
                each.state = "awaiting_payment"

    def sweep(self) -> None:
        day = self.clock().date()
        for each in ap.sweep(self.autopays, as_of=day, ports=self.ports):
            self.results[each.status.name] += 1

    def book(self) -> None:
        """Let staff take the postings to the ledger, and acknowledge."""
        postings = [
            each
            for each in ap.read_postings(
                ap.PostingView.PENDING, ports=self.ports
            )
            if self.random.random() < 0.7
        ]
        for each in postings:
            queued = ap.advance_postings(
                [each], ap.PostingStatus.QUEUED, ports=self.ports, by="staff"
            )
            self.company.pay(each.invoice, each.amount)
            assert queued is not None
            ap.advance_postings(
                queued, ap.PostingStatus.APPLIED, ports=self.ports, by="staff"
            )

    def day(self, *, bills: bool = True) -> None:
        if bills and self.clock().weekday() == 4:
            self.write_bills()
        if self.clock().weekday() == 0:
            self.send_drafts()
        self.sweep()
        # Booked while the last pass is still shared, and swept again.
        self.clock.advance(minutes=self.random.randint(0, 20))
        self.book()
        self.clock.advance(seconds=self.random.randint(0, 400))
        self.sweep()
        self.clock.advance(hours=6)
        self.sweep()
        self.clock.at = datetime.combine(
            self.clock().date() + timedelta(days=1),
            self.clock().time().replace(hour=8, minute=0, second=0),
            UTC,
        )
        if self.random.random() < 0.02:
            self.connect()
        if self.company.tokens[1].endswith("-ended"):
            self.given_up += 1
            self.kept = ClioTokens(*self.company.authorize())
            self.connect()

    def runs(self) -> tuple[RunRecord, ...]:
        store = self.ports.postings
        assert isinstance(store, MemoryPostingStore)
        return store.runs()

    def shares(self) -> dict[str, int]:
        """Return what was captured for each bill."""
        sums: dict[str, int] = defaultdict(int)
        for each in ap.read_postings(ap.PostingView.ALL, ports=self.ports):
            sums[each.invoice] += each.amount.amount_minor
        return sums


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "shared_for"),
    [
        (1, timedelta(minutes=15)),
        (2, timedelta(hours=8)),
        (3, None),
    ],
)
def test_after_a_bad_year_everything_is_paid_once(
    seed: int, shared_for: timedelta | None
) -> None:
    mischief = Mischief(seed=seed, rates=RATES)
    with FakeClio(
        page_size=4, mischief=mischief, rotates=seed == 2
    ) as company:
        year = Year(seed, company, shared_for)
        year.write_bills()
        for day in range(330):
            if day in {100, 200}:
                company.trouble("hang")
            year.day()
            for number, cents in year.shares().items():
                assert cents <= company.find(number).total.amount_minor
        company.mischief = Mischief()
        for _ in range(20):
            year.day(bills=False)

        assert company.complaints == []
        assert not [name for name, n in company.met.items() if not n]
        assert year.given_up
        shares = year.shares()
        assert len(company.bills) > 200
        for bill in company.bills.values():
            assert shares[bill.number] == bill.total.amount_minor
            assert bill.state == "paid"
            assert bill.balance.is_zero
        gateway = year.ports.gateway
        assert isinstance(gateway, MemoryGateway)
        taken = sum(
            each.intent.request.amount.amount_minor
            for each in year.runs()
            if each.state is RunState.PAID and each.intent is not None
        )
        assert taken == sum(shares.values())
        assert not [
            each
            for each in year.runs()
            if each.state in {RunState.OPEN, RunState.PENDING, RunState.REVIEW}
        ]
