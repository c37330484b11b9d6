"""
The make-believe Stripe's HTTP, and everything that goes wrong with it.

Holds: `FakeStripe` and `Mischief`. Imports: `_books`, `_checking`, `_objects`,
stripe and the standard library. It listens on loopback only, ends with its
``with`` block, and by itself when nobody asks it for some minutes.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self, cast, final
from urllib.parse import urlsplit

import attrs
import stripe
from stripe import params as stripe_params
from typing_extensions import override

from autopay_core.testing.stripe import _objects as objects
from autopay_core.testing.stripe._books import Answer, Books, Method, Payment
from autopay_core.testing.stripe._checking import (
    decoded,
    wrong_with_object,
    wrong_with_params,
)

__all__ = ["FakeStripe", "Mischief"]

_VERSION: Final = "2026-10-28.endive"
_KEYS_KEPT: Final = timedelta(hours=24)
_IDLE_SECONDS: Final = 300.0
_OWN_ACCOUNT: Final = ""
_QUERY: Final = re.compile(r"metadata\['(\w+)'\]:'((?:[^'\\]|\\.)*)'")
_PATH: Final = re.compile(r"/v1/payment_intents(?:/([^/]+)(?:/(\w+))?)?")
_PARAMS: Final[Mapping[str, Any]] = {
    "create": stripe_params.PaymentIntentCreateParams,
    "confirm": stripe_params.PaymentIntentConfirmParams,
    "cancel": stripe_params.PaymentIntentCancelParams,
    "retrieve": stripe_params.PaymentIntentRetrieveParams,
    "search": stripe_params.PaymentIntentSearchParams,
}


@final
@attrs.frozen(kw_only=True)
class Mischief:
    """
    How often the server does what a server may do, from 0 to 1.

    Attributes:
        seed: Of what is drawn.
        fail_before: Answers 500 and has done nothing; kept under the key.
        fail_after: Answers 500 and has done it; kept under the key.
        lose_request: The connection ends before it was read.
        lose_answer: It is done, and the connection ends.
        busy: Answers 429 with a time to wait.
        locked: Answers 429, because somebody else is at the object.
        conflict: Answers 409, as if the key were in use.

    """

    seed: int = 0
    fail_before: float = 0.0
    fail_after: float = 0.0
    lose_request: float = 0.0
    lose_answer: float = 0.0
    busy: float = 0.0
    locked: float = 0.0
    conflict: float = 0.0


_MISCHIEF: Final = tuple(
    each.name for each in attrs.fields(Mischief) if each.name != "seed"
)


@attrs.define
class _Kept:
    """What stands under an idempotency key."""

    asked: object
    at: datetime
    answer: Answer | None = None


def _system_clock() -> datetime:
    return datetime.now(UTC)


@final
class FakeStripe:
    """
    A make-believe Stripe on loopback.

    Requests that the SDK's own parameter types do not allow, and answers that
    are not the SDK's resources, are in `complaints`; a test asks that there
    are none.

    Args:
        clock: The company's time; keys are forgotten by it.
        mischief: What it does at random; nothing by default.
        idle_seconds: It ends by itself after so long without a request.

    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = _system_clock,
        mischief: Mischief | None = None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self.api_key = "sk_test_fake"
        self.webhook_secret = "whsec_fake"  # noqa: S105 - it opens nothing
        self.books = Books(clock, _VERSION)
        self.complaints: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.on_event: Callable[[bytes, str], object] | None = None
        """Called with each event before the answer that it comes of."""
        self._clock = clock
        self.mischief = mischief or Mischief()
        """What it does at random; may be changed."""
        self._drawn = random.Random(self.mischief.seed)  # noqa: S311 - seeded
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._lock = threading.Lock()
        self._told = 0
        self._is_500 = self._is_busy = self._is_lagging = False
        self._fail_next: list[str] = []
        self._garbled: dict[str, tuple[int, bytes]] = {}
        self._lose_next: list[str] = []
        self._refuse_next = False
        self._slow_seconds = 0.0
        self._idle = idle_seconds
        self._server = _Server(("127.0.0.1", 0), self, idle_seconds)
        self._port = self._server.server_address[1]
        self._start()

    # -- Its life -------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def _start(self) -> None:
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    @property
    def is_running(self) -> bool:
        """Whether it still listens."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        """Return the company, listening."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.close()

    # -- Who can be charged ---------------------------------------------------

    def card(
        self,
        decline: str = "",
        *,
        advice: str = "",
        network_advice: str = "",
        needs_payer: bool = False,
    ) -> str:
        """Save a card, and return its token."""
        return self._saved(
            "card",
            decline=decline,
            advice=advice,
            network_advice=network_advice,
            action=needs_payer,
        )

    def bank_account(
        self, decline: str = "", *, needs_payer: bool = False
    ) -> str:
        """Save a US bank account, and return its token."""
        return self._saved(objects.BANK, decline=decline, action=needs_payer)

    def _saved(self, kind: str, **more: Any) -> str:  # noqa: ANN401
        place = len(self.books.methods) + 1
        customer, method = f"cus_fake{place:04d}", f"pm_fake{place:04d}"
        self.books.methods[method] = Method(
            customer=customer, kind=kind, **more
        )
        return f"{customer}/{method}"

    # -- What happens at the company ------------------------------------------

    def payments(self, key: str | None = None) -> list[Payment]:
        """Return what was taken, under a key or at all."""
        return self.books.payments(key)

    def pending(self, key: str | None = None) -> list[str]:
        """Return the intents of debits that are under way."""
        with self.books.lock:
            return [
                each["id"]
                for each in self.books.intents.values()
                if each["status"] == "processing"
                and key in {None, each["metadata"].get("autopay_key")}
            ]

    def settle(self, key: str) -> None:
        """Let the debit of a key succeed, or its payer approve it."""
        for each in self.pending(key):
            self.books.settle(each)
        for made in self.books.under(key):
            self.books.complete(made["id"])

    def fail_later(
        self, key: str, word: str = "insufficient_funds", network: str = "R01"
    ) -> None:
        """Let the debit of a key fail."""
        why = Method(
            customer="", kind=objects.BANK, decline=word, network=network
        )
        for each in self.pending(key):
            self.books.fail_later(each, why)

    def refund(self, reference: str, units: int | None = None) -> str:
        """Give money back on purpose; return the refund's id."""
        whole = self.books.intents[reference]["amount_received"]
        return self.books.refund(reference, units or whole)

    def dispute(
        self,
        reference: str,
        reason: str = "fraudulent",
        network: str = "10.4",
        *,
        inquiry: bool = False,
    ) -> str:
        """Let the payer dispute a payment; return the dispute's id."""
        return self.books.dispute(reference, reason, network, inquiry=inquiry)

    # -- Webhooks -------------------------------------------------------------

    def signed(
        self, event: Mapping[str, Any], at: datetime | None = None
    ) -> tuple[bytes, str]:
        """Return an event's body and its signature, as a webhook has them."""
        body = json.dumps(event)
        sign = cast(
            "Callable[..., str]",
            stripe.WebhookSignature.generate_signature_header,  # pyright: ignore[reportUnknownMemberType]
        )
        stamp = int((at or self._clock()).timestamp())
        return body.encode(), sign(body, self.webhook_secret, stamp)

    def deliver(
        self,
        receive: Callable[[bytes, str], object],
        *,
        doubled: bool = False,
        shuffled: bool = False,
    ) -> int:
        """
        Deliver the events that nobody was told yet; return how many.

        Args:
            receive: The host's endpoint: body and signature.
            doubled: Each comes twice.
            shuffled: In an order drawn at random.

        """
        with self.books.lock:
            new = self.books.events[self._told :]
            self._told = len(self.books.events)
        sent = new * 2 if doubled else list(new)
        if shuffled:
            self._drawn.shuffle(sent)
        for each in sent:
            receive(*self.signed(each))
        return len(sent)

    # -- Trouble --------------------------------------------------------------

    @contextlib.contextmanager
    def offline(self) -> Generator[None]:
        """Refuse connections for a while."""
        self.close()
        try:
            yield
        finally:
            self._server = _Server(("127.0.0.1", self._port), self, self._idle)
            self._start()

    @contextlib.contextmanager
    def answering_500(self) -> Generator[None]:
        """Do what is asked and answer 500, for a while."""
        self._is_500 = True
        try:
            yield
        finally:
            self._is_500 = False

    @contextlib.contextmanager
    def busy(self) -> Generator[None]:
        """Answer 429 for a while."""
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    @contextlib.contextmanager
    def lagging(self) -> Generator[None]:
        """Hide from search what is made meanwhile."""
        self._is_lagging = True
        try:
            yield
        finally:
            self._is_lagging = False
            self.books.hidden.clear()

    @contextlib.contextmanager
    def strange(self) -> Generator[None]:
        """Tell a status that is in no documentation, for a while."""
        self.books.strange = True
        try:
            yield
        finally:
            self.books.strange = False

    def lose_answer_of(self, step: str) -> None:
        """Let the next answer to a step be lost after it was done."""
        self._lose_next.append(step)

    def garble(self, step: str, status: int, raw: bytes) -> None:
        """Answer the next of a step with a body that is not the API's."""
        self._garbled[step] = (status, raw)

    def fail_after(self, step: str) -> None:
        """Answer the next of a step with 500, after it was done."""
        self._fail_next.append(f"{step} after")

    def fail_before(self, step: str) -> None:
        """Answer the next of a step with 500, before it was done."""
        self._fail_next.append(f"{step} before")

    def refuse_next(self) -> None:
        """Say no to the next intent."""
        self._refuse_next = True

    def slow_down(self, seconds: float) -> None:
        """Take some time over each confirmation."""
        self._slow_seconds = seconds

    def forget_keys(self) -> None:
        """Forget the idempotency keys, as after their retention."""
        with self._lock:
            self._kept.clear()

    # -- Requests -------------------------------------------------------------

    def handle(  # noqa: PLR0911 - one for each thing that goes wrong
        self, method: str, path: str, body: str, headers: Mapping[str, str]
    ) -> tuple[int, objects.Object, dict[str, str]] | None:
        """Return the answer to a request; None to end the connection."""
        step, reference = _step_of(method, path)
        self.requests.append((step, reference))
        drawn = self._draw()
        if headers.get("authorization") != f"Bearer {self.api_key}":
            return _refused(401, "api_key_invalid")
        if headers.get("stripe-version") != _VERSION:
            self.complaints.append(f"{step}: another version of the API")
        if self._is_busy or drawn == "busy":
            answer = objects.error("rate_limit_error", "rate_limit", "Busy.")
            return 429, answer, {"Retry-After": "7"}
        if drawn == "lose_request":
            return None
        if drawn == "locked" and reference:
            return _refused(429, "lock_timeout")
        params = self._params(step, path, body)
        if isinstance(params, tuple):
            return (*cast("Answer", params), {})
        account = headers.get("stripe-account", _OWN_ACCOUNT)
        key = headers.get("idempotency-key", "") if method == "POST" else ""
        if key and drawn == "conflict":
            return _refused(409, "idempotency_key_in_use")
        return self._answered(
            step, reference, params, account=account, key=key, drawn=drawn
        )

    def garbled(self, step: str, status: int, raw: bytes) -> tuple[int, bytes]:
        """Return the answer that goes out, in place of another perhaps."""
        return self._garbled.pop(step, (status, raw))

    def _answered(
        self,
        step: str,
        reference: str,
        params: dict[str, Any],
        *,
        account: str,
        key: str,
        drawn: str,
    ) -> tuple[int, objects.Object, dict[str, str]] | None:
        asked = [step, reference, params]
        if key:
            with self._lock:
                kept = self._kept.get((account, key))
                if kept is not None and self._clock() - kept.at < _KEYS_KEPT:
                    return _replayed(kept, asked)
                kept = _Kept(asked, self._clock())
                self._kept[account, key] = kept
        answer = self._done(step, reference, params, account, drawn)
        if key:
            with self._lock:
                # What fails before it is executed is not kept.
                if answer[0] in {400, 404} and step == "create":
                    del self._kept[account, key]
                else:
                    self._kept[account, key].answer = answer
        self._check(step, answer)
        if step in self._lose_next:
            self._lose_next.remove(step)
            return None
        return None if drawn == "lose_answer" else (*answer, {})

    def _done(
        self,
        step: str,
        reference: str,
        params: dict[str, Any],
        account: str,
        drawn: str,
    ) -> Answer:
        before, after = f"{step} before", f"{step} after"
        if before in self._fail_next or drawn == "fail_before":
            if before in self._fail_next:
                self._fail_next.remove(before)
            return _500
        if step == "confirm" and self._slow_seconds:
            time.sleep(self._slow_seconds)
        answer = self._execute(step, reference, params, account)
        if self.on_event is not None:
            self.deliver(self.on_event)
        if after in self._fail_next:
            self._fail_next.remove(after)
            return _500
        return _500 if self._is_500 or drawn == "fail_after" else answer

    def _execute(  # noqa: PLR0911 - one for each step
        self,
        step: str,
        reference: str,
        params: dict[str, Any],
        account: str,
    ) -> Answer:
        books = self.books
        if step == "create":
            if self._refuse_next:
                self._refuse_next = False
                return 400, objects.error(
                    "invalid_request_error",
                    "payment_method_unexpected_state",
                    "No.",
                )
            status, made = books.create(account, params)
            if self._is_lagging and status == 200:
                books.hidden.add(made["id"])
            return status, made
        if step == "confirm":
            return books.confirm(account, reference, params)
        if step == "cancel":
            return books.cancel(account, reference)
        if step == "retrieve":
            return books.retrieve(account, reference)
        found = _QUERY.fullmatch(params["query"])
        if found is None:
            return 400, objects.error(
                "invalid_request_error", "parameter_invalid", "No query."
            )
        value = re.sub(r"\\(.)", r"\1", found[2])
        return 200, {
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": False,
            "next_page": None,
            "data": books.search(account, found[1], value),
        }

    def _params(self, step: str, path: str, body: str) -> Any:  # noqa: ANN401
        kind = _PARAMS.get(step)
        if kind is None:
            return 404, objects.error(
                "invalid_request_error", "unknown_path", f"No such {step}."
            )
        params = decoded(body or urlsplit(path).query)
        wrong = wrong_with_params(kind, params)
        if wrong:
            self.complaints += [f"{step}: {each}" for each in wrong]
            return 400, objects.error(
                "invalid_request_error", "parameter_unknown", "; ".join(wrong)
            )
        return params

    def _check(self, step: str, answer: Answer) -> None:
        status, body = answer
        if status != 200:
            return
        made = body["data"] if step == "search" else [body]
        for each in made:
            self.complaints += [
                f"{step} answered: {wrong}"
                for wrong in wrong_with_object(stripe.PaymentIntent, each)
                if "requires_moon" not in wrong
            ]

    def _draw(self) -> str:
        with self._lock:
            at = self._drawn.random()
        for name in _MISCHIEF:
            at -= getattr(self.mischief, name)
            if at < 0:
                return name
        return ""

    @contextlib.contextmanager
    def behaving(self) -> Generator[None]:
        """Do no mischief for a while."""
        saved, self.mischief = self.mischief, Mischief()
        try:
            yield
        finally:
            self.mischief = saved


_500: Final = (500, objects.error("api_error", "", "Something went wrong."))


def _refused(
    status: int, code: str
) -> tuple[int, objects.Object, dict[str, str]]:
    kind = "invalid_request_error"
    return status, objects.error(kind, code, f"No: {code}."), {}


def _replayed(
    kept: _Kept, asked: object
) -> tuple[int, objects.Object, dict[str, str]]:
    if kept.asked != asked:
        kind = "idempotency_error"
        return 400, {"error": {"type": kind, "message": "Other."}}, {}
    if kept.answer is None:
        return _refused(409, "idempotency_key_in_use")
    return (*kept.answer, {"Idempotent-Replayed": "true"})


def _step_of(method: str, path: str) -> tuple[str, str]:
    found = _PATH.fullmatch(urlsplit(path).path)
    if found is None:
        return f"{method} {path}", ""
    reference, step = found[1] or "", found[2] or ""
    if method == "GET":
        if reference == "search":
            return "search", ""
        return ("retrieve" if reference else "list"), reference
    return (step or "create"), reference


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], company: FakeStripe, idle: float
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
        answer = server.company.handle(method, self.path, body, headers)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, made, more = answer
        raw = json.dumps(made).encode()
        step, _ = _step_of(method, self.path)
        status, raw = server.company.garbled(step, status, raw)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Request-Id", "req_fake")
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""
