"""
The second half of the table of bad inputs: schedules, runs, answers (E2).

Rows as in `bad_inputs`. An outcome is how the run ended, with its code, what
the gateway took by its own books, and what people were told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import attrs

from autopay_core.adapters.memory import Fault
from autopay_core.associations import InvoicePage
from autopay_core.autopay import AdvanceNotice, edit, renew
from autopay_core.business_days import BusinessCalendar
from autopay_core.calls import preview, restored, reverse, run, stop, sweep
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    NotFound,
    Pending,
)
from autopay_core.commits import StopOrder
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import Pause, Schedule
from bad_inputs import PAN, Expected, Refused
from worlds import (
    BANK,
    CARD,
    DAY,
    START,
    World,
    bill,
    rig,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

_YEAR_UP = date(2027, 1, 31)
Told: TypeAlias = tuple[str, str, list[str], list[str]]
"""Status, code, what was taken, and the kinds of notices."""

FAILED = [NoticeKind.FAILED.value]
LATE = [NoticeKind.INCIDENT.value]
KEY = RunKey(autopay="ap-1", nominal_on=DAY)
NEXT = date(2026, 2, 28)


def ends(status: RunStatus, code: str, *taken: str, told: Any = ()) -> Told:
    """Return an outcome."""
    return (status.value, code, list(taken), list(told))


def running(
    prepare: Callable[[World], object] = lambda _: None,
    *,
    on: date = DAY,
    two_step: bool = False,
    **changes: object,
) -> Callable[[], Told]:
    """Run an auto-pay of INV-1 over 120.00 in a world that was prepared."""

    def provoke() -> Told:
        world = World(bill("INV-1", "120.00"), two_step=two_step)
        prepare(world)
        if type(on) is date and on > DAY:
            world.clock.reach(on)
        # Not `world.run`, which sets a clock right.
        order: Any = standing_order(**changes)
        result = run(order, on=on, ports=world.ports)
        return _told(world, result.status, result.reason)

    return provoke


def sweeping(
    prepare: Callable[[World], object], *more: object
) -> Callable[[], list[str]]:
    """Sweep over bad auto-pays and a good one; return how each ended."""

    def provoke() -> list[str]:
        world = World(bill("INV-1", "120.00"))
        prepare(world)
        orders: Any = [*more, standing_order()]
        return [each.status.value for each in world.sweep(*orders)]

    return provoke


def _told(world: World, status: RunStatus, code: str) -> Told:
    taken = [str(each) for each in world.taken]
    return (status.value, code, taken, [each.value for each in world.told()])


def answering(outcome: object) -> Callable[[World], None]:
    """Let the gateway answer with anything, and know nothing of it later."""

    def prepare(world: World) -> None:
        rig(world.gateway, charge=lambda _: outcome)

    return prepare


def raising(
    error: BaseException, port: str = "gateway", method: str = "charge"
) -> Callable[[World], None]:
    """Let a port raise anything."""

    def broken(*_: object) -> NoReturn:
        raise error

    def prepare(world: World) -> None:
        rig(getattr(world, port), **{method: broken})

    return prepare


def paging(*pages: InvoicePage) -> Callable[[World], None]:
    """Let the matter data answer with these pages."""

    def prepare(world: World) -> None:
        left = list(pages)
        rig(world.matters, open_invoices=lambda _: left.pop(0))

    return prepare


def _captured(**changes: Any) -> Callable[[World], None]:
    """Answer with a capture of something else than was asked for."""

    def prepare(world: World) -> None:
        def charge(request: Any) -> ChargeOutcome:
            right = Captured(
                key=request.key, amount=request.amount, reference="pay-1"
            )
            return attrs.evolve(right, **changes)

        rig(world.gateway, charge=charge, lookup=lambda _: NotFound())

    return prepare


def _schedules() -> Iterator[Refused | Expected]:
    yield Refused(
        20,
        "an auto-pay without a limit",
        partial(standing_order, limit=None),
        InvalidValueError,
        "CapMissing",
        "limit",
    )
    yield Refused(
        29,
        "no schedule",
        partial(standing_order, schedule=None),
        InvalidValueError,
        "ScheduleNotFound",
        "schedule",
    )
    yield Refused(
        25,
        "a run on a date that is none of the schedule",
        running(on=date(2026, 2, 1)),
        InvalidValueError,
        "OccurrenceNotDue",
        "on",
    )
    yield Refused(
        25,
        "a run before the first date",
        running(on=date(2025, 12, 31)),
        InvalidValueError,
        "OccurrenceNotDue",
        "on",
    )
    yield Refused(
        25,
        "a run after the year",
        running(on=date(2027, 1, 31)),
        InvalidValueError,
        "OccurrenceNotDue",
        "on",
    )
    yield Refused(
        24,
        "a run in a pause",
        running(pauses=(Pause(from_on=DAY),)),
        InvalidValueError,
        "OccurrenceNotDue",
        "on",
    )
    yield Expected(
        24,
        "turned off before the run",
        running(off_from=DAY),
        ends(RunStatus.CANCELLED, "Off"),
    )
    edited = partial(edit, standing_order(), as_of=DAY)
    nothing = date(2026, 2, 27)
    for what, provoke, code, path in (
        (
            "a skip of no date",
            partial(edited, skips=frozenset({nothing})),
            "OccurrenceNotDue",
            "skips",
        ),
        (
            "a pause of no date",
            partial(
                edited,
                pauses=(Pause(from_on=nothing, to_on=date(2026, 2, 28)),),
            ),
            "OccurrenceNotDue",
            "pauses",
        ),
        (
            "a move of no date",
            partial(edited, moves={nothing: date(2026, 3, 1)}),
            "MoveInvalid",
            "moves",
        ),
    ):
        yield Refused(25, what, provoke, InvalidValueError, code, path)
    yield Refused(
        30,
        "the same renewal twice",
        lambda: renew(renew(standing_order(), _YEAR_UP), _YEAR_UP),
        InvalidValueError,
        "RenewalTooEarly",
        "as_of",
    )
    yield Refused(
        27,
        "a date as text",
        running(on="2026-1-31"),  # type: ignore[arg-type]
        InvalidValueError,
        "DateType",
        "on",
    )
    yield Refused(
        41,
        "a datetime without zone as date",
        running(on=datetime(2026, 1, 31)),  # noqa: DTZ001
        InvalidValueError,
        "NaiveDatetime",
        "on",
    )
    yield Refused(
        42,
        "a date out of range",
        running(on=date(9999, 12, 31)),
        InvalidValueError,
        "DateOutOfRange",
        "on",
    )
    yield Refused(
        26,
        "two days that may be one",
        lambda: Schedule.twice_monthly(DAY, days=(31, "last")),
        InvalidValueError,
        "DaysInvalid",
        "days",
    )
    yield Refused(
        26,
        "a calendar without open days",
        lambda: BusinessCalendar(weekend=frozenset(range(1, 8))),
        InvalidValueError,
        "CalendarClosed",
        "weekend",
    )
    yield Expected(
        30,
        "the same run twice",
        _twice,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    for number, what, left in (
        (52, "a balance that falls meanwhile, and another run pays", "90"),
        (53, "an invoice that is gone meanwhile, for another run pays", "0"),
    ):
        yield Expected(
            number,
            what,
            partial(_overtaken, left),
            ends(RunStatus.PAID, "", "USD 30.00", "USD 60.00")
            if left != "0"
            else ends(RunStatus.NOTHING_DUE, "NothingDue", "USD 30.00"),
        )
    yield Expected(
        63,
        "a token that is replaced after the request was sent",
        _replaced,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    yield Refused(
        59,
        "an auto-pay without a payer",
        partial(standing_order, payer=""),
        InvalidValueError,
        "FieldMissing",
        "payer",
    )
    yield Expected(
        59,
        "an auto-pay whose payer the host has turned off",
        running(
            lambda world: stop(
                StopOrder(
                    target=StopOrder.autopay("ap-1"), active=True, by="Ann"
                ),
                ports=world.ports,
            )
        ),
        ends(RunStatus.WAITING, "Held", told=LATE),
    )
    yield Expected(
        22,
        "a limit that was lowered after the intent",
        _lowered,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    yield Refused(
        64,
        "an agreed range in another currency than the limit",
        partial(
            standing_order,
            limit=Limit.all("CAD"),
            advance_notice=AdvanceNotice(least=usd("1"), most=usd("2")),
        ),
        _error("CurrencyMismatchError"),
        "CurrencyMismatch",
        "advance_notice",
    )
    yield Expected(
        64,
        "a debit that was not announced",
        running(advance_notice=AdvanceNotice()),
        ends(RunStatus.CANCELLED, "NoticeMissing", told=FAILED),
    )


def _error(name: str) -> Any:
    from autopay_core import errors

    return getattr(errors, name)


def _twice() -> Told:
    world = World(bill("INV-1", "120.00"))
    first = world.run(standing_order())
    again = world.run(standing_order())
    assert first == again
    return _told(world, again.status, again.reason)


def _lowered() -> Told:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(minutes=2)
    result = world.run(standing_order(limit=Limit.up_to(usd("1"))))
    return _told(world, result.status, result.reason)


def _overtaken(left: str) -> Told:
    """Let another run pay 30.00 after the balance was read."""
    world = World(bill("INV-1", "120.00"))
    read = world.matters.open_invoices
    other = standing_order(id="ap-2", limit=Limit.up_to(usd("30")))

    def overtaken(query: Any) -> InvoicePage:
        page = read(query)
        rig(world.matters, open_invoices=read)
        world.run(other)
        world.matters.put(bill("INV-1", left))
        return page

    rig(world.matters, open_invoices=overtaken)
    result = world.run(standing_order())
    return (
        result.status.value,
        result.reason,
        [str(each) for each in world.taken],
        [],
    )


def _replaced() -> Told:
    """Nothing is sent again on the old method; the new one takes over (R9)."""
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    other = attrs.evolve(CARD, token="tok_other_0001")
    world.clock.advance(minutes=2)
    assert world.run(standing_order(method=other)).status is RunStatus.OPEN
    assert world.taken == []
    world.clock.advance(minutes=20)  # by then its absence is proven
    result = world.run(standing_order(method=other))
    methods = [each.method for each in world.record.attempts]
    assert methods == [CARD.fingerprint, other.fingerprint]
    return _told(world, result.status, result.reason)


def _contradicted() -> Told:
    """Let the gateway decline what it said it had captured."""
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    declined = Declined(key=world.record.attempts[0].key, code="05")
    rig(
        world.gateway,
        charge=lambda _: declined,
        lookup=lambda _: declined,
    )
    world.clock.advance(hours=2)
    assert world.recover() == []
    result = world.run(standing_order())
    return _told(world, result.status, result.reason)


def _reads() -> Iterator[Refused | Expected]:
    for what, number, pages in (
        (
            "a page that is missing",
            50,
            (InvoicePage(invoices=(bill("INV-1", "1.00"),), total=2),),
        ),
        (
            "a page token that comes again",
            50,
            (
                InvoicePage(invoices=(), next_page="1"),
                InvoicePage(invoices=(), next_page="1"),
            ),
        ),
        (
            "a row twice where another should be",
            51,
            (
                InvoicePage(
                    invoices=(bill("INV-1", "1.00"),), next_page="1", total=2
                ),
                InvoicePage(invoices=(bill("INV-1", "1.00"),), total=2),
            ),
        ),
    ):
        yield Expected(
            number,
            what,
            running(paging(*pages)),
            ends(RunStatus.WAITING, "IncompleteRead", told=LATE),
        )
    yield Expected(
        36,
        "an invoice of somebody else",
        running(
            paging(
                InvoicePage(invoices=(bill("INV-1", "1.00", client="C-9"),))
            )
        ),
        ends(RunStatus.WAITING, "OnlyForeign", told=LATE),
    )
    yield Expected(
        97,
        "None for a page",
        sweeping(lambda world: rig(world.matters, open_invoices=_nothing)),
        ["waiting"],
    )
    yield Expected(
        55,
        "an auto-pay without associations",
        running(enrollments=()),
        ends(RunStatus.NOTHING_DUE, "NoAssociations"),
    )
    yield Refused(
        37,
        "an auto-pay with an association of another payer",
        partial(standing_order, enrollments=(to_client(payer="p9"),)),
        InvalidValueError,
        "AssociationOwnership",
        "enrollments[0].payer",
    )
    yield Expected(
        58,
        "an association twice",
        running(enrollments=(to_client(), to_client())),
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    for error, code in (
        (PortUnavailableError("down"), "PortUnavailable"),
        (KeyError("balance"), "PortBroken"),
        (RecursionError(), "PortBroken"),
    ):
        yield Expected(
            97,
            f"matter data that raises {type(error).__name__}",
            running(raising(error, "matters", "open_invoices")),
            ends(RunStatus.WAITING, code, told=LATE),
        )


def _nothing(_: object) -> None:
    return None


def _methods() -> Iterator[Refused | Expected]:
    yield Refused(
        60,
        "no payment method",
        partial(standing_order, method=None),
        InvalidValueError,
        "PaymentMethodInvalid",
        "method",
    )
    yield Refused(
        61,
        "a card number as token",
        lambda: standing_order(method=attrs.evolve(CARD, token=PAN)),
        InvalidValueError,
        "PanDetected",
        "token",
    )
    yield Refused(
        61,
        "a card number in the A/R message",
        partial(standing_order, ar_message=f"card {PAN}"),
        InvalidValueError,
        "PanDetected",
        "ar_message",
    )
    yield Expected(
        61,
        "a card number in what a gateway says",
        running(raising(PortUnavailableError(f"{PAN} refused"))),
        ends(RunStatus.WAITING, "PortUnavailable", told=LATE),
    )
    yield Expected(
        62,
        "a card whose month is over: the network may know a newer one",
        running(method=attrs.evolve(CARD, expires_on=date(2020, 1, 31))),
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    yield Expected(
        60,
        "a method that the gateway refuses",
        running(
            lambda world: world.gateway.decline(
                CARD.token, "14", DeclineClass.FIX_FIRST
            ),
            retry=RetryPolicy(),
        ),
        ends(RunStatus.WAITING, "Declined", told=FAILED),
    )
    yield Expected(
        91,
        "a decline with a code that nobody knows",
        running(
            lambda world: world.gateway.decline(
                CARD.token, "??", DeclineClass.UNKNOWN
            ),
            retry=RetryPolicy(),
        ),
        ends(RunStatus.FAILED, "Declined", told=FAILED),
    )
    yield Expected(
        65,
        "a bank account with a code that is never presented again",
        running(
            lambda world: world.gateway.decline(BANK.token, "R02"),
            method=BANK,
            retry=RetryPolicy(),
        ),
        ends(RunStatus.WAITING, "Declined", told=FAILED),
    )
    yield Expected(
        60,
        "a method that was removed before the run",
        running(
            lambda world: stop(
                StopOrder(
                    target=StopOrder.method(CARD.fingerprint),
                    active=True,
                    by="Ann",
                ),
                ports=world.ports,
            )
        ),
        ends(RunStatus.WAITING, "Held", told=LATE),
    )
    for changes, path in (
        ({"retries_most": 9}, "retries_most"),
        ({"every_days": 0}, "every_days"),
    ):
        yield Refused(
            65,
            f"a retry policy out of range: {path}",
            partial(RetryPolicy, **changes),
            InvalidValueError,
            "OutOfRange",
            path,
        )


def _answers() -> Iterator[Refused | Expected]:
    for what, answer in (
        ("None", None),
        ("a dict", {"status": "succeeded"}),
        ("text", "succeeded"),
        ("True", True),
        ("not found", NotFound()),
    ):
        yield Expected(
            86 if answer else 97,
            f"a gateway that answers with {what}",
            running(answering(answer)),
            ends(RunStatus.OPEN, "Indeterminate"),
        )
    for error in (
        KeyError("id"),
        ValueError("<html>"),
        TimeoutError(),
        PortError("conflict"),
        MemoryError(),
        StopIteration(),
    ):
        yield Expected(
            87,
            f"a gateway that raises {type(error).__name__}",
            running(raising(error)),
            ends(RunStatus.OPEN, "Indeterminate"),
        )
    yield Expected(
        92,
        "a gateway that cannot be reached",
        running(lambda world: world.gateway.script(Fault.UNAVAILABLE)),
        ends(RunStatus.WAITING, "PortUnavailable", told=LATE),
    )
    for what, changes in (
        ("another amount", {"amount": usd("120.01")}),
        ("a part of the amount", {"amount": usd("60.00")}),
        ("another key", {"key": "other"}),
    ):
        yield Expected(
            90 if "part" in what else 88,
            f"success with {what}",
            running(_captured(**changes)),
            ends(
                RunStatus.REVIEW,
                "GatewayMismatch",
                told=[NoticeKind.NEEDS_REVIEW.value, *FAILED],
            ),
        )
    yield Expected(
        89,
        "success, and a decline of the same key later",
        _contradicted,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    yield Expected(
        12,
        "more than the gateway's largest charge",
        running(
            lambda world: setattr(
                world.gateway,
                "capabilities",
                GatewayCapabilities(maximum_minor=100),
            )
        ),
        ends(RunStatus.FAILED, "ChargeTooLarge", told=FAILED),
    )
    yield Refused(
        86,
        "a pending answer without reference",
        partial(Pending, key="k", amount=usd("1"), reference=""),
        InvalidValueError,
        "FieldMissing",
        "reference",
    )
    yield Refused(
        94,
        "a return of a run that took nothing",
        partial(_return, "1.00", is_paid=False),
        InvalidValueError,
        "OrphanEvent",
        "key",
    )
    yield Refused(
        95,
        "a return of more than was taken",
        partial(_return, "120.01"),
        InvalidValueError,
        "ReversalExceeds",
        "amount",
    )
    yield Refused(
        95,
        "a second return of the whole",
        partial(_return, "120.00", "120.00"),
        InvalidValueError,
        "ReversalExceeds",
        "amount",
    )


def _return(*amounts: str, is_paid: bool = True) -> None:
    world = World(bill("INV-1", "120.00"))
    if is_paid:
        world.run(standing_order())
    for place, amount in enumerate(amounts):
        back = Reversal(
            event=f"ev-{place}",
            kind=ReversalKind.RETURN,
            amount=usd(amount),
            on=NEXT,
        )
        reverse(KEY, back, ports=world.ports)


def _environment() -> Iterator[Refused | Expected]:
    yield Expected(
        98,
        "a clock that jumps back by an hour",
        running(lambda world: world.clock.advance(hours=-1)),
        ends(RunStatus.POSTPONED, "ClockSuspect", told=LATE),
    )
    yield Expected(
        98,
        "a clock in the year 1970",
        running(
            lambda world: setattr(
                world.clock, "at", datetime(1970, 1, 1, tzinfo=UTC)
            )
        ),
        ends(RunStatus.POSTPONED, "ClockSuspect", told=LATE),
    )
    yield Expected(
        102,
        "a notifier that is down",
        running(lambda world: setattr(world.notifier, "is_down", True)),
        ends(RunStatus.PAID, "", "USD 120.00"),
    )
    yield Expected(
        99,
        "a store that is read-only",
        sweeping(
            raising(PortUnavailableError("read-only"), "store", "commit")
        ),
        ["postponed"],
    )
    for strange in (None, 7, "ap-1", object()):
        yield Expected(
            82,
            f"{type(strange).__name__} among the auto-pays of a sweep",
            sweeping(lambda _: None, strange),
            ["postponed", "paid"],
        )
    yield Refused(
        42,
        "a preview on no date",
        lambda: preview(
            standing_order(),
            on=None,  # type: ignore[arg-type]
            ports=World().ports,
        ),
        InvalidValueError,
        "FieldMissing",
        "on",
    )
    yield Refused(
        42,
        "a sweep on no date",
        lambda: list(
            sweep((), as_of=None, ports=World().ports)  # type: ignore[arg-type]
        ),
        InvalidValueError,
        "FieldMissing",
        "as_of",
    )
    yield Expected(
        101,
        "a store restored from yesterday",
        _restored,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )
    yield Expected(
        96,
        "a process that is interrupted after the money moved",
        _interrupted,
        ends(RunStatus.PAID, "", "USD 120.00", told=["paid"]),
    )


def _restored() -> Told:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    again = World(bill("INV-1", "120.00"))
    again.gateway = world.gateway
    again.clock.advance(seconds=timedelta(hours=1).total_seconds())
    lost = world.store.standing(KEY, "").store
    restored(since=START, stores=[lost], by="Ann", ports=again.ports)
    result = again.run(standing_order())
    return _told(again, result.status, result.reason)


def _interrupted() -> Told:
    world = World(bill("INV-1", "120.00"))
    charge = world.one_step.charge

    def interrupted(request: Any) -> NoReturn:
        charge(request)
        raise KeyboardInterrupt

    rig(world.gateway, charge=interrupted)
    try:
        world.run(standing_order())
    except KeyboardInterrupt:
        assert world.record.state is RunState.OPEN
    rig(world.gateway, charge=charge)
    world.clock.advance(minutes=10)
    [result] = world.recover()
    return _told(world, result.status, result.reason)


def _orders() -> Iterator[Refused | Expected]:
    for field, value, code, error in (
        ("id", "", "FieldMissing", InvalidValueError),
        ("id", "x" * 129, "FieldTooLong", InvalidValueError),
        ("id", "a\x00b", "ControlCharacter", InvalidValueError),
        ("payer", None, "FieldMissing", InvalidValueError),
        ("name", " ", "FieldMissing", InvalidValueError),
        ("name", "x" * 201, "FieldTooLong", InvalidValueError),
        ("ar_message", "a\r\nBcc: b", "ControlCharacter", InvalidValueError),
        ("ar_message", "x" * 1_001, "FieldTooLong", InvalidValueError),
        ("order", "oldest", "FieldType", InvalidValueError),
        ("missed", None, "FieldType", InvalidValueError),
        ("deposit_account", "op", "FieldType", InvalidValueError),
        ("skips", {DAY}, "FieldType", InvalidValueError),
    ):
        yield Refused(
            66,
            f"an auto-pay whose {field} is {str(value)[:9]!a} ({code})",
            partial(standing_order, **{field: value}),
            error,
            code,
            field,
        )


def _made(order: AutoPay) -> str:
    return order.name


ROWS: list[Refused | Expected] = [
    *_schedules(),
    *_reads(),
    *_methods(),
    *_answers(),
    *_environment(),
    *_orders(),
    Expected(
        71,
        "a name that looks like a template",
        lambda: _made(standing_order(name="{{7*7}} %s {0.__class__}")),
        "{{7*7}} %s {0.__class__}",
    ),
]
"""The rows about schedules, runs, methods, answers and the environment."""
