"""
A notifier that sends e-mail (NT-1 to NT-4).

Holds: `SmtpNotifier`, `Security`, `compose`. Imports: `show.letters`,
`show.sentences`, `notices` and the standard library's smtplib. Whoever is told
of a notice twice finds two messages with one Message-ID, which mail servers
and readers that remove duplicates recognize. A notice's fields are data:
whatever stands in them, it ends up encoded in the subject or in the text, and
adds neither a header nor a receiver. What the server and smtplib say is not
carried along in errors: it may repeat a receiver, or a password.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.policy import compat32
from email.utils import format_datetime
from enum import Enum
from typing import Any, Final, NoReturn, final

from autopay_core._checks import check_text, clean_text
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import Audience, Notice
from autopay_core.show.letters import PAGE, Letter
from autopay_core.show.sentences import notice_facts

__all__ = ["Security", "SmtpNotifier", "compose"]

_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}"
)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_SUBJECT_MOST: Final = 200
_WIRE: Final = compat32.clone(linesep="\r\n")
_TEXT: Final = Charset("utf-8")
_TEXT.body_encoding = QP
_TEMPORARY: Final = 400
_PERMANENT: Final = 500


class Security(Enum):
    """How the connection to the mail server is protected."""

    STARTTLS = "starttls"
    """Encrypted from the second command on, usually on port 587."""
    TLS = "tls"
    """Encrypted from the first byte on, usually on port 465."""
    NONE = "none"
    """Not at all: for a server on this machine."""


def _system_clock() -> datetime:
    return datetime.now(UTC)


def _is_address(value: str) -> bool:
    try:
        _check_address(value, "receiver")
    except InvalidValueError:
        return False
    return True


def _check_address(value: str, path: str) -> None:
    """Refuse what is not one plain address."""
    check_text(value, path, most=320, empty=False)
    if _ADDRESS.fullmatch(value) is None or ".." in value:
        raise InvalidValueError(
            "expected one address such as office@firm.example, in ASCII",
            code="AddressFormat",
            path=path,
            value=value,
        )


@final
class _Login:
    """User and password; whatever shows an error's frames shows no more."""

    __slots__ = ("given",)

    def __init__(self, given: tuple[str, str]) -> None:
        self.given = given

    @property
    def is_sound(self) -> bool:
        """Whether it is two texts that can go over the wire (RFC 4954)."""
        return (
            type(self.given) is tuple
            and [type(each) for each in self.given] == [str, str]
            and all(each.isascii() for each in self.given)
        )

    def __repr__(self) -> str:
        return "<user and password>"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def message_id(key: str, domain: str) -> str:
    """Derive a message's id from a notice's key: the same for ever (NT-1)."""
    if _PLAIN_KEY.fullmatch(key) is None:
        # Short enough for one line: a folded id is not found again.
        key = _digest(key)
    return f"<{key}@{domain}>"


def compose(
    notice: Notice,
    /,
    *,
    sender: str,
    receiver: str,
    domain: str,
    at: datetime,
    letter: Letter | None = None,
    page: str = PAGE,
) -> bytes:
    """
    Write the message that tells of *notice*.

    Args:
        notice: What is told.
        sender: The address that it comes from.
        receiver: The address that it goes to.
        domain: Stands after the ``@`` of the Message-ID.
        at: When it is sent.
        letter: What is told in words, as text and as HTML; None for the
            notice's facts, line by line, as text.
        page: The page around the HTML, see `Letter.html`.

    """
    if letter is None:
        mail = _part(_facts_of(notice), "plain")
        title = _title_of(notice)
    else:
        mail = Message()
        mail["Content-Type"] = "multipart/alternative"
        # No text in quoted-printable has "=_" in it (RFC 2045, 6.7).
        mail.set_boundary(f"=_{_digest(notice.key)}")
        mail["MIME-Version"] = "1.0"
        mail.attach(_part(f"{letter.text}\n", "plain"))
        mail.attach(_part(letter.html(page), "html"))
        title = letter.subject
    subject: Any = _header(title)
    mail["Subject"] = subject
    mail["From"] = sender
    mail["To"] = receiver
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id(notice.key, domain)
    # No out-of-office reply, please (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    return mail.as_bytes(policy=_WIRE)


def _part(text: str, kind: str) -> Message:
    part = Message()
    part.set_payload(text.encode("utf-8", "replace").decode(), charset=_TEXT)
    if kind != "plain":  # Which it is already; the headers keep their order.
        part.set_type(f"text/{kind}")
    return part


def _title_of(notice: Notice) -> str:
    name = notice.name or notice.autopay
    return f"{notice.title}: {name}" if name else notice.title


def _facts_of(notice: Notice) -> str:
    lines = [
        f"{label}: {_clean(fact) or 'none'}"
        for label, fact in notice_facts(notice).items()
        if label != "Payer" and (fact or notice.autopay)
    ]
    if notice.detail:
        lines += ["", _clean(notice.detail)]
    return "\n".join(lines) + "\n"


def _clean(text: str) -> str:
    """Return one line that can be written in UTF-8."""
    return clean_text(text).encode("utf-8", "replace").decode()


def _header(text: str) -> str | Header:
    """
    Return a header's text such that it reads as what it is.

    Not with `email.message.EmailMessage`: it takes text that looks like an
    encoded word for one, and writes the line breaks in it as they are.
    """
    cleaned = _clean(clean_text(text, most=_SUBJECT_MOST))
    if cleaned.isascii() and "=?" not in cleaned:
        return cleaned
    return Header(cleaned, "utf-8", header_name="Subject")


@final
class SmtpNotifier:
    """
    Sends each notice as an e-mail, at least once (NT-1 to NT-4).

    A message that the server took counts as accepted. What it did not take
    raises a `PortError` and is offered again by the next sweep.

    Args:
        host: The mail server.
        sender: The address that messages come from.
        receiver: Returns who is told of a notice, as one address; None tells
            nobody, for good.
        firm: The firm's address. It gets what `Notice.audience` says is for
            the firm, such as every failure, in a message of its own;
            *receiver* is asked only about what is for the payer (N1). Without
            one, *receiver* is asked about all, and must know that.
        port: The mail server's; None for the usual one of *security*.
        security: How the connection is protected.
        credentials: User and password, if the server asks for them.
        domain: Stands after the ``@`` of every Message-ID; keep it the same.
        timeout_seconds: How long to wait for each answer.
        clock: For the date of a message.
        context: How certificates are checked; as the machine does, if None.
        write: Writes the letter that one audience gets, such as
            `autopay_core.show.letters.letter`; it is sent as text and as
            HTML. None sends the notice's facts, as text.
        page: The page around the HTML, see
            `autopay_core.show.letters.Letter.html`.

    Raises:
        InvalidValueError: The host is no name, the sender no address, or
            credentials are not ASCII or would go over a connection that is
            not protected (``InsecureLogin``); or the page is none
            (``TemplateFormat``).

    """

    def __init__(  # noqa: PLR0913 - a mail server has that many settings
        self,
        host: str,
        *,
        sender: str,
        receiver: Callable[[Notice], str | None],
        firm: str | None = None,
        port: int | None = None,
        security: Security = Security.STARTTLS,
        credentials: tuple[str, str] | None = None,
        domain: str = "autopay.invalid",
        timeout_seconds: float = 10.0,
        clock: Callable[[], datetime] = _system_clock,
        context: ssl.SSLContext | None = None,
        write: Callable[[Notice, Audience], Letter] | None = None,
        page: str = PAGE,
    ) -> None:
        login = None if credentials is None else _Login(credentials)
        del credentials
        if login is not None and not login.is_sound:
            raise InvalidValueError(
                "expected a user and a password, in ASCII",
                code="CredentialsFormat",
                path="credentials",
            )
        if type(host) is not str or _HOST.fullmatch(host) is None:
            # A URL, or user:password@host: it is shown nowhere.
            del host
            raise InvalidValueError(
                "expected a mail server's name, such as mail.firm.example; a "
                "password goes into credentials",
                code="HostFormat",
                path="host",
            )
        _check_address(sender, "sender")
        if firm is not None:
            _check_address(firm, "firm")
        _check_address(f"id@{domain}", "domain")
        if login is not None and security is Security.NONE:
            raise InvalidValueError(
                "a password would go over the wire as it is; use STARTTLS",
                code="InsecureLogin",
                path="security",
                value=security.value,
            )
        Letter(subject="", sections=()).html(page)  # Refused here, not later.
        self._write_letter, self._page = write, page
        self._host = host
        self._port = _USUAL_PORTS[security] if port is None else port
        self._sender = sender
        self._receiver = receiver
        self._firm = firm
        self._security = security
        self._login = login
        self._domain = domain
        self._timeout = timeout_seconds
        self._clock = clock
        self._context = context

    def __repr__(self) -> str:
        """Show where, and no password."""
        return f"SmtpNotifier({self._host!r}, port={self._port})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: it has a password."""
        raise TypeError(
            "SmtpNotifier is not pickled; make one in each process"
        )

    def send(self, notice: Notice, /) -> None:
        """
        Send *notice* to its receiver.

        Raises:
            PortUnavailableError: The server cannot be reached, or does not
                let us in; nothing was sent.
            PortError: It did not take the message (``MailDeferred`` for now,
                ``MailRefused`` for good), or broke off (``MailUnknown``), or
                the receiver is no address (``ReceiverInvalid``).

        """
        receivers = self._receivers_of(notice)
        if not receivers:
            return
        for receiver, _ in receivers:
            if not _is_address(receiver):
                raise PortError(
                    "the receiver of the notice is no address",
                    code="ReceiverInvalid",
                )
        at = self._clock()
        with contextlib.closing(self._connect()) as server:
            for receiver, audience in receivers:
                self._write(server, notice, receiver, audience, at)
            # Once the messages are taken, it does not matter whether the
            # farewell works.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()

    def _write(
        self,
        server: smtplib.SMTP,
        notice: Notice,
        receiver: str,
        audience: Audience,
        at: datetime,
    ) -> None:
        write = self._write_letter
        mail = compose(
            notice,
            sender=self._sender,
            receiver=receiver,
            domain=self._domain,
            at=at,
            letter=None if write is None else write(notice, audience),
            page=self._page,
        )
        refusal: PortError | None = None
        try:
            server.sendmail(self._sender, [receiver], mail)
        except (OSError, smtplib.SMTPException) as error:
            refusal = _refusal(error)
        if refusal is not None:
            raise refusal

    def _receivers_of(self, notice: Notice) -> list[tuple[str, Audience]]:
        """Return who is told: the firm, the payer, or both (N1)."""
        told = notice.audience
        receivers: dict[str, Audience] = {}
        if self._firm is not None and Audience.FIRM in told:
            receivers[self._firm] = Audience.FIRM
        if self._firm is None or Audience.PAYER in told:
            receiver = self._receiver(notice)
            if receiver is not None:
                to = (
                    Audience.PAYER if Audience.PAYER in told else Audience.FIRM
                )
                receivers.setdefault(receiver, to)
        return list(receivers.items())

    def _connect(self) -> smtplib.SMTP:
        """Connect and log in; nothing was sent if that fails."""
        server: smtplib.SMTP | None = None
        try:
            server = self._greeted()
            if self._security is Security.STARTTLS:
                server.starttls(
                    context=self._context or ssl.create_default_context()
                )
            if self._login is not None:
                server.login(*self._login.given)
        except (OSError, smtplib.SMTPException) as error:
            # Only the kind: an answer may repeat what it was told.
            kind = type(error).__name__
        except BaseException:
            if server is not None:
                server.close()
            raise
        else:
            return server
        if server is not None:
            server.close()
        raise PortUnavailableError(
            f"the mail server cannot be used: {kind}", code="MailUnavailable"
        )

    def _greeted(self) -> smtplib.SMTP:
        if self._security is Security.TLS:
            return smtplib.SMTP_SSL(
                self._host,
                self._port,
                timeout=self._timeout,
                context=self._context or ssl.create_default_context(),
            )
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout)


_USUAL_PORTS: Final = {
    Security.STARTTLS: 587,
    Security.TLS: 465,
    Security.NONE: 25,
}


def _refusal(error: Exception) -> PortError:
    """Say in our words why a message was not taken (NT-3)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = [code for code, _ in error.recipients.values()]
        return _refused(max(answers, default=_PERMANENT))
    if isinstance(error, smtplib.SMTPResponseException):
        return _refused(error.smtp_code)
    return PortError(
        f"the mail server broke off: {type(error).__name__}",
        code="MailUnknown",
    )


def _refused(answer: int) -> PortError:
    if _TEMPORARY <= answer < _PERMANENT:
        return PortError(
            f"the mail server wants to be asked later ({answer})",
            code="MailDeferred",
        )
    return PortError(
        f"the mail server refused the message ({answer})", code="MailRefused"
    )
