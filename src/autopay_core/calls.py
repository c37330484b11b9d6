"""
What a host calls: preview, run, sweep, recover, and what staff do.

Holds: the calls of the public face with blocking ports. Imports: `ports`,
`engine` and the values. Nothing here decides anything about money.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import TypeVar

from autopay_core.allocation import Allocation
from autopay_core.autopay import AutoPay
from autopay_core.charges import Captured, Declined
from autopay_core.commits import StopOrder
from autopay_core.engine import recovery, staff, sweeping, telling
from autopay_core.engine.dispatch import answering, terms_of
from autopay_core.engine.driving import drive, stream
from autopay_core.engine.requests import Flow, NextAutoPay, Request
from autopay_core.ports import Ports
from autopay_core.postings import Posting, PostingStatus, PostingView, Reversal
from autopay_core.references import RunKey
from autopay_core.runs import RunResult

__all__ = [
    "advance_postings",
    "attest",
    "deliver",
    "preview",
    "read_postings",
    "recover",
    "reverse",
    "run",
    "stop",
    "sweep",
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


def sweep(
    autopays: Iterable[AutoPay],
    *,
    as_of: date,
    ports: Ports,
    claim_seconds: int = 0,
) -> Iterator[RunResult]:
    """
    Run all that is due by a date, and give the results as they end (S12, R6).

    First goes on with what was left under way by whomever and offers notices
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

    """
    answer, items = answering(ports), iter(autopays)

    def answer_or_next(request: Request | NextAutoPay) -> object:
        if isinstance(request, NextAutoPay):
            return list(islice(items, 1))
        return answer(request)

    flow = sweeping.sweep(as_of, terms_of(ports), claim_seconds=claim_seconds)
    yield from stream(flow, answer_or_next)


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
) -> list[Posting]:
    """
    Return the posting records that a view shows, in order of id (P3).

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
) -> tuple[Posting, ...] | None:
    """
    Move posting records one step further in their life, all or none (P3).

    Args:
        moved: As they were read.
        to: Their next status.
        ports: The host's.
        by: Who asked for it.
        note: Why they are incomplete or were removed.

    Returns:
        The postings as they stand now; None if one of them had moved.

    Raises:
        InvalidValueError: There is no such step.

    """
    flow = staff.advance_postings(moved, to, by=by, note=note)
    return _drive(flow, ports)


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
    return _drive(staff.reverse(key, reversal, by=by), ports)


def stop(order: StopOrder, *, ports: Ports) -> None:
    """
    Put a stop order on record: nothing is sent from here on (R7).

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
    ports: Ports,
) -> RunResult:
    """
    Resolve a run in review by a person's word (R4).

    Args:
        key: The run.
        outcome: What a person found out, under the attempt's key.
        by: Who says so.
        reason: Why it had to be said.
        evidence: Where it can be checked, such as a statement's number.
        ports: The host's.

    Raises:
        InvalidValueError: The run is not in review (``NotInReview``). A word
            is missing, or the outcome is of another key or currency, or of
            more than was asked for.

    """
    flow = staff.attest(key, outcome, by=by, reason=reason, evidence=evidence)
    return _drive(flow, ports)


def deliver(*, ports: Ports) -> int:
    """Offer notices again that were not accepted yet; return how many were."""
    return _drive(telling.deliver(), ports)
