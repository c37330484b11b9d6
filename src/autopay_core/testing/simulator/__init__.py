"""
Deterministic simulation of the flows and a shipped store.

Imports: its modules.

A seed decides a small world: auto-pays that compete for a few invoices, two
or three workers that sweep them, and what goes wrong. Workers are interleaved
at every yield of a flow. What goes wrong: kills before and after each call and
commit, calls that fail, requests and answers that are lost, late or twice,
answers with another amount, or never a clear one, declines for weeks, debits
that vanish or are returned, pages that are cut off, exports that are days old,
rows that nobody asked for, a ledger that takes postings back, a notifier that
is down, clocks that jump, keys that the gateway has forgotten, look-ups that
lag, an account that is exchanged. Meanwhile people pay by hand, bill, hold and
lift, pause, skip, turn off, change limits, methods and enrolments, run on
demand, revive, attest, use ids again, and staff post to a ledger whose balance
shows it first.

The promises are checked inside the fakes at every call and commit, from what
the gateway took and the ledger shows; of every sending it is asked whether it
was owed and allowed at that moment. When the world has healed and drained,
nothing may hang and every cent must have its posting.

What a gateway must keep in a simulated world is what its capabilities say. So
much is assumed of clocks: the store's may be up to 290 seconds ahead or, for
good, behind; further behind, up to 25 hours, only until the time would come
round again. Where a one-step gateway honours no deadline, a request, with the
sleep of the worker that sends it, lives at most a quarter of the key's
retention.

>>> simulate(42).rule is None
True
"""

from __future__ import annotations

from autopay_core.testing.simulator._oracle import PromiseBroken
from autopay_core.testing.simulator._simulation import (
    Outcome,
    System,
    World,
    simulate,
)

__all__ = ["Outcome", "PromiseBroken", "System", "World", "simulate"]
