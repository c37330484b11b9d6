"""
A make-believe payment company, with events that come late and twice.

`Company.gateway` takes the money, `Company.refund` gives some back,
`Company.events` are what it would post to the host's webhook, and
`parse_event` is the host's side: signature first, then a movement.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import autopay_core as ap
from autopay_core.ports import DeclineClass
from autopay_core.testing.gateway_file import DeclineRule, FileGateway

SIGNING = b"whsec_make_believe_0123456789abcdef"
METHODS = {
    "tok_visa_good_4242": "Visa ending in 4242",
    "tok_visa_late_0005": "Visa that is declined until it is mended",
    "tok_card_gone_0009": "Card that was reported lost",
}


class Company:
    """The company, from its own side and from the host's."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.gateway = FileGateway(
            path,
            clock=clock,
            declines=(
                DeclineRule(token="tok_visa_late_0005"),
                DeclineRule(
                    token="tok_card_gone_0009",
                    code="41",
                    decline_class=DeclineClass.NEVER,
                    message="The card was reported lost.",
                ),
            ),
        )
        self.events: list[bytes] = []

    def refund(self, reference: str, amount: ap.Money, on: date) -> None:
        """Give money back; the event says so later, and twice."""
        event = {
            "id": f"re-{secrets.token_hex(8)}",
            "type": "refunded",
            "payment": reference,
            "cents": amount.amount_minor,
            "currency": amount.currency,
            "on": on.isoformat(),
        }
        self.events += [json.dumps(event).encode()] * 2


def signature(body: bytes) -> str:
    """Sign an event, as the company does."""
    return hmac.new(SIGNING, body, hashlib.sha256).hexdigest()


def parse_event(body: bytes, signed: str) -> ap.Movement:
    """
    Make a movement of an event; the signature is of the raw body.

    Raises:
        PermissionError: The company did not sign it.

    """
    if not hmac.compare_digest(signature(body), signed):
        raise PermissionError("not signed by the company")
    event = json.loads(body)
    return ap.Movement(
        id=event["id"],
        kind=ap.MovementKind(event["type"]),
        amount=ap.Money(
            amount_minor=event["cents"], currency=event["currency"]
        ),
        on=date.fromisoformat(event["on"]),
        reference=event["payment"],
    )
