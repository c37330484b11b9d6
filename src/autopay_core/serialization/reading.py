"""
JSON text to values, strictly.

Holds: `parse`, `reader`, `refuse`, `under`. Imports: `kinds` and `writing`
(for the one text of an instant). Nothing is converted, and what is refused
says where it stands.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Set as AbstractSet
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import (
    Any,
    Final,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

import attrs

from autopay_core._checks import stored
from autopay_core.errors import AutopayError, FormatError, InvalidValueError
from autopay_core.serialization.kinds import (
    ADDED,
    DAY,
    NAMES,
    fields_of,
    is_enum,
    is_text,
    members_of,
)
from autopay_core.serialization.writing import instant_text

__all__ = [
    "Reader",
    "check_names",
    "nests_too_deep",
    "parse",
    "reader",
    "refuse",
    "under",
]

_DIGITS_MAX: Final = 19
_NAME_MAX: Final = 64
_LONG_NUMBER: Final = re.compile("(?:[0-9]_?){8}")
_DEPTH_MAX: Final = 64

_Json: TypeAlias = dict[str, Any]
_T = TypeVar("_T")
Reader: TypeAlias = Callable[[Any], Any]


# -- The text ----------------------------------------------------------------


def refuse(code: str, message: str, value: object = None) -> FormatError:
    """Return an error that has no path yet."""
    return FormatError(message, code=code, value=value)


def _distinct(pairs: list[tuple[str, Any]]) -> _Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name in counts if counts[name] > 1)
        raise FormatError(
            "the field is there twice",
            code="DuplicateKey",
            path=_place(twice),
            value=twice,
        )
    return found


def _place(name: str, otherwise: str = "") -> str:
    """
    Return a name that may stand in a path, or what stands for it.

    A path goes into logs, and a text may name its fields as it likes: by a
    card number, or with a megabyte (E3).
    """
    fits = len(name) <= _NAME_MAX and name.isascii() and name.isidentifier()
    return name if fits and not _LONG_NUMBER.search(name) else otherwise


def _whole(digits: str) -> int:
    # int() of a long text takes time that grows with its square.
    if len(digits) > _DIGITS_MAX + 1:
        raise refuse("NumberTooLong", "at most 19 digits", digits)
    return int(digits)


def _no_float(digits: str) -> object:
    raise refuse("FloatAmount", "only whole numbers are exact", digits)


def _no_constant(name: str) -> object:
    raise refuse("NonFiniteAmount", "no JSON number", name)


_decoder = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_int=_whole,
    parse_float=_no_float,
    parse_constant=_no_constant,
)


def parse(text: str | bytes, most: int) -> object:
    """Return what the text says, of dictionaries and lists."""
    if not isinstance(cast("object", text), (str, bytes)):
        raise refuse("FieldType", "expected text or bytes", text)
    if len(text) > most:
        raise refuse("BodyTooLarge", f"longer than {most} characters")
    # Raised out of the handlers: the decoders' errors hold the whole text,
    # tokens and all, and must not travel on as cause or context (E3).
    try:
        text = text.decode() if isinstance(text, bytes) else text
        if not text.startswith("\ufeff"):
            return _decoder.decode(text)
        refused = refuse("Encoding", "starts with a byte order mark", text)
    except UnicodeDecodeError:
        refused = refuse("Encoding", "not UTF-8", text)
    except RecursionError:
        refused = refuse("JsonTooDeep", "nested too deep")
    except json.JSONDecodeError as error:
        if error.msg.startswith("Invalid control character"):
            refused = refuse("ControlCharacter", str(error))
        else:
            refused = refuse("JsonFormat", f"no JSON: {error}", text)
    raise refused


def nests_too_deep(text: str | bytes) -> bool:
    """Tell whether brackets nest too deep; those in strings may add."""
    deepest = level = 0
    for char in text if isinstance(text, str) else text.decode():
        if char in "[{":
            level += 1
            deepest = max(deepest, level)
        elif char in "]}":
            level -= 1
    return deepest > _DEPTH_MAX


# -- Strict pieces -----------------------------------------------------------


_KINDS_OF_JSON: Final[Mapping[type[Any], str]] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    bool: "true or false",
    type(None): "null",
}


def _wrong(wanted: str, value: object) -> FormatError:
    if value is None:
        return refuse("FieldMissing", f"expected {wanted}, got null")
    kind = _KINDS_OF_JSON.get(type(value), type(value).__name__)
    return refuse("FieldType", f"expected {wanted}, got {kind}", value)


def _exactly(kind: type[_T], wanted: str) -> Callable[[object], _T]:
    def read(value: object) -> _T:
        if type(value) is not kind:
            raise _wrong(wanted, value)
        return value

    return read


_read_text: Final = _exactly(str, "text")
_items: Final[Callable[[object], list[Any]]] = _exactly(list, "a list")
_fields: Final[Callable[[object], _Json]] = _exactly(dict, "an object")


def _read_day(value: object) -> int | str:
    if value == "last":
        return "last"
    if type(value) is not int:
        raise _wrong('a day of the month or "last"', value)
    return value


def _read_date(value: object) -> date:
    text = _exactly(str, "a date")(value)
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    # fromisoformat also takes 20260131 and 2026-W05-6; one date has one text.
    if found is None or found.isoformat() != text:
        raise refuse("DateFormat", "expected a date as 2026-01-31", text)
    return found


def _read_instant(value: object) -> datetime:
    text = _exactly(str, "an instant")(value)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or instant_text(found) != text:
        raise refuse(
            "InstantFormat",
            "expected an instant as 2026-01-31T17:00:00.000000Z",
            text,
        )
    return found


def under(error: AutopayError, parent: str) -> AutopayError:
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


def check_names(
    value: object,
    names: AbstractSet[str],
    schema: str,
    added: AbstractSet[str] = frozenset(),
) -> _Json:
    """Refuse anything but an object of these fields; *added* may be absent."""
    found = _fields(value)
    if found.keys() == names:
        return found
    for name in sorted(names - added - found.keys()):
        raise FormatError(
            "the field is missing", code="FieldMissing", path=name
        )
    for name in sorted(found.keys() - names):
        raise FormatError(
            f"{schema} has no such field",
            code="UnknownField",
            path=_place(name),
            value=name,
        )
    return found


# -- One reader for each type ------------------------------------------------

_PLAIN: Final[Mapping[object, Reader]] = {
    bool: _exactly(bool, "true or false"),
    int: _exactly(int, "a whole number"),
    date: _read_date,
    datetime: _read_instant,
    get_args(DAY): _read_day,
}


@cache
def reader(kind: Any) -> Reader:  # noqa: ANN401 - any type of a field
    """Return what reads a field, or a value, of a type."""
    members, may_be_nothing = members_of(kind)
    read = _reader(members)
    if may_be_nothing:
        return lambda value: None if value is None else read(value)
    return read


def _reader(members: tuple[Any, ...]) -> Reader:
    if is_text(members):
        return _read_text
    if len(members) != 1:
        return _PLAIN.get(members) or _of_tagged(members)
    kind = members[0]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_enum(kind):
        return _of_enum(kind)
    return _of_value(kind) if attrs.has(kind) else _of_several(kind)


def _of_several(kind: object) -> Reader:
    origin, items = get_origin(kind), get_args(kind)
    if origin is Mapping:
        return _of_mapping(reader(items[0]), reader(items[1]))
    return _of_many(tuple if origin is tuple else frozenset, reader(items[0]))


def _of_enum(kind: type[Enum]) -> Reader:
    members = {each.value: each for each in kind}

    def read(value: object) -> Enum:
        found = members.get(_read_text(value))
        if found is None:
            raise refuse(
                "UnknownValue",
                f"not one of {', '.join(sorted(members))}",
                value,
            )
        return found

    return read


def _of_many(
    collect: type[tuple[Any, ...] | frozenset[Any]], item: Reader
) -> Reader:
    def read(value: object) -> tuple[Any, ...] | frozenset[Any]:
        found: list[Any] = []
        items = _items(value)
        try:
            for each in items:
                found.append(item(each))  # noqa: PERF401 - counts for the error
        except AutopayError as error:
            raise under(error, f"[{len(found)}]") from error
        many = collect(found)
        if len(many) != len(found):
            raise refuse("DuplicateValue", "one value is there twice")
        return many

    return read


def _of_mapping(key: Reader, item: Reader) -> Reader:
    def read(value: object) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, each in _fields(value).items():
            try:
                found[key(name)] = item(each)
            except AutopayError as error:
                raise under(error, _place(name, "*")) from error
        return found

    return read


def _of_tagged(members: tuple[Any, ...]) -> Reader:
    ways = {NAMES[each]: reader(each) for each in members}

    def read(value: object) -> object:
        fields = dict(_fields(value))
        name = fields.pop("type", None)
        if type(name) is not str or name not in ways:
            raise FormatError(
                f"not one of {', '.join(sorted(ways))}",
                code="FieldMissing" if name is None else "UnknownValue",
                path="type",
                value=name,
            )
        return ways[name](fields)

    return read


def _of_value(kind: type[Any]) -> Reader:
    fields = {name: reader(each) for name, each in fields_of(kind).items()}
    added = ADDED.get(kind, frozenset())

    def read(value: object) -> object:
        given = check_names(value, fields.keys(), NAMES[kind], added)
        found: _Json = {}
        name = ""
        try:
            for name, way in fields.items():
                if name in given:
                    found[name] = way(given[name])
        except AutopayError as error:
            raise under(error, name) from error
        return stored(kind, found)

    return read
