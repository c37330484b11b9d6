"""
Checks that several value types share (E2, E3).

Holds: functions that return nothing and raise an `InvalidValueError` with a
code and a path (``check_…``); the same as validators that stand beside a
field of a value, where the path is the field's name (`an_id`, `a_text`, `a`
…); two bases, `Choice` of every enumeration and `Readable` of most values;
`ReadOnly`, a mapping that a value may keep; and `StoredText`, text from
before a rule was made stricter. Imports: `_unicode`, `errors`.

Types are exact: what a subclass of text, date or tuple says is kept as the
plain type where a field is checked, and refused elsewhere, so that two equal
values are one value. Nothing else is converted. Long, since every check of a
field is said here and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import attrs

from autopay_core._unicode import HIDDEN
from autopay_core.errors import InvalidValueError, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Field: TypeAlias = attrs.Attribute[Any]
    # Taking Any, it fits beside a field of every type.
    Check: TypeAlias = Callable[[Any, Field, Any], None]

__all__ = ["clean_text"]

_K = TypeVar("_K")
_V = TypeVar("_V")

ID_MAX: Final = 128
"""Longest identifier, in characters."""

TEXT_MAX: Final = 1_000
"""Longest free text, in characters."""

CODE_MAX: Final = 64
"""Longest code of somebody else's, in characters."""

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
_HIDDEN = re.compile(f"[{HIDDEN}]")
# In free text variation selectors choose how the character before is drawn:
# emoji, and the forms of a name in Japanese.
_VARIATION: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_CLEANED: Final = re.compile(
    f"(?![\ufe00-\ufe0f\U000e0100-\U000e01ef])[{HIDDEN}]"
)
_CODE: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
_STRICT: Final = "InvisibleCharacter"
_CARD_MIN: Final = 13
_CARD_MAX: Final = 19
_CARD_GROUP: Final = 4
_DIGIT_RUN: Final = re.compile("[0-9](?:[ ./_-]{0,3}[0-9]){12,}")
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


_NAMED_MOST: Final = 4


def some_of(names: Sequence[str], /) -> str:
    """
    Name the first of many, and say how many more there are.

    >>> some_of(["7", "8", "9", "10", "11", "12"])
    '7, 8, 9, 10 and 2 more'

    """
    named = ", ".join(names[:_NAMED_MOST])
    more = len(names) - _NAMED_MOST
    return f"{named} and {more} more" if more > 0 else named


def _fields(value: Readable) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(
        cast("Any", type(value))
    )
    return fields


class ReadOnly(Mapping[_K, _V]):
    """
    What a mapping held when a value was made of it, for good.

    Unlike `types.MappingProxyType` it can be pickled and hashed, and reads
    back.
    """

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[_K, _V], /) -> None:
        self._held = dict(held)

    def __getitem__(self, key: _K) -> _V:
        return self._held[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __hash__(self) -> int:
        return hash(frozenset(self._held.items()))

    def __repr__(self) -> str:
        return repr(self._held)


class StoredText(str):
    """
    Text that was let in before a rule was made stricter.

    It stays what it is: what was stored must be read, and go on (E2).
    """

    __slots__ = ()


def stored(kind: type[_V], fields: Mapping[str, Any], /) -> _V:
    """
    Make a value of stored fields; its texts keep the rules of their time.

    Raises:
        InvalidValueError: It could not be under those either.

    """
    try:
        return kind(**fields)
    except InvalidValueError as error:
        if error.code != _STRICT:
            raise
    return kind(**{name: _stored(each) for name, each in fields.items()})


def _stored(value: object) -> object:
    if type(value) is str:
        return StoredText(value)
    if type(value) is tuple:
        parts = cast("tuple[object, ...]", value)
        return tuple(_stored(each) for each in parts)
    return value


def check_type(
    value: object, kind: type[Any], path: str, code: str = "FieldType"
) -> None:
    """
    Refuse *value* unless it is a *kind*; bool never passes for int.

    Nor does a subclass pass for a number or for a value of ours: it may
    compare, add or print itself as it likes.
    """
    if type(value) is kind:
        return
    if (
        not isinstance(value, kind)
        or (kind is not bool and isinstance(value, bool))
        or kind is int
        or attrs.has(kind)
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
    if type(value) is not str and type(value) is not StoredText:
        code = "FieldMissing" if value is None else "FieldType"
        raise InvalidValueError(
            "an identifier must be text, of no subclass",
            code=code,
            path=path,
            value=value,
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


def check_new_id(value: object, path: str) -> None:
    """
    Refuse what `check_id` refuses, and what a person could not see (E2).

    For what comes in; what is stored keeps the rules of its time.
    """
    check_id(value, path)
    assert isinstance(value, str)
    if (
        not value.isascii()
        and type(value) is not StoredText
        and _HIDDEN.search(value)
    ):
        raise InvalidValueError(
            "an identifier must not hold what nobody can see",
            code=_STRICT,
            path=path,
            value=value,
        )


def check_text(
    value: object, path: str, *, most: int = TEXT_MAX, empty: bool = True
) -> None:
    """Refuse *value* unless it is one line of text without a card number."""
    if type(value) is not str and type(value) is not StoredText:
        code = "FieldMissing" if value is None else "FieldType"
        raise InvalidValueError(
            "must be text, of no subclass",
            code=code,
            path=path,
            value=value,
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
    escaped = _CLEANED.sub(_escape, _cut(value, most))
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
    return masked_text(cleaned)


def masked_text(value: str, /) -> str:
    """
    Return *value* with what may be a card number left out (E3).

    >>> masked_text("Card 4111-1111-1111-1111 has expired")
    'Card … has expired'

    """
    kept: list[str] = []
    end = 0
    for run in _DIGIT_RUN.finditer(_plain_digits(value)):
        if any(map(_luhn, _card_shapes(run[0]))):
            kept += value[end : run.start()], "…"
            end = run.end()
    return "".join([*kept, value[end:]])


def reported(value: Any) -> Any:  # noqa: ANN401 - checked beside the field
    """
    Make somebody else's text one that may be kept; a converter of a field.

    What a gateway or a file says must not keep what it tells of from its
    record, so it is masked and kept, not refused (E3). What is no text is
    left to the field's check.
    """
    if not isinstance(value, str):
        return value
    return report_text(str.__str__(value))


def reported_code(value: Any) -> Any:  # noqa: ANN401 - checked beside the field
    """Do as `reported` does, and cut what is longer than any code."""
    found = reported(value)
    return _cut(found, CODE_MAX) if isinstance(found, str) else found


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
    if point >> 16:
        return f"\\U{point:08x}"
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
    return date.fromordinal(date.toordinal(value))


# -- Checks beside a field ---------------------------------------------------
#
# attrs calls them with the instance, the field and the value, in the order of
# the fields. What is right is told here at once: a night builds values by the
# million, and each further call would cost as much as the check.


def _is_plain_id(value: Any) -> bool:  # noqa: ANN401
    return (
        type(value) is str
        and value.isascii()
        and value.isprintable()
        and 0 < len(value) <= ID_MAX
        and not value.isspace()
    )


def an_id(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_id` refuses; rebuild a subclass of text."""
    if not _is_plain_id(value):
        check_id(_as_plain(instance, field, value), field.name)


_LINK: Final = re.compile(r"https://[!-~]{1,992}")


def a_link(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what is no ``https`` address of at most 1,000 characters."""
    plain = _as_plain(instance, field, value)
    if len(plain) > TEXT_MAX or not _LINK.fullmatch(plain):
        raise InvalidValueError(
            "must be an https address in visible ASCII",
            code="LinkInvalid",
            path=field.name,
        )


def a_link_if_any(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `a_link` refuses, but for an empty text."""
    if type(value) is not str or value:
        a_link(instance, field, value)


def an_id_if_any(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_id` refuses, but for an empty text."""
    if type(value) is not str or value:
        an_id(instance, field, value)


def a_new_id(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_new_id` refuses; rebuild a subclass of text."""
    if not _is_plain_id(value):
        check_new_id(_as_plain(instance, field, value), field.name)


def _as_plain(instance: object, field: Field, value: Any) -> Any:  # noqa: ANN401
    """
    Let a field hold the plain type of what its value is a subclass of (E2).

    Two ids that are equal would make two idempotency keys if one of them
    prints itself otherwise. How a subclass shows or compares itself is not
    asked.
    """
    plain: object = plainly(value)
    if plain is not value:
        object.__setattr__(instance, field.name, plain)
    return plain


def plainly(value: object) -> Any:  # noqa: ANN401 - the type of what it is
    """Return text, dates, instants and tuples as their plain types (E2)."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime):
        offset = datetime.utcoffset(value)
        naive = datetime.combine(datetime.date(value), datetime.time(value))
        zone = None if offset is None else timezone(offset)
        return naive.replace(tzinfo=zone, fold=0)
    if isinstance(value, date):
        return date.fromordinal(date.toordinal(value))
    if isinstance(value, tuple):
        return tuple(cast("tuple[object, ...]", value))
    return value


_PLAIN: Final = frozenset({str, date, datetime, tuple, StoredText})


def keep_plain_dates(
    instance: object,
    field: Field,
    dates: tuple[date, ...] | frozenset[date],
) -> None:
    """Let a field hold plain dates, whatever subclasses it was given (S13)."""
    if any(type(each) is not date for each in dates):
        plain = type(dates)(plainly(each) for each in dates)
        object.__setattr__(instance, field.name, plain)


def a_date(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_date` refuses; rebuild a subclass of date (S13)."""
    if type(value) is not date or not DATE_MIN <= value <= DATE_MAX:
        check_date(value, field.name)
        _as_plain(instance, field, value)


def an_instant(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what `check_instant` refuses; rebuild a subclass (S13)."""
    check_instant(value, field.name)
    _as_plain(instance, field, value)


def a_code(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
    """Refuse what is no stable name of a case, such as ``AmountFormat``."""
    if type(value) is not str or not _CODE.fullmatch(value):
        check_type(value, str, field.name)
        raise InvalidValueError(
            "expected a name such as AmountFormat",
            code="CodeFormat",
            path=field.name,
            value=value,
        )


def a_text(*, most: int = TEXT_MAX, empty: bool = True) -> Check:
    """Refuse what `check_text` refuses."""

    def check(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if not empty or value or type(value) is not str:
            plain = _as_plain(instance, field, value)
            check_text(plain, field.name, most=most, empty=empty)

    return check


def a_new_text(*, most: int = TEXT_MAX, empty: bool = True) -> Check:
    """Refuse what `check_text` refuses, and what nobody can see (E2)."""
    check_old = a_text(most=most, empty=empty)

    def check(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
        check_old(instance, field, value)
        if (
            not value.isascii()
            and type(value) is not StoredText
            and _HIDDEN.search(_VARIATION.sub("", value))
        ):
            raise InvalidValueError(
                "must not hold what nobody can see; use clean_text()",
                code=_STRICT,
                path=field.name,
                value=value,
            )

    return check


def a(kind: type[Any], /, code: str = "FieldType") -> Check:
    """Refuse all but a *kind*; bool never passes for int."""

    def check(_: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if type(value) is not kind:
            check_type(value, kind, field.name, code)

    return check


def tuple_of(kind: type[Any], /) -> Check:
    """Refuse all but a tuple of *kind*; rebuild a subclass of tuple."""

    def check(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
        check_each(_as_plain(instance, field, value), kind, field.name)

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


def kept(values: Mapping[str, Any], /) -> Mapping[str, Any]:
    """Keep what a mapping holds from whoever still has it, as a converter."""
    try:
        return ReadOnly(values)
    except (TypeError, ValueError):
        return values  # No mapping: the field's check refuses it.


def kept_if_any(
    values: Mapping[str, Any] | None, /
) -> Mapping[str, Any] | None:
    """Like `kept`, for a field that may be None."""
    return None if values is None else kept(values)


def optional(check: Check, /) -> Check:
    """Let None pass, and all that *check* lets pass."""

    def check_if_given(instance: object, field: Field, value: Any) -> None:  # noqa: ANN401
        if value is not None:
            check(instance, field, value)

    return check_if_given
