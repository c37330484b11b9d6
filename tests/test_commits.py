"""What a store is asked to keep: the values around `Change`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import attrs
import pytest

from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    OpenAmounts,
    PostingFilter,
    PostingMove,
    Standing,
    StopOrder,
)
from autopay_core.errors import InvalidValueError
from autopay_core.postings import PostingStatus, move_posting
from worlds import CARD, START, posting, usd

if TYPE_CHECKING:
    from collections.abc import Callable


def test_p3_a_move_takes_one_step_and_changes_nothing_else() -> None:
    before = posting()
    after = move_posting(before, PostingStatus.QUEUED, note="batch 7")

    assert PostingMove(before=before, after=after).after.note == "batch 7"


@pytest.mark.parametrize(
    "after",
    [
        posting(status=PostingStatus.APPLIED),
        posting(status=PostingStatus.QUEUED, amount=usd("11")),
        posting(status=PostingStatus.QUEUED, invoice="INV-2"),
        posting(),
    ],
)
def test_p3_a_move_that_is_no_step_is_refused(after: object) -> None:
    with pytest.raises(InvalidValueError) as caught:
        PostingMove(before=posting(), after=after)  # type: ignore[arg-type]

    assert caught.value.code == "PostingTransition"


def test_r7_a_stop_order_names_an_auto_pay_or_a_method() -> None:
    assert StopOrder.autopay("ap-1") == "autopay:ap-1"
    assert StopOrder.method(CARD.fingerprint).startswith("method:")
    assert CARD.token not in StopOrder.method(CARD.fingerprint)


@pytest.mark.parametrize(
    "target", ["", "ap-1", "autopay", "autopay:", "payer:p1", "Autopay:ap-1"]
)
def test_r7_an_order_that_would_stop_nothing_is_refused(target: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        StopOrder(target=target, active=True, by="Ann")

    assert caught.value.path == "target"


def test_r7_an_auto_pay_with_the_longest_id_can_be_stopped() -> None:
    target = StopOrder.autopay("a:" + "x" * 126)

    assert StopOrder(target=target, active=True, by="Ann").target == target


def test_a_change_is_empty_until_it_is_filled() -> None:
    empty = Change()

    for many in (empty.runs, empty.postings, empty.moves, empty.notices):
        assert many == ()
    assert empty.expect_versions is None
    assert Committed().new_notices == frozenset()
    assert Conflict(reason=ConflictReason.OPEN).open_amounts == {}
    assert OpenAmounts().amounts == OpenAmounts().versions == {}
    assert PostingFilter().statuses == frozenset()


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Standing(now=datetime(2026, 1, 1)), "now"),  # noqa: DTZ001
        (lambda: Standing(now="now"), "now"),  # type: ignore[arg-type]
        (lambda: Change(runs=[]), "runs"),  # type: ignore[arg-type]
        (lambda: Change(runs=(None,)), "runs[0]"),  # type: ignore[arg-type]
        (lambda: Change(expect_versions={"C": True}), "expect_versions['C']"),
        (lambda: Change(expect_open={"INV-1": 5}), "expect_open['INV-1']"),  # type: ignore[dict-item]
        (lambda: Change(expect_open=[]), "expect_open"),  # type: ignore[arg-type]
        (lambda: Change(only_doubtful=1), "only_doubtful"),  # type: ignore[arg-type]
        (lambda: Change(unless_held="autopay:a"), "unless_held"),  # type: ignore[arg-type]
        (lambda: Change(expect_holds=-1), "expect_holds"),
        (lambda: Change(unique_references=1), "unique_references"),  # type: ignore[arg-type]
        (lambda: Change(attempts=3), "attempts"),  # type: ignore[arg-type]
        (lambda: Change(holds=(None,)), "holds[0]"),  # type: ignore[arg-type]
        (lambda: Change(restored="now"), "restored"),  # type: ignore[arg-type]
        (lambda: Change(trusted_clock=None), "trusted_clock"),  # type: ignore[arg-type]
        (lambda: Change(by=None), "by"),  # type: ignore[arg-type]
        (lambda: OpenAmounts(amounts={7: usd("1")}), "amounts"),  # type: ignore[dict-item]
        (lambda: OpenAmounts(versions=()), "versions"),  # type: ignore[arg-type]
        (lambda: Conflict(reason="open"), "reason"),  # type: ignore[arg-type]
        (
            lambda: Conflict(reason=ConflictReason.OPEN, open_amounts=None),  # type: ignore[arg-type]
            "open_amounts",
        ),
        (lambda: PostingFilter(statuses={PostingStatus.POSTED}), "statuses"),  # type: ignore[arg-type]
        (lambda: PostingFilter(statuses=frozenset({"posted"})), "statuses"),  # type: ignore[arg-type]
        (lambda: PostingFilter(run=posting().run), "run"),  # type: ignore[arg-type]
        (lambda: PostingFilter(invoice=""), "invoice"),
        (lambda: PostingFilter(after=7), "after"),  # type: ignore[arg-type]
        (lambda: PostingFilter(payer=""), "payer"),
        (lambda: PostingFilter(client=7), "client"),  # type: ignore[arg-type]
        (lambda: PostingFilter(payment_reference=""), "payment_reference"),
        (lambda: PostingFilter(charged_from=START), "charged_from"),
        (lambda: PostingFilter(charged_before="x"), "charged_before"),  # type: ignore[arg-type]
        (lambda: PostingFilter(most=0), "most"),
        (
            lambda: Standing(now=START, unfinished=[]),  # type: ignore[arg-type]
            "unfinished",
        ),
        (
            lambda: StopOrder(target="", active=True, by="Ann"),
            "target",
        ),
        (
            lambda: StopOrder(target="method:x", active=1, by="Ann"),  # type: ignore[arg-type]
            "active",
        ),
        (lambda: StopOrder(target="method:x", active=True, by=" "), "by"),
        (
            lambda: attrs.evolve(
                StopOrder(target="method:x", active=True, by="Ann"),
                reason="a\nb",
            ),
            "reason",
        ),
    ],
)
def test_what_decisions_rest_on_is_checked(
    make: Callable[[], object], path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()

    assert caught.value.path == path
