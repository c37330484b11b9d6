"""
How a payment is put on other invoices than those it paid (P4).

Holds: `reallocate`. Imports: `knowing`, `reading`, `requests`, `steps`,
`words` and the values. No money moves: what is taken from one posting is put
on others in the same step, and never on more than an invoice can get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import attrs

from autopay_core._checks import check_id, check_type, some_of
from autopay_core.allocation import Allocation
from autopay_core.associations import Association
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    ConflictReason,
    Decoded,
    PostingFilter,
    PostingMove,
    Standing,
)
from autopay_core.corrections import left_of, reversal_postings
from autopay_core.engine.knowing import all_postings
from autopay_core.engine.reading import read_payable
from autopay_core.engine.requests import Flow, Terms, commit, read_standing
from autopay_core.engine.steps import next_version, reopened
from autopay_core.engine.words import a_person_says
from autopay_core.errors import (
    CurrencyMismatchError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.money import Money
from autopay_core.postings import (
    Posting,
    PostingStatus,
    Reversal,
    ReversalKind,
    Share,
    move_posting,
)
from autopay_core.runs import RunRecord, RunState

__all__ = ["reallocate"]


def reallocate(
    id: str,  # noqa: A002 - the word
    posting: Posting,
    to: Mapping[str, Money],
    terms: Terms,
    *,
    client: str | None,
    by: str,
    reason: str,
) -> Flow[tuple[Posting, ...] | None]:
    """
    Put what stands of a posting, or a part, on other invoices (P4).

    Args:
        id: Of what is done; once, for ever. The same again is nothing.
        posting: As it was read.
        to: By invoice number, how much of it.
        terms: The host's.
        client: The client of those invoices; None for the posting's.
        by: Who does it.
        reason: Why.

    Returns:
        The postings that were made, as they stand now; None if *posting* had
        moved.

    Raises:
        InvalidValueError: It cannot be moved (``NotReallocatable``), or less
            stands of it (``ReversalExceeds``); an invoice cannot get so much
            (``ReallocationExceeds``); it is in a batch that is not answered
            (``PostingInBatch``); there was something else of that id
            (``EventConflict``); a word is missing.
        CurrencyMismatchError: An amount is in another currency.
        PortUnavailableError: Others kept changing what is open
            (``StoreBusy``).

    """
    a_person_says(by, reason)
    check_id(id, "id")
    _check_shares(posting, to)
    move = _Move(id, posting, to, str(client or posting.client), terms)
    for _ in range(_ROUNDS):
        standing = yield from read_standing(posting.run, "", "")
        record = _paid_run(posting, standing.run)
        stands = yield from all_postings(PostingFilter(run=str(posting.run)))
        found = {str(each.id): each for each in Decoded(stands)}
        done = move.done(record)
        if done is not None:
            return tuple(found[each] for each in done if each in found)
        if found.get(str(posting.id)) != posting:
            return None
        change = yield from move.change(record, standing)
        written = yield from commit(attrs.evolve(change, by=by, reason=reason))
        if isinstance(written, Committed):
            return change.postings
        _check_is_free(written)
    raise PortUnavailableError(
        "others kept changing what is open; say it again", code="StoreBusy"
    )


_ROUNDS: Final = 8
_SENT: Final = frozenset({PostingStatus.POSTED, PostingStatus.APPLIED})


def _check_shares(posting: Posting, to: Mapping[str, Money]) -> None:
    """Refuse what cannot be moved, whatever stands of it."""
    if posting.amount.is_negative or posting.status is PostingStatus.REMOVED:
        raise InvalidValueError(
            "only what was paid on an invoice, and not handled by hand, is "
            "put on another one",
            code="NotReallocatable",
            path="posting",
            value=posting.id,
        )
    if not to or posting.invoice in to:
        raise InvalidValueError(
            "name other invoices than the one that it stands on",
            code="NotReallocatable",
            path="to",
            value=posting.invoice,
        )
    for number, amount in to.items():
        check_id(number, "to")
        check_type(amount, Money, f"to[{number}]")
        if amount.currency != posting.amount.currency:
            raise CurrencyMismatchError(
                posting.amount.currency, amount.currency
            )


def _paid_run(posting: Posting, record: RunRecord | None) -> RunRecord:
    if record is None or record.state is not RunState.PAID:
        raise InvalidValueError(
            f"the run {posting.run} took no money",
            code="NotReallocatable",
            path="posting",
            value=posting.id,
        )
    return record


def _check_is_free(written: Conflict) -> None:
    """Refuse to move alone what moves with its batch only (P5)."""
    if written.reason is ConflictReason.BATCH:
        raise InvalidValueError(
            f"in a batch that is not answered: {some_of(written.postings)}; "
            "answer the batch",
            code="PostingInBatch",
            path="posting",
            value=written.postings[0],
        )


@final
class _Move:
    """What is to be moved, and where it goes."""

    def __init__(
        self,
        event: str,
        posting: Posting,
        to: Mapping[str, Money],
        client: str,
        terms: Terms,
    ) -> None:
        self._event, self._posting, self._to = event, posting, to
        self._client, self._policy = client, terms.policy

    def done(self, record: RunRecord) -> Sequence[str] | None:
        """Return the ids of what was made of it before; None if nothing."""
        for place, known in enumerate(record.reversals):
            if known.event == self._event:
                if not self._is_as(known):
                    raise InvalidValueError(
                        "something else was done under this id",
                        code="EventConflict",
                        path="id",
                        value=self._event,
                    )
                before = attrs.evolve(
                    record, reversals=record.reversals[:place]
                )
                made = reversal_postings(before, known)
                return [str(each.id) for each in made]
        return None

    def _is_as(self, known: Reversal) -> bool:
        moved = {
            each.invoice: each.amount
            for each in known.to
            if each.invoice != self._posting.invoice
        }
        return known.corrects == self._posting.id and moved == self._to

    def change(self, record: RunRecord, standing: Standing) -> Flow[Change]:
        """Return the step that moves it, after reading what may get it."""
        posting = self._posting
        opened, payable = yield from read_payable(
            Association.to_client(payer=record.payer, client=self._client),
            posting.amount.currency,
            posting.deposit_account.kind,
            standing.now,
            self._policy,
        )
        # One of which something went back has corrections of its own on their
        # way, so it goes there, too.
        unsent = (
            posting.status not in _SENT
            and left_of(record, posting.id) == posting.amount
        )
        shares = _shares(payable, self._to)
        if unsent:
            shares += self._rest(record)
        reversal = Reversal(
            event=self._event,
            kind=ReversalKind.REALLOCATED,
            amount=Money.total(
                (each.amount for each in shares), posting.amount.currency
            ),
            on=self._policy.date_of(standing.now),
            corrects=posting.id,
            to=shares,
            unsent=unsent,
        )
        nothing = Money.zero(posting.amount.currency)
        return Change(
            runs=(
                attrs.evolve(
                    record,
                    version=next_version(record, record.state, record.key),
                    reversals=(*record.reversals, reversal),
                ),
            ),
            postings=reversal_postings(record, reversal),
            moves=(
                PostingMove(
                    before=posting,
                    after=move_posting(
                        posting,
                        PostingStatus.REMOVED,
                        note=reversal.kind.value,
                    ),
                ),
            )
            if unsent
            else (),
            expect_versions=opened.versions,
            expect_open={
                number: opened.amounts.get(number, nothing)
                for number in self._to
            },
            told=reopened(record),
        )

    def _rest(self, record: RunRecord) -> tuple[Share, ...]:
        """Return what stays on the posting's own invoice, as a new one."""
        posting = self._posting
        moved = Money.total(self._to.values(), posting.amount.currency)
        rest = left_of(record, posting.id) - moved
        if not rest.is_positive:
            return ()
        return (
            Share(
                client=posting.client,
                matter=posting.matter,
                invoice=posting.invoice,
                amount=rest,
            ),
        )


def _shares(payable: Allocation, to: Mapping[str, Money]) -> tuple[Share, ...]:
    """Return what goes where, if every invoice can get it."""
    lines = {each.invoice.number: each for each in payable.lines}
    shares: list[Share] = []
    for number, amount in to.items():
        line = lines.get(number)
        if line is None or amount > line.amount:
            if line is None:
                why = "it is not among the client's open invoices"
            elif line.amount.is_zero:
                why = line.reason.text
            else:
                why = f"{line.amount} can"
            raise InvalidValueError(
                f"{amount} cannot be put on invoice {number}: {why}",
                code="ReallocationExceeds",
                path="to",
                value=number,
            )
        shares.append(
            Share(
                client=line.invoice.client,
                matter=line.invoice.matter,
                invoice=number,
                amount=amount,
            )
        )
    return tuple(shares)
