"""
Each module's header says what it imports, and says the truth.

The form is a sentence that begins with ``Imports:`` and lists, between commas
and *and*:

- a module in backquotes, by its name in its own package or below the root:
  it is imported, or one of its modules is;
- ``the values``: the modules of the core below `ports`;
- ``the core``: these, `ports`, `engine`, `calls` and `aio`;
- ``its modules``: those of the package whose ``__init__`` it is;
- ``nothing`` or ``nothing of the package``;
- what is not of the package: ``pytest``, ``hypothesis``, ``pendulum`` …, or
  ``the standard library's`` and a name.

A word in parentheses, or after *when* or *once*, says why or when. `_checks`,
`_hashes`, `_moved` and `errors`, on which everything stands, may be left out.
"""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import autopay_core
from test_packaging import CORE

ROOT = Path(str(autopay_core.__file__)).parent
PACKAGE = "autopay_core"
GROUND = {"_checks", "_hashes", "_moved", "errors"}
WORDS = {"the values", "the core", "its modules"}
NOTHING = {"nothing", "nothing of the package"}
NOT_OURS = re.compile(
    r"pytest|hypothesis|pendulum|psycopg 3|holidays|cattrs|rich|altair|stripe"
    r"|apprise|procrastinate"
    r"|the standard library(?:'s [\w.]+)?"
)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}
CORE_MODULES = {each.partition(".")[2] for each in CORE}
VALUES = CORE_MODULES - {"aio", "calls", "engine", "ports"}


def _tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text("utf-8"))


def _ours(node: ast.AST) -> set[str]:
    """Return the modules of the package that a statement imports."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        names = [f"{module}.{each.name}" for each in node.names]
        if any(_relative(each) not in SOURCES for each in names):
            names.append(module)
    found = {_relative(each) for each in names if _is_ours(each)}
    return {each for each in found if each in SOURCES}


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _relative(name: str) -> str:
    return name.partition(".")[2] if _is_ours(name) else f"?{name}"


def imported(module: str) -> set[str]:
    """Return what a module imports of the package, wherever it does."""
    return {
        each
        for node in ast.walk(_tree(module))
        for each in _ours(node)
        if each != module
    }


def sentence(module: str) -> str:
    """Return what the header says of imports, without its asides."""
    header = ast.get_docstring(_tree(module)) or ""
    found = re.search(
        r"Imports: (.*?)(?:[.;:](?:\s|$)|$)", " ".join(header.split())
    )
    if found is None:
        return ""
    said = re.sub(r" \([^)]*\)", "", found[1])
    return re.sub(r",? (?:when|once) [^,]*", "", said)


def resolved(module: str, name: str) -> str:
    """Return the module that a header means by *name*."""
    is_package = SOURCES[module].name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    while True:
        whole = f"{package}.{name}" if package else name
        if whole in SOURCES and whole != module:
            return whole
        if not package:
            pytest.fail(f"{module}: there is no module {name}")
        package = package.rpartition(".")[0]


def covered(module: str, item: str) -> set[str]:
    """Return the modules that an item of the sentence stands for."""
    if item == "the values":
        return {each for each in SOURCES if each.split(".")[0] in VALUES}
    if item == "the core":
        return {each for each in SOURCES if each.split(".")[0] in CORE_MODULES}
    if item == "its modules":
        return {each for each in SOURCES if each.startswith(f"{module}.")}
    wanted = resolved(module, item.strip("`"))
    return {
        each
        for each in SOURCES
        if each == wanted or each.startswith(f"{wanted}.")
    }


@pytest.mark.parametrize("module", [each for each in SOURCES if each])
def test_a_header_says_what_its_module_imports(module: str) -> None:
    said = sentence(module)
    assert said, "the header has no sentence that begins with Imports:"
    actual = imported(module)
    if said in NOTHING:
        assert actual <= GROUND
        return
    left = actual - GROUND
    for item in re.split(r", and |, | and ", said):
        if NOT_OURS.fullmatch(item):
            continue
        assert item in WORDS or re.fullmatch(r"`[\w.]+`", item), item
        stands_for = covered(module, item)
        assert actual & stands_for, f"{item} is not imported"
        left -= stands_for

    assert not left, "the header does not name these"


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Also where only a type is imported; what a function imports aside."""
    graph: dict[str, set[str]] = {}
    for module in SOURCES:
        tree = _tree(module)
        inner = {
            node
            for each in ast.walk(tree)
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in ast.walk(each)
        }
        graph[module] = {
            each
            for node in ast.walk(tree)
            if node not in inner
            for each in _ours(node)
            if each not in (module, "")
        }
    TopologicalSorter(graph).prepare()


LONG = 700
"""Above so many lines a header says why a module is that long."""


@pytest.mark.parametrize(
    "module",
    [each for each in SOURCES if not each.startswith("testing")],
)
def test_a_long_module_says_why_it_is_long(module: str) -> None:
    header = " ".join((ast.get_docstring(_tree(module)) or "").split())
    is_long = len(SOURCES[module].read_text("utf-8").splitlines()) > LONG

    assert is_long == bool(re.search(r"\bLong(,| for) ", header))
