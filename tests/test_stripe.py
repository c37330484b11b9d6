"""Stripe's adapter beyond the contract: what is sent, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import stripe
from hypothesis import given, strategies as st

from autopay_core.adapters.stripe import (
    API_VERSION,
    StripeGateway,
    method_token,
)
from autopay_core.adapters.stripe.answers import (
    asked_of_payer,
    declined_as,
    is_token,
    outcome_of,
)
from autopay_core.adapters.stripe.codes import (
    ADVICE,
    DECLINES,
    NETWORK_ADVICE,
    class_of,
)
from autopay_core.adapters.stripe.currencies import (
    MAXIMUM_UNITS,
    MINIMUMS,
    TAKEN,
    to_money,
    to_units,
)
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeLine,
    ChargeRequest,
    DeclineClass,
    Declined,
    Indeterminate,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.references import (
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
    RunKey,
)
from autopay_core.testing.stripe import FakeStripe, Mischief
from autopay_core.testing.stripe._checking import (
    wrong_with_object,
    wrong_with_params,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATING = DepositAccount(id="operating")


@pytest.fixture
def company() -> Iterator[FakeStripe]:
    with FakeStripe() as company:
        yield company
        assert company.complaints == []


@pytest.fixture
def gateway(company: FakeStripe) -> StripeGateway:
    return gateway_of(company)


def gateway_of(company: FakeStripe, **more: Any) -> StripeGateway:
    return StripeGateway(
        company.api_key,
        account="acct_firm",
        deposits={"operating": "", "trust": "acct_trust"},
        api_base=company.url,
        **more,
    )


def asks(
    token: str, *, key: str = "k-1", bank: bool = False, **more: Any
) -> ChargeRequest:
    asked = ChargeRequest(
        key=key,
        method=PaymentMethodRef(
            provider="stripe",
            token=token,
            kind=MethodKind.BANK_ACCOUNT if bank else MethodKind.CARD,
        ),
        amount=Money.of("310.00", "USD"),
        deposit_account=OPERATING,
    )
    return attrs.evolve(asked, **more)


def prepared(gateway: StripeGateway, request: ChargeRequest) -> str:
    reference = gateway.prepare(request)
    assert isinstance(reference, str)
    return reference


def charged(gateway: StripeGateway, request: ChargeRequest) -> Any:
    return gateway.confirm(prepared(gateway, request), request)


# -- What is sent -------------------------------------------------------------


def test_an_intent_says_what_it_is_for(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(
        company.card(),
        description="Harbour Foods, June",
        run=RunKey(autopay="ap-1", nominal_on=date(2026, 6, 30)),
        lines=(ChargeLine(invoice="1042", amount=Money.of("310", "USD")),),
    )
    made = company.books.intents[prepared(gateway, request)]

    assert (made["amount"], made["currency"]) == (31_000, "usd")
    assert made["metadata"] == {
        "autopay_key": "k-1",
        "autopay_request": request.request_hash,
        "autopay_run": "ap-1/2026-06-30",
        "autopay_deposit": "operating",
        "autopay_invoices": "1042 USD 310.00",
    }
    assert made["description"] == "Harbour Foods, June"
    assert made["statement_descriptor_suffix"] == "Harbour Fo"
    assert made["statement_descriptor"] is None
    assert made["payment_method_types"] == ["card"]
    assert made["transfer_data"] is None


def test_a_bank_debit_has_a_statement_of_its_own(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(
        company.bank_account(), bank=True, description="Müller & Co <June>!"
    )
    made = company.books.intents[prepared(gateway, request)]

    assert made["statement_descriptor"] == "M ller & Co June"
    assert made["statement_descriptor_suffix"] is None
    assert made["payment_method_types"] == ["us_bank_account"]


def test_money_for_an_account_that_is_not_set_goes_nowhere(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(
        company.card(), deposit_account=DepositAccount(id="elsewhere")
    )
    with pytest.raises(PortError) as caught:
        gateway.prepare(request)

    assert caught.value.code == "DepositUnknown"
    assert not isinstance(caught.value, PortUnavailableError)
    assert company.requests == []


def test_a_connect_account_is_asked_in_its_name(company: FakeStripe) -> None:
    connected = gateway_of(company, stripe_account="acct_other")
    request = asks(company.card())
    outcome = charged(connected, request)

    assert connected.capabilities.account == outcome.account == "acct_other"
    assert gateway_of(company).lookup("k-1") == NotFound()
    with pytest.raises(PortError, match="no such reference"):
        gateway_of(company).confirm(outcome.reference, request)


def test_a_mandate_goes_with_the_confirmation(company: FakeStripe) -> None:
    token = company.bank_account()
    request = asks(f"{token}/mandate_fake1", bank=True)
    assert isinstance(charged(gateway_of(company), request), Pending)


def test_it_is_set_up_in_fifteen_lines() -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "stripe.md"
    blocks = re.findall(
        r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL
    )
    (block,) = [each for each in blocks if "StripeGateway(" in each]

    assert len([each for each in block.splitlines() if each.strip()]) <= 15


# -- What goes wrong ----------------------------------------------------------


def test_a_500_at_confirm_is_a_doubt_and_is_found_out_by_reference(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    reference = prepared(gateway, request)
    company.fail_after("confirm")

    assert isinstance(gateway.confirm(reference, request), Indeterminate)
    found = gateway.lookup_reference(reference, "k-1")
    assert isinstance(found, Captured)
    assert gateway.confirm(reference, request) == found
    assert len(company.payments("k-1")) == 1


def test_the_sdk_sends_nothing_again_by_itself(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    reference = prepared(gateway, request)
    company.requests.clear()
    company.fail_before("confirm")
    gateway.confirm(reference, request)

    assert company.requests == [
        ("retrieve", reference),
        ("confirm", reference),
    ]


def test_a_500_that_is_only_repeated_does_not_stop_a_charge_for_a_day(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    company.fail_before("create")
    with pytest.raises(PortUnavailableError):
        gateway.prepare(request)
    reference = prepared(gateway, request)
    company.fail_before("confirm")
    assert isinstance(gateway.confirm(reference, request), Indeterminate)
    assert gateway.lookup_reference(reference, "k-1") == NotFound()

    assert isinstance(gateway.confirm(reference, request), Captured)
    assert len(company.payments("k-1")) == 1


def test_an_intent_that_a_500_left_behind_moves_nothing(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    company.fail_after("create")
    with pytest.raises(PortUnavailableError):
        gateway.prepare(request)

    assert isinstance(charged(gateway, request), Captured)
    assert len(company.books.intents) == 2
    assert len(company.payments()) == 1


def test_a_decline_is_told_only_when_nobody_can_pay_it_any_more(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card("insufficient_funds"))
    reference = prepared(gateway, request)
    company.fail_before("cancel")

    first = gateway.confirm(reference, request)
    assert isinstance(first, Indeterminate)
    assert company.books.intents[reference]["status"] != "canceled"

    second = gateway.lookup_reference(reference, "k-1")
    assert isinstance(second, Declined)
    assert company.books.intents[reference]["status"] == "canceled"
    assert not company.books.complete(reference)


@pytest.mark.parametrize(
    "mischief",
    [Mischief(busy=1.0), Mischief(locked=1.0), Mischief(conflict=1.0)],
    ids=["busy", "locked", "conflict"],
)
def test_what_is_too_busy_says_whether_it_did_nothing(
    mischief: Mischief,
) -> None:
    with FakeStripe() as company:
        gateway = gateway_of(company)
        request = asks(company.card())
        reference = prepared(gateway, request)
        known = company.books.retrieve("", reference)
        company.mischief = mischief
        if mischief.busy:
            with pytest.raises(PortUnavailableError) as caught:
                gateway.confirm(reference, request)
            assert caught.value.retry_after == 7
        else:
            # Somebody else is at it: that is no promise.
            assert isinstance(
                gateway.confirm(reference, request), Indeterminate
            )
        assert company.books.retrieve("", reference) == known


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"{}"),
        (200, b'{"id": 5, "status": "succeeded"}'),
        (502, b"<html>Bad gateway</html>"),
        (500, b'{"error": "text"}'),
        (402, b'{"error": []}'),
        (400, b'{"error": {}}'),
        (404, b"gone"),
    ],
)
@pytest.mark.parametrize("step", ["create", "retrieve", "confirm", "cancel"])
def test_an_answer_that_is_none_is_no_capture_and_no_decline(
    company: FakeStripe,
    gateway: StripeGateway,
    step: str,
    status: int,
    raw: bytes,
) -> None:
    request = asks(company.card())
    company.garble(step, status, raw)
    try:
        reference = prepared(gateway, request)
        outcome: object = gateway.confirm(reference, request)
    except (AssertionError, PortError):
        outcome = None
    if isinstance(outcome, Captured):
        assert len(company.payments("k-1")) == 1
    # Whatever it was, it can be found out.
    company._garbled.clear()
    again = charged(gateway, request)
    assert isinstance(again, Captured | Declined)
    assert len(company.payments("k-1")) == isinstance(again, Captured)


@pytest.mark.parametrize(
    "why",
    [
        {"code": "parameter_unknown", "param": "x"},
        {"code": "resource_missing", "param": "transfer_data[destination]"},
        {"message": "Your account cannot make charges."},
    ],
)
def test_a_fault_of_the_set_up_is_no_decline_of_every_payer(
    company: FakeStripe, gateway: StripeGateway, why: dict[str, str]
) -> None:
    request = asks(company.card())
    body = {"error": {"type": "invalid_request_error"} | why}
    raw = json.dumps(body).encode()
    company.garble("create", 400, raw)
    with pytest.raises(PortError) as caught:
        gateway.prepare(request)
    assert caught.value.code == "PaymentRefused"
    assert not isinstance(caught.value, PortUnavailableError)

    reference = prepared(gateway, request)
    company.fail_before("confirm")
    company.garble("confirm", 400, raw)
    doubt = gateway.confirm(reference, request)
    assert isinstance(doubt, Indeterminate)
    assert doubt.unexpected
    assert gateway.cancel("k-1", reference) == Cancelled(key="k-1")


def test_a_key_that_is_in_use_is_a_doubt(company: FakeStripe) -> None:
    gateway = gateway_of(company)
    request = asks(company.card())
    reference = prepared(gateway, request)
    company.slow_down(0.3)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gateway.confirm, reference, request)
        time.sleep(0.1)
        second = pool.submit(gateway.confirm, reference, request)
        assert isinstance(first.result(), Captured)
        assert isinstance(second.result(), Indeterminate)
    assert len(company.payments("k-1")) == 1


def test_a_wrong_key_of_the_api_did_nothing(company: FakeStripe) -> None:
    wrong = StripeGateway(
        "sk_test_wrong", deposits={"operating": ""}, api_base=company.url
    )
    with pytest.raises(PortUnavailableError, match="401"):
        wrong.prepare(asks(company.card()))


def test_a_cancel_with_its_reference_is_certain(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    reference = prepared(gateway, request)

    assert gateway.cancel("k-1", reference) == Cancelled(key="k-1")
    assert gateway.cancel("k-1", reference) == Cancelled(key="k-1")
    with pytest.raises(PortUnavailableError) as caught:
        gateway.confirm(reference, request)
    assert caught.value.code == "KeyCancelled"
    assert gateway.lookup_reference(reference, "k-1") == NotFound()


def test_a_cancel_without_a_reference_promises_nothing_on_an_empty_search(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card())
    with company.lagging():
        prepared(gateway, request)
        assert isinstance(gateway.cancel("k-1", None), Indeterminate)

    assert gateway.cancel("k-1", None) == Cancelled(key="k-1")


def test_an_answer_that_the_cancel_lost_is_read_again(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    reference = prepared(gateway, asks(company.card()))
    company.lose_answer_of("cancel")

    assert gateway.cancel("k-1", reference) == Cancelled(key="k-1")


# -- Declines -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "means"),
    [
        ({"decline": "insufficient_funds"}, DeclineClass.LATER),
        ({"decline": "expired_card"}, DeclineClass.FIX_FIRST),
        ({"decline": "stolen_card"}, DeclineClass.NEVER),
        ({"decline": "word_of_tomorrow"}, DeclineClass.UNKNOWN),
        (
            {"decline": "insufficient_funds", "advice": "do_not_try_again"},
            DeclineClass.NEVER,
        ),
        (
            {"decline": "do_not_honor", "advice": "try_again_later"},
            DeclineClass.LATER,
        ),
        (
            {"decline": "insufficient_funds", "network_advice": "03"},
            DeclineClass.NEVER,
        ),
    ],
)
def test_a_decline_has_the_class_that_codes_and_advice_give_it(
    company: FakeStripe, card: dict[str, Any], means: DeclineClass
) -> None:
    answer = charged(gateway_of(company), asks(company.card(**card)))

    assert isinstance(answer, Declined)
    assert answer.code == card["decline"]
    assert answer.decline_class is means
    assert answer.account == "acct_firm"


def test_the_network_says_before_when_it_wants_no_other_try(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    before = datetime.now(UTC)
    card = company.card("insufficient_funds", network_advice="26")
    answer = charged(gateway, asks(card))

    assert answer.not_before is not None
    waits = answer.not_before - before
    assert timedelta(days=2) - timedelta(seconds=5) < waits
    assert waits < timedelta(days=2, minutes=1)


def test_what_needs_the_payer_is_closed_where_there_is_no_page_for_it(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.card(needs_payer=True))
    reference = prepared(gateway, request)
    answer = gateway.confirm(reference, request)

    assert isinstance(answer, Declined)
    assert answer.code == "authentication_required"
    assert answer.decline_class is DeclineClass.FIX_FIRST
    assert answer.message
    assert not company.books.complete(reference)


def test_what_needs_the_payer_says_where_and_until_when(
    company: FakeStripe,
) -> None:
    gateway = gateway_of(
        company,
        payer_link=lambda reference: f"https://firm.example/{reference}",
        payer_lasts=timedelta(days=3),
    )
    request = asks(company.card(needs_payer=True))
    reference = prepared(gateway, request)
    asked = gateway.confirm(reference, request)

    assert isinstance(asked, NeedsPayer)
    assert asked.link == f"https://firm.example/{reference}"
    made = company.books.intents[reference]["created"]
    assert asked.until == datetime.fromtimestamp(made, UTC) + timedelta(days=3)
    assert gateway.lookup_reference(reference, "k-1") == asked
    assert company.books.complete(reference)
    found = gateway.lookup_reference(reference, "k-1")
    assert isinstance(found, Captured)


def test_a_page_that_is_no_address_leaves_a_doubt_and_not_a_decline(
    company: FakeStripe,
) -> None:
    gateway = gateway_of(company, payer_link=lambda _: "http://firm.example")
    request = asks(company.card(needs_payer=True))
    outcome = charged(gateway, request)

    assert outcome == Indeterminate(detail="LinkInvalid", unexpected=True)


def test_a_bank_account_that_is_to_be_verified_has_a_page_of_stripe_s(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.bank_account(needs_payer=True), bank=True)
    reference = prepared(gateway, request)
    asked = gateway.confirm(reference, request)

    assert isinstance(asked, NeedsPayer)
    assert asked.link == "https://payments.example/v"
    assert gateway.cancel("k-1", reference) == Cancelled(key="k-1")
    assert not company.books.complete(reference)


def test_a_debit_that_fails_later_has_the_network_s_code(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    request = asks(company.bank_account(), bank=True)
    reference = prepared(gateway, request)
    assert isinstance(gateway.confirm(reference, request), Pending)
    company.fail_later("k-1", "debit_not_authorized", "R29")

    answer = gateway.lookup_reference(reference, "k-1")
    assert isinstance(answer, Declined)
    assert (answer.code, answer.decline_class) == ("R29", DeclineClass.NEVER)
    assert not company.books.complete(reference)


@pytest.mark.parametrize(
    ("units", "code"),
    [("0.20", "amount_too_small"), ("1000000.00", "amount_not_taken")],
)
def test_an_amount_that_is_not_taken_is_declined_before_it_is_sent(
    company: FakeStripe, gateway: StripeGateway, units: str, code: str
) -> None:
    request = asks(company.card(), amount=Money.of(units, "USD"))
    answer = gateway.prepare(request)

    assert isinstance(answer, Declined)
    assert answer.code == code


def test_a_method_that_is_gone_is_declined_and_not_named(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    answer = gateway.prepare(asks("cus_gone/pm_gone"))

    assert isinstance(answer, Declined)
    assert answer.decline_class is DeclineClass.FIX_FIRST
    assert "gone" not in f"{answer!r}{answer}"


def test_a_blocked_account_is_declined_though_nothing_was_tried(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    word = "payment_method_bank_account_blocked"
    request = asks(company.bank_account(word), bank=True)
    reference = prepared(gateway, request)
    answer = gateway.confirm(reference, request)

    assert isinstance(answer, Declined)
    assert answer.code == word
    assert company.books.intents[reference]["status"] == "canceled"


def test_every_row_of_the_tables_has_a_date_and_a_source() -> None:
    for row in (*DECLINES, *ADVICE, *NETWORK_ADVICE):
        assert row.source
        assert row.since <= date(2026, 11, 26)
    for table in (DECLINES, ADVICE, NETWORK_ADVICE):
        codes = [code for row in table for code in row.codes]
        assert len(codes) == len(set(codes))


_CODES = [code for row in DECLINES for code in row.codes]
_ADVICE = [code for row in ADVICE for code in row.codes]


@given(
    st.lists(st.sampled_from([*_CODES, "strange"]), max_size=3),
    st.sampled_from([*_ADVICE, "", "strange"]),
    st.sampled_from(["", "01", "03", "21", "24", "99"]),
)
def test_nothing_outweighs_that_it_is_never_to_be_tried(
    codes: list[str], advice: str, network: str
) -> None:
    alone = {
        *(class_of([each]) for each in codes),
        class_of([], advice),
        class_of([], "", network),
    }
    found = class_of(codes, advice, network)
    assert (found is DeclineClass.NEVER) == (DeclineClass.NEVER in alone)
    assert found in {*alone, DeclineClass.UNKNOWN}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=8), inner, max_size=2)
    ),
    max_leaves=5,
)
_INTENT = st.fixed_dictionaries(
    {"metadata": st.just({"autopay_key": "k-1"}) | _JSON},
    optional={
        "id": st.just("pi_1") | _JSON,
        "status": _JSON
        | st.sampled_from(
            [
                "succeeded",
                "processing",
                "canceled",
                "requires_payment_method",
                "requires_action",
            ]
        ),
        "amount": _JSON,
        "amount_received": _JSON | st.just(500),
        "currency": _JSON | st.sampled_from(["usd", "jpy", "xxx"]),
        "created": _JSON,
        "next_action": _JSON,
        "latest_charge": _JSON
        | st.fixed_dictionaries(
            {"status": st.just("failed"), "created": _JSON}
        ),
        "last_payment_error": _JSON
        | st.dictionaries(
            st.sampled_from(
                ["code", "decline_code", "message", "network_advice_code"]
            ),
            _JSON | st.just("24"),
        ),
    },
)


@given(_INTENT)
def test_whatever_an_intent_holds_it_is_an_outcome_of_the_port(
    intent: dict[str, Any],
) -> None:
    outcome = outcome_of(intent, "acct_firm")
    if isinstance(outcome, Captured):
        assert intent["status"] == "succeeded"
    if isinstance(outcome, Pending):
        assert intent["status"] == "processing"
    asked = asked_of_payer(
        intent, "acct_firm", "https://firm.example/", timedelta(days=1)
    )
    assert asked is None or asked.reference == intent["id"]
    if (
        isinstance(intent["metadata"], dict)
        and "autopay_key" in (intent["metadata"])
    ):
        assert type(declined_as(intent, "acct_firm")) is Declined


@given(st.text(max_size=40))
def test_a_token_of_another_company_is_declined_and_not_sent(
    token: str,
) -> None:
    assert is_token(f"cus_1/pm_2/{token}") == bool(
        re.fullmatch(r"(cus|pm|card|ba|src|mandate)_[A-Za-z0-9_]+", token)
    )


def test_a_method_that_is_kept_elsewhere_is_declined(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    answer = gateway.prepare(asks("tok_of_another_company"))

    assert isinstance(answer, Declined)
    assert answer.code == "payment_method_not_saved_here"
    assert company.requests == []


# -- Currencies ---------------------------------------------------------------


@given(
    st.sampled_from(sorted(TAKEN)), st.integers(min_value=1, max_value=10**9)
)
def test_an_amount_comes_back_as_it_was_sent(
    currency: str, minor: int
) -> None:
    amount = Money(amount_minor=minor, currency=currency)
    units = to_units(amount)
    if units is not None:
        assert 0 < units <= MAXIMUM_UNITS
        assert to_money(units, currency.lower()) == amount


@pytest.mark.parametrize(
    ("currency", "per_one"),
    [
        ("USD", 100),
        ("JPY", 1),
        ("ISK", 100),
        ("UGX", 100),
        ("HUF", 100),
        ("TWD", 100),
        ("MGA", 1),
        ("KWD", 1000),
    ],
)
def test_one_is_so_many_units(currency: str, per_one: int) -> None:
    whole = 10 ** MINOR_DIGITS[currency]
    ones = Money(amount_minor=7 * whole, currency=currency)
    assert to_units(ones) == 7 * per_one
    assert Fraction(7 * per_one, per_one) == Fraction(7)


def test_every_minimum_is_of_a_currency_that_is_taken() -> None:
    assert set(MINIMUMS) <= TAKEN
    assert set(MINOR_DIGITS) >= TAKEN
    assert to_money(-5, "usd") == Money.of("-0.05", "USD")
    assert to_money(5, "xxx") is None
    assert to_money(1, "isk") is None


# -- Secrets and tokens -------------------------------------------------------


def test_no_key_shows(company: FakeStripe, gateway: StripeGateway) -> None:
    assert company.api_key not in f"{gateway!r}{gateway._ask!r}"
    with pytest.raises(InvalidValueError) as caught:
        StripeGateway("pk_live_public", deposits={})
    assert caught.value.code == "StripeKey"
    assert "public" not in str(caught.value)


@pytest.mark.parametrize(
    ("customer", "method"),
    [("cus_1", "4242424242424242"), ("", "pm_1"), ("cus_1", "pm_1/x")],
)
def test_only_ids_of_stripe_s_make_a_token(customer: str, method: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        method_token(customer, method)
    assert caught.value.code == "StripeToken"


# -- The make-believe one -----------------------------------------------------


def test_it_listens_on_loopback_and_stops_by_itself() -> None:
    company = FakeStripe(idle_seconds=0.2)
    assert company.url.startswith("http://127.0.0.1:")
    for _ in range(100):
        if not company.is_running:
            break
        time.sleep(0.05)
    assert not company.is_running


def test_a_request_that_the_sdk_does_not_know_is_complained_about() -> None:
    kind = stripe.params.PaymentIntentCreateParams
    fine = {"amount": "5", "currency": "usd", "metadata": {"a": "b"}}
    assert wrong_with_params(kind, fine) == []
    for wrong in (
        {"amount": "5"},
        fine | {"amount": "5.1"},
        fine | {"amonut": "5"},
        fine | {"confirm": "yes"},
        fine | {"metadata": "a"},
        fine | {"transfer_data": {"amount": "5"}},
        fine | {"expand": "latest_charge"},
    ):
        assert wrong_with_params(kind, wrong), wrong


def test_an_answer_that_is_no_resource_is_complained_about(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    reference = charged(gateway, asks(company.card())).reference
    _, made = company.books.retrieve("", reference)
    assert wrong_with_object(stripe.PaymentIntent, made) == []
    for wrong in (
        made | {"amount": "5"},
        made | {"amonut": 5},
        made | {"last_payment_error": {"strange": 1}},
        made | {"metadata": None},
        {name: each for name, each in made.items() if name != "status"},
    ):
        assert wrong_with_object(stripe.PaymentIntent, wrong), wrong


def test_every_object_that_it_makes_is_one_of_the_sdk_s(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    reference = charged(gateway, asks(company.card())).reference
    company.refund(reference, 5)
    company.books.fail_refund(company.refund(reference, 7))
    company.books.close_dispute(company.dispute(reference), "won")
    books = company.books
    made = [
        *((stripe.Refund, each) for each in books.refunds.values()),
        *((stripe.Dispute, each) for each in books.disputes.values()),
        *((stripe.Charge, each) for each in books.charges.values()),
        *((stripe.Event, each) for each in books.events),
    ]
    assert len(made) > 10
    for kind, each in made:
        assert wrong_with_object(kind, each) == []


def test_the_version_of_the_api_is_the_one_that_the_sdk_is_made_for() -> None:
    assert stripe.api_version == API_VERSION


EXAMPLES = os.environ.get("AUTOPAY_STRIPE_EXAMPLES", "")


@pytest.mark.skipif(
    not EXAMPLES, reason="AUTOPAY_STRIPE_EXAMPLES names no file"
)
def test_the_objects_have_the_fields_of_stripe_s_own_examples(
    company: FakeStripe, gateway: StripeGateway
) -> None:
    examples = json.loads(Path(EXAMPLES).read_text("utf-8"))["resources"]
    reference = charged(gateway, asks(company.card())).reference
    books = company.books
    refund = books.refunds[company.refund(reference, 5)]
    dispute = books.disputes[company.dispute(reference)]
    for name, made in {
        "payment_intent": books.intents[reference],
        "charge": next(iter(books.charges.values())),
        "refund": refund,
        "dispute": dispute,
        "event": books.events[0],
    }.items():
        example = examples[name]
        for field, value in made.items():
            theirs = example.get(field)
            if theirs is not None and value is not None:
                assert type(value) is type(theirs), f"{name}.{field}"
        lacking = set(example) - set(made)
        assert lacking <= _NOT_MADE.get(name, set()), name
    for name in ("dispute", "refund", "charge"):
        assert set(examples[name]) >= set(_ALWAYS[name])


_NOT_MADE = {
    "charge": {"refunds", "source", "presentment_details"},
    "refund": {"destination_details"},
    "payment_intent": {"managed_payments"},
}
_ALWAYS = {
    "dispute": ("amount", "charge", "payment_intent", "reason", "status"),
    "refund": ("amount", "payment_intent", "status"),
    "charge": ("amount", "failure_code", "outcome", "status"),
}


@pytest.mark.skipif(
    not os.environ.get("AUTOPAY_STRIPE_TEST_KEY"),
    reason="AUTOPAY_STRIPE_TEST_KEY is not set: the company is not asked",
)
def test_the_company_s_test_mode_takes_and_finds_a_payment() -> None:
    key = os.environ["AUTOPAY_STRIPE_TEST_KEY"]
    assert "_test_" in key, "a live key has no place in a test"
    client = stripe.StripeClient(key, stripe_version=API_VERSION)
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach(
        "pm_card_visa", {"customer": customer.id}
    )
    gateway = StripeGateway(key, deposits={"operating": ""})
    own = f"live{datetime.now(UTC):%Y%m%d%H%M%S%f}"
    request = asks(method_token(customer.id, method.id), key=own)
    reference = prepared(gateway, request)
    outcome = gateway.confirm(reference, request)
    assert isinstance(outcome, Captured)
    assert gateway.lookup_reference(reference, own) == outcome
