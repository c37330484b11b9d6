"""
Defects to plant into workers that are killed; each must be found.

A defect is a function that takes the worker's `Ports` and returns those to
use, after it has changed what it changes. It runs in the worker's process
only: the gateway, the ledger and the audit stay whole. Some sleep a little
where they are wrong, so that a few hundred kills hit the window.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import attrs

from autopay_core import calls
from autopay_core.charges import (
    DeclineClass,
    Declined,
    Indeterminate,
    NotFound,
)
from autopay_core.commits import Change, Conflict, OpenAmounts
from autopay_core.engine import dispatch, steps
from autopay_core.engine.requests import (
    Charge,
    Commit,
    Confirm,
    Lookup,
    LookupReference,
    Prepare,
    ReadOpen,
)
from autopay_core.errors import PortUnavailableError
from autopay_core.ports import Ports
from autopay_core.runs import RunState
from planting import Planting

if TYPE_CHECKING:
    from collections.abc import Callable

    from autopay_core.engine.requests import Request


_WINDOW = 0.02


def _answering(
    answer: Callable[[Ports, Request, Callable[[Ports, Request], Any]], Any],
) -> None:
    """Put *answer* between every flow and its ports."""
    made = dispatch.answering

    def true(ports: Ports, request: Request) -> Any:
        return made(ports)(request)

    def planted(ports: Any) -> Callable[[Request], Any]:
        return lambda request: answer(ports, request, true)

    Planting().swap(made, planted, calls)


def charge_before_intent(ports: Ports) -> Ports:
    """Take the money before the intent is on record (R1, I4)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Commit) and request.change.runs:
            record = request.change.runs[-1]
            if record.state is RunState.OPEN and record.intent is not None:
                attempt = record.attempts[-1]
                if attempt.tries == 1 and attempt.reference is None:
                    wanted = attrs.evolve(
                        record.intent.request, not_after=attempt.deadline
                    )
                    with contextlib.suppress(PortUnavailableError):
                        true(ports, Charge(wanted))
        return true(ports, request)

    _answering(answer)
    return ports


def confirm_before_intent(ports: Ports) -> Ports:
    """Confirm a reference before it is on record (R1, I4)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Commit) and request.change.runs:
            record = request.change.runs[-1]
            if record.state is RunState.OPEN and record.intent is not None:
                attempt = record.attempts[-1]
                if attempt.tries == 1 and attempt.reference is not None:
                    with contextlib.suppress(PortUnavailableError):
                        true(
                            ports,
                            Confirm(attempt.reference, record.intent.request),
                        )
        return true(ports, request)

    _answering(answer)
    return ports


def another_reference(ports: Ports) -> Ports:
    """Prepare once more, and confirm what is not on record (TS-8, R1)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Confirm):
            fresh = true(ports, Prepare(request.request))
            if isinstance(fresh, str):
                return true(ports, Confirm(fresh, request.request))
        return true(ports, request)

    _answering(answer)
    return ports


def new_key_per_try(ports: Ports) -> Ports:
    """Send every request under a key of its own (R2, I5)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Charge):
            key = request.request.key
            fresh = f"ap1{os.urandom(12).hex()}"
            found = true(
                ports, Charge(attrs.evolve(request.request, key=fresh))
            )
            if isinstance(found, Indeterminate):
                return found
            return attrs.evolve(found, key=key)
        return true(ports, request)

    _answering(answer)
    return ports


def _without_conditions(change: Change) -> Change:
    return attrs.evolve(
        change,
        expect_versions=None,
        expect_open=None,
        expect_holds=None,
        only_doubtful=False,
        attempts=None,
    )


def last_write_wins(ports: Ports) -> Ports:
    """Write a run whatever stands by then (PS-2, I10)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Commit) and request.change.expect_open:
            time.sleep(_WINDOW)
        found = true(ports, request)
        while (
            isinstance(request, Commit)
            and isinstance(found, Conflict)
            and request.change.runs
        ):
            runs = []
            for record in request.change.runs:
                stands = ports.postings.standing(record.key, "").run
                version = 0 if stands is None else stands.version
                runs.append(attrs.evolve(record, version=version + 1))
            change = attrs.evolve(
                _without_conditions(request.change), runs=tuple(runs)
            )
            found = true(ports, Commit(change))
        return found

    _answering(answer)
    return ports


def not_found_means_failed(ports: Ports) -> Ports:
    """Take a look-up that finds nothing for a decline (R4)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        found = true(ports, request)
        asked = isinstance(request, (Lookup, LookupReference))
        if asked and isinstance(found, NotFound):
            return Declined(key=request.key, code="none")
        return found

    _answering(answer)
    return ports


def timeout_means_declined(ports: Ports) -> Ports:
    """Take a lost answer for a decline (R4)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        found = true(ports, request)
        if isinstance(request, Charge) and isinstance(found, Indeterminate):
            return Declined(
                key=request.request.key,
                code="timeout",
                decline_class=DeclineClass.NEVER,
            )
        return found

    _answering(answer)
    return ports


def no_reservation(ports: Ports) -> Ports:
    """Look at nothing that others are paying, nor compare it (L1)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, ReadOpen):
            return OpenAmounts()
        if isinstance(request, Commit):
            return true(ports, Commit(_without_conditions(request.change)))
        return true(ports, request)

    _answering(answer)
    return ports


def postings_after_the_outcome(ports: Ports) -> Ports:
    """Write postings after the outcome, in a commit of theirs (R1, P1)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Commit) and request.change.postings:
            postings = request.change.postings
            first = attrs.evolve(request.change, postings=())
            found = true(ports, Commit(first))
            if not isinstance(found, Conflict):
                true(ports, Commit(Change(postings=postings)))
            return found
        return true(ports, request)

    _answering(answer)
    return ports


def notices_after_the_commit(ports: Ports) -> Ports:
    """Write notices after the step, in a commit of theirs (N1)."""

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        if isinstance(request, Commit) and request.change.runs:
            notices = request.change.notices
            first = attrs.evolve(request.change, notices=())
            found = true(ports, Commit(first))
            if notices and not isinstance(found, Conflict):
                time.sleep(_WINDOW)
                return true(ports, Commit(Change(notices=notices)))
            return found
        return true(ports, request)

    _answering(answer)
    return ports


def status_before_balance(ports: Ports) -> Ports:
    """Call a posting applied before the ledger shows it (P2)."""
    apply = ports.matters.apply  # type: ignore[attr-defined]
    waiting: list[Any] = []
    ports.matters.apply = waiting.extend  # type: ignore[attr-defined]

    def answer(ports: Ports, request: Any, true: Any) -> Any:
        found = true(ports, request)
        if isinstance(request, Commit) and request.change.moves and waiting:
            # The ledger's process is killed less often than the workers.
            time.sleep(_WINDOW * 8)
            apply(waiting)
            waiting.clear()
        return found

    _answering(answer)
    return ports


def new_key_on_recovery(ports: Ports) -> Ports:
    """Send a try again under another key, as if it were new (R3, I6)."""
    true = steps.try_again

    def again(record: Any, now: Any, opened: Any) -> Change:
        change = true(record, now, opened)
        [after] = change.runs
        last = after.attempts[-1]
        assert after.intent is not None
        wanted = attrs.evolve(
            after.intent.request, key=f"ap1{os.urandom(12).hex()}"
        )
        renewed = attrs.evolve(
            last, key=wanted.key, request_hash=wanted.request_hash
        )
        return attrs.evolve(
            change,
            runs=(
                attrs.evolve(
                    after,
                    attempts=(*after.attempts[:-1], renewed),
                    intent=attrs.evolve(after.intent, request=wanted),
                ),
            ),
        )

    Planting().swap(true, again)
    return ports
