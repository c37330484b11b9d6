"""
How many examples Hypothesis tries: a profile for each tier of the tests.

``HYPOTHESIS_PROFILE`` names another one.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# On a busy machine the clock says more about the neighbours than about the
# code: no deadline, no complaint about slow generation.
settings.register_profile(
    "dev",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
# At every save: a look at each property, not a search.
settings.register_profile(
    "fast", settings.get_profile("dev"), database=None, max_examples=10
)
# A gate is about the change under it: the same examples every time.
settings.register_profile(
    "ci",
    settings.get_profile("dev"),
    database=None,
    derandomize=True,
    max_examples=200,
    print_blob=True,
)
# New examples every time, many of them; a failure prints how to repeat it.
settings.register_profile(
    "nightly",
    settings.get_profile("dev"),
    max_examples=5_000,
    print_blob=True,
)


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile that is named, or the one of the tier that runs."""
    tier = "ci" if os.environ.get("CI") else "dev"
    if config.getoption("markexpr") == "fast":
        tier = "fast"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", tier))
