"""
Gateways that break a promise each, and the clauses that the kit must blame.

As `broken_adapters`, of which these are a part. Most are what a real adapter
gets wrong: a word of the company's that is mapped too boldly, its units, its
many answers under one key.
"""

# Whatever is inside is passed on as it comes.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from autopay_core.adapters.memory import MemoryTwoStepGateway
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.money import Money
from autopay_core.testing.contracts import (
    PaymentGatewayContract,
    TwoStepGatewayContract,
)
from test_contracts_memory import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable


class Spoiled:
    """Passes on everything that it does not spoil."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _is_doubt(outcome: object, why: str) -> bool:
    """Tell whether the company left it open, for such a reason."""
    return isinstance(outcome, Indeterminate) and why in outcome.detail


# -- One-step gateways -------------------------------------------------------


class ChargesUnderANewKeyEachTime(Spoiled):
    numbers = itertools.count()

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        if all(each.key != request.key for each in self.inner.executed):
            return self.inner.charge(request)
        fresh = f"{request.key[:20]}-{next(self.numbers)}"
        outcome = self.inner.charge(attrs.evolve(request, key=fresh))
        if isinstance(outcome, Indeterminate):
            return outcome
        return attrs.evolve(outcome, key=request.key)


class MixesCallsUp(Spoiled):
    """Keeps what it is about where other threads keep theirs."""

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        self.at_hand = request
        time.sleep(0.01)
        return self.inner.charge(self.at_hand)


class DeclinesInOtherWords(Spoiled):
    numbers = itertools.count()

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if isinstance(outcome, Declined):
            message = f"Declined {next(self.numbers)}."
            outcome = attrs.evolve(outcome, message=message)
            self.inner._executed[request.key].outcome = outcome
        return outcome


class RaisesDeclines(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if isinstance(outcome, Declined):
            raise PortError("declined", code="Declined")
        return outcome


class TakesATimeoutForADecline(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if _is_doubt(outcome, "lost"):
            return Declined(key=request.key, code="timeout")
        return outcome


class TakesATimeoutForUnavailable(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if _is_doubt(outcome, "lost"):
            raise PortUnavailableError("timeout")
        return outcome


class ChargesAlthoughUnavailable(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        try:
            return self.inner.charge(request)
        except PortUnavailableError:
            self.inner.trouble = None
            self.inner.charge(request)
            raise


class FindsNothing(Spoiled):
    def lookup(self, key: str) -> LookupOutcome:
        return NotFound()


class RaisesWhatIsNotFound(Spoiled):
    def lookup(self, key: str) -> LookupOutcome:
        found = self.inner.lookup(key)
        if isinstance(found, NotFound):
            raise PortError("404")
        return found


class IgnoresTheDeadline(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        return self.inner.charge(attrs.evolve(request, not_after=None))

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        return self.inner.confirm(
            reference, attrs.evolve(request, not_after=None)
        )


class EchoesTheAmount(Spoiled):
    """Answers a known key without looking at what is on record."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.first: dict[str, ChargeRequest] = {}

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        first = self.first.setdefault(request.key, request)
        return self._echoed(self.inner.charge(first), request)

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        first = self.first.setdefault(
            reference, self.inner._prepared[reference]
        )
        if first.not_after != request.not_after:
            first = attrs.evolve(first, not_after=request.not_after)
        return self._echoed(self.inner.confirm(reference, first), request)

    def _echoed(
        self, outcome: ChargeOutcome, request: ChargeRequest
    ) -> ChargeOutcome:
        if isinstance(outcome, (Captured, Pending)):
            return attrs.evolve(outcome, amount=request.amount)
        return outcome


class LooksThenActs(ChargesUnderANewKeyEachTime):
    """Two at once both find nothing, and both charge."""

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        if any(each.key == request.key for each in self.inner.executed):
            return self.inner.charge(request)
        time.sleep(0.05)
        return super().charge(request)


class TellsTheToken(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if isinstance(outcome, Declined):
            message = f"{request.method.token} was declined."
            outcome = attrs.evolve(outcome, message=message)
            self.inner._executed[request.key].outcome = outcome
        return outcome


# -- Two-step gateways -------------------------------------------------------


class ChargesAtPrepare(Spoiled):
    def prepare(self, request: ChargeRequest) -> str:
        reference: str = self.inner.prepare(request)
        if isinstance(reference, str):
            self.inner.confirm(reference, request)
        return reference


class ConfirmsUnderANewReference(Spoiled):
    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        return self.inner.confirm(self.inner.prepare(request), request)


class DeclinesReferencesInOtherWords(Spoiled):
    numbers = itertools.count()

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.confirm(reference, request)
        if isinstance(outcome, Declined):
            message = f"Declined {next(self.numbers)}."
            outcome = attrs.evolve(outcome, message=message)
            self.inner._executed[reference].outcome = outcome
        return outcome


class ConfirmsAlthoughUnavailable(Spoiled):
    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        try:
            return self.inner.confirm(reference, request)
        except PortUnavailableError:
            self.inner.trouble = None
            self.inner.confirm(reference, request)
            raise


# -- Both forms ---------------------------------------------------------------


class Translating(Spoiled):
    """Says other words to the company, or takes its words for others."""

    def sent(self, request: ChargeRequest) -> ChargeRequest:
        return request

    def told(self, answer: Any) -> Any:
        return answer

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        return self.told(self.inner.charge(self.sent(request)))

    def prepare(self, request: ChargeRequest) -> str | Declined:
        return self.inner.prepare(self.sent(request))

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        return self.told(self.inner.confirm(reference, self.sent(request)))

    def lookup(self, key: str) -> LookupOutcome:
        return self.told(self.inner.lookup(key))

    def lookup_reference(self, reference: str, key: str) -> LookupOutcome:
        return self.told(self.inner.lookup_reference(reference, key))

    def cancel(self, key: str, reference: str | None) -> CancelOutcome:
        return self.told(self.inner.cancel(key, reference))


class ReportsProcessingAsCaptured(Translating):
    def told(self, answer: Any) -> Any:
        if isinstance(answer, Pending):
            return Captured(**attrs.asdict(answer, recurse=False))
        return answer


class TakesAnApprovalForACapture(Translating):
    def told(self, answer: Any) -> Any:
        if isinstance(answer, NeedsPayer):
            return Captured(
                key=answer.key,
                amount=answer.amount,
                reference=answer.reference,
                account=answer.account,
            )
        return answer


class LetsThePayerApproveWhatIsCalledOff(Spoiled):
    def cancel(self, key: str, reference: str | None) -> CancelOutcome:
        if isinstance(self.inner.lookup(key), NeedsPayer):
            return Cancelled(key=key)
        return self.inner.cancel(key, reference)


class TakesAnUnknownStateForADecline(Translating):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if _is_doubt(outcome, "nobody knows"):
            return Declined(key=request.key, code="strange")
        return outcome

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.confirm(reference, request)
        if _is_doubt(outcome, "nobody knows"):
            return Declined(key=request.key, code="strange")
        return outcome


class Scaling(Translating):
    """Counts in another unit than the company, there and back."""

    def by(self, currency: str) -> int | None:
        raise NotImplementedError

    def sent(self, request: ChargeRequest) -> ChargeRequest:
        amount = self.scaled(request.amount, up=False)
        return attrs.evolve(request, amount=amount)

    def told(self, answer: Any) -> Any:
        if isinstance(answer, (Captured, Pending, NeedsPayer)):
            # The echo is what was asked, for it is scaled as often.
            amount = self.scaled(answer.amount, up=True)
            return attrs.evolve(answer, amount=amount, request="")
        return answer

    def scaled(self, amount: Money, *, up: bool) -> Money:
        minor, by = amount.amount_minor, self.by(amount.currency)
        if by is None:
            return amount
        minor = minor * by if up else minor // by
        return attrs.evolve(amount, amount_minor=minor)


class TakesShillingsAndKronurAtAHundredth(Scaling):
    """Sends 1500 where the company counts them in hundredths."""

    def by(self, currency: str) -> int | None:
        return 100 if currency in {"UGX", "ISK"} else None


class ScalesBothWaysSoThatTheEchoHidesIt(Scaling):
    """Takes cents for dollars, and dollars for cents in the answer."""

    def by(self, currency: str) -> int | None:
        return 100

    def scaled(self, amount: Money, *, up: bool) -> Money:
        return super().scaled(amount, up=not up)


class IgnoresTheDepositAccount(Translating):
    accounts: ClassVar[list[Any]] = []

    def sent(self, request: ChargeRequest) -> ChargeRequest:
        account = attrs.evolve(request.deposit_account, id="kit-operating")
        return attrs.evolve(request, deposit_account=account)

    def told(self, answer: Any) -> Any:
        if isinstance(answer, (Captured, Pending)):
            return attrs.evolve(answer, request="")
        return answer


class TakesAFailedLookUpForNotFound(Spoiled):
    def lookup(self, key: str) -> LookupOutcome:
        found = self.inner.lookup(key)
        return NotFound() if _is_doubt(found, "500") else found


class Takes500ForNothingHappened(Translating):
    def told(self, answer: Any) -> Any:
        if _is_doubt(answer, "500"):
            raise PortUnavailableError("500 internal server error")
        return answer


class LeavesADeclinedPaymentOpen(Spoiled):
    """The company's payment waits for another method, and may get one."""

    def complete(self, request: ChargeRequest, reference: str | None) -> None:
        self.inner.accept(request.method.token)
        self.inner._executed.clear()
        if reference is None:
            self.inner.charge(request)
        else:
            self.inner.confirm(reference, request)


class SaysCancelledToEverything(Spoiled):
    def cancel(self, key: str, reference: str | None) -> CancelOutcome:
        return Cancelled(key=key)


class CancelsWhatALookUpDoesNotShow(Spoiled):
    def cancel(self, key: str, reference: str | None) -> CancelOutcome:
        found = self.inner.lookup(key)
        if isinstance(found, NotFound):
            self.inner._cancelled.add(key)
            return Cancelled(key=key)
        return found


class NamesNoAccount(Translating):
    def told(self, answer: Any) -> Any:
        if isinstance(answer, (Captured, Pending, Declined)):
            return attrs.evolve(answer, account="")
        return answer


class TellsOfEveryAccount(Spoiled):
    def lookup(self, key: str) -> LookupOutcome:
        return self.inner.at_account("").lookup(key)


class UsesReferencesAgain(Translating):
    @property
    def capabilities(self) -> GatewayCapabilities:
        return attrs.evolve(self.inner.capabilities, finds_references=False)

    def told(self, answer: Any) -> Any:
        if isinstance(answer, (Captured, Pending)):
            return attrs.evolve(answer, reference="pay-1")
        return answer


class Paid(Captured):  # type: ignore[misc]
    """What an adapter would like to say besides."""


class AnswersWithSubclasses(Translating):
    def told(self, answer: Any) -> Any:
        if type(answer) is Captured:
            return Paid(**attrs.asdict(answer, recurse=False))
        return answer


class LetsDriverErrorsThrough(Spoiled):
    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not callable(found):
            return found

        def raw(*arguments: Any) -> Any:
            try:
                return found(*arguments)
            except PortError as error:
                raise ConnectionError("the SDK's own words") from error

        return raw


class AcceptsAnotherRequestUnderAKnownKey(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        try:
            return self.inner.charge(request)
        except PortError as error:
            if error.code != "KeyReuse":
                raise
        fresh = f"{request.key[:20]}-{request.request_hash[:8]}"
        outcome = self.inner.charge(attrs.evolve(request, key=fresh))
        return attrs.evolve(outcome, key=request.key)


class AcceptsAnotherRequestForAReference(Spoiled):
    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        try:
            return self.inner.confirm(reference, request)
        except PortError as error:
            if error.code != "KeyReuse":
                raise
        return self.inner.confirm(self.inner.prepare(request), request)


class TellsTheFirstOfTwoPayments(Spoiled):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.first: dict[str, ChargeOutcome] = {}

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        return self.noted(request, outcome)

    def confirm(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.confirm(reference, request)
        return self.noted(request, outcome)

    def noted(
        self, request: ChargeRequest, outcome: ChargeOutcome
    ) -> ChargeOutcome:
        if isinstance(outcome, Captured):
            self.first.setdefault(request.key, outcome)
        return outcome

    def lookup(self, key: str) -> LookupOutcome:
        found = self.inner.lookup(key)
        if isinstance(found, Captured) or _is_doubt(found, "two payments"):
            return self.first.get(key, found)
        return found


class KeepsOneReferenceForAKey(Spoiled):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.references: dict[str, str] = {}

    def prepare(self, request: ChargeRequest) -> str | Declined:
        known = self.references.get(request.key)
        if known is None:
            known = self.references[request.key] = self.inner.prepare(request)
        return known


class RaisesRefusalsToPrepare(Spoiled):
    def prepare(self, request: ChargeRequest) -> str:
        answer = self.inner.prepare(request)
        if isinstance(answer, Declined):
            raise PortError("402", code="Refused")
        return answer


class OneStep(Sandbox, PaymentGatewayContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def gateway(self, inner: Any) -> Any:
        return self.spoil(inner)

    @pytest.fixture
    def captures(self, inner: Any) -> Callable[[str], int]:
        return lambda key: sum(
            each.key.startswith(key[:20]) for each in inner.captured
        )

    @pytest.fixture
    def other_account(self, inner: Any) -> Callable[[], Any]:
        return lambda: self.spoil(inner.at_account("acct-2"))

    @pytest.fixture
    def complete(self, inner: Any, gateway: Any) -> Any:
        spoilt = vars(type(gateway)).get("complete")
        if spoilt is not None:
            return gateway.complete
        return self.completing(inner)


class TwoStep(Sandbox, TwoStepGatewayContract):
    machine = MemoryTwoStepGateway
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def gateway(self, inner: Any) -> Any:
        return self.spoil(inner)

    @pytest.fixture
    def other_account(self, inner: Any) -> Callable[[], Any]:
        return lambda: self.spoil(inner.at_account("acct-2"))

    @pytest.fixture
    def complete(self, inner: Any, gateway: Any) -> Any:
        spoilt = vars(type(gateway)).get("complete")
        if spoilt is not None:
            return gateway.complete
        return self.completing(inner)


def _of(base: type, spoil: type[Spoiled], *clauses: str) -> type:
    name = spoil.__name__
    if base is TwoStep:
        name += "InTwoSteps"
    return type(name, (base,), {"spoil": spoil, "breaks": set(clauses)})


GATEWAYS: dict[str, type] = {
    each.__name__: each
    for each in (
        _of(OneStep, ChargesUnderANewKeyEachTime, "PG-1", "PG-7", "PG-8"),
        _of(OneStep, DeclinesInOtherWords, "PG-1"),
        _of(OneStep, MixesCallsUp, "PORT-1"),
        _of(OneStep, RaisesDeclines, "PG-1", "PG-2", "PG-5"),
        _of(OneStep, TakesATimeoutForADecline, "PG-3"),
        _of(OneStep, TakesATimeoutForUnavailable, "PG-3"),
        _of(OneStep, ChargesAlthoughUnavailable, "PG-4"),
        _of(OneStep, Takes500ForNothingHappened, "PG-4"),
        _of(OneStep, FindsNothing, "PG-5", "PG-14", "PG-17"),
        _of(OneStep, RaisesWhatIsNotFound, "PG-5", "PG-17"),
        _of(OneStep, TakesAFailedLookUpForNotFound, "PG-5"),
        _of(OneStep, TellsTheFirstOfTwoPayments, "PG-5"),
        _of(OneStep, IgnoresTheDeadline, "PG-6"),
        _of(OneStep, EchoesTheAmount, "PG-1", "PG-7"),
        _of(OneStep, AcceptsAnotherRequestUnderAKnownKey, "PG-1", "PG-7"),
        _of(OneStep, LooksThenActs, "PG-8"),
        _of(OneStep, TellsTheToken, "PG-9"),
        _of(OneStep, LeavesADeclinedPaymentOpen, "PG-10"),
        _of(OneStep, SaysCancelledToEverything, "PG-11", "PG-17"),
        _of(OneStep, CancelsWhatALookUpDoesNotShow, "PG-11", "PG-17"),
        _of(OneStep, NamesNoAccount, "PG-12"),
        _of(OneStep, TellsOfEveryAccount, "PG-12"),
        _of(OneStep, UsesReferencesAgain, "PG-13"),
        _of(OneStep, ReportsProcessingAsCaptured, "PG-14"),
        _of(OneStep, TakesAnUnknownStateForADecline, "PG-14"),
        _of(OneStep, TakesShillingsAndKronurAtAHundredth, "PG-15"),
        _of(OneStep, ScalesBothWaysSoThatTheEchoHidesIt, "PG-15"),
        _of(OneStep, IgnoresTheDepositAccount, "PG-15"),
        _of(OneStep, AnswersWithSubclasses, "PG-16"),
        _of(OneStep, LetsDriverErrorsThrough, "PG-16"),
        _of(OneStep, TakesAnApprovalForACapture, "PG-17"),
        _of(OneStep, LetsThePayerApproveWhatIsCalledOff, "PG-17"),
        _of(TwoStep, ChargesAtPrepare, "TS-1", "TS-4", "TS-8"),
        _of(
            TwoStep,
            ConfirmsUnderANewReference,
            *("TS-2", "TS-3", "TS-5", "TS-7", "TS-10"),
        ),
        _of(TwoStep, DeclinesReferencesInOtherWords, "TS-3"),
        _of(TwoStep, ConfirmsAlthoughUnavailable, "TS-4"),
        _of(TwoStep, Takes500ForNothingHappened, "TS-4"),
        _of(TwoStep, FindsNothing, "TS-5", "TS-14", "TS-17"),
        _of(TwoStep, TakesAFailedLookUpForNotFound, "TS-5"),
        _of(TwoStep, TellsTheFirstOfTwoPayments, "TS-5"),
        _of(TwoStep, IgnoresTheDeadline, "TS-6"),
        _of(TwoStep, EchoesTheAmount, "TS-7"),
        _of(TwoStep, AcceptsAnotherRequestForAReference, "TS-7"),
        _of(TwoStep, KeepsOneReferenceForAKey, "TS-8"),
        _of(TwoStep, RaisesRefusalsToPrepare, "TS-9"),
        _of(TwoStep, LeavesADeclinedPaymentOpen, "TS-10"),
        _of(TwoStep, SaysCancelledToEverything, "TS-11", "TS-17"),
        _of(TwoStep, CancelsWhatALookUpDoesNotShow, "TS-11", "TS-17"),
        _of(TwoStep, NamesNoAccount, "TS-12"),
        _of(TwoStep, TellsOfEveryAccount, "TS-12"),
        _of(TwoStep, UsesReferencesAgain, "TS-13"),
        _of(TwoStep, ReportsProcessingAsCaptured, "TS-14"),
        _of(TwoStep, TakesAnUnknownStateForADecline, "TS-14"),
        _of(TwoStep, TakesShillingsAndKronurAtAHundredth, "TS-15"),
        _of(TwoStep, ScalesBothWaysSoThatTheEchoHidesIt, "TS-15"),
        _of(TwoStep, IgnoresTheDepositAccount, "TS-15"),
        _of(TwoStep, AnswersWithSubclasses, "TS-16"),
        _of(TwoStep, LetsDriverErrorsThrough, "TS-16"),
        _of(TwoStep, TakesAnApprovalForACapture, "TS-17"),
        _of(TwoStep, LetsThePayerApproveWhatIsCalledOff, "TS-17"),
    )
}
"""By name: contracts over broken gateways; `breaks` is what must be blamed."""
