"""
The contract of the book's store.

Holds: `BookStoreContract` and `AsyncBookStoreContract`. Imports: `_async`,
`_base`, `book` and the core.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias, cast

import attrs
import pytest

from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.book.store import AsyncBookStore, BookStore
from autopay_core.book.values import (
    Draft,
    Kept,
    Kind,
    Stands,
    Turned,
    Version,
)
from autopay_core.commits import Unreadable
from autopay_core.errors import PortError
from autopay_core.invoices import SearchBy
from autopay_core.limits import Limit
from autopay_core.payers import KeptAssociation, Payer, SavedMethod
from autopay_core.schedules import Pause, Schedule
from autopay_core.testing.contracts._async import Awaited, Loop, OnALoop
from autopay_core.testing.contracts._base import (
    ACCOUNT,
    METHOD,
    OTHER_METHOD,
    RACERS,
    Clock,
    Contract,
    at_once,
    usd,
)

NewBook: TypeAlias = Callable[[Clock], BookStore]
NewAsyncBook: TypeAlias = Callable[
    [Clock], AsyncBookStore | Awaitable[AsyncBookStore]
]
Reopened: TypeAlias = Callable[[BookStore, Clock], BookStore]
SpoilVersion: TypeAlias = Callable[[BookStore, Kind, str], None]

TODAY: Final = date(2026, 1, 31)
_DAY: Final = timedelta(days=1)


def order(number: int = 1, *, payer: str = "p-1", **changes: Any) -> AutoPay:  # noqa: ANN401 - the fields of an AutoPay
    """Return a standing order."""
    fields: dict[str, Any] = {
        "id": f"ap-{number}",
        "payer": payer,
        "name": "Kit monthly",
        "method": METHOD,
        "deposit_account": ACCOUNT,
        "schedule": Schedule.monthly(TODAY),
        "limit": Limit.all("USD"),
        "enrollments": (Association.to_client(payer=payer, client="C-1"),),
    }
    return AutoPay(**{**fields, **changes})


def draft(
    value: AutoPay | Payer,
    number: int = 1,
    *,
    next_on: date = TODAY,
    reason: str = "the kit",
    left: tuple[Enrollment, ...] = (),
) -> Draft:
    """Return a version to be written."""
    return Draft(
        value=value,
        number=number,
        command="Try",
        by="kit",
        reason=reason,
        left=left,
        next_on=next_on if isinstance(value, AutoPay) else None,
    )


def written(
    store: BookStore, *drafts: Draft, **expects: int
) -> Sequence[Version]:
    """Write, and demand that it is written."""
    made = store.write(
        drafts, {(Kind.PAYER, each): n for each, n in expects.items()}
    )
    assert not isinstance(made, Stands)
    return made


def standing(store: BookStore, id_: str, kind: Kind = Kind.AUTOPAY) -> Kept:
    """Read what stands under an id."""
    [kept] = store.latest(kind, [id_])
    return kept


class BookStoreContract(Contract):
    """The clauses of `BookStore`."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the time that the store is told."""
        return Clock()

    @pytest.fixture
    def new_book(self) -> NewBook:
        """Return how to make an empty store with a clock."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, new_book: NewBook, clock: Clock) -> BookStore:
        """Return an empty store."""
        return new_book(clock)

    @pytest.fixture
    def reopen_book(self) -> Reopened | None:
        """Return how to open the same store again; None if it is gone."""
        return None

    @pytest.fixture
    def spoil_version(self) -> SpoilVersion | None:
        """Return how to make a version that stands unreadable."""
        return None

    def test_bk_1_a_write_is_whole_or_nothing(self, store: BookStore) -> None:
        """BK-1: a version that cannot be written takes the others along."""
        written(store, draft(order(1)))

        refused = store.write(
            (draft(order(2)), draft(order(1), 3), draft(order(3))), {}
        )

        assert isinstance(refused, Stands)
        assert refused.number == 1
        assert [
            each.id
            for each in store.latest(Kind.AUTOPAY, ["ap-1", "ap-2", "ap-3"])
        ] == ["ap-1"]
        assert len(store.due(TODAY, None, 10)) == 1

    def test_bk_1_a_write_of_many_is_one(self, store: BookStore) -> None:
        """BK-1: a payer with thousands of orders is changed in one step."""
        many = [draft(order(number)) for number in range(2_000)]

        assert len(written(store, *many, draft(Payer(id="p-1")))) == 2_001

        assert len(store.owned("p-1", "", 5_000)) == 2_000
        again = [
            draft(order(number, name="second"), 2) for number in range(2_000)
        ]
        assert len(written(store, *again, **{"p-1": 1})) == 2_000
        assert standing(store, "ap-1999").number == 2

    def test_bk_1_what_was_written_is_read_at_once(
        self, store: BookStore
    ) -> None:
        """BK-1: every read that begins after a write sees it."""
        [first] = written(store, draft(order()))

        assert standing(store, "ap-1").version == first
        assert tuple(store.versions(Kind.AUTOPAY, "ap-1", 0, 9)) == (first,)
        assert [each.id for each in store.owned("p-1", "", 9)] == ["ap-1"]
        assert [each.id for each in store.due(TODAY, None, 9)] == ["ap-1"]

    def test_bk_1_what_was_written_stands_after_a_restart(
        self,
        store: BookStore,
        clock: Clock,
        reopen_book: Reopened | None,
    ) -> None:
        """BK-1: a write is durable when it returns."""
        if reopen_book is None:
            pytest.skip("reopen_book is not given")
        [first] = written(store, draft(order()))

        again = reopen_book(store, clock)

        assert standing(again, "ap-1").version == first

    def test_bk_2_a_version_follows_the_one_before_it(
        self, store: BookStore
    ) -> None:
        """BK-2: what was written for another version is refused."""
        written(store, draft(order()))
        written(store, draft(order(name="second"), 2))

        for number in (1, 2, 4):
            refused = store.write((draft(order(name="late"), number),), {})
            assert refused == Stands(kind=Kind.AUTOPAY, id="ap-1", number=2)
        early = store.write((draft(order(2), 2),), {})
        assert early == Stands(kind=Kind.AUTOPAY, id="ap-2", number=0)
        assert standing(store, "ap-1").number == 2

    def test_bk_2_of_racing_writers_one_wins(self, store: BookStore) -> None:
        """BK-2: one gets the version, the others hear which one stands."""
        written(store, draft(order()))

        results = at_once(
            RACERS,
            lambda place: store.write(
                (draft(order(name=f"racer {place}"), 2),), {}
            ),
        )

        won = [
            place
            for place, each in enumerate(results)
            if isinstance(each, (tuple, list))
        ]
        assert len(won) == 1
        lost = [each for each in results if isinstance(each, Stands)]
        assert {each.number for each in lost} == {2}
        assert len(lost) == RACERS - 1
        version = standing(store, "ap-1").version
        assert isinstance(version, Version)
        assert version.autopay.name == f"racer {won[0]}"

    def test_bk_3_what_is_expected_is_compared(self, store: BookStore) -> None:
        """BK-3: another version of what is not touched refuses a write."""
        payer = Payer(id="p-1")
        key = (Kind.PAYER, "p-1")
        written(store, draft(order(1)), **{"p-1": 0})
        written(store, draft(payer))

        for expected in (0, 2):
            refused = store.write((draft(order(2)),), {key: expected})
            assert refused == Stands(kind=Kind.PAYER, id="p-1", number=1)
        assert written(store, draft(order(2)), **{"p-1": 1})
        assert not store.latest(Kind.AUTOPAY, ["p-1"])

    def test_bk_4_what_is_read_equals_what_was_written(
        self, store: BookStore
    ) -> None:
        """BK-4: every field, whatever is in it."""
        client = Association.to_client(payer="p-1", client="C-1")
        matter = Association.to_matter(
            payer="p-1", client="Müller & Söhne", matter="42/ß"
        )
        rich = order(
            name="Grüße 🏦",
            ar_message="«Danke» — 谢谢",
            schedule=Schedule.twice_monthly(TODAY, days=(15, "last")),
            limit=Limit.up_to(usd(12_345), lifetime=usd(99_999)),
            enrollments=(
                client,
                Enrollment(association=matter, since=date(2026, 3, 1)),
            ),
            pauses=(Pause(from_on=date(2026, 5, 1)),),
            skips=frozenset({date(2026, 4, 15)}),
            moves={date(2026, 3, 15): date(2026, 3, 17)},
            off_from=date(2027, 1, 1),
        )
        left = (Enrollment(association=matter, years_from=(TODAY,)),)
        payer = Payer(
            id="p-1",
            name="Ångström",
            associations=(
                KeptAssociation(
                    association=client,
                    search_by=SearchBy.CLIENT_NAME,
                    text="müll",
                ),
                KeptAssociation(association=matter),
            ),
            methods=(
                SavedMethod(method=METHOD, label="Visa …0001"),
                SavedMethod(method=OTHER_METHOD, removed_on=TODAY),
            ),
        )
        made = written(
            store,
            draft(rich, left=left, reason="às ordens"),
            draft(payer, reason="'; DROP TABLE payers; --"),
        )

        assert [each.value for each in made] == [rich, payer]
        assert (made[0].left, made[0].reason) == (left, "às ordens")
        assert standing(store, "ap-1").version == made[0]
        assert standing(store, "p-1", Kind.PAYER).version == made[1]
        assert tuple(store.versions(Kind.AUTOPAY, "ap-1", 0, 9)) == (made[0],)
        assert standing(store, "ap-1").next_on == TODAY
        assert standing(store, "p-1", Kind.PAYER).next_on is None

    def test_bk_4_what_cannot_be_decoded_holds_up_no_other(
        self, store: BookStore, spoil_version: SpoilVersion | None
    ) -> None:
        """BK-4: it comes as `Unreadable`, with its id."""
        if spoil_version is None:
            pytest.skip("spoil_version is not given")
        written(store, draft(order(1)), draft(order(2)))

        spoil_version(store, Kind.AUTOPAY, "ap-1")

        for found in (
            store.latest(Kind.AUTOPAY, ["ap-1", "ap-2"]),
            store.due(TODAY, None, 9),
            store.owned("p-1", "", 9),
        ):
            first, second = found
            assert isinstance(first.version, Unreadable)
            assert (first.id, first.number) == ("ap-1", 1)
            assert isinstance(second.version, Version)
        with pytest.raises(PortError):
            store.versions(Kind.AUTOPAY, "ap-1", 0, 9)

    def test_bk_5_versions_have_no_gaps_and_never_change(
        self, store: BookStore, clock: Clock
    ) -> None:
        """BK-5: numbers ascend by one, and times never go back."""
        made: list[Version] = []
        for number, seconds in enumerate((0, 60, -3600, 5), start=1):
            clock.advance(seconds)
            made += written(store, draft(order(name=f"n{number}"), number))

        found = [
            each
            for after in range(4)
            for each in store.versions(Kind.AUTOPAY, "ap-1", after, 1)
        ]

        assert found == made
        assert [each.number for each in found] == [1, 2, 3, 4]
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert not store.versions(Kind.AUTOPAY, "ap-1", 4, 9)
        assert not store.versions(Kind.PAYER, "ap-1", 0, 9)

    def test_bk_6_what_is_due_comes_by_day_and_id(
        self, store: BookStore
    ) -> None:
        """BK-6: each order whose next day has come, once, page by page."""
        days = {
            1: TODAY,
            2: TODAY - 9 * _DAY,
            3: TODAY + _DAY,
            4: TODAY - 9 * _DAY,
            5: TODAY - _DAY,
        }
        for number, next_on in days.items():
            written(store, draft(order(number), next_on=next_on))
        written(store, draft(Payer(id="p-1")))

        found: list[Kept] = []
        after = None
        while page := store.due(TODAY, after, 2):
            found += page
            assert found[-1].next_on is not None
            after = (found[-1].next_on, found[-1].id)

        assert [each.id for each in found] == ["ap-2", "ap-4", "ap-5", "ap-1"]
        assert [each.next_on for each in found] == [
            days[int(each.id[-1])] for each in found
        ]
        assert not store.due(TODAY - 10 * _DAY, None, 9)

    def test_bk_6_a_payers_orders_come_by_id(self, store: BookStore) -> None:
        """BK-6: as what is due, page by page."""
        for number in (3, 1, 2):
            written(store, draft(order(number)))
        written(store, draft(order(4, payer="p-2")))
        written(store, draft(order(1, name="second"), 2))

        first = store.owned("p-1", "", 2)
        second = store.owned("p-1", first[-1].id, 2)

        assert [each.id for each in (*first, *second)] == [
            "ap-1",
            "ap-2",
            "ap-3",
        ]
        assert [each.number for each in first] == [2, 1]
        assert not store.owned("p-3", "", 9)

    def test_bk_6_a_write_moves_the_next_day(self, store: BookStore) -> None:
        """BK-6: an edit moves it in its own commit."""
        written(store, draft(order(), next_on=TODAY + 9 * _DAY))
        assert not store.due(TODAY, None, 9)

        written(store, draft(order(name="second"), 2, next_on=TODAY))

        assert [each.number for each in store.due(TODAY, None, 9)] == [2]

    def test_bk_7_a_turn_moves_the_day_of_its_own_version(
        self, store: BookStore
    ) -> None:
        """BK-7: an edit that came meanwhile keeps its day."""
        for number in (1, 2, 3):
            written(store, draft(order(number)))
        written(store, draft(order(2, name="second"), 2))
        later = TODAY + 28 * _DAY

        store.move_on(
            [Turned(id=f"ap-{n}", number=1, next_on=later) for n in (1, 2, 9)]
        )
        store.move_on([])

        days = {each.id: each.next_on for each in store.owned("p-1", "", 9)}
        assert days == {"ap-1": later, "ap-2": TODAY, "ap-3": TODAY}
        assert attrs.asdict(standing(store, "ap-1"))["number"] == 1


class AsyncBookStoreContract(OnALoop, BookStoreContract):
    """The clauses of `AsyncBookStore`."""

    @pytest.fixture
    def new_async_book(self) -> NewAsyncBook:
        """Return how to make an empty store with a clock."""
        raise NotImplementedError

    @pytest.fixture
    def new_book(self, new_async_book: NewAsyncBook, loop: Loop) -> NewBook:
        """Return `new_async_book` for callers that do not await."""

        def made(clock: Clock) -> BookStore:
            store = new_async_book(clock)
            if isinstance(store, Awaitable):
                store = loop.run(store)
            return cast("BookStore", Awaited(store, loop))

        return made
