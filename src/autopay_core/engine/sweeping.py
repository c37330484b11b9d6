"""
An auto-pay's turn: what was left open, missed, due, or is coming (S12, N4).

Holds: `preview`, `run`, `sweep` and `sweep_one`, the turn of one auto-pay.
Imports: `case`, `collecting`, `driving`, `planning`, `recovery`, `requests`,
`steps`, `telling` and the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, cast

from autopay_core._checks import check_date
from autopay_core.allocation import Allocation
from autopay_core.autopay import (
    AutoPay,
    autopay_notices,
    due,
    occurrence_on,
    upcoming,
)
from autopay_core.commits import Change, Conflict, Standing
from autopay_core.engine.case import Case, case_of, turned_off
from autopay_core.engine.collecting import collect
from autopay_core.engine.driving import Given
from autopay_core.engine.planning import look_ahead
from autopay_core.engine.recovery import recover, recover_one, set_back
from autopay_core.engine.requests import (
    Claim,
    Flow,
    NextAutoPay,
    Request,
    Send,
    Stream,
    Terms,
    ask,
    commit,
    read_standing,
)
from autopay_core.engine.steps import next_version
from autopay_core.engine.telling import announce
from autopay_core.errors import InvalidValueError, PortError
from autopay_core.notices import NoticeKind, notice_for_run
from autopay_core.references import RunKey
from autopay_core.runs import (
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    result_of,
)
from autopay_core.schedules import Occurrence, split_missed

__all__ = ["preview", "run", "sweep", "sweep_one"]


def preview(autopay: AutoPay, on: date, terms: Terms) -> Flow[Allocation]:
    """Return what a run would pay on a date, and why; write nothing."""
    check_date(on, "on")
    occurrence = Occurrence(nominal_on=on, charge_on=on)
    return look_ahead(case_of(autopay, occurrence, terms))


def run(autopay: AutoPay, on: date, terms: Terms) -> Flow[RunResult]:
    """
    Run one occurrence because somebody asked for it (R1, S12).

    What fell due before it and is not on record would be hidden by it from
    every later sweep, so it is put on record as missed first.

    Args:
        autopay: The standing order.
        on: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.

    """
    case = case_of(autopay, occurrence_on(autopay, on), terms, as_of=on)
    return _run(case)


def _run(case: Case) -> Flow[RunResult]:
    standing = yield from read_standing(
        case.key, case.autopay.method.fingerprint
    )
    earlier = [
        each
        for each in due(case.autopay, case.on, after=_latest(standing))
        if each.nominal_on < case.occurrence.nominal_on
    ]
    yield from _record_missed(case.autopay, earlier, standing)
    return (yield from collect(case, standing))


def _latest(standing: Standing) -> date | None:
    """Return the nominal date of the latest run on record."""
    latest = standing.latest
    return None if latest is None else latest.key.nominal_on


def sweep(
    as_of: date, terms: Terms, *, claim_seconds: int = 0
) -> Stream[Request | NextAutoPay]:
    """
    Run all that is due by a date, auto-pay by auto-pay (S12, R6).

    Raises:
        InvalidValueError: *as_of* is no date that a run may carry.

    """
    check_date(as_of, "as_of")
    return _sweep(as_of, terms, claim_seconds)


def _sweep(
    as_of: date, terms: Terms, claim_seconds: int
) -> Stream[Request | NextAutoPay]:
    yield from recover(terms)
    while True:
        answer = yield NextAutoPay()
        assert isinstance(answer, list)
        if not answer:
            return
        [autopay] = cast("list[object]", answer)
        try:
            results = yield from sweep_one(
                _checked(autopay), as_of, terms, claim_seconds=claim_seconds
            )
        except Exception as error:  # noqa: BLE001 - R6
            name = autopay.id if isinstance(autopay, AutoPay) else ""
            results = (set_back(name, error),)
        for result in results:
            yield Given(result)


def _checked(autopay: object) -> AutoPay:
    if isinstance(autopay, AutoPay):
        return autopay
    raise InvalidValueError(
        "expected an AutoPay", code="FieldType", path="autopays", value=autopay
    )


# -- An auto-pay's turn -------------------------------------------------------


def sweep_one(
    autopay: AutoPay, as_of: date, terms: Terms, *, claim_seconds: int = 0
) -> Flow[tuple[RunResult, ...]]:
    """
    Do all that is to be done for one auto-pay on a date (S12, R4, N2).

    Finish what was left open, record what was missed, run what is due,
    announce what is coming, and tell what there is to tell.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.
        claim_seconds: Claim each run for so long, so that other workers
            leave it alone; 0 claims nothing.

    """
    yield from announce(*autopay_notices(autopay, as_of))
    latest = autopay.schedule.previous_on_or_before(
        as_of, pauses=autopay.pauses, skips=autopay.skips
    )
    nominal_on = as_of if latest is None else latest.nominal_on
    key = RunKey(autopay=autopay.id, nominal_on=nominal_on)
    standing = yield from read_standing(key, autopay.method.fingerprint)
    results = yield from _go_on(autopay, as_of, terms, standing)
    if results:
        standing = yield from read_standing(key, autopay.method.fingerprint)
    to_run, missed = split_missed(
        due(autopay, as_of, after=_latest(standing)),
        autopay.missed,
        as_of=as_of,
    )
    recorded = yield from _record_missed(autopay, missed, standing)
    results.extend(recorded)
    if len(recorded) < len(missed):
        return tuple(results)  # Another worker is at it.
    for occurrence in to_run:
        case = case_of(autopay, occurrence, terms, as_of=as_of)
        if claim_seconds and not (
            yield from ask(Claim(case.key, claim_seconds), bool)
        ):
            break
        is_fresh = case.key == key and not results
        result = yield from collect(case, standing if is_fresh else None)
        results.append(result)
        if result.status in (RunStatus.POSTPONED, RunStatus.BLOCKED):
            # A later run on record would hide this one from the next sweep.
            break
    if autopay.advance_notice is not None:
        results.extend((yield from _announce_ahead(autopay, as_of, terms)))
    return tuple(results)


def _go_on(
    autopay: AutoPay, as_of: date, terms: Terms, standing: Standing
) -> Flow[list[RunResult]]:
    """Go on with what was left under way and may be looked at again."""
    results: list[RunResult] = []
    for record in standing.unfinished:
        if (
            record.next_try_at is not None
            and standing.now < record.next_try_at
        ):
            continue
        if record.state is RunState.WAITING:
            occurrence = Occurrence(
                nominal_on=record.key.nominal_on, charge_on=record.charge_on
            )
            case = case_of(autopay, occurrence, terms, as_of=as_of)
            results.append((yield from collect(case)))
        elif record.state is not RunState.ANNOUNCED:
            results.append(
                (
                    yield from recover_one(
                        record, terms, is_off=turned_off(autopay, as_of)
                    )
                )
            )
    return results


def _record_missed(
    autopay: AutoPay, missed: Sequence[Occurrence], standing: Standing
) -> Flow[list[RunResult]]:
    """Put on record what was not run, in one step (S12)."""
    known = {each.key: each for each in standing.unfinished}
    records: list[RunRecord] = []
    for occurrence in missed:
        key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
        before = known.get(key)
        records.append(
            RunRecord(
                key=key,
                payer=autopay.payer,
                version=next_version(before, RunState.MISSED, key),
                state=RunState.MISSED,
                charge_on=occurrence.charge_on,
                reason="Missed",
                detail="The host did not run on that date.",
            )
        )
    if not records:
        return []
    written = yield from commit(Change(runs=tuple(records)))
    if isinstance(written, Conflict):
        return []  # Another worker wrote them.
    return [result_of(each) for each in records]


def _announce_ahead(
    autopay: AutoPay, as_of: date, terms: Terms
) -> Flow[list[RunResult]]:
    """
    Announce amount and date of the next debit, once, in good time (N4).

    The announcement is on record only when the notifier has accepted it;
    until then the run may not take money.
    """
    policy = autopay.advance_notice
    assert policy is not None
    occurrence = upcoming(autopay, as_of + timedelta(days=policy.days))
    if occurrence is None or (
        (occurrence.charge_on - as_of).days > policy.days + _ANNOUNCE_DAYS
    ):
        return []
    case = case_of(autopay, occurrence, terms)
    standing = yield from read_standing(case.key, autopay.method.fingerprint)
    if standing.run is not None or standing.is_stopped:
        return []
    try:
        allocation = yield from look_ahead(case)
    except (InvalidValueError, PortError):
        return []  # The run itself will say what is wrong.
    if not allocation.total.is_positive or policy.allows(allocation.total):
        return []
    record = RunRecord(
        key=case.key,
        payer=autopay.payer,
        version=next_version(None, RunState.ANNOUNCED, case.key),
        state=RunState.ANNOUNCED,
        charge_on=occurrence.charge_on,
        plan=allocation,
        announced=allocation.amounts,
    )
    notice = notice_for_run(
        NoticeKind.UPCOMING,
        case.key,
        payer=autopay.payer,
        on=occurrence.charge_on,
        name=autopay.name,
        amount=allocation.total,
        reason="Upcoming",
        detail=f"At most this is debited on {occurrence.charge_on}.",
        # Another amount on another day is another announcement.
        occasion=str(allocation.total),
    )
    yield from commit(Change(notices=(notice,)))
    try:
        yield Send(notice)
    except PortError:
        return []
    written = yield from commit(
        Change(runs=(record,), delivered=(notice.key,))
    )
    return [] if isinstance(written, Conflict) else [result_of(record)]


_ANNOUNCE_DAYS: Final = 4
"""An announcement goes out this much earlier, so that one late sweep is none
too late."""
