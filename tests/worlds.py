"""
Small worlds for the tests of runs: a firm, a payer, four ports in memory.

Holds: `World` and the builders of what stands in it (`bill`, `posting`,
`standing_order` …); `traced_run` and `a_run`, the flow of one run, and two
ways to drive a flow by hand; and `Awaitable`, which turns a blocking port
into an async one. Generated values are in `strategies`, records as a store
keeps them in `records`.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs
import pytest

from autopay_core import aio
from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, Enrollment, occurrence_on
from autopay_core.calls import (
    advance_postings,
    deliver,
    read_postings,
    recover,
    run,
    stop,
    sweep,
)
from autopay_core.charges import GatewayCapabilities
from autopay_core.commits import StopOrder
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import collect
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.requests import Terms
from autopay_core.errors import AutopayError
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.ports import Ports
from autopay_core.postings import POSTING_MOVES, Posting, PostingStatus
from autopay_core.references import (
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
    RunKey,
    Secret,
)
from autopay_core.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from autopay_core.allocation import AllocationLine
    from autopay_core.engine.requests import Flow, Request
    from autopay_core.notices import Notice, NoticeKind
    from autopay_core.runs import RunRecord, RunResult

_T = TypeVar("_T")

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = date(2026, 1, 31)
CARD = PaymentMethodRef(provider="acme", token="tok_card_0001")
BANK = PaymentMethodRef(
    provider="acme", token="tok_bank_0001", kind=MethodKind.BANK_ACCOUNT
)

FEBRUARY = date(2026, 2, 28)
KEY = RunKey(autopay="ap-1", nominal_on=DAY)
SECRET = Secret(b"a secret of the tests, 32 bytes at least")
TERMS = Terms(capabilities=GatewayCapabilities(), secret=SECRET)
FORMS = pytest.mark.parametrize(
    "two_step", [False, True], ids=["one-step", "two-step"]
)
"""For what holds with a gateway of either form."""


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        """Go on, or back, by so many days, hours, minutes or seconds."""
        self.at += timedelta(**by)

    def reach(self, day: date) -> None:
        """Go on to noon of a day, unless it is that day or later (R11)."""
        noon = datetime.combine(day, time(12), UTC)
        if self.at.date() < day:
            self.at = noon


def usd(text: str) -> Money:
    """Return US dollars."""
    return Money.of(text, "USD")


def bill(
    number: str, balance: str, *, issued: date = date(2026, 1, 5), **more: Any
) -> Invoice:
    """Return an open invoice of client C-1, matter M-1."""
    return Invoice(
        number=number,
        client=more.pop("client", "C-1"),
        matter=more.pop("matter", "M-1"),
        issued_on=issued,
        balance=usd(balance),
        **more,
    )


def to_client(client: str = "C-1", payer: str = "p1") -> Association:
    """Cover a client."""
    return Association.to_client(payer=payer, client=client)


def to_invoice(number: str, payer: str = "p1") -> Association:
    """Cover one invoice of client C-1, matter M-1."""
    return Association.to_invoice(
        payer=payer, client="C-1", matter="M-1", invoice=number
    )


def standing_order(**changes: Any) -> AutoPay:
    """Return a monthly auto-pay of all that client C-1 owes."""
    fields: dict[str, Any] = {
        "id": "ap-1",
        "payer": "p1",
        "name": "Acme monthly",
        "method": CARD,
        "deposit_account": DepositAccount(id="operating-1"),
        "schedule": Schedule.monthly(DAY),
        "limit": Limit.all("USD"),
        "enrollments": (to_client(),),
        "ar_message": "Thank you",
    }
    return AutoPay(**{**fields, **changes})


def enrolled(association: Association, **more: Any) -> Enrollment:
    """Return an enrolment."""
    return Enrollment(association=association, **more)


def posting(**changes: Any) -> Posting:
    """Return a posting of ten dollars on INV-1."""
    fields: dict[str, Any] = {
        "id": "p-1",
        "run": RunKey(autopay="ap-1", nominal_on=DAY),
        "payer": "p1",
        "client": "C-1",
        "matter": "M-1",
        "invoice": "INV-1",
        "amount": usd("10"),
        "charged_on": DAY,
        "payment_reference": "pay-1",
        "deposit_account": DepositAccount(id="operating-1"),
    }
    return Posting(**{**fields, **changes})


_SHOWN = frozenset({PostingStatus.APPLIED, PostingStatus.REMOVED})


class World:
    """A firm, and four ports in memory that know about it."""

    def __init__(
        self,
        *invoices: Invoice,
        two_step: bool = False,
        capabilities: GatewayCapabilities | None = None,
        bank_debits_pend: bool = False,
        page_size: int = 1_000,
    ) -> None:
        self.clock = Clock()
        self.matters = MemoryMatterData(invoices, page_size=page_size)
        self.gateway: MemoryGateway | MemoryTwoStepGateway
        form = MemoryTwoStepGateway if two_step else MemoryGateway
        self.gateway = form(
            clock=self.clock, bank_debits_pend=bank_debits_pend
        )
        if capabilities is not None:
            self.gateway.capabilities = capabilities
        self.store = MemoryPostingStore(clock=self.clock)
        self.notifier = MemoryNotifier()
        self._hushed = 0

    @property
    def ports(self) -> Ports:
        """The ports, as they are."""
        return Ports(
            matters=self.matters,
            gateway=self.gateway,
            postings=self.store,
            notifier=self.notifier,
            key_secret=SECRET,
        )

    def ports_with(self, **other: Any) -> Ports:
        """Return the ports with other ones in their places."""
        return attrs.evolve(self.ports, **other)

    def run(self, autopay: AutoPay, on: date = DAY) -> RunResult:
        """Run one auto-pay, on that day."""
        self.clock.reach(on)
        return run(autopay, on=on, ports=self.ports)

    @property
    def one_step(self) -> MemoryGateway:
        """The gateway, which has one step."""
        assert isinstance(self.gateway, MemoryGateway)
        return self.gateway

    @property
    def two_step(self) -> MemoryTwoStepGateway:
        """The gateway, which has two steps."""
        assert isinstance(self.gateway, MemoryTwoStepGateway)
        return self.gateway

    def sweep(
        self, *autopays: AutoPay, as_of: date = DAY, **more: Any
    ) -> list[RunResult]:
        """Sweep to the end, on that day."""
        self.clock.reach(as_of)
        return list(sweep(autopays, as_of=as_of, ports=self.ports, **more))

    def stop(self, target: str) -> None:
        """Put a stop order of the payer on record."""
        order = StopOrder(target=target, active=True, by="payer")
        stop(order, ports=self.ports)

    def recover(self) -> list[RunResult]:
        """Go on with what was left open."""
        return list(recover(ports=self.ports))

    def deliver(self) -> int:
        """Offer notices again."""
        return deliver(ports=self.ports)

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """Every run on record."""
        return self.store.runs()

    @property
    def record(self) -> RunRecord:
        """The only run on record."""
        [record] = self.store.runs()
        return record

    @property
    def taken(self) -> list[Money]:
        """What the gateway captured, by its own books."""
        return [each.amount for each in self.gateway.captured]

    def postings(self) -> tuple[Posting, ...]:
        """Every posting on record."""
        return tuple(self.store._postings.values())

    def apply(self) -> None:
        """Let the ledger show every posting that it does not show yet."""
        for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
            moved = [
                each
                for each in read_postings(ports=self.ports)
                if status in POSTING_MOVES[each.status]
                and each.status not in _SHOWN
            ]
            advance_postings(moved, status, ports=self.ports, by="ledger")

    def told(self) -> list[NoticeKind]:
        """Return what people were told, in order."""
        return [each.kind for each in self.notifier.sent]

    def hush(self) -> None:
        """Let `heard` begin here."""
        self._hushed = len(self.notifier.sent)

    @property
    def heard(self) -> list[Notice]:
        """What people were told since `hush`."""
        return list(self.notifier.sent[self._hushed :])

    def reserved(self, client: str = "C-1") -> dict[str, Money]:
        """Return what is open by the store's books."""
        return dict(self.store.open_amounts((client,)).amounts)


class Traced(Generic[_T]):
    """Drives a flow with the ports of a world and notes every request."""

    def __init__(self, flow: Flow[_T], ports: Ports) -> None:
        self.flow = flow
        self.ports = ports
        self.requests: list[Request] = []

    def go(self) -> _T:
        """Answer every request; return the result."""
        advance: Callable[[], Request] = partial(next, self.flow)
        while True:
            try:
                request = advance()
            except StopIteration as stopped:
                result: _T = stopped.value
                return result
            self.requests.append(request)
            try:
                answer = answering(self.ports)(request)
            except AutopayError as error:
                advance = partial(self.flow.throw, error)
            else:
                advance = partial(self.flow.send, answer)

    def cut(self, after: int) -> None:
        """Answer so many requests; then the process dies."""
        request = next(self.flow, None)
        for _ in range(after):
            if request is None:
                return
            self.requests.append(request)
            try:
                request = self._answered(request)
            except StopIteration:
                return
        self.flow.close()

    def _answered(self, request: Request) -> Request:
        try:
            answer = answering(self.ports)(request)
        except AutopayError as error:
            return self.flow.throw(error)
        return self.flow.send(answer)

    @property
    def names(self) -> list[str]:
        """The requests by their names."""
        return [type(each).__name__ for each in self.requests]


def traced_run(
    world: World, autopay: AutoPay, on: date = DAY
) -> Traced[RunResult]:
    """Return one run in *world*, to be driven and looked at."""
    ports = world.ports
    flow = collect(
        case_of(autopay, occurrence_on(autopay, on), terms_of(ports), as_of=on)
    )
    return Traced(flow, ports)


def a_run() -> Flow[RunResult]:
    """Return one run of a standing order, to be answered by hand."""
    autopay = standing_order()
    return collect(
        case_of(autopay, occurrence_on(autopay, DAY), TERMS, as_of=DAY)
    )


class Script(Generic[_T]):
    """
    Answers a flow by hand: each answer is a value, or an error to throw.

    The requests that were answered are in `requests`.
    """

    def __init__(self, flow: Flow[_T], *answers: object) -> None:
        self.flow = flow
        self.answers = deque(answers)
        self.requests: list[Request] = []

    def go(self) -> _T:
        """Answer until the flow ends; return its result."""
        advance: Callable[[], Request] = partial(next, self.flow)
        while True:
            try:
                request = advance()
            except StopIteration as stopped:
                assert not self.answers
                result: _T = stopped.value
                return result
            self.requests.append(request)
            answer = self.answers.popleft()
            if isinstance(answer, Exception):
                advance = partial(self.flow.throw, answer)
            else:
                advance = partial(self.flow.send, answer)


def rig(port: object, **methods: Callable[..., object]) -> None:
    """Let methods of one object do something else."""
    for name, method in methods.items():
        setattr(port, name, method)


def lines_of(result: RunResult) -> tuple[AllocationLine, ...]:
    """Return what was considered in a run."""
    assert result.allocation is not None
    return result.allocation.lines


class Awaitable:
    """A blocking port for hosts on an event loop, for tests only."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        async def later(*arguments: Any) -> Any:
            return method(*arguments)

        return later


def awaitable(ports: Ports) -> aio.Ports:
    """Return *ports* for an event loop."""
    return aio.Ports(
        matters=cast("Any", Awaitable(ports.matters)),
        gateway=cast("Any", Awaitable(ports.gateway)),
        postings=cast("Any", Awaitable(ports.postings)),
        notifier=cast("Any", Awaitable(ports.notifier)),
        key_secret=ports.key_secret,
    )


class Watched:
    """A port that notes which of its methods were called."""

    def __init__(self, port: object) -> None:
        self._port = port
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def noted(*arguments: Any) -> Any:
            self.calls.append(name)
            return found(*arguments)

        return noted


def total(amounts: Iterable[Money]) -> Money:
    """Add up US dollars."""
    return Money.total(amounts, "USD")
