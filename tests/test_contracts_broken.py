"""The kit blames each broken adapter for exactly what it breaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.testing.clauses import UNPROVEN
from autopay_core.testing.contracts._model import machine_of
from autopay_core.testing.plugin import PROPERTY
from broken_adapters import BROKEN

pytest_plugins = ["pytester"]


class _Blamed:
    """Collects which clauses failed, by test class."""

    def __init__(self) -> None:
        self.clauses: dict[str, set[str]] = {}
        self.proven: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, value in report.user_properties:
            if key != PROPERTY:
                continue
            name, clause = str(value).split()
            if report.failed:
                self.clauses.setdefault(name, set()).add(clause)
            elif report.when == "call" and report.passed:
                self.proven.setdefault(name, set()).add(clause)


@pytest.fixture(scope="module")
def blamed() -> _Blamed:
    """Run the whole kit on every broken adapter, once."""
    return _Blamed()


@pytest.fixture
def everything(blamed: _Blamed, pytester: pytest.Pytester) -> _Blamed:
    if not blamed.proven:
        lines = ["from broken_adapters import BROKEN"]
        lines += [
            f"Test{name} = type('Test{name}', (BROKEN[{name!r}],), {{}})"
            for name in BROKEN
        ]
        pytester.makepyfile(test_broken="\n".join(lines))
        pytester.inline_run(
            "-p", "no:randomly", "-p", "no:cacheprovider", plugins=[blamed]
        )
    return blamed


@pytest.mark.slow
def test_each_broken_adapter_fails_exactly_what_it_breaks(
    everything: _Blamed,
) -> None:
    found = {
        name: everything.clauses.get(f"Test{name}", set()) for name in BROKEN
    }
    expected: dict[str, set[str]] = {
        name: vars(each)["breaks"] for name, each in BROKEN.items()
    }

    assert found == expected


def test_every_clause_is_broken_by_some_adapter() -> None:
    broken: set[str] = set()
    for each in BROKEN.values():
        broken |= vars(each)["breaks"]

    assert broken == set(UNPROVEN)


MODELLED = [
    "KeepsTheNoticesOfARefusedChange",
    "LetsTheLastWriteWin",
    "ForgetsToCompareVersionsOfClients",
    "ForgetsToCompareOpenAmounts",
    "LetsDoubtsPileUp",
    "IgnoresHolds",
    "OverwritesPostings",
    "MovesPostingsFromAnywhere",
    "TellsTheNewestFirst",
    "CallsEveryNoticeNew",
    "LetsGoOfPendingDebits",
    "LetsEverybodyClaim",
    "ForgetsReservationsInWhatWasSpent",
    "HandsOutNoHoldsOnMatters",
    "ForgetsWhatWasRemoved",
    "LetsReferencesRepeat",
    "CountsNoAttempts",
    "KeepsTheFirstThatWasTold",
    "LetsAPostingIntoTwoBatches",
    "MakesABatchInTwoSteps",
    "DoesNotNameWhatIsInTheWay",
    "AddsUpOnePage",
    "CountsWhatWentBackAsPaid",
    "SortsEachPageByItself",
]


@pytest.mark.parametrize("name", MODELLED)
def test_the_model_finds_what_is_broken_by_itself(name: str) -> None:
    spoil: Any = vars(BROKEN[name])["spoil"]
    machine = machine_of(
        lambda clock: spoil(MemoryPostingStore(clock=clock)), None
    )

    with pytest.raises(Exception, match=r"assert|Flaky|Conflict"):
        run_state_machine_as_test(
            machine,
            settings=settings(
                database=None,
                deadline=None,
                derandomize=True,
                max_examples=400,
                phases=[Phase.generate],
                stateful_step_count=20,
                report_multiple_bugs=False,
            ),
        )
