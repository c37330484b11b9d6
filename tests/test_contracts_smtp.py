"""Notices by e-mail keep every clause of the notifier."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from autopay_core.adapters.smtp import Security, SmtpNotifier
from autopay_core.testing.contracts import NotifierContract
from test_smtp import MailServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class TestSmtpNotifier(NotifierContract):
    @pytest.fixture
    def server(self) -> Iterator[MailServer]:
        running = MailServer()
        running.start()
        yield running
        running.stop()

    @pytest.fixture
    def notifier(self, server: MailServer) -> SmtpNotifier:
        return SmtpNotifier(
            "127.0.0.1",
            sender="autopay@firm.example",
            receiver=lambda _: "ar@firm.example",
            port=server.port,
            security=Security.NONE,
        )

    @pytest.fixture
    def arrived(self, server: MailServer) -> Callable[[], list[str]]:
        # As a mail program shows it: a long line may have been folded.
        return lambda: [
            " ".join(mail.get_content().split()) for _, mail in server.messages
        ]

    @pytest.fixture
    def offline(
        self, server: MailServer
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def full() -> Iterator[None]:
            server.script["MAIL"] = "452 try again later"
            yield
            server.script.clear()

        return full
