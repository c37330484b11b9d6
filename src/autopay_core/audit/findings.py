"""
What the audit can find.

Holds: `Code`, one for each kind of difference, and `Difference`. Imports:
`money`.
"""

from __future__ import annotations

from enum import Enum
from typing import final

import attrs

from autopay_core.money import Money

__all__ = ["Code", "Difference"]


class Code(Enum):
    """What a difference is; the values are stable."""

    CHARGE_WITHOUT_RECORD = "ChargeWithoutRecord"
    """The gateway took money under a key that no run has."""
    CHARGE_ON_UNPAID_RUN = "ChargeOnUnpaidRun"
    """The gateway took money, and the run ended, or waits, without it."""
    CHARGE_WITHOUT_POSTING = "ChargeWithoutPosting"
    """The gateway took money long ago, and the run is still under way."""
    PAID_WITHOUT_CAPTURE = "PaidWithoutCapture"
    """The run is paid, and the gateway took nothing under its reference."""
    CAPTURE_AMOUNT = "CaptureAmount"
    """The gateway took another amount than the run has on record."""
    DOUBLE_CAPTURE = "DoubleCapture"
    """The gateway took money for one run more than once."""
    POSTING_MISSING = "PostingMissing"
    """A paid invoice of a paid run has no posting record."""
    POSTING_DIFFERS = "PostingDiffers"
    """A posting record has another invoice or amount than the run."""
    POSTING_WITHOUT_CAPTURE = "PostingWithoutCapture"
    """A posting record that no paid run explains."""
    REVERSAL_NOT_RECORDED = "ReversalNotRecorded"
    """Money went back at the gateway, and the run does not know."""
    REVERSAL_WITHOUT_EVENT = "ReversalWithoutEvent"
    """The run knows of money that went back; the gateway does not."""
    ORPHAN_REVERSAL = "OrphanReversal"
    """A reversing posting whose original, or event, is not there."""
    REVERSAL_EXCEEDS = "ReversalExceeds"
    """More of a posting was reversed than it is."""
    DECISION_DIFFERS = "DecisionDiffers"
    """The inputs on a run's record do not give its lines (X1)."""
    OVERPAID = "Overpaid"
    """More was, or is about to be, paid on an invoice than was billed."""
    INVOICE_NOT_IN_LEDGER = "InvoiceNotInLedger"
    """A paid invoice that the ledger does not know."""
    LEDGER_WITHOUT_POSTING = "LedgerWithoutPosting"
    """The ledger shows a posting that the store does not have."""
    LEDGER_AHEAD = "LedgerAhead"
    """The ledger shows a posting that the store has as not applied."""
    LEDGER_BEHIND = "LedgerBehind"
    """The store has a posting as applied that the ledger does not show."""
    LEDGER_AMOUNT = "LedgerAmount"
    """The ledger shows a posting with another invoice or amount."""
    APPLIED_TWICE = "AppliedTwice"
    """The ledger shows one posting more than once."""
    UNREADABLE_RUN = "UnreadableRun"
    """A run on record cannot be read, so nothing is compared with it."""
    UNREADABLE_POSTING = "UnreadablePosting"
    """A posting record cannot be read, so nothing is compared with it."""
    UNREADABLE_BATCH = "UnreadableBatch"
    """A batch cannot be read, so nothing is compared with it."""
    BATCH_DIFFERS = "BatchDiffers"
    """A batch has what is not on record so, or does not wait for it (P5)."""
    IN_TWO_BATCHES = "InTwoBatches"
    """A posting is in more than one batch that is not answered (P5)."""
    STUCK_BATCH = "StuckBatch"
    """A batch went to the ledger long ago, and is not answered (P5)."""
    STUCK_RUN = "StuckRun"
    """A run has been under way for too long."""
    OPEN_AMOUNT = "OpenAmount"
    """The store holds back what no run and no posting explains, or less."""
    HISTORY_BROKEN = "HistoryBroken"
    """The chain of the store's history does not fit."""


@final
@attrs.frozen(kw_only=True)
class Difference:
    """
    One thing that does not agree.

    Attributes:
        code: What it is.
        subject: The run, posting, invoice or payment that it is about.
        detail: What each side says.
        amount: The money it is about, if any.

    """

    code: Code
    subject: str
    detail: str
    amount: Money | None = None

    def __str__(self) -> str:
        """Return one line for people."""
        amount = "" if self.amount is None else f"  {self.amount}"
        return f"{self.code.value}  {self.subject}{amount}  {self.detail}"
