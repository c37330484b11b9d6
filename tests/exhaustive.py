"""
Small worlds in which every order of events is tried, not some.

A scenario is the world of a seed without its faults. `kills` cuts a sweep off
at every point, and the sweep that comes after it, too; `interleavings` runs
two sweeps with up to two preemptions, at every pair of points. Each world is
then healed and checked like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from autopay_core.testing.simulator import PromiseBroken, System, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autopay_core.testing.simulator._simulation import _Worker

_PAUSES = (0, 61, 1_000, 5_000)
_HAPPENINGS = ("batch", "stop", "minutes", "batch", "days", "by_hand")


@attrs.frozen(kw_only=True)
class Tried:
    """
    How many worlds were tried, and the first that broke a promise.

    Attributes:
        worlds: How many.
        broken: What broke where; None if nothing did.

    """

    worlds: int
    broken: str | None = None


def _world(scenario: int, system: System) -> World:
    """Return the world of a seed, in which nothing fails by chance."""
    world = World(scenario, system)
    world.rates = dict.fromkeys(world.rates, 0.0)
    if scenario % 4 == 3:
        world.rates["declines"] = 0.5
    # Postings of earlier runs stand about, so that there is something to
    # lose sight of; half of the worlds begin with a run that has been paid.
    if scenario % 2:
        worker = world.workers[0]
        _begin(world, worker)
        _finish(world, worker)
        world.pass_time(24 * 3_600)
    return world


def _begin(
    world: World, worker: _Worker, *, is_reversed: bool = False
) -> None:
    """Let *worker* start a sweep of every auto-pay."""
    world.autopays = dict(sorted(world.autopays.items(), reverse=is_reversed))
    world._begin(worker, lambda reader: world._sweep(reader, world.today()))


def _steps(world: World, worker: _Worker, most: int) -> int:
    """Let *worker* make so many calls; return how many it made."""
    for made in range(most):
        if worker.flow is None:
            return made
        world._step(worker)
    return most


def _finish(world: World, worker: _Worker) -> None:
    _steps(world, worker, 1_000)


def _die(worker: _Worker) -> None:
    worker.flow = worker.request = None


def _calls(scenario: int, system: System) -> int:
    """Count the calls of a sweep that nobody disturbs."""
    world = _world(scenario, system)
    worker = world.workers[0]
    _begin(world, worker)
    return _steps(world, worker, 1_000)


def _tried(worlds: Iterator[tuple[str, Callable[[], None]]]) -> Tried:
    count = 0
    for name, run in worlds:
        count += 1
        try:
            run()
        except PromiseBroken as broken:
            return Tried(worlds=count, broken=f"{name}: {broken}")
    return Tried(worlds=count)


def kills(scenario: int, system: System | None = None) -> Tried:
    """Kill the first sweep at every point, and the second at every point."""
    return _tried(_kills(scenario, System() if system is None else system))


def _kills(
    scenario: int, system: System
) -> Iterator[tuple[str, Callable[[], None]]]:
    calls = _calls(scenario, system)
    for first in range(calls + 1):
        later = 0
        is_over = False
        while not is_over:
            # The second sweep is cut off later and later, to its end.
            made: list[int] = []
            yield (
                f"scenario {scenario}, kills at {first} and {later}",
                lambda first=first, later=later, made=made: made.append(  # type: ignore[misc]
                    _killed_twice(scenario, system, first, later)
                ),
            )
            is_over = made[0] < later
            later += 1


def _killed_twice(
    scenario: int, system: System, first: int, later: int
) -> int:
    world = _world(scenario, system)
    one, two = world.workers[:2]
    _begin(world, one)
    _steps(world, one, first)
    _die(one)
    world.pass_time(_PAUSES[scenario % len(_PAUSES)])
    _begin(world, two)
    made = _steps(world, two, later)
    _die(two)
    world._heal()
    return made


def interleavings(scenario: int, system: System | None = None) -> Tried:
    """Preempt one sweep by another at every pair of points."""
    return _tried(
        _interleavings(scenario, System() if system is None else system)
    )


def _interleavings(
    scenario: int, system: System
) -> Iterator[tuple[str, Callable[[], None]]]:
    calls = _calls(scenario, system)
    for first in range(calls + 1):
        for second in range(1, calls + 2):
            yield (
                f"scenario {scenario}, preempted after {first} and {second}",
                lambda first=first, second=second: _interleaved(  # type: ignore[misc]
                    scenario, system, first, second
                ),
            )


def _interleaved(
    scenario: int, system: System, first: int, second: int
) -> None:
    world = _world(scenario, system)
    one, two = world.workers[:2]
    _begin(world, one)
    _steps(world, one, first)
    event = _HAPPENINGS[scenario % len(_HAPPENINGS)]
    # In the middle of the first sweep: what the second sees, or what only
    # the first does not.
    is_early = scenario // len(_HAPPENINGS) % 2 == 0
    if is_early:
        world._happen(event)
    _begin(world, two, is_reversed=scenario % 3 == 0)
    _steps(world, two, second)
    if not is_early:
        world._happen(event)
    _finish(world, one)
    _finish(world, two)
    world._heal()
