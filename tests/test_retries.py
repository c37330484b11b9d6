"""Retrying declines within the networks' limits: rule N3, with H2 and S9."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule as step

from autopay_core.business_days import BusinessCalendar
from autopay_core.charges import DeclineClass, Declined
from autopay_core.errors import InvalidValueError
from autopay_core.retries import (
    NETWORK_LIMITS,
    AnotherMethod,
    AttemptRecord,
    NetworkLimit,
    Retry,
    RetryPolicy,
    after_decline,
    network_limit,
    next_attempt,
    window_opens_at,
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


# -- After a decline ----------------------------------------------------------

DAY = timedelta(days=1)
FRIDAY = date(2026, 1, 30)
HOLIDAY = date(2026, 2, 2)
CALENDAR = BusinessCalendar(holidays=frozenset({HOLIDAY}))


def _after(
    declined: Declined = LATER, method: Any = CARD, **changes: Any
) -> Retry | AnotherMethod | None:
    known_on = changes.pop("known_on", FRIDAY)
    return after_decline(
        changes.pop("policy", RetryPolicy()),
        declined,
        method,
        known_on=known_on,
        tries=changes.pop("tries", 1),
        first_on=changes.pop("first_on", known_on),
        **changes,
    )


def _retry(found: Retry | AnotherMethod | None) -> Retry:
    assert isinstance(found, Retry)
    return found


def test_n3_a_retry_falls_on_a_day_and_not_on_an_instant() -> None:
    found = _after(known_on=date(2026, 1, 31))

    assert found == Retry(on=date(2026, 2, 3), at=None, same_amount=False)


def test_n3_the_days_count_from_when_a_bank_debits_decline_is_known() -> None:
    returned = attrs.evolve(LATER, code="R01")

    found = _after(
        returned,
        BANK,
        first_on=FRIDAY,
        known_on=date(2026, 2, 4),
        calendar=BusinessCalendar(),
    )

    # The 7th is a Saturday.
    assert found == Retry(on=date(2026, 2, 9), at=None, same_amount=True)


@pytest.mark.parametrize("method", [CARD, BANK, VISA])
def test_n3_a_retry_falls_on_an_open_day_of_the_auto_pay(method: Any) -> None:
    policy = RetryPolicy(retries_most=3, every_days=1)
    returned = attrs.evolve(LATER, code="R01")

    found = _retry(_after(returned, method, policy=policy, calendar=CALENDAR))

    # Not on Saturday, on Sunday, or on the holiday of Monday.
    assert found.on == date(2026, 2, 3)
    free = _retry(_after(returned, method, policy=policy))
    assert free.on == date(2026, 1, 31)


def test_n3_an_answer_that_says_not_before_is_obeyed() -> None:
    late = datetime(2026, 2, 10, 3, tzinfo=UTC)

    found = _retry(_after(not_before=late))
    there = _retry(_after(not_before=late, zone="America/New_York"))
    soon = _retry(_after(not_before=datetime(2026, 2, 1, 23, tzinfo=UTC)))
    never = _after(not_before=datetime.max.replace(tzinfo=UTC))

    assert (found.on, found.at) == (date(2026, 2, 10), late)
    assert (there.on, there.at) == (date(2026, 2, 9), late)
    # It is over before the policy's own day.
    assert (soon.on, soon.at) == (date(2026, 2, 2), None)
    assert never is None


def test_n3_what_is_asked_for_on_the_day_itself_still_waits_for_its_hour() -> (
    None
):
    noon = datetime(2026, 2, 2, 12, tzinfo=UTC)

    found = _retry(_after(not_before=noon))

    assert (found.on, found.at) == (date(2026, 2, 2), noon)


@pytest.mark.parametrize(
    ("tries", "first_on", "is_tried"),
    [
        (1, FRIDAY, True),
        (2, FRIDAY, True),
        (3, FRIDAY, False),
        (1, FRIDAY - 18 * DAY, True),
        (1, FRIDAY - 19 * DAY, False),
    ],
)
def test_n3_a_policy_ends_by_number_and_by_days(
    tries: int, first_on: date, is_tried: bool
) -> None:
    policy = RetryPolicy(retries_most=2, every_days=3, within_days=21)

    found = _after(policy=policy, tries=tries, first_on=first_on)

    assert (found is not None) is is_tried


def test_n3_another_method_starts_anew() -> None:
    once = RetryPolicy(retries_most=1)

    spent = _after(policy=once, tries=2, first_on=FRIDAY - 3 * DAY)
    new = _after(method=VISA, policy=once, tries=1)

    assert spent is None
    assert isinstance(new, Retry)


@pytest.mark.parametrize(
    ("declined", "method", "changes", "found"),
    [
        ({"decline_class": DeclineClass.NEVER}, CARD, {}, AnotherMethod),
        ({"decline_class": DeclineClass.FIX_FIRST}, CARD, {}, AnotherMethod),
        ({"code": "43"}, VISA, {}, AnotherMethod),
        ({"code": "R02"}, BANK, {"is_method_held": True}, AnotherMethod),
        ({"code": "R17"}, BANK, {}, type(None)),
        # A bank's code is the ACH's, whatever the method says.
        ({"code": "R17"}, VISA, {}, type(None)),
        ({"code": "R09"}, VISA, {}, Retry),
        ({"decline_class": DeclineClass.UNKNOWN}, CARD, {}, type(None)),
        ({}, CARD, {"policy": None}, type(None)),
        (
            {"decline_class": DeclineClass.NEVER},
            CARD,
            {"policy": None},
            type(None),
        ),
    ],
)
def test_n3_only_with_a_policy_a_run_waits_for_another_method(
    declined: dict[str, Any],
    method: Any,
    changes: dict[str, Any],
    found: type[object],
) -> None:
    result = _after(attrs.evolve(LATER, **declined), method, **changes)

    assert type(result) is found


def test_n3_a_bank_debit_is_presented_again_twice_in_180_days() -> None:
    policy = RetryPolicy(retries_most=3, every_days=30, within_days=180)
    returned = attrs.evolve(LATER, code="R01")

    found = [
        _after(returned, BANK, policy=policy, tries=tries) is not None
        for tries in (1, 2, 3)
    ]
    late = [
        _after(returned, BANK, policy=policy, first_on=FRIDAY - days * DAY)
        is not None
        for days in (150, 151)
    ]

    assert found == [True, True, False]
    assert late == [True, False]


# -- The networks' windows ----------------------------------------------------


def test_n3_a_window_is_full_of_declines_only_and_opens_by_them() -> None:
    fourteen = [AT - each * DAY / 2 for each in range(14)]
    oldest = AT - 13 * DAY

    assert window_opens_at(VISA, fourteen, AT.date()) is None
    full = window_opens_at(VISA, [*fourteen, oldest], AT.date())
    assert full == oldest + 30 * DAY
    # Of cards of no known network, and of bank debits, none is full.
    for method in (CARD, BANK):
        assert window_opens_at(method, fourteen * 5, AT.date()) is None


def test_n3_of_two_windows_the_later_one_counts() -> None:
    today = [AT - timedelta(minutes=each) for each in range(10)]
    month = [AT - each * DAY / 2 for each in range(25)]

    by_day = window_opens_at(MASTERCARD, today, AT.date())
    by_month = window_opens_at(MASTERCARD, [*today, *month], AT.date())

    assert by_day == today[-1] + DAY
    assert by_month == month[-1] + 30 * DAY


def test_n3_a_full_window_moves_a_retry_on() -> None:
    declines = [AT - each * DAY for each in range(15)]
    every: dict[str, Any] = {
        "method": VISA,
        "known_on": AT.date(),
        "declines": declines,
    }

    found = _retry(_after(**every))
    too_late = _after(policy=RetryPolicy(within_days=15), **every)

    assert (found.on, found.at) == (date(2026, 2, 16), AT + 16 * DAY)
    assert too_late is None


@given(
    network=st.sampled_from(["visa", "mastercard", ""]),
    hours=st.lists(st.integers(-30 * 24, 0), max_size=40),
    every=st.integers(1, 30),
    known=st.integers(0, 40),
    not_before=st.none() | st.integers(-48, 30 * 24),
    zone=st.sampled_from(["UTC", "America/New_York", "Pacific/Kiritimati"]),
    is_rolling=st.booleans(),
)
@example(
    network="mastercard",
    hours=[0] * 10,
    every=1,
    known=0,
    not_before=None,
    zone="UTC",
    is_rolling=True,
)
def test_n3_a_retry_keeps_every_limit_that_there_is(
    network: str,
    hours: list[int],
    every: int,
    known: int,
    not_before: int | None,
    zone: str,
    is_rolling: bool,
) -> None:
    method = attrs.evolve(CARD, network=network)
    declines = [AT + timedelta(hours=each) for each in hours]
    known_on = AT.date() + known * DAY
    asked = None if not_before is None else AT + timedelta(hours=not_before)
    calendar = CALENDAR if is_rolling else None

    found = _after(
        method=method,
        policy=RetryPolicy(every_days=every, within_days=60),
        known_on=known_on,
        declines=declines,
        not_before=asked,
        zone=zone,
        calendar=calendar,
    )

    if found is None:
        # Only what was put off for long is not tried again.
        assert asked is not None or len(declines) >= 10 or is_rolling
        return
    found = _retry(found)
    assert found.on >= known_on + every * DAY
    assert (found.on - known_on).days <= 60
    assert calendar is None or calendar.is_open(found.on)
    # The first instant of that day, or the one that is named.
    at = found.at or datetime(
        found.on.year, found.on.month, found.on.day, tzinfo=UTC
    )
    limit = network_limit(method, known_on)
    for days, most in () if limit is None else limit.windows:
        begin = at - days * DAY + timedelta(hours=14)
        if found.at is not None:
            begin = at - days * DAY
        assert sum(each > begin for each in declines) < most
    if asked is not None and found.at is not None:
        assert found.at >= asked


class WindowMachine(RuleBasedStateMachine):
    """
    A card that most auto-pays of a payer try at any time, and one network.

    Each asks for the window before it sends. Whatever they do, no network's
    limit is overrun; and after a month without a decline nothing is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.method = MASTERCARD
        self.declines: list[datetime] = []

    @step(hours=st.sampled_from([0, 0, 1, 5, 24, 24 * 20]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @step(tries=st.integers(1, 12), is_declined=st.booleans())
    def try_it(self, tries: int, is_declined: bool) -> None:
        for _ in range(tries):
            opens_at = window_opens_at(
                self.method, self.declines, self.now.date()
            )
            # What is approved does not count.
            if (opens_at is None or opens_at <= self.now) and is_declined:
                self.declines.append(self.now)

    @invariant()
    def no_limit_is_overrun(self) -> None:
        for days, most in ((1, 10), (30, 35)):
            begin = self.now - days * DAY
            assert sum(each > begin for each in self.declines) <= most

    @invariant()
    def a_window_opens_again(self) -> None:
        then = self.now + 30 * DAY
        opens_at = window_opens_at(self.method, self.declines, then.date())
        assert opens_at is None or opens_at <= then


TestWindowMachine = WindowMachine.TestCase
