"""What stores keep and hand out, as values: keys, steps, chains (P3, T1)."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from autopay_core.balances import (
    ShareStepKind,
    share_step,
)
from autopay_core.charges import Captured, Declined, Pending
from autopay_core.commits import Change, Distinct, Incident, Restored, Told
from autopay_core.errors import InvalidValueError
from autopay_core.history import CHAINS, by_chain, entry_body
from autopay_core.holds import Hold
from autopay_core.postings import (
    OPEN_STATUSES,
    POSTING_MOVES,
    PostingStatus,
    Reversal,
    ReversalKind,
)
from autopay_core.references import RunKey
from autopay_core.runs import RunState, is_same_account, postings_of
from records import (
    DATES,
    INVOICES,
    START,
    after,
    intend,
    key_of,
    notice,
    paid,
    usd,
)
from strategies import ids

keys = st.builds(
    RunKey,
    autopay=ids,
    nominal_on=st.dates(date(1900, 1, 1), date(2200, 12, 31)),
    number=st.integers(0, 3) | st.integers(0, 9_999),
)

# -- Keys (R2, R14) ----------------------------------------------------------


@given(keys)
@example(RunKey(autopay="a/2026-01-31#2", nominal_on=DATES[0]))
def test_r2_the_text_of_a_key_reads_back(key: RunKey) -> None:
    assert RunKey.of(str(key)) == key


@given(keys, keys)
def test_r2_two_keys_have_two_texts(one: RunKey, other: RunKey) -> None:
    assert (one == other) == (str(one) == str(other))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ap-1",
        "ap-1/",
        "/2026-01-31",
        "ap-1/2026-02-30",
        "ap-1/20260131",
        "ap-1/2026-01-31#0",
        "ap-1/2026-01-31#02",
        "ap-1/2026-01-31#x",
        "ap-1/2026-01-31#10000",
        "ap-1/2026-01-31#-1",
        "ap-1/2026-01-31 ",
    ],
)
def test_r2_another_text_is_no_key(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        RunKey.of(text)

    assert caught.value.code == "RunKeyFormat"


def test_r14_a_run_on_demand_has_postings_of_its_own() -> None:
    scheduled = paid(intend(key_of("ap-1", DATES[0]), INVOICES, 900))
    demanded = attrs.evolve(
        scheduled, key=attrs.evolve(scheduled.key, number=1)
    )

    ids_of = [
        {each.id for each in postings_of(run)} for run in (scheduled, demanded)
    ]
    assert ids_of[0].isdisjoint(ids_of[1])


# -- Runs (N3, L7, R8, R12) --------------------------------------------------


def run() -> Any:
    return intend(key_of("ap-1", DATES[0]), INVOICES, 900)


def test_n3_declines_and_doubts_count() -> None:
    opened = run()
    declined = after(opened, RunState.WAITING, Declined(key="k", code="51"))
    again = intend(opened.key, INVOICES, 900, before=declined)
    never_left = after(opened, RunState.WAITING)
    debit = Pending(key="k", amount=usd(900), reference="d-1")

    for record, counts in (
        (opened, [True]),
        (after(opened, RunState.REVIEW), [True]),
        (declined, [True]),
        (again, [True, True]),
        (paid(again), [True, False]),
        (after(again, RunState.PENDING, debit), [True, False]),
        (never_left, [False]),
    ):
        assert [record.counts(each) for each in record.attempts] == counts


def test_r8_what_was_captured_or_is_under_way_has_a_reference() -> None:
    opened = run()
    debit = Pending(key="k", amount=usd(900), reference="d-1")

    assert opened.payment_reference is None
    captured = paid(opened).captured
    assert captured is not None
    assert paid(opened).payment_reference == captured.reference
    assert after(opened, RunState.PENDING, debit).payment_reference == "d-1"
    assert (
        after(
            opened, RunState.FAILED, Declined(key="k", code="51")
        ).payment_reference
        is None
    )
    assert (
        attrs.evolve(opened, state=RunState.MISSED, attempts=(), intent=None)
    ).payment_reference is None


BACK = [each for each in ReversalKind if each.takes_back]


@given(st.lists(st.sampled_from(BACK), max_size=4))
def test_l7_a_refund_stays_spent_and_what_was_taken_back_does_not(
    kinds: list[ReversalKind],
) -> None:
    done = paid(run())
    backs = tuple(
        Reversal(event=f"e-{place}", kind=kind, amount=usd(7), on=DATES[0])
        for place, kind in enumerate(kinds)
    )
    record = attrs.evolve(done, reversals=backs)
    freed = 7 * sum(each is not ReversalKind.REFUND for each in kinds)

    assert record.taken == usd(900)
    assert record.spent == usd(900 - freed)


def test_l7_a_run_without_an_attempt_spent_nothing() -> None:
    record = attrs.evolve(
        run(), state=RunState.MISSED, attempts=(), intent=None
    )

    assert record.spent is None


def test_r12_an_account_that_is_not_known_is_any() -> None:
    assert is_same_account("a", "a")
    assert is_same_account("", "a")
    assert is_same_account("a", "")
    assert not is_same_account("a", "b")


# -- Balances (B0, B1) -------------------------------------------------------


@given(st.sampled_from(PostingStatus), st.data())
def test_b1_every_step_out_of_open_and_back_says_what_it_does_to_the_balance(
    before: PostingStatus, data: st.DataObject
) -> None:
    [share, *_] = postings_of(paid(run()))
    to = data.draw(st.sampled_from(PostingStatus))
    crosses = (before in OPEN_STATUSES) != (to in OPEN_STATUSES)

    step = share_step(before, attrs.evolve(share, status=to), START)

    assert (step is not None) == crosses
    if step is not None:
        assert (step.posting, step.invoice) == (share.id, share.invoice)
        assert (step.amount, step.at) == (share.amount, START)
        assert step.falls == (to not in OPEN_STATUSES)


@given(st.none() | st.sampled_from(PostingStatus))
def test_b1_a_reversal_is_a_step_when_it_is_written(
    before: PostingStatus | None,
) -> None:
    [share, *_] = postings_of(paid(run()))
    back = attrs.evolve(share, amount=-share.amount, reverses=share.id)

    step = share_step(before, back, START)

    assert (step is not None) == (before is None)
    if step is not None:
        assert (step.kind, step.amount) == (
            ShareStepKind.REVERSED,
            share.amount,
        )


@pytest.mark.parametrize(
    ("before", "to", "kind"),
    [
        (None, PostingStatus.APPLIED, ShareStepKind.APPLIED),
        (PostingStatus.POSTED, PostingStatus.APPLIED, ShareStepKind.APPLIED),
        (PostingStatus.QUEUED, PostingStatus.REMOVED, ShareStepKind.REMOVED),
        (PostingStatus.APPLIED, PostingStatus.POSTED, ShareStepKind.UNAPPLIED),
        (
            PostingStatus.REMOVED,
            PostingStatus.PENDING,
            ShareStepKind.RESTORED,
        ),
    ],
)
def test_b1_a_step_has_a_name(
    before: PostingStatus | None, to: PostingStatus, kind: ShareStepKind
) -> None:
    [share, *_] = postings_of(paid(run()))

    step = share_step(before, attrs.evolve(share, status=to), START)

    assert step is not None
    assert step.kind is kind


def test_p3_every_step_that_exists_can_be_told() -> None:
    [share, *_] = postings_of(paid(run()))

    for before, targets in POSTING_MOVES.items():
        for to in targets:
            share_step(before, attrs.evolve(share, status=to), START)


# -- History (T1) ------------------------------------------------------------

AUTOPAYS = [f"ap-{number}" for number in range(20)]


@given(
    st.lists(st.sampled_from(AUTOPAYS), max_size=6),
    st.lists(st.sampled_from(AUTOPAYS), max_size=6),
    st.booleans(),
)
@example([], [], False)
@example(AUTOPAYS, AUTOPAYS, True)
def test_t1_what_is_about_an_auto_pay_is_told_in_its_chain_and_once(
    runs: list[str], told: list[str], has_more: bool
) -> None:
    more = Change(
        delivered=("n-1",),
        holds=(Hold.on_store(by="jo", reason="why"),),
        distinct=(Distinct(first="a", second="b", by="jo", reason="why"),),
        incidents=(Incident(cause="Away", on=DATES[0], began_at=START),),
        restored=Restored(since=START, by="jo"),
        trusted_clock=True,
    )
    change = attrs.evolve(
        more if has_more else Change(),
        runs=tuple(
            intend(key_of(each, DATES[0]), INVOICES, 900) for each in runs
        ),
        told=tuple(
            Told(autopay=each, topic="t", said="s", key="k") for each in told
        ),
        by="jo",
    )

    parts = by_chain(change)

    assert list(parts) == sorted(parts)
    assert all(0 <= chain < CHAINS for chain in parts)
    assert all(each.by == "jo" for each in parts.values())
    for name in ("runs", "told", "delivered", "holds", "distinct"):
        whole = [
            each for part in parts.values() for each in getattr(part, name)
        ]
        assert sorted(map(repr, whole)) == sorted(
            map(repr, getattr(change, name))
        )
    chains: dict[str, set[int]] = {}
    for chain, part in parts.items():
        for record in part.runs:
            chains.setdefault(record.key.autopay, set()).add(chain)
        for each in part.told:
            chains.setdefault(each.autopay, set()).add(chain)
    assert all(len(each) == 1 for each in chains.values())
    for fact in ("restored", "trusted_clock"):
        said = [getattr(each, fact) for each in parts.values()]
        assert [each for each in said if each] == [
            each for each in [getattr(change, fact)] if each
        ]


def test_t1_a_part_that_does_nothing_says_nothing() -> None:
    assert entry_body(Change(by="jo", reason="why"), digests={}) == ""


def test_t1_an_entry_holds_no_text_that_was_told() -> None:
    told = Told(autopay="ap-1", topic="ending", said="in secret", key="k")

    body = entry_body(Change(told=(told,)), digests={})

    assert "ending" in body
    assert "secret" not in body


def test_t1_notices_go_with_their_auto_pay() -> None:
    one = notice("a")
    other = attrs.evolve(notice("b"), autopay="ap-7")

    parts = by_chain(Change(notices=(one, other)))

    assert sorted(
        each.autopay for part in parts.values() for each in part.notices
    ) == ["ap-1", "ap-7"]


def test_values_of_stores_refuse_what_they_cannot_keep() -> None:
    with pytest.raises(InvalidValueError):
        Captured(key="k", amount=usd(1), reference="")
    with pytest.raises(InvalidValueError):
        RunKey(autopay="a", nominal_on=date(2026, 1, 1), number=-1)
