"""
Exact amounts of one currency (M1, M2, M3).

Holds: `Money` and the ISO 4217 table of minor digits. Imports: `_checks`,
`errors`. An
amount is an integer of minor units; nothing is rounded and nothing converted,
so no decimal context, locale or float can change what is charged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, final

import attrs

from autopay_core._checks import check_type, plainly
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["AMOUNT_MAX_MINOR", "MINOR_DIGITS", "Money"]

AMOUNT_MAX_MINOR: Final = 2**63 - 1
"""Largest amount in minor units: what a 64-bit database column holds (M1)."""

# ISO 4217 list one, current codes by their number of minor digits. Codes
# without minor units (gold, test, "no currency") name no money to charge.
_BY_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL "
        "BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK "
        "DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
        "HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
        "LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN "
        "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR "
        "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT "
        "TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER "
        "ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

MINOR_DIGITS: Final[Mapping[str, int]] = {
    code: digits
    for digits, codes in _BY_DIGITS.items()
    for code in codes.split()
}
"""Minor digits by ISO 4217 code: ``MINOR_DIGITS["USD"] == 2`` (M1)."""

_WHOLE_MAX: Final = 15
"""Most digits before the point that `Money.of` reads."""

_TEXT_MAX: Final = 64
"""Longest text that is looked at closely: length comes before pattern (E2)."""

_AMOUNT = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,4}))?")
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = frozenset({"nan", "snan", "inf", "infinity"})


def check_currency(value: object, path: str = "currency") -> None:
    """Refuse *value* unless it is a current ISO 4217 code in upper case."""
    if type(value) is not str or value not in MINOR_DIGITS:
        raise InvalidValueError(
            "not a current ISO 4217 currency code with minor units",
            code="CurrencyUnknown",
            path=path,
            value=value,
        )


def check_money(value: object, path: str) -> None:
    """Refuse *value* unless it is `Money`; nothing is converted (M2)."""
    if type(value) is not Money:
        code, message = _why_no_amount(value)
        raise InvalidValueError(message, code=code, path=path, value=value)


def a_currency(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what `check_currency` refuses, beside a field."""
    check_currency(value, field.name)


def an_amount(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what `check_money` refuses, beside a field."""
    if type(value) is not Money:
        check_money(value, field.name)


def a_positive(code: str, message: str, /) -> Callable[..., None]:
    """Refuse an amount that is not above zero, beside a field."""

    def check(_: object, field: attrs.Attribute[Any], value: object) -> None:
        check_type(value, Money, field.name)
        assert isinstance(value, Money)
        if value.amount_minor <= 0:
            raise InvalidValueError(
                message, code=code, path=field.name, value=value.amount_minor
            )

    return check


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Money:
    """
    An exact amount of one currency.

    Amounts compare and add only within one currency (M3), and have no truth
    value: ask `is_zero` or `is_positive`.

    >>> Money.of("125.50", "USD") - Money.of("25.00", "USD")
    Money.of('100.50', 'USD')
    >>> Money.of("125.50", "USD").amount_minor
    12550

    Attributes:
        amount_minor: Amount in minor units (cents for USD); may be negative;
            within a signed 64-bit integer.
        currency: ISO 4217 code, a key of `MINOR_DIGITS`.

    Raises:
        InvalidValueError: *amount_minor* is not exactly an `int` or is too
            large (``AmountType``, ``FloatAmount``, ``AmountTooLarge``), or the
            currency is unknown (``CurrencyUnknown``).

    Source:
        Rules M1 to M3; ISO 4217.

    """

    amount_minor: int
    currency: str

    def __attrs_post_init__(self) -> None:
        """Check the fields; only a subclass of text is made plain (E2)."""
        if (
            type(self.amount_minor) is int
            and -AMOUNT_MAX_MINOR <= self.amount_minor <= AMOUNT_MAX_MINOR
            and type(self.currency) is str
            and self.currency in MINOR_DIGITS
        ):
            return
        _refuse(self.amount_minor)
        currency: object = plainly(self.currency)
        check_currency(currency)
        object.__setattr__(self, "currency", currency)

    @classmethod
    def of(cls, text: str, currency: str, /) -> Self:
        """
        Read an amount in major units, exactly.

        ASCII digits with an optional minus sign and as many decimals as the
        currency has, or fewer; nothing else: no plus sign, blanks, digit
        groups, exponents or other scripts' digits (M2).

        >>> Money.of("-0.5", "USD")
        Money.of('-0.50', 'USD')

        Args:
            text: Such as ``"125.50"``.
            currency: ISO 4217 code.

        Raises:
            InvalidValueError: *text* is not text (``FloatAmount``,
                ``AmountType``), not written so (``AmountFormat``,
                ``NonFiniteAmount``), has too many decimals (``AmountScale``)
                or is too large (``AmountTooLarge``); or *currency* is unknown
                (``CurrencyUnknown``).

        """
        currency = plainly(currency)
        check_currency(currency)
        _check_is_text(text)
        text = plainly(text)
        found = None if len(text) > _TEXT_MAX else _AMOUNT.fullmatch(text)
        if found is None:
            raise _explain(text)
        sign, whole, decimals = found.groups(default="")
        digits = MINOR_DIGITS[currency]
        if len(decimals) > digits:
            raise InvalidValueError(
                f"{currency} has {digits} decimals",
                code="AmountScale",
                path="amount",
                value=text,
            )
        minor = int(whole + decimals.ljust(digits, "0"))
        return cls(amount_minor=-minor if sign else minor, currency=currency)

    @classmethod
    def zero(cls, currency: str, /) -> Self:
        """Return nothing, in *currency*."""
        return cls(amount_minor=0, currency=currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str, /) -> Self:
        """
        Add up *amounts*; the empty sum is zero of *currency*.

        >>> Money.total([], "JPY")
        Money.of('0', 'JPY')

        Raises:
            CurrencyMismatchError: An amount is in another currency.
            InvalidValueError: The sum is beyond 64 bits (``AmountTooLarge``).

        """
        minor = 0
        for amount in amounts:
            if amount.currency != currency:
                raise CurrencyMismatchError(currency, amount.currency)
            minor += amount.amount_minor
        return cls(amount_minor=minor, currency=currency)

    @property
    def is_zero(self) -> bool:
        """Whether this is exactly nothing."""
        return self.amount_minor == 0

    @property
    def is_positive(self) -> bool:
        """Whether this is above zero."""
        return self.amount_minor > 0

    @property
    def is_negative(self) -> bool:
        """Whether this is less than nothing."""
        return self.amount_minor < 0

    @property
    def major(self) -> str:
        """
        The amount in major units, with all decimals: ``"1234.50"``.

        `Money.of` reads it back; no digit groups, no symbol, no locale.
        """
        digits = MINOR_DIGITS[self.currency]
        sign = "-" if self.amount_minor < 0 else ""
        text = str(abs(self.amount_minor)).rjust(digits + 1, "0")
        if not digits:
            return sign + text
        return f"{sign}{text[:-digits]}.{text[-digits:]}"

    def _other(self, other: object) -> int:
        if not isinstance(other, Money):
            msg = f"cannot combine Money with {type(other).__name__}"
            raise TypeError(msg)
        if other.currency != self.currency:
            raise CurrencyMismatchError(self.currency, other.currency)
        return other.amount_minor

    def __add__(self, other: Money) -> Money:
        """Add an amount of the same currency (M3)."""
        return Money(
            amount_minor=self.amount_minor + self._other(other),
            currency=self.currency,
        )

    def __sub__(self, other: Money) -> Money:
        """Subtract an amount of the same currency (M3)."""
        return Money(
            amount_minor=self.amount_minor - self._other(other),
            currency=self.currency,
        )

    def __neg__(self) -> Money:
        """Return the amount with the opposite sign."""
        return Money(amount_minor=-self.amount_minor, currency=self.currency)

    def __eq__(self, other: object) -> bool:
        """Compare amount and currency; another currency is just unequal."""
        if not isinstance(other, Money):
            return NotImplemented
        return (
            self.amount_minor == other.amount_minor
            and self.currency == other.currency
        )

    def __hash__(self) -> int:
        """Hash amount and currency."""
        return hash((self.amount_minor, self.currency))

    def __lt__(self, other: Money) -> bool:
        """Compare within one currency (M3)."""
        return self.amount_minor < self._other(other)

    def __le__(self, other: Money) -> bool:
        """Compare within one currency (M3)."""
        return self.amount_minor <= self._other(other)

    def __gt__(self, other: Money) -> bool:
        """Compare within one currency (M3)."""
        return self.amount_minor > self._other(other)

    def __ge__(self, other: Money) -> bool:
        """Compare within one currency (M3)."""
        return self.amount_minor >= self._other(other)

    def __bool__(self) -> NoReturn:
        """Refuse: ``if money`` hides whether zero was thought of."""
        msg = "Money has no truth value; ask .is_zero"
        raise TypeError(msg)

    def __repr__(self) -> str:
        """Return the call that makes this amount."""
        digits = _WHOLE_MAX + MINOR_DIGITS[self.currency]
        if abs(self.amount_minor) >= 10**digits:  # more than `of` reads
            return (
                f"Money(amount_minor={self.amount_minor}, "
                f"currency={self.currency!r})"
            )
        return f"Money.of({self.major!r}, {self.currency!r})"

    def __str__(self) -> str:
        """Return the amount for people: ``USD 1,234.50``."""
        whole, point, decimals = self.major.lstrip("-").partition(".")
        minus = "-" if self.is_negative else ""
        return f"{self.currency} {minus}{int(whole):,}{point}{decimals}"


def _refuse(amount_minor: object) -> None:
    if isinstance(amount_minor, float):
        raise InvalidValueError(
            "a float is not exact; give minor units as int, or Money.of(text)",
            code="FloatAmount",
            path="amount_minor",
            value=amount_minor,
        )
    if type(amount_minor) is not int:
        raise InvalidValueError(
            f"minor units must be an int, not {type(amount_minor).__name__}",
            code="AmountType",
            path="amount_minor",
            value=amount_minor,
        )
    if abs(amount_minor) > AMOUNT_MAX_MINOR:
        raise InvalidValueError(
            "beyond a signed 64-bit integer of minor units",
            code="AmountTooLarge",
            path="amount_minor",
            value=amount_minor,
        )


def _check_is_text(value: object) -> None:
    if not isinstance(value, str):
        code, message = _why_no_amount(value)
        raise InvalidValueError(message, code=code, path="amount", value=value)


def _why_no_amount(value: Any) -> tuple[str, str]:  # noqa: ANN401 - unknown
    """Return code and message for what is neither text nor `Money`."""
    if value is None:
        return "FieldMissing", "an amount is missing"
    if isinstance(value, float):
        if value - value != 0:  # NaN would be paid up to the limit by min()
            return "NonFiniteAmount", "an amount must be finite"
        return "FloatAmount", "a float is not exact; give Money.of(text)"
    # Decimal('sNaN') cannot be compared or hashed, only asked.
    if hasattr(value, "is_finite") and not value.is_finite():
        return "NonFiniteAmount", "an amount must be finite"
    return "AmountType", f"no amount is a {type(value).__name__}"


def _explain(text: str) -> InvalidValueError:
    """Tell what is wrong with *text*, without converting it."""
    if len(text) > _TEXT_MAX:
        # Only what it is made of is looked at: one step for a character.
        is_number = not text.strip("+-.0123456789eE")
        code = "AmountTooLarge" if is_number else "AmountFormat"
        message = f"an amount is not {len(text)} characters long"
    elif text.strip().lstrip("+-").lower() in _NOT_FINITE:
        code, message = "NonFiniteAmount", "an amount must be finite"
    elif re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{5,20}", text):
        code, message = "AmountScale", "no currency has so many decimals"
    elif len(text) > _WHOLE_MAX and text.isascii() and _NUMBER.fullmatch(text):
        code, message = "AmountTooLarge", "at most 15 digits before the point"
    elif re.fullmatch(r"-?[0-9]+[eE]\+?[0-9]+", text):
        code, message = "AmountTooLarge", "no exponents"
    else:
        code = "AmountFormat"
        message = "expected ASCII digits such as 1234.50"
    return InvalidValueError(message, code=code, path="amount", value=text)
