"""
What the book asks of its store and of the ports, in order (O1, A7).

Holds: `AskBook`, `Done`, `Preview`, `Look` and the flows behind the
commands and looks of `Book`. Imports: `commands`, `values`, `engine`,
`serialization` and the values. A flow yields one request at a time, to the
book's store or to a port, and is sent the answer. Long, since it is every
command of the book, each a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast, final

import attrs

from autopay_core._checks import (
    DATE_MAX,
    Readable,
    check_date,
    check_id,
    check_type,
)
from autopay_core.allocation import Allocation
from autopay_core.associations import Association, associate
from autopay_core.authorizations import Authorization, in_force
from autopay_core.autopay import (
    AutoPay,
    AutoPayState,
    Edited,
    Enrollment,
    Known,
)
from autopay_core.book.commands import Command, Situation
from autopay_core.book.values import (
    Draft,
    Kept,
    Kind,
    OutdatedError,
    Stands,
    Trace,
    Turned,
    Value,
    Version,
)
from autopay_core.commits import PostingFilter, Standing, Unreadable, decoded
from autopay_core.engine import sweeping
from autopay_core.engine.asking import lacks_notice
from autopay_core.engine.case import InHand
from autopay_core.engine.foreseeing import (
    blocks_of,
    known_of,
    next_number,
    outlook_of,
    with_paid_off,
)
from autopay_core.engine.gate import Cause
from autopay_core.engine.requests import (
    READ_AT_ONCE,
    ReadPostings,
    Terms,
    ask_either,
    read_standing,
)
from autopay_core.engine.words import a_person_says
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
)
from autopay_core.invoices import SearchBy, SearchResult
from autopay_core.looks import Outlook
from autopay_core.payers import KeptAssociation, Payer, SavedMethod
from autopay_core.postings import Posting
from autopay_core.references import PaymentMethodRef, RunKey
from autopay_core.runs import RESERVING_STATES, RunRecord, RunResult
from autopay_core.schedules import Occurrence
from autopay_core.serialization import loads

__all__ = ["AskBook", "Done", "Look", "Preview"]

_T = TypeVar("_T")
BookFlow: TypeAlias = Generator[Any, Any, _T]

_METHOD_GONE: Final = "the payer no longer has its payment method"
_TRIES: Final = 5
"""So often a command is begun again when something beside it changed."""


class AskBook(NamedTuple):
    """A call of the book's store."""

    method: str
    arguments: tuple[Any, ...]


# -- What is answered ---------------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Done(Readable):
    """
    What became of a command.

    Attributes:
        version: What stands now.
        is_new: Whether this call wrote it; not if there was nothing to
            change, or if the same command had been carried out before.
        dropped: Skips and moves of before that name no date any more.
        left_out: Dates of a new schedule that do not run (S15).
        with_it: Standing orders that were changed along with it.

    """

    version: Version
    is_new: bool
    dropped: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()
    with_it: tuple[Version, ...] = ()


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Preview(Readable):
    """
    What a command would change; nothing is written (O1).

    Attributes:
        version: The version that stands, to be given with the command.
        before: What the order does as it stands.
        after: What it would do.
        autopay: The order as it would be.
        dropped: Skips and moves of before that would name no date any more.
        left_out: Dates of a new schedule that would not run (S15).

    """

    version: int
    before: Outlook
    after: Outlook
    autopay: AutoPay
    dropped: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether the order stays as it is."""
        return self.before == self.after and not (
            self.dropped or self.left_out
        )


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Look(Readable):
    """
    A standing order as it stands, and what it does on a date (S14).

    Attributes:
        version: What stands in the book.
        outlook: What it does.
        known: What is on record of it.
        blocks: What keeps it from being collected now, for people: holds, an
            association or a method that the payer has no longer (A7).
        next_number: The number of the next run on demand of that date (R14).

    """

    version: Version
    outlook: Outlook
    known: Known
    blocks: tuple[str, ...] = ()
    next_number: int = 1

    @property
    def state(self) -> AutoPayState:
        """What it does on that date."""
        return self.outlook.state


# -- Reading ------------------------------------------------------------------


def latest(kind: Kind, ids: Iterable[str]) -> BookFlow[dict[str, Kept]]:
    """Read what stands under some ids."""
    wanted = sorted({*ids})
    found: dict[str, Kept] = {}
    for begin in range(0, len(wanted), READ_AT_ONCE):
        part = wanted[begin : begin + READ_AT_ONCE]
        answer = yield AskBook("latest", (kind, part))
        found.update((each.id, each) for each in answer)
    return found


def readable(kept: Kept) -> Version:
    """
    Return the version that stands, which can be read.

    Raises:
        PortError: It cannot be.

    """
    if isinstance(kept.version, Version):
        return kept.version
    raise PortError(
        f"{kept.id} stands in the book and cannot be read",
        code=kept.version.code,
    )


def standing_version(kind: Kind, id: str) -> BookFlow[Version]:  # noqa: A002 - the word
    """
    Read what stands under an id.

    Raises:
        InvalidValueError: Nothing does (``NotInBook``).

    """
    check_id(id, "id")
    found = yield from latest(kind, [id])
    if id not in found:
        raise not_in_book(kind, id)
    return readable(found[id])


def versions(kind: Kind, id: str) -> BookFlow[tuple[Version, ...]]:  # noqa: A002 - the word
    """Read every version of an order, or of a payer, ascending."""
    found: list[Version] = []
    while True:
        page = yield AskBook("versions", (kind, id, len(found), READ_AT_ONCE))
        found.extend(page)
        if len(page) < READ_AT_ONCE:
            return tuple(found)


def traces(kind: Kind, id: str) -> BookFlow[tuple[Trace, ...]]:  # noqa: A002 - the word
    """Read who changed what, ascending."""
    every = yield from versions(kind, id)
    return tuple(
        Trace(before=before, after=after)
        for before, after in zip((None, *every), every, strict=False)
    )


def owned(payer: str) -> BookFlow[tuple[Kept, ...]]:
    """Read the standing orders of a payer, by id."""
    found: list[Kept] = []
    while True:
        after = found[-1].id if found else ""
        page = yield AskBook("owned", (payer, after, READ_AT_ONCE))
        found.extend(page)
        if len(page) < READ_AT_ONCE:
            return tuple(found)


def due(as_of: date) -> BookFlow[tuple[Kept, ...]]:
    """Read the orders for which something is to be done by a date (O3)."""
    check_date(as_of, "as_of")
    found: list[Kept] = []
    while True:
        after = place_of(found[-1]) if found else None
        page = yield AskBook("due", (as_of, after, READ_AT_ONCE))
        found.extend(page)
        if len(page) < READ_AT_ONCE:
            return tuple(found)


def place_of(kept: Kept) -> tuple[date, str]:
    """Return the place after which the next page begins."""
    return kept.next_on or DATE_MAX, kept.id


def payer_of(autopay: AutoPay) -> BookFlow[tuple[Payer | None, int]]:
    """Read an order's payer and its version; None where it is not kept."""
    found = yield from latest(Kind.PAYER, [autopay.payer])
    kept = found.get(autopay.payer)
    if kept is None:
        return None, 0
    return readable(kept).payer, kept.number


# -- What is on record --------------------------------------------------------


def _with_under_way(known: Known, standing: Standing) -> Known:
    """Count what is under way as collected, for it may be (S15)."""
    under_way = tuple(
        Occurrence(nominal_on=each.key.nominal_on, charge_on=each.charge_on)
        for each in standing.unfinished
        if each.state in RESERVING_STATES and not each.key.number
    )
    return attrs.evolve(known, recent=(*known.recent, *under_way))


# -- Writing ------------------------------------------------------------------


class _Plan(NamedTuple):
    """What a command comes to."""

    value: Value
    left: tuple[Enrollment, ...] = ()
    next_on: date | None = None
    dropped: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()
    others: tuple[Draft, ...] = ()
    expects: Mapping[tuple[Kind, str], int] = {}


class _Word(NamedTuple):
    """Who does what, why, and which version was seen."""

    kind: Kind
    id: str
    command: str
    by: str
    reason: str
    version: int


Planner: TypeAlias = Callable[[Version | None], BookFlow[_Plan]]


def _carry_out(word: _Word, plan: Planner) -> BookFlow[Done]:
    """
    Plan and write a command, once however often it is given (O1).

    Raises:
        OutdatedError: Another version stands than the one that was seen.

    """
    a_person_says(word.by, word.reason)
    if type(word.version) is not int or word.version < 0:
        raise InvalidValueError(
            "expected the number of the version that was seen, 0 for none",
            code="OutOfRange",
            path="version",
            value=word.version,
        )
    for _ in range(_TRIES):
        found = yield from latest(word.kind, [word.id])
        kept = found.get(word.id)
        before = None if kept is None else readable(kept)
        if (0 if kept is None else kept.number) != word.version:
            return (yield from _again(word, before, plan))
        planned = yield from plan(before)
        if before is not None and planned.value == before.value:
            return Done(version=before, is_new=False)
        draft = Draft(
            value=planned.value,
            number=word.version + 1,
            command=word.command,
            by=word.by,
            reason=word.reason,
            left=planned.left,
            next_on=planned.next_on,
        )
        written = yield AskBook(
            "write", ((draft, *planned.others), planned.expects)
        )
        if not isinstance(written, Stands):
            first, *others = cast("Sequence[Version]", written)
            return Done(
                version=first,
                is_new=True,
                dropped=planned.dropped,
                left_out=planned.left_out,
                with_it=tuple(others),
            )
    raise PortError(
        f"others keep changing what {word.id} depends on; try again later",
        code="StoreBusy",
    )


def _again(
    word: _Word, stands: Version | None, plan: Planner
) -> BookFlow[Done]:
    """Answer a command that was given twice; refuse one that is outdated."""
    if (
        stands is not None
        and stands.number == word.version + 1
        and (stands.command, stands.by, stands.reason)
        == (word.command, word.by, word.reason)
    ):
        seen = yield AskBook(
            "versions", (word.kind, word.id, max(word.version - 1, 0), 1)
        )
        before = seen[0] if word.version else None
        try:
            planned = yield from plan(before)
        except InvalidValueError:
            planned = None
        if planned is not None and planned.value == stands.value:
            return Done(
                version=stands,
                is_new=False,
                dropped=planned.dropped,
                left_out=planned.left_out,
            )
    raise OutdatedError(
        Stands(
            kind=word.kind,
            id=word.id,
            number=0 if stands is None else stands.number,
        ),
        word.version,
    )


# -- Standing orders ----------------------------------------------------------


def add(
    autopay: AutoPay, as_of: date, command: str, *, by: str, reason: str
) -> BookFlow[Done]:
    """Take a new order into the book."""
    check_type(autopay, AutoPay, "autopay")
    check_date(as_of, "as_of")
    word = _Word(Kind.AUTOPAY, autopay.id, command, by, reason, 0)

    def plan(_: Version | None) -> BookFlow[_Plan]:
        payer, number = yield from payer_of(autopay)
        _check_owner(payer, autopay, None, as_of)
        return _Plan(
            value=autopay,
            next_on=as_of,
            expects={(Kind.PAYER, autopay.payer): number},
        )

    return (yield from _carry_out(word, plan))


def do(
    id: str,  # noqa: A002 - the word
    command: Command,
    as_of: date,
    terms: Terms,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Carry out a command about an order that is in the book."""
    check_id(id, "id")
    check_date(as_of, "as_of")
    word = _Word(Kind.AUTOPAY, id, type(command).__name__, by, reason, version)

    def plan(before: Version | None) -> BookFlow[_Plan]:
        if before is None:
            raise not_in_book(Kind.AUTOPAY, id)
        edited, number = yield from _edited(before, command, as_of, terms)
        return _Plan(
            value=edited.autopay,
            left=_left(before, edited.autopay),
            next_on=as_of,
            dropped=edited.dropped,
            left_out=edited.left_out,
            expects={(Kind.PAYER, edited.autopay.payer): number},
        )

    return (yield from _carry_out(word, plan))


def not_in_book(kind: Kind, id: str) -> InvalidValueError:  # noqa: A002 - the word
    return InvalidValueError(
        f"the book has no {kind.value} of that id",
        code="NotInBook",
        path="id",
        value=id,
    )


def _edited(
    before: Version, command: Command, as_of: date, terms: Terms
) -> BookFlow[tuple[Edited, int]]:
    """Return what a command makes of an order, and the payer's version."""
    autopay = before.autopay
    known, standing = yield from known_of(autopay, as_of)
    sweeping.check_day(as_of, standing, terms, "as_of")
    edited = command.apply(
        Situation(
            autopay=autopay,
            as_of=as_of,
            known=_with_under_way(known, standing),
            left=before.left,
        )
    )
    payer, number = yield from payer_of(autopay)
    _check_owner(payer, edited.autopay, autopay, as_of)
    return edited, number


def _check_owner(
    payer: Payer | None, after: AutoPay, before: AutoPay | None, as_of: date
) -> None:
    """
    Refuse what the payer does not have, where the book knows (A7).

    Raises:
        InvalidValueError: What is newly enrolled is not associated
            (``NotAssociated``), or the method is not saved
            (``MethodNotSaved``).

    """
    if payer is None:
        return
    old = (
        frozenset[Association]()
        if before is None
        else {each.association for each in before.enrollments}
    )
    for place, each in enumerate(after.enrollments):
        if each.association not in old and not payer.covers(each.association):
            raise InvalidValueError(
                "the payer is not associated with it",
                code="NotAssociated",
                path=f"enrollments[{place}]",
                value=each.association.client,
            )
    if (before is None or before.method != after.method) and not payer.has(
        after.method, as_of
    ):
        raise InvalidValueError(
            "the payer has not saved this payment method, or not any more",
            code="MethodNotSaved",
            path="method",
        )


def _left(before: Version, after: AutoPay) -> tuple[Enrollment, ...]:
    """Return what was enrolled once and is not now, the latest of each."""
    now = {each.association for each in after.enrollments}
    once = {
        each.association: each
        for each in (*before.left, *before.autopay.enrollments)
    }
    return tuple(each for each in once.values() if each.association not in now)


def preview(
    id: str,  # noqa: A002 - the word
    command: Command,
    as_of: date,
    terms: Terms,
) -> BookFlow[Preview]:
    """Return what a command would change; write nothing."""
    check_date(as_of, "as_of")
    before = yield from standing_version(Kind.AUTOPAY, id)
    edited, _ = yield from _edited(before, command, as_of, terms)
    known, _ = yield from known_of(before.autopay, as_of)
    payer, _ = yield from payer_of(before.autopay)
    was = in_hand(before.autopay, payer, as_of, terms).autopay
    will_be = in_hand(edited.autopay, payer, as_of, terms).autopay
    return Preview(
        version=before.number,
        before=(yield from outlook_of(was, as_of, known, terms)),
        after=(yield from outlook_of(will_be, as_of, known, terms)),
        autopay=edited.autopay,
        dropped=edited.dropped,
        left_out=edited.left_out,
    )


def preview_new(
    autopay: AutoPay, as_of: date, terms: Terms
) -> BookFlow[Outlook]:
    """Return what a new order would do; write nothing."""
    check_type(autopay, AutoPay, "autopay")
    check_date(as_of, "as_of")
    payer, _ = yield from payer_of(autopay)
    _check_owner(payer, autopay, None, as_of)
    known, _ = yield from known_of(autopay, as_of)
    hand = in_hand(autopay, payer, as_of, terms)
    return (yield from outlook_of(hand.autopay, as_of, known, terms))


def look(id: str, on: date, terms: Terms) -> BookFlow[Look]:  # noqa: A002 - the word
    """Return an order as it stands, and what it does on a date (S14)."""
    check_date(on, "on")
    version = yield from standing_version(Kind.AUTOPAY, id)
    autopay = version.autopay
    payer, _ = yield from payer_of(autopay)
    known, standing = yield from known_of(autopay, on)
    hand = in_hand(autopay, payer, on, terms)
    blocks = list(blocks_of(known, standing))
    if hand.is_method_gone:
        blocks.append(_METHOD_GONE)
    if len(hand.autopay.enrollments) < len(autopay.enrollments):
        blocks.append("the payer is no longer associated with all of it")
    if (
        not hand.authorization
        and autopay.method.kind in terms.policy.authorization_needed
    ):
        blocks.append(Cause.NOT_AUTHORIZED.text)
    if not hand.has_range and lacks_notice(autopay, terms):
        blocks.append(Cause.NOTICE_NEEDED.text)
    known = attrs.evolve(known, holds=tuple(blocks))
    known = yield from with_paid_off(known, hand.autopay, on, terms)
    return Look(
        version=version,
        outlook=(yield from outlook_of(hand.autopay, on, known, terms)),
        known=known,
        blocks=tuple(blocks),
        next_number=(yield from next_number(autopay, on)),
    )


def in_hand(
    autopay: AutoPay, payer: Payer | None, on: date, terms: Terms
) -> InHand:
    """
    Return an order as it may be collected, by what its payer has (A7, O2).

    Without what is no longer associated, and up to what was allowed where an
    authorisation is needed.
    """
    if payer is None:
        return InHand(autopay)
    covered = tuple(
        each for each in autopay.enrollments if payer.covers(each.association)
    )
    if len(covered) < len(autopay.enrollments):
        autopay = attrs.evolve(autopay, enrollments=covered)
    is_gone = not payer.has(autopay.method, on)
    allowed = in_force(
        payer.authorizations,
        autopay.method,
        autopay.id,
        autopay.schedule.kind,
        autopay.limit.currency,
        on=on,
    )
    if allowed is None:
        return InHand(autopay, is_gone)
    most, limit = allowed.most, autopay.limit
    if (
        most is not None
        and autopay.method.kind in terms.policy.authorization_needed
    ):
        if limit.minimum is not None and most < limit.minimum:
            return InHand(autopay, is_gone)
        if limit.per_run is None or most < limit.per_run:
            limit = attrs.evolve(limit, per_run=most)
            autopay = attrs.evolve(autopay, limit=limit)
    per_run = limit.per_run
    return InHand(
        autopay,
        is_gone,
        allowed.id,
        most is not None and per_run is not None and per_run <= most,
    )


def preview_run(
    id: str,  # noqa: A002 - the word
    as_of: date,
    terms: Terms,
) -> BookFlow[Allocation]:
    """Return what a run on demand would pay; write nothing (R14)."""
    version = yield from standing_version(Kind.AUTOPAY, id)
    payer, _ = yield from payer_of(version.autopay)
    hand = in_hand(version.autopay, payer, as_of, terms)
    return (yield from sweeping.preview(hand.autopay, as_of, terms))


def run_now(
    id: str,  # noqa: A002 - the word
    as_of: date,
    number: int,
    terms: Terms,
    *,
    by: str,
    reason: str,
) -> BookFlow[RunResult]:
    """Run an order because a person asks for it (R14)."""
    check_date(as_of, "as_of")
    version = yield from standing_version(Kind.AUTOPAY, id)
    payer, _ = yield from payer_of(version.autopay)
    hand = in_hand(version.autopay, payer, as_of, terms)
    if hand.is_method_gone:
        raise InvalidValueError(
            "the payer no longer has its payment method; choose another one",
            code="MethodNotSaved",
            path="method",
        )
    return (
        yield from sweeping.run_now(
            hand.autopay,
            as_of,
            number,
            attrs.evolve(
                terms,
                authorization=hand.authorization,
                has_range=hand.has_range,
            ),
            by=by,
            reason=reason,
        )
    )


# -- What hosts bring along ---------------------------------------------------


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Adopted(Readable):
    """
    What became of a text that a host brought along.

    Attributes:
        place: Which one it was, from 0.
        id: The order's; empty if it could not be read.
        version: What stands in the book; None if it was not taken.
        is_new: Whether this call took it.
        error: Why it was not taken, or None.

    """

    place: int
    id: str = ""
    version: Version | None = None
    is_new: bool = False
    error: AutopayError | None = None


def adopt(
    texts: Iterable[str], as_of: date, *, by: str, reason: str
) -> BookFlow[tuple[Adopted, ...]]:
    """Take a host's own orders into the book, as they are."""
    a_person_says(by, reason)
    check_date(as_of, "as_of")
    found: list[Adopted] = []
    for place, text in enumerate(texts):
        id_ = ""
        try:
            autopay = loads(text, AutoPay)
            id_ = autopay.id
            done = yield from _adopt(autopay, as_of, by, reason)
        except InvalidValueError as error:
            found.append(Adopted(place=place, id=id_, error=error))
        else:
            found.append(
                Adopted(
                    place=place,
                    id=id_,
                    version=done.version,
                    is_new=done.is_new,
                )
            )
    return tuple(found)


def _adopt(
    autopay: AutoPay, as_of: date, by: str, reason: str
) -> BookFlow[Done]:
    """Take one order; the same one again is there already."""
    found = yield from latest(Kind.AUTOPAY, [autopay.id])
    if autopay.id in found:
        first = yield AskBook("versions", (Kind.AUTOPAY, autopay.id, 0, 1))
        if first and first[0].value == autopay:
            # Whatever was made of it since.
            stands = readable(found[autopay.id])
            return Done(version=stands, is_new=False)
    return (yield from add(autopay, as_of, "Adopt", by=by, reason=reason))


# -- Payers -------------------------------------------------------------------


def _change_payer(
    word: _Word, change: Callable[[Payer], Payer]
) -> BookFlow[Done]:
    def plan(before: Version | None) -> BookFlow[_Plan]:
        if before is None:
            return _Plan(value=change((yield from _first_of(word.id))))
        return _Plan(value=change(before.payer))

    check_id(word.id, "payer")
    return (yield from _carry_out(word, plan))


def _first_of(payer: str) -> BookFlow[Payer]:
    """
    Return a payer that is new to the book, with what its orders rest on.

    They were the host's to check so far: that the book begins to know their
    payer takes nothing away from them.
    """
    orders = [readable(each).autopay for each in (yield from owned(payer))]
    methods = {each.method.fingerprint: each.method for each in orders}
    return Payer(
        id=payer,
        associations=tuple(
            KeptAssociation(association=each)
            for each in dict.fromkeys(
                enrolled.association
                for each in orders
                for enrolled in each.enrollments
            )
        ),
        methods=tuple(SavedMethod(method=each) for each in methods.values()),
    )


def save_payer(
    payer: str, name: str, *, by: str, reason: str, version: int
) -> BookFlow[Done]:
    """Keep a payer, or another name of one."""
    word = _Word(Kind.PAYER, payer, "SavePayer", by, reason, version)
    return _change_payer(word, lambda one: attrs.evolve(one, name=name))


def associate_payer(
    payer: str,
    found: Sequence[SearchResult | Association],
    search_by: SearchBy | None,
    text: str,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Tie a payer to what staff ticked (A6)."""
    made = tuple(
        each if isinstance(each, Association) else associate(payer, each)
        for each in found
    )

    def change(one: Payer) -> Payer:
        known = {each.association for each in one.associations}
        new = tuple(
            KeptAssociation(association=each, search_by=search_by, text=text)
            for each in dict.fromkeys(made)
            if each not in known
        )
        return attrs.evolve(one, associations=(*one.associations, *new))

    word = _Word(Kind.PAYER, payer, "Associate", by, reason, version)
    return _change_payer(word, change)


def save_method(
    payer: str,
    method: PaymentMethodRef,
    label: str,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Keep a payment method that a payer saved, or saved again."""
    saved = SavedMethod(method=method, label=label)

    def change(one: Payer) -> Payer:
        name = method.fingerprint
        others = tuple(
            each for each in one.methods if each.method.fingerprint != name
        )
        if saved in one.methods:
            return one
        return attrs.evolve(one, methods=(*others, saved))

    word = _Word(Kind.PAYER, payer, "SaveMethod", by, reason, version)
    return _change_payer(word, change)


def remove_method(
    payer: str,
    method: PaymentMethodRef,
    as_of: date,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Keep that a payer has a payment method no longer (A7)."""
    check_date(as_of, "as_of")

    word = _Word(Kind.PAYER, payer, "RemoveMethod", by, reason, version)
    done = yield from _change_payer(
        word, lambda one: _without_method(one, method, as_of)
    )
    yield from _wake(payer, method, as_of)
    return done


def _wake(payer: str, method: PaymentMethodRef, as_of: date) -> BookFlow[None]:
    """
    Give the orders of a method a turn, which tells that it is gone (N2).

    A wake-up that is lost costs nothing that matters: the order has a turn
    on its next date.
    """
    try:
        woken = tuple(
            Turned(
                id=each.id,
                number=each.number,
                next_on=min(each.next_on or as_of, as_of),
            )
            for each in (yield from owned(payer))
            if isinstance(each.version, Version)
            and each.version.autopay.method.fingerprint == method.fingerprint
        )
        if woken:
            yield AskBook("move_on", (woken,))
    except PortError:
        return


def authorize(
    payer: str,
    given: Authorization,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Keep what a payer allowed (O2)."""
    check_type(given, Authorization, "authorization")

    def change(one: Payer) -> Payer:
        if given in one.authorizations:
            return one
        return attrs.evolve(one, authorizations=(*one.authorizations, given))

    word = _Word(Kind.PAYER, payer, "Authorize", by, reason, version)
    return _change_payer(word, change)


def revoke(
    payer: str,
    id_: str,
    as_of: date,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """Keep that a payer allows something no longer (O2)."""
    check_date(as_of, "as_of")

    def change(one: Payer) -> Payer:
        if id_ not in {each.id for each in one.authorizations}:
            raise InvalidValueError(
                "the payer gave no authorisation of that id",
                code="NotInBook",
                path="authorization",
                value=id_,
            )
        return attrs.evolve(
            one,
            authorizations=tuple(
                attrs.evolve(
                    each, revoked_on=min(each.revoked_on or as_of, as_of)
                )
                if each.id == id_
                else each
                for each in one.authorizations
            ),
        )

    word = _Word(Kind.PAYER, payer, "Revoke", by, reason, version)
    return _change_payer(word, change)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Proof(Readable):
    """
    What one charge rests on (O2).

    Attributes:
        record: The run: what was announced, asked for and taken, and when.
        authorization: Who allowed it, in which words; None if it names none.
        said: The version of the payer that has it: who put it there, when.
        postings: Each invoice's share, and what went back.

    """

    record: RunRecord
    authorization: Authorization | None
    said: Version | None
    postings: tuple[Posting, ...]


def proof(key: RunKey) -> BookFlow[Proof]:
    """
    Return what a charge rests on, from what is on record.

    Raises:
        InvalidValueError: No such run is on record (``RunNotFound``).

    """
    standing = yield from read_standing(key, "", "")
    record = standing.run
    if record is None:
        raise InvalidValueError(
            "no such run is on record",
            code="RunNotFound",
            path="key",
            value=str(key),
        )
    wanted = PostingFilter(run=str(key))
    shares = yield from ask_either(ReadPostings(wanted), Posting, Unreadable)
    found = said = None
    name = "" if record.intent is None else record.intent.request.authorization
    if name:
        for version in (yield from versions(Kind.PAYER, record.payer)):
            for each in version.payer.authorizations:
                if each.id == name and said is None:
                    found, said = each, version
    return Proof(
        record=record,
        authorization=found,
        said=said,
        postings=tuple(map(decoded, shares)),
    )


def remove_association(
    payer: str,
    association: Association,
    as_of: date,
    *,
    by: str,
    reason: str,
    version: int,
) -> BookFlow[Done]:
    """
    Take an association away, and out of every order that it was in (A7).

    In one step: payer and orders.
    """
    check_date(as_of, "as_of")
    check_id(payer, "payer")
    word = _Word(Kind.PAYER, payer, "RemoveAssociation", by, reason, version)

    def plan(before: Version | None) -> BookFlow[_Plan]:
        if before is None:
            raise not_in_book(Kind.PAYER, payer)
        one = before.payer
        after = _without_association(one, association)
        orders = yield from owned(payer)
        return _Plan(
            value=after,
            others=tuple(
                _without(readable(each), one, after, as_of, word)
                for each in orders
                if _loses(readable(each).autopay, one, after)
            ),
        )

    return (yield from _carry_out(word, plan))


def preview_removal(
    payer: str,
    what: Association | PaymentMethodRef,
    as_of: date,
    terms: Terms,
) -> BookFlow[tuple[Preview, ...]]:
    """Return what each order would lose; write nothing (A7)."""
    check_date(as_of, "as_of")
    version = yield from standing_version(Kind.PAYER, payer)
    before = version.payer
    if isinstance(what, Association):
        after = _without_association(before, what)
    else:
        after = _without_method(before, what, as_of)
    found: list[Preview] = []
    for each in (yield from owned(payer)):
        order = readable(each)
        was = in_hand(order.autopay, before, as_of, terms)
        will_be = in_hand(order.autopay, after, as_of, terms)
        if was == will_be:
            continue
        known, _ = yield from known_of(order.autopay, as_of)
        lost = known
        if will_be.is_method_gone:
            lost = attrs.evolve(known, holds=(*known.holds, _METHOD_GONE))
        outlook = yield from outlook_of(will_be.autopay, as_of, lost, terms)
        if will_be.is_method_gone:
            outlook = attrs.evolve(outlook, next_charge=None)
        found.append(
            Preview(
                version=version.number,
                before=(
                    yield from outlook_of(was.autopay, as_of, known, terms)
                ),
                after=outlook,
                autopay=will_be.autopay,
            )
        )
    return tuple(found)


def _without_association(one: Payer, association: Association) -> Payer:
    left = tuple(
        each for each in one.associations if each.association != association
    )
    if len(left) == len(one.associations):
        raise InvalidValueError(
            "the payer is not associated with it",
            code="NotAssociated",
            path="association",
            value=association.client,
        )
    return attrs.evolve(one, associations=left)


def _without_method(
    one: Payer, method: PaymentMethodRef, as_of: date
) -> Payer:
    if not one.has(method, as_of):
        raise InvalidValueError(
            "the payer does not have this payment method",
            code="MethodNotSaved",
            path="method",
        )
    return attrs.evolve(
        one,
        methods=tuple(
            attrs.evolve(each, removed_on=as_of)
            if each.method.fingerprint == method.fingerprint
            else each
            for each in one.methods
        ),
    )


def _loses(autopay: AutoPay, before: Payer, after: Payer) -> bool:
    return any(
        before.covers(each.association) and not after.covers(each.association)
        for each in autopay.enrollments
    )


def _without(
    version: Version, before: Payer, after: Payer, as_of: date, word: _Word
) -> Draft:
    """Take what the payer is no longer associated with out of an order."""
    autopay = version.autopay
    stays = tuple(
        each
        for each in autopay.enrollments
        if after.covers(each.association)
        or not before.covers(each.association)
    )
    changed = attrs.evolve(autopay, enrollments=stays)
    return Draft(
        value=changed,
        number=version.number + 1,
        command=word.command,
        by=word.by,
        reason=word.reason,
        left=_left(version, changed),
        next_on=as_of,
    )
