"""
Two firms and what happened to them, played with the library of edda14f.

Holds: `Firm` and the stories `one_step` and `two_step`. A story plays on any
posting store; the same calls at the same times leave the same rows on each.
What a process that dies leaves behind is made by a gateway that kills it.

At the end stand runs in every state, and in doubt for every reason: the
request was lost, its answer was lost, or the process died before or after.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from autopay_core import (
    AccountKind,
    AdvanceNotice,
    Association,
    AutoPay,
    Captured,
    DeclineClass,
    DepositAccount,
    Enrollment,
    GatewayCapabilities,
    Invoice,
    InvoicePage,
    InvoiceQuery,
    Limit,
    MethodKind,
    Money,
    Pause,
    PaymentMethodRef,
    Ports,
    Posting,
    PostingStatus,
    RetryPolicy,
    Reversal,
    ReversalKind,
    RunKey,
    RunRecord,
    RunStatus,
    Schedule,
    StopOrder,
    advance_postings,
    attest,
    read_postings,
    recover,
    reverse,
    run,
    stop,
    sweep,
)
from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
    MemoryTwoStepGateway,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY_SECRET: Final = b"The make-believe firms of edda14f have no secrets."
TODAY: Final = date(2026, 3, 16)
CAPABILITIES: Final = GatewayCapabilities(
    key_retention_seconds=24 * 3600,
    lookup_settle_seconds=0,
    honours_deadline=True,
)
STREET: Final = 'O\'Hara "Søn" & Müller; 50% — 東京 \\ №7'
"""Text that a dump, a driver or an encoding could spoil."""


class DiedError(BaseException):
    """The process ended here; no handler of the library may stop it."""


class Clock:
    """The time of store and gateway; a story moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 15, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def at(self, text: str) -> None:
        """Move on to a time such as ``"01-15 12:00"``."""
        later = datetime.strptime(f"2026-{text}Z", "%Y-%m-%d %H:%M%z")
        assert later > self.now
        self.now = later


class Mortal:
    """
    A gateway in memory whose caller may die at a call.

    Attributes:
        inner: The gateway that keeps what it did.
        dies: The call at which the process dies next, such as ``"charge"``.
        is_late: It dies after the call was carried out, not before.

    """

    def __init__(self, inner: MemoryGateway | MemoryTwoStepGateway) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self.dies = ""
        self.is_late = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name not in ("charge", "prepare", "confirm"):
            return method

        def call(*args: Any) -> Any:
            if self.dies != name:
                return method(*args)
            self.dies = ""
            if self.is_late:
                method(*args)
            raise DiedError

        return call


class Leaky:
    """
    Matter data with a broken filter for some clients (A2).

    Attributes:
        inner: What the matter-management software knows.
        leaks: Clients who are shown an invoice of somebody else.

    """

    def __init__(self, inner: MemoryMatterData) -> None:
        self.inner = inner
        self.leaks: dict[str, Invoice] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def open_invoices(self, query: InvoiceQuery) -> InvoicePage:
        """Return a page, with a foreign row for who is leaked to."""
        page = self.inner.open_invoices(query)
        for each in query.associations:
            if each.client in self.leaks:
                return InvoicePage(
                    invoices=(*page.invoices, self.leaks[each.client])
                )
        return page


class Firm:
    """
    One firm: its ports and its standing orders.

    Args:
        open_store: Opens an empty posting store on a clock.
        two_step: Whether its gateway has two steps.

    """

    def __init__(
        self, open_store: Callable[[Clock], Any], *, two_step: bool
    ) -> None:
        self.clock = Clock()
        self.store = open_store(self.clock)
        made = MemoryTwoStepGateway if two_step else MemoryGateway
        self.gateway = Mortal(
            made(
                clock=self.clock,
                capabilities=attrs.evolve(CAPABILITIES, two_step=two_step),
                bank_debits_pend=True,
            )
        )
        self.matters = Leaky(MemoryMatterData())
        self.notifier = MemoryNotifier()
        self.ports = Ports(
            matters=self.matters,
            gateway=self.gateway,
            postings=self.store,
            notifier=self.notifier,
            key_secret=KEY_SECRET,
        )
        self.autopays: dict[str, AutoPay] = {}

    # -- What there is -------------------------------------------------------

    def order(
        self,
        name: str,
        first_on: date,
        /,
        *amounts: str,
        bank: bool = False,
        currency: str = "USD",
        **fields: Any,
    ) -> AutoPay:
        """
        Make a standing order for a client with invoices of some amounts.

        Args:
            name: Of the auto-pay, its payer, client, matter and invoices.
            first_on: First date of a monthly schedule.
            amounts: Of its invoices, oldest first.
            bank: A consumer's bank account, not a card.
            currency: Of everything.
            fields: Of the `AutoPay`, instead of the usual ones.

        """
        kind = fields.get("deposit_account", DepositAccount(id="op-1")).kind
        for place, amount in enumerate(amounts, start=1):
            self.matters.put(
                Invoice(
                    number=f"{name}-{place}",
                    client=f"C-{name}",
                    matter=f"M-{name}",
                    issued_on=date(2025, 12, place),
                    due_on=None if place > 1 else date(2026, 1, 10),
                    balance=Money.of(amount, currency),
                    total=Money.of(amount, currency),
                    account=kind,
                )
            )
        given: dict[str, Any] = {
            "id": f"ap-{name}",
            "payer": f"p-{name}",
            "name": f"The {name} one",
            "method": PaymentMethodRef(
                provider="acme",
                token=f"tok-{name}",
                kind=MethodKind.BANK_ACCOUNT if bank else MethodKind.CARD,
                network="" if bank else "visa",
                consumer=bank,
            ),
            "deposit_account": DepositAccount(id="op-1"),
            "schedule": Schedule.monthly(first_on),
            "limit": Limit.all(currency),
            "enrollments": (
                Association.to_client(
                    payer=fields.get("payer", f"p-{name}"), client=f"C-{name}"
                ),
            ),
        }
        autopay = AutoPay(**{**given, **fields})
        self.autopays[name] = autopay
        return autopay

    # -- What happens --------------------------------------------------------

    def run(self, name: str, status: RunStatus, on: date = TODAY) -> RunRecord:
        """Run an auto-pay, which ends like this."""
        result = run(self.autopays[name], on=on, ports=self.ports)
        assert result.status is status, (name, result)
        assert result.record is not None
        return result.record

    def spoil(self, name: str, fault: Fault, status: RunStatus) -> RunRecord:
        """Run an auto-pay on a day on which the gateway fails."""
        self.gateway.script(fault)
        return self.run(name, status)

    def die(self, name: str, call: str, *, late: bool = False) -> None:
        """Run an auto-pay in a process that dies at a call of the gateway."""
        self.gateway.dies, self.gateway.is_late = call, late
        with contextlib.suppress(DiedError):
            self.run(name, RunStatus.PAID)
            raise AssertionError(name)

    def sweep(self, *names: str, **options: Any) -> list[Any]:
        """Sweep some auto-pays on the clock's date."""
        return list(
            sweep(
                [self.autopays[each] for each in names],
                as_of=self.clock.now.date(),
                ports=self.ports,
                **options,
            )
        )

    def decline(
        self, name: str, code: str, kind: DeclineClass = DeclineClass.LATER
    ) -> None:
        """Decline what an auto-pay's method is charged, from now on."""
        message = f"Declined for {STREET}."
        self.gateway.decline(f"tok-{name}", code, kind, message)

    def key(self, name: str, on: date = TODAY) -> RunKey:
        """Return the key of an auto-pay's run."""
        return RunKey(autopay=f"ap-{name}", nominal_on=on)

    def stop(self, target: str, *, active: bool = True) -> None:
        """Put a stop order on record."""
        order = StopOrder(
            target=target, active=active, by="jo", reason=f"Said {STREET}"
        )
        stop(order, ports=self.ports)

    def postings(self, name: str) -> list[Posting]:
        """Return an auto-pay's postings by invoice, reversals last."""
        found = [
            each
            for each in read_postings(ports=self.ports)
            if each.run.autopay == f"ap-{name}"
        ]
        return sorted(
            found, key=lambda each: (each.reverses is not None, each.invoice)
        )

    def move(
        self, posting: Posting, *path: PostingStatus, note: str | None = None
    ) -> Posting:
        """Take a posting some steps on; the ledger shows where it arrives."""
        for to in path:
            moved = advance_postings(
                [posting], to, ports=self.ports, by="kim", note=note
            )
            assert moved is not None
            [posting] = moved
        if path[-1] in (PostingStatus.APPLIED, PostingStatus.REMOVED):
            self.matters.apply(posting)
        return posting

    def executed(self) -> Iterator[tuple[str, Any, Any]]:
        """Return name, request and outcome of all that the gateway did."""
        for name, each in self.gateway.inner._executed.items():
            yield name, each.request, each.outcome


# -- One step ----------------------------------------------------------------


def one_step(open_store: Callable[[Clock], Any]) -> Firm:
    """Play the firm whose gateway has one step."""
    firm = Firm(open_store, two_step=False)
    _postings_in_each_status(firm)
    _money_that_went_back(firm)
    _more_than_one_attempt(firm)
    _in_review(firm)
    firm.clock.at("03-16 10:00")
    _the_morning_of_the_last_day(firm)
    firm.clock.at("03-16 12:00")
    _due_on_the_next_day(firm)
    _finished(firm)
    _pending(firm)
    _in_doubt(firm)
    firm.clock.at("03-16 12:30")
    _told_to_nobody(firm)
    _of_a_store_that_was_lost(firm)
    firm.gateway.reveal()
    return firm


def _postings_in_each_status(firm: Firm) -> None:
    status = PostingStatus
    amounts = [f"{100 + place}.00" for place in range(6)]
    first_on = date(2026, 1, 15)
    firm.order("ledger", first_on, *amounts, ar_message=STREET)
    firm.run("ledger", RunStatus.PAID, first_on)
    firm.clock.at("01-16 09:00")
    applied, posted, queued, incomplete, removed, _ = firm.postings("ledger")
    firm.move(applied, status.QUEUED, status.POSTED, status.APPLIED)
    firm.move(posted, status.QUEUED, status.POSTED)
    firm.move(queued, status.QUEUED)
    firm.move(incomplete, status.INCOMPLETE, note=f"No matter: {STREET}")
    firm.move(removed, status.REMOVED, note="Entered by hand.")


def _money_that_went_back(firm: Firm) -> None:
    first_on = date(2026, 1, 17)
    every_second = Schedule.monthly(first_on, every=2)
    for name in ("returned", "refunded", "disputed"):
        firm.order(name, first_on, "80.00", "20.00", schedule=every_second)
    firm.clock.at("01-17 12:00")
    for name in ("returned", "refunded", "disputed"):
        firm.run(name, RunStatus.PAID, first_on)
    for each in firm.postings("returned"):
        firm.move(each, PostingStatus.QUEUED, PostingStatus.APPLIED)
    firm.clock.at("01-20 09:00")
    for name, kind, amount in (
        ("returned", ReversalKind.RETURN, "100.00"),
        ("refunded", ReversalKind.REFUND, "30.00"),
        ("disputed", ReversalKind.CHARGEBACK, "100.00"),
    ):
        reversal = Reversal(
            event=f"evt-{name}",
            kind=kind,
            amount=Money.of(amount, "USD"),
            on=date(2026, 1, 20),
        )
        reverse(
            firm.key(name, first_on), reversal, ports=firm.ports, by="bank"
        )
    # The ledger shows what was returned: it is owed again.
    for each in firm.postings("returned"):
        if each.reverses is not None:
            firm.move(each, PostingStatus.QUEUED, PostingStatus.APPLIED)


def _more_than_one_attempt(firm: Firm) -> None:
    on = date(2026, 3, 2)
    firm.order("retried", on, "40.00", retry=RetryPolicy(every_days=3))
    firm.order("resent", on, "41.00")
    firm.clock.at("03-02 12:00")
    firm.decline("retried", "51")
    firm.run("retried", RunStatus.WAITING, on)
    firm.gateway.script(Fault.UNAVAILABLE)
    firm.run("resent", RunStatus.WAITING, on)
    firm.gateway.accept("tok-retried")
    firm.clock.at("03-05 12:00")
    for result in firm.sweep("retried", "resent"):
        assert result.status is RunStatus.PAID
        assert result.record.attempts[-1].number == 2


def _in_review(firm: Firm) -> None:
    on = date(2026, 3, 13)
    names = ("unresolved", "forgotten", "attested")
    for name in names:
        firm.order(name, on, "50.00", "60.00")
    firm.clock.at("03-13 12:00")
    firm.gateway.inner.hides_new_requests = True
    for name, fault in zip(
        names,
        (Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.LOSE_REQUEST),
        strict=True,
    ):
        firm.gateway.script(fault)
        firm.run(name, RunStatus.OPEN, on)
    firm.gateway.inner.hides_new_requests = False
    # A quarter before the gateway may forget the keys.
    firm.clock.at("03-14 08:00")
    found = [each.status for each in recover(ports=firm.ports)]
    assert found == [RunStatus.REVIEW] * 3, found
    [record] = [
        each
        for each in firm.store.runs()
        if each.key == firm.key(names[2], on)
    ]
    attested = attest(
        record.key,
        Captured(
            key=record.attempts[-1].key,
            amount=Money.of("70.00", "USD"),
            reference="statement-17",
        ),
        by="jo",
        reason="The bank shows less.",
        evidence="statement 17",
        ports=firm.ports,
    )
    assert attested.status is RunStatus.PAID


def _the_morning_of_the_last_day(firm: Firm) -> None:
    """Sweep while nothing is in doubt: sweeping would resolve it."""
    first_on = date(2026, 1, 16)
    firm.order("missed", first_on, "30.00")
    firm.order(
        "announced",
        date(2026, 3, 27),
        "90.00",
        bank=True,
        advance_notice=AdvanceNotice(),
    )
    firm.order("stopped", TODAY, "31.00")
    firm.stop(StopOrder.autopay("ap-stopped"))
    firm.order(
        "told",
        date(2025, 3, 20),
        "32.00",
        method=PaymentMethodRef(
            provider="acme",
            token="tok-told",
            network="visa",
            expires_on=date(2026, 3, 31),
        ),
        pauses=(
            Pause(from_on=date(2025, 3, 20), to_on=date(2026, 3, 5)),
            Pause(from_on=date(2026, 3, 10), to_on=date(2026, 3, 25)),
        ),
    )
    firm.order("off", date(2026, 3, 20), "33.00", off_from=date(2026, 3, 10))
    results = firm.sweep(
        "missed", "announced", "stopped", "told", "off", claim_seconds=600
    )
    assert {each.status for each in results} == {
        RunStatus.REVIEW,
        RunStatus.MISSED,
        RunStatus.PAID,
        RunStatus.ANNOUNCED,
        RunStatus.CANCELLED,
    }


def _due_on_the_next_day(firm: Firm) -> None:
    tomorrow = TODAY + timedelta(days=1)
    card = PaymentMethodRef(provider="acme", token="tok-blocked")
    firm.order("blocked", tomorrow, "34.00", method=card)
    firm.stop(StopOrder.method(card.fingerprint))
    firm.order("lifted", tomorrow, "35.00")
    firm.stop(StopOrder.autopay("ap-lifted"))
    firm.stop(StopOrder.autopay("ap-lifted"), active=False)
    # Somebody else pays for the client whose answer was lost.
    firm.order(
        "shared",
        tomorrow,
        enrollments=(
            Association.to_client(payer="p-shared", client="C-unheard"),
        ),
    )


def _finished(firm: Firm) -> None:
    firm.order(
        "plan",
        TODAY,
        "36.00",
        enrollments=(
            Enrollment(
                association=Association.to_invoice(
                    payer="p-plan",
                    client="C-plan",
                    matter="M-plan",
                    invoice="plan-1",
                ),
                since=date(2026, 3, 1),
            ),
        ),
    )
    firm.run("plan", RunStatus.PAID)
    firm.order(
        "東京",
        TODAY,
        "3600",
        currency="JPY",
        name=STREET,
        ar_message=STREET,
        deposit_account=DepositAccount(id="trust-1", kind=AccountKind.TRUST),
    )
    firm.run("東京", RunStatus.PAID)
    firm.order("retrying", TODAY, "37.00", retry=RetryPolicy(every_days=3))
    firm.decline("retrying", "51")
    firm.run("retrying", RunStatus.WAITING)
    firm.gateway.accept("tok-retrying")


def _pending(firm: Firm) -> None:
    for name in ("debit", "settled", "bounced"):
        firm.order(name, TODAY, "52.00", bank=True)
        record = firm.run(name, RunStatus.PENDING)
        # What became of the others is not on record yet.
        if name == "settled":
            firm.gateway.settle(record.attempts[-1].key)
        if name == "bounced":
            firm.gateway.fail(record.attempts[-1].key)


def _in_doubt(firm: Firm) -> None:
    for name in (
        "twice",
        "unsent",
        "unheard",
        "lost",
        "mismatched",
        "refused",
        "died",
        "charged",
        "silenced",
        "halted",
    ):
        firm.order(name, TODAY, "53.00", "54.00", ar_message=f"For {name}")
    firm.order("underway", TODAY, "55.00", bank=True)
    # First the one that is swept: that would resolve the others.
    firm.spoil("twice", Fault.LOSE_REQUEST, RunStatus.OPEN)
    firm.clock.at("03-16 12:02")
    firm.gateway.script(Fault.LOSE_REQUEST)
    firm.sweep("twice")
    firm.spoil("unsent", Fault.UNAVAILABLE, RunStatus.WAITING)
    firm.spoil("unheard", Fault.LOSE_ANSWER, RunStatus.OPEN)
    firm.spoil("lost", Fault.LOSE_REQUEST, RunStatus.OPEN)
    firm.spoil("mismatched", Fault.WRONG_AMOUNT, RunStatus.REVIEW)
    firm.die("died", "charge")
    firm.die("charged", "charge", late=True)
    firm.die("underway", "charge", late=True)
    firm.decline("refused", "14", DeclineClass.FIX_FIRST)
    firm.die("refused", "charge", late=True)
    # Stopped too late, and stopped in time.
    firm.die("silenced", "charge", late=True)
    firm.stop(StopOrder.autopay("ap-silenced"))
    firm.die("halted", "charge")
    firm.stop(StopOrder.autopay("ap-halted"))


def _told_to_nobody(firm: Firm) -> None:
    firm.notifier.is_down = True
    cap = Money.of("70.00", "USD")
    total = Money.of("90.00", "USD")
    firm.order(
        "capped",
        TODAY,
        "60.00",
        "61.00",
        limit=Limit.up_to(cap, per_month=cap, lifetime=total),
    )
    firm.run("capped", RunStatus.PAID)
    firm.order("declined", TODAY, "62.00")
    firm.decline("declined", "43", DeclineClass.NEVER)
    firm.run("declined", RunStatus.FAILED)
    firm.order("leaked", TODAY, "63.00")
    leaked = firm.matters.get("declined-1")
    assert leaked is not None
    firm.matters.leaks["C-leaked"] = leaked
    firm.run("leaked", RunStatus.FAILED)
    firm.order("idle", TODAY)
    firm.run("idle", RunStatus.NOTHING_DUE)


def _of_a_store_that_was_lost(firm: Firm) -> None:
    """
    Charge what the store that is kept knows nothing of.

    As if it had been restored from a backup of the hour before (R2).
    """
    autopay = firm.order("restored", TODAY, "64.00")
    lost = attrs.evolve(
        firm.ports, postings=MemoryPostingStore(clock=firm.clock)
    )
    assert run(autopay, on=TODAY, ports=lost).status is RunStatus.PAID


# -- Two steps ---------------------------------------------------------------


def two_step(open_store: Callable[[Clock], Any]) -> Firm:
    """Play the firm whose gateway prepares first and then confirms."""
    firm = Firm(open_store, two_step=True)
    firm.clock.at("03-16 12:00")
    for name in (
        "paid",
        "unprepared",
        "unwritten",
        "written",
        "confirmed",
        "unheard",
        "lost",
        "refused",
        "mismatched",
        "unsent",
        "halted",
    ):
        firm.order(name, TODAY, "71.00")
    firm.order("retrying", TODAY, "72.00", retry=RetryPolicy(every_days=3))
    firm.order("debit", TODAY, "73.00", bank=True)
    firm.order("underway", TODAY, "74.00", bank=True)
    firm.run("paid", RunStatus.PAID)
    firm.run("debit", RunStatus.PENDING)
    firm.decline("retrying", "51")
    firm.run("retrying", RunStatus.WAITING)
    firm.gateway.accept("tok-retrying")
    firm.spoil("unsent", Fault.UNAVAILABLE, RunStatus.WAITING)
    firm.spoil("unheard", Fault.LOSE_ANSWER, RunStatus.OPEN)
    firm.spoil("lost", Fault.LOSE_REQUEST, RunStatus.OPEN)
    firm.spoil("mismatched", Fault.WRONG_AMOUNT, RunStatus.REVIEW)
    # Without a reference on record, and with one.
    firm.die("unprepared", "prepare")
    firm.die("unwritten", "prepare", late=True)
    firm.die("written", "confirm")
    firm.die("confirmed", "confirm", late=True)
    firm.die("underway", "confirm", late=True)
    firm.decline("refused", "14", DeclineClass.FIX_FIRST)
    firm.die("refused", "confirm", late=True)
    firm.die("halted", "confirm")
    firm.stop(StopOrder.autopay("ap-halted"))
    return firm
