"""What `allocate`, its limits and its results refuse, and how they say so."""

from __future__ import annotations

import datetime as dt
import itertools
import pickle
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given

import strategies as my
from autopay_core import allocation as module
from autopay_core.allocation import (
    Allocation,
    AllocationLine,
    Order,
    Reason,
    allocate,
)
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
)
from autopay_core.invoices import Invoice, InvoiceStatus
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money

if TYPE_CHECKING:
    from collections.abc import Iterator


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def invoice(
    number: str, balance: str = "10", currency: str = "USD"
) -> Invoice:
    return Invoice(
        number=number,
        client="C-1",
        matter="M-1",
        issued_on=date(2026, 1, 5),
        balance=Money.of(balance, currency),
    )


ALL = Limit.all("USD")
OWED = [invoice("INV-1"), invoice("INV-2")]
EUR = Money.of("1", "EUR")


def refusal(action: Any, *args: Any, **options: Any) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        action(*args, **options)
    return caught.value


def told(error: InvalidValueError) -> tuple[type, str, str]:
    return type(error), error.code, error.path


# -- Limits ------------------------------------------------------------------


@given(my.limits() | my.limits(currency="JPY", crowded=True))
@example(Limit.all("USD"))
@example(Limit.up_to(usd("500.00"), whole_invoices=True))
def test_a_limit_reads_back(limit: Limit) -> None:
    names = {"Limit": Limit, "Money": Money}

    assert eval(repr(limit), names) == limit  # noqa: S307
    assert pickle.loads(pickle.dumps(limit)) == limit  # noqa: S301


def test_a_limit_shows_what_was_said_and_nothing_else() -> None:
    assert repr(Limit.all("USD")) == "Limit.all('USD')"
    assert repr(Limit.up_to(usd("5"), minimum=usd("1"))) == (
        "Limit.up_to(Money.of('5.00', 'USD'), minimum=Money.of('1.00', 'USD'))"
    )


@pytest.mark.parametrize(
    "name", ["per_run", "per_invoice", "per_month", "lifetime", "minimum"]
)
@pytest.mark.parametrize(
    ("value", "kind", "code"),
    [
        (usd("0"), InvalidValueError, "CapInvalid"),
        (usd("-0.01"), InvalidValueError, "CapInvalid"),
        (Money.of("1", "EUR"), CurrencyMismatchError, "CurrencyMismatch"),
        (500.0, InvalidValueError, "FloatAmount"),
        (float("nan"), InvalidValueError, "CapMissing"),
        (float("inf"), InvalidValueError, "NonFiniteAmount"),
        (True, InvalidValueError, "AmountType"),
        (500, InvalidValueError, "AmountType"),
        ("500.00", InvalidValueError, "AmountType"),
    ],
)
def test_every_limit_is_more_than_nothing(
    name: str,
    value: Any,
    kind: type,
    code: str,
) -> None:
    fields: dict[str, Any] = {"currency": "USD", name: value}
    assert told(refusal(Limit, **fields)) == (kind, code, name)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "CapMissing"),
        (float("nan"), "CapMissing"),
        (5.0, "FloatAmount"),
        (False, "AmountType"),
    ],
)
def test_up_to_needs_an_amount(value: Any, code: str) -> None:
    error = refusal(Limit.up_to, value)

    assert told(error) == (InvalidValueError, code, "per_run")


def test_paying_everything_has_to_be_said() -> None:
    assert "Limit.all" in str(refusal(Limit.up_to, None))
    assert told(refusal(allocate, OWED, None)) == (
        InvalidValueError,
        "CapMissing",
        "limit",
    )
    assert told(refusal(allocate, OWED, usd("5"))) == (
        InvalidValueError,
        "FieldType",
        "limit",
    )


def test_a_limit_checks_its_other_fields() -> None:
    whole: Any = 1
    assert told(refusal(Limit.all, "usd"))[1:] == (
        "CurrencyUnknown",
        "currency",
    )
    assert refusal(Limit.all, "USD", whole_invoices=whole).path == (
        "whole_invoices"
    )


@pytest.mark.parametrize("name", ["per_run", "per_month", "lifetime"])
def test_a_limit_below_the_minimum_could_never_be_charged(name: str) -> None:
    caps: dict[str, Any] = {name: usd("4.99"), "minimum": usd("5")}

    assert told(refusal(Limit, currency="USD", **caps)) == (
        InvalidValueError,
        "CapBelowMinimum",
        name,
    )
    Limit(currency="USD", **{**caps, name: usd("5")})
    Limit.all("USD", per_invoice=usd("1"), minimum=usd("5"))


# -- What was spent ----------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "lifetime", "kind", "code", "path"),
    [
        (usd("-1"), usd("0"), InvalidValueError, "AmountNegative", "month"),
        (usd("0"), usd("-1"), InvalidValueError, "AmountNegative", "lifetime"),
        (usd("0"), EUR, CurrencyMismatchError, "CurrencyMismatch", "lifetime"),
        (0, usd("0"), InvalidValueError, "AmountType", "month"),
        (usd("0"), None, InvalidValueError, "FieldMissing", "lifetime"),
    ],
)
def test_spent_checks_its_fields(
    month: Any,
    lifetime: Any,
    kind: type,
    code: str,
    path: str,
) -> None:
    error = refusal(Spent, month=month, lifetime=lifetime)

    assert told(error) == (kind, code, path)


@pytest.mark.parametrize("name", ["per_month", "lifetime"])
def test_a_limit_over_time_needs_to_know_what_was_taken_before(
    name: str,
) -> None:
    caps: dict[str, Any] = {name: usd("15")}
    limit = Limit.all("USD", **caps)

    assert told(refusal(allocate, OWED, limit)) == (
        InvalidValueError,
        "SpentMissing",
        "spent",
    )
    first = allocate(OWED, limit, spent=Spent.nothing("USD"))
    assert first.total == usd("15")


def test_spent_without_a_limit_over_time_changes_nothing() -> None:
    spent = Spent(month=usd("99"), lifetime=usd("99"))

    assert allocate(OWED, ALL, spent=spent) == allocate(OWED, ALL)


# -- Arguments ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "code", "path"),
    [
        ({"invoices": None}, InvalidValueError, "FieldType", "invoices"),
        (
            {"invoices": ["INV-1"]},
            InvalidValueError,
            "FieldType",
            "invoices[0]",
        ),
        (
            {"invoices": [*OWED, None]},
            InvalidValueError,
            "FieldType",
            "invoices[2]",
        ),
        (
            {"open_amounts": None},
            InvalidValueError,
            "FieldType",
            "open_amounts",
        ),
        (
            {"open_amounts": {"INV-1": usd("-0.01")}},
            InvalidValueError,
            "PostingSign",
            "open_amounts['INV-1']",
        ),
        (
            {"open_amounts": {"INV-1": 5.0}},
            InvalidValueError,
            "FloatAmount",
            "open_amounts['INV-1']",
        ),
        (
            {"open_amounts": {"INV-1": None}},
            InvalidValueError,
            "FieldMissing",
            "open_amounts['INV-1']",
        ),
        (
            {"open_amounts": {1: usd("1")}},
            InvalidValueError,
            "FieldType",
            "open_amounts",
        ),
        ({"order": "due"}, InvalidValueError, "FieldType", "order"),
        ({"account": "trust"}, InvalidValueError, "FieldType", "account"),
        (
            {"as_of": datetime(2026, 1, 5)},  # noqa: DTZ001
            InvalidValueError,
            "NaiveDatetime",
            "as_of",
        ),
        ({"spent": usd("5")}, InvalidValueError, "FieldType", "spent"),
        (
            {"spent": Spent.nothing("EUR")},
            CurrencyMismatchError,
            "CurrencyMismatch",
            "spent",
        ),
        ({"ceilings": ["INV-1"]}, InvalidValueError, "FieldType", "ceilings"),
        (
            {"ceilings": {"INV-1": usd("-1")}},
            InvalidValueError,
            "CapInvalid",
            "ceilings['INV-1']",
        ),
        (
            {"ceilings": {"INV-1": EUR}},
            CurrencyMismatchError,
            "CurrencyMismatch",
            "ceilings['INV-1']",
        ),
        (
            {"ceilings": {"INV-1": True}},
            InvalidValueError,
            "AmountType",
            "ceilings['INV-1']",
        ),
        ({"ended": ["INV-1"]}, InvalidValueError, "FieldType", "ended"),
        ({"ended": {7}}, InvalidValueError, "FieldType", "ended"),
        ({"barred": ["INV-1"]}, InvalidValueError, "FieldType", "barred"),
        (
            {"barred": {7: Reason.ON_HOLD}},
            InvalidValueError,
            "FieldType",
            "barred",
        ),
        (
            {"barred": {"INV-1": "on_hold"}},
            InvalidValueError,
            "FieldType",
            "barred['INV-1']",
        ),
        (
            {"barred": {"INV-1": Reason.PART_PAID}},
            InvalidValueError,
            "UnknownValue",
            "barred['INV-1']",
        ),
        ({"unreadable": 5}, InvalidValueError, "FieldType", "unreadable"),
        (
            {"unreadable": ["INV-1"]},
            InvalidValueError,
            "FieldType",
            "unreadable[0]",
        ),
        ({"distinct": 5}, InvalidValueError, "FieldType", "distinct"),
        (
            {"distinct": [("INV-1", "INV-01")]},
            InvalidValueError,
            "FieldType",
            "distinct",
        ),
        (
            {"distinct": {frozenset({"INV-1"})}},
            InvalidValueError,
            "NotAPair",
            "distinct",
        ),
        (
            {"distinct": {frozenset({"INV-1", 7})}},
            InvalidValueError,
            "FieldType",
            "distinct",
        ),
        ({"minimum": usd("0")}, InvalidValueError, "CapInvalid", "minimum"),
        (
            {"minimum": EUR},
            CurrencyMismatchError,
            "CurrencyMismatch",
            "minimum",
        ),
        ({"maximum": usd("-1")}, InvalidValueError, "CapInvalid", "maximum"),
        ({"maximum": 5}, InvalidValueError, "AmountType", "maximum"),
        (
            {"maximum": usd("19.99")},
            InvalidValueError,
            "ChargeTooLarge",
            "total",
        ),
    ],
)
def test_an_argument_that_cannot_be_is_refused(
    options: dict[str, Any], kind: type, code: str, path: str
) -> None:
    given = {"invoices": OWED, **options}

    error = refusal(allocate, given.pop("invoices"), ALL, **given)

    assert isinstance(error, kind)
    assert (error.code, error.path) == (code, path)


# -- Rows --------------------------------------------------------------------


def test_more_rows_than_there_may_be_are_not_read() -> None:
    taken = itertools.count()

    def rows() -> Iterator[Invoice]:
        for _ in taken:
            yield OWED[0]

    error = refusal(allocate, rows(), ALL)

    assert told(error) == (InvalidValueError, "TooManyInvoices", "invoices")
    assert next(taken) == module.INVOICES_MAX + 1


def test_as_many_rows_as_there_may_be_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "INVOICES_MAX", 2)

    assert len(allocate(OWED, ALL).lines) == 2
    assert refusal(allocate, [*OWED, OWED[0]], ALL).code == "TooManyInvoices"


def test_nothing_to_pay_is_no_error() -> None:
    nothing = allocate([], ALL)

    assert nothing.total.is_zero
    assert nothing.lines == ()
    assert nothing.paid == ()
    assert nothing.amounts == {}


# -- Results -----------------------------------------------------------------


@given(my.cases() | my.cases(crowded=True))
def test_a_result_can_be_made_again_from_its_fields(case: my.Case) -> None:
    options: dict[str, Any] = dict(case.options())
    made = allocate(case.invoices, case.limit, **options)

    again = attrs.evolve(
        made, lines=tuple(attrs.evolve(line) for line in made.lines)
    )

    assert again == made
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    names = {
        **vars(module),
        "InvoiceStatus": InvoiceStatus,
        "datetime": dt,
    }
    assert eval(repr(made), names) == made  # noqa: S307


LINE = AllocationLine(
    invoice=invoice("INV-1", "10"),
    open=usd("3"),
    payable=usd("7"),
    amount=usd("5"),
    reason=Reason.PER_INVOICE_LIMIT,
    ceiling=usd("5"),
)


@pytest.mark.parametrize(
    ("changed", "kind", "code", "path"),
    [
        ({"invoice": "INV-1"}, InvalidValueError, "FieldType", "invoice"),
        ({"open": 3}, InvalidValueError, "AmountType", "open"),
        ({"payable": None}, InvalidValueError, "FieldMissing", "payable"),
        ({"amount": 5.0}, InvalidValueError, "FloatAmount", "amount"),
        ({"ceiling": "5"}, InvalidValueError, "AmountType", "ceiling"),
        ({"reason": "paid"}, InvalidValueError, "FieldType", "reason"),
        ({"open": EUR}, CurrencyMismatchError, "CurrencyMismatch", "open"),
        (
            {"ceiling": EUR},
            CurrencyMismatchError,
            "CurrencyMismatch",
            "ceiling",
        ),
        ({"open": usd("-3")}, InvalidValueError, "LineAmounts", "amount"),
        ({"open": usd("2.99")}, InvalidValueError, "LineAmounts", "amount"),
        ({"payable": usd("7.01")}, InvalidValueError, "LineAmounts", "amount"),
        ({"amount": usd("-5")}, InvalidValueError, "LineAmounts", "amount"),
        ({"amount": usd("5.01")}, InvalidValueError, "LineAmounts", "amount"),
        (
            {"amount": usd("7.01"), "ceiling": None},
            InvalidValueError,
            "LineAmounts",
            "amount",
        ),
        ({"amount": usd("0")}, InvalidValueError, "LineAmounts", "amount"),
        (
            {"reason": Reason.ON_HOLD},
            InvalidValueError,
            "LineAmounts",
            "amount",
        ),
        ({"reason": Reason.PAID}, InvalidValueError, "LineAmounts", "amount"),
    ],
)
def test_a_line_explains_its_amount_or_cannot_be(
    changed: dict[str, Any], kind: type, code: str, path: str
) -> None:
    assert told(refusal(attrs.evolve, LINE, **changed)) == (kind, code, path)


RESULT = allocate(OWED, Limit.up_to(usd("15")))


@pytest.mark.parametrize(
    ("changed", "kind", "code", "path"),
    [
        (
            {"lines": list(RESULT.lines)},
            InvalidValueError,
            "FieldType",
            "lines",
        ),
        ({"lines": (1,)}, InvalidValueError, "FieldType", "lines[0]"),
        ({"total": 15}, InvalidValueError, "AmountType", "total"),
        ({"limit": None}, InvalidValueError, "FieldType", "limit"),
        ({"order": "issued"}, InvalidValueError, "FieldType", "order"),
        ({"available": 15}, InvalidValueError, "AmountType", "available"),
        ({"bound_by": "per_run"}, InvalidValueError, "FieldType", "bound_by"),
        ({"total": EUR}, CurrencyMismatchError, "CurrencyMismatch", "total"),
        (
            {"available": EUR},
            CurrencyMismatchError,
            "CurrencyMismatch",
            "available",
        ),
        ({"total": usd("14.99")}, InvalidValueError, "TotalMismatch", "total"),
        (
            {"lines": RESULT.lines[:1]},
            InvalidValueError,
            "TotalMismatch",
            "total",
        ),
        (
            {"available": usd("14.99")},
            InvalidValueError,
            "TotalMismatch",
            "total",
        ),
    ],
)
def test_a_result_adds_up_or_cannot_be(
    changed: dict[str, Any], kind: type, code: str, path: str
) -> None:
    error = refusal(attrs.evolve, RESULT, **changed)

    assert isinstance(error, kind)
    assert (error.code, error.path) == (code, path)


def test_an_allocation_without_a_limit_per_run_has_nothing_available() -> None:
    assert allocate(OWED, ALL).available is None
    assert attrs.evolve(RESULT, order=Order.DUE) != RESULT
    assert isinstance(RESULT, Allocation)
