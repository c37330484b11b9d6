"""
One request over HTTP, and what came of it, as a value (E1, E3).

Holds: `Wire`, `Answer`, `Lost`; `Number`, `parsed`. Imports: `errors` and the
standard library's http.client. It follows no redirect, reads no environment
and retries nothing. What http.client, ssl or json raise ends here: their
errors hold requests and answers, and with them tokens.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Final, NoReturn, cast, final
from urllib.parse import urlsplit

import attrs

from autopay_core.errors import InvalidValueError

__all__ = ["BODY_MAX", "Answer", "Lost", "Number", "Wire", "parsed"]

BODY_MAX: Final = 32 * 1024 * 1024
"""Largest answer, in bytes; two hundred bills are a hundredth of it."""

_RETRY_MOST: Final = 3600
_CHUNK: Final = 64 * 1024
_LINK: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_PORTS: Final = {"https": 443, "http": 80}


@final
@attrs.frozen(kw_only=True)
class Answer:
    """
    What the server said.

    Attributes:
        status: The HTTP status.
        body: All of it; shown by nothing, for it may hold tokens.
        retry_after: Seconds that it asks to wait, at most an hour, if it
            does. A date in their place is not followed.

    """

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: int | None = None


@final
@attrs.frozen(kw_only=True)
class Lost:
    """
    No whole answer came.

    Attributes:
        why: The name of the error.
        took_long: The whole time was waited for.

    """

    why: str
    took_long: bool


class Number(str):
    """A number of JSON, with the digits that were written (M2)."""

    __slots__ = ()


@final
class Wire:
    """
    The way to one server.

    Args:
        base: ``https://`` and a host, perhaps with a port; ``http://`` is
            taken for this machine only.
        timeout_seconds: How long a whole answer is waited for.

    Raises:
        InvalidValueError: It is none (``ClioAddress``).

    """

    def __init__(self, base: str, timeout_seconds: float) -> None:
        parts = _split(base)
        if parts is None or parts[1] not in {"", "/"} or parts[2]:
            raise InvalidValueError(
                "expected https:// and a host, such as https://app.clio.com; "
                "http:// for this machine only",
                code="ClioAddress",
                path="base",
                value=base,
            )
        self._scheme, self._host, self._port = parts[0]
        self._timeout = timeout_seconds
        self._context = (
            ssl.create_default_context() if self._scheme == "https" else None
        )

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Answer | Lost:
        """Send one request on a connection of its own."""
        began = time.monotonic()
        try:
            with contextlib.closing(self._connection()) as connection:
                return self._sent(connection, method, target, headers, body)
        except Exception as error:  # noqa: BLE001 - nothing of it escapes
            return Lost(
                why=type(error).__name__,
                took_long=time.monotonic() - began > self._timeout * 0.9,
            )

    def target_of(self, link: object, path: str) -> str | None:
        """
        Return what is asked for by a link, if it leads to *path* here.

        Another host, scheme, port, path or user gives None; with or without
        ``.json`` is the same path.
        """
        parts = _split(link)
        if parts is None:
            return None
        place, there, query = parts
        if place != (self._scheme, self._host, self._port):
            return None
        if there.removesuffix(".json") != path.removesuffix(".json"):
            return None
        return f"{there}?{query}"

    def _connection(self) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(
                self._host, self._port, timeout=self._timeout
            )
        return HTTPSConnection(
            self._host,
            self._port,
            timeout=self._timeout,
            context=self._context,
        )

    def _sent(
        self,
        connection: HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        connection.connect()
        # A time-out counts from byte to byte; this ends what drips.
        bell = threading.Timer(self._timeout, _cut, [connection.sock])
        bell.daemon = True
        bell.start()
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return Answer(
                status=response.status,
                body=_whole(response),
                retry_after=_seconds(response.getheader("Retry-After", "")),
            )
        finally:
            bell.cancel()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _whole(response: HTTPResponse) -> bytes:
    body = bytearray()
    while chunk := response.read(_CHUNK):
        body += chunk
        if len(body) > BODY_MAX:
            raise OverflowError
    # Told by the length that was announced: http.client only does so where
    # it is asked for everything at once.
    if response.length:
        raise EOFError
    return bytes(body)


def _seconds(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit():
        return None
    return min(int(text[:9]), _RETRY_MOST)


def _split(link: object) -> tuple[tuple[str, str, int], str, str] | None:
    """Return place, path and query of a link that could be followed."""
    if type(link) is not str or not _LINK.fullmatch(link):
        return None
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if not host or parts.fragment or "@" in parts.netloc or "\\" in link:
        return None
    if parts.scheme not in _PORTS or (
        parts.scheme == "http" and not _is_here(host)
    ):
        return None
    place = (parts.scheme, host, port or _PORTS[parts.scheme])
    return place, parts.path, parts.query


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def parsed(body: bytes) -> Mapping[str, Any] | None:
    """
    Read an object of JSON; None for anything else.

    Numbers stay as they are written; a name that stands there twice, NaN, and
    what is not UTF-8 are no JSON.
    """
    try:
        found = json.loads(
            body.decode("utf-8"),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_constant,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if type(found) is dict else None
