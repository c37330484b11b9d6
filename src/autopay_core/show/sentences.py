"""
Notices as people read them.

Holds: `notice_text`, `notice_facts`. Imports: `notices`. Every text is data:
its control characters are escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autopay_core._checks import clean_text

if TYPE_CHECKING:
    from autopay_core.notices import Notice

__all__ = ["notice_facts", "notice_text"]


def notice_facts(notice: Notice, /) -> dict[str, str]:
    """Return what a notice says beside its title and detail, by label."""
    return {
        "Auto-pay": f"{notice.name} ({notice.autopay})".strip(),
        "Payer": notice.payer,
        "Date": notice.on.isoformat(),
        "Amount": "" if notice.amount is None else str(notice.amount),
        "Reason": notice.reason,
    }


def notice_text(notice: Notice, /) -> str:
    """Show a notice as a person would get it, line by line."""
    facts = [
        f"{label}: {clean_text(fact)}"
        for label, fact in notice_facts(notice).items()
        if fact
    ]
    lines = (clean_text(notice.title), *facts, clean_text(notice.detail))
    return "\n".join(filter(None, lines))
