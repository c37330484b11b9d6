"""
What corrects the postings of a paid run, as postings of its own (P4).

Holds: `reversal_postings`, `every_posting`, and what stands after all of them:
`still_back`, `shares_now`, `left_of`, `was_replaced`. Imports: `errors`,
`money`, `postings` and `runs`. A run's record says what went back, came again
or was put on other invoices, in order; here it is played again from the first
posting on, so that nothing is ever taken from where nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

import attrs

from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import (
    Posting,
    PostingId,
    PostingStatus,
    Reversal,
    ReversalKind,
    posting_id,
)
from autopay_core.runs import RunRecord, postings_of

__all__ = [
    "every_posting",
    "left_of",
    "reversal_postings",
    "shares_now",
    "still_back",
    "was_replaced",
]


def reversal_postings(
    record: RunRecord, reversal: Reversal, /
) -> tuple[Posting, ...]:
    """
    Make the postings of money that went back, came again or was moved (P4).

    Of invoices that are not named, the newest goes back first: the mirror of
    the order of payment, so that the invoice paid last is reopened first.
    What was put on an invoice later counts as newer than what was paid. What
    comes again goes to what was taken from, oldest first.

    Raises:
        InvalidValueError: An invoice's share would be below zero or above
            what was captured (``ReversalExceeds``), or the run was never
            paid.
        CurrencyMismatchError: The reversal is in another currency.

    """
    played = _Played(record)
    if reversal.amount.currency != played.currency:
        raise CurrencyMismatchError(played.currency, reversal.amount.currency)
    return played.play(reversal)


def every_posting(record: RunRecord, /) -> tuple[Posting, ...]:
    """
    Make all postings of a paid run, and of what became of it since (P1, P4).

    Each as it was first written.

    Raises:
        InvalidValueError: As `postings_of`, or more went back than was there
            (``ReversalExceeds``).

    """
    return tuple(_Played(record).postings)


def still_back(record: RunRecord, event: str, /) -> Mapping[str, Money]:
    """
    Return by invoice what went back in an event and did not come again (P4).

    Empty for an event that is not on record, or took nothing back.
    """
    played = _Played(record)
    return played.by_invoice(played.back.get(event, {}))


def shares_now(record: RunRecord, /) -> Mapping[str, Money]:
    """
    Return by invoice what stands on it of a payment now (P4).

    Without what went back and did not come again, wherever it was put.
    """
    played = _Played(record)
    return played.by_invoice(played.net)


def left_of(record: RunRecord, posting: str, /) -> Money:
    """Return what stands of one of a run's postings; zero for no such one."""
    played = _Played(record)
    return Money(
        amount_minor=played.net.get(posting, 0), currency=played.currency
    )


def was_replaced(record: RunRecord, posting: str, /) -> bool:
    """
    Tell whether a posting was moved before the ledger was sent it (P4).

    So it is, and the posting that corrects it.
    """
    played = _Played(record)
    return any(
        each.unsent
        and posting in (each.corrects, played.id_of(each.corrects, each.event))
        for each in record.reversals
    )


@final
class _Played:
    """A run's postings, and what became of each, one event after another."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        # What money stands on: what was paid, then what was moved, in order.
        self._bases = list(postings_of(record))
        self._number = record.attempts[-1].number
        self.postings = list(self._bases)
        self.currency = self._bases[0].amount.currency
        self.net = {
            str(each.id): each.amount.amount_minor for each in self._bases
        }
        self.back: dict[str, dict[str, int]] = {}
        """By event, what it took back of each and did not come again."""
        for each in record.reversals:
            self.postings += self.play(each)

    def id_of(self, posting: str, event: str) -> PostingId:
        """Return the id of an event's correction of a posting."""
        return self._id(f"{posting}:{event}")

    def _id(self, name: str) -> PostingId:
        return posting_id(self._record.key, self._number, name)

    def by_invoice(self, shares: Mapping[str, int]) -> Mapping[str, Money]:
        """Add shares up by invoice, in the order of the postings."""
        found: dict[str, int] = {}
        for each in self._bases:
            share = shares.get(str(each.id), 0)
            if share:
                found[each.invoice] = found.get(each.invoice, 0) + share
        return {number: self._money(minor) for number, minor in found.items()}

    def play(self, reversal: Reversal) -> tuple[Posting, ...]:
        """Let an event do what it does; return its postings."""
        match reversal.kind:
            case ReversalKind.REALLOCATED:
                return self._move(reversal)
            case ReversalKind.REINSTATED:
                return self._bring_again(reversal)
            case _:
                return self._take_back(reversal)

    def _take_back(self, reversal: Reversal) -> tuple[Posting, ...]:
        shares = self._shares(reversal, reversed(self._bases), self.net)
        for posting, share in shares.items():
            self.net[posting] -= share
        self.back[reversal.event] = shares
        return tuple(
            self._corrected(each, reversal, -shares[each.id])
            for each in reversed(self._bases)
            if shares.get(each.id)
        )

    def _bring_again(self, reversal: Reversal) -> tuple[Posting, ...]:
        there = self.back.get(reversal.corrects, {})
        shares = self._shares(reversal, self._bases, there)
        for posting, share in shares.items():
            if share:
                self.net[posting] += share
                there[posting] -= share
        return tuple(
            attrs.evolve(
                self._corrected(each, reversal, shares[each.id]),
                reverses=self.id_of(each.id, reversal.corrects),
            )
            for each in self._bases
            if shares.get(each.id)
        )

    def _move(self, reversal: Reversal) -> tuple[Posting, ...]:
        """Take from one posting what others are made of: the sum is kept."""
        minor = reversal.amount.amount_minor
        if minor > self.net.get(reversal.corrects, 0):
            raise _exceeds(reversal)
        [moved] = [
            each for each in self._bases if each.id == reversal.corrects
        ]
        # One that was never sent is moved whole, so that nothing of it is
        # left for the ledger.
        if reversal.unsent and minor != moved.amount.amount_minor:
            raise _exceeds(reversal)
        self.net[reversal.corrects] -= minor
        taken = self._corrected(moved, reversal, -minor)
        if reversal.unsent:
            taken = attrs.evolve(taken, status=PostingStatus.REMOVED)
        made = [
            attrs.evolve(
                taken,
                id=self._id(f"{taken.id}>{each.invoice}"),
                client=each.client,
                matter=each.matter,
                invoice=each.invoice,
                amount=each.amount,
                # To the ledger it is the payment, if that was never sent.
                charged_on=moved.charged_on
                if reversal.unsent
                else reversal.on,
                status=moved.status,
                reverses=taken.id,
            )
            for each in reversal.to
        ]
        self._bases += made
        self.net.update(
            (str(each.id), each.amount.amount_minor) for each in made
        )
        return (taken, *made)

    def _shares(
        self,
        reversal: Reversal,
        order: Iterable[Posting],
        there: Mapping[str, int],
    ) -> dict[str, int]:
        """Share an amount out over what is there, one after another."""
        left = reversal.amount.amount_minor
        named = {
            number: amount.amount_minor
            for number, amount in (reversal.invoices or {}).items()
        }
        shares: dict[str, int] = {}
        for each in order:
            share = min(left, there.get(each.id, 0))
            if reversal.invoices is not None:
                share = min(share, named.get(each.invoice, 0))
                named[each.invoice] = named.get(each.invoice, 0) - share
            left -= share
            shares[str(each.id)] = share
        if left:
            raise _exceeds(reversal)
        return shares

    def _corrected(
        self, posting: Posting, reversal: Reversal, minor: int
    ) -> Posting:
        """Return the posting that corrects another one."""
        return attrs.evolve(
            posting,
            id=self.id_of(posting.id, reversal.event),
            amount=self._money(minor),
            charged_on=reversal.on,
            reverses=posting.id,
            note=reversal.kind.value,
        )

    def _money(self, minor: int) -> Money:
        return Money(amount_minor=minor, currency=self.currency)


def _exceeds(reversal: Reversal) -> InvalidValueError:
    return InvalidValueError(
        "an invoice's share would be below zero, or above what was captured",
        code="ReversalExceeds",
        path="amount",
        value=str(reversal.amount),
    )
