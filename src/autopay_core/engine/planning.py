"""
What a run would pay: reads in the right order, then an allocation (R1, A2).

Holds: `plan_run`, `look_ahead`, `look_out`, `still_owed`, `Plan`, `Outlook`.
Imports: `case`, `reading`, `requests` and the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import Readable
from autopay_core._life import NOTHING_KNOWN, Known
from autopay_core.allocation import Allocation, Reason, allocate
from autopay_core.balances import Checked, Expected
from autopay_core.charges import Declined, GatewayCapabilities
from autopay_core.commits import AttemptsAllowed, OpenAmounts, Standing
from autopay_core.decisions import Decision
from autopay_core.engine.case import Case
from autopay_core.engine.reading import (
    NONE_BARRED,
    all_payable,
    barred_of,
    check_read,
    read_invoices,
    with_holds,
)
from autopay_core.engine.requests import (
    Flow,
    ReadOpen,
    ReadSpent,
    ask,
)
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import Invoice
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind, notice_for_firm
from autopay_core.reads import InvoiceRead
from autopay_core.retries import network_limit
from autopay_core.runs import RunRecord, RunState

__all__ = [
    "Outlook",
    "Plan",
    "added",
    "announced_of",
    "look_ahead",
    "look_out",
    "plan_run",
    "still_owed",
    "why_not_chargeable",
]

_NOTHING: Final[Mapping[str, Money]] = MappingProxyType({})


def _read(case: Case) -> Flow[InvoiceRead]:
    """Read what an order may pay."""
    return (
        yield from read_invoices(
            case.autopay.payer, case.associations, case.terms.policy
        )
    )


# -- Planning ----------------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False)
class Plan(Readable):
    """
    What a run would pay, and what that rests on.

    Attributes:
        allocation: Which invoice gets how much, and why.
        opened: Open amounts and versions as they were read before.
        read: What the matter data said.
        checked: What the store knows about those balances (B0 to B2).
        allowed: How often the method may be tried in its network's windows;
            None without a network.
        on: The firm's day.
        spent: What the auto-pay took before, if its limits ask for it.
        decision: What the lines rest on, for the record (X1).

    """

    allocation: Allocation
    opened: OpenAmounts
    read: InvoiceRead
    checked: Checked
    allowed: AttemptsAllowed | None
    on: date
    spent: Spent | None
    decision: Decision

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the firm is told of the read, once a day (A2, L5)."""
        found: list[Notice] = []
        if self.read.foreign:
            found.append(
                notice_for_firm(
                    NoticeKind.SECURITY_EVENT,
                    on=self.on,
                    reason="ForeignInvoice",
                    detail=(
                        f"The matter data returned {self.read.foreign} rows "
                        "that nobody asked for. They are left out; its filter "
                        "has to be mended."
                    ),
                )
            )
        if self.read.unknown:
            places = ", ".join(
                f"{each.where} ({each.code})" for each in self.read.unknown
            )
            found.append(
                notice_for_firm(
                    NoticeKind.BALANCE_UNEXPECTED,
                    on=self.on,
                    reason="UnreadableRows",
                    detail=f"Rows that cannot be read: {places}",
                )
            )
        found.extend(
            notice_for_firm(
                NoticeKind.OVERPAID,
                on=self.on,
                reason="Overpaid",
                detail=(
                    f"Invoice {each.number} shows a credit of "
                    f"{-each.balance} after a payment by AutoPay: it seems "
                    "to have been paid in another way as well. Refund the "
                    "credit, or apply it elsewhere."
                ),
                occasion=f"{each.number} {each.balance}",
            )
            for each in self.checked.overpaid
        )
        return tuple(found)

    @property
    def notes(self) -> tuple[str, ...]:
        """Balances that do not fit, one sentence each."""
        return (
            *(
                f"{number}: {each.read} is stated, {each.expected} is expected"
                for number, each in sorted(self.checked.barred.items())
                if each.expected is not None
            ),
            *(
                f"{number}: it looks like {each.other} under a new number"
                for number, each in sorted(self.checked.barred.items())
                if each.other
            ),
            *(
                f"{each.invoice}: {each.read} is stated, {each.expected} was "
                "expected; a small rise is taken as interest"
                for each in self.checked.rises
            ),
        )

    @property
    def expected(self) -> tuple[Expected, ...]:
        """What is expected of the invoices from now on (B1)."""
        return self.checked.expected


def _month_of(on: date) -> tuple[date, date]:
    first = on.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return first, following


def _read_open(
    case: Case, held: Mapping[str, Money], beside: Mapping[str, Money]
) -> Flow[OpenAmounts]:
    """Read what is open, and count what is known besides."""
    clients = tuple(sorted({str(each.client) for each in case.associations}))
    opened = yield from ask(ReadOpen(clients), OpenAmounts)
    amounts = {**opened.amounts}
    for number, amount in held.items():
        known = amounts.get(number)
        amounts[number] = amount if known is None else max(known, amount)
    for number, amount in beside.items():
        known = amounts.get(number)
        amounts[number] = amount if known is None else known + amount
    return attrs.evolve(opened, amounts=amounts)


def _checked(
    case: Case, opened: OpenAmounts, read: InvoiceRead, standing: Standing
) -> Checked:
    return check_read(
        case.associations, opened, read, standing.now, case.terms.policy
    )


def _read_spent(case: Case) -> Flow[Spent | None]:
    """Read what was taken before, if a limit asks for it (L7)."""
    autopay, limit = case.autopay, case.autopay.limit
    if limit.per_month is None and limit.lifetime is None:
        return None
    begin, end = _month_of(case.on)
    currency = limit.currency
    month = yield from ask(ReadSpent(autopay.id, begin, end, currency), Money)
    lifetime = yield from ask(
        ReadSpent(autopay.id, date.min, date.max, currency), Money
    )
    return Spent(month=month, lifetime=lifetime)


def _smallest(case: Case) -> Money:
    """Return the gateway's smallest charge."""
    currency = case.autopay.limit.currency
    return Money(
        amount_minor=case.terms.capabilities.minimum(currency),
        currency=currency,
    )


def plan_run(
    case: Case,
    standing: Standing,
    *,
    held: Mapping[str, Money] = _NOTHING,
    beside: Mapping[str, Money] = _NOTHING,
    ceilings: Mapping[str, Money] | None = None,
) -> Flow[Plan]:
    """
    Read open amounts, then balances, and allocate (R1, L1 to L7).

    In this order: money moves from a reservation to a posting to the
    balance, so what moves meanwhile is counted twice at worst, never not at
    all.

    Args:
        case: What is planned.
        standing: What the store knows of it.
        held: What a refused commit said is open, at least.
        beside: What is announced for other dates, besides what is open.
        ceilings: The most that each invoice gets, if that is agreed.

    """
    autopay = case.autopay
    opened = yield from _read_open(case, held, beside)
    spent = yield from _read_spent(case)
    read = yield from _read(case)
    checked = _checked(case, opened, read, standing)
    decision = Decision(
        on=case.on,
        account=autopay.deposit_account.kind,
        open_amounts=with_holds(
            checked.open_amounts, opened.holds, read.invoices
        ),
        spent=spent,
        minimum=_smallest(case),
        ceilings=ceilings,
        barred=barred_of(
            checked,
            opened.holds,
            read.invoices,
            _left_out(case, read.invoices),
        ),
        distinct=opened.distinct,
        stated_at=read.stated_at,
        enrolled=case.associations,
        roll=autopay.schedule.roll,
    )
    allocation = allocate(
        read.invoices,
        autopay.limit,
        open_amounts=decision.open_amounts,
        order=autopay.order,
        as_of=decision.on,
        account=decision.account,
        spent=decision.spent,
        ceilings=decision.ceilings,
        minimum=decision.minimum,
        barred=decision.barred,
        unreadable=read.unreadable,
        distinct=decision.distinct,
    )
    return Plan(
        allocation=allocation,
        opened=opened,
        read=read,
        checked=checked,
        allowed=_allowed(case, standing),
        on=case.on,
        spent=spent,
        decision=decision,
    )


def _left_out(
    case: Case, invoices: tuple[Invoice, ...]
) -> Mapping[str, Reason]:
    """Return what the order itself leaves out on the day of the charge."""
    selection = case.autopay.selection
    return (
        NONE_BARRED if selection is None else selection.bars(invoices, case.on)
    )


def _allowed(case: Case, standing: Standing) -> AttemptsAllowed | None:
    """Return how often the method may be tried besides this time (N3)."""
    limit = network_limit(case.autopay.method, case.on)
    if limit is None or not limit.windows:
        return None
    method, run = case.autopay.method.fingerprint, standing.run
    # The store counts what other runs tried, so this one counts its own.
    own = [
        each.began_at
        for each in (() if run is None else run.attempts)
        if each.method == method and isinstance(each.outcome, Declined)
    ]
    windows: list[tuple[datetime, int]] = []
    for days, most in limit.windows:
        since = standing.now - timedelta(days=days)
        before = sum(each >= since for each in own)
        windows.append((since, most - 1 - before))
    return AttemptsAllowed(method=method, windows=tuple(windows))


def still_owed(
    case: Case, record: RunRecord, standing: Standing
) -> Flow[OpenAmounts | None]:
    """
    Tell whether every line of a run under way is still owed in full (R9).

    Read in R1's order, and without the run's own reservation. Returns the
    open amounts that the answer rests on; None if a line is not owed any
    more, is on hold, or cannot be relied on.
    """
    assert record.intent is not None
    opened = yield from _read_open(case, _NOTHING, _NOTHING)
    own = record.intent.allocation.amounts
    opened = attrs.evolve(
        opened,
        amounts=_without(opened.amounts, own),
        reserved=_without(opened.reserved, own),
    )
    read = yield from _read(case)
    checked = _checked(case, opened, read, standing)
    request = record.intent.request
    owed = all_payable(
        opened,
        read,
        checked,
        Limit.all(request.amount.currency),
        request.deposit_account.kind,
        case.on,
        _left_out(case, read.invoices),
    ).amounts
    for number, amount in own.items():
        if amount.is_positive and (
            number not in owed or owed[number] < amount
        ):
            return None
    return opened


def _without(
    amounts: Mapping[str, Money], own: Mapping[str, Money]
) -> dict[str, Money]:
    """Return amounts without a run's own reservation."""
    left = dict(amounts)
    for number, amount in own.items():
        if number in left:
            left[number] = max(
                left[number] - amount, Money.zero(amount.currency)
            )
    return left


def why_not_chargeable(
    amount: Money, capabilities: GatewayCapabilities
) -> InvalidValueError | None:
    """Tell why the gateway does not take an amount; None if it does."""
    if (
        capabilities.currencies
        and amount.currency not in capabilities.currencies
    ):
        return InvalidValueError(
            f"the gateway does not take {amount.currency}",
            code="CurrencyUnknown",
            path="limit.currency",
            value=amount.currency,
        )
    if amount.amount_minor > capabilities.maximum_minor:
        return InvalidValueError(
            f"the gateway takes at most {capabilities.maximum_minor} minor "
            "units in one charge; set a limit",
            code="ChargeTooLarge",
            path="allocation.total",
            value=amount.amount_minor,
        )
    return None


def look_ahead(
    case: Case, standing: Standing, others: Mapping[str, Money] = _NOTHING
) -> Flow[Plan]:
    """
    Return what a run would pay, and why; nothing is written (preview).

    At most what was announced for it, and without what is announced for
    other dates (N4), or by *others*.

    Raises:
        InvalidValueError: The matter data cannot be used.
        PortError: It cannot be read.

    """
    record = standing.run
    return (
        yield from plan_run(
            case,
            standing,
            beside=added(_announced_beside(case, standing), others),
            ceilings=None if record is None else record.announced,
        )
    )


@final
@attrs.frozen(kw_only=True, repr=False)
class Outlook(Readable):
    """
    All that a forecast rests on, read from the ports as a run would (S14).

    Attributes:
        invoices: What the matter data return.
        open_amounts: What their balances do not show, and what holds keep
            back.
        barred: Invoices that get nothing, with the reason.
        spent: What the auto-pay took before, if its limits ask for it.
        minimum: The gateway's smallest charge.
        announced: The most that each invoice gets, by nominal date.
        known: What was collected before, if its end depends on it.

    """

    invoices: tuple[Invoice, ...]
    open_amounts: Mapping[str, Money]
    barred: Mapping[str, Reason]
    spent: Spent | None
    minimum: Money
    announced: Mapping[date, Mapping[str, Money]]
    known: Known = NOTHING_KNOWN


def look_out(case: Case, standing: Standing) -> Flow[Outlook]:
    """Read what a forecast rests on; in the order of a run (R1)."""
    opened = yield from _read_open(case, _NOTHING, _NOTHING)
    spent = yield from _read_spent(case)
    read = yield from _read(case)
    checked = _checked(case, opened, read, standing)
    return Outlook(
        invoices=read.invoices,
        open_amounts=with_holds(
            checked.open_amounts, opened.holds, read.invoices
        ),
        barred=barred_of(checked, opened.holds, read.invoices),
        spent=spent,
        minimum=_smallest(case),
        announced={
            each.key.nominal_on: each.announced
            for each in standing.unfinished
            if each.announced is not None
        },
    )


def added(
    amounts: Mapping[str, Money], more: Mapping[str, Money]
) -> dict[str, Money]:
    """Add amounts up, by invoice."""
    found = dict(amounts)
    for number, amount in more.items():
        known = found.get(number)
        found[number] = amount if known is None else known + amount
    return found


def _announced_beside(case: Case, standing: Standing) -> dict[str, Money]:
    """Add up what is announced for other dates of the auto-pay (N4)."""
    return announced_of(
        each for each in standing.unfinished if each.key != case.key
    )


def announced_of(records: Iterable[RunRecord]) -> dict[str, Money]:
    """Add up what is announced, and not collected yet, by invoice (N4)."""
    found: dict[str, Money] = {}
    for each in records:
        if each.state is RunState.ANNOUNCED:
            found = added(found, each.announced or {})
    return found
