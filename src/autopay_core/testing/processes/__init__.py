"""
Real processes that are killed, on a real database, and then audited.

Holds: nothing itself; ``python -m autopay_core.testing.processes`` is the
command, `trial` what can be set, `driver` what kills. Imports: nothing.

Workers sweep the same auto-pays until they are killed with SIGKILL, or stopped
with SIGSTOP for seconds and let go on; so are the process that posts to the
ledger and the one that is the gateway. Then everything comes to rest, and
what the gateway took and what the ledger shows is compared with the store.
"""
