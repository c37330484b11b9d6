from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
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

# What the names of the root must not load: edges and their dependencies, and
# whatever would be a clock, a source of randomness or a way out. `forecast`
# and `explain`, which a person asks with, are at home in an edge.
NOT_LOADED = {
    "altair",
    "apprise",
    "asyncio",
    "autopay_core.aio",
    "autopay_core.show",
    "cattrs",
    "holidays",
    "icalendar",
    "importlib.metadata",
    "logging",
    "pendulum",
    "procrastinate",
    "psycopg",
    "pytest",
    "random",
    "requests",
    "rich",
    "sqlalchemy",
    "sqlite3",
    "stripe",
}

LOADED = """
import sys
before = set(sys.modules)
import autopay_core
for name in {names}:
    getattr(autopay_core, name)
print(*sorted(set(sys.modules) - before), sep="\\n")
"""
FROM_EDGES = {"__version__", "explain", "forecast"}


def _loaded(names: Iterable[str] = ()) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(names=sorted(names))],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else_of_it() -> None:
    loaded = _loaded()

    assert {name for name in loaded if name.startswith("autopay_core.")} == (
        set()
    )
    assert "attr" not in loaded


def test_the_names_of_the_root_load_no_edge_and_nothing_heavy() -> None:
    loaded = _loaded(set(autopay_core.__all__) - FROM_EDGES)

    assert not loaded & NOT_LOADED
    ours = {name for name in loaded if name.startswith("autopay_core.")}
    assert {".".join(name.split(".")[:2]) for name in ours} <= set(CORE)


def test_all_names_exist_once_and_in_order() -> None:
    names = autopay_core.__all__

    assert [name for name in names if not hasattr(autopay_core, name)] == []
    assert sorted(set(names)) == sorted(names)


def test_type_checkers_and_python_find_the_same_names_at_one_home() -> None:
    tree = ast.parse(Path(autopay_core.__file__).read_text("utf-8"))
    for_checkers = {
        (each.module, name.name)
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom) and each.module is not None
        for name in each.names
        if each.module.startswith("autopay_core.")
    } - {("autopay_core._moved", "moved")}
    for_python = {
        (f"autopay_core.{module}", name)
        for module, names in autopay_core._HOMES.items()
        for name in names
    }

    assert for_checkers == for_python
    assert {name for _, name in for_python} == (set(autopay_core.__all__))


def test_a_module_of_the_root_is_an_attribute_before_it_is_imported() -> None:
    asked = "import autopay_core as ap; print(ap.money.Money is ap.Money)"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )

    assert done.stdout == "True\n"
    assert set(autopay_core.__all__) <= set(dir(autopay_core))


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "reference").rglob("*.md")
    text = "\n".join(page.read_text("utf-8") for page in pages)
    documented: set[str] = set()
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
        # Between them, and loaded only for many turns at once.
        if layer != "(_crews)"
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
