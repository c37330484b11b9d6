"""
The application: routes, pages, and what guards them.

**Sign-in is left out**: whoever opens the page may say who they are. Yours
puts its own in front of every route, and lets a payer see that payer only.
Every form carries a token against forged requests, and every change is
followed by a redirect, so that a page that is loaded again sends nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

import autopay_core as ap
from office.company import parse_event
from office.firm import Firm
from office.forms import LABELS, explained

Page = Callable[["Seen"], Response]
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
)


class Seen:
    """A request, with what every page needs."""

    def __init__(
        self, request: Request, form: FormData, firm: Firm, token: str
    ) -> None:
        self.request, self.form, self.firm = request, form, firm
        self.token = token

    @property
    def by(self) -> str:
        """Who does it; yours asks its session."""
        return self.request.cookies.get("who", "Ann")

    @property
    def path(self) -> Mapping[str, Any]:
        """What the route named."""
        return self.request.path_params

    def show(
        self, page: str, status: int = 200, **more: object
    ) -> HTMLResponse:
        """Fill a template; what is put in is escaped."""
        text = _PAGES.get_template(f"{page}.html").render(
            by=self.by,
            today=self.firm.today,
            token=self.token,
            labels=LABELS,
            said=self.request.query_params.get("said", ""),
            **more,
        )
        return HTMLResponse(text, status)

    def go(self, path: str, said: str = "") -> RedirectResponse:
        """Answer a form: look at another page."""
        url = self.request.url.replace(path=path, query="")
        if said:
            url = url.include_query_params(said=said)
        return RedirectResponse(str(url), 303)


def make_app(
    firm: Firm, pages: Mapping[str, Page], forms: Mapping[str, Page]
) -> Starlette:
    """Return the application of a firm, with its pages and its forms."""

    def page(show: Page) -> Callable[[Request], Any]:
        async def asked(request: Request) -> Response:
            token = request.cookies.get("csrf") or secrets.token_urlsafe(16)
            form = await request.form()
            if request.method == "POST" and not secrets.compare_digest(
                str(form.get("csrf", "")), request.cookies.get("csrf", "-")
            ):
                return Response("this form is not ours, or too old", 403)
            seen = Seen(request, form, firm, token)
            try:
                answer = await run_in_threadpool(show, seen)
            except ap.AutopayError as error:
                answer = seen.show("problem", 422, problem=explained(error))
            answer.set_cookie("csrf", token, httponly=True, samesite="strict")
            return answer

        return asked

    async def webhook(request: Request) -> Response:
        body = await request.body()
        try:
            movement = parse_event(body, request.headers.get("signature", ""))
        except PermissionError:
            return Response("not signed", 403)
        await run_in_threadpool(
            partial(ap.receive, movement, ports=firm.ports, by="webhook")
        )
        return Response("taken", 200)

    return Starlette(
        routes=[
            *(Route(path, page(show)) for path, show in pages.items()),
            *(
                Route(path, page(show), methods=["POST"])
                for path, show in forms.items()
            ),
            Route("/webhook", webhook, methods=["POST"]),
        ]
    )
