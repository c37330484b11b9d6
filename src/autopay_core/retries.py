"""
Whether a declined charge may be tried again, and when (N3).

Holds: `RetryPolicy`, the networks' limits as dated tables, `next_attempt()`.
Imports: `charges`, `money` and `references`. Off unless an auto-pay has a
policy; never after a hard decline. Attempts are counted per payment method
across everything that charges it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import Readable, a_number
from autopay_core.charges import DeclineClass, Declined
from autopay_core.money import Money
from autopay_core.references import MethodKind, PaymentMethodRef

__all__ = [
    "NETWORK_LIMITS",
    "AttemptRecord",
    "NetworkLimit",
    "RetryPolicy",
    "next_attempt",
]


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class NetworkLimit(Readable):
    """
    What one network allows, as of a date.

    Attributes:
        network: Lower case, as in `PaymentMethodRef.network`.
        since: First day on which these limits are known to hold.
        windows: Pairs of days and attempts: at most so many attempts within
            so many days, first tries included.
        retries_most: Most retries of one payment; None if the windows say.
        within_days: Retries end so many days after the first try.
        only_codes: Codes that may be retried at all; empty for all.
        never_codes: Codes that must never be retried.
        same_amount: A retry must ask for the same amount.
        source: Where the limits are published.

    """

    network: str
    since: date
    windows: tuple[tuple[int, int], ...] = ()
    retries_most: int | None = None
    within_days: int | None = None
    only_codes: frozenset[str] = frozenset()
    never_codes: frozenset[str] = frozenset()
    same_amount: bool = False
    source: str = ""


NETWORK_LIMITS: Final[tuple[NetworkLimit, ...]] = (
    NetworkLimit(
        network="ach",
        since=date(2014, 9, 19),
        retries_most=2,
        within_days=180,
        only_codes=frozenset({"R01", "R09"}),
        same_amount=True,
        source="Nacha Operating Rules, reinitiation of entries",
    ),
    NetworkLimit(
        network="visa",
        since=date(2021, 4, 17),
        windows=((30, 15),),
        # Category 1: the issuer will never approve.
        never_codes=frozenset(
            {"04", "07", "12", "15", "41", "43", "46", "57", "R0", "R1", "R3"}
        ),
        source="Visa Core Rules, excessive reattempts",
    ),
    NetworkLimit(
        network="mastercard",
        since=date(2022, 10, 14),
        windows=((1, 10), (30, 35)),
        # "Do not try again" comes as an advice code beside the decline; an
        # adapter maps it to DeclineClass.NEVER.
        source="Mastercard Transaction Processing Excellence",
    ),
)
"""The networks' limits (N3); a later row of a network replaces an earlier."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class RetryPolicy(Readable):
    """
    How an auto-pay retries a decline.

    Attributes:
        retries_most: Retries after the first attempt; 1 to 3.
        every_days: Whole days between attempts; 1 to 30.
        within_days: No retry later than so many days after the first.

    Raises:
        InvalidValueError: A number out of its range.

    """

    retries_most: int = attrs.field(default=2, validator=a_number(1, 3))
    every_days: int = attrs.field(default=3, validator=a_number(1, 30))
    within_days: int = attrs.field(default=21, validator=a_number(1, 180))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class AttemptRecord(Readable):
    """
    One attempt that charged a payment method, by whichever auto-pay.

    Attributes:
        at: Store time when it began.
        amount: What was asked for.

    """

    at: datetime
    amount: Money


def network_limit(
    method: PaymentMethodRef, on: date, /
) -> NetworkLimit | None:
    """Return the limit that holds for *method* on a date, if one is known."""
    network = method.network
    if not network and method.kind is MethodKind.BANK_ACCOUNT:
        network = "ach"
    known = [
        each
        for each in NETWORK_LIMITS
        if each.network == network and each.since <= on
    ]
    return max(known, key=lambda each: each.since, default=None)


def next_attempt(
    policy: RetryPolicy | None,
    declined: Declined,
    method: PaymentMethodRef,
    *,
    tried: Sequence[datetime],
    everywhere: Sequence[AttemptRecord],
) -> datetime | None:
    """
    Return the earliest time of another attempt, or None for never (N3).

    Args:
        policy: The auto-pay's; None retries nothing.
        declined: The last attempt's decline.
        method: The payment method.
        tried: When each attempt of this run began, in order.
        everywhere: Every attempt that charged the method, within the last
            180 days, this run's among them.

    """
    if policy is None or declined.decline_class is not DeclineClass.LATER:
        return None
    first, last = tried[0], tried[-1]
    at = last + timedelta(days=policy.every_days)
    most, within = policy.retries_most, policy.within_days
    limit = network_limit(method, last.date())
    if limit is not None:
        code = declined.code
        if code in limit.never_codes or (
            limit.only_codes and code not in limit.only_codes
        ):
            return None
        if limit.retries_most is not None:
            most = min(most, limit.retries_most)
        if limit.within_days is not None:
            within = min(within, limit.within_days)
        for days, attempts in limit.windows:
            at = max(at, _window_opens(days, attempts, everywhere, at))
    if len(tried) > most or at - first > timedelta(days=within):
        return None
    return at


def _window_opens(
    days: int,
    attempts: int,
    everywhere: Sequence[AttemptRecord],
    earliest: datetime,
) -> datetime:
    """Return when *attempts* in *days* leave room for one more."""
    times = sorted((each.at for each in everywhere), reverse=True)
    if len(times) < attempts:
        return earliest
    # The attempt that must have left the window first.
    return times[attempts - 1] + timedelta(days=days)
