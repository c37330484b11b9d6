"""
The day of charge: whether to send now, later, or never (R10).

Holds: `gate`, what it is asked (`Asked`, `Why`) and what it answers (`Charge`,
`WaitUntil`, `GiveUp`, each with a `Cause`). Imports: `autopay` and the values.
One function is asked before every sending, whatever brought it about; its
decisions are a table in docs/explanation/day-of-charge.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    Choice,
    Readable,
    a,
    a_date,
    an_instant,
    optional,
    tuple_of,
)
from autopay_core.autopay import AutoPay, in_force, upcoming, years
from autopay_core.business_days import open_on_or_after
from autopay_core.holds import Hold, blocks_run
from autopay_core.policy import firm_date
from autopay_core.schedules import MissedPolicy, Occurrence

__all__ = [
    "Asked",
    "Cause",
    "Charge",
    "Decision",
    "GiveUp",
    "WaitUntil",
    "Why",
    "gate",
]

_DAY: Final = timedelta(days=1)
_LATEST: Final = datetime.combine(DATE_MAX, time(), UTC)


class Why(Choice):
    """What brings a sending about; a person's word overrules one rule."""

    FIRST = "first"
    """Its date has come."""
    RETRY = "retry"
    """It was declined, and is tried again (N3)."""
    CAUGHT_UP = "caught_up"
    """Its date passed while nothing swept, or it was late (S12, R6)."""
    REVIVED = "revived"
    """A person wants a date that was lost after all (S12)."""
    ON_DEMAND = "on_demand"
    """A person wants a run that is no date of the schedule."""

    @property
    def is_a_persons_word(self) -> bool:
        """Whether a person asked for this very run."""
        return self in {Why.REVIVED, Why.ON_DEMAND}


class Cause(Choice):
    """Why nothing is sent now; `text` is for people (R10)."""

    OFF = "Off"
    """Give up, in silence: the order is turned off."""
    PAUSED = "Paused"
    """Give up, in silence: one of its dates, or today, is paused (S11)."""
    SKIPPED = "Skipped"
    """Give up, in silence: one of its dates, or today's, is skipped (S11)."""
    METHOD_GONE = "MethodGone"
    """Give up: its payment method was removed."""
    OVERTAKEN = "Overtaken"
    """Give up: the next date that runs has come, and collects it."""
    ENROLLMENT_ENDED = "EnrollmentEnded"
    """Give up: its date and its enrolment are over (S6)."""

    BEFORE_ITS_DATE = "BeforeItsDate"
    """Wait: its date, or the date told for its retry, is still to come."""
    CLOCK_SUSPECT = "ClockSuspect"
    """Wait: the store's clock cannot be right."""
    HELD = "Held"
    """Wait: a hold on the store, the payer, the method or the order (H1)."""
    NOT_AUTHORIZED = "NotAuthorized"
    """Wait: nothing that the payer allowed is in force, and must be (O2)."""
    NOTICE_NEEDED = "NoticeNeeded"
    """Wait: a consumer has to be told first, or agree to a range (N4)."""
    NETWORK_WINDOW = "NetworkWindow"
    """Wait: the method was declined as often as its network allows (N3)."""
    NOT_BEFORE = "NotBefore"
    """Wait: an answer said not before a time (N3)."""
    CLOSED_DAY = "ClosedDay"
    """Wait: the calendar of its schedule is closed today (S9)."""

    @property
    def text(self) -> str:
        """The cause as a person reads it."""
        return _TEXTS[self]


_TEXTS: Final[Mapping[Cause, str]] = {
    Cause.OFF: "the auto-pay is turned off",
    Cause.METHOD_GONE: "its payment method was removed; save another one",
    Cause.PAUSED: "it is paused",
    Cause.SKIPPED: "this date is skipped",
    Cause.OVERTAKEN: "the next date has come, and collects what is left",
    Cause.ENROLLMENT_ENDED: "its enrolment has ended; renew it to go on",
    Cause.BEFORE_ITS_DATE: "its date is still to come",
    Cause.CLOCK_SUSPECT: "the store's clock cannot be right; set it, or say "
    "that it is right now",
    Cause.HELD: "it is on hold",
    Cause.NOT_AUTHORIZED: "its payer has not allowed such charges, or not any "
    "more; ask for an authorisation",
    Cause.NOTICE_NEEDED: "a consumer's bank account is debited only with "
    "announcements or within an agreed range, and the order has neither",
    Cause.NETWORK_WINDOW: "the payment method was declined as often as its "
    "network allows for now",
    Cause.NOT_BEFORE: "the gateway asked to wait",
    Cause.CLOSED_DAY: "no charges on this day",
}


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Asked(Readable):
    """
    All that the day of charge depends on.

    Attributes:
        autopay: The standing order as it stands now.
        occurrence: Whose charge it is; a run on demand has its own day as
            both dates.
        as_of: The date that the caller calls today.
        now: The store's time.
        why: What brings the sending about.
        holds: Those that are known; lifted ones, and holds on something else,
            do nothing.
        retry_on: The date that was told for a retry, or None (N3).
        not_before: What the last answer asked for, or None.
        network_opens_at: When the network lets the method be charged again
            (`retries.window_opens_at`), or None.
        is_clock_suspect: The store's clock cannot be right.
        is_method_gone: The payer no longer has the method of the order.
        is_unauthorized: Its kind of method needs an authorisation, and none
            is in force.
        lacks_notice: It debits a consumer's bank account, which needs
            announcements or an agreed range (N4), and has neither.
        zone: The firm's, by IANA name; turns instants into dates.

    """

    autopay: AutoPay = attrs.field(validator=a(AutoPay))
    occurrence: Occurrence = attrs.field(validator=a(Occurrence))
    as_of: date = attrs.field(validator=a_date)
    now: datetime = attrs.field(validator=an_instant)
    why: Why = attrs.field(validator=a(Why))
    holds: tuple[Hold, ...] = attrs.field(default=(), validator=tuple_of(Hold))
    retry_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    not_before: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    network_opens_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    is_clock_suspect: bool = attrs.field(default=False, validator=a(bool))
    is_method_gone: bool = attrs.field(default=False, validator=a(bool))
    is_unauthorized: bool = attrs.field(default=False, validator=a(bool))
    lacks_notice: bool = attrs.field(default=False, validator=a(bool))
    zone: str = attrs.field(default="UTC", validator=a(str))


@final
@attrs.frozen(repr=False, eq=False)
class Charge(Readable):
    """Send it now."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class WaitUntil(Readable):
    """
    Send nothing now; ask again.

    Attributes:
        cause: The first row of the table that says so.
        on: The first date on which it may be sent, as far as dates and times
            decide: an open day of its calendar. None if somebody must act
            first (a hold, the clock, an authorisation).
        at: The instant before which it may not be sent on that date, or None.
        hold: The hold that it waits for, if it is one.
        detail: For people.

    """

    cause: Cause
    on: date | None
    at: datetime | None
    hold: Hold | None
    detail: str

    @property
    def is_incident(self) -> bool:
        """Whether somebody of the firm has to act before it can go on (N1)."""
        return self.on is None


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class GiveUp(Readable):
    """
    Never send it: this date is not collected any more.

    Attributes:
        cause: The first row of the table that says so.
        is_failure: Whether a date is lost and people are told; else somebody
            wanted it so, and it ends in silence.
        collected_on: The date that collects it instead, if one does.
        detail: For people.

    """

    cause: Cause
    is_failure: bool
    collected_on: date | None
    detail: str


Decision: TypeAlias = Charge | WaitUntil | GiveUp


def gate(asked: Asked, /) -> Decision:
    """
    Tell whether to charge now, to wait or to give up (R10).

    Giving up goes before waiting: what waits for a hold ends with its
    enrolment all the same.
    """
    return _given_up(asked) or _waiting(asked) or Charge()


# -- Giving up ---------------------------------------------------------------


def _given_up(asked: Asked) -> GiveUp | None:
    withdrawn = _withdrawn(asked)
    if withdrawn is not None:
        return GiveUp(
            cause=withdrawn,
            is_failure=False,
            collected_on=None,
            detail=withdrawn.text,
        )
    if asked.is_method_gone:
        return _lost(Cause.METHOD_GONE)
    following = _overtaken_by(asked)
    if following is not None:
        return _lost(Cause.OVERTAKEN, following)
    last = _last_day(asked.autopay, asked.occurrence)
    if last is not None and asked.as_of > last:
        return _lost(Cause.ENROLLMENT_ENDED)
    return None


def _withdrawn(asked: Asked) -> Cause | None:
    """Return how somebody took this date, or this day, out of the order."""
    autopay, charge_on = asked.autopay, asked.occurrence.charge_on
    # What is asked early is judged by the day on which it could be sent: a
    # pause that is over by then takes nothing away.
    day = max(asked.as_of, charge_on)
    if autopay.off_from is not None and day >= autopay.off_from:
        return Cause.OFF
    dates = {day, asked.occurrence.nominal_on, charge_on}
    if any(_is_paused(autopay, each) for each in dates):
        return Cause.PAUSED
    if dates & autopay.skips or _is_skipped_date(autopay, day):
        return Cause.SKIPPED
    return None


def _lost(cause: Cause, collected_on: date | None = None) -> GiveUp:
    detail = cause.text
    if collected_on is not None:
        detail = f"{detail}: {collected_on}"
    return GiveUp(
        cause=cause, is_failure=True, collected_on=collected_on, detail=detail
    )


def _is_paused(autopay: AutoPay, on: date) -> bool:
    return any(
        each.from_on <= on and (each.to_on is None or on < each.to_on)
        for each in autopay.pauses
    )


def _is_skipped_date(autopay: AutoPay, on: date) -> bool:
    """Tell whether *on* is the charge date of a date that is skipped."""
    if not autopay.skips:
        return False
    kept = attrs.evolve(autopay, skips=frozenset[date]())
    found = upcoming(kept, on)
    return (
        found is not None
        and found.charge_on == on
        and found.nominal_on in autopay.skips
    )


def _overtaken_by(asked: Asked) -> date | None:
    """
    Return the charge date of the next date that runs, if it has come.

    With run-all every date is collected by itself, however late; and what a
    person asked for is not taken back by a date.
    """
    autopay, charge_on = asked.autopay, asked.occurrence.charge_on
    if (
        asked.why.is_a_persons_word
        or autopay.missed is MissedPolicy.ALL
        or asked.as_of <= charge_on
    ):
        return None
    following = upcoming(autopay, charge_on + _DAY)
    if following is None or following.charge_on > asked.as_of:
        return None
    return following.charge_on


def _last_day(autopay: AutoPay, occurrence: Occurrence) -> date | None:
    """
    Return the last day on which *occurrence* may be charged, or None.

    Its own charge date, or the last day of its enrolment if that is later; of
    several enrolments the last one's. An invoice plan has no year to end.
    """
    last = occurrence.charge_on
    running = in_force(autopay, occurrence.nominal_on)
    for each in autopay.enrollments:
        if each.association not in running:
            continue
        windows = years(each, autopay.schedule)
        if not windows:
            return None
        last = max(last, *(end - _DAY for _, end in windows))
    return last


# -- Waiting -----------------------------------------------------------------


def _waiting(asked: Asked) -> WaitUntil | None:
    if asked.as_of < _earliest(asked):
        return _until(Cause.BEFORE_ITS_DATE, asked)
    if asked.is_clock_suspect:
        return _for_somebody(Cause.CLOCK_SUSPECT)
    autopay = asked.autopay
    hold = blocks_run(
        asked.holds,
        autopay=autopay.id,
        payer=autopay.payer,
        method=autopay.method.fingerprint,
    )
    if hold is not None:
        return _for_somebody(Cause.HELD, hold)
    for cause, is_so in (
        (Cause.NOT_AUTHORIZED, asked.is_unauthorized),
        (Cause.NOTICE_NEEDED, asked.lacks_notice),
    ):
        if is_so:
            return _for_somebody(cause)
    for cause, is_now in (
        (Cause.NETWORK_WINDOW, _is_ahead(asked.network_opens_at, asked.now)),
        (Cause.NOT_BEFORE, _is_ahead(asked.not_before, asked.now)),
        (Cause.CLOSED_DAY, _open_from(asked, asked.as_of) != asked.as_of),
    ):
        if is_now:
            return _until(cause, asked)
    return None


def _earliest(asked: Asked) -> date:
    """Return its charge date, or the date that was told for its retry."""
    charge_on = asked.occurrence.charge_on
    return (
        charge_on if asked.retry_on is None else max(charge_on, asked.retry_on)
    )


def _open_from(asked: Asked, on: date) -> date:
    return open_on_or_after(asked.autopay.schedule.calendar, on)


def _is_ahead(at: datetime | None, now: datetime) -> bool:
    return at is not None and at > now


def _for_somebody(cause: Cause, hold: Hold | None = None) -> WaitUntil:
    """Wait for what no date brings: a person, or what lifts a hold."""
    detail = cause.text
    if hold is not None:
        detail = f"{detail}: {hold.reason}; what ends it: {hold.releases}"
    return WaitUntil(cause=cause, on=None, at=None, hold=hold, detail=detail)


def _until(cause: Cause, asked: Asked) -> WaitUntil:
    """Wait for the first open day that every date and instant allows."""
    instants = [
        each
        for each in (asked.network_opens_at, asked.not_before)
        if each is not None and each > asked.now
    ]
    # A gateway may name any time at all; later than every run is never.
    dates = [firm_date(min(each, _LATEST), asked.zone) for each in instants]
    on = _open_from(asked, max(asked.as_of, _earliest(asked), *dates))
    return WaitUntil(
        cause=cause,
        on=on,
        at=max(instants, default=None),
        hold=None,
        detail=f"{cause.text}; it is tried on {on}",
    )
