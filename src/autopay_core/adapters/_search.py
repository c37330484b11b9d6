"""
What a search finds (MD-6).

Holds: `matches`. Imports: `invoices`.
"""

from __future__ import annotations

from autopay_core.invoices import SearchBy, SearchQuery, SearchResult

__all__ = ["matches"]


def matches(found: SearchResult, query: SearchQuery) -> bool:
    """Tell whether *query* finds this: numbers whole, names in part."""
    text, part = query.text, query.text.casefold()
    match query.by:
        case SearchBy.CLIENT_NAME:
            is_named = part in found.client_name.casefold()
            return found.matter is None and is_named
        case SearchBy.CLIENT_NUMBER:
            return found.matter is None and found.client == text
        case SearchBy.MATTER_NUMBER:
            return found.invoice is None and found.matter == text
        case SearchBy.MATTER_DESCRIPTION:
            is_matter = found.matter is not None and found.invoice is None
            return is_matter and part in found.matter_description.casefold()
        case SearchBy.INVOICE_NUMBER:
            return found.invoice == text
