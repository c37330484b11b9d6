"""
Recurring automatic payment of law firms' open invoices.

A payer's saved payment method is charged on a schedule; each run pays the
open invoices under what is enrolled, oldest to newest, up to an amount, after
subtracting what is already on its way. The library does no I/O: it talks to
the world through four ports. This package holds the public names and loads a
module when one of its names is first asked for; none of them is an edge, but
for the two that a person asks with, `forecast` and `explain`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autopay_core._checks import clean_text
    from autopay_core.allocation import (
        Allocation,
        AllocationLine,
        Order,
        Reason,
        allocate,
    )
    from autopay_core.associations import Association, associate, visible
    from autopay_core.authorizations import Authorization
    from autopay_core.autopay import (
        AdvanceNotice,
        AutoPay,
        AutoPayState,
        Enrollment,
        due,
        ends_on,
        renew,
        state_on,
        turn_on,
        upcoming,
    )
    from autopay_core.business_days import BusinessCalendar, Roll
    from autopay_core.calls import (
        accept_balance,
        advance_postings,
        attest,
        health,
        hold,
        lift,
        look,
        preview,
        read_postings,
        receive,
        recover,
        rerun,
        run,
        run_now,
        sweep,
    )
    from autopay_core.errors import (
        AutopayError,
        InvalidValueError,
        PortUnavailableError,
    )
    from autopay_core.holds import Hold
    from autopay_core.invoices import (
        Invoice,
        InvoiceStatus,
        SearchBy,
        SearchQuery,
        SearchResult,
    )
    from autopay_core.limits import Limit
    from autopay_core.money import Money
    from autopay_core.movements import Movement, MovementKind
    from autopay_core.notices import FAILED_AUTOPAY, Notice, NoticeKind
    from autopay_core.policy import Policy
    from autopay_core.ports import Ports
    from autopay_core.postings import (
        Posting,
        PostingStatus,
        PostingView,
    )
    from autopay_core.references import (
        AccountKind,
        DepositAccount,
        MethodKind,
        PaymentMethodRef,
        RunKey,
    )
    from autopay_core.retries import RetryPolicy
    from autopay_core.runs import (
        RunRecord,
        RunResult,
        RunState,
        RunStatus,
        recompute,
    )
    from autopay_core.schedules import MissedPolicy, Pause, Schedule
    from autopay_core.selections import Selection
    from autopay_core.show.projection import forecast
    from autopay_core.show.sentences import explain

__version__: str

__all__ = [
    "FAILED_AUTOPAY",
    "AccountKind",
    "AdvanceNotice",
    "Allocation",
    "AllocationLine",
    "Association",
    "Authorization",
    "AutoPay",
    "AutoPayState",
    "AutopayError",
    "BusinessCalendar",
    "DepositAccount",
    "Enrollment",
    "Hold",
    "InvalidValueError",
    "Invoice",
    "InvoiceStatus",
    "Limit",
    "MethodKind",
    "MissedPolicy",
    "Money",
    "Movement",
    "MovementKind",
    "Notice",
    "NoticeKind",
    "Order",
    "Pause",
    "PaymentMethodRef",
    "Policy",
    "PortUnavailableError",
    "Ports",
    "Posting",
    "PostingStatus",
    "PostingView",
    "Reason",
    "RetryPolicy",
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
    "Selection",
    "accept_balance",
    "advance_postings",
    "allocate",
    "associate",
    "attest",
    "clean_text",
    "due",
    "ends_on",
    "explain",
    "forecast",
    "health",
    "hold",
    "lift",
    "look",
    "preview",
    "read_postings",
    "receive",
    "recompute",
    "recover",
    "renew",
    "rerun",
    "run",
    "run_now",
    "state_on",
    "sweep",
    "turn_on",
    "upcoming",
    "visible",
]

# Where each name is at home. The imports above are for type checkers only:
# most of what `import autopay_core` would cost otherwise is classes that a
# caller of a few of them never uses.
_HOMES: Final = {
    "_checks": ("clean_text",),
    "allocation": (
        "Allocation",
        "AllocationLine",
        "Order",
        "Reason",
        "allocate",
    ),
    "associations": ("Association", "associate", "visible"),
    "authorizations": ("Authorization",),
    "autopay": (
        "AdvanceNotice",
        "AutoPay",
        "AutoPayState",
        "Enrollment",
        "due",
        "ends_on",
        "renew",
        "state_on",
        "turn_on",
        "upcoming",
    ),
    "business_days": ("BusinessCalendar", "Roll"),
    "calls": (
        "accept_balance",
        "advance_postings",
        "attest",
        "health",
        "hold",
        "lift",
        "look",
        "preview",
        "read_postings",
        "receive",
        "recover",
        "rerun",
        "run",
        "run_now",
        "sweep",
    ),
    "errors": ("AutopayError", "InvalidValueError", "PortUnavailableError"),
    "holds": ("Hold",),
    "invoices": (
        "Invoice",
        "InvoiceStatus",
        "SearchBy",
        "SearchQuery",
        "SearchResult",
    ),
    "limits": ("Limit",),
    "money": ("Money",),
    "movements": ("Movement", "MovementKind"),
    "notices": ("FAILED_AUTOPAY", "Notice", "NoticeKind"),
    "policy": ("Policy",),
    "ports": ("Ports",),
    "postings": ("Posting", "PostingStatus", "PostingView"),
    "references": (
        "AccountKind",
        "DepositAccount",
        "MethodKind",
        "PaymentMethodRef",
        "RunKey",
    ),
    "retries": ("RetryPolicy",),
    "runs": ("RunRecord", "RunResult", "RunState", "RunStatus", "recompute"),
    "schedules": ("MissedPolicy", "Pause", "Schedule"),
    "selections": ("Selection",),
    "show.projection": ("forecast",),
    "show.sentences": ("explain",),
}

_HOME_OF: Final = {
    name: module for module, names in _HOMES.items() for name in names
}


def __getattr__(name: str) -> object:
    """Load what is first asked for, and keep it."""
    if name in _HOME_OF:
        home = import_module(f"{__name__}.{_HOME_OF[name]}")
        found: object = getattr(home, name)
        globals()[name] = found
        return found
    if name in _HOMES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow

        return version("autopay_core")
    from autopay_core._moved import moved  # noqa: PLC0415 - seldom

    return moved(__name__)(name, 3)


def __dir__() -> list[str]:
    """List what is public, loaded or not."""
    return sorted({*globals(), *__all__})
