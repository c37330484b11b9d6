"""
Stripe: cards and US bank accounts in two steps, and its webhooks (TS, P4).

Holds: `StripeGateway`, `method_token`, `parse_event` and `Event`. Imports:
its modules. Needs the extra ``stripe``. It was tried against a server on
loopback that is checked against the SDK's own types, and not against the
company; docs/how-to/stripe.md says what follows from that.
"""

from autopay_core.adapters.stripe.answers import API_VERSION, method_token
from autopay_core.adapters.stripe.events import Event, parse_event
from autopay_core.adapters.stripe.gateway import StripeGateway

__all__ = [
    "API_VERSION",
    "Event",
    "StripeGateway",
    "method_token",
    "parse_event",
]
