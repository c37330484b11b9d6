"""
The history of a store, chained by hash so that tampering shows.

Holds: `HistoryEntry`, `HistoryHead`, the hash that chains them, `ProvenRow`,
`verify_history`, and protocols of what stores show beside their port.
Imports: the values. Every commit that changes something leaves one entry in
the same transaction. There are a fixed number of chains, so that workers need
not wait for one another; an auto-pay's entries are all in one of them. Each
entry's hash covers the entry before it, so a changed, removed or re-ordered
entry breaks its chain; whoever keeps the heads somewhere else
(`history_heads`) finds a chain that was cut off, or written anew from the
beginning.

Entries say what happened, with a digest of every row that was written. So the
chains prove the rows, too (T2): what the entries say of a row last is compared
with the row as it stands. They hold no payment token, no name and no message
to a payer (E3).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, final

import attrs

from autopay_core._checks import a, a_number
from autopay_core.batches import Batch
from autopay_core.commits import Change, OpenAmounts, PostingFilter, Unreadable
from autopay_core.postings import Posting
from autopay_core.runs import RunRecord

__all__ = [
    "CHAINS",
    "AuditedStore",
    "HistoryEntry",
    "HistoryFault",
    "HistoryHead",
    "HistoryStore",
    "entry_body",
    "entry_hash",
    "first_hash",
    "verify_history",
]

CHAINS: Final = 16
"""How many chains there are; part of the format, never changed."""

_PAGE: Final = 1_000

_NOTHING: Final[Mapping[str, Any]] = {}

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@final
@attrs.frozen(kw_only=True)
class HistoryEntry:
    """
    What one commit did.

    Attributes:
        chain: Which chain it is in.
        seq: Its place in the chain, from 1, without gaps.
        at: Store time of the commit.
        transition: Random id of the commit; a commit whose answer was lost
            is looked up by it.
        body: What happened, as JSON.
        hash: Of all the above and of the entry before.

    """

    chain: int
    seq: int
    at: datetime
    transition: str
    body: str
    hash: str

    @property
    def facts(self) -> Mapping[str, object]:
        """The body, read."""
        found: Mapping[str, object] = json.loads(self.body)
        return found


@final
@attrs.frozen(kw_only=True)
class HistoryHead:
    """
    The newest entry of a chain: keep it outside to anchor what came before.

    Attributes:
        chain: Which chain.
        seq: The newest entry's place; 0 for an empty chain.
        hash: The newest entry's hash.

    """

    # They may come from a file.
    chain: int = attrs.field(validator=a_number(0, CHAINS - 1))
    seq: int = attrs.field(validator=a_number(0))
    hash: str = attrs.field(validator=a(str))


@final
@attrs.frozen(kw_only=True)
class HistoryFault:
    """
    Where the history was tampered with, or damaged.

    Attributes:
        chain: Which chain.
        seq: The first entry that does not fit.
        reason: ``"changed"`` (its hash is another one), ``"missing"`` (the
            entry is not there), ``"head"`` (the store's head is another
            one), or ``"anchor"`` (an anchored entry is gone or another one).
            Of a row: ``"row"`` (it differs from what the entry says, or is
            gone), or ``"unproven"`` (no entry tells of it; chain and seq are
            0).
        row: Table and key of the row; empty for a fault of the chain itself.

    """

    chain: int
    seq: int
    reason: str
    row: str = ""


@final
@attrs.frozen(kw_only=True)
class ProvenRow:
    """
    What stands in a store, as far as the history proves it (T2).

    Attributes:
        table: Its table, or another name for a part that is proven alone.
        key: Its key.
        digest: Of all its columns; empty for what is only counted.
        count: How often, or how many, for what is counted.

    """

    table: str
    key: str
    digest: str = ""
    count: int = 0


class HistoryStore(Protocol):
    """A store that keeps a history; the SQL stores do."""

    def history(
        self, chain: int, after: int = 0, most: int = _PAGE, /
    ) -> Sequence[HistoryEntry]:
        """Read entries of a chain in order, after a place."""
        ...

    def history_heads(self) -> Sequence[HistoryHead]:
        """Read the newest entry's place and hash of every chain."""
        ...

    def rows(self) -> Iterable[ProvenRow]:
        """Read a digest of every row, as it stands (T2)."""
        ...


class AuditedStore(Protocol):
    """What the audit reads; the stores of this library have it."""

    def now(self) -> datetime:
        """Return the store's time."""
        ...

    def runs(self) -> Iterable[RunRecord]:
        """Read every run on record."""
        ...

    def postings(
        self, wanted: PostingFilter, /
    ) -> Sequence[Posting | Unreadable]:
        """Read postings in order of id."""
        ...

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read what is open on the clients' invoices."""
        ...


def by_chain(change: Change, /) -> Mapping[int, Change]:
    """
    Return what of a change is told in which chain, in order of the chains.

    What is about an auto-pay is told in its chain, so that its entries stand
    in their order. A batch is told in the chain of each of its postings. What
    is about none goes to the first of these chains, or,
    if there are none, to the chain of what it is about.
    """
    named: dict[int, dict[str, list[Any]]] = {}
    for name, autopay_of in _OF_AUTOPAYS.items():
        for each in getattr(change, name):
            chain = chain_of(autopay_of(each))
            named.setdefault(chain, {}).setdefault(name, []).append(each)
    for batch in change.batches:
        for chain in sorted({*_lines_of(batch)}):
            named.setdefault(chain, {}).setdefault("batches", []).append(batch)
    if not named:
        others = itertools.chain(
            change.delivered,
            (each.target for each in change.holds),
            (each.invoice for each in change.expected),
            (each.first for each in change.distinct),
            (each.cause for each in change.incidents),
            (each.id for each in change.movements),
        )
        named[chain_of(next(others, ""))] = {}
    first = min(named)
    if len(named) == 1:
        return {first: change}
    rest = _about_none(change)
    told: dict[int, Change] = {}
    for chain, parts in sorted(named.items()):
        fields: dict[str, Any] = dict.fromkeys((*_OF_AUTOPAYS, "batches"), ())
        fields.update((name, tuple(part)) for name, part in parts.items())
        told[chain] = attrs.evolve(
            change if chain == first else rest, **fields
        )
    return told


_OF_AUTOPAYS: Final[Mapping[str, Callable[[Any], str]]] = {
    "runs": lambda each: each.key.autopay,
    "moves": lambda each: each.after.run.autopay,
    "postings": lambda each: each.run.autopay,
    "notices": lambda each: each.autopay,
    "told": lambda each: each.autopay,
}
"""What of a change is about which auto-pay."""


def _about_none(change: Change) -> Change:
    return attrs.evolve(
        change,
        delivered=(),
        holds=(),
        expected=(),
        distinct=(),
        incidents=(),
        movements=(),
        restored=None,
        trusted_clock=False,
    )


def _lines_of(batch: Batch) -> Counter[int]:
    """Return how many postings of a batch are told in which chain."""
    return Counter(chain_of(each.run.autopay) for each in batch.postings)


def chain_of(subject: str, /) -> int:
    """Return the chain in which an auto-pay, or something else, is told."""
    return zlib.crc32(subject.encode("utf-8", "replace")) % CHAINS


def digest(text: str, /) -> str:
    """Return 128 bits that stand for *text* in an entry."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry_body(
    change: Change,
    /,
    *,
    digests: Mapping[str, str],
    rows: Mapping[str, Sequence[Sequence[object]]] = _NOTHING,
    counts: Mapping[str, Mapping[str, int]] = _NOTHING,
    chain: int | None = None,
) -> str:
    """
    Say what *change* does, without what must not be kept twice (E3).

    Empty if it does nothing.

    Args:
        change: What is committed; of its postings and notices those that were
            not there before.
        digests: Of what is written: by the run's name, by the hold's id, and
            of all the new postings under ``"postings"``.
        rows: By table what it wrote: key, digest (None if the row is gone),
            and what orders it, if entries of several chains tell of it.
        counts: By table and key, how many more of what is counted.
        chain: Which chain it is for; of a batch it tells of the lines that
            are this chain's. None for all.

    """
    facts: dict[str, object] = {
        "runs": [
            {
                "run": str(each.key),
                "version": each.version,
                "state": each.state.value,
                "reason": each.reason,
                "digest": digests[str(each.key)],
            }
            for each in change.runs
        ],
        "postings": change.postings
        and {
            "ids": [each.id for each in change.postings],
            "digest": digests["postings"],
        },
        "moves": [
            [each.after.id, each.before.status.value, each.after.status.value]
            for each in change.moves
        ],
        "notices": [each.key for each in change.notices],
        "delivered": list(change.delivered),
        "holds": [
            [each.id, each.target, each.is_in_force, digests[each.id]]
            for each in change.holds
        ],
        "expected": [
            [
                each.invoice,
                str(each.figure),
                str(each.balance),
                each.gone_since is not None,
            ]
            for each in change.expected
        ],
        "distinct": [
            [each.first, each.second, each.by, each.reason]
            for each in change.distinct
        ],
        # What was said may hold a date or an amount, but no name.
        "told": [[each.autopay, each.topic, each.key] for each in change.told],
        "incidents": [
            [each.cause, each.on.isoformat(), each.over_at is None]
            for each in change.incidents
        ],
        "movements": [
            [each.id, each.state.value, str(each.run or "")]
            for each in change.movements
        ],
        "batches": [
            [
                each.id,
                each.state.value,
                len(each.postings)
                if chain is None
                else _lines_of(each)[chain],
            ]
            for each in change.batches
        ],
        "restored": change.restored
        and [
            microseconds(change.restored.since),
            list(change.restored.stores),
            change.restored.by,
        ],
        "trusted_clock": change.trusted_clock,
        "rows": rows,
        "counts": counts,
    }
    facts = {name: fact for name, fact in facts.items() if fact}
    if not facts:
        return ""
    said = {"by": change.by, "reason": change.reason}
    facts.update({name: fact for name, fact in said.items() if fact})
    return _encode(facts)


def first_hash(chain: int, /) -> str:
    """Return what the first entry of a chain takes for the one before it."""
    return hashlib.sha256(f"autopay_core {chain}".encode()).hexdigest()


def entry_hash(
    before: str, chain: int, seq: int, at: int, transition: str, body: str, /
) -> str:
    """
    Chain an entry to the one before it.

    Args:
        before: Hash of the entry before, or `first_hash`.
        chain: Which chain.
        seq: Place in the chain.
        at: Store time in microseconds since 1970.
        transition: Id of the commit.
        body: What happened.

    """
    whole = f"{before}\n{chain}\n{seq}\n{at}\n{transition}\n{body}"
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()


def microseconds(at: datetime, /) -> int:
    """Return an instant as whole microseconds since 1970, exactly."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + (
        since.microseconds
    )


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _entries(
    store: HistoryStore, chain: int, most: int
) -> Iterator[HistoryEntry]:
    after = 0
    while page := store.history(chain, after, min(_PAGE, most - after)):
        yield from page
        after = page[-1].seq
        if after >= most:
            return


def verify_history(
    store: HistoryStore, /, *, anchors: Iterable[HistoryHead] = ()
) -> tuple[HistoryFault, ...]:
    """
    Check every chain from its beginning, and every row that it proves (T2).

    Commits may go on meanwhile: what is checked ends at the heads that stand
    when the check begins.

    Args:
        store: The store, or a copy of it.
        anchors: Heads that were read earlier and kept outside, in any
            number. Without them, nobody can tell a chain whose end was cut
            off, head and all, from a shorter one.

    Returns:
        One fault for each chain that is broken, and one for each anchor that
        does not fit; if there is none of these, one for each row that is not
        as the entries say. Empty if all is well.

    """
    anchored: dict[int, list[HistoryHead]] = {}
    for anchor in anchors:
        anchored.setdefault(anchor.chain, []).append(anchor)
    faults: list[HistoryFault] = []
    told = _Told()
    heads = {each.chain: each for each in store.history_heads()}
    for chain in range(CHAINS):
        head = heads.get(chain)
        if head is None:
            faults.append(HistoryFault(chain=chain, seq=0, reason="head"))
            continue
        faults.extend(
            _verify_chain(store, head, anchored.get(chain, ()), told)
        )
    if told.is_complete and not faults:
        # Chains that are broken prove nothing.
        differing = told.compare(store.rows())
        if differing:
            later = _told_later(store, heads)
            faults.extend(
                each for row, each in differing.items() if row not in later
            )
    return tuple(faults)


def _told_later(
    store: HistoryStore, heads: Mapping[int, HistoryHead]
) -> set[tuple[str, str]]:
    """
    Return the rows that were written while rows were read.

    What differs of them the next check finds.
    """
    rows: set[tuple[str, str]] = set()
    for chain, head in heads.items():
        after = head.seq
        while page := store.history(chain, after, _PAGE):
            for entry in page:
                rows.update(_rows_of(entry))
            after = page[-1].seq
    return rows


def _rows_of(entry: HistoryEntry) -> Iterator[tuple[str, str]]:
    facts: Mapping[str, Any] = entry.facts
    for table, rows in facts.get("rows", _NOTHING).items():
        for key, *_ in rows:
            yield table, key
    for table, counts in facts.get("counts", _NOTHING).items():
        for key in counts:
            yield table, key
    yield _COMMITTED, str(entry.chain)


_COMMITTED: Final = "autopay_chains"
"""Under this name the time of each chain's last commit is proven."""


class _Told:
    """What entries say last of each row, and how often of what is counted."""

    def __init__(self) -> None:
        self.is_complete = False
        self._rows: dict[
            tuple[str, str], tuple[int, str | None, int, int]
        ] = {}
        self._counts: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._committed: dict[int, tuple[int, int]] = {}
        self._trusted: list[int] = []

    def read(self, entry: HistoryEntry) -> None:
        """Take in what one entry says."""
        chain, seq = entry.chain, entry.seq
        at = microseconds(entry.at)
        facts: Mapping[str, Any] = entry.facts
        if "checkpoint" not in facts:
            self._committed[chain] = (at, seq)
        if facts.get("trusted_clock"):
            self._trusted.append(at)
        # Before it, entries did not tell of every column.
        self.is_complete |= "checkpoint" in facts
        for table, rows in facts.get("rows", _NOTHING).items():
            for key, found, *stamps in rows:
                stamp: int = stamps[0] if stamps else 0
                known = self._rows.get((table, key))
                if known is None or stamp >= known[0]:
                    self._rows[table, key] = (stamp, found, chain, seq)
        for table, counts in facts.get("counts", _NOTHING).items():
            for key, more in counts.items():
                count = self._counts.get((table, key), (0,))[0]
                self._counts[table, key] = (count + more, chain, seq)

    def compare(
        self, rows: Iterable[ProvenRow]
    ) -> dict[tuple[str, str], HistoryFault]:
        """Return what differs, by row."""
        differing: dict[tuple[str, str], HistoryFault] = {}
        counts: dict[tuple[str, str], int] = {}
        for each in rows:
            row = (each.table, each.key)
            if each.table == _COMMITTED:
                fault = self._time_fault(each)
            elif not each.digest:
                counts[row] = counts.get(row, 0) + each.count
                continue
            else:
                fault = self._row_fault(each)
            if fault is not None:
                differing[row] = fault
        for row, (_, found, chain, seq) in self._rows.items():
            if found is not None:
                differing[row] = _fault(row, chain, seq)
        for row, (count, chain, seq) in self._counts.items():
            if counts.pop(row, 0) != count:
                differing[row] = _fault(row, chain, seq)
        differing.update((row, _unproven(row)) for row in counts)
        return differing

    def _row_fault(self, found: ProvenRow) -> HistoryFault | None:
        row = (found.table, found.key)
        known = self._rows.pop(row, None)
        if known is None:
            return _unproven(row)
        _, wanted, chain, seq = known
        return None if wanted == found.digest else _fault(row, chain, seq)

    def _time_fault(self, found: ProvenRow) -> HistoryFault | None:
        """Compare a chain's time: its last entry's, unless put right since."""
        chain = int(found.key)
        at, seq = self._committed.get(chain, (0, 0))
        if int(found.digest) in {
            at,
            *(min(at, each) for each in self._trusted),
        }:
            return None
        return _fault((found.table, found.key), chain, seq)


def _fault(row: tuple[str, str], chain: int, seq: int) -> HistoryFault:
    return HistoryFault(chain=chain, seq=seq, reason="row", row=_name_of(row))


def _unproven(row: tuple[str, str]) -> HistoryFault:
    return HistoryFault(chain=0, seq=0, reason="unproven", row=_name_of(row))


def _name_of(row: tuple[str, str]) -> str:
    table, key = row
    return " ".join((table, *key.split("\x1f")))


def _verify_chain(
    store: HistoryStore,
    head: HistoryHead,
    anchors: Sequence[HistoryHead],
    told: _Told,
) -> Iterator[HistoryFault]:
    chain, seq, before = head.chain, 0, first_hash(head.chain)
    wanted = {each.seq: each.hash for each in anchors if each.seq}
    for entry in _entries(store, chain, head.seq):
        if entry.seq != seq + 1:
            yield HistoryFault(chain=chain, seq=seq + 1, reason="missing")
            return
        seq = entry.seq
        before = entry_hash(
            before,
            chain,
            seq,
            microseconds(entry.at),
            entry.transition,
            entry.body,
        )
        if before != entry.hash:
            yield HistoryFault(chain=chain, seq=seq, reason="changed")
            return
        if wanted.pop(seq, before) != before:
            yield HistoryFault(chain=chain, seq=seq, reason="anchor")
        told.read(entry)
    if seq < head.seq:
        yield HistoryFault(chain=chain, seq=seq + 1, reason="missing")
    elif before != head.hash:
        yield HistoryFault(chain=chain, seq=seq, reason="head")
    for missing in sorted(wanted):
        yield HistoryFault(chain=chain, seq=missing, reason="anchor")
