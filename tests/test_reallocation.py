"""A payment is put on other invoices than those it paid: rule P4."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core import aio, calls, explain
from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.associations import Association
from autopay_core.audit import Code, audit, export_store
from autopay_core.commits import Change, Committed, Conflict, PostingFilter
from autopay_core.corrections import (
    every_posting,
    left_of,
    reversal_postings,
    shares_now,
    still_back,
    was_replaced,
)
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.history import verify_history
from autopay_core.holds import Hold
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.movements import Movement, MovementKind, MovementState
from autopay_core.policy import Policy
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    Share,
)
from autopay_core.references import AccountKind
from autopay_core.runs import RunRecord, RunStatus, postings_of
from autopay_core.show.letters import receipt, statement
from worlds import (
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    posting as a_posting,
    standing_order,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STATUS = PostingStatus
LATER = date(2026, 1, 20)
ORDER = standing_order(limit=Limit.up_to(usd("100")))


class Firm:
    """A firm that took 100 dollars for INV-1, and has other invoices."""

    def __init__(
        self,
        make: Callable[[Any], Any] | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.world = World(
            bill("INV-1", "100"),
            bill("INV-2", "60", issued=LATER),
            bill("INV-3", "80", issued=LATER, matter="M-2"),
            bill("INV-4", "500", client="C-2", matter="M-4"),
        )
        if make is not None:
            self.world.store = make(self.world.clock)
        self.store: Any = self.world.store
        self.ports = self.world.ports_with(policy=policy or Policy())
        self.result = calls.run(ORDER, on=DAY, ports=self.ports)
        [self.paid] = self.now()

    def now(self) -> list[Posting]:
        """Every posting, in the order in which they were written."""
        found = list(self.store.postings(PostingFilter()))
        order = [each.id for each in every_posting(self.record)]
        return sorted(found, key=lambda each: order.index(each.id))

    @property
    def record(self) -> RunRecord:
        found = self.store.standing(self.result.key, "", "").run
        assert isinstance(found, RunRecord)
        return found

    def advance(self, *statuses: PostingStatus) -> None:
        """Take the payment's posting some steps on."""
        for status in statuses:
            moved = calls.advance_postings(
                [self.paid], status, ports=self.ports, by="ann", note="so"
            )
            assert moved is not None
            [self.paid] = moved

    def move(self, name: str = "r-1", /, **to: str) -> Any:
        """Put some of it on other invoices: ``INV_2="40"``."""
        return self.move_to(
            {
                number.replace("_", "-"): usd(amount)
                for number, amount in to.items()
            },
            name,
        )

    def move_to(
        self, to: dict[str, Money], name: str = "r-1", **more: Any
    ) -> Any:
        words = {"by": "ann", "reason": "the wrong matter", **more}
        return calls.reallocate(name, self.paid, to, ports=self.ports, **words)

    def code(self, **to: str) -> str:
        with pytest.raises(InvalidValueError) as raised:
            self.move(**to)
        return raised.value.code

    def shown(self) -> list[tuple[str, str, str]]:
        """Invoice, amount and status of every posting."""
        return [
            (each.invoice, each.amount.major, each.status.value)
            for each in self.now()
        ]


def in_memory(_: Path, clock: Any) -> Any:
    return MemoryPostingStore(clock=clock)


def on_sqlite(folder: Path, clock: Any) -> Any:
    return SqlitePostingStore(folder / "moved.db", clock=clock)


def on_postgres(_: Path, clock: Any) -> Any:
    from autopay_core.adapters.postgres import PostgresPostingStore
    from test_postgres import empty_database

    return PostgresPostingStore(empty_database("moved"), clock=clock)


@pytest.fixture(
    params=[
        in_memory,
        on_sqlite,
        pytest.param(on_postgres, marks=pytest.mark.postgres),
    ]
)
def firm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Firm]:
    made = Firm(lambda clock: request.param(tmp_path, clock))
    yield made
    found = {each.code for each in audit(export_store(made.store), [], [])}
    # There is no gateway and no ledger here, which is found, too.
    assert found <= {
        Code.PAID_WITHOUT_CAPTURE,
        Code.REVERSAL_WITHOUT_EVENT,
        Code.INVOICE_NOT_IN_LEDGER,
        Code.LEDGER_BEHIND,
    }
    if not isinstance(made.store, MemoryPostingStore):
        assert verify_history(made.store) == ()
        made.store.close()


# -- What was never sent is replaced ------------------------------------------


def test_p4_what_was_never_sent_is_replaced(firm: Firm) -> None:
    made = firm.move(INV_2="60", INV_3="40")

    assert firm.shown() == [
        ("INV-1", "100.00", "removed"),
        ("INV-1", "-100.00", "removed"),
        ("INV-2", "60.00", "pending"),
        ("INV-3", "40.00", "pending"),
    ]
    assert list(made) == firm.now()[1:]
    assert made[0].reverses == firm.paid.id
    assert {each.reverses for each in made[1:]} == {made[0].id}
    assert made[2].matter == "M-2"
    # To the ledger they are the payment, which it was never sent.
    assert {each.charged_on for each in made[1:]} == {DAY}
    assert {each.payment_reference for each in made} == {
        firm.paid.payment_reference
    }
    assert firm.store.open_amounts(("C-1",)).amounts == {
        "INV-2": usd("60"),
        "INV-3": usd("40"),
    }
    assert firm.store.open_amounts(("C-1",)).reversals == {}


def test_p4_what_stays_on_the_invoice_is_a_posting_of_its_own(
    firm: Firm,
) -> None:
    firm.advance(STATUS.INCOMPLETE)

    firm.move(INV_3="30")

    assert firm.shown() == [
        ("INV-1", "100.00", "removed"),
        ("INV-1", "-100.00", "removed"),
        ("INV-3", "30.00", "pending"),
        ("INV-1", "70.00", "pending"),
    ]
    assert shares_now(firm.record) == {
        "INV-1": usd("70"),
        "INV-3": usd("30"),
    }


@pytest.mark.parametrize(
    "steps",
    [
        (STATUS.QUEUED, STATUS.POSTED),
        (STATUS.QUEUED, STATUS.POSTED, STATUS.APPLIED),
    ],
)
def test_p4_what_was_sent_stays_and_is_corrected(
    firm: Firm, steps: tuple[PostingStatus, ...]
) -> None:
    firm.advance(*steps)
    firm.world.clock.reach(FEBRUARY)

    made = firm.move(INV_3="30")

    assert firm.shown() == [
        ("INV-1", "100.00", steps[-1].value),
        ("INV-1", "-30.00", "pending"),
        ("INV-3", "30.00", "pending"),
    ]
    # The ledger books it when it is done.
    assert {each.charged_on for each in made} == {FEBRUARY}
    assert firm.record.spent == usd("100")


def test_p4_what_is_left_can_be_moved_again(firm: Firm) -> None:
    firm.advance(STATUS.QUEUED, STATUS.POSTED)
    firm.move(INV_3="30")

    firm.move("r-2", INV_2="60", INV_3="10")

    assert firm.shown()[3:] == [
        ("INV-1", "-70.00", "pending"),
        ("INV-2", "60.00", "pending"),
        ("INV-3", "10.00", "pending"),
    ]
    with pytest.raises(InvalidValueError) as raised:
        firm.move("r-3", INV_3="1")
    assert raised.value.code == "ReversalExceeds"


def test_p4_what_was_moved_can_be_moved_back(firm: Firm) -> None:
    firm.move(INV_3="80")
    [_, _, there, _] = firm.now()
    firm.paid = there

    firm.move("r-2", INV_1="80")

    assert [each[:2] for each in firm.shown() if each[2] == "pending"] == [
        ("INV-1", "20.00"),
        ("INV-1", "80.00"),
    ]
    assert shares_now(firm.record) == {"INV-1": usd("100")}


def test_p4_one_of_which_something_went_back_is_corrected(
    firm: Firm,
) -> None:
    calls.receive(
        Movement(
            id="evt-1",
            kind=MovementKind.RETURNED,
            amount=usd("25"),
            on=DAY,
            run=firm.result.key,
        ),
        ports=firm.ports,
    )

    firm.move(INV_3="75")

    # Its posting and what went back of it are on their way; so goes this.
    assert firm.shown() == [
        ("INV-1", "100.00", "pending"),
        ("INV-1", "-25.00", "pending"),
        ("INV-1", "-75.00", "pending"),
        ("INV-3", "75.00", "pending"),
    ]


# -- Never more than an invoice can get ---------------------------------------


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ({"INV_2": "60.01"}, "USD 60.00 can"),
        ({"INV_2": "60.00", "INV_3": "80.00"}, ""),
        ({"INV_9": "1.00"}, "not among the client's open invoices"),
        ({"INV_4": "1.00"}, "not among the client's open invoices"),
    ],
)
def test_p4_no_invoice_gets_more_than_it_can(
    firm: Firm, to: dict[str, str], says: str
) -> None:
    with pytest.raises(InvalidValueError) as raised:
        firm.move(**to)

    assert raised.value.code == (
        "ReallocationExceeds" if says else "ReversalExceeds"
    )
    assert says in str(raised.value)
    assert firm.shown() == [("INV-1", "100.00", "pending")]


def test_l1_what_is_on_its_way_to_it_counts(firm: Firm) -> None:
    plan = standing_order(
        id="ap-2",
        enrollments=(
            Association.to_invoice(
                payer="p1", client="C-1", matter="M-2", invoice="INV-3"
            ),
        ),
        limit=Limit.up_to(usd("50")),
    )
    calls.run(plan, on=DAY, ports=firm.ports)

    assert firm.code(INV_3="30.01") == "ReallocationExceeds"
    firm.move(INV_3="30")

    firm.world.clock.reach(FEBRUARY)
    again = calls.run(plan, on=FEBRUARY, ports=firm.ports)
    assert again.status is RunStatus.NOTHING_DUE


def test_h1_an_invoice_on_hold_gets_nothing(firm: Firm) -> None:
    calls.hold(
        Hold.on_invoice("INV-3", by="ann", reason="disputed"),
        ports=firm.ports,
    )

    with pytest.raises(InvalidValueError, match="on hold"):
        firm.move(INV_3="1")


def test_l6_trust_money_stays_trust_money(firm: Firm) -> None:
    firm.world.matters.put(bill("INV-5", "40", account=AccountKind.TRUST))

    with pytest.raises(InvalidValueError, match="other kind of account"):
        firm.move(INV_5="40")


def test_p4_another_client_is_named(firm: Firm) -> None:
    made = firm.move_to({"INV-4": usd("100")}, client="C-2")

    assert (made[1].client, made[1].matter) == ("C-2", "M-4")
    assert firm.store.open_amounts(("C-2",)).amounts == {"INV-4": usd("100")}
    assert firm.store.open_amounts(("C-1",)).amounts == {}


def test_b1_the_next_run_pays_what_is_owed_to_the_cent(firm: Firm) -> None:
    firm.move(INV_2="60", INV_3="40")
    firm.world.clock.reach(FEBRUARY)
    everything = attrs.evolve(ORDER, limit=Limit.all("USD"))

    result = calls.run(everything, on=FEBRUARY, ports=firm.ports)

    assert result.allocation is not None
    assert {
        each.invoice.number: each.amount for each in result.allocation.lines
    } == {"INV-1": usd("100"), "INV-2": usd("0"), "INV-3": usd("40")}


def test_b1_after_the_ledger_took_it_in_the_balance_is_believed(
    firm: Firm,
) -> None:
    firm.advance(STATUS.QUEUED, STATUS.POSTED, STATUS.APPLIED)
    firm.world.matters.put(bill("INV-1", "0"))
    everything = attrs.evolve(ORDER, limit=Limit.all("USD"))
    firm.move(INV_3="30")
    _, taken, put = firm.now()
    for status in (STATUS.QUEUED, STATUS.POSTED, STATUS.APPLIED):
        moved = calls.advance_postings(
            [taken, put], status, ports=firm.ports, by="ledger"
        )
        assert moved is not None
        taken, put = moved
    firm.world.matters.put(bill("INV-1", "30"))
    firm.world.matters.put(bill("INV-3", "50", issued=LATER, matter="M-2"))
    firm.world.clock.reach(FEBRUARY)

    result = calls.run(everything, on=FEBRUARY, ports=firm.ports)

    assert result.charged == usd("140")  # 30, 60 and 50


# -- Once, whoever else is there ----------------------------------------------


def test_p4_a_double_click_moves_it_once(firm: Firm) -> None:
    first = firm.move(INV_3="30")

    assert firm.move(INV_3="30") == first
    assert len(firm.now()) == 4
    assert firm.code(INV_3="31") == "EventConflict"
    assert firm.code(INV_2="30") == "EventConflict"


def test_p4_a_double_click_later_shows_what_stands_now(firm: Firm) -> None:
    first = firm.move(INV_3="10")
    queued = calls.advance_postings(
        [first[1]], STATUS.QUEUED, ports=firm.ports
    )

    again = firm.move(INV_3="10")

    assert queued is not None
    assert again == (first[0], queued[0], first[2])


def test_p4_one_that_moved_meanwhile_is_read_again(firm: Firm) -> None:
    seen = firm.paid
    firm.advance(STATUS.QUEUED)
    firm.paid = seen

    assert firm.move(INV_3="30") is None
    assert firm.shown() == [("INV-1", "100.00", "queued")]


def test_p5_one_in_a_batch_moves_with_it_only(firm: Firm) -> None:
    calls.make_batch("b-1", [firm.paid], by="ann", ports=firm.ports)
    firm.advance()
    [firm.paid] = firm.now()

    assert firm.code(INV_3="30") == "PostingInBatch"
    assert firm.shown() == [("INV-1", "100.00", "queued")]


class _Slow:
    """A store at which something happens just before each commit."""

    def __init__(self, store: Any, *happens: Callable[[], object]) -> None:
        self._store = store
        self._happens = list(happens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, change: Change, /) -> Committed | Conflict:
        if self._happens:
            self._happens.pop(0)()
        answer: Committed | Conflict = self._store.commit(change)
        return answer


def test_r1_a_run_that_takes_the_invoice_meanwhile_comes_first(
    firm: Firm,
) -> None:
    plan = standing_order(
        id="ap-2",
        enrollments=(
            Association.to_invoice(
                payer="p1", client="C-1", matter="M-2", invoice="INV-3"
            ),
        ),
    )
    ports = firm.ports
    firm.ports = attrs.evolve(
        ports,
        postings=_Slow(
            firm.store, lambda: calls.run(plan, on=DAY, ports=ports)
        ),
    )

    assert firm.code(INV_3="30") == "ReallocationExceeds"
    assert firm.store.open_amounts(("C-1",)).amounts == {
        "INV-1": usd("100"),
        "INV-3": usd("80"),
    }


def test_p4_money_that_goes_back_meanwhile_is_gone(firm: Firm) -> None:
    ports = firm.ports
    back = Movement(
        id="evt-1",
        kind=MovementKind.RETURNED,
        amount=usd("100"),
        on=DAY,
        run=firm.result.key,
    )
    firm.ports = attrs.evolve(
        ports,
        postings=_Slow(firm.store, lambda: calls.receive(back, ports=ports)),
    )

    assert firm.code(INV_3="30") == "ReversalExceeds"


def test_p4_of_two_people_one_moves_it(firm: Firm) -> None:
    ports = firm.ports
    others: list[Any] = []

    def other() -> None:
        others.append(
            calls.reallocate(
                "theirs",
                firm.paid,
                {"INV-2": usd("60")},
                by="bob",
                reason="quicker",
                ports=ports,
            )
        )

    firm.ports = attrs.evolve(ports, postings=_Slow(firm.store, other))

    assert firm.move(INV_3="30") is None
    assert others[0] is not None
    assert shares_now(firm.record) == {
        "INV-1": usd("40"),
        "INV-2": usd("60"),
    }


def test_p4_others_who_never_rest_are_said_by_name() -> None:
    firm = Firm()

    def again() -> None:
        firm.store.commit(
            Change(
                postings=(
                    a_posting(
                        id=f"p-{len(firm.store.postings(PostingFilter()))}",
                        invoice="INV-3",
                        amount=usd("0.01"),
                    ),
                )
            )
        )

    firm.ports = attrs.evolve(
        firm.ports, postings=_Slow(firm.store, *[again] * 9)
    )
    with pytest.raises(PortUnavailableError) as raised:
        firm.move(INV_3="30")
    assert raised.value.code == "StoreBusy"


# -- What cannot be moved -----------------------------------------------------


def test_p4_what_went_back_or_was_handled_is_not_moved(firm: Firm) -> None:
    good = firm.paid
    for wrong in (
        attrs.evolve(good, amount=-good.amount, reverses="p-0"),
        attrs.evolve(good, status=STATUS.REMOVED),
        attrs.evolve(
            good, run=attrs.evolve(good.run, autopay="somebody else")
        ),
    ):
        firm.paid = wrong
        assert firm.code(INV_3="1") == "NotReallocatable"
    firm.paid = good
    assert firm.code(INV_1="1") == "NotReallocatable"
    assert firm.code() == "NotReallocatable"
    assert firm.code(INV_3="0") == "PostingSign"


def test_p4_words_are_needed(firm: Firm) -> None:
    for more in (
        {"by": ""},
        {"reason": " "},
        {"name": ""},
        {"client": "x" * 129},
    ):
        with pytest.raises(InvalidValueError):
            firm.move_to({"INV-3": usd("1")}, **more)
    with pytest.raises(InvalidValueError):
        firm.move_to({"INV-3": 1})  # type: ignore[dict-item]
    with pytest.raises(CurrencyMismatchError):
        firm.move_to({"INV-3": Money.of("1", "CAD")})


def test_p3_what_was_replaced_is_not_restored(firm: Firm) -> None:
    firm.move(INV_3="30")
    before, correction, *_ = firm.now()

    for each in (before, correction):
        with pytest.raises(InvalidValueError) as raised:
            calls.advance_postings(
                [each],
                STATUS.PENDING,
                by="ann",
                note="a mistake",
                sure=True,
                ports=firm.ports,
            )
        assert raised.value.code == "PostingReallocated"
    assert was_replaced(firm.record, before.id)
    assert not was_replaced(firm.record, firm.now()[2].id)


def test_p3_what_was_removed_by_hand_is_restored_as_ever(firm: Firm) -> None:
    firm.move(INV_3="30")
    *_, rest = firm.now()
    firm.paid = rest
    firm.advance(STATUS.REMOVED)

    firm.advance(STATUS.PENDING)

    assert firm.shown()[-1] == ("INV-1", "70.00", "pending")


# -- What goes back afterwards ------------------------------------------------


def returned(amount: str, **more: Any) -> Movement:
    return Movement(
        **{
            "id": "evt-1",
            "kind": MovementKind.RETURNED,
            "amount": usd(amount),
            "on": FEBRUARY,
            **more,
        }
    )


def test_p4_what_goes_back_is_taken_from_where_it_stands(firm: Firm) -> None:
    firm.move(INV_3="30")

    calls.receive(returned("80", run=firm.result.key), ports=firm.ports)

    # The newest first: what was put on INV-1 again, then INV-3.
    assert firm.shown()[4:] == [
        ("INV-1", "-70.00", "pending"),
        ("INV-3", "-10.00", "pending"),
    ]
    assert still_back(firm.record, "evt-1") == {
        "INV-3": usd("10"),
        "INV-1": usd("70"),
    }
    assert shares_now(firm.record) == {"INV-3": usd("20")}
    assert firm.record.spent == usd("20")


def test_p4_an_invoice_that_is_named_gives_what_stands_on_it(
    firm: Firm,
) -> None:
    firm.advance(STATUS.QUEUED, STATUS.POSTED)
    firm.move(INV_3="30")
    firm.move("r-2", INV_3="20")

    kept = calls.receive(
        returned("60", run=firm.result.key, invoices={"INV-3": usd("60")}),
        ports=firm.ports,
    )
    booked = calls.receive(
        returned(
            "45",
            id="evt-2",
            run=firm.result.key,
            invoices={"INV-3": usd("45")},
        ),
        ports=firm.ports,
    )

    assert kept.state is MovementState.CASE
    assert booked.state is MovementState.PLACED
    assert shares_now(firm.record) == {
        "INV-1": usd("50"),
        "INV-3": usd("5"),
    }


def test_p4_what_comes_again_goes_to_what_was_taken_from(firm: Firm) -> None:
    calls.receive(
        returned("100", run=firm.result.key, kind=MovementKind.DISPUTED),
        ports=firm.ports,
    )
    calls.receive(
        returned(
            "60",
            id="evt-2",
            run=firm.result.key,
            kind=MovementKind.REINSTATED,
            corrects="evt-1",
        ),
        ports=firm.ports,
    )
    firm.move(INV_3="50")
    calls.receive(
        returned(
            "40",
            id="evt-3",
            run=firm.result.key,
            kind=MovementKind.REINSTATED,
            corrects="evt-1",
        ),
        ports=firm.ports,
    )

    assert shares_now(firm.record) == {
        "INV-1": usd("50"),
        "INV-3": usd("50"),
    }
    assert still_back(firm.record, "evt-1") == {}
    assert firm.record.spent == usd("100")


# -- What people are told -----------------------------------------------------


def test_s7_a_plan_that_is_reopened_is_told_of_again() -> None:
    world = World(bill("INV-1", "100"), bill("INV-2", "100"))
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    calls.run(plan, on=DAY, ports=world.ports)
    [paid] = world.postings()

    calls.reallocate(
        "r-1",
        paid,
        {"INV-2": usd("100")},
        by="ann",
        reason="the wrong invoice",
        ports=world.ports,
    )

    world.clock.reach(FEBRUARY)
    again = calls.run(plan, on=FEBRUARY, ports=world.ports)
    assert again.charged == usd("100")


def test_x2_it_is_explained_and_on_the_receipt(firm: Firm) -> None:
    firm.move(INV_3="30")

    said = explain(firm.record)
    assert said[-1] == (
        "USD 30.00 of what invoice INV-1 got was put on invoice INV-3 on "
        "2026-01-31 (reallocated, r-1)."
    )
    letter = str(receipt(firm.record))
    assert "Stands on invoice" in letter
    assert "USD 30.00" in letter
    assert "remains" not in letter
    taken = str(
        statement([firm.record], payer="p1", from_on=DAY, through=FEBRUARY)
    )
    assert taken.count("USD 100.00") == 2  # the payment and the total
    assert "USD 30.00" not in taken


def test_x2_what_cannot_be_played_again_is_explained_all_the_same() -> None:
    """A record of somebody else's making, of which more went back."""
    firm = Firm()
    back = Reversal(
        event="evt-1", kind=ReversalKind.REFUND, amount=usd("999"), on=DAY
    )

    said = explain(attrs.evolve(firm.record, reversals=(back,)))

    assert said[-1] == "USD 999.00 went back on 2026-01-31 (refund, evt-1)."


def test_x2_the_payment_is_found_by_what_was_taken(firm: Firm) -> None:
    firm.move(INV_3="30")

    for amount in ("100", "30"):
        found = calls.find_payments(
            payer="p1", amount=usd(amount), ports=firm.ports
        )
        assert bool(found) is (amount == "100")


def test_p4_on_an_event_loop_it_is_the_same() -> None:
    firm = Firm()
    made = asyncio.run(
        aio.reallocate(
            "r-1",
            firm.paid,
            {"INV-3": usd("30")},
            by="ann",
            reason="the wrong matter",
            ports=awaitable(firm.ports),
        )
    )

    assert firm.move(INV_3="30") == made


def test_p2_what_is_posted_by_itself_is_queued() -> None:
    firm = Firm(policy=Policy(automatic_posting=True))

    firm.move(INV_3="30")

    assert [each[2] for each in firm.shown()] == [
        "removed",
        "removed",
        "queued",
        "queued",
    ]


# -- The values ---------------------------------------------------------------


def share(invoice: str, minor: int) -> Share:
    return Share(
        client="C-1",
        matter="M-1",
        invoice=invoice,
        amount=Money(amount_minor=minor, currency="USD"),
    )


def moved(event: str, of: str, *shares: Share, **more: Any) -> Reversal:
    return Reversal(
        **{
            "event": event,
            "kind": ReversalKind.REALLOCATED,
            "amount": Money.total((each.amount for each in shares), "USD"),
            "on": DAY,
            "corrects": of,
            "to": shares,
            **more,
        }
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": ()},
        {"corrects": ""},
        {"amount": usd("0.31")},
        {"invoices": {"INV-1": usd("0.30")}},
        {"to": (share("INV-2", 10), share("INV-2", 20))},
        {"kind": ReversalKind.REFUND},
        {"kind": ReversalKind.REFUND, "to": (), "unsent": True},
    ],
)
def test_p4_shares_add_up_and_are_of_that_kind_only(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(InvalidValueError) as raised:
        moved("r-1", "p-1", share("INV-2", 30), **wrong)
    assert raised.value.code == "Reallocation"
    with pytest.raises(InvalidValueError):
        share("INV-2", 0)


def test_p4_what_was_never_sent_is_moved_whole() -> None:
    record = Firm().record
    [paid] = postings_of(record)

    with pytest.raises(InvalidValueError) as raised:
        reversal_postings(
            record, moved("r-1", paid.id, share("INV-2", 30), unsent=True)
        )
    assert raised.value.code == "ReversalExceeds"
    with pytest.raises(InvalidValueError):
        reversal_postings(record, moved("r-1", "p-0", share("INV-2", 30)))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["back", "again", "move", "replace"]),
        st.integers(0, 7),
        st.integers(1, 130),
    ),
    max_size=12,
)


@given(events=EVENTS)
@example(events=[("move", 0, 30), ("back", 0, 130), ("again", 0, 130)])
@example(events=[("back", 0, 30), ("move", 0, 90), ("again", 0, 30)])
@example(events=[("replace", 0, 40), ("replace", 0, 10), ("move", 1, 7)])
def test_p4_whatever_happens_the_cents_are_where_they_were_put(
    events: list[tuple[str, int, int]],
) -> None:
    record = Firm().record  # 100.00 on INV-1
    taken: list[str] = []
    stands = 10_000
    for place, (what, which, minor) in enumerate(events):
        bases = [
            each
            for each in every_posting(record)
            if each.amount.is_positive and left_of(record, each.id).is_positive
        ]
        if not bases:
            break
        base = bases[which % len(bases)]
        reversal = _event(f"e-{place}", what, minor * 100, base, taken, record)
        if reversal is None:
            continue
        try:
            made = reversal_postings(record, reversal)
        except InvalidValueError as error:
            if error.code != "ReversalExceeds":
                raise
            continue
        total = sum(each.amount.amount_minor for each in made)
        if reversal.to:
            assert total == 0
        elif reversal.kind.takes_back:
            taken.append(reversal.event)
            assert total == -reversal.amount.amount_minor
        else:
            assert total == reversal.amount.amount_minor
        stands += total
        record = attrs.evolve(record, reversals=(*record.reversals, reversal))
    every = every_posting(record)
    assert len({each.id for each in every}) == len(every)
    assert sum(each.amount.amount_minor for each in every) == stands
    by_invoice: dict[str, int] = {}
    for each in every:
        by_invoice[each.invoice] = (
            by_invoice.get(each.invoice, 0) + each.amount.amount_minor
        )
    assert {
        number: minor for number, minor in by_invoice.items() if minor
    } == {
        number: amount.amount_minor
        for number, amount in shares_now(record).items()
    }
    assert all(0 <= minor <= 10_000 for minor in by_invoice.values())
    known = {each.id: each for each in every}
    for each in every:
        assert each.reverses is None or each.reverses in known


def _event(
    event: str,
    what: str,
    minor: int,
    base: Posting,
    taken: list[str],
    record: RunRecord,
) -> Reversal | None:
    amount = Money(amount_minor=minor, currency="USD")
    if what == "back":
        return Reversal(
            event=event, kind=ReversalKind.REFUND, amount=amount, on=DAY
        )
    if what == "again":
        return (
            Reversal(
                event=event,
                kind=ReversalKind.REINSTATED,
                amount=amount,
                on=DAY,
                corrects=taken[-1],
            )
            if taken
            else None
        )
    other = "INV-2" if base.invoice != "INV-2" else "INV-3"
    if what == "move":
        return moved(event, base.id, share(other, minor))
    rest = left_of(record, base.id).amount_minor - minor
    if rest <= 0:
        return None
    return moved(
        event,
        base.id,
        share(other, minor),
        share(base.invoice, rest),
        unsent=True,
    )
