"""Answers to another question, and answers that come late: rule R8."""

from __future__ import annotations

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.autopay import occurrence_on
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    idempotency_key,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
)
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import collect
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    FORMS,
    KEY,
    SECRET,
    TERMS,
    Traced,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    traced_run,
    usd,
)


@FORMS
@pytest.mark.parametrize("fault", [Fault.WRONG_AMOUNT, Fault.WRONG_KEY])
def test_r8_an_answer_to_another_question_posts_nothing(
    fault: Fault, two_step: bool
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(fault)

    result = world.run(standing_order())

    assert result.status is RunStatus.REVIEW
    assert result.reason == "GatewayMismatch"
    assert world.postings() == ()
    assert world.reserved() == {"INV-1": usd("120.00")}
    assert NoticeKind.NEEDS_REVIEW in world.told()
    assert NoticeKind.FAILED in world.told()


def test_r8_a_later_look_up_that_agrees_resolves_the_review() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.WRONG_KEY)
    world.run(standing_order())
    world.clock.advance(hours=2)

    [result] = world.recover()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1


def test_r8_the_same_wrong_answer_is_told_once() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.WRONG_AMOUNT)
    world.run(standing_order())
    [done] = world.gateway._executed.values()
    done.outcome = attrs.evolve(world.gateway.captured[0], amount=usd("7"))
    told = world.told()
    for _ in range(3):
        world.clock.advance(days=2)
        [result] = world.recover()
        assert result.status is RunStatus.REVIEW

    assert world.told() == told
    assert world.postings() == ()


def test_r8_another_currency_is_another_amount() -> None:
    world = World(bill("INV-1", "120.00"))
    store = world.store.standing(KEY, "").store
    key = idempotency_key(SECRET, KEY, 1, store=store)
    wrong = Captured(key=key, amount=Money.of("120.00", "CAD"), reference="x")
    rig(world.gateway, charge=lambda request: wrong)

    assert world.run(standing_order()).status is RunStatus.REVIEW


def test_contradictory_outcomes_raise_an_alarm() -> None:
    """A capture after a decline under the same key breaks a promise."""
    world = World(bill("INV-1", "120.00"))
    flow = collect(
        case_of(standing_order(), occurrence_on(standing_order(), DAY), TERMS)
    )
    traced = Traced(flow, world.ports)
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        """Take the money; meanwhile another worker hears of a decline."""
        world.gateway.decline(CARD.token)
        world.clock.advance(minutes=2)
        rig(world.gateway, charge=charge)
        world.sweep(standing_order())
        return Captured(key=request.key, amount=request.amount, reference="q")

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.FAILED
    [alarm] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.NEEDS_REVIEW
    ]
    assert alarm.reason == "ContradictoryOutcome"
    assert world.postings() == ()


def test_the_slow_worker_accepts_what_the_fast_one_wrote() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        answer = charge(request)
        world.clock.advance(minutes=2)
        world.recover()
        return answer

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert len(world.postings()) == 1
    assert world.told() == [NoticeKind.PAID]


def test_a_definitive_outcome_is_applied_to_what_stands_by_then() -> None:
    """Another worker only counted a try; the capture is not dropped."""
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        world.clock.advance(minutes=2)
        world.gateway.script(Fault.LOSE_REQUEST)
        rig(world.gateway, charge=charge)
        world.sweep(standing_order())
        return charge(request)

    rig(world.gateway, charge=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert world.taken == [usd("120.00")]
    assert world.record.attempts[0].tries == 2


def test_a_doubt_does_not_overwrite_what_another_worker_knows() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order())
    charge = world.one_step.charge

    def slow(request: ChargeRequest) -> ChargeOutcome:
        charge(request)
        world.clock.advance(minutes=2)
        world.recover()
        return Indeterminate(detail="timeout")

    rig(world.gateway, charge=slow)

    assert traced.go().status is RunStatus.PAID


def test_the_reference_of_the_slower_of_two_workers_is_never_used() -> None:
    """What is not on record is never confirmed (TS-1)."""
    world = World(bill("INV-1", "120.00"), two_step=True)
    traced = traced_run(world, standing_order())
    gateway = world.two_step
    prepare = gateway.prepare

    def slow(request: ChargeRequest) -> str | Declined:
        reference = prepare(request)
        world.clock.advance(minutes=2)
        rig(gateway, prepare=prepare)
        world.sweep(standing_order())
        return reference

    rig(gateway, prepare=slow)

    result = traced.go()

    assert result.status is RunStatus.PAID
    assert "Confirm" not in traced.names
    assert world.taken == [usd("120.00")]


# -- R8: of another account, of another request, with another's reference -----


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"account": "acct-2"}, "another account"),
        ({"request": "another hash"}, "another request"),
    ],
)
def test_r8_an_outcome_of_another_account_or_request_is_never_ours(
    spoil: dict[str, str], said: str
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, account="acct-1"
    )
    rig(
        world.gateway,
        charge=lambda request: Captured(
            key=request.key, amount=request.amount, reference="x", **spoil
        ),
    )

    result = world.run(standing_order())

    assert (result.status, result.reason) == (
        RunStatus.REVIEW,
        "GatewayMismatch",
    )
    assert said in result.detail
    assert world.postings() == ()


@pytest.mark.parametrize("is_unique", [True, False])
def test_r8_a_reference_that_another_run_has_is_refused_unless_they_repeat(
    is_unique: bool,
) -> None:
    world = World(
        bill("INV-1", "120.00"), bill("INV-2", "50.00", client="C-2")
    )
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, unique_references=is_unique
    )
    rig(
        world.gateway,
        charge=lambda request: Captured(
            key=request.key, amount=request.amount, reference="same"
        ),
    )
    other = standing_order(id="ap-2", enrollments=(to_client("C-2"),))

    first, second = world.sweep(standing_order(), other)

    assert first.status is RunStatus.PAID
    assert second.status is (RunStatus.REVIEW if is_unique else RunStatus.PAID)
    assert second.reason == ("ReferenceReused" if is_unique else "")
    assert len(world.postings()) == (1 if is_unique else 2)


def test_r8_a_reference_is_refused_though_another_worker_was_faster() -> None:
    """Both steps, the capture and the review, meet what stands by then."""
    world = World(
        bill("INV-1", "120.00"), bill("INV-2", "50.00", client="C-2")
    )
    world.run(standing_order(id="ap-2", enrollments=(to_client("C-2"),)))
    [first] = world.gateway.captured
    commit, refused = world.store.commit, list[str]()

    def overtaken(change: Change) -> Committed | Conflict:
        is_review = change.runs and change.runs[0].state is RunState.REVIEW
        if is_review and not refused:
            refused.append("once")
            return Conflict(reason=ConflictReason.VERSION)
        return commit(change)

    rig(world.store, commit=overtaken)
    rig(
        world.gateway,
        charge=lambda request: Captured(
            key=request.key, amount=request.amount, reference=first.reference
        ),
    )

    result = world.run(standing_order())

    assert refused == ["once"]
    assert result.reason == "ReferenceReused"
