"""
What an order does next, and what blocks it (S14, R14).

Holds: `look`, and of what it is made: `known_of`, `with_paid_off`,
`blocks_of`, `outlook_of`, `next_number`. Imports: `asking`, `case`, `gate`,
`knowing`, `planning`, `requests`, `sweeping` and the values. Nothing is
written.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import date, timedelta
from itertools import islice
from typing import Final

import attrs

from autopay_core._checks import DATE_MAX, check_date
from autopay_core.autopay import (
    AutoPay,
    Known,
    ending,
    ends_on,
    state_on,
    upcoming,
    years,
)
from autopay_core.commits import Standing
from autopay_core.engine import sweeping
from autopay_core.engine.asking import lacks_notice
from autopay_core.engine.case import case_of
from autopay_core.engine.gate import Cause
from autopay_core.engine.knowing import record_of
from autopay_core.engine.planning import look_ahead
from autopay_core.engine.requests import Flow, Terms, read_standing
from autopay_core.errors import AutopayError
from autopay_core.looks import Look, Outlook
from autopay_core.money import Money
from autopay_core.references import RunKey
from autopay_core.schedules import Occurrence

__all__ = [
    "blocks_of",
    "known_of",
    "look",
    "next_number",
    "outlook_of",
    "with_paid_off",
]

_DATES_SHOWN: Final = 3


def look(autopay: AutoPay, on: date, terms: Terms) -> Flow[Look]:
    """Return what an order in hand does on a date, and what blocks it."""
    check_date(on, "on")
    known, standing = yield from known_of(autopay, on)
    known = yield from with_paid_off(known, autopay, on, terms)
    lacks = (Cause.NOTICE_NEEDED.text,) if lacks_notice(autopay, terms) else ()
    return Look(
        autopay=autopay,
        on=on,
        outlook=(yield from outlook_of(autopay, on, known, terms)),
        known=known,
        blocks=blocks_of(known, standing) + lacks,
        next_number=(yield from next_number(autopay, on)),
    )


def known_of(autopay: AutoPay, as_of: date) -> Flow[tuple[Known, Standing]]:
    """Read what is on record of an order, as far as its dates depend on it."""
    standing = yield from read_standing(
        RunKey(autopay=autopay.id, nominal_on=as_of),
        autopay.method.fingerprint,
        autopay.payer,
    )
    known = yield from record_of(autopay, as_of)
    ran, holds = standing.latest, (each.reason for each in standing.holds)
    return attrs.evolve(
        known,
        ran_to=ran.key.nominal_on if ran and ran.state.is_finished else None,
        holds=tuple(holds),
    ), standing


def with_paid_off(
    known: Known, autopay: AutoPay, on: date, terms: Terms
) -> Flow[Known]:
    """
    Add which invoice plans are paid off, by what is owed now (S7).

    The balance is zero, or what we captured and the ledger does not show yet
    covers it whole; or the invoice is not returned any more, and our shares
    cover it.
    """
    plans = {
        each.association.invoice
        for each in autopay.enrollments
        if each.association.invoice is not None
    }
    if not plans:
        return known
    coming = upcoming(autopay, on)
    case = case_of(
        autopay, coming or Occurrence(nominal_on=on, charge_on=on), terms
    )
    try:
        standing = yield from read_standing(
            case.key, autopay.method.fingerprint, autopay.payer
        )
        plan = yield from look_ahead(case, standing)
    except AutopayError:
        return known  # What is owed cannot be read now.
    paid = {*plan.checked.paid_off} & plans
    for line in plan.allocation.lines:
        number, balance = line.invoice.number, line.invoice.balance
        nothing = Money.zero(balance.currency)
        captured = plan.checked.open_amounts.get(
            number, nothing
        ) - plan.opened.reserved.get(number, nothing)
        if (
            number in plans
            and number not in plan.checked.barred
            and balance <= captured
        ):
            paid.add(number)
    since = known.latest_on or on
    return attrs.evolve(known, paid_off=dict.fromkeys(paid, since))


def blocks_of(known: Known, standing: Standing) -> tuple[str, ...]:
    """Return what keeps an order from being collected now, for people."""
    return (
        *known.holds,
        *(
            f"the run {each.key} is {each.state.value} and not resolved yet"
            for each in standing.unfinished
            if each.state.is_doubtful
        ),
        *(
            ["the store's clock cannot be right"]
            if standing.is_clock_suspect
            else []
        ),
    )


def next_number(autopay: AutoPay, on: date) -> Flow[int]:
    """Return the first number that no run on demand of a date has (R14)."""
    number = 1
    while True:
        key = RunKey(autopay=autopay.id, nominal_on=on, number=number)
        standing = yield from read_standing(
            key, autopay.method.fingerprint, autopay.payer
        )
        if standing.run is None:
            return number
        number += 1


def outlook_of(
    autopay: AutoPay, on: date, known: Known, terms: Terms
) -> Flow[Outlook]:
    """Return the state, the next dates, and what the first of them pays."""
    dates = tuple(islice(_coming(autopay, on, known), _DATES_SHOWN))
    next_charge = None
    if dates:
        try:
            next_charge = yield from sweeping.preview(
                autopay, dates[0].charge_on, terms
            )
        except AutopayError:
            next_charge = None  # What is owed cannot be read now.
    return Outlook(
        state=state_on(autopay, on, known=known),
        ending=ending(autopay, on, known=known),
        dates=dates,
        years=tuple(
            (each.association, begin, end)
            for each in autopay.enrollments
            for begin, end in years(each, autopay.schedule)
        ),
        ends_on=ends_on(autopay, known=known),
        next_charge=next_charge,
    )


def _coming(
    autopay: AutoPay, on: date, known: Known
) -> Generator[Occurrence, None, None]:
    each = upcoming(autopay, on, known=known)
    while each is not None:
        if not known.has_run(each.nominal_on):
            yield each
        after = each.charge_on + timedelta(days=1)
        each = (
            None if after > DATE_MAX else upcoming(autopay, after, known=known)
        )
