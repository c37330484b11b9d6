"""What the matter-management software says (A6, M1, S13)."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given

import strategies as my
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import (
    BALANCE_MAX_MINOR,
    MATTERS_MAX,
    Invoice,
    InvoiceStatus,
    SearchBy,
    SearchPage,
    SearchQuery,
    SearchResult,
)
from autopay_core.money import Money
from autopay_core.references import AccountKind

USD_12 = Money.of("12.00", "USD")
FIELDS: dict[str, Any] = {
    "number": "INV-7",
    "client": "C-1",
    "matter": "M-1",
    "issued_on": date(2026, 1, 5),
    "balance": USD_12,
}


def refusal(kind: Any, **fields: Any) -> tuple[str, str]:
    """Return code and path of the error that *fields* lead to."""
    with pytest.raises(InvalidValueError) as caught:
        kind(**fields)
    return caught.value.code, caught.value.path


@given(my.invoices() | my.invoices(crowded=True, currency="JPY"))
def test_an_invoice_is_equal_to_its_copy_and_reads_back(
    invoice: Invoice,
) -> None:
    again = attrs.evolve(invoice)
    names = {
        "Invoice": Invoice,
        "InvoiceStatus": InvoiceStatus,
        "AccountKind": AccountKind,
        "Money": Money,
        "datetime": dt,
    }

    assert again == invoice
    assert hash(again) == hash(invoice)
    assert eval(repr(invoice), names) == invoice  # noqa: S307


@pytest.mark.parametrize(
    ("field", "value", "code", "path"),
    [
        ("number", None, "FieldMissing", "number"),
        ("number", "", "FieldMissing", "number"),
        ("number", "x" * 129, "FieldTooLong", "number"),
        ("client", 7, "FieldType", "client"),
        ("matter", "M\x00", "ControlCharacter", "matter"),
        ("issued_on", None, "FieldMissing", "issued_on"),
        ("issued_on", "2026-01-05", "DateType", "issued_on"),
        ("issued_on", datetime(2026, 1, 5), "NaiveDatetime", "issued_on"),  # noqa: DTZ001
        (
            "issued_on",
            datetime(2026, 1, 5, tzinfo=UTC),
            "DateType",
            "issued_on",
        ),
        ("issued_on", date(1, 1, 1), "DateOutOfRange", "issued_on"),
        ("due_on", date(9999, 12, 31), "DateOutOfRange", "due_on"),
        ("balance", None, "FieldMissing", "balance"),
        ("balance", 12.0, "FloatAmount", "balance"),
        ("balance", float("nan"), "NonFiniteAmount", "balance"),
        ("balance", float("-inf"), "NonFiniteAmount", "balance"),
        ("balance", True, "AmountType", "balance"),
        ("balance", "12.00", "AmountType", "balance"),
        (
            "balance",
            Money(amount_minor=BALANCE_MAX_MINOR + 1, currency="USD"),
            "AmountTooLarge",
            "balance",
        ),
        (
            "balance",
            Money(amount_minor=-BALANCE_MAX_MINOR - 1, currency="USD"),
            "AmountTooLarge",
            "balance",
        ),
        ("total", 12, "AmountType", "total"),
        ("total", Money.of("12", "EUR"), "MixedCurrency", "total"),
        ("status", "open", "FieldType", "status"),
        ("account", "trust", "FieldType", "account"),
        ("matters", ["M-1"], "FieldType", "matters"),
        ("matters", ("M-1", 7), "FieldType", "matters[1]"),
        ("matters", ("M-1", "M\x00"), "ControlCharacter", "matters[1]"),
        ("matters", ("M-1", "M-2", "M-1"), "DuplicateValue", "matters"),
        ("matters", ("M-2", "M-1"), "MattersOrder", "matters"),
        (
            "matters",
            ("M-1", *(f"M-{each}" for each in range(2, MATTERS_MAX + 2))),
            "FieldTooLong",
            "matters",
        ),
    ],
)
def test_an_invoice_checks_its_fields(
    field: str, value: object, code: str, path: str
) -> None:
    assert refusal(Invoice, **{**FIELDS, field: value}) == (code, path)


def test_the_largest_balance_is_taken_either_way() -> None:
    for minor in (BALANCE_MAX_MINOR, -BALANCE_MAX_MINOR):
        balance = Money(amount_minor=minor, currency="USD")
        assert Invoice(**{**FIELDS, "balance": balance}).balance == balance


def test_an_invoice_is_open_and_operating_unless_told_otherwise() -> None:
    invoice = Invoice(**FIELDS)

    assert invoice.status is InvoiceStatus.OPEN
    assert invoice.account is AccountKind.OPERATING
    assert invoice.due_on is None
    assert invoice.total is None
    assert invoice.matters == ()
    assert invoice.every_matter == ("M-1",)


def test_a1_a_bill_names_as_many_matters_as_there_may_be() -> None:
    matters = tuple(f"M-{each}" for each in range(1, MATTERS_MAX + 1))

    assert Invoice(**FIELDS, matters=matters).every_matter == matters


# -- Search ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"by": "client_name", "text": "a"}, "FieldType", "by"),
        ({"by": SearchBy.CLIENT_NAME, "text": " "}, "FieldMissing", "text"),
        (
            {"by": SearchBy.CLIENT_NAME, "text": "a" * 129},
            "FieldTooLong",
            "text",
        ),
    ],
)
def test_a_search_checks_its_fields(
    fields: dict[str, Any], code: str, path: str
) -> None:
    assert refusal(SearchQuery, **fields) == (code, path)


def test_a_search_takes_wildcards_as_they_are() -> None:
    assert SearchQuery(by=SearchBy.CLIENT_NAME, text="*").text == "*"


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"client": ""}, "FieldMissing", "client"),
        ({"client": "C", "matter": ""}, "FieldMissing", "matter"),
        (
            {"client": "C", "matter": "M", "invoice": ""},
            "FieldMissing",
            "invoice",
        ),
        ({"client": "C", "invoice": "I"}, "FieldMissing", "matter"),
        (
            {"client": "C", "client_name": "a\n"},
            "ControlCharacter",
            "client_name",
        ),
        (
            {"client": "C", "matter_description": None},
            "FieldMissing",
            "matter_description",
        ),
    ],
)
def test_a_search_result_checks_its_fields(
    fields: dict[str, Any], code: str, path: str
) -> None:
    assert refusal(SearchResult, **fields) == (code, path)


def test_a_page_holds_results_only() -> None:
    found = SearchResult(client="C-1", matter="M-1", invoice="INV-7")

    assert SearchPage(results=(found,)).results == (found,)
    assert refusal(SearchPage, results=[found]) == ("FieldType", "results")
    assert refusal(SearchPage, results=(found, "C-2")) == (
        "FieldType",
        "results[1]",
    )
