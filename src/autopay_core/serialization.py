"""
Values as versioned JSON, strict in both directions (E2).

Holds: `dumps`, `loads` and `Format`, on top of cattrs. Imports: the value
modules. Everything that the stores keep and that hosts may want to keep, such
as an `AutoPay`, is an envelope of three fields::

    {
        "schema": "money",
        "version": 1,
        "data": {"amount_minor": 12550, "currency": "USD"},
    }

A value is an object of all its fields; an enum is its value; a date is
``2026-01-31``; an instant is ``2026-01-31T17:00:00.000000Z``, in UTC; a set
is a sorted list; a value that may be of several types says which under
``type``. Reading converts nothing: ``"5"`` is no 5, ``true`` no 1, and a
field that is missing, unknown or there twice is refused. The values check
themselves besides.

What is written holds payment tokens: keep it where a database may be kept.
"""

from __future__ import annotations

import json
import types
import weakref
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import partial
from typing import (
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    final,
    get_args,
    get_origin,
)

import attrs
from cattrs import Converter
from cattrs.fns import identity
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    override,
)

from autopay_core.allocation import Allocation, AllocationLine
from autopay_core.associations import Association
from autopay_core.autopay import AdvanceNotice, AutoPay, Enrollment
from autopay_core.business_days import BusinessCalendar
from autopay_core.charges import (
    Captured,
    ChargeRequest,
    Declined,
    Indeterminate,
    NotFound,
    Pending,
)
from autopay_core.commits import StopOrder
from autopay_core.errors import AutopayError, FormatError, InvalidValueError
from autopay_core.invoices import Invoice, SearchResult
from autopay_core.limits import Limit, Spent
from autopay_core.money import Money
from autopay_core.notices import Notice
from autopay_core.postings import Posting, Reversal
from autopay_core.references import DepositAccount, PaymentMethodRef, RunKey
from autopay_core.retries import AttemptRecord, RetryPolicy
from autopay_core.runs import Attempt, Intent, RunRecord
from autopay_core.schedules import Occurrence, Pause, Schedule

__all__ = [
    "KINDS",
    "TEXT_MAX_CHARS",
    "Format",
    "Upgrade",
    "dumps",
    "loads",
]

TEXT_MAX_CHARS: Final = 128 * 1024 * 1024
"""Longest text that is read; a run over 200,000 invoices fits."""

_DIGITS_MAX: Final = 19
_DEPTH_MAX: Final = 64

_T = TypeVar("_T")
_Json = dict[str, Any]
Upgrade = Callable[[_Json], _Json]
"""Turns the data of one version into the data of the next."""

KINDS: Final[Mapping[str, type[Any]]] = types.MappingProxyType(
    {
        "advance_notice": AdvanceNotice,
        "allocation": Allocation,
        "allocation_line": AllocationLine,
        "association": Association,
        "attempt": Attempt,
        "attempt_record": AttemptRecord,
        "autopay": AutoPay,
        "business_calendar": BusinessCalendar,
        "captured": Captured,
        "charge_request": ChargeRequest,
        "declined": Declined,
        "deposit_account": DepositAccount,
        "enrollment": Enrollment,
        "indeterminate": Indeterminate,
        "intent": Intent,
        "invoice": Invoice,
        "limit": Limit,
        "money": Money,
        "not_found": NotFound,
        "notice": Notice,
        "occurrence": Occurrence,
        "pause": Pause,
        "payment_method": PaymentMethodRef,
        "pending": Pending,
        "posting": Posting,
        "retry_policy": RetryPolicy,
        "reversal": Reversal,
        "run_key": RunKey,
        "run_record": RunRecord,
        "schedule": Schedule,
        "search_result": SearchResult,
        "spent": Spent,
        "stop_order": StopOrder,
    }
)
"""Every type that has a format, by its schema's name."""

_NAMES: Final = {kind: name for name, kind in KINDS.items()}


# -- Reading JSON ------------------------------------------------------------


def _refuse(code: str, message: str, value: object = None) -> FormatError:
    return FormatError(message, code=code, value=value)


def _distinct(pairs: list[tuple[str, Any]]) -> _Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(each for each in names if names.count(each) > 1)
        raise FormatError(
            "the field is there twice",
            code="DuplicateKey",
            path=twice if twice.isidentifier() else "",
            value=twice,
        )
    return found


def _whole(digits: str) -> int:
    # int() of a long text takes time that grows with its square.
    if len(digits) > _DIGITS_MAX + 1:
        raise _refuse("NumberTooLong", "at most 19 digits", digits)
    return int(digits)


def _no_float(digits: str) -> object:
    raise _refuse("FloatAmount", "only whole numbers are exact", digits)


def _no_constant(name: str) -> object:
    raise _refuse("NonFiniteAmount", "no JSON number", name)


_decoder = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_int=_whole,
    parse_float=_no_float,
    parse_constant=_no_constant,
)
_encode = json.JSONEncoder(
    ensure_ascii=True,
    allow_nan=False,
    check_circular=False,
    separators=(",", ":"),
).encode
_quote = json.encoder.encode_basestring_ascii


def _as_text(text: str | bytes, most: int) -> str:
    if not isinstance(cast("object", text), (str, bytes)):
        raise _refuse("FieldType", "expected text or bytes", text)
    if len(text) > most:
        raise _refuse("BodyTooLarge", f"longer than {most} characters")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _refuse("Encoding", "not UTF-8", text) from error
    if text.startswith("\ufeff"):
        raise _refuse("Encoding", "starts with a byte order mark", text)
    return text


def _depth(text: str) -> int:
    """Return how deep brackets nest at most; those in strings may add."""
    deepest = level = 0
    for char in text:
        if char in "[{":
            level += 1
            deepest = max(deepest, level)
        elif char in "]}":
            level -= 1
    return deepest


def _parse(text: str) -> object:
    try:
        return _decoder.decode(text)
    except RecursionError as error:
        raise _refuse("JsonTooDeep", "nested too deep") from error
    except json.JSONDecodeError as error:
        if error.msg.startswith("Invalid control character"):
            raise _refuse("ControlCharacter", str(error)) from error
        raise _refuse("JsonFormat", f"no JSON: {error}", text) from error


# -- Strict pieces -----------------------------------------------------------


_KINDS_OF_JSON: Final[Mapping[type[Any], str]] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    bool: "true or false",
    type(None): "null",
}


def _kind_of(value: object) -> str:
    return _KINDS_OF_JSON.get(type(value), type(value).__name__)


def _wrong(wanted: str, value: object) -> FormatError:
    if value is None:
        return _refuse("FieldMissing", f"expected {wanted}, got null")
    return _refuse(
        "FieldType", f"expected {wanted}, got {_kind_of(value)}", value
    )


def _items(value: object) -> list[Any]:
    if _kind_of(value) != "a list":
        raise _wrong("a list", value)
    return cast("list[Any]", value)


def _read_text(value: object, _: object = None) -> str:
    if type(value) is not str:
        raise _wrong("text", value)
    return value


def _read_optional_text(value: object, _: object = None) -> str | None:
    return None if value is None else _read_text(value)


def _read_int(value: object, _: object = None) -> int:
    if type(value) is not int:
        raise _wrong("a whole number", value)
    return value


def _read_bool(value: object, _: object = None) -> bool:
    if type(value) is not bool:
        raise _wrong("true or false", value)
    return value


def _read_day(value: object, _: object = None) -> int | str:
    if value == "last":
        return "last"
    if type(value) is not int:
        raise _wrong('a day of the month or "last"', value)
    return value


def _read_date(value: object, _: object = None) -> date:
    if type(value) is not str:
        raise _wrong("a date", value)
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = None
    # fromisoformat also takes 20260131 and 2026-W05-6; one date has one text.
    if found is None or found.isoformat() != value:
        raise _refuse("DateFormat", "expected a date as 2026-01-31", value)
    return found


def _write_instant(value: datetime) -> str:
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


def _read_instant(value: object, _: object = None) -> datetime:
    if type(value) is not str:
        raise _wrong("an instant", value)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or _write_instant(found) != value:
        raise _refuse(
            "InstantFormat",
            "expected an instant as 2026-01-31T17:00:00.000000Z",
            value,
        )
    return found


def _enum_reader(kind: type[Enum]) -> Callable[[object, object], Enum]:
    members = {each.value: each for each in kind}

    def read(value: object, _: object = None) -> Enum:
        if type(value) is not str:
            raise _wrong("text", value)
        found = members.get(value)
        if found is None:
            raise _refuse(
                "UnknownValue",
                f"not one of {', '.join(sorted(members))}",
                value,
            )
        return found

    return read


# -- Which types are what ----------------------------------------------------


def _members(kind: object) -> tuple[object, ...]:
    """Return what a union may be, or nothing if it is none."""
    if get_origin(kind) in (Union, types.UnionType):
        return get_args(kind)
    return ()


def _is_text(kind: object) -> bool:
    """Tell whether *kind* is text under a name: `InvoiceNumber | str`."""
    return kind is str or getattr(kind, "__supertype__", None) is str


def _is_text_union(kind: object) -> bool:
    return bool(_members(kind)) and all(
        _is_text(each) or each is type(None) for each in _members(kind)
    )


def _is_day(kind: object) -> bool:
    return set(_members(kind)) == {int, Literal["last"]}


def _is_tagged(kind: object) -> bool:
    members = [each for each in _members(kind) if each is not type(None)]
    return len(members) > 1 and all(
        isinstance(each, type) and each in _NAMES for each in members
    )


def _is_tuple(kind: object) -> bool:
    return get_origin(kind) is tuple


def _is_set(kind: object) -> bool:
    return get_origin(kind) is frozenset


def _is_mapping(kind: object) -> bool:
    return get_origin(kind) is Mapping or kind is Mapping


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _fields(kind: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    attrs.resolve_types(kind)
    return tuple(each for each in attrs.fields(kind) if each.init)


def _is_value(kind: object) -> bool:
    return isinstance(kind, type) and attrs.has(kind)


_Hook = Callable[[Any, Any], Any]
# cattrs leaves out the call of what it knows to change nothing.
_as_it_is = cast("Callable[[Any], Any]", identity)


def _always(hook: Callable[..., Any]) -> Callable[[Any], Callable[..., Any]]:
    """Make a factory that gives the same hook for every type."""

    def give(_: Any) -> Callable[..., Any]:  # noqa: ANN401 - any type
        return hook

    return give


def _under(error: AutopayError, parent: str) -> AutopayError:
    """Return *error* with *parent* in front of its path, if it has one."""
    if not isinstance(error, InvalidValueError):
        return error
    joint = error.at(parent)
    if ".[" not in joint.path:
        return joint
    # `lines.[0]` is `lines[0]`: take the path off and put it on again.
    path = joint.path.replace(".[", "[")
    joint.path = ""
    return joint.at(path)


class _Reading:
    """
    Makes the hooks that read, in one of two ways.

    The fast one is code that cattrs generates. When it refuses, the same text
    is read again by the one that knows where it stands.
    """

    def __init__(self, *, explains: bool) -> None:
        self.converter = Converter(detailed_validation=False)
        self._explains = explains
        put = self.converter.register_structure_hook
        put(str, _read_text)
        put(int, _read_int)
        put(bool, _read_bool)
        put(date, _read_date)
        put(datetime, _read_instant)
        factory = self.converter.register_structure_hook_factory
        factory(_is_enum, _enum_reader)
        factory(_is_value, self._of_value)
        factory(_is_tuple, partial(self._of_many, tuple))
        factory(_is_set, partial(self._of_many, frozenset))
        factory(_is_mapping, self._of_mapping)
        factory(_is_tagged, self._of_tagged)
        factory(_is_day, _always(_read_day))
        factory(_is_text, _always(_read_text))
        factory(_is_text_union, self._of_text)

    def read(self, data: object, kind: type[_T]) -> _T:
        return self.converter.structure(data, kind)

    def _of_text(self, kind: object) -> _Hook:
        if type(None) in _members(kind):
            return _read_optional_text
        return _read_text

    def _of_many(
        self, collect: Callable[[list[Any]], Collection[Any]], kind: object
    ) -> _Hook:
        item = get_args(kind)[0]
        hook = self.converter.get_structure_hook(item)

        def read(value: object, _: object) -> Collection[Any]:
            found = [hook(each, item) for each in _items(value)]
            many = collect(found)
            if len(many) != len(found):
                raise _refuse("DuplicateValue", "one value is there twice")
            return many

        def explain(value: object, _: object) -> Collection[Any]:
            for place, each in enumerate(_items(value)):
                try:
                    hook(each, item)
                except AutopayError as error:
                    raise _under(error, f"[{place}]") from error
            return read(value, _)

        return explain if self._explains else read

    def _of_mapping(self, kind: object) -> _Hook:
        item = get_args(kind)[1]
        hook = self.converter.get_structure_hook(item)

        def read(value: object, _: object) -> Mapping[str, Any]:
            if type(value) is not dict:
                raise _wrong("an object", value)
            found: dict[str, Any] = {}
            for name, each in cast("_Json", value).items():
                try:
                    found[name] = hook(each, item)
                except AutopayError as error:
                    where = name if name.isidentifier() else "*"
                    raise _under(error, where) from error
            return found

        return read

    def _of_tagged(self, kind: object) -> _Hook:
        may_be_nothing = type(None) in _members(kind)
        hooks = {
            _NAMES[each]: (self.converter.get_structure_hook(each), each)
            for each in cast("tuple[type[Any], ...]", _members(kind))
            if each is not type(None)
        }

        def read(value: object, _: object) -> object:
            if value is None and may_be_nothing:
                return None
            if type(value) is not dict:
                raise _wrong("an object", value)
            fields = dict(cast("_Json", value))
            name = fields.pop("type", None)
            if type(name) is not str or name not in hooks:
                raise FormatError(
                    f"not one of {', '.join(sorted(hooks))}",
                    code="FieldMissing" if name is None else "UnknownValue",
                    path="type",
                    value=name,
                )
            hook, each = hooks[name]
            return hook(fields, each)

        return read

    def _of_value(self, kind: type[Any]) -> _Hook:
        fields = _fields(kind)
        names = frozenset(each.name for each in fields)
        build = make_dict_structure_fn(kind, self.converter)

        def read(value: object, _: object) -> object:
            found = cast("_Json", value)
            if type(value) is not dict or found.keys() != names:
                _check_names(found, names, _NAMES[kind])
            return build(found, kind)

        def explain(value: object, _: object) -> object:
            _check_names(value, names, _NAMES[kind])
            found: _Json = {}
            for each in fields:
                hook = self.converter.get_structure_hook(each.type)
                try:
                    found[each.name] = hook(
                        cast("_Json", value)[each.name], each.type
                    )
                except AutopayError as error:
                    raise _under(error, each.name) from error
            return kind(**found)

        return explain if self._explains else read


def _check_names(value: object, names: frozenset[str], schema: str) -> None:
    """Refuse anything but an object of exactly these fields."""
    if type(value) is not dict:
        raise _wrong("an object", value)
    found = cast("_Json", value)
    for name in sorted(names - found.keys()):
        raise FormatError(
            "the field is missing", code="FieldMissing", path=name
        )
    for name in sorted(found.keys() - names):
        raise FormatError(
            f"{schema} has no such field",
            code="UnknownField",
            path=name if name.isidentifier() else "",
            value=name,
        )


def _writing() -> Converter:
    converter = Converter()
    put = converter.register_unstructure_hook
    put(date, date.isoformat)
    put(datetime, _write_instant)
    factory = converter.register_unstructure_hook_factory
    factory(_is_value, partial(_value_writer, converter))
    factory(_is_set, partial(_set_writer, converter))
    factory(_is_tagged, _always(partial(_write_tagged, converter)))
    factory(_is_day, _always(_as_it_is))
    factory(_is_text_union, _always(_as_it_is))
    return converter


def _value_writer(
    converter: Converter, kind: type[Any]
) -> Callable[[Any], _Json]:
    attrs.resolve_types(kind)
    return make_dict_unstructure_fn(kind, converter)


def _set_writer(
    converter: Converter, kind: object
) -> Callable[[frozenset[Any]], list[Any]]:
    hook = converter.get_unstructure_hook(get_args(kind)[0])
    return lambda values: sorted(map(hook, values))


def _write_tagged(converter: Converter, value: object) -> _Json | None:
    if value is None:
        return None
    kind = type(value)
    return {"type": _NAMES[kind], **converter.unstructure(value, kind)}


# The lines of an allocation are most of what a store writes. Written out here
# they take a third of the time; a test compares them with what cattrs makes.


def _money_text(money: Money | None) -> str:
    if money is None:
        return "null"
    return (
        f'{{"amount_minor":{money.amount_minor},'
        f'"currency":"{money.currency}"}}'
    )


def _line_text(line: AllocationLine) -> str:
    invoice = line.invoice
    due_on = "null" if invoice.due_on is None else f'"{invoice.due_on}"'
    return (
        f'{{"invoice":{{"number":{_quote(invoice.number)},'
        f'"client":{_quote(invoice.client)},'
        f'"matter":{_quote(invoice.matter)},'
        f'"issued_on":"{invoice.issued_on}",'
        f'"balance":{_money_text(invoice.balance)},'
        f'"due_on":{due_on},'
        f'"total":{_money_text(invoice.total)},'
        f'"status":"{invoice.status.value}",'
        f'"account":"{invoice.account.value}"}},'
        f'"open":{_money_text(line.open)},'
        f'"payable":{_money_text(line.payable)},'
        f'"amount":{_money_text(line.amount)},'
        f'"reason":"{line.reason.value}",'
        f'"ceiling":{_money_text(line.ceiling)}}}'
    )


def _nothing(_: object) -> None:
    """Leave a place to be filled."""


@final
class _Texts:
    """
    The texts of intents that are still alive.

    A run is written several times, and its intent, most of its text, never
    changes (R3): the same object has the same text.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Intent], str]] = {}

    def of(self, intent: Intent, write: Callable[[Intent], str]) -> str:
        place = id(intent)
        known = self._known.get(place)
        if known is not None and known[0]() is intent:
            return known[1]
        text = write(intent)
        forget = partial(self._forget, place)
        self._known[place] = (weakref.ref(intent, forget), text)
        return text

    def _forget(self, place: int, gone: weakref.ref[Intent]) -> None:
        known = self._known.get(place)
        if known is not None and known[0] is gone:
            del self._known[place]


# -- Formats -----------------------------------------------------------------


@final
class Format:
    """
    Writes values in the newest versions, and reads those and older ones.

    Most hosts need only `dumps` and `loads`; a host that stores values of its
    own time may hand in its upgrades.

    Args:
        upgrades: By schema, one after another: the first turns the data of
            version 1 into version 2, and so on. The newest version of a
            schema is one more than it has upgrades.

    """

    def __init__(
        self, upgrades: Mapping[str, tuple[Upgrade, ...]] | None = None
    ) -> None:
        self._upgrades = dict(upgrades or {})
        unknown = self._upgrades.keys() - KINDS.keys()
        if unknown:
            raise InvalidValueError(
                "no such schema",
                code="UnknownValue",
                path="upgrades",
                value=min(unknown),
            )
        self._fast = _Reading(explains=False)
        self._slow = _Reading(explains=True)
        self._write = _writing()
        self._write_run = make_dict_unstructure_fn(
            RunRecord, self._write, intent=override(unstruct_hook=_nothing)
        )
        write_allocation = make_dict_unstructure_fn(
            Allocation, self._write, lines=override(unstruct_hook=_nothing)
        )
        self._write_intent = make_dict_unstructure_fn(
            Intent,
            self._write,
            allocation=override(unstruct_hook=write_allocation),
        )
        self._intents = _Texts()

    def version(self, schema: str, /) -> int:
        """Return the newest version of a schema."""
        return 1 + len(self._upgrades.get(schema, ()))

    def dumps(self, value: object, /) -> str:
        """Like the function `dumps`."""
        name = _NAMES.get(type(value))
        if name is None:
            raise InvalidValueError(
                f"{type(value).__name__} has no format",
                code="FieldType",
                value=value,
            )
        if isinstance(value, RunRecord):
            data = self._write_run(value)
        else:
            data = self._write.unstructure(value)
        text = _encode(
            {"schema": name, "version": self.version(name), "data": data}
        )
        if isinstance(value, RunRecord) and value.intent is not None:
            # No text of a value holds this: there, quotes are escaped.
            return text.replace(
                '"intent":null',
                f'"intent":{self._intents.of(value.intent, self._intent)}',
                1,
            )
        return text

    def _intent(self, intent: Intent) -> str:
        shell = _encode(self._write_intent(intent))
        lines = ",".join(map(_line_text, intent.allocation.lines))
        return shell.replace('"lines":null', f'"lines":[{lines}]', 1)

    def loads(
        self,
        text: str | bytes,
        kind: type[_T],
        /,
        *,
        most: int = TEXT_MAX_CHARS,
    ) -> _T:
        """Like the function `loads`."""
        text = _as_text(text, most)
        envelope = _parse(text)
        try:
            data = self._data(envelope, kind)
            return self._fast.read(data, kind)
        except InvalidValueError:
            # The fast way knows no places. And a deep text is refused as
            # such, whatever else is wrong with it.
            if _depth(text) > _DEPTH_MAX:
                raise _refuse("JsonTooDeep", "nested too deep") from None
            data = self._data(envelope, kind)
            try:
                return self._slow.read(data, kind)
            except InvalidValueError as error:
                raise _under(error, "data") from error

    def _data(self, envelope: object, kind: type[Any]) -> object:
        if type(envelope) is not dict:
            raise _wrong("an object", envelope)
        found = cast("_Json", envelope)
        for name in ("schema", "version", "data"):
            if name not in found:
                raise FormatError(
                    "the field is missing", code="FieldMissing", path=name
                )
        for name in sorted(found.keys() - {"schema", "version", "data"}):
            raise FormatError(
                "an envelope has no such field",
                code="UnknownField",
                path=name if name.isidentifier() else "",
                value=name,
            )
        schema = found["schema"]
        wanted = _NAMES.get(kind)
        if wanted is None:
            raise InvalidValueError(
                f"{kind.__name__} has no format", code="FieldType", path="kind"
            )
        if schema != wanted:
            raise FormatError(
                f"expected the schema {wanted}",
                code="SchemaMismatch",
                path="schema",
                value=schema,
            )
        version = found["version"]
        if type(version) is not int or version < 1:
            raise FormatError(
                "expected a version from 1",
                code="FieldType",
                path="version",
                value=version,
            )
        newest = self.version(wanted)
        if version > newest:
            raise FormatError(
                f"{wanted} is read up to version {newest}; update "
                "autopay_core, and leave the value alone until then",
                code="VersionUnsupported",
                path="version",
                value=version,
            )
        data = found["data"]
        for upgrade in self._upgrades.get(wanted, ())[version - 1 :]:
            data = upgrade(data)
        return data


_CURRENT: Final = Format()


def dumps(value: object, /) -> str:
    """
    Write *value* as one line of ASCII JSON in its newest version.

    >>> dumps(Money.of("125.50", "USD"))
    '{"schema":"money","version":1,"data":{"amount_minor":12550,"currency":"USD"}}'

    Args:
        value: Of a type in `KINDS`.

    Raises:
        InvalidValueError: The type has no format.

    """
    return _CURRENT.dumps(value)


def loads(
    text: str | bytes, kind: type[_T], /, *, most: int = TEXT_MAX_CHARS
) -> _T:
    """
    Read a value of a type from what `dumps` wrote, now or long ago.

    >>> text = dumps(Money.of("125.50", "USD"))
    >>> loads(text, Money)
    Money.of('125.50', 'USD')
    >>> loads(text.replace("12550", "125.5"), Money)
    Traceback (most recent call last):
    ...
    autopay_core.errors.FormatError: only whole numbers are exact [FloatAmount]

    Args:
        text: As text, or as bytes in UTF-8.
        kind: The type that is expected; another one is refused.
        most: Longest text.

    Raises:
        FormatError: No JSON (``JsonFormat``, ``Encoding``, ``BodyTooLarge``,
            ``JsonTooDeep``, ``NumberTooLong``, ``NonFiniteAmount``,
            ``FloatAmount``, ``DuplicateKey``), not this type
            (``SchemaMismatch``), of a newer version
            (``VersionUnsupported``), or a field that is missing, unknown or
            of another type (``FieldMissing``, ``UnknownField``,
            ``FieldType``, ``UnknownValue``, ``DateFormat``, …), with its
            path.
        InvalidValueError: The value refuses itself, with its code and path.

    """
    return _CURRENT.loads(text, kind, most=most)
