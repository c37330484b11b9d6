"""
Runs, postings and notices as a store keeps them, for tests of stores.

Holds: `intend` and what comes `after` it, `paid`, `notice`; the clock that a
test moves; and `Awaited`, an awaitable store for tests that do not await.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs

from autopay_core.allocation import allocate
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    Pending,
)
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.references import DepositAccount, PaymentMethodRef, RunKey
from autopay_core.runs import (
    Attempt,
    Intent,
    RunRecord,
    RunState,
)

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
AUTOPAYS = ["ap-1", "ap/2", "ä-3"]
DATES = [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
METHOD = PaymentMethodRef(provider="acme", token="tok_8f2k41zzqx")
ACCOUNT = DepositAccount(id="op-1")
# The same number under two clients must still count as one invoice (PS-5).
INVOICES = [
    Invoice(
        number=number,
        client=client,
        matter=f"M-{client}",
        issued_on=date(2026, 1, place + 1),
        balance=Money.of("9.00", "USD"),
    )
    for place, (number, client) in enumerate(
        [("INV-1", "C-1"), ("INV-2", "C-1"), ("INV-3", "C-2"), ("1", "C-2")]
    )
]
SHARED = attrs.evolve(INVOICES[0], client="C-2", matter="M-C-2")


class TestClock:
    """A clock that a test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def key_of(autopay: str, on: date) -> RunKey:
    return RunKey(autopay=autopay, nominal_on=on)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def intend(
    key: RunKey,
    invoices: Sequence[Invoice],
    minor: int,
    *,
    now: datetime = START,
    method: PaymentMethodRef = METHOD,
    before: RunRecord | None = None,
    state: RunState = RunState.OPEN,
) -> RunRecord:
    """Return an open run that pays *invoices* up to an amount."""
    allocation = allocate(invoices, Limit.up_to(usd(minor)))
    attempts = () if before is None else before.attempts
    number = len(attempts) + 1
    request = ChargeRequest(
        key=f"k-{abs(hash((key, number))) % 10**9}",
        method=method,
        amount=allocation.total,
        deposit_account=ACCOUNT,
        description="Acme",
        not_after=now + timedelta(minutes=10),
    )
    attempt = Attempt(
        number=number,
        key=request.key,
        amount=request.amount,
        method=method.fingerprint,
        began_at=now,
        deadline=now + timedelta(minutes=10),
        request_hash=request.request_hash,
    )
    return RunRecord(
        key=key,
        payer="p-1",
        version=1 if before is None else before.version + 1,
        state=state,
        charge_on=key.nominal_on,
        attempts=(*attempts, attempt),
        intent=Intent(
            allocation=allocation, request=request, ar_message="AutoPay"
        ),
        next_try_at=now + timedelta(minutes=1),
    )


def after(
    record: RunRecord,
    state: RunState,
    outcome: Captured | Pending | Declined | None = None,
    **fields: Any,
) -> RunRecord:
    """Return the next version of a run."""
    attempts = record.attempts
    if outcome is not None:
        attempts = (
            *attempts[:-1],
            attrs.evolve(attempts[-1], outcome=outcome),
        )
    return attrs.evolve(
        record,
        version=record.version + 1,
        state=state,
        attempts=attempts,
        **fields,
    )


def captured(record: RunRecord) -> Captured:
    attempt = record.attempts[-1]
    return Captured(
        key=attempt.key, amount=attempt.amount, reference=f"pay-{attempt.key}"
    )


def paid(record: RunRecord) -> RunRecord:
    return after(record, RunState.PAID, captured(record), next_try_at=None)


def notice(key: str, kind: NoticeKind = NoticeKind.PAID) -> Notice:
    return Notice(
        key=key,
        kind=kind,
        payer="p-1",
        autopay="ap-1",
        on=DATES[0],
        amount=usd(100),
        detail='Paid "in part" \\ \u2013 ok',
    )


class Awaited:
    """An awaitable store, called from tests that do not await."""

    def __init__(self, store: Any, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any) -> Any:
            made = method(*args)
            if hasattr(made, "__aiter__"):
                return self._runner.run(_collect(made))
            return self._runner.run(_await(made))

        return call


async def _await(made: Any) -> Any:
    return await made


async def _collect(made: Any) -> list[Any]:
    return [each async for each in made]
