"""
The clauses of the matter data and of the notifier.

Holds: `MatterDataContract`, `NotifierContract`. Imports: `_base` and the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Final, TypeAlias

import attrs
import pytest

from autopay_core.associations import (
    Association,
    InvoicePage,
    InvoiceQuery,
)
from autopay_core.errors import InvalidValueError, PortError
from autopay_core.invoices import (
    Invoice,
    SearchBy,
    SearchQuery,
    SearchResult,
)
from autopay_core.ports import MatterData, Notifier
from autopay_core.testing.contracts._base import (
    RACERS,
    Contract,
    at_once,
    invoice,
    notice,
    usd,
)

Seed: TypeAlias = Callable[
    [Sequence[Invoice], Sequence[SearchResult]], MatterData
]
Put: TypeAlias = Callable[[Invoice], None]
Cut: TypeAlias = Callable[[], AbstractContextManager[None]]

NOBODY: Final = frozenset[str]()
_FIRM: Final = (
    invoice("INV-1", 10_00, client="C-1", matter="M-1"),
    invoice("INV-2", 20_00, client="C-1", matter="M-2"),
    invoice("INV-10", 30_00, client="C-1", matter="M-2"),
    invoice("INV-3", 40_00, client="C-2", matter="M-3"),
)
_DIRECTORY: Final = (
    SearchResult(client="C-1", client_name="Acme Holdings"),
    SearchResult(client="C-2", client_name="100% Bakers_"),
    SearchResult(
        client="C-1", matter="M-1", matter_description="Lease of 5 Main St"
    ),
    SearchResult(client="C-1", matter="M-2", matter_description="Merger"),
    SearchResult(client="C-2", matter="M-3", matter_description="Will"),
)


def _name(value: object) -> str | None:
    """Name a case, the same in every process: a set has no order."""
    return None if isinstance(value, frozenset) else str(value)


class MatterDataContract(Contract):
    """
    The clauses of `MatterData`; override the fixtures in a subclass.

    `seed` makes the data of a small firm known to the software and returns
    the adapter that reads it.
    """

    @pytest.fixture
    def seed(self) -> Seed:
        """Return how to make invoices and names known to the software."""
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Put | None:
        """Return how the ledger changes an invoice after `seed`."""
        return None

    @pytest.fixture
    def offline(self) -> Cut | None:
        """Return how to make the software impossible to reach for a while."""
        return None

    @pytest.fixture
    def spoil(self) -> Callable[[], None] | None:
        """Return how to write a cell that cannot be read, after `seed`."""
        return None

    @pytest.fixture
    def matters(self, seed: Seed) -> MatterData:
        """Return the adapter over the small firm."""
        return seed(_FIRM, _DIRECTORY)

    @pytest.mark.parametrize(
        ("association", "numbers"),
        [
            (
                Association.to_client(payer="p1", client="C-1"),
                frozenset({"INV-1", "INV-2", "INV-10"}),
            ),
            (
                Association.to_matter(payer="p1", client="C-1", matter="M-2"),
                frozenset({"INV-2", "INV-10"}),
            ),
            (
                Association.to_invoice(
                    payer="p1", client="C-1", matter="M-1", invoice="INV-1"
                ),
                frozenset({"INV-1"}),
            ),
            # All of client, matter and number have to agree.
            (
                Association.to_matter(payer="p1", client="C-2", matter="M-2"),
                NOBODY,
            ),
            (
                Association.to_invoice(
                    payer="p1", client="C-1", matter="M-2", invoice="INV-1"
                ),
                NOBODY,
            ),
            # Wildcards are literals, and a part of a number is no number.
            (Association.to_client(payer="p1", client="*"), NOBODY),
            (Association.to_client(payer="p1", client="C-%"), NOBODY),
            (Association.to_client(payer="p1", client="C"), NOBODY),
            (Association.to_client(payer="p1", client="c-1"), NOBODY),
            (Association.to_client(payer="p1", client="' OR '1'='1"), NOBODY),
        ],
        ids=_name,
    )
    def test_md_1_only_what_an_association_covers_is_returned(
        self,
        matters: MatterData,
        association: Association,
        numbers: frozenset[str],
    ) -> None:
        """MD-1: by client, by matter, by invoice; nothing besides."""
        found = _read(matters, association)

        assert {each.number for each in found} == numbers

    def test_md_1_what_two_associations_cover_comes_back_as_one_invoice(
        self, matters: MatterData
    ) -> None:
        """MD-1: a row may come twice if it is equal."""
        found = _read(
            matters,
            Association.to_client(payer="p1", client="C-1"),
            Association.to_matter(payer="p1", client="C-1", matter="M-1"),
        )

        assert len(found) == 3

    def test_md_2_following_the_pages_gives_every_invoice(
        self, seed: Seed
    ) -> None:
        """MD-2: also when they fill more than one page."""
        every = [invoice(f"INV-{place}", place + 1) for place in range(537)]
        matters = seed(every, ())

        found = _read(matters, Association.to_client(payer="p1", client="C-1"))

        assert {each.number for each in found} == {
            each.number for each in every
        }

    def test_md_3_amounts_are_exact(self, seed: Seed) -> None:
        """MD-3: to the cent, whatever is in between."""
        cents = [1, 10, 1_999, 2_890, 113_999, 99_999_999_99, 7_000_000_01]
        matters = seed([invoice(f"INV-{each}", each) for each in cents], ())

        found = _read(matters, Association.to_client(payer="p1", client="C-1"))

        assert {each.number: each.balance for each in found} == {
            f"INV-{each}": usd(each) for each in cents
        }

    def test_md_3_dates_and_owners_are_as_they_stand(self, seed: Seed) -> None:
        """MD-3: what decides order and owner is not changed on the way."""
        given = attrs.evolve(
            invoice("INV-007", 10_00, client="01-Ä", matter="007"),
            issued_on=date(2024, 2, 29),
            due_on=date(2024, 3, 31),
        )
        matters = seed([given], ())

        [found] = _read(
            matters, Association.to_client(payer="p1", client="01-Ä")
        )

        assert (found.number, found.client, found.matter) == (
            "INV-007",
            "01-Ä",
            "007",
        )
        assert (found.issued_on, found.due_on) == (
            given.issued_on,
            given.due_on,
        )

    def test_md_4_a_read_shows_what_the_ledger_showed_before_it(
        self, matters: MatterData, put: Put | None
    ) -> None:
        """MD-4: a payment that was booked before is in the balance."""
        if put is None:
            pytest.skip("no way to change an invoice was given: put")
        whole = Association.to_client(payer="p1", client="C-1")
        _read(matters, whole)
        put(attrs.evolve(_FIRM[0], balance=usd(3_00)))
        put(invoice("INV-99", 5_00, client="C-1", matter="M-1"))

        found = {each.number: each.balance for each in _read(matters, whole)}

        assert found["INV-1"] == usd(3_00)
        assert found["INV-99"] == usd(5_00)

    def test_md_4_a_later_read_states_no_earlier_moment(
        self, matters: MatterData, put: Put | None
    ) -> None:
        """MD-4: what was booked before the stated moment is in the balance."""
        if put is None:
            pytest.skip("no way to change an invoice was given: put")
        query = _query(Association.to_client(payer="p1", client="C-1"))
        before = [each.stated_at for each in _pages(matters, query)]
        put(attrs.evolve(_FIRM[0], balance=usd(3_00)))

        after = [each.stated_at for each in _pages(matters, query)]

        stated = [each for each in [*before, *after] if each is not None]
        assert stated == sorted(stated)
        assert len(stated) in (0, len(before) + len(after)), (
            "some pages state a moment and others none"
        )

    def test_md_5_an_empty_query_returns_nothing(
        self, matters: MatterData
    ) -> None:
        """MD-5: no associations, no invoices."""
        assert _read(matters) == []

    @pytest.mark.parametrize(
        ("by", "text", "clients"),
        [
            (SearchBy.CLIENT_NAME, "acme", frozenset({"C-1"})),
            (SearchBy.CLIENT_NAME, "HOLD", frozenset({"C-1"})),
            (SearchBy.CLIENT_NAME, "100%", frozenset({"C-2"})),
            (SearchBy.CLIENT_NAME, "A%s", NOBODY),
            (SearchBy.CLIENT_NAME, "Acm_", NOBODY),
            (SearchBy.CLIENT_NAME, "*", NOBODY),
            (SearchBy.CLIENT_NUMBER, "C-1", frozenset({"C-1"})),
            (SearchBy.CLIENT_NUMBER, "C-", NOBODY),
            (SearchBy.CLIENT_NUMBER, "C-_", NOBODY),
            (SearchBy.MATTER_NUMBER, "M-2", frozenset({"C-1"})),
            (SearchBy.MATTER_NUMBER, "M", NOBODY),
            (SearchBy.MATTER_DESCRIPTION, "main st", frozenset({"C-1"})),
            (SearchBy.MATTER_DESCRIPTION, "%", NOBODY),
            (SearchBy.INVOICE_NUMBER, "INV-1", frozenset({"C-1"})),
            (SearchBy.INVOICE_NUMBER, "INV-", NOBODY),
            (SearchBy.INVOICE_NUMBER, "inv-1", NOBODY),
        ],
    )
    def test_md_6_numbers_match_exactly_and_names_by_a_part(
        self,
        matters: MatterData,
        by: SearchBy,
        text: str,
        clients: frozenset[str],
    ) -> None:
        """MD-6: regardless of case for names; wildcards are literals."""
        found = _search(matters, SearchQuery(by=by, text=text))

        assert {str(each.client) for each in found} == clients

    def test_md_6_what_is_found_is_as_deep_as_what_was_asked_for(
        self, matters: MatterData
    ) -> None:
        """MD-6: a matter's number finds the matter, not its client."""
        [matter] = _search(
            matters, SearchQuery(by=SearchBy.MATTER_NUMBER, text="M-2")
        )
        [one] = _search(
            matters, SearchQuery(by=SearchBy.INVOICE_NUMBER, text="INV-10")
        )

        assert (matter.client, matter.matter, matter.invoice) == (
            "C-1",
            "M-2",
            None,
        )
        assert (one.client, one.matter, one.invoice) == (
            "C-1",
            "M-2",
            "INV-10",
        )

    def test_md_7_a_read_that_fails_is_no_empty_answer(
        self, matters: MatterData, offline: Cut | None
    ) -> None:
        """MD-7: it raises a `PortError`."""
        if offline is None:
            pytest.skip("no way to cut the software off was given: offline")
        query = _query(Association.to_client(payer="p1", client="C-1"))
        with offline(), pytest.raises(PortError):
            matters.open_invoices(query)

    def test_md_7_a_cell_that_cannot_be_read_is_named(
        self, matters: MatterData, spoil: Callable[[], None] | None
    ) -> None:
        """MD-7: among the unreadable rows, or by an `InvalidValueError`."""
        if spoil is None:
            pytest.skip("no way to write a bad cell was given: spoil")
        spoil()
        query = _query(Association.to_client(payer="p1", client="C-1"))
        try:
            places = [
                each.where
                for page in _pages(matters, query)
                for each in page.unreadable
            ]
        except InvalidValueError as error:
            places = [error.path]

        assert places
        assert all(places)

    def test_md_8_what_is_paid_is_not_returned_or_owes_nothing(
        self, matters: MatterData, put: Put | None
    ) -> None:
        """MD-8: and everything that is open is returned."""
        if put is None:
            pytest.skip("no way to change an invoice was given: put")
        put(attrs.evolve(_FIRM[1], balance=usd(0)))

        found = _read(matters, Association.to_client(payer="p1", client="C-1"))

        assert {each.number for each in found if not each.balance.is_zero} == {
            "INV-1",
            "INV-10",
        }

    def test_md_9_an_invoice_has_one_owner_at_every_read(
        self, matters: MatterData
    ) -> None:
        """MD-9: two reads of one run agree on client and matter."""
        whole = Association.to_client(payer="p1", client="C-1")
        one = Association.to_invoice(
            payer="p1", client="C-1", matter="M-2", invoice="INV-10"
        )
        owners = {
            (each.client, each.matter)
            for reads in (_read(matters, whole), _read(matters, one))
            for each in reads
            if each.number == "INV-10"
        }

        assert owners == {("C-1", "M-2")}

    def test_port_1_calls_at_once_get_their_own_answers(
        self, matters: MatterData
    ) -> None:
        """PORT-1: whatever other threads ask for meanwhile."""
        asked = [
            Association.to_client(payer="p1", client="C-1"),
            Association.to_matter(payer="p1", client="C-1", matter="M-2"),
            Association.to_client(payer="p1", client="C-2"),
        ]
        expected = [_read(matters, each) for each in asked]
        answers = at_once(
            RACERS, lambda place: _read(matters, asked[place % len(asked)])
        )

        for place, answer in enumerate(answers):
            assert answer == expected[place % len(asked)]


def _query(*associations: Association) -> InvoiceQuery:
    return InvoiceQuery(payer="p1", associations=associations)


def _read(matters: MatterData, *associations: Association) -> list[Invoice]:
    """Follow the pages to the end; equal rows count once."""
    found: dict[str, Invoice] = {}
    for page in _pages(matters, _query(*associations)):
        for each in page.invoices:
            assert found.setdefault(each.number, each) == each
    return list(found.values())


def _pages(matters: MatterData, query: InvoiceQuery) -> Iterator[InvoicePage]:
    seen: set[str] = set()
    while True:
        page = matters.open_invoices(query)
        yield page
        if page.next_page is None:
            return
        assert page.next_page not in seen, "the pages go round in a circle"
        seen.add(page.next_page)
        query = attrs.evolve(query, page=page.next_page)


def _search(matters: MatterData, query: SearchQuery) -> list[SearchResult]:
    found: list[SearchResult] = []
    while True:
        page = matters.search(query)
        found.extend(page.results)
        if page.next_page is None:
            return found
        query = attrs.evolve(query, page=page.next_page)


# -- The notifier -------------------------------------------------------------

_TRICKY: Final = (
    "{{7*7}} {0.__class__} ${PATH} %s %(name)s <b>bold</b> =1+1 Bcc: you@x"
)


class NotifierContract(Contract):
    """The clauses of `Notifier`; override the fixtures in a subclass."""

    @pytest.fixture
    def notifier(self) -> Notifier:
        """Return the notifier."""
        raise NotImplementedError

    @pytest.fixture
    def arrived(self) -> Callable[[], Sequence[str]] | None:
        """Return how to read what arrived at people, a text for each."""
        return None

    @pytest.fixture
    def offline(self) -> Cut | None:
        """Return how to make the channel refuse notices for a while."""
        return None

    def test_nt_1_a_notice_may_come_again(self, notifier: Notifier) -> None:
        """NT-1: it is accepted, whether or not people see it twice."""
        notifier.send(notice())
        notifier.send(notice())

    def test_nt_2_what_is_accepted_arrives(
        self,
        notifier: Notifier,
        arrived: Callable[[], Sequence[str]] | None,
    ) -> None:
        """NT-2: at least once."""
        if arrived is None:
            pytest.skip("no way to see what arrived was given: arrived")
        for number in range(3):
            told = attrs.evolve(
                notice(f"n-{number}"), detail=f"Told {number}."
            )
            notifier.send(told)

        for number in range(3):
            assert any(f"Told {number}." in each for each in arrived())

    def test_nt_3_what_is_not_accepted_is_an_error_and_may_come_again(
        self,
        notifier: Notifier,
        offline: Cut | None,
    ) -> None:
        """NT-3: a `PortError`, so that it is offered again."""
        if offline is None:
            pytest.skip("no way to refuse a notice was given: offline")
        with offline(), pytest.raises(PortError):
            notifier.send(notice())
        notifier.send(notice())

    def test_nt_4_fields_are_data(
        self,
        notifier: Notifier,
        arrived: Callable[[], Sequence[str]] | None,
    ) -> None:
        """NT-4: what looks like a template arrives as it was written."""
        if arrived is None:
            pytest.skip("no way to see what arrived was given: arrived")
        notifier.send(attrs.evolve(notice(), detail=_TRICKY))

        assert any(_TRICKY in each for each in arrived())

    def test_port_1_calls_at_once_all_arrive(
        self,
        notifier: Notifier,
        arrived: Callable[[], Sequence[str]] | None,
    ) -> None:
        """PORT-1: each notice as it is, whatever other threads tell."""
        told = [
            attrs.evolve(notice(f"n-{number}"), detail=f"At once {number}.")
            for number in range(RACERS)
        ]
        answers = at_once(RACERS, lambda place: notifier.send(told[place]))

        assert answers == [None] * RACERS
        if arrived is None:
            pytest.skip("no way to see what arrived was given: arrived")
        for each in told:
            assert any(each.detail in text for text in arrived())
