"""The faulty gateways, and the mail notifier, keep their ports' clauses."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopay_core.audit import GatewayKind
from autopay_core.charges import GatewayCapabilities
from autopay_core.references import PaymentMethodRef
from autopay_core.testing.contracts import (
    Clock,
    NotifierContract,
    PaymentGatewayContract,
    TwoStepGatewayContract,
)
from autopay_core.testing.gateway_faulty import (
    FaultyGateway,
    FaultyTwoStepGateway,
    Mischief,
)
from test_smtp import MailServer, notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

GOOD = PaymentMethodRef(provider="kit", token="tok_good_0001")
BAD = PaymentMethodRef(provider="kit", token="tok_bad_00001")


class Sandbox:
    """What the faulty gateways offer to a test."""

    machine: type[FaultyGateway | FaultyTwoStepGateway] = FaultyGateway

    @pytest.fixture
    def sandbox_clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def gateway(self, tmp_path: Path, sandbox_clock: Clock) -> Iterator[Any]:
        machine = type(self).machine
        made = machine(
            tmp_path / "gateway.db",
            clock=sandbox_clock,
            capabilities=GatewayCapabilities(
                two_step=machine is FaultyTwoStepGateway,
                lookup_settle_seconds=0,
                honours_deadline=True,
            ),
        )
        made.decline(BAD)
        yield made
        made.close()

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return GOOD

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        return BAD

    @pytest.fixture
    def captures(self, gateway: Any) -> Callable[[str], int]:
        return lambda key: sum(
            each.key == key and each.kind is GatewayKind.CAPTURED
            for each in gateway.rows()
        )

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
    def offline(
        self, gateway: Any
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            gateway.mischief = Mischief(unavailable=1.0)
            yield
            gateway.mischief = Mischief()

        return cut

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
