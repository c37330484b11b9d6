"""
The four ports: what the library needs from the world, in numbered clauses.

Holds: `MatterData`, `PaymentGateway` and `TwoStepGateway`, `PostingStore`,
`Notifier`; `Ports`, in which a host hands them in; and every type that their
signatures name, so that an integrator imports from here alone. Imports: the
values. Each clause has an id and a test of `autopay_core.testing.contracts`.
The protocols are structural; who inherits is checked for missing methods.
Long, since every promise of a port stands beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import date, datetime
from typing import Generic, Protocol, TypeVar, final, runtime_checkable

import attrs

from autopay_core._checks import a
from autopay_core._moved import moved
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.balances import Expected, ShareStep, ShareStepKind
from autopay_core.batches import Batch, BatchState, PostingTotal
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeLine,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import (
    AttemptsAllowed,
    BatchFilter,
    Ceiling,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Distinct,
    Incident,
    OpenAmounts,
    PostingFilter,
    PostingMove,
    PostingSort,
    Restored,
    Standing,
    StopOrder,
    Told,
    Unreadable,
)
from autopay_core.errors import (
    CommitUnknownError,
    IncompleteReadError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
    UnsafeStoreError,
)
from autopay_core.holds import Hold, HoldLevel
from autopay_core.invoices import (
    SearchPage,
    SearchQuery,
    SearchResult,
    UnreadableRow,
)
from autopay_core.money import Money
from autopay_core.movements import MovementRecord, MovementState
from autopay_core.notices import Notice
from autopay_core.policy import Policy
from autopay_core.postings import Posting
from autopay_core.references import RunKey, Secret
from autopay_core.retries import AttemptRecord
from autopay_core.runs import RunRecord

__all__ = [
    "AttemptRecord",
    "AttemptsAllowed",
    "Batch",
    "BatchFilter",
    "BatchState",
    "CancelOutcome",
    "Cancelled",
    "CancellingGateway",
    "Captured",
    "Ceiling",
    "Change",
    "ChargeLine",
    "ChargeOutcome",
    "ChargeRequest",
    "CommitUnknownError",
    "Committed",
    "Conflict",
    "ConflictReason",
    "DeclineClass",
    "Declined",
    "Distinct",
    "Expected",
    "FindingGateway",
    "GatewayCapabilities",
    "Hold",
    "HoldLevel",
    "Incident",
    "IncompleteReadError",
    "Indeterminate",
    "InvoicePage",
    "InvoiceQuery",
    "LookupOutcome",
    "MatterData",
    "Money",
    "MovementRecord",
    "MovementState",
    "NeedsPayer",
    "NotFound",
    "Notice",
    "Notifier",
    "OpenAmounts",
    "PaymentGateway",
    "Pending",
    "Policy",
    "PortError",
    "PortUnavailableError",
    "Ports",
    "Posting",
    "PostingConflictError",
    "PostingFilter",
    "PostingMove",
    "PostingSort",
    "PostingStore",
    "PostingTotal",
    "Restored",
    "RunKey",
    "RunRecord",
    "SearchPage",
    "SearchQuery",
    "SearchResult",
    "Secret",
    "ShareStep",
    "ShareStepKind",
    "Standing",
    "StopOrder",
    "Told",
    "TwoStepGateway",
    "Unreadable",
    "UnreadableRow",
    "UnsafeStoreError",
]

_Matters = TypeVar("_Matters")
_Gateway = TypeVar("_Gateway", bound="_Declaring")
_Postings = TypeVar("_Postings")
_Notifier = TypeVar("_Notifier")


class _Declaring(Protocol):
    """A gateway of either form, blocking or awaitable."""

    @property
    def capabilities(self) -> GatewayCapabilities:
        """What it promises."""
        ...


class MatterData(Protocol):
    """
    Reads the firm's matter-management software.

    MD-1  Only invoices that an association of the query covers are returned.
    MD-2  Following `next_page` to the end gives every open invoice, or the
          read fails with `IncompleteReadError`; nothing is cut off silently.
    MD-3  Amounts are exact: what the software shows, to the cent.
    MD-4  A balance holds for the moment that the page states (`stated_at`),
          or, if it states none, for the call: what the ledger showed before
          that moment is in it.
    MD-5  An empty query returns nothing, never everything.
    MD-6  A search matches numbers exactly, names and descriptions by a part
          regardless of case; wildcards are literals.
    MD-7  `PortUnavailableError` or another `PortError` tells that it cannot
          answer; a row that cannot be read is among the page's `unreadable`
          with where it stands, or an `InvalidValueError` names the place.
    MD-8  An invoice that is not returned is no longer open; whether it was
          paid or is gone is not for this port to say.
    MD-9  An invoice does not move to another client between two reads of one
          run; open amounts are guarded by client.
    PORT-1 With `sweep(at_once=…)` several threads call it at once.
    """

    @abstractmethod
    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """
        Return a page of the open invoices under the query's associations.

        Raises:
            PortUnavailableError: The software cannot be reached.
            IncompleteReadError: Not every row could be read.
            InvalidValueError: A row cannot be understood.

        """
        ...

    @abstractmethod
    def search(self, query: SearchQuery, /) -> SearchPage:
        """
        Return a page of what can be associated (A6).

        Raises:
            PortUnavailableError: The software cannot be reached.

        """
        ...


@runtime_checkable
class PaymentGateway(Protocol):
    """
    Moves money in one call.

    PG-1  A key seen before gets the outcome it got before, for as long as
          `GatewayCapabilities.key_retention_seconds`; no money moves again.
    PG-2  A refusal is returned as `Declined`, never raised.
    PG-3  A request that may have gone through is `Indeterminate`, and so is
          any exception but `PortUnavailableError`.
    PG-4  `PortUnavailableError` promises that this request moved and will
          move no money.
    PG-5  `lookup` finds every request that was executed, at the latest
          `lookup_settle_seconds` after it; `NotFound` before that means
          nothing.
    PG-6  No money moves after `ChargeRequest.not_after`, if
          `honours_deadline` is declared.
    PG-7  An outcome carries the key and the amount that the gateway has on
          record, not what it was asked.
    PG-8  Two requests under one key at once move money once.
    PG-9  No card number or token stands in an outcome or an exception.
    PG-10 After `Declined` no money moves under that key.
    PG-11 `cancel` answers `Cancelled` only if nothing under the key moved or
          will move, requests on their way included; what moved is answered as
          `lookup` would. With `GatewayCapabilities.cancels`.
    PG-12 An outcome names the account that it belongs to, if the capabilities
          name one; a look-up tells of no other account.
    PG-13 No two payments at the account have one reference, if
          `unique_references` is declared.
    PG-14 `Captured` is said of money that was taken, `Declined` of money
          that never will be; what is under way is `Pending`, what waits for
          the payer `NeedsPayer`, and a state that the adapter does not know
          `Indeterminate`.
    PG-15 The request's amount is taken, in the units in which the company
          counts the currency, into the request's deposit account.
    PG-16 An answer is of one of these classes and no subclass; what is raised
          is a `PortError`, and nothing of a driver or SDK.
    PG-17 `NeedsPayer` says where the payer acts and until when. Money may move
          until then, PG-6 notwithstanding, and not once `cancel` was answered
          `Cancelled`.
    PORT-1 With `sweep(at_once=…)` several threads call it at once.

    Beside the methods here there are two of the second edition, each behind
    a capability: ``cancel(key, reference)`` with `cancels`, whose answer is a
    `CancelOutcome`, and ``lookup_reference(reference, key)`` with
    `finds_references`, whose answer is a `LookupOutcome`; see
    `CancellingGateway` and `FindingGateway`.
    """

    @property
    @abstractmethod
    def capabilities(self) -> GatewayCapabilities:
        """What this gateway promises; constant, and known without a call."""
        ...

    @abstractmethod
    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """
        Take the money, at most once per key.

        Raises:
            PortUnavailableError: The request moved and will move no money.

        """
        ...

    @abstractmethod
    def lookup(self, key: str, /) -> LookupOutcome:
        """
        Tell what became of the request under *key*.

        Raises:
            PortUnavailableError: The gateway cannot be asked now.

        """
        ...


@runtime_checkable
class TwoStepGateway(Protocol):
    """
    Moves money in two steps: a reference that is written down, then its use.

    TS-1  `prepare` moves no money.
    TS-2  `confirm` of one reference moves money at most once, for ever.
    TS-3  `confirm` again returns the outcome of the first time.
    TS-4  `PortUnavailableError` promises that this call did nothing.
    TS-5  `lookup` finds every confirmed request by its key, as PG-5.
    TS-6  No money moves after `ChargeRequest.not_after`, if
          `honours_deadline` is declared.
    TS-7  An outcome carries the key and amount on record, as PG-7.
    TS-8  `prepare` may be called again under the same key with another
          request, and makes another reference; what was not confirmed moves
          nothing.
    TS-9  `prepare` may answer `Declined`.
    TS-10 After `Declined` no money moves for that reference.
    TS-11 `cancel` as PG-11, for the reference. With
          `GatewayCapabilities.cancels`.
    TS-12 An outcome names its account, and a look-up tells of no other, as
          PG-12.
    TS-13 No two payments have one reference, as PG-13.
    TS-14 Captured, declined, under way and unknown are told apart, as PG-14.
    TS-15 The request's amount is taken into its deposit account, as PG-15.
    TS-16 Answers and errors are the port's own, as PG-16.
    TS-17 What needs the payer is as PG-17 says.
    PORT-1 With `sweep(at_once=…)` several threads call it at once.
    """

    @property
    @abstractmethod
    def capabilities(self) -> GatewayCapabilities:
        """What this gateway promises; `two_step` is true."""
        ...

    @abstractmethod
    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """
        Make a reference for *request*; no money moves.

        Raises:
            PortUnavailableError: Nothing was made, as far as it matters.

        """
        ...

    @abstractmethod
    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """
        Take the money for *reference*, at most once, for ever.

        Raises:
            PortUnavailableError: This call moved and will move no money.

        """
        ...

    @abstractmethod
    def lookup(self, key: str, /) -> LookupOutcome:
        """
        Tell what became of the request under *key*.

        Raises:
            PortUnavailableError: The gateway cannot be asked now.

        """
        ...


@runtime_checkable
class CancellingGateway(Protocol):
    """A gateway of either form that declares `GatewayCapabilities.cancels`."""

    @abstractmethod
    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """
        See to it that nothing under *key* takes money any more (PG-11).

        Args:
            key: The attempt's key.
            reference: The reference on record, with two steps.

        Raises:
            PortUnavailableError: The gateway cannot be asked now.

        """
        ...


@runtime_checkable
class FindingGateway(Protocol):
    """A gateway that declares `GatewayCapabilities.finds_references`."""

    @abstractmethod
    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """
        Tell what became of a reference on record (PG-5), without delay.

        Args:
            reference: What `prepare` made, or the reference of an outcome.
            key: The attempt's key.

        Raises:
            PortUnavailableError: The gateway cannot be asked now.

        """
        ...


class PostingStore(Protocol):
    """
    Keeps runs, reservations, postings and notices: the only memory there is.

    PS-1  A change is committed whole or not at all, durable when `commit`
          returns, and seen by every read that begins after. A call that is
          interrupted anywhere, by a cancelled task or a KeyboardInterrupt,
          leaves all of it or nothing, and the calls after it answer right.
    PS-2  A run is written only from the version before; of racing writers
          one gets `Committed`, the others `Conflict`.
    PS-3  At most one record stands for an auto-pay, nominal date and number.
    PS-4  `expect_versions` refuses a change when the client's open amounts
          changed since they were read; every change of them grows the
          version, for ever.
    PS-5  `expect_open` compares the open amount by invoice number, whoever
          holds it and under whatever client, without the runs of the change.
    PS-6  `only_doubtful` leaves at most one run of an auto-pay open or in
          review.
    PS-7  `unless_held` refuses a change when a hold is in force on one of the
          targets, `expect_holds` when any hold changed since.
    PS-8  A posting id is written once; another content under it is
          `PostingConflictError` and nothing of the change stands.
    PS-9  A posting moves only from the status it was read in, by the table.
    PS-10 A notice's key is written once; `undelivered` gives each notice
          until it is marked.
    PS-11 Open amounts count open postings and the reservations of runs under
          way, once each, at every instant of a hand-over.
    PS-12 `Standing.now` never goes back, over restarts too; a commit's time is
          later than every time told before.
    PS-13 `PortUnavailableError` promises that nothing was committed;
          `CommitUnknownError` says that this is not known.
    PS-14 `claim` gives one claimant the run until the seconds are over.
    PS-15 What is read equals what was written, for every value.
    PS-16 A store has an id of its own, made at random with it, and an epoch
          that only `Change.restored` raises; `Standing` tells both.
    PS-17 `OpenAmounts` has the holds on the clients, their matters and
          invoices, and one version of all holds that grows with each change
          of any.
    PS-18 `OpenAmounts.steps` has the steps of shares across open, in order, of
          60 days and longer where `steps_needed_since` says so; what is
          expected is what was last written.
    PS-19 No two runs stand with one payment reference at one account, if the
          account's references are unique.
    PS-20 `Change.attempts` refuses a change when more attempts of the method
          count than allowed, its own run's earlier ones among them.
    PS-21 What was told last, by auto-pay and topic, is read as it was written;
          so is an incident, unless one of its cause is under way: that one
          stands.
    PS-22 What cannot be decoded comes as `Unreadable` and holds up no other;
          what a decision rests on, and a single run, posting, movement or
          batch that is asked for, is a `PortError`.
    PS-23 A movement is written once by its own id, and goes on only from the
          version before; of racing writers one gets `Committed`, the others
          `Conflict`. It is read as it was written.
    PS-24 A run is found by the key of any of its attempts.
    PS-25 Runs with an attempt that began since a time are read newest first,
          whatever became of them.
    PS-26 A batch is made once, with all of its postings as they stand, or not
          at all; it goes on only from the version before. A posting is in at
          most one batch that is not answered, and until then moves in a
          change of that batch only. What is in the way is named.
    PS-27 Lists of postings keep every filter, in the order that is asked for,
          page by page, and may tell since when each stands where it stands;
          `posting_totals` says of the same filter how many there are and
          their sum, by status and currency.
    PS-28 A change is refused when more than one of its ceilings would be
          taken: what its runs take counts, and what every other run took, or
          is about to take, that has an attempt since.
    PS-29 A store may have `commit_many(changes)`: it writes them one after
          another as `commit` would, in one durable step, and returns for each
          what `commit` would have returned, or the `PostingConflictError`
          that it would have raised. If it raises, what is said of it holds
          for all of them.
    PORT-1 With `sweep(at_once=…)` several threads call it at once.
    """

    @abstractmethod
    def standing(
        self, key: RunKey, method: str, payer: str = "", /
    ) -> Standing:
        """Read what is known about a run, its auto-pay, method and payer."""
        ...

    @abstractmethod
    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read versions, then open amounts, of the clients' invoices."""
        ...

    @abstractmethod
    def spent(
        self, autopay: str, from_on: date, before: date, currency: str, /
    ) -> Money:
        """
        Add up what the auto-pay took or is taking, by charge date (L7).

        Captured amounts and reservations. What a bank returned, or a lost
        dispute took back, is not in it; what was refunded is.
        """
        ...

    @abstractmethod
    def attempts(
        self, method: str, since: datetime, /
    ) -> Sequence[AttemptRecord]:
        """Read the attempts that charged a method, by fingerprint (N3)."""
        ...

    @abstractmethod
    def unfinished(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """
        Read runs under way that may be looked at again now, by key.

        Open, pending and in review, whose `next_try_at` has come.
        """
        ...

    @abstractmethod
    def waiting(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Read runs that are waiting, by key, whenever they go on (N1)."""
        ...

    @abstractmethod
    def under_way(
        self, after: RunKey | None, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Read runs under way, by key, whenever they are looked at again."""
        ...

    @abstractmethod
    def referenced(
        self, reference: str, account: str, /
    ) -> Sequence[RunRecord]:
        """Read the runs with a payment reference, flat to a million."""
        ...

    @abstractmethod
    def keyed(self, key: str, /) -> Sequence[RunRecord]:
        """Read the run one of whose attempts has a key, if there is one."""
        ...

    @abstractmethod
    def sent(
        self, since: datetime, most: int, /
    ) -> Sequence[RunRecord | Unreadable]:
        """Read runs with an attempt that began since, newest first (H4)."""
        ...

    @abstractmethod
    def movement(self, id: str, /) -> Sequence[MovementRecord]:  # noqa: A002 - the word
        """Read what was received under a movement's own id, if anything."""
        ...

    @abstractmethod
    def movements(
        self, state: MovementState, after: str, most: int, /
    ) -> Sequence[MovementRecord | Unreadable]:
        """Read movements in a state other than placed, by id, after one."""
        ...

    @abstractmethod
    def holds(self, after: str, most: int, /) -> Sequence[Hold | Unreadable]:
        """Read the holds in force, by id, after one."""
        ...

    @abstractmethod
    def claim(self, key: RunKey, seconds: int, /) -> bool:
        """Reserve a run's work for a while; for efficiency only."""
        ...

    @abstractmethod
    def commit(self, change: Change, /) -> Committed | Conflict:
        """
        Write *change* in one atomic, durable step, or nothing of it.

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: It may have been.
            PostingConflictError: Other content stands under a posting's id.

        """
        ...

    @abstractmethod
    def postings(
        self, wanted: PostingFilter, /
    ) -> Sequence[Posting | Unreadable]:
        """Read postings, in order of id if no other is asked for (PS-27)."""
        ...

    @abstractmethod
    def posting_totals(
        self, wanted: PostingFilter, /
    ) -> Sequence[PostingTotal | Unreadable]:
        """
        Count and add up the postings of a filter (PS-27).

        By status and currency, in the order of their texts. Sort, place and
        number of the filter do not matter: it is all that match.
        """
        ...

    @abstractmethod
    def batch(self, id: str, /) -> Sequence[Batch]:  # noqa: A002 - the word
        """Read the batch of an id, if there is one (PS-26)."""
        ...

    @abstractmethod
    def batches(self, wanted: BatchFilter, /) -> Sequence[Batch | Unreadable]:
        """Read batches in order of id."""
        ...

    @abstractmethod
    def undelivered(self, most: int, /) -> Sequence[Notice | Unreadable]:
        """Read the oldest notices that are not marked as delivered."""
        ...


class Notifier(Protocol):
    """
    Tells people.

    NT-1  A notice whose key was accepted before may come again; people see
          it once if the channel can do that.
    NT-2  What is accepted is delivered at least once.
    NT-3  What cannot be accepted raises a `PortError`; it is offered again.
    NT-4  Fields are data: no template, header or markup in them is executed.
    PORT-1 With `sweep(at_once=…)` several threads call it at once.
    """

    @abstractmethod
    def send(self, notice: Notice, /) -> None:
        """
        Accept *notice* for delivery.

        Raises:
            PortError: It was not accepted.

        """
        ...


@attrs.frozen(kw_only=True, repr=False)
class AnyPorts(Generic[_Matters, _Gateway, _Postings, _Notifier]):
    """The fields of `Ports`, blocking or awaitable."""

    matters: _Matters
    gateway: _Gateway
    postings: _Postings
    notifier: _Notifier
    key_secret: Secret | bytes
    policy: Policy = attrs.field(factory=Policy, validator=a(Policy))

    def __attrs_post_init__(self) -> None:
        """
        Check that the gateway has the methods that it declares.

        And keep the secret as one, whatever it was given as.
        """
        object.__setattr__(self, "key_secret", Secret.of(self.key_secret))
        declared = self.gateway.capabilities
        needed = ["prepare", "confirm"] if declared.two_step else ["charge"]
        needed.append("lookup")
        if declared.cancels:
            needed.append("cancel")
        if declared.finds_references:
            needed.append("lookup_reference")
        for name in needed:
            if callable(getattr(self.gateway, name, None)):
                continue
            raise InvalidValueError(
                "the gateway lacks the methods of the form that it declares",
                code="GatewayForm",
                path="gateway",
                value=self.gateway,
            )

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return (
            f"Ports(matters={self.matters!r}, gateway={self.gateway!r}, "
            f"postings={self.postings!r}, notifier={self.notifier!r})"
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class Ports(
    AnyPorts[
        MatterData, PaymentGateway | TwoStepGateway, PostingStore, Notifier
    ]
):
    """
    The four ports of a host, and its secret.

    Attributes:
        matters: Reads the firm's matter-management software.
        gateway: Moves money, in one step or two. After a change from one form
            to the other a run in doubt is looked up, never sent again, and
            goes to review; `recover` before the change leaves none.
        postings: Keeps runs, reservations, postings and notices.
        notifier: Tells people.
        key_secret: At least 32 bytes, as they are or as a `Secret`; goes into
            every idempotency key, so that it cannot be guessed (R2). Keep it
            the same for the life of the store.
        policy: The host's settings.

    Raises:
        InvalidValueError: The gateway lacks the methods that its capabilities
            declare (``GatewayForm``), or the secret is too short
            (``SecretTooShort``).

    """


__getattr__ = moved(__name__)
