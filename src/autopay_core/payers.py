"""
What a payer has and allowed: associations, saved methods (A6, A7, O2).

Holds: `Payer`, `KeptAssociation`, `SavedMethod`. Imports: `_checks`,
`associations`, `authorizations`, `errors`, `invoices`, `references`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_date,
    a_new_id,
    a_new_text,
    optional,
    tuple_of,
)
from autopay_core.associations import Association, check_owned
from autopay_core.authorizations import Authorization
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import SearchBy
from autopay_core.references import PayerId, PaymentMethodRef

__all__ = ["KeptAssociation", "Payer", "SavedMethod"]


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class KeptAssociation(Readable):
    """
    An association, and what staff found it by (A6).

    Attributes:
        association: What the payer may see and pay.
        search_by: The criterion; None where it was not searched for.
        text: What was searched for.

    """

    association: Association = attrs.field(validator=a(Association))
    search_by: SearchBy | None = attrs.field(
        default=None, validator=optional(a(SearchBy))
    )
    text: str = attrs.field(default="", validator=a_new_text(most=200))

    def __attrs_post_init__(self) -> None:
        """Refuse half of what it was found by."""
        if (self.search_by is None) != (not self.text):
            raise InvalidValueError(
                "a criterion and its text belong together",
                code="FieldMissing",
                path="search_by" if self.text else "text",
            )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class SavedMethod(Readable):
    """
    A payment method that a payer saved.

    Attributes:
        method: The provider's token for it; says when it expires.
        label: For people, such as ``"Visa ending in 41aa"``.
        removed_on: First day on which the payer has it no longer, or None.

    """

    method: PaymentMethodRef = attrs.field(
        validator=a(PaymentMethodRef, code="PaymentMethodInvalid")
    )
    label: str = attrs.field(default="", validator=a_new_text(most=200))
    removed_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Payer(Readable):
    """
    A payer, as far as automatic payments need to know.

    Attributes:
        id: Who it is.
        name: For people.
        associations: What the payer may see and pay, each once (A2, A3).
        methods: What the payer saved, each once; removed ones stay.
        authorizations: What the payer allowed, each id once; revoked ones
            stay.

    Raises:
        InvalidValueError: An association of another payer
            (``AssociationOwnership``); one that is there twice
            (``DuplicateValue``).

    """

    id: PayerId | str = attrs.field(validator=a_new_id)
    name: str = attrs.field(default="", validator=a_new_text(most=200))
    associations: tuple[KeptAssociation, ...] = attrs.field(
        default=(), validator=tuple_of(KeptAssociation)
    )
    methods: tuple[SavedMethod, ...] = attrs.field(
        default=(), validator=tuple_of(SavedMethod)
    )
    authorizations: tuple[Authorization, ...] = attrs.field(
        default=(), validator=tuple_of(Authorization)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what is another payer's, or there twice."""
        owned = [each.association for each in self.associations]
        check_owned(owned, self.id, "associations")
        fingerprints = [each.method.fingerprint for each in self.methods]
        once: tuple[tuple[str, Sequence[object]], ...] = (
            ("associations", owned),
            ("methods", fingerprints),
            ("authorizations", [each.id for each in self.authorizations]),
        )
        for path, values in once:
            if len({*values}) < len(values):
                raise InvalidValueError(
                    "one value is there twice",
                    code="DuplicateValue",
                    path=path,
                )

    def covers(self, association: Association, /) -> bool:
        """
        Tell whether something that is enrolled is still associated (A1, A7).

        Its own association covers it, and so does one above it.
        """
        return any(
            _is_within(association, each.association)
            for each in self.associations
        )

    def has(self, method: PaymentMethodRef, /, on: date) -> bool:
        """Tell whether the payer has a payment method on a date (A7)."""
        return any(
            each.method.fingerprint == method.fingerprint
            and (each.removed_on is None or on < each.removed_on)
            for each in self.methods
        )

    @property
    def criteria(self) -> tuple[tuple[SearchBy, str], ...]:
        """What its associations were found by, each criterion once (A6)."""
        return tuple(
            dict.fromkeys(
                (each.search_by, each.text)
                for each in self.associations
                if each.search_by is not None
            )
        )


def _is_within(inner: Association, outer: Association) -> bool:
    return (
        inner.payer == outer.payer
        and inner.client == outer.client
        and outer.matter in (None, inner.matter)
        and outer.invoice in (None, inner.invoice)
    )
