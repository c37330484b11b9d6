"""What the ports in memory offer beyond their clauses: faults on demand."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from autopay_core.adapters.memory import (
    Fault,
    MemoryGateway,
    MemoryMatterData,
    MemoryPostingStore,
    MemoryTwoStepGateway,
    memory_ports,
    system_clock,
)
from autopay_core.associations import associate
from autopay_core.calls import advance_postings, run
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.commits import Change
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.invoices import SearchBy, SearchQuery, SearchResult
from autopay_core.money import Money
from autopay_core.postings import PostingStatus
from autopay_core.references import DepositAccount, RunKey
from worlds import (
    BANK,
    CARD,
    DAY,
    Clock,
    World,
    bill,
    posting,
    standing_order,
    to_client,
    usd,
)

REQUEST = ChargeRequest(
    key="key-1",
    method=CARD,
    amount=usd("10.00"),
    deposit_account=DepositAccount(id="operating-1"),
)


def test_ports_in_memory_are_ready_for_a_notebook() -> None:
    ports = memory_ports([bill("INV-1", "9.00")])

    assert run(standing_order(), on=DAY, ports=ports).charged == usd("9.00")
    assert system_clock().tzinfo is UTC


# -- Matter data -------------------------------------------------------------


def test_an_invoice_can_be_put_replaced_read_and_removed() -> None:
    matters = MemoryMatterData([bill("INV-1", "9.00")])
    matters.put(bill("INV-2", "5.00"))
    matters.put(bill("INV-1", "7.00", client="C-2"))
    matters.remove("INV-2")
    matters.remove("nobody")

    assert matters.all() == (bill("INV-1", "7.00", client="C-2"),)
    assert matters.get("INV-1") == bill("INV-1", "7.00", client="C-2")
    assert matters.get("INV-2") is None


def test_the_ledger_shows_a_posting_when_it_is_applied() -> None:
    matters = MemoryMatterData([bill("INV-1", "9.00")])

    matters.apply(posting(amount=usd("4.00")))
    matters.apply(posting(amount=usd("-1.00"), reverses="p-1"))

    assert matters.get("INV-1") == bill("INV-1", "6.00")


def test_a6_staff_search_tick_and_associate() -> None:
    matters = MemoryMatterData(
        [bill("INV-1", "9.00")],
        directory=[SearchResult(client="C-1", client_name="Acme")],
        page_size=1,
    )

    found = matters.search(SearchQuery(by=SearchBy.CLIENT_NAME, text="acm"))

    [result] = found.results
    assert result.client_name == "Acme"
    assert associate("p1", result) == to_client()


def test_a6_a_search_goes_on_over_pages() -> None:
    matters = MemoryMatterData(
        directory=[
            SearchResult(client=f"C-{n}", client_name="Acme") for n in range(5)
        ],
        page_size=2,
    )
    query = SearchQuery(by=SearchBy.CLIENT_NAME, text="acme")
    clients: list[str] = []
    page: str | None = ""
    while page is not None:
        found = matters.search(attrs.evolve(query, page=page or None))
        clients += [str(each.client) for each in found.results]
        page = found.next_page

    assert clients == [f"C-{n}" for n in reversed(range(5))]


# -- Gateways ----------------------------------------------------------------


def test_a_script_is_done_once_for_each_request() -> None:
    gateway = MemoryGateway()
    gateway.script(Fault.LOSE_REQUEST, Fault.LOSE_ANSWER)

    assert isinstance(gateway.charge(REQUEST), Indeterminate)
    assert gateway.captured == []
    assert isinstance(gateway.charge(REQUEST), Indeterminate)
    assert len(gateway.captured) == 1
    assert isinstance(gateway.charge(REQUEST), Captured)
    assert len(gateway.captured) == 1


def test_a_token_is_declined_until_it_is_accepted() -> None:
    gateway = MemoryGateway()
    gateway.decline(CARD.token, "41", DeclineClass.NEVER, "Lost.")

    declined = gateway.charge(REQUEST)
    gateway.accept(CARD.token)
    gateway.accept(CARD.token)
    accepted = gateway.charge(attrs.evolve(REQUEST, key="key-2"))

    assert declined == Declined(
        key="key-1",
        code="41",
        decline_class=DeclineClass.NEVER,
        message="Lost.",
    )
    assert isinstance(accepted, Captured)


def test_a_key_that_is_forgotten_may_be_charged_again() -> None:
    gateway = MemoryGateway()
    gateway.charge(REQUEST)
    gateway.forget("key-1")
    gateway.forget("nobody")

    assert gateway.lookup("key-1") == NotFound()
    gateway.charge(REQUEST)

    assert len(gateway.captured) == 2


def test_look_ups_may_lag_until_they_are_let_show() -> None:
    gateway = MemoryGateway()
    gateway.hides_new_requests = True
    outcome = gateway.charge(REQUEST)
    assert gateway.lookup("key-1") == NotFound()

    gateway.reveal()

    assert gateway.lookup("key-1") == outcome


@pytest.mark.parametrize("form", [MemoryGateway, MemoryTwoStepGateway])
def test_a_late_request_arrives_when_it_is_flushed(
    form: type[MemoryGateway | MemoryTwoStepGateway],
) -> None:
    world = World(bill("INV-1", "9.00"), two_step=form is MemoryTwoStepGateway)
    world.gateway.script(Fault.ANSWER_LATE)
    world.run(standing_order())
    assert world.taken == []

    assert world.gateway.flush() == 1
    assert world.gateway.flush() == 0
    assert world.taken == [usd("9.00")]


def test_a_request_that_is_later_than_its_deadline_takes_nothing() -> None:
    clock = Clock()
    gateway = MemoryGateway(clock=clock)
    gateway.script(Fault.ANSWER_LATE)
    gateway.charge(attrs.evolve(REQUEST, not_after=clock.at))
    clock.advance(seconds=1)

    assert gateway.flush() == 0
    late = attrs.evolve(REQUEST, not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(PortUnavailableError):
        gateway.charge(late)


def test_a_bank_debit_is_under_way_until_it_settles_or_fails() -> None:
    gateway = MemoryGateway(bank_debits_pend=True)
    request = attrs.evolve(REQUEST, method=BANK)
    assert isinstance(gateway.charge(request), Pending)
    gateway.settle("key-1")
    assert isinstance(gateway.lookup("key-1"), Captured)
    other = attrs.evolve(request, key="key-2")
    gateway.charge(other)
    gateway.fail("key-2", "R09")

    assert gateway.lookup("key-2") == Declined(
        key="key-2",
        code="R09",
        decline_class=DeclineClass.LATER,
        message="The debit was returned.",
    )
    with pytest.raises(InvalidValueError, match="NotPending"):
        gateway.settle("key-2")


def test_a_fault_of_the_amount_leaves_a_decline_as_it_is() -> None:
    gateway = MemoryGateway()
    gateway.decline(CARD.token)
    gateway.script(Fault.WRONG_AMOUNT)

    assert isinstance(gateway.charge(REQUEST), Indeterminate)


def test_r2_another_request_under_a_key_is_refused() -> None:
    one_step, two_step = MemoryGateway(), MemoryTwoStepGateway()
    more = attrs.evolve(REQUEST, amount=usd("11.00"))
    one_step.charge(REQUEST)
    reference = two_step.prepare(REQUEST)
    assert isinstance(reference, str)

    with pytest.raises(PortError, match="another request"):
        one_step.charge(more)
    with pytest.raises(PortError, match="another request"):
        two_step.confirm(reference, more)


# -- Posting store -----------------------------------------------------------


def test_runs_and_notices_can_be_looked_at() -> None:
    world = World(bill("INV-1", "9.00"))
    world.run(standing_order(id="ap-2"))
    world.run(standing_order(id="ap-1"))

    assert [each.key.autopay for each in world.store.runs()] == [
        "ap-1",
        "ap-2",
    ]
    # That nothing is due is told only if the order says so (N2).
    assert [each.autopay for each in world.store.notices()] == ["ap-2"]


def test_r4_a_clock_that_is_a_little_behind_is_not_suspect() -> None:
    clock = Clock()
    store = MemoryPostingStore(clock=clock)
    key = RunKey(autopay="ap-1", nominal_on=DAY)
    clock.advance(minutes=-5)
    assert not store.standing(key, "").is_clock_suspect
    clock.advance(seconds=-1)

    assert store.standing(key, "").is_clock_suspect


def test_a_posting_that_is_removed_frees_its_amount() -> None:
    world = World(bill("INV-1", "9.00"))
    world.run(standing_order())
    moved = advance_postings(
        world.postings(),
        PostingStatus.REMOVED,
        ports=world.ports,
        by="Ann",
        note="paid by cheque",
    )

    assert moved is not None
    assert world.reserved() == {}


def test_an_empty_change_changes_nothing() -> None:
    store = MemoryPostingStore()

    store.commit(Change())

    assert store.runs() == ()
    assert store.notices() == ()


def test_ps_1_an_invoice_open_in_two_currencies_is_refused_whole() -> None:
    world = World(bill("INV-1", "9.00"))
    world.run(standing_order())
    [dollars] = world.postings()
    euros = [
        attrs.evolve(dollars, id=f"p-{number}", invoice=number, amount=amount)
        for number, amount in (
            ("INV-2", Money.of("1.00", "EUR")),
            ("INV-1", Money.of("1.00", "EUR")),
        )
    ]

    with pytest.raises(CurrencyMismatchError):
        world.store.commit(Change(postings=tuple(euros)))

    assert world.postings() == (dollars,)
    assert world.reserved() == {"INV-1": dollars.amount}
