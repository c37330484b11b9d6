"""
The standing order as a value (S6, S11, S15, N4).

Holds: `AutoPay`, `Enrollment`, `AdvanceNotice`, and `pinned`, which gives an
enrolment its years. Imports: the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Readable,
    ReadOnly,
    a,
    a_date,
    a_new_id,
    a_new_text,
    a_number,
    check_date,
    check_each,
    check_type,
    keep_plain_dates,
    optional,
    plain_date,
    some_of,
    tuple_of,
)
from autopay_core._shown import Shown
from autopay_core.allocation import Order
from autopay_core.associations import Association, Level, check_owned
from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    AutoPayId,
    DepositAccount,
    PayerId,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import (
    COUNT_MAX,
    MissedPolicy,
    Pause,
    Schedule,
)
from autopay_core.selections import Selection

__all__ = ["AdvanceNotice", "AutoPay", "Enrollment", "pinned"]

_NOTICE_DAYS_MOST: Final = 90
_NO_MOVES: Final[Mapping[date, date]] = ReadOnly[date, date]({})
_ROLL_MOST: Final = timedelta(days=31)  # no roll moves a date further (S9)


def _ascending(
    instance: object, field: attrs.Attribute[Any], value: tuple[date, ...]
) -> None:
    if type(value) is tuple and not value:
        return
    check_each(value, date, field.name)
    for place, each in enumerate(value):
        check_date(each, f"{field.name}[{place}]")
    keep_plain_dates(instance, field, value)
    if list(value) != sorted(set(value)):
        raise InvalidValueError(
            "each day comes after the one before",
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
        years_from: First nominal date of each of its years, ascending. An
            `AutoPay` fills it in when it is made and then leaves it alone:
            another schedule grants no other year.

    """

    association: Association = attrs.field(validator=a(Association))
    since: date | None = attrs.field(default=None, validator=optional(a_date))
    renewals: tuple[date, ...] = attrs.field(default=(), validator=_ascending)
    years_from: tuple[date, ...] = attrs.field(
        default=(), validator=_ascending
    )


def pinned(enrollment: Enrollment, schedule: Schedule, /) -> Enrollment:
    """
    Return an enrolment with the years that are agreed (S6).

    What it has stays. A year that is missing begins with the first occurrence
    on or after its start; none if the schedule has ended by then.
    """
    if enrollment.association.level is Level.INVOICE:
        return enrollment
    known = enrollment.years_from
    if not known:
        starts = (enrollment.since, *enrollment.renewals)
    elif enrollment.renewals and enrollment.renewals[-1] > known[-1]:
        starts = tuple(
            each for each in enrollment.renewals if each > known[-1]
        )
    else:
        return enrollment
    found = {
        first
        for start in starts
        if (first := first_nominal(schedule, start)) is not None
    }
    return attrs.evolve(enrollment, years_from=tuple(sorted({*known, *found})))


def first_nominal(schedule: Schedule, start: date | None) -> date | None:
    """Return the first nominal date from *start* on, None for the first."""
    if start is None:
        return schedule.first.nominal_on
    begin = max(start - _ROLL_MOST, schedule.first_on)
    for each in schedule.occurrences(begin):
        if each.nominal_on >= start:
            return each.nominal_on
    return None


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


def _moves(value: Mapping[date, date]) -> Mapping[date, date]:
    """Keep what was moved, in order and for good."""
    check_type(value, Mapping, "moves")
    if not value:
        return _NO_MOVES
    plain = {
        plain_date(each, "moves"): plain_date(to, "moves")
        for each, to in value.items()
    }
    return ReadOnly({each: plain[each] for each in sorted(plain)})


def _dates(
    instance: object, field: attrs.Attribute[Any], value: frozenset[date]
) -> None:
    check_type(value, frozenset, field.name)
    for each in value:
        check_date(each, field.name)
    keep_plain_dates(instance, field, value)


def _with_its_token(
    _: object,
    field: attrs.Attribute[PaymentMethodRef],
    value: PaymentMethodRef,
) -> None:
    """Refuse what is only remembered of a method: nothing charges it (T3)."""
    if value.known_as:
        raise InvalidValueError(
            "the token of this payment method is kept no longer; take the "
            "method from where the host keeps it",
            code="PaymentMethodForgotten",
            path=f"{field.name}.known_as",
            value=value.masked,
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class AutoPay(Shown):
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
        pauses: Stretches of dates that are dropped (S11).
        skips: Dates that are dropped, by the nominal or the charge date
            (S11).
        moves: Other charge dates, by nominal date (S15).
        missed: What to do about runs that were missed (S12).
        off_from: First day on which it is turned off, or None.
        retry: How a decline is retried; None never (N3).
        advance_notice: How debits are announced; None never (N4).
        payments: It ends when so many payments were collected and not
            returned (S8); None for no such end.
        tell_nothing_due: Whether people are told of a date on which nothing
            was due (N2).
        selection: Which of the invoices that are enrolled take part (L8);
            None for all.

    A pause, a skip or a move that names no date of the schedule is kept, and
    passed over; `edit` says so to the person who makes it.

    Raises:
        InvalidValueError: A field that cannot be, with its path.

    """

    id: AutoPayId | str = attrs.field(validator=a_new_id)
    payer: PayerId | str = attrs.field(validator=a_new_id)
    name: str = attrs.field(validator=a_new_text(most=200, empty=False))
    method: PaymentMethodRef = attrs.field(
        validator=[
            a(PaymentMethodRef, code="PaymentMethodInvalid"),
            _with_its_token,
        ]
    )
    deposit_account: DepositAccount = attrs.field(validator=a(DepositAccount))
    schedule: Schedule = attrs.field(
        validator=a(Schedule, code="ScheduleNotFound")
    )
    limit: Limit = attrs.field(validator=a(Limit, code="CapMissing"))
    enrollments: tuple[Enrollment, ...] = attrs.field(
        converter=_enrolled, validator=tuple_of(Enrollment)
    )
    ar_message: str = attrs.field(default="", validator=a_new_text())
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
    moves: Mapping[date, date] = attrs.field(
        default=_NO_MOVES, converter=_moves
    )
    payments: int | None = attrs.field(
        default=None, validator=optional(a_number(1, COUNT_MAX))
    )
    tell_nothing_due: bool = attrs.field(default=False, validator=a(bool))
    selection: Selection | None = attrs.field(
        default=None, validator=optional(a(Selection))
    )

    def __attrs_post_init__(self) -> None:
        """
        Refuse what belongs to another payer, or to another currency.

        What is enrolled gets its years here (S6).
        """
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
        agreed = tuple(
            pinned(each, self.schedule) for each in self.enrollments
        )
        object.__setattr__(self, "enrollments", agreed)

    def __str__(self) -> str:
        """Return it in a line, for people; `show` and notebooks have more."""
        what = some_of([str(each.association) for each in self.enrollments])
        part = "" if self.selection is None else f"; {self.selection}"
        return (
            f"{self.name} ({self.id}): {self.schedule}; {self.limit}; "
            f"{what or 'nothing is enrolled'}{part}"
        )
