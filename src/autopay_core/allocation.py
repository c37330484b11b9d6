"""
Which invoice gets how much of a run's payment, and why (L1 to L7).

Holds: `Allocation` and its lines, and the one rule, `allocate`; and under
their public names `Order` and `Reason`. Imports: `_checks`, `_moved`,
`_order`, `_reasons`, `errors`, `invoices`, `limits`, `money`, `references`. No
clock: "today" is the caller's `as_of`. Inside, amounts are plain integers of
minor units; at the borders they are `Money`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import (
    Iterable,
    Mapping,
    Set as AbstractSet,
)
from datetime import date
from types import MappingProxyType
from typing import Final, NoReturn, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    check_date,
    check_type,
    optional,
    tuple_of,
)
from autopay_core._moved import moved
from autopay_core._order import Order, natural_key, sort_key
from autopay_core._reasons import BY_STATUS, GIVING, Reason
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    safe_text,
)
from autopay_core.invoices import Invoice, InvoiceStatus
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
from autopay_core.references import AccountKind, InvoiceNumber

__all__ = [
    "INVOICES_MAX",
    "Allocation",
    "AllocationLine",
    "Order",
    "Reason",
    "allocate",
    "natural_key",
    "sort_key",
]

INVOICES_MAX: Final = 200_000
"""Most rows that one allocation takes; more are refused, never cut off."""

_NO_AMOUNTS: Final[Mapping[str, Money]] = MappingProxyType({})
_NO_NUMBERS: Final[AbstractSet[str]] = frozenset()


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
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Allocation(Readable):
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
        paid = Money.total(
            (line.amount for line in self.lines), self.limit.currency
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
) -> Allocation:
    """
    Pay *invoices* oldest to newest until *limit* is reached (L1 to L7).

    Each gets the smallest of what is payable on it, what may be paid on one
    invoice, and what is left. So at most one is part-paid and it is the
    newest of those paid, unless a limit per invoice or an announcement cuts
    others short. A limit never picks: it only ends the run earlier.

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
        limit: In the currency of every invoice.
        open_amounts: By invoice number, what the balance does not show yet:
            postings and other runs' reservations; zero or more (L1).
            Reversals are never among them: see `Posting.is_open`. Numbers
            that are not among *invoices* are ignored.
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

    Raises:
        InvalidValueError: No limit was given (``CapMissing``), or it needs
            *spent* (``SpentMissing``). One number with two contents
            (``ConflictingInvoice``), or two numbers that a person could not
            tell apart (``AmbiguousInvoiceId``). Invoices in several currencies
            (``MixedCurrency``), or too many (``TooManyInvoices``). An open
            amount is negative (``PostingSign``), or the total is too large
            (``ChargeTooLarge``). An argument of another type.
        CurrencyMismatchError: An amount is in another currency than *limit*.

    Source:
        Rules L1 to L7.

    """
    currency = _check_arguments(limit, order, account, as_of, ended)
    check_type(open_amounts, Mapping, "open_amounts")
    if ceilings is not None:
        check_type(ceilings, Mapping, "ceilings")
    least = _least(limit, minimum)
    most = _most(limit, maximum)
    available, bound_by = _available(limit, spent)
    rows = _distinct(invoices, currency)
    _check_look_alikes(open_amounts, rows, "open_amounts")
    _check_look_alikes(ended, rows, "ended")

    nothing = Money.zero(currency)
    wallet = _Wallet(limit, available, ceilings, nothing)
    lines: list[AllocationLine] = []
    for invoice in sorted(rows.values(), key=sort_key(order)):
        number = invoice.number
        opened = open_amounts.get(number, nothing)
        if opened is not nothing:
            _check_open(opened, currency, number)
        payable = _payable(invoice.balance, opened, nothing)
        ceiling = wallet.ceiling(number)
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
    )
    # Every invoice has its line, and the lines hold the total to the cent.
    assert len(allocation.lines) == len(rows)
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


def _distinct(
    invoices: Iterable[Invoice], currency: str
) -> dict[str, Invoice]:
    """
    Return each invoice once, by the folded form of its number (L5).

    Rows are counted as they come, so that an endless or oversized source is
    refused and not read to its end.
    """
    check_type(invoices, Iterable, "invoices")
    rows: dict[str, Invoice] = {}
    others: dict[str, int] = {}
    place = 0
    for place, invoice in enumerate(invoices, start=1):
        if place > INVOICES_MAX:
            raise InvalidValueError(
                f"at most {INVOICES_MAX} invoices in one allocation; split "
                "the auto-pay",
                code="TooManyInvoices",
                path="invoices",
            )
        if type(invoice) is not Invoice:
            check_type(invoice, Invoice, f"invoices[{place - 1}]")
        if invoice.balance.currency != currency:
            other = invoice.balance.currency
            others[other] = others.get(other, 0) + 1
        known = rows.setdefault(_folded(invoice.number), invoice)
        if known is not invoice:
            _check_same(known, invoice)
    if others:
        _refuse_currencies(others, place, currency)
    return rows


def _folded(number: str) -> str:
    """Return *number* so that what a person cannot tell apart is equal."""
    if number.isascii():
        return number.strip().lower()
    normal = unicodedata.normalize("NFC", number).casefold()
    return unicodedata.normalize("NFC", normal).strip()


def _check_same(known: Invoice, again: Invoice) -> None:
    if known.number != again.number:
        _refuse_look_alike(known.number, again.number, "invoices")
    if known != again:
        raise InvalidValueError(
            "one invoice with two contents; read the invoices again",
            code="ConflictingInvoice",
            path="invoices",
            value=again.number,
        )


def _check_look_alikes(
    numbers: Iterable[object], rows: Mapping[str, Invoice], path: str
) -> None:
    """
    Refuse a number that would miss its invoice by a blank or a capital.

    An open amount that misses its invoice would be paid a second time.
    """
    for number in numbers:
        if not isinstance(number, str):
            raise InvalidValueError(
                "an invoice number must be text",
                code="FieldType",
                path=path,
                value=number,
            )
        row = rows.get(_folded(number))
        if row is not None and row.number != number:
            _refuse_look_alike(row.number, number, path)


def _refuse_look_alike(known: str, again: str, path: str) -> NoReturn:
    raise InvalidValueError(
        f"{safe_text(known)} and {safe_text(again)} differ only in blanks, "
        "case or the form of a character; give each invoice one number",
        code="AmbiguousInvoiceId",
        path=path,
        value=again,
    )


def _refuse_currencies(
    others: Mapping[str, int], rows: int, currency: str
) -> NoReturn:
    """Refuse the lot; which error does not depend on the order (M3)."""
    if len(others) == 1 and sum(others.values()) == rows:
        [other] = others
        raise CurrencyMismatchError(currency, other, path="invoices")
    raise InvalidValueError(
        "invoices in several currencies; make an auto-pay for each",
        code="MixedCurrency",
        path="invoices",
        value=min(others),
    )


def _check_open(opened: Money, currency: str, number: str) -> None:
    path = f"open_amounts[{safe_text(number)}]"
    check_money(opened, path)
    if opened.currency != currency:
        raise CurrencyMismatchError(currency, opened.currency, path=path)
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
