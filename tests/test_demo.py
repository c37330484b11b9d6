"""
The example firm's year, against figures that the library did not work out.

`Ledger` below knows nothing of the package: it reads the files with csv and
tomllib, has every date of every auto-pay as a list, and pays in plain cents.
"""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from autopay_core import demo
from autopay_core.__main__ import main
from autopay_core.demo import EXAMPLE, Report, gateway_path, load_firm, play
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.notices import FAILED_AUTOPAY, NoticeKind
from autopay_core.postings import PostingStatus
from autopay_core.runs import RunState
from autopay_core.testing.gateway_file import FileGateway

# -- The independent ledger --------------------------------------------------


def _days(text: str) -> list[date]:
    """Read days such as ``1-31 2-28``, all in 2026."""
    return [date(2026, *map(int, each.split("-"))) for each in text.split()]


# Written down by hand from a calendar of 2026.
MONTH_ENDS = "1-31 2-28 3-31 4-30 5-31 6-30 7-31 8-31 9-30 10-31 11-30 12-31"
DAYS = {
    "ap-01": _days(" ".join(f"{month}-5" for month in range(1, 13))),
    "ap-02": _days(MONTH_ENDS),
    "ap-03": _days(" ".join(f"{month}-15" for month in range(1, 13))),
    "ap-04": sorted(
        _days(" ".join(f"{month}-15" for month in range(1, 13)))
        + _days(MONTH_ENDS)
    ),
    "ap-05": _days(" ".join(f"{month}-28" for month in range(1, 13))),
    "ap-06": _days(MONTH_ENDS),
    "ap-07": _days(
        "1-2 1-16 1-30 2-13 2-27 3-13 3-27 4-10 4-24 5-8 5-22 6-5 6-19 7-3 "
        "7-17 7-31 8-14 8-28 9-11 9-25 10-9 10-23 11-6 11-20 12-4 12-18"
    ),
    "ap-08": _days("1-20 4-20 7-20 10-20"),
    "ap-09": _days(" ".join(f"{month}-1" for month in range(2, 13))),
    # Off weekends: January, May and October begin on a Saturday or Sunday.
    "ap-10": _days(
        "1-12 2-10 3-10 4-10 5-11 6-10 7-10 8-10 9-10 10-12 11-10 12-10"
    ),
    "ap-11": _days(" ".join(f"{month}-20" for month in range(1, 13))),
    "ap-12": _days(
        "1-5 1-12 1-19 1-26 2-2 2-9 2-16 2-23 3-2 3-9 3-16 3-23 3-30 4-6 4-13 "
        "4-20 4-27 5-4 5-11 5-18 5-25 6-1 6-8 6-15 6-22 6-29 7-6 7-13 7-20 "
        "7-27 8-3 8-10 8-17 8-24 8-31 9-7 9-14 9-21 9-28 10-5 10-12 10-19 "
        "10-26 11-2 11-9 11-16 11-23 11-30 12-7 12-14 12-21 12-28"
    ),
    # At rest in July and August.
    "ap-13": _days("1-25 2-25 3-25 4-25 5-25 6-25 9-25 10-25 11-25 12-25"),
    # Turned off in October, so the one of November is no more.
    "ap-14": _days("2-12 5-12 8-12"),
}
# At rest in July and August, and turned off in October: on record, too.
CANCELLED = {
    ("ap-13", date(2026, 7, 25)): "Paused",
    ("ap-13", date(2026, 8, 25)): "Paused",
    ("ap-14", date(2026, 11, 12)): "Off",
}
# A decline of 3 August is tried again three days later, and then it works.
TRIED_AGAIN = {("ap-12", date(2026, 8, 3)): date(2026, 8, 6)}


class Bill(NamedTuple):
    """A row of the export, amounts in cents."""

    number: str
    client: str
    matter: str
    issued: date
    due: date
    total: int
    open: bool
    bank: str
    balance: int


class Paid(NamedTuple):
    """What one run paid."""

    on: date
    cents: int
    invoices: tuple[tuple[str, int], ...]


def _cents(text: str) -> int:
    sign = -1 if text.startswith("(") else 1
    return sign * int(Decimal(text.strip("()").replace(",", "")) * 100)


def _us(text: str) -> date:
    if not text:
        return date.max
    month, day, year = map(int, text.split("/"))
    return date(year, month, day)


def bills(folder: Path) -> list[Bill]:
    with (folder / "open_invoices.csv").open(newline="") as file:
        return [
            Bill(
                number=row["Bill No"],
                client=row["Client No"],
                matter=row["Matter No"],
                issued=_us(row["Bill Date"]),
                due=_us(row["Due Date"]),
                total=_cents(row["Billed"]),
                open=row["Status"] == "Open" and row["On Hold"] == "No",
                bank=row["Bank"].lower(),
                balance=_cents(row["Balance Due"]),
            )
            for row in csv.DictReader(file)
        ]


def _covered(bill: Bill, enrolled: list[dict[str, str]]) -> bool:
    return any(
        each["client"] == bill.client
        and each.get("matter", bill.matter) == bill.matter
        and each.get("invoice", bill.number) == bill.number
        for each in enrolled
    )


def _order(bill: Bill) -> tuple[date, date, int]:
    return bill.issued, bill.due, int(bill.number.removeprefix("B-"))


def expected(folder: Path = EXAMPLE) -> dict[tuple[str, date], Paid]:
    """Work out every payment of the year, without the library."""
    orders = tomllib.loads((folder / "firm.toml").read_text("utf-8"))
    rules = orders["gateway"]["declines"]
    rows = sorted(bills(folder), key=_order)
    left = {each.number: each.balance for each in rows}
    spent: dict[tuple[str, int], int] = defaultdict(int)
    paid: dict[tuple[str, date], Paid] = {}
    # On one day they run in the order of the file; what is tried again goes
    # with its auto-pay's turn.
    turns = sorted(
        (TRIED_AGAIN.get((order["id"], due), due), place, due)
        for place, order in enumerate(orders["autopay"])
        for due in DAYS[order["id"]]
    )
    for on, place, due in turns:
        order = orders["autopay"][place]
        if any(
            rule["token"] == order["token"]
            and rule["from_on"] <= on < rule["before"]
            for rule in rules
        ):
            continue
        most = 10**12 if order["limit"] == "all" else _cents(order["limit"])
        if "per_month" in order:
            month = order["id"], on.month
            most = min(most, _cents(order["per_month"]) - spent[month])
        shares: list[tuple[str, int]] = []
        for bill in rows:
            if (
                not _covered(bill, order["enroll"])
                or not bill.open
                or bill.issued > on
                or bill.bank != order.get("account", "operating")
                or left[bill.number] <= 0
                or most == 0
            ):
                continue
            share = min(most, left[bill.number])
            if order.get("whole_invoices") and share < left[bill.number]:
                break
            left[bill.number] -= share
            most -= share
            shares.append((bill.number, share))
        if shares:
            cents = sum(share for _, share in shares)
            spent[order["id"], on.month] += cents
            paid[order["id"], due] = Paid(on, cents, tuple(shares))
    return paid


def found(report: Report) -> dict[tuple[str, date], Paid]:
    """Return what the library says was paid, in the same shape."""
    paid: dict[tuple[str, date], Paid] = {}
    for run in report.runs:
        if run.captured is None or run.allocation is None:
            continue
        paid[run.key.autopay, run.key.nominal_on] = Paid(
            run.charge_on,
            run.captured.amount.amount_minor,
            tuple(
                (line.invoice.number, line.amount.amount_minor)
                for line in run.allocation.paid
            ),
        )
    return paid


def on_charge_dates(
    paid: dict[tuple[str, date], Paid],
) -> dict[tuple[str, date], Paid]:
    """Key payments by the day of the charge: rolling keeps nominal dates."""
    return {(autopay, each.on): each for (autopay, _), each in paid.items()}


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return play(
        load_firm(EXAMPLE), tmp_path_factory.mktemp("demo") / "demo.db"
    )


# -- The year ----------------------------------------------------------------


@pytest.mark.slow
def test_every_payment_of_the_year_is_what_was_worked_out(
    year: Report,
) -> None:
    assert on_charge_dates(found(year)) == on_charge_dates(expected())


@pytest.mark.slow
def test_the_year_s_figures_are_those_written_down_here(year: Report) -> None:
    paid = found(year)
    totals: dict[str, int] = defaultdict(int)
    for (autopay, _), each in paid.items():
        totals[autopay] += each.cents

    # Worked out by hand from the export: ap-03 pays 2,600.00 in steps of
    # 300.00, so eight of them and a rest of 200.00 in September.
    plan = [each for (ap, _), each in paid.items() if ap == "ap-03"]
    assert [each.cents for each in plan] == [300_00] * 8 + [200_00]
    assert plan[-1].on == date(2026, 9, 15)
    # 31 January: the two oldest, 1,215.75 of last year in full.
    assert paid["ap-02", date(2026, 1, 31)].invoices[0] == ("B-931", 1215_75)
    # Two declines in spring, and one in August that worked three days later.
    assert ("ap-06", date(2026, 3, 31)) not in paid
    assert ("ap-06", date(2026, 4, 30)) not in paid
    assert paid["ap-12", date(2026, 8, 3)].on == date(2026, 8, 6)
    # The trust account took the four retainers of 1,000.00.
    assert totals["ap-08"] == 4 * 1000_00
    assert sum(totals.values()) == 129_572_04
    assert len(paid) == 162


@pytest.mark.slow
def test_every_captured_cent_has_its_posting_record(year: Report) -> None:
    shares: dict[str, int] = defaultdict(int)
    for each in expected().values():
        for number, cents in each.invoices:
            shares[number] += cents
    posted: dict[str, int] = defaultdict(int)
    for posting in year.postings:
        posted[posting.invoice] += posting.amount.amount_minor

    assert posted == shares
    assert all(holds for _, holds in year.checks)
    assert sum(each.amount.amount_minor for each in year.captured) == sum(
        shares.values()
    )


@pytest.mark.slow
def test_the_declined_card_is_told(year: Report) -> None:
    failed = [
        (each.autopay, each.on, each.title)
        for each in year.notices
        if each.kind is NoticeKind.FAILED
    ]

    assert failed == [
        ("ap-06", date(2026, 3, 31), FAILED_AUTOPAY),
        ("ap-06", date(2026, 4, 30), FAILED_AUTOPAY),
        ("ap-12", date(2026, 8, 3), FAILED_AUTOPAY),
    ]
    told = [each for each in year.notices if each.autopay == "ap-06"]
    assert NoticeKind.METHOD_EXPIRING in {each.kind for each in told}
    # That nothing is due is told only where the order says so (N2).
    assert NoticeKind.NOTHING_DUE not in {each.kind for each in year.notices}
    assert {each.kind for each in year.notices} >= {
        NoticeKind.PLAN_PAID_OFF,
        NoticeKind.PAID_IN_PART,
        NoticeKind.ENDING_SOON,
        NoticeKind.PAUSED,
        NoticeKind.RESUMED,
        NoticeKind.ENDED,
        NoticeKind.POSTING_INCOMPLETE,
    }


@pytest.mark.slow
def test_postings_are_as_far_as_their_days_say(year: Report) -> None:
    by_status: dict[PostingStatus, list[Any]] = defaultdict(list)
    for each in year.postings:
        by_status[each.status].append(each)

    last = date(2026, 12, 31)
    assert {each.charged_on for each in by_status[PostingStatus.PENDING]} == {
        last
    }
    assert all(
        last - each.charged_on >= timedelta(4)
        for each in by_status[PostingStatus.APPLIED]
    )
    [removed] = by_status[PostingStatus.REMOVED]
    [refused] = by_status[PostingStatus.INCOMPLETE]
    assert (removed.invoice, refused.invoice) == ("B-945", "B-1031")
    assert len(year.postings) == 216


@pytest.mark.slow
def test_no_run_of_the_year_is_missing_or_under_way(year: Report) -> None:
    runs = {
        (each.key.autopay, each.charge_on)
        for each in year.runs
        if each.state is not RunState.CANCELLED
    }
    cancelled = {
        (each.key.autopay, each.charge_on): each.reason
        for each in year.runs
        if each.state is RunState.CANCELLED
    }
    planned = {
        (autopay, TRIED_AGAIN.get((autopay, day), day))
        for autopay, days in DAYS.items()
        for day in days
    }

    assert runs == planned
    assert cancelled == CANCELLED
    assert {each.state for each in year.runs} == {
        RunState.PAID,
        RunState.FAILED,
        RunState.NOTHING_DUE,
        RunState.CANCELLED,
    }


# -- Killed and started again ------------------------------------------------


class KilledError(Exception):
    pass


@pytest.mark.slow
def test_stopped_after_any_day_it_goes_on_where_it_was(
    year: Report, tmp_path: Path
) -> None:
    firm, database = load_firm(EXAMPLE), tmp_path / "demo.db"
    random = Random(7)

    def sometimes(_: date) -> None:
        if random.random() < 0.02:
            raise KilledError

    stops = 0
    while True:
        try:
            report = play(firm, database, tell=sometimes)
        except KilledError:
            stops += 1
            continue
        break

    assert stops > 2
    assert found(report) == found(year)
    assert report.postings == year.postings
    assert report.notices == year.notices


def _demo(database: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "autopay_core",
        "demo",
        "--database",
        str(database),
        *arguments,
    ]


@pytest.mark.slow
@pytest.mark.processes
def test_killed_at_any_time_it_charges_nothing_twice(tmp_path: Path) -> None:
    database, until = tmp_path / "demo.db", date(2026, 4, 30)
    command = _demo(database, "--until", until.isoformat())
    random = Random(20260101)
    kills = 0
    while True:
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                # Sooner and later than it takes to start; at last for good.
                patience = None if kills >= 15 else 0.3 + random.random()
                assert process.wait(patience) == 0
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1

    report = play(load_firm(EXAMPLE), database, until=until)
    keys = [each.key for each in FileGateway(gateway_path(database)).captured]
    worked_out = on_charge_dates(expected())
    assert on_charge_dates(found(report)) == {
        key: each for key, each in worked_out.items() if each.on <= until
    }
    assert kills > 1
    assert len(keys) == len(set(keys)) == len(found(report))
    assert all(holds for _, holds in report.checks)


def test_started_again_after_its_end_it_changes_nothing(
    tmp_path: Path,
) -> None:
    firm, database = load_firm(EXAMPLE), tmp_path / "demo.db"
    until = date(2026, 1, 20)

    first = play(firm, database, until=until)
    again = play(firm, database, until=until)
    sooner = play(firm, database, until=date(2026, 1, 1))

    assert first == again == sooner


def test_a_store_without_its_gateway_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "demo.db"
    play(load_firm(EXAMPLE), database, until=date(2026, 1, 5))
    gateway_path(database).unlink()

    code = main(["demo", "--database", str(database)])

    assert code == 2
    assert "--fresh" in capsys.readouterr().err


# -- The command line --------------------------------------------------------


def test_the_demo_ends_with_what_was_paid_and_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "demo",
        "--database",
        str(tmp_path / "demo.db"),
        "--until",
        "2026-03-31",
        "--export",
        str(tmp_path / "postings.csv"),
    ]

    code = main([*arguments, "--explain", "ap-04/2026-01-31"])
    text, errors = capsys.readouterr()

    assert code == 0
    assert errors == ""
    for part in (
        "What was paid",
        "Brackenridge twice a month",
        "Why: the run ap-04/2026-01-31 (paid)",
        "paid in part: the limit ended here",
        "Posting records by view",
        "Postings: pending/incomplete",
        FAILED_AUTOPAY,
        "The card has expired. (code 54)",
        "ok: every captured cent has its posting record",
    ):
        assert part in text
    assert "WRONG" not in text
    assert "tok_" not in text
    amounts = re.findall(
        r"(?:captured by the gateway|posting records) +\d+ +USD (.*)", text
    )
    assert len(amounts) == 2
    assert amounts[0] == amounts[1]
    with (tmp_path / "postings.csv").open(encoding="utf-8-sig") as file:
        cents = sum(_cents(row["amount"]) for row in csv.DictReader(file))
    assert f"{cents / 100:,.2f}" == amounts[0]


def test_a_run_that_is_not_there_cannot_be_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            "demo",
            "--database",
            str(tmp_path / "demo.db"),
            "--until",
            "2026-01-02",
            "--explain",
            "ap-99/2026-01-02",
        ]
    )

    assert code == 2
    assert "--explain" in capsys.readouterr().err


def test_fresh_starts_over_and_deletes_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "demo.db"
    arguments = ["demo", "--database", str(database), "--until", "2026-01-05"]
    assert main(arguments) == 0
    before = gateway_path(database).stat().st_ino

    assert main([*arguments, "--fresh"]) == 0
    assert len(FileGateway(gateway_path(database)).captured) > 0
    del before

    mine = tmp_path / "mine.db"
    mine.write_text("precious")
    assert main(["demo", "--database", str(mine), "--fresh"]) == 2
    assert mine.read_text() == "precious"
    assert "not deleted" in capsys.readouterr().err


WITHOUT_RICH = """
import sys
sys.modules["rich"] = None
from autopay_core.__main__ import main
sys.exit(main(["demo", "--until", "2026-01-31"]))
"""


def test_the_demo_runs_where_nothing_but_the_package_is(
    tmp_path: Path,
) -> None:
    # Isolated from the current folder, as an installed wheel is.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_RICH,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(*EXAMPLE.parts[:-3]))},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )

    assert "What was paid" in done.stdout
    assert done.stderr == ""
    assert (tmp_path / "autopay-demo.db").exists()


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("has_rich", [True, False])
def test_somebody_who_looks_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_rich: bool
) -> None:
    if has_rich:
        pytest.importorskip("rich")
    else:
        for name in ("rich", "rich.console", "rich.progress"):
            monkeypatch.setitem(sys.modules, name, None)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    code = main(
        [
            "demo",
            "--database",
            str(tmp_path / "demo.db"),
            "--until",
            "2026-01-04",
        ]
    )

    assert code == 0
    assert "4/4 days" in screen.getvalue()
    assert "2026-01-04" in screen.getvalue()


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError, 0)]
)
def test_whoever_has_enough_may_stop_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: type[BaseException],
    code: int,
) -> None:
    def stopped(*_: object, **__: object) -> Report:
        raise error

    monkeypatch.setattr(demo, "play", stopped)
    # So that the real one is not closed.
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["demo", "--database", str(tmp_path / "x.db")]) == code

    assert ("Stopped" in capfd.readouterr().err) is (code == 130)


# -- The firm's file ---------------------------------------------------------

BROKEN = [
    ('id = "ap-02"', 'id = "ap-01"', "DuplicateKey", "autopay[1].id"),
    ('limit = "2500.00"', "limit = 2500.0", "FieldType", "autopay[1].limit"),
    ('limit = "2500.00"', 'limit = "-1"', "CapInvalid", "autopay[1].per_run"),
    ('limit = "2500.00"', "", "FieldMissing", "autopay[1].limit"),
    ('kind = "last_day"', 'kind = "often"', "UnknownValue", "schedule.kind"),
    (
        'kind = "last_day", first_on = 2026-01-31',
        'kind = "last_day", first_on = 2026-01-31, day = 3',
        "UnknownField",
        "autopay[1].schedule",
    ),
    (
        "first_on = 2026-01-31 }",
        "first_on = 2026-01-31T10:00:00 }",
        "FieldType",
        "autopay[1].schedule.first_on",
    ),
    ("[ledger]", "[ledgers]", "UnknownField", "ledgers"),
    ("days = [1, 2, 4]", "days = [1, 2]", "FieldType", "ledger.days"),
    (
        'enroll = [{ client = "C-1002" }]',
        'enroll = [{ matter = "x" }]',
        "FieldMissing",
        "autopay[1].enroll[0].client",
    ),
    (
        'token = "tok_hollis_1881"',
        'token = "4111111111111111"',
        "PanDetected",
        "autopay[1].token",
    ),
    ('date = "MM/DD/YYYY"', 'date = "MM/DD"', "FormatInvalid", "date"),
    ('balance = "Balance Due"', 'balance = ""', "FieldMissing", "balance"),
    (
        "last_day = 2026-12-31",
        "last_day = 2025-12-31",
        "OutOfRange",
        "last_day",
    ),
    ("[csv]", "[csv", "TomlFormat", "firm.toml"),
]


@pytest.mark.parametrize(("old", "new", "code", "path"), BROKEN)
def test_a_wrong_word_in_the_firm_s_file_is_named(
    tmp_path: Path, old: str, new: str, code: str, path: str
) -> None:
    text = (EXAMPLE / "firm.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "firm.toml").write_text(text.replace(old, new, 1))

    with pytest.raises(InvalidValueError) as caught:
        load_firm(tmp_path)

    assert caught.value.code == code
    assert caught.value.path.startswith("firm.toml")
    assert path in caught.value.path
    assert "4111111111" not in str(caught.value)


def test_a_folder_without_a_firm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="FileUnreadable"):
        load_firm(tmp_path)


def test_the_examples_are_made_by_their_script(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "examples" / "make_firm.py"
    if not script.exists():
        pytest.skip("the examples' script is not here")

    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)

    for path in tmp_path.iterdir():
        assert path.read_bytes() == (EXAMPLE / path.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 3
