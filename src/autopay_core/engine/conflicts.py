"""
What the ledger would refuse, found before it is sent there (P2).

Holds: `find_conflicts`. Imports: `knowing`, `reading`, `requests`, `telling`
and the values. It looks at what was never sent, and at what the matter data
say of its invoices; what it cannot be sure of it leaves alone, for the ledger
says so itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from autopay_core._checks import check_text
from autopay_core.associations import Association
from autopay_core.batches import LineRefused, RefusalReason
from autopay_core.commits import (
    Change,
    Committed,
    ConflictReason,
    Decoded,
    PostingFilter,
    PostingMove,
    Unreadable,
)
from autopay_core.engine.knowing import all_postings, in_batches
from autopay_core.engine.reading import Conflicting, read_conflicting
from autopay_core.engine.requests import Flow, Terms, commit, read_now
from autopay_core.engine.telling import incomplete, tell
from autopay_core.errors import AutopayError, PortUnavailableError
from autopay_core.invoices import Invoice, InvoiceStatus
from autopay_core.postings import Posting, PostingStatus, move_posting

__all__ = ["find_conflicts"]


def find_conflicts(terms: Terms, *, by: str) -> Flow[Decoded[Posting]]:
    """
    Find postings that the ledger would refuse, and let them wait (P2).

    Args:
        terms: The host's.
        by: Who looks.

    Returns:
        Those that are incomplete now, each with its reason as its note; and
        beside them what could not be looked at, by client or by posting.

    """
    check_text(by, "by", most=128, empty=False)
    found: list[Posting | Unreadable] = []
    groups: dict[tuple[str, str], list[Posting]] = {}
    for each in (yield from _unsent(terms)):
        if isinstance(each, Unreadable):
            found.append(each)
        elif each.amount.is_positive:
            groups.setdefault((each.client, each.payer), []).append(each)
    for (client, payer), some in sorted(groups.items()):
        some.sort(key=lambda each: (each.charged_on, each.id))
        try:
            known = yield from read_conflicting(
                Association.to_client(payer=payer, client=client),
                (yield from read_now()),
                terms.policy,
            )
        except PortUnavailableError:
            raise
        except AutopayError as error:
            found.append(Unreadable(key=client, code=error.code))
            continue
        refused = list(_refused(some, known, terms))
        found += yield from _kept_back(refused, by)
    return Decoded(found)


def _unsent(terms: Terms) -> Flow[list[Posting | Unreadable]]:
    """Read what the ledger has certainly not been sent."""
    statuses = frozenset({PostingStatus.PENDING})
    taken: frozenset[str] = frozenset()
    if terms.policy.automatic_posting:
        # There what is queued goes by batches only.
        statuses |= {PostingStatus.QUEUED}
        taken = yield from in_batches()
    page = yield from all_postings(PostingFilter(statuses=statuses))
    return [each for each in page if str(each.id) not in taken]


def _refused(
    postings: Iterable[Posting], known: Conflicting, terms: Terms
) -> Iterator[tuple[Posting, str]]:
    """Say of each posting that the ledger would refuse, why it would."""
    shares: dict[str, int] = {}
    for each in postings:
        number = str(each.invoice)
        invoice = known.invoices.get(number)
        reason: RefusalReason | None = None
        detail = ""
        if number in known.unclear:
            continue
        if invoice is not None:
            reason, detail = _of_invoice(each, invoice)
        if (
            reason is None
            and known.stated_at is not None
            and (terms.policy.date_of(known.stated_at) <= each.charged_on)
        ):
            continue  # What was open then is not known by it.
        if invoice is None:
            reason, detail = _of_none(number, known)
        elif reason is None:
            minor = shares.get(number, 0) + each.amount.amount_minor
            if minor > invoice.balance.amount_minor:
                reason = RefusalReason.AMOUNT_TOO_LARGE
                detail = f"{invoice.balance} is owed there"
            else:
                shares[number] = minor
        if reason is not None:
            line = LineRefused(posting=each.id, reason=reason, detail=detail)
            yield each, line.note


def _of_invoice(
    posting: Posting, invoice: Invoice
) -> tuple[RefusalReason | None, str]:
    """Compare a posting with its invoice as it stands."""
    if invoice.matter != posting.matter:
        return RefusalReason.MATTER_UNKNOWN, f"it is on {invoice.matter} now"
    if invoice.account is not posting.deposit_account.kind:
        return RefusalReason.ACCOUNT, f"it is {invoice.account.value} money"
    if invoice.balance.currency != posting.amount.currency:
        return RefusalReason.CURRENCY, f"it is in {invoice.balance.currency}"
    if invoice.status is InvoiceStatus.VOID:
        return RefusalReason.INVOICE_CLOSED, "it was withdrawn"
    return None, ""


def _of_none(
    number: str, known: Conflicting
) -> tuple[RefusalReason | None, str]:
    """Say what became of an invoice that is not returned any more."""
    other = known.replaced.get(number)
    if other is not None:
        return RefusalReason.INVOICE_UNKNOWN, f"it seems to be {other} now"
    if known.is_whole:
        return RefusalReason.INVOICE_CLOSED, "it is not open any more"
    return None, ""


def _kept_back(
    refused: Sequence[tuple[Posting, str]], by: str
) -> Flow[list[Posting]]:
    """Let them be incomplete, all but those that others moved."""
    left: list[tuple[Posting, str]] = list(refused)
    for _ in range(_ROUNDS):
        if not left:
            break
        moves = tuple(
            PostingMove(
                before=each,
                after=move_posting(each, PostingStatus.INCOMPLETE, note=note),
            )
            for each, note in left
        )
        notices = tuple(incomplete(each, note) for each, note in left)
        written = yield from commit(
            Change(
                moves=moves,
                notices=notices,
                by=by,
                reason="the matter data say otherwise",
            )
        )
        if isinstance(written, Committed):
            yield from tell(notices, written)
            return [each.after for each in moves]
        if written.reason is ConflictReason.BATCH:
            left = [
                (each, note)
                for each, note in left
                if each.id not in written.postings
            ]
            continue
        stands = yield from all_postings(
            PostingFilter(client=left[0][0].client)
        )
        now = {each.id: each for each in Decoded(stands)}
        left = [
            (each, note) for each, note in left if now.get(each.id) == each
        ]
    return []


_ROUNDS: Final = 8
