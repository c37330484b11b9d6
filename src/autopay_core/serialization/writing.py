"""
Values to JSON text.

Holds: `writer`, `quote`, `instant_text`. Imports: `kinds` and `runs`. A
value's writer is one expression, made from the fields of its class, as attrs
makes an `__init__`: that is three times as quick as going through
dictionaries, and runs of a hundred thousand lines are most of what a store
writes.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Any, Final, TypeAlias, final, get_args, get_origin

import attrs

from autopay_core.runs import Intent
from autopay_core.serialization.kinds import (
    DAY,
    NAMES,
    fields_of,
    is_enum,
    is_text,
    members_of,
)

__all__ = ["Writer", "instant_text", "quote", "writer"]

Writer: TypeAlias = Callable[[Any], str]

quote: Final = json.encoder.encode_basestring_ascii


def instant_text(value: datetime) -> str:
    """Return an instant in UTC, to the microsecond."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


_PLAIN: Final[Mapping[object, Writer]] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    date: lambda value: f'"{value}"',
    datetime: lambda value: f'"{instant_text(value)}"',
    get_args(DAY): lambda value: (
        quote(value) if value == "last" else str(value)
    ),
}


@cache
def writer(kind: Any) -> Writer:  # noqa: ANN401 - any type of a field
    """Return what writes a field, or a value, of a type."""
    members, may_be_nothing = members_of(kind)
    write = _writer(members)
    if may_be_nothing:
        return lambda value: "null" if value is None else write(value)
    return write


def _writer(members: tuple[Any, ...]) -> Writer:
    if is_text(members):
        return quote
    if len(members) != 1:
        return _PLAIN.get(members) or _of_tagged(members)
    kind = members[0]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_enum(kind):
        return lambda value: quote(value.value)
    if kind is Intent:
        return partial(_intents.of, write=_of_value(kind))
    return _of_value(kind) if attrs.has(kind) else _of_many(kind)


def _of_many(kind: object) -> Writer:
    write = writer(get_args(kind)[-1 if get_origin(kind) is Mapping else 0])
    if get_origin(kind) is tuple:
        return lambda values: f"[{','.join(map(write, values))}]"
    if get_origin(get_args(kind)[0]) is frozenset:
        # Sets have no order among themselves; their texts have one.
        return lambda values: f"[{','.join(sorted(map(write, values)))}]"
    if get_origin(kind) is frozenset:
        return lambda values: f"[{','.join(map(write, sorted(values)))}]"

    # A key is text, or a date, which is written as text.
    key = writer(get_args(kind)[0])

    def write_mapping(values: Mapping[Any, Any]) -> str:
        pairs = (f"{key(name)}:{write(values[name])}" for name in values)
        return f"{{{','.join(pairs)}}}"

    return write_mapping


def _of_tagged(members: tuple[Any, ...]) -> Writer:
    """Write a value of several types with the name of its own."""
    ways = {
        kind: (f'{{"type":"{NAMES[kind]}",', writer(kind)) for kind in members
    }

    def write(value: object) -> str:
        start, way = ways[type(value)]
        return start + way(value)[1:]

    return write


def _of_value(kind: type[Any]) -> Writer:
    parts: dict[str, Writer] = {"quote": quote}
    text = _object(kind, "value", parts)
    made: Writer = eval(f"lambda value: f'{text}'", dict(parts))  # noqa: S307 - names of fields
    return made


def _object(kind: type[Any], path: str, parts: dict[str, Writer]) -> str:
    """Return a piece of an f-string that writes what stands under *path*."""
    fields = ",".join(
        f'"{name}":{_field(each, f"{path}.{name}", parts)}'
        for name, each in fields_of(kind).items()
    )
    return f"{{{{{fields}}}}}"


def _field(
    kind: Any,  # noqa: ANN401 - any type of a field
    path: str,
    parts: dict[str, Writer],
) -> str:
    """Return the piece of a field; what is no plain value gets a part."""
    members, may_be_nothing = members_of(kind)
    if not may_be_nothing:
        if kind is int:
            return f"{{{path}}}"
        if kind is date:
            return f'"{{{path}}}"'
        if is_text(members):
            return f"{{quote({path})}}"
        if is_enum(kind):
            return f"{{quote({path}._value_)}}"
        if attrs.has(kind) and kind is not Intent:
            return _object(kind, path, parts)
    name = f"_{len(parts)}"
    parts[name] = writer(kind)
    return f"{{{name}({path})}}"


@final
class Texts:
    """
    The texts of intents that are still alive.

    A run is written several times, and its intent, most of its text, never
    changes (R3): the same object has the same text.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[weakref.ref[Intent], str]] = {}

    def of(self, intent: Intent, write: Callable[[Intent], str]) -> str:
        """Return what *write* made, or makes, of *intent*."""
        place = id(intent)
        known = self.known.get(place)
        if known is not None and known[0]() is intent:
            return known[1]
        text = write(intent)
        forget = partial(self._forget, place)
        self.known[place] = (weakref.ref(intent, forget), text)
        return text

    def _forget(self, place: int, gone: weakref.ref[Intent]) -> None:
        known = self.known.get(place)
        if known is not None and known[0] is gone:
            del self.known[place]


_intents: Final = Texts()
