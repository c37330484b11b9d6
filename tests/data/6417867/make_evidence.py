"""
Leave a store of commit 6417867 behind: run it with that commit's library.

    PYTHONPATH=src python make_evidence.py

Writes `sqlite.sql` and `heads.json` beside itself.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import attrs

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore

HERE = Path(__file__).parent
NOW = datetime(2026, 3, 31, 14, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def main() -> None:
    clock = Clock()
    bills = [
        ap.Invoice(
            number=f"INV-{number}",
            client=f"C-{number % 3}",
            matter=f"M-{number % 3}",
            issued_on=date(2026, 3, number),
            balance=ap.Money(amount_minor=number * 1_000, currency="USD"),
        )
        for number in range(1, 10)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.db"
        store = SqlitePostingStore(path, clock=clock)
        ports = attrs.evolve(memory_ports(bills, clock=clock), postings=store)
        for client in range(3):
            autopay = ap.AutoPay(
                id=f"ap-{client}",
                payer=f"p-{client}",
                name="Evidence",
                method=ap.PaymentMethodRef(
                    provider="acme", token=f"tok_8f2k41aa9{client}"
                ),
                deposit_account=ap.DepositAccount(id="operating"),
                schedule=ap.Schedule.once(date(2026, 3, 31)),
                limit=ap.Limit.all("USD"),
                enrollments=(
                    ap.Association.to_client(
                        payer=f"p-{client}", client=f"C-{client}"
                    ),
                ),
            )
            ap.run(autopay, on=date(2026, 3, 31), ports=ports)
        status = ap.PostingStatus
        steps = {
            1: (status.QUEUED,),
            2: (status.QUEUED, status.POSTED),
            3: (status.QUEUED, status.POSTED, status.APPLIED),
            4: (status.INCOMPLETE,),
            5: (status.REMOVED,),
        }
        for number, path_of_it in steps.items():
            for to in path_of_it:
                found = ap.read_postings(ports=ports, invoice=f"INV-{number}")
                ap.advance_postings(
                    found, to, by="ann", note="evidence", ports=ports
                )
        heads = [attrs.asdict(each) for each in store.history_heads()]
        store.close()
        with sqlite3.connect(path) as connection:
            text = "\n".join(connection.iterdump())
        connection.close()
    (HERE / "sqlite.sql").write_text(text + "\n", "utf-8")
    (HERE / "heads.json").write_text(json.dumps(heads, indent=1) + "\n")


if __name__ == "__main__":
    main()
