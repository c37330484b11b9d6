"""Whether a balance can be true: rules B0 to B2."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule as step,
)

from autopay_core._reasons import Reason
from autopay_core.balances import (
    CLOCK_SLACK,
    Barred,
    Checked,
    Expected,
    Rise,
    ShareStep,
    ShareStepKind,
    accepted,
    check_balances,
    steps_needed_since,
)
from autopay_core.errors import IncompleteReadError, InvalidValueError
from autopay_core.money import Money
from worlds import bill, usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autopay_core.invoices import Invoice

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)

APPLIED, REMOVED, UNAPPLIED, RESTORED, REVERSED = ShareStepKind


def _share(
    amount: str,
    kind: ShareStepKind = APPLIED,
    *,
    at: datetime = NOW - DAYS,
    posting: str = "p-1",
    invoice: str = "INV-1",
) -> ShareStep:
    return ShareStep(
        posting=posting, invoice=invoice, amount=usd(amount), kind=kind, at=at
    )


def _check(
    invoices: Iterable[Invoice],
    *rows: Expected,
    recent: Iterable[ShareStep] = (),
    opened: dict[str, str] | None = None,
    now: datetime = NOW,
    stated_at: datetime | None = None,
    **more: Any,
) -> Checked:
    return check_balances(
        invoices,
        stated_at=stated_at,
        now=now,
        open_amounts={
            number: usd(amount) for number, amount in (opened or {}).items()
        },
        recent=tuple(recent),
        expected={each.invoice: each for each in rows},
        **more,
    )


def _seen(
    balance: str, *, at: datetime = NOW - 10 * DAYS, **more: Any
) -> Expected:
    """Return the row of INV-1 after a first read of it."""
    [row] = _check([bill("INV-1", balance)], now=at).expected
    return attrs.evolve(row, **more)


# -- B0: a balance has a moment -----------------------------------------------


def test_b0_without_a_moment_a_balance_is_of_the_call() -> None:
    checked = _check(
        [bill("INV-1", "100")],
        recent=[_share("60", at=NOW)],
        opened={"INV-1": "5", "INV-2": "7"},
    )

    assert checked.moment == NOW
    assert checked.open_amounts == {"INV-1": usd("5"), "INV-2": usd("7")}


@pytest.mark.parametrize("kind", [APPLIED, REMOVED])
@pytest.mark.parametrize(
    ("minutes", "is_open"), [(-6, False), (-5, False), (-4, True), (1, True)]
)
def test_b0_what_left_open_after_the_moment_still_counts(
    kind: ShareStepKind, minutes: int, is_open: bool
) -> None:
    stated_at = NOW - 3 * DAYS

    checked = _check(
        [bill("INV-1", "100")],
        recent=[_share("60", kind, at=stated_at + minutes * MINUTE)],
        opened={"INV-1": "5"},
        stated_at=stated_at,
    )

    assert checked.moment == stated_at
    assert checked.open_amounts == {"INV-1": usd("65" if is_open else "5")}


def test_b0_what_came_back_is_not_counted_twice() -> None:
    stated_at = NOW - 3 * DAYS
    steps = [
        _share("60", APPLIED, at=NOW - 2 * DAYS),
        _share("60", UNAPPLIED, at=NOW - 1 * DAYS),
        _share("9", REMOVED, at=NOW - 2 * DAYS, posting="p-2"),
        _share("9", RESTORED, at=NOW - 1 * DAYS, posting="p-2"),
        # Money that went back never lowers what is payable.
        _share("3", REVERSED, at=NOW - 1 * DAYS, posting="p-3"),
    ]

    back = _check([], recent=steps, opened={}, stated_at=stated_at)
    again = _check(
        [],
        recent=[*steps, _share("60", APPLIED, at=NOW)],
        opened={},
        stated_at=stated_at,
    )

    assert back.open_amounts == {}
    assert again.open_amounts == {"INV-1": usd("60")}


def test_b0_a_moment_to_come_is_now_and_says_that_clocks_differ() -> None:
    steps = [
        _share("60", at=NOW - MINUTE),
        _share("9", at=NOW - 6 * MINUTE, posting="p-2"),
    ]

    checked = _check([], recent=steps, stated_at=NOW + DAYS)

    assert checked.moment == NOW
    assert checked.open_amounts == {"INV-1": usd("60")}


@pytest.mark.parametrize(
    ("age", "oldest", "is_readable"),
    [
        (60 * DAYS, None, True),
        (60 * DAYS + MINUTE, None, False),
        (7 * DAYS, 7 * DAYS, True),
        (7 * DAYS + MINUTE, 7 * DAYS, False),
        # A policy may ask for less, not for more.
        (61 * DAYS, 365 * DAYS, False),
    ],
)
def test_b0_a_balance_that_is_too_old_is_unreadable(
    age: timedelta, oldest: timedelta | None, is_readable: bool
) -> None:
    def call() -> Checked:
        return _check([bill("INV-1", "1")], stated_at=NOW - age, oldest=oldest)

    if is_readable:
        assert call().moment == NOW - age
        return
    with pytest.raises(IncompleteReadError) as refused:
        call()
    assert refused.value.code == "BalanceTooOld"


@pytest.mark.parametrize("name", ["now", "stated_at"])
def test_b0_a_moment_has_a_zone(name: str) -> None:
    wrong: dict[str, Any] = {name: NOW.replace(tzinfo=None)}
    with pytest.raises(InvalidValueError) as refused:
        _check([], **wrong)

    assert (refused.value.code, refused.value.path) == ("NaiveDatetime", name)


def test_b0_amounts_in_two_currencies_are_never_added() -> None:
    yen = attrs.evolve(_share("1"), amount=Money.of("60", "JPY"))
    checked = check_balances(
        [bill("INV-1", "100")],
        stated_at=NOW - 3 * DAYS,
        now=NOW,
        open_amounts={"INV-1": usd("5")},
        recent=[yen, attrs.evolve(yen, posting="p-2", invoice="INV-2")],
        expected={"INV-1": _seen("100")},
    )

    assert checked.open_amounts == {
        "INV-1": usd("5"),
        "INV-2": Money.of("60", "JPY"),
    }
    assert not checked.barred


# -- B1: what was applied must show -------------------------------------------


def test_b1_at_first_sight_a_balance_is_believed() -> None:
    checked = _check(
        [bill("INV-1", "100")],
        opened={"INV-1": "65"},
        reserved={"INV-1": usd("5")},
    )

    [row] = checked.expected
    assert (row.invoice, row.client, row.matter) == ("INV-1", "C-1", "M-1")
    # The ledger may show our share already; what is reserved is in none.
    assert (row.figure, row.balance) == (usd("160"), usd("100"))
    assert (row.counted_at, row.fitted_at) == (NOW, NOW)
    assert not checked.barred
    assert not checked.rises


def test_b1_a_share_that_was_applied_must_have_lowered_the_balance() -> None:
    row = _seen("100")

    shown = _check([bill("INV-1", "40")], row, recent=[_share("60")])
    lost = _check([bill("INV-1", "100")], row, recent=[_share("60")])

    assert not shown.barred
    assert lost.barred == {
        "INV-1": Barred(
            reason=Reason.BALANCE_UNEXPECTED,
            read=usd("100"),
            expected=usd("40"),
        )
    }
    assert [each.figure for each in lost.expected] == [usd("40")]


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        ("39", "fits"),
        ("40", "fits"),
        ("40.01", "rises"),
        ("49.99", "rises"),
        # As much as the smallest of two shares may be that share.
        ("50", "barred"),
        ("100", "barred"),
    ],
)
def test_b1_a_rise_below_the_smallest_share_is_paid_and_noted(
    read: str, outcome: str
) -> None:
    steps = [_share("50"), _share("10", REMOVED, posting="p-2")]

    checked = _check([bill("INV-1", read)], _seen("100"), recent=steps)

    assert bool(checked.barred) is (outcome == "barred")
    if outcome == "rises":
        assert checked.rises == (
            Rise(invoice="INV-1", read=usd(read), expected=usd("40")),
        )
    else:
        assert not checked.rises
    [row] = checked.expected
    assert row.figure == usd("40" if outcome == "barred" else read)


def test_b1_a_share_that_a_balance_cannot_show_is_not_looked_for() -> None:
    steps = [
        _share("60", at=NOW - 5 * DAYS),
        _share("5", at=NOW - MINUTE, posting="p-2"),
    ]

    checked = _check(
        [bill("INV-1", "50")],
        _seen("100"),
        recent=steps,
        stated_at=NOW - DAYS,
    )

    assert not checked.barred
    assert [each.expected for each in checked.rises] == [usd("40")]


def test_b1_without_a_share_of_ours_any_rise_is_the_firms() -> None:
    for steps in (
        [],
        [_share("60", UNAPPLIED, posting="p-9", invoice="INV-9")],
        # Sixty days and longer ago, before a read that fitted.
        [_share("60", at=NOW - 61 * DAYS)],
    ):
        checked = _check([bill("INV-1", "500")], _seen("100"), recent=steps)

        assert not checked.barred
        assert [each.read for each in checked.rises] == [usd("500")]


def test_b1_a_share_counts_for_sixty_days_and_until_a_read_fits() -> None:
    at = NOW - 70 * DAYS
    unfitted = _seen("100", at=NOW - 71 * DAYS)
    fitted = attrs.evolve(unfitted, fitted_at=NOW - 65 * DAYS)

    for row, is_barred in ((unfitted, True), (fitted, False)):
        checked = _check(
            [bill("INV-1", "100")], row, recent=[_share("60", at=at)]
        )
        assert bool(checked.barred) is is_barred
    last = _check(
        [bill("INV-1", "100")],
        fitted,
        recent=[_share("60", at=NOW - 60 * DAYS)],
    )
    assert last.barred


def test_b1_an_invoice_that_is_barred_for_months_stays_barred() -> None:
    row = _seen("100", at=NOW)
    steps = [_share("60", at=NOW + DAYS)]
    for day in range(2, 300, 7):
        now = NOW + day * DAYS
        since = steps_needed_since([row], now)
        checked = _check(
            [bill("INV-1", "100")],
            row,
            now=now,
            recent=[each for each in steps if each.at > since],
        )
        assert "INV-1" in checked.barred
        for row in checked.expected:  # noqa: B007 - one at most
            pass

    assert (row.figure, row.smallest) == (usd("40"), usd("60"))
    # It ends with a read that fits, and then nothing is left of it.
    healed = _check([bill("INV-1", "40")], row, now=NOW + 300 * DAYS)
    assert not healed.barred
    [row] = healed.expected
    assert (row.figure, row.smallest) == (usd("40"), None)


def test_b1_it_ends_when_a_person_says_what_is_right() -> None:
    steps = [_share("60")]
    row = accepted(_seen("100"), usd("100"), NOW)

    checked = _check([bill("INV-1", "100")], row, recent=steps)
    again = _check(
        [bill("INV-1", "160")],
        row,
        recent=[*steps, _share("60", at=NOW + MINUTE)],
        now=NOW + DAYS,
    )

    assert not checked.barred
    assert not checked.expected
    assert again.barred["INV-1"].expected == usd("40")


@pytest.mark.parametrize("kind", [UNAPPLIED, RESTORED, REVERSED])
def test_b1_what_comes_back_raises_what_is_expected(
    kind: ShareStepKind,
) -> None:
    row = _seen("40", at=NOW - 5 * DAYS)
    before = _share("60", at=NOW - 6 * DAYS)
    back = _share("60", kind, at=NOW - DAYS)

    told = _check([bill("INV-1", "100")], row, recent=[before, back])
    silent = _check([bill("INV-1", "100")], row, recent=[before])

    assert not told.barred
    assert silent.barred


def test_b1_a_fitting_read_lowers_what_is_expected_as_far_as_is_sure() -> None:
    row = _seen("100")

    lowered = _check([bill("INV-1", "70")], row)
    # Ten of it may be the share that is still open, twenty a return.
    less = _check(
        [bill("INV-1", "70")],
        row,
        opened={"INV-1": "15"},
        reserved={"INV-1": usd("5")},
        reversals={"INV-1": usd("12")},
    )

    assert [each.figure for each in lowered.expected] == [usd("70")]
    assert [each.figure for each in less.expected] == [usd("92")]


def test_b1_interest_while_a_share_is_open_hides_no_loss() -> None:
    row = _seen("100")
    opened = {"INV-1": "60"}

    risen = _check([bill("INV-1", "101.50")], row, opened=opened)
    [row] = risen.expected
    lost = _check(
        [bill("INV-1", "101.50")],
        row,
        recent=[_share("60", at=NOW + DAYS)],
        now=NOW + 2 * DAYS,
    )

    assert [each.read for each in risen.rises] == [usd("101.50")]
    assert lost.barred["INV-1"].expected == usd("41.50")


def test_b1_a_balance_of_nothing_is_never_unexpected() -> None:
    row = _seen("-60")

    for read in ("-1", "0"):
        checked = _check([bill("INV-1", read)], row, recent=[_share("1")])
        assert not checked.barred
        assert not checked.rises
    # But a credit that became a debt of our share is.
    debt = _check([bill("INV-1", "5")], row, recent=[_share("10")])
    assert debt.barred["INV-1"].expected == usd("-70")


def test_b1_another_currency_than_before_is_unexpected() -> None:
    euro = attrs.evolve(bill("INV-1", "1"), balance=Money.of("1", "EUR"))

    checked = _check([euro], _seen("100"))

    assert checked.barred["INV-1"] == Barred(
        reason=Reason.BALANCE_UNEXPECTED,
        read=Money.of("1", "EUR"),
        expected=usd("100"),
    )


def test_b1_a_balance_of_before_the_last_one_is_no_rise() -> None:
    # Somebody paid 20 by check, and we have seen that.
    row = _seen("80", at=NOW - DAYS)

    stale = _check([bill("INV-1", "100")], row, stated_at=NOW - 3 * DAYS)
    fresh = _check([bill("INV-1", "100")], row)

    assert stale.barred["INV-1"].expected == usd("80")
    assert [each.read for each in fresh.rises] == [usd("100")]


def test_b1_an_older_read_does_not_undo_what_a_later_one_counted() -> None:
    steps = [_share("60", at=NOW - 2 * DAYS)]
    [row] = _check([bill("INV-1", "40")], _seen("100"), recent=steps).expected
    assert (row.figure, row.counted_at) == (usd("40"), NOW)

    stale = _check(
        [bill("INV-1", "100")], row, recent=steps, stated_at=NOW - 5 * DAYS
    )
    lower = _check(
        [bill("INV-1", "90")], row, recent=steps, stated_at=NOW - 5 * DAYS
    )

    # The share counts as open for it: nothing is unexpected, nor paid twice.
    assert not stale.barred
    assert stale.open_amounts == {"INV-1": usd("60")}
    assert not stale.expected
    # What it says is true of its own time only.
    assert [(e.figure, e.counted_at) for e in lower.expected] == []


def test_b1_a_row_is_written_only_when_it_says_something_new() -> None:
    row = _seen("100", at=NOW - 29 * DAYS)

    assert _check([bill("INV-1", "100")], row).expected == ()
    late = _check([bill("INV-1", "100")], row, now=NOW + 2 * DAYS)
    assert [each.counted_at for each in late.expected] == [NOW + 2 * DAYS]
    moved = attrs.evolve(bill("INV-1", "100"), matter="M-2")
    assert [each.matter for each in _check([moved], row).expected] == ["M-2"]


def test_b1_steps_are_needed_as_far_back_as_something_was_not_counted() -> (
    None
):
    old = _seen("100", at=NOW - 90 * DAYS)
    paid = _seen("0", at=NOW - 400 * DAYS)

    assert steps_needed_since([], NOW) == NOW - 60 * DAYS
    assert steps_needed_since([_seen("1"), paid], NOW) == NOW - 60 * DAYS
    assert steps_needed_since([old, paid], NOW) == NOW - 90 * DAYS


# -- B2: what is not returned -------------------------------------------------


def test_b2_an_invoice_that_is_not_returned_is_gone_and_comes_back() -> None:
    row = _seen("100")

    first = _check([], row)
    [gone] = first.gone
    assert _check([], _seen("100", at=NOW)).gone
    assert first.vanished == first.expected == first.gone
    assert (gone.gone_since, first.ended, first.paid_off) == (NOW, (), ())

    again = _check([], gone, now=NOW + 59 * DAYS)
    assert [each.gone_since for each in again.gone] == [NOW]
    assert not again.vanished
    assert not again.ended

    last = _check([], gone, now=NOW + 60 * DAYS)
    assert [each.invoice for each in last.ended] == ["INV-1"]

    back = _check([bill("INV-1", "100")], gone, now=NOW + DAYS)
    assert [each.gone_since for each in back.expected] == [None]
    assert not back.gone


@pytest.mark.parametrize(
    ("opened", "reserved", "recent", "is_paid"),
    [
        ({}, {}, [_share("100")], True),
        ({"INV-1": "100"}, {}, [], True),
        ({"INV-1": "40"}, {}, [_share("60")], True),
        ({"INV-1": "99.99"}, {}, [], False),
        # What is only reserved has paid nothing.
        ({"INV-1": "100"}, {"INV-1": usd("100")}, [], False),
        # Of two shares one came back.
        ({}, {}, [_share("100"), _share("100", UNAPPLIED)], False),
    ],
)
def test_b2_only_our_own_shares_pay_an_invoice_off(
    opened: dict[str, str],
    reserved: dict[str, Money],
    recent: list[ShareStep],
    is_paid: bool,
) -> None:
    checked = _check(
        [], _seen("100"), opened=opened, reserved=reserved, recent=recent
    )

    assert bool(checked.paid_off) is is_paid
    assert bool(checked.gone) is not is_paid


def test_b2_what_was_paid_off_stays_so_when_its_share_is_long_applied() -> (
    None
):
    row = _seen("100", at=NOW)
    for day, steps, opened in (
        (5, [], {"INV-1": "100"}),
        (9, [_share("100", at=NOW + 7 * DAYS)], {}),
        (200, [], {}),
    ):
        checked = _check(
            [], row, now=NOW + day * DAYS, recent=steps, opened=opened
        )
        assert checked.paid_off == ("INV-1",)
        row = next(iter(checked.expected), row)

    assert row.figure == usd("0")


def test_b2_an_old_read_says_nothing_of_what_is_newer() -> None:
    row = _seen("100", at=NOW - DAYS)

    checked = _check([], row, stated_at=NOW - 3 * DAYS)

    assert not checked.gone
    assert not checked.expected


def test_b2_rows_that_contradict_each_other_say_nothing() -> None:
    row = _seen("100")
    twice = [bill("INV-1", "90"), bill("INV-1", "100")]

    checked = _check([*twice, bill("INV-2", "5"), bill("INV-2", "5")], row)

    assert not checked.gone
    assert [each.invoice for each in checked.expected] == ["INV-2"]


NEW: Final = bill("R-77", "100")


@pytest.mark.parametrize(
    ("changes", "opened", "is_alike"),
    [
        ({}, {"INV-1": "100"}, True),
        ({}, {"INV-1": "0.01"}, True),
        ({}, {}, False),
        ({}, {"INV-1": "0"}, False),
        ({"balance": usd("99")}, {"INV-1": "100"}, False),
        ({"matter": "M-2"}, {"INV-1": "100"}, False),
        ({"client": "C-2"}, {"INV-1": "100"}, False),
        ({"issued_on": date(2026, 1, 6)}, {"INV-1": "100"}, False),
    ],
)
def test_b2_what_takes_the_place_of_a_gone_one_gets_nothing(
    changes: dict[str, Any], opened: dict[str, str], is_alike: bool
) -> None:
    new = attrs.evolve(NEW, **changes)

    checked = _check([new], _seen("100"), opened=opened)

    assert checked.barred == (
        {
            "R-77": Barred(
                reason=Reason.LOOKS_ALIKE, read=usd("100"), other="INV-1"
            )
        }
        if is_alike
        else {}
    )


def test_b2_a_look_alike_waits_for_a_person_or_for_the_other_to_settle() -> (
    None
):
    opened = {"INV-1": "60"}
    first = _check([NEW], _seen("100"), opened=opened)
    rows = first.expected
    assert [each.invoice for each in rows] == ["INV-1", "R-77"]
    # With interest it looks less alike, and is the same case.
    later = attrs.evolve(NEW, balance=usd("101"))
    then: dict[str, Any] = {"now": NOW + DAYS}

    waits = _check([later], *rows, opened=opened, **then)
    told = _check(
        [later],
        *rows,
        opened=opened,
        distinct=[frozenset({"R-77", "INV-1"})],
        **then,
    )
    # The other is back, and a third one is gone.
    back = _check(
        [later, bill("INV-1", "100")],
        *rows,
        attrs.evolve(_seen("9"), invoice="INV-3"),
        opened=opened,
        **then,
    )
    settled = _check([later], *rows, **then)

    assert waits.barred["R-77"].other == "INV-1"
    assert not waits.rises
    assert [each.invoice for each in told.rises] == ["R-77"]
    assert not told.barred
    assert not back.barred
    assert not settled.barred


def test_b2_a_look_alike_is_of_the_one_to_which_money_is_on_its_way() -> None:
    twin = attrs.evolve(_seen("100"), invoice="INV-0")
    rows = _check([NEW], _seen("100"), twin, opened={"INV-1": "1"}).expected
    [new] = [each for each in rows if each.invoice == "R-77"]
    assert new.replaces == "INV-1"

    # What was on its way to it comes back after it was replaced.
    [_, new] = _check([NEW], twin).expected
    restored = _check([NEW], twin, new, opened={"INV-0": "1"})
    assert restored.barred["R-77"].other == "INV-0"


def test_b2_two_invoices_that_were_there_together_are_two() -> None:
    both = [bill("INV-1", "100"), NEW]
    rows = _check(both, now=NOW - DAYS).expected

    # The ledger has applied what we took, and we have not heard yet.
    checked = _check([NEW], *rows, opened={"INV-1": "100"})

    assert not checked.barred
    assert checked.paid_off == ("INV-1",)


# -- Properties ---------------------------------------------------------------


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 9),
            st.sampled_from(ShareStepKind),
            st.integers(-70, 0),
            st.sampled_from(["p-1", "p-2", "p-3"]),
        ),
        max_size=6,
    ),
    read=st.integers(-3, 40),
    figure=st.integers(-3, 40),
    age=st.integers(0, 59),
)
@example(steps=[(5, APPLIED, 0, "p-1")], read=9, figure=9, age=0)
def test_b1_a_read_is_barred_paid_or_noted_and_higher_is_never_safer(
    steps: list[tuple[int, ShareStepKind, int, str]],
    read: int,
    figure: int,
    age: int,
) -> None:
    def cents(minor: int) -> Money:
        return Money(amount_minor=minor, currency="USD")

    first = _seen("1", figure=cents(figure))

    def check(minor: int, row: Expected = first) -> Checked:
        invoice = attrs.evolve(bill("INV-1", "1"), balance=cents(minor))
        return _check(
            [invoice],
            row,
            recent=sorted(
                (
                    ShareStep(
                        posting=posting,
                        invoice="INV-1",
                        amount=cents(amount),
                        kind=kind,
                        at=NOW + day * DAYS,
                    )
                    for amount, kind, day, posting in steps
                ),
                key=lambda each: each.at,
            ),
            stated_at=NOW - age * DAYS,
        )

    found, higher = check(read), check(read + 1)

    assert not (found.barred and found.rises)
    # Once barred, a higher balance is barred as well.
    assert bool(higher.barred) or not found.barred
    assert found.open_amounts == higher.open_amounts
    # The same read again is judged alike, and finds nothing new.
    again = check(read, next(iter(found.expected), first))
    assert again.barred == found.barred
    assert not again.expected
    assert not again.rises


class BalancesMachine(RuleBasedStateMachine):
    """
    A firm's ledger, its exports, and a payer who is charged on whichever.

    Exports are read in any order, weeks after they were made, from a clock
    that is up to four minutes off; staff acknowledge what the ledger shows,
    hours or days later. Whatever comes together, no invoice is ever paid
    beyond what it was, nothing is ever barred, and the next good export shows
    all that is left.
    """

    @initialize(
        owed=st.lists(st.integers(1, 50), min_size=2, max_size=2),
        skew=st.integers(-4, 4),
    )
    def begin(self, owed: list[int], skew: int) -> None:
        self.now = NOW
        self.owed = {f"INV-{n}": each for n, each in enumerate(owed, 1)}
        self.ledger = dict(self.owed)
        self.skew = skew * MINUTE
        self.exports: list[tuple[datetime, dict[str, int]]] = []
        self.rows: dict[str, Expected] = {}
        self.steps: list[ShareStep] = []
        # By posting: invoice, amount, and how far it is on its way.
        self.shares: dict[str, tuple[str, int, str]] = {}
        self.export()

    @step(minutes=st.sampled_from([1, 3, 7, 60, 1440, 20_000]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @step()
    def export(self) -> None:
        self.exports.append((self.now, dict(self.ledger)))

    @step(which=st.integers(0, 9), limit=st.integers(1, 60))
    def charge_on_an_export(self, which: int, limit: int) -> None:
        at, balances = self.exports[which % len(self.exports)]
        if self.now - at > 59 * DAYS:
            return
        self._charge(balances, at + self.skew, limit)

    @step(limit=st.integers(1, 60))
    def charge_on_a_call(self, limit: int) -> None:
        self._charge(self.ledger, None, limit)

    def _charge(
        self, balances: dict[str, int], at: datetime | None, limit: int
    ) -> None:
        checked = self._checked(balances, at)
        for number, balance in balances.items():
            opened = checked.open_amounts.get(number, usd("0")).amount_minor
            amount = min(max(balance - opened, 0), limit)
            if amount:
                limit -= amount
                posting = f"p-{len(self.shares)}"
                self.shares[posting] = (number, amount, "open")

    def _checked(
        self, balances: dict[str, int], at: datetime | None
    ) -> Checked:
        def cents(minor: int) -> Money:
            return Money(amount_minor=minor, currency="USD")

        opened: dict[str, Money] = {}
        for number, amount, state in self.shares.values():
            if state != "settled":
                before = opened.get(number, usd("0"))
                opened[number] = before + cents(amount)
        since = steps_needed_since(self.rows.values(), self.now)
        checked = check_balances(
            [
                attrs.evolve(bill(number, "0"), balance=cents(balance))
                for number, balance in balances.items()
            ],
            stated_at=at,
            now=self.now,
            open_amounts=opened,
            recent=[each for each in self.steps if each.at > since],
            expected=self.rows,
        )
        assert not checked.barred
        assert not checked.rises
        self.rows.update((each.invoice, each) for each in checked.expected)
        return checked

    @precondition(lambda self: self._of("open"))
    @step(which=st.integers(0, 9))
    def the_ledger_applies_a_share(self, which: int) -> None:
        posting = self._of("open")[which % len(self._of("open"))]
        number, amount, _ = self.shares[posting]
        self.ledger[number] -= amount
        self.shares[posting] = (number, amount, "in the ledger")

    @precondition(lambda self: self._of("in the ledger"))
    @step(which=st.integers(0, 9), kind=st.sampled_from([APPLIED, REMOVED]))
    def staff_hear_of_it(self, which: int, kind: ShareStepKind) -> None:
        shown = self._of("in the ledger")
        posting = shown[which % len(shown)]
        number, amount, _ = self.shares[posting]
        self.shares[posting] = (number, amount, "settled")
        self.steps.append(
            ShareStep(
                posting=posting,
                invoice=number,
                amount=Money(amount_minor=amount, currency="USD"),
                kind=kind,
                at=self.now,
            )
        )

    def _of(self, state: str) -> list[str]:
        return [
            posting
            for posting, (_, _, each) in getattr(self, "shares", {}).items()
            if each == state
        ]

    @invariant()
    def no_invoice_is_paid_beyond_what_it_was(self) -> None:
        paid = dict.fromkeys(getattr(self, "owed", {}), 0)
        for number, amount, _ in getattr(self, "shares", {}).values():
            paid[number] += amount
        assert all(paid[each] <= self.owed[each] for each in paid)

    def teardown(self) -> None:
        """Let the ledger catch up; then all that is left can be paid."""
        if not hasattr(self, "shares"):
            return
        while self._of("open"):
            self.the_ledger_applies_a_share(0)
        while self._of("in the ledger"):
            self.staff_hear_of_it(0, APPLIED)
        self.now += 2 * CLOCK_SLACK
        for at in (None, self.now):
            checked = self._checked(self.ledger, at)
            assert not checked.open_amounts


TestBalancesMachine = BalancesMachine.TestCase


@settings(max_examples=200)
@given(
    owed=st.integers(2, 500),
    share=st.integers(1, 500),
    interest=st.integers(0, 20),
    days=st.integers(1, 55),
    age=st.integers(0, 3),
)
@example(owed=100, share=100, interest=0, days=1, age=0)
def test_b1_a_share_that_the_ledger_lost_is_noticed(
    owed: int, share: int, interest: int, days: int, age: int
) -> None:
    def cents(minor: int) -> Money:
        return Money(amount_minor=minor, currency="USD")

    share = min(share, owed)
    [row] = _check(
        [attrs.evolve(bill("INV-1", "1"), balance=cents(owed))]
    ).expected
    step_at = NOW + days * DAYS
    applied = attrs.evolve(_share("1", at=step_at), amount=cents(share))

    def read(balance: int) -> Checked:
        return _check(
            [attrs.evolve(bill("INV-1", "1"), balance=cents(balance))],
            row,
            recent=[applied],
            now=step_at + (age + 1) * DAYS,
            stated_at=step_at + DAYS,
        )

    assert read(owed + interest).barred
    # What the ledger did apply is paid on, with its interest.
    shown = read(owed - share + min(interest, share - 1))
    assert not shown.barred
