"""
Which invoice gets how much of a run's payment, and why (L1 to L7).

Holds: `Allocation`, its lines and what it left out, and the one rule,
`allocate`; and under their public names `Order`, `Reason` and `fold_number`.
Imports: `_checks`, `_moved`, `_order`, `_reasons`, `_shown`, `errors`,
`invoices`, `limits`, `money`, `references`. No clock: "today" is the caller's
`as_of`. Inside, amounts are plain integers of minor units; at the borders they
are `Money`. Long, since the one rule and its result are read against each
other.
"""

from __future__ import annotations

from collections.abc import (
    Collection,
    Iterable,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from datetime import date
from types import MappingProxyType
from typing import Final, NoReturn, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_code,
    an_id,
    check_date,
    check_type,
    optional,
    some_of,
    tuple_of,
)
from autopay_core._moved import moved
from autopay_core._order import Order, natural_key, sort_key
from autopay_core._reasons import BY_STATUS, GIVING, Reason
from autopay_core._shown import Shown
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    safe_text,
)
from autopay_core.invoices import (
    Invoice,
    InvoiceStatus,
    UnreadableRow,
    fold_number,
)
from autopay_core.limits import (
    Limit,
    LimitName,
    Spent,
    check_cap,
    refuse_cap,
)
from autopay_core.money import (
    AMOUNT_MAX_MINOR,
    Money,
    an_amount,
    check_money,
)
from autopay_core.references import AccountKind, ClientId, InvoiceNumber

__all__ = [
    "INVOICES_MAX",
    "Allocation",
    "AllocationLine",
    "LeftOut",
    "Order",
    "Reason",
    "allocate",
    "fold_number",
    "natural_key",
    "sort_key",
]

INVOICES_MAX: Final = 200_000
"""Most rows that one allocation takes; more are refused, never cut off."""

_NO_AMOUNTS: Final[Mapping[str, Money]] = MappingProxyType({})
_NO_NUMBERS: Final[AbstractSet[str]] = frozenset()
_NO_PAIRS: Final[Collection[frozenset[str]]] = frozenset()
_PAIR: Final = 2
_NO_REASONS: Final[Mapping[str, Reason]] = MappingProxyType({})


# -- Results (L4) ------------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False)
class AllocationLine(Readable):
    """
    One invoice that was considered: what it gets, and why (L4).

    `payable` is what could be paid; a line that is held back for another
    reason (on hold, not enrolled …) has one too.

    Attributes:
        invoice: As the matter-management software showed it.
        open: What is on its way and not in the balance yet; zero or more.
        payable: Balance minus open, never below zero (L1).
        ceiling: Most that may be paid on this one invoice: the limit per
            invoice or what was announced, the smaller; None without either.
        amount: What it gets; from zero to payable.
        reason: Why not more, or why not less.

    Raises:
        InvalidValueError: The amounts do not follow from each other
            (``LineAmounts``). A field of another type.
        CurrencyMismatchError: Two amounts are in different currencies.

    """

    invoice: Invoice
    open: Money
    payable: Money
    amount: Money
    reason: Reason
    ceiling: Money | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the amounts explain each other (L1, L3)."""
        # `allocate` comes here a hundred thousand times: ask first, and look
        # for what is wrong only if something is.
        if not self._adds_up():
            self._refuse()

    def _adds_up(self) -> bool:
        opened, payable, amount = self.open, self.payable, self.amount
        ceiling = payable if self.ceiling is None else self.ceiling
        if not (
            type(self.invoice) is Invoice
            and type(opened) is Money
            and type(payable) is Money
            and type(amount) is Money
            and type(ceiling) is Money
            and type(self.reason) is Reason
        ):
            return False
        balance = self.invoice.balance
        open_minor = opened.amount_minor
        most = payable.amount_minor
        gets = amount.amount_minor
        owed = balance.amount_minor - open_minor
        return (
            balance.currency
            == opened.currency
            == payable.currency
            == amount.currency
            == ceiling.currency
            and open_minor >= 0
            and most == max(0, owed)
            and 0 <= gets <= most
            and gets <= ceiling.amount_minor
            and (gets > 0) == (self.reason in GIVING)
            and (gets == most or self.reason is not Reason.PAID)
        )

    def _refuse(self) -> NoReturn:
        check_type(self.invoice, Invoice, "invoice")
        currency = self.invoice.balance.currency
        amounts = {
            "open": self.open,
            "payable": self.payable,
            "amount": self.amount,
        }
        if self.ceiling is not None:
            amounts["ceiling"] = self.ceiling
        for name, each in amounts.items():
            check_money(each, name)
            if each.currency != currency:
                raise CurrencyMismatchError(currency, each.currency, path=name)
        check_type(self.reason, Reason, "reason")
        raise InvalidValueError(
            "the amounts of the line do not follow from each other",
            code="LineAmounts",
            path="amount",
            value=str(self.amount),
        )

    @property
    def balance(self) -> Money:
        """What the matter-management software says is outstanding."""
        return self.invoice.balance

    @property
    def is_paid(self) -> bool:
        """Whether it gets anything."""
        return self.amount.is_positive

    def __str__(self) -> str:
        """Return the line for people, with the sum that leads to it."""
        return (
            f"{self.invoice.number}: {self.balance} owed - {self.open} on its "
            f"way = {self.payable} payable; {self.amount} paid: "
            f"{self.reason.text}"
        )


@final
@attrs.frozen(kw_only=True, repr=False)
class LeftOut(Readable):
    """
    An invoice that gets nothing because its rows cannot be relied on (L5).

    It has no line, for what is owed on it is not known.

    Attributes:
        number: The invoice's number, as far as known.
        client: The client's number, as far as known and not in question.
        code: Why: ``ConflictingInvoice`` (rows that contradict each other),
            ``AmbiguousInvoiceId`` (a number that looks like another's),
            ``CurrencyMismatch`` (what is on its way is in another currency),
            or why a row could not be read.
        where: The place for those who mend it; empty if it is not one.

    """

    number: InvoiceNumber | str | None = attrs.field(validator=optional(an_id))
    client: ClientId | str | None = attrs.field(validator=optional(an_id))
    code: str = attrs.field(validator=a_code)
    where: str = attrs.field(default="", validator=a(str))

    def __str__(self) -> str:
        """Return it in words, for people."""
        number = self.number or "an invoice without a number"
        where = f" ({self.where})" if self.where else ""
        return f"{number}: left out, {self.code}{where}"


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Allocation(Shown):
    """
    Who gets how much of one run's payment.

    Attributes:
        lines: Every invoice that was considered, in the order of payment.
        total: What is charged: the sum of the lines' amounts.
        limit: The limits that were kept.
        order: The order that was kept.
        available: Most that this run could take: the smallest of the limits
            per run, per month and lifetime, less what was taken before; None
            without any of them.
        bound_by: Which of them that is.
        left_out: The invoices whose rows cannot be relied on, by number; they
            get nothing and change nothing (L5).

    Raises:
        InvalidValueError: The total is not the sum of the lines
            (``TotalMismatch``). A field of another type or currency.

    """

    lines: tuple[AllocationLine, ...] = attrs.field(
        validator=tuple_of(AllocationLine)
    )
    total: Money = attrs.field(validator=an_amount)
    limit: Limit = attrs.field(validator=a(Limit))
    order: Order = attrs.field(default=Order.ISSUED, validator=a(Order))
    available: Money | None = attrs.field(
        default=None, validator=optional(an_amount)
    )
    bound_by: LimitName | None = attrs.field(
        default=None, validator=optional(a(LimitName))
    )
    left_out: tuple[LeftOut, ...] = attrs.field(
        default=(), validator=tuple_of(LeftOut)
    )

    def __attrs_post_init__(self) -> None:
        """Check that the total is the sum of the lines, to the cent."""
        for name, each in (
            ("total", self.total),
            ("available", self.available),
        ):
            if each is not None and each.currency != self.limit.currency:
                raise CurrencyMismatchError(
                    self.limit.currency, each.currency, path=name
                )
        # A line in another currency gets nothing, or its reason is wrong.
        paid = Money.total(
            (
                line.amount
                for line in self.lines
                if line.reason is not Reason.OTHER_CURRENCY
            ),
            self.limit.currency,
        )
        if paid != self.total:
            raise InvalidValueError(
                f"the lines add up to {paid}",
                code="TotalMismatch",
                path="total",
                value=str(self.total),
            )
        if self.available is not None and self.total > self.available:
            raise InvalidValueError(
                f"more than {self.available}, which was available",
                code="TotalMismatch",
                path="total",
                value=str(self.total),
            )

    @property
    def paid(self) -> tuple[AllocationLine, ...]:
        """The lines that get something, in the order of payment."""
        return tuple(line for line in self.lines if line.amount.is_positive)

    def __str__(self) -> str:
        """
        Return it in a line, for people; `show` and notebooks have a table.

        As in ``USD 500.00 on 3 of 5 invoices: 1042, 1058, 1061``.
        """
        paid = [str(each.invoice.number) for each in self.paid]
        lines = len(self.lines)
        numbers = f": {some_of(paid)}" if paid else ""
        left_out = f"; {len(self.left_out)} left out" if self.left_out else ""
        return (
            f"{self.total} on {len(paid)} of {lines} "
            f"invoice{'' if lines == 1 else 's'}{numbers}{left_out}"
        )

    @property
    def amounts(self) -> dict[InvoiceNumber | str, Money]:
        """What each invoice gets, by number; those that get nothing aside."""
        return {line.invoice.number: line.amount for line in self.paid}


# -- The rule ----------------------------------------------------------------


def allocate(  # noqa: PLR0913 - one parameter for each thing that decides
    invoices: Iterable[Invoice],
    limit: Limit,
    *,
    open_amounts: Mapping[str, Money] = _NO_AMOUNTS,
    order: Order = Order.ISSUED,
    as_of: date | None = None,
    account: AccountKind = AccountKind.OPERATING,
    spent: Spent | None = None,
    ceilings: Mapping[str, Money] | None = None,
    ended: AbstractSet[str] = _NO_NUMBERS,
    minimum: Money | None = None,
    maximum: Money | None = None,
    barred: Mapping[str, Reason] | None = None,
    unreadable: Sequence[UnreadableRow] = (),
    distinct: Collection[frozenset[str]] = _NO_PAIRS,
) -> Allocation:
    """
    Pay *invoices* oldest to newest until *limit* is reached (L1 to L7).

    Each gets the smallest of what is payable on it, what may be paid on one
    invoice, and what is left. So at most one is part-paid and it is the
    newest of those paid, unless a limit per invoice or an announcement cuts
    others short. A limit never picks: it only ends the run earlier.

    What cannot be relied on keeps its own invoice back and stops nobody: rows
    that contradict each other, numbers that look alike, rows that could not
    be read stand in `Allocation.left_out`; an invoice in another currency
    than *limit* has a line that gets nothing and says why (L5, M3).

    >>> from datetime import date
    >>> old, new = (
    ...     Invoice(
    ...         number=number,
    ...         client="C-1",
    ...         matter="M-1",
    ...         issued_on=date(2026, 1, 5),
    ...         balance=Money.of("80.00", "USD"),
    ...     )
    ...     for number in ("INV-9", "INV-10")
    ... )
    >>> allocation = allocate([new, old], Limit.up_to(Money.of("100", "USD")))
    >>> for line in allocation.lines:
    ...     print(line.invoice.number, line.amount, line.reason.text)
    INV-9 USD 80.00 paid in full
    INV-10 USD 20.00 paid in part: the limit ended here

    Args:
        invoices: In any order, at most `INVOICES_MAX` rows. The same row
            again counts once (L5).
        limit: An invoice in another currency gets nothing (M3).
        open_amounts: By invoice number, what the balance does not show yet:
            postings and other runs' reservations; zero or more (L1).
            Reversals are never among them: see `Posting.is_open`. Numbers
            that are not among *invoices* change nothing, unless one looks
            like an invoice's: then that invoice gets nothing (B2).
        order: By invoice date or by due date first (L2).
        as_of: Invoices dated later wait; None takes them all.
        account: Invoices whose money belongs elsewhere wait (L6).
        spent: What the auto-pay has taken before; needed if *limit* has one
            per month or lifetime.
        ceilings: What was announced for each invoice; it gets no more, and
            one that is not in here gets nothing (N4).
        ended: Numbers of invoices whose enrolment has ended (S6, S7).
        minimum: The gateway's smallest charge.
        maximum: The gateway's largest charge; a larger total is refused, not
            cut off, because a limit is the payer's to set.
        barred: By invoice number, what else keeps it back: a hold, a balance
            above what was expected. It gets nothing, with that reason, and
            changes no other amount (H1, B1).
        unreadable: Rows that could not be read; each keeps its own invoice
            back (L5).
        distinct: Pairs of numbers that look alike and of which a person said
            that they are two (L5).

    Raises:
        InvalidValueError: No limit was given (``CapMissing``), or it needs
            *spent* (``SpentMissing``). Too many invoices
            (``TooManyInvoices``). An open amount is negative
            (``PostingSign``), or the total is too large
            (``ChargeTooLarge``). An argument of another type.
        CurrencyMismatchError: An amount other than an invoice's or an open
            one is in another currency than *limit*.

    Source:
        Rules L1 to L7.

    """
    currency = _check_arguments(limit, order, account, as_of, ended)
    check_type(open_amounts, Mapping, "open_amounts")
    if ceilings is not None:
        check_type(ceilings, Mapping, "ceilings")
    barred = _checked_reasons(_NO_REASONS if barred is None else barred)
    least = _least(limit, minimum)
    most = _most(limit, maximum)
    available, bound_by = _available(limit, spent)
    rows = _Rows(invoices, unreadable, distinct)
    opened_of = _open_amounts(rows, open_amounts)
    _check_numbers(ended, "ended")
    alike = rows.looking_like([*opened_of, *ended, *barred])

    nothing = Money.zero(currency)
    wallet = _Wallet(limit, available, ceilings, nothing)
    lines: list[AllocationLine] = []
    for invoice in sorted(rows.sound.values(), key=sort_key(order)):
        number = invoice.number
        opened = opened_of.get(number, nothing)
        if invoice.balance.currency != currency:
            lines.append(_in_other_currency(invoice, opened_of.get(number)))
            continue
        payable = _payable(invoice.balance, opened, nothing)
        ceiling = wallet.ceiling(number)
        reason = barred.get(number)
        if reason is None and number in alike:
            reason = Reason.LOOKS_ALIKE
        if reason is None:
            reason = _excluded(invoice, as_of, account, ended)
        if reason is None and payable is nothing:
            reason = _nothing_due(invoice.balance, opened)
        amount = nothing
        if reason is None:
            amount, reason = wallet.take(payable, ceiling)
        lines.append(
            AllocationLine(
                invoice=invoice,
                open=opened,
                payable=payable,
                amount=amount,
                reason=reason,
                ceiling=ceiling,
            )
        )
    if 0 < wallet.taken < least:
        lines = [_unpaid(line, nothing) for line in lines]
        wallet.taken = 0
    total = _money(wallet.taken, currency)
    _check_total(total, most)
    allocation = Allocation(
        lines=tuple(lines),
        total=total,
        limit=limit,
        order=order,
        available=None if available is None else _money(available, currency),
        bound_by=bound_by,
        left_out=rows.left_out,
    )
    # Every sound row has its line, and the lines hold the total to the cent.
    assert len(allocation.lines) == len(rows.sound)
    assert sum(line.amount.amount_minor for line in lines) == wallet.taken
    return allocation


class _Wallet:
    """What a run may still take, handed out in the order of asking (L3)."""

    def __init__(
        self,
        limit: Limit,
        available: int | None,
        ceilings: Mapping[str, Money] | None,
        nothing: Money,
    ) -> None:
        self.taken = 0
        self._nothing = nothing
        self._currency = limit.currency
        self._per_invoice = limit.per_invoice
        self._whole = limit.whole_invoices
        self._ceilings = ceilings
        # Nothing that is owed adds up to this much: see `_check_total`.
        self._left = AMOUNT_MAX_MINOR if available is None else available
        self._is_blocked = False

    def ceiling(self, number: str) -> Money | None:
        """Return the most that may be paid on one invoice (L7, N4)."""
        most = self._per_invoice
        if self._ceilings is None:
            return most
        announced = self._ceilings.get(number, self._nothing)
        if announced is not self._nothing:
            _check_ceiling(announced, self._currency, number)
        if most is None or announced.amount_minor < most.amount_minor:
            return announced
        return most

    def take(
        self, payable: Money, ceiling: Money | None
    ) -> tuple[Money, Reason]:
        """Return what an invoice gets, and why not more (L3, L7)."""
        wanted, reason = payable, Reason.PAID
        if ceiling is not None and ceiling.amount_minor < wanted.amount_minor:
            if ceiling.amount_minor == 0:
                return self._nothing, Reason.NOT_ANNOUNCED
            if self._whole:
                # It could not be paid however much was left, so nobody waits.
                return self._nothing, Reason.WHOLE_INVOICES
            wanted, reason = ceiling, Reason.ANNOUNCED_LIMIT
            if ceiling is self._per_invoice:
                reason = Reason.PER_INVOICE_LIMIT
        if self._is_blocked:
            return self._nothing, Reason.WAITS_FOR_OLDER
        if self._left == 0:
            return self._nothing, Reason.LIMIT_REACHED
        if wanted.amount_minor > self._left:
            if self._whole:
                self._is_blocked = True
                return self._nothing, Reason.WHOLE_INVOICES
            wanted = _money(self._left, self._currency)
            reason = Reason.PART_PAID
        self._left -= wanted.amount_minor
        self.taken += wanted.amount_minor
        return wanted, reason


class _Rows:
    """
    The invoices by number, and what cannot be relied on among them (L5).

    Rows are counted as they come, so that an endless or oversized source is
    refused and not read to its end.
    """

    def __init__(
        self,
        invoices: Iterable[Invoice],
        unreadable: Sequence[UnreadableRow],
        distinct: Collection[frozenset[str]],
    ) -> None:
        self.sound: dict[str, Invoice] = {}
        self._left_out: set[LeftOut] = set()
        self._partners = _partners(distinct)
        # By fold: the first number, and all of them where there are more.
        self._first: dict[str, str] = {}
        self._more: dict[str, set[str]] = {}
        for number, clients in self._read(invoices).items():
            client = clients.pop() if len(clients) == 1 else None
            self.leave_out(number, client, "ConflictingInvoice")
        check_type(unreadable, Sequence, "unreadable")
        for place, row in enumerate(unreadable):
            check_type(row, UnreadableRow, f"unreadable[{place}]")
            if row.number is not None:
                self._remember(row.number)
            self.leave_out(row.number, row.client, row.code, row.where)
        for numbers in self._more.values():
            for number in numbers:
                invoice = self.sound.get(number)
                if invoice is not None and not self._tells_apart(
                    number, numbers
                ):
                    self.leave_out(
                        number, invoice.client, "AmbiguousInvoiceId"
                    )

    def _read(self, invoices: Iterable[Invoice]) -> dict[str, set[str]]:
        """Take each number once; return the clients of the contradictory."""
        check_type(invoices, Iterable, "invoices")
        conflicts: dict[str, set[str]] = {}
        for place, invoice in enumerate(invoices, start=1):
            if place > INVOICES_MAX:
                raise InvalidValueError(
                    f"at most {INVOICES_MAX} invoices in one allocation; "
                    "split the auto-pay",
                    code="TooManyInvoices",
                    path="invoices",
                )
            if type(invoice) is not Invoice:
                check_type(invoice, Invoice, f"invoices[{place - 1}]")
            known = self.sound.setdefault(invoice.number, invoice)
            if known is invoice:
                self._remember(invoice.number)
            elif known != invoice:
                clients = conflicts.setdefault(known.number, {known.client})
                clients.add(invoice.client)
        return conflicts

    def _remember(self, number: str) -> None:
        fold = fold_number(number)
        first = self._first.setdefault(fold, number)
        if first != number:
            self._more.setdefault(fold, {first}).add(number)

    def _tells_apart(self, number: str, numbers: AbstractSet[str]) -> bool:
        """Tell whether a person said so of *number* and all the others."""
        partners = self._partners.get(number, _NO_NUMBERS)
        return len(numbers) - 1 <= len(partners) and all(
            each in partners for each in numbers if each != number
        )

    def leave_out(
        self,
        number: str | None,
        client: str | None,
        code: str,
        where: str = "",
    ) -> None:
        """Take an invoice out of the sound ones, and say why."""
        if number is not None:
            self.sound.pop(number, None)
        self._left_out.add(
            LeftOut(number=number, client=client, code=code, where=where)
        )

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out, in an order that the rows do not decide."""
        return tuple(sorted(self._left_out, key=_left_out_key))

    def looking_like(self, numbers: Iterable[str]) -> AbstractSet[str]:
        """Return the sound invoices that one of *numbers* may mean (B2)."""
        found: set[str] = set()
        for number in numbers:
            # Alone under its fold, it can only mean itself.
            if not self._more and number in self.sound:
                continue
            fold = fold_number(number)
            first = self._first.get(fold)
            if first is None:
                continue
            partners = self._partners.get(number, _NO_NUMBERS)
            found.update(
                each
                for each in self._more.get(fold, (first,))
                if each != number and each not in partners
            )
        return found


def _left_out_key(each: LeftOut) -> tuple[object, ...]:
    number = each.number or ""
    return natural_key(number), each.client or "", each.code, each.where


def _partners(
    distinct: Collection[frozenset[str]],
) -> dict[str, set[str]]:
    """Return the numbers that a person told apart from each (L5)."""
    check_type(distinct, Collection, "distinct")
    found: dict[str, set[str]] = {}
    for pair in distinct:
        check_type(pair, frozenset, "distinct")
        if len(pair) != _PAIR:
            raise InvalidValueError(
                "two numbers that look alike are a pair",
                code="NotAPair",
                path="distinct",
                value=len(pair),
            )
        _check_numbers(pair, "distinct")
        one, other = pair
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


def _open_amounts(
    rows: _Rows, open_amounts: Mapping[str, Money]
) -> dict[str, Money]:
    """
    Return what is open, by number, zeros aside.

    An open amount in another currency than its invoice cannot be taken off:
    that invoice is left out, and the others are paid (M3).
    """
    _check_numbers(open_amounts, "open_amounts")
    found: dict[str, Money] = {}
    for number, amount in open_amounts.items():
        invoice = rows.sound.get(number)
        if invoice is not None:
            _check_open(amount, number)
            if amount.currency != invoice.balance.currency:
                rows.leave_out(number, invoice.client, "CurrencyMismatch")
        if type(amount) is Money and amount.amount_minor > 0:
            found[number] = amount
    return found


def _in_other_currency(
    invoice: Invoice, opened: Money | None
) -> AllocationLine:
    """Return the line of an invoice that *limit* says nothing about (M3)."""
    nothing = Money.zero(invoice.balance.currency)
    opened = nothing if opened is None else opened
    return AllocationLine(
        invoice=invoice,
        open=opened,
        payable=_payable(invoice.balance, opened, nothing),
        amount=nothing,
        reason=Reason.OTHER_CURRENCY,
    )


def _money(amount_minor: int, currency: str) -> Money:
    return Money(amount_minor=amount_minor, currency=currency)


def _payable(balance: Money, opened: Money, nothing: Money) -> Money:
    """Return balance minus open, never below zero (L1)."""
    minor = balance.amount_minor - opened.amount_minor
    if minor <= 0:
        return nothing
    if minor == balance.amount_minor:
        return balance
    return _money(minor, balance.currency)


def _excluded(
    invoice: Invoice,
    as_of: date | None,
    account: AccountKind,
    ended: AbstractSet[str],
) -> Reason | None:
    """Tell what keeps *invoice* out, whatever is owed on it (L4, L6)."""
    if invoice.status is not InvoiceStatus.OPEN:
        return BY_STATUS[invoice.status]
    if invoice.account is not account:
        return Reason.OTHER_ACCOUNT
    if as_of is not None and invoice.issued_on > as_of:
        return Reason.NOT_YET_ISSUED
    total = invoice.total
    if (
        total is not None
        and invoice.balance.amount_minor > total.amount_minor
        and invoice.balance.amount_minor > 0
    ):
        return Reason.BALANCE_EXCEEDS_TOTAL
    return Reason.ENROLLMENT_ENDED if invoice.number in ended else None


def _nothing_due(balance: Money, opened: Money) -> Reason:
    """Tell why nothing is payable, for an invoice that takes part (L5)."""
    if balance.amount_minor < 0:
        return Reason.CREDIT_BALANCE
    if opened.amount_minor > balance.amount_minor:
        return Reason.OVER_POSTED
    if opened.amount_minor:
        return Reason.COVERED_BY_OPEN
    return Reason.NOTHING_OWED


def _unpaid(line: AllocationLine, nothing: Money) -> AllocationLine:
    """Take back what *line* got: in all it is less than may be charged."""
    if line.amount.is_zero:
        return line
    return attrs.evolve(line, amount=nothing, reason=Reason.BELOW_MINIMUM)


def _available(
    limit: Limit, spent: Spent | None
) -> tuple[int | None, LimitName | None]:
    """Return the smallest of what the limits leave, and its name (L7)."""
    if spent is not None:
        check_type(spent, Spent, "spent")
        if spent.month.currency != limit.currency:
            raise CurrencyMismatchError(
                limit.currency, spent.month.currency, path="spent"
            )
    elif limit.per_month is not None or limit.lifetime is not None:
        # To take nothing for granted would spend the month's limit in
        # every run of the month.
        raise InvalidValueError(
            "a limit per month or lifetime needs to know what was taken "
            "before; give Spent, or Spent.nothing(currency) the first time",
            code="SpentMissing",
            path="spent",
        )
    found: list[tuple[int, LimitName]] = []
    if limit.per_run is not None:
        found.append((limit.per_run.amount_minor, LimitName.PER_RUN))
    if spent is not None:
        for most, gone, name in (
            (limit.per_month, spent.month, LimitName.PER_MONTH),
            (limit.lifetime, spent.lifetime, LimitName.LIFETIME),
        ):
            if most is not None:
                left = most.amount_minor - gone.amount_minor
                found.append((max(0, left), name))
    return min(found, key=lambda each: each[0], default=(None, None))


def _least(limit: Limit, minimum: Money | None) -> int:
    """Return the smallest charge in minor units, gateway's and payer's."""
    least = 0 if limit.minimum is None else limit.minimum.amount_minor
    if minimum is None:
        return least
    check_cap(minimum, limit.currency, "minimum")
    return max(least, minimum.amount_minor)


def _most(limit: Limit, maximum: Money | None) -> int:
    """Return the largest charge in minor units."""
    if maximum is None:
        return AMOUNT_MAX_MINOR
    check_cap(maximum, limit.currency, "maximum")
    return maximum.amount_minor


# -- Checks ------------------------------------------------------------------


def _check_arguments(
    limit: object,
    order: object,
    account: object,
    as_of: object,
    ended: object,
) -> str:
    """Refuse arguments of another type; return the currency."""
    if limit is None:
        refuse_cap(limit, "limit")
    if not isinstance(limit, Limit):
        raise InvalidValueError(
            f"expected Limit, not {type(limit).__name__}",
            code="FieldType",
            path="limit",
            value=limit,
        )
    check_type(order, Order, "order")
    check_type(account, AccountKind, "account")
    if as_of is not None:
        check_date(as_of, "as_of")
    check_type(ended, AbstractSet, "ended")
    return limit.currency


def _check_numbers(numbers: Iterable[object], path: str) -> None:
    for number in numbers:
        if type(number) is not str:
            check_type(number, str, path)


def _checked_reasons(barred: Mapping[str, Reason]) -> Mapping[str, Reason]:
    """Refuse a reason that would give something."""
    check_type(barred, Mapping, "barred")
    _check_numbers(barred, "barred")
    for number, reason in barred.items():
        path = f"barred[{safe_text(number)}]"
        check_type(reason, Reason, path)
        if reason in GIVING:
            raise InvalidValueError(
                "a reason that keeps an invoice back, not one to pay it",
                code="UnknownValue",
                path=path,
                value=reason.value,
            )
    return barred


def _check_open(opened: Money, number: str) -> None:
    path = f"open_amounts[{safe_text(number)}]"
    check_money(opened, path)
    if opened.is_negative:
        raise InvalidValueError(
            "what is on its way is zero or more; reversals do not count",
            code="PostingSign",
            path=path,
            value=str(opened),
        )


def _check_ceiling(announced: Money, currency: str, number: str) -> None:
    path = f"ceilings[{safe_text(number)}]"
    check_money(announced, path)
    if announced.currency != currency:
        raise CurrencyMismatchError(currency, announced.currency, path=path)
    if announced.is_negative:
        raise InvalidValueError(
            "what was announced is zero or more",
            code="CapInvalid",
            path=path,
            value=str(announced),
        )


def _check_total(total: Money, most: int) -> None:
    if total.amount_minor > most:
        raise InvalidValueError(
            f"more than {_money(most, total.currency)}, the largest charge; "
            "set a limit per run",
            code="ChargeTooLarge",
            path="total",
            value=str(total),
        )


__getattr__ = moved(__name__)
