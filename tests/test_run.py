"""Sweeps, staff's orders and drivers: R5 to R7, S12, N1, N2, N4, P2 to P4."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, NoReturn

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.adapters.memory import Fault, MemoryGateway, memory_ports
from autopay_core.allocation import Reason
from autopay_core.autopay import AdvanceNotice, AutoPay, occurrence_on
from autopay_core.calls import (
    advance_postings,
    preview,
    read_postings,
    reverse,
    run,
    stop,
    sweep,
)
from autopay_core.charges import GatewayCapabilities
from autopay_core.commits import Change, Committed, Conflict, StopOrder
from autopay_core.engine.case import case_of
from autopay_core.engine.collecting import collect
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import drive
from autopay_core.engine.requests import Send
from autopay_core.engine.sweeping import sweep_one
from autopay_core.engine.telling import deliver as deliver_flow
from autopay_core.errors import (
    HostProtocolError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.postings import (
    PostingStatus,
    PostingView,
    Reversal,
    ReversalKind,
)
from autopay_core.references import RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Schedule
from worlds import (
    CARD,
    DAY,
    Traced,
    Watched,
    World,
    bill,
    lines_of,
    rig,
    standing_order,
    to_client,
    total,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopay_core.engine.requests import Flow

KEY = RunKey(autopay="ap-1", nominal_on=DAY)
FEBRUARY = date(2026, 2, 28)
MARCH = date(2026, 3, 31)
APRIL = date(2026, 4, 30)


def _three_months_late(policy: MissedPolicy) -> tuple[World, AutoPay]:
    world = World(bill("INV-1", "500.00"))
    autopay = standing_order(missed=policy, limit=Limit.up_to(usd("50")))
    return world, autopay


# -- Ports and drivers --------------------------------------------------------


def test_ports_refuse_a_gateway_that_lacks_the_form_it_declares() -> None:
    two_step = MemoryGateway(capabilities=GatewayCapabilities(two_step=True))

    with pytest.raises(InvalidValueError) as caught:
        attrs.evolve(memory_ports(), gateway=two_step)

    assert caught.value.code == "GatewayForm"


def test_r2_the_secret_stands_in_no_repr() -> None:
    ports = memory_ports(key_secret=b"hush" * 8)

    assert "hush" not in repr(ports)
    assert "hush" not in repr(terms_of(ports))
    assert "gateway" in repr(ports)


def test_a_stop_iteration_of_a_port_does_not_look_like_the_end() -> None:
    world = World(bill("INV-1", "120.00"))

    def careless(*_: object) -> NoReturn:
        raise StopIteration("result")

    rig(world.matters, open_invoices=careless)

    result = world.run(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "PortBroken"
    assert world.record.late_since == DAY


def test_a_stop_iteration_of_a_gateway_is_a_doubt() -> None:
    world = World(bill("INV-1", "120.00"))

    def careless(*_: object) -> NoReturn:
        raise StopIteration("paid")

    rig(world.gateway, charge=careless)

    assert world.run(standing_order()).status is RunStatus.OPEN


@pytest.mark.parametrize(
    "error",
    [
        KeyError("tok_card_0001"),
        PortError("tok?", code="Odd"),
        InvalidValueError("bad", code="Odd"),
        MemoryError(),
    ],
)
def test_r4_whatever_a_gateway_raises_is_a_doubt(error: Exception) -> None:
    world = World(bill("INV-1", "120.00"))

    def broken(*_: object) -> NoReturn:
        raise error

    rig(world.gateway, charge=broken)

    result = world.run(standing_order())

    assert result.status is RunStatus.OPEN
    assert "tok_card" not in result.detail


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_a_crash_and_the_next_run_goes_on(
    error: type[BaseException],
) -> None:
    world = World(bill("INV-1", "120.00"))
    charge = world.one_step.charge

    def interrupted(*_: object) -> NoReturn:
        raise error

    rig(world.gateway, charge=interrupted)
    with pytest.raises(error):
        world.run(standing_order())
    assert world.record.state is RunState.OPEN
    rig(world.gateway, charge=charge)
    # It may have been sent: not again before somebody could have answered.
    assert world.run(standing_order()).status is RunStatus.OPEN
    world.clock.advance(seconds=10)

    assert world.run(standing_order()).status is RunStatus.PAID
    assert world.taken == [usd("120.00")]


def test_a_store_that_cannot_be_reached_is_raised() -> None:
    world = World(bill("INV-1", "120.00"))

    def down(*_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.store, standing=down)

    with pytest.raises(PortUnavailableError):
        world.run(standing_order())


def test_an_error_of_a_store_says_which_port_and_what_kind_only() -> None:
    world = World(bill("INV-1", "120.00"))

    def broken(*_: object) -> NoReturn:
        raise RuntimeError("password=hunter2")

    rig(world.store, standing=broken)

    with pytest.raises(PortError) as caught:
        world.run(standing_order())

    assert str(caught.value) == "the port raised RuntimeError at ReadStanding"
    assert caught.value.code == "PortBroken"


# -- Preview ------------------------------------------------------------------


def test_a_preview_pays_what_the_run_will_and_writes_nothing() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))
    store = Watched(world.store)
    ports = world.ports_with(postings=store)
    autopay = standing_order(limit=Limit.up_to(usd("130")))

    allocation = preview(autopay, on=DAY, ports=ports)

    assert store.calls == ["standing", "open_amounts"]
    assert world.records == ()
    assert world.run(autopay).allocation == allocation


def test_s6_a_preview_outside_every_year_pays_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    matters = Watched(world.matters)

    allocation = preview(
        standing_order(),
        on=date(2027, 1, 31),
        ports=world.ports_with(matters=matters),
    )

    assert allocation.lines == ()
    assert matters.calls == []


def test_a_preview_raises_what_a_run_would_report() -> None:
    world = World(bill("INV-1", "120.00"))
    limit = Limit.all("USD", per_month=usd("5"))
    rig(world.store, spent=lambda *_: Money.of("1", "CAD"))

    with pytest.raises(InvalidValueError) as caught:
        preview(standing_order(limit=limit), on=DAY, ports=world.ports)

    assert caught.value.code == "CurrencyMismatch"


def test_a_run_on_a_date_that_is_none_of_the_schedule_is_refused() -> None:
    world = World(bill("INV-1", "120.00"))

    with pytest.raises(InvalidValueError) as caught:
        world.run(standing_order(), on=date(2026, 2, 1))

    assert caught.value.code == "OccurrenceNotDue"
    assert world.records == ()


# -- R5: a finished run -------------------------------------------------------


@pytest.mark.parametrize("two_step", [False, True])
def test_r5_a_finished_run_calls_nothing_that_changes_anything(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    first = world.run(standing_order())
    store, gateway = Watched(world.store), Watched(world.gateway)
    notifier, matters = Watched(world.notifier), Watched(world.matters)
    ports = world.ports_with(
        postings=store, gateway=gateway, notifier=notifier, matters=matters
    )

    again = run(standing_order(), on=DAY, ports=ports)

    assert again == first
    assert store.calls == ["standing"]
    assert gateway.calls == notifier.calls == matters.calls == []


def test_r5_a_second_sweep_of_a_day_charges_and_tells_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.sweep(standing_order())

    again = world.sweep(standing_order())

    assert again == []
    assert world.taken == [usd("120.00")]
    assert world.told() == [NoticeKind.PAID]


# -- S12: missed runs ---------------------------------------------------------


def test_s12_by_default_the_latest_is_run_and_the_others_are_missed() -> None:
    world, autopay = _three_months_late(MissedPolicy.LATEST)

    results = world.sweep(autopay, as_of=date(2026, 4, 2))

    assert [
        (each.key.nominal_on, each.status) for each in results if each.key
    ] == [
        (DAY, RunStatus.MISSED),
        (FEBRUARY, RunStatus.MISSED),
        (MARCH, RunStatus.PAID),
    ]
    assert world.records[-1].charge_on == date(2026, 4, 2)
    assert world.taken == [usd("50")]
    assert world.sweep(autopay, as_of=date(2026, 4, 2)) == []


def test_s12_run_all_runs_every_one() -> None:
    world, autopay = _three_months_late(MissedPolicy.ALL)

    results = world.sweep(autopay, as_of=date(2026, 4, 2))

    assert [each.status for each in results] == [RunStatus.PAID] * 3
    assert world.taken == [usd("50")] * 3


def test_s12_skip_runs_only_what_is_due_today() -> None:
    world, autopay = _three_months_late(MissedPolicy.SKIP)

    late = world.sweep(autopay, as_of=date(2026, 4, 2))
    on_time = world.sweep(autopay, as_of=APRIL)

    assert [each.status for each in late] == [RunStatus.MISSED] * 3
    assert [each.status for each in on_time] == [RunStatus.PAID]


def test_s12_an_occurrence_that_was_set_back_is_not_lost() -> None:
    """A later run on record would hide it from the next sweep."""
    world, autopay = _three_months_late(MissedPolicy.ALL)
    read = world.matters.open_invoices
    down = [True]

    def once_down(query: object) -> object:
        if down:
            down.pop()
            raise PortUnavailableError("no connection")
        return read(query)  # type: ignore[arg-type]

    rig(world.matters, open_invoices=once_down)

    first = world.sweep(autopay, as_of=date(2026, 4, 2))
    then = world.sweep(autopay, as_of=date(2026, 4, 2))

    assert [each.status for each in first] == [
        RunStatus.WAITING,
        RunStatus.PAID,
        RunStatus.PAID,
    ]
    assert [each.status for each in then] == [RunStatus.PAID]
    assert world.taken == [usd("50")] * 3


def test_s12_missed_runs_that_another_worker_recorded_are_left_to_it() -> None:
    world, autopay = _three_months_late(MissedPolicy.LATEST)
    world.clock.reach(date(2026, 4, 2))
    traced = Traced(
        sweep_one(autopay, date(2026, 4, 2), terms_of(world.ports)),
        world.ports,
    )
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        world.sweep(autopay, as_of=date(2026, 4, 2))
        return commit(change)

    rig(world.store, commit=overtaken)

    assert traced.go() == ()
    assert world.taken == [usd("50")]


def test_s12_an_announced_run_that_was_missed_is_recorded_as_missed() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())
    world.sweep(autopay, as_of=DAY - timedelta(days=12))
    assert world.record.state is RunState.ANNOUNCED

    results = world.sweep(autopay, as_of=date(2026, 3, 5))

    assert results[0].status is RunStatus.MISSED
    assert results[0].record is not None
    assert results[0].record.version == 2


# -- R6: one failure never stops the others -----------------------------------


def test_r6_something_that_is_no_auto_pay_stops_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    strange: list[object] = [None, "ap-1", standing_order(), 7]

    results = world.sweep(*strange)  # type: ignore[arg-type]

    assert [each.status for each in results] == [
        RunStatus.POSTPONED,
        RunStatus.POSTPONED,
        RunStatus.PAID,
        RunStatus.POSTPONED,
    ]
    assert results[0].key is None
    assert results[0].reason == "FieldType"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("ap-1"),
        PortUnavailableError("down"),
        PortError("odd"),
        HostProtocolError("odd"),
        RecursionError(),
    ],
)
@pytest.mark.parametrize(
    ("port", "method"),
    [
        ("matters", "open_invoices"),
        ("store", "standing"),
        ("store", "open_amounts"),
        ("store", "commit"),
        ("gateway", "charge"),
        ("notifier", "send"),
    ],
)
def test_r6_a_port_that_breaks_for_one_auto_pay_stops_no_other(
    error: Exception, port: str, method: str
) -> None:
    world = World(
        bill("INV-1", "120.00"), bill("INV-2", "50.00", client="C-2")
    )
    first = standing_order()
    second = standing_order(id="ap-2", enrollments=(to_client("C-2"),))
    works = getattr(getattr(world, port), method)
    calls = Counter[str]()

    def breaks_once(*arguments: object) -> object:
        calls["made"] += 1
        if calls["made"] == 1:
            raise error
        return works(*arguments)

    rig(getattr(world, port), **{method: breaks_once})

    results = world.sweep(first, second)

    assert len(results) == 2
    assert results[1].charged == usd("50.00")
    world.clock.advance(minutes=2)
    world.sweep(first, second)
    assert sorted(each.amount_minor for each in world.taken) == [5000, 12000]
    assert world.store.undelivered(10) == ()


def test_r6_a_store_does_not_get_to_say_that_the_invoices_are_bad() -> None:
    world = World(bill("INV-1", "120.00"))

    def odd(*_: object) -> NoReturn:
        raise InvalidValueError("odd", code="Odd")

    rig(world.store, open_amounts=odd)

    [result] = world.sweep(standing_order())

    assert result.status is RunStatus.WAITING
    assert result.reason == "Odd"
    assert world.record.late_since == DAY


def test_md_7_matter_data_that_refuses_itself_makes_the_run_late() -> None:
    world = World(bill("INV-1", "120.00"))

    def odd(*_: object) -> NoReturn:
        raise InvalidValueError("odd", code="Odd", path="row 7")

    rig(world.matters, open_invoices=odd)

    [result] = world.sweep(standing_order())

    assert result.status is RunStatus.WAITING
    assert "row 7" in result.detail
    assert world.told() == [NoticeKind.INCIDENT]


def test_r6_an_error_of_our_own_is_reported_and_stops_no_other() -> None:
    world = World(bill("INV-1", "120.00"))
    broken = standing_order(id="ap-0")
    object.__setattr__(broken, "enrollments", None)

    results = world.sweep(broken, standing_order())

    assert [each.reason for each in results] == ["Unexpected", ""]
    assert results[0].detail == "TypeError was raised."


def test_r6_a_run_that_cannot_be_recovered_stops_no_other() -> None:
    world = World(
        bill("INV-1", "120.00"), bill("INV-2", "50.00", client="C-2")
    )
    world.gateway.script(Fault.LOSE_ANSWER, Fault.LOSE_ANSWER)
    world.sweep(
        standing_order(),
        standing_order(id="ap-2", enrollments=(to_client("C-2"),)),
    )
    world.clock.advance(minutes=2)
    standing = world.store.standing

    def breaks_for_one(key: RunKey, method: str, payer: str) -> object:
        if key.autopay == "ap-1":
            raise KeyError(key)
        return standing(key, method, payer)

    rig(world.store, standing=breaks_for_one)

    results = world.recover()

    assert [each.status for each in results] == [
        RunStatus.POSTPONED,
        RunStatus.PAID,
    ]
    assert results[0].key == KEY
    assert results[0].reason == "PortBroken"


def test_a_sweep_reads_its_auto_pays_one_by_one() -> None:
    world = World()
    read: list[str] = []

    def stream() -> Iterator[AutoPay]:
        for number in range(1_000):
            read.append(f"ap-{number}")
            yield standing_order(id=f"ap-{number}")

    results = sweep(stream(), as_of=DAY, ports=world.ports)
    assert read == []

    first = next(results)

    assert first.key == RunKey(autopay="ap-0", nominal_on=DAY)
    assert read == ["ap-0"]


def test_a_sweep_on_something_that_is_no_date_is_refused() -> None:
    ports = World().ports

    with pytest.raises(InvalidValueError):
        list(sweep([], as_of="2026-01-31", ports=ports))  # type: ignore[arg-type]


# -- A sweep goes on with what was left ---------------------------------------


def test_r4_a_sweep_finishes_what_was_left_open_by_whomever() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order(id="ap-9"))
    world.clock.advance(minutes=2)

    results = world.sweep()

    assert [each.status for each in results] == [RunStatus.PAID]


def test_r4_recovery_reads_on_past_its_page() -> None:
    world = World(
        *[bill(f"INV-{n}", "1.00", client=f"C-{n}") for n in range(501)]
    )
    world.gateway.script(*[Fault.LOSE_ANSWER] * 501)
    orders = [
        standing_order(id=f"ap-{n:03}", enrollments=(to_client(f"C-{n}"),))
        for n in range(501)
    ]
    world.sweep(*orders)
    world.clock.advance(minutes=2)

    results = world.recover()

    assert [each.status for each in results] == [RunStatus.PAID] * 501


def test_n3_a_sweep_takes_up_a_retry_when_its_time_has_come() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    autopay = standing_order(retry=RetryPolicy(every_days=3))
    world.sweep(autopay)
    world.gateway.accept(CARD.token)
    world.clock.advance(days=2)
    assert world.sweep(autopay, as_of=date(2026, 2, 2)) == []
    world.clock.advance(days=1)

    results = world.sweep(autopay, as_of=date(2026, 2, 3))

    assert [each.status for each in results] == [RunStatus.PAID]
    assert world.record.charge_on == date(2026, 2, 3)
    assert world.record.key == KEY


def test_a_sweep_looks_at_a_doubt_of_its_auto_pay_before_its_time() -> None:
    """Nothing may be charged until it is resolved, so it asks at once."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    weekly = standing_order(schedule=Schedule.daily(DAY))
    world.run(weekly)
    world.matters.put(bill("INV-2", "50.00"))

    # Where the firm is it is the next day already.
    results = list(sweep([weekly], as_of=date(2026, 2, 1), ports=world.ports))

    assert [each.status for each in results] == [RunStatus.PAID]
    assert world.taken == [usd("120.00"), usd("50.00")]


def test_r7_the_turn_of_an_auto_pay_that_is_off_lets_its_doubt_go() -> None:
    """A worker that takes single turns knows that it is turned off."""
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order()
    occurrence = occurrence_on(autopay, DAY)
    flow = collect(
        case_of(autopay, occurrence, terms_of(world.ports), as_of=DAY)
    )
    Traced(flow, world.ports).cut(4)
    world.clock.advance(minutes=30)
    off = standing_order(off_from=DAY)

    results = Traced(
        sweep_one(off, DAY, terms_of(world.ports)), world.ports
    ).go()

    assert [each.status for each in results] == [RunStatus.CANCELLED]
    assert world.taken == []


def test_r7_a_sweep_sends_nothing_of_an_auto_pay_that_is_stopped() -> None:
    """Its intent was written, its worker died, then a stop order came."""
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order()
    occurrence = occurrence_on(autopay, DAY)
    flow = collect(
        case_of(autopay, occurrence, terms_of(world.ports), as_of=DAY)
    )
    Traced(flow, world.ports).cut(4)
    order = StopOrder(target="autopay:ap-1", active=True, by="Ann")
    stop(order, ports=world.ports)
    world.clock.advance(minutes=30)

    world.sweep(autopay)

    assert world.taken == []
    assert world.reserved() == {}
    assert world.record.state is RunState.WAITING
    assert world.record.reason == "Held"


def test_claims_leave_a_run_to_the_worker_that_has_it() -> None:
    world = World(bill("INV-1", "120.00"))
    assert world.store.claim(KEY, 60)

    busy = world.sweep(standing_order(), claim_seconds=60)
    world.clock.advance(seconds=61)
    free = world.sweep(standing_order(), claim_seconds=60)

    assert busy == []
    assert [each.status for each in free] == [RunStatus.PAID]


def test_a_claim_that_is_refused_hides_no_run() -> None:
    world, autopay = _three_months_late(MissedPolicy.ALL)
    world.clock.reach(MARCH)
    world.store.claim(KEY, 60)
    busy = world.sweep(autopay, as_of=MARCH, claim_seconds=60)
    world.clock.advance(seconds=61)

    free = world.sweep(autopay, as_of=MARCH, claim_seconds=60)

    assert busy == []
    assert [each.status for each in free] == [RunStatus.PAID] * 3


# -- N1, N2: notices ----------------------------------------------------------


def test_n1_a_notifier_that_is_down_loses_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    world.notifier.is_down = True
    result = world.run(standing_order())
    assert result.status is RunStatus.FAILED
    assert world.deliver() == 0
    assert len(world.store.undelivered(10)) == 1
    world.notifier.is_down = False

    assert world.deliver() == 1
    assert world.deliver() == 0
    assert world.told() == [NoticeKind.FAILED]


def test_n1_one_notice_that_is_never_accepted_holds_up_no_other() -> None:
    world = World(bill("INV-1", "120.00"))
    world.notifier.is_down = True
    for number in range(150):
        world.matters.put(bill(f"INV-{number}", "1.00", client=f"C-{number}"))
        world.run(
            standing_order(
                id=f"ap-{number}", enrollments=(to_client(f"C-{number}"),)
            )
        )
    world.notifier.is_down = False
    accept = world.notifier.send

    def refuses_most(notice: Notice) -> None:
        if notice.autopay != "ap-149":
            raise PortError("no such address")
        accept(notice)

    rig(world.notifier, send=refuses_most)

    world.deliver()

    assert [each.autopay for each in world.notifier.sent] == ["ap-149"]


def test_n1_notices_are_read_on_past_a_batch() -> None:
    world = World(
        *[bill(f"INV-{n}", "1.00", client=f"C-{n}") for n in range(5)]
    )
    world.notifier.is_down = True
    world.sweep(
        *[
            standing_order(id=f"ap-{n}", enrollments=(to_client(f"C-{n}"),))
            for n in range(5)
        ]
    )
    world.notifier.is_down = False

    assert drive(deliver_flow(2), answering(world.ports)) == 5
    assert len(world.notifier.sent) == 5


def test_n1_a_crash_after_the_commit_tells_it_at_the_next_sweep() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order()
    occurrence = occurrence_on(autopay, DAY)
    flow = collect(case_of(autopay, occurrence, terms_of(world.ports)))
    traced = Traced(flow, world.ports)
    traced.cut(6)
    assert traced.names[-1] == "Commit"
    assert world.told() == []

    world.sweep(autopay)

    assert world.told() == [NoticeKind.PAID]


def test_n1_a_notifier_may_raise_anything() -> None:
    world = World(bill("INV-1", "120.00"))

    def broken(*_: object) -> NoReturn:
        raise InvalidValueError("odd", code="Odd")

    rig(world.notifier, send=broken)

    assert world.run(standing_order()).status is RunStatus.PAID
    assert len(world.store.undelivered(10)) == 1


def test_n2_what_an_auto_pay_has_to_tell_is_told_once() -> None:
    world = World()
    autopay = standing_order()
    end = date(2027, 1, 31)
    for days in range(-40, 10):
        world.sweep(autopay, as_of=end + timedelta(days=days))

    told = Counter(world.told())

    assert told[NoticeKind.ENDING_SOON] == 2
    assert told[NoticeKind.ENDED] == 1


# -- N4: announcements --------------------------------------------------------


def _announced(world: World, autopay: AutoPay) -> None:
    world.sweep(autopay, as_of=DAY - timedelta(days=12))


def test_n4_a_sweep_announces_amount_and_date_in_good_time() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())

    early = world.sweep(autopay, as_of=DAY - timedelta(days=15))
    assert early == []
    [result] = world.sweep(autopay, as_of=DAY - timedelta(days=14))

    assert result.status is RunStatus.ANNOUNCED
    [notice] = world.notifier.sent
    assert notice.kind is NoticeKind.UPCOMING
    assert (notice.on, notice.amount) == (DAY, usd("120.00"))
    assert world.reserved() == {}
    assert world.sweep(autopay, as_of=DAY - timedelta(days=13)) == []


def test_n4_an_announcement_that_is_late_is_not_made() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())

    assert world.sweep(autopay, as_of=DAY - timedelta(days=9)) == []
    assert world.told() == []


def test_n4_what_was_announced_does_not_change_with_what_it_was_made_of() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    _announced(world, standing_order(advance_notice=AdvanceNotice()))
    [record] = world.records
    amounts = {"INV-1": usd("120.00"), "INV-2": usd("50.00")}

    copied = attrs.evolve(record, announced=amounts)
    amounts.clear()

    assert copied.announced is not None
    assert len(copied.announced) == 2
    assert dict(copied.announced) == {
        "INV-1": usd("120.00"),
        "INV-2": usd("50.00"),
    }


def test_n4_the_run_takes_at_most_what_was_announced() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())
    _announced(world, autopay)
    world.matters.put(bill("INV-1", "130.00"))
    world.matters.put(bill("INV-2", "40.00"))
    world.matters.put(bill("INV-3", "99.00"))

    [result] = world.sweep(autopay)

    assert {
        line.invoice.number: (line.amount, line.reason)
        for line in lines_of(result)
    } == {
        "INV-1": (usd("120"), Reason.ANNOUNCED_LIMIT),
        "INV-2": (usd("40"), Reason.PAID),
        "INV-3": (usd("0"), Reason.NOT_ANNOUNCED),
    }


def test_n4_an_announcement_that_nobody_accepted_takes_no_money() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())
    world.notifier.is_down = True
    _announced(world, autopay)
    assert world.records == ()
    world.notifier.is_down = False

    [result] = world.sweep(autopay)

    assert result.reason == "NoticeMissing"
    assert world.taken == []


def test_n4_an_announcement_is_offered_again_until_it_is_accepted() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())
    world.notifier.is_down = True
    world.sweep(autopay, as_of=DAY - timedelta(days=13))
    world.notifier.is_down = False

    [result] = world.sweep(autopay, as_of=DAY - timedelta(days=12))

    assert result.status is RunStatus.ANNOUNCED
    assert world.told() == [NoticeKind.UPCOMING]


@pytest.mark.parametrize(
    ("balance", "policy"),
    [
        ("0.00", AdvanceNotice()),
        ("120.00", AdvanceNotice(least=usd("100"), most=usd("150"))),
    ],
)
def test_n4_nothing_and_what_is_within_the_range_are_not_announced(
    balance: str, policy: AdvanceNotice
) -> None:
    world = World(bill("INV-1", balance))

    _announced(world, standing_order(advance_notice=policy))

    assert world.told() == []
    assert world.records == ()


def test_n4_a_stopped_auto_pay_announces_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    order = StopOrder(target="autopay:ap-1", active=True, by="Ann")
    stop(order, ports=world.ports)

    _announced(world, standing_order(advance_notice=AdvanceNotice()))

    assert world.told() == []


def test_n4_what_cannot_be_read_is_not_announced() -> None:
    world = World(bill("INV-1", "120.00"))

    def down(*_: object) -> NoReturn:
        raise PortUnavailableError("no connection")

    rig(world.matters, open_invoices=down)

    _announced(world, standing_order(advance_notice=AdvanceNotice()))

    assert world.told() == []


def test_n4_two_workers_announce_once() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())
    as_of = DAY - timedelta(days=12)
    traced = Traced(
        sweep_one(autopay, as_of, terms_of(world.ports)), world.ports
    )
    send = world.notifier.send

    def overtaken(notice: Notice) -> None:
        rig(world.notifier, send=send)
        world.sweep(autopay, as_of=as_of)
        send(notice)

    rig(world.notifier, send=overtaken)

    assert traced.go() == ()
    assert world.told() == [NoticeKind.UPCOMING]


# -- P2, P3: the life of a posting --------------------------------------------


def _paid(*invoices: str) -> World:
    world = World(
        *[
            bill(number, "100.00", issued=date(2026, 1, 5 + place))
            for place, number in enumerate(invoices)
        ]
    )
    world.run(standing_order())
    return world


def test_p3_postings_move_together_or_not_at_all() -> None:
    world = _paid("INV-1", "INV-2")
    read = read_postings(ports=world.ports)

    queued = advance_postings(
        read, PostingStatus.QUEUED, ports=world.ports, by="Ann"
    )
    assert queued is not None
    assert {each.status for each in queued} == {PostingStatus.QUEUED}
    stale = advance_postings(
        read,
        PostingStatus.REMOVED,
        ports=world.ports,
        by="Ann",
        note="paid by hand",
    )

    assert stale is None
    assert read_postings(PostingView.QUEUED, ports=world.ports) == list(queued)
    assert read_postings(PostingView.REMOVED, ports=world.ports) == []


def test_p2_an_applied_posting_counts_no_longer() -> None:
    world = _paid("INV-1")
    assert world.reserved() == {"INV-1": usd("100.00")}
    moved = list(read_postings(ports=world.ports))
    for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
        found = advance_postings(moved, status, ports=world.ports, by="Ann")
        assert found is not None
        moved = list(found)

    assert world.reserved() == {}


def test_p3_a_posting_that_is_named_twice_moves_once() -> None:
    world = _paid("INV-1")
    read = read_postings(ports=world.ports)

    moved = advance_postings(
        [*read, *read],
        PostingStatus.REMOVED,
        ports=world.ports,
        by="Ann",
        note="paid by hand",
    )

    assert moved is not None
    assert len(moved) == 1
    assert world.reserved() == {}


def test_p3_a_step_that_does_not_exist_is_refused() -> None:
    world = _paid("INV-1")
    read = read_postings(ports=world.ports)

    with pytest.raises(InvalidValueError):
        advance_postings(read, PostingStatus.APPLIED, ports=world.ports)


def test_n2_an_incomplete_posting_is_told() -> None:
    world = _paid("INV-1")
    read = read_postings(ports=world.ports)

    advance_postings(
        read, PostingStatus.INCOMPLETE, ports=world.ports, note="no ledger"
    )

    assert world.told()[-1] is NoticeKind.POSTING_INCOMPLETE
    assert "no ledger" in world.notifier.sent[-1].detail


def test_p3_views_and_invoices_filter_what_is_read() -> None:
    world = _paid("INV-1", "INV-2")

    found = read_postings(
        PostingView.PENDING, ports=world.ports, invoice="INV-2"
    )

    assert [each.invoice for each in found] == ["INV-2"]


def test_p3_a_thousand_postings_are_read_to_the_end() -> None:
    world = _paid(*[f"INV-{n}" for n in range(20)])
    rest = World(*[bill(f"INV-{n}", "1.00") for n in range(1_001)])
    rest.run(standing_order())

    assert len(read_postings(ports=world.ports)) == 20
    assert len(read_postings(ports=rest.ports)) == 1_001


# -- P4: money that went back -------------------------------------------------


def _back(event: str, amount: str, kind: ReversalKind) -> Reversal:
    return Reversal(
        event=event, kind=kind, amount=usd(amount), on=date(2026, 2, 3)
    )


def test_p4_what_went_back_reopens_the_newest_invoice_first() -> None:
    world = _paid("INV-1", "INV-2", "INV-3")

    result = reverse(
        KEY,
        _back("ev-1", "150.00", ReversalKind.REFUND),
        ports=world.ports,
        by="gateway",
    )

    reversals = [each for each in world.postings() if each.reverses]
    assert {each.invoice: each.amount for each in reversals} == {
        "INV-3": usd("-100"),
        "INV-2": usd("-50"),
    }
    by_invoice = {
        each.invoice: each for each in world.postings() if not each.reverses
    }
    for each in reversals:
        assert each.reverses == by_invoice[each.invoice].id
        assert each.note == "refund"
    assert result.status is RunStatus.PAID
    assert world.told()[-1] is NoticeKind.RETURNED


def test_p4_until_the_ledger_shows_it_the_amount_stays_blocked() -> None:
    world = _paid("INV-1")

    reverse(KEY, _back("e", "100", ReversalKind.RETURN), ports=world.ports)

    assert world.reserved() == {"INV-1": usd("100.00")}


def test_p4_partial_reversals_go_on_where_the_last_one_ended() -> None:
    world = _paid("INV-1", "INV-2")
    for event, amount in (("a", "30"), ("b", "90"), ("c", "80")):
        reverse(
            KEY,
            _back(event, amount, ReversalKind.REFUND),
            ports=world.ports,
        )

    net: Counter[str] = Counter()
    for each in world.postings():
        net[each.invoice] += each.amount.amount_minor
    assert net == {"INV-1": 0, "INV-2": 0}


def test_p4_an_event_that_comes_twice_is_applied_once() -> None:
    world = _paid("INV-1")
    event = _back("ev-1", "100.00", ReversalKind.CHARGEBACK)
    first = reverse(KEY, event, ports=world.ports)

    again = reverse(KEY, event, ports=world.ports)

    assert again == first
    assert len(world.postings()) == 2
    assert world.told().count(NoticeKind.RETURNED) == 1


def test_p4_an_event_that_comes_again_with_another_content_is_refused() -> (
    None
):
    world = _paid("INV-1")
    reverse(KEY, _back("e", "10", ReversalKind.REFUND), ports=world.ports)

    with pytest.raises(InvalidValueError) as caught:
        reverse(KEY, _back("e", "11", ReversalKind.REFUND), ports=world.ports)

    assert caught.value.code == "EventConflict"


def test_p4_no_more_goes_back_than_was_captured() -> None:
    world = _paid("INV-1")
    reverse(KEY, _back("a", "60", ReversalKind.RETURN), ports=world.ports)

    with pytest.raises(InvalidValueError) as caught:
        reverse(KEY, _back("b", "41", ReversalKind.REFUND), ports=world.ports)

    assert caught.value.code == "ReversalExceeds"
    assert len(world.record.reversals) == 1
    assert len(world.postings()) == 2


def test_p4_an_event_of_a_run_that_took_nothing_is_kept_by_the_host() -> None:
    world = World(bill("INV-1", "120.00"))
    with pytest.raises(InvalidValueError) as caught:
        reverse(KEY, _back("a", "60", ReversalKind.RETURN), ports=world.ports)
    assert caught.value.code == "OrphanEvent"
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())

    with pytest.raises(InvalidValueError) as caught:
        reverse(KEY, _back("a", "60", ReversalKind.RETURN), ports=world.ports)
    assert caught.value.code == "OrphanEvent"


def test_p4_two_events_at_once_are_both_applied() -> None:
    world = _paid("INV-1")
    commit = world.store.commit

    def overtaken(change: Change) -> Committed | Conflict:
        rig(world.store, commit=commit)
        reverse(KEY, _back("b", "40", ReversalKind.REFUND), ports=world.ports)
        return commit(change)

    rig(world.store, commit=overtaken)

    reverse(KEY, _back("a", "60", ReversalKind.REFUND), ports=world.ports)

    assert [each.event for each in world.record.reversals] == ["b", "a"]
    assert total(each.amount for each in world.postings()) == Money.zero("USD")


def test_p4_a_reversal_in_another_currency_is_refused() -> None:
    world = _paid("INV-1")
    other = Reversal(
        event="e",
        kind=ReversalKind.REFUND,
        amount=Money.of("1.00", "CAD"),
        on=DAY,
    )

    with pytest.raises(InvalidValueError, match="CurrencyMismatch"):
        reverse(KEY, other, ports=world.ports)


# -- Two auto-pays on one matter ----------------------------------------------


def test_a4_two_auto_pays_on_one_invoice_never_pay_more_than_is_owed() -> None:
    world = World(bill("INV-1", "120.00"))
    world.sweep(
        standing_order(limit=Limit.up_to(usd("80"))),
        standing_order(
            id="ap-2", payer="p2", enrollments=(to_client(payer="p2"),)
        ),
        standing_order(id="ap-3"),
    )

    assert world.taken == [usd("80"), usd("40")]


# -- The test that the design is for ------------------------------------------


_CUTS = st.lists(
    st.tuples(
        st.integers(0, 14), st.sampled_from([0, 1, 49_99, 80_00, 200_00])
    ),
    max_size=4,
)
_FAULTS = st.lists(
    st.sampled_from([None, *Fault]).filter(
        lambda each: (
            each not in (Fault.WRONG_AMOUNT, Fault.WRONG_KEY, Fault.PEND)
        )
    ),
    max_size=5,
)


@given(cuts=_CUTS, faults=_FAULTS, two_step=st.booleans(), bad=st.booleans())
@example(cuts=[(3, 49_99), (0, 80_00)], faults=[], two_step=False, bad=False)
@example(
    cuts=[(5, 49_99)], faults=[Fault.LOSE_ANSWER], two_step=True, bad=False
)
def test_a_run_cut_off_anywhere_and_run_again_charges_what_it_intended_once(
    cuts: list[tuple[int, int]],
    faults: list[Fault | None],
    two_step: bool,
    bad: bool,
) -> None:
    world = World(bill("INV-1", "100.00"), two_step=two_step)
    autopay = standing_order()
    if bad:
        world.gateway.decline(CARD.token)
    world.gateway.script(*[each for each in faults if each is not None])

    def check() -> None:
        intents = {
            attempt.key: attempt.amount
            for record in world.records
            for attempt in record.attempts
        }
        keys = [each.key for each in world.gateway.captured]
        assert len(set(keys)) == len(keys) <= 1
        for each in world.gateway.captured:
            assert intents[each.key] == each.amount

    for steps, balance in cuts:
        world.matters.put(
            attrs.evolve(
                bill("INV-1", "0.00"),
                balance=Money(amount_minor=balance, currency="USD"),
            )
        )
        occurrence = occurrence_on(autopay, DAY)
        flow = collect(
            case_of(autopay, occurrence, terms_of(world.ports), as_of=DAY)
        )
        Traced(flow, world.ports).cut(steps)
        check()
        world.clock.advance(minutes=2)
    for _ in range(8):
        world.sweep(autopay)
        world.gateway.flush()
        check()
        world.clock.advance(hours=1)

    assert world.record.state.is_finished
    assert total(each.amount for each in world.postings()) == total(
        world.taken
    )
    assert (world.record.state is RunState.PAID) == bool(world.taken)
    assert world.store.undelivered(10) == ()
    keys = [each.key for each in world.notifier.sent]
    assert len(keys) == len(set(keys))


def test_a_request_that_no_port_answers_is_the_hosts_fault() -> None:
    with pytest.raises(PortError, match="no port answers str"):
        answering(World().ports)("standing")  # type: ignore[arg-type]


def test_drive_returns_the_result_of_a_flow() -> None:
    def nothing() -> Flow[int]:
        yield Send(
            Notice(
                key="n",
                kind=NoticeKind.PAID,
                payer="p1",
                autopay="ap-1",
                on=DAY,
            )
        )
        return 7

    world = World()

    assert drive(nothing(), answering(world.ports)) == 7
    assert world.told() == [NoticeKind.PAID]
