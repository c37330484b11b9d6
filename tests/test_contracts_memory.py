"""The adapters in memory keep every clause of their ports."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)
from autopay_core.references import PaymentMethodRef
from autopay_core.testing.contracts import (
    AsyncMatterDataContract,
    AsyncNotifierContract,
    AsyncPaymentGatewayContract,
    AsyncPostingStoreContract,
    AsyncTwoStepGatewayContract,
    Clock,
    MatterDataContract,
    NotifierContract,
    PaymentGatewayContract,
    PostingStoreContract,
    TwoStepGatewayContract,
)
from worlds import BANK, Awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from autopay_core.invoices import Invoice, SearchResult
    from autopay_core.ports import PostingStore

GOOD = PaymentMethodRef(provider="kit", token="tok_good_0001")
BAD = PaymentMethodRef(provider="kit", token="tok_bad_00001")


class Sandbox:
    """What the gateways in memory offer to a test."""

    machine: Callable[..., Any] = MemoryGateway

    @pytest.fixture
    def inner(self, sandbox_clock: Clock) -> Any:
        gateway = type(self).machine(clock=sandbox_clock)
        gateway.decline(BAD.token)
        return gateway

    @pytest.fixture
    def sandbox_clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return GOOD

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        return BAD

    @pytest.fixture
    def captures(self, inner: Any) -> Callable[[str], int]:
        return lambda key: sum(each.key == key for each in inner.captured)

    @pytest.fixture
    def lose_answer(self, inner: Any) -> Callable[[], None]:
        return lambda: inner.script(Fault.LOSE_ANSWER)

    @pytest.fixture
    def offline(
        self, inner: Any
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            inner.script(Fault.UNAVAILABLE)
            yield

        return cut

    @pytest.fixture
    def past(self, sandbox_clock: Clock) -> datetime:
        return sandbox_clock() - timedelta(seconds=1)


class TestMemoryGateway(Sandbox, PaymentGatewayContract):
    @pytest.fixture
    def gateway(self, inner: Any) -> MemoryGateway:
        return cast("MemoryGateway", inner)


class TestMemoryGatewayOfBankDebits(TestMemoryGateway):
    """A debit that is pending keeps the clauses, too."""

    machine = staticmethod(
        lambda clock: MemoryGateway(clock=clock, bank_debits_pend=True)
    )

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return BANK


class TestAsyncMemoryGateway(Sandbox, AsyncPaymentGatewayContract):
    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return Awaitable(inner)


class TestMemoryTwoStepGateway(Sandbox, TwoStepGatewayContract):
    machine = MemoryTwoStepGateway

    @pytest.fixture
    def gateway(self, inner: Any) -> MemoryTwoStepGateway:
        return cast("MemoryTwoStepGateway", inner)


class TestAsyncMemoryTwoStepGateway(Sandbox, AsyncTwoStepGatewayContract):
    machine = MemoryTwoStepGateway

    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return Awaitable(inner)


class Firm:
    """What the matter data in memory offer to a test."""

    @pytest.fixture
    def firm(self) -> MemoryMatterData:
        return MemoryMatterData(page_size=100)

    @pytest.fixture
    def put(self, firm: MemoryMatterData) -> Callable[[Invoice], None]:
        return firm.put

    def filled(
        self,
        firm: MemoryMatterData,
        invoices: Sequence[Invoice],
        directory: Sequence[SearchResult],
    ) -> MemoryMatterData:
        for each in invoices:
            firm.put(each)
        firm._directory.extend(directory)
        return firm


class TestMemoryMatterData(Firm, MatterDataContract):
    @pytest.fixture
    def seed(self, firm: MemoryMatterData) -> Any:
        return lambda invoices, directory: self.filled(
            firm, invoices, directory
        )


class TestAsyncMemoryMatterData(Firm, AsyncMatterDataContract):
    @pytest.fixture
    def async_seed(self, firm: MemoryMatterData) -> Any:
        return lambda invoices, directory: Awaitable(
            self.filled(firm, invoices, directory)
        )


class Channel:
    """What the notifier in memory offers to a test."""

    @pytest.fixture
    def inner(self) -> MemoryNotifier:
        return MemoryNotifier()

    @pytest.fixture
    def arrived(self, inner: MemoryNotifier) -> Callable[[], list[str]]:
        return lambda: [each.detail for each in inner.sent]

    @pytest.fixture
    def offline(
        self, inner: MemoryNotifier
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            inner.is_down = True
            yield
            inner.is_down = False

        return cut


class TestMemoryNotifier(Channel, NotifierContract):
    @pytest.fixture
    def notifier(self, inner: MemoryNotifier) -> MemoryNotifier:
        return inner


class TestAsyncMemoryNotifier(Channel, AsyncNotifierContract):
    @pytest.fixture
    def async_notifier(self, inner: MemoryNotifier) -> Any:
        return Awaitable(inner)


class TestMemoryPostingStore(PostingStoreContract):
    @pytest.fixture
    def new_store(self) -> Callable[[Clock], PostingStore]:
        return lambda clock: MemoryPostingStore(clock=clock)


class TestAsyncMemoryPostingStore(AsyncPostingStoreContract):
    examples = 5

    @pytest.fixture
    def new_async_store(self) -> Any:
        return lambda clock: Awaitable(MemoryPostingStore(clock=clock))
