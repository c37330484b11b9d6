"""
Stripe is asked, once, and what went wrong is a value (PG-4, PG-16, R4).

Holds: `Asking`, `Failure` and `REFUSALS`. Imports: `answers`, `charges`,
`errors` and stripe. The
SDK's own retries are off: who sends again, and whether, is the engine's to
decide. Nothing of what the SDK or its HTTP client raises leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs
import stripe

from autopay_core.adapters.stripe.answers import API_VERSION, Intent
from autopay_core.charges import DeclineClass
from autopay_core.errors import InvalidValueError

if TYPE_CHECKING:
    from stripe.params import (
        PaymentIntentConfirmParams,
        PaymentIntentCreateParams,
        PaymentIntentSearchParams,
    )

__all__ = ["REFUSALS", "Asking", "Failure"]

_CONNECT_SECONDS: Final = 5.0
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_SERVER: Final = 500
_DECLINED: Final = 402
_MISSING: Final = 404
_REFUSED: Final = frozenset({401, 403})
_NEVER_CONNECTED: Final = frozenset(
    {"ConnectTimeoutError", "NameResolutionError", "NewConnectionError"}
)
REFUSALS: Final = {
    "amount_too_large": DeclineClass.UNKNOWN,
    "amount_too_small": DeclineClass.UNKNOWN,
    "bank_account_unverified": DeclineClass.FIX_FIRST,
    "payment_method_bank_account_blocked": DeclineClass.FIX_FIRST,
    "payment_method_customer_mismatch": DeclineClass.FIX_FIRST,
    "payment_method_invalid_parameter": DeclineClass.FIX_FIRST,
    "payment_method_not_available": DeclineClass.LATER,
    "payment_method_not_saved_here": DeclineClass.FIX_FIRST,
    "payment_method_unexpected_state": DeclineClass.FIX_FIRST,
    "resource_missing": DeclineClass.FIX_FIRST,
}
"""What is not even tried because of the payer's method, or the amount."""

_PREFIXES: Final = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
_RETRY_MOST: Final = 24 * 3600
_PAGE: Final = 100
_PAGES_MOST: Final = 10
_EXPANDED: Final = ["latest_charge"]


@final
@attrs.frozen(kw_only=True)
class Failure:
    """
    A request that got no object.

    Attributes:
        status: The HTTP status; 0 if no answer came.
        code: Stripe's error code, or the SDK's name of the error.
        param: The parameter that it is about, if it is about one.
        is_sent: It may have been executed.
        is_replay: The answer is one that was kept under the key.
        retry_after: Seconds that Stripe asks to wait, if it does.

    """

    status: int
    code: str = ""
    param: str = ""
    is_sent: bool = True
    is_replay: bool = False
    retry_after: int | None = None

    @property
    def did_nothing(self) -> bool:
        """
        Whether this request was provably not executed.

        It never connected; the rate limiter turned it away before it was
        looked at; or the key may not ask this. A lock on the object is none
        of these: somebody else is at it.
        """
        limited = self.status == _TOO_MANY and self.code != "lock_timeout"
        return not self.is_sent or limited or self.status in _REFUSED

    @property
    def is_missing(self) -> bool:
        """Whether there is no such object at the account."""
        return self.status == _MISSING

    @property
    def is_refusal(self) -> bool:
        """Whether it was looked at and refused: declined, or not valid."""
        return _SERVER > self.status >= _DECLINED - 2 and not (
            self.did_nothing or self.is_conflict or self.is_missing
        )

    @property
    def is_of_the_payer(self) -> bool:
        """
        Whether it is the payer's method that was refused (N3).

        Anything else that is not valid is a fault of the set-up, which would
        refuse every payer of the night: that is no decline.
        """
        if self.code == "resource_missing":
            return self.param in {"customer", "payment_method"}
        return self.status == _DECLINED or self.code in REFUSALS

    @property
    def is_conflict(self) -> bool:
        """Whether another request under the key, or at the object, is on."""
        return self.status in {_CONFLICT, _TOO_MANY}

    @property
    def is_other_request(self) -> bool:
        """Whether the key stands for other parameters."""
        return self.code == "idempotency_error"

    @property
    def is_repeated_500(self) -> bool:
        """Whether it is a 500 that would be repeated for a day."""
        return self.is_replay and self.status >= _SERVER

    def __str__(self) -> str:
        """Return it in a few words, without anything secret."""
        return f"{self.status or 'no answer'} {self.code}".rstrip()


@final
class Asking:
    """
    One account of Stripe's, asked over HTTP.

    Args:
        api_key: A secret or restricted key.
        stripe_account: The Connect account in whose name it is asked.
        api_base: Where the API is; empty for the company's own.
        timeout_seconds: How long an answer is waited for.

    Raises:
        InvalidValueError: It is no secret key (``StripeKey``).

    """

    def __init__(
        self,
        api_key: str,
        *,
        stripe_account: str = "",
        api_base: str = "",
        timeout_seconds: float = 60.0,
    ) -> None:
        if type(api_key) is not str or not api_key.startswith(_PREFIXES):
            raise InvalidValueError(
                "expected a secret or restricted key of Stripe's: sk_… or "
                "rk_…; it is not shown here",
                code="StripeKey",
                path="api_key",
            )
        self._client = stripe.StripeClient(
            api_key,
            stripe_account=stripe_account or None,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
            http_client=stripe.RequestsClient(
                timeout=(_CONNECT_SECONDS, timeout_seconds)
            ),
        )
        self._intents = self._client.v1.payment_intents

    def create(
        self, params: PaymentIntentCreateParams, key: str
    ) -> Intent | Failure:
        """Make an intent under an idempotency key."""
        return _asked(
            lambda: self._intents.create(params, {"idempotency_key": key})
        )

    def confirm(
        self, reference: str, params: PaymentIntentConfirmParams, key: str
    ) -> Intent | Failure:
        """Confirm an intent under an idempotency key: this moves money."""
        return _asked(
            lambda: self._intents.confirm(
                reference, params, {"idempotency_key": key}
            )
        )

    def cancel(self, reference: str) -> Intent | Failure:
        """Cancel an intent; of its own nature that is done once."""
        return _asked(
            lambda: self._intents.cancel(reference, {"expand": _EXPANDED})
        )

    def retrieve(self, reference: str) -> Intent | Failure:
        """Read an intent as it is now."""
        return _asked(
            lambda: self._intents.retrieve(reference, {"expand": _EXPANDED})
        )

    def search(self, name: str, value: str) -> list[str] | Failure:
        """Return the ids of the intents that search shows; it lags."""
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        query, page, found = f"metadata['{name}']:'{quoted}'", "", list[str]()
        for _ in range(_PAGES_MOST):
            params: PaymentIntentSearchParams = {
                "query": query,
                "limit": _PAGE,
            }
            if page:
                params["page"] = page
            answer = _asked(partial(self._intents.search, params))
            if isinstance(answer, Failure):
                return answer
            data = answer.get("data")
            if not isinstance(data, list):
                return Failure(status=0, code="no_search_result")
            ids = [_id_of(each) for each in cast("list[object]", data)]
            found += [each for each in ids if each]
            page = str(answer.get("next_page") or "")
            if not answer.get("has_more") or not page:
                return found
        return Failure(status=0, code="no_search_result")

    def __repr__(self) -> str:
        """Show no key."""
        return "Asking(…)"


def _id_of(value: object) -> str:
    whole = cast("Intent", value if isinstance(value, Mapping) else {})
    found = whole.get("id")
    return found if type(found) is str else ""


def _asked(ask: Callable[[], Any]) -> dict[str, Any] | Failure:
    """Ask, and return a plain object or what went wrong."""
    try:
        answer = ask().to_dict()
    except stripe.StripeError as error:
        return _failure_of(error)
    except Exception as error:  # noqa: BLE001 - nothing of an SDK escapes
        return Failure(status=0, code=type(error).__name__)
    if type(answer) is not dict:
        return Failure(status=0, code="no_object")
    return cast("dict[str, Any]", answer)


def _failure_of(error: stripe.StripeError) -> Failure:
    headers = {
        str(name).lower(): str(value)
        for name, value in (error.headers or {}).items()
    }
    said = {} if error.error is None else error.error.to_dict()
    code = error.code or str(said.get("code") or "")
    if isinstance(error, stripe.IdempotencyError):
        code = "idempotency_error"
    return Failure(
        status=error.http_status or 0,
        code=code or type(error).__name__,
        param=str(said.get("param") or ""),
        is_sent=not _never_connected(error),
        is_replay=headers.get("idempotent-replayed") == "true",
        retry_after=_seconds(headers.get("retry-after", "")),
    )


def _seconds(text: str) -> int | None:
    """Return a Retry-After in seconds; a date in it is not followed."""
    if not text.isascii() or not text.isdigit() or len(text) > len("86400"):
        return None
    return min(int(text), _RETRY_MOST)


def _never_connected(error: BaseException | None) -> bool:
    """
    Tell whether the connection was never made, by what the client says.

    A reset, a time-out of reading and a failed handshake are not that.
    """
    if not isinstance(error, stripe.APIConnectionError):
        return False
    cause = error.__cause__
    if cause is None:
        return False
    if type(cause).__name__ == "ConnectTimeout":
        return True
    reason = getattr(cause.args[0], "reason", None) if cause.args else None
    return type(reason).__name__ in _NEVER_CONNECTED
