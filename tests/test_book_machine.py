"""
The books agree, and no edit loses, doubles or lengthens anything (O1, O3).

One machine gives the same commands to a book in memory, in SQLite and, where
there is a server, in PostgreSQL, each twice, as a double click does. Nights
pass. Beside them stands a host without a book, which sweeps every order every
night: what is on record, and what was told, has to be the same, although the
books give a turn only to what is due. A second machine has a host that takes
its turns by themselves, as jobs of an engine do.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from autopay_core.autopay import (
    RENEWAL_DAYS,
    AdvanceNotice,
    AutoPayState,
    state_on,
    years,
)
from autopay_core.book import (
    Book,
    ChangeLimit,
    ChangeName,
    ChangeRules,
    ChangeSchedule,
    Enroll,
    Kind,
    Leave,
    MemoryBookStore,
    MoveDate,
    PauseDates,
    Renew,
    Resume,
    Skip,
    TurnOff,
    TurnOn,
)
from autopay_core.book.changes import what_changed
from autopay_core.book.sqlite import SqliteBookStore
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.notices import NoticeKind
from autopay_core.schedules import Schedule
from autopay_core.selections import Selection
from worlds import (
    DAY,
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

    from autopay_core.associations import Association
    from autopay_core.book import BookStore, Command

_DAY = timedelta(days=1)
some_selections = st.builds(Selection, least_age=st.integers(0, 90))
ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}
ORDERS = ("ap-1", "ap-2")
ENROLLED = (to_client(), to_client("C-2"), to_invoice("INV-1"))
SCHEDULES = (
    Schedule.monthly(DAY),
    Schedule.monthly(DAY, day=15),
    Schedule.monthly(DAY, count=4),
    Schedule.twice_monthly(DAY),
    Schedule.weekly(DAY, every=2),
    Schedule.quarterly(DAY),
    Schedule.once(DAY + 40 * _DAY),
)
INVOICES = tuple(
    bill(f"INV-{n}", "100", client=client, issued=date(2026, 1, n))
    for n, client in enumerate(("C-1", "C-1", "C-2"), start=1)
)


OF_THE_BOOK = (NoticeKind.CHANGED, NoticeKind.RENEWED)


def in_memory(clock: Clock) -> BookStore:
    return MemoryBookStore(clock=clock)


def in_sqlite(clock: Clock) -> BookStore:
    return SqliteBookStore(":memory:", in_memory=True, clock=clock)


def turn_by_turn(clock: Clock) -> BookStore:
    return MemoryBookStore(clock=clock)


class Host:
    """A world, with a book or without one."""

    def __init__(self, make: Callable[[Clock], BookStore] | None) -> None:
        self.world = World(*INVOICES)
        self.book = None if make is None else Book(make(self.world.clock))
        self.is_turn_by_turn = make is turn_by_turn

    def night(self, as_of: date) -> None:
        assert self.book is not None
        if self.is_turn_by_turn:
            groups = self.book.begin_night(as_of=as_of, ports=self.world.ports)
            for id_ in (each for group in groups for each in group):
                self.book.turn(id_, as_of=as_of, ports=self.world.ports)
        list(self.book.sweep(as_of=as_of, ports=self.world.ports))

    @property
    def outcome(self) -> Any:
        """What is on record, and what was told."""
        records = {
            each.key: (each.state, each.reason, each.charge_on)
            for each in self.world.records
        }
        told = sorted(
            (each.key, each.kind.name, each.detail)
            for each in self.world.notifier.sent
            if each.kind not in OF_THE_BOOK
        )
        return records, told, sorted(map(str, self.world.taken))

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """What was told of changes, which only a book knows of."""
        return sorted(
            (each.autopay, each.kind.name, each.detail)
            for each in self.world.notifier.sent
            if each.kind in OF_THE_BOOK
        )


def difference(found: Any, expected: Any) -> list[Any]:
    """Return what is in one outcome only."""
    both: list[Any] = []
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, dict):
            both += [
                (str(key), one.get(key), other.get(key))
                for key in sorted({*one, *other})
                if one.get(key) != other.get(key)
            ]
        else:
            both += [("more", each) for each in one if each not in other]
            both += [("less", each) for each in other if each not in one]
    return both


class BookMachine(RuleBasedStateMachine):
    """Orders that are edited while nights pass."""

    makes: ClassVar[list[Callable[[Clock], BookStore]]] = [
        in_memory,
        in_sqlite,
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hosts = [Host(make) for make in self.makes]
        self.without = Host(None)
        self.today = DAY - 3 * _DAY
        self.numbers: dict[str, int] = dict.fromkeys(ORDERS, 0)
        self.agreed: dict[tuple[str, Association], tuple[date, date]] = {}
        self.nights = 0
        self.known: dict[str, int] = dict.fromkeys(ORDERS, 1)
        self.changes: list[tuple[str, str, str]] = []

    @property
    def books(self) -> list[Book]:
        return [each.book for each in self.hosts if each.book is not None]

    @property
    def everybody(self) -> list[Host]:
        return [*self.hosts, self.without]

    @initialize(
        schedules=st.tuples(*[st.sampled_from(SCHEDULES)] * 2),
        notice=st.sampled_from([None, None, AdvanceNotice()]),
    )
    def begin(
        self,
        schedules: tuple[Schedule, Schedule],
        notice: AdvanceNotice | None,
    ) -> None:
        self.reach(self.today)
        for book in self.books:
            book.associate("p1", ENROLLED, version=0, **ANN)
            book.save_method("p1", standing_order().method, version=1, **ANN)
        for id_, schedule, enrolled in zip(
            ORDERS, schedules, (ENROLLED[:1], ENROLLED[1:]), strict=True
        ):
            order = standing_order(
                id=id_,
                schedule=schedule,
                enrollments=enrolled,
                advance_notice=notice,
            )
            for book in self.books:
                for is_new in (True, False):
                    done = book.add(order, as_of=self.today, **ANN)
                    assert done.is_new == is_new
            self.numbers[id_] = 1
            self.note_years(id_)

    def reach(self, day: date) -> None:
        for host in self.everybody:
            host.world.clock.reach(day)

    # -- What people do -------------------------------------------------------

    def days(self, data: st.DataObject) -> date:
        return self.today + data.draw(st.integers(0, 50)) * _DAY

    def coming(self, data: st.DataObject, id_: str) -> date:
        """Return one of the next dates, or any day."""
        look = self.books[0].look(
            id_, on=self.today, ports=self.hosts[0].world.ports
        )
        dates = [each.charge_on for each in look.outlook.dates]
        return data.draw(st.sampled_from([*dates, self.days(data)]))

    def command(self, data: st.DataObject, id_: str) -> Command:
        draw = data.draw
        on = self.days(data)
        associations = draw(
            st.lists(st.sampled_from(ENROLLED), min_size=1, max_size=2)
        )
        coming = self.coming(data, id_)
        limit = Limit.up_to(usd(draw(st.sampled_from(["20", "30"]))))
        until = draw(st.none() | st.just(on + 40 * _DAY))
        made: Any = draw(
            st.sampled_from(
                [
                    Enroll(tuple(associations)),
                    Leave(tuple(associations[:1])),
                    ChangeName(f"named on {on}"),
                    ChangeLimit(limit),
                    ChangeSchedule(draw(st.sampled_from(SCHEDULES))),
                    ChangeRules({"tell_nothing_due": draw(st.booleans())}),
                    ChangeRules({"selection": draw(some_selections)}),
                    PauseDates(from_on=on, to_on=until),
                    PauseDates(from_on=self.today),
                    Resume(),
                    Skip(coming),
                    MoveDate(on=coming, to=on),
                    TurnOff(draw(st.none() | st.just(on))),
                    TurnOn(),
                    Renew(),
                ]
            )
        )
        return cast("Command", made)

    @rule(data=st.data(), id_=st.sampled_from(ORDERS))
    def edit(self, data: st.DataObject, id_: str) -> None:
        """Do one of the things that people do."""
        self.give(self.command(data, id_), id_)

    @rule(id_=st.sampled_from(ORDERS), one=st.sampled_from(ENROLLED[:2]))
    def come_or_go(self, id_: str, one: Association) -> None:
        """Leave an order, or come back to it."""
        order = self.books[0].get(id_).autopay
        is_in = one in {each.association for each in order.enrollments}
        self.give(Leave((one,)) if is_in else Enroll((one,)), id_)

    def give(self, command: Command, id_: str) -> None:
        """Give a command twice to each book; all say the same of it."""
        seen = self.numbers[id_]
        answers = {
            self.answer(host, command, id_, seen) for host in self.hosts
        }
        assert len(answers) == 1, answers
        [(code, number)] = answers
        if code is None:
            assert number in (seen, seen + 1)
            self.numbers[id_] = number
            self.note_years(id_, command)

    def answer(
        self, host: Host, command: Command, id_: str, seen: int
    ) -> tuple[str | None, int]:
        assert host.book is not None
        given: dict[str, Any] = {
            "as_of": self.today,
            "version": seen,
            "ports": host.world.ports,
            **ANN,
        }
        try:
            first = host.book.do(id_, command, **given)
        except InvalidValueError as error:
            assert host.book.get(id_).number == seen
            return error.code, seen
        second = host.book.do(id_, command, **given)
        assert second.version == first.version
        assert not second.is_new
        assert first.is_new == (first.version.number == seen + 1)
        return None, first.version.number

    def note_years(self, id_: str, command: Command | None = None) -> None:
        """Demand that nothing but a renewal lengthens what was agreed."""
        order = self.books[0].get(id_).autopay
        for each in order.enrollments:
            windows = years(each, order.schedule)
            if not windows:
                continue
            place, end = (id_, each.association), windows[-1][1]
            began, before = self.agreed.get(place, (date.max, date.max))
            left = (before - self.today).days
            # What has not begun moves with its schedule, also where its first
            # date was moved (S6), and what is over may be enrolled anew.
            first_on = order.moves.get(began, began)
            if first_on <= self.today < before and not (
                isinstance(command, Renew) and left <= RENEWAL_DAYS
            ):
                assert end <= before, (command, before, end)
            self.agreed[place] = windows[0][0], end

    # -- Nights ---------------------------------------------------------------

    @rule(days=st.sampled_from([1, 1, 1, 2, 5, 12, 30]))
    def night(self, days: int) -> None:
        """Let days pass, and sweep: the books, and all orders without one."""
        self.today += days * _DAY
        self.reach(self.today)
        self.nights += 1
        for host in self.everybody:
            # A book commits more, and time goes on with that: no two nights
            # are whole days apart, after which something else holds.
            clock = host.world.clock
            clock.at = clock.at.replace(hour=13, minute=self.nights)
        # Who comes first pays what both have enrolled.
        first = [each.id for each in self.books[0].due(self.today)]
        for host in self.hosts:
            assert host.book is not None
            host.night(self.today)
            # What had its turn has none until the next day.
            assert not host.book.due(self.today)
        orders = [
            self.books[0].get(id_).autopay
            for id_ in dict.fromkeys([*first, *ORDERS])
            if self.numbers[id_]
        ]
        self.without.world.sweep(*orders, as_of=self.today)
        expected = self.without.outcome
        self.note_changes()
        for host in self.hosts:
            other = difference(host.outcome, expected)
            assert not other, other
            assert host.changes == sorted(self.changes)

    def note_changes(self) -> None:
        """Keep what each payer has to be told since the last time (N5)."""
        for id_ in ORDERS:
            versions = self.books[0].versions(id_)
            order, number = versions[-1].autopay, versions[-1].number
            look = self.books[0].look(
                id_, on=self.today, ports=self.hosts[0].world.ports
            )
            # Whether plans are paid off is not asked for this.
            known = attrs.evolve(look.known, paid_off={}, gone={}, holds=())
            state = state_on(order, self.today, known=known)
            if (
                number == self.known[id_]
                or state is AutoPayState.OFF
                or (state is AutoPayState.ENDED and order.enrollments)
            ):
                continue
            old = [
                each.number
                for each in versions
                if each.at.date() < self.today - 30 * _DAY
            ]
            before = max([self.known[id_], *old])
            self.changes += [
                (id_, each.kind.name, each.detail)
                for each in what_changed(
                    versions[before - 1].autopay,
                    order,
                    on=self.today,
                    as_of=self.today,
                    number=number,
                )
            ]
            self.known[id_] = number

    @invariant()
    def the_books_agree(self) -> None:
        first, *others = self.books
        for id_ in ORDERS:
            if not self.numbers[id_]:
                continue
            version = first.get(id_)
            assert version.number == self.numbers[id_]
            for each in others:
                assert each.get(id_).value == version.value
                assert each.get(id_).left == version.left
        for each in others:
            assert [
                (kept.id, kept.next_on) for kept in each.of_payer("p1")
            ] == [(kept.id, kept.next_on) for kept in first.of_payer("p1")]

    def teardown(self) -> None:
        for book in self.books:
            for id_ in ORDERS:
                found = book.versions(id_)
                assert [each.number for each in found] == list(
                    range(1, self.numbers[id_] + 1)
                )
            store: Any = book._store
            assert not store.latest(Kind.AUTOPAY, ["ap-9"])
            if hasattr(store, "close"):
                store.close()


def run_machine(machine: type[BookMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            phases=[
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
                Phase.shrink,
            ],
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ],
        ),
    )


def test_o1_books_agree_and_no_edit_loses_or_doubles_anything() -> None:
    run_machine(BookMachine, 25)


def test_o3_turns_by_themselves_and_a_sweep_at_the_end_are_a_night() -> None:
    class TurnByTurn(BookMachine):
        makes: ClassVar[list[Any]] = [in_memory, turn_by_turn]

    run_machine(TurnByTurn, 15)


@pytest.mark.postgres
@pytest.mark.slow
def test_o1_the_book_on_postgresql_agrees_with_the_others() -> None:
    from autopay_core.book.postgres import PostgresBookStore
    from test_book_postgres import database

    def in_postgres(clock: Clock) -> BookStore:
        return PostgresBookStore(database(), clock=clock)

    class WithPostgres(BookMachine):
        makes: ClassVar[list[Any]] = [in_memory, in_sqlite, in_postgres]

    run_machine(WithPostgres, 10)
