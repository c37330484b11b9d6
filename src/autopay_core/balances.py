"""
Whether a balance can be true: its moment, and what it should be (B0 to B2).

Holds: `check_balances` and what it takes and gives (`Expected`, `ShareStep`,
`Checked`, `Barred`, `Rise`); `accepted`, and `share_step` for stores. Imports:
`_checks`, `_reasons`, `errors`, `invoices`, `money`, `policy`, `postings` and
`references`. It reads and writes nothing: the rows that are to be kept are
part of the answer.

A balance is somebody else's word, and it is believed as far as our own books
allow: what was applied must have lowered it, what it cannot show yet is still
open, and what is not returned is not thereby paid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_date,
    an_id,
    an_instant,
    check_instant,
    optional,
)
from autopay_core._reasons import Reason
from autopay_core.errors import IncompleteReadError
from autopay_core.invoices import Invoice
from autopay_core.money import Money, a_positive
from autopay_core.policy import OLDEST_BALANCE
from autopay_core.postings import OPEN_STATUSES, Posting, PostingStatus
from autopay_core.references import ClientId, InvoiceNumber, MatterId

__all__ = [
    "CLOCK_SLACK",
    "GONE_FOR",
    "LOOK_BACK",
    "Barred",
    "Checked",
    "Expected",
    "Rise",
    "ShareStep",
    "ShareStepKind",
    "accepted",
    "check_balances",
    "share_step",
    "steps_needed_since",
]

CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clock of who states a moment may differ from the store's."""

LOOK_BACK: Final = timedelta(days=60)
"""For how long a share that left open may be missing from a balance (B1)."""

GONE_FOR: Final = timedelta(days=60)
"""How long an invoice is waited for that is not returned (B2)."""

# A row that says what it said is written again this often, so that what is
# counted from never lies further back than what the store hands out.
_REFRESH: Final = timedelta(days=30)


class ShareStepKind(Choice):
    """What became of a share that we captured, for the balance (B1)."""

    APPLIED = "applied"
    """The ledger shows it: the balance falls."""
    REMOVED = "removed"
    """Handled by hand: the balance falls."""
    UNAPPLIED = "unapplied"
    """The ledger took it back: the balance rises (P3)."""
    RESTORED = "restored"
    """It was not handled after all: the balance rises (P3)."""
    REVERSED = "reversed"
    """The money went back: the balance rises (P4)."""


_FALLS: Final = frozenset({ShareStepKind.APPLIED, ShareStepKind.REMOVED})


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ShareStep(Readable):
    """
    One step of a share out of open, or back (B0, B1).

    Attributes:
        posting: The share's posting; a reversal's own for `REVERSED`.
        invoice: The invoice's number.
        amount: The share, or what went back of it; above zero.
        kind: What became of it.
        at: When, by the store's clock.

    """

    posting: str = attrs.field(validator=an_id)
    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    amount: Money = attrs.field(
        validator=a_positive("PostingSign", "a share must be above zero")
    )
    kind: ShareStepKind = attrs.field(validator=a(ShareStepKind))
    at: datetime = attrs.field(validator=an_instant)

    @property
    def falls(self) -> bool:
        """Whether the balance falls by it; else it rises."""
        return self.kind in _FALLS


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Expected(Readable):
    """
    What an invoice's balance should be at most, as the store keeps it (B1).

    Attributes:
        invoice: The invoice's number.
        client: Its client.
        matter: Its matter.
        issued_on: Its date.
        figure: The most that a balance may be at *counted_at*.
        balance: What the last read said.
        counted_at: Steps up to here are in *figure*.
        fitted_at: The last read that fitted, as far as it was written down.
        smallest: Of our shares that left open since *fitted_at* and lie
            further back than the store looks, the smallest; None for none.
        gone_since: The first read that did not return it, or None (B2).
        replaces: The number whose place it took when it was first seen, or
            empty (B2).

    """

    invoice: InvoiceNumber | str = attrs.field(validator=an_id)
    client: ClientId | str = attrs.field(validator=an_id)
    matter: MatterId | str = attrs.field(validator=an_id)
    issued_on: date = attrs.field(validator=a_date)
    figure: Money = attrs.field(validator=a(Money))
    balance: Money = attrs.field(validator=a(Money))
    counted_at: datetime = attrs.field(validator=an_instant)
    fitted_at: datetime = attrs.field(validator=an_instant)
    smallest: Money | None = attrs.field(
        default=None, validator=optional(a(Money))
    )
    gone_since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    replaces: str = attrs.field(default="", validator=a(str))


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Barred(Readable):
    """
    An invoice that gets nothing for what its balance says (B1, B2).

    Attributes:
        reason: `Reason.BALANCE_UNEXPECTED` or `Reason.LOOKS_ALIKE`.
        read: The balance that was read.
        expected: What it should be at most; None for a look-alike.
        other: The invoice whose place it takes; empty if it takes none.

    """

    reason: Reason
    read: Money
    expected: Money | None = None
    other: str = ""


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Rise(Readable):
    """
    A balance that rose by less than any of our shares: interest, say (B1).

    Attributes:
        invoice: The invoice's number.
        read: The balance that was read; it is what is expected from now on.
        expected: What was expected before.

    """

    invoice: str
    read: Money
    expected: Money


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Checked(Readable):
    """
    What a read is worth (B0 to B2).

    Attributes:
        moment: For when its balances hold.
        open_amounts: What they do not show, by invoice number: what was
            given, and the shares that left open after that moment.
        barred: Invoices that get nothing, by number.
        rises: Small rises, by number; they are paid, and noted.
        expected: The rows that have changed and are to be written.
        gone: What was expected, is not returned, and is not paid off by us.
        vanished: Those of them that were there at the read before.
        ended: Those of them that have been gone for `GONE_FOR`.
        paid_off: Numbers of what is not returned and our shares cover whole.
        overpaid: Invoices on which we paid and that show a credit now, or a
            larger one than at the read before, in order of number.

    """

    moment: datetime
    open_amounts: Mapping[str, Money]
    barred: Mapping[str, Barred]
    rises: tuple[Rise, ...]
    expected: tuple[Expected, ...]
    gone: tuple[Expected, ...]
    vanished: tuple[Expected, ...]
    ended: tuple[Expected, ...]
    paid_off: tuple[str, ...]
    overpaid: tuple[Invoice, ...] = ()


def steps_needed_since(
    expected: Iterable[Expected], now: datetime, /
) -> datetime:
    """
    Return from when on `check_balances` needs the steps of shares.

    The last 60 days, and further back if a row of which something is left was
    not counted for longer.
    """
    counted = [each.counted_at for each in expected if each.figure.is_positive]
    return min([now - LOOK_BACK, *counted])


def accepted(row: Expected, figure: Money, at: datetime, /) -> Expected:
    """
    Return *row* with a figure that a person says is right (B1).

    Args:
        row: What was expected.
        figure: What the balance is; in the row's currency, or in that of the
            balance that was read.
        at: The store's time.

    """
    return attrs.evolve(
        row,
        figure=figure,
        balance=figure,
        counted_at=at,
        fitted_at=at,
        smallest=None,
    )


def check_balances(  # noqa: PLR0913 - one parameter for each thing known
    invoices: Iterable[Invoice],
    /,
    *,
    stated_at: datetime | None,
    now: datetime,
    open_amounts: Mapping[str, Money],
    recent: Sequence[ShareStep],
    expected: Mapping[str, Expected],
    reserved: Mapping[str, Money] | None = None,
    reversals: Mapping[str, Money] | None = None,
    distinct: Collection[frozenset[str]] = (),
    oldest: timedelta | None = None,
) -> Checked:
    """
    Check what was read against our own books (B0 to B2).

    Args:
        invoices: All that was read; two rows of one number that contradict
            each other are left to `allocate`, which leaves them out.
        stated_at: For when the balances hold; None for the call itself. A
            moment that is still to come counts as now; only with None is no
            allowance made for clocks that differ (`CLOCK_SLACK`).
        now: The store's time.
        open_amounts: By invoice number, what no balance shows yet: our open
            shares, and the reservations of other runs (L1).
        recent: The steps of shares on these invoices, from
            `steps_needed_since` on, in the order in which they were made.
        expected: The rows on record of all that the read was to return, by
            invoice number. One that is not returned is gone, so a row of
            what was not asked for must not be among them.
        reserved: Of *open_amounts*, what is only reserved: no money of it may
            be in a ledger.
        reversals: By invoice number, what went back and the ledger does not
            show yet; above zero.
        distinct: Pairs of numbers of which a person said that they are two.
        oldest: Balances stated longer ago are unreadable
            (`Policy.oldest_balance`); `OLDEST_BALANCE` at most.

    Raises:
        IncompleteReadError: The balances were stated too long ago
            (``BalanceTooOld``).
        InvalidValueError: An instant without a zone (``NaiveDatetime``).

    """
    check_instant(now, "now")
    moment, since = _moment(stated_at, now)
    _check_age(moment, now, oldest)
    books = _Books(
        now,
        moment,
        since,
        recent,
        open_amounts,
        reserved or {},
        reversals or {},
    )
    returned, unclear = _by_number(invoices)
    absent = [
        each
        for number, each in sorted(expected.items())
        if number not in returned and number not in unclear
    ]
    rows: dict[str, Expected] = {}
    barred: dict[str, Barred] = {}
    rises: list[Rise] = []
    overpaid: list[Invoice] = []
    for number, invoice in sorted(returned.items()):
        row = expected.get(number)
        if row is None:
            rows[number] = books.first_sight(invoice, absent)
        else:
            if books.is_overpaid(invoice, row):
                overpaid.append(invoice)
            rows[number], finding = books.seen_again(invoice, row)
            if isinstance(finding, Barred):
                barred[number] = finding
            elif finding is not None:
                rises.append(finding)
        other = rows[number].replaces
        if books.is_replaced(other, absent) and (
            frozenset({number, other}) not in distinct
        ):
            barred[number] = Barred(
                reason=Reason.LOOKS_ALIKE, read=invoice.balance, other=other
            )
    paid_off = [each.invoice for each in absent if books.covers(each)]
    missing = [books.kept(each) for each in absent]
    gone = [
        attrs.evolve(each, gone_since=each.gone_since or now)
        for each in missing
        if each.invoice not in paid_off and not books.is_behind(each)
    ]
    rows.update((each.invoice, each) for each in (*missing, *gone))
    return Checked(
        moment=moment,
        open_amounts=books.open_amounts,
        barred=barred,
        rises=tuple(each for each in rises if each.invoice not in barred),
        expected=tuple(
            each
            for number, each in sorted(rows.items())
            if each != expected.get(number)
        ),
        gone=tuple(gone),
        vanished=tuple(
            each for each in gone if expected[each.invoice].gone_since is None
        ),
        ended=tuple(
            each
            for each in gone
            if each.gone_since is not None
            and now - each.gone_since >= GONE_FOR
        ),
        paid_off=tuple(paid_off),
        overpaid=tuple(overpaid),
    )


def _moment(
    stated_at: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """Return for when balances hold, and since when they miss what is new."""
    if stated_at is None:
        return now, now
    check_instant(stated_at, "stated_at")
    # A moment that is still to come shows how far the clocks are apart.
    moment = min(stated_at, now)
    return moment, moment - CLOCK_SLACK


def _check_age(
    moment: datetime, now: datetime, oldest: timedelta | None
) -> None:
    most = OLDEST_BALANCE if oldest is None else min(oldest, OLDEST_BALANCE)
    if now - moment > most:
        raise IncompleteReadError(
            f"the balances are of {moment.isoformat()}, and none may be older "
            f"than {most}; nothing is charged on them",
            code="BalanceTooOld",
        )


def _by_number(
    invoices: Iterable[Invoice],
) -> tuple[dict[str, Invoice], set[str]]:
    """Return the invoices by number, and the numbers that contradict."""
    found: dict[str, Invoice] = {}
    unclear: set[str] = set()
    for each in invoices:
        if found.setdefault(each.number, each) != each:
            unclear.add(each.number)
    for number in unclear:
        del found[number]
    return found, unclear


class _Books:
    """What our own books say about one read, and what they make of it."""

    def __init__(
        self,
        now: datetime,
        moment: datetime,
        since: datetime,
        recent: Sequence[ShareStep],
        open_amounts: Mapping[str, Money],
        reserved: Mapping[str, Money],
        reversals: Mapping[str, Money],
    ) -> None:
        self._now, self._moment, self._since = now, moment, since
        self._reversals = reversals
        self._steps: dict[str, list[ShareStep]] = {}
        latest: dict[str, ShareStep] = {}
        for each in recent:
            self._steps.setdefault(each.invoice, []).append(each)
            latest[each.posting] = each
        self.open_amounts = dict(open_amounts)
        # Our shares of them: what is only reserved is in no ledger.
        self._shares = {
            number: amount - reserved[number] if number in reserved else amount
            for number, amount in open_amounts.items()
        }
        # What left open, and did not come back, after the balances were
        # stated: they cannot show it, so for them it is still open (B0).
        for each in latest.values():
            if each.falls and each.at > since:
                for amounts in (self.open_amounts, self._shares):
                    known = amounts.get(each.invoice)
                    amounts[each.invoice] = (
                        each.amount
                        if known is None
                        else _plus(known, each.amount)
                    )

    # -- One invoice ---------------------------------------------------------

    def first_sight(
        self, invoice: Invoice, absent: Sequence[Expected]
    ) -> Expected:
        """Believe the balance, and what it may show of our open shares."""
        return Expected(
            invoice=invoice.number,
            client=invoice.client,
            matter=invoice.matter,
            issued_on=invoice.issued_on,
            figure=_plus(invoice.balance, self._shares.get(invoice.number)),
            balance=invoice.balance,
            counted_at=self._since,
            fitted_at=self._moment,
            replaces=min(
                (
                    each.invoice
                    for each in absent
                    if _takes_the_place(invoice, each)
                ),
                key=lambda number: (not self._is_on_the_way(number), number),
                default="",
            ),
        )

    def seen_again(
        self, invoice: Invoice, row: Expected
    ) -> tuple[Expected, Barred | Rise | None]:
        """Compare the balance with what is expected of it (B1)."""
        read = invoice.balance
        row_now = row
        if not self.is_behind(row):
            row_now = attrs.evolve(
                row,
                client=invoice.client,
                matter=invoice.matter,
                issued_on=invoice.issued_on,
                balance=read,
                gone_since=None,
            )
        most = self._figure(row, self._since)
        unexpected = Barred(
            reason=Reason.BALANCE_UNEXPECTED, read=read, expected=most
        )
        if row.figure.currency != read.currency:
            return row_now, unexpected
        if read <= most:
            shown = _plus(
                _plus(read, self._shares.get(invoice.number)),
                self._reversals.get(invoice.number),
            )
            return self._fitted(row_now, min(most, shown), most), None
        if not read.is_positive:  # a smaller credit: nothing is owed
            return self.kept(row_now), None
        smallest = self._smallest(row)
        if self.is_behind(row) or (
            smallest is not None and read - most >= smallest
        ):
            return self.kept(row_now), unexpected
        rise = Rise(invoice=invoice.number, read=read, expected=most)
        return self._fitted(row_now, read, most), rise

    def is_overpaid(self, invoice: Invoice, row: Expected) -> bool:
        """
        Tell whether payments crossed: a credit that is new, where we paid.

        One that was there at the read before has been told of.
        """
        read = invoice.balance
        return (
            read.is_negative
            and not self.is_behind(row)
            and row.balance.currency == read.currency
            and read < row.balance
            and self._was_paid(invoice.number)
        )

    def _was_paid(self, number: str) -> bool:
        share = self._shares.get(number)  # Without what is only reserved.
        return (share is not None and share.is_positive) or any(
            each.falls for each in self._steps.get(number, ())
        )

    def is_behind(self, row: Expected) -> bool:
        """
        Tell whether a later balance of *row* was read before.

        Then what is higher is not a rise, and what is missing not gone.
        """
        return self._moment < row.fitted_at

    def _fitted(self, row: Expected, figure: Money, most: Money) -> Expected:
        """Return *row* with the figure that it has from now on, if news."""
        counted_at = max(row.counted_at, self._since)
        figure_then = self._figure(row, counted_at)
        if (
            figure == most
            and figure_then == row.figure
            and row.smallest is None
            and not self._is_old(row)
        ):
            return row
        return attrs.evolve(
            row,
            # A stale read says something about a time before the row's.
            figure=figure + figure_then - most,
            counted_at=counted_at,
            fitted_at=max(row.fitted_at, self._moment),
            smallest=None,
        )

    def _is_old(self, row: Expected) -> bool:
        return row.figure.is_positive and (
            self._now - row.counted_at > _REFRESH
        )

    def kept(self, row: Expected) -> Expected:
        """
        Return *row* brought up to date, as far as that must be written.

        If steps have changed the figure; or if what it is counted from lies
        so far back that the steps since then will not be handed out for ever.
        """
        counted_at = max(row.counted_at, self._since)
        figure = self._figure(row, counted_at)
        if figure == row.figure and not self._is_old(row):
            return row
        return attrs.evolve(
            row,
            figure=figure,
            counted_at=counted_at,
            smallest=self._smallest(row),
        )

    def covers(self, row: Expected) -> bool:
        """Tell whether our shares on the way cover an invoice whole (S7)."""
        left = self._figure(row, self._since)
        share = self._shares.get(row.invoice)
        if share is not None and share.currency == left.currency:
            left -= share
        return not left.is_positive

    # -- Look-alikes (B2) ----------------------------------------------------

    def is_replaced(self, number: str, absent: Sequence[Expected]) -> bool:
        """Tell whether an invoice is gone while money is on its way to it."""
        return self._is_on_the_way(number) and any(
            each.invoice == number for each in absent
        )

    def _is_on_the_way(self, number: str) -> bool:
        amount = self.open_amounts.get(number)
        return amount is not None and amount.is_positive

    # -- Steps of shares (B1) ------------------------------------------------

    def _figure(self, row: Expected, at: datetime) -> Money:
        """Return what is expected of *row* when the balances held."""
        figure = row.figure
        for each in self._steps.get(row.invoice, ()):
            if each.amount.currency != figure.currency:
                continue
            change = -each.amount if each.falls else each.amount
            if row.counted_at < each.at <= at:
                figure += change
            elif at < each.at <= row.counted_at:
                figure -= change
        return figure

    def _smallest(self, row: Expected) -> Money | None:
        """Return the smallest share that the balance should have shown."""
        shares = [
            each.amount
            for each in self._steps.get(row.invoice, ())
            if each.falls
            and each.at <= self._since
            and (each.at > row.fitted_at or each.at >= self._now - LOOK_BACK)
            and each.amount.currency == row.figure.currency
        ]
        if row.smallest is not None:
            shares.append(row.smallest)
        return min(shares, default=None)


def _plus(amount: Money, other: Money | None) -> Money:
    """Add *other*, unless there is none, or in another currency (M3)."""
    if other is None or other.currency != amount.currency:
        return amount
    return amount + other


def _takes_the_place(invoice: Invoice, row: Expected) -> bool:
    """Tell whether *invoice* could be *row*'s under a new number (B2)."""
    return (
        invoice.client,
        invoice.matter,
        invoice.issued_on,
        invoice.balance,
    ) == (row.client, row.matter, row.issued_on, row.balance)


def share_step(
    before: PostingStatus | None, after: Posting, at: datetime, /
) -> ShareStep | None:
    """
    Return what a posting's step is for the balance, or None (B1, P3).

    A reversal's is that it was written: money went back.

    Args:
        before: Where the posting stood; None for a new one.
        after: The posting as it stands now.
        at: Store time of the step.

    """
    if after.amount.is_negative:
        if before is not None:
            return None
        kind = ShareStepKind.REVERSED
    else:
        was_open = before is None or before in OPEN_STATUSES
        if was_open == after.is_open:
            return None
        kind = _BACK[before] if after.is_open else _OUT[after.status]
    return ShareStep(
        posting=after.id,
        invoice=after.invoice,
        amount=-after.amount if after.amount.is_negative else after.amount,
        kind=kind,
        at=at,
    )


_OUT: Final = {
    PostingStatus.APPLIED: ShareStepKind.APPLIED,
    PostingStatus.REMOVED: ShareStepKind.REMOVED,
}
_BACK: Final[Mapping[PostingStatus | None, ShareStepKind]] = {
    PostingStatus.APPLIED: ShareStepKind.UNAPPLIED,
    PostingStatus.REMOVED: ShareStepKind.RESTORED,
}
