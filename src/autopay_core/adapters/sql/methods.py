"""
One text of a store's methods, for blocking and awaitable stores.

Holds: `call` and `listing`, which make a store's method of a generator that
yields transactions; `Blocking` and `Awaitable`, which carry these out.
Imports: `engine.driving`, `words`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from functools import wraps
from types import GenericAlias
from typing import (
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from autopay_core.adapters.sql.words import Calls, Transaction
from autopay_core.engine.driving import (
    Given,
    drive,
    drive_async,
    stream,
    stream_async,
)

__all__ = ["Awaitable", "Blocking", "Listing", "call", "listing"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
Listing: TypeAlias = Generator[Transaction | Given, Any, None]
"""A method that gives values one by one, between its transactions."""


class Blocking(ABC):
    """A store whose methods return values."""

    @abstractmethod
    def _carry_out(self, wanted: Transaction) -> object:
        """
        Carry out one transaction.

        Raises:
            PortUnavailableError: Nothing was written.
            LostRaceError: Nothing was written; it may be tried again.
            AnswerLostError: Nobody knows.

        """

    @abstractmethod
    def close(self) -> None:
        """Close the store's own connections, not a host's."""

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def _call(self, calls: Calls[_T]) -> _T:
        return drive(calls, self._carry_out)

    def _list(self, calls: Listing) -> Iterator[Any]:
        return stream(calls, self._carry_out)


class Awaitable(ABC):
    """A store whose methods are awaited."""

    @abstractmethod
    async def _carry_out(self, wanted: Transaction) -> object:
        """Like `Blocking._carry_out`."""

    async def _call(self, calls: Calls[_T]) -> _T:
        return await drive_async(calls, self._carry_out)

    def _list(self, calls: Listing) -> AsyncIterator[Any]:
        return stream_async(calls, self._carry_out)


# What a type checker sees of a method: by the store that it is looked up on.


class _Call(Protocol[_P, _T_co]):
    @overload
    def __get__(
        self, store: Blocking, owner: object = None, /
    ) -> Callable[_P, _T_co]: ...
    @overload
    def __get__(
        self, store: Awaitable, owner: object = None, /
    ) -> Callable[_P, Coroutine[Any, Any, _T_co]]: ...


class _Listing(Protocol[_P, _T_co]):
    @overload
    def __get__(
        self, store: Blocking, owner: object = None, /
    ) -> Callable[_P, Iterator[_T_co]]: ...
    @overload
    def __get__(
        self, store: Awaitable, owner: object = None, /
    ) -> Callable[_P, AsyncIterator[_T_co]]: ...


def call(calls: Callable[Concatenate[Any, _P], Calls[_T]], /) -> _Call[_P, _T]:
    """Make a method that returns what *calls* returns, or awaits it."""

    @wraps(calls)
    def method(store: Any, *args: _P.args, **kwargs: _P.kwargs) -> Any:  # noqa: ANN401 - see `_Call`
        return store._call(calls(store, *args, **kwargs))  # noqa: SLF001 - ours

    said: str = calls.__annotations__["return"]
    _answers(method, calls, said.removeprefix("Calls[").removesuffix("]"))
    return cast("_Call[_P, _T]", method)


def listing(
    kind: type[_T], /
) -> Callable[[Callable[Concatenate[Any, _P], Listing]], _Listing[_P, _T]]:
    """Make a method that iterates over values of a *kind*."""

    def made(
        calls: Callable[Concatenate[Any, _P], Listing],
    ) -> _Listing[_P, _T]:
        @wraps(calls)
        def method(store: Any, *args: _P.args, **kwargs: _P.kwargs) -> Any:  # noqa: ANN401 - see `_Listing`
            return store._list(calls(store, *args, **kwargs))  # noqa: SLF001 - ours

        _answers(method, calls, GenericAlias(Iterator, kind))
        return cast("_Listing[_P, _T]", method)

    return made


def _answers(
    method: Callable[..., object],
    calls: Callable[..., object],
    answer: object,
) -> None:
    """Say in the reference what a method answers, not how."""
    method.__annotations__ = {**calls.__annotations__, "return": answer}
