"""
What the book keeps: payers and standing orders, in versions (O1).

Holds: `Kind`, `Draft`, `Version`, `Kept`, `Turned`, `Stands`, `Trace`,
`OutdatedError`. Imports: `_checks`, `autopay`, `commits`, `errors`, `payers`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeAlias, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_instant,
    check_text,
    optional,
    tuple_of,
)
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.commits import Unreadable
from autopay_core.errors import InvalidValueError
from autopay_core.payers import Payer

__all__ = [
    "Draft",
    "Kept",
    "Kind",
    "OutdatedError",
    "Stands",
    "Trace",
    "Turned",
    "Value",
    "Version",
]

Value: TypeAlias = AutoPay | Payer
"""What has versions."""


class Kind(Choice):
    """What a version is of."""

    AUTOPAY = "autopay"
    """A standing order."""
    PAYER = "payer"
    """A payer, with associations and saved payment methods."""


def _a_value(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if type(value) not in (AutoPay, Payer):
        raise InvalidValueError(
            "expected an AutoPay or a Payer",
            code="FieldType",
            path=field.name,
            value=value,
        )


def _a_word(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_text(value, field.name, empty=False)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Draft(Readable):
    """
    A version that is to be written.

    Attributes:
        value: What it will be.
        number: From 1, one more than the version before.
        command: What was done, by its name.
        by: Who did it.
        reason: Why.
        left: Of a standing order: what was enrolled once and is not now, so
            that what comes back keeps its year (S6).
        next_on: Of a standing order: the next day on which something is to
            be done for it (O3).

    """

    value: Value = attrs.field(validator=_a_value)
    number: int = attrs.field(validator=a_number(1))
    command: str = attrs.field(validator=a_text(most=64, empty=False))
    by: str = attrs.field(validator=_a_word)
    reason: str = attrs.field(validator=_a_word)
    left: tuple[Enrollment, ...] = attrs.field(
        default=(), validator=tuple_of(Enrollment)
    )
    next_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )

    @property
    def kind(self) -> Kind:
        """What it is of."""
        is_order = type(self.value) is AutoPay
        return Kind.AUTOPAY if is_order else Kind.PAYER

    @property
    def id(self) -> str:
        """The order's, or the payer's."""
        return self.value.id


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Version(Readable):
    """
    What somebody made of a standing order or a payer, and why (O1).

    Attributes:
        value: What it was from then on.
        number: From 1, without gaps.
        at: Store time at which it was written.
        command: What was done, by its name.
        by: Who did it.
        reason: Why.
        left: Of a standing order: what was enrolled once and is not now.

    """

    value: Value = attrs.field(validator=_a_value)
    number: int = attrs.field(validator=a_number(1))
    at: datetime = attrs.field(validator=an_instant)
    command: str = attrs.field(validator=a_text(most=64, empty=False))
    by: str = attrs.field(validator=_a_word)
    reason: str = attrs.field(validator=_a_word)
    left: tuple[Enrollment, ...] = attrs.field(
        default=(), validator=tuple_of(Enrollment)
    )

    @property
    def kind(self) -> Kind:
        """What it is of."""
        is_order = type(self.value) is AutoPay
        return Kind.AUTOPAY if is_order else Kind.PAYER

    @property
    def id(self) -> str:
        """The order's, or the payer's."""
        return self.value.id

    @property
    def autopay(self) -> AutoPay:
        """
        The standing order.

        Raises:
            InvalidValueError: It is a payer's version.

        """
        if isinstance(self.value, AutoPay):
            return self.value
        raise InvalidValueError(
            "this is a payer's version", code="FieldType", path="value"
        )

    @property
    def payer(self) -> Payer:
        """
        The payer.

        Raises:
            InvalidValueError: It is a standing order's version.

        """
        if isinstance(self.value, Payer):
            return self.value
        raise InvalidValueError(
            "this is a standing order's version",
            code="FieldType",
            path="value",
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Trace(Readable):
    """
    One change: who, when, why, before and after (O1).

    Attributes:
        before: The version before; None for the first.
        after: What became of it.
        fields: Names of the fields that differ, in their order; all of them
            for the first.

    """

    before: Version | None = attrs.field(validator=optional(a(Version)))
    after: Version = attrs.field(validator=a(Version))

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that differ, in their order."""
        after = self.after.value
        before = None if self.before is None else self.before.value
        return tuple(
            each.name
            for each in attrs.fields(type(after))
            if before is None
            or getattr(before, each.name) != getattr(after, each.name)
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Kept(Readable):
    """
    What stands in the book under an id.

    Attributes:
        id: The order's, or the payer's.
        number: Of the version that stands.
        version: That version, or why it cannot be read.
        next_on: Of a standing order: the next day on which something is to
            be done for it.

    """

    id: str = attrs.field(validator=an_id)
    number: int = attrs.field(validator=a_number(1))
    version: Version | Unreadable = attrs.field()
    next_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Turned(Readable):
    """
    A standing order whose turn has ended (O3).

    Attributes:
        id: The order's.
        number: Of the version that had its turn.
        next_on: The next day on which something is to be done for it.

    """

    id: str = attrs.field(validator=an_id)
    number: int = attrs.field(validator=a_number(1))
    next_on: date = attrs.field(validator=a_date)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Stands(Readable):
    """
    Why nothing was written: another version stands.

    Attributes:
        kind: Of what.
        id: Of which.
        number: The version that stands; 0 for none.

    """

    kind: Kind = attrs.field(validator=a(Kind))
    id: str = attrs.field(validator=an_id)
    number: int = attrs.field(validator=a_number(0))


@final
class OutdatedError(InvalidValueError):
    """
    A command was given for a version that does not stand any more (O1).

    Read what stands, show it, and ask again.

    Attributes:
        standing: The version that stands; 0 for none.

    """

    def __init__(self, stands: Stands, expected: int) -> None:
        found = f"version {stands.number}" if stands.number else "none"
        super().__init__(
            f"{found} stands, not {expected}; read it and ask again",
            code="Outdated",
            path="version",
            value=expected,
        )
        self.standing = stands.number
