"""
What is worked out once for a run, and handed on as one thing.

Holds: `Case`, `case_of`, `case_again`, and `InHand`, in which a book hands an
order over. Imports: `requests` (for `Terms`), `autopay` and the values.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import final

import attrs

from autopay_core._checks import Readable
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, in_force
from autopay_core.engine.requests import Terms
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord
from autopay_core.schedules import Occurrence

__all__ = ["Case", "InHand", "case_again", "case_of"]


@final
@attrs.frozen(kw_only=True, repr=False)
class Case(Readable):
    """
    One run that is to be made, looked at or foreseen.

    Attributes:
        autopay: The standing order.
        occurrence: What is due.
        on: The date on which it would be charged.
        key: The run's identity.
        terms: The gateway's promises and the host's secret and settings.
        demanded_by: Who asked for a run on demand (R14).
        payments_left: How many of the agreed payments are left, this one
            among them; None without such an agreement (S8).

    """

    autopay: AutoPay
    occurrence: Occurrence
    on: date
    key: RunKey
    terms: Terms
    demanded_by: str = ""
    payments_left: int | None = None

    @cached_property
    def associations(self) -> tuple[Association, ...]:
        """Whose enrolment runs on the nominal date (S6 to S8)."""
        return in_force(self.autopay, self.occurrence.nominal_on)


@final
@attrs.frozen(repr=False, eq=False)
class InHand(Readable):
    """
    A standing order as a book hands it to a sweep (A7).

    Attributes:
        autopay: The standing order, of what its payer is associated with.
        is_method_gone: Whether the payer no longer has its method.
        authorization: Id of what the payer allowed; empty for none (O2).
        has_range: Whether that names the most that one charge may take, and
            the order takes no more.

    """

    autopay: AutoPay
    is_method_gone: bool = False
    authorization: str = ""
    has_range: bool = False


def case_of(
    autopay: AutoPay,
    occurrence: Occurrence,
    terms: Terms,
    *,
    as_of: date | None = None,
    number: int = 0,
    demanded_by: str = "",
) -> Case:
    """
    Return the case of an occurrence.

    Args:
        autopay: The standing order.
        occurrence: What is due.
        terms: The gateway's promises and the host's secret.
        as_of: The date that the caller calls today, on which it is charged;
            None for the occurrence's charge date.
        number: 0 for the schedule's run, more for one on demand (R14).
        demanded_by: Who asked for one on demand.

    """
    return Case(
        autopay=autopay,
        occurrence=occurrence,
        on=occurrence.charge_on if as_of is None else as_of,
        key=RunKey(
            autopay=autopay.id,
            nominal_on=occurrence.nominal_on,
            number=number,
        ),
        terms=terms,
        demanded_by=demanded_by,
    )


def case_again(
    autopay: AutoPay, record: RunRecord, terms: Terms, on: date
) -> Case:
    """Return the case of a run on record, to go on with it on a date."""
    nominal_on = record.key.nominal_on
    known = None
    if not record.key.number:
        known = autopay.schedule.occurrence_of(nominal_on, moves=autopay.moves)
    if known is None:
        # On demand, or of a schedule that was changed since.
        known = Occurrence(nominal_on=nominal_on, charge_on=nominal_on)
    return Case(
        autopay=autopay,
        occurrence=known,
        on=on,
        key=record.key,
        terms=terms,
        demanded_by=record.demanded_by,
    )
