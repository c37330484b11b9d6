"""The application: every page and every form of `payer` and `staff`."""

from __future__ import annotations

from starlette.applications import Starlette

from office import payer, staff
from office.firm import Firm
from office.web import make_app

__all__ = ["app_of"]


def app_of(firm: Firm) -> Starlette:
    """Return the application of a firm."""
    return make_app(firm, payer.PAGES | staff.PAGES, payer.FORMS | staff.FORMS)
