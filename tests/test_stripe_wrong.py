"""The kit, with the make-believe Stripe, blames each wrong adapter."""

from __future__ import annotations

import pytest

from autopay_core.testing.plugin import PROPERTY
from wrong_stripes import WRONG

pytest_plugins = ["pytester"]


class _Blamed:
    """Collects which clauses failed, by test class."""

    def __init__(self) -> None:
        self.clauses: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, value in report.user_properties:
            if key == PROPERTY and report.failed and report.when == "call":
                name, clause = str(value).split()
                self.clauses.setdefault(name, set()).add(clause)


def test_each_wrong_adapter_fails_by_the_clause_that_it_breaks(
    pytester: pytest.Pytester,
) -> None:
    lines = ["from wrong_stripes import WRONG"]
    lines += [
        f"Test{name} = type('Test{name}', (WRONG[{name!r}][0],), {{}})"
        for name in WRONG
    ]
    pytester.makepyfile(test_wrong="\n".join(lines))
    blamed = _Blamed()
    only = [f"(Test{name} and ts_{at}_)" for name, (_, at) in WRONG.items()]
    pytester.inline_run(
        *("-p", "no:randomly", "-p", "no:cacheprovider"),
        *("-k", " or ".join(only)),
        plugins=[blamed],
    )

    assert blamed.clauses == {
        f"Test{name}": {f"TS-{clause}"} for name, (_, clause) in WRONG.items()
    }
