"""
What payers get to read: letters, receipts and statements (N5).

Holds: `Letter`, `Section`, their words and page (`WORDS`, `PAGE`), and
`letter`, `digests`, `receipt`, `statement`. Imports: `show.sentences`,
`show.tables`, `notices`, `runs` and the values. A host replaces the words or
the page. What stands in a value is data: it is put into the words as it is,
and escaped once where HTML is made of the whole. Ids of a ledger or a gateway
that look like card numbers are masked (E3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from html import escape
from string import Template
from types import MappingProxyType
from typing import Final, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_link_if_any,
    check_date,
    clean_text,
    masked_text,
    some_of,
    tuple_of,
)
from autopay_core.corrections import shares_now
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.notices import Audience, Notice, NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord, RunState, postings_of
from autopay_core.show.sentences import notice_facts
from autopay_core.show.tables import Table, sums

__all__ = [
    "PAGE",
    "WORDS",
    "Letter",
    "Section",
    "digests",
    "letter",
    "receipt",
    "statement",
]

_K: Final = NoticeKind
_TAKEN: Final = "We took $amount from $method on $on for $name."
_NEXT: Final = "The next payment date is $next_on."
_REFERENCE: Final = "The payment reference is $reference."
# Also after a payment of all that could be paid: something may be on hold.
_PAID: Final = (_TAKEN, "$left is still owed.", _NEXT, _REFERENCE)
_OF_ORDER: Final = "This is about $name."

WORDS: Final[Mapping[NoticeKind, tuple[str, ...]]] = MappingProxyType(
    {
        _K.PAID: _PAID,
        _K.PAID_IN_PART: _PAID,
        _K.FAILED: (
            "The payment of $amount on $on for $name was not made.",
            "$detail",
            _NEXT,
        ),
        _K.NOTHING_DUE: (
            "Nothing was due on $on for $name, so nothing was taken.",
            _NEXT,
        ),
        _K.UPCOMING: (
            "We will take at most $amount from $method on $on for $name.",
        ),
        _K.PLAN_PAID_OFF: (
            "The payment plan $name is paid off.",
            "$detail",
            _REFERENCE,
        ),
        _K.ENDING_SOON: (_OF_ORDER, "$detail"),
        _K.ENDED: ("The automatic payments for $name have ended.", "$detail"),
        _K.ENROLLMENT_ENDED: (_OF_ORDER, "$detail"),
        _K.PAUSED: (
            "The automatic payments for $name are paused.",
            "$detail",
        ),
        _K.RESUMED: (
            "The automatic payments for $name have resumed.",
            "$detail",
        ),
        _K.CHANGED: (
            "The automatic payments for $name were changed.",
            "$detail",
            _NEXT,
        ),
        _K.RENEWED: (
            "The automatic payments for $name were renewed.",
            "$detail",
            _NEXT,
        ),
        _K.METHOD_EXPIRING: (_OF_ORDER, "$detail"),
        _K.METHOD_REMOVED: (_OF_ORDER, "$detail", _NEXT),
        _K.RETURNED: (
            "$amount of a payment for $name went back on $on.",
            _REFERENCE,
        ),
        _K.REINSTATED: (
            "$amount of a payment for $name came again on $on.",
            _REFERENCE,
        ),
        _K.NEEDS_PAYER: (
            "The payment of $amount for $name needs your approval.",
            "$detail",
        ),
    }
)
"""
What a payer is told of each kind of notice, sentence by sentence.

A sentence whose facts are not all known is left out, and one about what is
still owed when that is nothing. The facts are ``$name``,
``$amount``, ``$on``, ``$method``, ``$reference``, ``$left``, ``$next_on``,
``$detail`` and ``$payer``. A kind that is missing is told by its detail.
"""

PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
body{margin:0 auto;padding:1.5em;max-width:42em;line-height:1.5;
font-family:system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.4em}h2{font-size:1.15em}
table{border-collapse:collapse;margin:1em 0}
caption{text-align:left;font-weight:bold;padding:1px 8px}
thead,tfoot{font-weight:bold}
@media (max-width:40em){body{padding:1em}
th,td{white-space:normal!important;min-width:0!important}}
@media print{body{max-width:none;padding:0}}
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
"""
"""The page around a letter: ``$title`` and ``$body`` are put in its place."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Section(Readable):
    """
    A part of a letter.

    Attributes:
        heading: Stands above it; may be empty.
        paragraphs: What it says.
        tables: What it shows below that.
        link: Where the payer acts; empty for nowhere. Not in the repr.

    """

    heading: str = attrs.field(default="", validator=a(str))
    paragraphs: tuple[str, ...] = attrs.field(
        default=(), validator=tuple_of(str)
    )
    tables: tuple[Table, ...] = attrs.field(
        default=(), validator=tuple_of(Table)
    )
    link: str = attrs.field(default="", validator=a_link_if_any, repr=False)


@final
@attrs.frozen(kw_only=True, repr=False)
class Letter(Readable):
    """
    Something to read, as text and as a page.

    Attributes:
        subject: What it is about, in a line.
        sections: What stands in it.

    """

    subject: str = attrs.field(validator=a(str))
    sections: tuple[Section, ...] = attrs.field(validator=tuple_of(Section))

    def __str__(self) -> str:
        """Return subject and text."""
        return f"{clean_text(self.subject)}\n\n{self.text}"

    @property
    def text(self) -> str:
        """The letter as plain text, without its subject."""
        return "\n\n".join(map(_text_of, self.sections))

    def html(self, page: str = PAGE) -> str:
        """
        Return the letter as a page; every text is escaped.

        Args:
            page: HTML with ``$title`` and ``$body``, and no other ``$`` that
                is not doubled; the host's own, such as with its name on top.

        Raises:
            InvalidValueError: The page lacks one of the two, or has another
                (``TemplateFormat``).

        """
        if set(_names_in(page, "page")) != {"title", "body"}:
            raise InvalidValueError(
                "a page has the places $title and $body, and no other",
                code="TemplateFormat",
                path="page",
            )
        body = "\n".join(map(_html_of, self.sections))
        title = _escaped(self.subject)
        return Template(page).substitute(
            title=title, body=f"<h1>{title}</h1>\n{body}"
        )

    def _repr_html_(self) -> str:
        """Return what stands in it, for a notebook."""
        body = "\n".join(map(_html_of, self.sections))
        return f"<h2>{_escaped(self.subject)}</h2>\n{body}"


def _text_of(section: Section) -> str:
    parts = [
        clean_text(section.heading),
        "\n".join(map(clean_text, section.paragraphs)),
        clean_text(section.link),
        *map(str, section.tables),
    ]
    return "\n\n".join(filter(None, parts))


def _html_of(section: Section) -> str:
    parts = [f"<p>{_escaped(each)}</p>" for each in section.paragraphs]
    if section.heading:
        parts.insert(0, f"<h2>{_escaped(section.heading)}</h2>")
    if section.link:
        link = _escaped(section.link)
        parts.append(f'<p><a href="{link}">{link}</a></p>')
    parts += [each.html() for each in section.tables]
    return "\n".join(parts)


def _escaped(text: str) -> str:
    return escape(clean_text(text))


def _names_in(text: str, path: str) -> list[str]:
    """Return the places that a host's template has."""
    template = Template(text)
    if not template.is_valid():
        raise InvalidValueError(
            "a dollar sign stands before a name, or is doubled",
            code="TemplateFormat",
            path=path,
        )
    return template.get_identifiers()


# -- Of a notice --------------------------------------------------------------


def letter(
    notice: Notice,
    audience: Audience = Audience.PAYER,
    /,
    *,
    words: Mapping[NoticeKind, tuple[str, ...]] = WORDS,
) -> Letter:
    """
    Write to somebody what a notice tells (N5).

    A payer reads sentences and what each invoice gets; the firm reads these
    and every fact, with the codes.

    Args:
        notice: What is told.
        audience: Whom it is written to.
        words: The sentences for each kind; a host's own, such as in another
            language.

    Raises:
        InvalidValueError: A sentence has a place that no fact fills, or a
            dollar sign that is none (``TemplateFormat``).

    """
    name = notice.name or notice.autopay
    title = f"{notice.title}: {name}" if name else notice.title
    return Letter(subject=title, sections=(_section(notice, audience, words),))


def digests(
    notices: Iterable[Notice],
    receiver: Callable[[Notice, Audience], str | None],
    /,
    *,
    words: Mapping[NoticeKind, tuple[str, ...]] = WORDS,
) -> dict[str, Letter]:
    """
    Gather what several notices tell into one letter for each receiver (N5).

    Args:
        notices: What is told, in the order in which it is to be read.
        receiver: Who is told of a notice as one of its audiences, by any name
            that the host likes, such as an address; None for nobody.
        words: As of `letter`.

    """
    found: dict[str, list[tuple[Notice, Audience]]] = {}
    for notice in notices:
        for audience in sorted(notice.audience, key=lambda each: each.value):
            to = receiver(notice, audience)
            if to is not None:
                found.setdefault(to, []).append((notice, audience))
    return {to: _digest(of, words) for to, of in found.items()}


def _digest(
    of: list[tuple[Notice, Audience]],
    words: Mapping[NoticeKind, tuple[str, ...]],
) -> Letter:
    letters = [letter(*each, words=words) for each in of]
    if len(letters) == 1:
        return letters[0]
    return Letter(
        subject=f"AutoPay: {len(letters)} messages",
        sections=tuple(
            attrs.evolve(section, heading=each.subject)
            for each in letters
            for section in each.sections
        ),
    )


def _section(
    notice: Notice,
    audience: Audience,
    words: Mapping[NoticeKind, tuple[str, ...]],
) -> Section:
    if audience is Audience.PAYER:
        notice = _masked(notice)
    said = tuple(_said(notice, words.get(notice.kind, ("$detail",))))
    tables = [_lines(notice)] if notice.lines else []
    if audience is Audience.FIRM:
        facts = {
            label: fact
            for label, fact in notice_facts(notice).items()
            if fact and label not in {"Invoices", "Link"}
        }
        tables.append(_facts(facts))
    return Section(
        paragraphs=said,
        tables=tuple(tables),
        # Who approves is the payer.
        link=notice.link if audience is Audience.PAYER else "",
    )


def _masked(notice: Notice) -> Notice:
    """Return a notice for a payer's eyes (E3)."""
    return attrs.evolve(
        notice,
        reference=masked_text(notice.reference),
        lines=tuple(
            attrs.evolve(each, invoice=masked_text(each.invoice))
            for each in notice.lines
        ),
    )


def _said(notice: Notice, words: Iterable[str]) -> Iterator[str]:
    facts = {
        "name": notice.name or notice.autopay,
        "payer": notice.payer,
        "amount": _or_empty(notice.amount),
        "on": notice.on.isoformat(),
        "method": notice.method,
        "reference": notice.reference,
        "left": ""
        if notice.left is None or notice.left.is_zero
        else str(notice.left),
        "next_on": _or_empty(notice.next_on),
        "detail": notice.detail,
    }
    for sentence in words:
        names = _names_in(sentence, "words")
        unknown = next((each for each in names if each not in facts), None)
        if unknown is not None:
            raise InvalidValueError(
                f"no fact of a notice is called {unknown!r}",
                code="TemplateFormat",
                path="words",
                value=unknown,
            )
        if all(facts[each] for each in names):
            yield Template(sentence).substitute(facts)


def _or_empty(value: object) -> str:
    return "" if value is None else str(value)


def _lines(notice: Notice) -> Table:
    return _shares((each.invoice, each.amount) for each in notice.lines)


def _shares(
    of: Iterable[tuple[str, Money]], heading: str = "Invoice"
) -> Table:
    shares = list(of)
    return Table(
        title="",
        header=(heading, "Amount"),
        rows=tuple(
            (masked_text(invoice), str(amount)) for invoice, amount in shares
        ),
        footer=("Total", sums(amount for _, amount in shares)),
        numeric=frozenset({1}),
    )


def _facts(facts: Mapping[str, str]) -> Table:
    return Table(title="", header=("Details", ""), rows=tuple(facts.items()))


# -- Of a payment, and of many ------------------------------------------------


_BACK: Final[Mapping[ReversalKind, str]] = MappingProxyType(
    {
        ReversalKind.RETURN: "Returned by the bank",
        ReversalKind.REFUND: "Refunded",
        ReversalKind.CHARGEBACK: "Taken back in a dispute",
        ReversalKind.REINSTATED: "Paid again",
    }
)


def receipt(record: RunRecord, /) -> Letter:
    """
    Write the receipt of a payment, from the run's record alone (N5).

    With what went back of it, came again, or was put on other invoices, as
    far as that is on record.

    Raises:
        InvalidValueError: Nothing is known to be taken in that run
            (``NotCaptured``).

    """
    if record.state is not RunState.PAID:
        raise InvalidValueError(
            "only a paid run has a receipt",
            code="NotCaptured",
            path="record.state",
            value=record.state.value,
        )
    postings = postings_of(record)
    captured, intent = record.captured, record.intent
    assert captured is not None
    assert intent is not None
    taken = (
        f"{captured.amount} was taken from {intent.request.method.described} "
        f"on {record.charge_on} for {_name_of(record)}."
    )
    stands_now = ""
    tables = [_shares((each.invoice, each.amount) for each in postings)]
    moved = [each for each in record.reversals if not each.to]
    if moved:
        stands = Money.total(
            (captured.amount, *map(_signed, moved)),
            captured.amount.currency,
        )
        stands_now = (
            f"With what went back or came again, {stands} of it remains."
        )
        tables.append(
            Table(
                title="",
                header=("Date", "What", "Amount"),
                rows=tuple(
                    (str(each.on), _BACK[each.kind], str(_signed(each)))
                    for each in moved
                ),
                numeric=frozenset({2}),
            )
        )
    if len(moved) < len(record.reversals):
        tables.append(_shares(shares_now(record).items(), "Stands on invoice"))
    tables.append(
        _facts(
            {
                "Payer": record.payer,
                "Payment reference": masked_text(captured.reference),
                "Run": str(record.key),
            }
        )
    )
    return Letter(
        subject=f"Receipt: {captured.amount} on {record.charge_on}",
        sections=(
            Section(
                paragraphs=tuple(filter(None, (taken, stands_now))),
                tables=tuple(tables),
            ),
        ),
    )


def statement(
    records: Iterable[RunRecord],
    /,
    *,
    payer: str,
    from_on: date,
    through: date,
) -> Letter:
    """
    Write what was taken from a payer in some time, and what went back (N5).

    A payment counts on its charge date, what went back on its own. What is
    still under way is not in it.

    Args:
        records: Runs in any order; those of other payers are left out.
        payer: Whose statement it is.
        from_on: First date, in the firm's zone.
        through: Last date.

    Raises:
        InvalidValueError: One of the two is no date, or the last is before
            the first (``DatesOrder``).

    """
    check_date(from_on, "from_on")
    check_date(through, "through")
    if through < from_on:
        raise InvalidValueError(
            "the last date is before the first",
            code="DatesOrder",
            path="through",
            value=str(through),
        )
    moves = sorted(
        (
            each
            for record in records
            if record.payer == payer and record.state is RunState.PAID
            for each in _moves(record)
            if from_on <= each.on <= through
        ),
        key=_Move.place,
    )
    currencies = sorted({each.amount.currency for each in moves})
    said = (
        f"What AutoPay took from payer {payer}, and what went back."
        if moves
        else f"AutoPay took nothing from payer {payer}, and nothing went back."
    )
    return Letter(
        subject=f"Statement from {from_on} to {through}",
        sections=(
            Section(
                paragraphs=(said,),
                tables=tuple(
                    _moves_table(
                        [x for x in moves if x.amount.currency == currency]
                    )
                    for currency in currencies
                ),
            ),
        ),
    )


@attrs.frozen(kw_only=True)
class _Move:
    """A line of a statement."""

    on: date
    what: str
    record: RunRecord
    number: int
    amount: Money

    def place(self) -> tuple[date, RunKey, int]:
        return self.on, self.record.key, self.number


def _moves(record: RunRecord) -> Iterator[_Move]:
    captured = record.captured
    assert captured is not None
    yield _Move(
        on=record.charge_on,
        what="Payment",
        record=record,
        number=0,
        amount=captured.amount,
    )
    for number, each in enumerate(record.reversals, start=1):
        if each.to:
            continue  # No money moved.
        yield _Move(
            on=each.on,
            what=_BACK[each.kind],
            record=record,
            number=number,
            amount=_signed(each),
        )


def _signed(reversal: Reversal) -> Money:
    amount = reversal.amount
    return -amount if reversal.kind.takes_back else amount


def _moves_table(moves: Iterable[_Move]) -> Table:
    shown = list(moves)
    return Table(
        title="",
        header=("Date", "What", "For", "Invoices", "Reference", "Amount"),
        rows=tuple(
            (
                str(each.on),
                each.what,
                _name_of(each.record),
                some_of(
                    [masked_text(x.invoice) for x in postings_of(each.record)]
                ),
                masked_text(each.record.payment_reference or ""),
                str(each.amount),
            )
            for each in shown
        ),
        footer=("Total", *[""] * 4, sums(each.amount for each in shown)),
        numeric=frozenset({5}),
        folded=frozenset({3}),
    )


def _name_of(record: RunRecord) -> str:
    assert record.intent is not None
    return record.intent.name or record.key.autopay
