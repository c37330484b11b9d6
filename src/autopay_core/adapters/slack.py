"""
A notifier that posts to a channel of Slack (NT-1 to NT-4).

Holds: `SlackNotifier`, `compose`. Imports: `_chat`, `show.sentences`,
`notices` and the standard library's http. A notice's fields are data:
Slack is told to show the text as it is, and what could still be a mention or
a link is escaped. The webhook's address lets everybody post who knows it, so
it is shown nowhere; nor is what the server or the HTTP client says, for it
may repeat it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
from typing import Final, NoReturn, final

from autopay_core.adapters._chat import (
    calling_nobody,
    check_audiences,
    check_seconds,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import Audience, Notice
from autopay_core.show.sentences import notice_text

__all__ = ["SlackNotifier", "compose"]

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ADDRESS: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL}){{0,30}}"
    r"|\[[0-9A-Fa-f:.]{2,45}\])"
    # No `#`, no `@` before the path, and nothing that ends a request's line.
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-\"$-~]{1,1000})"
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
_PORT_MOST: Final = 65_535
_ADDRESS_MOST: Final = 2_000
_TEXT_MOST: Final = 40_000
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_TAKEN: Final = b"ok"
_ANSWER_MOST: Final = 16
_SECONDS: Final = re.compile("[0-9]{1,6}")
_OK: Final = 200
_TOO_MANY: Final = 429
_SERVER: Final = 500
_BUSY: Final = 503


@final
class _Webhook:
    """An address; whatever shows an error's frames does not show it."""

    __slots__ = ("host", "is_protected", "path", "port")

    def __init__(self, found: re.Match[str]) -> None:
        self.host = found["host"].strip("[]")
        self.is_protected = found["scheme"] == "https"
        self.path = found["path"]
        usual = 443 if self.is_protected else 80
        self.port = int(found["port"] or usual)

    def __repr__(self) -> str:
        return "<address of a webhook>"


def _read(address: object) -> _Webhook | None:
    """Read an address, or find that it is none that is posted to."""
    if type(address) is not str or len(address) > _ADDRESS_MOST:
        return None
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"] or 1) <= _PORT_MOST:
        return None
    if found["scheme"] == "http" and found["host"] not in _LOOPBACK:
        return None
    return _Webhook(found)


def compose(notice: Notice, /) -> bytes:
    """
    Write the JSON that tells of *notice*.

    The text is shown as it is: neither formatted nor searched for names and
    addresses, and no address is looked up for a preview. So the link of a
    notice can be copied and not clicked.

    Source:
        Slack, "Formatting text for app surfaces" and ``chat.postMessage``.

    """
    return json.dumps(
        {
            "text": _escaped(calling_nobody(notice_text(notice))),
            "mrkdwn": False,
            "parse": "none",
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }
    ).encode("ascii")


def _escaped(text: str, most: int = _TEXT_MOST) -> str:
    """Escape *text*, and cut it between two characters, never within one."""
    whole = text.translate(_ESCAPES)
    if len(whole) <= most:
        return whole
    cut = whole[: most - 1]
    begun = cut.rfind("&")
    if begun >= 0 and ";" not in cut[begun:]:
        cut = cut[:begun]
    return f"{cut}…"


@final
class SlackNotifier:
    """
    Posts each notice to a channel, at least once (NT-1 to NT-4).

    What is for the firm is posted. What is for the payer only, such as a
    receipt or a debit to come, is accepted and told nobody: payers need a
    notifier of their own beside this one.

    A message that Slack answered with ``ok`` counts as accepted. What it did
    not take raises a `PortError` and is offered again by the next sweep; the
    same notice may stand in the channel twice, for Slack removes no
    duplicates. No proxy of the environment is used, and no redirect followed.

    Args:
        webhook: The address of an incoming webhook of Slack's, a secret:
            ``https``, or ``http`` on this machine.
        audiences: Whose notices are posted. With `Audience.PAYER` the channel
            reads what is meant for payers, among it links with which a
            charge is approved.
        timeout_seconds: How long to wait for each answer.
        context: How certificates are checked; as the machine does, if None.

    Raises:
        InvalidValueError: The webhook is no such address (``WebhookFormat``;
            it is not shown), or audiences or seconds cannot be.

    """

    def __init__(
        self,
        webhook: str,
        *,
        audiences: frozenset[Audience] = frozenset({Audience.FIRM}),
        timeout_seconds: float = 10.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        check_audiences(audiences)
        check_seconds(timeout_seconds)
        read = _read(webhook)
        del webhook
        if read is None:
            raise InvalidValueError(
                "expected the https address of an incoming webhook",
                code="WebhookFormat",
                path="webhook",
            )
        self._webhook = read
        self._audiences = audiences
        self._timeout = timeout_seconds
        self._context = context

    def __repr__(self) -> str:
        """Show the server, and nothing that lets one post."""
        return f"SlackNotifier({self._webhook.host!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: the address is a secret."""
        raise TypeError(
            "SlackNotifier is not pickled; make one in each process"
        )

    def send(self, notice: Notice, /) -> None:
        """
        Post *notice*, if it is for one of the audiences.

        Raises:
            PortUnavailableError: The server cannot be reached, or asks to
                come back later; nothing was posted (``ChatUnavailable``).
            PortError: It did not take the message (``ChatRefused``), such as
                when the webhook was revoked or the channel is gone; or it is
                not known whether it did (``ChatUnknown``).

        """
        if not notice.audience & self._audiences:
            return
        with contextlib.closing(self._connected()) as connection:
            refusal = self._post(connection, compose(notice))
        if refusal is not None:
            raise refusal

    def _connected(self) -> http.client.HTTPConnection:
        """Connect; nothing was posted if that fails."""
        connection = self._connection()
        try:
            connection.connect()
        except OSError as error:
            kind = type(error).__name__
        except BaseException:
            connection.close()
            raise
        else:
            return connection
        connection.close()
        raise PortUnavailableError(
            f"the chat cannot be reached: {kind}", code="ChatUnavailable"
        )

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._webhook.host, self._webhook.port
        if not self._webhook.is_protected:
            return http.client.HTTPConnection(
                host, port, timeout=self._timeout
            )
        return http.client.HTTPSConnection(
            host,
            port,
            timeout=self._timeout,
            context=self._context or ssl.create_default_context(),
        )

    def _post(
        self, connection: http.client.HTTPConnection, message: bytes
    ) -> PortError | None:
        """Post *message*, and return why it was not taken, if it was not."""
        try:
            connection.request(
                "POST",
                self._webhook.path,
                body=message,
                headers={"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            said = answer.read(_ANSWER_MOST)
        except (OSError, http.client.HTTPException) as error:
            # Only the kind: an answer may repeat what it was told.
            return PortError(
                f"the chat broke off: {type(error).__name__}",
                code="ChatUnknown",
            )
        return _refusal(answer.status, said, answer.headers["Retry-After"])


def _refusal(status: int, said: bytes, wait: str | None) -> PortError | None:
    """Say in our words why a message was not taken (NT-3)."""
    if status == _OK and said.strip() == _TAKEN:
        return None
    if status in {_TOO_MANY, _BUSY}:
        found = _SECONDS.fullmatch(wait or "")
        return PortUnavailableError(
            f"the chat wants to be asked later ({status})",
            code="ChatUnavailable",
            retry_after=None if found is None else int(found[0]),
        )
    if status >= _SERVER:
        return PortError(f"the chat failed ({status})", code="ChatUnknown")
    # Another page's 200, or a redirect, is no message in a channel.
    return PortError(
        f"the chat did not take the message ({status})", code="ChatRefused"
    )
