"""
Write the example firm's exports: clients, matters and a year of invoices.

    python examples/make_firm.py [FOLDER]

The same files every time. Names and numbers are invented; firm.toml, which
says who pays what and how the exports are written, is kept by hand.
"""

from __future__ import annotations

import csv
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

FOLDER = Path(__file__).parents[1] / "src" / "autopay_core" / "demo" / "firm"

CLIENTS = {
    "C-1001": "Meridian Orchard Company",
    "C-1002": "Hollis Quarry, Inc.",
    "C-1003": "Vale, Tamsin",
    "C-1004": "Brackenridge Foods LLC",
    "C-1005": 'Osei & Daughters ("O&D")',
    "C-1006": "Lindqvist Estates",
    "C-1007": "Harrow Lane Clinic",
    "C-1008": "Nakagawa Textiles",
    "C-1009": "Quill & Tern Publishing",
    "C-1010": "Sable Ridge Energy",
    "C-1011": "Corvo, Inês",
    "C-1012": "Zephyr Cartage Co-op",
}

# Matter, client, description, months in which it is billed, least and most.
YEAR = range(1, 13)
MATTERS = (
    ("1001-01", "C-1001", "General counsel", YEAR, 300, 900),
    ("1001-02", "C-1001", "Water rights, east parcel", (2, 5, 8), 800, 2_400),
    ("1001-03", "C-1001", "Trademark MERIDIAN", (3, 9), 400, 700),
    ("1002-01", "C-1002", "Permit renewal", (1, 2, 4, 6, 9, 11), 900, 3_000),
    ("1002-02", "C-1002", "Kessler v. Hollis Quarry", YEAR, 600, 1_900),
    ("1003-01", "C-1003", "Estate of R. Vale", (6,), 200, 400),
    ("1004-01", "C-1004", "Supply agreements", YEAR, 500, 1_500),
    ("1004-02", "C-1004", "Recall, lot 77", (1, 2, 3), 2_000, 4_000),
    ("1004-03", "C-1004", "Lease, plant 2", (2, 4, 7, 10, 12), 300, 800),
    ("1004-04", "C-1004", 'Labor, "night shift"', (5, 6, 7), 700, 1_200),
    ("1005-01", "C-1005", "Franchise", YEAR, 250, 650),
    ("1006-01", "C-1006", "Zoning appeal", (1, 3, 4, 6, 8, 10), 600, 1_600),
    ("1006-02", "C-1006", "Easement", (2, 5, 9), 300, 900),
    ("1006-03", "C-1006", "Tax, parcel 12", (4, 10), 500, 1_100),
    ("1007-01", "C-1007", "Licensing", (1, 3, 5, 7, 9, 11), 400, 900),
    ("1007-02", "C-1007", "Retainer, appeal", (1, 4, 7, 10), 1_000, 1_000),
    ("1008-01", "C-1008", "Customs", YEAR, 700, 2_200),
    ("1008-02", "C-1008", "Patent, loom sensor", (3, 8), 1_800, 3_200),
    ("1009-01", "C-1009", "Author contracts", YEAR, 200, 800),
    ("1009-02", "C-1009", "Libel review", (2, 6, 11), 400, 1_000),
    ("1010-01", "C-1010", "Regulatory", YEAR, 900, 2_000),
    ("1011-01", "C-1011", "Custody", (1, 2, 4, 8, 9), 250, 600),
    ("1011-02", "C-1011", "House sale", (5, 6), 300, 700),
    ("1011-03", "C-1011", "Tenancy", (3, 10), 200, 400),
    ("1012-01", "C-1012", "Fleet insurance", (1, 3, 6, 9, 12), 300, 800),
)

# What is special about some invoices, by matter and month.
PARTLY_PAID = {
    ("1001-02", 5): "0.40",
    ("1002-02", 3): "0.75",
    ("1004-02", 1): "0.50",
    ("1008-01", 6): "0.90",
    ("1010-01", 2): "0.25",
}
CREDITS = {("1009-01", 4): "-180.00", ("1001-01", 7): "-95.50"}
NOTHING_OWED = {("1009-01", 9), ("1004-01", 2)}
STATUSES = {
    ("1009-01", 6): "Draft",
    ("1009-02", 6): "Written Down",
    ("1012-01", 6): "In Collections",
}
HELD = {("1009-01", 2), ("1002-01", 4), ("1004-04", 6)}
TRUST = {"1007-02"}


def dollars(text: str) -> str:
    """Write an amount as the exports do: groups, and (credits)."""
    whole, _, cents = text.removeprefix("-").partition(".")
    amount = f"{int(whole):,}.{cents}"
    return f"({amount})" if text.startswith("-") else amount


def part_of(cents: int, share: str) -> int:
    return cents * int(share.removeprefix("0.")) // 100


def us(day: date | None) -> str:
    return "" if day is None else f"{day:%m/%d/%Y}"


def invoice_rows() -> list[list[str]]:
    random = Random(20260101)
    bills: list[tuple[date, str, str, int]] = [
        # A payment plan, older than the year.
        (date(2025, 12, 10), "1003-01", "C-1003", 260_000),
        # What was left over from last year.
        (date(2025, 11, 14), "1002-02", "C-1002", 121_575),
        (date(2025, 12, 5), "1006-01", "C-1006", 84_040),
        (date(2025, 12, 19), "1009-01", "C-1009", 33_333),
    ]
    for matter, client, _, months, least, most in MATTERS:
        for month in months:
            day = random.choice((3, 5, 9, 12, 15, 18, 22, 26, 28))
            cents = random.randrange(least * 100, most * 100 + 1)
            if least == most:
                cents = least * 100
            bills.append((date(2026, month, day), matter, client, cents))
    rows: list[list[str]] = []
    # The number has three digits before it has four: 999 comes before 1000.
    for number, (issued, matter, client, cents) in enumerate(
        sorted(bills), start=931
    ):
        special = (matter, issued.month if issued.year == 2026 else 0)
        left = cents
        if special in PARTLY_PAID:
            left = cents - part_of(cents, PARTLY_PAID[special])
        balance = f"{left // 100}.{left % 100:02d}"
        if special in CREDITS:
            balance = CREDITS[special]
        if special in NOTHING_OWED:
            balance = "0.00"
        due = issued + timedelta(days=random.choice((15, 30, 30, 30, 45)))
        rows.append(
            [
                f"B-{number}",
                client,
                matter,
                us(issued),
                us(None if number % 17 == 0 else due),
                dollars(f"{cents // 100}.{cents % 100:02d}"),
                dollars(balance),
                STATUSES.get(special, "Open"),
                "Yes" if special in HELD else "No",
                "Trust" if matter in TRUST else "Operating",
            ]
        )
    return rows


def write(path: Path, rows: list[list[str]], encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(folder: Path) -> None:
    # Saved from a spreadsheet: with a byte order mark.
    write(
        folder / "clients.csv",
        [["Client No", "Client Name"], *map(list, CLIENTS.items())],
        "utf-8-sig",
    )
    write(
        folder / "matters.csv",
        [
            ["Matter No", "Client No", "Matter Description"],
            *([number, client, what] for number, client, what, *_ in MATTERS),
        ],
    )
    header = [
        "Bill No",
        "Client No",
        "Matter No",
        "Bill Date",
        "Due Date",
        "Billed",
        "Balance Due",
        "Status",
        "On Hold",
        "Bank",
    ]
    write(folder / "open_invoices.csv", [header, *invoice_rows()])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
