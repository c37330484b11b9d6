"""
What a run's decision rested on, so that it can be made again (X1).

Holds: `Decision`, `RULE` and the rules of every number, `Recomputed`. Imports:
`allocation`, `associations`, `business_days`, `limits`, `money`, `references`,
`errors` and `_reasons`. The lines of a record and its decision are all that is
needed, years later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_date,
    a_number,
    an_instant,
    kept,
    kept_if_any,
    mapping_of,
    optional,
    tuple_of,
)
from autopay_core._reasons import Reason
from autopay_core.allocation import Allocation, allocate
from autopay_core.associations import Association
from autopay_core.business_days import Roll
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Spent
from autopay_core.money import Money
from autopay_core.references import AccountKind, InvoiceNumber

__all__ = ["RULE", "Decision", "Recomputed", "again"]

RULE: Final = 1
"""The number of the rule by which lines are made today (X1)."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Decision(Readable):
    """
    The inputs of an allocation that its lines do not show (X1).

    The invoices, the limit and the order stand in the allocation itself.

    Attributes:
        rule: By which rule the lines were made; see `RULE`.
        on: The firm's day.
        account: The deposit account's kind (L6).
        open_amounts: By invoice number, what was counted as open: on its way,
            or kept back by a hold (L1, H2).
        spent: What the auto-pay took before, if its limits asked for it (L7).
        minimum: The gateway's smallest charge.
        ceilings: What was announced for each invoice, or asked for before
            (N4); None if nothing was.
        barred: By invoice number, what kept it back (H1, B1).
        distinct: Pairs of numbers that were said to be two (L5).
        stated_at: For when the balances held; None for the moment of the read
            (B0).
        enrolled: What was enrolled and in force on that day.
        roll: How a date on a closed day was moved (S9).

    """

    rule: int = attrs.field(default=RULE, validator=a_number(1))
    on: date = attrs.field(validator=a_date)
    account: AccountKind = attrs.field(validator=a(AccountKind))
    open_amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        converter=kept, validator=mapping_of(Money)
    )
    spent: Spent | None = attrs.field(
        default=None, validator=optional(a(Spent))
    )
    minimum: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    ceilings: Mapping[InvoiceNumber | str, Money] | None = attrs.field(
        default=None,
        converter=kept_if_any,
        validator=optional(mapping_of(Money)),
    )
    barred: Mapping[InvoiceNumber | str, Reason] = attrs.field(
        factory=dict[InvoiceNumber | str, Reason],
        converter=kept,
        validator=mapping_of(Reason),
    )
    distinct: frozenset[frozenset[str]] = frozenset()
    stated_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    enrolled: tuple[Association, ...] = attrs.field(
        default=(), validator=tuple_of(Association)
    )
    roll: Roll = attrs.field(default=Roll.NONE, validator=a(Roll))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Recomputed(Readable):
    """
    What a record's inputs give today (X1).

    Attributes:
        allocation: The lines, made again; None if an input is missing, or if
            nothing was decided.
        missing: The inputs that the record lacks, by name.
        differs: What is not as it stands on record: numbers of invoices, and
            ``"total"``, ``"available"`` or ``"lines"``.

    """

    allocation: Allocation | None = None
    missing: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether the same lines came out; unknown is not the same."""
        return not self.missing and not self.differs


def _by_rule_1(decision: Decision, stands: Allocation) -> Allocation:
    """Make the lines as the rule number 1 does (L1 to L7)."""
    return allocate(
        [line.invoice for line in stands.lines],
        stands.limit,
        open_amounts=decision.open_amounts,
        order=stands.order,
        as_of=decision.on,
        account=decision.account,
        spent=decision.spent,
        ceilings=decision.ceilings,
        minimum=decision.minimum,
        barred=decision.barred,
        distinct=decision.distinct,
    )


_RULES: Final[Mapping[int, Callable[[Decision, Allocation], Allocation]]] = (
    MappingProxyType({1: _by_rule_1})
)
"""Every rule that ever made lines; none is changed or taken away (X1)."""


def again(decision: Decision | None, stands: Allocation, /) -> Recomputed:
    """
    Make lines again, and compare them with those that stand (X1).

    Args:
        decision: What they rested on; None for a record of before.
        stands: As it stands on record.

    """
    if decision is None:
        names = tuple(each.name for each in attrs.fields(Decision))
        return Recomputed(missing=names)
    rule = _RULES.get(decision.rule)
    if rule is None:
        return Recomputed(missing=("rule",))
    try:
        made = rule(decision, stands)
    except InvalidValueError:
        return Recomputed(differs=("lines",))  # No rule makes any of these.
    known = {line.invoice.number: line for line in stands.lines}
    differs = [
        str(line.invoice.number)
        for line in made.lines
        if known.get(line.invoice.number) != line
    ]
    for name, is_same in (
        (
            "lines",
            [line.invoice.number for line in made.lines]
            == [line.invoice.number for line in stands.lines],
        ),
        ("total", made.total == stands.total),
        (
            "available",
            (made.available, made.bound_by)
            == (stands.available, stands.bound_by),
        ),
    ):
        if not is_same:
            differs.append(name)
    return Recomputed(
        allocation=attrs.evolve(made, left_out=stands.left_out),
        differs=tuple(differs),
    )
