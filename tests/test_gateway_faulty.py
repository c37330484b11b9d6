"""A gateway that keeps its promises to the letter, and not one bit more."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from autopay_core.audit import GatewayKind
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.testing.gateway_faulty import (
    FaultyGateway,
    FaultyTwoStepGateway,
    Mischief,
)
from worlds import BANK, CARD, Clock, standing_order, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autopay_core.references import PaymentMethodRef

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def request(
    key: str = "k-1",
    *,
    method: PaymentMethodRef = CARD,
    not_after: datetime | None = None,
) -> ChargeRequest:
    return ChargeRequest(
        key=key,
        method=method,
        amount=usd("10"),
        deposit_account=standing_order().deposit_account,
        not_after=not_after,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def gateway(tmp_path: Path, clock: Clock) -> Iterator[FaultyGateway]:
    made = FaultyGateway(
        tmp_path / "gateway.db", clock=clock, bank_debits_pend=True
    )
    yield made
    made.close()


def test_what_was_taken_outlives_the_gateway(
    gateway: FaultyGateway, tmp_path: Path, clock: Clock
) -> None:
    taken = gateway.charge(request())
    gateway.close()

    again = FaultyGateway(tmp_path / "gateway.db", clock=clock)

    assert again.charge(request()) == taken
    assert [each.key for each in again.rows()] == ["k-1"]
    again.close()


def test_a_key_is_forgotten_after_its_retention_and_not_before(
    gateway: FaultyGateway, clock: Clock
) -> None:
    kept = gateway.capabilities.key_retention_seconds
    gateway.charge(request())

    clock.advance(seconds=kept - 1)
    gateway.charge(request())
    assert len(list(gateway.rows())) == 1

    clock.advance(seconds=1)
    assert gateway.lookup("k-1") == NotFound()
    gateway.charge(request())
    assert len(list(gateway.rows())) == 2


def test_a_reference_is_never_forgotten(tmp_path: Path, clock: Clock) -> None:
    gateway = FaultyTwoStepGateway(tmp_path / "gateway.db", clock=clock)
    reference = gateway.prepare(request())
    assert isinstance(reference, str)
    taken = gateway.confirm(reference, request())

    clock.advance(days=400)

    assert gateway.confirm(reference, request()) == taken
    assert gateway.lookup("k-1") == taken
    gateway.close()


def test_a_look_up_lags_but_no_longer_than_it_is_declared(
    gateway: FaultyGateway, clock: Clock
) -> None:
    gateway.mischief = Mischief(lag_seconds=120, seed=1)
    gateway.charge(request())

    assert gateway.lookup("k-1") == NotFound()
    clock.advance(seconds=120)
    assert isinstance(gateway.lookup("k-1"), Captured)


def test_no_money_moves_after_the_deadline_but_a_known_key_is_answered(
    gateway: FaultyGateway, clock: Clock
) -> None:
    until = START + timedelta(seconds=60)
    gateway.charge(request("k-1", not_after=until))
    clock.advance(seconds=61)

    assert isinstance(
        gateway.charge(request("k-1", not_after=until)), Captured
    )
    with pytest.raises(PortUnavailableError):
        gateway.charge(request("k-2", not_after=until))


def test_a_lost_request_takes_nothing_and_a_lost_answer_does(
    gateway: FaultyGateway,
) -> None:
    gateway.mischief = Mischief(lose_request=1.0)
    assert isinstance(gateway.charge(request("k-1")), Indeterminate)
    gateway.mischief = Mischief(lose_answer=1.0)
    assert isinstance(gateway.charge(request("k-2")), Indeterminate)

    assert [each.key for each in gateway.rows()] == ["k-2"]


def test_a_decline_by_chance_stands_under_its_key(
    gateway: FaultyGateway,
) -> None:
    gateway.mischief = Mischief(decline=1.0)
    declined = gateway.charge(request())
    gateway.mischief = Mischief()

    assert isinstance(declined, Declined)
    assert gateway.charge(request()) == declined


def test_a_method_is_declined_until_it_is_accepted(
    gateway: FaultyGateway,
) -> None:
    gateway.decline(CARD)
    assert isinstance(gateway.charge(request("k-1")), Declined)
    gateway.accept(CARD)
    assert isinstance(gateway.charge(request("k-2")), Captured)


def test_pg_11_what_was_cancelled_stays_so_for_every_process(
    gateway: FaultyGateway, tmp_path: Path, clock: Clock
) -> None:
    assert gateway.cancel("k-1", None) == Cancelled(key="k-1")
    other = FaultyGateway(tmp_path / "gateway.db", clock=clock)

    with pytest.raises(PortUnavailableError) as caught:
        other.charge(request("k-1"))

    assert caught.value.code == "KeyCancelled"
    assert list(other.rows()) == []
    other.close()


def test_pg_11_a_cancel_looks_into_the_books_and_at_no_look_up(
    gateway: FaultyGateway, clock: Clock
) -> None:
    gateway.mischief = Mischief(lag_seconds=120, seed=1)
    taken = gateway.charge(request())
    assert gateway.lookup("k-1") == NotFound()

    assert gateway.cancel("k-1", None) == taken
    clock.advance(days=40)  # Forgotten by now, but in the books.
    assert gateway.lookup("k-1") == NotFound()
    assert gateway.cancel("k-1", None) == taken


def test_a_reference_is_found_at_once_and_for_ever(
    tmp_path: Path, clock: Clock
) -> None:
    gateway = FaultyTwoStepGateway(
        tmp_path / "gateway.db",
        clock=clock,
        mischief=Mischief(lag_seconds=120, seed=1),
    )
    reference = gateway.prepare(request())
    assert isinstance(reference, str)
    assert gateway.lookup_reference(reference, "k-1") == NotFound()
    taken = gateway.confirm(reference, request())
    assert isinstance(taken, Captured)

    assert gateway.lookup("k-1") == NotFound()
    assert gateway.lookup_reference(reference, "k-1") == taken
    assert gateway.lookup_reference(taken.reference, "k-1") == taken
    clock.advance(days=400)
    assert gateway.lookup_reference(reference, "k-1") == taken
    gateway.close()


def test_of_two_payments_under_a_key_neither_is_the_answer(
    tmp_path: Path, clock: Clock
) -> None:
    gateway = FaultyTwoStepGateway(tmp_path / "gateway.db", clock=clock)
    for _ in range(2):
        reference = gateway.prepare(request())
        assert isinstance(reference, str)
        gateway.confirm(reference, request())

    assert isinstance(gateway.lookup("k-1"), Indeterminate)
    assert isinstance(gateway.cancel("k-1", None), Indeterminate)
    assert gateway.taken("k-1") == [(usd("10"), "operating-1")] * 2
    gateway.close()


def test_a_busy_gateway_says_when_to_ask_again_and_took_nothing(
    gateway: FaultyGateway,
) -> None:
    gateway.mischief = Mischief(busy=1.0)
    asks: list[Callable[[], object]] = [
        lambda: gateway.charge(request()),
        lambda: gateway.lookup("k-1"),
        lambda: gateway.lookup_reference("pay-1", "k-1"),
        lambda: gateway.cancel("k-1", None),
    ]
    for ask in asks:
        with pytest.raises(PortUnavailableError) as caught:
            ask()
        assert (caught.value.code, caught.value.retry_after) == ("Busy", 60)
    gateway.mischief = Mischief()

    # The cancel did nothing, either.
    assert isinstance(gateway.charge(request()), Captured)


def test_ts_9_prepare_may_say_no(tmp_path: Path, clock: Clock) -> None:
    gateway = FaultyTwoStepGateway(
        tmp_path / "gateway.db", clock=clock, mischief=Mischief(refuse=1.0)
    )

    refused = gateway.prepare(request())

    assert isinstance(refused, Declined)
    assert refused.key == "k-1"
    assert gateway.lookup("k-1") == NotFound()
    gateway.close()


def test_a_bank_debit_waits_for_its_end(gateway: FaultyGateway) -> None:
    for key in ("k-1", "k-2"):
        assert isinstance(gateway.charge(request(key, method=BANK)), Pending)

    gateway.settle("k-1")
    gateway.fail("k-2")

    assert isinstance(gateway.lookup("k-1"), Captured)
    assert isinstance(gateway.lookup("k-2"), Declined)
    with pytest.raises(InvalidValueError, match="NotPending"):
        gateway.settle("k-1")


def test_money_goes_back_once_for_an_event_and_never_more_than_came(
    gateway: FaultyGateway,
) -> None:
    taken = gateway.charge(request())
    assert isinstance(taken, Captured)

    gateway.give_back(taken.reference, "re-1", amount=usd("6"))
    gateway.give_back(taken.reference, "re-1", amount=usd("6"))
    with pytest.raises(InvalidValueError, match="ReversalExceeds"):
        gateway.give_back(taken.reference, "re-2")
    with pytest.raises(InvalidValueError, match="NotCaptured"):
        gateway.give_back("pay-7", "re-3")

    back = [each for each in gateway.rows() if each.kind.goes_back]
    assert [(each.kind, each.of, each.amount) for each in back] == [
        (GatewayKind.REFUND, taken.reference, usd("6"))
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_the_file_anew(gateway: FaultyGateway) -> None:
    gateway.charge(request("k-1"))

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            gateway.charge(request("k-2"))
            status = 0
        finally:
            os._exit(status)

    assert os.waitpid(pid, 0)[1] == 0
    assert [each.key for each in gateway.rows()] == ["k-1", "k-2"]


def test_settings_that_contradict_themselves_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidValueError, match="OutOfRange"):
        Mischief(late=1.5)
    with pytest.raises(InvalidValueError, match="lag longer"):
        FaultyGateway(
            tmp_path / "gateway.db",
            capabilities=GatewayCapabilities(lookup_settle_seconds=10),
            mischief=Mischief(lag_seconds=11),
        )
