"""
The history of a store, chained by hash so that tampering shows.

Holds: `HistoryEntry`, `HistoryHead`, the hash that chains them,
`verify_history`, and protocols of what stores show beside their port.
Imports: the values. Every commit that changes something leaves one entry in
the same transaction. There are a fixed number of chains, so that workers need
not wait for one another; an auto-pay's entries are all in one of them. Each
entry's hash covers the entry before it, so a changed, removed or re-ordered
entry breaks its chain; whoever keeps the heads somewhere else
(`history_heads`) finds a chain that was cut off, or written anew from the
beginning.

Entries say what happened, with a digest of what was written. They hold no
payment token, no name and no message to a payer (E3).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, final

import attrs

from autopay_core._checks import a, a_number
from autopay_core.commits import Change, OpenAmounts, PostingFilter
from autopay_core.postings import Posting
from autopay_core.runs import RunRecord

__all__ = [
    "CHAINS",
    "AuditedStore",
    "HistoryEntry",
    "HistoryFault",
    "HistoryHead",
    "HistoryStore",
    "chain_of",
    "entry_body",
    "entry_hash",
    "first_hash",
    "verify_history",
]

CHAINS: Final = 16
"""How many chains there are; part of the format, never changed."""

_PAGE: Final = 1_000

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

    """

    chain: int
    seq: int
    reason: str


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


class AuditedStore(Protocol):
    """What the audit reads; the stores of this library have it."""

    def now(self) -> datetime:
        """Return the store's time."""
        ...

    def runs(self) -> Iterable[RunRecord]:
        """Read every run on record."""
        ...

    def postings(self, wanted: PostingFilter, /) -> Sequence[Posting]:
        """Read postings in order of id."""
        ...

    def open_amounts(self, clients: Sequence[str], /) -> OpenAmounts:
        """Read what is open on the clients' invoices."""
        ...


def chain_of(change: Change, /) -> int:
    """
    Return the chain that a change's entry goes to.

    By what it is about, so that an auto-pay's entries stand in their order.
    """
    subjects = itertools.chain(
        (each.key.autopay for each in change.runs),
        (each.after.run.autopay for each in change.moves),
        (each.run.autopay for each in change.postings),
        (each.autopay for each in change.notices),
        change.delivered,
        (each.target for each in change.stops),
    )
    subject = next(subjects, "")
    return zlib.crc32(subject.encode("utf-8", "replace")) % CHAINS


def digest(text: str, /) -> str:
    """Return 128 bits that stand for *text* in an entry."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry_body(
    change: Change,
    /,
    *,
    digests: Mapping[str, str],
    new_postings: Iterable[str],
    new_notices: Iterable[str],
) -> str:
    """
    Say what *change* does, without what must not be kept twice (E3).

    Args:
        change: What is committed.
        digests: Of what is written: by the run's name, and of all the new
            postings under ``"postings"``.
        new_postings: Ids of the postings that were not there before.
        new_notices: Keys of the notices that were not there before.

    """
    postings = list(new_postings)
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
        "postings": postings
        and {"ids": postings, "digest": digests["postings"]},
        "moves": [
            [each.after.id, each.before.status.value, each.after.status.value]
            for each in change.moves
        ],
        "notices": list(new_notices),
        "delivered": list(change.delivered),
        "stops": [
            [each.target, each.active, each.by, each.reason]
            for each in change.stops
        ],
        "by": change.by,
        "reason": change.reason,
    }
    facts = {name: fact for name, fact in facts.items() if fact}
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
    Check every chain from its beginning; return what does not fit.

    Commits may go on meanwhile: what is checked ends at the heads that stand
    when the check begins.

    Args:
        store: The store, or a copy of it.
        anchors: Heads that were read earlier and kept outside, in any
            number. Without them, nobody can tell a chain whose end was cut
            off, head and all, from a shorter one.

    Returns:
        One fault for each chain that is broken, and one for each anchor that
        does not fit; empty if all is well.

    """
    by_chain: dict[int, list[HistoryHead]] = {}
    for anchor in anchors:
        by_chain.setdefault(anchor.chain, []).append(anchor)
    faults: list[HistoryFault] = []
    heads = {each.chain: each for each in store.history_heads()}
    for chain in range(CHAINS):
        head = heads.get(chain)
        if head is None:
            faults.append(HistoryFault(chain=chain, seq=0, reason="head"))
            continue
        faults.extend(_verify_chain(store, head, by_chain.get(chain, ())))
    return tuple(faults)


def _verify_chain(
    store: HistoryStore, head: HistoryHead, anchors: Sequence[HistoryHead]
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
    if seq < head.seq:
        yield HistoryFault(chain=chain, seq=seq + 1, reason="missing")
    elif before != head.hash:
        yield HistoryFault(chain=chain, seq=seq, reason="head")
    for missing in sorted(wanted):
        yield HistoryFault(chain=chain, seq=missing, reason="anchor")
