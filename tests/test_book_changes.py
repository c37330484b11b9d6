"""A payer is told once of what was changed, renewed or removed (N2, N5)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NoReturn

import attrs
import pytest

from autopay_core.allocation import Order
from autopay_core.autopay import AutoPay, edit, renew
from autopay_core.book import (
    Book,
    ChangeLimit,
    ChangeMessage,
    ChangeMethod,
    ChangeName,
    ChangeSchedule,
    Draft,
    Leave,
    MemoryBookStore,
    MoveDate,
    Payer,
    Renew,
    SavedMethod,
    TurnOff,
    TurnOn,
)
from autopay_core.book.changes import what_changed
from autopay_core.book.store import BookStore
from autopay_core.commits import Change, Told, Unreadable
from autopay_core.errors import PortUnavailableError
from autopay_core.limits import Limit
from autopay_core.notices import Audience, Notice, NoticeKind
from autopay_core.references import AccountKind, DepositAccount
from autopay_core.schedules import Schedule
from autopay_core.selections import Selection
from autopay_core.show.letters import letter
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    World,
    bill,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}
ABOUT = (
    NoticeKind.CHANGED,
    NoticeKind.RENEWED,
    NoticeKind.METHOD_REMOVED,
)
LATER = DAY + timedelta(days=1)


class Desk(World):
    """A world whose orders are in a book."""

    def __init__(self, *invoices: Any, **more: Any) -> None:
        super().__init__(*invoices, **more)
        self.book = Book(MemoryBookStore(clock=self.clock))

    def add(self, **changes: Any) -> None:
        self.clock.reach(DAY)
        self.book.add(standing_order(**changes), as_of=DAY, **ANN)

    def do(self, command: Any, version: int, as_of: date = DAY) -> None:
        self.clock.reach(as_of)
        self.book.do(
            "ap-1",
            command,
            as_of=as_of,
            version=version,
            ports=self.ports,
            **ANN,
        )

    def night(self, as_of: date) -> list[Notice]:
        """Return what a night tells of changes."""
        self.clock.reach(as_of)
        before = len(self.notifier.sent)
        list(self.book.sweep(as_of=as_of, ports=self.ports))
        return [
            each for each in self.notifier.sent[before:] if each.kind in ABOUT
        ]


# -- What is said -------------------------------------------------------------


def said(before: AutoPay, after: AutoPay) -> list[tuple[NoticeKind, str]]:
    return [
        (each.kind, each.detail)
        for each in what_changed(before, after, on=DAY, as_of=DAY, number=2)
    ]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"name": "Acme"}, "It was called Acme monthly."),
        ({"method": BANK}, f"It charges {BANK.masked}."),
        (
            {
                "deposit_account": DepositAccount(
                    id="iolta", kind=AccountKind.TRUST
                )
            },
            "It pays into trust account iolta.",
        ),
        (
            {"schedule": Schedule.weekly(DAY)},
            f"It runs {Schedule.weekly(DAY)}.",
        ),
        (
            {"limit": Limit.up_to(usd("50"))},
            "It pays up to USD 50.00 in a run.",
        ),
        ({"selection": Selection(due_within=0)}, "It takes only what is due."),
        (
            {"order": Order.DUE},
            "It pays invoices in order of the due date.",
        ),
        ({"payments": 1}, "It ends after 1 payment."),
        ({"payments": 3}, "It ends after 3 payments."),
        ({"skips": frozenset({FEBRUARY})}, f"Nothing is paid on {FEBRUARY}."),
        (
            {"moves": {FEBRUARY: date(2026, 3, 2)}},
            f"The payment of {FEBRUARY} is made on 2026-03-02.",
        ),
    ],
)
def test_n2_each_change_is_said_with_what_is_true_now(
    changes: dict[str, Any], detail: str
) -> None:
    before, after = standing_order(), standing_order(**changes)

    assert said(before, after) == [(NoticeKind.CHANGED, detail)]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"selection": Selection(due_within=0)}, "everything outstanding"),
        ({"order": Order.DUE}, "in order of the invoice date"),
        ({"payments": 3}, "It no longer ends after a number of payments."),
        (
            {"skips": frozenset({FEBRUARY})},
            f"The payment of {FEBRUARY} is made after all.",
        ),
        (
            {"moves": {FEBRUARY: date(2026, 3, 2)}},
            f"The payment of {FEBRUARY} is not moved any more.",
        ),
    ],
)
def test_n2_what_is_taken_back_is_said_too(
    changes: dict[str, Any], detail: str
) -> None:
    [(kind, found)] = said(standing_order(**changes), standing_order())

    assert kind is NoticeKind.CHANGED
    assert detail in found


def test_s15_dates_of_the_schedule_of_before_are_not_told_of() -> None:
    weekly = Schedule.weekly(DAY)
    before = standing_order(
        skips=frozenset({FEBRUARY}),
        moves={date(2026, 3, 31): date(2026, 4, 2)},
    )

    assert said(before, standing_order(schedule=weekly)) == [
        (NoticeKind.CHANGED, f"It runs {weekly}.")
    ]


def test_n2_what_is_enrolled_and_what_is_no_longer_is_named() -> None:
    before = standing_order(enrollments=(to_client(), to_invoice("INV-9")))
    after = standing_order(enrollments=(to_client(), to_client("C-2")))

    assert said(before, after) == [
        (
            NoticeKind.CHANGED,
            (
                "It now pays client C-2. "
                f"It no longer pays {to_invoice('INV-9')}."
            ),
        )
    ]


def test_n2_several_changes_are_one_notice_with_its_facts() -> None:
    after = standing_order(method=BANK, limit=Limit.up_to(usd("50")))

    [notice] = what_changed(
        standing_order(), after, on=DAY, as_of=LATER, number=4
    )

    assert notice.detail == (
        f"It charges {BANK.masked}. It pays up to USD 50.00 in a run."
    )
    assert (notice.method, notice.next_on) == (BANK.masked, FEBRUARY)
    assert notice.audience == {Audience.PAYER}
    assert (notice.on, notice.reason) == (DAY, "Changed")
    other = what_changed(
        standing_order(), after, on=DAY, as_of=LATER, number=5
    )
    assert other[0].key != notice.key


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ar_message": "Another"},
        {"off_from": LATER},
        {"skips": frozenset({DAY - timedelta(days=31)})},
        {"moves": {date(2025, 12, 31): date(2026, 1, 2)}},
    ],
)
def test_n2_what_is_told_otherwise_or_is_past_is_not_said(
    changes: dict[str, Any],
) -> None:
    order, changed = standing_order(), standing_order(**changes)

    assert said(order, changed) == said(changed, order) == []


def test_n2_a_renewal_is_no_change_and_says_until_when() -> None:
    as_of = date(2027, 1, 10)
    order = standing_order(enrollments=(to_client(), to_client("C-2")))
    renewed = renew(order, as_of)

    assert said(order, renewed) == [
        (
            NoticeKind.RENEWED,
            (
                "The year of client C-1, client C-2 was renewed, until "
                "2028-01-31."
            ),
        )
    ]


def test_s6_a_year_that_moves_with_its_schedule_is_not_renewed() -> None:
    order = standing_order()
    moved = edit(
        order,
        as_of=DAY - timedelta(days=9),
        schedule=Schedule.monthly(date(2026, 3, 1)),
    )

    assert [kind for kind, _ in said(order, moved)] == [NoticeKind.CHANGED]


def test_n5_a_letter_is_made_of_each() -> None:
    [changed] = what_changed(
        standing_order(),
        standing_order(limit=Limit.up_to(usd("50"))),
        on=DAY,
        as_of=LATER,
        number=2,
    )

    text = letter(changed).text

    assert "The automatic payments for Acme monthly were changed." in text
    assert "It pays up to USD 50.00 in a run." in text
    assert f"The next payment date is {FEBRUARY}." in text


# -- Once, by the night after -------------------------------------------------


def test_n5_a_change_is_told_once_by_the_night_after() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    assert desk.night(DAY) == []
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1, LATER)

    [told] = desk.night(LATER)

    assert told.kind is NoticeKind.CHANGED
    assert told.detail == "It pays up to USD 50.00 in a run."
    assert told.on == LATER
    assert desk.night(LATER) == []
    assert desk.night(FEBRUARY) == []


def test_n5_a_change_that_was_changed_back_is_not_told() -> None:
    desk = Desk()
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1)
    desk.do(ChangeLimit(Limit.all("USD")), 2)

    assert desk.night(DAY) == []

    desk.do(ChangeName("Acme"), 3, LATER)
    [told] = desk.night(LATER)
    assert told.detail == "It was called Acme monthly."


def test_n5_each_change_is_told_against_what_was_told_last() -> None:
    desk = Desk()
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1)
    [first] = desk.night(DAY)
    desk.do(ChangeName("Acme"), 2, LATER)

    [second] = desk.night(LATER)

    assert "50.00" in first.detail
    assert second.detail == "It was called Acme monthly."


def test_n2_what_only_the_firm_is_concerned_with_is_silent() -> None:
    desk = Desk()
    desk.add()
    desk.do(ChangeMessage("Thanks"), 1)

    assert desk.night(DAY) == []


def test_n2_a_renewal_is_told() -> None:
    desk = Desk()
    desk.add()
    as_of = date(2027, 1, 10)
    desk.do(Renew(), 1, as_of)

    [told] = desk.night(as_of)

    assert told.kind is NoticeKind.RENEWED
    assert told.next_on == date(2027, 1, 31)


def test_n2_an_order_that_is_off_is_told_of_nothing_else() -> None:
    desk = Desk()
    desk.add()
    desk.do(ChangeName("Acme"), 1)
    desk.do(TurnOff(), 2)
    assert desk.night(DAY) == []

    desk.do(TurnOn(), 3, LATER)

    [told] = desk.night(LATER)
    assert told.detail == "It was called Acme monthly."


def test_n2_that_nothing_is_enrolled_any_more_is_told() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.night(DAY)
    desk.do(Leave((to_client(),)), 1, LATER)

    [told] = desk.night(LATER)

    assert told.detail == "It no longer pays client C-1."
    assert told.next_on is None
    assert desk.night(FEBRUARY) == []


def test_n2_an_order_that_has_ended_is_told_of_nothing_else() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add(payments=1)
    desk.night(DAY)
    desk.do(ChangeName("Acme"), 1, LATER)

    assert desk.night(LATER) == []


def test_n2_what_was_changed_long_ago_is_not_told() -> None:
    """Also at the first night of a book that was kept before this."""
    desk = Desk()
    desk.add()
    desk.do(ChangeName("Acme"), 1)
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 2, date(2026, 3, 10))

    [told] = desk.night(date(2026, 3, 12))

    assert told.detail == "It pays up to USD 50.00 in a run."

    other = Desk()
    other.add()
    other.do(ChangeName("Acme"), 1)
    assert other.night(date(2026, 3, 12)) == []


def test_n5_many_versions_are_read_page_by_page() -> None:
    desk = Desk()
    desk.add()
    store: Any = desk.book._store
    for number in range(2, 1102):
        store.write(
            (
                Draft(
                    value=standing_order(name=f"Acme {number}"),
                    number=number,
                    command="Try",
                    next_on=DAY,
                    **ANN,
                ),
            ),
            {},
        )

    [told] = desk.night(DAY)

    assert told.detail == "It was called Acme monthly."
    assert told.name == "Acme 1101"


def away(*_: object) -> NoReturn:
    raise PortUnavailableError("away")


def test_n5_a_change_is_told_although_todays_run_has_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1)
    monkeypatch.setattr(desk.matters, "open_invoices", away)

    assert [each.kind for each in desk.night(DAY)] == [NoticeKind.CHANGED]


@pytest.mark.parametrize("spoiled", ["", "x", "0", "-1", "9" * 5_000])
def test_r6_what_was_told_last_may_be_spoiled(spoiled: str) -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1)
    told = Told(autopay="ap-1", topic="version", said=spoiled, key="n-1")
    desk.store.commit(Change(told=(told,)))

    assert [each.kind for each in desk.night(DAY)] == [NoticeKind.CHANGED]
    assert desk.taken == [usd("50")]
    assert desk.night(LATER) == []


class FailingStore:
    """A book's store whose versions cannot be read for a while."""

    def __init__(self, store: BookStore) -> None:
        self._store = store
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if name == "versions" and self.is_away:
            raise PortUnavailableError("away")
        return getattr(self._store, name)


def test_n5_a_change_that_cannot_be_read_is_told_the_next_night() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("50"))), 1)
    store: Any = FailingStore(desk.book._store)
    desk.book = Book(store)
    store.is_away = True
    assert desk.night(DAY) == []
    assert desk.taken == [usd("50")]
    store.is_away = False

    assert [each.kind for each in desk.night(LATER)] == [NoticeKind.CHANGED]


def test_o3_a_date_that_is_moved_is_told_in_the_same_night() -> None:
    desk = Desk()
    desk.add()
    desk.night(DAY)
    desk.do(MoveDate(on=FEBRUARY, to=date(2026, 3, 2)), 1, LATER)

    [told] = desk.night(LATER)

    assert told.detail == f"The payment of {FEBRUARY} is made on 2026-03-02."
    assert told.next_on == date(2026, 3, 2)


def test_n2_another_schedule_is_told_with_its_next_date() -> None:
    desk = Desk()
    desk.add()
    desk.night(DAY)
    weekly = Schedule.weekly(date(2026, 2, 9))
    desk.do(ChangeSchedule(weekly, collect_again=True), 1, LATER)

    [told] = desk.night(LATER)

    assert told.detail == f"It runs {weekly}."
    assert told.next_on == date(2026, 2, 9)


# -- A method that was removed ------------------------------------------------


def saved(desk: Desk) -> None:
    desk.clock.reach(DAY)
    for version, method in enumerate((CARD, BANK)):
        desk.book.save_method(
            "p1", method, label="Mine", version=version, **ANN
        )


def next_on(desk: Desk) -> date | None:
    [kept] = desk.book.of_payer("p1")
    return kept.next_on


def test_n2_an_order_whose_method_was_removed_is_told_once() -> None:
    desk = Desk()
    desk.add()
    saved(desk)
    desk.night(DAY)
    assert next_on(desk) == FEBRUARY
    desk.clock.reach(LATER)
    desk.book.remove_method("p1", CARD, as_of=LATER, version=2, **ANN)
    assert next_on(desk) == LATER

    [told] = desk.night(LATER)

    assert told.kind is NoticeKind.METHOD_REMOVED
    assert told.detail == (
        f"Payment method {CARD.masked} was removed; choose another one."
    )
    assert (told.method, told.next_on) == (CARD.masked, FEBRUARY)
    assert desk.night(LATER) == []
    desk.do(ChangeMethod(BANK), 1, LATER + timedelta(days=1))
    [told] = desk.night(LATER + timedelta(days=1))
    assert told.detail == f"It charges {BANK.masked}."
    assert desk.night(FEBRUARY) == []


def test_n2_a_method_that_is_saved_again_in_time_is_not_told() -> None:
    desk = Desk()
    desk.add()
    saved(desk)
    desk.book.remove_method("p1", CARD, as_of=DAY, version=2, **ANN)
    desk.book.save_method("p1", CARD, label="Mine", version=3, **ANN)

    assert desk.night(DAY) == []


def test_n2_no_method_is_told_of_for_an_order_that_is_off() -> None:
    desk = Desk()
    desk.add()
    saved(desk)
    desk.book.remove_method("p1", CARD, as_of=DAY, version=2, **ANN)
    desk.do(TurnOff(), 1)

    assert desk.night(DAY) == []


def test_o3_only_orders_of_the_method_that_was_removed_are_woken() -> None:
    desk = Desk()
    desk.add()
    saved(desk)
    desk.night(DAY)
    desk.clock.reach(LATER)
    desk.book.remove_method("p1", BANK, as_of=LATER, version=2, **ANN)

    assert next_on(desk) == FEBRUARY


def test_a7_a_method_is_removed_although_nobody_can_be_woken() -> None:
    desk = Desk()
    desk.add()
    saved(desk)
    desk.night(DAY)
    store: Any = desk.book._store
    desk.clock.reach(LATER)

    class Sleepy(FailingStore):
        def __getattr__(self, name: str) -> Any:
            if name == "move_on":
                raise PortUnavailableError("away")
            return super().__getattr__(name)

    sleepy: Any = Sleepy(store)
    done = Book(sleepy).remove_method(
        "p1", CARD, as_of=LATER, version=2, **ANN
    )

    assert done.is_new
    assert next_on(desk) == FEBRUARY


def test_a7_a_method_that_goes_later_is_told_when_it_has_gone() -> None:
    desk = Desk()
    desk.add()
    store: Any = desk.book._store
    payer = Payer(
        id="p1",
        methods=(
            SavedMethod(method=BANK),
            SavedMethod(method=CARD, removed_on=LATER),
        ),
    )
    store.write((Draft(value=payer, number=1, command="Try", **ANN),), {})

    assert desk.night(DAY) == []
    [kept] = desk.book.of_payer("p1")
    assert not isinstance(kept.version, Unreadable)
    told = desk.night(FEBRUARY)
    assert [each.kind for each in told] == [NoticeKind.METHOD_REMOVED]


def test_what_changed_compares_whole_orders() -> None:
    """A field that is added to an order has to be told, or named here."""
    told = {
        "name",
        "method",
        "deposit_account",
        "schedule",
        "limit",
        "enrollments",
        "selection",
        "order",
        "payments",
        "skips",
        "moves",
    }
    told_otherwise = {"pauses", "off_from", "advance_notice"}
    of_the_firm = {"ar_message", "missed", "retry", "tell_nothing_due"}
    fixed = {"id", "payer"}

    every = {each.name for each in attrs.fields(AutoPay)}

    assert every == told | told_otherwise | of_the_firm | fixed
