"""
Changes of a standing order that grant and lose nothing (S6, S11, S15).

Holds: `edit` and `try_edit` with its answer `Edited`, `turn_on`, `renew` and
`RENEWAL_DAYS`. Imports: `_life`, `_standing` and the values. `attrs.evolve`
changes a field and asks nothing; what is here knows which day it is.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, final

import attrs

from autopay_core._checks import DATE_MIN, Readable, check_date, check_type
from autopay_core._life import (
    NOTHING_KNOWN,
    Known,
    in_force,
    is_off_on,
    latest_on,
    upcoming,
    years,
)
from autopay_core._standing import AutoPay, Enrollment, first_nominal
from autopay_core.associations import Level
from autopay_core.errors import InvalidValueError
from autopay_core.schedules import (
    Occurrence,
    Pause,
    Schedule,
    ScheduleKind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "RENEWAL_DAYS",
    "Edited",
    "edit",
    "renew",
    "try_edit",
    "turn_on",
]

RENEWAL_DAYS: Final = 60
"""How long before its end a year can be renewed (S6)."""

_DAY: Final = timedelta(days=1)
_MID_MONTH: Final = 15
_ROLL_MOST: Final = timedelta(days=31)  # no roll moves a date further (S9)
_LOOK_BACK: Final = timedelta(days=62)

# By its nature, an order is another one if it has another id or payer.
_FIXED: Final = frozenset({"id", "payer"})
_Period: TypeAlias = tuple[int, ...]


# -- Another year -------------------------------------------------------------


def renew(autopay: AutoPay, as_of: date) -> AutoPay:
    """
    Start another year of what is enrolled at client and matter level (S6).

    The new year of each enrolment starts at the end of its last one, or on
    *as_of* when that is past; it counts from the first occurrence on or after.
    An enrolment whose year has more than 60 days to go is left as it is, and
    so is an invoice plan, which has no year.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.

    Raises:
        InvalidValueError: Every year has more than 60 days to go, which is
            what a second click gets (``RenewalTooEarly``); or the schedule
            has ended by then (``ScheduleEmpty``).

    """
    check_date(as_of, "as_of")
    schedule = autopay.schedule
    ends = {
        each: max(end for _, end in found)
        for each in autopay.enrollments
        if (found := years(each, schedule))
    }
    soon = {
        each: max(end, as_of)
        for each, end in ends.items()
        if (end - as_of).days <= RENEWAL_DAYS
    }
    if ends and not soon:
        end = min(ends.values())
        raise InvalidValueError(
            f"the year ends on {end}; renew it from "
            f"{end - timedelta(days=RENEWAL_DAYS)} on",
            code="RenewalTooEarly",
            path="as_of",
            value=str(as_of),
        )
    renewed: list[Enrollment] = []
    for each in autopay.enrollments:
        if each not in soon:
            renewed.append(each)
            continue
        start = first_nominal(schedule, soon[each])
        if start is None:
            raise InvalidValueError(
                f"nothing is due from {soon[each]} on; edit the schedule "
                "before renewing",
                code="ScheduleEmpty",
                path="schedule",
                value=str(schedule.until or schedule.count),
            )
        renewed.append(
            attrs.evolve(
                each,
                renewals=(*each.renewals, soon[each]),
                years_from=(*each.years_from, start),
            )
        )
    return attrs.evolve(autopay, enrollments=tuple(renewed))


# -- On again -----------------------------------------------------------------


def turn_on(autopay: AutoPay, as_of: date, /) -> AutoPay:
    """
    Turn an order on again; the time in which it was off is a pause (S11).

    So nothing that fell into it is made up, and nothing of it uses up a
    `count`. An order that was to be turned off later just stays on; one that
    is on stays as it is.

    Args:
        autopay: The standing order.
        as_of: The first day on which it is on again.

    """
    check_date(as_of, "as_of")
    off_from = autopay.off_from
    if off_from is None:
        return autopay
    pauses = autopay.pauses
    if off_from < as_of:
        pauses = (*pauses, Pause(from_on=off_from, to_on=as_of))
    return attrs.evolve(autopay, off_from=None, pauses=pauses)


# -- Edits --------------------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Edited(Readable):
    """
    What an edit makes of an order, and what a person should hear of it.

    Attributes:
        autopay: The order as it will be.
        dropped: Skips and moves of before that name no date any more, by the
            day that a person gave; ascending.
        left_out: Dates of the new schedule that do not run, because they are
            past or their period was collected already (S15); ascending.

    """

    autopay: AutoPay
    dropped: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()


def edit(
    autopay: AutoPay,
    /,
    *,
    as_of: date | None = None,
    known: Known = NOTHING_KNOWN,
    collect_again: bool = False,
    **changes: Any,  # noqa: ANN401 - the fields of an AutoPay
) -> AutoPay:
    """
    Return *autopay* with some fields changed, as people expect it of an edit.

    >>> from autopay_core.autopay import edit
    >>> edit(autopay, as_of=date(2026, 3, 2), name="Acme")  # doctest: +SKIP

    - Until the first date of an enrolment has come, another schedule moves
      its year; afterwards nothing but `renew` does (S6). What is enrolled
      again keeps its year, what is new starts on *as_of*.
    - Of another schedule, what lies before *as_of* does not run, and neither
      does a date in the same period as one that was collected already: the
      same week, half month or month (S15).
    - A pause that has begun is cut short on *as_of* when it is taken away;
      turning on is `turn_on`. Nothing is made up (S11).
    - A new pause, skip or move that names no date to come is refused. Old
      skips and moves that name none any more are dropped: `try_edit` says
      which.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today. None if that cannot be
            said: then every year counts as begun, and no date as past.
        known: What is on record of it.
        collect_again: Whether a period that was collected already is
            collected by the new schedule too.
        changes: Fields of `AutoPay`, all but ``id`` and ``payer``.

    Raises:
        InvalidValueError: A field that cannot be, or cannot change
            (``FieldFixed``); a pause or a skip that matches no date
            (``OccurrenceNotDue``); a move that does not fit between its
            neighbours (``MoveInvalid``).

    """
    return try_edit(
        autopay,
        as_of=as_of,
        known=known,
        collect_again=collect_again,
        **changes,
    ).autopay


def try_edit(
    autopay: AutoPay,
    /,
    *,
    as_of: date | None = None,
    known: Known = NOTHING_KNOWN,
    collect_again: bool = False,
    **changes: Any,  # noqa: ANN401 - the fields of an AutoPay
) -> Edited:
    """
    Return what `edit` would make of *autopay*, and what it would leave out.

    Show it before it is done. Takes and raises what `edit` does.
    """
    if as_of is not None:
        check_date(as_of, "as_of")
    check_type(known, Known, "known")
    for name in changes:
        if name in _FIXED:
            raise InvalidValueError(
                "another payer, or another id, is another auto-pay",
                code="FieldFixed",
                path=name,
            )
    asked = attrs.evolve(autopay, **changes)
    asked = attrs.evolve(asked, moves=_by_nominal_date(autopay, asked))
    today = DATE_MIN if as_of is None else as_of
    after = _with_its_years(autopay, asked, as_of)
    after, dropped = _without_strays(autopay, after, today)
    _check_new(autopay, after, today, known)
    after = _with_past_rests(autopay, after, today)
    left_out: frozenset[date] = frozenset()
    if not _same_dates(autopay.schedule, after.schedule):
        left_out = _before(autopay, after, today)
        if not collect_again:
            left_out |= _collected(after, today, known)
        after = attrs.evolve(after, skips=after.skips | left_out)
    return Edited(
        autopay=after,
        dropped=tuple(sorted(dropped)),
        left_out=tuple(sorted(left_out)),
    )


def _named(autopay: AutoPay, on: date) -> Occurrence | None:
    """Return the occurrence that a person means by a date, dropped or not."""
    schedule, moves = autopay.schedule, autopay.moves
    found = schedule.occurrence_of(on, moves=moves)
    if found is not None and found.nominal_on == on:
        return found
    found = schedule.previous_on_or_before(on, moves=moves)
    return None if found is None or found.charge_on != on else found


def _by_nominal_date(before: AutoPay, asked: AutoPay) -> Mapping[date, date]:
    """Let a person name a date to move by the day on which it is charged."""
    moves: dict[date, date] = {}
    for on, to in asked.moves.items():
        shown = None
        if before.moves.get(on) != to:
            shown = _named(attrs.evolve(before, schedule=asked.schedule), on)
        moves[on if shown is None else shown.nominal_on] = to
    return moves


def _with_its_years(
    before: AutoPay, asked: AutoPay, as_of: date | None
) -> AutoPay:
    """Keep the years that have begun, and move those that have not (S6)."""
    known = {each.association: each for each in before.enrollments}
    return attrs.evolve(
        asked,
        enrollments=tuple(
            _enrolled(before, asked, each, known.get(each.association), as_of)
            for each in asked.enrollments
        ),
    )


def _enrolled(
    before: AutoPay,
    asked: AutoPay,
    given: Enrollment,
    old: Enrollment | None,
    as_of: date | None,
) -> Enrollment:
    if given.association.level is Level.INVOICE:
        return given
    if old is None:
        since = given.since
        if since is None and as_of and as_of > asked.schedule.first_on:
            since = as_of
        return Enrollment(association=given.association, since=since)
    if _has_begun(before, old, as_of):
        return old
    return Enrollment(
        association=given.association,
        since=given.since or old.since,
        renewals=old.renewals,
    )


def _has_begun(
    autopay: AutoPay, enrollment: Enrollment, as_of: date | None
) -> bool:
    if not enrollment.years_from or as_of is None:
        return bool(enrollment.years_from)
    start = enrollment.years_from[0]
    first = autopay.schedule.occurrence_of(start, moves=autopay.moves)
    return (start if first is None else first.charge_on) <= as_of


def _with_past_rests(before: AutoPay, after: AutoPay, as_of: date) -> AutoPay:
    """Keep what was dropped until today: nothing is made up (S11)."""
    pauses = list(after.pauses)
    rests = list(before.pauses)
    if is_off_on(before, as_of) and not is_off_on(after, as_of):
        # Its time off is a pause, whichever way it is ended.
        rests = list(turn_on(before, as_of).pauses)
    for each in rests:
        if each.from_on >= as_of:
            continue
        to_on = as_of if each.to_on is None else min(each.to_on, as_of)
        if not any(
            pause.from_on <= each.from_on
            and (pause.to_on is None or pause.to_on >= to_on)
            for pause in pauses
        ):
            pauses = [one for one in pauses if one.from_on != each.from_on]
            pauses.append(Pause(from_on=each.from_on, to_on=to_on))
    past = {
        each
        for each in before.skips
        if (found := _named(before, each)) and found.charge_on < as_of
    }
    return attrs.evolve(after, pauses=tuple(pauses), skips=after.skips | past)


def _same_dates(before: Schedule, after: Schedule) -> bool:
    """Tell whether two schedules differ in their end or their roll only."""
    return (
        before.kind is after.kind
        and before.every == after.every
        and before.days == after.days
        and before.weekday == after.weekday
        and before.is_nominal(after.first.nominal_on)
    )


def _before(before: AutoPay, after: AutoPay, as_of: date) -> frozenset[date]:
    """Return the dates of a new schedule that would be made up."""
    latest = latest_on(before, as_of)
    begin = None
    if latest is not None:
        # What lies further back, a run on record hides already.
        begin = max(latest.charge_on - _LOOK_BACK, DATE_MIN)
    return frozenset(
        each.nominal_on
        for each in after.schedule.occurrences(begin, as_of, moves=after.moves)
        if not before.schedule.is_nominal(each.nominal_on)
    )


def _collected(after: AutoPay, as_of: date, known: Known) -> frozenset[date]:
    """Return the dates whose period was collected already (S15)."""
    schedule = after.schedule
    found: set[date] = set()
    for paid in known.recent:
        period = _period(schedule.kind, paid.nominal_on)
        begin = max(as_of, paid.nominal_on - _LOOK_BACK)
        for each in schedule.occurrences(begin, moves=after.moves):
            if each.nominal_on > paid.nominal_on + _LOOK_BACK:
                break
            if (
                period is not None
                and each.nominal_on != paid.nominal_on
                and _period(schedule.kind, each.nominal_on) == period
            ):
                found.add(each.nominal_on)
    return frozenset(found)


def _period(kind: ScheduleKind, on: date) -> _Period | None:
    """Return what a date of a kind of schedule stands for, once (S15)."""
    if kind in (ScheduleKind.ONCE, ScheduleKind.DAILY):
        return None
    if kind is ScheduleKind.WEEKLY:
        return tuple(on.isocalendar()[:2])
    if kind is ScheduleKind.TWICE_MONTHLY:
        return on.year, on.month, int(on.day > _MID_MONTH)
    return on.year, on.month


def _without_strays(
    before: AutoPay, after: AutoPay, as_of: date
) -> tuple[AutoPay, set[date]]:
    """Drop old skips and moves that name no date of the new schedule."""
    skips = {
        each
        for each in before.skips & after.skips
        if _named(after, each) is None
    }
    moves: set[date] = set()
    if before.schedule != after.schedule:
        moves = {
            each
            for each, to in after.moves.items()
            if before.moves.get(each) == to and not _fits(after, each, to)
        }
    kept = attrs.evolve(
        after,
        skips=after.skips - skips,
        moves={
            each: to for each, to in after.moves.items() if each not in moves
        },
    )
    # What is past is nobody's concern.
    return kept, {
        each
        for each in skips | moves
        if max(each, after.moves.get(each, each)) >= as_of
    }


def _fits(autopay: AutoPay, nominal_on: date, to: date) -> bool:
    found = autopay.schedule.occurrence_of(nominal_on, moves=autopay.moves)
    return (
        found is not None
        and found.nominal_on == nominal_on
        and found.charge_on == to
    )


# -- What is new is checked ---------------------------------------------------


def _check_new(
    before: AutoPay, after: AutoPay, as_of: date, known: Known
) -> None:
    """Refuse what a person asks for and would not get (S11, S15)."""
    bare = attrs.evolve(
        after, pauses=(), skips=frozenset[date](), off_from=None
    )
    for skip in sorted(after.skips - before.skips):
        found = _named(after, skip)
        if (
            found is None
            or found.charge_on < as_of
            or known.has_run(found.nominal_on)
            or not in_force(after, found.nominal_on)
        ):
            raise InvalidValueError(
                f"nothing is due on {skip}; ask upcoming()",
                code="OccurrenceNotDue",
                path="skips",
                value=str(skip),
            )
    old = {each.from_on for each in before.pauses}
    for pause in after.pauses:
        if pause.from_on not in old and not _drops(bare, pause, as_of):
            raise InvalidValueError(
                f"nothing is due from {pause.from_on} to "
                f"{pause.to_on or 'the end'}",
                code="OccurrenceNotDue",
                path="pauses",
                value=str(pause.from_on),
            )
    _check_moves(before, after, as_of, known)


def _drops(bare: AutoPay, pause: Pause, as_of: date) -> bool:
    """Tell whether a pause drops a date to come."""
    on = max(as_of, pause.from_on - _ROLL_MOST, DATE_MIN)
    while (coming := upcoming(bare, on)) is not None:
        days = (coming.nominal_on, coming.charge_on)
        if any(
            pause.from_on <= day and (pause.to_on is None or day < pause.to_on)
            for day in days
        ):
            return True
        if pause.to_on is not None and min(days) >= pause.to_on:
            return False
        on = coming.charge_on + _DAY
    return False


def _check_moves(
    before: AutoPay, after: AutoPay, as_of: date, known: Known
) -> None:
    old = attrs.evolve(before, schedule=after.schedule)
    for on, to in after.moves.items():
        if not _fits(after, on, to):
            _refuse_move(
                on,
                "it goes after the charge date before it and before the next",
            )
        if old.moves.get(on) == to:
            continue
        was = _named(old, on)
        if was is None or was.charge_on < as_of or known.has_run(on):
            _refuse_move(on, "it has come already")
        _check_target(after, on, to, as_of)
    for on in before.moves.keys() - after.moves.keys():
        was, back = _named(old, on), _named(after, on)
        if was and back and back.charge_on < as_of <= was.charge_on:
            _refuse_move(on, f"{back.charge_on} is past")


def _check_target(after: AutoPay, on: date, to: date, as_of: date) -> None:
    if to < as_of:
        _refuse_move(on, f"{to} is past")
    calendar = after.schedule.calendar
    if calendar is not None and not calendar.is_open(to):
        _refuse_move(on, f"{to} is closed by the schedule's calendar")
    runs = after.schedule.occurrence_of(
        on, pauses=after.pauses, skips=after.skips, moves=after.moves
    )
    if runs is None or not in_force(after, on):
        _refuse_move(on, "it does not run")


def _refuse_move(on: date, why: str) -> NoReturn:
    raise InvalidValueError(
        f"{on} cannot be moved: {why}",
        code="MoveInvalid",
        path="moves",
        value=str(on),
    )
