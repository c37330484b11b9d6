from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from autopay_core.authorizations import (
    Authorization,
    Given,
    in_force,
    words_hash,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.schedules import ScheduleKind
from worlds import BANK, CARD, DAY, usd

WORDS = words_hash("I allow Smith & Partners to debit my account.")
GIVEN_AT = datetime(2026, 1, 30, 9, tzinfo=UTC)
_DAY = timedelta(days=1)


def allowed(**changes: Any) -> Authorization:
    fields: dict[str, Any] = {
        "id": "auth-1",
        "method": CARD.fingerprint,
        "words": WORDS,
        "words_version": "2026-01",
        "given": Given.ONLINE,
        "given_at": GIVEN_AT,
        "evidence": "page view 7",
        "from_on": DAY,
    }
    return Authorization(**{**fields, **changes})


def found(*given_: Authorization, on: date = DAY) -> Authorization | None:
    return in_force(given_, CARD, "ap-1", ScheduleKind.MONTHLY, "USD", on=on)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"until_on": DAY + _DAY},
        {"revoked_on": DAY + _DAY},
        {"autopay": "ap-1"},
        {"frequency": ScheduleKind.MONTHLY},
        {"most": usd("1")},
    ],
    ids=str,
)
def test_o2_what_is_allowed_is_in_force(changes: dict[str, Any]) -> None:
    one = allowed(**changes)

    assert found(one) == one


@pytest.mark.parametrize(
    "changes",
    [
        {"from_on": DAY + _DAY},
        {"from_on": DAY - 9 * _DAY, "until_on": DAY},
        {"revoked_on": DAY},
        {"autopay": "ap-2"},
        {"frequency": ScheduleKind.WEEKLY},
        {"most": Money.of("1.00", "EUR")},
        {"method": BANK.fingerprint},
    ],
    ids=str,
)
def test_o2_what_is_not_allowed_is_not_in_force(
    changes: dict[str, Any],
) -> None:
    assert found(allowed(**changes)) is None


def test_o2_of_several_the_latest_given_is_in_force() -> None:
    later = allowed(id="auth-0", given_at=GIVEN_AT + timedelta(hours=1))

    assert found(later, allowed()) == later
    assert found(allowed(), later) == later
    assert found() is None


@given(st.integers(-5, 5), st.integers(1, 5), st.none() | st.integers(-5, 5))
def test_o2_a_term_is_half_open(
    starts: int, days: int, revoked: int | None
) -> None:
    one = allowed(
        from_on=DAY + starts * _DAY,
        until_on=DAY + (starts + days) * _DAY,
        revoked_on=None if revoked is None else DAY + revoked * _DAY,
    )

    for day in range(-6, 12):
        is_within = starts <= day < starts + days
        is_revoked = revoked is not None and day >= revoked
        assert one.holds_on(DAY + day * _DAY) == (is_within and not is_revoked)


def test_o2_the_hash_of_words_is_theirs() -> None:
    assert len(WORDS) == 64
    assert words_hash("I allow it.") != WORDS


@pytest.mark.parametrize(
    ("words", "code"),
    [("", "FieldMissing"), (7, "FieldType"), ("x" * 1_000_001, "FieldType")],
    ids=["none", "number", "long"],
)
def test_words_are_text(words: Any, code: str) -> None:
    with pytest.raises(InvalidValueError) as raised:
        words_hash(words)

    assert raised.value.code == code


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"words": "I allow it."}, "words", "UnknownValue"),
        ({"words": WORDS.upper()}, "words", "UnknownValue"),
        ({"words": ""}, "words", "FieldMissing"),
        ({"until_on": DAY}, "until_on", "OutOfRange"),
        ({"most": usd("0")}, "most", "CapInvalid"),
        ({"evidence": ""}, "evidence", "FieldMissing"),
        ({"given": "online"}, "given", "FieldType"),
        ({"given_at": datetime(2026, 1, 1)}, "given_at", "NaiveDatetime"),  # noqa: DTZ001 - the point
    ],
    ids=str,
)
def test_what_cannot_be_allowed_is_refused(
    changes: dict[str, Any], path: str, code: str
) -> None:
    with pytest.raises(InvalidValueError) as raised:
        allowed(**changes)

    assert (raised.value.path, raised.value.code) == (path, code)
