"""
A notifier that sends by way of Apprise (NT-1 to NT-4).

Holds: `AppriseNotifier`. Imports: `_chat`, `show.sentences`, `notices`,
apprise and the standard library's logging. Apprise knows how to reach more
than a hundred services, each by one address. Such an address has passwords
and tokens in it, so nothing that Apprise or the HTTP client under it logs or
raises on our behalf leaves this module.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NoReturn, final

import apprise

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

__all__ = ["AppriseNotifier"]

_TALKERS: Final = frozenset(
    {
        "apprise",
        "gntp",
        "oauthlib",
        "paho",
        "pika",
        "requests",
        "requests_oauthlib",
        "slixmpp",
        "smpplib",
        "urllib3",
    }
)
"""Who logs while Apprise is at work; each may log an address."""

# Some of its annotations are bare; pyright would say so at each use.
_APPRISE: Final[Any] = apprise.Apprise

_is_ours: Final = ContextVar("autopay_core_apprise", default=False)


class _NothingOfOurs(logging.Filter):
    """Lets a record pass unless a call of ours caused it."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        """Tell whether a record is logged."""
        return not _is_ours.get()


_FILTER: Final = _NothingOfOurs()


def _hush() -> None:
    """Add the filter to every logger that there is by now, once."""
    names = [*logging.root.manager.loggerDict, *_TALKERS]
    for name in names:
        if name.partition(".")[0] in _TALKERS:
            logging.getLogger(name).addFilter(_FILTER)


@contextmanager
def _silence() -> Generator[None]:
    """
    Keep what is logged for us out of every log.

    Apprise hands the context on to its threads; whoever else uses it at the
    same time logs as before.
    """
    _hush()
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


def _service(address: object, timeout: float) -> object:
    """Return Apprise's object for one address, or None."""
    if type(address) is not str:
        return None
    try:
        with _silence():
            asset = apprise.AppriseAsset(
                app_id="AutoPay",
                app_desc="AutoPay notices",
                http_redirects=False,
                interpret_emojis=False,
                secure_logging=True,
                service_timeout=timeout,
            )
            return _APPRISE.instantiate(address, asset=asset)
    except Exception:  # noqa: BLE001 - whatever an address makes it raise
        return None


@final
class AppriseNotifier:
    """
    Sends each notice to services that Apprise knows (NT-1 to NT-4).

    What is for the firm is sent. What is for the payer only, such as a
    receipt or a debit to come, is accepted and told nobody: payers need a
    notifier of their own beside this one.

    The text is handed over as plain text, without attachments, and Apprise
    escapes it for the format of the service. A service that shows plain text
    as Markdown, as Mattermost does, needs ``format=markdown`` in its address;
    an address that can be clicked is the service's making.

    A notice that every service took counts as accepted. Otherwise all of them
    get it again by the next sweep.

    Args:
        services: Apprise's addresses of services, such as
            ``mmosts://chat.firm.example/token?format=markdown``; secrets, one
            in each.
        audiences: Whose notices are sent; with `Audience.PAYER` the services
            get what is meant for payers, among it links with which a charge
            is approved.
        timeout_seconds: How long one service may take.

    Raises:
        InvalidValueError: There is no service, an address is none that
            Apprise can use (``ServiceFormat``; it is not shown), or
            audiences or seconds cannot be.

    """

    def __init__(
        self,
        *services: str,
        audiences: frozenset[Audience] = frozenset({Audience.FIRM}),
        timeout_seconds: float = 30.0,
    ) -> None:
        check_audiences(audiences)
        check_seconds(timeout_seconds)
        found = [_service(each, timeout_seconds) for each in services]
        del services
        if not found or None in found:
            raise InvalidValueError(
                "expected an address that Apprise can use; is what it needs "
                "installed?",
                code="ServiceFormat",
                path=f"services[{found.index(None)}]" if found else "services",
            )
        with _silence():
            self._apprise = _APPRISE()
            self._apprise.add(found)
        self._audiences = audiences

    def __repr__(self) -> str:
        """Show how many services there are, and no address."""
        return f"<AppriseNotifier of {len(self._apprise)}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: the addresses are secrets."""
        raise TypeError(
            "AppriseNotifier is not pickled; make one in each process"
        )

    def send(self, notice: Notice, /) -> None:
        """
        Send *notice*, if it is for one of the audiences.

        Raises:
            PortUnavailableError: No service said that it took it; Apprise
                does not say why (``ChatUnavailable``).
            PortError: Only some did, or not in time, or Apprise broke
                (``ChatUnknown``).

        """
        if not notice.audience & self._audiences:
            return
        refusal: PortError | None = None
        text = calling_nobody(notice_text(notice))
        title, _, body = text.partition("\n")
        try:
            with _silence():
                result = self._apprise.notify(
                    body=body or title,
                    title=title if body else "",
                    body_format=apprise.NotifyFormat.TEXT,
                    interpret_escapes=False,
                )
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            refusal = PortError(
                f"Apprise broke off: {type(error).__name__}",
                code="ChatUnknown",
            )
        else:
            refusal = _refusal(result)
        if refusal is not None:
            raise refusal


def _refusal(result: apprise.AppriseResult) -> PortError | None:
    """Say in our words why a message was not taken (NT-3)."""
    if result:
        return None
    if result.status is apprise.AppriseResultStatus.FAILURE:
        return PortUnavailableError(
            "no service took the message", code="ChatUnavailable"
        )
    return PortError(
        f"not every service took the message: {result.status.name.lower()}",
        code="ChatUnknown",
    )
