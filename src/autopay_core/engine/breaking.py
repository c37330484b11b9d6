"""
The breaker: whether an answer holds the store, and that hold (H4).

Holds: `list_holds`, and `guarded`, which adds to a change what a tripped
breaker does. Imports: `requests`, `holds` and the values. What
counts is on record, whoever asked: two workers that trip it at once make two
holds, and each says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

import attrs

from autopay_core.charges import DeclineClass, Declined
from autopay_core.commits import Change, Decoded, Unreadable
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadHolds,
    ReadSent,
    Terms,
    ask_either,
    id_of,
    read_all,
    read_standing,
)
from autopay_core.holds import (
    BREAKER,
    Hold,
    hold_for_breaker,
    hold_for_decline,
    lift_caused,
    trips_now,
)
from autopay_core.notices import NoticeKind, notice_for_firm
from autopay_core.runs import Attempt, RunRecord, is_same_account

__all__ = ["guarded", "list_holds"]

_SENT_MOST: Final = 200
"""So many runs are looked at; what counts are the last 40 sendings."""


def list_holds() -> Flow[Decoded[Hold]]:
    """Read every hold in force, by id (R6)."""
    found = yield from read_all(
        lambda after: ReadHolds(after, READ_AT_ONCE), Hold, "", id_of
    )
    return Decoded(found)


def guarded(change: Change, terms: Terms) -> Flow[Change]:
    """
    Return *change*, with the hold on the store if its answer trips one (H4).

    Then the holds on methods that these answers made are lifted, for a
    gateway that is out of order says nothing about a payment method.

    Args:
        change: The step that writes an answer, as it would be written.
        terms: The host's.

    """
    breaker, record = terms.policy.breaker, change.runs[-1]
    attempt = record.attempts[-1]
    if breaker is None or not _is_bad(record, attempt, record.charge_on):
        return change
    standing = yield from read_standing(
        record.key, attempt.method, record.payer
    )
    if any(each.rule == BREAKER for each in standing.holds):
        # One that was on its way when it tripped.
        return attrs.evolve(change, holds=())
    since = standing.now - breaker.within
    runs = yield from ask_either(
        ReadSent(since, _SENT_MOST), RunRecord, Unreadable
    )
    on = terms.policy.date_of(standing.now)
    answers = [
        each
        for each in _answers(record, runs, on)
        if each.at >= since and is_same_account(each.account, attempt.account)
    ]
    if not trips_now(breaker, [each.is_bad for each in answers]):
        return change
    held = hold_for_breaker(
        attempt.account, cause=str(attempt.key), since=standing.now
    )
    in_force = yield from list_holds()
    bad = {each.key for each in answers if each.is_bad}
    return attrs.evolve(
        change,
        holds=(held, *lift_caused(in_force, bad)),
        notices=(
            *change.notices,
            notice_for_firm(
                NoticeKind.HELD,
                on=on,
                reason="Breaker",
                detail=(
                    f"{held.reason[0].upper()}{held.reason[1:]}: {len(bad)} "
                    f"of the last {len(answers)} within {breaker.within}. "
                    "The holds that these answers put on payment methods are "
                    "lifted. Look into it, then lift the hold on the store."
                ),
                occasion=held.id,
            ),
        ),
    )


class _Answer(NamedTuple):
    """One sending's, in the order of when it was meant."""

    at: datetime
    key: str
    account: str
    is_bad: bool


def _answers(
    record: RunRecord, runs: Sequence[RunRecord | Unreadable], on: date
) -> list[_Answer]:
    """Return the answers on record, and the one that is about to be."""
    found = {
        each.key: each
        for run in runs
        if isinstance(run, RunRecord) and run.key != record.key
        for each in _answers_of(run, on)
    }
    mine = list(_answers_of(record, on))
    return [*sorted(found.values()), *mine]


def _answers_of(record: RunRecord, on: date) -> Iterator[_Answer]:
    for each in record.attempts:
        is_bad = _is_bad(record, each, on)
        if is_bad or each.outcome is not None:
            yield _Answer(each.began_at, str(each.key), each.account, is_bad)


def _is_bad(record: RunRecord, attempt: Attempt, on: date) -> bool:
    """Tell whether an answer says that the gateway may be out of order."""
    outcome = attempt.outcome
    if not isinstance(outcome, Declined):
        return outcome is None and attempt.erred
    method = None if record.intent is None else record.intent.request.method
    if method is not None and method.fingerprint == attempt.method:
        return hold_for_decline(outcome, method, on=on) is not None
    return outcome.decline_class is DeclineClass.NEVER
