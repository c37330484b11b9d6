"""
What Stripe's codes mean for trying again, as dated tables (N3, H2).

Holds: `DECLINES`, `ADVICE`, `NETWORK_ADVICE`, `RETURN_CODES`, `class_of` and
`not_before_after`. Imports: `charges`. Each row says since when it stands and
where the company or the network publishes it; what is in no row is unknown,
and unknown is not tried again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from autopay_core.charges import DeclineClass

__all__ = [
    "ADVICE",
    "DECLINES",
    "NETWORK_ADVICE",
    "RETURN_CODES",
    "CodeRow",
    "class_of",
    "not_before_after",
    "return_code",
]

_NEVER: Final = DeclineClass.NEVER
_FIX: Final = DeclineClass.FIX_FIRST
_LATER: Final = DeclineClass.LATER
_CARDS: Final = "docs.stripe.com/declines/codes"
_ACH: Final = "docs.stripe.com/declines/network-codes, ACH Direct Debit"
_SINCE: Final = date(2026, 8, 21)


@final
@attrs.frozen(kw_only=True)
class CodeRow:
    """
    What some codes mean, from a date on.

    Attributes:
        codes: As the company writes them.
        means: For trying again.
        since: When the table was read.
        source: Where it is published.
        after: How long to wait at least, where the network says so.

    """

    codes: frozenset[str]
    means: DeclineClass
    since: date
    source: str
    after: timedelta | None = None


def _row(
    codes: str,
    means: DeclineClass,
    source: str,
    *,
    after: timedelta | None = None,
) -> CodeRow:
    return CodeRow(
        codes=frozenset(codes.split()),
        means=means,
        since=_SINCE,
        source=source,
        after=after,
    )


DECLINES: Final[Sequence[CodeRow]] = (
    # The card, or the payer's word, is gone for good.
    _row(
        "lost_card stolen_card pickup_card restricted_card fraudulent "
        "revocation_of_authorization revocation_of_all_authorizations "
        "stop_payment_order security_violation merchant_blacklist",
        _NEVER,
        _CARDS,
    ),
    # The payer, or the payer's bank, has to do something.
    _row(
        "authentication_required call_issuer card_not_supported "
        "currency_not_supported do_not_honor expired_card generic_decline "
        "incorrect_address incorrect_cvc incorrect_number incorrect_pin "
        "incorrect_zip invalid_account invalid_cvc invalid_expiry_month "
        "invalid_expiry_year invalid_number invalid_pin "
        "mobile_device_authentication_required no_action_taken "
        "new_account_information_available not_permitted "
        "offline_pin_required "
        "online_or_offline_pin_required pin_try_exceeded "
        "service_not_allowed testmode_decline transaction_not_allowed "
        "invalid_amount payment_method_customer_decline "
        "payment_method_unactivated resource_missing",
        _FIX,
        _CARDS,
    ),
    # Another day, or another hour, may do.
    _row(
        "approve_with_id card_velocity_exceeded insufficient_funds "
        "issuer_not_available processing_error reenter_transaction "
        "try_again_later withdrawal_count_limit_exceeded "
        "payment_intent_payment_attempt_expired",
        _LATER,
        _CARDS,
    ),
    _row(
        "bank_account_closed account_closed debit_not_authorized "
        "recipient_deceased bank_account_frozen bank_account_restricted "
        "no_account bank_account_unusable bank_ownership_changed "
        "tokenized_account_number_deactivated",
        _NEVER,
        _ACH,
    ),
    _row(
        "bank_account_invalid_details invalid_account_number "
        "incorrect_account_holder_name payment_method_bank_account_blocked "
        "bank_account_unverified billing_invalid_mandate "
        "payment_method_microdeposit_failed",
        _FIX,
        _ACH,
    ),
    _row("could_not_process", _LATER, _ACH),
    _row("R01 R09", _LATER, _ACH),
    _row("R02 R03 R04 R05 R07 R08 R10 R11 R15 R16 R20 R29 R31", _NEVER, _ACH),
)
"""By decline code, by code, and by the network's code of a bank debit."""

ADVICE: Final[Sequence[CodeRow]] = (
    _row(
        "do_not_try_again",
        _NEVER,
        "docs.stripe.com/declines/card, retrying issuer declines",
    ),
    _row(
        "confirm_card_data",
        _FIX,
        "docs.stripe.com/declines/card, retrying issuer declines",
    ),
    _row(
        "try_again_later",
        _LATER,
        "docs.stripe.com/declines/card, retrying issuer declines",
    ),
)
"""By `advice_code`, which is the issuer's and goes before the decline code."""

_MAC: Final = "Mastercard, merchant advice codes"

NETWORK_ADVICE: Final[Sequence[CodeRow]] = (
    _row("01", _FIX, _MAC),
    _row("02", _LATER, _MAC),
    _row("03", _NEVER, _MAC),
    _row("04", _FIX, _MAC),
    _row("21", _NEVER, _MAC),
    _row("22", _NEVER, _MAC),
    _row("24", _LATER, _MAC, after=timedelta(hours=1)),
    _row("25", _LATER, _MAC, after=timedelta(hours=24)),
    _row("26", _LATER, _MAC, after=timedelta(days=2)),
    _row("27", _LATER, _MAC, after=timedelta(days=4)),
    _row("28", _LATER, _MAC, after=timedelta(days=6)),
    _row("29", _LATER, _MAC, after=timedelta(days=8)),
    _row("30", _LATER, _MAC, after=timedelta(days=10)),
    # A prepaid card that is not loaded again; a number for one use.
    _row("40 41", _FIX, _MAC),
)
"""By `network_advice_code`, which is the network's and goes before all."""

_RETURN: Final = re.compile(r"R[0-9]{2}")

RETURN_CODES: Final = {
    "insufficient_funds": "R01",
    "bank_account_closed": "R02",
    "account_closed": "R02",
    "no_account": "R03",
    "bank_account_invalid_details": "R04",
    "invalid_account_number": "R04",
    "incorrect_account_details": "R04",
    "debit_not_authorized": "R10",
    "customer_initiated": "R10",
    "recipient_deceased": "R15",
    "bank_account_frozen": "R16",
    "bank_account_restricted": "R20",
}
"""
The network's code for a word of Stripe's, where it hands out none.

By docs.stripe.com/declines/network-codes and /disputes/categories, as of
2026-08-21. The company puts several codes under one word; of those this is
one that the rules for holds treat as they treat the strictest of them.
"""


def return_code(network: str, word: str) -> str:
    """
    Return the network's return code of a bank debit, if there is one.

    >>> return_code("R10", "insufficient_funds")
    'R10'
    >>> return_code("", "debit_not_authorized"), return_code("", "strange")
    ('R10', 'strange')

    """
    if _RETURN.fullmatch(network):
        return network
    return RETURN_CODES.get(word, word)


def _found(rows: Sequence[CodeRow], code: str) -> CodeRow | None:
    return next((each for each in rows if code in each.codes), None)


def class_of(
    codes: Sequence[str], advice: str = "", network_advice: str = ""
) -> DeclineClass:
    """
    Return what a decline means for trying again.

    What forbids another try wins, whoever says it; then the network's advice,
    the issuer's, and the codes, the most exact first.

    >>> class_of(["insufficient_funds"]).name
    'LATER'
    >>> class_of(["insufficient_funds"], "do_not_try_again").name
    'NEVER'
    >>> class_of(["generic_decline"], "try_again_later").name
    'LATER'
    >>> class_of(["a word of tomorrow"]).name
    'UNKNOWN'

    """
    said = [
        _found(NETWORK_ADVICE, network_advice),
        _found(ADVICE, advice),
        *(_found(DECLINES, each) for each in codes),
    ]
    means = [each.means for each in said if each is not None]
    if _NEVER in means:
        return _NEVER
    return means[0] if means else DeclineClass.UNKNOWN


def not_before_after(
    network_advice: str, declined_at: datetime
) -> datetime | None:
    """Return before when the network wants no other try, if it says so."""
    row = _found(NETWORK_ADVICE, network_advice)
    if row is None or row.after is None:
        return None
    return declined_at + row.after
