"""Exact amounts of one currency (M1, M2, M3)."""

from __future__ import annotations

import operator
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import iso4217
import pytest
from hypothesis import assume, example, given, strategies as st

import strategies as my
from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.money import AMOUNT_MAX_MINOR, MINOR_DIGITS, Money

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = AMOUNT_MAX_MINOR // 4


def minor(amount_minor: int, currency: str = "USD") -> Money:
    return Money(amount_minor=amount_minor, currency=currency)


LARGEST = minor(AMOUNT_MAX_MINOR)


# -- Laws --------------------------------------------------------------------


@given(
    my.money("USD", least=-SMALL, most=SMALL),
    my.money("USD", least=-SMALL, most=SMALL),
    my.money("USD", least=-SMALL, most=SMALL),
)
def test_amounts_add_like_integers(a: Money, b: Money, c: Money) -> None:
    zero = Money.zero("USD")

    assert (a + b).amount_minor == a.amount_minor + b.amount_minor
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + zero == a
    assert a - b == a + -b
    assert a - a == zero
    negative = -a
    assert -negative == a
    assert Money.total([a, b, c], "USD") == a + b + c


@given(my.money("USD"), my.money("USD"))
@example(minor(1), minor(1))
def test_amounts_compare_like_integers(a: Money, b: Money) -> None:
    for compare in (
        operator.lt,
        operator.le,
        operator.gt,
        operator.ge,
        operator.eq,
        operator.ne,
    ):
        assert compare(a, b) == compare(a.amount_minor, b.amount_minor)
    assert (a.is_negative, a.is_zero, a.is_positive) == (
        a.amount_minor < 0,
        a.amount_minor == 0,
        a.amount_minor > 0,
    )


@given(my.money())
@example(LARGEST)
@example(-LARGEST)
@example(minor(10**15 * 100))
@example(minor(10**15 * 100 - 1))
@example(minor(10**15, "JPY"))
@example(minor(10**15 - 1, "JPY"))
@example(minor(-1, "KWD"))
def test_repr_reads_back(amount: Money) -> None:
    assert eval(repr(amount), {"Money": Money}) == amount  # noqa: S307


@given(my.money())
def test_equal_amounts_hash_alike_and_survive_copies(amount: Money) -> None:
    same = attrs.evolve(amount)

    assert same == amount
    assert hash(same) == hash(amount)
    assert pickle.loads(pickle.dumps(amount)) == amount  # noqa: S301


@given(my.money())
def test_the_major_amount_is_the_decimal_one(amount: Money) -> None:
    digits = MINOR_DIGITS[amount.currency]

    exact = Decimal(amount.amount_minor).scaleb(-digits)

    assert amount.major == f"{exact:f}"
    assert str(amount) == f"{amount.currency} {exact:,f}"


def test_the_largest_amount_is_what_a_signed_64_bit_column_holds() -> None:
    assert LARGEST.amount_minor == 2**63 - 1
    with pytest.raises(InvalidValueError, match="AmountTooLarge"):
        operator.add(LARGEST, minor(1))
    with pytest.raises(InvalidValueError, match="AmountTooLarge"):
        operator.sub(-LARGEST, minor(1))
    with pytest.raises(InvalidValueError, match="AmountTooLarge"):
        Money.total([LARGEST, minor(1)], "USD")


# -- Parsing -----------------------------------------------------------------


@given(my.money(least=-(10**15) + 1, most=10**15 - 1))
def test_text_is_read_back_exactly(amount: Money) -> None:
    assert Money.of(amount.major, amount.currency) == amount


@given(
    st.text(alphabet="0123456789.-+eE,_ ٣３", max_size=20)
    | st.from_regex(r"\A-?[0-9]{1,20}(\.[0-9]{0,6})?\Z")
    | st.text(max_size=8),
    my.currencies,
)
@example("1.005", "USD")
@example("1.5", "JPY")
@example("1.", "USD")
@example(".5", "USD")
@example("1" * 16, "USD")
@example("12\n", "USD")
def test_text_is_read_exactly_or_not_at_all(text: str, currency: str) -> None:
    digits = MINOR_DIGITS[currency]
    whole, point, decimals = text.removeprefix("-").partition(".")
    fits = (
        whole.isascii()
        and whole.isdigit()
        and len(whole) <= 15
        and decimals.isascii()
        and (decimals.isdigit() if point else not decimals)
        and len(decimals) <= digits
    )
    if fits:
        amount = Money.of(text, currency)
        assert amount.amount_minor == Decimal(text).scaleb(digits)
        return
    with pytest.raises(InvalidValueError) as caught:
        Money.of(text, currency)
    assert caught.value.path == "amount"
    assert caught.value.code in {
        "AmountFormat",
        "AmountScale",
        "AmountTooLarge",
        "NonFiniteAmount",
    }


def test_minus_nothing_is_nothing() -> None:
    assert Money.of("-0.00", "USD") == Money.zero("USD")
    assert Money.of("-0.00", "USD").major == "0.00"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.00000", "AmountScale"),
        ("+5", "AmountFormat"),
        ("1e9", "AmountTooLarge"),
        ("1e999999", "AmountTooLarge"),
        ("1e-9", "AmountFormat"),
        ("9" * 40, "AmountTooLarge"),
        ("-inf", "NonFiniteAmount"),
        (" NaN ", "NonFiniteAmount"),
        ("", "AmountFormat"),
        ("-", "AmountFormat"),
    ],
)
def test_what_is_wrong_with_a_text_is_told(text: str, code: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Money.of(text, "USD")
    assert caught.value.code == code


# -- Currencies --------------------------------------------------------------


def test_the_table_of_minor_digits_is_that_of_iso_4217() -> None:
    official = {
        currency.code.upper(): currency.exponent
        for currency in iso4217.Currency
        if currency.exponent is not None
    }

    assert dict(MINOR_DIGITS) == official


@given(my.money(), my.money())
def test_currencies_never_mix(a: Money, b: Money) -> None:
    assume(a.currency != b.currency)
    mixing: list[Callable[[Any, Any], object]] = [
        operator.add,
        operator.sub,
        operator.lt,
        operator.le,
        operator.gt,
        operator.ge,
    ]
    for mix in mixing:
        with pytest.raises(CurrencyMismatchError) as caught:
            mix(a, b)
        assert (caught.value.left, caught.value.right) == (
            a.currency,
            b.currency,
        )
    with pytest.raises(CurrencyMismatchError):
        Money.total([a, b], a.currency)
    assert a != b


@pytest.mark.parametrize("other", [1, 1.0, "1", None])
def test_money_does_not_mix_with_numbers(other: Any) -> None:
    with pytest.raises(TypeError):
        operator.add(minor(1), other)
    with pytest.raises(TypeError):
        operator.lt(minor(1), other)
    assert minor(1) != other


def test_money_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="is_zero"):
        bool(minor(1))


def test_money_cannot_be_changed() -> None:
    amount: Any = minor(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        amount.amount_minor = 2
