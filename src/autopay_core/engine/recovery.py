"""
How a run that was left under way goes on (R4, R7).

Holds: `recover_one`. Imports: `charging`, `driving`, `requests`, `steps`,
`telling` and the values.
"""

from __future__ import annotations

from typing import Final

from autopay_core._checks import report_text
from autopay_core.charges import (
    Captured,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.commits import Conflict, Standing
from autopay_core.engine.charging import (
    as_it_stands,
    finish_or_read,
    settle,
    take,
)
from autopay_core.engine.driving import Given
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadUnfinished,
    Request,
    Stream,
    Terms,
    ask_many,
    commit,
    look_up,
    read_standing,
)
from autopay_core.engine.steps import (
    cancel,
    is_of_form,
    is_proven_absent,
    key_ends,
    key_lives,
    look_later,
    mismatch,
    not_sent,
    review,
    try_again,
    wait,
)
from autopay_core.engine.telling import deliver
from autopay_core.errors import AutopayError, PortUnavailableError
from autopay_core.references import RunKey
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    result_of,
)

__all__ = ["recover", "recover_one", "set_back"]


# -- Recovery ----------------------------------------------------------------


def recover_one(
    record: RunRecord, terms: Terms, *, is_off: bool = False
) -> Flow[RunResult]:
    """
    Go on with a run that was left under way (R4).

    Ask the gateway for the key; take a clear answer. Not found means nothing
    by itself: the same request goes out again under the same key while the
    gateway still keeps the key; a stopped one is let go only when it is
    proven that it can take no money; what is too old is parked for review,
    and looked up for ever.

    Args:
        record: Open, pending or in review.
        terms: The gateway's promises and the host's secret.
        is_off: The host says that it is turned off, as a stop order would.

    """
    method = record.attempts[-1].method if record.attempts else ""
    standing = yield from read_standing(record.key, method)
    record = record if standing.run is None else standing.run
    if standing.run is None or record.state not in RESERVING_STATES:
        return result_of(record)
    is_stopped = standing.is_stopped or is_off
    if _is_unprepared(record):
        return (
            yield from _prepare_again(
                record, standing, terms, is_stopped=is_stopped
            )
        )
    outcome = yield from look_up(record.attempts[-1].key)
    if isinstance(outcome, NotFound):
        settled = yield from _absent(
            record, standing, terms, is_stopped=is_stopped
        )
        if settled is not None:
            return settled
        detail = "The gateway does not know the request."
    elif isinstance(outcome, Indeterminate):
        detail = f"The gateway is not sure. {outcome.detail}"
    elif _is_news(record, outcome):
        return (yield from settle(record, outcome))
    else:
        detail = ""
    change = wait(record, standing.now, detail, terms)
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


def _prepare_again(
    record: RunRecord, standing: Standing, terms: Terms, *, is_stopped: bool
) -> Flow[RunResult]:
    """Go on with a run that surely moved nothing, or let it go (R7)."""
    if is_stopped:
        return (yield from finish_or_read(record, cancel(record)))
    if not is_of_form(record, terms):
        change = not_sent(record, _NO_FORM)
        return (yield from finish_or_read(record, change))
    return (yield from _send_again(record, standing, terms))


_NO_FORM: Final = PortUnavailableError(
    "the gateway has one step now", code="GatewayForm"
)


def _absent(
    record: RunRecord, standing: Standing, terms: Terms, *, is_stopped: bool
) -> Flow[RunResult | None]:
    """Act on a request that the gateway does not know, or wait (R4, R7)."""
    if record.state is RunState.PENDING and standing.now >= key_ends(
        record, terms
    ):
        # It was accepted once, so only a person can tell what became of it.
        later = look_later(record.attempts[-1].began_at, standing.now)
        change = review(
            record,
            "Unresolved",
            "The gateway has forgotten a debit that it had accepted.",
            later,
        )
        return (yield from finish_or_read(record, change))
    if record.state is not RunState.OPEN or standing.is_clock_suspect:
        return None
    if not is_of_form(record, terms):
        # Another gateway knows nothing of it, so its word proves nothing.
        return None
    if is_stopped:
        return (yield from _let_go(record, standing, terms))
    if terms.capabilities.two_step or key_lives(record, standing.now, terms):
        return (yield from _send_again(record, standing, terms))
    return None


def _let_go(
    record: RunRecord, standing: Standing, terms: Terms
) -> Flow[RunResult | None]:
    """End a stopped run once it is proven that it can take no money (R7)."""
    if not is_proven_absent(record, standing.now, terms):
        return None
    # Of a capture whose key it has forgotten, a gateway says "not found",
    # too, and time went by since the clock was read.
    asked = yield from read_standing(record.key, record.attempts[-1].method)
    if asked.is_clock_suspect or asked.now >= key_ends(record, terms):
        return None
    return (yield from finish_or_read(record, cancel(record)))


def _is_news(
    record: RunRecord, outcome: Captured | Pending | Declined
) -> bool:
    """Tell whether a look-up says more than the record knows."""
    if record.state is RunState.PENDING and isinstance(outcome, Pending):
        return False
    # In review the same wrong answer was told before.
    return record.state is not RunState.REVIEW or not mismatch(record, outcome)


def _send_again(
    record: RunRecord, standing: Standing, terms: Terms
) -> Flow[RunResult]:
    """Send the same request again under the same key (R4)."""
    if standing.is_clock_suspect:
        change = wait(record, standing.now, "The clock is wrong.", terms)
        return (yield from finish_or_read(record, change))
    change = try_again(record, standing.now)
    written = yield from commit(change)
    if isinstance(written, Conflict):
        return (yield from as_it_stands(record))
    return (yield from take(change.runs[0], terms))


# -- Everything that was left under way ---------------------------------------


def recover(terms: Terms) -> Stream[Request]:
    """Go on with every run that was left under way, and with notices (R4)."""
    after: RunKey | None = None
    while True:
        records = yield from ask_many(
            ReadUnfinished(after, READ_AT_ONCE), RunRecord
        )
        for record in records:
            try:
                result = yield from recover_one(record, terms)
            except Exception as error:  # noqa: BLE001 - R6
                result = set_back(record.key.autopay, error, record)
            yield Given(result)
        if len(records) < READ_AT_ONCE:
            break
        after = records[-1].key
    yield from deliver()


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
