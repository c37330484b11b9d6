"""
One run from look-up to posting (R1 to R10).

Holds: `collect`. Imports: `asking`, `case`, `charging`, `gate`, `knowing`,
`planning`, `recovery`, `requests`, `restoring`, `steps`, `telling` and the
values. Every yield is a point where the process may die; a flow remembers
nothing, for the posting store is the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from autopay_core.charges import Declined
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Incident,
    Standing,
)
from autopay_core.engine.asking import verdict_on
from autopay_core.engine.case import Case, case_again
from autopay_core.engine.charging import answer_no, as_it_stands, settle, take
from autopay_core.engine.gate import Cause
from autopay_core.engine.knowing import payments_left
from autopay_core.engine.planning import Plan, plan_run, why_not_chargeable
from autopay_core.engine.recovery import go_on
from autopay_core.engine.requests import (
    CLOCK,
    Flow,
    Prepare,
    ReadAttempts,
    Terms,
    ask_many,
    commit,
    is_far_ahead,
    read_standing,
    wrong_answer,
)
from autopay_core.engine.restoring import is_after_restore, sent_before
from autopay_core.engine.steps import (
    Verdict,
    close,
    intend,
    postpone,
    presented_again,
    refused,
    request_of,
    rests,
    rests_on,
    set_again,
    why_nothing,
)
from autopay_core.engine.telling import tell
from autopay_core.errors import (
    AutopayError,
    HostProtocolError,
    InvalidValueError,
    PortError,
)
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.retries import AttemptRecord, window_opens_at
from autopay_core.runs import (
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    result_of,
)

__all__ = [
    "PLANS_MOST",
    "check_owner",
    "collect",
]

PLANS_MOST: Final = 3
"""How often a run is planned again when the world changed meanwhile."""


def check_owner(payer: str, record: RunRecord | None) -> None:
    """
    Refuse a record of another payer under the same id (R13).

    Raises:
        InvalidValueError: Code ``AnotherPayer``; nothing of the record is
            shown.

    """
    if record is not None and record.payer != payer:
        raise InvalidValueError(
            f"the id {record.key.autopay!r} belongs to another payer's "
            "auto-pay, which has runs on record; give this one an id of its "
            "own",
            code="AnotherPayer",
            path="autopay.id",
            value=record.key.autopay,
        )


def collect(case: Case, standing: Standing | None = None) -> Flow[RunResult]:
    """
    Take one due run from look-up to posting, or go on where it was left.

    The intent is on the books before money moves, and what is in it is the
    most that is charged for it (R1, R3). A finished run returns the same
    result for ever (R5). What cannot be decided now is on record as late.

    Args:
        case: What is due.
        standing: What was read a moment ago; None to read it now.

    """
    held: dict[str, Money] = {}
    for _ in range(PLANS_MOST):
        if standing is None:
            standing = yield from _read(case)
        check_owner(case.autopay.payer, standing.run or standing.latest)
        done = yield from _settled_before(case, standing)
        if done is not None:
            if not _is_to_plan(done, standing):
                return done
            standing = yield from _read(case)
        done = yield from _turn(case, standing, held)
        if done is not None:
            return done
        standing = None
    standing = yield from _read(case)
    record = standing.run
    if record is not None and record.state not in _NOT_BEGUN:
        return result_of(record)  # It was another worker who kept on.
    detail = "Other runs kept changing what is open."
    return (yield from _put_off(case, standing, "Busy", detail))


_NOT_BEGUN: Final = frozenset({RunState.ANNOUNCED, RunState.WAITING})


def _read(case: Case) -> Flow[Standing]:
    return read_standing(
        case.key, case.autopay.method.fingerprint, case.autopay.payer
    )


def _is_to_plan(result: RunResult, standing: Standing) -> bool:
    """Tell whether a run was let go of just now, and is planned afresh."""
    return (
        result.status is RunStatus.WAITING
        and result.reason == "Withdrawn"
        and standing.run is not None
        and result.record is not None
        and result.record.version != standing.run.version
    )


def _settled_before(case: Case, standing: Standing) -> Flow[RunResult | None]:
    """Return the result if there is nothing to plan: done, or in doubt."""
    record = standing.run
    if record is not None and record.state.is_finished:
        return result_of(record)
    for other in standing.unfinished:
        if other.key != case.key and other.state.is_doubtful:
            again = case_again(case.autopay, other, case.terms, case.on)
            result = yield from go_on(other, again)
            if result.status in (RunStatus.OPEN, RunStatus.REVIEW):
                return RunResult(
                    key=case.key,
                    status=RunStatus.BLOCKED,
                    record=record,
                    reason="InDoubt",
                    detail=f"The run {other.key} is not resolved yet.",
                )
    if record is None or record.state is RunState.ANNOUNCED:
        return None
    if record.state is not RunState.WAITING:
        return (yield from go_on(record, case))
    if rests(record, standing.now, case.autopay.method.fingerprint):
        return result_of(record)
    return None


def _turn(
    case: Case, standing: Standing, held: dict[str, Money]
) -> Flow[RunResult | None]:
    """Decide and do, once; None if the world changed meanwhile."""
    verdict = verdict_on(case, standing)
    if verdict is None and not case.associations:
        verdict = _NO_ASSOCIATIONS
    if verdict is None:
        left = yield from payments_left(case.autopay, case.key, standing)
        case = attrs.evolve(case, payments_left=left)
        if left == 0:
            verdict = _FULFILLED
    if verdict is not None:
        return (yield from _end(case, standing, verdict))
    try:
        change = yield from _decide(case, standing, held)
    except (PortError, HostProtocolError, InvalidValueError) as error:
        return (yield from _late(case, standing, error, "matters"))
    if isinstance(change, RunResult):
        return change
    written = yield from commit(change)
    if isinstance(written, Conflict):
        held.update(written.open_amounts)
        return (yield from _refused(case, standing, written.reason))
    [record] = change.runs
    result = result_of(record)
    if record.state is RunState.OPEN:
        result = yield from _send(case, standing, change, written)
    yield from tell(change.notices, written)
    return result


def _refused(
    case: Case, standing: Standing, reason: ConflictReason
) -> Flow[RunResult | None]:
    """Wait for what refused an intent; None if it is to be planned again."""
    if reason is ConflictReason.ATTEMPTS:
        return (yield from _wait_for_window(case, standing))
    if reason is ConflictReason.CEILING:
        return (yield from _put_off(case, standing, "Ceiling", _CEILING))
    return None


_CEILING: Final = (
    "With it, more would be taken from its payer in a day, or in a night, "
    "than the firm's ceilings allow."
)


def _send(
    case: Case, standing: Standing, change: Change, written: Committed
) -> Flow[RunResult]:
    """Send what was written down just now, while there is time (R15)."""
    record = yield from _in_time(change, written)
    if record is None:
        return (yield from as_it_stands(change.runs[0]))
    return (yield from take(record, case.terms, case.on, standing.incidents))


def _in_time(change: Change, written: Committed) -> Flow[RunRecord | None]:
    """
    Give an intent whose reads were slow the time that a request has (R15).

    Its deadline counts from before they began. When most of it was over at
    the commit, it is written again from there before anything is sent; None
    if somebody was at the run meanwhile.
    """
    [record] = change.runs
    at = written.at
    if at is None or at + _LEAST_TIME <= record.attempts[-1].deadline:
        return record
    again = set_again(record, at)
    answer = yield from commit(
        Change(
            runs=(again,),
            only_doubtful=True,
            unless_held=change.unless_held,
            expect_holds=change.expect_holds,
        )
    )
    return None if isinstance(answer, Conflict) else again


_LEAST_TIME: Final = timedelta(seconds=300)


def _end(
    case: Case, standing: Standing, verdict: Verdict
) -> Flow[RunResult | None]:
    """Write that a run ends, or waits; None if the world changed meanwhile."""
    if verdict.reason == Cause.CLOCK_SUSPECT.value:
        yield from keep_in_mind(standing, case.terms)
        # Nothing is written at a time that cannot be right (R11).
        return RunResult(
            key=case.key,
            status=RunStatus.POSTPONED,
            record=standing.run,
            reason=verdict.reason,
            detail=verdict.detail,
        )
    if verdict.is_late:
        return (
            yield from _put_off(case, standing, verdict.reason, verdict.detail)
        )
    if _is_known(verdict, standing.run):
        assert standing.run is not None
        return result_of(standing.run)
    change = close(case, standing, verdict)
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return None
    yield from tell(change.notices, written)
    return result_of(change.runs[0])


def _wait_for_window(case: Case, standing: Standing) -> Flow[RunResult | None]:
    """Wait until the method's network lets it be tried again (N3, R10)."""
    method = case.autopay.method
    since = standing.now - timedelta(days=WINDOW_DAYS)
    counted = yield from ask_many(
        ReadAttempts(method.fingerprint, since), AttemptRecord
    )
    opens_at = window_opens_at(method, [each.at for each in counted], case.on)
    verdict = verdict_on(case, standing, opens_at)
    if verdict is None:
        return None  # One fell out of the window meanwhile.
    return (yield from _end(case, standing, verdict))


WINDOW_DAYS: Final = 30
"""No network counts attempts of longer ago."""


def _is_known(verdict: Verdict, record: RunRecord | None) -> bool:
    """Tell whether a run waits for the same thing on record."""
    return (
        record is not None
        and verdict.state is RunState.WAITING is record.state
        and (record.reason, record.next_try_on)
        == (verdict.reason, verdict.next_try_on)
    )


def _decide(
    case: Case, standing: Standing, held: Mapping[str, Money]
) -> Flow[Change | RunResult]:
    """
    Plan the run and return the step to write: an intent, or its end.

    A result if it is late, because the gateway could not prepare.
    """
    announced = _announced(case, standing.run)
    represented = presented_again(case, standing.run)
    ceilings = announced
    if ceilings is None and represented is not None:
        ceilings = represented.allocation.amounts
    plan = yield from plan_run(case, standing, held=held, ceilings=ceilings)
    total = plan.allocation.total
    policy = case.autopay.advance_notice
    if not total.is_positive:
        verdict = why_nothing(case, plan, standing)
    elif represented is not None and total != represented.request.amount:
        verdict = _AMOUNT_CHANGED
    elif policy is not None and announced is None and not policy.allows(total):
        verdict = _NOTICE_MISSING
    else:
        wrong = why_not_chargeable(total, case.terms.capabilities)
        if wrong is None:
            return (yield from _intend(case, standing, plan))
        verdict = Verdict(
            RunState.FAILED, wrong.code, str(wrong), (NoticeKind.FAILED,)
        )
    return close(case, standing, verdict, plan)


def _announced(
    case: Case, before: RunRecord | None
) -> Mapping[str, Money] | None:
    """
    Return what was announced, unless for a later day, or too long ago (N4).

    What was announced stands in the run until something else becomes of it:
    till then its day is the one that people were told.
    """
    if before is None or before.announced is None:
        return None
    told_on = case.occurrence.charge_on
    if before.state is RunState.ANNOUNCED:
        told_on = before.charge_on
    late_days = timedelta(days=case.terms.policy.late_days)
    if told_on <= case.on <= told_on + late_days:
        return before.announced
    return None


def _intend(
    case: Case, standing: Standing, plan: Plan
) -> Flow[Change | RunResult]:
    """
    Return the step that writes the intent, with a reference in two steps.

    A gateway that refuses to prepare has said no to the attempt (TS-9).
    """
    request = request_of(case, standing, plan)
    if is_after_restore(case, standing):
        request, outcome = yield from sent_before(case, standing, request)
        if outcome is not None:
            # As if this store had sent it: written down, then settled. The
            # money has moved, so no ceiling keeps it back.
            change = attrs.evolve(
                intend(case, standing, plan, request, None), ceilings=()
            )
            written = yield from commit(change)
            if isinstance(written, Conflict):
                return change  # Refused again, and planned again.
            return (yield from settle(change.runs[0], outcome, case.terms))
    reference: str | None = None
    if case.terms.capabilities.two_step:
        try:
            answer = yield Prepare(request)
        except PortError as error:
            return (yield from _late(case, standing, error, "gateway"))
        if isinstance(answer, Declined) and answer.key == request.key:
            record = refused(case, standing, plan, request)
            change = yield from answer_no(record, answer, case.terms)
            # Nothing of an auto-pay is written while another run is in doubt.
            return attrs.evolve(
                rests_on(change, standing, plan), only_doubtful=True
            )
        if not isinstance(answer, str) or not answer:
            wrong = wrong_answer(Prepare(request), answer)
            return (yield from _late(case, standing, wrong, "gateway"))
        reference = answer
    return intend(case, standing, plan, request, reference)


def keep_in_mind(standing: Standing, terms: Terms) -> Flow[None]:
    """
    Put on record that a clock is far ahead, until a person says it is right.

    The notice of it is a commit, and so is each answer that comes meanwhile:
    after one of them no clock would be far beyond the last commit (R11).
    """
    if is_far_ahead(standing):
        incident = Incident(
            cause=Cause.CLOCK_SUSPECT.value,
            on=terms.policy.date_of(standing.now),
            began_at=standing.now,
            port=CLOCK,
        )
        yield from commit(Change(incidents=(incident,)))


def _late(
    case: Case, standing: Standing, error: AutopayError, port: str
) -> Flow[RunResult]:
    """Put a run on record as late for what a port did (R6)."""
    return (
        yield from _put_off(case, standing, error.code, str(error), port=port)
    )


def _put_off(
    case: Case,
    standing: Standing,
    cause: str,
    detail: str,
    *,
    port: str = "",
) -> Flow[RunResult]:
    """
    Put the run on record as late, or leave it so (R6, N1).

    Nothing was charged: what cannot be read today may be there tomorrow.
    """
    change = postpone(case, standing, cause, detail, port=port)
    if change is None:
        assert standing.run is not None
        return result_of(standing.run)
    written = yield from commit(change)
    if isinstance(written, Committed):
        yield from tell(change.notices, written)
        return result_of(change.runs[-1])
    return RunResult(
        key=case.key,
        status=RunStatus.POSTPONED,
        record=standing.run,
        reason=cause,
        detail="Another worker is at it.",
    )


_NO_ASSOCIATIONS: Final = Verdict(
    RunState.NOTHING_DUE,
    "NoAssociations",
    "Nothing is enrolled, so nothing is paid.",
)
_FULFILLED: Final = Verdict(
    RunState.NOTHING_DUE,
    "PaymentsCollected",
    "The agreed number of payments was collected.",
)
_AMOUNT_CHANGED: Final = Verdict(
    RunState.FAILED,
    "RetryAmountChanged",
    "What is due has changed, and the network lets a debit be presented "
    "again for the same amount only.",
    (NoticeKind.FAILED,),
)
_NOTICE_MISSING: Final = Verdict(
    RunState.CANCELLED,
    "NoticeMissing",
    "The debit was not announced in time, so it is not taken.",
    (NoticeKind.FAILED,),
)
