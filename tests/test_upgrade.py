"""The page on upgrading says what the code does, row by row."""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from autopay_core._moved import MOVED

PAGE: Final = (
    Path(__file__).parent.parent / "docs" / "how-to" / "upgrade.md"
).read_text("utf-8")


_ROW: Final = re.compile(r"^\| `(\w+)` \| `([\w.]+)` \|$", re.MULTILINE)
_GONE: Final = re.compile(r"^\| `([\w.]+)` \| [^`]", re.MULTILINE)
_SILENT: Final = re.compile(r"^- `([\w.]+)`$", re.MULTILINE)


def _rows() -> list[tuple[str, str, str]]:
    """Return old module, old name and new place of each row."""
    found: list[tuple[str, str, str]] = []
    for section in PAGE.split("\n### From ")[1:]:
        module = section.split("`")[1]
        rows = re.findall(
            r"^\| `(\w+)` \| `([\w.]+)` \|$", section, re.MULTILINE
        )
        found.extend((module, name, place) for name, place in rows)
    return found


ROWS: Final = _rows()
GONE: Final[list[str]] = re.findall(
    r"^\| `([\w.]+)` \| [^`]", PAGE, re.MULTILINE
)


def _is_silent(module: str, name: str) -> bool:
    """Tell whether the old module uses the name and so has it itself."""
    return name in vars(import_module(module))


@pytest.mark.parametrize(
    ("module", "name", "place"), ROWS, ids=[f"{m}.{n}" for m, n, _ in ROWS]
)
def test_a_name_that_has_moved_is_found_where_it_was_with_a_warning(
    module: str, name: str, place: str
) -> None:
    home, _, new = place.rpartition(".")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(import_module(module), name)

    assert found is getattr(import_module(home), new)
    if not _is_silent(module, name):
        [warning] = caught
        assert warning.category is DeprecationWarning
        assert str(warning.message) == f"{module}.{name} has moved to {place}"


def test_the_page_says_which_names_do_not_warn() -> None:
    silent = {f"{m}.{n}" for m, n, _ in ROWS if _is_silent(m, n)}

    assert set(_SILENT.findall(PAGE)) == silent


def test_the_page_lists_what_has_moved() -> None:
    moved = {
        (module, name, f"autopay_core.{place}")
        for module, names in MOVED.items()
        for name, place in names.items()
    }

    assert set(ROWS) == moved
    assert len(ROWS) == len(moved)


@pytest.mark.parametrize("module", GONE)
def test_a_module_that_is_gone_is_gone(module: str) -> None:
    assert find_spec(module) is None


def test_the_page_names_the_modules_that_are_gone() -> None:
    assert len(GONE) == 5


def test_a_name_that_was_never_there_is_still_an_error() -> None:
    with pytest.raises(AttributeError, match="never_there"):
        _ = import_module("autopay_core").never_there


def test_importing_a_name_as_before_warns_where_it_is_imported() -> None:
    with pytest.warns(DeprecationWarning, match="has moved") as caught:
        exec("from autopay_core import Captured", {})  # noqa: S102

    assert {each.filename for each in caught} == {"<string>"}
