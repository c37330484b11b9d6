"""The threat model cites tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (
    ROOT / "docs" / "explanation" / "threats.md",
    ROOT / "SECURITY.md",
)
_TEST: Final = re.compile(r"`(tests/\w+\.py)::(test_\w+)`")
_LINK: Final = re.compile(r"\]\(([^)#:]+)\)")


def test_every_test_that_is_cited_is_there() -> None:
    cited = [
        found.groups()
        for page in PAGES
        for found in _TEST.finditer(page.read_text(encoding="utf-8"))
    ]

    assert len(cited) > 30
    for file, name in cited:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {
            each.name
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef)
        }, f"{file}::{name}"


def test_every_page_that_is_linked_is_there() -> None:
    for page in PAGES:
        links = _LINK.findall(page.read_text(encoding="utf-8"))
        assert links
        for link in links:
            assert (page.parent / link).resolve().exists(), (page.name, link)


def test_it_is_said_how_to_report_and_no_address_is_invented() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

    assert "private vulnerability" in text
    assert "@" not in text
