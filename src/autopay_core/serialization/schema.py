"""
JSON Schemas of what `dumps` writes, made from the same types (E2).

Holds: `json_schema`. Imports: `kinds`. A schema says which fields there are
and of which types; what else a value refuses, such as a negative amount or a
card number, only the value itself knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args, get_origin

import attrs

from autopay_core.errors import InvalidValueError
from autopay_core.serialization.kinds import (
    ADDED,
    DAY,
    NAMES,
    fields_of,
    is_enum,
    is_text,
    members_of,
)

__all__ = ["json_schema"]

_Json: TypeAlias = dict[str, Any]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DATE: Final = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_INSTANT: Final = (
    f"{_DATE[:-1]}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{{6}}Z$"
)
_WHOLE_MOST: Final = 10**19
_PLAIN: Final[Mapping[object, _Json]] = MappingProxyType(
    {
        bool: {"type": "boolean"},
        int: {
            "type": "integer",
            "exclusiveMinimum": -_WHOLE_MOST,
            "exclusiveMaximum": _WHOLE_MOST,
        },
        date: {"type": "string", "pattern": _DATE},
        datetime: {"type": "string", "pattern": _INSTANT},
        get_args(DAY): {
            "anyOf": [{"type": "integer"}, {"const": "last"}],
        },
    }
)


def json_schema(kind: type[Any], /) -> dict[str, Any]:
    """
    Return the JSON Schema of what `dumps` writes of a type.

    >>> from autopay_core.money import Money
    >>> schema = json_schema(Money)
    >>> schema["properties"]["schema"]
    {'const': 'money'}
    >>> sorted(schema["$defs"]["money"]["properties"])
    ['amount_minor', 'currency']

    Args:
        kind: A type in `KINDS`.

    Returns:
        The schema of the envelope, in draft 2020-12; each type that it holds
        stands once, under ``$defs`` and the name of its own schema. A field
        that texts of before may lack is not required.

    Raises:
        InvalidValueError: The type has no format.

    """
    name = NAMES.get(kind)
    if name is None:
        raise InvalidValueError(
            f"{kind.__name__} has no format", code="FieldType", path="kind"
        )
    defined: dict[str, _Json] = {}
    data = _of(kind, defined)
    return {
        "$schema": _DRAFT,
        "title": kind.__name__,
        "type": "object",
        "properties": {
            "schema": {"const": name},
            "version": {"const": 1},
            "data": data,
        },
        "required": ["schema", "version", "data"],
        "additionalProperties": False,
        "$defs": dict(sorted(defined.items())),
    }


def _of(kind: Any, defined: dict[str, _Json]) -> _Json:  # noqa: ANN401 - any type of a field
    members, may_be_nothing = members_of(kind)
    found = _of_members(members, defined)
    if may_be_nothing:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _of_members(members: tuple[Any, ...], defined: dict[str, _Json]) -> _Json:
    if is_text(members):
        return {"type": "string"}
    if len(members) != 1:
        return _PLAIN.get(members) or {
            "oneOf": [_tagged(each, defined) for each in members]
        }
    kind = members[0]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_enum(kind):
        return {"enum": [each.value for each in kind]}
    if attrs.has(kind):
        return _reference(NAMES[kind], kind, defined)
    return _of_several(kind, defined)


def _of_several(kind: object, defined: dict[str, _Json]) -> _Json:
    items = get_args(kind)
    if get_origin(kind) is Mapping:
        of_key = _of(items[0], defined)
        found: _Json = {
            "type": "object",
            "additionalProperties": _of(items[1], defined),
        }
        if "pattern" in of_key:
            found["propertyNames"] = {"pattern": of_key["pattern"]}
        return found
    found = {"type": "array", "items": _of(items[0], defined)}
    if get_origin(kind) is frozenset:
        found["uniqueItems"] = True
    return found


def _reference(
    name: str,
    kind: type[Any],
    defined: dict[str, _Json],
    tag: _Json | None = None,
) -> _Json:
    """Define a type once, and return where it stands."""
    if name not in defined:
        defined[name] = {}  # In the making, if it holds itself.
        fields = fields_of(kind)
        added = ADDED.get(kind, frozenset())
        defined[name] = {
            "type": "object",
            "properties": {
                **({} if tag is None else {"type": tag}),
                **{each: _of(fields[each], defined) for each in fields},
            },
            "required": [
                *(() if tag is None else ("type",)),
                *(each for each in fields if each not in added),
            ],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _tagged(kind: type[Any], defined: dict[str, _Json]) -> _Json:
    """Return a value of several types, which names its own."""
    name = NAMES[kind]
    return _reference(f"{name}.tagged", kind, defined, {"const": name})
