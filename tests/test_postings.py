"""Intents, runs and postings: the tables of P2 and P3, P1, P4, R2."""

from __future__ import annotations

import itertools
import pickle
from datetime import date, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.allocation import allocate
from autopay_core.charges import Captured, ChargeRequest
from autopay_core.corrections import reversal_postings
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.postings import (
    OPEN_STATUSES,
    POSTING_MOVES,
    PostingStatus,
    PostingView,
    Reversal,
    ReversalKind,
    in_view,
    move_posting,
    open_amounts,
    posting_id,
)
from autopay_core.references import DepositAccount, RunKey
from autopay_core.runs import (
    RESERVING_STATES,
    RUN_MOVES,
    Attempt,
    Intent,
    RunRecord,
    RunState,
    check_move,
    postings_of,
    reservations,
)
from worlds import (
    CARD,
    DAY,
    START,
    World,
    bill,
    posting,
    standing_order,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = RunKey(autopay="ap-1", nominal_on=DAY)
OPERATING = DepositAccount(id="operating-1")


def paid(*amounts: int, captured: int | None = None) -> RunRecord:
    """Return a paid run of so many cents on each invoice, oldest first."""
    invoices = [
        bill(
            f"INV-{place}", "9000.00", issued=DAY - timedelta(days=99 - place)
        )
        for place in range(len(amounts))
    ]
    allocation = allocate(
        [
            attrs.evolve(
                each, balance=Money(amount_minor=amount, currency="USD")
            )
            for each, amount in zip(invoices, amounts, strict=True)
        ],
        Limit.all("USD"),
    )
    request = ChargeRequest(
        key="key-1",
        method=CARD,
        amount=allocation.total,
        deposit_account=OPERATING,
    )
    outcome = Captured(
        key="key-1",
        amount=allocation.total
        if captured is None
        else Money(amount_minor=captured, currency="USD"),
        reference="pay-1",
    )
    return RunRecord(
        key=KEY,
        payer="p1",
        version=2,
        state=RunState.PAID,
        charge_on=DAY,
        attempts=(
            Attempt(
                number=1,
                key="key-1",
                amount=request.amount,
                method=CARD.fingerprint,
                began_at=START,
                deadline=START,
                request_hash=request.request_hash,
                outcome=outcome,
            ),
        ),
        intent=Intent(allocation=allocation, request=request),
    )


# -- The two tables -----------------------------------------------------------

_FINISHED = {
    RunState.PAID,
    RunState.FAILED,
    RunState.NOTHING_DUE,
    RunState.CANCELLED,
    RunState.MISSED,
}


def test_r5_a_finished_run_goes_nowhere_but_a_paid_one_may_be_reversed() -> (
    None
):
    """But for what was lost, which a person may want after all (`rerun`)."""
    lost = {RunState.FAILED, RunState.MISSED}
    for state in RunState:
        assert state.is_finished == (state in _FINISHED)
        if state in lost:
            assert RUN_MOVES[state] == {RunState.WAITING}
        elif state in _FINISHED:
            assert RUN_MOVES[state] <= {RunState.PAID}
    assert RUN_MOVES[RunState.PAID] == {RunState.PAID}


def test_r4_what_may_have_moved_money_is_never_simply_forgotten() -> None:
    """From doubt a run comes to an outcome, never back to a fresh start."""
    for state in (RunState.OPEN, RunState.REVIEW, RunState.PENDING):
        assert RUN_MOVES[state].isdisjoint(
            {RunState.ANNOUNCED, RunState.NOTHING_DUE, RunState.MISSED}
        )
    assert {each for each in RunState if each.is_doubtful} == {
        RunState.OPEN,
        RunState.REVIEW,
    }


def test_r1_no_run_comes_to_money_but_through_its_intent() -> None:
    """Pending, in review and paid are reached from an open run only."""
    for state, after in RUN_MOVES.items():
        if state not in RESERVING_STATES and state is not RunState.PAID:
            assert after.isdisjoint(
                {RunState.PENDING, RunState.REVIEW, RunState.PAID}
            )


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product([None, *RunState], RunState))
)
def test_a_step_of_a_run_exists_or_is_refused(
    before: RunState | None, after: RunState
) -> None:
    if after in RUN_MOVES[before]:
        check_move(before, after, KEY)
        return
    with pytest.raises(InvalidValueError) as caught:
        check_move(before, after, KEY)
    assert caught.value.code == "RunTransition"
    assert str(KEY) in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product(PostingStatus, PostingStatus))
)
def test_p3_a_step_of_a_posting_exists_or_is_refused(
    before: PostingStatus, after: PostingStatus
) -> None:
    stands = posting(status=before, note="as it was")
    if after in POSTING_MOVES[before]:
        moved = move_posting(stands, after)
        assert moved == attrs.evolve(stands, status=after)
        assert move_posting(stands, after, note="new").note == "new"
        return
    with pytest.raises(InvalidValueError) as caught:
        move_posting(stands, after)
    assert caught.value.code == "PostingTransition"


def test_p2_every_status_leads_to_the_ledger_or_out() -> None:
    ends = {PostingStatus.APPLIED, PostingStatus.REMOVED}
    for status in PostingStatus:
        seen = {status}
        while not seen & ends:
            seen |= {each for one in seen for each in POSTING_MOVES[one]}
        assert (status in OPEN_STATUSES) == (status not in ends)


def test_p3_the_views_are_the_staffs() -> None:
    names = {each.value: each.statuses for each in PostingView}
    each = PostingStatus

    assert names == {
        "pending/incomplete": {each.PENDING, each.INCOMPLETE},
        "pending": {each.PENDING},
        "incomplete": {each.INCOMPLETE},
        "queued": {each.QUEUED},
        "posted": {each.POSTED, each.APPLIED},
        "removed": {each.REMOVED},
        "all": set(each),
    }


@pytest.mark.parametrize("view", PostingView)
def test_p3_a_view_keeps_what_it_shows_in_order(view: PostingView) -> None:
    every = [
        posting(id=f"p-{place}", status=status)
        for place, status in enumerate(PostingStatus)
    ]

    shown = in_view(every, view)

    assert list(shown) == [
        each for each in every if each.status in view.statuses
    ]


# -- Open amounts (L1, P2) ----------------------------------------------------


def test_l1_open_amounts_add_up_open_postings_and_reservations() -> None:
    postings = [
        posting(status=PostingStatus.PENDING),
        posting(status=PostingStatus.POSTED, amount=usd("5")),
        posting(status=PostingStatus.APPLIED, amount=usd("100")),
        posting(amount=usd("-3"), reverses="p-0"),
        posting(invoice="INV-2", amount=usd("7")),
    ]

    found = open_amounts(postings, [{"INV-1": usd("1")}, {"INV-3": usd("2")}])

    assert found == {
        "INV-1": usd("16"),
        "INV-2": usd("7"),
        "INV-3": usd("2"),
    }


@pytest.mark.parametrize("state", RunState)
def test_r1_a_run_holds_back_its_allocation_while_money_may_be_under_way(
    state: RunState,
) -> None:
    record = attrs.evolve(paid(500, 300), state=state)

    held = reservations(record)

    if state in {RunState.OPEN, RunState.PENDING, RunState.REVIEW}:
        assert held == {"INV-0": usd("5"), "INV-1": usd("3")}
    else:
        assert held == {}


def test_r1_what_has_no_record_or_intent_holds_nothing_back() -> None:
    missed = RunRecord(
        key=KEY, payer="p1", version=1, state=RunState.MISSED, charge_on=DAY
    )

    assert reservations(None) == {}
    assert reservations(missed) == {}
    assert missed.attempt is None
    assert missed.captured is None
    assert missed.allocation is None


# -- Postings of a paid run (P1) ----------------------------------------------


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8))
def test_p1_the_postings_add_up_to_what_was_captured(
    amounts: list[int],
) -> None:
    record = paid(*amounts)

    made = postings_of(record)

    assert [each.amount.amount_minor for each in made] == amounts
    assert len({each.id for each in made}) == len(made)
    assert all(each.is_open for each in made)
    assert postings_of(record) == made


def test_p1_an_invoice_that_got_nothing_has_no_posting() -> None:
    record = paid(100, 0, 50)

    assert [each.invoice for each in postings_of(record)] == [
        "INV-0",
        "INV-2",
    ]


@given(st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_p1_less_than_was_allocated_goes_to_the_oldest(
    data: st.DataObject, amounts: list[int]
) -> None:
    captured = data.draw(st.integers(1, sum(amounts)))

    made = postings_of(paid(*amounts, captured=captured))

    shares = [each.amount.amount_minor for each in made]
    assert sum(shares) == captured
    assert [each.invoice for each in made] == [
        f"INV-{place}" for place in range(len(made))
    ]
    assert shares[:-1] == amounts[: len(made) - 1]
    assert shares[-1] <= amounts[len(made) - 1]


@pytest.mark.parametrize("currency", ["USD", "CAD"])
def test_r8_more_captured_than_allocated_is_refused(currency: str) -> None:
    record = paid(500, 300)
    outcome = Captured(
        key="key-1",
        amount=Money(amount_minor=801, currency=currency),
        reference="pay-1",
    )
    attempt = attrs.evolve(record.attempts[0], outcome=outcome)

    with pytest.raises(InvalidValueError) as caught:
        postings_of(attrs.evolve(record, attempts=(attempt,)))

    assert caught.value.code == "GatewayMismatch"


def test_r8_another_currency_captured_than_allocated_is_refused() -> None:
    record = paid(500)
    outcome = Captured(
        key="key-1",
        amount=Money(amount_minor=500, currency="CAD"),
        reference="pay-1",
    )
    attempt = attrs.evolve(record.attempts[0], outcome=outcome)

    with pytest.raises(InvalidValueError) as caught:
        postings_of(attrs.evolve(record, attempts=(attempt,)))

    assert caught.value.code == "GatewayMismatch"


def test_l7_a_run_took_what_was_captured_or_else_asked_for() -> None:
    record = paid(500, captured=200)
    asked = attrs.evolve(
        record,
        state=RunState.OPEN,
        attempts=(attrs.evolve(record.attempts[0], outcome=None),),
    )

    assert record.taken == usd("2.00")
    assert asked.taken == usd("5.00")
    assert (
        attrs.evolve(
            record, state=RunState.MISSED, attempts=(), intent=None
        ).taken
        is None
    )


def test_p1_only_a_captured_run_has_postings() -> None:
    record = paid(500)
    open_attempt = attrs.evolve(record.attempts[0], outcome=None)

    with pytest.raises(InvalidValueError) as caught:
        postings_of(
            attrs.evolve(record, state=RunState.OPEN, attempts=(open_attempt,))
        )

    assert caught.value.code == "NotCaptured"


def test_p1_the_id_tells_run_attempt_and_invoice_apart() -> None:
    other = RunKey(autopay="ap-1", nominal_on=date(2026, 2, 28))
    tricky = RunKey(autopay="ap-1|", nominal_on=DAY)
    ids = {
        posting_id(KEY, 1, "INV-1"),
        posting_id(KEY, 1, "INV-11"),
        posting_id(KEY, 11, "INV-1"),
        posting_id(other, 1, "INV-1"),
        posting_id(tricky, 1, "INV-1"),
    }

    assert len(ids) == 5
    assert posting_id(KEY, 1, "x" * 128) == posting_id(KEY, 1, "x" * 128)
    assert all(len(each) <= 36 for each in ids)


# -- Reversals (P4) -----------------------------------------------------------


def _back(event: str, cents: int) -> Reversal:
    return Reversal(
        event=event,
        kind=ReversalKind.REFUND,
        amount=Money(amount_minor=cents, currency="USD"),
        on=DAY,
    )


@given(
    amounts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    parts=st.lists(st.integers(1, 60), max_size=8),
)
def test_p4_reversals_mirror_the_payment_and_never_exceed_it(
    amounts: list[int], parts: list[int]
) -> None:
    record = paid(*amounts)
    net = {each.id: each.amount.amount_minor for each in postings_of(record)}
    original = dict(net)
    gone = 0
    for place, part in enumerate(parts):
        reversal = _back(f"ev-{place}", part)
        if gone + part > sum(amounts):
            with pytest.raises(InvalidValueError, match="ReversalExceeds"):
                reversal_postings(record, reversal)
            continue
        made = reversal_postings(record, reversal)
        gone += part
        assert sum(each.amount.amount_minor for each in made) == -part
        for each in made:
            assert each.reverses is not None
            assert not each.is_open
            net[each.reverses] += each.amount.amount_minor
        record = attrs.evolve(record, reversals=(*record.reversals, reversal))
        # The newest invoices are emptied first: the rest is a prefix.
        left = list(net.values())
        touched = [
            a != b for a, b in zip(left, original.values(), strict=True)
        ]
        assert touched == sorted(touched)
        assert all(value >= 0 for value in left)
        assert (
            sum(
                0 < a < b for a, b in zip(left, original.values(), strict=True)
            )
            <= 1
        )


def test_p4_the_postings_of_two_events_have_two_ids() -> None:
    record = paid(100)
    first = reversal_postings(record, _back("a", 10))

    second = reversal_postings(
        attrs.evolve(record, reversals=(_back("a", 10),)), _back("b", 10)
    )

    assert first[0].id != second[0].id


# -- What cannot be -----------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: posting(amount=usd("0")), "PostingSign"),
        (lambda: posting(amount=usd("-1")), "PostingSign"),
        (lambda: posting(amount=10), "FieldType"),
        (lambda: posting(invoice=""), "FieldMissing"),
        (lambda: posting(note="4111 1111 1111 1111"), "PanDetected"),
        (lambda: _back("", 1), "FieldMissing"),
        (lambda: _back("e", 0), "PostingSign"),
        (lambda: _back("e", -1), "PostingSign"),
        (
            lambda: attrs.evolve(_back("e", 1), kind="refund"),  # type: ignore[arg-type]
            "FieldType",
        ),
        (
            lambda: attrs.evolve(paid(100), intent=None),
            "FieldMissing",
        ),
        (lambda: attrs.evolve(paid(100), attempts=()), "FieldMissing"),
        (lambda: attrs.evolve(paid(100), version=None), "FieldType"),  # type: ignore[arg-type]
        (
            lambda: attrs.evolve(paid(100), intent=paid(200).intent),
            "KeyReuse",
        ),
        (
            lambda: Intent(
                allocation=paid(100).intent.allocation,  # type: ignore[union-attr]
                request=paid(200).intent.request,  # type: ignore[union-attr]
            ),
            "IntentAmount",
        ),
        (
            lambda: attrs.evolve(paid(100).attempts[0], began_at=DAY),  # type: ignore[arg-type]
            "FieldType",
        ),
    ],
)
def test_a_record_of_money_that_cannot_be_is_refused(
    make: Callable[[], object], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert caught.value.code == code


def test_a_run_of_the_library_satisfies_its_own_record() -> None:
    world = World(bill("INV-1", "10.00"))
    world.run(standing_order())

    assert postings_of(world.record) == world.postings()
    assert world.record.attempt == world.record.attempts[0]


def test_n4_what_was_announced_stays_as_it_was_announced() -> None:
    amounts = {"INV-1": usd("5")}
    record = attrs.evolve(paid(500), announced=amounts)

    amounts["INV-1"] = usd("500")

    assert record.announced == {"INV-1": usd("5")}
    assert repr(record.announced) == repr({"INV-1": usd("5")})
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301
    with pytest.raises(TypeError):
        record.announced["INV-1"] = usd("1")  # type: ignore[index]
