"""
What a seed decides: faults and their strength, promises, the world's people.

Holds: `Settings` and `draw_settings`. Imports: the values. Swarm testing:
every kind of fault has a strength of its own in each seed, often none, so that
one kind does not always drown another.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.allocation import Order
from autopay_core.associations import Association
from autopay_core.autopay import AdvanceNotice, AutoPay, Enrollment
from autopay_core.charges import GatewayCapabilities
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import MissedPolicy, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

__all__ = [
    "CLIENTS",
    "EPOCH",
    "MATTERS",
    "THEMES",
    "Settings",
    "Theme",
    "at",
    "draw_autopays",
    "draw_invoices",
    "draw_settings",
    "edited",
    "usd",
]

EPOCH: Final = datetime(2026, 1, 1, 6, tzinfo=UTC)
"""When every simulated world begins."""

STRENGTHS: Final = (0, 0, 1, 1, 3, 8)
"""Strengths of one kind of fault; 8 hits about one call in eight."""

RATE: Final = 0.012
"""Chance of a fault at each opportunity, for strength 1."""

FAULTS: Final = (
    "kill_before",
    "kill_after",
    "down",
    "commit_unknown",
    "request_lost",
    "answer_lost",
    "late",
    "twice",
    "raises",
    "garbled",
    "declines",
    "lag",
    "pages",
    "foreign",
    "notifier",
)
"""What can go wrong at a call."""

EVENTS: Final = (
    "minutes",
    "hours",
    "days",
    "land",
    "staff",
    "ledger",
    "batch",
    "by_hand",
    "billing",
    "stop",
    "edit",
    "debits",
    "returns",
    "skew",
)
"""What happens in the world between two calls."""

_LEAST: Final[Mapping[str, int]] = {
    "minutes": 6,
    "land": 2,
    "ledger": 2,
    "debits": 1,
    "days": 1,
}

CLIENTS: Final = ("C1", "C2")
MATTERS: Final = (("C1", "M1"), ("C1", "M2"), ("C2", "M3"))


_MOST: Final[Mapping[str, int]] = {
    "stop": 2,
    "edit": 3,
    "by_hand": 3,
    "batch": 3,
}


@lru_cache(maxsize=4096)
def usd(minor: int) -> Money:
    """Return *minor* cents."""
    return Money(amount_minor=minor, currency="USD")


@lru_cache(maxsize=65536)
def at(seconds: int) -> datetime:
    """Return the instant so many seconds after the beginning."""
    return EPOCH + timedelta(seconds=seconds)


@final
@attrs.frozen(kw_only=True)
class Theme:
    """
    A mix of faults and events that goes to one point.

    Attributes:
        rates: Chance of each fault, where it is not left to chance.
        events: Weight of each event, likewise.
        retention: Seconds for which the gateway keeps keys; any if empty.
        settle: Seconds until a look-up shows a request; any if empty.

    """

    rates: Mapping[str, float] = attrs.field(factory=dict[str, float])
    events: Mapping[str, int] = attrs.field(factory=dict[str, int])
    retention: tuple[int, ...] = ()
    settle: tuple[int | None, ...] = ()


THEMES: Final[Mapping[str, Theme]] = {
    # Doubts that are told to stop.
    "stops": Theme(
        rates={"late": 0.12, "answer_lost": 0.15, "lag": 0.6, "twice": 0.05},
        events={"stop": 5, "land": 4, "minutes": 8, "hours": 6, "days": 0},
        settle=(0, 30, 3_600, 3_600),
        retention=(24 * 3_600,),
    ),
    # Keys that grow old under workers that sleep.
    "keys": Theme(
        rates={"answer_lost": 0.12, "late": 0.05, "kill_after": 0.05},
        events={"hours": 12, "minutes": 8, "stop": 4, "land": 2, "days": 0},
        retention=(3_600,),
        settle=(0, 30, 600),
    ),
    # A network that breaks at every turn.
    "network": Theme(
        rates={
            "down": 0.1,
            "answer_lost": 0.15,
            "commit_unknown": 0.05,
            "raises": 0.05,
        },
        events={"minutes": 10, "hours": 2, "days": 1},
    ),
    # Declines and their retries, day after day.
    "retries": Theme(
        rates={"declines": 0.4, "late": 0.03},
        events={"days": 6, "debits": 4, "minutes": 4, "hours": 1},
    ),
    # Postings on their way into the ledger.
    "postings": Theme(
        rates={"kill_before": 0.005, "down": 0.005},
        events={"staff": 6, "ledger": 8, "batch": 8, "days": 2, "minutes": 2},
    ),
}
"""What only a long row of unlikely steps would lead to."""


@final
@attrs.frozen(kw_only=True)
class Settings:
    """
    What one seed decides about its world.

    Attributes:
        rates: Chance of each fault at each opportunity.
        events: What may happen between calls, repeated by weight.
        event_rate: Chance that something happens between two calls.
        stickiness: Chance that the same worker goes on.
        workers: How many there are.
        steps: How many calls there are before the world heals.
        capabilities: What the gateway promises.
        forgets: A look-up does not find a key that is out of retention.
        page_size: Rows on a page of matter data.
        claims: Seconds for which a sweep claims a run; 0 for none.

    """

    rates: Mapping[str, float]
    events: tuple[str, ...]
    event_rate: float
    stickiness: float
    workers: int
    steps: int
    capabilities: GatewayCapabilities
    forgets: bool
    page_size: int
    claims: int


@lru_cache(maxsize=256)
def _capabilities(
    retention: int, settle: int | None, *, two_step: bool, honours: bool
) -> GatewayCapabilities:
    return GatewayCapabilities(
        two_step=two_step,
        key_retention_seconds=retention,
        lookup_settle_seconds=settle,
        honours_deadline=honours,
    )


_NO_THEME: Final = Theme()
_RETENTION: Final = (3_600, 24 * 3_600, 24 * 3_600, 7 * 24 * 3_600)
_SETTLE: Final = (0, 30, 600, 3_600, None)


def draw_settings(rng: Random, theme_name: str | None = None) -> Settings:
    """
    Draw everything but the people and their invoices.

    Args:
        rng: Decides.
        theme_name: One of `THEMES`; None for any, or none, as half of the
            seeds have it.

    """
    choice = rng.choice
    if theme_name is not None:
        theme = THEMES[theme_name]
    elif rng.random() < 0.5:
        theme = THEMES[choice(tuple(THEMES))]
    else:
        theme = _NO_THEME
    rates = {name: choice(STRENGTHS) * RATE for name in FAULTS}
    rates.update(theme.rates)
    events: list[str] = []
    for name in EVENTS:
        strength = choice(STRENGTHS)
        weight = min(max(_LEAST.get(name, 0), strength), _MOST.get(name, 8))
        events += [name] * theme.events.get(name, weight)
    return Settings(
        rates=rates,
        events=tuple(events),
        event_rate=choice((0.1, 0.25, 0.5)),
        stickiness=choice((0.0, 0.5, 0.8, 0.95)),
        workers=choice((2, 2, 3)),
        steps=choice((30, 60, 60, 100)),
        capabilities=_capabilities(
            choice(theme.retention or _RETENTION),
            choice(theme.settle or _SETTLE),
            two_step=rng.random() < 0.35,
            honours=rng.random() < 0.8,
        ),
        forgets=rng.random() < 0.5,
        page_size=choice((1, 2, 1000, 1000)),
        claims=choice((0, 0, 60)),
    )


@lru_cache(maxsize=4096)
def _invoice(number: str, place: int, issued_on: date, minor: int) -> Invoice:
    client, matter = MATTERS[place]
    return Invoice(
        number=number,
        client=client,
        matter=matter,
        issued_on=issued_on,
        balance=usd(minor),
    )


_LIKE_A_CARD: Final = "I4111111111111111"
"""Numbers of some firms' invoices look like card numbers (E3)."""


def draw_invoice(rng: Random, number: int) -> Invoice:
    """Draw one invoice; amounts and dates collide often."""
    return _invoice(
        _LIKE_A_CARD if number == 2 else f"I{number}",
        rng.choice((0, 0, 1, 2)),
        date(2025, 12, rng.choice((1, 1, 2, 9))),
        rng.choice((1_000, 1_000, 2_500, 7_001)),
    )


def draw_invoices(rng: Random) -> list[Invoice]:
    """Draw the invoices that are there at first."""
    return [
        draw_invoice(rng, number + 1)
        for number in range(rng.choice((2, 3, 4, 5)))
    ]


@lru_cache(maxsize=64)
def _schedules() -> tuple[Schedule, ...]:
    first = EPOCH.date()
    return (
        Schedule.once(first),
        Schedule.daily(first, count=3),
        Schedule.daily(first, count=4),
        Schedule.weekly(first, count=2),
        Schedule.monthly(first, count=2),
    )


_ACCOUNT: Final = DepositAccount(id="operating")
_RETRY: Final = RetryPolicy(retries_most=2, every_days=1, within_days=21)


@lru_cache(maxsize=64)
def _method(token: str, network: str) -> PaymentMethodRef:
    return PaymentMethodRef(
        provider="sim",
        token=token,
        network=network,
        kind=MethodKind.BANK_ACCOUNT if network == "ach" else MethodKind.CARD,
    )


def _method_of(
    rng: Random, payer: str, generation: int = 0
) -> PaymentMethodRef:
    network = rng.choice(("visa", "visa", "ach", ""))
    return _method(f"tok_{payer}_{network}_{generation}_secret", network)


@lru_cache(maxsize=256)
def _association(payer: str, kind: int, number: str) -> Association:
    if kind == 0:
        return Association.to_client(payer=payer, client="C1")
    if kind == 1:
        return Association.to_client(payer=payer, client="C2")
    client, matter = MATTERS[kind - 2]
    if not number:
        return Association.to_matter(payer=payer, client=client, matter=matter)
    return Association.to_invoice(
        payer=payer, client=client, matter=matter, invoice=number
    )


def _draw_enrollments(
    rng: Random, payer: str, invoices: Sequence[Invoice]
) -> tuple[Enrollment, ...]:
    found: dict[Association, None] = {}
    for _ in range(rng.choice((1, 1, 2, 3))):
        roll = rng.random()
        if roll < 0.5:
            found[_association(payer, rng.choice((0, 0, 1)), "")] = None
        elif roll < 0.75:
            found[_association(payer, rng.choice((2, 2, 3, 4)), "")] = None
        else:
            one = rng.choice(invoices)
            place = MATTERS.index((str(one.client), str(one.matter)))
            found[_association(payer, place + 2, str(one.number))] = None
    return tuple(Enrollment(association=each) for each in found)


@lru_cache(maxsize=1024)
def _limit(
    per_run: int | None, per_month: int | None, lifetime: int | None, way: str
) -> Limit:
    return Limit(
        currency="USD",
        per_run=None if per_run is None else usd(per_run),
        per_month=None if per_month is None else usd(per_month),
        lifetime=None if lifetime is None else usd(lifetime),
        per_invoice=usd(900) if way == "shares" else None,
        whole_invoices=way == "whole",
        minimum=usd(1_200) if way == "least" else None,
    )


def _draw_limit(rng: Random) -> Limit:
    return _limit(
        rng.choice((None, 1_500, 1_500, 3_000, 5_000)),
        rng.choice((None, None, None, 4_000)),
        rng.choice((None, None, None, 4_500)),
        rng.choice(("", "", "", "", "shares", "whole", "least")),
    )


def draw_autopays(
    rng: Random, invoices: Sequence[Invoice]
) -> dict[str, AutoPay]:
    """Draw two or three auto-pays that compete for the same invoices."""
    made: dict[str, AutoPay] = {}
    for number in range(rng.choice((1, 2, 2, 3))):
        payer = rng.choice(("p1", "p1", "p2"))
        made[f"ap{number}"] = AutoPay(
            id=f"ap{number}",
            payer=payer,
            name=f"Plan {number}",
            method=_method_of(rng, payer),
            deposit_account=_ACCOUNT,
            schedule=rng.choice(_schedules()),
            limit=_draw_limit(rng),
            enrollments=_draw_enrollments(rng, payer, invoices),
            order=rng.choice((Order.ISSUED, Order.DUE)),
            missed=rng.choice(
                (MissedPolicy.LATEST, MissedPolicy.ALL, MissedPolicy.SKIP)
            ),
            retry=_RETRY if rng.random() < 0.5 else None,
            advance_notice=(
                AdvanceNotice(days=1) if rng.random() < 0.05 else None
            ),
        )
    return made


def edited(
    rng: Random,
    autopay: AutoPay,
    invoices: Sequence[Invoice],
    today: date,
    generation: int,
) -> AutoPay:
    """Change one thing about an auto-pay, as its payer would."""
    roll = rng.random()
    if roll < 0.35:
        return attrs.evolve(autopay, limit=_draw_limit(rng))
    if roll < 0.6:
        return attrs.evolve(
            autopay, method=_method_of(rng, autopay.payer, generation)
        )
    if roll < 0.85:
        return attrs.evolve(
            autopay,
            enrollments=_draw_enrollments(rng, autopay.payer, invoices),
        )
    return attrs.evolve(
        autopay, off_from=None if autopay.off_from is not None else today
    )


@lru_cache(maxsize=8)
def foreign_invoice(payer: str) -> Invoice:
    """Return an invoice of a client that *payer* never heard of."""
    return Invoice(
        number="I99",
        client=f"not of {payer}",
        matter="M9",
        issued_on=date(2020, 1, 1),
        balance=usd(99_999),
    )
