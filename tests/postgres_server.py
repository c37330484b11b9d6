"""
A PostgreSQL server to throw away, for tests and benchmarks.

In a temporary folder, on a Unix socket only, started and stopped by its own
process id. Without the server's programs a test that asks for one is skipped,
loudly; under CI it fails instead.

`shared_server` is one for the whole test process, `postgres_server` one of
one's own, to be killed or to be set up badly.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_LOG_TAIL: Final = 2_000


def find_programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, or None."""
    candidates: list[Path] = []
    found = shutil.which("initdb")
    if found is not None:
        candidates.append(Path(found).resolve().parent)
    config = shutil.which("pg_config")
    if config is not None:
        said = subprocess.run(
            [config, "--bindir"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        candidates.append(Path(said.stdout.strip()))
    candidates.extend(
        sorted(
            Path("/usr/lib/postgresql").glob("*/bin"),
            key=lambda each: float(each.parent.name),
            reverse=True,
        )
    )
    for each in candidates:
        if (each / "initdb").exists() and (each / "postgres").exists():
            return each
    return None


def _as_whom() -> str | None:
    """Return whom to run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    return None


class PostgresServer:
    """
    One server, started by `start` and gone after `stop`.

    Attributes:
        folder: Everything of it is here.
        settings: Of the server, by name.

    """

    def __init__(
        self, programs: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.programs = programs
        self.folder = Path(
            tempfile.mkdtemp(prefix=f"autopay-pg-{os.getpid()}-")
        )
        self.settings = {
            "listen_addresses": "''",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "unix_socket_directories": f"'{self.folder}'",
            **(settings or {}),
        }
        self._user = _as_whom()
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.folder.chmod(0o755)
        self._run(
            [
                str(self.programs / "initdb"),
                "--pgdata",
                str(self.folder / "data"),
                "--username",
                "autopay",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
            ]
        )

    @property
    def conninfo(self) -> str:
        """How to connect to it."""
        return f"host={self.folder} user=autopay dbname=postgres"

    @property
    def pid(self) -> int:
        """The process id of the server, for those who kill it."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The same for SQLAlchemy."""
        return f"postgresql+psycopg://autopay@/postgres?host={self.folder}"

    def new_database(self, name: str) -> str:
        """Make an empty database; return how to connect to it."""
        import psycopg
        from psycopg.sql import SQL, Identifier

        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for statement in (
                "DROP DATABASE IF EXISTS {} (FORCE)",
                "CREATE DATABASE {}",
            ):
                connection.execute(SQL(statement).format(Identifier(name)))
        return f"host={self.folder} user=autopay dbname={name}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [
            part
            for name, value in self.settings.items()
            for part in ("-c", f"{name}={value.strip(chr(39))}")
        ]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    str(self.programs / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it as a power failure would: no shutdown, no checkpoint."""
        assert self._process is not None
        # Its own process group, and nothing else, is in this session.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._process = None
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "data" / "postmaster.pid").unlink()

    def stop(self) -> None:
        """End it, drop its connections, and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: Sequence[str]) -> None:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd="/",
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            timeout=START_SECONDS,
        )

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + START_SECONDS
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                tail = (self.folder / "log").read_text()[-_LOG_TAIL:]
                raise RuntimeError(f"PostgreSQL did not start:\n{tail}")
            try:
                psycopg.connect(self.conninfo, connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return


def _programs_or_skip() -> Path:
    programs = find_programs()
    if programs is not None:
        return programs
    message = (
        "PostgreSQL's server programs (initdb, postgres) are not here; "
        "install the package postgresql"
    )
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextlib.contextmanager
def postgres_server(
    settings: Mapping[str, str] | None = None,
) -> Iterator[PostgresServer]:
    """Run a server for a while; skip, or fail under CI, without programs."""
    server = PostgresServer(_programs_or_skip(), settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def shared_server() -> PostgresServer:
    """Return the server of this test process; it ends with the process."""
    return _started(_programs_or_skip())


@functools.cache
def _started(programs: Path) -> PostgresServer:
    server = PostgresServer(programs)
    atexit.register(_stop_own, server, os.getpid())
    server.start()
    return server


def _stop_own(server: PostgresServer, pid: int) -> None:
    # A forked child ends without taking its parent's server along.
    if os.getpid() == pid:
        server.stop()
