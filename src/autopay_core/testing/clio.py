"""
A make-believe Clio on loopback, which misbehaves on demand.

Holds: `FakeClio`, `FakeBill`, `Mischief` and `TROUBLES`. Imports: `money` and
the standard library's http.server. It answers as the published description of
the API says, refuses what that does not know, and notes it in `complaints`.
It is no proof about the company. It ends with its ``with`` block, and by
itself when nobody asks it for some minutes.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self, cast, final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import attrs
from typing_extensions import override

from autopay_core.money import MINOR_DIGITS, Money

__all__ = ["TROUBLES", "FakeBill", "FakeClio", "Mischief"]

_IDLE_SECONDS: Final = 300.0
_HANG_SECONDS: Final = 60.0
_LIMIT: Final = 200
_API: Final = re.compile(r"/api/v4/(bills|matters|contacts)(?:\.json)?")
_AMOUNT: Final = re.compile(r'"@@(.*?)@@"')
_LISTED: Final = {"order", "limit", "fields", "page_token", "query", "ids[]"}
_PARAMS: Final = {
    "bills": _LISTED | {"state", "client_id", "matter_id"},
    "matters": _LISTED | {"client_id", "status"},
    "contacts": _LISTED | {"client_only"},
}
_CLIENT: Final = frozenset({"id", "name"})
_MATTER: Final = frozenset({"id", "display_number", "description"})
_PLAIN: Final = frozenset[str]()
_FIELDS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "bills": {
        "id": _PLAIN,
        "etag": _PLAIN,
        "number": _PLAIN,
        "issued_at": _PLAIN,
        "due_at": _PLAIN,
        "balance": _PLAIN,
        "total": _PLAIN,
        "state": _PLAIN,
        "kind": _PLAIN,
        "currency": frozenset({"id", "code"}),
        "client": _CLIENT,
        "matters": _MATTER,
    },
    "matters": {**dict.fromkeys(_MATTER, _PLAIN), "client": _CLIENT},
    "contacts": dict.fromkeys(_CLIENT, _PLAIN),
}
"""What is known of each list, and below it; a part of what there is."""

TROUBLES: Final = (
    "busy",
    "failing",
    "reset",
    "cut_short",
    "hang",
    "expired",
    "refresh_refused",
    "page_loop",
    "foreign_link",
    "other_path",
    "duplicate_row",
    "changed_row",
    "changed_total",
    "lost_row",
    "foreign_bill",
    "truncated_json",
    "not_json",
    "amount_as_text",
    "amount_with_groups",
    "null_balance",
    "missing_field",
    "missing_client",
    "redirected",
    "forbidden",
)
"""
What a list can suffer from, each once for each time that it is asked for.

``busy`` is a 429 with a time to wait, ``failing`` a 500, ``reset`` and
``cut_short`` end the connection before and in the middle of an answer,
``hang`` never answers. ``expired`` ends the access token, ``refresh_refused``
is its 400. The links to the next page go round in a circle, to another host,
or to another list. A row comes twice, twice with another balance, not at all,
or is another client's; ``meta.records`` changes. JSON ends too early, or is
HTML. A balance is a text, a text with digit groups, or null; a row lacks its
date, or its client. ``redirected`` is a 302 to another host, ``forbidden`` a
403.
"""

_ROW_TROUBLES: Final = frozenset(
    {
        "duplicate_row",
        "changed_row",
        "lost_row",
        "foreign_bill",
        "amount_as_text",
        "amount_with_groups",
        "null_balance",
        "missing_field",
        "missing_client",
    }
)


@final
@attrs.frozen(kw_only=True)
class Mischief:
    """
    How often which trouble happens, from 0 to 1, drawn from a seed.

    Attributes:
        seed: Of what is drawn.
        rates: By the name of the trouble, for each page of a list.

    """

    seed: int = 0
    rates: Mapping[str, float] = attrs.field(factory=dict[str, float])


@final
@attrs.define(kw_only=True)
class FakeBill:
    """
    One bill, as the company has it.

    Attributes:
        id: Its id.
        number: What people call it.
        client: The id of its client's contact.
        matters: The ids of its matters.
        issued_on: Its date.
        due_on: When it is due, or None.
        balance: What is outstanding.
        total: What was billed.
        state: Such as ``awaiting_payment``.
        kind: Such as ``revenue_kind``.

    """

    id: int
    number: str
    client: int
    matters: tuple[int, ...]
    issued_on: date
    due_on: date | None
    balance: Money
    total: Money
    state: str = "awaiting_payment"
    kind: str = "revenue_kind"


@final
class FakeClio:
    """
    A make-believe Clio Manage account.

    Requests with parameters or fields that the published description does not
    know are answered with 400 and noted in `complaints`.

    Args:
        page_size: No page has more rows, whatever is asked for.
        mischief: What it does at random; nothing by default.
        rotates: A refresh gives a new refresh token, and the old one ends.
        counts_pages: ``meta.records`` counts the page, not the list.
        idle_seconds: It ends by itself after so long without a request.

    """

    app = ("app_fake", "secret_fake")
    """Key and secret of the one application that it knows."""

    def __init__(
        self,
        *,
        page_size: int = _LIMIT,
        mischief: Mischief | None = None,
        rotates: bool = False,
        counts_pages: bool = False,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self.bills: dict[int, FakeBill] = {}
        self.clients: dict[int, str] = {}
        self.matters: dict[int, tuple[int, str, str]] = {}
        self.complaints: list[str] = []
        self.requests: list[str] = []
        """Path and query of each, in their order."""
        self.met: dict[str, int] = dict.fromkeys(TROUBLES, 0)
        """How often each trouble happened."""
        self.page_size = page_size
        self.mischief = mischief or Mischief()
        """What it does at random; may be changed."""
        self.pages_read: Callable[[int], object] | None = None
        """Called with the number of each page before it is answered."""
        self._drawn = random.Random(self.mischief.seed)  # noqa: S311 - seeded
        self._rotates = rotates
        self._counts_pages = counts_pages
        self._made = 0
        self._next: list[str] = []
        self._said: dict[str, _Reply] = {}
        self.drip_seconds = 0.0
        """So long is waited before each byte of an answer."""
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._access, self._refresh = "access-1", "refresh-1"
        self._tokens = 1
        self._idle = idle_seconds
        self._server = _Server(("127.0.0.1", 0), self, idle_seconds)
        self._port = self._server.server_address[1]
        self._start()

    # -- Its life -------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def tokens(self) -> tuple[str, str]:
        """The access and the refresh token that it takes at present."""
        return self._access, self._refresh

    @property
    def is_running(self) -> bool:
        """Whether it still listens."""
        return self._thread.is_alive()

    def _start(self) -> None:
        self._closing.clear()
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        """Return the company, listening."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.close()

    @contextlib.contextmanager
    def offline(self) -> Generator[None]:
        """Refuse connections for a while."""
        self.close()
        try:
            yield
        finally:
            self._server = _Server(("127.0.0.1", self._port), self, self._idle)
            self._start()

    # -- What the firm does there ---------------------------------------------

    def client(self, name: str) -> str:
        """Add a contact that is a client; return its id."""
        with self._lock:
            made = self._new_id()
            self.clients[made] = name
        return str(made)

    def matter(self, client: str, number: str, description: str = "") -> str:
        """Add a matter; return its id, its number is the display number."""
        with self._lock:
            made = self._new_id()
            self.matters[made] = (int(client), number, description)
        return str(made)

    def bill(
        self,
        number: str,
        matters: str | Sequence[str],
        balance: Money,
        *,
        issued_on: date,
        due_on: date | None = None,
        state: str = "awaiting_payment",
        kind: str = "revenue_kind",
    ) -> FakeBill:
        """Write a bill on one matter of a client, or on several."""
        ids = [matters] if isinstance(matters, str) else matters
        with self._lock:
            made = FakeBill(
                id=self._new_id(),
                number=number,
                client=self.matters[int(ids[0])][0],
                matters=tuple(map(int, ids)),
                issued_on=issued_on,
                due_on=due_on,
                balance=balance,
                total=balance,
                state=state,
                kind=kind,
            )
            self.bills[made.id] = made
        return made

    def find(self, number: str) -> FakeBill:
        """Return the bill of a number."""
        with self._lock:
            [found] = [e for e in self.bills.values() if e.number == number]
        return found

    def pay(self, number: str, amount: Money) -> None:
        """Book a payment; a bill that is paid off is open no more."""
        with self._lock:
            bill = self.find(number)
            bill.balance -= amount
            if not bill.balance.is_positive:
                bill.state = "paid"

    def _new_id(self) -> int:
        self._made += 1
        return 7_000 + self._made

    # -- Trouble --------------------------------------------------------------

    def trouble(self, *names: str) -> None:
        """
        Let the next pages suffer from these, one each, in their order.

        What happens to a row happens to the first of its page. An empty name
        lets a page be as it should.
        """
        if not set(names) <= {*TROUBLES, ""}:
            raise ValueError(names)
        with self._lock:
            self._next += names

    def say_next(
        self, body: bytes, *, status: int = 200, token: bool = False
    ) -> None:
        """Give this answer to the next list, or to the next refresh."""
        with self._lock:
            self._said["token" if token else "list"] = _Reply(status, body)

    def expire(self) -> None:
        """End the access token that is in use."""
        with self._lock:
            self._tokens += 1
            self._access = f"access-{self._tokens}"

    def _draw(self) -> tuple[str, float]:
        """Return a trouble, and where in the page it strikes, from 0 to 1."""
        with self._lock:
            if self._next:
                drawn = self._next.pop(0)
                if drawn:
                    self.met[drawn] += 1
                return drawn, 0.0
            at, where = self._drawn.random(), self._drawn.random()
            for name, rate in self.mischief.rates.items():
                at -= rate
                if at < 0:
                    self.met[name] += 1
                    return name, where
        return "", where

    # -- Requests -------------------------------------------------------------

    def handle(  # noqa: PLR0911 - one for each thing that goes wrong
        self, method: str, target: str, body: str, headers: Mapping[str, str]
    ) -> _Reply | None:
        """Return the answer to a request; None to end the connection."""
        with self._lock:
            self.requests.append(target)
        parts = urlsplit(target)
        if (method, parts.path) == ("POST", "/oauth/token"):
            return self._said.pop("token", None) or self._granted(body)
        found = _API.fullmatch(parts.path)
        if method != "GET" or found is None:
            self.complaints.append(f"{method} {parts.path}")
            return _error(404, "NotFound")
        drawn, where = self._draw()
        if drawn in {"expired", "refresh_refused"}:
            self.expire()
            if drawn == "refresh_refused":
                with self._lock:
                    self._refresh += "-ended"
        if drawn == "reset":
            return None
        if drawn == "hang":
            self._closing.wait(_HANG_SECONDS)
            return None
        if drawn in _STATUSES:
            return _STATUSES[drawn]
        if headers.get("authorization") != f"Bearer {self._access}":
            return _error(401, "invalid_token")
        if "list" in self._said:
            return self._said.pop("list")
        return self._listed(found[1], parts.query, drawn, where)

    def authorize(self) -> tuple[str, str]:
        """Let the user authorise the application again; return new tokens."""
        with self._lock:
            self._tokens += 1
            self._access = f"access-{self._tokens}"
            self._refresh = f"refresh-{self._tokens}"
        return self.tokens

    def _granted(self, body: str) -> _Reply:
        form = dict(parse_qsl(body))
        with self._lock:
            wanted = {
                "grant_type": "refresh_token",
                "refresh_token": self._refresh,
                "client_id": self.app[0],
                "client_secret": self.app[1],
            }
            if form != wanted:
                return _error(400, "invalid_grant")
            self.expire()
            said: dict[str, object] = {
                "token_type": "bearer",
                "access_token": self._access,
                "expires_in": 2_592_000,
            }
            if self._rotates:
                self._refresh = f"refresh-{self._tokens}"
                said["refresh_token"] = self._refresh
        return _Reply(200, json.dumps(said).encode())

    def _listed(
        self, what: str, query: str, drawn: str, where: float
    ) -> _Reply:
        params = {
            name: values[0]
            for name, values in parse_qs(
                query, keep_blank_values=True, strict_parsing=True
            ).items()
        }
        fields = _fields_of(params.get("fields", "id"), _FIELDS[what])
        limit = params.get("limit", str(_LIMIT))
        unknown = sorted(params.keys() - _PARAMS[what])
        if fields is None or unknown or not 1 <= int(limit) <= _LIMIT:
            self.complaints.append(f"{what}: {query}")
            return _error(400, "InvalidFields")
        with self._lock:
            rows = [each for each in self._rows(what) if _fits(each, params)]
        start = int(params.get("page_token", "0"))
        stop = start + min(int(limit), self.page_size)
        if self.pages_read is not None:
            self.pages_read(start // self.page_size + 1)
        shown = [_only(each, fields) for each in rows[start:stop]]
        if drawn in _ROW_TROUBLES and shown:
            _spoil(shown, drawn, int(where * len(shown)))
        records = len(shown) if self._counts_pages else len(rows)
        meta: dict[str, Any] = {"paging": {}, "records": records}
        if start and drawn == "changed_total":
            meta["records"] += 1
        if stop < len(rows):
            meta["paging"]["next"] = self._link(what, params, stop)
        self._mislead(meta["paging"], drawn, what, params)
        text = json.dumps({"data": shown, "meta": meta})
        raw = _AMOUNT.sub(r"\1", text).encode()
        if drawn == "truncated_json":
            raw = raw[: len(raw) // 2]
        if drawn == "not_json":
            raw = b"<html>Maintenance</html>"
        return _Reply(200, raw, is_cut=drawn == "cut_short")

    def _link(self, what: str, params: Mapping[str, str], start: int) -> str:
        query = urlencode({**params, "page_token": start})
        return f"{self.url}/api/v4/{what}?{query}"

    def _mislead(
        self,
        paging: dict[str, str],
        drawn: str,
        what: str,
        params: Mapping[str, str],
    ) -> None:
        here = self._link(what, params, 0)
        wrong = {
            "page_loop": here
            if "page_token" in params
            else f"{self.url}/api/v4/{what}.json?{urlencode(params)}",
            "foreign_link": here.replace("127.0.0.1", "127.0.0.2"),
            "other_path": here.replace("/api/v4/", "/api/v4/other/"),
        }
        if drawn in wrong:
            paging["next"] = wrong[drawn]

    def _rows(self, what: str) -> list[dict[str, Any]]:
        if what == "contacts":
            return [self._contact(each) for each in sorted(self.clients)]
        if what == "matters":
            return [self._matter(each) for each in sorted(self.matters)]
        return [
            {
                "id": each.id,
                "etag": f'"{each.id}"',
                "number": each.number,
                "issued_at": str(each.issued_on),
                "due_at": each.due_on and str(each.due_on),
                "balance": _double(each.balance),
                "total": _double(each.total),
                "state": each.state,
                "kind": each.kind,
                "currency": {"id": 1, "code": each.balance.currency},
                "client": self._contact(each.client),
                "matters": [self._matter(one) for one in each.matters],
            }
            for _, each in sorted(self.bills.items())
        ]

    def _contact(self, which: int) -> dict[str, Any]:
        return {"id": which, "name": self.clients[which]}

    def _matter(self, which: int) -> dict[str, Any]:
        client, number, description = self.matters[which]
        return {
            "id": which,
            "display_number": number,
            "description": description,
            "client": self._contact(client),
        }


@attrs.frozen
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    is_cut: bool = False


def _error(status: int, kind: str, **headers: str) -> _Reply:
    said = {"error": {"type": kind, "message": f"No: {kind}."}}
    return _Reply(
        status,
        json.dumps(said).encode(),
        {name.replace("_", "-"): each for name, each in headers.items()},
    )


_STATUSES: Final = {
    "busy": _error(429, "RateLimited", Retry_After="7"),
    "failing": _error(500, "InternalServerError"),
    "forbidden": _error(403, "Forbidden"),
    "redirected": _error(
        302, "Moved", Location="http://127.0.0.2/api/v4/bills.json"
    ),
}


def _double(amount: Money) -> str:
    """Return an amount as a double is written: ``310.0``, ``95.5``."""
    digits = MINOR_DIGITS[amount.currency]
    sign = "-" if amount.amount_minor < 0 else ""
    whole, rest = divmod(abs(amount.amount_minor), 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0") if digits else ""
    return f"@@{sign}{whole}.{decimals or '0'}@@"


def _fields_of(
    text: str, known: Mapping[str, frozenset[str]]
) -> dict[str, set[str]] | None:
    """Read ``id,client{id,name}``; None for a field that is not known."""
    found: dict[str, set[str]] = {}
    parts = re.findall(r"(\w+)(?:\{([\w,]*)\})?(?:,|$)", text)
    for name, inner in cast("list[tuple[str, str]]", parts):
        below = set(inner.split(",")) if inner else {"id"}
        if name not in known or (inner and not below <= known[name]):
            return None
        found[name] = below
    return found or None


def _only(row: dict[str, Any], fields: dict[str, set[str]]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, below in fields.items():
        value: Any = row.get(name)
        if isinstance(value, dict):
            whole = cast("dict[str, Any]", value)
            value = {each: whole[each] for each in below}
        if isinstance(value, list):
            value = [
                {each: one[each] for each in below}
                for one in cast("list[dict[str, Any]]", value)
            ]
        shown[name] = value
    return shown


def _fits(row: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    text = params.get("query", "").casefold()
    names = [
        str(row.get(each) or "")
        for each in ("name", "number", "display_number", "description")
    ]
    if "display_number" in row:
        names.append(row["client"]["name"])
    return (
        any(text in each.casefold() for each in names)
        and params.get("state", row.get("state")) == row.get("state")
        and ("ids[]" not in params or params["ids[]"] == str(row["id"]))
        and (
            "client_id" not in params
            or params["client_id"] == str(row["client"]["id"])
        )
    )


def _spoil(rows: list[dict[str, Any]], drawn: str, at: int) -> None:
    row = rows[at]
    match drawn:
        case "duplicate_row":
            rows.append(dict(row))
        case "changed_row":
            rows.append({**row, "balance": "@@1.0@@"})
        case "lost_row":
            rows.remove(row)
        case "foreign_bill":
            row["client"] = {"id": 1}
        case "amount_as_text":
            row["balance"] = row["balance"].strip("@")
        case "amount_with_groups":
            row["balance"] = "1,200.00"
        case "null_balance":
            row["balance"] = None
        case "missing_field":
            row.pop("issued_at", None)
        case _:
            row.pop("client", None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], company: FakeClio, idle: float
    ) -> None:
        self.company = company
        self.idle = idle
        self.asked_at = time.monotonic()
        super().__init__(address, _Handler)

    @override
    def service_actions(self) -> None:
        if time.monotonic() - self.asked_at > self.idle:
            self.asked_at = float("inf")
            threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self.shutdown()
        self.server_close()

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def _do(self, method: str) -> None:
        server = cast("_Server", self.server)
        server.asked_at = time.monotonic()
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode()
        headers = {name.lower(): each for name, each in self.headers.items()}
        reply = server.company.handle(method, self.path, body, headers)
        self.close_connection = True
        if reply is None:
            # A reset, not an end.
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = len(reply.body) // 2 if reply.is_cut else None
        if not server.company.drip_seconds:
            self.wfile.write(reply.body[:cut])
            return
        for at in range(len(reply.body)):
            time.sleep(server.company.drip_seconds)
            self.wfile.write(reply.body[at : at + 1])

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""
