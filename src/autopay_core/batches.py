"""
The postings that staff send to the ledger together (P5).

Holds: `Batch` with its life, `BatchAnswer` with an answer for each line,
`LedgerEntry` and `Acknowledged` for what the ledger shows in the end,
`PostingTotal`, `control_totals`. Imports: `_shown`, `money`, `postings` and
`references`. Nothing here is ever edited: each step makes a new value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, TypeAlias, cast, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    a_number,
    a_text,
    an_id,
    an_instant,
    check_type,
    optional,
    reported,
    some_of,
    tuple_of,
)
from autopay_core._shown import Shown
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import Posting, PostingId, PostingStatus
from autopay_core.references import DepositAccount, InvoiceNumber

__all__ = [
    "BATCH_MOST",
    "Acknowledged",
    "Batch",
    "BatchAnswer",
    "BatchState",
    "LedgerEntry",
    "LineAccepted",
    "LineAnswer",
    "LineRefused",
    "PostingTotal",
    "RefusalReason",
    "answer",
    "control_totals",
    "export",
]

BATCH_MOST: Final = 5_000
"""How many postings a batch has at most."""


class BatchState(Choice):
    """Where a batch stands; each state may only be followed by a later one."""

    OPEN = "open"
    """Made; nobody has asked for the export."""
    EXPORTED = "exported"
    """On its way to the ledger."""
    ANSWERED = "answered"
    """The ledger has answered every line."""


class RefusalReason(Choice):
    """Why a line was refused; a closed list, so that it can be counted."""

    CLIENT_UNKNOWN = "client unknown"
    """The ledger has no such client."""
    MATTER_UNKNOWN = "matter unknown"
    """The ledger has no such matter."""
    MATTER_CLOSED = "matter closed"
    """Nothing can be posted to the matter."""
    INVOICE_UNKNOWN = "invoice unknown"
    """The ledger has no such invoice."""
    INVOICE_CLOSED = "invoice closed"
    """It is void, written off or paid in another way."""
    AMOUNT_TOO_LARGE = "amount too large"
    """More than the invoice owes in the ledger."""
    CURRENCY = "currency"
    """The ledger keeps the invoice in another currency."""
    ACCOUNT = "account"
    """The ledger does not take money into the deposit account."""
    PERIOD_CLOSED = "period closed"
    """The books of that date are closed."""
    DUPLICATE = "duplicate"
    """The ledger has the payment already."""
    OTHER = "other"
    """What the detail says."""
    NOT_SENT = "not sent"
    """The line never went to the ledger: it waits again."""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class LineAccepted(Readable):
    """
    The ledger has taken a line in.

    Attributes:
        posting: The id of its posting.
        number: Under what the ledger has it.
        posted_on: The ledger's date of it.

    """

    posting: PostingId | str = attrs.field(validator=an_id)
    number: str = attrs.field(validator=an_id)
    posted_on: date = attrs.field(validator=a_date)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class LineRefused(Readable):
    """
    The ledger has not taken a line in.

    Attributes:
        posting: The id of its posting.
        reason: Why.
        detail: The ledger's own words; masked and kept (E3).

    """

    posting: PostingId | str = attrs.field(validator=an_id)
    reason: RefusalReason = attrs.field(validator=a(RefusalReason))
    detail: str = attrs.field(
        default="", converter=reported, validator=a_text()
    )

    @property
    def note(self) -> str:
        """What the posting's note says."""
        if not self.detail:
            return self.reason.value
        return str(reported(f"{self.reason.value}: {self.detail}"))


LineAnswer: TypeAlias = LineAccepted | LineRefused
"""What the ledger says of one line."""


def _answers(
    _: object, field: attrs.Attribute[Any], value: tuple[LineAnswer, ...]
) -> None:
    check_type(value, tuple, field.name)
    for place, each in enumerate(value):
        if type(each) is not LineRefused:
            check_type(each, LineAccepted, f"{field.name}[{place}]")


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class BatchAnswer(Readable):
    """
    What the ledger says of a batch: an answer for each line, and a total.

    Attributes:
        batch: The batch's id.
        lines: One for each posting of the batch, in any order.
        booked: The ledger's own control total, by currency: what it took in.
            Empty if it took nothing in.

    Raises:
        InvalidValueError: A line is answered twice (``BatchLines``), or a
            currency has two totals (``ControlTotal``).

    """

    batch: str = attrs.field(validator=an_id)
    lines: tuple[LineAnswer, ...] = attrs.field(validator=_answers)
    booked: tuple[Money, ...] = attrs.field(
        default=(), validator=tuple_of(Money)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a second answer, and a second total."""
        twice = _twice(str(each.posting) for each in self.lines)
        if twice:
            raise InvalidValueError(
                f"answered twice: {some_of(twice)}",
                code="BatchLines",
                path="lines",
                value=twice[0],
            )
        twice = _twice(each.currency for each in self.booked)
        if twice:
            raise InvalidValueError(
                f"two totals in {some_of(twice)}",
                code="ControlTotal",
                path="booked",
                value=twice[0],
            )

    @property
    def by_posting(self) -> Mapping[str, LineAnswer]:
        """The answers by the id of their posting."""
        return {str(each.posting): each for each in self.lines}

    def is_as(self, other: BatchAnswer, /) -> bool:
        """Tell whether two answers say the same, in whatever order."""
        return (
            self.batch == other.batch
            and self.by_posting == other.by_posting
            and _by_currency(self.booked) == _by_currency(other.booked)
        )


def _timeless(given: Any) -> Any:  # noqa: ANN401 - checked afterwards
    """Leave out since when each stood there, so that a batch is one text."""
    if type(given) is not tuple:
        return given
    return tuple(
        attrs.evolve(each, since=None)
        if isinstance(each, Posting) and each.since is not None
        else each
        for each in cast("tuple[object, ...]", given)
    )


def _postings(
    _: object, field: attrs.Attribute[Any], value: tuple[Posting, ...]
) -> None:
    if not 1 <= len(value) <= BATCH_MOST:
        raise InvalidValueError(
            f"a batch has 1 to {BATCH_MOST} postings, not {len(value)}",
            code="BatchSize",
            path=field.name,
            value=len(value),
        )
    twice = _twice(str(each.id) for each in value)
    if twice:
        raise InvalidValueError(
            f"there twice: {some_of(twice)}",
            code="DuplicateValue",
            path=field.name,
            value=twice[0],
        )
    for place, each in enumerate(value):
        if each.status is not PostingStatus.QUEUED:
            raise InvalidValueError(
                f"a posting in a batch is queued, not {each.status.value}",
                code="PostingNotReady",
                path=f"{field.name}[{place}]",
                value=each.id,
            )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Batch(Shown):
    """
    Postings that go to the ledger together, with an identity (P5).

    A posting is in at most one batch that is not answered, and moves with it
    only.

    Attributes:
        id: Given by who makes it, such as ``"2026-02-03/1"``; once, for ever.
        made_at: Store time.
        by: Who made it.
        postings: In the order in which they are exported, as they stood when
            the batch was made; the export is made of these and of nothing
            else, so that it is the same each time.
        state: Where it stands.
        version: 1 when first written, and one more at each step.
        exported_at: Store time of the first export; None before.
        exported_by: Who asked for it; empty before.
        answer: What the ledger said; None before.
        answered_at: Store time of it; None before.
        answered_by: Who handed it in; empty before.

    Raises:
        InvalidValueError: No postings, or too many (``BatchSize``), one that
            is there twice (``DuplicateValue``) or is not queued
            (``PostingNotReady``); a state without its time, or a time without
            its state (``BatchState``).

    """

    id: str = attrs.field(validator=an_id)
    made_at: datetime = attrs.field(validator=an_instant)
    by: str = attrs.field(validator=a_text(most=128, empty=False))
    postings: tuple[Posting, ...] = attrs.field(
        converter=_timeless, validator=[tuple_of(Posting), _postings]
    )
    state: BatchState = attrs.field(
        default=BatchState.OPEN, validator=a(BatchState)
    )
    version: int = attrs.field(default=1, validator=a_number(1))
    exported_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    exported_by: str = attrs.field(default="", validator=a_text(most=128))
    answer: BatchAnswer | None = attrs.field(
        default=None, validator=optional(a(BatchAnswer))
    )
    answered_at: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    answered_by: str = attrs.field(default="", validator=a_text(most=128))

    def __attrs_post_init__(self) -> None:
        """Refuse a state that its times do not tell of."""
        is_exported = self.exported_at is not None
        is_answered = self.state is BatchState.ANSWERED
        if (
            (self.answer is not None) is not is_answered
            or (self.answered_at is not None) is not is_answered
            or (self.state is BatchState.OPEN and is_exported)
            or (self.state is BatchState.EXPORTED and not is_exported)
        ):
            raise InvalidValueError(
                f"no batch is {self.state.value} like that",
                code="BatchState",
                path="state",
                value=self.state.value,
            )

    def __str__(self) -> str:
        """Return it in a line, for people."""
        totals = ", ".join(map(str, self.control))
        number = len(self.postings)
        return (
            f"{self.id}: {number} posting{'s' * (number != 1)}, {totals}, "
            f"{self.state.value}, by {self.by}"
        )

    @property
    def is_closed(self) -> bool:
        """Whether every line is answered, so that its postings are free."""
        return self.state is BatchState.ANSWERED

    @property
    def control(self) -> tuple[Money, ...]:
        """The control total of each currency."""
        return control_totals(self.postings)

    @property
    def accounts(self) -> tuple[DepositAccount, ...]:
        """The deposit accounts that the money went into, in order."""
        return tuple(
            dict.fromkeys(each.deposit_account for each in self.postings)
        )

    @property
    def accepted(self) -> tuple[LineAccepted, ...]:
        """The lines that the ledger has taken in."""
        return tuple(
            each for each in self._lines if isinstance(each, LineAccepted)
        )

    @property
    def refused(self) -> tuple[LineRefused, ...]:
        """The lines that the ledger has not taken in."""
        return tuple(
            each for each in self._lines if isinstance(each, LineRefused)
        )

    @property
    def _lines(self) -> tuple[LineAnswer, ...]:
        return () if self.answer is None else self.answer.lines


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PostingTotal(Readable):
    """
    How many postings of one status and currency there are, and their sum.

    Attributes:
        status: Their status.
        count: How many; above zero.
        amount: Their sum; what went back is below zero.

    """

    status: PostingStatus = attrs.field(validator=a(PostingStatus))
    count: int = attrs.field(validator=a_number(1))
    amount: Money = attrs.field(validator=a(Money))


def control_totals(postings: Iterable[Posting], /) -> tuple[Money, ...]:
    """Add postings up, by currency and in order of the currencies."""
    found: dict[str, list[Money]] = {}
    for each in postings:
        found.setdefault(each.amount.currency, []).append(each.amount)
    return tuple(
        Money.total(amounts, currency)
        for currency, amounts in sorted(found.items())
    )


def export(batch: Batch, /, *, at: datetime, by: str) -> Batch:
    """Return *batch* as it stands once it was exported; again is nothing."""
    if batch.state is not BatchState.OPEN:
        return batch
    return attrs.evolve(
        batch,
        state=BatchState.EXPORTED,
        version=batch.version + 1,
        exported_at=at,
        exported_by=by,
    )


def answer(
    batch: Batch, given: BatchAnswer, /, *, at: datetime, by: str
) -> Batch:
    """
    Return *batch* as it stands with the ledger's answer; again is nothing.

    A batch that was not exported can be answered with `NOT_SENT` only, which
    takes it back.

    Raises:
        InvalidValueError: The answer is another batch's, or does not answer
            each line once (``BatchLines``); it does not add up to its own
            control total (``ControlTotal``); the batch has another answer
            (``BatchAnswered``), or was not exported (``BatchNotExported``).

    """
    if batch.answer is not None:
        if batch.answer.is_as(given):
            return batch
        raise InvalidValueError(
            f"the batch {batch.id} has another answer already",
            code="BatchAnswered",
            path="answer",
            value=batch.id,
        )
    _check_lines(batch, given)
    lines = given.by_posting
    booked = control_totals(
        each
        for each in batch.postings
        if isinstance(lines[str(each.id)], LineAccepted)
    )
    if _by_currency(booked) != _by_currency(given.booked):
        raise InvalidValueError(
            f"the lines that were accepted add up to {_sums(booked)}, and "
            f"the ledger says {_sums(given.booked)}; nothing was written",
            code="ControlTotal",
            path="booked",
            value=_sums(given.booked),
        )
    if batch.state is BatchState.OPEN and not all(
        isinstance(each, LineRefused) and each.reason is RefusalReason.NOT_SENT
        for each in given.lines
    ):
        raise InvalidValueError(
            f"the batch {batch.id} was not exported, so no ledger has seen it",
            code="BatchNotExported",
            path="answer",
            value=batch.id,
        )
    return attrs.evolve(
        batch,
        state=BatchState.ANSWERED,
        version=batch.version + 1,
        answer=given,
        answered_at=at,
        answered_by=by,
    )


def _check_lines(batch: Batch, given: BatchAnswer) -> None:
    """Refuse an answer to other lines than those of the batch."""
    wanted = [str(each.id) for each in batch.postings]
    lines = given.by_posting
    missing = [each for each in wanted if each not in lines]
    foreign = sorted(lines.keys() - set(wanted))
    if given.batch != batch.id:
        wrong = f"the answer is for the batch {given.batch}"
    elif foreign:
        wrong = f"not in the batch: {some_of(foreign)}"
    elif missing:
        wrong = f"not answered: {some_of(missing)}"
    else:
        return
    raise InvalidValueError(
        wrong, code="BatchLines", path="answer", value=given.batch
    )


def _by_currency(totals: Iterable[Money]) -> dict[str, int]:
    """Return totals by currency; nothing is the same as no total."""
    return {
        each.currency: each.amount_minor for each in totals if not each.is_zero
    }


def _sums(totals: Iterable[Money]) -> str:
    return ", ".join(map(str, totals)) or "nothing"


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    found: list[str] = []
    for each in names:
        if each in seen:
            found.append(each)
        seen.add(each)
    return found


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class LedgerEntry(Readable):
    """
    One of our postings, as the ledger shows it in a balance (P2).

    Attributes:
        posting: The posting's id.
        invoice: The number of the invoice that it is on.
        amount: What it took off the balance; negative for what went back.

    """

    posting: PostingId | str = attrs.field(validator=an_id)
    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(validator=a(Money))

    def shows(self, posting: Posting, /) -> bool:
        """Tell whether this is a posting as it is on record."""
        return (self.posting, self.invoice, self.amount) == (
            posting.id,
            posting.invoice,
            posting.amount,
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Acknowledged(Shown):
    """
    What became of the ledger's figures (P2, P3).

    Attributes:
        applied: The postings that are applied now, and were not before.
        already: What was applied before.
        differs: Another invoice or amount than on record, or shown more than
            once: its posting stays open.
        unexpected: Of a posting that nobody sent, that is incomplete or was
            removed, is in a batch that is not answered, or cannot be read; it
            stays as it is.
        unknown: Of no posting on record.

    """

    applied: tuple[Posting, ...] = ()
    already: tuple[LedgerEntry, ...] = ()
    differs: tuple[LedgerEntry, ...] = ()
    unexpected: tuple[LedgerEntry, ...] = ()
    unknown: tuple[LedgerEntry, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing of it needs a person."""
        return not (self.differs or self.unexpected or self.unknown)

    def __str__(self) -> str:
        """Return it in a line, and one more for each that needs a person."""
        first = (
            f"{len(self.applied)} applied, {len(self.already)} were before."
        )
        lines = [
            f"{each.posting}: {each.amount} on {each.invoice} {why}"
            for entries, why in (
                (self.differs, "is not what is on record"),
                (self.unexpected, "was not expected yet, or any more"),
                (self.unknown, "is of no posting on record"),
            )
            for each in entries
        ]
        return "\n".join([first, *lines])
