"""
How far long work is, for whoever looks at the terminal.

Holds: `progress`, and `quiet`, which tells nobody. Imports: rich (only when it
is installed, and only when somebody is looking).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import TextIO

__all__ = ["Tell", "progress", "quiet"]

Tell = Callable[[int, str], None]
"""Is told how many steps are done, and what was done last."""

_BAR = 40


def quiet(_done: int, _what: str) -> None:
    """Tell nobody."""


@contextlib.contextmanager
def progress(
    total: int, unit: str, /, *, file: TextIO | None = None
) -> Generator[Tell, None, None]:
    """
    Show how far the work is, if somebody is looking.

    Args:
        total: How many steps there are.
        unit: What a step is, in the plural.
        file: Where to; None for the standard error, so that what is printed
            can go into a file or a pipe.

    """
    target = sys.stderr if file is None else file
    if not target.isatty() or total < 1:
        yield quiet
        return
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield _plain_bar(total, unit, target)
        target.write("\n")
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        TimeRemainingColumn(),
    )
    # What goes into a pipe must not be drawn on the terminal instead.
    with Progress(
        *columns,
        console=Console(file=target),
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("", total=total)

        def tell(done: int, what: str) -> None:
            bar.update(task, completed=done, description=what)

        yield tell


def _plain_bar(total: int, unit: str, target: TextIO) -> Tell:
    def tell(done: int, what: str) -> None:
        filled = "#" * (_BAR * done // total)
        target.write(f"\r{what} [{filled:<{_BAR}}] {done}/{total} {unit}")
        target.flush()

    return tell
