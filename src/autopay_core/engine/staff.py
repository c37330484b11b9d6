"""
What people and the ledger do to runs and postings (P2 to P4, R4, R5, H3).

Holds: the flows of postings, reversals, holds, attestations, and of other
words of people. Imports: `breaking`, `charging`, `knowing`, `receiving`,
`telling`, `steps`, `requests`, `words` and the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import attrs

from autopay_core._checks import check_text, clean_text, some_of
from autopay_core.balances import Expected, accepted
from autopay_core.charges import (
    Cancelled,
    Captured,
    Declined,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    Pending,
)
from autopay_core.commits import (
    Change,
    Conflict,
    ConflictReason,
    Decoded,
    Distinct,
    OpenAmounts,
    PostingFilter,
    PostingMove,
    Restored,
    StopOrder,
)
from autopay_core.corrections import was_replaced
from autopay_core.engine.breaking import list_holds
from autopay_core.engine.charging import as_it_stands, conclusion, finish
from autopay_core.engine.knowing import all_postings
from autopay_core.engine.receiving import receive
from autopay_core.engine.requests import (
    CLOCK,
    THE_STORE,
    Flow,
    ReadOpen,
    Terms,
    ask,
    commit,
    look_up,
    read_standing,
)
from autopay_core.engine.steps import (
    SETTLE_SECONDS,
    is_of_account,
    mismatch,
    next_version,
    over,
    pay,
)
from autopay_core.engine.telling import announce, incomplete, tell
from autopay_core.engine.words import a_person_says
from autopay_core.errors import CurrencyMismatchError, InvalidValueError
from autopay_core.holds import (
    Hold,
    lift as lift_hold,
    lift_all as lift_holds,
)
from autopay_core.money import Money
from autopay_core.movements import Movement, MovementKind, MovementState
from autopay_core.notices import Notice
from autopay_core.postings import (
    OPEN_STATUSES,
    Posting,
    PostingStatus,
    PostingView,
    Reversal,
    ReversalKind,
    move_posting,
)
from autopay_core.references import RunKey
from autopay_core.runs import (
    RunRecord,
    RunResult,
    RunState,
    result_of,
)

__all__ = [
    "accept_balance",
    "advance_postings",
    "attest",
    "clock_is_right",
    "distinct",
    "hold",
    "lift",
    "lift_all",
    "list_holds",
    "read_postings",
    "rerun",
    "restored",
    "reverse",
    "stop",
]


def advance_postings(
    postings: Sequence[Posting],
    to: PostingStatus,
    *,
    by: str = "",
    note: str | None = None,
    sure: bool = False,
) -> Flow[tuple[Posting, ...] | None]:
    """
    Move postings one step in their life, all or none (P2, P3).

    Args:
        postings: As they were read.
        to: Their next status.
        by: Who asked for it; needed for steps out of open, and back.
        note: Why they are incomplete, were removed, or come back.
        sure: Take a step back although the last balance on record shows the
            share already.

    Returns:
        The postings as they stand now; None if one of them had moved.

    Raises:
        InvalidValueError: There is no such step (``PostingTransition``); a
            step that needs a word has none (``FieldMissing``); the last
            balance shows the share (``ShareShown``); one of them is in a
            batch that is not answered (``PostingInBatch``), or was put on
            other invoices (``PostingReallocated``).

    """
    check_text(by, "by", most=128)
    postings = tuple(dict.fromkeys(postings))
    moves = tuple(
        PostingMove(before=each, after=move_posting(each, to, note=note))
        for each in postings
    )
    backs = [
        each.before
        for each in moves
        if each.before.status not in OPEN_STATUSES and each.after.is_open
    ]
    if backs or to is PostingStatus.REMOVED:
        a_person_says(by, note or "")
    elif to is PostingStatus.APPLIED:
        check_text(by, "by", most=128, empty=False)
    yield from _check_not_replaced(postings)
    if backs and not sure:
        yield from _check_not_shown(backs)
    notices: tuple[Notice, ...] = ()
    if to is PostingStatus.INCOMPLETE:
        notices = tuple(incomplete(each, note or "") for each in postings)
    written = yield from commit(
        Change(moves=moves, notices=notices, by=by, reason=note or "")
    )
    if isinstance(written, Conflict):
        if written.reason is ConflictReason.BATCH:
            raise InvalidValueError(
                f"in a batch that is not answered: "
                f"{some_of(written.postings)}; answer the batch",
                code="PostingInBatch",
                path="postings",
                value=written.postings[0],
            )
        return None
    yield from tell(notices, written)
    return tuple(each.after for each in moves)


def _check_not_replaced(postings: Sequence[Posting]) -> Flow[None]:
    """Refuse to send what stands on other invoices by now (P4)."""
    for posting in postings:
        if posting.status is not PostingStatus.REMOVED:
            continue  # What a reallocation removed has no other status.
        standing = yield from read_standing(posting.run, "", "")
        if standing.run is not None and was_replaced(standing.run, posting.id):
            raise InvalidValueError(
                f"the posting {posting.id} was put on other invoices; put "
                "one of those back if that was wrong",
                code="PostingReallocated",
                path="moved",
                value=posting.id,
            )


def _check_not_shown(postings: Sequence[Posting]) -> Flow[None]:
    """
    Refuse a step back whose share the last recorded balance shows (P3).

    Such a step can only block money, never double it; but it blocks it for
    ever, so it is asked for twice.
    """
    clients = tuple(sorted({str(each.client) for each in postings}))
    opened = yield from ask(ReadOpen(clients), OpenAmounts)
    fitted = {each.invoice: each.fitted_at for each in opened.expected}
    left = {each.posting: each.at for each in opened.steps if each.falls}
    for posting in postings:
        at, seen_at = left.get(posting.id), fitted.get(posting.invoice)
        if at is not None and seen_at is not None and at < seen_at:
            raise InvalidValueError(
                f"the balance of invoice {posting.invoice} that was read at "
                f"{seen_at} shows the share already; repeat with sure=True "
                "if the ledger took it back since",
                code="ShareShown",
                path="moved",
                value=posting.id,
            )


def reverse(
    key: RunKey, reversal: Reversal, terms: Terms, *, by: str = ""
) -> Flow[RunResult]:
    """
    Record that captured money went back, once for each event (P4, H2).

    The way in of the first edition; what cannot be booked is kept as a case
    before it is raised.

    Raises:
        InvalidValueError: The run took no money (``OrphanEvent``), more would
            go back than was captured (``ReversalExceeds``), or the event came
            before with another content or for another run
            (``EventConflict``).
        CurrencyMismatchError: The reversal is in another currency.

    """
    standing = yield from read_standing(key, "", "")
    record = standing.run
    captured = None if record is None else record.captured
    if record is None or captured is None or record.state is not RunState.PAID:
        raise InvalidValueError(
            f"the run {key} took no money, so none goes back; keep the "
            "event and look again later",
            code="OrphanEvent",
            path="key",
            value=str(key),
        )
    if captured.amount.currency != reversal.amount.currency:
        raise CurrencyMismatchError(
            captured.amount.currency, reversal.amount.currency
        )
    for known in record.reversals:
        if known.event == reversal.event:
            if known != reversal:
                raise InvalidValueError(
                    "the event came before with another content",
                    code="EventConflict",
                    path="event",
                    value=reversal.event,
                )
            return result_of(record)
    movement = Movement(
        id=reversal.event,
        kind=_MOVEMENTS[reversal.kind],
        amount=reversal.amount,
        on=reversal.on,
        code=reversal.code,
        run=key,
        corrects=reversal.corrects,
        invoices=reversal.invoices,
    )
    received = yield from receive(movement, terms, by=by)
    if received.state is not MovementState.PLACED:
        raise InvalidValueError(
            "more would go back than was captured, or come again than went "
            "back; the event is kept for a person",
            code="ReversalExceeds",
            path="amount",
            value=str(reversal.amount),
        )
    return (yield from as_it_stands(record))


_MOVEMENTS: Final[Mapping[ReversalKind, MovementKind]] = MappingProxyType(
    {
        ReversalKind.RETURN: MovementKind.RETURNED,
        ReversalKind.REFUND: MovementKind.REFUNDED,
        ReversalKind.CHARGEBACK: MovementKind.DISPUTED,
        ReversalKind.REINSTATED: MovementKind.REINSTATED,
    }
)


# -- Holds (H1, H3) ----------------------------------------------------------


def hold(made: Hold) -> Flow[Hold]:
    """Put a person's hold on record; nothing new is taken from here on."""
    yield from commit(Change(holds=(made,), by=made.by, reason=made.reason))
    return made


def lift(
    lifted: Hold, terms: Terms, *, by: str, reason: str, second: str
) -> Flow[Hold]:
    """Lift a hold on a person's word (H3)."""
    after = lift_hold(
        lifted, by=by, reason=reason, second=second, policy=terms.policy
    )
    if after != lifted:
        yield from commit(Change(holds=(after,), by=by, reason=reason))
    return after


def lift_all(
    rule: str,
    since: datetime,
    terms: Terms,
    *,
    by: str,
    reason: str,
    second: str,
) -> Flow[list[Hold]]:
    """Lift all that a rule made since a time, on a person's word (H3)."""
    held = yield from list_holds()
    lifted = lift_holds(
        held,
        rule=rule,
        since=since,
        by=by,
        reason=reason,
        second=second,
        policy=terms.policy,
    )
    if lifted:
        yield from commit(Change(holds=lifted, by=by, reason=reason))
    return list(lifted)


def stop(order: StopOrder) -> Flow[None]:
    """Put a stop order on record, which is a hold, or lift it (H1, R7)."""
    kind, _, subject = order.target.partition(":")
    on = Hold.on_autopay if kind == "autopay" else Hold.on_method
    reason = order.reason or "a stop order"
    # Of nobody in particular, so that one order lifts what another one made.
    made = on(subject, by=STOPPED_BY, reason=reason)
    if not order.active:
        made = lift_hold(made, by=order.by, reason=reason)
    yield from commit(Change(holds=(made,), by=order.by, reason=order.reason))


STOPPED_BY: Final = "stop order"
"""Who made the hold of a stop order; who gave it is in the history."""


# -- A person's word ---------------------------------------------------------


def attest(
    key: RunKey,
    outcome: Captured | Declined,
    terms: Terms,
    *,
    by: str,
    reason: str,
    evidence: str,
    second: str = "",
) -> Flow[RunResult]:
    """
    Resolve a run in review by a person's word, after asking the gateway (R4).

    Args:
        key: The run.
        outcome: What a person found out, under the attempt's key; a capture
            may be of less than was asked for, which goes to the oldest
            invoices.
        terms: The host's.
        by: Who says so.
        reason: Why it had to be said.
        evidence: Where it can be checked, such as a statement's number.
        second: Another person, where the gateway could not be asked for
            three days.

    Raises:
        InvalidValueError: The run is not in review (``NotInReview``); the
            gateway says otherwise (``GatewayContradicts``), or may say so yet
            (``TooEarly``); nobody could ask it, and there is no second name
            (``SecondName``). A word is missing, or the outcome is of another
            key or currency, or of more than was asked for.

    """
    a_person_says(by, reason)
    check_text(evidence, "evidence", empty=False)
    standing = yield from read_standing(key, "", "")
    record = standing.run
    if record is None or record.state is not RunState.REVIEW:
        raise InvalidValueError(
            f"the run {key} is not in review",
            code="NotInReview",
            path="key",
            value=str(key),
        )
    wrong = mismatch(record, outcome, may_be_less=True)
    if wrong:
        raise InvalidValueError(wrong, code="GatewayMismatch", path="outcome")
    yield from _ask_first(record, outcome, standing.now, terms, by, second)
    change = attrs.evolve(
        pay(record, outcome)
        if isinstance(outcome, Captured)
        else (yield from conclusion(record, outcome, terms)),
        by=by,
        reason=clean_text(f"{reason} ({evidence})"),
    )
    result = yield from finish(change)
    if result is None:
        return (yield from as_it_stands(record))
    return result


def _ask_first(
    record: RunRecord,
    said: Captured | Declined,
    now: datetime,
    terms: Terms,
    by: str,
    second: str,
) -> Flow[None]:
    """Refuse a word that the gateway contradicts, or may contradict (R4)."""
    attempt = record.attempts[-1]
    answer = yield from _answer_for(record, now, terms)
    if isinstance(answer, (Captured, Pending, NeedsPayer, Declined)):
        if mismatch(record, answer):
            return  # What put it into review says nothing new.
        took = not isinstance(answer, Declined)
        if took != isinstance(said, Captured) or (
            isinstance(answer, Captured)
            and isinstance(said, Captured)
            and answer.amount != said.amount
        ):
            raise InvalidValueError(
                "the gateway says otherwise under the same key; the next "
                "sweep takes its answer",
                code="GatewayContradicts",
                path="outcome",
                value=type(answer).__name__,
            )
        return
    if isinstance(said, Captured):
        return
    capabilities = terms.capabilities
    settle = capabilities.lookup_settle_seconds
    clear_at = attempt.deadline + timedelta(
        seconds=SETTLE_SECONDS if settle is None else settle
    )
    if now < clear_at:
        raise InvalidValueError(
            f"the request may still arrive until {clear_at}; look again then",
            code="TooEarly",
            path="outcome",
            value=str(now),
        )
    if isinstance(answer, Indeterminate):
        if now < attempt.deadline + UNASKED_MOST:
            raise InvalidValueError(
                "the gateway cannot be asked now; wait until it can, or three "
                "days",
                code="TooEarly",
                path="outcome",
                value=str(now),
            )
        if not second.strip() or second.strip().casefold() == (
            by.strip().casefold()
        ):
            raise InvalidValueError(
                "nobody could ask the gateway, so two people have to say it",
                code="SecondName",
                path="second",
                value=second,
            )


def _answer_for(
    record: RunRecord, now: datetime, terms: Terms
) -> Flow[LookupOutcome]:
    """Return what the gateway says of a run that a person speaks for."""
    if not is_of_account(record, terms):
        return Indeterminate(detail="another account")
    attempt = record.attempts[-1]
    answer = yield from look_up(attempt.key, attempt.reference, terms)
    if isinstance(answer, NeedsPayer) and answer.until <= now:
        # Nobody acts any more, and nothing says that nobody did.
        return Indeterminate(detail="The payer's time is over.")
    return answer


UNASKED_MOST: Final = timedelta(hours=72)
"""So long a person's word waits for a gateway that cannot be asked (R4)."""


def rerun(key: RunKey, *, by: str, reason: str) -> Flow[RunResult]:
    """
    Take a run that was lost back to waiting: the only way back (R5, S12).

    The next sweep that has the auto-pay in hand collects it, while its
    enrolment lasts.

    Raises:
        InvalidValueError: The run was not missed, and did not fail without an
            attempt that was answered (``NotRerunnable``); a word is missing.

    """
    a_person_says(by, reason)
    standing = yield from read_standing(key, "", "")
    record = standing.run
    if record is None or not (
        record.state is RunState.MISSED
        or (
            record.state is RunState.FAILED
            and all(
                each.outcome is None or isinstance(each.outcome, Cancelled)
                for each in record.attempts
            )
        )
    ):
        raise InvalidValueError(
            f"the run {key} was not missed, and did not fail without an "
            "attempt",
            code="NotRerunnable",
            path="key",
            value=str(key),
        )
    after = attrs.evolve(
        record,
        version=next_version(record, RunState.WAITING, key),
        state=RunState.WAITING,
        reason="Rerun",
        detail="A person wants it to be collected after all.",
        next_try_at=None,
        next_try_on=None,
        late_since=None,
        demanded_by=by,
    )
    result = yield from finish(Change(runs=(after,), by=by, reason=reason))
    return (yield from as_it_stands(record)) if result is None else result


def restored(since: datetime, stores: Sequence[str], *, by: str) -> Flow[None]:
    """Say that the store was restored or copied: its epoch grows (R12)."""
    word = Restored(since=since, stores=tuple(stores), by=by)
    yield from commit(Change(restored=word, by=by, reason="restored"))


def clock_is_right(*, by: str, reason: str) -> Flow[None]:
    """Say that the store's clock is right now: its mark goes back (R11)."""
    a_person_says(by, reason)
    standing = yield from read_standing(THE_STORE, "", "")
    time = standing.now if standing.clock is None else standing.clock
    ended, told = over(standing.incidents, CLOCK, time)
    yield from commit(
        Change(trusted_clock=True, by=by, reason=reason, incidents=ended)
    )
    yield from announce(*told)


def distinct(first: str, second: str, *, by: str, reason: str) -> Flow[None]:
    """Say that two invoice numbers that look alike are two (L5)."""
    word = Distinct(first=first, second=second, by=by, reason=reason)
    yield from commit(Change(distinct=(word,), by=by, reason=reason))


def accept_balance(
    client: str, invoice: str, figure: Money, *, by: str, reason: str
) -> Flow[Expected]:
    """
    Say that an invoice's balance is right as it is (B1).

    Raises:
        InvalidValueError: Nothing is expected of that invoice yet
            (``NothingExpected``); a word is missing.

    """
    a_person_says(by, reason)
    opened = yield from ask(ReadOpen((client,)), OpenAmounts)
    for known in opened.expected:
        if known.invoice == invoice:
            break
    else:
        raise InvalidValueError(
            f"nothing is expected of invoice {invoice!r} of that client",
            code="NothingExpected",
            path="invoice",
            value=invoice,
        )
    standing = yield from read_standing(THE_STORE, "", "")
    shares = opened.amounts.get(invoice, Money.zero(figure.currency))
    after = accepted(known, figure + shares, standing.now)
    yield from commit(Change(expected=(after,), by=by, reason=reason))
    return after


def read_postings(
    view: PostingView, invoice: str | None
) -> Flow[Decoded[Posting]]:
    """Read all the posting records that a view shows (P3, R6)."""
    wanted = PostingFilter.of_view(view, invoice=invoice)
    return Decoded((yield from all_postings(wanted)))
