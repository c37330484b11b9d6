"""
What an auto-pay may take: its limits, and what it has spent of them (L3, L7).

Holds: `Limit` and its options, `LimitName`, `Spent`. Imports: `_checks`,
`errors`, `money`.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self, TypedDict, Unpack, final

import attrs

from autopay_core._checks import Choice, Readable, a
from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.money import Money, a_currency, an_amount

__all__ = [
    "Limit",
    "LimitName",
    "LimitOptions",
    "Spent",
]


# -- Limits (L7) -------------------------------------------------------------


class LimitName(Choice):
    """The limits that bound a run's total, of which the smallest counts."""

    PER_RUN = "per_run"
    """What one run may take."""
    PER_MONTH = "per_month"
    """What a calendar month may take, by charge date."""
    LIFETIME = "lifetime"
    """What the auto-pay may take in all its life."""


class LimitOptions(TypedDict, total=False):
    """What `Limit.all` and `Limit.up_to` take beside: see `Limit`."""

    per_invoice: Money | None
    per_month: Money | None
    lifetime: Money | None
    whole_invoices: bool
    minimum: Money | None


def _a_cap(limit: Limit, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        check_cap(value, limit.currency, field.name)


@final
@attrs.frozen(kw_only=True, repr=False)
class Limit:
    """
    How much an auto-pay may take; the smallest of its limits counts (L7).

    Make it with `Limit.all` or `Limit.up_to`. Every limit but the one per
    run is optional; None is no limit.

    >>> Limit.up_to(Money.of("500.00", "USD"), whole_invoices=True)
    Limit.up_to(Money.of('500.00', 'USD'), whole_invoices=True)

    Attributes:
        currency: Of every limit and every invoice that is paid.
        per_run: Most in one run; None pays all outstanding.
        per_invoice: Most on one invoice in one run. With it, several
            invoices may be part-paid.
        per_month: Most in one calendar month, other runs included.
        lifetime: Most ever; the last charge is trimmed to it.
        whole_invoices: Pay an invoice wholly or not at all. The first one
            that does not fit into what is left ends the run, so that the
            order is kept: a smaller, newer invoice does not overtake. One
            that is above `per_invoice` is left out and holds nobody up.
        minimum: Least that is charged; if less is due, nothing is.

    Raises:
        InvalidValueError: A limit is zero or negative (``CapInvalid``),
            missing (``CapMissing``), no `Money` (``FloatAmount``,
            ``AmountType``, ``NonFiniteAmount``), or smaller than the minimum,
            so that nothing could ever be charged (``CapBelowMinimum``). The
            currency is unknown (``CurrencyUnknown``).
        CurrencyMismatchError: Two limits are in different currencies.

    """

    currency: str = attrs.field(validator=a_currency)
    per_run: Money | None = attrs.field(default=None, validator=_a_cap)
    per_invoice: Money | None = attrs.field(default=None, validator=_a_cap)
    per_month: Money | None = attrs.field(default=None, validator=_a_cap)
    lifetime: Money | None = attrs.field(default=None, validator=_a_cap)
    whole_invoices: bool = attrs.field(default=False, validator=a(bool))
    minimum: Money | None = attrs.field(default=None, validator=_a_cap)

    def __attrs_post_init__(self) -> None:
        """Refuse a limit under which nothing could ever be charged."""
        if self.minimum is None:
            return
        for name in ("per_run", "per_month", "lifetime"):
            most = getattr(self, name)
            if most is not None and most < self.minimum:
                raise InvalidValueError(
                    "smaller than the minimum, so nothing could be charged",
                    code="CapBelowMinimum",
                    path=name,
                    value=str(most),
                )

    def __str__(self) -> str:
        """Return it in words, for people."""
        said = [
            f"all that is outstanding in {self.currency}"
            if self.per_run is None
            else f"up to {self.per_run} in a run"
        ]
        for most, words in (
            (self.per_invoice, "at most {} on an invoice"),
            (self.per_month, "at most {} in a month"),
            (self.lifetime, "at most {} in all"),
            (self.minimum, "at least {} or nothing"),
        ):
            if most is not None:
                said.append(words.format(most))
        if self.whole_invoices:
            said.append("whole invoices only")
        return ", ".join(said)

    @classmethod
    def all(cls, currency: str, /, **options: Unpack[LimitOptions]) -> Self:
        """
        Pay all that is outstanding in *currency*, each time.

        >>> Limit.all("USD")
        Limit.all('USD')

        Raises:
            InvalidValueError: As the class says.

        """
        # Said aloud, so that none comes in among the options.
        return cls(currency=currency, per_run=None, **options)

    @classmethod
    def up_to(cls, amount: Money, /, **options: Unpack[LimitOptions]) -> Self:
        """
        Pay up to *amount* each time, oldest to newest.

        Raises:
            InvalidValueError: As the class says.

        """
        return cls(currency=_currency_of(amount), per_run=amount, **options)

    def __repr__(self) -> str:
        """Return the call that makes this limit."""
        if self.per_run is None:
            name, first = "all", repr(self.currency)
        else:
            name, first = "up_to", repr(self.per_run)
        options = [
            f"{option}={value!r}"
            for option in LimitOptions.__annotations__
            if (value := getattr(self, option)) not in (None, False)
        ]
        return f"Limit.{name}({', '.join([first, *options])})"


def _currency_of(cap: object) -> str:
    if not isinstance(cap, Money):
        refuse_cap(cap, "per_run")
    return cap.currency


def check_cap(value: object, currency: str, path: str) -> None:
    if not isinstance(value, Money):
        refuse_cap(value, path)
    if value.currency != currency:
        raise CurrencyMismatchError(currency, value.currency, path=path)
    if value.amount_minor <= 0:
        raise InvalidValueError(
            "must be above zero",
            code="CapInvalid",
            path=path,
            value=str(value),
        )


def refuse_cap(value: object, path: str) -> NoReturn:
    # NaN stands for a missing limit: min(100.0, nan) would pay 100.0.
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124
        code = "CapMissing"
        message = 'a limit is missing; say Limit.all("USD") to pay everything'
    elif isinstance(value, float):
        code = "NonFiniteAmount" if value - value != 0 else "FloatAmount"
        message = "a float is not exact; give Money.of(text, currency)"
    else:
        code = "AmountType"
        message = f"expected Money, not {type(value).__name__}"
    raise InvalidValueError(message, code=code, path=path, value=value)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Spent(Readable):
    """
    What an auto-pay has already taken, captured or reserved (L7).

    Attributes:
        month: In the calendar month of the run's charge date; zero or more.
        lifetime: Ever; zero or more.

    Raises:
        InvalidValueError: One is negative (``AmountNegative``) or no `Money`.
        CurrencyMismatchError: They are in two currencies.

    """

    month: Money = attrs.field(validator=an_amount)
    lifetime: Money = attrs.field(validator=an_amount)

    def __attrs_post_init__(self) -> None:
        """Refuse two currencies, and less than nothing."""
        if self.month.currency != self.lifetime.currency:
            raise CurrencyMismatchError(
                self.month.currency, self.lifetime.currency, path="lifetime"
            )
        for name, amount in (
            ("month", self.month),
            ("lifetime", self.lifetime),
        ):
            if amount.is_negative:
                raise InvalidValueError(
                    "nothing is the least that can have been taken",
                    code="AmountNegative",
                    path=name,
                    value=str(amount),
                )

    @classmethod
    def nothing(cls, currency: str, /) -> Self:
        """Return what a new auto-pay has taken: nothing, in *currency*."""
        zero = Money.zero(currency)
        return cls(month=zero, lifetime=zero)
