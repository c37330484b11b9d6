"""
Fail unless every line and branch of the core has been run by a test.

The core is what the contract ``core`` in pyproject.toml says. A module that
no test imported is not in the data, and would be 100 % covered: so it is
looked for by name.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import coverage

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIRED = 100.0


def core_files() -> list[str]:
    """Return the files of the core's modules; each has to exist."""
    tools = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]
    [names] = [
        contract["source_modules"]
        for contract in tools["importlinter"]["contracts"]
        if contract["id"] == "core"
    ]
    files: list[str] = []
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            sys.exit(f"{name} is part of the core and does not exist")
        if spec.submodule_search_locations is None:
            files.append(spec.origin)
        else:
            folder = Path(spec.origin).parent
            files.extend(map(str, sorted(folder.glob("*.py"))))
    return files


def main() -> None:
    """Report on the core; exit with a reason unless all is covered."""
    files = core_files()
    measured = coverage.Coverage(config_file=str(PYPROJECT))
    measured.load()
    missing = set(files) - measured.get_data().measured_files()
    if missing:
        sys.exit(f"no test ran anything of {sorted(missing)}")
    total = measured.report(include=files, skip_covered=False)
    if total < REQUIRED:
        sys.exit(f"the core is covered to {total:.2f} %, not {REQUIRED:.0f} %")


if __name__ == "__main__":
    main()
