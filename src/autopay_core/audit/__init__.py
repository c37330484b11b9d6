"""
The books compared: the store with gateway and ledger (P1, R4, PS-11).

Holds: nothing of its own; gives what `exports` (the rows, and what a store
says), `findings` (what a difference is), `checks` (the comparisons) and
`command` hold. Imports: its modules and `history`. The truth is outside: what
the gateway took and what the firm's ledger shows is compared with what the
store believes, never the store with itself alone. On a command line it is
``python -m autopay_core.audit``.
"""

from autopay_core.audit.checks import (
    PENDING_SECONDS,
    STUCK_SECONDS,
    audit,
)
from autopay_core.audit.command import main
from autopay_core.audit.exports import (
    GATEWAY_COLUMNS,
    LEDGER_COLUMNS,
    GatewayKind,
    GatewayRow,
    LedgerKind,
    LedgerRow,
    StoreExport,
    export_store,
    read_gateway_rows,
    read_ledger_rows,
    write_rows,
)
from autopay_core.audit.findings import Code, Difference
from autopay_core.history import AuditedStore

__all__ = [
    "GATEWAY_COLUMNS",
    "LEDGER_COLUMNS",
    "PENDING_SECONDS",
    "STUCK_SECONDS",
    "AuditedStore",
    "Code",
    "Difference",
    "GatewayKind",
    "GatewayRow",
    "LedgerKind",
    "LedgerRow",
    "StoreExport",
    "audit",
    "export_store",
    "main",
    "read_gateway_rows",
    "read_ledger_rows",
    "write_rows",
]
