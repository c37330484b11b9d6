"""
How a run that was left under way goes on (R4, R7, R9).

Holds: `recover`, which looks and sends nothing, and `go_on`, which has the
auto-pay in hand and may send again what is still right. Imports: `asking`,
`case`, `charging`, `driving`, `gate`, `lanes`, `planning`, `requests`,
`steps`, `telling` and the values.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any, final

from autopay_core._checks import report_text
from autopay_core.charges import (
    Cancelled,
    Captured,
    DeclineClass,
    Declined,
    Indeterminate,
    LookupOutcome,
    Moving,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import (
    Change,
    Conflict,
    OpenAmounts,
    Standing,
    Unreadable,
)
from autopay_core.engine.asking import decision_on
from autopay_core.engine.case import Case
from autopay_core.engine.charging import (
    as_it_stands,
    finish_or_read,
    settle,
    take,
)
from autopay_core.engine.driving import Given
from autopay_core.engine.gate import Charge
from autopay_core.engine.lanes import HandOver, one_by_one, side_by_side
from autopay_core.engine.planning import still_owed
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadUnfinished,
    Stream,
    Terms,
    ask_either,
    call_off,
    commit,
    look_up,
    read_standing,
)
from autopay_core.engine.steps import (
    SEND_SECONDS,
    found,
    is_as_before,
    is_of_account,
    is_of_form,
    is_proven_absent,
    key_lives,
    look_later,
    mismatch,
    missing,
    payer_is_late,
    try_again,
    wait,
    waits_for_payer,
    withdraw,
)
from autopay_core.engine.telling import (
    deliver,
    place_of,
    tell_unreadable,
)
from autopay_core.errors import AutopayError, HostProtocolError, PortError
from autopay_core.references import RunKey
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    result_of,
)

__all__ = ["go_on", "recover", "recover_one", "set_back"]


# -- One run -----------------------------------------------------------------


def recover_one(record: RunRecord, terms: Terms) -> Flow[RunResult]:
    """
    Look at a run that was left under way; send nothing (R4, R9).

    Takes a clear answer, cancels nothing that could still be right, lets go
    of what is proven absent, and parks for review what stays in doubt.
    """
    return (yield from _look(record, terms, None))


def go_on(record: RunRecord, case: Case) -> Flow[RunResult]:
    """
    Go on with a run that was left under way, the auto-pay in hand (R9).

    As `recover_one`; and what may not have been executed is sent again, under
    the same key, while it is still right. What is not right any more is
    cancelled at the gateway where it can be. A run that is WAITING afterwards
    is planned afresh.
    """
    return (yield from _look(record, case.terms, case))


def _look(
    record: RunRecord, terms: Terms, case: Case | None
) -> Flow[RunResult]:
    method = record.attempts[-1].method if record.attempts else ""
    standing = yield from read_standing(record.key, method, record.payer)
    record = record if standing.run is None else standing.run
    if standing.run is None or record.state not in RESERVING_STATES:
        return result_of(record)
    attempt = record.attempts[-1]
    if _is_unprepared(record):
        # Of an edition that wrote the intent first: without a reference on
        # record nothing was confirmed (TS-1).
        change = withdraw(record, "It was never sent.")
        return (yield from finish_or_read(record, change))
    outcome: LookupOutcome
    if is_of_account(record, terms):
        outcome = yield from look_up(attempt.key, attempt.reference, terms)
    else:
        # Only the account that was asked can tell (R12).
        outcome = Indeterminate(detail="Another account was asked.")
    if isinstance(outcome, NotFound):
        return (yield from _absent(record, standing, terms, case))
    if isinstance(outcome, Indeterminate):
        change = wait(
            record,
            standing.now,
            f"The gateway is not sure. {outcome.detail}",
        )
    elif _is_news(record, outcome) and not (
        # Nobody is told of a link that leads nowhere any more.
        isinstance(outcome, NeedsPayer)
        and outcome.until <= standing.now
        and terms.capabilities.cancels
        and not mismatch(record, outcome)
    ):
        return (yield from settle(record, outcome, terms))
    elif isinstance(outcome, NeedsPayer):
        return (yield from _payer_acts(record, outcome, standing, terms, case))
    elif record.state is RunState.PENDING:
        change = found(record, standing.now)
    else:
        change = wait(record, standing.now, "")
    return (yield from finish_or_read(record, change))


def _is_unprepared(record: RunRecord) -> bool:
    """
    Tell whether a gateway of two steps has moved nothing (TS-1).

    Money moves only for a reference on record.
    """
    attempt = record.attempts[-1]
    return (
        attempt.two_step
        and record.state is RunState.OPEN
        and attempt.reference is None
    )


def _is_news(record: RunRecord, outcome: Moving | Declined) -> bool:
    """Tell whether a look-up says more than the record knows."""
    if is_as_before(record, outcome):
        return False
    # In review the same wrong answer was told before.
    return record.state is not RunState.REVIEW or not mismatch(record, outcome)


def _payer_acts(
    record: RunRecord,
    asked: NeedsPayer,
    standing: Standing,
    terms: Terms,
    case: Case | None,
) -> Flow[RunResult]:
    """
    Wait for the payer, while there is time and it is right (R7, R9).

    When the time is over it is called off at the gateway, and that is a no.
    """
    if mismatch(record, asked):
        # Which is what put it into review.
        return (
            yield from finish_or_read(record, wait(record, standing.now, ""))
        )
    if asked.until <= standing.now and not standing.is_clock_suspect:
        return (yield from _time_is_over(record, asked, standing, terms))
    if record.state is RunState.REVIEW:
        # By a clock that may be wrong, nothing is called off (R11).
        change = wait(record, standing.now, "")
        return (yield from finish_or_read(record, change))
    change = found(record, standing.now)
    if case is not None and terms.capabilities.cancels:
        try:
            opened = yield from _right(record, standing, case)
        except (PortError, HostProtocolError):
            return (yield from finish_or_read(record, change))
        if opened is None:
            return (yield from _cancel(record, standing, terms, change))
    return (yield from finish_or_read(record, change))


def _time_is_over(
    record: RunRecord, asked: NeedsPayer, standing: Standing, terms: Terms
) -> Flow[RunResult]:
    """Call off what the payer did not approve in time, where it can be."""
    outcome: LookupOutcome | Cancelled = asked
    if terms.capabilities.cancels:
        attempt = record.attempts[-1]
        outcome = yield from call_off(attempt.key, attempt.reference)
    if isinstance(outcome, Cancelled) and outcome.key == asked.key:
        outcome = Declined(
            key=asked.key,
            code="PayerAbsent",
            decline_class=DeclineClass.LATER,
            message="The payer did not approve it in time.",
            account=asked.account,
        )
    if isinstance(outcome, (Captured, Pending, Declined)):
        return (yield from settle(record, outcome, terms))
    change = found(record, standing.now)
    if record.state is RunState.REVIEW or payer_is_late(record, standing.now):
        change = wait(record, standing.now, "The payer's time is over.")
    return (yield from finish_or_read(record, change))


def _absent(
    record: RunRecord,
    standing: Standing,
    terms: Terms,
    case: Case | None,
) -> Flow[RunResult]:
    """Act on a request that the gateway does not know, or wait (R4, R9)."""
    change = wait(record, standing.now, "The gateway does not know it.")
    if record.state is RunState.PENDING and not payer_is_late(
        record, standing.now
    ):
        change = missing(record, standing.now)
    if waits_for_payer(record) and terms.capabilities.cancels:
        # Called off, and the answer was lost, perhaps: ask again.
        return (yield from _cancel(record, standing, terms, change))
    if record.state is RunState.PENDING:
        pass
    elif standing.is_clock_suspect or not is_of_form(record, terms):
        # Another form of gateway knows nothing of it, so its word proves
        # nothing; nor does a look at a clock that is wrong.
        pass
    elif (yield from _is_absent(record, standing, terms)):
        change = withdraw(record, "The gateway never got the request.")
    elif case is not None:
        return (yield from _decide_again(record, standing, case, change))
    return (yield from finish_or_read(record, change))


def _decide_again(
    record: RunRecord, standing: Standing, case: Case, later: Change
) -> Flow[RunResult]:
    """Send again what is still right; call off what is not (R9)."""
    try:
        opened = yield from _right(record, standing, case)
    except (PortError, HostProtocolError):
        # Nothing is sent on balances that nobody could read.
        return (yield from finish_or_read(record, later))
    if opened is None:
        return (yield from _cancel(record, standing, case.terms))
    if not _may_send(record, standing, case.terms):
        return (yield from finish_or_read(record, later))
    change = try_again(record, standing.now, opened)
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return (yield from as_it_stands(record))
    return (yield from take(change.runs[0], case.terms, case.on))


def _is_absent(
    record: RunRecord, standing: Standing, terms: Terms
) -> Flow[bool]:
    """Tell whether it is proven that no money will ever move (R4)."""
    if not is_proven_absent(record, standing.now, terms):
        return False
    if terms.capabilities.two_step:
        return True
    # Of a capture whose key it has forgotten, a gateway says "not found",
    # too, and time went by since the clock was read.
    asked = yield from read_standing(
        record.key, record.attempts[-1].method, record.payer
    )
    return not asked.is_clock_suspect and is_proven_absent(
        record, asked.now, terms
    )


def _may_send(record: RunRecord, standing: Standing, terms: Terms) -> bool:
    """
    Tell whether the same request may be sent again at all (R4, R12).

    With growing pauses, however often somebody sweeps.
    """
    attempt = record.attempts[-1]
    sent_at = attempt.deadline - timedelta(seconds=SEND_SECONDS)
    return (
        record.state is RunState.OPEN
        and standing.now >= look_later(attempt.began_at, sent_at)
        and attempt.epoch == standing.epoch
        # After a clock was put right: as if the key were forgotten (R11).
        and attempt.began_at <= standing.now
        and (
            terms.capabilities.two_step
            or key_lives(record, standing.now, terms)
        )
    )


def _right(
    record: RunRecord, standing: Standing, case: Case
) -> Flow[OpenAmounts | None]:
    """
    Decide again whether a request is still right (R9).

    Same method, the order stands, the day allows it, and every line is still
    owed in full, read without this run's own reservation. Returns the open
    amounts that this rests on; None if it is not right any more.
    """
    if record.attempts[-1].method != case.autopay.method.fingerprint:
        return None
    if not isinstance(decision_on(case, standing), Charge):
        return None
    return (yield from still_owed(case, record, standing))


def _cancel(
    record: RunRecord,
    standing: Standing,
    terms: Terms,
    later: Change | None = None,
) -> Flow[RunResult]:
    """Call off at the gateway what is not right any more, if it can (R9)."""
    detail = "It is not right any more, and may still arrive."
    if terms.capabilities.cancels:
        attempt = record.attempts[-1]
        outcome = yield from call_off(attempt.key, attempt.reference)
        if isinstance(outcome, Cancelled) and outcome.key == attempt.key:
            change = withdraw(record, "It was called off at the gateway.")
            return (yield from finish_or_read(record, change))
        if isinstance(
            outcome, (Captured, Pending, NeedsPayer, Declined)
        ) and _is_news(record, outcome):
            return (yield from settle(record, outcome, terms))
    change = wait(record, standing.now, detail) if later is None else later
    return (yield from finish_or_read(record, change))


# -- Everything that was left under way ---------------------------------------


def _hand_over(results: tuple[RunResult, ...]) -> Stream[Any]:
    for each in results:
        yield Given(each)


def recover(
    terms: Terms, at_once: int = 1, hand_over: HandOver = _hand_over
) -> Stream[Any]:
    """
    Look at every run that was left under way, and offer notices (R4).

    Args:
        terms: The gateway's promises and the host's secret.
        at_once: So many may be looked at side by side (O3); see `lanes`.
        hand_over: Gives the results to the caller.

    """

    def look_at(record: object) -> Flow[tuple[RunResult, ...]]:
        return _look_at(record, terms)

    next_one = _Unfinished().take
    if at_once == 1:
        yield from one_by_one(look_at, hand_over, next_one)
    else:
        yield from side_by_side(look_at, hand_over, at_once, next_one)
    yield from deliver()


@final
class _Unfinished:
    """What was left under way, page by page."""

    def __init__(self) -> None:
        self._page: deque[RunRecord | Unreadable] = deque()
        self._after: RunKey | None = None
        self._is_more = True

    def take(self) -> Flow[list[object]]:
        """Return the next in a list; an empty one at the end."""
        if not self._page and self._is_more:
            page = yield from ask_either(
                ReadUnfinished(self._after, READ_AT_ONCE),
                RunRecord,
                Unreadable,
            )
            self._page.extend(page)
            self._is_more = len(page) == READ_AT_ONCE
            if self._is_more:
                self._after = place_of(page[-1])
        return [self._page.popleft()] if self._page else []


def _look_at(record: object, terms: Terms) -> Flow[tuple[RunResult, ...]]:
    """Look at one; what is wrong with it holds up no other (R6)."""
    if isinstance(record, Unreadable):
        return ((yield from tell_unreadable(record)),)
    assert isinstance(record, RunRecord)
    try:
        return ((yield from recover_one(record, terms)),)
    except Exception as error:  # noqa: BLE001 - R6
        return (set_back(record.key.autopay, error, record),)


def set_back(
    autopay: str, error: Exception, record: RunRecord | None = None
) -> RunResult:
    """Say what kept an auto-pay from its turn; the others go on (R6)."""
    if isinstance(error, AutopayError):
        reason, detail = error.code, report_text(str(error))
    else:
        reason = "Unexpected"
        detail = f"{type(error).__name__} was raised."
    return RunResult(
        key=None if record is None else record.key,
        autopay=autopay,
        status=RunStatus.POSTPONED,
        record=record,
        reason=reason,
        detail=detail,
    )
