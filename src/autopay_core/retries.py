"""
Whether a declined charge may be tried again, and on which day (N3).

Holds: `RetryPolicy`, the networks' limits as dated tables, `after_decline`
and what it answers (`Retry`, `AnotherMethod`), `window_opens_at`; and
`next_attempt`, as it was before. Imports: `business_days`, `charges`, `money`,
`policy` and `references`. Off unless an auto-pay has a policy; never after a
hard decline. Declines are counted per payment method across everything that
charges it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import DATE_MAX, Readable, a_number
from autopay_core.business_days import BusinessCalendar, open_on_or_after
from autopay_core.charges import DeclineClass, Declined
from autopay_core.money import Money
from autopay_core.policy import firm_date
from autopay_core.references import MethodKind, PaymentMethodRef

__all__ = [
    "NETWORK_LIMITS",
    "AnotherMethod",
    "AttemptRecord",
    "NetworkLimit",
    "Retry",
    "RetryPolicy",
    "after_decline",
    "next_attempt",
    "window_opens_at",
]

_ACH_CODE: Final = re.compile("R[0-9]{2}")
_LATEST: Final = datetime.combine(DATE_MAX, time(), UTC)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class NetworkLimit(Readable):
    """
    What one network allows, as of a date.

    Attributes:
        network: Lower case, as in `PaymentMethodRef.network`.
        since: First day on which these limits are known to hold.
        windows: Pairs of days and attempts: at most so many declined ones,
            and ones in doubt, within so many days, first tries included.
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

    With a policy a run whose method is refused for good waits for another
    method, which starts anew: its first attempt is no retry.

    Attributes:
        retries_most: Retries after the first attempt; 1 to 3.
        every_days: Whole days from the date on which a decline is known to
            the next attempt; 1 to 30.
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


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Retry(Readable):
    """
    It may be tried again.

    Attributes:
        on: The firm's date, an open day of the auto-pay's calendar; it is
            what is told.
        at: The instant before which it may not be sent, because of a
            network's window or what the answer said; None if it is over
            before the first day that the policy allows.
        same_amount: Only the same amount may be asked for again.

    """

    on: date
    at: datetime | None
    same_amount: bool


@final
@attrs.frozen(repr=False, eq=False)
class AnotherMethod(Readable):
    """Only another payment method can help; the run waits for one."""


def after_decline(  # noqa: PLR0913 - one parameter for each thing known
    policy: RetryPolicy | None,
    declined: Declined,
    method: PaymentMethodRef,
    /,
    *,
    known_on: date,
    tries: int,
    first_on: date,
    calendar: BusinessCalendar | None = None,
    declines: Iterable[datetime] = (),
    not_before: datetime | None = None,
    zone: str = "UTC",
    is_method_held: bool = False,
) -> Retry | AnotherMethod | None:
    """
    Tell what a decline leaves to be done, or None for nothing (N3).

    The days are the firm's, and counted from the day on which the decline
    was known: a bank says no days after it was asked. A window of the network
    and what the answer asked for move the retry on, and if it cannot be
    within the policy's days, it is not tried again.

    >>> declined = Declined(
    ...     key="k", code="51", decline_class=DeclineClass.LATER
    ... )
    >>> card = PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c")
    >>> after_decline(
    ...     RetryPolicy(every_days=3),
    ...     declined,
    ...     card,
    ...     known_on=date(2026, 1, 31),
    ...     tries=1,
    ...     first_on=date(2026, 1, 31),
    ... ).on
    datetime.date(2026, 2, 3)

    Args:
        policy: The auto-pay's; None retries nothing.
        declined: The last answer.
        method: What was charged.
        known_on: The firm's date on which the answer was known.
        tries: This run's attempts with this very method that left the
            machine, this one among them. Another method starts anew.
        first_on: The firm's date of the first of them.
        calendar: The auto-pay's; None knows no closed day.
        declines: When each attempt of the method that was declined or is in
            doubt began, over everything in the store, this one among them;
            within the last 30 days.
        not_before: What the answer asked for, or None.
        zone: The firm's, by IANA name.
        is_method_held: The answer holds the method (`hold_for_decline`).

    """
    if policy is None:
        return None
    kind, code = declined.decline_class, declined.code
    limit = _limit_for_code(method, code, known_on)
    if (
        is_method_held
        or kind in {DeclineClass.NEVER, DeclineClass.FIX_FIRST}
        or (limit is not None and code in limit.never_codes)
    ):
        return AnotherMethod()
    if kind is not DeclineClass.LATER or (
        limit is not None and limit.only_codes and code not in limit.only_codes
    ):
        return None
    most, within = policy.retries_most, policy.within_days
    if limit is not None and limit.retries_most is not None:
        most = min(most, limit.retries_most)
    if limit is not None and limit.within_days is not None:
        within = min(within, limit.within_days)
    at = max(
        (
            each
            for each in (
                window_opens_at(method, declines, known_on),
                not_before,
            )
            if each is not None
        ),
        default=None,
    )
    on = known_on + timedelta(days=policy.every_days)
    if at is not None:
        # A gateway may name any time at all; later than every run is never.
        opens_on = firm_date(min(at, _LATEST), zone)
        if opens_on < on:
            at = None
        on = max(on, opens_on)
    on = open_on_or_after(calendar, on)
    if tries > most or on - first_on > timedelta(days=within):
        return None
    return Retry(
        on=on,
        at=at,
        same_amount=limit is not None and limit.same_amount,
    )


def window_opens_at(
    method: PaymentMethodRef, declines: Iterable[datetime], on: date, /
) -> datetime | None:
    """
    Return when a method's network lets it be charged again, or None (N3).

    Asked before every sending, the first one of a run too: twelve auto-pays
    of one card that has no money make ten attempts a day, not twelve. The
    instant may be over; then the window is open.

    Args:
        method: What is to be charged.
        declines: When each attempt of the method that was declined or is in
            doubt began, over everything in the store, in any order; within
            the last 30 days. What was approved, and what never left the
            machine, is not among them.
        on: The firm's date; the network's limits of that day count.

    Returns:
        None if no window is full however one looks.

    """
    limit = network_limit(method, on)
    if limit is None:
        return None
    times = sorted(declines, reverse=True)
    return max(
        (
            # What must have left the window before one more may come.
            times[most - 1] + timedelta(days=days)
            for days, most in limit.windows
            if len(times) >= most
        ),
        default=None,
    )


def is_ach_code(code: str, /) -> bool:
    """Tell whether *code* is the ACH's, whatever the method says (H2)."""
    return _ACH_CODE.fullmatch(code) is not None


def _limit_for_code(
    method: PaymentMethodRef, code: str, on: date
) -> NetworkLimit | None:
    if is_ach_code(code):
        method = attrs.evolve(method, network="ach")
    return network_limit(method, on)


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

    By instants, and with every attempt counted; `after_decline` goes by the
    firm's days, and counts declines.

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
