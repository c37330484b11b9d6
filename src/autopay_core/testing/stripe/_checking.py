"""
Requests and answers, held against the types that Stripe's SDK publishes.

Holds: `decoded`, `wrong_with_params` and `wrong_with_object`. Imports: stripe.
What is compared is what the SDK was generated with: names of fields, whether
they must be there, and their kinds. A fake alone could agree with an adapter
in any error.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import stripe
import typing_extensions

__all__ = ["decoded", "wrong_with_object", "wrong_with_params"]

_OPTIONS: Final = frozenset(stripe.RequestOptions.__annotations__)


def decoded(body: str) -> dict[str, Any]:
    """
    Return form fields in brackets as the objects that they were.

    >>> decoded("amount=5&metadata[k]=v&expand[0]=latest_charge")
    {'amount': '5', 'metadata': {'k': 'v'}, 'expand': ['latest_charge']}

    """
    whole: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place, at = whole, first
        for each in rest:
            place, at = place.setdefault(at, {}), each
        place[at] = value
    return {name: _listed(value) for name, value in whole.items()}


def _listed(value: object) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return value
    inner = {
        name: _listed(each)
        for name, each in cast("dict[str, object]", value).items()
    }
    if inner and all(each.isdigit() for each in inner):
        return [inner[each] for each in sorted(inner, key=int)]
    return inner


# -- Requests -----------------------------------------------------------------


def wrong_with_params(kind: Any, given: Mapping[str, Any]) -> list[str]:  # noqa: ANN401 - a TypedDict is no type
    """Say what a request has that the SDK's parameters do not allow."""
    hints = {
        name: hint
        for name, hint in kind.__annotations__.items()
        if name not in _OPTIONS
    }
    scope = vars(sys.modules[kind.__module__])
    wrong = [
        f"{name}: no such parameter" for name in given if name not in hints
    ]
    for name, hint in hints.items():
        must, inner = _needed(_resolved(hint, scope))
        if name in given:
            wrong += [
                f"{name}: {each}"
                for each in _unfit_text(inner, given[name], scope)
            ]
        elif must:
            wrong.append(f"{name}: missing")
    return wrong


def _resolved(hint: object, scope: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a type
    """Return what a forward reference of the SDK's stands for."""
    if isinstance(hint, typing.ForwardRef):
        hint = hint.__forward_arg__
    if not isinstance(hint, str):
        return hint
    names = {**vars(stripe), **vars(stripe.params), **scope}
    names |= vars(typing) | {"NotRequired": typing_extensions.NotRequired}
    try:
        return eval(hint, dict(names))  # noqa: S307 - the SDK's own text
    except (NameError, TypeError):
        return Any


def _needed(hint: Any) -> tuple[bool, Any]:  # noqa: ANN401 - a type
    origin = typing_extensions.get_origin(hint)
    if origin in {typing_extensions.NotRequired, typing.NotRequired}:
        return False, typing_extensions.get_args(hint)[0]
    return True, hint


def _parts(hint: Any, scope: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """Return the members of a union, or the one that it is."""
    hint = _resolved(hint, scope)
    if typing_extensions.get_origin(hint) in {typing.Union, types.UnionType}:
        members = typing_extensions.get_args(hint)
        return [part for each in members for part in _parts(each, scope)]
    return [hint]


def _unfit_text(
    hint: Any,  # noqa: ANN401 - a type
    value: Any,  # noqa: ANN401 - JSON
    scope: Mapping[str, Any],
) -> list[str]:
    """Say why a value of a form fits none of a parameter's kinds."""
    tried: list[list[str]] = []
    for part in _parts(hint, scope):
        wrong = _unfit_part(part, value, scope)
        if not wrong:
            return []
        tried.append(wrong)
    return min(tried, key=len)


def _unfit_part(  # noqa: PLR0911 - one for each kind
    part: Any,  # noqa: ANN401 - a type
    value: Any,  # noqa: ANN401 - JSON
    scope: Mapping[str, Any],
) -> list[str]:
    origin = typing_extensions.get_origin(part)
    arguments = typing_extensions.get_args(part)
    if origin in {list, typing.List}:  # noqa: UP006 - the SDK's
        items = (
            cast("list[object]", value) if isinstance(value, list) else None
        )
        if items is None:
            return ["no list"]
        return [
            each
            for item in items
            for each in _unfit_text(arguments[0], item, scope)
        ]
    if isinstance(value, list):
        return ["a list"]
    if typing_extensions.is_typeddict(part):
        if not isinstance(value, dict):
            return ["no object"]
        return wrong_with_params(part, cast("dict[str, Any]", value))
    if origin in {dict, Mapping}:
        return [] if isinstance(value, dict) else ["no object"]
    if isinstance(value, dict):
        return ["an object"]
    return _unfit_word(part, str(value), arguments, origin)


def _unfit_word(
    part: Any,  # noqa: ANN401 - a type
    value: str,
    arguments: Iterable[object],
    origin: Any,  # noqa: ANN401 - a type
) -> list[str]:
    if origin in {typing.Literal, typing_extensions.Literal}:
        # Beside each list of words the SDK allows any text: words are added.
        return [] if value in map(str, arguments) else [f"not {value!r}"]
    if part is int:
        fits = value.lstrip("-").isdigit()
    elif part is bool:
        fits = value in {"true", "false"}
    elif part is float:
        fits = value.replace(".", "", 1).isdigit()
    else:
        fits = part in {str, Any}
    return [] if fits else [f"{value!r} is no {part}"]


# -- Answers ------------------------------------------------------------------


def wrong_with_object(
    kind: type[Any], given: Mapping[str, Any], path: str = ""
) -> list[str]:
    """Say what an answer has, or lacks, that the SDK's resource does not."""
    hints = {
        name: hint
        for name, hint in kind.__annotations__.items()
        if cast("object", typing_extensions.get_origin(hint))
        is not typing.ClassVar
    }
    scope = {**vars(sys.modules[kind.__module__]), **vars(kind)}
    wrong = [
        f"{path}{name}: no such field" for name in given if name not in hints
    ]
    for name, hint in hints.items():
        parts = _parts(hint, scope)
        if name not in given:
            # What cannot be null is always there.
            if not {Any, types.NoneType, None} & {*map(_hashable, parts)}:
                wrong.append(f"{path}{name}: missing")
            continue
        wrong += _unfit_field(parts, given[name], f"{path}{name}", scope)
    return wrong


def _hashable(part: object) -> object:
    return part if part is None or isinstance(part, type) else str(part)


def _unfit_field(
    parts: list[Any],
    value: Any,  # noqa: ANN401 - JSON
    path: str,
    scope: Mapping[str, Any],
) -> list[str]:
    tried: list[list[str]] = []
    for part in parts:
        wrong = _unfit_value(part, value, path, scope)
        if not wrong:
            return []
        tried.append(wrong)
    return min(tried, key=len)


def _unfit_value(  # noqa: PLR0911 - one for each kind
    part: Any,  # noqa: ANN401 - a type
    value: Any,  # noqa: ANN401 - JSON
    path: str,
    scope: Mapping[str, Any],
) -> list[str]:
    origin = typing_extensions.get_origin(part)
    arguments = typing_extensions.get_args(part)
    if part is Any:
        return []
    if origin in {list, typing.List}:  # noqa: UP006 - the SDK's
        if not isinstance(value, list):
            return [f"{path}: no list"]
        members = _parts(arguments[0], scope)
        return [
            each
            for item in cast("list[object]", value)
            for each in _unfit_field(members, item, f"{path}[]", scope)
        ]
    if origin in {typing.Literal, typing_extensions.Literal}:
        return [] if value in arguments else [f"{path}: not {value!r}"]
    if origin in {dict, Mapping} or part is stripe.StripeObject:
        return [] if isinstance(value, dict) else [f"{path}: no object"]
    if isinstance(part, type) and issubclass(part, stripe.StripeObject):
        if not isinstance(value, dict):
            return [f"{path}: no object"]
        return wrong_with_object(
            part, cast("dict[str, Any]", value), f"{path}."
        )
    if origin is not None:
        # A generic object of the SDK's, such as a list of objects.
        return [] if isinstance(value, dict) else [f"{path}: no object"]
    fits = isinstance(part, type) and type(value) is part
    return [] if fits else [f"{path}: {type(value).__name__}"]
