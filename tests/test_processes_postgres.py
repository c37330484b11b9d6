"""Processes, and the server itself, that are killed on PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from postgres_server import postgres_server
from trials import (
    IN_CI,
    KILLS,
    SECONDS,
    SEED,
    audit,
    command,
    environment,
    must_find,
    report_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 120),
]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    # Without it a restart synchronizes a thousand files one by one.
    with postgres_server({"recovery_init_sync_method": "syncfs"}) as running:
        yield running


class _Siege:
    """Kills the server, or single connections, while a trial kills workers."""

    def __init__(self, server: PostgresServer, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._besiege)
        self.count: Counter[str] = Counter()

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop killing; the server is up when this returns."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _besiege(self) -> None:
        while not self._ended.wait(self._chance.uniform(0.2, 1.2)):
            if self._chance.random() < 0.12:
                self._server.kill()
                self.count["server killed"] += 1
                time.sleep(self._chance.uniform(0.0, 0.5))
                self._server.start()
            else:
                self.count["connections ended"] += self._end_some()

    def _end_some(self) -> int:
        import psycopg

        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(self._server.conninfo, autocommit=True) as session,
        ):
            rows = session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid() AND random() < 0.5"
            ).fetchall()
            return len(rows)
        return 0


def _besieged(
    server: PostgresServer, folder: Path, *arguments: str
) -> tuple[dict[str, Any], Counter[str]]:
    """Run a trial whose server is killed until the trial comes to rest."""
    siege = _Siege(server, SEED)
    trial = subprocess.Popen(
        command(folder, "--postgres", server.conninfo, *arguments),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    with trial:
        try:
            assert trial.stderr is not None
            assert trial.stdout is not None
            for line in trial.stderr:
                said.append(line)
                if line == "phase kills\n":
                    siege.begin()
                if line == "phase rest\n":
                    siege.end()
            out = trial.stdout.read()
            status = trial.wait(60)
        finally:
            siege.end()
            if trial.poll() is None:
                trial.kill()
    print(json.dumps(siege.count))
    return report_of(status, out, "".join(said)), siege.count


_USUAL = (
    "--kills",
    str(KILLS),
    "--seed",
    str(SEED),
    "--most-seconds",
    str(SECONDS),
)


def test_nothing_is_lost_or_paid_twice_when_processes_are_killed(
    tmp_path: Path, server: PostgresServer
) -> None:
    report, count = _besieged(server, tmp_path, *_USUAL)

    assert report["problems"] == []
    assert report["kills"] >= KILLS
    assert report["captures"] > 0
    if KILLS >= 200:
        assert count["server killed"] > 0
        assert count["connections ended"] > 0

    # The same again, from the database and the files alone.
    done = audit(
        [
            *("--postgres", server.conninfo),
            *("--gateway", str(tmp_path / "gateway.csv")),
            *("--ledger", str(tmp_path / "ledger.csv")),
        ]
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not IN_CI, reason="takes a minute; set CI=1")
def test_a_two_step_gateway_keeps_the_promise_as_well(
    tmp_path: Path, server: PostgresServer
) -> None:
    report, _ = _besieged(
        server,
        tmp_path,
        "--two-step",
        *("--kills", str(min(KILLS, 200))),
        *("--seed", str(SEED)),
        *("--most-seconds", str(SECONDS)),
    )

    assert report["problems"] == []
    assert report["captures"] > 0


@pytest.mark.skipif(not IN_CI, reason="takes a minute; set CI=1")
@pytest.mark.parametrize(
    ("defect", "finds"),
    [
        (
            "last_write_wins",
            {"Overpaid", "SameKey", "WriteAhead", "ChargeWithoutPosting"},
        ),
        ("postings_after_the_outcome", {"PostingMissing"}),
    ],
)
def test_a_planted_defect_is_found(
    tmp_path: Path, server: PostgresServer, defect: str, finds: set[str]
) -> None:
    must_find(
        tmp_path,
        defect,
        finds,
        lambda seed: ("--postgres", server.new_database(f"trial_{seed}")),
    )
