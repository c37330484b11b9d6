"""
Which holds a store hands out, and to whom (H1).

Holds: functions of both kinds of stores. Imports: `holds`.
"""

from __future__ import annotations

from autopay_core.holds import Hold, HoldLevel

__all__ = ["client_of", "targets_of"]


def targets_of(autopay: str, method: str, payer: str) -> tuple[str, ...]:
    """Return what a run waits for, as `Hold.target` names it."""
    return (
        f"{HoldLevel.STORE.value}:",
        f"{HoldLevel.PAYER.value}:{payer}",
        f"{HoldLevel.METHOD.value}:{method}",
        f"{HoldLevel.AUTOPAY.value}:{autopay}",
    )


def client_of(hold: Hold) -> str | None:
    """
    Return the client whose invoices a hold is about.

    Empty for a hold on an invoice, which is not asked whose it is: it may be
    another client's by now. None for what holds whole runs.
    """
    if hold.level.is_waiting:
        return None
    if hold.level is HoldLevel.CLIENT:
        return hold.subject
    return hold.client
