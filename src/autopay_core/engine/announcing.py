"""
Amount and date of the next debit, announced in good time (N4).

Holds: `announce_ahead`, and `known_of_end`, on which it depends whether there
is a next date. Imports: `case`, `knowing`, `planning`, `requests`, `steps` and
the values. What a payer's other orders have announced is found by a list that
the store keeps for the payer, so that no invoice is announced twice, in
whatever order and on whatever machine the orders have their turns.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import attrs

from autopay_core._hashes import sha256
from autopay_core._life import NOTHING_KNOWN
from autopay_core.autopay import AutoPay, Known, upcoming
from autopay_core.commits import Change, Conflict, Standing, Told
from autopay_core.engine.case import case_of
from autopay_core.engine.knowing import record_of
from autopay_core.engine.planning import added, announced_of, look_ahead
from autopay_core.engine.requests import (
    THE_STORE,
    Flow,
    Send,
    Terms,
    commit,
    read_standing,
)
from autopay_core.engine.steps import charge_lines, left_of, next_version
from autopay_core.errors import (
    HostProtocolError,
    InvalidValueError,
    PortError,
)
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunResult, RunState, result_of
from autopay_core.schedules import Occurrence

__all__ = ["announce_ahead", "known_of_end"]

_ANNOUNCE_DAYS: Final = 4
"""An announcement goes out this much earlier, so that one late sweep is none
too late."""

_ANNOUNCES: Final = "It announces."


def known_of_end(autopay: AutoPay, as_of: date) -> Flow[Known]:
    """Read what its end depends on, if that is anything on record (S8)."""
    if autopay.payments is None:
        return NOTHING_KNOWN
    return (yield from record_of(autopay, as_of))


def _is_news(before: RunRecord | None, occurrence: Occurrence) -> bool:
    """Tell whether a date is to be announced: first, or since it moved."""
    return before is None or (
        before.state is RunState.ANNOUNCED
        and before.charge_on != occurrence.charge_on
    )


def _is_used_up(autopay: AutoPay, known: Known, standing: Standing) -> bool:
    """Tell whether other dates have the payments that are left (S8, N4)."""
    if autopay.payments is None:
        return False
    ahead = sum(
        not each.key.number
        for each in standing.unfinished
        if standing.run is None or each.key != standing.run.key
    )
    return known.payments + ahead >= autopay.payments


def announce_ahead(
    autopay: AutoPay, as_of: date, terms: Terms
) -> Flow[list[RunResult]]:
    """
    Announce amount and date of the next debit, once, in good time (N4).

    The announcement is on record only when the notifier has accepted it;
    until then the run may not take money.
    """
    policy = autopay.advance_notice
    assert policy is not None
    known = yield from known_of_end(autopay, as_of)
    occurrence = upcoming(
        autopay, as_of + timedelta(days=policy.days), known=known
    )
    if occurrence is None or (
        (occurrence.charge_on - as_of).days > policy.days + _ANNOUNCE_DAYS
    ):
        return []
    case = case_of(autopay, occurrence, terms)
    standing = yield from read_standing(
        case.key, autopay.method.fingerprint, autopay.payer
    )
    before = standing.run
    if (
        not _is_news(before, occurrence)
        or standing.holds
        or _is_used_up(autopay, known, standing)
    ):
        return []
    announcing = yield from read_standing(_list_of(autopay.payer), "", "")
    try:
        others = yield from _announced_by_others(autopay, as_of, announcing)
        # A date that was moved is planned as if it had not been announced.
        plan = yield from look_ahead(
            case,
            attrs.evolve(standing, run=None),
            others,
        )
    except (InvalidValueError, HostProtocolError, PortError):
        return []  # The run itself will say what is wrong.
    allocation = plan.allocation
    if not allocation.total.is_positive or policy.allows(allocation.total):
        return []
    record = RunRecord(
        key=case.key,
        payer=autopay.payer,
        version=next_version(before, RunState.ANNOUNCED, case.key),
        state=RunState.ANNOUNCED,
        charge_on=occurrence.charge_on,
        plan=allocation,
        decision=plan.decision,
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
        # Another amount, or another day, is another announcement.
        occasion=str(allocation.total)
        if before is None
        else f"{allocation.total} {occurrence.charge_on}",
        lines=charge_lines(allocation),
        left=left_of(allocation),
        method=autopay.method.described,
    )
    is_new = autopay.id not in announcing.told
    return (yield from _say(record, notice, autopay if is_new else None))


def _list_of(payer: str) -> RunKey:
    """Return the key under which a payer's announcing orders are listed."""
    # Of a fixed length, for an id may be as long as a payer's.
    return attrs.evolve(THE_STORE, autopay=f"-{sha256(payer)[:32]}")


def _announced_by_others(
    autopay: AutoPay, as_of: date, announcing: Standing
) -> Flow[dict[str, Money]]:
    """Add up what the payer's other orders have announced (N4)."""
    found: dict[str, Money] = {}
    for other in sorted(announcing.told.keys() - {autopay.id}):
        key = RunKey(autopay=other, nominal_on=as_of)
        standing = yield from read_standing(key, "", "")
        found = added(found, announced_of(standing.unfinished))
    return found


def _say(
    record: RunRecord, notice: Notice, new: AutoPay | None
) -> Flow[list[RunResult]]:
    """
    Announce, and put it on record when the notifier has accepted it.

    With an order that announces for the first time, for its payer's others.
    """
    yield from commit(Change(notices=(notice,)))
    try:
        yield Send(notice)
    except PortError:
        return []
    told = () if new is None else (_listed(new, notice),)
    written = yield from commit(
        Change(runs=(record,), delivered=(notice.key,), told=told)
    )
    return [] if isinstance(written, Conflict) else [result_of(record)]


def _listed(autopay: AutoPay, notice: Notice) -> Told:
    return Told(
        autopay=_list_of(autopay.payer).autopay,
        topic=autopay.id,
        said=_ANNOUNCES,
        key=notice.key,
    )
