"""
What a gateway's sandbox has to be told, and what its own books say.

Holds: `GatewayFixtures`, the fixtures of both gateway contracts, and `Taken`.
Imports: `_base` and the core. Most fixtures are optional: what is not given is
not tried, and the report says which sentence is then not proven.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final, TypeAlias, final

import attrs
import pytest

from autopay_core.charges import ChargeRequest
from autopay_core.money import Money
from autopay_core.ports import PaymentGateway, TwoStepGateway
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.testing.contracts._base import ACCOUNT, Contract, usd

__all__ = [
    "CURRENCIES",
    "Begin",
    "Gateway",
    "GatewayFixtures",
    "Look",
    "Meanwhile",
    "Taken",
]

Gateway: TypeAlias = PaymentGateway | TwoStepGateway
Begin: TypeAlias = Callable[[], None]
Meanwhile: TypeAlias = Callable[[], AbstractContextManager[None]]

CURRENCIES: Final = {
    "USD": 15_00,
    "JPY": 1_500,
    "ISK": 1_500,
    "UGX": 1_500,
    "KWD": 15_000,
}
"""
What is charged in each currency, in the library's minor units.

Of 2, 0, 0, 0 and 3 digits. Companies count krónur and Ugandan shillings in
hundredths, although there are none, and take dinars in steps of ten.
"""


@final
@attrs.frozen(kw_only=True)
class Taken:
    """
    One payment as the company's own books show it.

    Look it up beside the adapter, by the company's dashboard or its own
    client, and copy its figures as they stand there. What the adapter says
    about itself proves nothing.

    Attributes:
        units: The figure, in the units in which the company counts.
        currency: Its ISO code, upper case.
        units_per_one: How many of them make one dollar, króna or dinar, by
            the company's documentation: 100, 1 or 1000 as a rule.
        account: `DepositAccount.id` of where the money went; empty if the
            books do not say.

    """

    units: int
    currency: str
    units_per_one: int
    account: str = ""

    @property
    def sum(self) -> tuple[Fraction, str]:
        """So many dollars, krónur or dinars."""
        return Fraction(self.units, self.units_per_one), self.currency


Look: TypeAlias = Callable[[str], Sequence[Taken]]
"""Returns what the company took under a key, by its own books."""


class GatewayFixtures(Contract):
    """What a sandbox has to be told; override what differs."""

    # -- Whom to charge, and what --------------------------------------------

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        """Return a method that can be charged."""
        raise NotImplementedError

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        """Return a method that is declined."""
        raise NotImplementedError

    @pytest.fixture
    def pending_method(self) -> PaymentMethodRef | None:
        """Return a method whose payments take days, such as a bank debit."""
        return None

    @pytest.fixture
    def asking_method(self) -> PaymentMethodRef | None:
        """Return a method whose charges the payer has to approve."""
        return None

    @pytest.fixture
    def key(self) -> str:
        """Return a key that nobody used; a constant one replays a charge."""
        return f"kit{secrets.token_hex(14)}"

    @pytest.fixture
    def amount(self) -> Money:
        """Return what is charged at each test."""
        return usd(1_00)

    @pytest.fixture
    def amounts(self, gateway: Gateway) -> list[Money]:
        """Return one amount for each currency that the gateway takes."""
        promised = gateway.capabilities
        return [
            Money(
                amount_minor=max(minor, promised.minimum(currency)),
                currency=currency,
            )
            for currency, minor in CURRENCIES.items()
            if not promised.currencies or currency in promised.currencies
        ]

    @pytest.fixture
    def deposit_account(self) -> DepositAccount:
        """Return where the money goes."""
        return ACCOUNT

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount | None:
        """Return another place where the money can go."""
        return None

    @pytest.fixture
    def past(self) -> datetime:
        """Return an instant that is over by the gateway's clock."""
        return datetime.now(UTC) - timedelta(hours=1)

    @pytest.fixture
    def charge_request(
        self,
        key: str,
        amount: Money,
        good_method: PaymentMethodRef,
        deposit_account: DepositAccount,
    ) -> ChargeRequest:
        """Return a charge that goes through."""
        return ChargeRequest(
            key=key,
            method=good_method,
            amount=amount,
            deposit_account=deposit_account,
        )

    @pytest.fixture
    def declined_request(
        self, charge_request: ChargeRequest, declined_method: PaymentMethodRef
    ) -> ChargeRequest:
        """Return a charge that is declined."""
        return attrs.evolve(charge_request, method=declined_method)

    # -- The company's own books ---------------------------------------------

    @pytest.fixture
    def taken(self) -> Look | None:
        """
        Return an independent look at what was taken under a key.

        In the company's units, and without what is still under way.
        """
        return None

    @pytest.fixture
    def captures(self, taken: Look | None) -> Callable[[str], int] | None:
        """Return how to count captures under a key in the company's books."""
        if taken is None:
            return None
        look = taken
        return lambda key: len(look(key))

    @pytest.fixture
    def other_account(self) -> Callable[[], Gateway] | None:
        """Return how to make the gateway for another of its accounts."""
        return None

    # -- What happens at the company -----------------------------------------

    @pytest.fixture
    def settle(self) -> Callable[[str], None] | None:
        """Return how to let the pending payment under a key succeed."""
        return None

    @pytest.fixture
    def fail_later(self) -> Callable[[str], None] | None:
        """Return how to let the pending payment under a key fail."""
        return None

    @pytest.fixture
    def complete(self) -> Callable[[ChargeRequest, str | None], None] | None:
        """
        Return how somebody pays, after all, what was declined.

        As a payer can in another window, or the company's own retries do. It
        is given the request and, with two steps, the reference; whether it
        gets through shows in the books.
        """
        return None

    @pytest.fixture
    def forget(self) -> Callable[[str], None] | None:
        """Return how to let a key be forgotten, as after its retention."""
        return None

    @pytest.fixture
    def refuse(self) -> Begin | None:
        """Return how to let the next `prepare` be declined."""
        return None

    # -- Trouble -------------------------------------------------------------

    @pytest.fixture
    def lose_answer(self) -> Begin | None:
        """Return how to let the next answer be lost after the money moved."""
        return None

    @pytest.fixture
    def offline(self) -> Meanwhile | None:
        """Return how to make the gateway impossible to reach for a while."""
        return None

    @pytest.fixture
    def answer_500(self) -> Meanwhile | None:
        """
        Return how to let it answer 500 for a while, whatever is asked.

        What it is asked to take it takes all the same.
        """
        return None

    @pytest.fixture
    def busy(self) -> Meanwhile | None:
        """Return how to let it be too busy for a while, such as 429."""
        return None

    @pytest.fixture
    def lag(self) -> Meanwhile | None:
        """Return how to hide from look-ups for a while what is done then."""
        return None

    @pytest.fixture
    def strange(self) -> Meanwhile | None:
        """
        Return how to let payments be in a state that nobody knows.

        For a while; a word that is in no documentation.
        """
        return None
