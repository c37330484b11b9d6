"""
CSV exports as matter data, and posting records as CSV (MD-1 to MD-9, A6).

Holds: nothing of its own; gives what `cells` (how cells are written),
`mapping` (what is where in a practice-management system's exports), `matters`
(the port) and `postings` (the way out) hold. Imports: its modules. Nothing is
guessed: a cell that cannot be read is refused with file, line and column, such
as ``open_invoices.csv:17:Balance``.
"""

from autopay_core.adapters.csv.cells import CsvFormat
from autopay_core.adapters.csv.mapping import (
    ClientColumns,
    Constant,
    CsvMapping,
    Hold,
    InvoiceColumns,
    MatterColumns,
)
from autopay_core.adapters.csv.matters import CsvMatterData
from autopay_core.adapters.csv.postings import (
    guarded,
    postings_csv,
    write_postings_csv,
)

__all__ = [
    "ClientColumns",
    "Constant",
    "CsvFormat",
    "CsvMapping",
    "CsvMatterData",
    "Hold",
    "InvoiceColumns",
    "MatterColumns",
    "guarded",
    "postings_csv",
    "write_postings_csv",
]
