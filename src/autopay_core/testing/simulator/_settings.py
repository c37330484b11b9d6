"""
What a seed decides: faults and their strength, promises, the world's people.

Holds: `Settings` and `draw_settings`. Imports: the values. Swarm testing:
every kind of fault has a strength of its own in each seed, often none, so that
one kind does not always drown another.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Final, final

import attrs

from autopay_core.allocation import Order
from autopay_core.associations import Association
from autopay_core.autopay import AdvanceNotice, AutoPay, Enrollment
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.charges import GatewayCapabilities
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.policy import Ceilings, Policy
from autopay_core.references import (
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import MissedPolicy, Pause, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    "draw_policy",
    "draw_settings",
    "edited",
    "of_another_payer",
    "usd",
    "with_another_method",
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
    "refuses",
    "asks_payer",
    "lag",
    "vanishes",
    "pages",
    "stale",
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
    "interest",
    "undo",
    "restore",
    "rerun",
    "account",
    "reuse",
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
    "interest": 1,
    "undo": 1,
    "account": 1,
    "reuse": 1,
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
        networks: Of payment methods; the usual ones if empty.
        is_declined: Every method is declined, day after day, for weeks.

    """

    rates: Mapping[str, float] = attrs.field(factory=dict[str, float])
    events: Mapping[str, int] = attrs.field(factory=dict[str, int])
    retention: tuple[int, ...] = ()
    settle: tuple[int | None, ...] = ()
    networks: tuple[str, ...] = ()
    is_declined: bool = False


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
    # Exports that are days old, and a ledger that takes postings back.
    "balances": Theme(
        rates={"stale": 0.3},
        events={
            "undo": 3,
            "restore": 2,
            "interest": 2,
            "ledger": 5,
            "batch": 6,
            "days": 4,
            "hours": 2,
        },
    ),
    # Exports that are days old, of a ledger that takes nothing back.
    "exports": Theme(
        rates={"stale": 0.3},
        events={"undo": 0, "ledger": 5, "batch": 6, "days": 4, "hours": 2},
    ),
    # Bank debits that a look-up does not find.
    "debits": Theme(
        rates={"vanishes": 0.4, "lag": 0.05},
        events={"hours": 8, "minutes": 6, "debits": 1, "edit": 3, "days": 1},
        settle=(0, 30),
        retention=(7 * 24 * 3_600,),
        networks=("ach", "ach", "ach", "visa"),
    ),
    # Doubts about what somebody edits away, or pays by hand.
    "edits": Theme(
        rates={"request_lost": 0.3, "answer_lost": 0.1, "kill_after": 0.03},
        events={"edit": 12, "by_hand": 4, "minutes": 8, "days": 1, "stop": 0},
        retention=(24 * 3_600,),
    ),
    # Payers who have to approve a charge, and take their time.
    "approvals": Theme(
        rates={"asks_payer": 0.7, "answer_lost": 0.05, "down": 0.05},
        events={
            "hours": 10,
            "minutes": 4,
            "days": 4,
            "debits": 1,
            "by_hand": 2,
            "stop": 2,
        },
        settle=(0, 30),
    ),
    # A method that is declined for weeks.
    "declined": Theme(
        rates={"down": 0.01},
        events={"days": 8, "hours": 2},
        networks=("visa",),
        is_declined=True,
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
        networks: Of the payment methods.
        is_declined: Every method is declined, for weeks.
        is_mute: The gateway never gives a clear answer.
        begins: Days after the first of January on which it all begins; some
            worlds live at the end of the month.

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
    networks: tuple[str, ...]
    is_declined: bool
    is_mute: bool
    begins: int


@lru_cache(maxsize=256)
def _capabilities(
    retention: int,
    settle: int | None,
    *,
    two_step: bool,
    honours: bool,
    cancels: bool,
    finds: bool,
) -> GatewayCapabilities:
    return GatewayCapabilities(
        two_step=two_step,
        key_retention_seconds=retention,
        lookup_settle_seconds=settle,
        honours_deadline=honours,
        cancels=cancels,
        finds_references=finds,
    )


_NO_THEME: Final = Theme()
# Weeks of declines take ten times as long as any other world.
_RARE: Final = frozenset({"declined", "approvals"})
_THEMES_DRAWN: Final = (
    (*(name for name in THEMES if name not in _RARE),) * 14
    + ("",) * 98
    + ("declined",)
)
_NETWORKS: Final = ("visa", "visa", "ach", "")
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
    else:
        theme = THEMES.get(choice(_THEMES_DRAWN), _NO_THEME)
    rates = {
        name: choice(STRENGTHS) * RATE
        for name in FAULTS
        if name != "asks_payer"
    }
    # Without a draw of its own, so that worlds of before stay what they were.
    rates["asks_payer"] = 0.3 if rng.getstate()[1][0] % 7 == 0 else 0.0
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
        steps=choice((20, 30, 40, 60)),
        capabilities=_capabilities(
            choice(theme.retention or _RETENTION),
            choice(theme.settle or _SETTLE),
            two_step=rng.random() < 0.35,
            honours=rng.random() < 0.8,
            cancels=rng.random() < 0.3,
            finds=rng.random() < 0.3,
        ),
        forgets=rng.random() < 0.5,
        page_size=choice((1, 2, 1000, 1000)),
        claims=choice((0, 0, 60)),
        networks=theme.networks or _NETWORKS,
        is_declined=theme.is_declined,
        is_mute=theme is _NO_THEME and rng.random() < 0.04,
        begins=choice((0, 0, 0, 27)),
    )


def draw_policy(seed: int) -> Policy:
    """
    Draw the host's settings; apart from the world's, as those came before.

    One world in ten posts automatically (P2), and one in ten has ceilings, of
    which the smaller is of a payer and its day (H4).
    """
    rng = Random(f"policy of {seed}")  # noqa: S311 - to be repeated
    ceilings = Ceilings()
    if rng.random() < 0.1:
        payer, night = sorted(rng.sample((2_500, 4_000, 6_000, 9_000), 2))
        ceilings = Ceilings(payer_day=(usd(payer),), night=(usd(night),))
    return Policy(automatic_posting=rng.random() < 0.1, ceilings=ceilings)


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
def _schedules(first: date) -> tuple[Schedule, ...]:
    return (
        Schedule.once(first),
        Schedule.daily(first, count=3),
        Schedule.daily(first, count=4),
        Schedule.daily(
            first, count=5, roll=Roll.FOLLOWING, calendar=BusinessCalendar()
        ),
        Schedule.weekly(first, count=2),
        Schedule.monthly(first, count=2),
    )


@lru_cache(maxsize=64)
def _long_schedules(first: date) -> tuple[Schedule, ...]:
    return (
        Schedule.daily(first, count=18),
        Schedule.daily(first, every=2, count=9),
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
    rng: Random, payer: str, networks: tuple[str, ...], generation: int = 0
) -> PaymentMethodRef:
    network = rng.choice(networks)
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
    rng: Random, invoices: Sequence[Invoice], first: date, settings: Settings
) -> dict[str, AutoPay]:
    """Draw some auto-pays that compete for the same invoices."""
    made: dict[str, AutoPay] = {}
    schedules = _schedules(first)
    if settings.is_declined:
        schedules = _long_schedules(first)
    for number in range(rng.choice((1, 2, 2, 3))):
        payer = rng.choice(("p1", "p1", "p2"))
        made[f"ap{number}"] = AutoPay(
            id=f"ap{number}",
            payer=payer,
            name=f"Plan {number}",
            method=_method_of(rng, payer, settings.networks),
            deposit_account=_ACCOUNT,
            schedule=rng.choice(schedules),
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
    networks: tuple[str, ...],
) -> AutoPay:
    """Change one thing about an auto-pay, as its payer would."""
    roll = rng.random()
    if roll < 0.25:
        return attrs.evolve(autopay, limit=_draw_limit(rng))
    if roll < 0.45:
        return with_another_method(rng, autopay, networks, generation)
    if roll < 0.6:
        return attrs.evolve(
            autopay,
            enrollments=_draw_enrollments(rng, autopay.payer, invoices),
        )
    if roll < 0.75:
        from_on = today + timedelta(days=rng.choice((-1, 0, 0, 1)))
        to_on = from_on + timedelta(days=rng.choice((1, 2, 5)))
        pause = Pause(from_on=from_on, to_on=to_on)
        return attrs.evolve(autopay, pauses=(*autopay.pauses[:1], pause))
    if roll < 0.85:
        skip = today + timedelta(days=rng.choice((0, 0, 1)))
        return attrs.evolve(autopay, skips=autopay.skips | {skip})
    return attrs.evolve(
        autopay, off_from=None if autopay.off_from is not None else today
    )


def with_another_method(
    rng: Random, autopay: AutoPay, networks: tuple[str, ...], generation: int
) -> AutoPay:
    """Return the order with a payment method that was saved just now."""
    method = _method_of(rng, autopay.payer, networks, generation)
    return attrs.evolve(autopay, method=method)


def of_another_payer(autopay: AutoPay) -> AutoPay:
    """Return an order of somebody else under the same id."""
    association = Association.to_client(payer="p3", client="C1")
    return attrs.evolve(
        autopay,
        payer="p3",
        method=_method("tok_p3_secret", "visa"),
        enrollments=(Enrollment(association=association),),
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
