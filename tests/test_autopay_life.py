"""State, end and next date of a standing order agree: S7, S8, S11, S14, N2."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.associations import Association
from autopay_core.autopay import (
    AutoPayState,
    Ending,
    Known,
    autopay_notices,
    due,
    ending,
    ends_on,
    in_force,
    occurrence_on,
    passed_over,
    state_on,
    upcoming,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit, Spent
from autopay_core.notices import NoticeKind
from autopay_core.schedules import Occurrence, Pause, Schedule
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
    from autopay_core.autopay import AutoPay

END = date(2027, 1, 31)
WEEKENDS = BusinessCalendar()
FEBRUARY = date(2026, 2, 28)
MARCH = date(2026, 3, 31)


def paid(*days: date, **more: Any) -> Known:
    """Return what is known once these dates were collected."""
    return Known(
        collected=len(days),
        recent=tuple(
            Occurrence(nominal_on=each, charge_on=each) for each in days
        ),
        **more,
    )


def spent(amount: str) -> Spent:
    return Spent(month=usd("0"), lifetime=usd(amount))


def told(autopay: AutoPay, as_of: date, known: Known | None = None) -> Any:
    known = Known() if known is None else known
    return [
        (each.kind, each.on)
        for each in autopay_notices(autopay, as_of, known=known)
    ]


# -- The ends (S7, S8) --------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "taken", "ended"),
    [
        (Limit.all("USD", lifetime=usd("100")), "99.99", False),
        (Limit.all("USD", lifetime=usd("100")), "100", True),
        (Limit.all("USD", lifetime=usd("100")), "101", True),
        (
            Limit.all("USD", lifetime=usd("100"), minimum=usd("5")),
            "95.01",
            True,
        ),
        (Limit.all("USD", lifetime=usd("100"), minimum=usd("5")), "95", False),
        (Limit.all("USD"), "100", False),
    ],
)
def test_s8_a_total_that_is_reached_is_an_end(
    limit: Limit, taken: str, ended: bool
) -> None:
    autopay = standing_order(limit=limit)
    known = paid(FEBRUARY, spent=spent(taken))
    as_of = date(2026, 3, 1)

    if not ended:
        assert state_on(autopay, as_of, known=known) is AutoPayState.ACTIVE
        assert ends_on(autopay, known=known) == END
        return
    assert state_on(autopay, as_of, known=known) is AutoPayState.ENDED
    assert ending(autopay, as_of, known=known) is Ending.LIFETIME
    assert upcoming(autopay, as_of, known=known) is None
    assert due(autopay, MARCH, known=known) == []
    assert ends_on(autopay, known=known) == as_of
    assert told(autopay, as_of, known) == [(NoticeKind.ENDED, FEBRUARY)]
    # Nobody says what was spent: dates alone decide.
    assert state_on(autopay, as_of) is AutoPayState.ACTIVE


def test_s8_an_agreed_number_of_payments_is_an_end_and_a_return_is_not() -> (
    None
):
    autopay = standing_order(payments=2)
    both = paid(DAY, FEBRUARY)

    assert ending(autopay, MARCH, known=both) is Ending.PAYMENTS
    assert told(autopay, date(2026, 3, 1), both) == [
        (NoticeKind.ENDED, FEBRUARY)
    ]
    assert told(autopay, date(2026, 5, 1), both) == []
    # Without a date for it, nothing can be told; the state is the same.
    undated = Known(collected=2)
    assert ending(autopay, MARCH, known=undated) is Ending.PAYMENTS
    assert ends_on(autopay, known=undated) == END
    assert told(autopay, MARCH, undated) == []
    # The bank returned one of them: the order is back to life.
    back = paid(DAY)
    assert upcoming(autopay, MARCH, known=back) == occurrence_on(
        autopay, MARCH
    )


def test_s7_a_plan_ends_when_it_is_paid_off_and_comes_back() -> None:
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    on = date(2026, 3, 10)
    known = Known(paid_off={"INV-1": on})

    assert state_on(plan, on, known=known) is AutoPayState.ENDED
    assert ending(plan, on, known=known) is Ending.PLANS
    assert ends_on(plan, known=known) == on
    assert upcoming(plan, on, known=known) is None
    assert due(plan, MARCH, known=known) == []
    assert in_force(plan, MARCH, known=known) == ()
    # The run that paid it off has told so.
    assert told(plan, on, known) == []
    assert state_on(plan, on) is AutoPayState.ACTIVE


def test_s7_a_plan_that_is_paid_off_before_it_starts_has_ended() -> None:
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    known = Known(paid_off={"INV-1": date(2026, 1, 10)})

    assert state_on(plan, date(2026, 1, 10)) is AutoPayState.NOT_STARTED
    assert state_on(plan, date(2026, 1, 10), known=known) is AutoPayState.ENDED


def test_s8_a_plan_beside_a_year_ends_with_the_later_of_both() -> None:
    both = standing_order(enrollments=(to_client(), to_invoice("INV-1")))

    for on, end, why in (
        (date(2026, 3, 10), END, Ending.YEAR),
        (date(2027, 3, 10), date(2027, 3, 10), Ending.PLANS),
    ):
        known = Known(paid_off={"INV-1": on})
        assert ends_on(both, known=known) == end
        assert ending(both, date(2027, 4, 1), known=known) is why


def test_b2_a_plan_whose_invoice_is_gone_waits_and_ends_after_60_days() -> (
    None
):
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    since = date(2026, 3, 1)
    known = Known(gone={"INV-1": since})
    end = since + timedelta(days=60)

    for on, state in (
        (since, AutoPayState.GONE),
        (end - timedelta(days=1), AutoPayState.GONE),
        (end, AutoPayState.ENDED),
    ):
        assert state_on(plan, on, known=known) is state
        assert upcoming(plan, on, known=known) is None
    assert ends_on(plan, known=known) == end
    assert ending(plan, since, known=known) is None
    both = standing_order(enrollments=(to_client(), to_invoice("INV-1")))
    assert in_force(both, MARCH, known=known) == (to_client(),)
    assert state_on(both, MARCH, known=known) is AutoPayState.ACTIVE


@pytest.mark.parametrize(
    ("changes", "end", "why"),
    [
        ({}, END, Ending.YEAR),
        ({"off_from": date(2026, 3, 1)}, date(2026, 3, 1), Ending.OFF),
        (
            {"schedule": Schedule.monthly(DAY, count=2)},
            date(2026, 3, 1),
            Ending.SCHEDULE,
        ),
        (
            {"schedule": Schedule.monthly(DAY, until=MARCH)},
            date(2026, 4, 1),
            Ending.SCHEDULE,
        ),
        ({"schedule": Schedule.once(DAY)}, date(2026, 2, 1), Ending.SCHEDULE),
        (
            {"schedule": Schedule.once(DAY), "skips": frozenset({DAY})},
            date(2026, 2, 1),
            Ending.SCHEDULE,
        ),
        (
            {
                "schedule": Schedule.monthly(DAY, count=2),
                "skips": frozenset({FEBRUARY}),
            },
            date(2026, 4, 1),
            Ending.SCHEDULE,
        ),
        (
            {
                "schedule": Schedule.monthly(DAY, count=2),
                "pauses": (
                    Pause(from_on=date(2026, 2, 1), to_on=date(2026, 4, 1)),
                ),
            },
            date(2026, 5, 1),
            Ending.SCHEDULE,
        ),
        (
            {
                "schedule": Schedule.monthly(DAY, count=2),
                "moves": {FEBRUARY: date(2026, 3, 9)},
            },
            date(2026, 3, 10),
            Ending.SCHEDULE,
        ),
        # Saturday 30 January 2027 is charged on Monday, after the year.
        (
            {
                "schedule": Schedule.weekly(
                    DAY, roll=Roll.FOLLOWING, calendar=WEEKENDS
                )
            },
            date(2027, 2, 2),
            Ending.YEAR,
        ),
        ({"enrollments": ()}, None, Ending.NOTHING_ENROLLED),
    ],
)
def test_s14_the_end_takes_everything_into_account(
    changes: dict[str, Any], end: date | None, why: Ending
) -> None:
    autopay = standing_order(**changes)

    assert ends_on(autopay) == end
    after = date(2028, 1, 1) if end is None else end
    assert upcoming(autopay, after) is None
    assert ending(autopay, after) is why
    if end is not None:
        assert told(autopay, end) == [(NoticeKind.ENDED, end)]
        [notice] = autopay_notices(autopay, end)
        assert notice.detail == why.text


def test_s8_a_pause_until_further_notice_leaves_a_counted_end_open() -> None:
    plan = standing_order(
        schedule=Schedule.monthly(DAY, count=3),
        enrollments=(to_invoice("INV-1"),),
        pauses=(Pause(from_on=date(2026, 2, 1)),),
    )

    assert ends_on(plan) is None
    assert state_on(plan, date(2030, 1, 1)) is AutoPayState.PAUSED
    assert upcoming(plan, date(2026, 2, 1)) is None


def test_s8_an_end_that_is_counted_within_a_time_waits_for_a_pause() -> None:
    """Lifted in May, the pause would still leave a date before the end."""
    autopay = standing_order(
        schedule=Schedule.monthly(DAY, count=3, until=date(2026, 5, 31)),
        pauses=(Pause(from_on=date(2026, 2, 15), to_on=date(2026, 7, 15)),),
    )

    assert ends_on(autopay) == date(2026, 6, 1)
    assert state_on(autopay, date(2026, 5, 1)) is AutoPayState.PAUSED
    assert state_on(autopay, date(2026, 6, 1)) is AutoPayState.ENDED


def test_s6_a_year_without_a_date_of_its_schedule_ends_all_the_same() -> None:
    autopay = attrs.evolve(
        standing_order(pauses=(Pause(from_on=date(2026, 6, 1)),)),
        schedule=Schedule.monthly(date(2028, 1, 31)),
    )

    assert ends_on(autopay) == END
    assert state_on(autopay, DAY) is AutoPayState.ENDED


# -- State --------------------------------------------------------------------


def test_s14_a_hold_needs_attention_and_hides_no_date() -> None:
    autopay = standing_order()
    known = Known(holds=("The card was reported lost.",))

    assert (
        state_on(autopay, FEBRUARY, known=known)
        is AutoPayState.NEEDS_ATTENTION
    )
    assert upcoming(autopay, FEBRUARY, known=known) == occurrence_on(
        autopay, FEBRUARY
    )


def test_s14_an_order_that_was_edited_has_still_started() -> None:
    autopay = attrs.evolve(
        standing_order(), schedule=Schedule.monthly(date(2026, 12, 15))
    )

    assert state_on(autopay, date(2026, 6, 1)) is AutoPayState.ACTIVE
    assert state_on(autopay, date(2026, 1, 1)) is AutoPayState.NOT_STARTED


def test_s14_it_starts_with_what_is_enrolled_first() -> None:
    autopay = standing_order(
        enrollments=(
            enrolled(to_client(), since=date(2026, 5, 1)),
            enrolled(to_invoice("INV-1"), since=date(2026, 3, 1)),
        )
    )

    assert state_on(autopay, date(2026, 3, 30)) is AutoPayState.NOT_STARTED
    assert state_on(autopay, MARCH) is AutoPayState.ACTIVE


@given(
    moved=st.integers(-27, 30),
    on=st.dates(date(2026, 1, 1), date(2026, 5, 1)),
)
@example(moved=5, on=date(2026, 3, 5))
def test_s15_what_is_moved_is_due_once_on_its_new_day(
    moved: int, on: date
) -> None:
    to = FEBRUARY + timedelta(days=moved)
    autopay = standing_order(moves={FEBRUARY: to})
    known = due(autopay, to)[-1]

    assert [each.nominal_on for each in due(autopay, date(2026, 4, 1))] == [
        DAY,
        FEBRUARY,
        MARCH,
    ]
    assert known.charge_on == to
    assert occurrence_on(autopay, to) == known
    assert [
        each.nominal_on
        for each in due(autopay, date(2026, 4, 1), after=FEBRUARY)
    ] == [MARCH]
    coming = upcoming(autopay, on)
    assert coming is not None
    assert coming.charge_on >= on


def test_s15_a_record_of_another_schedule_hides_no_moved_date() -> None:
    autopay = standing_order(
        schedule=Schedule.quarterly(DAY),
        moves={date(2026, 4, 30): date(2026, 2, 2)},
    )

    found = due(autopay, date(2026, 5, 1), after=date(2026, 4, 15))

    assert [each.charge_on for each in found] == [date(2026, 2, 2)]


# -- What was passed over (S11) -----------------------------------------------


def test_s11_what_comes_while_it_is_off_or_rests_is_named() -> None:
    autopay = standing_order(
        pauses=(Pause(from_on=date(2026, 3, 1), to_on=date(2026, 4, 1)),),
        skips=frozenset({date(2026, 4, 30)}),
        off_from=date(2026, 6, 1),
    )

    found = passed_over(autopay, date(2026, 7, 1))

    assert [(str(each.nominal_on), why) for each, why in found] == [
        ("2026-03-31", "Paused"),
        ("2026-04-30", "Skipped"),
        ("2026-06-30", "Off"),
    ]
    later = passed_over(autopay, date(2026, 7, 1), after=date(2026, 4, 30))
    assert later == found[2:]
    assert passed_over(autopay, DAY) == []


def test_s11_nothing_is_passed_over_after_the_end() -> None:
    counted = standing_order(
        schedule=Schedule.monthly(DAY, count=1),
        pauses=(Pause(from_on=date(2026, 2, 1)),),
    )
    over = standing_order(off_from=date(2027, 1, 1))

    assert passed_over(counted, date(2026, 6, 1)) == []
    assert passed_over(over, date(2027, 6, 1)) == []


@given(
    pauses=st.lists(
        st.builds(
            lambda from_on, days: Pause(
                from_on=from_on, to_on=from_on + timedelta(days=days)
            ),
            st.dates(date(2026, 1, 1), date(2026, 10, 1)),
            st.integers(1, 90),
        ),
        max_size=2,
    ),
    skips=st.frozensets(st.dates(DAY, date(2026, 9, 1)), max_size=4),
    off_from=st.none() | st.dates(DAY, date(2026, 9, 1)),
    as_of=st.dates(DAY, date(2026, 12, 31)),
)
def test_s11_each_date_that_came_is_due_or_passed_over(
    pauses: list[Pause],
    skips: frozenset[date],
    off_from: date | None,
    as_of: date,
) -> None:
    plain = standing_order()
    autopay = attrs.evolve(
        plain, pauses=tuple(pauses), skips=skips, off_from=off_from
    )

    passed = [each for each, _ in passed_over(autopay, as_of)]

    assert sorted(
        each.nominal_on for each in [*passed, *due(autopay, as_of)]
    ) == [each.nominal_on for each in due(plain, as_of)]


# -- What is told (N2) --------------------------------------------------------


def test_n2_each_enrolments_end_is_told_by_its_name() -> None:
    matter = Association.to_matter(payer="p1", client="C-9", matter="M-9")
    later = enrolled(matter, since=date(2026, 7, 1))
    autopay = standing_order(
        enrollments=(to_client(), later, to_invoice("INV-1"))
    )
    second = date(2027, 7, 31)

    kinds = {
        (notice.kind, notice.on, notice.key): notice
        for day in range(700)
        for notice in autopay_notices(autopay, DAY + timedelta(days=day))
    }

    assert [(kind, on) for kind, on, _ in kinds] == [
        (NoticeKind.ENDING_SOON, END),
        (NoticeKind.ENDING_SOON, END),
        (NoticeKind.ENROLLMENT_ENDED, END),
        (NoticeKind.ENDING_SOON, second),
        (NoticeKind.ENDING_SOON, second),
        (NoticeKind.ENROLLMENT_ENDED, second),
    ]
    details = [each.detail for each in kinds.values()]
    assert details[0] == "client C-1 ends on 2027-01-31."
    assert details[5] == (
        "The year of matter M-9 of client C-9 is up; renew it to go on with "
        "it."
    )


def test_n2_the_last_enrolments_end_is_the_orders() -> None:
    later = enrolled(to_client("C-2"), since=date(2026, 7, 1))
    autopay = standing_order(enrollments=(to_client(), later))

    assert told(autopay, END) == [(NoticeKind.ENROLLMENT_ENDED, END)]
    assert told(autopay, date(2027, 7, 31)) == [
        (NoticeKind.ENDED, date(2027, 7, 31))
    ]
    # Whoever turns it off before knows the rest.
    off = attrs.evolve(autopay, off_from=date(2027, 2, 10))
    assert told(off, END) == [(NoticeKind.ENROLLMENT_ENDED, END)]
    assert told(off, date(2027, 7, 20)) == []


def test_n2_a_pause_that_is_given_another_end_is_told_again() -> None:
    autopay = standing_order(
        pauses=(Pause(from_on=date(2026, 2, 1), to_on=date(2026, 6, 1)),)
    )
    longer = attrs.evolve(
        autopay,
        pauses=(Pause(from_on=date(2026, 2, 1), to_on=date(2026, 9, 1)),),
    )
    open_end = attrs.evolve(autopay, pauses=(Pause(from_on=date(2026, 2, 1)),))

    keys = {
        notice.key
        for each in (autopay, longer, open_end)
        for on in (date(2026, 2, 1), date(2026, 5, 30))
        for notice in autopay_notices(each, on)
    }

    assert len(keys) == 3


def test_n2_pauses_that_meet_are_one_rest() -> None:
    autopay = standing_order(
        pauses=(
            Pause(from_on=date(2026, 3, 1), to_on=date(2026, 6, 1)),
            Pause(from_on=date(2026, 2, 1), to_on=date(2026, 3, 1)),
            Pause(from_on=date(2026, 2, 10), to_on=date(2026, 2, 20)),
            Pause(from_on=date(2026, 8, 1)),
            Pause(from_on=date(2026, 9, 1), to_on=date(2026, 10, 1)),
        )
    )

    assert told(autopay, date(2026, 3, 1)) == [
        (NoticeKind.PAUSED, date(2026, 2, 1))
    ]
    [resumed] = autopay_notices(autopay, date(2026, 6, 1))
    assert resumed.kind is NoticeKind.RESUMED
    assert resumed.detail == "It runs again, next on 2026-06-30."
    assert told(autopay, date(2026, 10, 1)) == [
        (NoticeKind.PAUSED, date(2026, 8, 1))
    ]


def test_n2_what_rests_again_without_a_date_says_no_date() -> None:
    autopay = standing_order(
        pauses=(
            Pause(from_on=date(2026, 2, 1), to_on=date(2026, 3, 1)),
            Pause(from_on=date(2026, 3, 2)),
        )
    )

    [resumed] = autopay_notices(autopay, date(2026, 3, 1))

    assert resumed.detail == "It runs again."


@pytest.mark.parametrize(
    "pauses",
    [
        # Over before it began; outlives the year.
        (Pause(from_on=date(2026, 1, 1), to_on=date(2026, 1, 20)),),
        (Pause(from_on=date(2026, 12, 1), to_on=date(2027, 3, 1)),),
    ],
)
def test_n2_what_did_not_rest_does_not_resume(
    pauses: tuple[Pause, ...],
) -> None:
    autopay = standing_order(pauses=pauses)

    for day in range(500):
        as_of = date(2026, 1, 1) + timedelta(days=day)
        kinds = [kind for kind, _ in told(autopay, as_of)]
        assert NoticeKind.RESUMED not in kinds


def test_n2_while_a_hold_stands_nothing_has_resumed() -> None:
    autopay = standing_order(
        pauses=(Pause(from_on=date(2026, 2, 1), to_on=date(2026, 3, 1)),)
    )

    assert told(autopay, date(2026, 3, 1), Known(holds=("A hold.",))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"off_from": date(2026, 2, 1)},
        {"off_from": date(2026, 5, 31)},
        {"schedule": Schedule.monthly(DAY, count=2)},
        {"pauses": (Pause(from_on=date(2026, 2, 1)),)},
        {"schedule": Schedule.monthly(DAY, until=date(2026, 5, 31))},
    ],
)
def test_n2_nobody_needs_another_card_for_nothing(
    changes: dict[str, Any],
) -> None:
    method = attrs.evolve(CARD, expires_on=date(2026, 5, 31))
    autopay = standing_order(method=method, **changes)

    kinds = [
        kind
        for day in range(200)
        for kind, _ in told(autopay, DAY + timedelta(days=day))
    ]

    assert NoticeKind.METHOD_EXPIRING not in kinds
    assert NoticeKind.METHOD_EXPIRING in [
        kind
        for kind, _ in told(standing_order(method=method), date(2026, 5, 10))
    ]


# -- Values -------------------------------------------------------------------


def test_every_ending_has_its_words() -> None:
    assert len({each.text for each in Ending}) == len(Ending)


def test_what_is_known_is_kept_for_good() -> None:
    gone = {"INV-1": DAY}
    known = Known(gone=gone, paid_off=gone)
    gone.clear()

    assert known.gone == {"INV-1": DAY}
    assert hash(known) == hash(attrs.evolve(known))
    assert known.latest_on is None
    assert paid(DAY, FEBRUARY).latest_on == FEBRUARY
    assert paid(DAY, FEBRUARY).payments == 2


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"spent": 5}, "FieldType", "spent"),
        ({"collected": -1}, "OutOfRange", "collected"),
        ({"recent": (DAY,)}, "FieldType", "recent[0]"),
        ({"paid_off": ("INV-1",)}, "FieldType", "paid_off"),
        ({"gone": {"INV-1": "soon"}}, "FieldType", "gone['INV-1']"),
        (
            {"gone": {"INV-1": date(1, 1, 1)}},
            "DateOutOfRange",
            "gone['INV-1']",
        ),
        ({"holds": ("a", 1)}, "FieldType", "holds[1]"),
    ],
)
def test_what_cannot_be_known_is_refused(
    changes: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Known(**changes)

    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"payments": 0}, "OutOfRange", "payments"),
        ({"payments": True}, "FieldType", "payments"),
        ({"tell_nothing_due": 1}, "FieldType", "tell_nothing_due"),
        ({"moves": [(DAY, DAY)]}, "FieldType", "moves"),
        ({"moves": {"soon": DAY}}, "DateType", "moves"),
        ({"moves": {DAY: None}}, "FieldMissing", "moves"),
    ],
)
def test_an_order_that_cannot_be_is_refused(
    changes: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        standing_order(**changes)

    assert (caught.value.code, caught.value.path) == (code, path)


def test_moves_stand_in_order_and_for_good() -> None:
    moves = {MARCH: date(2026, 4, 2), FEBRUARY: date(2026, 3, 2)}
    autopay = standing_order(moves=moves)
    moves.clear()

    assert list(autopay.moves) == [FEBRUARY, MARCH]
    assert hash(autopay) == hash(attrs.evolve(autopay))
