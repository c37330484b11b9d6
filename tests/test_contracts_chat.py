"""Notices in chats keep every clause of the notifier."""

from __future__ import annotations

import html
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from autopay_core.adapters.apprise import AppriseNotifier
from autopay_core.adapters.slack import SlackNotifier
from autopay_core.notices import Audience
from autopay_core.testing.contracts import NotifierContract
from chat_server import HANG, RESET, SECRET, TAKEN, Answer, ChatServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

EVERYBODY = frozenset(Audience)
REFUSALS = {
    "busy": Answer(429, b"slow_down", Retry_After="30"),
    "failing": Answer(500, b"rollup_error"),
    "missing": Answer(404, b"no_team"),
    "gone": Answer(410, b"channel_is_archived"),
    "reset": RESET,
    "hanging": HANG,
}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    running = ChatServer()
    running.start()
    yield running
    running.stop()


class Chat(NotifierContract):
    """What both have of a chat; each clause is tried with each refusal."""

    @pytest.fixture(params=REFUSALS)
    def refusal(self, request: pytest.FixtureRequest) -> Answer:
        return REFUSALS[request.param]

    @pytest.fixture
    def offline(
        self, server: ChatServer, refusal: Answer
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def refusing() -> Iterator[None]:
            server.script = refusal
            yield
            server.script = TAKEN

        return refusing


class TestSlackNotifier(Chat):
    @pytest.fixture
    def notifier(self, server: ChatServer) -> SlackNotifier:
        return SlackNotifier(
            server.webhook, audiences=EVERYBODY, timeout_seconds=3
        )

    @pytest.fixture
    def arrived(self, server: ChatServer) -> Callable[[], list[str]]:
        # As Slack shows it: it reads three entities, and nothing else.
        return lambda: [
            html.unescape(each["text"]) for each in server.messages()
        ]


class TestAppriseNotifier(Chat):
    @pytest.fixture
    def notifier(self, server: ChatServer) -> AppriseNotifier:
        return AppriseNotifier(
            f"json://127.0.0.1:{server.port}/{SECRET}?rto=3",
            audiences=EVERYBODY,
        )

    @pytest.fixture
    def arrived(self, server: ChatServer) -> Callable[[], list[str]]:
        return lambda: [each["message"] for each in server.messages()]
