"""The adapters in memory keep every clause of their ports."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
)
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
    Taken,
    TwoStepGatewayContract,
)
from worlds import BANK, Awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from autopay_core.charges import ChargeRequest
    from autopay_core.invoices import Invoice, SearchResult
    from autopay_core.ports import PostingStore

    Meanwhile: TypeAlias = Callable[[], AbstractContextManager[None]]

GOOD = PaymentMethodRef(provider="kit", token="tok_good_0001")
BAD = PaymentMethodRef(provider="kit", token="tok_bad_00001")
ASKED = PaymentMethodRef(provider="kit", token="tok_ask_00001")


class Sandbox:
    """What the gateways in memory offer to a test."""

    machine: Callable[..., Any] = MemoryGateway
    declared: ClassVar[dict[str, Any]] = {
        "account": "acct-1",
        "cancels": True,
        "finds_references": True,
    }

    @pytest.fixture
    def inner(self, sandbox_clock: Clock) -> Any:
        gateway = type(self).machine(clock=sandbox_clock, **self.declared)
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
    def pending_method(self, inner: Any) -> PaymentMethodRef:
        inner._bank_debits_pend = True
        return BANK

    @pytest.fixture
    def asking_method(self, inner: Any) -> PaymentMethodRef:
        inner.ask_payer(ASKED.token)
        return ASKED

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount:
        return DepositAccount(id="kit-trust", kind=AccountKind.TRUST)

    @pytest.fixture
    def taken(self, inner: Any) -> Callable[[str], list[Taken]]:
        return lambda key: books_of(taken_under(inner, key))

    @pytest.fixture
    def other_account(self, inner: Any) -> Callable[[], Any]:
        return lambda: inner.at_account("acct-2")

    @pytest.fixture
    def settle(self, inner: Any) -> Callable[[str], None]:
        return cast("Callable[[str], None]", inner.settle)

    @pytest.fixture
    def fail_later(self, inner: Any) -> Callable[[str], None]:
        return cast("Callable[[str], None]", inner.fail)

    @pytest.fixture
    def complete(
        self, inner: Any
    ) -> Callable[[ChargeRequest, str | None], None]:
        return self.completing(inner)

    def completing(
        self, inner: Any
    ) -> Callable[[ChargeRequest, str | None], None]:
        """Return how a payer tries again at the company itself."""

        def pay(request: ChargeRequest, reference: str | None) -> None:
            inner.accept(request.method.token)
            if reference is None:
                inner.charge(request)
            else:
                inner.confirm(reference, request)

        return pay

    @pytest.fixture
    def forget(self, inner: Any) -> Callable[[str], None]:
        return cast("Callable[[str], None]", inner.forget)

    @pytest.fixture
    def refuse(self, inner: Any) -> Callable[[], None]:
        return lambda: inner.script(Fault.REFUSE)

    @pytest.fixture
    def lose_answer(self, inner: Any) -> Callable[[], None]:
        return lambda: inner.script(Fault.LOSE_ANSWER)

    @pytest.fixture
    def offline(self, inner: Any) -> Meanwhile:
        return in_trouble(inner, Fault.UNAVAILABLE)

    @pytest.fixture
    def answer_500(self, inner: Any) -> Meanwhile:
        return in_trouble(inner, Fault.ERROR_500)

    @pytest.fixture
    def busy(self, inner: Any) -> Meanwhile:
        return in_trouble(inner, Fault.BUSY)

    @pytest.fixture
    def strange(self, inner: Any) -> Meanwhile:
        return in_trouble(inner, Fault.STRANGE)

    @pytest.fixture
    def lag(self, inner: Any) -> Meanwhile:
        @contextmanager
        def lagging() -> Iterator[None]:
            inner.hides_new_requests = True
            yield
            inner.hides_new_requests = False
            inner.reveal()

        return lagging

    @pytest.fixture
    def past(self, sandbox_clock: Clock) -> datetime:
        return sandbox_clock() - timedelta(seconds=1)


def in_trouble(inner: Any, fault: Fault) -> Meanwhile:
    """Return how to have a gateway in memory do so for a while."""

    @contextmanager
    def meanwhile() -> Iterator[None]:
        inner.trouble = fault
        yield
        inner.trouble = None

    return meanwhile


def taken_under(inner: Any, key: str) -> list[tuple[Money, str]]:
    """Return what a gateway in memory took under a key, and for whom."""
    asked = {each.request_hash: each for each in inner.executed}
    return [
        (each.amount, asked[each.request].deposit_account.id)
        for each in inner.captured
        if each.key == key
    ]


def books_of(payments: Iterable[tuple[Money, str]]) -> list[Taken]:
    """
    Return the books of a company that a make-believe gateway stands for.

    It counts krónur and shillings in hundredths, although there are none.
    """
    return [
        Taken(
            units=amount.amount_minor
            * units_per_one(amount.currency)
            // 10 ** MINOR_DIGITS[amount.currency],
            currency=amount.currency,
            units_per_one=units_per_one(amount.currency),
            account=account,
        )
        for amount, account in payments
    ]


def units_per_one(currency: str) -> int:
    """Return in what a company counts, by its documentation."""
    if currency in {"ISK", "UGX"}:
        return 100
    return int(10 ** MINOR_DIGITS[currency])


class TestMemoryGateway(Sandbox, PaymentGatewayContract):
    @pytest.fixture
    def gateway(self, inner: Any) -> MemoryGateway:
        return cast("MemoryGateway", inner)


class TestMemoryGatewayOfTheFirstEdition(TestMemoryGateway):
    """What declares nothing new is not asked for it."""

    declared: ClassVar[dict[str, Any]] = {}


class TestMemoryGatewayOfBankDebits(TestMemoryGateway):
    """A debit that is pending keeps the clauses, too."""

    declared: ClassVar[dict[str, Any]] = {
        **Sandbox.declared,
        "bank_debits_pend": True,
    }

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return BANK


class TestAsyncMemoryGateway(Sandbox, AsyncPaymentGatewayContract):
    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return Awaitable(inner)

    @pytest.fixture
    def async_other_account(self, inner: Any) -> Any:
        return lambda: Awaitable(inner.at_account("acct-2"))


class TestMemoryTwoStepGateway(Sandbox, TwoStepGatewayContract):
    machine = MemoryTwoStepGateway

    @pytest.fixture
    def gateway(self, inner: Any) -> MemoryTwoStepGateway:
        return cast("MemoryTwoStepGateway", inner)


class TestMemoryTwoStepGatewayOfTheFirstEdition(TestMemoryTwoStepGateway):
    """What declares nothing new is not asked for it."""

    declared: ClassVar[dict[str, Any]] = {}


class TestAsyncMemoryTwoStepGateway(Sandbox, AsyncTwoStepGatewayContract):
    machine = MemoryTwoStepGateway

    @pytest.fixture
    def async_gateway(self, inner: Any) -> Any:
        return Awaitable(inner)

    @pytest.fixture
    def async_other_account(self, inner: Any) -> Any:
        return lambda: Awaitable(inner.at_account("acct-2"))


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
