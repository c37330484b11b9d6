"""What nothing new is taken for, and how it ends: rules H1 to H4."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule as step,
)

from autopay_core.charges import DeclineClass, Declined
from autopay_core.errors import InvalidValueError
from autopay_core.holds import (
    ACCOUNT_CLOSED,
    DISPUTE,
    HOLD_RULES,
    NEVER_ANSWER,
    REFUND,
    UNAUTHORIZED,
    Hold,
    HoldLevel,
    barred_by,
    blocks_run,
    held_back,
    hold_for_decline,
    hold_for_return,
    holds_for_dispute,
    holds_for_refund,
    is_tripped,
    lift,
    lift_all,
    lift_won,
    not_yet_made,
)
from autopay_core.money import Money
from autopay_core.policy import Breaker, Policy
from strategies import crowded_ids, ids
from worlds import CARD, bill, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ON = date(2026, 2, 4)
AT = datetime(2026, 2, 4, 12, tzinfo=UTC)
WORD: dict[str, Any] = {"by": "Ann", "reason": "asked for it"}
VISA = attrs.evolve(CARD, network="visa")

BY_PERSON: dict[HoldLevel, Callable[[], Hold]] = {
    HoldLevel.STORE: lambda: Hold.on_store(**WORD),
    HoldLevel.PAYER: lambda: Hold.on_payer("p-1", **WORD),
    HoldLevel.METHOD: lambda: Hold.on_method("f1", **WORD),
    HoldLevel.AUTOPAY: lambda: Hold.on_autopay("ap-1", **WORD),
    HoldLevel.CLIENT: lambda: Hold.on_client("C-1", **WORD),
    HoldLevel.MATTER: lambda: Hold.on_matter("C-1", "M-1", **WORD),
    HoldLevel.INVOICE: lambda: Hold.on_invoice("INV-1", **WORD),
}
RUN = {"autopay": "ap-1", "payer": "p-1", "method": "f1"}
INVOICE = attrs.evolve(bill("INV-1", "100.00"), client="C-1", matter="M-1")


def _declined(
    code: str = "51", decline_class: DeclineClass = DeclineClass.LATER
) -> Declined:
    return Declined(key="k1", code=code, decline_class=decline_class)


# -- H1: what is held ---------------------------------------------------------


@pytest.mark.parametrize("level", list(HoldLevel))
def test_h1_a_hold_makes_the_run_wait_or_bars_the_lines_never_both(
    level: HoldLevel,
) -> None:
    hold = BY_PERSON[level]()

    assert (blocks_run([hold], **RUN) == hold) is level.is_waiting
    assert (barred_by([hold], INVOICE) == hold) is not level.is_waiting


@pytest.mark.parametrize("level", list(HoldLevel))
def test_h1_a_hold_that_was_lifted_holds_nothing(level: HoldLevel) -> None:
    hold = lift(BY_PERSON[level](), by="Bob", reason="settled")

    assert not hold.is_in_force
    assert blocks_run([hold], **RUN) is None
    assert barred_by([hold], INVOICE) is None


def test_h1_a_hold_on_something_else_holds_nothing() -> None:
    others = [
        Hold.on_payer("p-2", **WORD),
        Hold.on_method("f2", **WORD),
        Hold.on_autopay("ap-2", **WORD),
        Hold.on_client("C-2", **WORD),
        Hold.on_matter("C-1", "M-2", **WORD),
        # Another client's matter of the same number.
        Hold.on_matter("C-2", "M-1", **WORD),
        Hold.on_invoice("INV-01", **WORD),
        # The right name at another level.
        Hold.on_payer("ap-1", **WORD),
        Hold.on_client("INV-1", **WORD),
    ]

    assert blocks_run(others, **RUN) is None
    assert barred_by(others, INVOICE) is None


def test_h1_a_bill_of_several_matters_is_held_by_each_of_them() -> None:
    both = attrs.evolve(INVOICE, matters=("M-1", "M-2"))

    for matter, is_held in (("M-1", True), ("M-2", True), ("M-3", False)):
        hold = Hold.on_matter("C-1", matter, **WORD)
        assert (barred_by([hold], both) == hold) is is_held


@given(st.permutations(sorted(HoldLevel, key=lambda each: each.value)))
def test_h1_of_several_holds_the_widest_is_named_in_whatever_order(
    levels: list[HoldLevel],
) -> None:
    holds = [BY_PERSON[each]() for each in levels]
    twins = [attrs.evolve(each, id=f"x{each.id}") for each in holds]

    waits = blocks_run([*twins, *holds], **RUN)
    barred = barred_by([*twins, *holds], INVOICE)

    assert waits == BY_PERSON[HoldLevel.STORE]()
    assert barred == BY_PERSON[HoldLevel.CLIENT]()


@given(
    ids
    | crowded_ids
    | st.sampled_from(["a/b", "a", "b/c", "a%2Fb", "%", ":"]),
    ids | crowded_ids | st.sampled_from(["b", "b/c", "c", "%2F"]),
    ids
    | crowded_ids
    | st.sampled_from(["a/b", "a", "b/c", "a%2Fb", "%", ":"]),
    ids | crowded_ids | st.sampled_from(["b", "b/c", "c", "%2F"]),
)
@example("a/b", "c", "a", "b/c")
@example("a%2Fb", "c", "a/b", "c")
def test_h1_two_things_never_have_one_name(
    client: str, matter: str, other_client: str, other_matter: str
) -> None:
    first = Hold.on_matter(client, matter, **WORD)
    second = Hold.on_matter(other_client, other_matter, **WORD)

    is_same = (client, matter) == (other_client, other_matter)
    assert (first.target == second.target) is is_same
    assert (first.id == second.id) is is_same
    assert first.target != Hold.on_client(client, **WORD).target


def test_h1_a_target_is_named_as_stop_orders_named_it() -> None:
    assert {each: BY_PERSON[each]().target for each in HoldLevel} == {
        HoldLevel.STORE: "store:",
        HoldLevel.PAYER: "payer:p-1",
        HoldLevel.METHOD: "method:f1",
        HoldLevel.AUTOPAY: "autopay:ap-1",
        HoldLevel.CLIENT: "client:C-1",
        HoldLevel.MATTER: "matter:C-1/M-1",
        HoldLevel.INVOICE: "invoice:INV-1",
    }


def test_h1_one_persons_hold_on_one_thing_is_one_hold() -> None:
    first = Hold.on_payer("p-1", by="Ann", reason="bankrupt", since=AT)
    again = Hold.on_payer("p-1", by="Ann", reason="once more")
    other = Hold.on_payer("p-1", by="Bob", reason="bankrupt", since=AT)

    assert first.id == again.id != other.id
    assert (first.reason, first.since, first.releases) == (
        "bankrupt",
        AT,
        "a person",
    )


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"id": ""}, "FieldMissing", "id"),
        ({"level": "payer"}, "FieldType", "level"),
        ({"subject": ""}, "FieldMissing", "subject"),
        ({"subject": "a\u202eb"}, "ControlCharacter", "subject"),
        ({"subject": None}, "FieldType", "subject"),
        ({"client": "C-1"}, "HoldLevel", "client"),
        ({"level": HoldLevel.STORE}, "HoldLevel", "subject"),
        ({"level": HoldLevel.MATTER}, "FieldMissing", "client"),
        ({"amount": usd("1")}, "HoldLevel", "amount"),
        (
            {"level": HoldLevel.INVOICE, "amount": usd("0")},
            "AmountNegative",
            "amount",
        ),
        ({"reason": " "}, "FieldMissing", "reason"),
        ({"reason": "4111 1111 1111 1111"}, "PanDetected", "reason"),
        ({"releases": ""}, "FieldMissing", "releases"),
        ({"by": ""}, "HoldMaker", "by"),
        ({"by": "  "}, "HoldMaker", "by"),
        ({"rule": NEVER_ANSWER}, "HoldMaker", "by"),
        ({"since": AT.replace(tzinfo=None)}, "NaiveDatetime", "since"),
        ({"lifted": True}, "HoldLift", "lifted_reason"),
        ({"lifted_reason": "settled"}, "HoldLift", "lifted_reason"),
        ({"lifted": 1}, "FieldType", "lifted"),
    ],
)
def test_h1_a_hold_that_cannot_be_is_refused_with_its_path(
    changes: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        attrs.evolve(BY_PERSON[HoldLevel.PAYER](), **changes)

    assert (refused.value.code, refused.value.path) == (code, path)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Hold.on_payer("", **WORD), "subject"),
        (lambda: Hold.on_matter("", "M-1", **WORD), "client"),
        (lambda: Hold.on_store(by=None, reason="x"), "by"),  # type: ignore[arg-type]
    ],
)
def test_h1_a_persons_hold_names_the_field_that_is_wrong(
    make: Callable[[], Hold], path: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        make()

    assert refused.value.path == path


# -- H2: made by rules --------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "decline_class", "rule"),
    [
        ("43", DeclineClass.NEVER, NEVER_ANSWER),
        # The adapter says later, and Visa says never.
        ("43", DeclineClass.LATER, NEVER_ANSWER),
        ("", DeclineClass.NEVER, NEVER_ANSWER),
        # A bank's code is the ACH's, whatever the method says.
        ("R02", DeclineClass.LATER, ACCOUNT_CLOSED),
        ("R10", DeclineClass.UNKNOWN, UNAUTHORIZED),
        # Visa's own R0 and R1 are none of the bank's.
        ("R1", DeclineClass.LATER, NEVER_ANSWER),
        ("51", DeclineClass.LATER, None),
        ("14", DeclineClass.FIX_FIRST, None),
        ("??", DeclineClass.UNKNOWN, None),
        ("R01", DeclineClass.LATER, None),
        ("R010", DeclineClass.LATER, None),
    ],
)
def test_h2_an_answer_that_nothing_later_changes_holds_the_method(
    code: str, decline_class: DeclineClass, rule: str | None
) -> None:
    hold = hold_for_decline(_declined(code, decline_class), VISA, on=ON)

    assert (None if hold is None else hold.rule) == rule
    if hold is not None:
        assert hold.target == f"method:{VISA.fingerprint}"
        assert hold.cause == "k1"
        assert hold.releases == "another payment method, or a person"
        assert (code or "no code") in hold.reason


def test_h2_another_method_is_not_held() -> None:
    hold = hold_for_decline(_declined("43", DeclineClass.NEVER), VISA, on=ON)
    assert hold is not None
    new = attrs.evolve(VISA, token="tok_new_card_2222")

    for method, waits in ((VISA, True), (new, False)):
        found = blocks_run(
            [hold], autopay="ap-9", payer="p-9", method=method.fingerprint
        )
        assert (found is not None) is waits


@pytest.mark.parametrize(
    ("code", "network", "on", "rule"),
    [
        ("R10", "ach", ON, UNAUTHORIZED),
        ("R10", "", ON, UNAUTHORIZED),
        ("R07", "visa", ON, UNAUTHORIZED),
        ("R11", "ach", date(2020, 4, 1), UNAUTHORIZED),
        ("R11", "ach", date(2020, 3, 31), None),
        ("R10", "ach", date(2020, 3, 31), UNAUTHORIZED),
        ("R10", "ach", date(2015, 9, 17), None),
        ("R02", "ach", ON, ACCOUNT_CLOSED),
        ("R20", "ach", ON, ACCOUNT_CLOSED),
        ("R01", "ach", ON, None),
        ("R09", "ach", ON, None),
        ("MD01", "sepa", ON, UNAUTHORIZED),
        ("AC04", "sepa", ON, ACCOUNT_CLOSED),
        ("AC04", "ach", ON, None),
        ("AM04", "sepa", ON, None),
        ("", "", ON, None),
    ],
)
def test_h2_a_return_holds_the_method_by_the_table_of_its_day(
    code: str, network: str, on: date, rule: str | None
) -> None:
    hold = hold_for_return(
        code, network=network, method="f1", event="e-1", on=on, since=AT
    )

    assert (None if hold is None else hold.rule) == rule
    if hold is not None:
        assert (hold.target, hold.cause, hold.since) == (
            "method:f1",
            "e-1",
            AT,
        )


def test_h2_the_tables_name_their_sources_and_overlap_nowhere() -> None:
    for each in HOLD_RULES:
        assert each.source
        assert each.codes
        for other in HOLD_RULES:
            if other.network == each.network and other.rule != each.rule:
                assert not other.codes & each.codes
    # What is presented again, at most twice, is never held.
    assert not {"R01", "R09"} & {
        code for each in HOLD_RULES for code in each.codes
    }


def test_h2_two_tellings_of_one_cause_are_one_hold() -> None:
    first = hold_for_return(
        "R10", network="ach", method="f1", event="e-1", on=ON, since=AT
    )
    again = hold_for_return(
        "R10", network="", method="f1", event="e-1", on=ON + timedelta(days=1)
    )
    other = hold_for_return(
        "R10", network="ach", method="f1", event="e-2", on=ON
    )

    assert first is not None
    assert again is not None
    assert other is not None
    assert first.id == again.id != other.id
    assert not_yet_made([again, other, other], [first]) == (other,)
    assert not_yet_made([again], [lift(first, **WORD)]) == ()


def test_h2_a_chargeback_holds_its_invoices_until_the_dispute_is_won() -> None:
    holds = holds_for_dispute(["INV-2", "INV-1", "INV-2"], dispute="dp-1")
    other = holds_for_dispute(["INV-1"], dispute="dp-2")

    assert [each.target for each in holds] == [
        "invoice:INV-1",
        "invoice:INV-2",
    ]
    assert {each.rule for each in holds} == {DISPUTE}
    assert barred_by(holds, INVOICE) == holds[0]
    assert holds[0].releases == "the dispute being won, or a person"

    won = lift_won([*holds, *other, BY_PERSON[HoldLevel.INVOICE]()], "dp-1")

    assert [each.id for each in won] == [each.id for each in holds]
    assert barred_by(won, INVOICE) is None
    assert won[0].lifted_reason == "the dispute was won"
    # The second dispute about it is not over.
    assert barred_by([*won, *other], INVOICE) == other[0]
    assert lift_won(won, "dp-1") == ()


def test_h2_a_refund_holds_back_what_was_refunded_and_no_more() -> None:
    invoice = attrs.evolve(INVOICE, balance=usd("100"))
    first, second = holds_for_refund(
        {"INV-1": usd("60"), "INV-0": usd("5")}, event="re-1"
    )

    assert (first.target, second.target) == ("invoice:INV-0", "invoice:INV-1")
    assert second.rule == REFUND
    assert "USD 60.00" in second.reason
    assert held_back([first, second], invoice) == usd("60")
    assert barred_by([first, second], invoice) is None
    # A second refund of it: together they hold all that is owed.
    [more] = holds_for_refund({"INV-1": usd("40")}, event="re-2")
    assert held_back([second, more], invoice) == usd("100")
    assert barred_by([second, more], invoice) in {second, more}
    assert (
        barred_by([second, more], attrs.evolve(invoice, balance=usd("100.01")))
        is None
    )


def test_h2_what_cannot_be_compared_is_held_back_whole() -> None:
    invoice = attrs.evolve(INVOICE, balance=usd("100"))
    [foreign] = holds_for_refund({"INV-1": Money.of("1", "EUR")}, event="e")

    assert held_back([foreign], invoice) == usd("100")
    assert barred_by([foreign], invoice) == foreign


@given(
    balance=st.integers(-5, 20),
    amounts=st.lists(st.integers(1, 9), max_size=3),
    is_whole=st.booleans(),
)
@example(balance=-5, amounts=[], is_whole=True)
@example(balance=9, amounts=[4, 5], is_whole=False)
def test_h2_held_back_and_barred_agree(
    balance: int, amounts: list[int], is_whole: bool
) -> None:
    invoice = attrs.evolve(
        INVOICE, balance=Money(amount_minor=balance, currency="USD")
    )
    holds = [
        holds_for_refund(
            {"INV-1": Money(amount_minor=each, currency="USD")},
            event=f"re-{place}",
        )[0]
        for place, each in enumerate(amounts)
    ]
    if is_whole:
        holds.append(BY_PERSON[HoldLevel.MATTER]())

    back = held_back(holds, invoice).amount_minor

    assert back == (max(balance, 0) if is_whole else sum(amounts))
    is_barred = barred_by(holds, invoice) is not None
    assert is_barred == (bool(holds) and back >= balance)


# -- H3: lifting --------------------------------------------------------------


def test_h3_a_lift_says_who_and_why_and_stays() -> None:
    hold = lift(BY_PERSON[HoldLevel.PAYER](), by="Bob", reason="settled")

    assert (hold.lifted, hold.lifted_by, hold.lifted_reason) == (
        True,
        "Bob",
        "settled",
    )
    assert lift(hold, by="Eve", reason="again") == hold


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ({"by": "", "reason": "x"}, "by"),
        ({"by": " ", "reason": "x"}, "by"),
        ({"by": "Ann", "reason": ""}, "reason"),
    ],
)
def test_h3_nobody_lifts_without_a_name_and_a_reason(
    word: dict[str, Any], path: str
) -> None:
    hold = BY_PERSON[HoldLevel.PAYER]()
    for call in (
        lambda: lift(hold, **word),
        lambda: lift_all([hold], rule=NEVER_ANSWER, since=AT, **word),
    ):
        with pytest.raises(InvalidValueError) as refused:
            call()
        assert (refused.value.code, refused.value.path) == (
            "FieldMissing",
            path,
        )


def test_e2_what_is_no_hold_is_not_lifted() -> None:
    no_hold: Any = "hold-1"

    with pytest.raises(InvalidValueError) as raised:
        lift(no_hold, by="Ann", reason="typed")

    assert (raised.value.code, raised.value.path) == ("FieldType", "hold")


@pytest.mark.parametrize(
    "second", ["", " ", "Ann", " ann", "A N N", "\uff21nn"]
)
def test_h3_a_second_name_differs_from_the_first(second: str) -> None:
    policy = Policy(second_name_above=usd("100"))
    hold = BY_PERSON[HoldLevel.PAYER]()

    with pytest.raises(InvalidValueError) as refused:
        lift(hold, second=second, policy=policy, **WORD)

    assert (refused.value.code, refused.value.path) == ("SecondName", "second")
    lifted = lift(hold, second="Bob", policy=policy, **WORD)
    assert (lifted.lifted_by, lifted.lifted_second) == ("Ann", "Bob")


def test_h3_one_name_is_enough_up_to_the_hosts_amount() -> None:
    policy = Policy(second_name_above=usd("100"))
    small, large = (
        holds_for_refund({"INV-1": usd(each)}, event="re-1")[0]
        for each in ("100", "100.01")
    )

    assert lift(small, policy=policy, **WORD).lifted
    assert lift(large, policy=policy, amount=usd("1"), **WORD).lifted
    assert lift(large, **WORD).lifted
    for hold, amount in ((large, None), (small, usd("101"))):
        with pytest.raises(InvalidValueError, match="second person"):
            lift(hold, policy=policy, amount=amount, **WORD)


def test_h3_all_that_a_rule_made_since_a_time_is_lifted_at_once() -> None:
    def made(event: str, since: datetime | None) -> Hold:
        hold = hold_for_return(
            "R10", network="", method="f1", event=event, on=ON, since=since
        )
        assert hold is not None
        return hold

    before = made("e-0", AT - timedelta(seconds=1))
    then, later = made("e-1", AT), made("e-2", AT + timedelta(days=1))
    unknown, lifted = made("e-3", None), lift(made("e-4", AT), **WORD)
    dispute = holds_for_dispute(["INV-1"], dispute="d", since=AT)
    person = Hold.on_method("f1", since=AT, **WORD)

    found = lift_all(
        [before, then, later, unknown, lifted, *dispute, person],
        rule=UNAUTHORIZED,
        since=AT,
        by="Bob",
        reason="the bank sent them by mistake",
    )

    assert [each.id for each in found] == [then.id, later.id]
    assert {(each.lifted, each.lifted_by) for each in found} == {(True, "Bob")}


def test_h3_lifting_all_takes_two_wherever_the_host_sets_an_amount() -> None:
    policy = Policy(second_name_above=usd("100"))
    [hold] = holds_for_dispute(["INV-1"], dispute="d", since=AT)
    call: dict[str, Any] = {"rule": DISPUTE, "since": AT, **WORD}

    with pytest.raises(InvalidValueError, match="second person"):
        lift_all([hold], policy=policy, **call)

    for each in (policy, Policy(), None):
        [lifted] = lift_all([hold], second="Bob", policy=each, **call)
        assert (lifted.lifted_by, lifted.lifted_second) == ("Ann", "Bob")


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"rule": ""}, "rule"), ({"since": AT.replace(tzinfo=None)}, "since")],
)
def test_h3_lifting_all_names_a_rule_and_a_time(
    changes: dict[str, Any], path: str
) -> None:
    call: dict[str, Any] = {"rule": DISPUTE, "since": AT, **WORD, **changes}
    with pytest.raises(InvalidValueError) as refused:
        lift_all([], **call)

    assert refused.value.path == path


class HoldsMachine(RuleBasedStateMachine):
    """
    Holds of all kinds on two invoices, made, told again and lifted.

    The model remembers who holds what in its own words: causes that stand,
    and causes that are over. A hold on record is never made again.
    """

    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Hold] = {}
        self.standing: set[tuple[str, str]] = set()
        self.over: set[tuple[str, str]] = set()

    def _write(self, holds: Sequence[Hold]) -> None:
        for each in not_yet_made(holds, self.store.values()):
            assert each.id not in self.store
            self.store[each.id] = each

    @step(
        numbers=st.sets(st.sampled_from(["INV-1", "INV-2"]), min_size=1),
        dispute=st.sampled_from(["d1", "d2"]),
    )
    def dispute(self, numbers: set[str], dispute: str) -> None:
        self._write(holds_for_dispute(numbers, dispute=dispute, since=AT))
        told = {(dispute, each) for each in numbers}
        self.standing |= told - self.over

    @step(dispute=st.sampled_from(["d1", "d2"]))
    def win(self, dispute: str) -> None:
        for each in lift_won(self.store.values(), dispute):
            self.store[each.id] = each
        self._end({each for each in self.standing if each[0] == dispute})

    @step()
    def lift_them_all(self) -> None:
        for each in lift_all(
            self.store.values(), rule=DISPUTE, since=AT, **WORD
        ):
            self.store[each.id] = each
        self._end(set(self.standing))

    @step(
        dispute=st.sampled_from(["d1", "d2"]),
        number=st.sampled_from(["INV-1", "INV-2"]),
    )
    def lift_one(self, dispute: str, number: str) -> None:
        for each in list(self.store.values()):
            if (each.cause, each.subject) == (dispute, number):
                self.store[each.id] = lift(each, **WORD)
        self._end(self.standing & {(dispute, number)})

    def _end(self, ended: set[tuple[str, str]]) -> None:
        self.standing -= ended
        self.over |= ended

    @invariant()
    def what_is_barred_is_what_somebody_still_disputes(self) -> None:
        for number in ("INV-1", "INV-2"):
            invoice = attrs.evolve(INVOICE, number=number)
            is_barred = barred_by(self.store.values(), invoice) is not None
            assert is_barred == any(
                each == number for _, each in self.standing
            )

    @invariant()
    def a_dispute_about_an_invoice_keeps_no_run_from_the_others(self) -> None:
        assert blocks_run(self.store.values(), **RUN) is None


TestHoldsMachine = HoldsMachine.TestCase


# -- H4: the breaker ----------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "trips"),
    [
        ("", False),
        ("x" * 9, False),
        ("x" * 10, True),
        ("x" * 9 + ".", False),
        ("." + "x" * 10, True),
        # Half of the last 40 is not more than half.
        ("x." * 20, False),
        ("x." * 19 + "xx", True),
        # What is before the last 40 does not count.
        ("xx" + "x." * 20, False),
        # 21 of 30 are more than half of any 40 that they are among.
        ("xxx." * 7 + "..", True),
    ],
)
def test_h4_ten_in_a_row_or_more_than_half_of_forty_trip_the_breaker(
    answers: str, trips: bool
) -> None:
    assert is_tripped(Breaker(), [each == "x" for each in answers]) is trips
    assert not is_tripped(None, [each == "x" for each in answers])


def test_h4_every_short_history_is_judged_as_a_plain_count_says() -> None:
    breaker = Breaker(in_a_row=3, of_last=5, more_than=3)
    for size in range(8):
        for answers in product([True, False], repeat=size):
            text = "".join("x" if each else "." for each in answers)
            expected = (
                re.search("xxx$", text) is not None or text[-5:].count("x") > 3
            )
            assert is_tripped(breaker, answers) is expected, text
