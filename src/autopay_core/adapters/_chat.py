"""
What every chat needs: who is told, and that nobody is called (N1, NT-4).

Holds: `calling_nobody`, `check_audiences`, `check_seconds`. Imports:
`notices`.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from autopay_core.errors import InvalidValueError
from autopay_core.notices import Audience

__all__ = ["calling_nobody", "check_audiences", "check_seconds"]

_EVERYBODY: Final[frozenset[object]] = frozenset(Audience)
_SECONDS_MOST: Final = 3_600

# An address such as office@firm.example calls nobody and stays as it is,
# unless it has a word in it that some chats take for a call wherever it is.
_CALL: Final = re.compile(
    r"(?<![\w.+-])@(?=[^\s\u200b])|@(?=everyone|here|channel)", re.IGNORECASE
)


def calling_nobody(text: str, /) -> str:
    r"""
    Return *text* with a character that is not seen after each ``@`` of a call.

    Chats look for names after it in plain text, too, and have no escape for
    it.

    >>> calling_nobody("@here, ask office@firm.example")
    '@\u200bhere, ask office@firm.example'

    """
    return _CALL.sub("@\u200b", text)


def check_audiences(value: object, /) -> None:
    """Refuse what is no set of audiences, or an empty one."""
    if isinstance(value, frozenset):
        given = cast("frozenset[object]", value)
        if given and given <= _EVERYBODY:
            return
    raise InvalidValueError(
        "expected a frozenset of Audience that is not empty",
        code="FieldType",
        path="audiences",
    )


def check_seconds(value: Any, /) -> None:  # noqa: ANN401 - checked here
    """Refuse what is no time to wait, above zero and up to an hour."""
    if type(value) not in (int, float) or not 0 < value <= _SECONDS_MOST:
        raise InvalidValueError(
            "expected seconds above zero, at most 3600",
            code="OutOfRange",
            path="timeout_seconds",
            value=value,
        )
