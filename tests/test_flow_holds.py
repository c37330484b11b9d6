"""What is held waits, or gets nothing: rules H1 to H3."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.allocation import Reason
from autopay_core.associations import InvoicePage, InvoiceQuery
from autopay_core.calls import (
    hold,
    lift,
    lift_all,
    list_holds,
    preview,
    reverse,
)
from autopay_core.charges import DeclineClass
from autopay_core.errors import InvalidValueError
from autopay_core.holds import (
    ACCOUNT_CLOSED,
    DISPUTE,
    NEVER_ANSWER,
    REFUND,
    UNAUTHORIZED,
    Hold,
)
from autopay_core.notices import NoticeKind
from autopay_core.policy import Policy
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.runs import RunState, RunStatus
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    KEY,
    World,
    bill,
    lines_of,
    rig,
    standing_order,
    to_client,
    usd,
)

WORD: dict[str, Any] = {"by": "Ann", "reason": "in mediation"}
LIFTED: dict[str, Any] = {"by": "Bob", "reason": "settled"}
OTHER_CARD = attrs.evolve(CARD, token="tok_card_0002")

RUN_HOLDS = [
    Hold.on_store(**WORD),
    Hold.on_payer("p1", **WORD),
    Hold.on_method(CARD.fingerprint, **WORD),
    Hold.on_autopay("ap-1", **WORD),
]
LINE_HOLDS = [
    Hold.on_client("C-1", **WORD),
    Hold.on_matter("C-1", "M-1", **WORD),
    Hold.on_invoice("INV-1", **WORD),
]
OTHERS = [
    Hold.on_payer("p2", **WORD),
    Hold.on_method(OTHER_CARD.fingerprint, **WORD),
    Hold.on_autopay("ap-2", **WORD),
    Hold.on_client("C-2", **WORD),
    Hold.on_matter("C-2", "M-1", **WORD),
    Hold.on_invoice("INV-2", **WORD),
]


def _ids(holds: list[Hold]) -> list[str]:
    return [each.level.value for each in holds]


# -- H1: what it blocks -------------------------------------------------------


@pytest.mark.parametrize("made", RUN_HOLDS, ids=_ids(RUN_HOLDS))
def test_h1_a_hold_makes_the_run_wait_until_it_is_lifted(made: Hold) -> None:
    world = World(bill("INV-1", "120.00"))
    hold(made, ports=world.ports)

    waiting = world.run(standing_order())
    assert (waiting.status, waiting.reason) == (RunStatus.WAITING, "Held")
    assert "in mediation" in waiting.detail
    assert made.releases in waiting.detail
    assert world.run(standing_order()) == waiting
    assert world.record.version == 1
    assert world.taken == []
    lift(made, **LIFTED, ports=world.ports)

    assert world.run(standing_order()).charged == usd("120.00")


@pytest.mark.parametrize("made", LINE_HOLDS, ids=_ids(LINE_HOLDS))
def test_h1_a_hold_on_what_is_owed_is_its_lines_reason_and_no_others(
    made: Hold,
) -> None:
    world = World(
        bill("INV-1", "120.00"),
        bill("INV-2", "50.00", client="C-2", matter="M-2"),
    )
    order = standing_order(enrollments=(to_client(), to_client("C-2")))
    hold(made, ports=world.ports)
    foreseen = preview(order, on=DAY, ports=world.ports)

    result = world.run(order)

    assert {
        line.invoice.number: (line.amount, line.reason)
        for line in lines_of(result)
    } == {
        "INV-1": (usd("0"), Reason.ON_HOLD),
        "INV-2": (usd("50"), Reason.PAID),
    }
    assert foreseen == result.allocation
    assert world.taken == [usd("50.00")]
    lift(made, **LIFTED, ports=world.ports)
    after = world.run(order, on=FEBRUARY)
    assert after.charged == usd("120.00")


@pytest.mark.parametrize("made", OTHERS, ids=_ids(OTHERS))
def test_h1_a_hold_on_something_else_blocks_nothing(made: Hold) -> None:
    world = World(bill("INV-1", "120.00"))
    hold(made, ports=world.ports)

    assert world.run(standing_order()).status is RunStatus.PAID


@pytest.mark.parametrize(
    "made", RUN_HOLDS + LINE_HOLDS, ids=_ids(RUN_HOLDS + LINE_HOLDS)
)
def test_h1_a_hold_that_comes_between_planning_and_intent_is_kept(
    made: Hold,
) -> None:
    world = World(bill("INV-1", "120.00"))
    read = world.matters.open_invoices

    def held_meanwhile(query: InvoiceQuery) -> InvoicePage:
        page = read(query)
        rig(world.matters, open_invoices=read)
        hold(made, ports=world.ports)
        return page

    rig(world.matters, open_invoices=held_meanwhile)

    result = world.run(standing_order())

    assert result.status is not RunStatus.PAID
    assert world.taken == []
    assert world.reserved() == {}


def test_h1_a_hold_on_the_part_of_an_invoice_keeps_that_part_back() -> None:
    world = World(bill("INV-1", "120.00"))
    held = attrs.evolve(Hold.on_invoice("INV-1", **WORD), amount=usd("20.00"))
    hold(held, ports=world.ports)

    assert world.run(standing_order()).charged == usd("100.00")


def test_h1_what_was_sent_before_the_hold_is_followed_to_its_end() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.script(Fault.LOSE_ANSWER)
    world.run(standing_order())
    hold(Hold.on_store(**WORD), ports=world.ports)
    world.clock.advance(minutes=2)

    world.sweep(standing_order())

    assert world.record.state is RunState.PAID
    assert len(world.postings()) == 1


def test_h1_a_date_that_waits_for_a_hold_is_given_up_at_the_next_one() -> None:
    """Not collected twice when the hold goes (R10)."""
    world = World(bill("INV-1", "120.00"))
    made = Hold.on_autopay("ap-1", **WORD)
    hold(made, ports=world.ports)
    world.sweep(standing_order())
    lift(made, **LIFTED, ports=world.ports)
    world.matters.put(bill("INV-1", "300.00"))

    results = world.sweep(standing_order(), as_of=FEBRUARY)

    assert [(each.status, each.reason) for each in results] == [
        (RunStatus.FAILED, "Overtaken"),
        (RunStatus.PAID, ""),
    ]
    assert world.taken == [usd("300.00")]


# -- H2: rules make holds -----------------------------------------------------


@pytest.mark.parametrize(
    ("decline_class", "rules"),
    [
        (DeclineClass.NEVER, [NEVER_ANSWER]),
        (DeclineClass.FIX_FIRST, []),
        (DeclineClass.LATER, []),
        (DeclineClass.UNKNOWN, []),
    ],
)
def test_h2_a_never_answer_holds_the_method(
    decline_class: DeclineClass, rules: list[str]
) -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=decline_class)

    world.run(standing_order())

    held = list_holds(ports=world.ports)
    assert [each.rule for each in held] == rules
    for each in held:
        assert each.target == f"method:{CARD.fingerprint}"
        assert each.cause == world.record.attempts[0].key


def test_h2_a_held_method_stops_later_dates_and_other_auto_pays() -> None:
    world = World(
        bill("INV-1", "120.00"), bill("INV-2", "50.00", client="C-2")
    )
    world.gateway.decline(CARD.token, decline_class=DeclineClass.NEVER)
    order = standing_order()
    other = standing_order(id="ap-2", enrollments=(to_client("C-2"),))
    world.run(order)
    world.gateway.accept(CARD.token)

    results = [
        *world.sweep(other),
        *world.sweep(order, other, as_of=FEBRUARY),
    ]

    assert world.taken == []
    held = [each for each in results if each.status is RunStatus.WAITING]
    assert {each.reason for each in held} == {"Held"}
    assert {each.kind for each in world.notifier.sent} == {NoticeKind.FAILED}


def test_h2_another_method_is_not_held_and_is_charged() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token, decline_class=DeclineClass.NEVER)
    world.run(standing_order())

    world.sweep(standing_order(method=OTHER_CARD), as_of=FEBRUARY)

    assert world.taken == [usd("120.00")]


def _paid(world: World, **order: Any) -> None:
    world.run(standing_order(**order))
    assert world.record.state is RunState.PAID


def _back(kind: ReversalKind, amount: str, code: str = "") -> Reversal:
    return Reversal(
        event="ev-1",
        kind=kind,
        amount=usd(amount),
        on=DAY + timedelta(days=3),
        code=code,
    )


@pytest.mark.parametrize(
    ("code", "rules"),
    [
        ("R10", [UNAUTHORIZED]),
        ("R02", [ACCOUNT_CLOSED]),
        ("R01", []),
        ("", []),
    ],
)
def test_h2_a_return_holds_the_method_as_its_code_says(
    code: str, rules: list[str]
) -> None:
    world = World(bill("INV-1", "120.00"))
    _paid(world, method=BANK)

    reverse(KEY, _back(ReversalKind.RETURN, "120", code), ports=world.ports)

    held = list_holds(ports=world.ports)
    assert [each.rule for each in held] == rules
    assert all(each.target == f"method:{BANK.fingerprint}" for each in held)


def test_h2_a_chargeback_holds_the_invoices_of_its_charge() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))
    _paid(world)
    world.apply()
    for number in ("INV-1", "INV-2"):
        world.matters.put(bill(number, "0.00"))

    reverse(KEY, _back(ReversalKind.CHARGEBACK, "170"), ports=world.ports)

    held = list_holds(ports=world.ports)
    assert {each.target for each in held} == {
        "invoice:INV-1",
        "invoice:INV-2",
    }
    assert {each.rule for each in held} == {DISPUTE}


def test_h2_a_refund_on_purpose_holds_what_it_opens_again_and_no_more() -> (
    None
):
    world = World(bill("INV-1", "120.00"))
    _paid(world)

    reverse(KEY, _back(ReversalKind.REFUND, "20"), ports=world.ports)

    [held] = list_holds(ports=world.ports)
    assert (held.rule, held.target, held.amount) == (
        REFUND,
        "invoice:INV-1",
        usd("20.00"),
    )


def test_h2_an_event_that_comes_twice_makes_one_hold() -> None:
    world = World(bill("INV-1", "120.00"))
    _paid(world)
    event = _back(ReversalKind.REFUND, "20")

    reverse(KEY, event, ports=world.ports)
    reverse(KEY, event, ports=world.ports)

    assert len(list_holds(ports=world.ports)) == 1


# -- H3: a person lifts -------------------------------------------------------


def test_h3_a_hold_that_was_lifted_says_who_and_why() -> None:
    world = World()
    made = hold(Hold.on_store(**WORD), ports=world.ports)

    lifted = lift(made, **LIFTED, ports=world.ports)

    assert (lifted.lifted_by, lifted.lifted_reason) == ("Bob", "settled")
    assert list_holds(ports=world.ports) == []
    assert lift(lifted, **LIFTED, ports=world.ports) == lifted


@pytest.mark.parametrize("word", ["by", "reason"])
def test_h3_nobody_lifts_a_hold_without_a_word(word: str) -> None:
    world = World()
    made = hold(Hold.on_store(**WORD), ports=world.ports)

    with pytest.raises(InvalidValueError):
        lift(made, **{**LIFTED, word: " "}, ports=world.ports)

    assert list_holds(ports=world.ports) == [made]


@pytest.mark.parametrize("second", ["", "Bob", " bob "])
def test_h3_a_second_name_that_differs_is_needed_above_an_amount(
    second: str,
) -> None:
    world = World()
    ports = world.ports_with(policy=Policy(second_name_above=usd("100")))
    made = hold(Hold.on_store(**WORD), ports=ports)

    with pytest.raises(InvalidValueError) as caught:
        lift(made, **LIFTED, second=second, ports=ports)
    assert caught.value.code == "SecondName"
    assert list_holds(ports=ports) == [made]

    lifted = lift(made, **LIFTED, second="Cleo", ports=ports)
    assert lifted.lifted_second == "Cleo"


def test_h3_all_that_a_rule_made_since_a_time_is_lifted_at_once() -> None:
    cards = [attrs.evolve(CARD, token=f"tok_{each}") for each in range(4)]
    world = World(
        *[bill(f"INV-{each}", "9.00", client=f"C-{each}") for each in range(4)]
    )
    for each, card in enumerate(cards):
        world.gateway.decline(card.token, decline_class=DeclineClass.NEVER)
        world.clock.advance(hours=1)
        world.run(
            standing_order(
                id=f"ap-{each}",
                method=card,
                enrollments=(to_client(f"C-{each}"),),
            )
        )
    by_hand = hold(Hold.on_payer("p9", **WORD), ports=world.ports)
    since = world.clock.at - timedelta(hours=2)

    lifted = lift_all(
        rule=NEVER_ANSWER, since=since, **LIFTED, ports=world.ports
    )

    assert {each.subject for each in lifted} == {
        each.fingerprint for each in cards[1:]
    }
    assert {each.subject for each in list_holds(ports=world.ports)} == {
        cards[0].fingerprint,
        by_hand.subject,
    }
    again = lift_all(
        rule=NEVER_ANSWER, since=since, **LIFTED, ports=world.ports
    )
    assert again == []


def test_h3_more_holds_than_a_page_are_listed_and_in_order() -> None:
    world = World()
    made = [
        hold(Hold.on_payer(f"p-{each}", **WORD), ports=world.ports)
        for each in range(501)
    ]

    listed = list_holds(ports=world.ports)

    assert listed == sorted(made, key=lambda each: each.id)


def test_h3_a_hold_that_is_lifted_after_the_year_revives_nothing() -> None:
    world = World(bill("INV-1", "120.00"))
    made = hold(Hold.on_autopay("ap-1", **WORD), ports=world.ports)
    once = standing_order(enrollments=(to_client(),))
    world.sweep(once)
    for month in range(2, 13):
        world.sweep(once, as_of=date(2026, month, 28))
    lift(made, **LIFTED, ports=world.ports)
    world.clock.reach(date(2027, 1, 20))
    world.sweep(once, as_of=date(2027, 1, 20))
    world.matters.put(bill("INV-9", "1.00"))
    taken = list(world.taken)

    world.sweep(once, as_of=date(2027, 2, 20))

    assert world.taken == taken
