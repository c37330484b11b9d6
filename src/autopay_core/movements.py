"""
Money that moved after the capture, as a payment company tells of it (P4).

Holds: `Movement`, its kinds with the dated table of their effects, and
`MovementRecord`, which a store keeps of each. Imports: `_checks`, `_shown`,
`money`, `postings`, `references`. A movement is applied once, by its own id,
however often and in whatever order it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_id_if_any,
    kept_if_any,
    mapping_of,
    optional,
)
from autopay_core._shown import Shown
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money, a_positive
from autopay_core.postings import ReversalKind
from autopay_core.references import RunKey

__all__ = [
    "MOVEMENT_RULES",
    "Effect",
    "Movement",
    "MovementKind",
    "MovementRecord",
    "MovementRule",
    "MovementState",
    "rule_for",
]


class MovementKind(Choice):
    """What happened to money after it was asked for (P4)."""

    SETTLED = "settled"
    """It arrived: a debit that was under way is through."""
    FAILED_LATE = "failed_late"
    """A debit that was under way, or taken for captured, failed."""
    RETURNED = "returned"
    """The payer's bank returned it."""
    REFUNDED = "refunded"
    """The firm gave it back on purpose."""
    DISPUTED = "disputed"
    """The payer disputes it, and the money was taken from the firm."""
    REINSTATED = "reinstated"
    """It came again: a dispute was won, a return was presented again and
    paid, a refund failed."""
    CAPTURED_OVER = "captured_over"
    """More was taken than was asked for; the amount is the difference."""
    CAPTURED_UNDER = "captured_under"
    """Less arrived than was captured; the amount is the difference."""


class Effect(Choice):
    """What a movement does to a paid run (P4)."""

    CONCLUDES = "concludes"
    """It says how a charge under way ended; nothing is booked."""
    TAKES_BACK = "takes_back"
    """Its invoices are open again: postings of negative sign."""
    REINSTATES = "reinstates"
    """What was taken back is paid again: postings of positive sign."""
    TELLS = "tells"
    """No money moved; people and holds hear of it."""
    NEEDS_A_PERSON = "needs_a_person"
    """No posting can hold it; a case with a notice does."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class MovementRule(Readable):
    """
    What movements of a kind do, from a date on (P4, H2, L7).

    Attributes:
        kind: Of these movements.
        since: Of movements on this date or later, until a later row.
        effect: What happens to the run's postings.
        books: As what a record keeps it; None if nothing is booked.
        codes: Only with one of these codes; empty for every other.
        holds: Whether it makes holds: a return's on the method, by its code
            (`holds.HOLD_RULES`), a dispute's on the invoices, a refund's on
            what it reopens.
        source: Where this is laid down.

    """

    kind: MovementKind = attrs.field(validator=a(MovementKind))
    since: date = attrs.field(validator=a_date)
    effect: Effect = attrs.field(validator=a(Effect))
    books: ReversalKind | None = attrs.field(
        default=None, validator=optional(a(ReversalKind))
    )
    codes: frozenset[str] = frozenset()
    holds: bool = attrs.field(default=False, validator=a(bool))
    source: str = attrs.field(default="", validator=a_text())

    @property
    def frees_limits(self) -> bool:
        """Whether what moved may be taken again under limits (L7)."""
        return self.books is not None and self.books.frees_limits


_ALWAYS: Final = date(2000, 1, 1)

MOVEMENT_RULES: Final[tuple[MovementRule, ...]] = (
    MovementRule(
        kind=MovementKind.SETTLED,
        since=_ALWAYS,
        effect=Effect.CONCLUDES,
    ),
    MovementRule(
        kind=MovementKind.FAILED_LATE,
        since=_ALWAYS,
        effect=Effect.TAKES_BACK,
        books=ReversalKind.RETURN,
        holds=True,
        source="Nacha Operating Rules, return reason codes",
    ),
    MovementRule(
        kind=MovementKind.RETURNED,
        since=_ALWAYS,
        effect=Effect.TAKES_BACK,
        books=ReversalKind.RETURN,
        holds=True,
        source="Nacha Operating Rules, return reason codes",
    ),
    MovementRule(
        kind=MovementKind.REFUNDED,
        since=_ALWAYS,
        effect=Effect.TAKES_BACK,
        books=ReversalKind.REFUND,
        holds=True,
    ),
    MovementRule(
        kind=MovementKind.DISPUTED,
        since=_ALWAYS,
        effect=Effect.TELLS,
        codes=frozenset(
            {"inquiry", "warning_needs_response", "warning_under_review"}
        ),
        holds=True,
        source="card networks: an inquiry moves no money",
    ),
    MovementRule(
        kind=MovementKind.DISPUTED,
        since=_ALWAYS,
        effect=Effect.TAKES_BACK,
        books=ReversalKind.CHARGEBACK,
        holds=True,
    ),
    MovementRule(
        kind=MovementKind.REINSTATED,
        since=_ALWAYS,
        effect=Effect.REINSTATES,
        books=ReversalKind.REINSTATED,
    ),
    MovementRule(
        kind=MovementKind.CAPTURED_OVER,
        since=_ALWAYS,
        effect=Effect.NEEDS_A_PERSON,
    ),
    MovementRule(
        kind=MovementKind.CAPTURED_UNDER,
        since=_ALWAYS,
        effect=Effect.TAKES_BACK,
        books=ReversalKind.RETURN,
    ),
)
"""
What each kind does; of several rows for one kind and code the latest counts.

A code of its own row goes before the row for every code. What a return's code
does to the payment method is in `holds.HOLD_RULES`, by network and date.
"""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Movement(Shown):
    """
    One movement of money after the capture, as the gateway tells of it (P4).

    The run is named by what the gateway knows: its key, its payment
    reference, or by the run's own key. More than one may be given.

    Attributes:
        id: The gateway's id of the event; applied once, for ever.
        kind: What happened.
        amount: What moved; above zero.
        on: The firm-local date of the event.
        code: The bank's or network's, such as ``"R10"``; may be empty.
        key: The idempotency key of the attempt.
        reference: The gateway's reference of the payment.
        account: The gateway's account of the reference; empty if there is
            one only.
        run: The run itself, where the host knows it.
        corrects: Id of the movement that a reinstatement takes back; empty
            for the newest that took money back.
        invoices: What moved of each invoice, by number; None for the newest
            first.

    Raises:
        InvalidValueError: It names no run (``MovementOfNothing``), its
            invoices do not add up to its amount (``MovementInvoices``), or a
            field is wrong.

    """

    id: str = attrs.field(validator=an_id)
    kind: MovementKind = attrs.field(validator=a(MovementKind))
    amount: Money = attrs.field(
        validator=a_positive(
            "PostingSign", "the amount of a movement must be above zero"
        )
    )
    on: date = attrs.field(validator=a_date)
    code: str = attrs.field(default="", validator=a_text(most=64))
    key: str | None = attrs.field(default=None, validator=optional(an_id))
    reference: str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    account: str = attrs.field(default="", validator=an_id_if_any)
    run: RunKey | None = attrs.field(
        default=None, validator=optional(a(RunKey))
    )
    corrects: str = attrs.field(default="", validator=an_id_if_any)
    invoices: Mapping[str, Money] | None = attrs.field(
        default=None,
        converter=kept_if_any,
        validator=optional(mapping_of(Money)),
    )

    def __str__(self) -> str:
        """Return it in a line, for people."""
        code = f" ({self.code})" if self.code else ""
        of = self.run or self.reference or self.key
        return (
            f"{self.id}: {self.kind.value}{code} of {self.amount} on "
            f"{self.on}, of {of}"
        )

    def __attrs_post_init__(self) -> None:
        """Refuse what no run could be found for, and sums that differ."""
        if self.key is None and self.reference is None and self.run is None:
            raise InvalidValueError(
                "a movement names its run: by key, reference or run",
                code="MovementOfNothing",
                path="reference",
            )
        if self.invoices is None:
            return
        amounts = list(self.invoices.values())
        if (
            any(not each.is_positive for each in amounts)
            or {each.currency for each in amounts} != {self.amount.currency}
            or Money.total(amounts, self.amount.currency) != self.amount
        ):
            raise InvalidValueError(
                "the invoices of a movement add up to its amount",
                code="MovementInvoices",
                path="invoices",
                value=str(self.amount),
            )


def rule_for(movement: Movement, /) -> MovementRule:
    """
    Return the row of `MOVEMENT_RULES` that a movement falls under.

    Raises:
        InvalidValueError: It is older than all rows of its kind
            (``OutOfRange``).

    """
    rows = [
        each
        for each in MOVEMENT_RULES
        if each.kind is movement.kind
        and each.since <= movement.on
        and (not each.codes or movement.code in each.codes)
    ]
    if not rows:
        raise InvalidValueError(
            "no rule says what so old a movement does",
            code="OutOfRange",
            path="on",
            value=str(movement.on),
        )
    return max(rows, key=_precedence)


def _precedence(rule: MovementRule) -> Any:  # noqa: ANN401 - to be compared
    return bool(rule.codes), rule.since


class MovementState(Choice):
    """What became of a movement (P4)."""

    WAITING = "waiting"
    """Its run, or what it takes back, is not there yet; looked at again at
    each sweep."""
    PLACED = "placed"
    """It did what it does; once and for all."""
    CASE = "case"
    """It cannot be booked; a person was told."""
    CLOSED = "closed"
    """A case that a person has dealt with."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class MovementRecord(Shown):
    """
    A movement as a store keeps it, at one version.

    Attributes:
        movement: As it was received.
        state: What became of it.
        version: 1 when first written, and one more at each step.
        run: The run that it belongs to; None if that is not known.
        reason: Stable code of what keeps it from being placed; empty once it
            is.
        detail: The same for a person.

    """

    movement: Movement = attrs.field(validator=a(Movement))
    state: MovementState = attrs.field(validator=a(MovementState))
    version: int = attrs.field(default=1, validator=a_number(1))
    run: RunKey | None = attrs.field(
        default=None, validator=optional(a(RunKey))
    )
    reason: str = attrs.field(default="", validator=a_text(most=64))
    detail: str = attrs.field(default="", validator=a_text())

    def __str__(self) -> str:
        """Return it in a line, for people."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.movement}: {self.state.value}{reason}"

    @property
    def id(self) -> str:
        """The movement's own id."""
        return self.movement.id
