"""One row that cannot be read stops only what rests on it (R6, PS-22)."""

from __future__ import annotations

import html
import shutil
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core import calls
from autopay_core.adapters.memory import MemoryMatterData
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.audit import Code, audit, export_store
from autopay_core.batches import Batch, LedgerEntry
from autopay_core.commits import (
    Conflict,
    ConflictReason,
    Decoded,
    PostingFilter,
    Unreadable,
    decoded,
)
from autopay_core.engine.requests import (
    ReadBatch,
    ask_either,
    ask_many,
)
from autopay_core.errors import HostProtocolError, PortError
from autopay_core.holds import Hold
from autopay_core.movements import Movement, MovementKind, MovementState
from autopay_core.notices import NoticeKind
from autopay_core.postings import Posting
from autopay_core.runs import RunStatus
from autopay_core.show.values import parts_of
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    Script,
    World,
    bill,
    posting,
    standing_order,
    to_client,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopay_core.autopay import AutoPay
    from autopay_core.ports import Ports

PLACES = range(1, 5)
WORD: Any = {"by": "pat", "reason": "in mediation"}
SPOILED = 2
"""The order whose rows are spoiled, where a row is any order's."""

NOTHING_DECIDED_WITHOUT = frozenset(
    {"autopay_schema", "autopay_store", "autopay_chains"}
)
"""What is the whole store's: its schema, its name and its clock."""

LISTS: dict[str, Callable[[Ports], object]] = {
    "batches": lambda ports: calls.list_batches(ports=ports),
    "deliver": lambda ports: calls.deliver(ports=ports),
    "found": lambda ports: calls.find_postings(PostingFilter(), ports=ports),
    "health": lambda ports: calls.health(ports=ports),
    "holds": lambda ports: calls.list_holds(ports=ports),
    "movements": lambda ports: calls.list_movements(
        MovementState.WAITING, ports=ports
    ),
    "postings": lambda ports: calls.read_postings(ports=ports),
    "recover": lambda ports: list(calls.recover(ports=ports)),
    "runs": lambda ports: calls.list_runs(ports=ports),
    "totals": lambda ports: calls.posting_totals(ports=ports),
}


def orders() -> list[AutoPay]:
    return [
        standing_order(
            id=f"ap-{place}",
            payer=f"p{place}",
            enrollments=(to_client(f"C-{place}", f"p{place}"),),
            method=attrs.evolve(CARD, token=f"tok_card_{place:04}"),
        )
        for place in PLACES
    ]


def a_world(path: Path, day: date, number: int) -> World:
    """Return a world over a file, in which each client owes an invoice."""
    world = World()
    world.matters = MemoryMatterData(
        bill(
            f"INV-{place}{number}",
            f"{place}0{number}.00",
            client=f"C-{place}",
            matter=f"M-{place}",
            issued=day,
        )
        for place in PLACES
    )
    world.store = SqlitePostingStore(path, clock=world.clock)  # type: ignore[assignment]
    return world


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep a store in which each order has rows of every kind."""
    path = tmp_path_factory.mktemp("poison") / "base.db"
    world = a_world(path, DAY, 1)
    world.sweep(*orders())
    ports = world.ports
    for place in PLACES:
        calls.hold(
            Hold.on_matter(f"C-{place}", "M-other", **WORD), ports=ports
        )
        calls.receive(
            Movement(
                id=f"ev-{place}",
                kind=MovementKind.REFUNDED,
                amount=usd("1"),
                on=DAY,
                reference=f"unknown-{place}",
            ),
            ports=ports,
        )
        paid = calls.find_postings(
            PostingFilter(client=f"C-{place}"), ports=ports
        )
        calls.make_batch(f"b-{place}", paid, by="ann", ports=ports)
    close(world)
    return path


def close(world: World) -> None:
    world.store.close()  # type: ignore[attr-defined]


def next_month(path: Path) -> World:
    """Return the world a month later, over a copy of the store."""
    world = a_world(path, FEBRUARY, 3)
    # References are never used again.
    world.gateway._numbers = iter(range(1_000, 2_000))  # type: ignore[assignment]
    world.clock.reach(DAY)
    return world


def copied(base: Path, tmp_path: Path, name: str = "copy.db") -> Path:
    path = tmp_path / name
    path.unlink(missing_ok=True)
    shutil.copy(base, path)
    return path


def tables(path: Path) -> Iterator[tuple[str, str, str]]:
    """Give every column with a row in it: table, name and type."""
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute(
            "SELECT name FROM sqlite_master "
            "WHERE type = 'table' AND name LIKE 'autopay_%'"
        ).fetchall():
            some = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608 - a constant
            if database.execute(some).fetchone():
                for row in database.execute(f"PRAGMA table_info({table})"):
                    yield table, row[1], row[2].upper()


def spoil(path: Path, table: str, column: str, value: object) -> bool:
    """Write a value into one row, of the spoiled order if that can be."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        info = database.execute(f"PRAGMA table_info({table})").fetchall()
        rows = database.execute(
            f"SELECT * FROM {table}"  # noqa: S608 - a constant
        ).fetchall()
        names = [each[1] for each in info]
        mine = {f"{kind}{SPOILED}" for kind in ("ap-", "C-", "p", "ev-", "b-")}
        row = next((row for row in rows if mine & {*row}), None)
        if row is None:
            texts = [each for each in rows if f"ap-{SPOILED}" in str(each)]
            row = texts[0] if texts else rows[0]
        keys = [place for place, each in enumerate(info) if each[5]]
        place = " AND ".join(f"{names[key]} = ?" for key in keys)
        change = f"UPDATE {table} SET {column} = ? WHERE {place}"  # noqa: S608 - constants
        try:
            changed = database.execute(
                change, (value, *(row[key] for key in keys))
            ).rowcount
        except sqlite3.IntegrityError:
            return False
    assert changed == 1
    return True


def paid(world: World, through: date = FEBRUARY) -> dict[str, str]:
    """Sweep, and return what each order paid."""
    found = world.sweep(*orders(), as_of=through)
    return {
        each.key.autopay: str(each.charged)
        for each in found
        if each.key is not None and each.status is RunStatus.PAID
    }


@pytest.mark.parametrize(
    "value", ["?", "", -5, 2**61], ids=["word", "empty", "below", "huge"]
)
def test_r6_no_cell_of_one_order_stops_the_others_or_a_list(
    base: Path, tmp_path: Path, value: object
) -> None:
    whole = next_month(copied(base, tmp_path))
    expected = paid(whole)
    close(whole)
    assert len(expected) == len(PLACES)
    del expected[f"ap-{SPOILED}"]
    spoiled = 0

    for table, column, kind in list(tables(base)):
        path = copied(base, tmp_path)
        if (
            table in NOTHING_DECIDED_WITHOUT
            or (kind == "TEXT") is not isinstance(value, str)
            or not spoil(path, table, column, value)
        ):
            continue
        world, where = next_month(path), f"{table}.{column}"
        spoiled += 1
        broken = [
            name for name, ask in LISTS.items() if _fails(ask, world.ports)
        ]
        found = paid(world)
        close(world)
        found.pop(f"ap-{SPOILED}", None)
        assert (where, found) == (where, expected)
        if table != "autopay_told":  # The store's own words, in `health`.
            assert (where, broken) == (where, [])

    assert spoiled > 20


def _fails(ask: Callable[[Ports], object], ports: Ports) -> bool:
    try:
        ask(ports)
    except Exception:  # noqa: BLE001 - whatever it is, it is a fault
        return True
    return False


@pytest.mark.parametrize(
    ("table", "column", "code", "asked"),
    [
        ("autopay_postings", "status", "UnknownValue", "postings"),
        ("autopay_postings", "charged_on", "DateFormat", "found"),
        ("autopay_postings", "account_kind", "UnknownValue", "postings"),
        ("autopay_postings", "posted_on", "DateFormat", "postings"),
        ("autopay_postings", "currency", "CurrencyUnknown", "found"),
        ("autopay_postings", "currency", "CurrencyUnknown", "totals"),
        ("autopay_holds", "data", "JsonFormat", "holds"),
        ("autopay_movements", "data", "JsonFormat", "movements"),
        ("autopay_batches", "data", "JsonFormat", "batches"),
    ],
)
def test_r6_a_list_says_which_of_it_cannot_be_read(
    base: Path, tmp_path: Path, table: str, column: str, code: str, asked: str
) -> None:
    path = copied(base, tmp_path)
    world = next_month(path)
    before: Any = LISTS[asked](world.ports)
    assert spoil(path, table, column, "?")

    found: Any = LISTS[asked](world.ports)

    assert isinstance(found, Decoded)
    [lost] = found.unreadable
    assert lost.code == code
    assert len(found) == len(before) - (asked != "totals")
    assert str(found).endswith(f"{lost.key} cannot be read ({code})")
    assert f"<p>{lost.key} cannot be read" in found._repr_html_()
    if asked != "totals":
        assert lost.key in {str(each.id) for each in before}
        assert lost.key not in {str(each.id) for each in found}
    seen = calls.health(ports=world.ports).unreadable
    # Health looks at what is open, and at no batch.
    assert bool(seen) is (table != "autopay_batches" and column != "status")
    close(world)


def test_r6_a_page_goes_on_after_one_that_cannot_be_read(
    base: Path, tmp_path: Path
) -> None:
    path = copied(base, tmp_path)
    assert spoil(path, "autopay_postings", "status", "?")
    world = next_month(path)
    found: list[str] = []
    pages = 0
    wanted = PostingFilter(most=1)

    while True:
        page = calls.find_postings(wanted, ports=world.ports)
        if page.last is None:
            break
        pages += 1
        found.extend(str(each.id) for each in page)
        wanted = attrs.evolve(wanted, after=str(page.last.id))

    assert (pages, len(found)) == (4, 3)
    assert found == [
        str(each.id) for each in calls.read_postings(ports=world.ports)
    ]
    close(world)


def test_r6_the_audit_names_a_posting_that_cannot_be_read(
    base: Path, tmp_path: Path
) -> None:
    path = copied(base, tmp_path)
    assert spoil(path, "autopay_postings", "charged_on", "?")
    world = next_month(path)
    store: Any = world.store
    lost = calls.read_postings(ports=world.ports).unreadable[0]

    found = audit(export_store(store), (), ())

    [named] = [each for each in found if each.code is Code.UNREADABLE_POSTING]
    assert named.subject == lost.key
    assert "DateFormat" in named.detail
    close(world)


def test_r6_a_stuck_posting_that_cannot_be_read_is_told_with_the_others(
    base: Path, tmp_path: Path
) -> None:
    path = copied(base, tmp_path)
    assert spoil(path, "autopay_postings", "posted_on", "?")
    world = next_month(path)
    [lost] = calls.read_postings(ports=world.ports).unreadable

    world.sweep(as_of=DAY + timedelta(days=31))

    [told] = [
        each
        for each in world.notifier.sent
        if each.kind is NoticeKind.POSTING_STUCK
    ]
    assert f"{lost.key}, which cannot be read" in told.detail
    assert "invoice INV-31, USD 301.00 of ap-3/2026-01-31" in told.detail
    close(world)


@pytest.mark.parametrize("said", ["?", "2026-01-31", "2026-01-31 a b"])
def test_r6_a_mark_of_the_sweep_that_cannot_be_read_stops_no_sweep(
    base: Path, tmp_path: Path, said: str
) -> None:
    path = copied(base, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE autopay_told SET said = ?", (said,))
    world = next_month(path)
    seen = calls.health(ports=world.ports)
    assert (seen.swept_for, seen.unreadable) == (None, 1)

    assert len(paid(world)) == len(PLACES)

    seen = calls.health(ports=world.ports)
    assert (seen.swept_for, seen.unreadable) == (FEBRUARY, 0)
    close(world)


def test_r6_a_batch_of_a_posting_that_cannot_be_read_is_refused_by_name(
    base: Path, tmp_path: Path
) -> None:
    path = copied(base, tmp_path)
    world = next_month(path)
    world.sweep(*orders(), as_of=FEBRUARY)
    fresh = calls.find_postings(
        PostingFilter(charged_from=FEBRUARY), ports=world.ports
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(
            "UPDATE autopay_postings SET account_kind = '?' WHERE id = ?",
            (str(fresh[1].id),),
        )

    made = calls.make_batch("b-9", fresh, by="ann", ports=world.ports)

    assert made == Conflict(
        reason=ConflictReason.BATCH, postings=(str(fresh[1].id),)
    )
    close(world)


def test_r6_notices_are_read_one_by_one(base: Path, tmp_path: Path) -> None:
    path = copied(base, tmp_path)
    assert spoil(path, "autopay_notices", "data", "?")
    store = SqlitePostingStore(path)

    found = list(store.notices_as_read())

    lost = [each for each in found if isinstance(each, Unreadable)]
    assert [each.code for each in lost] == ["JsonFormat"]
    assert len(found) > len(PLACES)
    with pytest.raises(PortError):
        list(store.notices())
    store.close()


def test_r6_an_unreadable_posting_counts_as_on_its_way(
    base: Path, tmp_path: Path
) -> None:
    """As long as its amount can be read; without it, nothing is decided."""
    mine = f"ap-{SPOILED}"
    for column, is_paid in (("status", True), ("currency", False)):
        path = copied(base, tmp_path, f"{column}.db")
        world = next_month(path)
        before = world.reserved(f"C-{SPOILED}")
        assert spoil(path, "autopay_postings", column, "?")
        if is_paid:
            assert world.reserved(f"C-{SPOILED}") == before != {}
        assert (mine in paid(world)) is is_paid
        close(world)


def test_p2_what_the_ledger_shows_of_an_unreadable_posting_is_unexpected(
    base: Path, tmp_path: Path
) -> None:
    path = copied(base, tmp_path)
    world = next_month(path)
    entries = [
        LedgerEntry(posting=each.id, invoice=each.invoice, amount=each.amount)
        for each in calls.read_postings(ports=world.ports)
    ]
    assert spoil(path, "autopay_postings", "account_kind", "?")
    [lost] = calls.read_postings(ports=world.ports).unreadable

    found = calls.acknowledge(entries, by="ledger", ports=world.ports)

    # All are in batches that are not answered, so nothing is applied.
    assert {each.posting for each in found.unexpected} == {
        each.posting for each in entries
    }
    assert lost.key in {each.posting for each in found.unexpected}
    assert (found.unknown, found.applied) == ((), ())
    close(world)


# -- Answers ------------------------------------------------------------------


def test_r6_what_a_decision_rests_on_has_to_be_readable() -> None:
    assert decoded(posting()) == posting()

    with pytest.raises(PortError) as caught:
        decoded(Unreadable(key="p-2", code="DateFormat"))

    assert caught.value.code == "DateFormat"
    assert str(caught.value).startswith("p-2 cannot be read (DateFormat); ")


def test_e3_an_unreadable_key_is_data_wherever_it_is_shown() -> None:
    lost = Unreadable(key="p\n<b>\x1b[31m", code="FieldFormat")
    line = "p\\x0a<b>\\x1b[31m cannot be read (FieldFormat)"
    some, none = Decoded([posting(), lost]), Decoded[Posting]([lost])

    assert str(lost) == line
    assert str(none) == line
    assert none._repr_html_() == f"<p>{html.escape(line)}</p>"
    assert some._repr_html_().startswith("<table")
    assert some._repr_html_().endswith(f"<p>{html.escape(line)}</p>")
    assert parts_of(none) == (line,)
    assert parts_of(some)[1:] == (line,)
    assert parts_of(Decoded[Posting]()) == ("Nothing.",)


@pytest.mark.parametrize("answer", [None, ["b-1"], [posting()]])
def test_e1_a_list_of_something_else_is_no_answer(answer: object) -> None:
    with pytest.raises(HostProtocolError):
        Script(ask_many(ReadBatch("b-1"), Batch), answer).go()
    with pytest.raises(HostProtocolError):
        Script(ask_either(ReadBatch("b-1"), Batch, Unreadable), answer).go()


def test_a_list_of_runs_is_printed_line_by_line(
    base: Path, tmp_path: Path
) -> None:
    world = next_month(copied(base, tmp_path))
    hours = timedelta(hours=1)
    world.clock.at += hours

    runs = calls.list_runs(ports=world.ports)

    assert str(runs) == "\n".join(map(str, runs))
    close(world)
