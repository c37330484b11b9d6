"""Money that moved after the capture: once each, in any order (P4, H2, L7)."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core import aio
from autopay_core.adapters.memory import Fault
from autopay_core.adapters.threads import threaded
from autopay_core.calls import (
    close_case,
    list_holds,
    list_movements,
    receive,
    reverse,
    sweep,
)
from autopay_core.charges import DeclineClass, Declined
from autopay_core.commits import Change, Committed, Conflict
from autopay_core.corrections import reversal_postings, still_back
from autopay_core.engine.steps import PAID_OFF
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.holds import DISPUTE, UNAUTHORIZED, Hold
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.movements import (
    MOVEMENT_RULES,
    Effect,
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
    rule_for,
)
from autopay_core.notices import NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.runs import (
    RunState,
    RunStatus,
    postings_of,
)
from worlds import (
    BANK,
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    standing_order,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

LATER = DAY + timedelta(days=3)
CASE, PLACED, WAITING = (
    MovementState.CASE,
    MovementState.PLACED,
    MovementState.WAITING,
)


def moved(
    kind: MovementKind, amount: str, event: str = "ev-1", **more: Any
) -> Movement:
    """Return a movement of the world's run, unless something else is said."""
    if not {"key", "reference", "run"} & more.keys():
        more["run"] = KEY
    return Movement(id=event, kind=kind, amount=usd(amount), on=LATER, **more)


def paid(*amounts: str, **order: Any) -> World:
    """Return a world in which so much was paid on INV-1, INV-2 and so on."""
    world = World(
        *(
            bill(f"INV-{place}", amount)
            for place, amount in enumerate(amounts, start=1)
        )
    )
    world.run(standing_order(**order))
    assert world.record.state is RunState.PAID
    world.hush()
    return world


def take(world: World, movement: Movement) -> MovementRecord:
    return receive(movement, ports=world.ports, by="webhook")


def net(world: World) -> dict[str, int]:
    """Add up every posting of an invoice, whatever its sign."""
    found: dict[str, int] = {}
    for each in world.postings():
        found[each.invoice] = (
            found.get(each.invoice, 0) + each.amount.amount_minor
        )
    return found


def _state(world: World) -> RunState:
    return world.record.state


def told(world: World) -> list[tuple[NoticeKind, str]]:
    return [(each.kind, each.reason) for each in world.heard]


# -- The value ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"run": None}, "MovementOfNothing", "reference"),
        ({"amount": usd("0")}, "PostingSign", "amount"),
        ({"amount": usd("-1")}, "PostingSign", "amount"),
        ({"id": ""}, "FieldMissing", "id"),
        ({"kind": "returned"}, "FieldType", "kind"),
        ({"invoices": {"INV-1": usd("9")}}, "MovementInvoices", "invoices"),
        ({"invoices": {}}, "MovementInvoices", "invoices"),
        (
            {"invoices": {"INV-1": usd("11"), "INV-2": usd("-1")}},
            "MovementInvoices",
            "invoices",
        ),
        (
            {"invoices": {"INV-1": Money.of("10", "CAD")}},
            "MovementInvoices",
            "invoices",
        ),
        ({"invoices": {"INV-1": 10}}, "FieldType", "invoices['INV-1']"),
        ({"invoices": 7}, "FieldType", "invoices"),
    ],
)
def test_a_movement_that_cannot_be_is_refused(
    changes: Mapping[str, Any], code: str, path: str
) -> None:
    good = moved(MovementKind.RETURNED, "10")

    with pytest.raises(InvalidValueError) as caught:
        attrs.evolve(good, **changes)

    assert (caught.value.code, caught.value.path) == (code, path)


def test_what_a_movement_names_is_kept_from_whoever_still_holds_it() -> None:
    named = {"INV-1": usd("10")}
    movement = moved(MovementKind.RETURNED, "10", invoices=named)

    named["INV-1"] = usd("99")

    assert movement.invoices == {"INV-1": usd("10")}
    assert movement == moved(
        MovementKind.RETURNED, "10", invoices={"INV-1": usd("10")}
    )


@given(st.sampled_from(MovementKind), st.sampled_from(["", "R10", "inquiry"]))
def test_p4_every_kind_and_code_has_a_rule_from_the_first_day_on(
    kind: MovementKind, code: str
) -> None:
    rule = rule_for(moved(kind, "1", code=code))

    assert rule.kind is kind
    assert (rule.books is None) == (
        rule.effect in (Effect.CONCLUDES, Effect.TELLS, Effect.NEEDS_A_PERSON)
    )
    assert (rule.books is ReversalKind.REINSTATED) == (
        rule.effect is Effect.REINSTATES
    )
    early = attrs.evolve(moved(kind, "1"), on=date(1999, 1, 1))
    with pytest.raises(InvalidValueError, match="OutOfRange"):
        rule_for(early)


def test_h2_an_inquiry_moves_no_money_and_a_dispute_does() -> None:
    asked = rule_for(moved(MovementKind.DISPUTED, "1", code="inquiry"))
    lost = rule_for(moved(MovementKind.DISPUTED, "1", code="fraudulent"))

    assert (asked.effect, lost.effect) == (Effect.TELLS, Effect.TAKES_BACK)
    assert asked.holds
    assert lost.holds


# -- Once, by its own id -----------------------------------------------------


def test_p4_a_movement_that_comes_twice_does_what_it_does_once() -> None:
    world = paid("100")
    event = moved(MovementKind.RETURNED, "100")

    first = take(world, event)
    again = take(world, event)

    assert first == again
    assert first.state is PLACED
    assert first.run == KEY
    assert net(world) == {"INV-1": 0}
    assert told(world) == [(NoticeKind.RETURNED, "Return")]


def test_p4_another_content_under_a_known_id_is_refused() -> None:
    world = paid("100")
    take(world, moved(MovementKind.RETURNED, "60"))

    with pytest.raises(InvalidValueError) as caught:
        take(world, moved(MovementKind.RETURNED, "40"))

    assert caught.value.code == "EventConflict"
    assert net(world) == {"INV-1": 4_000}


def test_p4_one_event_is_never_applied_to_two_runs() -> None:
    world = paid("100")
    world.matters.put(bill("INV-2", "80.00"))
    world.run(standing_order(), FEBRUARY)
    other = world.records[1].key
    event = Reversal(
        event="ev-1", kind=ReversalKind.RETURN, amount=usd("80"), on=LATER
    )
    reverse(KEY, event, ports=world.ports)

    with pytest.raises(InvalidValueError) as caught:
        reverse(other, event, ports=world.ports)

    assert caught.value.code == "EventConflict"
    assert net(world) == {"INV-1": 2_000, "INV-2": 8_000}


def test_p4_of_two_that_receive_it_at_once_one_applies_it() -> None:
    world = paid("100")
    event = moved(MovementKind.RETURNED, "100")
    commit = world.store.commit

    class Overtaken:
        """A store in which somebody else is faster, once."""

        def __init__(self) -> None:
            self.was_overtaken = False

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def commit(self, change: Change) -> Committed | Conflict:
            if change.movements and not self.was_overtaken:
                self.was_overtaken = True
                take(world, event)
            return commit(change)

    ports = world.ports_with(postings=Overtaken())
    record = receive(event, ports=ports)

    assert record.state is PLACED
    assert net(world) == {"INV-1": 0}
    assert told(world) == [(NoticeKind.RETURNED, "Return")]


def test_p4_a_run_that_moves_meanwhile_is_looked_at_again() -> None:
    world = paid("100")
    commit = world.store.commit

    class Overtaken:
        """A store in which another event is faster, once."""

        def __init__(self) -> None:
            self.was_overtaken = False

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def commit(self, change: Change) -> Committed | Conflict:
            if change.movements and not self.was_overtaken:
                self.was_overtaken = True
                take(world, moved(MovementKind.RETURNED, "30", event="ev-2"))
            return commit(change)

    ports = world.ports_with(postings=Overtaken())
    record = receive(moved(MovementKind.RETURNED, "70"), ports=ports)

    assert record.state is PLACED
    assert net(world) == {"INV-1": 0}
    assert len(world.record.reversals) == 2


def test_p4_a_reversal_in_another_currency_is_refused() -> None:
    world = paid("100")
    of_canada = Reversal(
        event="ev-1",
        kind=ReversalKind.RETURN,
        amount=Money.of("10", "CAD"),
        on=LATER,
    )

    with pytest.raises(CurrencyMismatchError):
        reverse(KEY, of_canada, ports=world.ports)
    with pytest.raises(CurrencyMismatchError):
        reversal_postings(world.record, of_canada)

    assert net(world) == {"INV-1": 10_000}


def test_p4_what_was_booked_before_movements_were_kept_is_not_again() -> None:
    world = paid("100")
    event = moved(MovementKind.RETURNED, "60")
    take(world, event)
    world.store._movements.clear()

    record = take(world, event)

    assert record.state is PLACED
    assert net(world) == {"INV-1": 4_000}


# -- Finding the run ---------------------------------------------------------


def test_p4_a_run_is_found_by_key_reference_or_its_own_key() -> None:
    world = paid("100")
    [attempt] = world.record.attempts
    names: list[dict[str, Any]] = [
        {"key": str(attempt.key)},
        {"reference": world.record.payment_reference},
        {"run": KEY},
    ]
    for place, name in enumerate(names):
        event = moved(MovementKind.REFUNDED, "10", f"ev-{place}", **name)
        assert take(world, event).run == KEY

    assert net(world) == {"INV-1": 7_000}


def test_p4_for_a_key_that_the_store_did_not_keep_the_gateway_is_asked() -> (
    None
):
    world = paid("100")
    [attempt] = world.record.attempts
    world.store._keys.clear()

    record = take(
        world, moved(MovementKind.RETURNED, "100", key=str(attempt.key))
    )

    assert (record.state, record.run) == (PLACED, KEY)


def test_p4_a_key_that_nobody_knows_waits() -> None:
    world = paid("100")

    record = take(world, moved(MovementKind.RETURNED, "100", key="unheard"))

    assert (record.state, record.run) == (WAITING, None)


def test_p4_two_runs_with_one_reference_get_nothing_of_it() -> None:
    """Neither, for nobody knows which: a person does."""
    world = paid("100")
    [one] = world.records
    other = attrs.evolve(
        one, key=RunKey(autopay="ap-2", nominal_on=DAY), version=1
    )
    assert isinstance(world.store.commit(Change(runs=(other,))), Committed)

    record = take(
        world,
        moved(MovementKind.RETURNED, "100", reference=one.payment_reference),
    )

    assert (record.state, record.reason) == (CASE, "MovementAmbiguous")
    assert net(world) == {"INV-1": 10_000}
    assert told(world) == [(NoticeKind.NEEDS_REVIEW, "MovementAmbiguous")]


def test_p4_a_movement_of_another_attempt_is_not_booked_on_this_one() -> None:
    world = World(bill("INV-1", "100.00"))
    world.gateway.decline(BANK.token, decline_class=DeclineClass.LATER)
    order = standing_order(method=BANK)
    world.run(order)
    failed = str(world.record.attempts[0].key)

    late = take(world, moved(MovementKind.FAILED_LATE, "100", key=failed))
    back = take(world, moved(MovementKind.RETURNED, "100", "e2", key=failed))

    assert (late.state, late.reason) == (PLACED, "")
    assert (back.state, back.reason) == (CASE, "MovementUnpaid")
    assert net(world) == {}


def test_p4_what_an_earlier_attempt_did_not_take_does_not_come_back() -> None:
    """Another attempt paid the run: its money is where it was."""
    world = paid("100")
    record = world.record
    [attempt] = record.attempts
    first = attrs.evolve(
        attempt,
        key="old-key",
        outcome=Declined(
            key="old-key", code="51", decline_class=DeclineClass.LATER
        ),
    )
    again = attrs.evolve(
        record,
        version=record.version + 1,
        attempts=(first, attrs.evolve(attempt, number=2)),
    )
    assert isinstance(world.store.commit(Change(runs=(again,))), Committed)

    late = take(world, moved(MovementKind.FAILED_LATE, "100", key="old-key"))
    back = take(world, moved(MovementKind.RETURNED, "9", "e2", key="old-key"))

    assert late.state is PLACED
    assert (back.state, back.reason) == (CASE, "MovementUnpaid")
    assert world.record.reversals == ()


# -- Whatever the order ------------------------------------------------------


def test_p4_what_names_no_run_on_record_is_kept_told_once_and_brought_in() -> (
    None
):
    world = World(bill("INV-1", "100.00"))
    event = moved(MovementKind.RETURNED, "100")

    for _ in range(3):
        assert take(world, event).state is WAITING
        world.sweep(as_of=DAY)
    assert told(world) == [(NoticeKind.NEEDS_REVIEW, "MovementUnplaced")]
    assert list_movements(WAITING, ports=world.ports) == [take(world, event)]
    world.run(standing_order())
    assert net(world) == {"INV-1": 10_000}

    world.sweep(as_of=DAY)

    assert net(world) == {"INV-1": 0}
    assert take(world, event).state is PLACED
    assert list_movements(WAITING, ports=world.ports) == []


def test_p4_a_settlement_concludes_a_pending_debit_at_once() -> None:
    world = World(bill("INV-1", "100.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    assert _state(world) is RunState.PENDING
    reference = world.record.payment_reference
    world.one_step.settle(str(world.record.attempts[0].key))

    record = take(
        world, moved(MovementKind.SETTLED, "100", reference=reference)
    )

    assert record.state is PLACED
    assert world.record.state is RunState.PAID
    assert net(world) == {"INV-1": 10_000}


def test_p4_what_the_gateway_does_not_say_yet_itself_waits() -> None:
    world = World(bill("INV-1", "100.00"), bank_debits_pend=True)
    world.run(standing_order(method=BANK))
    event = moved(MovementKind.SETTLED, "100")

    assert take(world, event).reason == "MovementEarly"
    assert world.record.state is RunState.PENDING
    world.one_step.settle(str(world.record.attempts[0].key))
    world.clock.advance(days=2)
    world.sweep(as_of=DAY)

    assert take(world, event).state is PLACED


def test_p4_a_return_may_come_before_the_charges_own_answer() -> None:
    world = World(bill("INV-1", "100.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    assert _state(world) is RunState.OPEN
    key = str(world.record.attempts[0].key)

    record = take(world, moved(MovementKind.RETURNED, "100", key=key))

    assert record.state is PLACED
    assert world.record.state is RunState.PAID
    assert net(world) == {"INV-1": 0}


def test_p4_a_reinstatement_may_come_before_what_it_takes_back() -> None:
    world = paid("100")
    won = moved(MovementKind.REINSTATED, "100", "won", corrects="lost")

    assert take(world, won).state is WAITING
    take(world, moved(MovementKind.DISPUTED, "100", "lost"))

    assert take(world, won).state is PLACED
    assert net(world) == {"INV-1": 10_000}
    assert list_holds(ports=world.ports) == []


def test_p4_the_auto_pay_need_not_exist_any_more() -> None:
    """`receive` is handed none: the record says all it needs."""
    world = paid("100")

    world.sweep(as_of=FEBRUARY)
    take(world, moved(MovementKind.RETURNED, "100"))

    assert net(world) == {"INV-1": 0}


def test_r6_a_movement_that_cannot_be_placed_holds_up_no_other() -> None:
    world = World(bill("INV-1", "100.00"))
    take(world, moved(MovementKind.RETURNED, "1", "ev-a"))
    take(world, moved(MovementKind.RETURNED, "2", "ev-b"))
    world.run(standing_order())

    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def commit(self, change: Change) -> Committed | Conflict:
            if any(each.id == "ev-a" for each in change.movements):
                raise PortUnavailableError("the store is away")
            return world.store.commit(change)

    ports = world.ports_with(postings=Away())
    assert list(sweep([], as_of=DAY, ports=ports)) == []

    assert world.store.movement("ev-a")[0].state is WAITING
    assert world.store.movement("ev-b")[0].state is PLACED


def test_p4_hundreds_that_wait_are_all_brought_in() -> None:
    world = World(bill("INV-1", "100.00"))
    for place in range(501):
        take(world, moved(MovementKind.RETURNED, "0.01", f"ev-{place}"))
    assert len(list_movements(WAITING, ports=world.ports)) == 501
    world.run(standing_order())

    world.sweep(as_of=DAY)

    assert net(world) == {"INV-1": 10_000 - 501}
    assert list_movements(WAITING, ports=world.ports) == []


def test_p4_a_case_that_somebody_else_moves_is_looked_at_again() -> None:
    world = paid("100")
    take(world, moved(MovementKind.CAPTURED_OVER, "5"))

    class Overtaken:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        def commit(self, change: Change) -> Committed | Conflict:
            close_case("ev-1", by="bob", reason="first", ports=world.ports)
            return world.store.commit(change)

    with pytest.raises(InvalidValueError, match="NoCase"):
        close_case(
            "ev-1",
            by="ann",
            reason="second",
            ports=world.ports_with(postings=Overtaken()),
        )


def test_s7_a_plan_that_is_reopened_is_told_again_when_it_is_paid_off() -> (
    None
):
    world = paid("100", enrollments=(to_invoice("INV-1"),))

    take(world, moved(MovementKind.RETURNED, "100"))

    [said] = [
        each.said
        for each in world.store.standing(KEY, "").told.values()
        if each.topic == PAID_OFF
    ]
    assert said == "Reopened."


def test_r6_a_store_without_movements_sweeps_on() -> None:
    """One of the first edition; what it cannot do is done without."""
    world = World(bill("INV-1", "100.00"))

    class Older:
        def __getattr__(self, name: str) -> Any:
            if name in {"movement", "movements", "keyed"}:
                raise AttributeError(name)
            return getattr(world.store, name)

    [result] = sweep(
        [standing_order()],
        as_of=DAY,
        ports=world.ports_with(postings=Older()),
    )

    assert result.status is RunStatus.PAID


# -- What it does ------------------------------------------------------------


def test_p4_a_won_dispute_is_paid_again_and_its_holds_are_lifted() -> None:
    world = paid("100", "50")
    take(world, moved(MovementKind.DISPUTED, "150", "lost"))
    assert net(world) == {"INV-1": 0, "INV-2": 0}
    assert {each.rule for each in list_holds(ports=world.ports)} == {DISPUTE}

    take(world, moved(MovementKind.REINSTATED, "150", "won"))

    assert net(world) == {"INV-1": 10_000, "INV-2": 5_000}
    assert list_holds(ports=world.ports) == []
    by_id = {each.id: each for each in world.postings()}
    again = [each for each in by_id.values() if each.note == "reinstated"]
    assert {each.invoice for each in again} == {"INV-1", "INV-2"}
    for each in again:
        corrected = by_id[each.reverses or ""]
        assert corrected.amount == -each.amount
        assert corrected.invoice == each.invoice
        assert each.is_open
    assert told(world)[-1] == (NoticeKind.REINSTATED, "Reinstated")


def test_p4_what_came_again_is_held_back_until_the_ledger_shows_it() -> None:
    world = paid("100")
    world.apply()
    take(world, moved(MovementKind.RETURNED, "100"))
    world.apply()
    assert world.reserved() == {}

    take(world, moved(MovementKind.REINSTATED, "100", "again"))

    assert world.reserved() == {"INV-1": usd("100.00")}
    assert world.store.open_amounts(("C-1",)).reversals == {}
    world.apply()
    assert world.reserved() == {}


def test_h2_a_dispute_that_is_won_in_part_keeps_its_holds() -> None:
    world = paid("100")
    take(world, moved(MovementKind.DISPUTED, "100", "lost"))

    take(world, moved(MovementKind.REINSTATED, "40", "won-1"))
    assert len(list_holds(ports=world.ports)) == 1
    take(world, moved(MovementKind.REINSTATED, "60", "won-2"))

    assert list_holds(ports=world.ports) == []
    assert net(world) == {"INV-1": 10_000}


def test_h2_an_inquiry_holds_the_invoices_and_books_nothing() -> None:
    world = paid("100")

    record = take(world, moved(MovementKind.DISPUTED, "100", code="inquiry"))

    assert record.state is PLACED
    assert net(world) == {"INV-1": 10_000}
    [held] = list_holds(ports=world.ports)
    assert (held.rule, held.target) == (DISPUTE, "invoice:INV-1")
    assert told(world) == [(NoticeKind.NEEDS_REVIEW, "Inquiry")]


def test_p4_a_refund_that_failed_is_taken_back_by_name() -> None:
    """Only by name: what was given back on purpose stays given back."""
    world = paid("100")
    take(world, moved(MovementKind.REFUNDED, "100", "re-1"))
    vague = moved(MovementKind.REINSTATED, "100", "r")

    assert take(world, vague).state is WAITING
    take(world, moved(MovementKind.REINSTATED, "100", "s", corrects="re-1"))

    assert net(world) == {"INV-1": 10_000}
    assert list_holds(ports=world.ports) == []
    assert world.record.spent == usd("100")


def test_p4_a_debit_that_fails_after_the_capture_is_taken_back() -> None:
    world = paid("100", method=BANK)

    take(world, moved(MovementKind.FAILED_LATE, "100", code="R10"))

    assert net(world) == {"INV-1": 0}
    [held] = list_holds(ports=world.ports)
    assert held.rule == UNAUTHORIZED


def test_p4_a_named_invoice_is_opened_again_and_no_other() -> None:
    world = paid("100", "50", "25")

    take(
        world,
        moved(
            MovementKind.REFUNDED,
            "30",
            invoices={"INV-1": usd("20"), "INV-2": usd("10")},
        ),
    )

    assert net(world) == {"INV-1": 8_000, "INV-2": 4_000, "INV-3": 2_500}


def test_l7_a_return_frees_a_limit_and_what_comes_again_takes_it_again() -> (
    None
):
    world = paid("100", limit=Limit.all("USD", lifetime=usd("100")))
    assert world.record.spent == usd("100")

    take(world, moved(MovementKind.RETURNED, "100"))
    assert world.record.spent == usd("0")
    take(world, moved(MovementKind.REINSTATED, "100", "again"))

    assert world.record.spent == usd("100")
    assert world.store.spent("ap-1", DAY, FEBRUARY, "USD") == usd("100")


@pytest.mark.parametrize(
    "kind",
    [each.kind for each in MOVEMENT_RULES if each.effect is Effect.TAKES_BACK],
)
def test_l7_the_table_says_what_a_movement_does_to_the_limits(
    kind: MovementKind,
) -> None:
    world = paid("100")
    event = moved(kind, "40")

    take(world, event)

    is_free = rule_for(event).frees_limits
    assert world.record.spent == usd("60" if is_free else "100")


# -- What does not fit -------------------------------------------------------


@pytest.mark.parametrize(
    ("movement", "reason"),
    [
        (moved(MovementKind.REFUNDED, "100.01"), "MovementExceeds"),
        (moved(MovementKind.CAPTURED_OVER, "1"), "MovementOver"),
        (
            attrs.evolve(
                moved(MovementKind.REFUNDED, "1"), amount=Money.of("1", "CAD")
            ),
            "MovementCurrency",
        ),
        (
            moved(MovementKind.REFUNDED, "1", invoices={"INV-9": usd("1")}),
            "MovementExceeds",
        ),
    ],
)
def test_p4_what_does_not_fit_is_a_case_with_one_notice(
    movement: Movement, reason: str
) -> None:
    world = paid("100")

    first, again = take(world, movement), take(world, movement)

    assert first == again
    assert (first.state, first.reason) == (CASE, reason)
    assert net(world) == {"INV-1": 10_000}
    assert told(world) == [(NoticeKind.NEEDS_REVIEW, reason)]
    assert list_movements(CASE, ports=world.ports) == [first]


def test_p4_a_refund_and_a_chargeback_of_one_payment_leave_a_case() -> None:
    """The call of the first edition raises, and leaves a trace first."""
    world = paid("100")
    for event, kind in (
        ("re", ReversalKind.REFUND),
        ("cb", ReversalKind.CHARGEBACK),
    ):
        back = Reversal(event=event, kind=kind, amount=usd("100"), on=LATER)
        if event == "re":
            reverse(KEY, back, ports=world.ports)
            continue
        with pytest.raises(InvalidValueError, match="ReversalExceeds"):
            reverse(KEY, back, ports=world.ports)

    [case] = list_movements(CASE, ports=world.ports)
    assert case.id == "cb"
    assert told(world)[-1] == (NoticeKind.NEEDS_REVIEW, "MovementExceeds")
    # That the charge is disputed is true whatever the sums are.
    assert DISPUTE in {each.rule for each in list_holds(ports=world.ports)}


def test_p4_a_movement_of_a_run_that_took_nothing_is_a_case() -> None:
    world = World(bill("INV-1", "100.00"))
    world.gateway.decline(standing_order().method.token)
    world.run(standing_order())
    assert world.record.state is RunState.FAILED

    returned = take(world, moved(MovementKind.RETURNED, "100"))
    late = take(world, moved(MovementKind.FAILED_LATE, "100", "e2"))
    settled = take(world, moved(MovementKind.SETTLED, "100", "e3"))

    assert returned.state is CASE
    assert late.state is PLACED
    assert (settled.state, settled.reason) == (CASE, "MovementUnpaid")


def test_p4_a_case_is_closed_by_a_person_and_stays_closed() -> None:
    world = paid("100")
    over = moved(MovementKind.CAPTURED_OVER, "5")
    take(world, over)

    closed = close_case(
        "ev-1", by="ann", reason="gave it back", ports=world.ports
    )

    assert closed.state is MovementState.CLOSED
    assert take(world, over) == closed
    assert list_movements(CASE, ports=world.ports) == []
    with pytest.raises(InvalidValueError, match="NoCase"):
        close_case("ev-1", by="ann", reason="again", ports=world.ports)
    with pytest.raises(InvalidValueError, match="NoCase"):
        close_case("none", by="ann", reason="again", ports=world.ports)
    with pytest.raises(InvalidValueError, match="FieldMissing"):
        close_case("ev-1", by="", reason="again", ports=world.ports)


# -- The net, whatever comes -------------------------------------------------

_MOVES = st.lists(
    st.tuples(
        st.sampled_from(MovementKind),
        st.sampled_from(["10", "50", "100", "150", "170"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=8,
)


@given(_MOVES)
@example(
    [
        (MovementKind.DISPUTED, "150", "a", ""),
        (MovementKind.REINSTATED, "150", "b", "a"),
        (MovementKind.REFUNDED, "150", "c", ""),
    ]
)
@example(
    [
        (MovementKind.REINSTATED, "50", "b", "a"),
        (MovementKind.RETURNED, "50", "a", ""),
        (MovementKind.RETURNED, "100", "c", ""),
    ]
)
def test_p4_no_share_is_below_zero_or_above_what_was_captured(
    moves: list[tuple[MovementKind, str, str, str]],
) -> None:
    world = paid("100", "50")
    received: dict[str, Movement] = {}
    for kind, amount, event, corrects in moves:
        if event not in received:
            received[event] = moved(
                kind,
                amount,
                event,
                corrects=corrects
                if kind is MovementKind.REINSTATED and corrects != event
                else "",
            )
        take(world, received[event])

    captured = {
        each.invoice: each.amount.amount_minor
        for each in postings_of(world.record)
    }
    for invoice, share in net(world).items():
        assert 0 <= share <= captured[invoice]
    records = world.store._movements
    assert set(records) == set(received)
    # Every movement is in postings, or is kept for a person.
    for event, movement in received.items():
        is_booked = any(each.event == event for each in world.record.reversals)
        assert is_booked == (
            records[event].state is PLACED
            and rule_for(movement).books is not None
        )
    minor = sum(
        (-1 if each.kind.takes_back else 1) * each.amount.amount_minor
        for each in world.record.reversals
    )
    assert sum(net(world).values()) == 15_000 + minor
    for each in world.record.reversals:
        assert still_back(world.record, each.event).keys() <= captured.keys()
    assert still_back(world.record, "unheard") == {}


# -- Everywhere --------------------------------------------------------------


def test_an_event_loop_receives_the_same() -> None:
    world = paid("100")
    ports = aio.Ports(
        matters=threaded(world.matters),
        gateway=threaded(world.gateway),
        postings=threaded(world.store),
        notifier=threaded(world.notifier),
        key_secret=world.ports.key_secret,
    )

    async def go() -> list[MovementRecord]:
        over = moved(MovementKind.CAPTURED_OVER, "1", "over")
        await aio.receive(moved(MovementKind.RETURNED, "100"), ports=ports)
        await aio.receive(over, ports=ports)
        found = await aio.list_movements(CASE, ports=ports)
        await aio.close_case("over", by="ann", reason="seen", ports=ports)
        return found

    [case] = asyncio.run(go())

    assert case.id == "over"
    assert net(world) == {"INV-1": 0}


# -- What the engine leaves to others ----------------------------------------


def test_m3_a_reversal_in_another_currency_makes_no_postings() -> None:
    world = paid("100")
    back = Reversal(
        event="e",
        kind=ReversalKind.REFUND,
        amount=Money.of("1.00", "CAD"),
        on=LATER,
    )

    with pytest.raises(InvalidValueError, match="CurrencyMismatch"):
        reversal_postings(world.record, back)


def test_h1_hundreds_of_holds_are_all_read() -> None:
    world = World()
    holds = tuple(
        Hold.on_payer(f"p-{place}", by="Ann", reason="why")
        for place in range(501)
    )
    world.store.commit(Change(holds=holds))

    found = list_holds(ports=world.ports)

    assert {each.id for each in found} == {each.id for each in holds}
