"""
What both forms of gateway promise, as functions of how money is taken.

Holds: one function for each thing that a clause of either port demands.
Imports: `_base`, `_sandbox` and the core.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import Final, TypeAlias, TypeVar, cast

import attrs
import pytest

from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    AutopayError,
    PortError,
    PortUnavailableError,
)
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.ports import (
    CancellingGateway,
    FindingGateway,
    TwoStepGateway,
)
from autopay_core.references import DepositAccount, PaymentMethodRef
from autopay_core.testing.contracts._base import RACERS, at_once
from autopay_core.testing.contracts._sandbox import (
    Begin,
    Gateway,
    Look,
    Meanwhile,
)

_T = TypeVar("_T")

Take: TypeAlias = Callable[[ChargeRequest], ChargeOutcome]
Captures: TypeAlias = Callable[[str], int]

_MOVED: Final = (Captured, Pending, NeedsPayer)


def given(fixture: _T | None, name: str) -> _T:
    """Return what was given, or skip the test and say what was not."""
    if fixture is None:
        pytest.skip(f"the fixture {name} was not given")
    return fixture


# -- Asking -------------------------------------------------------------------


def prepared(gateway: TwoStepGateway, request: ChargeRequest) -> str:
    """Return a reference; a sandbox has no reason to refuse one."""
    reference = gateway.prepare(request)
    assert isinstance(reference, str), f"it was refused: {reference!r}"
    return reference


def in_two_steps(gateway: TwoStepGateway) -> Take:
    """Return how to take money with a gateway of two steps."""

    def take(request: ChargeRequest) -> ChargeOutcome:
        return gateway.confirm(prepared(gateway, request), request)

    return take


def cancel(
    gateway: Gateway, key: str, reference: str | None = None
) -> CancelOutcome:
    """Ask for a cancel; it is not asked of those who declare none."""
    if not gateway.capabilities.cancels:
        pytest.skip("it declares that it cannot cancel")
    return cast("CancellingGateway", gateway).cancel(key, reference)


def of_more(request: ChargeRequest) -> ChargeRequest:
    """Return the request for a little more."""
    more = attrs.evolve(
        request.amount, amount_minor=request.amount.amount_minor + 1
    )
    return attrs.evolve(request, amount=more)


def under(request: ChargeRequest, place: int) -> ChargeRequest:
    """Return the request under another key of this test."""
    # No hexadecimal digit, so that it is no key that was drawn.
    return attrs.evolve(request, key=f"{request.key[:-2]}x{place}")


def wait_for_look_ups(gateway: Gateway) -> None:
    """Wait until a look-up has to show what was done."""
    seconds = gateway.capabilities.lookup_settle_seconds
    if seconds is None:
        pytest.skip("it declares that a look-up proves nothing")
    time.sleep(seconds)


def _or_doubt(ask: Callable[[], _T]) -> _T | Indeterminate:
    """Return an answer; an exception is a doubt to the core (R4)."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - see above
        return Indeterminate(detail=type(error).__name__)


# -- What moved ---------------------------------------------------------------


def moved_at_most_once(
    captures: Captures | None, request: ChargeRequest
) -> None:
    """Look into the company's books, if there is a way."""
    if captures is not None:
        assert captures(request.key) <= 1


def nothing_moved(
    gateway: Gateway, captures: Captures | None, request: ChargeRequest
) -> None:
    """Look into the company's books, or else ask it."""
    if captures is not None:
        assert captures(request.key) == 0
        return
    time.sleep(gateway.capabilities.lookup_settle_seconds or 0)
    found = gateway.lookup(request.key)
    assert not isinstance(found, _MOVED)


def race_moves_money_once(
    outcomes: list[ChargeOutcome | Exception],
    captures: Captures | None,
    request: ChargeRequest,
) -> None:
    """Look at what came of several requests at once."""
    taken = [each for each in outcomes if isinstance(each, _MOVED)]
    assert taken
    assert len({each.reference for each in taken}) == 1
    for each in outcomes:
        # The core takes any exception but one as a doubt, and asks again.
        assert not isinstance(each, (Declined, PortUnavailableError))
    moved_at_most_once(captures, request)


def refuses_another_request(
    take: Take,
    request: ChargeRequest,
    first: ChargeOutcome,
    others: Sequence[ChargeRequest],
    captures: Captures | None,
) -> None:
    """Send other requests under a key that is known."""
    for other in others:
        outcome = _or_doubt(lambda asked=other: take(asked))  # type: ignore[misc]
        assert isinstance(outcome, Indeterminate) or outcome == first
    moved_at_most_once(captures, request)


def others_than(
    request: ChargeRequest,
    declined: PaymentMethodRef,
    account: DepositAccount | None,
) -> list[ChargeRequest]:
    """Return requests that differ in one thing each."""
    made = [
        of_more(request),
        attrs.evolve(request, method=declined),
        attrs.evolve(request, description="Another request"),
    ]
    if account is not None:
        made.append(attrs.evolve(request, deposit_account=account))
    return made


# -- Doubt --------------------------------------------------------------------


def must_be_a_doubt(take: Take, request: ChargeRequest) -> None:
    """Take money of which nobody can tell what became."""
    try:
        outcome = take(request)
    except PortUnavailableError:
        pytest.fail("the request went through: that it did not is no promise")
    except Exception:  # noqa: BLE001 - the core takes any other as a doubt
        return
    assert isinstance(outcome, Indeterminate)


def promises_nothing_moved(take: Take, request: ChargeRequest) -> bool:
    """Tell whether it promises so; a doubt is safe, a capture is none."""
    try:
        outcome = take(request)
    except PortUnavailableError:
        return True
    except Exception:  # noqa: BLE001 - the core takes any other as a doubt
        return False
    assert isinstance(outcome, (Indeterminate, Declined))
    return isinstance(outcome, Declined)


def busy_is_no_answer(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    busy: Meanwhile | None,
    captures: Captures | None,
) -> None:
    """Let it be busy; then the same request goes through, once."""
    with given(busy, "busy")():
        promised = promises_nothing_moved(take, request)
    if promised:
        nothing_moved(gateway, captures, request)
    assert isinstance(take(request), _MOVED)
    moved_at_most_once(captures, request)


def refuses_late(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    past: datetime,
    captures: Captures | None,
) -> None:
    """Send a request whose time is over."""
    if not gateway.capabilities.honours_deadline:
        pytest.skip("it declares that it honours no deadline")
    late = attrs.evolve(request, not_after=past)
    outcome = _or_doubt(lambda: take(late))
    assert not isinstance(outcome, _MOVED)
    nothing_moved(gateway, captures, late)


# -- Look-ups -----------------------------------------------------------------


def is_found(gateway: Gateway, take: Take, request: ChargeRequest) -> None:
    """Take money and look it up by the key."""
    outcome = take(request)
    wait_for_look_ups(gateway)
    assert gateway.lookup(request.key) == outcome


def is_not_hidden(
    gateway: Gateway, take: Take, request: ChargeRequest
) -> None:
    """Look up what was taken after something else under the same key."""
    outcome = _or_doubt(lambda: take(request))
    wait_for_look_ups(gateway)
    found = gateway.lookup(request.key)
    if isinstance(outcome, _MOVED):
        assert isinstance(found, Indeterminate) or found == outcome


def a_failed_look_up_finds_nothing_out(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    troubles: Sequence[Meanwhile | None],
) -> None:
    """Let look-ups fail; that they found nothing is not what they say."""
    known = _given_some(troubles, "answer_500 or busy")
    take(request)
    for fails in known:
        with fails():
            found = _or_doubt(lambda: gateway.lookup(request.key))
        assert isinstance(found, Indeterminate)


def a_look_up_that_lags_is_not_wrong(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    lag: Meanwhile | None,
) -> None:
    """Let look-ups lag: they may not know yet, and are right in the end."""
    with given(lag, "lag")():
        outcome = take(request)
        early = _or_doubt(lambda: gateway.lookup(request.key))
        assert isinstance(early, (NotFound, Indeterminate)) or early == outcome
    wait_for_look_ups(gateway)
    assert gateway.lookup(request.key) == outcome


def again_while_it_lags(
    take: Take,
    request: ChargeRequest,
    lag: Meanwhile | None,
    captures: Captures | None,
) -> None:
    """Take again what does not show yet; a look-up first is no safety."""
    with given(lag, "lag")():
        first = take(request)
        again = _or_doubt(lambda: take(request))
    assert isinstance(again, Indeterminate) or again == first
    moved_at_most_once(captures, request)


def a_reference_is_found_at_once(
    gateway: Gateway,
    request: ChargeRequest,
    outcome: ChargeOutcome,
    references: Sequence[str],
) -> None:
    """Look up by reference, which is asked of those only who have it."""
    if not gateway.capabilities.finds_references:
        return
    finds = cast("FindingGateway", gateway).lookup_reference
    for each in references:
        assert finds(each, request.key) == outcome
    assert finds(f"{references[0]}x", request.key) == NotFound()


# -- Declines, cancels, accounts ----------------------------------------------


def stays_declined(
    gateway: Gateway,
    request: ChargeRequest,
    take: Callable[[], ChargeOutcome],
    pay_after_all: Begin,
    captures: Captures | None,
) -> None:
    """Let somebody try to pay after all what was declined."""
    if not isinstance(_or_doubt(take), Declined):
        pytest.skip("it was not declined")
    _or_doubt(pay_after_all)
    nothing_moved(gateway, captures, request)
    assert not isinstance(gateway.lookup(request.key), _MOVED)


def is_called_off(
    gateway: Gateway,
    request: ChargeRequest,
    answer: CancelOutcome,
    take: Callable[[], ChargeOutcome],
    captures: Captures | None,
) -> None:
    """Send what was cancelled before it was sent."""
    if isinstance(answer, (Cancelled, Declined)):
        assert answer.key == request.key
        assert not isinstance(_or_doubt(take), _MOVED)
        nothing_moved(gateway, captures, request)


def a_cancel_does_not_deny(
    gateway: Gateway, outcome: ChargeOutcome, answer: CancelOutcome
) -> None:
    """Look at the cancel of what moved money before."""
    assert isinstance(outcome, _MOVED)
    # A debit under way may be called off; then it is, and a look-up agrees.
    if isinstance(outcome, Pending) and isinstance(answer, Cancelled):
        assert not isinstance(gateway.lookup(outcome.key), _MOVED)
        return
    assert isinstance(answer, Indeterminate) or answer == outcome


def a_race_with_a_cancel_has_one_winner(
    gateway: Gateway,
    request: ChargeRequest,
    reference: str | None,
    take: Callable[[], ChargeOutcome],
    captures: Captures | None,
) -> None:
    """Cancel while it is being sent: a request on its way is included."""

    def act(place: int) -> object:
        if place % 2:
            return cancel(gateway, request.key, reference)
        return take()

    if not gateway.capabilities.cancels:
        pytest.skip("it declares that it cannot cancel")
    answers = at_once(RACERS, act)
    if any(isinstance(each, Cancelled) for each in answers):
        assert not any(isinstance(each, Captured) for each in answers)
        nothing_moved(gateway, captures, request)


def calls_do_not_mix(take: Take, request: ChargeRequest) -> None:
    """Charge many requests at one moment; each gets its own answer."""
    requests = [
        attrs.evolve(
            under(request, place),
            amount=attrs.evolve(
                request.amount,
                amount_minor=request.amount.amount_minor + place,
            ),
        )
        for place in range(RACERS)
    ]
    answers = at_once(RACERS, lambda place: take(requests[place]))

    for asked, answer in zip(requests, answers, strict=True):
        if isinstance(answer, PortUnavailableError):
            continue  # Nothing happened; a sandbox has its limits.
        assert isinstance(answer, (Captured, Pending)), answer
        assert (answer.key, answer.amount) == (asked.key, asked.amount)


def names_its_account(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    declined: ChargeRequest,
) -> None:
    """Look whether outcomes and look-ups say whose they are."""
    mine = gateway.capabilities.account
    if not mine:
        pytest.skip("its capabilities name no account")
    outcomes = [
        _or_doubt(lambda asked=each: take(asked))  # type: ignore[misc]
        for each in (request, under(declined, 1))
    ]
    wait_for_look_ups(gateway)
    for each in *outcomes, gateway.lookup(request.key):
        if isinstance(each, (*_MOVED, Declined)):
            assert each.account == mine


def tells_of_no_other_account(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    other_account: Callable[[], Gateway] | None,
) -> None:
    """Ask one account for what another was asked to take."""
    if not gateway.capabilities.account:
        pytest.skip("its capabilities name no account")
    other = given(other_account, "other_account")()
    assert isinstance(take(request), _MOVED)
    wait_for_look_ups(other)
    found = _or_doubt(lambda: other.lookup(request.key))
    assert isinstance(found, (NotFound, Indeterminate))


def no_reference_comes_twice(
    gateway: Gateway, take: Take, request: ChargeRequest
) -> None:
    """Take several payments that are alike but for their keys."""
    if not gateway.capabilities.unique_references:
        pytest.skip("it declares that references come again")
    references: list[str] = []
    for place in range(5):
        outcome = take(under(request, place))
        assert isinstance(outcome, _MOVED)
        references.append(outcome.reference)
    assert len(set(references)) == len(references)


# -- States, units, types -----------------------------------------------------


def is_pending_until_settled(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    settle: Callable[[str], None] | None,
    captures: Captures | None,
) -> None:
    """Take a payment that needs days, and let it succeed."""
    outcome = take(request)
    assert isinstance(outcome, Pending), "nothing was captured yet"
    wait_for_look_ups(gateway)
    assert not isinstance(gateway.lookup(request.key), (Captured, Declined))
    if captures is not None:
        assert captures(request.key) == 0
    given(settle, "settle")(request.key)
    found = gateway.lookup(request.key)
    assert isinstance(found, Captured)
    assert found.amount == request.amount
    if captures is not None:
        assert captures(request.key) == 1


def is_declined_when_it_fails_later(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    fail_later: Callable[[str], None] | None,
) -> None:
    """Take a payment that needs days, and let it fail."""
    fail = given(fail_later, "fail_later")
    assert isinstance(take(request), Pending)
    fail(request.key)
    wait_for_look_ups(gateway)
    assert isinstance(gateway.lookup(request.key), Declined)


def waits_for_the_payer(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    settle: Callable[[str], None] | None,
    captures: Captures | None,
) -> None:
    """Take a payment that the payer has to approve, and approve it."""
    outcome = take(request)
    assert isinstance(outcome, NeedsPayer), "nobody has approved it"
    assert (outcome.key, outcome.amount) == (request.key, request.amount)
    wait_for_look_ups(gateway)
    found = gateway.lookup(request.key)
    assert isinstance(found, NeedsPayer)
    assert found.reference == outcome.reference
    if captures is not None:
        assert captures(request.key) == 0
    given(settle, "settle")(request.key)
    assert isinstance(gateway.lookup(request.key), Captured)
    if captures is not None:
        assert captures(request.key) == 1


def is_called_off_for_the_payer(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    settle: Callable[[str], None] | None,
    captures: Captures | None,
) -> None:
    """Call off what waits for the payer, who approves it all the same."""
    outcome = take(request)
    assert isinstance(outcome, NeedsPayer), "nobody has approved it"
    answer = cancel(gateway, request.key, outcome.reference)
    assert isinstance(answer, (Cancelled, Declined)), f"it was {answer!r}"
    assert answer.key == request.key
    approve = given(settle, "settle")
    with contextlib.suppress(AutopayError):
        approve(request.key)
    wait_for_look_ups(gateway)
    assert not isinstance(gateway.lookup(request.key), _MOVED)
    nothing_moved(gateway, captures, request)


def a_strange_state_is_a_doubt(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    strange: Meanwhile | None,
) -> None:
    """Let a payment be in a state that is in no documentation."""
    with given(strange, "strange")():
        must_be_a_doubt(take, request)
        found = _or_doubt(lambda: gateway.lookup(request.key))
        assert isinstance(found, Indeterminate)


def says_what_is_on_record(take: Take, request: ChargeRequest) -> None:
    """Compare an outcome with what was asked."""
    outcome = take(request)
    assert isinstance(outcome, _MOVED)
    assert outcome.key == request.key
    assert outcome.amount == request.amount
    assert outcome.reference
    # Of another request it is never an answer; empty says nothing (R2).
    assert outcome.request in {"", request.request_hash}


def takes_what_was_asked(
    take: Take,
    request: ChargeRequest,
    amounts: Sequence[Money],
    taken: Look | None,
    settle: Callable[[str], None] | None,
) -> None:
    """Compare the company's books with what was asked, in each currency."""
    look = given(taken, "taken")
    assert amounts, "there is no amount that the gateway takes"
    for place, amount in enumerate(amounts):
        asked = attrs.evolve(under(request, place), amount=amount)
        outcome = take(asked)
        assert isinstance(outcome, _MOVED)
        assert outcome.amount == amount
        if isinstance(outcome, Pending):
            given(settle, "settle")(asked.key)
        found = [each.sum for each in look(asked.key)]
        whole = 10 ** MINOR_DIGITS[amount.currency]
        assert found == [
            (Fraction(amount.amount_minor, whole), amount.currency)
        ]


def goes_where_it_was_sent(
    take: Take,
    request: ChargeRequest,
    other: DepositAccount | None,
    taken: Look | None,
    settle: Callable[[str], None] | None,
) -> None:
    """Pay into two deposit accounts, and look where it went."""
    elsewhere = attrs.evolve(
        under(request, 1),
        deposit_account=given(other, "other_deposit_account"),
    )
    look = given(taken, "taken")
    for asked in request, elsewhere:
        if isinstance(take(asked), Pending):
            given(settle, "settle")(asked.key)
        assert [each.account for each in look(asked.key)] == [
            asked.deposit_account.id
        ]


_FIELDS: Final = {"amount": Money, "key": str, "reference": str, "code": str}
_ANSWERS: Final = (Captured, Pending, NeedsPayer, Declined, Indeterminate)


def is_plain(answer: object, *kinds: type) -> None:
    """Look whether an answer is of exactly one of these classes (E2)."""
    assert type(answer) in kinds, f"{type(answer).__name__} is none of them"
    for name, kind in _FIELDS.items():
        if hasattr(answer, name):
            assert type(getattr(answer, name)) is kind


def answers_are_plain(
    gateway: Gateway,
    take: Take,
    request: ChargeRequest,
    declined: ChargeRequest,
) -> None:
    """Ask for everything that is answered with a value."""
    asks: list[Callable[[], object]] = [
        lambda: take(request),
        lambda: take(under(declined, 1)),
        lambda: gateway.lookup(request.key),
        lambda: gateway.lookup(under(request, 2).key),
    ]
    if gateway.capabilities.cancels:
        asks.append(lambda: cancel(gateway, request.key))
        asks.append(lambda: cancel(gateway, under(request, 3).key))
    for ask in asks:
        _is_plain_or_a_port_error(ask)


def raises_port_errors_only(
    gateway: Gateway,
    request: ChargeRequest,
    troubles: Sequence[Meanwhile | None],
    *getting_ready: Callable[[ChargeRequest], Callable[[], object]],
) -> None:
    """
    Ask in every trouble that was given; nothing of a driver escapes.

    What gets ready does so before the trouble, and is asked in it.
    """
    for place, trouble in enumerate(
        _given_some(troubles, "offline, answer_500 or busy")
    ):
        asked = under(request, place)
        asks = [ready(asked) for ready in getting_ready]
        asks.append(partial(gateway.lookup, asked.key))
        if gateway.capabilities.cancels:
            asks.append(partial(cancel, gateway, asked.key))
        for ask in asks:
            with trouble():
                _is_plain_or_a_port_error(ask)


def _is_plain_or_a_port_error(ask: Callable[[], object]) -> None:
    try:
        answer = ask()
    except PortError:
        return
    # `str` is a reference.
    is_plain(answer, *_ANSWERS, Cancelled, NotFound, str)


def _given_some(
    troubles: Sequence[Meanwhile | None], names: str
) -> list[Meanwhile]:
    known = [each for each in troubles if each is not None]
    return known or given(None, names)


def two_payments_are_not_one(
    first: ChargeOutcome, second: ChargeOutcome, found: LookupOutcome
) -> None:
    """Look at the answer for a key under which two payments stand."""
    if not isinstance(first, _MOVED) or not isinstance(second, _MOVED):
        return
    if first.reference == second.reference:
        return  # It took the money once, which is better still.
    assert isinstance(found, Indeterminate), "one of two is not the answer"
