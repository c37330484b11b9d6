"""Notices by way of Apprise, to services on this machine."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import apprise
import attrs
import pytest

from autopay_core.adapters.apprise import AppriseNotifier
from autopay_core.calls import deliver
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import Audience, NoticeKind, notice_for_firm
from chat_server import HANG, RESET, SECRET, TAKEN, Answer, ChatServer
from test_slack import EVERYBODY, RECEIPT, holding
from test_smtp import NOTICE, MailServer, shown_by
from worlds import World, bill, standing_order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[ChatServer]:
    running = ChatServer()
    running.start()
    yield running
    running.stop()


def address(server: ChatServer, more: str = "") -> str:
    return f"json://127.0.0.1:{server.port}/{SECRET}{more}"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Return the address of a service that nobody runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"json://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"


# -- What is sent ------------------------------------------------------------


def test_a_notice_arrives_at_the_service(server: ChatServer) -> None:
    AppriseNotifier(address(server)).send(NOTICE)

    [message] = server.messages()
    assert message["title"] == "Error-Failed AutoPay"
    assert message["message"] == (
        "Auto-pay: Harbour Foods, monthly (ap-1)\n"
        "Payer: p-1\n"
        "Date: 2026-02-28\n"
        "Amount: USD 265.50\n"
        "Reason: Declined\n"
        "The card has expired. (code 54)"
    )
    assert message["attachments"] == []


def test_a_notice_that_has_only_a_title_arrives(server: ChatServer) -> None:
    bare = notice_for_firm(NoticeKind.INCIDENT, on=None, reason="", detail="")

    AppriseNotifier(address(server)).send(bare)

    [message] = server.messages()
    assert (message["title"], message["message"]) == (
        "",
        "AutoPay: payments are late",
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>*bold*</b> _x_ `y`", "<b>*bold*</b> _x_ `y`"),
        ("a :smile: b", "a :smile: b"),
        (r"a\nb \t \x41 \u0041", r"a\nb \t \x41 \u0041"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("{{7*7}} ${HOME} {app_id}", "{{7*7}} ${HOME} {app_id}"),
        ("a\r\nb\x1b[31m", "a\\x0d\\x0ab\\x1b[31m"),
        ("\u202e\ud800", "\\u202e\\ud800"),
        (
            "@here <@U1> office@a.example",
            "@\u200bhere <@\u200bU1> office@a.example",
        ),
        ("株式会社 ☕", "株式会社 ☕"),
    ],
)
def test_what_a_field_holds_arrives_as_plain_text(
    server: ChatServer, name: str, shown: str
) -> None:
    AppriseNotifier(address(server)).send(holding(name=name, detail=name))

    [message] = server.messages()
    assert message["message"].startswith(f"Auto-pay: {shown} (ap-1)\n")
    assert message["message"].endswith(f"\n{shown}")
    assert message["attachments"] == []


def mattermost(server: ChatServer, more: str) -> AppriseNotifier:
    token = "3ccdd113474722377935511fc85d3dd4"
    return AppriseNotifier(f"mmost://127.0.0.1:{server.port}/{token}{more}")


def test_a_service_that_is_said_to_read_markdown_gets_it_escaped(
    server: ChatServer,
) -> None:
    name = "*a* [your bank](https://evil.example) @channel"

    mattermost(server, "?format=markdown").send(holding(name=name))

    [message] = server.messages()
    assert r"\*a\*" in message["text"]
    assert "[your bank](" not in message["text"]
    assert "@channel" not in message["text"]


def test_a_service_that_reads_markdown_unsaid_calls_nobody_either(
    server: ChatServer,
) -> None:
    mattermost(server, "").send(holding(name="*a* @channel @ann"))

    [message] = server.messages()
    assert "*a* @\u200bchannel @\u200bann" in message["text"]


def test_a_service_that_reads_html_gets_it_escaped() -> None:
    mails = MailServer()
    mails.start()
    try:
        AppriseNotifier(
            f"mailto://127.0.0.1:{mails.port}/?from=a@firm.example"
            "&to=b@firm.example&format=html&mode=insecure"
        ).send(holding(name="<b onclick='x'>&</b>"))
    finally:
        mails.stop()

    [(_, mail)] = mails.messages
    html = mail.get_body(("html",))
    assert html is not None
    assert "<b onclick" not in html.get_content()
    assert "&lt;b" in html.get_content()


@pytest.mark.parametrize("reason", ["Declined", "Missed"])
@pytest.mark.parametrize("kind", NoticeKind)
def test_n1_services_get_what_is_for_the_firm(
    server: ChatServer, kind: NoticeKind, reason: str
) -> None:
    notice = attrs.evolve(NOTICE, kind=kind, reason=reason)

    AppriseNotifier(address(server)).send(notice)

    assert len(server.paths) == (Audience.FIRM in notice.audience)


def test_n1_a_receipt_is_sent_only_if_the_host_says_so(
    server: ChatServer,
) -> None:
    AppriseNotifier(address(server)).send(RECEIPT)
    assert server.paths == []

    AppriseNotifier(address(server), audiences=EVERYBODY).send(RECEIPT)
    assert len(server.posted) == 1


def test_every_service_gets_a_notice(server: ChatServer) -> None:
    both = AppriseNotifier(address(server, "/a"), address(server, "/b"))

    both.send(NOTICE)

    assert {path for path, _, _ in server.posted} == {
        f"/{SECRET}/a",
        f"/{SECRET}/b",
    }


# -- What cannot be sent -----------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        Answer(429, Retry_After="30"),
        Answer(500),
        Answer(404),
        Answer(410),
        RESET,
    ],
)
def test_what_no_service_took_is_unavailable(
    server: ChatServer, script: Answer
) -> None:
    server.script = script

    with pytest.raises(PortUnavailableError) as caught:
        AppriseNotifier(address(server)).send(NOTICE)

    assert caught.value.code == "ChatUnavailable"
    assert len(server.paths) == 1
    shown_by(caught.value, without=(SECRET,))


def test_a_service_that_is_not_there_is_unavailable(nowhere: str) -> None:
    with pytest.raises(PortUnavailableError) as caught:
        AppriseNotifier(nowhere).send(NOTICE)

    shown_by(caught.value, without=(SECRET,))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: ChatServer, status: int) -> None:
    server.script = Answer(
        status, Location=f"http://127.0.0.1:{server.port}/elsewhere"
    )

    with pytest.raises(PortUnavailableError):
        AppriseNotifier(address(server)).send(NOTICE)

    assert server.paths == [f"POST /{SECRET}"]


def test_what_only_some_took_is_not_known_to_be_taken(
    server: ChatServer, nowhere: str
) -> None:
    with pytest.raises(PortError) as caught:
        AppriseNotifier(address(server), nowhere).send(NOTICE)

    assert caught.value.code == "ChatUnknown"
    assert not isinstance(caught.value, PortUnavailableError)
    assert len(server.posted) == 1
    shown_by(caught.value, without=(SECRET,))


def test_a_service_that_says_nothing_is_not_waited_for(
    server: ChatServer,
) -> None:
    server.script = HANG

    with pytest.raises(PortError) as caught:
        AppriseNotifier(address(server), timeout_seconds=0.2).send(NOTICE)

    assert caught.value.code == "ChatUnknown"
    assert not isinstance(caught.value, PortUnavailableError)
    shown_by(caught.value, without=(SECRET,))


def test_what_apprise_raises_is_not_carried_along(
    server: ChatServer,
) -> None:
    made = AppriseNotifier(address(server))

    def broken(**_: object) -> None:
        raise LookupError(SECRET)

    made._apprise = SimpleNamespace(notify=broken)

    with pytest.raises(PortError) as caught:
        made.send(NOTICE)

    assert str(caught.value) == "Apprise broke off: LookupError"
    assert caught.value.code == "ChatUnknown"
    shown_by(caught.value, without=(SECRET,))


# -- Settings and secrets ----------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        None,
        b"json://s3cret.example",
        "s3cret",
        "nonsense://s3cret.example",
        "slack://s3cret",
        "json://user:s3cret@",
        "mailto://user:s3cret@127.0.0.1?to=",
        ["json://s3cret.example"],
        {"schema": "json", "host": "s3cret.example"},
    ],
)
def test_what_apprise_cannot_use_is_refused_and_not_shown(
    server: ChatServer, caplog: pytest.LogCaptureFixture, wrong: Any
) -> None:
    caplog.set_level(1)

    with pytest.raises(InvalidValueError) as caught:
        AppriseNotifier(address(server), wrong)

    assert (caught.value.code, caught.value.path) == (
        "ServiceFormat",
        "services[1]",
    )
    shown_by(caught.value, without=("s3cret", SECRET))
    assert caplog.records == []


def test_what_an_address_makes_apprise_raise_is_not_carried_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr(apprise.Apprise, "instantiate", broken)

    with pytest.raises(InvalidValueError) as caught:
        AppriseNotifier(f"json://127.0.0.1/{SECRET}")

    shown_by(caught.value, without=(SECRET,))


def test_without_a_service_nobody_would_be_told() -> None:
    with pytest.raises(InvalidValueError) as caught:
        AppriseNotifier()

    assert (caught.value.code, caught.value.path) == (
        "ServiceFormat",
        "services",
    )


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"audiences": frozenset[Audience]()}, "FieldType"),
        ({"timeout_seconds": 0}, "OutOfRange"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    server: ChatServer, setting: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        AppriseNotifier(address(server), **setting)

    assert (caught.value.code, caught.value.path) == (code, *setting)


def test_an_address_is_shown_nowhere(server: ChatServer) -> None:
    made = AppriseNotifier(address(server), address(server))

    for shown in (repr(made), str(made), f"{vars(made)}", f"{[made]}"):
        assert SECRET not in shown
    assert repr(made) == "<AppriseNotifier of 2>"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(made)


@pytest.mark.parametrize(
    "script", [TAKEN, Answer(500, SECRET.encode()), RESET]
)
@pytest.mark.parametrize("services", [1, 3])
def test_nothing_that_apprise_does_for_us_is_logged(
    server: ChatServer,
    caplog: pytest.LogCaptureFixture,
    script: Answer,
    services: int,
) -> None:
    caplog.set_level(1)
    server.script = script

    made = AppriseNotifier(*[address(server)] * services)
    try:
        made.send(NOTICE)
    except PortError:
        assert script is not TAKEN

    assert len(server.paths) == services
    assert caplog.records == []


def test_what_apprise_does_for_others_is_logged_as_before(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    AppriseNotifier(address(server)).send(NOTICE)
    caplog.set_level(logging.DEBUG)

    others = apprise.Apprise()
    others.add(address(server))
    others.notify(body="hello")

    assert {"apprise", "urllib3.connectionpool"} <= {
        each.name for each in caplog.records
    }
    assert SECRET in caplog.text


# -- With runs ---------------------------------------------------------------


def test_a_notice_waits_until_the_service_is_back(server: ChatServer) -> None:
    world = World(bill("INV-1", "100"))
    made = AppriseNotifier(address(server), audiences=EVERYBODY)
    ports = world.ports_with(notifier=made)
    server.script = Answer(503)
    world.notifier.is_down = True
    world.run(standing_order())

    assert deliver(ports=ports) == 0
    server.script = TAKEN
    assert deliver(ports=ports) == 1
    assert deliver(ports=ports) == 0

    [message] = server.messages()
    assert message["title"] == "AutoPay paid"
