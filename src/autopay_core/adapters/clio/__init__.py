"""
Clio Manage: open bills, and what can be associated, by its REST API, v4.

Holds: `ClioMatterData`, `ClioApp` and `ClioTokens`. Imports: its modules. It
needs the standard library only. It was tried against a server on loopback and
not against the company; docs/how-to/clio.md lists what is assumed of it.
"""

from autopay_core.adapters.clio.matters import ClioMatterData
from autopay_core.adapters.clio.tokens import ClioApp, ClioTokens

__all__ = ["ClioApp", "ClioMatterData", "ClioTokens"]
