"""
From the rows of a list of bills to invoices, and what could not be read (L5).

Holds: `read_bills` and `BillsRead`, `BILL_FIELDS`; what reads single fields
(`id_of`, `matters_of`, `name_of` …). Imports: `asking`, `wire` and the values.
One row that cannot be read keeps its own bill back. Pages that contradict each
other are refused whole, because then every row is in doubt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, Final, cast, final

import attrs

from autopay_core._checks import check_new_id, report_text
from autopay_core.adapters.clio.asking import Page
from autopay_core.adapters.clio.wire import Number
from autopay_core.errors import (
    FormatError,
    IncompleteReadError,
    InvalidValueError,
)
from autopay_core.invoices import Invoice, InvoiceStatus, UnreadableRow
from autopay_core.money import Money
from autopay_core.references import AccountKind

__all__ = [
    "BILL_FIELDS",
    "BillsRead",
    "id_of",
    "is_closed",
    "is_id",
    "matters_of",
    "name_of",
    "read_bills",
    "shown",
]

BILL_FIELDS: Final = (
    "id,number,issued_at,due_at,balance,total,state,kind,"
    "currency{id,code},client{id},matters{id,display_number}"
)
"""What is asked for of a bill; without it Clio answers id and etag only."""

CLOSED: Final = frozenset(
    {"draft", "awaiting_approval", "paid", "void", "deleted"}
)
"""States of bills that are not open, or not yet."""

_STATES: Final = {"awaiting_payment": InvoiceStatus.OPEN}
_KINDS: Final = {
    "revenue_kind": AccountKind.OPERATING,
    "trust_kind": AccountKind.TRUST,
}
_ID: Final = re.compile("[1-9][0-9]{0,18}")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT: Final = re.compile(r"(-?[0-9]+)(?:\.(?=[0-9])([0-9]*?)0*)?")
_AMOUNT_MAX: Final = 40


@final
@attrs.frozen(kw_only=True)
class BillsRead:
    """
    What a list of bills says.

    Attributes:
        invoices: The open bills, by client, in their order.
        unreadable: Those that could not be read, by client; of unknown
            clients under None.
        rows: How many rows there were.

    """

    invoices: Mapping[str, Sequence[Invoice]]
    unreadable: Mapping[str | None, Sequence[UnreadableRow]]
    rows: int


def is_id(text: str) -> bool:
    """Tell whether a text is written as Clio writes its ids."""
    return _ID.fullmatch(text) is not None


def id_of(value: object, path: str) -> str:
    """
    Read one of Clio's own ids, which are numbers.

    Raises:
        FormatError: It is none (``FieldMissing``, ``FieldType``).

    """
    if type(value) is Number and is_id(value):
        return str.__str__(value)
    raise _wrong(value, path, "one of Clio's ids")


def name_of(row: Mapping[str, Any], field: str) -> str:
    """Read a number or a name that people gave (E2)."""
    value: object = row.get(field)
    if type(value) is not str or not value:
        raise _wrong(value, field, "text")
    check_new_id(value, field)
    return value


def matters_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the numbers of a bill's matters, in the order of their ids.

    That order stays the same whatever order they come in, so that postings
    go to the same one (MD-9).
    """
    value: object = row.get("matters")
    given = cast("list[object]", value if type(value) is list else [])
    if not given:
        raise _wrong(row.get("matters"), "matters", "a list of matters")
    found = {
        int(id_of(each.get("id"), "matters.id")): name_of(
            each, "display_number"
        )
        for each in map(_object_of, given)
    }
    if len(found) != len(given):
        raise FormatError(
            "one matter is there twice", code="DuplicateValue", path="matters"
        )
    return tuple(name for _, name in sorted(found.items()))


def read_bills(
    pages: Iterable[Page], /, *, currency: str, client: str | None = None
) -> BillsRead:
    """
    Read all pages of one list.

    Args:
        pages: In their order.
        currency: Of the bills that name none.
        client: Whose bills were asked for; None if everybody's.

    Raises:
        IncompleteReadError: A bill is there twice with different content
            (``BillTwice``), is another client's (``ForeignBill``), or there
            are not as many as the pages say (``RowCount``).

    """
    pages = tuple(pages)
    rows = _distinct(pages)
    _check_count(pages, len(rows))
    read = [
        (place, _read(row, place, currency))
        for place, row in rows.items()
        if not is_closed(row)
    ]
    numbers = Counter(bill.number for _, bill in read)
    invoices: dict[str, list[Invoice]] = {}
    unreadable: dict[str | None, list[UnreadableRow]] = {}
    for place, bill in read:
        if client is not None and bill.client not in {None, client}:
            raise IncompleteReadError(
                f"{place} is another client's than the one that was asked "
                "for; the filter does not do what it should",
                code="ForeignBill",
            )
        if isinstance(bill, UnreadableRow):
            unreadable.setdefault(bill.client, []).append(bill)
        elif numbers[bill.number] > 1:
            unreadable.setdefault(bill.client, []).append(_twin(bill, place))
        else:
            invoices.setdefault(bill.client, []).append(bill)
    return BillsRead(invoices=invoices, unreadable=unreadable, rows=len(rows))


def _twin(bill: Invoice, place: str) -> UnreadableRow:
    return UnreadableRow(
        number=bill.number,
        client=bill.client,
        matter=bill.matter,
        code="NumberTwice",
        where=f"{place}:number",
        detail="two bills have this number; give one of them another",
    )


def _distinct(pages: Sequence[Page]) -> dict[str, object]:
    """Return the rows by their place, those that came twice once."""
    rows: dict[str, object] = {}
    for number, page in enumerate(pages, start=1):
        for line, row in enumerate(page.rows, start=1):
            place = f"bills[page {number}, row {line}]"
            with suppress(FormatError):
                place = f"bills/{id_of(_object_of(row).get('id'), 'id')}"
            if rows.setdefault(place, row) != row:
                raise IncompleteReadError(
                    f"{place} is there twice with different content; the "
                    "bills changed while they were read",
                    code="BillTwice",
                )
    return rows


def _check_count(pages: Sequence[Page], rows: int) -> None:
    """
    Refuse pages that say that there are more or fewer rows (B3).

    Whether ``meta.records`` counts the list or the page is not documented:
    all pages mean the one, or all mean the other.
    """
    stated = [each for each in pages if each.records is not None]
    if all(each.records == rows for each in stated):
        return
    if all(each.records == len(each.rows) for each in stated):
        return
    raise IncompleteReadError(
        f"the pages state {sorted({each.records or 0 for each in stated})} "
        f"records, {rows} came",
        code="RowCount",
    )


def is_closed(row: object) -> bool:
    """Tell whether a row is of a bill that is not open, or not yet."""
    if type(row) is not dict:
        return False
    state: object = cast("dict[str, object]", row).get("state")
    return type(state) is str and state in CLOSED


def _read(row: object, place: str, currency: str) -> Invoice | UnreadableRow:
    try:
        return _bill(_object_of(row), currency)
    except InvalidValueError as error:
        known = cast("dict[str, Any]", row if type(row) is dict else {})
        return UnreadableRow(
            number=_known(lambda: name_of(known, "number")),
            client=_known(lambda: _client(known)),
            matter=_known(lambda: matters_of(known)[0]),
            code=error.code,
            where=f"{place}:{error.path}",
            detail=f"{error.message}: {error.safe_value}",
        )


def _bill(row: Mapping[str, Any], currency: str) -> Invoice:
    state, account = _word(row, "state"), _KINDS.get(_word(row, "kind"))
    matters = matters_of(row)
    in_currency = _currency(row, currency)
    issued_on = _date(row, "issued_at")
    if issued_on is None:
        raise _wrong(None, "issued_at", "a date")
    balance = _amount(row, "balance", in_currency)
    if balance is None:
        raise _wrong(None, "balance", "an amount")
    return Invoice(
        number=name_of(row, "number"),
        client=_client(row),
        matter=matters[0],
        matters=matters if len(matters) > 1 else (),
        issued_on=issued_on,
        due_on=_date(row, "due_at"),
        balance=balance,
        total=_amount(row, "total", in_currency),
        # A word never seen before is not collected, and told.
        status=InvoiceStatus.UNKNOWN
        if account is None
        else _STATES.get(state, InvoiceStatus.UNKNOWN),
        account=account or AccountKind.OPERATING,
    )


def _word(row: Mapping[str, Any], field: str) -> str:
    value: object = row.get(field)
    if type(value) is not str:
        raise _wrong(value, field, "a word")
    return value


def _client(row: Mapping[str, Any]) -> str:
    client: object = row.get("client")
    if type(client) is not dict:
        raise _wrong(client, "client", "a client")
    return id_of(cast("dict[str, object]", client).get("id"), "client.id")


def _currency(row: Mapping[str, Any], configured: str) -> str:
    """Return the bill's own currency; the configured one if it has none."""
    value: object = row.get("currency")
    if value is None:
        return configured
    code = _object_of(value, "currency").get("code")
    if type(code) is not str:
        raise _wrong(code, "currency.code", "a currency")
    return code


def _date(row: Mapping[str, Any], field: str) -> date | None:
    value: object = row.get(field)
    if value is None:
        return None
    if type(value) is str and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise FormatError(
        "expected a date such as 2026-01-31",
        code="DateFormat",
        path=field,
        value=value,
    )


def _amount(row: Mapping[str, Any], field: str, currency: str) -> Money | None:
    """
    Read an amount as it is written, exactly; None for null (M2).

    A number, or a text that is written as one. Zeros at the end of the
    decimals say nothing: ``1500.0`` yen are a whole number of yen.
    """
    if field not in row:
        raise _wrong(None, field, "an amount, or null")
    value: object = row[field]
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(value, field, "an amount")
    text = str.__str__(value)
    found = _AMOUNT.fullmatch(text) if len(text) <= _AMOUNT_MAX else None
    if found is not None:
        whole, decimals = found.groups(default="")
        text = f"{whole}.{decimals}" if decimals else whole
    try:
        return Money.of(text, currency)
    except InvalidValueError as error:
        code, message = error.code, error.message
    raise FormatError(message, code=code, path=field, value=value)


def _object_of(value: object, path: str = "") -> Mapping[str, Any]:
    if type(value) is not dict:
        raise _wrong(value, path, "an object")
    return cast("dict[str, Any]", value)


def _wrong(value: object, path: str, what: str) -> FormatError:
    return FormatError(
        f"expected {what}",
        code="FieldMissing" if value is None else "FieldType",
        path=path,
        value=value,
    )


def _known(read: Any) -> str | None:  # noqa: ANN401 - one of three readers
    try:
        return cast("str", read())
    except InvalidValueError:
        return None


def shown(value: object) -> str:
    """Return a name as one line, without what may be a card number."""
    return report_text(value) if type(value) is str else ""
