"""
Values as versioned JSON, strict in both directions (E2).

Holds: `dumps`, `loads` and `Format`; gives `KINDS` and `json_schema`. Imports:
`kinds`, `reading`, `schema`, `writing`, `errors`. Everything that the stores
keep and that hosts may want to keep, such as an `AutoPay`, is an envelope of
three fields::

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

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast, final

from autopay_core.errors import FormatError, InvalidValueError
from autopay_core.serialization.kinds import KINDS, NAMES
from autopay_core.serialization.reading import (
    check_names,
    nests_too_deep,
    parse,
    reader,
    refuse,
    under,
)
from autopay_core.serialization.schema import json_schema
from autopay_core.serialization.writing import writer

__all__ = [
    "KINDS",
    "TEXT_MAX_CHARS",
    "Format",
    "Upgrade",
    "dumps",
    "json_schema",
    "loads",
]

TEXT_MAX_CHARS: Final = 128 * 1024 * 1024
"""Longest text that is read; a run over 200,000 invoices fits."""

_T = TypeVar("_T")
_Json = dict[str, Any]
Upgrade = Callable[[_Json], _Json]
"""Turns the data of one version into the data of the next."""

_ENVELOPE: Final = frozenset({"schema", "version", "data"})


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

    def version(self, schema: str, /) -> int:
        """Return the newest version of a schema."""
        return 1 + len(self._upgrades.get(schema, ()))

    def dumps(self, value: object, /) -> str:
        """Like the function `dumps`."""
        kind: Any = type(value)
        name = NAMES.get(kind)
        if name is None:
            raise InvalidValueError(
                f"{kind.__name__} has no format",
                code="FieldType",
                value=value,
            )
        return (
            f'{{"schema":"{name}","version":{self.version(name)},'
            f'"data":{writer(kind)(value)}}}'
        )

    def loads(
        self,
        text: str | bytes,
        kind: type[_T],
        /,
        *,
        most: int = TEXT_MAX_CHARS,
    ) -> _T:
        """Like the function `loads`."""
        way: Any = kind
        envelope = parse(text, most)
        try:
            data = self._data(envelope, kind)
            try:
                return cast("_T", reader(way)(data))
            except InvalidValueError as error:
                raise under(error, "data") from error
        except InvalidValueError:
            # A deep text is refused as such, whatever else is wrong with it.
            if nests_too_deep(text):
                raise refuse("JsonTooDeep", "nested too deep") from None
            raise

    def _data(self, envelope: object, kind: type[Any]) -> object:
        found = check_names(envelope, _ENVELOPE, "an envelope")
        schema = found["schema"]
        wanted = NAMES.get(kind)
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

    >>> from autopay_core.money import Money
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

    >>> from autopay_core.money import Money
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
