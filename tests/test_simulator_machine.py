"""
A world whose every turn Hypothesis decides, and shrinks.

The simulator draws at random; this looks for the shortest row of steps. What
holds at every step is checked inside the world.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from autopay_core.testing.simulator import PromiseBroken, System, World
from autopay_core.testing.simulator._settings import EVENTS, FAULTS
from mutants.planted import mutant, planted

WORKERS = st.integers(0, 1)


class WorldMachine(RuleBasedStateMachine):
    """Workers start, step and die; the world turns; faults come and go."""

    system = System()

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.world = World(seed, self.system)
        self.world.rates = dict.fromkeys(self.world.rates, 0.0)

    @rule(worker=WORKERS, calls=st.integers(1, 12))
    def step(self, worker: int, calls: int) -> None:
        for _ in range(calls):
            self._guarded(lambda: self.world._step(self.world.workers[worker]))

    @rule(worker=WORKERS)
    def sweep(self, worker: int) -> None:
        world = self.world
        self._guarded(
            lambda: world._begin(
                world.workers[worker],
                lambda reader: world._sweep(reader, world.today()),
            )
        )

    @rule(worker=WORKERS)
    def kill(self, worker: int) -> None:
        one = self.world.workers[worker]
        one.flow = one.request = None

    @rule(event=st.sampled_from(EVENTS))
    def turn(self, event: str) -> None:
        self._guarded(lambda: self.world._happen(event))

    @rule(fault=st.sampled_from(FAULTS), rate=st.sampled_from([0.0, 0.5]))
    def fail(self, fault: str, rate: float) -> None:
        self.world.rates[fault] = rate

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._guarded(self.world._heal)

    def _guarded(self, act: object) -> None:
        """Say what broke in a way that Hypothesis can catch."""
        assert callable(act)
        try:
            act()
        except PromiseBroken as broken:
            raise AssertionError(str(broken)) from broken


TestWorld = WorldMachine.TestCase
TestWorld.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None
)


def test_the_machine_finds_a_planted_bug() -> None:
    name = "the reservation goes before the postings come"
    with planted(*mutant(name).plants) as planted_system:

        class Planted(WorldMachine):
            system = planted_system

        with pytest.raises(AssertionError, match=r"I1|I9|Q2|Q3"):
            run_state_machine_as_test(
                Planted,
                settings=settings(
                    max_examples=2_000,
                    stateful_step_count=40,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                ),
            )
