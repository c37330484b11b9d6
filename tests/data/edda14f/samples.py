"""
Values of every kind that edda14f has a format for, in every variety.

Holds: `samples`. What a firm's store holds gives the records, postings and
notices; the rest is made here. `check_variety` says what is missing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from autopay_core import (
    AccountKind,
    AdvanceNotice,
    AllocationLine,
    Association,
    AttemptRecord,
    AutoPay,
    BusinessCalendar,
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    DepositAccount,
    Enrollment,
    Indeterminate,
    Invoice,
    InvoiceStatus,
    Limit,
    MethodKind,
    MissedPolicy,
    Money,
    NotFound,
    NoticeKind,
    Occurrence,
    Order,
    Pause,
    PaymentMethodRef,
    Pending,
    PostingStatus,
    Reason,
    RetryPolicy,
    Reversal,
    ReversalKind,
    Roll,
    RunKey,
    RunRecord,
    RunState,
    Schedule,
    ScheduleKind,
    SearchResult,
    Spent,
    StopOrder,
    allocate,
)
from autopay_core.serialization import KINDS, dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firms import Firm

FIRST = date(2026, 1, 31)
TEXT = 'O\'Hara "Søn" & Müller; 50% — 東京 \\ №7'
FIELDS: dict[str, tuple[type[Enum], ...]] = {
    "account": (AccountKind,),
    "decline_class": (DeclineClass,),
    "kind": (MethodKind, NoticeKind, ReversalKind, ScheduleKind),
    "missed": (MissedPolicy,),
    "order": (Order,),
    "reason": (Reason,),
    "roll": (Roll,),
    "state": (RunState,),
    "status": (InvoiceStatus, PostingStatus),
}
"""In which field of a text which enumerations stand."""


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def samples(firms: Sequence[Firm]) -> list[Any]:
    """Return the values, the smaller kinds first."""
    found = [
        *_money_and_references(),
        *_outcomes(),
        *_schedules(),
        *_allocations(),
        *_orders(),
        *_of_stores(firms),
    ]
    check_variety(found)
    return found


def check_variety(found: Sequence[Any]) -> None:
    """Refuse values that leave out a kind, or a member of an enumeration."""
    there = {type(each) for each in found}
    missing = [name for name, kind in KINDS.items() if kind not in there]
    said = "".join(map(dumps, found))
    missing += [
        repr(member)
        for field, kinds in FIELDS.items()
        for kind in kinds
        for member in kind
        if f'"{field}":"{member.value}"' not in said
    ]
    assert not missing, missing


def _money_and_references() -> Iterator[Any]:
    yield Money.of("-0.01", "USD")
    yield Money.of("900719925474099", "JPY")
    yield Money.of("1.234", "KWD")
    yield DepositAccount(id="op-1")
    yield DepositAccount(id=TEXT, kind=AccountKind.TRUST)
    yield PaymentMethodRef(provider="acme", token="tok-8f2k41aa9c")
    yield PaymentMethodRef(
        provider="bank",
        token="ba-1",
        kind=MethodKind.BANK_ACCOUNT,
        network="ach",
        consumer=True,
        expires_on=date(2027, 12, 31),
    )
    yield RunKey(autopay="ap/ö 1", nominal_on=FIRST)
    yield SearchResult(client="C-1", client_name=TEXT)
    yield SearchResult(
        client="C-1",
        client_name="Acme",
        matter="M-1",
        matter_description=TEXT,
        invoice="INV-7",
    )
    yield Association.to_client(payer="p-1", client="C-1")
    yield Association.to_matter(payer="p-1", client="C-1", matter="M-1")
    yield _to_invoice()
    for place, status in enumerate(InvoiceStatus, start=1):
        yield _invoice(
            place,
            "80.00",
            status=status,
            due_on=None if place % 2 else FIRST,
            total=usd("90.00") if place % 3 else None,
        )


def _to_invoice() -> Association:
    return Association.to_invoice(
        payer="p-1", client="C-1", matter="M-1", invoice="INV-7"
    )


def _invoice(place: int, balance: str, **fields: Any) -> Invoice:
    return Invoice(
        number=f"INV-{place}",
        client="C-1",
        matter="M-1",
        issued_on=date(2026, 1, place),
        balance=usd(balance),
        **fields,
    )


def _outcomes() -> Iterator[Any]:
    key = "ap1MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"
    yield Captured(key=key, amount=usd("12.30"), reference="pay-000001")
    yield Pending(key=key, amount=usd("12.30"), reference="debit-000002")
    for kind in DeclineClass:
        yield Declined(key=key, code="51", decline_class=kind, message=TEXT)
    yield Indeterminate(detail=TEXT)
    yield NotFound()
    method = PaymentMethodRef(provider="acme", token="tok-8f2k41aa9c")
    yield ChargeRequest(
        key=key,
        method=method,
        amount=usd("12.30"),
        deposit_account=DepositAccount(id="op-1"),
        description=TEXT,
        not_after=datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
    )
    yield AttemptRecord(
        at=datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC), amount=usd("12.30")
    )
    yield RetryPolicy(retries_most=1, every_days=5, within_days=30)
    for back in ReversalKind:
        yield Reversal(
            event=f"evt/{back.value}", kind=back, amount=usd("1.00"), on=FIRST
        )
    yield StopOrder(
        target=StopOrder.autopay("ap-1"), active=True, by="jo", reason=TEXT
    )
    yield StopOrder(
        target=StopOrder.method(method.fingerprint), active=False, by="jo"
    )


def _calendar() -> BusinessCalendar:
    return BusinessCalendar(
        holidays=frozenset({date(2026, 7, 3), date(2026, 1, 1)}),
        weekend=frozenset({5, 6}),
        name="FED",
    )


def _schedules() -> Iterator[Any]:
    yield BusinessCalendar()
    yield _calendar()
    yield Occurrence(nominal_on=FIRST, charge_on=date(2026, 1, 30))
    yield Pause(from_on=FIRST, to_on=date(2026, 3, 1))
    yield Pause(from_on=FIRST)
    yield Schedule.once(FIRST)
    yield Schedule.daily(FIRST, every=3, count=9)
    yield Schedule.weekly(
        FIRST,
        every=2,
        weekday=5,
        roll=Roll.FOLLOWING,
        calendar=BusinessCalendar(),
    )
    yield Schedule.twice_monthly(FIRST, days=(15, "last"))
    yield Schedule.twice_monthly(
        FIRST, days=(1, 16), roll=Roll.MODIFIED_FOLLOWING, calendar=_calendar()
    )
    yield Schedule.monthly(date(2026, 2, 28), day=31, until=date(2030, 1, 1))
    yield Schedule.last_day(FIRST, roll=Roll.PRECEDING, calendar=_calendar())
    yield Schedule.quarterly(FIRST)
    yield Schedule.semiannual(FIRST, every=3)
    yield Schedule.yearly(date(2024, 2, 29))


def _allocations() -> Iterator[Any]:
    yield Limit.all("JPY")
    yield Limit.up_to(
        usd("500.00"),
        per_invoice=usd("200.00"),
        per_month=usd("900.00"),
        lifetime=usd("9999.99"),
        whole_invoices=True,
        minimum=usd("5.00"),
    )
    yield Spent(month=usd("0.00"), lifetime=usd("70.00"))
    plain = [_invoice(place, "80.00") for place in (1, 2, 3)]
    cases: list[tuple[list[Invoice], Limit, dict[str, Any]]] = [
        (plain, Limit.up_to(usd("100.00")), {}),
        (plain[:2], Limit.all("USD", per_invoice=usd("50.00")), {}),
        (plain, Limit.up_to(usd("100.00"), whole_invoices=True), {}),
        (plain[:2], Limit.all("USD"), {"minimum": usd("500.00")}),
        (plain[:2], Limit.all("USD"), {"ceilings": {"INV-1": usd("70.00")}}),
        (
            [
                *plain,
                _invoice(4, "0.00"),
                _invoice(5, "-3.00"),
                *(
                    _invoice(place, "80.00", status=status)
                    for place, status in enumerate(InvoiceStatus, start=6)
                ),
                _invoice(20, "80.00", account=AccountKind.TRUST),
                _invoice(21, "80.00", total=usd("79.00")),
                _invoice(31, "80.00"),
            ],
            Limit.all("USD"),
            {
                "open_amounts": {
                    "INV-1": usd("80.00"),
                    "INV-2": usd("90.00"),
                    "INV-3": usd("20.00"),
                },
                "ended": {"INV-6"},
                "as_of": date(2026, 1, 30),
                "order": Order.DUE,
            },
        ),
    ]
    for invoices, limit, options in cases:
        yield allocate(invoices, limit, **options)
    yield AllocationLine(
        invoice=plain[0],
        open=usd("0.00"),
        payable=usd("80.00"),
        amount=usd("50.00"),
        reason=Reason.PER_INVOICE_LIMIT,
        ceiling=usd("50.00"),
    )


def _orders() -> Iterator[Any]:
    yield AdvanceNotice()
    ahead = AdvanceNotice(days=14, least=usd("1.00"), most=usd("100.00"))
    yield ahead
    yield Enrollment(association=_to_invoice())
    enrolled = Enrollment(
        association=Association.to_client(payer="p-1", client="C-1"),
        since=FIRST,
        renewals=(date(2027, 1, 31), date(2028, 1, 31)),
    )
    yield enrolled
    plain = AutoPay(
        id="ap-1",
        payer="p-1",
        name="Acme monthly",
        method=PaymentMethodRef(provider="acme", token="tok-8f2k41aa9c"),
        deposit_account=DepositAccount(id="op-1"),
        schedule=Schedule.monthly(FIRST),
        limit=Limit.all("USD"),
        enrollments=(),
    )
    yield plain
    yield attrs.evolve(
        plain,
        name=TEXT,
        enrollments=(enrolled, Enrollment(association=_to_invoice())),
        ar_message=TEXT,
        order=Order.DUE,
        pauses=(Pause(from_on=FIRST),),
        skips=frozenset({date(2026, 4, 30), date(2026, 2, 28)}),
        missed=MissedPolicy.ALL,
        off_from=date(2028, 1, 1),
        retry=RetryPolicy(),
        advance_notice=ahead,
    )
    yield attrs.evolve(plain, missed=MissedPolicy.SKIP)


class _Seen:
    """Tells what is there for the first time."""

    def __init__(self) -> None:
        self._known: set[object] = set()

    def is_new(self, *about: object) -> bool:
        before = len(self._known)
        self._known.add(about)
        return len(self._known) > before


def _of_stores(firms: Sequence[Firm]) -> Iterator[Any]:
    """Return what stores hold, one for each way in which they differ."""
    seen = _Seen()
    for firm in firms:
        for record in firm.store.runs():
            yield from _of_a_run(record, seen)
        for notice in firm.store.notices():
            if seen.is_new(notice.kind):
                yield notice
        for name in firm.autopays:
            for posting in firm.postings(name):
                if seen.is_new(posting.status, posting.reverses is None):
                    yield posting


def _of_a_run(record: RunRecord, seen: _Seen) -> Iterator[Any]:
    for attempt in record.attempts:
        outcome = type(attempt.outcome)
        if seen.is_new(outcome, attempt.two_step, attempt.tries):
            yield attempt
    intent = record.intent
    if intent is not None and seen.is_new(intent.retry, intent.plans != ()):
        yield intent
    if seen.is_new(record.state, len(record.attempts), record.reversals):
        yield record
