"""What values look like in `print`: a line for people."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given

import autopay_core as ap
from autopay_core._checks import some_of
from autopay_core.adapters.memory import memory_ports
from autopay_core.allocation import LeftOut
from autopay_core.charges import DeclineClass
from autopay_core.movements import MovementRecord, MovementState
from autopay_core.runs import RunStatus
from strategies import limits
from worlds import bill, posting, standing_order, to_client, to_invoice, usd

DAY = date(2026, 1, 31)


def ports(*balances: str, **more: Any) -> ap.Ports:
    return memory_ports(
        [
            ap.Invoice(
                number=str(place),
                client="C-1",
                matter="M-1",
                issued_on=date(2026, 1, place),
                balance=usd(balance),
            )
            for place, balance in enumerate(balances, 1)
        ],
        clock=lambda: datetime(2026, 1, 31, 9, tzinfo=UTC),
        **more,
    )


def order(**changes: Any) -> ap.AutoPay:
    return standing_order(schedule=ap.Schedule.monthly(DAY), **changes)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["1"], "1"),
        (["1", "2", "3", "4"], "1, 2, 3, 4"),
        (["1", "2", "3", "4", "5"], "1, 2, 3, 4 and 1 more"),
    ],
)
def test_of_many_the_first_are_named(names: list[str], said: str) -> None:
    assert some_of(names) == said


def test_an_allocation_says_how_much_goes_where() -> None:
    limit = ap.Limit.up_to(usd("50.00"))
    found = ap.allocate([bill("7", "30.00"), bill("8", "30.00")], limit)

    assert str(found) == "USD 50.00 on 2 of 2 invoices: 7, 8"


def test_an_allocation_of_nothing_says_so_too() -> None:
    left = LeftOut(number="9", client="C-1", code="ConflictingInvoice")
    found = ap.allocate([bill("7", "-5.00")], ap.Limit.all("USD"))

    assert str(found) == "USD 0.00 on 0 of 1 invoice"
    assert str(attrs.evolve(found, left_out=(left,))) == (
        "USD 0.00 on 0 of 1 invoice; 1 left out"
    )


def test_a_result_says_how_the_run_ended() -> None:
    here = ports("30.00", "20.00")
    autopay = order()
    paid = ap.run(autopay, on=DAY, ports=here)

    assert str(paid) == (
        f"{autopay.id}/2026-01-31: paid USD 50.00 on 2 of 2 invoices: 1, 2"
    )
    assert len(repr(paid)) > 1_000


def test_a_result_without_a_payment_says_why() -> None:
    here = ports("30.00")
    autopay = order()
    gateway: Any = here.gateway
    gateway.decline(
        autopay.method.token,
        code="54",
        decline_class=DeclineClass.FIX_FIRST,
        message="The card has expired.",
    )
    failed = ap.run(autopay, on=DAY, ports=here)

    assert str(failed) == (
        f"{autopay.id}/2026-01-31: failed: The card has expired. (code 54)"
    )


def test_a_result_of_no_run_names_the_auto_pay() -> None:
    bare = ap.RunResult(key=None, status=RunStatus.POSTPONED, autopay="ap-1")

    assert str(bare) == "ap-1: postponed"
    assert str(attrs.evolve(bare, reason="StoreBusy")) == (
        "ap-1: postponed: StoreBusy"
    )


def test_an_auto_pay_says_when_how_much_and_what() -> None:
    autopay = order(name="Acme", limit=ap.Limit.up_to(usd("50.00")), id="ap-1")

    assert str(autopay) == (
        "Acme (ap-1): every month on the 31st from 2026-01-31; up to "
        "USD 50.00 in a run; client C-1"
    )
    assert str(attrs.evolve(autopay, enrollments=())).endswith(
        "; nothing is enrolled"
    )
    assert autopay.method.token not in str(autopay)


def test_an_association_says_what_it_covers() -> None:
    matter = ap.Association.to_matter(payer="p1", client="C-1", matter="M-1")

    assert str(to_client()) == "client C-1"
    assert str(matter) == "matter M-1 of client C-1"
    assert str(to_invoice("7")) == "invoice 7 of client C-1"


def test_a_limit_says_all_its_parts() -> None:
    assert str(ap.Limit.all("USD")) == "all that is outstanding in USD"
    whole = ap.Limit(
        currency="USD",
        per_run=usd("50.00"),
        per_invoice=usd("40.00"),
        per_month=usd("90.00"),
        lifetime=usd("500.00"),
        minimum=usd("5.00"),
        whole_invoices=True,
    )
    assert str(whole) == (
        "up to USD 50.00 in a run, at most USD 40.00 on an invoice, at most "
        "USD 90.00 in a month, at most USD 500.00 in all, at least USD 5.00 "
        "or nothing, whole invoices only"
    )


@given(limits())
def test_limits_that_differ_are_said_differently(limit: ap.Limit) -> None:
    turned = attrs.evolve(limit, whole_invoices=not limit.whole_invoices)

    assert str(turned) != str(limit)
    assert "\n" not in str(limit)


def test_a_posting_says_where_it_stands() -> None:
    made = posting()

    assert str(made).startswith(f"{made.invoice}: {made.amount} of ")
    assert f", {made.status.value} (" in str(made)
    noted = attrs.evolve(made, note="the matter is closed")
    assert str(noted) == f"{made}: the matter is closed"


def test_a_hold_says_what_since_when_by_whom_and_why() -> None:
    made = ap.Hold.on_payer("p1", by="Ann", reason="bankrupt")
    assert str(made) == "payer:p1: on hold by Ann: bankrupt"

    since = datetime(2026, 1, 2, tzinfo=UTC)
    whole = ap.Hold.on_invoice("7", by="Ann", reason="in dispute", since=since)
    part = attrs.evolve(whole, amount=usd("5.00"))
    assert str(part) == (
        "USD 5.00 of invoice:7: on hold since 2026-01-02 by Ann: in dispute"
    )
    lifted = attrs.evolve(
        made, lifted=True, lifted_by="Bob", lifted_reason="paid in cash"
    )
    assert str(lifted) == "payer:p1: lifted by Bob: paid in cash"


def test_a_movement_says_what_moved_and_of_what() -> None:
    made = ap.Movement(
        id="ev-1",
        kind=ap.MovementKind.RETURNED,
        amount=usd("5.00"),
        on=DAY,
        code="R01",
        reference="pay-1",
    )
    assert str(made) == (
        "ev-1: returned (R01) of USD 5.00 on 2026-01-31, of pay-1"
    )
    plain = attrs.evolve(made, code="", reference=None, key="k-1")
    assert str(plain) == "ev-1: returned of USD 5.00 on 2026-01-31, of k-1"
    kept = MovementRecord(movement=plain, state=MovementState.WAITING)
    assert str(kept) == f"{plain}: waiting"
    stuck = attrs.evolve(kept, reason="OrphanEvent")
    assert str(stuck) == f"{plain}: waiting (OrphanEvent)"
