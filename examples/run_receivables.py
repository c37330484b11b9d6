"""
Run two years of auto-pays on an accounts-receivable file of somebody else's.

    python examples/run_receivables.py FILE [--limit 150.00]

The file is one export without clients and matters: customer, invoice number,
dates as in the United States, amount, and whether it is disputed. Every
customer becomes a payer with one auto-pay on the 31st of each month (the last
day of shorter ones) through 2012 and 2013, renewed after its first year.
Disputed invoices are on hold, and an invoice is open from its invoice date.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import autopay_core as ap
from autopay_core.adapters.csv import (
    Constant,
    CsvFormat,
    CsvMapping,
    CsvMatterData,
    Hold,
    InvoiceColumns,
)
from autopay_core.adapters.memory import (
    MEMORY_SECRET,
    MemoryGateway,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.ports import InvoiceQuery
from autopay_core.show.tables import Table, show
from autopay_core.testing.ledger import Ledger


def mapping_for(file: str) -> CsvMapping:
    """Say what is where in the file, and how it is written."""
    return CsvMapping(
        currency="USD",
        invoices=InvoiceColumns(
            file=file,
            number="invoiceNumber",
            client="customerID",
            matter=Constant("general"),
            issued_on="InvoiceDate",
            due_on="DueDate",
            balance="InvoiceAmount",
            holds=(Hold(column="Disputed", status=ap.InvoiceStatus.DISPUTED),),
        ),
        clients=None,
        matters=None,
        written=CsvFormat(date="M/D/YYYY"),
    )


FIRST = date(2012, 1, 31)
RENEWED = date(2013, 1, 31)
LAST = date(2013, 12, 31)
AFTER = date(2014, 1, 1)


def autopay_of(customer: str, limit: ap.Limit) -> ap.AutoPay:
    return ap.AutoPay(
        id=f"ap-{customer}",
        payer=customer,
        name=f"{customer} on the 31st",
        method=ap.PaymentMethodRef(provider="demo", token=f"tok_{customer}"),
        deposit_account=ap.DepositAccount(id="operating"),
        schedule=ap.Schedule.monthly(FIRST),
        limit=limit,
        enrollments=(
            ap.Enrollment(
                association=ap.Association.to_client(
                    payer=customer, client=customer
                )
            ),
        ),
    )


class Today:
    """The date of the story."""

    def __init__(self, on: date) -> None:
        self.on = on

    def __call__(self) -> date:
        """Return it."""
        return self.on


class TwoYears(NamedTuple):
    """What two years came to."""

    results: list[ap.RunResult]
    postings: list[ap.Posting]
    left: list[ap.Invoice]


def run_two_years(
    path: Path, customers: Iterable[str], limit: ap.Limit
) -> TwoYears:
    """Sweep once a month; everything that was charged is in the next one."""
    today = Today(FIRST)
    store = MemoryPostingStore()
    ledger = Ledger(
        CsvMatterData(path.parent, mapping_for(path.name), as_of=today),
        store,
        days=(1, 1, 1),
    )
    ports = ap.Ports(
        matters=ledger,
        gateway=MemoryGateway(),
        postings=store,
        notifier=MemoryNotifier(),
        key_secret=MEMORY_SECRET,
    )
    autopays = [autopay_of(each, limit) for each in customers]
    results: list[ap.RunResult] = []
    for occurrence in ap.Schedule.monthly(FIRST).occurrences(before=AFTER):
        today.on = occurrence.charge_on
        if today.on == RENEWED:
            autopays = [ap.renew(each, RENEWED) for each in autopays]
        ledger.advance(today.on, ports=ports)
        results += ap.sweep(autopays, as_of=today.on, ports=ports)
    today.on = AFTER
    ledger.advance(AFTER, ports=ports)
    left = [
        invoice
        for each in autopays
        for invoice in ledger.open_invoices(
            InvoiceQuery(
                payer=each.payer,
                associations=(each.enrollments[0].association,),
            )
        ).invoices
    ]
    return TwoYears(results, ap.read_postings(ports=ports), left)


def customers_in(path: Path) -> list[str]:
    """Find the customers as staff would: by a search for each number."""
    matters = CsvMatterData(path.parent, mapping_for(path.name))
    with path.open(encoding="utf-8-sig", newline="") as file:
        numbers = {row["customerID"] for row in csv.DictReader(file)}
    return sorted(
        result.client
        for number in numbers
        for result in matters.search(
            ap.SearchQuery(by=ap.SearchBy.CLIENT_NUMBER, text=number)
        ).results
    )


def summary(two_years: TwoYears, title: str) -> Table:
    charged = [
        each.charged for each in two_years.results if each.charged is not None
    ]
    statuses = Counter(each.status.value for each in two_years.results)
    left: dict[str, list[ap.Money]] = {}
    for invoice in two_years.left:
        left.setdefault(invoice.status.value, []).append(invoice.balance)
    runs = {
        (each.key.autopay, each.key.nominal_on)
        for each in two_years.results
        if each.key is not None
    }
    postings = two_years.postings
    return Table(
        title=title,
        header=("what", "how many", "amount"),
        rows=(
            ("auto-pays", str(len({autopay for autopay, _ in runs})), ""),
            ("runs", str(len(runs)), ""),
            *(
                (f"runs: {what}", str(count), "")
                for what, count in sorted(statuses.items())
            ),
            ("charges", str(len(charged)), total(charged)),
            (
                "posting records",
                str(len(postings)),
                total(each.amount for each in postings),
            ),
            (
                "invoices that got something",
                str(len({each.invoice for each in postings})),
                "",
            ),
            *(
                (f"left: {what}", str(len(some)), total(some))
                for what, some in sorted(left.items())
            ),
        ),
        numeric=frozenset({1, 2}),
    )


def total(amounts: Iterable[ap.Money]) -> str:
    return str(ap.Money.total(amounts, "USD"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Run two years of auto-pays on a receivables file."
    )
    parser.add_argument("file", type=Path, help="the accounts-receivable file")
    parser.add_argument("--limit", default="150.00", help="most in one run")
    options = parser.parse_args(arguments)
    path: Path = options.file
    limit = ap.Limit.up_to(ap.Money.of(options.limit, "USD"))
    two_years = run_two_years(path, customers_in(path), limit)
    show(summary(two_years, f"{path.name}, {FIRST} to {LAST}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
