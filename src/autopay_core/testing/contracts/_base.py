"""
What the contracts share: the report, races, and sample values.

Holds: `Contract`, `at_once`, `Clock` and builders of values. Imports: the
core, pytest and `plugin`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

import attrs
import pytest

from autopay_core.allocation import allocate
from autopay_core.charges import Captured, ChargeRequest, Declined, Pending
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.references import DepositAccount, PaymentMethodRef, RunKey
from autopay_core.runs import Attempt, Intent, RunRecord, RunState
from autopay_core.testing import plugin

_T = TypeVar("_T")

START: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAYS: Final = tuple(date(2026, month, 28) for month in range(1, 13))
METHOD: Final = PaymentMethodRef(provider="kit", token="tok_kit_0001")  # noqa: S106 - no secret
OTHER_METHOD: Final = PaymentMethodRef(provider="kit", token="tok_kit_0002")  # noqa: S106 - no secret
ACCOUNT: Final = DepositAccount(id="kit-operating")
RACERS: Final = 16
"""How many writers race where one may win."""


class Contract:
    """The base of every contract: it tells the report what was proven."""

    @pytest.fixture(autouse=True)
    def tell_the_report(
        self,
        request: pytest.FixtureRequest,
        record_property: Callable[[str, object], None],
    ) -> None:
        """Note which clause of which class this test is about."""
        plugin.register(request.config)
        clause = plugin.clause_of(request.function.__name__)
        if clause is not None:
            record_property(plugin.PROPERTY, f"{type(self).__name__} {clause}")


class Clock:
    """Time that a test moves; hand it to the store."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Return what time it is."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds, or back."""
        self.at += timedelta(seconds=seconds)


def at_once(count: int, function: Callable[[int], _T]) -> list[_T | Exception]:
    """Call *function* with 0, 1 … from so many threads at one moment."""
    barrier = threading.Barrier(count)

    def call(place: int) -> _T | Exception:
        barrier.wait(30)
        try:
            return function(place)
        except Exception as error:  # noqa: BLE001 - it is a result here
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


# -- Values -------------------------------------------------------------------


def usd(cents: int) -> Money:
    """Return US dollars."""
    return Money(amount_minor=cents, currency="USD")


def run_key(
    autopay: str = "ap-1", on: date = DAYS[0], number: int = 0
) -> RunKey:
    """Return a run's identity."""
    return RunKey(autopay=autopay, nominal_on=on, number=number)


def invoice(
    number: str,
    cents: int,
    *,
    client: str = "C-1",
    matter: str | None = None,
    issued_on: date = date(2026, 1, 2),
) -> Invoice:
    """Return an open invoice."""
    return Invoice(
        number=number,
        client=client,
        matter=f"M-{client}" if matter is None else matter,
        issued_on=issued_on,
        balance=usd(cents),
    )


def intended(
    key: RunKey,
    *invoices: Invoice,
    at: datetime = START,
    method: PaymentMethodRef = METHOD,
    before: RunRecord | None = None,
) -> RunRecord:
    """Return a run that means to pay invoices, as the core writes it."""
    allocation = allocate(
        invoices or (invoice("INV-1", 10_000),), Limit.all("USD")
    )
    attempts = () if before is None else before.attempts
    number = len(attempts) + 1
    request = ChargeRequest(
        key=f"k{number}-{key.autopay!a}-{key.nominal_on:%y%m%d}"
        + (f"-{key.number}" if key.number else ""),
        method=method,
        amount=allocation.total,
        deposit_account=ACCOUNT,
        description="Kit",
        not_after=at + timedelta(minutes=10),
    )
    attempt = Attempt(
        number=number,
        key=request.key,
        amount=request.amount,
        method=method.fingerprint,
        began_at=at,
        deadline=at + timedelta(minutes=10),
        request_hash=request.request_hash,
    )
    return RunRecord(
        key=key,
        payer="p-1",
        version=1 if before is None else before.version + 1,
        state=RunState.OPEN,
        charge_on=key.nominal_on,
        attempts=(*attempts, attempt),
        intent=Intent(
            allocation=allocation,
            request=request,
            ar_message="Thank you",
            name="Kit",
        ),
        next_try_at=at + timedelta(minutes=1),
    )


def stepped(
    before: RunRecord,
    state: RunState,
    outcome: Captured | Pending | Declined | None = None,
) -> RunRecord:
    """Return a run one step further."""
    attempts = before.attempts
    if outcome is not None:
        last = attrs.evolve(attempts[-1], outcome=outcome)
        attempts = (*attempts[:-1], last)
    return attrs.evolve(
        before,
        version=before.version + 1,
        state=state,
        attempts=attempts,
        next_try_at=None,
    )


def paid(before: RunRecord, captured: Money | None = None) -> RunRecord:
    """Return an open run once its money, or a part of it, was captured."""
    attempt = before.attempts[-1]
    outcome = Captured(
        key=attempt.key,
        amount=attempt.amount if captured is None else captured,
        reference=f"pay-{attempt.key}",
    )
    return stepped(before, RunState.PAID, outcome)


def plain(key: RunKey, state: RunState) -> RunRecord:
    """Return a run that charges nothing."""
    return RunRecord(
        key=key, payer="p-1", version=1, state=state, charge_on=key.nominal_on
    )


def notice(key: str = "n-1") -> Notice:
    """Return a notice."""
    return Notice(
        key=key,
        kind=NoticeKind.PAID,
        payer="p-1",
        autopay="ap-1",
        on=DAYS[0],
        name="Kit",
        amount=usd(100),
        detail="Two invoices were paid.",
    )
