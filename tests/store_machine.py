"""
Every SQL store against the memory store, on the same generated changes.

Holds: `SqlStoreMachine`, the machine of the contract kit (PS-15) with what
only these stores have: all runs, all notices, and a history that verifies.
"""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import invariant

from autopay_core.adapters.memory import MemoryPostingStore
from autopay_core.history import verify_history
from autopay_core.testing.contracts._model import StoreMachine


class SqlStoreMachine(StoreMachine):
    """
    The kit's machine, with what an SQL store can read beyond its port.

    A test subclasses it with `open_store` and, if it can, `open_again`.
    """

    @invariant()
    def everything_on_record_is_the_same(self) -> None:
        store: Any = self.store
        if isinstance(store, MemoryPostingStore):
            return  # Not opened yet.
        assert tuple(store.runs()) == self.model.runs()
        assert tuple(store.notices()) == self.model.notices()

    def teardown(self) -> None:
        store: Any = self.store
        if not isinstance(store, MemoryPostingStore):
            assert verify_history(store) == ()
            store.close()
