"""
References to things that others own: ids, accounts, payment methods (E3).

Holds: identifiers (`NewType`), `DepositAccount`, `PaymentMethodRef`. Imports:
`_checks`, `_hashes`. A payment method is a provider's token, never a card.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NewType, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_text,
    an_id,
    check_id,
    check_no_card_number,
    optional,
)
from autopay_core._hashes import sha256

__all__ = [
    "AccountKind",
    "AutoPayId",
    "ClientId",
    "DepositAccount",
    "InvoiceNumber",
    "MatterId",
    "MethodKind",
    "PayerId",
    "PaymentMethodRef",
]

_LONG_TOKEN: Final = 8

AutoPayId = NewType("AutoPayId", str)
"""Identifies an auto-pay; 1 to 128 printable characters, compared exactly."""

PayerId = NewType("PayerId", str)
"""Identifies a payer."""

ClientId = NewType("ClientId", str)
"""A client's number in the matter-management software."""

MatterId = NewType("MatterId", str)
"""A matter's number in the matter-management software."""

InvoiceNumber = NewType("InvoiceNumber", str)
"""An invoice's number; unique within the firm."""


class AccountKind(Choice):
    """Whose money an account holds; the two never share a charge (L6)."""

    OPERATING = "operating"
    """The firm's own."""
    TRUST = "trust"
    """Its clients'."""


class MethodKind(Choice):
    """What stands behind a payment method; decides its network's rules."""

    CARD = "card"
    """A credit or debit card."""
    BANK_ACCOUNT = "bank_account"
    """A bank account that is debited."""


def _an_open_id(_: object, field: attrs.Attribute[str], value: str) -> None:
    """Refuse a card number where somebody else's identifier belongs (E3)."""
    check_id(value, field.name)
    check_no_card_number(value, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class DepositAccount(Readable):
    """
    The firm's account that receives the money; never a debit source.

    Attributes:
        id: The gateway's or the ledger's name of the account.
        kind: Operating or trust (L6).

    Raises:
        InvalidValueError: The id is no identifier or holds a card number.

    """

    id: str = attrs.field(validator=_an_open_id)
    kind: AccountKind = attrs.field(
        default=AccountKind.OPERATING, validator=a(AccountKind)
    )


@final
@attrs.frozen(kw_only=True, repr=False)
class PaymentMethodRef:
    """
    A payer's saved payment method: the provider's token for it, no more.

    `repr` shows the last four characters of the token only, so it does not
    read back (E3).

    >>> PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c")
    PaymentMethodRef(provider='acme', token='…aa9c')

    Attributes:
        provider: Who keeps the method, such as the gateway's name.
        token: The provider's reference.
        kind: Card or bank account.
        network: Lower case: ``"visa"``, ``"mastercard"``, ``"ach"``, or
            empty when unknown; decides retry limits (N3).
        consumer: Whether a natural person's account is debited (N4).
        expires_on: Last day on which it works, if known.

    Raises:
        InvalidValueError: The token is or holds a card number
            (``PanDetected``). Any other field that cannot be.

    """

    provider: str = attrs.field(validator=_an_open_id)
    token: str = attrs.field(validator=_an_open_id)
    kind: MethodKind = attrs.field(
        default=MethodKind.CARD, validator=a(MethodKind)
    )
    network: str = attrs.field(default="", validator=a_text(most=32))
    consumer: bool = attrs.field(default=False, validator=a(bool))
    expires_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )

    @property
    def fingerprint(self) -> str:
        """A one-way name of the method, safe to store and to compare."""
        whole = f"{len(self.provider)}:{self.provider}:{self.token}"
        return sha256(whole)[:32]

    @property
    def masked(self) -> str:
        """The token's last four characters at most (E3)."""
        # The end of a short token would be too much of it.
        shown = self.token[-4:] if len(self.token) >= _LONG_TOKEN else ""
        return f"…{shown}"

    def __repr__(self) -> str:
        """Show the last four characters only (E3)."""
        return (
            f"PaymentMethodRef(provider={self.provider!r}, "
            f"token={self.masked!r})"
        )


@final
@attrs.frozen(kw_only=True, order=True, repr=False)
class RunKey(Readable):
    """
    The identity of a run: an auto-pay and a nominal date (R2).

    Attributes:
        autopay: The auto-pay's id.
        nominal_on: The occurrence's nominal date, not its charge date.

    """

    autopay: AutoPayId | str = attrs.field(validator=an_id)
    nominal_on: date = attrs.field(validator=a_date)

    def __str__(self) -> str:
        """Return ``ap-1/2026-01-31``."""
        return f"{self.autopay}/{self.nominal_on.isoformat()}"
