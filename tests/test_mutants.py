"""Every planted bug is found within its number of seeds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from mutants.planted import (
    DriftedError,
    Mutant,
    Patch,
    build,
    hunt,
    mutants,
)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Hunt in another process, which no coverage slows down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant", [pytest.param(each, id=each.name) for each in mutants()]
)
def test_the_simulator_finds(
    mutant: Mutant, elsewhere: ProcessPoolExecutor
) -> None:
    found = elsewhere.submit(hunt, mutant).result()

    assert found is not None, f"not found within {mutant.seeds} seeds"


def test_there_are_enough_planted_bugs_and_each_is_another() -> None:
    names = {each.name for each in mutants()}

    assert len(names) == len(mutants()) >= 15


def test_every_patch_fits_the_source() -> None:
    for mutant in mutants():
        build(mutant.patches)


def test_a_patch_that_fits_no_more_fails_aloud() -> None:
    patch = Patch(module="engine.steps", old="no such text", new="")

    with pytest.raises(DriftedError, match="0 times"):
        build([patch])
