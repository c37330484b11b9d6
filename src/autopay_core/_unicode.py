"""
What a person sees of a text, from the Unicode data (E2, L5).

Holds: `INVISIBLE`, the characters that show nothing, `HIDDEN`, those that no
identifier may hold, and `fold_number`, which makes equal what a person takes
for one number. Imports: nothing of the
package.

The `Default_Ignorable_Code_Point` property is not in the standard library's
`unicodedata`, so its ranges stand here; a test compares them with what that
module knows of their categories.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["HIDDEN", "INVISIBLE", "fold_number"]

INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""The default-ignorable code points of Unicode 16, as ranges of a pattern."""

HIDDEN: Final = (
    INVISIBLE
    # Controls, separators of lines, lone surrogates, marks of annotations,
    # the blank of Braille, and what is no character.
    + "\x00-\x1f\x7f-\x9f\u2028\u2029\u2800\ud800-\udfff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff"
)
"""What no new identifier may hold: it hides, or looks like nothing (E2)."""

_UNSEEN: Final = re.compile(rf"[\s{INVISIBLE}]+")
_ASCII_BLANKS: Final = re.compile(r"\s+")
_LEADING_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")
_DIGITS: Final = re.compile(r"\d+")


def fold_number(text: str, /) -> str:
    r"""
    Return what two numbers share that a person may take for one (L5, B2).

    Compatibility forms and case are made equal, white space and what shows
    nothing is left out, and so are the leading zeros of each run of digits,
    which spreadsheets lose. What folds to one text is a look-alike; it is
    never taken to be the same.

    >>> fold_number("INV-0042") == fold_number("inv- 42\u200b")
    True
    >>> fold_number("INV-042") == fold_number("INV-0420")
    False

    """
    if text.isascii():
        seen = _ASCII_BLANKS.sub("", text).lower()
        return _LEADING_ZEROS.sub("", seen) if "0" in seen else seen
    normal = unicodedata.normalize("NFKC", text)
    # Folding may undo a composition, and what is left out may stand between
    # two characters that compose: each step is made normal again.
    normal = unicodedata.normalize("NFKC", normal.casefold())
    normal = unicodedata.normalize("NFKC", _UNSEEN.sub("", normal))
    return _DIGITS.sub(_without_leading_zeros, normal.casefold())


def _without_leading_zeros(run: re.Match[str]) -> str:
    digits = run[0]
    for place, digit in enumerate(digits):
        if unicodedata.decimal(digit, 1):
            return digits[place:]
    return digits[-1]
