"""
Values that show themselves in notebooks and terminals, when they are shown.

Holds: `Shown` and `Listed`. Imports: `_checks`. How a value looks
is the business of `show.values`, which stands far above: it is looked up by
its name when a notebook or rich asks, and at no other time, so that a run
loads none of it. This is the only way up in the house.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, TypeVar

from autopay_core._checks import Readable

__all__ = ["Listed", "Shown"]

_SHOW: Final = "autopay_core.show.values"

_T = TypeVar("_T")


def _show() -> Any:  # noqa: ANN401 - a module that is above this one
    return import_module(_SHOW)


class Shown(Readable):
    """A value with a table of its own, for notebooks and for rich."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Return it for a notebook; every text is escaped."""
        shown: str = _show().html_of(self)
        return shown

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - as IPython calls it
        """Return it for IPython without HTML: what `print` shows."""
        printer.text("..." if cycle else str(self))

    def __rich__(self) -> object:
        """Return it for rich."""
        return _show().rich_of(self)


class Listed(list[_T]):
    """A list that shows itself as a table; otherwise it is any list."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return a line for each."""
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        """Return it for a notebook; every text is escaped."""
        shown: str = _show().html_of(self)
        return shown

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - as IPython calls it
        """Return it for IPython without HTML: what `print` shows."""
        printer.text("..." if cycle else str(self))

    def __rich__(self) -> object:
        """Return it for rich."""
        return _show().rich_of(self)
