"""
Clio is asked for pages, with a token that is renewed once (MD-2, MD-7, E3).

Holds: `Asking`, `Reading` and `Page`. Imports: `tokens`, `wire`, `errors`.
Nothing sleeps and nothing is asked twice but what a new token is for: who
asks again, and when, is the engine's to decide.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast, final
from urllib.parse import urlencode

import attrs

from autopay_core.adapters.clio.tokens import ClioApp, ClioTokens, is_sound
from autopay_core.adapters.clio.wire import (
    Answer,
    Lost,
    Number,
    Wire,
    parsed,
)
from autopay_core.errors import (
    IncompleteReadError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)

__all__ = ["Asking", "Page", "Reading"]

_TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - an address
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER: Final = 500
_PAUSE: Final = timedelta(minutes=1)
"""So long nothing is asked after a whole time-out, or a refused refresh."""

_COUNT: Final = 15  # digits of a number of records


@final
@attrs.frozen(kw_only=True)
class Page:
    """
    One answer.

    Attributes:
        rows: As they came.
        records: What ``meta.records`` says, if it does.

    """

    rows: tuple[object, ...]
    records: int | None


@final
@attrs.define(kw_only=True)
class Reading:
    """
    A list that is read page by page, and goes on where it was left.

    Attributes:
        path: Of what is listed.
        target: What is asked for next; None once all was read.
        started_at: The moment before the first request.
        pages: What came so far.
        seen: What was asked for so far.

    """

    path: str
    target: str | None
    started_at: datetime
    pages: list[Page] = attrs.field(factory=list[Page])
    seen: set[str] = attrs.field(factory=set[str])


@final
class Asking:
    """
    One user's view of one account.

    Args:
        wire: The way to the server.
        app: The host's application.
        tokens: The user's tokens, as they were kept last.
        save: Keeps new ones.
        clock: The host's time.
        pages_most: No list has more pages.

    """

    def __init__(
        self,
        wire: Wire,
        *,
        app: ClioApp,
        tokens: ClioTokens,
        save: Callable[[ClioTokens], object],
        clock: Callable[[], datetime],
        pages_most: int,
    ) -> None:
        self._wire = wire
        self._app = app
        self._tokens = tokens
        self._save = save
        self._clock = clock
        self._pages_most = pages_most
        self._lock = threading.Lock()
        self._is_unsaved = False
        self._quiet: tuple[datetime, bool] | None = None

    def begin(self, path: str, params: Mapping[str, str]) -> Reading:
        """Return a reading of a list of which nothing was read yet."""
        return Reading(
            path=path,
            target=f"{path}?{urlencode(params)}",
            started_at=self._clock(),
        )

    def go_on(self, reading: Reading) -> None:
        """
        Read the next page.

        Raises:
            PortUnavailableError: No answer, or one that asks to come later
                (``ClioUnreachable``, ``ClioBusy``, ``ClioFailed``); the
                reading can go on from here.
            IncompleteReadError: The answer is no page (``ClioAnswer``), or
                its link leads elsewhere (``PageLink``), round in a circle
                (``PageLoop``) or too far (``TooManyPages``).
            PortError: The tokens are not taken (``ClioLogin``), could not be
                kept (``TokensNotSaved``), or the request is refused
                (``ClioRefused``).

        """
        target = reading.target
        assert target is not None
        page, link = _page_of(self._get(target))
        follows: str | None = None
        if link is not None:
            follows = self._wire.target_of(link, reading.path)
            if follows is None:
                raise IncompleteReadError(
                    "the next page is said to be at another address; it is "
                    "not followed",
                    code="PageLink",
                )
        reading.seen.add(target)
        if follows in reading.seen:
            raise IncompleteReadError(
                "the pages go round in a circle", code="PageLoop"
            )
        if follows is not None and len(reading.seen) >= self._pages_most:
            raise IncompleteReadError(
                f"more than {self._pages_most} pages; raise pages_most if "
                "there are so many",
                code="TooManyPages",
            )
        reading.pages.append(page)
        reading.target = follows

    def reading_at(self, page: str, path: str) -> Reading:
        """
        Return the reading that goes on at a page that was handed out.

        Raises:
            InvalidValueError: No page of this list is called so
                (``PageFormat``).

        """
        number, mark, query = page.partition(":")
        is_one = (
            bool(mark)
            and number.isascii()
            and number.isdigit()
            and len(number) <= len(str(self._pages_most))
            and int(number) < self._pages_most
            and (not query or is_sound(query))
        )
        if not is_one:
            raise InvalidValueError(
                "no page of this search is called so",
                code="PageFormat",
                path="page",
                value=page,
            )
        return Reading(
            path=path,
            target=f"{path}?{query}",
            started_at=self._clock(),
            # As many as came before, so that there is an end.
            seen={str(each) for each in range(int(number))},
        )

    def page_after(self, reading: Reading) -> str | None:
        """Return how to go on with a reading in another call."""
        if reading.target is None:
            return None
        _, _, query = reading.target.partition("?")
        return f"{len(reading.seen)}:{query}"

    # -- One request ----------------------------------------------------------

    def _get(self, target: str) -> Mapping[str, Any]:
        self._keep()
        self._check_quiet()
        tokens = self._tokens
        answer = self._asked(target, tokens)
        if isinstance(answer, Answer) and answer.status == _UNAUTHORIZED:
            tokens = self._renewed(tokens)
            answer = self._asked(target, tokens)
            if isinstance(answer, Answer) and answer.status == _UNAUTHORIZED:
                self._be_quiet(_PAUSE, login=True)
                raise _no_login()
        body = self._body_of(answer)
        if body is None:
            status = cast("Answer", answer).status
            raise PortError(
                f"Clio refuses the request with {status}; look at the "
                "application's permissions and the user's role",
                code="ClioRefused",
            )
        found = parsed(body)
        if found is None:
            raise IncompleteReadError(
                "the answer is no object of JSON", code="ClioAnswer"
            )
        return found

    def _asked(self, target: str, tokens: ClioTokens) -> Answer | Lost:
        access, _ = tokens.reveal()
        return self._wire.send(
            "GET",
            target,
            {
                "Authorization": f"Bearer {access}",
                "Accept": "application/json",
            },
        )

    def _body_of(self, answer: Answer | Lost) -> bytes | None:
        """Return the body of a 200; None for what is refused for good."""
        if isinstance(answer, Lost):
            if answer.took_long:
                self._be_quiet(_PAUSE)
            raise PortUnavailableError(
                f"no answer from Clio: {answer.why}", code="ClioUnreachable"
            )
        if answer.status == _TOO_MANY:
            if answer.retry_after is not None:
                self._be_quiet(timedelta(seconds=answer.retry_after))
            raise PortUnavailableError(
                "Clio asks to come back later",
                code="ClioBusy",
                retry_after=answer.retry_after,
            )
        if answer.status >= _SERVER:
            raise PortUnavailableError(
                f"Clio answers {answer.status}",
                code="ClioFailed",
                retry_after=answer.retry_after,
            )
        return answer.body if answer.status == _OK else None

    def _be_quiet(self, pause: timedelta, *, login: bool = False) -> None:
        self._quiet = (self._clock() + pause, login)

    def _check_quiet(self) -> None:
        """Refuse to ask before the moment that was agreed on."""
        if self._quiet is None:
            return
        until, login = self._quiet
        left = (until - self._clock()).total_seconds()
        # A clock that was set back does not keep it quiet for ever.
        if not 0 < left <= timedelta(hours=1).total_seconds():
            self._quiet = None
            return
        if login:
            raise _no_login()
        raise PortUnavailableError(
            "Clio is not asked again before the time that it said, or before "
            "a minute is over in which it did not answer",
            code="ClioBusy",
            retry_after=math.ceil(left),
        )

    # -- Tokens ---------------------------------------------------------------

    def _renewed(self, old: ClioTokens) -> ClioTokens:
        """Return tokens in place of those that have expired."""
        with self._lock:
            if self._tokens is not old:
                return self._tokens  # another thread was faster
            made = self._granted(old)
            if made is None:
                # Not once for each client of the night.
                self._be_quiet(_PAUSE, login=True)
                raise _no_login()
            self._tokens = made
            self._is_unsaved = True
        self._keep()
        return made

    def _granted(self, old: ClioTokens) -> ClioTokens | None:
        # Whoever shows the frames of what is raised here shows no secret.
        body = self._body_of(self._asked_for_token(old))
        said = None if body is None else parsed(body)
        if said is None:
            return None
        access = said.get("access_token")
        # Clio Manage keeps the refresh token and may not repeat it.
        refresh = said.get("refresh_token", old.reveal()[1])
        if not is_sound(access) or not is_sound(refresh):
            return None
        return ClioTokens(cast("str", access), cast("str", refresh))

    def _asked_for_token(self, old: ClioTokens) -> Answer | Lost:
        key, secret = self._app.reveal()
        _, refresh = old.reveal()
        form = urlencode(
            {
                "grant_type": "refresh_token",
                "refresh_token": refresh,
                "client_id": key,
                "client_secret": secret,
            }
        )
        return self._wire.send(
            "POST",
            _TOKEN_PATH,
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            form.encode(),
        )

    def _keep(self) -> None:
        """Hand new tokens to the host; nothing is asked before it has them."""
        with self._lock:
            if self._is_unsaved:
                self._is_unsaved = not self._is_kept()
            is_unsaved = self._is_unsaved
        if is_unsaved:
            raise PortError(
                "the host could not keep the new tokens; nothing is asked "
                "until it can",
                code="TokensNotSaved",
            )

    def _is_kept(self) -> bool:
        try:
            self._save(self._tokens)
        except Exception:  # noqa: BLE001 - what it says may hold the tokens
            return False
        return True

    def __repr__(self) -> str:
        """Show no token."""
        return "Asking(…)"


def _no_login() -> PortError:
    return PortError(
        "Clio grants no new token of this user, or takes none; let the user "
        "authorise the application again",
        code="ClioLogin",
    )


def _page_of(said: Mapping[str, Any]) -> tuple[Page, object]:
    """Return the rows of an answer, and where the next ones are."""
    rows: object = said.get("data")
    meta: object = said.get("meta")
    if type(rows) is not list or type(meta) is not dict:
        raise IncompleteReadError(
            "the answer has no list of data, or no meta", code="ClioAnswer"
        )
    about = cast("dict[str, object]", meta)
    paging: object = about.get("paging", {})
    records: object = about.get("records")
    is_count = type(records) is Number and (
        records.isdigit() and len(records) <= _COUNT
    )
    if type(paging) is not dict or not (records is None or is_count):
        raise IncompleteReadError(
            "the answer's paging or number of records is none",
            code="ClioAnswer",
        )
    page = Page(
        rows=tuple(cast("list[object]", rows)),
        records=int(cast("Number", records)) if is_count else None,
    )
    return page, cast("dict[str, object]", paging).get("next")
