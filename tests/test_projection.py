from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    memory_ports,
)
from autopay_core.allocation import Order, Reason
from autopay_core.associations import Association
from autopay_core.autopay import AdvanceNotice, AutoPay, Enrollment, upcoming
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.calls import clock_is_right, hold, run, sweep
from autopay_core.errors import InvalidValueError
from autopay_core.holds import Hold
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.ports import Ports
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.schedules import Pause, Schedule
from autopay_core.show.foreseen import Projection
from autopay_core.show.projection import forecast, project
from autopay_core.testing.ledger import Ledger
from worlds import SECRET

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

START = date(2026, 1, 31)


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def invoice(
    number: str,
    balance: str,
    issued_on: date = date(2026, 1, 5),
    client: str = "C-1",
    matter: str = "M-1",
) -> Invoice:
    return Invoice(
        number=number,
        client=client,
        matter=matter,
        issued_on=issued_on,
        balance=usd(balance),
    )


AUTOPAY = AutoPay(
    id="ap-1",
    payer="p",
    name="Acme <monthly> & more",
    method=PaymentMethodRef(provider="acme", token="tok_1"),
    deposit_account=DepositAccount(id="operating"),
    schedule=Schedule.monthly(START),
    limit=Limit.up_to(usd("100.00")),
    enrollments=(Association.to_client(payer="p", client="C-1"),),
)


def charges(projection: Projection) -> list[tuple[str, str]]:
    return [
        (each.occurrence.charge_on.isoformat()[5:], each.total.major)
        for each in projection.runs
        if each.total.is_positive
    ]


# -- Figures -----------------------------------------------------------------


def test_a_year_is_foreseen_run_by_run() -> None:
    rows = [invoice("INV-9", "180.00"), invoice("INV-10", "70.00")]

    foreseen = project(AUTOPAY, rows, from_on=START)

    assert charges(foreseen) == [
        ("01-31", "100.00"),
        ("02-28", "100.00"),
        ("03-31", "50.00"),
    ]
    assert len(foreseen.runs) == 12
    assert foreseen.total == usd("250.00")
    assert foreseen.left == {}
    assert foreseen.paid_off_on == {
        "INV-9": date(2026, 2, 28),
        "INV-10": date(2026, 3, 31),
    }


def test_what_a_year_does_not_pay_is_left() -> None:
    rows = [
        invoice("INV-9", "1250.00"),
        invoice("INV-8", "30.00", client="C-2"),
        invoice("INV-7", "-5.00"),
    ]

    foreseen = project(AUTOPAY, rows, from_on=START)

    assert foreseen.total == usd("1200.00")
    assert foreseen.left == {"INV-9": usd("50.00")}


def test_an_invoice_of_tomorrow_comes_in_on_its_day() -> None:
    rows = [invoice("INV-9", "40.00", issued_on=date(2026, 3, 31))]

    foreseen = project(AUTOPAY, rows, from_on=START)

    assert charges(foreseen) == [("03-31", "40.00")]
    [line] = foreseen.runs[0].allocation.lines
    assert line.reason is Reason.NOT_YET_ISSUED


def test_what_is_on_its_way_is_not_foreseen_again() -> None:
    foreseen = project(
        AUTOPAY,
        [invoice("INV-9", "120.00")],
        from_on=START,
        open_amounts={"INV-9": usd("90.00")},
    )

    assert charges(foreseen) == [("01-31", "30.00")]
    assert foreseen.left == {}


def test_a_plan_is_foreseen_beyond_its_year() -> None:
    plan = attrs.evolve(
        AUTOPAY,
        enrollments=(
            Association.to_invoice(
                payer="p", client="C-1", matter="M-1", invoice="INV-9"
            ),
        ),
    )

    foreseen = project(
        plan,
        [invoice("INV-9", "1350.00"), invoice("INV-8", "9.00")],
        from_on=START,
        before=date(2028, 1, 1),
    )

    assert foreseen.paid_off_on == {"INV-9": date(2027, 2, 28)}
    assert foreseen.total == usd("1350.00")


def test_the_year_of_a_client_ends_and_pauses_are_kept() -> None:
    resting = attrs.evolve(
        AUTOPAY,
        pauses=(Pause(from_on=date(2026, 3, 1), to_on=date(2026, 5, 1)),),
        skips=frozenset({date(2026, 6, 30)}),
        off_from=date(2026, 9, 30),
    )

    days = [
        each.occurrence.charge_on.month
        for each in project(
            resting, [], from_on=START, before=date(2030, 1, 1)
        ).runs
    ]
    ended = project(AUTOPAY, [], from_on=date(2027, 1, 31))

    assert days == [1, 2, 5, 7, 8]
    assert ended.runs == ()
    assert ended.total == usd("0.00")


def test_limits_per_month_and_lifetime_are_spent() -> None:
    weekly = attrs.evolve(
        AUTOPAY,
        schedule=Schedule.weekly(date(2026, 1, 5)),
        enrollments=(Association.to_client(payer="p", client="C-1"),),
        limit=Limit.all(
            "USD",
            per_invoice=usd("60.00"),
            per_month=usd("100.00"),
            lifetime=usd("250.00"),
        ),
    )
    rows = [invoice("INV-9", "900.00", issued_on=date(2026, 1, 1))]

    foreseen = project(
        weekly,
        rows,
        from_on=date(2026, 1, 10),
        spent=Spent(month=usd("60.00"), lifetime=usd("60.00")),
    )

    assert charges(foreseen) == [
        ("01-12", "40.00"),
        ("02-02", "60.00"),
        ("02-09", "40.00"),
        ("03-02", "50.00"),
    ]


def test_less_than_the_gateway_takes_is_left() -> None:
    foreseen = project(
        AUTOPAY,
        [invoice("INV-9", "0.49")],
        from_on=START,
        minimum=usd("0.50"),
    )

    assert foreseen.total.is_zero
    assert foreseen.left == {"INV-9": usd("0.49")}


def test_too_many_runs_are_refused_and_not_cut_off() -> None:
    daily = attrs.evolve(
        AUTOPAY,
        schedule=Schedule.daily(START),
        enrollments=(
            Association.to_invoice(
                payer="p", client="C-1", matter="M-1", invoice="INV-9"
            ),
        ),
    )

    with pytest.raises(InvalidValueError) as caught:
        project(daily, [], from_on=START, before=date(2100, 1, 1))

    assert caught.value.code == "TooManyRuns"


# -- Against real runs -------------------------------------------------------


def really(
    autopay: AutoPay, rows: list[Invoice], from_on: date, before: date
) -> list[tuple[date, tuple[tuple[str, int], ...]]]:
    """Run day by day on the memory ports, postings applied at once."""
    now = datetime(2026, 1, 1, 6, tzinfo=UTC)
    store = MemoryPostingStore(clock=lambda: now)
    ledger = Ledger(MemoryMatterData(rows), store, days=(0, 0, 0))
    ports = Ports(
        matters=ledger,
        gateway=MemoryGateway(clock=lambda: now),
        postings=store,
        notifier=MemoryNotifier(),
        key_secret=SECRET,
    )
    # A store that is in use, so that no clock is suspect for being alone.
    others = attrs.evolve(
        autopay,
        id="ap-of-others",
        schedule=Schedule.daily(from_on),
        enrollments=(Association.to_client(payer="p", client="C-9"),),
        off_from=None,
        pauses=(),
    )
    on = from_on
    while on < before:
        now = datetime(on.year, on.month, on.day, 6, tzinfo=UTC)
        for _ in sweep([autopay, others], as_of=on, ports=ports):
            pass
        ledger.advance(on, ports=ports)
        on += timedelta(days=1)
    return [
        (
            each.charge_on,
            tuple(
                (line.invoice.number, line.amount.amount_minor)
                for line in each.allocation.paid
            ),
        )
        for each in store.runs()
        if each.allocation is not None
        and each.captured is not None
        and each.key.autopay == autopay.id
    ]


@st.composite
def standing_orders(draw: DrawFn) -> AutoPay:
    schedule = draw(
        st.sampled_from(
            [
                Schedule.monthly(START),
                Schedule.monthly(
                    START,
                    roll=Roll.FOLLOWING,
                    calendar=BusinessCalendar(
                        holidays=frozenset({date(2026, 3, 2)})
                    ),
                ),
                Schedule.weekly(date(2026, 2, 2), every=2),
                Schedule.twice_monthly(START, days=(15, "last")),
                Schedule.quarterly(START, count=2),
                Schedule.once(date(2026, 3, 3)),
            ]
        )
    )
    minor = draw(st.integers(1, 40))
    amount = Money(amount_minor=minor, currency="USD")
    return attrs.evolve(
        AUTOPAY,
        schedule=schedule,
        limit=draw(
            st.sampled_from(
                [
                    Limit.all("USD"),
                    Limit.up_to(amount),
                    Limit.up_to(amount, whole_invoices=True),
                    Limit.all("USD", per_month=amount),
                    Limit.all("USD", per_invoice=amount, lifetime=amount),
                ]
            )
        ),
        order=draw(st.sampled_from(Order)),
        enrollments=tuple(
            draw(
                st.lists(
                    st.sampled_from(
                        [
                            Association.to_client(payer="p", client="C-1"),
                            Association.to_matter(
                                payer="p", client="C-2", matter="M-1"
                            ),
                            Enrollment(
                                association=Association.to_invoice(
                                    payer="p",
                                    client="C-2",
                                    matter="M-2",
                                    invoice="INV-1",
                                ),
                                since=date(2026, 3, 1),
                            ),
                        ]
                    ),
                    min_size=1,
                    max_size=3,
                )
            )
        ),
        pauses=draw(
            st.sampled_from(
                [
                    (),
                    (Pause(from_on=date(2026, 2, 1), to_on=date(2026, 3, 5)),),
                ]
            )
        ),
        off_from=draw(st.sampled_from([None, date(2026, 5, 1)])),
    )


rows_of_a_firm = st.lists(
    st.builds(
        invoice,
        number=st.sampled_from([f"INV-{n}" for n in range(1, 12)]),
        balance=st.integers(-2, 90).map(lambda cents: f"{cents / 100:.2f}"),
        issued_on=st.dates(date(2025, 12, 1), date(2026, 4, 30)),
        client=st.sampled_from(["C-1", "C-2"]),
        matter=st.sampled_from(["M-1", "M-2"]),
    ),
    max_size=6,
    unique_by=lambda each: each.number,
)


@settings(max_examples=40)
@given(standing_orders(), rows_of_a_firm)
def test_a_forecast_is_what_the_runs_then_do(
    autopay: AutoPay, rows: list[Invoice]
) -> None:
    from_on, before = date(2026, 1, 31), date(2026, 7, 1)

    foreseen = project(autopay, rows, from_on=from_on, before=before)

    assert [
        (
            each.occurrence.charge_on,
            tuple(
                (line.invoice.number, line.amount.amount_minor)
                for line in each.allocation.paid
            ),
        )
        for each in foreseen.runs
        if each.total.is_positive
    ] == really(autopay, rows, from_on, before)
    assert foreseen.total == Money.total(
        (each.total for each in foreseen.runs), "USD"
    )


@settings(max_examples=30)
@given(
    standing_orders(), rows_of_a_firm, st.integers(0, 30), st.integers(0, 9)
)
def test_s14_on_the_eve_of_a_run_a_forecast_is_what_it_then_does(
    autopay: AutoPay, rows: list[Invoice], days: int, late: int
) -> None:
    now = datetime(2026, 1, 31, 6, tzinfo=UTC)
    store = MemoryPostingStore(clock=lambda: now)
    ledger = Ledger(MemoryMatterData(rows), store, days=(0, 0, 0))
    ports = Ports(
        matters=ledger,
        gateway=MemoryGateway(clock=lambda: now),
        postings=store,
        notifier=MemoryNotifier(),
        key_secret=SECRET,
    )
    hold(
        Hold.on_matter("C-2", "M-1", by="Ann", reason="disputed"), ports=ports
    )
    for days_on in range(days):
        now = datetime(2026, 1, 31, 6, tzinfo=UTC) + timedelta(days=days_on)
        for _ in sweep([autopay], as_of=now.date(), ports=ports):
            pass
        if days_on >= late:
            ledger.advance(now.date(), ports=ports)
    eve = now.date() + timedelta(days=1)
    before = tuple(store.runs())

    foreseen = forecast(
        autopay, as_of=eve, through=date(2026, 12, 31), ports=ports
    )

    assert tuple(store.runs()) == before
    coming = upcoming(autopay, eve)
    lifetime = autopay.limit.lifetime
    taken = sum(
        each.captured.amount.amount_minor
        for each in before
        if each.captured is not None
    )
    if lifetime is not None and taken >= lifetime.amount_minor:
        # By the dates alone it goes on; what was agreed in all is taken.
        coming = None
    assert [each.occurrence for each in foreseen.runs[:1]] == (
        [] if coming is None else [coming]
    )
    if coming is not None:
        assert coming.charge_on is not None
        now = datetime.combine(
            coming.charge_on, datetime.min.time(), tzinfo=UTC
        ) + timedelta(hours=6)
        clock_is_right(by="Ann", reason="long paused", ports=ports)
        on = run(autopay, on=coming.charge_on, ports=ports).allocation
        assert on is not None
        assert foreseen.runs[0].allocation.amounts == on.amounts


def test_s14_a_forecast_goes_a_year_ahead_unless_it_is_told() -> None:
    ports = memory_ports([invoice("INV-9", "180.00")])

    year = forecast(AUTOPAY, as_of=START, ports=ports)
    month = forecast(AUTOPAY, as_of=START, through=START, ports=ports)

    assert charges(year) == [("01-31", "100.00"), ("02-28", "80.00")]
    assert len(year.runs) == 12
    assert len(month.runs) == 1


def test_n4_a_forecast_takes_no_more_than_was_announced() -> None:
    now = datetime(2026, 1, 21, 6, tzinfo=UTC)
    rows = [invoice("INV-9", "40.00")]
    data = MemoryMatterData(rows)
    ports = Ports(
        matters=data,
        gateway=MemoryGateway(clock=lambda: now),
        postings=MemoryPostingStore(clock=lambda: now),
        notifier=MemoryNotifier(),
        key_secret=SECRET,
    )
    autopay = attrs.evolve(AUTOPAY, advance_notice=AdvanceNotice())
    for _ in sweep([autopay], as_of=now.date(), ports=ports):
        pass
    data.put(invoice("INV-9", "70.00"))

    foreseen = forecast(autopay, as_of=now.date(), ports=ports)

    assert charges(foreseen) == [("01-31", "40.00"), ("02-28", "30.00")]


def test_s14_an_order_that_is_over_foresees_nothing() -> None:
    ports = memory_ports([invoice("INV-9", "180.00")])
    over = attrs.evolve(AUTOPAY, off_from=START)

    foreseen = forecast(over, as_of=START, ports=ports)

    assert foreseen.runs == ()
    assert foreseen.left == {"INV-9": usd("180.00")}


@given(standing_orders(), rows_of_a_firm)
def test_what_is_foreseen_and_what_is_left_is_what_is_owed(
    autopay: AutoPay, rows: list[Invoice]
) -> None:
    foreseen = project(autopay, rows, from_on=START, before=date(2026, 12, 31))

    paid = {
        number: amount
        for each in foreseen.runs
        for number, amount in each.allocation.amounts.items()
    }
    for row in rows:
        got = Money.total(
            (
                each.allocation.amounts[row.number]
                for each in foreseen.runs
                if row.number in each.allocation.amounts
            ),
            "USD",
        )
        assert got <= max(row.balance, usd("0"))
        if row.number in paid:
            left = foreseen.left.get(row.number, usd("0"))
            assert got + left == row.balance


# -- The picture -------------------------------------------------------------


def test_the_picture_is_the_timeline_with_every_amount() -> None:
    foreseen = project(AUTOPAY, [invoice("INV-9", "150.00")], from_on=START)

    picture = ET.fromstring(foreseen._repr_svg_())  # noqa: S314 - our own

    name = "{http://www.w3.org/2000/svg}"
    title = picture.find(f"{name}title")
    assert title is not None
    assert title.text == (
        "Acme <monthly> & more: USD 150.00 in 2 runs, 31 Jan 2026 to "
        "31 Jan 2027"
    )
    texts = [each.text for each in picture.findall(f"{name}text")]
    assert {"31 Jan 2026", "100.00", "50.00"} <= set(texts)


def test_the_picture_of_nothing_is_a_picture() -> None:
    nothing = project(AUTOPAY, [], from_on=date(2040, 1, 1))

    ET.fromstring(nothing._repr_svg_())  # noqa: S314 - our own


def test_a_notebook_gets_picture_and_figures_escaped() -> None:
    class Tags(HTMLParser):
        found: set[str] = set()  # noqa: RUF012 - a collector for one test

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.found.add(tag)

    html = project(
        AUTOPAY, [invoice("INV-9", "150.00")], from_on=START
    )._repr_html_()
    tags = Tags()
    tags.feed(html)

    assert "monthly" not in tags.found
    # In the page, SVG would be dropped where nobody trusts the notebook.
    assert "svg" not in tags.found
    assert {"img", "details", "table"} <= tags.found
    assert "USD 150.00 in 2 runs" in html


def test_the_chart_has_what_each_invoice_gets() -> None:
    pytest.importorskip("altair")
    rows = [invoice("INV-9", "130.00"), invoice("INV-10", "20.00")]

    made = project(AUTOPAY, rows, from_on=START).chart().to_dict()

    assert [
        (each["date"], each["invoice"], each["amount"])
        for each in made["data"]["values"]
    ] == [
        ("2026-01-31", "INV-9", 100.0),
        ("2026-02-28", "INV-9", 30.0),
        ("2026-02-28", "INV-10", 20.0),
    ]
