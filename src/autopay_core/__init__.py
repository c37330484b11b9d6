"""
Recurring automatic payment of law firms' open invoices.

A payer's saved payment method is charged on a schedule; each run pays the
open invoices under what is enrolled, oldest to newest, up to an amount, after
subtracting what is already on its way. The library does no I/O: it talks to
the world through four ports. This package holds the public names and imports
no edge: no adapter, no database, no date library.
"""

from autopay_core._checks import clean_text
from autopay_core._moved import moved as _names_moved
from autopay_core.allocation import (
    Allocation,
    AllocationLine,
    Order,
    Reason,
    allocate,
)
from autopay_core.associations import Association, associate, visible
from autopay_core.autopay import (
    AdvanceNotice,
    AutoPay,
    AutoPayState,
    Enrollment,
    due,
    ends_on,
    renew,
    state_on,
    upcoming,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.calls import (
    advance_postings,
    attest,
    preview,
    read_postings,
    recover,
    reverse,
    run,
    stop,
    sweep,
)
from autopay_core.commits import StopOrder
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.invoices import (
    Invoice,
    InvoiceStatus,
    SearchBy,
    SearchQuery,
    SearchResult,
)
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import FAILED_AUTOPAY, Notice, NoticeKind
from autopay_core.ports import Ports
from autopay_core.postings import (
    Posting,
    PostingStatus,
    PostingView,
    Reversal,
    ReversalKind,
)
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
    RunKey,
)
from autopay_core.retries import RetryPolicy
from autopay_core.runs import RunRecord, RunResult, RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Pause, Schedule

__version__: str

__all__ = [
    "FAILED_AUTOPAY",
    "AccountKind",
    "AdvanceNotice",
    "Allocation",
    "AllocationLine",
    "Association",
    "AutoPay",
    "AutoPayState",
    "AutopayError",
    "BusinessCalendar",
    "DepositAccount",
    "Enrollment",
    "InvalidValueError",
    "Invoice",
    "InvoiceStatus",
    "Limit",
    "MethodKind",
    "MissedPolicy",
    "Money",
    "Notice",
    "NoticeKind",
    "Order",
    "Pause",
    "PaymentMethodRef",
    "PortUnavailableError",
    "Ports",
    "Posting",
    "PostingStatus",
    "PostingView",
    "Reason",
    "RetryPolicy",
    "Reversal",
    "ReversalKind",
    "Roll",
    "RunKey",
    "RunRecord",
    "RunResult",
    "RunState",
    "RunStatus",
    "Schedule",
    "SearchBy",
    "SearchQuery",
    "SearchResult",
    "StopOrder",
    "__version__",
    "advance_postings",
    "allocate",
    "associate",
    "attest",
    "clean_text",
    "due",
    "ends_on",
    "preview",
    "read_postings",
    "recover",
    "renew",
    "reverse",
    "run",
    "state_on",
    "stop",
    "sweep",
    "upcoming",
    "visible",
]

_moved = _names_moved(__name__)


def __getattr__(name: str) -> object:
    """Look the version up only when it is asked for: it reads a file."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow

        return version("autopay_core")
    return _moved(name, 3)
