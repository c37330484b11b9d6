from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from autopay_core.associations import Association, covers
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import SearchBy
from autopay_core.payers import KeptAssociation, Payer, SavedMethod
from worlds import BANK, CARD, DAY, bill, to_client, to_invoice

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY = timedelta(days=1)


def payer(*associations: Association, **more: SavedMethod) -> Payer:
    return Payer(
        id="p1",
        associations=tuple(
            KeptAssociation(association=each) for each in associations
        ),
        methods=tuple(more.values()),
    )


clients = st.sampled_from(["C-1", "C-2"])
matters = st.sampled_from(["M-1", "M-2"])
some = st.one_of(
    st.builds(to_client, clients),
    st.builds(
        lambda client, matter: Association.to_matter(
            payer="p1", client=client, matter=matter
        ),
        clients,
        matters,
    ),
    st.builds(
        lambda client, matter, invoice: Association.to_invoice(
            payer="p1", client=client, matter=matter, invoice=invoice
        ),
        clients,
        matters,
        st.sampled_from(["INV-1", "INV-2"]),
    ),
)


@given(
    st.lists(some, unique=True, max_size=3),
    some,
    clients,
    matters,
    st.sampled_from(["INV-1", "INV-2"]),
)
def test_a1_what_is_covered_shows_no_invoice_that_was_not_associated(
    held: Sequence[Association],
    enrolled: Association,
    client: str,
    matter: str,
    number: str,
) -> None:
    one = bill(number, "1", client=client, matter=matter)

    if payer(*held).covers(enrolled) and covers(enrolled, one):
        assert any(covers(each, one) for each in held)


@given(st.lists(some, unique=True, max_size=3), some)
def test_a7_what_is_associated_itself_is_covered(
    held: Sequence[Association], one: Association
) -> None:
    assert payer(*held, *(() if one in held else (one,))).covers(one)


def test_a3_without_associations_nothing_is_covered() -> None:
    assert not payer().covers(to_client())


def test_a2_another_payers_association_covers_nothing() -> None:
    assert not payer(to_client()).covers(to_client(payer="p2"))
    with pytest.raises(InvalidValueError) as raised:
        payer(to_client(payer="p2"))
    assert raised.value.code == "AssociationOwnership"


def test_an_association_and_a_method_are_there_once() -> None:
    twice = {
        "one": SavedMethod(method=CARD),
        "two": SavedMethod(method=CARD, label="again"),
    }
    with pytest.raises(InvalidValueError) as raised:
        payer(to_client(), to_client())
    assert (raised.value.code, raised.value.path) == (
        "DuplicateValue",
        "associations",
    )
    with pytest.raises(InvalidValueError) as raised:
        payer(**twice)
    assert (raised.value.code, raised.value.path) == (
        "DuplicateValue",
        "methods",
    )


def test_a7_a_method_is_there_until_it_is_removed() -> None:
    gone = SavedMethod(method=BANK, removed_on=DAY)
    one = payer(one=SavedMethod(method=CARD), two=gone)

    assert one.has(CARD, DAY)
    assert one.has(BANK, DAY - _DAY)
    assert not one.has(BANK, DAY)
    assert not one.has(BANK, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("search_by", "text", "path"),
    [(SearchBy.CLIENT_NAME, "", "text"), (None, "harbour", "search_by")],
)
def test_a6_a_criterion_has_a_text(
    search_by: SearchBy | None, text: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as raised:
        KeptAssociation(
            association=to_client(), search_by=search_by, text=text
        )

    assert (raised.value.code, raised.value.path) == ("FieldMissing", path)


def test_a6_each_criterion_is_listed_once() -> None:
    found = [
        KeptAssociation(
            association=each, search_by=SearchBy.INVOICE_NUMBER, text=text
        )
        for each, text in (
            (to_invoice("INV-1"), "INV"),
            (to_invoice("INV-2"), "INV"),
            (to_invoice("INV-3"), "INV-3"),
        )
    ]
    one = Payer(
        id="p1",
        associations=(*found, KeptAssociation(association=to_client())),
    )

    assert one.criteria == (
        (SearchBy.INVOICE_NUMBER, "INV"),
        (SearchBy.INVOICE_NUMBER, "INV-3"),
    )
