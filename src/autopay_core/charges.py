"""
What is asked of a payment gateway, and what it can answer (R2, R4, R8).

Holds: `IdempotencyKey`, `ChargeRequest`, the outcomes, and
`GatewayCapabilities`. Imports: `_checks`, `_hashes`, `_moved`, `errors`,
`money`, `references`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NewType, TypeAlias, final

import attrs

from autopay_core._checks import (
    CODE_MAX,
    Choice,
    Readable,
    ReadOnly,
    a,
    a_link,
    a_number,
    a_text,
    an_id,
    an_id_if_any,
    an_instant,
    check_id,
    optional,
    reported,
    reported_code,
    tuple_of,
)
from autopay_core._hashes import hmac_sha256, sha256
from autopay_core._moved import moved
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money, a_positive, check_currency
from autopay_core.references import (
    DepositAccount,
    InvoiceNumber,
    PayerId,
    PaymentMethodRef,
    RunKey,
    Secret,
)

__all__ = [
    "KEY_MAX",
    "CancelOutcome",
    "Cancelled",
    "Captured",
    "ChargeLine",
    "ChargeOutcome",
    "ChargeRequest",
    "DeclineClass",
    "Declined",
    "GatewayCapabilities",
    "IdempotencyKey",
    "Indeterminate",
    "LookupOutcome",
    "Moving",
    "NeedsPayer",
    "NotFound",
    "Pending",
    "idempotency_key",
]

IdempotencyKey = NewType("IdempotencyKey", str)
"""At most 36 ASCII characters; the same for every try of one attempt (R2)."""

KEY_MAX: Final = 36
"""Longest idempotency key; every gateway known to us takes that many."""


def idempotency_key(
    secret: Secret, key: RunKey, attempt: int, /, *, store: str = ""
) -> IdempotencyKey:
    """
    Derive the key under which one attempt of a run is charged (R2).

    Only the run's identity and the attempt's number go in: not amount, time,
    token or worker. So a worker that starts again, and a store restored from
    yesterday's backup, make the same key.

    Args:
        secret: The host's, so that the key cannot be guessed.
        key: The run's identity within its store.
        attempt: 1 for the first try to take the money, and so on.
        store: The store's own id; empty for a store that has none, and for
            the keys of before stores had one.

    Source:
        Rule R2.

    """
    # The length in front keeps ("a/1", …) and ("a", "1/…") apart.
    identity = (
        f"{len(key.autopay)}:{key.autopay}:{key.nominal_on.isoformat()}"
        f":{attempt}"
    )
    if store:
        identity += f":{key.number}:{store}"
        return IdempotencyKey(
            f"ap2{hmac_sha256(secret.reveal(), identity)[:32]}"
        )
    if key.number:
        identity += f":{key.number}"
    return IdempotencyKey(f"ap1{hmac_sha256(secret.reveal(), identity)[:32]}")


def _a_key(_: object, field: attrs.Attribute[str], value: str) -> None:
    check_id(value, field.name)
    if len(value) > KEY_MAX or not value.isascii():
        raise InvalidValueError(
            f"at most {KEY_MAX} ASCII characters",
            code="FieldTooLong",
            path=field.name,
            value=value,
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ChargeLine(Readable):
    """
    One invoice's share of a charge, for the gateway's own records.

    Attributes:
        invoice: The invoice's number.
        amount: Its share.

    """

    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ChargeRequest(Readable):
    """
    What the gateway is asked to take, exactly once per key (R2, R3).

    Attributes:
        key: Idempotency key of the attempt.
        method: The payer's saved payment method.
        amount: What to take; above zero.
        deposit_account: Where the money goes.
        description: For the payer's statement; may be empty.
        not_after: The gateway must refuse to take the money later than this
            instant; it differs between tries and is not part of
            `request_hash`.
        run: The run's identity; None for a request of before requests had
            one, whose hash is worked out as it was then.
        payer: Who pays.
        lines: Each invoice's share, oldest first.
        number: The attempt's number.
        authorization: Id of what the payer allowed; empty without a
            book.

    """

    key: IdempotencyKey | str = attrs.field(validator=_a_key)
    method: PaymentMethodRef = attrs.field(validator=a(PaymentMethodRef))
    amount: Money = attrs.field(
        validator=a_positive(
            "ChargeNotPositive", "the amount of a charge must be above zero"
        )
    )
    deposit_account: DepositAccount = attrs.field(validator=a(DepositAccount))
    description: str = attrs.field(default="", validator=a_text())
    not_after: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    run: RunKey | None = attrs.field(
        default=None, validator=optional(a(RunKey))
    )
    payer: PayerId | str = attrs.field(default="", validator=an_id_if_any)
    lines: tuple[ChargeLine, ...] = attrs.field(
        default=(), validator=tuple_of(ChargeLine)
    )
    number: int = attrs.field(default=1, validator=a_number(1))
    authorization: str = attrs.field(default="", validator=an_id_if_any)

    @cached_property
    def request_hash(self) -> str:
        """
        Hash of everything that is charged; no other may use the key.

        Some gateways answer a known key without looking at the amount (R2).
        """
        asked = (
            str(self.amount.amount_minor),
            self.amount.currency,
            self.deposit_account.id,
            self.deposit_account.kind.value,
            self.description,
        )
        parts = [self.key]
        if self.run is None:
            parts += [self.method.provider, self.method.token, *asked]
        else:
            # A fingerprint, so that records can do without the token (T3).
            parts += [self.method.fingerprint, *asked, str(self.run)]
            parts += [self.payer, str(self.number), self.authorization]
            for line in self.lines:
                parts += [line.invoice, str(line.amount.amount_minor)]
        whole = "".join(f"{len(part)}:{part}," for part in parts)
        return sha256(whole)


class DeclineClass(Choice):
    """What a decline means for trying again (N3)."""

    NEVER = "never"
    """The account is closed, stolen or revoked."""
    FIX_FIRST = "fix_first"
    """The payer must do something, such as renew the card."""
    LATER = "later"
    """Funds may be there on another day."""
    UNKNOWN = "unknown"
    """A code that the adapter does not know: not tried again."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Captured(Readable):
    """
    The money was taken.

    Attributes:
        key: The key it was taken under, as the gateway says.
        amount: What was taken, as the gateway says (R8).
        reference: The gateway's payment reference.
        account: The gateway's account that has the money; empty if the
            gateway does not say (R12).
        request: `ChargeRequest.request_hash` of what it answers, where the
            gateway keeps it; empty if it does not.

    """

    key: IdempotencyKey | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    reference: str = attrs.field(validator=an_id)
    account: str = attrs.field(default="", validator=an_id_if_any)
    request: str = attrs.field(default="", validator=an_id_if_any)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Pending(Readable):
    """
    A bank debit is under way; days may pass until it is captured or declined.

    Attributes:
        key: The key it was requested under, as the gateway says.
        amount: What is being taken, as the gateway says.
        reference: The gateway's payment reference.
        account: As `Captured.account`.
        request: As `Captured.request`.

    """

    key: IdempotencyKey | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    reference: str = attrs.field(validator=an_id)
    account: str = attrs.field(default="", validator=an_id_if_any)
    request: str = attrs.field(default="", validator=an_id_if_any)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class NeedsPayer(Readable):
    """
    The payer has to act before money moves: approve it, say who they are.

    It is under way as a bank debit is: what it asks for stays reserved, and
    the gateway is asked again. When its time is over, and when it is not
    right any more, it is called off where the gateway can do that (R9).

    Attributes:
        key: The key it was requested under, as the gateway says.
        amount: What is asked for, as the gateway says.
        reference: The gateway's payment reference.
        link: Where the payer acts: an ``https`` address of at most 1,000
            visible ASCII characters. It is not in the repr.
        until: The payer can act before this instant.
        account: As `Captured.account`.
        request: As `Captured.request`.

    Raises:
        InvalidValueError: *link* is no such address (``LinkInvalid``). A
            field of another type.

    """

    key: IdempotencyKey | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    reference: str = attrs.field(validator=an_id)
    link: str = attrs.field(validator=a_link, repr=False)
    until: datetime = attrs.field(validator=an_instant)
    account: str = attrs.field(default="", validator=an_id_if_any)
    request: str = attrs.field(default="", validator=an_id_if_any)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Declined(Readable):
    """
    The money was definitively not taken, and a later try is a new attempt.

    Attributes:
        key: The key it was requested under.
        code: The network's or gateway's code, such as ``"51"`` or ``"R01"``.
        decline_class: What the code means for trying again.
        message: For people, in the gateway's words: made one printable line,
            and what may be a card number in it is left out (E3).
        not_before: The earliest instant at which another try is welcome, if
            the gateway says one (N3).
        account: As `Captured.account`.

    """

    key: IdempotencyKey | str = attrs.field(validator=an_id)
    code: str = attrs.field(
        converter=reported_code, validator=a_text(most=CODE_MAX)
    )
    decline_class: DeclineClass = attrs.field(
        default=DeclineClass.UNKNOWN, validator=a(DeclineClass)
    )
    message: str = attrs.field(
        default="", converter=reported, validator=a_text()
    )
    not_before: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    account: str = attrs.field(default="", validator=an_id_if_any)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Indeterminate(Readable):
    """
    The request may have gone through; only a look-up can tell (R4).

    Attributes:
        detail: What happened, for the record; cleaned as
            `Declined.message` is.
        unexpected: It was an error that nobody foresaw, and no outage or
            time-out; such errors trip the breaker (H4).

    """

    detail: str = attrs.field(
        default="", converter=reported, validator=a_text()
    )
    unexpected: bool = attrs.field(default=False, validator=a(bool))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Cancelled(Readable):
    """
    The request can take no money any more: nothing moved, nothing will (R9).

    A gateway's answer to `cancel`, requests on their way included; and on
    record for an attempt that was proven absent.

    Attributes:
        key: The key that was cancelled.

    """

    key: IdempotencyKey | str = attrs.field(validator=an_id)


@final
@attrs.frozen(repr=False, eq=False)
class NotFound(Readable):
    """The gateway knows no request under the key, for now (R4)."""


Moving: TypeAlias = Captured | Pending | NeedsPayer
"""What has taken money, or may still take it without being sent again."""

ChargeOutcome: TypeAlias = Moving | Declined | Indeterminate
LookupOutcome: TypeAlias = Moving | Declined | Indeterminate | NotFound
CancelOutcome: TypeAlias = Moving | Declined | Indeterminate | Cancelled


def _currencies(
    _: object, field: attrs.Attribute[Any], value: frozenset[str]
) -> None:
    for currency in value:
        check_currency(currency, field.name)


def _kept(value: Mapping[str, int]) -> Mapping[str, int]:
    """Keep what was declared from whoever still holds the mapping."""
    return ReadOnly(value)


def _minimums(
    _: object, field: attrs.Attribute[Any], value: Mapping[str, int]
) -> None:
    for currency, least in value.items():
        check_currency(currency, field.name)
        a_number(1)(None, field, least)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class GatewayCapabilities(Readable):
    """
    What a gateway promises; what it does not is said in every doubt (R4).

    Attributes:
        two_step: It prepares a reference first and confirms it at most once.
        key_retention_seconds: How long a key seen before gets the outcome it
            got before.
        lookup_settle_seconds: How long after a request at most a look-up
            starts to show it; None if a look-up never proves absence.
        honours_deadline: It takes no money after `ChargeRequest.not_after`.
        currencies: What it takes; empty for all.
        minimum_minor: Smallest charge in minor units.
        maximum_minor: Largest charge in minor units.
        account: Which of the gateway's accounts is asked; empty means
            unknown and equals every one (R12).
        unique_references: No two payments at the account ever have one
            reference (R8).
        cancels: It has `cancel`, the second edition's (R9).
        finds_references: It has `lookup_reference`, the second edition's:
            what became of a reference on record, found without delay (R4).
        minimums: Smallest charge in minor units by currency, where it is not
            `minimum_minor`.

    """

    two_step: bool = attrs.field(default=False, validator=a(bool))
    key_retention_seconds: int = attrs.field(
        default=24 * 3600, validator=a_number(1)
    )
    lookup_settle_seconds: int | None = attrs.field(
        default=None, validator=optional(a_number(0))
    )
    honours_deadline: bool = attrs.field(default=False, validator=a(bool))
    currencies: frozenset[str] = attrs.field(
        default=frozenset[str](), validator=_currencies
    )
    minimum_minor: int = attrs.field(default=1, validator=a_number(1))
    maximum_minor: int = attrs.field(default=10**12, validator=a_number(1))
    account: str = attrs.field(default="", validator=an_id_if_any)
    unique_references: bool = attrs.field(default=True, validator=a(bool))
    cancels: bool = attrs.field(default=False, validator=a(bool))
    finds_references: bool = attrs.field(default=False, validator=a(bool))
    minimums: Mapping[str, int] = attrs.field(
        factory=dict[str, int], converter=_kept, validator=_minimums
    )

    def minimum(self, currency: str, /) -> int:
        """Return the smallest charge in a currency, in minor units."""
        return self.minimums.get(currency, self.minimum_minor)

    def __attrs_post_init__(self) -> None:
        """Refuse limits between which no charge is."""
        if self.maximum_minor < self.minimum_minor:
            raise InvalidValueError(
                "the largest charge is smaller than the smallest",
                code="OutOfRange",
                path="maximum_minor",
                value=self.maximum_minor,
            )


__getattr__ = moved(__name__)
