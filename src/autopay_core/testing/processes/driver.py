"""
What kills: the parent of every process of a trial.

Holds: `drive`. Imports: the roles; it opens no database and starts no thread,
so that a fork costs milliseconds and hands nothing down that must not be.
Only processes that it forked are killed or stopped, each by its id, while
they are not yet reaped, so that no id can mean somebody else.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, final

from autopay_core.testing.processes.firm import serve
from autopay_core.testing.processes.roles import (
    Role,
    examine,
    guarded,
    post,
    prepare,
    settle,
    warm_up,
    work,
)
from autopay_core.testing.processes.trial import (
    Shared,
    Trial,
    sound,
)

__all__ = ["drive"]

_LIFE: Final[Mapping[Role, tuple[float, float]]] = {
    work: (0.010, 0.120),
    post: (0.030, 0.400),
    serve: (0.800, 3.000),
}
"""How long a process lives before it is killed, in seconds."""

_PAUSE: Final = (1.0, 5.0)
_OUTAGE: Final = (0.0, 0.4)
_SKEWS: Final = (0.0, 0.0, 200.0, -200.0, 1_500.0, -1_500.0)
_SHUT_DOWN: Final = 10.0


@final
class _Crew:
    """The processes of a trial."""

    def __init__(self, trial: Trial, shared: Shared) -> None:
        self._trial = trial
        self._shared = shared
        self._alive: dict[int, Role] = {}
        self.count: Counter[str] = Counter()

    def start(self, role: Role) -> int:
        """Fork a process that plays *role*; return its id."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # Whatever happens to the driver, nobody lives for ever.
                signal.alarm(self._trial.most_seconds)
                guarded(self._trial, self._shared, role)
                status = 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        self._alive[pid] = role
        return pid

    def kill(self, pid: int) -> None:
        """Kill a process, also one that is stopped, and reap it."""
        role = self._alive.pop(pid)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.count[f"{role.__name__} killed"] += 1
        else:
            self.count[f"{role.__name__} ended"] += 1

    def stop(self, pid: int) -> None:
        """Stop a process where it is."""
        os.kill(pid, signal.SIGSTOP)
        self.count[f"{self._alive[pid].__name__} stopped"] += 1

    def go_on(self, pid: int) -> None:
        """Let a stopped process go on."""
        os.kill(pid, signal.SIGCONT)

    def play(self, role: Role, seconds: float) -> bool:
        """Play *role* to its end; tell whether it came to it."""
        pid = self.start(role)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._alive[pid]
                return status == 0
            time.sleep(0.01)
        self.kill(pid)
        return False

    def report(
        self, report: dict[str, Any], started: float, killing: float
    ) -> dict[str, Any]:
        """Add to a report what became of the processes, and the times."""
        killed = [name for name in self.count if name.endswith(" killed")]
        return report | {
            "kills": sum(self.count[name] for name in killed),
            "processes": dict(sorted(self.count.items())),
            "killing_seconds": round(killing, 1),
            "seconds": round(time.monotonic() - started, 1),
        }

    def end(self) -> None:
        """Kill everybody who is left."""
        for pid in list(self._alive):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                self.kill(pid)


def drive(trial: Trial) -> dict[str, Any]:
    """
    Kill processes as *trial* says, let it rest, and return the report.

    Its ``problems`` are what the audit found, and what must not happen by
    any other rule; none is what is hoped for.
    """
    started = time.monotonic()
    trial.folder.mkdir(parents=True, exist_ok=True)
    shared = Shared(trial.speed)
    crew = _Crew(trial, shared)
    warm_up()
    gc.collect()
    gc.freeze()
    try:
        if not crew.play(prepare, 60):
            raise RuntimeError("the files could not be made; see alarms.txt")
        _say("kills")
        _siege(trial, shared, crew, until=started + trial.most_seconds * 0.7)
        killing = time.monotonic() - started
        if trial.hasty and trial.alarms_path.exists():
            alarms = trial.alarms_path.read_text().splitlines()
            return crew.report({"problems": alarms}, started, killing)
        _say("rest")
        shared.heal()
        crew.end()
        gateway = crew.start(serve)
        left = started + trial.most_seconds - time.monotonic()
        if not crew.play(settle, left - _SHUT_DOWN):
            sound(trial, "NoRest: it took too long, or broke")
        crew.kill(gateway)
        if not crew.play(examine, 60):
            raise RuntimeError("the audit could not be made; see alarms.txt")
    finally:
        crew.end()
    report: dict[str, Any] = json.loads(
        (trial.folder / "report.json").read_text()
    )
    return crew.report(report, started, killing)


def _say(phase: str) -> None:
    """Tell whoever watches, such as a test that kills the database."""
    sys.stderr.write(f"phase {phase}\n")
    sys.stderr.flush()


def _siege(trial: Trial, shared: Shared, crew: _Crew, *, until: float) -> None:
    """Start, stop and kill until there were enough kills."""
    chance = random.Random(trial.seed)  # noqa: S311 - mischief
    # What is due, when: a life's end, the end of a stop, or a start.
    agenda: list[tuple[float, int, str, Role, int]] = []
    place = 0

    def plan(seconds: float, what: str, role: Role, pid: int) -> None:
        nonlocal place
        place += 1
        due = time.monotonic() + seconds
        heapq.heappush(agenda, (due, place, what, role, pid))

    def begin(role: Role) -> None:
        plan(chance.uniform(*_LIFE[role]), "kill", role, crew.start(role))

    begin(serve)
    begin(post)
    for _ in range(trial.workers):
        begin(work)
    kills = 0
    while kills < trial.kills and time.monotonic() < until:
        if trial.hasty and trial.alarms_path.exists():
            return
        due, _, what, role, pid = heapq.heappop(agenda)
        time.sleep(max(0.0, due - time.monotonic()))
        if what == "start":
            begin(role)
        elif what == "go on":
            crew.go_on(pid)
            plan(chance.uniform(*_LIFE[role]), "kill", role, pid)
        elif chance.random() < trial.pause:
            crew.stop(pid)
            plan(chance.uniform(*_PAUSE), "go on", role, pid)
        else:
            crew.kill(pid)
            kills += 1
            outage = chance.uniform(*_OUTAGE) if role is serve else 0.0
            plan(outage, "start", role, 0)
            _let_time_pass(trial, shared, chance, kills)


def _let_time_pass(
    trial: Trial, shared: Shared, chance: random.Random, kills: int
) -> None:
    """Change the date, jump ahead, and set the store's clock wrong."""
    a_day = max(trial.kills_a_day, trial.kills // 280)
    if kills % a_day == 0:
        shared.next_day()
    if kills % 25 == 0:
        # Mostly within the retention of keys.
        hours = chance.choice((0.3, 1.0, 2.0, 2.5, 30.0))
        shared.jump(3600 * hours)
    if kills % 40 == 0:
        shared.skew(chance.choice(_SKEWS))
