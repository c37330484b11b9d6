"""One whole read of the matter data: joined, checked, never empty by error."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

import strategies as my
from autopay_core.associations import Association, InvoicePage
from autopay_core.errors import IncompleteReadError, InvalidValueError
from autopay_core.invoices import Invoice, UnreadableRow
from autopay_core.money import Money
from autopay_core.reads import (
    UNREADABLE_MOST,
    InvoiceRead,
    check_readable,
    join_pages,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = Association.to_client(payer="p-1", client="C-1")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def bill(number: str, client: str = "C-1", **fields: Any) -> Invoice:
    fields.setdefault("balance", Money.of("10", "USD"))
    return Invoice(
        number=number,
        client=client,
        matter="M-1",
        issued_on=date(2026, 1, 5),
        **fields,
    )


def lost(
    place: int, client: str | None = None, **fields: Any
) -> UnreadableRow:
    usual: dict[str, Any] = {
        "number": None,
        "code": "AmountFormat",
        "where": f"f.csv:{place}:Balance",
    }
    return UnreadableRow(client=client, **(usual | fields))


def page(*invoices: Invoice, **fields: Any) -> InvoicePage:
    return InvoicePage(invoices=invoices, **fields)


def refusal(*pages: InvoicePage, **options: Any) -> str:
    with pytest.raises(IncompleteReadError) as caught:
        join_pages(pages, [WHOLE], **options)
    return caught.value.code


ONE, TWO = bill("INV-1"), bill("INV-2")


# -- What a page may say -----------------------------------------------------


def test_a_page_of_the_first_edition_says_only_what_it_said() -> None:
    read = join_pages([InvoicePage(invoices=(ONE,), total=1)], [WHOLE])

    assert read == InvoiceRead(invoices=(ONE,))
    assert repr(read).startswith("InvoiceRead(invoices=(Invoice(")


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"stated_at": "2026-01-31"}, "FieldType", "stated_at"),
        (
            {"stated_at": NOON.replace(tzinfo=None)},
            "NaiveDatetime",
            "stated_at",
        ),
        ({"row_count": -1}, "OutOfRange", "row_count"),
        ({"row_count": True}, "FieldType", "row_count"),
        ({"source_rows": 1.0}, "FieldType", "source_rows"),
        ({"control_total": 10}, "AmountType", "control_total"),
        ({"unreadable": [lost(2)]}, "FieldType", "unreadable"),
        ({"unreadable": (ONE,)}, "FieldType", "unreadable[0]"),
    ],
)
def test_a_page_checks_what_it_says(
    fields: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        page(ONE, **fields)

    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"number": "a\x00"}, "ControlCharacter", "number"),
        ({"client": ""}, "FieldMissing", "client"),
        ({"matter": 7}, "FieldType", "matter"),
        ({"code": "amount format"}, "CodeFormat", "code"),
        ({"code": None}, "FieldType", "code"),
        ({"where": None}, "FieldType", "where"),
        ({"detail": 7}, "FieldType", "detail"),
    ],
)
def test_what_a_row_lacks_is_none_and_not_anything_else(
    fields: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        attrs.evolve(lost(2), **fields)

    assert (caught.value.code, caught.value.path) == (code, path)


def test_e3_what_an_unreadable_row_says_is_masked_and_kept() -> None:
    row = lost(2, where="f.csv:2:4111 1111 1111 1111", detail="a\r\nb")

    assert row.where == "f.csv:2:…"
    assert row.detail == "a\\x0d\\x0ab"
    assert eval(repr(row), {"UnreadableRow": UnreadableRow}) == row  # noqa: S307


# -- Joining -----------------------------------------------------------------


@given(
    my.ledgers(crowded=True),
    st.lists(my.associations(), max_size=4),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_pages_are_joined_in_their_order_and_checked_against_what_was_asked(
    ledger: list[Invoice], ties: list[Association], cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(ledger)]
    pages = [
        page(*ledger[start:end]) for start, end in itertools.pairwise(edges)
    ]
    asked = tuple(
        each
        for each in ledger
        if any(
            tie.client == each.client
            and tie.matter in (None, *each.every_matter)
            and tie.invoice in (None, each.number)
            and (tie.matter is None or tie.invoice or not each.matters[1:])
            for tie in ties
        )
        or all(
            Association.to_matter(payer="p-1", client=each.client, matter=one)
            in ties
            for one in each.every_matter
        )
    )
    if ledger and not asked:
        with pytest.raises(IncompleteReadError) as caught:
            join_pages(pages, ties)
        assert caught.value.code == "OnlyForeign"
        return

    read = join_pages(pages, ties)

    assert read.invoices == asked
    assert read.foreign == len(ledger) - len(asked)


def test_a2_a_row_that_nobody_asked_for_is_left_out_and_counted() -> None:
    read = join_pages(
        [page(ONE, bill("INV-9", "C-2")), page(bill("INV-8", "C-2"), TWO)],
        iter([WHOLE]),
    )

    assert read.invoices == (ONE, TWO)
    assert read.foreign == 2


def test_a2_a_read_of_nothing_but_foreign_rows_is_unreadable() -> None:
    assert refusal(page(bill("INV-9", "C-2"))) == "OnlyForeign"
    assert join_pages([page()], [WHOLE]).invoices == ()


def test_a2_a_row_that_is_anothers_is_foreign_however_unreadable() -> None:
    tie = Association.to_matter(payer="p-1", client="C-1", matter="M-1")
    rows = (
        lost(2, "C-1", matter="M-1"),
        lost(3, "C-1"),
        lost(4, None),
        lost(5, None, number="INV-1"),
        lost(6, "C-2", matter="M-1"),
    )

    read = join_pages([page(ONE, unreadable=rows, source_rows=900)], [tie])

    assert read.unreadable == (rows[0], rows[3])
    assert read.unknown == (rows[1], rows[2])
    assert read.foreign == 1


@pytest.mark.parametrize(
    ("moments", "stated"),
    [
        ([None, None], None),
        ([NOON, None], NOON),
        ([NOON + timedelta(hours=1), NOON], NOON),
    ],
)
def test_b0_the_oldest_page_says_for_when_the_balances_hold(
    moments: list[datetime | None], stated: datetime | None
) -> None:
    pages = [page(stated_at=moment) for moment in moments]

    assert join_pages(pages, [WHOLE]).stated_at == stated


# -- What is stated (B3) -----------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "code"),
    [
        ([page(ONE, total=2)], "IncompleteRead"),
        ([page(ONE, total=1), page(TWO, total=2)], "IncompleteRead"),
        ([page(ONE, row_count=2)], "RowCount"),
        ([page(ONE, TWO, row_count=1)], "RowCount"),
        ([page(row_count=1)], "RowCount"),
        ([page(ONE, row_count=1), page(TWO, row_count=2)], "IncompleteRead"),
        ([page(ONE, control_total=Money.of("9.99", "USD"))], "ControlTotal"),
        ([page(control_total=Money.of("10", "USD"))], "ControlTotal"),
        ([page(ONE, control_total=Money.of("10", "EUR"))], "ControlTotal"),
    ],
)
def test_b3_what_does_not_add_up_is_unreadable(
    pages: list[InvoicePage], code: str
) -> None:
    assert refusal(*pages) == code


def test_b3_what_adds_up_is_read() -> None:
    euro = bill("INV-3", balance=Money.of("7", "EUR"))
    stated: dict[str, Any] = {
        "total": 3,
        "row_count": 3,
        "control_total": Money.of("20", "USD"),
    }

    # An invoice on two pages counts once.
    read = join_pages([page(ONE, TWO, **stated), page(TWO, euro)], [WHOLE])

    assert read.invoices == (ONE, TWO, TWO, euro)


def test_b3_an_unreadable_row_is_a_row_and_makes_the_sum_unknown() -> None:
    read = join_pages(
        [
            page(
                ONE,
                unreadable=(lost(2, "C-1"),),
                total=1,
                row_count=2,
                control_total=Money.of("35", "USD"),
            ),
            page(unreadable=(lost(2, "C-1"),)),
        ],
        [WHOLE],
    )

    assert read.unreadable == (lost(2, "C-1"),)


# -- The share of what cannot be read (L5) -----------------------------------


@given(
    st.integers(0, 5_000), st.integers(0, 40), st.integers(0, 40), st.data()
)
@example(100, 1, 0, None)
@example(199, 2, 0, None)
@example(200, 2, 0, None)
@example(5_000, 20, 0, None)
@example(5_000, 21, 0, None)
@example(1, 1, 40, None)
def test_l5_one_row_in_a_hundred_may_be_nobodys_and_twenty_in_all(
    rows: int, unknown: int, known: int, data: st.DataObject | None
) -> None:
    bad: Sequence[UnreadableRow] = [
        *(lost(place) for place in range(unknown)),
        *(lost(place, "C-1") for place in range(known)),
    ]
    if data is not None:
        bad = data.draw(st.permutations(bad))
    # One is always borne; rows whose client is known never count.
    if unknown <= 1 or (unknown <= 20 and unknown <= rows / 100):
        check_readable(rows, bad)
        return

    with pytest.raises(IncompleteReadError) as caught:
        check_readable(rows, bad)

    assert caught.value.code == "UnreadableRows"


def test_l5_the_share_is_that_of_the_source_if_it_says_how_long_it_is() -> (
    None
):
    rows = tuple(lost(place) for place in range(5))

    assert refusal(page(ONE, unreadable=rows)) == "UnreadableRows"
    assert (
        refusal(page(ONE, unreadable=rows, source_rows=499))
        == "UnreadableRows"
    )
    read = join_pages([page(ONE, unreadable=rows, source_rows=500)], [WHOLE])
    assert read.unknown == rows


def test_l5_a_host_may_bear_more_or_less() -> None:
    rows = tuple(lost(place) for place in range(UNREADABLE_MOST + 1))
    many = page(ONE, unreadable=rows, source_rows=10_000)

    assert refusal(many) == "UnreadableRows"
    assert join_pages([many], [WHOLE], most=21).unknown == rows
    few = page(ONE, unreadable=rows[:2], source_rows=10)
    assert refusal(few, percent=19) == "UnreadableRows"
    assert join_pages([few], [WHOLE], percent=20).unknown == rows[:2]
