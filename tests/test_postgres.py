"""The posting store on PostgreSQL, blocking and awaitable."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import settings

from autopay_core.adapters import postgres
from autopay_core.adapters.postgres import (
    AsyncPostgresPostingStore,
    PostgresPostingStore,
)
from autopay_core.adapters.sql import postgres_sources
from autopay_core.adapters.sql.postgres_sources import (
    at_once,
    execute,
    settled,
)
from autopay_core.adapters.sql.words import Ask, lock_number
from autopay_core.commits import Change, Committed, Conflict, ConflictReason
from autopay_core.errors import (
    InvalidValueError,
    PortUnavailableError,
    UnsafeStoreError,
)
from autopay_core.history import CHAINS, first_hash, verify_history
from autopay_core.ports import PostingStore
from autopay_core.testing.contracts._base import Clock
from postgres_server import postgres_server, shared_server
from records import (
    DATES,
    INVOICES,
    Awaited,
    TestClock,
    intend,
    key_of,
    notice,
)
from store_machine import SqlStoreMachine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.postgres

WIPE = """
TRUNCATE autopay_runs, autopay_reservations, autopay_attempts,
    autopay_postings, autopay_clients, autopay_notices, autopay_holds,
    autopay_steps, autopay_expected, autopay_distinct, autopay_told,
    autopay_movements, autopay_batches, autopay_batch_lines,
    autopay_keys,
    autopay_incidents, autopay_claims, autopay_history RESTART IDENTITY;
DELETE FROM autopay_store;
INSERT INTO autopay_store (place, id, salt, epoch, holds_version, trusted,
    restored_since, restored_stores) VALUES (1, '', '', 0, 0, 0, NULL, '[]');
UPDATE autopay_chains SET committed_at = 0;
"""


def empty_database(name: str) -> str:
    """Return a database with an empty schema; it is made once."""
    server = shared_server()
    conninfo = f"host={server.folder} user=autopay dbname={name}"
    try:
        with psycopg.connect(conninfo) as connection:
            connection.execute(WIPE)
            for chain in range(CHAINS):
                connection.execute(
                    "UPDATE autopay_chains SET seq = 0, at = 0, hash = %s "
                    "WHERE chain = %s",
                    (first_hash(chain), chain),
                )
    except psycopg.OperationalError:
        server.new_database(name)
    except psycopg.errors.UndefinedTable:
        pass  # No store has been opened on it yet.
    return conninfo


class PostgresModel(SqlStoreMachine):
    def open_store(self, clock: Clock) -> PostingStore:
        return PostgresPostingStore(empty_database("model"), clock=clock)


class AsyncPostgresModel(SqlStoreMachine):
    def open_store(self, clock: Clock) -> PostingStore:
        self.runner = asyncio.Runner()
        store: Any = Awaited(
            AsyncPostgresPostingStore(empty_database("model"), clock=clock),
            self.runner,
        )
        opened: PostingStore = store
        return opened

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "runner"):
            self.runner.close()


TestPostgresModel = PostgresModel.TestCase
TestPostgresModel.settings = settings(max_examples=12, stateful_step_count=20)
TestAsyncPostgresModel = AsyncPostgresModel.TestCase
TestAsyncPostgresModel.settings = settings(
    max_examples=6, stateful_step_count=20
)


@pytest.fixture
def conninfo() -> str:
    return empty_database("postgres_tests")


@pytest.fixture
def url(conninfo: str) -> str:
    folder = shared_server().folder
    return f"postgresql+psycopg://autopay@/postgres_tests?host={folder}"


def reserve(store: Any, autopay: str) -> Any:
    record = intend(key_of(autopay, DATES[0]), INVOICES, 900)
    return store.commit(Change(runs=(record,)))


# -- What a host hands in ----------------------------------------------------


def test_a_hosts_pool_is_used_and_left_as_it_was(conninfo: str) -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(
        conninfo, min_size=1, max_size=2, open=True, timeout=10
    ) as pool:
        with PostgresPostingStore(pool, clock=TestClock()) as store:
            for number in range(4):
                assert reserve(store, f"ap-{number}") == Committed()
                assert verify_history(store) == ()
        with pool.connection() as connection:
            assert not connection.autocommit
            shown = connection.execute("SHOW lock_timeout").fetchone()
            assert shown == ("0",)


def test_a_hosts_engine_is_used_and_left_as_it_was(url: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)
    with PostgresPostingStore(engine, clock=TestClock()) as store:
        for number in range(4):
            assert reserve(store, f"ap-{number}") == Committed()
            assert verify_history(store) == ()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE t (a int)")
        connection.rollback()
    engine.dispose()


def test_another_driver_of_an_engine_is_refused(tmp_path: Path) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(InvalidValueError, match="psycopg 3"):
        PostgresPostingStore(engine)
    engine.dispose()


def test_an_async_pool_is_used_and_left_as_it_was(conninfo: str) -> None:
    from psycopg_pool import AsyncConnectionPool

    async def use() -> None:
        async with (
            AsyncConnectionPool(
                conninfo, min_size=1, max_size=2, open=False, timeout=10
            ) as pool,
            AsyncPostgresPostingStore(pool, clock=TestClock()) as store,
        ):
            for number in range(4):
                key = key_of(f"ap-{number}", DATES[0])
                record = intend(key, INVOICES, 900)
                answer = await store.commit(Change(runs=(record,)))
                assert answer == Committed()
                assert (await store.standing(key, "")).run == record
            async with pool.connection() as connection:
                assert not connection.autocommit

    asyncio.run(use())


def test_an_async_engine_is_used_and_left_as_it_was(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def use() -> None:
        engine = create_async_engine(url, pool_size=1, max_overflow=0)
        async with AsyncPostgresPostingStore(
            engine, clock=TestClock()
        ) as store:
            for number in range(4):
                key = key_of(f"ap-{number}", DATES[0])
                record = intend(key, INVOICES, 900)
                answer = await store.commit(Change(runs=(record,)))
                assert answer == Committed()
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT 1")
        await engine.dispose()

    asyncio.run(use())


def test_tasks_share_an_async_store(conninfo: str) -> None:
    async def use() -> None:
        async with AsyncPostgresPostingStore(conninfo) as store:
            record = intend(key_of("ap-1", DATES[0]), INVOICES, 900)
            answers = await asyncio.gather(
                *(store.commit(Change(runs=(record,))) for _ in range(8))
            )
            assert answers.count(Committed()) == 1
            assert answers.count(Conflict(reason=ConflictReason.VERSION)) == 7

    asyncio.run(use())


def test_a_task_that_is_cancelled_leaves_the_store_usable(
    conninfo: str,
) -> None:
    async def use() -> None:
        async with AsyncPostgresPostingStore(conninfo) as store:
            for number in range(20):
                key = key_of(f"ap-{number}", DATES[0])
                record = intend(key, INVOICES, 900)
                task = asyncio.create_task(
                    store.commit(Change(runs=(record,)))
                )
                await asyncio.sleep(number / 4_000)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                found = (await store.standing(key, "")).run
                assert found in (None, record)
            heads = await store.history_heads()
            # The first entry is the store's own.
            assert sum(each.seq for each in heads) == 1 + len(
                [each async for each in store.runs()]
            )

    asyncio.run(use())


def test_the_time_is_the_servers(conninfo: str) -> None:
    with (
        PostgresPostingStore(conninfo) as store,
        psycopg.connect(conninfo) as connection,
    ):
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        before = row[0]
        standing = store.standing(key_of("ap-1", DATES[0]), "")

    assert timedelta() <= standing.now - before < timedelta(seconds=30)
    assert not standing.is_clock_suspect


# -- What it refuses ---------------------------------------------------------


def test_a_session_that_does_not_wait_for_the_disk_is_refused(
    conninfo: str,
) -> None:
    lax = f"{conninfo} options='-c synchronous_commit=off'"

    with pytest.raises(UnsafeStoreError, match="synchronous_commit"):
        PostgresPostingStore(lax)


def test_a_server_without_fsync_is_refused() -> None:
    with (
        postgres_server({"fsync": "off"}) as server,
        pytest.raises(UnsafeStoreError, match="fsync"),
    ):
        PostgresPostingStore(server.conninfo)


def test_a_read_replica_is_refused() -> None:
    with pytest.raises(UnsafeStoreError, match="replica"):
        postgres._check_settings(("on", "on", True))


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailableError):
        PostgresPostingStore(f"host={tmp_path} user=nobody")


def test_an_async_store_refuses_at_its_first_use(conninfo: str) -> None:
    lax = f"{conninfo} options='-c synchronous_commit=off'"

    async def use() -> None:
        store = AsyncPostgresPostingStore(lax)
        try:
            with pytest.raises(UnsafeStoreError):
                await store.now()
        finally:
            await store.close()

    asyncio.run(use())


def test_a_newer_schema_is_left_alone(conninfo: str) -> None:
    PostgresPostingStore(conninfo).close()
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO autopay_schema VALUES (6, 'later')")
    try:
        with pytest.raises(UnsafeStoreError) as caught:
            PostgresPostingStore(conninfo)
    finally:
        with psycopg.connect(conninfo) as connection:
            connection.execute("DELETE FROM autopay_schema WHERE number = 6")

    assert caught.value.code == "SchemaNewer"


def test_an_older_schema_is_brought_up_to_date_with_its_data() -> None:
    fresh = shared_server().new_database("older")
    with pytest.raises(UnsafeStoreError, match="version 0 of 5"):
        PostgresPostingStore(fresh, migrate=False)
    with psycopg.connect(fresh) as connection:
        for each in postgres.migrations()[:2]:
            connection.execute(each.sql.encode())
        connection.execute("INSERT INTO autopay_clients VALUES ('C-1', 7)")

    with pytest.raises(UnsafeStoreError) as caught:
        PostgresPostingStore(fresh, migrate=False)
    assert caught.value.code == "SchemaOlder"
    with PostgresPostingStore(fresh) as store:
        assert store.open_amounts(["C-1"]).versions == {"C-1": 7}
        assert verify_history(store) == ()


def test_migrations_may_be_run_by_another_tool() -> None:
    fresh = shared_server().new_database("by_hand")
    with psycopg.connect(fresh) as connection:
        for each in postgres.migrations():
            connection.execute(each.sql.encode())

    with PostgresPostingStore(fresh, migrate=False) as store:
        assert reserve(store, "ap-1") == Committed()


def test_many_workers_may_start_on_an_empty_database() -> None:
    fresh = shared_server().new_database("start")

    def start(_: int) -> Any:
        with PostgresPostingStore(fresh) as store:
            return store.open_amounts(["C-1"]).versions

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(start, range(8))) == [{"C-1": 0}] * 8


# -- When others are in the way ----------------------------------------------


def test_a_lock_that_is_not_let_go_makes_it_unavailable(
    conninfo: str,
) -> None:
    with (
        PostgresPostingStore(conninfo, lock_seconds=0.1) as store,
        psycopg.connect(conninfo) as other,
    ):
        number = lock_number("autopay:ap-1")
        other.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-1")
        assert caught.value.code == "StoreBusy"
        assert reserve(store, "ap-2") == Committed()
        other.rollback()

        assert reserve(store, "ap-1") == Committed()


def test_a_commit_that_hangs_is_waited_for_before_it_is_given_up(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The answer is lost, and the old transaction is not over yet.

    Looking at once would find nothing, although the commit comes to stand.
    """
    hanging: list[Any] = []

    async def lose(connection: Any, batch: Any) -> Any:
        if batch != [Ask("COMMIT")] or hanging:
            return await execute(connection, batch)
        hanging.append(connection)

        def end_later() -> None:
            time.sleep(0.5)
            at_once(execute(connection, batch))
            connection.close()

        threading.Thread(target=end_later).start()
        raise psycopg.OperationalError("no answer")

    genuine = postgres_sources.Source._end

    async def end(source: Any, loan: Any, *, is_sound: bool) -> None:
        # As if nobody could tell the server that the connection is gone.
        loan.held[:] = [each for each in loan.held if each not in hanging]
        await genuine(source, loan, is_sound=is_sound)

    PostgresPostingStore(conninfo).close()
    monkeypatch.setattr(postgres, "execute", lose)
    monkeypatch.setattr(postgres_sources.Source, "_end", end)
    with PostgresPostingStore(conninfo) as store:
        assert reserve(store, "ap-1") == Committed()
        assert len(list(store.runs())) == 1


def test_a_change_of_hundreds_of_names_locks_the_whole_store(
    conninfo: str,
) -> None:
    notices = tuple(notice(f"n-{number}") for number in range(300))
    with (
        PostgresPostingStore(conninfo) as store,
        ThreadPoolExecutor(4) as many,
    ):
        answers = list(
            many.map(
                lambda place: (
                    reserve(store, f"ap-{place}")
                    if place % 2
                    else store.commit(Change(notices=notices))
                ),
                range(8),
            )
        )

        assert all(isinstance(each, Committed) for each in answers)
        assert len(list(store.notices())) == 300
        assert verify_history(store) == ()


@pytest.mark.processes
def test_it_goes_on_after_the_server_was_killed() -> None:
    with postgres_server() as server:
        store = PostgresPostingStore(server.conninfo)
        assert reserve(store, "ap-1") == Committed()
        server.kill()

        with pytest.raises(PortUnavailableError):
            reserve(store, "ap-2")

        server.start()
        assert reserve(store, "ap-2") == Committed()
        assert [str(each.key.autopay) for each in store.runs()] == [
            "ap-1",
            "ap-2",
        ]
        assert verify_history(store) == ()
        store.close()


def test_a_connection_that_was_cut_while_it_rested_is_replaced(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_sources, "FRESH_SECONDS", 0.0)
    with PostgresPostingStore(conninfo) as store:
        reserve(store, "ap-1")
        with psycopg.connect(conninfo, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )

        assert reserve(store, "ap-2") == Committed()


# -- What may not be used again ----------------------------------------------


def test_a_commit_that_is_answered_with_rollback_is_not_told_as_written(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def spoil(connection: Any, batch: Any) -> Any:
        if batch == [Ask("COMMIT")]:
            # The server gives the transaction up, and COMMIT is no error.
            with contextlib.suppress(psycopg.errors.DivisionByZero):
                await settled(connection.execute("SELECT 1 / 0"))
        return await execute(connection, batch)

    with PostgresPostingStore(conninfo) as store:
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "execute", spoil)
            with pytest.raises(PortUnavailableError, match="ROLLBACK"):
                reserve(store, "ap-1")

        assert list(store.runs()) == []
        assert reserve(store, "ap-1") == Committed()


def test_an_answer_to_commit_that_is_anothers_is_not_believed(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted: list[bool] = []

    async def shift(connection: Any, batch: Any) -> Any:
        if batch != [Ask("COMMIT")] or shifted:
            return await execute(connection, batch)
        shifted.append(True)
        # Nothing is carried out; the answer is an earlier statement's.
        return [[("SELECT 1",)]]

    with PostgresPostingStore(conninfo) as store:
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "execute", shift)
            with pytest.raises(PortUnavailableError, match="broke off"):
                reserve(store, "ap-1")

        assert list(store.runs()) == []
        assert reserve(store, "ap-1") == Committed()


@pytest.mark.parametrize("state", ["pipeline", "transaction"])
def test_a_connection_that_is_not_idle_is_not_lent(
    conninfo: str, state: str
) -> None:
    with PostgresPostingStore(conninfo) as store:
        reserve(store, "ap-1")
        (rested,) = store._source._idle  # type: ignore[attr-defined]
        if state == "pipeline":
            rested.pgconn.enter_pipeline_mode()
        else:
            rested.execute("BEGIN")

        assert reserve(store, "ap-2") == Committed()
        assert rested.closed
        assert len(list(store.runs())) == 2


@pytest.mark.parametrize("state", ["pipeline", "transaction"])
def test_a_hosts_connection_that_is_not_idle_is_refused_and_replaced(
    conninfo: str, state: str
) -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(
        conninfo, min_size=1, max_size=1, open=True, timeout=10
    ) as pool:
        store = PostgresPostingStore(pool)
        with pool.connection() as connection:
            pass
        if state == "pipeline":
            connection.pgconn.enter_pipeline_mode()
        else:
            connection.execute("SELECT 1")

        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-1")

        assert caught.value.code == "StorePoolUnsound"
        assert reserve(store, "ap-1") == Committed()


def test_an_interrupted_call_takes_no_connection_from_a_hosts_pool(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg_pool import ConnectionPool

    async def interrupt(connection: Any, batch: Any) -> Any:
        connection.pgconn.enter_pipeline_mode()
        raise KeyboardInterrupt

    with ConnectionPool(
        conninfo, min_size=1, max_size=2, open=True, timeout=10
    ) as pool:
        store = PostgresPostingStore(pool)
        for number in range(6):
            with monkeypatch.context() as patch:
                patch.setattr(postgres, "execute", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    reserve(store, f"ap-{number}")
            assert reserve(store, f"ap-{number}") == Committed()


# -- What it is lent by, and what it does not tell ----------------------------


def test_a_closed_store_stays_closed(conninfo: str) -> None:
    store = PostgresPostingStore(conninfo)
    store.close()
    store.close()

    with pytest.raises(PortUnavailableError) as caught:
        reserve(store, "ap-1")
    assert caught.value.code == "StoreClosed"
    with pytest.raises(PortUnavailableError, match="closed"):
        list(store.runs())


def test_a_closed_store_leaves_a_hosts_pool_open(conninfo: str) -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(conninfo, min_size=1, open=True) as pool:
        store = PostgresPostingStore(pool)
        store.close()

        with pytest.raises(PortUnavailableError, match="closed"):
            reserve(store, "ap-1")
        with PostgresPostingStore(pool) as other:
            assert reserve(other, "ap-1") == Committed()


def test_a_closed_async_store_stays_closed(conninfo: str) -> None:
    async def use() -> None:
        store = AsyncPostgresPostingStore(conninfo)
        await store.now()
        await store.close()
        for call in (store.now, store.open):
            with pytest.raises(PortUnavailableError) as caught:
                await call()
            assert caught.value.code == "StoreClosed"
        never = AsyncPostgresPostingStore(conninfo)
        await never.close()
        with pytest.raises(PortUnavailableError, match="closed"):
            await never.now()

    asyncio.run(use())


def test_a_thread_that_is_late_does_not_open_a_closed_store(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresPostingStore(conninfo)
    store._source.drop()
    made: list[Any] = []

    def connect(*args: Any, **options: Any) -> Any:
        made.append(psycopg.connect(*args, **options))
        store.close()
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "connect", connect)
        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-1")

    assert caught.value.code == "StoreClosed"
    assert [each.closed for each in made] == [True]


def test_a_call_that_is_under_way_when_a_store_is_closed_ends(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresPostingStore(conninfo)
    used: list[Any] = []

    async def close_first(connection: Any, batch: Any) -> Any:
        store.close()
        used.append(connection)
        return await execute(connection, batch)

    with monkeypatch.context() as patch:
        patch.setattr(postgres, "execute", close_first)
        assert reserve(store, "ap-1") == Committed()

    assert all(each.closed for each in used)


def test_a_store_whose_first_try_failed_may_be_tried_again(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use() -> None:
        store = AsyncPostgresPostingStore(conninfo)
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "_check_settings", refuse)
            with pytest.raises(UnsafeStoreError):
                await store.now()
        await store.now()
        await store.close()

    def refuse(_: object) -> None:
        raise UnsafeStoreError("not yet")

    asyncio.run(use())


def test_a_hosts_pool_that_is_closed_or_exhausted_has_codes_of_its_own(
    conninfo: str,
) -> None:
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(
        conninfo, min_size=1, max_size=1, open=True, timeout=0.1
    )
    store = PostgresPostingStore(pool)
    with pool.connection(), pytest.raises(PortUnavailableError) as busy:
        reserve(store, "ap-1")
    pool.close()
    with pytest.raises(PortUnavailableError) as closed:
        reserve(store, "ap-1")

    assert busy.value.code == "StorePoolBusy"
    assert closed.value.code == "StorePoolClosed"


def test_a_hosts_engine_that_is_exhausted_or_lost_has_codes_of_its_own(
    url: str, tmp_path: Path
) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    store = PostgresPostingStore(engine)
    with engine.connect(), pytest.raises(PortUnavailableError) as busy:
        reserve(store, "ap-1")
    engine.dispose()
    lost = sqlalchemy.create_engine(
        f"postgresql+psycopg://nobody:secret-1@/x?host={tmp_path}"
    )
    with pytest.raises(PortUnavailableError) as unreachable:
        PostgresPostingStore(lost)

    assert busy.value.code == "StorePoolBusy"
    assert unreachable.value.code == "StoreUnavailable"
    assert "secret-1" not in shown_by(unreachable.value)


def shown_by(error: BaseException) -> str:
    """Return what a tool that reports errors may show of the library."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [
        repr(frame.f_locals)
        for frame in frames
        if "autopay_core" in frame.f_globals["__name__"]
    ]
    assert ours
    assert error.__cause__ is None
    assert error.__context__ is None
    pickled = repr(pickle.dumps(error))
    return f"{error} {error!r} {vars(error)} {ours} {pickled}"


SECRETS = (
    "host={} user=nobody password=secret-1",
    "postgresql://nobody:secret-1@localhost:1/x",
    "postgresql://nobody:secret-1@[broken/x",
    "postgres//nobody:secret-1@localhost/x",
    "password=secret-1 nonsense",
    "host=localhost sslpassword='secret-1",
)


@pytest.mark.parametrize("address", SECRETS)
def test_a_password_in_an_address_is_shown_nowhere(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises((PortUnavailableError, InvalidValueError)) as caught:
        PostgresPostingStore(address.format(tmp_path))

    error = caught.value
    assert "secret-1" not in shown_by(error)
    if isinstance(error, InvalidValueError):
        assert error.code == "StoreAddress"


def test_a_store_shows_no_password_and_is_not_pickled(conninfo: str) -> None:
    with PostgresPostingStore(f"{conninfo} password=secret-1") as store:
        assert "secret-1" not in repr(store)
        assert "postgres_tests" in repr(store)
        for leave in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled") as caught:
                leave(store)
            assert "secret-1" not in str(caught.value)


def test_what_is_no_address_pool_or_engine_is_refused() -> None:
    nothing: Any = 7
    with pytest.raises(InvalidValueError) as caught:
        PostgresPostingStore(nothing)

    assert caught.value.path == "where"


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("53100", "StoreFull"),
        ("53300", "StoreBusy"),
        ("53200", "StoreUnavailable"),
        ("25006", "StoreReadOnly"),
        ("42501", "StoreReadOnly"),
        ("55P03", "StoreBusy"),
        ("57014", "StoreBusy"),
        ("57P01", "StoreUnavailable"),
    ],
)
def test_what_the_server_says_has_a_code(sqlstate: str, code: str) -> None:
    error = postgres._translated(psycopg.errors.lookup(sqlstate)("a row"))

    assert isinstance(error, PortUnavailableError)
    assert error.code == code
    assert "a row" not in str(error)


def test_a_role_that_may_not_write_is_told_so(conninfo: str) -> None:
    read_only = f"{conninfo} options='-c default_transaction_read_only=on'"
    PostgresPostingStore(conninfo).close()
    with PostgresPostingStore(read_only) as store:
        # A transaction of its own says that it writes.
        assert reserve(store, "ap-1") == Committed()
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS reader")
        admin.execute("CREATE ROLE reader LOGIN")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    with PostgresPostingStore(f"{conninfo} user=reader") as store:
        assert len(list(store.runs())) == 1
        with pytest.raises(PortUnavailableError) as caught:
            reserve(store, "ap-2")
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute("DROP OWNED BY reader")
        admin.execute("DROP ROLE reader")

    assert caught.value.code == "StoreReadOnly"


def test_a_connection_that_a_normal_end_left_in_a_pipeline_is_closed(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Any] = []

    async def leave(connection: Any, batch: Any) -> Any:
        answers = await execute(connection, batch)
        if batch == [Ask("COMMIT")]:
            used.append(connection)
            connection.pgconn.enter_pipeline_mode()
        return answers

    with PostgresPostingStore(conninfo) as store:
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "execute", leave)
            assert reserve(store, "ap-1") == Committed()

        assert [each.closed for each in used] == [True]
        assert len(list(store.runs())) == 1
