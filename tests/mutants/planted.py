"""
Planted bugs: each a wrong function in the place of a true one.

A planted bug is a function that is handed a `Planting` and swaps what it has
to. Nothing depends on how the true function is written: a wrong one calls it
and spoils what goes in, what it asks, or what comes out. Where one defence
hides the loss of another, both are swapped, or the rule that would tell first
is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import attrs

from autopay_core import (
    associations,
    balances,
    charges,
    corrections,
    notices,
    reads,
    retries,
    runs,
)
from autopay_core.adapters._batches import batch_conflict
from autopay_core.adapters.memory import MemoryPostingStore, store
from autopay_core.associations import InvoiceQuery
from autopay_core.charges import (
    Cancelled,
    Declined,
    Indeterminate,
    NotFound,
)
from autopay_core.commits import Ceiling, Change, Committed, OpenAmounts
from autopay_core.engine import (
    asking,
    charging,
    collecting,
    desk,
    gate,
    planning,
    reading,
    reallocating,
    receiving,
    recovery,
    requests,
    staff,
    steps,
    sweeping,
    telling,
    words,
)
from autopay_core.engine.requests import (
    Charge,
    Commit,
    Confirm,
    Prepare,
    ReadInvoices,
    ReadOpen,
    ReadStanding,
    Send,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.movements import MovementState
from autopay_core.notices import NoticeKind
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.runs import RunState, RunStatus
from autopay_core.schedules import MissedPolicy
from autopay_core.testing.simulator import System, simulate
from planting import Planting, altered

Plant = Callable[[Planting], None]


@attrs.frozen(kw_only=True)
class Mutant:
    """
    A planted bug.

    Attributes:
        name: What is wrong.
        plants: How.
        rules: Which broken promises count as finding it; empty for any.
        seeds: Found within so many seeds.
        since: The first seed that is tried; above 0 for what is so rare that
            looking for it from 0 on would take minutes.
        first: The first seed that found it when the table was made.
        theme: The mix of faults that it is looked for with; None for any.
        ignored: Rules that are not checked.

    """

    name: str
    plants: tuple[Plant, ...]
    seeds: int
    first: int
    rules: frozenset[str] = frozenset()
    theme: str | None = None
    ignored: frozenset[str] = frozenset()
    since: int = 0


_TABLE: dict[str, Mutant] = {}


def mutants() -> tuple[Mutant, ...]:
    """Return every planted bug."""
    return tuple(_TABLE.values())


def mutant(name: str) -> Mutant:
    """Return a planted bug by its name."""
    return _TABLE[name]


@contextmanager
def planted(*plants: Plant) -> Iterator[System]:
    """Plant bugs, and give the flows and the store as they are then."""
    with Planting() as planting:
        for plant in plants:
            plant(planting)
        yield System(
            sweep=sweeping.sweep,
            run_now=sweeping.run_now,
            rerun=staff.rerun,
            recover=recovery.recover,
            collect=collecting.collect,
            advance_postings=staff.advance_postings,
            make_batch=desk.make_batch,
            export_batch=desk.export_batch,
            answer_batch=desk.answer_batch,
            reallocate=reallocating.reallocate,
            receive=receiving.receive,
            reverse=staff.reverse,
            attest=staff.attest,
            accept_balance=staff.accept_balance,
        )


def hunt(name: str, most: int | None = None) -> tuple[int, str] | None:
    """Return the first seed that finds a planted bug, and what it says."""
    wanted = mutant(name)
    with planted(*wanted.plants) as system:
        many = wanted.seeds if most is None else most
        for seed in range(wanted.since, wanted.since + many):
            outcome = simulate(
                seed, system=system, theme=wanted.theme, ignored=wanted.ignored
            )
            if outcome.rule is not None and (
                not wanted.rules or outcome.rule in wanted.rules
            ):
                return seed, outcome.message
    return None


def _mutant(
    name: str,
    *more: Plant,
    seeds: int,
    first: int,
    rules: str = "",
    theme: str | None = None,
    ignored: str = "",
    since: int = 0,
) -> Callable[[Plant], Plant]:
    """Put the planted bug below into the table, with *more* besides."""

    def keep(plant: Plant) -> Plant:
        assert name not in _TABLE, name
        _TABLE[name] = Mutant(
            name=name,
            plants=(*more, plant),
            seeds=seeds,
            first=first,
            since=since,
            rules=frozenset(rules.split()),
            theme=theme,
            ignored=frozenset(ignored.split()),
        )
        return plant

    return keep


# -- Spoiling a step, and a commit of the store -------------------------------


def _spoiled_step(
    planting: Planting,
    true: Callable[..., Change],
    spoil: Callable[[Change], Change],
) -> None:
    """Put a step in the place of *true* that is spoiled on its way out."""

    def wrong(*args: Any, **options: Any) -> Change:
        return spoil(true(*args, **options))

    planting.swap(true, wrong)


def _with_last(change: Change, request: bool, **changes: Any) -> Change:
    """Change the last attempt of the run that *change* writes."""
    [record] = change.runs
    last = attrs.evolve(record.attempts[-1], **changes)
    intent = record.intent
    if request:
        assert intent is not None
        intent = attrs.evolve(
            intent,
            request=attrs.evolve(intent.request, not_after=last.deadline),
        )
    return attrs.evolve(
        change,
        runs=(
            attrs.evolve(
                record, attempts=(*record.attempts[:-1], last), intent=intent
            ),
        ),
    )


def _though_held(change: Change) -> Change:
    return attrs.evolve(change, unless_held=(), expect_holds=None)


def _spoiled_commit(
    planting: Planting, spoil: Callable[[MemoryPostingStore, Change], Change]
) -> None:
    """Let the store in memory commit what is spoiled on its way in."""
    true = MemoryPostingStore.commit

    def wrong(self: MemoryPostingStore, change: Change, /) -> Any:
        return true(self, spoil(self, change))

    planting.method(MemoryPostingStore, "commit", wrong)


def _no_versions(planting: Planting) -> None:
    _spoiled_commit(
        planting,
        lambda _, change: attrs.evolve(change, expect_versions=None),
    )


def _no_open_values(planting: Planting) -> None:
    _spoiled_commit(
        planting, lambda _, change: attrs.evolve(change, expect_open=None)
    )


def _one_doubt(planting: Planting) -> None:
    _spoiled_step(
        planting,
        steps.intend,
        lambda change: attrs.evolve(change, only_doubtful=False),
    )


def _after_what_stands(store: MemoryPostingStore, change: Change) -> Change:
    records = []
    for record in change.runs:
        stands = store.standing(record.key, "", "").run
        version = 1 if stands is None else stands.version + 1
        records.append(attrs.evolve(record, version=version))
    return attrs.evolve(change, runs=tuple(records))


# -- The table ----------------------------------------------------------------


@_mutant(
    "the money is asked for before the intent is written",
    seeds=100,
    first=0,
    rules="I4",
)
def _charge_before_intent(planting: Planting) -> None:
    true = requests.commit

    def commit(change: Change) -> Any:
        if change.runs[0].intent and not change.postings:
            request = change.runs[0].intent.request
            reference = change.runs[0].attempts[-1].reference
            yield (
                Charge(request)
                if reference is None
                else Confirm(reference, request)
            )
        return (yield from true(change))

    planting.swap(true, commit, collecting)


@_mutant("a new key for every try", seeds=300, first=5)
def _new_key(planting: Planting) -> None:
    true = steps.try_again

    def try_again(record: Any, *read: Any) -> Change:
        last = record.attempts[-1]
        key = f"{last.key[:-2]}{last.tries:02}"
        return _with_last(true(record, *read), request=False, key=key)

    planting.swap(true, try_again)


@_mutant(
    "a timeout is taken as a decline",
    seeds=300,
    first=2,
    rules="I8 I6 I2",
)
def _timeout_is_a_decline(planting: Planting) -> None:
    true = charging.conclusion

    def conclusion(record: Any, outcome: Any, terms: Any) -> Any:
        if isinstance(outcome, Indeterminate):
            key = record.attempts[-1].key
            outcome = Declined(key=key, code="timeout")
        return true(record, outcome, terms)

    planting.swap(true, conclusion)


@_mutant(
    "not found is taken as not charged",
    seeds=1_000,
    first=0,
    rules="I8 I6 I2",
)
def _not_found_is_a_decline(planting: Planting) -> None:
    true = requests.look_up

    def look_up(key: str, *how: Any) -> Any:
        outcome = yield from true(key, *how)
        if isinstance(outcome, NotFound):
            return Declined(key=key, code="not found")
        return outcome

    planting.swap(true, look_up)


@_mutant("no reservation", seeds=100, first=0, rules="I1 I9")
def _no_reservation(planting: Planting) -> None:
    planting.swap(runs.reservations, lambda record: {})


@_mutant("last write wins", seeds=300, first=16)
@_mutant(
    "last write wins, told by the money alone",
    seeds=1_000,
    first=44,
    rules="I2 I8 I6 Q1 Q2 I7 I5",
    ignored="I10",
)
def _last_write_wins(planting: Planting) -> None:
    _spoiled_commit(planting, _after_what_stands)


def _balances_believed(planting: Planting) -> None:
    """Switch off that balances are checked against our books (B0, B1)."""
    true = reading.check_read

    def check(case: Any, opened: Any, *read: Any) -> Any:
        checked = true(case, opened, *read)
        return attrs.evolve(
            checked, open_amounts=opened.amounts, barred={}, expected=()
        )

    planting.swap(true, check)


@_mutant(
    "balances are read before open amounts",
    _balances_believed,
    seeds=3_000,
    first=82,
    theme="postings",
    rules="I1",
)
def _balances_first(planting: Planting) -> None:
    true = planning.plan_run

    def plan_run(case: Any, *more: Any, **options: Any) -> Any:
        early = []
        query = InvoiceQuery(
            payer=case.autopay.payer, associations=case.associations
        )
        seen: set[str | None] = set()
        while query.page not in seen:
            seen.add(query.page)
            page = yield ReadInvoices(query)
            early.append(page)
            query = attrs.evolve(query, page=page.next_page)
            if page.next_page is None:
                break
        flow = true(case, *more, **options)
        asked = next(flow)
        try:
            while True:
                if isinstance(asked, ReadInvoices):
                    asked = flow.send(early.pop(0))
                    continue
                try:
                    answer = yield asked
                except PortError as error:
                    asked = flow.throw(error)
                else:
                    asked = flow.send(answer)
        except StopIteration as stopped:
            return stopped.value

    planting.swap(true, plan_run)


@_mutant("what is in doubt is planned again", seeds=300, first=2)
def _doubt_is_planned(planting: Planting) -> None:
    true = collecting._settled_before

    def settled_before(case: Any, standing: Any) -> Any:
        if standing.run and standing.run.state is RunState.OPEN:
            standing = attrs.evolve(standing, run=None)
        return true(case, standing)

    planting.swap(true, settled_before)


@_mutant(
    "the amount is worked out again for another try",
    seeds=300,
    first=5,
    rules="I5",
)
def _another_amount(planting: Planting) -> None:
    true = charging.take

    def doubled(asked: Any) -> Any:
        if not isinstance(asked, (Charge, Confirm, Prepare)):
            return asked
        amount = asked.request.amount
        request = attrs.evolve(asked.request, amount=amount + amount)
        return asked._replace(request=request)

    def take(record: Any, *more: Any) -> Any:
        flow = true(record, *more)
        if record.attempts[-1].tries > 1:
            flow = altered(flow, request=doubled)
        return flow

    planting.swap(true, take)


@_mutant(
    "a notice is sent, but not stored with the step",
    seeds=100,
    first=0,
    rules="Q3",
)
def _notice_not_stored(planting: Planting) -> None:
    true = requests.commit

    def commit(change: Change) -> Any:
        written = yield from true(attrs.evolve(change, notices=()))
        if isinstance(written, Committed):
            for notice in change.notices:
                yield Send(notice)
        return written

    planting.swap(true, commit, charging)


@_mutant(
    "a notice is marked as delivered before it is",
    seeds=300,
    first=60,
    rules="Q3",
)
def _marked_before(planting: Planting) -> None:
    def tell(told: Any, committed: Committed) -> Any:
        for notice in told:
            if notice.key in committed.new_notices:
                yield Commit(Change(delivered=(notice.key,)))
                try:
                    yield Send(notice)
                except PortError:
                    continue

    planting.swap(telling.tell, tell)


@_mutant(
    "a random posting id, with the version check off",
    _last_write_wins,
    seeds=1_000,
    first=16,
    rules="Q2 Q4",
    ignored="I10",
)
def _random_posting_ids(planting: Planting) -> None:
    true = runs.postings_of
    made = count(1)

    def postings_of(record: Any) -> Any:
        number = next(made)
        return tuple(
            attrs.evolve(each, id=f"{each.id}-{number}")
            for each in true(record)
        )

    planting.swap(true, postings_of, steps)


@_mutant(
    "the reservation goes before the postings come",
    seeds=300,
    first=29,
    rules="Q2 I1 I9",
)
def _postings_come_later(planting: Planting) -> None:
    true = requests.commit

    def commit(change: Change) -> Any:
        written = yield from true(attrs.evolve(change, postings=()))
        if isinstance(written, Committed) and change.postings:
            yield Commit(Change(postings=change.postings))
        return written

    planting.swap(true, commit, charging)


@_mutant(
    "nobody asks for a hold when the intent is written",
    seeds=3_000,
    first=4,
    theme="stops",
    rules="R10",
)
def _intent_though_stopped(planting: Planting) -> None:
    _spoiled_step(planting, steps.intend, _though_held)


@_mutant(
    "nobody asks for a hold when it is sent again",
    seeds=1_000,
    first=74,
    theme="stops",
    rules="R10",
)
def _sent_again_though_stopped(planting: Planting) -> None:
    true = requests.read_standing

    def read_standing(*asked: Any) -> Any:
        standing = yield from true(*asked)
        return attrs.evolve(standing, holds=())

    planting.swap(true, read_standing, recovery)
    _spoiled_step(planting, steps.try_again, _though_held)


@_mutant(
    "a request may take money for ever",
    seeds=10_000,
    first=438,
    theme="keys",
    rules="I2 I8",
)
def _no_deadline(planting: Planting) -> None:
    def spoil(change: Change, request: bool) -> Change:
        late = change.runs[0].attempts[-1].deadline + timedelta(days=900)
        return _with_last(change, request=request, deadline=late)

    _spoiled_step(
        planting, steps.intend, lambda change: spoil(change, request=True)
    )
    _spoiled_step(
        planting, steps.try_again, lambda change: spoil(change, request=False)
    )


@_mutant(
    "the age of a key is ignored",
    seeds=3_000,
    first=145,
    theme="keys",
    rules="I2",
)
def _ageless_keys(planting: Planting) -> None:
    planting.swap(steps.key_lives, lambda record, now, terms: True)


@_mutant("review is the end", seeds=1_000, first=216, rules="Q1")
def _review_is_the_end(planting: Planting) -> None:
    planting.swap(
        runs.RESERVING_STATES,
        runs.RESERVING_STATES - {RunState.REVIEW},
        recovery,
    )


@_mutant(
    "unavailable is believed on a later try, too",
    seeds=1_000,
    since=7_000,
    first=7_744,
    theme="network",
    rules="I8 I2 I6 R2",
)
def _unavailable_is_believed(planting: Planting) -> None:
    true = charging.take

    def take(record: Any, *more: Any) -> Any:
        def remember(asked: Any, answer: Any) -> Any:
            nonlocal record
            if isinstance(asked, Commit) and isinstance(answer, Committed):
                [record] = asked.change.runs or (record,)
            return answer

        def believe(asked: Any, error: Exception) -> None:
            if isinstance(asked, (Charge, Confirm)) and isinstance(
                error, PortUnavailableError
            ):
                raise _BelievedError(error)

        try:
            return (
                yield from altered(
                    true(record, *more), answer=remember, failure=believe
                )
            )
        except _BelievedError as believed:
            change = steps.not_sent(record, believed.error, more[1])
            return (yield from charging.finish_or_read(record, change))

    planting.swap(true, take)


class _BelievedError(Exception):
    def __init__(self, error: PortUnavailableError) -> None:
        super().__init__()
        self.error = error


@_mutant(
    "a decline is tried again under the same key",
    seeds=1_000,
    first=18,
    rules="I5",
)
def _same_key(planting: Planting) -> None:
    true = charges.idempotency_key
    planting.swap(
        true, lambda secret, key, number, **own: true(secret, key, 1, **own)
    )


@_mutant(
    "a decline is tried again at once",
    seeds=3_000,
    first=4,
    theme="retries",
    rules="I14",
)
def _again_at_once(planting: Planting) -> None:
    true = requests.read_standing

    def at_once(run: Any) -> Any:
        if run is None or run.state is not RunState.WAITING:
            return run
        return attrs.evolve(run, next_try_at=None, next_try_on=_EPOCH)

    def read_standing(*asked: Any) -> Any:
        standing = yield from true(*asked)
        return attrs.evolve(
            standing,
            run=at_once(standing.run),
            unfinished=tuple(map(at_once, standing.unfinished)),
        )

    planting.swap(true, read_standing, collecting, sweeping)


@_mutant(
    "a run in doubt blocks no other",
    _one_doubt,
    seeds=1_000,
    first=0,
    rules="I6",
)
def _doubt_blocks_nothing(planting: Planting) -> None:
    true = collecting._settled_before

    def settled_before(case: Any, standing: Any) -> Any:
        return true(case, attrs.evolve(standing, unfinished=()))

    planting.swap(true, settled_before)


@_mutant(
    "only the flow, not the store, keeps to one run in doubt",
    _one_doubt,
    _no_versions,
    seeds=6_000,
    first=4,
    theme="retries",
    rules="I6",
    ignored="I1 I3",
)
@_mutant(
    "open amounts may change between plan and intent",
    _no_versions,
    seeds=3_000,
    first=66,
    rules="I1",
)
def _open_may_change(planting: Planting) -> None:
    _no_open_values(planting)


@_mutant(
    "open amounts are compared by value alone",
    seeds=10_000,
    first=205,
    theme="postings",
    rules="I1 I3",
)
def _values_alone(planting: Planting) -> None:
    _no_versions(planting)


@_mutant(
    "rows that nobody asked for are taken",
    seeds=1_000,
    first=18,
    rules="R1 I11",
)
def _foreign_rows(planting: Planting) -> None:
    planting.swap(
        associations.split_covered, lambda rows, covering: (rows, ()), reads
    )


@_mutant(
    "a read that was cut off is taken for whole",
    seeds=1_000,
    first=364,
    rules="MD-2",
)
def _cut_off(planting: Planting) -> None:
    true = requests.ask

    def ask(request: Any, kind: Any) -> Any:
        answer = yield from true(request, kind)
        if isinstance(request, ReadInvoices):
            return attrs.evolve(answer, total=None)
        return answer

    planting.swap(true, ask, reading)


@_mutant(
    "another amount is taken on the gateway's word", seeds=1_000, first=17
)
def _any_amount(planting: Planting) -> None:
    true = steps.mismatch

    def mismatch(record: Any, outcome: Any, **options: Any) -> str:
        if hasattr(outcome, "amount"):
            asked = record.attempts[-1].amount
            outcome = attrs.evolve(outcome, amount=asked)
        return true(record, outcome, **options)

    planting.swap(true, mismatch)


@_mutant(
    "absence is believed before look-ups have settled",
    seeds=10_000,
    first=197,
    theme="stops",
    rules="I8",
)
def _unsettled(planting: Planting) -> None:
    true = steps.is_proven_absent

    def is_proven_absent(record: Any, now: Any, terms: Any) -> bool:
        capabilities = terms.capabilities
        if capabilities.lookup_settle_seconds is not None:
            capabilities = attrs.evolve(capabilities, lookup_settle_seconds=0)
        return true(
            record, now, attrs.evolve(terms, capabilities=capabilities)
        )

    planting.swap(true, is_proven_absent)


@_mutant(
    "absence is believed before the deadline is over",
    seeds=3_000,
    first=393,
    theme="stops",
    rules="I8",
)
def _before_the_deadline(planting: Planting) -> None:
    def is_proven_absent(record: Any, now: Any, terms: Any) -> bool:
        capabilities = terms.capabilities
        settle = capabilities.lookup_settle_seconds
        if settle is None or not capabilities.honours_deadline:
            return False
        proof = record.attempts[-1].began_at + timedelta(seconds=settle)
        return bool(proof <= now < steps.key_ends(record, terms))

    planting.swap(steps.is_proven_absent, is_proven_absent)


@_mutant(
    "of a key that it may have forgotten a gateway is believed",
    seeds=10_000,
    first=145,
    theme="keys",
    rules="I8",
)
def _forgotten(planting: Planting) -> None:
    proven, absent = steps.is_proven_absent, recovery._is_absent

    def is_proven_absent(record: Any, now: Any, terms: Any) -> bool:
        kept = attrs.evolve(terms.capabilities, key_retention_seconds=_CENTURY)
        return proven(record, now, attrs.evolve(terms, capabilities=kept))

    def is_absent(record: Any, standing: Any, terms: Any) -> Any:
        def as_before(asked: Any, answer: Any) -> Any:
            return standing if isinstance(asked, ReadStanding) else answer

        return altered(absent(record, standing, terms), answer=as_before)

    planting.swap(proven, is_proven_absent)
    planting.swap(absent, is_absent)


_EPOCH = date(2000, 1, 1)
_CENTURY = 100 * 366 * 24 * 3_600


@_mutant("a notice says an invoice's number as it is", seeds=1_000, first=8)
def _number_as_it_is(planting: Planting) -> None:
    true = notices.notice_for_run

    def notice_for_run(kind: Any, key: Any, **options: Any) -> Any:
        notice = true(kind, key, **options)
        if kind is NoticeKind.PLAN_PAID_OFF and options.get("occasion"):
            number = options["occasion"]
            return attrs.evolve(notice, detail=f"Invoice {number}.")
        return notice

    planting.swap(true, notice_for_run, steps)


@_mutant("nothing says when to look again", seeds=300, first=0, rules="Q5")
def _no_next_look(planting: Planting) -> None:
    true = steps.wait

    def wait(record: Any, now: Any, detail: str) -> Change:
        change = true(record, now, detail)
        [after] = change.runs
        if after.state is not record.state:
            return change
        return attrs.evolve(
            change, runs=(attrs.evolve(after, next_try_at=None),)
        )

    planting.swap(true, wait)


@_mutant(
    "a debit that the gateway has forgotten is pending for ever",
    seeds=1_000,
    first=32,
    rules="Q1",
)
def _pending_for_ever(planting: Planting) -> None:
    true = recovery._absent

    def absent(record: Any, *args: Any, **options: Any) -> Any:
        if record.state is RunState.PENDING:
            return runs.result_of(record)
        return (yield from true(record, *args, **options))

    planting.swap(true, absent)


@_mutant("a posting counts as shown once it was sent", seeds=1_000, first=0)
def _shown_once_sent(planting: Planting) -> None:
    true = Posting.is_open

    def is_open(self: Posting) -> bool:
        is_true: bool = true.fget(self)  # type: ignore[attr-defined]
        return is_true and self.status is not PostingStatus.POSTED

    planting.method(Posting, "is_open", property(is_open))


@_mutant(
    "what cannot be decided now is not on record as late",
    seeds=1_000,
    first=12,
    rules="Q6",
)
def _late_is_not_on_record(planting: Planting) -> None:
    def put_off(
        case: Any, standing: Any, cause: str, *said: Any, **port: Any
    ) -> Any:
        return runs.RunResult(
            key=case.key,
            status=RunStatus.POSTPONED,
            record=standing.run,
            reason=cause,
        )
        yield

    planting.swap(collecting._put_off, put_off)


@_mutant(
    "money that went back is booked for every message",
    seeds=1_000,
    first=19,
)
def _booked_again(planting: Planting) -> None:
    true = staff.reverse
    messages = count(1)

    def reverse(key: Any, reversal: Any, *more: Any, **options: Any) -> Any:
        event = f"{reversal.event}-{next(messages)}"
        told = attrs.evolve(reversal, event=event)
        return true(key, told, *more, **options)

    planting.swap(true, reverse)


# -- The day of charge, asked before every sending (R7, R10) ------------------


def _asked_otherwise(planting: Planting, **changes: Any) -> None:
    """Ask the gate about an order that is otherwise than it is."""
    true = gate.gate

    def asked_otherwise(asked: gate.Asked, /) -> Any:
        autopay = attrs.evolve(asked.autopay, **changes)
        return true(attrs.evolve(asked, autopay=autopay))

    planting.swap(true, asked_otherwise, asking)


@_mutant(
    "the gate does not see that it is off", seeds=3_000, first=226, rules="R10"
)
def _gate_off(planting: Planting) -> None:
    _asked_otherwise(planting, off_from=None)


@_mutant("the gate does not see a pause", seeds=3_000, first=109, rules="R10")
def _gate_paused(planting: Planting) -> None:
    _asked_otherwise(planting, pauses=())


@_mutant(
    "the gate does not see a skip",
    seeds=3_000,
    first=30,
    theme="edits",
    rules="R10",
)
def _gate_skipped(planting: Planting) -> None:
    _asked_otherwise(planting, skips=frozenset[date]())


@_mutant(
    "the gate does not see the next date",
    seeds=3_000,
    first=2,
    rules="R10",
)
def _gate_overtaken(planting: Planting) -> None:
    _asked_otherwise(planting, missed=MissedPolicy.ALL)


@_mutant(
    "the gate does not see a hold",
    seeds=3_000,
    first=11,
    rules="R10",
)
def _gate_held(planting: Planting) -> None:
    true = gate.gate

    def asked_otherwise(asked: gate.Asked, /) -> Any:
        return true(attrs.evolve(asked, holds=()))

    planting.swap(true, asked_otherwise, asking)
    _spoiled_commit(planting, lambda _, change: _though_held(change))


@_mutant(
    "the gate does not see that the clock went back",
    seeds=3_000,
    first=121,
    rules="R10",
)
def _gate_clock(planting: Planting) -> None:
    true = requests.read_standing

    def read_standing(*asked: Any) -> Any:
        standing = yield from true(*asked)
        return attrs.evolve(standing, is_clock_suspect=False)

    planting.swap(true, read_standing)


@_mutant(
    "another method is no reason not to send again",
    seeds=3_000,
    first=208,
    theme="edits",
    rules="R9",
)
def _method_replaced(planting: Planting) -> None:
    true = recovery._right

    def right(record: Any, standing: Any, case: Any) -> Any:
        method = record.intent.request.method
        autopay = attrs.evolve(case.autopay, method=method)
        return true(record, standing, attrs.evolve(case, autopay=autopay))

    planting.swap(true, right)


# -- Deciding again (R2, R4, R9) ----------------------------------------------


@_mutant(
    "it is sent again without reading again",
    seeds=1_000,
    first=5,
    rules="R9",
)
@_mutant(
    "it is sent again without reading again, told by the money alone",
    seeds=10_000,
    first=363,
    theme="edits",
    rules="I1",
    ignored="R9",
)
def _not_read_again(planting: Planting) -> None:
    def still_owed(case: Any, record: Any, standing: Any) -> Any:
        clients = {
            str(each.invoice.client) for each in record.intent.allocation.lines
        }
        return (yield ReadOpen(tuple(sorted(clients))))

    planting.swap(planning.still_owed, still_owed, recovery)


@_mutant("recover sends again", seeds=1_000, first=0, rules="R9")
def _recover_sends(planting: Planting) -> None:
    true = recovery.recover_one

    def recover_one(record: Any, terms: Any) -> Any:
        result = yield from true(record, terms)
        record = result.record
        if record is None or record.state is not RunState.OPEN:
            return result
        change = steps.try_again(
            record, record.attempts[-1].began_at, OpenAmounts()
        )
        spoiled = attrs.evolve(_though_held(change), expect_versions=None)
        written = yield from requests.commit(spoiled)
        if not isinstance(written, Committed):
            return result
        return (
            yield from charging.take(change.runs[0], terms, record.charge_on)
        )

    planting.swap(true, recover_one)


@_mutant(
    "a number is handed on after a doubt",
    seeds=3_000,
    first=18,
    rules="R2 I5",
)
def _number_handed_on(planting: Planting) -> None:
    _spoiled_step(
        planting,
        steps.withdraw,
        lambda change: _with_last(change, request=False, outcome=None),
    )


@_mutant(
    "holds are not compared by their version",
    seeds=10_000,
    first=108,
    theme="stops",
    rules="H1",
)
def _hold_version(planting: Planting) -> None:
    for step in (steps.intend, steps.try_again):
        _spoiled_step(
            planting,
            step,
            lambda change: attrs.evolve(change, expect_holds=None),
        )


@_mutant(
    "a debit that is not found is treated like one in doubt",
    seeds=3_000,
    first=259,
    theme="debits",
    rules="I8 I6",
)
def _pending_like_open(planting: Planting) -> None:
    true = recovery._absent

    def absent(record: Any, *more: Any) -> Any:
        if record.state is RunState.PENDING:
            last = attrs.evolve(record.attempts[-1], outcome=None)
            attempts = (*record.attempts[:-1], last)
            record = attrs.evolve(
                record, state=RunState.OPEN, attempts=attempts
            )
        return true(record, *more)

    planting.swap(true, absent)


@_mutant(
    "a run that is open is attested",
    seeds=3_000,
    first=126,
    theme="stops",
    rules="R4",
)
def _open_is_attested(planting: Planting) -> None:
    true = staff.attest

    def attest(key: Any, said: Any, terms: Any, **words: Any) -> Any:
        def in_review(asked: Any, answer: Any) -> Any:
            run = getattr(answer, "run", None)
            if run is None or run.state is not RunState.OPEN:
                return answer
            return attrs.evolve(
                answer, run=attrs.evolve(run, state=RunState.REVIEW)
            )

        return altered(true(key, said, terms, **words), answer=in_review)

    planting.swap(true, attest)


@_mutant("nobody attests", seeds=1_000, first=0, rules="R4")
def _nobody_attests(planting: Planting) -> None:
    planting.swap(words.a_person_says, lambda by, reason: None, staff)


@_mutant(
    "a month has no 29th, 30th and 31st",
    seeds=10_000,
    first=1_156,
    rules="I3",
)
def _short_month(planting: Planting) -> None:
    true = planning._month_of

    def month_of(on: date) -> tuple[date, date]:
        return true(on)[0], on.replace(day=29)

    planting.swap(true, month_of)


@_mutant(
    "declines are counted over five days",
    seeds=300,
    first=0,
    theme="declined",
    rules="N3",
)
def _five_days(planting: Planting) -> None:
    true = retries.network_limit

    def network_limit(method: Any, on: date) -> Any:
        limit = true(method, on)
        if limit is None:
            return None
        windows = tuple((min(days, 5), most) for days, most in limit.windows)
        return attrs.evolve(limit, windows=windows)

    planting.swap(true, network_limit)
    planting.swap(true, network_limit, retries)


@_mutant(
    "a doubt is never in review",
    seeds=3_000,
    first=0,
    rules="R4 Q1",
)
def _endless_doubt(planting: Planting) -> None:
    planting.swap(runs.DOUBT_MOST, timedelta(days=9_000), steps)


@_mutant(
    "an account that is not asked any more is asked",
    seeds=3_000,
    first=228,
    rules="R12 I2 I8",
)
def _another_account(planting: Planting) -> None:
    planting.swap(steps.is_of_account, lambda record, terms: True)


@_mutant(
    "another payer's order is run under a used id",
    seeds=3_000,
    first=222,
    rules="R13",
)
def _another_payer(planting: Planting) -> None:
    planting.swap(collecting.check_owner, lambda payer, record: None)


@_mutant(
    "a run on demand begins beside another",
    seeds=3_000,
    first=583,
    rules="R14 I6",
)
def _beside_another(planting: Planting) -> None:
    _one_doubt(planting)
    true = sweeping._run_now

    def run_now(case: Any) -> Any:
        def alone(asked: Any, answer: Any) -> Any:
            if isinstance(asked, ReadStanding):
                return attrs.evolve(answer, unfinished=())
            return answer

        return altered(true(case), answer=alone)

    planting.swap(true, run_now)


@_mutant(
    "nobody compares a balance with what is expected",
    seeds=3_000,
    first=192,
    theme="balances",
    rules="I1",
)
def _expected_ignored(planting: Planting) -> None:
    true = reading.check_read

    def check(case: Any, opened: Any, *read: Any) -> Any:
        return attrs.evolve(true(case, opened, *read), barred={})

    planting.swap(true, check)


@_mutant(
    "a balance of days ago is taken for one of now",
    _expected_ignored,
    seeds=3_000,
    first=192,
    theme="exports",
    rules="I1",
)
def _stale_believed(planting: Planting) -> None:
    true = requests.ask

    def ask(request: Any, kind: Any) -> Any:
        answer = yield from true(request, kind)
        if isinstance(request, ReadInvoices):
            return attrs.evolve(answer, stated_at=None)
        return answer

    planting.swap(true, ask, reading)


@_mutant(
    "what fell due while it was off is made up",
    seeds=3_000,
    first=406,
    rules="S11",
)
def _made_up(planting: Planting) -> None:
    def record_dropped(*turn: Any) -> Any:
        return []
        yield

    planting.swap(sweeping._record_dropped, record_dropped)


# -- Payers who have to approve (PG-17) ---------------------------------------


@_mutant(
    "a cancel in doubt is taken for one",
    seeds=3_000,
    first=164,
    theme="approvals",
    rules="I8 I2 I6",
)
def _cancel_believed(planting: Planting) -> None:
    true = requests.call_off

    def call_off(key: Any, reference: Any) -> Any:
        yield from true(key, reference)
        return Cancelled(key=key)

    planting.swap(true, call_off, recovery)


@_mutant(
    "a payer has time without end",
    seeds=3_000,
    first=131,
    theme="approvals",
    rules="R4",
)
def _payer_without_end(planting: Planting) -> None:
    planting.swap(steps.payer_is_late, lambda record, now: False)


# -- Batches (P5) -------------------------------------------------------------


@_mutant("a posting is in two batches", seeds=400, first=6, rules="P5")
def _in_two_batches(planting: Planting) -> None:
    true = batch_conflict

    def conflict(change: Any, **facts: Any) -> Any:
        return true(change, **{**facts, "batched": {}})

    planting.swap(true, conflict, store)


@_mutant("a posting moves without its batch", seeds=400, first=6, rules="P5")
def _moves_alone(planting: Planting) -> None:
    true = batch_conflict

    def conflict(change: Any, **facts: Any) -> Any:
        return true(change, **facts) if change.batches else None

    planting.swap(true, conflict, store)


@_mutant("the last step of a batch wins", seeds=400, first=0, rules="P5")
def _last_batch_wins(planting: Planting) -> None:
    true = batch_conflict

    def conflict(change: Any, **facts: Any) -> Any:
        versions = {each.id: each.version - 1 for each in change.batches}
        return true(change, **{**facts, "versions": versions})

    planting.swap(true, conflict, store)


@_mutant("what the ledger refused is posted", seeds=400, first=0, rules="P5")
def _refused_is_posted(planting: Planting) -> None:
    true = desk._moved

    def moved(posting: Posting, line: Any) -> Posting:
        found = true(posting, line)
        if found.status is not PostingStatus.INCOMPLETE:
            return found
        return move_posting(posting, PostingStatus.POSTED)

    planting.swap(true, moved, desk)


@_mutant(
    "what never went out stays queued", seeds=4_000, first=535, rules="P5"
)
def _never_sent_stays(planting: Planting) -> None:
    true = desk._moves_of

    def moves_of(batch: Any) -> Any:
        return tuple(
            each
            for each in true(batch)
            if each.after.status is not PostingStatus.PENDING
        )

    planting.swap(true, moves_of, desk)


# -- Movements (P4) -----------------------------------------------------------


@_mutant(
    "each telling of an event is another",
    seeds=400,
    first=0,
    rules="I15 P4 Q4",
)
def _tellings_are_events(planting: Planting) -> None:
    true = receiving.receive
    made = count(1)

    def receive(movement: Any, *more: Any, **options: Any) -> Any:
        other = attrs.evolve(movement, id=f"{movement.id}-{next(made)}")
        return true(other, *more, **options)

    planting.swap(true, receive, receiving)


@_mutant("a refund or a dispute holds nothing", seeds=400, first=0, rules="H2")
def _movements_hold_nothing(planting: Planting) -> None:
    planting.swap(receiving._holds_of, lambda *_: (), receiving)


@_mutant("what comes early is a case", seeds=2_000, first=7, rules="P4")
def _early_is_a_case(planting: Planting) -> None:
    true = receiving._kept

    def kept(*args: Any, **options: Any) -> Any:
        args = tuple(
            MovementState.CASE if each is MovementState.WAITING else each
            for each in args
        )
        return true(*args, **options)

    planting.swap(true, kept, receiving)


@_mutant("what waits is never brought in", seeds=2_000, first=7, rules="P4")
def _never_brought_in(planting: Planting) -> None:
    def bring_in(_: Any) -> Any:
        yield from ()

    planting.swap(receiving.bring_in, bring_in, receiving, sweeping)


@_mutant(
    "a payment is not found by its reference", seeds=400, first=0, rules="P4"
)
def _reference_is_unknown(planting: Planting) -> None:
    true = receiving._runs_of

    def runs_of(movement: Any, terms: Any) -> Any:
        if movement.reference is not None:
            return ()
        return (yield from true(movement, terms))

    planting.swap(true, runs_of, receiving)


@_mutant(
    "what comes again is booked twice as much", seeds=400, first=0, rules="I15"
)
def _comes_twice(planting: Planting) -> None:
    true = corrections.reversal_postings

    def reversal_postings(record: Any, reversal: Any) -> Any:
        found = true(record, reversal)
        if reversal.kind.takes_back:
            return found
        return tuple(
            attrs.evolve(each, amount=each.amount + each.amount)
            for each in found
        )

    planting.swap(true, reversal_postings, receiving)


# -- Payments that are put on other invoices (P4) -----------------------------


@_mutant(
    "a payment is put where it is not owed", seeds=400, first=0, rules="I1"
)
def _put_anywhere(planting: Planting) -> None:
    true: Any = reallocating._shares

    def shares(payable: Any, to: Any) -> Any:
        lines = tuple(
            SimpleNamespace(
                invoice=each.invoice, amount=to[each.invoice.number]
            )
            for each in payable.lines
            if each.invoice.number in to
        )
        return true(SimpleNamespace(lines=lines), to)

    planting.swap(true, shares, reallocating)


@_mutant(
    "a payment that is put elsewhere by two clicks is put there twice",
    seeds=15_000,
    first=2_905,
    rules="P4",
)
def _put_twice(planting: Planting) -> None:
    planting.method(reallocating._Move, "done", lambda *_: None)


def _moved_otherwise(planting: Planting, **changes: Any) -> None:
    """Let the step that puts a payment elsewhere be another one."""
    true = reallocating._Move.change

    def change(self: Any, *args: Any) -> Any:
        return attrs.evolve((yield from true(self, *args)), **changes)

    planting.method(reallocating._Move, "change", change)


@_mutant(
    "what was put elsewhere is sent all the same",
    seeds=400,
    first=11,
    rules="P4",
)
def _sent_all_the_same(planting: Planting) -> None:
    _moved_otherwise(planting, moves=())


@_mutant(
    "what is open is not looked at again when a payment is put elsewhere",
    seeds=4_000,
    first=15_071,
    since=14_000,
    rules="I1",
)
def _put_blindly(planting: Planting) -> None:
    _moved_otherwise(planting, expect_open=None, expect_versions=None)


@_mutant(
    "a payment that is put elsewhere stays where it was as well",
    seeds=400,
    first=5,
    rules="P4",
)
def _stays_as_well(planting: Planting) -> None:
    true = corrections.reversal_postings

    def reversal_postings(record: Any, reversal: Any) -> Any:
        return true(record, reversal)[1:]

    planting.swap(true, reversal_postings, reallocating)


@_mutant(
    "what was removed is not expected to show",
    seeds=3_000,
    first=377,
    rules="I1",
)
def _removed_is_forgotten(planting: Planting) -> None:
    true = balances.share_step

    def share_step(before: Any, after: Any, at: Any) -> Any:
        if after.status is PostingStatus.REMOVED:
            return None
        return true(before, after, at)

    planting.swap(true, share_step, store)


@_mutant("nobody keeps to a ceiling", seeds=3_000, first=41, rules="H4")
def _no_ceiling(planting: Planting) -> None:
    planting.swap(steps._ceilings, lambda *_: (), steps)


@_mutant(
    "a ceiling is compared with each payment alone",
    seeds=3_000,
    first=101,
    rules="H4",
)
def _ceiling_alone(planting: Planting) -> None:
    def taken_by(self: Any, runs: Any) -> Any:
        *_, last = runs
        return last.spent

    planting.method(Ceiling, "taken_by", taken_by)
