"""
How movements of money come in, once each, in whatever order (P4, H2, L7).

Holds: `receive`, `bring_in` for what waited for its run, and `close_case`.
Imports: `breaking`, `recovery`, `telling`, `requests`, `steps`, `words` and
the values. A movement is on record under its own id before, or in the same
step as, whatever it does; so it does it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import attrs

from autopay_core._checks import report_text
from autopay_core.charges import Captured, NeedsPayer, Pending
from autopay_core.commits import Change, Committed, Decoded
from autopay_core.corrections import reversal_postings, still_back
from autopay_core.engine.breaking import list_holds
from autopay_core.engine.recovery import recover_one
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    Flow,
    ReadKeyed,
    ReadMovement,
    ReadMovements,
    ReadReferenced,
    Terms,
    ask_many,
    commit,
    id_of,
    look_up,
    read_all,
    read_standing,
)
from autopay_core.engine.steps import next_version, reopened
from autopay_core.engine.telling import tell
from autopay_core.engine.words import a_person_says
from autopay_core.errors import AutopayError, InvalidValueError
from autopay_core.holds import (
    REFUND,
    Hold,
    hold_for_return,
    holds_for_dispute,
    holds_for_refund,
    lift_won,
)
from autopay_core.movements import (
    Effect,
    Movement,
    MovementKind,
    MovementRecord,
    MovementRule,
    MovementState,
    rule_for,
)
from autopay_core.notices import (
    Notice,
    NoticeKind,
    notice_for_firm,
    notice_for_run,
)
from autopay_core.postings import Posting, Reversal
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunState,
)

__all__ = [
    "bring_in",
    "close_case",
    "list_movements",
    "receive",
]


def receive(
    movement: Movement, terms: Terms, *, by: str = ""
) -> Flow[MovementRecord]:
    """
    Take in one movement of money: once, whatever came before it (P4).

    What stood waiting for it, such as a dispute's end that came before its
    beginning, is brought in at once.

    Raises:
        InvalidValueError: Another content came under its id
            (``EventConflict``), or no rule is so old (``OutOfRange``).

    """
    rule_for(movement)  # Refused before anything is read.
    known = yield from _known(movement)
    if known is not None and known.state is not MovementState.WAITING:
        return known
    record = yield from _place(movement, known, terms, by)
    if record.state is MovementState.PLACED:
        yield from bring_in(terms)
    return record


def bring_in(terms: Terms) -> Flow[None]:
    """Place what waits, if what it waits for is there by now (P4, R6)."""
    for known in (yield from list_movements(MovementState.WAITING)):
        try:
            yield from _place(known.movement, known, terms, "")
        except AutopayError:
            continue  # It stays, and holds up no other.


def list_movements(
    state: MovementState,
) -> Flow[Decoded[MovementRecord]]:
    """Read every movement in a state other than placed, by id (P4, R6)."""
    found = yield from read_all(
        lambda after: ReadMovements(state, after, READ_AT_ONCE),
        MovementRecord,
        "",
        id_of,
    )
    return Decoded(found)


def close_case(id: str, *, by: str, reason: str) -> Flow[MovementRecord]:  # noqa: A002 - the word
    """
    Say that a movement which could not be booked was dealt with (P4).

    Raises:
        InvalidValueError: There is no such case (``NoCase``), or a word is
            missing.

    """
    a_person_says(by, reason)
    while True:
        found = yield from ask_many(ReadMovement(id), MovementRecord)
        if not found or found[0].state not in _OPEN_CASES:
            raise InvalidValueError(
                f"no movement {id!r} waits for a person",
                code="NoCase",
                path="id",
                value=id,
            )
        after = attrs.evolve(
            found[0],
            state=MovementState.CLOSED,
            version=found[0].version + 1,
        )
        written = yield from commit(
            Change(movements=(after,), by=by, reason=reason)
        )
        if isinstance(written, Committed):
            return after


_OPEN_CASES: Final = frozenset({MovementState.CASE, MovementState.WAITING})


# -- Finding the run ---------------------------------------------------------


def _known(movement: Movement) -> Flow[MovementRecord | None]:
    """
    Read what was received under a movement's id.

    Raises:
        InvalidValueError: It had another content (``EventConflict``).

    """
    found = yield from ask_many(ReadMovement(movement.id), MovementRecord)
    if not found:
        return None
    if found[0].movement != movement:
        raise InvalidValueError(
            "the event came before with another content",
            code="EventConflict",
            path="event",
            value=movement.id,
        )
    return found[0]


def _runs_of(movement: Movement, terms: Terms) -> Flow[tuple[RunRecord, ...]]:
    """
    Find the runs that a movement may be of: one, if all is well.

    By the run's own key, by the attempt's, by the payment reference; and by
    the reference that the gateway has for the key, for attempts of a store
    that did not keep keys yet.
    """
    if movement.run is not None:
        standing = yield from read_standing(movement.run, "", "")
        return () if standing.run is None else (standing.run,)
    if movement.key is not None:
        found = yield from ask_many(ReadKeyed(movement.key), RunRecord)
        if found:
            return found
    reference, account = movement.reference, movement.account
    if reference is None:
        assert movement.key is not None
        answer = yield from look_up(movement.key, None, terms)
        if not isinstance(answer, (Captured, Pending, NeedsPayer)):
            return ()
        reference, account = answer.reference, terms.capabilities.account
    return (yield from ask_many(ReadReferenced(reference, account), RunRecord))


# -- Placing it --------------------------------------------------------------


def _place(
    movement: Movement,
    known: MovementRecord | None,
    terms: Terms,
    by: str,
) -> Flow[MovementRecord]:
    """Do what a movement does, or keep it; in one step with its record."""
    while True:
        change = yield from _step(movement, known, terms)
        if change is None:
            assert known is not None
            return known
        change = attrs.evolve(change, by=by, reason=movement.kind.value)
        written = yield from commit(change)
        if isinstance(written, Committed):
            yield from tell(change.notices, written)
            return change.movements[0]
        # The run moved, or somebody else received it: look again.
        known = yield from _known(movement)
        if known is not None and known.state is not MovementState.WAITING:
            return known


def _step(
    movement: Movement, known: MovementRecord | None, terms: Terms
) -> Flow[Change | None]:
    """Return the step that a movement makes now; None to go on waiting."""
    runs = yield from _runs_of(movement, terms)
    if not runs:
        return _kept(
            movement,
            known,
            None,
            MovementState.WAITING,
            "MovementUnplaced",
            "no run with its key or reference is on record",
        )
    record, *others = runs
    if others:
        return _kept(
            movement,
            known,
            None,
            MovementState.CASE,
            "MovementAmbiguous",
            f"{len(runs)} runs have payment reference {movement.reference}",
        )
    if record.state in RESERVING_STATES:
        # The gateway settles it, without waiting for the next look.
        looked = yield from recover_one(record, terms)
        record = record if looked.record is None else looked.record
    standing = yield from read_standing(record.key, "", "")
    record = record if standing.run is None else standing.run
    if not record.state.is_finished:
        return _kept(
            movement,
            known,
            record,
            MovementState.WAITING,
            "MovementEarly",
            f"the run {record.key} is {record.state.value} yet",
        )
    return (yield from _step_of(record, movement, known, standing.now))


def _step_of(
    record: RunRecord,
    movement: Movement,
    known: MovementRecord | None,
    now: datetime,
) -> Flow[Change | None]:
    """Return the step that a movement makes of a run that is finished."""
    rule = rule_for(movement)
    placed = Change(movements=(_placed(movement, known, record),))
    if any(each.event == movement.id for each in record.reversals):
        return placed  # Booked before movements were kept by themselves.
    wrong = _misfit(movement, rule, record)
    if wrong:
        return _kept(
            movement,
            known,
            record,
            MovementState.CASE,
            *wrong,
            holds=_holds_of(movement, rule, record, (), now),
        )
    if rule.effect is Effect.TELLS:
        return attrs.evolve(
            placed,
            holds=_holds_of(movement, rule, record, (), now),
            notices=(_told(movement, record),),
        )
    if rule.effect is Effect.CONCLUDES or not _is_paid_by(movement, record):
        return placed
    return (yield from _booked(movement, rule, known, record, now))


def _is_paid_by(movement: Movement, record: RunRecord) -> bool:
    """Tell whether a movement is of the attempt that paid a run."""
    attempt = record.attempt
    return record.state is RunState.PAID and (
        movement.key is None
        or (attempt is not None and attempt.key == movement.key)
    )


def _misfit(
    movement: Movement, rule: MovementRule, record: RunRecord
) -> tuple[str, str] | None:
    """Say why a movement cannot be booked on a run, as code and sentence."""
    if rule.effect is Effect.NEEDS_A_PERSON:
        return (
            "MovementOver",
            "more was taken than was asked for, and no invoice is owed it",
        )
    if not _is_paid_by(movement, record):
        if movement.kind is MovementKind.FAILED_LATE:
            return None  # That it failed is on record.
        return (
            "MovementUnpaid",
            f"that attempt of the run {record.key} took no money, on record",
        )
    captured = record.captured
    assert captured is not None
    if captured.amount.currency != movement.amount.currency:
        return (
            "MovementCurrency",
            f"the run {record.key} was paid in {captured.amount.currency}",
        )
    return None


def _booked(
    movement: Movement,
    rule: MovementRule,
    known: MovementRecord | None,
    record: RunRecord,
    now: datetime,
) -> Flow[Change | None]:
    """Return the step that books a movement, or keeps it as a case (P4)."""
    corrects = _corrected(movement, record)
    assert rule.books is not None
    reversal = Reversal(
        event=movement.id,
        kind=rule.books,
        amount=movement.amount,
        on=movement.on,
        code=movement.code,
        corrects=corrects,
        invoices=movement.invoices,
    )
    try:
        made = reversal_postings(record, reversal)
    except InvalidValueError:
        if rule.effect is Effect.REINSTATES:
            return _kept(
                movement,
                known,
                record,
                MovementState.WAITING,
                "MovementEarly",
                "what it takes back is not on record, or less",
            )
        return _kept(
            movement,
            known,
            record,
            MovementState.CASE,
            "MovementExceeds",
            f"more would go back of the run {record.key} than it took",
            holds=_holds_of(movement, rule, record, (), now),
        )
    after = attrs.evolve(
        record,
        version=next_version(record, record.state, record.key),
        reversals=(*record.reversals, reversal),
    )
    held = (
        (yield from _lifted(after, corrects))
        if rule.effect is Effect.REINSTATES
        else _holds_of(movement, rule, record, made, now)
    )
    return Change(
        runs=(after,),
        postings=made,
        movements=(_placed(movement, known, record),),
        notices=(_told(movement, record),),
        holds=held,
        told=reopened(record) if rule.effect is Effect.TAKES_BACK else (),
    )


def _corrected(movement: Movement, record: RunRecord) -> str:
    """
    Return the event that a reinstatement takes back; empty for others.

    If it names none, the newest that took money from the firm against its
    will and of which something did not come again. A refund was on purpose:
    it is taken back by name only.
    """
    if movement.kind is not MovementKind.REINSTATED or movement.corrects:
        return movement.corrects
    return next(
        (
            each.event
            for each in reversed(record.reversals)
            if each.kind.frees_limits and still_back(record, each.event)
        ),
        "",
    )


def _holds_of(
    movement: Movement,
    rule: MovementRule,
    record: RunRecord,
    made: Sequence[Posting],
    now: datetime,
) -> tuple[Hold, ...]:
    """
    Return what a movement holds, booked or not (H2).

    Also where it cannot be booked: that somebody disputes a charge, or that
    an account is closed, is true whatever the sums are.
    """
    if not rule.holds or record.intent is None:
        return ()
    if movement.kind is MovementKind.REFUNDED:
        return holds_for_refund(
            {each.invoice: -each.amount for each in made},
            event=movement.id,
            since=now,
        )
    if movement.kind is MovementKind.DISPUTED:
        disputed = movement.invoices or (
            [str(each.invoice) for each in made]
            or list(record.intent.allocation.amounts)
        )
        return holds_for_dispute(disputed, dispute=movement.id, since=now)
    method = record.intent.request.method
    held = hold_for_return(
        movement.code,
        network=method.network,
        method=method.fingerprint,
        event=movement.id,
        on=movement.on,
        since=now,
    )
    return () if held is None else (held,)


def _lifted(record: RunRecord, event: str) -> Flow[tuple[Hold, ...]]:
    """Lift what an event held once all of it has come again (H2)."""
    if still_back(record, event):
        return ()
    holds = yield from list_holds()
    return (
        *lift_won(holds, event),
        *(
            attrs.evolve(
                each, lifted=True, lifted_reason="the refund came back"
            )
            for each in holds
            if each.rule == REFUND and each.cause == event
        ),
    )


# -- What is written of it ---------------------------------------------------


def _placed(
    movement: Movement, known: MovementRecord | None, record: RunRecord
) -> MovementRecord:
    return MovementRecord(
        movement=movement,
        state=MovementState.PLACED,
        version=1 if known is None else known.version + 1,
        run=record.key,
    )


def _kept(
    movement: Movement,
    known: MovementRecord | None,
    record: RunRecord | None,
    state: MovementState,
    reason: str,
    detail: str,
    *,
    holds: tuple[Hold, ...] = (),
) -> Change | None:
    """Keep what cannot be booked, and tell the firm once; None if it is."""
    run = None if record is None else record.key
    detail = report_text(f"{movement.amount} {movement.kind.value}: {detail}")
    after = MovementRecord(
        movement=movement,
        state=state,
        version=1 if known is None else known.version + 1,
        run=run,
        reason=reason,
        detail=detail,
    )
    if known is not None and known == attrs.evolve(
        after, version=known.version
    ):
        return None
    occasion = f"movement {state.value} {movement.id}"
    if record is None:
        notice = notice_for_firm(
            NoticeKind.NEEDS_REVIEW,
            on=movement.on,
            reason=reason,
            detail=detail,
            # The reason may change while it waits, and is told no more.
            occasion=occasion,
        )
    else:
        notice = notice_for_run(
            NoticeKind.NEEDS_REVIEW,
            record.key,
            payer=record.payer,
            on=movement.on,
            amount=movement.amount,
            reason=reason,
            detail=detail,
            occasion=occasion,
            reference=record.payment_reference or "",
        )
    is_told = known is not None and known.state is state
    return Change(
        movements=(after,),
        holds=holds,
        notices=() if is_told else (notice,),
    )


def _told(movement: Movement, record: RunRecord) -> Notice:
    """Tell of a movement that did what it does (N2)."""
    rule = rule_for(movement)
    kind, detail = _SAID[rule.effect]
    assert record.intent is not None  # It has taken money, or asked for it.
    return notice_for_run(
        kind,
        record.key,
        payer=record.payer,
        on=movement.on,
        amount=movement.amount,
        reason="Inquiry" if rule.books is None else rule.books.name.title(),
        detail=f"{movement.amount} {detail}",
        occasion=movement.id,
        name=record.intent.name,
        reference=record.payment_reference or "",
        method=record.intent.request.method.described,
    )


_SAID: Final[Mapping[Effect, tuple[NoticeKind, str]]] = MappingProxyType(
    {
        Effect.TAKES_BACK: (NoticeKind.RETURNED, "went back."),
        Effect.REINSTATES: (NoticeKind.REINSTATED, "came again."),
        Effect.TELLS: (
            NoticeKind.NEEDS_REVIEW,
            "is asked about by the payer; its invoices wait for the answer.",
        ),
    }
)
