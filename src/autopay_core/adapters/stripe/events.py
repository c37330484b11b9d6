"""
From Stripe's webhooks to movements (P4).

Holds: `parse_event` and `Event`. Imports: `answers`, `codes`, `currencies`,
`charges`, `errors`, `money`, `movements`, `policy`, `ports`, and stripe. The
signature over the raw body and its age are checked before a field is read. An
event that moves no money of ours gives no movement and says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, cast, final

import attrs
import stripe

from autopay_core.adapters.stripe.answers import key_of
from autopay_core.adapters.stripe.codes import return_code
from autopay_core.adapters.stripe.currencies import to_money
from autopay_core.charges import Declined
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.movements import Movement, MovementKind
from autopay_core.policy import Policy
from autopay_core.ports import FindingGateway

__all__ = ["Event", "parse_event"]

_TOLERANCE: Final = timedelta(minutes=5)
_BODY_MOST: Final = 2**20
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


@final
@attrs.frozen(kw_only=True)
class Event:
    """
    What an event of Stripe's says that happened to money of ours.

    Attributes:
        id: Stripe's id of the event.
        kind: Its type, such as ``refund.created``.
        movements: What to hand to `receive`, one after the other; often none.
        why: Why there is no movement; empty if there is one.
        reference: The payment intent that it is about; empty if it names
            none.

    """

    id: str
    kind: str
    movements: tuple[Movement, ...] = ()
    why: str = ""
    reference: str = ""


def parse_event(
    raw_body: bytes,
    signature: str,
    secret: str | Sequence[str],
    /,
    *,
    now: datetime,
    account: str = "",
    gateway: FindingGateway | None = None,
    policy: Policy | None = None,
    tolerance: timedelta = _TOLERANCE,
) -> Event:
    """
    Check a webhook and return what moved.

    Args:
        raw_body: The body as it came, before anything parsed it.
        signature: The header ``Stripe-Signature``.
        secret: The endpoint's (``whsec_…``); several while it is changed.
        now: The instant at which it came.
        account: The gateway's account, for an event that names none.
        gateway: Asked what became of a debit of which a try failed, because
            another try of the same intent may have gone through since.
            Without it that event gives no movement, and the next sweep asks.
        policy: The host's, for the firm's date of an instant; in UTC by
            default.
        tolerance: How old, or how far ahead, the signature may be.

    Raises:
        InvalidValueError: It is not Stripe's (``EventSignature``), its
            signature is too old (``EventAge``), or it is no event that can
            be read (``EventFormat``). Nothing of the body is shown.
        PortError: The gateway could not be asked; let the event come again.

    """
    if type(raw_body) is not bytes or len(raw_body) > _BODY_MOST:
        raise _unreadable()
    _check(raw_body, signature, secret, now, tolerance)
    try:
        read: object = json.loads(raw_body)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    event = _Read(read)
    if event.text("object") != "event" or not event.text("id"):
        raise _unreadable()
    kind = event.text("type")
    said = _Said(
        kind=kind,
        about=event.inner("data").inner("object"),
        gateway=gateway,
        account=event.text("account") or account,
        on=(policy or Policy()).date_of,
        at=event.moment("created"),
    )
    reader = _READERS.get(kind, _nothing)
    found = reader(said)
    movements = (found,) if isinstance(found, Movement) else ()
    return Event(
        id=event.text("id"),
        kind=kind,
        movements=movements,
        why="" if isinstance(found, Movement) else found,
        reference=_intent_of(said),
    )


# -- The signature ------------------------------------------------------------


def _check(
    raw_body: bytes,
    signature: str,
    secret: str | Sequence[str],
    now: datetime,
    tolerance: timedelta,
) -> None:
    secrets = [secret] if isinstance(secret, str) else list(secret)
    verify = cast(
        "Callable[..., object]",
        stripe.WebhookSignature.verify_header,  # pyright: ignore[reportUnknownMemberType]
    )
    known = False
    for each in secrets:
        try:
            # Its own look at the age would ask a clock; ours comes below.
            verify(raw_body, signature, each, None)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        known = True
    if not known:
        raise InvalidValueError(
            "no signature of this body by a known secret; hand in the raw "
            "body, and look which endpoint the secret belongs to",
            code="EventSignature",
            path="signature",
        )
    said = [each for each in signature.split(",") if each.startswith("t=")]
    signed_at = datetime.fromtimestamp(int(said[0][2:]), UTC)
    if abs(now - signed_at) > tolerance:
        raise InvalidValueError(
            "the signature is too old, or from a clock that is wrong",
            code="EventAge",
            path="signature",
            value=str(signed_at),
        )


def _unreadable() -> InvalidValueError:
    return InvalidValueError(
        "the body is no event of Stripe's that can be read",
        code="EventFormat",
        path="raw_body",
    )


# -- Reading ------------------------------------------------------------------


@final
class _Read:
    """An object of somebody else's, read with care."""

    def __init__(self, value: object) -> None:
        self.fields = cast(
            "Mapping[str, Any]", value if isinstance(value, Mapping) else {}
        )

    def text(self, name: str) -> str:
        """Return a text, or an expanded object's id; empty if it is none."""
        value = self.fields.get(name)
        if isinstance(value, Mapping):
            value = cast("Mapping[str, object]", value).get("id")
        return value if type(value) is str else ""

    def number(self, name: str) -> int:
        """Return a number; 0 if it is none."""
        value = self.fields.get(name)
        return value if type(value) is int else 0

    def inner(self, name: str) -> _Read:
        """Return an object in it."""
        return _Read(self.fields.get(name))

    def moment(self, name: str) -> datetime:
        """Return an instant; EventFormat if it is none."""
        value = self.fields.get(name)
        if type(value) is not int or not 0 <= value < _LATEST:
            raise _unreadable()
        return datetime.fromtimestamp(value, UTC)


@final
@attrs.frozen(kw_only=True)
class _Said:
    kind: str
    about: _Read
    gateway: FindingGateway | None
    account: str
    on: Callable[[datetime], Any]
    at: datetime

    def money(self, name: str = "amount") -> Money | None:
        """Return an amount of the object; None if it is none above zero."""
        units = self.about.number(name)
        currency = self.about.text("currency")
        return to_money(units, currency) if units > 0 else None

    def movement(
        self,
        id: str,  # noqa: A002 - as the field of a movement
        kind: MovementKind,
        amount: Money | None,
        *,
        code: str = "",
        key: str = "",
        corrects: str = "",
        at: datetime | None = None,
    ) -> Movement | str:
        """Return a movement, or why there is none."""
        reference = _intent_of(self)
        if not reference:
            return "it names no payment intent, so it is none of ours"
        if amount is None:
            return "its amount is in no currency that is charged here"
        return Movement(
            id=id,
            kind=kind,
            amount=amount,
            on=self.on(at or self.at),
            code=code[:64],
            key=key or None,
            reference=reference,
            account=self.account,
            corrects=corrects,
        )


_Reader: TypeAlias = Callable[[_Said], Movement | str]


def _intent_of(said: _Said) -> str:
    if said.about.text("object") == "payment_intent":
        return said.about.text("id")
    return said.about.text("payment_intent")


_FOREIGN: Final = "the payment was not made by this library"


def _succeeded(said: _Said) -> Movement | str:
    """Return what settles a charge; of a card it says what is known."""
    key = key_of(said.about.fields)
    if not key:
        return _FOREIGN
    return said.movement(
        f"{said.about.text('id')}:succeeded",
        MovementKind.SETTLED,
        said.money("amount_received"),
        key=key,
    )


def _failed(said: _Said) -> Movement | str:
    """
    Return the late failure of a debit that was under way.

    An intent whose try failed can still be paid. Only once the gateway has
    closed it is it certain that this failure is its end.
    """
    key, intent = key_of(said.about.fields), said.about.text("id")
    if not key:
        return _FOREIGN
    error = said.about.inner("last_payment_error")
    if error.text("payment_method_type") != "us_bank_account" and (
        error.inner("payment_method").text("type") != "us_bank_account"
    ):
        return "a card's decline was the answer to its confirmation"
    if said.gateway is None:
        return "the next sweep asks how the debit ended"
    if not isinstance(said.gateway.lookup_reference(intent, key), Declined):
        return "another try of the payment is under way, or went through"
    charge = error.text("charge") or said.about.text("latest_charge")
    return said.movement(
        f"{charge or intent}:failed",
        MovementKind.FAILED_LATE,
        said.money(),
        code=return_code(
            error.text("network_decline_code"),
            error.text("decline_code") or error.text("code"),
        ),
        key=key,
    )


def _refunded(said: _Said) -> Movement | str:
    """Return what a refund is: money back, or back again; by its own id."""
    refund, status = said.about.text("id"), said.about.text("status")
    if status in {"succeeded", "pending"}:
        return said.movement(
            refund,
            MovementKind.REFUNDED,
            said.money(),
            at=said.about.moment("created"),
        )
    if status in {"failed", "canceled"}:
        return said.movement(
            f"{refund}:{status}",
            MovementKind.REINSTATED,
            said.money(),
            code=said.about.text("failure_reason"),
            corrects=refund,
        )
    return f"a refund that is {status or 'of no status'} has moved nothing"


_RETURN_REASONS: Final = frozenset(
    {
        "bank_cannot_process",
        "check_returned",
        "customer_initiated",
        "debit_not_authorized",
        "incorrect_account_details",
        "insufficient_funds",
    }
)
"""Of a dispute that is the return of a bank debit, and cannot be contested."""


def _by_money(said: _Said) -> str:
    """
    Return the id of what moved for a dispute.

    Its newest balance transaction is the money's own id: two events about
    one withdrawal are one movement, a second withdrawal is another.
    """
    dispute = said.about.text("id")
    moved = said.about.fields.get("balance_transactions")
    items = cast("list[object]", moved) if isinstance(moved, list) else []
    ids = [_Read(each).text("id") for each in items]
    known = [each for each in ids if each]
    return f"{dispute}/{known[-1] if known else said.kind}"


def _withdrawn(said: _Said) -> Movement | str:
    reason = said.about.text("reason")
    network = said.about.text("network_reason_code")
    if reason in _RETURN_REASONS:
        return said.movement(
            _by_money(said),
            MovementKind.RETURNED,
            said.money(),
            code=return_code(network, reason),
        )
    return said.movement(
        _by_money(said), MovementKind.DISPUTED, said.money(), code=reason
    )


def _reinstated(said: _Said) -> Movement | str:
    return said.movement(
        _by_money(said),
        MovementKind.REINSTATED,
        said.money(),
        code=said.about.text("status"),
    )


def _opened(said: _Said) -> Movement | str:
    """Return an inquiry, which moves nothing but holds the invoices."""
    status = said.about.text("status")
    if status not in {"warning_needs_response", "warning_under_review"}:
        return "charge.dispute.funds_withdrawn tells of the money"
    return said.movement(
        f"{said.about.text('id')}:inquiry",
        MovementKind.DISPUTED,
        said.money(),
        code=status,
        at=said.about.moment("created"),
    )


def _closed(said: _Said) -> Movement | str:
    status = said.about.text("status")
    if status == "won":
        return "charge.dispute.funds_reinstated tells of the money"
    if status == "warning_closed":
        return "an inquiry was closed; a person lifts its hold"
    return f"the dispute is {status}, and its money went when it was withdrawn"


def _nothing(said: _Said) -> Movement | str:
    told = _TOLD_BY.get(said.kind)
    if told is not None:
        return f"{told} tells of it"
    return "events of this type move no money of ours"


_TOLD_BY: Final = {
    "charge.succeeded": "payment_intent.succeeded",
    "charge.failed": "payment_intent.payment_failed",
    "charge.pending": "the answer to the confirmation",
    "charge.refunded": "refund.created",
    "charge.dispute.updated": "the event of its money",
    "payment_intent.processing": "the answer to the confirmation",
    "payment_intent.created": "the answer to the creation",
    "payment_intent.canceled": "the answer to the cancel",
    "payment_intent.requires_action": "the answer to the confirmation",
}

_READERS: Final[Mapping[str, _Reader]] = {
    "payment_intent.succeeded": _succeeded,
    "payment_intent.payment_failed": _failed,
    "refund.created": _refunded,
    "refund.updated": _refunded,
    "refund.failed": _refunded,
    "charge.refund.updated": _refunded,
    "charge.dispute.created": _opened,
    "charge.dispute.funds_withdrawn": _withdrawn,
    "charge.dispute.funds_reinstated": _reinstated,
    "charge.dispute.closed": _closed,
}
"""Which events are asked for money that moved."""
