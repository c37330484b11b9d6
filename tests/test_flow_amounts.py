"""Which invoices a run pays, and how much: rules S7, A2 to A5, L6, L7."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest

from autopay_core.allocation import Reason
from autopay_core.associations import Association, InvoicePage
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.calls import reverse
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.references import AccountKind
from autopay_core.runs import RunStatus
from autopay_core.schedules import Schedule
from worlds import (
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    lines_of,
    rig,
    standing_order,
    to_client,
    to_invoice,
    traced_run,
    usd,
)

# -- S7, A2 to A5 -------------------------------------------------------------


def test_s7_a_plan_ends_with_its_invoice_and_says_so_once() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "5.00"))
    plan = standing_order(
        enrollments=(to_invoice("INV-1"),), limit=Limit.up_to(usd("100"))
    )
    world.run(plan)
    last = world.run(plan, on=FEBRUARY)
    after = world.run(plan, on=date(2026, 3, 31))
    later = world.run(plan, on=date(2026, 4, 30))

    assert world.taken == [usd("100"), usd("20")]
    assert last.status is RunStatus.PAID
    assert [after.reason, later.reason] == ["PlanPaidOff"] * 2
    assert world.told() == [
        NoticeKind.PAID_IN_PART,
        NoticeKind.PAID,
        NoticeKind.PLAN_PAID_OFF,
    ]


def test_s7_an_invoice_numbered_like_a_card_is_paid_off_as_well() -> None:
    number = "4111111111111111"
    world = World(bill(number, "120.00"))
    plan = standing_order(enrollments=(to_invoice(number),))

    paid = world.run(plan)

    assert paid.status is RunStatus.PAID
    assert world.told() == [NoticeKind.PAID, NoticeKind.PLAN_PAID_OFF]
    assert [each.invoice for each in world.postings()] == [number]


def test_s7_a_plan_comes_back_to_life_when_its_invoice_is_reopened() -> None:
    world = World(bill("INV-1", "120.00"))
    plan = standing_order(enrollments=(to_invoice("INV-1"),))
    world.run(plan)
    world.apply()
    world.matters.put(bill("INV-1", "0.00"))
    paid_off = world.run(plan, on=FEBRUARY)
    back = Reversal(
        event="ev-1",
        kind=ReversalKind.RETURN,
        amount=usd("120.00"),
        on=date(2026, 3, 2),
    )
    reverse(KEY, back, ports=world.ports)
    world.apply()
    world.matters.put(bill("INV-1", "120.00"))

    result = world.run(plan, on=date(2026, 3, 31))

    assert paid_off.reason == "PlanPaidOff"
    assert result.charged == usd("120.00")
    assert world.told()[-2:] == [NoticeKind.PAID, NoticeKind.PLAN_PAID_OFF]


def test_s7_a_plan_beside_a_client_is_not_told_as_paid_off() -> None:
    world = World(bill("INV-1", "120.00"))

    world.run(standing_order(enrollments=(to_invoice("INV-1"), to_client())))

    assert world.told() == [NoticeKind.PAID]


def test_a2_a_row_that_nobody_asked_for_is_left_out_with_one_alarm() -> None:
    """The firm hears of it once a day; nobody hears what was in it."""
    world = World()
    foreign = bill("INV-9", "1.00", client="C-9")
    page = InvoicePage(invoices=(bill("INV-1", "120.00"), foreign))
    rig(world.matters, open_invoices=lambda _: page)

    results = world.sweep(
        standing_order(),
        standing_order(id="ap-2", limit=Limit.up_to(usd("5"))),
    )

    assert [each.status for each in results] == [
        RunStatus.PAID,
        RunStatus.NOTHING_DUE,
    ]
    assert world.taken == [usd("120.00")]
    [alarm] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.SECURITY_EVENT
    ]
    assert (alarm.payer, alarm.autopay, alarm.on) == ("", "", DAY)
    assert "returned 1 rows that nobody asked for" in alarm.detail
    for notice in world.notifier.sent:
        assert "INV-9" not in notice.detail
        assert "C-9" not in notice.detail


def test_a2_a_read_of_nothing_but_foreign_rows_is_unreadable() -> None:
    world = World()
    page = InvoicePage(invoices=(bill("INV-9", "1.00", client="C-9"),))
    rig(world.matters, open_invoices=lambda _: page)

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "OnlyForeign"
    assert world.record.late_since == DAY
    assert world.taken == []


def test_a3_no_enrolments_pay_nothing_and_ask_for_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    traced = traced_run(world, standing_order(enrollments=()))

    result = traced.go()

    assert result.status is RunStatus.NOTHING_DUE
    assert result.reason == "NoAssociations"
    assert "ReadInvoices" not in traced.names


def test_a4_an_invoice_that_three_enrolments_cover_is_paid_once() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(
        enrollments=(
            to_client(),
            Association.to_matter(payer="p1", client="C-1", matter="M-1"),
            to_invoice("INV-1"),
        )
    )

    result = world.run(autopay)

    assert result.charged == usd("120.00")
    assert len(world.postings()) == 1


def test_a5_a_new_invoice_takes_part_at_its_place_in_the_order() -> None:
    world = World(bill("INV-2", "100.00", issued=date(2026, 1, 20)))
    world.matters.put(bill("INV-1", "30.00", issued=date(2026, 1, 2)))

    result = world.run(standing_order(limit=Limit.up_to(usd("50"))))

    assert [
        (line.invoice.number, line.amount) for line in lines_of(result)
    ] == [("INV-1", usd("30")), ("INV-2", usd("20"))]


def test_l6_trust_money_waits_for_another_charge() -> None:
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "50.00", account=AccountKind.TRUST),
    )

    result = world.run(standing_order())

    assert result.charged == usd("120.00")
    reasons = {line.invoice.number: line.reason for line in lines_of(result)}
    assert reasons["INV-2"] is Reason.OTHER_ACCOUNT


# -- Nothing due, and the gateway's limits ------------------------------------


@pytest.mark.parametrize(
    ("limit", "balance", "reason"),
    [
        (Limit.all("USD"), "0.00", "NothingDue"),
        (Limit.all("USD", minimum=usd("200")), "120.00", "BelowMinimum"),
        (
            Limit.up_to(usd("100"), whole_invoices=True),
            "120.00",
            "CapBelowOldest",
        ),
    ],
)
def test_nothing_due_says_why(limit: Limit, balance: str, reason: str) -> None:
    world = World(bill("INV-1", balance), bill("INV-2", "-5.00"))

    result = world.run(standing_order(limit=limit))

    assert result.status is RunStatus.NOTHING_DUE
    assert result.reason == reason
    assert result.record is not None
    assert result.record.plan is not None
    assert world.told() == []  # Nothing due is silent (N2).


def test_l7_a_month_that_is_used_up_takes_nothing_more() -> None:
    world = World(bill("INV-1", "500.00", issued=date(2026, 1, 1)))
    autopay = standing_order(
        schedule=Schedule.weekly(date(2026, 1, 2)),
        limit=Limit.up_to(usd("40"), per_month=usd("60")),
    )
    for day in (2, 9, 16):
        world.run(autopay, on=date(2026, 1, day))

    assert world.taken == [usd("40"), usd("20")]
    assert world.records[-1].reason == "LimitReached"


def test_l7_a_lifetime_trims_the_last_charge() -> None:
    world = World(bill("INV-1", "500.00"))
    autopay = standing_order(limit=Limit.up_to(usd("40"), lifetime=usd("60")))
    for on in (DAY, FEBRUARY, date(2026, 3, 31)):
        world.run(autopay, on=on)

    assert world.taken == [usd("40"), usd("20")]


def test_a_charge_above_the_gateways_largest_is_refused() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, maximum_minor=10_000
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "ChargeTooLarge"
    assert result.record is not None
    assert result.record.attempts == ()
    assert world.told() == [NoticeKind.FAILED]


def test_a_currency_that_the_gateway_does_not_take_is_refused() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, currencies=frozenset({"CAD"})
    )

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert result.reason == "CurrencyUnknown"
    assert world.told() == [NoticeKind.FAILED]


def test_a_currency_that_the_gateway_takes_is_charged() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.capabilities = attrs.evolve(
        world.gateway.capabilities, currencies=frozenset({"USD"})
    )

    assert world.run(standing_order()).status is RunStatus.PAID


# -- Pages --------------------------------------------------------------------


def test_pages_are_followed_to_their_end() -> None:
    world = World(*[bill(f"INV-{n}", "1.00") for n in range(25)], page_size=10)

    result = world.run(standing_order())

    assert result.charged == usd("25.00")


@pytest.mark.parametrize(
    "pages",
    [
        # A token that comes again.
        [((), "1", None), ((), "1", None)],
        # Fewer rows than were announced.
        [(("INV-1",), None, 2)],
        # Another number of rows meanwhile.
        [(("INV-1",), "1", 2), (("INV-2",), None, 3)],
        # A row again where another one should be.
        [(("INV-1",), "1", 2), (("INV-1",), None, 2)],
    ],
)
def test_b3_pages_that_do_not_add_up_make_the_run_late(
    pages: list[tuple[tuple[str, ...], str | None, int | None]],
) -> None:
    world = World()
    left = [
        InvoicePage(
            invoices=tuple(bill(each, "10.00") for each in numbers),
            next_page=following,
            total=count,
        )
        for numbers, following, count in pages
    ]
    rig(world.matters, open_invoices=lambda _: left.pop(0))

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "IncompleteRead"
    assert world.record.late_since == DAY
    assert world.taken == []
    assert world.told() == [NoticeKind.INCIDENT]


def test_a_page_without_a_total_is_believed_at_its_end() -> None:
    world = World()
    page = InvoicePage(invoices=(bill("INV-1", "10.00"),))
    rig(world.matters, open_invoices=lambda _: page)

    assert world.run(standing_order()).charged == usd("10.00")


# -- Rolled dates -------------------------------------------------------------


def test_a_rolled_run_is_identified_by_its_nominal_date() -> None:
    calendar = BusinessCalendar(weekend=frozenset({6, 7}))
    rolled = Schedule.monthly(DAY, roll=Roll.FOLLOWING, calendar=calendar)
    world = World(bill("INV-1", "120.00"))

    result = world.run(standing_order(schedule=rolled), on=date(2026, 2, 2))

    assert result.key == KEY
    assert world.record.charge_on == date(2026, 2, 2)


# -- L7: what frees a limit ---------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "frees"),
    [
        (ReversalKind.RETURN, True),
        (ReversalKind.CHARGEBACK, True),
        (ReversalKind.REFUND, False),
    ],
)
def test_l7_a_return_or_a_dispute_frees_the_limit_and_a_refund_does_not(
    kind: ReversalKind, frees: bool
) -> None:
    world = World(bill("INV-1", "500.00"))
    order = standing_order(
        schedule=Schedule.monthly(date(2026, 2, 1)),
        limit=Limit.all("USD", lifetime=usd("60")),
    )
    first = world.run(order, on=date(2026, 2, 1))
    assert first.record is not None
    assert first.record.spent == usd("60.00")
    back = Reversal(
        event="ev-1", kind=kind, amount=usd("25.00"), on=date(2026, 2, 3)
    )

    after = reverse(first.record.key, back, ports=world.ports)

    assert after.record is not None
    assert after.record.taken == usd("60.00")
    assert after.record.spent == usd("35.00" if frees else "60.00")
    assert world.store.spent("ap-1", DAY, date(2027, 1, 1), "USD") == (
        after.record.spent
    )


def test_l7_a_run_without_an_attempt_spends_nothing() -> None:
    world = World()

    record = world.run(standing_order()).record

    assert record is not None
    assert record.taken is record.spent is None


def test_s8_a_lifetime_that_is_reached_is_an_end_and_is_told_once() -> None:
    world = World(bill("INV-1", "500.00"))
    order = standing_order(
        schedule=Schedule.daily(DAY),
        limit=Limit.up_to(usd("40"), lifetime=usd("60")),
    )
    for day in range(5):
        world.sweep(order, as_of=DAY + timedelta(days=day))

    assert world.taken == [usd("40"), usd("20")]
    assert world.told().count(NoticeKind.ENDED) == 1
    assert NoticeKind.NOTHING_DUE not in world.told()


def test_n2_nothing_due_is_told_where_the_order_says_so() -> None:
    world = World(bill("INV-1", "0.00"))

    world.run(standing_order(tell_nothing_due=True))

    assert world.told() == [NoticeKind.NOTHING_DUE]
