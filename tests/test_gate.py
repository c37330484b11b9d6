"""The day of charge: rule R10, with R7, S11, S12 and N3."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule as step,
)

from autopay_core._checks import DATE_MAX
from autopay_core.autopay import AutoPay
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.engine.gate import (
    Asked,
    Cause,
    Charge,
    GiveUp,
    WaitUntil,
    Why,
    gate,
)
from autopay_core.holds import Hold, lift
from autopay_core.schedules import (
    MissedPolicy,
    Occurrence,
    Pause,
    Schedule,
)
from worlds import (
    CARD,
    DAY,
    enrolled,
    standing_order,
    to_client,
    to_invoice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from autopay_core.engine.gate import Decision

PAGE: Final = Path(__file__).parents[1] / "docs/explanation/day-of-charge.md"
ONE_DAY: Final = timedelta(days=1)
WORD: Final[dict[str, Any]] = {"by": "Ann", "reason": "in mediation"}

WEEKDAYS: Final = BusinessCalendar()
ROLLS: Final[dict[str, Any]] = {"roll": Roll.FOLLOWING, "calendar": WEEKDAYS}
# Of 31 January, a Saturday: charged on Monday, 2 February.
SATURDAY: Final = Occurrence(nominal_on=DAY, charge_on=date(2026, 2, 2))


def _pause(from_on: date, to_on: date | None = None) -> Pause:
    return Pause(from_on=from_on, to_on=to_on)


def _date(nominal_on: date, charge_on: date) -> Occurrence:
    return Occurrence(nominal_on=nominal_on, charge_on=charge_on)


def _noon(on: date) -> datetime:
    return datetime.combine(on, time(12), UTC)


def _asked(**changes: Any) -> Asked:
    """Ask about a single date, on the Tuesday of the week after it."""
    order = {
        each.name: changes.pop(each.name)
        for each in attrs.fields(AutoPay)
        if each.name in changes
    }
    fields: dict[str, Any] = {
        "autopay": standing_order(
            **{"schedule": Schedule.once(DAY, **ROLLS), **order}
        ),
        "occurrence": SATURDAY,
        "as_of": date(2026, 2, 10),
        "why": Why.RETRY,
        **changes,
    }
    fields.setdefault("now", _noon(fields["as_of"]))
    return Asked(**fields)


def _order(asked: Asked, **changes: Any) -> Asked:
    return attrs.evolve(asked, autopay=attrs.evolve(asked.autopay, **changes))


def _on(asked: Asked, as_of: date) -> Asked:
    return attrs.evolve(asked, as_of=as_of, now=_noon(as_of))


# -- The table ----------------------------------------------------------------

# What makes each row true of whatever is asked, in the page's words. Those
# that move the day come first, or the others would be about another one.
SITUATIONS: Final[dict[str, Callable[[Asked], Asked]]] = {
    "both its charge date and the end of its enrolment have passed": (
        lambda each: _on(each, date(2027, 6, 1))
    ),
    "the charge date of the next date that runs has come": lambda each: _order(
        _on(each, max(each.as_of, date(2026, 3, 2))),
        schedule=Schedule.monthly(DAY, **ROLLS),
    ),
    "its schedule rolls, and its calendar is closed today": lambda each: _on(
        each, each.as_of + ONE_DAY * (5 - each.as_of.weekday())
    ),
    "the order is turned off": lambda each: _order(each, off_from=each.as_of),
    "its nominal date, its charge date, or today is in a pause": (
        lambda each: _order(
            each, pauses=(_pause(each.as_of, each.as_of + ONE_DAY),)
        )
    ),
    "its nominal date, its charge date, or today's date is skipped": (
        lambda each: _order(each, skips=frozenset({each.as_of}))
    ),
    "the payer no longer has its payment method": lambda each: attrs.evolve(
        each, is_method_gone=True
    ),
    "its date, or the date that was told for its retry, is still to come": (
        lambda each: attrs.evolve(each, retry_on=each.as_of + 3 * ONE_DAY)
    ),
    "the store's clock cannot be right": lambda each: attrs.evolve(
        each, is_clock_suspect=True
    ),
    "a hold stands on the store, the payer, the method or the auto-pay": (
        lambda each: attrs.evolve(each, holds=(Hold.on_store(**WORD),))
    ),
    "its kind of payment method needs an authorisation, and none is in "
    "force": lambda each: attrs.evolve(each, is_unauthorized=True),
    "it debits a consumer's bank account, which needs announcements or an "
    "agreed range": lambda each: attrs.evolve(each, lacks_notice=True),
    "the method was declined as often as its network allows": (
        lambda each: attrs.evolve(
            each, network_opens_at=each.now + timedelta(hours=1)
        )
    ),
    "the last answer said not before a time that is still to come": (
        lambda each: attrs.evolve(
            each, not_before=each.now + timedelta(hours=2)
        )
    ),
}
NOTHING: Final = "nothing of this"


def _table() -> dict[str, tuple[str, str, str]]:
    """Return the rows of the page, by situation and in their order."""
    rows = re.findall(
        r"^\| ([^|]+) \| (give up|wait|charge) \|(?: `(\w+)`)? \| (\w+) \|$",
        PAGE.read_text("utf-8"),
        re.MULTILINE,
    )
    return {name: (answer, code, told) for name, answer, code, told in rows}


TABLE: Final = _table()


def _row(decision: Decision) -> tuple[str, str, str]:
    match decision:
        case GiveUp(cause=cause, is_failure=is_failure):
            return "give up", cause.value, "told" if is_failure else "silent"
        case WaitUntil(cause=cause, is_incident=is_incident):
            return "wait", cause.value, "incident" if is_incident else "silent"
        case Charge():
            return "charge", "", "silent"


def _of(names: Iterable[str], why: Why) -> Asked:
    asked = _asked(why=why)
    for name, happens in SITUATIONS.items():
        if name in names:
            asked = happens(asked)
    return asked


def _first_row(names: Iterable[str], why: Why) -> str:
    return next(
        (
            each
            for each in TABLE
            if each in names
            and not (why.is_a_persons_word and "next date" in each)
        ),
        NOTHING,
    )


def test_r10_the_page_has_every_cause_once_and_every_situation() -> None:
    assert TABLE.keys() == {*SITUATIONS, NOTHING}
    assert [code for _, code, _ in TABLE.values()] == [
        *(each.value for each in Cause),
        "",
    ]


@pytest.mark.parametrize("why", list(Why))
@pytest.mark.parametrize("situation", [*SITUATIONS, NOTHING])
def test_r10_each_row_of_the_page_is_what_the_gate_says(
    situation: str, why: Why
) -> None:
    found = gate(_of({situation}, why))

    assert _row(found) == TABLE[_first_row({situation}, why)]


def test_r10_of_several_rows_the_first_decides() -> None:
    for size in range(2, 5):
        for names in combinations(SITUATIONS, size):
            found = gate(_of(names, Why.RETRY))

            assert _row(found) == TABLE[_first_row(names, Why.RETRY)], names


@settings(max_examples=300)
@given(st.sets(st.sampled_from(sorted(SITUATIONS))), st.sampled_from(Why))
@example(set(SITUATIONS), Why.ON_DEMAND)
def test_r10_whatever_comes_together_the_first_row_decides(
    names: set[str], why: Why
) -> None:
    assert _row(gate(_of(names, why))) == TABLE[_first_row(names, why)]


# -- Giving up ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("pause", "cause"),
    [
        # By the nominal date, by the charge date, and by the day of the retry.
        (_pause(date(2026, 1, 31), date(2026, 2, 1)), Cause.PAUSED),
        (_pause(date(2026, 2, 2), date(2026, 2, 3)), Cause.PAUSED),
        (_pause(date(2026, 2, 10)), Cause.PAUSED),
        # Between them, and outside.
        (_pause(date(2026, 2, 1), date(2026, 2, 2)), None),
        (_pause(date(2026, 2, 3), date(2026, 2, 10)), None),
        (_pause(date(2026, 2, 11)), None),
    ],
)
def test_s11_a_pause_after_a_decline_stops_the_retry_on_its_days(
    pause: Pause, cause: Cause | None
) -> None:
    found = gate(_asked(pauses=(pause,)))

    assert getattr(found, "cause", None) is cause


@pytest.mark.parametrize(
    ("skip", "as_of", "cause"),
    [
        (date(2026, 1, 31), date(2026, 2, 10), Cause.SKIPPED),
        (date(2026, 2, 2), date(2026, 2, 10), Cause.SKIPPED),
        (date(2026, 2, 10), date(2026, 2, 10), Cause.SKIPPED),
        (date(2026, 2, 9), date(2026, 2, 10), None),
        # The day is the charge date of the skipped 28 February.
        (date(2026, 2, 28), date(2026, 3, 2), Cause.SKIPPED),
        # Another day, while that date is skipped: it overtakes nothing.
        (date(2026, 2, 28), date(2026, 3, 3), None),
    ],
)
def test_s11_a_skip_after_a_decline_stops_the_retry_of_that_day(
    skip: date, as_of: date, cause: Cause | None
) -> None:
    found = gate(
        _asked(
            schedule=Schedule.monthly(DAY, **ROLLS),
            skips=frozenset({skip}),
            as_of=as_of,
        )
    )

    assert getattr(found, "cause", None) is cause


@pytest.mark.parametrize(
    ("off_from", "cause"),
    [
        (date(2026, 2, 10), Cause.OFF),
        (date(2026, 2, 1), Cause.OFF),
        (date(2026, 2, 11), None),
    ],
)
def test_r7_an_order_that_is_off_today_sends_nothing(
    off_from: date, cause: Cause | None
) -> None:
    assert getattr(gate(_asked(off_from=off_from)), "cause", None) is cause


def test_s11_what_is_asked_early_is_judged_by_its_own_day() -> None:
    early = _asked(as_of=date(2026, 1, 20), why=Why.FIRST)

    over = gate(_order(early, pauses=(_pause(date(2026, 1, 15), DAY),)))
    begins = gate(_order(early, pauses=(_pause(DAY),)))
    goes_off = gate(_order(early, off_from=date(2026, 2, 2)))

    assert getattr(over, "cause", None) is Cause.BEFORE_ITS_DATE
    assert getattr(begins, "cause", None) is Cause.PAUSED
    assert getattr(goes_off, "cause", None) is Cause.OFF


@pytest.mark.parametrize(
    ("changes", "why", "answer"),
    [
        ({}, Why.FIRST, GiveUp),
        ({}, Why.RETRY, GiveUp),
        ({}, Why.CAUGHT_UP, GiveUp),
        ({}, Why.REVIVED, Charge),
        ({}, Why.ON_DEMAND, Charge),
        ({"missed": MissedPolicy.ALL}, Why.CAUGHT_UP, Charge),
        ({"missed": MissedPolicy.ALL}, Why.RETRY, Charge),
        ({"missed": MissedPolicy.SKIP}, Why.RETRY, GiveUp),
        # A date that does not run overtakes nothing.
        ({"skips": frozenset({date(2026, 2, 28)})}, Why.RETRY, Charge),
        ({"off_from": date(2026, 6, 1)}, Why.RETRY, GiveUp),
    ],
)
def test_s12_the_next_date_collects_what_is_left_of_the_one_before(
    changes: dict[str, Any], why: Why, answer: type[object]
) -> None:
    asked = _asked(
        schedule=Schedule.monthly(DAY, **ROLLS),
        as_of=date(2026, 3, 3),
        why=why,
        **changes,
    )

    found = gate(asked)

    assert isinstance(found, answer)
    if isinstance(found, GiveUp):
        assert found.collected_on == date(2026, 3, 2)
        assert "2026-03-02" in found.detail
    # Until the Sunday before, it is tried.
    before = gate(_on(asked, date(2026, 2, 27)))
    assert before == Charge()


def test_s6_a_charge_may_go_out_on_its_own_date_beyond_its_year() -> None:
    # Of Saturday, 30 January 2027: the year ends on that Sunday.
    schedule = Schedule.weekly(DAY, **ROLLS)
    found = {
        as_of: gate(
            _asked(
                schedule=schedule,
                occurrence=_date(date(2027, 1, 30), date(2027, 2, 1)),
                as_of=as_of,
            )
        )
        for as_of in (date(2027, 2, 1), date(2027, 2, 2))
    }

    assert found[date(2027, 2, 1)] == Charge()
    assert _row(found[date(2027, 2, 2)]) == (
        "give up",
        "EnrollmentEnded",
        "told",
    )


@pytest.mark.parametrize(
    ("enrollments", "last"),
    [
        # The anniversary itself is outside the year.
        ((to_client(),), date(2027, 1, 30)),
        ((enrolled(to_client(), renewals=(date(2027, 1, 31),)),), None),
        ((to_invoice("INV-1"),), None),
        ((to_client(), to_invoice("INV-1")), None),
        # The longer one counts, and only if it ran on the date.
        (
            (
                to_client(),
                enrolled(to_client("C-2"), renewals=(date(2027, 1, 31),)),
            ),
            None,
        ),
        (
            (
                to_client(),
                enrolled(to_invoice("INV-1"), since=date(2026, 3, 1)),
            ),
            date(2027, 1, 30),
        ),
        # Nothing that ran on its date is enrolled any more.
        ((enrolled(to_client(), since=date(2026, 3, 1)),), DAY),
        ((), DAY),
    ],
)
def test_s6_an_enrolment_that_has_ended_is_charged_for_nothing(
    enrollments: tuple[Any, ...], last: date | None
) -> None:
    def ask(as_of: date) -> Decision:
        return gate(
            _asked(
                schedule=Schedule.monthly(DAY),
                enrollments=enrollments,
                occurrence=_date(DAY, DAY),
                missed=MissedPolicy.ALL,
                as_of=as_of,
                why=Why.CAUGHT_UP,
            )
        )

    if last is None:
        assert ask(date(2027, 12, 31)) == Charge()
        return
    assert ask(last) == Charge()
    found = ask(last + ONE_DAY)
    assert isinstance(found, GiveUp)
    assert found.cause is Cause.ENROLLMENT_ENDED


def test_r10_a_run_on_demand_passes_the_gate_like_any_other() -> None:
    day = date(2026, 2, 10)
    on_demand = _asked(
        schedule=Schedule.monthly(DAY, **ROLLS),
        occurrence=_date(day, day),
        why=Why.ON_DEMAND,
    )

    assert gate(on_demand) == Charge()
    paused = gate(_order(on_demand, pauses=(_pause(day),)))
    assert _row(paused) == ("give up", "Paused", "silent")
    # A retry of it is not overtaken by the schedule, and waits for Monday.
    assert gate(_on(on_demand, date(2026, 4, 1))) == Charge()
    saturday = gate(_on(on_demand, date(2026, 3, 7)))
    assert isinstance(saturday, WaitUntil)
    assert saturday.on == date(2026, 3, 9)


# -- Waiting ------------------------------------------------------------------


def test_n3_a_wait_names_the_first_open_day_that_all_dates_allow() -> None:
    asked = _asked(
        retry_on=date(2026, 2, 12),
        # The evening of Friday, the 13th, in New York.
        not_before=datetime(2026, 2, 14, 2, tzinfo=UTC),
        network_opens_at=datetime(2026, 2, 11, 12, tzinfo=UTC),
        zone="America/New_York",
    )

    found = gate(asked)
    in_utc = gate(attrs.evolve(asked, zone="UTC"))

    assert isinstance(found, WaitUntil)
    assert (found.cause, found.on, found.at) == (
        Cause.BEFORE_ITS_DATE,
        date(2026, 2, 13),
        asked.not_before,
    )
    # In UTC that is Saturday already, and Monday is the next open day.
    assert isinstance(in_utc, WaitUntil)
    assert in_utc.on == date(2026, 2, 16)
    assert "2026-02-16" in in_utc.detail


def test_n3_what_is_over_keeps_nothing_waiting() -> None:
    asked = _asked()
    for name in ("not_before", "network_opens_at"):
        over: dict[str, Any] = {name: asked.now}
        assert gate(attrs.evolve(asked, **over)) == Charge()
    assert gate(attrs.evolve(asked, retry_on=asked.as_of)) == Charge()
    early = gate(
        attrs.evolve(
            asked,
            retry_on=date(2026, 2, 12),
            not_before=asked.now - timedelta(days=1),
        )
    )
    assert isinstance(early, WaitUntil)
    assert (early.on, early.at) == (date(2026, 2, 12), None)


def test_n3_a_gateway_may_say_not_before_the_end_of_time() -> None:
    asked = _asked(not_before=datetime.max.replace(tzinfo=UTC))

    found = gate(asked)

    assert isinstance(found, WaitUntil)
    assert found.on is not None
    assert found.on >= DATE_MAX


def test_h1_a_hold_on_something_else_or_lifted_keeps_nothing_waiting() -> None:
    others = (
        lift(Hold.on_store(**WORD), **WORD),
        Hold.on_payer("p2", **WORD),
        Hold.on_autopay("ap-2", **WORD),
        Hold.on_method("another", **WORD),
        Hold.on_client("C-1", **WORD),
        Hold.on_invoice("INV-1", **WORD),
    )
    assert gate(_asked(holds=others)) == Charge()

    for hold in (
        Hold.on_payer("p1", **WORD),
        Hold.on_autopay("ap-1", **WORD),
        Hold.on_method(CARD.fingerprint, **WORD),
    ):
        found = gate(_asked(holds=(*others, hold)))
        assert isinstance(found, WaitUntil)
        assert (found.hold, found.on) == (hold, None)
        assert "in mediation" in found.detail
        assert "a person" in found.detail


def test_s9_an_order_without_a_calendar_is_charged_on_any_day() -> None:
    sunday = date(2026, 2, 8)

    assert gate(_asked(schedule=Schedule.once(DAY), as_of=sunday)) == Charge()


def test_r10_the_last_day_that_there_is_can_be_charged() -> None:
    found = gate(
        _asked(
            schedule=Schedule.once(DATE_MAX),
            occurrence=_date(DATE_MAX, DATE_MAX),
            as_of=DATE_MAX,
        )
    )

    assert found == Charge()


def test_r10_every_cause_reads_as_a_sentence() -> None:
    texts = [each.text for each in Cause]

    assert len(set(texts)) == len(texts)
    assert all(each[0].islower() for each in texts)


# -- A life -------------------------------------------------------------------


class GateMachine(RuleBasedStateMachine):
    """
    One date of a weekly order, asked about while everything around it moves.

    The model knows the rule in its own words: it walks the calendar day by
    day instead of asking the schedule, and knows nothing of causes.
    """

    @initialize(
        why=st.sampled_from(Why),
        missed=st.sampled_from(MissedPolicy),
        is_rolling=st.booleans(),
        ends=st.booleans(),
    )
    def begin(
        self, why: Why, missed: MissedPolicy, is_rolling: bool, ends: bool
    ) -> None:
        self.why, self.missed = why, missed
        self.is_rolling = is_rolling
        rolls: dict[str, Any] = ROLLS if is_rolling else {}
        first = date(2026, 1, 3)  # a Saturday
        self.nominals = [first + 7 * ONE_DAY * each for each in range(60)]
        self.asked = _asked(
            schedule=Schedule.weekly(first, **rolls),
            enrollments=(to_client() if ends else to_invoice("INV-1"),),
            missed=missed,
            occurrence=_date(
                self.nominals[0], self._charged(self.nominals[0])
            ),
            as_of=date(2026, 1, 1),
            why=why,
        )
        self.year_ends = date(2027, 1, 3) if ends else None

    def _charged(self, nominal: date) -> date:
        return nominal + 2 * ONE_DAY if self.is_rolling else nominal

    @step(by=st.sampled_from([1, 1, 1, 2, 7, 90]))
    def days_pass(self, by: int) -> None:
        self.asked = _on(self.asked, self.asked.as_of + by * ONE_DAY)

    @step(starts=st.integers(-9, 9), days=st.integers(1, 9) | st.none())
    def pause(self, starts: int, days: int | None) -> None:
        begin = self.asked.as_of + starts * ONE_DAY
        end = None if days is None else begin + days * ONE_DAY
        self.asked = _order(self.asked, pauses=(_pause(begin, end),))

    @step(offset=st.integers(-9, 9))
    def skip(self, offset: int) -> None:
        skips = {
            *self.asked.autopay.skips,
            self.asked.as_of + offset * ONE_DAY,
        }
        self.asked = _order(self.asked, skips=frozenset(skips))

    @step()
    def clear(self) -> None:
        self.asked = attrs.evolve(
            _order(self.asked, pauses=(), skips=frozenset(), off_from=None),
            holds=(),
            is_method_gone=False,
            is_unauthorized=False,
            lacks_notice=False,
            is_clock_suspect=False,
            not_before=None,
            network_opens_at=None,
            retry_on=None,
        )

    @step(offset=st.integers(-3, 3))
    def turn_off(self, offset: int) -> None:
        self.asked = _order(
            self.asked, off_from=self.asked.as_of + offset * ONE_DAY
        )

    @step(
        changes=st.fixed_dictionaries(
            {},
            optional={
                "is_method_gone": st.booleans(),
                "is_clock_suspect": st.booleans(),
                "is_unauthorized": st.booleans(),
                "lacks_notice": st.booleans(),
                "holds": st.sampled_from([(), (Hold.on_payer("p1", **WORD),)]),
            },
        )
    )
    def flags(self, changes: dict[str, Any]) -> None:
        self.asked = attrs.evolve(self.asked, **changes)

    @step(
        name=st.sampled_from(["not_before", "network_opens_at"]),
        hours=st.integers(-30, 60),
    )
    def a_time(self, name: str, hours: int) -> None:
        said: dict[str, Any] = {name: self.asked.now + timedelta(hours=hours)}
        self.asked = attrs.evolve(self.asked, **said)

    @step(offset=st.integers(0, 5))
    def declined(self, offset: int) -> None:
        on = self.asked.as_of + offset * ONE_DAY
        self.asked = attrs.evolve(self.asked, retry_on=on)

    # -- The rule once more --------------------------------------------------

    def _out(self, on: date) -> bool:
        """Tell whether a day is in a pause."""
        return any(
            each.from_on <= on and (each.to_on is None or on < each.to_on)
            for each in self.asked.autopay.pauses
        )

    def _runs(self, nominal: date) -> bool:
        """Tell whether a later date will run."""
        order, charged = self.asked.autopay, self._charged(nominal)
        return not (
            self._out(nominal)
            or self._out(charged)
            or {nominal, charged} & order.skips
            or (order.off_from is not None and charged >= order.off_from)
            or (self.year_ends is not None and nominal >= self.year_ends)
        )

    def _expected(self) -> type[object]:
        asked, order = self.asked, self.asked.autopay
        own = self._charged(self.nominals[0])
        day = max(asked.as_of, own)
        if order.off_from is not None and order.off_from <= day:
            return GiveUp
        touched = {day, own, self.nominals[0]}
        skipped = order.skips | {
            self._charged(each)
            for each in self.nominals
            if each in order.skips
        }
        if any(map(self._out, touched)) or asked.is_method_gone:
            return GiveUp
        if touched & order.skips or day in skipped:
            return GiveUp
        is_asked_for = self.why in {Why.REVIVED, Why.ON_DEMAND}
        if not is_asked_for and self.missed is not MissedPolicy.ALL:
            for each in self.nominals[1:]:
                if self._charged(each) <= asked.as_of and self._runs(each):
                    return GiveUp
        if self.year_ends is not None and asked.as_of >= max(
            self.year_ends, own + ONE_DAY
        ):
            return GiveUp
        waits = [
            asked.as_of < own,
            asked.retry_on is not None and asked.as_of < asked.retry_on,
            self.is_rolling and asked.as_of.weekday() > 4,
            asked.is_clock_suspect,
            asked.is_unauthorized,
            asked.lacks_notice,
            bool(asked.holds),
            *(
                each is not None and each > asked.now
                for each in (asked.not_before, asked.network_opens_at)
            ),
        ]
        return WaitUntil if any(waits) else Charge

    @invariant()
    def the_gate_says_what_the_rule_says(self) -> None:
        if hasattr(self, "asked"):
            assert isinstance(gate(self.asked), self._expected())

    @invariant()
    def a_day_that_is_named_is_kept(self) -> None:
        """On the day that a wait names, no date speaks against it."""
        if not hasattr(self, "asked"):
            return
        found = gate(self.asked)
        if isinstance(found, WaitUntil) and found.on is not None:
            assert found.on >= self.asked.as_of
            at = found.at or _noon(found.on)
            then = attrs.evolve(
                self.asked, as_of=found.on, now=max(at, _noon(found.on))
            )
            later = gate(then)
            assert not isinstance(later, WaitUntil) or later.is_incident


TestGateMachine = GateMachine.TestCase
