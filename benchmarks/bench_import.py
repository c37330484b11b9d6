"""
What `import autopay_core` costs beside what every import of it needs anyway.

Whole processes, in turn, by the CPU time that the operating system counted,
so that waiting for a busy machine does not count. The least of several runs
is compared: nothing makes an import faster than it is.
"""

from __future__ import annotations

import resource
import subprocess
import sys

from table import Row, compare, show

RUNS = 15
EMPTY = "pass"
FLOOR = "import attrs, typing_extensions"
OURS = "import autopay_core"
HELP = """
from contextlib import redirect_stdout, suppress
from io import StringIO
from autopay_core.command import main
with suppress(SystemExit), redirect_stdout(StringIO()):
    main(["--help"])
"""
AT_ONCE = 0.15  # Seconds in which a person expects the help.
ALL = "import autopay_core as ap; [getattr(ap, each) for each in ap.__all__]"


def cpu_seconds(code: str) -> float:
    """Run *code* in a process of its own; return its user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows() -> list[Row]:
    """Measure; at most twice the floor is good enough."""
    runs = [
        [cpu_seconds(code) for code in (EMPTY, FLOOR, OURS, ALL, HELP)]
        for _ in range(RUNS)
    ]
    empty, floor, ours, every, helped = (
        min(column) for column in zip(*runs, strict=True)
    )
    return [
        compare("import: attrs, typing_extensions", ours, floor, 0.5),
        compare(
            "the same without the interpreter's own start",
            ours - empty,
            floor - empty,
        ),
        compare("the same with every name asked for", every, floor),
        compare("autopay --help, and 150 ms", helped, AT_ONCE, 1.0),
    ]


if __name__ == "__main__":
    sys.exit(show(rows()))
