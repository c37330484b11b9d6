"""
What the posting store is asked to keep, in one atomic step each (R1, N1).

Holds: `Change` (one step), its answers `Committed` and `Conflict`, and what is
read from the store: `Standing`, `OpenAmounts`. Imports: the values. A change
is computed by the core, so a store only compares versions and writes; that
keeps every store equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_number,
    a_text,
    an_id,
    an_instant,
    check_id,
    check_type,
    mapping_of,
    optional,
    tuple_of,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.references import ClientId, InvoiceNumber
from autopay_core.runs import RunRecord

__all__ = [
    "CLOCK_BEHIND",
    "Change",
    "Committed",
    "Conflict",
    "ConflictReason",
    "OpenAmounts",
    "PostingFilter",
    "PostingMove",
    "Standing",
    "StopOrder",
]


CLOCK_BEHIND: Final = timedelta(minutes=5)
"""How far a store's clock may be behind what it once said, unsuspected."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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
        """Refuse a step that does not exist, or changes something else."""
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


def _a_target(_: object, field: attrs.Attribute[str], value: str) -> None:
    check_type(value, str, field.name)
    kind, colon, name = value.partition(":")
    if not colon or kind not in _STOPPABLE:
        raise InvalidValueError(
            "make it with StopOrder.autopay() or StopOrder.method(); anything "
            "else stops nothing",
            code="StopTarget",
            path=field.name,
            value=value,
        )
    check_id(name, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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

    target: str = attrs.field(validator=_a_target)
    active: bool = attrs.field(validator=a(bool))
    by: str = attrs.field(validator=a_text(most=128, empty=False))
    reason: str = attrs.field(default="", validator=a_text())

    @staticmethod
    def autopay(autopay: str, /) -> str:
        """Return the target that stops one auto-pay."""
        return f"autopay:{autopay}"

    @staticmethod
    def method(fingerprint: str, /) -> str:
        """Return the target that stops whatever charges one method."""
        return f"method:{fingerprint}"


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class OpenAmounts(Readable):
    """
    What the balances of some clients' invoices do not show yet (L1).

    Attributes:
        amounts: By invoice number: postings and every run's reservations.
        versions: By client: grows with every change of its open amounts. All
            the clients that were asked for.

    """

    amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )
    versions: Mapping[ClientId | str, int] = attrs.field(
        factory=dict[ClientId | str, int], validator=mapping_of(int)
    )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Standing(Readable):
    """
    What the store knows about an auto-pay, read in one step.

    Attributes:
        now: Store time; never goes back.
        is_clock_suspect: The clock is more than `CLOCK_BEHIND` behind what
            it once said; nothing new is sent until it has caught up.
        run: The record of the run that was asked for.
        unfinished: Every run of the auto-pay that is not finished, oldest
            first.
        latest: The auto-pay's run of the latest nominal date, announcements
            aside.
        is_stopped: A stop order is in force for the auto-pay or its method.

    """

    now: datetime = attrs.field(validator=an_instant)
    is_clock_suspect: bool = False
    run: RunRecord | None = None
    unfinished: tuple[RunRecord, ...] = attrs.field(
        default=(), validator=tuple_of(RunRecord)
    )
    latest: RunRecord | None = None
    is_stopped: bool = False


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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

    runs: tuple[RunRecord, ...] = attrs.field(
        default=(), validator=tuple_of(RunRecord)
    )
    expect_versions: Mapping[ClientId | str, int] | None = attrs.field(
        default=None, validator=optional(mapping_of(int))
    )
    expect_open: Mapping[InvoiceNumber | str, Money] | None = attrs.field(
        default=None, validator=optional(mapping_of(Money))
    )
    only_doubtful: bool = attrs.field(default=False, validator=a(bool))
    unless_stopped: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )
    postings: tuple[Posting, ...] = attrs.field(
        default=(), validator=tuple_of(Posting)
    )
    moves: tuple[PostingMove, ...] = attrs.field(
        default=(), validator=tuple_of(PostingMove)
    )
    notices: tuple[Notice, ...] = attrs.field(
        default=(), validator=tuple_of(Notice)
    )
    delivered: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )
    stops: tuple[StopOrder, ...] = attrs.field(
        default=(), validator=tuple_of(StopOrder)
    )
    by: str = attrs.field(default="", validator=a(str))
    reason: str = attrs.field(default="", validator=a(str))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Committed(Readable):
    """
    The step stands, durably.

    Attributes:
        new_notices: Keys of the change's notices that were not there before.

    """

    new_notices: frozenset[str] = frozenset()


class ConflictReason(Choice):
    """What changed since it was read, so that a step does not stand."""

    VERSION = "version"
    """A run moved."""
    OPEN = "open"
    """Open amounts changed."""
    DOUBT = "doubt"
    """Another run of the auto-pay is in doubt."""
    STOPPED = "stopped"
    """A stop order came."""
    POSTING = "posting"
    """A posting moved."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Conflict(Readable):
    """
    The step does not stand: something changed since it was read.

    Attributes:
        reason: What changed.
        open_amounts: With `ConflictReason.OPEN`: what is open on the invoices
            of `Change.expect_open`, so that planning again can count it even
            when it stands under another client.

    """

    reason: ConflictReason = attrs.field(validator=a(ConflictReason))
    open_amounts: Mapping[InvoiceNumber | str, Money] = attrs.field(
        factory=dict[InvoiceNumber | str, Money], validator=mapping_of(Money)
    )


def _statuses(
    _: object,
    field: attrs.Attribute[Any],
    value: frozenset[PostingStatus],
) -> None:
    check_type(value, frozenset, field.name)
    for status in value:
        check_type(status, PostingStatus, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
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

    statuses: frozenset[PostingStatus] = attrs.field(
        default=frozenset[PostingStatus](), validator=_statuses
    )
    run: str | None = attrs.field(default=None, validator=optional(a(str)))
    invoice: InvoiceNumber | str | None = attrs.field(
        default=None, validator=optional(an_id)
    )
    after: str | None = attrs.field(default=None, validator=optional(a(str)))
    most: int = attrs.field(default=1_000, validator=a_number(1))
