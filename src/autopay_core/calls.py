"""
What a host calls: preview, run, sweep, recover, and what staff do.

Holds: the calls of the public face with blocking ports. Imports: `ports`,
`engine`, `_crews` (for many turns at once) and the values. Nothing here
decides anything about money. Long for the descriptions of the calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TypeVar

from autopay_core.allocation import Allocation
from autopay_core.autopay import AutoPay
from autopay_core.batches import (
    Acknowledged,
    Batch,
    BatchAnswer,
    BatchState,
    LedgerEntry,
    PostingTotal,
)
from autopay_core.charges import Captured, Declined
from autopay_core.commits import (
    Conflict,
    Decoded,
    PostingFilter,
    StopOrder,
    Unreadable,
)
from autopay_core.engine import (
    breaking,
    conflicts,
    desk,
    foreseeing,
    looking,
    reallocating,
    receiving,
    recovery,
    staff,
    sweeping,
    telling,
)
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import drive, stream
from autopay_core.engine.looking import LISTED
from autopay_core.engine.requests import Flow, NextAutoPay, Request
from autopay_core.holds import Hold
from autopay_core.looks import Look
from autopay_core.money import Money
from autopay_core.monitoring import Health
from autopay_core.movements import Movement, MovementRecord, MovementState
from autopay_core.ports import Ports
from autopay_core.postings import Posting, PostingStatus, PostingView, Reversal
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunResult, RunState

__all__ = [
    "accept_balance",
    "acknowledge",
    "advance_postings",
    "answer_batch",
    "attest",
    "batch_queued",
    "clock_is_right",
    "close_case",
    "deliver",
    "distinct",
    "export_batch",
    "find_conflicts",
    "find_payments",
    "find_postings",
    "health",
    "hold",
    "lift",
    "lift_all",
    "list_batches",
    "list_holds",
    "list_movements",
    "list_runs",
    "look",
    "make_batch",
    "posting_totals",
    "preview",
    "read_postings",
    "reallocate",
    "receive",
    "recover",
    "rerun",
    "restored",
    "reverse",
    "run",
    "run_now",
    "stop",
    "sweep",
    "turn",
]


# -- The public face ---------------------------------------------------------


_T = TypeVar("_T")


def _drive(flow: Flow[_T], ports: Ports) -> _T:
    return drive(flow, answering(ports))


def preview(autopay: AutoPay, *, on: date, ports: Ports) -> Allocation:
    """
    Return what a run would pay on a date, and why; nothing is written.

    Args:
        autopay: The standing order.
        on: Any date; it need not be one of the schedule.
        ports: The host's.

    Raises:
        InvalidValueError: The matter data cannot be used.
        PortError: It cannot be read.

    """
    return _drive(sweeping.preview(autopay, on, terms_of(ports)), ports)


def run(autopay: AutoPay, *, on: date, ports: Ports) -> RunResult:
    """
    Run *autopay* for the occurrence of a date; again costs nothing (R1, R5).

    What happens to a payment is a result: paid, declined, nothing due, in
    doubt. Only what the caller did wrong is raised. What fell due before and
    is not on record is put on record as missed.

    Args:
        autopay: The standing order.
        on: The occurrence's charge date, or its nominal date once the charge
            date has come.
        ports: The host's.

    Raises:
        InvalidValueError: Nothing is due on that date (``OccurrenceNotDue``).
        PortError: The posting store cannot be reached, or what it committed is
            not known; run again.

    """
    return _drive(sweeping.run(autopay, on, terms_of(ports)), ports)


def run_now(
    autopay: AutoPay,
    *,
    as_of: date,
    number: int,
    by: str,
    reason: str,
    ports: Ports,
) -> RunResult:
    """
    Run *autopay* because a person asks for it, besides its schedule (R14).

    It consumes no date and no count, counts in every limit, and is refused
    while another run of the order is under way. A number that exists returns
    its run, so a double click is one.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        number: 1 for the first of that day, 2 for the second, and so on.
        by: Who asks for it.
        reason: Why.
        ports: The host's.

    Raises:
        InvalidValueError: Another run is under way (``RunUnderWay``); a
            consumer's bank account without an agreed range
            (``AuthorizationNeeded``); the day has not come (``DateAhead``).
        PortError: The posting store cannot be reached.

    """
    flow = sweeping.run_now(
        autopay, as_of, number, terms_of(ports), by=by, reason=reason
    )
    return _drive(flow, ports)


def sweep(
    autopays: Iterable[AutoPay],
    *,
    as_of: date,
    ports: Ports,
    claim_seconds: int = 0,
    at_once: int = 1,
) -> Iterator[RunResult]:
    """
    Run all that is due by a date, and give the results as they end (S12, R6).

    First goes on with what any worker left under way, and offers notices
    that were not accepted before, then takes the auto-pays in turn. The
    auto-pays are read one by one and nothing is kept, so memory does not grow
    with their number. One auto-pay's failure never stops the others.

    Nothing happens until the results are taken: loop over them.

    Args:
        autopays: Any iterable, also one that reads them from a database.
        as_of: The date that the caller calls today, in the firm's zone.
        ports: The host's.
        claim_seconds: With several workers on the same auto-pays: claim each
            run for so long, so that they do not do the same work twice. Safe
            without: then they only waste time.
        at_once: So many turns, 1 to 1,000, go on side by side, each in a
            thread; the ports then bear calls from several threads (PORT-1).
            Turns that have a client, a payer or a payment method in common
            go on one after another, so the results are the same, and come in
            the same order. Whoever leaves the loop waits until what is under
            way has ended.

    """
    answer, items = answering(ports), iter(autopays)

    def answer_or_next(request: Request | NextAutoPay) -> object:
        if isinstance(request, NextAutoPay):
            return list(islice(items, 1))
        return answer(request)

    flow = sweeping.sweep(
        as_of, terms_of(ports), claim_seconds=claim_seconds, at_once=at_once
    )
    if at_once == 1:
        yield from stream(flow, answer_or_next)
        return
    # Threads and their clock: not in the core, and seldom wanted.
    from autopay_core._crews import stream_at_once  # noqa: PLC0415

    yield from stream_at_once(
        flow,
        answer_or_next,
        at_once,
        groups=hasattr(ports.postings, "commit_many"),
    )


def turn(
    autopay: AutoPay, *, as_of: date, ports: Ports, claim_seconds: int = 0
) -> tuple[RunResult, ...]:
    """
    Give one auto-pay its turn: what `sweep` does for it, and no more (S12).

    What was left open of this auto-pay is gone on with, what was missed is
    recorded, what is due is run, what is coming is announced. Nothing of
    other auto-pays is recovered and no old notice is offered again, so it
    suits a host that has a job for each auto-pay; such a host calls `recover`
    from time to time.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today, in the firm's zone.
        ports: The host's.
        claim_seconds: As in `sweep`.

    Raises:
        InvalidValueError: The day has not come (``DateAhead``), or the
            auto-pay is no auto-pay.
        PortError: The posting store cannot be reached; call it again.

    """
    flow = sweeping.turn(
        autopay, as_of, terms_of(ports), claim_seconds=claim_seconds
    )
    return _drive(flow, ports)


def recover(*, ports: Ports) -> Iterator[RunResult]:
    """
    Go on with every run that was left under way, and with notices (R4).

    Whoever started them, and however they ended. Runs that were looked at a
    moment ago wait for their time, with growing pauses.

    Raises:
        PortError: The posting store cannot be reached.

    """
    return stream(recovery.recover(terms_of(ports)), answering(ports))


# -- What staff and the ledger do --------------------------------------------


def read_postings(
    view: PostingView = PostingView.ALL,
    *,
    ports: Ports,
    invoice: str | None = None,
) -> Decoded[Posting]:
    """
    Return the posting records that a view shows, in order of id (P3, R6).

    Args:
        view: One of the staff's views.
        ports: The host's.
        invoice: Only this invoice's.

    """
    return _drive(staff.read_postings(view, invoice), ports)


def advance_postings(
    moved: Sequence[Posting],
    to: PostingStatus,
    *,
    ports: Ports,
    by: str = "",
    note: str | None = None,
    sure: bool = False,
) -> tuple[Posting, ...] | None:
    """
    Move posting records one step in their life, all or none (P3).

    Args:
        moved: As they were read.
        to: Their next status.
        ports: The host's.
        by: Who asked for it; needed for steps out of open, and back.
        note: Why they are incomplete, were removed, or come back.
        sure: Take a step back (the ledger took a payment back, or a posting
            was removed in error) although the last balance on record shows
            the share already.

    Returns:
        The postings as they stand now; None if one of them had moved.

    Raises:
        InvalidValueError: There is no such step (``PostingTransition``); a
            step that needs a word has none (``FieldMissing``); the last
            balance shows the share (``ShareShown``); one of them is in a
            batch that is not answered (``PostingInBatch``), or was put on
            other invoices (``PostingReallocated``).

    """
    flow = staff.advance_postings(moved, to, by=by, note=note, sure=sure)
    return _drive(flow, ports)


def make_batch(
    id: str,  # noqa: A002 - the word
    postings: Sequence[Posting],
    *,
    by: str,
    reason: str = "",
    ports: Ports,
) -> Batch | Conflict:
    """
    Put postings into a batch for the ledger, all or none (P5).

    Args:
        id: The batch's, such as ``"2026-02-03/1"``; once, for ever. The same
            id with the same postings gives the batch that is there, so that a
            double click makes one.
        postings: Pending or queued, as they were read; in the order of the
            export.
        by: Who makes it.
        reason: Why, for the history.
        ports: The host's.

    Returns:
        The batch; or, if somebody else was faster, a `Conflict` whose
        `postings` are the ids of those that are in the way: then nothing was
        written.

    Raises:
        InvalidValueError: One of the postings is neither pending nor queued
            (``PostingNotReady``); there is such a batch of other postings
            (``BatchExists``); there is none, or too many (``BatchSize``).
        PortError: The posting store cannot be reached; make it again.

    """
    return _drive(desk.make_batch(id, postings, by=by, reason=reason), ports)


def batch_queued(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
    reason: str = "",
    ports: Ports,
) -> Batch | None:
    """
    Put what is queued, and in no batch on its way, into a batch (P2, P5).

    What a job does each night where the host posts automatically
    (`Policy.automatic_posting`): make it, export it, send it.

    Args:
        id: The batch's, such as the day's date; once, for ever. The same id
            again gives the batch that is there, so that a job can be started
            twice.
        by: Who makes it.
        reason: Why, for the history.
        ports: The host's.

    Returns:
        The batch, the first charged first, with `batches.BATCH_MOST` postings
        at most; None if nothing is queued.

    Raises:
        PortUnavailableError: Others kept moving what is queued
            (``StoreBusy``); nothing was written.
        PortError: The posting store cannot be reached; make it again.

    """
    return _drive(desk.batch_queued(id, by=by, reason=reason), ports)


def reallocate(
    id: str,  # noqa: A002 - the word
    posting: Posting,
    to: Mapping[str, Money],
    *,
    client: str | None = None,
    by: str,
    reason: str,
    ports: Ports,
) -> tuple[Posting, ...] | None:
    """
    Put what stands of a posting, or a part, on other invoices (P4).

    No money moves, and the sum is kept: what is taken from the posting is put
    on the others in the same step, as records of their own. A posting that
    the ledger was never sent is replaced, and what stays on its invoice is a
    posting of its own; one that was sent stays, with a correction beside it.

    Args:
        id: Of what is done; once, for ever. The same again is nothing, so that
            a double click moves it once.
        posting: As it was read.
        to: By invoice number, how much of it goes there.
        client: The client of those invoices; None for the posting's own.
        by: Who does it.
        reason: Why, for the history.
        ports: The host's; the matter data say what the invoices can get.

    Returns:
        The postings that were made, the correction first; None if *posting*
        had moved: read again and look.

    Raises:
        InvalidValueError: It cannot be moved (``NotReallocatable``), or less
            stands of it (``ReversalExceeds``); an invoice cannot get so much
            (``ReallocationExceeds``); it is in a batch that is not answered
            (``PostingInBatch``); something else was done under that id
            (``EventConflict``); a word is missing. Nothing was written.
        CurrencyMismatchError: An amount is in another currency.
        PortError: The matter data or the posting store cannot be read, or
            others kept changing what is open (``StoreBusy``).

    """
    flow = reallocating.reallocate(
        id,
        posting,
        to,
        terms_of(ports),
        client=client,
        by=by,
        reason=reason,
    )
    return _drive(flow, ports)


def export_batch(
    id: str,  # noqa: A002 - the word
    *,
    by: str,
    ports: Ports,
) -> Batch:
    """
    Put on record that a batch goes to the ledger, and return it (P5).

    Write its `postings` as `adapters.csv.postings_csv` does: they are the same
    each time, whatever became of the records since.

    Raises:
        InvalidValueError: There is no such batch (``BatchUnknown``).

    """
    return _drive(desk.export_batch(id, by=by), ports)


def answer_batch(given: BatchAnswer, *, by: str, ports: Ports) -> Batch:
    """
    Take in what the ledger says of each line of a batch, at once (P5).

    What was accepted is posted, with the ledger's date and number; what was
    refused is incomplete, with the reason as its note, and is told to the
    firm; what was not sent waits again. The same answer again is nothing.

    Raises:
        InvalidValueError: There is no such batch (``BatchUnknown``); it has
            another answer (``BatchAnswered``), or was not exported
            (``BatchNotExported``); the answer is of other lines
            (``BatchLines``) or does not add up (``ControlTotal``). Nothing
            was written.

    """
    return _drive(desk.answer_batch(given, by=by), ports)


def acknowledge(
    shown: Sequence[LedgerEntry], *, by: str, ports: Ports
) -> Acknowledged:
    """
    Take in which postings the ledger's balances show by now (P2, P3).

    What was queued or posted, and is shown as it is on record, is applied and
    counts as open no more. So hand in only what the balances that the matter
    data reads show already. The same figures again change nothing; what does
    not agree stays as it is and is returned.

    Args:
        shown: What the ledger shows of our postings, in any order; of a day
            or of all days.
        by: Whose figures they are, such as ``"ledger"``.
        ports: The host's.

    Raises:
        InvalidValueError: Nobody says so (``FieldMissing``).
        PortUnavailableError: Others kept moving the same postings
            (``StoreBusy``); what was applied stands.

    """
    return _drive(desk.acknowledge(shown, by=by), ports)


def list_batches(
    states: Sequence[BatchState] = (),
    *,
    posting: str | None = None,
    ports: Ports,
) -> Decoded[Batch]:
    """
    Read batches, by id (P5).

    Args:
        states: Only these; empty for all.
        posting: Only those that this posting is, or was, in.
        ports: The host's.

    """
    return _drive(desk.list_batches(states, posting), ports)


def find_postings(wanted: PostingFilter, *, ports: Ports) -> Decoded[Posting]:
    """
    Read one page of the posting records that a filter shows (P3, R6).

    The next page comes with the id of this one's `Decoded.last` as
    `PostingFilter.after`; after the last page comes an empty one.
    """
    return _drive(desk.find_postings(wanted), ports)


def find_conflicts(*, by: str, ports: Ports) -> Decoded[Posting]:
    """
    Find postings that the ledger would refuse, and let them wait (P2).

    What was never sent is compared with what the matter data say of its
    invoice now: not open any more, renumbered, on another matter, of another
    kind of account or in another currency, or owed less. Such a posting is
    incomplete, with the reason as its note, and is told. What cannot be known
    is left alone. Ask before a batch is made.

    Args:
        by: Who looks.
        ports: The host's.

    Returns:
        Those that are incomplete now; `Decoded.unreadable` names clients
        whose invoices could not be read, and postings that could not be.

    Raises:
        PortUnavailableError: The matter data or the posting store cannot be
            reached; what was found before stands.

    """
    return _drive(conflicts.find_conflicts(terms_of(ports), by=by), ports)


def find_payments(
    *,
    payer: str | None = None,
    on: date | None = None,
    amount: Money | None = None,
    ports: Ports,
) -> Decoded[RunRecord]:
    """
    Read the runs behind "why did you take 412.17 on 3 March?" (X2).

    `explain` says of each why, from its record.

    Args:
        payer: Whose.
        on: The day of the charge.
        amount: What was taken in all, or its share on one invoice. One of the
            three must be given.
        ports: The host's.

    Returns:
        Runs that captured money, by key; whatever went back since.

    Raises:
        InvalidValueError: None of the three is given (``FieldMissing``).

    """
    return _drive(desk.find_payments(payer, on, amount), ports)


def posting_totals(
    wanted: PostingFilter | None = None, *, ports: Ports
) -> Decoded[PostingTotal]:
    """
    Count and add up posting records, by status and currency (P3).

    Args:
        wanted: Which; None for all. Sort, place and number of the filter do
            not matter.
        ports: The host's.

    """
    return _drive(desk.posting_totals(wanted or PostingFilter()), ports)


def receive(
    movement: Movement, *, ports: Ports, by: str = ""
) -> MovementRecord:
    """
    Take in one movement of money after the capture, once (P4).

    In any order, however often, and before the charge's own answer; the
    auto-pay need not exist any more. A run under way is looked up at the
    gateway at once. What cannot be placed yet is kept and placed later, what
    cannot be booked is kept as a case; either is told to the firm, once.

    Args:
        movement: As the gateway told of it; authenticated by the host.
        ports: The host's.
        by: Who or what received it, for the history.

    Returns:
        What became of it; see `MovementState`.

    Raises:
        InvalidValueError: Another content came under its id before
            (``EventConflict``).
        PortError: The posting store cannot be reached; receive it again.

    """
    return _drive(receiving.receive(movement, terms_of(ports), by=by), ports)


def list_movements(
    state: MovementState, *, ports: Ports
) -> Decoded[MovementRecord]:
    """Read the movements that wait, or are cases, by id (P4)."""
    return _drive(receiving.list_movements(state), ports)


def close_case(
    movement: str, *, by: str, reason: str, ports: Ports
) -> MovementRecord:
    """
    Say that a movement that could not be booked was dealt with (P4).

    Raises:
        InvalidValueError: No movement of that id waits for a person
            (``NoCase``), or a word is missing.

    """
    return _drive(receiving.close_case(movement, by=by, reason=reason), ports)


def reverse(
    key: RunKey, reversal: Reversal, *, ports: Ports, by: str = ""
) -> RunResult:
    """
    Record that captured money went back, once for each event (P4).

    Raises:
        InvalidValueError: The run took no money (``OrphanEvent``), more would
            go back than was captured (``ReversalExceeds``), or the event came
            before with another content (``EventConflict``).

    """
    return _drive(staff.reverse(key, reversal, terms_of(ports), by=by), ports)


def hold(made: Hold, *, ports: Ports) -> Hold:
    """
    Put a hold on record: nothing new is taken while it stands (H1).

    What was sent before is still followed to its end.

    Args:
        made: Such as ``Hold.on_payer("p-1", by="Ann", reason="bankrupt")``.
        ports: The host's.

    """
    return _drive(staff.hold(made), ports)


def lift(
    held: Hold, *, by: str, reason: str, second: str = "", ports: Ports
) -> Hold:
    """
    Lift a hold (H3).

    Raises:
        InvalidValueError: A word is missing, or the second name that
            `Policy.second_name_above` asks for (``SecondName``).

    """
    flow = staff.lift(
        held, terms_of(ports), by=by, reason=reason, second=second
    )
    return _drive(flow, ports)


def lift_all(
    *,
    rule: str,
    since: datetime,
    by: str,
    reason: str,
    second: str = "",
    ports: Ports,
) -> list[Hold]:
    """Lift all that a rule held since a time; return them (H3)."""
    flow = staff.lift_all(
        rule, since, terms_of(ports), by=by, reason=reason, second=second
    )
    return _drive(flow, ports)


def health(*, ports: Ports) -> Health:
    """
    Return how the store is, at a glance: what a monitor asks for (O3).

    When the last sweep began and ended, what is in doubt, late, on hold, not
    delivered, not posted, or waits for a person; `Health.troubles` says what
    somebody should look at. Only the posting store is asked, and nothing is
    written.

    Args:
        ports: The host's.

    Raises:
        PortError: The posting store cannot be reached, which is a trouble too.

    """
    return _drive(looking.look_at(ports.policy), ports)


def look(autopay: AutoPay, *, on: date, ports: Ports) -> Look:
    """
    Return an order's state, next dates, end, and what blocks it (S14).

    With what is on record: what was collected and spent, what is paid off,
    holds, runs in doubt. Nothing is written.

    Args:
        autopay: The standing order.
        on: Any date.
        ports: The host's.

    Raises:
        PortError: The posting store cannot be read. Matter data that cannot
            be leaves `Outlook.next_charge` empty.

    """
    return _drive(foreseeing.look(autopay, on, terms_of(ports)), ports)


def list_runs(
    states: Collection[RunState] = LISTED, *, ports: Ports
) -> list[RunRecord | Unreadable]:
    """
    Return the runs that go on some day: what waits, is late, or in review.

    First those under way, then those that wait, each by key. A run is late if
    it waits and has a `RunRecord.late_since`.

    Args:
        states: Of `RunState.OPEN`, ``PENDING``, ``REVIEW`` and ``WAITING``.
        ports: The host's.

    Raises:
        InvalidValueError: Another state, in which nothing goes on
            (``RunState``).

    """
    return _drive(looking.list_runs(states), ports)


def list_holds(*, ports: Ports) -> Decoded[Hold]:
    """Return every hold in force, in order of id."""
    return _drive(breaking.list_holds(), ports)


def rerun(key: RunKey, *, by: str, reason: str, ports: Ports) -> RunResult:
    """
    Take a run that was lost back to waiting: the only way back (R5, S12).

    The next sweep that has the auto-pay collects it, while its enrolment
    lasts.

    Raises:
        InvalidValueError: The run was not missed, and did not fail without an
            attempt that was answered (``NotRerunnable``).

    """
    return _drive(staff.rerun(key, by=by, reason=reason), ports)


def accept_balance(
    client: str,
    invoice: str,
    figure: Money,
    *,
    by: str,
    reason: str,
    ports: Ports,
) -> None:
    """
    Say that an invoice's balance is right, though it was not expected (B1).

    Args:
        client: The invoice's client.
        invoice: Its number.
        figure: The balance that is right.
        by: Who says so.
        reason: Why.
        ports: The host's.

    Raises:
        InvalidValueError: Nothing is expected of it (``NothingExpected``).

    """
    flow = staff.accept_balance(client, invoice, figure, by=by, reason=reason)
    _drive(flow, ports)


def distinct(
    first: str, second: str, *, by: str, reason: str, ports: Ports
) -> None:
    """Say that two invoice numbers that look alike are two (L5, B2)."""
    _drive(staff.distinct(first, second, by=by, reason=reason), ports)


def restored(
    *, since: datetime, stores: Sequence[str] = (), by: str, ports: Ports
) -> None:
    """
    Say that the store was restored from a backup, or copied (R12).

    Args:
        since: Store time of the backup, or of the copy.
        stores: Ids of stores that were lost or copied.
        by: Who says so.
        ports: The host's.

    """
    _drive(staff.restored(since, stores, by=by), ports)


def clock_is_right(*, by: str, reason: str, ports: Ports) -> None:
    """Say that the store's clock is right now, after it was wrong (R11)."""
    _drive(staff.clock_is_right(by=by, reason=reason), ports)


def stop(order: StopOrder, *, ports: Ports) -> None:
    """
    Put a stop order on record, which is a hold (R7, H1); see `hold`.

    What was sent before is still followed to its end.
    """
    _drive(staff.stop(order), ports)


def attest(
    key: RunKey,
    outcome: Captured | Declined,
    *,
    by: str,
    reason: str,
    evidence: str,
    second: str = "",
    ports: Ports,
) -> RunResult:
    """
    Resolve a run in review by a person's word, after asking the gateway (R4).

    Args:
        key: The run.
        outcome: What a person found out, under the attempt's key.
        by: Who says so.
        reason: Why it had to be said.
        evidence: Where it can be checked, such as a statement's number.
        second: Another person, where the gateway could not be asked for
            three days.
        ports: The host's.

    Raises:
        InvalidValueError: The run is not in review (``NotInReview``); the
            gateway says otherwise (``GatewayContradicts``), or may say so yet
            (``TooEarly``); nobody could ask it, and there is no second name
            (``SecondName``). A word is missing, or the outcome is of another
            key or currency, or of more than was asked for.

    """
    flow = staff.attest(
        key,
        outcome,
        terms_of(ports),
        by=by,
        reason=reason,
        evidence=evidence,
        second=second,
    )
    return _drive(flow, ports)


def deliver(*, ports: Ports) -> int:
    """Offer notices again that were not accepted yet; return how many were."""
    return _drive(telling.deliver(), ports)
