"""
References to things that others own: ids, accounts, payment methods (E3).

Holds: identifiers (`NewType`), `DepositAccount`, `PaymentMethodRef`, `RunKey`,
`Secret`. Imports: `_checks`, `_hashes`, `errors`. A payment method is a
provider's token, never a card.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final, NewType, NoReturn, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_id_if_any,
    check_id,
    check_no_card_number,
    optional,
)
from autopay_core._hashes import sha256
from autopay_core.errors import InvalidValueError

__all__ = [
    "RUN_NUMBER_MAX",
    "SECRET_BYTES",
    "AccountKind",
    "AutoPayId",
    "ClientId",
    "DepositAccount",
    "InvoiceNumber",
    "MatterId",
    "MethodKind",
    "PayerId",
    "PaymentMethodRef",
    "RunKey",
    "Secret",
]

_LONG_TOKEN: Final = 8

SECRET_BYTES: Final = 32
"""Fewest bytes of a host's secret (R2)."""

RUN_NUMBER_MAX: Final = 9_999
"""Most runs on demand of one auto-pay on one day."""

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
        known_as: The fingerprint, where the token is kept no longer; empty
            where it is. What stands in `token` then is its mask (T3).

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
    known_as: str = attrs.field(default="", validator=an_id_if_any)

    @property
    def fingerprint(self) -> str:
        """A one-way name of the method, safe to store and to compare."""
        if self.known_as:
            return self.known_as
        whole = f"{len(self.provider)}:{self.provider}:{self.token}"
        return sha256(whole)[:32]

    @property
    def masked(self) -> str:
        """The token's last four characters at most (E3)."""
        if self.known_as:
            return self.token
        # The end of a short token would be too much of it.
        shown = self.token[-4:] if len(self.token) >= _LONG_TOKEN else ""
        return f"…{shown}"

    @property
    def described(self) -> str:
        """
        The method as people know it, such as ``"visa …4242"`` (E3).

        By its network, else its kind.
        """
        name = self.network or self.kind.value.replace("_", " ")
        return f"{name} {self.masked}"

    def forgotten(self) -> PaymentMethodRef:
        """
        Return it without its token, which nothing is charged with any more.

        >>> card = PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c")
        >>> card.forgotten().token, card.forgotten().masked
        ('…aa9c', '…aa9c')
        >>> card.forgotten().fingerprint == card.fingerprint
        True

        """
        return attrs.evolve(self, token=self.masked, known_as=self.fingerprint)

    def __repr__(self) -> str:
        """Show the last four characters only (E3)."""
        return (
            f"PaymentMethodRef(provider={self.provider!r}, "
            f"token={self.masked!r})"
        )


@final
class Secret:
    """
    The host's secret, which shows nowhere by itself (R2, E3).

    Not in `repr`, an f-string, `attrs.asdict`, a traceback's locals or a
    pickle, which is refused.

    Args:
        value: At least 32 bytes, from a secret store; the same for the life
            of a posting store.

    Raises:
        InvalidValueError: Not bytes (``FieldType``), or too few
            (``SecretTooShort``).

    """

    __slots__ = ("_reveal",)

    _reveal: Callable[[], bytes]

    def __init__(self, value: bytes, /) -> None:
        if type(value) is not bytes:
            raise InvalidValueError(
                f"expected bytes, got {type(value).__name__}",
                code="FieldType",
                path="key_secret",
            )
        if len(value) < SECRET_BYTES:
            raise InvalidValueError(
                f"the secret has at least {SECRET_BYTES} bytes; make it once "
                "with secrets.token_bytes(32) and keep it in a secret store",
                code="SecretTooShort",
                path="key_secret",
            )

        # A function, so that nothing that shows attributes shows the bytes.
        def reveal() -> bytes:
            return value

        self._reveal = reveal

    @classmethod
    def of(cls, value: Secret | bytes, /) -> Secret:
        """Return *value* as a secret."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> bytes:
        """Return the bytes, for deriving a key and nothing else."""
        return self._reveal()

    def __eq__(self, other: object) -> bool:
        """Tell whether two secrets are the same."""
        if not isinstance(other, Secret):
            return NotImplemented
        return self.reveal() == other.reveal()

    def __hash__(self) -> int:
        """Return what says nothing about the bytes."""
        return hash(Secret)

    def __repr__(self) -> str:
        """Show that there is one."""
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, or copied into a file by anybody."""
        raise TypeError("a secret is not written into a pickle")


@final
@attrs.frozen(kw_only=True, order=True, repr=False)
class RunKey(Readable):
    """
    The identity of a run within its store: auto-pay, date and number (R2).

    Attributes:
        autopay: The auto-pay's id.
        nominal_on: The occurrence's nominal date, not its charge date; of a
            run on demand the day for which it was asked.
        number: 0 for the schedule's run, 1, 2 and so on for runs on demand of
            that day (R14).

    """

    autopay: AutoPayId | str = attrs.field(validator=an_id)
    nominal_on: date = attrs.field(validator=a_date)
    number: int = attrs.field(default=0, validator=a_number(0, RUN_NUMBER_MAX))

    def __str__(self) -> str:
        """Return ``ap-1/2026-01-31``, or ``ap-1/2026-01-31#2`` on demand."""
        day = f"{self.autopay}/{self.nominal_on.isoformat()}"
        return f"{day}#{self.number}" if self.number else day

    @classmethod
    def of(cls, text: str, /) -> RunKey:
        """
        Read what `str` made of a key.

        Raises:
            InvalidValueError: It is no such text (``RunKeyFormat``).

        """
        autopay, _, rest = text.rpartition("/")
        day, _, number = rest.partition("#")
        try:
            found = cls(
                autopay=autopay,
                nominal_on=date.fromisoformat(day),
                number=int(number or "0"),
            )
        except ValueError:
            found = None
        if found is None or str(found) != text:
            raise InvalidValueError(
                "expected the text of a run's key, such as ap-1/2026-01-31",
                code="RunKeyFormat",
                path="key",
                value=text,
            )
        return found
