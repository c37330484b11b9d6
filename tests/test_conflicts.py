"""What the ledger would refuse is found before it is sent: rule P2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core import aio, calls
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.commits import (
    Change,
    Conflict,
    ConflictReason,
    PostingFilter,
    Unreadable,
)
from autopay_core.errors import (
    IncompleteReadError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.invoices import InvoiceStatus, UnreadableRow
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.policy import Policy
from autopay_core.postings import Posting, PostingStatus
from autopay_core.references import AccountKind
from worlds import (
    FEBRUARY,
    START,
    World,
    awaitable,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopay_core.invoices import Invoice

STATUS = PostingStatus


@pytest.fixture
def world() -> World:
    """Make a world in which two invoices were paid, a month ago."""
    made = World(bill("INV-1", "100"), bill("INV-2", "60"))
    made.run(standing_order())
    made.clock.reach(FEBRUARY)
    return made


def found(world: World, **ports: Any) -> dict[str, str]:
    """Look for conflicts; return the notes by invoice."""
    conflicts = calls.find_conflicts(by="job", ports=world.ports_with(**ports))
    assert not conflicts.unreadable
    stands = {each.id: each for each in world.postings()}
    for each in conflicts:
        assert each.status is STATUS.INCOMPLETE
        assert stands[each.id] == each
    return {each.invoice: each.note for each in conflicts}


def test_p2_what_fits_is_left_alone(world: World) -> None:
    world.hush()

    assert found(world) == {}
    assert world.heard == []
    assert {each.status for each in world.postings()} == {STATUS.PENDING}


@pytest.mark.parametrize(
    ("now", "note"),
    [
        (bill("INV-1", "100", matter="M-2"), "matter unknown: it is on M-2"),
        (bill("INV-1", "100", account=AccountKind.TRUST), "account: it is tr"),
        (
            attrs.evolve(bill("INV-1", "1"), balance=Money.of("100", "CAD")),
            "currency: it is in CAD",
        ),
        (
            bill("INV-1", "100", status=InvoiceStatus.VOID),
            "invoice closed: it was withdrawn",
        ),
        (bill("INV-1", "99.99"), "amount too large: USD 99.99 is owed there"),
        (bill("INV-1", "-1"), "amount too large: USD -1.00 is owed there"),
        (None, "invoice closed: it is not open any more"),
    ],
)
def test_p2_what_does_not_fit_is_incomplete_and_told(
    world: World, now: Invoice | None, note: str
) -> None:
    if now is None:
        world.matters.remove("INV-1")
    else:
        world.matters.put(now)
    world.hush()

    conflicts = found(world)

    assert set(conflicts) == {"INV-1"}
    assert conflicts["INV-1"].startswith(note)
    [notice] = world.heard
    assert notice.kind is NoticeKind.POSTING_INCOMPLETE
    assert note in notice.detail
    # It is as much on its way as before, and is told once.
    assert world.reserved()["INV-1"] == usd("100")
    assert found(world) == {}


def test_p2_what_is_on_hold_or_disputed_can_be_posted(world: World) -> None:
    world.matters.put(bill("INV-1", "100", status=InvoiceStatus.DISPUTED))
    world.matters.put(bill("INV-2", "60", status=InvoiceStatus.ON_HOLD))

    assert found(world) == {}


def test_b2_an_invoice_with_another_number_is_named(world: World) -> None:
    world.run(standing_order(), FEBRUARY)  # So that both were seen.
    world.matters.remove("INV-1")
    world.matters.put(bill("INV-1-A", "100"))

    assert found(world) == {
        "INV-1": "invoice unknown: it seems to be INV-1-A now"
    }


def test_p2_several_postings_on_one_invoice_are_added_up() -> None:
    world = World(bill("INV-1", "100"))
    for name in ("ap-1", "ap-2"):
        world.run(standing_order(id=name, limit=Limit.up_to(usd("50"))))
    world.clock.reach(FEBRUARY)
    world.matters.put(bill("INV-1", "70"))

    assert found(world) == {
        "INV-1": "amount too large: USD 70.00 is owed there"
    }
    assert [each.status for each in world.postings()].count(
        STATUS.PENDING
    ) == 1


@pytest.mark.parametrize(
    "row",
    [
        UnreadableRow(
            where="row 9", code="AmountFormat", client="C-1", number=None
        ),
        UnreadableRow(
            where="row 9", code="AmountFormat", client="C-1", number="INV-1"
        ),
        UnreadableRow(
            where="row 9", code="ClientFormat", number=None, client=None
        ),
    ],
)
def test_l5_what_cannot_be_read_is_no_conflict(
    world: World, row: UnreadableRow
) -> None:
    page = InvoicePage(
        invoices=(bill("INV-2", "60"),), unreadable=(row,), source_rows=500
    )
    rig(world.matters, open_invoices=lambda _: page)

    assert found(world) == {}


def test_b0_balances_of_the_day_of_the_charge_say_nothing(
    world: World,
) -> None:
    old = InvoicePage(invoices=(), stated_at=START)
    rig(world.matters, open_invoices=lambda _: old)
    assert found(world, policy=Policy()) == {}

    world.clock.at = START
    later = attrs.evolve(old, stated_at=None)
    rig(world.matters, open_invoices=lambda _: later)
    assert set(found(world)) == {"INV-1", "INV-2"}


def test_p2_what_was_sent_is_the_ledgers_to_say(world: World) -> None:
    queued = calls.advance_postings(
        list(world.postings()), STATUS.QUEUED, ports=world.ports
    )
    assert queued is not None
    world.matters.remove("INV-1")
    assert found(world) == {}

    # Where the host posts automatically, what is in no batch was not sent.
    calls.make_batch("b-1", queued[:1], by="ann", ports=world.ports)
    world.matters.remove("INV-2")

    assert set(found(world, policy=Policy(automatic_posting=True))) == {
        str(queued[1].invoice)
    }


def test_r6_one_client_that_cannot_be_read_stops_no_other() -> None:
    world = World(bill("INV-1", "100"), bill("INV-3", "50", client="C-2"))
    world.sweep(
        standing_order(),
        standing_order(
            id="ap-2", payer="p2", enrollments=(to_client("C-2", payer="p2"),)
        ),
    )
    world.clock.reach(FEBRUARY)
    true = world.matters.open_invoices
    world.matters.remove("INV-3")

    def cut(query: InvoiceQuery) -> InvoicePage:
        if query.payer == "p1":
            raise IncompleteReadError("cut off")
        return true(query)

    rig(world.matters, open_invoices=cut)
    conflicts = calls.find_conflicts(by="job", ports=world.ports)

    assert [each.invoice for each in conflicts] == ["INV-3"]
    assert [(each.key, each.code) for each in conflicts.unreadable] == [
        ("C-1", "IncompleteRead")
    ]


def test_r6_a_source_that_is_away_is_said(world: World) -> None:
    def away(_: InvoiceQuery) -> InvoicePage:
        raise PortUnavailableError("away")

    rig(world.matters, open_invoices=away)

    with pytest.raises(PortUnavailableError):
        calls.find_conflicts(by="job", ports=world.ports)
    with pytest.raises(InvalidValueError):
        calls.find_conflicts(by="", ports=world.ports)


def test_p2_what_went_back_is_not_looked_at(world: World) -> None:
    first, _ = world.postings()
    back = attrs.evolve(
        first, id="p-back", amount=-first.amount, reverses=first.id
    )
    world.store.commit(Change(postings=(back,)))
    world.matters.remove("INV-1")

    assert len(calls.find_conflicts(by="job", ports=world.ports)) == 1


# -- While others move them ---------------------------------------------------


class _Slow:
    """A store at which something happens just before some commits."""

    def __init__(self, store: Any, *happens: Callable[[], object]) -> None:
        self._store = store
        self._happens = list(happens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, change: Change, /) -> Any:
        if self._happens:
            self._happens.pop(0)()
        return self._store.commit(change)


def _remove_both(world: World) -> None:
    for number in ("INV-1", "INV-2"):
        world.matters.remove(number)


def test_p3_one_that_moved_meanwhile_stays_where_it_is(world: World) -> None:
    _remove_both(world)
    first, second = world.postings()

    def meanwhile() -> None:
        calls.advance_postings([first], STATUS.QUEUED, ports=world.ports)

    conflicts = found(world, postings=_Slow(world.store, meanwhile))

    assert set(conflicts) == {str(second.invoice)}


def test_p5_one_that_went_into_a_batch_meanwhile_stays_there(
    world: World,
) -> None:
    _remove_both(world)
    first, second = world.postings()

    def meanwhile() -> None:
        calls.make_batch("b-1", [first], by="ann", ports=world.ports)

    conflicts = found(world, postings=_Slow(world.store, meanwhile))

    assert set(conflicts) == {str(second.invoice)}


def test_p3_of_all_that_moved_none_is_touched(world: World) -> None:
    _remove_both(world)

    def meanwhile() -> None:
        calls.advance_postings(
            list(world.postings()), STATUS.QUEUED, ports=world.ports
        )

    assert found(world, postings=_Slow(world.store, meanwhile)) == {}


def test_p3_others_who_never_rest_are_left_alone(world: World) -> None:
    _remove_both(world)

    class Busy(_Slow):
        def commit(self, change: Change, /) -> Conflict:
            return Conflict(reason=ConflictReason.POSTING)

    assert found(world, postings=Busy(world.store)) == {}


def test_r6_a_posting_that_cannot_be_read_is_named(world: World) -> None:
    class Spoiled(_Slow):
        def postings(self, wanted: PostingFilter, /) -> Any:
            page = self._store.postings(wanted)
            bad = Unreadable(key="p-0", code="DateFormat")
            return page if wanted.after or not page else (bad, *page)

    conflicts = calls.find_conflicts(
        by="job", ports=world.ports_with(postings=Spoiled(world.store))
    )

    assert [each.key for each in conflicts.unreadable] == ["p-0"]


def test_p2_on_an_event_loop_it_is_the_same(world: World) -> None:
    world.matters.remove("INV-1")

    conflicts = asyncio.run(
        aio.find_conflicts(by="job", ports=awaitable(world.ports))
    )

    assert [each.invoice for each in conflicts] == ["INV-1"]
    assert all(isinstance(each, Posting) for each in conflicts)
