"""Postings that wait too long for the ledger are told (P3, N2)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from autopay_core.calls import advance_postings, health, read_postings
from autopay_core.commits import Change, Conflict, ConflictReason
from autopay_core.engine.requests import Commit
from autopay_core.engine.telling import announce
from autopay_core.errors import PortError
from autopay_core.notices import (
    Audience,
    Notice,
    NoticeKind,
    notice_for_firm,
)
from autopay_core.postings import PostingStatus
from worlds import DAY, Script, World, bill, rig, standing_order

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = standing_order(off_from=DAY + timedelta(days=1))


def a_payment(*amounts: str) -> World:
    """Return a world in which invoices were paid on the 31st of January."""
    world = World(
        *(
            bill(f"INV-{number}", amount)
            for number, amount in enumerate(amounts, start=1)
        )
    )
    world.sweep(ORDER)
    world.hush()
    return world


def moved(world: World, to: PostingStatus) -> None:
    advance_postings(
        read_postings(ports=world.ports), to, ports=world.ports, by="ann"
    )


def nights(world: World, through: int, of: int = 0) -> Iterator[date]:
    """Sweep every night from one day after the payment to another."""
    for days in range(of + 1, through + 1):
        world.sweep(ORDER, as_of=DAY + timedelta(days=days))
        yield DAY + timedelta(days=days)


def stuck(world: World) -> list[Notice]:
    return [
        each for each in world.heard if each.kind is NoticeKind.POSTING_STUCK
    ]


def test_p3_what_is_not_posted_for_thirty_days_is_told_once() -> None:
    world = a_payment("120.00", "30.00")

    for _ in nights(world, 30):
        assert stuck(world) == []
    list(nights(world, 40, of=30))

    [told] = stuck(world)
    assert (told.reason, told.on) == ("NotPosted", DAY + timedelta(days=31))
    assert told.audience == {Audience.FIRM}
    assert told.detail.startswith(
        "Postings not sent to the ledger for 30 days: 2: invoice INV-"
    )
    assert "invoice INV-1, USD 120.00 of ap-1/2026-01-31" in told.detail
    assert "invoice INV-2, USD 30.00 of ap-1/2026-01-31" in told.detail


def test_p3_what_the_ledger_does_not_show_for_fourteen_days_is_told() -> None:
    world = a_payment("120.00")
    list(nights(world, 20))
    moved(world, PostingStatus.QUEUED)
    moved(world, PostingStatus.POSTED)

    list(nights(world, 34, of=20))
    assert stuck(world) == []
    list(nights(world, 60, of=34))

    [told] = stuck(world)
    assert (told.reason, told.on) == ("NotApplied", DAY + timedelta(days=35))
    assert told.detail.startswith(
        "Postings sent to the ledger 14 days ago and not shown there yet: 1: "
    )


@pytest.mark.parametrize(
    "to", [PostingStatus.INCOMPLETE, PostingStatus.QUEUED]
)
def test_p3_a_step_begins_the_time_anew(to: PostingStatus) -> None:
    world = a_payment("120.00")
    list(nights(world, 29))
    advance_postings(
        read_postings(ports=world.ports),
        to,
        ports=world.ports,
        by="ann",
        note="closed",
    )

    list(nights(world, 59, of=29))
    assert stuck(world) == []
    list(nights(world, 60, of=59))

    assert [each.reason for each in stuck(world)] == ["NotPosted"]


@pytest.mark.parametrize("is_removed", [True, False])
def test_p3_what_is_done_with_is_never_stuck(*, is_removed: bool) -> None:
    world = a_payment("120.00")
    if is_removed:
        advance_postings(
            read_postings(ports=world.ports),
            PostingStatus.REMOVED,
            ports=world.ports,
            by="ann",
            note="posted by hand",
        )
    else:
        world.apply()

    list(nights(world, 60))

    assert stuck(world) == []


def test_p3_nights_without_a_sweep_hide_nothing() -> None:
    world = a_payment("120.00")
    list(nights(world, 10))

    world.sweep(ORDER, as_of=DAY + timedelta(days=40))
    world.sweep(ORDER, as_of=DAY + timedelta(days=41))

    assert len(stuck(world)) == 1


def test_p3_many_are_counted_and_the_first_ten_named() -> None:
    world = a_payment(*["5.00"] * 12)

    list(nights(world, 31))

    [told] = stuck(world)
    assert told.detail.startswith(
        "Postings not sent to the ledger for 30 days: 12: "
    )
    assert told.detail.count("invoice INV-") == 10


def test_p3_postings_that_cannot_be_read_are_told_when_they_can() -> None:
    """And the sweep is on record all the same (R6)."""
    world = a_payment("120.00")
    list(nights(world, 30))
    read = world.store.postings

    def broken(*_: Any) -> NoReturn:
        raise PortError("a row cannot be read", code="FormatNewer")

    rig(world.store, postings=broken)
    list(nights(world, 32, of=30))
    assert stuck(world) == []
    rig(world.store, postings=read)
    assert health(ports=world.ports).swept_for == DAY + timedelta(days=32)

    list(nights(world, 34, of=32))

    assert [each.on for each in stuck(world)] == [DAY + timedelta(days=33)]


def test_what_is_not_written_is_not_told() -> None:
    """A notifier hears of nothing that is not on record (N1)."""
    notice = notice_for_firm(
        NoticeKind.POSTING_STUCK, on=DAY, reason="NotPosted", detail="Late."
    )
    script = Script(announce(notice), Conflict(reason=ConflictReason.VERSION))

    script.go()

    assert script.requests == [Commit(Change(notices=(notice,)))]
