"""
A paid share on its way into the firm's ledger, and back (P1 to P4).

Holds: `Posting` with its transition table, the staff's views, `Reversal` and
`Share`, and what is open. Imports: `_shown`, `money` and `references`. Nothing
here is ever edited: each step makes a new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NewType, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_text,
    an_id,
    an_id_if_any,
    an_instant,
    kept_if_any,
    mapping_of,
    optional,
    tuple_of,
)
from autopay_core._hashes import sha256
from autopay_core._moved import moved
from autopay_core._shown import Shown
from autopay_core.errors import (
    InvalidValueError,
)
from autopay_core.money import Money, a_positive
from autopay_core.references import (
    ClientId,
    DepositAccount,
    InvoiceNumber,
    MatterId,
    PayerId,
    RunKey,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "OPEN_STATUSES",
    "POSTING_MOVES",
    "Posting",
    "PostingId",
    "PostingStatus",
    "PostingView",
    "Reversal",
    "ReversalKind",
    "Share",
    "in_view",
    "move_posting",
    "open_amounts",
    "posting_id",
]

PostingId = NewType("PostingId", str)
"""Identifies a posting record; derived, so writing twice writes once."""


class ReversalKind(Choice):
    """Why captured money went back, came again, or was moved (P4)."""

    RETURN = "return"
    """A bank returned a debit, or gave less than was captured."""
    REFUND = "refund"
    """The firm gave it back."""
    CHARGEBACK = "chargeback"
    """The payer disputed the charge."""
    REINSTATED = "reinstated"
    """What went back came again: a dispute was won, or a return paid."""
    REALLOCATED = "reallocated"
    """The firm put it on other invoices; no money moved."""

    @property
    def takes_back(self) -> bool:
        """Whether money went back; otherwise it came again, or stayed."""
        return self not in (
            ReversalKind.REINSTATED,
            ReversalKind.REALLOCATED,
        )

    @property
    def frees_limits(self) -> bool:
        """Whether what went back may be taken again under limits (L7)."""
        return self in (ReversalKind.RETURN, ReversalKind.CHARGEBACK)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Share(Readable):
    """
    So much of a payment on an invoice (P4).

    Attributes:
        client: The invoice's client.
        matter: The invoice's matter.
        invoice: The invoice's number.
        amount: So much; above zero.

    """

    client: ClientId | str = attrs.field(validator=an_id)
    matter: MatterId | str = attrs.field(validator=an_id)
    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(
        validator=a_positive("PostingSign", "a share must be above zero")
    )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Reversal(Readable):
    """
    Captured money that went back, came again or was moved, on record (P4).

    Attributes:
        event: The gateway's id of the event, or the firm's of what it moved;
            applied once.
        kind: Return, refund, chargeback, what takes one of them back, or
            what the firm put on other invoices.
        amount: What moved; above zero.
        on: The firm-local date of the event.
        code: The bank's, such as ``"R10"``; empty if there is none. Some hold
            the payment method (H2).
        corrects: The event that one of kind `ReversalKind.REINSTATED` takes
            back; the id of the posting that one of kind
            `ReversalKind.REALLOCATED` moves; empty for the others.
        invoices: By number, what moved of each invoice; None for the newest
            first.
        to: Where the firm put it: shares that add up to *amount*. What stays
            on the invoice of a posting that was never sent is one of them.
            Empty for all kinds but `ReversalKind.REALLOCATED`.
        unsent: Whether the ledger had not been sent the posting that was
            moved: it and its correction are removed, and stay so.

    Raises:
        InvalidValueError: A field that cannot be; shares of another kind, or
            that do not add up (``Reallocation``).

    """

    event: str = attrs.field(validator=an_id)
    kind: ReversalKind = attrs.field(validator=a(ReversalKind))
    amount: Money = attrs.field(
        validator=a_positive(
            "PostingSign", "the amount of a reversal must be above zero"
        )
    )
    on: date = attrs.field(validator=a_date)
    code: str = attrs.field(default="", validator=a_text(most=64))
    corrects: str = attrs.field(default="", validator=an_id_if_any)
    invoices: Mapping[str, Money] | None = attrs.field(
        default=None,
        converter=kept_if_any,
        validator=optional(mapping_of(Money)),
    )
    to: tuple[Share, ...] = attrs.field(default=(), validator=tuple_of(Share))
    unsent: bool = attrs.field(default=False, validator=a(bool))

    def __attrs_post_init__(self) -> None:
        """Refuse shares that do not add up, or of another kind (P4)."""
        is_moved = self.kind is ReversalKind.REALLOCATED
        amounts = [each.amount for each in self.to]
        if (
            bool(self.to) is not is_moved
            or (self.unsent and not is_moved)
            or (
                is_moved
                and (
                    not self.corrects
                    or self.invoices is not None
                    or Money.total(amounts, self.amount.currency)
                    != self.amount
                    or len({each.invoice for each in self.to}) < len(self.to)
                )
            )
        ):
            raise InvalidValueError(
                "what is put on other invoices names a posting and, once "
                "each, invoices whose shares add up; nothing else has shares",
                code="Reallocation",
                path="to",
                value=self.event,
            )


class PostingStatus(Choice):
    """
    Where a posting record stands on its way into the firm's ledger (P2).

    What may follow is in `POSTING_MOVES`; all but the last two are open.
    """

    PENDING = "pending"
    """Waits to be sent."""
    INCOMPLETE = "incomplete"
    """A data conflict that someone must mend."""
    QUEUED = "queued"
    """Selected to be sent."""
    POSTED = "posted"
    """Sent."""
    APPLIED = "applied"
    """The ledger shows it in the balance."""
    REMOVED = "removed"
    """Handled by hand."""


OPEN_STATUSES: Final = frozenset(
    {
        PostingStatus.PENDING,
        PostingStatus.INCOMPLETE,
        PostingStatus.QUEUED,
        PostingStatus.POSTED,
    }
)
"""Statuses that count as open: the balance does not show them yet (P2)."""

POSTING_MOVES: Final[Mapping[PostingStatus, frozenset[PostingStatus]]] = (
    MappingProxyType(
        {
            PostingStatus.PENDING: frozenset(
                {
                    PostingStatus.INCOMPLETE,
                    PostingStatus.QUEUED,
                    PostingStatus.REMOVED,
                }
            ),
            PostingStatus.INCOMPLETE: frozenset(
                {PostingStatus.PENDING, PostingStatus.REMOVED}
            ),
            PostingStatus.QUEUED: frozenset(
                {
                    PostingStatus.PENDING,
                    PostingStatus.INCOMPLETE,
                    PostingStatus.POSTED,
                    # A firm whose ledger acknowledges nothing.
                    PostingStatus.APPLIED,
                    PostingStatus.REMOVED,
                }
            ),
            # The ledger took it, or refused it after all.
            PostingStatus.POSTED: frozenset(
                {
                    PostingStatus.APPLIED,
                    PostingStatus.INCOMPLETE,
                    PostingStatus.REMOVED,
                }
            ),
            # Back: the ledger took it back, or it was removed in error.
            PostingStatus.APPLIED: frozenset({PostingStatus.POSTED}),
            PostingStatus.REMOVED: frozenset({PostingStatus.PENDING}),
        }
    )
)
"""Every step of a posting that exists; anything else is refused (P3)."""


class PostingView(Choice):
    """The staff's views in Manage Postings, each a set of statuses (P3)."""

    PENDING_INCOMPLETE = "pending/incomplete"
    """What waits, with or without a conflict."""
    PENDING = "pending"
    """What waits and can be sent."""
    INCOMPLETE = "incomplete"
    """What someone must mend."""
    QUEUED = "queued"
    """What was selected."""
    POSTED = "posted"
    """What was sent, applied or not."""
    REMOVED = "removed"
    """What was handled by hand."""
    ALL = "all"
    """Every one."""

    @property
    def statuses(self) -> frozenset[PostingStatus]:
        """What this view shows; posted includes applied."""
        return _VIEWS[self]


_VIEWS: Final[Mapping[PostingView, frozenset[PostingStatus]]] = {
    PostingView.PENDING_INCOMPLETE: frozenset(
        {PostingStatus.PENDING, PostingStatus.INCOMPLETE}
    ),
    PostingView.PENDING: frozenset({PostingStatus.PENDING}),
    PostingView.INCOMPLETE: frozenset({PostingStatus.INCOMPLETE}),
    PostingView.QUEUED: frozenset({PostingStatus.QUEUED}),
    PostingView.POSTED: frozenset(
        {PostingStatus.POSTED, PostingStatus.APPLIED}
    ),
    PostingView.REMOVED: frozenset({PostingStatus.REMOVED}),
    PostingView.ALL: frozenset(PostingStatus),
}


@final
@attrs.frozen(kw_only=True, repr=False)
class Posting(Shown):
    """
    One invoice's share of a captured payment, on its way to the ledger (P1).

    Attributes:
        id: Derived from run, attempt and invoice.
        run: The run that paid.
        payer: Who paid.
        client: The invoice's client.
        matter: The invoice's matter.
        invoice: The invoice's number.
        amount: What was paid; negative for a reversal, and positive again for
            what reverses one (P4).
        status: Where it stands.
        charged_on: The date of the charge, or of the reversal.
        payment_reference: The gateway's reference of the payment.
        deposit_account: Where the money went.
        ar_message: The auto-pay's text for the firm's ledger.
        reverses: Id of the posting that this one corrects, or None.
        note: Why it is incomplete or was removed.
        posted_on: The ledger's date of it; None until it says one.
        ledger_number: Under what the ledger has it; empty until it says.
        since: Store time since which it stands where it stands, as a store's
            list tells; None otherwise. It is when, not what: it is not
            compared, and not kept.

    """

    id: PostingId | str = attrs.field(validator=an_id)
    run: RunKey
    payer: PayerId | str = attrs.field(validator=an_id)
    client: ClientId | str = attrs.field(validator=an_id)
    matter: MatterId | str = attrs.field(validator=an_id)
    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    charged_on: date = attrs.field(validator=a_date)
    payment_reference: str
    deposit_account: DepositAccount
    ar_message: str = ""
    status: PostingStatus = PostingStatus.PENDING
    reverses: PostingId | str | None = None
    note: str = attrs.field(default="", validator=a_text())
    posted_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    ledger_number: str = attrs.field(default="", validator=an_id_if_any)
    since: datetime | None = attrs.field(
        default=None, eq=False, validator=optional(an_instant)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a sign that does not fit (P4)."""
        if self.amount.is_zero or (
            self.amount.is_negative and self.reverses is None
        ):
            raise InvalidValueError(
                "a posting must be above zero, and its reversal below",
                code="PostingSign",
                path="amount",
                value=self.amount.amount_minor,
            )

    def __str__(self) -> str:
        """Return it in a line, for people."""
        note = f": {self.note}" if self.note else ""
        return (
            f"{self.invoice}: {self.amount} of {self.charged_on}, "
            f"{self.status.value} ({self.payment_reference}, run {self.run})"
            f"{note}"
        )

    @property
    def is_open(self) -> bool:
        """
        Whether this lowers what may be paid on the invoice (P2, L1).

        A reversal never does: until the ledger shows it the amount stays
        blocked, for adding it back could pay the invoice twice when the
        ledger shows a step before we hear of it.
        """
        return self.status in OPEN_STATUSES and not self.amount.is_negative


_WITH_LEDGER: Final = frozenset(
    {PostingStatus.POSTED, PostingStatus.APPLIED, PostingStatus.REMOVED}
)
"""Where a posting keeps what the ledger said of it."""


def move_posting(
    posting: Posting,
    to: PostingStatus,
    /,
    *,
    note: str | None = None,
    posted_on: date | None = None,
    ledger_number: str = "",
) -> Posting:
    """
    Return *posting* one step further in its life (P3).

    Args:
        posting: As it stands.
        to: Its next status.
        note: Why; None keeps the one it has.
        posted_on: The ledger's date; None keeps the one it has.
        ledger_number: The ledger's number; empty keeps the one it has. Either
            is forgotten by a step back to where it is to be sent again.

    Raises:
        InvalidValueError: There is no such step (``PostingTransition``).

    """
    if to not in POSTING_MOVES[posting.status]:
        raise InvalidValueError(
            f"no posting goes from {posting.status.value} to {to.value}",
            code="PostingTransition",
            path="status",
            value=to.value,
        )
    is_kept = to in _WITH_LEDGER
    return attrs.evolve(
        posting,
        status=to,
        since=None,
        note=posting.note if note is None else note,
        posted_on=(posted_on or posting.posted_on) if is_kept else None,
        ledger_number=(ledger_number or posting.ledger_number)
        if is_kept
        else "",
    )


def in_view(
    postings: Iterable[Posting], view: PostingView, /
) -> tuple[Posting, ...]:
    """Keep the postings that *view* shows, in their order (P3)."""
    shown = view.statuses
    return tuple(each for each in postings if each.status in shown)


def open_amounts(
    postings: Iterable[Posting], held: Iterable[Mapping[str, Money]], /
) -> dict[str, Money]:
    """
    Add up what each invoice's balance does not show yet (L1).

    Args:
        postings: Any; those that are not open do not count.
        held: Reservations of runs under way, from `reservations`.

    """
    total: dict[str, Money] = {}
    for posting in postings:
        if posting.is_open:
            before = total.get(posting.invoice)
            total[posting.invoice] = (
                posting.amount if before is None else before + posting.amount
            )
    for reserved in held:
        for number, amount in reserved.items():
            before = total.get(number)
            total[number] = amount if before is None else before + amount
    return total


def posting_id(key: RunKey, attempt: int, number: str, /) -> PostingId:
    """
    Derive the id of an invoice's posting, so that it is written once (P1).

    A hash, so that the id is short whatever the invoice's number is.
    """
    return posting_id_from(start_of_id(key, attempt), number)


def start_of_id(key: RunKey, attempt: int) -> str:
    """Return what the ids of an attempt's postings are all made of."""
    day = str(key)[len(key.autopay) + 1 :]  # With a number on demand (R14).
    parts = (key.autopay, day, str(attempt))
    return "".join(f"{len(part)}:{part}," for part in parts)


def posting_id_from(start: str, number: str) -> PostingId:
    whole = f"{start}{len(number)}:{number},"
    return PostingId(f"p-{sha256(whole)[:32]}")


__getattr__ = moved(__name__)
