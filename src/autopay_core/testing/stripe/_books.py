"""
What the make-believe Stripe knows: methods, intents, charges, events.

Holds: `Books`, `Payment` and `Answer`. Imports: `_objects` and the standard
library. It is asked by the server, in requests, and by a test, which lets
debits settle, refunds, disputes. Nothing here knows of HTTP.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, final

import attrs

from autopay_core.testing.stripe import _objects as objects
from autopay_core.testing.stripe._objects import BANK, Object

__all__ = ["Answer", "Books", "Method", "Payment"]

Answer: TypeAlias = tuple[int, Object]

_DIGITS: Final = {
    "usd": (100, 1),
    "eur": (100, 1),
    "gbp": (100, 1),
    "huf": (100, 1),
    "twd": (100, 1),
    "isk": (100, 100),
    "ugx": (100, 100),
    "jpy": (1, 1),
    "mga": (1, 1),
    "kwd": (1000, 10),
    "bhd": (1000, 10),
}
"""Units of one, and an amount's step: the fake's own, not the adapter's."""

_LEAST: Final = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
_PAYABLE: Final = frozenset({"requires_payment_method", "requires_action"})
_CANCELLABLE: Final = _PAYABLE | {"requires_confirmation"}


@final
@attrs.frozen(kw_only=True)
class Payment:
    """
    One payment that the company took, as its books show it.

    Attributes:
        reference: The payment intent.
        units: What was taken, in the company's units.
        currency: Upper case.
        units_per_one: How many units are one, by the company.
        account: The connected account that has the money; empty for the one
            that was asked.
        refunded: What of it went back.

    """

    reference: str
    units: int
    currency: str
    units_per_one: int
    account: str
    refunded: int


@final
@attrs.frozen(kw_only=True)
class Method:
    """
    A saved payment method, and what becomes of it.

    Attributes:
        customer: Whose it is.
        kind: ``card`` or ``us_bank_account``.
        decline: The decline code that it is answered with; empty for none.
        network: The network's code of the decline.
        advice: The issuer's advice code.
        network_advice: The network's.
        action: It needs the payer: off session a card is declined for it, a
            bank account waits for its micro-deposits.

    """

    customer: str
    kind: str
    decline: str = ""
    network: str = ""
    advice: str = ""
    network_advice: str = ""
    action: bool = False


@final
class Books:
    """
    One company: accounts, methods, intents and events.

    Args:
        clock: The company's time.
        version: The API version that events are written in.

    """

    def __init__(self, clock: Callable[[], datetime], version: str) -> None:
        self._clock = clock
        self._version = version
        self.lock = threading.RLock()
        self.methods: dict[str, Method] = {}
        self.intents: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.events: list[Object] = []
        self.hidden: set[str] = set()
        self.strange = False
        self._account_of: dict[str, str] = {}
        self._count = 0

    # -- By requests ----------------------------------------------------------

    def create(self, account: str, params: Mapping[str, Any]) -> Answer:
        """Make an intent."""
        with self.lock:
            wrong = self._unfit(params)
            if wrong is not None:
                return wrong
            made = objects.intent(self._new("pi"), self._now(), params)
            self.intents[made["id"]] = made
            self._account_of[made["id"]] = account
            self._tell("payment_intent.created", made)
            return 200, self.shown(made)

    def retrieve(self, account: str, reference: str) -> Answer:
        """Read an intent."""
        with self.lock:
            found = self._of(account, reference)
            return (
                _missing("payment_intent")
                if found is None
                else (
                    200,
                    self.shown(found),
                )
            )

    def confirm(
        self, account: str, reference: str, params: Mapping[str, Any]
    ) -> Answer:
        """Try to take the money."""
        with self.lock:
            found = self._of(account, reference)
            if found is None:
                return _missing("payment_intent")
            used = params.get("payment_method") or found["payment_method"]
            if found["status"] not in _CANCELLABLE:
                return self._unexpected(found)
            if not used:
                return 400, objects.error(
                    "invalid_request_error",
                    "payment_intent_unexpected_state",
                    "it is missing a payment method",
                    payment_intent=self.shown(found),
                )
            return self._tried(found, self.methods[used])

    def cancel(self, account: str, reference: str) -> Answer:
        """Cancel an intent, if that can be."""
        with self.lock:
            found = self._of(account, reference)
            if found is None:
                return _missing("payment_intent")
            if found["status"] not in _CANCELLABLE:
                return self._unexpected(found)
            found["status"] = "canceled"
            found["canceled_at"] = self._now()
            self._tell("payment_intent.canceled", found)
            return 200, self.shown(found)

    def search(self, account: str, name: str, value: str) -> list[Object]:
        """Return what search shows; it does not show what is hidden yet."""
        with self.lock:
            return [
                self.shown(each)
                for each in self.intents.values()
                if each["metadata"].get(name) == value
                and self._account_of[each["id"]] == account
                and each["id"] not in self.hidden
            ]

    # -- By a test ------------------------------------------------------------

    def under(self, key: str) -> list[Object]:
        """Return the intents of a key of ours, over all accounts."""
        with self.lock:
            return [
                each
                for each in self.intents.values()
                if each["metadata"].get("autopay_key") == key
            ]

    def payments(self, key: str | None = None) -> list[Payment]:
        """Return what was taken, under a key or at all."""
        with self.lock:
            return [
                self._payment(each)
                for each in self.intents.values()
                if each["status"] == "succeeded"
                and key in {None, each["metadata"].get("autopay_key")}
            ]

    def _payment(self, paid: Object) -> Payment:
        sent = paid["transfer_data"]
        return Payment(
            reference=paid["id"],
            units=paid["amount_received"],
            currency=paid["currency"].upper(),
            units_per_one=_DIGITS[paid["currency"]][0],
            account="" if sent is None else sent["destination"],
            refunded=sum(
                each["amount"]
                for each in self.refunds.values()
                if each["payment_intent"] == paid["id"]
                and each["status"] == "succeeded"
            ),
        )

    def settle(self, reference: str) -> None:
        """Let a debit that is under way succeed."""
        with self.lock:
            found = self.intents[reference]
            assert found["status"] == "processing"
            self._succeed(found, self.charges[found["latest_charge"]])

    def fail_later(self, reference: str, method: Method) -> None:
        """Let a debit that is under way fail, as a method says."""
        with self.lock:
            found = self.intents[reference]
            assert found["status"] == "processing"
            self._fail(found, self.charges[found["latest_charge"]], method)

    def complete(self, reference: str) -> bool:
        """Let the payer pay in another window; tell whether it was taken."""
        with self.lock:
            found = self.intents[reference]
            if found["status"] not in _PAYABLE:
                return False
            paid = objects.charge(
                self._new("py"), self._now(), found, "pending"
            )
            self.charges[paid["id"]] = paid
            found["latest_charge"] = paid["id"]
            self._succeed(found, paid)
            return True

    def refund(self, reference: str, units: int) -> str:
        """Give money back, and return the refund's id."""
        with self.lock:
            made = objects.refund(
                self._new("re"), self._now(), self.intents[reference], units
            )
            self.refunds[made["id"]] = made
            self._tell("refund.created", made, of=reference)
            self._tell(
                "charge.refunded", self.charges[made["charge"]], of=reference
            )
            self._tell("refund.updated", made, of=reference)
            return str(made["id"])

    def fail_refund(self, refund: str) -> None:
        """Let a refund fail: its money comes back."""
        with self.lock:
            made = self.refunds[refund]
            made["status"] = "failed"
            made["failure_reason"] = "lost_or_stolen_card"
            of = made["payment_intent"]
            self._tell("refund.failed", made, of=of)
            self._tell("refund.updated", made, of=of)

    def dispute(
        self, reference: str, reason: str, network: str, *, inquiry: bool
    ) -> str:
        """Let the payer dispute a payment, and return the dispute's id."""
        with self.lock:
            made = objects.dispute(
                self._new("dp"),
                self._now(),
                self.intents[reference],
                reason=reason,
                network=network,
                status="warning_needs_response"
                if inquiry
                else "needs_response",
            )
            self.disputes[made["id"]] = made
            self._tell("charge.dispute.created", made, of=reference)
            if not inquiry:
                self._move(made, -1, "charge.dispute.funds_withdrawn")
            return str(made["id"])

    def close_dispute(self, dispute: str, status: str) -> None:
        """Let a dispute end: won, lost, or an inquiry closed."""
        with self.lock:
            made = self.disputes[dispute]
            made["status"] = status
            if status == "won":
                self._move(made, 1, "charge.dispute.funds_reinstated")
            self._tell(
                "charge.dispute.closed", made, of=made["payment_intent"]
            )

    # -- Behind them ----------------------------------------------------------

    def _new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_fake{self._count:08d}"

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def _of(self, account: str, reference: str) -> Object | None:
        found = self.intents.get(reference)
        if found is None or self._account_of[reference] != account:
            return None
        return found

    def shown(self, found: Object) -> Object:
        """Return an intent as an answer has it, with its charge in it."""
        shown = copy.deepcopy(found)
        if found["latest_charge"] is not None:
            shown["latest_charge"] = copy.deepcopy(
                self.charges[found["latest_charge"]]
            )
        if self.strange and found["status"] in {"succeeded", "processing"}:
            shown["status"] = "requires_moon"
        return shown

    def _unfit(self, params: Mapping[str, Any]) -> Answer | None:
        units, currency = int(params["amount"]), params["currency"]
        method = self.methods.get(params.get("payment_method", ""))
        if currency not in _DIGITS or units % _DIGITS[currency][1]:
            return _invalid("invalid_charge_amount", "amount")
        if units < _LEAST.get(currency, 1):
            return _invalid("amount_too_small", "amount")
        if method is None or method.customer != params.get("customer"):
            return _missing("payment_method", status=400)
        if method.kind not in params.get(
            "allowed_payment_method_types", ["card"]
        ):
            return _invalid("payment_method_invalid_parameter", "type")
        return None

    def _unexpected(self, found: Object) -> Answer:
        return 400, objects.error(
            "invalid_request_error",
            "payment_intent_unexpected_state",
            f"This PaymentIntent has a status of {found['status']}.",
            payment_intent=self.shown(found),
        )

    def _tried(self, found: Object, method: Method) -> Answer:
        if method.decline == "payment_method_bank_account_blocked":
            return _invalid(method.decline, "payment_method")
        if method.action and method.kind == BANK:
            found["status"] = "requires_action"
            found["next_action"] = {
                "type": "verify_with_microdeposits",
                "verify_with_microdeposits": {
                    "arrival_date": self._now(),
                    "hosted_verification_url": "https://payments.example/v",
                    "microdeposit_type": "descriptor_code",
                },
            }
            self._tell("payment_intent.requires_action", found)
            return 200, self.shown(found)
        paid = objects.charge(
            self._new("py" if method.kind == BANK else "ch"),
            self._now(),
            found,
            "pending",
        )
        self.charges[paid["id"]] = paid
        found["latest_charge"] = paid["id"]
        if method.decline or method.action:
            return 402, self._fail(found, paid, method)
        if method.kind == BANK:
            found["status"] = "processing"
            self._tell("payment_intent.processing", found)
        else:
            self._succeed(found, paid)
        return 200, self.shown(found)

    def _succeed(self, found: Object, paid: Object) -> None:
        found["status"] = "succeeded"
        found["amount_received"] = found["amount"]
        found["last_payment_error"] = None
        paid["status"], paid["paid"], paid["captured"] = (
            "succeeded",
            True,
            True,
        )
        paid["amount_captured"] = paid["amount"]
        self._tell("charge.succeeded", paid, of=found["id"])
        self._tell("payment_intent.succeeded", found)

    def _fail(self, found: Object, paid: Object, method: Method) -> Object:
        word = "authentication_required" if method.action else method.decline
        is_card = method.kind == "card"
        code = "card_declined" if is_card else word
        if method.action:
            code = word
        why: Object = {
            "charge": paid["id"],
            "code": code,
            "doc_url": "https://stripe.com/docs/error-codes",
            "message": f"The payment failed: {word}.",
            "payment_method_type": method.kind,
            "type": "card_error" if is_card else "invalid_request_error",
        }
        if is_card:
            why["decline_code"] = word
        if method.network:
            why["network_decline_code"] = method.network
        if method.advice:
            why["advice_code"] = method.advice
        if method.network_advice:
            why["network_advice_code"] = method.network_advice
        paid["status"], paid["failure_code"] = "failed", code
        paid["failure_message"] = why["message"]
        paid["outcome"] |= {
            "advice_code": method.advice or None,
            "network_advice_code": method.network_advice or None,
            "network_decline_code": method.network or None,
            "reason": word,
            "network_status": "declined_by_network",
            "type": "issuer_declined",
        }
        found["status"] = "requires_payment_method"
        found["last_payment_error"] = why
        found["payment_method"] = None
        self._tell("charge.failed", paid, of=found["id"])
        self._tell("payment_intent.payment_failed", found)
        return {"error": {**why, "payment_intent": self.shown(found)}}

    def _move(self, made: Object, sign: int, kind: str) -> None:
        moved = objects.moved_by(
            self._new("txn"), self._now(), made, sign * made["amount"]
        )
        made["balance_transactions"].append(moved)
        self._tell(kind, made, of=made["payment_intent"])

    def _tell(self, kind: str, about: Object, *, of: str = "") -> None:
        account = self._account_of[of or about["id"]]
        self.events.append(
            objects.event(
                self._new("evt"),
                self._now(),
                kind,
                copy.deepcopy(about),
                account=account,
                version=self._version,
            )
        )


def _invalid(code: str, param: str) -> Answer:
    return 400, objects.error(
        "invalid_request_error", code, f"Not valid: {code}.", param=param
    )


def _missing(param: str, *, status: int = 404) -> Answer:
    return status, objects.error(
        "invalid_request_error",
        "resource_missing",
        f"No such {param}.",
        param=param,
    )
