"""
The base of the SQL stores: every method of the port, blocking or awaited.

Holds: `BlockingStore` and `AwaitableStore`. Imports: `ports`, `aio`,
`history`, `methods`, `commit`. What a database adds is how one transaction is
carried out.
"""

from __future__ import annotations

from autopay_core import aio, ports
from autopay_core.adapters.sql.commit import SqlCommits
from autopay_core.adapters.sql.methods import Awaitable, Blocking
from autopay_core.history import AuditedStore, HistoryStore

__all__ = ["AwaitableStore", "BlockingStore"]


# They inherit the protocols, for not every type checker sees that a method
# that is typed by its store has a protocol's type.


class BlockingStore(
    SqlCommits, Blocking, ports.PostingStore, AuditedStore, HistoryStore
):
    """A posting store whose methods return values."""


class AwaitableStore(SqlCommits, Awaitable, aio.PostingStore):
    """A posting store whose methods are awaited."""
