"""
What the posting store is asked to keep, in one atomic step each (R1, N1).

Holds: `Change` (one step), its answers `Committed` and `Conflict`, and what is
read from the store: `Standing`, `OpenAmounts`. Imports: the value modules,
`postings`, `notices`, `retries`. A change is computed by the core, so a store
only compares versions and writes; that keeps every store equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

import attrs

from autopay_core._checks import (
    Readable,
    check_each,
    check_id,
    check_instant,
    check_text,
    check_type,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.references import ClientId, InvoiceNumber
from autopay_core.runs import RunRecord

__all__ = [
    "Change",
    "Committed",
    "Conflict",
    "OpenAmounts",
    "PostingFilter",
    "PostingMove",
    "Standing",
    "StopOrder",
]


@final
@attrs.frozen(kw_only=True, repr=False)
class PostingMove(Readable):
    """
    One posting's step, refused if it is no longer where it was read (P3).

    Attributes:
        before: The posting as it was read.
        after: The same posting one step further.

    Raises:
        InvalidValueError: There is no such step.

    """

    before: Posting
    after: Posting

    def __attrs_post_init__(self) -> None:
        """Check that the step exists and changes nothing else."""
        step = move_posting(
            self.before, self.after.status, note=self.after.note
        )
        if step != self.after:
            raise InvalidValueError(
                "a posting's step changes its status and note only",
                code="PostingTransition",
                path="after",
            )


_STOPPABLE: Final = frozenset({"autopay", "method"})


@final
@attrs.frozen(kw_only=True, repr=False)
class StopOrder(Readable):
    """
    Somebody's word that nothing more may be sent (R7), or may be again.

    Attributes:
        target: ``"autopay:<id>"`` or ``"method:<fingerprint>"``, as
            `StopOrder.autopay` and `StopOrder.method` make them.
        active: False lifts an earlier order.
        by: Who said so.
        reason: Why, for the record.

    Raises:
        InvalidValueError: A target of another form, which would stop nothing
            (``StopTarget``), or a field that cannot be.

    """

    target: str
    active: bool
    by: str
    reason: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        check_type(self.target, str, "target")
        kind, colon, name = self.target.partition(":")
        if not colon or kind not in _STOPPABLE:
            raise InvalidValueError(
                "make it with StopOrder.autopay() or StopOrder.method(); "
                "anything else stops nothing",
                code="StopTarget",
                path="target",
                value=self.target,
            )
        check_id(name, "target")
        check_type(self.active, bool, "active")
        check_text(self.by, "by", most=128, empty=False)
        check_text(self.reason, "reason")

    @staticmethod
    def autopay(autopay: str, /) -> str:
        """Return the target that stops one auto-pay."""
        return f"autopay:{autopay}"

    @staticmethod
    def method(fingerprint: str, /) -> str:
        """Return the target that stops whatever charges one method."""
        return f"method:{fingerprint}"


@final
@attrs.frozen(kw_only=True, repr=False)
class OpenAmounts(Readable):
    """
    What the balances of some clients' invoices do not show yet (L1).

    Attributes:
        amounts: By invoice number: postings and every run's reservations.
        versions: By client: grows with every change of its open amounts. All
            the clients that were asked for.

    """

    amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money]
    )
    versions: Mapping[ClientId | str, int] = attrs.field(
        factory=dict[ClientId | str, int]
    )


@final
@attrs.frozen(kw_only=True, repr=False)
class Standing(Readable):
    """
    What the store knows about an auto-pay, read in one step.

    Attributes:
        now: Store time; never goes back.
        is_clock_suspect: The clock is behind what it once said; nothing new
            is sent until it has caught up.
        run: The record of the run that was asked for.
        unfinished: Every run of the auto-pay that is not finished, oldest
            first.
        latest: The auto-pay's run of the latest nominal date, announcements
            aside.
        is_stopped: A stop order is in force for the auto-pay or its method.

    """

    now: datetime
    is_clock_suspect: bool = False
    run: RunRecord | None = None
    unfinished: tuple[RunRecord, ...] = ()
    latest: RunRecord | None = None
    is_stopped: bool = False

    def __attrs_post_init__(self) -> None:
        """Check what decisions about money rest on."""
        check_instant(self.now, "now")
        check_each(self.unfinished, RunRecord, "unfinished")


@final
@attrs.frozen(kw_only=True, repr=False)
class Change(Readable):
    """
    One atomic step of the posting store: all of it, or nothing.

    Attributes:
        runs: Records as they will stand. Each has version 1 and must not
            exist, or one more than what stands.
        expect_versions: By client: refused unless the client's open amounts
            still have this version.
        expect_open: By invoice: refused unless the invoice's open amount,
            whoever holds it and under whatever client, is still this (none:
            zero). Not counting the reservations of `runs`.
        only_doubtful: Refused if another run of the same auto-pay is open or
            in review (R4): at most one is in doubt.
        unless_stopped: Refused if a stop order is in force for one of these
            targets (R7).
        postings: New postings; an id that stands with equal content is left
            alone, with another content it is an error.
        moves: Steps of postings.
        notices: New notices; a key that stands is left alone.
        delivered: Keys of notices that were delivered.
        stops: Stop orders.
        by: Who or what asked for it, for the history.
        reason: Why, for the history.

    """

    runs: tuple[RunRecord, ...] = ()
    expect_versions: Mapping[ClientId | str, int] | None = None
    expect_open: Mapping[InvoiceNumber | str, Money] | None = None
    only_doubtful: bool = False
    unless_stopped: tuple[str, ...] = ()
    postings: tuple[Posting, ...] = ()
    moves: tuple[PostingMove, ...] = ()
    notices: tuple[Notice, ...] = ()
    delivered: tuple[str, ...] = ()
    stops: tuple[StopOrder, ...] = ()
    by: str = ""
    reason: str = ""


@final
@attrs.frozen(kw_only=True, repr=False)
class Committed(Readable):
    """
    The step stands, durably.

    Attributes:
        new_notices: Keys of the change's notices that were not there before.

    """

    new_notices: frozenset[str] = frozenset()


@final
@attrs.frozen(kw_only=True, repr=False)
class Conflict(Readable):
    """
    The step does not stand: something changed since it was read.

    Attributes:
        reason: ``"version"`` (a run moved), ``"open"`` (open amounts
            changed), ``"doubt"`` (another run is in doubt), ``"stopped"`` (a
            stop order), or ``"posting"`` (a posting moved).
        open_amounts: With ``"open"``: what is open on the invoices of
            `Change.expect_open`, so that planning again can count it even
            when it stands under another client.

    """

    reason: str
    open_amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money]
    )


@final
@attrs.frozen(kw_only=True, repr=False)
class PostingFilter(Readable):
    """
    Which postings to read.

    Attributes:
        statuses: Only these; empty for all.
        run: Only this run's, as text of `RunKey`; None for all.
        invoice: Only this invoice's; None for all.
        after: Id after which to go on, in order of id; None from the start.
        most: At most so many.

    """

    statuses: frozenset[PostingStatus] = frozenset()
    run: str | None = None
    invoice: InvoiceNumber | str | None = None
    after: str | None = None
    most: int = 1_000
