"""
The receivables script on a file of the same shape, made up here.

The real file is somebody else's and not in the project. This one has its
columns, its formats and its oddities (invoice numbers of 6 to 10 digits,
amounts without cents, due dates in the past), and is worked out beside.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import autopay_core as ap
from autopay_core.associations import InvoiceQuery

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLES = Path(__file__).parents[1] / "examples"
CAP = 150_00


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return _example("run_receivables")


@pytest.fixture(scope="module")
def exports() -> ModuleType:
    return _example("monthly_exports")


def _example(name: str) -> ModuleType:
    if not EXAMPLES.exists():
        pytest.skip("the examples are not here")
    spec = importlib.util.spec_from_file_location(
        name, EXAMPLES / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def made(path: Path, customers: int, rows: int) -> list[dict[str, Any]]:
    """Write a file of that shape; return its rows, amounts in cents."""
    random = Random(611365)
    names = [f"{n:04d}-{random.choice('ABCDE')}X" for n in range(customers)]
    made: list[dict[str, Any]] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "countryCode",
                "customerID",
                "PaperlessDate",
                "invoiceNumber",
                "InvoiceDate",
                "DueDate",
                "InvoiceAmount",
                "Disputed",
                "SettledDate",
            ]
        )
        numbers = random.sample(range(611_365, 9_990_243_864), rows)
        for number in numbers:
            issued = date(2012, 1, 3) + timedelta(random.randrange(720))
            cents = random.randrange(526, 128_28)
            text = f"{cents // 100}.{cents % 100:02d}".rstrip("0").rstrip(".")
            row = {
                "customer": random.choice(names),
                "number": number,
                "issued": issued,
                "cents": cents,
                "disputed": random.random() < 0.23,
            }
            made.append(row)
            due = issued + timedelta(30)
            writer.writerow(
                [
                    random.choice([391, 406, 770]),
                    row["customer"],
                    "4/6/2013",
                    number,
                    f"{issued.month}/{issued.day}/{issued.year}",
                    f"{due.month}/{due.day}/{due.year}",
                    text,
                    "Yes" if row["disputed"] else "No",
                    "1/15/2013",
                ]
            )
    return made


# All the 31sts, and the last days of shorter months; 2012 is a leap year.
DAYS = [
    date(year, month, day)
    for year, february in ((2012, 29), (2013, 28))
    for month, day in enumerate(
        (31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1
    )
]


def worked_out(
    rows: list[dict[str, Any]],
) -> tuple[dict[tuple[str, date], int], dict[str, int]]:
    """Return what each customer pays on each day, and what is left."""
    left = {str(row["number"]): row["cents"] for row in rows}
    queues: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["issued"], row["number"])):
        queues[row["customer"]].append(row)
    paid: dict[tuple[str, date], int] = {}
    for customer, queue in queues.items():
        for day in DAYS:
            rest = CAP
            for row in queue:
                if row["disputed"] or row["issued"] > day:
                    continue
                share = min(rest, left[str(row["number"])])
                left[str(row["number"])] -= share
                rest -= share
            if rest < CAP:
                paid[customer, day] = CAP - rest
    return paid, {number: cents for number, cents in left.items() if cents}


def test_two_years_of_somebody_else_s_invoices(
    script: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "accounts_receivable.csv"
    rows = made(path, customers=20, rows=500)
    paid, left = worked_out(rows)

    customers = script.customers_in(path)
    years = script.run_two_years(
        path, customers, ap.Limit.up_to(ap.Money.of("150.00", "USD"))
    )

    assert customers == sorted({row["customer"] for row in rows})
    assert {
        (each.record.payer, each.record.charge_on): each.charged.amount_minor
        for each in years.results
        if each.charged is not None
    } == paid
    assert {
        each.number: each.balance.amount_minor for each in years.left
    } == left
    assert len(years.results) == 24 * 20
    assert sum(each.amount.amount_minor for each in years.postings) == sum(
        paid.values()
    )


def test_the_script_says_what_was_paid_and_what_is_left(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accounts_receivable.csv"
    rows = made(path, customers=3, rows=40)
    paid, _ = worked_out(rows)

    assert script.main([str(path)]) == 0

    text = capsys.readouterr().out
    total = sum(paid.values())
    assert f"USD {total // 100:,}.{total % 100:02d}" in text
    assert "left: disputed" in text


def test_a_bad_cell_of_the_file_is_named(
    script: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "accounts_receivable.csv"
    made(path, customers=1, rows=3)
    text, changed = re.subn(",(?:Yes|No),", ",perhaps,", path.read_text())
    path.write_text(text)
    [customer] = script.customers_in(path)

    order = script.autopay_of(customer, ap.Limit.all("USD"))
    matters = script.CsvMatterData(tmp_path, script.mapping_for(path.name))

    page = matters.open_invoices(
        InvoiceQuery(
            payer=order.payer,
            associations=tuple(e.association for e in order.enrollments),
        )
    )

    assert changed == 3
    assert page.invoices == ()
    assert [each.where for each in page.unreadable] == [
        f"accounts_receivable.csv:{line}:Disputed" for line in (2, 3, 4)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_b0_b1_a_year_of_monthly_exports_overpays_nothing(
    exports: ModuleType, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "accounts_receivable.csv"
    made(path, customers=9, rows=150)
    accounts = exports.accounts_in(path)

    plain, stale, busy = (
        exports.play(accounts, kind, seed, 2013) for kind in exports.KINDS
    )

    assert plain.captured == stale.captured > 0
    assert (plain.overpaid, plain.stopped) == ((), ())
    assert (stale.overpaid, stale.stopped) == ((), ())
    assert busy.overpaid == ()
    # What was booked by hand is noticed, and told with its number.
    assert busy.stopped
    assert busy.unnamed == ()


def test_the_script_of_monthly_exports_shows_a_line_for_each_year(
    exports: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accounts_receivable.csv"
    made(path, customers=2, rows=20)

    assert exports.main([str(path), "--seeds", "1"]) == 0

    text = capsys.readouterr().out
    assert all(kind in text for kind in exports.KINDS)
