"""
One run from look-up to posting (R1 to R8).

Holds: `collect`. Imports: `case`, `charging`, `planning`, `recovery`,
`requests`, `steps`, `telling` and the values. Every yield is a point where the
process may die; a flow remembers nothing, for the posting store is the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autopay_core._checks import report_text
from autopay_core.commits import Change, Committed, Standing
from autopay_core.engine.case import Case
from autopay_core.engine.charging import take
from autopay_core.engine.planning import check_chargeable, plan_run
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import Flow, commit, read_standing
from autopay_core.engine.steps import (
    Verdict,
    close,
    intend,
    presented_again,
    why_nothing,
)
from autopay_core.engine.telling import announce, tell
from autopay_core.errors import (
    ForeignInvoiceError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.money import Money
from autopay_core.notices import NoticeKind, notice_for_run
from autopay_core.runs import RunResult, RunState, RunStatus, result_of

__all__ = [
    "PLANS_MOST",
    "collect",
]

PLANS_MOST: Final = 3
"""How often a run is planned again when the world changed meanwhile."""


def collect(case: Case, standing: Standing | None = None) -> Flow[RunResult]:
    """
    Take one due run from look-up to posting, or go on where it was left.

    The intent is on the books before money moves; once it is there it is
    what is charged, whatever the invoices say by then (R1, R3). A finished
    run returns the same result for ever (R5).

    Args:
        case: What is due.
        standing: What was read a moment ago; None to read it now.

    """
    held: dict[str, Money] = {}
    for _ in range(PLANS_MOST):
        if standing is None:
            standing = yield from read_standing(
                case.key, case.autopay.method.fingerprint
            )
        done = yield from _settled_before(case, standing)
        if done is not None:
            return done
        try:
            change = yield from _decide(case, standing, held)
        except PortError as error:
            return (yield from _postpone(case, standing, error))
        written = yield from commit(change)
        if isinstance(written, Committed):
            [record] = change.runs
            if record.state is RunState.OPEN:
                return (yield from take(record, case.terms))
            yield from tell(change.notices, written)
            return result_of(record)
        held.update(written.open_amounts)
        standing = None
    return RunResult(
        key=case.key,
        status=RunStatus.POSTPONED,
        reason="Busy",
        detail="Other runs kept changing what is open; the next sweep tries.",
    )


def _settled_before(case: Case, standing: Standing) -> Flow[RunResult | None]:
    """Return the result if there is nothing to plan: done, or in doubt."""
    record = standing.run
    if record is not None and record.state.is_finished:
        return result_of(record)
    for other in standing.unfinished:
        if other.key != case.key and other.state.is_doubtful:
            result = yield from recover_one(
                other, case.terms, is_off=case.is_off
            )
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
        return (yield from recover_one(record, case.terms, is_off=case.is_off))
    if record.next_try_at is not None and standing.now < record.next_try_at:
        return result_of(record)
    return None


def _decide(
    case: Case, standing: Standing, held: Mapping[str, Money]
) -> Flow[Change]:
    """Plan the run and return the step to write: an intent, or its end."""
    verdict = _ruled_out(case, standing)
    if verdict is not None:
        return close(case, standing, verdict)
    announced = None if standing.run is None else standing.run.announced
    represented = presented_again(case, standing.run)
    ceilings = announced
    if ceilings is None and represented is not None:
        ceilings = represented.allocation.amounts
    try:
        plan = yield from plan_run(case, held=held, ceilings=ceilings)
        check_chargeable(plan.allocation.total, case.terms.capabilities)
    except InvalidValueError as error:
        return close(case, standing, _unusable(error))
    total = plan.allocation.total
    policy = case.autopay.advance_notice
    if not total.is_positive:
        verdict = why_nothing(case, plan, standing)
    elif represented is not None and total != represented.request.amount:
        verdict = _AMOUNT_CHANGED
    elif policy is not None and announced is None and not policy.allows(total):
        verdict = _NOTICE_MISSING
    else:
        return intend(case, standing, plan)
    return close(case, standing, verdict, plan.allocation)


def _ruled_out(case: Case, standing: Standing) -> Verdict | None:
    """Tell what keeps a run from being planned at all (R7, A3)."""
    if standing.is_stopped or case.is_off:
        return _STOPPED
    if standing.is_clock_suspect:
        raise PortUnavailableError(
            "the store's clock is behind what it said before",
            code="ClockSuspect",
        )
    return None if case.associations else _NO_ASSOCIATIONS


def _unusable(error: InvalidValueError) -> Verdict:
    """Tell that the matter data cannot be used, and whose alarm it is (A2)."""
    if isinstance(error, ForeignInvoiceError):
        return Verdict(
            RunState.FAILED,
            error.code,
            f"{error.message} ({error.path})",
            (NoticeKind.FAILED, NoticeKind.SECURITY_EVENT),
        )
    return Verdict(
        RunState.FAILED,
        error.code,
        f"The matter data cannot be used: {error}",
        (NoticeKind.FAILED,),
    )


_STOPPED: Final = Verdict(
    RunState.CANCELLED,
    "Stopped",
    "The auto-pay was turned off, or its payment method removed.",
)
_NO_ASSOCIATIONS: Final = Verdict(
    RunState.NOTHING_DUE,
    "NoAssociations",
    "Nothing is enrolled, so nothing is paid.",
    (NoticeKind.NOTHING_DUE,),
)
_AMOUNT_CHANGED: Final = Verdict(
    RunState.FAILED,
    "RetryAmountChanged",
    "A bank debit may only be presented again for the same amount.",
    (NoticeKind.FAILED,),
)
_NOTICE_MISSING: Final = Verdict(
    RunState.CANCELLED,
    "NoticeMissing",
    "The debit was not announced in time, so it is not taken.",
    (NoticeKind.FAILED,),
)


def _postpone(
    case: Case, standing: Standing, error: PortError
) -> Flow[RunResult]:
    """
    Leave the run for the next sweep, and say so once (N1).

    Nothing was charged and the run has no new state: data that cannot be
    read today may be there tomorrow.
    """
    detail = report_text(f"{error.code}: {error}; it is tried again.")
    notice = notice_for_run(
        NoticeKind.FAILED,
        case.key,
        payer=case.autopay.payer,
        on=case.on,
        name=case.autopay.name,
        reason=error.code,
        detail=detail,
        occasion="postponed",
    )
    yield from announce(notice)
    return RunResult(
        key=case.key,
        status=RunStatus.POSTPONED,
        record=standing.run,
        reason=error.code,
        detail=detail,
    )
