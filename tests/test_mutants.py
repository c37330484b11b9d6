"""Every planted bug is found within its number of seeds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.commits import Ceiling
from autopay_core.engine import (
    collecting,
    reallocating,
    recovery,
    requests,
    steps,
)
from autopay_core.engine.requests import read_standing
from autopay_core.postings import Posting
from mutants.planted import Mutant, hunt, mutants, planted
from planting import ROOMS, DriftedError, Planting


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Hunt in another process, which no coverage slows down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", [each.name for each in mutants()])
def test_the_simulator_finds(
    name: str, elsewhere: ProcessPoolExecutor
) -> None:
    found = elsewhere.submit(hunt, name).result()

    assert found is not None, f"{name}: not found within its seeds"


def test_there_are_enough_planted_bugs_and_each_is_another() -> None:
    plants = {each.plants[-1] for each in mutants()}

    assert len(mutants()) >= 60
    assert len(plants) >= 57


@pytest.mark.parametrize(
    "mutant", [pytest.param(each, id=each.name) for each in mutants()]
)
def test_a_planted_bug_has_its_place_and_leaves_it(mutant: Mutant) -> None:
    before = _everything()

    with planted(*mutant.plants):
        while_planted = _everything()

    assert while_planted != before
    assert _everything() == before


_SHOWN = (
    *ROOMS,
    "autopay_core.reads",
    "MemoryPostingStore",
    "Posting",
    "_Move",
    "Ceiling",
)


def _everything() -> dict[str, object]:
    """Return what stands in the rooms, and in the classes that are there."""
    return {
        f"{module}.{name}": value
        for module, there in [
            *((name, sys.modules[name]) for name in list(sys.modules)),
            ("MemoryPostingStore", MemoryPostingStore),
            ("Posting", Posting),
            ("_Move", reallocating._Move),
            ("Ceiling", Ceiling),
        ]
        if module.startswith(_SHOWN)
        for name, value in vars(there).items()
        if not name.startswith("__")
    }


def test_what_stands_nowhere_cannot_be_swapped() -> None:
    with Planting() as planting, pytest.raises(DriftedError, match="nowhere"):
        planting.swap(test_what_stands_nowhere_cannot_be_swapped, None)


def test_what_a_module_does_not_use_cannot_be_swapped_there() -> None:
    with Planting() as planting, pytest.raises(DriftedError, match="steps"):
        planting.swap(read_standing, None, collecting, steps)
    assert vars(collecting)["read_standing"] is read_standing


def test_a_method_that_a_class_does_not_have_cannot_be_swapped() -> None:
    with Planting() as planting, pytest.raises(DriftedError, match="of its"):
        planting.method(MemoryPostingStore, "no_such_method", None)


def test_a_swap_reaches_every_module_that_uses_it() -> None:
    with Planting() as planting:
        planting.swap(read_standing, None)
        for module in (collecting, recovery, requests):
            assert vars(module)["read_standing"] is None
    assert vars(collecting)["read_standing"] is read_standing
