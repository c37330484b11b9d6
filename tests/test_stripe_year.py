"""A year at a make-believe Stripe that misbehaves, and its books after it."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import autopay_core as ap
from autopay_core.adapters.memory import (
    MemoryMatterData,
    MemoryPostingStore,
    memory_ports,
)
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.stripe import StripeGateway, parse_event
from autopay_core.calls import list_movements
from autopay_core.errors import PortError
from autopay_core.movements import MovementKind, MovementState
from autopay_core.references import MethodKind, PaymentMethodRef
from autopay_core.runs import RunState
from autopay_core.testing.stripe import FakeStripe, Mischief
from worlds import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autopay_core.charges import GatewayCapabilities
    from autopay_core.movements import MovementRecord
    from autopay_core.runs import RunRecord

START = date(2026, 1, 5)
DEPOSITS = {"operating": "", "trust": "acct_trust"}
BAD = Mischief(
    fail_before=0.02,
    fail_after=0.03,
    lose_request=0.02,
    lose_answer=0.03,
    busy=0.03,
    locked=0.02,
    conflict=0.02,
)


class Killed(BaseException):
    """The process died."""


class Dying:
    """A gateway in a process that dies before or after any call."""

    def __init__(self, inner: StripeGateway, random: Random) -> None:
        self.inner, self.random, self.kills = inner, random, 0

    @property
    def capabilities(self) -> GatewayCapabilities:
        return self.inner.capabilities

    def __getattr__(self, name: str) -> Any:
        right = getattr(self.inner, name)

        def call(*given: Any) -> Any:
            self.die()
            answer = right(*given)
            self.die()
            return answer

        return call

    def die(self) -> None:
        if self.random.random() < 0.06:
            self.kills += 1
            raise Killed

    prepare: Any
    confirm: Any
    lookup: Any
    lookup_reference: Any
    cancel: Any


class Year:
    """A firm with seven payers, and a company that is not at its best."""

    def __init__(
        self,
        seed: int,
        *,
        kills: bool,
        keep: Callable[[Clock], Any],
    ) -> None:
        self.random = Random(seed)
        self.clock = Clock(datetime(2026, 1, 5, 8, tzinfo=UTC))
        self.company = FakeStripe(
            clock=self.clock, mischief=attrs.evolve(BAD, seed=seed)
        )
        gateway = StripeGateway(
            self.company.api_key,
            account="acct_firm",
            deposits=DEPOSITS,
            payer_link=lambda reference: f"https://firm.example/{reference}",
            api_base=self.company.url,
            timeout_seconds=5.0,
        )
        self.gateway = Dying(gateway, Random(seed))
        self.matters = MemoryMatterData(())
        self.ports = attrs.evolve(
            memory_ports([], clock=self.clock),
            matters=self.matters,
            postings=keep(self.clock),
            gateway=self.gateway if kills else self.gateway.inner,
        )
        self.records: dict[str, MovementRecord] = {}
        self.failed: list[bytes] = []
        self.numbers = 0
        self.autopays = [self.order(place) for place in range(7)]

    def order(self, place: int) -> ap.AutoPay:
        bank = place % 2 == 1
        company = self.company
        token = company.bank_account() if bank else company.card()
        if place == 4:
            token = company.card("insufficient_funds")
        if place == 6:
            token = company.card(needs_payer=True)
        return ap.AutoPay(
            id=f"ap-{place}",
            payer=f"p-{place}",
            name=f"Payer {place}",
            method=PaymentMethodRef(
                provider="stripe",
                token=token,
                kind=MethodKind.BANK_ACCOUNT if bank else MethodKind.CARD,
                network="ach" if bank else "visa",
            ),
            deposit_account=ap.DepositAccount(id="operating"),
            schedule=(
                ap.Schedule.weekly(START)
                if place < 3
                else ap.Schedule.monthly(START)
            ),
            limit=ap.Limit.up_to(ap.Money.of("250.00", "USD")),
            enrollments=(
                ap.Association.to_client(
                    payer=f"p-{place}", client=f"C-{place}"
                ),
            ),
        )

    def bill(self) -> None:
        """Let the firm write a few invoices."""
        for place in range(len(self.autopays)):
            self.numbers += 1
            cents = self.random.randint(5_000, 40_000)
            self.matters.put(
                ap.Invoice(
                    number=f"{self.numbers:05d}",
                    client=f"C-{place}",
                    matter=f"M-{place}",
                    issued_on=self.clock().date(),
                    balance=ap.Money(amount_minor=cents, currency="USD"),
                )
            )

    def receive(self, body: bytes, signature: str) -> None:
        try:
            event = parse_event(
                body,
                signature,
                self.company.webhook_secret,
                now=self.clock(),
                account="acct_firm",
                gateway=self.gateway.inner,
            )
            for movement in event.movements:
                self.records[movement.id] = ap.receive(
                    movement, ports=self.ports, by="webhook"
                )
        except (PortError, Killed):
            # No 200, so it comes again.
            self.failed.append(body)

    def sweep(self) -> None:
        day = self.clock().date()
        while True:
            try:
                for _ in ap.sweep(self.autopays, as_of=day, ports=self.ports):
                    pass
            except Killed:
                continue  # the next worker
            return

    def runs(self) -> tuple[RunRecord, ...]:
        store: Any = self.ports.postings
        return tuple(store.runs())

    def happen(self) -> None:
        """Let something happen to what was charged."""
        books, draw = self.company.books, self.random.random
        for reference in self.company.pending():
            made = books.intents[reference]["created"]
            age = self.clock().timestamp() - made
            if age > timedelta(days=4).total_seconds():
                key = books.intents[reference]["metadata"]["autopay_key"]
                if draw() < 0.1:
                    self.company.fail_later(key)
                else:
                    books.settle(reference)
        for reference in list(books.intents):
            # The payer pays what is open, asked to or not.
            if draw() < 0.2:
                books.complete(reference)
        for payment in self.company.payments():
            touched = {
                each["payment_intent"]
                for each in (*books.refunds.values(), *books.disputes.values())
            }
            if payment.reference in touched or draw() > 0.004:
                continue
            if draw() < 0.5:
                refund = self.company.refund(
                    payment.reference, self.random.randint(1, payment.units)
                )
                if draw() < 0.3:
                    books.fail_refund(refund)
            else:
                dispute = self.company.dispute(payment.reference)
                books.close_dispute(dispute, "won" if draw() < 0.5 else "lost")

    def day(self) -> None:
        if self.clock().weekday() == 4:
            self.bill()
        self.sweep()
        self.clock.advance(hours=6)
        self.happen()
        if self.random.random() < 0.8:  # else they come with the next ones
            self.company.deliver(
                self.receive,
                doubled=self.random.random() < 0.3,
                shuffled=self.random.random() < 0.5,
            )
        self.sweep()
        self.clock.advance(hours=18)

    def net(self) -> dict[str, int]:
        """Return what the company has of each payment, by its own books."""
        books = self.company.books
        kept = {
            each.reference: each.units - each.refunded
            for each in self.company.payments()
        }
        for dispute in books.disputes.values():
            kept[dispute["payment_intent"]] += sum(
                each["amount"] for each in dispute["balance_transactions"]
            )
        return kept

    def posted(self) -> dict[str, int]:
        """Return what the firm has posted of each payment."""
        sums: dict[str, int] = defaultdict(int)
        for each in ap.read_postings(ports=self.ports):
            sums[each.payment_reference] += each.amount.amount_minor
        return sums


def in_memory(clock: Clock) -> MemoryPostingStore:
    return MemoryPostingStore(clock=clock)


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Iterator[Callable[[Clock], Any]]:
    """Give what opens a store in a file, and close it in the end."""
    with ExitStack() as opened:

        def keep(clock: Clock) -> SqlitePostingStore:
            store = SqlitePostingStore(tmp_path / "year.db", clock=clock)
            return opened.enter_context(store)

        yield keep


@pytest.fixture
def in_postgres() -> Iterator[Callable[[Clock], Any]]:
    """Give what opens a store on the server of the tests."""
    from autopay_core.adapters.postgres import PostgresPostingStore
    from postgres_server import shared_server

    with ExitStack() as opened:

        def keep(clock: Clock) -> PostgresPostingStore:
            where = shared_server().new_database("stripe_year")
            store = PostgresPostingStore(where, clock=clock)
            return opened.enter_context(store)

        yield keep


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "kills"), [(1, False), (2, True)])
def test_after_a_bad_year_both_books_say_the_same(
    seed: int, kills: bool
) -> None:
    live_through(Year(seed, kills=kills, keep=in_memory), kills=kills)


@pytest.mark.slow
def test_after_a_bad_year_on_sqlite_both_books_say_the_same(
    in_sqlite: Callable[[Clock], Any],
) -> None:
    live_through(Year(3, kills=True, keep=in_sqlite), kills=True)


@pytest.mark.slow
@pytest.mark.postgres
def test_after_a_bad_year_on_postgresql_both_books_say_the_same(
    in_postgres: Callable[[Clock], Any],
) -> None:
    live_through(Year(4, kills=True, keep=in_postgres), kills=True)


def live_through(year: Year, *, kills: bool) -> None:
    """Let a year pass, and compare the firm's books with the company's."""
    with year.company as company:
        year.bill()
        for _ in range(365):
            year.day()
        company.mischief = Mischief()
        assert not kills or year.gateway.kills > 100
        for each in company.books.intents:
            company.books.complete(each)
        for each in company.pending():
            company.books.settle(each)
        for _ in range(10):
            company.deliver(year.receive)
            missed, year.failed = year.failed, []
            for body in missed:
                year.receive(*company.signed(json.loads(body)))
            year.sweep()
            year.clock.advance(days=1)

        payments = company.payments()
        keys = [
            each["metadata"]["autopay_key"]
            for each in company.books.intents.values()
            if each["status"] == "succeeded"
        ]
        assert len(keys) == len(set(keys)) == len(payments) > 150
        paid = [each for each in year.runs() if each.state is RunState.PAID]
        assert {each.reference for each in payments} == {
            each.payment_reference for each in paid
        }
        assert year.posted() == year.net()
        assert not [
            each
            for each in year.runs()
            if each.state in {RunState.OPEN, RunState.PENDING, RunState.REVIEW}
        ]
        kinds = {each.movement.kind for each in year.records.values()}
        assert kinds >= {
            MovementKind.SETTLED,
            MovementKind.FAILED_LATE,
            MovementKind.REFUNDED,
            MovementKind.DISPUTED,
            MovementKind.REINSTATED,
        }
        assert not list(
            list_movements(MovementState.WAITING, ports=year.ports)
        )
        assert not list(list_movements(MovementState.CASE, ports=year.ports))
        assert company.complaints == []
