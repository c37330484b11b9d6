"""
How requests meet ports: the only place that calls one (R6).

Holds: `answering` and `answering_async`, which carry a request to the port
that it names, and `terms_of`. Imports: `requests`, `charges`, `errors`,
`policy`, `references`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NoReturn, Protocol, cast

from autopay_core.charges import GatewayCapabilities
from autopay_core.engine.requests import (
    Cancel,
    Charge,
    Claim,
    Commit,
    CommitMany,
    Confirm,
    Lookup,
    LookupReference,
    Prepare,
    ReadAttempts,
    ReadBatch,
    ReadBatches,
    ReadHolds,
    ReadInvoices,
    ReadKeyed,
    ReadMovement,
    ReadMovements,
    ReadOpen,
    ReadPostings,
    ReadReferenced,
    ReadSent,
    ReadSpent,
    ReadStanding,
    ReadTotals,
    ReadUndelivered,
    ReadUnderWay,
    ReadUnfinished,
    ReadWaiting,
    Request,
    Send,
    Terms,
)
from autopay_core.errors import AutopayError, HostProtocolError, PortError
from autopay_core.policy import Policy
from autopay_core.references import Secret

__all__ = ["answering", "answering_async", "terms_of"]

METHODS: Final[Mapping[type[Request], tuple[str, str]]] = MappingProxyType(
    {
        ReadStanding: ("postings", "standing"),
        ReadOpen: ("postings", "open_amounts"),
        ReadSpent: ("postings", "spent"),
        ReadAttempts: ("postings", "attempts"),
        ReadUnfinished: ("postings", "unfinished"),
        ReadWaiting: ("postings", "waiting"),
        ReadUnderWay: ("postings", "under_way"),
        ReadHolds: ("postings", "holds"),
        ReadPostings: ("postings", "postings"),
        ReadTotals: ("postings", "posting_totals"),
        ReadBatch: ("postings", "batch"),
        ReadBatches: ("postings", "batches"),
        ReadMovement: ("postings", "movement"),
        ReadMovements: ("postings", "movements"),
        ReadReferenced: ("postings", "referenced"),
        ReadSent: ("postings", "sent"),
        ReadKeyed: ("postings", "keyed"),
        ReadUndelivered: ("postings", "undelivered"),
        Claim: ("postings", "claim"),
        Commit: ("postings", "commit"),
        CommitMany: ("postings", "commit_many"),
        ReadInvoices: ("matters", "open_invoices"),
        Charge: ("gateway", "charge"),
        Prepare: ("gateway", "prepare"),
        Confirm: ("gateway", "confirm"),
        Lookup: ("gateway", "lookup"),
        LookupReference: ("gateway", "lookup_reference"),
        Cancel: ("gateway", "cancel"),
        Send: ("notifier", "send"),
    }
)
"""The port and method of each request; its fields are the arguments."""


class _Gateway(Protocol):
    @property
    def capabilities(self) -> GatewayCapabilities: ...


class _Host(Protocol):
    """`Ports`, blocking or awaitable."""

    @property
    def gateway(self) -> _Gateway: ...

    @property
    def key_secret(self) -> Secret | bytes: ...

    @property
    def policy(self) -> Policy: ...


def terms_of(ports: _Host, /) -> Terms:
    """Return what flows have to know of *ports*."""
    return Terms(
        capabilities=ports.gateway.capabilities,
        secret=Secret.of(ports.key_secret),
        policy=ports.policy,
    )


def _ask(ports: _Host, request: Request) -> object:
    """Call the port that *request* is for; an async one gives an awaitable."""
    # A flow asks for the form that the capabilities declare, and `Ports` has
    # checked that the gateway has it.
    found = METHODS.get(type(request))
    if found is None:
        raise HostProtocolError(f"no port answers {type(request).__name__}")
    port, method = found
    call: Callable[..., object] = getattr(getattr(ports, port), method)
    return call(*request)


def answering(ports: _Host, /) -> Callable[[Request], object]:
    """
    Return the function that carries a request to its port.

    Any exception of a port that is no `AutopayError` is an integrator's bug
    or a broken connection: a `PortError` that says which port and what kind.
    A flow that asked for money takes it as a doubt (R4).
    """

    def answer(request: Request) -> object:
        try:
            return _ask(ports, request)
        except AutopayError as error:
            _refused(request, error)
        except Exception as error:  # noqa: BLE001 - no port may stop a sweep
            _broken(request, error)

    return answer


def answering_async(ports: _Host, /) -> Callable[[Request], Awaitable[object]]:
    """Like `answering`, for hosts on an event loop."""

    async def answer(request: Request) -> object:
        try:
            return await cast("Awaitable[object]", _ask(ports, request))
        except AutopayError as error:
            _refused(request, error)
        except Exception as error:  # noqa: BLE001 - no port may stop a sweep
            _broken(request, error)

    return answer


def _refused(request: Request, error: AutopayError) -> NoReturn:
    """Raise what an error of ours means as an answer to *request*."""
    if isinstance(error, PortError) or isinstance(request, ReadInvoices):
        raise error
    # Only the matter data may say that what it read cannot be used (MD-7).
    raise PortError(str(error), code=error.code) from error


def _broken(request: Request, error: Exception) -> NoReturn:
    """Raise what a port's own exception means as an answer to *request*."""
    # Only the type: a message may hold a token, a query or a connection.
    kind = type(error).__name__
    message = f"the port raised {kind} at {type(request).__name__}"
    raise PortError(message, code="PortBroken") from error
