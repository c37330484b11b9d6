"""The faulty gateways, and the mail notifier, keep their ports' clauses."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopay_core.audit import GatewayKind
from autopay_core.charges import GatewayCapabilities
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
)
from autopay_core.testing.contracts import (
    Clock,
    NotifierContract,
    PaymentGatewayContract,
    Taken,
    TwoStepGatewayContract,
)
from autopay_core.testing.gateway_faulty import (
    FaultyGateway,
    FaultyTwoStepGateway,
    Mischief,
)
from test_contracts_memory import books_of
from test_smtp import MailServer, notifier
from worlds import BANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from autopay_core.charges import ChargeRequest

GOOD = PaymentMethodRef(provider="kit", token="tok_good_0001")
BAD = PaymentMethodRef(provider="kit", token="tok_bad_00001")


class Sandbox:
    """What the faulty gateways offer to a test."""

    machine: type[FaultyGateway | FaultyTwoStepGateway] = FaultyGateway

    @pytest.fixture
    def sandbox_clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def opened(
        self, tmp_path: Path, sandbox_clock: Clock
    ) -> Iterator[Callable[[str], Any]]:
        """Return how to open the file for one of its accounts."""
        machine = type(self).machine
        made: list[Any] = []

        def open_for(account: str) -> Any:
            capabilities = GatewayCapabilities(
                two_step=machine is FaultyTwoStepGateway,
                lookup_settle_seconds=0,
                honours_deadline=True,
                account=account,
                cancels=True,
                finds_references=True,
            )
            made.append(
                machine(
                    tmp_path / "gateway.db",
                    clock=sandbox_clock,
                    capabilities=capabilities,
                    bank_debits_pend=True,
                )
            )
            return made[-1]

        yield open_for
        for each in made:
            each.close()

    @pytest.fixture
    def gateway(self, opened: Callable[[str], Any]) -> Any:
        made = opened("acct-1")
        made.decline(BAD)
        return made

    @pytest.fixture
    def other_account(self, opened: Callable[[str], Any]) -> Callable[[], Any]:
        return lambda: opened("acct-2")

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return GOOD

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        return BAD

    @pytest.fixture
    def pending_method(self) -> PaymentMethodRef:
        return BANK

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount:
        return DepositAccount(id="kit-trust", kind=AccountKind.TRUST)

    @pytest.fixture
    def taken(self, gateway: Any) -> Callable[[str], list[Taken]]:
        return lambda key: books_of(gateway.taken(key))

    @pytest.fixture
    def captures(self, gateway: Any) -> Callable[[str], int]:
        return lambda key: sum(
            each.key == key and each.kind is GatewayKind.CAPTURED
            for each in gateway.rows()
        )

    @pytest.fixture
    def settle(self, gateway: Any) -> Callable[[str], None]:
        return cast("Callable[[str], None]", gateway.settle)

    @pytest.fixture
    def fail_later(self, gateway: Any) -> Callable[[str], None]:
        return cast("Callable[[str], None]", gateway.fail)

    @pytest.fixture
    def complete(self, gateway: Any) -> Any:
        def pay(request: ChargeRequest, reference: str | None) -> None:
            gateway.accept(request.method)
            if reference is None:
                gateway.charge(request)
            else:
                gateway.confirm(reference, request)

        return pay

    @pytest.fixture
    def forget(
        self, gateway: Any, sandbox_clock: Clock
    ) -> Callable[[str], None]:
        kept = gateway.capabilities.key_retention_seconds
        return lambda _: sandbox_clock.advance(kept)

    @pytest.fixture
    def refuse(self, gateway: Any) -> Callable[[], None]:
        def refusing() -> None:
            gateway.mischief = Mischief(refuse=1.0)

        return refusing

    @pytest.fixture
    def lose_answer(self, gateway: Any) -> Callable[[], None]:
        take = gateway._take

        def once(*arguments: Any) -> Any:
            gateway.mischief = Mischief(lose_answer=1.0)
            outcome = take(*arguments)
            gateway.mischief = Mischief()
            gateway._take = take
            return outcome

        def lose() -> None:
            gateway._take = once

        return lose

    @pytest.fixture
    def offline(self, gateway: Any) -> Any:
        return self.doing(gateway, Mischief(unavailable=1.0))

    @pytest.fixture
    def busy(self, gateway: Any) -> Any:
        return self.doing(gateway, Mischief(busy=1.0))

    @pytest.fixture
    def answer_500(self, gateway: Any) -> Any:
        return self.doing(gateway, Mischief(lose_answer=1.0, blind=1.0))

    @pytest.fixture
    def strange(self, answer_500: Any) -> Any:
        return answer_500

    @pytest.fixture
    def lag(self, gateway: Any, sandbox_clock: Clock) -> Any:
        @contextmanager
        def lagging() -> Iterator[None]:
            with self.doing(gateway, Mischief(lag_seconds=60, seed=1))():
                yield
            sandbox_clock.advance(60)

        return lagging

    def doing(
        self, gateway: Any, mischief: Mischief
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def meanwhile() -> Iterator[None]:
            gateway.mischief = mischief
            yield
            gateway.mischief = Mischief()

        return meanwhile

    @pytest.fixture
    def past(self, sandbox_clock: Clock) -> datetime:
        return sandbox_clock() - timedelta(seconds=1)


class TestFaultyGateway(Sandbox, PaymentGatewayContract):
    pass


class TestFaultyTwoStepGateway(Sandbox, TwoStepGatewayContract):
    machine = FaultyTwoStepGateway


class TestSmtpNotifier(NotifierContract):
    @pytest.fixture
    def server(self) -> Iterator[MailServer]:
        running = MailServer()
        running.start()
        yield running
        running.stop()

    @pytest.fixture
    def notifier(self, server: MailServer) -> Any:
        return notifier(server.port)

    @pytest.fixture
    def arrived(self, server: MailServer) -> Callable[[], list[str]]:
        return lambda: [
            cast("str", mail.get_content()) for _, mail in server.messages
        ]

    @pytest.fixture
    def offline(
        self, server: MailServer
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            server.script = {"RCPT": "450 later"}
            yield
            server.script = {}

        return cut
