"""What is particular to the posting store on SQLite."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from autopay_core.adapters import sqlite
from autopay_core.adapters.sql.schema import (
    MIGRATIONS,
    SQLITE_WORDS,
    migrations_for,
)
from autopay_core.adapters.sqlite import SqlitePostingStore, migrations
from autopay_core.commits import Change, Committed, PostingFilter
from autopay_core.errors import (
    CommitUnknownError,
    InvalidValueError,
    PortUnavailableError,
    UnsafeStoreError,
)
from autopay_core.history import verify_history
from autopay_core.ports import PostingStore
from autopay_core.runs import postings_of
from autopay_core.testing.contracts._base import Clock
from lost_answers import lose_on_sqlite
from records import (
    DATES,
    INVOICES,
    intend,
    key_of,
    notice,
    paid,
)
from store_machine import SqlStoreMachine

if TYPE_CHECKING:
    from collections.abc import Iterator


class SqliteModel(SqlStoreMachine):
    def open_store(self, clock: Clock) -> PostingStore:
        return SqlitePostingStore(":memory:", in_memory=True, clock=clock)


class SqliteFileModel(SqlStoreMachine):
    def open_store(self, clock: Clock) -> PostingStore:
        self.folder = tempfile.TemporaryDirectory(
            prefix=f"autopay-{os.getpid()}-"
        )
        return self.opened()

    def opened(self) -> PostingStore:
        path = Path(self.folder.name) / "postings.db"
        return SqlitePostingStore(path, clock=self.clock)

    def open_again(self) -> PostingStore:
        assert isinstance(self.store, SqlitePostingStore)
        self.store.close()
        return self.opened()

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestSqliteModel = SqliteModel.TestCase
TestSqliteModel.settings = settings(max_examples=60, stateful_step_count=30)
TestSqliteFileModel = SqliteFileModel.TestCase
TestSqliteFileModel.settings = settings(max_examples=8, stateful_step_count=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "postings.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlitePostingStore]:
    with SqlitePostingStore(path) as opened:
        yield opened


def reserve(store: SqlitePostingStore, autopay: str) -> Any:
    record = intend(key_of(autopay, DATES[0]), INVOICES, 900)
    return store.commit(Change(runs=(record,)))


# -- Where it may be ---------------------------------------------------------


@pytest.mark.parametrize("where", [":memory:", "", "file::memory:", "file:x"])
def test_a_database_in_memory_must_be_asked_for(where: str) -> None:
    with pytest.raises(UnsafeStoreError) as caught:
        SqlitePostingStore(where)

    assert "in_memory=True" in str(caught.value)


def test_a_file_cannot_be_in_memory(path: Path) -> None:
    with pytest.raises(InvalidValueError, match="StorePath"):
        SqlitePostingStore(path, in_memory=True)


def test_a_journal_that_is_no_write_ahead_log_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlitePostingStore, "_start_log", lambda *_: "delete")

    with pytest.raises(UnsafeStoreError, match="local disk"):
        SqlitePostingStore(path)


def test_an_old_sqlite_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))

    with pytest.raises(UnsafeStoreError, match=r"3\.37"):
        SqlitePostingStore(path)


def test_every_connection_writes_synchronously(
    store: SqlitePostingStore,
) -> None:
    taken: list[list[sqlite3.Connection]] = [[], [], []]
    for held in taken:
        store._take(held)

    for held in taken:
        assert held[0].execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert held[0].execute("PRAGMA synchronous").fetchone() == (2,)
        store._give(held)


def test_tables_are_strict(path: Path, store: SqlitePostingStore) -> None:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name, strict FROM pragma_table_list "
            "WHERE name LIKE 'autopay%'"
        ).fetchall()
        assert len(tables) == 21
        assert all(strict for _, strict in tables)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(
                "INSERT INTO autopay_clients VALUES ('a', 'abc')"
            )


def test_what_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailableError, match="SQLITE_CANTOPEN"):
        SqlitePostingStore(tmp_path / "nowhere" / "x.db")


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.write_bytes(b"no database" * 100)

    with pytest.raises(PortUnavailableError) as caught:
        SqlitePostingStore(path, busy_seconds=0.1)

    assert caught.value.code == "StoreCorrupt"


# -- Migrations --------------------------------------------------------------


def test_migrations_are_numbered_statements_for_other_tools(
    path: Path,
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for each in migrations():
            connection.executescript(each.sql)

    with SqlitePostingStore(path, migrate=False) as store:
        assert reserve(store, "ap-1") == Committed()
    assert [each.number for each in migrations()] == [1, 2, 3, 4, 5]


def test_an_older_schema_is_brought_up_to_date_with_its_data(
    path: Path,
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for each in migrations()[:2]:
            connection.executescript(each.sql)
        connection.execute("INSERT INTO autopay_clients VALUES ('C-1', 7)")

    with pytest.raises(UnsafeStoreError) as caught:
        SqlitePostingStore(path, migrate=False)
    assert caught.value.code == "SchemaOlder"

    with SqlitePostingStore(path) as store:
        assert store.open_amounts(["C-1"]).versions == {"C-1": 7}
        assert verify_history(store) == ()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(
            "SELECT number, name FROM autopay_schema ORDER BY number"
        ).fetchall() == [
            (1, "tables"),
            (2, "indexes"),
            (3, "second edition"),
            (4, "sent"),
            (5, "batches"),
        ]


def test_a_newer_schema_is_left_alone(
    path: Path, store: SqlitePostingStore
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO autopay_schema VALUES (6, 'later')")

    with pytest.raises(UnsafeStoreError) as caught:
        SqlitePostingStore(path)

    assert caught.value.code == "SchemaNewer"


def test_a_schema_with_a_gap_is_refused(
    path: Path, store: SqlitePostingStore
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM autopay_schema WHERE number = 1")

    with pytest.raises(UnsafeStoreError) as caught:
        SqlitePostingStore(path)

    assert caught.value.code == "SchemaUnknown"


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migrations_for(
        SQLITE_WORDS, (*MIGRATIONS, ("broken", "CREATE NONSENSE;\n"))
    )
    monkeypatch.setattr(sqlite, "migrations", lambda: broken)

    with pytest.raises(PortUnavailableError):
        SqlitePostingStore(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(
            "SELECT COUNT(*) FROM sqlite_master"
        ).fetchone() == (0,)


# -- Several at once ---------------------------------------------------------

RACER = """
import os, random, sys
sys.path[:0] = {paths!r}
from records import DATES, INVOICES, intend, key_of
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.commits import Change, Committed

store = SqlitePostingStore({path!r})
print("ready", flush=True)
sys.stdin.readline()
won = 0
order = list(range({runs}))
random.Random(os.getpid()).shuffle(order)
for number in order:
    record = intend(key_of(f"ap-{{number}}", DATES[0]), INVOICES, 900)
    won += isinstance(store.commit(Change(runs=(record,))), Committed)
print(won, flush=True)
"""


@pytest.mark.processes
def test_of_six_processes_each_run_is_written_by_one(path: Path) -> None:
    runs = 40
    code = textwrap.dedent(RACER).format(
        paths=[str(Path(__file__).parent), *sys.path],
        path=str(path),
        runs=runs,
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    try:
        for each in racers:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in racers:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        answers = [each.communicate(timeout=120)[0] for each in racers]
    finally:
        for each in racers:
            each.kill()
            each.wait()

    won = [int(each) for each in answers]
    assert sum(won) == runs
    with SqlitePostingStore(path) as store:
        assert len(list(store.runs())) == runs
        # An attempt that lost left no trace; the first entry is the store's.
        assert sum(each.seq for each in store.history_heads()) == runs + 1
        assert verify_history(store) == ()


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_store_may_be_used_on_both_sides_of_a_fork(
    store: SqlitePostingStore,
) -> None:
    reserve(store, "ap-1")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if reserve(store, "ap-2") == Committed() else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert reserve(store, "ap-3") == Committed()

    assert len(list(store.runs())) == 3


def test_another_writer_that_does_not_end_makes_it_unavailable(
    path: Path,
) -> None:
    with (
        SqlitePostingStore(path, busy_seconds=0.1) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-1")
        assert caught.value.code == "StoreBusy"
        # Readers are not kept out.
        assert list(store.runs()) == []
        other.execute("ROLLBACK")

        assert reserve(store, "ap-1") == Committed()


def test_a_reader_sees_one_moment(store: SqlitePostingStore) -> None:
    """What a read returns never mixes two commits (PS-1)."""
    stop = threading.Event()
    torn: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            found = store.open_amounts(["C-1"])
            version = found.versions["C-1"]
            opened = found.amounts.get("INV-1")
            minor = 0 if opened is None else opened.amount_minor
            if minor != 900 * version:
                torn.append((version, minor))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for number in range(60):
        reserve(store, f"ap-{number}")
    stop.set()
    for each in readers:
        each.join(30)

    assert torn == []


# -- When it is full ---------------------------------------------------------


def test_a_full_disk_leaves_nothing_half_written(
    store: SqlitePostingStore,
) -> None:
    ((pages,),) = store._idle[0].execute("PRAGMA page_count").fetchall()
    store._idle[0].execute(f"PRAGMA max_page_count = {pages + 12}")

    written: list[int] = []

    def write_on() -> None:
        for number in range(1_000):
            key = key_of(f"ap-{number}", DATES[0])
            record = intend(key, INVOICES, 900)
            store.commit(
                Change(
                    runs=(record,),
                    postings=postings_of(paid(record)),
                    notices=(notice(f"n-{number}"),),
                )
            )
            written.append(number)

    with pytest.raises(PortUnavailableError) as caught:
        write_on()

    assert caught.value.code == "StoreFull"
    assert written
    assert len(list(store.runs())) == len(written)
    assert len(store.postings(PostingFilter())) == len(written)
    assert len(list(store.notices())) == len(written)
    assert verify_history(store) == ()


# -- Letting go --------------------------------------------------------------


def test_a_store_that_is_dropped_closes_its_connections(path: Path) -> None:
    store = SqlitePostingStore(path)
    reserve(store, "ap-1")
    connection = store._idle[0]
    del store
    gc.collect()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_closed_store_leaves_one_file(path: Path) -> None:
    with SqlitePostingStore(path) as store:
        reserve(store, "ap-1")

    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_its_repr_says_where_it_is(store: SqlitePostingStore) -> None:
    assert repr(store).startswith("SqlitePostingStore('")


def test_an_interrupted_commit_leaves_nothing(
    store: SqlitePostingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = sqlite._execute

    def interrupt(cursor: Any, batch: Any) -> Any:
        answers = genuine(cursor, batch)
        if any("INSERT" in str(each) for each in batch):
            raise KeyboardInterrupt
        return answers

    monkeypatch.setattr(sqlite, "_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        reserve(store, "ap-1")
    monkeypatch.undo()

    assert list(store.runs()) == []
    assert reserve(store, "ap-1") == Committed()


# -- What may be read by others, and what was left half-way -------------------


@pytest.mark.skipif(os.name != "posix", reason="no modes of files here")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_and_its_side_files_are_the_owners_alone(
    path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with SqlitePostingStore(path) as store:
            reserve(store, "ap-1")
            modes = {
                each.name: each.stat().st_mode & 0o777
                for each in path.parent.iterdir()
            }
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(
        ("postings.db", "postings.db-shm", "postings.db-wal"), 0o600
    )


@pytest.mark.skipif(os.name != "posix", reason="no modes of files here")
def test_a_file_behind_a_link_is_private_and_one_that_is_there_is_kept(
    path: Path,
) -> None:
    link = path.parent / "link.db"
    link.symlink_to(path)
    with SqlitePostingStore(link) as store:
        reserve(store, "ap-1")
    assert path.stat().st_mode & 0o777 == 0o600

    path.chmod(0o640)
    with SqlitePostingStore(link) as store:
        reserve(store, "ap-2")

    # The host's own choice: a group that takes backups, for instance.
    assert path.stat().st_mode & 0o777 == 0o640


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
connection.execute("BEGIN IMMEDIATE")
"""


def test_opening_it_lets_go_of_no_lock_of_this_process(path: Path) -> None:
    """A file that is closed takes the process's locks on it along."""
    with (
        SqlitePostingStore(path) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        reserve(store, "ap-1")
        other.execute("BEGIN IMMEDIATE")
        SqlitePostingStore(path).close()
        looked = subprocess.run(
            [sys.executable, "-c", HOLD, path],
            capture_output=True,
            text=True,
            check=False,
        )

    assert "database is locked" in looked.stderr


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_commit_is_never_told_as_nothing_written(
    path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be found when the file is opened again (PS-13)."""
    with SqlitePostingStore(path) as store:
        with monkeypatch.context() as patch:
            lose_on_sqlite(patch, when)
            if when == "after":
                assert reserve(store, "ap-1") == Committed()
            else:
                with pytest.raises(CommitUnknownError):
                    reserve(store, "ap-1")

        assert len(list(store.runs())) == (1 if when == "after" else 0)
        assert isinstance(reserve(store, "ap-2"), Committed)


def test_a_disk_that_fails_while_committing_leaves_it_open_what_stands(
    path: Path,
) -> None:
    """No page goes to the disk: SQLite itself says that COMMIT failed."""
    resource = pytest.importorskip("resource")
    with SqlitePostingStore(path) as store:
        reserve(store, "ap-1")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = path.with_name("postings.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(CommitUnknownError):
                reserve(store, "ap-2")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

        assert [str(each.key.autopay) for each in store.runs()] == ["ap-1"]
        assert reserve(store, "ap-3") == Committed()
        assert verify_history(store) == ()


def test_a_closed_store_stays_closed(path: Path) -> None:
    store = SqlitePostingStore(path)
    store.close()
    store.close()

    with pytest.raises(PortUnavailableError) as caught:
        reserve(store, "ap-1")

    assert caught.value.code == "StoreClosed"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_thread_that_is_late_does_not_open_a_closed_store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlitePostingStore(path)
    sqlite._close_all(store._idle, os.getpid())
    genuine = SqlitePostingStore._make_safe
    made: list[sqlite3.Connection] = []

    def late(self: SqlitePostingStore, connection: sqlite3.Connection) -> None:
        genuine(self, connection)
        made.append(connection)
        store.close()

    monkeypatch.setattr(SqlitePostingStore, "_make_safe", late)
    with pytest.raises(PortUnavailableError) as caught:
        reserve(store, "ap-1")

    assert caught.value.code == "StoreClosed"
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].execute("SELECT 1")


def test_an_interrupted_transaction_is_over_before_the_next_begins(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = sqlite._execute
    for store in (
        SqlitePostingStore(path),
        SqlitePostingStore(":memory:", in_memory=True),
    ):

        def interrupt(cursor: Any, batch: Any) -> Any:
            genuine(cursor, batch)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "_execute", interrupt)
            with pytest.raises(KeyboardInterrupt) as held:
                reserve(store, "ap-1")
        # Although the traceback still holds the frames of the call.
        assert held.value.__traceback__ is not None
        assert list(store.runs()) == []
        assert reserve(store, "ap-2") == Committed()
        store.close()


def test_a_store_is_not_pickled(store: SqlitePostingStore) -> None:
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(store)


def test_an_error_of_the_driver_is_not_carried_along(path: Path) -> None:
    with (
        SqlitePostingStore(path, busy_seconds=0.1) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-1")

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


READER = """
import os, sys
sys.path[:0] = {paths!r}
from records import DATES, INVOICES, intend, key_of
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.commits import Change
from autopay_core.errors import PortError

os.setuid(65534)
record = intend(key_of("ap-9", DATES[0]), INVOICES, 900)
try:
    store = SqlitePostingStore({path!r}, busy_seconds=5)
    print(len(list(store.runs())))
    store.commit(Change(runs=(record,)))
except PortError as error:
    print(error.code)
"""


@pytest.mark.processes
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root may become somebody who may not write",
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_file_that_may_only_be_read_has_a_code_of_its_own(
    is_empty: bool,
) -> None:
    with tempfile.TemporaryDirectory(
        prefix=f"autopay-{os.getpid()}-"
    ) as folder:
        path = Path(folder) / "postings.db"
        if is_empty:
            path.touch()
        else:
            with SqlitePostingStore(path) as store:
                reserve(store, "ap-1")
        Path(folder).chmod(0o777)
        path.chmod(0o444)
        code = textwrap.dedent(READER).format(
            paths=[str(Path(__file__).parent), *sys.path], path=str(path)
        )
        began = time.monotonic()
        told = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        )

    assert told.stdout.split()[-1] == "StoreReadOnly"
    # Nobody waits for what will not change.
    assert time.monotonic() - began < 5
