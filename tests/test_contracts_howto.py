"""The gateways of the how-to guide keep what they declare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autopay_core.charges import ChargeRequest
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
)
from autopay_core.testing.contracts import (
    PaymentGatewayContract,
    Taken,
    TwoStepGatewayContract,
)

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "how-to" / "payment-gateway.md"


@cache
def page() -> dict[str, Any]:
    """Return what the blocks of the guide define, in their order."""
    names: dict[str, Any] = {}
    text = PAGE.read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if not block.startswith(">>>"):
            exec(block, names)  # noqa: S102 - our own page
    return names


class Sandbox:
    """What both of the guide's gateways offer to a test."""

    company: ClassVar[str]
    adapter: ClassVar[str]
    books: ClassVar[str]

    @pytest.fixture
    def theirs(self) -> Any:
        return page()[self.company]()

    @pytest.fixture
    def gateway(self, theirs: Any) -> Any:
        return page()[self.adapter](theirs)

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return PaymentMethodRef(provider="vendor", token="tok_full")

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        return PaymentMethodRef(provider="vendor", token="tok_empty")

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount:
        return DepositAccount(id="trust", kind=AccountKind.TRUST)

    @pytest.fixture
    def taken(self, theirs: Any) -> Callable[[str], list[Taken]]:
        per_one = {"USD": 100, "KWD": 1000}
        return lambda key: [
            Taken(
                units=each["cents"],
                currency=each["currency"],
                units_per_one=per_one.get(each["currency"], 1),
                account=each["account"],
            )
            for each in getattr(theirs, self.books).values()
            if each["key"] == key and each["state"] == "succeeded"
        ]

    @pytest.fixture
    def lose_answer(self, theirs: Any) -> Callable[[], None]:
        """Lose the answer to the next request, and no other."""
        name = "pay" if self.company == "Vendor" else "confirm"
        true = getattr(theirs, name)

        def once(*arguments: Any) -> Any:
            theirs.trouble = "timeout"
            setattr(theirs, name, true)
            try:
                return true(*arguments)
            finally:
                theirs.trouble = None

        return lambda: setattr(theirs, name, once)

    @pytest.fixture
    def offline(
        self, theirs: Any
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            theirs.trouble = "down"
            yield
            theirs.trouble = None

        return cut


class TestVendorGateway(Sandbox, PaymentGatewayContract):
    company = "Vendor"
    adapter = "VendorGateway"
    books = "payments"

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wait for no look-up: the vendor is in memory."""
        monkeypatch.setattr("time.sleep", lambda seconds: None)


class TestIntentGateway(Sandbox, TwoStepGatewayContract):
    company = "Intents"
    adapter = "IntentGateway"
    books = "made"

    @pytest.fixture
    def complete(self, theirs: Any) -> Callable[..., None]:
        def pay(_: ChargeRequest, reference: str | None) -> None:
            theirs.made[reference]["token"] = "tok_full"
            theirs.confirm(reference)

        return pay

    @pytest.fixture
    def forget(self) -> Callable[[str], None]:
        return lambda key: None
