"""
What the posting store is asked to keep, in one atomic step each (R1, N1).

Holds: `Change` (one step), its answers `Committed` and `Conflict`, and what is
read from the store: `Standing`, `OpenAmounts`, `Unreadable` and `Decoded`.
Imports: the values and `_shown`. A change is computed by the core, so a store
only compares versions and writes; that keeps every store equal. Long, since
each field of a change is described.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_id_if_any,
    an_instant,
    check_id,
    check_type,
    clean_text,
    mapping_of,
    optional,
    tuple_of,
)
from autopay_core._shown import Listed
from autopay_core.balances import Expected, ShareStep
from autopay_core.batches import Batch, BatchState
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortError,
)
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.movements import MovementRecord
from autopay_core.notices import Notice
from autopay_core.postings import (
    Posting,
    PostingStatus,
    PostingView,
    move_posting,
)
from autopay_core.references import (
    ClientId,
    InvoiceNumber,
    MatterId,
    PayerId,
)
from autopay_core.runs import RESERVING_STATES, RunRecord, RunState

__all__ = [
    "CLOCK_BEHIND",
    "AttemptsAllowed",
    "BatchFilter",
    "Ceiling",
    "Change",
    "Committed",
    "Conflict",
    "ConflictReason",
    "Decoded",
    "Distinct",
    "Incident",
    "OpenAmounts",
    "PostingFilter",
    "PostingMove",
    "PostingSort",
    "Restored",
    "Standing",
    "StopOrder",
    "Told",
    "Unreadable",
    "decoded",
]

_T = TypeVar("_T")

CLOCK_BEHIND: Final = timedelta(minutes=5)
"""How far a store's clock may be behind what it once said, unsuspected."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PostingMove(Readable):
    """
    One posting's step, refused if it is no longer where it was read (P3).

    Attributes:
        before: The posting as it was read.
        after: The same posting one step further.

    Raises:
        InvalidValueError: There is no such step.

    """

    before: Posting
    after: Posting

    def __attrs_post_init__(self) -> None:
        """Refuse a step that does not exist, or changes something else."""
        step = move_posting(
            self.before,
            self.after.status,
            note=self.after.note,
            posted_on=self.after.posted_on,
            ledger_number=self.after.ledger_number,
        )
        if step != self.after:
            raise InvalidValueError(
                "a posting's step changes its status, its note and what the "
                "ledger says of it only",
                code="PostingTransition",
                path="after",
            )


_STOPPABLE: Final = frozenset({"autopay", "method"})


def _a_target(_: object, field: attrs.Attribute[str], value: str) -> None:
    check_type(value, str, field.name)
    kind, colon, name = value.partition(":")
    if not colon or kind not in _STOPPABLE:
        raise InvalidValueError(
            "make it with StopOrder.autopay() or StopOrder.method(); anything "
            "else stops nothing",
            code="StopTarget",
            path=field.name,
            value=value,
        )
    check_id(name, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class StopOrder(Readable):
    """
    Somebody's word that nothing more may be sent (R7), or may be again.

    Attributes:
        target: ``"autopay:<id>"`` or ``"method:<fingerprint>"``, as
            `StopOrder.autopay` and `StopOrder.method` make them.
        active: False lifts an earlier order.
        by: Who said so.
        reason: Why, for the record.

    Raises:
        InvalidValueError: A target of another form, which would stop nothing
            (``StopTarget``), or a field that cannot be.

    """

    target: str = attrs.field(validator=_a_target)
    active: bool = attrs.field(validator=a(bool))
    by: str = attrs.field(validator=a_text(most=128, empty=False))
    reason: str = attrs.field(default="", validator=a_text())

    @staticmethod
    def autopay(autopay: str, /) -> str:
        """Return the target that stops one auto-pay."""
        return f"autopay:{autopay}"

    @staticmethod
    def method(fingerprint: str, /) -> str:
        """Return the target that stops whatever charges one method."""
        return f"method:{fingerprint}"


@final
@attrs.frozen(kw_only=True, repr=False)
class Told(Readable):
    """
    What was last told about one topic of an auto-pay (N5).

    Attributes:
        autopay: The auto-pay's id.
        topic: What it is about, such as ``"ending"``; told again when what
            is said of it differs.
        said: What a person acts on, as one text, such as a date.
        key: The key of the notice that told it.

    """

    autopay: str = attrs.field(validator=an_id)
    topic: str = attrs.field(validator=an_id)
    # Made of others' ids, which may look like a card number (E3).
    said: str = attrs.field(validator=a(str))
    key: str = attrs.field(validator=an_id)


@final
@attrs.frozen(kw_only=True, repr=False)
class Incident(Readable):
    """
    Something that makes runs late, from its beginning to its end (N1).

    Attributes:
        cause: Stable code, such as ``"MattersAway"``; with the day its
            identity.
        on: The firm's day on which it began.
        began_at: Store time of the first run that was late.
        over_at: Store time when it was over; None while it is under way.
        port: Where it is, ``"matters"`` or ``"gateway"``: over with the first
            turn that succeeds there.

    """

    cause: str = attrs.field(validator=an_id)
    on: date = attrs.field(validator=a_date)
    began_at: datetime = attrs.field(validator=an_instant)
    over_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    port: str = attrs.field(default="matters", validator=an_id)


@final
@attrs.frozen(kw_only=True, repr=False)
class Distinct(Readable):
    """
    A person's word that two invoice numbers that look alike are two (L5).

    Attributes:
        first: One number.
        second: The other one.
        by: Who says so.
        reason: Why.

    """

    first: InvoiceNumber | str = attrs.field(validator=an_id)
    second: InvoiceNumber | str = attrs.field(validator=an_id)
    by: str = attrs.field(validator=a_text(most=128, empty=False))
    reason: str = attrs.field(validator=a_text(empty=False))


@final
@attrs.frozen(kw_only=True, repr=False)
class Restored(Readable):
    """
    A person's word that the store was restored from a backup, or copied (R12).

    Attributes:
        since: Store time of the backup, or of the copy.
        stores: Ids of stores that were lost or copied.
        by: Who says so.

    """

    since: datetime = attrs.field(validator=an_instant)
    stores: tuple[str, ...] = attrs.field(default=(), validator=tuple_of(str))
    by: str = attrs.field(validator=a_text(most=128, empty=False))


@final
@attrs.frozen(kw_only=True, repr=False)
class AttemptsAllowed(Readable):
    """
    How many attempts of a payment method may count (N3).

    Attributes:
        method: Its fingerprint.
        windows: Pairs of a store time and a number: at most so many attempts
            on record that count began since.

    """

    method: str = attrs.field(validator=an_id)
    windows: tuple[tuple[datetime, int], ...] = ()


@final
@attrs.frozen(kw_only=True, repr=False)
class Ceiling(Readable):
    """
    The most that may be taken in a stretch, whoever asks for it (H4).

    Attributes:
        most: So much; only what is in its currency counts.
        since: Store time: runs count that took money, or are about to, and
            have an attempt that began since.
        payer: Only this payer's runs; empty for everybody's.

    """

    most: Money = attrs.field(validator=a(Money))
    since: datetime = attrs.field(validator=an_instant)
    payer: str = attrs.field(default="", validator=an_id_if_any)

    def taken_by(self, runs: Iterable[RunRecord], /) -> Money:
        """Add up what some runs took, or are about to take, under it."""
        return Money.total(
            (
                each.spent
                for each in runs
                if each.state in _TAKING
                and each.spent is not None
                and each.spent.currency == self.most.currency
                and self.payer in ("", each.payer)
                and any(at.began_at >= self.since for at in each.attempts)
            ),
            self.most.currency,
        )


_TAKING: Final = RESERVING_STATES | {RunState.PAID}


@final
@attrs.frozen(kw_only=True, repr=False)
class Unreadable(Readable):
    """
    Something of the store that cannot be decoded, or is newer than this (R6).

    Attributes:
        key: The run's or the notice's key; the id of a posting, a hold, a
            movement, a batch or an auto-pay; of a sum, its status and
            currency. As it stands there.
        code: Why, such as ``"FormatNewer"``.

    """

    key: str = attrs.field(validator=a(str))
    code: str = attrs.field(validator=a_text(most=64, empty=False))

    @property
    def id(self) -> str:
        """The key, as the place in a list that is in order of id."""
        return self.key

    def __str__(self) -> str:
        """Return it in a line, for people; the key is data (E3)."""
        return f"{clean_text(self.key)} cannot be read ({self.code})"


def decoded(found: _T | Unreadable, /) -> _T:
    """
    Return what could be decoded, for what a decision rests on.

    Raises:
        PortError: It could not be (PS-22).

    """
    if isinstance(found, Unreadable):
        raise PortError(
            f"{found}; nothing is decided without it", code=found.code
        )
    return found


@final
class Decoded(Listed[_T]):
    """
    A list of what could be read, and beside it what could not be (R6).

    It is the list of the readable ones, so that one bad row stops nobody; it
    is printed with the others.

    Attributes:
        unreadable: The others, in their order.
        last: The last one that was read, readable or not: the next page goes
            on after its ``id``. None of an empty page, which is the last.

    >>> found = Decoded([1, Unreadable(key="p-2", code="DateFormat"), 3])
    >>> found == [1, 3], [each.key for each in found.unreadable]
    (True, ['p-2'])
    >>> print(found)
    1
    3
    p-2 cannot be read (DateFormat)

    """

    __slots__ = ("last", "unreadable")

    def __init__(self, found: Iterable[_T | Unreadable] = ()) -> None:
        kept: list[_T] = []
        lost: list[Unreadable] = []
        self.last: _T | Unreadable | None = None
        for each in found:
            self.last = each
            if isinstance(each, Unreadable):
                lost.append(each)
            else:
                kept.append(each)
        super().__init__(kept)
        self.unreadable = tuple(lost)

    def __str__(self) -> str:
        """Return a line for each."""
        return "\n".join(map(str, (*self, *self.unreadable)))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class OpenAmounts(Readable):
    """
    What the balances of some clients' invoices do not show yet (L1).

    Attributes:
        amounts: By invoice number: postings and every run's reservations.
        versions: By client: grows with every change of its open amounts. All
            the clients that were asked for.
        holds: Those in force on the clients, their matters and invoices
            (H1).
        holds_version: Grows with every change of any hold; compared by
            `Change.expect_holds`.
        steps: The steps of shares of the clients' invoices across open, in
            the order in which they were made (B0, B1); see
            `balances.steps_needed_since`.
        reserved: Of *amounts*, what runs only reserve.
        reversals: By invoice number: what went back and is not applied yet.
        expected: What the store expects of the clients' invoices (B1).
        distinct: Pairs of invoice numbers that a person said are two (L5).

    """

    amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )
    versions: Mapping[ClientId | str, int] = attrs.field(
        factory=dict[ClientId | str, int], validator=mapping_of(int)
    )
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))
    holds_version: int = attrs.field(default=0, validator=a_number(0))
    steps: tuple[ShareStep, ...] = attrs.field(
        default=(), validator=tuple_of(ShareStep)
    )
    reserved: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )
    reversals: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )
    expected: tuple[Expected, ...] = attrs.field(
        default=(), validator=tuple_of(Expected)
    )
    distinct: frozenset[frozenset[str]] = frozenset()


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Standing(Readable):
    """
    What the store knows about an auto-pay, read in one step.

    Attributes:
        now: Store time; never goes back.
        clock: What the store's clock says, before it is kept from going back
            (R11); None for a store that does not tell: then it is `now`.
        committed_at: Store time of the newest commit; None for an empty
            store.
        is_clock_suspect: The clock is more than `CLOCK_BEHIND` behind what
            it once said; nothing new is sent until it has caught up.
        store: The store's own random id, made with it; part of every key
            (R2). Empty for a store of the first edition.
        epoch: How often it was restored or copied (R12).
        restored_since: Store time of the backup, or of the copy, that was
            told last; None for a store that never was.
        restored_stores: Ids of all the stores that were lost or copied.
        run: The record of the run that was asked for.
        unfinished: Every run of the auto-pay that is not finished, oldest
            first.
        latest: The auto-pay's run of the latest nominal date, announcements
            and runs on demand aside.
        holds: Those in force on the store, the payer, the method and the
            auto-pay (H1).
        told: By topic, what was last told about the auto-pay (N5).
        incidents: Those under way in the store (N1).

    """

    now: datetime = attrs.field(validator=an_instant)
    clock: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    committed_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    is_clock_suspect: bool = False
    store: str = attrs.field(default="", validator=a(str))
    epoch: int = attrs.field(default=0, validator=a_number(0))
    restored_since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    restored_stores: frozenset[str] = frozenset()
    run: RunRecord | None = None
    unfinished: tuple[RunRecord, ...] = attrs.field(
        default=(), validator=tuple_of(RunRecord)
    )
    latest: RunRecord | None = None
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))
    told: Mapping[str, Told] = attrs.field(
        factory=dict[str, Told], validator=mapping_of(Told)
    )
    incidents: tuple[Incident, ...] = attrs.field(
        default=(), validator=tuple_of(Incident)
    )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Change(Readable):
    """
    One atomic step of the posting store: all of it, or nothing.

    Attributes:
        runs: Records as they will stand. Each has version 1 and must not
            exist, or one more than what stands.
        expect_versions: By client: refused unless the client's open amounts
            still have this version.
        expect_open: By invoice: refused unless the invoice's open amount,
            whoever holds it and under whatever client, is still this (none:
            zero). Not counting the reservations of `runs`.
        only_doubtful: Refused if another run of the same auto-pay is open or
            in review (R4): at most one is in doubt.
        unless_held: Refused if a hold is in force on one of these targets
            (R7, H1); see `Hold.target`.
        expect_holds: Refused unless `OpenAmounts.holds_version` is still
            this; None compares nothing.
        unique_references: Refused if another run has the payment reference of
            one of `runs` at the same account (R8).
        attempts: Refused if more attempts of a payment method count than its
            network allows (N3).
        ceilings: Refused if what *runs* take, with what other runs took or
            are about to take, is more than one of these (H4).
        postings: New postings; an id that stands with equal content is left
            alone, with another content it is an error.
        moves: Steps of postings.
        notices: New notices; a key that stands is left alone.
        delivered: Keys of notices that were delivered.
        holds: Holds that are put on, or lifted: the last content under an
            id stands.
        expected: What is expected of invoices from now on (B1); the last one
            of an invoice stands.
        distinct: Pairs of invoice numbers that are two (L5).
        told: What was told last, by auto-pay and topic (N5).
        incidents: Incidents that began or are over (N1).
        movements: Movements as they will stand (P4). Each has version 1 and
            must not exist, or one more than what stands.
        batches: Batches as they will stand (P5). Each has version 1 and must
            not exist, or one more than what stands. The postings of a new one
            stand as it says, or come to do so by one of `moves`, and are in no
            other batch that is not answered.
        restored: A person's word that the store was restored or copied: its
            epoch grows by one (R12).
        trusted_clock: A person's word that the clock is right: the mark goes
            back to what the clock says (R11).
        by: Who or what asked for it, for the history.
        reason: Why, for the history.

    """

    runs: tuple[RunRecord, ...] = attrs.field(
        default=(), validator=tuple_of(RunRecord)
    )
    expect_versions: Mapping[ClientId | str, int] | None = attrs.field(
        default=None, validator=optional(mapping_of(int))
    )
    expect_open: Mapping[InvoiceNumber | str, Money] | None = attrs.field(
        default=None, validator=optional(mapping_of(Money))
    )
    only_doubtful: bool = attrs.field(default=False, validator=a(bool))
    unless_held: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )
    expect_holds: int | None = attrs.field(
        default=None, validator=optional(a_number(0))
    )
    unique_references: bool = attrs.field(default=False, validator=a(bool))
    attempts: AttemptsAllowed | None = attrs.field(
        default=None, validator=optional(a(AttemptsAllowed))
    )
    ceilings: tuple[Ceiling, ...] = attrs.field(
        default=(), validator=tuple_of(Ceiling)
    )
    postings: tuple[Posting, ...] = attrs.field(
        default=(), validator=tuple_of(Posting)
    )
    moves: tuple[PostingMove, ...] = attrs.field(
        default=(), validator=tuple_of(PostingMove)
    )
    notices: tuple[Notice, ...] = attrs.field(
        default=(), validator=tuple_of(Notice)
    )
    delivered: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))
    expected: tuple[Expected, ...] = attrs.field(
        default=(), validator=tuple_of(Expected)
    )
    distinct: tuple[Distinct, ...] = attrs.field(
        default=(), validator=tuple_of(Distinct)
    )
    told: tuple[Told, ...] = attrs.field(default=(), validator=tuple_of(Told))
    incidents: tuple[Incident, ...] = attrs.field(
        default=(), validator=tuple_of(Incident)
    )
    movements: tuple[MovementRecord, ...] = attrs.field(
        default=(), validator=tuple_of(MovementRecord)
    )
    batches: tuple[Batch, ...] = attrs.field(
        default=(), validator=tuple_of(Batch)
    )
    restored: Restored | None = attrs.field(
        default=None, validator=optional(a(Restored))
    )
    trusted_clock: bool = attrs.field(default=False, validator=a(bool))
    by: str = attrs.field(default="", validator=a(str))
    reason: str = attrs.field(default="", validator=a(str))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Committed(Readable):
    """
    The step stands, durably.

    Attributes:
        new_notices: Keys of the change's notices that were not there before.
        at: Store time of the commit; None for a store that does not
            tell. It is when, not what: it is not compared.

    """

    new_notices: frozenset[str] = frozenset()
    at: datetime | None = attrs.field(
        default=None, eq=False, validator=optional(an_instant)
    )


class ConflictReason(Choice):
    """What changed since it was read, so that a step does not stand."""

    VERSION = "version"
    """A run moved."""
    OPEN = "open"
    """Open amounts changed."""
    DOUBT = "doubt"
    """Another run of the auto-pay is in doubt."""
    HELD = "held"
    """A hold came, or was lifted (H1)."""
    ATTEMPTS = "attempts"
    """Too many attempts of the method count by now (N3)."""
    CEILING = "ceiling"
    """More would be taken than a ceiling of the host's (H4)."""
    REFERENCE = "reference"
    """Another run has the payment reference at the same account (R8)."""
    POSTING = "posting"
    """A posting moved."""
    MOVEMENT = "movement"
    """A movement was received, or placed, by somebody else (P4)."""
    BATCH = "batch"
    """A batch was made, exported or answered by somebody else, or a posting
    is in one that is not answered, or does not stand as it was read (P5)."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Conflict(Readable):
    """
    The step does not stand: something changed since it was read.

    Attributes:
        reason: What changed.
        open_amounts: With `ConflictReason.OPEN`: what is open on the invoices
            of `Change.expect_open`, so that planning again can count it even
            when it stands under another client.
        postings: With `ConflictReason.BATCH`: ids of the postings that are in
            the way, in the order of the change; empty if it is a batch.

    """

    reason: ConflictReason = attrs.field(validator=a(ConflictReason))
    open_amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )
    postings: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )


class PostingSort(Choice):
    """In what order postings are read; the id decides among equals."""

    ID = "id"
    """By id."""
    MADE = "made"
    """By when they were written; those of a store of before come first."""
    CHARGED = "charged"
    """By the date of the charge, or of the reversal."""
    AMOUNT = "amount"
    """By currency, then by amount; what went back is less than nothing."""
    PAYER = "payer"
    """By the payer's id."""
    CLIENT = "client"
    """By the client's number, character by character."""
    INVOICE = "invoice"
    """By the invoice's number, character by character."""


def _statuses(
    _: object,
    field: attrs.Attribute[Any],
    value: frozenset[PostingStatus],
) -> None:
    check_type(value, frozenset, field.name)
    for status in value:
        check_type(status, PostingStatus, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PostingFilter(Readable):
    """
    Which postings to read.

    Attributes:
        statuses: Only these; empty for all.
        run: Only this run's, as text of `RunKey`; None for all.
        invoice: Only this invoice's; None for all.
        payer: Only this payer's; None for all.
        client: Only of this client's invoices; None for all.
        matter: Only of this matter's invoices; None for all.
        batch: Only those that are, or were, in this batch; None for all.
        least: Only in this amount's currency, and at least so much; None for
            all.
        greatest: Only in this amount's currency, and at most so much; None
            for all.
        payment_reference: Only of this payment, as the gateway names it; None
            for all.
        charged_from: Charged, or gone back, on this date or later.
        charged_before: Charged, or gone back, before this date.
        moved_from: Standing where they stand since this store time or later.
        moved_before: Standing there since before this store time.
        sort: In what order.
        descending: In the reverse of that order.
        after: Id of the posting after which to go on in that order; None from
            the start. If it is not sorted by id, there must be such a posting.
        most: At most so many.

    """

    statuses: frozenset[PostingStatus] = attrs.field(
        default=frozenset[PostingStatus](), validator=_statuses
    )
    run: str | None = attrs.field(default=None, validator=optional(a(str)))
    invoice: InvoiceNumber | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    payer: PayerId | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    client: ClientId | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    matter: MatterId | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    batch: str | None = attrs.field(default=None, validator=optional(an_id))
    least: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    greatest: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    payment_reference: str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    charged_from: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    charged_before: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    moved_from: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    moved_before: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    sort: PostingSort = attrs.field(
        default=PostingSort.ID, validator=a(PostingSort)
    )
    descending: bool = attrs.field(default=False, validator=a(bool))
    after: str | None = attrs.field(default=None, validator=optional(a(str)))
    most: int = attrs.field(default=1_000, validator=a_number(1))

    @classmethod
    def of_view(
        cls, view: PostingView, *, invoice: str | None = None
    ) -> PostingFilter:
        """Show what a view of the staff shows (P3)."""
        # All is all: also one whose status no version here knows.
        every = view is PostingView.ALL
        statuses = frozenset[PostingStatus]() if every else view.statuses
        return cls(statuses=statuses, invoice=invoice)

    def __attrs_post_init__(self) -> None:
        """Refuse amounts of two currencies (M3)."""
        if (
            self.least is not None
            and self.greatest is not None
            and self.least.currency != self.greatest.currency
        ):
            raise CurrencyMismatchError(
                self.least.currency, self.greatest.currency
            )

    def shows(self, posting: Posting, /) -> bool:
        """
        Tell whether a posting is of those that are wanted.

        All but `batch` and since when it stands where it stands, of which a
        posting does not know.
        """
        return (
            (not self.statuses or posting.status in self.statuses)
            and self.run in (None, str(posting.run))
            and self.invoice in (None, posting.invoice)
            and self.payer in (None, posting.payer)
            and self.client in (None, posting.client)
            and self.matter in (None, posting.matter)
            and self.payment_reference in (None, posting.payment_reference)
            and _is_from(self.charged_from, posting.charged_on)
            and (
                self.charged_before is None
                or posting.charged_on < self.charged_before
            )
            and (self.least is None or _is_at_most(self.least, posting.amount))
            and (
                self.greatest is None
                or _is_at_most(posting.amount, self.greatest)
            )
        )


def _is_from(first: date | None, on: date) -> bool:
    return first is None or first <= on


def _is_at_most(one: Money, other: Money) -> bool:
    return one.currency == other.currency and one <= other


def _batch_states(
    _: object, field: attrs.Attribute[Any], value: frozenset[BatchState]
) -> None:
    check_type(value, frozenset, field.name)
    for state in value:
        check_type(state, BatchState, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class BatchFilter(Readable):
    """
    Which batches to read.

    Attributes:
        states: Only these; empty for all.
        posting: Only those that this posting is, or was, in; None for all.
        after: Id after which to go on, in order of id.
        most: At most so many; each comes with all of its postings.

    """

    states: frozenset[BatchState] = attrs.field(
        default=frozenset[BatchState](), validator=_batch_states
    )
    posting: str | None = attrs.field(default=None, validator=optional(an_id))
    after: str = attrs.field(default="", validator=a(str))
    most: int = attrs.field(default=50, validator=a_number(1))
