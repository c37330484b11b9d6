"""
The whole tree of errors (E1).

Holds: every exception that the library raises on purpose. Imports: `_moved`.
Expected outcomes (a decline, nothing due) are values, not errors. A class of
its own has what somebody acts on; all else is told apart by its `code`.

::

    AutopayError                        everything raised on purpose
    ├── InvalidValueError (ValueError)      the caller passed nonsense
    │   ├── CurrencyMismatchError           two currencies met
    │   ├── ForeignInvoiceError             a row that nobody asked for
    │   └── FormatError                     unreadable text, JSON or CSV
    ├── PortError                       raised by port implementations only
    │   ├── PortUnavailableError            nothing happened; ask again later
    │   ├── CommitUnknownError              a commit may or may not stand
    │   ├── IncompleteReadError             not all rows could be read
    │   ├── PostingConflictError            another content stands under the id
    │   └── UnsafeStoreError                the store's settings lose commits
    └── HostProtocolError (RuntimeError)    the host answered a flow wrongly
"""

from __future__ import annotations

import re
from typing import ClassVar, Final, final

from autopay_core._moved import moved

__all__ = [
    "AutopayError",
    "CommitUnknownError",
    "CurrencyMismatchError",
    "ForeignInvoiceError",
    "FormatError",
    "HostProtocolError",
    "IncompleteReadError",
    "InvalidValueError",
    "PortError",
    "PortUnavailableError",
    "PostingConflictError",
    "UnsafeStoreError",
    "safe_text",
]

_CODE: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")

SAFE_TEXT_MAX = 60
_PRINTABLE_MIN_DIGITS = 13
_SHOWN_DIGITS = 4
_NUMBER_MAX = 40  # characters of a card number, separators included


def safe_text(value: object, /) -> str:
    r"""
    Render *value* so that it may stand in a log line or a message (E2, E3).

    ASCII only, control characters escaped, at most 60 characters of content,
    and every digit but the last four of a long number masked, so that a card
    number pasted into the wrong field never travels on.

    >>> safe_text("4111 1111 1111 1111")
    "'************** 1111'"
    >>> safe_text("a\r\nb")
    "'a\\r\\nb'"
    >>> safe_text("x" * 1_000_000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'…"

    """
    if isinstance(value, int):
        # A number of thousands of digits may not even be converted to text.
        if value.bit_length() > 4 * SAFE_TEXT_MAX:
            return f"<{type(value).__name__} of {value.bit_length()} bits>"
        return _mask(repr(value))
    if isinstance(value, str):
        # Masked before it is cut, or the cut could hide that a number is long.
        cut = _mask(value[: SAFE_TEXT_MAX + _NUMBER_MAX])[:SAFE_TEXT_MAX]
        mark = "…" if len(value) > SAFE_TEXT_MAX else ""
        return ascii(cut) + mark
    if isinstance(value, bytes):
        start = value[: SAFE_TEXT_MAX + _NUMBER_MAX]
        return _mask(ascii(start))[:SAFE_TEXT_MAX]
    if isinstance(value, float) or value is None:
        return _mask(ascii(value)[:SAFE_TEXT_MAX])
    # Anybody's __repr__ may be long, wrong or raise: the type is enough.
    return f"<{type(value).__name__}>"


def _mask(text: str) -> str:
    digits = sum(map(str.isdigit, text))
    if digits < _PRINTABLE_MIN_DIGITS:
        return text
    shown = 0
    masked: list[str] = []
    for char in reversed(text):
        if char.isdigit():
            shown += 1
            masked.append(char if shown <= _SHOWN_DIGITS else "*")
        else:
            # Spaces and dashes inside a number go with it.
            hidden = shown > _SHOWN_DIGITS and char in " -"
            masked.append("*" if hidden else char)
    return "".join(reversed(masked))


class AutopayError(Exception):
    """
    Base of everything that the library raises on purpose.

    Attributes:
        code: Stable name of the case, for programs; never translated.

    """

    code: str = "AutopayError"


class InvalidValueError(AutopayError, ValueError):
    """
    The caller passed something impossible; mend the input and call again.

    Attributes:
        code: Stable name of the case, such as ``"AmountScale"``.
        path: Where the value stood, such as ``"balance"`` or
            ``"enrollments[2].client"``; empty when it stood alone.
        safe_value: A rendering that may be logged: short, escaped, masked.

    """

    def __init__(
        self, message: str, *, code: str, path: str = "", value: object = None
    ) -> None:
        self.code = code
        self.path = path
        self.safe_value = safe_text(value)
        self.message = message
        where = f"{path}: " if path else ""
        super().__init__(f"{where}{message} [{code}]")

    def at(self, parent: str) -> InvalidValueError:
        """Return the same error with *parent* in front of its path."""
        moved = self.__class__.__new__(self.__class__)
        moved.__dict__.update(self.__dict__)
        moved.path = f"{parent}.{self.path}" if self.path else parent
        moved.args = (f"{moved.path}: {self.message} [{self.code}]",)
        return moved

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the data when the error crosses a process boundary."""
        return (_restore, (self.__class__, self.args, self.__dict__))


def _restore(
    kind: type[AutopayError], args: tuple[object, ...], data: dict[str, object]
) -> AutopayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(data)
    return error


@final
class CurrencyMismatchError(InvalidValueError):
    """
    Two amounts of different currencies met in one operation (M3).

    Attributes:
        left: Currency of the first amount.
        right: Currency of the second amount.

    """

    def __init__(self, left: str, right: str, *, path: str = "") -> None:
        super().__init__(
            f"cannot combine {safe_text(left)} with {safe_text(right)}; "
            "convert before calling, or split by currency",
            code="CurrencyMismatch",
            path=path,
            value=right,
        )
        self.left = left
        self.right = right


@final
class ForeignInvoiceError(InvalidValueError):
    """The matter data returned a row that nobody asked for (A2)."""


class FormatError(InvalidValueError):
    """Text, JSON or a CSV cell that cannot be read as what it should be."""


class PortError(AutopayError):
    """
    A port could not keep its contract; raised by port implementations only.

    Attributes:
        code: Stable name of the case, such as ``"StoreBusy"``: an ASCII
            identifier of at most 64 characters. Another text is replaced by
            the class's own code, for it may be a message in the wrong place,
            and what cannot be kept must not keep a run from its record.

    """

    default_code: ClassVar[str] = "PortError"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        fits = type(code) is str and _CODE.fullmatch(code)
        self.code = code if code is not None and fits else self.default_code


class PortUnavailableError(PortError):
    """
    Nothing happened, and that is a promise; ask again later.

    Attributes:
        retry_after: Seconds after which it is worth asking again, if the
            other side says so; None if it does not.

    """

    default_code = "PortUnavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


@final
class CommitUnknownError(PortError):
    """A commit may or may not stand; read again before doing anything."""

    default_code = "CommitUnknown"


@final
class IncompleteReadError(PortError):
    """Not every row could be read, so no amount can be trusted."""

    default_code = "IncompleteRead"


@final
class PostingConflictError(PortError):
    """Another content stands under an id that was to be written."""

    default_code = "PostingConflict"


@final
class UnsafeStoreError(PortError):
    """The store's settings could lose a commit; it refuses to start."""

    default_code = "UnsafeStore"


@final
class HostProtocolError(AutopayError, RuntimeError):
    """The host answered a flow's request with something it cannot be."""

    code = "HostProtocol"


__getattr__ = moved(__name__)
