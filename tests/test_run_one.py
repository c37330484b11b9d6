"""What was due before a run that somebody asks for (S12)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports

JAN, FEB, MAR = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)


def _monthly() -> ap.AutoPay:
    return ap.AutoPay(
        id="ap-1",
        payer="p-1",
        name="Monthly",
        method=ap.PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c"),
        deposit_account=ap.DepositAccount(id="operating"),
        schedule=ap.Schedule.monthly(JAN),
        limit=ap.Limit.all("USD"),
        enrollments=(ap.Association.to_client(payer="p-1", client="C-1"),),
    )


def test_s12_a_run_that_is_asked_for_puts_what_was_due_before_on_record() -> (
    None
):
    ports = memory_ports(clock=lambda: datetime(2026, 3, 31, tzinfo=UTC))

    result = ap.run(_monthly(), on=MAR, ports=ports)
    later = list(ap.sweep([_monthly()], as_of=MAR, ports=ports))

    assert result.status is ap.RunStatus.NOTHING_DUE
    assert later == []
    store = ports.postings
    assert {each.key.nominal_on: each.state for each in store.runs()} == {  # type: ignore[attr-defined]
        JAN: ap.RunState.MISSED,
        FEB: ap.RunState.MISSED,
        MAR: ap.RunState.NOTHING_DUE,
    }


def test_s12_an_earlier_date_can_still_be_asked_for_and_stays_missed() -> None:
    ports = memory_ports(clock=lambda: datetime(2026, 3, 31, tzinfo=UTC))
    ap.run(_monthly(), on=MAR, ports=ports)

    assert (
        ap.run(_monthly(), on=JAN, ports=ports).status is ap.RunStatus.MISSED
    )
