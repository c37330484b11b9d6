"""Processes that are killed and stopped on SQLite, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trials import IN_CI, KILLS, SECONDS, SEED, audit, must_find, run_trial

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 90),
]

_USUAL = (
    "--kills",
    str(KILLS),
    "--seed",
    str(SEED),
    "--most-seconds",
    str(SECONDS),
)


def test_nothing_is_lost_or_paid_twice_when_processes_are_killed(
    tmp_path: Path,
) -> None:
    report = run_trial(tmp_path, *_USUAL)

    assert report["problems"] == []
    assert report["kills"] >= KILLS
    assert report["captures"] > 0

    # The same again, from the files alone.
    done = audit(
        [
            *("--sqlite", str(tmp_path / "store.db")),
            *("--gateway", str(tmp_path / "gateway.csv")),
            *("--ledger", str(tmp_path / "ledger.csv")),
        ]
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_two_step_gateway_keeps_the_promise_as_well(tmp_path: Path) -> None:
    report = run_trial(tmp_path, "--two-step", *_USUAL)

    assert report["problems"] == []
    assert report["captures"] > 0


@pytest.mark.skipif(not IN_CI, reason="takes minutes; set CI=1")
@pytest.mark.parametrize("form", [(), ("--two-step",)])
def test_a_gateway_of_the_first_edition_keeps_the_promise_as_well(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    report = run_trial(tmp_path, "--first-edition", *form, *_USUAL)

    assert report["problems"] == []
    assert report["captures"] > 0


@pytest.mark.skipif(not IN_CI, reason="takes minutes; set CI=1")
@pytest.mark.parametrize(
    ("defect", "finds"),
    [
        ("charge_before_intent", {"WriteAhead"}),
        ("new_key_per_try", {"WriteAhead"}),
        ("new_key_on_recovery", {"WriteAhead", "ChargeWithoutRecord"}),
        (
            "last_write_wins",
            {"Overpaid", "WriteAhead", "ChargeWithoutPosting"},
        ),
        ("not_found_means_failed", {"ChargeOnUnpaidRun"}),
        ("timeout_means_declined", {"ChargeOnUnpaidRun"}),
        ("no_reservation", {"Overpaid"}),
        ("postings_after_the_outcome", {"PostingMissing"}),
        ("status_before_balance", {"LedgerBehind"}),
    ],
)
def test_a_planted_defect_is_found(
    tmp_path: Path, defect: str, finds: set[str]
) -> None:
    must_find(tmp_path, defect, finds)


@pytest.mark.skipif(not IN_CI, reason="takes minutes; set CI=1")
@pytest.mark.parametrize(
    ("defect", "finds"),
    [
        ("confirm_before_intent", {"WriteAhead"}),
        ("another_reference", {"Reference"}),
    ],
)
def test_a_planted_defect_of_two_steps_is_found(
    tmp_path: Path, defect: str, finds: set[str]
) -> None:
    must_find(tmp_path, defect, finds, lambda _: ("--two-step",))
