"""A folder of CSV exports keeps every clause of matter data."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from autopay_core.adapters.csv import (
    CsvMapping,
    CsvMatterData,
    InvoiceColumns,
)
from autopay_core.testing.contracts import MatterDataContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from autopay_core.invoices import Invoice, SearchResult
    from autopay_core.ports import MatterData

MAPPING = CsvMapping(
    currency="USD", invoices=InvoiceColumns(due_on="Due Date")
)


def _plain(invoice: Invoice) -> str:
    whole, cents = divmod(invoice.balance.amount_minor, 100)
    return f"{whole}.{cents:02}"


def _write(file: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    """Write a new export beside the old one, and put it in its place."""
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    new.rename(file)


class TestCsvMatterData(MatterDataContract):
    @pytest.fixture
    def invoices(self) -> dict[str, Invoice]:
        return {}

    @pytest.fixture
    def export(
        self, tmp_path: Path, invoices: dict[str, Invoice]
    ) -> Callable[[], None]:
        def write() -> None:
            _write(
                tmp_path / "open_invoices.csv",
                "Invoice,Client,Matter,Invoice Date,Due Date,Balance",
                [
                    (
                        each.number,
                        each.client,
                        each.matter,
                        each.issued_on,
                        each.due_on or "",
                        _plain(each),
                    )
                    for each in invoices.values()
                    if not each.balance.is_zero
                ],
            )

        return write

    @pytest.fixture
    def seed(
        self,
        tmp_path: Path,
        invoices: dict[str, Invoice],
        export: Callable[[], None],
    ) -> Callable[[Sequence[Invoice], Sequence[SearchResult]], MatterData]:
        def seeded(
            given: Sequence[Invoice], directory: Sequence[SearchResult]
        ) -> MatterData:
            invoices.update({each.number: each for each in given})
            export()
            names = {each.client: "" for each in given}
            matters = {each.matter: (each.client, "") for each in given}
            for each in directory:
                if each.matter is None:
                    names[each.client] = each.client_name
                else:
                    matters[each.matter] = (
                        each.client,
                        each.matter_description,
                    )
            _write(tmp_path / "clients.csv", "Client,Name", names.items())
            _write(
                tmp_path / "matters.csv",
                "Matter,Client,Description",
                [
                    (matter, client, description)
                    for matter, (client, description) in matters.items()
                ],
            )
            return CsvMatterData(tmp_path, MAPPING, page_size=100)

        return seeded

    @pytest.fixture
    def put(
        self, invoices: dict[str, Invoice], export: Callable[[], None]
    ) -> Callable[[Invoice], None]:
        def changed(invoice: Invoice) -> None:
            invoices[invoice.number] = invoice
            export()

        return changed

    @pytest.fixture
    def offline(
        self, tmp_path: Path
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def gone() -> Iterator[None]:
            for each in tmp_path.glob("*.csv"):
                each.unlink()
            yield

        return gone

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Callable[[], None]:
        file = tmp_path / "open_invoices.csv"

        def written() -> None:
            text = file.read_text("utf-8")
            file.write_text(text.replace("10.00", "1,0.00"), "utf-8")

        return written
