"""
A firm's folder: its exports, its auto-pays and what the world does to them.

Holds: `Firm`, `load_firm`. Imports: `adapters.csv`, `serialization.kinds`,
`testing.gateway_file`, the values and the standard library's tomllib. The file
firm.toml is read strictly: what is unknown, missing or of another type is
refused with its path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast, final

import attrs

from autopay_core._checks import check_date
from autopay_core.adapters.csv import (
    ClientColumns,
    Constant,
    CsvFormat,
    CsvMapping,
    Hold,
    InvoiceColumns,
    MatterColumns,
)
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import Pause, Schedule
from autopay_core.serialization.kinds import (
    fields_of,
    is_enum,
    is_text,
    members_of,
)
from autopay_core.testing.gateway_file import DeclineRule

__all__ = ["FIRM_FILE", "Firm", "load_firm"]

FIRM_FILE: Final = "firm.toml"

_FILE_MAX: Final = 4 * 1024 * 1024
_T = TypeVar("_T")


@final
@attrs.frozen(kw_only=True)
class Firm:
    """
    What a firm's folder says.

    Attributes:
        folder: Where the exports are.
        first_day: First day on which the host runs.
        last_day: Last day on which it does.
        mapping: How the exports are written.
        autopays: Who pays what, in the order in which they are run.
        declines: What the gateway declines.
        debit_days: How long a bank debit is pending.
        ledger_days: Days after the charge on which a posting is queued,
            posted and applied.
        refused: Why the ledger refuses the postings of an invoice.
        by_hand: Invoices whose postings staff enter by hand.

    """

    folder: Path
    first_day: date
    last_day: date
    mapping: CsvMapping
    autopays: tuple[AutoPay, ...]
    declines: tuple[DeclineRule, ...] = ()
    debit_days: int = 0
    ledger_days: tuple[int, int, int] = (1, 2, 4)
    refused: Mapping[str, str] = MappingProxyType({})
    by_hand: tuple[str, ...] = ()


def load_firm(folder: Path, /) -> Firm:
    """
    Read a firm's folder.

    Raises:
        FormatError: The file is not there or cannot be read, or something in
            it is unknown, missing or of another type, with its path.
        InvalidValueError: A value refuses itself, with its path.

    """
    path = folder / FIRM_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(
            f"it cannot be read ({type(error).__name__}); give the folder of "
            "a firm's files",
            code="FileUnreadable",
            path=FIRM_FILE,
        ) from error
    if len(data) > _FILE_MAX:
        raise FormatError("too large", code="BodyTooLarge", path=FIRM_FILE)
    try:
        read = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"it is no TOML: {error}", code="TomlFormat", path=FIRM_FILE
        ) from error
    top = _Section(read, FIRM_FILE)
    firm = top.made(lambda: _firm(folder, top))
    top.done()
    if firm.last_day < firm.first_day:
        raise FormatError(
            "it ends before it begins",
            code="OutOfRange",
            path=f"{FIRM_FILE}.last_day",
            value=str(firm.last_day),
        )
    ids = [each.id for each in firm.autopays]
    for place, each in enumerate(ids):
        if each in ids[:place]:
            raise FormatError(
                "two auto-pays have one id",
                code="DuplicateKey",
                path=f"{FIRM_FILE}.autopay[{place}].id",
                value=each,
            )
    return firm


def _firm(folder: Path, top: _Section) -> Firm:
    gateway, ledger = top.section("gateway"), top.section("ledger")
    refused = ledger.take("refused", dict, {})
    firm = Firm(
        folder=folder,
        first_day=top.day("first_day"),
        last_day=top.day("last_day"),
        mapping=_mapping(top.section("csv")),
        autopays=tuple(map(_autopay, top.sections("autopay"))),
        declines=tuple(
            each.value(DeclineRule) for each in gateway.sections("declines")
        ),
        debit_days=gateway.take("debit_days", int, 0),
        ledger_days=_days(ledger),
        refused={str(each): str(refused[each]) for each in refused},
        by_hand=tuple(map(str, ledger.take("by_hand", list, []))),
    )
    gateway.done()
    ledger.done()
    return firm


def _days(ledger: _Section) -> tuple[int, int, int]:
    match ledger.take("days", list, [1, 2, 4]):
        case [int(queued), int(posted), int(applied)]:
            return queued, posted, applied
        case _:
            raise FormatError(
                "expected three numbers of days",
                code="FieldType",
                path=f"{ledger.path}.days",
            )


@final
class _Section:
    """A table of the file; what nobody asks for is unknown."""

    def __init__(self, data: Mapping[str, Any], path: str) -> None:
        self._left = dict(data)
        self.path = path

    def take(self, name: str, kind: type[_T], default: _T | None = None) -> _T:
        """Take a field; without a default it must be there."""
        path = f"{self.path}.{name}"
        if name not in self._left:
            if default is None:
                raise FormatError(
                    "it is missing", code="FieldMissing", path=path
                )
            return default
        value = self._left.pop(name)
        if type(value) is not kind:
            raise FormatError(
                f"expected {kind.__name__}, not {type(value).__name__}",
                code="FieldType",
                path=path,
                value=value,
            )
        return value

    def has(self, name: str) -> bool:
        """Tell whether a field is there."""
        return name in self._left

    def day(self, name: str) -> date:
        """Take a date; one with a time is none."""
        found = self.take(name, date)
        if isinstance(found, datetime):
            raise FormatError(
                "expected a date without time",
                code="DateType",
                path=f"{self.path}.{name}",
            )
        self.made(lambda: check_date(found, name))
        return found

    def optional_day(self, name: str) -> date | None:
        """Take a date, if it is there."""
        return self.day(name) if self.has(name) else None

    def choice(
        self, name: str, kind: Callable[[str], _T], default: str | None = None
    ) -> _T:
        """Take a word that is the value of an enumeration."""
        word = self.take(name, str, default)
        try:
            return kind(word)
        except (KeyError, ValueError):
            raise FormatError(
                "no such word",
                code="UnknownValue",
                path=f"{self.path}.{name}",
                value=word,
            ) from None

    def section(self, name: str) -> _Section:
        """Take a table, empty if it is not there."""
        return _Section(self.take(name, dict, {}), f"{self.path}.{name}")

    def sections(self, name: str) -> list[_Section]:
        """Take an array of tables."""
        found: list[Any] = self.take(name, list, [])
        made: list[_Section] = []
        for place, each in enumerate(found):
            path = f"{self.path}.{name}[{place}]"
            if not isinstance(each, dict):
                raise FormatError(
                    "expected a table", code="FieldType", path=path
                )
            made.append(_Section(cast("dict[str, Any]", each), path))
        return made

    def fields(self, kind: type[Any], *others: str) -> dict[str, Any]:
        """Take a value's fields that are texts, numbers, dates or words."""
        found: dict[str, Any] = {}
        known = attrs.fields_dict(kind)
        for name, each in fields_of(kind).items():
            take = self._taker(members_of(each)[0])
            is_needed = known[name].default is attrs.NOTHING
            if name in others or take is None:
                continue
            if is_needed or self.has(name):
                found[name] = take(name)
        return found

    def _taker(self, types: tuple[Any, ...]) -> Callable[[str], Any] | None:
        """Return what takes a field of such a type, if it is a plain one."""
        # A column may be more than its name; in a file it is a text.
        if is_text(types) or str in types:
            return partial(self.take, kind=str)
        kind: Any = types[0] if len(types) == 1 else object
        if kind is date:
            return self.day
        if is_enum(kind):
            return partial(self.choice, kind=kind)
        return partial(self.take, kind=kind) if kind in {bool, int} else None

    def value(self, kind: type[_T], **given: object) -> _T:
        """Make a value of what is here and what is *given*, and no more."""
        fields = self.fields(kind, *given)
        self.done()
        return self.made(lambda: kind(**fields, **given))

    def optional(self, name: str, kind: type[_T]) -> _T | None:
        """Make a value of a table, if it is there."""
        return self.section(name).value(kind) if self.has(name) else None

    def made(self, make: Callable[[], _T]) -> _T:
        """Make a value; what refuses itself says where it stands."""
        try:
            return make()
        except InvalidValueError as error:
            if error.path.startswith(FIRM_FILE):
                raise
            raise error.at(self.path) from error

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for name in self._left:
            raise FormatError(
                "nothing is called so here",
                code="UnknownField",
                path=f"{self.path}.{name}",
            )


# -- The exports -------------------------------------------------------------


def _mapping(csv: _Section) -> CsvMapping:
    return csv.value(
        CsvMapping,
        written=csv.section("written").value(CsvFormat),
        invoices=_invoices(csv.section("invoices")),
        clients=csv.optional("clients", ClientColumns),
        matters=csv.optional("matters", MatterColumns),
    )


def _invoices(section: _Section) -> InvoiceColumns:
    given: dict[str, Any] = {
        "holds": tuple(each.value(Hold) for each in section.sections("holds"))
    }
    if section.has("constant_matter"):
        text = section.take("constant_matter", str)
        given["matter"] = section.made(lambda: Constant(text))
    elif section.has("matter"):
        given["matter"] = section.take("matter", str)
    return section.value(InvoiceColumns, **given)


# -- The auto-pays -----------------------------------------------------------


def _autopay(section: _Section) -> AutoPay:
    currency = section.take("currency", str, "USD")
    account = section.choice("account", AccountKind, "operating")
    fields = section.fields(AutoPay)

    def make() -> AutoPay:
        return AutoPay(
            method=PaymentMethodRef(
                provider="demo", **section.fields(PaymentMethodRef, "provider")
            ),
            deposit_account=DepositAccount(id=account.value, kind=account),
            schedule=_schedule(section.section("schedule")),
            limit=_limit(section, currency),
            enrollments=tuple(
                _enrollment(fields["payer"], each)
                for each in section.sections("enroll")
            ),
            pauses=tuple(
                each.value(Pause) for each in section.sections("pauses")
            ),
            retry=section.optional("retry", RetryPolicy),
            **fields,
        )

    autopay = section.made(make)
    section.done()
    return autopay


def _limit(section: _Section, currency: str) -> Limit:
    fields = section.fields(Limit, "currency")
    per_run = section.take("limit", str)
    if per_run != "all":
        fields["per_run"] = Money.of(per_run, currency)
    for name in ("per_invoice", "per_month", "lifetime", "minimum"):
        if section.has(name):
            fields[name] = Money.of(section.take(name, str), currency)
    return Limit(currency=currency, **fields)


def _enrollment(payer: str, section: _Section) -> Enrollment:
    fields = section.fields(Association, "payer")
    association = section.made(lambda: Association(payer=payer, **fields))
    return section.value(Enrollment, association=association)


_KINDS: Final[Mapping[str, Callable[..., Schedule]]] = {
    "once": Schedule.once,
    "daily": Schedule.daily,
    "weekly": Schedule.weekly,
    "twice_monthly": Schedule.twice_monthly,
    "monthly": Schedule.monthly,
    "last_day": Schedule.last_day,
    "quarterly": Schedule.quarterly,
    "semiannual": Schedule.semiannual,
    "yearly": Schedule.yearly,
}


def _schedule(section: _Section) -> Schedule:
    kind = section.choice("kind", _KINDS.__getitem__, "monthly")
    first_on = section.day("first_on")
    fields: dict[str, Any] = {
        name: section.take(name, int)
        for name in ("every", "count", "day")
        if section.has(name)
    }
    if section.has("until"):
        fields["until"] = section.day("until")
    if section.has("days"):
        fields["days"] = tuple(
            cast("list[object]", section.take("days", list))
        )
    if section.has("roll"):
        fields["roll"] = section.choice("roll", Roll, "none")
        fields["calendar"] = BusinessCalendar(
            holidays=frozenset(section.take("holidays", list, []))
        )
    section.done()

    def make() -> Schedule:
        try:
            return kind(first_on, **fields)
        except TypeError as error:
            raise FormatError(
                "a schedule of this kind has no such field",
                code="UnknownField",
                path="",
                value=", ".join(sorted(fields)),
            ) from error

    return section.made(make)
