"""
What people do with a standing order, each by its name (O1).

Holds: `Command`, the union of all, and its members. Imports: `_checks`,
`associations`, `autopay`, `errors`, `limits`, `references`, `schedules`. Each
asks `autopay.try_edit`, `renew` or `turn_on`, which keep S6, S11 and S15;
there is no second rule here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, TypeAlias, cast, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_date,
    check_type,
    optional,
    tuple_of,
)
from autopay_core.associations import Association
from autopay_core.autopay import (
    AutoPay,
    Edited,
    Enrollment,
    Known,
    renew,
    try_edit,
    turn_on,
    years,
)
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.schedules import Pause, Schedule

__all__ = [
    "ChangeAccount",
    "ChangeLimit",
    "ChangeMessage",
    "ChangeMethod",
    "ChangeName",
    "ChangeRules",
    "ChangeSchedule",
    "Command",
    "Enroll",
    "Leave",
    "MoveDate",
    "PauseDates",
    "Renew",
    "Resume",
    "Situation",
    "Skip",
    "TurnOff",
    "TurnOn",
]


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Situation(Readable):
    """
    What a command meets.

    Attributes:
        autopay: The standing order as it stands.
        as_of: The date that the caller calls today.
        known: What is on record of it.
        left: What was enrolled once and is not now.

    """

    autopay: AutoPay
    as_of: date
    known: Known
    left: tuple[Enrollment, ...] = ()

    def edit(self, *, collect_again: bool = False, **changes: Any) -> Edited:  # noqa: ANN401 - the fields of an AutoPay
        """Return what `autopay.try_edit` makes of it."""
        return try_edit(
            self.autopay,
            as_of=self.as_of,
            known=self.known,
            collect_again=collect_again,
            **changes,
        )


# -- What is enrolled ---------------------------------------------------------


@final
@attrs.frozen(repr=False, eq=False)
class Enroll(Readable):
    """
    Put associations into a standing order.

    What is enrolled already stays as it is. What was enrolled before, and
    whose year is not over, goes on with that year: leaving and coming back
    grants no other (S6).
    """

    associations: tuple[Association, ...] = attrs.field(
        validator=tuple_of(Association)
    )

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        known = {each.association for each in now.autopay.enrollments}
        left = {each.association: each for each in now.left}
        new = [
            _with_its_year(each, left.get(each), now)
            for each in dict.fromkeys(self.associations)
            if each not in known
        ]
        edited = now.edit(enrollments=(*now.autopay.enrollments, *new))
        back = {each.association: each for each in new if each.years_from}
        if not back:
            return edited
        # An edit would start the year of what it does not know anew.
        return attrs.evolve(
            edited,
            autopay=attrs.evolve(
                edited.autopay,
                enrollments=tuple(
                    back.get(each.association, each)
                    for each in edited.autopay.enrollments
                ),
            ),
        )


def _with_its_year(
    association: Association, left: Enrollment | None, now: Situation
) -> Enrollment:
    """Return an enrolment as it was, while its year runs (S6)."""
    windows = () if left is None else years(left, now.autopay.schedule)
    if (
        left is not None
        and windows
        and windows[0][0] <= now.as_of < windows[-1][1]
    ):
        return left
    return Enrollment(association=association)


@final
@attrs.frozen(repr=False, eq=False)
class Leave(Readable):
    """
    Take associations out of a standing order.

    Raises:
        InvalidValueError: One is not enrolled (``NotEnrolled``).

    """

    associations: tuple[Association, ...] = attrs.field(
        validator=tuple_of(Association)
    )

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        known = {each.association for each in now.autopay.enrollments}
        for place, each in enumerate(self.associations):
            if each not in known:
                raise InvalidValueError(
                    "it is not enrolled",
                    code="NotEnrolled",
                    path=f"associations[{place}]",
                    value=each.invoice or each.matter or each.client,
                )
        return now.edit(
            enrollments=tuple(
                each
                for each in now.autopay.enrollments
                if each.association not in self.associations
            )
        )


# -- What it says -------------------------------------------------------------


@final
@attrs.frozen(repr=False, eq=False)
class ChangeName(Readable):
    """Call a standing order otherwise."""

    name: str

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(name=self.name)


@final
@attrs.frozen(repr=False, eq=False)
class ChangeLimit(Readable):
    """Pay up to another amount, or all."""

    limit: Limit = attrs.field(validator=a(Limit, code="CapMissing"))

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(limit=self.limit)


@final
@attrs.frozen(repr=False, eq=False)
class ChangeMethod(Readable):
    """Charge another saved payment method."""

    method: PaymentMethodRef = attrs.field(
        validator=a(PaymentMethodRef, code="PaymentMethodInvalid")
    )

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(method=self.method)


@final
@attrs.frozen(repr=False, eq=False)
class ChangeAccount(Readable):
    """Collect into another account of the firm."""

    deposit_account: DepositAccount = attrs.field(validator=a(DepositAccount))

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(deposit_account=self.deposit_account)


@final
@attrs.frozen(repr=False, eq=False)
class ChangeMessage(Readable):
    """Send another text with the postings to the firm's ledger."""

    ar_message: str

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(ar_message=self.ar_message)


@final
@attrs.frozen(repr=False, eq=False)
class ChangeSchedule(Readable):
    """
    Run on other dates (S6, S15).

    Attributes:
        schedule: The new one.
        collect_again: Whether a week, half month or month that was collected
            already is collected by the new schedule too.

    """

    schedule: Schedule = attrs.field(
        validator=a(Schedule, code="ScheduleNotFound")
    )
    collect_again: bool = attrs.field(
        default=False, validator=a(bool), kw_only=True
    )

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(
            schedule=self.schedule, collect_again=self.collect_again
        )


_RULES: Final = frozenset(
    {
        "order",
        "missed",
        "retry",
        "advance_notice",
        "payments",
        "tell_nothing_due",
        "selection",
    }
)


def _some_rules(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_type(value, Mapping, field.name)
    for name in cast("Mapping[object, object]", value):
        if name not in _RULES:
            raise InvalidValueError(
                f"expected some of {', '.join(sorted(_RULES))}",
                code="UnknownField",
                path=field.name,
                value=name,
            )


@final
@attrs.frozen(repr=False, eq=False)
class ChangeRules(Readable):
    """
    Change how a standing order goes about it.

    Attributes:
        rules: By name, some of the fields ``order``, ``missed``, ``retry``,
            ``advance_notice``, ``payments``, ``tell_nothing_due`` and
            ``selection`` of an `AutoPay`.

    """

    rules: Mapping[str, Any] = attrs.field(validator=_some_rules)

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(**self.rules)


# -- Dates --------------------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PauseDates(Readable):
    """
    Let the dates of a stretch fall away; nothing of it is made up (S11).

    Attributes:
        from_on: Its first day.
        to_on: The first day after it; None until somebody resumes.

    """

    from_on: date = attrs.field(validator=a_date)
    to_on: date | None = attrs.field(default=None, validator=optional(a_date))

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        pause = Pause(from_on=self.from_on, to_on=self.to_on)
        pauses = now.autopay.pauses
        if pause in pauses:
            return Edited(autopay=now.autopay)
        # One that began on the same day gets another end.
        others = (each for each in pauses if each.from_on != pause.from_on)
        return now.edit(pauses=(*others, pause))


@final
@attrs.frozen(repr=False, eq=False)
class Resume(Readable):
    """Go on today with an order that is paused; nothing is made up (S11)."""

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        pauses: list[Pause] = []
        for each in now.autopay.pauses:
            if not _covers(each, now.as_of):
                pauses.append(each)
            elif each.from_on < now.as_of:
                pauses.append(attrs.evolve(each, to_on=now.as_of))
        return now.edit(pauses=tuple(pauses))


def _covers(pause: Pause, on: date) -> bool:
    return pause.from_on <= on and (pause.to_on is None or on < pause.to_on)


@final
@attrs.frozen(repr=False, eq=False)
class Skip(Readable):
    """
    Let one date fall away (S11).

    Attributes:
        on: Its nominal or its charge date.

    """

    on: date = attrs.field(validator=a_date)

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(skips=now.autopay.skips | {self.on})


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class MoveDate(Readable):
    """
    Charge one date on another day (S15).

    Attributes:
        on: Its nominal or its charge date.
        to: The day on which it is charged instead.

    """

    on: date = attrs.field(validator=a_date)
    to: date = attrs.field(validator=a_date)

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return now.edit(moves={**now.autopay.moves, self.on: self.to})


@final
@attrs.frozen(repr=False, eq=False)
class TurnOff(Readable):
    """
    Turn a standing order off.

    Attributes:
        from_on: First day on which it is off; None for today. Not before
            today.

    """

    from_on: date | None = attrs.field(
        default=None, validator=optional(a_date)
    )

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        from_on = max(self.from_on or now.as_of, now.as_of)
        off_from = now.autopay.off_from
        if off_from is not None and off_from <= from_on:
            return Edited(autopay=now.autopay)
        return now.edit(off_from=from_on)


@final
@attrs.frozen(repr=False, eq=False)
class TurnOn(Readable):
    """Turn a standing order on again; nothing is made up (S11)."""

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return Edited(autopay=turn_on(now.autopay, now.as_of))


@final
@attrs.frozen(repr=False, eq=False)
class Renew(Readable):
    """
    Start another year of what is enrolled (S6).

    Raises:
        InvalidValueError: As `autopay.renew`.

    """

    def apply(self, now: Situation, /) -> Edited:
        """Return what becomes of the order."""
        return Edited(autopay=renew(now.autopay, now.as_of))


Command: TypeAlias = (
    Enroll
    | Leave
    | ChangeName
    | ChangeLimit
    | ChangeMethod
    | ChangeAccount
    | ChangeMessage
    | ChangeSchedule
    | ChangeRules
    | PauseDates
    | Resume
    | Skip
    | MoveDate
    | TurnOff
    | TurnOn
    | Renew
)
"""Whatever is done with a standing order that is in the book."""
