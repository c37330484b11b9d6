"""
Wrong functions in the place of true ones, for as long as a test says.

Holds: `Planting`, which swaps attributes of modules and of classes and puts
them back, and the flows between a flow and its host that most wrong functions
are made of. What cannot be swapped fails loudly: a planted bug that is
nowhere would be found by nothing, or worse, its absence be taken for a test
that passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any, Self

ROOMS = ("autopay_core.engine", "autopay_core.adapters.memory")
"""Where a true function is looked for, unless a planted bug says where."""


class DriftedError(Exception):
    """What was to be planted has no place in the library any more."""


class Planting:
    """
    Swaps things for wrong ones, and puts them back at the end.

    A function is swapped in the modules that use it: in each of `ROOMS` that
    has it under any name, or only in those that are named.
    """

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()

    def swap(self, true: object, wrong: object, *only: ModuleType) -> None:
        """Put *wrong* wherever *true* stands, or only in these modules."""
        places = [
            (module, name)
            for module in only or _rooms()
            for name, value in list(vars(module).items())
            if value is true
        ]
        missing = set(only) - {module for module, _ in places}
        if missing or not places:
            where = ", ".join(sorted(each.__name__ for each in missing))
            raise DriftedError(f"{true!r} stands nowhere in {where or ROOMS}")
        for module, name in places:
            self._set(module, name, wrong)

    def method(self, owner: type, name: str, wrong: object) -> None:
        """Put *wrong* in the place of what a class itself has."""
        if name not in vars(owner):
            raise DriftedError(f"{owner.__name__} has no {name} of its own")
        self._set(owner, name, wrong)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            owner, name, true = self._undo.pop()
            setattr(owner, name, true)

    def _set(self, owner: object, name: str, wrong: object) -> None:
        self._undo.append((owner, name, vars(owner)[name]))
        setattr(owner, name, wrong)


def _rooms() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if any(name == room or name.startswith(f"{room}.") for room in ROOMS)
    ]


def altered(
    flow: Generator[Any, Any, Any],
    *,
    request: Callable[[Any], Any] = lambda request: request,
    answer: Callable[[Any, Any], Any] = lambda request, answer: answer,
    failure: Callable[[Any, Exception], None] = lambda request, error: None,
) -> Generator[Any, Any, Any]:
    """
    Stand between a flow and its host.

    Args:
        flow: What is driven.
        request: Makes what the host is asked from what the flow asks.
        answer: Makes what the flow is sent from what the host answers.
        failure: Told of what the host throws, before the flow is; may raise.

    """
    try:
        asked = next(flow)
        while True:
            try:
                answered = yield request(asked)
            except Exception as error:  # noqa: BLE001 - handed on
                failure(asked, error)
                asked = flow.throw(error)
            else:
                asked = flow.send(answer(asked, answered))
    except StopIteration as stopped:
        return stopped.value
