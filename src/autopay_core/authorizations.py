"""
What a payer allowed: who, what, in which words, when and how (O2).

Holds: `Authorization`, `Given`, `words_hash`, and `in_force`, which finds the
one that a charge may name. Imports: `_checks`, `_hashes`, `errors`, `money`,
`references`, `schedules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_new_id,
    a_new_text,
    an_id,
    an_id_if_any,
    an_instant,
    check_text,
    optional,
)
from autopay_core._hashes import sha256
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money, a_positive
from autopay_core.references import AutoPayId, PaymentMethodRef
from autopay_core.schedules import ScheduleKind

__all__ = ["Authorization", "Given", "in_force", "words_hash"]

_WORDS_MOST: Final = 1_000_000
_HASH_DIGITS: Final = 64


class Given(Choice):
    """How an authorisation was given."""

    ONLINE = "online"
    """On a page, by a click or a typed name."""
    SIGNED = "signed"
    """On paper."""
    RECORDED_CALL = "recorded_call"
    """By telephone, recorded."""
    IN_PERSON = "in_person"
    """To somebody of the firm."""


def words_hash(words: str, /) -> str:
    """
    Return the hash by which the words of an authorisation are known.

    Keep the words themselves, by their version; the hash proves that they
    are those.

    >>> words_hash("I allow Smith & Partners to debit my account.")[:8]
    'a0b13829'

    Args:
        words: The whole text that the payer agreed to.

    """
    if type(words) is not str or not words or len(words) > _WORDS_MOST:
        raise InvalidValueError(
            f"expected text of at most {_WORDS_MOST} characters",
            code="FieldMissing" if words == "" else "FieldType",
            path="words",
        )
    return sha256(words)


def _a_hash(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_text(value, field.name, most=_HASH_DIGITS, empty=False)
    text = str(value)
    if len(text) != _HASH_DIGITS or not set(text) <= set("0123456789abcdef"):
        raise InvalidValueError(
            "expected what words_hash returns",
            code="UnknownValue",
            path=field.name,
            value=value,
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Authorization(Readable):
    """
    What a payer allowed (O2).

    Attributes:
        id: Identifies it; each charge that rests on it names it.
        method: Fingerprint of the payment method that may be charged.
        words: `words_hash` of the text that the payer agreed to.
        words_version: Which edition of the text it was.
        given: How it was given.
        given_at: When.
        evidence: Where that can be checked, such as a recording's number.
        from_on: First day on which it holds.
        until_on: First day on which it holds no longer; None until revoked.
        most: The most that one charge may take; None for any amount.
        frequency: The kind of schedule that was agreed; None for any.
        autopay: Id of the only order that it allows; empty for all of the
            payer's.
        revoked_on: First day on which it is revoked, or None.

    """

    id: str = attrs.field(validator=a_new_id)
    method: str = attrs.field(validator=an_id)
    words: str = attrs.field(validator=_a_hash)
    words_version: str = attrs.field(
        validator=a_new_text(most=64, empty=False)
    )
    given: Given = attrs.field(validator=a(Given))
    given_at: datetime = attrs.field(validator=an_instant)
    evidence: str = attrs.field(validator=a_new_text(empty=False))
    from_on: date = attrs.field(validator=a_date)
    until_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    most: Money | None = attrs.field(
        default=None,
        validator=optional(
            a_positive("CapInvalid", "nothing may be taken by this")
        ),
    )
    frequency: ScheduleKind | None = attrs.field(
        default=None, validator=optional(a(ScheduleKind))
    )
    autopay: AutoPayId | str = attrs.field(default="", validator=an_id_if_any)
    revoked_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a term that never begins."""
        if self.until_on is not None and self.until_on <= self.from_on:
            raise InvalidValueError(
                "it ends before it begins",
                code="OutOfRange",
                path="until_on",
                value=str(self.until_on),
            )

    def holds_on(self, on: date, /) -> bool:
        """Tell whether it holds on a date: its term, and not revoked."""
        return (
            self.from_on <= on
            and (self.until_on is None or on < self.until_on)
            and (self.revoked_on is None or on < self.revoked_on)
        )

    def allows(
        self,
        method: PaymentMethodRef,
        autopay: str,
        frequency: ScheduleKind,
        currency: str,
        /,
    ) -> bool:
        """Tell whether it is about an order, whatever its amount."""
        return (
            self.method == method.fingerprint
            and self.autopay in ("", autopay)
            and self.frequency in (None, frequency)
            and (self.most is None or self.most.currency == currency)
        )


def in_force(
    authorizations: Iterable[Authorization],
    method: PaymentMethodRef,
    autopay: str,
    frequency: ScheduleKind,
    currency: str,
    /,
    *,
    on: date,
) -> Authorization | None:
    """
    Return what allows an order to be charged on a date, the latest given.

    Args:
        authorizations: The payer's.
        method: The order's payment method.
        autopay: The order's id.
        frequency: The kind of its schedule.
        currency: Of its limit.
        on: The date.

    """
    return max(
        (
            each
            for each in authorizations
            if each.holds_on(on)
            and each.allows(method, autopay, frequency, currency)
        ),
        key=lambda each: (each.given_at, each.id),
        default=None,
    )
