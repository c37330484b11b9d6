"""
The standing order: what an auto-pay is, and when it is due (S6 to S8, S11).

Holds: `AutoPay`, `Enrollment`, `AdvanceNotice`, and the functions that tell
its state at a date, what is due, and what to tell about it. Imports: the
values.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    check_date,
    check_each,
    check_type,
    optional,
    tuple_of,
)
from autopay_core.allocation import Order
from autopay_core.associations import Association, Level, check_owned
from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind, notice_for_autopay
from autopay_core.references import (
    AutoPayId,
    DepositAccount,
    PayerId,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import (
    MissedPolicy,
    Occurrence,
    Pause,
    Schedule,
    one_year_after,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "AdvanceNotice",
    "AutoPay",
    "AutoPayState",
    "Enrollment",
    "autopay_notices",
    "due",
    "ends_on",
    "in_force",
    "occurrence_on",
    "renew",
    "state_on",
    "upcoming",
    "years",
]

_NOTICE_DAYS_MOST: Final = 90
_DAY: Final = timedelta(days=1)
_ROLL_MOST: Final = timedelta(days=31)  # no roll moves a date further (S9)
_EXPIRY_DAYS: Final = 30
_ENDING_DAYS: Final = (30, 7)
# A sweep that was down may tell late, but not for ever.
_TOLD_DAYS: Final = 30


def _ascending(
    _: object, field: attrs.Attribute[Any], value: tuple[date, ...]
) -> None:
    check_each(value, date, field.name)
    for place, each in enumerate(value):
        check_date(each, f"{field.name}[{place}]")
    if list(value) != sorted(set(value)):
        raise InvalidValueError(
            "each renewal comes after the one before",
            code="RenewalOrder",
            path=field.name,
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Enrollment(Readable):
    """
    An association put into an auto-pay.

    At client and matter level it runs for one year from its first occurrence
    (S6); each renewal starts another year. At invoice level it is a payment
    plan without a year, which ends when the invoice is paid off (S7).

    Attributes:
        association: What is enrolled.
        since: First day on which it takes part; None from the start of the
            schedule.
        renewals: Days from which another year runs, ascending.

    """

    association: Association = attrs.field(validator=a(Association))
    since: date | None = attrs.field(default=None, validator=optional(a_date))
    renewals: tuple[date, ...] = attrs.field(default=(), validator=_ascending)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class AdvanceNotice(Readable):
    """
    Announce amount and date before a varying debit (N4).

    Attributes:
        days: How long ahead; 10 for a consumer's bank account in the US.
        least: Lower end of the agreed range, or None.
        most: Upper end; an amount within the range needs no announcement.

    Source:
        12 CFR 1005.10(d).

    """

    days: int = attrs.field(
        default=10, validator=a_number(1, _NOTICE_DAYS_MOST)
    )
    least: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    most: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse half a range, and one that is upside down."""
        if (self.least is None) != (self.most is None):
            raise InvalidValueError(
                "a range has two ends", code="FieldMissing", path="most"
            )
        if (
            self.least is not None
            and self.most is not None
            and self.most < self.least
        ):
            raise InvalidValueError(
                "the range is upside down",
                code="OutOfRange",
                path="most",
                value=str(self.most),
            )

    def allows(self, amount: Money, /) -> bool:
        """Tell whether *amount* is within the agreed range."""
        return (
            self.least is not None
            and self.most is not None
            and self.least <= amount <= self.most
        )


def _enrolled(
    values: Iterable[Enrollment | Association],
) -> tuple[Enrollment, ...]:
    """Let an association stand for its enrolment from the start."""
    if not isinstance(values, (tuple, list, frozenset)):
        raise InvalidValueError(
            "expected the enrolments as a tuple",
            code="FieldType",
            path="enrollments",
            value=values,
        )
    return tuple(
        Enrollment(association=each) if isinstance(each, Association) else each
        for each in values
    )


def _dates(
    _: object, field: attrs.Attribute[Any], value: frozenset[date]
) -> None:
    check_type(value, frozenset, field.name)
    for each in value:
        check_date(each, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class AutoPay(Readable):
    """
    A payer's standing order to pay the open invoices of what is enrolled.

    Attributes:
        id: Identifies it; part of every run's identity (R2).
        payer: Who pays.
        name: For people; not empty.
        method: The saved payment method that is charged.
        deposit_account: The firm's account that receives the money; only
            invoices of its kind take part (L6).
        schedule: When it runs.
        limit: Pay all outstanding, or up to an amount per run.
        enrollments: What is paid; an `Association` stands for its enrolment
            from the start. Empty pays nothing (A3).
        ar_message: Goes with every posting to the firm's ledger.
        order: By invoice date, or by due date (L2).
        pauses: Stretches of nominal dates that are dropped (S11).
        skips: Nominal dates that are dropped (S11).
        missed: What to do about runs that were missed (S12).
        off_from: First day on which it is turned off, or None.
        retry: How a decline is retried; None never (N3).
        advance_notice: How debits are announced; None never (N4).

    Raises:
        InvalidValueError: A field that cannot be, with its path.

    """

    id: AutoPayId | str = attrs.field(validator=an_id)
    payer: PayerId | str = attrs.field(validator=an_id)
    name: str = attrs.field(validator=a_text(most=200, empty=False))
    method: PaymentMethodRef = attrs.field(
        validator=a(PaymentMethodRef, code="PaymentMethodInvalid")
    )
    deposit_account: DepositAccount = attrs.field(validator=a(DepositAccount))
    schedule: Schedule = attrs.field(
        validator=a(Schedule, code="ScheduleNotFound")
    )
    limit: Limit = attrs.field(validator=a(Limit, code="CapMissing"))
    enrollments: tuple[Enrollment, ...] = attrs.field(
        converter=_enrolled, validator=tuple_of(Enrollment)
    )
    ar_message: str = attrs.field(default="", validator=a_text())
    order: Order = attrs.field(default=Order.ISSUED, validator=a(Order))
    pauses: tuple[Pause, ...] = attrs.field(
        default=(), validator=tuple_of(Pause)
    )
    skips: frozenset[date] = attrs.field(
        default=frozenset[date](), validator=_dates
    )
    missed: MissedPolicy = attrs.field(
        default=MissedPolicy.LATEST, validator=a(MissedPolicy)
    )
    off_from: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )
    retry: RetryPolicy | None = attrs.field(
        default=None, validator=optional(a(RetryPolicy))
    )
    advance_notice: AdvanceNotice | None = attrs.field(
        default=None, validator=optional(a(AdvanceNotice))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what belongs to another payer, or to another currency."""
        check_owned(
            [each.association for each in self.enrollments],
            self.payer,
            "enrollments",
        )
        if self.advance_notice is not None:
            most = self.advance_notice.most
            if most is not None and most.currency != self.limit.currency:
                raise CurrencyMismatchError(
                    self.limit.currency, most.currency, path="advance_notice"
                )


class AutoPayState(Choice):
    """What an auto-pay does at a date."""

    NOT_STARTED = "not_started"
    """Its first date is still to come."""
    ACTIVE = "active"
    """It runs."""
    PAUSED = "paused"
    """It rests, and goes on after."""
    OFF = "off"
    """It was turned off."""
    ENDED = "ended"
    """No date of it is left."""


def years(
    enrollment: Enrollment, schedule: Schedule, /
) -> tuple[tuple[date, date], ...]:
    """
    Return the years of a client- or matter-level enrolment (S6).

    Each is a half-open window of nominal dates: from the first occurrence on
    or after its start, for twelve months. An invoice-level enrolment has no
    years (S7): the result is empty.
    """
    if enrollment.association.level is Level.INVOICE:
        return ()
    windows: list[tuple[date, date]] = []
    for start in (enrollment.since, *enrollment.renewals):
        first_on = _first_nominal(schedule, start)
        if first_on is not None:
            windows.append((first_on, one_year_after(first_on)))
    return tuple(windows)


def _first_nominal(schedule: Schedule, start: date | None) -> date | None:
    if start is None:
        return schedule.first.nominal_on
    begin = max(start - _ROLL_MOST, schedule.first_on)
    for each in schedule.occurrences(begin):
        if each.nominal_on >= start:
            return each.nominal_on
    return None


def in_force(autopay: AutoPay, nominal_on: date, /) -> tuple[Association, ...]:
    """
    Return the associations whose enrolment runs on a nominal date (S6 to S8).

    An invoice plan is among them however late it is: whether it is paid off
    shows in the balance (S7).
    """
    return tuple(
        each.association
        for each in autopay.enrollments
        if _runs_on(each, autopay.schedule, nominal_on)
    )


def _runs_on(
    enrollment: Enrollment, schedule: Schedule, nominal_on: date
) -> bool:
    if enrollment.association.level is Level.INVOICE:
        return enrollment.since is None or nominal_on >= enrollment.since
    return any(
        start <= nominal_on < end for start, end in years(enrollment, schedule)
    )


def ends_on(autopay: AutoPay, /) -> date | None:
    """
    Return the first day outside the last year of *autopay* (S8).

    None if it holds an invoice plan, which only its balance ends. A schedule
    with an end of its own may stop sooner.
    """
    ends: list[date] = []
    for each in autopay.enrollments:
        if each.association.level is Level.INVOICE:
            return None
        ends.extend(end for _, end in years(each, autopay.schedule))
    return max(ends, default=None)


def state_on(autopay: AutoPay, on: date, /) -> AutoPayState:
    """
    Tell what *autopay* does on a date, as far as dates decide.

    An invoice plan that is paid off still counts as active: it comes back to
    life if a return reopens the invoice (S7).
    """
    check_date(on, "on")
    if autopay.off_from is not None and on >= autopay.off_from:
        return AutoPayState.OFF
    if on < autopay.schedule.first.charge_on:
        return AutoPayState.NOT_STARTED
    # Where occurrences are counted, a skip brings one that comes later (S11).
    unpaused = attrs.evolve(autopay, pauses=(), skips=frozenset())
    if upcoming(unpaused, on) is None and upcoming(autopay, on) is None:
        return AutoPayState.ENDED
    for pause in autopay.pauses:
        if pause.from_on <= on and (pause.to_on is None or on < pause.to_on):
            return AutoPayState.PAUSED
    return AutoPayState.ACTIVE


def _active(
    autopay: AutoPay, on_or_after: date | None, before: date | None
) -> Iterator[Occurrence]:
    """Return what the schedule gives, without what is paused or skipped."""
    return autopay.schedule.occurrences(
        on_or_after, before, pauses=autopay.pauses, skips=autopay.skips
    )


def upcoming(autopay: AutoPay, on_or_after: date, /) -> Occurrence | None:
    """
    Return the next occurrence that will run, by charge date, or None.

    Enrolments that have ended, pauses, skips and turning off are respected.
    """
    check_date(on_or_after, "on_or_after")
    last_end = ends_on(autopay)
    if not autopay.enrollments:
        return None
    for each in _active(autopay, on_or_after, autopay.off_from):
        if last_end is not None and each.nominal_on >= last_end:
            return None
        if in_force(autopay, each.nominal_on):
            return each
    return None


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
    found = autopay.schedule.previous_on_or_before(
        on, pauses=autopay.pauses, skips=autopay.skips
    )
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


def due(
    autopay: AutoPay, as_of: date, /, *, after: date | None = None
) -> Sequence[Occurrence]:
    """
    Return what has fallen due and is not on record, ascending (S12).

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        after: Nominal date of the latest run on record, or None.

    """
    check_date(as_of, "as_of")
    begin = None
    if after is not None:
        known = autopay.schedule.occurrence_of(after)
        begin = after - _ROLL_MOST if known is None else known.charge_on
    until = as_of + _DAY
    if autopay.off_from is not None:
        until = min(until, autopay.off_from)
    return [
        each
        for each in _active(autopay, begin, until)
        if (after is None or each.nominal_on > after)
        and (not autopay.enrollments or in_force(autopay, each.nominal_on))
    ]


def renew(autopay: AutoPay, on: date, /) -> AutoPay:
    """
    Start another year of every client- and matter-level enrolment (S6).

    Args:
        autopay: The standing order.
        on: First day of the new year; usually where the old one ends,
            `ends_on`. The year counts from the first occurrence on or after.

    """
    check_date(on, "on")
    return attrs.evolve(
        autopay,
        enrollments=tuple(
            each
            if each.association.level is Level.INVOICE
            else attrs.evolve(each, renewals=(*each.renewals, on))
            for each in autopay.enrollments
        ),
    )


def autopay_notices(autopay: AutoPay, as_of: date, /) -> tuple[Notice, ...]:
    """
    Make what is to be told about *autopay* itself on a date (N2).

    Ending soon (30 and 7 days before the year is up), ended, paused,
    resumed, and a payment method that expires. The same notice has the same
    key on every day, so it is told once.
    """
    check_date(as_of, "as_of")
    return tuple(
        notice_for_autopay(
            kind,
            autopay.id,
            payer=autopay.payer,
            on=on,
            name=autopay.name,
            reason=kind.name.title().replace("_", ""),
            detail=detail,
            occasion=occasion,
        )
        for kind, on, detail, occasion in (
            *_about_its_end(autopay, as_of),
            *_about_pauses(autopay, as_of),
            *_about_its_method(autopay, as_of),
        )
    )


_Told: TypeAlias = tuple[NoticeKind, date, str, str]
"""Kind, date, what a person reads, and what keeps it apart from others."""


def _about_its_end(autopay: AutoPay, as_of: date) -> Iterator[_Told]:
    end, off_from = ends_on(autopay), autopay.off_from
    if off_from is not None and (end is None or off_from < end):
        if 0 <= (as_of - off_from).days < _TOLD_DAYS:
            yield NoticeKind.ENDED, off_from, "It was turned off.", ""
        return
    # What the schedule ends by itself, no renewal carries on.
    last = autopay.schedule.previous_on_or_before(DATE_MAX)
    stops_on = (last or autopay.schedule.first).nominal_on + _DAY
    if end is None or stops_on < end:
        if 0 <= (as_of - stops_on).days < _TOLD_DAYS:
            detail = "Its schedule has come to its end."
            yield NoticeKind.ENDED, stops_on, detail, ""
        return
    left = (end - as_of).days
    if -_TOLD_DAYS < left <= 0:
        detail = "Its year is up; renew it to go on."
        yield NoticeKind.ENDED, end, detail, ""
    # The shortest stretch that has begun: 7 days before, not 30 again.
    for days in sorted(_ENDING_DAYS):
        if 0 < left <= days:
            detail = f"It ends on {end}."
            yield NoticeKind.ENDING_SOON, end, detail, str(days)
            break


def _about_pauses(autopay: AutoPay, as_of: date) -> Iterator[_Told]:
    if autopay.off_from is not None and as_of >= autopay.off_from:
        return
    for pause in autopay.pauses:
        if 0 <= (as_of - pause.from_on).days < _TOLD_DAYS and (
            pause.to_on is None or as_of < pause.to_on
        ):
            until = "" if pause.to_on is None else f" until {pause.to_on}"
            yield NoticeKind.PAUSED, pause.from_on, f"It rests{until}.", ""
        elif (
            pause.to_on is not None
            and 0 <= (as_of - pause.to_on).days < _TOLD_DAYS
        ):
            yield NoticeKind.RESUMED, pause.to_on, "It runs again.", ""


def _about_its_method(autopay: AutoPay, as_of: date) -> Iterator[_Told]:
    expires_on = autopay.method.expires_on
    if expires_on is None or not (
        -_TOLD_DAYS < (expires_on - as_of).days <= _EXPIRY_DAYS
    ):
        return
    detail = (
        f"Payment method {autopay.method.masked} works until {expires_on}; "
        "save another one."
    )
    yield NoticeKind.METHOD_EXPIRING, expires_on, detail, ""
