"""
The calls of an SQL store that take more than one transaction.

Holds: `SqlCalls`. Imports: the core, `_sql`, `_sql_commit`. Each yields a
transaction and is sent what its steps gave; so what happens to a commit whose
answer was lost is said once, for blocking and awaitable stores.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar, final

from autopay_core.adapters._sql import (
    AnswerLostError,
    Calls,
    LostRaceError,
    Steps,
    Transact,
)
from autopay_core.adapters._sql_commit import SqlSteps
from autopay_core.commits import Change, Committed, Conflict, Standing
from autopay_core.errors import (
    CommitUnknownError,
    PortError,
    PortUnavailableError,
)
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord

__all__ = ["SqlCalls"]

_T = TypeVar("_T")

_TRIES: Final = 3
"""How often a transaction is tried that others keep winning."""


@final
class SqlCalls:
    """
    The calls that take more than one transaction.

    Args:
        steps: What the transactions do.
        absence_is_proof: A commit that a later look does not find can never
            appear afterwards.

    """

    def __init__(self, steps: SqlSteps, *, absence_is_proof: bool) -> None:
        self._steps = steps
        self._absence_is_proof = absence_is_proof

    def standing(self, key: RunKey, method: str) -> Calls[Standing]:
        """Read, and write down the time if it ran ahead (PS-12)."""
        standing: Standing = yield Transact(
            self._steps.standing(key, method), writes=False
        )
        yield from self._keep_time()
        return standing

    def now(self) -> Calls[datetime]:
        """Read the time, and write it down if it ran ahead (PS-12)."""
        now: datetime = yield Transact(self._steps.now(), writes=False)
        yield from self._keep_time()
        return now

    def unfinished(
        self, after: RunKey | None, most: int
    ) -> Calls[Sequence[RunRecord]]:
        """Read runs under way whose time has come, by key."""
        now: datetime = yield Transact(self._steps.now(), writes=False)
        runs: Sequence[RunRecord] = yield Transact(
            self._steps.unfinished(after, most, now), writes=False
        )
        return runs

    def _keep_time(self) -> Calls[None]:
        if self._steps.mark.is_ahead:
            yield from _certain(self._steps.keep_mark())

    def claim(self, key: RunKey, seconds: int) -> Calls[bool]:
        """Reserve a run's work for a while (PS-14)."""
        return (yield from _certain(self._steps.claim(key, seconds)))

    def commit(self, change: Change) -> Calls[Committed | Conflict]:
        """
        Write *change*; settle a commit whose answer was lost (PS-1, PS-13).

        Raises:
            PortUnavailableError: Nothing was written.
            CommitUnknownError: It may have been.
            PostingConflictError: Other content stands under a posting's id.

        """
        transition = _new_transition()
        for _ in range(_TRIES):
            try:
                result: Committed | Conflict = yield Transact(
                    self._steps.commit(change, transition), writes=True
                )
            except LostRaceError:
                continue
            except AnswerLostError as lost:
                return (yield from self._settle(change, transition, lost))
            return result
        raise PortUnavailableError(
            "other writers kept winning; nothing was written",
            code="StoreBusy",
        )

    def _settle(
        self, change: Change, transition: str, lost: AnswerLostError
    ) -> Calls[Committed | Conflict]:
        try:
            stands: bool = yield Transact(
                self._steps.is_committed(change, transition), writes=True
            )
        except (PortError, AnswerLostError) as error:
            raise CommitUnknownError(
                "the answer to a commit was lost, and the store cannot be "
                "asked; read again before doing anything"
            ) from error
        if stands:
            found: Committed | Conflict = lost.result
            return found
        if self._absence_is_proof:
            raise PortUnavailableError(
                "the commit broke off; nothing was written"
            ) from lost
        raise CommitUnknownError(
            "the commit broke off and is not there now; it may appear when "
            "the database recovers"
        ) from lost


def _certain(steps: Steps[_T]) -> Calls[_T]:
    try:
        result: _T = yield Transact(steps, writes=True)
    except LostRaceError as error:
        raise PortUnavailableError(
            "another writer won; nothing was written", code="StoreBusy"
        ) from error
    except AnswerLostError as lost:
        raise CommitUnknownError("the answer to a commit was lost") from lost
    return result


def _new_transition() -> str:
    """Return a random id for a commit."""
    return secrets.token_hex(16)
