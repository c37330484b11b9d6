"""Ids, accounts and payment methods; card numbers never travel on (E3)."""

from __future__ import annotations

import pickle
import re
from contextlib import nullcontext
from datetime import date
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

import strategies as my
from autopay_core import errors
from autopay_core._checks import (
    ID_MAX,
    TEXT_MAX,
    check_each,
    check_id,
    check_instant,
    check_no_card_number,
    check_text,
    check_type,
    clean_text,
    report_text,
)
from autopay_core._moved import MOVED
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortUnavailableError,
    safe_text,
)
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
    RunKey,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VISA = "4111111111111111"


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """Return a card number, and how somebody wrote it into a text."""
    number = draw(my.card_numbers())
    separator = draw(st.sampled_from(["", " ", "-", " - ", ".", "\u00a0"]))
    groups = [number[at : at + 4] for at in range(0, len(number), 4)]
    text = separator.join(groups)
    if draw(st.booleans()):
        text = text.translate(
            {0x30 + each: 0xFF10 + each for each in range(10)}
        )
    before = draw(st.sampled_from(["", "card ", "no. 12: ", "é#", "12 "]))
    after = draw(st.sampled_from(["", " exp", ".", ", 07/29", " 123"]))
    return number, f"{before}{text}{after}"


def leaks(number: str, text: str) -> bool:
    """Tell whether *text* shows more of a card number than its end."""
    digits = "".join(re.findall(r"\d", text))
    return any(number[at : at + 7] in digits for at in range(len(number) - 6))


@given(written())
@example((VISA, f"12 {VISA}"))
@example((VISA, f"{VISA[:8]} {VISA[8:]}"))
def test_no_card_number_survives_anywhere(card: tuple[str, str]) -> None:
    number, text = card
    attempts: list[Callable[[], object]] = [
        lambda: PaymentMethodRef(provider="acme", token=text),
        lambda: PaymentMethodRef(provider=text, token="tok_1"),
        lambda: PaymentMethodRef(provider="acme", token="t", network=text),
        lambda: DepositAccount(id=text),
        lambda: check_text(text, "ar_message"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidValueError) as caught:
            attempt()
        error = caught.value
        for shown in (
            str(error),
            repr(error),
            error.safe_value,
            error.message,
            error.path,
        ):
            assert not leaks(number, shown)


@given(my.card_numbers(), st.text(max_size=60), st.text(max_size=60))
@example(VISA, "x" * 48, "")
@example(VISA, "x" * 45, "-")
@example("1000000010008", "", "\U00010000")
def test_a_rendering_that_may_be_logged_shows_four_digits_at_most(
    number: str, before: str, after: str
) -> None:
    for value in (f"{before}{number}{after}", int(number), number.encode()):
        assert number[:-4] not in safe_text(value)
        # What is around may look like a part of it, escaped as it is shown.
        assert not leaks(number, safe_text(value)) or leaks(
            number, before + after + ascii(before + after)
        )


@given(st.text(max_size=200) | st.integers() | st.floats() | st.binary())
@example("\ud800\x00\u202e")
@example(10**5_000)
def test_a_rendering_that_may_be_logged_is_short_and_plain(
    value: object,
) -> None:
    shown = safe_text(value)

    assert shown.removesuffix("…").isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * 60 + 3


def test_a_rendering_never_calls_foreign_code() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise AssertionError

    assert safe_text(Hostile()) == "<Hostile>"
    assert safe_text(None) == "None"
    assert safe_text(12.5) == "12.5"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # wrong check digit
        "411111111111",  # twelve digits
        "0000000000000000",  # nobody's card
        "1" * 20,
        "555-123-4567 555-765-4321",
        "2026-01-05 2026-02-05 2026-03-05",
        "INV-41111111a11111111",
    ],
)
def test_other_numbers_are_no_card_numbers(text: str) -> None:
    check_no_card_number(text, "ar_message")


# -- Payment methods ---------------------------------------------------------


@given(my.methods)
@example(PaymentMethodRef(provider="acme", token="tok_123"))
@example(PaymentMethodRef(provider="acme", token="tok_1234"))
def test_a_payment_method_shows_four_characters_of_its_token(
    method: PaymentMethodRef,
) -> None:
    assert len(method.masked) <= 1 + 4
    assert method.token.endswith(method.masked.removeprefix("…"))
    assert method.token not in repr(method)
    assert method.token not in str(method)
    assert re.fullmatch("[0-9a-f]{32}", method.fingerprint)


@given(my.methods, my.methods)
@example(
    PaymentMethodRef(provider="a", token="b:c"),
    PaymentMethodRef(provider="a:b", token="c"),
)
def test_a_fingerprint_names_provider_and_token(
    one: PaymentMethodRef, two: PaymentMethodRef
) -> None:
    same = (one.provider, one.token) == (two.provider, two.token)

    assert (one.fingerprint == two.fingerprint) == same


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", ""),
        ("token", None),
        ("kind", "card"),
        ("network", "visa\n"),
        ("consumer", 1),
        ("expires_on", "2026-01-01"),
    ],
)
def test_a_payment_method_checks_its_fields(field: str, value: object) -> None:
    fields: dict[str, Any] = {"provider": "acme", "token": "tok_1"}
    with pytest.raises(InvalidValueError) as caught:
        PaymentMethodRef(**{**fields, field: value})
    assert caught.value.path == field


def test_a_payment_method_keeps_its_fields() -> None:
    method = PaymentMethodRef(
        provider="acme",
        token="tok_8f2k41aa9c",
        kind=MethodKind.BANK_ACCOUNT,
        network="ach",
        consumer=True,
        expires_on=date(2027, 1, 31),
    )

    assert pickle.loads(pickle.dumps(method)) == method  # noqa: S301
    assert method.masked == "…aa9c"


@given(my.deposit_accounts)
def test_a_deposit_account_reads_back(account: DepositAccount) -> None:
    names = {"DepositAccount": DepositAccount, "AccountKind": AccountKind}

    assert eval(repr(account), names) == account  # noqa: S307


def test_a_deposit_account_checks_its_kind() -> None:
    kind: Any = "trust"
    with pytest.raises(InvalidValueError) as caught:
        DepositAccount(id="op-1", kind=kind)
    assert caught.value.path == "kind"


# -- Checks ------------------------------------------------------------------


@given(st.text(max_size=ID_MAX + 2))
@example("a" * ID_MAX)
@example("a" * (ID_MAX + 1))
@example(" ")
@example("\u00a0")
@example("é" * (ID_MAX + 1))
@example("é")
@example("* % null ../ '; drop table")
def test_an_id_is_short_visible_text(text: str) -> None:
    usable = (
        0 < len(text) <= ID_MAX
        and text.strip() != ""
        and not re.search(
            "[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069"
            "\ufeff\ud800-\udfff]",
            text,
        )
    )
    with nullcontext() if usable else pytest.raises(InvalidValueError):
        check_id(text, "number")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "FieldMissing"),
        (7, "FieldType"),
        (b"a", "FieldType"),
        ("", "FieldMissing"),
        ("a\x00", "ControlCharacter"),
        ("a" * 129, "FieldTooLong"),
        ("é" * 129, "FieldTooLong"),
    ],
)
def test_what_is_wrong_with_an_id_is_told(value: object, code: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_id(value, "number")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("value", "options", "code"),
    [
        (None, {}, "FieldMissing"),
        (7, {}, "FieldType"),
        (" ", {"empty": False}, "FieldMissing"),
        ("x" * 11, {"most": 10}, "FieldTooLong"),
        ("a\nb", {}, "ControlCharacter"),
        (VISA, {}, "PanDetected"),
    ],
)
def test_what_is_wrong_with_a_text_is_told(
    value: object, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_text(value, "ar_message", **options)
    assert caught.value.code == code
    check_text("", "ar_message")


@given(st.text(max_size=50), st.integers(1, 40))
@example("a\r\nBcc: b", 40)
@example("\u202eabc\u200b\ufeff\x00\ud800", 40)
@example("a" * 39 + "e\u0301\u0301" + "b" * 9, 40)
@example("\u0301" * 50, 40)
@example("👍🏽" * 30, 40)
def test_cleaned_text_is_one_short_visible_line(text: str, most: int) -> None:
    cleaned = clean_text(text, most=most)

    assert len(cleaned) <= most
    check_text(cleaned, "ar_message", most=most) if len(cleaned) < 13 else None
    cleaned.encode()
    if len(text) <= most and text.isascii() and text.isprintable():
        assert cleaned == text
    assert clean_text(cleaned, most=most) == cleaned


def test_a_text_is_not_cut_between_a_character_and_its_marks() -> None:
    assert clean_text("abe\u0301d", most=4) == "ab…"
    assert clean_text("ab👍🏽d", most=4) == "ab…"
    assert clean_text("x" * 1_000_000) == "x" * (TEXT_MAX - 1) + "…"


def test_types_are_exact_where_bool_could_pass_for_int() -> None:
    check_type(1, int, "every")
    check_type(True, bool, "consumer")
    for value, kind in ((True, int), (1, bool), ("1", int)):
        with pytest.raises(InvalidValueError) as caught:
            check_type(value, kind, "field")
        assert caught.value.code == "FieldType"
    check_each((1, 2), int, "days")
    with pytest.raises(InvalidValueError) as caught:
        check_each((1, True), int, "days")
    assert caught.value.path == "days[1]"
    with pytest.raises(InvalidValueError):
        check_each([1], int, "days")


def test_an_instant_has_a_zone() -> None:
    from datetime import UTC, datetime

    check_instant(datetime(2026, 1, 1, tzinfo=UTC), "at")
    for value, code in (
        (datetime(2026, 1, 1), "NaiveDatetime"),  # noqa: DTZ001
        (date(2026, 1, 1), "FieldType"),
    ):
        with pytest.raises(InvalidValueError) as caught:
            check_instant(value, "at")
        assert caught.value.code == code


@given(written())
@example((VISA, f"{VISA} and {VISA}, and {VISA}"))
def test_a_port_may_say_anything_and_still_be_kept(
    card: tuple[str, str],
) -> None:
    number, said = card

    kept = report_text(f"request {said} failed\n")

    check_text(kept, "detail")
    assert not leaks(number, kept)
    assert kept.startswith("request ")
    assert kept.endswith(r" failed\x0a")
    harmless = "call 555-123-4567 555-765-4321 about 12.50"
    assert report_text(harmless) == harmless


# -- Errors ------------------------------------------------------------------


def test_an_error_carries_its_data_anywhere() -> None:
    with pytest.raises(InvalidValueError) as caught:
        PaymentMethodRef(provider="acme", token=VISA)

    error = caught.value
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert isinstance(error, (AutopayError, ValueError))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("name", sorted(MOVED["autopay_core.errors"]))
def test_an_error_that_is_a_code_now_is_caught_under_its_old_name(
    name: str,
) -> None:
    with pytest.warns(DeprecationWarning, match=f"errors.{name} has moved"):
        old: type[Exception] = getattr(errors, name)

    with pytest.raises(old, match="FieldMissing"):
        PaymentMethodRef(provider="acme", token="")


def test_an_error_can_be_told_where_it_was() -> None:
    error = InvalidValueError("must be text", code="FieldType", path="client")

    moved = error.at("enrollments[2]")

    assert moved.path == "enrollments[2].client"
    assert str(moved) == "enrollments[2].client: must be text [FieldType]"
    assert type(moved) is InvalidValueError
    assert error.path == "client"
    alone = InvalidValueError("must be text", code="FieldType").at("invoice")
    assert alone.path == "invoice"


def test_a_port_error_has_a_code_unless_told_otherwise() -> None:
    assert PortUnavailableError("no network").code == "PortUnavailable"
    assert PortUnavailableError("busy", code="Busy").code == "Busy"


def test_a_payment_method_is_compared_by_all_fields() -> None:
    method = PaymentMethodRef(provider="acme", token="tok_1")

    assert attrs.evolve(method) == method
    assert attrs.evolve(method, consumer=True) != method


@given(
    st.builds(
        RunKey,
        autopay=my.ids,
        nominal_on=my.dates,
        number=st.sampled_from([0, 1, 2, 999]),
    )
)
@example(RunKey(autopay="a/2026-01-01#7", nominal_on=date(2026, 1, 1)))
@example(RunKey(autopay="#", nominal_on=date(2026, 1, 1), number=3))
def test_r2_a_run_key_reads_back_what_it_shows(key: RunKey) -> None:
    assert RunKey.of(str(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ap-1",
        "ap-1/",
        "/2026-01-31",
        "ap-1/2026-1-31",
        "ap-1/20260131",
        "ap-1/2026-01-31#",
        "ap-1/2026-01-31#0",
        "ap-1/2026-01-31#01",
        "ap-1/2026-01-31#-1",
        "ap-1/2026-01-31#x",
        "ap-1/2026-01-31 ",
    ],
)
def test_r2_what_is_no_run_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        RunKey.of(text)

    assert caught.value.code == "RunKeyFormat"
