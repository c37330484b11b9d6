"""
The first sending for a date after a store was restored or copied (R12).

Holds: `is_after_restore`, `sent_before`. Imports: `case`, `requests` and the
values. A restored store does not know what was sent after its backup; the
gateway does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import attrs

from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    Indeterminate,
    Moving,
    NeedsPayer,
    Pending,
    idempotency_key,
)
from autopay_core.commits import Standing
from autopay_core.engine.case import Case
from autopay_core.engine.requests import Flow, look_up
from autopay_core.errors import PortUnavailableError

__all__ = ["is_after_restore", "sent_before"]

NUMBERS_MOST: Final = 5
"""So many numbers of attempts are looked up for a date."""


def is_after_restore(case: Case, standing: Standing) -> bool:
    """Tell whether this date may have been charged and forgotten (R12)."""
    since = standing.restored_since
    if since is None:
        return False
    known_on = case.terms.policy.date_of(since) - timedelta(days=1)
    if case.on < known_on:
        return False
    record = standing.run
    return record is None or not any(
        each.epoch == standing.epoch for each in record.attempts
    )


def sent_before(
    case: Case, standing: Standing, request: ChargeRequest
) -> Flow[tuple[ChargeRequest, Moving | None]]:
    """
    Look up what was sent for a date and is not on record (R12).

    Under the keys of this store, of those that were lost or copied, and of
    the formula before stores had an id. Returns the request under the key
    that took money, with what it took; else under the first free number.

    Raises:
        PortUnavailableError: The gateway cannot tell now; nothing is sent.

    """
    secret, first = case.terms.secret, request.number
    free = first
    # All of them: a number may be free because it was called off.
    for number in range(first, first + NUMBERS_MOST):
        for store in _stores(standing):
            key = idempotency_key(secret, case.key, number, store=store)
            outcome = yield from look_up(key, None, case.terms)
            if isinstance(outcome, (Captured, Pending, NeedsPayer)):
                asked = attrs.evolve(request, key=key, number=number)
                return asked, outcome
            if isinstance(outcome, Indeterminate):
                raise PortUnavailableError(
                    "the store was restored, and the gateway cannot tell yet "
                    "what was sent for this date",
                    code="RestoreUnclear",
                )
            if isinstance(outcome, Declined):
                free = number + 1
    key = idempotency_key(secret, case.key, free, store=standing.store)
    return attrs.evolve(request, key=key, number=free), None


def _stores(standing: Standing) -> Iterator[str]:
    yield standing.store
    yield from sorted(standing.restored_stores - {standing.store})
    if standing.store:
        yield ""
