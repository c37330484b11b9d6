"""
Staff who put payments elsewhere, and err, in a simulated world (P3, P4).

Holds: `Clerk`. Imports: `_oracle`, `_ports`, `_settings`, `commits`, `errors`,
`money`, `postings` and `engine.requests`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, final

from autopay_core.commits import PostingFilter
from autopay_core.engine.requests import ReadPostings, ask_many
from autopay_core.errors import InvalidValueError
from autopay_core.postings import Posting, PostingStatus
from autopay_core.testing.simulator._settings import usd

if TYPE_CHECKING:
    from autopay_core.engine.requests import Flow, Terms
    from autopay_core.money import Money
    from autopay_core.testing.simulator._oracle import Oracle
    from autopay_core.testing.simulator._ports import Ledger

__all__ = ["Clerk"]

_WORLDS: Final = 0.8
"""So many of the worlds in which they may be have them."""

_SHARE: Final = 0.3
"""So much of what workers begin there is theirs."""

_ERRING: Final = 0.5
"""So many worlds have staff who remove in error what was never sent."""

_MOVABLE: Final = frozenset(
    {PostingStatus.PENDING, PostingStatus.POSTED, PostingStatus.APPLIED}
)
_NOT_DONE: Final = frozenset(
    {
        "PostingInBatch",
        "ReallocationExceeds",
        "ReversalExceeds",
    }
)
"""Why a payment is not moved."""
_NOT_MOVED: Final = frozenset(
    {"PostingInBatch", "PostingReallocated", "ShareShown"}
)
"""Why a posting does not take a step."""


@final
class Clerk:
    """
    Staff who put a payment on another invoice, or remove one in error.

    Their chances are drawn apart from the world's, so that a world without
    them is what it was before there were any.

    Args:
        seed: Decides what they do.
        system: Has the flow, as `System`.
        ledger: What they look at.
        oracle: Knows every posting as it stands.
        may_be: Whether payments may be moved in this world at all.

    Attributes:
        is_used: Whether they are at work in this world.

    """

    def __init__(
        self,
        seed: int,
        *,
        system: Any,  # noqa: ANN401 - flows of any kind
        ledger: Ledger,
        oracle: Oracle,
        may_be: bool,
    ) -> None:
        self._system = system
        self._ledger = ledger
        self._oracle = oracle
        self.rng = Random(f"clerk of {seed}")  # noqa: S311 - to be repeated
        self.is_used = self.rng.random() < _WORLDS and may_be
        self._errs = self.rng.random() < _ERRING
        self._bounced: set[str] = set()
        self._done: list[tuple[str, Posting, str, dict[str, Money]]] = []

    def is_wanted(self) -> bool:
        """Draw whether a worker is one of them."""
        return self.is_used and self.rng.random() < _SHARE

    def is_mistaken(self) -> bool:
        """Draw whether somebody errs, or finds out."""
        return self._errs and self.rng.random() < _SHARE

    def mistakes(self) -> Flow[None]:
        """Remove in error what was never sent, or see that it was (P3)."""
        oracle, undone = self._oracle, self._ledger.undone
        removed = [
            oracle.postings[each]
            for each in undone
            if oracle.statuses[each] is PostingStatus.REMOVED
        ]
        if removed and self.rng.random() < 0.5:
            posting, to = self.rng.choice(removed), PostingStatus.PENDING
        else:
            some = [
                each
                for each in oracle.postings.values()
                if each.status is PostingStatus.PENDING
                and each.reverses is None
                and not self._ledger.has_seen(each)
                # Paid by hand as well it would look like interest.
                and not self._ledger.by_hand[str(each.invoice)]
            ]
            if not some:
                return
            posting, to = self.rng.choice(some), PostingStatus.REMOVED
            undone[posting.id] = posting
        try:
            yield from self._system.advance_postings(
                [posting], to, by="Ann", note="a mistake"
            )
        except InvalidValueError as error:
            if error.code not in _NOT_MOVED:
                raise
        finally:
            if oracle.statuses[posting.id] is not PostingStatus.REMOVED:
                undone.pop(posting.id)

    def bounces(self) -> Flow[None]:
        """Let a payment by hand bounce, and say that the balance is right."""
        ledger, rng = self._ledger, self.rng
        undone = {str(each.invoice) for each in ledger.undone.values()}
        paid = [
            number
            for number, minor in ledger.by_hand.items()
            if minor > 0 and number not in undone
        ]
        if paid and rng.random() < 0.5:
            number = rng.choice(paid)
            ledger.pay_by_hand(number, -rng.randint(1, ledger.by_hand[number]))
            self._bounced.add(number)
        right = sorted(self._bounced - undone)
        if not right or rng.random() < 0.3:
            return
        invoice = ledger.invoices[rng.choice(right)]
        try:
            yield from self._system.accept_balance(
                str(invoice.client),
                str(invoice.number),
                invoice.balance,
                by="Ann",
                reason="a cheque bounced",
            )
        except InvalidValueError as error:
            if error.code != "NothingExpected":
                raise
        self._bounced.discard(str(invoice.number))

    def rounds(self) -> int:
        """Draw how often one works beside somebody else."""
        return self.rng.randint(0, 4) if self.is_used else 0

    def work(self, terms: Terms) -> Flow[None]:
        """Put some payment on other invoices, or click once more."""
        if self._done and self.rng.random() < 0.2:
            name, posting, client, to = self.rng.choice(self._done)
        else:
            found = yield from self._chosen()
            if found is None:
                return
            posting, client, to = found
            name = f"move-{len(self._done) + 1}"
            self._done.append((name, posting, client, to))
        flow: Flow[Any] = self._system.reallocate(
            name,
            posting,
            to,
            terms,
            client=client,
            by="Ann",
            reason="the client's word",
        )
        try:
            yield from flow
        except InvalidValueError as error:
            if error.code not in _NOT_DONE:
                raise

    def _chosen(self) -> Flow[tuple[Posting, str, dict[str, Money]] | None]:
        page = yield from ask_many(
            ReadPostings(PostingFilter(statuses=_MOVABLE)), Posting
        )
        ledger, rng = self._ledger, self.rng
        some = [
            each
            for each in page
            if not each.amount.is_negative
            and each.id not in ledger.undone
            # What is on its way there, by somebody's hand, was sent.
            and (
                each.status is not PostingStatus.PENDING
                or not ledger.has_seen(each)
            )
        ]
        others = list(ledger.invoices.values())
        if not some:
            return None
        posting = rng.choice(some)
        client = str(rng.choice(others).client)
        wanted = [
            str(each.number)
            for each in others
            if str(each.client) == client and each.number != posting.invoice
        ]
        if not wanted:
            return None
        most = posting.amount.amount_minor
        to: dict[str, Money] = {}
        for number in rng.sample(wanted, rng.randint(1, min(2, len(wanted)))):
            minor = most if rng.random() < 0.4 else rng.randint(1, most)
            owed = ledger.invoices[number].balance.amount_minor
            # Most of what they want can be done.
            if 0 < owed < minor and rng.random() < 0.7:
                minor = owed
            to[number] = usd(minor)
            most -= minor
            if most <= 0:
                break
        return posting, client, to
