"""
Payment gateways in memory: one step (PG-1 to PG-17), two (TS-1 to TS-17).

Holds: `MemoryGateway`, `MemoryTwoStepGateway`, `Fault`, `Clock`. Imports:
`charges` and the values.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Final, Self, cast, final

import attrs
from typing_extensions import override

from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    Moving,
    NeedsPayer,
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
    BUSY = "busy"
    """The same, with a time after which it is worth asking again."""
    REFUSE = "refuse"
    """Says no once: at `prepare`, or at `charge` (TS-9)."""
    UNPREPARED = "unprepared"
    """`prepare` raises `PortUnavailableError`; nothing was made."""
    LOSE_REQUEST = "lose_request"
    """In doubt; the request never arrives."""
    LOSE_ANSWER = "lose_answer"
    """In doubt; the money was taken."""
    ANSWER_LATE = "answer_late"
    """In doubt; the request arrives at `flush`."""
    ERROR_500 = "error_500"
    """In doubt: the money was taken, and the answer is a failure."""
    STRANGE = "strange"
    """In doubt: the money was taken, and the state is one nobody knows."""
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
    """What the gateway has on record under a key, or for a reference."""

    request: ChargeRequest
    outcome: Moving | Declined
    is_visible: bool = True
    is_kept: bool = True


_ONE_STEP: Final = GatewayCapabilities(
    key_retention_seconds=24 * 3600,
    lookup_settle_seconds=0,
    honours_deadline=True,
)
_TWO_STEP: Final = attrs.evolve(_ONE_STEP, two_step=True)
_BUSY_SECONDS: Final = 30
_PAYER_SECONDS: Final = 24 * 3600
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
        account: str = "",
        cancels: bool = False,
        finds_references: bool = False,
    ) -> None:
        self.capabilities = attrs.evolve(
            capabilities,
            account=account or capabilities.account,
            cancels=cancels or capabilities.cancels,
            finds_references=finds_references or capabilities.finds_references,
        )
        self._clock = clock
        self._bank_debits_pend = bank_debits_pend
        self._lock = threading.RLock()
        self._faults: deque[Fault] = deque()
        self._declines: dict[str, _Decline] = {}
        self._asked: dict[str, tuple[str, timedelta]] = {}
        self._prepared: dict[str, ChargeRequest] = {}
        self._executed: dict[str, _Executed] = {}
        self._cancelled: set[str] = set()
        self._late: list[tuple[str, ChargeRequest]] = []
        self._numbers = itertools.count(1)
        self.captured: list[Captured] = []
        self.hides_new_requests = False
        self.trouble: Fault | None = None

    # -- What a test tells it ------------------------------------------------

    def script(self, *faults: Fault) -> None:
        """Do these things at the next requests, one for each."""
        self._faults.extend(faults)

    def decline(
        self,
        token: str,
        code: str = "51",
        decline_class: DeclineClass = DeclineClass.LATER,
        message: str = "The card was declined.",
        not_before: datetime | None = None,
    ) -> None:
        """Decline everything that *token* is charged, from now on."""
        self._declines[token] = partial(
            Declined,
            code=code,
            decline_class=decline_class,
            message=message,
            not_before=not_before,
        )

    def accept(self, token: str) -> None:
        """Stop declining *token*, and asking its payer."""
        self._declines.pop(token, None)
        self._asked.pop(token, None)

    def ask_payer(
        self,
        token: str,
        link: str = "https://pay.example/approve",
        seconds: int = _PAYER_SECONDS,
    ) -> None:
        """
        Let the payer approve what *token* is charged, from now on.

        `settle` is the payer's yes, `fail` a no; the link ends after *seconds*
        and nothing else happens then.
        """
        self._asked[token] = link, timedelta(seconds=seconds)

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
            except PortError:
                continue
        return len(self.captured) - before

    def settle(self, key: str) -> None:
        """Let a pending bank debit succeed, or a payer approve."""
        with self._lock:
            known = self._pending(key)
            known.outcome = self._capture(known.request)

    def fail(
        self,
        key: str,
        code: str = "R01",
        decline_class: DeclineClass = DeclineClass.LATER,
    ) -> None:
        """Let a pending bank debit fail, or a payer refuse."""
        with self._lock:
            known = self._pending(key)
            known.outcome = Declined(
                key=known.request.key,
                code=code,
                decline_class=decline_class,
                message="The debit was returned.",
                account=known.outcome.account,
            )

    def at_account(self, account: str) -> Self:
        """Return the same company, seen through another of its accounts."""
        other = copy.copy(self)
        other.capabilities = attrs.evolve(self.capabilities, account=account)
        return other

    @property
    def executed(self) -> tuple[ChargeRequest, ...]:
        """Every request that was executed and is kept, declines included."""
        with self._lock:
            return tuple(each.request for each in self._executed.values())

    # -- The port ------------------------------------------------------------

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record under *key* (PG-5, PG-7)."""
        with self._lock:
            if self.trouble is not None:
                return _in_trouble(self.trouble)
            return self._told(
                each
                for each in self._under(key)
                if each.is_visible and each.is_kept
            )

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """
        Tell what became of a reference, without delay (PG-5).

        Args:
            reference: What `prepare` made, or a payment's own.
            key: The attempt's key; not needed here, for references are the
                gateway's own.

        """
        del key
        with self._lock:
            if self.trouble is not None:
                return _in_trouble(self.trouble)
            known = (
                self._executed.get(reference)
                if reference in self._prepared
                else self._with_payment(reference)
            )
            return self._told(() if known is None else (known,))

    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """
        See to it that nothing under *key* takes money any more (PG-11).

        Requests on their way included: what arrives later is refused.
        """
        del reference  # All that was prepared under the key is cancelled.
        with self._lock:
            if self.trouble is not None:
                return _in_trouble(self.trouble)
            executed = self._under(key)
            if any(
                not isinstance(each.outcome, NeedsPayer) for each in executed
            ):
                return _of_all(each.outcome for each in executed)
            # What waits for the payer has taken nothing, and will not now.
            for place, each in [*self._executed.items()]:
                if each.request.key == key:
                    del self._executed[place]
            self._cancelled.add(key)
            return Cancelled(key=key)

    # -- Inside --------------------------------------------------------------

    def _under(self, key: str) -> list[_Executed]:
        """Return all that was executed under *key*, oldest first."""
        known = self._executed.get(key)
        return [] if known is None else [known]

    def _with_payment(self, reference: str) -> _Executed | None:
        for each in self._executed.values():
            if isinstance(each.outcome, Declined):
                continue
            if each.outcome.reference == reference:
                return each
        return None

    def _told(self, executed: Iterable[_Executed]) -> LookupOutcome:
        """Return what a look-up tells of these, at this account (PG-12)."""
        account = self.capabilities.account
        outcomes = [
            each.outcome
            for each in executed
            if not account or each.outcome.account in {"", account}
        ]
        return _of_all(outcomes) if outcomes else NotFound()

    def _pending(self, key: str) -> _Executed:
        for known in self._under(key):
            if isinstance(known.outcome, (Pending, NeedsPayer)):
                return known
        raise InvalidValueError(
            "the debit is not pending", code="NotPending", path="key"
        )

    def _capture(self, request: ChargeRequest) -> Captured:
        captured = Captured(
            key=request.key,
            amount=request.amount,
            reference=f"pay-{next(self._numbers):06d}",
            account=self.capabilities.account,
            request=request.request_hash,
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
            if request.key in self._cancelled:
                raise PortUnavailableError(
                    "the key was cancelled", code="KeyCancelled"
                )
            if (
                self.capabilities.honours_deadline
                and request.not_after is not None
                and self._clock() > request.not_after
            ):
                raise PortUnavailableError(
                    "the deadline has passed", code="DeadlinePassed"
                )
            taken = len(self.captured)
            return self._taken(key, request, taken, pends=pends)

    def _taken(
        self, key: str, request: ChargeRequest, before: int, *, pends: bool
    ) -> _Executed:
        """Take the money and record it, or neither if that is interrupted."""
        known = self._executed.get(key)
        try:
            done = _Executed(
                request=request,
                outcome=self._judge(request, pends=pends),
                is_visible=not self.hides_new_requests,
            )
            self._executed[key] = done
        except BaseException:
            del self.captured[before:]
            if known is None:
                self._executed.pop(key, None)
            else:
                self._executed[key] = known
            raise
        return done

    def _judge(
        self, request: ChargeRequest, *, pends: bool
    ) -> Moving | Declined:
        """Decide what becomes of a new request."""
        account = self.capabilities.account
        decline = self._declines.get(request.method.token)
        if decline is not None:
            return decline(key=request.key, account=account)
        asked = self._asked.get(request.method.token)
        if asked is not None:
            link, time = asked
            return NeedsPayer(
                key=request.key,
                amount=request.amount,
                reference=f"ask-{next(self._numbers):06d}",
                link=link,
                until=self._clock() + time,
                account=account,
                request=request.request_hash,
            )
        is_debit = request.method.kind is MethodKind.BANK_ACCOUNT
        if pends or (self._bank_debits_pend and is_debit):
            return Pending(
                key=request.key,
                amount=request.amount,
                reference=f"debit-{next(self._numbers):06d}",
                account=account,
                request=request.request_hash,
            )
        return self._capture(request)

    def _refused(self, request: ChargeRequest) -> Declined:
        return Declined(
            key=request.key,
            code="refused",
            decline_class=DeclineClass.NEVER,
            message="The payment method cannot be used.",
            account=self.capabilities.account,
        )

    def _answer(self, key: str, request: ChargeRequest) -> ChargeOutcome:
        """Execute a request with the next fault on the script, if any."""
        with self._lock:
            fault = self._faults.popleft() if self._faults else self.trouble
            if fault in {Fault.UNAVAILABLE, Fault.UNPREPARED}:
                raise PortUnavailableError("the gateway cannot be reached")
            if fault is Fault.BUSY:
                raise _busy()
            if fault is Fault.REFUSE:
                done = _Executed(
                    request=request, outcome=self._refused(request)
                )
                return self._executed.setdefault(key, done).outcome
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


def _of_all(
    outcomes: Iterable[Moving | Declined],
) -> Moving | Declined | Indeterminate:
    """
    Return the outcome that stands for all under one key.

    Of two payments neither is the answer: a person has to look (PG-5). A
    decline says nothing beside a payment.
    """
    *_, last = found = list(outcomes)
    payments = [each for each in found if not isinstance(each, Declined)]
    if len(payments) > 1:
        return Indeterminate(detail="two payments stand under the key")
    return payments[0] if payments else last


def _busy() -> PortUnavailableError:
    return PortUnavailableError(
        "too many requests", code="Busy", retry_after=_BUSY_SECONDS
    )


def _spoiled(fault: Fault, outcome: Moving | Declined) -> ChargeOutcome:
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
    return Indeterminate(detail=_DETAILS.get(fault, "the answer was lost"))


_DETAILS: Final = {
    Fault.ERROR_500: "the answer was 500",
    Fault.STRANGE: "the payment is in a state that nobody knows",
}


def _in_trouble(trouble: Fault) -> Indeterminate:
    """Answer what moves nothing while the gateway is in trouble."""
    if trouble is Fault.BUSY:
        raise _busy()
    if trouble is Fault.UNAVAILABLE:
        raise PortUnavailableError("the gateway cannot be reached")
    return Indeterminate(detail=_DETAILS.get(trouble, "no answer came"))


@final
class MemoryGateway(_Machine):
    """
    A one-step gateway that keeps its promises, or breaks them on demand.

    Scripted faults come once; what is set as `trouble` comes at every call,
    look-ups and cancels included, until it is None again.

    Args:
        clock: Its time, for deadlines.
        capabilities: What it declares; a day's keys, look-ups at once and
            deadlines that hold, if not given.
        bank_debits_pend: Whether a bank account is debited in days, as in
            life, or at once.
        account: Which of the company's accounts is asked; outcomes name it.
        cancels: Whether it declares `cancel`.
        finds_references: Whether it declares `lookup_reference`.

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
        capabilities: What it declares; as for `MemoryGateway`.
        bank_debits_pend: Whether a bank account is debited in days.
        account: As for `MemoryGateway`.
        cancels: Whether it declares `cancel`.
        finds_references: Whether it declares `lookup_reference`.

    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        capabilities: GatewayCapabilities = _TWO_STEP,
        bank_debits_pend: bool = False,
        account: str = "",
        cancels: bool = False,
        finds_references: bool = False,
    ) -> None:
        super().__init__(
            clock=clock,
            capabilities=capabilities,
            bank_debits_pend=bank_debits_pend,
            account=account,
            cancels=cancels,
            finds_references=finds_references,
        )

    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """Make a reference; no money moves (TS-1, TS-8, TS-9)."""
        with self._lock:
            fault = self._faults[0] if self._faults else None
            if fault in {Fault.REFUSE, Fault.UNPREPARED}:
                self._faults.popleft()
            if fault is Fault.REFUSE:
                return self._refused(request)
            if self.trouble is Fault.BUSY:
                raise _busy()
            if Fault.UNPREPARED is fault or self.trouble is Fault.UNAVAILABLE:
                raise PortUnavailableError("the gateway cannot be reached")
            reference = f"ref-{len(self._prepared) + 1:06d}"
            self._prepared[reference] = request
            return reference

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for *reference*, at most once (TS-2, TS-3)."""
        with self._lock:
            prepared = self._prepared.get(reference)
            if prepared is None:
                raise PortError("no such reference", code="NoReference")
            if prepared.request_hash != request.request_hash:
                raise PortError("another request", code="KeyReuse")
            return self._answer(reference, request)

    @override
    def _under(self, key: str) -> list[_Executed]:
        """Return what was confirmed under *key*, by whichever reference."""
        return [
            each for each in self._executed.values() if each.request.key == key
        ]

    @override
    def forget(self, key: str) -> None:
        """Forget nothing: a reference is used once, for ever (TS-2)."""
