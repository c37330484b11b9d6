"""The host's ceilings, compared where an intent is written: rule H4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.calls import restored, sweep
from autopay_core.charges import Declined
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.policy import Ceilings, Policy
from autopay_core.runs import RunState, RunStatus
from test_at_once import EIGHT, order, world_of
from worlds import (
    CARD,
    DAY,
    FORMS,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from datetime import date

    from autopay_core.autopay import AutoPay
    from autopay_core.ports import Ports

NEXT_DAY = DAY + timedelta(days=1)
SECOND = standing_order(
    id="ap-2",
    enrollments=(to_client("C-2"),),
    method=attrs.evolve(CARD, token="tok_card_0002"),
)
EUR = Money.of("1", "EUR")


class Firm(World):
    """A world whose host has ceilings."""

    def __init__(
        self,
        *invoices: Any,
        ceilings: Ceilings,
        zone: str = "UTC",
        **more: Any,
    ) -> None:
        super().__init__(*invoices, **more)
        self.policy = Policy(ceilings=ceilings, zone=zone)

    @property
    def ports(self) -> Ports:
        return attrs.evolve(super().ports, policy=self.policy)


def two_bills(ceilings: Ceilings, **more: Any) -> Firm:
    return Firm(
        bill("INV-1", "60"),
        bill("INV-2", "60", client="C-2"),
        ceilings=ceilings,
        **more,
    )


@FORMS
def test_h4_a_payer_is_charged_up_to_the_ceiling_of_a_day(
    two_step: bool,
) -> None:
    world = two_bills(Ceilings(payer_day=(usd("100"),)), two_step=two_step)

    first, second = world.sweep(standing_order(), SECOND)

    assert first.status is RunStatus.PAID
    assert (second.status, second.reason) == (RunStatus.WAITING, "Ceiling")
    assert second.record is not None
    assert second.record.late_since == DAY
    assert world.taken == [usd("60")]
    [notice] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.INCIDENT
    ]
    assert (notice.reason, notice.payer) == ("Ceiling", "")
    world.clock.reach(NEXT_DAY)
    [paid] = world.sweep(standing_order(), SECOND, as_of=NEXT_DAY)
    assert (paid.status, paid.charged) == (RunStatus.PAID, usd("60"))


def test_h4_the_same_again_on_the_same_day_is_in_silence() -> None:
    world = two_bills(Ceilings(payer_day=(usd("100"),)))
    world.sweep(standing_order(), SECOND)
    world.hush()
    world.clock.advance(hours=1)

    [again] = world.sweep(standing_order(), SECOND)

    assert again.reason == "Ceiling"
    assert world.heard == []


def test_h4_exactly_the_ceiling_is_taken() -> None:
    world = two_bills(Ceilings(payer_day=(usd("120"),), night=(usd("120"),)))

    world.sweep(standing_order(), SECOND)

    assert world.taken == [usd("60"), usd("60")]


@pytest.mark.parametrize(
    "ceilings",
    [
        Ceilings(),
        Ceilings(payer_day=(EUR,), night=(EUR,)),
        Ceilings(payer_day=(usd("100"),)),
    ],
    ids=["none", "another-currency", "another-payer"],
)
def test_h4_what_is_no_ceiling_of_it_keeps_nothing_back(
    ceilings: Ceilings,
) -> None:
    world = two_bills(ceilings)
    theirs = attrs.evolve(
        SECOND, payer="p2", enrollments=(to_client("C-2", "p2"),)
    )
    if not ceilings.payer_day or ceilings.payer_day == (EUR,):
        theirs = SECOND

    world.sweep(standing_order(), theirs)

    assert world.taken == [usd("60"), usd("60")]


def test_h4_a_night_takes_up_to_its_ceiling_from_all() -> None:
    world = two_bills(Ceilings(night=(usd("100"),)))
    theirs = attrs.evolve(
        SECOND, payer="p2", enrollments=(to_client("C-2", "p2"),)
    )

    _, second = world.sweep(standing_order(), theirs)

    assert second.reason == "Ceiling"
    assert world.taken == [usd("60")]


def test_h4_what_was_declined_leaves_room() -> None:
    world = two_bills(Ceilings(night=(usd("100"),)))
    world.gateway.decline(CARD.token, "51")

    first, second = world.sweep(standing_order(), SECOND)

    assert first.status is not RunStatus.PAID
    assert second.status is RunStatus.PAID


def test_h4_a_charge_above_the_ceiling_by_itself_is_not_made() -> None:
    world = two_bills(Ceilings(payer_day=(usd("59.99"),)))

    results = world.sweep(standing_order(), SECOND)

    assert {each.reason for each in results} == {"Ceiling"}
    assert world.taken == []


def swept(world: Firm, as_of: date, at: datetime, *autopays: AutoPay) -> None:
    world.clock.at = at
    world.sweep(*autopays, as_of=as_of)


@pytest.mark.parametrize(
    ("zone", "hour", "is_one"),
    [
        ("UTC", 23, True),
        ("UTC", 24, False),
        ("America/New_York", 24, True),
        ("America/New_York", 28, True),
        ("America/New_York", 29, False),
    ],
)
def test_h4_a_day_is_the_firm_s(zone: str, hour: int, is_one: bool) -> None:
    """New York's day begins at five, as UTC tells the time."""
    world = two_bills(Ceilings(payer_day=(usd("100"),)), zone=zone)
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    swept(world, DAY, midnight + timedelta(hours=22.5), standing_order())

    later = midnight + timedelta(hours=hour)
    as_of = world.policy.date_of(later)
    swept(world, as_of, later, SECOND)

    assert len(world.taken) == (1 if is_one else 2)


def test_h4_a_night_that_passes_midnight_is_one() -> None:
    world = two_bills(Ceilings(night=(usd("100"),)))
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    swept(world, DAY, midnight - timedelta(minutes=5), standing_order())

    swept(world, DAY, midnight + timedelta(minutes=5), SECOND)

    assert world.taken == [usd("60")]


def test_h4_a_day_of_long_ago_is_caught_up_with_today() -> None:
    world = two_bills(Ceilings(night=(usd("100"),)))
    swept(world, DAY, world.clock.at, standing_order())

    swept(world, DAY, world.clock.at + timedelta(days=3), SECOND)

    assert world.taken == [usd("60"), usd("60")]


def test_h4_what_moved_before_a_restore_is_put_on_record_all_the_same() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    since = world.clock.at - timedelta(hours=1)
    world.run(standing_order())
    backup = Firm(
        bill("INV-1", "120.00"), ceilings=Ceilings(night=(usd("1"),))
    )
    backup.store._id = world.store._id
    backup.gateway, backup.clock.at = world.gateway, world.clock.at
    restored(since=since, by="Ann", ports=backup.ports)
    backup.clock.advance(minutes=5)

    backup.sweep(standing_order())

    assert world.taken == [usd("120.00")]
    assert backup.record.state is RunState.PAID


@given(
    ceiling=st.integers(1, 60_000),
    at_once=st.sampled_from([1, 2, 5]),
    declined=st.sets(st.sampled_from(EIGHT)),
)
@example(ceiling=2_003, at_once=5, declined=set())
def test_h4_a_night_never_takes_more(
    ceiling: int, at_once: int, declined: set[int]
) -> None:
    world = world_of(*EIGHT)
    most = Money(amount_minor=ceiling, currency="USD")
    policy = Policy(ceilings=Ceilings(night=(most,)))
    charge = world.one_step.charge

    def charged(request: Any) -> Any:
        if request.method.token in {f"tok_card_{no:04}" for no in declined}:
            return Declined(key=request.key, code="51")
        return charge(request)

    rig(world.gateway, charge=charged)
    results = list(
        sweep(
            map(order, EIGHT),
            as_of=DAY,
            ports=world.ports_with(policy=policy),
            at_once=at_once,
        )
    )

    total = Money.total(world.taken, "USD")
    assert total <= most
    late = [each for each in results if each.reason == "Ceiling"]
    if not late and not declined:
        assert len(world.taken) == len(EIGHT)
    # Whoever waits would not have fitted by the end either.
    if at_once == 1 and not declined:
        for each in late:
            assert each.key is not None
            number = int(each.key.autopay.partition("-")[2])
            owed = usd(f"{10 * number}.01") + usd(f"{10 * number}.02")
            before = [
                usd(f"{10 * no}.01") + usd(f"{10 * no}.02")
                for no in EIGHT
                if no < number
                and f"ap-{no}"
                not in {one.key.autopay for one in late if one.key}
            ]
            assert Money.total(before, "USD") + owed > most
