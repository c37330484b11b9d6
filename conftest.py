"""
Run the examples of README.md and docs/ as tests, and choose the fast tests.

``-m fast`` runs what `FAST` lists, and looks at no other file: values,
schedules, allocation, flows and the memory store, in half a minute.

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

collect_ignore = [
    "docs/conf.py",
    "docs/tutorial/first_autopay.py",
    "docs/tutorial/make.py",
    "tests/data",
]

_HERE = "_started_in"

FAST = (
    "allocation",
    "allocation_inputs",
    "associations",
    "autopay",
    "charges",
    "commits",
    "contracts_memory",
    "flow_*",
    "invoices",
    "memory",
    "money",
    "notices",
    "postings",
    "references",
    "retries",
    "run",
    "run_one",
    "schedules",
    "schedules_bad_input",
    "schedules_cases",
)
"""The files whose tests are `fast`, but for those marked otherwise."""

_TESTS = Path(__file__).parent / "tests"
_FAST = {each: frozenset(_TESTS.glob(f"test_{each}.py")) for each in FAST}
_NOT_FAST = ("slow", "soak", "postgres", "processes")


def _is_fast(path: Path) -> bool:
    return any(path in files for files in _FAST.values())


def pytest_configure() -> None:
    """Refuse to take a file for fast that is not there."""
    gone = [each for each, files in _FAST.items() if not files]
    if gone:
        raise pytest.UsageError(f"no test is in {', '.join(gone)}: see FAST")


def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> bool | None:
    """Look at fast files only, if only fast tests are asked for."""
    if config.getoption("markexpr") != "fast" or collection_path.is_dir():
        return None
    return not _is_fast(collection_path) or None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is fast."""
    if _is_fast(item.path) and not any(
        item.get_closest_marker(each) for each in _NOT_FAST
    ):
        item.add_marker(pytest.mark.fast)


def _enter_a_temporary_folder(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory(prefix=f"example-{os.getpid()}-")
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
