"""
What a person's word needs: who says it, and why.

Holds: `a_person_says`. Imports: `_checks`.
"""

from __future__ import annotations

from autopay_core._checks import check_text

__all__ = ["a_person_says"]


def a_person_says(by: str, reason: str) -> None:
    """
    Refuse a word that nobody gave, or without a reason.

    Raises:
        InvalidValueError: Code ``FieldMissing``.

    """
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason", empty=False)
