from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

import pytest

import autopay_core

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS = {
    contract["id"]: contract
    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
}
CORE = CONTRACTS["core"]["source_modules"]

# What `import autopay_core` must not load: edges and their dependencies, and
# whatever would be a clock, a source of randomness or a way out.
NOT_LOADED = {
    "altair",
    "asyncio",
    "autopay_core.aio",
    "cattrs",
    "holidays",
    "importlib.metadata",
    "logging",
    "pendulum",
    "psycopg",
    "pytest",
    "random",
    "rich",
    "sqlalchemy",
    "sqlite3",
}

LOADED_BY_THE_IMPORT = """
import sys
before = set(sys.modules)
import autopay_core
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def _loaded() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY_THE_IMPORT],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_edge_and_nothing_heavy() -> None:
    loaded = _loaded()

    assert not loaded & NOT_LOADED
    ours = {name for name in loaded if name.startswith("autopay_core.")}
    assert {".".join(name.split(".")[:2]) for name in ours} <= set(CORE)


def test_all_names_exist_once_and_in_order() -> None:
    names = autopay_core.__all__

    assert [name for name in names if not hasattr(autopay_core, name)] == []
    assert sorted(set(names)) == sorted(names)


def test_nothing_public_is_missing_from_all() -> None:
    public = {
        name
        for name, value in vars(autopay_core).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("autopay_core.")
    }

    assert public <= set(autopay_core.__all__)


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "reference").rglob("*.md")
    text = "\n".join(page.read_text("utf-8") for page in pages)
    documented = {"__version__"}
    for module in re.findall(r"automodule:: (autopay_core\.[\w.]+)", text):
        documented |= set(importlib.import_module(module).__all__)

    assert set(autopay_core.__all__) <= documented


@pytest.mark.parametrize("module", CORE)
def test_the_core_is_made_of_modules_that_exist(module: str) -> None:
    assert find_spec(module) is not None


def test_the_core_is_a_run_of_neighbouring_layers() -> None:
    layers = [
        f"autopay_core.{layer.strip('()')}"
        for layer in CONTRACTS["layers"]["layers"]
    ]

    assert layers[-len(CORE) :] == CORE


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files(autopay_core).joinpath("py.typed").is_file()


def test_the_version_is_the_distribution_s() -> None:
    assert autopay_core.__version__ == metadata.version("autopay_core")
    assert autopay_core.__version__ == PYPROJECT["project"]["version"]


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        autopay_core.no_such_name  # noqa: B018


def test_the_distribution_depends_on_three_others_and_nothing_else() -> None:
    requires = metadata.requires("autopay_core") or []
    always = {
        re.split(r"[^\w-]", requirement)[0].replace("_", "-")
        for requirement in requires
        if "extra ==" not in requirement
    }

    assert always == {"attrs", "pendulum", "typing-extensions"}
