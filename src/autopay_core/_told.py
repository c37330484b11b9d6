"""
What is told about a standing order itself (N2).

Holds: `autopay_notices`, `pause_told`. Imports: `_life`, `_standing` and the
values. What is told agrees with the state of that day (S14): nothing has ended
that has a date to come, nothing has resumed that rests.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from autopay_core._checks import DATE_MAX, check_date
from autopay_core._life import (
    NOTHING_KNOWN,
    AutoPayState,
    Ending,
    Known,
    own_end,
    reached,
    state_on,
    upcoming,
    year_end,
    years,
)
from autopay_core._standing import AutoPay, Enrollment
from autopay_core.commits import Told
from autopay_core.notices import Notice, NoticeKind, notice_for_autopay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autopay_core.associations import Association

__all__ = ["PAUSE", "autopay_notices", "pause_told"]

PAUSE: Final = "pause"
"""The topic under which it is kept whether a pause was told (N5)."""

_RESTS: Final = "It rests."

_DAY: Final = timedelta(days=1)
_EXPIRY_DAYS: Final = 30
_ENDING_DAYS: Final = (30, 7)
# A sweep that was down may tell late, but not for ever.
_TOLD_DAYS: Final = 30


class _Told(NamedTuple):
    """Kind, date, what a person reads, and what keeps it from others."""

    kind: NoticeKind
    on: date
    detail: str
    occasion: str = ""


def autopay_notices(
    autopay: AutoPay, as_of: date, /, *, known: Known = NOTHING_KNOWN
) -> tuple[Notice, ...]:
    """
    Make what is to be told about *autopay* itself on a date (N2).

    Ending soon (30 and 7 days before a year is up), each end, paused, resumed,
    and a payment method that expires while there is still something to be
    charged. The same notice has the same key on every day, so it is told
    once; a pause that is given another end is told again.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        known: What is on record. That a plan is paid off is told with the run
            that pays it off, not here.

    """
    check_date(as_of, "as_of")
    return tuple(
        notice_for_autopay(
            each.kind,
            autopay.id,
            payer=autopay.payer,
            on=each.on,
            name=autopay.name,
            reason=each.kind.name.title().replace("_", ""),
            detail=each.detail,
            occasion=each.occasion,
        )
        for each in (
            *_about_its_end(autopay, as_of, known),
            *_about_pauses(autopay, as_of, known),
            *_about_its_method(autopay, as_of, known),
        )
    )


def _is_told(on: date, as_of: date) -> bool:
    return 0 <= (as_of - on).days < _TOLD_DAYS


def _about_its_end(
    autopay: AutoPay, as_of: date, known: Known
) -> Iterator[_Told]:
    end, why = own_end(autopay, known)
    agreed, off_from = reached(autopay, known), autopay.off_from
    if agreed is not None:
        on = known.latest_on
        if on is not None and _is_told(on, as_of):
            yield _Told(NoticeKind.ENDED, on, agreed.text, agreed.value)
        return
    if off_from is not None and (end is None or off_from < end):
        end, why = off_from, Ending.OFF
    is_year = why is Ending.YEAR
    yield from _about_years(autopay, as_of, None if is_year else end, is_year)
    if (
        end is not None
        and why is not Ending.PLANS
        and _is_told(end, as_of)
        and state_on(autopay, as_of, known=known)
        in (AutoPayState.ENDED, AutoPayState.OFF)
    ):
        yield _Told(NoticeKind.ENDED, end, why.text)


def _about_years(
    autopay: AutoPay,
    as_of: date,
    before: date | None,
    is_the_end: bool,  # noqa: FBT001
) -> Iterator[_Told]:
    """
    Tell of years that will be up, and of those that the order outlives.

    Only those that are up before a day, if it ends otherwise by then.
    """
    ends: defaultdict[date, list[Enrollment]] = defaultdict(list)
    for each in autopay.enrollments:
        found = [end for _, end in years(each, autopay.schedule)]
        if found:
            ends[max(found)].append(each)
    final = max(ends) if is_the_end else None
    for end, enrolled in sorted(ends.items()):
        if before is not None and end >= before:
            return
        what = ", ".join(_named(each.association) for each in enrolled)
        is_all = len(enrolled) == len(autopay.enrollments)
        left = (end - as_of).days
        # The shortest stretch that has begun: 7 days before, not 30 again.
        for days in sorted(_ENDING_DAYS):
            if 0 < left <= days:
                detail = f"{'It' if is_all else what} ends on {end}."
                yield _Told(NoticeKind.ENDING_SOON, end, detail, str(days))
                break
        if end == final:
            continue  # It is the order's own.
        over_on = year_end(autopay, end)
        if _is_told(over_on, as_of):
            detail = f"The year of {what} is up; renew it to go on with it."
            yield _Told(NoticeKind.ENROLLMENT_ENDED, over_on, detail)


def _named(association: Association) -> str:
    if association.matter is None:
        return f"client {association.client}"
    return f"matter {association.matter} of client {association.client}"


def _about_pauses(
    autopay: AutoPay, as_of: date, known: Known
) -> Iterator[_Told]:
    """
    Tell that it rests, for as long as it does, and that it runs again.

    The end of a pause is part of what was told: another end is told as well,
    however long after the pause began.
    """
    if not autopay.pauses:
        return
    state = state_on(autopay, as_of, known=known)
    if state not in (AutoPayState.PAUSED, AutoPayState.ACTIVE):
        return
    for from_on, to_on in _rests(autopay):
        if state is AutoPayState.PAUSED:
            if from_on <= as_of and (to_on is None or as_of < to_on):
                until = "" if to_on is None else f" until {to_on}"
                yield _Told(
                    NoticeKind.PAUSED,
                    from_on,
                    f"It rests{until}.",
                    "" if to_on is None else str(to_on),
                )
        elif (
            to_on is not None
            and _is_told(to_on, as_of)
            and state_on(autopay, to_on - _DAY) is AutoPayState.PAUSED
        ):
            detail = _runs_again(autopay, as_of, known)
            yield _Told(NoticeKind.RESUMED, to_on, detail)


def _runs_again(autopay: AutoPay, as_of: date, known: Known) -> str:
    following = upcoming(autopay, as_of, known=known)
    if following is None:
        return "It runs again."
    return f"It runs again, next on {following.charge_on}."


def pause_told(
    autopay: AutoPay,
    as_of: date,
    notices: Sequence[Notice],
    before: Told | None,
    /,
) -> tuple[Notice | None, Told | None]:
    """
    Keep what was told of a pause in step with what is true (N5).

    A pause that is taken away has no end of its own, so its end is told as
    soon as the order runs without it.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        notices: What `autopay_notices` makes of that.
        before: What was told last under `PAUSE`; None for nothing.

    Returns:
        One more notice, if one is needed; and what is told now, if that is
        something else than before.

    """
    rests = [each for each in notices if each.kind is NoticeKind.PAUSED]
    if rests:
        told = _pause(autopay, _RESTS, rests[-1])
        return None, None if told == before else told
    if before is None or before.said != _RESTS:
        return None, None
    if state_on(autopay, as_of) is not AutoPayState.ACTIVE:
        return None, _pause(autopay, "", before)
    for each in notices:
        if each.kind is NoticeKind.RESUMED:
            return None, _pause(autopay, "", each)
    resumed = notice_for_autopay(
        NoticeKind.RESUMED,
        autopay.id,
        payer=autopay.payer,
        on=as_of,
        name=autopay.name,
        reason="Resumed",
        detail=_runs_again(autopay, as_of, NOTHING_KNOWN),
        occasion=before.key,
    )
    return resumed, _pause(autopay, "", resumed)


def _pause(autopay: AutoPay, said: str, of: Notice | Told) -> Told:
    return Told(autopay=autopay.id, topic=PAUSE, said=said, key=of.key)


def _rests(autopay: AutoPay) -> list[tuple[date, date | None]]:
    """Return the stretches in which it rests; pauses that meet are one."""
    rests: list[tuple[date, date | None]] = []
    for pause in sorted(autopay.pauses, key=lambda each: each.from_on):
        if rests:
            from_on, to_on = rests[-1]
            if to_on is None:
                break
            if pause.from_on <= to_on:
                ends = pause.to_on
                to_on = None if ends is None else max(to_on, ends)
                rests[-1] = from_on, to_on
                continue
        rests.append((pause.from_on, pause.to_on))
    return rests


def _about_its_method(
    autopay: AutoPay, as_of: date, known: Known
) -> Iterator[_Told]:
    expires_on = autopay.method.expires_on
    if expires_on is None or not (
        -_TOLD_DAYS < (expires_on - as_of).days <= _EXPIRY_DAYS
    ):
        return
    # Nobody needs another method for nothing.
    later = max(as_of, min(expires_on + _DAY, DATE_MAX))
    if upcoming(autopay, later, known=known) is None:
        return
    detail = (
        f"Payment method {autopay.method.masked} works until {expires_on}; "
        "save another one."
    )
    yield _Told(NoticeKind.METHOD_EXPIRING, expires_on, detail)
