"""Notices by e-mail, through a mail server on this machine."""

from __future__ import annotations

import asyncio
import copy
import pickle
import smtplib
import socket
import threading
import traceback
from contextlib import suppress
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters.smtp import Security, SmtpNotifier, compose
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
from autopay_core.show.letters import Letter, letter
from worlds import World, bill, standing_order, usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage, MIMEPart

AT = datetime(2026, 2, 28, 6, tzinfo=UTC)
NOTICE = Notice(
    key="n-1",
    kind=NoticeKind.FAILED,
    payer="p-1",
    autopay="ap-1",
    name="Harbour Foods, monthly",
    on=date(2026, 2, 28),
    amount=usd("265.50"),
    reason="Declined",
    detail="The card has expired. (code 54)",
)


class MailServer:
    """
    As much of SMTP as a notifier needs, in a thread of its own.

    `script` replaces the usual answer to a command; an answer of ``""``
    closes the connection without one.
    """

    def __init__(self) -> None:
        self.script: dict[str, str] = {}
        self.commands: list[str] = []
        self.messages: list[tuple[list[str], EmailMessage]] = []
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            await self._converse(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        receivers: list[str] = []
        if not await self._say(writer, "greeting", "220 here"):
            return
        while line := await reader.readline():
            text = line.decode("ascii").strip()
            command = text.partition(" ")[0].upper()
            self.commands.append(text)
            usual = {
                "EHLO": "250 here",
                "DATA": "354 go on",
                "QUIT": "221 bye",
            }.get(command, "250 ok")
            if command == "RCPT":
                receivers.append(text.partition(":")[2].strip("<> "))
            if not await self._say(writer, command, usual):
                return
            if command == "DATA" and "DATA" not in self.script:
                body = await reader.readuntil(b"\r\n.\r\n")
                if not await self._say(writer, "body", "250 taken"):
                    return
                if "body" not in self.script:
                    whole = body[:-3].replace(b"\r\n..", b"\r\n.")
                    mail: Any = message_from_bytes(whole, policy=SMTP)
                    self.messages.append((receivers, mail))
                receivers = []
            if command == "QUIT":
                return

    async def _say(
        self, writer: asyncio.StreamWriter, what: str, usual: str
    ) -> bool:
        answer = self.script.get(what, usual)
        if not answer:
            return False
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()
        return True


@pytest.fixture
def server() -> Iterator[MailServer]:
    running = MailServer()
    running.start()
    yield running
    running.stop()


def notifier(port: int, **more: Any) -> SmtpNotifier:
    settings: dict[str, Any] = {
        "sender": "autopay@firm.example",
        "receiver": lambda notice: "office@harbour.example",
        "port": port,
        "security": Security.NONE,
        "timeout_seconds": 5,
        "clock": lambda: AT,
    }
    host = more.pop("host", "127.0.0.1")
    return SmtpNotifier(host, **{**settings, **more})


# -- What is sent ------------------------------------------------------------


def test_a_notice_arrives_as_a_message(server: MailServer) -> None:
    notifier(server.port).send(NOTICE)

    [(receivers, mail)] = server.messages
    assert receivers == ["office@harbour.example"]
    assert mail["Subject"] == "Error-Failed AutoPay: Harbour Foods, monthly"
    assert mail["From"] == "autopay@firm.example"
    assert mail["To"] == "office@harbour.example"
    assert mail["Date"] == "Sat, 28 Feb 2026 06:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content() == (
        "Auto-pay: Harbour Foods, monthly (ap-1)\r\n"
        "Date: 2026-02-28\r\n"
        "Amount: USD 265.50\r\n"
        "Reason: Declined\r\n"
        "\r\n"
        "The card has expired. (code 54)\r\n"
    )


def test_a_notice_that_comes_again_has_the_same_message_id(
    server: MailServer,
) -> None:
    sending = notifier(server.port, domain="firm.example")

    sending.send(NOTICE)
    sending.send(NOTICE)
    sending.send(attrs.evolve(NOTICE, key="a <key> with spaces"))

    first, second, other = (mail["Message-ID"] for _, mail in server.messages)
    assert first == second == "<n-1@firm.example>"
    assert other.endswith("@firm.example>")
    assert " " not in other


def test_a_notice_for_nobody_is_not_sent(server: MailServer) -> None:
    notifier(server.port, receiver=lambda notice: None).send(NOTICE)

    assert server.commands == []


@pytest.mark.parametrize("reason", ["Declined", "Missed"])
@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("payer", ["p-1", ""])
def test_n1_each_audience_gets_a_message_of_its_own(
    server: MailServer, kind: NoticeKind, payer: str, reason: str
) -> None:
    notice = attrs.evolve(NOTICE, kind=kind, payer=payer, reason=reason)

    notifier(server.port, firm="ar@firm.example").send(notice)

    addresses = {
        Audience.FIRM: "ar@firm.example",
        Audience.PAYER: "office@harbour.example",
    }
    expected = {addresses[each] for each in notice.audience}
    assert {mail["To"] for _, mail in server.messages} == expected
    assert len(server.messages) == len(expected)
    for receivers, mail in server.messages:
        assert receivers == [mail["To"]]


def test_n1_a_firm_that_is_the_receiver_gets_one_message(
    server: MailServer,
) -> None:
    notice = attrs.evolve(NOTICE, kind=NoticeKind.FAILED, reason="Declined")
    address = "office@harbour.example"

    notifier(server.port, firm=address).send(notice)

    assert [receivers for receivers, _ in server.messages] == [[address]]


def test_n1_a_payer_without_an_address_keeps_nothing_from_the_firm(
    server: MailServer,
) -> None:
    notice = attrs.evolve(NOTICE, kind=NoticeKind.FAILED, reason="Declined")
    only = notifier(
        server.port, firm="ar@firm.example", receiver=lambda _: None
    )

    only.send(notice)

    assert [each for each, _ in server.messages] == [["ar@firm.example"]]


def test_n5_a_letter_goes_out_as_text_and_as_html(server: MailServer) -> None:
    notice = attrs.evolve(NOTICE, name="Müller & <b>", key="n-1")

    notifier(server.port, firm="ar@firm.example", write=letter).send(notice)

    assert [mail["To"] for _, mail in server.messages] == [
        "ar@firm.example",
        "office@harbour.example",
    ]
    for audience, (_, mail) in zip(
        (Audience.FIRM, Audience.PAYER), server.messages, strict=True
    ):
        said = letter(notice, audience)
        assert mail["Subject"] == said.subject
        assert mail["Message-ID"] == "<n-1@autopay.invalid>"
        assert mail.get_content_type() == "multipart/alternative"
        text, page = mail.iter_parts()
        assert text.get_content_type() == "text/plain"
        assert page.get_content_type() == "text/html"
        assert _lines(text) == said.text.splitlines()
        assert _lines(page) == said.html().splitlines()


def _lines(part: MIMEPart) -> list[str]:
    text: str = part.get_content()
    return text.splitlines()


def test_n5_an_address_that_is_the_firm_s_too_gets_the_firm_s_letter(
    server: MailServer,
) -> None:
    address = "office@harbour.example"

    notifier(server.port, firm=address, write=letter).send(NOTICE)

    [(_, mail)] = server.messages
    text, _ = mail.iter_parts()
    assert _lines(text) == letter(NOTICE, Audience.FIRM).text.splitlines()


def test_n5_a_letter_stands_on_the_host_s_page(server: MailServer) -> None:
    notifier(server.port, write=letter, page="<i>$title</i>$body").send(NOTICE)

    [(_, mail)] = server.messages
    _, page = mail.iter_parts()
    assert page.get_content().startswith("<i>Error-Failed AutoPay: Harbour")


def test_a_page_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidValueError, match="TemplateFormat"):
        notifier(25, write=letter, page="$title")


def test_a_letter_that_cannot_be_written_is_not_accepted(
    server: MailServer,
) -> None:
    def write(_: Notice, __: Audience) -> Letter:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        notifier(server.port, write=write).send(NOTICE)

    assert server.messages == []


def test_a_firm_s_address_is_one_address() -> None:
    with pytest.raises(InvalidValueError, match="AddressFormat") as caught:
        notifier(25, firm="ar@firm.example, thief@evil.example")

    assert caught.value.path == "firm"


def test_a_notice_about_no_single_auto_pay_says_no_more_than_it_knows(
    server: MailServer,
) -> None:
    notice = notice_for_firm(
        NoticeKind.INCIDENT,
        on=None,
        reason="PortUnavailable",
        detail="12 payments are late.",
    )

    notifier(server.port, firm="ar@firm.example").send(notice)

    [(_, mail)] = server.messages
    assert mail["Subject"] == "AutoPay: payments are late"
    assert mail.get_content() == (
        "Reason: PortUnavailable\r\n\r\n12 payments are late.\r\n"
    )


def test_letters_of_every_script_arrive(server: MailServer) -> None:
    notice = attrs.evolve(NOTICE, name="Überseehandel 株式会社", detail="é €")

    notifier(server.port).send(notice)

    [(_, mail)] = server.messages
    assert mail["Subject"].endswith("Überseehandel 株式会社")
    assert "é €" in mail.get_content()


def test_a_line_that_is_a_dot_does_not_end_the_message(
    server: MailServer,
) -> None:
    notifier(server.port).send(attrs.evolve(NOTICE, detail="."))

    [(_, mail)] = server.messages
    assert mail.get_content().endswith("\r\n\r\n.\r\n")


_HEADERS = {
    "Subject",
    "From",
    "To",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
}


@given(name=st.text(max_size=300), detail=st.text(max_size=300))
@example(name="x\r\nBcc: thief@evil.example", detail="y")
@example(name="x", detail="y\r\n.\r\nMAIL FROM:<thief@evil.example>")
@example(name="x\u2028Bcc: thief@evil.example", detail="\x00\x1b[31m")
@example(name="=?utf-8?q?=0D=0ABcc:_thief?=", detail="=0D=0A")
@example(name="\ud800", detail="\udfff")
def test_nothing_in_a_notice_adds_a_header_or_a_receiver(
    name: str, detail: str
) -> None:
    # The fields of a notice refuse most of this; an adapter trusts nobody.
    notice = attrs.evolve(NOTICE)
    object.__setattr__(notice, "name", name)
    object.__setattr__(notice, "detail", detail)

    mail = compose(
        notice,
        sender="autopay@firm.example",
        receiver="office@harbour.example",
        domain="firm.example",
        at=AT,
    )
    read: Any = message_from_bytes(mail, policy=SMTP)

    assert set(read.keys()) == _HEADERS
    assert read["To"] == "office@harbour.example"
    assert b"\nBcc:" not in mail
    assert all(len(line) <= 998 for line in mail.split(b"\r\n"))


# -- What cannot be sent -----------------------------------------------------


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        with pytest.raises(PortUnavailableError) as caught:
            notifier(port).send(NOTICE)

    assert caught.value.code == "MailUnavailable"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"greeting": "554 go away"}, "MailUnavailable"),
        ({"greeting": ""}, "MailUnavailable"),
        ({"EHLO": "", "HELO": ""}, "MailUnknown"),
        ({"MAIL": "451 later"}, "MailDeferred"),
        ({"MAIL": "550 not you"}, "MailRefused"),
        ({"RCPT": "450 later"}, "MailDeferred"),
        ({"RCPT": "550 nobody here"}, "MailRefused"),
        ({"DATA": "451 later"}, "MailDeferred"),
        ({"body": "452 full"}, "MailDeferred"),
        ({"body": "554 spam"}, "MailRefused"),
        ({"body": ""}, "MailUnknown"),
    ],
)
def test_a_message_that_is_not_taken_is_an_error_of_the_port(
    server: MailServer, script: dict[str, str], code: str
) -> None:
    server.script = script

    with pytest.raises(PortError) as caught:
        notifier(server.port).send(NOTICE)

    assert caught.value.code == code
    assert server.messages == []


def test_a_message_that_was_taken_is_sent_whatever_comes_after(
    server: MailServer,
) -> None:
    server.script = {"QUIT": ""}

    notifier(server.port).send(NOTICE)

    assert len(server.messages) == 1


def test_a_server_that_cannot_encrypt_is_not_used(server: MailServer) -> None:
    server.script = {"EHLO": "250-here\r\n250 SIZE"}

    with pytest.raises(PortUnavailableError):
        notifier(server.port, security=Security.STARTTLS).send(NOTICE)
    with pytest.raises(PortUnavailableError):
        notifier(
            server.port,
            security=Security.STARTTLS,
            credentials=("autopay", "s3cret"),
        ).send(NOTICE)

    assert not any("AUTH" in each for each in server.commands)


@pytest.mark.parametrize(
    "receiver",
    [
        "",
        "nobody",
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "<a@b.example>",
        "ü@b.example",
        "a..b@c.example",
    ],
)
def test_a_receiver_that_is_no_address_is_an_error_of_the_port(
    server: MailServer, receiver: str
) -> None:
    with pytest.raises(PortError) as caught:
        notifier(server.port, receiver=lambda notice: receiver).send(NOTICE)

    assert caught.value.code == "ReceiverInvalid"
    assert server.commands == []


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"sender": "autopay"}, "AddressFormat"),
        ({"domain": "firm example"}, "AddressFormat"),
        ({"credentials": ("u", "p")}, "InsecureLogin"),
        ({"credentials": ("u", "pässwort")}, "CredentialsFormat"),
        ({"credentials": ("u", None)}, "CredentialsFormat"),
        ({"credentials": "up"}, "CredentialsFormat"),
        ({"host": "smtp://u:s3cret@mail.firm.example"}, "HostFormat"),
        ({"host": "u:s3cret@mail.firm.example"}, "HostFormat"),
        ({"host": ""}, "HostFormat"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    setting: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        notifier(25, **setting)

    assert caught.value.code == code
    shown_by(caught.value, without=("s3cret", "pässwort"))


def shown_by(error: BaseException, *, without: tuple[str, ...]) -> None:
    """Look at what a tool that reports errors may show of the library."""
    ours = [
        # What is only half made has no representation.
        {**frame.f_locals, "self": None}
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "autopay_core" in frame.f_globals["__name__"]
    ]
    shown = f"{error!r} {vars(error)} {ours} {pickle.dumps(error)!r}"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert not any(each in shown for each in without)


def test_a_password_that_is_refused_is_shown_nowhere(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = {
        "EHLO": "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN",
        "AUTH": "535 not with s3cret",
    }
    monkeypatch.setattr(smtplib.SMTP, "starttls", lambda *_, **__: None)
    sending = notifier(
        server.port,
        security=Security.STARTTLS,
        credentials=("autopay", "s3cret"),
    )

    with pytest.raises(PortUnavailableError) as caught:
        sending.send(NOTICE)

    assert any("AUTH" in each for each in server.commands)
    shown_by(caught.value, without=("s3cret",))
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(sending)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "mail.firm.example"])
def test_a_host_is_a_name_or_a_number(host: str) -> None:
    assert host in repr(notifier(25, host=host))


def test_a_receiver_does_not_stand_in_an_error(server: MailServer) -> None:
    server.script = {"RCPT": "550 office@harbour.example is not here"}

    with pytest.raises(PortError) as caught:
        notifier(server.port).send(NOTICE)

    assert "office" not in f"{caught.value!r} {vars(caught.value)}"
    assert caught.value.__cause__ is None


def test_no_password_stands_in_the_representation() -> None:
    made = notifier(
        587, security=Security.STARTTLS, credentials=("u", "s3cret")
    )

    assert repr(made) == "SmtpNotifier('127.0.0.1', port=587)"


# -- With runs ---------------------------------------------------------------


def test_a_notice_waits_until_the_server_is_back(server: MailServer) -> None:
    world = World(bill("INV-1", "100"))
    ports = world.ports_with(notifier=notifier(server.port))
    server.script = {"greeting": "421 busy"}
    world.notifier.is_down = True
    world.run(standing_order())

    assert deliver(ports=ports) == 0
    server.script = {}
    assert deliver(ports=ports) == 1
    assert deliver(ports=ports) == 0

    [(_, mail)] = server.messages
    assert mail["Subject"] == "AutoPay paid: Acme monthly"
