"""
Pay from twelve monthly exports, with what a firm's ledger does meanwhile.

    python examples/monthly_exports.py FILE [--seeds 3] [--year 2013]

The file is the accounts-receivable file of `run_receivables.py`. Every
customer has one auto-pay on the 15th of each month, a third of them limited
to their median invoice. Before each night the ledger writes an export; half
of the postings are booked within days, the other half only after the next
export. Three years are played, each with other dates for everything:

- plain: nothing else happens;
- stale: one month the export is not written, and the old file is read again;
- busy: 1.5 % interest each month on whole balances, one payment that bounced
  and was booked by hand, one payment that staff moved to another invoice, and
  one invoice billed again under another number.

What is shown: whether an invoice was overpaid, how many got nothing because
their balance or number was not believed, and whether each is named in a
notice to the firm.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median_low
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import attrs

import autopay_core as ap
from autopay_core.adapters.csv import (
    FILE_TIME,
    Constant,
    CsvMapping,
    CsvMatterData,
    InvoiceColumns,
)
from autopay_core.adapters.memory import (
    MEMORY_SECRET,
    MemoryGateway,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.show.tables import Table, show

DAY: Final = 15
INTEREST: Final = 15  # of a thousand, a month
SOON: Final = timedelta(days=3)
LATE: Final = timedelta(days=33)
STOPPED: Final = frozenset(
    {
        ap.Reason.BALANCE_UNEXPECTED,
        ap.Reason.LOOKS_ALIKE,
        ap.Reason.TAKES_PLACE,
    }
)
KINDS: Final = ("plain", "stale", "busy")

MAPPING: Final = CsvMapping(
    currency="USD",
    invoices=InvoiceColumns(
        file="open.csv",
        number="number",
        client="client",
        matter=Constant("general"),
        issued_on="issued",
        balance="balance",
    ),
    clients=None,
    matters=None,
    stated_at=FILE_TIME,
)


@attrs.define
class Account:
    """One invoice as the ledger has it, in cents."""

    number: str
    client: str
    issued: date
    balance: int
    billed: int


class Booking(NamedTuple):
    """One of our postings, and when the firm books it."""

    at: datetime
    posting: ap.Posting


class Year(NamedTuple):
    """What one year came to."""

    kind: str
    seed: int
    invoices: int
    captured: int
    overpaid: tuple[str, ...]
    stopped: tuple[str, ...]
    unnamed: tuple[str, ...]


class Now:
    """The time of the story."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Return it."""
        return self.at


def cents(amount: int) -> ap.Money:
    """Make an amount of so many cents."""
    return ap.Money(amount_minor=amount, currency="USD")


def accounts_in(path: Path) -> list[Account]:
    """Read the file; dates as in the United States, amounts in dollars."""
    accounts = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            month, day, year = map(int, row["InvoiceDate"].split("/"))
            dollars, _, cents = row["InvoiceAmount"].partition(".")
            amount = int(dollars) * 100 + int(cents.ljust(2, "0"))
            accounts.append(
                Account(
                    number=row["invoiceNumber"],
                    client=row["customerID"],
                    issued=date(year, month, day),
                    balance=amount,
                    billed=amount,
                )
            )
    return accounts


def autopays_for(accounts: Iterable[Account], first: date) -> list[ap.AutoPay]:
    """One for each customer; each third is limited to the median invoice."""
    amounts: dict[str, list[int]] = defaultdict(list)
    for each in accounts:
        amounts[each.client].append(each.billed)
    return [
        ap.AutoPay(
            id=f"ap-{client}",
            payer=client,
            name=f"{client}, monthly",
            method=ap.PaymentMethodRef(provider="demo", token=f"tok_{client}"),
            deposit_account=ap.DepositAccount(id="operating"),
            schedule=ap.Schedule.monthly(first),
            limit=ap.Limit.up_to(cents(median_low(amounts[client])))
            if place % 3 == 0
            else ap.Limit.all("USD"),
            enrollments=(
                ap.Association.to_client(payer=client, client=client),
            ),
        )
        for place, client in enumerate(sorted(amounts))
    ]


class Firm:
    """A ledger that writes exports, and books what we captured."""

    def __init__(
        self, accounts: Iterable[Account], random: Random, folder: Path
    ) -> None:
        self.accounts = {each.number: attrs.evolve(each) for each in accounts}
        self.random = random
        self.file = folder / "open.csv"
        self.billed_again: dict[str, str] = {}
        self.waiting: list[Booking] = []
        self.booked: list[ap.Posting] = []

    def export(self, at: datetime) -> None:
        """Write what is open, with the time of the file as its moment."""
        with self.file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "client", "issued", "balance"])
            for each in self.accounts.values():
                if each.issued <= at.date() and each.balance:
                    writer.writerow(
                        [
                            each.number,
                            each.client,
                            each.issued.isoformat(),
                            f"{each.balance // 100}.{each.balance % 100:02d}",
                        ]
                    )
        os.utime(self.file, (at.timestamp(), at.timestamp()))

    def take_over(self, postings: Iterable[ap.Posting], at: datetime) -> None:
        """Half of the postings are booked soon, half after the next export."""
        self.waiting += [
            Booking(at + self.random.choice((SOON, LATE)), each)
            for each in postings
        ]

    def book_until(self, until: datetime, now: Now, ports: ap.Ports) -> None:
        """Book what is to be booked by then, and tell the library."""
        due = sorted(
            (each for each in self.waiting if each.at <= until),
            key=lambda each: each.at,
        )
        self.waiting = [each for each in self.waiting if each.at > until]
        for booking in due:
            now.at = booking.at
            posting = booking.posting
            for status in (
                ap.PostingStatus.QUEUED,
                ap.PostingStatus.POSTED,
                ap.PostingStatus.APPLIED,
            ):
                moved = ap.advance_postings(
                    [posting], status, ports=ports, by="clerk"
                )
                assert moved is not None
                [posting] = moved
            self.account_of(posting).balance -= posting.amount.amount_minor
            self.booked.append(posting)
        now.at = until

    def account_of(self, posting: ap.Posting) -> Account:
        """Find the invoice, under another number where it was billed again."""
        number = self.billed_again.get(posting.invoice, posting.invoice)
        return self.accounts[number]

    def bear_interest(self) -> None:
        """Add the month's interest to every open balance."""
        for each in self.accounts.values():
            if each.balance > 0:
                more = each.balance * INTEREST // 1000
                each.balance += more
                each.billed += more

    def bounce(self) -> None:
        """Take one payment back, by hand: nobody tells the library."""
        gone = self.random.choice(self.booked)
        account = self.account_of(gone)
        account.balance += gone.amount.amount_minor
        account.billed += gone.amount.amount_minor

    def apply_again(self) -> None:
        """Move one payment to another open invoice of the same client."""
        for posting in self.random.sample(self.booked, len(self.booked)):
            amount = posting.amount.amount_minor
            for other in self.accounts.values():
                if (
                    other.client == posting.client
                    and other.number != posting.invoice
                    and other.balance >= amount
                ):
                    other.balance -= amount
                    other.billed -= amount
                    account = self.account_of(posting)
                    account.balance += amount
                    account.billed += amount
                    return

    def bill_again(self, on: date) -> None:
        """Give one open invoice another number, with the same balance."""
        old = self.random.choice(
            [
                each
                for each in self.accounts.values()
                if each.balance > 0 and each.issued <= on
            ]
        )
        del self.accounts[old.number]
        new = f"{old.number}R"
        self.accounts[new] = attrs.evolve(old, number=new)
        self.billed_again[old.number] = new


def play(accounts: Iterable[Account], kind: str, seed: int, year: int) -> Year:
    """Play one year of nights."""
    accounts = list(accounts)
    random = Random(f"{kind} {seed}")
    first = date(year, 1, DAY)
    now = Now(datetime(year, 1, 1, tzinfo=UTC))
    notifier = MemoryNotifier()
    stopped: set[str] = set()
    captured = 0
    with TemporaryDirectory() as folder:
        firm = Firm(accounts, random, Path(folder))
        ports = ap.Ports(
            matters=CsvMatterData(Path(folder), MAPPING),
            gateway=MemoryGateway(clock=now),
            postings=MemoryPostingStore(clock=now),
            notifier=notifier,
            key_secret=MEMORY_SECRET,
        )
        autopays = autopays_for(accounts, first)
        stale, bounced, again, rebilled = random.sample(range(4, 12), 4)
        for month in range(1, 13):
            night = datetime(year, month, DAY, 14, tzinfo=UTC)
            exported = night - timedelta(hours=8)
            firm.book_until(exported, now, ports)
            if kind == "busy":
                firm.bear_interest()
                if month == bounced:
                    firm.bounce()
                if month == again:
                    firm.apply_again()
                if month == rebilled:
                    firm.bill_again(night.date())
            if kind != "stale" or month != stale:
                firm.export(exported)
            now.at = night
            for result in ap.sweep(autopays, as_of=night.date(), ports=ports):
                firm.take_over(result.postings, night)
                if result.charged is not None:
                    captured += result.charged.amount_minor
                if result.allocation is not None:
                    stopped |= {
                        line.invoice.number
                        for line in result.allocation.lines
                        if line.reason in STOPPED
                    } | {
                        each.number or each.client or each.code
                        for each in result.allocation.left_out
                    }
        firm.book_until(night + timedelta(days=60), now, ports)
    text = "\n".join(each.detail for each in notifier.sent)
    return Year(
        kind,
        seed,
        len(accounts),
        captured,
        tuple(
            each.number for each in firm.accounts.values() if each.balance < 0
        ),
        tuple(sorted(stopped)),
        tuple(sorted(each for each in stopped if each not in text)),
    )


def table(years: Iterable[Year], title: str) -> Table:
    """Show one line for each year."""
    return Table(
        title=title,
        header=(
            "year",
            "seed",
            "invoices",
            "captured",
            "overpaid",
            "stopped",
            "not named",
        ),
        rows=tuple(
            (
                each.kind,
                str(each.seed),
                str(each.invoices),
                str(cents(each.captured)),
                str(len(each.overpaid)),
                str(len(each.stopped)),
                str(len(each.unnamed)),
            )
            for each in years
        ),
        numeric=frozenset({1, 2, 3, 4, 5, 6}),
    )


def main(arguments: list[str] | None = None) -> int:
    """Play the years and show what they came to."""
    parser = argparse.ArgumentParser(
        description="Pay from twelve monthly exports of a receivables file."
    )
    parser.add_argument("file", type=Path, help="the accounts-receivable file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--year", type=int, default=2013)
    options = parser.parse_args(arguments)
    accounts = accounts_in(options.file)
    years = [
        play(accounts, kind, seed, options.year)
        for kind in KINDS
        for seed in range(options.seeds)
    ]
    show(table(years, f"{options.file.name}, {options.year}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
