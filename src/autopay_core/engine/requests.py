"""
What a flow asks of the world, one frozen value at a time (R1).

Holds: the requests, `Flow`, `Terms`, and the helpers that yield a request and
check the answer's type, or read a list page by page. Imports: `driving` and
the values; never `ports`: a flow knows what to ask, not whom.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import date, datetime, timedelta
from typing import (
    Any,
    Final,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    final,
)

import attrs

from autopay_core.associations import (
    InvoiceQuery,
)
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    PostingFilter,
    Standing,
    Unreadable,
)
from autopay_core.engine.driving import Given
from autopay_core.errors import (
    HostProtocolError,
    PortError,
)
from autopay_core.movements import MovementState
from autopay_core.notices import Notice
from autopay_core.policy import Policy
from autopay_core.references import RunKey, Secret

__all__ = [
    "CLOCK",
    "READ_AT_ONCE",
    "SILENT_MOST",
    "THE_STORE",
    "Again",
    "AwaitTurn",
    "BeginTurn",
    "Cancel",
    "Charge",
    "Claim",
    "Commit",
    "CommitMany",
    "Confirm",
    "Ended",
    "Flow",
    "Lookup",
    "LookupReference",
    "NextAutoPay",
    "Prepare",
    "ReadAttempts",
    "ReadBatch",
    "ReadBatches",
    "ReadHolds",
    "ReadInvoices",
    "ReadKeyed",
    "ReadMovement",
    "ReadMovements",
    "ReadOpen",
    "ReadPostings",
    "ReadReferenced",
    "ReadSent",
    "ReadSpent",
    "ReadStanding",
    "ReadTotals",
    "ReadUndelivered",
    "ReadUnderWay",
    "ReadUnfinished",
    "ReadWaiting",
    "Request",
    "Send",
    "Stream",
    "Terms",
    "TurnOver",
    "ask",
    "ask_either",
    "ask_many",
    "call_off",
    "commit",
    "id_of",
    "is_far_ahead",
    "look_up",
    "read_all",
    "read_now",
    "read_standing",
    "take_money",
    "wrong_answer",
]


CLOCK: Final = "clock"
"""The port, so to speak, of the incident that only a person ends (R11)."""

THE_STORE: Final = RunKey(autopay="-", nominal_on=date(2000, 1, 1))
"""For what is the store's and no order's; no run has this key."""

SILENT_MOST: Final = timedelta(days=35)
"""No store in use commits nothing for so long (R11)."""

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
    payer: str = ""


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
    """Answered with `RunRecord` and `Unreadable` values."""

    after: RunKey | None
    most: int


class ReadWaiting(NamedTuple):
    """Answered with `RunRecord` and `Unreadable` values."""

    after: RunKey | None
    most: int


class ReadUnderWay(NamedTuple):
    """Answered with `RunRecord` and `Unreadable` values."""

    after: RunKey | None
    most: int


class ReadHolds(NamedTuple):
    """Answered with `Hold` values."""

    after: str
    most: int


class ReadPostings(NamedTuple):
    """Answered with `Posting` values."""

    wanted: PostingFilter


class ReadTotals(NamedTuple):
    """Answered with `PostingTotal` values."""

    wanted: PostingFilter


class ReadBatch(NamedTuple):
    """Answered with a tuple of at most one `Batch`."""

    id: str


class ReadBatches(NamedTuple):
    """Answered with `Batch` values."""

    wanted: BatchFilter


class ReadMovement(NamedTuple):
    """Answered with a tuple of at most one `MovementRecord`."""

    id: str


class ReadMovements(NamedTuple):
    """Answered with `MovementRecord` values."""

    state: MovementState
    after: str
    most: int


class ReadSent(NamedTuple):
    """Answered with `RunRecord` and `Unreadable` values, newest first."""

    since: datetime
    most: int


class ReadReferenced(NamedTuple):
    """Answered with `RunRecord` values."""

    reference: str
    account: str


class ReadKeyed(NamedTuple):
    """Answered with a tuple of at most one `RunRecord`."""

    key: str


class ReadUndelivered(NamedTuple):
    """Answered with `Notice` and `Unreadable` values."""

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


class CommitMany(NamedTuple):
    """Answered with `Committed`, `Conflict` or an error for each, in order."""

    changes: tuple[Change, ...]


class Charge(NamedTuple):
    """Answered with a charge outcome; for a gateway of one step."""

    request: ChargeRequest


class Prepare(NamedTuple):
    """Answered with a reference or `Declined`; for two steps."""

    request: ChargeRequest


class Confirm(NamedTuple):
    """Answered with a charge outcome; for a gateway of two steps."""

    reference: str
    request: ChargeRequest


class Lookup(NamedTuple):
    """Answered with a look-up outcome."""

    key: str


class LookupReference(NamedTuple):
    """Answered with a look-up outcome; where the gateway has it."""

    reference: str
    key: str


class Cancel(NamedTuple):
    """Answered with what became of the request; where the gateway has it."""

    key: str
    reference: str | None


class Send(NamedTuple):
    """Answered with None."""

    notice: Notice


class NextAutoPay(NamedTuple):
    """
    Ask the caller of a sweep; answered with a list.

    It holds the next auto-pay, or nothing when there is no other.
    """


class Again(NamedTuple):
    """
    Answered with a list of one: an order of a book as it stands now (R7).

    Asked when a turn that had to wait for others begins.
    """

    given: Any


class TurnOver(NamedTuple):
    """Tells a book that a turn is over; answered with None (O3)."""

    given: Any
    results: tuple[Any, ...]


class BeginTurn(NamedTuple):
    """Let a turn go on beside the others; answered with None."""

    place: int
    flow: Generator[Any, Any, Any]


class AwaitTurn(NamedTuple):
    """Answered with `Ended`, as soon as one of the turns is over."""


class Ended(NamedTuple):
    """How a turn ended that was begun: with results, or by an error."""

    place: int
    results: Any = ()
    error: BaseException | None = None


Request: TypeAlias = (
    ReadStanding
    | ReadOpen
    | ReadSpent
    | ReadAttempts
    | ReadUnfinished
    | ReadWaiting
    | ReadUnderWay
    | ReadHolds
    | ReadPostings
    | ReadTotals
    | ReadBatch
    | ReadBatches
    | ReadMovement
    | ReadMovements
    | ReadReferenced
    | ReadSent
    | ReadKeyed
    | ReadUndelivered
    | Claim
    | Commit
    | CommitMany
    | ReadInvoices
    | Charge
    | Prepare
    | Confirm
    | Lookup
    | LookupReference
    | Cancel
    | Send
)

_R = TypeVar("_R")
_P = TypeVar("_P")
_S = TypeVar("_S")
_T = TypeVar("_T")
Flow: TypeAlias = Generator[Request, object, _T]
"""Yields requests, is sent answers (or thrown a `PortError`), returns *_T*."""

Stream: TypeAlias = Generator[_R | Given, object, None]
"""A flow that gives results, one by one, between its requests."""


@final
@attrs.frozen(kw_only=True)
class Terms:
    """
    What a flow has to know of the host that drives it.

    Attributes:
        capabilities: What the gateway promises.
        secret: Goes into every idempotency key (R2).
        policy: The host's settings.
        is_method_gone: Whether the payer of the order at hand no longer has
            its payment method, as far as a book knows (R7, A7).
        authorization: Id of what its payer allowed, as far as a book knows;
            empty for none (O2).
        has_range: Whether that names the most that one charge may take, and
            the order takes no more.

    """

    capabilities: GatewayCapabilities
    secret: Secret
    policy: Policy = attrs.field(factory=Policy)
    is_method_gone: bool = False
    authorization: str = ""
    has_range: bool = False


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


def ask_either(
    request: Request, kind: type[_T], other: type[_S]
) -> Flow[tuple[_T | _S, ...]]:
    """Yield *request*; each of its answers must be one of two kinds."""
    answer = yield request
    if not isinstance(answer, (tuple, list)):
        raise wrong_answer(request, answer)
    checked: list[_T | _S] = []
    for each in cast("Sequence[object]", answer):
        if not isinstance(each, (kind, other)):
            raise wrong_answer(request, each)
        checked.append(each)
    return tuple(checked)


def read_all(
    ask: Callable[[_P], Request],
    kind: type[_T],
    first: _P,
    place: Callable[[_T | Unreadable], _P],
    most: int = READ_AT_ONCE,
) -> Flow[list[_T | Unreadable]]:
    """
    Read all of a list, page by page (R6).

    Args:
        ask: Makes the request for what comes after a place.
        kind: What is listed.
        first: The place before all others.
        place: Returns where one stands.
        most: How many a page has, as *ask* says it.

    """
    found: list[_T | Unreadable] = []
    after = first
    while True:
        page = yield from ask_either(ask(after), kind, Unreadable)
        found.extend(page)
        if len(page) < most:
            return found
        after = place(page[-1])


class _HasId(Protocol):
    @property
    def id(self) -> object: ...


def id_of(listed: _HasId) -> str:
    """Return the id under which one is listed, readable or not."""
    return str(listed.id)


def commit(change: Change) -> Flow[Committed | Conflict]:
    """Ask the posting store for one atomic step."""
    answer = yield Commit(change)
    if isinstance(answer, (Committed, Conflict)):
        return answer
    raise wrong_answer(Commit(change), answer)


_TAKEN: Final = (Captured, Pending, NeedsPayer, Declined, Indeterminate)
_FOUND: Final = (*_TAKEN, NotFound)
_CALLED_OFF: Final = (*_TAKEN, Cancelled)


def _exact(answer: object, kinds: tuple[type[Any], ...]) -> Any:  # noqa: ANN401 - one of the kinds
    """
    Return a gateway's answer as a value of ours; None if it is none (E2).

    One of a subclass is made again from its fields, so that what was captured
    is recorded, and nothing that the subclass says otherwise.
    """
    for kind in kinds:
        if type(answer) is kind:
            return answer
        if isinstance(answer, kind):
            try:
                return kind(
                    **{
                        each.alias or each.name: getattr(answer, each.name)
                        for each in attrs.fields(kind)
                    }
                )
            except Exception:  # noqa: BLE001 - somebody else's code
                return None
    return None


def take_money(request: Charge | Confirm) -> Flow[ChargeOutcome]:
    """Ask for money; anything that is no clear answer is a doubt (R4)."""
    answer = yield request
    taken: ChargeOutcome | None = _exact(answer, _TAKEN)
    if taken is not None:
        return taken
    return Indeterminate(
        detail=f"the gateway answered with {type(answer).__name__}",
        unexpected=True,
    )


def look_up(
    key: str, reference: str | None, terms: Terms
) -> Flow[LookupOutcome]:
    """
    Ask what became of a key; what is no clear answer is a doubt (R4).

    By the reference on record first, where the gateway finds those: that
    does not lag.
    """
    finds = terms.capabilities.finds_references and reference is not None
    try:
        answer = yield (
            LookupReference(cast("str", reference), key)
            if finds
            else Lookup(key)
        )
    except PortError as error:
        return Indeterminate(detail=f"look-up: {error.code}")
    found: LookupOutcome | None = _exact(answer, _FOUND)
    if found is not None:
        return found
    return Indeterminate(
        detail=f"a look-up was answered with {type(answer).__name__}"
    )


def call_off(key: str, reference: str | None) -> Flow[CancelOutcome]:
    """Ask the gateway to cancel; what is no clear answer is a doubt (R9)."""
    try:
        answer = yield Cancel(key, reference)
    except PortError as error:
        return Indeterminate(detail=f"cancel: {error.code}")
    told: CancelOutcome | None = _exact(answer, _CALLED_OFF)
    if told is not None:
        return told
    return Indeterminate(
        detail=f"a cancel was answered with {type(answer).__name__}"
    )


def read_standing(key: RunKey, method: str, payer: str) -> Flow[Standing]:
    """
    Read what the posting store knows about a run and its auto-pay.

    A clock that is far beyond the last commit is as suspect as one that is
    behind, until a person says that it is right (R11): that it is told, and
    what is answered meanwhile, are commits as well.
    """
    read = yield from ask(ReadStanding(key, method, payer), Standing)
    if not read.is_clock_suspect and (
        is_far_ahead(read)
        or any(each.port == CLOCK for each in read.incidents)
    ):
        return attrs.evolve(read, is_clock_suspect=True)
    return read


def read_now() -> Flow[datetime]:
    """Read the store's time."""
    return (yield from read_standing(THE_STORE, "", "")).now


def is_far_ahead(standing: Standing) -> bool:
    """Tell whether a clock is far beyond the last commit (R11)."""
    return (
        standing.committed_at is not None
        and standing.now - standing.committed_at > SILENT_MOST
    )
