"""
Small worlds, in every order: kills, pairs of kills, preemptions.

`exhaustive` says what a scenario is. Under ``CI`` there are more of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from exhaustive import Tried, interleavings, kills
from mutants.planted import mutant, planted

SCENARIOS = 20 if os.environ.get("CI") else 6

FOUND_BY_PREEMPTION = {
    "last write wins": 1,
    "not found is taken as not charged": 2,
    "balances are read before open amounts": 6,
    "what is in doubt is planned again": 2,
    "the reservation goes before the postings come": 2,
    "open amounts may change between plan and intent": 2,
    "only the flow, not the store, keeps to one run in doubt": 2,
    "nobody asks for a hold when the intent is written": 11,
}
"""A scenario that finds each planted bug."""

FOUND_BY_KILLS = (
    "a new key for every try",
    "the amount is worked out again for another try",
    "a notice is marked as delivered before it is",
    "the reservation goes before the postings come",
    "recover sends again",
    "it is sent again without reading again",
)
"""Planted bugs that scenario 0 finds."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Try in another process, which no coverage slows down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("scenario", range(SCENARIOS))
def test_a_sweep_killed_anywhere_twice_charges_what_it_intended_once(
    scenario: int, elsewhere: ProcessPoolExecutor
) -> None:
    tried = elsewhere.submit(kills, scenario).result()

    assert tried.broken is None
    assert tried.worlds >= 10


@pytest.mark.slow
@pytest.mark.parametrize("scenario", range(SCENARIOS))
def test_two_sweeps_with_two_preemptions_keep_every_promise(
    scenario: int, elsewhere: ProcessPoolExecutor
) -> None:
    tried = elsewhere.submit(interleavings, scenario).result()

    assert tried.broken is None
    assert tried.worlds >= 10


def preempted_with(name: str, scenario: int) -> Tried:
    """Look for a planted bug; run in another process."""
    with planted(*mutant(name).plants) as system:
        return interleavings(scenario, system)


def killed_with(name: str) -> Tried:
    """Look for a planted bug; run in another process."""
    with planted(*mutant(name).plants) as system:
        return kills(0, system)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND_BY_PREEMPTION)
def test_preemption_finds(name: str, elsewhere: ProcessPoolExecutor) -> None:
    scenario = FOUND_BY_PREEMPTION[name]

    tried = elsewhere.submit(preempted_with, name, scenario).result()

    assert tried.broken is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND_BY_KILLS)
def test_kills_find(name: str, elsewhere: ProcessPoolExecutor) -> None:
    tried = elsewhere.submit(killed_with, name).result()

    assert tried.broken is not None


def test_one_small_world_is_tried_in_every_order() -> None:
    tried = kills(4)

    assert tried.broken is None
    assert tried.worlds >= 10
