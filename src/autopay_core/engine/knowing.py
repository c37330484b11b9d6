"""
What is on record of an auto-pay, as far as its dates depend on it (S14).

Holds: `record_of`, `payments_left`, and for whoever lists them `all_postings`,
`all_batches` and `in_batches`. Imports: `requests` and the values. What an
order has collected is read from its postings, so that what was returned does
not count.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import attrs

from autopay_core.autopay import AutoPay, Known
from autopay_core.batches import Batch, BatchState
from autopay_core.commits import (
    BatchFilter,
    Decoded,
    PostingFilter,
    Standing,
    Unreadable,
    decoded,
)
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadBatches,
    ReadPostings,
    ReadSpent,
    ask,
    id_of,
    read_all,
)
from autopay_core.limits import Spent
from autopay_core.money import Money
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.runs import RESERVING_STATES
from autopay_core.schedules import Occurrence

__all__ = [
    "all_batches",
    "all_postings",
    "in_batches",
    "payments_left",
    "record_of",
]

_RECENT: Final = timedelta(days=62)
"""For so long a payment keeps its week, half month or month (S15)."""


def record_of(autopay: AutoPay, as_of: date) -> Flow[Known]:
    """Read what an order has collected, as far as its end depends on it."""
    since = None if autopay.payments is not None else as_of - _RECENT
    collected = yield from _collected(autopay, since)
    spent = None
    if autopay.limit.lifetime is not None:
        currency = autopay.limit.currency
        taken = yield from ask(
            ReadSpent(autopay.id, date.min, date.max, currency), Money
        )
        spent = Spent(month=Money.zero(currency), lifetime=taken)
    return Known(
        spent=spent,
        collected=len(collected),
        recent=tuple(
            each for each in collected if each.charge_on >= as_of - _RECENT
        ),
    )


def payments_left(
    autopay: AutoPay, key: RunKey, standing: Standing
) -> Flow[int | None]:
    """
    Return how many of the agreed payments are not collected or on the way.

    The run *key* itself is counted as left; a payment on demand is none of
    them, and has None, as an order without such an agreement (S8, R14).
    """
    if autopay.payments is None or key.number:
        return None
    collected = yield from _collected(autopay, None)
    dates = {each.nominal_on for each in collected}
    dates |= {
        each.key.nominal_on
        for each in standing.unfinished
        if each.state in RESERVING_STATES and not each.key.number
    }
    return max(autopay.payments - len(dates - {key.nominal_on}), 0)


def all_postings(wanted: PostingFilter) -> Flow[list[Posting | Unreadable]]:
    """Read all that a filter shows, in order of id, page by page (R6)."""
    wanted = attrs.evolve(wanted, most=READ_AT_ONCE)
    return (
        yield from read_all(
            lambda after: ReadPostings(attrs.evolve(wanted, after=after)),
            Posting,
            None,
            id_of,
        )
    )


def all_batches(wanted: BatchFilter) -> Flow[Decoded[Batch]]:
    """Read all that a filter shows, in order of id, page by page (R6)."""
    wanted = attrs.evolve(wanted, most=_BATCHES_AT_ONCE)
    found = yield from read_all(
        lambda after: ReadBatches(attrs.evolve(wanted, after=after)),
        Batch,
        "",
        id_of,
        most=_BATCHES_AT_ONCE,
    )
    return Decoded(found)


def in_batches() -> Flow[frozenset[str]]:
    """Return the ids of what is in a batch that is not answered (P5)."""
    found = yield from all_batches(BatchFilter(states=_UNANSWERED))
    return frozenset(
        str(each.id) for batch in found for each in batch.postings
    )


_BATCHES_AT_ONCE: Final = 20
"""Each may hold thousands of postings."""

_UNANSWERED: Final = frozenset({BatchState.OPEN, BatchState.EXPORTED})


def _collected(autopay: AutoPay, since: date | None) -> Flow[list[Occurrence]]:
    """Read the dates that were collected and not returned, ascending."""
    net: dict[RunKey, int] = {}
    taken_on: dict[RunKey, date] = {}
    wanted = PostingFilter(payer=autopay.payer, charged_from=since)
    for each in map(decoded, (yield from all_postings(wanted))):
        key = each.run
        if key.autopay != autopay.id or key.number:
            continue
        net[key] = net.get(key, 0) + each.amount.amount_minor
        if each.reverses is None:
            taken_on[key] = each.charged_on
    return [
        Occurrence(nominal_on=key.nominal_on, charge_on=on)
        for key, on in sorted(taken_on.items())
        if net[key] > 0
    ]
