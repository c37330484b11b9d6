"""The benchmarks measure what they say: small sizes of them, for real."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.commits import PostingFilter
from autopay_core.postings import PostingStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Load the module of the stores, with portions of three runs."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    module = import_module("bench_stores")
    monkeypatch.setattr(module, "PORTION", 3)
    yield module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(
            sys.modules[name].__file__
        ).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.mark.parametrize(
    "name", sorted(each.stem for each in FOLDER.glob("bench_*.py"))
)
def test_a_benchmark_can_be_loaded(stores: Any, name: str) -> None:
    assert stores is not None
    assert callable(import_module(name).rows)


def test_what_a_sweep_writes_is_recorded_run_by_run(stores: Any) -> None:
    with stores.in_memory() as store:
        assert len(stores.record(store, ["a", "b"])) == 6


def test_runs_and_movements_are_measured_after_a_long_history(
    stores: Any, tmp_path: Path
) -> None:
    rows = list(stores.flat_rows(tmp_path, 240))

    assert [each.name.partition(" after ")[0] for each in rows] == [
        "a run",
        "a movement",
    ]
    assert all(each.ours > 0 < each.other for each in rows)
    with SqlitePostingStore(tmp_path / "long.db") as store:
        old = store.postings(
            PostingFilter(
                statuses=frozenset({PostingStatus.APPLIED}), most=1_000
            )
        )
    assert len(old) == 240
