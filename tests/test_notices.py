"""What people are told (N1, N2)."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.autopay import AdvanceNotice
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.notices import (
    FAILED_AUTOPAY,
    Audience,
    Notice,
    NoticeKind,
    notice_for_autopay,
    notice_for_run,
)
from autopay_core.references import RunKey
from autopay_core.retries import RetryPolicy
from autopay_core.serialization import dumps, loads
from autopay_core.show.sentences import notice_text
from worlds import (
    CARD,
    DAY,
    World,
    bill,
    enrolled,
    standing_order,
    to_client,
    to_invoice,
    usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopay_core.associations import Association

KEY = RunKey(autopay="ap-1", nominal_on=DAY)


def _notice(**changes: Any) -> Notice:
    fields: dict[str, Any] = {
        "key": "n-1",
        "kind": NoticeKind.PAID,
        "payer": "p1",
        "autopay": "ap-1",
        "on": DAY,
    }
    return Notice(**{**fields, **changes})


def test_n1_a_failed_auto_pay_has_the_title_that_staff_look_for() -> None:
    assert FAILED_AUTOPAY == "Error-Failed AutoPay"
    assert _notice(kind=NoticeKind.FAILED).title == FAILED_AUTOPAY


def test_n2_every_kind_has_a_title_of_its_own() -> None:
    titles = [each.title for each in NoticeKind]

    assert len(set(titles)) == len(titles)
    assert all(titles)


def test_n1_the_key_removes_duplicates_and_nothing_else() -> None:
    other = RunKey(autopay="ap-1", nominal_on=date(2026, 2, 28))
    keys = {
        notice_for_run(kind, key, payer="p1", on=DAY, occasion=occasion).key
        for kind in (NoticeKind.PAID, NoticeKind.FAILED)
        for key in (KEY, other)
        for occasion in ("", "1", "11")
    }
    again = notice_for_run(
        NoticeKind.PAID, KEY, payer="p1", on=other.nominal_on, amount=usd("1")
    )

    assert len(keys) == 12
    assert again.key in keys


def test_n2_what_is_told_of_an_auto_pay_differs_by_date_and_occasion() -> None:
    keys = {
        notice_for_autopay(
            NoticeKind.ENDING_SOON, autopay, payer="p1", on=on, occasion=days
        ).key
        for autopay in ("ap-1", "ap-2")
        for on in (DAY, date(2026, 2, 28))
        for days in ("30", "7")
    }

    assert len(keys) == 8


@given(st.text(max_size=3_000))
def test_n1_any_words_can_be_told(words: str) -> None:
    notice = notice_for_run(
        NoticeKind.FAILED, KEY, payer="p1", on=DAY, detail=words
    )

    assert len(notice.detail) <= 1_000


@pytest.mark.parametrize(
    "words",
    [
        "card 4111 1111 1111 1111 was declined",
        "4111111111111111",
        "a 4111-1111-1111-1111 b 5500 0000 0000 0004 c",
    ],
)
def test_e3_a_card_number_is_left_out_of_what_is_told(words: str) -> None:
    notice = notice_for_autopay(
        NoticeKind.ENDED, "ap-1", payer="p1", on=DAY, detail=words
    )

    assert "1111" not in notice.detail
    assert "…" in notice.detail


def test_n1_the_length_of_a_key_does_not_depend_on_ids() -> None:
    long = RunKey(autopay="x" * 128, nominal_on=DAY)

    notice = notice_for_run(NoticeKind.PAID, long, payer="p1", on=DAY)

    assert len(notice.key) == 34


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: _notice(key=""), "key"),
        (lambda: _notice(kind="paid"), "kind"),
        (lambda: _notice(payer=None), "payer"),
        (lambda: _notice(autopay=None), "autopay"),
        (lambda: _notice(on="2026-01-31"), "on"),
        (lambda: _notice(name="a\nb"), "name"),
        (lambda: _notice(reason="x" * 65), "reason"),
        (lambda: _notice(detail="4111111111111111"), "detail"),
    ],
)
def test_a_notice_that_cannot_be_is_refused(
    make: Callable[[], object], path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert caught.value.path == path


def test_n1_what_only_the_firm_can_act_on_is_for_the_firm() -> None:
    assert {each for each in NoticeKind if each.is_for_firm} == {
        NoticeKind.SECURITY_EVENT,
        NoticeKind.NEEDS_REVIEW,
        NoticeKind.POSTING_INCOMPLETE,
        NoticeKind.POSTING_STUCK,
        NoticeKind.INCIDENT,
        NoticeKind.HELD,
        NoticeKind.BALANCE_UNEXPECTED,
        NoticeKind.OVERPAID,
    }


# -- N5: a notice is a fact ---------------------------------------------------


def test_n5_a_payment_is_told_with_all_that_a_receipt_needs() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))
    world.run(standing_order(limit=Limit.up_to(usd("150"))))

    [notice] = world.notifier.sent

    assert notice.run == KEY
    assert [(each.invoice, each.amount) for each in notice.lines] == [
        ("INV-1", usd("120.00")),
        ("INV-2", usd("30.00")),
    ]
    assert notice.reference == "pay-000001"
    assert notice.method == CARD.described
    assert notice.left == usd("20.00")
    assert notice.next_on == date(2026, 2, 28)
    assert notice.audience == {Audience.PAYER}
    told = notice_text(notice)
    assert "INV-1 (USD 120.00), INV-2 (USD 30.00)" in told
    assert "Still owed: USD 20.00" in told
    assert "Next date: 2026-02-28" in told


def test_n5_a_decline_is_told_with_its_retry() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)

    world.run(standing_order(retry=RetryPolicy(retries_most=1, every_days=3)))

    [notice] = world.notifier.sent
    assert notice.audience == set(Audience)
    assert notice.next_on == DAY + timedelta(days=3)
    assert [each.invoice for each in notice.lines] == ["INV-1"]
    assert notice.reference == ""


def test_n5_the_last_payment_has_no_next_date() -> None:
    world = World(bill("INV-1", "120.00"))

    world.run(standing_order(off_from=DAY + timedelta(days=1)))

    [notice] = world.notifier.sent
    assert notice.next_on is None


@pytest.mark.parametrize(
    ("payments", "next_on"), [(1, None), (2, date(2026, 2, 28))]
)
def test_n5_the_last_payment_that_was_agreed_has_no_next_date(
    payments: int, next_on: date | None
) -> None:
    world = World(bill("INV-1", "120.00"))

    world.run(standing_order(payments=payments))

    [notice] = world.notifier.sent
    assert notice.next_on == next_on


@pytest.mark.parametrize(
    ("lifetime", "next_on"), [("120.00", None), ("120.01", date(2026, 2, 28))]
)
def test_n5_what_uses_up_a_lifetime_has_no_next_date(
    lifetime: str, next_on: date | None
) -> None:
    world = World(bill("INV-1", "120.00"))

    world.run(
        standing_order(limit=Limit(currency="USD", lifetime=usd(lifetime)))
    )

    assert {each.next_on for each in world.notifier.sent} == {next_on}


@pytest.mark.parametrize(
    ("enrolled_too", "limit", "next_on"),
    [
        ((), "120.00", None),
        ((to_invoice("INV-2"),), "170.00", None),
        # Something is left of a plan, or a client is enrolled as well.
        ((), "119.00", date(2026, 2, 28)),
        ((to_invoice("INV-2"),), "120.00", date(2026, 2, 28)),
        ((to_client("C-9"),), "120.00", date(2026, 2, 28)),
    ],
)
def test_n5_what_pays_off_the_last_plan_has_no_next_date(
    enrolled_too: tuple[Association, ...], limit: str, next_on: date | None
) -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))
    order = standing_order(
        limit=Limit.up_to(usd(limit)),
        enrollments=tuple(
            enrolled(each) for each in (to_invoice("INV-1"), *enrolled_too)
        ),
    )

    world.run(order)

    assert {each.next_on for each in world.notifier.sent} == {next_on}


def test_n5_an_announcement_is_told_with_its_lines() -> None:
    world = World(bill("INV-1", "120.00"))
    autopay = standing_order(advance_notice=AdvanceNotice())

    world.sweep(autopay, as_of=DAY - timedelta(days=10))

    [notice] = world.notifier.sent
    assert notice.kind is NoticeKind.UPCOMING
    assert [each.amount for each in notice.lines] == [usd("120.00")]
    assert notice.method == autopay.method.described


@pytest.mark.parametrize(
    ("kind", "reason", "payer", "audience"),
    [
        (NoticeKind.FAILED, "Declined", "p1", {"payer", "firm"}),
        (NoticeKind.FAILED, "MethodGone", "p1", {"payer", "firm"}),
        (NoticeKind.FAILED, "Missed", "p1", {"firm"}),
        (NoticeKind.FAILED, "Unresolved", "p1", {"firm"}),
        (NoticeKind.PAID, "Paid", "p1", {"payer"}),
        (NoticeKind.NEEDS_PAYER, "NeedsPayer", "p1", {"payer"}),
        (NoticeKind.RETURNED, "Return", "p1", {"payer", "firm"}),
        (NoticeKind.REINSTATED, "Return", "p1", {"payer", "firm"}),
        (NoticeKind.INCIDENT, "x", "p1", {"firm"}),
        (NoticeKind.ENDED, "x", "", {"firm"}),
    ],
)
def test_n1_a_failure_goes_to_the_payer_only_if_the_payer_can_act(
    kind: NoticeKind, reason: str, payer: str, audience: set[str]
) -> None:
    notice = attrs.evolve(_notice(), kind=kind, reason=reason, payer=payer)

    assert {each.value for each in notice.audience} == audience


def test_n5_facts_of_before_are_read_without_what_is_new() -> None:
    whole = json.loads(dumps(_notice()))
    for name in (
        *("run", "lines", "reference", "method", "left", "next_on", "link"),
    ):
        del whole["data"][name]

    assert loads(json.dumps(whole), Notice) == _notice()
