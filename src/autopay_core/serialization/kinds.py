"""
What has a format, and of what its fields are.

Holds: `KINDS`, and functions that tell types of fields apart. Imports:
`show.foreseen` and the values. A kind is written here once; its fields are
those of its class.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from autopay_core import (
    allocation,
    associations,
    authorizations,
    autopay,
    balances,
    batches,
    business_days,
    charges,
    commits,
    decisions,
    holds,
    invoices,
    limits,
    money,
    movements,
    notices,
    payers,
    postings,
    references,
    retries,
    runs,
    schedules,
    selections,
)
from autopay_core.show import foreseen

__all__ = ["KINDS"]

KINDS: Final[Mapping[str, type[Any]]] = types.MappingProxyType(
    {
        "advance_notice": autopay.AdvanceNotice,
        "allocation": allocation.Allocation,
        "allocation_line": allocation.AllocationLine,
        "association": associations.Association,
        "attempt": runs.Attempt,
        "attempt_record": retries.AttemptRecord,
        "authorization": authorizations.Authorization,
        "autopay": autopay.AutoPay,
        "batch": batches.Batch,
        "batch_answer": batches.BatchAnswer,
        "business_calendar": business_days.BusinessCalendar,
        "cancelled": charges.Cancelled,
        "captured": charges.Captured,
        "charge_line": charges.ChargeLine,
        "charge_request": charges.ChargeRequest,
        "decision": decisions.Decision,
        "declined": charges.Declined,
        "deposit_account": references.DepositAccount,
        "enrollment": autopay.Enrollment,
        "expected": balances.Expected,
        "hold": holds.Hold,
        "indeterminate": charges.Indeterminate,
        "intent": runs.Intent,
        "invoice": invoices.Invoice,
        "invoice_query": associations.InvoiceQuery,
        "left_out": allocation.LeftOut,
        "kept_association": payers.KeptAssociation,
        "limit": limits.Limit,
        "line_accepted": batches.LineAccepted,
        "line_refused": batches.LineRefused,
        "money": money.Money,
        "movement": movements.Movement,
        "movement_record": movements.MovementRecord,
        "needs_payer": charges.NeedsPayer,
        "not_found": charges.NotFound,
        "notice": notices.Notice,
        "occurrence": schedules.Occurrence,
        "pause": schedules.Pause,
        "payer": payers.Payer,
        "payment_method": references.PaymentMethodRef,
        "pending": charges.Pending,
        "posting": postings.Posting,
        "posting_total": batches.PostingTotal,
        "projected_run": foreseen.ProjectedRun,
        "projection": foreseen.Projection,
        "retry_policy": retries.RetryPolicy,
        "reversal": postings.Reversal,
        "run_key": references.RunKey,
        "run_record": runs.RunRecord,
        "run_result": runs.RunResult,
        "saved_method": payers.SavedMethod,
        "schedule": schedules.Schedule,
        "search_query": invoices.SearchQuery,
        "search_result": invoices.SearchResult,
        "spent": limits.Spent,
        "selection": selections.Selection,
        "share": postings.Share,
        "stop_order": commits.StopOrder,
    }
)
"""Every type that has a format, by its schema's name."""

NAMES: Final = {kind: name for name, kind in KINDS.items()}

ADDED: Final[Mapping[type[Any], frozenset[str]]] = types.MappingProxyType(
    {
        charges.Captured: frozenset({"account", "request"}),
        charges.Indeterminate: frozenset({"unexpected"}),
        charges.Pending: frozenset({"account", "request"}),
        charges.ChargeRequest: frozenset(
            {"run", "payer", "lines", "number", "authorization"}
        ),
        charges.Declined: frozenset({"not_before", "account"}),
        references.PaymentMethodRef: frozenset({"known_as"}),
        references.RunKey: frozenset({"number"}),
        runs.Attempt: frozenset(
            {"account", "epoch", "erred", "missing_since"}
        ),
        runs.RunRecord: frozenset(
            {
                "next_try_on",
                "demanded_by",
                "late_since",
                "notes",
                "decision",
                "review_since",
            }
        ),
        notices.Notice: frozenset(
            {
                "run",
                "lines",
                "reference",
                "method",
                "left",
                "next_on",
                "link",
            }
        ),
        runs.Intent: frozenset({"calendar", "next_on", "automatic_posting"}),
        postings.Posting: frozenset({"posted_on", "ledger_number", "since"}),
        postings.Reversal: frozenset(
            {"code", "corrects", "invoices", "to", "unsent"}
        ),
        allocation.Allocation: frozenset({"left_out"}),
        autopay.AutoPay: frozenset(
            {"moves", "payments", "tell_nothing_due", "selection"}
        ),
        autopay.Enrollment: frozenset({"years_from"}),
        invoices.Invoice: frozenset({"matters"}),
    }
)
"""
Fields that a kind was given later.

A text that was written before lacks them; its value has their defaults. The
version of a schema stays, for what it had means what it meant.
"""

DAY: Final = int | Literal["last"]
"""A day of the month."""


def fields_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a value's fields, by name."""
    attrs.resolve_types(kind)
    return {each.name: each.type for each in attrs.fields(kind) if each.init}


def members_of(kind: object) -> tuple[tuple[Any, ...], bool]:
    """Return what a field may be, and whether it may be nothing as well."""
    if get_origin(kind) not in (Union, types.UnionType):
        return (kind,), False
    members = get_args(kind)
    some = tuple(each for each in members if each is not type(None))
    return some, len(some) < len(members)


def is_text(members: tuple[Any, ...]) -> bool:
    """Tell whether all is text, perhaps by a name: `InvoiceNumber | str`."""
    return all(
        each is str or getattr(each, "__supertype__", None) is str
        for each in members
    )


def is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)
