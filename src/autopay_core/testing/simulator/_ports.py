"""
The world behind the ports: a gateway, a ledger, people, a clock, all faulty.

Holds: `Gateway`, `TwoStep`, `Ledger`, `Store` and `Mailbox`. `Store` is the
shipped memory store, unmodified, behind a connection that breaks. Imports:
`_nature`, `_oracle`, `_settings` and the core. Every call tells the oracle
what really happened before a fault spoils the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import attrs

from autopay_core.associations import InvoicePage
from autopay_core.charges import (
    Cancelled,
    Captured,
    DeclineClass,
    Declined,
    Indeterminate,
    Moving,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import Committed
from autopay_core.errors import (
    CommitUnknownError,
    IncompleteReadError,
    PortError,
    PortUnavailableError,
)
from autopay_core.references import MethodKind
from autopay_core.testing.simulator._oracle import (
    PromiseBroken,
    Read,
    Reader,
)
from autopay_core.testing.simulator._settings import (
    CLIENTS,
    at,
    foreign_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autopay_core.associations import InvoiceQuery
    from autopay_core.charges import (
        CancelOutcome,
        ChargeOutcome,
        ChargeRequest,
        GatewayCapabilities,
        LookupOutcome,
    )
    from autopay_core.commits import (
        Change,
        Conflict,
        Standing,
    )
    from autopay_core.invoices import Invoice, SearchPage, SearchQuery
    from autopay_core.notices import Notice
    from autopay_core.ports import PostingStore
    from autopay_core.postings import Posting
    from autopay_core.references import RunKey
    from autopay_core.testing.simulator._nature import Nature

__all__ = [
    "STORE",
    "Executed",
    "Gateway",
    "Killed",
    "Ledger",
    "Mailbox",
    "Store",
]

_LATEST_SECONDS: Final = 200
"""With a quarter of the retention: how long a request lives at most, where a
gateway honours no deadline (PG-6)."""


_STALEST: Final = 4 * 24 * 3_600
STORE: Final = "5" * 32
"""The id of every simulated store, so that a seed makes the same keys."""


class Killed(BaseException):
    """The worker that made this call dies in it."""


@final
class Executed:
    """What the gateway has on record for one request."""

    __slots__ = ("account", "at", "outcome", "request", "visible_at")

    def __init__(
        self,
        request: ChargeRequest,
        outcome: Moving | Declined,
        at: int,
        visible_at: int,
        account: str,
    ) -> None:
        self.account = account
        self.request = request
        self.outcome = outcome
        self.at = at
        self.visible_at = visible_at


@final
class Gateway:
    """
    A gateway of either form that keeps its promises and nothing more.

    It forgets keys at the end of their retention to the second, shows
    requests to a look-up as late as it may, loses requests and answers,
    delivers requests late and twice.
    """

    def __init__(self, world: Nature) -> None:
        self._world = world
        self._done: dict[str, Executed] = {}
        self._by_key: dict[str, Executed] = {}
        self._prepared: dict[str, ChargeRequest] = {}
        self._refused: dict[str, Declined] = {}
        self._cancelled: set[str] = set()
        self.late: list[tuple[str, ChargeRequest, str]] = []
        self._count = 0
        self.account = "one"
        capabilities = world.settings.capabilities
        self._capabilities = attrs.evolve(capabilities, account=self.account)
        self._retention = capabilities.key_retention_seconds
        self._settle = capabilities.lookup_settle_seconds
        self.is_two_step = capabilities.two_step

    @property
    def capabilities(self) -> GatewayCapabilities:
        """What is promised in this world."""
        return self._capabilities

    def exchange(self) -> None:
        """Ask the other account from now on; the first one goes on (R12)."""
        self.account = "two" if self.account == "one" else "one"
        self._capabilities = attrs.evolve(
            self._capabilities, account=self.account
        )

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Take the money in one step."""
        self._sent(request, None)
        return self._arrive(request.key, request)

    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """Make a reference, or refuse for good; no money moves."""
        world = self._world
        if world.fails("down"):
            raise PortUnavailableError("down")
        refused = self._refused.get(request.key)
        if (
            refused is None
            and not self._is_under(request.key)
            and (world.fails("refuses"))
        ):
            refused = self._refused[request.key] = world.decline(request)
            world.oracle.refused[request.key] = refused
        if refused is not None:
            if world.fails("answer_lost"):
                raise PortError("lost", code="Timeout")
            return refused
        reference = f"ref-{len(self._prepared) + 1}"
        self._prepared[reference] = request
        if world.fails("answer_lost"):
            raise PortError("lost", code="Timeout")
        return reference

    def _is_under(self, key: str) -> bool:
        """Tell whether something was, or may be, confirmed under a key."""
        facts = self._world.oracle.keys.get(key)
        return facts is not None and facts.may_have_left

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for *reference*, at most once."""
        self._sent(request, reference)
        if reference not in self._prepared:
            raise PromiseBroken("I4", f"{reference} was never prepared")
        return self._arrive(reference, request)

    def _sent(self, request: ChargeRequest, reference: str | None) -> None:
        world = self._world
        world.oracle.sent(request, reference, world.reader, self.account)

    def lookup(self, key: str, /) -> LookupOutcome:
        """Tell what is on record, if it can be seen yet, or still."""
        world = self._world
        world.reader.note_look(key)
        if world.fails("down"):
            raise PortUnavailableError("down")
        if world.settings.is_mute or world.fails("answer_lost"):
            return Indeterminate(detail="timeout")
        found = self._by_key.get(key)
        if (
            found is None
            or found.account != self.account
            or world.now < found.visible_at
            or (world.settings.forgets and not self._is_kept(found))
            or (
                isinstance(found.outcome, Pending)
                and world.oracle.is_pending(key)
                and world.fails("vanishes")
            )
        ):
            return NotFound()
        if world.fails("garbled"):
            return _garbled(found.outcome)
        return found.outcome

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """Tell at once what became of a reference on record."""
        world = self._world
        world.reader.note_look(key)
        if world.fails("down"):
            raise PortUnavailableError("down")
        if world.settings.is_mute:
            return Indeterminate(detail="mute")
        found = self._done.get(self.account + reference)
        if found is None:
            return NotFound()
        if world.fails("garbled"):
            return _garbled(found.outcome)
        return found.outcome

    def cancel(self, key: str, _: str | None, /) -> CancelOutcome:
        """See to it that nothing under a key moves any more (PG-11)."""
        world = self._world
        world.reader.note_look(key)
        if world.fails("down"):
            raise PortUnavailableError("down")
        found = self._by_key.get(key)
        if found is not None and found.account != self.account:
            raise PromiseBroken("R12", f"{key} is of another account")
        if world.settings.is_mute:
            return Indeterminate(detail="mute")
        waits = found is not None and isinstance(found.outcome, NeedsPayer)
        if found is None or waits:
            self._cancelled.add(key)
        if found is not None and waits:
            # It has taken nothing, and the payer's yes comes too late now.
            world.oracle.let_go(key)
            del self._by_key[key]
            self._done = {
                slot: each
                for slot, each in self._done.items()
                if each is not found
            }
        if world.fails("answer_lost"):
            raise PortError("lost", code="Timeout")
        if found is None or waits:
            return Cancelled(key=key)
        return found.outcome

    def _is_kept(self, found: Executed) -> bool:
        if self.is_two_step or isinstance(found.outcome, Pending):
            return True
        return self._world.now < found.at + self._retention

    def _arrive(self, slot: str, request: ChargeRequest) -> ChargeOutcome:
        """Let a request arrive, or not, and its answer, or not."""
        world = self._world
        if self._is_too_old(request):
            raise Killed
        fails = world.fails
        if fails("down"):
            # It never left, as far as this try goes (PG-4).
            world.oracle.never_left(request.key)
            raise PortUnavailableError("down")
        if fails("request_lost") or (
            world.settings.is_mute and world.random() < 0.4
        ):
            return Indeterminate(detail="lost")
        if fails("late"):
            self.late.append((slot, request, self.account))
            return Indeterminate(detail="late")
        try:
            outcome = self._execute(slot, request, self.account)
        except PortUnavailableError:
            world.oracle.never_left(request.key)
            raise
        if fails("twice"):
            self.late.append((slot, request, self.account))
        if world.settings.is_mute or fails("answer_lost"):
            return Indeterminate(detail="lost")
        if fails("raises"):
            raise RuntimeError("broken")
        if fails("garbled"):
            return _garbled(outcome)
        return outcome

    def _is_too_old(self, request: ChargeRequest) -> bool:
        """
        Tell whether a request outlives what is assumed of the network.

        Only for a one-step gateway that honours no deadline (PG-6).
        """
        if self.is_two_step or self._capabilities.honours_deadline:
            return False
        assert request.not_after is not None
        sent_at = self._world.seconds(request.not_after) - 600
        return self._world.now > (
            sent_at + self._retention // 4 + _LATEST_SECONDS
        )

    def land(self, place: int) -> None:
        """Let a late request arrive; nobody waits for its answer."""
        slot, request, account = self.late.pop(place)
        if self._is_too_old(request):
            return
        try:
            self._execute(slot, request, account)
        except PortUnavailableError:
            return

    def _execute(
        self, slot: str, request: ChargeRequest, account: str
    ) -> Moving | Declined:
        world = self._world
        known = self._done.get(account + slot)
        if known is not None and self._is_kept(known):
            if known.request.request_hash != request.request_hash:
                raise PromiseBroken("I5", f"{slot}: another request")
            return known.outcome
        if request.key in self._cancelled:
            raise PortUnavailableError("called off", code="KeyCancelled")
        if self._capabilities.honours_deadline and (
            request.not_after is None
            or world.now > world.seconds(request.not_after)
        ):
            raise PortUnavailableError("too late", code="DeadlinePassed")
        outcome: Moving | Declined
        self._count += 1
        facts = world.oracle.keys[request.key]
        if world.is_declined or world.fails("declines"):
            outcome = world.decline(request)
            facts.declined = outcome
        elif world.fails("asks_payer"):
            world.oracle.accepted(request.key)
            facts.pending = True
            outcome = NeedsPayer(
                key=request.key,
                amount=request.amount,
                reference=f"ask-{self._count}",
                link="https://pay.example/approve",
                until=at(world.now + world.rng.randint(600, 172_800)),
            )
        elif request.method.kind is MethodKind.BANK_ACCOUNT:
            world.oracle.accepted(request.key)
            facts.pending = True
            outcome = Pending(
                key=request.key,
                amount=request.amount,
                reference=f"debit-{self._count}",
            )
        else:
            world.oracle.accepted(request.key)
            facts.captured = request.amount.amount_minor
            outcome = Captured(
                key=request.key,
                amount=request.amount,
                reference=f"pay-{self._count}",
            )
        lag = 0
        if world.fails("lag"):
            most = 10_800 if self._settle is None else self._settle
            lag = world.rng.choice((most, world.rng.randint(0, most)))
        done = Executed(request, outcome, world.now, world.now + lag, account)
        self._done[account + slot] = done
        self._by_key[request.key] = done
        if world.trace is not None:
            world.note(f"    gateway: {request.key[-6:]} {outcome}")
        return outcome

    def pending(self) -> list[Executed]:
        """Return the debits under way, and what payers have to approve."""
        return [
            each
            for each in self._by_key.values()
            if isinstance(each.outcome, (Pending, NeedsPayer))
        ]

    def captures(self) -> list[Executed]:
        """Return what was captured."""
        return [
            each
            for each in self._by_key.values()
            if isinstance(each.outcome, Captured)
        ]

    def found(self, key: str) -> Executed | None:
        """Return the truth about a key."""
        return self._by_key.get(key)

    def settle(self, each: Executed, *, fails: bool) -> None:
        """Let a bank debit end, or a payer act, if there is time."""
        key = each.request.key
        if isinstance(each.outcome, NeedsPayer) and (
            self._world.now >= self._world.seconds(each.outcome.until)
        ):
            fails = True
        facts = self._world.oracle.keys[key]
        facts.pending = False
        each.at = self._world.now
        if fails:
            self._world.oracle.unaccepted(key)
            facts.declined = each.outcome = Declined(
                key=key, code="R01", decline_class=DeclineClass.LATER
            )
        else:
            facts.captured = each.request.amount.amount_minor
            each.outcome = Captured(
                key=key,
                amount=each.request.amount,
                reference=each.outcome.reference
                if isinstance(each.outcome, (Pending, NeedsPayer))
                else "pay",
            )

    def reveal(self) -> None:
        """Let look-ups see everything from now on."""
        for each in self._by_key.values():
            each.visible_at = 0


def _garbled(
    outcome: Moving | Declined,
) -> Moving | Declined:
    """Spoil an answer on its way: another amount (R8)."""
    if isinstance(outcome, Declined):
        return outcome
    return attrs.evolve(outcome, amount=usd(outcome.amount.amount_minor + 100))


class Export(NamedTuple):
    """
    What the ledger said at a moment.

    Attributes:
        invoices: By number.
        owed: What was owed before anything that we took.

    """

    invoices: Mapping[str, Invoice]
    owed: Mapping[str, int]


@final
class Ledger:
    """
    The firm's matter-management software: what was billed, paid and posted.

    It takes a posting once, whatever is sent twice, and shows it in the
    balance before anybody hears of it (P2).
    """

    def __init__(self, world: Nature, invoices: Sequence[Invoice]) -> None:
        self._world = world
        self.invoices = {str(each.number): each for each in invoices}
        self.billed = {
            str(each.number): each.balance.amount_minor for each in invoices
        }
        self.by_hand = dict.fromkeys(self.billed, 0)
        self.undone = world.undone
        self._past: list[tuple[int, Export]] = []
        self._keep()
        self.inbox: dict[str, Posting] = {}
        self.refused: set[str] = set()

    def _keep(self) -> None:
        """Keep what an export of now would say."""
        owed = {
            number: billed - self.by_hand[number]
            for number, billed in self.billed.items()
        }
        export = Export(dict(self.invoices), owed)
        if self._past and self._past[-1][0] == self._world.now:
            self._past.pop()
        self._past.append((self._world.now, export))

    def _export(self, seconds: int) -> Export:
        """Return what an export of that moment said."""
        return next(
            export for at, export in reversed(self._past) if at <= seconds
        )

    def take_back(self, posting: Posting) -> None:
        """Undo a posting that the balance showed; nobody is told (B1)."""
        self._world.oracle.shown.discard(posting.id)
        self.undone[posting.id] = posting
        self._shift(str(posting.invoice), posting.amount.amount_minor)

    def receive(self, posting: Posting) -> None:
        """Take a posting in; it shows some time later."""
        if posting.id not in self._world.oracle.shown:
            self.inbox[posting.id] = posting

    def has_seen(self, posting: Posting) -> bool:
        """Tell whether a posting was ever sent, or booked by hand."""
        return (
            posting.id in self.inbox or posting.id in self._world.oracle.shown
        )

    def show(self, posting: Posting) -> None:
        """Let the balance show a posting, once."""
        shown = self._world.oracle.shown
        self.inbox.pop(posting.id, None)
        self.undone.pop(posting.id, None)
        if posting.id in shown:
            return
        shown.add(posting.id)
        self._shift(str(posting.invoice), -posting.amount.amount_minor)

    def pay_by_hand(self, number: str, minor: int) -> None:
        """Book a payment that came some other way."""
        self.by_hand[number] += minor
        self._shift(number, -minor)

    def bill(self, invoice: Invoice) -> None:
        """Add a new invoice."""
        number = str(invoice.number)
        self.invoices[number] = invoice
        self.billed[number] = invoice.balance.amount_minor
        self.by_hand[number] = 0
        self._keep()

    def bill_more(self, number: str, minor: int) -> None:
        """Add to an invoice, or write some of it off."""
        self.billed[number] += minor
        self._shift(number, minor)

    def _shift(self, number: str, minor: int) -> None:
        before = self.invoices[number]
        self.invoices[number] = attrs.evolve(
            before, balance=usd(before.balance.amount_minor + minor)
        )
        self._keep()

    def search(self, query: SearchQuery, /) -> SearchPage:
        """Refuse: no flow searches."""
        raise PortUnavailableError(f"nobody searches for {query.by.value}")

    def _rows(self, query: InvoiceQuery, export: Export) -> list[Invoice]:
        """Return what is open under *query*, by number."""
        rows = [
            each
            for each in export.invoices.values()
            if not each.balance.is_zero
            and any(
                one.client == each.client
                and one.matter in (None, each.matter)
                and one.invoice in (None, each.number)
                for one in query.associations
            )
        ]
        return sorted(rows, key=lambda each: int(str(each.number)[1:]))

    def _spoiled(self, page: list[Invoice]) -> list[Invoice]:
        """Cut a page off, aloud or not, or return rows twice."""
        kind = self._world.rng.randrange(3)
        if kind == 0:
            raise IncompleteReadError("cut off")
        if kind == 1 or not page:
            return [*page[::-1], *page]
        # The announced total gives it away.
        self._world.reader.cut.add(str(page[-1].number))
        return page[:-1]

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Return a page, as true as the moment, or spoiled in ways allowed."""
        world = self._world
        fails = world.fails
        if fails("down"):
            raise PortUnavailableError("down")
        if query.page is None:
            world.reader.cut.clear()
            world.reader.came.clear()
            self._state(world.reader)
        seconds = world.reader.stated
        export = self._past[-1][1]
        if seconds is not None:
            export = self._export(seconds)
        rows = self._rows(query, export)
        total = len(rows)
        after = int(query.page or "0")
        page = [each for each in rows if int(str(each.number)[1:]) > after]
        size = world.settings.page_size
        more = len(page) > size
        page = page[:size]
        following = str(page[-1].number)[1:] if more else None
        reads, tick = world.reader.reads, world.reader.look()
        for each in page:
            number = str(each.number)
            reads[number] = Read(each, export.owed[number], tick)
        if fails("pages"):
            kind = world.rng.randrange(3)
            if kind == 0:
                total += 1
            elif kind == 1:
                following = query.page or "0"
            else:
                page = self._spoiled(page)
        world.reader.came.update(str(each.number) for each in page)
        if fails("foreign"):
            page = [*page, foreign_invoice(query.payer)]
            total += 1
        return InvoicePage(
            invoices=tuple(page),
            next_page=following,
            total=total,
            stated_at=None if seconds is None else at(seconds),
        )

    def _state(self, reader: Reader) -> None:
        """Choose for when the balances of a read hold (B0)."""
        world, reader.stated = self._world, None
        if world.fails("stale"):
            first = self._past[0][0]
            if first < world.now:
                earliest = max(first, world.now - _STALEST)
                reader.stated = world.rng.randrange(earliest, world.now)


@final
class Store:
    """The shipped memory store behind a connection that breaks."""

    def __init__(self, world: Nature, inner: PostingStore) -> None:
        self._world = world
        self.inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method
        """Pass through, or fail: whatever the port has."""
        method = getattr(self.inner, name)

        def call(*args: Any) -> Any:  # noqa: ANN401 - as above
            self._break()
            return method(*args)

        return call

    def standing(self, key: RunKey, method: str, payer: str, /) -> Standing:
        """Read, under an id that is the same for every world."""
        world = self._world
        self._break()
        standing = self.inner.standing(key, method, payer)
        world.reader.now = standing.now
        if world.mark_time(standing.now):
            world.reader.is_turn_whole = False
            world.reader.is_clock_suspect = True
        else:
            world.reader.is_clock_suspect = False
        if standing.store == STORE:
            return standing
        return attrs.evolve(standing, store=STORE)

    def commit(self, change: Change, /) -> Committed | Conflict:
        """Commit, and sometimes not say whether."""
        world = self._world
        self._break()
        is_unknown = world.fails("commit_unknown")
        if is_unknown and world.rng.random() < 0.5:
            raise CommitUnknownError("the connection broke")
        answer = self.inner.commit(change)
        if isinstance(answer, Committed):
            world.mark_time(answer.at)
            world.oracle.committed(change, world.reader)
            world.books.committed(change)
            world.moved(change)
            if world.oracle.is_open_changed:
                world.oracle.covered(
                    self.inner.open_amounts(CLIENTS), world.undone
                )
        if is_unknown:
            raise CommitUnknownError("the connection broke")
        return answer

    def _break(self) -> None:
        if self._world.fails("down"):
            raise PortUnavailableError("down")


@final
class Mailbox:
    """Takes notices, unless it is down; sees each key once."""

    def __init__(self, world: Nature) -> None:
        self._world = world
        self.accepted: dict[str, Notice] = {}

    def send(self, notice: Notice, /) -> None:
        """Take a notice in."""
        world = self._world
        if world.fails("notifier"):
            raise PortUnavailableError("down")
        if "secret" in f"{notice.detail}{notice.name}{notice.reason}":
            raise PromiseBroken("I16", "a token is in a notice")
        self.accepted.setdefault(notice.key, notice)
        if world.fails("answer_lost"):
            raise PortError("lost", code="Timeout")
