"""What is cited is defined in docs/reference/rules.md, and the reverse."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "reference" / "rules.md"
GENERATED: Final = frozenset({"_build", "jupyter_execute", "__pycache__"})

# R01 is a bank's code and M-1 a matter: a rule has no zero and no hyphen.
_RULE: Final = re.compile(
    r"(?<![\w-])((?:B0|[A-Z][1-9]\d?)|(?:(?:MD|PG|TS|PS|NT|BK|PORT)-\d+))"
    r"(?![\w-])"
)
_CLAUSE: Final = re.compile(
    r"(?<![\w-])((?:MD|PG|TS|PS|NT|BK|PORT)-\d+)(?![\w-])"
)
_NAME: Final = re.compile(
    r"test_(?:([msalrpnebhotx])|(md|pg|ts|ps|nt|bk|port)_)(\d+)_"
)
_CODE: Final = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_FILE: Final = re.compile(r"(?<![\w*])[\w-]+\.md\b")


def _files(*patterns: str) -> list[Path]:
    return [
        path
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
        if GENERATED.isdisjoint(path.parts)
    ]


def _python() -> list[Path]:
    found = _files("src/**/*.py", "tests/**/*.py", "conftest.py")
    return [path for path in found if path != Path(__file__)]


def _prose() -> list[Path]:
    found = _files("README.md", "CONTRIBUTING.md", "docs/**/*.md")
    return [path for path in found if path != PAGE]


def _comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def _strings(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _cited_in_python(text: str) -> Iterator[str]:
    """
    Find ids in comments, docstrings and names of tests.

    In other strings a clause is one wherever it stands, and an invariant
    where a promise is broken or a planted bug is awaited.
    """
    for comment in _comments(text):
        yield from _RULE.findall(comment)
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as docstring)):
                yield from _RULE.findall(docstring)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found = _NAME.match(name)
                if found is not None:
                    rule, clause, number = found.groups()
                    yield (
                        f"{rule}{number}" if rule else f"{clause}-{number}"
                    ).upper()
            case (
                ast.Call(func=ast.Name(id="PromiseBroken"), args=[value, *_])
                | ast.keyword(arg="rules" | "ignored", value=value)
            ):
                for string in _strings(value):
                    yield from _RULE.findall(string)
            case ast.Constant(value=str() as string):
                yield from _CLAUSE.findall(string)
            case _:
                pass


def _cited_in_prose(text: str) -> Iterator[str]:
    yield from _RULE.findall(_CODE.sub("", text))
    yield from _CLAUSE.findall(text)


@cache
def _cited() -> dict[str, set[str]]:
    """Return each id with the files that cite it."""
    cited: dict[str, set[str]] = {}
    for paths, find in (
        (_python(), _cited_in_python),
        (_prose(), _cited_in_prose),
    ):
        for path in paths:
            for each in find(path.read_text("utf-8")):
                place = str(path.relative_to(ROOT))
                cited.setdefault(each, set()).add(place)
    return cited


def _defined() -> list[str]:
    rows = re.findall(
        r"^\| (\S+) \| \S", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return [each for each in rows if each != "id"]


def test_what_is_cited_is_defined() -> None:
    defined = set(_defined())

    undefined = {
        each: sorted(places)
        for each, places in _cited().items()
        if each not in defined
    }

    assert not undefined


def test_what_is_defined_is_cited() -> None:
    uncited = sorted(set(_defined()) - _cited().keys())

    assert not uncited


def test_an_id_is_defined_once_and_is_one() -> None:
    counted = Counter(_defined())

    assert not [each for each, count in counted.items() if count > 1]
    assert not [each for each in counted if _RULE.fullmatch(each) is None]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""Pay it once (R99)."""', {"R99"}),
        ("x = 1  # as R98 says", {"R98"}),
        ("def test_r97_it_is_paid() -> None: ...", {"R97"}),
        ("def test_pg_96_it_is_paid() -> None: ...", {"PG-96"}),
        ('raise PromiseBroken("I95", "paid twice")', {"I95"}),
        ('plant(rules="I94 Q94")', {"I94", "Q94"}),
        ('table = {"NT-93": "lost"}', {"NT-93"}),
        ('bank_said = "R10"', set()),
        ('invoice(matter="M-1")  # R01 of the bank', set()),
        ('"""Keep what a page that is not here calls so (J92)."""', {"J92"}),
    ],
)
def test_an_id_is_found_where_it_is_cited(text: str, found: set[str]) -> None:
    assert set(_cited_in_python(text)) == found


def test_an_id_is_found_in_prose_and_not_in_code() -> None:
    text = "As R99 says [PG-98], `R97` is a bank's code and `PG-96` is not."

    assert set(_cited_in_prose(text)) == {"R99", "PG-98", "PG-96"}


def test_only_documents_that_are_in_the_repository_are_cited() -> None:
    known = {path.name for path in _files("*.md", "docs/**/*.md", "*/*.md")}
    unknown = {
        (str(path.relative_to(ROOT)), name)
        for path in (*_python(), *_prose(), PAGE)
        for name in _FILE.findall(path.read_text("utf-8"))
        if name not in known
    }

    assert not unknown
