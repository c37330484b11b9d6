"""
The clauses of the two gateway ports.

Holds: `PaymentGatewayContract` and `TwoStepGatewayContract`. Imports:
`_base` and the core. What a gateway does not declare is not asked of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import attrs
import pytest

from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.errors import PortUnavailableError
from autopay_core.money import Money
from autopay_core.ports import PaymentGateway, TwoStepGateway
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.testing.contracts._base import (
    ACCOUNT,
    RACERS,
    Contract,
    at_once,
    usd,
)

Take: TypeAlias = Callable[[ChargeRequest], ChargeOutcome]
Captures: TypeAlias = Callable[[str], int]
Gateway: TypeAlias = PaymentGateway | TwoStepGateway


class _GatewayFixtures(Contract):
    """What a sandbox has to be told; override what differs."""

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        """Return a method that can be charged."""
        raise NotImplementedError

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        """Return a method that is declined."""
        raise NotImplementedError

    @pytest.fixture
    def key(self) -> str:
        """Return a key that nobody used; a constant one replays a charge."""
        return f"kit{secrets.token_hex(14)}"

    @pytest.fixture
    def amount(self) -> Money:
        """Return what is charged at each test."""
        return usd(1_00)

    @pytest.fixture
    def deposit_account(self) -> DepositAccount:
        """Return where the money goes."""
        return ACCOUNT

    @pytest.fixture
    def captures(self) -> Captures | None:
        """Return how to count captures under a key in the gateway's books."""
        return None

    @pytest.fixture
    def lose_answer(self) -> Callable[[], None] | None:
        """Return how to let the next answer be lost after the money moved."""
        return None

    @pytest.fixture
    def offline(
        self,
    ) -> Callable[[], AbstractContextManager[None]] | None:
        """Return how to make the gateway impossible to reach for a while."""
        return None

    @pytest.fixture
    def past(self) -> datetime:
        """Return an instant that is over by the gateway's clock."""
        return datetime.now(UTC) - timedelta(hours=1)

    @pytest.fixture
    def charge_request(
        self,
        key: str,
        amount: Money,
        good_method: PaymentMethodRef,
        deposit_account: DepositAccount,
    ) -> ChargeRequest:
        """Return a charge that goes through."""
        return ChargeRequest(
            key=key,
            method=good_method,
            amount=amount,
            deposit_account=deposit_account,
        )

    @pytest.fixture
    def declined_request(
        self, charge_request: ChargeRequest, declined_method: PaymentMethodRef
    ) -> ChargeRequest:
        """Return a charge that is declined."""
        return attrs.evolve(charge_request, method=declined_method)


class PaymentGatewayContract(_GatewayFixtures):
    """The clauses of `PaymentGateway`; override the fixtures in a subclass."""

    @pytest.fixture
    def gateway(self) -> PaymentGateway:
        """Return the gateway."""
        raise NotImplementedError

    def test_pg_1_a_key_seen_before_gets_its_outcome_and_moves_no_money(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-1: the second call returns what the first one did."""
        first = gateway.charge(charge_request)
        second = gateway.charge(charge_request)

        assert isinstance(first, (Captured, Pending))
        assert first == second
        _moved_at_most_once(captures, charge_request)

    def test_pg_1_a_decline_is_repeated_too(
        self, gateway: PaymentGateway, declined_request: ChargeRequest
    ) -> None:
        """PG-1: a decline stands under its key; it is not tried again."""
        first = gateway.charge(declined_request)

        assert gateway.charge(declined_request) == first

    def test_pg_2_a_refusal_is_returned(
        self, gateway: PaymentGateway, declined_request: ChargeRequest
    ) -> None:
        """PG-2: a decline is a value, never an exception."""
        outcome = gateway.charge(declined_request)

        assert isinstance(outcome, Declined)

    def test_pg_3_an_answer_that_is_lost_leaves_a_doubt(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        lose_answer: Callable[[], None] | None,
    ) -> None:
        """PG-3: what may have gone through is neither paid nor refused."""
        if lose_answer is None:
            pytest.skip("no way to lose an answer was given: lose_answer")
        lose_answer()
        _must_be_a_doubt(gateway.charge, charge_request)

    def test_pg_4_unavailable_means_that_no_money_moves(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        offline: Callable[[], AbstractContextManager[None]] | None,
        captures: Captures | None,
    ) -> None:
        """PG-4: `PortUnavailableError` is a promise about this request."""
        if offline is None:
            pytest.skip("no way to cut the gateway off was given: offline")
        with offline():
            promised = _promises_nothing_moved(gateway.charge, charge_request)
        if promised:
            _nothing_moved(gateway, captures, charge_request)

    def test_pg_5_a_look_up_finds_what_was_charged(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-5: after the settling time, by the key."""
        _is_found(gateway, gateway.charge, charge_request)

    def test_pg_5_a_look_up_finds_what_was_declined(
        self, gateway: PaymentGateway, declined_request: ChargeRequest
    ) -> None:
        """PG-5: a decline is an executed request, too."""
        _is_found(gateway, gateway.charge, declined_request)

    def test_pg_5_a_key_that_nobody_used_is_not_found(
        self, gateway: PaymentGateway, key: str
    ) -> None:
        """PG-5: as a value, not as an exception."""
        assert gateway.lookup(key) == NotFound()

    def test_pg_6_no_money_moves_after_the_deadline(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        past: datetime,
        captures: Captures | None,
    ) -> None:
        """PG-6: a request that comes late is refused."""
        _refuses_late(gateway, gateway.charge, charge_request, past, captures)

    def test_pg_7_an_outcome_carries_what_is_on_record(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-7: key and amount come from the gateway's books."""
        _says_what_is_on_record(gateway.charge, charge_request)

    def test_pg_7_a_known_key_is_answered_with_the_amount_on_record(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-7: another amount under a known key is refused or corrected."""
        gateway.charge(charge_request)
        more = _of_more(charge_request)
        try:
            outcome = gateway.charge(more)
        except Exception:  # noqa: BLE001 - a refusal is as good
            outcome = Indeterminate()
        if isinstance(outcome, (Captured, Pending)):
            assert outcome.amount == charge_request.amount
        _moved_at_most_once(captures, charge_request)

    def test_pg_8_two_requests_at_once_move_money_once(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-8: whoever is slower gets the same outcome, or a doubt."""
        _race_moves_money_once(
            at_once(RACERS, lambda _: gateway.charge(charge_request)),
            captures,
            charge_request,
        )

    def test_pg_9_no_token_stands_in_what_comes_back(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        declined_request: ChargeRequest,
    ) -> None:
        """PG-9: neither in an outcome nor in an exception."""
        answers: list[object] = []
        for request in (
            charge_request,
            attrs.evolve(declined_request, key=f"{charge_request.key[:-1]}z"),
            _of_more(charge_request),
        ):
            try:
                answers.append(gateway.charge(request))
            except Exception as error:  # noqa: BLE001 - it is looked at
                answers.extend((error, error.args))
        answers.append(gateway.lookup(charge_request.key))

        for each in answers:
            for method in (charge_request.method, declined_request.method):
                assert method.token not in f"{each} {each!r}"


class TwoStepGatewayContract(_GatewayFixtures):
    """The clauses of `TwoStepGateway`; override the fixtures in a subclass."""

    @pytest.fixture
    def gateway(self) -> TwoStepGateway:
        """Return the gateway."""
        raise NotImplementedError

    def test_ts_1_preparing_moves_no_money(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-1: not even twice, and a look-up finds no charge."""
        gateway.prepare(charge_request)
        gateway.prepare(charge_request)

        _nothing_moved(gateway, captures, charge_request)

    def test_ts_2_a_reference_moves_money_once(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-2: however often it is confirmed, and by however many at once."""
        reference = gateway.prepare(charge_request)
        outcomes = at_once(
            RACERS, lambda _: gateway.confirm(reference, charge_request)
        )
        outcomes.append(gateway.confirm(reference, charge_request))

        _race_moves_money_once(outcomes, captures, charge_request)

    def test_ts_3_confirming_again_returns_the_first_outcome(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-3: the second call returns what the first one did."""
        reference = gateway.prepare(charge_request)
        first = gateway.confirm(reference, charge_request)

        assert isinstance(first, (Captured, Pending))
        assert gateway.confirm(reference, charge_request) == first

    def test_ts_3_a_decline_is_repeated_too(
        self, gateway: TwoStepGateway, declined_request: ChargeRequest
    ) -> None:
        """TS-3: a decline is returned, and stands under its reference."""
        reference = gateway.prepare(declined_request)
        first = gateway.confirm(reference, declined_request)

        assert isinstance(first, Declined)
        assert gateway.confirm(reference, declined_request) == first

    def test_ts_3_an_answer_that_is_lost_leaves_a_doubt(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        lose_answer: Callable[[], None] | None,
    ) -> None:
        """TS-3: the outcome is not known, and confirming again tells it."""
        if lose_answer is None:
            pytest.skip("no way to lose an answer was given: lose_answer")
        reference = gateway.prepare(charge_request)
        lose_answer()
        _must_be_a_doubt(
            lambda request: gateway.confirm(reference, request), charge_request
        )

        again = gateway.confirm(reference, charge_request)

        assert isinstance(again, (Captured, Pending))

    def test_ts_4_unavailable_means_that_this_call_did_nothing(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        offline: Callable[[], AbstractContextManager[None]] | None,
        captures: Captures | None,
    ) -> None:
        """TS-4: `PortUnavailableError` is a promise about this call."""
        if offline is None:
            pytest.skip("no way to cut the gateway off was given: offline")
        reference = gateway.prepare(charge_request)
        with offline():
            promised = _promises_nothing_moved(
                lambda request: gateway.confirm(reference, request),
                charge_request,
            )
        if promised:
            _nothing_moved(gateway, captures, charge_request)

    def test_ts_5_a_look_up_finds_what_was_confirmed(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-5: after the settling time, by the key."""
        _is_found(gateway, _in_two_steps(gateway), charge_request)

    def test_ts_5_a_look_up_finds_what_was_declined(
        self, gateway: TwoStepGateway, declined_request: ChargeRequest
    ) -> None:
        """TS-5: a decline is a confirmed request, too."""
        _is_found(gateway, _in_two_steps(gateway), declined_request)

    def test_ts_5_a_key_that_nobody_used_is_not_found(
        self, gateway: TwoStepGateway, key: str
    ) -> None:
        """TS-5: as a value, not as an exception."""
        assert gateway.lookup(key) == NotFound()

    def test_ts_6_no_money_moves_after_the_deadline(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        past: datetime,
        captures: Captures | None,
    ) -> None:
        """TS-6: a confirmation that comes late is refused."""
        _refuses_late(
            gateway, _in_two_steps(gateway), charge_request, past, captures
        )

    def test_ts_7_an_outcome_carries_what_is_on_record(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-7: key and amount come from the gateway's books."""
        _says_what_is_on_record(_in_two_steps(gateway), charge_request)

    def test_ts_7_a_reference_is_answered_with_the_amount_on_record(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-7: another amount for a known reference changes nothing."""
        reference = gateway.prepare(charge_request)
        try:
            outcome = gateway.confirm(reference, _of_more(charge_request))
        except Exception:  # noqa: BLE001 - a refusal is as good
            return
        if isinstance(outcome, (Captured, Pending)):
            assert outcome.amount == charge_request.amount


# -- What both forms promise --------------------------------------------------


def _in_two_steps(gateway: TwoStepGateway) -> Take:
    def take(request: ChargeRequest) -> ChargeOutcome:
        return gateway.confirm(gateway.prepare(request), request)

    return take


def _of_more(request: ChargeRequest) -> ChargeRequest:
    more = attrs.evolve(
        request.amount, amount_minor=request.amount.amount_minor + 1
    )
    return attrs.evolve(request, amount=more)


def _settle(gateway: Gateway) -> None:
    """Wait until a look-up has to show what was done."""
    seconds = gateway.capabilities.lookup_settle_seconds
    if seconds is None:
        pytest.skip("it declares that a look-up proves nothing")
    time.sleep(seconds)


def _moved_at_most_once(
    captures: Captures | None, request: ChargeRequest
) -> None:
    if captures is not None:
        assert captures(request.key) <= 1


def _nothing_moved(
    gateway: Gateway, captures: Captures | None, request: ChargeRequest
) -> None:
    """Look into the gateway's books, or else ask it."""
    if captures is not None:
        assert captures(request.key) == 0
        return
    time.sleep(gateway.capabilities.lookup_settle_seconds or 0)
    found = gateway.lookup(request.key)
    assert not isinstance(found, (Captured, Pending))


def _must_be_a_doubt(take: Take, request: ChargeRequest) -> None:
    try:
        outcome = take(request)
    except PortUnavailableError:
        pytest.fail("the request went through: that it did not is no promise")
    except Exception:  # noqa: BLE001 - the core takes any other as a doubt
        return
    assert isinstance(outcome, Indeterminate)


def _promises_nothing_moved(take: Take, request: ChargeRequest) -> bool:
    """Tell whether it promises so; a doubt is safe, a capture is none."""
    try:
        outcome = take(request)
    except PortUnavailableError:
        return True
    except Exception:  # noqa: BLE001 - the core takes any other as a doubt
        return False
    assert isinstance(outcome, (Indeterminate, Declined))
    return isinstance(outcome, Declined)


def _is_found(gateway: Gateway, take: Take, request: ChargeRequest) -> None:
    outcome = take(request)
    _settle(gateway)
    assert gateway.lookup(request.key) == outcome


def _refuses_late(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    past: datetime,
    captures: Captures | None,
) -> None:
    if not gateway.capabilities.honours_deadline:
        pytest.skip("it declares that it honours no deadline")
    late = attrs.evolve(request, not_after=past)
    try:
        outcome: ChargeOutcome = take(late)
    except Exception:  # noqa: BLE001 - a refusal by any name
        outcome = Indeterminate()
    assert not isinstance(outcome, (Captured, Pending))
    _nothing_moved(gateway, captures, late)


def _says_what_is_on_record(take: Take, request: ChargeRequest) -> None:
    outcome = take(request)
    assert isinstance(outcome, (Captured, Pending))
    assert outcome.key == request.key
    assert outcome.amount == request.amount
    assert outcome.reference


def _race_moves_money_once(
    outcomes: list[ChargeOutcome | Exception],
    captures: Captures | None,
    request: ChargeRequest,
) -> None:
    taken = [
        each for each in outcomes if isinstance(each, (Captured, Pending))
    ]
    assert taken
    assert len({each.reference for each in taken}) == 1
    for each in outcomes:
        # The core takes any exception but one as a doubt, and asks again.
        assert not isinstance(each, (Declined, PortUnavailableError))
    _moved_at_most_once(captures, request)
