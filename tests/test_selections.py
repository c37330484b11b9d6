"""What takes part of all that is enrolled: rules L8, S14, X1, R9."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters.memory import Fault
from autopay_core.allocation import Reason
from autopay_core.calls import preview
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import Invoice
from autopay_core.runs import RunStatus, recompute
from autopay_core.schedules import Schedule
from autopay_core.selections import Selection
from autopay_core.show.projection import forecast
from autopay_core.show.sentences import explain
from autopay_core.show.values import parts_of
from strategies import invoices
from worlds import DAY, FEBRUARY, World, bill, lines_of, standing_order, usd

MARCH = date(2026, 3, 31)


def bars(selection: Selection, *rows: Invoice) -> dict[str, str]:
    return {
        number: reason.value
        for number, reason in selection.bars(rows, DAY).items()
    }


@pytest.mark.parametrize(
    ("due_in", "within", "is_barred"),
    [
        (None, 0, False),
        (-1, 0, False),
        (0, 0, False),
        (1, 0, True),
        (7, 7, False),
        (8, 7, True),
        (900, None, False),
    ],
)
def test_l8_only_what_is_due_within_some_days_takes_part(
    due_in: int | None, within: int | None, is_barred: bool
) -> None:
    due_on = None if due_in is None else DAY + timedelta(days=due_in)
    row = bill("INV-1", "9.00", due_on=due_on)

    found = bars(Selection(due_within=within), row)

    assert found == ({"INV-1": "not_due_yet"} if is_barred else {})


@pytest.mark.parametrize(
    ("age", "least", "reason"),
    [
        (0, 0, None),
        (30, 30, None),
        (29, 30, "too_new"),
        (0, 1, "too_new"),
        # One of a day to come has a reason of its own.
        (-1, 30, None),
    ],
)
def test_l8_only_what_is_old_enough_takes_part(
    age: int, least: int, reason: str | None
) -> None:
    row = bill("INV-1", "9.00", issued=DAY - timedelta(days=age))

    found = bars(Selection(least_age=least), row)

    assert found == ({} if reason is None else {"INV-1": reason})


@pytest.mark.parametrize(
    ("selection", "is_barred"),
    [
        (Selection(without_invoices=frozenset({"INV-9"})), True),
        (Selection(without_invoices=frozenset({"inv-09"})), True),
        (Selection(without_invoices=frozenset({"INV-90"})), False),
        (Selection(without_matters=frozenset({"M-1"})), True),
        (Selection(without_matters=frozenset({"M-2"})), True),
        (Selection(without_matters=frozenset({"M-3"})), False),
    ],
)
def test_l8_what_is_named_takes_no_part(
    selection: Selection, is_barred: bool
) -> None:
    row = bill("INV-9", "9.00", matters=("M-1", "M-2"))

    found = bars(selection, row)

    assert found == ({"INV-9": "not_selected"} if is_barred else {})


@given(
    rows=st.lists(invoices(), max_size=5),
    within=st.none() | st.integers(0, 3_660),
    age=st.integers(0, 3_660),
    on=st.dates(date(1900, 1, 1), date(2190, 1, 1)),
)
def test_l8_the_reason_is_true_of_every_invoice(
    rows: list[Invoice], within: int | None, age: int, on: date
) -> None:
    selection = Selection(due_within=within, least_age=age)

    found = selection.bars(rows, on)

    for each in rows:
        is_later = within is not None and (
            each.due_on is not None and (each.due_on - on).days > within
        )
        is_young = 0 <= (on - each.issued_on).days < age
        if is_later or is_young:
            assert each.number in found
    assert set(found.values()) <= {Reason.NOT_DUE_YET, Reason.TOO_NEW}


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"due_within": -1}, "OutOfRange", "due_within"),
        ({"due_within": 3_661}, "OutOfRange", "due_within"),
        ({"due_within": True}, "FieldType", "due_within"),
        ({"least_age": -1}, "OutOfRange", "least_age"),
        ({"least_age": None}, "FieldType", "least_age"),
        ({"without_invoices": {"INV-1"}}, "FieldType", "without_invoices"),
        ({"without_matters": frozenset({1})}, "FieldType", "without_matters"),
        (
            {"without_matters": frozenset({""})},
            "FieldMissing",
            "without_matters",
        ),
    ],
)
def test_l8_a_selection_that_cannot_be_is_refused(
    changes: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        Selection(**changes)

    assert (refused.value.code, refused.value.path) == (code, path)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(), "everything"),
        (Selection(due_within=0), "only what is due"),
        (
            Selection(due_within=7, least_age=30),
            (
                "only what is due within 7 days, only what is 30 days old or "
                "older"
            ),
        ),
        (
            Selection(
                without_invoices=frozenset({"B", "A"}),
                without_matters=frozenset({"M"}),
            ),
            "without invoices A, B, without matters M",
        ),
    ],
)
def test_l8_a_selection_reads_as_it_is(
    selection: Selection, words: str
) -> None:
    assert str(selection) == words
    order = standing_order(selection=selection)
    assert str(order).endswith(f"; {words}")
    assert words in " ".join(map(str, parts_of(order)))


# -- Runs ---------------------------------------------------------------------


def due(number: str, on: date) -> Invoice:
    return bill(number, "10.00", due_on=on)


def test_l8_a_run_pays_what_takes_part_and_says_why_of_the_rest() -> None:
    world = World(
        due("INV-1", DAY),
        due("INV-2", DAY + timedelta(days=1)),
        due("INV-3", DAY),
    )
    order = standing_order(
        selection=Selection(
            due_within=0, without_invoices=frozenset({"INV-3"})
        )
    )

    result = world.run(order)

    assert result.charged == usd("10.00")
    assert {
        line.invoice.number: line.reason.value for line in lines_of(result)
    } == {"INV-1": "paid", "INV-2": "not_due_yet", "INV-3": "not_selected"}
    said = "\n".join(explain(world.record))
    assert "INV-3" in said
    assert "leaves it, or its matter, out" in said
    assert recompute(world.record).differs == ()
    later = world.run(order, FEBRUARY)
    paid = [
        line.invoice.number
        for line in lines_of(later)
        if line.amount.is_positive
    ]
    assert paid == ["INV-2"]


def test_l8_without_anything_to_pay_nothing_is_due() -> None:
    world = World(due("INV-1", FEBRUARY))

    result = world.run(standing_order(selection=Selection(due_within=0)))

    assert result.status is RunStatus.NOTHING_DUE


def test_r9_what_takes_no_part_any_more_is_not_sent_again() -> None:
    world = World(bill("INV-1", "9.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    order = standing_order()
    world.run(order)
    left_out = attrs.evolve(
        order, selection=Selection(without_invoices=frozenset({"INV-1"}))
    )
    world.clock.advance(hours=2)

    world.sweep(left_out)

    assert world.taken == []


def test_l8_a_preview_asks_on_its_own_day() -> None:
    world = World(due("INV-1", FEBRUARY))
    order = standing_order(selection=Selection(due_within=3))

    today = preview(order, on=DAY, ports=world.ports)
    then = preview(order, on=FEBRUARY, ports=world.ports)

    assert today.total == usd("0.00")
    assert then.total == usd("10.00")


@given(
    dues=st.lists(st.integers(-30, 150), min_size=1, max_size=6),
    within=st.none() | st.integers(0, 40),
    age=st.integers(0, 90),
)
@example(dues=[1, 28, 29, 60], within=0, age=0)
def test_s14_a_forecast_is_what_then_happens(
    dues: list[int], within: int | None, age: int
) -> None:
    world = World(
        *(
            due(f"INV-{place}", DAY + timedelta(days=days))
            for place, days in enumerate(dues)
        )
    )
    order = standing_order(
        schedule=Schedule.monthly(DAY, count=4),
        selection=Selection(due_within=within, least_age=age),
    )
    foreseen = {
        run.occurrence.charge_on: run.allocation.total
        for run in forecast(order, as_of=DAY, ports=world.ports).runs
    }

    found = {}
    for day in (DAY, FEBRUARY, MARCH, date(2026, 4, 30)):
        for result in world.sweep(order, as_of=day):
            assert result.allocation is not None
            found[day] = result.allocation.total
        world.apply()
        for posting in world.postings():
            row = world.matters.get(posting.invoice)
            if row is not None and not row.balance.is_zero:
                world.matters.apply(posting)

    assert found == foreseen
