"""
What the host decides once, for all auto-pays (S13, L5, H3, H4).

Holds: `Policy`, its parts `Ceilings` and `Breaker`, and `firm_date`, the
firm's date of an instant. Imports: `_checks`, `errors`, `money`, `references`,
and the standard library's zoneinfo (in one function). Nothing here acts; the
engine, and `holds` and `balances`, ask it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, final

import attrs

from autopay_core._checks import (
    Readable,
    a,
    a_number,
    check_date,
    check_each,
    check_instant,
    check_type,
    optional,
)
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money, a_positive
from autopay_core.references import MethodKind

__all__ = ["OLDEST_BALANCE", "Breaker", "Ceilings", "Policy", "firm_date"]

OLDEST_BALANCE: Final = timedelta(days=60)
"""Age beyond which no balance is read, whatever the policy says."""

# In the database, but of another kind: the machine's own zone would be
# ambient state, and "right" zones count leap seconds.
_NOT_ZONES: Final = frozenset({"localtime", "posixrules"})
_NOT_ZONE_PREFIXES: Final = ("posix/", "right/")


def zone_named(name: object, path: str = "zone") -> tzinfo:
    """
    Return the zone of an IANA name, from the time zone database (S13).

    The one file that the core reads. It is data as the table of currencies
    is: what it says follows from the name alone, not from the machine's zone.
    """
    if name == "UTC":
        return UTC
    # Not at the top: a firm that stays in UTC never needs it.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    if (
        isinstance(name, str)
        and name not in _NOT_ZONES
        and not name.startswith(_NOT_ZONE_PREFIXES)
    ):
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            # Not found; not a relative path; a folder, or too long.
            pass
    raise InvalidValueError(
        "not in the time zone database; expected an IANA name such as "
        "'America/New_York', or the tzdata package is missing",
        code="TimeZoneUnknown",
        path=path,
        value=name,
    )


def firm_date(instant: datetime, zone: str, /) -> date:
    """
    Return the date that the firm's calendar shows at an instant (S13).

    >>> firm_date(datetime(2026, 3, 1, 4, 59, tzinfo=UTC), "America/New_York")
    datetime.date(2026, 2, 28)

    Args:
        instant: In any zone; pendulum's are accepted.
        zone: IANA name, such as ``"America/New_York"`` or ``"UTC"``.

    Raises:
        InvalidValueError: *instant* has no zone (``NaiveDatetime``) or is not
            from 1900 to 2200 there (``DateOutOfRange``), or *zone* is not in
            the time zone database (``TimeZoneUnknown``).

    """
    return date_in(instant, zone, "instant")


def date_in(instant: datetime, zone: str, path: str) -> date:
    """Return `firm_date`, under the name that the caller has for *instant*."""
    check_instant(instant, path)
    try:
        local = instant.astimezone(zone_named(zone))
    except OverflowError:
        # The first and the last day that Python has, seen from next door.
        local = instant
    found = date(local.year, local.month, local.day)
    check_date(found, path)
    return found


def _a_zone(_: object, field: attrs.Attribute[str], value: object) -> None:
    zone_named(value, field.name)


def _one_for_each_currency(
    _: object, field: attrs.Attribute[Any], value: tuple[Money, ...]
) -> None:
    check_each(value, Money, field.name)
    seen: set[str] = set()
    for place, each in enumerate(value):
        path = f"{field.name}[{place}]"
        if not each.is_positive:
            raise InvalidValueError(
                "a ceiling of nothing stops everything; hold the store "
                "instead",
                code="CapInvalid",
                path=path,
                value=each.amount_minor,
            )
        if each.currency in seen:
            raise InvalidValueError(
                "a currency has one ceiling",
                code="DuplicateValue",
                path=path,
                value=each.currency,
            )
        seen.add(each.currency)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Ceilings(Readable):
    """
    The most that is taken in one stretch, whoever asks for it (H4).

    A currency that is not named has no ceiling.

    Attributes:
        payer_day: From one payer on one day; at most one amount for each
            currency.
        night: In one night, that is for one `as_of`, from all payers.

    Raises:
        InvalidValueError: An amount of zero or less (``CapInvalid``), or two
            of one currency (``DuplicateValue``).

    """

    payer_day: tuple[Money, ...] = attrs.field(
        default=(), validator=_one_for_each_currency
    )
    night: tuple[Money, ...] = attrs.field(
        default=(), validator=_one_for_each_currency
    )

    def room_for_payer(self, taken: Money, /) -> Money | None:
        """
        Return what may still be taken from a payer today; None: any amount.

        Args:
            taken: From this payer on this day, what is under way included;
                its currency says which ceiling is meant.

        """
        return _room(self.payer_day, taken)

    def room_for_night(self, taken: Money, /) -> Money | None:
        """Return what may still be taken tonight; None: any amount."""
        return _room(self.night, taken)


def _room(ceilings: tuple[Money, ...], taken: Money) -> Money | None:
    for each in ceilings:
        if each.currency == taken.currency:
            return max(each - taken, Money.zero(taken.currency))
    return None


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Breaker(Readable):
    """
    When so much goes wrong that the store is held (H4).

    Counted are sendings of the last *within*, for each gateway account.
    Outages are not among them, neither as good nor as bad.

    Attributes:
        in_a_row: So many bad answers after each other trip it.
        of_last: Of so many sendings at most …
        more_than: … more than so many bad answers trip it.
        within: Sendings longer ago do not count.

    Raises:
        InvalidValueError: A number out of its range, so that it would trip
            always or never.

    """

    in_a_row: int = attrs.field(default=10, validator=a_number(2, 1000))
    of_last: int = attrs.field(default=40, validator=a_number(2, 1000))
    more_than: int = attrs.field(default=20, validator=a_number(1, 999))
    within: timedelta = attrs.field(
        default=timedelta(hours=1), validator=a(timedelta)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what would trip never, or count nothing."""
        if self.more_than >= self.of_last:
            raise InvalidValueError(
                f"of {self.of_last} never more than {self.more_than} are bad",
                code="OutOfRange",
                path="more_than",
                value=self.more_than,
            )
        _check_span(self.within, "within", timedelta(days=7))


def _check_span(value: timedelta, path: str, most: timedelta) -> None:
    if not timedelta(0) < value <= most:
        raise InvalidValueError(
            f"must be above zero and at most {most}",
            code="OutOfRange",
            path=path,
            value=str(value),
        )


def _an_age(
    _: object, field: attrs.Attribute[Any], value: timedelta | None
) -> None:
    if value is not None:
        check_type(value, timedelta, field.name)
        _check_span(value, field.name, OLDEST_BALANCE)


def _kinds(
    _: object, field: attrs.Attribute[Any], value: frozenset[MethodKind]
) -> None:
    check_type(value, frozenset, field.name)
    for each in value:
        check_type(each, MethodKind, field.name)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Policy(Readable):
    """
    The host's settings, in one value on `Ports`.

    >>> Policy(zone="America/New_York").date_of(
    ...     datetime.fromisoformat("2026-03-01T04:59:00+00:00")
    ... )
    datetime.date(2026, 2, 28)

    Attributes:
        zone: IANA name of the firm's time zone; its calendar says on which
            date an instant is (S13).
        oldest_balance: Balances stated longer ago are unreadable (L5);
            None leaves it at `OLDEST_BALANCE`, which is also the most.
        unreadable_rows_most: Most rows of one read whose client cannot be
            told; with more the read is unreadable (L5, `reads`).
        unreadable_percent_most: The same as whole percents of the source's
            rows.
        second_name_above: Lifting a hold on more than that takes a second
            name (H3); None asks for none.
        ceilings: The most that is taken from a payer in a day, and in a
            night (H4).
        authorization_needed: Kinds of methods that are charged only where an
            authorisation allows it.
        consumer_notice_needed: Whether a consumer's bank account is debited
            only by orders with announcements or an agreed range (N4).
        late_days: For so many days after its announced date a debit may
            still go out without a new announcement (N4).
        automatic_posting: Whether what is captured is selected for the ledger
            at once, so that `batch_queued` sends it and nobody has to look
            (P2). A run keeps to what held when it was planned.
        breaker: When the store is held by itself (H4); None switches it off.

    Raises:
        InvalidValueError: A field that cannot be, with its path; a zone that
            is not in the database (``TimeZoneUnknown``).

    """

    zone: str = attrs.field(default="UTC", validator=_a_zone)
    oldest_balance: timedelta | None = attrs.field(
        default=None, validator=_an_age
    )
    unreadable_rows_most: int = attrs.field(
        default=20, validator=a_number(0, 10_000)
    )
    unreadable_percent_most: int = attrs.field(
        default=1, validator=a_number(0, 100)
    )
    second_name_above: Money | None = attrs.field(
        default=None,
        validator=optional(
            a_positive("CapInvalid", "give None to ask for no second name")
        ),
    )
    ceilings: Ceilings = attrs.field(factory=Ceilings, validator=a(Ceilings))
    authorization_needed: frozenset[MethodKind] = attrs.field(
        default=frozenset[MethodKind](), validator=_kinds
    )
    consumer_notice_needed: bool = attrs.field(
        default=False, validator=a(bool)
    )
    late_days: int = attrs.field(default=3, validator=a_number(0, 30))
    automatic_posting: bool = attrs.field(default=False, validator=a(bool))
    breaker: Breaker | None = attrs.field(
        factory=Breaker, validator=optional(a(Breaker))
    )

    def date_of(self, instant: datetime, /) -> date:
        """Return the firm's date of *instant*; raises as `firm_date`."""
        return firm_date(instant, self.zone)

    def begin_of(self, day: date, /) -> datetime:
        """
        Return the instant at which a date begins in the firm's zone, in UTC.

        Where clocks skip midnight, the first instant of the day.
        """
        local = datetime(
            day.year, day.month, day.day, tzinfo=zone_named(self.zone)
        )
        return local.astimezone(UTC)

    def needs_second_name(self, amount: Money | None, /) -> bool:
        """
        Tell whether lifting what holds back *amount* takes two people (H3).

        An amount that is not known, or is in another currency than the
        threshold, may be above it.
        """
        above = self.second_name_above
        return above is not None and (
            amount is None
            or amount.currency != above.currency
            or amount > above
        )
