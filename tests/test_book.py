"""The book keeps orders in versions, and a night costs what is due."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from autopay_core import holds as hold_values, serialization
from autopay_core.associations import Association
from autopay_core.autopay import (
    AdvanceNotice,
    AutoPayState,
    Ending,
    Enrollment,
)
from autopay_core.book import (
    Book,
    ChangeAccount,
    ChangeLimit,
    ChangeMessage,
    ChangeMethod,
    ChangeName,
    ChangeRules,
    ChangeSchedule,
    Draft,
    Enroll,
    KeptAssociation,
    Leave,
    MemoryBookStore,
    MoveDate,
    OutdatedError,
    PauseDates,
    Payer,
    Renew,
    Resume,
    SavedMethod,
    Skip,
    TurnOff,
    TurnOn,
)
from autopay_core.book.sqlite import SqliteBookStore
from autopay_core.calls import clock_is_right, hold, lift, rerun, run
from autopay_core.commits import Unreadable
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.invoices import SearchBy, SearchResult
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.policy import Policy
from autopay_core.references import DepositAccount, MethodKind, RunKey
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import MissedPolicy, Schedule
from test_authorizations import allowed
from worlds import (
    BANK,
    CARD,
    DAY,
    FEBRUARY,
    Clock,
    World,
    bill,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopay_core.autopay import AutoPay
    from autopay_core.book import BookStore, Command, Done
    from autopay_core.runs import RunResult

MARCH = date(2026, 3, 31)
APRIL = date(2026, 4, 30)
ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}


class Desk(World):
    """A world whose orders are in a book."""

    makes: ClassVar[list[Callable[[Clock], BookStore]]] = []

    def __init__(self, *invoices: Any, **more: Any) -> None:
        super().__init__(*invoices, **more)
        self.book = Book(self.makes[-1](self.clock))

    def add(self, autopay: AutoPay | None = None) -> None:
        self.book.add(autopay or standing_order(), as_of=DAY, **ANN)

    def do(
        self,
        command: Command,
        version: int,
        *,
        as_of: date = DAY,
        autopay: str = "ap-1",
    ) -> Done:
        self.clock.reach(as_of)
        return self.book.do(
            autopay,
            command,
            as_of=as_of,
            version=version,
            ports=self.ports,
            **ANN,
        )

    def night(self, as_of: date = DAY, **more: Any) -> list[RunResult]:
        self.clock.reach(as_of)
        return list(self.book.sweep(as_of=as_of, ports=self.ports, **more))

    def next_on(self, autopay: str = "ap-1") -> date:
        [kept] = self.book.of_payer("p1")
        assert kept.id == autopay
        assert kept.next_on is not None
        return kept.next_on


def in_memory(clock: Clock) -> BookStore:
    return MemoryBookStore(clock=clock)


def in_sqlite(clock: Clock) -> BookStore:
    return SqliteBookStore(":memory:", in_memory=True, clock=clock)


@pytest.fixture(params=[in_memory, in_sqlite], autouse=True)
def kept(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep each test's books in memory, then in SQLite."""
    monkeypatch.setattr(Desk, "makes", [request.param])


def saved(desk: Desk, *associations: Association) -> None:
    """Let the book know the payer."""
    desk.book.associate("p1", associations or (to_client(),), version=0, **ANN)
    desk.book.save_method("p1", CARD, version=1, label="Visa", **ANN)


# -- Versions -----------------------------------------------------------------


def test_o1_a_change_is_a_version_with_who_when_why_before_and_after() -> None:
    desk = Desk()
    desk.add()
    desk.clock.advance(hours=2)
    limit = Limit.up_to(usd("50"))

    done = desk.do(ChangeLimit(limit), 1)

    first, second = desk.book.changes("ap-1")
    assert first.before is None
    assert first.after.command == "Add"
    assert second.before == first.after
    assert second.after == done.version == desk.book.get("ap-1")
    assert second.fields == ("limit",)
    assert (second.after.by, second.after.reason) == tuple(ANN.values())
    assert second.after.at == desk.clock.at
    assert second.after.autopay.limit == limit
    assert first.after.autopay == standing_order()


COMMANDS: list[tuple[Command, str, Any]] = [
    (ChangeName("Acme"), "name", "Acme"),
    (ChangeLimit(Limit.up_to(usd("5"))), "limit", Limit.up_to(usd("5"))),
    (ChangeMethod(BANK), "method", BANK),
    (
        ChangeAccount(DepositAccount(id="operating-2")),
        "deposit_account",
        DepositAccount(id="operating-2"),
    ),
    (ChangeMessage("Danke"), "ar_message", "Danke"),
    (
        ChangeRules({"missed": MissedPolicy.ALL}),
        "missed",
        MissedPolicy.ALL,
    ),
    (Skip(FEBRUARY), "skips", frozenset({FEBRUARY})),
    (
        MoveDate(on=FEBRUARY, to=date(2026, 3, 2)),
        "moves",
        {FEBRUARY: date(2026, 3, 2)},
    ),
    (TurnOff(), "off_from", DAY),
    (TurnOff(MARCH), "off_from", MARCH),
]


@pytest.mark.parametrize(
    ("command", "field", "value"),
    COMMANDS,
    ids=[repr(each[0])[:40] for each in COMMANDS],
)
def test_o1_a_command_changes_its_field_and_no_other(
    command: Command, field: str, value: Any
) -> None:
    desk = Desk()
    desk.add()

    done = desk.do(command, 1)

    assert desk.book.changes("ap-1")[-1].fields == (field,)
    assert getattr(done.version.autopay, field) == value
    assert done.version.command == type(command).__name__


@pytest.mark.parametrize(
    "command", [each[0] for each in COMMANDS], ids=lambda each: repr(each)[:40]
)
def test_o1_a_double_click_does_nothing_twice(command: Command) -> None:
    desk = Desk()
    desk.add()
    first = desk.do(command, 1)

    second = desk.do(command, 1)

    assert (first.is_new, second.is_new) == (True, False)
    assert second.version == first.version
    assert len(desk.book.versions("ap-1")) == 2


def test_o1_a_command_for_a_version_that_does_not_stand_is_refused() -> None:
    desk = Desk()
    desk.add()
    desk.do(ChangeName("Acme"), 1)

    with pytest.raises(OutdatedError) as raised:
        desk.do(ChangeName("Other"), 1)

    assert raised.value.standing == 2
    assert raised.value.code == "Outdated"
    assert desk.book.get("ap-1").autopay.name == "Acme"


def test_o1_what_changes_nothing_is_no_version() -> None:
    desk = Desk()
    desk.add()

    done = desk.do(ChangeName("Acme monthly"), 1)

    assert not done.is_new
    assert done.version.number == 1


def test_o1_the_same_words_of_another_person_are_no_double_click() -> None:
    desk = Desk()
    desk.add()
    desk.do(Skip(FEBRUARY), 1)

    with pytest.raises(OutdatedError):
        desk.book.do(
            "ap-1",
            Skip(FEBRUARY),
            as_of=DAY,
            version=1,
            ports=desk.ports,
            by="Ben",
            reason="asked by the payer",
        )


def test_o1_an_order_is_added_once() -> None:
    desk = Desk()
    desk.add()

    again = desk.book.add(standing_order(), as_of=DAY, **ANN)
    assert not again.is_new
    with pytest.raises(OutdatedError) as raised:
        desk.add(standing_order(name="Another"))
    assert raised.value.standing == 1


@pytest.mark.parametrize("missing", ["by", "reason"])
def test_o1_nobody_changes_anything_without_a_word(missing: str) -> None:
    desk = Desk()
    desk.add()
    word = {**ANN, missing: ""}

    with pytest.raises(InvalidValueError) as raised:
        desk.book.add(standing_order(id="ap-2"), as_of=DAY, **word)

    assert raised.value.path == missing
    assert desk.book.of_payer("p1")[-1].id == "ap-1"


@pytest.mark.parametrize("version", [-1, True, "1"])
def test_a_version_is_a_number(version: Any) -> None:
    desk = Desk()
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.do(Skip(FEBRUARY), version)

    assert raised.value.code == "OutOfRange"


def test_what_is_not_in_the_book_is_refused_by_name() -> None:
    desk = Desk()

    for ask in (
        lambda: desk.book.get("ap-9"),
        lambda: desk.book.payer("p9"),
        lambda: desk.do(Skip(FEBRUARY), 0, autopay="ap-9"),
        lambda: desk.book.remove_association(
            "p9", to_client(payer="p9"), as_of=DAY, version=0, **ANN
        ),
    ):
        with pytest.raises(InvalidValueError) as raised:
            ask()
        assert raised.value.code == "NotInBook"


def test_r11_nothing_is_changed_for_a_day_that_has_not_come() -> None:
    desk = Desk()
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.book.do(
            "ap-1",
            TurnOff(),
            as_of=MARCH,
            version=1,
            ports=desk.ports,
            **ANN,
        )

    assert raised.value.code == "DateAhead"


def test_o1_a_command_changes_no_field_that_is_not_its_own() -> None:
    with pytest.raises(InvalidValueError) as raised:
        ChangeRules({"payer": "p2"})

    assert (raised.value.code, raised.value.path) == ("UnknownField", "rules")


# -- What an edit keeps -------------------------------------------------------


def test_s6_an_edit_of_the_schedule_grants_no_other_year() -> None:
    desk = Desk()
    desk.add()
    desk.night()
    year = desk.book.get("ap-1").autopay.enrollments

    done = desk.do(
        ChangeSchedule(Schedule.monthly(date(2026, 2, 15))),
        1,
        as_of=date(2026, 2, 1),
    )

    assert done.version.autopay.enrollments == year


def test_s6_leaving_and_coming_back_grants_no_other_year() -> None:
    desk = Desk()
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))
    desk.night()
    before = desk.book.get("ap-1").autopay.enrollments[1]
    later = date(2026, 6, 10)

    desk.do(Leave((to_client("C-2"),)), 1, as_of=later)
    desk.do(ChangeName("Acme"), 2, as_of=later)
    done = desk.do(Enroll((to_client("C-2"),)), 3, as_of=later)

    assert done.version.autopay.enrollments[1] == before
    assert done.version.left == ()


def test_s6_what_comes_back_after_its_year_gets_a_new_one() -> None:
    desk = Desk()
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))
    desk.do(Leave((to_client("C-2"),)), 1)
    later = date(2027, 6, 10)

    done = desk.do(Enroll((to_client("C-2"),)), 2, as_of=later)

    assert done.version.autopay.enrollments[1].years_from == (
        date(2027, 6, 30),
    )


def test_s6_what_is_new_begins_on_the_day_on_which_it_is_enrolled() -> None:
    desk = Desk()
    desk.add()

    done = desk.do(Enroll((to_client("C-2"), to_client())), 1, as_of=FEBRUARY)

    assert [each.years_from for each in done.version.autopay.enrollments] == [
        (DAY,),
        (FEBRUARY,),
    ]


def test_what_is_not_enrolled_cannot_leave() -> None:
    desk = Desk()
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.do(Leave((to_client("C-9"),)), 1)

    assert raised.value.code == "NotEnrolled"
    assert raised.value.path == "associations[0]"


def test_s6_a_second_click_on_renew_renews_once() -> None:
    desk = Desk()
    desk.add()
    late = date(2026, 12, 20)

    first = desk.do(Renew(), 1, as_of=late)
    second = desk.do(Renew(), 1, as_of=late)
    with pytest.raises(InvalidValueError) as raised:
        desk.do(Renew(), 2, as_of=late)

    assert second.version == first.version
    assert raised.value.code == "RenewalTooEarly"


def test_s11_a_pause_is_made_lengthened_and_ended() -> None:
    desk = Desk()
    desk.add()
    until = PauseDates(from_on=FEBRUARY, to_on=MARCH)

    desk.do(until, 1)
    assert not desk.do(until, 2).is_new
    longer = desk.do(PauseDates(from_on=FEBRUARY), 2)
    assert [each.to_on for each in longer.version.autopay.pauses] == [None]
    resumed = desk.do(Resume(), 3, as_of=date(2026, 3, 10))

    [pause] = resumed.version.autopay.pauses
    assert (pause.from_on, pause.to_on) == (FEBRUARY, date(2026, 3, 10))
    assert not desk.do(Resume(), 4, as_of=date(2026, 3, 10)).is_new


def test_s11_a_pause_that_begins_today_falls_away_when_it_is_resumed() -> None:
    desk = Desk()
    desk.add()
    desk.do(PauseDates(from_on=DAY), 1)
    later = PauseDates(from_on=date(2026, 5, 1), to_on=date(2026, 6, 1))
    desk.do(later, 2)

    done = desk.do(Resume(), 3)

    assert [each.from_on for each in done.version.autopay.pauses] == [
        later.from_on
    ]


def test_s11_turning_on_again_makes_nothing_up() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.do(TurnOff(), 1)
    assert not desk.do(TurnOff(MARCH), 2).is_new
    done = desk.do(TurnOn(), 2, as_of=date(2026, 4, 10))

    results = desk.night(date(2026, 4, 10))
    assert {each.reason for each in results} <= {"Off", "Paused"}
    assert desk.taken == []
    assert done.version.autopay.off_from is None
    assert desk.night(APRIL)[-1].status is RunStatus.PAID
    assert len(desk.taken) == 1


def test_s15_a_month_that_was_collected_is_not_collected_again() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add(standing_order(schedule=Schedule.monthly(date(2026, 2, 5))))
    desk.night(date(2026, 2, 5))
    desk.matters = type(desk.matters)([bill("INV-2", "30")])
    new = ChangeSchedule(Schedule.monthly(date(2026, 2, 20)))

    seen = desk.book.preview(
        "ap-1", new, as_of=date(2026, 2, 6), ports=desk.ports
    )
    done = desk.do(new, 1, as_of=date(2026, 2, 6))

    assert seen.left_out == done.left_out == (date(2026, 2, 20),)
    [dropped] = desk.night(date(2026, 2, 20))
    assert dropped.status is RunStatus.CANCELLED
    assert desk.night(date(2026, 3, 20))[-1].charged == usd("30")


def test_s15_what_is_under_way_counts_as_collected() -> None:
    desk = Desk(bill("INV-1", "100"), bank_debits_pend=True)
    desk.add(
        standing_order(
            schedule=Schedule.monthly(date(2026, 2, 5)), method=BANK
        )
    )
    [result] = desk.night(date(2026, 2, 5))
    assert result.status is RunStatus.PENDING

    done = desk.do(
        ChangeSchedule(Schedule.monthly(date(2026, 2, 20))),
        1,
        as_of=date(2026, 2, 6),
    )

    assert done.left_out == (date(2026, 2, 20),)


def test_an_edit_says_which_skips_it_drops() -> None:
    desk = Desk()
    desk.add()
    desk.do(Skip(FEBRUARY), 1)

    done = desk.do(ChangeSchedule(Schedule.monthly(date(2026, 2, 15))), 2)

    assert done.dropped == (FEBRUARY,)


# -- Before it is done --------------------------------------------------------


def test_o1_a_preview_shows_what_a_command_will_change() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()

    seen = desk.book.preview(
        "ap-1", Skip(FEBRUARY), as_of=date(2026, 2, 1), ports=desk.ports
    )

    assert seen.version == 1
    assert [each.charge_on for each in seen.before.dates] == [
        FEBRUARY,
        MARCH,
        APRIL,
    ]
    assert [each.charge_on for each in seen.after.dates] == [
        MARCH,
        APRIL,
        date(2026, 5, 31),
    ]
    assert seen.after.next is not None
    assert seen.after.years == ((to_client(), DAY, date(2027, 1, 31)),)
    assert seen.after.next_charge is not None
    assert seen.after.next_charge.total == usd("100")
    assert not seen.changes_nothing
    assert desk.book.get("ap-1").number == 1


def test_a_preview_without_the_ledger_shows_the_dates() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()

    class Away:
        def open_invoices(self, query: Any) -> Any:
            raise PortUnavailableError("away")

    seen = desk.book.preview(
        "ap-1",
        ChangeName("Acme monthly"),
        as_of=DAY,
        ports=desk.ports_with(matters=Away()),
    )

    assert seen.after.next_charge is None
    assert seen.changes_nothing


def test_a_new_order_can_be_previewed() -> None:
    desk = Desk(bill("INV-1", "100"))

    seen = desk.book.preview_new(standing_order(), as_of=DAY, ports=desk.ports)

    assert seen.state is AutoPayState.ACTIVE
    assert seen.next_charge is not None
    assert seen.next_charge.total == usd("100")


# -- State --------------------------------------------------------------------


def state(desk: Desk, on: date) -> AutoPayState:
    return desk.book.look("ap-1", on=on, ports=desk.ports).state


def test_s14_a_look_says_state_next_date_end_and_what_blocks() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()

    assert state(desk, date(2026, 1, 5)) is AutoPayState.NOT_STARTED
    assert state(desk, DAY) is AutoPayState.ACTIVE
    desk.night()
    look = desk.book.look("ap-1", on=DAY, ports=desk.ports)
    assert look.outlook.next is not None
    assert look.outlook.next.charge_on == FEBRUARY  # January was collected.
    assert look.outlook.ends_on == date(2027, 1, 31)
    desk.do(PauseDates(from_on=date(2026, 2, 1), to_on=MARCH), 1)
    assert state(desk, FEBRUARY) is AutoPayState.PAUSED
    desk.do(TurnOff(APRIL), 2)
    assert state(desk, APRIL) is AutoPayState.OFF
    hold(
        hold_values.Hold.on_payer("p1", by="Ann", reason="bankrupt"),
        ports=desk.ports,
    )
    look = desk.book.look("ap-1", on=MARCH, ports=desk.ports)
    assert look.state is AutoPayState.NEEDS_ATTENTION
    assert look.blocks == ("bankrupt",)


def test_s8_a_look_counts_payments_and_what_was_taken() -> None:
    desk = Desk(bill("INV-1", "100"))
    limit = Limit.up_to(usd("50"), lifetime=usd("50"))
    desk.add(standing_order(limit=limit))
    desk.add(standing_order(id="ap-2", payments=1))
    desk.night()

    first = desk.book.look("ap-1", on=FEBRUARY, ports=desk.ports)
    second = desk.book.look("ap-2", on=FEBRUARY, ports=desk.ports)

    assert first.outlook.ending is Ending.LIFETIME
    assert second.outlook.ending is Ending.PAYMENTS
    assert not second.outlook.is_paid_off


def test_s7_a_look_says_that_a_plan_is_paid_off() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add(
        standing_order(
            enrollments=(to_invoice("INV-1"),),
            limit=Limit.up_to(usd("60")),
        )
    )

    def outlook(on: date) -> Any:
        return desk.book.look("ap-1", on=on, ports=desk.ports).outlook

    desk.night()
    assert outlook(DAY).state is AutoPayState.ACTIVE
    desk.night(FEBRUARY)  # 40 of 40: all of it is on its way.

    found = outlook(FEBRUARY + timedelta(days=1))
    assert found.is_paid_off
    assert found.state is AutoPayState.ENDED
    assert found.next is None
    desk.apply()
    desk.matters = type(desk.matters)([bill("INV-1", "0")])
    assert outlook(FEBRUARY + timedelta(days=1)).is_paid_off
    desk.matters = type(desk.matters)([bill("INV-1", "30")])
    assert not outlook(MARCH).is_paid_off

    class Away:
        def open_invoices(self, query: Any) -> Any:
            raise PortUnavailableError("away")

    away = desk.ports_with(matters=Away())
    look = desk.book.look("ap-1", on=MARCH, ports=away)
    assert look.state is AutoPayState.ACTIVE


# -- Payers -------------------------------------------------------------------


def test_a6_associations_are_kept_as_they_were_found() -> None:
    desk = Desk()
    found = [SearchResult(client="C-1"), SearchResult(client="C-2")]
    desk.book.associate(
        "p1",
        found,
        search_by=SearchBy.CLIENT_NAME,
        text="harb",
        version=0,
        **ANN,
    )

    again = desk.book.associate("p1", found[:1], version=1, **ANN)
    desk.book.save_payer("p1", "Harbour Foods", version=1, **ANN)

    assert not again.is_new
    payer = desk.book.payer("p1").payer
    assert payer.criteria == ((SearchBy.CLIENT_NAME, "harb"),)
    assert [each.association.client for each in payer.associations] == [
        "C-1",
        "C-2",
    ]
    assert desk.book.payer_changes("p1")[-1].fields == ("name",)


def test_a7_only_what_is_associated_is_enrolled() -> None:
    desk = Desk()
    saved(desk)
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.do(Enroll((to_client("C-2"),)), 1)
    assert raised.value.code == "NotAssociated"
    assert raised.value.path == "enrollments[1]"
    with pytest.raises(InvalidValueError) as raised:
        desk.add(standing_order(id="ap-2", enrollments=(to_client("C-2"),)))
    assert raised.value.code == "NotAssociated"
    assert desk.do(Enroll((to_invoice("INV-1"),)), 1).is_new


def test_a7_only_a_saved_method_is_charged() -> None:
    desk = Desk()
    saved(desk)
    desk.add()

    with pytest.raises(InvalidValueError) as raised:
        desk.do(ChangeMethod(BANK), 1)
    assert raised.value.code == "MethodNotSaved"
    desk.book.save_method("p1", BANK, version=2, **ANN)
    assert desk.do(ChangeMethod(BANK), 1).is_new


def test_a7_a_removed_association_leaves_every_order_in_one_step() -> None:
    desk = Desk(bill("INV-1", "100"), bill("INV-2", "7", client="C-2"))
    saved(desk, to_client(), to_client("C-2"))
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))
    desk.add(standing_order(id="ap-2", enrollments=(to_client(),)))

    done = desk.book.remove_association(
        "p1", to_client("C-2"), as_of=DAY, version=2, **ANN
    )
    again = desk.book.remove_association(
        "p1", to_client("C-2"), as_of=DAY, version=2, **ANN
    )

    assert [each.id for each in done.with_it] == ["ap-1"]
    assert (again.is_new, again.version) == (False, done.version)
    assert desk.book.get("ap-2").number == 1
    changed = desk.book.get("ap-1")
    assert changed.command == "RemoveAssociation"
    assert [each.association for each in changed.autopay.enrollments] == [
        to_client()
    ]
    desk.night()
    assert {each.client for each in desk.postings()} == {"C-1"}
    with pytest.raises(InvalidValueError) as raised:
        desk.book.remove_association(
            "p1", to_client("C-2"), as_of=DAY, version=3, **ANN
        )
    assert raised.value.code == "NotAssociated"


def test_a7_what_is_still_covered_from_above_stays_enrolled() -> None:
    desk = Desk()
    saved(desk, to_client(), to_invoice("INV-1"))
    desk.add(standing_order(enrollments=(to_invoice("INV-1"),)))

    done = desk.book.remove_association(
        "p1", to_invoice("INV-1"), as_of=DAY, version=2, **ANN
    )

    assert done.with_it == ()


def test_a7_a_date_of_an_order_whose_method_was_removed_is_lost() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    desk.book.remove_method("p1", CARD, as_of=DAY, version=2, **ANN)

    [result] = desk.night()

    assert result.status is RunStatus.FAILED
    assert result.reason == "MethodGone"
    assert NoticeKind.FAILED in desk.told()
    assert desk.taken == []
    look = desk.book.look("ap-1", on=DAY, ports=desk.ports)
    assert look.state is AutoPayState.NEEDS_ATTENTION
    with pytest.raises(InvalidValueError) as raised:
        desk.book.run_now("ap-1", as_of=DAY, number=1, ports=desk.ports, **ANN)
    assert raised.value.code == "MethodNotSaved"
    with pytest.raises(InvalidValueError) as raised:
        desk.book.remove_method("p1", CARD, as_of=DAY, version=3, **ANN)
    assert raised.value.code == "MethodNotSaved"
    desk.book.save_method("p1", CARD, version=3, label="Visa", **ANN)
    assert desk.night(FEBRUARY)[-1].status is RunStatus.PAID


def test_a7_a_night_pays_nothing_that_is_no_longer_associated() -> None:
    """Also where somebody wrote the payer past the commands."""
    desk = Desk(bill("INV-1", "100"), bill("INV-2", "7", client="C-2"))
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))
    payer = Payer(
        id="p1",
        associations=(KeptAssociation(association=to_client("C-2")),),
        methods=(SavedMethod(method=CARD),),
    )
    written: Any = desk.book._store.write(
        (Draft(value=payer, number=1, command="Try", **ANN),), {}
    )
    assert [each.number for each in written] == [1]

    [result] = desk.night()

    assert result.charged == usd("7")
    look = desk.book.look("ap-1", on=DAY, ports=desk.ports)
    assert look.blocks == ("the payer is no longer associated with all of it",)


def test_a7_a_payer_that_is_new_to_the_book_takes_nothing_from_orders() -> (
    None
):
    desk = Desk(bill("INV-1", "100"), bill("INV-2", "7", client="C-2"))
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))

    desk.book.save_method("p1", BANK, version=0, **ANN)

    payer = desk.book.payer("p1").payer
    assert payer.has(CARD, DAY)
    assert payer.has(BANK, DAY)
    [result] = desk.night()
    assert result.charged == usd("107")


def test_a7_what_a_removal_would_cost_is_shown_before_it_is_done() -> None:
    desk = Desk(bill("INV-1", "100"), bill("INV-2", "7", client="C-2"))
    saved(desk, to_client(), to_client("C-2"))
    desk.add(standing_order(enrollments=(to_client(), to_client("C-2"))))
    desk.add(standing_order(id="ap-2", enrollments=(to_client(),)))

    def removal(what: Any) -> Any:
        return desk.book.preview_removal(
            "p1", what, as_of=DAY, ports=desk.ports
        )

    [one] = removal(to_client("C-2"))
    assert one.before.next_charge.total == usd("107")
    assert one.after.next_charge.total == usd("100")
    assert one.autopay.id == "ap-1"
    without = removal(CARD)
    assert [each.autopay.id for each in without] == ["ap-1", "ap-2"]
    for each in without:
        assert each.before.state is AutoPayState.ACTIVE
        assert each.after.state is AutoPayState.NEEDS_ATTENTION
        assert each.after.next_charge is None
    for what, code in (
        (to_client("C-9"), "NotAssociated"),
        (BANK, "MethodNotSaved"),
    ):
        with pytest.raises(InvalidValueError) as raised:
            removal(what)
        assert raised.value.code == code
    assert desk.book.payer("p1").number == 2


# -- Authorisations -----------------------------------------------------------


NEEDED = Policy(authorization_needed=frozenset({MethodKind.CARD}))


def allow(desk: Desk, version: int = 2, **changes: Any) -> None:
    desk.book.authorize("p1", allowed(**changes), version=version, **ANN)


def careful(desk: Desk, as_of: date = DAY) -> list[RunResult]:
    """Let a night pass of a host that asks for authorisations."""
    desk.clock.reach(as_of)
    ports = desk.ports_with(policy=NEEDED)
    return list(desk.book.sweep(as_of=as_of, ports=ports))


def test_o2_nothing_is_charged_that_nobody_allowed() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()

    [result] = careful(desk)

    assert (result.status, result.reason) == (
        RunStatus.WAITING,
        "NotAuthorized",
    )
    assert desk.taken == []
    look = desk.book.look("ap-1", on=DAY, ports=desk.ports_with(policy=NEEDED))
    assert look.state is AutoPayState.NEEDS_ATTENTION
    allow(desk)
    [result] = careful(desk, DAY + timedelta(days=1))
    assert result.status is RunStatus.PAID


def test_o2_a_charge_names_what_allowed_it_and_the_proof_shows_it() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    allow(desk)

    [result] = careful(desk)
    assert result.key is not None
    desk.book.revoke("p1", "auth-1", as_of=DAY, version=3, **ANN)
    proof = desk.book.proof(result.key, ports=desk.ports)

    assert proof.record.intent is not None
    request = proof.record.intent.request
    assert request.authorization == "auth-1"
    assert proof.authorization == allowed()
    assert proof.said is not None
    assert (proof.said.command, proof.said.by) == ("Authorize", "Ann")
    assert [each.amount for each in proof.postings] == [usd("100")]


def test_o2_no_more_is_charged_than_was_allowed() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    allow(desk, most=usd("30"))

    [result] = careful(desk)

    assert result.charged == usd("30")


def test_o2_a_range_below_the_minimum_allows_nothing() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add(standing_order(limit=Limit.all("USD", minimum=usd("50"))))
    allow(desk, most=usd("30"))

    [result] = careful(desk)

    assert result.reason == "NotAuthorized"


def test_o2_where_nobody_asks_for_it_a_charge_names_it_all_the_same() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    allow(desk, most=usd("30"))

    [result] = desk.night()

    assert result.charged == usd("100")
    assert result.record is not None
    assert result.record.intent is not None
    assert result.record.intent.request.authorization == "auth-1"


def test_o2_what_was_revoked_allows_nothing_more() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    allow(desk)
    again = desk.book.authorize("p1", allowed(), version=3, **ANN)
    assert not again.is_new

    desk.book.revoke("p1", "auth-1", as_of=DAY, version=3, **ANN)

    [result] = careful(desk)
    assert result.reason == "NotAuthorized"
    with pytest.raises(InvalidValueError) as raised:
        desk.book.revoke("p1", "auth-9", as_of=DAY, version=4, **ANN)
    assert raised.value.code == "NotInBook"


def test_o2_a_run_on_demand_names_what_allowed_it() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    allow(desk, most=usd("30"))

    result = desk.book.run_now(
        "ap-1",
        as_of=DAY,
        number=1,
        ports=desk.ports_with(policy=NEEDED),
        **ANN,
    )

    assert result.charged == usd("30")
    assert result.record is not None
    assert result.record.intent is not None
    assert result.record.intent.request.authorization == "auth-1"


def consumer_desk(most: Money | None, limit: Limit) -> Desk:
    """Return one whose payer's own bank account is debited."""
    desk = Desk(bill("INV-1", "100"))
    account = attrs.evolve(BANK, consumer=True)
    desk.book.save_method("p1", account, label="Own", version=0, **ANN)
    desk.book.associate("p1", [to_client()], version=1, **ANN)
    desk.add(standing_order(method=account, limit=limit))
    allow(desk, method=account.fingerprint, most=most)
    return desk


@pytest.mark.parametrize(
    ("most", "limit", "is_ranged"),
    [
        (usd("30"), Limit.up_to(usd("30")), True),
        (usd("30"), Limit.up_to(usd("20")), True),
        (usd("30"), Limit.up_to(usd("31")), False),
        (usd("30"), Limit.all("USD"), False),
        (None, Limit.up_to(usd("30")), False),
    ],
)
def test_n4_an_authorisation_may_have_the_range_for_a_consumer(
    most: Money | None,
    limit: Limit,
    is_ranged: bool,
) -> None:
    desk = consumer_desk(most, limit)
    ports = desk.ports_with(policy=Policy(consumer_notice_needed=True))
    blocks = desk.book.look("ap-1", on=DAY, ports=ports).blocks
    demand = {"as_of": DAY, "number": 1, "ports": ports, **ANN}

    [result] = desk.book.sweep(as_of=DAY, ports=ports)

    assert (blocks == ()) is is_ranged
    assert (result.reason == "NoticeNeeded") is not is_ranged
    assert bool(desk.taken) is is_ranged
    if is_ranged:
        assert desk.book.run_now("ap-1", **demand).status is RunStatus.PAID
    else:
        with pytest.raises(InvalidValueError, match="AuthorizationNeeded"):
            desk.book.run_now("ap-1", **demand)


def test_n4_where_an_authorisation_is_needed_it_is_the_range() -> None:
    """It bounds what is taken, whatever the order's own limit says."""
    desk = consumer_desk(usd("30"), Limit.all("USD"))
    policy = Policy(
        authorization_needed=frozenset({MethodKind.BANK_ACCOUNT}),
        consumer_notice_needed=True,
    )

    [result] = desk.book.sweep(as_of=DAY, ports=desk.ports_with(policy=policy))

    assert result.charged == usd("30")


def test_a_run_that_is_not_on_record_has_no_proof() -> None:
    desk = Desk()

    with pytest.raises(InvalidValueError) as raised:
        desk.book.proof(
            RunKey(autopay="ap-1", nominal_on=DAY), ports=desk.ports
        )

    assert raised.value.code == "RunNotFound"


def test_a_run_without_an_authorisation_has_the_rest_of_its_proof() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    [result] = desk.night()
    assert result.key is not None

    proof = desk.book.proof(result.key, ports=desk.ports)

    assert (proof.authorization, proof.said) == (None, None)
    assert len(proof.postings) == 1


# -- What hosts bring along ---------------------------------------------------


def test_o1_a_hosts_own_orders_are_adopted_with_their_windows() -> None:
    desk = Desk(bill("INV-1", "100"))
    own = standing_order(
        enrollments=(
            Enrollment(
                association=to_client(), years_from=(date(2025, 6, 30),)
            ),
        )
    )
    desk.run(own)
    texts = [serialization.dumps(own), "no order", serialization.dumps(own)]

    first, second, third = desk.book.adopt(texts, as_of=DAY, **ANN)

    assert (first.id, first.is_new, first.error) == ("ap-1", True, None)
    assert isinstance(second.error, AutopayError)
    assert (second.place, second.id, second.version) == (1, "", None)
    assert (third.is_new, third.version) == (False, first.version)
    assert desk.book.get("ap-1").autopay == own
    assert desk.night() == []  # Its run is on record.


def test_o1_an_adopted_order_is_left_as_it_stands() -> None:
    desk = Desk()
    text = serialization.dumps(standing_order())
    desk.book.adopt([text], as_of=DAY, **ANN)
    desk.do(ChangeName("Acme"), 1)

    [again] = desk.book.adopt([text], as_of=DAY, **ANN)
    other = serialization.dumps(standing_order(name="Another"))
    [refused] = desk.book.adopt([other], as_of=DAY, **ANN)

    assert not again.is_new
    assert again.version == desk.book.get("ap-1")
    assert isinstance(refused.error, OutdatedError)
    assert refused.id == "ap-1"


# -- Nights -------------------------------------------------------------------


def test_s11_what_was_announced_and_is_no_date_any_more_is_dropped() -> None:
    """An edit moves the next date; the old one was announced before."""
    desk = Desk(bill("INV-1", "100"))
    desk.add(standing_order(advance_notice=AdvanceNotice(days=10)))
    told_on = FEBRUARY - timedelta(days=10)
    desk.night(DAY)
    desk.night(told_on)
    [announced] = [
        each for each in desk.store.runs() if each.state is RunState.ANNOUNCED
    ]
    assert announced.charge_on == FEBRUARY
    later = ChangeSchedule(Schedule.monthly(date(2026, 2, 15)))
    desk.do(later, 1, as_of=told_on)

    desk.night(told_on + timedelta(days=1))

    assert desk.next_on() == FEBRUARY
    desk.night(FEBRUARY)
    [dropped] = [
        each for each in desk.store.runs() if each.key == announced.key
    ]
    assert (dropped.state, dropped.reason) == (RunState.CANCELLED, "Skipped")


def test_o3_an_order_has_a_turn_when_something_is_to_be_done() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    assert [each.id for each in desk.book.due(DAY)] == ["ap-1"]

    assert [each.status for each in desk.night()] == [RunStatus.PAID]

    assert desk.book.due(DAY) == ()
    assert desk.next_on() == FEBRUARY
    reads: list[str] = []
    asked = desk.store.standing

    def standing(*args: Any) -> Any:
        if args[0].autopay == "ap-1":
            reads.append("standing")
        return asked(*args)

    desk.store.standing = standing  # type: ignore[method-assign]
    assert desk.night(date(2026, 2, 10)) == []
    assert "standing" not in reads


def test_o3_an_edit_moves_the_next_day_back_in_its_commit() -> None:
    desk = Desk()
    desk.add()
    desk.night()
    on = date(2026, 2, 10)

    desk.do(ChangeName("Acme"), 1, as_of=on)

    assert desk.next_on() == on


def test_o3_an_edit_in_the_middle_of_a_turn_is_not_lost() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()

    for _ in desk.book.sweep(as_of=DAY, ports=desk.ports):
        desk.do(ChangeName("Acme"), 1)

    assert desk.next_on() == DAY


def test_r13_an_order_that_is_edited_in_its_night_has_one_turn_in_it() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    on = DAY + timedelta(days=1)
    desk.clock.reach(on)

    results: list[RunResult] = []
    for each in desk.book.sweep(as_of=on, ports=desk.ports):
        results.append(each)
        desk.do(ChangeName("Acme"), 1, as_of=on)

    assert [each.status for each in results] == [RunStatus.PAID]
    assert desk.next_on() == on


def test_r7_an_order_that_is_turned_off_while_others_run_is_not_charged() -> (
    None
):
    desk = Desk(bill("INV-1", "100"), bill("INV-2", "7", client="C-2"))
    desk.add()
    desk.add(standing_order(id="ap-2", enrollments=(to_client("C-2"),)))

    for _ in desk.book.sweep(as_of=DAY, ports=desk.ports):
        if desk.book.get("ap-2").number == 1:
            desk.do(TurnOff(), 1, autopay="ap-2")

    assert desk.taken == [usd("100")]


def test_o3_a_night_that_is_cut_off_is_done_again() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    results = desk.book.sweep(as_of=DAY, ports=desk.ports)
    next(results)
    results.close()  # type: ignore[attr-defined] # a generator

    assert desk.next_on() == DAY
    assert desk.night() == []
    assert desk.next_on() == FEBRUARY
    assert len(desk.taken) == 1


def test_o3_what_waits_has_a_turn_every_night() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    held = hold(
        hold_values.Hold.on_payer("p1", by="Ann", reason="bankrupt"),
        ports=desk.ports,
    )
    [result] = desk.night()
    assert result.status is RunStatus.WAITING
    assert desk.next_on() == DAY + timedelta(days=1)

    lift(held, by="Ann", reason="settled", ports=desk.ports)
    [result] = desk.night(DAY + timedelta(days=1))

    assert result.status is RunStatus.PAID


def test_o3_what_is_taken_back_to_waiting_wakes_its_order() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add(standing_order(schedule=Schedule.monthly(date(2026, 1, 5))))
    later = date(2026, 3, 6)
    missed, *_ = desk.night(later)
    assert missed.status is RunStatus.MISSED
    assert missed.key is not None
    desk.matters = type(desk.matters)([bill("INV-2", "30")])

    rerun(missed.key, by="Ann", reason="was down", ports=desk.ports)
    results = desk.night(later + timedelta(days=1))

    assert [each.key for each in results] == [missed.key]


def test_o3_what_is_in_doubt_has_a_turn_every_night() -> None:
    desk = Desk(bill("INV-1", "100"), bank_debits_pend=True)
    desk.add(standing_order(method=BANK))
    [result] = desk.night()
    assert result.status is RunStatus.PENDING

    assert desk.next_on() == DAY + timedelta(days=1)


def test_o3_a_run_that_another_worker_has_is_looked_at_tomorrow() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.store.claim(RunKey(autopay="ap-1", nominal_on=DAY), 3_600)

    assert desk.night(claim_seconds=60) == []

    assert desk.next_on() == DAY + timedelta(days=1)
    assert desk.night(DAY + timedelta(days=1))[-1].status is RunStatus.PAID


def test_o3_a_turn_on_a_clock_that_cannot_be_right_is_had_again() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    desk.night()
    desk.do(PauseDates(from_on=date(2026, 2, 1)), 1)
    silent = date(2026, 3, 8)  # 36 days after the last commit.

    assert [each.status for each in desk.night(silent)] == []

    assert desk.next_on() == silent + timedelta(days=1)
    clock_is_right(by="Ann", reason="a quiet month", ports=desk.ports)
    [dropped] = desk.night(silent + timedelta(days=1))
    assert dropped.reason == "Paused"


def test_o3_a_run_beside_the_book_is_seen() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    run(standing_order(), on=DAY, ports=desk.ports)

    assert desk.night() == []
    assert desk.next_on() == FEBRUARY


def test_r6_an_order_that_cannot_be_read_stops_no_other() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add(standing_order(id="ap-0"))
    desk.add()
    store: Any = desk.book._store
    latest = store.latest

    def spoilt(*args: Any) -> Any:
        return tuple(
            attrs.evolve(
                each, version=Unreadable(key=each.id, code="FormatNewer")
            )
            if each.id == "ap-0"
            else each
            for each in latest(*args)
        )

    store.latest = spoilt
    first, second = desk.night()

    assert (first.status, first.autopay) == (RunStatus.POSTPONED, "ap-0")
    assert second.status is RunStatus.PAID
    assert [each.id for each in desk.book.due(DAY)] == ["ap-0"]


def test_r6_a_payer_that_cannot_be_read_takes_nothing() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    store: Any = desk.book._store
    latest = store.latest

    def spoilt(*args: Any) -> Any:
        return tuple(
            attrs.evolve(
                each, version=Unreadable(key=each.id, code="FormatNewer")
            )
            if each.id == "p1"
            else each
            for each in latest(*args)
        )

    store.latest = spoilt
    [result] = desk.night()

    assert result.status is RunStatus.POSTPONED
    assert desk.taken == []
    with pytest.raises(PortError):
        desk.book.payer("p1")


def test_a_book_that_goes_away_ends_the_night_after_what_is_under_way() -> (
    None
):
    desk = Desk(bill("INV-1", "100"))
    desk.add()
    store: Any = desk.book._store

    def away(*_: Any) -> Any:
        raise PortUnavailableError("away")

    store.move_on = away
    results = desk.book.sweep(as_of=DAY, ports=desk.ports)

    assert next(results).status is RunStatus.PAID
    with pytest.raises(PortUnavailableError):
        next(results)
    assert desk.next_on() == DAY


def test_r6_an_order_whose_balances_cannot_be_read_is_due_tomorrow() -> None:
    desk = Desk(bill("INV-1", "100"))
    desk.add()

    class Away:
        def open_invoices(self, query: Any) -> Any:
            raise PortUnavailableError("away")

    [result] = desk.book.sweep(
        as_of=DAY, ports=desk.ports_with(matters=Away())
    )

    assert result.status is RunStatus.WAITING
    assert desk.next_on() == DAY + timedelta(days=1)
    assert desk.night(DAY + timedelta(days=1))[-1].status is RunStatus.PAID


def test_o3_what_cannot_be_looked_at_after_its_turn_is_due_tomorrow() -> None:
    desk = Desk()
    desk.add()
    desk.night()
    desk.do(ChangeName("Acme"), 1)
    asked, reads = desk.store.standing, [0]

    def standing(*arguments: Any) -> Any:
        reads[0] += arguments[0].autopay == "ap-1"
        if reads[0] > 1:
            raise PortUnavailableError("away")
        return asked(*arguments)

    desk.store.standing = standing  # type: ignore[method-assign]
    assert desk.night() == []

    assert desk.next_on() == DAY + timedelta(days=1)


def test_o1_versions_are_read_page_by_page() -> None:
    desk = Desk()
    desk.add()
    for number in range(1, 502):
        desk.do(ChangeName(f"name {number}"), number)

    found = desk.book.versions("ap-1")

    assert [each.number for each in found] == list(range(1, 503))
    assert desk.book.changes("ap-1")[-1].fields == ("name",)


def test_r14_a_run_on_demand_is_of_the_version_that_stands() -> None:
    desk = Desk(bill("INV-1", "100"))
    saved(desk)
    desk.add()
    desk.do(ChangeLimit(Limit.up_to(usd("40"))), 1)

    shown = desk.book.preview_run("ap-1", as_of=DAY, ports=desk.ports)
    assert shown.total == usd("40")
    result = desk.book.run_now(
        "ap-1", as_of=DAY, number=1, ports=desk.ports, **ANN
    )
    again = desk.book.run_now(
        "ap-1", as_of=DAY, number=1, ports=desk.ports, **ANN
    )

    assert result.charged == usd("40")
    assert again.record == result.record


def test_a_busy_book_gives_up() -> None:
    desk = Desk()
    saved(desk)
    desk.add()
    store: Any = desk.book._store
    write = store.write

    def busy(drafts: Any, expects: Any) -> Any:
        name = desk.book.payer("p1")
        desk.clock.advance(seconds=1)
        store.write = write
        desk.book.save_payer(
            "p1", f"{desk.clock.at}", version=name.number, **ANN
        )
        store.write = busy
        return write(drafts, expects)

    store.write = busy
    with pytest.raises(PortError) as raised:
        desk.do(Skip(FEBRUARY), 1)

    assert raised.value.code == "StoreBusy"
    assert desk.book.get("ap-1").number == 1
