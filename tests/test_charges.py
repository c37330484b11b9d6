"""What is asked of a gateway, and what it can answer (R2, R4, R8)."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from hypothesis import assume, example, given, strategies as st

import strategies as my
from autopay_core._hashes import sha256
from autopay_core.charges import (
    KEY_MAX,
    Captured,
    ChargeLine,
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
    Secret,
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


secrets = st.binary(min_size=32, max_size=80).map(Secret)
stores = st.sampled_from(["", "store-1", "store-2", "1:store-1"])
identities = st.tuples(secrets, run_keys, st.integers(1, 99), stores)

A = RunKey(autopay="a", nominal_on=date(2026, 1, 1))
S, T = Secret(b"s" * 32), Secret(b"t" * 32)


def _key_of(identity: tuple[Secret, RunKey, int, str]) -> str:
    secret, key, attempt, store = identity
    return idempotency_key(secret, key, attempt, store=store)


@given(identities)
def test_a_key_is_short_ascii_and_the_same_every_time(
    identity: tuple[Secret, RunKey, int, str],
) -> None:
    made = _key_of(identity)

    assert made == _key_of(identity)
    assert len(made) <= KEY_MAX
    assert made.isascii()
    assert made.isalnum()


@given(identities, identities)
@example((S, A, 11, ""), (S, A, 1, ""))
@example((S, A, 1, ""), (S, attrs.evolve(A, autopay="a:2026-01-01"), 1, ""))
@example((S, A, 1, ""), (T, A, 1, ""))
@example((S, A, 1, "x"), (S, A, 1, "y"))
@example((S, A, 1, "x"), (S, A, 1, ""))
@example((S, A, 1, "x"), (S, attrs.evolve(A, number=1), 1, "x"))
@example((S, A, 1, ""), (S, attrs.evolve(A, number=1), 1, ""))
@example((S, attrs.evolve(A, number=1), 1, "x"), (S, A, 1, "1:x"))
def test_r2_another_secret_store_run_number_or_attempt_has_another_key(
    one: tuple[Secret, RunKey, int, str], two: tuple[Secret, RunKey, int, str]
) -> None:
    # HMAC fills a short secret up with zeros; those are one secret.
    same_secret = one[0].reveal().rstrip(b"\0") == two[0].reveal().rstrip(
        b"\0"
    )
    assume(not same_secret or one[1:] != two[1:])

    assert _key_of(one) != _key_of(two)


def test_keys_stay_what_they_were() -> None:
    # Gateways remember keys: a changed derivation charges a second time.
    key = RunKey(autopay="ap-1", nominal_on=date(2026, 1, 31))

    assert str(key) == "ap-1/2026-01-31"
    secret = Secret(b"a secret of 32 bytes, not longer")
    assert (
        idempotency_key(secret, key, 1)
        == "ap1LPH2Q2RZR4G7X73DGNLU6EHU27LCCUM2"
        == f"ap1{_hmac(secret, '4:ap-1:2026-01-31:1')}"
    )
    assert (
        idempotency_key(secret, key, 1, store="store-1")
        == "ap2JECUPPIIYYWZUO3IJFQFZF7AGEX74LRC"
        == f"ap2{_hmac(secret, '4:ap-1:2026-01-31:1:0:store-1')}"
    )


def _hmac(secret: Secret, text: str) -> str:
    """Derive it in other words: base 32 of an HMAC, 32 characters of it."""
    made = hmac.digest(secret.reveal(), text.encode(), "sha256")
    return base64.b32encode(made).decode()[:32]


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
        "run",
        "payer",
        "lines",
        "number",
        "authorization",
    }


RUN = RunKey(autopay="ap-1", nominal_on=date(2026, 1, 31))
OF_A_RUN = attrs.evolve(
    REQUEST,
    run=RUN,
    payer="p-1",
    lines=(
        ChargeLine(invoice="INV-1", amount=Money.of("7.00", "USD")),
        ChargeLine(invoice="INV-2", amount=Money.of("5.00", "USD")),
    ),
)


@pytest.mark.parametrize(
    "changed",
    [
        {"run": attrs.evolve(RUN, autopay="ap-2")},
        {"run": attrs.evolve(RUN, nominal_on=date(2026, 2, 28))},
        {"run": attrs.evolve(RUN, number=1)},
        {"payer": "p-2"},
        {"lines": ()},
        {"lines": OF_A_RUN.lines[:1]},
        {"lines": OF_A_RUN.lines[::-1]},
        {"number": 2},
        {"authorization": "a-1"},
        {"method": attrs.evolve(METHOD, token="tok_2")},
        {"amount": Money.of("12.01", "USD")},
        {"key": "ap1YEK"},
    ],
)
def test_r2_the_hash_of_a_run_depends_on_all_of_its_request(
    changed: dict[str, Any],
) -> None:
    other = attrs.evolve(OF_A_RUN, **changed)

    assert other.request_hash != OF_A_RUN.request_hash


def test_r2_the_hash_of_before_is_worked_out_as_it_was_then() -> None:
    """So that an open attempt of before is compared by the old formula."""
    parts = (
        *("ap1KEY", "acme", "tok_1", "1200", "USD"),
        *("op-1", "operating", "Acme monthly"),
    )
    whole = "".join(f"{len(part)}:{part}," for part in parts)

    assert REQUEST.run is None
    assert REQUEST.request_hash == sha256(whole)
    later = attrs.evolve(REQUEST, payer="p-1", number=2)
    assert later.request_hash == REQUEST.request_hash


def test_t3_the_hash_of_a_run_can_do_without_the_token() -> None:
    """The method's fingerprint stands for it."""
    assert "tok_1" not in OF_A_RUN.request_hash
    assert OF_A_RUN.request_hash != attrs.evolve(REQUEST).request_hash


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
        ({"code": None}, "code"),
        ({"decline_class": "never"}, "decline_class"),
        ({"message": 7}, "message"),
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


def test_the_smallest_charge_may_differ_by_currency() -> None:
    declared = GatewayCapabilities(minimum_minor=50, minimums={"JPY": 100})

    assert declared.minimum("JPY") == 100
    assert declared.minimum("USD") == 50


@pytest.mark.parametrize("minimums", [{"XXQ": 1}, {"JPY": 0}, {"JPY": "1"}])
def test_a_smallest_charge_that_cannot_be_is_refused(
    minimums: dict[str, Any],
) -> None:
    with pytest.raises(InvalidValueError):
        GatewayCapabilities(minimums=minimums)
