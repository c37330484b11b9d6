"""The gateway of Stripe, by the contract kit, against the make-believe one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from autopay_core.adapters.stripe import StripeGateway
from autopay_core.money import Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)
from autopay_core.testing.contracts import Taken, TwoStepGatewayContract
from autopay_core.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopay_core.charges import ChargeRequest
    from autopay_core.testing.contracts._sandbox import (
        Begin,
        Look,
        Meanwhile,
    )

DEPOSITS = {"operating": "", "trust": "acct_trust"}


class TestStripe(TwoStepGatewayContract):
    @pytest.fixture
    def company(self) -> Iterator[FakeStripe]:
        with FakeStripe() as company:
            yield company
            assert company.complaints == []

    @pytest.fixture
    def gateway(self, company: FakeStripe) -> StripeGateway:
        return StripeGateway(
            company.api_key,
            account="acct_firm",
            deposits=DEPOSITS,
            payer_link=lambda reference: f"https://firm.example/{reference}",
            search_seconds=0,
            api_base=company.url,
        )

    @pytest.fixture
    def other_account(
        self, company: FakeStripe
    ) -> Callable[[], StripeGateway] | None:
        return lambda: StripeGateway(
            company.api_key,
            stripe_account="acct_other",
            deposits=DEPOSITS,
            search_seconds=0,
            api_base=company.url,
        )

    @pytest.fixture
    def good_method(self, company: FakeStripe) -> PaymentMethodRef:
        return PaymentMethodRef(provider="stripe", token=company.card())

    @pytest.fixture
    def declined_method(self, company: FakeStripe) -> PaymentMethodRef:
        token = company.card("insufficient_funds")
        return PaymentMethodRef(provider="stripe", token=token)

    @pytest.fixture
    def pending_method(self, company: FakeStripe) -> PaymentMethodRef | None:
        return PaymentMethodRef(
            provider="stripe",
            token=company.bank_account(),
            kind=MethodKind.BANK_ACCOUNT,
            network="ach",
        )

    @pytest.fixture
    def asking_method(self, company: FakeStripe) -> PaymentMethodRef | None:
        token = company.card(needs_payer=True)
        return PaymentMethodRef(provider="stripe", token=token)

    @pytest.fixture
    def amounts(self, gateway: Any) -> list[Money]:
        return [
            Money.of("15.00", "USD"),
            Money.of("1500", "JPY"),
            Money.of("1500", "ISK"),
            Money.of("1500", "UGX"),
            Money.of("15.000", "KWD"),
            Money.of("1500.00", "HUF"),
            Money.of("150.00", "TWD"),
            Money.of("1500.00", "MGA"),
        ]

    @pytest.fixture
    def deposit_account(self) -> DepositAccount:
        return DepositAccount(id="operating")

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount | None:
        return DepositAccount(id="trust", kind=AccountKind.TRUST)

    @pytest.fixture
    def taken(self, company: FakeStripe) -> Look | None:
        back = {there: here for here, there in DEPOSITS.items()}
        return lambda key: [
            Taken(
                units=each.units,
                currency=each.currency,
                units_per_one=each.units_per_one,
                account=back[each.account],
            )
            for each in company.payments(key)
        ]

    @pytest.fixture
    def settle(self, company: FakeStripe) -> Callable[[str], None] | None:
        return company.settle

    @pytest.fixture
    def fail_later(self, company: FakeStripe) -> Callable[[str], None] | None:
        return company.fail_later

    @pytest.fixture
    def complete(
        self, company: FakeStripe
    ) -> Callable[[ChargeRequest, str | None], None] | None:
        def pay(_: ChargeRequest, reference: str | None) -> None:
            assert reference is not None
            company.books.complete(reference)

        return pay

    @pytest.fixture
    def forget(self, company: FakeStripe) -> Callable[[str], None] | None:
        return lambda _: company.forget_keys()

    @pytest.fixture
    def refuse(self, company: FakeStripe) -> Begin | None:
        return company.refuse_next

    @pytest.fixture
    def lose_answer(self, company: FakeStripe) -> Begin | None:
        return lambda: company.lose_answer_of("confirm")

    @pytest.fixture
    def offline(self, company: FakeStripe) -> Meanwhile | None:
        return company.offline

    @pytest.fixture
    def answer_500(self, company: FakeStripe) -> Meanwhile | None:
        return company.answering_500

    @pytest.fixture
    def busy(self, company: FakeStripe) -> Meanwhile | None:
        return company.busy

    @pytest.fixture
    def lag(self, company: FakeStripe) -> Meanwhile | None:
        return company.lagging

    @pytest.fixture
    def strange(self, company: FakeStripe) -> Meanwhile | None:
        return company.strange
