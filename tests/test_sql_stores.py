"""The SQL stores beyond the model: races, lost answers, history, cost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core.adapters.sql.commit import SqlCommits
from autopay_core.adapters.sql.proofs import KEYS
from autopay_core.adapters.sql.rows import POSTINGS, posting_row
from autopay_core.adapters.sql.words import Ask
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.balances import Expected
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    BatchState,
    LineAccepted,
    answer,
    export,
)
from autopay_core.charges import Declined
from autopay_core.commits import (
    AttemptsAllowed,
    BatchFilter,
    Ceiling,
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Distinct,
    Incident,
    PostingFilter,
    PostingMove,
    PostingSort,
    Restored,
    Told,
    Unreadable,
)
from autopay_core.errors import (
    CommitUnknownError,
    CurrencyMismatchError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.history import (
    CHAINS,
    HistoryHead,
    microseconds,
    verify_history,
)
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.movements import (
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
)
from autopay_core.postings import (
    OPEN_STATUSES,
    PostingStatus,
    Reversal,
    ReversalKind,
    move_posting,
)
from autopay_core.runs import (
    RunRecord,
    RunState,
    postings_of,
    reservations,
)
from autopay_core.serialization import dumps
from lost_answers import lose_on_postgres, lose_on_sqlite
from records import (
    AUTOPAYS,
    DATES,
    INVOICES,
    METHOD,
    SHARED,
    START,
    TestClock,
    after,
    intend,
    key_of,
    notice,
    paid,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

RACERS = 16


class SqliteWorld:
    """A file, the stores on it, and a way past them."""

    kind = "sqlite"
    refusals: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "postings.db"
        self.stores: list[Any] = []

    def open(self, clock: TestClock | None = None) -> Any:
        store = SqlitePostingStore(self.path, clock=clock or TestClock())
        self.stores.append(store)
        return store

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return connection.execute(text, values).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        for store in self.stores:
            store.close()


class PostgresWorld:
    """A database, the stores on it, and a way past them."""

    kind = "postgres"

    def __init__(self) -> None:
        import psycopg

        from test_postgres import empty_database

        self.refusals = (psycopg.IntegrityError,)
        self.conninfo = empty_database("stores")
        self.stores: list[Any] = []

    def open(self, clock: TestClock | None = None) -> Any:
        from autopay_core.adapters.postgres import PostgresPostingStore

        store = PostgresPostingStore(self.conninfo, clock=clock or TestClock())
        self.stores.append(store)
        return store

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.conninfo) as connection:
            cursor = connection.execute(
                text.replace("?", "%s").encode(), values
            )
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for store in self.stores:
            store.close()


class AsyncPostgresWorld(PostgresWorld):
    """The same, awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()

    def open(self, clock: TestClock | None = None) -> Any:
        from autopay_core.adapters.postgres import AsyncPostgresPostingStore
        from records import Awaited

        store = Awaited(
            AsyncPostgresPostingStore(
                self.conninfo, clock=clock or TestClock()
            ),
            self.runner,
        )
        self.stores.append(store)
        return store

    def close(self) -> None:
        super().close()
        self.runner.close()


POSTGRES = [
    pytest.param(PostgresWorld, marks=pytest.mark.postgres, id="postgres"),
    pytest.param(AsyncPostgresWorld, marks=pytest.mark.postgres, id="async"),
]


@pytest.fixture(params=[pytest.param(SqliteWorld, id="sqlite"), *POSTGRES])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = (
        SqliteWorld(tmp_path)
        if request.param is SqliteWorld
        else request.param()
    )
    yield made
    made.close()


@pytest.fixture(params=[pytest.param(SqliteWorld, id="sqlite"), POSTGRES[0]])
def blocking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = (
        SqliteWorld(tmp_path)
        if request.param is SqliteWorld
        else request.param()
    )
    yield made
    made.close()


def run_of(autopay: str, *, minor: int = 900, place: int = 0) -> Any:
    return intend(key_of(autopay, DATES[0]), INVOICES[place:], minor)


def pay(store: Any, autopay: str) -> Any:
    """Take a run from its intent to its postings."""
    record = run_of(autopay)
    assert isinstance(store.commit(Change(runs=(record,))), Committed)
    done = paid(record)
    change = Change(
        runs=(done,), postings=postings_of(done), notices=(notice(autopay),)
    )
    assert isinstance(store.commit(change), Committed)
    return done


# -- Restarts and time -------------------------------------------------------


def test_what_was_committed_is_there_after_a_restart(world: Any) -> None:
    record = pay(world.open(), "ap-1")

    standing = world.open().standing(record.key, METHOD.fingerprint)

    assert standing.run == standing.latest == record


def test_time_does_not_go_back_over_a_restart(world: Any) -> None:
    clock = TestClock()
    clock.advance(3_600)
    told = world.open(clock).standing(key_of("ap-1", DATES[0]), "").now
    assert told == START + timedelta(hours=1)

    standing = world.open(TestClock()).standing(key_of("ap-1", DATES[0]), "")

    assert standing.now == told
    assert standing.is_clock_suspect


def test_time_that_a_commit_saw_does_not_go_back(world: Any) -> None:
    clock = TestClock()
    clock.advance(60)
    world.open(clock).commit(Change(notices=(notice("a"),)))

    told = world.open(TestClock()).now()
    assert told == START + timedelta(minutes=1, microseconds=1)


def test_reading_the_time_writes_no_more_than_once_a_second(
    world: Any,
) -> None:
    clock = TestClock()
    store = world.open(clock)
    store.now()
    for _ in range(9):
        clock.advance(0.1)
        store.now()

    marks = world.sql("SELECT MAX(at) FROM autopay_chains")

    assert marks == [(microseconds(START),)]


# -- Stores of before ---------------------------------------------------------


def older(world: Any, *migrations: Any) -> Callable[..., None]:
    """Make the tables of the first edition; return how to fill them."""
    for each in migrations:
        for statement in each.statements:
            world.sql(statement)

    def fill(table: str, **columns: object) -> None:
        marks = ", ".join("?" * len(columns))
        world.sql(
            f"INSERT INTO autopay_{table} ({', '.join(columns)}) "  # noqa: S608 - constants
            f"VALUES ({marks})",
            *columns.values(),
        )

    return fill


def keep_as_before(fill: Callable[..., None], record: Any) -> None:
    """Write a run as the first edition did."""
    key = {
        "autopay": record.key.autopay,
        "nominal_on": record.key.nominal_on.isoformat(),
    }
    taken = record.taken
    fill(
        "runs",
        **key,
        version=record.version,
        state=record.state.value,
        charge_on=record.charge_on.isoformat(),
        next_try_at=None,
        taken_minor=None if taken is None else taken.amount_minor,
        taken_currency=None if taken is None else taken.currency,
        alone=None,
        data=dumps(record).replace(',"number":0', "", 1),
    )
    for number, amount in reservations(record).items():
        fill(
            "reservations",
            **key,
            invoice=number,
            client="C-1",
            currency="USD",
            minor=amount.amount_minor,
        )
    for each in record.attempts:
        fill(
            "attempts",
            method=each.method,
            **key,
            number=each.number,
            at=microseconds(each.began_at),
            minor=each.amount.amount_minor,
            currency="USD",
        )


@pytest.fixture
def old(blocking: Any) -> Callable[..., None]:
    """Return how to fill a store of before the migration."""
    if blocking.kind == "sqlite":
        from autopay_core.adapters.sqlite import migrations
    else:
        from autopay_core.adapters.postgres import migrations

        blocking.sql("DROP SCHEMA public CASCADE")
        blocking.sql("CREATE SCHEMA public")
    return older(blocking, *migrations()[:2])


def test_what_a_store_of_before_knew_is_known(
    blocking: Any, old: Callable[..., None]
) -> None:
    returned = Reversal(
        event="e-1", kind=ReversalKind.RETURN, amount=usd(100), on=DATES[0]
    )
    done = attrs.evolve(paid(run_of("ap-1")), reversals=(returned,))
    under_way = run_of("ap/2")
    declined = after(
        intend(key_of("ä-3", DATES[0]), INVOICES, 900),
        RunState.FAILED,
        Declined(key="k", code="51"),
    )
    for record in (done, under_way, declined):
        keep_as_before(old, record)

    store = blocking.open()

    standing = store.standing(under_way.key, METHOD.fingerprint)
    assert standing.run == under_way
    assert (len(standing.store), standing.epoch) == (32, 0)
    assert store.standing(done.key, "").latest == done
    assert store.open_amounts(["C-1"]).amounts == reservations(under_way)
    assert store.spent("ap-1", DATES[0], DATES[1], "USD") == usd(800)
    reference = done.payment_reference
    assert store.referenced(reference, "any") == (done,)
    # What was approved counts no longer.
    assert len(store.attempts(METHOD.fingerprint, START)) == 2
    twin = attrs.evolve(done, key=key_of("ap-9", DATES[0]), version=1)
    assert store.commit(
        Change(runs=(twin,), unique_references=True)
    ) == Conflict(reason=ConflictReason.REFERENCE)
    assert isinstance(
        store.commit(Change(runs=(after(under_way, RunState.REVIEW),))),
        Committed,
    )
    assert verify_history(store) == ()


def test_stop_orders_of_before_are_holds(
    blocking: Any, old: Callable[..., None]
) -> None:
    reason = 'O\'Hara "S\u00f8n" \\ \u6771 %s ?'
    for target, active, said in (
        ("autopay:method:x", 1, reason),
        ("method:f1", 1, ""),
        ("autopay:lifted", 0, ""),
    ):
        old("stops", target=target, active=active, said_by="Jo", reason=said)

    store = blocking.open()

    first, second = store.holds("", 10)
    assert (first.target, first.reason) == ("autopay:method:x", reason)
    assert (second.target, second.by) == ("method:f1", "Jo")
    assert second.since is None
    held = store.standing(key_of("method:x", DATES[0]), "f1").holds
    assert held == (first, second)


def test_a_posting_of_before_has_no_step(
    blocking: Any, old: Callable[..., None]
) -> None:
    [posting, *_] = postings_of(paid(run_of("ap-1")))
    applied = attrs.evolve(posting, status=PostingStatus.APPLIED)
    back = attrs.evolve(posting, id="p-2", amount=usd(-9), reverses=posting.id)
    for each in (applied, back):
        columns = dict(zip(POSTINGS.columns, posting_row(each), strict=False))
        for later in ("number", "posted_on", "ledger_number"):
            del columns[later]
        old("postings", **columns)

    store = blocking.open()

    found = store.open_amounts(["C-1"])
    assert (found.steps, found.amounts) == ((), {})
    # A reversal that the ledger does not show yet is waited for.
    assert found.reversals == {"INV-1": usd(9)}


def test_a_run_of_before_that_cannot_be_read_is_left_as_it_is(
    blocking: Any, old: Callable[..., None]
) -> None:
    for autopay in AUTOPAYS:
        keep_as_before(old, run_of(autopay))
    blocking.sql(
        "UPDATE autopay_runs SET data = '{' WHERE autopay = ?", AUTOPAYS[1]
    )
    clock = TestClock()
    clock.advance(61)

    store = blocking.open(clock)

    found = store.unfinished(None, 10)
    assert found[1] == Unreadable(
        key=f"{AUTOPAYS[1]}/{DATES[0]}", code="JsonFormat"
    )
    assert [type(each) for each in found] == [
        RunRecord,
        Unreadable,
        RunRecord,
    ]
    # Its attempt counts: that can only send less.
    assert len(store.attempts(METHOD.fingerprint, START)) == 3


def test_of_sixteen_that_open_a_store_first_one_names_it(
    blocking: Any,
) -> None:
    stores = [blocking.open() for _ in range(RACERS)]
    key = key_of("ap-1", DATES[0])

    names = race(lambda place: stores[place].standing(key, "").store)

    assert len({*names}) == 1


# -- What cannot be read -----------------------------------------------------


def test_a_notice_that_cannot_be_read_holds_up_none(world: Any) -> None:
    store = world.open()
    for key in "abcd":
        store.commit(Change(notices=(notice(key),)))
    world.sql(
        "UPDATE autopay_notices SET data = replace(data, 'payer', 'paid') "
        "WHERE key IN ('a', 'b')"
    )

    one, two, three = store.undelivered(1)

    assert [each.key for each in (one, two)] == ["a", "b"]
    assert {type(each) for each in (one, two)} == {Unreadable}
    assert three == notice("c")
    assert [each.key for each in store.undelivered(9)] == ["a", "b", "c", "d"]


# -- Trust -------------------------------------------------------------------


def test_a_clock_that_is_trusted_is_right_for_every_process(
    world: Any,
) -> None:
    ahead, right = TestClock(), TestClock()
    ahead.advance(86_400)
    key = key_of("ap-1", DATES[0])
    wrong, store = world.open(ahead), world.open(right)
    wrong.commit(Change(notices=(notice("a"),)))
    assert store.standing(key, "").is_clock_suspect

    answer = store.commit(Change(trusted_clock=True, by="jo"))

    assert answer.at == START
    standing = store.standing(key, "")
    assert (standing.now, standing.committed_at) == (START, START)
    assert not standing.is_clock_suspect
    assert world.open(right).now() == START
    # And what the other one told before is not written down again.
    ahead.advance(-86_400)
    assert wrong.now() == START
    assert store.now() == START


# -- Races -------------------------------------------------------------------


def race(action: Callable[[int], Any]) -> list[Any]:
    """Let sixteen threads do something at once."""
    barrier = threading.Barrier(RACERS)

    def start(place: int) -> Any:
        barrier.wait(30)
        return action(place)

    with ThreadPoolExecutor(RACERS) as threads:
        return list(threads.map(start, range(RACERS)))


def committed(answers: Sequence[Any]) -> int:
    return sum(isinstance(each, Committed) for each in answers)


def test_of_sixteen_writers_of_a_new_run_one_wins(blocking: Any) -> None:
    store = blocking.open()

    answers = race(lambda _: store.commit(Change(runs=(run_of("ap-1"),))))

    assert committed(answers) == 1
    assert answers.count(Conflict(reason=ConflictReason.VERSION)) == RACERS - 1


def test_of_sixteen_writers_of_a_next_step_one_wins(blocking: Any) -> None:
    store = blocking.open()
    record = run_of("ap-1")
    store.commit(Change(runs=(record,)))
    steps = [
        after(record, RunState.OPEN, reason=f"writer {place}")
        for place in range(RACERS)
    ]

    answers = race(lambda place: store.commit(Change(runs=(steps[place],))))

    assert committed(answers) == 1
    winner = next(
        step
        for step, answer in zip(steps, answers, strict=True)
        if isinstance(answer, Committed)
    )
    assert store.standing(record.key, "").run == winner


def test_of_sixteen_auto_pays_one_reserves_an_invoice(blocking: Any) -> None:
    store = blocking.open()
    invoice = INVOICES[0]

    def reserve(place: int) -> Any:
        # Under one client or the other: the number is what counts (PS-5).
        shown = invoice if place % 2 else SHARED
        record = intend(key_of(f"ap-{place}", DATES[0]), [shown], 900)
        return store.commit(
            Change(runs=(record,), expect_open={invoice.number: usd(0)})
        )

    answers = race(reserve)

    assert committed(answers) == 1
    assert all(
        each.open_amounts == {invoice.number: usd(900)}
        for each in answers
        if not isinstance(each, Committed)
    )


def test_of_sixteen_runs_of_an_auto_pay_one_is_in_doubt(
    blocking: Any,
) -> None:
    store = blocking.open()

    def doubt(place: int) -> Any:
        key = key_of("ap-1", DATES[0] + timedelta(days=place))
        return store.commit(
            Change(runs=(intend(key, INVOICES, 900),), only_doubtful=True)
        )

    answers = race(doubt)

    assert committed(answers) == 1
    assert answers.count(Conflict(reason=ConflictReason.DOUBT)) == RACERS - 1


def test_every_change_of_a_client_grows_its_version(blocking: Any) -> None:
    store = blocking.open()

    answers = race(
        lambda place: store.commit(
            Change(
                runs=(intend(key_of(f"a-{place}", DATES[0]), INVOICES, 900),)
            )
        )
    )

    assert committed(answers) == RACERS
    assert store.open_amounts(["C-1"]).versions == {"C-1": RACERS}
    assert store.open_amounts(["C-1"]).amounts["INV-1"] == usd(900 * RACERS)
    assert verify_history(store) == ()


def test_a_hold_and_a_send_never_both_win_in_the_wrong_order(
    blocking: Any,
) -> None:
    store = blocking.open()
    hold = Hold.on_autopay("ap-1", by="jo", reason="why")
    stopped = threading.Event()
    violations: list[Any] = []

    def act(place: int) -> None:
        if place == RACERS // 2:
            store.commit(Change(holds=(hold,)))
            stopped.set()
            return
        was_stopped = stopped.is_set()
        key = key_of("ap-1", DATES[0] + timedelta(days=place))
        answer = store.commit(
            Change(
                runs=(intend(key, INVOICES, 900),),
                unless_held=(hold.target,),
            )
        )
        if was_stopped and isinstance(answer, Committed):
            violations.append(key)

    race(act)

    assert violations == []


def test_of_sixteen_claimants_one_gets_the_run(blocking: Any) -> None:
    store = blocking.open()
    key = key_of("ap-1", DATES[0])

    assert sum(race(lambda _: store.claim(key, 60))) == 1


def test_a_claim_ends_with_its_seconds(world: Any) -> None:
    clock = TestClock()
    store, other = world.open(clock), world.open(clock)
    key = key_of("ap-1", DATES[0])
    assert store.claim(key, 60)
    clock.advance(59)
    assert not other.claim(key, 60)
    clock.advance(1)

    assert other.claim(key, 60)
    assert world.sql("SELECT COUNT(*) FROM autopay_claims") == [(1,)]


def test_postings_written_by_sixteen_at_once_are_written_once(
    blocking: Any,
) -> None:
    store = blocking.open()
    done = paid(run_of("ap-1"))
    postings = postings_of(done)

    answers = race(lambda _: store.commit(Change(postings=postings)))

    assert committed(answers) == RACERS
    assert len(store.postings(PostingFilter())) == len(postings)
    assert store.open_amounts(["C-1"]).versions == {"C-1": 1}


def test_a_notice_written_by_sixteen_at_once_is_new_once(
    blocking: Any,
) -> None:
    store = blocking.open()

    answers = race(lambda _: store.commit(Change(notices=(notice("a"),))))

    assert [each for each in answers if each.new_notices] == [
        Committed(new_notices=frozenset({"a"}))
    ]


class Snatched(list[Any]):
    """Looks as if something lay in it, and another thread was faster."""

    def __bool__(self) -> bool:
        return True


def test_an_idle_connection_that_another_thread_takes_is_not_missed(
    blocking: Any,
) -> None:
    store = blocking.open()
    keeper = store if blocking.kind == "sqlite" else store._source
    idle, keeper._idle = keeper._idle, Snatched()

    assert store.commit(Change(runs=(run_of("ap-1"),))) == Committed()

    idle.extend(keeper._idle)
    keeper._idle = idle


# -- Commits that break off --------------------------------------------------


def losing_the_answer(
    monkeypatch: pytest.MonkeyPatch, world: Any, *, when: str
) -> None:
    """Break off the next COMMIT, before or after it was carried out."""
    if world.kind == "sqlite":
        lose_on_sqlite(monkeypatch, when)
    else:
        lose_on_postgres(monkeypatch, when)


def test_a_commit_whose_answer_was_lost_is_found_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.open()
    store.now()
    losing_the_answer(monkeypatch, world, when="after")
    record = run_of("ap-1")

    answer = store.commit(Change(runs=(record,), notices=(notice("a"),)))

    assert answer == Committed(new_notices=frozenset({"a"}))
    assert store.standing(record.key, "").run == record


def test_a_commit_that_broke_off_is_never_taken_for_one(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.open()
    store.now()
    losing_the_answer(monkeypatch, world, when="before")
    record = run_of("ap-1")
    # PostgreSQL proves that nothing stands; SQLite may find it after a crash.
    expected = (
        CommitUnknownError if world.kind == "sqlite" else PortUnavailableError
    )

    with pytest.raises(expected):
        store.commit(Change(runs=(record,)))

    assert store.standing(record.key, "").run is None
    assert store.commit(Change(runs=(record,))) == Committed()


def test_a_lost_race_is_run_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the locks, the versions in the rows still refuse."""
    store, other = world.open(), world.open()
    record = run_of("ap-1")
    store.commit(Change(runs=(record,)))
    genuine = SqlCommits._writes
    stolen = after(record, RunState.REVIEW, reason="first")

    def write(*args: Any) -> Any:
        writes, guards = genuine(*args)
        monkeypatch.setattr(SqlCommits, "_writes", genuine)
        # Somebody without our locks wins in between.
        changed = [
            each._replace(values=(*each.values[:-1], 77))
            if isinstance(each, Ask) and "UPDATE autopay_runs" in each.sql
            else each
            for each in writes
        ]
        return changed, guards

    monkeypatch.setattr(SqlCommits, "_writes", write)

    assert store.commit(Change(runs=(stolen,))) == Committed()
    assert other.standing(record.key, "").run == stolen


def test_a_failed_commit_leaves_nothing(world: Any) -> None:
    store = world.open()
    done = pay(store, "ap-1")
    before = contents(world)
    posting = attrs.evolve(
        postings_of(done)[0], payment_reference="something else"
    )
    record = run_of("ap/2")

    with pytest.raises(PostingConflictError):
        store.commit(
            Change(
                runs=(record,),
                postings=(posting,),
                notices=(notice("new"),),
                holds=(Hold.on_autopay("x", by="jo", reason="why"),),
            )
        )

    after_it = contents(world)
    assert after_it == before


def contents(world: Any) -> list[Any]:
    return [
        world.sql(f"SELECT * FROM {table}")  # noqa: S608 - constants
        for table in TABLES
    ]


TABLES = [
    "autopay_runs",
    "autopay_reservations",
    "autopay_attempts",
    "autopay_postings",
    "autopay_clients",
    "autopay_notices",
    "autopay_holds",
    "autopay_steps",
    "autopay_expected",
    "autopay_distinct",
    "autopay_told",
    "autopay_incidents",
    "autopay_movements",
    "autopay_keys",
    "autopay_store",
    "autopay_chains",
    "autopay_history",
]


def test_a_change_of_nothing_leaves_no_entry(world: Any) -> None:
    store = world.open()
    store.commit(Change(notices=(notice("a"),)))
    entries = world.sql("SELECT COUNT(*) FROM autopay_history")

    assert store.commit(Change()) == Committed()
    assert store.commit(Change(notices=(notice("a"),))) == Committed()

    assert world.sql("SELECT COUNT(*) FROM autopay_history") == entries


def test_a_closed_store_says_so(blocking: Any) -> None:
    if blocking.kind == "postgres":
        pytest.skip("a connection string opens again")
    store = blocking.open()
    store.close()

    with pytest.raises(PortUnavailableError):
        store.now()


# -- What goes in ------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE autopay_runs; --",
        '"',
        "%s",
        "%(x)s",
        "?",
        "{clock}",
        "IN ??",
        "é\u00df\U0001f600",
        "a/2026-01-31",
        "*",
    ],
)
def test_any_identifier_is_data(world: Any, text: str) -> None:
    store = world.open()
    invoices = [
        attrs.evolve(INVOICES[0], number=text, client=text, matter=text)
    ]
    record = attrs.evolve(
        intend(key_of(text, DATES[0]), invoices, 900), payer=text
    )
    done = paid(record)

    store.commit(Change(runs=(record,), by=text, reason=text))
    store.commit(Change(runs=(done,), postings=postings_of(done)))

    assert store.standing(record.key, text).run == done
    assert store.open_amounts([text]).amounts == {text: usd(900)}
    assert store.postings(PostingFilter(invoice=text)) == postings_of(done)
    assert store.postings(PostingFilter(run=str(record.key))) == (
        postings_of(done)
    )
    assert verify_history(store) == ()


def test_text_that_no_database_holds_is_refused_or_not_found(
    world: Any,
) -> None:
    store = world.open()

    with pytest.raises(InvalidValueError):
        store.postings(PostingFilter(invoice="a\ud800"))


def test_any_reason_may_stand_in_the_history(world: Any) -> None:
    store = world.open()

    store.commit(Change(notices=(notice("a"),), by="a\x00b", reason="\ud800"))

    assert verify_history(store) == ()
    (entry,) = entries_of(store)
    assert entry.facts["by"] == "a\x00b"


def test_one_invoice_in_two_currencies_is_never_added_up(world: Any) -> None:
    store = world.open()
    store.commit(Change(runs=(run_of("ap-1"),)))
    yen = attrs.evolve(INVOICES[0], balance=Money.of("9", "JPY"))
    done = pay_yen(yen)
    store.commit(Change(postings=postings_of(done)))

    with pytest.raises(CurrencyMismatchError):
        store.open_amounts(["C-1"])


def pay_yen(invoice: Any) -> Any:
    from autopay_core.allocation import allocate
    from autopay_core.limits import Limit
    from autopay_core.runs import Intent

    record = run_of("ap/2")
    assert record.intent is not None
    allocation = allocate([invoice], Limit.all("JPY"))
    request = attrs.evolve(record.intent.request, amount=allocation.total)
    attempt = attrs.evolve(
        record.attempts[0],
        amount=allocation.total,
        request_hash=request.request_hash,
    )
    return paid(
        attrs.evolve(
            record,
            intent=Intent(allocation=allocation, request=request),
            attempts=(attempt,),
        )
    )


@pytest.mark.parametrize("count", [0, 1, 3, 63, 64, 65, 300])
def test_lists_of_any_length_are_looked_up(world: Any, count: int) -> None:
    store = world.open()
    clients = [f"C-{number}" for number in range(count)]
    store.commit(Change(runs=(run_of("ap-1"),)))

    found = store.open_amounts(clients)

    assert set(found.versions) == set(clients)
    assert ("INV-1" in found.amounts) == (count > 1)


# -- History -----------------------------------------------------------------


def entries_of(store: Any) -> list[Any]:
    """Return what commits said, without what stood when it was made."""
    return [
        entry
        for chain in range(CHAINS)
        for entry in store.history(chain)
        if "checkpoint" not in entry.facts
    ]


def busy_chain(store: Any) -> int:
    """Return a chain with at least four entries."""
    for _ in range(2):
        for autopay in AUTOPAYS:
            hold = Hold.on_autopay(autopay, by="jo", reason="why")
            for _ in range(3):
                store.commit(Change(holds=(hold,)))
    heads: list[HistoryHead] = list(store.history_heads())
    return max(heads, key=lambda head: head.seq).chain


def test_entries_tell_what_happened_without_a_token(world: Any) -> None:
    store = world.open()
    pay(store, "ap-1")
    store.commit(Change(delivered=("ap-1",), by="the notifier"))

    entries = entries_of(store)

    assert len(entries) == 3
    told = json.dumps([entry.facts for entry in entries])
    assert '"state": "open"' in told
    assert '"state": "paid"' in told
    assert "the notifier" in told
    for secret in (METHOD.token, METHOD.token[-4:], "Acme", "in part"):
        assert secret not in told


def test_tokens_stand_in_the_run_and_nowhere_else(world: Any) -> None:
    pay(world.open(), "ap-1")

    for table in TABLES:
        rows = json.dumps(contents(world)[TABLES.index(table)])
        assert (METHOD.token in rows) == (table == "autopay_runs"), table


@pytest.mark.parametrize(
    ("tampering", "reason"),
    [
        ("UPDATE autopay_history SET body = '{}' WHERE {there}", "changed"),
        ("UPDATE autopay_history SET at = at + 1 WHERE {there}", "changed"),
        (
            "UPDATE autopay_history SET transition = 'x' WHERE {there}",
            "changed",
        ),
        ("UPDATE autopay_history SET hash = 'x' WHERE {there}", "changed"),
        ("DELETE FROM autopay_history WHERE {there}", "missing"),
        (
            "DELETE FROM autopay_history WHERE chain = {chain} AND seq >= 2",
            "missing",
        ),
        (
            "UPDATE autopay_chains SET hash = 'x' WHERE chain = {chain}",
            "head",
        ),
        ("UPDATE autopay_history SET seq = 99 WHERE {there}", "missing"),
    ],
)
def test_a_history_that_was_tampered_with_is_found(
    world: Any, tampering: str, reason: str
) -> None:
    store = world.open()
    chain = busy_chain(store)
    assert verify_history(store) == ()
    there = f"chain = {chain} AND seq = 2"

    world.sql(
        tampering.replace("{there}", there).replace("{chain}", str(chain))
    )

    (fault,) = verify_history(store)
    assert (fault.chain, fault.reason) == (chain, reason)


def test_entries_that_changed_places_are_found(world: Any) -> None:
    store = world.open()
    chain = busy_chain(store)
    for seq, to in ((2, 99), (3, 2), (99, 3)):
        world.sql(
            "UPDATE autopay_history SET seq = ? WHERE chain = ? AND seq = ?",
            to,
            chain,
            seq,
        )

    (fault,) = verify_history(store)

    assert (fault.chain, fault.seq, fault.reason) == (chain, 2, "changed")


def test_a_history_cut_off_with_its_head_is_found_by_an_anchor(
    world: Any,
) -> None:
    store = world.open()
    chain = busy_chain(store)
    anchors = list(store.history_heads())
    seq = next(each.seq for each in anchors if each.chain == chain)
    before = store.history(chain, seq - 3, 1)[0]
    world.sql(
        "DELETE FROM autopay_history WHERE chain = ? AND seq > ?",
        chain,
        before.seq,
    )
    world.sql(
        "UPDATE autopay_chains SET seq = ?, hash = ? WHERE chain = ?",
        before.seq,
        before.hash,
        chain,
    )

    # What it said of rows is missed, unless they were put back as well.
    assert {each.reason for each in verify_history(store)} == {"row"}
    (fault,) = verify_history(store, anchors=anchors)
    assert (fault.chain, fault.seq, fault.reason) == (chain, seq, "anchor")


def test_a_history_written_anew_is_found_by_an_anchor(world: Any) -> None:
    store = world.open()
    chain = busy_chain(store)
    anchor = HistoryHead(chain=chain, seq=2, hash="0" * 64)

    faults = verify_history(store, anchors=[anchor])

    assert [(each.seq, each.reason) for each in faults] == [(2, "anchor")]


def test_an_anchor_stays_good_while_the_history_grows(world: Any) -> None:
    store = world.open()
    busy_chain(store)
    anchors = store.history_heads()
    busy_chain(store)

    assert verify_history(store, anchors=anchors) == ()


# -- Rows (T2) ---------------------------------------------------------------

UNPROVEN = {
    # For efficiency only, over in a minute.
    "autopay_claims": {"autopay", "nominal_on", "number", "until_at"},
    # Which migrations were made; a store refuses what it does not know.
    "autopay_schema": {"number", "name"},
    # The order in which rows came is the database's.
    "autopay_notices": {"place"},
    "autopay_steps": {"place"},
    # Reads write down how late it is.
    "autopay_chains": {"at"},
}
"""Columns that the history does not prove, and why."""


def columns_of(world: Any) -> list[tuple[str, str, bool]]:
    """Return every column of every table, and whether it is a number."""
    if world.kind == "sqlite":
        found = world.sql(
            "SELECT m.name, c.name, c.type = 'INTEGER' FROM sqlite_master "
            "AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' "
            "AND m.name LIKE 'autopay%' ORDER BY m.name, c.cid"
        )
    else:
        found = world.sql(
            "SELECT table_name, column_name, data_type = 'bigint' "
            "FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY table_name, column_name"
        )
    return [(table, name, bool(number)) for table, name, number in found]


def fill_every_table(store: Any) -> None:
    """Leave at least one row in every table."""
    use_everything(store)
    store.commit(Change(runs=(run_of("ä-3"),)))
    [moving, *_] = store.postings(
        PostingFilter(statuses=frozenset({PostingStatus.PENDING}))
    )
    for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
        moved = move_posting(moving, status)
        move = PostingMove(before=moving, after=moved)
        assert isinstance(store.commit(Change(moves=(move,))), Committed)
        moving = moved


def is_found(
    world: Any, store: Any, table: str, column: str, *, is_number: bool
) -> bool:
    """
    Change one value of one row by hand, and back; tell whether it is found.

    What the database itself refuses needs no finding.
    """
    keys = {**KEYS, "autopay_history": ("chain", "seq")}[table]
    [(old, *key), *_] = world.sql(
        f"SELECT {column}, {', '.join(keys)} FROM {table} "  # noqa: S608 - constants
        f"ORDER BY {column} IS NULL LIMIT 1"
    )
    new: object = f"{old}x"
    if is_number:
        new = 7 if old is None else old + 1_000
    change = (
        f"UPDATE {table} SET {column} = ? WHERE "  # noqa: S608 - constants
        + " AND ".join(f"{each} = ?" for each in keys)
    )
    try:
        world.sql(change, new, *key)
    except world.refusals:
        return True
    faults = verify_history(store)
    there = [
        new if name == column else value
        for name, value in zip(keys, key, strict=True)
    ]
    world.sql(change, old, *there)
    return bool(faults)


def test_t2_every_column_of_every_table_is_proven(blocking: Any) -> None:
    store = blocking.open()
    fill_every_table(store)
    assert verify_history(store) == ()

    missed = [
        (table, column)
        for table, column, is_number in columns_of(blocking)
        if column not in UNPROVEN.get(table, ())
        and not is_found(blocking, store, table, column, is_number=is_number)
    ]

    assert missed == []
    assert verify_history(store) == ()
    assert set(KEYS) | {
        "autopay_claims",
        "autopay_schema",
        "autopay_history",
    } == {table for table, _, _ in columns_of(blocking)}


def under_way(autopay: str) -> Any:
    """Return a run whose request says whose it is, as all do today."""
    record = run_of(autopay)
    request = attrs.evolve(record.intent.request, run=record.key)
    last = attrs.evolve(record.attempts[-1], request_hash=request.request_hash)
    return attrs.evolve(
        record,
        intent=attrs.evolve(record.intent, request=request),
        attempts=(*record.attempts[:-1], last),
        next_try_at=None,
    )


def test_t3_a_token_stands_beside_a_run_while_it_is_under_way(
    blocking: Any,
) -> None:
    store = blocking.open()
    record = under_way("ap-1")
    store.commit(Change(runs=(record,)))

    [(data, token)] = blocking.sql("SELECT data, token FROM autopay_runs")
    assert METHOD.token not in data
    assert METHOD.fingerprint in data
    assert token == METHOD.token
    assert blocking.open().standing(record.key, "").run == record

    store.commit(Change(runs=(paid(record),)))

    assert blocking.sql("SELECT token FROM autopay_runs") == [(None,)]
    assert blocking.open().standing(record.key, "").run == paid(record)
    everything = [
        str(row)
        for table in KEYS
        for row in blocking.sql(f"SELECT * FROM {table}")  # noqa: S608 - constants
    ]
    assert METHOD.token not in "".join(everything)
    assert verify_history(store) == ()


@pytest.mark.parametrize("token", [None, "tok_somebody_else"])
def test_t3_a_token_that_is_not_the_runs_is_never_charged(
    blocking: Any, token: str | None
) -> None:
    store = blocking.open()
    record = under_way("ap-1")
    store.commit(Change(runs=(record,)))
    blocking.sql("UPDATE autopay_runs SET token = ?", token)

    [found] = store.unfinished(None, 10)
    [fault] = verify_history(store)

    assert found == Unreadable(key=str(record.key), code="TokenMismatch")
    assert fault.row.startswith("autopay_runs")
    with pytest.raises(PortError):
        store.standing(record.key, "")
    blocking.sql("UPDATE autopay_runs SET token = ?", METHOD.token)
    assert verify_history(store) == ()


def test_t3_a_run_that_was_taken_back_to_waiting_is_read(
    blocking: Any,
) -> None:
    """Its end cleared the token, and nothing is sent with its old intent."""
    store = blocking.open()
    record = under_way("ap-1")
    store.commit(Change(runs=(record,)))
    store.commit(Change(runs=(after(record, RunState.FAILED),)))
    failed = store.standing(record.key, "").run
    waiting = after(failed, RunState.WAITING)
    store.commit(Change(runs=(waiting,)))

    assert blocking.open().standing(record.key, "").run == waiting
    assert verify_history(store) == ()


def test_t3_a_token_beside_a_finished_run_is_found(blocking: Any) -> None:
    store = blocking.open()
    record = under_way("ap-1")
    store.commit(Change(runs=(record,)))
    store.commit(Change(runs=(paid(record),)))
    blocking.sql("UPDATE autopay_runs SET token = ?", METHOD.token)

    [fault] = verify_history(store)

    assert fault.row.startswith("autopay_runs")


def test_t2_a_row_that_is_gone_is_missed(blocking: Any) -> None:
    store = blocking.open()
    fill_every_table(store)

    for table in KEYS:
        if table == "autopay_chains":
            continue  # Its own test.
        before = len(verify_history(store))
        key, *_ = KEYS[table]
        [(value,), *_] = blocking.sql(
            f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1"  # noqa: S608 - constants
        )
        blocking.sql(f"DELETE FROM {table} WHERE {key} = ?", value)  # noqa: S608 - constants

        faults = verify_history(store)

        assert len(faults) > before, table
        assert any(each.row.startswith(table) for each in faults), table


def test_t2_what_differs_is_named(world: Any) -> None:
    store = world.open()
    done = pay(store, "ap-1")
    posting, *_ = postings_of(done)
    world.sql(
        "UPDATE autopay_postings SET status = 'applied', is_open = 0 "
        "WHERE id = ?",
        str(posting.id),
    )

    (fault,) = verify_history(store)

    assert (fault.reason, fault.row) == (
        "row",
        f"autopay_postings {posting.id}",
    )
    [entry] = store.history(fault.chain, fault.seq - 1, 1)
    assert posting.id in json.dumps(entry.facts)


def test_t2_a_row_that_no_entry_tells_of_is_found(world: Any) -> None:
    store = world.open()
    pay(store, "ap-1")
    world.sql("INSERT INTO autopay_clients VALUES ('C-9', 3)")
    world.sql("INSERT INTO autopay_told VALUES ('ap-1', 't', 's', 'k')")

    assert {(each.reason, each.row) for each in verify_history(store)} == {
        ("unproven", "autopay_clients C-9"),
        ("unproven", "autopay_told ap-1 t"),
    }


def test_t2_a_column_that_nobody_proves_is_found(blocking: Any) -> None:
    store = blocking.open()
    pay(store, "ap-1")
    kind = "INTEGER" if blocking.kind == "sqlite" else "bigint"
    blocking.sql(
        f"ALTER TABLE autopay_postings ADD COLUMN later {kind} DEFAULT 0"
    )

    faults = verify_history(store)
    blocking.sql("ALTER TABLE autopay_postings DROP COLUMN later")

    assert faults != ()
    assert verify_history(store) == ()


def test_a_store_that_does_not_know_itself_says_so(blocking: Any) -> None:
    blocking.open()
    blocking.sql("DELETE FROM autopay_store")

    with pytest.raises(PortError) as caught:
        blocking.open().standing(key_of("ap-1", DATES[0]), "")

    assert caught.value.code == "StoreCorrupt"


def test_t2_what_stood_before_is_proven_from_the_migration_on(
    blocking: Any, old: Callable[..., None]
) -> None:
    for autopay in AUTOPAYS:
        keep_as_before(old, run_of(autopay))
    old("clients", client="C-1", version=3)
    old("notices", key="n-1", is_delivered=1, data=dumps(notice("n-1")))
    old("stops", target="method:f", active=1, said_by="Jo", reason="")

    store = blocking.open()
    assert verify_history(store) == ()
    store.commit(Change(runs=(after(run_of("ap-1"), RunState.WAITING),)))
    assert verify_history(store) == ()

    for change in (
        "UPDATE autopay_holds SET active = 0",
        "UPDATE autopay_runs SET state = 'paid' WHERE autopay = 'ap/2'",
        "UPDATE autopay_notices SET is_delivered = 0",
        "UPDATE autopay_clients SET version = 3",
    ):
        before = len(verify_history(store))
        blocking.sql(change)
        assert len(verify_history(store)) > before, change


def test_t2_commits_that_go_on_meanwhile_are_no_fault(blocking: Any) -> None:
    store = blocking.open()
    is_over = threading.Event()

    def work() -> None:
        try:
            for number in range(40):
                pay(store, f"ap-{number}")
        finally:
            is_over.set()

    worker = threading.Thread(target=work)
    worker.start()
    seen = []
    while not is_over.is_set():
        seen.append(verify_history(store))
    worker.join()

    assert {*seen} <= {()}
    assert verify_history(store) == ()


# -- Cost --------------------------------------------------------------------


class Eavesdropper:
    """Collects every statement that the steps yield."""

    def __init__(self) -> None:
        self.asks: dict[str, Ask] = {}

    def hear(self, batch: Any) -> None:
        for each in batch:
            if isinstance(each, Ask):
                self.asks.setdefault(each.sql, each)

    def wrap(self, drive: Any) -> Any:
        def run(connection: Any, batch: Any) -> Any:
            self.hear(batch)
            return drive(connection, batch)

        return run


def every_fact() -> Change:
    """Return a change of what is neither run, posting nor notice."""
    return Change(
        holds=(Hold.on_client("C-1", by="jo", reason="why"),),
        expected=(
            Expected(
                invoice="INV-1",
                client="C-1",
                matter="M-C-1",
                issued_on=DATES[0],
                figure=usd(9),
                balance=usd(9),
                counted_at=START,
                fitted_at=START,
            ),
        ),
        distinct=(Distinct(first="7", second="07", by="jo", reason="so"),),
        told=(Told(autopay="ap-1", topic="ending", said="soon", key="k"),),
        incidents=(Incident(cause="Away", on=DATES[0], began_at=START),),
        movements=(
            MovementRecord(
                movement=Movement(
                    id="ev-1",
                    kind=MovementKind.SETTLED,
                    amount=usd(9),
                    on=DATES[0],
                    key="key-1",
                ),
                state=MovementState.WAITING,
            ),
        ),
        restored=Restored(since=START, stores=("lost",), by="jo"),
    )


def send_a_batch(store: Any) -> None:
    """Make a batch of new postings, and let the ledger answer it."""
    record = run_of("ap-9")
    lines = tuple(
        attrs.evolve(each, id=f"{each.id}-9", status=PostingStatus.QUEUED)
        for each in postings_of(paid(record))
    )
    made = Batch(id="b-1", made_at=START, by="jo", postings=lines)
    sent = export(made, at=START, by="jo")
    given = BatchAnswer(
        batch="b-1",
        lines=tuple(
            LineAccepted(posting=each.id, number="L-1", posted_on=DATES[0])
            for each in lines
        ),
        booked=made.control,
    )
    moves = tuple(
        PostingMove(
            before=each,
            after=move_posting(
                each,
                PostingStatus.POSTED,
                posted_on=DATES[0],
                ledger_number="L-1",
            ),
        )
        for each in lines
    )
    for change in (
        Change(postings=lines),
        Change(batches=(made,)),
        Change(batches=(sent,)),
        Change(batches=(answer(sent, given, at=START, by="jo"),), moves=moves),
    ):
        assert isinstance(store.commit(change), Committed)


def use_everything(store: Any) -> None:
    done = pay(store, "ap-1")
    record = run_of("ap/2")
    store.commit(
        Change(
            runs=(record,),
            expect_versions={"C-1": 9},
            expect_open={"INV-1": usd(1)},
            only_doubtful=True,
            unless_held=("autopay:ap/2",),
            expect_holds=0,
            unique_references=True,
            attempts=AttemptsAllowed(
                method=METHOD.fingerprint, windows=((START, 9),)
            ),
            ceilings=(
                Ceiling(most=usd(9), since=START),
                Ceiling(most=usd(9), since=START, payer="p-1"),
            ),
        )
    )
    store.commit(Change(runs=(record,)))
    store.commit(Change(runs=(after(record, RunState.WAITING),)))
    store.commit(Change(delivered=("a",)))
    store.commit(every_fact())
    send_a_batch(store)
    store.commit(Change(trusted_clock=True))
    store.standing(done.key, METHOD.fingerprint)
    store.open_amounts(["C-1", "C-2"])
    store.spent("ap-1", DATES[0], DATES[2], "USD")
    store.attempts(METHOD.fingerprint, START)
    store.unfinished(None, 10)
    store.unfinished(done.key, 10)
    store.under_way(None, 10)
    store.under_way(done.key, 10)
    store.waiting(done.key, 10)
    store.referenced("r", "")
    store.keyed("k")
    store.movement("ev-1")
    store.movements(MovementState.WAITING, "", 10)
    store.holds("", 10)
    store.claim(done.key, 10)
    store.undelivered(10)
    list(store.runs())
    list(store.notices())
    for wanted in (
        PostingFilter(run=str(done.key)),
        PostingFilter(invoice="INV-1"),
        PostingFilter(payer="p-1"),
        PostingFilter(client="C-1"),
        PostingFilter(payment_reference="pay-1"),
        PostingFilter(charged_from=DATES[0], charged_before=DATES[1]),
        PostingFilter(after="p-1"),
        PostingFilter(
            statuses=frozenset({postings_of(done)[0].status}), after="p-1"
        ),
        PostingFilter(matter="M-C-1"),
        PostingFilter(batch="b-1"),
        PostingFilter(least=usd(1)),
        PostingFilter(greatest=usd(900)),
        PostingFilter(sort=PostingSort.MADE),
        PostingFilter(sort=PostingSort.MADE, after="p-1"),
        PostingFilter(sort=PostingSort.CHARGED, descending=True, after="p-1"),
        PostingFilter(descending=True, after="p-1"),
        *(
            PostingFilter(sort=sort, descending=way, after=last)
            for sort in PostingSort
            for way in (False, True)
            for last in (None, "p-1")
        ),
    ):
        store.postings(wanted)
    store.posting_totals(PostingFilter(statuses=OPEN_STATUSES))
    store.posting_totals(PostingFilter(client="C-1"))
    store.batch("b-1")
    for few in (
        BatchFilter(),
        BatchFilter(states=frozenset({BatchState.OPEN}), after="a"),
        BatchFilter(states=frozenset(BatchState)),
        BatchFilter(posting="p-1"),
    ):
        store.batches(few)
    store.history(0)


# One for each chain, one in all, and what people have typed one by one.
FEW_ROWS = ("autopay_chains", "autopay_store", "autopay_distinct")


def test_no_statement_reads_a_whole_table_on_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autopay_core.adapters import sqlite

    ears = Eavesdropper()
    monkeypatch.setattr(sqlite, "_execute", ears.wrap(sqlite._execute))
    with SqlitePostingStore(tmp_path / "plans.db") as store:
        use_everything(store)
    connection = sqlite3.connect(tmp_path / "plans.db")

    plans = {
        sql: [
            step
            for *_, step in connection.execute(
                f"EXPLAIN QUERY PLAN {sqlite._statement(ask)[0]}",
                sqlite._statement(ask)[1],
            )
        ]
        for sql, ask in ears.asks.items()
    }
    connection.close()

    assert len(plans) > 25
    for sql, steps in plans.items():
        scans = [
            step
            for step in steps
            if step.startswith("SCAN")
            and not any(table in step for table in FEW_ROWS)
            # By an index, in its order, up to a limit.
            and not ("USING" in step and "LIMIT" in sql)
            # A clustered table, in the order of its key, page by page.
            and not ("WHERE" not in sql and "LIMIT 500" in sql)
            # Only what is under way is in it.
            and "INDEX autopay_incidents_going_on" not in step
            and step.split()[1].startswith("autopay")
        ]
        assert scans == [], (sql, steps)
        sorts = [step for step in steps if "B-TREE FOR ORDER BY" in step]
        assert sorts == [] or "ORDER BY id" in sql or "BY at" in sql, sql


@pytest.mark.postgres
def test_no_statement_reads_a_whole_table_on_postgres(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import psycopg

    from autopay_core.adapters import postgres
    from autopay_core.adapters.sql.postgres_sources import execute
    from autopay_core.adapters.sql.postgres_words import statement

    world = PostgresWorld()
    ears = Eavesdropper()
    monkeypatch.setattr(postgres, "execute", ears.wrap(execute))
    with world.open() as store:
        use_everything(store)

    checked = 0
    with psycopg.connect(world.conninfo) as connection:
        # Few rows are read faster whole; with many the indexes are there.
        connection.execute("SET enable_seqscan = off")
        for sql, ask in ears.asks.items():
            if not sql.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                continue
            if "autopay_schema" in sql:
                continue
            text, values = statement(ask)
            plan = "\n".join(
                line
                for (line,) in connection.execute(b"EXPLAIN " + text, values)
            )
            checked += 1
            for line in plan.splitlines():
                if "Seq Scan on" in line:
                    assert any(each in line for each in FEW_ROWS), plan
    assert checked > 20
