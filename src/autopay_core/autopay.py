"""
The standing order: what an auto-pay is, and when it is due (S6 to S8, S11).

Holds, under their public names: `AutoPay`, `Enrollment`, `AdvanceNotice`; what
an order does at a date (`state_on`, `upcoming`, `ends_on`, `due` …), with
`Known` for what is on record of it; its changes (`edit`, `renew`, `turn_on`);
and what to tell about it. Imports: `_edits`, `_life`, `_standing`, `_told`.
"""

from __future__ import annotations

from autopay_core._edits import (
    RENEWAL_DAYS,
    Edited,
    edit,
    renew,
    try_edit,
    turn_on,
)
from autopay_core._life import (
    GONE_DAYS,
    AutoPayState,
    Ending,
    Known,
    due,
    ending,
    ends_on,
    in_force,
    occurrence_on,
    passed_over,
    state_on,
    upcoming,
    years,
)
from autopay_core._standing import AdvanceNotice, AutoPay, Enrollment
from autopay_core._told import autopay_notices

__all__ = [
    "GONE_DAYS",
    "RENEWAL_DAYS",
    "AdvanceNotice",
    "AutoPay",
    "AutoPayState",
    "Edited",
    "Ending",
    "Enrollment",
    "Known",
    "autopay_notices",
    "due",
    "edit",
    "ending",
    "ends_on",
    "in_force",
    "occurrence_on",
    "passed_over",
    "renew",
    "state_on",
    "try_edit",
    "turn_on",
    "upcoming",
    "years",
]
