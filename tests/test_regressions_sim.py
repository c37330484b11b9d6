"""
What the simulator found, each as the smallest scenario that shows it.

Seeds go stale when the code changes; these do not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest

import autopay_core as ap
from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.calls import hold, lift, recover, run, stop, sweep
from autopay_core.charges import Captured, DeclineClass
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    StopOrder,
    Told,
)
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import PLANS_MOST, collect
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.planning import _allowed
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    Charge,
    Lookup,
    ReadStanding,
    Request,
)
from autopay_core.engine.sweeping import sweep_one
from autopay_core.errors import PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.ports import Ports
from autopay_core.references import MethodKind, RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunState, RunStatus

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
            key_secret=b"regressions have a secret of 32 b",
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
    for _ in range(2):
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


def test_a_debit_that_was_pending_once_is_never_proven_absent() -> None:
    """Seed 55: not found for two days, then planned and charged again."""
    world = World(MethodKind.BANK_ACCOUNT)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, key_retention_seconds=30 * 24 * 3_600
    )
    run(world.autopay, on=DUE, ports=world.ports)
    world.gateway.settle(world.key)
    world.gateway.forget(world.key)

    for _ in range(6):
        world.now += timedelta(days=1)
        list(sweep([world.autopay], as_of=world.now.date(), ports=world.ports))

    assert world.record.state is RunState.REVIEW
    assert len(world.gateway.captured) == 1


def test_a_retry_counts_from_the_day_on_which_the_decline_was_known() -> None:
    """Seed 44: a debit that failed a day later was tried again at once."""
    world = World(MethodKind.BANK_ACCOUNT)
    autopay = attrs.evolve(
        world.autopay, retry=RetryPolicy(retries_most=2, every_days=1)
    )
    run(autopay, on=DUE, ports=world.ports)
    world.gateway.fail(world.key, code="R01")
    world.now += timedelta(days=1)

    list(sweep([autopay], as_of=world.now.date(), ports=world.ports))

    assert world.record.state is RunState.WAITING
    assert world.record.next_try_on == date(2026, 2, 2)


@pytest.mark.parametrize("field", ["request", "account"])
def test_a_hash_that_looks_like_a_card_number_is_an_answer(field: str) -> None:
    """One capture in five hundred was a doubt, for its hash's digits."""
    told = {field: "17a0e2210d24fbf29a51b1013ea167f731042c4111111111111111d"}

    captured = Captured(
        key="k", amount=ap.Money.of("1.00", "USD"), reference="r", **told
    )

    assert getattr(captured, field) == told[field]


def test_what_was_told_may_be_of_an_invoice_like_a_card_number() -> None:
    """Seed 430: a run waited for ever to say that a plan was paid off."""
    told = Told(
        autopay="ap-1",
        topic="plan",
        said="I4111111111111111",
        key="ap-4111111111111111/2026-01-31",
    )

    assert told.said == "I4111111111111111"


class BusyStore:
    """A store in which somebody is always faster, and then pays the run."""

    def __init__(self, world: World) -> None:
        self.inner, self.world, self.commits = world.store, world, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, change: Change, /) -> Committed | Conflict:
        self.commits += 1
        if self.commits == PLANS_MOST:
            run(self.world.autopay, on=DUE, ports=self.world.ports)
        if self.commits <= PLANS_MOST:
            return Conflict(reason=ConflictReason.OPEN)
        return self.inner.commit(change)


def test_a_run_that_somebody_else_made_is_not_put_on_record_as_late() -> None:
    """Seed 143: busy to the end, it was written as waiting, and refused."""
    world = World()
    ports = attrs.evolve(world.ports, postings=BusyStore(world))

    result = run(world.autopay, on=DUE, ports=ports)

    assert result.status is RunStatus.PAID
    assert len(world.gateway.captured) == 1


def test_a_run_counts_its_own_declines_in_its_networks_windows() -> None:
    """Seed 59: a retry was the sixteenth attempt in thirty days (N3)."""
    world = World()
    world.gateway.decline("tok_123456")
    autopay = attrs.evolve(
        world.autopay,
        method=attrs.evolve(world.autopay.method, network="visa"),
        retry=RetryPolicy(retries_most=2, every_days=1),
    )
    run(autopay, on=DUE, ports=world.ports)
    key, method = world.record.key, autopay.method.fingerprint
    occurrence = autopay.schedule.first

    case = case_of(autopay, occurrence, terms_of(world.ports), as_of=DUE)
    allowed = _allowed(case, world.store.standing(key, method, "p1"))

    assert allowed is not None
    assert [most for _, most in allowed.windows] == [13]


def test_what_awaits_another_method_goes_on_waiting_for_it() -> None:
    """Seed 6822: asked on an earlier day, it forgot what it waited for."""
    world = World()
    world.gateway.decline("tok_123456", "54", DeclineClass.FIX_FIRST)
    autopay = attrs.evolve(
        world.autopay, retry=RetryPolicy(retries_most=2, every_days=1)
    )
    run(autopay, on=DUE, ports=world.ports)
    world.gateway.accept("tok_123456")

    for day in (-1, 1, 2):
        as_of = DUE + timedelta(days=day)
        world.now = max(world.now, START + timedelta(days=day))
        list(sweep([autopay], as_of=as_of, ports=world.ports))

    assert world.record.state is RunState.WAITING
    assert world.gateway.captured == []


def test_a_clock_that_is_right_again_hides_no_date() -> None:
    """Seed 7542: the latest date was run, and those before it never were."""
    world = World()
    autopay = attrs.evolve(
        world.autopay, schedule=ap.Schedule.daily(DUE, count=3)
    )
    world.now = START + timedelta(days=4)
    world.store.standing(RunKey(autopay="ap-1", nominal_on=DUE), "", "")
    world.now -= timedelta(hours=1)
    flow = sweep_one(autopay, date(2026, 2, 4), terms_of(world.ports))
    request: Request = next(flow)
    assert isinstance(request, ReadStanding)
    answer = answering(world.ports)(request)
    # It is put right while the worker sleeps.
    world.now += timedelta(hours=2)
    try:
        while True:
            request = flow.send(answer)
            answer = answering(world.ports)(request)
    except StopIteration:
        pass

    list(sweep([autopay], as_of=date(2026, 2, 4), ports=world.ports))

    assert [each.key.nominal_on.day for each in world.store.runs()] == [
        31,
        1,
        2,
    ]


def test_a_retry_that_was_held_on_its_date_is_made_when_it_is_lifted() -> None:
    """It was taken for one that waits for another method, for ever."""
    world = World()
    world.gateway.decline("tok_123456")
    autopay = attrs.evolve(
        world.autopay, retry=RetryPolicy(retries_most=2, every_days=1)
    )
    run(autopay, on=DUE, ports=world.ports)
    world.gateway.accept("tok_123456")
    held = Hold.on_autopay("ap-1", by="Kim", reason="a question")
    hold(held, ports=world.ports)

    for day in (1, 2):
        if day == 2:
            lift(held, by="Kim", reason="answered", ports=world.ports)
        world.now = START + timedelta(days=day)
        as_of = DUE + timedelta(days=day)
        list(sweep([autopay], as_of=as_of, ports=world.ports))

    assert world.record.state is RunState.PAID


def test_a_key_that_was_called_off_is_not_handed_on() -> None:
    """Seed 12804: the next attempts had the same key, and never left."""
    world = World()
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, cancels=True
    )
    flow = collect(
        case_of(
            world.autopay,
            world.autopay.schedule.first,
            terms_of(world.ports),
        )
    )
    request: Request = next(flow)
    while not isinstance(request, Charge):
        request = flow.send(answering(world.ports)(request))
    # Another turn calls it off, and dies before it can say so.
    world.gateway.cancel(world.key, None)
    try:
        answering(world.ports)(request)
    except PortUnavailableError as error:
        request = flow.throw(error)
    try:
        while True:
            request = flow.send(answering(world.ports)(request))
    except StopIteration:
        pass

    result = run(world.autopay, on=DUE, ports=world.ports)

    assert result.status is RunStatus.PAID
    assert world.record.attempts[-1].number == 2
