"""
A standing order's life: what it is, what comes next, what is told (S14).

One machine edits an order, lets days go by and lets things become known, and
holds everything that the library says of a day against the rest of it. What a
state means, and what it comes to by itself, is written here by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, Phase, seed, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from autopay_core.autopay import (
    AutoPayState,
    Ending,
    Known,
    autopay_notices,
    due,
    edit,
    ending,
    ends_on,
    in_force,
    renew,
    state_on,
    turn_on,
    upcoming,
    years,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit, Spent
from autopay_core.notices import NoticeKind
from autopay_core.schedules import Pause, Schedule
from autopay_core.show.projection import project
from worlds import DAY, standing_order, to_client, to_invoice, usd

_DAY = timedelta(days=1)
_BOTH = st.booleans()
Draw = Callable[[st.SearchStrategy[Any]], Any]

LIFE: Mapping[AutoPayState, set[AutoPayState]] = {
    AutoPayState.NOT_STARTED: {
        AutoPayState.ACTIVE,
        AutoPayState.PAUSED,
        AutoPayState.NEEDS_ATTENTION,
        AutoPayState.OFF,
        AutoPayState.ENDED,
    },
    AutoPayState.ACTIVE: {
        AutoPayState.PAUSED,
        AutoPayState.OFF,
        AutoPayState.ENDED,
    },
    AutoPayState.PAUSED: {
        AutoPayState.ACTIVE,
        AutoPayState.NEEDS_ATTENTION,
        AutoPayState.OFF,
        AutoPayState.ENDED,
    },
    # A person lifts a hold, or what it waits for.
    AutoPayState.NEEDS_ATTENTION: {
        AutoPayState.PAUSED,
        AutoPayState.OFF,
        AutoPayState.ENDED,
    },
    # It is back when its invoice is; after 60 days it has ended.
    AutoPayState.GONE: {AutoPayState.OFF, AutoPayState.ENDED},
    # Only a person brings it back.
    AutoPayState.OFF: set(),
    AutoPayState.ENDED: {AutoPayState.OFF},
}
"""What an order comes to by itself, as time goes on."""

WEEKENDS = BusinessCalendar()
SCHEDULES = [
    Schedule.monthly(DAY),
    Schedule.monthly(DAY),
    Schedule.monthly(DAY, every=3),
    Schedule.monthly(DAY, count=1),
    Schedule.monthly(DAY, count=3),
    Schedule.monthly(DAY, count=4, until=date(2026, 6, 30)),
    Schedule.monthly(DAY, until=date(2026, 3, 31)),
    Schedule.monthly(DAY, roll=Roll.FOLLOWING, calendar=WEEKENDS),
    Schedule.last_day(DAY, roll=Roll.PRECEDING, calendar=WEEKENDS),
    Schedule.weekly(DAY, every=2),
    Schedule.once(DAY),
]
_NEW_SCHEDULES = [
    Schedule.monthly(DAY, day=15),
    Schedule.monthly(date(2026, 8, 15)),
    Schedule.twice_monthly(DAY),
    Schedule.weekly(DAY),
]
PLAN = to_invoice("INV-1")
RESTING = {AutoPayState.ENDED, AutoPayState.OFF, AutoPayState.GONE}


class OrderMachine(RuleBasedStateMachine):
    """A standing order that is edited while the days go by."""

    taken: ClassVar[set[tuple[AutoPayState, AutoPayState]]] = set()

    @initialize(
        schedule=st.sampled_from(SCHEDULES),
        late=st.sampled_from([0, 1, 40]),
        enrolled=st.sampled_from(
            [(to_client(),), (to_client(),), (PLAN,), (to_client(), PLAN), ()]
        ),
        lifetime=st.sampled_from([None, None, usd("25")]),
        payments=st.sampled_from([None, None, 2]),
    )
    def begin(
        self,
        schedule: Schedule,
        late: int,
        enrolled: tuple[Any, ...],
        lifetime: Any,
        payments: int | None,
    ) -> None:
        self.autopay = standing_order(
            schedule=schedule,
            enrollments=enrolled,
            limit=Limit.all("USD", lifetime=lifetime),
            payments=payments,
        )
        self.today = DAY - late * _DAY
        self.known = Known()
        self.paid: set[date] = set()

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Let the payer edit the order, or not, and days go by."""
        acts = [
            self.pause,
            self.go_on,
            self.skip,
            self.move,
            self.renew,
            self.turn_off,
            self.turn_off,
            self.turn_on,
            self.reschedule,
            self.settle,
            self.lose,
            self.hold,
        ]
        act = data.draw(st.none() | st.sampled_from(acts))
        if act is not None:
            for _ in range(data.draw(st.sampled_from([1, 1, 2]))):
                act(data.draw)
                act = data.draw(st.sampled_from(acts))
        before = self.state()
        for _ in range(data.draw(st.sampled_from([1, 2, 7, 30, 90]))):
            self.collect()
            self.today += _DAY
            state = self.state()
            if state is not before:
                self.taken.add((before, state))
                assert state in LIFE[before], (before, state)
            before = state

    def state(self) -> AutoPayState:
        return state_on(self.autopay, self.today, known=self.known)

    def collect(self) -> None:
        """Take ten dollars on each date, if nothing is in the way."""
        coming = upcoming(self.autopay, self.today, known=self.known)
        if (
            coming is None
            or coming.charge_on != self.today
            or self.known.holds
            or coming.nominal_on in self.paid
        ):
            return
        self.paid.add(coming.nominal_on)
        spent = self.known.spent or Spent.nothing("USD")
        ten = usd("10")
        self.known = attrs.evolve(
            self.known,
            collected=self.known.collected + 1,
            recent=(*self.known.recent[-3:], coming),
            spent=Spent(
                month=spent.month + ten, lifetime=spent.lifetime + ten
            ),
        )

    def edit(self, **changes: Any) -> None:
        """Edit as a person does; what is refused changes nothing."""
        agreed = self.years()
        with suppress(InvalidValueError):
            self.autopay = edit(
                self.autopay, as_of=self.today, known=self.known, **changes
            )
        # Only a renewal grants a year, and only what has not begun moves.
        assert [len(each) for each in self.years()] == [
            len(each) for each in agreed
        ]
        if any(each[0][0] in self.paid for each in agreed if each):
            assert self.years() == agreed

    def years(self) -> list[tuple[tuple[date, date], ...]]:
        schedule = self.autopay.schedule
        return [years(each, schedule) for each in self.autopay.enrollments]

    def pause(self, draw: Draw) -> None:
        from_on = self.today + draw(st.integers(0, 90)) * _DAY
        days = draw(st.none() | st.integers(1, 120))
        to_on = None if days is None else from_on + days * _DAY
        pause = Pause(from_on=from_on, to_on=to_on)
        self.edit(pauses=(*self.autopay.pauses, pause))

    def go_on(self, _: Draw) -> None:
        self.edit(pauses=())

    def skip(self, draw: Draw) -> None:
        coming = upcoming(self.autopay, self.today)
        if coming is not None:
            seen = coming.charge_on if draw(_BOTH) else coming.nominal_on
            self.edit(skips=self.autopay.skips | {seen})

    def move(self, draw: Draw) -> None:
        coming = upcoming(self.autopay, self.today)
        if coming is not None:
            to = coming.charge_on + draw(st.integers(-20, 20)) * _DAY
            self.edit(moves={**self.autopay.moves, coming.nominal_on: to})

    def reschedule(self, draw: Draw) -> None:
        self.edit(schedule=draw(st.sampled_from(_NEW_SCHEDULES)))

    def turn_off(self, draw: Draw) -> None:
        # Without a date before it, an order that will be off has ended.
        following = attrs.evolve(
            self.autopay, pauses=(), skips=frozenset(), off_from=None
        )
        coming = upcoming(following, self.today)
        off_from = self.today + draw(st.sampled_from([0, 40])) * _DAY
        if coming is not None and draw(_BOTH):
            off_from = coming.charge_on + _DAY
        self.edit(off_from=off_from)

    def turn_on(self, draw: Draw) -> None:
        if draw(_BOTH):
            self.edit(off_from=None)
        else:
            self.autopay = turn_on(self.autopay, self.today)

    def renew(self, _: Draw) -> None:
        ends = [each[-1][1] for each in self.years() if each]
        with suppress(InvalidValueError):
            self.autopay = renew(self.autopay, self.today)
            assert min(ends, default=self.today) <= self.today + 60 * _DAY

    def settle(self, draw: Draw) -> None:
        """Pay the plan off, or let a return reopen it."""
        paid_off = {} if draw(_BOTH) else {"INV-1": self.today}
        self.known = attrs.evolve(self.known, paid_off=paid_off, gone={})

    def lose(self, draw: Draw) -> None:
        gone = {} if draw(_BOTH) else {"INV-1": self.today}
        self.known = attrs.evolve(self.known, gone=gone, paid_off={})

    def hold(self, draw: Draw) -> None:
        holds = draw(st.sampled_from([(), ("The method was reported lost.",)]))
        self.known = attrs.evolve(self.known, holds=holds)

    @precondition(lambda self: hasattr(self, "autopay"))
    @invariant()
    def state_end_and_next_date_agree(self) -> None:
        autopay, today, known = self.autopay, self.today, self.known
        state, end = self.state(), ends_on(autopay, known=known)
        coming = upcoming(autopay, today, known=known)
        off_from = autopay.off_from
        assert (state is AutoPayState.OFF) is (
            off_from is not None and off_from <= today
        )
        why = ending(autopay, today, known=known)
        assert (why is None) is (
            state not in {AutoPayState.ENDED, AutoPayState.OFF}
        )
        assert (why is Ending.OFF) is (state is AutoPayState.OFF)
        if end is not None and end <= today:
            assert state in {AutoPayState.ENDED, AutoPayState.OFF}
        if coming is None:
            return
        assert state not in RESTING
        assert coming.charge_on >= today
        assert end is None or coming.charge_on < end
        assert in_force(autopay, coming.nominal_on, known=known)
        for on in (coming.charge_on, coming.nominal_on):
            assert on not in autopay.skips
            assert not any(
                each.from_on <= on and (each.to_on is None or on < each.to_on)
                for each in autopay.pauses
            )
        # Nothing that was taken is asked for again.
        assert coming.nominal_on not in self.paid or coming.charge_on == today

    @precondition(lambda self: hasattr(self, "autopay"))
    @invariant()
    def what_is_told_is_true(self) -> None:
        autopay, today, known = self.autopay, self.today, self.known
        state = self.state()
        coming = upcoming(autopay, today, known=known)
        for notice in autopay_notices(autopay, today, known=known):
            match notice.kind:
                case NoticeKind.ENDED:
                    assert coming is None
                    assert state in {AutoPayState.ENDED, AutoPayState.OFF}
                case NoticeKind.PAUSED:
                    assert state is AutoPayState.PAUSED
                case NoticeKind.RESUMED:
                    assert state is AutoPayState.ACTIVE
                case NoticeKind.ENDING_SOON:
                    assert notice.on > today
                    assert state is not AutoPayState.OFF
                case _:
                    assert notice.kind is NoticeKind.ENROLLMENT_ENDED

    @precondition(lambda self: hasattr(self, "autopay"))
    @invariant()
    def forecast_and_what_falls_due_begin_with_the_next_date(self) -> None:
        autopay, today, known = self.autopay, self.today, self.known
        coming = upcoming(autopay, today, known=known)
        until = today + 400 * _DAY
        foreseen = project(
            autopay, [], from_on=today, before=until, known=known
        ).runs
        fallen = [
            each
            for each in due(autopay, until - _DAY, known=known)
            if each.charge_on >= today
        ]
        within = coming is not None and coming.charge_on < until
        following = [coming] if within else []
        assert [each.occurrence for each in foreseen[:1]] == following
        if autopay.enrollments:
            assert fallen[:1] == following
            assert [each.occurrence for each in foreseen] == fallen


TestOrders = OrderMachine.TestCase
TestOrders.settings = settings(stateful_step_count=12)


def test_every_state_of_an_order_has_its_place() -> None:
    assert set(LIFE) == set(AutoPayState)


@pytest.mark.slow
def test_s14_every_step_of_an_order_is_taken() -> None:
    """A walk that is not long enough goes on with another seed."""

    class Walker(OrderMachine):
        """One that keeps its seed to itself."""

    OrderMachine.taken = set()
    every = {(before, to) for before, tos in LIFE.items() for to in tos}

    for walk in range(8):
        run_state_machine_as_test(
            seed(walk)(Walker),
            settings=settings(
                max_examples=400,
                stateful_step_count=12,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=[
                    HealthCheck.too_slow,
                    HealthCheck.data_too_large,
                    HealthCheck.filter_too_much,
                ],
            ),
        )
        if every <= OrderMachine.taken:
            break

    assert OrderMachine.taken == every
