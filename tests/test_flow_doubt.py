"""What is not known and what was never sent: rule R4, clause PG-4."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.calls import stop
from autopay_core.charges import ChargeRequest, Indeterminate
from autopay_core.commits import (
    Committed,
    StopOrder,
)
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.errors import (
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    FORMS,
    KEY,
    Script,
    Traced,
    World,
    bill,
    rig,
    standing_order,
    traced_run,
    usd,
)

DOUBTS = [
    Fault.LOSE_REQUEST,
    Fault.LOSE_ANSWER,
    Fault.ANSWER_LATE,
    Fault.RAISE,
    Fault.ANSWER_NONE,
]


@FORMS
@pytest.mark.parametrize("fault", DOUBTS)
def test_r4_an_unclear_answer_is_a_doubt_that_the_key_resolves(
    fault: Fault, two_step: bool
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(fault)

    first = world.run(standing_order())
    assert first.status is RunStatus.OPEN
    assert first.reason == "Indeterminate"
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.postings() == ()
    world.clock.advance(minutes=2)
    again = world.sweep(standing_order())

    assert again[-1].status is RunStatus.PAID
    assert world.record.attempts[-1].number == 1
    world.gateway.flush()
    assert world.taken == [usd("120.00")]
    assert [each.amount for each in world.postings()] == [usd("120.00")]


@FORMS
def test_r4_nothing_else_of_the_auto_pay_is_charged_while_one_is_in_doubt(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.hides_new_requests = True
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, lookup_settle_seconds=None
    )
    world.gateway.script(Fault.LOSE_ANSWER, Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(), on=FEBRUARY)

    assert world.records[0].state is RunState.REVIEW
    assert result.status is RunStatus.BLOCKED
    assert result.record is None
    assert result.reason == "InDoubt"
    assert world.taken == [usd("120.00")]


def test_r4_another_auto_pay_of_the_same_payer_goes_on() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    world.matters.put(bill("INV-2", "50.00"))

    result = world.run(standing_order(id="ap-2"))

    assert result.charged == usd("50.00")


def test_r4_not_found_alone_is_never_not_charged() -> None:
    """The request is on its way; a look-up that misses it proves nothing."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.ANSWER_LATE)
    world.run(standing_order())
    stop(
        StopOrder(target=StopOrder.autopay("ap-1"), active=True, by="Ann"),
        ports=world.ports,
    )
    world.clock.advance(minutes=2)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.reserved() == {"INV-1": usd("120.00")}


def test_r9_recovering_looks_and_sends_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    traced = Traced(
        recover_one(world.record, terms_of(world.ports)), world.ports
    )

    assert traced.go().status is RunStatus.OPEN
    assert traced.names == ["ReadStanding", "Lookup", "Commit"]
    assert world.record.attempts[0].tries == 1


@FORMS
def test_r4_a_doubt_that_is_18_hours_old_is_in_review_with_one_notice(
    two_step: bool,
) -> None:
    """In either form; before that nobody is told."""
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.LOSE_REQUEST)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities,
        lookup_settle_seconds=None,
        key_retention_seconds=365 * 24 * 3600,
    )
    world.run(standing_order())
    world.clock.advance(hours=17, minutes=59)
    [early] = world.recover()
    assert early.status is RunStatus.OPEN
    assert world.told() == []
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.REVIEW
    assert result.reason == "Unresolved"
    assert world.taken == []
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert world.told() == [NoticeKind.NEEDS_REVIEW, NoticeKind.FAILED]


def test_r4_a_run_in_review_is_looked_up_for_ever_but_never_sent() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, honours_deadline=False
    )
    world.run(standing_order())
    world.clock.advance(hours=18)
    world.recover()
    for _ in range(3):
        world.clock.advance(days=2)
        [result] = world.recover()
        assert result.status is RunStatus.REVIEW
    world.gateway.flush()
    world.clock.advance(days=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.told().count(NoticeKind.NEEDS_REVIEW) == 1


def test_n2_a_review_that_nobody_ends_is_told_after_a_week_and_a_month() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities,
        lookup_settle_seconds=None,
        key_retention_seconds=365 * 24 * 3600,
    )
    world.run(standing_order())
    told: dict[int, int] = {}
    for day in range(1, 41):
        world.clock.advance(days=1)
        world.recover()
        told[day] = world.told().count(NoticeKind.NEEDS_REVIEW)

    assert [day for day in told if told[day] != told.get(day - 1, 0)] == [
        1,
        8,
        31,
    ]
    assert told[40] == 3
    assert world.notifier.sent[-1].detail.startswith("In review for 30 days. ")
    assert world.told().count(NoticeKind.FAILED) == 1


def test_r4_looks_come_with_growing_pauses() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities,
        key_retention_seconds=30 * 24 * 3600,
        lookup_settle_seconds=None,
    )
    pauses: list[float] = []
    world.gateway.script(*[Fault.LOSE_REQUEST] * 100)
    world.run(standing_order())
    while len(pauses) < 40:
        next_try_at = world.record.next_try_at
        assert next_try_at is not None
        pauses.append((next_try_at - world.clock.at).total_seconds())
        world.clock.at = next_try_at
        world.recover()

    assert min(pauses) >= 10
    assert pauses[-1] >= 3600
    assert pauses == sorted(pauses)


def test_r4_a_look_up_that_fails_or_is_unclear_changes_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    for answer in (
        PortUnavailableError("down"),
        PortError("broken"),
        Indeterminate(detail="busy"),
        None,
        "captured",
    ):
        standing = world.store.standing(KEY, CARD.fingerprint)
        script = Script(
            recover_one(world.record, terms_of(world.ports)),
            standing,
            answer,
            Committed(),
        )
        assert script.go().status is RunStatus.OPEN

    world.clock.advance(minutes=1)
    assert world.recover()[0].status is RunStatus.PAID


def test_r4_a_clock_that_is_behind_sends_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    [result] = world.recover()

    assert result.status is RunStatus.OPEN
    assert world.taken == []


def test_r4_a_clock_that_is_behind_starts_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.clock.advance(hours=-1)

    [result] = world.sweep(standing_order())

    assert result.status is RunStatus.POSTPONED
    assert result.reason == "ClockSuspect"
    assert world.records == ()
    assert world.taken == []
    assert world.told() == [NoticeKind.INCIDENT]
    world.clock.advance(hours=1)
    assert world.run(standing_order()).status is RunStatus.PAID


def test_r4_a_clock_that_is_behind_confirms_nothing_again() -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced_run(world, standing_order()).cut(5)
    world.clock.advance(minutes=2)
    world.store.now()
    world.clock.advance(hours=-3)

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    assert world.record.attempts[0].tries == 1
    assert world.taken == []


@FORMS
def test_pg_4_a_request_that_never_left_is_no_doubt(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.UNAVAILABLE)

    first = world.run(standing_order())
    assert first.status is RunStatus.WAITING
    assert first.reason == "PortUnavailable"
    assert world.reserved() == {}
    assert world.record.late_since == DAY
    assert world.told() == [NoticeKind.INCIDENT]
    never_left = world.record.attempts
    early = world.run(standing_order())
    assert early == first
    world.clock.advance(minutes=1)
    again = world.run(standing_order())

    assert again.status is RunStatus.PAID
    [attempt] = world.record.attempts
    assert (attempt.number, attempt.key) == (1, never_left[0].key)
    assert world.record.late_since is None


def test_pg_4_unavailable_on_a_later_try_says_nothing_about_the_first() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.ANSWER_LATE, Fault.UNAVAILABLE)
    world.run(standing_order())
    world.clock.advance(minutes=2)

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    assert world.record.attempts[0].tries == 2
    assert world.reserved() == {"INV-1": usd("120.00")}
    world.gateway.flush()
    world.clock.advance(minutes=2)
    assert world.recover()[0].status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_pg_4_a_gateway_that_is_down_is_asked_at_each_sweep() -> None:
    """Told once that day, and as a failure when the day is over (N1)."""
    world = World(bill("INV-1", "120.00"))
    asked = []

    def down(request: ChargeRequest) -> NoReturn:
        asked.append(world.clock.at)
        raise PortUnavailableError("no connection")

    rig(world.gateway, charge=down)
    for _ in range(33):
        world.sweep(standing_order())
        world.clock.advance(minutes=20)

    assert world.told() == [NoticeKind.INCIDENT]
    assert len(asked) == 33
    world.sweep(standing_order(), as_of=DAY + timedelta(days=1))
    assert world.told()[1:] == [NoticeKind.FAILED, NoticeKind.INCIDENT]
    [attempt] = world.record.attempts
    assert attempt.number == 1


@pytest.mark.parametrize(
    ("named", "seconds"),
    [(None, 10), (0, 10), (30, 30), (3_600, 3_600), (10**9, 86_400)],
)
def test_pg_4_a_time_that_the_gateway_names_is_kept(
    named: int | None, seconds: int
) -> None:
    world = World(bill("INV-1", "120.00"))

    def busy(_: object) -> NoReturn:
        raise PortUnavailableError("busy", code="Busy", retry_after=named)

    rig(world.gateway, charge=busy)

    world.run(standing_order())

    assert world.record.next_try_at == world.clock.at + timedelta(
        seconds=seconds
    )
