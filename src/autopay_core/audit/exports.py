"""
The rows that are compared, and their files.

Holds: the rows of gateway and ledger, their readers and `write_rows`, and
`StoreExport`, what a store says. Imports: the values and `history`.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final, TextIO, TypeVar, cast, final

import attrs

from autopay_core._checks import a, an_id, an_instant, check_id
from autopay_core.batches import Batch
from autopay_core.commits import (
    BatchFilter,
    OpenAmounts,
    PostingFilter,
    Unreadable,
)
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.history import (
    AuditedStore,
    HistoryFault,
    HistoryStore,
    verify_history,
)
from autopay_core.money import Money
from autopay_core.postings import Posting
from autopay_core.runs import RunRecord

__all__ = [
    "GATEWAY_COLUMNS",
    "LEDGER_COLUMNS",
    "GatewayKind",
    "GatewayRow",
    "LedgerKind",
    "LedgerRow",
    "StoreExport",
    "export_store",
    "read_gateway_rows",
    "read_ledger_rows",
    "write_rows",
]

_PAGE: Final = 1_000
_Row = TypeVar("_Row")

GATEWAY_COLUMNS: Final = (
    "kind",
    "reference",
    "key",
    "amount",
    "currency",
    "of",
)
"""
Columns of a gateway export, in CSV or as fields of JSON lines.

They are the fields of `GatewayRow`; ``amount`` and ``currency`` as in
``125.50`` and ``USD``.
"""

LEDGER_COLUMNS: Final = ("kind", "id", "invoice", "amount", "currency")
"""Columns of a ledger export: the fields of `LedgerRow`."""


# -- Rows of the exports -----------------------------------------------------


class GatewayKind(Enum):
    """What a row of a gateway export tells."""

    CAPTURED = "captured"
    """Money was taken."""
    PENDING = "pending"
    """A bank debit is under way."""
    DECLINED = "declined"
    """It was refused."""
    RETURN = "return"
    """A bank returned a debit."""
    REFUND = "refund"
    """The firm gave money back."""
    CHARGEBACK = "chargeback"
    """The payer disputed the charge."""

    @property
    def goes_back(self) -> bool:
        """Whether money went back to the payer."""
        return self in _GOES_BACK


_GOES_BACK: Final = frozenset(
    {GatewayKind.RETURN, GatewayKind.REFUND, GatewayKind.CHARGEBACK}
)


@final
@attrs.frozen(kw_only=True)
class GatewayRow:
    """
    One row of a gateway export.

    Attributes:
        kind: What it tells.
        reference: The payment's reference, or the id of the event.
        key: Idempotency key of a charge; empty for money that went back.
        amount: More than nothing.
        of: Reference of the payment that went back; empty for a charge.

    """

    kind: GatewayKind = attrs.field(validator=a(GatewayKind))
    reference: str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))
    key: str = ""
    of: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the amount, and what names the payment."""
        if not self.amount.is_positive:
            raise FormatError(
                "an amount at the gateway must be above zero",
                code="OutOfRange",
                path="amount",
                value=str(self.amount),
            )
        name = "of" if self.kind.goes_back else "key"
        check_id(getattr(self, name), name)


class LedgerKind(Enum):
    """What a row of a ledger export tells."""

    BILLED = "billed"
    """What the invoice asks for, credit notes included."""
    POSTING = "posting"
    """A posting record of ours that the balance shows."""
    OTHER = "other"
    """A payment of anybody else."""


@final
@attrs.frozen(kw_only=True)
class LedgerRow:
    """
    One row of a ledger export.

    Attributes:
        kind: What it tells.
        id: Id of the posting record; any text for other kinds.
        invoice: The invoice's number.
        amount: Billed, or taken off the balance; negative for money that
            went back.

    """

    kind: LedgerKind = attrs.field(validator=a(LedgerKind))
    id: str = attrs.field(validator=an_id)
    invoice: str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))


# -- The store ---------------------------------------------------------------


@final
@attrs.frozen(kw_only=True)
class StoreExport:
    """
    What a store says, read once from start to end.

    Attributes:
        now: The store's time.
        runs: Every run on record, those that cannot be read among them.
        postings: Every posting record, those that cannot be read among them.
        open_amounts: Asks the store what is open on clients' invoices; None
            skips the comparison.
        history_faults: Where the history does not fit, if there is one.
        batches: Every batch, those that cannot be read among them.

    """

    now: datetime = attrs.field(validator=an_instant)
    runs: Iterable[RunRecord | Unreadable]
    postings: Iterable[Posting | Unreadable]
    open_amounts: Callable[[Sequence[str]], OpenAmounts] | None = None
    history_faults: Iterable[HistoryFault] = ()
    batches: Iterable[Batch | Unreadable] = ()


def _all_postings(store: AuditedStore) -> Iterator[Posting | Unreadable]:
    wanted = PostingFilter(most=_PAGE)
    while True:
        page = store.postings(wanted)
        yield from page
        if len(page) < _PAGE:
            return
        wanted = attrs.evolve(wanted, after=page[-1].id)


def _all_batches(store: object) -> Iterator[Batch | Unreadable]:
    read: Callable[[BatchFilter], Sequence[Batch | Unreadable]]
    read = getattr(store, "batches")  # noqa: B009 - beside the protocol
    wanted = BatchFilter()
    while True:
        page = read(wanted)
        yield from page
        if len(page) < wanted.most:
            return
        last = page[-1]
        after = last.key if isinstance(last, Unreadable) else last.id
        wanted = attrs.evolve(wanted, after=after)


def export_store(store: AuditedStore, /) -> StoreExport:
    """
    Return what *store* says; it is read while the audit goes on.

    Stop the workers meanwhile, or expect what they did between the exports
    to be reported.
    """
    faults: Iterable[HistoryFault] = ()
    runs = getattr(store, "runs_as_read", store.runs)
    if hasattr(store, "history_heads") and hasattr(store, "history"):
        faults = verify_history(cast("HistoryStore", store))
    return StoreExport(
        now=store.now(),
        runs=cast("Iterable[RunRecord | Unreadable]", runs()),
        postings=_all_postings(store),
        open_amounts=store.open_amounts,
        history_faults=faults,
        batches=_all_batches(store) if hasattr(store, "batches") else (),
    )


# -- Files -------------------------------------------------------------------

_Lines = Iterator[tuple[str, Mapping[str, object]]]
"""Rows, each with its place: file and line."""


def _lines(path: Path) -> _Lines:
    """Read rows from CSV or JSON lines."""
    is_json = path.suffix.lower() in {".jsonl", ".ndjson", ".json"}
    read = _json_lines if is_json else _csv_lines
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from read(file, path.name)
    except UnicodeDecodeError as error:
        raise FormatError(
            "the file is not UTF-8", code="Encoding", path=path.name
        ) from error


def _json_lines(file: TextIO, name: str) -> _Lines:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        place = f"{name}:{number}"
        if not isinstance(row, dict):
            raise FormatError(
                "expected one JSON object on the line",
                code="JsonFormat",
                path=place,
            )
        yield place, cast("Mapping[str, object]", row)


def _csv_lines(file: TextIO, name: str) -> _Lines:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, None) or []
        for row in filter(None, reader):
            place = f"{name}:{reader.line_num}"
            if len(row) != len(header):
                raise FormatError(
                    f"{len(header)} columns were announced, {len(row)} came",
                    code="ColumnCount",
                    path=place,
                )
            yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise FormatError(
            f"the line is no CSV: {error}",
            code="CsvFormat",
            path=f"{name}:{reader.line_num}",
        ) from error


def _read(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    kinds: type[Enum],
    made: Callable[..., _Row],
) -> Iterator[_Row]:
    for place, row in _lines(Path(path)):
        try:
            cells = {name: _cell(row, name) for name in columns}
            kind, known = cells.pop("kind"), [each.value for each in kinds]
            if kind not in known:
                raise FormatError(
                    f"expected one of {', '.join(known)}",
                    code="UnknownValue",
                    path="kind",
                    value=kind,
                )
            amount = Money.of(cells.pop("amount"), cells.pop("currency"))
            ready = made(kind=kinds(kind), amount=amount, **cells)
        except InvalidValueError as error:
            raise error.at(place) from None
        yield ready


def _cell(row: Mapping[str, object], name: str) -> str:
    """Return a column's text, or refuse the row."""
    value = row.get(name, "" if name in {"key", "of"} else None)
    if not isinstance(value, str):
        raise FormatError(
            "the column is missing, or no text",
            code="FieldMissing",
            path=name,
            value=value,
        )
    return value


def read_gateway_rows(path: str | os.PathLike[str], /) -> Iterator[GatewayRow]:
    """
    Read a gateway export: `GATEWAY_COLUMNS`, in any order, others ignored.

    Args:
        path: A CSV file with a header; or JSON lines, if the name ends in
            ``.jsonl``, ``.ndjson`` or ``.json``.

    Raises:
        FormatError: A line cannot be read; the path is ``file:line.column``.
        InvalidValueError: A value refuses itself; the path says where.

    """
    return _read(path, GATEWAY_COLUMNS, GatewayKind, GatewayRow)


def read_ledger_rows(path: str | os.PathLike[str], /) -> Iterator[LedgerRow]:
    """
    Read a ledger export: `LEDGER_COLUMNS`, in any order, others ignored.

    Path and errors are as for `read_gateway_rows`.
    """
    return _read(path, LEDGER_COLUMNS, LedgerKind, LedgerRow)


def write_rows(
    path: str | os.PathLike[str],
    rows: Iterable[GatewayRow | LedgerRow],
    /,
) -> int:
    """
    Write rows as CSV that the readers above read; return how many.

    Args:
        path: The file; replaced if it is there.
        rows: All of one kind.

    """
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for count, row in enumerate(rows, start=1):
            cells = {
                "currency": row.amount.currency,
                **attrs.asdict(row, recurse=False),
                "kind": row.kind.value,
                "amount": row.amount.major,
            }
            columns = (
                GATEWAY_COLUMNS
                if isinstance(row, GatewayRow)
                else LEDGER_COLUMNS
            )
            if count == 1:
                writer.writerow(columns)
            writer.writerow([cells[name] for name in columns])
    return count
