"""
Look for what import-linter cannot see: ambient state reached by a call.

``datetime`` is allowed in the core, its clock is not; ``print`` and ``open``
need no import at all.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
[CORE] = [
    contract["source_modules"]
    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
    if contract["id"] == "core"
]

# Called on whatever object, or taken from the class without a call.
CLOCK_METHODS = {
    "astimezone",  # With no argument it asks for the machine's zone.
    "fromtimestamp",
    "now",
    "today",
    "utcnow",
}
AMBIENT_MODULES = {"locale", "logging", "os", "random", "secrets", "time"}
AMBIENT_BUILTINS = {
    "__import__",
    "breakpoint",
    "eval",
    "exec",
    "id",  # An address, another in every process.
    "input",
    "open",
    "print",
}
THIRD_PARTY = {"attrs", "attr", "typing_extensions"}


def _ambient(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="astimezone"), args=[_]):
                pass
            case (
                ast.Call(func=ast.Attribute(attr=name))
                | ast.Attribute(
                    value=ast.Name(id="date" | "datetime"), attr=name
                )
            ) if name in CLOCK_METHODS:
                # `Standing.now` is a field: what the store said.
                yield f"{node.lineno}: .{name}"
            case ast.Attribute(value=ast.Name(id=name)) if (
                name in AMBIENT_MODULES
            ):
                yield f"{node.lineno}: {name}.{node.attr}"
            case ast.Call(func=ast.Name(id=name)) if name in AMBIENT_BUILTINS:
                yield f"{node.lineno}: {name}()"
            case ast.Import(names=names):
                for alias in names:
                    yield from _foreign(alias.name, node.lineno)
            case ast.ImportFrom(module=str(module), level=0):
                yield from _foreign(module, node.lineno)
            case _:
                pass


def _foreign(module: str, line: int) -> Iterator[str]:
    top = module.partition(".")[0]
    known = sys.stdlib_module_names | THIRD_PARTY
    if module == "autopay_core":
        yield f"{line}: import of the package from inside"
    elif top in AMBIENT_MODULES or top not in known | {"autopay_core"}:
        yield f"{line}: import {module}"


@pytest.mark.parametrize("module", CORE)
def test_the_core_reaches_for_no_ambient_state(module: str) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    place = Path(spec.origin)
    files = (
        place.parent.glob("*.py")
        if spec.submodule_search_locations
        else [place]
    )

    assert [
        *chain.from_iterable(
            _ambient(each.read_text("utf-8")) for each in files
        )
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now()",
        "datetime.datetime.now(tz)",
        "date.today()",
        "clock = date.today",
        "time.monotonic()",
        "random.random()",
        "os.environ['X']",
        "print(1)",
        "open('x')",
        "input()",
        "now.astimezone()",
        "import pendulum",
        "import random",
        "from os import environ",
        "from autopay_core import Money",
    ],
)
def test_the_check_sees_what_it_is_there_for(source: str) -> None:
    assert list(_ambient(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import date",
        "import attrs",
        "from autopay_core.money import Money",
        "from .money import Money",
        "self.print()",
        "now.astimezone(zone)",
    ],
)
def test_the_check_lets_the_rest_pass(source: str) -> None:
    assert list(_ambient(source)) == []
