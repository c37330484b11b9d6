"""
Adapters that break a promise each, and the clauses that the kit must blame.

Each class is a contract's subclass over a port in memory that is spoiled in
one way; `breaks` says which clauses that is about, no more and no less.
"""

# Whatever is inside is passed on as it comes.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from autopay_core.adapters.memory import (
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)
from autopay_core.associations import Association, InvoicePage, InvoiceQuery
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    Standing,
)
from autopay_core.errors import (
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.invoices import SearchPage, SearchQuery
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.references import RunKey
from autopay_core.runs import RunState, reservations
from autopay_core.testing.contracts import (
    Clock,
    MatterDataContract,
    NotifierContract,
    PaymentGatewayContract,
    PostingStoreContract,
    TwoStepGatewayContract,
)
from test_contracts_memory import Channel, Firm, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


class Spoiled:
    """Passes on everything that it does not spoil."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


# -- One-step gateways -------------------------------------------------------


class ChargesUnderANewKeyEachTime(Spoiled):
    numbers = itertools.count()

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.known: dict[str, ChargeOutcome] = {}

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        fresh = f"{request.key[:20]}-{next(self.numbers)}"
        outcome = self.inner.charge(attrs.evolve(request, key=fresh))
        if not isinstance(outcome, Indeterminate):
            outcome = attrs.evolve(outcome, key=request.key)
            self.known[request.key] = outcome
        return outcome

    def lookup(self, key: str) -> LookupOutcome:
        return self.known.get(key, NotFound())


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
        if isinstance(outcome, Indeterminate):
            return Declined(key=request.key, code="timeout")
        return outcome


class TakesATimeoutForUnavailable(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if isinstance(outcome, Indeterminate):
            raise PortUnavailableError("timeout")
        return outcome


class ChargesAlthoughUnavailable(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        try:
            return self.inner.charge(request)
        except PortUnavailableError:
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


class LooksThenActs(Spoiled):
    """Two at once both find nothing, and both charge."""

    numbers = itertools.count()

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.known: dict[str, ChargeOutcome] = {}

    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        known = self.known.get(request.key)
        if known is not None:
            return known
        time.sleep(0.05)
        fresh = f"{request.key[:20]}-{next(self.numbers)}"
        outcome = self.inner.charge(attrs.evolve(request, key=fresh))
        if not isinstance(outcome, Indeterminate):
            outcome = attrs.evolve(outcome, key=request.key)
            self.known[request.key] = outcome
        return outcome

    def lookup(self, key: str) -> LookupOutcome:
        return self.known.get(key, NotFound())


class TellsTheToken(Spoiled):
    def charge(self, request: ChargeRequest) -> ChargeOutcome:
        outcome = self.inner.charge(request)
        if isinstance(outcome, Declined):
            message = f"{request.method.token} was declined."
            outcome = attrs.evolve(outcome, message=message)
            self.inner._executed[request.key].outcome = outcome
        return outcome


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


# -- Two-step gateways -------------------------------------------------------


class ChargesAtPrepare(Spoiled):
    def prepare(self, request: ChargeRequest) -> str:
        reference: str = self.inner.prepare(request)
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
            self.inner.confirm(reference, request)
            raise


class TwoStep(Sandbox, TwoStepGatewayContract):
    machine = MemoryTwoStepGateway
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def gateway(self, inner: Any) -> Any:
        return self.spoil(inner)


# -- Matter data -------------------------------------------------------------


class ReturnsTheWholeClient(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        wider = tuple(
            Association.to_client(payer=each.payer, client=each.client)
            for each in query.associations
        )
        return self.inner.open_invoices(
            attrs.evolve(query, associations=wider)
        )


class StopsAfterAPage(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        page = self.inner.open_invoices(query)
        return attrs.evolve(page, next_page=None, total=None)


class CountsInFloats(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        page = self.inner.open_invoices(query)
        return attrs.evolve(
            page,
            invoices=tuple(
                attrs.evolve(
                    each,
                    balance=Money(
                        # 19.99 * 100 is 1998.9999999999998.
                        amount_minor=int(
                            each.balance.amount_minor / 100 * 100
                        ),
                        currency="USD",
                    ),
                )
                for each in page.invoices
            ),
        )


class RemembersAnswers(Spoiled):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.known: dict[str, InvoicePage] = {}

    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        if repr(query) not in self.known:
            self.known[repr(query)] = self.inner.open_invoices(query)
        return self.known[repr(query)]


class TakesNothingForEverything(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        if query.associations:
            return self.inner.open_invoices(query)
        return InvoicePage(invoices=self.inner.all())


class SearchesWithWildcards(Spoiled):
    def search(self, query: SearchQuery) -> SearchPage:
        for wildcard in "%_*":
            if wildcard in query.text and len(query.text) < 5:
                return self.inner.search(
                    attrs.evolve(query, text=query.text.strip("%_*") or "a")
                )
        return self.inner.search(query)


class SwallowsItsErrors(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        try:
            return self.inner.open_invoices(query)
        except PortError:
            return InvoicePage(invoices=())


class DropsAnotherWithThePaid(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        page = self.inner.open_invoices(query)
        if any(each.balance.is_zero for each in self.inner.all()):
            return attrs.evolve(page, invoices=page.invoices[1:], total=None)
        return page


class MovesAnInvoiceAbout(Spoiled):
    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        page = self.inner.open_invoices(query)
        if any(each.invoice for each in query.associations):
            return page
        return attrs.evolve(
            page,
            invoices=tuple(
                attrs.evolve(each, matter="M-1")
                if each.number == "INV-10"
                else each
                for each in page.invoices
            ),
        )


class Reading(Firm, MatterDataContract):
    spoil_with: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def seed(self, firm: MemoryMatterData) -> Any:
        return lambda invoices, directory: self.spoil_with(
            self.filled(firm, invoices, directory)
        )

    @pytest.fixture
    def offline(
        self, firm: MemoryMatterData
    ) -> Callable[[], AbstractContextManager[None]]:
        def refuse(_: object) -> InvoicePage:
            raise PortUnavailableError("no connection")

        @contextmanager
        def cut() -> Iterator[None]:
            object.__setattr__(firm, "open_invoices", refuse)
            yield

        return cut


# -- Notifiers ---------------------------------------------------------------


class RefusesWhatItKnows(Spoiled):
    def send(self, notice: Notice) -> None:
        if any(each.key == notice.key for each in self.inner.sent):
            raise PortError("known", code="Duplicate")
        self.inner.send(notice)


class LosesEverySecond(Spoiled):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.count = 0

    def send(self, notice: Notice) -> None:
        self.count += 1
        if self.count % 2:
            self.inner.send(notice)


class AcceptsWhatItCannotSend(Spoiled):
    def send(self, notice: Notice) -> None:
        try:
            self.inner.send(notice)
        except PortError:
            return


class FillsInTemplates(Spoiled):
    def send(self, notice: Notice) -> None:
        detail = notice.detail.replace("{{7*7}}", "49")
        self.inner.send(attrs.evolve(notice, detail=detail))


class Telling(Channel, NotifierContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def notifier(self, inner: MemoryNotifier) -> Any:
        return self.spoil(inner)


# -- Posting stores ----------------------------------------------------------


class KeepsTheNoticesOfARefusedChange(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        answer = self.inner.commit(change)
        if isinstance(answer, Conflict):
            self.inner.commit(Change(notices=change.notices))
        return answer


class LetsTheLastWriteWin(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        runs = tuple(
            attrs.evolve(each, version=self._next(each.key))
            for each in change.runs
        )
        with self.inner._lock:
            return self.inner.commit(attrs.evolve(change, runs=runs))

    def _next(self, key: RunKey) -> int:
        stands = self.inner.standing(key, "").run
        return 1 if stands is None else stands.version + 1


class ComparesVersionsThenWrites(Spoiled):
    """Two at once both find the version that they expect."""

    def commit(self, change: Change) -> Committed | Conflict:
        for each in change.runs:
            stands = self.inner.standing(each.key, "").run
            if each.version != (1 if stands is None else stands.version + 1):
                return Conflict(reason=ConflictReason.VERSION)
        time.sleep(0.05)
        with self.inner._lock:
            runs = tuple(
                attrs.evolve(
                    each, version=self.inner._runs[each.key].version + 1
                )
                if each.key in self.inner._runs
                else attrs.evolve(each, version=1)
                for each in change.runs
            )
            return self.inner.commit(attrs.evolve(change, runs=runs))


class BeginsARunAgain(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        with self.inner._lock:
            for each in change.runs:
                stands = self.inner._runs.get(each.key)
                if each.version == 1 and stands and stands.version == 1:
                    del self.inner._runs[each.key]
            return self.inner.commit(change)


class ForgetsToCompareVersionsOfClients(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, expect_versions=None))


class ForgetsToCompareOpenAmounts(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, expect_open=None))


class LetsDoubtsPileUp(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, only_doubtful=False))


class IgnoresStopOrders(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, unless_stopped=()))


class OverwritesPostings(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        try:
            return self.inner.commit(change)
        except PostingConflictError:
            for each in change.postings:
                self.inner._postings.pop(each.id, None)
            return self.inner.commit(change)


class MovesPostingsFromAnywhere(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        answer = self.inner.commit(change)
        if answer == Conflict(reason=ConflictReason.POSTING):
            answer = self.inner.commit(attrs.evolve(change, moves=()))
            for each in change.moves:
                self.inner._put_posting(each.before, each.after, set())
        return answer


class TellsTheNewestFirst(Spoiled):
    def undelivered(self, most: int) -> Sequence[Notice]:
        return tuple(reversed(self.inner.undelivered(1_000)))[:most]


class CallsEveryNoticeNew(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        answer = self.inner.commit(change)
        if isinstance(answer, Conflict):
            return answer
        return Committed(
            new_notices=frozenset(each.key for each in change.notices)
        )


class LetsGoOfPendingDebits(Spoiled):
    def open_amounts(self, clients: Sequence[str]) -> OpenAmounts:
        found = self.inner.open_amounts(clients)
        amounts = dict(found.amounts)
        for record in self.inner.runs():
            if record.state is RunState.PENDING:
                for number in reservations(record):
                    amounts.pop(number, None)
        return attrs.evolve(found, amounts=amounts)


class HandsOverInTwoSteps(Spoiled):
    """The reservation goes before the posting comes."""

    def commit(self, change: Change) -> Committed | Conflict:
        if not change.postings or not change.runs:
            return self.inner.commit(change)
        first = self.inner.commit(attrs.evolve(change, postings=()))
        if isinstance(first, Conflict):
            return first
        time.sleep(0.01)
        self.inner.commit(Change(postings=change.postings))
        return first


class GoesBackInTime(Spoiled):
    def standing(self, key: RunKey, method: str) -> Standing:
        return attrs.evolve(
            self.inner.standing(key, method), now=self.inner._clock()
        )


class CommitsAlthoughUnavailable(Spoiled):
    is_spoiled = False

    def commit(self, change: Change) -> Committed | Conflict:
        answer = self.inner.commit(change)
        if self.is_spoiled:
            raise PortUnavailableError("timeout")
        return answer


class LetsEverybodyClaim(Spoiled):
    def claim(self, key: RunKey, seconds: int) -> bool:
        return True


class KeepsAsciiOnly(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        notices = tuple(
            attrs.evolve(
                each, detail=each.detail.encode("ascii", "ignore").decode()
            )
            for each in change.notices
        )
        return self.inner.commit(attrs.evolve(change, notices=notices))


class ForgetsReservationsInWhatWasSpent(Spoiled):
    def spent(
        self, autopay: str, from_on: Any, before: Any, currency: str
    ) -> Money:
        return Money.total(
            (
                each.captured.amount
                for each in self.inner.runs()
                if each.key.autopay == autopay
                and each.captured is not None
                and from_on <= each.charge_on < before
            ),
            currency,
        )


class Keeping(PostingStoreContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()
    # The model would blame PS-15 for whatever is broken.
    examples = 1
    steps = 1

    @pytest.fixture
    def new_store(self) -> Any:
        return lambda clock: self.spoil(MemoryPostingStore(clock=clock))


class KeepsNothingOverARestart(Keeping):
    breaks: ClassVar[set[str]] = {"PS-1", "PS-12"}

    @pytest.fixture
    def reopen(self) -> Any:
        return lambda _, clock: MemoryPostingStore(clock=clock)


class PromisesWrongly(Keeping):
    spoil = CommitsAlthoughUnavailable
    breaks: ClassVar[set[str]] = {"PS-13"}

    @contextmanager
    def spoiled(self, store: Any) -> Iterator[None]:
        store.is_spoiled = True
        yield
        store.is_spoiled = False

    @pytest.fixture
    def unavailable(self) -> Any:
        return self.spoiled

    @pytest.fixture
    def lose_answer(self) -> Any:
        return self.spoiled


def _of(base: type, spoil: type[Spoiled], *clauses: str, **more: Any) -> type:
    name = "spoil_with" if base is Reading else "spoil"
    fields = {name: spoil, "breaks": set(clauses), **more}
    return type(spoil.__name__, (base,), fields)


BROKEN: dict[str, type] = {
    each.__name__: each
    for each in (
        _of(OneStep, ChargesUnderANewKeyEachTime, "PG-1", "PG-7", "PG-8"),
        _of(OneStep, DeclinesInOtherWords, "PG-1"),
        _of(OneStep, RaisesDeclines, "PG-1", "PG-2", "PG-5"),
        _of(OneStep, TakesATimeoutForADecline, "PG-3"),
        _of(OneStep, TakesATimeoutForUnavailable, "PG-3"),
        _of(OneStep, ChargesAlthoughUnavailable, "PG-4"),
        _of(OneStep, FindsNothing, "PG-5"),
        _of(OneStep, RaisesWhatIsNotFound, "PG-5"),
        _of(OneStep, IgnoresTheDeadline, "PG-6"),
        _of(OneStep, EchoesTheAmount, "PG-7"),
        _of(OneStep, LooksThenActs, "PG-8"),
        _of(OneStep, TellsTheToken, "PG-9"),
        _of(TwoStep, ChargesAtPrepare, "TS-1", "TS-4"),
        _of(TwoStep, ConfirmsUnderANewReference, "TS-2", "TS-3", "TS-7"),
        _of(TwoStep, DeclinesReferencesInOtherWords, "TS-3"),
        _of(TwoStep, ConfirmsAlthoughUnavailable, "TS-4"),
        type(
            "FindsNoReference",
            (TwoStep,),
            {"spoil": FindsNothing, "breaks": {"TS-5"}},
        ),
        type(
            "IgnoresTheDeadlineOfAReference",
            (TwoStep,),
            {"spoil": IgnoresTheDeadline, "breaks": {"TS-6"}},
        ),
        type(
            "EchoesTheAmountOfAReference",
            (TwoStep,),
            {"spoil": EchoesTheAmount, "breaks": {"TS-7"}},
        ),
        _of(Reading, ReturnsTheWholeClient, "MD-1"),
        _of(Reading, StopsAfterAPage, "MD-2"),
        _of(Reading, CountsInFloats, "MD-3"),
        _of(Reading, RemembersAnswers, "MD-4"),
        _of(Reading, TakesNothingForEverything, "MD-5"),
        _of(Reading, SearchesWithWildcards, "MD-6"),
        _of(Reading, SwallowsItsErrors, "MD-7"),
        _of(Reading, DropsAnotherWithThePaid, "MD-8"),
        _of(Reading, MovesAnInvoiceAbout, "MD-9"),
        _of(Telling, RefusesWhatItKnows, "NT-1"),
        _of(Telling, LosesEverySecond, "NT-2"),
        _of(Telling, AcceptsWhatItCannotSend, "NT-3"),
        _of(Telling, FillsInTemplates, "NT-4"),
        _of(Keeping, KeepsTheNoticesOfARefusedChange, "PS-1", "PS-9"),
        KeepsNothingOverARestart,
        _of(Keeping, LetsTheLastWriteWin, "PS-1", "PS-2", "PS-3"),
        _of(Keeping, ComparesVersionsThenWrites, "PS-2", "PS-3"),
        _of(Keeping, BeginsARunAgain, "PS-3"),
        _of(Keeping, ForgetsToCompareVersionsOfClients, "PS-4"),
        _of(Keeping, ForgetsToCompareOpenAmounts, "PS-5"),
        _of(Keeping, LetsDoubtsPileUp, "PS-6"),
        _of(Keeping, IgnoresStopOrders, "PS-1", "PS-7"),
        _of(Keeping, OverwritesPostings, "PS-1", "PS-8"),
        _of(Keeping, MovesPostingsFromAnywhere, "PS-9"),
        _of(Keeping, TellsTheNewestFirst, "PS-10"),
        _of(Keeping, CallsEveryNoticeNew, "PS-10"),
        _of(Keeping, LetsGoOfPendingDebits, "PS-11"),
        _of(Keeping, HandsOverInTwoSteps, "PS-1", "PS-11"),
        _of(Keeping, GoesBackInTime, "PS-12"),
        PromisesWrongly,
        _of(Keeping, LetsEverybodyClaim, "PS-14"),
        _of(Keeping, KeepsAsciiOnly, "PS-15", examples=25),
        _of(Keeping, ForgetsReservationsInWhatWasSpent, "PS-15"),
    )
}
"""By name: contracts over broken adapters; `breaks` is what must be blamed."""

__all__ = ["BROKEN", "Clock"]
