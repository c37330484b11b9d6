"""
What opens an account at Clio, and shows nowhere (E3).

Holds: `ClioTokens` and `ClioApp`. Imports: `errors`. As with `Secret`, a
function keeps the texts, so that nothing that shows attributes shows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NoReturn, final

from autopay_core.errors import InvalidValueError

__all__ = ["ClioApp", "ClioTokens"]

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")


def is_sound(value: object) -> bool:
    """Tell whether a text can stand in a header and in a form."""
    return type(value) is str and _VISIBLE.fullmatch(value) is not None


class _Pair:
    """Two texts that are shown by nothing but `reveal`."""

    __slots__ = ("_reveal",)

    _reveal: Callable[[], tuple[str, str]]

    def __init__(self, one: str, two: str, /) -> None:
        is_wrong = not (is_sound(one) and is_sound(two))

        def reveal() -> tuple[str, str]:
            return one, two

        if is_wrong:
            # Whoever shows this frame's variables shows no secret.
            del reveal
            one = two = ""
            raise InvalidValueError(
                "expected two texts of at most 4,096 visible ASCII "
                "characters; they are not shown here",
                code="ClioTokens",
                path=type(self).__name__,
            )
        self._reveal = reveal

    def reveal(self) -> tuple[str, str]:
        """Return both texts, for keeping and sending them."""
        return self._reveal()

    def __eq__(self, other: object) -> bool:
        """Tell whether two are the same."""
        if type(other) is not type(self):
            return NotImplemented
        return self.reveal() == other.reveal()

    def __hash__(self) -> int:
        """Return what says nothing about the texts."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Show that there is one."""
        return f"{type(self).__name__}(…)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, or copied into a file by anybody."""
        raise TypeError("a secret is not written into a pickle")


@final
class ClioTokens(_Pair):
    """
    The access token and the refresh token of one user at Clio.

    They show in no repr, error or pickle; ``access, refresh =
    tokens.reveal()`` gives them to whoever keeps them.

    >>> ClioTokens("access-1", "refresh-1")
    ClioTokens(…)

    Args:
        access: Goes with each request; it lasts for some weeks.
        refresh: Gets a new one when it has expired.

    Raises:
        InvalidValueError: Not two texts of visible ASCII (``ClioTokens``);
            they are not shown.

    """

    __slots__ = ()


@final
class ClioApp(_Pair):
    """
    Key and secret of the host's application at Clio.

    Args:
        key: The client id.
        secret: The client secret; it is sent to the token address only.

    Raises:
        InvalidValueError: As for `ClioTokens`.

    """

    __slots__ = ()
