"""
What the simulator found, each as the smallest scenario that shows it.

Seeds go stale when the code changes; these do not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import autopay_core as ap
from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.calls import recover, run, stop, sweep
from autopay_core.commits import StopOrder
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import Lookup, Request
from autopay_core.ports import Ports
from autopay_core.references import MethodKind
from autopay_core.runs import RunRecord, RunState

DUE = date(2026, 1, 31)
START = datetime(2026, 1, 31, 6, tzinfo=UTC)


class World:
    """Memory ports whose clock a test turns."""

    def __init__(self, kind: MethodKind = MethodKind.CARD) -> None:
        self.now = START
        self.gateway = MemoryGateway(
            clock=lambda: self.now, bank_debits_pend=True
        )
        self.store = MemoryPostingStore(clock=lambda: self.now)
        self.ports = Ports(
            matters=MemoryMatterData(
                [
                    ap.Invoice(
                        number="INV-1",
                        client="C-1",
                        matter="M-1",
                        issued_on=date(2026, 1, 5),
                        balance=ap.Money.of("50.00", "USD"),
                    )
                ]
            ),
            gateway=self.gateway,
            postings=self.store,
            notifier=MemoryNotifier(),
        )
        self.autopay = ap.AutoPay(
            id="ap-1",
            payer="p1",
            name="Acme",
            method=ap.PaymentMethodRef(
                provider="sim", token="tok_123456", kind=kind
            ),
            deposit_account=ap.DepositAccount(id="operating"),
            schedule=ap.Schedule.monthly(DUE),
            limit=ap.Limit.all("USD"),
            enrollments=(ap.Association.to_client(payer="p1", client="C-1"),),
        )

    @property
    def record(self) -> RunRecord:
        [record] = self.store.runs()
        return record

    @property
    def key(self) -> str:
        return str(self.record.attempts[-1].key)


def test_a_bank_debit_that_the_gateway_has_forgotten_goes_to_review() -> None:
    world = World(MethodKind.BANK_ACCOUNT)
    run(world.autopay, on=DUE, ports=world.ports)
    assert world.record.state.value == "pending"

    world.gateway.settle(world.key)
    world.gateway.forget(world.key)
    world.now += timedelta(days=2)
    list(recover(ports=world.ports))

    # Pending for ever, it could not even be attested.
    assert world.record.state is RunState.REVIEW


def test_not_found_proves_nothing_when_the_worker_slept_past_the_key() -> None:
    world = World()
    world.gateway.script(Fault.LOSE_ANSWER)
    run(world.autopay, on=DUE, ports=world.ports)
    stop(
        StopOrder(
            target=StopOrder.autopay("ap-1"), active=True, by="the payer"
        ),
        ports=world.ports,
    )
    world.now += timedelta(hours=1)

    flow = recover_one(world.record, terms_of(world.ports))
    request: Request = next(flow)
    while not isinstance(request, Lookup):
        request = flow.send(answering(world.ports)(request))
    # It sleeps between its reading of the clock and the look-up.
    world.now += timedelta(hours=30)
    world.gateway.forget(world.key)
    try:
        while True:
            request = flow.send(answering(world.ports)(request))
    except StopIteration:
        pass

    assert [each.key for each in world.gateway.captured] == [world.key]
    assert world.record.state is not RunState.CANCELLED
    list(sweep([world.autopay], as_of=date(2026, 2, 2), ports=world.ports))
    assert world.record.state is RunState.REVIEW
