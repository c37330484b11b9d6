"""
Names that have moved, importable from where they were, with a warning.

Holds: `MOVED`, old place to new, and `moved`, which makes a module's
`__getattr__` of it. Imports: nothing of the package. Until 1.0 a minor version
may take rows away; docs/how-to/upgrade.md has the same table for people.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

__all__ = ["MOVED", "moved"]

MOVED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "autopay_core": {
            "AmountError": "errors.InvalidValueError",
            "AsyncMatterData": "aio.MatterData",
            "AsyncNotifier": "aio.Notifier",
            "AsyncPaymentGateway": "aio.PaymentGateway",
            "AsyncPorts": "aio.Ports",
            "AsyncPostingStore": "aio.PostingStore",
            "AsyncTwoStepGateway": "aio.TwoStepGateway",
            "Attempt": "runs.Attempt",
            "AttemptRecord": "retries.AttemptRecord",
            "AutoPayId": "references.AutoPayId",
            "Captured": "charges.Captured",
            "Change": "commits.Change",
            "ChargeOutcome": "charges.ChargeOutcome",
            "ChargeRequest": "charges.ChargeRequest",
            "ClientId": "references.ClientId",
            "CommitUnknownError": "errors.CommitUnknownError",
            "Committed": "commits.Committed",
            "Conflict": "commits.Conflict",
            "ConflictingInvoiceError": "errors.InvalidValueError",
            "CurrencyMismatchError": "errors.CurrencyMismatchError",
            "DateError": "errors.InvalidValueError",
            "DeclineClass": "charges.DeclineClass",
            "Declined": "charges.Declined",
            "ForeignInvoiceError": "errors.ForeignInvoiceError",
            "FormatError": "errors.FormatError",
            "GatewayCapabilities": "charges.GatewayCapabilities",
            "HostProtocolError": "errors.HostProtocolError",
            "IdempotencyKey": "charges.IdempotencyKey",
            "IncompleteReadError": "errors.IncompleteReadError",
            "Indeterminate": "charges.Indeterminate",
            "Intent": "runs.Intent",
            "InvoiceError": "errors.InvalidValueError",
            "InvoiceNumber": "references.InvoiceNumber",
            "InvoicePage": "associations.InvoicePage",
            "InvoiceQuery": "associations.InvoiceQuery",
            "Level": "associations.Level",
            "LimitError": "errors.InvalidValueError",
            "LookupOutcome": "charges.LookupOutcome",
            "MINOR_DIGITS": "money.MINOR_DIGITS",
            "MatterData": "ports.MatterData",
            "MatterId": "references.MatterId",
            "NETWORK_LIMITS": "retries.NETWORK_LIMITS",
            "NetworkLimit": "retries.NetworkLimit",
            "NotFound": "charges.NotFound",
            "Notifier": "ports.Notifier",
            "Occurrence": "schedules.Occurrence",
            "OpenAmounts": "commits.OpenAmounts",
            "PayerId": "references.PayerId",
            "PaymentGateway": "ports.PaymentGateway",
            "PaymentMethodError": "errors.InvalidValueError",
            "Pending": "charges.Pending",
            "PortError": "errors.PortError",
            "PostingConflictError": "errors.PostingConflictError",
            "PostingFilter": "commits.PostingFilter",
            "PostingMove": "commits.PostingMove",
            "PostingStore": "ports.PostingStore",
            "Reversal": "postings.Reversal",
            "ReversalKind": "postings.ReversalKind",
            "ScheduleError": "errors.InvalidValueError",
            "ScheduleKind": "schedules.ScheduleKind",
            "SearchPage": "invoices.SearchPage",
            "Spent": "limits.Spent",
            "Standing": "commits.Standing",
            "StandingOrderError": "errors.InvalidValueError",
            "TextError": "errors.InvalidValueError",
            "TransitionError": "errors.InvalidValueError",
            "TwoStepGateway": "ports.TwoStepGateway",
            "UnsafeStoreError": "errors.UnsafeStoreError",
            "advance_postings_async": "aio.advance_postings",
            "attest_async": "aio.attest",
            "autopay_notices": "autopay.autopay_notices",
            "covers": "associations.covers",
            "deliver": "calls.deliver",
            "deliver_async": "aio.deliver",
            "idempotency_key": "charges.idempotency_key",
            "in_force": "autopay.in_force",
            "in_view": "postings.in_view",
            "move_posting": "postings.move_posting",
            "next_attempt": "retries.next_attempt",
            "occurrence_on": "autopay.occurrence_on",
            "preview_async": "aio.preview",
            "read_postings_async": "aio.read_postings",
            "recover_async": "aio.recover",
            "StopOrder": "commits.StopOrder",
            "reverse": "calls.reverse",
            "stop": "calls.stop",
            "reverse_async": "aio.reverse",
            "run_async": "aio.run",
            "split_missed": "schedules.split_missed",
            "stop_async": "aio.stop",
            "sweep_async": "aio.sweep",
            "years": "autopay.years",
        },
        "autopay_core.errors": {
            "AmountError": "errors.InvalidValueError",
            "ConflictingInvoiceError": "errors.InvalidValueError",
            "DateError": "errors.InvalidValueError",
            "InvoiceError": "errors.InvalidValueError",
            "LimitError": "errors.InvalidValueError",
            "PaymentMethodError": "errors.InvalidValueError",
            "ScheduleError": "errors.InvalidValueError",
            "StandingOrderError": "errors.InvalidValueError",
            "TextError": "errors.InvalidValueError",
            "TransitionError": "errors.InvalidValueError",
        },
        "autopay_core.ports": {
            "AsyncMatterData": "aio.MatterData",
            "AsyncNotifier": "aio.Notifier",
            "AsyncPaymentGateway": "aio.PaymentGateway",
            "AsyncPostingStore": "aio.PostingStore",
            "AsyncTwoStepGateway": "aio.TwoStepGateway",
        },
        "autopay_core.charges": {
            "RunKey": "references.RunKey",
        },
        "autopay_core.postings": {
            "Attempt": "runs.Attempt",
            "Intent": "runs.Intent",
            "RESERVING_STATES": "runs.RESERVING_STATES",
            "RUN_MOVES": "runs.RUN_MOVES",
            "RunRecord": "runs.RunRecord",
            "RunState": "runs.RunState",
            "postings_of": "runs.postings_of",
            "reservations": "runs.reservations",
            "reversal_postings": "corrections.reversal_postings",
        },
        "autopay_core.allocation": {
            "Limit": "limits.Limit",
            "LimitName": "limits.LimitName",
            "Spent": "limits.Spent",
        },
        "autopay_core.schedules": {
            "BusinessCalendar": "business_days.BusinessCalendar",
            "ROLL_MAX_DAYS": "business_days.ROLL_MAX_DAYS",
            "Roll": "business_days.Roll",
        },
        "autopay_core.flow": {
            "RunResult": "runs.RunResult",
            "RunStatus": "runs.RunStatus",
            "result_of": "runs.result_of",
        },
        "autopay_core.display": {
            "Table": "show.tables.Table",
            "allocation_table": "show.tables.allocation_table",
            "autopays_table": "show.tables.autopays_table",
            "notice_text": "show.sentences.notice_text",
            "postings_table": "show.tables.postings_table",
            "reasons_table": "show.tables.reasons_table",
            "results_table": "show.tables.results_table",
            "show": "show.tables.show",
            "views_table": "show.tables.views_table",
        },
        "autopay_core.adapters.threads": {
            "ThreadedGateway": "adapters.threads.threaded",
            "ThreadedMatterData": "adapters.threads.threaded",
            "ThreadedNotifier": "adapters.threads.threaded",
            "ThreadedPostingStore": "adapters.threads.threaded",
            "ThreadedTwoStepGateway": "adapters.threads.threaded",
        },
        "autopay_core.projection": {
            "ProjectedRun": "show.foreseen.ProjectedRun",
            "Projection": "show.foreseen.Projection",
            "RUNS_MAX": "show.projection.RUNS_MAX",
            "project": "show.projection.project",
        },
    }
)
"""By old module: the old name, and the new module and name."""


def moved(module: str, /) -> Callable[..., object]:
    """Return the `__getattr__` of a module from which names have moved."""
    names = MOVED[module]

    def find(name: str, stacklevel: int = 2) -> object:
        if name not in names:
            raise AttributeError(
                f"module {module!r} has no attribute {name!r}"
            )
        place = f"autopay_core.{names[name]}"
        warnings.warn(
            f"{module}.{name} has moved to {place}",
            DeprecationWarning,
            stacklevel=stacklevel,
        )
        home, _, new = place.rpartition(".")
        found: object = getattr(import_module(home), new)
        return found

    return find
