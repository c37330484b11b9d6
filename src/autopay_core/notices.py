"""
What people are told (N1, N2).

Holds: `Notice`, its kinds, who it is for, and the functions that make them.
Imports: `_checks`, `_hashes`, `charges`, `money`, `references`. A notice is
stored in the same step as what it tells, and delivered at least once under a
key that removes duplicates. Its fields are typed data, never text to be
formatted by a template.
"""

from __future__ import annotations

from datetime import date
from typing import Final, Required, TypedDict, Unpack, final

import attrs

from autopay_core._checks import (
    DATE_MIN,
    Choice,
    Readable,
    a,
    a_date,
    a_link_if_any,
    a_text,
    an_id,
    an_id_if_any,
    optional,
    report_text,
    tuple_of,
)
from autopay_core._hashes import sha256
from autopay_core.charges import ChargeLine
from autopay_core.money import Money
from autopay_core.references import AutoPayId, PayerId, RunKey

__all__ = [
    "FAILED_AUTOPAY",
    "Audience",
    "Notice",
    "NoticeFacts",
    "NoticeKind",
    "notice_for_autopay",
    "notice_for_firm",
    "notice_for_run",
]

FAILED_AUTOPAY: Final = "Error-Failed AutoPay"
"""Title of the notice of each failed auto-pay, spelt as in the field (N1)."""


class NoticeKind(Choice):
    """What a notice is about (N1, N2)."""

    FAILED = "failed"
    """"Error-Failed AutoPay": nothing was charged that should have been."""
    PAID = "paid"
    """What was charged paid all that is due."""
    PAID_IN_PART = "paid_in_part"
    """A limit left something unpaid."""
    NOTHING_DUE = "nothing_due"
    """Nothing is owed, or all of it is on its way."""
    UPCOMING = "upcoming"
    """Amount and date of a debit to come (N4)."""
    PLAN_PAID_OFF = "plan_paid_off"
    """An invoice that is enrolled by itself is paid off (S7)."""
    ENDING_SOON = "ending_soon"
    """Its year is up in 30, or in 7, days (S6)."""
    ENDED = "ended"
    """It has come to its end, or was turned off."""
    ENROLLMENT_ENDED = "enrollment_ended"
    """The year of something enrolled is up; the rest of it goes on (S8)."""
    PAUSED = "paused"
    """A pause has begun."""
    RESUMED = "resumed"
    """A pause is over."""
    CHANGED = "changed"
    """A standing order was changed, and how."""
    RENEWED = "renewed"
    """A year of a standing order was renewed, and until when (S6)."""
    METHOD_EXPIRING = "method_expiring"
    """The payment method expires soon."""
    METHOD_REMOVED = "method_removed"
    """The payer removed the payment method, and chose no other (A7)."""
    RETURNED = "returned"
    """Captured money went back (P4)."""
    REINSTATED = "reinstated"
    """Money that went back came again (P4)."""
    NEEDS_REVIEW = "needs_review"
    """A person has to look at a run (R4, R8)."""
    SECURITY_EVENT = "security_event"
    """The matter data returned what nobody asked for (A2)."""
    POSTING_INCOMPLETE = "posting_incomplete"
    """A posting record has a conflict that someone must mend."""
    POSTING_STUCK = "posting_stuck"
    """Postings have waited too long for the ledger (P3)."""
    INCIDENT = "incident"
    """Runs are late for one cause, or no longer; to the firm only (N1)."""
    HELD = "held"
    """A person or a rule holds what would be charged (H1)."""
    BALANCE_UNEXPECTED = "balance_unexpected"
    """A balance does not show what it should; its invoice waits (B1)."""
    GONE = "gone"
    """An invoice of a plan is not returned any more, and nobody paid it
    through us (B2)."""
    OVERPAID = "overpaid"
    """An invoice shows a credit after payments that crossed."""

    NEEDS_PAYER = "needs_payer"
    """The payer has to approve a charge, at a link and until a time."""

    @property
    def title(self) -> str:
        """The line that people see first."""
        return _TITLES[self]

    @property
    def is_for_firm(self) -> bool:
        """Whether it goes to the firm only, and never to a payer (N1)."""
        return self in _FOR_FIRM


_FOR_FIRM: Final = frozenset(
    {
        NoticeKind.SECURITY_EVENT,
        NoticeKind.NEEDS_REVIEW,
        NoticeKind.POSTING_INCOMPLETE,
        NoticeKind.POSTING_STUCK,
        NoticeKind.INCIDENT,
        NoticeKind.HELD,
        NoticeKind.BALANCE_UNEXPECTED,
        NoticeKind.OVERPAID,
    }
)

_TITLES: Final = {
    NoticeKind.FAILED: FAILED_AUTOPAY,
    NoticeKind.PAID: "AutoPay paid",
    NoticeKind.PAID_IN_PART: "AutoPay paid in part",
    NoticeKind.NOTHING_DUE: "AutoPay: nothing due",
    NoticeKind.UPCOMING: "AutoPay: upcoming payment",
    NoticeKind.PLAN_PAID_OFF: "AutoPay: payment plan paid off",
    NoticeKind.ENDING_SOON: "AutoPay ends soon",
    NoticeKind.ENDED: "AutoPay ended",
    NoticeKind.ENROLLMENT_ENDED: "AutoPay: enrollment ended",
    NoticeKind.PAUSED: "AutoPay paused",
    NoticeKind.RESUMED: "AutoPay resumed",
    NoticeKind.CHANGED: "AutoPay changed",
    NoticeKind.RENEWED: "AutoPay renewed",
    NoticeKind.METHOD_EXPIRING: "AutoPay: payment method expires",
    NoticeKind.METHOD_REMOVED: "AutoPay: payment method removed",
    NoticeKind.RETURNED: "AutoPay: payment returned",
    NoticeKind.REINSTATED: "AutoPay: payment reinstated",
    NoticeKind.NEEDS_REVIEW: "AutoPay needs review",
    NoticeKind.SECURITY_EVENT: "AutoPay: security event",
    NoticeKind.POSTING_INCOMPLETE: "AutoPay: posting incomplete",
    NoticeKind.POSTING_STUCK: "AutoPay: postings are stuck",
    NoticeKind.INCIDENT: "AutoPay: payments are late",
    NoticeKind.HELD: "AutoPay: on hold",
    NoticeKind.BALANCE_UNEXPECTED: "AutoPay: balances do not fit",
    NoticeKind.GONE: "AutoPay: invoice not found any more",
    NoticeKind.OVERPAID: "AutoPay: overpaid invoice",
    NoticeKind.NEEDS_PAYER: "AutoPay: your approval is needed",
}


class Audience(Choice):
    """Who a notice is for (N1, N5)."""

    PAYER = "payer"
    """Whose auto-pay it is."""
    FIRM = "firm"
    """The law firm's staff."""


_FOR_BOTH: Final = frozenset({NoticeKind.RETURNED, NoticeKind.REINSTATED})

_PAYER_CAN_ACT: Final = frozenset(
    {"Declined", "MethodGone", "EnrollmentEnded", "NotAuthorized"}
)
"""Reasons of a failure that the payer can do something about (N1)."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Notice(Readable):
    """
    One thing to tell, once.

    Attributes:
        key: Removes duplicates: the same key is the same notice, for ever.
        kind: What it is about.
        payer: Whose auto-pay; empty for a notice to the firm about no single
            one.
        autopay: Which auto-pay; empty as *payer*.
        name: The auto-pay's name, for people.
        on: The date it is about.
        amount: The money it is about, if any.
        reason: Stable code, such as ``"Declined"``; may be empty.
        detail: What a person can act on.
        run: The run that it is about, if it is about one.
        lines: What each invoice gets, or was to get.
        reference: The gateway's payment reference; empty if there is none.
        method: The payment method, masked, such as ``"visa …4242"``.
        left: What the considered invoices still owe besides, on hold or not,
            and less what is on its way already; None if nobody looked.
        next_on: The firm-local date on which the auto-pay is to charge next,
            the retry of a decline among these; None if there is none.
        link: Where the payer acts, of `NoticeKind.NEEDS_PAYER`; not in the
            repr.

    """

    key: str = attrs.field(validator=an_id)
    kind: NoticeKind = attrs.field(validator=a(NoticeKind))
    payer: PayerId | str = attrs.field(validator=an_id_if_any)
    autopay: AutoPayId | str = attrs.field(validator=an_id_if_any)
    on: date = attrs.field(validator=a_date)
    name: str = attrs.field(default="", validator=a_text())
    amount: Money | None = None
    reason: str = attrs.field(default="", validator=a_text(most=64))
    detail: str = attrs.field(default="", validator=a_text())
    run: RunKey | None = attrs.field(
        default=None, validator=optional(a(RunKey))
    )
    lines: tuple[ChargeLine, ...] = attrs.field(
        default=(), validator=tuple_of(ChargeLine)
    )
    reference: str = attrs.field(default="", validator=an_id_if_any)
    method: str = attrs.field(default="", validator=a_text(most=64))
    left: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    next_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    link: str = attrs.field(default="", validator=a_link_if_any, repr=False)

    @property
    def title(self) -> str:
        """The line that people see first, such as "Error-Failed AutoPay"."""
        return self.kind.title

    @property
    def audience(self) -> frozenset[Audience]:
        """
        Who it is for (N1, N5).

        A failure is for the firm always, and for the payer when the payer can
        act.
        """
        if self.kind.is_for_firm or not self.payer:
            return frozenset({Audience.FIRM})
        if self.kind is NoticeKind.FAILED:
            if self.reason in _PAYER_CAN_ACT:
                return frozenset(Audience)
            return frozenset({Audience.FIRM})
        if self.kind in _FOR_BOTH:
            return frozenset(Audience)
        return frozenset({Audience.PAYER})


def _key(*parts: str) -> str:
    """Bound the key's length whatever the ids are."""
    whole = "".join(f"{len(part)}:{part}," for part in parts)
    return f"n-{sha256(whole)[:32]}"


class NoticeFacts(TypedDict, total=False):
    """What is told of a run or an auto-pay: see `Notice`."""

    payer: Required[PayerId | str]
    on: Required[date]
    name: str
    amount: Money | None
    reason: str
    lines: tuple[ChargeLine, ...]
    reference: str
    method: str
    left: Money | None
    next_on: date | None
    link: str


def notice_for_run(
    kind: NoticeKind,
    key: RunKey,
    /,
    *,
    detail: str = "",
    occasion: str = "",
    **facts: Unpack[NoticeFacts],
) -> Notice:
    """
    Make the notice of something that happened in a run.

    Args:
        kind: What it is about.
        key: The run.
        detail: What a person can act on; cleaned.
        occasion: Keeps several notices of one kind and run apart, such as
            an attempt's number or an event's id.
        facts: The other fields of the notice.

    """
    day = str(key)[len(key.autopay) + 1 :]  # With a number on demand (R14).
    return Notice(
        key=_key("run", key.autopay, day, kind.value, occasion),
        kind=kind,
        autopay=key.autopay,
        detail=report_text(detail),
        run=key,
        **facts,
    )


def notice_for_firm(
    kind: NoticeKind,
    /,
    *,
    on: date | None,
    reason: str,
    detail: str,
    occasion: str = "",
) -> Notice:
    """
    Make a notice to the firm that is about no single auto-pay (N1, A2, B1).

    Args:
        kind: What it is about.
        on: The firm's day; None for something that has none.
        reason: Stable code; with kind, day and occasion its identity.
        detail: What a person can act on; cleaned.
        occasion: Keeps several of one kind, reason and day apart.

    """
    day = DATE_MIN if on is None else on
    return Notice(
        key=_key("firm", day.isoformat(), kind.value, reason, occasion),
        kind=kind,
        payer="",
        autopay="",
        on=day,
        reason=reason,
        detail=report_text(detail),
    )


def notice_for_autopay(
    kind: NoticeKind,
    autopay: str,
    /,
    *,
    detail: str = "",
    occasion: str = "",
    **facts: Unpack[NoticeFacts],
) -> Notice:
    """
    Make a notice about an auto-pay itself, once for its kind and date.

    As `notice_for_run`; an occasion is such as the days left.
    """
    day = facts["on"].isoformat()
    return Notice(
        key=_key("autopay", autopay, day, kind.value, occasion),
        kind=kind,
        autopay=autopay,
        detail=report_text(detail),
        **facts,
    )
