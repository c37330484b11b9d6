"""
Single dates of a schedule, and what became of them (S11, S12).

Holds: `Occurrence`, `Pause`, `MissedPolicy` and `split_missed`. Imports:
`_checks`, `errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import final

import attrs

from autopay_core._checks import Choice, Readable, check_type, plain_date
from autopay_core.errors import InvalidValueError

__all__ = ["MissedPolicy", "Occurrence", "Pause", "split_missed"]


class MissedPolicy(Choice):
    """What becomes of what passed while the host was down (S12)."""

    LATEST = "latest"
    """Run the latest, record the earlier ones as missed; the default."""

    ALL = "all"
    """Run every one of them."""

    SKIP = "skip"
    """Run only what is due today, record the earlier ones as missed."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Occurrence(Readable):
    """
    One due date of a schedule.

    Attributes:
        nominal_on: The date by the rule; it identifies the occurrence.
        charge_on: What rolling made of it; equal without rolling.

    Raises:
        InvalidValueError: Not a date from 1900 to 2200.

    """

    nominal_on: date
    charge_on: date

    def __attrs_post_init__(self) -> None:
        """Check the fields; another subclass of `date` becomes a `date`."""
        nominal_on = plain_date(self.nominal_on, "nominal_on")
        _set_nominal(self, nominal_on)
        _set_charge(self, plain_date(self.charge_on, "charge_on"))

    def __str__(self) -> str:
        if self.nominal_on == self.charge_on:
            return f"{self.nominal_on}"
        return f"{self.charge_on} (for {self.nominal_on})"


# What the schedule computed needs no second check: writing the two slots
# takes a third of the time of the checking constructor.
_new_occurrence: Callable[[type[Occurrence]], Occurrence] = object.__new__
_set_nominal: Callable[[Occurrence, date], None] = Occurrence.__dict__[
    "nominal_on"
].__set__
_set_charge: Callable[[Occurrence, date], None] = Occurrence.__dict__[
    "charge_on"
].__set__


def occurrence(nominal: date, charge: date) -> Occurrence:
    """Make one of dates that the schedule computed."""
    made = _new_occurrence(Occurrence)
    _set_nominal(made, nominal)
    _set_charge(made, charge)
    return made


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Pause(Readable):
    """
    A stretch in which nothing is due: [from, to) (S11).

    An occurrence is dropped whose nominal or charge date lies in it.

    Attributes:
        from_on: The first day that is dropped.
        to_on: The first one that runs again; None until further notice.

    Raises:
        InvalidValueError: Not a date from 1900 to 2200. It ends where it
            begins, or before.

    """

    from_on: date
    to_on: date | None = None

    def __attrs_post_init__(self) -> None:
        """Check the fields; subclasses of `date` become `date`."""
        object.__setattr__(
            self, "from_on", plain_date(self.from_on, "from_on")
        )
        if self.to_on is None:
            return
        object.__setattr__(self, "to_on", plain_date(self.to_on, "to_on"))
        if self.to_on <= self.from_on:
            raise InvalidValueError(
                f"a pause must end after it begins on {self.from_on}; its "
                "end is the first day that runs again",
                code="PauseEmpty",
                path="to_on",
                value=str(self.to_on),
            )


def split_missed(
    due: Sequence[Occurrence], policy: MissedPolicy, *, as_of: date
) -> tuple[tuple[Occurrence, ...], tuple[Occurrence, ...]]:
    """
    Split what is due into what is to run and what was missed (S12).

    What is charged on *as_of* itself is on time, never missed.

    >>> from autopay_core.schedules import Schedule
    >>> january, february = Schedule.monthly(
    ...     date(2026, 1, 31), count=2
    ... ).occurrences()
    >>> run, missed = split_missed(
    ...     [january, february], MissedPolicy.LATEST, as_of=date(2026, 3, 5)
    ... )
    >>> [str(each) for each in run], [str(each) for each in missed]
    (['2026-02-28'], ['2026-01-31'])

    Args:
        due: Occurrences that have not run, in any order.
        policy: What to do about them.
        as_of: The date that the caller calls today.

    Returns:
        Both in ascending order; together they are *due*.

    Raises:
        InvalidValueError: An occurrence is in the future (`OccurrenceNotDue`),
            or *policy* is not a `MissedPolicy`. *as_of* is not a date from
            1900 to 2200, or with a time.

    """
    as_of = plain_date(as_of, "as_of")
    check_type(policy, MissedPolicy, "policy", "PolicyInvalid")
    ordered = sorted(due, key=lambda each: (each.charge_on, each.nominal_on))
    if ordered and ordered[-1].charge_on > as_of:
        raise InvalidValueError(
            f"not due before {ordered[-1].charge_on}, and it is {as_of}",
            code="OccurrenceNotDue",
            path="due",
            value=str(ordered[-1].nominal_on),
        )
    if policy is MissedPolicy.ALL:
        cut = 0
    elif policy is MissedPolicy.LATEST:
        cut = len(ordered) - 1
    else:
        cut = sum(each.charge_on < as_of for each in ordered)
    cut = max(cut, 0)
    return tuple(ordered[cut:]), tuple(ordered[:cut])
