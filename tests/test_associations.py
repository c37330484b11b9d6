"""Who may see and pay what (A1 to A6)."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

import strategies as my
from autopay_core.associations import (
    Association,
    InvoicePage,
    InvoiceQuery,
    Level,
    associate,
    check_covered,
    check_owned,
    covered,
    covers,
    split_covered,
    split_unreadable,
    visible,
)
from autopay_core.errors import ForeignInvoiceError, InvalidValueError
from autopay_core.invoices import Invoice, SearchResult, UnreadableRow
from autopay_core.money import Money

# Both sides from one domain: in the crowded one, most of what is held names
# some of the numbers of an invoice and not the others.
worlds = st.tuples(
    st.lists(my.invoices(crowded=True, number="INV-1"), min_size=1)
    | st.lists(my.invoices(crowded=True), min_size=1),
    st.lists(my.associations(), min_size=1),
) | st.tuples(
    st.lists(my.invoices(), max_size=8),
    st.lists(my.associations(crowded=False), max_size=5),
)


def bill(client: str, matter: str, number: str) -> Invoice:
    return Invoice(
        number=number,
        client=client,
        matter=matter,
        issued_on=date(2026, 1, 5),
        balance=Money.of("1", "USD"),
    )


NAMESAKES = (
    [bill("C-1", "M-1", "INV-1"), bill("C-2", "M-1", "INV-2")],
    [Association.to_matter(payer="p-1", client="C-1", matter="M-1")],
)
"""Two clients have a matter of the same number."""

SOMEBODY_ELSES = (
    [
        bill("C-1", "M-1", "INV-1"),
        bill("C-1", "M-2", "INV-1"),
        bill("C-2", "M-1", "INV-1"),
    ],
    [
        Association.to_invoice(
            payer="p-1", client="C-1", matter="M-1", invoice="INV-1"
        )
    ],
)
"""An invoice's number does not say whose it is."""

World = tuple[list[Invoice], list[Association]]


def is_below(association: Association, invoice: Invoice) -> bool:
    """Tell by the words of A1 whether *association* covers *invoice*."""
    given = [association.client, association.matter, association.invoice]
    named = [each for each in given if each is not None]
    paths = [
        [invoice.client, matter, invoice.number][: len(named)] == named
        for matter in invoice.matters or [invoice.matter]
    ]
    # A matter covers a bill only if the bill names no other.
    return all(paths) if association.level is Level.MATTER else any(paths)


def is_covered(invoice: Invoice, associations: list[Association]) -> bool:
    """Tell by the words of A1 whether *associations* cover *invoice*."""
    if any(is_below(each, invoice) for each in associations):
        return True
    return any(
        all(
            Association.to_matter(
                payer=payer, client=invoice.client, matter=matter
            )
            in associations
            for matter in invoice.matters or [invoice.matter]
        )
        for payer in {str(each.payer) for each in associations}
    )


# -- What is covered (A1 to A4) ----------------------------------------------


@given(my.associations(), my.invoices(crowded=True))
def test_an_association_covers_everything_below_it(
    association: Association, invoice: Invoice
) -> None:
    assert covers(association, invoice) == is_below(association, invoice)
    depth = [association.matter, association.invoice]
    assert (
        association.level
        is [Level.CLIENT, Level.MATTER, Level.INVOICE][
            sum(each is not None for each in depth)
        ]
    )


@given(my.invoices() | my.invoices(crowded=True))
def test_the_three_levels_above_an_invoice_cover_it(invoice: Invoice) -> None:
    client, matter = invoice.client, invoice.matter
    ties = [
        Association.to_client(payer="p", client=client),
        Association.to_matter(payer="p", client=client, matter=matter),
        Association.to_invoice(
            payer="p", client=client, matter=matter, invoice=invoice.number
        ),
    ]

    assert [each.level for each in ties] == list(Level)
    assert [covers(each, invoice) for each in ties] == [
        True,
        len(invoice.every_matter) == 1,
        True,
    ]
    # Overlap is normal: it is there once (A4).
    assert visible([invoice], [*ties, *ties]) == (invoice,)


@given(worlds)
@example(([], []))
@example(NAMESAKES)
@example(SOMEBODY_ELSES)
def test_what_is_visible_is_what_some_association_covers(world: World) -> None:
    invoices, associations = world
    expected = tuple(
        invoice for invoice in invoices if is_covered(invoice, associations)
    )

    assert visible(invoices, associations) == expected
    assert visible(iter(invoices), iter(associations)) == expected


@given(worlds)
def test_no_associations_means_nothing(world: World) -> None:
    assert visible(world[0], []) == ()


@given(worlds, my.associations())
def test_another_association_never_hides_anything(
    world: World, another: Association
) -> None:
    invoices, associations = world

    before = visible(invoices, associations)
    after = visible(invoices, [another, *associations])

    assert set(before) <= set(after)


@given(worlds)
@example(NAMESAKES)
@example(SOMEBODY_ELSES)
def test_a_row_that_nobody_asked_for_is_refused_and_not_shown(
    world: World,
) -> None:
    invoices, associations = world
    foreign = [
        place
        for place, invoice in enumerate(invoices)
        if not is_covered(invoice, associations)
    ]
    assert split_covered(iter(invoices), iter(associations)) == (
        tuple(e for at, e in enumerate(invoices) if at not in foreign),
        tuple(invoices[at] for at in foreign),
    )
    assert [
        at
        for at, each in enumerate(invoices)
        if not covered(each, associations)
    ] == foreign
    if not foreign:
        check_covered(invoices, associations)
        return

    with pytest.raises(ForeignInvoiceError) as caught:
        check_covered(invoices, associations)

    assert caught.value.code == "ForeignInvoice"
    assert caught.value.path == f"invoices[{foreign[0]}]"
    assert caught.value.safe_value == "None"


SEVERAL = attrs.evolve(
    bill("C-1", "M-1", "INV-1"), matters=("M-1", "M-2", "M-3")
)


def to_matter(matter: str, payer: str = "p-1") -> Association:
    return Association.to_matter(payer=payer, client="C-1", matter=matter)


def test_a1_a_bill_of_several_matters_is_covered_by_all_of_them_together() -> (
    None
):
    matters = [to_matter(each) for each in ("M-3", "M-1", "M-2")]

    assert covered(SEVERAL, matters)
    assert visible([SEVERAL], matters) == (SEVERAL,)
    for place in range(3):
        assert not covers(matters[place], SEVERAL)
        fewer = [*matters[:place], *matters[place + 1 :]]
        assert not covered(SEVERAL, fewer)
        # What two payers hold never adds up.
        other = to_matter(str(matters[place].matter), "p-2")
        assert not covered(SEVERAL, [*fewer, other])


@pytest.mark.parametrize("matter", ["M-1", "M-2", "M-3", "M-4"])
def test_a1_a_bill_of_several_matters_has_its_number_under_each(
    matter: str,
) -> None:
    one = Association.to_invoice(
        payer="p-1", client="C-1", matter=matter, invoice="INV-1"
    )

    assert covers(one, SEVERAL) == (matter != "M-4")
    assert covered(SEVERAL, [one]) == (matter != "M-4")


KNOWN = UnreadableRow(
    number="INV-1",
    client="C-1",
    code="AmountFormat",
    where="f.csv:2:Balance",
    matter="M-1",
)


@pytest.mark.parametrize(
    ("row", "levels"),
    [
        (KNOWN, "CMI"),
        (attrs.evolve(KNOWN, number=None), "CM"),
        (attrs.evolve(KNOWN, matter=None), "C"),
        (attrs.evolve(KNOWN, matter=None, number=None), "C"),
        (attrs.evolve(KNOWN, client=None), ""),
        (attrs.evolve(KNOWN, client="C-2"), ""),
        (attrs.evolve(KNOWN, matter="M-2"), "C"),
        (attrs.evolve(KNOWN, number="INV-2"), "CM"),
    ],
)
def test_a2_what_is_not_known_of_a_row_may_be_another_payers(
    row: UnreadableRow, levels: str
) -> None:
    ties = {
        "C": Association.to_client(payer="p-1", client="C-1"),
        "M": to_matter("M-1"),
        "I": Association.to_invoice(
            payer="p-1", client="C-1", matter="M-1", invoice="INV-1"
        ),
    }

    for level, tie in ties.items():
        ours, others = split_unreadable([row], [tie])
        assert (len(ours), len(others)) == (
            (1, 0) if level in levels else (0, 1)
        )


@pytest.mark.parametrize("wildcard", ["*", "%", "null", "../", "C-?", "C-1 "])
def test_a_wildcard_is_a_literal(wildcard: str) -> None:
    association = Association.to_client(payer="p", client=wildcard)
    other = bill("C-1", "M-1", "INV-1")

    assert not covers(association, other)
    assert visible([other], [association]) == ()


# -- Making them (A6) --------------------------------------------------------


@given(my.associations())
def test_what_was_found_is_what_is_tied(found: Association) -> None:
    result = SearchResult(
        client=found.client,
        client_name="Acme",
        matter=found.matter,
        invoice=found.invoice,
    )

    assert associate("p-1", result) == found


@given(my.associations(crowded=False))
def test_an_association_reads_back(association: Association) -> None:
    names = {"Association": Association}

    assert eval(repr(association), names) == association  # noqa: S307


def refusal(action: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidValueError) as caught:
        action(**fields)
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"payer": "", "client": "C"}, "payer"),
        ({"payer": "p", "client": ""}, "client"),
        ({"payer": "p", "client": "C", "matter": ""}, "matter"),
        (
            {"payer": "p", "client": "C", "matter": "M", "invoice": ""},
            "invoice",
        ),
        ({"payer": "p", "client": "C", "invoice": "I"}, "matter"),
    ],
)
def test_an_association_checks_its_fields(
    fields: dict[str, Any], path: str
) -> None:
    assert refusal(Association, **fields) == ("FieldMissing", path)


def test_a_level_needs_its_numbers() -> None:
    missing: Any = None

    assert refusal(
        Association.to_matter, payer="p", client="C", matter=missing
    ) == ("FieldMissing", "matter")
    assert refusal(
        Association.to_invoice,
        payer="p",
        client="C",
        matter=missing,
        invoice="I",
    ) == ("FieldMissing", "matter")
    assert refusal(
        Association.to_invoice,
        payer="p",
        client="C",
        matter="M",
        invoice=missing,
    ) == ("FieldMissing", "invoice")


# -- Asking for invoices (A2) ------------------------------------------------


@given(worlds)
def test_a_query_holds_its_payers_associations(world: World) -> None:
    associations = world[1]
    query = InvoiceQuery(payer="p-1", associations=tuple(associations))

    assert list(query.associations) == associations


def test_a_query_refuses_what_belongs_to_somebody_else() -> None:
    mine = Association.to_client(payer="p-1", client="C-1")
    theirs = Association.to_client(payer="p-2", client="C-1")

    check_owned([mine], "p-1", "enrollments")
    assert refusal(InvoiceQuery, payer="p-1", associations=(mine, theirs)) == (
        "AssociationOwnership",
        "associations[1].payer",
    )
    assert refusal(InvoiceQuery, payer="p-1", associations=[mine]) == (
        "FieldType",
        "associations",
    )
    assert refusal(InvoiceQuery, payer=None, associations=()) == (
        "FieldMissing",
        "payer",
    )


@given(worlds)
def test_a_page_holds_invoices_only(world: World) -> None:
    invoices = world[0]
    page = InvoicePage(invoices=tuple(invoices))

    assert list(page.invoices) == invoices
    assert refusal(InvoicePage, invoices=(*invoices, None))[1] == (
        f"invoices[{len(invoices)}]"
    )
