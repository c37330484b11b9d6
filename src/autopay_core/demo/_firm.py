"""
A firm's folder: its exports, its auto-pays and what the world does to them.

Holds: `Firm`, `load_firm`. Imports: the core, the csv adapter and the
standard library's tomllib. The file firm.toml is read strictly: what is
unknown, missing or of another type is refused with its path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
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
from autopay_core.allocation import Order
from autopay_core.associations import Association
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.business_days import BusinessCalendar, Roll
from autopay_core.charges import DeclineClass
from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.invoices import InvoiceStatus
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)
from autopay_core.retries import RetryPolicy
from autopay_core.schedules import Pause, Schedule
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
        declines=tuple(map(_decline, gateway.sections("declines"))),
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

    def choice(self, name: str, kind: Callable[[str], _T], default: str) -> _T:
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

    def texts(self, *names: str) -> dict[str, Any]:
        """Take those of these texts that are there."""
        return {name: self.take(name, str) for name in names if self.has(name)}

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
    written, invoices = csv.section("written"), csv.section("invoices")
    fields: dict[str, Any] = {"currency": csv.take("currency", str)}
    fields["written"] = csv.made(lambda: _written(written))
    fields["invoices"] = invoices.made(lambda: _invoices(invoices))
    fields["clients"] = _columns(
        csv, "clients", ClientColumns, ("file", "number", "name")
    )
    fields["matters"] = _columns(
        csv,
        "matters",
        MatterColumns,
        ("file", "number", "client", "description"),
    )
    csv.done()
    return csv.made(lambda: CsvMapping(**fields))


def _columns(
    csv: _Section, name: str, kind: Callable[..., _T], names: Sequence[str]
) -> _T | None:
    if not csv.has(name):
        return None
    section = csv.section(name)
    texts = section.texts(*names)
    section.done()
    return section.made(lambda: kind(**texts))


def _written(section: _Section) -> CsvFormat:
    texts = section.texts(
        "delimiter",
        "encoding",
        "date",
        "decimal_point",
        "digit_group",
        "symbol",
    )
    if section.has("parentheses"):
        texts["parentheses"] = section.take("parentheses", bool)
    section.done()
    return CsvFormat(**texts)


def _invoices(section: _Section) -> InvoiceColumns:
    fields = section.texts(
        "file",
        "number",
        "client",
        "matter",
        "issued_on",
        "balance",
        "due_on",
        "total",
        "currency",
        "status",
        "account",
    )
    if section.has("constant_matter"):
        fields["matter"] = Constant(section.take("constant_matter", str))
    fields["holds"] = tuple(map(_hold, section.sections("holds")))
    section.done()
    return InvoiceColumns(**fields)


def _hold(section: _Section) -> Hold:
    column = section.take("column", str)
    status = section.choice("status", InvoiceStatus, "on_hold")
    section.done()
    return section.made(lambda: Hold(column=column, status=status))


# -- The world ---------------------------------------------------------------


def _decline(section: _Section) -> DeclineRule:
    def make() -> DeclineRule:
        return DeclineRule(
            token=section.take("token", str),
            from_on=section.optional_day("from_on"),
            before=section.optional_day("before"),
            decline_class=section.choice(
                "decline_class", DeclineClass, "later"
            ),
            **section.texts("code", "message"),
        )

    rule = section.made(make)
    section.done()
    return rule


# -- The auto-pays -----------------------------------------------------------


def _autopay(section: _Section) -> AutoPay:
    def make() -> AutoPay:
        currency = section.take("currency", str, "USD")
        payer = section.take("payer", str)
        account = section.choice("account", AccountKind, "operating")
        return AutoPay(
            id=section.take("id", str),
            payer=payer,
            name=section.take("name", str),
            method=_method(section),
            deposit_account=DepositAccount(id=account.value, kind=account),
            schedule=_schedule(section.section("schedule")),
            limit=_limit(section, currency),
            enrollments=tuple(
                _enrollment(payer, each) for each in section.sections("enroll")
            ),
            order=section.choice("order", Order, "issued"),
            pauses=tuple(map(_pause, section.sections("pauses"))),
            off_from=section.optional_day("off_from"),
            retry=_retry(section),
            **section.texts("ar_message"),
        )

    autopay = section.made(make)
    section.done()
    return autopay


def _method(section: _Section) -> PaymentMethodRef:
    return PaymentMethodRef(
        provider="demo",
        token=section.take("token", str),
        kind=section.choice("kind", MethodKind, "card"),
        expires_on=section.optional_day("expires_on"),
        **section.texts("network"),
    )


def _limit(section: _Section, currency: str) -> Limit:
    fields: dict[str, Any] = {}
    per_run = section.take("limit", str)
    if per_run != "all":
        fields["per_run"] = Money.of(per_run, currency)
    for name in ("per_invoice", "per_month", "lifetime", "minimum"):
        if section.has(name):
            fields[name] = Money.of(section.take(name, str), currency)
    if section.has("whole_invoices"):
        fields["whole_invoices"] = section.take("whole_invoices", bool)
    return Limit(currency=currency, **fields)


def _retry(section: _Section) -> RetryPolicy | None:
    if not section.has("retry"):
        return None
    inner = section.section("retry")
    fields = {
        name: inner.take(name, int)
        for name in ("retries_most", "every_days", "within_days")
        if inner.has(name)
    }
    inner.done()
    return inner.made(lambda: RetryPolicy(**fields))


def _pause(section: _Section) -> Pause:
    pause = section.made(
        lambda: Pause(
            from_on=section.day("from_on"),
            to_on=section.optional_day("to_on"),
        )
    )
    section.done()
    return pause


def _enrollment(payer: str, section: _Section) -> Enrollment:
    since = section.optional_day("since")
    fields = section.texts("client", "matter", "invoice")
    section.done()
    if "client" not in fields:
        raise FormatError(
            "it is missing",
            code="FieldMissing",
            path=f"{section.path}.client",
        )
    return section.made(
        lambda: Enrollment(
            association=Association(payer=payer, **fields), since=since
        )
    )


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
