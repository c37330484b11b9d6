"""The tutorial's script, notebook and pictures come from its page."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "tutorial"
MADE: Final = (
    "docs/images/timeline.svg",
    "docs/images/year.svg",
    "docs/tutorial/first-autopay-notebook.ipynb",
    "docs/tutorial/first_autopay.py",
)


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_tutorial", FOLDER / "make.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make: Any = _maker()


@pytest.fixture(scope="module")
def fresh() -> dict[str, str]:
    """Execute the page cell by cell, and make everything again."""
    return {
        str(path.relative_to(ROOT)): text for path, text in make.made().items()
    }


@pytest.mark.parametrize("name", MADE)
def test_what_is_kept_is_what_the_page_makes(
    name: str, fresh: dict[str, str]
) -> None:
    assert set(fresh) == set(MADE)
    kept = (ROOT / name).read_text("utf-8")

    assert kept == fresh[name], "python docs/tutorial/make.py makes it again"


def test_the_script_runs_where_nothing_but_the_package_is(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", FOLDER / "first_autopay.py"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        encoding="utf-8",
        timeout=120,
    )

    assert done.stderr == ""
    assert "ap-1/2026-03-31: paid USD 600.00" in done.stdout
    assert list(tmp_path.iterdir()) == []


def _cells(kind: str) -> list[dict[str, Any]]:
    path = FOLDER / "first-autopay-notebook.ipynb"
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [each for each in cells if each["cell_type"] == kind]


def test_the_notebook_begins_with_how_to_install_it() -> None:
    prose = ["".join(each["source"]) for each in _cells("markdown")]

    assert prose[0].index("pip install") < prose[0].index("## A firm")
    assert "executed notebook" not in prose[0]


def test_the_notebook_shows_tables_and_pictures_and_no_error() -> None:
    outputs = [output for each in _cells("code") for output in each["outputs"]]
    html = [
        "".join(each["data"]["text/html"])
        for each in outputs
        if "text/html" in each.get("data", {})
    ]

    assert {each["output_type"] for each in outputs} <= {
        "stream",
        "execute_result",
    }
    assert sum("<img " in each for each in html) == 3
    assert sum("<table" in each for each in html) >= 6
    assert "Error-Failed AutoPay" in json.dumps(outputs)
    assert [each["execution_count"] for each in _cells("code")] == list(
        range(1, len(_cells("code")) + 1)
    )


def test_a_cell_shows_what_the_page_prints_and_a_script_prints_it() -> None:
    assert make.as_cell("x = 1\nprint(x)") == "x = 1\nx"
    assert make.as_cell("print(x, y)") == "print(x, y)"
    assert make.as_cell("x = 1") == "x = 1"
    assert make.as_script("x = 1\nx") == "x = 1\nprint(x)"
    assert make.as_script("f(x)") == "f(x)"
    assert make.session(">>> a = 1\n>>> a\n1\n>>> b = 2\n") == [
        "a = 1\na",
        "b = 2",
    ]
