"""
What may be sent at a moment, in other words than the library's own (R7, R10).

Holds: `why_not`, asked of every sending, and what it is told (`Sending`);
`charge_on`, `resting`. Imports: the values. It knows the rules and nothing of
how the engine keeps them: dates are counted one by one, holds and answers come
from the oracle's books.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.autopay import in_force, years
from autopay_core.schedules import MissedPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from autopay_core.autopay import AutoPay
    from autopay_core.schedules import Occurrence

__all__ = ["Sending", "charge_on", "resting", "why_not"]

_DAY: Final = timedelta(days=1)


@final
@attrs.frozen(kw_only=True)
class Sending:
    """
    A request for money that somebody wants to send.

    Attributes:
        autopay: The standing order in hand.
        nominal_on: Whose date it is.
        is_demanded: A person asked for this very run.
        is_besides: It is no date of the schedule.
        as_of: What the caller calls today.
        told_for: The date that was told for a retry on the same method.
        held: Targets of the holds in force.
        is_clock_suspect: The store's clock had gone back when it was read.

    """

    autopay: AutoPay
    nominal_on: date
    is_demanded: bool
    is_besides: bool
    as_of: date
    told_for: date | None
    held: Iterable[str]
    is_clock_suspect: bool


def charge_on(autopay: AutoPay, nominal_on: date) -> date:
    """Return what rolling makes of a nominal date, dropped or not."""
    schedule = autopay.schedule
    # A date that is dropped lets one more come at the end of a count.
    found = schedule.occurrence_of(
        nominal_on, pauses=autopay.pauses, skips=autopay.skips
    ) or schedule.occurrence_of(nominal_on)
    return nominal_on if found is None else found.charge_on


def resting(autopay: AutoPay, as_of: date) -> list[date]:
    """Return the nominal dates until a day on which it was off or paused."""
    off_from = autopay.off_from
    if off_from is None and not autopay.pauses:
        return []
    return [
        each.nominal_on
        for each in autopay.schedule.occurrences(None, as_of + _DAY)
        if (off_from is not None and off_from <= each.charge_on)
        or _rests(autopay, each.nominal_on)
        or _rests(autopay, each.charge_on)
    ]


def why_not(sending: Sending) -> str | None:
    """Return why it may not be sent now; None if it may."""
    autopay, as_of = sending.autopay, sending.as_of
    due_on = sending.nominal_on
    if not sending.is_besides:
        due_on = charge_on(autopay, sending.nominal_on)
    targets = (
        "store:",
        f"payer:{autopay.payer}",
        f"method:{autopay.method.fingerprint}",
        f"autopay:{autopay.id}",
    )
    days = {as_of, due_on, sending.nominal_on}
    calendar = autopay.schedule.calendar
    for reason, is_so in (
        ("off", autopay.off_from is not None and autopay.off_from <= as_of),
        ("paused", any(_rests(autopay, day) for day in days)),
        ("skipped", bool(days & _skipped(autopay))),
        ("before its date", as_of < due_on),
        (
            "before what was told",
            sending.told_for is not None and as_of < sending.told_for,
        ),
        ("on hold", any(each in targets for each in sending.held)),
        ("by a clock that went back", sending.is_clock_suspect),
        (
            "on a closed day",
            calendar is not None and not calendar.is_open(as_of),
        ),
        ("after its enrolment", _is_over(sending, due_on)),
        ("overtaken", _is_overtaken(sending, due_on)),
    ):
        if is_so:
            return reason
    return None


def _rests(autopay: AutoPay, day: date) -> bool:
    return any(
        each.from_on <= day and (each.to_on is None or day < each.to_on)
        for each in autopay.pauses
    )


def _skipped(autopay: AutoPay) -> set[date]:
    """Return the dates, nominal and rolled, that are skipped."""
    found = set(autopay.skips)
    for each in autopay.skips:
        one = autopay.schedule.occurrence_of(each)
        # A date that fell together with an earlier one is part of that.
        if one is not None and one.nominal_on == each:
            found.add(one.charge_on)
    return found


def _is_over(sending: Sending, due_on: date) -> bool:
    """Tell whether the day of charge and every enrolment have passed."""
    if sending.as_of <= due_on:
        return False
    autopay = sending.autopay
    running = in_force(autopay, sending.nominal_on)
    for each in autopay.enrollments:
        if each.association not in running:
            continue
        windows = years(each, autopay.schedule)
        if not windows or max(end for _, end in windows) > sending.as_of:
            return False
    return True


def _is_overtaken(sending: Sending, due_on: date) -> bool:
    """Tell whether a later date that runs has come."""
    autopay, as_of = sending.autopay, sending.as_of
    if (
        as_of <= due_on
        or sending.is_demanded
        or autopay.missed is MissedPolicy.ALL
    ):
        return False
    return any(
        _runs(autopay, each)
        for each in autopay.schedule.occurrences(
            due_on + _DAY,
            as_of + _DAY,
            pauses=autopay.pauses,
            skips=autopay.skips,
        )
    )


def _runs(autopay: AutoPay, each: Occurrence) -> bool:
    return (
        autopay.off_from is None or each.charge_on < autopay.off_from
    ) and bool(in_force(autopay, each.nominal_on))
