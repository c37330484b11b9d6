"""Notices in a channel of Slack, through a web server on this machine."""

from __future__ import annotations

import copy
import json
import pickle
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters._chat import calling_nobody
from autopay_core.adapters.slack import SlackNotifier, compose
from autopay_core.calls import deliver
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import (
    Audience,
    Notice,
    NoticeKind,
    notice_for_firm,
)
from chat_server import (
    HANG,
    NONSENSE,
    RESET,
    SECRET,
    SHORT,
    TAKEN,
    Answer,
    ChatServer,
)
from test_smtp import NOTICE, shown_by
from worlds import World, bill, standing_order

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYBODY = frozenset(Audience)
RECEIPT = attrs.evolve(NOTICE, kind=NoticeKind.PAID, reason="", detail="")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    running = ChatServer()
    running.start()
    yield running
    running.stop()


def notifier(server: ChatServer, **more: Any) -> SlackNotifier:
    return SlackNotifier(
        more.pop("webhook", server.webhook),
        **{"timeout_seconds": 5, **more},
    )


def posted(notice: Notice) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(compose(notice))
    return read


def holding(**fields: object) -> Notice:
    """Make a notice that holds what its fields would refuse."""
    notice = attrs.evolve(NOTICE)
    for name, value in fields.items():
        object.__setattr__(notice, name, value)
    return notice


# -- What is posted ----------------------------------------------------------


def test_a_notice_arrives_in_the_channel(server: ChatServer) -> None:
    notifier(server).send(NOTICE)

    [(path, headers, _)] = server.posted
    assert path == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert server.paths == [f"POST {path}"]
    [message] = server.messages()
    assert message["text"] == (
        "Error-Failed AutoPay\n"
        "Auto-pay: Harbour Foods, monthly (ap-1)\n"
        "Payer: p-1\n"
        "Date: 2026-02-28\n"
        "Amount: USD 265.50\n"
        "Reason: Declined\n"
        "The card has expired. (code 54)"
    )


def test_nothing_in_the_text_is_formatted_linked_or_looked_up() -> None:
    # `*_~` and the backtick have no escape: the text is said to be none of
    # Slack's markup.
    message = posted(attrs.evolve(NOTICE, name="*a* _b_ ~c~ `d` x.example"))

    assert "*a* _b_ ~c~ `d` x.example" in message.pop("text")
    assert message == {
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Fish & Chips", "Fish &amp; Chips"),
        ("&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("<!here|here>", "&lt;!here|here&gt;"),
        ("<!subteam^S1>", "&lt;!subteam^S1&gt;"),
        ("<@U123>", "&lt;@\u200bU123&gt;"),
        ("<#C123|general>", "&lt;#C123|general&gt;"),
        (
            "<https://evil.example|your bank>",
            "&lt;https://evil.example|your bank&gt;",
        ),
        ("> a quote", "&gt; a quote"),
        ("@here", "@\u200bhere"),
        ("@channel!", "@\u200bchannel!"),
        ("@HERE", "@\u200bHERE"),
        ("ring @ann", "ring @\u200bann"),
        ("x@everyone", "x@\u200beveryone"),
        ("office@harbour.example", "office@harbour.example"),
        ("2 @ 5", "2 @ 5"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("a\x1b[31mb\x00", "a\\x1b[31mb\\x00"),
        ("a\u202eb\u2028c", "a\\u202eb\\u2028c"),
        ("\ud800", "\\ud800"),
        ("Überseehandel 株式会社 ☕", "Überseehandel 株式会社 ☕"),
    ],
)
@pytest.mark.parametrize("field", ["name", "detail", "reason", "method"])
def test_what_a_field_holds_is_shown_and_calls_nobody(
    field: str, name: str, shown: str
) -> None:
    text = posted(holding(**{field: name}))["text"]

    assert shown in text
    assert text.count("\n") == posted(NOTICE)["text"].count("\n") + (
        field == "method"
    )


_FIELDS = (
    *("key", "payer", "autopay", "name", "reason", "detail"),
    *("reference", "method", "link"),
)
_TEXT = st.text(max_size=300) | st.text("<>&@!#|*_~`;ahlmtg \n", max_size=60)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(_FIELDS, _TEXT),
    )
)
@example(fields={"name": "<!channel>", "detail": "<@U1> &lt;!here&gt;"})
@example(fields={"name": "@@here @\u200b@channel"})
@example(fields={"name": "\ud83d", "detail": "\udfff"})
def test_whatever_a_notice_holds_nothing_is_left_to_read_as_markup(
    fields: dict[str, str],
) -> None:
    raw = compose(holding(**fields))
    text = json.loads(raw)["text"]

    assert raw.isascii()
    assert b"<" not in raw
    assert b">" not in raw
    assert re.sub("&(amp|lt|gt);", "", text).count("&") == 0
    assert not re.search("@(here|channel|everyone)", text, re.IGNORECASE)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u2028]", text)
    assert text.encode("utf-8")


@pytest.mark.parametrize("sign", ["&", "<", "x", "☕", "e\u0301"])
@pytest.mark.parametrize("shift", range(4))
def test_a_text_that_is_too_long_is_cut_between_two_characters(
    sign: str, shift: int
) -> None:
    much = "y" * shift + sign * 1_000
    line = SimpleNamespace(invoice=much, amount="")
    said = dict.fromkeys(
        ["name", "payer", "reason", "detail", "reference", "method", "link"],
        much,
    )

    text = posted(holding(**said, lines=(line,)))["text"]

    assert len(text) <= 40_000
    assert re.sub("&(amp|lt|gt);", "", text).count("&") == 0
    if sign == "&":
        assert len(text) > 39_990
        assert text.endswith("…")


def test_a_call_that_is_broken_is_broken_once() -> None:
    once = calling_nobody("@here <@U1> @@all")

    assert calling_nobody(once) == once
    assert re.findall("@[a-zA-Z]", once) == []


# -- Who is told -------------------------------------------------------------


@pytest.mark.parametrize("reason", ["Declined", "Missed"])
@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("payer", ["p-1", ""])
def test_n1_a_channel_gets_what_is_for_the_firm(
    server: ChatServer, kind: NoticeKind, payer: str, reason: str
) -> None:
    notice = attrs.evolve(NOTICE, kind=kind, payer=payer, reason=reason)

    notifier(server).send(notice)

    assert len(server.paths) == (Audience.FIRM in notice.audience)


def test_n1_a_receipt_is_posted_only_if_the_host_says_so(
    server: ChatServer,
) -> None:
    assert RECEIPT.audience == {Audience.PAYER}

    notifier(server).send(RECEIPT)
    assert server.paths == []

    notifier(server, audiences=EVERYBODY).send(RECEIPT)
    assert len(server.posted) == 1


def test_n1_a_channel_of_payers_does_not_get_what_is_for_the_firm(
    server: ChatServer,
) -> None:
    only = notifier(server, audiences=frozenset({Audience.PAYER}))

    only.send(attrs.evolve(NOTICE, kind=NoticeKind.SECURITY_EVENT))
    assert server.paths == []

    only.send(RECEIPT)
    assert len(server.posted) == 1


def test_a_notice_about_no_single_auto_pay_says_no_more_than_it_knows(
    server: ChatServer,
) -> None:
    notice = notice_for_firm(
        NoticeKind.INCIDENT,
        on=None,
        reason="PortUnavailable",
        detail="12 payments are late.",
    )

    notifier(server).send(notice)

    [message] = server.messages()
    assert message["text"] == (
        "AutoPay: payments are late\n"
        "Reason: PortUnavailable\n"
        "12 payments are late."
    )


def test_many_threads_post_at_once(server: ChatServer) -> None:
    sending = notifier(server, timeout_seconds=60)

    def post(number: int) -> None:
        sending.send(attrs.evolve(NOTICE, detail=f"Told {number}."))

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(post, range(64)))

    told = {each["text"].rsplit("\n")[-1] for each in server.messages()}
    assert told == {f"Told {number}." for number in range(64)}


# -- What cannot be posted ---------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Answer(429), "ChatUnavailable"),
        (Answer(503), "ChatUnavailable"),
        (Answer(400, b"invalid_payload"), "ChatRefused"),
        (Answer(403, b"invalid_token"), "ChatRefused"),
        (Answer(404, b"no_team"), "ChatRefused"),
        (Answer(410, b"channel_is_archived"), "ChatRefused"),
        (Answer(500, b"rollup_error"), "ChatUnknown"),
        (Answer(502), "ChatUnknown"),
        (Answer(504), "ChatUnknown"),
        (Answer(200, b"<html>a page</html>"), "ChatRefused"),
        (Answer(200, b""), "ChatRefused"),
        (Answer(204, b""), "ChatRefused"),
        (RESET, "ChatUnknown"),
        (NONSENSE, "ChatUnknown"),
        (SHORT, "ChatUnknown"),
    ],
)
def test_a_message_that_is_not_taken_is_an_error_of_the_port(
    server: ChatServer, script: Answer, code: str
) -> None:
    server.script = script

    with pytest.raises(PortError) as caught:
        notifier(server).send(NOTICE)

    assert caught.value.code == code
    assert isinstance(caught.value, PortUnavailableError) == (
        code == "ChatUnavailable"
    )
    assert len(server.paths) == 1
    shown_by(caught.value, without=(SECRET,))
    assert "Harbour" not in f"{caught.value!r} {vars(caught.value)}"


def test_a_server_that_says_nothing_is_not_waited_for(
    server: ChatServer,
) -> None:
    server.script = HANG

    with pytest.raises(PortError) as caught:
        notifier(server, timeout_seconds=0.2).send(NOTICE)

    assert caught.value.code == "ChatUnknown"
    assert not isinstance(caught.value, PortUnavailableError)
    shown_by(caught.value, without=(SECRET,))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("30", 30),
        ("0", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 40, None),
        ("Sat, 28 Feb 2026 06:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_when_to_come_back(
    server: ChatServer, status: int, said: str, seconds: int | None
) -> None:
    server.script = Answer(status, Retry_After=said)

    with pytest.raises(PortUnavailableError) as caught:
        notifier(server).send(NOTICE)

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: ChatServer, status: int) -> None:
    server.script = Answer(
        status, Location=f"http://127.0.0.1:{server.port}/elsewhere"
    )

    with pytest.raises(PortError) as caught:
        notifier(server).send(NOTICE)

    assert caught.value.code == "ChatRefused"
    assert server.paths == [f"POST /services/{SECRET}"]


def test_no_proxy_of_the_environment_gets_the_address(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    notifier(server).send(NOTICE)

    assert len(server.posted) == 1


def test_a_server_that_is_not_there_is_unavailable(
    server: ChatServer,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        gone = notifier(server, webhook=f"http://127.0.0.1:{port}/{SECRET}")

        with pytest.raises(PortUnavailableError) as caught:
            gone.send(NOTICE)

    assert caught.value.code == "ChatUnavailable"
    shown_by(caught.value, without=(SECRET,))


def test_a_server_that_does_not_encrypt_gets_nothing(
    server: ChatServer,
) -> None:
    address = server.webhook.replace("http:", "https:")

    with pytest.raises(PortUnavailableError) as caught:
        notifier(server, webhook=address).send(NOTICE)

    assert server.paths == []
    shown_by(caught.value, without=(SECRET,))


def test_certificates_are_checked_as_the_machine_does(
    server: ChatServer,
) -> None:
    made: Any = notifier(server, webhook=f"https://hooks.example/{SECRET}")
    own = ssl.create_default_context()
    told: Any = notifier(
        server, webhook=f"https://hooks.example/{SECRET}", context=own
    )

    context = made._connection()._context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert told._connection()._context is own
    assert made._connection().port == 443


# -- Settings and secrets ----------------------------------------------------


@pytest.mark.parametrize(
    "webhook",
    [
        "",
        None,
        b"https://hooks.slack.com/services/s3cret",
        "hooks.slack.com/services/s3cret",
        "http://hooks.slack.com/services/s3cret",
        "http://127.0.0.1.evil.example/s3cret",
        "http://user@127.0.0.1/s3cret",
        "https://user:s3cret@hooks.slack.com/services",
        "https://user:443@hooks.slack.com/s3cret",
        "ftp://hooks.slack.com/s3cret",
        "HTTPS ://hooks.slack.com/s3cret",
        "https://hooks.slack.com",
        "https://hooks.slack.com?s3cret",
        "https://hooks.slack.com/s3cret#here",
        "https://hooks.slack.com:0/s3cret",
        "https://hooks.slack.com:65536/s3cret",
        "https://hooks..slack.com/s3cret",
        f"https://{'h' * 64}.example/s3cret",
        "https://hooks.slack.com/s3cret HTTP/1.1",
        "https://hooks.slack.com/s3cret\r\nX: y",
        "https://hooks.slack.com/s3cret\n",
        "https://hooks.slack.com/s3cret\u202e",
        f"https://hooks.slack.com/{'s3cret' * 1_000}",
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_and_not_shown(
    webhook: Any,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        SlackNotifier(webhook)

    assert (caught.value.code, caught.value.path) == (
        "WebhookFormat",
        "webhook",
    )
    shown_by(caught.value, without=("s3cret",))


@pytest.mark.parametrize(
    "webhook",
    [
        "https://hooks.slack.com/services/T0/B0/x",
        "https://chat.firm.example:8065/hooks/x?y=z",
        "http://127.0.0.1:1/x",
        "http://[::1]:1/x",
        "http://localhost:1/x",
    ],
)
def test_an_address_of_a_webhook_is_taken(webhook: str) -> None:
    made = SlackNotifier(webhook)

    assert made._webhook.host in webhook
    assert webhook.endswith(made._webhook.path)


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"audiences": frozenset[Audience]()}, "FieldType"),
        ({"audiences": Audience.FIRM}, "FieldType"),
        ({"audiences": {Audience.FIRM}}, "FieldType"),
        ({"audiences": frozenset({"firm"})}, "FieldType"),
        ({"timeout_seconds": 0}, "OutOfRange"),
        ({"timeout_seconds": -1}, "OutOfRange"),
        ({"timeout_seconds": float("nan")}, "OutOfRange"),
        ({"timeout_seconds": float("inf")}, "OutOfRange"),
        ({"timeout_seconds": None}, "OutOfRange"),
        ({"timeout_seconds": True}, "OutOfRange"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    server: ChatServer, setting: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        notifier(server, **setting)

    assert (caught.value.code, caught.value.path) == (code, *setting)


def test_the_address_is_shown_nowhere(server: ChatServer) -> None:
    made = notifier(server)

    for shown in (repr(made), str(made), f"{vars(made)}", f"{[made]}"):
        assert SECRET not in shown
    assert repr(made) == "SlackNotifier('127.0.0.1')"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(made)


# -- With runs ---------------------------------------------------------------


def test_a_notice_waits_until_the_server_is_back(server: ChatServer) -> None:
    world = World(bill("INV-1", "100"))
    ports = world.ports_with(notifier=notifier(server, audiences=EVERYBODY))
    server.script = Answer(503)
    world.notifier.is_down = True
    world.run(standing_order())

    assert deliver(ports=ports) == 0
    server.script = TAKEN
    assert deliver(ports=ports) == 1
    assert deliver(ports=ports) == 0

    [message] = server.messages()
    assert message["text"].startswith("AutoPay paid\n")


def test_a_notice_for_payers_is_done_with_in_a_channel_of_the_firm(
    server: ChatServer,
) -> None:
    world = World(bill("INV-1", "100"))
    world.notifier.is_down = True
    world.run(standing_order())

    assert deliver(ports=world.ports_with(notifier=notifier(server))) == 1
    assert server.paths == []


def test_dates_are_written_out(server: ChatServer) -> None:
    text = posted(attrs.evolve(NOTICE, next_on=date(2026, 3, 31)))["text"]

    assert "Next date: 2026-03-31" in text
