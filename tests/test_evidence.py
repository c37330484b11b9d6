"""
What earlier versions left behind opens, goes on, and is charged once.

`data/<commit>` holds stores, JSON texts and what gateways knew, as the
library of that commit wrote them; its README says how. Nothing in there is
ever written anew: a version that cannot go on from it needs a migration.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

# The one place to adapt when a name moves.
import autopay_core as ap
from autopay_core import calls, serialization
from autopay_core.adapters.memory import MemoryMatterData
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.history import HistoryHead, verify_history
from autopay_core.ports import (
    Captured,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    NotFound,
    Pending,
    PortError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DATA: Final = Path(__file__).parent / "data" / "edda14f"
TODAY: Final = date(2026, 3, 16)
TOMORROW: Final = TODAY + timedelta(days=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SWEPT_AFTER: Final = (0, 1, 3, 4, 8, 11, 15, 22, 31, 32)
"""Days after the last of the evidence on which the host sweeps again."""

UNDER_WAY: Final = ("open", "pending", "review")
RESTORED: Final = "ap-restored"
"""Its run was charged, but the store was restored from before that."""


# -- What is there -----------------------------------------------------------


@cache
def texts(name: str) -> tuple[str, ...]:
    """Return the lines of a file of texts."""
    return tuple((DATA / name).read_text("utf-8").splitlines())


def values(name: str) -> list[Any]:
    """Read what a file of texts holds."""
    return [value_of(text) for text in texts(name)]


def value_of(text: str) -> Any:
    kind = serialization.KINDS[json.loads(text)["schema"]]
    return serialization.loads(text, kind)


def lacks(kept: Any, found: Any, path: str = "") -> list[str]:
    """
    Return where *found* does not say what *kept* says, as JSON.

    A field that a later version added is no lack.
    """
    if isinstance(kept, dict) and isinstance(found, dict):
        return [
            lack
            for name, each in kept.items()
            for lack in (
                lacks(each, found[name], f"{path}.{name}")
                if name in found
                else [f"{path}.{name} is gone"]
            )
        ]
    if isinstance(kept, list) and isinstance(found, list):
        if len(kept) != len(found):
            return [f"{path}: {len(found)} items instead of {len(kept)}"]
        return [
            lack
            for place, (one, other) in enumerate(zip(kept, found, strict=True))
            for lack in lacks(one, other, f"{path}[{place}]")
        ]
    if type(kept) is type(found) and kept == found:
        return []
    return [f"{path}: {found!r} instead of {kept!r}"]


def lacks_of(text: str, value: Any) -> list[str]:
    """Return where a value does not say what its kept text says."""
    kept, found = json.loads(text), json.loads(serialization.dumps(value))
    return lacks(kept["data"], found["data"], kept["schema"])


def says(kept: ast.expr, found: ast.expr) -> bool:
    """
    Tell whether a value's repr says all that was kept.

    A named argument that a later version added is passed over.
    """
    match kept, found:
        case ast.Call(), ast.Call():
            named = {each.arg: each.value for each in found.keywords}
            return (
                says(kept.func, found.func)
                and all_say(kept.args, found.args)
                and all(
                    each.arg in named and says(each.value, named[each.arg])
                    for each in kept.keywords
                )
            )
        case ast.Tuple(), ast.Tuple():
            return all_say(kept.elts, found.elts)
        case ast.Set(), ast.Set():
            # A set has another order each time.
            return all_say(
                sorted(kept.elts, key=ast.dump),
                sorted(found.elts, key=ast.dump),
            )
        case _:
            return ast.dump(kept) == ast.dump(found)


def all_say(kept: Sequence[ast.expr], found: Sequence[ast.expr]) -> bool:
    return len(kept) == len(found) and all(map(says, kept, found))


def parsed(shown: str) -> ast.expr:
    return ast.parse(shown, mode="eval").body


# -- Ports that know what was known ------------------------------------------


class Clock:
    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now) + timedelta(hours=2)

    def __call__(self) -> datetime:
        return self.now

    def move_to(self, on: date) -> None:
        hour = datetime.combine(on, self.now.timetz())
        self.now = max(self.now, hour)


class KnowingGateway:
    """
    A gateway that goes on from what the make-believe one knew (PG-1 to PG-9).

    It takes money at most once for each key, and in two steps at most once
    for each reference: whoever prepares again can charge twice.
    """

    def __init__(
        self, knew: Mapping[str, Any], clock: Clock, *, two_step: bool
    ) -> None:
        self.capabilities = GatewayCapabilities(
            two_step=two_step,
            key_retention_seconds=knew["key_retention_seconds"],
            lookup_settle_seconds=knew["lookup_settle_seconds"],
            honours_deadline=knew["honours_deadline"],
        )
        self._clock = clock
        self._two_step = two_step
        self._prepared = {
            each["prepared_as"]: asked_of(each) for each in knew["prepared"]
        }
        # By key, or by reference in two steps.
        self._asked: dict[str, tuple[Any, ...]] = {}
        self._outcomes: dict[str, Captured | Pending | Declined] = {}
        for each in knew["executed"]:
            name = each["prepared_as"] if two_step else each["key"]
            self._asked[name] = asked_of(each)
            self._outcomes[name] = outcome_of(each)
        self.calls: list[str] = []

    @property
    def captured(self) -> list[Captured]:
        return [
            each
            for each in self._outcomes.values()
            if isinstance(each, Captured)
        ]

    def settle(self) -> None:
        """Let every bank debit that is under way succeed."""
        for name, each in self._outcomes.items():
            if isinstance(each, Pending):
                self._outcomes[name] = Captured(
                    key=each.key, amount=each.amount, reference=each.reference
                )

    def lookup(self, key: str, /) -> Any:
        self.calls.append("lookup")
        for each in self._outcomes.values():
            if each.key == key:
                return each
        return NotFound()

    def charge(self, request: Any, /) -> Any:
        self.calls.append("charge")
        return self._execute(request.key, request)

    def prepare(self, request: Any, /) -> str:
        self.calls.append("prepare")
        reference = f"new-{len(self._prepared):06d}"
        self._prepared[reference] = asked(request)
        return reference

    def confirm(self, reference: str, request: Any, /) -> Any:
        self.calls.append("confirm")
        if self._prepared[reference] != asked(request):
            raise PortError("another request was prepared", code="KeyReuse")
        return self._execute(reference, request)

    def _execute(self, name: str, request: Any) -> Any:
        if name in self._outcomes:
            if self._asked[name] != asked(request):
                raise PortError("another request", code="KeyReuse")
            return self._outcomes[name]
        if request.not_after is not None and self._clock() > request.not_after:
            raise ap.PortUnavailableError("the deadline has passed")
        self._asked[name] = asked(request)
        self._outcomes[name] = Captured(
            key=request.key,
            amount=request.amount,
            reference=f"new-{len(self._outcomes):06d}",
        )
        return self._outcomes[name]


def asked(request: Any) -> tuple[Any, ...]:
    """Return what makes two requests one and the same."""
    return (
        request.key,
        request.amount.amount_minor,
        request.amount.currency,
        request.method.token,
        request.deposit_account.id,
    )


def asked_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("key", "amount_minor", "currency", "token", "account")
    return tuple(row[name] for name in names)


def outcome_of(row: Mapping[str, Any]) -> Captured | Pending | Declined:
    if row["outcome"] == "declined":
        return Declined(
            key=row["key"],
            code=row["code"],
            decline_class=DeclineClass(row["decline_class"]),
            message=row["message"],
        )
    made = Captured if row["outcome"] == "captured" else Pending
    return made(
        key=row["key"],
        amount=ap.Money(
            amount_minor=row["amount_minor"], currency=row["currency"]
        ),
        reference=row["reference"],
    )


class Listener:
    """A notifier that keeps all it hears, whatever it heard before."""

    def __init__(self) -> None:
        self.heard: list[ap.Notice] = []

    def send(self, notice: ap.Notice, /) -> None:
        self.heard.append(notice)


def facts(notice: ap.Notice) -> tuple[Any, ...]:
    """Return what a person who is told twice sees twice."""
    return (
        notice.kind,
        notice.autopay,
        notice.on,
        notice.amount,
        notice.reason,
    )


# -- Where it is laid out ----------------------------------------------------


class SqlitePlace:
    """A file with a store of the evidence, and a way past the library."""

    def __init__(self, firm: str, folder: Path, _: str = "") -> None:
        self._path = folder / "evidence.db"
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(
                (DATA / firm / "sqlite.sql").read_text("utf-8")
            )

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(text).fetchall()

    def open(self, clock: Clock, **options: Any) -> Any:
        return SqlitePostingStore(self._path, clock=clock, **options)

    def close(self) -> None:
        """Leave the file to the folder."""


class PostgresPlace:
    """A database with a store of the evidence, and a way past the library."""

    def __init__(self, firm: str, _: Path, name: str = "evidence") -> None:
        import psycopg

        from postgres_server import shared_server

        self._conninfo = shared_server().new_database(name)
        with psycopg.connect(self._conninfo) as connection:
            connection.execute((DATA / firm / "postgres.sql").read_bytes())

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self._conninfo) as connection:
            return connection.execute(text.encode()).fetchall()

    def open(self, clock: Clock, **options: Any) -> Any:
        from autopay_core.adapters.postgres import PostgresPostingStore

        return PostgresPostingStore(self._conninfo, clock=clock, **options)

    def close(self) -> None:
        """Leave the database to the server."""


class AsyncPostgresPlace(PostgresPlace):
    """The same with the awaitable store."""

    def __init__(
        self, firm: str, folder: Path, name: str = "evidence"
    ) -> None:
        super().__init__(firm, folder, name)
        self._runner = asyncio.Runner()

    def open(self, clock: Clock, **options: Any) -> Any:
        from autopay_core.adapters.postgres import AsyncPostgresPostingStore
        from records import Awaited

        store = AsyncPostgresPostingStore(
            self._conninfo, clock=clock, **options
        )
        return Awaited(store, self._runner)

    def close(self) -> None:
        self._runner.close()


class Firm:
    """
    A host that goes on where the firm of the evidence was left.

    Attributes:
        kept: Rows of every table as they were before the library saw them.
        knew: What the gateway knew, by key.

    """

    def __init__(
        self, firm: str, place: SqlitePlace | PostgresPlace, **options: Any
    ) -> None:
        self.name = firm
        self.place = place
        self.kept = {
            table: place.sql(f"SELECT {columns} FROM autopay_{table}")  # noqa: S608 - constants
            for table, columns in COLUMNS.items()
        }
        knew = json.loads((DATA / firm / "gateway.json").read_text("utf-8"))
        self.knew = {each["key"]: each for each in knew["executed"]}
        self.clock = Clock(knew["now"])
        two_step = options.get("two_step", knew["two_step"])
        self.gateway = KnowingGateway(knew, self.clock, two_step=two_step)
        self.listener = Listener()
        self.invoices = values(f"{firm}/invoices.jsonl")
        self.autopays = {
            str(each.id): each for each in values(f"{firm}/autopays.jsonl")
        }
        self.store = place.open(self.clock)
        self.ports = ap.Ports(
            matters=MemoryMatterData(self.invoices),
            gateway=self.gateway,
            postings=self.store,
            notifier=self.listener,
            key_secret=knew["key_secret"].encode(),
        )

    def close(self) -> None:
        self.store.close()
        self.place.close()

    @property
    def runs(self) -> dict[str, ap.RunRecord]:
        return {str(each.key): each for each in self.store.runs()}

    @property
    def kept_runs(self) -> dict[str, dict[str, Any]]:
        """What the texts of the runs hold, by the run's name."""
        return {
            f"{autopay}/{nominal_on}": json.loads(text)["data"]
            for autopay, nominal_on, text in self.kept["runs"]
        }

    def recover(self) -> None:
        assert list(ap.recover(ports=self.ports))

    def sweep(self, as_of: date, *names: str) -> list[ap.RunResult]:
        """Sweep all but the one that a restored store knows nothing of."""
        wanted = names or tuple(self.autopays.keys() - {RESTORED})
        self.clock.move_to(as_of)
        return list(
            ap.sweep(
                [self.autopays[each] for each in sorted(wanted)],
                as_of=as_of,
                ports=self.ports,
            )
        )

    def charges(self) -> Counter[str]:
        """Count what the gateway took, by the run that the key is of."""
        run_of = {
            str(attempt.key): name
            for name, record in self.runs.items()
            for attempt in record.attempts
        }
        return Counter(
            run_of.get(str(each.key), RESTORED)
            for each in self.gateway.captured
        )


COLUMNS: Final = {
    "runs": "autopay, nominal_on, data",
    "notices": "key, is_delivered, data",
    "attempts": "method, at, minor, currency",
    "reservations": "client, invoice, minor",
    "postings": "client, invoice, minor, is_open",
    "stops": "target, active",
    "schema": "number",
}
"""What is compared of the tables of edda14f."""

PLACES: Final = [
    pytest.param(SqlitePlace, id="sqlite"),
    pytest.param(PostgresPlace, id="postgres", marks=pytest.mark.postgres),
    pytest.param(AsyncPostgresPlace, id="async", marks=pytest.mark.postgres),
]
FIRMS: Final = ["one_step", "two_step"]


@pytest.fixture(params=PLACES)
def open_firm(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Firm]]:
    with contextlib.ExitStack() as stack:

        def opened(firm: str, **options: Any) -> Firm:
            made = Firm(firm, request.param(firm, tmp_path), **options)
            stack.callback(made.close)
            return made

        yield opened


@pytest.fixture(params=FIRMS)
def firm(
    open_firm: Callable[..., Firm], request: pytest.FixtureRequest
) -> Firm:
    return open_firm(request.param)


@pytest.fixture
def one_step(open_firm: Callable[..., Firm]) -> Firm:
    return open_firm("one_step")


@pytest.fixture(scope="module", params=PLACES)
def firms_read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Firm]]:
    """Open each firm once, for the tests that only read."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Firm] = {}
        for name in FIRMS:
            folder = tmp_path_factory.mktemp(name)
            made[name] = Firm(
                name, request.param(name, folder, f"evidence_{name}")
            )
            stack.callback(made[name].close)
        yield made


@pytest.fixture(params=FIRMS)
def firm_read(
    firms_read: Mapping[str, Firm], request: pytest.FixtureRequest
) -> Firm:
    return firms_read[request.param]


# -- It opens, and all of it is read -----------------------------------------


def test_a_store_opens_migrates_and_needs_no_migration_after(
    firm: Firm,
) -> None:
    firm.store.now()
    firm.store.close()

    store = firm.place.open(firm.clock, migrate=False)

    assert len(list(store.runs())) == len(firm.kept["runs"])
    made = {number for (number,) in firm.kept["schema"]}
    assert made == {1, 2}
    assert made <= {
        number
        for (number,) in firm.place.sql("SELECT number FROM autopay_schema")
    }
    store.close()


def test_every_run_says_what_was_written(firm_read: Firm) -> None:
    runs = firm_read.runs

    assert runs.keys() == firm_read.kept_runs.keys()
    assert not [
        lack
        for autopay, nominal_on, text in firm_read.kept["runs"]
        for lack in lacks_of(text, runs[f"{autopay}/{nominal_on}"])
    ]


def test_every_posting_says_what_was_written(firm_read: Firm) -> None:
    kept = texts(f"{firm_read.name}/postings.jsonl")
    found = {
        str(each.id): each for each in ap.read_postings(ports=firm_read.ports)
    }

    assert len(found) == len(kept) == len(firm_read.kept["postings"])
    assert not [
        lack
        for text in kept
        for lack in lacks_of(text, found[json.loads(text)["data"]["id"]])
    ]


def test_every_notice_says_what_was_written(firm_read: Firm) -> None:
    found = {each.key: each for each in firm_read.store.notices()}

    assert found.keys() == {key for key, _, _ in firm_read.kept["notices"]}
    assert not [
        lack
        for key, _, text in firm_read.kept["notices"]
        for lack in lacks_of(text, found[key])
    ]


def test_the_history_fits_the_heads_that_were_kept(firm_read: Firm) -> None:
    heads = heads_of(firm_read)

    assert heads
    assert verify_history(firm_read.store, anchors=heads) == ()


def heads_of(firm: Firm) -> list[HistoryHead]:
    kept = json.loads((DATA / firm.name / "heads.json").read_text("utf-8"))
    return [
        HistoryHead(chain=chain, seq=seq, hash=hashed)
        for chain, seq, hashed in kept
    ]


def test_attempts_still_count_for_their_methods(firm_read: Firm) -> None:
    """Those that were declined or are in doubt; no others do (N3)."""
    by_method: dict[str, list[tuple[Any, ...]]] = {
        method: [] for method, *_ in firm_read.kept["attempts"]
    }
    for _, _, text in firm_read.kept["runs"]:
        run = json.loads(text)["data"]
        for each in run["attempts"]:
            outcome = each["outcome"]
            is_last = each["number"] == len(run["attempts"])
            if (
                outcome["type"] == "declined"
                if outcome
                else is_last and run["state"] in {"open", "review"}
            ):
                by_method[each["method"]].append(
                    (
                        datetime.fromisoformat(each["began_at"]),
                        ap.Money(**each["amount"]),
                    )
                )

    assert any(by_method.values())
    assert {
        method: sorted(each, key=repr) for method, each in by_method.items()
    } == {
        method: sorted(
            (
                (each.at, each.amount)
                for each in firm_read.store.attempts(method, EPOCH)
            ),
            key=repr,
        )
        for method in by_method
    }


def test_what_is_on_its_way_is_still_open(firm_read: Firm) -> None:
    total: Counter[str] = Counter()
    for _, invoice, minor in firm_read.kept["reservations"]:
        total[invoice] += minor
    for _, invoice, minor, is_open in firm_read.kept["postings"]:
        total[invoice] += minor * is_open
    clients = {each.client for each in firm_read.invoices}

    opened = firm_read.store.open_amounts(sorted(clients))

    assert {
        number: each.amount_minor for number, each in opened.amounts.items()
    } == +total


# -- It goes on --------------------------------------------------------------


def test_what_is_in_doubt_ends_as_the_gateway_says(firm: Firm) -> None:
    firm.recover()
    firm.sweep(TODAY)
    # What is in review is looked at once a day.
    firm.sweep(TOMORROW)

    check_ends(firm)


def check_ends(firm: Firm) -> None:
    """Compare the runs that were under way with what the gateway knows."""
    runs, charges = firm.runs, firm.charges()
    stopped = {
        target.partition(":")[2]
        for target, active in firm.kept["stops"]
        if active
    }
    seen: Counter[str] = Counter()
    for name, kept in firm.kept_runs.items():
        if kept["state"] not in UNDER_WAY:
            continue
        record = runs[name]
        knew = firm.knew.get(kept["attempts"][-1]["key"])
        case = "nothing" if knew is None else knew["outcome"]
        if knew is None and record.key.autopay in stopped:
            case = "stopped"
        seen[case] += 1
        if knew is not None and case == "captured":
            assert record.state is ap.RunState.PAID, name
            assert record.captured is not None
            assert record.captured.reference == knew["reference"]
            assert charges[name] == 1
        elif case == "pending":
            assert record.state is ap.RunState.PENDING, name
        elif case == "declined":
            assert record.state in (ap.RunState.FAILED, ap.RunState.WAITING)
            assert charges[name] == 0
        elif case == "stopped":
            assert record.state is not ap.RunState.PAID, name
            assert charges[name] == 0
        elif record.charge_on == TODAY:
            # It was due, it is owed, and nobody took it: it is taken now.
            assert record.state is ap.RunState.PAID, name
            assert charges[name] == 1
        else:
            assert charges[name] <= 1, name
    assert seen.keys() == {
        "captured",
        "pending",
        "declined",
        "stopped",
        "nothing",
    }


def test_life_goes_on_and_nothing_is_charged_twice(firm: Firm) -> None:
    told = {each.key for each in firm.store.notices()}
    firm.recover()
    for days in SWEPT_AFTER:
        if days:
            firm.gateway.settle()
        firm.sweep(TODAY + timedelta(days=days))

    check_money(firm)
    assert verify_history(firm.store, anchors=heads_of(firm)) == ()
    assert told < {each.key for each in firm.store.notices()}
    assert not list(firm.store.undelivered(1))


def check_money(firm: Firm) -> None:
    """Check that what was taken, written and owed fit together."""
    runs, charges = firm.runs, firm.charges()
    assert max(charges.values()) == 1
    references = {str(each.reference) for each in firm.gateway.captured}
    posted: Counter[str] = Counter()
    by_run: Counter[str] = Counter()
    for posting in ap.read_postings(ports=firm.ports):
        posted[str(posting.invoice)] += posting.amount.amount_minor
        if posting.reverses is None:
            by_run[str(posting.run)] += posting.amount.amount_minor
    for name, record in runs.items():
        assert (record.captured is None) == (name not in by_run), name
        if record.captured is not None:
            assert by_run[name] == record.captured.amount.amount_minor
            # One of them was on a statement only, and a person said so.
            assert record.captured.reference in {*references, "statement-17"}
            assert charges[name] == 1 or name.startswith("ap-attested/")
    for invoice in firm.invoices:
        assert posted[invoice.number] <= invoice.total.amount_minor, invoice
    by_name = Counter(name.partition("/")[0] for name in charges)
    if firm.name == "one_step":
        # A stop order holds, also one for a method; one that was lifted
        # does not; and every limit counts what was taken before.
        for name in ("ap-stopped", "ap-blocked", "ap-halted", "ap-off"):
            assert by_name[name] == 0, name
        for name in ("ap-lifted", "ap-announced", "ap-returned"):
            assert by_name[name] == (2 if name == "ap-returned" else 1), name
        assert by_name["ap-capped"] == 2
        assert posted["capped-1"] + posted["capped-2"] == 90_00
    else:
        assert by_name["ap-halted"] == 0


def test_another_form_of_gateway_sends_nothing_again(
    open_firm: Callable[..., Firm],
) -> None:
    firm = open_firm("two_step", two_step=False)
    referenced = {
        name
        for name, kept in firm.kept_runs.items()
        if kept["state"] in UNDER_WAY and kept["attempts"][-1]["reference"]
    }
    before = firm.charges()

    firm.recover()
    firm.sweep(TODAY)
    firm.sweep(TOMORROW)

    assert len(referenced) > 5
    assert all(firm.charges()[name] == before[name] for name in referenced)
    assert max(firm.charges().values()) == 1
    for name in referenced:
        knew = firm.knew.get(firm.kept_runs[name]["attempts"][-1]["key"])
        if knew is not None and knew["outcome"] == "captured":
            assert firm.runs[name].state is ap.RunState.PAID, name


def test_what_a_restored_store_does_not_know_is_not_charged_again(
    one_step: Firm,
) -> None:
    # The key would be another one by now, so the keys of before are looked
    # up, once a person has said that the store was restored (R12).
    [knew] = [each for each in one_step.knew.values() if "run" not in each]
    before = one_step.gateway.captured

    since = one_step.clock() - timedelta(days=1)
    calls.restored(since=since, by="jo", ports=one_step.ports)
    results = one_step.sweep(TODAY, RESTORED)

    [record] = [
        each.record
        for each in results
        if each.key is not None and each.key.autopay == RESTORED
    ]
    assert record is not None
    assert record.captured is not None
    assert record.captured.reference == knew["reference"]
    assert [
        each for each in one_step.gateway.captured if each.key == knew["key"]
    ] == [each for each in before if each.key == knew["key"]]


# -- What is done stays done -------------------------------------------------


def test_a_finished_run_is_left_alone(firm: Firm) -> None:
    runs = firm.runs
    finished = [each for each in runs.values() if each.state.is_finished]
    posted: dict[str, set[str]] = {}
    for each in ap.read_postings(ports=firm.ports):
        if each.reverses is None:
            posted.setdefault(str(each.run), set()).add(str(each.id))

    for record in finished:
        result = ap.run(
            firm.autopays[str(record.key.autopay)],
            on=record.key.nominal_on,
            ports=firm.ports,
        )
        assert result.record == record
        if str(record.key) != "ap-attested/2026-03-13":
            # Its newest invoice got nothing.
            assert {str(each.id) for each in result.postings} == posted.get(
                str(record.key), set()
            )

    assert finished
    assert firm.gateway.calls == []
    assert firm.listener.heard == []
    assert firm.runs == runs


def test_what_went_back_goes_back_once(one_step: Firm) -> None:
    before = ap.read_postings(ports=one_step.ports)
    returned = [each for each in one_step.runs.values() if each.reversals]

    for record in returned:
        [reversal] = record.reversals
        result = calls.reverse(record.key, reversal, ports=one_step.ports)
        assert result.record == record

    assert len(returned) == 3
    assert ap.read_postings(ports=one_step.ports) == before


def test_a_notice_is_told_until_it_was_delivered_and_not_again(
    firm: Firm,
) -> None:
    kept = {
        key: (bool(is_delivered), facts(value_of(text)))
        for key, is_delivered, text in firm.kept["notices"]
    }
    delivered = {what for is_done, what in kept.values() if is_done}
    waiting = sorted(key for key, (is_done, _) in kept.items() if not is_done)

    firm.recover()
    firm.sweep(TODAY)
    firm.sweep(TODAY)

    heard = Counter(each.key for each in firm.listener.heard)
    assert not [key for key, count in heard.items() if count > 1]
    assert [key for key in waiting if heard[key] != 1] == []
    assert not [
        each for each in firm.listener.heard if facts(each) in delivered
    ]
    assert delivered
    assert bool(waiting) == (firm.name == "one_step")


def test_postings_go_on_in_their_life(one_step: Firm) -> None:
    status = ap.PostingStatus
    following = {
        status.PENDING: status.QUEUED,
        status.INCOMPLETE: status.PENDING,
        status.QUEUED: status.POSTED,
        status.POSTED: status.APPLIED,
    }
    before = [
        each
        for each in ap.read_postings(ports=one_step.ports)
        if each.reverses is None
    ]
    assert {each.status for each in before} == set(status)

    for each in before:
        if each.status in following:
            moved = ap.advance_postings(
                [each], following[each.status], ports=one_step.ports, by="kim"
            )
            assert moved is not None

    after = {each.id: each for each in ap.read_postings(ports=one_step.ports)}
    for each in before:
        wanted = following.get(each.status, each.status)
        assert after[each.id].status is wanted


def test_what_is_on_its_way_is_not_paid_again(one_step: Firm) -> None:
    def previewed(name: str) -> ap.Allocation:
        return ap.preview(
            one_step.autopays[name], on=TOMORROW, ports=one_step.ports
        )

    # A run in doubt reserves them; postings of every status are open.
    for name in ("ap-shared", "ap-ledger"):
        allocation = previewed(name)
        assert allocation.total.is_zero
        assert any(
            line.invoice.balance.is_positive for line in allocation.lines
        )
    assert previewed("ap-lifted").total == ap.Money.of("35.00", "USD")


# -- Texts -------------------------------------------------------------------

VALUES: Final = list(
    zip(texts("values.jsonl"), texts("values.txt"), strict=True)
)


@pytest.mark.parametrize(
    "schema", sorted({json.loads(text)["schema"] for text, _ in VALUES})
)
def test_a_text_says_what_it_said(schema: str) -> None:
    mine = [
        each for each in VALUES if each[0].startswith(f'{{"schema":"{schema}"')
    ]
    for text, shown in mine:
        value = value_of(text)

        assert lacks_of(text, value) == []
        assert says(parsed(shown), parsed(repr(value))), repr(value)

    assert mine
