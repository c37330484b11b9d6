"""
Planted bugs: each a small patch of the shipped source, and what finds it.

A patch is an exact old text that must stand in the module once, so that a
mutant that no longer fits the source fails loudly. The patched modules, and
those above them, are compiled into namespaces of their own; the library in
`sys.modules` stays as it is.

Where one defence hides the loss of another, a mutant has a patch for both, or
ignores the rule that would tell first.
"""

# ruff: noqa: E501, ISC004 - a patch is text, as it stands in the source

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import attrs

from autopay_core.testing.simulator import System, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENGINE = "autopay_core.engine"
_MODULES = (
    f"{_ENGINE}.planning",
    f"{_ENGINE}.steps",
    f"{_ENGINE}.telling",
    f"{_ENGINE}.charging",
    f"{_ENGINE}.recovery",
    f"{_ENGINE}.collecting",
    f"{_ENGINE}.sweeping",
    f"{_ENGINE}.staff",
    "autopay_core.adapters.memory",
)
"""What may be patched, lowest layer first."""


@attrs.frozen(kw_only=True)
class Patch:
    """One text for another, in one module."""

    module: str
    old: str
    new: str


@attrs.frozen(kw_only=True)
class Mutant:
    """
    A planted bug.

    Attributes:
        name: What is wrong.
        patches: How.
        rules: Which broken promises count as finding it; empty for any.
        seeds: Found within so many seeds, from 0.
        first: The first seed that found it when the table was made.
        theme: The mix of faults that it is looked for with; None for any.
        ignored: Rules that are not checked.

    """

    name: str
    patches: tuple[Patch, ...]
    seeds: int
    first: int
    rules: frozenset[str] = frozenset()
    theme: str | None = None
    ignored: frozenset[str] = frozenset()


class DriftedError(Exception):
    """A patch does not fit the source any more."""


def build(patches: Iterable[Patch]) -> System:
    """Return the flows and the store with *patches* applied."""
    wanted = list(patches)
    names = [f"autopay_core.{each.module}" for each in wanted]
    if not set(names) <= set(_MODULES):
        raise DriftedError(f"one of {names} cannot be patched")
    shipped = {name: sys.modules[name] for name in _MODULES}
    made: dict[str, ModuleType] = {}
    try:
        for name in _MODULES:
            path = str(shipped[name].__file__)
            source = Path(path).read_text(encoding="utf-8")
            for patch, place in zip(wanted, names, strict=True):
                if place == name:
                    source = _patched(source, patch)
            module = ModuleType(name)
            module.__file__ = path
            made[name] = sys.modules[name] = module
            code = compile(source, f"<planted in {name}>", "exec")
            exec(code, module.__dict__)  # noqa: S102
    finally:
        sys.modules.update(shipped)
    return System(
        collect=made[f"{_ENGINE}.collecting"].collect,
        recover_one=made[f"{_ENGINE}.recovery"].recover_one,
        sweep_one=made[f"{_ENGINE}.sweeping"].sweep_one,
        deliver=made[f"{_ENGINE}.telling"].deliver,
        advance_postings=made[f"{_ENGINE}.staff"].advance_postings,
        reverse=made[f"{_ENGINE}.staff"].reverse,
        attest=made[f"{_ENGINE}.staff"].attest,
        store=made["autopay_core.adapters.memory"].MemoryPostingStore,
    )


def _patched(source: str, patch: Patch) -> str:
    count = source.count(patch.old)
    if count != 1:
        raise DriftedError(
            f"{patch.module}: {count} times instead of once: {patch.old!r}"
        )
    return source.replace(patch.old, patch.new)


def hunt(mutant: Mutant, most: int | None = None) -> tuple[int, str] | None:
    """Return the first seed that finds *mutant*, and what it says."""
    system = build(mutant.patches)
    for seed in range(mutant.seeds if most is None else most):
        outcome = simulate(
            seed, system=system, theme=mutant.theme, ignored=mutant.ignored
        )
        if outcome.rule is not None and (
            not mutant.rules or outcome.rule in mutant.rules
        ):
            return seed, outcome.message
    return None


def _mutant(
    name: str,
    *patches: tuple[str, str, str],
    seeds: int,
    first: int,
    rules: str = "",
    theme: str | None = None,
    ignored: str = "",
) -> Mutant:
    return Mutant(
        name=name,
        patches=tuple(
            Patch(module=module, old=old, new=new)
            for module, old, new in patches
        ),
        seeds=seeds,
        first=first,
        rules=frozenset(rules.split()),
        theme=theme,
        ignored=frozenset(ignored.split()),
    )


_NO_VERSIONS = (
    "adapters.memory",
    "            self._versions.get(client, 0) != version\n",
    "            False\n",
)
_NO_OPEN_VALUES = (
    "adapters.memory",
    " or self._open_of(change) != {\n",
    " or False and self._open_of(change) != {\n",
)
_LAST_WRITE_WINS = (
    "adapters.memory",
    "if record.version != (1 if stands is None else stands.version + 1):",
    "if False:",
)
_ONE_DOUBT = ("engine.steps", "only_doubtful=True,", "only_doubtful=False,")


@cache
def mutants() -> tuple[Mutant, ...]:
    """Return every planted bug."""
    return (
        _mutant(
            "the money is asked for before the intent is written",
            (
                "engine.collecting",
                "        written = yield from commit(change)\n"
                "        if isinstance(written, Committed):\n"
                "            [record] = change.runs\n",
                "        if change.runs[0].intent and not change.postings:\n"
                "            yield Charge(change.runs[0].intent.request)\n"
                "        written = yield from commit(change)\n"
                "        if isinstance(written, Committed):\n"
                "            [record] = change.runs\n",
            ),
            seeds=100,
            first=12,
            rules="I4",
        ),
        _mutant(
            "a new key for every try",
            (
                "engine.steps",
                "        last,\n        tries=last.tries + 1,\n",
                "        last,\n        tries=last.tries + 1,\n"
                "        key=f'{last.key[:-2]}{last.tries:02}',\n",
            ),
            seeds=300,
            first=2,
        ),
        _mutant(
            "a timeout is taken as a decline",
            (
                "engine.charging",
                "    if not isinstance(outcome, Declined) or "
                "mismatch(record, outcome):\n",
                "    if isinstance(outcome, Indeterminate):\n"
                "        outcome = Declined(\n"
                "            key=record.attempts[-1].key, code='timeout'\n"
                "        )\n"
                "    if not isinstance(outcome, Declined) or "
                "mismatch(record, outcome):\n",
            ),
            seeds=300,
            first=36,
            rules="I8 I6 I2",
        ),
        _mutant(
            "not found is taken as not charged",
            (
                "engine.recovery",
                "    outcome = yield from look_up(record.attempts[-1].key)\n",
                "    outcome = yield from look_up(record.attempts[-1].key)\n"
                "    if isinstance(outcome, NotFound):\n"
                "        outcome = Declined(\n"
                "            key=record.attempts[-1].key, code='not found'\n"
                "        )\n",
            ),
            seeds=1_000,
            first=7,
            rules="I8 I6 I2",
        ),
        _mutant(
            "no reservation",
            (
                "adapters.memory",
                "            held = reservations(old)\n",
                "            held = {}\n",
            ),
            seeds=100,
            first=0,
            rules="I1 I9",
        ),
        _mutant(
            "last write wins",
            _LAST_WRITE_WINS,
            seeds=300,
            first=0,
        ),
        _mutant(
            "last write wins, told by the money alone",
            _LAST_WRITE_WINS,
            seeds=1_000,
            first=10,
            rules="I2 I8 I6 Q1 Q2 I7 I5",
            ignored="I10",
        ),
        _mutant(
            "balances are read before open amounts",
            (
                "engine.planning",
                "    opened = yield from ask(ReadOpen(clients), OpenAmounts)\n",
                "    early = yield from _read_invoices("
                "autopay.payer, associations)\n"
                "    opened = yield from ask(ReadOpen(clients), OpenAmounts)\n",
            ),
            (
                "engine.planning",
                "    invoices = yield from _read_invoices("
                "autopay.payer, associations)\n",
                "    invoices = early\n",
            ),
            seeds=3_000,
            first=169,
            theme="postings",
            rules="I1",
        ),
        _mutant(
            "what is in doubt is planned again",
            (
                "engine.collecting",
                "    if record.state is not RunState.WAITING:\n",
                "    if record.state is RunState.OPEN:\n"
                "        return None\n"
                "    if record.state is not RunState.WAITING:\n",
            ),
            seeds=300,
            first=0,
        ),
        _mutant(
            "the amount is worked out again for another try",
            (
                "engine.charging",
                "    outcome: ChargeOutcome\n"
                "    charge: Charge | Confirm = Charge(request)\n",
                "    if attempt.tries > 1:\n"
                "        more = request.amount + request.amount\n"
                "        request = attrs.evolve(request, amount=more)\n"
                "    outcome: ChargeOutcome\n"
                "    charge: Charge | Confirm = Charge(request)\n",
            ),
            seeds=300,
            first=2,
            rules="I5",
        ),
        _mutant(
            "a notice is sent, but not stored with the step",
            (
                "engine.charging",
                "    written = yield from commit(change)\n"
                "    if isinstance(written, Conflict):\n"
                "        return None\n"
                "    yield from tell(change.notices, written)\n",
                "    written = yield from commit("
                "attrs.evolve(change, notices=()))\n"
                "    if isinstance(written, Conflict):\n"
                "        return None\n"
                "    for notice in change.notices:\n"
                "        yield Send(notice)\n",
            ),
            seeds=100,
            first=1,
            rules="Q3",
        ),
        _mutant(
            "a notice is marked as delivered before it is",
            (
                "engine.telling",
                "        try:\n"
                "            yield Send(notice)\n"
                "        except PortError:\n"
                "            continue\n"
                "        delivered.append(notice.key)\n",
                "        yield from commit(Change(delivered=(notice.key,)))\n"
                "        try:\n"
                "            yield Send(notice)\n"
                "        except PortError:\n"
                "            continue\n",
            ),
            seeds=300,
            first=3,
            rules="Q3",
        ),
        _mutant(
            "a random posting id, with the version check off",
            _LAST_WRITE_WINS,
            (
                "engine.steps",
                "    postings = postings_of(paid)\n",
                "    postings = tuple(\n"
                "        attrs.evolve(each, id=f'{each.id}-{id(paid)}')\n"
                "        for each in postings_of(paid)\n"
                "    )\n",
            ),
            seeds=1_000,
            first=2,
            rules="Q2 Q4",
            ignored="I10",
        ),
        _mutant(
            "the reservation goes before the postings come",
            (
                "engine.charging",
                "        result = yield from finish(change)\n"
                "        if result is not None:\n"
                "            return result\n"
                "        standing = ",
                "        result = yield from finish("
                "attrs.evolve(change, postings=()))\n"
                "        if result is not None:\n"
                "            if change.postings:\n"
                "                yield from commit("
                "Change(postings=change.postings))\n"
                "            return result\n"
                "        standing = ",
            ),
            seeds=300,
            first=21,
            rules="Q2 I1 I9",
        ),
        _mutant(
            "nobody asks for a stop order when the intent is written",
            (
                "engine.steps",
                "        only_doubtful=True,\n"
                "        unless_stopped=stop_targets(record),\n",
                "        only_doubtful=True,\n",
            ),
            seeds=3_000,
            first=3,
            theme="stops",
            rules="I13",
        ),
        _mutant(
            "nobody asks for a stop order when it is sent again",
            (
                "engine.steps",
                "    return Change(runs=(again,), "
                "unless_stopped=stop_targets(again))\n",
                "    return Change(runs=(again,))\n",
            ),
            (
                "engine.recovery",
                "    is_stopped = standing.is_stopped or is_off\n",
                "    is_stopped = is_off\n",
            ),
            seeds=1_000,
            first=0,
            theme="stops",
            rules="I13",
        ),
        _mutant(
            "nobody asks for a stop order when a reference is written down",
            (
                "engine.steps",
                "    return Change(runs=(after,), "
                "unless_stopped=stop_targets(after))\n",
                "    return Change(runs=(after,))\n",
            ),
            seeds=6_000,
            first=76,
            theme="stops",
            rules="I13",
        ),
        _mutant(
            "a request may take money for ever",
            (
                "engine.steps",
                "    deadline = standing.now + timedelta("
                "seconds=SEND_SECONDS)\n",
                "    deadline = standing.now + timedelta(days=900)\n",
            ),
            (
                "engine.steps",
                "        deadline=now + timedelta(seconds=SEND_SECONDS),\n",
                "        deadline=now + timedelta(days=900),\n",
            ),
            seeds=10_000,
            first=102,
            theme="keys",
            rules="I2 I8",
        ),
        _mutant(
            "the age of a key is ignored",
            (
                "engine.steps",
                "    return now + timedelta(seconds=SEND_SECONDS) < "
                "key_ends(record, terms)\n",
                "    return True\n",
            ),
            seeds=3_000,
            first=42,
            theme="keys",
            rules="I2",
        ),
        _mutant(
            "review is the end",
            (
                "engine.recovery",
                "    if standing.run is None or record.state not in "
                "RESERVING_STATES:\n",
                "    if standing.run is None or record.state not in (\n"
                "        RunState.OPEN, RunState.PENDING\n"
                "    ):\n",
            ),
            seeds=1_000,
            first=122,
            rules="Q1",
        ),
        _mutant(
            "unavailable is believed on a later try, too",
            (
                "engine.charging",
                "        if attempt.tries == 1:\n",
                "        if attempt.tries >= 1:\n",
            ),
            seeds=3_000,
            first=146,
            theme="network",
            rules="I8 I2 I6",
        ),
        _mutant(
            "a decline is tried again under the same key",
            (
                "engine.steps",
                "        key=idempotency_key("
                "terms.secret, draft.key, number),\n",
                "        key=idempotency_key(terms.secret, draft.key, 1),\n",
            ),
            seeds=1_000,
            first=0,
            rules="I5",
        ),
        _mutant(
            "a decline is tried again at once",
            (
                "engine.collecting",
                "    if record.next_try_at is not None and "
                "standing.now < record.next_try_at:\n"
                "        return result_of(record)\n"
                "    return None\n",
                "    return None\n",
            ),
            seeds=3_000,
            first=104,
            theme="retries",
            rules="I14",
        ),
        _mutant(
            "a run in doubt blocks no other",
            (
                "engine.collecting",
                "        if other.key != case.key and other.state.is_doubtful:\n",
                "        if False:\n",
            ),
            _ONE_DOUBT,
            seeds=1_000,
            first=9,
            rules="I6",
        ),
        _mutant(
            "only the flow, not the store, keeps to one run in doubt",
            _ONE_DOUBT,
            _NO_VERSIONS,
            _NO_OPEN_VALUES,
            seeds=6_000,
            first=12,
            theme="retries",
            rules="I6",
            ignored="I1 I3",
        ),
        _mutant(
            "open amounts may change between plan and intent",
            _NO_VERSIONS,
            _NO_OPEN_VALUES,
            seeds=3_000,
            first=16,
            rules="I1",
        ),
        _mutant(
            "open amounts are compared by value alone",
            _NO_VERSIONS,
            seeds=10_000,
            first=1629,
            theme="postings",
            rules="I1 I3",
        ),
        _mutant(
            "rows that nobody asked for are taken",
            (
                "engine.planning",
                "        check_covered(page.invoices, associations)\n",
                "",
            ),
            seeds=1_000,
            first=143,
            rules="R1 I11",
        ),
        _mutant(
            "a read that was cut off is taken for whole",
            (
                "engine.planning",
                "    if total is not None and "
                "len({each.number for each in invoices}) != total:\n",
                "    if False:\n",
            ),
            seeds=1_000,
            first=312,
            rules="MD-2",
        ),
        _mutant(
            "another amount is taken on the gateway's word",
            (
                "engine.steps",
                "    if isinstance(outcome, Declined) or "
                "outcome.amount == attempt.amount:\n",
                "    if True:\n",
            ),
            seeds=300,
            first=5,
        ),
        _mutant(
            "absence is believed before look-ups have settled",
            (
                "engine.steps",
                "        seconds=settle + CLOCK_SECONDS\n",
                "        seconds=0 * settle + CLOCK_SECONDS\n",
            ),
            seeds=10_000,
            first=452,
            theme="stops",
            rules="I8",
        ),
        _mutant(
            "absence is believed before the deadline is over",
            (
                "engine.steps",
                "    proof = record.attempts[-1].deadline + timedelta(\n",
                "    proof = record.attempts[-1].began_at + timedelta(\n",
            ),
            (
                "engine.steps",
                "        seconds=settle + CLOCK_SECONDS\n",
                "        seconds=settle\n",
            ),
            seeds=3_000,
            first=250,
            theme="stops",
            rules="I8",
        ),
        _mutant(
            "of a key that it may have forgotten a gateway is believed",
            (
                "engine.recovery",
                "asked.now >= key_ends(record, terms):\n",
                "False:\n",
            ),
            (
                "engine.steps",
                "    return proof <= now < key_ends(record, terms)\n",
                "    return proof <= now\n",
            ),
            seeds=10_000,
            first=63,
            theme="keys",
            rules="I8",
        ),
        _mutant(
            "a notice says an invoice's number as it is",
            (
                "engine.steps",
                "            amount=line.amount,\n        )\n",
                "            amount=line.amount,\n"
                "            detail=f'Invoice {line.invoice.number}.',\n"
                "        )\n",
            ),
            seeds=1_000,
            first=0,
        ),
        _mutant(
            "nothing says when to look again",
            (
                "engine.steps",
                "attrs.evolve(record, version=version, next_try_at=later)\n",
                "attrs.evolve(record, version=version, next_try_at=None)\n",
            ),
            seeds=300,
            first=4,
            rules="Q5",
        ),
        _mutant(
            "a debit that the gateway has forgotten is pending for ever",
            (
                "engine.recovery",
                "    if record.state is RunState.PENDING and "
                "standing.now >= key_ends(\n"
                "        record, terms\n"
                "    ):\n",
                "    if False:\n",
            ),
            seeds=1_000,
            first=5,
            rules="Q1",
        ),
        _mutant(
            "a posting counts as shown once it was sent",
            (
                "adapters.memory",
                "        if after.is_open:\n"
                "            self._shift("
                "after.client, after.invoice, after.amount)\n",
                "        if after.is_open and after.status.value != 'posted':\n"
                "            self._shift("
                "after.client, after.invoice, after.amount)\n",
            ),
            seeds=1_000,
            first=0,
        ),
        _mutant(
            "a later run hides one that was set back",
            (
                "engine.sweeping",
                "        if result.status in ("
                "RunStatus.POSTPONED, RunStatus.BLOCKED):\n",
                "        if False:\n",
            ),
            seeds=3_000,
            first=2865,
            rules="Q6",
        ),
        _mutant(
            "money that went back is booked for every message",
            (
                "engine.staff",
                "            if known.event == reversal.event:\n",
                "            if False:\n",
            ),
            seeds=1_000,
            first=6,
        ),
    )
