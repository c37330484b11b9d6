"""
What a row says (MD-3, L5, E2).

Holds: `AmountsIn`, `read_invoices`, `read_results`, `read_instant`,
`read_totals`, `sum_of`. Imports: `sources` (for `Answer`) and the values.
Nothing is guessed: a float is no amount, a time of day no date. A row that
cannot be read keeps back its own invoice and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar

from autopay_core._checks import Choice, check_new_id, report_text
from autopay_core.adapters.views.sources import Answer
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.invoices import (
    Invoice,
    InvoiceStatus,
    SearchResult,
    UnreadableRow,
)
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.references import AccountKind

__all__ = [
    "AmountsIn",
    "read_instant",
    "read_invoices",
    "read_results",
    "read_totals",
    "sum_of",
]

_T = TypeVar("_T", bound=Choice)
_AMOUNT_MOST: Final = 40
_NEEDED: Final = ("number", "client", "matter", "issued_on", "balance")
_OPTIONAL: Final = (
    *("due_on", "total", "currency", "status", "account", "matters"),
)
_FOUND: Final = ("client_name", "matter", "matter_description", "invoice")


class AmountsIn(Enum):
    """What a number in a column of amounts stands for."""

    MAJOR = "major"
    """Dollars: decimals, whole numbers, or text such as ``120.50``."""
    MINOR = "minor"
    """Cents: whole numbers only."""


def _columns(
    answer: Answer, needed: Sequence[str], optional: Sequence[str]
) -> tuple[str, ...]:
    """
    Return the names of the columns, in small letters.

    Raises:
        FormatError: One is missing, there twice, or not known.

    """
    names = tuple(each.lower() for each in answer.columns)
    for name in needed:
        if name not in names:
            raise FormatError(
                f"the statement has no column {name}; name it with AS",
                code="ColumnMissing",
                path=name,
            )
    for place, name in enumerate(names):
        if name in names[:place]:
            raise FormatError(
                "two columns have one name; name each with AS",
                code="DuplicateColumn",
                path=name,
            )
        if name not in needed and name not in optional:
            raise FormatError(
                "no column of that name is read; leave it out, or name it "
                f"with AS: {', '.join((*needed, *optional))}",
                code="ColumnUnknown",
                path=name,
            )
    return names


def read_invoices(
    answer: Answer, currency: str, amounts: AmountsIn
) -> Iterator[Invoice | UnreadableRow]:
    """
    Read the rows of invoices, each by itself.

    Args:
        answer: What the statement was answered with.
        currency: Of the rows that name none.
        amounts: What a number stands for.

    Raises:
        FormatError: The columns are not those of invoices.

    """
    names = _columns(answer, _NEEDED, _OPTIONAL)
    for place, values in enumerate(answer.rows, start=1):
        row = dict(zip(names, values, strict=True))
        try:
            yield _invoice(row, currency, amounts)
        except InvalidValueError as error:
            yield UnreadableRow(
                number=_known(row, "number"),
                client=_known(row, "client"),
                matter=_known(row, "matter"),
                code=error.code,
                where=f"row {place}:{error.path}",
                detail=f"{error.message}: {error.safe_value}",
            )


def _invoice(
    row: Mapping[str, object], currency: str, amounts: AmountsIn
) -> Invoice:
    given = row.get("currency")
    if given is not None:
        currency = _text(given, "currency")
    matter = _id(row["matter"], "matter")
    due_on, total = row.get("due_on"), row.get("total")
    return Invoice(
        number=_id(row["number"], "number"),
        client=_id(row["client"], "client"),
        matter=matter,
        matters=_matters(row.get("matters"), matter),
        issued_on=_date(row["issued_on"], "issued_on"),
        due_on=None if due_on is None else _date(due_on, "due_on"),
        balance=_amount(row["balance"], "balance", currency, amounts),
        total=None
        if total is None
        else _amount(total, "total", currency, amounts),
        status=_word(row.get("status"), "status", InvoiceStatus.OPEN),
        account=_word(row.get("account"), "account", AccountKind.OPERATING),
    )


def _known(row: Mapping[str, object], field: str) -> str | None:
    """Return an id of a row that cannot be read, if that one can be."""
    with suppress(InvalidValueError):
        found = _id(row[field], field)
        check_new_id(found, field)
        return found
    return None


def _wrong(value: object, field: str, what: str) -> FormatError:
    return FormatError(
        f"expected {what}",
        code="FieldMissing" if value is None else "FieldType",
        path=field,
        value=value,
    )


def _text(value: object, field: str) -> str:
    if type(value) is not str:
        raise _wrong(value, field, "text")
    return value


def _id(value: object, field: str) -> str:
    """Return an id: text as it is, or a whole number in digits."""
    if type(value) is int:
        return str(value)
    return _text(value, field)


def _matters(value: object, first: str) -> tuple[str, ...]:
    """Return all the matters of a bill, the first of them first (A1)."""
    if value is None:
        return ()
    others = [each.strip() for each in _text(value, "matters").split(";")]
    found = tuple(dict.fromkeys([first, *others]))
    return found if len(found) > 1 else ()


def _date(value: object, field: str) -> date:
    """Return a date; midnight is the date that it begins."""
    if type(value) is date:
        return value
    if (
        type(value) is datetime
        and value.tzinfo is None
        and value.time() == time()
    ):
        return value.date()
    if type(value) is str and len(value) == len("2026-01-31"):
        with suppress(ValueError):
            return date.fromisoformat(value)
    if isinstance(value, str | datetime):
        raise FormatError(
            "expected a date such as 2026-01-31, without a time",
            code="DateFormat",
            path=field,
            value=str(value),
        )
    raise _wrong(value, field, "a date")


def _amount(
    value: object, field: str, currency: str, amounts: AmountsIn
) -> Money:
    """
    Read an amount exactly (M2).

    Zeros at the end of the decimals say nothing: a column with four decimals
    has ``120.5000`` for 120.50.
    """
    if amounts is AmountsIn.MINOR:
        if type(value) is not int:
            raise _wrong(value, field, "a whole number of minor units")
        return Money(amount_minor=value, currency=currency)
    if type(value) is int:
        text = str(value) if abs(value) < 10**_AMOUNT_MOST else "9" * 99
    elif type(value) is Decimal:
        text = _plain(value, field)
    else:
        text = _text(value, field)
    digits = MINOR_DIGITS.get(currency, 0)
    whole, point, decimals = text.partition(".")
    if point and not decimals[digits:].strip("0"):
        decimals = decimals[:digits]
        text = f"{whole}.{decimals}" if decimals else whole
    try:
        return Money.of(text, currency)
    except InvalidValueError as error:
        code, message = error.code, error.message
    raise FormatError(message, code=code, path=field, value=text)


def _plain(value: Decimal, field: str) -> str:
    """Write a decimal in digits; one that is none, or far too long, is not."""
    if not value.is_finite() or abs(value.adjusted()) > _AMOUNT_MOST:
        raise _wrong(str(value), field, "an amount")
    return format(value, "f")


def _word(value: object, field: str, usual: _T) -> _T:
    """Return one of a closed list; the usual one for none."""
    if value is None:
        return usual
    kind = type(usual)
    text = _text(value, field)
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(each.value for each in kind)
    raise FormatError(
        f"expected one of {known}",
        code="UnknownValue",
        path=field,
        value=text,
    )


def read_results(answer: Answer) -> Iterator[SearchResult]:
    """
    Read what a search found; a row that cannot be read is not found.

    Raises:
        FormatError: The columns are not those of a search.

    """
    names = _columns(answer, ("client",), _FOUND)
    for values in answer.rows:
        row = dict(zip(names, values, strict=True))
        with suppress(InvalidValueError):
            yield SearchResult(
                client=_id(row["client"], "client"),
                client_name=_shown(row.get("client_name")),
                matter=_id_or_none(row, "matter"),
                matter_description=_shown(row.get("matter_description")),
                invoice=_id_or_none(row, "invoice"),
            )


def _id_or_none(row: Mapping[str, object], field: str) -> str | None:
    value = row.get(field)
    return None if value is None else _id(value, field)


def _shown(value: object) -> str:
    return report_text(value) if type(value) is str else ""


def _only_value(answer: Answer, path: str) -> object:
    if len(answer.columns) == 1 and len(answer.rows) == 1:
        return answer.rows[0][0]
    raise FormatError(
        "expected one row of one column",
        code="FieldType",
        path=path,
        value=f"{len(answer.rows)} rows of {len(answer.columns)}",
    )


def read_instant(answer: Answer, path: str) -> datetime:
    """
    Read an instant: one value, with its offset from UTC.

    Raises:
        FormatError: It is not one value, or has no offset (``InstantFormat``).

    """
    value: Any = _only_value(answer, path)
    if type(value) is str:
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if type(value) is not datetime or value.tzinfo is None:
        raise FormatError(
            "expected an instant with its offset, such as "
            "2026-01-31T17:00:00+00:00",
            code="InstantFormat",
            path=path,
            value=str(value),
        )
    return value.astimezone(UTC)


def read_totals(
    answer: Answer, currency: str, amounts: AmountsIn
) -> tuple[int | None, Money | None]:
    """
    Read how many rows there are, and what they add up to, as far as stated.

    Raises:
        FormatError: It is not one row with one of the two, or both.

    """
    names = _columns(answer, (), ("row_count", "control_total"))
    if len(answer.rows) != 1 or not names:
        raise FormatError(
            "expected one row with row_count, control_total or both",
            code="FieldType",
            path="totals",
            value=f"{len(answer.rows)} rows",
        )
    row = dict(zip(names, answer.rows[0], strict=True))
    count, total = row.get("row_count"), row.get("control_total")
    if count is not None and type(count) is not int:
        raise _wrong(count, "row_count", "a whole number")
    return count, (
        None
        if total is None
        else _amount(total, "control_total", currency, amounts)
    )


def sum_of(invoices: Iterable[Invoice], currency: str) -> Money:
    """Add up balances in one currency; others stand aside (B3)."""
    return Money.total(
        (
            each.balance
            for each in invoices
            if each.balance.currency == currency
        ),
        currency,
    )
