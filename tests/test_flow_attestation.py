"""A person's word ends a run in review: rules R4, R8."""

from __future__ import annotations

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.calls import attest, reverse
from autopay_core.charges import (
    Captured,
    Declined,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
)
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.runs import RunResult, RunState, RunStatus
from worlds import (
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    rig,
    standing_order,
    to_invoice,
    usd,
)


def _in_review() -> World:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(days=1)
    world.recover()
    assert world.record.state is RunState.REVIEW
    return world


def _word(
    world: World, outcome: Captured | Declined, **changes: str
) -> RunResult:
    words = {"by": "Ann", "reason": "checked", "evidence": "statement 7"}
    return attest(KEY, outcome, ports=world.ports, **{**words, **changes})


def test_r4_a_persons_word_that_it_was_not_charged_ends_the_run() -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    result = _word(world, Declined(key=key, code="attested"))

    assert result.status is RunStatus.FAILED
    assert world.reserved() == {}


def test_r4_a_persons_word_that_it_was_charged_posts_it() -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    result = _word(
        world, Captured(key=key, amount=usd("120.00"), reference="st-7")
    )

    assert result.status is RunStatus.PAID
    assert [each.payment_reference for each in world.postings()] == ["st-7"]


def _partly_captured(world: World, amount: str) -> RunResult:
    key = world.record.attempts[0].key
    return _word(
        world, Captured(key=key, amount=usd(amount), reference="st-7")
    )


def test_r8_a_persons_word_that_a_part_was_captured_posts_that_part() -> None:
    world = _in_review()

    result = _partly_captured(world, "50.00")

    assert result.status is RunStatus.PAID
    assert result.charged == usd("50.00")
    assert result.reason == "PartialCapture"
    assert [each.amount for each in world.postings()] == [usd("50.00")]
    assert world.reserved() == {"INV-1": usd("50.00")}
    told = world.notifier.sent[-1]
    assert (told.kind, told.amount) == (NoticeKind.PAID_IN_PART, usd("50.00"))
    after = world.run(standing_order(), on=FEBRUARY)
    assert after.charged == usd("70.00")


def test_r8_a_part_that_was_captured_is_all_that_counts_and_goes_back() -> (
    None
):
    world = _in_review()
    _partly_captured(world, "50.00")
    limit = Limit.all("USD", lifetime=usd("60.00"))

    after = world.run(standing_order(limit=limit), on=FEBRUARY)

    assert after.charged == usd("10.00")
    back = Reversal(
        event="ev-1", kind=ReversalKind.REFUND, amount=usd("50.01"), on=DAY
    )
    with pytest.raises(ValueError, match="ReversalExceeds"):
        reverse(KEY, back, ports=world.ports)


def test_r8_a_plan_of_which_a_part_was_captured_is_not_paid_off() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order(enrollments=(to_invoice("INV-1"),)))
    world.clock.advance(days=1)
    world.recover()

    _partly_captured(world, "119.99")

    assert NoticeKind.PLAN_PAID_OFF not in world.told()


@pytest.mark.parametrize(
    "amount", [usd("0"), usd("120.01"), Money.of("50.00", "CAD")]
)
def test_r8_nobodys_word_posts_more_or_another_currency(
    amount: Money,
) -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    with pytest.raises(ValueError, match="GatewayMismatch"):
        _word(world, Captured(key=key, amount=amount, reference="st-7"))

    assert world.record.state is RunState.REVIEW


@pytest.mark.parametrize("word", ["by", "reason", "evidence"])
def test_r4_an_attestation_needs_name_reason_and_evidence(word: str) -> None:
    world = _in_review()
    key = world.record.attempts[0].key

    with pytest.raises(ValueError, match=word):
        _word(world, Declined(key=key, code="x"), **{word: " "})

    assert world.record.state is RunState.REVIEW


@pytest.mark.parametrize(
    "outcome",
    [
        Declined(key="other", code="x"),
        Captured(key="other", amount=usd("120.00"), reference="x"),
    ],
)
def test_r4_an_attestation_about_another_request_is_refused(
    outcome: Captured | Declined,
) -> None:
    world = _in_review()

    with pytest.raises(ValueError, match="GatewayMismatch"):
        _word(world, outcome)


def test_r4_only_a_run_in_review_can_be_attested() -> None:
    world = World(bill("INV-1", "120.00"))
    with pytest.raises(ValueError, match="NotInReview"):
        _word(world, Declined(key="x", code="x"))
    world.run(standing_order())

    with pytest.raises(ValueError, match="NotInReview"):
        _word(world, Declined(key="x", code="x"))


def test_r4_an_attestation_gives_way_to_what_was_found_meanwhile() -> None:
    world = _in_review()
    key = world.record.attempts[0].key
    intent = world.record.intent
    assert intent is not None
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        world.gateway.script()
        world.gateway._execute(
            key,
            attrs.evolve(intent.request, not_after=None),
        )
        world.clock.advance(days=2)
        world.recover()
        return commit(change)

    rig(world.store, commit=overtaken)

    result = _word(world, Declined(key=key, code="attested"))

    assert result.status is RunStatus.PAID
