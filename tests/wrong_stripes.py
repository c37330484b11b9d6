"""
Stripe's adapter with what people get wrong, and the clause that it breaks.

Holds: `WRONG`, test classes by name, each with the number of the clause that
the contract kit must blame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from autopay_core.adapters.stripe import answers, asking, currencies, gateway
from autopay_core.adapters.stripe.asking import Failure
from autopay_core.adapters.stripe.gateway import StripeGateway
from autopay_core.charges import (
    Cancelled,
    Captured,
    Declined,
    Indeterminate,
)
from test_stripe_contract import TestStripe as Right

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopay_core.money import Money

Patch = pytest.MonkeyPatch


def processing_is_captured(patch: Patch) -> None:
    patch.setitem(
        answers._MOVES,
        "processing",
        (Captured, "amount"),
    )


def an_unknown_state_is_a_decline(patch: Patch) -> None:
    right = answers.outcome_of

    def wrong(intent: Any, account: str) -> Any:
        found = right(intent, account)
        if isinstance(found, Indeterminate):
            return Declined(key=answers.key_of(intent), code="strange")
        return found

    patch.setattr(gateway, "outcome_of", wrong)


def kronur_and_shillings_at_a_hundredth(patch: Patch) -> None:
    for code in ("ISK", "UGX"):
        patch.setitem(currencies._PER_ONE, code, 1)
        patch.setitem(currencies._STEPS, code, 1)


def scaled_both_ways(patch: Patch) -> None:
    there, back = currencies.to_units, currencies.to_money

    def to_units(amount: Money) -> int | None:
        units = there(amount)
        return None if units is None else units * 100

    def to_money(units: int, currency: str) -> Money | None:
        return back(units // 100, currency)

    patch.setattr(gateway, "to_units", to_units)
    patch.setattr(answers, "to_units", to_units)
    patch.setattr(answers, "to_money", to_money)


def a_failed_look_up_is_not_found(patch: Patch) -> None:
    def ids(self: StripeGateway, key: str) -> list[str]:
        found = self._ask.search("autopay_key", key)
        return [] if isinstance(found, Failure) else found

    patch.setattr(Failure, "is_missing", property(lambda _: True))
    patch.setattr(StripeGateway, "_ids", ids)


def deposit_accounts_are_ignored(patch: Patch) -> None:
    right = StripeGateway.__init__

    def wrong(self: StripeGateway, *given: Any, **more: Any) -> None:
        right(self, *given, **more)
        self._deposits = dict.fromkeys(self._deposits, "")

    patch.setattr(StripeGateway, "__init__", wrong)


def a_500_means_that_nothing_happened(patch: Patch) -> None:
    patch.setattr(Failure, "did_nothing", property(lambda _: True))


def a_lost_answer_means_that_nothing_happened(patch: Patch) -> None:
    patch.setattr(asking, "_never_connected", lambda _: True)


def a_declined_intent_is_left_open(patch: Patch) -> None:
    def wrong(self: StripeGateway, intent: Any, *_: Any) -> Declined:
        return answers.declined_as(intent, self._account)

    patch.setattr(StripeGateway, "_closed", wrong)


def everything_is_called_off(patch: Patch) -> None:
    patch.setattr(
        StripeGateway,
        "_called_off",
        lambda _self, key, _reference: Cancelled(key=key),
    )


def the_sdk_s_errors_escape(patch: Patch) -> None:
    def wrong(ask: Callable[[], Any]) -> Any:
        return ask().to_dict()

    patch.setattr(asking, "_asked", wrong)


def the_account_is_not_asked(patch: Patch) -> None:
    right = asking.Asking.__init__

    def wrong(
        self: Any, *given: Any, stripe_account: str, **more: Any
    ) -> None:
        right(self, *given, stripe_account="", **more)

    patch.setattr(asking.Asking, "__init__", wrong)


def one_key_for_every_request(patch: Patch) -> None:
    patch.setattr(
        gateway, "own_key", lambda request, step, _=0: f"{request.key}{step}"
    )


def what_the_payer_must_do_is_declined(patch: Patch) -> None:
    patch.setattr(gateway, "needs_payer", lambda _: False)


class _Wrong(Right):
    spoil: ClassVar[Callable[[Patch], None]]

    @pytest.fixture
    def gateway(self, company: Any, monkeypatch: Patch) -> StripeGateway:
        type(self).spoil(monkeypatch)
        return StripeGateway(
            company.api_key,
            account="acct_firm",
            deposits={"operating": "", "trust": "acct_trust"},
            payer_link=lambda reference: f"https://firm.example/{reference}",
            search_seconds=0,
            api_base=company.url,
        )


BLAMED: dict[Callable[[Patch], None], int] = {
    processing_is_captured: 14,
    an_unknown_state_is_a_decline: 14,
    kronur_and_shillings_at_a_hundredth: 15,
    scaled_both_ways: 15,
    a_failed_look_up_is_not_found: 5,
    deposit_accounts_are_ignored: 15,
    a_500_means_that_nothing_happened: 4,
    a_lost_answer_means_that_nothing_happened: 3,
    a_declined_intent_is_left_open: 10,
    everything_is_called_off: 11,
    the_sdk_s_errors_escape: 16,
    the_account_is_not_asked: 12,
    one_key_for_every_request: 8,
    what_the_payer_must_do_is_declined: 17,
}

WRONG: dict[str, tuple[type, int]] = {
    "".join(word.title() for word in spoil.__name__.split("_")): (
        type("Wrong", (_Wrong,), {"spoil": staticmethod(spoil)}),
        clause,
    )
    for spoil, clause in BLAMED.items()
}
