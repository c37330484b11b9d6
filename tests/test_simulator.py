"""The simulator over many seeds, and what it tells."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autopay_core.testing.simulator import System, World, simulate
from autopay_core.testing.simulator.__main__ import main
from autopay_core.testing.simulator._ranges import Tally, tallies, tally
from autopay_core.testing.simulator._simulation import system_on
from mutants.planted import mutant, planted

SEEDS = 25_000 if os.environ.get("CI") else 1_000


def test_every_promise_is_kept_in_a_few_hundred_seeds() -> None:
    found = tally(range(300))

    assert found.broken == []
    assert found.captures > 200
    assert found.faults > 600


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_promise_is_kept_in_many_seeds() -> None:
    total = Tally()
    for each in tallies(range(SEEDS), 2):
        total.add(each)

    assert total.broken == []
    assert total.seeds == SEEDS


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.skipif(
    "SOAK_SEEDS" not in os.environ, reason="only with SOAK_SEEDS=1000000"
)
def test_every_promise_is_kept_in_as_many_seeds_as_asked_for() -> None:
    seeds = int(os.environ["SOAK_SEEDS"])
    total = Tally()
    for each in tallies(range(seeds), os.cpu_count() or 1):
        total.add(each)

    assert total.broken == []


def test_a_seed_repeats_to_the_last_line() -> None:
    first, again = simulate(7, is_traced=True), simulate(7, is_traced=True)

    assert first == again
    assert first.trace


def test_a_trace_changes_nothing() -> None:
    traced, plain = simulate(11, is_traced=True), simulate(11)

    assert (traced.calls, traced.faults, traced.captures) == (
        plain.calls,
        plain.faults,
        plain.captures,
    )


def test_a_seed_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from autopay_core.testing.simulator import simulate\n"
        "print([(o.calls, o.faults, o.captures) for o in "
        "map(simulate, range(40))])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1


def test_the_command_prints_what_it_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--seeds", "0:20", "--workers", "1"])

    assert status == 0
    assert "20 seeds" in capsys.readouterr().out


def test_the_command_traces_one_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--trace", "3"])

    assert status == 0
    assert "the world heals" in capsys.readouterr().out


def test_a_broken_promise_comes_with_its_trace_and_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(
        seed: int, *, system: System, is_traced: bool = False
    ) -> object:
        del system
        with planted(*mutant("no reservation").plants) as wrong:
            return simulate(seed, system=wrong, is_traced=is_traced)

    package = "autopay_core.testing.simulator"
    monkeypatch.setattr(f"{package}._ranges.simulate", broken)
    monkeypatch.setattr(f"{package}.__main__.simulate", broken)

    status = main(["--seeds", "20", "--workers", "1"])

    printed = capsys.readouterr().out
    assert status == 1
    assert "I9" in printed
    assert "--trace 0" in printed
    assert "Commit(" in printed


def test_a_worker_is_interleaved_at_every_yield() -> None:
    """Two workers in one world are both seen between each other's calls."""
    names: set[str] = set()
    for seed in range(5):
        world = World(seed, System(), is_traced=True)
        world.run()
        names.update(
            line.split()[2]
            for line in world.trace or ()
            if line[:1].isdigit() and line.split()[2][:1] == "w"
        )

    assert {"w0", "w1"} <= names


def test_the_sqlite_store_keeps_every_promise_in_a_few_worlds() -> None:
    found = tally(range(20), "sqlite")

    assert found.broken == []
    assert found.captures > 10


def test_a_seed_is_the_same_world_on_every_store() -> None:
    for seed in (1, 8, 13):
        memory = simulate(seed, system=system_on("memory"))
        sqlite = simulate(seed, system=system_on("sqlite"))

        assert (memory.calls, memory.faults, memory.captures) == (
            sqlite.calls,
            sqlite.faults,
            sqlite.captures,
        )


def test_the_command_traces_on_the_store_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--trace", "3", "--store", "sqlite"])

    assert status == 0
    assert "the world heals" in capsys.readouterr().out
