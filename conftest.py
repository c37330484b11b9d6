"""
Run the examples of README.md and docs/ as tests.

Every ```` ```python ```` block is executed, whether it is plain code or a
session with ``>>>``. The blocks of one document share a namespace and run
from top to bottom, in a temporary folder, so that an example may write files
under a plain name.
"""

from __future__ import annotations

import os
import tempfile
from doctest import ELLIPSIS
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

if TYPE_CHECKING:
    from xdist.remote import Producer

collect_ignore = ["docs/conf.py", "tests/data"]

_HERE = "_started_in"


def _enter_a_temporary_folder(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory(prefix="example-")
    namespace[_HERE] = (Path.cwd(), folder)
    os.chdir(folder.name)


def _leave_the_temporary_folder(namespace: dict[str, Any]) -> None:
    started_in, folder = namespace[_HERE]
    os.chdir(started_in)
    folder.cleanup()


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS),
        SkipParser(),
    ],
    patterns=["*.md"],
    excludes=["CHANGELOG.md"],
    setup=_enter_a_temporary_folder,
    teardown=_leave_the_temporary_folder,
).pytest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the examples of a document back in order after the shuffle."""
    examples = [item for item in items if item.path.suffix == ".md"]
    examples.sort(key=_document_and_line)
    others = [item for item in items if item.path.suffix != ".md"]
    items[:] = others + examples


def _document_and_line(item: pytest.Item) -> tuple[str, int]:
    _, line, _ = item.reportinfo()
    return str(item.path), line or 0


# Marking the examples as an `xdist_group` would do, but pytest 9.2 and
# xdist 3.8 together ignore such groups without a word.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> object:
    """Keep a document on one worker; every other test may go anywhere."""
    from xdist.scheduler import LoadScopeScheduling

    class DocumentsStayTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path.endswith(".md") else nodeid

    return DocumentsStayTogether(config, log)
