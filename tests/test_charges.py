"""What is asked of a gateway, and what it can answer (R2, R4, R8)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from hypothesis import assume, example, given, strategies as st

import strategies as my
from autopay_core.charges import (
    KEY_MAX,
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    NotFound,
    Pending,
    idempotency_key,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
    RunKey,
)

METHOD = PaymentMethodRef(provider="acme", token="tok_1")
REQUEST = ChargeRequest(
    key="ap1KEY",
    method=METHOD,
    amount=Money.of("12.00", "USD"),
    deposit_account=DepositAccount(id="op-1"),
    description="Acme monthly",
)

run_keys = st.builds(RunKey, autopay=my.ids, nominal_on=my.dates)


def refusal(kind: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidValueError) as caught:
        kind(**fields)
    return caught.value.code, caught.value.path


# -- Keys (R2) ---------------------------------------------------------------


@given(st.binary(max_size=80), run_keys, st.integers(1, 10**6))
def test_a_key_is_short_ascii_and_the_same_every_time(
    secret: bytes, key: RunKey, attempt: int
) -> None:
    made = idempotency_key(secret, key, attempt)

    assert made == idempotency_key(secret, attrs.evolve(key), attempt)
    assert len(made) <= KEY_MAX
    assert made.isascii()
    assert made.isalnum()


@given(
    st.tuples(st.binary(max_size=64), run_keys, st.integers(1, 99)),
    st.tuples(st.binary(max_size=64), run_keys, st.integers(1, 99)),
)
@example(
    (b"s", RunKey(autopay="a", nominal_on=date(2026, 1, 1)), 11),
    (b"s", RunKey(autopay="a", nominal_on=date(2026, 1, 1)), 1),
)
@example(
    (b"s", RunKey(autopay="a", nominal_on=date(2026, 1, 1)), 1),
    (b"s", RunKey(autopay="a:2026-01-01", nominal_on=date(2026, 1, 1)), 1),
)
@example(
    (b"s", RunKey(autopay="a", nominal_on=date(2026, 1, 1)), 1),
    (b"t", RunKey(autopay="a", nominal_on=date(2026, 1, 1)), 1),
)
def test_another_secret_run_or_attempt_has_another_key(
    one: tuple[bytes, RunKey, int], two: tuple[bytes, RunKey, int]
) -> None:
    # HMAC fills a short secret up with zeros; those are one secret.
    assume(one[0].rstrip(b"\0") != two[0].rstrip(b"\0") or one[1:] != two[1:])

    assert idempotency_key(*one) != idempotency_key(*two)


def test_keys_stay_what_they_were() -> None:
    # Gateways remember keys: a changed derivation charges a second time.
    key = RunKey(autopay="ap-1", nominal_on=date(2026, 1, 31))

    assert str(key) == "ap-1/2026-01-31"
    assert (
        idempotency_key(b"secret", key, 1)
        == "ap164SUTR7BMGYJ7A5ZZT2AUZMHM3JKGFMN"
    )


@given(run_keys, run_keys)
def test_runs_are_in_order_of_autopay_and_date(
    one: RunKey, two: RunKey
) -> None:
    assert (one < two) == (
        (one.autopay, one.nominal_on) < (two.autopay, two.nominal_on)
    )


def test_a_run_key_checks_its_fields() -> None:
    assert refusal(RunKey, autopay="", nominal_on=date(2026, 1, 1)) == (
        "FieldMissing",
        "autopay",
    )
    assert refusal(RunKey, autopay="a", nominal_on="2026-1-1") == (
        "DateType",
        "nominal_on",
    )


# -- Requests (R2, R3) -------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "ap1YEK"},
        {"method": attrs.evolve(METHOD, token="tok_2")},
        {"method": attrs.evolve(METHOD, provider="other")},
        {"amount": Money.of("12.01", "USD")},
        {"amount": Money.of("12.00", "EUR")},
        {"deposit_account": DepositAccount(id="op-2")},
        {"deposit_account": DepositAccount(id="op-1", kind=AccountKind.TRUST)},
        {"description": "Acme weekly"},
        {"description": ""},
    ],
)
def test_the_hash_depends_on_everything_that_is_charged(
    changed: dict[str, Any],
) -> None:
    other = attrs.evolve(REQUEST, **changed)

    assert other.request_hash != REQUEST.request_hash


def test_the_hash_is_about_every_field_but_the_deadline() -> None:
    tried_later = attrs.evolve(
        REQUEST, not_after=datetime(2026, 1, 31, 12, tzinfo=UTC)
    )

    assert tried_later.request_hash == REQUEST.request_hash
    assert {each.name for each in attrs.fields(ChargeRequest)} == {
        "key",
        "method",
        "amount",
        "deposit_account",
        "description",
        "not_after",
    }


def test_neighbouring_fields_cannot_trade_characters() -> None:
    one = attrs.evolve(
        REQUEST, method=PaymentMethodRef(provider="ab", token="c")
    )
    two = attrs.evolve(
        REQUEST, method=PaymentMethodRef(provider="a", token="bc")
    )

    assert one.request_hash != two.request_hash


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"key": ""}, "FieldMissing", "key"),
        ({"key": "k" * 37}, "FieldTooLong", "key"),
        ({"key": "é"}, "FieldTooLong", "key"),
        ({"method": "tok_1"}, "FieldType", "method"),
        ({"amount": 12}, "FieldType", "amount"),
        ({"amount": Money.zero("USD")}, "ChargeNotPositive", "amount"),
        ({"amount": Money.of("-1", "USD")}, "ChargeNotPositive", "amount"),
        ({"deposit_account": "op-1"}, "FieldType", "deposit_account"),
        ({"description": "4111111111111111"}, "PanDetected", "description"),
        ({"not_after": datetime(2026, 1, 1)}, "NaiveDatetime", "not_after"),  # noqa: DTZ001
    ],
)
def test_a_request_checks_its_fields(
    changed: dict[str, Any], code: str, path: str
) -> None:
    fields = {
        each.name: getattr(REQUEST, each.name)
        for each in attrs.fields(ChargeRequest)
    }
    assert refusal(ChargeRequest, **{**fields, **changed}) == (code, path)


def test_a_key_may_be_as_long_as_every_gateway_takes() -> None:
    assert attrs.evolve(REQUEST, key="k" * KEY_MAX).key == "k" * KEY_MAX


# -- Outcomes ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Captured, Pending])
def test_money_that_moves_has_a_key_an_amount_and_a_reference(
    kind: Any,
) -> None:
    amount = Money.of("12.00", "USD")

    outcome = kind(key="k", amount=amount, reference="ch_1")

    assert (outcome.key, outcome.amount, outcome.reference) == (
        "k",
        amount,
        "ch_1",
    )
    for field, path in (("key", ""), ("amount", 12), ("reference", None)):
        fields = {"key": "k", "amount": amount, "reference": "ch_1"}
        assert refusal(kind, **{**fields, field: path})[1] == field


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"key": ""}, "key"),
        ({"code": "x" * 65}, "code"),
        ({"decline_class": "never"}, "decline_class"),
        ({"message": "card 4111 1111 1111 1111"}, "message"),
    ],
)
def test_a_decline_checks_its_fields(
    changed: dict[str, Any], path: str
) -> None:
    fields: dict[str, Any] = {"key": "k", "code": "51"}
    assert refusal(Declined, **{**fields, **changed})[1] == path


def test_a_decline_with_an_unknown_code_is_not_tried_again() -> None:
    assert Declined(key="k", code="zz").decline_class is DeclineClass.UNKNOWN


def test_what_is_not_known_is_a_value() -> None:
    assert Indeterminate() == Indeterminate(detail="")
    assert NotFound() == NotFound()


# -- Capabilities ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"two_step": 1}, "FieldType", "two_step"),
        ({"honours_deadline": None}, "FieldType", "honours_deadline"),
        ({"key_retention_seconds": 0}, "OutOfRange", "key_retention_seconds"),
        ({"minimum_minor": True}, "FieldType", "minimum_minor"),
        ({"minimum_minor": 0}, "OutOfRange", "minimum_minor"),
        ({"maximum_minor": 0}, "OutOfRange", "maximum_minor"),
        (
            {"minimum_minor": 51, "maximum_minor": 50},
            "OutOfRange",
            "maximum_minor",
        ),
        (
            {"lookup_settle_seconds": -1},
            "OutOfRange",
            "lookup_settle_seconds",
        ),
        ({"lookup_settle_seconds": 1.5}, "FieldType", "lookup_settle_seconds"),
        ({"currencies": frozenset({"usd"})}, "CurrencyUnknown", "currencies"),
    ],
)
def test_capabilities_are_checked(
    changed: dict[str, Any], code: str, path: str
) -> None:
    assert refusal(GatewayCapabilities, **changed) == (code, path)


def test_a_gateway_promises_nothing_unless_it_says_so() -> None:
    promised = GatewayCapabilities()

    assert not promised.two_step
    assert not promised.honours_deadline
    assert promised.lookup_settle_seconds is None
    usual = GatewayCapabilities(
        lookup_settle_seconds=60, currencies=frozenset({"USD", "EUR"})
    )
    assert usual.lookup_settle_seconds == 60
