"""
How Stripe counts each currency, and how little it takes of it (PG-15).

Holds: `TAKEN`, `MINIMUMS`, `MAXIMUM_UNITS`, `to_units` and `to_money`.
Imports: `money`. Taken from docs.stripe.com/currencies as it stood on
`AS_OF`; a test reads the tables against ISO 4217's digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from autopay_core.money import MINOR_DIGITS, Money

__all__ = ["MAXIMUM_UNITS", "MINIMUMS", "TAKEN", "to_money", "to_units"]

AS_OF: Final = date(2026, 8, 21)
"""When the page was read; what it says later is not in these tables."""

_ZERO: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
"""Counted in whole ones. Ariary have fifths by ISO 4217, at Stripe none."""

_HUNDREDTHS_OF_WHOLE: Final = "ISK UGX"
"""
Counted in hundredths that are always 00, "for backwards compatibility".

ISO 4217 has no minor unit of them, and neither has the library.
"""

_THREE: Final = "BHD JOD KWD OMR TND"
"""Counted in thousandths, of which the last digit must be 0."""

_TWO: Final = (
    "USD AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD "
    "BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD "
    "FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR "
    "KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD SAR SBD "
    "SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH UYU UZS "
    "WST XCD XCG YER ZAR ZMW"
)
"""
Counted in hundredths.

Forint and Taiwan dollars too: that they are paid out in whole ones only
changes payouts, not charges.
"""

_PER_ONE: Final[Mapping[str, int]] = {
    **dict.fromkeys(_ZERO.split(), 1),
    **dict.fromkeys(_HUNDREDTHS_OF_WHOLE.split(), 100),
    **dict.fromkeys(_TWO.split(), 100),
    **dict.fromkeys(_THREE.split(), 1000),
}

TAKEN: Final = frozenset(_PER_ONE)
"""What a charge can be in, by ISO code."""

_STEPS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_THREE.split(), 10),
    **dict.fromkeys(_HUNDREDTHS_OF_WHOLE.split(), 100),
}

MAXIMUM_UNITS: Final = 99_999_999
"""Eight digits in the company's units; some currencies may have more."""

_LEAST: Final = {
    "USD": "0.50",
    "AED": "2.00",
    "AUD": "0.50",
    "BRL": "0.50",
    "CAD": "0.50",
    "CHF": "0.50",
    "CZK": "15.00",
    "DKK": "2.50",
    "EUR": "0.50",
    "GBP": "0.30",
    "HKD": "4.00",
    "HUF": "175.00",
    "INR": "0.50",
    "JPY": "50",
    "MXN": "10.00",
    "MYR": "2.00",
    "NOK": "3.00",
    "NZD": "0.50",
    "PLN": "2.00",
    "RON": "2.00",
    "SEK": "3.00",
    "SGD": "0.50",
    "THB": "10.00",
}

MINIMUMS: Final[Mapping[str, int]] = {
    currency: Money.of(least, currency).amount_minor
    for currency, least in _LEAST.items()
}
"""
Smallest charge by currency, in the library's minor units.

It is the settlement currency's that counts; of a currency that is not here
the company says no to what is worth less than some fifty American cents, and
that is a decline with its code.
"""


def to_units(amount: Money) -> int | None:
    """
    Return an amount in the units in which Stripe counts its currency.

    >>> to_units(Money.of("15.00", "USD")), to_units(Money.of("15", "JPY"))
    (1500, 15)
    >>> to_units(Money.of("15", "ISK")), to_units(Money.of("1.230", "KWD"))
    (1500, 1230)

    None for what cannot be charged: another currency, a part of a unit, a
    thousandth of a dinar, more than eight digits.

    >>> to_units(Money.of("1.234", "KWD")), to_units(Money.of("0.20", "MGA"))
    (None, None)

    """
    per_one = _PER_ONE.get(amount.currency)
    if per_one is None:
        return None
    whole = 10 ** MINOR_DIGITS[amount.currency]
    units, rest = divmod(amount.amount_minor * per_one, whole)
    if rest or units % _STEPS.get(amount.currency, 1):
        return None
    return units if 0 < units <= MAXIMUM_UNITS else None


def to_money(units: int, currency: str) -> Money | None:
    """
    Return what Stripe says in its units, exactly, or None if it cannot be.

    >>> to_money(1500, "usd"), to_money(1500, "isk"), to_money(15, "jpy")
    (Money.of('15.00', 'USD'), Money.of('15', 'ISK'), Money.of('15', 'JPY'))

    """
    code = currency.upper()
    per_one = _PER_ONE.get(code)
    if per_one is None:
        return None
    minor, rest = divmod(units * 10 ** MINOR_DIGITS[code], per_one)
    return None if rest else Money(amount_minor=minor, currency=code)
