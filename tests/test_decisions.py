"""A run's lines again, from its record, and in sentences (X1, X2)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.allocation import Reason
from autopay_core.associations import Association, InvoicePage
from autopay_core.audit import Code, Difference, StoreExport, audit
from autopay_core.autopay import AdvanceNotice
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.calls import distinct, hold, receive, run_now
from autopay_core.charges import (
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
)
from autopay_core.decisions import Decision, Recomputed, again
from autopay_core.holds import Hold
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.movements import Movement, MovementKind
from autopay_core.notices import NoticeKind
from autopay_core.references import AccountKind
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunState, recompute
from autopay_core.schedules import Schedule
from autopay_core.serialization import dumps, loads
from autopay_core.show.sentences import explain
from worlds import (
    BANK,
    DAY,
    FEBRUARY,
    KEY,
    START,
    World,
    bill,
    rig,
    standing_order,
    usd,
)

WORD = {"by": "Ann", "reason": "asked by the payer"}


def everything() -> RunRecord:
    """Return a run in which every input has a say."""
    world = World(
        bill("INV-1", "100.00"),
        bill("inv-01", "50.00"),
        bill("INV-3", "70.00", issued=DAY),
        bill("INV-4", "30.00", issued=date(2026, 1, 2)),
        capabilities=GatewayCapabilities(minimum_minor=50),
    )
    distinct("INV-1", "inv-01", **WORD, ports=world.ports)
    hold(Hold.on_invoice("INV-4", by="Ann", reason="asked"), ports=world.ports)
    other = standing_order(id="ap-0", limit=Limit.up_to(usd("20")))
    world.run(other)
    world.run(
        standing_order(limit=Limit.up_to(usd("500"), lifetime=usd("400")))
    )
    [_, record] = world.records
    return record


# -- The same lines ----------------------------------------------------------


def test_x1_a_record_gives_its_lines_again() -> None:
    record = everything()
    assert record.decision is not None
    assert record.state is RunState.PAID

    made = recompute(record)

    assert made.is_same
    assert made.allocation == record.allocation


def test_x1_it_does_so_as_it_was_written_and_read() -> None:
    record = everything()

    read = loads(dumps(record), RunRecord)

    assert read == record
    assert recompute(read).allocation == record.allocation


_OTHER: list[tuple[str, Any]] = [
    ("on", DAY - timedelta(days=1)),
    ("account", AccountKind.TRUST),
    ("open_amounts", {}),
    ("spent", Spent(month=usd("0"), lifetime=usd("390"))),
    ("minimum", usd("1000")),
    ("ceilings", {"INV-1": usd("1")}),
    ("barred", {}),
    ("distinct", frozenset[frozenset[str]]()),
]


@pytest.mark.parametrize(("name", "other"), _OTHER)
def test_x1_an_input_that_is_changed_changes_the_lines(
    name: str, other: object
) -> None:
    record = everything()
    decision = record.decision
    assert decision is not None
    assert getattr(decision, name) != other
    changes: dict[str, Any] = {name: other}
    changed = attrs.evolve(record, decision=attrs.evolve(decision, **changes))

    made = recompute(changed)

    assert not made.is_same
    assert made.differs
    assert not made.missing


def test_x1_what_changes_no_line_is_in_the_sentences() -> None:
    """Every field of a decision makes lines, or is said."""
    said = {"stated_at", "enrolled", "roll", "rule"}
    names = {each.name for each in attrs.fields(Decision)}

    assert names == said | {name for name, _ in _OTHER}


def refusing(world: World) -> World:
    """Let a two-step gateway say no before anything is written (TS-9)."""

    def prepare(request: ChargeRequest) -> Declined:
        return Declined(
            key=request.key,
            code="insufficient_funds",
            decline_class=DeclineClass.LATER,
        )

    rig(world.gateway, prepare=prepare)
    return world


def test_x1_a_refusal_before_the_intent_has_its_own_inputs() -> None:
    world = refusing(World(bill("INV-1", "120.00"), two_step=True))
    autopay = standing_order(retry=RetryPolicy(retries_most=1, every_days=3))

    world.run(autopay)
    first = world.record
    world.matters.put(bill("INV-2", "30.00"))
    world.sweep(autopay, as_of=DAY + timedelta(days=3))

    assert first.allocation is not None
    assert recompute(first).is_same
    assert len(world.record.attempts) == 2
    assert world.record.allocation != first.allocation
    assert recompute(world.record).is_same


def test_x1_a_refusal_before_the_intent_tells_what_its_read_found() -> None:
    world = refusing(World(bill("INV-1", "120.00"), two_step=True))
    foreign = bill("INV-9", "1.00", client="C-9")
    page = InvoicePage(invoices=(bill("INV-1", "120.00"), foreign))
    rig(world.matters, open_invoices=lambda _: page)

    world.run(standing_order())

    assert NoticeKind.SECURITY_EVENT in world.told()


def test_x1_lines_that_were_changed_by_hand_are_found() -> None:
    record = everything()
    stands = record.allocation
    assert stands is not None
    *rest, last = stands.lines
    less = attrs.evolve(
        last, amount=last.amount - usd("1"), reason=Reason.PART_PAID
    )
    turned = attrs.evolve(stands, lines=stands.lines[::-1])
    shorter = attrs.evolve(
        stands, lines=(*rest, less), total=stands.total - usd("1")
    )

    assert again(record.decision, turned).differs == ("lines",)
    assert again(record.decision, shorter).differs == (
        str(last.invoice.number),
        "total",
    )


def test_x1_the_audit_reports_what_does_not_come_out_again() -> None:
    record = everything()
    assert record.decision is not None
    changed = attrs.evolve(
        record, decision=attrs.evolve(record.decision, minimum=usd("1000"))
    )

    def found(runs: tuple[RunRecord, ...]) -> list[Difference]:
        made = StoreExport(now=START, runs=runs, postings=())
        return [
            each
            for each in audit(made, None, None)
            if each.code is Code.DECISION_DIFFERS
        ]

    assert found((record,)) == []
    [difference] = found((changed,))
    assert difference.subject == str(record.key)
    assert "total" in difference.detail


def test_x1_an_older_record_names_what_it_lacks() -> None:
    record = attrs.evolve(everything(), decision=None)

    made = recompute(record)

    assert made.allocation is None
    assert not made.is_same
    assert {"rule", "spent", "minimum", "account"} <= set(made.missing)


def test_x1_a_rule_that_is_not_known_is_named() -> None:
    record = everything()
    assert record.decision is not None
    later = attrs.evolve(record.decision, rule=99)

    made = recompute(attrs.evolve(record, decision=later))

    assert made == Recomputed(missing=("rule",))


def test_x1_inputs_that_no_rule_takes_give_no_lines() -> None:
    record = everything()
    assert record.decision is not None
    wrong = attrs.evolve(
        record.decision, ceilings={"INV-1": Money.of("1", "CAD")}
    )

    made = recompute(attrs.evolve(record, decision=wrong))

    assert made == Recomputed(differs=("lines",))


def test_x1_a_run_that_decided_nothing_has_nothing_to_compare() -> None:
    world = World(bill("INV-1", "10.00"))
    world.sweep(standing_order(), as_of=FEBRUARY + timedelta(days=1))

    missed = [each for each in world.records if each.allocation is None]

    assert missed
    assert all(recompute(each) == Recomputed() for each in missed)


def test_x1_every_way_to_decide_keeps_its_inputs() -> None:
    """Nothing due, announced, presented again, on demand, failed."""
    world = World(
        bill("INV-1", "40.00"), bill("INV-2", "0.00"), bank_debits_pend=True
    )
    announced = standing_order(
        id="ap-2",
        method=BANK,
        advance_notice=AdvanceNotice(days=10),
        schedule=Schedule.monthly(DAY + timedelta(days=10)),
    )
    world.sweep(announced, as_of=DAY)
    world.run(standing_order())
    run_now(standing_order(), as_of=DAY, number=1, **WORD, ports=world.ports)
    world.sweep(announced, as_of=DAY + timedelta(days=10))

    assert {each.state for each in world.records} >= {RunState.PAID}
    for record in world.records:
        assert record.allocation is not None
        assert record.decision is not None
        assert recompute(record).is_same


_BALANCES = st.lists(st.integers(0, 30_000), min_size=1, max_size=5)


@given(
    balances=_BALANCES,
    cap=st.none() | st.integers(1, 40_000),
    month=st.none() | st.integers(1, 40_000),
    is_whole=st.booleans(),
    least=st.integers(1, 5_000),
)
@example(balances=[100, 100], cap=150, month=120, is_whole=True, least=101)
def test_x1_whatever_is_owed_and_allowed_comes_out_again(
    balances: list[int],
    cap: int | None,
    month: int | None,
    is_whole: bool,
    least: int,
) -> None:
    def cents(minor: int) -> Money:
        return Money(amount_minor=minor, currency="USD")

    world = World(
        *(
            attrs.evolve(bill(f"INV-{place}", "1.00"), balance=cents(minor))
            for place, minor in enumerate(balances)
        ),
        capabilities=GatewayCapabilities(minimum_minor=least),
    )
    options: dict[str, Any] = {
        "per_month": None if month is None else cents(month),
        "whole_invoices": is_whole,
    }
    limit = (
        Limit.all("USD", **options)
        if cap is None
        else Limit.up_to(cents(cap), **options)
    )
    for on in (DAY, FEBRUARY):
        world.run(standing_order(limit=limit), on)

    assert len(world.records) == 2
    for record in world.records:
        assert recompute(record).allocation == record.allocation
        assert explain(record)


# -- In sentences ------------------------------------------------------------


def test_x2_a_run_says_why_this_day_this_amount_and_each_invoice() -> None:
    said = explain(everything())

    assert said == (
        "Run ap-1/2026-01-31 was due on 2026-01-31, by the schedule.",
        said[1],
        "4 invoices were looked at, by invoice date.",
        said[3],
        "Before it, USD 0.00 had been taken in the month and USD 0.00 ever.",
        "Enrolled was client C-1.",
        *said[6:],
    )
    assert said[3] == (
        "Together they get USD 200.00, of at most USD 400.00 that the limit "
        "for its life left."
    )
    assert said[1].startswith("USD 200.00 was taken, under payment reference")
    assert any(
        each.startswith("Invoice INV-4 of 2026-01-02: USD 30.00 owed")
        and each.endswith(f"it got USD 0.00: {Reason.ON_HOLD.text}.")
        for each in said
    )
    assert any("USD 20.00 of it on its way" in each for each in said)


def test_x2_a_rolled_day_a_limit_and_what_went_back_are_said() -> None:
    world = World(bill("INV-1", "100.00"))
    monday = date(2026, 2, 2)
    schedule = Schedule.monthly(
        DAY, roll=Roll.FOLLOWING, calendar=BusinessCalendar()
    )
    world.run(
        standing_order(schedule=schedule, limit=Limit.up_to(usd("60"))),
        monday,
    )
    receive(
        Movement(
            id="ev-1",
            kind=MovementKind.RETURNED,
            amount=usd("60"),
            on=monday,
            run=KEY,
        ),
        ports=world.ports,
    )

    said = explain(world.record)

    assert said[0] == (
        "Run ap-1/2026-01-31 was due on 2026-01-31 by the schedule, and "
        "decided for 2026-02-02 (a closed day rolls to the following open "
        "one)."
    )
    assert (
        "Together they get USD 60.00, of at most USD 60.00 that the limit "
        "per run left." in said
    )
    assert said[-1] == "USD 60.00 went back on 2026-02-02 (return, ev-1)."


def test_x2_what_was_not_charged_and_is_not_known_is_said() -> None:
    world = World(bill("INV-1", "0.00"))
    world.run(standing_order())
    old = attrs.evolve(world.record, decision=None)

    said = explain(old)

    assert said[1].startswith(
        "Nothing is known to be taken; the run is nothing_due"
    )
    assert said[-1].startswith("The record does not say: rule, on, account")


def test_x2_a_run_on_demand_names_who_asked_for_it() -> None:
    world = World(bill("INV-1", "10.00"))

    run_now(standing_order(), as_of=DAY, number=1, **WORD, ports=world.ports)

    assert explain(world.record)[0] == (
        "Run ap-1/2026-01-31#1 was asked for by Ann for 2026-01-31, beside "
        "the schedule."
    )


def test_x2_the_levels_of_what_was_enrolled_are_said() -> None:
    record = everything()
    assert record.decision is not None
    decision = attrs.evolve(
        record.decision,
        stated_at=datetime(2026, 1, 31, 6, tzinfo=UTC),
        enrolled=(
            Association.to_matter(payer="p1", client="C-1", matter="M-1"),
            Association.to_invoice(
                payer="p1", client="C-1", matter="M-1", invoice="INV-1"
            ),
        ),
    )
    again_asked = attrs.evolve(
        record,
        decision=decision,
        demanded_by="Bob",
        attempts=(record.attempts[0],) * 2,
    )

    said = explain(again_asked)

    assert "Enrolled was matter M-1 of client C-1." in said
    assert "Enrolled was invoice INV-1 of client C-1." in said
    assert "The balances held for 2026-01-31 06:00:00+00:00." in said
    assert "Bob asked for it to be done again." in said
    assert "It took 2 attempts." in said
