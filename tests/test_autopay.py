"""Standing orders: S6 to S8, S11, N2, and what a field may be."""

from __future__ import annotations

import datetime as dt
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

import autopay_core
from autopay_core.associations import Association
from autopay_core.autopay import (
    AdvanceNotice,
    AutoPay,
    AutoPayState,
    Enrollment,
    autopay_notices,
    due,
    ends_on,
    in_force,
    occurrence_on,
    renew,
    state_on,
    upcoming,
    years,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import MissedPolicy, Pause, Schedule
from worlds import (
    CARD,
    DAY,
    enrolled,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LAST = date(2026, 12, 31)
ANNIVERSARY = date(2027, 1, 31)


def _runs(autopay: AutoPay, until: date = date(2030, 1, 1)) -> list[date]:
    return [each.nominal_on for each in due(autopay, until)]


# -- Windows (S6 to S8) -------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "count"),
    [
        (Schedule.monthly(DAY), 12),
        (Schedule.quarterly(DAY), 4),
        (Schedule.semiannual(DAY), 2),
        (Schedule.yearly(DAY), 1),
        (Schedule.monthly(date(2024, 2, 29)), 12),
        (Schedule.yearly(date(2024, 2, 29)), 1),
        (Schedule.twice_monthly(DAY, days=(15, "last")), 24),
    ],
)
def test_s6_a_client_is_enrolled_for_one_year_of_occurrences(
    schedule: Schedule, count: int
) -> None:
    assert len(_runs(standing_order(schedule=schedule))) == count


def test_s6_the_anniversary_itself_does_not_run() -> None:
    autopay = standing_order()

    assert ends_on(autopay) == ANNIVERSARY
    assert _runs(autopay)[-1] == LAST
    assert upcoming(autopay, date(2027, 1, 1)) is None
    with pytest.raises(InvalidValueError, match="OccurrenceNotDue"):
        occurrence_on(autopay, ANNIVERSARY)


def test_s6_renewing_starts_another_year() -> None:
    renewed = renew(standing_order(), ANNIVERSARY)

    assert len(_runs(renewed)) == 24
    assert ends_on(renewed) == date(2028, 1, 31)
    assert years(renewed.enrollments[0], renewed.schedule) == (
        (DAY, ANNIVERSARY),
        (ANNIVERSARY, date(2028, 1, 31)),
    )


def test_s6_a_late_renewal_leaves_a_gap() -> None:
    renewed = renew(standing_order(), date(2027, 3, 5))

    runs = _runs(renewed)

    assert date(2027, 2, 28) not in runs
    assert runs[12] == date(2027, 3, 31)
    assert len(runs) == 24
    # It is over until the gap ends, and says what comes next.
    next_up = upcoming(renewed, date(2027, 1, 15))
    assert next_up is not None
    assert next_up.nominal_on == date(2027, 3, 31)


def test_s6_a_renewal_leaves_invoice_plans_alone() -> None:
    autopay = standing_order(enrollments=(to_client(), to_invoice("INV-1")))

    renewed = renew(autopay, ANNIVERSARY)

    assert [each.renewals for each in renewed.enrollments] == [
        (ANNIVERSARY,),
        (),
    ]


def test_s6_an_enrolment_that_begins_later_has_a_year_of_its_own() -> None:
    late = enrolled(to_client("C-2"), since=date(2026, 6, 10))
    autopay = standing_order(enrollments=(to_client(), late))

    assert years(late, autopay.schedule) == (
        (date(2026, 6, 30), date(2027, 6, 30)),
    )
    assert in_force(autopay, date(2026, 5, 31)) == (to_client(),)
    assert in_force(autopay, date(2026, 6, 30)) == (
        to_client(),
        to_client("C-2"),
    )
    assert in_force(autopay, date(2027, 2, 28)) == (to_client("C-2"),)
    assert ends_on(autopay) == date(2027, 6, 30)


def test_s6_an_enrolment_after_the_schedules_end_has_no_year() -> None:
    late = enrolled(to_client(), since=date(2027, 1, 1))
    autopay = standing_order(
        schedule=Schedule.monthly(DAY, count=3), enrollments=(late,)
    )

    assert years(late, autopay.schedule) == ()
    assert ends_on(autopay) is None
    assert upcoming(autopay, DAY) is None
    assert state_on(autopay, DAY) is AutoPayState.ENDED


def test_s6_the_year_counts_nominal_dates_whatever_rolling_does() -> None:
    calendar = BusinessCalendar(weekend=frozenset({6, 7}))
    schedule = Schedule.monthly(
        DAY, roll=Roll.FOLLOWING, calendar=calendar
    )  # 31 January 2026 is a Saturday

    autopay = standing_order(schedule=schedule)

    assert years(autopay.enrollments[0], schedule) == ((DAY, ANNIVERSARY),)
    assert len(_runs(autopay)) == 12
    assert occurrence_on(autopay, date(2026, 2, 2)).nominal_on == DAY
    with pytest.raises(InvalidValueError):
        occurrence_on(autopay, DAY)


def test_s7_an_invoice_plan_has_no_year() -> None:
    autopay = standing_order(enrollments=(to_invoice("INV-1"),))

    assert years(autopay.enrollments[0], autopay.schedule) == ()
    assert ends_on(autopay) is None
    assert len(_runs(autopay, date(2029, 2, 1))) == 37
    assert state_on(autopay, date(2029, 2, 1)) is AutoPayState.ACTIVE


def test_s7_an_invoice_plan_takes_part_from_its_day_on() -> None:
    plan = enrolled(to_invoice("INV-1"), since=date(2026, 3, 1))
    autopay = standing_order(enrollments=(plan,))

    assert _runs(autopay, date(2026, 4, 1)) == [date(2026, 3, 31)]


def test_s8_each_enrolment_ends_by_its_own_rule() -> None:
    autopay = standing_order(enrollments=(to_client(), to_invoice("INV-1")))

    assert ends_on(autopay) is None
    assert in_force(autopay, LAST) == (to_client(), to_invoice("INV-1"))
    assert in_force(autopay, ANNIVERSARY) == (to_invoice("INV-1"),)


# -- Pauses, skips, off (S11, R7) ---------------------------------------------


def test_s11_pauses_and_skips_drop_runs_and_move_nothing() -> None:
    autopay = standing_order(
        pauses=(Pause(from_on=date(2026, 3, 1), to_on=date(2026, 5, 1)),),
        skips=frozenset({date(2026, 6, 30)}),
    )

    runs = _runs(autopay, date(2026, 8, 1))

    assert runs == [
        DAY,
        date(2026, 2, 28),
        date(2026, 5, 31),
        date(2026, 7, 31),
    ]
    assert ends_on(autopay) == ANNIVERSARY
    for dropped in (date(2026, 3, 31), date(2026, 6, 30)):
        with pytest.raises(InvalidValueError, match="OccurrenceNotDue"):
            occurrence_on(autopay, dropped)


def test_what_is_due_comes_after_what_is_on_record() -> None:
    autopay = standing_order()

    found = due(autopay, date(2026, 4, 2), after=DAY)

    assert [each.nominal_on for each in found] == [
        date(2026, 2, 28),
        date(2026, 3, 31),
    ]


def test_a_record_of_a_former_schedule_does_not_hide_what_is_due() -> None:
    autopay = standing_order(schedule=Schedule.monthly(date(2026, 3, 10)))

    found = due(autopay, date(2026, 4, 2), after=date(2026, 2, 28))

    assert [each.nominal_on for each in found] == [date(2026, 3, 10)]


def test_nothing_is_due_from_the_day_it_is_turned_off() -> None:
    autopay = standing_order(off_from=date(2026, 3, 31))

    assert _runs(autopay) == [DAY, date(2026, 2, 28)]
    assert upcoming(autopay, date(2026, 3, 1)) is None


@pytest.mark.parametrize(
    ("changes", "on", "state"),
    [
        ({}, date(2026, 1, 30), AutoPayState.NOT_STARTED),
        ({}, DAY, AutoPayState.ACTIVE),
        ({}, LAST, AutoPayState.ACTIVE),
        ({}, date(2027, 1, 1), AutoPayState.ENDED),
        ({"off_from": DAY}, DAY, AutoPayState.OFF),
        ({"enrollments": ()}, DAY, AutoPayState.ENDED),
        (
            {"pauses": (Pause(from_on=date(2026, 3, 1)),)},
            date(2026, 2, 28),
            AutoPayState.ACTIVE,
        ),
        (
            {"pauses": (Pause(from_on=date(2026, 3, 1)),)},
            date(2026, 3, 1),
            AutoPayState.PAUSED,
        ),
        (
            {"pauses": (Pause(from_on=date(2026, 3, 1), to_on=LAST),)},
            LAST,
            AutoPayState.ACTIVE,
        ),
        (
            {"pauses": (Pause(from_on=date(2026, 3, 1)),)},
            date(2027, 1, 1),
            AutoPayState.ENDED,
        ),
    ],
)
def test_the_state_at_a_date(
    changes: dict[str, Any], on: date, state: AutoPayState
) -> None:
    assert state_on(standing_order(**changes), on) is state


@given(
    on=st.dates(date(2025, 1, 1), date(2029, 1, 1)),
    since=st.none() | st.dates(date(2025, 1, 1), date(2027, 1, 1)),
    renewals=st.lists(
        st.dates(date(2026, 6, 1), date(2028, 1, 1)), max_size=2, unique=True
    ).map(lambda each: tuple(sorted(each))),
    skips=st.frozensets(st.dates(DAY, date(2027, 3, 1)), max_size=3),
)
def test_upcoming_and_due_agree(
    on: date,
    since: date | None,
    renewals: tuple[date, ...],
    skips: frozenset[date],
) -> None:
    """What comes up next is the first thing that will fall due."""
    autopay = standing_order(
        schedule=Schedule.weekly(DAY, every=3),
        enrollments=(enrolled(to_client(), since=since, renewals=renewals),),
        skips=skips,
    )

    later = [
        each for each in due(autopay, date(2031, 1, 1)) if each.charge_on >= on
    ]

    assert upcoming(autopay, on) == (later[0] if later else None)
    for each in later:
        assert occurrence_on(autopay, each.charge_on) == each


# -- What is told (N2) --------------------------------------------------------


def _told(autopay: AutoPay, first: date, days: int) -> list[tuple[Any, date]]:
    """Return what is told on which day, each key once."""
    told: dict[str, tuple[Any, date]] = {}
    for day in range(days):
        on = first + timedelta(days=day)
        for notice in autopay_notices(autopay, on):
            told.setdefault(notice.key, (notice.kind, on))
    return list(told.values())


def test_n2_the_end_of_a_year_is_told_30_and_7_days_before() -> None:
    told = _told(standing_order(), date(2026, 11, 1), 150)

    assert told == [
        (NoticeKind.ENDING_SOON, ANNIVERSARY - timedelta(days=30)),
        (NoticeKind.ENDING_SOON, ANNIVERSARY - timedelta(days=7)),
        (NoticeKind.ENDED, ANNIVERSARY),
    ]


def test_n2_a_sweep_that_was_down_tells_late_but_not_for_ever() -> None:
    late = ANNIVERSARY + timedelta(days=29)

    assert [each.kind for each in autopay_notices(standing_order(), late)] == [
        NoticeKind.ENDED
    ]
    assert autopay_notices(standing_order(), late + timedelta(days=1)) == ()


def test_n2_a_renewal_is_not_announced_as_an_end() -> None:
    renewed = renew(standing_order(), ANNIVERSARY)

    assert _told(renewed, date(2026, 11, 1), 150) == []


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule.once(DAY),
        Schedule.monthly(DAY, count=1),
        Schedule.monthly(DAY, until=date(2026, 2, 27)),
    ],
)
@pytest.mark.parametrize("level", [to_client(), to_invoice("INV-1")])
def test_n2_a_schedule_that_ends_by_itself_asks_for_no_renewal(
    schedule: Schedule, level: Association
) -> None:
    autopay = standing_order(schedule=schedule, enrollments=(level,))

    told = _told(autopay, date(2025, 12, 1), 500)

    assert told == [(NoticeKind.ENDED, date(2026, 2, 1))]


def test_n2_turning_off_is_told_instead_of_the_end() -> None:
    autopay = standing_order(off_from=date(2027, 1, 10))

    assert _told(autopay, date(2026, 11, 1), 200) == [
        (NoticeKind.ENDED, date(2027, 1, 10))
    ]


def test_n2_pausing_and_resuming_are_told() -> None:
    pauses = (
        Pause(from_on=date(2026, 3, 1), to_on=date(2026, 5, 1)),
        Pause(from_on=date(2026, 8, 1)),
    )
    autopay = standing_order(pauses=pauses)

    assert _told(autopay, DAY, 250) == [
        (NoticeKind.PAUSED, date(2026, 3, 1)),
        (NoticeKind.RESUMED, date(2026, 5, 1)),
        (NoticeKind.PAUSED, date(2026, 8, 1)),
    ]
    details = [
        autopay_notices(autopay, each.from_on)[0].detail for each in pauses
    ]
    assert details == ["It rests until 2026-05-01.", "It rests."]


def test_n2_nothing_of_a_pause_is_told_once_it_is_off() -> None:
    autopay = standing_order(
        pauses=(Pause(from_on=date(2026, 3, 1)),), off_from=date(2026, 2, 1)
    )

    assert [kind for kind, _ in _told(autopay, DAY, 60)] == [NoticeKind.ENDED]


def test_n2_a_method_that_expires_is_told_without_its_token() -> None:
    expires_on = date(2026, 6, 30)
    method = attrs.evolve(CARD, expires_on=expires_on)
    autopay = standing_order(method=method)

    assert _told(autopay, DAY, 300) == [
        (NoticeKind.METHOD_EXPIRING, expires_on - timedelta(days=30))
    ]
    [notice] = autopay_notices(autopay, expires_on)
    assert "…0001" in notice.detail
    assert CARD.token not in notice.detail


# -- Values -------------------------------------------------------------------


def test_an_association_stands_for_its_enrolment_from_the_start() -> None:
    autopay = standing_order(enrollments=[to_client()])

    assert autopay.enrollments == (
        Enrollment(association=to_client(), years_from=(DAY,)),
    )


def test_the_repr_of_a_standing_order_reads_back_but_for_the_token() -> None:
    autopay = standing_order(
        enrollments=(
            enrolled(to_client(), since=DAY, renewals=(ANNIVERSARY,)),
        ),
        limit=Limit.up_to(usd("50"), per_month=usd("60")),
        pauses=(Pause(from_on=DAY),),
        skips=frozenset({DAY}),
        retry=RetryPolicy(),
        advance_notice=AdvanceNotice(least=usd("1"), most=usd("2")),
        missed=MissedPolicy.ALL,
        off_from=LAST,
    )

    names = {name: getattr(autopay_core, name) for name in dir(autopay_core)}
    names["datetime"] = dt
    again = eval(repr(autopay), names)  # noqa: S307 - our own repr

    assert CARD.token not in repr(autopay)
    assert attrs.evolve(again, method=CARD) == autopay


@pytest.mark.parametrize(
    ("make", "code", "path"),
    [
        (lambda: standing_order(name=" "), "FieldMissing", "name"),
        (lambda: standing_order(id=""), "FieldMissing", "id"),
        (lambda: standing_order(limit=None), "CapMissing", "limit"),
        (lambda: standing_order(order="due"), "FieldType", "order"),
        (
            lambda: standing_order(schedule=None),
            "ScheduleNotFound",
            "schedule",
        ),
        (
            lambda: standing_order(method="tok_1"),
            "PaymentMethodInvalid",
            "method",
        ),
        (lambda: standing_order(enrollments=None), "FieldType", "enrollments"),
        (
            lambda: standing_order(enrollments=(1,)),
            "FieldType",
            "enrollments[0]",
        ),
        (
            lambda: standing_order(enrollments=(to_client(payer="p2"),)),
            "AssociationOwnership",
            "enrollments[0].payer",
        ),
        (lambda: standing_order(skips=None), "FieldType", "skips"),
        (lambda: standing_order(skips=frozenset({1})), "DateType", "skips"),
        (lambda: standing_order(pauses=None), "FieldType", "pauses"),
        (
            lambda: standing_order(off_from="2026-01-01"),
            "DateType",
            "off_from",
        ),
        (lambda: standing_order(retry=3), "FieldType", "retry"),
        (
            lambda: standing_order(advance_notice=10),
            "FieldType",
            "advance_notice",
        ),
        (
            lambda: standing_order(
                limit=Limit.all("CAD"),
                advance_notice=AdvanceNotice(least=usd("1"), most=usd("2")),
            ),
            "CurrencyMismatch",
            "advance_notice",
        ),
        (lambda: AdvanceNotice(days=0), "OutOfRange", "days"),
        (lambda: AdvanceNotice(days=91), "OutOfRange", "days"),
        (lambda: AdvanceNotice(least=usd("1")), "FieldMissing", "most"),
        (
            lambda: AdvanceNotice(least=usd("2"), most=usd("1")),
            "OutOfRange",
            "most",
        ),
        (
            lambda: AdvanceNotice(least=1, most=2),  # type: ignore[arg-type]
            "FieldType",
            "least",
        ),
        (
            lambda: enrolled(to_client(), renewals=(LAST, DAY)),
            "RenewalOrder",
            "renewals",
        ),
        (
            lambda: enrolled(to_client(), renewals=(date(1, 1, 1),)),
            "DateOutOfRange",
            "renewals[0]",
        ),
        (lambda: enrolled(to_client(), since=7), "DateType", "since"),
    ],
)
def test_a_standing_order_that_cannot_be_is_refused(
    make: Callable[[], object], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize(
    ("amount", "allowed"),
    [("0.99", False), ("1.00", True), ("2.00", True), ("2.01", False)],
)
def test_n4_the_agreed_range_includes_its_ends(
    amount: str, allowed: bool
) -> None:
    policy = AdvanceNotice(least=usd("1"), most=usd("2"))

    assert policy.allows(usd(amount)) is allowed
    assert not AdvanceNotice().allows(usd(amount))
