"""The documentation names what the code has."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from autopay_core import ports
from autopay_core.testing.clauses import UNPROVEN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "src" / "autopay_core"
REFERENCE: Final = ROOT / "docs" / "reference"

# Not for readers: started from a command line, or described as a whole.
NO_PAGE: Final = frozenset(
    {"__init__", "__main__", "display", "flow", "projection"}
)


def _texts(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _code_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Find what is given as `code=`, or assigned to a name like that."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code", value=value):
                yield value
            case ast.Assign(
                targets=[ast.Name(id="code" | "default_code")], value=value
            ):
                yield value
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Name(id="code"), *_])],
                value=ast.Tuple(elts=[value, *_]),
            ):
                yield value
            case ast.Call(func=ast.Name(id="_refuse"), args=[value, *_]):
                yield value
            case _:
                pass


def _codes() -> set[str]:
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in _code_nodes(ast.parse(path.read_text("utf-8"))):
            found.update(
                text
                for text in _texts(node)
                if text.isalpha() and text[0].isupper() and len(text) > 1
            )
    return found


def test_every_code_of_an_error_is_in_the_table_of_codes() -> None:
    page = (REFERENCE / "codes.md").read_text("utf-8")

    missing = sorted(code for code in _codes() if f"`{code}`" not in page)

    assert not missing
    assert len(_codes()) > 50, "the search for codes is blind"


@pytest.mark.parametrize(("clause", "sentence"), UNPROVEN.items())
def test_what_a_clause_is_worth_is_explained(
    clause: str, sentence: str
) -> None:
    page = (ROOT / "docs/explanation/clauses.md").read_text("utf-8")

    assert f"| {clause} | {sentence} |" in page


@pytest.mark.parametrize(
    "module",
    sorted(
        path.stem
        for path in PACKAGE.glob("*.py")
        if not path.stem.startswith("_") and path.stem not in NO_PAGE
    ),
)
def test_every_module_has_a_page_in_the_reference(module: str) -> None:
    page = (REFERENCE / f"{module}.md").read_text("utf-8")
    index = (REFERENCE / "index.md").read_text("utf-8")

    assert f"automodule:: autopay_core.{module}" in page
    assert f"\n{module}\n" in index


@pytest.mark.parametrize("folder", ["tutorial", "how-to", "explanation"])
def test_every_page_is_reached_from_its_index(folder: str) -> None:
    index = (ROOT / "docs" / folder / "index.md").read_text("utf-8")
    pages = [path.stem for path in (ROOT / "docs" / folder).glob("*.md")]

    missing = [
        page
        for page in pages
        if page != "index" and f"({page}.md)" not in index
    ]

    assert not missing


def _members_without_docstring(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef(
                name=name, bases=[ast.Name(id="Choice" | "Enum")], body=body
            ) if not name.startswith("_"):
                for member, after in zip(body, [*body[1:], None], strict=True):
                    match member, after:
                        case ast.Assign(), ast.Expr(value=ast.Constant()):
                            pass
                        case ast.Assign(targets=[ast.Name(id=each)]), _:
                            yield f"{name}.{each}"
                        case _:
                            pass
            case _:
                pass


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if "testing" not in path.parts
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_every_member_of_an_enumeration_says_what_it_means(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    assert not list(_members_without_docstring(tree))


def test_a_member_without_a_meaning_is_found() -> None:
    tree = ast.parse(
        'class Side(Choice):\n    LEFT = "l"\n    """Left."""\n'
        '    RIGHT = "r"\n    TOP = "t"\n    """Up."""'
    )

    assert list(_members_without_docstring(tree)) == ["Side.RIGHT"]


def test_the_page_on_ports_names_all_that_they_export() -> None:
    page = (REFERENCE / "ports.md").read_text("utf-8")
    here = {
        name
        for name in ports.__all__
        if getattr(getattr(ports, name), "__module__", "") == ports.__name__
    }

    missing = [
        name
        for name in ports.__all__
        if name not in here and f"`{name}`" not in page
    ]

    assert not missing
    assert {"MatterData", "Ports"} <= here


def test_the_house_is_described_with_all_its_rooms() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    house = page.split("## The house", 1)[1].split("\n## ", 1)[0]
    rooms = {
        path.stem
        for folder in (PACKAGE, PACKAGE / "engine")
        for path in folder.iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    described = set(re.findall(r"`(\w+)`", house))

    assert not sorted(rooms - described)
    assert {"allocation", "engine", "collecting"} <= rooms


_DIRECTIVE: Final = re.compile(r"\.\. auto(module|class|function):: ([\w.]+)")


def _modules_with_a_page() -> list[str]:
    """Return the public modules, but for what only forwards names."""
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted(PACKAGE.glob("*.py"))
        if not path.stem.startswith("_") and path.stem not in NO_PAGE
    ]


def _home(thing: object, module: str) -> str:
    """Return where a name of ours was made; a constant stands in *module*."""
    home = str(getattr(thing, "__module__", ""))
    return home if home.startswith("autopay_core") else module


@pytest.mark.parametrize("module", _modules_with_a_page())
def test_every_public_name_is_in_the_reference(module: str) -> None:
    listed = [
        found
        for page in REFERENCE.rglob("*.md")
        for found in _DIRECTIVE.findall(page.read_text("utf-8"))
    ]
    modules = {name for kind, name in listed if kind == "module"}
    names = {name for kind, name in listed if kind != "module"}
    found = import_module(module)

    missing = [
        name
        for name in found.__all__
        if f"{module}.{name}" not in names
        and _home(getattr(found, name), module) not in modules
    ]

    assert not missing
