"""
A pytest plugin: which guarantees were proven, and what follows for the rest.

The contract kit registers it by itself; with pytest-xdist, load it with
``-p autopay_core.testing.plugin`` so that the controller has it, too.
Imports: `clauses` and pytest.
"""

from __future__ import annotations

import re
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from autopay_core.testing.clauses import UNPROVEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import pytest
    from _pytest.terminal import TerminalReporter

__all__ = ["PROPERTY", "clause_of", "guarantees", "register"]

PROPERTY: Final = "autopay_clause"
"""The property of a test's report: a test class and a clause."""

_NAME: Final = "autopay_core.testing.plugin"
_TEST: Final = re.compile(r"test_([a-z]{2}|port)_([0-9]+)_")
_LINE: Final = re.compile(r"([A-Z]+)-([0-9]+)")


def clause_of(test: str, /) -> str | None:
    """
    Return the clause that a test of the kit is about, by its name.

    >>> clause_of("test_pg_1_a_key_seen_before_moves_no_money")
    'PG-1'

    """
    found = _TEST.match(test)
    return None if found is None else f"{found[1].upper()}-{found[2]}"


def register(config: pytest.Config, /) -> None:
    """Have this plugin in the running session, once."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(sys.modules[__name__], _NAME)


def guarantees(
    outcomes: Iterable[tuple[str, str, str]],
    /,
    *,
    reasons: Mapping[tuple[str, str], Collection[str]] = MappingProxyType({}),
) -> Iterator[str]:
    """
    Say for each test class what it proved, and what follows for the rest.

    Args:
        outcomes: Test class, clause, and ``"passed"``, ``"failed"`` or
            ``"skipped"``, in any order.
        reasons: Why tests were skipped, by test class and clause.

    """
    classes: dict[str, dict[str, set[str]]] = {}
    for name, clause, outcome in outcomes:
        classes.setdefault(name, {}).setdefault(clause, set()).add(outcome)
    for name in sorted(classes):
        found = classes[name]
        proven = [
            each for each in sorted(found, key=_order) if found[each] == _PASS
        ]
        yield f"{name} holds {_joined(proven)}"
        for clause in sorted(found, key=_order):
            if clause in proven:
                continue
            how = "broken" if "failed" in found[clause] else "not tried"
            if how == "not tried" and "passed" in found[clause]:
                how = "tried in part"
            why = "; ".join(sorted(reasons.get((name, clause), ())))
            if why and how != "broken":
                how += f": {why}"
            yield f"    {clause} {how}. {UNPROVEN[clause]}"


_PASS: Final = {"passed"}


def _order(clause: str) -> tuple[str, int]:
    found = _LINE.fullmatch(clause)
    assert found is not None
    return found[1], int(found[2])


def _joined(clauses: list[str]) -> str:
    return ", ".join(clauses) if clauses else "nothing"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the guarantees at the end of the session."""
    outcomes: list[tuple[str, str, str]] = []
    reasons: dict[tuple[str, str], set[str]] = {}
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            for key, value in getattr(report, "user_properties", ()):
                if key == PROPERTY:
                    name, clause = value.split()
                    kind = "failed" if outcome == "error" else outcome
                    outcomes.append((name, clause, kind))
                    if kind == "skipped":
                        known = reasons.setdefault((name, clause), set())
                        known.add(_reason_of(report.longrepr))
    if outcomes:
        terminalreporter.section("what the ports promise")
        for line in guarantees(outcomes, reasons=reasons):
            terminalreporter.write_line(line)


def _reason_of(skipped: str | tuple[str, int, str] | None) -> str:
    """Return why a test was skipped, from (path, line, "Skipped: why")."""
    text = skipped[2] if isinstance(skipped, tuple) else skipped
    return str(text).removeprefix("Skipped: ")
