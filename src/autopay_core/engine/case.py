"""
What is worked out once for a run, and handed on as one thing.

Holds: `Case`, `case_of`. Imports: `requests` (for `Terms`), `autopay` and the
values.
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
from autopay_core.schedules import Occurrence

__all__ = ["Case", "case_of", "turned_off"]


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
        terms: The gateway's promises and the host's secret.

    """

    autopay: AutoPay
    occurrence: Occurrence
    on: date
    key: RunKey
    terms: Terms

    @cached_property
    def associations(self) -> tuple[Association, ...]:
        """Whose enrolment runs on the nominal date (S6 to S8)."""
        return in_force(self.autopay, self.occurrence.nominal_on)

    @property
    def is_off(self) -> bool:
        """Whether the host has turned the auto-pay off by that date (R7)."""
        return turned_off(self.autopay, self.on)


def case_of(
    autopay: AutoPay,
    occurrence: Occurrence,
    terms: Terms,
    *,
    as_of: date | None = None,
) -> Case:
    """
    Return the case of an occurrence.

    Args:
        autopay: The standing order.
        occurrence: What is due.
        terms: The gateway's promises and the host's secret.
        as_of: The date that the caller calls today, on which it is charged;
            None for the occurrence's charge date.

    """
    return Case(
        autopay=autopay,
        occurrence=occurrence,
        on=occurrence.charge_on if as_of is None else as_of,
        key=RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on),
        terms=terms,
    )


def turned_off(autopay: AutoPay, on: date) -> bool:
    """Tell whether the host has turned *autopay* off by a date (R7)."""
    return autopay.off_from is not None and on >= autopay.off_from
