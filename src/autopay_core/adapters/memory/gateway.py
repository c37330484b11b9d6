"""
Payment gateways in memory, in one step (PG-1 to PG-9) and two (TS-1 to TS-7).

Holds: `MemoryGateway`, `MemoryTwoStepGateway`, `Fault`, `Clock`. Imports:
`charges` and the values.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Final, cast, final

import attrs
from typing_extensions import override

from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.references import MethodKind

__all__ = [
    "Clock",
    "Fault",
    "MemoryGateway",
    "MemoryTwoStepGateway",
    "system_clock",
]

Clock = Callable[[], datetime]
"""Tells the time, with a zone."""


def system_clock() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)


class Fault(Enum):
    """What a gateway in memory does on demand, once for each time asked."""

    UNAVAILABLE = "unavailable"
    """Raises `PortUnavailableError`; nothing happened."""
    LOSE_REQUEST = "lose_request"
    """In doubt; the request never arrives."""
    LOSE_ANSWER = "lose_answer"
    """In doubt; the money was taken."""
    ANSWER_LATE = "answer_late"
    """In doubt; the request arrives at `flush`."""
    RAISE = "raise"
    """Takes the money, then raises an error of its own."""
    PEND = "pend"
    """A bank debit, until `settle` or `fail`."""
    WRONG_AMOUNT = "wrong_amount"
    """Answers with another amount, against PG-7."""
    WRONG_KEY = "wrong_key"
    """Answers with another key, against PG-7."""
    ANSWER_NONE = "answer_none"
    """Returns None, as a careless adapter would."""


@attrs.define(kw_only=True)
class _Executed:
    """What the gateway has on record under a key."""

    request: ChargeRequest
    outcome: Captured | Pending | Declined
    is_visible: bool = True
    is_kept: bool = True


_ONE_STEP: Final = GatewayCapabilities(
    key_retention_seconds=24 * 3600,
    lookup_settle_seconds=0,
    honours_deadline=True,
)
_TWO_STEP: Final = attrs.evolve(_ONE_STEP, two_step=True)
_Decline = Callable[..., Declined]
"""Makes the answer of a key."""


class _Machine:
    """What both forms of the gateway share: execution, records, faults."""

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        capabilities: GatewayCapabilities = _ONE_STEP,
        bank_debits_pend: bool = False,
    ) -> None:
        self.capabilities = capabilities
        self._clock = clock
        self._bank_debits_pend = bank_debits_pend
        self._lock = threading.RLock()
        self._faults: deque[Fault] = deque()
        self._declines: dict[str, _Decline] = {}
        self._prepared: dict[str, ChargeRequest] = {}
        self._executed: dict[str, _Executed] = {}
        self._late: list[tuple[str, ChargeRequest]] = []
        self._count = 0
        self.captured: list[Captured] = []
        self.hides_new_requests = False

    def script(self, *faults: Fault) -> None:
        """Do these things at the next requests, one for each."""
        self._faults.extend(faults)

    def decline(
        self,
        token: str,
        code: str = "51",
        decline_class: DeclineClass = DeclineClass.LATER,
        message: str = "The card was declined.",
    ) -> None:
        """Decline everything that *token* is charged, from now on."""
        self._declines[token] = partial(
            Declined, code=code, decline_class=decline_class, message=message
        )

    def accept(self, token: str) -> None:
        """Stop declining *token*."""
        self._declines.pop(token, None)

    def forget(self, key: str) -> None:
        """Forget a key, as after its retention: PG-1 ends there."""
        if key in self._executed:
            self._executed[key].is_kept = False

    def reveal(self) -> None:
        """Let look-ups show what was hidden by `hides_new_requests`."""
        for each in self._executed.values():
            each.is_visible = True

    def flush(self) -> int:
        """Let late requests arrive; return how many took money."""
        late, self._late = self._late, []
        before = len(self.captured)
        for key, request in late:
            try:
                self._execute(key, request)
            except PortUnavailableError:
                continue
        return len(self.captured) - before

    def settle(self, key: str) -> None:
        """Let a pending bank debit succeed."""
        with self._lock:
            known = self._pending(key)
            known.outcome = self._capture(known.request)

    def fail(
        self,
        key: str,
        code: str = "R01",
        decline_class: DeclineClass = DeclineClass.LATER,
    ) -> None:
        """Let a pending bank debit fail."""
        with self._lock:
            known = self._pending(key)
            known.outcome = Declined(
                key=known.request.key,
                code=code,
                decline_class=decline_class,
                message="The debit was returned.",
            )

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (PG-5, PG-7)."""
        with self._lock:
            known = self._executed.get(key)
            if known is None or not known.is_visible or not known.is_kept:
                return NotFound()
            return known.outcome

    def _pending(self, key: str) -> _Executed:
        known = self._executed[key]
        if not isinstance(known.outcome, Pending):
            raise InvalidValueError(
                "the debit is not pending", code="NotPending", path="key"
            )
        return known

    def _capture(self, request: ChargeRequest) -> Captured:
        self._count += 1
        captured = Captured(
            key=request.key,
            amount=request.amount,
            reference=f"pay-{self._count:06d}",
        )
        self.captured.append(captured)
        return captured

    def _execute(
        self, key: str, request: ChargeRequest, *, pends: bool = False
    ) -> _Executed:
        """Take the money, unless the key is known or the time is over."""
        with self._lock:
            known = self._executed.get(key)
            if known is not None and known.is_kept:
                if known.request.request_hash != request.request_hash:
                    raise PortError("another request", code="KeyReuse")
                return known
            if (
                self.capabilities.honours_deadline
                and request.not_after is not None
                and self._clock() > request.not_after
            ):
                raise PortUnavailableError(
                    "the deadline has passed", code="DeadlinePassed"
                )
            decline = self._declines.get(request.method.token)
            is_debit = request.method.kind is MethodKind.BANK_ACCOUNT
            outcome: Captured | Pending | Declined
            if decline is not None:
                outcome = decline(key=request.key)
            elif pends or (self._bank_debits_pend and is_debit):
                self._count += 1
                outcome = Pending(
                    key=request.key,
                    amount=request.amount,
                    reference=f"debit-{self._count:06d}",
                )
            else:
                outcome = self._capture(request)
            done = _Executed(
                request=request,
                outcome=outcome,
                is_visible=not self.hides_new_requests,
            )
            self._executed[key] = done
            return done

    def _answer(self, key: str, request: ChargeRequest) -> ChargeOutcome:
        """Execute a request with the next fault on the script, if any."""
        with self._lock:
            fault = self._faults.popleft() if self._faults else None
            if fault is Fault.UNAVAILABLE:
                raise PortUnavailableError("the gateway cannot be reached")
            if fault is Fault.LOSE_REQUEST:
                return Indeterminate(detail="the connection broke")
            if fault is Fault.ANSWER_LATE:
                self._late.append((key, request))
                return Indeterminate(detail="no answer in time")
            pends = fault is Fault.PEND
            outcome = self._execute(key, request, pends=pends).outcome
            if fault is None or pends:
                return outcome
            return _spoiled(fault, outcome)


def _spoiled(
    fault: Fault, outcome: Captured | Pending | Declined
) -> ChargeOutcome:
    """Break what comes after the money moved."""
    if fault is Fault.RAISE:
        raise RuntimeError("the adapter broke after the money moved")
    if fault is Fault.ANSWER_NONE:
        return cast("ChargeOutcome", None)
    if fault is Fault.WRONG_KEY:
        return attrs.evolve(outcome, key="ap1SOMETHINGELSE")
    if fault is Fault.WRONG_AMOUNT and not isinstance(outcome, Declined):
        more = attrs.evolve(
            outcome.amount, amount_minor=outcome.amount.amount_minor + 1
        )
        return attrs.evolve(outcome, amount=more)
    return Indeterminate(detail="the answer was lost")


@final
class MemoryGateway(_Machine):
    """
    A one-step gateway that keeps its promises, or breaks them on demand.

    Args:
        clock: Its time, for deadlines.
        capabilities: What it declares; None for a day's keys, look-ups at
            once and deadlines that hold.
        bank_debits_pend: Whether a bank account is debited in days, as in
            life, or at once.

    """

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Take the money, at most once per key (PG-1 to PG-8)."""
        return self._answer(request.key, request)


@final
class MemoryTwoStepGateway(_Machine):
    """
    A two-step gateway that keeps its promises, or breaks them on demand.

    Args:
        clock: Its time, for deadlines.
        capabilities: What it declares; None as for `MemoryGateway`.
        bank_debits_pend: Whether a bank account is debited in days.

    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        capabilities: GatewayCapabilities = _TWO_STEP,
        bank_debits_pend: bool = False,
    ) -> None:
        super().__init__(
            clock=clock,
            capabilities=capabilities,
            bank_debits_pend=bank_debits_pend,
        )

    def prepare(self, request: ChargeRequest, /) -> str:
        """Make a reference; no money moves (TS-1)."""
        with self._lock:
            reference = f"ref-{len(self._prepared) + 1:06d}"
            self._prepared[reference] = request
            return reference

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for *reference*, at most once (TS-2, TS-3)."""
        with self._lock:
            prepared = self._prepared[reference]
            if prepared.request_hash != request.request_hash:
                raise PortError("another request", code="KeyReuse")
            return self._answer(reference, request)

    @override
    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (TS-5)."""
        with self._lock:
            for each in self._executed.values():
                if each.request.key == key and each.is_visible:
                    return each.outcome
            return NotFound()
