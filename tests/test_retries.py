"""Retrying declines within the networks' limits (N3)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.charges import DeclineClass, Declined
from autopay_core.errors import InvalidValueError
from autopay_core.retries import (
    NETWORK_LIMITS,
    AttemptRecord,
    NetworkLimit,
    RetryPolicy,
    network_limit,
    next_attempt,
)
from worlds import BANK, CARD, usd

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
VISA = attrs.evolve(CARD, network="visa")
MASTERCARD = attrs.evolve(CARD, network="mastercard")
LATER = Declined(key="k", code="51", decline_class=DeclineClass.LATER)


def _days(*days: float) -> list[datetime]:
    return [AT + timedelta(days=each) for each in days]


def _records(*days: float) -> list[AttemptRecord]:
    return [AttemptRecord(at=each, amount=usd("1")) for each in _days(*days)]


def test_n3_no_policy_retries_nothing() -> None:
    assert next_attempt(None, LATER, CARD, tried=[AT], everywhere=()) is None


def test_n3_the_policy_says_when_and_how_often() -> None:
    policy = RetryPolicy(retries_most=2, every_days=3, within_days=21)

    first = next_attempt(policy, LATER, CARD, tried=_days(0), everywhere=())
    second = next_attempt(
        policy, LATER, CARD, tried=_days(0, 3), everywhere=()
    )
    third = next_attempt(
        policy, LATER, CARD, tried=_days(0, 3, 6), everywhere=()
    )

    assert [first, second, third] == [*_days(3, 6), None]


def test_n3_no_retry_is_later_than_the_policy_allows() -> None:
    policy = RetryPolicy(retries_most=3, every_days=7, within_days=14)
    for tried, then in ((_days(0), _days(7)[0]), (_days(0, 7), _days(14)[0])):
        found = next_attempt(policy, LATER, CARD, tried=tried, everywhere=())
        assert found == then

    assert (
        next_attempt(policy, LATER, CARD, tried=_days(0, 7, 14), everywhere=())
        is None
    )


@pytest.mark.parametrize("decline_class", list(DeclineClass))
def test_n3_only_what_may_work_later_is_tried_again(
    decline_class: DeclineClass,
) -> None:
    declined = attrs.evolve(LATER, decline_class=decline_class)

    found = next_attempt(
        RetryPolicy(), declined, CARD, tried=[AT], everywhere=()
    )

    assert (found is not None) == (decline_class is DeclineClass.LATER)


@pytest.mark.parametrize(
    ("code", "retried"),
    [("R01", True), ("R09", True), ("R02", False), ("R16", False)],
)
def test_n3_a_bank_debit_is_presented_again_for_two_codes_only(
    code: str, retried: bool
) -> None:
    declined = attrs.evolve(LATER, code=code)

    found = next_attempt(
        RetryPolicy(), declined, BANK, tried=[AT], everywhere=()
    )

    assert (found is not None) is retried


def test_n3_a_bank_debit_is_presented_again_twice_at_most() -> None:
    policy = RetryPolicy(retries_most=3, every_days=3)
    returned = attrs.evolve(LATER, code="R01")

    found = [
        next_attempt(policy, returned, BANK, tried=tried, everywhere=())
        for tried in (_days(0), _days(0, 3), _days(0, 3, 6))
    ]

    assert found == [*_days(3, 6), None]


def test_n3_no_bank_debit_is_presented_again_after_180_days() -> None:
    policy = RetryPolicy(every_days=30, within_days=180)
    returned = attrs.evolve(LATER, code="R01")

    on_time = next_attempt(
        policy, returned, BANK, tried=_days(0, 150), everywhere=()
    )
    late = next_attempt(
        policy, returned, BANK, tried=_days(0, 151), everywhere=()
    )

    assert on_time == _days(180)[0]
    assert late is None


@pytest.mark.parametrize("code", ["04", "07", "41", "43", "46", "R1"])
def test_n3_a_visa_code_of_category_1_is_never_tried_again(code: str) -> None:
    declined = attrs.evolve(LATER, code=code)

    found = next_attempt(
        RetryPolicy(), declined, VISA, tried=[AT], everywhere=()
    )

    assert found is None


def test_n3_visa_takes_15_attempts_in_30_days_whoever_made_them() -> None:
    policy = RetryPolicy(every_days=1, within_days=180)
    days = [float(each) for each in range(15)]

    full = next_attempt(
        policy, LATER, VISA, tried=_days(14), everywhere=_records(*days)
    )
    room = next_attempt(
        policy, LATER, VISA, tried=_days(14), everywhere=_records(*days[1:])
    )

    assert full == _days(30)[0]
    assert room == _days(15)[0]


def test_n3_mastercard_takes_10_a_day_and_35_in_30_days() -> None:
    policy = RetryPolicy(every_days=1, within_days=180)
    one_day = [each / 100 for each in range(90, 100)]
    one_month = [each / 2 for each in range(36)]

    by_day = next_attempt(
        policy,
        LATER,
        MASTERCARD,
        tried=_days(0),
        everywhere=_records(*one_day),
    )
    by_month = next_attempt(
        policy,
        LATER,
        MASTERCARD,
        tried=_days(17.5),
        everywhere=_records(*one_month),
    )

    assert by_day == _days(1.90)[0]
    assert by_month == _days(30.5)[0]


@given(
    days=st.lists(st.floats(-40, 0), max_size=40),
    network=st.sampled_from(["visa", "mastercard"]),
)
def test_n3_no_window_of_a_network_is_ever_overrun(
    days: list[float], network: str
) -> None:
    method = attrs.evolve(CARD, network=network)
    everywhere = _records(*days, 0)

    at = next_attempt(
        RetryPolicy(within_days=180, every_days=1),
        LATER,
        method,
        tried=[AT],
        everywhere=everywhere,
    )

    assert at is not None
    limit = network_limit(method, AT.date())
    assert limit is not None
    for width, most in limit.windows:
        begin = at - timedelta(days=width)
        assert sum(each.at > begin for each in everywhere) < most


def test_n3_a_later_table_of_a_network_replaces_an_earlier() -> None:
    found = network_limit(VISA, date(2026, 1, 1))

    assert found is not None
    assert network_limit(VISA, date(2020, 1, 1)) is None
    assert network_limit(CARD, date(2026, 1, 1)) is None
    [ach] = [each for each in NETWORK_LIMITS if each.network == "ach"]
    assert network_limit(BANK, date(2026, 1, 1)) is ach
    assert all(each.source for each in NETWORK_LIMITS)


def test_n3_a_limit_without_windows_counts_retries_only() -> None:
    assert NetworkLimit(network="x", since=date(2026, 1, 1)).windows == ()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"retries_most": 0}, "retries_most"),
        ({"retries_most": 4}, "retries_most"),
        ({"every_days": 0}, "every_days"),
        ({"every_days": 31}, "every_days"),
        ({"within_days": 181}, "within_days"),
        ({"within_days": True}, "within_days"),
        ({"every_days": 1.5}, "every_days"),
    ],
)
def test_n3_a_policy_out_of_range_is_refused(
    changes: dict[str, int], path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        RetryPolicy(**changes)

    assert caught.value.path == path
