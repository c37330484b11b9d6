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
from datetime import timedelta
from itertools import count
from typing import Any

import attrs

from autopay_core import associations, charges, notices, runs
from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.associations import InvoiceQuery
from autopay_core.charges import Declined, Indeterminate, NotFound
from autopay_core.commits import Change, Committed
from autopay_core.engine import (
    charging,
    collecting,
    planning,
    recovery,
    requests,
    staff,
    steps,
    sweeping,
    telling,
)
from autopay_core.engine.requests import (
    Charge,
    Commit,
    Confirm,
    Prepare,
    ReadInvoices,
    ReadStanding,
    Send,
)
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.notices import NoticeKind
from autopay_core.postings import Posting, PostingStatus
from autopay_core.runs import RunState, RunStatus
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
        seeds: Found within so many seeds, from 0.
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
            collect=collecting.collect,
            recover_one=recovery.recover_one,
            sweep_one=sweeping.sweep_one,
            deliver=telling.deliver,
            advance_postings=staff.advance_postings,
            reverse=staff.reverse,
            attest=staff.attest,
            store=MemoryPostingStore,
        )


def hunt(name: str, most: int | None = None) -> tuple[int, str] | None:
    """Return the first seed that finds a planted bug, and what it says."""
    wanted = mutant(name)
    with planted(*wanted.plants) as system:
        for seed in range(wanted.seeds if most is None else most):
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
) -> Callable[[Plant], Plant]:
    """Put the planted bug below into the table, with *more* besides."""

    def keep(plant: Plant) -> Plant:
        assert name not in _TABLE, name
        _TABLE[name] = Mutant(
            name=name,
            plants=(*more, plant),
            seeds=seeds,
            first=first,
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


def _unless_stopped(change: Change) -> Change:
    return attrs.evolve(change, unless_stopped=())


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
        stands = store.standing(record.key, "").run
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
            yield Charge(change.runs[0].intent.request)
        return (yield from true(change))

    planting.swap(true, commit, collecting)


@_mutant("a new key for every try", seeds=300, first=3)
def _new_key(planting: Planting) -> None:
    true = steps.try_again

    def try_again(record: Any, now: Any) -> Change:
        last = record.attempts[-1]
        key = f"{last.key[:-2]}{last.tries:02}"
        return _with_last(true(record, now), request=False, key=key)

    planting.swap(true, try_again)


@_mutant(
    "a timeout is taken as a decline",
    seeds=300,
    first=28,
    rules="I8 I6 I2",
)
def _timeout_is_a_decline(planting: Planting) -> None:
    true = charging.conclusion

    def conclusion(record: Any, outcome: Any) -> Any:
        if isinstance(outcome, Indeterminate):
            key = record.attempts[-1].key
            outcome = Declined(key=key, code="timeout")
        return true(record, outcome)

    planting.swap(true, conclusion)


@_mutant(
    "not found is taken as not charged",
    seeds=1_000,
    first=28,
    rules="I8 I6 I2",
)
def _not_found_is_a_decline(planting: Planting) -> None:
    true = requests.look_up

    def look_up(key: str) -> Any:
        outcome = yield from true(key)
        if isinstance(outcome, NotFound):
            return Declined(key=key, code="not found")
        return outcome

    planting.swap(true, look_up)


@_mutant("no reservation", seeds=100, first=0, rules="I1 I9")
def _no_reservation(planting: Planting) -> None:
    planting.swap(runs.reservations, lambda record: {})


@_mutant("last write wins", seeds=300, first=0)
@_mutant(
    "last write wins, told by the money alone",
    seeds=1_000,
    first=19,
    rules="I2 I8 I6 Q1 Q2 I7 I5",
    ignored="I10",
)
def _last_write_wins(planting: Planting) -> None:
    _spoiled_commit(planting, _after_what_stands)


@_mutant(
    "balances are read before open amounts",
    seeds=3_000,
    first=0,
    theme="postings",
    rules="I1",
)
def _balances_first(planting: Planting) -> None:
    true = planning.plan_run

    def plan_run(case: Any, **options: Any) -> Any:
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
        flow = true(case, **options)
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


@_mutant("what is in doubt is planned again", seeds=300, first=0)
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
    first=3,
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

    def take(record: Any, terms: Any) -> Any:
        flow = true(record, terms)
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
    true = charging.finish

    def finish(change: Change) -> Any:
        result = yield from true(attrs.evolve(change, notices=()))
        if result is not None:
            for notice in change.notices:
                yield Send(notice)
        return result

    planting.swap(true, finish)


@_mutant(
    "a notice is marked as delivered before it is",
    seeds=300,
    first=35,
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
    first=0,
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
    first=3,
    rules="Q2 I1 I9",
)
def _postings_come_later(planting: Planting) -> None:
    true = charging.finish

    def finish(change: Change) -> Any:
        result = yield from true(attrs.evolve(change, postings=()))
        if result is not None and change.postings:
            yield Commit(Change(postings=change.postings))
        return result

    planting.swap(true, finish, charging)


@_mutant(
    "nobody asks for a stop order when the intent is written",
    seeds=3_000,
    first=3,
    theme="stops",
    rules="I13",
)
def _intent_though_stopped(planting: Planting) -> None:
    _spoiled_step(planting, steps.intend, _unless_stopped)


@_mutant(
    "nobody asks for a stop order when it is sent again",
    seeds=1_000,
    first=21,
    theme="stops",
    rules="I13",
)
def _sent_again_though_stopped(planting: Planting) -> None:
    true = requests.read_standing

    def read_standing(key: Any, method: str) -> Any:
        standing = yield from true(key, method)
        return attrs.evolve(standing, is_stopped=False)

    planting.swap(true, read_standing, recovery)
    _spoiled_step(planting, steps.try_again, _unless_stopped)


@_mutant(
    "nobody asks for a stop order when a reference is written down",
    seeds=6_000,
    first=29,
    theme="stops",
    rules="I13",
)
def _reference_though_stopped(planting: Planting) -> None:
    _spoiled_step(planting, steps.prepared, _unless_stopped)


@_mutant(
    "a request may take money for ever",
    seeds=10_000,
    first=265,
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
    first=31,
    theme="keys",
    rules="I2",
)
def _ageless_keys(planting: Planting) -> None:
    planting.swap(steps.key_lives, lambda record, now, terms: True)


@_mutant("review is the end", seeds=1_000, first=114, rules="Q1")
def _review_is_the_end(planting: Planting) -> None:
    planting.swap(
        runs.RESERVING_STATES,
        runs.RESERVING_STATES - {RunState.REVIEW},
        recovery,
    )


@_mutant(
    "unavailable is believed on a later try, too",
    seeds=3_000,
    first=957,
    theme="network",
    rules="I8 I2 I6",
)
def _unavailable_is_believed(planting: Planting) -> None:
    true = charging.take

    def take(record: Any, terms: Any) -> Any:
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
                    true(record, terms), answer=remember, failure=believe
                )
            )
        except _BelievedError as believed:
            change = steps.not_sent(record, believed.error)
            return (yield from charging.finish_or_read(record, change))

    planting.swap(true, take)


class _BelievedError(Exception):
    def __init__(self, error: PortUnavailableError) -> None:
        super().__init__()
        self.error = error


@_mutant(
    "a decline is tried again under the same key",
    seeds=1_000,
    first=0,
    rules="I5",
)
def _same_key(planting: Planting) -> None:
    true = charges.idempotency_key
    planting.swap(true, lambda secret, key, number: true(secret, key, 1))


@_mutant(
    "a decline is tried again at once",
    seeds=3_000,
    first=104,
    theme="retries",
    rules="I14",
)
def _again_at_once(planting: Planting) -> None:
    true = collecting._settled_before

    def settled_before(case: Any, standing: Any) -> Any:
        run = standing.run
        if run is not None and run.state is RunState.WAITING:
            standing = attrs.evolve(
                standing, run=attrs.evolve(run, next_try_at=None)
            )
        return true(case, standing)

    planting.swap(true, settled_before)


@_mutant(
    "a run in doubt blocks no other",
    _one_doubt,
    seeds=1_000,
    first=28,
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
    first=453,
    theme="retries",
    rules="I6",
    ignored="I1 I3",
)
@_mutant(
    "open amounts may change between plan and intent",
    _no_versions,
    seeds=3_000,
    first=59,
    rules="I1",
)
def _open_may_change(planting: Planting) -> None:
    _no_open_values(planting)


@_mutant(
    "open amounts are compared by value alone",
    seeds=10_000,
    first=1790,
    theme="postings",
    rules="I1 I3",
)
def _values_alone(planting: Planting) -> None:
    _no_versions(planting)


@_mutant(
    "rows that nobody asked for are taken",
    seeds=1_000,
    first=118,
    rules="R1 I11",
)
def _foreign_rows(planting: Planting) -> None:
    planting.swap(
        associations.check_covered, lambda invoices, associations: None
    )


@_mutant(
    "a read that was cut off is taken for whole",
    seeds=1_000,
    first=13,
    rules="MD-2",
)
def _cut_off(planting: Planting) -> None:
    true = requests.ask

    def ask(request: Any, kind: Any) -> Any:
        answer = yield from true(request, kind)
        if isinstance(request, ReadInvoices):
            return attrs.evolve(answer, total=None)
        return answer

    planting.swap(true, ask, planning)


@_mutant("another amount is taken on the gateway's word", seeds=300, first=6)
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
    first=1176,
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
    first=753,
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
    first=63,
    theme="keys",
    rules="I8",
)
def _forgotten(planting: Planting) -> None:
    proven, let_go = steps.is_proven_absent, recovery._let_go

    def is_proven_absent(record: Any, now: Any, terms: Any) -> bool:
        kept = attrs.evolve(terms.capabilities, key_retention_seconds=_CENTURY)
        return proven(record, now, attrs.evolve(terms, capabilities=kept))

    def let_it_go(record: Any, standing: Any, terms: Any) -> Any:
        def early(asked: Any, answer: Any) -> Any:
            if isinstance(asked, ReadStanding):
                return attrs.evolve(answer, now=record.attempts[-1].began_at)
            return answer

        return altered(let_go(record, standing, terms), answer=early)

    planting.swap(proven, is_proven_absent)
    planting.swap(let_go, let_it_go)


_CENTURY = 100 * 366 * 24 * 3_600


@_mutant("a notice says an invoice's number as it is", seeds=1_000, first=12)
def _number_as_it_is(planting: Planting) -> None:
    true = notices.notice_for_run

    def notice_for_run(kind: Any, key: Any, **options: Any) -> Any:
        notice = true(kind, key, **options)
        if kind is NoticeKind.PLAN_PAID_OFF and options.get("occasion"):
            number = options["occasion"]
            return attrs.evolve(notice, detail=f"Invoice {number}.")
        return notice

    planting.swap(true, notice_for_run, steps)


@_mutant("nothing says when to look again", seeds=300, first=4, rules="Q5")
def _no_next_look(planting: Planting) -> None:
    true = steps.wait

    def wait(record: Any, now: Any, detail: str, terms: Any) -> Change:
        change = true(record, now, detail, terms)
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
    first=42,
    rules="Q1",
)
def _pending_for_ever(planting: Planting) -> None:
    true = recovery._absent

    def absent(record: Any, *args: Any, **options: Any) -> Any:
        if record.state is RunState.PENDING:
            return None
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
    "a later run hides one that was set back",
    seeds=3_000,
    first=128,
    rules="Q6",
)
def _hidden(planting: Planting) -> None:
    true = collecting.collect

    def collect(*args: Any) -> Any:
        result = yield from true(*args)
        if result.status in (RunStatus.POSTPONED, RunStatus.BLOCKED):
            return attrs.evolve(result, status=RunStatus.WAITING)
        return result

    planting.swap(true, collect, sweeping)


@_mutant(
    "money that went back is booked for every message",
    seeds=1_000,
    first=1,
)
def _booked_again(planting: Planting) -> None:
    true = staff.reverse
    messages = count(1)

    def reverse(key: Any, reversal: Any, **options: Any) -> Any:
        event = f"{reversal.event}-{next(messages)}"
        return true(key, attrs.evolve(reversal, event=event), **options)

    planting.swap(true, reverse)
