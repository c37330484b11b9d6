"""
Adapters that break a promise each, and the clauses that the kit must blame.

Each class is a contract's subclass over a port in memory that is spoiled in
one way; `breaks` says which clauses that is about, no more and no less.
"""

# Whatever is inside is passed on as it comes.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from autopay_core.adapters.memory import (
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.associations import Association, InvoicePage, InvoiceQuery
from autopay_core.batches import PostingTotal
from autopay_core.book import Kind, MemoryBookStore, Stands
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    PostingFilter,
    PostingSort,
    Standing,
    Unreadable,
)
from autopay_core.errors import (
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.holds import HoldLevel
from autopay_core.invoices import SearchPage, SearchQuery
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState, reservations
from autopay_core.testing.contracts import (
    AsyncPostingStoreContract,
    BookStoreContract,
    Clock,
    MatterDataContract,
    NotifierContract,
    PostingStoreContract,
)
from broken_gateways import GATEWAYS, Spoiled
from test_contracts_memory import Channel, Firm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


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


class StatesAnEarlierMomentEachTime(Spoiled):
    """As one does whose answers come from replicas that lag differently."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.calls = 0

    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        self.calls += 1
        return attrs.evolve(
            self.inner.open_invoices(query),
            stated_at=datetime(2026, 1, 31, tzinfo=UTC)
            - timedelta(hours=self.calls),
        )


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


class IgnoresHolds(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(
            attrs.evolve(change, unless_held=(), expect_holds=None)
        )


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
                self.inner._put_posting(
                    each.before, each.after, self.inner.now(), set()
                )
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


class KeepsHalfOfAnInterruptedChange(Spoiled):
    """Nobody sees the step between the halves, but whoever comes after."""

    def commit(self, change: Change) -> Committed | Conflict:
        if not change.notices or not change.runs:
            return self.inner.commit(change)
        with self.inner._lock:
            first = self.inner.commit(attrs.evolve(change, notices=()))
            if isinstance(first, Conflict):
                return first
            return self.inner.commit(Change(notices=change.notices))


class AnswersTheCallBefore(Spoiled):
    """
    A store on an event loop, over one connection that answers in order.

    A task that is cancelled leaves its answer for whoever calls next.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.answers: deque[Any] = deque()

    def __getattr__(self, name: str) -> Any:
        getattr(self.inner, name)  # What is not there is not here.

        async def call(*arguments: Any) -> Any:
            self.answers.append(getattr(self.inner, name)(*arguments))
            await asyncio.sleep(0)
            return self.answers.popleft()

        return call


class GoesBackInTime(Spoiled):
    def standing(self, key: RunKey, method: str, payer: str = "") -> Standing:
        return attrs.evolve(
            self.inner.standing(key, method, payer), now=self.inner._clock()
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


class TakesItsIdFromAHost(Spoiled):
    """A copy of the settings is a copy of the id."""

    def standing(self, key: RunKey, method: str, payer: str = "") -> Standing:
        return attrs.evolve(
            self.inner.standing(key, method, payer), store="firm-production-1"
        )


class HandsOutNoHoldsOnMatters(Spoiled):
    def open_amounts(self, clients: Sequence[str]) -> OpenAmounts:
        found = self.inner.open_amounts(clients)
        return attrs.evolve(
            found,
            holds=tuple(
                each
                for each in found.holds
                if each.level is not HoldLevel.MATTER
            ),
        )


class ForgetsWhatWasRemoved(Spoiled):
    """What is not open is not looked at any more."""

    def open_amounts(self, clients: Sequence[str]) -> OpenAmounts:
        return attrs.evolve(self.inner.open_amounts(clients), steps=())


class LetsReferencesRepeat(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, unique_references=False))


class CountsNoAttempts(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, attempts=None))


class KnowsNoCeilings(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        return self.inner.commit(attrs.evolve(change, ceilings=()))


class KeepsTheFirstThatWasTold(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        told = tuple(
            each
            for each in change.told
            if each.topic not in self.inner._told.get(each.autopay, {})
        )
        return self.inner.commit(attrs.evolve(change, told=told))


class ReceivesAnewEachTime(Spoiled):
    """The last content under an id stands, whoever wrote the one before."""

    def commit(self, change: Change) -> Committed | Conflict:
        movements = tuple(
            attrs.evolve(
                each,
                version=1
                + sum(one.version for one in self.inner.movement(each.id)),
            )
            for each in change.movements
        )
        return self.inner.commit(attrs.evolve(change, movements=movements))


class ForgetsEarlierKeys(Spoiled):
    def keyed(self, key: str) -> Sequence[RunRecord]:
        return [
            each
            for each in self.inner.keyed(key)
            if each.attempts[-1].key == key
        ]


class ForgetsOrderOfSendings(Spoiled):
    def sent(self, since: Any, most: int) -> Sequence[Any]:
        return self.inner.sent(since, most)[::-1]


class LetsAPostingIntoTwoBatches(Spoiled):
    """Whether it is in one already is not looked at."""

    def commit(self, change: Change) -> Committed | Conflict:
        if change.batches:
            self.inner._batched.clear()
        return self.inner.commit(change)


class MakesABatchInTwoSteps(Spoiled):
    """The postings first, and then the batch, if it comes to that."""

    def commit(self, change: Change) -> Committed | Conflict:
        if not (change.batches and change.moves):
            return self.inner.commit(change)
        moved = self.inner.commit(attrs.evolve(change, batches=()))
        if isinstance(moved, Conflict):
            return moved
        return self.inner.commit(attrs.evolve(change, moves=()))


class DoesNotNameWhatIsInTheWay(Spoiled):
    def commit(self, change: Change) -> Committed | Conflict:
        answer = self.inner.commit(change)
        if isinstance(answer, Conflict):
            return attrs.evolve(answer, postings=())
        return answer


class AddsUpOnePage(Spoiled):
    def posting_totals(self, wanted: PostingFilter) -> Sequence[PostingTotal]:
        ids = {each.id for each in self.inner.postings(wanted)}
        postings = self.inner._postings
        self.inner._postings = {
            name: each for name, each in postings.items() if name in ids
        }
        try:
            return self.inner.posting_totals(wanted)
        finally:
            self.inner._postings = postings


class CountsWhatWentBackAsPaid(Spoiled):
    def posting_totals(self, wanted: PostingFilter) -> Sequence[PostingTotal]:
        found = self.inner.posting_totals(wanted)
        back = [
            each.amount
            for each in self.inner.postings(wanted)
            if each.amount.is_negative
        ]
        return [
            attrs.evolve(each, amount=each.amount - sum_of - sum_of)
            if each.amount.currency == "USD"
            else each
            for each in found
            for sum_of in [Money.total(back, "USD")]
        ]


class SortsEachPageByItself(Spoiled):
    """The pages are cut by id, whatever the order."""

    def postings(self, wanted: PostingFilter) -> Sequence[Posting]:
        plain = attrs.evolve(
            wanted, sort=PostingSort.ID, descending=False, after=None
        )
        after = wanted.after or ""
        found = [
            each for each in self.inner.postings(plain) if each.id > after
        ][: wanted.most]
        return sorted(
            found, key=lambda each: each.id, reverse=wanted.descending
        )


class ForgetsAnAmountsCurrency(Spoiled):
    def postings(self, wanted: PostingFilter) -> Sequence[Posting]:
        if wanted.least is None:
            return self.inner.postings(wanted)
        others = self.inner.postings(attrs.evolve(wanted, least=None))
        return [
            each
            for each in others
            if each.amount.amount_minor >= wanted.least.amount_minor
        ]


class AnswersAllWithOneConflict(Spoiled):
    def commit_many(self, changes: Sequence[Change]) -> Sequence[object]:
        answers: list[object] = []
        for each in changes:
            try:
                answers.append(self.inner.commit(each))
            except PostingConflictError as error:
                answers.append(error)
        conflicts = [each for each in answers if isinstance(each, Conflict)]
        return [conflicts[0]] * len(answers) if conflicts else answers


class StopsAtWhatItCannotRead(Spoiled):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.unreadable: set[RunKey] = set()

    def unfinished(
        self, after: RunKey | None, most: int
    ) -> Sequence[RunRecord | Unreadable]:
        found = self.inner.unfinished(after, most)
        if any(each.key in self.unreadable for each in found):
            raise PortError("a row cannot be read", code="FormatNewer")
        return tuple(found)


class Keeping(PostingStoreContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()
    # The model would blame PS-15 for whatever is broken.
    examples = 1
    steps = 1
    interruptions = None

    @pytest.fixture
    def new_store(self) -> Any:
        return lambda clock: self.spoil(MemoryPostingStore(clock=clock))


class KeepingOnALoop(AsyncPostingStoreContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()
    examples = 1
    steps = 1

    @pytest.fixture
    def new_async_store(self) -> Any:
        return lambda clock: self.spoil(MemoryPostingStore(clock=clock))


class KeepsNothingOverARestart(Keeping):
    breaks: ClassVar[set[str]] = {"PS-1", "PS-12", "PS-16"}

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


class IsHeldUp(Keeping):
    spoil = StopsAtWhatItCannotRead
    breaks: ClassVar[set[str]] = {"PS-22"}

    @pytest.fixture
    def spoil_run(self) -> Any:
        return lambda store, key: store.unreadable.add(key)


# -- The book ----------------------------------------------------------------


class WritesOneByOne(Spoiled):
    def write(self, drafts: Any, expects: Any) -> Any:
        made: list[Any] = []
        for each in drafts:
            written = self.inner.write((each,), expects)
            if isinstance(written, Stands):
                return written
            made.extend(written)
        return tuple(made)


class LetsTheLastEditWin(Spoiled):
    def write(self, drafts: Any, expects: Any) -> Any:
        written = self.inner.write(drafts, expects)
        if isinstance(written, Stands) and len(drafts) == 1:
            [draft] = drafts
            if (draft.kind, draft.id) == (written.kind, written.id):
                number = written.number + 1
                again = attrs.evolve(draft, number=number)
                return self.inner.write((again,), expects)
        return written


class ExpectsNothing(Spoiled):
    def write(self, drafts: Any, expects: Any) -> Any:
        return self.inner.write(drafts, {})


class KeepsNoReasons(Spoiled):
    def versions(self, *arguments: Any) -> Any:
        return tuple(
            attrs.evolve(each, reason=ascii(each.reason))
            for each in self.inner.versions(*arguments)
        )


class BelievesItsClock(Spoiled):
    def write(self, drafts: Any, expects: Any) -> Any:
        self.inner._latest_at = datetime.min.replace(tzinfo=UTC)
        return self.inner.write(drafts, expects)


class GivesWhatIsDueByIdOnly(Spoiled):
    def due(self, as_of: Any, after: Any, most: int) -> Any:
        found = self.inner.due(as_of, None, 1_000)
        ids = sorted(found, key=lambda each: each.id)
        rest = [each for each in ids if after is None or each.id > after[1]]
        return tuple(rest[:most])


class MovesEveryDayOn(Spoiled):
    def move_on(self, turned: Any) -> None:
        for each in turned:
            for kept in self.inner.latest(Kind.AUTOPAY, [each.id]):
                self.inner.move_on([attrs.evolve(each, number=kept.number)])


class Booking(BookStoreContract):
    spoil: ClassVar[type[Spoiled]] = Spoiled
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture
    def new_book(self) -> Any:
        return lambda clock: self.spoil(MemoryBookStore(clock=clock))


def _of(base: type, spoil: type[Spoiled], *clauses: str, **more: Any) -> type:
    name = "spoil_with" if base is Reading else "spoil"
    fields = {name: spoil, "breaks": set(clauses), **more}
    return type(spoil.__name__, (base,), fields)


BROKEN: dict[str, type] = GATEWAYS | {
    each.__name__: each
    for each in (
        _of(Reading, ReturnsTheWholeClient, "MD-1"),
        _of(Reading, StopsAfterAPage, "MD-2"),
        _of(Reading, CountsInFloats, "MD-3"),
        _of(Reading, RemembersAnswers, "MD-4"),
        _of(Reading, StatesAnEarlierMomentEachTime, "MD-4"),
        _of(Reading, TakesNothingForEverything, "MD-5"),
        _of(Reading, SearchesWithWildcards, "MD-6"),
        _of(Reading, SwallowsItsErrors, "MD-7"),
        _of(Reading, DropsAnotherWithThePaid, "MD-8"),
        _of(Reading, MovesAnInvoiceAbout, "MD-9"),
        _of(Telling, RefusesWhatItKnows, "NT-1"),
        _of(Telling, LosesEverySecond, "NT-2", "PORT-1"),
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
        _of(Keeping, IgnoresHolds, "PS-1", "PS-7"),
        _of(Keeping, OverwritesPostings, "PS-1", "PS-8"),
        _of(Keeping, MovesPostingsFromAnywhere, "PS-9"),
        _of(Keeping, TellsTheNewestFirst, "PS-10"),
        _of(Keeping, CallsEveryNoticeNew, "PS-10"),
        _of(Keeping, LetsGoOfPendingDebits, "PS-11"),
        _of(Keeping, HandsOverInTwoSteps, "PS-1", "PS-11"),
        _of(Keeping, KeepsHalfOfAnInterruptedChange, "PS-1"),
        _of(KeepingOnALoop, AnswersTheCallBefore, "PS-1"),
        _of(Keeping, GoesBackInTime, "PS-12"),
        PromisesWrongly,
        _of(Keeping, LetsEverybodyClaim, "PS-14"),
        _of(Keeping, KeepsAsciiOnly, "PS-15", examples=25),
        _of(Keeping, ForgetsReservationsInWhatWasSpent, "PS-15"),
        _of(Keeping, TakesItsIdFromAHost, "PS-16"),
        _of(Keeping, HandsOutNoHoldsOnMatters, "PS-17"),
        _of(Keeping, ForgetsWhatWasRemoved, "PS-18"),
        _of(Keeping, LetsReferencesRepeat, "PS-19"),
        _of(Keeping, CountsNoAttempts, "PS-20"),
        _of(Keeping, KnowsNoCeilings, "PS-28"),
        _of(Keeping, AnswersAllWithOneConflict, "PS-29"),
        _of(Keeping, KeepsTheFirstThatWasTold, "PS-21"),
        _of(Keeping, ReceivesAnewEachTime, "PS-23"),
        _of(Keeping, ForgetsEarlierKeys, "PS-24"),
        _of(Keeping, ForgetsOrderOfSendings, "PS-25"),
        _of(Keeping, LetsAPostingIntoTwoBatches, "PS-26"),
        _of(Keeping, MakesABatchInTwoSteps, "PS-1", "PS-26"),
        _of(Keeping, DoesNotNameWhatIsInTheWay, "PS-26"),
        _of(Keeping, AddsUpOnePage, "PS-27"),
        _of(Keeping, CountsWhatWentBackAsPaid, "PS-27"),
        _of(Keeping, SortsEachPageByItself, "PS-27"),
        _of(Keeping, ForgetsAnAmountsCurrency, "PS-27"),
        IsHeldUp,
        _of(Booking, WritesOneByOne, "BK-1"),
        _of(Booking, LetsTheLastEditWin, "BK-2"),
        _of(Booking, ExpectsNothing, "BK-3"),
        _of(Booking, KeepsNoReasons, "BK-1", "BK-4", "BK-5"),
        _of(Booking, BelievesItsClock, "BK-5"),
        _of(Booking, GivesWhatIsDueByIdOnly, "BK-6"),
        _of(Booking, MovesEveryDayOn, "BK-7"),
    )
}
"""By name: contracts over broken adapters; `breaks` is what must be blamed."""

__all__ = ["BROKEN", "Clock"]
