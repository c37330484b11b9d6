"""The command line, as a person or a program gives it: in a process."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import autopay_core as ap
from autopay_core import calls
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    LineAccepted,
    LineRefused,
    RefusalReason,
    control_totals,
)
from autopay_core.command import COMMANDS
from autopay_core.demo import EXAMPLE, gateway_path, load_firm
from autopay_core.serialization import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopay_core.batches import LineAnswer
    from autopay_core.postings import Posting

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "how-to" / "command-line.md"


def autopay(
    folder: Path, *arguments: str, code: int | None = 0
) -> tuple[str, str]:
    """Give the command in *folder*; return what it said, and complained."""
    done = subprocess.run(
        [sys.executable, "-m", "autopay_core", *arguments],
        capture_output=True,
        check=False,
        cwd=folder,
        encoding="utf-8",
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, done.stderr + done.stdout
    return done.stdout, done.stderr


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder in which January to March were swept."""
    folder = tmp_path_factory.mktemp("swept")
    autopay(
        folder,
        *("sweep", "--as-of", "2026-01-01", "--through", "2026-03-31"),
        code=1,
    )
    return folder


# -- Help --------------------------------------------------------------------


def test_the_help_lists_every_command_and_the_exit_codes(
    tmp_path: Path,
) -> None:
    said, complained = autopay(tmp_path, "--help")

    assert complained == ""
    for each in COMMANDS:
        assert re.search(rf"^ +{each.name} +{each.help}$", said, re.MULTILINE)
    assert "3 something was out of reach" in " ".join(said.split())


def test_the_version_is_said(tmp_path: Path) -> None:
    assert autopay(tmp_path, "--version") == (
        f"autopay {ap.__version__}\n",
        "",
    )


@pytest.mark.parametrize("name", [each.name for each in COMMANDS])
def test_each_command_has_a_help_of_its_own(name: str, tmp_path: Path) -> None:
    said, _ = autopay(tmp_path, name, "--help")

    assert f"usage: autopay {name}" in said


def test_the_help_imports_nothing_but_the_list_of_commands(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from autopay_core.command import main\n"
        "with contextlib.suppress(SystemExit), "
        "contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "print(*[e for e in sys.modules if e.startswith('autopay_core')])\n"
        "print('attr' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )

    assert done.stdout == "autopay_core autopay_core.command\nFalse\n"


def test_the_entry_point_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("autopay")
    if not script.exists():
        pytest.skip("run from a tree that is not installed")
    done = subprocess.run(
        [script, "--help"],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )

    assert done.stdout.startswith("usage: autopay")


# -- Looking ahead writes nothing --------------------------------------------


def test_a_preview_shows_why_and_writes_nothing(tmp_path: Path) -> None:
    said, _ = autopay(tmp_path, "preview", "ap-04", "--on", "2026-02-15")

    assert "Brackenridge twice a month (ap-04) on 2026-02-15" in said
    assert "paid in part: the limit ended here" in said
    assert list(tmp_path.iterdir()) == []


def test_a_preview_for_programs_adds_up(tmp_path: Path) -> None:
    said, _ = autopay(
        tmp_path, "preview", "ap-04", "--on", "2026-02-15", "--json"
    )
    [found] = objects(said)

    assert (found["autopay"], found["on"]) == ("ap-04", "2026-02-15")
    assert found["amount"] == "1500.00"
    assert found["currency"] == "USD"
    lines = found["lines"]
    assert isinstance(lines, list)
    cents = [int(each["amount"].replace(".", "")) for each in lines]
    assert sum(cents) == 1500_00
    assert {each["reason"] for each in lines} >= {"part_paid"}


def test_a_forecast_of_the_whole_book_is_a_line_for_each_auto_pay(
    swept: Path,
) -> None:
    arguments = ("forecast", "--as-of", "2026-04-01", "--through")
    before, _ = autopay(swept, "verify")
    said, _ = autopay(swept, *arguments, "2026-06-30", "--json")
    shown, _ = autopay(swept, *arguments, "2026-06-30")

    found = objects(said)
    ids = [str(each.id) for each in load_firm(EXAMPLE).autopays]
    assert [each["autopay"] for each in found] == ids
    assert re.findall(r"^ap-\d\d", shown, re.MULTILINE) == ids
    assert autopay(swept, "verify") == (before, "")


def test_a_forecast_on_the_eve_says_what_the_run_then_does(
    tmp_path: Path,
) -> None:
    for month in ("01", "02"):
        said, _ = autopay(
            tmp_path,
            *("forecast", "ap-02", "--as-of", f"2026-{month}-28"),
            "--json",
        )
        runs = objects(said)[0]["runs"]
        assert isinstance(runs, list)
        on = runs[0]["charge_on"]
        done, _ = autopay(tmp_path, "run", "ap-02", "--on", on, "--json")
        assert objects(done)[0]["amount"] == runs[0]["amount"] == "2500.00"
        assert objects(done)[0]["invoices"] == runs[0]["invoices"]


# -- Runs --------------------------------------------------------------------


def test_a_run_given_twice_charges_once(tmp_path: Path) -> None:
    arguments = ("run", "ap-03", "--on", "2026-01-15")
    first, _ = autopay(tmp_path, *arguments)
    second, _ = autopay(tmp_path, *arguments)

    assert first == second
    assert first.startswith("ap-03/2026-01-15: paid USD 300.00 on 1 of 1")
    said, _ = autopay(tmp_path, "postings", "--json")
    assert [each["amount"] for each in objects(said)] == ["300.00"]


def test_a_failed_auto_pay_ends_with_one(swept: Path, tmp_path: Path) -> None:
    said, _ = autopay(
        tmp_path,
        *("sweep", "--as-of", "2026-03-31", "--json"),
        code=1,
    )
    failed = [each for each in objects(said) if each["status"] == "failed"]

    assert [each["autopay"] for each in failed] == ["ap-06"]
    assert failed[0]["amount"] is None
    assert "expired" in str(failed[0]["detail"])
    assert "tok_" not in said
    assert gateway_path(swept / "autopay.db").exists()


def test_a_sweep_says_what_it_came_to(tmp_path: Path) -> None:
    said, _ = autopay(tmp_path, "sweep", "--as-of", "2026-01-02")

    assert said.splitlines() == [
        "ap-07/2026-01-02: paid USD 700.00 on 1 of 1 invoice: B-932",
        "1 run (1 paid); USD 700.00 charged.",
    ]


def test_a_sweep_of_a_day_without_runs_is_done(tmp_path: Path) -> None:
    said, _ = autopay(tmp_path, "sweep", "--as-of", "2026-01-01")

    assert said == "Nothing was due.\n"


def test_turns_side_by_side_come_to_the_same(tmp_path: Path) -> None:
    whole, beside = tmp_path / "whole", tmp_path / "beside"
    whole.mkdir()
    beside.mkdir()
    days = ("sweep", "--as-of", "2026-01-01", "--through", "2026-01-31")

    one_by_one, _ = autopay(whole, *days)
    at_once, _ = autopay(beside, *days, "--at-once", "8")

    assert at_once == one_by_one
    assert len(one_by_one.splitlines()) > 10


def test_a_sweep_that_is_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    autopay(
        whole, *("sweep", "--as-of", "2026-01-01", "--through", "2026-01-31")
    )
    for first, last in (("01", "11"), ("11", "20"), ("19", "31")):
        autopay(
            parts,
            *("sweep", "--as-of", f"2026-01-{first}"),
            *("--through", f"2026-01-{last}"),
        )

    listed = [
        autopay(folder, "postings", "--json")[0] for folder in (whole, parts)
    ]
    amounts = [
        sorted((each["run"], each["invoice"], each["amount"]) for each in some)
        for some in map(objects, listed)
    ]
    assert amounts[0] == amounts[1]
    assert amounts[0]


# -- What is on record -------------------------------------------------------


def test_a_run_is_explained_from_its_record(swept: Path) -> None:
    said, _ = autopay(swept, "explain", "ap-04/2026-01-31")

    assert said.startswith("Run ap-04/2026-01-31 was due on 2026-01-31")
    assert "it got USD 1,209.24: paid in full." in said


def test_a_run_that_cannot_be_read_is_not_said_to_be_missing(
    swept: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(swept, tmp_path / "broken")
    with (
        contextlib.closing(sqlite3.connect(folder / "autopay.db")) as database,
        database,
    ):
        database.execute("UPDATE autopay_runs SET data = '{}'")

    for command in ("explain", "receipt"):
        _, complaint = autopay(folder, command, "ap-04/2026-01-31", code=2)
        assert "the run is on record and cannot be read" in complaint
    dates = ("--from", "2026-01-01", "--through", "2026-03-31")
    said, complaint = autopay(folder, "statement", "anybody", *dates, code=1)
    assert "AutoPay took nothing from payer anybody" in said
    assert "that cannot be read" in complaint


def test_a_receipt_is_text_and_a_page(swept: Path, tmp_path: Path) -> None:
    page = tmp_path / "receipt.html"
    run = "ap-04/2026-01-31"

    said, _ = autopay(swept, "receipt", run, "--html", str(page))

    assert said.startswith("Receipt: USD 1,209.24 on 2026-01-31")
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    [found] = objects(autopay(swept, "receipt", run, "--json")[0])
    assert found["subject"] == said.splitlines()[0]
    _, complained = autopay(swept, "receipt", "ap-12/2026-01-05", code=2)
    assert "only a paid run has a receipt" in complained


def test_a_statement_is_text_and_a_page(swept: Path, tmp_path: Path) -> None:
    page = tmp_path / "statement.html"
    [order] = [
        each for each in load_firm(EXAMPLE).autopays if each.id == "ap-04"
    ]
    dates = ("--from", "2026-01-01", "--through", "2026-01-31")

    said, _ = autopay(
        swept, "statement", str(order.payer), *dates, "--html", str(page)
    )

    assert said.startswith("Statement from 2026-01-01 to 2026-01-31")
    assert "USD 1,209.24" in said
    assert "<h1>Statement from" in page.read_text("utf-8")
    [found] = objects(
        autopay(swept, "statement", str(order.payer), *dates, "--json")[0]
    )
    assert found["payer"] == order.payer
    backwards = ("--from", "2026-02-01", "--through", "2026-01-31")
    _, complained = autopay(swept, "statement", "p", *backwards, code=2)
    assert "the last date is before the first" in complained


def test_postings_are_listed_by_view_and_exported(swept: Path) -> None:
    said, _ = autopay(
        swept,
        *("postings", "--view", "incomplete", "--export", "some.csv"),
        "--json",
    )
    found = objects(said)
    with (swept / "some.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))

    assert {each["status"] for each in found} <= {"incomplete"}
    assert len(rows) == len(found)
    whole, _ = autopay(swept, "postings", "--invoice", "B-932", "--json")
    assert {each["invoice"] for each in objects(whole)} == {"B-932"}


def test_a_payment_is_explained_by_whose_when_and_how_much(
    swept: Path,
) -> None:
    def asked(*more: str) -> list[str]:
        said, _ = autopay(swept, "explain", "--json", *more)
        return [str(each["run"]) for each in objects(said)]

    [whole, *_] = objects(autopay(swept, "postings", "--json")[0])
    day, run = str(whole["charged_on"]), str(whole["run"])
    amount = str(whole["amount"])

    assert run in asked("--on", day)
    assert run in asked("--on", day, "--amount", amount)
    [only] = objects(autopay(swept, "explain", run, "--json")[0])
    found = objects(
        autopay(swept, "explain", "--json", "--on", day, "--amount", amount)[0]
    )
    assert only in found
    for refused, code in (
        ((), "FieldMissing"),
        (("--payer", "nobody"), "UnknownValue"),
        (("--on", day, "--amount", "0.01"), "UnknownValue"),
    ):
        _, complained = autopay(swept, "explain", *refused, code=2)
        assert code in complained


def test_postings_are_sorted_and_chosen(swept: Path) -> None:
    def listed(*more: str) -> list[dict[str, object]]:
        return objects(autopay(swept, "postings", "--json", *more)[0])

    whole = listed()
    by_amount = listed("--sort", "amount")
    amounts = [float(str(each["amount"])) for each in by_amount]
    assert amounts == sorted(amounts)
    assert len(amounts) == len(whole) > 10
    assert listed("--sort", "amount", "--descending") == by_amount[::-1]
    clients = [str(each["client"]) for each in listed("--sort", "client")]
    assert clients == sorted(clients)
    last = whole[-1]
    for name, value in (
        ("client", last["client"]),
        ("matter", last["matter"]),
        ("run", last["run"]),
        ("reference", last["payment_reference"]),
    ):
        field = "payment_reference" if name == "reference" else name
        found = listed(f"--{name}", str(value))
        assert found == [each for each in whole if each[field] == value]
    march = listed("--from", "2026-03-01", "--before", "2026-03-16")
    assert march
    assert march == [
        each
        for each in whole
        if "2026-03-01" <= str(each["charged_on"]) < "2026-03-16"
    ]
    assert listed("--payer", "nobody") == []


@pytest.fixture
def sent(swept: Path, tmp_path: Path) -> tuple[Path, Batch]:
    """Make a folder in which a batch was sent; one line was refused."""
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    with SqlitePostingStore(tmp_path / "autopay.db") as store:
        ports = attrs.evolve(memory_ports([]), postings=store)
        ready = ap.read_postings(ap.PostingView.PENDING, ports=ports)[:3]
        assert len(ready) == 3
        made = calls.make_batch("b-1", ready, by="Ann", ports=ports)
        assert isinstance(made, Batch)
        calls.export_batch("b-1", by="Ann", ports=ports)
        first, *others = made.postings
        lines: tuple[LineAnswer, ...] = (
            LineRefused(
                posting=first.id,
                reason=RefusalReason.MATTER_CLOSED,
                detail="since May",
            ),
            *(
                LineAccepted(
                    posting=each.id,
                    number=f"GL-{each.invoice}",
                    posted_on=date(2026, 4, 1),
                )
                for each in others
            ),
        )
        answer = BatchAnswer(
            batch="b-1", lines=lines, booked=control_totals(others)
        )
        return tmp_path, calls.answer_batch(answer, by="ledger", ports=ports)


def test_batches_are_listed_and_shown(sent: tuple[Path, Batch]) -> None:
    folder, batch = sent

    [found] = objects(autopay(folder, "batches", "--json")[0])
    assert (found["batch"], found["state"]) == ("b-1", "answered")
    assert (found["postings"], found["accepted"], found["refused"]) == (
        3,
        2,
        1,
    )
    said, _ = autopay(folder, "batches", "--state", "answered")
    assert "b-1" in said
    said, _ = autopay(folder, "batches", "--state", "open")
    assert said == "There are no such batches.\n"
    [found] = objects(
        autopay(
            folder, "batches", "--posting", batch.postings[0].id, "--json"
        )[0]
    )
    assert found["batch"] == "b-1"

    said, _ = autopay(folder, "batches", "b-1")
    refused = batch.postings[0].invoice
    assert f"Refused: invoice {refused}, matter closed: since May" in said
    [found] = objects(autopay(folder, "batches", "b-1", "--json")[0])
    lines: Any = found["lines"]
    assert [each["posting"] for each in lines] == [
        each.id for each in batch.postings
    ]
    assert found["refusals"] == [
        {
            "posting": batch.postings[0].id,
            "reason": "matter closed",
            "detail": "since May",
        }
    ]
    _, complained = autopay(folder, "batches", "b-2", code=2)
    assert "BatchUnknown" in complained


def test_the_ledgers_figures_are_acknowledged(
    sent: tuple[Path, Batch],
) -> None:
    folder, batch = sent
    refused, *posted = batch.postings
    ledger = folder / "shown.csv"

    def acknowledge(rows: Sequence[Posting], code: int, **more: Any) -> Any:
        lines = ["kind,id,invoice,amount,currency", "other,x,B-1,7.00,USD"]
        for each in rows:
            amount = more.get("amount", each.amount.major)
            lines.append(f"posting,{each.id},{each.invoice},{amount},USD")
        ledger.write_text("\n".join(lines) + "\n", "utf-8")
        given = ("acknowledge", "shown.csv", "--by", "ledger")
        return objects(autopay(folder, *given, "--json", code=code)[0])

    wrong = acknowledge(posted[:1], 1, amount="0.01")
    assert [each["result"] for each in wrong] == ["differs"]
    found = acknowledge([*posted, refused], 1)
    assert [(each["result"], each["posting"]) for each in found] == [
        *(("applied", each.id) for each in posted),
        ("unexpected", refused.id),
    ]
    again = acknowledge(posted, 0)
    assert {each["result"] for each in again} == {"already"}
    said, _ = autopay(folder, "acknowledge", "shown.csv", "--by", "ledger")
    assert said == "0 applied, 2 were before.\n"
    shown = objects(autopay(folder, "postings", "--batch", "b-1", "--json")[0])
    assert sorted(str(each["status"]) for each in shown) == [
        "applied",
        "applied",
        "incomplete",
    ]
    _, complained = autopay(
        folder, "acknowledge", "none.csv", "--by", "ledger", code=2
    )
    assert "none.csv" in complained


def test_no_hold_is_said_so(swept: Path) -> None:
    assert autopay(swept, "holds") == ("Nothing is on hold.\n", "")
    assert autopay(swept, "holds", "--json") == ("", "")


def test_a_hold_is_listed_with_what_ends_it(tmp_path: Path) -> None:
    autopay(tmp_path, "sweep", "--as-of", "2026-01-02")
    code = (
        "import autopay_core as ap\n"
        "from autopay_core.demo import EXAMPLE, load_firm, open_world\n"
        "from pathlib import Path\n"
        "from datetime import date\n"
        "with open_world(load_firm(EXAMPLE), Path('autopay.db'), "
        "date(2026, 1, 3)) as world:\n"
        "    ap.hold(ap.Hold.on_payer('sable', by='Ann', "
        "reason='bankrupt'), ports=world.ports)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60
    )
    said, _ = autopay(tmp_path, "holds")
    told, _ = autopay(tmp_path, "holds", "--json")

    assert "payer:sable" in said
    assert "bankrupt" in said
    [found] = objects(told)
    assert (found["target"], found["by"]) == ("payer:sable", "Ann")
    assert found["amount"] is None


def test_a_store_is_verified_against_heads_that_were_kept(
    tmp_path: Path,
) -> None:
    autopay(tmp_path, "sweep", "--as-of", "2026-01-02")
    said, _ = autopay(tmp_path, "verify", "--keep", "heads")
    assert said.endswith("0 heads kept outside: no faults.\n")
    autopay(tmp_path, "sweep", "--as-of", "2026-01-05")
    autopay(tmp_path, "verify", "--heads", "heads")

    other = tmp_path / "other"
    other.mkdir()
    autopay(other, "run", "ap-03", "--on", "2026-01-15")
    told, _ = autopay(other, "verify", "--heads", "../heads", "--json", code=1)
    assert {each["reason"] for each in objects(told)} == {"anchor"}


def test_a_store_is_audited_and_an_export_is_checked(
    swept: Path,
) -> None:
    said, _ = autopay(swept, "audit", "--store", "autopay.db")
    assert said.endswith("0 differences\n")
    autopay(swept, "audit", "--sqlite", "autopay.db")
    autopay(
        swept,
        *("check", str(EXAMPLE / "open_invoices.csv")),
        *("--profile", "ledes-1998b"),
        code=2,
    )


EXPORT = """Invoice No,Client,Matter,Date,Balance
7,C-1,M-1,2026-01-05,80.00
8,C-1,M-1,2026-01-06,eighty
"""
MAPPING = """
from autopay_core.adapters.csv import CsvMapping, InvoiceColumns

mapping = CsvMapping(
    currency="USD",
    invoices=InvoiceColumns(
        file="open.csv",
        number="Invoice No",
        client="Client",
        matter="Matter",
        issued_on="Date",
        balance="Balance",
    ),
    clients=None,
    matters=None,
)
"""


def test_an_export_is_checked_for_programs_too(tmp_path: Path) -> None:
    (tmp_path / "open.csv").write_text(EXPORT, "utf-8")
    (tmp_path / "ours.py").write_text(MAPPING, "utf-8")
    arguments = ("check", "open.csv", "--mapping", "ours:mapping")

    said, _ = autopay(tmp_path, *arguments, "--json", code=None)
    [paid, left, whole] = objects(said)

    assert (paid["invoice"], paid["balance"]) == ("7", "80.00")
    assert (left["line"], left["taken_as"]) == (3, "left out")
    assert left["code"] == "AmountFormat"
    assert whole["rows"] == 2
    assert whole["totals"] == [
        {"client": "C-1", "amount": "80.00", "currency": "USD"}
    ]
    (tmp_path / "open.csv").write_text(EXPORT.splitlines()[0], "utf-8")
    said, _ = autopay(tmp_path, *arguments, "--json", code=2)
    assert objects(said) == [{"refused": "there is a header and no row"}]


# -- The host's own ports ----------------------------------------------------

HOST: Final = """
from datetime import UTC, date, datetime

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
from autopay_core.book import Book, MemoryBookStore


def ports():
    return memory_ports(
        [
            ap.Invoice(
                number="7",
                client="C-7",
                matter="M-1",
                issued_on=date(2026, 1, 5),
                balance=ap.Money.of("80.00", "USD"),
            )
        ],
        clock=lambda: datetime(2026, 1, 31, 9, tzinfo=UTC),
    )


not_ports = 7


def book():
    clock = lambda: datetime(2026, 1, 31, 9, tzinfo=UTC)
    made = Book(MemoryBookStore(clock=clock))
    made.add(
        ap.AutoPay(
            id="ap-b",
            payer="p-1",
            name="Kept in the book",
            method=ap.PaymentMethodRef(
                provider="acme", token="tok_8f2k41aa9c"
            ),
            deposit_account=ap.DepositAccount(id="operating"),
            schedule=ap.Schedule.monthly(date(2026, 1, 31)),
            limit=ap.Limit.all("USD"),
            enrollments=(
                ap.Association.to_client(payer="p-1", client="C-7"),
            ),
        ),
        as_of=date(2026, 1, 30),
        by="Ann",
        reason="signed form",
    )
    return made
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "host.py").write_text(HOST, "utf-8")
    [known, *_] = load_firm(EXAMPLE).autopays
    agreed = attrs.evolve(
        known,
        schedule=ap.Schedule.monthly(date(2026, 1, 31)),
        enrollments=(
            ap.Association.to_client(payer=known.payer, client="C-7"),
        ),
    )
    text = dumps(agreed)
    (tmp_path / "autopays.jsonl").write_text(f"\n{text}\n", "utf-8")
    return tmp_path


def test_a_host_s_own_ports_are_used(host: Path) -> None:
    said, _ = autopay(
        host,
        *("sweep", "--as-of", "2026-01-31", "--ports", "host:ports"),
        *("--autopays", "autopays.jsonl"),
    )

    assert said.startswith("ap-01/2026-01-31: paid USD 80.00 on 1 of 1")
    assert not (host / "autopay.db").exists()


def test_a_host_s_own_book_is_used(host: Path) -> None:
    ours = ("--ports", "host:ports", "--book", "host:book")
    said, _ = autopay(host, "sweep", "--as-of", "2026-01-31", *ours)
    assert said.startswith("ap-b/2026-01-31: paid USD 80.00 on 1 of 1")

    said, _ = autopay(host, "preview", "ap-b", "--on", "2026-01-31", *ours)
    assert "Kept in the book (ap-b) on 2026-01-31" in said
    said, _ = autopay(host, "forecast", "ap-b", "--as-of", "2026-01-31", *ours)
    assert "USD 80.00" in said
    for command in (
        ("forecast", "--as-of", "2026-01-31"),
        ("preview", "ap-x", "--on", "2026-01-31"),
    ):
        _, complained = autopay(host, *command, *ours, code=2)
        assert "FieldMissing" in complained or "NotInBook" in complained


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--book", "host:book"], "--book"),
        (["--ports", "host:ports"], "give the auto-pays' file"),
        (["--ports", "host:nothing"], "cannot be imported"),
        (["--ports", "nothing:ports"], "cannot be imported"),
        (["--ports", ":"], "cannot be imported"),
        (["--ports", "host:not_ports"], "it is int, not Ports"),
        (["--ports", "host:ports", "--folder", "."], "--folder"),
        (["--autopays", "autopays.jsonl"], "--autopays"),
    ],
)
def test_ports_that_are_none_are_refused(
    arguments: list[str], said: str, host: Path
) -> None:
    more = (
        ["--autopays", "autopays.jsonl"]
        if ":" in arguments[1] and arguments != ["--ports", "host:ports"]
        else []
    )
    _, complained = autopay(
        host, "sweep", "--as-of", "2026-01-31", *arguments, *more, code=2
    )

    assert said in complained


# -- Mistakes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "usage"),
        ("nonsense", "invalid choice"),
        ("preview", "AUTOPAY"),
        ("preview ap-01 --on tomorrow", "is not a date such as 2026-01-31"),
        ("preview ap-01 --on 2500-01-01", "is not a date"),
        ("preview ap-99 --on 2026-01-05", "there is no such auto-pay"),
        ("preview ap-01 --on 2026-01-05 --folder gone", "firm.toml"),
        ("preview ap-01 --on 2026-01-05 --store gone.db", "no such file"),
        ("run ap-01 --on 2026-01-06", "ask upcoming()"),
        ("run ap-01 --on 2026-01-05 --store mine.db", "StoreCorrupt"),
        ("sweep --as-of 2026-01-02 --through 2026-01-01", "before --as-of"),
        ("sweep --as-of 2026-01-02 --autopays gone", "--autopays"),
        ("explain ap-01/2026-01-05", "there is no such file"),
        ("postings --store mine.db", "StoreCorrupt"),
        ("postings --store .", "there is no such file"),
        ("postings --view everything", "invalid choice"),
        ("holds --postgres x --store y", "not allowed with"),
        ("verify --heads mine.db --store mine.db", "no head of a history"),
        ("verify --heads gone", "gone"),
        ("audit --store gone.db", "no such file"),
        ("check gone.csv --profile ledes-1998b", "gone.csv"),
        ("demo --folder gone", "firm.toml"),
    ],
)
def test_a_mistake_is_a_message_and_no_traceback(
    command: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.db").write_text("precious", "utf-8")

    _, complained = autopay(tmp_path, *shlex.split(command), code=2)

    assert said in complained
    assert (tmp_path / "mine.db").read_text("utf-8") == "precious"


def test_an_unknown_run_is_named_with_the_form_of_one(swept: Path) -> None:
    _, complained = autopay(swept, "explain", "ap-99/2026-01-05", code=2)

    assert "the form is AUTOPAY/NOMINAL-DATE" in complained


def test_a_store_that_is_out_of_reach_can_be_asked_again(
    tmp_path: Path,
) -> None:
    pytest.importorskip("psycopg")

    _, complained = autopay(
        tmp_path,
        *("postings", "--postgres", "host=/nowhere dbname=x"),
        code=3,
    )

    assert complained.startswith("autopay postings:")


def test_a_reader_that_goes_away_is_no_mistake(swept: Path) -> None:
    command = [sys.executable, "-m", "autopay_core", "postings", "--json"]
    with subprocess.Popen(
        command,
        cwd=swept,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complained = process.stderr.read()
        assert process.wait(60) == 0

    assert complained == ""


def _watched(folder: Path, *before: str) -> tuple[str, str]:
    """Sweep with a terminal for complaints, and a pipe for the answer."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    done = subprocess.run(
        [
            sys.executable,
            *(
                "-c",
                "\n".join([*before, "import autopay_core.command as c"])
                + "\nimport sys\nsys.exit(c.main(sys.argv[1:]))",
            ),
            *("sweep", "--as-of", "2026-01-01", "--through", "2026-01-05"),
            "--json",
        ],
        check=True,
        cwd=folder,
        encoding="utf-8",
        stderr=slave,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 65_536):
            shown += part
    os.close(master)
    return done.stdout, shown.decode()


@pytest.mark.parametrize(
    "before", ["", "import sys; sys.modules['rich'] = None"]
)
def test_progress_is_shown_to_a_person_and_never_in_the_answer(
    before: str, tmp_path: Path
) -> None:
    said, shown = _watched(tmp_path, before)

    assert [each["autopay"] for each in objects(said)] == [
        "ap-07",
        "ap-01",
        "ap-12",
    ]
    assert "2026-01-05" in shown
    assert "5/5 days" in shown
    assert "autopay" not in shown


# -- The page ----------------------------------------------------------------


def _sessions(text: str) -> list[tuple[str, str]]:
    """Return each command of a page with what it prints."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip("\n")))
    return found


def _given(command: str) -> Sequence[str]:
    name, *arguments = shlex.split(command)
    assert name == "autopay"
    return arguments


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    sessions = _sessions(PAGE.read_text("utf-8"))
    for command, expected in sessions:
        said, _ = autopay(tmp_path, *_given(command), code=None)
        pattern = ".*".join(map(re.escape, expected.split("...")))
        assert re.fullmatch(pattern, said.rstrip("\n"), re.DOTALL), (
            f"{command}\n{said}"
        )

    shown = {_given(command)[0] for command, _ in sessions}
    # These need a file of somebody else's.
    others = {"demo", "check", "acknowledge"}
    assert shown >= {each.name for each in COMMANDS} - others


def test_health_says_what_somebody_should_look_at(tmp_path: Path) -> None:
    autopay(tmp_path, "sweep", "--as-of", "2026-01-02")

    said, _ = autopay(tmp_path, "health", code=1)
    lines, _ = autopay(tmp_path, "health", "--json", code=1)

    assert said.startswith("The last sweep was for 2026-01-02, and ended at ")
    assert "no sweep: the last sweep ended at " in said
    [found] = [json.loads(line) for line in lines.splitlines()]
    assert found["swept_for"] == "2026-01-02"
    assert (found["under_way"], found["unposted"]) == (0, 1)
    kinds = [each["kind"] for each in found["troubles"]]
    assert "no sweep" in kinds
