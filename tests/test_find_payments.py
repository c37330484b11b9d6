"""A question about a payment finds its run, from the store alone (X2)."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from autopay_core import aio, explain
from autopay_core._checks import DATE_MAX
from autopay_core.calls import find_payments, receive
from autopay_core.commits import Unreadable
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.limits import Limit
from autopay_core.movements import Movement, MovementKind
from worlds import (
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.money import Money


@pytest.fixture
def world() -> World:
    """Make a world of three payments by two payers on two days."""
    made = World(
        bill("INV-1", "100"),
        bill("INV-2", "60"),
        bill("INV-3", "100", client="C-2"),
    )
    first = standing_order(limit=Limit.up_to(usd("110")))
    other = standing_order(
        id="ap-2", payer="p2", enrollments=(to_client("C-2", payer="p2"),)
    )
    made.sweep(first, other, as_of=DAY)
    made.sweep(first, other, as_of=FEBRUARY)
    return made


def found(world: World, **wanted: Any) -> list[str]:
    records = find_payments(ports=world.ports, **wanted)
    assert not records.unreadable
    other = asyncio.run(
        aio.find_payments(ports=awaitable(world.ports), **wanted)
    )
    assert list(other) == list(records)
    return [str(each.key) for each in records]


@pytest.mark.parametrize(
    ("payer", "on", "amount", "runs"),
    [
        ("p1", None, None, ["ap-1/2026-01-31", "ap-1/2026-02-28"]),
        (None, DAY, None, ["ap-1/2026-01-31", "ap-2/2026-01-31"]),
        ("p1", DAY, None, ["ap-1/2026-01-31"]),
        # What was taken in all, and what one invoice got of it.
        ("p1", None, usd("110"), ["ap-1/2026-01-31"]),
        (None, DAY, usd("100"), ["ap-1/2026-01-31", "ap-2/2026-01-31"]),
        ("p1", None, usd("10"), ["ap-1/2026-01-31"]),
        ("p1", None, usd("50"), ["ap-1/2026-02-28"]),
        ("p1", None, usd("60"), []),
        ("p2", FEBRUARY, None, []),
        (None, DAY - timedelta(days=1), None, []),
        (None, DATE_MAX, None, []),
        ("p-9", None, None, []),
        # By the amount alone.
        (None, None, usd("110"), ["ap-1/2026-01-31"]),
        (None, None, usd("100"), ["ap-1/2026-01-31", "ap-2/2026-01-31"]),
        (None, None, usd("50"), ["ap-1/2026-02-28"]),
        (None, None, usd("60"), []),
    ],
)
def test_x2_a_payment_is_found_by_payer_day_and_amount(
    world: World,
    payer: str | None,
    on: date | None,
    amount: Money | None,
    runs: list[str],
) -> None:
    assert found(world, payer=payer, on=on, amount=amount) == runs


def test_x2_what_was_found_is_explained(world: World) -> None:
    [record] = find_payments(
        payer="p1", on=DAY, amount=usd("110"), ports=world.ports
    )

    said = explain(record)

    assert "USD 110.00 was taken" in said[1]
    assert any("INV-2" in each and "USD 10.00" in each for each in said)


def test_x2_what_went_back_since_is_found_all_the_same(world: World) -> None:
    [record] = find_payments(payer="p2", ports=world.ports)
    receive(
        Movement(
            id="evt-1",
            kind=MovementKind.RETURNED,
            amount=usd("100"),
            on=FEBRUARY,
            run=record.key,
        ),
        ports=world.ports,
    )

    assert found(world, payer="p2") == [str(record.key)]
    # The day on which it went back is no day on which it was taken.
    assert found(world, payer="p2", on=FEBRUARY) == []


def test_x2_a_question_about_nothing_is_refused(world: World) -> None:
    with pytest.raises(InvalidValueError, match="FieldMissing"):
        find_payments(ports=world.ports)


def test_x2_shares_that_only_add_up_to_it_are_no_payment_of_it() -> None:
    """An amount alone reads no larger share: what it reads is not all."""
    world = World(
        bill("INV-1", "30"), bill("INV-2", "70"), bill("INV-3", "200")
    )
    world.run(standing_order())

    assert found(world, amount=usd("100")) == []
    assert found(world, amount=usd("300")) == ["ap-1/2026-01-31"]
    assert found(world, amount=usd("200")) == ["ap-1/2026-01-31"]


def test_r6_a_run_that_cannot_be_read_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = world.store.standing

    def standing(key: Any, *more: Any) -> Any:
        if str(key) == "ap-1/2026-01-31":
            raise PortError("spoiled", code="FormatUnreadable")
        return asked(key, *more)

    monkeypatch.setattr(world.store, "standing", standing)

    records = find_payments(on=DAY, ports=world.ports)

    assert [str(each.key) for each in records] == ["ap-2/2026-01-31"]
    assert records.unreadable == (
        Unreadable(key="ap-1/2026-01-31", code="FormatUnreadable"),
    )


def test_r6_a_posting_that_cannot_be_read_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = Unreadable(key="p-9", code="FormatUnreadable")
    asked = world.store.postings
    monkeypatch.setattr(
        world.store,
        "postings",
        lambda wanted: (*asked(wanted), spoiled),
    )

    records = find_payments(on=DAY, ports=world.ports)

    assert len(records) == 2
    assert records.unreadable == (spoiled,)


def test_e1_a_store_that_is_away_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Any:
        raise PortUnavailableError("away")

    monkeypatch.setattr(world.store, "standing", away)

    with pytest.raises(PortUnavailableError):
        find_payments(payer="p1", ports=world.ports)
