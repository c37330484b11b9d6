"""
Notices, and why a run did what it did, as people read them.

Holds: `notice_text`, `notice_facts`, `explain`. Imports: `allocation`,
`business_days`, `corrections`, `decisions`, `limits`, `notices`, `runs`. Every
text is data: its control characters are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from autopay_core._checks import DATE_MIN, clean_text, some_of
from autopay_core.allocation import Order
from autopay_core.business_days import Roll
from autopay_core.corrections import every_posting
from autopay_core.limits import LimitName
from autopay_core.runs import RunState, recompute

if TYPE_CHECKING:
    from autopay_core.allocation import Allocation, AllocationLine
    from autopay_core.decisions import Decision
    from autopay_core.notices import Notice
    from autopay_core.runs import RunRecord

__all__ = ["explain", "notice_facts", "notice_text"]


def notice_facts(notice: Notice, /) -> dict[str, str]:
    """
    Return what a notice says beside its title and detail, by label.

    Empty is what it does not say: one to the firm is about no single auto-pay
    (N1), and some are about no day.
    """
    autopay = f"{notice.name} ({notice.autopay})".strip()
    return {
        "Auto-pay": autopay if notice.autopay else "",
        "Payer": notice.payer,
        "Date": "" if notice.on == DATE_MIN else notice.on.isoformat(),
        "Amount": "" if notice.amount is None else str(notice.amount),
        "Reason": notice.reason,
        **{label: said for label, said in _more_facts(notice) if said},
    }


def _more_facts(notice: Notice) -> Iterator[tuple[str, str]]:
    """Return what not every notice has (N5)."""
    yield (
        "Invoices",
        some_of([f"{each.invoice} ({each.amount})" for each in notice.lines]),
    )
    yield "Still owed", "" if notice.left is None else str(notice.left)
    yield "Method", notice.method
    yield "Payment", notice.reference
    yield "Next date", "" if notice.next_on is None else str(notice.next_on)
    yield "Link", notice.link


def notice_text(notice: Notice, /) -> str:
    """Show a notice as a person would get it, line by line."""
    facts = [
        f"{label}: {clean_text(fact)}"
        for label, fact in notice_facts(notice).items()
        if fact
    ]
    lines = (clean_text(notice.title), *facts, clean_text(notice.detail))
    return "\n".join(filter(None, lines))


# -- Why a run did what it did (X2) ------------------------------------------


def explain(record: RunRecord, /) -> tuple[str, ...]:
    """
    Say why this day, this amount, and each invoice's share (X2).

    From the record alone, years later; what an older record does not know is
    named.
    """
    said = [*_why_this_day(record), _outcome(record)]
    allocation = record.allocation
    if allocation is not None:
        said.extend(_why_this_amount(allocation, record.decision))
        said.extend(_why_this_share(each) for each in allocation.lines)
        said.extend(
            f"Invoice {each.number or 'without a readable number'}: nothing; "
            f"its rows could not be relied on ({each.code})."
            for each in allocation.left_out
        )
        said.extend(_what_is_not_known(record))
    said.extend(_what_moved(record))
    return tuple(map(clean_text, said))


def _what_moved(record: RunRecord) -> Iterator[str]:
    """Say what became of the money since: back, again, or elsewhere (P4)."""
    invoices: dict[str, str] = {}
    if any(each.to for each in record.reversals):
        invoices = {each.id: each.invoice for each in every_posting(record)}
    for each in record.reversals:
        when = f"on {each.on} ({each.kind.value}, {each.event})"
        if not each.to:
            what = "went back" if each.kind.takes_back else "came again"
            yield f"{each.amount} {what} {when}."
            continue
        before = invoices[each.corrects]
        for share in each.to:
            if share.invoice != before:
                yield (
                    f"{share.amount} of what invoice {before} got was put on "
                    f"invoice {share.invoice} {when}."
                )


def _why_this_day(record: RunRecord) -> Iterator[str]:
    nominal_on, charge_on = record.key.nominal_on, record.charge_on
    if record.key.number:
        yield (
            f"Run {record.key} was asked for by {record.demanded_by} for "
            f"{nominal_on}, beside the schedule."
        )
    elif nominal_on == charge_on:
        yield f"Run {record.key} was due on {nominal_on}, by the schedule."
    else:
        yield (
            f"Run {record.key} was due on {nominal_on} by the schedule, and "
            f"decided for {charge_on}{_rolled(record.decision)}."
        )
    if record.demanded_by and not record.key.number:
        yield f"{record.demanded_by} asked for it to be done again."
    if len(record.attempts) > 1:
        yield f"It took {len(record.attempts)} attempts."


def _rolled(decision: Decision | None) -> str:
    if decision is None or decision.roll is Roll.NONE:
        return ""
    name = decision.roll.value.replace("_", " ")
    return f" (a closed day rolls to the {name} open one)"


def _outcome(record: RunRecord) -> str:
    captured = record.captured
    if record.state is RunState.PAID and captured is not None:
        return (
            f"{captured.amount} was taken, under payment reference "
            f"{captured.reference}."
        )
    detail = f": {record.detail}" if record.detail else "."
    reason = f" ({record.reason})" if record.reason else ""
    return (
        "Nothing is known to be taken; the run is "
        f"{record.state.value}{reason}{detail}"
    )


def _why_this_amount(
    allocation: Allocation, decision: Decision | None
) -> Iterator[str]:
    lines = len(allocation.lines)
    what = "One invoice was" if lines == 1 else f"{lines} invoices were"
    yield f"{what} looked at, by {_ORDER[allocation.order]}."
    if allocation.available is None:
        yield (
            f"Together they get {allocation.total}; no limit per run, month "
            "or life was set."
        )
    else:
        name = _LIMITS[allocation.bound_by or LimitName.PER_RUN]
        yield (
            f"Together they get {allocation.total}, of at most "
            f"{allocation.available} that the limit {name} left."
        )
    if decision is None:
        return
    if decision.spent is not None:
        yield (
            f"Before it, {decision.spent.month} had been taken in the month "
            f"and {decision.spent.lifetime} ever."
        )
    if decision.stated_at is not None:
        yield f"The balances held for {decision.stated_at}."
    for each in decision.enrolled:
        yield f"Enrolled was {_scope(each.client, each.matter, each.invoice)}."


def _scope(client: str, matter: str | None, invoice: str | None) -> str:
    if invoice is not None:
        return f"invoice {invoice} of client {client}"
    if matter is not None:
        return f"matter {matter} of client {client}"
    return f"client {client}"


_ORDER: Final = {Order.ISSUED: "invoice date", Order.DUE: "due date"}
_LIMITS: Final = {
    LimitName.PER_RUN: "per run",
    LimitName.PER_MONTH: "per month",
    LimitName.LIFETIME: "for its life",
}


def _why_this_share(line: AllocationLine) -> str:
    opened = (
        ""
        if line.open.is_zero
        else f", {line.open} of it on its way or kept back"
    )
    ceiling = "" if line.ceiling is None else f", at most {line.ceiling}"
    return (
        f"Invoice {line.invoice.number} of {line.invoice.issued_on}: "
        f"{line.invoice.balance} owed{opened}, {line.payable} payable{ceiling}"
        f"; it got {line.amount}: {line.reason.text}."
    )


def _what_is_not_known(record: RunRecord) -> Iterator[str]:
    missing = recompute(record).missing
    if missing:
        yield f"The record does not say: {', '.join(missing)}."
