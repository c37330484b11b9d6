"""Values as JSON: everything comes back, and nothing else is let in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings, strategies as st
from jsonschema import Draft202012Validator

from autopay_core._checks import _HIDDEN
from autopay_core.allocation import (
    Allocation,
    AllocationLine,
    LeftOut,
    Reason,
    allocate,
)
from autopay_core.associations import Association, InvoiceQuery
from autopay_core.authorizations import Authorization, Given, words_hash
from autopay_core.autopay import AdvanceNotice, AutoPay, Enrollment
from autopay_core.balances import Expected
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    LineAccepted,
    LineRefused,
    PostingTotal,
    RefusalReason,
    answer,
    control_totals,
    export,
)
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeLine,
    ChargeRequest,
    DeclineClass,
    Declined,
    Indeterminate,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import StopOrder
from autopay_core.decisions import Decision
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.holds import Hold
from autopay_core.invoices import (
    Invoice,
    SearchBy,
    SearchQuery,
    SearchResult,
)
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.movements import (
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
)
from autopay_core.notices import Notice, NoticeKind
from autopay_core.payers import KeptAssociation, Payer, SavedMethod
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    Share,
)
from autopay_core.references import AccountKind, RunKey
from autopay_core.retries import AttemptRecord, RetryPolicy
from autopay_core.runs import (
    Attempt,
    Intent,
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    postings_of,
)
from autopay_core.schedules import (
    MissedPolicy,
    Occurrence,
    Pause,
    Schedule,
    ScheduleKind,
)
from autopay_core.selections import Selection
from autopay_core.serialization import (
    KINDS,
    Format,
    dumps,
    json_schema,
    loads,
)
from autopay_core.serialization.kinds import ADDED
from autopay_core.serialization.writing import _intents
from autopay_core.show.foreseen import ProjectedRun, Projection
from records import INVOICES, METHOD, after, intend, key_of, paid, usd
from strategies import (
    associations,
    cases,
    dates,
    deposit_accounts,
    invoices,
    limits,
    methods,
    money,
)

SAMPLE = intend(key_of("ap-1", date(2026, 1, 31)), INVOICES, 2_000)

# -- One strategy for each kind ----------------------------------------------

texts = st.text(
    st.characters(codec="utf-8", categories=["L", "P", "S", "Zs"]),
    max_size=30,
).filter(lambda text: not _HIDDEN.search(text))
ids = st.text(
    st.characters(codec="utf-8", categories=["L", "P", "S", "Nd"]),
    min_size=1,
    max_size=30,
).filter(lambda text: not _HIDDEN.search(text))
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))]
)
instants = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is drawn
    datetime(2199, 1, 1),  # noqa: DTZ001
    timezones=zones,
)
keys = st.from_regex(r"\Aap1[A-Z2-7]{1,32}\Z")
run_keys = st.builds(
    RunKey, autopay=ids, nominal_on=dates, number=st.integers(0, 3)
)
postings = (
    st.just(SAMPLE)
    .map(paid)
    .flatmap(lambda record: st.sampled_from(postings_of(record)))
    .flatmap(
        lambda each: st.builds(
            attrs.evolve,
            st.just(each),
            posted_on=st.none() | dates,
            ledger_number=st.just("") | ids,
        )
    )
)
lines_accepted = st.builds(
    LineAccepted, posting=ids, number=ids, posted_on=dates
)
lines_refused = st.builds(
    LineRefused,
    posting=ids,
    reason=st.sampled_from(RefusalReason),
    detail=texts,
)


def answer_to(batch: Batch) -> BatchAnswer:
    first, *others = batch.postings
    return BatchAnswer(
        batch=batch.id,
        lines=(
            LineRefused(posting=first.id, reason=RefusalReason.OTHER),
            *(
                LineAccepted(posting=each.id, number="L-1", posted_on=FIRST)
                for each in others
            ),
        ),
        booked=control_totals(others),
    )


def _id_of(posting: Posting) -> str:
    return posting.id


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    several = draw(
        st.lists(postings, min_size=1, max_size=3, unique_by=_id_of)
    )
    made = Batch(
        id=draw(ids),
        made_at=draw(instants),
        by=draw(ids),
        postings=tuple(
            attrs.evolve(each, status=PostingStatus.QUEUED) for each in several
        ),
    )
    at, by = draw(instants), draw(ids)
    exported = export(made, at=at, by=by)
    closed = answer(exported, answer_to(exported), at=at, by=by)
    return draw(st.sampled_from([made, exported, closed]))


FIRST = date(2026, 1, 31)
allocations = cases().map(
    lambda case: allocate(case.invoices, case.limit, **_options(case))
)
captures = st.builds(Captured, key=keys, amount=money(), reference=ids)
pendings = st.builds(Pending, key=keys, amount=money(), reference=ids)
approvals = st.builds(
    NeedsPayer,
    key=keys,
    amount=money(),
    reference=ids,
    link=st.sampled_from(["https://pay.example/a?b=4111111111111111"]),
    until=instants,
)
declines = st.builds(
    Declined,
    key=keys,
    code=st.sampled_from(["51", "R01", ""]),
    decline_class=st.sampled_from(DeclineClass),
    message=texts,
)
requests = st.builds(
    ChargeRequest,
    key=keys,
    method=methods,
    amount=money(least=1),
    deposit_account=deposit_accounts,
    description=texts,
    not_after=st.none() | instants,
)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 9),
    key=keys,
    amount=money(),
    method=ids,
    began_at=instants,
    deadline=instants,
    request_hash=ids,
    tries=st.integers(0, 9),
    reference=st.none() | ids,
    outcome=st.none() | captures | pendings | approvals | declines,
    account=st.just("") | ids,
    epoch=st.integers(0, 9),
    missing_since=st.none() | instants,
)
expectations = st.builds(
    Expected,
    invoice=ids,
    client=ids,
    matter=ids,
    issued_on=dates,
    figure=money(),
    balance=money(),
    counted_at=instants,
    fitted_at=instants,
    smallest=st.none() | money(),
    gone_since=st.none() | instants,
    replaces=st.just("") | ids,
)
holds = st.builds(
    Hold.on_matter, ids, ids, by=ids, reason=ids, since=st.none() | instants
) | st.builds(Hold.on_store, by=ids, reason=ids)
shares = st.builds(
    Share,
    client=ids,
    matter=ids,
    invoice=ids,
    # Three of them still add up.
    amount=st.builds(
        Money,
        amount_minor=st.integers(1, 2**63 // 3),
        currency=st.just("USD"),
    ),
)


def _reallocated(found: list[Share]) -> Reversal:
    """Make a reallocation to each invoice once."""
    to = tuple({str(each.invoice): each for each in found}.values())
    return Reversal(
        event="r-1",
        kind=ReversalKind.REALLOCATED,
        amount=Money.total((each.amount for each in to), "USD"),
        on=date(2026, 1, 31),
        corrects="p-1",
        to=to,
        unsent=len(to) > 1,
    )


reversals = st.builds(
    Reversal,
    event=ids,
    kind=st.sampled_from(
        [each for each in ReversalKind if each.name != "REALLOCATED"]
    ),
    amount=money(least=1),
    on=dates,
    corrects=st.just("") | ids,
    invoices=st.none() | st.dictionaries(ids, money(least=1), max_size=2),
) | st.builds(_reallocated, st.lists(shares, min_size=1, max_size=3))
decisions = st.builds(
    Decision,
    rule=st.integers(1, 3),
    on=dates,
    account=st.sampled_from(AccountKind),
    open_amounts=st.dictionaries(ids, money(least=0), max_size=2),
    spent=st.none()
    | st.builds(
        Spent, month=money("USD", least=0), lifetime=money("USD", least=0)
    ),
    minimum=st.none() | money(),
    ceilings=st.none() | st.dictionaries(ids, money(least=0), max_size=2),
    barred=st.dictionaries(ids, st.sampled_from(Reason), max_size=2),
    distinct=st.frozensets(
        st.frozensets(ids, min_size=2, max_size=2), max_size=3
    ),
    stated_at=st.none() | instants,
    enrolled=st.lists(associations(), max_size=2).map(tuple),
    roll=st.sampled_from(Roll),
)
movements = st.builds(
    Movement,
    id=ids,
    kind=st.sampled_from(MovementKind),
    amount=money(least=1),
    on=dates,
    key=st.none() | keys,
    reference=ids,
    account=st.just("") | ids,
    run=st.none() | run_keys,
    corrects=st.just("") | ids,
) | st.builds(
    lambda number, amount, on: Movement(
        id="ev-1",
        kind=MovementKind.REFUNDED,
        amount=amount,
        on=on,
        key="key-1",
        invoices={number: amount},
    ),
    ids,
    money(least=1),
    dates,
)
calendars = st.builds(
    BusinessCalendar,
    holidays=st.frozensets(dates, max_size=3),
    weekend=st.sampled_from([frozenset({6, 7}), frozenset(), frozenset({5})]),
    name=st.sampled_from(["", "FED"]),
)
schedules = st.one_of(
    st.just(Schedule.once(FIRST)),
    st.builds(Schedule.daily, st.just(FIRST), every=st.integers(1, 9)),
    st.builds(Schedule.weekly, st.just(FIRST), weekday=st.integers(1, 7)),
    st.builds(
        Schedule.twice_monthly,
        st.just(FIRST),
        days=st.sampled_from([(15, "last"), (1, 16), ("last", 2)]),
    ),
    st.builds(Schedule.monthly, st.just(FIRST), day=st.integers(1, 31)),
    st.builds(
        Schedule.last_day,
        st.just(FIRST),
        count=st.integers(1, 99),
        until=st.just(date(2040, 1, 1)),
        roll=st.sampled_from([Roll.PRECEDING, Roll.FOLLOWING]),
        calendar=calendars,
    ),
    st.builds(Schedule.quarterly, st.just(FIRST)),
    st.builds(Schedule.semiannual, st.just(FIRST)),
    st.builds(Schedule.yearly, st.just(FIRST), day=st.integers(1, 31)),
)
pauses = st.builds(
    lambda on, days: Pause(
        from_on=on,
        to_on=None if days is None else on + timedelta(days=days),
    ),
    st.dates(date(1900, 1, 1), date(2190, 1, 1)),
    st.none() | st.integers(1, 900),
)
enrollments = st.builds(
    Enrollment,
    association=associations(),
    since=st.none() | st.just(FIRST),
    renewals=st.lists(
        st.dates(date(2027, 1, 31), date(2099, 1, 1)), max_size=2, unique=True
    ).map(lambda days: tuple(sorted(days))),
    years_from=st.just(()) | st.just((FIRST, date(2027, 1, 31))),
)
notices_ahead = st.just(AdvanceNotice()) | st.builds(
    lambda low: AdvanceNotice(days=5, least=low, most=low),
    money("USD", least=1),
)
policies = st.builds(RetryPolicy, retries_most=st.integers(1, 3))
selections = st.builds(
    Selection,
    due_within=st.none() | st.integers(0, 90),
    least_age=st.integers(0, 90),
    without_invoices=st.frozensets(ids, max_size=2),
    without_matters=st.frozensets(ids, max_size=2),
)
autopays = st.builds(
    AutoPay,
    id=ids,
    payer=st.just("p-1"),
    name=texts.map(lambda text: f"A{text}"),
    method=methods,
    deposit_account=deposit_accounts,
    schedule=schedules,
    limit=limits(),
    enrollments=st.lists(enrollments, max_size=3).map(tuple),
    ar_message=texts,
    pauses=st.lists(pauses, max_size=2).map(tuple),
    skips=st.frozensets(dates, max_size=2),
    missed=st.sampled_from(MissedPolicy),
    off_from=st.none() | dates,
    retry=st.none() | policies,
    advance_notice=st.none() | notices_ahead,
    moves=st.dictionaries(dates, dates, max_size=2),
    payments=st.none() | st.integers(1, 100_000),
    tell_nothing_due=st.booleans(),
    selection=st.none() | selections,
)


def _options(case: Any) -> dict[str, Any]:
    return dict(case.options())


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    case = draw(cases())
    allocation = allocate(case.invoices, case.limit, **_options(case))
    if not allocation.total.is_positive:
        return attrs.evolve(_sample_intent(), ar_message=draw(texts))
    request = attrs.evolve(draw(requests), amount=allocation.total)
    return Intent(
        allocation=allocation, request=request, ar_message=draw(texts)
    )


def _sample_intent() -> Intent:
    assert SAMPLE.intent is not None
    return SAMPLE.intent


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    intent = draw(st.none() | intents())
    last = draw(attempts)
    if intent is not None:
        last = attrs.evolve(last, request_hash=intent.request.request_hash)
    return RunRecord(
        key=draw(run_keys),
        payer=draw(ids),
        version=draw(st.integers(1, 2**31)),
        state=draw(
            st.sampled_from(
                [RunState.FAILED, RunState.WAITING]
                if intent is None
                else list(RunState)
            )
        ),
        charge_on=draw(dates),
        attempts=(*draw(st.lists(attempts, max_size=2)), last),
        intent=intent,
        plan=draw(st.none() | allocations),
        reason=draw(texts),
        detail=draw(texts),
        next_try_at=draw(st.none() | instants),
        reversals=tuple(draw(st.lists(reversals, max_size=2))),
        announced=draw(
            st.none() | st.dictionaries(ids, money(least=1), max_size=3)
        ),
    )


kept_associations = st.builds(
    KeptAssociation, association=associations(crowded=False)
) | st.builds(
    KeptAssociation,
    association=associations(crowded=False),
    search_by=st.sampled_from(SearchBy),
    text=st.just("harbour"),
)
allowed = st.builds(
    Authorization,
    id=ids,
    method=methods.map(lambda each: each.fingerprint),
    words=st.just(words_hash("I allow it.")),
    words_version=st.just("2026-01"),
    given=st.sampled_from(Given),
    given_at=st.just(datetime(2026, 1, 30, 9, tzinfo=UTC)),
    evidence=st.just("page 7"),
    from_on=st.just(date(2026, 1, 30)),
    until_on=st.none() | st.just(date(2027, 1, 30)),
    most=st.none() | money("USD", least=1),
    frequency=st.none() | st.sampled_from(ScheduleKind),
    autopay=st.just("") | ids,
    revoked_on=st.none() | st.just(date(2026, 3, 1)),
)
saved_methods = st.builds(
    SavedMethod,
    method=methods,
    label=texts,
    removed_on=st.none() | st.just(date(2026, 3, 1)),
)


occurrences = st.builds(Occurrence, nominal_on=dates, charge_on=dates)
projected_runs = st.builds(
    ProjectedRun, occurrence=occurrences, allocation=allocations
)
projections = st.builds(
    Projection,
    autopay=autopays,
    from_on=dates,
    before=dates,
    runs=st.lists(projected_runs, max_size=2).map(tuple),
    left=st.dictionaries(ids, money("USD"), max_size=2),
)

STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "advance_notice": notices_ahead,
    "allocation": allocations,
    "allocation_line": intents().map(lambda each: each.allocation.lines[0]),
    "association": associations(crowded=False),
    "attempt": attempts,
    "attempt_record": st.builds(AttemptRecord, at=instants, amount=money()),
    "authorization": allowed,
    "autopay": autopays,
    "business_calendar": calendars,
    "cancelled": st.builds(Cancelled, key=ids),
    "captured": captures,
    "charge_line": st.builds(ChargeLine, invoice=ids, amount=money()),
    "charge_request": requests,
    "declined": declines,
    "deposit_account": deposit_accounts,
    "enrollment": enrollments,
    "expected": expectations,
    "hold": holds,
    "indeterminate": st.builds(Indeterminate, detail=texts),
    "intent": intents(),
    "invoice": invoices(),
    "left_out": st.builds(
        LeftOut,
        number=st.none() | ids,
        client=st.none() | ids,
        code=st.sampled_from(["AmountFormat", "ConflictingInvoice"]),
        where=st.sampled_from(["", "open_invoices.csv:17:Balance"]),
    ),
    "kept_association": kept_associations,
    "limit": limits(),
    "money": money(),
    "not_found": st.just(NotFound()),
    "notice": st.builds(
        Notice,
        key=ids,
        kind=st.sampled_from(NoticeKind),
        payer=ids,
        autopay=ids,
        on=dates,
        name=texts,
        amount=st.none() | money(),
        reason=st.sampled_from(["", "Declined"]),
        detail=texts,
        run=st.none() | run_keys,
        lines=st.lists(
            st.builds(ChargeLine, invoice=ids, amount=money()), max_size=2
        ).map(tuple),
        reference=st.just("") | ids,
        method=st.sampled_from(["", "visa …4242"]),
        left=st.none() | money(),
        next_on=st.none() | dates,
        link=st.sampled_from(["", "https://pay.example/a"]),
    ),
    "occurrence": occurrences,
    "pause": pauses,
    "payer": st.builds(
        Payer,
        id=st.just("p-1"),
        name=texts,
        associations=st.lists(
            kept_associations,
            unique_by=lambda each: each.association,
            max_size=2,
        ).map(tuple),
        methods=st.lists(
            saved_methods,
            unique_by=lambda each: each.method.fingerprint,
            max_size=2,
        ).map(tuple),
        authorizations=st.lists(
            allowed, unique_by=lambda each: each.id, max_size=2
        ).map(tuple),
    ),
    "payment_method": methods,
    "needs_payer": approvals,
    "pending": pendings,
    "posting": postings,
    "posting_total": st.builds(
        PostingTotal,
        status=st.sampled_from(PostingStatus),
        count=st.integers(1, 9),
        amount=money(),
    ),
    "batch": batches(),
    "batch_answer": batches().map(answer_to),
    "line_accepted": lines_accepted,
    "line_refused": lines_refused,
    "projected_run": projected_runs,
    "projection": projections,
    "retry_policy": policies,
    "selection": selections,
    "reversal": reversals,
    "share": shares,
    "movement": movements,
    "decision": decisions,
    "movement_record": st.builds(
        MovementRecord,
        movement=movements,
        state=st.sampled_from(MovementState),
        version=st.integers(1, 9),
        run=st.none() | run_keys,
        reason=st.sampled_from(["", "MovementEarly"]),
        detail=texts,
    ),
    "run_key": run_keys,
    "run_record": records(),
    "run_result": st.builds(
        RunResult,
        key=st.none() | run_keys,
        status=st.sampled_from(RunStatus),
        record=st.none() | records(),
        reason=st.sampled_from(["", "Declined"]),
        detail=texts,
        autopay=ids,
    ),
    "saved_method": saved_methods,
    "schedule": schedules,
    "invoice_query": st.builds(
        InvoiceQuery,
        payer=st.just("p-1"),
        associations=st.lists(
            st.builds(Association, payer=st.just("p-1"), client=ids),
            max_size=2,
        ).map(tuple),
        page=st.none() | ids,
    ),
    "search_query": st.builds(
        SearchQuery,
        by=st.sampled_from(SearchBy),
        text=ids,
        page=st.none() | ids,
    ),
    "search_result": st.builds(
        SearchResult,
        client=ids,
        client_name=texts,
        matter=st.none() | ids,
        matter_description=texts,
    ),
    "spent": st.builds(
        Spent, month=money("USD", least=0), lifetime=money("USD", least=0)
    ),
    "stop_order": st.builds(
        StopOrder,
        target=ids.map(StopOrder.autopay),
        active=st.booleans(),
        by=st.just("jo"),
        reason=texts,
    ),
}


def test_every_kind_has_a_strategy() -> None:
    assert STRATEGIES.keys() == KINDS.keys()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_value_comes_back_as_it_was(name: str) -> None:
    @settings(max_examples=30)
    @given(STRATEGIES[name])
    def comes_back(value: Any) -> None:
        text = dumps(value)
        assert loads(text, KINDS[name]) == value
        assert loads(text.encode(), KINDS[name]) == value
        assert dumps(loads(text, KINDS[name])) == text
        assert text.isascii()

    comes_back()


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def plain(value: Any, *, tagged: bool = False) -> Any:  # noqa: PLR0911
    """Return what JSON has for a value, field by field."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        at = value.astimezone(UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06}Z"
    if isinstance(value, date):
        return str(value)
    if isinstance(value, frozenset):
        if any(isinstance(each, frozenset) for each in value):
            return sorted(map(plain, value), key=_compact)
        return [plain(each) for each in sorted(value)]
    if isinstance(value, tuple):
        return [plain(each, tagged=tagged) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if not attrs.has(type(value)):
        return value
    [name] = [name for name, kind in KINDS.items() if kind is type(value)]
    return ({"type": name} if tagged else {}) | {
        each.name: plain(
            getattr(value, each.name),
            tagged=(name, each.name) == ("batch_answer", "lines")
            or each.name == "outcome",
        )
        for each in attrs.fields(type(value))
        if each.init
    }


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_text_has_every_field_in_the_order_of_its_class(name: str) -> None:
    @settings(max_examples=30)
    @given(STRATEGIES[name])
    def is_plain(value: Any) -> None:
        whole = {"schema": name, "version": 1, "data": plain(value)}
        text = json.dumps(whole, separators=(",", ":"))

        assert dumps(value) == text
        assert dumps(value) == text  # with its intent's text remembered

    is_plain()


@pytest.mark.parametrize("run", [SAMPLE, paid(SAMPLE)])
def test_a_run_is_written_with_its_intent_remembered(run: RunRecord) -> None:
    data = json.loads(dumps(run))["data"]

    assert data == plain(run)
    assert data["intent"]["allocation"]["lines"] != []


def test_an_intents_text_is_forgotten_with_it() -> None:
    before = set(_intents.known)
    for _ in range(5):
        dumps(attrs.evolve(SAMPLE, intent=attrs.evolve(_sample_intent())))

    assert set(_intents.known) <= before


def test_a_value_of_no_kind_has_no_format() -> None:
    with pytest.raises(InvalidValueError, match="FieldType"):
        dumps(object())
    with pytest.raises(InvalidValueError, match="FieldType"):
        loads(dumps(usd(1)), str)


# -- What is refused ---------------------------------------------------------

GOOD = json.loads(dumps(after(SAMPLE, RunState.REVIEW, reason="x")))
LINE = ("data", "intent", "allocation", "lines", 0)


def changed(*path: Any, to: Any) -> str:
    """Return the sample's text with one place changed."""
    whole = json.loads(json.dumps(GOOD))
    place = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(whole)


def without(*path: Any) -> str:
    whole = json.loads(json.dumps(GOOD))
    place = whole
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return json.dumps(whole)


AMOUNT = (*LINE, "amount", "amount_minor")
WHERE = "data.intent.allocation.lines[0]"
REFUSED = [
    # text, code, path
    (changed(*AMOUNT, to="900"), "FieldType", f"{WHERE}.amount.amount_minor"),
    (changed(*AMOUNT, to=True), "FieldType", f"{WHERE}.amount.amount_minor"),
    (
        changed(*AMOUNT, to=None),
        "FieldMissing",
        f"{WHERE}.amount.amount_minor",
    ),
    (changed(*AMOUNT, to=9.0), "FloatAmount", ""),
    (changed(*AMOUNT, to=float("nan")), "NonFiniteAmount", ""),
    (changed(*AMOUNT, to=float("inf")), "NonFiniteAmount", ""),
    (changed(*AMOUNT, to=10**30), "NumberTooLong", ""),
    (
        changed(*AMOUNT, to=2**63),
        "AmountTooLarge",
        f"{WHERE}.amount.amount_minor",
    ),
    (changed(*AMOUNT, to=1), "LineAmounts", f"{WHERE}.amount"),
    (without(*AMOUNT), "FieldMissing", f"{WHERE}.amount.amount_minor"),
    (without("data", "reason"), "FieldMissing", "data.reason"),
    (changed("data", "more", to=1), "UnknownField", "data.more"),
    (changed("data", "a\nb", to=1), "UnknownField", "data"),
    (changed(*LINE, "more", to=1), "UnknownField", f"{WHERE}.more"),
    (changed("more", to=1), "UnknownField", "more"),
    (without("data"), "FieldMissing", "data"),
    (without("version"), "FieldMissing", "version"),
    (changed("version", to=2), "VersionUnsupported", "version"),
    (changed("version", to=0), "FieldType", "version"),
    (changed("version", to="1"), "FieldType", "version"),
    (changed("version", to=True), "FieldType", "version"),
    (changed("schema", to="posting"), "SchemaMismatch", "schema"),
    (changed("data", to=[]), "FieldType", "data"),
    (changed("data", to=None), "FieldMissing", "data"),
    (changed("data", "state", to="odd"), "UnknownValue", "data.state"),
    (changed("data", "state", to=1), "FieldType", "data.state"),
    (changed("data", "version", to=12.9), "FloatAmount", ""),
    (changed("data", "version", to="5"), "FieldType", "data.version"),
    (
        changed("data", "charge_on", to="20260131"),
        "DateFormat",
        "data.charge_on",
    ),
    (
        changed("data", "charge_on", to="2026-W05-6"),
        "DateFormat",
        "data.charge_on",
    ),
    (
        changed("data", "charge_on", to="2026-02-30"),
        "DateFormat",
        "data.charge_on",
    ),
    (
        changed("data", "charge_on", to="0001-01-01"),
        "DateOutOfRange",
        "data.charge_on",
    ),
    (changed("data", "charge_on", to=5), "FieldType", "data.charge_on"),
    (
        changed("data", "attempts", 0, "began_at", to="2026-01-31T12:00:00Z"),
        "InstantFormat",
        "data.attempts[0].began_at",
    ),
    (
        changed("data", "attempts", 0, "began_at", to="2026-01-31"),
        "InstantFormat",
        "data.attempts[0].began_at",
    ),
    (
        changed("data", "attempts", 0, "began_at", to=1),
        "FieldType",
        "data.attempts[0].began_at",
    ),
    (changed("data", "attempts", to={}), "FieldType", "data.attempts"),
    (changed("data", "attempts", to="ab"), "FieldType", "data.attempts"),
    (
        changed("data", "attempts", 0, "outcome", to={"type": "paid"}),
        "UnknownValue",
        "data.attempts[0].outcome.type",
    ),
    (
        changed("data", "attempts", 0, "outcome", to={"type": []}),
        "UnknownValue",
        "data.attempts[0].outcome.type",
    ),
    (
        changed("data", "attempts", 0, "outcome", to={"key": "k"}),
        "FieldMissing",
        "data.attempts[0].outcome.type",
    ),
    (
        changed("data", "attempts", 0, "outcome", to=[]),
        "FieldType",
        "data.attempts[0].outcome",
    ),
    (
        changed("data", "attempts", 0, "number", to=None),
        "FieldMissing",
        "data.attempts[0].number",
    ),
    (changed("data", "announced", to=[]), "FieldType", "data.announced"),
    (
        changed("data", "announced", to={"a b": 5}),
        "FieldType",
        "data.announced.*",
    ),
    (
        changed("data", "intent", "request", "method", "consumer", to=0),
        "FieldType",
        "data.intent.request.method.consumer",
    ),
    (
        changed(*LINE, "invoice", "number", to="a\x00"),
        "ControlCharacter",
        f"{WHERE}.invoice.number",
    ),
    (
        changed(*LINE, "invoice", "number", to="\ud800"),
        "ControlCharacter",
        f"{WHERE}.invoice.number",
    ),
    (
        changed("data", "intent", "request", "amount", "amount_minor", to=1),
        "IntentAmount",
        "data.intent.request.amount",
    ),
    ("", "JsonFormat", ""),
    ("{", "JsonFormat", ""),
    ("[]", "FieldType", ""),
    ("null", "FieldMissing", ""),
    ("5", "FieldType", ""),
    ('{"data": 1} x', "JsonFormat", ""),
    ('{"data": "\x01"}', "ControlCharacter", ""),
    ('{"data": 1, "data": 2}', "DuplicateKey", "data"),
    ('{"data": {"a b": 1, "a b": 2}}', "DuplicateKey", ""),
    ("[" * 100_000, "JsonTooDeep", ""),
    ("[" * 500 + "]" * 500, "JsonTooDeep", ""),
    ('{"data":' * 100_000, "JsonTooDeep", ""),
    ('{"version": ' + "9" * 5_000 + "}", "NumberTooLong", ""),
    ("\ufeff{}", "Encoding", ""),
]


@pytest.mark.parametrize(
    ("text", "code", "path"),
    REFUSED,
    # The texts themselves differ between processes: sets have no order.
    ids=[f"{place}-{each[1]}" for place, each in enumerate(REFUSED)],
)
def test_what_is_not_exactly_right_is_refused(
    text: str, code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        loads(text, RunRecord)

    assert (caught.value.code, caught.value.path) == (code, path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "raw",
    [
        dumps(usd(1)).encode("utf-16"),
        b"\xff\xfe{}",
        b'{"a": "\xc3"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_bytes_must_be_utf_8_without_a_mark(raw: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        loads(raw, Money)

    assert caught.value.code == "Encoding"


def test_a_text_may_be_no_longer_than_is_said() -> None:
    text = dumps(usd(1))
    assert loads(text, Money, most=len(text)) == usd(1)

    with pytest.raises(FormatError, match="BodyTooLarge"):
        loads(text, Money, most=len(text) - 1)


def test_only_text_is_read() -> None:
    with pytest.raises(FormatError, match="FieldType"):
        loads(5, Money)  # type: ignore[arg-type]


def test_a_set_with_one_value_twice_is_refused() -> None:
    calendar = BusinessCalendar(holidays=frozenset({FIRST}))
    text = dumps(calendar).replace('"2026-01-31"', '"2026-01-31","2026-01-31"')

    with pytest.raises(FormatError) as caught:
        loads(text, BusinessCalendar)

    assert (caught.value.code, caught.value.path) == (
        "DuplicateValue",
        "data.holidays",
    )


def test_a_day_of_the_month_is_a_number_or_last() -> None:
    text = dumps(Schedule.monthly(FIRST)).replace("[31]", '["first"]')

    with pytest.raises(FormatError) as caught:
        loads(text, Schedule)

    assert caught.value.path == "data.days[0]"


def test_no_error_shows_a_token() -> None:
    text = changed("data", "intent", "request", "method", "kind", to="odd")

    with pytest.raises(FormatError) as caught:
        loads(text, RunRecord)

    assert METHOD.token not in str(caught.value)
    assert METHOD.token not in str(caught.value.__cause__)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(InvalidValueError):
        loads(raw, RunRecord)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    ),
    st.data(),
)
def test_any_json_in_any_place_is_read_or_refused_by_name(
    value: Any, data: st.DataObject
) -> None:
    path: list[Any] = []
    place: Any = GOOD
    while isinstance(place, (dict, list)) and place:
        steps = list(place) if isinstance(place, dict) else range(len(place))
        step = data.draw(st.sampled_from(steps))
        path.append(step)
        place = place[step]
        if data.draw(st.integers(0, 4)) == 0:
            break
    text = changed(*path, to=value)

    try:
        found = loads(text, RunRecord)
    except InvalidValueError:
        return
    assert json.loads(dumps(found))["data"] == json.loads(text)["data"]


# -- Versions ----------------------------------------------------------------


def rename(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "amount_minor": data["cents"],
        "currency": data["currency"],
    }


def in_cents(data: dict[str, Any]) -> dict[str, Any]:
    return {"cents": data["dollars"] * 100, "currency": data["currency"]}


def test_an_older_version_is_brought_up_to_date_step_by_step() -> None:
    newer = Format({"money": (in_cents, rename)})
    assert newer.version("money") == 3
    assert newer.version("notice") == 1

    def text(version: int, **data: object) -> str:
        return json.dumps(
            {"schema": "money", "version": version, "data": data}
        )

    for old in (
        text(1, dollars=5, currency="USD"),
        text(2, cents=500, currency="USD"),
        text(3, amount_minor=500, currency="USD"),
    ):
        assert newer.loads(old, Money) == usd(500)
    assert json.loads(newer.dumps(usd(1)))["version"] == 3
    with pytest.raises(FormatError, match="VersionUnsupported"):
        newer.loads(text(4), Money)


def test_an_older_reader_leaves_a_newer_value_alone() -> None:
    text = Format({"money": (rename,)}).dumps(usd(1))

    with pytest.raises(FormatError, match="VersionUnsupported"):
        loads(text, Money)


def test_upgrades_of_nothing_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="UnknownValue"):
        Format({"nothing": (rename,)})


def test_the_format_of_a_run_is_what_it_was() -> None:
    """Change this only together with an upgrade from the version before."""
    line = AllocationLine(
        invoice=Invoice(
            number="INV-1",
            client="C-1",
            matter="M-1",
            issued_on=date(2026, 1, 1),
            balance=usd(900),
        ),
        open=usd(0),
        payable=usd(900),
        amount=usd(900),
        reason=Reason.PAID,
    )
    allocation = Allocation(
        lines=(line,), total=usd(900), limit=Limit.all("USD")
    )

    assert json.loads(dumps(allocation)) == {
        "schema": "allocation",
        "version": 1,
        "data": {
            "lines": [
                {
                    "invoice": {
                        "number": "INV-1",
                        "client": "C-1",
                        "matter": "M-1",
                        "issued_on": "2026-01-01",
                        "balance": {"amount_minor": 900, "currency": "USD"},
                        "due_on": None,
                        "total": None,
                        "status": "open",
                        "account": "operating",
                        "matters": [],
                    },
                    "open": {"amount_minor": 0, "currency": "USD"},
                    "payable": {"amount_minor": 900, "currency": "USD"},
                    "amount": {"amount_minor": 900, "currency": "USD"},
                    "reason": "paid",
                    "ceiling": None,
                }
            ],
            "total": {"amount_minor": 900, "currency": "USD"},
            "limit": {
                "currency": "USD",
                "per_run": None,
                "per_invoice": None,
                "per_month": None,
                "lifetime": None,
                "whole_invoices": False,
                "minimum": None,
            },
            "order": "issued",
            "available": None,
            "bound_by": None,
            "left_out": [],
        },
    }


@pytest.mark.parametrize("kind", sorted(ADDED, key=str))
def test_a_text_of_before_is_read_with_the_defaults_of_what_was_added(
    kind: type[Any],
) -> None:
    [name] = [name for name, each in KINDS.items() if each is kind]
    fields = {each.name: each for each in attrs.fields(kind)}

    @settings(max_examples=20)
    @given(STRATEGIES[name])
    def reads(value: Any) -> None:
        # One of a kind that was added with its fields is never without them.
        assume(getattr(value, "to", ()) == ())
        whole = json.loads(dumps(value))
        for field in ADDED[kind]:
            del whole["data"][field]
        before = attrs.evolve(
            value, **{field: fields[field].default for field in ADDED[kind]}
        )

        assert loads(json.dumps(whole), kind) == before

    reads()


def test_only_what_was_added_may_be_missing() -> None:
    for kind, added in ADDED.items():
        names = [each.name for each in attrs.fields(kind)]
        # What is added stands at the end: older fields keep their places.
        assert set(names[-len(added) :]) == added


# -- JSON Schema --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_schema_holds_for_what_is_written(name: str) -> None:
    schema = json_schema(KINDS[name])
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)

    @settings(max_examples=20)
    @given(STRATEGIES[name])
    def holds(value: Any) -> None:
        validator.validate(json.loads(dumps(value)))

    holds()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Return where something stands in a text."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield (*path, name)
            yield from places(each, (*path, name))
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield (*path, place)
            yield from places(each, (*path, place))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_schema_refuses_is_not_read(name: str) -> None:
    validator = Draft202012Validator(json_schema(KINDS[name]))
    refused: list[bool] = []

    @settings(max_examples=60)
    @given(STRATEGIES[name], st.data())
    def agree(value: Any, data: st.DataObject) -> None:
        whole = json.loads(dumps(value))
        path = data.draw(st.sampled_from(list(places(whole))))
        parent = whole
        for each in path[:-1]:
            parent = parent[each]
        other: Any = data.draw(
            st.sampled_from(
                [None, True, 7, "x", [], {}, "2026-02-30", "nothing", -1]
            )
            | st.just(...)
        )
        if other is ...:
            del parent[path[-1]]
        else:
            parent[path[-1]] = other
        if validator.is_valid(whole):
            return  # The value may still refuse it.
        refused.append(True)
        with pytest.raises(InvalidValueError):
            loads(json.dumps(whole), KINDS[name])

    agree()
    assert refused, "nothing was spoiled"


def test_what_has_no_format_has_no_schema() -> None:
    with pytest.raises(InvalidValueError) as refused:
        json_schema(int)

    assert refused.value.code == "FieldType"


def test_a_field_that_came_later_is_not_required() -> None:
    schema = json_schema(RunKey)["$defs"]["run_key"]

    assert set(schema["properties"]) - set(schema["required"]) == {"number"}
