"""
Pictures as SVG, with the table that says the same.

Holds: `Picture`, and what draws one: `Canvas`. Imports: `show.tables` and
`_checks`. A picture stands on a card of its own and has colours for light and
for dark, so that it can be read on any page; its texts are large enough for a
telephone of 390 pixels. Every text is data: its control characters and its
markup are escaped. Nothing is drawn with a float.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any, Final, final

import attrs

from autopay_core._checks import a, clean_text
from autopay_core.errors import InvalidValueError
from autopay_core.show.tables import Table

__all__ = ["COLOURS", "Canvas", "Picture", "day_text", "shortened"]

_SHOWN_WIDE: Final = 640
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

# Dark enough for white letters, and light enough for black ones.
_LIGHT: Final = (
    "#2f6690",
    "#8c4a2f",
    "#3d6b35",
    "#6b4c9a",
    "#7a5f00",
    "#2b6b73",
)
_DARK: Final = (
    "#8fc1ea",
    "#f0b391",
    "#a3d39c",
    "#cdb4f0",
    "#e3c761",
    "#8fd3dc",
)
COLOURS: Final = len(_LIGHT)
"""How many colours there are for things that differ."""


def _style(card: str, line: str, text: str, muted: str, mark: str) -> str:
    return (
        f".ap-card{{fill:{card};stroke:{line}}}"
        f".ap-line{{stroke:{line}}}"
        f".ap-text{{fill:{text}}}.ap-muted{{fill:{muted}}}"
        f".ap-edge{{stroke:{text};fill:none}}"
        f".ap-shade{{fill:{line}}}"
        f".ap-mark{{fill:{mark}}}.ap-rule{{stroke:{mark};fill:none}}"
        f".ap-on{{fill:{card}}}"
    )


def _fills(colours: Sequence[str]) -> str:
    return "".join(
        f".ap-c{place}{{fill:{colour}}}"
        for place, colour in enumerate(colours)
    )


_STYLE: Final = (
    f"{_style('#ffffff', '#d0d7de', '#1f2328', '#59636e', '#a40e26')}"
    f"{_fills(_LIGHT)}"
    "@media (prefers-color-scheme:dark){"
    f"{_style('#161b22', '#3d444d', '#f0f6fc', '#9198a1', '#ff9492')}"
    f"{_fills(_DARK)}}}"
)


@final
@attrs.frozen(kw_only=True, repr=False)
class Picture:
    """
    A picture that shows itself in a notebook, and its figures as a table.

    Attributes:
        title: What it is, in a line; for whoever cannot see it.
        svg: The whole picture, such as for a file.
        table: The same in figures; this is what `print` shows.

    """

    title: str = attrs.field(validator=a(str))
    svg: str = attrs.field(validator=a(str))
    table: Table = attrs.field(validator=a(Table))

    def __str__(self) -> str:
        """Return the figures, which can be read anywhere."""
        return str(self.table)

    def __repr__(self) -> str:
        """Name it; the whole SVG would help nobody."""
        return f"<Picture {clean_text(self.title)!r}>"

    def _repr_html_(self) -> str:
        """Return it for a notebook."""
        return self.html()

    def html(self) -> str:
        """
        Return an image, with the table to unfold below it.

        A notebook that nobody trusts drops SVG that stands in the page and
        lets its texts run together; an image it keeps.
        """
        data = b64encode(self.svg.encode()).decode()
        title = escape(clean_text(self.title))
        return (
            f'<img alt="{title}" width="{_SHOWN_WIDE}" '
            'style="max-width:100%;height:auto" '
            f'src="data:image/svg+xml;base64,{data}">'
            f"<details><summary>{title}</summary>{self.table.html()}"
            "</details>"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - as IPython calls it
        """Return it for IPython without HTML: what `print` shows."""
        printer.text("..." if cycle else str(self))

    def __rich__(self) -> object:
        """Return the table: a terminal shows no picture."""
        return self.table.__rich__()


class Canvas:
    """
    A card on which a picture is drawn, with whole numbers only.

    Args:
        wide: Units of its width; a text of 12 is as large as this page's
            where the card is 640 pixels wide.

    """

    def __init__(self, wide: int) -> None:
        self.wide = wide
        self._parts: list[str] = []

    def text(
        self,
        x: int,
        y: int,
        said: str,
        *,
        size: int = 11,
        kind: str = "text",
        anchor: str = "start",
        bold: bool = False,
        struck: bool = False,
    ) -> None:
        """Write a text; *kind* is a class of the style."""
        more = ' font-weight="600"' if bold else ""
        more += ' text-decoration="line-through"' if struck else ""
        more += f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._parts.append(
            f'<text class="ap-{kind}" x="{x}" y="{y}" font-size="{size}"'
            f"{more}>{_text(said)}</text>"
        )

    def box(
        self,
        x: int,
        y: int,
        wide: int,
        high: int,
        *,
        kind: str,
        said: str = "",
        round_: int = 0,
    ) -> None:
        """Draw a box; *said* is shown to whoever points at it."""
        title = f"<title>{_text(said)}</title>" if said else ""
        corner = f' rx="{round_}"' if round_ else ""
        self._parts.append(
            f'<rect class="ap-{kind}" x="{x}" y="{y}" width="{wide}" '
            f'height="{high}"{corner}>{title}</rect>'
        )

    def line(
        self, points: Sequence[tuple[int, int]], *, kind: str, dashed: bool
    ) -> None:
        """Draw a line from point to point."""
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<polyline class="ap-{kind}" points="{path}" fill="none"{dash}/>'
        )

    def done(self, title: str, high: int) -> str:
        """
        Return the whole picture.

        Raises:
            InvalidValueError: It has no height.

        """
        if high < 1:
            raise InvalidValueError(
                "a picture has a height", code="OutOfRange", path="high"
            )
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'width="{_SHOWN_WIDE}" height="{_SHOWN_WIDE * high // self.wide}"'
            f' viewBox="0 0 {self.wide} {high}" role="img" '
            'font-family="system-ui,sans-serif">'
            f"<title>{_text(title)}</title><style>{_STYLE}</style>"
            f'<rect class="ap-card" x="1" y="1" width="{self.wide - 2}" '
            f'height="{high - 2}" rx="6"/>{"".join(self._parts)}</svg>'
        )


def day_text(on: date, /) -> str:
    """
    Return a date with its year, as people read it whatever their country.

    >>> day_text(date(2026, 1, 31))
    '31 Jan 2026'

    """
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def shortened(text: str, most: int, /) -> str:
    """Cut a text that has no room, and say so."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(text: str) -> str:
    return escape(clean_text(text))
