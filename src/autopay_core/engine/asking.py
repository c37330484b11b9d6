"""
The day of charge of a case: what the gate is asked, and what follows (R10).

Holds: `decision_on`, `verdict_on`, which makes of its answer what is written,
and `lacks_notice`. Imports: `case`, `gate`, `requests`, `steps` and the
values.
"""

from __future__ import annotations

from datetime import datetime

from autopay_core.autopay import AutoPay
from autopay_core.charges import Declined
from autopay_core.commits import Standing
from autopay_core.engine.case import Case
from autopay_core.engine.gate import (
    Asked,
    Charge,
    Decision,
    GiveUp,
    WaitUntil,
    Why,
    gate,
)
from autopay_core.engine.requests import Terms
from autopay_core.engine.steps import Verdict, awaits_method
from autopay_core.notices import NoticeKind
from autopay_core.references import MethodKind
from autopay_core.runs import RunRecord, RunState

__all__ = ["decision_on", "lacks_notice", "verdict_on", "why_of"]


def why_of(case: Case, before: RunRecord | None) -> Why:
    """Tell what brings a sending about."""
    if before is not None and before.demanded_by and not case.key.number:
        return Why.REVIVED
    if case.key.number:
        return Why.ON_DEMAND
    if before is not None and before.attempts:
        return Why.RETRY
    if case.on > case.occurrence.charge_on:
        return Why.CAUGHT_UP
    return Why.FIRST


def decision_on(
    case: Case, standing: Standing, network_opens_at: datetime | None = None
) -> Decision:
    """Ask the gate about a case as the store knows it (R10)."""
    record = standing.run
    retry_on = not_before = None
    method = case.autopay.method.fingerprint
    if record is not None and record.attempts:
        last = record.attempts[-1]
        # A new method starts anew (N3).
        if last.method == method:
            retry_on = record.next_try_on
            if isinstance(last.outcome, Declined):
                not_before = last.outcome.not_before
    return gate(
        Asked(
            autopay=case.autopay,
            occurrence=case.occurrence,
            as_of=case.on,
            now=standing.now,
            why=why_of(case, record),
            holds=standing.holds,
            retry_on=retry_on,
            not_before=not_before,
            network_opens_at=network_opens_at,
            is_clock_suspect=standing.is_clock_suspect,
            is_method_gone=case.terms.is_method_gone,
            is_unauthorized=not case.terms.authorization
            and case.autopay.method.kind
            in case.terms.policy.authorization_needed,
            lacks_notice=lacks_notice(case.autopay, case.terms),
            zone=case.terms.policy.zone,
        )
    )


def lacks_notice(autopay: AutoPay, terms: Terms) -> bool:
    """Tell whether an order debits a consumer without telling first (N4)."""
    method = autopay.method
    return (
        terms.policy.consumer_notice_needed
        and method.consumer
        and method.kind is MethodKind.BANK_ACCOUNT
        and autopay.advance_notice is None
        and not terms.has_range
    )


def verdict_on(
    case: Case, standing: Standing, network_opens_at: datetime | None = None
) -> Verdict | None:
    """
    Tell how a run ends or waits without asking for money; None to charge.

    Also one that waits for another payment method (N3).
    """
    decision = decision_on(case, standing, network_opens_at)
    if isinstance(decision, GiveUp):
        return _given_up(decision, standing.run)
    record, method = standing.run, case.autopay.method.fingerprint
    if record is not None and awaits_method(record, method):
        # Before any other wait, whose end would be taken for leave to try
        # the same method again.
        return Verdict(RunState.WAITING, record.reason, record.detail)
    if isinstance(decision, WaitUntil):
        return _waiting(decision)
    assert isinstance(decision, Charge)
    return None


def _given_up(decision: GiveUp, before: RunRecord | None) -> Verdict:
    detail = f"Not collected: {decision.detail}."
    if not decision.is_failure:
        return Verdict(RunState.CANCELLED, decision.cause.value, detail)
    kinds: tuple[NoticeKind, ...] = (NoticeKind.FAILED,)
    if (
        decision.collected_on is not None
        and before is not None
        and (
            before.attempts
            and isinstance(before.attempts[-1].outcome, Declined)
        )
    ):
        # The decline was told; that the next date collects it is told by it.
        detail = f"{before.detail} {detail}"
    return Verdict(RunState.FAILED, decision.cause.value, detail, kinds)


def _waiting(decision: WaitUntil) -> Verdict:
    kinds: tuple[NoticeKind, ...] = ()
    is_a_rules = decision.hold is not None and bool(decision.hold.rule)
    if is_a_rules:
        kinds = (NoticeKind.FAILED,)  # A person is needed (N1).
    return Verdict(
        RunState.WAITING,
        decision.cause.value,
        f"It waits: {decision.detail}.",
        kinds,
        decision.on,
        # What the firm holds is late; what a rule holds was told (N1).
        is_late=decision.is_incident and not is_a_rules,
    )
