"""
Stripe's objects as the fake makes them: every field that the real ones have.

Holds: `intent`, `charge`, `refund`, `dispute`, `event` and `error`. Imports:
nothing of the package. Names and kinds of fields are those of the SDK's
resource types, to which a test compares them, and of the examples that Stripe
publishes with its API description, where they are at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

__all__ = ["Object", "charge", "dispute", "error", "event", "intent", "refund"]

Object: TypeAlias = dict[str, Any]

BANK: Final = "us_bank_account"
_EVIDENCE: Final = (
    "access_activity_log billing_address cancellation_policy "
    "cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name "
    "customer_purchase_ip customer_signature duplicate_charge_documentation "
    "duplicate_charge_explanation duplicate_charge_id product_description "
    "receipt refund_policy refund_policy_disclosure "
    "refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation "
    "shipping_tracking_number uncategorized_file uncategorized_text"
)


def intent(id: str, created: int, params: Mapping[str, Any]) -> Object:  # noqa: A002
    """Return a payment intent that nobody confirmed yet."""
    destination = params.get("transfer_data")
    return {
        "amount": int(params["amount"]),
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic"),
        "client_secret": f"{id}_secret_fake",
        "confirmation_method": "automatic",
        "created": created,
        "currency": params["currency"],
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "id": id,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": dict(params.get("metadata", {})),
        "next_action": None,
        "object": "payment_intent",
        "on_behalf_of": None,
        "payment_method": params.get("payment_method"),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": list(
            params.get("allowed_payment_method_types", ["card"])
        ),
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get(
            "statement_descriptor_suffix"
        ),
        "status": (
            "requires_confirmation"
            if params.get("payment_method")
            else "requires_payment_method"
        ),
        "transfer_data": None if destination is None else dict(destination),
        "transfer_group": None,
    }


def charge(id: str, created: int, paid: Object, status: str) -> Object:  # noqa: A002
    """Return the charge of a confirmation."""
    kind = paid["payment_method_types"][0]
    bank = kind == BANK
    return {
        "amount": paid["amount"],
        "amount_captured": paid["amount"] if status == "succeeded" else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": None,
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": None,
        "captured": status == "succeeded",
        "created": created,
        "currency": paid["currency"],
        "customer": paid["customer"],
        "description": paid["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "id": id,
        "livemode": False,
        "metadata": dict(paid["metadata"]),
        "object": "charge",
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": (
                "declined_by_network"
                if status == "failed"
                else "approved_by_network"
            ),
            "reason": None,
            "seller_message": None,
            "type": "issuer_declined" if status == "failed" else "authorized",
        },
        "paid": status == "succeeded",
        "payment_intent": paid["id"],
        "payment_method": paid["payment_method"],
        "payment_method_details": {
            "type": kind,
            kind: (
                {
                    "account_holder_type": "individual",
                    "account_type": "checking",
                    "bank_name": "TEST BANK",
                    "fingerprint": None,
                    "last4": "6789",
                    "mandate": None,
                    "payment_reference": None,
                    "routing_number": "110000000",
                }
                if bank
                else {
                    "amount_authorized": None,
                    "brand": "visa",
                    "checks": None,
                    "country": "US",
                    "exp_month": 12,
                    "exp_year": 2040,
                    "fingerprint": None,
                    "funding": "credit",
                    "installments": None,
                    "last4": "4242",
                    "mandate": None,
                    "network": "visa",
                    "three_d_secure": None,
                    "wallet": None,
                    "authorization_code": None,
                    "regulated_status": None,
                    "network_transaction_id": None,
                }
            ),
        },
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": paid["statement_descriptor"],
        "statement_descriptor_suffix": paid["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def refund(id: str, created: int, paid: Object, units: int) -> Object:  # noqa: A002
    """Return a refund of an intent's charge."""
    return {
        "amount": units,
        "balance_transaction": None,
        "charge": paid["latest_charge"],
        "created": created,
        "currency": paid["currency"],
        "customer": paid["customer"],
        "customer_account": None,
        "id": id,
        "metadata": {},
        "object": "refund",
        "payment_intent": paid["id"],
        "payment_method": paid["payment_method"],
        "reason": "requested_by_customer",
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(
    id: str,  # noqa: A002
    created: int,
    paid: Object,
    *,
    reason: str,
    network: str,
    status: str,
) -> Object:
    """Return a dispute about an intent's charge."""
    bank = paid["payment_method_types"] == [BANK]
    return {
        "amount": paid["amount"],
        "balance_transactions": [],
        "charge": paid["latest_charge"],
        "created": created,
        "currency": paid["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {
            **dict.fromkeys(_EVIDENCE.split()),
            "enhanced_evidence": {},
        },
        "evidence_details": {
            "due_by": created + 7 * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "id": id,
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "network_reason_code": network or None,
        "object": "dispute",
        "payment_intent": paid["id"],
        "payment_method_details": (
            {"type": BANK}
            if bank
            else {
                "card": {
                    "brand": "visa",
                    "case_type": (
                        "inquiry"
                        if status.startswith("warning")
                        else "chargeback"
                    ),
                    "network": "visa",
                    "network_reason_code": network or None,
                },
                "type": "card",
            }
        ),
        "reason": reason,
        "status": status,
    }


def moved_by(id: str, created: int, about: Object, units: int) -> Object:  # noqa: A002
    """Return the balance transaction of a dispute's money."""
    return {
        "amount": units,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": about["currency"],
        "description": "Dispute",
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "id": id,
        "net": units,
        "object": "balance_transaction",
        "reporting_category": "dispute",
        "source": about["id"],
        "status": "available",
        "type": "adjustment",
    }


def event(
    id: str,  # noqa: A002
    created: int,
    kind: str,
    about: Object,
    *,
    account: str,
    version: str,
) -> Object:
    """Return an event as a webhook's body has it."""
    made: Object = {
        "api_version": version,
        "created": created,
        "data": {"object": about},
        "id": id,
        "livemode": False,
        "object": "event",
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    if account:
        made["account"] = account
    return made


def error(kind: str, code: str, message: str, **more: object) -> Object:
    """Return an error's body."""
    return {"error": {"type": kind, "code": code, "message": message} | more}
