"""
What a standing order does at a date, and what comes next (S6 to S8, S14).

Holds: `AutoPayState`, `Ending`, `Known`, and the functions that answer when
an order runs, what is due, what was passed over, when it ends and why.
Imports: `_standing` and the values. All of them take the same few questions
to the same answers, so that state, end and next date cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    DATE_MIN,
    Choice,
    Readable,
    ReadOnly,
    a,
    a_date,
    a_number,
    check_date,
    mapping_of,
    optional,
    tuple_of,
)
from autopay_core._standing import (
    AutoPay,
    Enrollment,
    first_nominal,
    pinned,
)
from autopay_core.associations import Association, Level
from autopay_core.errors import InvalidValueError, safe_text
from autopay_core.limits import Spent
from autopay_core.schedules import (
    Occurrence,
    Pause,
    Schedule,
    ScheduleKind,
    one_year_after,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "GONE_DAYS",
    "NOTHING_KNOWN",
    "AutoPayState",
    "Ending",
    "Known",
    "due",
    "ending",
    "ends_on",
    "in_force",
    "occurrence_on",
    "passed_over",
    "state_on",
    "upcoming",
    "years",
]

GONE_DAYS: Final = 60
"""A plan whose invoice is not returned any more ends after so long (B2)."""

_DAY: Final = timedelta(days=1)
_ROLL_MOST: Final = timedelta(days=31)  # no roll moves a date further (S9)


class AutoPayState(Choice):
    """What an auto-pay does at a date."""

    NOT_STARTED = "not_started"
    """Its first date is still to come."""
    ACTIVE = "active"
    """It runs."""
    PAUSED = "paused"
    """It rests, and goes on after."""
    NEEDS_ATTENTION = "needs_attention"
    """A hold keeps it from running; what is due waits."""
    GONE = "gone"
    """What is enrolled is not returned any more, and nobody paid it off."""
    OFF = "off"
    """It was turned off."""
    ENDED = "ended"
    """No date of it is left."""


class Ending(Choice):
    """Why an auto-pay has no more dates (S7, S8)."""

    OFF = "off"
    """It was turned off."""
    YEAR = "year"
    """The last of its years is up."""
    SCHEDULE = "schedule"
    """Its schedule ends by itself."""
    LIFETIME = "lifetime"
    """What it may take in all has been taken."""
    PAYMENTS = "payments"
    """The agreed number of payments was collected."""
    PLANS = "plans"
    """What is enrolled is paid off, or was gone for too long."""
    NOTHING_ENROLLED = "nothing_enrolled"
    """Nothing of what is enrolled has a date."""

    @property
    def text(self) -> str:
        """A sentence for people."""
        return _ENDING_TEXTS[self]


_ENDING_TEXTS: Final = {
    Ending.OFF: "It was turned off.",
    Ending.YEAR: "Its year is up; renew it to go on.",
    Ending.SCHEDULE: "Its schedule has come to its end.",
    Ending.LIFETIME: "The agreed total has been paid.",
    Ending.PAYMENTS: "The agreed number of payments has been made.",
    Ending.PLANS: "What it was to pay is paid off.",
    Ending.NOTHING_ENROLLED: "Nothing is enrolled that has a date.",
}


def _a_day(
    _: object,
    field: attrs.Attribute[Mapping[str, date]],
    value: Mapping[str, date],
) -> None:
    for number, on in value.items():
        check_date(on, f"{field.name}[{safe_text(number)}]")


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Known(Readable):
    """
    What is on record of an auto-pay, as far as its dates depend on it (S14).

    >>> Known().payments
    0

    Attributes:
        spent: What it has taken, for a lifetime limit; None for not known.
        collected: How many payments were captured and not returned.
        recent: The latest of these; those of the last two months are enough.
        ran_to: Nominal date of the latest run that is over, whatever became
            of it; no date up to it runs again. None for no such run.
        paid_off: Invoices that are paid off, with the day on which each was
            (S7). One that a return reopened is not among them.
        gone: Invoices that are no longer returned although nobody paid them
            off, with the first such day (B2).
        holds: What blocks it now, in words; empty for nothing.

    """

    spent: Spent | None = attrs.field(
        default=None, validator=optional(a(Spent))
    )
    collected: int = attrs.field(default=0, validator=a_number(0))
    recent: tuple[Occurrence, ...] = attrs.field(
        default=(), validator=tuple_of(Occurrence)
    )
    ran_to: date | None = attrs.field(default=None, validator=optional(a_date))
    paid_off: Mapping[str, date] = attrs.field(
        factory=dict,
        validator=[mapping_of(date), _a_day],
    )
    gone: Mapping[str, date] = attrs.field(
        factory=dict,
        validator=[mapping_of(date), _a_day],
    )
    holds: tuple[str, ...] = attrs.field(default=(), validator=tuple_of(str))

    def __attrs_post_init__(self) -> None:
        """Keep the two mappings as they are now."""
        for name in ("paid_off", "gone"):
            object.__setattr__(self, name, ReadOnly(getattr(self, name)))

    @property
    def payments(self) -> int:
        """How many payments were collected."""
        return max(self.collected, len(self.recent))

    def has_run(self, nominal_on: date, /) -> bool:
        """Tell whether a date cannot run again, as far as is known."""
        return (self.ran_to is not None and nominal_on <= self.ran_to) or any(
            each.nominal_on == nominal_on for each in self.recent
        )

    @property
    def latest_on(self) -> date | None:
        """Charge date of the latest payment at hand."""
        return max((each.charge_on for each in self.recent), default=None)


NOTHING_KNOWN: Final = Known()
"""What dates alone decide."""


# -- What runs when -----------------------------------------------------------


def years(
    enrollment: Enrollment, schedule: Schedule, /
) -> tuple[tuple[date, date], ...]:
    """
    Return the years of a client- or matter-level enrolment (S6).

    Each is a half-open window of nominal dates: from the first occurrence on
    or after its start, for twelve months. They are those that were agreed
    when an auto-pay was made of it, else those of *schedule*. An
    invoice-level enrolment has no years (S7): the result is empty.
    """
    if enrollment.association.level is Level.INVOICE:
        return ()
    return tuple(
        (each, one_year_after(each))
        for each in pinned(enrollment, schedule).years_from
    )


def in_force(
    autopay: AutoPay, nominal_on: date, /, *, known: Known = NOTHING_KNOWN
) -> tuple[Association, ...]:
    """
    Return the associations whose enrolment runs on a nominal date (S6 to S8).

    An invoice plan is among them however late it is, unless *known* says that
    it is paid off or gone: without it, that shows in the balance (S7).
    """
    return tuple(
        each.association
        for each in autopay.enrollments
        if _runs_on(each, autopay.schedule, nominal_on, known)
    )


def _runs_on(
    enrollment: Enrollment, schedule: Schedule, nominal_on: date, known: Known
) -> bool:
    invoice = enrollment.association.invoice
    if invoice is not None:
        return (
            (enrollment.since is None or nominal_on >= enrollment.since)
            and invoice not in known.paid_off
            and invoice not in known.gone
        )
    return any(
        start <= nominal_on < end for start, end in years(enrollment, schedule)
    )


def active(
    autopay: AutoPay, on_or_after: date | None, before: date | None
) -> Iterator[Occurrence]:
    """Return what the schedule gives, without what is paused or skipped."""
    return autopay.schedule.occurrences(
        on_or_after,
        before,
        pauses=autopay.pauses,
        skips=autopay.skips,
        moves=autopay.moves,
    )


def upcoming(
    autopay: AutoPay, on_or_after: date, /, *, known: Known = NOTHING_KNOWN
) -> Occurrence | None:
    """
    Return the next occurrence that will run, by charge date, or None.

    Enrolments and agreements that have ended, pauses, skips, moves and turning
    off are respected. A hold is not: what is due waits for it.
    """
    check_date(on_or_after, "on_or_after")
    horizon = _horizon(autopay, known)
    for each in active(autopay, on_or_after, autopay.off_from):
        if each.nominal_on >= horizon:
            return None
        if in_force(autopay, each.nominal_on, known=known):
            return each
    return None


def _horizon(autopay: AutoPay, known: Known) -> date:
    """Return the first nominal date from which nothing enrolled ever runs."""
    if reached(autopay, known) is not None:
        return date.min
    ends = [date.min]
    for each in autopay.enrollments:
        invoice = each.association.invoice
        if invoice is None:
            ends.extend(end for _, end in years(each, autopay.schedule))
        elif invoice not in known.paid_off and invoice not in known.gone:
            return date.max
    return max(ends)


def occurrence_on(autopay: AutoPay, on: date, /) -> Occurrence:
    """
    Return the occurrence of *autopay* that runs on a date (R2).

    Args:
        autopay: The standing order.
        on: Its charge date; or its nominal date, if that is not before the
            charge date.

    Raises:
        InvalidValueError: Nothing is due on that date: it is no date of the
            schedule, in a pause, or outside every enrolment's time
            (``OccurrenceNotDue``).

    """
    check_date(on, "on")
    found = latest_on(autopay, on)
    if (
        found is not None
        and on in (found.charge_on, found.nominal_on)
        and (not autopay.enrollments or in_force(autopay, found.nominal_on))
    ):
        return found
    raise InvalidValueError(
        f"nothing of auto-pay {autopay.id!r} is due on {on}; ask upcoming()",
        code="OccurrenceNotDue",
        path="on",
        value=str(on),
    )


def latest_on(autopay: AutoPay, on: date) -> Occurrence | None:
    """Return the last occurrence charged by a date, enrolled or not."""
    return autopay.schedule.previous_on_or_before(
        on, pauses=autopay.pauses, skips=autopay.skips, moves=autopay.moves
    )


def due(
    autopay: AutoPay,
    as_of: date,
    /,
    *,
    after: date | None = None,
    known: Known = NOTHING_KNOWN,
) -> Sequence[Occurrence]:
    """
    Return what has fallen due and is not on record, ascending (S12).

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        after: Nominal date of the latest run on record, or None.
        known: What is on record; what is paid off or at its agreed end (S7,
            S8) is not due.

    """
    check_date(as_of, "as_of")
    if reached(autopay, known) is not None:
        return []
    until = as_of + _DAY
    if autopay.off_from is not None:
        until = min(until, autopay.off_from)
    return [
        each
        for each in active(autopay, _begin(autopay, after), until)
        if (after is None or each.nominal_on > after)
        and (
            not autopay.enrollments
            or in_force(autopay, each.nominal_on, known=known)
        )
    ]


def _begin(autopay: AutoPay, after: date | None) -> date | None:
    """Return a charge date before which nothing comes after *after*."""
    if after is None:
        return None
    known = autopay.schedule.occurrence_of(after, moves=autopay.moves)
    if known is not None:
        return known.charge_on
    return max(DATE_MIN, min([after - _ROLL_MOST, *autopay.moves.values()]))


def passed_over(
    autopay: AutoPay, as_of: date, /, *, after: date | None = None
) -> Sequence[tuple[Occurrence, str]]:
    """
    Return what came by a date and does not run, with the reason (S11).

    The reason is ``Off``, ``Paused`` or ``Skipped``: on record under it,
    such a date is not made up when the order is on again. What no enrolment
    covers is not among them.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        after: Nominal date of the latest run on record, or None.

    """
    check_date(as_of, "as_of")
    begin, until = _begin(autopay, after), as_of + _DAY
    runs = {each.nominal_on for each in active(autopay, begin, until)}
    # What is dropped uses up no count, so it may lie beyond it.
    uncounted = attrs.evolve(autopay.schedule, count=None)
    found: list[tuple[Occurrence, str]] = []
    for each in uncounted.occurrences(begin, until, moves=autopay.moves):
        is_off = is_off_on(autopay, each.charge_on)
        if (
            (after is not None and each.nominal_on <= after)
            or not in_force(autopay, each.nominal_on)
            or (each.nominal_on in runs and not is_off)
            or (each.nominal_on not in runs and not _counts(autopay, each))
        ):
            continue
        if is_off:
            reason = "Off"
        elif any(
            _covers(pause, on)
            for pause in autopay.pauses
            for on in (each.nominal_on, each.charge_on)
        ):
            reason = "Paused"
        else:
            reason = "Skipped"
        found.append((each, reason))
    return found


def _counts(autopay: AutoPay, passed: Occurrence) -> bool:
    """Tell whether a date would have been one, had nothing dropped it."""
    on = min(passed.nominal_on, passed.charge_on)
    lifted = resumed_on(autopay, on)
    found = autopay.schedule.occurrence_of(
        passed.nominal_on,
        pauses=lifted.pauses,
        skips=autopay.skips - {passed.nominal_on, passed.charge_on},
        moves=autopay.moves,
    )
    return found is not None


# -- State --------------------------------------------------------------------


def state_on(
    autopay: AutoPay, on: date, /, *, known: Known = NOTHING_KNOWN
) -> AutoPayState:
    """
    Tell what *autopay* does on a date (S14).

    Dates alone decide if nothing is known: an invoice plan that is paid off
    still counts as active then, as it comes back to life if a return reopens
    the invoice (S7).
    """
    check_date(on, "on")
    if is_off_on(autopay, on):
        return AutoPayState.OFF
    if _is_to_come(autopay, on, known):
        return AutoPayState.NOT_STARTED
    resumed = resumed_on(autopay, on)
    if upcoming(resumed, on, known=known) is None:
        back = attrs.evolve(known, gone=_long_gone(known, on))
        if known.gone and upcoming(resumed, on, known=back) is not None:
            return AutoPayState.GONE
        return AutoPayState.ENDED
    if any(_covers(pause, on) for pause in autopay.pauses):
        return AutoPayState.PAUSED
    return AutoPayState.NEEDS_ATTENTION if known.holds else AutoPayState.ACTIVE


def _is_to_come(autopay: AutoPay, on: date, known: Known) -> bool:
    """Tell whether the first date of what is enrolled lies ahead."""
    if known.payments or on >= begins_on(autopay):
        return False
    return not autopay.enrollments or _horizon(autopay, known) > on


def is_off_on(autopay: AutoPay, on: date) -> bool:
    return autopay.off_from is not None and on >= autopay.off_from


def _covers(pause: Pause, on: date) -> bool:
    return pause.from_on <= on and (pause.to_on is None or on < pause.to_on)


def _long_gone(known: Known, on: date) -> Mapping[str, date]:
    """Return what has been gone for so long that it will not come back."""
    return {
        number: since
        for number, since in known.gone.items()
        if (on - since).days >= GONE_DAYS
    }


def resumed_on(autopay: AutoPay, on: date) -> AutoPay:
    """Return the order as it is if every pause is lifted on a day."""
    if not autopay.pauses:
        return autopay
    pauses = tuple(
        Pause(
            from_on=each.from_on,
            to_on=on if each.to_on is None else min(each.to_on, on),
        )
        for each in autopay.pauses
        if each.from_on < on
    )
    return attrs.evolve(autopay, pauses=pauses)


def begins_on(autopay: AutoPay) -> date:
    """Return the charge date of the first occurrence, paused or not."""
    return min(
        (_begins_on(each, autopay) for each in autopay.enrollments),
        default=autopay.schedule.first.charge_on,
    )


def _begins_on(enrollment: Enrollment, autopay: AutoPay) -> date:
    schedule = autopay.schedule
    if enrollment.association.level is Level.INVOICE:
        start = first_nominal(schedule, enrollment.since)
    else:
        start = min(enrollment.years_from, default=None)
    if start is None:
        return date.max
    first = schedule.occurrence_of(start, moves=autopay.moves)
    # A year begins when it was agreed, whatever the schedule has become.
    return start if first is None else first.charge_on


# -- The end ------------------------------------------------------------------


def reached(autopay: AutoPay, known: Known) -> Ending | None:
    """Return which agreement has been fulfilled, if one has (S8)."""
    if autopay.payments is not None and known.payments >= autopay.payments:
        return Ending.PAYMENTS
    limit = autopay.limit
    if limit.lifetime is None or known.spent is None:
        return None
    left = limit.lifetime - known.spent.lifetime
    if not left.is_positive or (
        limit.minimum is not None and left < limit.minimum
    ):
        return Ending.LIFETIME
    return None


def ends_on(
    autopay: AutoPay, /, *, known: Known = NOTHING_KNOWN
) -> date | None:
    """
    Return the first day from which *autopay* has ended, if that is certain.

    The earliest of its ends: the day on which it is turned off; the end of
    its last year, or the day after the last charge of a schedule that ends
    sooner; the day after an agreed total, or number of payments, was reached;
    the day on which the last plan was paid off (S7, S8). None if it holds an
    invoice plan, which only its balance ends, and nothing else ends it.

    A pause does not bring the end nearer: it may be lifted at any time.
    """
    ends = [
        each
        for each in (autopay.off_from, own_end(autopay, known)[0])
        if each is not None
    ]
    if reached(autopay, known) and known.latest_on is not None:
        ends.append(known.latest_on + _DAY)
    return min(ends, default=None)


def ending(
    autopay: AutoPay, on: date, /, *, known: Known = NOTHING_KNOWN
) -> Ending | None:
    """Tell why *autopay* is off or has ended by a date, None if it has not."""
    state = state_on(autopay, on, known=known)
    if state is AutoPayState.OFF:
        return Ending.OFF
    if state is not AutoPayState.ENDED:
        return None
    return reached(autopay, known) or own_end(autopay, known)[1]


def own_end(autopay: AutoPay, known: Known) -> tuple[date | None, Ending]:
    """Return when enrolments and schedule come to their end, and why."""
    schedule, plans_end, has_plans = autopay.schedule, date.min, False
    year_ends: list[date] = []
    for each in autopay.enrollments:
        invoice = each.association.invoice
        if invoice is None:
            year_ends.extend(end for _, end in years(each, schedule))
            continue
        has_plans = True
        if invoice in known.paid_off:
            plan_ends = known.paid_off[invoice]
        elif invoice in known.gone:
            plan_ends = known.gone[invoice] + GONE_DAYS * _DAY
        else:
            plan_ends = date.max
        plans_end = max(plans_end, plan_ends)
    if not year_ends and not has_plans:
        return None, Ending.NOTHING_ENROLLED
    stops_on = _stops_on(autopay)
    if plans_end == date.max:
        return stops_on, Ending.SCHEDULE
    end, why = plans_end, Ending.PLANS
    if year_ends:
        years_end = year_end(autopay, max(year_ends))
        if years_end >= plans_end:
            end, why = years_end, Ending.YEAR
    if stops_on is not None and stops_on < end:
        return stops_on, Ending.SCHEDULE
    return end, why


def year_end(autopay: AutoPay, end: date) -> date:
    """Return the first day on which nothing named before *end* is charged."""
    last = _last_charge(autopay, end)
    return end if last is None else max(end, last + _DAY)


def _stops_on(autopay: AutoPay) -> date | None:
    """Return the day after the last date of a schedule that ends by itself."""
    schedule = autopay.schedule
    if (
        schedule.kind is not ScheduleKind.ONCE
        and schedule.until is None
        and schedule.count is None
    ):
        return None
    last = _last_charge(autopay, DATE_MAX)
    if last is None:
        return schedule.first.charge_on + _DAY
    # Until further notice, what is counted has no last date.
    return None if last >= _FAR else last + _DAY


_FAR: Final = DATE_MAX - timedelta(days=366)


def _last_charge(autopay: AutoPay, before: date) -> date | None:
    """
    Return the last charge date before a nominal one, however pauses go on.

    A pause that lasts moves the end of what is counted away, and one that is
    lifted gives back what it would have dropped.
    """
    schedule = autopay.schedule
    ways: list[tuple[Pause, ...]] = [autopay.pauses]
    if autopay.pauses:
        # Lifted just in time for the last date of all.
        rule = attrs.evolve(schedule, count=None)
        last = rule.last_before(before, moves=autopay.moves)
        if last is not None:
            lifted_on = min(last.nominal_on, last.charge_on)
            ways.append(resumed_on(autopay, lifted_on).pauses)
    found = [
        schedule.last_before(
            before, pauses=way, skips=autopay.skips, moves=autopay.moves
        )
        for way in ways
    ]
    return max((each.charge_on for each in found if each), default=None)
