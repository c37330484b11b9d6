"""
Real processes that are killed, on a real database, and then audited.

Holds: `drive` and `Trial`; ``python -m autopay_core.testing.processes`` is the
command. Imports: its modules.

Workers sweep the same auto-pays until they are killed with SIGKILL, or stopped
with SIGSTOP for seconds and let go on; so are the process that posts to the
ledger and the one that is the gateway. Then everything comes to rest, and
what the gateway took and what the ledger shows is compared with the store.
"""

from __future__ import annotations

from autopay_core.testing.processes.driver import drive
from autopay_core.testing.processes.trial import Trial

__all__ = ["Trial", "drive"]
