"""
What kills: the parent of every process of a trial.

Holds: `drive`. Imports: `firm`, `roles` and `trial`; it opens no database and
starts no thread, so that a fork costs milliseconds and hands nothing down that
must not be. Only processes that it forked are killed or stopped, each by its
id, while they are not yet reaped, so that no id can mean somebody else.
"""

from __future__ import annotations

import contextlib
import ctypes
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
from itertools import count
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
    FIRST_DAY,
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
"""How long a process works before it is killed, in seconds, at pace 1."""

_START_SECONDS: Final = 4.0
_EARLY_DEATHS: Final = 0.05
_PACE_MOST: Final = 12.0
_LIVES_LOOKED_AT: Final = 15
_TURNS_A_DAY: Final = 24
_JOBS_A_DAY: Final = 6
_JOBS_SLOWNESS: Final = 8.0
"""A worker of an engine has more to do before its first turn."""
_DAYS_MOST: Final = 330

_DIE_WITH_PARENT: Final = 1
_PRCTL: Final[Any] = getattr(ctypes.CDLL(None), "prctl", None)
_PAUSE: Final = (1.0, 5.0)
_OUTAGE: Final = (0.0, 0.4)
_SKEWS: Final = (0.0, 0.0, 280.0, -280.0, -1_500.0)
"""How wrong the clock of the store may be: what safety.md allows."""
_SHUT_DOWN: Final = 10.0


@final
class _Crew:
    """The processes of a trial."""

    def __init__(self, trial: Trial, shared: Shared) -> None:
        self._trial = trial
        self._shared = shared
        self._alive: dict[int, Role] = {}
        self.count: Counter[str] = Counter()
        self.pace = 1.0

    def start(self, role: Role) -> int:
        """Fork a process that plays *role*; return its id."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # Whatever happens to the driver, nobody lives for ever: not
                # even who is stopped, where the system offers that.
                if _PRCTL is not None:
                    _PRCTL(_DIE_WITH_PARENT, signal.SIGKILL)
                signal.alarm(self._trial.most_seconds)
                guarded(self._trial, self._shared, role)
                status = 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        self._alive[pid] = role
        return pid

    def role_of(self, pid: int) -> Role | None:
        """Return what a process plays, if it is alive."""
        return self._alive.get(pid)

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
            "pace": round(self.pace, 1),
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
    warm_up(trial)
    gc.collect()
    gc.freeze()
    try:
        if not crew.play(prepare, 60):
            raise RuntimeError("the files could not be made; see alarms.txt")
        _say("kills")
        siege = _Siege(trial, shared, crew)
        siege.lay(started + trial.most_seconds * 0.7)
        crew.pace = siege.pace
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


@final
class _Pace:
    """
    How much longer than usual processes live before they are killed.

    On a busy machine nobody would live long enough to do anything, and a
    trial would prove nothing. So lives grow until a worker takes up two
    auto-pays before it dies, on average.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self.turns = 0
        self._lives = 0
        self._seen = 0

    def end_life(self) -> None:
        """Count a worker's death, and look at what was done since."""
        self._lives += 1
        if self._lives < _LIVES_LOOKED_AT:
            return
        each = (self.turns - self._seen) / self._lives
        if each < 2:
            self.factor = min(self.factor * 1.3, _PACE_MOST)
        elif each > 4:
            self.factor = max(self.factor / 1.3, 1.0)
        self._lives, self._seen = 0, self.turns


@final
class _Agenda:
    """What is due, when: one thing for each process, the latest planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, Role, int]] = []
        self._valid: dict[int, int] = {}
        self._places = count()

    def plan(self, seconds: float, what: str, role: Role, pid: int) -> None:
        """Plan something, in place of what was planned for the process."""
        place = next(self._places)
        due = time.monotonic() + seconds
        heapq.heappush(self._heap, (due, place, what, role, pid))
        if pid:
            self._valid[pid] = place

    def left(self) -> float:
        """Return the seconds until something is due."""
        return self._heap[0][0] - time.monotonic()

    def due(self) -> tuple[str, Role, int] | None:
        """Return what is due now, unless another thing was planned."""
        if self.left() > 0:
            return None
        _, place, what, role, pid = heapq.heappop(self._heap)
        if pid and self._valid.get(pid) != place:
            return None
        return what, role, pid


@final
class _Siege:
    """Starts, stops and kills until there were enough kills."""

    def __init__(self, trial: Trial, shared: Shared, crew: _Crew) -> None:
        self._trial = trial
        self._shared = shared
        self._crew = crew
        self._chance = random.Random(trial.seed)  # noqa: S311 - mischief
        self._pace = _Pace()
        self._agenda = _Agenda()
        self._kills = 0
        self._day = (0, 0)

    @property
    def pace(self) -> float:
        """How long lives have become."""
        return self._pace.factor

    def lay(self, until: float) -> None:
        """Go on until there were enough kills, or it is too late."""
        for role in (serve, post, *[work] * self._trial.workers):
            self._begin(role)
        trial = self._trial
        while self._kills < trial.kills and time.monotonic() < until:
            if trial.hasty and trial.alarms_path.exists():
                return
            for word in self._shared.listen(self._agenda.left()):
                self._hear(word)
            found = self._agenda.due()
            if found is not None:
                self._act(*found)

    def _hear(self, word: int) -> None:
        """Note a turn; or let the life of who is ready begin."""
        if not word:
            self._pace.turns += 1
            return
        role = self._crew.role_of(word)
        if role is not None:
            self._agenda.plan(self._life(role), "kill", role, word)

    def _life(self, role: Role) -> float:
        slowness = 1.0 if role is serve else self._pace.factor
        if self._trial.engine and role is not serve:
            slowness *= _JOBS_SLOWNESS
        return self._chance.uniform(*_LIFE[role]) * slowness

    def _begin(self, role: Role) -> None:
        # Some die while they start; the others when they are at work.
        dies = self._chance.random() < _EARLY_DEATHS
        pid = self._crew.start(role)
        seconds = self._life(work) / 4 if dies else _START_SECONDS
        self._agenda.plan(seconds, "kill", role, pid)

    def _act(self, what: str, role: Role, pid: int) -> None:
        if what == "start":
            self._begin(role)
        elif what == "go on":
            self._crew.go_on(pid)
            self._agenda.plan(self._life(role), "kill", role, pid)
        elif self._chance.random() < self._trial.pause:
            self._crew.stop(pid)
            seconds = self._chance.uniform(*_PAUSE)
            self._agenda.plan(seconds, "go on", role, pid)
        else:
            self._crew.kill(pid)
            self._kills += 1
            outage = self._chance.uniform(*_OUTAGE) if role is serve else 0.0
            self._agenda.plan(outage, "start", role, 0)
            if role is work:
                self._pace.end_life()
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        """Change the date, jump ahead, and set the store's clock wrong."""
        kills, turns = self._kills, self._pace.turns
        began, turned = self._day
        days = self._shared.today.toordinal() - FIRST_DAY.toordinal()
        if (
            kills - began >= self._trial.kills_a_day
            and turns - turned
            >= (_JOBS_A_DAY if self._trial.engine else _TURNS_A_DAY)
            and days < _DAYS_MOST
        ):
            self._shared.next_day()
            self._day = (kills, turns)
        if kills % 25 == 0:
            # Mostly within the retention of keys.
            hours = self._chance.choice((0.3, 1.0, 2.0, 2.5, 30.0))
            self._shared.jump(3600 * hours)
        if kills % 40 == 0:
            self._shared.skew(self._chance.choice(_SKEWS))
