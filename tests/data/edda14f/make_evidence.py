"""
Write what the library of edda14f leaves behind, for every later version.

Holds: the command. It plays the stories of `firms` on SQLite and on
PostgreSQL, and writes down their stores, what their hosts, gateways and
ledgers knew, and the texts of `samples`. It refuses any other library, and
whatever would not come back as it was; run again it writes the same bytes.
README.md beside it says how to run it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import psycopg
from firms import KEY_SECRET, Firm, one_step, two_step
from samples import samples

import autopay_core
from autopay_core import Captured, Declined, PostingStatus, RunState
from autopay_core.adapters.postgres import PostgresPostingStore
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.history import verify_history
from autopay_core.serialization import dumps
from postgres_server import PostgresServer, postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE: Final = Path(__file__).parent
SOURCES: Final = (
    "401d8f15b2dcfd7a97d55f807c2f4c171f33d87fb21a51f33dcd3e596fc9af68"
)
"""SHA-256 of the library's sources at edda14f, as `sources` makes it."""

STORIES: Final = {"one_step": one_step, "two_step": two_step}
_PRAGMAS: Final = (
    "encoding",
    "page_size",
    "auto_vacuum",
    "application_id",
    "user_version",
    "journal_mode",
)
_NOT_KEPT: Final = ("--", "\\", "SET ", "SELECT pg_catalog.set_config(")


def sources() -> str:
    """Return a hash of the library that is imported."""
    package = Path(autopay_core.__file__).parent
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        whole.update(f"{name}\n{len(path.read_bytes())}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


@contextlib.contextmanager
def counted_ids() -> Iterator[None]:
    """Count the ids of commits, which are random otherwise."""
    numbers = count(1)
    with patch.object(
        secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}x}"
    ):
        yield


# -- Stores as text ----------------------------------------------------------


def sqlite_text(path: Path) -> str:
    """Return SQL that makes the file again, with what it says of itself."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        pragmas: list[str] = []
        for name in _PRAGMAS:
            [value] = connection.execute(f"PRAGMA {name}").fetchone()
            pragmas.append(f"PRAGMA {name} = {value!r};")
        return "\n".join([*pragmas, *connection.iterdump(), ""])


def postgres_text(server: PostgresServer, conninfo: str) -> str:
    """Return SQL that makes the database again, on any server."""
    with psycopg.connect(conninfo) as connection:
        for (table,) in _tables(connection):
            # In order of the key, whenever the server cleaned up.
            connection.execute(f"CLUSTER {table} USING {table}_pkey".encode())
            connection.execute(
                f"ALTER TABLE {table} SET WITHOUT CLUSTER".encode()
            )
    dumped = subprocess.run(
        [
            str(server.programs / "pg_dump"),
            "--inserts",
            "--no-owner",
            "--no-privileges",
            f"--dbname={conninfo}",
        ],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    ).stdout
    # Without comments, which name the server, and without what only psql or
    # only one version of the server understands. No value holds a new line.
    lines = [
        line
        for line in dumped.splitlines()
        if line and not line.startswith(_NOT_KEPT)
    ]
    return "\n".join([*lines, ""])


def _tables(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(
        "SELECT tablename FROM pg_tables "
        "WHERE schemaname = 'public' ORDER BY tablename"
    ).fetchall()


# -- What others knew --------------------------------------------------------


def gateway_text(firm: Firm) -> str:
    """Return what the gateway did and prepared, one line for each key."""
    runs = {
        each.key: record
        for record in firm.store.runs()
        for each in record.attempts
    }
    capabilities = firm.gateway.capabilities
    executed: list[dict[str, Any]] = []
    for name, request, outcome in firm.executed():
        kind = type(outcome).__name__.lower()
        row = {**_asked(request), "outcome": kind}
        if request.key in runs:
            row["run"] = str(runs[request.key].key)
        if capabilities.two_step:
            row["prepared_as"] = name
        if isinstance(outcome, Declined):
            row["code"] = outcome.code
            row["decline_class"] = outcome.decline_class.value
            row["message"] = outcome.message
        else:
            row["reference"] = outcome.reference
        executed.append(row)
    prepared = [
        {**_asked(request), "prepared_as": reference}
        for reference, request in getattr(
            firm.gateway.inner, "_prepared", {}
        ).items()
    ]
    whole = {
        "two_step": capabilities.two_step,
        "key_retention_seconds": capabilities.key_retention_seconds,
        "lookup_settle_seconds": capabilities.lookup_settle_seconds,
        "honours_deadline": capabilities.honours_deadline,
        "key_secret": KEY_SECRET.decode(),
        "now": firm.clock.now.isoformat(),
    }
    parts = [f'"{name}": {json.dumps(value)}' for name, value in whole.items()]
    for name, rows in (("executed", executed), ("prepared", prepared)):
        inner = ",\n".join(map(json.dumps, rows))
        parts.append(f'"{name}": [\n{inner}\n]' if rows else f'"{name}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _asked(request: Any) -> dict[str, Any]:
    return {
        "key": request.key,
        "amount_minor": request.amount.amount_minor,
        "currency": request.amount.currency,
        "provider": request.method.provider,
        "token": request.method.token,
        "account": request.deposit_account.id,
        "description": request.description,
    }


def lines(values: Iterable[Any]) -> str:
    """Return the values' texts as `dumps` writes them, one a line."""
    return "".join(f"{dumps(each)}\n" for each in values)


def told(firm: Firm) -> dict[str, Any]:
    """Return all that can be read of a store, to be compared."""
    return {
        "runs": list(firm.store.runs()),
        "notices": list(firm.store.notices()),
        "undelivered": list(firm.store.undelivered(1_000)),
        "postings": [
            each for name in firm.autopays for each in firm.postings(name)
        ],
        "heads": list(firm.store.history_heads()),
        "gateway": gateway_text(firm),
        "faults": verify_history(firm.store),
    }


def check_story(name: str, found: dict[str, Any]) -> None:
    """Refuse a story that leaves something out."""
    assert not found["faults"]
    assert found["undelivered"] or name == "two_step"
    assert len(found["undelivered"]) < len(found["notices"])
    if name == "two_step":
        references = {
            each.attempts[-1].reference is None
            for each in found["runs"]
            if each.state is RunState.OPEN
        }
        assert references == {True, False}
        return
    assert {each.state for each in found["runs"]} == set(RunState)
    assert {each.status for each in found["postings"]} == set(PostingStatus)
    outcomes = {
        type(each.outcome).__name__
        for record in found["runs"]
        for each in record.attempts
    }
    assert outcomes == {"NoneType", "Captured", "Pending", "Declined"}
    assert any(
        isinstance(record.captured, Captured) and record.reversals
        for record in found["runs"]
    )


# -- The command -------------------------------------------------------------


def play(name: str, open_store: Callable[[Any], Any]) -> Firm:
    """Play a story; ids are counted from one."""
    with counted_ids():
        return STORIES[name](open_store)


def write_firm(name: str, server: PostgresServer, folder: Path) -> Firm:
    """Play a story on both databases and write down what is left of it."""
    path = folder / f"{name}.db"
    conninfo = server.new_database(name)
    firm = play(name, lambda clock: SqlitePostingStore(path, clock=clock))
    other = play(
        name, lambda clock: PostgresPostingStore(conninfo, clock=clock)
    )
    found = told(firm)
    check_story(name, found)
    assert told(other) == found
    firm.store.close()
    other.store.close()
    made = HERE / name
    made.mkdir(exist_ok=True)
    texts = {
        "sqlite.sql": sqlite_text(path),
        "postgres.sql": postgres_text(server, conninfo),
        "gateway.json": found["gateway"],
        "autopays.jsonl": lines(firm.autopays.values()),
        "invoices.jsonl": lines(firm.matters.all()),
        "postings.jsonl": lines(found["postings"]),
        "heads.json": json.dumps(
            [
                [each.chain, each.seq, each.hash]
                for each in found["heads"]
                if each.seq
            ],
        ).replace("], [", "],\n[")
        + "\n",
    }
    for file, text in texts.items():
        (made / file).write_text(text, "utf-8")
    # What was written makes the same stores.
    again = folder / f"{name}-again.db"
    with contextlib.closing(sqlite3.connect(again)) as connection:
        connection.executescript(texts["sqlite.sql"])
    firm.store = SqlitePostingStore(again, clock=firm.clock, migrate=False)
    conninfo = server.new_database(f"{name}_again")
    with psycopg.connect(conninfo) as connection:
        connection.execute(texts["postgres.sql"].encode())
    other.store = PostgresPostingStore(
        conninfo, clock=other.clock, migrate=False
    )
    for each in (firm, other):
        each.ports = autopay_core.Ports(
            matters=each.matters,
            gateway=each.gateway,
            postings=each.store,
            notifier=each.notifier,
        )
        assert told(each) == found
    assert sqlite_text(again) == texts["sqlite.sql"]
    assert postgres_text(server, conninfo) == texts["postgres.sql"]
    other.store.close()
    return firm


def main() -> None:
    """Write everything, or nothing with another library."""
    if sources() != SOURCES:
        sys.exit(f"this is not the library of edda14f: {sources()}")
    if sys.flags.hash_randomization:
        sys.exit("sets have another order each time: set PYTHONHASHSEED=0")
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server() as server,
    ):
        firms = [write_firm(name, server, Path(folder)) for name in STORIES]
        values = samples(firms)
        for firm in firms:
            firm.store.close()
    (HERE / "values.jsonl").write_text(lines(values), "utf-8")
    texts = [repr(each) for each in values]
    assert not any(re.search(r"[\r\n]", each) for each in texts)
    (HERE / "values.txt").write_text("\n".join([*texts, ""]), "utf-8")
    for path in sorted(HERE.rglob("*.*")):
        print(f"{path.stat().st_size:>8}  {path.relative_to(HERE)}")


if __name__ == "__main__":
    main()
