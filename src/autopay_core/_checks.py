"""
Checks that several value types share (E2, E3).

Holds: functions that return nothing and raise an `InvalidValueError` with a
code and a path (``check_…``); the same as validators that stand beside a
field of a value, where the path is the field's name (`an_id`, `a_text`, `a`
…); two bases, `Choice` of every enumeration and `Readable` of most values;
and `ReadOnly`, a mapping that a value may keep. Imports: `errors`. Nothing
here converts what it checks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import attrs

from autopay_core.errors import InvalidValueError, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Field: TypeAlias = attrs.Attribute[Any]
    # Taking Any, it fits beside a field of every type.
    Check: TypeAlias = Callable[[Any, Field, Any], None]

__all__ = ["clean_text"]

_V = TypeVar("_V")

ID_MAX: Final = 128
"""Longest identifier, in characters."""

TEXT_MAX: Final = 1_000
"""Longest free text, in characters."""

DATE_MIN: Final = date(1900, 1, 1)
"""Earliest date that an invoice or a run may carry."""

DATE_MAX: Final = date(2200, 12, 31)
"""Latest date that an invoice or a run may carry."""

# Control characters, DEL, line and paragraph separators, bidi controls,
# zero-width characters and lone surrogates: they hide or reorder what a
# person reads, or break the database and the header they are written to.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff]"
)
_CARD_MIN: Final = 13
_CARD_MAX: Final = 19
_CARD_GROUP: Final = 4
_DIGIT_RUN: Final = re.compile("[0-9](?:[ .-]{0,3}[0-9]){12,}")
_ONE_NUMBER: Final = re.compile("[0-9](?:[ -]?[0-9])*")


class Choice(Enum):
    """An enumeration whose members read back, as values do."""

    def __repr__(self) -> str:
        """Return ``Level.CLIENT``."""
        return f"{type(self).__name__}.{self.name}"


class Readable:
    """
    A value whose repr reads back, and that compares by its fields.

    As attrs writes it; but attrs compiles methods for each class, and that
    takes a quarter of the time of `import autopay_core`. What is compared
    often lets attrs write ``==`` and ``hash``; the others say ``eq=False``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return ``Pause(from_on=datetime.date(2026, 1, 31), to_on=None)``."""
        shown = ", ".join(
            f"{each.name}={getattr(self, each.name)!r}"
            for each in _fields(self)
            if each.repr
        )
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        """Compare the fields of two values of one class."""
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(
            getattr(self, each.name) == getattr(other, each.name)
            for each in _fields(self)
            if each.eq
        )

    def __hash__(self) -> int:
        """Hash the fields that are compared."""
        values = [
            getattr(self, each.name) for each in _fields(self) if each.eq
        ]
        return hash((type(self), *values))


def _fields(value: Readable) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(
        cast("Any", type(value))
    )
    return fields


class ReadOnly(Mapping[str, _V]):
    """
    What a mapping held when a value was made of it, for good.

    Unlike `types.MappingProxyType` it can be pickled, and reads back.
    """

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[str, _V], /) -> None:
        self._held = dict(held)

    def __getitem__(self, key: str) -> _V:
        return self._held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return repr(self._held)


def check_type(
    value: object, kind: type[Any], path: str, code: str = "FieldType"
) -> None:
    """Refuse *value* unless it is a *kind*; bool never passes for int."""
    if not isinstance(value, kind) or (
        kind is not bool and isinstance(value, bool)
    ):
        raise InvalidValueError(
            f"expected {kind.__name__}, got {type(value).__name__}",
            code=code,
            path=path,
            value=value,
        )


def check_id(value: object, path: str) -> None:
    """
    Refuse *value* unless it can identify something, compared exactly.

    Any printable text of 1 to 128 characters; ``*``, ``%`` and ``../`` are
    literals. A card number is not looked for: long invoice numbers of some
    firms would pass its check digit by chance.
    """
    if not isinstance(value, str):
        code = "FieldMissing" if value is None else "FieldType"
        raise InvalidValueError(
            "an identifier must be text", code=code, path=path, value=value
        )
    if not value or value.isspace():
        raise InvalidValueError(
            "an identifier must not be empty",
            code="FieldMissing",
            path=path,
            value=value,
        )
    if len(value) > ID_MAX:
        raise InvalidValueError(
            f"an identifier has at most {ID_MAX} characters, not {len(value)}",
            code="FieldTooLong",
            path=path,
            value=value,
        )
    if _UNSAFE.search(value):
        raise InvalidValueError(
            "an identifier must not hold control or invisible characters",
            code="ControlCharacter",
            path=path,
            value=value,
        )


def check_text(
    value: object, path: str, *, most: int = TEXT_MAX, empty: bool = True
) -> None:
    """Refuse *value* unless it is one line of text without a card number."""
    if not isinstance(value, str):
        code = "FieldMissing" if value is None else "FieldType"
        raise InvalidValueError(
            "must be text", code=code, path=path, value=value
        )
    if not empty and not value.strip():
        raise InvalidValueError(
            "must not be empty", code="FieldMissing", path=path, value=value
        )
    if len(value) > most:
        raise InvalidValueError(
            f"at most {most} characters, not {len(value)}",
            code="FieldTooLong",
            path=path,
            value=value,
        )
    if not value:
        return
    if _UNSAFE.search(value):
        raise InvalidValueError(
            "must not hold control or invisible characters; use clean_text()",
            code="ControlCharacter",
            path=path,
            value=value,
        )
    check_no_card_number(value, path)


def check_no_card_number(value: str, path: str) -> None:
    """
    Refuse *value* if a card number stands anywhere in it (E3).

    That is 13 to 19 digits with a right check digit, in one piece or in
    groups, and in any script's digits.
    """
    if len(value) < _CARD_MIN:
        return
    for run in _DIGIT_RUN.findall(_plain_digits(value)):
        if any(map(_luhn, _card_shapes(run))):
            raise InvalidValueError(
                "looks like a card number; give the gateway's token instead",
                code="PanDetected",
                path=path,
                value=value,
            )


def _plain_digits(text: str) -> str:
    """Return *text* with ASCII digits, blanks and dashes for all others."""
    if text.isascii():
        return text
    return "".join(map(_plain_char, text))


def _plain_char(char: str) -> str:
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.category(char)
    return {"Zs": " ", "Pd": "-", "Cf": "-"}.get(kind, char)


def _card_shapes(run: str) -> Iterator[str]:
    """
    Return the parts of a run of digits that could be one card number.

    The whole run, and every sequence of groups as long as those on cards.
    Not every part: dates and telephone numbers in a row would often hold one
    by chance.
    """
    groups = re.findall("[0-9]+", run)
    if _ONE_NUMBER.fullmatch(run):
        yield "".join(groups)
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            yield digits
            if len(group) < _CARD_GROUP or len(digits) >= _CARD_MAX:
                break


def _luhn(digits: str) -> bool:
    if not _CARD_MIN <= len(digits) <= _CARD_MAX:
        return False
    total = 0
    for place, char in enumerate(reversed(digits)):
        digit = int(char)
        # Doubled, and its digits added up: 8 -> 16 -> 7.
        total += sum(divmod(digit * 2, 10)) if place % 2 else digit
    return total % 10 == 0 and digits.strip("0") != ""


def clean_text(value: str, /, *, most: int = TEXT_MAX) -> str:
    r"""
    Return *value* as one printable line of at most *most* characters.

    For hosts that take free text from people: control characters become a
    visible ``\x0a``, invisible and bidirectional ones ``\u202e``, and what
    is too long ends in ``…``. The raw text is the host's to keep.

    >>> clean_text("a\r\nBcc: b")
    'a\\x0d\\x0aBcc: b'

    """
    # Cut before escaping, so that a megabyte is not looked through.
    escaped = _UNSAFE.sub(_escape, _cut(value, most))
    return _cut(escaped, most)


def report_text(value: str, /) -> str:
    """
    Return `clean_text` of *value* with what may be a card number left out.

    For what ports say of themselves: a message that cannot be kept must not
    keep a run from its end (N1, E3).

    >>> report_text("request 4111 1111 1111 1111 failed")
    'request … failed'

    """
    cleaned = clean_text(value)
    kept: list[str] = []
    end = 0
    for run in _DIGIT_RUN.finditer(_plain_digits(cleaned)):
        if any(map(_luhn, _card_shapes(run[0]))):
            kept += cleaned[end : run.start()], "…"
            end = run.end()
    return "".join([*kept, cleaned[end:]])


def _cut(text: str, most: int) -> str:
    """Cut *text*, but never between a character and its marks."""
    if len(text) <= most:
        return text
    end = most - 1
    while end > 0 and _belongs_to_the_one_before(text[end]):
        end -= 1
    return text[:end] + "…"


def _belongs_to_the_one_before(char: str) -> bool:
    # Accents and variation selectors; skin tones of emoji.
    return (
        unicodedata.category(char).startswith("M")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\u{point:04x}" if point >> 8 else f"\\x{point:02x}"


def check_date(value: object, path: str) -> None:
    """
    Refuse *value* unless it is a date from 1900 to 2200.

    A `datetime` is refused although it inherits from `date`: it has a time
    and perhaps a zone, and dropping them could move the day (S13).
    """
    if not isinstance(value, date) or isinstance(value, datetime):
        if isinstance(value, datetime) and value.tzinfo is None:
            code = "NaiveDatetime"
        else:
            code = "FieldMissing" if value is None else "DateType"
        raise InvalidValueError(
            "expected a date without time",
            code=code,
            path=path,
            value=str(value),
        )
    if not DATE_MIN <= value <= DATE_MAX:
        raise InvalidValueError(
            f"expected a date from {DATE_MIN} to {DATE_MAX}",
            code="DateOutOfRange",
            path=path,
            value=str(value),
        )


def check_instant(value: object, path: str) -> None:
    """Refuse *value* unless it is an aware `datetime`."""
    if not isinstance(value, datetime):
        raise InvalidValueError(
            "expected a datetime with a zone",
            code="FieldType",
            path=path,
            value=value,
        )
    if value.utcoffset() is None:
        raise InvalidValueError(
            "expected a datetime with a zone",
            code="NaiveDatetime",
            path=path,
            value=str(value),
        )


def check_each(values: Iterable[object], kind: type[Any], path: str) -> None:
    """Refuse *values* unless it is a tuple of *kind*."""
    if not isinstance(values, tuple):
        raise InvalidValueError(
            f"expected a tuple of {kind.__name__}",
            code="FieldType",
            path=path,
            value=values,
        )
    for place, value in enumerate(values):
        if type(value) is not kind:
            check_type(value, kind, f"{path}[{place}]")


def plain_date(value: date, path: str) -> date:
    """Check *value* and return it as a `date`, whatever its subclass (S13)."""
    if type(value) is date and DATE_MIN <= value <= DATE_MAX:
        return value
    check_date(value, path)
    return date(value.year, value.month, value.day)


# -- Checks beside a field ---------------------------------------------------
#
# attrs calls them with the instance, the field and the value, in the order of
# the fields. What is right is told here at once: a night builds values by the
# million, and each further call would cost as much as the check.


def an_id(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_id` refuses."""
    if not (
        type(value) is str
        and value.isascii()
        and value.isprintable()
        and 0 < len(value) <= ID_MAX
        and not value.isspace()
    ):
        check_id(value, field.name)


def a_date(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_date` refuses."""
    if type(value) is not date or not DATE_MIN <= value <= DATE_MAX:
        check_date(value, field.name)


def an_instant(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_instant` refuses."""
    check_instant(value, field.name)


def a_text(*, most: int = TEXT_MAX, empty: bool = True) -> Check:
    """Refuse what `check_text` refuses."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if not empty or value or type(value) is not str:
            check_text(value, field.name, most=most, empty=empty)

    return check


def a(kind: type[Any], /, code: str = "FieldType") -> Check:
    """Refuse all but a *kind*; bool never passes for int."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if type(value) is not kind:
            check_type(value, kind, field.name, code)

    return check


def tuple_of(kind: type[Any], /) -> Check:
    """Refuse all but a tuple of *kind*."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        check_each(value, kind, field.name)

    return check


def mapping_of(kind: type[Any], /) -> Check:
    """Refuse all but a mapping of text to a *kind*."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        check_type(value, Mapping, field.name)
        for key, one in value.items():
            if type(key) is not str or type(one) is not kind:
                check_type(key, str, field.name)
                check_type(one, kind, f"{field.name}[{safe_text(key)}]")

    return check


def a_number(least: int, most: int | None = None, /) -> Check:
    """Refuse all but an int from *least* to *most*."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        check_type(value, int, field.name)
        if value < least or (most is not None and value > most):
            raise InvalidValueError(
                f"at least {least}" if most is None else f"{least} to {most}",
                code="OutOfRange",
                path=field.name,
                value=value,
            )

    return check


def optional(check: Check, /) -> Check:
    """Let None pass, and all that *check* lets pass."""

    def check_if_given(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if value is not None:
            check(instance, field, value)

    return check_if_given
