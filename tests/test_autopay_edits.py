"""Edits of a standing order: S6, S11, S15; nothing lost, nothing granted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.autopay import (
    RENEWAL_DAYS,
    Edited,
    Known,
    due,
    edit,
    ends_on,
    in_force,
    renew,
    try_edit,
    turn_on,
    upcoming,
    years,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.schedules import Occurrence, Pause, Schedule
from worlds import (
    DAY,
    enrolled,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

END = date(2027, 1, 31)
WEEKENDS = BusinessCalendar()


def nominals(autopay: AutoPay, until: date) -> list[str]:
    return [str(each.nominal_on) for each in due(autopay, until)]


def collected(*days: date) -> Known:
    """Return what is known once these dates were collected."""
    return Known(
        collected=len(days),
        recent=tuple(
            Occurrence(nominal_on=each, charge_on=each) for each in days
        ),
    )


def refused(code: str, path: str, call: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(InvalidValueError) as caught:
        call(*args, **more)
    assert (caught.value.code, caught.value.path) == (code, path)
    return caught.value.message


# -- The year (S6) ------------------------------------------------------------


def test_s6_a_year_is_pinned_when_the_order_is_made() -> None:
    autopay = standing_order()

    assert [each.years_from for each in autopay.enrollments] == [(DAY,)]
    later = attrs.evolve(
        autopay, schedule=Schedule.monthly(date(2026, 12, 15))
    )
    assert ends_on(later) == END
    assert nominals(later, date(2028, 1, 1)) == ["2026-12-15", "2027-01-15"]


def test_s6_an_enrolment_that_nobody_pinned_has_the_years_of_a_schedule() -> (
    None
):
    alone = enrolled(to_client(), renewals=(END,))

    assert years(alone, Schedule.monthly(DAY)) == (
        (DAY, END),
        (END, date(2028, 1, 31)),
    )


def test_s6_a_renewal_by_hand_is_pinned_as_well() -> None:
    autopay = standing_order()
    [before] = autopay.enrollments
    by_hand = attrs.evolve(before, renewals=(END,))

    renewed = attrs.evolve(autopay, enrollments=(by_hand,))

    assert renewed.enrollments[0].years_from == (DAY, END)
    # Made again, nothing is added.
    assert attrs.evolve(renewed, name="Acme") == attrs.evolve(
        renew(autopay, END), name="Acme"
    )


@given(
    as_of=st.dates(date(2025, 12, 1), date(2027, 1, 30)),
    day=st.integers(1, 31),
    first=st.dates(date(2025, 12, 1), date(2027, 6, 1)),
)
@example(as_of=date(2026, 12, 1), day=15, first=date(2026, 12, 15))
@example(as_of=DAY, day=1, first=DAY)
def test_s6_an_edit_of_the_schedule_grants_no_second_year(
    as_of: date, day: int, first: date
) -> None:
    autopay = standing_order()

    edited = edit(
        autopay, as_of=as_of, schedule=Schedule.monthly(first, day=day)
    )

    [window] = years(edited.enrollments[0], edited.schedule)
    if as_of >= DAY:
        assert window == (DAY, END)
    else:
        # Nothing has run: the year moves with the schedule.
        assert window[0] == edited.schedule.first.nominal_on
        assert len(due(edited, date(2030, 1, 1))) <= 12


def test_s6_what_is_enrolled_again_keeps_its_year() -> None:
    autopay = standing_order()

    edited = edit(
        autopay,
        as_of=date(2026, 9, 1),
        enrollments=(to_client(), to_client("C-2"), to_invoice("INV-1")),
    )

    assert [each.years_from for each in edited.enrollments] == [
        (DAY,),
        (date(2026, 9, 30),),
        (),
    ]
    assert edited.enrollments[1].since == date(2026, 9, 1)
    assert in_force(edited, date(2026, 8, 31)) == (
        to_client(),
        to_invoice("INV-1"),
    )


def test_s6_what_is_enrolled_before_the_start_takes_part_from_the_start() -> (
    None
):
    given_day = enrolled(to_client("C-3"), since=date(2026, 5, 1))

    edited = edit(
        standing_order(),
        as_of=date(2026, 1, 5),
        enrollments=(to_client(), to_client("C-2"), given_day),
    )

    assert [each.years_from for each in edited.enrollments] == [
        (DAY,),
        (DAY,),
        (date(2026, 5, 31),),
    ]


def test_s6_an_enrolment_without_a_year_gets_one_from_a_longer_schedule() -> (
    None
):
    late = enrolled(to_client(), since=date(2027, 1, 1))
    autopay = standing_order(
        schedule=Schedule.monthly(DAY, count=3), enrollments=(late,)
    )

    edited = edit(
        autopay, as_of=date(2026, 6, 1), schedule=Schedule.monthly(DAY)
    )

    assert edited.enrollments[0].years_from == (date(2027, 1, 31),)


def test_s6_without_a_day_every_year_counts_as_begun_and_no_date_as_past() -> (
    None
):
    december = Schedule.monthly(date(2026, 12, 15))

    found = try_edit(
        standing_order(),
        schedule=december,
        enrollments=(to_client(), to_client("C-2")),
        skips=frozenset({date(2026, 12, 15)}),
    )

    assert [each.years_from for each in found.autopay.enrollments] == [
        (DAY,),
        (date(2026, 12, 15),),
    ]
    assert found.left_out == ()
    assert ends_on(edit(standing_order(), schedule=december)) == END


# -- Renewing (S6) ------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "begins"),
    [
        (END - timedelta(days=RENEWAL_DAYS), END),
        (END, END),
        (date(2027, 3, 5), date(2027, 3, 31)),
    ],
)
def test_s6_a_renewal_starts_at_the_end_or_today_when_that_is_past(
    as_of: date, begins: date
) -> None:
    [renewed] = renew(standing_order(), as_of=as_of).enrollments

    assert renewed.years_from == (DAY, begins)
    assert renewed.renewals == (max(END, as_of),)


def test_s6_a_second_click_renews_nothing() -> None:
    once = renew(standing_order(), END)

    for again in (once, standing_order()):
        message = refused(
            "RenewalTooEarly", "as_of", renew, again, date(2026, 12, 1)
        )
    assert (
        message == "the year ends on 2027-01-31; renew it from 2026-12-02 on"
    )
    refused("RenewalTooEarly", "as_of", renew, once, END)


def test_s8_only_the_years_that_end_soon_are_renewed() -> None:
    later = enrolled(to_client("C-2"), since=date(2026, 7, 1))
    autopay = standing_order(enrollments=(to_client(), later))

    renewed = renew(autopay, date(2027, 1, 10))

    assert [each.years_from for each in renewed.enrollments] == [
        (DAY, END),
        (date(2026, 7, 31),),
    ]


def test_s7_there_is_no_year_of_a_plan_to_renew() -> None:
    plan = standing_order(enrollments=(to_invoice("INV-1"),))

    assert renew(plan, DAY) == plan


def test_s6_a_schedule_that_has_ended_is_not_renewed() -> None:
    autopay = standing_order(schedule=Schedule.monthly(DAY, count=12))

    refused("ScheduleEmpty", "schedule", renew, autopay, END)


# -- On again (S11) -----------------------------------------------------------


@given(
    off=st.dates(date(2026, 1, 1), date(2026, 12, 1)),
    days=st.integers(1, 200),
    count=st.none() | st.integers(1, 6),
)
@example(off=date(2026, 2, 1), days=42, count=None)
def test_s11_coming_back_makes_nothing_up(
    off: date, days: int, count: int | None
) -> None:
    on_again = off + timedelta(days=days)
    before = standing_order(
        schedule=Schedule.monthly(DAY, count=count), off_from=off
    )

    for after in (
        turn_on(before, on_again),
        edit(before, as_of=on_again, off_from=None),
    ):
        assert after.off_from is None
        assert not [
            each
            for each in due(after, date(2028, 1, 1))
            if off <= each.charge_on < on_again
        ]
        runs = len(due(after, date(2028, 1, 1)))
        if count is not None and on_again < date(2026, 7, 1):
            assert runs == count


def test_s11_what_is_not_off_is_not_turned_on() -> None:
    autopay = standing_order()
    ending = attrs.evolve(autopay, off_from=date(2026, 6, 1))

    assert turn_on(autopay, DAY) == autopay
    assert turn_on(ending, date(2026, 5, 1)) == autopay
    assert turn_on(ending, date(2026, 6, 1)) == autopay


def test_s11_turning_on_and_pausing_at_once_rests_without_a_gap() -> None:
    off = standing_order(off_from=date(2026, 2, 1))
    rest = Pause(from_on=date(2026, 5, 1), to_on=date(2026, 6, 1))

    edited = edit(off, as_of=date(2026, 4, 2), off_from=None, pauses=(rest,))

    assert nominals(edited, date(2026, 7, 1)) == [
        "2026-01-31",
        "2026-04-30",
        "2026-06-30",
    ]


# -- Pauses and skips (S11) ---------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        Pause(from_on=date(2026, 2, 1)),
        Pause(from_on=date(2026, 2, 1), to_on=date(2026, 9, 1)),
    ],
)
@pytest.mark.parametrize(
    "instead",
    [(), (Pause(from_on=date(2026, 2, 1), to_on=date(2026, 3, 1)),)],
)
def test_s11_a_pause_that_is_lifted_ends_today_and_makes_nothing_up(
    rest: Pause, instead: tuple[Pause, ...]
) -> None:
    paused = standing_order(pauses=(rest,))

    resumed = edit(paused, as_of=date(2026, 6, 15), pauses=instead)

    assert resumed.pauses == (
        Pause(from_on=date(2026, 2, 1), to_on=date(2026, 6, 15)),
    )
    assert nominals(resumed, date(2026, 7, 1)) == ["2026-01-31", "2026-06-30"]


def test_s11_a_pause_to_come_can_be_taken_away_or_made_longer() -> None:
    rest = Pause(from_on=date(2026, 6, 1), to_on=date(2026, 7, 1))
    longer = attrs.evolve(rest, to_on=date(2026, 9, 1))
    paused = standing_order(pauses=(rest,))
    as_of = date(2026, 5, 1)

    assert edit(paused, as_of=as_of, pauses=()).pauses == ()
    assert edit(paused, as_of=as_of, pauses=(longer,)).pauses == (longer,)
    during = edit(paused, as_of=date(2026, 6, 15), pauses=(longer,))
    assert during.pauses == (longer,)


def test_s11_a_skip_that_has_passed_stays() -> None:
    autopay = standing_order(
        skips=frozenset({date(2026, 2, 28), date(2026, 5, 31)})
    )

    edited = edit(autopay, as_of=date(2026, 4, 1), skips=frozenset())

    assert edited.skips == {date(2026, 2, 28)}


ROLLED = standing_order(
    schedule=Schedule.monthly(DAY, roll=Roll.FOLLOWING, calendar=WEEKENDS)
)
"""Saturday 28 February is charged on Monday 2 March."""


@pytest.mark.parametrize("seen", [date(2026, 2, 28), date(2026, 3, 2)])
def test_s11_a_skip_of_what_people_see_is_taken(seen: date) -> None:
    edited = edit(ROLLED, as_of=date(2026, 2, 5), skips=frozenset({seen}))

    assert upcoming(edited, date(2026, 2, 5)) == Occurrence(
        nominal_on=date(2026, 3, 31), charge_on=date(2026, 3, 31)
    )


@pytest.mark.parametrize(
    ("skip", "as_of"),
    [
        (date(2026, 3, 1), date(2026, 2, 5)),  # neither of the two
        (date(2026, 2, 2), date(2026, 2, 5)),  # past
        (date(2027, 2, 28), date(2026, 2, 5)),  # after the year
    ],
)
def test_s11_a_skip_that_matches_no_date_to_come_is_refused(
    skip: date, as_of: date
) -> None:
    message = refused(
        "OccurrenceNotDue",
        "skips",
        edit,
        ROLLED,
        as_of=as_of,
        skips=frozenset({skip}),
    )

    assert str(skip) in message
    # The constructor refuses none; what is due passes over it.
    stored = attrs.evolve(ROLLED, skips=frozenset({skip}))
    assert upcoming(stored, as_of) == upcoming(ROLLED, as_of)


@pytest.mark.parametrize(
    ("from_on", "to_on", "matches"),
    [
        (date(2026, 2, 28), date(2026, 3, 1), True),  # nominal
        (date(2026, 3, 2), date(2026, 3, 3), True),  # charged
        (date(2026, 3, 1), date(2026, 3, 2), False),
        (date(2026, 1, 1), date(2026, 2, 5), False),  # past
        (date(2027, 1, 31), None, False),  # after the year
        (date(2026, 2, 6), None, True),
    ],
)
def test_s11_a_pause_that_matches_no_date_to_come_is_refused(
    from_on: date, to_on: date | None, matches: bool
) -> None:
    pause = Pause(from_on=from_on, to_on=to_on)
    options: Any = {"as_of": date(2026, 2, 5), "pauses": (pause,)}

    if matches:
        assert edit(ROLLED, **options).pauses == (pause,)
    else:
        refused("OccurrenceNotDue", "pauses", edit, ROLLED, **options)


# -- Moves (S15) --------------------------------------------------------------


@pytest.mark.parametrize("named", [date(2026, 2, 28), date(2026, 3, 2)])
def test_s15_a_date_is_moved_by_either_name_and_keeps_its_own(
    named: date,
) -> None:
    edited = edit(
        ROLLED, as_of=date(2026, 2, 5), moves={named: date(2026, 3, 10)}
    )

    assert dict(edited.moves) == {date(2026, 2, 28): date(2026, 3, 10)}
    assert upcoming(edited, date(2026, 2, 5)) == Occurrence(
        nominal_on=date(2026, 2, 28), charge_on=date(2026, 3, 10)
    )
    # Moved once more, by the day on which people see it now.
    again = edit(
        edited,
        as_of=date(2026, 2, 6),
        moves={date(2026, 2, 28): date(2026, 3, 11)},
    )
    assert dict(again.moves) == {date(2026, 2, 28): date(2026, 3, 11)}


@pytest.mark.parametrize(
    ("moves", "why"),
    [
        ({date(2026, 2, 28): date(2026, 3, 31)}, "before the next"),
        ({date(2026, 2, 28): date(2026, 2, 2)}, "after the charge date"),
        ({date(2026, 2, 28): date(2026, 2, 4)}, "is past"),
        ({date(2026, 2, 28): date(2026, 3, 7)}, "is closed"),
        ({DAY: date(2026, 2, 10)}, "has come already"),
        ({date(2026, 6, 30): date(2026, 7, 1)}, "does not run"),
        ({date(2027, 2, 28): date(2027, 3, 3)}, "does not run"),
        ({date(2026, 3, 1): date(2026, 3, 3)}, "before the next"),
    ],
)
def test_s15_a_move_that_cannot_be_is_refused(
    moves: dict[date, date], why: str
) -> None:
    autopay = attrs.evolve(ROLLED, skips=frozenset({date(2026, 6, 30)}))

    message = refused(
        "MoveInvalid",
        "moves",
        edit,
        autopay,
        as_of=date(2026, 2, 5),
        moves=moves,
    )

    assert why in message


def test_s15_what_was_collected_today_is_not_moved() -> None:
    autopay = standing_order()
    moves = {DAY: date(2026, 2, 3)}

    refused(
        "MoveInvalid",
        "moves",
        edit,
        autopay,
        as_of=DAY,
        known=collected(DAY),
        moves=moves,
    )
    assert edit(autopay, as_of=DAY, moves=moves).moves == moves


def test_s15_a_date_that_ran_is_neither_moved_nor_skipped() -> None:
    autopay = standing_order()
    known = Known(ran_to=DAY)
    coming = date(2026, 2, 28)

    message = refused(
        "MoveInvalid",
        "moves",
        edit,
        autopay,
        as_of=DAY,
        known=known,
        moves={DAY: date(2026, 2, 3)},
    )
    assert "has come already" in message
    refused(
        "OccurrenceNotDue",
        "skips",
        edit,
        autopay,
        as_of=DAY,
        known=known,
        skips=frozenset({DAY}),
    )
    edited = edit(
        autopay,
        as_of=DAY,
        known=known,
        moves={coming: date(2026, 3, 2)},
        skips=frozenset({date(2026, 3, 31)}),
    )
    assert edited.moves == {coming: date(2026, 3, 2)}


def test_s15_a_move_is_not_taken_back_once_its_own_day_has_passed() -> None:
    autopay = edit(
        standing_order(),
        as_of=date(2026, 2, 5),
        moves={date(2026, 2, 28): date(2026, 3, 10)},
    )

    assert edit(autopay, as_of=date(2026, 2, 28), moves={}).moves == {}
    message = refused(
        "MoveInvalid", "moves", edit, autopay, as_of=date(2026, 3, 1), moves={}
    )
    assert "2026-02-28 is past" in message
    assert edit(autopay, as_of=date(2026, 3, 11), moves={}).moves == {}


def test_s15_a_move_stays_when_something_else_is_edited() -> None:
    moves = {date(2026, 2, 28): date(2026, 3, 10)}
    autopay = standing_order(moves=moves)

    for as_of in (DAY, date(2026, 3, 5), date(2026, 6, 1)):
        found = try_edit(autopay, as_of=as_of, name="Acme")
        assert found == Edited(autopay=attrs.evolve(autopay, name="Acme"))


def test_s15_a_move_that_pushes_another_one_out_is_refused() -> None:
    autopay = edit(
        standing_order(),
        as_of=date(2026, 2, 5),
        moves={date(2026, 3, 31): date(2026, 3, 5)},
    )
    moves = {**autopay.moves, date(2026, 2, 28): date(2026, 3, 6)}

    message = refused(
        "MoveInvalid",
        "moves",
        edit,
        autopay,
        as_of=date(2026, 2, 6),
        moves=moves,
    )

    assert message.startswith("2026-03-31 cannot be moved")


# -- Another schedule (S15) ---------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "left_out"),
    [
        (Schedule.monthly(DAY, day=15), ["2026-03-15"]),
        (Schedule.monthly(date(2026, 3, 10)), ["2026-03-10"]),
        (
            Schedule.twice_monthly(date(2026, 3, 4), days=(6, 20)),
            ["2026-03-06"],
        ),
        (Schedule.weekly(date(2026, 3, 3)), []),
        (Schedule.weekly(date(2026, 3, 3), weekday=6), []),
        (Schedule.quarterly(date(2026, 3, 20)), ["2026-03-20"]),
        (Schedule.daily(date(2026, 3, 4)), []),
        (Schedule.once(date(2026, 3, 9)), []),
    ],
)
def test_s15_a_period_that_was_collected_is_not_collected_again(
    schedule: Schedule, left_out: list[str]
) -> None:
    first = Schedule.monthly(date(2026, 3, 1))
    autopay = standing_order(schedule=first)
    known = collected(date(2026, 3, 1))
    as_of = date(2026, 3, 3)

    found = try_edit(autopay, as_of=as_of, known=known, schedule=schedule)
    again = edit(
        autopay,
        as_of=as_of,
        known=known,
        schedule=schedule,
        collect_again=True,
    )

    ahead = [str(each) for each in found.left_out if each >= as_of]
    assert ahead == left_out
    for each in left_out:
        assert date.fromisoformat(each) not in again.skips
        runs = due(found.autopay, date(2026, 5, 1), after=date(2026, 3, 1))
        assert each not in {str(one.nominal_on) for one in runs}


def test_s15_the_same_iso_week_is_collected_once() -> None:
    # Monday was collected; Friday of the same week is the new day.
    monday = date(2026, 3, 2)
    autopay = standing_order(schedule=Schedule.weekly(monday))

    found = try_edit(
        autopay,
        as_of=date(2026, 3, 3),
        known=collected(monday),
        schedule=Schedule.weekly(monday, weekday=5),
    )

    assert found.left_out == (date(2026, 3, 6),)


def test_s15_an_edit_of_the_end_alone_leaves_nothing_out() -> None:
    found = try_edit(
        standing_order(),
        as_of=DAY,
        known=collected(DAY),
        schedule=Schedule.monthly(DAY, until=date(2026, 9, 1)),
    )

    assert found == Edited(autopay=found.autopay)


def test_s11_another_schedule_makes_up_nothing_that_is_past() -> None:
    found = try_edit(
        standing_order(),
        as_of=date(2026, 2, 20),
        schedule=Schedule.monthly(date(2026, 1, 15)),
    )

    assert nominals(found.autopay, date(2026, 4, 1)) == ["2026-03-15"]
    assert found.left_out == (date(2026, 1, 15), date(2026, 2, 15))


def test_s11_past_dates_that_both_schedules_name_are_not_left_out() -> None:
    found = try_edit(
        standing_order(schedule=Schedule.monthly(DAY, count=6)),
        as_of=date(2026, 3, 5),
        schedule=Schedule.last_day(DAY, count=6),
    )

    # They have run, and go on to count.
    assert found.left_out == ()
    assert nominals(found.autopay, date(2027, 1, 1))[-1] == "2026-06-30"


def test_s11_old_dates_that_an_edit_drops_are_named() -> None:
    autopay = standing_order(
        skips=frozenset({date(2026, 2, 28), date(2026, 5, 31)}),
        moves={
            date(2026, 3, 31): date(2026, 4, 2),
            date(2026, 6, 30): date(2026, 7, 2),
        },
        pauses=(Pause(from_on=date(2026, 8, 1), to_on=date(2026, 9, 1)),),
    )

    found = try_edit(
        autopay,
        as_of=date(2026, 4, 15),
        schedule=Schedule.monthly(date(2026, 5, 20)),
    )

    # What is past is nobody's concern, and a pause is a stretch of any dates.
    assert found.dropped == (date(2026, 5, 31), date(2026, 6, 30))
    assert found.autopay.moves == {}
    assert found.autopay.pauses == autopay.pauses
    assert date(2026, 5, 31) not in found.autopay.skips


def test_s11_what_names_a_date_of_the_new_schedule_too_is_kept() -> None:
    autopay = standing_order(skips=frozenset({date(2026, 2, 28)}))

    found = try_edit(
        autopay, as_of=DAY, schedule=Schedule.monthly(DAY, day=28)
    )

    assert found.dropped == ()
    assert date(2026, 2, 28) in found.autopay.skips


# -- What an edit is ----------------------------------------------------------


def test_an_edit_of_a_field_changes_that_field() -> None:
    autopay = standing_order()

    edited = edit(
        autopay, as_of=DAY, name="Acme", limit=Limit.up_to(usd("50"))
    )

    assert edited == attrs.evolve(
        autopay, name="Acme", limit=Limit.up_to(usd("50"))
    )
    assert edit(edited, as_of=DAY) == edited


@pytest.mark.parametrize("name", ["id", "payer"])
def test_another_id_or_payer_is_another_order(name: str) -> None:
    refused(
        "FieldFixed", name, edit, standing_order(), as_of=DAY, **{name: "x"}
    )


def test_an_edit_checks_what_it_is_given() -> None:
    autopay = standing_order()

    refused("DateType", "as_of", edit, autopay, as_of="2026-01-31")
    refused("FieldType", "known", edit, autopay, as_of=DAY, known={})
    refused("FieldMissing", "name", edit, autopay, as_of=DAY, name=" ")
    with pytest.raises(TypeError):
        edit(autopay, as_of=DAY, colour="red")
