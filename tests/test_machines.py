"""
A state machine for each table: runs and postings.

Each machine does whatever may happen, in any order, and compares what the
library says with what is written here by hand: what a state means, and which
step there is. A new state has no meaning here and a new step nobody who takes
it, so both are noticed. Three tests plant one to see it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from autopay_core import postings
from autopay_core.adapters.memory import Fault
from autopay_core.autopay import (
    AdvanceNotice,
    upcoming,
)
from autopay_core.calls import (
    advance_postings,
    attest,
    read_postings,
    rerun,
    reverse,
)
from autopay_core.charges import Captured, Declined, GatewayCapabilities
from autopay_core.commits import Change, Committed
from autopay_core.engine import steps
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.holds import Hold, lift
from autopay_core.money import Money
from autopay_core.ports import Ports
from autopay_core.postings import (
    POSTING_MOVES,
    Posting,
    PostingStatus,
    PostingView,
    Reversal,
    ReversalKind,
)
from autopay_core.retries import RetryPolicy
from autopay_core.runs import (
    RESERVING_STATES,
    RUN_MOVES,
    RunRecord,
    RunState,
    RunStatus,
)
from autopay_core.schedules import Schedule
from planting import Planting
from worlds import (
    BANK,
    CARD,
    DAY,
    World,
    bill,
    enrolled,
    posting,
    rig,
    standing_order,
    to_client,
    usd,
)


def _tried(
    machine: type[RuleBasedStateMachine], examples: int, steps: int = 30
) -> None:
    """Drive *machine*, the same way every time."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ],
        ),
    )


# -- Runs ---------------------------------------------------------------------


@attrs.frozen
class Means:
    """
    What a state of a run says of the money and of what comes.

    Whether it has a time of its next look: None for either, when it may go on
    at every sweep.
    """

    is_over: bool
    reserves: bool
    is_looked_at_again: bool | None
    took_money: bool = False


MEANING: Mapping[RunState, Means] = {
    RunState.ANNOUNCED: Means(False, False, False),
    RunState.OPEN: Means(False, True, True),
    RunState.PENDING: Means(False, True, True),
    RunState.REVIEW: Means(False, True, True),
    # At a time, or at each sweep: what is late.
    RunState.WAITING: Means(False, False, None),
    RunState.PAID: Means(True, False, False, took_money=True),
    RunState.FAILED: Means(True, False, False),
    RunState.NOTHING_DUE: Means(True, False, False),
    RunState.CANCELLED: Means(True, False, False),
    RunState.MISSED: Means(True, False, False),
}

STEPS: Mapping[RunState | None, str] = {
    None: "announced open waiting failed nothing_due cancelled missed",
    RunState.ANNOUNCED: (
        "announced open waiting failed nothing_due cancelled missed"
    ),
    RunState.OPEN: "open pending review waiting paid failed",
    RunState.PENDING: "pending review waiting paid failed",
    RunState.REVIEW: "pending review waiting paid failed",
    RunState.WAITING: "waiting open failed nothing_due cancelled",
    RunState.PAID: "paid",
    RunState.FAILED: "waiting",
    RunState.NOTHING_DUE: "",
    RunState.CANCELLED: "",
    RunState.MISSED: "waiting",
}
"""Every step of a run, said once more: what is new is to be thought about."""

RUN_STEPS = {
    (before, RunState(name))
    for before, names in STEPS.items()
    for name in names.split()
}

_DAY = timedelta(days=1)


_BOTH = st.booleans()
Draw = Callable[[st.SearchStrategy[Any]], Any]


class RunMachine(RuleBasedStateMachine):
    """One auto-pay, and all that may happen to its runs."""

    taken: ClassVar[set[tuple[RunState | None, RunState]]] = set()

    @initialize(
        is_bank=st.booleans(),
        two_step=st.booleans(),
        is_announced=st.booleans(),
        retries=st.booleans(),
        settles=st.booleans(),
        days_kept=st.sampled_from([1, 7]),
    )
    def begin(
        self,
        is_bank: bool,
        two_step: bool,
        is_announced: bool,
        retries: bool,
        settles: bool,
        days_kept: int,
    ) -> None:
        self.settles = settles
        self.world = World(
            bill("INV-1", "50.00"),
            two_step=two_step,
            capabilities=GatewayCapabilities(
                key_retention_seconds=days_kept * 86_400,
                lookup_settle_seconds=0 if settles else None,
                honours_deadline=True,
                two_step=two_step,
            ),
            bank_debits_pend=is_bank,
        )
        method = BANK if is_bank else CARD
        if is_bank:
            method = attrs.evolve(method, network="ach")
        self.autopay = standing_order(
            method=method,
            schedule=Schedule.weekly(DAY),
            retry=RetryPolicy(retries_most=2, every_days=3)
            if retries
            else None,
            advance_notice=AdvanceNotice(days=3) if is_announced else None,
        )
        self.bills = 1
        self.taken_now: set[tuple[RunState | None, RunState]] = set()
        self.commit = self.world.store.commit
        rig(self.world.store, commit=self._committed)

    @property
    def today(self) -> date:
        return self.world.clock().date()

    def having(self, *states: RunState) -> list[RunRecord]:
        return [each for each in self.world.records if each.state in states]

    # -- What happens --------------------------------------------------------

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Let something happen, or nothing, and then a night."""
        # One rule: of many, hypothesis would switch some off, and few runs
        # would come to their end.
        able = [getattr(self, name) for name in self.ACTS]
        for _ in range(data.draw(st.integers(0, 2))):
            data.draw(st.sampled_from(able))(data.draw)
        seconds = data.draw(st.sampled_from(self.PAUSES))
        self.world.clock.advance(seconds=seconds)
        if data.draw(st.integers(0, 4)):
            self.world.sweep(self.autopay, as_of=self.today)

    PAUSES = (2, 61, 601, 3_600, 86_400, 3 * 86_400, 7 * 86_400)
    ACTS = (
        "run_on_request",
        "gateway_fails",
        "gateway_fails",
        "bank_says",
        "what_was_late_arrives",
        "debit_ends",
        "debit_ends",
        "gateway_forgets",
        "is_shown_late",
        "invoice_comes",
        "paid_some_other_way",
        "other_bill_under_the_number",
        "payer_stops",
        "payer_stops_what_is_in_doubt",
        "a_doubt_outlasts_a_day",
        "turn_off",
        "edit",
        "enrol",
        "person_knows",
        "person_wants_it_after_all",
        "data_cannot_be_read",
        "money_goes_back",
    )

    def run_on_request(self, draw: Draw) -> None:
        on = upcoming(self.autopay, self.today)
        if on is not None and (on.charge_on == self.today or draw(_BOTH)):
            self.world.run(self.autopay, on.charge_on)

    def gateway_fails(self, draw: Draw) -> None:
        self.world.gateway.script(draw(st.sampled_from(Fault)))

    def bank_says(self, draw: Draw) -> None:
        code = draw(st.sampled_from(["51", "R01", "R02", None]))
        token = self.autopay.method.token
        if code is None:
            self.world.gateway.accept(token)
        else:
            self.world.gateway.decline(token, code=code)

    def what_was_late_arrives(self, _: Draw) -> None:
        self.world.gateway.flush()

    def debit_ends(self, draw: Draw) -> None:
        for record in self.having(RunState.PENDING, RunState.REVIEW):
            key = record.attempts[-1].reference or record.attempts[-1].key
            end = self.world.gateway.settle
            if draw(_BOTH):
                end = self.world.gateway.fail
            with suppress(InvalidValueError, KeyError):
                end(key)  # It may have ended, or never have come to be.

    def gateway_forgets(self, _: Draw) -> None:
        for each in self.having(*RESERVING_STATES):
            self.world.gateway.forget(each.attempts[-1].key)

    def is_shown_late(self, draw: Draw) -> None:
        gateway = self.world.gateway
        gateway.hides_new_requests = draw(_BOTH)
        if not gateway.hides_new_requests:
            gateway.reveal()

    def invoice_comes(self, _: Draw) -> None:
        self.bills += 1
        self.world.matters.put(
            bill(f"INV-{self.bills}", "20.00", issued=self.today)
        )

    def paid_some_other_way(self, _: Draw) -> None:
        for each in self.world.matters.all():
            self.world.matters.remove(each.number)

    def other_bill_under_the_number(self, _: Draw) -> None:
        balance = Money.of("70.00", "EUR")
        self.world.matters.put(
            attrs.evolve(bill("INV-1", "70.00"), balance=balance)
        )

    def payer_stops(self, draw: Draw) -> None:
        made = Hold.on_autopay("ap-1", by="payer", reason="a call")
        if draw(_BOTH):
            made = lift(made, by="payer", reason="another call")
        self.world.store.commit(Change(holds=(made,)))

    def payer_stops_what_is_in_doubt(self, draw: Draw) -> None:
        self.world.gateway.script(Fault.LOSE_REQUEST)
        self.world.sweep(self.autopay, as_of=self.today)
        self.payer_stops(draw)
        self.world.clock.advance(hours=1)
        self.world.sweep(self.autopay, as_of=self.today)

    def a_doubt_outlasts_a_day(self, draw: Draw) -> None:
        if self.settles:
            return  # A gateway that shows what it has done hides nothing.
        gateway = self.world.gateway
        gateway.hides_new_requests = True
        self.bank_says(draw)
        gateway.script(Fault.LOSE_ANSWER)
        self.world.sweep(self.autopay, as_of=self.today)
        # On hold it is not sent again, so nobody can say what it came to.
        made = Hold.on_autopay("ap-1", by="payer", reason="a call")
        self.world.store.commit(Change(holds=(made,)))
        self.world.clock.advance(days=draw(st.sampled_from([1, 6])))
        self.world.sweep(self.autopay, as_of=self.today)
        made = lift(made, by="payer", reason="another call")
        self.world.store.commit(Change(holds=(made,)))
        gateway.hides_new_requests = False
        gateway.reveal()
        self.world.sweep(self.autopay, as_of=self.today)

    def turn_off(self, draw: Draw) -> None:
        off_from = self.today if draw(_BOTH) else None
        self.autopay = attrs.evolve(self.autopay, off_from=off_from)

    def edit(self, draw: Draw) -> None:
        per_run = usd("30.00") if draw(_BOTH) else None
        self.autopay = attrs.evolve(
            self.autopay,
            limit=attrs.evolve(self.autopay.limit, per_run=per_run),
        )

    def enrol(self, draw: Draw) -> None:
        enrolments = (enrolled(to_client()),) if draw(_BOTH) else ()
        self.autopay = attrs.evolve(self.autopay, enrollments=enrolments)

    def person_knows(self, draw: Draw) -> None:
        for record in self.having(RunState.REVIEW):
            last = record.attempts[-1]
            outcome: Captured | Declined = Declined(key=last.key, code="lost")
            if draw(_BOTH):
                outcome = Captured(
                    key=last.key, amount=last.amount, reference="statement"
                )
            # The gateway may say otherwise, or may say so yet.
            with suppress(InvalidValueError):
                attest(
                    record.key,
                    outcome,
                    by="Kim",
                    reason="statement",
                    evidence="page 1",
                    ports=self.world.ports,
                )

    def person_wants_it_after_all(self, _: Draw) -> None:
        for record in self.having(RunState.MISSED, RunState.FAILED):
            with suppress(InvalidValueError):  # An attempt was answered.
                rerun(
                    record.key,
                    by="Kim",
                    reason="the payer asked",
                    ports=self.world.ports,
                )

    def data_cannot_be_read(self, draw: Draw) -> None:
        read = self.world.matters.open_invoices

        def away(_: object) -> NoReturn:
            raise PortUnavailableError("no connection")

        rig(self.world.matters, open_invoices=away)
        if draw(_BOTH):
            self.world.clock.advance(days=7)
        self.world.sweep(self.autopay, as_of=self.today)
        rig(self.world.matters, open_invoices=read)

    def money_goes_back(self, _: Draw) -> None:
        for record in self.having(RunState.PAID):
            if not record.reversals:
                reversal = Reversal(
                    event=f"event of {record.key}",
                    kind=ReversalKind.RETURN,
                    amount=usd("1.00"),
                    on=self.today,
                )
                reverse(record.key, reversal, ports=self.world.ports)

    # -- What holds ----------------------------------------------------------

    def _committed(self, change: Change) -> Any:
        """Commit a change, and note each step that it makes."""
        before = {each.key: each for each in self.world.records}
        answer = self.commit(change)
        if isinstance(answer, Committed):
            for record in change.runs:
                stood = before.get(record.key)
                state = None if stood is None else stood.state
                self.taken.add((state, record.state))
                self.taken_now.add((state, record.state))
        return answer

    @invariant()
    def every_step_is_in_the_table(self) -> None:
        # Not where it is taken: an error there is taken for the store's.
        if hasattr(self, "taken_now"):
            assert self.taken_now <= RUN_STEPS
            self.taken_now.clear()

    @invariant()
    def every_state_means_what_it_says(self) -> None:
        if not hasattr(self, "world"):
            return
        reserved: dict[str, Money] = {}
        for record in self.world.records:
            means = MEANING[record.state]
            assert record.state.is_finished is means.is_over
            assert RunStatus(record.state.value).name == record.state.name
            assert means.is_looked_at_again in (
                None,
                record.next_try_at is not None,
            )
            paid = [
                each
                for each in self.world.postings()
                if each.run == record.key and each.amount.is_positive
            ]
            assert bool(paid) is means.took_money
            shares = [(each.invoice, each.amount) for each in paid]
            if means.reserves and record.intent is not None:
                shares += record.intent.allocation.amounts.items()
            for number, amount in shares:
                before = reserved.get(number, usd("0"))
                reserved[number] = before + amount
        assert self.world.reserved() == reserved
        standing = self.world.store.standing(_any_key(self.world.records), "")
        assert {each.key for each in standing.unfinished} == {
            each.key
            for each in self.world.records
            if not MEANING[each.state].is_over
        }


def _any_key(records: tuple[RunRecord, ...]) -> Any:
    return records[0].key if records else posting().run


def test_every_state_of_a_run_has_a_meaning() -> None:
    assert set(MEANING) == set(RunState)
    assert set(STEPS) == set(RUN_MOVES) == {None, *RunState}


def test_a_run_has_these_steps_and_no_other() -> None:
    assert {
        (before, to) for before, tos in RUN_MOVES.items() for to in tos
    } == RUN_STEPS


@pytest.mark.slow
def test_every_step_of_a_run_is_taken_by_a_flow() -> None:
    RunMachine.taken = set()

    _tried(RunMachine, 500)

    # Its dates do not move: tests/test_flow_told.py announces anew.
    anew = (RunState.ANNOUNCED, RunState.ANNOUNCED)
    assert RunMachine.taken | {anew} == RUN_STEPS


# -- Postings -----------------------------------------------------------------

IS_OPEN: Mapping[PostingStatus, bool] = {
    PostingStatus.PENDING: True,
    PostingStatus.INCOMPLETE: True,
    PostingStatus.QUEUED: True,
    PostingStatus.POSTED: True,
    PostingStatus.APPLIED: False,
    PostingStatus.REMOVED: False,
}
"""Whether a status keeps an invoice from being paid (P2)."""

SHOWN: Mapping[PostingStatus, set[PostingView]] = {
    PostingStatus.PENDING: {
        PostingView.PENDING_INCOMPLETE,
        PostingView.PENDING,
    },
    PostingStatus.INCOMPLETE: {
        PostingView.PENDING_INCOMPLETE,
        PostingView.INCOMPLETE,
    },
    PostingStatus.QUEUED: {PostingView.QUEUED},
    PostingStatus.POSTED: {PostingView.POSTED},
    PostingStatus.APPLIED: {PostingView.POSTED},
    PostingStatus.REMOVED: {PostingView.REMOVED},
}
"""Where staff find it, besides among all (P3)."""


MOVES: Mapping[PostingStatus, str] = {
    PostingStatus.PENDING: "incomplete queued removed",
    PostingStatus.INCOMPLETE: "pending removed",
    PostingStatus.QUEUED: "pending incomplete posted applied removed",
    PostingStatus.POSTED: "applied incomplete removed",
    PostingStatus.APPLIED: "posted",
    PostingStatus.REMOVED: "pending",
}
"""Every step of a posting, said once more."""

POSTING_STEPS = {
    (before, PostingStatus(name))
    for before, names in MOVES.items()
    for name in names.split()
}


def _advance(
    moving: list[Posting], to: PostingStatus, ports: Ports
) -> tuple[Posting, ...] | None:
    """Move postings with a word, which some steps need (P3)."""
    return advance_postings(moving, to, ports=ports, by="Kim", note="by hand")


class PostingMachine(RuleBasedStateMachine):
    """Some postings, moved as staff and ledger like."""

    taken: ClassVar[set[tuple[PostingStatus, PostingStatus]]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.status = {
            f"p-{number}": PostingStatus.PENDING for number in range(3)
        }
        self.world.store.commit(
            Change(
                postings=tuple(
                    posting(id=each, invoice=f"INV-{each}")
                    for each in self.status
                )
            )
        )

    def stands(self, name: str) -> Posting:
        [found] = [each for each in self.world.postings() if each.id == name]
        return found

    @rule(
        name=st.sampled_from(["p-0", "p-1", "p-2"]),
        to=st.sampled_from(PostingStatus),
    )
    def move(self, name: str, to: PostingStatus) -> None:
        before = self.status[name]
        moving = [self.stands(name)]
        if (before, to) not in POSTING_STEPS:
            with pytest.raises(InvalidValueError) as caught:
                self.advance(moving, to)
            assert caught.value.code == "PostingTransition"
            return
        moved = self.advance(moving, to)
        assert moved is not None
        assert [each.status for each in moved] == [to]
        self.status[name] = to
        self.taken.add((before, to))
        # Whoever read it before has to read it again.
        assert self.advance(moving, to) is None

    def advance(
        self, moving: list[Posting], to: PostingStatus
    ) -> tuple[Posting, ...] | None:
        return advance_postings(
            moving, to, ports=self.world.ports, by="Ann", note="said"
        )

    @invariant()
    def every_status_means_what_it_says(self) -> None:
        assert self.world.reserved() == {
            f"INV-{name}": usd("10")
            for name, status in self.status.items()
            if IS_OPEN[status]
        }
        for view in PostingView:
            shown = read_postings(view, ports=self.world.ports)
            assert {str(each.id): each.status for each in shown} == {
                name: status
                for name, status in self.status.items()
                if view is PostingView.ALL or view in SHOWN[status]
            }


TestPostings = PostingMachine.TestCase


def test_every_status_of_a_posting_has_a_meaning() -> None:
    assert set(IS_OPEN) == set(SHOWN) == set(MOVES) == set(PostingStatus)


def test_p3_a_posting_has_these_steps_and_no_other() -> None:
    assert {
        (before, to) for before, tos in POSTING_MOVES.items() for to in tos
    } == POSTING_STEPS


def test_p3_every_step_of_a_posting_is_taken() -> None:
    PostingMachine.taken = set()

    _tried(PostingMachine, 250)

    assert PostingMachine.taken == POSTING_STEPS


# -- Planted: what is new is noticed ------------------------------------------


def _with(
    table: Mapping[Any, frozenset[Any]], before: object, *to: object
) -> Mapping[Any, frozenset[Any]]:
    return MappingProxyType({**table, before: table[before] | set(to)})


def test_p3_a_new_step_of_a_posting_is_noticed() -> None:
    more = _with(POSTING_MOVES, PostingStatus.REMOVED, PostingStatus.QUEUED)
    with Planting() as planting:
        planting.swap(POSTING_MOVES, more, postings)

        with pytest.raises(BaseException, match="DID NOT RAISE"):
            _tried(PostingMachine, 100)


def test_p3_a_step_of_a_posting_that_is_gone_is_noticed() -> None:
    less = {**POSTING_MOVES, PostingStatus.INCOMPLETE: frozenset[Any]()}
    with Planting() as planting:
        planting.swap(POSTING_MOVES, less, postings)

        with pytest.raises(InvalidValueError, match="PostingTransition"):
            _tried(PostingMachine, 100)


def test_a_step_of_a_run_that_is_not_in_the_table_is_noticed() -> None:
    def missed_again(before: Any, to: RunState, key: Any) -> int:
        return 1 if before is None else int(before.version) + 1

    def waits(record: RunRecord, *args: Any, **options: Any) -> Change:
        after = attrs.evolve(
            record,
            version=record.version + 1,
            state=RunState.NOTHING_DUE,
            next_try_at=None,
        )
        return Change(runs=(after,))

    with Planting() as planting:
        planting.swap(steps.next_version, missed_again)
        planting.swap(steps.wait, waits)

        with pytest.raises(BaseException, match="Extra items"):
            _tried(RunMachine, 200)
