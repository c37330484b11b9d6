"""
The firm of a trial: its ledger, its mail, and the gateway over a socket.

Holds: `Ledger` (matter data, posted payments, delivered notices),
`RemoteGateway` and `serve`. Imports: `trial`, `audit`, `serialization`,
`gateway_faulty`, the core and the standard library. The ledger is one SQLite
file that every process opens; the gateway is a process of its own on a Unix
socket, so that a worker can die while its request lives on.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, cast, final

from autopay_core.associations import (
    InvoicePage,
    InvoiceQuery,
    visible,
)
from autopay_core.audit import LedgerKind, LedgerRow
from autopay_core.charges import (
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.errors import AutopayError, PortError, PortUnavailableError
from autopay_core.invoices import Invoice, SearchPage, SearchQuery
from autopay_core.notices import Notice
from autopay_core.ports import Ports, PostingStore
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.serialization import KINDS, dumps, loads
from autopay_core.testing.gateway_faulty import (
    FaultyGateway,
    FaultyTwoStepGateway,
)
from autopay_core.testing.processes.trial import (
    FIRST_DAY,
    SECRET,
    Shared,
    Trial,
    bills,
    count,
    keys_of,
    mischief,
    open_store,
    promises,
    sound,
    usd,
)

__all__ = ["Ledger", "RemoteGateway", "make_ports", "open_gateway", "serve"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS invoices (
    number TEXT PRIMARY KEY, client TEXT, matter TEXT, issued TEXT,
    billed INTEGER, balance INTEGER);
CREATE INDEX IF NOT EXISTS invoices_open ON invoices (client)
    WHERE balance <> 0;
CREATE TABLE IF NOT EXISTS applied (
    posting TEXT PRIMARY KEY, invoice TEXT, minor INTEGER);
CREATE TABLE IF NOT EXISTS billed (day TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS told (event TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS mail (
    key TEXT PRIMARY KEY, kind TEXT, autopay TEXT, day TEXT, times INTEGER);
"""
_ANSWER_SECONDS: Final = 4.0
_LOOKED_UP: Final = (Captured, Pending, Declined, Indeterminate, NotFound)


@final
class Ledger:
    """
    The firm's books: matter data, notifier and ledger in one file.

    Args:
        path: The file; made if it is not there.

    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
        # It must survive killed processes, not a power failure.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- The firm ------------------------------------------------------------

    def bill(self, seed: int, on: date) -> None:
        """Bill all that is billed on a date, once."""
        known = self._db.execute(
            "SELECT 1 FROM billed WHERE day = ?", (on.isoformat(),)
        ).fetchone()
        if known is not None:
            return
        with self._writing():
            for each in bills(seed, on):
                minor = each.balance.amount_minor
                self._db.execute(
                    "INSERT OR IGNORE INTO invoices VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        each.number,
                        each.client,
                        each.matter,
                        on.isoformat(),
                        minor,
                        minor,
                    ),
                )
            self._db.execute(
                "INSERT OR IGNORE INTO billed VALUES (?)", (on.isoformat(),)
            )

    def apply(self, postings: Sequence[Posting]) -> None:
        """Let balances show postings, each once."""
        with self._writing():
            for each in postings:
                cursor = self._db.execute(
                    "INSERT OR IGNORE INTO applied VALUES (?, ?, ?)",
                    (each.id, each.invoice, each.amount.amount_minor),
                )
                if cursor.rowcount:
                    self._db.execute(
                        "UPDATE invoices SET balance = balance - ? "
                        "WHERE number = ?",
                        (each.amount.amount_minor, each.invoice),
                    )

    def owed(self) -> int:
        """Return what all invoices ask for, in cents."""
        ((owed,),) = self._db.execute(
            "SELECT COALESCE(SUM(MAX(balance, 0)), 0) FROM invoices"
        )
        return cast("int", owed)

    def is_told(self, event: str) -> bool:
        """Tell whether an event of the gateway was carried over."""
        row = self._db.execute(
            "SELECT 1 FROM told WHERE event = ?", (event,)
        ).fetchone()
        return row is not None

    def tell(self, event: str) -> None:
        """Remember that an event was carried over."""
        self._db.execute("INSERT OR IGNORE INTO told VALUES (?)", (event,))

    def rows(self) -> Iterator[LedgerRow]:
        """Read everything, as for an audit."""
        for number, minor in self._db.execute(
            "SELECT number, billed FROM invoices ORDER BY number"
        ):
            yield LedgerRow(
                kind=LedgerKind.BILLED,
                id=number,
                invoice=number,
                amount=usd(minor),
            )
        for posting, invoice, minor in self._db.execute(
            "SELECT posting, invoice, minor FROM applied ORDER BY posting"
        ):
            yield LedgerRow(
                kind=LedgerKind.POSTING,
                id=posting,
                invoice=invoice,
                amount=usd(minor),
            )

    # -- Matter data ---------------------------------------------------------

    def open_invoices(self, query: InvoiceQuery, /) -> InvoicePage:
        """Return every open invoice that the query covers (MD-1 to MD-4)."""
        clients = sorted({each.client for each in query.associations})
        marks = ", ".join("?" * len(clients))
        found = [
            Invoice(
                number=number,
                client=client,
                matter=matter,
                issued_on=date.fromisoformat(issued),
                balance=usd(balance),
            )
            for number, client, matter, issued, balance in self._db.execute(
                "SELECT number, client, matter, issued, balance "  # noqa: S608 - question marks
                "FROM invoices WHERE balance <> 0 "
                f"AND client IN ({marks})",
                clients,
            )
        ]
        shown = visible(found, query.associations)
        return InvoicePage(invoices=tuple(shown), total=len(shown))

    def search(self, query: SearchQuery, /) -> SearchPage:  # noqa: ARG002 - nobody searches
        """Find nothing: a trial's associations are made."""
        return SearchPage(results=())

    # -- Notifier ------------------------------------------------------------

    def send(self, notice: Notice, /) -> None:
        """Accept a notice, now and then not (NT-1 to NT-3)."""
        if os.urandom(1)[0] < 8:
            raise PortUnavailableError("the mail is down")
        self._db.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, 1) "
            "ON CONFLICT (key) DO UPDATE SET times = times + 1",
            (
                notice.key,
                notice.kind.value,
                notice.autopay,
                notice.on.isoformat(),
            ),
        )

    def mail(self) -> set[tuple[str, str, str]]:
        """Return kind, auto-pay and date of everything that was told."""
        rows = self._db.execute("SELECT kind, autopay, day FROM mail")
        return {(kind, autopay, day) for kind, autopay, day in rows}


# -- The gateway's process ---------------------------------------------------


def open_gateway(
    trial: Trial, shared: Shared
) -> FaultyGateway | FaultyTwoStepGateway:
    """Open the gateway's file."""
    kind = FaultyTwoStepGateway if trial.two_step else FaultyGateway
    return kind(
        trial.gateway_path,
        clock=shared.now,
        capabilities=promises(trial),
        mischief=mischief(heals=shared.heals),
    )


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    desk: _Desk

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - of the base
        """Say nothing when a caller was killed while it waited."""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line.endswith(b"\n"):
            desk = cast("_Server", self.server).desk
            self.wfile.write(desk.answer(line) + b"\n")


class _Desk:
    """What the gateway's process does with a request, and what it checks."""

    def __init__(self, trial: Trial, shared: Shared) -> None:
        self._trial = trial
        self._shared = shared
        self._gateway = open_gateway(trial, shared)
        self._store: PostingStore | None = None
        self._keys: dict[str, RunKey] = {}
        self._known_to = FIRST_DAY
        self._lock = threading.Lock()

    def answer(self, line: bytes) -> bytes:
        asked = json.loads(line)
        try:
            answer = self._carry_out(asked)
        except PortUnavailableError as error:
            reply = {"unavailable": error.code}
            count(self._trial, f"gateway {error.code}")
        except AutopayError as error:
            reply = {"error": error.code}
            count(self._trial, f"gateway {error.code}")
        else:
            reply = (
                {"text": answer}
                if isinstance(answer, str)
                else {"value": dumps(answer)}
            )
            name = (
                "prepared"
                if isinstance(answer, str)
                else (type(answer).__name__)
            )
            count(self._trial, f"{asked['call']} {name}")
        return json.dumps(reply).encode()

    def _carry_out(self, asked: dict[str, str]) -> object:
        gateway = self._gateway
        key, reference = asked.get("key", ""), asked.get("reference")
        if asked["call"] == "lookup":
            return gateway.lookup(key)
        if asked["call"] == "lookup_reference":
            return gateway.lookup_reference(reference or "", key)
        if asked["call"] == "cancel":
            return gateway.cancel(key, reference)
        request = loads(asked["request"], ChargeRequest)
        if isinstance(gateway, FaultyGateway):
            self._check_intent(request, None)
            return gateway.charge(request)
        if asked["call"] == "prepare":
            return gateway.prepare(request)
        assert reference is not None
        self._check_intent(request, reference)
        return gateway.confirm(reference, request)

    def _check_intent(
        self, request: ChargeRequest, reference: str | None
    ) -> None:
        """Sound the alarm if no intent stands in the store (I4, I5)."""
        key = self._run_of(request.key)
        if key is None:
            sound(self._trial, f"WriteAhead {request.key}: no run has it")
            return
        try:
            with self._lock:
                if self._store is None:
                    self._store = open_store(
                        self._trial, self._shared.store_now
                    )
            record = self._store.standing(key, "").run
        except PortError:
            count(self._trial, "intent not checked")
            return
        attempts = () if record is None else record.attempts
        for each in attempts:
            if each.key != request.key:
                continue
            if each.request_hash != request.request_hash:
                sound(self._trial, f"SameKey {key}: another request")
            if each.reference != reference:
                sound(self._trial, f"Reference {key}: not the one on record")
            return
        sound(self._trial, f"WriteAhead {key}: no intent is on record")

    def _run_of(self, key: str) -> RunKey | None:
        with self._lock:
            while self._known_to <= self._shared.today:
                self._keys.update(keys_of(self._trial, self._known_to))
                self._known_to = date.fromordinal(
                    self._known_to.toordinal() + 1
                )
            return self._keys.get(key)


def serve(trial: Trial, shared: Shared) -> None:
    """Be the gateway until killed, or until the driver is gone."""
    parent = os.getppid()
    path = trial.socket_path
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    desk = _Desk(trial, shared)
    with _Server(str(path), _Handler) as server:
        server.desk = desk
        serving = threading.Thread(
            target=server.serve_forever, args=(0.05,), daemon=True
        )
        serving.start()
        shared.say_ready()
        while os.getppid() == parent:
            time.sleep(0.2)


@final
class RemoteGateway:
    """
    The gateway as a worker sees it, in one step or two.

    Args:
        path: The gateway's socket.
        capabilities: What it promises.

    """

    def __init__(self, path: Path, capabilities: GatewayCapabilities) -> None:
        self._path = path
        self.capabilities = capabilities

    def charge(self, request: ChargeRequest, /) -> ChargeOutcome:
        """Take the money in one step."""
        asked = {"call": "charge", "request": dumps(request)}
        return cast("ChargeOutcome", self._ask(asked))

    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """Make a reference, or hear that there is none."""
        found = self._ask({"call": "prepare", "request": dumps(request)})
        if not isinstance(found, str | Declined):
            raise PortError("no reference came")
        return found

    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """Take the money for a reference."""
        asked = {
            "call": "confirm",
            "reference": reference,
            "request": dumps(request),
        }
        return cast("ChargeOutcome", self._ask(asked))

    def lookup(self, key: str, /) -> LookupOutcome:
        """Ask what became of a key."""
        found = self._ask({"call": "lookup", "key": key})
        assert isinstance(found, _LOOKED_UP)
        return found

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """Ask what became of a reference."""
        found = self._ask(
            {"call": "lookup_reference", "reference": reference, "key": key}
        )
        assert isinstance(found, _LOOKED_UP)
        return found

    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """Ask that nothing under a key is taken any more."""
        asked = {"call": "cancel", "key": key}
        if reference is not None:
            asked["reference"] = reference
        return cast("CancelOutcome", self._ask(asked))

    def _ask(self, asked: dict[str, str]) -> object:
        line = json.dumps(asked).encode() + b"\n"
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(_ANSWER_SECONDS)
            try:
                wire.connect(str(self._path))
            except OSError as error:
                # Not one byte has left this process.
                raise PortUnavailableError("nobody listens") from error
            try:
                wire.sendall(line)
                with wire.makefile("rb") as file:
                    answer = file.readline()
            except OSError:
                return Indeterminate(detail="no answer came")
        if not answer.endswith(b"\n"):
            return Indeterminate(detail="the answer broke off")
        reply = json.loads(answer)
        if "unavailable" in reply:
            raise PortUnavailableError("refused", code=reply["unavailable"])
        if "error" in reply:
            raise PortError("refused", code=reply["error"])
        if "text" in reply:
            return reply["text"]
        text = reply["value"]
        return loads(text, KINDS[json.loads(text)["schema"]])


def make_ports(trial: Trial, shared: Shared) -> Ports:
    """Return the four ports as a process of a trial has them."""
    ledger = Ledger(trial.ledger_path)
    return Ports(
        matters=ledger,
        gateway=RemoteGateway(trial.socket_path, promises(trial)),
        postings=open_store(trial, shared.store_now),
        notifier=ledger,
        key_secret=SECRET,
    )
