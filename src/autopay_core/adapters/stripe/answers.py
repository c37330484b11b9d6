"""
What is asked of Stripe, and what its objects say, without asking (PG-14).

Holds: `API_VERSION`, `method_token`, the parameters of a payment intent, and
the outcome that an intent is. Imports: `codes`, `currencies`, `charges`,
`money`, `references`. An intent is a plain dict, as its JSON was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from autopay_core._checks import check_id
from autopay_core.adapters.stripe.codes import (
    class_of,
    not_before_after,
    return_code,
)
from autopay_core.adapters.stripe.currencies import to_money, to_units
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.references import MethodKind

if TYPE_CHECKING:
    from stripe.params import (
        PaymentIntentConfirmParams,
        PaymentIntentCreateParams,
    )

__all__ = [
    "API_VERSION",
    "Intent",
    "Method",
    "asked_of_payer",
    "confirm_params",
    "create_params",
    "hosted_link",
    "is_declined_but_open",
    "is_made_for",
    "is_token",
    "is_unsent",
    "method_token",
    "needs_payer",
    "outcome_of",
    "own_key",
    "scrubbed",
]

API_VERSION: Final = "2026-10-28.endive"
"""The version of the API that this adapter was written and tested for."""

Intent: TypeAlias = Mapping[str, Any]
"""A payment intent as its JSON is, with `latest_charge` expanded."""

KEY: Final = "autopay_key"
REQUEST: Final = "autopay_request"
_RUN: Final = "autopay_run"
_DEPOSIT: Final = "autopay_deposit"
_INVOICES: Final = "autopay_invoices"
_VALUE_MOST: Final = 500
_UNITS_MOST: Final = 10**15
_TIME_MOST: Final = 2**33
_TYPES: Final = {
    MethodKind.CARD: "card",
    MethodKind.BANK_ACCOUNT: "us_bank_account",
}
_SUFFIX_MOST: Final = 10
_DESCRIPTOR_MOST: Final = 22
_PART: Final = re.compile(r"(cus|pm|card|ba|src|mandate)_[A-Za-z0-9_]{1,200}")
_PLAIN: Final = re.compile(r"[\x21-\x7e]{1,200}")
_TELLING: Final = re.compile(
    r"(?:cus|pm|card|ba|src|mandate|sk|rk|pk|whsec|pi|seti)_[A-Za-z0-9_]+"
)


# -- Methods ------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Method:
    """
    What a token of ours holds: the customer, the method, the mandate.

    Attributes:
        customer: Whose method it is; Stripe asks for it off session.
        method: The saved payment method.
        mandate: What the payer allowed, for a bank account; may be empty.

    """

    customer: str = attrs.field(repr=False)
    method: str = attrs.field(repr=False)
    mandate: str = attrs.field(default="", repr=False)

    @classmethod
    def of(cls, token: str) -> Method:
        """
        Read what `method_token` made.

        Raises:
            InvalidValueError: It is no such token (``StripeToken``).

        """
        if not is_token(token):
            raise InvalidValueError(
                "a token for Stripe is made by method_token: cus_…/pm_…",
                code="StripeToken",
                path="method.token",
            )
        customer, method, *mandate = token.split("/")
        return cls(customer=customer, method=method, mandate="".join(mandate))


def method_token(customer: str, method: str, mandate: str = "") -> str:
    """
    Return the token of a saved method, for `PaymentMethodRef`.

    >>> method_token("cus_9s6XKzkNRiz8i3", "pm_1MqLiJLkdIwHu7ix")
    'cus_9s6XKzkNRiz8i3/pm_1MqLiJLkdIwHu7ix'

    Args:
        customer: Id of the Stripe customer.
        method: Id of the payment method that the customer saved.
        mandate: Id of the mandate of a bank account, if the host keeps it.

    Raises:
        InvalidValueError: These are no such ids (``StripeToken``).

    """
    token = "/".join(each for each in (customer, method, mandate) if each)
    check_id(token, "method.token")
    Method.of(token)
    return token


def is_token(token: str) -> bool:
    """Tell whether a token is one of `method_token`."""
    parts = token.split("/")
    return len(parts) in {2, 3} and all(map(_PART.fullmatch, parts))


# -- Asking -------------------------------------------------------------------


def own_key(request: ChargeRequest, step: str, turn: int = 0) -> str:
    """
    Return the idempotency key under which Stripe sees one step (TS-8).

    Of the request's key and hash, so that another request under the same key
    of ours is another intent, and never meets the first one's parameters.

    Args:
        request: What is charged.
        step: What is asked.
        turn: Above 0 after an answer of 500 that would only be repeated.

    """
    whole = f"{request.key} {request.request_hash} {step} {turn}"
    return f"ap-{hashlib.sha256(whole.encode()).hexdigest()}"


def descriptor(text: str, most: int) -> str:
    """
    Return what may stand on a statement, or nothing.

    >>> descriptor("Müller & Co: <June>", 22), descriptor("2026", 22)
    ('M ller & Co June', '')

    """
    plain = re.sub(r"[^A-Za-z0-9 .,&/#+-]+", " ", text)
    cut = " ".join(plain.split())[:most].strip()
    return cut if re.search(r"[A-Za-z]", cut) else ""


def create_params(
    request: ChargeRequest, units: int, destination: str
) -> PaymentIntentCreateParams:
    """
    Return the parameters of the intent for a request.

    Args:
        request: What is charged.
        units: The amount as Stripe counts it.
        destination: The connected account that gets the money; empty for the
            one that is asked.

    """
    method = Method.of(request.method.token)
    metadata = {
        KEY: str(request.key),
        REQUEST: request.request_hash,
        _DEPOSIT: request.deposit_account.id[:_VALUE_MOST],
    }
    if request.run is not None:
        metadata[_RUN] = str(request.run)[:_VALUE_MOST]
    if request.lines:
        metadata[_INVOICES] = "; ".join(
            f"{each.invoice} {each.amount}" for each in request.lines
        )[:_VALUE_MOST]
    params: PaymentIntentCreateParams = {
        "amount": units,
        "currency": request.amount.currency.lower(),
        "customer": method.customer,
        "payment_method": method.method,
        "allowed_payment_method_types": [_TYPES[request.method.kind]],
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "metadata": metadata,
        "expand": ["latest_charge"],
    }
    if request.description:
        params["description"] = request.description
        if request.method.kind is MethodKind.CARD:
            short = descriptor(request.description, _SUFFIX_MOST)
            if short:
                params["statement_descriptor_suffix"] = short
        else:
            short = descriptor(request.description, _DESCRIPTOR_MOST)
            if short:
                params["statement_descriptor"] = short
    if destination:
        params["transfer_data"] = {"destination": destination}
    return params


def confirm_params(request: ChargeRequest) -> PaymentIntentConfirmParams:
    """Return the parameters with which an intent is confirmed off session."""
    params: PaymentIntentConfirmParams = {
        "off_session": True,
        "expand": ["latest_charge"],
    }
    mandate = Method.of(request.method.token).mandate
    if mandate:
        params["mandate"] = mandate
    return params


# -- Reading ------------------------------------------------------------------


def within(intent: Intent, name: str) -> Intent:
    """Return an object in an object; an empty one if there is none."""
    value = intent.get(name)
    return cast("Intent", value) if isinstance(value, Mapping) else {}


def _plain(value: object) -> str:
    """Return what can be an id or a key; empty for anything else."""
    text = _text(value)
    return text if _PLAIN.fullmatch(text) else ""


def key_of(intent: Intent) -> str:
    """Return the key on record with the company, not the one asked (PG-7)."""
    return _plain(within(intent, "metadata").get(KEY))


def request_of(intent: Intent) -> str:
    """Return the hash of the request that the intent was made for (R2)."""
    return _plain(within(intent, "metadata").get(REQUEST))


def is_made_for(intent: Intent, request: ChargeRequest) -> bool:
    """Tell whether an intent was made for this very request (TS-7)."""
    return (
        key_of(intent) == request.key
        and request_of(intent) == request.request_hash
        and intent.get("amount") == to_units(request.amount)
        and intent.get("currency") == request.amount.currency.lower()
    )


def _error_of(intent: Intent) -> Intent:
    """Return why the last try was declined; empty if none was."""
    error = within(intent, "last_payment_error")
    charge = within(intent, "latest_charge")
    if error or charge.get("status") != "failed":
        return error
    said = within(charge, "outcome")
    return {
        "code": charge.get("failure_code"),
        "message": charge.get("failure_message"),
        "decline_code": said.get("reason"),
        "advice_code": said.get("advice_code"),
        "network_advice_code": said.get("network_advice_code"),
        "network_decline_code": said.get("network_decline_code"),
    }


def is_unsent(intent: Intent) -> bool:
    """Tell whether nothing was tried with an intent yet, and can be."""
    status = intent.get("status")
    return status == "requires_confirmation" or (
        status == "requires_payment_method" and not _error_of(intent)
    )


def is_declined_but_open(intent: Intent) -> bool:
    """Tell whether an intent was declined and could still be paid (TS-10)."""
    return intent.get("status") == "requires_payment_method" and bool(
        _error_of(intent)
    )


def needs_payer(intent: Intent) -> bool:
    """
    Tell whether only the payer can go on, in a browser.

    A bank account waits for its micro-deposits to be told; a card that wants
    to be authenticated is declined off session, and is left open.
    """
    return intent.get("status") == "requires_action" or (
        is_declined_but_open(intent)
        and _error_of(intent).get("code") == "authentication_required"
    )


def hosted_link(intent: Intent) -> str:
    """Return Stripe's own page for the payer, if it has one."""
    action = within(intent, "next_action")
    bank = within(action, "verify_with_microdeposits")
    link = _text(bank.get("hosted_verification_url")) or _text(
        within(action, "redirect_to_url").get("url")
    )
    return link if link.startswith("https://") else ""


def asked_of_payer(
    intent: Intent, account: str, link: str, lasts: timedelta
) -> NeedsPayer | None:
    """Return what is asked of the payer; None if that cannot be read."""
    amount, reference = _money_of(intent, "amount"), _plain(intent.get("id"))
    key, made = key_of(intent), _instant(intent.get("created"))
    if amount is None or not key or not reference or made is None:
        return None
    return NeedsPayer(
        key=key,
        amount=amount,
        reference=reference,
        link=link,
        # Of when it was made, so that it is the same at each look.
        until=made + lasts,
        account=account,
        request=request_of(intent),
    )


def scrubbed(text: object) -> str:
    """Return a text of Stripe's without ids, tokens and keys (PG-9)."""
    return _TELLING.sub("…", text) if type(text) is str else ""


def _text(value: object) -> str:
    return value if type(value) is str else ""


def declined_as(
    intent: Intent, account: str, *, code: str = "", message: str = ""
) -> Declined:
    """
    Return a decline as an intent has it.

    Args:
        intent: It.
        account: Whose it is.
        code: What stands where the intent names no error.
        message: The same, for people.

    """
    error = _error_of(intent)
    network = _text(error.get("network_decline_code"))
    word = (
        _text(error.get("decline_code"))
        or _text(error.get("code"))
        or code
        or "canceled"
    )
    method_type = _text(error.get("payment_method_type"))
    of_bank = method_type == "us_bank_account" or (
        not method_type and _types_of(intent) == ["us_bank_account"]
    )
    shown = return_code(network, word) if of_bank else word
    advice = _text(error.get("network_advice_code"))
    at = _moment(intent)
    return Declined(
        key=key_of(intent),
        code=shown,
        decline_class=class_of(
            [word, _text(error.get("code")), network if of_bank else ""],
            _text(error.get("advice_code")),
            advice,
        ),
        message=scrubbed(error.get("message")) or message,
        not_before=None if at is None else not_before_after(advice, at),
        account=account,
    )


def _types_of(intent: Intent) -> object:
    return intent.get("payment_method_types")


def _instant(value: object) -> datetime | None:
    """Return a time of Stripe's; None if it is none of this age."""
    if type(value) is not int or not 0 <= value < _TIME_MOST:
        return None
    return datetime.fromtimestamp(value, UTC)


def _moment(intent: Intent) -> datetime | None:
    """Return when the last try was, or else when the intent was made."""
    tried = _instant(within(intent, "latest_charge").get("created"))
    return tried or _instant(intent.get("created"))


def _money_of(intent: Intent, name: str) -> Money | None:
    units, currency = intent.get(name), intent.get("currency")
    if type(units) is not int or type(currency) is not str:
        return None
    return to_money(units, currency) if 0 < units < _UNITS_MOST else None


def outcome_of(intent: Intent, account: str) -> LookupOutcome:
    """
    Return what an intent says, by its status and nothing else (PG-14).

    An intent that was called off before anything was tried says that nothing
    was found: no money moved for it, and none will.

    Args:
        intent: As the company has it now; one that was declined and is still
            open is the gateway's to close first.
        account: Whose it is.

    """
    status, key = _text(intent.get("status")), key_of(intent)
    reference = _plain(intent.get("id"))
    if not key or not reference:
        return Indeterminate(
            detail="a payment that does not say whose key it has",
            unexpected=True,
        )
    if is_unsent(intent):
        return NotFound()
    if status == "canceled":
        tried = bool(_error_of(intent))
        return declined_as(intent, account) if tried else NotFound()
    if status not in _MOVES:
        return Indeterminate(detail=f"state {scrubbed(status)}")
    kind, name = _MOVES[status]
    amount = _money_of(intent, name)
    if amount is None:
        return Indeterminate(
            detail=f"{status} with an amount that cannot be read",
            unexpected=True,
        )
    return kind(
        key=key,
        amount=amount,
        reference=reference,
        account=account,
        request=request_of(intent),
    )


_MOVES: Final[Mapping[object, tuple[type[Captured | Pending], str]]] = {
    "succeeded": (Captured, "amount_received"),
    "processing": (Pending, "amount"),
}
"""The states in which money moved or moves, and where its amount stands."""
