"""What people say and ask for: rules R4, R5, R11 to R14, L5, B1."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.autopay import AdvanceNotice
from autopay_core.calls import (
    attest,
    clock_is_right,
    distinct,
    hold,
    preview,
    recover,
    rerun,
    restored,
    run,
    run_now,
    sweep,
)
from autopay_core.charges import (
    Captured,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.references import MethodKind, RunKey
from autopay_core.runs import RunResult, RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Pause
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    FORMS,
    KEY,
    World,
    bill,
    rig,
    standing_order,
    usd,
)

WORD: dict[str, Any] = {"by": "Ann", "reason": "the payer called"}


def _code(caught: pytest.ExceptionInfo[InvalidValueError]) -> str:
    return caught.value.code


# -- R5: the only way back ----------------------------------------------------


def _missed() -> World:
    world = World(bill("INV-1", "120.00"))
    order = standing_order(missed=MissedPolicy.SKIP)
    world.sweep(order, as_of=DAY + timedelta(days=3))
    assert world.record.state is RunState.MISSED
    return world


def test_r5_a_missed_date_is_collected_after_all_when_a_person_says_so() -> (
    None
):
    world = _missed()

    waiting = rerun(KEY, **WORD, ports=world.ports)
    assert (waiting.status, waiting.reason) == (RunStatus.WAITING, "Rerun")
    assert world.record.demanded_by == "Ann"
    [result] = world.sweep(standing_order(), as_of=DAY + timedelta(days=4))

    assert result.key == KEY
    assert result.charged == usd("120.00")


def test_r5_the_next_date_does_not_overtake_a_persons_word() -> None:
    world = _missed()
    rerun(KEY, **WORD, ports=world.ports)
    limit = Limit.up_to(usd("50"))

    results = world.sweep(standing_order(limit=limit), as_of=FEBRUARY)

    assert [each.charged for each in results] == [usd("50"), usd("50")]
    assert results[0].key == KEY


def test_r5_a_persons_word_does_not_outlive_the_enrolment() -> None:
    world = _missed()
    rerun(KEY, **WORD, ports=world.ports)
    for month in range(2, 13):
        world.sweep(
            standing_order(id="ap-9", limit=Limit.up_to(usd("1"))),
            as_of=date(2026, month, 28),
        )
    world.clock.reach(date(2027, 1, 20))
    world.sweep(standing_order(id="ap-9"), as_of=date(2027, 1, 20))

    results = world.sweep(standing_order(), as_of=date(2027, 2, 15))

    first = next(each for each in results if each.key == KEY)
    assert (first.status, first.reason) == (
        RunStatus.FAILED,
        "EnrollmentEnded",
    )


def test_r5_what_a_person_revives_passes_all_else_of_the_gate() -> None:
    world = _missed()
    rerun(KEY, **WORD, ports=world.ports)
    pause = Pause(from_on=DAY, to_on=FEBRUARY)
    order = standing_order(pauses=(pause,))

    [result] = world.sweep(order, as_of=DAY + timedelta(days=4))

    assert (result.status, result.reason) == (RunStatus.CANCELLED, "Paused")
    assert world.taken == []


def test_r5_a_run_that_failed_without_an_attempt_goes_back() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=100
    )
    assert world.run(standing_order()).reason == "ChargeTooLarge"
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=100_000
    )

    rerun(KEY, **WORD, ports=world.ports)

    assert world.run(standing_order()).charged == usd("120.00")


def test_r5_what_was_called_off_before_it_failed_goes_back_as_well() -> None:
    """Its number is used up; the next attempt has the next one."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=30)
    world.recover()
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=100
    )
    world.run(standing_order())
    assert world.record.state is RunState.FAILED
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=100_000
    )

    rerun(KEY, **WORD, ports=world.ports)
    paid = world.run(standing_order())

    assert paid.record is not None
    assert [each.number for each in paid.record.attempts] == [1, 2]


@pytest.mark.parametrize("state", ["none", "paid", "declined", "open", "off"])
def test_r5_nothing_else_goes_back(state: str) -> None:
    world = World(bill("INV-1", "120.00"))
    if state == "declined":
        world.gateway.decline(CARD.token)
    if state == "open":
        world.gateway.script(Fault.LOSE_REQUEST)
    off_from = DAY if state == "off" else None
    if state != "none":
        world.run(standing_order(off_from=off_from))
    before = world.records

    with pytest.raises(InvalidValueError) as caught:
        rerun(KEY, **WORD, ports=world.ports)

    assert _code(caught) == "NotRerunnable"
    assert world.records == before


def test_r5_two_who_say_it_at_once_are_one() -> None:
    world = _missed()
    commit = world.store.commit

    def overtaken(change: Any) -> Any:
        rig(world.store, commit=commit)
        rerun(KEY, by="Bob", reason="he was first", ports=world.ports)
        return commit(change)

    rig(world.store, commit=overtaken)

    result = rerun(KEY, **WORD, ports=world.ports)

    assert result.status is RunStatus.WAITING
    assert world.record.demanded_by == "Bob"


@pytest.mark.parametrize("word", ["by", "reason"])
def test_r5_nobody_revives_a_date_without_a_word(word: str) -> None:
    world = _missed()

    with pytest.raises(InvalidValueError):
        rerun(KEY, **{**WORD, word: " "}, ports=world.ports)

    assert world.record.state is RunState.MISSED


# -- R14: on demand -----------------------------------------------------------

NOON = DAY + timedelta(days=5)


def _on_demand(
    world: World, number: int = 1, as_of: date = NOON, **order: Any
) -> RunResult:
    world.clock.reach(as_of)
    return run_now(
        standing_order(**order),
        as_of=as_of,
        number=number,
        **WORD,
        ports=world.ports,
    )


def test_r14_a_run_on_demand_pays_on_no_date_of_the_schedule() -> None:
    world = World(bill("INV-1", "120.00"))

    result = _on_demand(world)

    assert result.charged == usd("120.00")
    assert result.key == RunKey(autopay="ap-1", nominal_on=NOON, number=1)
    assert world.record.demanded_by == "Ann"


def test_r14_a_double_click_is_one_run_and_another_number_another() -> None:
    world = World(bill("INV-1", "120.00"))
    first = _on_demand(world)
    world.matters.put(bill("INV-2", "30.00"))

    again, other = _on_demand(world), _on_demand(world, number=2)

    assert again == first
    assert other.charged == usd("30.00")
    assert len({each.key for each in world.gateway.captured}) == 2


def test_r14_it_hides_no_date_and_counts_in_every_limit() -> None:
    world = World(bill("INV-1", "500.00"))
    limit = Limit.up_to(usd("40"), lifetime=usd("60"))
    day = DAY - timedelta(days=1)
    world.clock.at -= timedelta(days=1)
    world = World(bill("INV-1", "500.00"))
    _on_demand(world, as_of=DAY, limit=limit)

    [scheduled] = world.sweep(standing_order(limit=limit))

    assert day < DAY
    assert scheduled.key == KEY
    assert scheduled.charged == usd("20.00")


def test_r14_it_passes_the_gate_like_every_sending() -> None:
    world = World(bill("INV-1", "120.00"))
    hold(Hold.on_payer("p1", **WORD), ports=world.ports)
    assert _on_demand(world).reason == "Held"
    assert _on_demand(world, number=2, off_from=DAY).reason == "Off"
    assert world.taken == []


def test_r14_it_is_refused_while_another_run_is_under_way() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=1)

    with pytest.raises(InvalidValueError) as caught:
        _on_demand(world, as_of=DAY)

    assert _code(caught) == "RunUnderWay"
    assert len(world.records) == 1


def test_r14_a_consumers_account_is_debited_only_in_the_agreed_range() -> None:
    consumer = attrs.evolve(BANK, consumer=True)
    world = World(bill("INV-1", "120.00"))
    for notice in (None, AdvanceNotice()):
        with pytest.raises(InvalidValueError) as caught:
            _on_demand(world, method=consumer, advance_notice=notice)
        assert _code(caught) == "AuthorizationNeeded"
    assert world.records == ()
    agreed = AdvanceNotice(least=usd("1"), most=usd("100"))

    above = _on_demand(world, method=consumer, advance_notice=agreed)
    world.matters.put(bill("INV-1", "99.00"))
    within = _on_demand(
        world, number=2, method=consumer, advance_notice=agreed
    )

    assert above.reason == "NoticeMissing"
    assert within.charged == usd("99.00")
    assert consumer.kind is MethodKind.BANK_ACCOUNT


@pytest.mark.parametrize(
    "wrong", [{"number": 0}, {"by": " "}, {"reason": ""}, {"number": -1}]
)
def test_r14_it_needs_a_number_and_a_word(wrong: dict[str, Any]) -> None:
    world = World(bill("INV-1", "120.00"))
    said = {"number": 1, **WORD, **wrong}

    with pytest.raises(InvalidValueError):
        run_now(standing_order(), as_of=DAY, **said, ports=world.ports)

    assert world.records == ()


def test_r14_one_that_was_declined_is_not_sent_by_a_second_click() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    first = _on_demand(world)
    world.gateway.accept(CARD.token)

    again = _on_demand(world)

    assert first.status is again.status is RunStatus.FAILED
    assert world.taken == []


# -- R4: attesting asks first -------------------------------------------------


def _in_review(settle: int | None = 3_600) -> World:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities,
        lookup_settle_seconds=settle,
        honours_deadline=False,
    )
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(hours=19)
    world.recover()
    assert world.record.state is RunState.REVIEW
    return world


SAID: dict[str, Any] = {**WORD, "evidence": "statement 7"}


def _not_charged(world: World, **more: Any) -> RunResult:
    key = world.record.attempts[0].key
    said = Declined(key=key, code="attested")
    return attest(KEY, said, **{**SAID, **more}, ports=world.ports)


def _charged(world: World, amount: str = "120.00", **more: Any) -> RunResult:
    key = world.record.attempts[0].key
    said = Captured(key=key, amount=usd(amount), reference="st-7")
    return attest(KEY, said, **{**SAID, **more}, ports=world.ports)


def _answers(world: World, kind: type[Any]) -> None:
    attempt = world.record.attempts[0]
    outcome: Any = NotFound()
    if kind is Declined:
        outcome = Declined(key=attempt.key, code="51")
    elif kind is not NotFound:
        outcome = kind(
            key=attempt.key, amount=attempt.amount, reference="pay-1"
        )
    rig(world.gateway, lookup=lambda _: outcome)


@pytest.mark.parametrize("kind", [Captured, Pending])
def test_r4_not_charged_is_refused_while_the_gateway_says_otherwise(
    kind: type[Any],
) -> None:
    world = _in_review()
    _answers(world, kind)

    with pytest.raises(InvalidValueError) as caught:
        _not_charged(world)

    assert _code(caught) == "GatewayContradicts"
    assert world.record.state is RunState.REVIEW


def test_r4_charged_is_refused_while_the_gateway_says_declined() -> None:
    world = _in_review()
    _answers(world, Declined)

    with pytest.raises(InvalidValueError) as caught:
        _charged(world)

    assert _code(caught) == "GatewayContradicts"
    assert world.postings() == ()


def test_r4_another_amount_than_the_gateways_is_refused() -> None:
    world = _in_review()
    _answers(world, Captured)

    with pytest.raises(InvalidValueError) as caught:
        _charged(world, "50.00")

    assert _code(caught) == "GatewayContradicts"


@pytest.mark.parametrize("kind", [Captured, Pending])
def test_r4_a_word_that_agrees_with_the_gateway_ends_it(
    kind: type[Any],
) -> None:
    world = _in_review()
    _answers(world, kind)

    assert _charged(world).status is RunStatus.PAID


def test_r4_a_decline_that_agrees_ends_it_at_any_time() -> None:
    world = _in_review(settle=10**6)
    _answers(world, Declined)

    assert _not_charged(world).status is RunStatus.FAILED


@pytest.mark.parametrize(
    ("settle", "hours"), [(3_600, 1), (100_000, 28), (None, 24)]
)
def test_r4_not_charged_is_refused_before_deadline_and_settle_time(
    settle: int | None, hours: float
) -> None:
    """Twenty-four hours where nothing is declared."""
    world = _in_review(settle)
    begin = world.record.attempts[0].deadline
    clear = timedelta(seconds=24 * 3600 if settle is None else settle)
    if begin + clear > world.clock.at:
        with pytest.raises(InvalidValueError) as caught:
            _not_charged(world)
        assert _code(caught) == "TooEarly"
        world.clock.at = begin + clear

    assert _not_charged(world).status is RunStatus.FAILED
    assert hours


@pytest.mark.parametrize("is_down", [True, False])
def test_r4_without_the_gateway_two_people_say_it_after_three_days(
    is_down: bool,
) -> None:
    """It is away, or is not sure."""
    world = _in_review()

    def down(*_: object) -> Indeterminate:
        if is_down:
            raise PortUnavailableError("down")
        return Indeterminate(detail="busy")

    rig(world.gateway, lookup=down)
    with pytest.raises(InvalidValueError) as caught:
        _not_charged(world, second="Bob")
    assert _code(caught) == "TooEarly"
    world.clock.at = world.record.attempts[0].deadline + timedelta(hours=72)
    for second in ("", "Ann", " ann "):
        with pytest.raises(InvalidValueError) as caught:
            _not_charged(world, second=second)
        assert _code(caught) == "SecondName"

    assert _not_charged(world, second="Bob").status is RunStatus.FAILED


def test_r12_a_run_of_another_account_counts_as_one_that_cannot_be_asked() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, account="acct-1"
    )
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, account="acct-2"
    )
    world.clock.advance(hours=30)
    world.recover()

    with pytest.raises(InvalidValueError) as caught:
        _not_charged(world, second="Bob")

    assert _code(caught) == "TooEarly"


def test_r4_charged_may_be_said_though_nobody_can_be_asked() -> None:
    world = _in_review()
    rig(world.gateway, lookup=lambda _: Indeterminate(detail="busy"))

    assert _charged(world).status is RunStatus.PAID


def test_r4_what_put_it_into_review_says_nothing_new() -> None:
    """The gateway repeats the amount that was not asked for."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.WRONG_AMOUNT)
    world.run(standing_order())
    attempt = world.record.attempts[0]
    wrong = Captured(key=attempt.key, amount=usd("7.00"), reference="pay-1")
    rig(world.gateway, lookup=lambda _: wrong)

    assert _charged(world, "7.00").charged == usd("7.00")


# -- R11: a day that has not come, and a clock that is wrong ------------------


def test_r11_calls_that_write_refuse_a_day_that_has_not_come() -> None:
    world = World(bill("INV-1", "120.00"))
    order, ports = standing_order(), world.ports
    ahead = FEBRUARY
    for call in (
        lambda: run(order, on=ahead, ports=ports),
        lambda: list(sweep([order], as_of=ahead, ports=ports)),
        lambda: run_now(order, as_of=ahead, number=1, **WORD, ports=ports),
    ):
        with pytest.raises(InvalidValueError) as caught:
            call()
        assert _code(caught) == "DateAhead"
    assert world.records == ()
    assert world.told() == []
    assert preview(order, on=ahead, ports=ports).total == usd("120.00")


def test_r11_where_the_firm_is_it_may_be_the_next_day_already() -> None:
    world = World(bill("INV-1", "120.00"))
    order = standing_order()

    [result] = sweep([order], as_of=DAY + timedelta(days=1), ports=world.ports)

    assert result.status is RunStatus.PAID


def test_r11_the_day_is_that_of_the_clock_and_not_of_its_mark() -> None:
    """A mark from a clock that was ahead lets no later day pass."""
    world = World(bill("INV-1", "120.00"))
    world.clock.reach(FEBRUARY)
    world.store.now()
    world.clock.advance(days=-28)

    [result] = sweep([standing_order()], as_of=FEBRUARY, ports=world.ports)

    assert (result.status, result.reason) == (
        RunStatus.POSTPONED,
        "ClockSuspect",
    )
    assert world.records == ()


def test_r11_a_clock_far_beyond_the_last_commit_is_suspect_until_trusted() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    world.matters.put(bill("INV-2", "5.00"))
    world.clock.reach(date(2026, 3, 31))

    [result] = world.sweep(standing_order(), as_of=date(2026, 3, 31))
    assert (result.status, result.reason) == (
        RunStatus.POSTPONED,
        "ClockSuspect",
    )
    assert len(world.records) == 1
    # That it was told is a commit, and makes the clock no better.
    assert world.told()[-1] is NoticeKind.INCIDENT
    for again in (
        world.sweep(standing_order(), as_of=date(2026, 3, 31))[-1],
        world.run(standing_order(), on=date(2026, 3, 31)),
    ):
        assert again.reason == "ClockSuspect"
    assert world.taken == [usd("120.00")]
    clock_is_right(**WORD, ports=world.ports)

    world.sweep(standing_order(), as_of=date(2026, 3, 31))

    assert world.taken == [usd("120.00"), usd("5.00")]


def test_r11_one_run_alone_does_not_forget_that_a_clock_is_suspect() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    world.matters.put(bill("INV-2", "5.00"))
    world.clock.reach(date(2026, 3, 31))

    results = [
        world.run(standing_order(), on=date(2026, 3, 31)) for _ in range(3)
    ]

    assert {each.reason for each in results} == {"ClockSuspect"}
    assert world.taken == [usd("120.00")]


def test_r11_a_suspect_clock_takes_answers_and_writes_nothing_else() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    world.clock.advance(hours=2)
    world.store.now()
    world.clock.advance(hours=-1)
    off = standing_order(id="ap-3", off_from=DAY)

    results = world.sweep(standing_order(), standing_order(id="ap-2"), off)

    assert world.record.state is RunState.PAID
    assert {each.status for each in results} == {
        RunStatus.PAID,
        RunStatus.POSTPONED,
    }
    assert world.told() == [NoticeKind.PAID, NoticeKind.INCIDENT]


def test_r11_after_a_mark_was_put_right_old_attempts_are_not_sent_again() -> (
    None
):
    """Of a time that has not come yet: looked up, as if it were forgotten."""
    world = World(bill("INV-1", "120.00"))
    world.clock.advance(days=3)
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(days=-3)
    clock_is_right(**WORD, ports=world.ports)

    for _ in range(20):
        world.clock.advance(minutes=5)
        world.sweep(standing_order())

    assert world.record.attempts[0].tries == 1
    assert world.taken == []


@pytest.mark.parametrize("word", ["by", "reason"])
def test_r11_nobody_trusts_a_clock_without_a_word(word: str) -> None:
    world = World()

    with pytest.raises(InvalidValueError):
        clock_is_right(**{**WORD, word: ""}, ports=world.ports)


# -- R13: a record belongs to a payer -----------------------------------------


def test_r13_an_id_with_another_payers_records_is_refused_by_name() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    stolen = standing_order(payer="p2", enrollments=())
    ports = world.ports
    calls: list[Callable[[], object]] = [
        lambda: run(stolen, on=DAY, ports=ports),
        lambda: run_now(stolen, as_of=DAY, number=1, **WORD, ports=ports),
    ]
    for call in calls:
        with pytest.raises(InvalidValueError) as caught:
            call()
        assert _code(caught) == "AnotherPayer"
        assert "p1" not in str(caught.value)
    [result] = world.sweep(stolen)

    assert (result.status, result.reason) == (
        RunStatus.POSTPONED,
        "AnotherPayer",
    )
    assert result.record is None
    assert "p1" not in result.detail


def test_r13_two_contents_under_one_id_in_one_sweep_are_told() -> None:
    world = World(bill("INV-1", "120.00"))
    other = standing_order(limit=Limit.up_to(usd("1")))

    first, second = world.sweep(standing_order(), other)

    assert first.status is RunStatus.PAID
    assert (second.status, second.reason) == (
        RunStatus.POSTPONED,
        "TwoContents",
    )
    assert world.taken == [usd("120.00")]


def test_r13_the_same_content_twice_is_one() -> None:
    world = World(bill("INV-1", "120.00"))

    results = world.sweep(standing_order(), standing_order())

    assert [each.status for each in results] == [RunStatus.PAID]


# -- R12: restored ------------------------------------------------------------


@FORMS
def test_r12_what_a_restored_store_does_not_know_is_found_by_its_keys(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    since = world.clock.at - timedelta(hours=1)
    world.run(standing_order())
    backup = World(bill("INV-1", "120.00"), two_step=two_step)
    backup.store._id = world.store._id
    backup.gateway, backup.clock.at = world.gateway, world.clock.at
    restored(since=since, by="Ann", ports=backup.ports)
    backup.clock.advance(minutes=5)

    backup.sweep(standing_order())

    assert len(world.gateway.captured) == 1
    assert backup.record.state is RunState.PAID
    assert [each.amount for each in backup.postings()] == [usd("120.00")]


def test_r12_a_copy_under_another_id_looks_up_the_keys_of_the_lost_store() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    since = world.clock.at - timedelta(hours=1)
    world.run(standing_order())
    other = World(bill("INV-1", "120.00"))
    other.gateway = world.gateway
    restored(
        since=since, stores=(world.store._id,), by="Ann", ports=other.ports
    )

    other.sweep(standing_order())

    assert world.taken == [usd("120.00")]
    assert other.record.state is RunState.PAID


def test_r12_nothing_is_sent_while_the_gateway_cannot_tell() -> None:
    world = World(bill("INV-1", "120.00"))
    restored(since=world.clock.at, by="Ann", ports=world.ports)
    lookup = world.gateway.lookup
    rig(world.gateway, lookup=lambda _: Indeterminate(detail="busy"))

    [late] = world.sweep(standing_order())
    assert (late.status, late.reason) == (RunStatus.WAITING, "RestoreUnclear")
    assert world.taken == []
    rig(world.gateway, lookup=lookup)
    world.clock.advance(minutes=1)
    world.sweep(standing_order())

    assert world.taken == [usd("120.00")]


def test_r12_a_restored_store_that_knows_its_attempt_asks_no_more() -> None:
    world = World(bill("INV-1", "120.00"))
    restored(since=world.clock.at, by="Ann", ports=world.ports)
    world.gateway.decline(CARD.token)
    world.sweep(standing_order())

    assert world.record.attempts[0].epoch == 1
    assert list(recover(ports=world.ports)) == []


# -- L5: two that look alike --------------------------------------------------


def test_l5_numbers_that_look_alike_get_nothing_until_a_person_says_two() -> (
    None
):
    world = World(bill("INV-1", "120.00"), bill("inv-01", "50.00"))
    first = world.run(standing_order())
    assert first.charged is None
    distinct("INV-1", "inv-01", **WORD, ports=world.ports)

    result = world.run(standing_order(), on=FEBRUARY)

    assert result.charged == usd("170.00")


# -- Payments that crossed ----------------------------------------------------

MARCH = date(2026, 3, 31)


def _overpaid(world: World) -> list[str]:
    return [
        each.detail for each in world.heard if each.kind is NoticeKind.OVERPAID
    ]


def _crossed(world: World) -> None:
    """Let the payer pay by hand what a run has just paid."""
    world.run(standing_order())
    world.matters.put(bill("INV-1", "0.00"))
    world.apply()
    world.matters.put(bill("INV-1", "-120.00"))


def test_n1_an_invoice_that_was_paid_twice_over_is_told_once() -> None:
    world = World(bill("INV-1", "120.00"))
    _crossed(world)

    world.sweep(standing_order(), as_of=FEBRUARY)

    [told] = _overpaid(world)
    assert told.startswith("Invoice INV-1 shows a credit of USD 120.00 after")
    [notice] = [
        each for each in world.heard if each.kind is NoticeKind.OVERPAID
    ]
    assert (notice.payer, notice.on) == ("", FEBRUARY)


@pytest.mark.parametrize(("credit", "times"), [("120", 0), ("150", 1)])
def test_n1_only_a_larger_credit_is_told_again(
    credit: str, times: int
) -> None:
    world = World(bill("INV-1", "120.00"))
    _crossed(world)
    world.sweep(standing_order(), as_of=FEBRUARY)
    world.hush()
    world.matters.put(bill("INV-1", f"-{credit}.00"))

    world.sweep(standing_order(), as_of=MARCH)

    assert len(_overpaid(world)) == times


def test_n1_a_credit_where_we_paid_nothing_is_no_business_of_ours() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "5.00"))
    preview(standing_order(), on=DAY, ports=world.ports)
    limited = standing_order(limit=Limit.up_to(usd("120.00")))
    world.run(limited)
    world.apply()
    world.matters.put(bill("INV-2", "-5.00"))

    world.sweep(limited, as_of=FEBRUARY)

    assert _overpaid(world) == []


def test_n1_a_credit_that_shrinks_is_not_told_again() -> None:
    world = World(bill("INV-1", "120.00"))
    _crossed(world)
    world.sweep(standing_order(), as_of=FEBRUARY)
    world.hush()
    world.matters.put(bill("INV-1", "-20.00"))

    world.sweep(standing_order(), as_of=MARCH)

    assert _overpaid(world) == []


def test_n1_a_debt_that_is_smaller_than_expected_is_no_credit() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order(limit=Limit.up_to(usd("20.00"))))
    world.apply()
    world.matters.put(bill("INV-1", "40.00"))

    world.sweep(standing_order(), as_of=FEBRUARY)

    assert _overpaid(world) == []


def test_n1_what_is_only_reserved_is_no_payment_of_ours() -> None:
    """Whether the charge in doubt took anything is not known yet."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    rig(world.gateway, lookup=lambda _: Indeterminate(detail="busy"))
    world.matters.put(bill("INV-1", "-120.00"))

    world.sweep(standing_order(), standing_order(id="ap-2", name="Another"))

    assert RunState.OPEN in {each.state for each in world.store.runs()}
    assert _overpaid(world) == []
