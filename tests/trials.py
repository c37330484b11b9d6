"""
Trials with killed processes, as a test starts them.

Holds: `run_trial`, `must_find`, and how many kills a trial has. A trial runs
in a process of its own, so that its forks inherit nothing of the test's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import planted_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IN_CI: Final = bool(os.environ.get("CI"))
KILLS: Final = int(os.environ.get("AUTOPAY_KILLS", "500" if IN_CI else "40"))
"""How many processes a trial kills: the soak sets it."""

SEED: Final = int(os.environ.get("AUTOPAY_KILL_SEED", "1"))

SECONDS: Final = max(240, KILLS)
"""A trial is over by then; it kills about twenty processes a second."""


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command that starts a trial."""
    return [
        sys.executable,
        "-m",
        "autopay_core.testing.processes",
        "--folder",
        str(folder),
        *arguments,
    ]


def environment() -> dict[str, str]:
    """Let the trial find what a test plants."""
    tests = str(Path(__file__).parent)
    paths = [tests, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_trial(folder: Path, *arguments: str) -> dict[str, Any]:
    """Start a trial, wait for its end, and return its report."""
    done = subprocess.run(
        command(folder, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 60,
    )
    return report_of(done.returncode, done.stdout, done.stderr)


def must_find(
    folder: Path,
    defect: str,
    finds: set[str],
    store: Callable[[int], Sequence[str]] = lambda _: (),
) -> None:
    """Try a planted defect with seed after seed until it is found."""
    assert hasattr(planted_processes, defect)

    found: set[str] = set()
    for seed in range(6):
        report = run_trial(
            folder / str(seed),
            "--hasty",
            *("--plant", f"planted_processes:{defect}"),
            *("--kills", "120"),
            *("--seed", str(seed)),
            *("--most-seconds", "60"),
            *store(seed),
        )
        found |= {each.split()[0] for each in report["problems"]}
        if found & finds:
            return
    pytest.fail(f"found {found}, expected one of {finds}")


def report_of(status: int, out: str, err: str) -> dict[str, Any]:
    """Read a report; say what the trial said if there is none."""
    assert status in {0, 1}, err[-4_000:]
    report: dict[str, Any] = json.loads(out)
    assert status == bool(report["problems"])
    print(json.dumps(report))
    return report


def audit(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the audit as an outsider would."""
    return subprocess.run(
        [sys.executable, "-m", "autopay_core.audit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
