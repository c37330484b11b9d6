"""
What a flow asks of the world, one frozen value at a time (R1).

Holds: the requests, `Flow`, `Terms`, and the helpers that yield a request and
check the answer's type. Imports: `driving` and the values; never `ports`: a
flow knows what to ask, not whom.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast, final

import attrs

from autopay_core.associations import (
    InvoiceQuery,
)
from autopay_core.charges import (
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NotFound,
    Pending,
)
from autopay_core.commits import (
    Change,
    Committed,
    Conflict,
    PostingFilter,
    Standing,
)
from autopay_core.engine.driving import Given
from autopay_core.errors import (
    HostProtocolError,
    PortError,
)
from autopay_core.notices import Notice
from autopay_core.references import RunKey

__all__ = [
    "READ_AT_ONCE",
    "Charge",
    "Claim",
    "Commit",
    "Confirm",
    "Flow",
    "Lookup",
    "NextAutoPay",
    "Prepare",
    "ReadAttempts",
    "ReadInvoices",
    "ReadOpen",
    "ReadPostings",
    "ReadSpent",
    "ReadStanding",
    "ReadUndelivered",
    "ReadUnfinished",
    "Request",
    "Send",
    "Stream",
    "Terms",
    "ask",
    "ask_many",
    "commit",
    "look_up",
    "read_standing",
    "take_money",
    "wrong_answer",
]


READ_AT_ONCE: Final = 500
"""How many records or postings are read at once."""


# -- Requests ----------------------------------------------------------------


# A request's fields are the arguments of the port's method that answers it,
# and its docstring says with what. Tuples with names: this many classes of
# attrs would take a twentieth of the time of `import autopay_core`.


class ReadStanding(NamedTuple):
    """Answered with `Standing`."""

    key: RunKey
    method: str


class ReadOpen(NamedTuple):
    """Answered with `OpenAmounts`."""

    clients: tuple[str, ...]


class ReadSpent(NamedTuple):
    """Answered with `Money`."""

    autopay: str
    from_on: date
    before: date
    currency: str


class ReadAttempts(NamedTuple):
    """Answered with `AttemptRecord` values."""

    method: str
    since: datetime


class ReadUnfinished(NamedTuple):
    """Answered with `RunRecord` values."""

    after: RunKey | None
    most: int


class ReadPostings(NamedTuple):
    """Answered with `Posting` values."""

    wanted: PostingFilter


class ReadUndelivered(NamedTuple):
    """Answered with `Notice` values."""

    most: int


class Claim(NamedTuple):
    """Answered with a bool."""

    key: RunKey
    seconds: int


class Commit(NamedTuple):
    """Answered with `Committed` or `Conflict`."""

    change: Change


class ReadInvoices(NamedTuple):
    """Answered with `InvoicePage`."""

    query: InvoiceQuery


class Charge(NamedTuple):
    """Answered with a charge outcome; for a gateway of one step."""

    request: ChargeRequest


class Prepare(NamedTuple):
    """Answered with a reference; for a gateway of two steps."""

    request: ChargeRequest


class Confirm(NamedTuple):
    """Answered with a charge outcome; for a gateway of two steps."""

    reference: str
    request: ChargeRequest


class Lookup(NamedTuple):
    """Answered with a look-up outcome."""

    key: str


class Send(NamedTuple):
    """Answered with None."""

    notice: Notice


class NextAutoPay(NamedTuple):
    """
    Ask the caller of a sweep; answered with a list.

    It holds the next auto-pay, or nothing when there is no other.
    """


Request: TypeAlias = (
    ReadStanding
    | ReadOpen
    | ReadSpent
    | ReadAttempts
    | ReadUnfinished
    | ReadPostings
    | ReadUndelivered
    | Claim
    | Commit
    | ReadInvoices
    | Charge
    | Prepare
    | Confirm
    | Lookup
    | Send
)

_R = TypeVar("_R")
_T = TypeVar("_T")
Flow: TypeAlias = Generator[Request, object, _T]
"""Yields requests, is sent answers (or thrown a `PortError`), returns *_T*."""

Stream: TypeAlias = Generator[_R | Given, object, None]
"""A flow that gives results, one by one, between its requests."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Terms:
    """
    What a flow has to know of the host that drives it.

    Attributes:
        capabilities: What the gateway promises.
        secret: Goes into every idempotency key (R2).

    """

    capabilities: GatewayCapabilities
    secret: bytes = b""

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return f"Terms(capabilities={self.capabilities!r})"


# -- Asking, with the answer's type checked ----------------------------------


def wrong_answer(request: Request, answer: object) -> HostProtocolError:
    """Return the error of a host that answers with the wrong type."""
    return HostProtocolError(
        f"{type(request).__name__} was answered with {type(answer).__name__}"
    )


def ask(request: Request, kind: type[_T]) -> Flow[_T]:
    """Yield *request*; return its answer, which must be a *kind*."""
    answer = yield request
    if not isinstance(answer, kind):
        raise wrong_answer(request, answer)
    return answer


def ask_many(request: Request, kind: type[_T]) -> Flow[tuple[_T, ...]]:
    """Yield *request*; return its answers, each of which must be a *kind*."""
    answer = yield request
    if not isinstance(answer, (tuple, list)):
        raise wrong_answer(request, answer)
    checked: list[_T] = []
    for each in cast("Sequence[object]", answer):
        if not isinstance(each, kind):
            raise wrong_answer(request, each)
        checked.append(each)
    return tuple(checked)


def commit(change: Change) -> Flow[Committed | Conflict]:
    """Ask the posting store for one atomic step."""
    answer = yield Commit(change)
    if isinstance(answer, (Committed, Conflict)):
        return answer
    raise wrong_answer(Commit(change), answer)


def take_money(request: Charge | Confirm) -> Flow[ChargeOutcome]:
    """Ask for money; anything that is no clear answer is a doubt (R4)."""
    answer = yield request
    if isinstance(answer, (Captured, Pending, Declined, Indeterminate)):
        return answer
    return Indeterminate(
        detail=f"the gateway answered with {type(answer).__name__}"
    )


def look_up(key: str) -> Flow[LookupOutcome]:
    """Ask what became of a key; what is no clear answer is a doubt (R4)."""
    try:
        answer = yield Lookup(key)
    except PortError as error:
        return Indeterminate(detail=f"look-up: {error.code}")
    if isinstance(
        answer, (Captured, Pending, Declined, Indeterminate, NotFound)
    ):
        return answer
    return Indeterminate(
        detail=f"a look-up was answered with {type(answer).__name__}"
    )


def read_standing(key: RunKey, method: str) -> Flow[Standing]:
    """Read what the posting store knows about a run and its auto-pay."""
    return (yield from ask(ReadStanding(key, method), Standing))
