"""
Pictures for notebooks, as SVG.

Holds: `bars`. Imports: `money`. Every text is data: its control characters
and its markup are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Final

from autopay_core._checks import clean_text
from autopay_core.money import Money

__all__ = ["bars"]

_WIDTH: Final = 640
_HEIGHT: Final = 180
_FLOOR: Final = 150
_TOP: Final = 30
_LABELS_MOST: Final = 13


def bars(title: str, amounts: Sequence[tuple[date, Money]], /) -> str:
    """Draw a bar for each date's amount, with integers only."""
    most = max((each.amount_minor for _, each in amounts), default=0)
    step = _WIDTH // max(len(amounts), 1)
    every = -(-len(amounts) // _LABELS_MOST)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
        f'height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="11">'
        f"<title>{_text(title)}</title>"
        f'<text x="0" y="14">{_text(title)}</text>'
        f'<line x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}" '
        'stroke="currentColor"/>'
    )
    parts = [head]
    for place, (on, amount) in enumerate(amounts):
        minor = amount.amount_minor
        height = (_FLOOR - _TOP) * minor // most if most else 0
        left, wide = place * step, max(step - 2, 1)
        day = on.isoformat()
        parts.append(
            f'<rect x="{left}" y="{_FLOOR - height}" width="{wide}" '
            f'height="{height}" fill="#4c78a8"><title>{day}: '
            f"{_text(str(amount))}</title></rect>"
        )
        if place % every == 0:
            parts.append(
                f'<text x="{left}" y="{_FLOOR + 14}">{day[5:]}</text>'
            )
    parts.append("</svg>")
    return "".join(parts)


def _text(text: str) -> str:
    return escape(clean_text(text))
