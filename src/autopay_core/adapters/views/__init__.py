"""
Matter data by SQL: open invoices out of views, tables or procedures.

Holds: `SqlMatterData`, `Statements`, `AmountsIn`, and the sources:
`SqliteSource`, `PostgresSource`, `SqlAlchemySource`, or one of the host's own
(`Source`, `Answer`). Imports: its modules. A driver is imported when a source
of it is made.
"""

from autopay_core.adapters.views.matters import SqlMatterData, Statements
from autopay_core.adapters.views.rows import AmountsIn
from autopay_core.adapters.views.sources import (
    Answer,
    Ask,
    PostgresSource,
    Source,
    SqlAlchemySource,
    SqliteSource,
)

__all__ = [
    "AmountsIn",
    "Answer",
    "Ask",
    "PostgresSource",
    "Source",
    "SqlAlchemySource",
    "SqlMatterData",
    "SqliteSource",
    "Statements",
]
