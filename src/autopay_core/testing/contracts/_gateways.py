"""
The clauses of the two gateway ports.

Holds: `PaymentGatewayContract` and `TwoStepGatewayContract`. Imports:
`_payments`, `_sandbox`, `_base` and the core. What a gateway does not declare
is not asked of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import attrs
import pytest

from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.money import Money
from autopay_core.ports import PaymentGateway, TwoStepGateway
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.testing.contracts import _payments as kit
from autopay_core.testing.contracts._base import RACERS, at_once
from autopay_core.testing.contracts._payments import Captures
from autopay_core.testing.contracts._sandbox import (
    Begin,
    Gateway,
    GatewayFixtures,
    Look,
    Meanwhile,
)


class PaymentGatewayContract(GatewayFixtures):
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
        kit.moved_at_most_once(captures, charge_request)

    def test_pg_1_a_decline_is_repeated_too(
        self, gateway: PaymentGateway, declined_request: ChargeRequest
    ) -> None:
        """PG-1: a decline stands under its key; it is not tried again."""
        first = gateway.charge(declined_request)

        assert gateway.charge(declined_request) == first

    def test_pg_1_another_request_under_a_known_key_is_refused(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        declined_method: PaymentMethodRef,
        other_deposit_account: DepositAccount | None,
        captures: Captures | None,
    ) -> None:
        """PG-1: or it gets the outcome on record; nothing else moves."""
        first = gateway.charge(charge_request)

        kit.refuses_another_request(
            gateway.charge,
            charge_request,
            first,
            kit.others_than(
                charge_request, declined_method, other_deposit_account
            ),
            captures,
        )

    def test_pg_1_charging_again_is_safe_while_look_ups_lag(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """PG-1: it rests on the company's key, on no look-up before."""
        kit.again_while_it_lags(gateway.charge, charge_request, lag, captures)

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
        lose_answer: Begin | None,
    ) -> None:
        """PG-3: what may have gone through is neither paid nor refused."""
        kit.given(lose_answer, "lose_answer")()
        kit.must_be_a_doubt(gateway.charge, charge_request)

    def test_pg_4_unavailable_means_that_no_money_moves(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        offline: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """PG-4: `PortUnavailableError` is a promise about this request."""
        with kit.given(offline, "offline")():
            promised = kit.promises_nothing_moved(
                gateway.charge, charge_request
            )
        if promised:
            kit.nothing_moved(gateway, captures, charge_request)

    def test_pg_4_a_500_is_no_promise(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        answer_500: Meanwhile | None,
    ) -> None:
        """PG-4: a 5xx may come after the money moved."""
        with kit.given(answer_500, "answer_500")():
            kit.must_be_a_doubt(gateway.charge, charge_request)

    def test_pg_4_what_is_too_busy_now_is_asked_again(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        busy: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """PG-4: 429 is no decline."""
        kit.busy_is_no_answer(
            gateway, gateway.charge, charge_request, busy, captures
        )

    def test_pg_5_a_look_up_finds_what_was_charged(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-5: after the settling time, by the key."""
        kit.is_found(gateway, gateway.charge, charge_request)

    def test_pg_5_a_look_up_finds_what_was_declined(
        self, gateway: PaymentGateway, declined_request: ChargeRequest
    ) -> None:
        """PG-5: a decline is an executed request, too."""
        kit.is_found(gateway, gateway.charge, declined_request)

    def test_pg_5_a_key_that_nobody_used_is_not_found(
        self, gateway: PaymentGateway, key: str
    ) -> None:
        """PG-5: as a value, not as an exception."""
        assert gateway.lookup(key) == NotFound()

    def test_pg_5_a_look_up_that_fails_finds_nothing_out(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        answer_500: Meanwhile | None,
        busy: Meanwhile | None,
    ) -> None:
        """PG-5: a failure is a doubt or an exception, never "not found"."""
        kit.a_failed_look_up_finds_nothing_out(
            gateway,
            gateway.charge,
            charge_request,
            (answer_500, busy),
        )

    def test_pg_5_a_look_up_that_lags_is_not_wrong(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
    ) -> None:
        """PG-5: it may know nothing yet, and tells it in the end."""
        kit.a_look_up_that_lags_is_not_wrong(
            gateway, gateway.charge, charge_request, lag
        )

    def test_pg_5_of_two_payments_under_a_key_the_first_is_not_the_answer(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        forget: Callable[[str], None] | None,
    ) -> None:
        """PG-5: a key that was forgotten and used again has two payments."""
        forgets = kit.given(forget, "forget")
        first = gateway.charge(charge_request)
        forgets(charge_request.key)
        second = gateway.charge(charge_request)
        kit.wait_for_look_ups(gateway)

        assert isinstance(first, (Captured, Pending))
        assert isinstance(second, (Captured, Pending))
        if first.reference != second.reference:
            assert gateway.lookup(charge_request.key) != first

    def test_pg_5_a_reference_is_found_at_once(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
    ) -> None:
        """PG-5: with `finds_references`, without waiting for look-ups."""
        outcome = gateway.charge(charge_request)

        assert isinstance(outcome, (Captured, Pending))
        kit.a_reference_is_found_at_once(
            gateway, charge_request, outcome, [outcome.reference]
        )

    def test_pg_6_no_money_moves_after_the_deadline(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        past: datetime,
        captures: Captures | None,
    ) -> None:
        """PG-6: a request that comes late is refused."""
        kit.refuses_late(
            gateway, gateway.charge, charge_request, past, captures
        )

    def test_pg_7_an_outcome_carries_what_is_on_record(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-7: key and amount come from the gateway's books."""
        kit.says_what_is_on_record(gateway.charge, charge_request)

    def test_pg_7_a_known_key_is_answered_with_the_amount_on_record(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-7: another amount under a known key is refused or corrected."""
        gateway.charge(charge_request)
        more = kit.of_more(charge_request)
        try:
            outcome = gateway.charge(more)
        except Exception:  # noqa: BLE001 - a refusal is as good
            outcome = Indeterminate()
        if isinstance(outcome, (Captured, Pending)):
            assert outcome.amount == charge_request.amount
        kit.moved_at_most_once(captures, charge_request)

    def test_pg_8_two_requests_at_once_move_money_once(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-8: whoever is slower gets the same outcome, or a doubt."""
        kit.race_moves_money_once(
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
            kit.of_more(charge_request),
        ):
            try:
                answers.append(gateway.charge(request))
            except Exception as error:  # noqa: BLE001 - it is looked at
                answers.extend((error, error.args))
        answers.append(gateway.lookup(charge_request.key))

        for each in answers:
            for method in (charge_request.method, declined_request.method):
                assert method.token not in f"{each} {each!r}"

    def test_pg_10_what_was_declined_cannot_be_paid_any_more(
        self,
        gateway: PaymentGateway,
        declined_request: ChargeRequest,
        complete: Callable[[ChargeRequest, str | None], None] | None,
        captures: Captures | None,
    ) -> None:
        """PG-10: not by the payer in another window, nor by a retry."""
        pay = kit.given(complete, "complete")
        kit.stays_declined(
            gateway,
            declined_request,
            lambda: gateway.charge(declined_request),
            lambda: pay(declined_request, None),
            captures,
        )

    def test_pg_11_what_was_cancelled_takes_no_money(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-11: a request that arrives after the cancel is refused."""
        kit.is_called_off(
            gateway,
            charge_request,
            kit.cancel(gateway, charge_request.key),
            lambda: gateway.charge(charge_request),
            captures,
        )

    def test_pg_11_a_cancel_does_not_deny_what_moved(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-11: what moved is answered as a look-up would."""
        outcome = gateway.charge(charge_request)

        kit.a_cancel_does_not_deny(
            gateway, outcome, kit.cancel(gateway, charge_request.key)
        )

    def test_pg_11_a_cancel_does_not_rest_on_a_look_up_that_lags(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
    ) -> None:
        """PG-11: what does not show yet has moved all the same."""
        with kit.given(lag, "lag")():
            outcome = gateway.charge(charge_request)
            answer = kit.cancel(gateway, charge_request.key)

        kit.a_cancel_does_not_deny(gateway, outcome, answer)

    def test_pg_11_a_request_on_its_way_is_included(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """PG-11: of a cancel and a charge at once, one wins."""
        kit.a_race_with_a_cancel_has_one_winner(
            gateway,
            charge_request,
            None,
            lambda: gateway.charge(charge_request),
            captures,
        )

    def test_pg_12_an_outcome_names_its_account(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        declined_request: ChargeRequest,
    ) -> None:
        """PG-12: the one that the capabilities name."""
        kit.names_its_account(
            gateway, gateway.charge, charge_request, declined_request
        )

    def test_pg_12_a_look_up_tells_of_no_other_account(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        other_account: Callable[[], Gateway] | None,
    ) -> None:
        """PG-12: another account knows nothing of the key."""
        kit.tells_of_no_other_account(
            gateway, gateway.charge, charge_request, other_account
        )

    def test_pg_13_no_two_payments_have_one_reference(
        self, gateway: PaymentGateway, charge_request: ChargeRequest
    ) -> None:
        """PG-13: not even payments that are alike."""
        kit.no_reference_comes_twice(gateway, gateway.charge, charge_request)

    def test_pg_14_what_is_under_way_is_pending_until_it_is_settled(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        pending_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """PG-14: "processing" is not "captured"."""
        method = kit.given(pending_method, "pending_method")
        kit.is_pending_until_settled(
            gateway,
            gateway.charge,
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_pg_14_what_fails_later_is_declined(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        pending_method: PaymentMethodRef | None,
        fail_later: Callable[[str], None] | None,
    ) -> None:
        """PG-14: and not before."""
        method = kit.given(pending_method, "pending_method")
        kit.is_declined_when_it_fails_later(
            gateway,
            gateway.charge,
            attrs.evolve(charge_request, method=method),
            fail_later,
        )

    def test_pg_14_a_state_that_nobody_knows_is_a_doubt(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        strange: Meanwhile | None,
    ) -> None:
        """PG-14: the company may have a new word for success."""
        kit.a_strange_state_is_a_doubt(
            gateway, gateway.charge, charge_request, strange
        )

    def test_pg_15_the_company_takes_what_was_asked_in_each_currency(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        amounts: list[Money],
        taken: Look | None,
        settle: Callable[[str], None] | None,
    ) -> None:
        """PG-15: by its own books, whatever the adapter says."""
        kit.takes_what_was_asked(
            gateway.charge, charge_request, amounts, taken, settle
        )

    def test_pg_15_money_goes_into_its_deposit_account(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        other_deposit_account: DepositAccount | None,
        taken: Look | None,
        settle: Callable[[str], None] | None,
    ) -> None:
        """PG-15: operating and trust money never meet (L6)."""
        kit.goes_where_it_was_sent(
            gateway.charge,
            charge_request,
            other_deposit_account,
            taken,
            settle,
        )

    def test_pg_17_what_needs_the_payer_says_where_and_until_when(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        asking_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """PG-17: nothing is taken before the payer has approved it."""
        method = kit.given(asking_method, "asking_method")
        kit.waits_for_the_payer(
            gateway,
            gateway.charge,
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_pg_17_called_off_it_takes_no_money(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        asking_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """PG-17: whatever the payer does then."""
        method = kit.given(asking_method, "asking_method")
        kit.is_called_off_for_the_payer(
            gateway,
            gateway.charge,
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_pg_16_answers_are_of_the_port_s_own_classes(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        declined_request: ChargeRequest,
    ) -> None:
        """PG-16: no subclass, and no text or number that is more than one."""
        kit.answers_are_plain(
            gateway, gateway.charge, charge_request, declined_request
        )

    def test_pg_16_only_port_errors_are_raised(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
        offline: Meanwhile | None,
        answer_500: Meanwhile | None,
        busy: Meanwhile | None,
    ) -> None:
        """PG-16: nothing of a driver or SDK crosses the port (E1)."""
        kit.raises_port_errors_only(
            gateway,
            charge_request,
            (offline, answer_500, busy),
            lambda request: partial(gateway.charge, request),
        )

    def test_port_1_calls_at_once_get_their_own_answers(
        self,
        gateway: PaymentGateway,
        charge_request: ChargeRequest,
    ) -> None:
        """PORT-1: whatever other threads ask for meanwhile."""
        kit.calls_do_not_mix(gateway.charge, charge_request)


class TwoStepGatewayContract(GatewayFixtures):
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

        kit.nothing_moved(gateway, captures, charge_request)

    def test_ts_2_a_reference_moves_money_once(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-2: however often it is confirmed, and by however many at once."""
        reference = kit.prepared(gateway, charge_request)
        outcomes = at_once(
            RACERS, lambda _: gateway.confirm(reference, charge_request)
        )
        outcomes.append(gateway.confirm(reference, charge_request))

        kit.race_moves_money_once(outcomes, captures, charge_request)

    def test_ts_2_confirming_again_is_safe_while_look_ups_lag(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """TS-2: it rests on the reference, on no look-up before."""
        reference = kit.prepared(gateway, charge_request)
        kit.again_while_it_lags(
            lambda request: gateway.confirm(reference, request),
            charge_request,
            lag,
            captures,
        )

    def test_ts_2_a_reference_is_used_once_for_ever(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        forget: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """TS-2: whatever has become of the key by then."""
        forgets = kit.given(forget, "forget")
        reference = kit.prepared(gateway, charge_request)
        first = gateway.confirm(reference, charge_request)
        forgets(charge_request.key)

        kit.refuses_another_request(
            lambda request: gateway.confirm(reference, request),
            charge_request,
            first,
            [charge_request],
            captures,
        )

    def test_ts_3_confirming_again_returns_the_first_outcome(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-3: the second call returns what the first one did."""
        reference = kit.prepared(gateway, charge_request)
        first = gateway.confirm(reference, charge_request)

        assert isinstance(first, (Captured, Pending))
        assert gateway.confirm(reference, charge_request) == first

    def test_ts_3_a_decline_is_repeated_too(
        self, gateway: TwoStepGateway, declined_request: ChargeRequest
    ) -> None:
        """TS-3: a decline is returned, and stands under its reference."""
        reference = kit.prepared(gateway, declined_request)
        first = gateway.confirm(reference, declined_request)

        assert isinstance(first, Declined)
        assert gateway.confirm(reference, declined_request) == first

    def test_ts_3_an_answer_that_is_lost_leaves_a_doubt(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        lose_answer: Begin | None,
    ) -> None:
        """TS-3: the outcome is not known, and confirming again tells it."""
        lose = kit.given(lose_answer, "lose_answer")
        reference = kit.prepared(gateway, charge_request)
        lose()
        kit.must_be_a_doubt(
            lambda request: gateway.confirm(reference, request), charge_request
        )

        again = gateway.confirm(reference, charge_request)

        assert isinstance(again, (Captured, Pending))

    def test_ts_4_unavailable_means_that_this_call_did_nothing(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        offline: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """TS-4: `PortUnavailableError` is a promise about this call."""
        cut = kit.given(offline, "offline")
        reference = kit.prepared(gateway, charge_request)
        with cut():
            promised = kit.promises_nothing_moved(
                lambda request: gateway.confirm(reference, request),
                charge_request,
            )
        if promised:
            kit.nothing_moved(gateway, captures, charge_request)

    def test_ts_4_a_500_at_confirm_is_no_promise(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        answer_500: Meanwhile | None,
    ) -> None:
        """TS-4: a 5xx may come after the money moved."""
        fails = kit.given(answer_500, "answer_500")
        reference = kit.prepared(gateway, charge_request)
        with fails():
            kit.must_be_a_doubt(
                lambda request: gateway.confirm(reference, request),
                charge_request,
            )

    def test_ts_4_what_is_too_busy_now_is_asked_again(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        busy: Meanwhile | None,
        captures: Captures | None,
    ) -> None:
        """TS-4: 429 is no decline."""
        reference = kit.prepared(gateway, charge_request)
        kit.busy_is_no_answer(
            gateway,
            lambda request: gateway.confirm(reference, request),
            charge_request,
            busy,
            captures,
        )

    def test_ts_5_a_look_up_finds_what_was_confirmed(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-5: after the settling time, by the key."""
        kit.is_found(gateway, kit.in_two_steps(gateway), charge_request)

    def test_ts_5_a_look_up_finds_what_was_declined(
        self, gateway: TwoStepGateway, declined_request: ChargeRequest
    ) -> None:
        """TS-5: a decline is a confirmed request, too."""
        kit.is_found(gateway, kit.in_two_steps(gateway), declined_request)

    def test_ts_5_a_key_that_nobody_used_is_not_found(
        self, gateway: TwoStepGateway, key: str
    ) -> None:
        """TS-5: as a value, not as an exception."""
        assert gateway.lookup(key) == NotFound()

    def test_ts_5_a_look_up_that_fails_finds_nothing_out(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        answer_500: Meanwhile | None,
        busy: Meanwhile | None,
    ) -> None:
        """TS-5: a failure is a doubt or an exception, never "not found"."""
        kit.a_failed_look_up_finds_nothing_out(
            gateway,
            kit.in_two_steps(gateway),
            charge_request,
            (answer_500, busy),
        )

    def test_ts_5_a_look_up_that_lags_is_not_wrong(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
    ) -> None:
        """TS-5: it may know nothing yet, and tells it in the end."""
        kit.a_look_up_that_lags_is_not_wrong(
            gateway, kit.in_two_steps(gateway), charge_request, lag
        )

    def test_ts_5_what_was_prepared_first_hides_nothing(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-5: the payment under the key may be the second one."""
        kit.prepared(gateway, charge_request)

        kit.is_not_hidden(
            gateway, kit.in_two_steps(gateway), kit.of_more(charge_request)
        )

    def test_ts_5_of_two_payments_under_a_key_neither_is_the_answer(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-5: the first, or the last, would hide the other."""
        references = [kit.prepared(gateway, charge_request) for _ in range(2)]
        first, second = (
            gateway.confirm(each, charge_request) for each in references
        )
        kit.wait_for_look_ups(gateway)

        kit.two_payments_are_not_one(
            first, second, gateway.lookup(charge_request.key)
        )

    def test_ts_5_a_reference_is_found_at_once(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-5: with `finds_references`, without waiting for look-ups."""
        reference = kit.prepared(gateway, charge_request)
        outcome = gateway.confirm(reference, charge_request)

        kit.a_reference_is_found_at_once(
            gateway, charge_request, outcome, [reference]
        )

    def test_ts_6_no_money_moves_after_the_deadline(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        past: datetime,
        captures: Captures | None,
    ) -> None:
        """TS-6: a confirmation that comes late is refused."""
        kit.refuses_late(
            gateway, kit.in_two_steps(gateway), charge_request, past, captures
        )

    def test_ts_7_an_outcome_carries_what_is_on_record(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-7: key and amount come from the gateway's books."""
        kit.says_what_is_on_record(kit.in_two_steps(gateway), charge_request)

    def test_ts_7_a_reference_is_for_the_request_that_was_prepared(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        declined_method: PaymentMethodRef,
        other_deposit_account: DepositAccount | None,
        captures: Captures | None,
    ) -> None:
        """TS-7: another is refused, or gets the outcome on record."""
        reference = kit.prepared(gateway, charge_request)
        first = gateway.confirm(reference, charge_request)

        kit.refuses_another_request(
            lambda request: gateway.confirm(reference, request),
            charge_request,
            first,
            kit.others_than(
                charge_request, declined_method, other_deposit_account
            ),
            captures,
        )

    def test_ts_7_a_reference_is_answered_with_the_amount_on_record(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-7: another amount for a known reference changes nothing."""
        reference = kit.prepared(gateway, charge_request)
        try:
            outcome = gateway.confirm(reference, kit.of_more(charge_request))
        except Exception:  # noqa: BLE001 - a refusal is as good
            return
        if isinstance(outcome, (Captured, Pending)):
            assert outcome.amount == charge_request.amount

    def test_ts_8_preparing_again_makes_another_reference(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-8: under the same key, for what is planned by then."""
        more = kit.of_more(charge_request)
        first = kit.prepared(gateway, charge_request)
        second = kit.prepared(gateway, more)

        assert first != second
        outcome = gateway.confirm(second, more)
        assert isinstance(outcome, (Captured, Pending))
        assert outcome.amount == more.amount
        kit.moved_at_most_once(captures, charge_request)

    def test_ts_8_what_was_not_confirmed_moves_nothing(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-8: whatever was prepared under the key, and then again."""
        for request in charge_request, kit.of_more(charge_request):
            kit.prepared(gateway, request)

        kit.nothing_moved(gateway, captures, charge_request)

    def test_ts_9_a_refusal_to_prepare_is_returned(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        refuse: Begin | None,
        captures: Captures | None,
    ) -> None:
        """TS-9: a decline is a value, never an exception."""
        kit.given(refuse, "refuse")()
        answer = gateway.prepare(charge_request)

        assert isinstance(answer, Declined)
        assert answer.key == charge_request.key
        kit.nothing_moved(gateway, captures, charge_request)

    def test_ts_10_what_was_declined_cannot_be_paid_any_more(
        self,
        gateway: TwoStepGateway,
        declined_request: ChargeRequest,
        complete: Callable[[ChargeRequest, str | None], None] | None,
        captures: Captures | None,
    ) -> None:
        """TS-10: not by the payer in another window, nor by a retry."""
        pay = kit.given(complete, "complete")
        reference = kit.prepared(gateway, declined_request)
        kit.stays_declined(
            gateway,
            declined_request,
            lambda: gateway.confirm(reference, declined_request),
            lambda: pay(declined_request, reference),
            captures,
        )

    def test_ts_11_what_was_cancelled_takes_no_money(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-11: a confirmation that arrives after the cancel is refused."""
        reference = kit.prepared(gateway, charge_request)
        kit.is_called_off(
            gateway,
            charge_request,
            kit.cancel(gateway, charge_request.key, reference),
            lambda: gateway.confirm(reference, charge_request),
            captures,
        )

    def test_ts_11_a_cancel_does_not_deny_what_moved(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-11: what moved is answered as a look-up would."""
        reference = kit.prepared(gateway, charge_request)
        outcome = gateway.confirm(reference, charge_request)

        kit.a_cancel_does_not_deny(
            gateway,
            outcome,
            kit.cancel(gateway, charge_request.key, reference),
        )

    def test_ts_11_a_cancel_does_not_rest_on_a_look_up_that_lags(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        lag: Meanwhile | None,
    ) -> None:
        """TS-11: what does not show yet has moved all the same."""
        reference = kit.prepared(gateway, charge_request)
        with kit.given(lag, "lag")():
            outcome = gateway.confirm(reference, charge_request)
            answer = kit.cancel(gateway, charge_request.key, reference)

        kit.a_cancel_does_not_deny(gateway, outcome, answer)

    def test_ts_11_a_request_on_its_way_is_included(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        captures: Captures | None,
    ) -> None:
        """TS-11: of a cancel and a confirmation at once, one wins."""
        reference = kit.prepared(gateway, charge_request)
        kit.a_race_with_a_cancel_has_one_winner(
            gateway,
            charge_request,
            reference,
            lambda: gateway.confirm(reference, charge_request),
            captures,
        )

    def test_ts_12_an_outcome_names_its_account(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        declined_request: ChargeRequest,
    ) -> None:
        """TS-12: the one that the capabilities name."""
        kit.names_its_account(
            gateway,
            kit.in_two_steps(gateway),
            charge_request,
            declined_request,
        )

    def test_ts_12_a_look_up_tells_of_no_other_account(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        other_account: Callable[[], Gateway] | None,
    ) -> None:
        """TS-12: another account knows nothing of the key."""
        kit.tells_of_no_other_account(
            gateway, kit.in_two_steps(gateway), charge_request, other_account
        )

    def test_ts_13_no_two_payments_have_one_reference(
        self, gateway: TwoStepGateway, charge_request: ChargeRequest
    ) -> None:
        """TS-13: not even payments that are alike."""
        kit.no_reference_comes_twice(
            gateway, kit.in_two_steps(gateway), charge_request
        )

    def test_ts_14_what_is_under_way_is_pending_until_it_is_settled(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        pending_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """TS-14: "processing" is not "captured"."""
        method = kit.given(pending_method, "pending_method")
        kit.is_pending_until_settled(
            gateway,
            kit.in_two_steps(gateway),
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_ts_14_what_fails_later_is_declined(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        pending_method: PaymentMethodRef | None,
        fail_later: Callable[[str], None] | None,
    ) -> None:
        """TS-14: and not before."""
        method = kit.given(pending_method, "pending_method")
        kit.is_declined_when_it_fails_later(
            gateway,
            kit.in_two_steps(gateway),
            attrs.evolve(charge_request, method=method),
            fail_later,
        )

    def test_ts_14_a_state_that_nobody_knows_is_a_doubt(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        strange: Meanwhile | None,
    ) -> None:
        """TS-14: the company may have a new word for success."""
        kit.a_strange_state_is_a_doubt(
            gateway, kit.in_two_steps(gateway), charge_request, strange
        )

    def test_ts_15_the_company_takes_what_was_asked_in_each_currency(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        amounts: list[Money],
        taken: Look | None,
        settle: Callable[[str], None] | None,
    ) -> None:
        """TS-15: by its own books, whatever the adapter says."""
        kit.takes_what_was_asked(
            kit.in_two_steps(gateway), charge_request, amounts, taken, settle
        )

    def test_ts_15_money_goes_into_its_deposit_account(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        other_deposit_account: DepositAccount | None,
        taken: Look | None,
        settle: Callable[[str], None] | None,
    ) -> None:
        """TS-15: operating and trust money never meet (L6)."""
        kit.goes_where_it_was_sent(
            kit.in_two_steps(gateway),
            charge_request,
            other_deposit_account,
            taken,
            settle,
        )

    def test_ts_17_what_needs_the_payer_says_where_and_until_when(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        asking_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """TS-17: nothing is taken before the payer has approved it."""
        method = kit.given(asking_method, "asking_method")
        kit.waits_for_the_payer(
            gateway,
            kit.in_two_steps(gateway),
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_ts_17_called_off_it_takes_no_money(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        asking_method: PaymentMethodRef | None,
        settle: Callable[[str], None] | None,
        captures: Captures | None,
    ) -> None:
        """TS-17: whatever the payer does then."""
        method = kit.given(asking_method, "asking_method")
        kit.is_called_off_for_the_payer(
            gateway,
            kit.in_two_steps(gateway),
            attrs.evolve(charge_request, method=method),
            settle,
            captures,
        )

    def test_ts_16_answers_are_of_the_port_s_own_classes(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        declined_request: ChargeRequest,
    ) -> None:
        """TS-16: no subclass, and no text or number that is more than one."""
        kit.answers_are_plain(
            gateway,
            kit.in_two_steps(gateway),
            charge_request,
            declined_request,
        )

    def test_ts_16_only_port_errors_are_raised(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
        offline: Meanwhile | None,
        answer_500: Meanwhile | None,
        busy: Meanwhile | None,
    ) -> None:
        """TS-16: nothing of a driver or SDK crosses the port (E1)."""
        kit.raises_port_errors_only(
            gateway,
            charge_request,
            (offline, answer_500, busy),
            lambda request: partial(gateway.prepare, request),
            lambda request: partial(
                gateway.confirm, kit.prepared(gateway, request), request
            ),
        )

    def test_port_1_calls_at_once_get_their_own_answers(
        self,
        gateway: TwoStepGateway,
        charge_request: ChargeRequest,
    ) -> None:
        """PORT-1: whatever other threads ask for meanwhile."""
        kit.calls_do_not_mix(kit.in_two_steps(gateway), charge_request)
