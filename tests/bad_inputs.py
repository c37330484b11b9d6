"""
The table of bad inputs: what is tried, and what it must get (E2).

One table for the whole project. Each row carries the number of the case that
it answers; a case may have several rows, and rows are added where a module is
added: `Refused` for what raises, `Expected` for what is an ordinary outcome.
`test_bad_inputs` runs them all; docs/reference/bad-inputs.md says in words
what each case gets.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from autopay_core._checks import check_text, clean_text
from autopay_core.allocation import (
    Order,
    Reason,
    allocate,
    natural_key,
)
from autopay_core.associations import (
    Association,
    InvoiceQuery,
    check_covered,
    visible,
)
from autopay_core.errors import (
    CurrencyMismatchError,
    ForeignInvoiceError,
    InvalidValueError,
)
from autopay_core.invoices import Invoice, InvoiceStatus
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopay_core.allocation import Allocation


class Refused(NamedTuple):
    """
    An input that raises.

    Attributes:
        row: Number of the case.
        what: The input, in words.
        provoke: Does it.
        error: Exactly this class.
        code: Its code.
        path: Where the value stood.

    """

    row: int
    what: str
    provoke: Callable[[], object]
    error: type[InvalidValueError]
    code: str
    path: str


class Expected(NamedTuple):
    """
    An input that is bad for somebody, and has an ordinary outcome.

    Attributes:
        row: Number of the case.
        what: The input, in words.
        provoke: Does it.
        outcome: What it returns.

    """

    row: int
    what: str
    provoke: Callable[[], object]
    outcome: object


PAN = "4111 1111 1111 1111"
_WIDE = {ord("0") + each: 0xFF10 + each for each in range(10)}
FULLWIDTH = "123".translate(_WIDE)
AMEX = "3782 822463 10005".translate(_WIDE)
NAN = float("nan")
ALL = Limit.all("USD")


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def invoice(
    number: Any = "INV-1",
    balance: Any = "10",
    **fields: Any,
) -> Invoice:
    if isinstance(balance, str):
        balance = usd(balance)
    fields.setdefault("issued_on", date(2026, 1, 5))
    return Invoice(
        number=number,
        client=fields.pop("client", "C-1"),
        matter=fields.pop("matter", "M-1"),
        balance=balance,
        **fields,
    )


def parse(text: Any, currency: Any = "USD") -> Callable[[], Money]:
    return lambda: Money.of(text, currency)


def minor_units(amount_minor: Any) -> Callable[[], Money]:
    return lambda: Money(amount_minor=amount_minor, currency="USD")


def capped_at(amount: Any) -> Callable[[], Limit]:
    return lambda: Limit.up_to(amount)


def with_balance(balance: Any) -> Callable[[], Invoice]:
    return lambda: invoice(balance=balance)


def paying(
    *invoices: Invoice,
    limit: Limit = ALL,
    **options: Any,
) -> Callable[[], Allocation]:
    return lambda: allocate(invoices, limit, **options)


def outcome(*invoices: Invoice) -> Callable[[], object]:
    """Return every line, and number and code of what was left out."""

    def provoke() -> object:
        found = allocate(invoices, ALL)
        return (
            lines(*invoices)(),
            [(each.number, each.code) for each in found.left_out],
        )

    return provoke


def lines(
    *invoices: Invoice,
    limit: Limit = ALL,
    **options: Any,
) -> Callable[[], list[tuple[str, str, Reason]]]:
    """Return number, amount and reason of every line."""

    def provoke() -> list[tuple[str, str, Reason]]:
        return [
            (str(line.invoice.number), line.amount.major, line.reason)
            for line in allocate(invoices, limit, **options).lines
        ]

    return provoke


def text(value: str) -> Callable[[], None]:
    return lambda: check_text(value, "ar_message")


def _amounts() -> Iterator[Refused | Expected]:
    yield Expected(
        1,
        "a credit",
        lines(invoice("INV-1", "-5.00"), invoice("INV-2", "8.00")),
        [
            ("INV-1", "0.00", Reason.CREDIT_BALANCE),
            ("INV-2", "8.00", Reason.PAID),
        ],
    )
    yield Expected(
        2,
        "a balance of nothing",
        lambda: paying(invoice(balance="0.00"))().paid,
        (),
    )
    for word in ("NaN", "nan", "Infinity", "-inf", "sNaN"):
        yield Refused(
            3,
            word,
            parse(word),
            InvalidValueError,
            "NonFiniteAmount",
            "amount",
        )
    for number in (NAN, float("inf")):
        yield Refused(
            3,
            f"a balance of {number}",
            with_balance(number),
            InvalidValueError,
            "NonFiniteAmount",
            "balance",
        )
        yield Refused(
            3,
            f"{number} for a text",
            parse(number),
            InvalidValueError,
            "NonFiniteAmount",
            "amount",
        )
    for decimal in (Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")):
        yield Refused(
            4,
            f"a balance of Decimal {decimal}",
            with_balance(decimal),
            InvalidValueError,
            "NonFiniteAmount",
            "balance",
        )
        yield Refused(
            4,
            f"Decimal {decimal} for a text",
            parse(decimal),
            InvalidValueError,
            "NonFiniteAmount",
            "amount",
        )
    yield Refused(
        5, "19.99", parse(19.99), InvalidValueError, "FloatAmount", "amount"
    )
    yield Refused(
        5,
        "19.99 as a balance",
        with_balance(19.99),
        InvalidValueError,
        "FloatAmount",
        "balance",
    )
    yield Refused(
        5,
        "a float of minor units, exact as it is",
        minor_units(1999.0),
        InvalidValueError,
        "FloatAmount",
        "amount_minor",
    )
    yield Refused(
        6,
        "True as minor units",
        minor_units(True),
        InvalidValueError,
        "AmountType",
        "amount_minor",
    )
    yield Refused(
        6,
        "True as a balance",
        with_balance(True),
        InvalidValueError,
        "AmountType",
        "balance",
    )
    yield Refused(
        6,
        "True",
        parse(True),
        InvalidValueError,
        "AmountType",
        "amount",
    )
    for written in ("1,234.56", "1.234,56", "$12", "12 USD", "1'234"):
        yield Refused(
            7,
            written,
            parse(written),
            InvalidValueError,
            "AmountFormat",
            "amount",
        )
    for written in (
        "١٢٣",
        FULLWIDTH,
        "1_000",
        " 12.00",
        "12.00\n",
        "+5",
        "\u0660",
    ):
        yield Refused(
            8,
            ascii(written),
            parse(written),
            InvalidValueError,
            "AmountFormat",
            "amount",
        )
    yield Refused(
        9,
        "10.005 USD",
        parse("10.005"),
        InvalidValueError,
        "AmountScale",
        "amount",
    )
    yield Refused(
        10,
        "1.5 JPY",
        parse("1.5", "JPY"),
        InvalidValueError,
        "AmountScale",
        "amount",
    )
    yield Refused(
        10,
        "1.2345 KWD",
        parse("1.2345", "KWD"),
        InvalidValueError,
        "AmountScale",
        "amount",
    )
    yield Expected(
        10, "1.23 KWD", lambda: parse("1.23", "KWD")().amount_minor, 1230
    )
    for written in ("1" + "0" * 18, "9" * 40, "9" * 10**6, "1e999999"):
        yield Refused(
            11,
            f"{len(written)} characters: {written[:3]}…",
            parse(written),
            InvalidValueError,
            "AmountTooLarge",
            "amount",
        )
    yield Refused(
        11,
        "10^18 minor units as a balance",
        with_balance(Money(amount_minor=10**18, currency="USD")),
        InvalidValueError,
        "AmountTooLarge",
        "balance",
    )
    yield Refused(
        11,
        "2^63 minor units",
        lambda: Money(amount_minor=2**63, currency="USD"),
        InvalidValueError,
        "AmountTooLarge",
        "amount_minor",
    )
    yield Refused(
        11,
        "a number of 5,001 digits",
        lambda: Money(amount_minor=10**5_000, currency="USD"),
        InvalidValueError,
        "AmountTooLarge",
        "amount_minor",
    )
    yield Refused(
        12,
        "a total above the gateway's largest charge",
        paying(invoice("INV-1"), invoice("INV-2"), maximum=usd("19.99")),
        InvalidValueError,
        "ChargeTooLarge",
        "total",
    )
    yield Refused(
        12,
        "a sum beyond 64 bits",
        lambda: Money.total(
            [Money(amount_minor=2**63 - 1, currency="USD")] * 2, "USD"
        ),
        InvalidValueError,
        "AmountTooLarge",
        "amount_minor",
    )
    yield Expected(
        13,
        "less than the gateway's smallest charge",
        lines(invoice(balance="0.49"), minimum=usd("0.50")),
        [("INV-1", "0.00", Reason.BELOW_MINIMUM)],
    )
    yield Expected(14, '"-0.00"', parse("-0.00"), Money.zero("USD"))
    yield Expected(
        15,
        "a balance above what was billed",
        lines(invoice("INV-1", "11", total=usd("10")), invoice("INV-2")),
        [
            ("INV-1", "0.00", Reason.BALANCE_EXCEEDS_TOTAL),
            ("INV-2", "10.00", Reason.PAID),
        ],
    )
    yield Expected(
        16,
        "more on its way than is owed",
        lines(invoice(), open_amounts={"INV-1": usd("10.01")}),
        [("INV-1", "0.00", Reason.OVER_POSTED)],
    )
    yield Refused(
        17,
        "a negative open amount",
        paying(invoice(), open_amounts={"INV-1": usd("-1")}),
        InvalidValueError,
        "PostingSign",
        "open_amounts['INV-1']",
    )
    yield Refused(
        18,
        "minor units where major ones are read",
        parse(12550),
        InvalidValueError,
        "AmountType",
        "amount",
    )


def _caps() -> Iterator[Refused | Expected]:
    for cap in ("0", "-500"):
        yield Refused(
            19,
            f"a cap of {cap}",
            partial(Limit.up_to, usd(cap)),
            InvalidValueError,
            "CapInvalid",
            "per_run",
        )
    for missing in (None, NAN):
        yield Refused(
            20,
            f"a cap of {missing}",
            capped_at(missing),
            InvalidValueError,
            "CapMissing",
            "per_run",
        )
    nothing: Any = None
    yield Refused(
        20,
        "no limit",
        lambda: allocate([invoice()], nothing),
        InvalidValueError,
        "CapMissing",
        "limit",
    )
    yield Refused(
        20,
        "a limit per month without what was spent",
        paying(invoice(), limit=Limit.all("USD", per_month=usd("5"))),
        InvalidValueError,
        "SpentMissing",
        "spent",
    )
    yield Expected(
        21,
        "a cap in another currency than the invoices",
        lines(invoice(), limit=Limit.all("EUR")),
        [("INV-1", "0.00", Reason.OTHER_CURRENCY)],
    )
    yield Refused(
        21,
        "two caps in two currencies",
        lambda: Limit.up_to(usd("5"), per_invoice=Money.of("5", "EUR")),
        CurrencyMismatchError,
        "CurrencyMismatch",
        "per_invoice",
    )
    yield Refused(
        21,
        "spent in another currency",
        paying(invoice(), spent=Spent.nothing("EUR")),
        CurrencyMismatchError,
        "CurrencyMismatch",
        "spent",
    )
    yield Expected(
        23,
        "a cap below the oldest invoice: a part of it",
        lines(
            invoice("INV-1", "10"),
            invoice("INV-2", "3"),
            limit=Limit.up_to(usd("5")),
        ),
        [
            ("INV-1", "5.00", Reason.PART_PAID),
            ("INV-2", "0.00", Reason.LIMIT_REACHED),
        ],
    )
    yield Expected(
        23,
        "a cap below the oldest invoice, whole invoices only: order kept",
        lines(
            invoice("INV-1", "10"),
            invoice("INV-2", "3"),
            limit=Limit.up_to(usd("5"), whole_invoices=True),
        ),
        [
            ("INV-1", "0.00", Reason.WHOLE_INVOICES),
            ("INV-2", "0.00", Reason.WAITS_FOR_OLDER),
        ],
    )


def _invoices() -> Iterator[Refused | Expected]:
    one = invoice()
    yield Expected(
        31,
        "the same row twice",
        lines(one, attrs.evolve(one)),
        [("INV-1", "10.00", Reason.PAID)],
    )
    other = invoice("INV-2", "7")
    paid = ("INV-2", "7.00", Reason.PAID)
    yield Expected(
        32,
        "one number, two balances",
        outcome(one, other, invoice(balance="11")),
        ([paid], [("INV-1", "ConflictingInvoice")]),
    )
    for alike in ("INV-1 ", "inv-1", " Inv-1", "INV-01", "INV- 1"):
        yield Expected(
            33,
            f"INV-1 and {alike!r}",
            outcome(one, other, invoice(alike)),
            (
                [paid],
                [
                    (number, "AmbiguousInvoiceId")
                    for number in sorted([alike, "INV-1"], key=natural_key)
                ],
            ),
        )
    yield Expected(
        33,
        "é as one character and as two",
        outcome(invoice("caf\u00e9"), other, invoice("cafe\u0301")),
        (
            [paid],
            [
                ("cafe\u0301", "AmbiguousInvoiceId"),
                ("caf\u00e9", "AmbiguousInvoiceId"),
            ],
        ),
    )
    yield Expected(
        33,
        "an open amount of a look-alike",
        lines(one, other, open_amounts={"inv-1": usd("10")}),
        [("INV-1", "0.00", Reason.LOOKS_ALIKE), paid],
    )
    for missing in (None, "", "  "):
        yield Refused(
            34,
            f"number {missing!r}",
            partial(invoice, missing),
            InvalidValueError,
            "FieldMissing",
            "number",
        )
    yield Refused(
        35,
        "a number of 10 kB",
        lambda: invoice("9" * 10_000),
        InvalidValueError,
        "FieldTooLong",
        "number",
    )
    yield Refused(
        36,
        "a row that nobody asked for",
        lambda: check_covered(
            [one], [Association.to_client(payer="p-1", client="C-2")]
        ),
        ForeignInvoiceError,
        "ForeignInvoice",
        "invoices[0]",
    )
    yield Refused(
        37,
        "an association of another payer",
        lambda: InvoiceQuery(
            payer="p-1",
            associations=(Association.to_client(payer="p-2", client="C-1"),),
        ),
        InvalidValueError,
        "AssociationOwnership",
        "associations[0].payer",
    )
    yield Expected(
        38,
        "invoices in two currencies",
        lines(one, invoice("INV-2", Money.of("1", "EUR"))),
        [
            ("INV-1", "10.00", Reason.PAID),
            ("INV-2", "0.00", Reason.OTHER_CURRENCY),
        ],
    )
    yield Refused(
        38,
        "balance and total in two currencies",
        lambda: invoice(total=Money.of("10", "EUR")),
        InvalidValueError,
        "MixedCurrency",
        "total",
    )
    for currency in ("XXX", "VEF", "usd", "", None, 840):
        yield Refused(
            39,
            f"currency {currency!r}",
            parse("1", currency),
            InvalidValueError,
            "CurrencyUnknown",
            "currency",
        )
    yield Refused(
        39,
        "currency XXX, not parsed",
        lambda: Money(amount_minor=1, currency="XXX"),
        InvalidValueError,
        "CurrencyUnknown",
        "currency",
    )
    yield Expected(
        40,
        "an invoice of tomorrow",
        lines(invoice(issued_on=date(2026, 2, 2)), as_of=date(2026, 2, 1)),
        [("INV-1", "0.00", Reason.NOT_YET_ISSUED)],
    )
    yield Expected(
        40,
        "a due date to come keeps nothing back",
        lines(invoice(due_on=date(2027, 1, 1)), as_of=date(2026, 2, 1)),
        [("INV-1", "10.00", Reason.PAID)],
    )
    yield Refused(
        41,
        "a naive datetime",
        lambda: invoice(issued_on=datetime(2026, 1, 5)),  # noqa: DTZ001
        InvalidValueError,
        "NaiveDatetime",
        "issued_on",
    )
    yield Refused(
        41,
        "an aware datetime",
        lambda: invoice(issued_on=datetime(2026, 1, 5, tzinfo=UTC)),
        InvalidValueError,
        "DateType",
        "issued_on",
    )
    for day in (date.min, date.max):
        yield Refused(
            42,
            f"invoice date {day}",
            partial(invoice, issued_on=day),
            InvalidValueError,
            "DateOutOfRange",
            "issued_on",
        )
    yield Refused(
        42,
        "2026-02-30 as text",
        lambda: invoice(due_on="2026-02-30"),
        InvalidValueError,
        "DateType",
        "due_on",
    )
    yield Refused(
        43,
        "milliseconds taken for seconds",
        lambda: invoice(issued_on=1_767_571_200_000),
        InvalidValueError,
        "DateType",
        "issued_on",
    )
    yield Expected(
        44,
        "equal dates",
        lambda: [
            [line.invoice.number for line in paying(*rows)().lines]
            for rows in itertools.permutations(
                [invoice("INV-10"), invoice("INV-9"), invoice("INV-B")]
            )
        ],
        [["INV-9", "INV-10", "INV-B"]] * 6,
    )
    yield Expected(
        45,
        "no due date: after those that have one",
        lines(
            invoice("INV-1", due_on=None),
            invoice("INV-2", due_on=date(2200, 12, 31)),
            order=Order.DUE,
        ),
        [("INV-2", "10.00", Reason.PAID), ("INV-1", "10.00", Reason.PAID)],
    )
    for status, reason in (
        (InvoiceStatus.VOID, Reason.VOID),
        (InvoiceStatus.DRAFT, Reason.DRAFT),
        (InvoiceStatus.DISPUTED, Reason.DISPUTED),
        (InvoiceStatus.IN_COLLECTIONS, Reason.IN_COLLECTIONS),
        (InvoiceStatus.ON_HOLD, Reason.ON_HOLD),
    ):
        yield Expected(
            46,
            f"status {status.value}",
            lines(invoice(status=status)),
            [("INV-1", "0.00", reason)],
        )
    yield Expected(
        46,
        "trust money in an operating charge",
        lines(invoice(account=AccountKind.TRUST)),
        [("INV-1", "0.00", Reason.OTHER_ACCOUNT)],
    )
    yield Expected(
        47,
        "a status never seen",
        lines(invoice(status=InvoiceStatus.UNKNOWN)),
        [("INV-1", "0.00", Reason.UNKNOWN_STATUS)],
    )
    yield Expected(48, "no invoices", lambda: paying()().total, usd("0"))
    yield Refused(
        49,
        "rows without end",
        lambda: allocate(itertools.repeat(one), ALL),
        InvalidValueError,
        "TooManyInvoices",
        "invoices",
    )


def _associations() -> Iterator[Refused | Expected]:
    one = invoice()
    yield Expected(55, "no associations", lambda: visible([one], []), ())
    for wildcard in ("*", "%", "null", "../"):
        yield Expected(
            56,
            f"client {wildcard}",
            partial(
                visible,
                [one],
                [Association.to_client(payer="p-1", client=wildcard)],
            ),
            (),
        )
    yield Expected(
        58,
        "an association listed twice",
        lambda: visible(
            [one], [Association.to_client(payer="p-1", client="C-1")] * 2
        ),
        (one,),
    )


def _methods() -> Iterator[Refused | Expected]:
    nothing: Any = None
    yield Refused(
        60,
        "no token",
        lambda: PaymentMethodRef(provider="acme", token=nothing),
        InvalidValueError,
        "FieldMissing",
        "token",
    )
    for written in (
        PAN,
        PAN.replace(" ", ""),
        AMEX,
    ):
        yield Refused(
            61,
            f"a card number for a token: {written!a}",
            partial(PaymentMethodRef, provider="acme", token=written),
            InvalidValueError,
            "PanDetected",
            "token",
        )
        yield Refused(
            61,
            f"a card number for a deposit account: {written!a}",
            partial(DepositAccount, id=written),
            InvalidValueError,
            "PanDetected",
            "id",
        )
        yield Refused(
            61,
            f"a card number in a text: {written!a}",
            text(f"please use {written} from now on"),
            InvalidValueError,
            "PanDetected",
            "ar_message",
        )


def _strings() -> Iterator[Refused | Expected]:
    for bad in ("a\r\nBcc: b", "\x1b[31m", "a\tb", "\x85"):
        yield Refused(
            66,
            f"a message with {bad!a}",
            text(bad),
            InvalidValueError,
            "ControlCharacter",
            "ar_message",
        )
    yield Expected(
        66,
        "a message cleaned of line breaks",
        lambda: clean_text("a\r\nBcc: b"),
        r"a\x0d\x0aBcc: b",
    )
    for bad in ("a\x00b", "\ud800"):
        yield Refused(
            67,
            f"a message with {bad!a}",
            text(bad),
            InvalidValueError,
            "ControlCharacter",
            "ar_message",
        )
        yield Refused(
            67,
            f"a number with {bad!a}",
            partial(invoice, bad),
            InvalidValueError,
            "ControlCharacter",
            "number",
        )
    for bad in ("a\u3164", "a\ufe0f", "\u061ca", "a\u00adb", "\u2800"):
        yield Refused(
            68,
            f"a number with {bad!a}",
            partial(invoice, bad),
            InvalidValueError,
            "InvisibleCharacter",
            "number",
        )
    for bad in ("\u202eabc", "a\u200bb", "\ufeffa", "a\u2066b"):
        yield Refused(
            68,
            f"a message with {bad!a}",
            text(bad),
            InvalidValueError,
            "ControlCharacter",
            "ar_message",
        )
    yield Refused(
        69,
        "a message of a megabyte",
        text("x" * 2**20),
        InvalidValueError,
        "FieldTooLong",
        "ar_message",
    )
    yield Expected(
        69,
        "a message of a megabyte, cleaned",
        lambda: clean_text("x" * 2**20),
        "x" * 999 + "…",
    )
    yield Expected(
        70,
        "an accent at the cut",
        lambda: clean_text("x" * 998 + "e\u0301" + "x" * 9),
        "x" * 998 + "…",
    )
    for harmless in ("{{7*7}}", "%s%n", "{0.__class__}", "<b>", "=cmd|x"):
        yield Expected(71, f"a message {harmless}", text(harmless), None)
    injected = "'; drop table invoices; --"
    yield Expected(
        75,
        "SQL in a number",
        lines(invoice(injected)),
        [(injected, "10.00", Reason.PAID)],
    )


ROWS: list[Refused | Expected] = [
    *_amounts(),
    *_caps(),
    *_invoices(),
    *_associations(),
    *_methods(),
    *_strings(),
]
