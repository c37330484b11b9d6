"""The host's settings: rules S13, L5, H3, H4."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.policy import Breaker, Ceilings, Policy, firm_date
from autopay_core.reads import UNREADABLE_MOST, UNREADABLE_PERCENT
from autopay_core.references import MethodKind
from autopay_core.zones import today_in
from worlds import usd

EUR = Money.of("100.00", "EUR")


def test_a_policy_asks_for_nothing_until_the_host_does() -> None:
    policy = Policy()

    assert policy.zone == "UTC"
    assert policy.unreadable_rows_most == UNREADABLE_MOST
    assert policy.unreadable_percent_most == UNREADABLE_PERCENT
    assert policy.ceilings == Ceilings(payer_day=(), night=())
    assert policy.second_name_above is None
    assert policy.authorization_needed == frozenset()
    assert policy.late_days == 3
    assert policy.breaker == Breaker(
        in_a_row=10, of_last=40, more_than=20, within=timedelta(hours=1)
    )


def test_a_policy_reads_back_and_can_be_pickled() -> None:
    policy = Policy(
        zone="America/New_York",
        oldest_balance=timedelta(days=7),
        second_name_above=usd("5000"),
        ceilings=Ceilings(payer_day=(usd("900"), EUR)),
        authorization_needed=frozenset({MethodKind.BANK_ACCOUNT}),
        breaker=None,
    )

    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301
    assert "zone='America/New_York'" in repr(policy)


@pytest.mark.parametrize(
    ("instant", "zone", "on"),
    [
        (datetime(2026, 3, 1, 4, 59, tzinfo=UTC), "UTC", date(2026, 3, 1)),
        (
            datetime(2026, 3, 1, 4, 59, tzinfo=UTC),
            "America/New_York",
            date(2026, 2, 28),
        ),
        (
            datetime(2026, 3, 1, 5, tzinfo=UTC),
            "America/New_York",
            date(2026, 3, 1),
        ),
        # The last minute of a day in Kiritimati is the day before elsewhere.
        (
            datetime(2026, 2, 28, 10, tzinfo=UTC),
            "Pacific/Kiritimati",
            date(2026, 3, 1),
        ),
    ],
)
def test_s13_the_firms_calendar_says_on_which_date_an_instant_is(
    instant: datetime, zone: str, on: date
) -> None:
    assert firm_date(instant, zone) == on
    assert Policy(zone=zone).date_of(instant) == on


@given(
    instant=st.datetimes(
        datetime(1900, 1, 2),  # noqa: DTZ001
        datetime(2200, 12, 30),  # noqa: DTZ001
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-9))]
        ),
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
)
def test_s13_core_and_edge_agree_on_the_date(
    instant: datetime, zone: str
) -> None:
    assert firm_date(instant, zone) == today_in(zone, instant)
    # Who writes the instant down in another zone does not move the day.
    assert firm_date(instant.astimezone(UTC), zone) == today_in(zone, instant)


def test_s13_an_instant_beyond_the_calendar_is_refused_by_name() -> None:
    with pytest.raises(InvalidValueError) as refused:
        firm_date(datetime.max.replace(tzinfo=UTC), "Pacific/Kiritimati")

    assert (refused.value.code, refused.value.path) == (
        "DateOutOfRange",
        "instant",
    )


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"zone": "Mars/Olympus"}, "TimeZoneUnknown", "zone"),
        ({"zone": "localtime"}, "TimeZoneUnknown", "zone"),
        ({"zone": "right/UTC"}, "TimeZoneUnknown", "zone"),
        ({"zone": "../zone"}, "TimeZoneUnknown", "zone"),
        ({"zone": ""}, "TimeZoneUnknown", "zone"),
        ({"zone": None}, "TimeZoneUnknown", "zone"),
        ({"oldest_balance": 7}, "FieldType", "oldest_balance"),
        ({"oldest_balance": timedelta(0)}, "OutOfRange", "oldest_balance"),
        (
            {"oldest_balance": timedelta(days=60, seconds=1)},
            "OutOfRange",
            "oldest_balance",
        ),
        ({"unreadable_rows_most": -1}, "OutOfRange", "unreadable_rows_most"),
        (
            {"unreadable_percent_most": 101},
            "OutOfRange",
            "unreadable_percent_most",
        ),
        ({"second_name_above": usd("0")}, "CapInvalid", "second_name_above"),
        ({"ceilings": usd("5")}, "FieldType", "ceilings"),
        (
            {"authorization_needed": {MethodKind.CARD}},
            "FieldType",
            "authorization_needed",
        ),
        (
            {"authorization_needed": frozenset({"card"})},
            "FieldType",
            "authorization_needed",
        ),
        ({"late_days": -1}, "OutOfRange", "late_days"),
        ({"breaker": True}, "FieldType", "breaker"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_path(
    changes: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        Policy(**changes)

    assert (refused.value.code, refused.value.path) == (code, path)


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"night": (usd("0"),)}, "CapInvalid", "night[0]"),
        ({"night": (EUR, usd("-1"))}, "CapInvalid", "night[1]"),
        ({"payer_day": (usd("1"), usd("2"))}, "DuplicateValue", None),
        ({"payer_day": usd("1")}, "FieldType", "payer_day"),
    ],
)
def test_h4_a_ceiling_that_cannot_be_is_refused(
    changes: dict[str, Any], code: str, path: str | None
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        Ceilings(**changes)

    assert refused.value.code == code
    assert refused.value.path == (path or "payer_day[1]")


def test_h4_a_ceiling_leaves_room_in_its_own_currency_only() -> None:
    ceilings = Ceilings(payer_day=(usd("900"), EUR), night=(usd("5000"),))

    assert ceilings.room_for_payer(usd("0")) == usd("900")
    assert ceilings.room_for_payer(usd("899.99")) == usd("0.01")
    assert ceilings.room_for_payer(usd("1000")) == usd("0")
    assert ceilings.room_for_payer(EUR) == Money.zero("EUR")
    assert ceilings.room_for_night(usd("1000")) == usd("4000")
    assert ceilings.room_for_night(EUR) is None
    assert Ceilings().room_for_payer(usd("1000000")) is None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"in_a_row": 1}, "in_a_row"),
        ({"of_last": 20}, "more_than"),
        ({"more_than": 40}, "more_than"),
        ({"within": timedelta(0)}, "within"),
        ({"within": timedelta(days=8)}, "within"),
    ],
)
def test_h4_a_breaker_that_cannot_trip_is_refused(
    changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        Breaker(**changes)

    assert (refused.value.code, refused.value.path) == ("OutOfRange", path)


def test_h3_a_second_name_is_asked_for_above_an_amount_or_if_unsure() -> None:
    policy = Policy(second_name_above=usd("5000"))

    assert not policy.needs_second_name(usd("5000"))
    assert policy.needs_second_name(usd("5000.01"))
    assert policy.needs_second_name(Money.of("1", "EUR"))
    assert policy.needs_second_name(None)
    never = attrs.evolve(policy, second_name_above=None)
    assert not never.needs_second_name(None)
