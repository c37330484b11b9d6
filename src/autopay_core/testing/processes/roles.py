"""
What the processes of a trial do until they are killed, and how it ends.

Holds: `work`, `post`, `settle`, `examine`. Imports: `firm`, `trial`,
`adapters.memory`, `adapters.sqlite`, `audit`, `jobs` (for an engine) and the
core. A worker is a host
like any other: it sweeps, and knows of nothing but its ports.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.audit import (
    GatewayKind,
    GatewayRow,
    audit,
    export_store,
    write_rows,
)
from autopay_core.autopay import AutoPay
from autopay_core.calls import (
    advance_postings,
    attest,
    lift,
    list_holds,
    recover,
    reverse,
    sweep,
)
from autopay_core.charges import Captured, Declined
from autopay_core.commits import Decoded, PostingFilter
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
)
from autopay_core.ports import Ports
from autopay_core.postings import PostingStatus, Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunResult, RunState, RunStatus
from autopay_core.testing.processes.firm import (
    Ledger,
    make_ports,
    open_gateway,
)
from autopay_core.testing.processes.trial import (
    FIRST_DAY,
    Shared,
    Trial,
    autopays,
    bills,
    count,
    keys_of,
    open_store,
    sound,
    usd,
)

if TYPE_CHECKING:
    from autopay_core.testing.processes.jobs import Resting

Role = Callable[[Trial, Shared], None]

__all__ = [
    "Role",
    "examine",
    "guarded",
    "post",
    "prepare",
    "settle",
    "warm_up",
    "work",
]

_NEVER = frozenset(
    {"FieldType", "HostProtocol", "RunTransition", "Unexpected"}
)
_PAGE = 50
_PATIENCE = 400
_DAYS_AFTER = 60


# -- Workers -----------------------------------------------------------------


def warm_up(trial: Trial) -> None:
    """Do once, before any fork, what Python is slow at the first time."""
    if trial.postgres:
        importlib.import_module("autopay_core.adapters.postgres")
    if trial.engine:
        importlib.import_module("autopay_core.testing.processes.jobs")
    store = SqlitePostingStore(":memory:", in_memory=True)
    ports = attrs.evolve(
        memory_ports(bills(0, FIRST_DAY + timedelta(days=1))), postings=store
    )
    for _ in sweep(autopays(), as_of=FIRST_DAY, ports=ports):
        pass
    moved = Decoded(store.postings(PostingFilter()))
    advance_postings(moved, PostingStatus.QUEUED, ports=ports)
    audit(export_store(store), (), ())
    store.close()


def prepare(trial: Trial, shared: Shared) -> None:
    """Make every file and table, before anybody needs them."""
    Ledger(trial.ledger_path).bill(trial.seed, FIRST_DAY)
    open_gateway(trial, shared).close()
    store = open_store(trial, shared.store_now)
    nobody = RunKey(autopay="nobody", nominal_on=FIRST_DAY)
    trial.identity_path.write_text(store.standing(nobody, "").store)
    store.close()
    if trial.engine:
        from autopay_core.testing.processes.jobs import (  # noqa: PLC0415 - an extra
            prepare_jobs,
        )

        prepare_jobs(trial, shared)


def work(trial: Trial, shared: Shared) -> None:
    """Sweep until killed, or until the driver is gone."""
    parent = os.getppid()
    chance = random.Random()  # noqa: S311 - the order of work
    orders = list(autopays())
    ports = _patiently(lambda: make_ports(trial, shared))
    if trial.plant:
        ports = _planted(trial.plant, ports)
    if trial.engine:
        from autopay_core.testing.processes.jobs import (  # noqa: PLC0415 - an extra
            work_jobs,
        )

        work_jobs(trial, shared, ports, partial(_watch, trial))
    shared.say_ready()
    while os.getppid() == parent:
        chance.shuffle(orders)
        try:
            _watch(
                trial,
                sweep(
                    _one_by_one(orders, shared),
                    as_of=shared.today,
                    ports=ports,
                    claim_seconds=chance.choice((0, 0, 30)),
                ),
            )
        except PortError as error:
            count(trial, f"sweep {error.code}")
            time.sleep(0.02)


def _one_by_one(
    orders: Iterable[AutoPay], shared: Shared
) -> Iterator[AutoPay]:
    for each in orders:
        shared.say_turn()
        yield each


def _patiently(call: Callable[[], Ports]) -> Ports:
    """Try until the database is there."""
    while True:
        try:
            return call()
        except PortError:
            time.sleep(0.02)


def _planted(plant: str, ports: Ports) -> Ports:
    module, _, name = plant.partition(":")
    return cast("Ports", getattr(importlib.import_module(module), name)(ports))


def _watch(trial: Trial, results: Iterable[RunResult]) -> None:
    """Sound the alarm for what no flow may end with."""
    for result in results:
        if result.status is not RunStatus.POSTPONED:
            continue
        count(trial, f"run {result.reason}")
        if result.reason in _NEVER:
            sound(trial, f"{result.reason} {result.key}: {result.detail}")


# -- The ledger --------------------------------------------------------------


def post(trial: Trial, shared: Shared) -> None:
    """Bill, post, and carry over what went back, until killed."""
    parent = os.getppid()
    chance = random.Random()  # noqa: S311 - the order of work
    ports = _patiently(lambda: make_ports(trial, shared))
    if trial.plant:
        ports = _planted(trial.plant, ports)
    ledger = cast("Ledger", ports.matters)
    shared.say_ready()
    while os.getppid() == parent:
        ledger.bill(trial.seed, shared.today)
        try:
            _post_once(ports, ledger)
            if chance.random() < 0.02:
                _give_back(trial, shared, chance)
            if chance.random() < 0.15:
                _attest_all(trial, shared, ports)
                _lift_all(ports)
            _carry_over(trial, shared, ports, ledger)
        except PortError:
            time.sleep(0.02)
        time.sleep(chance.random() * 0.03)


def _post_once(ports: Ports, ledger: Ledger) -> int:
    """Move every posting one step on: the balance first, then the status."""
    number = 0
    for status, to in (
        (PostingStatus.POSTED, PostingStatus.APPLIED),
        (PostingStatus.QUEUED, PostingStatus.POSTED),
        (PostingStatus.PENDING, PostingStatus.QUEUED),
    ):
        page = Decoded(
            ports.postings.postings(
                PostingFilter(statuses=frozenset({status}), most=_PAGE)
            )
        )
        if not page:
            continue
        if to is PostingStatus.APPLIED:
            ledger.apply(page)
        number += len(page)
        advance_postings(page, to, ports=ports, by="ledger")
    return number


def _give_back(trial: Trial, shared: Shared, chance: random.Random) -> None:
    """Let a captured payment go back, wholly or in part."""
    gateway = open_gateway(trial, shared)
    taken = [
        each for each in gateway.rows() if each.kind is GatewayKind.CAPTURED
    ]
    if taken:
        each = chance.choice(taken)
        minor = each.amount.amount_minor
        amount = usd(chance.choice((minor, max(1, minor // 3))))
        kind = chance.choice((GatewayKind.REFUND, GatewayKind.CHARGEBACK))
        # It may have gone back before.
        with contextlib.suppress(InvalidValueError):
            gateway.give_back(
                each.reference, f"re-{each.reference}", kind, amount
            )
    gateway.close()


def _carry_over(
    trial: Trial, shared: Shared, ports: Ports, ledger: Ledger
) -> int:
    """Tell the store of everything that went back; return what is left."""
    gateway = open_gateway(trial, shared)
    rows = list(gateway.rows())
    gateway.close()
    key_of = {each.reference: each.key for each in rows if each.key}
    left = 0
    for each in rows:
        if not each.kind.goes_back or ledger.is_told(each.reference):
            continue
        run = _run_of(trial, key_of[each.of], shared.today)
        if run is None:
            sound(trial, f"Orphan {each.reference}: no run has the key")
            continue
        reversal = Reversal(
            event=each.reference,
            kind=ReversalKind(each.kind.value),
            amount=each.amount,
            on=run.nominal_on,
        )
        try:
            reverse(run, reversal, ports=ports, by="gateway")
        except InvalidValueError as error:
            if error.code != "OrphanEvent":
                sound(trial, f"{error.code} {run}: {error}")
            left += 1
            continue
        ledger.tell(each.reference)
    return left


def _run_of(trial: Trial, key: str, today: date) -> RunKey | None:
    for days in range((today - FIRST_DAY).days + 1):
        found = keys_of(trial, FIRST_DAY + timedelta(days=days)).get(key)
        if found is not None:
            return found
    return None


# -- Rest --------------------------------------------------------------------


def settle(trial: Trial, shared: Shared) -> None:
    """
    Let everything come to rest in a world without mischief.

    First minutes pass, then hours, then days; what is still in review then
    is resolved by a person who reads the gateway's statement. Then days go
    by until every invoice is paid.
    """
    ports = _patiently(lambda: make_ports(trial, shared))
    ledger = cast("Ledger", ports.matters)
    jobs: Resting | None = None
    if trial.engine:
        from autopay_core.testing.processes.jobs import (  # noqa: PLC0415 - an extra
            Resting,
        )

        jobs = Resting(trial, shared, ports, partial(_watch, trial))
    for round_ in range(_PATIENCE):
        if _rests(trial, shared, ports, ledger, jobs):
            break
        if round_ > 30:
            _attest_all(trial, shared, ports)
        _lift_all(ports)
        shared.jump((120, 900, 7_200, 90_000)[min(round_ // 8, 3)])
    else:
        left = [f"{each.key} {each.reason}" for each in _under_way(ports)]
        sound(trial, f"NoRest: something is under way for ever {left}")
    for _ in range(_DAYS_AFTER):
        if not ledger.owed() and not _under_way(ports):
            return
        shared.next_day()
        for _ in range(_PATIENCE):
            if _rests(trial, shared, ports, ledger, jobs):
                break
            _lift_all(ports)
            shared.jump(90_000)
    left = [f"{each.key} {each.reason}" for each in _under_way(ports)]
    sound(trial, f"Unpaid: {ledger.owed()} cents are owed for ever {left}")


def _rests(
    trial: Trial,
    shared: Shared,
    ports: Ports,
    ledger: Ledger,
    jobs: Resting | None,
) -> bool:
    """Do everything once; tell whether nothing is left to do."""
    if jobs is None:
        _watch(trial, recover(ports=ports))
        _watch(trial, sweep(autopays(), as_of=shared.today, ports=ports))
    else:
        jobs.night()
    moved = _post_once(ports, ledger)
    left = _carry_over(trial, shared, ports, ledger)
    # A retry is due on a date, which has to come first (N3).
    under_way = [
        each
        for each in _under_way(ports)
        if each.next_try_on is None or each.next_try_on <= shared.today
    ]
    told = not ports.postings.undelivered(1)
    return told and not (moved or left or under_way)


def _under_way(ports: Ports) -> list[RunRecord]:
    store = cast("SqlitePostingStore", ports.postings)
    return [each for each in store.runs() if not each.state.is_finished]


def _attest_all(trial: Trial, shared: Shared, ports: Ports) -> None:
    """
    Resolve reviews as a person would, by the gateway's statement.

    Only what no request can change any more: its last deadline has passed at
    the gateway before the statement is read.
    """
    over = shared.now() - timedelta(minutes=5)
    gateway = open_gateway(trial, shared)
    taken: dict[str, GatewayRow] = {
        each.key: each
        for each in gateway.rows()
        if each.kind is GatewayKind.CAPTURED
    }
    gateway.close()
    store = cast("SqlitePostingStore", ports.postings)
    for record in list(store.runs()):
        if record.state is not RunState.REVIEW:
            continue
        attempt = record.attempts[-1]
        if over < attempt.deadline:
            continue
        row = taken.get(attempt.key)
        outcome: Captured | Declined = (
            Declined(key=attempt.key, code="not-on-statement")
            if row is None
            else Captured(
                key=attempt.key, amount=row.amount, reference=row.reference
            )
        )
        # A look-up may have been faster.
        with contextlib.suppress(InvalidValueError):
            attest(
                record.key,
                outcome,
                by="operator",
                reason="The gateway has forgotten the key.",
                evidence="statement",
                ports=ports,
            )


def _lift_all(ports: Ports) -> None:
    """Lift what rules hold, as a person would who has looked at it (H3)."""
    for held in list_holds(ports=ports):
        # Another may have been faster.
        with contextlib.suppress(InvalidValueError):
            lift(held, by="operator", reason="Looked at.", ports=ports)


# -- The verdict -------------------------------------------------------------


def examine(trial: Trial, shared: Shared) -> None:
    """Audit from outside truth, and write the report."""
    store = open_store(trial, shared.store_now)
    ledger = Ledger(trial.ledger_path)
    gateway = open_gateway(trial, shared)
    rows = list(gateway.rows())
    write_rows(trial.folder / "gateway.csv", rows)
    write_rows(trial.folder / "ledger.csv", ledger.rows())
    found = audit(export_store(store), rows, ledger.rows(), stuck_seconds=0)
    records = list(store.runs())
    problems = [str(each) for each in found]
    problems += _incomplete(records, shared.today)
    problems += _untold(records, ledger)
    problems += _over_the_limit(trial, rows, shared.today)
    if trial.alarms_path.exists():
        problems += trial.alarms_path.read_text().splitlines()
    events: Counter[str] = Counter()
    if trial.events_path.exists():
        events.update(trial.events_path.read_text().splitlines())
    report: dict[str, Any] = {
        "problems": problems,
        "days": (shared.today - FIRST_DAY).days + 1,
        "runs": len(records),
        "states": Counter(each.state.value for each in records),
        "attempts": sum(len(each.attempts) for each in records),
        "tries": sum(
            attempt.tries for each in records for attempt in each.attempts
        ),
        "captures": sum(each.kind is GatewayKind.CAPTURED for each in rows),
        "returns": sum(each.kind.goes_back for each in rows),
        "events": dict(sorted(events.items())),
        "reached": _reached(store),
    }
    if trial.engine:
        from autopay_core.testing.processes.jobs import (  # noqa: PLC0415 - an extra
            jobs_of,
        )

        report["jobs"] = jobs_of(trial)
        if failed := report["jobs"].get("turn failed", 0):
            problems.append(f"JobsFailed  {failed} turns")
    path = trial.folder / "report.json"
    path.write_text(json.dumps(report))


def _incomplete(records: Iterable[RunRecord], last: date) -> list[str]:
    """Find occurrences without a record (Q6)."""
    known = {each.key for each in records}
    return [
        f"NoRecord  {key}"
        for autopay in autopays()
        for days in range((last - FIRST_DAY).days + 1)
        for key in [
            RunKey(
                autopay=autopay.id, nominal_on=FIRST_DAY + timedelta(days=days)
            )
        ]
        if key not in known
    ]


def _untold(records: Iterable[RunRecord], ledger: Ledger) -> list[str]:
    """Find paid and failed runs that nobody was told of (Q3, N1)."""
    kinds = {
        RunState.PAID: ("paid", "paid_in_part"),
        RunState.FAILED: ("failed",),
    }
    mail = ledger.mail()
    return [
        f"NotTold  {each.key} {each.state.value}"
        for each in records
        if each.state in kinds
        and not any(
            (kind, each.key.autopay, each.charge_on.isoformat()) in mail
            for kind in kinds[each.state]
        )
    ]


def _over_the_limit(
    trial: Trial, rows: Iterable[GatewayRow], last: date
) -> list[str]:
    """Find runs and months that took more than their limit (I3, L7)."""
    limits = {str(each.id): each.limit for each in autopays()}
    taken: Counter[RunKey] = Counter()
    keys: dict[str, RunKey] = {}
    for days in range((last - FIRST_DAY).days + 1):
        keys |= keys_of(trial, FIRST_DAY + timedelta(days=days))
    for each in rows:
        if each.kind is GatewayKind.CAPTURED and each.key in keys:
            taken[keys[each.key]] += each.amount.amount_minor
    return [
        f"OverLimit  {key} took {minor} cents"
        for key, minor in taken.items()
        for most in [limits[key.autopay].per_run]
        if most is not None and minor > most.amount_minor
    ]


def _reached(store: object) -> dict[str, int]:
    """Count what became of runs on the way, by the store's history."""
    seen: Counter[str] = Counter()
    known = cast("SqlitePostingStore", store)
    for chain in range(16):
        after = 0
        while page := known.history(chain, after):
            for entry in page:
                for run in cast("Any", entry.facts).get("runs", ()):
                    seen[f"{run['state']} {run['reason']}".strip()] += 1
            after = page[-1].seq
    return dict(sorted(seen.items()))


def guarded(trial: Trial, shared: Shared, role: Role) -> None:
    """Play *role*, and sound the alarm when it breaks."""
    try:
        role(trial, shared)
    except BaseException as error:
        code = error.code if isinstance(error, AutopayError) else ""
        sound(trial, f"Broken {role.__name__}: {code} {error!r}")
        raise
