"""
Hypothesis strategies, one for each type.

Most come in two domains: *wide* takes what the type takes, *crowded* makes
collisions common: few dates, few numbers, few cents.
"""

from __future__ import annotations

import itertools
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from autopay_core._checks import _HIDDEN, DATE_MAX, DATE_MIN, ID_MAX
from autopay_core.allocation import Order
from autopay_core.associations import Association
from autopay_core.invoices import (
    BALANCE_MAX_MINOR,
    Invoice,
    InvoiceStatus,
    fold_number,
)
from autopay_core.limits import Limit, Spent
from autopay_core.money import AMOUNT_MAX_MINOR, MINOR_DIGITS, Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hypothesis.strategies import DrawFn, SearchStrategy

# -- Texts -------------------------------------------------------------------


def _is_id(text: str) -> bool:
    return bool(text.strip()) and not _HIDDEN.search(text)


ids = st.text(min_size=1, max_size=ID_MAX).filter(_is_id)
"""What may identify something."""

crowded_ids = st.sampled_from(["A", "B"])

numbers = ids | st.from_regex(r"\A[A-Z]{0,3}[-/ ]?[0-9]{1,30}[a-z]?\Z").filter(
    _is_id
)
"""Invoice numbers."""

crowded_numbers = st.sampled_from(
    [
        "INV-9",
        "INV-09",
        "INV-10",
        "INV-2",
        "INV",
        "INV-",
        "9",
        "09",
        "10",
        "1-2",
        "1-10",
        "01-2",
        "INV-9b",
        "INV-9-1",
        "Ä-9",
        "٣",
    ]
)
"""Numbers whose natural order, text order and look are all different."""


@st.composite
def card_numbers(draw: DrawFn) -> str:
    """Numbers of 13 to 19 digits with a right check digit."""
    size = draw(st.integers(12, 18))
    digits = [
        draw(st.integers(1, 9)),
        *draw(
            st.lists(st.integers(0, 9), min_size=size - 1, max_size=size - 1)
        ),
    ]
    # From the right; the check digit itself is at place 0.
    total = 0
    for place, digit in enumerate(reversed(digits), start=1):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return "".join(map(str, [*digits, -total % 10]))


# -- Money -------------------------------------------------------------------

currencies = st.sampled_from(sorted(MINOR_DIGITS))


def money(
    currency: str | None = None,
    *,
    least: int = -AMOUNT_MAX_MINOR,
    most: int = AMOUNT_MAX_MINOR,
) -> SearchStrategy[Money]:
    """Amounts from *least* to *most* minor units."""
    return st.builds(
        lambda minor, code: Money(amount_minor=minor, currency=code),
        st.integers(least, most),
        currencies if currency is None else st.just(currency),
    )


# -- Invoices ----------------------------------------------------------------

dates = st.dates(DATE_MIN, DATE_MAX)
crowded_dates = st.dates(date(2026, 1, 30), date(2026, 2, 1))

_balances = st.integers(-BALANCE_MAX_MINOR, BALANCE_MAX_MINOR)
_crowded_balances = st.integers(-2, 9)


@st.composite
def invoices(
    draw: DrawFn,
    *,
    currency: str = "USD",
    crowded: bool = False,
    number: str | None = None,
    is_open: bool | None = None,
) -> Invoice:
    """
    One invoice.

    *is_open* True: nothing but its balance keeps it from being paid.
    """
    names = crowded_ids if crowded else ids
    days = crowded_dates if crowded else dates
    balances = _crowded_balances if crowded else _balances
    usual = st.just(value=True) if is_open else st.sampled_from([1, 1, 1, 0])
    balance = draw(balances)
    total = None
    if draw(st.booleans()):
        total = balance if draw(usual) else balance - 1
        total = max(total, -BALANCE_MAX_MINOR)
    matter = draw(names)
    matters: tuple[str, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        more = draw(st.lists(names, max_size=2, unique=True))
        matters = (matter, *(each for each in more if each != matter))
    return Invoice(
        number=draw(crowded_numbers if crowded else numbers)
        if number is None
        else number,
        client=draw(names),
        matter=matter,
        issued_on=draw(days),
        due_on=draw(st.none() | days),
        balance=Money(amount_minor=balance, currency=currency),
        total=None
        if total is None
        else Money(amount_minor=total, currency=currency),
        status=InvoiceStatus.OPEN
        if draw(usual)
        else draw(st.sampled_from(InvoiceStatus)),
        account=AccountKind.OPERATING
        if draw(usual)
        else draw(st.sampled_from(AccountKind)),
        matters=matters,
    )


def told_apart(numbers: Iterable[str]) -> frozenset[frozenset[str]]:
    """Return the pairs of look-alikes, as if a person had told them apart."""
    return frozenset(
        frozenset(pair)
        for pair in itertools.combinations(set(numbers), 2)
        if fold_number(pair[0]) == fold_number(pair[1])
    )


def ledgers(
    *,
    currency: str = "USD",
    crowded: bool = False,
    is_open: bool | None = None,
    most: int = 12,
) -> SearchStrategy[list[Invoice]]:
    """Invoices of one currency, each number once."""
    return st.lists(
        invoices(currency=currency, crowded=crowded, is_open=is_open),
        max_size=most,
        unique_by=lambda each: each.number,
    )


# -- Limits ------------------------------------------------------------------


@st.composite
def limits(
    draw: DrawFn, *, currency: str = "USD", crowded: bool = False
) -> Limit:
    """Any limit that can be."""
    caps = money(currency, least=1, most=30 if crowded else 10**13)
    names = draw(
        st.sets(
            st.sampled_from(
                ["per_run", "per_invoice", "per_month", "lifetime"]
            ),
            max_size=3,
        )
    )
    chosen = {name: draw(caps) for name in sorted(names)}
    minimum: Money | None = None
    if draw(st.integers(0, 3)) == 0:
        totals = [
            cap.amount_minor
            for name, cap in chosen.items()
            if name != "per_invoice"
        ]
        minimum = draw(
            money(
                currency,
                least=1,
                most=min(totals, default=10 if crowded else 10**6),
            )
        )
    return Limit(
        currency=currency,
        per_run=chosen.get("per_run"),
        per_invoice=chosen.get("per_invoice"),
        per_month=chosen.get("per_month"),
        lifetime=chosen.get("lifetime"),
        whole_invoices=draw(st.integers(0, 3)) == 0,
        minimum=minimum,
    )


# -- Allocations -------------------------------------------------------------


class Case(NamedTuple):
    """Everything that decides about an allocation."""

    invoices: list[Invoice]
    limit: Limit
    open_amounts: dict[str, Money]
    order: Order
    as_of: date | None
    account: AccountKind
    spent: Spent | None
    ceilings: dict[str, Money] | None
    ended: frozenset[str]
    minimum: Money | None
    distinct: frozenset[frozenset[str]]

    def options(self) -> Mapping[str, object]:
        """Return the keyword arguments of `allocate`."""
        return {
            name: value
            for name, value in self._asdict().items()
            if name not in {"invoices", "limit"}
        }


@st.composite
def cases(
    draw: DrawFn,
    *,
    crowded: bool = False,
    plain: bool = False,
    limit: Callable[[], SearchStrategy[Limit]] | None = None,
) -> Case:
    """
    Arguments of `allocate` that it accepts.

    *plain*: no limit but the one per run, nothing announced, no minimum; the
    promise that at most one invoice is part-paid is about these.
    """
    currency = "USD" if crowded else draw(currencies)
    ledger = draw(ledgers(currency=currency, crowded=crowded))
    known = [each.number for each in ledger]
    amounts = money(
        currency, least=0, most=12 if crowded else BALANCE_MAX_MINOR
    )
    some = st.dictionaries(
        st.sampled_from(known) if known else st.nothing(), amounts
    )
    if limit is not None:
        chosen = draw(limit())
    elif plain:
        chosen = draw(
            st.just(Limit.all(currency))
            | money(currency, least=1, most=40 if crowded else 10**13).map(
                Limit.up_to
            )
        )
    else:
        chosen = draw(limits(currency=currency, crowded=crowded))
    needs_spent = chosen.per_month is not None or chosen.lifetime is not None
    ceilings: dict[str, Money] | None = None
    minimum: Money | None = None
    if not plain:
        ceilings = draw(st.none() | some)
        minimum = draw(
            st.none() | money(currency, least=1, most=15 if crowded else 10**6)
        )
    return Case(
        invoices=ledger,
        limit=chosen,
        open_amounts=draw(some),
        order=draw(st.sampled_from(Order)),
        as_of=draw(st.none() | (crowded_dates if crowded else dates)),
        account=draw(st.sampled_from(AccountKind)),
        spent=draw(st.builds(Spent, month=amounts, lifetime=amounts))
        if needs_spent
        else None,
        ceilings=ceilings,
        ended=draw(st.frozensets(st.sampled_from(known), max_size=2))
        if known
        else frozenset(),
        minimum=minimum,
        distinct=told_apart(known),
    )


# -- Associations and payment methods ----------------------------------------


@st.composite
def associations(
    draw: DrawFn, *, payer: str = "p-1", crowded: bool = True
) -> Association:
    """Associations of each level; crowded ones often cover something."""
    names = crowded_ids if crowded else ids
    matter = draw(st.none() | names)
    invoice = None
    if matter is not None:
        invoice = draw(st.none() | (crowded_numbers if crowded else numbers))
    return Association(
        payer=payer, client=draw(names), matter=matter, invoice=invoice
    )


methods = st.builds(
    PaymentMethodRef,
    provider=st.sampled_from(["acme", "other"]),
    token=st.from_regex(r"\Atok_(?:[0-9]{0,9}[a-zA-Z]){1,8}\Z"),
    kind=st.sampled_from(MethodKind),
    network=st.sampled_from(["", "ach", "visa", "mastercard"]),
    consumer=st.booleans(),
    expires_on=st.none() | dates,
)

deposit_accounts = st.builds(
    DepositAccount,
    id=st.sampled_from(["op-1", "trust-1", "acct/7"]),
    kind=st.sampled_from(AccountKind),
)
