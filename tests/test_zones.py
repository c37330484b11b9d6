"""The last step from a date to an instant, and the way back (S13)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.errors import InvalidValueError
from autopay_core.zones import run_instant, today_in

CASES = json.loads(
    (Path(__file__).parent / "data" / "run_instants.json").read_text("utf-8")
)["cases"]
ZONES = sorted({case["tz"] for case in CASES})
DAY = timedelta(days=1)

# Around the changes of all those zones, and anywhere.
dates = st.one_of(
    st.sampled_from(CASES).map(
        lambda case: date.fromisoformat(case["local_dates"][1])
    ),
    st.dates(date(1900, 1, 1), date(2200, 12, 31)),
)
times = st.one_of(
    st.times(),
    st.builds(time, st.integers(0, 3), st.sampled_from([0, 1, 30])),
)


def in_utc(instant: datetime) -> datetime:
    """Make comparable: in two zones a time shown twice equals nothing."""
    return instant.astimezone(UTC)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_s13_instants_are_those_that_others_computed(
    case: dict[str, Any],
) -> None:
    at = time.fromisoformat(case["local_time"])

    assert [
        in_utc(run_instant(date.fromisoformat(on), at, case["tz"]))
        for on in case["local_dates"]
    ] == list(map(datetime.fromisoformat, case["expected_utc"]))


@pytest.mark.parametrize(
    ("zone", "on", "at", "expected"),
    [
        # Skipped: an hour, half an hour, the midnight, a whole day.
        (
            "America/New_York",
            date(2025, 3, 9),
            time(2, 30),
            "2025-03-09T03:30:00-04:00",
        ),
        (
            "Australia/Lord_Howe",
            date(2025, 10, 5),
            time(2, 15),
            "2025-10-05T02:45:00+11:00",
        ),
        (
            "America/Santiago",
            date(2024, 9, 8),
            time(0, 0),
            "2024-09-08T01:00:00-03:00",
        ),
        (
            "Pacific/Apia",
            date(2011, 12, 30),
            time(9, 0),
            "2011-12-31T09:00:00+14:00",
        ),
        # Shown twice: an hour, half an hour.
        (
            "America/New_York",
            date(2025, 11, 2),
            time(1, 30),
            "2025-11-02T01:30:00-04:00",
        ),
        (
            "Australia/Lord_Howe",
            date(2025, 4, 6),
            time(1, 45),
            "2025-04-06T01:45:00+11:00",
        ),
        ("UTC", date(2025, 3, 9), time(2, 30), "2025-03-09T02:30:00+00:00"),
    ],
)
def test_s13_a_gap_shifts_forward_and_a_fold_takes_the_first(
    zone: str, on: date, at: time, expected: str
) -> None:
    assert run_instant(on, at, zone).isoformat() == expected
    # Which of the two a caller's time claims to be makes no difference.
    assert run_instant(on, at.replace(fold=1), zone).isoformat() == expected


@given(dates, times, st.sampled_from(ZONES))
@example(date(2011, 12, 30), time(9), "Pacific/Apia")
def test_s13_instants_follow_from_the_clock_of_the_zone(
    on: date, at: time, zone: str
) -> None:
    found = run_instant(on, at, zone)
    asked = datetime.combine(on, at.replace(fold=0))
    shown = found.naive()

    assert isinstance(found, pendulum.DateTime)
    assert found.timezone_name == zone
    # The offsets before and after a change are those of the two folds.
    tz = ZoneInfo(zone)
    before, after = (
        asked.replace(tzinfo=tz, fold=fold).utcoffset() for fold in (0, 1)
    )
    assert before is not None
    assert after is not None
    assert in_utc(found) == (asked - before).replace(tzinfo=UTC)
    assert shown == (asked + (after - before) if after > before else asked)
    assert found.utcoffset() == (max(before, after))


@given(dates, st.sampled_from(ZONES))
def test_s13_runs_of_one_time_are_in_the_order_of_their_dates(
    on: date, zone: str
) -> None:
    if on == date(2200, 12, 31):
        on -= DAY

    assert run_instant(on, time(9), zone) <= run_instant(
        on + DAY, time(9), zone
    )


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", date(2026, 3, 1)),
        ("America/New_York", date(2026, 2, 28)),
        ("Pacific/Kiritimati", date(2026, 3, 1)),
        ("Pacific/Pago_Pago", date(2026, 2, 28)),
    ],
)
def test_s13_today_is_the_firm_s_today(zone: str, expected: date) -> None:
    now = datetime(2026, 3, 1, 4, 59, tzinfo=UTC)

    assert today_in(zone, now) == expected
    assert today_in(zone, pendulum.instance(now)) == expected
    elsewhere = now.astimezone(ZoneInfo("Asia/Kolkata"))
    assert today_in(zone, elsewhere) == expected
    assert type(today_in(zone, pendulum.instance(now))) is date


@given(dates, times, st.sampled_from(ZONES))
def test_s13_at_the_run_s_instant_its_date_has_come(
    on: date, at: time, zone: str
) -> None:
    found = run_instant(on, at, zone)

    if found.date() <= date(2200, 12, 31):
        assert today_in(zone, found) >= on


UNKNOWN_ZONES: list[object] = [
    "",
    " UTC",
    "UTC\n",
    "Mars/Base",
    "America",
    "../../etc/passwd",
    "/etc/localtime",
    "Europe/../UTC",
    "zone.tab",
    "localtime",
    "posixrules",
    "right/UTC",
    "posix/UTC",
    "a\0b",
    "\ud800",
    "é",
    "x" * 10_000,
    None,
    5,
    b"UTC",
    ZoneInfo("UTC"),
]


@pytest.mark.parametrize(
    "zone", UNKNOWN_ZONES, ids=lambda zone: ascii(zone)[:20]
)
def test_28_an_unknown_zone_is_refused(
    zone: Any,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_instant(date(2026, 1, 1), time(9), zone)
    assert (caught.value.code, caught.value.path) == (
        "TimeZoneUnknown",
        "zone",
    )
    with pytest.raises(InvalidValueError) as caught:
        today_in(zone, datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.code == "TimeZoneUnknown"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (datetime(2026, 1, 1), "NaiveDatetime"),  # noqa: DTZ001
        (pendulum.naive(2026, 1, 1), "NaiveDatetime"),
        (date(2026, 1, 1), "FieldType"),
        (1_767_225_600, "FieldType"),
        (None, "FieldType"),
        (datetime.min.replace(tzinfo=UTC), "DateOutOfRange"),
        (datetime.max.replace(tzinfo=UTC), "DateOutOfRange"),
        (datetime(1899, 12, 31, tzinfo=UTC), "DateOutOfRange"),
    ],
)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_41_only_an_aware_present_in_range_says_what_today_is(
    now: Any,
    code: str,
    zone: str,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        today_in(zone, now)

    assert (caught.value.code, caught.value.path) == (code, "now")


@pytest.mark.parametrize(
    ("on", "code"),
    [
        (datetime(2026, 1, 1), "NaiveDatetime"),  # noqa: DTZ001
        (pendulum.datetime(2026, 1, 1), "DateType"),
        (date(9999, 12, 31), "DateOutOfRange"),
        ("2026-01-01", "DateType"),
    ],
)
def test_42_an_instant_needs_a_plain_date_in_range(
    on: Any,
    code: str,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_instant(on, time(9), "UTC")

    assert (caught.value.code, caught.value.path) == (code, "on")


@pytest.mark.parametrize(
    "at",
    [time(9, tzinfo=UTC), "09:00", None, datetime(2026, 1, 1, tzinfo=UTC)],
)
def test_an_instant_needs_a_time_without_zone(
    at: Any,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_instant(date(2026, 1, 1), at, "UTC")

    assert (caught.value.code, caught.value.path) == ("TimeType", "at")


def test_a_pendulum_date_and_time_are_as_good_as_plain_ones() -> None:
    assert run_instant(
        pendulum.date(2026, 1, 1), pendulum.time(9), "UTC"
    ) == datetime(2026, 1, 1, 9, tzinfo=UTC)
