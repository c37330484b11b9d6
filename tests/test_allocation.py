"""
The allocation's promises, over every input that the types allow.

Each property runs in a wide and in a crowded domain; `oracles_allocation`
holds the independent answers.
"""

from __future__ import annotations

from datetime import date
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

import oracles_allocation as oracle
import strategies as my
from autopay_core.allocation import (
    Allocation,
    LeftOut,
    Order,
    Reason,
    allocate,
    fold_number,
    natural_key,
    sort_key,
)
from autopay_core.invoices import Invoice, InvoiceStatus, UnreadableRow
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.references import AccountKind
from strategies import Case

if TYPE_CHECKING:
    from random import Random

both = pytest.mark.parametrize("crowded", [True, False])


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def invoice(number: str, balance: str, **fields: Any) -> Invoice:
    fields.setdefault("issued_on", date(2026, 1, 5))
    return Invoice(
        number=number,
        client="C-1",
        matter="M-1",
        balance=usd(balance),
        **fields,
    )


def plain(invoices: list[Invoice], limit: Limit, **fields: Any) -> Case:
    """Return a case in which nothing but *fields* is unusual."""
    usual: dict[str, Any] = {
        "open_amounts": {},
        "order": Order.ISSUED,
        "as_of": None,
        "account": AccountKind.OPERATING,
        "spent": None,
        "ceilings": None,
        "ended": frozenset(),
        "minimum": None,
        "distinct": my.told_apart(each.number for each in invoices),
    }
    return Case(invoices, limit, **(usual | fields))


def decide(case: Case, **changed: Any) -> Allocation:
    options: dict[str, Any] = {**case.options(), **changed}
    invoices = options.pop("invoices", case.invoices)
    limit = options.pop("limit", case.limit)
    return allocate(invoices, limit, **options)


def minor(allocation: Allocation) -> dict[str, int]:
    return {
        str(number): amount.amount_minor
        for number, amount in allocation.amounts.items()
    }


NATURAL = plain(
    [invoice("INV-10", "50.00"), invoice("INV-9", "100.00")],
    Limit.up_to(usd("120.00")),
)
"""Text order would pay INV-10 first."""

CREDIT = plain(
    [
        invoice("INV-1", "-40.00", issued_on=date(2025, 12, 1)),
        invoice("INV-2", "30.00"),
        invoice("INV-3", "30.00"),
    ],
    Limit.up_to(usd("40.00")),
)
"""A credit that netted would pay INV-3 in full."""

ON_ITS_WAY = plain(
    [invoice("INV-1", "50.00"), invoice("INV-2", "50.00")],
    Limit.up_to(usd("60.00")),
    open_amounts={"INV-1": usd("80.00")},
)
"""More is on its way than is owed; the surplus helps nobody."""

WITHOUT_DUE_DATE = plain(
    [
        invoice("INV-1", "50.00", due_on=None),
        invoice("INV-2", "50.00", due_on=date(2200, 12, 31)),
    ],
    Limit.up_to(usd("60.00")),
    order=Order.DUE,
)
"""An invoice without a due date comes after the last date there is."""

TOO_BIG = plain(
    [
        invoice("INV-1", "50.00"),
        invoice("INV-2", "50.00"),
        invoice("INV-3", "5.00"),
    ],
    Limit.up_to(usd("60.00"), whole_invoices=True),
)
"""INV-3 would fit, and waits for INV-2."""

MONTH_SPENT = plain(
    [invoice("INV-1", "50.00"), invoice("INV-2", "50.00")],
    Limit.up_to(usd("90.00"), per_month=usd("100.00"), lifetime=usd("99.00")),
    spent=Spent(month=usd("30.00"), lifetime=usd("30.00")),
)

TOO_LITTLE = plain(
    [invoice("INV-1", "0.30"), invoice("INV-2", "0.30")],
    Limit.up_to(usd("0.50"), per_invoice=usd("0.20")),
    minimum=usd("0.50"),
)

hazards = [
    NATURAL,
    CREDIT,
    ON_ITS_WAY,
    WITHOUT_DUE_DATE,
    TOO_BIG,
    MONTH_SPENT,
    TOO_LITTLE,
]


def with_hazards(test: Any) -> Any:
    """Pin the known hazards as examples of a property."""
    for case in hazards:
        test = example(case)(test)
    return test


any_case = my.cases() | my.cases(crowded=True)
plain_case = my.cases(plain=True) | my.cases(crowded=True, plain=True)


# -- What is paid ------------------------------------------------------------


@given(any_case)
@with_hazards
def test_every_invoice_has_one_line_and_the_lines_add_up_to_the_total(
    case: Case,
) -> None:
    allocation = decide(case)

    listed = [line.invoice for line in allocation.lines]
    assert sorted(each.number for each in listed) == sorted(
        each.number for each in case.invoices
    )
    assert allocation.total == Money.total(
        (line.amount for line in allocation.lines), case.limit.currency
    )
    assert sum(minor(allocation).values()) == allocation.total.amount_minor
    assert allocation.limit == case.limit
    assert allocation.order is case.order


@given(any_case)
@with_hazards
def test_no_invoice_gets_more_than_is_payable_and_no_run_more_than_it_may(
    case: Case,
) -> None:
    allocation = decide(case)

    for line in allocation.lines:
        assert line.payable.amount_minor == oracle.payable(case, line.invoice)
        assert 0 <= line.amount.amount_minor <= line.payable.amount_minor
        assert line.balance == line.invoice.balance
        assert line.is_paid == line.amount.is_positive
    most = oracle.budget(case)
    if most is None:
        assert allocation.available is None
        assert allocation.bound_by is None
    else:
        assert allocation.available is not None
        assert allocation.available.amount_minor == most
        assert allocation.bound_by is not None
        assert allocation.total.amount_minor <= most


@given(my.cases(crowded=True))
@with_hazards
def test_handing_out_cents_one_by_one_gives_the_same(case: Case) -> None:
    assert minor(decide(case)) == oracle.cent_by_cent(case)


@given(any_case)
@with_hazards
def test_the_sums_of_what_comes_before_give_the_same(case: Case) -> None:
    assert minor(decide(case)) == oracle.by_sums(case)


@given(plain_case)
@with_hazards
def test_at_most_one_invoice_is_part_paid_and_it_is_the_newest_paid(
    case: Case,
) -> None:
    if case.limit.per_invoice is not None:
        return
    allocation = decide(case)

    part = [line for line in allocation.paid if line.amount < line.payable]
    assert part in ([], [*allocation.paid[-1:]])
    # Whoever could still take something has nobody behind who is paid.
    takers = [
        line.amount == line.payable
        for line in allocation.lines
        if oracle.takes_part(case, line.invoice) and line.payable.is_positive
    ]
    assert takers == sorted(takers, reverse=True)


# -- What must not matter ----------------------------------------------------


@given(any_case, st.randoms(use_true_random=False))
@example(NATURAL, None)
def test_the_order_of_the_invoices_does_not_matter(
    case: Case, random: Random | None
) -> None:
    shuffled = case.invoices[::-1]
    if random is not None:
        random.shuffle(shuffled)

    assert decide(case, invoices=shuffled) == decide(case)
    assert decide(case, invoices=iter(shuffled)) == decide(case)


@given(any_case, st.data())
def test_the_same_row_again_counts_once(
    case: Case, data: st.DataObject
) -> None:
    rows = st.sampled_from(case.invoices) if case.invoices else st.nothing()
    again = data.draw(st.lists(rows))
    copies = [attrs.evolve(each) for each in again]

    assert decide(case, invoices=[*copies, *case.invoices]) == decide(case)


@given(any_case)
@with_hazards
def test_what_is_not_owed_changes_nobody_elses_amount(case: Case) -> None:
    owed = [each for each in case.invoices if each.balance.is_positive]

    allocation, without = decide(case), decide(case, invoices=owed)

    assert allocation.total == without.total
    assert [
        line for line in allocation.lines if line.balance.is_positive
    ] == list(without.lines)


@given(any_case)
@with_hazards
def test_what_is_held_back_changes_nobody_elses_amount(case: Case) -> None:
    free = [each for each in case.invoices if oracle.takes_part(case, each)]

    assert minor(decide(case)) == minor(decide(case, invoices=free))


@given(any_case, st.data())
def test_what_is_open_on_other_peoples_invoices_does_not_matter(
    case: Case, data: st.DataObject
) -> None:
    others = data.draw(st.dictionaries(my.numbers, my.money(), max_size=3))
    known = {fold_number(each.number) for each in case.invoices}
    more = {
        number: amount
        for number, amount in others.items()
        if fold_number(number) not in known
    }

    changed = decide(case, open_amounts={**more, **case.open_amounts})

    assert changed == decide(case)


@given(any_case)
def test_nothing_that_was_given_is_changed(case: Case) -> None:
    before = repr(case)

    decide(case)

    assert repr(case) == before


# -- Limits ------------------------------------------------------------------


@given(
    any_case, st.integers(1, 60) | st.integers(1, 10**13), st.integers(0, 40)
)
@example(TOO_BIG, 60_00, 40_00)
@example(TOO_LITTLE, 50, 1)
def test_a_larger_limit_never_pays_an_invoice_less(
    case: Case, per_run: int, more: int
) -> None:
    currency = case.limit.currency
    if case.limit.minimum is not None:
        per_run = max(per_run, case.limit.minimum.amount_minor)

    small, large = (
        minor(
            decide(
                case,
                limit=attrs.evolve(
                    case.limit,
                    per_run=Money(amount_minor=most, currency=currency),
                ),
            )
        )
        for most in (per_run, per_run + more)
    )

    assert small.keys() <= large.keys()
    assert all(large[number] >= gets for number, gets in small.items())


@given(any_case)
def test_paying_what_was_paid_leaves_less_for_the_next_run(case: Case) -> None:
    first = decide(case)
    opened = dict(case.open_amounts)
    for number, amount in first.amounts.items():
        known = opened.get(str(number), Money.zero(case.limit.currency))
        opened[str(number)] = known + amount

    second = decide(case, open_amounts=opened)

    for one, two in zip(first.lines, second.lines, strict=True):
        assert one.amount + two.amount <= one.payable


@given(any_case)
def test_a_plan_carried_out_as_announced_pays_what_was_announced(
    case: Case,
) -> None:
    announced = decide(case)

    carried_out = decide(case, ceilings=announced.amounts)

    assert carried_out.amounts == announced.amounts


@given(any_case, st.data())
def test_no_more_is_taken_than_was_announced(
    case: Case, data: st.DataObject
) -> None:
    announced = decide(case).amounts
    later = [
        attrs.evolve(
            each,
            balance=data.draw(
                my.money(case.limit.currency, least=0, most=10**12)
            ),
            total=None,
        )
        for each in case.invoices
    ]

    taken = decide(case, invoices=later, ceilings=announced).amounts

    assert taken.keys() <= announced.keys()
    assert all(taken[number] <= announced[number] for number in taken)


@pytest.mark.parametrize(
    ("limits", "spent", "total", "bound"),
    [
        ({"per_month": "80"}, ("30", "30"), "50.00", "PER_MONTH"),
        ({"per_month": "80"}, ("80", "90"), "0.00", "PER_MONTH"),
        ({"per_month": "80"}, ("81", "90"), "0.00", "PER_MONTH"),
        ({"lifetime": "80"}, ("0", "79.99"), "0.01", "LIFETIME"),
        ({"lifetime": "80"}, ("0", "500"), "0.00", "LIFETIME"),
        (
            {"per_month": "80", "lifetime": "70"},
            ("0", "0"),
            "70.00",
            "LIFETIME",
        ),
        ({"per_run": "20", "per_month": "20"}, ("0", "0"), "20.00", "PER_RUN"),
        ({"per_invoice": "15"}, None, "30.00", None),
        ({"per_run": "20", "per_invoice": "15"}, None, "20.00", "PER_RUN"),
        ({}, None, "200.00", None),
    ],
)
def test_the_smallest_limit_counts_and_is_named(
    limits: dict[str, str],
    spent: tuple[str, str] | None,
    total: str,
    bound: str | None,
) -> None:
    caps: dict[str, Any] = {name: usd(text) for name, text in limits.items()}
    limit = Limit(currency="USD", **caps)

    allocation = allocate(
        [invoice("INV-1", "100.00"), invoice("INV-2", "100.00")],
        limit,
        spent=spent and Spent(month=usd(spent[0]), lifetime=usd(spent[1])),
    )

    assert allocation.total == usd(total)
    name = allocation.bound_by and allocation.bound_by.name
    assert name == bound


def test_an_invoice_above_the_limit_per_invoice_holds_nobody_up() -> None:
    allocation = allocate(
        [invoice("INV-1", "100.00"), invoice("INV-2", "40.00")],
        Limit.all("USD", per_invoice=usd("50.00"), whole_invoices=True),
    )

    assert [(line.amount, line.reason) for line in allocation.lines] == [
        (usd("0.00"), Reason.WHOLE_INVOICES),
        (usd("40.00"), Reason.PAID),
    ]


def test_an_invoice_that_does_not_fit_holds_up_those_that_would() -> None:
    assert [line.reason for line in decide(TOO_BIG).lines] == [
        Reason.PAID,
        Reason.WHOLE_INVOICES,
        Reason.WAITS_FOR_OLDER,
    ]


def test_below_the_minimum_nothing_is_paid_and_every_line_says_why() -> None:
    allocation = allocate(
        [
            invoice("INV-1", "0.30"),
            invoice("INV-2", "0.30"),
            invoice("INV-3", "0.30"),
            invoice("INV-4", "0.00"),
        ],
        Limit.up_to(usd("0.40")),
        minimum=usd("0.50"),
    )

    assert allocation.total == usd("0.00")
    assert [line.reason for line in allocation.lines] == [
        Reason.BELOW_MINIMUM,
        Reason.BELOW_MINIMUM,
        Reason.LIMIT_REACHED,
        Reason.NOTHING_OWED,
    ]


def test_exactly_the_minimum_is_charged() -> None:
    owed = [invoice("INV-1", "0.50")]
    limit = Limit.all("USD", minimum=usd("0.50"))

    assert allocate(owed, limit).total == usd("0.50")
    assert allocate(owed, limit, minimum=usd("0.51")).total == usd("0.00")


def test_exactly_the_maximum_is_charged() -> None:
    owed = [invoice("INV-1", "0.50")]

    allocation = allocate(owed, Limit.all("USD"), maximum=usd("0.50"))

    assert allocation.total == usd("0.50")


# -- Why ---------------------------------------------------------------------


@given(any_case)
@with_hazards
def test_every_reason_is_true(case: Case) -> None:
    for line in decide(case).lines:
        assert line.reason in oracle.may_say(
            case, line.invoice, line.amount.amount_minor
        )


@given(any_case)
@with_hazards
def test_every_amount_follows_from_the_fields_of_its_line_and_those_before(
    case: Case,
) -> None:
    allocation = decide(case)
    left = allocation.available
    for line in allocation.lines:
        assert line.payable.amount_minor == max(
            0, line.balance.amount_minor - line.open.amount_minor
        )
        most = line.payable
        if line.ceiling is not None:
            most = min(most, line.ceiling)
        if left is not None:
            most = min(most, left)
        match line.reason:
            case (
                Reason.PAID
                | Reason.PART_PAID
                | Reason.PER_INVOICE_LIMIT
                | Reason.ANNOUNCED_LIMIT
            ):
                assert line.amount == most
            case Reason.LIMIT_REACHED:
                assert most.is_zero or allocation.total.is_zero
            case Reason.WHOLE_INVOICES:
                assert most < line.payable or allocation.total.is_zero
            case _:
                assert line.amount.is_zero
        if left is not None:
            left -= line.amount


WHY: list[tuple[Invoice, dict[str, Any], str, Reason]] = [
    (invoice("I", "10"), {}, "10", Reason.PAID),
    (invoice("I", "10"), {"limit": "4"}, "4", Reason.PART_PAID),
    (invoice("I", "10"), {"per_invoice": "4"}, "4", Reason.PER_INVOICE_LIMIT),
    (invoice("I", "10"), {"announced": "4"}, "4", Reason.ANNOUNCED_LIMIT),
    (
        invoice("I", "10"),
        {"announced": "4", "per_invoice": "4"},
        "4",
        Reason.PER_INVOICE_LIMIT,
    ),
    (
        invoice("I", "10"),
        {"announced": "3", "per_invoice": "4"},
        "3",
        Reason.ANNOUNCED_LIMIT,
    ),
    (invoice("I", "10"), {"announced": "0"}, "0", Reason.NOT_ANNOUNCED),
    (invoice("I", "10"), {"announced": "12"}, "10", Reason.PAID),
    (invoice("I", "10"), {"open": "9.99"}, "0.01", Reason.PAID),
    (invoice("I", "10"), {"open": "10"}, "0", Reason.COVERED_BY_OPEN),
    (invoice("I", "10"), {"open": "10.01"}, "0", Reason.OVER_POSTED),
    (invoice("I", "0"), {"open": "0.01"}, "0", Reason.OVER_POSTED),
    (invoice("I", "0"), {}, "0", Reason.NOTHING_OWED),
    (invoice("I", "-10"), {}, "0", Reason.CREDIT_BALANCE),
    (invoice("I", "-10"), {"open": "1"}, "0", Reason.CREDIT_BALANCE),
    (
        invoice("I", "10", issued_on=date(2026, 2, 2)),
        {"as_of": date(2026, 2, 1)},
        "0",
        Reason.NOT_YET_ISSUED,
    ),
    (
        invoice("I", "10", issued_on=date(2026, 2, 1)),
        {"as_of": date(2026, 2, 1)},
        "10",
        Reason.PAID,
    ),
    (
        invoice("I", "10", account=AccountKind.TRUST),
        {},
        "0",
        Reason.OTHER_ACCOUNT,
    ),
    (
        invoice("I", "10", account=AccountKind.TRUST),
        {"account": AccountKind.TRUST},
        "10",
        Reason.PAID,
    ),
    (
        invoice("I", "10", total=usd("9.99")),
        {},
        "0",
        Reason.BALANCE_EXCEEDS_TOTAL,
    ),
    (invoice("I", "10", total=usd("10")), {}, "10", Reason.PAID),
    (
        invoice("I", "-5", total=usd("-10")),
        {},
        "0",
        Reason.CREDIT_BALANCE,
    ),
    (invoice("I", "10"), {"ended": {"I"}}, "0", Reason.ENROLLMENT_ENDED),
    *(
        (
            invoice("I", "10", status=status),
            {},
            "0",
            Reason.UNKNOWN_STATUS
            if status is InvoiceStatus.UNKNOWN
            else Reason(status.value),
        )
        for status in InvoiceStatus
        if status is not InvoiceStatus.OPEN
    ),
]


@pytest.mark.parametrize(("owed", "given", "amount", "reason"), WHY)
def test_a_line_says_why(
    owed: Invoice, given: dict[str, Any], amount: str, reason: Reason
) -> None:
    limit = Limit(
        currency="USD",
        per_run=usd(given.get("limit", "1000")),
        per_invoice=usd(given["per_invoice"])
        if "per_invoice" in given
        else None,
    )

    [line] = allocate(
        [owed],
        limit,
        open_amounts={"I": usd(given["open"])} if "open" in given else {},
        as_of=given.get("as_of"),
        account=given.get("account", AccountKind.OPERATING),
        ended=given.get("ended", frozenset()),
        ceilings={"I": usd(given["announced"])}
        if "announced" in given
        else None,
    ).lines

    assert (line.amount, line.reason) == (usd(amount), reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_text_of_its_own(reason: Reason) -> None:
    assert reason.text
    assert [each for each in Reason if each.text == reason.text] == [reason]


def test_a_line_reads_as_a_sum() -> None:
    [line] = allocate(
        [invoice("INV-7", "1200.00")],
        Limit.all("USD"),
        open_amounts={"INV-7": usd("20.00")},
    ).lines

    assert str(line) == (
        "INV-7: USD 1,200.00 owed - USD 20.00 on its way = USD 1,180.00 "
        "payable; USD 1,180.00 paid: paid in full"
    )


# -- Order -------------------------------------------------------------------


@given(my.numbers | my.crowded_numbers, my.numbers | my.crowded_numbers)
@example("INV-9", "INV-10")
@example("INV-09", "INV-9")
@example("9", "A")
@example("A", "A1")
@example("A1", "A-")
@example("9" * 5_000, "1" + "0" * 5_000)
@example("٣", "٢")
@example("²", "1")
def test_numbers_are_in_natural_order(left: str, right: str) -> None:
    one, two = natural_key(left), natural_key(right)

    assert (one > two) - (one < two) == oracle.compare_numbers(left, right)
    assert (one == two) == (left == right)


@given(
    my.ledgers(crowded=True) | my.ledgers(),
    st.sampled_from(Order),
)
def test_the_order_of_payment_is_total(
    ledger: list[Invoice], order: Order
) -> None:
    def compare(left: Invoice, right: Invoice) -> int:
        return oracle.compare_invoices(left, right, order)

    ordered = sorted(ledger, key=cmp_to_key(compare))

    assert sorted(ledger, key=sort_key(order)) == ordered
    assert [
        line.invoice
        for line in allocate(
            ledger,
            Limit.all("USD"),
            order=order,
            distinct=my.told_apart(each.number for each in ledger),
        ).lines
    ] == ordered


def test_a_date_of_another_library_takes_its_place() -> None:
    pendulum = pytest.importorskip("pendulum")
    mixed = [
        invoice("INV-3", "1", issued_on=pendulum.date(2026, 1, 3)),
        invoice("INV-2", "1", issued_on=date(2026, 1, 2)),
        invoice("INV-1", "1", issued_on=pendulum.date(2026, 1, 1)),
    ]

    allocation = allocate(
        mixed, Limit.all("USD"), as_of=pendulum.date(2026, 1, 2)
    )

    assert list(allocation.amounts) == ["INV-1", "INV-2"]


# -- What cannot be relied on (L5, M3) ---------------------------------------


def lost(number: str | None, client: str | None = "C-1") -> UnreadableRow:
    return UnreadableRow(
        number=number,
        client=client,
        code="AmountFormat",
        where=f"f.csv:7:{number}",
    )


def left_out(allocation: Allocation) -> list[tuple[str | None, str]]:
    return [(each.number, each.code) for each in allocation.left_out]


OWED = [invoice("INV-1", "10.00"), invoice("INV-2", "20.00")]


@given(any_case, st.data())
def test_l5_what_is_left_out_changes_nobody_elses_amount(
    case: Case, data: st.DataObject
) -> None:
    """Whatever is wrong with some, the others are paid as without them."""
    picks = st.sampled_from(case.invoices) if case.invoices else st.nothing()
    bad = data.draw(st.lists(picks, unique_by=lambda each: each.number))
    more: list[Invoice] = []
    rows: list[UnreadableRow] = []
    for each in bad:
        if data.draw(st.booleans()):
            more.append(attrs.evolve(each, client=f"{each.client}'"[-128:]))
        else:
            rows.append(lost(each.number))
    gone = {each.number for each in bad}
    good = [each for each in case.invoices if each.number not in gone]

    found = decide(
        case,
        invoices=data.draw(st.permutations([*case.invoices, *more])),
        unreadable=data.draw(st.permutations(rows)),
    )

    without = decide(case, invoices=good)
    assert minor(found) == minor(without)
    assert found.lines == without.lines
    assert {each.number for each in found.left_out} == gone
    assert [each.number for each in found.left_out] == sorted(
        gone, key=natural_key
    )


@given(my.ledgers(crowded=True), st.data())
def test_l5_look_alikes_are_left_out_unless_a_person_told_them_apart(
    ledger: list[Invoice], data: st.DataObject
) -> None:
    numbers = {each.number for each in ledger}
    pairs = my.told_apart(numbers)
    said = data.draw(
        st.frozensets(st.sampled_from(sorted(pairs, key=sorted)))
        if pairs
        else st.just(frozenset[frozenset[str]]())
    )
    unclear = {number for pair in pairs - said for number in pair}

    found = allocate(
        data.draw(st.permutations(ledger)), Limit.all("USD"), distinct=said
    )

    assert {each.number for each in found.left_out} == unclear
    assert {each.code for each in found.left_out} <= {"AmbiguousInvoiceId"}
    assert found.lines == (
        allocate(
            [each for each in ledger if each.number not in unclear],
            Limit.all("USD"),
            distinct=pairs,
        ).lines
    )


def test_l5_whom_a_person_told_apart_from_others_is_not_told_apart_here() -> (
    None
):
    rows = [*OWED, invoice("INV-01", "30.00")]
    others = frozenset(
        frozenset({number, f"X-{place}"})
        for number in ("INV-1", "INV-01")
        for place in range(3)
    )

    found = allocate(rows, Limit.all("USD"), distinct=others)

    assert minor(found) == {"INV-2": 20_00}


def test_l5_rows_that_contradict_each_other_are_left_out() -> None:
    other = attrs.evolve(OWED[0], balance=usd("11"))

    for rows in ([*OWED, other], [other, *OWED], [other, *OWED, other]):
        found = allocate(rows, Limit.all("USD"))

        assert minor(found) == {"INV-2": 20_00}
        assert found.left_out == (
            LeftOut(number="INV-1", client="C-1", code="ConflictingInvoice"),
        )


def test_l5_whose_invoice_it_is_may_be_what_two_rows_disagree_about() -> None:
    other = attrs.evolve(OWED[0], client="C-2")

    [found] = allocate([other, *OWED], Limit.all("USD")).left_out

    assert (found.number, found.client) == ("INV-1", None)


@pytest.mark.parametrize(
    "changed",
    [
        {"due_on": date(2026, 2, 1)},
        {"matter": "M-2"},
        {"matters": ("M-1", "M-2")},
        {"total": usd("10")},
        {"balance": usd("10.01")},
        {"status": InvoiceStatus.ON_HOLD},
    ],
)
def test_l5_every_difference_is_a_contradiction(
    changed: dict[str, Any],
) -> None:
    other = attrs.evolve(OWED[0], **changed)

    assert left_out(allocate([OWED[0], other], Limit.all("USD"))) == [
        ("INV-1", "ConflictingInvoice")
    ]


def test_l5_an_unreadable_row_keeps_its_own_invoice_back() -> None:
    rows = [lost("INV-2"), lost("INV-3"), lost(None), lost("inv-01", None)]

    found = allocate(OWED, Limit.all("USD"), unreadable=rows)

    assert found.lines == ()
    assert left_out(found) == [
        (None, "AmountFormat"),
        ("INV-1", "AmbiguousInvoiceId"),
        ("INV-2", "AmountFormat"),
        ("INV-3", "AmountFormat"),
        ("inv-01", "AmountFormat"),
    ]
    assert [each.client for each in found.left_out] == [
        "C-1",
        "C-1",
        "C-1",
        "C-1",
        None,
    ]
    assert found.left_out[2].where == "f.csv:7:INV-2"


def test_what_was_left_out_is_told_in_words() -> None:
    told = [
        str(each)
        for each in allocate(
            [*OWED, attrs.evolve(OWED[0], matter="M-2")],
            Limit.all("USD"),
            unreadable=[lost(None)],
        ).left_out
    ]

    assert told == [
        "an invoice without a number: left out, AmountFormat (f.csv:7:None)",
        "INV-1: left out, ConflictingInvoice",
    ]


@pytest.mark.parametrize("name", ["open_amounts", "ended", "barred"])
@pytest.mark.parametrize("number", ["inv-1", "INV-01", "INV-1\u00a0"])
def test_b2_a_number_that_only_looks_like_one_with_open_money_gets_nothing(
    name: str, number: str
) -> None:
    given: dict[str, Any] = {
        "open_amounts": {number: usd("10")},
        "ended": {number},
        "barred": {number: Reason.ON_HOLD},
    }

    found = allocate(OWED, Limit.all("USD"), **{name: given[name]})

    assert minor(found) == {"INV-2": 20_00}
    assert found.lines[0].reason is Reason.LOOKS_ALIKE
    told = frozenset({frozenset({number, "INV-1"})})
    found = allocate(
        OWED, Limit.all("USD"), distinct=told, **{name: given[name]}
    )
    assert minor(found) == {"INV-1": 10_00, "INV-2": 20_00}


def test_b2_a_look_alike_of_which_nothing_is_open_keeps_nothing_back() -> None:
    found = allocate(OWED, Limit.all("USD"), open_amounts={"inv-1": usd("0")})

    assert minor(found) == {"INV-1": 10_00, "INV-2": 20_00}


def test_b2_money_on_its_way_to_one_of_two_that_were_told_apart() -> None:
    rows = [*OWED, invoice("INV-01", "30.00")]
    told = frozenset({frozenset({"INV-01", "INV-1"})})

    found = allocate(
        rows,
        Limit.all("USD"),
        distinct=told,
        open_amounts={"INV-1": usd("10"), "inv-1": usd("1")},
    )

    assert {str(line.invoice.number): line.reason for line in found.lines} == {
        # Both may be what INV-1 in small letters is.
        "INV-01": Reason.LOOKS_ALIKE,
        "INV-1": Reason.LOOKS_ALIKE,
        "INV-2": Reason.PAID,
    }


@given(any_case, st.data())
def test_l4_what_is_barred_gets_nothing_and_changes_no_other_amount(
    case: Case, data: st.DataObject
) -> None:
    numbers = [each.number for each in case.invoices]
    reasons = st.sampled_from(
        [Reason.ON_HOLD, Reason.BALANCE_UNEXPECTED, Reason.TAKES_PLACE]
    )
    barred = data.draw(
        st.dictionaries(
            st.sampled_from(numbers) if numbers else st.nothing(), reasons
        )
    )

    found = decide(case, barred=barred)

    free = [each for each in case.invoices if each.number not in barred]
    assert minor(found) == minor(decide(case, invoices=free))
    assert {
        line.invoice.number: line.reason
        for line in found.lines
        if line.invoice.number in barred
    } == barred
    assert decide(case, barred=None) == decide(case, barred={})


@given(any_case, st.data())
def test_m3_an_invoice_in_another_currency_changes_nobody_elses_amount(
    case: Case, data: st.DataObject
) -> None:
    other = data.draw(
        my.currencies.filter(lambda each: each != case.limit.currency)
    )
    more = [
        attrs.evolve(each, number=f"X{place}{other}")
        for place, each in enumerate(data.draw(my.ledgers(currency=other)))
    ]
    more = [each for each in more if each.number not in case.open_amounts]

    found = decide(
        case,
        invoices=data.draw(st.permutations([*case.invoices, *more])),
        distinct=my.told_apart(
            each.number for each in [*case.invoices, *more]
        ),
    )

    assert minor(found) == minor(decide(case))
    lines = {line.invoice.number: line for line in found.lines}
    for each in more:
        line = lines[each.number]
        assert line.reason is Reason.OTHER_CURRENCY
        assert line.amount == Money.zero(other)
        assert line.payable == max(Money.zero(other), each.balance)


def test_m3_open_money_counts_in_the_currency_of_its_invoice() -> None:
    euro = attrs.evolve(OWED[1], balance=Money.of("5", "EUR"))

    found = allocate(
        [OWED[0], euro],
        Limit.all("USD"),
        open_amounts={"INV-2": Money.of("2", "EUR")},
    )

    assert [line.payable for line in found.lines] == [
        usd("10"),
        Money.of("3", "EUR"),
    ]


def test_m3_an_invoice_that_changed_its_currency_is_left_out() -> None:
    found = allocate(
        OWED,
        Limit.all("USD"),
        open_amounts={"INV-1": Money.of("2", "EUR")},
    )

    assert minor(found) == {"INV-2": 20_00}
    assert left_out(found) == [("INV-1", "CurrencyMismatch")]
