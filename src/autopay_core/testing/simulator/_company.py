"""
What a payment company tells of money after the capture, in a simulated world.

Holds: `Company`, which makes movements and checks what becomes of each (P4).
Imports: `_oracle`, `_ports`, `_settings`, `charges`, `commits`, `holds`,
`movements` and `engine.requests`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, final

from autopay_core.charges import Captured
from autopay_core.holds import HoldLevel
from autopay_core.movements import (
    Movement,
    MovementKind,
    MovementRecord,
    MovementState,
)
from autopay_core.testing.simulator._oracle import Oracle, PromiseBroken
from autopay_core.testing.simulator._settings import usd

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from autopay_core.commits import Change
    from autopay_core.engine.requests import Flow
    from autopay_core.testing.simulator._ports import Executed, Gateway

__all__ = ["Company"]

_WORLDS: Final = 0.3
"""So many worlds hear of movements, and not of reversals."""

_SHARE: Final = 0.25
"""So much of what workers begin there is a webhook."""

_BACK: Final = (
    MovementKind.RETURNED,
    MovementKind.REFUNDED,
    MovementKind.DISPUTED,
    MovementKind.DISPUTED,
    MovementKind.FAILED_LATE,
    MovementKind.CAPTURED_UNDER,
)
_HELD: Final = frozenset({MovementKind.REFUNDED, MovementKind.DISPUTED})
_CODES: Final = ("", "R01", "R02", "R10")
_INQUIRY: Final = "inquiry"


@final
class Company:
    """
    The movements of a world: what is true, and what was made of it.

    They come more than once, in any order, before the charge's own answer,
    and under any name that the company has for the payment. Their chances are
    drawn apart from the world's.

    Args:
        seed: Decides what happens.
        system: Has the flow, as `System`.
        oracle: Knows what was captured.
        gateway: Whose payments they are.
        today: Returns the firm's day.

    Attributes:
        is_used: Whether there are movements in this world.
        finds_shares: Whether they say of no invoice how much moved of it, so
            that it is taken from where it stands.

    """

    def __init__(
        self,
        seed: int,
        *,
        system: Any,  # noqa: ANN401 - flows of any kind
        oracle: Oracle,
        gateway: Gateway,
        today: Callable[[], date],
    ) -> None:
        self._system = system
        self._oracle = oracle
        self._gateway = gateway
        self._today = today
        self.rng = Random(f"company of {seed}")  # noqa: S311 - to be repeated
        self.is_used = self.rng.random() < _WORLDS
        self._names_invoices = self.rng.random() < 0.3
        self._told: list[Movement] = []
        self._keys: dict[str, str] = {}
        self._again: set[str] = set()
        self._shares: dict[str, dict[str, int]] = {}
        self._left: dict[str, dict[str, int]] = {}
        self._known: dict[str, MovementRecord] = {}
        self.finds_shares = self.is_used and not self._names_invoices
        oracle.books_postings = self.is_used

    # -- What is true --------------------------------------------------------

    def moves(self) -> None:
        """Let money move, or somebody say something of it."""
        captures = self._gateway.captures()
        if not captures:
            return
        one = self.rng.choice(captures)
        roll = self.rng.random()
        if roll < 0.55:
            self._goes_back(one)
        elif roll < 0.85:
            self._comes_again(one)
        else:
            self._is_said(one)

    def _goes_back(self, one: Executed) -> None:
        key = one.request.key
        facts = self._oracle.keys[key]
        left = self._left.setdefault(key, dict(facts.shares))
        total = sum(left.values())
        if not total:
            return
        minor = (
            total if self.rng.random() < 0.5 else self.rng.randint(1, total)
        )
        taken: dict[str, int] = {}
        rest = minor
        for number in reversed(list(left)):
            taken[number] = min(rest, left[number])
            rest -= taken[number]
            left[number] -= taken[number]
        facts.reversed += minor
        told = self._tell(
            one,
            self.rng.choice(_BACK),
            minor,
            code=self.rng.choice(_CODES),
            shares=taken,
        )
        self._shares[told.id] = taken

    def _comes_again(self, one: Executed) -> None:
        key = one.request.key
        back = [
            each
            for each in self._told
            if self._keys[each.id] == key
            and each.kind in _BACK
            and each.id in self._shares
            and each.id not in self._again
        ]
        if not back:
            return
        event = self.rng.choice(back)
        self._again.add(event.id)
        shares = self._shares[event.id]
        for number, minor in shares.items():
            self._left[key][number] += minor
        minor = event.amount.amount_minor
        self._oracle.keys[key].reversed -= minor
        self._tell(
            one,
            MovementKind.REINSTATED,
            minor,
            corrects=event.id,
            shares=shares,
        )

    def _is_said(self, one: Executed) -> None:
        """Let the company say what moves no money, or what fits nowhere."""
        kind = self.rng.choice(
            (
                MovementKind.SETTLED,
                MovementKind.DISPUTED,
                MovementKind.CAPTURED_OVER,
            )
        )
        code = _INQUIRY if kind is MovementKind.DISPUTED else ""
        self._tell(one, kind, self.rng.randint(1, 500), code=code)

    def _tell(
        self,
        one: Executed,
        kind: MovementKind,
        minor: int,
        *,
        code: str = "",
        corrects: str = "",
        shares: dict[str, int] | None = None,
    ) -> Movement:
        key = one.request.key
        facts = self._oracle.keys[key]
        assert isinstance(one.outcome, Captured)
        named = self.rng.choice(("key", "reference", "run"))
        invoices = None
        if shares and self._names_invoices:
            invoices = {
                number: usd(share) for number, share in shares.items() if share
            }
        told = Movement(
            id=f"mv-{len(self._told) + 1}",
            kind=kind,
            amount=usd(minor),
            on=self._today(),
            code=code,
            key=key if named == "key" else None,
            reference=one.outcome.reference if named == "reference" else None,
            account=facts.account if named == "reference" else "",
            run=facts.run if named == "run" else None,
            corrects=corrects,
            invoices=invoices,
        )
        self._told.append(told)
        self._keys[told.id] = key
        return told

    @property
    def has_told(self) -> bool:
        """Whether there is a movement to be told of."""
        return bool(self._told)

    # -- What is told --------------------------------------------------------

    def is_wanted(self) -> bool:
        """Draw whether a worker takes in a webhook, if there is one."""
        return self.is_used and bool(self._told) and self.rng.random() < _SHARE

    def calls(self, terms: Any) -> Flow[Any]:  # noqa: ANN401 - handed on
        """Tell of any movement, for the first time or again."""
        return self.receives(self.rng.choice(self._told), terms)

    def untold(self) -> list[Movement]:
        """
        Return, in any order, what has not arrived yet.

        What waits is told no more: the next sweep brings it in.
        """
        left = [each for each in self._told if each.id not in self._known]
        self.rng.shuffle(left)
        return left

    def receives(self, movement: Movement, terms: Any) -> Flow[Any]:  # noqa: ANN401 - handed on
        """Tell of one movement."""
        flow: Flow[Any] = self._system.receive(movement, terms, by="webhook")
        return flow

    # -- What has to hold ----------------------------------------------------

    def committed(self, change: Change) -> None:
        """Check a step of the store that was committed (P4, H2)."""
        for record in change.runs:
            events = [each.event for each in record.reversals]
            if len(events) > len({*events}):
                raise PromiseBroken("P4", f"{record.key}: one event twice")
        for each in change.movements:
            self._step(each, change)

    def _step(self, record: MovementRecord, change: Change) -> None:
        before = self._known.get(record.id)
        if before is not None and before.state is not MovementState.WAITING:
            raise PromiseBroken("P4", f"{record.id} was over, and is not")
        if record.version != (1 if before is None else before.version + 1):
            raise PromiseBroken("P4", f"{record.id}: version jumps")
        moved = sum(each.amount.amount_minor for each in change.postings)
        minor = record.movement.amount.amount_minor
        if moved and (
            record.state is not MovementState.PLACED or abs(moved) != minor
        ):
            raise PromiseBroken("P4", f"{record.id}: {moved} of {minor}")
        if record.movement.kind in _HELD and moved:
            held = {
                each.subject
                for each in change.holds
                if each.level is HoldLevel.INVOICE and not each.lifted
            }
            if not {str(each.invoice) for each in change.postings} <= held:
                raise PromiseBroken("H2", f"{record.id} holds nothing")
        self._known[record.id] = record

    def complete(self) -> None:
        """P4: every cent of every movement is in postings, or in a case."""
        for each in self._told:
            known = self._known.get(each.id)
            if known is None:
                raise PromiseBroken("P4", f"{each.id} is nowhere")
            if known.state is MovementState.PLACED:
                continue
            self._kept(each, known)

    def _kept(self, movement: Movement, known: MovementRecord) -> None:
        """Check what is a case, or waits, and take it out of the sums."""
        key = self._keys[movement.id]
        facts = self._oracle.keys[key]
        minor = movement.amount.amount_minor
        if movement.kind is MovementKind.CAPTURED_OVER:
            if known.state is not MovementState.CASE:
                raise PromiseBroken("P4", f"{movement.id} is no case")
        elif movement.kind is MovementKind.REINSTATED:
            corrected = self._known[movement.corrects]
            if corrected.state is MovementState.PLACED:
                raise PromiseBroken("P4", f"{movement.id} waits for ever")
            facts.reversed += minor
        elif known.reason == "MovementExceeds" and any(
            each.kind is MovementKind.REINSTATED and self._keys[each.id] == key
            for each in self._told
        ):
            # It came before what it comes after.
            facts.reversed -= minor
        else:
            raise PromiseBroken("P4", f"{known}: why?")
