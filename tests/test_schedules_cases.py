"""
Recurrences whose dates others computed or documented.

``data/recurrence.json`` names the source of every case: dateutil, QuantLib,
libical, or the documentation of a vendor.
"""

from __future__ import annotations

import json
from datetime import date
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import pytest

from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.schedules import Schedule

CASES = json.loads(
    (Path(__file__).parent / "data" / "recurrence.json").read_text("utf-8")
)["cases"]
ROLLS = {
    "unadjusted": Roll.NONE,
    "following": Roll.FOLLOWING,
    "modified_following": Roll.MODIFIED_FOLLOWING,
    "preceding": Roll.PRECEDING,
}


def built(rule: dict[str, Any]) -> Schedule:
    """Make the schedule that a case describes."""
    first_on = date.fromisoformat(rule["first_date"])
    given: dict[str, Any] = {}
    if rule["until"]:
        given["until"] = date.fromisoformat(rule["until"])
    if rule["count"]:
        given["count"] = rule["count"]
    roll = ROLLS[rule["business_day_convention"]]
    if roll is not Roll.NONE:
        given["roll"] = roll
        given["calendar"] = BusinessCalendar(
            holidays=frozenset(
                map(date.fromisoformat, rule["calendar"]["holidays"])
            ),
            weekend=frozenset(rule["calendar"]["weekend"]),
            name=rule["calendar"]["name"],
        )
    if rule["kind"] == "once":
        return Schedule.once(first_on, **given)
    if rule["kind"] == "twice_monthly":
        return Schedule.twice_monthly(
            first_on, days=tuple(rule["days"]), **given
        )
    given["every"] = rule["interval"]
    if rule["day"]:
        given["day"] = rule["day"]
    if rule["weekday"]:
        given["weekday"] = rule["weekday"]
    made = getattr(Schedule, rule["kind"])(first_on, **given)
    assert isinstance(made, Schedule)
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_the_dates_are_those_that_others_computed(
    case: dict[str, Any],
) -> None:
    schedule = built(case["rule"])
    expected = list(map(date.fromisoformat, case["expected"]))

    if "query" in case:
        on = date.fromisoformat(case["query"]["on_or_after"])
        found = schedule.next_on_or_after(on)
        assert [found.charge_on] if found else expected == []
        return
    if case["rule"]["one_year"]:
        end = schedule.one_year_ends_on
        year = takewhile(
            lambda each: each.nominal_on < end, schedule.occurrences()
        )
        assert [each.charge_on for each in year] == expected
        assert date.fromisoformat(case["window"][1]) == end
        return
    # One more than expected, so that one too many is seen.
    most = len(expected) + (0 if case.get("take") else 1)
    found_all = list(islice(schedule.occurrences(), most))
    assert [each.charge_on for each in found_all] == expected
    for each in found_all:
        assert schedule.occurrence_of(each.nominal_on) == each


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "adjusted_per_nominal" in case],
    ids=lambda case: str(case["id"]),
)
def test_every_nominal_date_rolls_where_others_rolled_it(
    case: dict[str, Any],
) -> None:
    schedule = built(case["rule"])

    for nominal, charge in zip(
        case["nominal"], case["adjusted_per_nominal"], strict=True
    ):
        found = schedule.occurrence_of(date.fromisoformat(nominal))
        assert found is not None
        assert found.charge_on == date.fromisoformat(charge)
