"""
What a payer is told when a standing order is changed (N2, N5).

Holds: `what_changed`, `method_removed`. Imports: `_checks`, `autopay` and the
values. What is told by itself, such as a pause or an end, is not told here;
nor is what only the firm is concerned with, such as the text for its ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from autopay_core._checks import some_of
from autopay_core.autopay import AutoPay, Enrollment, upcoming, years
from autopay_core.notices import Notice, NoticeKind, notice_for_autopay
from autopay_core.schedules import Schedule

__all__ = ["method_removed", "what_changed"]

_ORDERS: Final = {"issued": "the invoice date", "due": "the due date"}


def what_changed(
    before: AutoPay, after: AutoPay, /, *, on: date, as_of: date, number: int
) -> tuple[Notice, ...]:
    """
    Make what is to be told of the difference between two versions.

    Args:
        before: The order as its payer knows it.
        after: The order as it stands.
        on: The firm's day of the version that stands.
        as_of: The date that the caller calls today.
        number: Of the version that stands; keeps changes of one day apart.

    Returns:
        That it was changed, that it was renewed, both, or nothing.

    """
    coming = upcoming(after, as_of)
    told = (
        (NoticeKind.CHANGED, " ".join(_changes(before, after, as_of))),
        (NoticeKind.RENEWED, " ".join(_renewals(before, after))),
    )
    return tuple(
        notice_for_autopay(
            kind,
            after.id,
            payer=after.payer,
            on=on,
            name=after.name,
            reason=kind.name.title(),
            detail=detail,
            method=after.method.masked,
            next_on=None if coming is None else coming.charge_on,
            occasion=str(number),
        )
        for kind, detail in told
        if detail
    )


def method_removed(autopay: AutoPay, on: date, as_of: date, /) -> Notice:
    """Make the notice that nothing can be charged for an order (A7, N2)."""
    coming = upcoming(autopay, as_of)
    return notice_for_autopay(
        NoticeKind.METHOD_REMOVED,
        autopay.id,
        payer=autopay.payer,
        on=on,
        name=autopay.name,
        reason="MethodRemoved",
        detail=(
            f"Payment method {autopay.method.masked} was removed; choose "
            "another one."
        ),
        method=autopay.method.masked,
        next_on=None if coming is None else coming.charge_on,
        occasion=autopay.method.fingerprint,
    )


def _changes(before: AutoPay, after: AutoPay, as_of: date) -> Iterator[str]:
    if before.name != after.name:
        yield f"It was called {before.name}."
    if before.method.fingerprint != after.method.fingerprint:
        yield f"It charges {after.method.masked}."
    if before.deposit_account != after.deposit_account:
        account = after.deposit_account
        yield f"It pays into {account.kind.value} account {account.id}."
    if before.schedule != after.schedule:
        yield f"It runs {after.schedule}."
    if before.limit != after.limit:
        yield f"It pays {after.limit}."
    yield from _about_enrolled(before, after)
    if before.selection != after.selection:
        takes = "everything outstanding"
        yield f"It takes {after.selection or takes}."
    if before.order is not after.order:
        yield f"It pays invoices in order of {_ORDERS[after.order.value]}."
    if before.payments != after.payments:
        yield _about_payments(after.payments)
    yield from _about_dates(before, after, as_of)


def _about_enrolled(before: AutoPay, after: AutoPay) -> Iterator[str]:
    was, now = _enrolled(before), _enrolled(after)
    new = [each for each in now if each not in was]
    gone = [each for each in was if each not in now]
    if new:
        yield f"It now pays {some_of(new)}."
    if gone:
        yield f"It no longer pays {some_of(gone)}."


def _enrolled(autopay: AutoPay) -> list[str]:
    return [str(each.association) for each in autopay.enrollments]


def _about_payments(payments: int | None) -> str:
    if payments is None:
        return "It no longer ends after a number of payments."
    return f"It ends after {payments} payment{'s' * (payments != 1)}."


def _about_dates(
    before: AutoPay, after: AutoPay, as_of: date
) -> Iterator[str]:
    """Tell of single dates; what is past is nobody's concern."""
    for each in sorted(after.skips - before.skips):
        if each >= as_of:
            yield f"Nothing is paid on {each}."
    for each, to in sorted(after.moves.items()):
        if before.moves.get(each) != to and max(each, to) >= as_of:
            yield f"The payment of {each} is made on {to}."
    if before.schedule != after.schedule:
        return  # Dates of the schedule of before are none any more.
    for each in sorted(before.skips - after.skips):
        if each >= as_of:
            yield f"The payment of {each} is made after all."
    for each in sorted(before.moves.keys() - after.moves.keys()):
        if max(each, before.moves[each]) >= as_of:
            yield f"The payment of {each} is not moved any more."


def _renewals(before: AutoPay, after: AutoPay) -> Iterator[str]:
    """
    Tell of years that were lengthened.

    Another schedule takes a year that has not begun along with it (S6).
    """
    if before.schedule != after.schedule:
        return
    was = {
        each.association: _last_day(each, before.schedule)
        for each in before.enrollments
    }
    found: dict[date, list[str]] = {}
    for each in after.enrollments:
        end, old = _last_day(each, after.schedule), was.get(each.association)
        if end is not None and old is not None and old < end:
            found.setdefault(end, []).append(str(each.association))
    for end, names in sorted(found.items()):
        yield f"The year of {some_of(names)} was renewed, until {end}."


def _last_day(enrollment: Enrollment, schedule: Schedule) -> date | None:
    windows: Sequence[tuple[date, date]] = years(enrollment, schedule)
    return max((end for _, end in windows), default=None)
