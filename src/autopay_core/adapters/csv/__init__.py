"""
CSV exports as matter data, and posting records as CSV (MD-1 to MD-9, A6).

Holds: nothing of its own; gives what `cells` (how cells are written),
`mapping` (what is where in a practice-management system's exports), `matters`
(the port), `reading` (rows as invoices), `profiles` (mappings of systems that
many firms have), `command` (``check``), `postings`, `journal` and `writing`
(the way out) hold. Imports: its modules. Nothing is guessed: a cell that
cannot be read is named by file, line and column, such as
``open_invoices.csv:17:Balance``.
"""

from autopay_core.adapters.csv.cells import CsvFormat
from autopay_core.adapters.csv.command import check
from autopay_core.adapters.csv.journal import (
    LedgerAccount,
    journal_csv,
    write_journal_csv,
)
from autopay_core.adapters.csv.mapping import (
    FILE_TIME,
    CarriedDown,
    ClientColumns,
    Column,
    Constant,
    CsvMapping,
    Hold,
    InvoiceColumns,
    LineItems,
    MatterColumns,
    StatedBy,
    StatedIn,
    Sum,
    Totals,
)
from autopay_core.adapters.csv.matters import CsvMatterData
from autopay_core.adapters.csv.postings import (
    postings_csv,
    write_postings_csv,
)
from autopay_core.adapters.csv.profiles import (
    PROFILES,
    ledes_1998b,
    quickbooks_ageing,
    quickbooks_open_invoices,
)
from autopay_core.adapters.csv.writing import guarded

__all__ = [
    "FILE_TIME",
    "PROFILES",
    "CarriedDown",
    "ClientColumns",
    "Column",
    "Constant",
    "CsvFormat",
    "CsvMapping",
    "CsvMatterData",
    "Hold",
    "InvoiceColumns",
    "LedgerAccount",
    "LineItems",
    "MatterColumns",
    "StatedBy",
    "StatedIn",
    "Sum",
    "Totals",
    "check",
    "guarded",
    "journal_csv",
    "ledes_1998b",
    "postings_csv",
    "quickbooks_ageing",
    "quickbooks_open_invoices",
    "write_journal_csv",
    "write_postings_csv",
]
