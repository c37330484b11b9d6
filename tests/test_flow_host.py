"""The host's side of the protocol, and a run that dies at any step."""

from __future__ import annotations

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
)
from autopay_core.associations import InvoicePage
from autopay_core.charges import (
    ChargeRequest,
    GatewayCapabilities,
    Indeterminate,
    NotFound,
    Pending,
    idempotency_key,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    Standing,
)
from autopay_core.engine.dispatch import terms_of
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    Charge,
    Lookup,
    LookupReference,
    Send,
    call_off,
    look_up,
    take_money,
)
from autopay_core.engine.telling import deliver
from autopay_core.errors import (
    CommitUnknownError,
    HostProtocolError,
    PortError,
    PortUnavailableError,
)
from autopay_core.notices import NoticeKind
from autopay_core.references import DepositAccount
from autopay_core.runs import RunState, RunStatus
from worlds import (
    CARD,
    DAY,
    FORMS,
    KEY,
    SECRET,
    START,
    TERMS,
    Script,
    World,
    a_run,
    bill,
    rig,
    standing_order,
    traced_run,
    usd,
)

PAGE = InvoicePage(invoices=(bill("INV-1", "120.00"),))
OPENED = OpenAmounts(versions={"C-1": 0})


@pytest.mark.parametrize(
    "answers",
    [
        [None],
        ["standing"],
        [Standing(now=START), OPENED, PAGE, None],
        [Standing(now=START), OPENED, PAGE, True],
    ],
)
def test_a_host_that_answers_wrongly_is_told_so(answers: list[object]) -> None:
    script = Script(a_run(), *answers)

    with pytest.raises(HostProtocolError, match="was answered with"):
        script.go()


@pytest.mark.parametrize(
    "answers",
    [
        [None],
        [OPENED, (bill("INV-1", "1.00"),)],
        [OPENED, None],
        [OPENED, HostProtocolError("nonsense")],
    ],
)
def test_r6_nonsense_that_is_read_makes_the_run_late(
    answers: list[object],
) -> None:
    """What a port answers for one auto-pay never stops the others."""
    script = Script(a_run(), Standing(now=START), *answers, Committed())

    result = script.go()

    assert result.status is RunStatus.WAITING
    assert result.reason == "HostProtocol"
    assert result.record is not None
    assert result.record.late_since == DAY


@pytest.mark.parametrize("answer", [None, 7, "ab", ["ab"], [None]])
def test_many_answers_are_checked_one_by_one(answer: object) -> None:
    script = Script(deliver(), answer)

    with pytest.raises(HostProtocolError, match="ReadUndelivered"):
        script.go()


def test_r4_a_host_may_throw_its_gateways_errors_into_the_flow() -> None:
    """`Ports` makes them doubts; another host need not."""
    script = Script(
        a_run(),
        Standing(now=START),
        OPENED,
        PAGE,
        Committed(),
        PortError("broken"),
        # It may be one of many: the breaker looks at what was sent (H4).
        Standing(now=START),
        (),
        Committed(),
    )

    assert script.go().status is RunStatus.OPEN


def test_what_a_store_refuses_to_keep_is_not_told() -> None:
    script = Script(
        a_run(),
        Standing(now=START),
        PortUnavailableError("down"),
        Conflict(reason=ConflictReason.POSTING),
    )

    assert script.go().status is RunStatus.POSTPONED
    assert not any(isinstance(each, Send) for each in script.requests)


def test_a_step_that_another_worker_made_is_accepted() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    before = world.record
    world.clock.advance(minutes=2)
    world.recover()
    paid = Standing(now=world.clock.at, run=world.record)

    done = Script(recover_one(before, terms_of(world.ports)), paid)
    assert done.go().status is RunStatus.PAID
    overtaken = Script(
        recover_one(before, terms_of(world.ports)),
        Standing(now=world.clock.at, run=before),
        Indeterminate(),
        Conflict(reason=ConflictReason.VERSION),
        paid,
    )
    assert overtaken.go().status is RunStatus.PAID


def test_r4_a_run_without_a_record_is_left_alone() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order(off_from=DAY))

    script = Script(
        recover_one(world.record, TERMS), Standing(now=world.clock.at)
    )

    assert script.go().status is RunStatus.CANCELLED


def test_a_record_that_vanishes_is_the_hosts_fault() -> None:
    script = Script(
        a_run(),
        Standing(now=START),
        OPENED,
        PAGE,
        Committed(),
        Pending(
            key=idempotency_key(SECRET, KEY, 1),
            amount=usd("120.00"),
            reference="x",
        ),
        Conflict(reason=ConflictReason.VERSION),
        Standing(now=START),
    )

    with pytest.raises(HostProtocolError, match="is gone"):
        script.go()


def test_a_commit_that_is_not_known_to_stand_is_raised_and_found_again() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    commit = world.store.commit
    lost = [True]

    def unknown(change: Change) -> Committed | Conflict:
        done = commit(change)
        if lost.pop() if lost else False:
            raise CommitUnknownError("the answer was lost")
        return done

    rig(world.store, commit=unknown)

    with pytest.raises(CommitUnknownError):
        world.run(standing_order())
    world.clock.advance(minutes=2)

    assert world.run(standing_order()).status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


@FORMS
@pytest.mark.parametrize("cut", range(1, 10))
def test_a_run_that_dies_at_any_step_is_finished_by_the_next(
    cut: int, two_step: bool
) -> None:
    """The recovery table: whatever state a crash leaves, one charge."""
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    traced_run(world, standing_order()).cut(cut)
    world.clock.advance(minutes=2)

    world.sweep(standing_order())

    assert world.record.state is RunState.PAID
    assert world.taken == [usd("120.00")]
    assert [each.amount for each in world.postings()] == [usd("120.00")]
    assert world.told() == [NoticeKind.PAID]
    assert world.store.undelivered(10) == ()


@pytest.mark.parametrize("answer", [None, 7, PortError("x"), KeyError("x")])
def test_a_broken_prepare_moves_no_money_and_is_no_doubt(
    answer: object,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=True)
    prepare = world.two_step.prepare

    def broken(_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    rig(world.gateway, prepare=broken)

    result = world.run(standing_order())
    assert result.status is RunStatus.WAITING
    assert world.told() == [NoticeKind.INCIDENT]
    assert world.record.attempts == ()
    assert world.reserved() == {}
    rig(world.gateway, prepare=prepare)
    world.clock.advance(minutes=1)

    again = world.run(standing_order())

    assert again.status is RunStatus.PAID
    assert again.record is not None
    assert [each.number for each in again.record.attempts] == [1]


def test_take_money_takes_nothing_but_an_outcome_for_an_answer() -> None:
    request = Charge(_request())

    for answer in (None, True, "captured", NotFound()):
        script = Script(take_money(request), answer)
        assert isinstance(script.go(), Indeterminate)


def test_a_look_up_that_fails_is_a_doubt() -> None:
    script = Script(look_up("key", None, TERMS), PortError("x", code="Broken"))

    assert script.go() == Indeterminate(detail="look-up: Broken")


def test_a_cancel_that_fails_or_is_unclear_is_a_doubt() -> None:
    for answer, said in (
        (PortError("x", code="Broken"), "cancel: Broken"),
        (NotFound(), "a cancel was answered with NotFound"),
        (True, "a cancel was answered with bool"),
    ):
        script = Script(call_off("key", None), answer)
        assert script.go() == Indeterminate(detail=said)


def test_a_look_up_is_by_reference_where_the_gateway_finds_those() -> None:
    finds = attrs.evolve(
        TERMS, capabilities=GatewayCapabilities(finds_references=True)
    )
    for terms, reference, asked in (
        (finds, "ref-1", LookupReference("ref-1", "key")),
        (finds, None, Lookup("key")),
        (TERMS, "ref-1", Lookup("key")),
    ):
        script = Script(look_up("key", reference, terms), NotFound())
        assert script.go() == NotFound()
        assert script.requests == [asked]


def _request() -> ChargeRequest:
    return ChargeRequest(
        key="key",
        method=CARD,
        amount=usd("1"),
        deposit_account=DepositAccount(id="operating-1"),
    )
