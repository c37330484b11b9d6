"""The second edition of the gateways in memory: cancel, find, name, refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryTwoStepGateway,
)
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.money import Money
from autopay_core.runs import RunStatus
from worlds import CARD, Clock, World, bill, standing_order, usd

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject

REQUEST = ChargeRequest(
    key="key-1",
    method=CARD,
    amount=usd("10"),
    deposit_account=standing_order().deposit_account,
)
FORMS = pytest.mark.parametrize("form", [MemoryGateway, MemoryTwoStepGateway])


def take(gateway: Any, request: ChargeRequest = REQUEST) -> Any:
    """Take money in whichever form."""
    if isinstance(gateway, MemoryTwoStepGateway):
        reference = gateway.prepare(request)
        assert isinstance(reference, str)
        return gateway.confirm(reference, request)
    return gateway.charge(request)


# -- What is declared --------------------------------------------------------


@FORMS
def test_a_gateway_is_of_the_first_edition_unless_it_is_told(
    form: Callable[..., Any],
) -> None:
    first, second = form(), form(account="a-1", cancels=True)

    assert first.capabilities == GatewayCapabilities(
        two_step=form is MemoryTwoStepGateway,
        lookup_settle_seconds=0,
        honours_deadline=True,
    )
    assert second.capabilities == attrs.evolve(
        first.capabilities, account="a-1", cancels=True
    )
    assert form(finds_references=True).capabilities.finds_references


@FORMS
def test_what_capabilities_declare_stands(form: Callable[..., Any]) -> None:
    declared = GatewayCapabilities(
        two_step=form is MemoryTwoStepGateway,
        account="a-1",
        cancels=True,
        finds_references=True,
    )

    assert form(capabilities=declared).capabilities == declared


@FORMS
def test_an_outcome_names_account_and_request(
    form: Callable[..., Any],
) -> None:
    gateway = form(account="a-1", bank_debits_pend=True)
    gateway.decline("tok_declined_1")
    declined = attrs.evolve(CARD, token="tok_declined_1")

    outcomes = [
        take(gateway, attrs.evolve(REQUEST, key=f"key-{place}", method=method))
        for place, method in enumerate((CARD, declined))
    ]

    assert {each.account for each in outcomes} == {"a-1"}
    assert (
        outcomes[0].request == attrs.evolve(REQUEST, key="key-0").request_hash
    )


# -- Accounts, references, two payments --------------------------------------


@FORMS
def test_pg_12_another_account_knows_nothing_of_it(
    form: Callable[..., Any],
) -> None:
    gateway = form(account="a-1", finds_references=True)
    outcome = take(gateway)
    other = gateway.at_account("a-2")

    assert gateway.lookup("key-1") == outcome
    assert other.lookup("key-1") == NotFound()
    assert other.lookup_reference(outcome.reference, "key-1") == NotFound()
    assert other.capabilities.account == "a-2"
    # Both are the same company's.
    assert other.captured == gateway.captured == [outcome]


def test_a_reference_is_found_before_look_ups_show_it() -> None:
    gateway = MemoryTwoStepGateway()
    gateway.hides_new_requests = True
    reference = gateway.prepare(REQUEST)
    assert isinstance(reference, str)
    assert gateway.lookup_reference(reference, "key-1") == NotFound()

    outcome = gateway.confirm(reference, REQUEST)

    assert isinstance(outcome, Captured)
    assert gateway.lookup("key-1") == NotFound()
    assert gateway.lookup_reference(reference, "key-1") == outcome
    assert gateway.lookup_reference(outcome.reference, "key-1") == outcome


def test_of_two_payments_under_a_key_neither_is_the_answer() -> None:
    gateway = MemoryTwoStepGateway()
    gateway.decline(CARD.token)
    declined = take(gateway)
    assert gateway.lookup("key-1") == declined
    gateway.accept(CARD.token)

    first = take(gateway)
    alone = gateway.lookup("key-1")
    take(gateway)

    assert alone == first
    assert gateway.lookup("key-1") == Indeterminate(
        detail="two payments stand under the key"
    )
    assert isinstance(gateway.cancel("key-1", None), Indeterminate)


# -- Cancels -----------------------------------------------------------------


@FORMS
def test_pg_11_a_request_on_its_way_is_called_off(
    form: Callable[..., Any],
) -> None:
    gateway = form(cancels=True)
    gateway.script(Fault.ANSWER_LATE)
    assert isinstance(take(gateway), Indeterminate)

    assert gateway.cancel("key-1", None) == Cancelled(key="key-1")
    assert gateway.cancel("key-1", None) == Cancelled(key="key-1")

    assert gateway.flush() == 0
    with pytest.raises(PortUnavailableError) as caught:
        take(gateway)
    assert caught.value.code == "KeyCancelled"
    assert gateway.captured == []


@FORMS
def test_pg_11_what_moved_is_told_also_at_another_account(
    form: Callable[..., Any],
) -> None:
    gateway = form(account="a-1", cancels=True)
    gateway.hides_new_requests = True
    outcome = take(gateway)

    assert gateway.cancel("key-1", None) == outcome
    assert gateway.at_account("a-2").cancel("key-1", None) == outcome


# -- Refusals and trouble ----------------------------------------------------


def test_ts_9_a_refusal_to_prepare_is_told_once() -> None:
    gateway = MemoryTwoStepGateway(account="a-1")
    gateway.script(Fault.REFUSE, Fault.UNPREPARED)

    refused = gateway.prepare(REQUEST)
    with pytest.raises(PortUnavailableError):
        gateway.prepare(REQUEST)
    reference = gateway.prepare(REQUEST)

    assert refused == Declined(
        key="key-1",
        code="refused",
        decline_class=DeclineClass.NEVER,
        message="The payment method cannot be used.",
        account="a-1",
    )
    assert reference == "ref-000001"


def test_a_refusal_in_one_step_stands_under_its_key() -> None:
    gateway = MemoryGateway()
    gateway.script(Fault.REFUSE)

    refused = gateway.charge(REQUEST)

    assert isinstance(refused, Declined)
    assert gateway.charge(REQUEST) == refused
    assert gateway.lookup("key-1") == refused


def test_a_refusal_ends_the_run_and_holds_the_method() -> None:
    world = World(bill("INV-1", "9.00"), two_step=True)
    world.gateway.script(Fault.REFUSE)

    result = world.run(standing_order())

    assert result.status is RunStatus.FAILED
    assert world.taken == []


@FORMS
def test_trouble_comes_at_every_call_until_it_is_over(
    form: Callable[..., Any],
) -> None:
    gateway = form(cancels=True, finds_references=True)
    asks: list[Callable[[], Any]] = [
        lambda: gateway.lookup("key-1"),
        lambda: gateway.lookup_reference("ref-000001", "key-1"),
        lambda: gateway.cancel("key-1", None),
    ]
    every: list[Callable[[], Any]] = [*asks, lambda: take(gateway)]

    for fault, code, wait in (
        (Fault.BUSY, "Busy", 30),
        (Fault.UNAVAILABLE, "PortUnavailable", None),
    ):
        gateway.trouble = fault
        for ask in every:
            with pytest.raises(PortUnavailableError) as caught:
                ask()
            assert caught.value.code == code
            assert caught.value.retry_after == wait
    for fault in (Fault.ERROR_500, Fault.STRANGE):
        gateway.trouble = fault
        assert [type(ask()) for ask in asks] == [Indeterminate] * 3
    gateway.trouble = None
    assert gateway.lookup("key-1") == NotFound()


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.STRANGE])
@FORMS
def test_in_doubt_the_money_was_taken(
    form: Callable[..., Any], fault: Fault
) -> None:
    gateway = form()
    gateway.trouble = fault

    assert isinstance(take(gateway), Indeterminate)

    gateway.trouble = None
    assert gateway.lookup("key-1") == gateway.captured[0]


def test_a_busy_gateway_says_when_it_is_worth_asking_again() -> None:
    gateway = MemoryGateway()
    gateway.script(Fault.BUSY)

    with pytest.raises(PortUnavailableError) as caught:
        gateway.charge(REQUEST)

    assert caught.value.retry_after == 30
    assert isinstance(gateway.charge(REQUEST), Captured)


def test_a_decline_may_say_when_another_try_is_welcome() -> None:
    gateway, later = MemoryGateway(), datetime(2026, 2, 3, tzinfo=UTC)
    gateway.decline(CARD.token, not_before=later)

    declined = gateway.charge(REQUEST)

    assert isinstance(declined, Declined)
    assert declined.not_before == later


def test_a_reference_that_nobody_made_is_refused() -> None:
    with pytest.raises(PortError, match="no such reference"):
        MemoryTwoStepGateway().confirm("ref-1", REQUEST)


# -- Any order of calls ------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """
    What holds whatever is called in whichever order, in two steps.

    References are used once, what was cancelled or declined takes nothing,
    and what was told stays true.
    """

    references = Bundle("references")
    keys = st.sampled_from(["key-1", "key-2", "key-3"])
    faults = st.sampled_from(
        [
            Fault.LOSE_REQUEST,
            Fault.LOSE_ANSWER,
            Fault.ANSWER_LATE,
            Fault.PEND,
            Fault.BUSY,
            Fault.REFUSE,
        ]
    )

    def __init__(self) -> None:
        super().__init__()
        self.gateway = MemoryTwoStepGateway(
            clock=Clock(), cancels=True, finds_references=True
        )
        self.cancelled: set[str] = set()
        self.declined: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.gateway.decline("tok_declined_1")

    @rule(
        target=references, key=keys, minor=st.integers(1, 3), bad=st.booleans()
    )
    def prepare(self, key: str, minor: int, *, bad: bool) -> Any:
        method = attrs.evolve(CARD, token="tok_declined_1") if bad else CARD
        request = attrs.evolve(
            REQUEST,
            key=key,
            method=method,
            amount=Money(amount_minor=minor, currency="USD"),
        )
        try:
            answer = self.gateway.prepare(request)
        except PortUnavailableError:
            return None
        return (answer, request) if isinstance(answer, str) else None

    @rule(known=references)
    def confirm(self, known: Any) -> None:
        if known is None:
            return
        reference, request = known
        before = self.gateway.lookup_reference(reference, request.key)
        try:
            outcome = self.gateway.confirm(reference, request)
        except PortUnavailableError:
            return
        if isinstance(outcome, Indeterminate):
            return
        if not isinstance(before, NotFound):
            assert outcome == before
        if isinstance(outcome, Declined):
            self.declined.add(reference)
        else:
            assert outcome.amount == request.amount
            assert request.key not in self.cancelled
            assert reference not in self.declined

    @rule(fault=faults)
    def script(self, fault: Fault) -> None:
        self.gateway.script(fault)

    @rule(key=keys)
    def cancel(self, key: str) -> None:
        taken = [each for each in self.gateway.captured if each.key == key]
        answer = self.gateway.cancel(key, None)
        if isinstance(answer, Cancelled):
            assert not taken
            self.cancelled.add(key)
        elif len(taken) == 1 and isinstance(answer, Captured):
            assert answer == taken[0]

    @rule()
    def flush(self) -> None:
        self.gateway.flush()

    @rule(key=keys, data=st.data())
    def settle_or_fail(self, key: str, data: DataObject) -> None:
        if isinstance(self.gateway.lookup(key), Pending):
            end = data.draw(
                st.sampled_from([self.gateway.settle, self.gateway.fail])
            )
            end(key)

    @invariant()
    def nothing_is_taken_that_was_called_off(self) -> None:
        taken = [each.key for each in self.gateway.captured]
        assert not self.cancelled & set(taken)

    @invariant()
    def a_look_up_tells_what_is_in_the_books(self) -> None:
        for key in ("key-1", "key-2", "key-3"):
            taken = [e for e in self.gateway.captured if e.key == key]
            found = self.gateway.lookup(key)
            if len(taken) > 1:
                assert isinstance(found, Indeterminate)
            elif taken and isinstance(found, Captured):
                assert found == taken[0]
            elif taken:
                # Another debit under the key is still under way.
                assert isinstance(found, Indeterminate)


TestAnyOrder = AnyOrder.TestCase
