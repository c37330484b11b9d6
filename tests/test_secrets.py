"""The host's secret shows nowhere: rules R2, E3."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core import aio
from autopay_core.adapters.memory import memory_ports
from autopay_core.charges import idempotency_key
from autopay_core.engine.dispatch import terms_of
from autopay_core.errors import InvalidValueError
from autopay_core.references import Secret
from worlds import KEY, World, awaitable

BYTES = b"hush-hush-0123456789-hush-hush-32"
TEXT = BYTES.decode()
SECRET = Secret(BYTES)


def _shown(thing: object) -> list[Callable[[], object]]:
    return [
        lambda: repr(thing),
        lambda: str(thing),
        lambda: f"{thing}",
        lambda: f"{thing!r:>80}",
        lambda: f"{[thing]}{ {'a': thing} }",
        lambda: vars(thing) if hasattr(thing, "__dict__") else "",
        lambda: attrs.asdict(thing) if attrs.has(type(thing)) else "",  # type: ignore[arg-type]
        lambda: dir(thing),
    ]


@pytest.mark.parametrize(
    "thing",
    [
        SECRET,
        memory_ports(key_secret=BYTES),
        memory_ports(key_secret=SECRET),
        terms_of(memory_ports(key_secret=BYTES)),
        awaitable(memory_ports(key_secret=BYTES)),
        aio.Ports.__name__,
    ],
    ids=["secret", "ports of bytes", "ports", "terms", "async", "name"],
)
def test_e3_the_secret_shows_in_nothing_that_is_printed(
    thing: object,
) -> None:
    for show in _shown(thing):
        assert TEXT not in str(show())
        assert "hush" not in str(show())


@pytest.mark.parametrize(
    "write",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda thing: pickle.dumps({"a": [thing]}),
        lambda thing: pickle.dumps(thing, protocol=0),
    ],
)
def test_e3_the_secret_is_written_into_no_pickle(
    write: Callable[[object], object],
) -> None:
    with pytest.raises(TypeError, match="a secret is not written"):
        write(SECRET)


def test_e3_ports_and_terms_are_written_into_no_pickle_either() -> None:
    for thing in (
        memory_ports(key_secret=BYTES),
        terms_of(memory_ports(key_secret=BYTES)),
    ):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_e3_the_secret_shows_in_no_traceback_with_its_locals() -> None:
    ports = World().ports_with(key_secret=Secret(BYTES))
    terms = terms_of(ports)

    def deep(secret: Secret, given: object) -> None:
        made = idempotency_key(secret, KEY, 1)
        raise ValueError(made)

    text = ""
    try:
        deep(terms.secret, ports)
    except ValueError as error:
        text = "".join(
            traceback.TracebackException.from_exception(
                error, capture_locals=True
            ).format()
        )
    assert "Secret(…)" in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "SecretTooShort"),
        (b"hush" * 7 + b"hus", "SecretTooShort"),
        (TEXT, "FieldType"),
        (bytearray(BYTES), "FieldType"),
        (None, "FieldType"),
    ],
)
def test_r2_a_secret_that_is_none_is_refused_and_not_shown(
    value: Any, code: str
) -> None:
    for make in (Secret, lambda it: memory_ports(key_secret=it)):
        with pytest.raises(InvalidValueError) as caught:
            make(value)
        assert (caught.value.code, caught.value.path) == (code, "key_secret")
        assert "hush" not in str(caught.value)
        assert "hush" not in repr(caught.value)


@given(st.binary(min_size=32, max_size=64), st.binary(min_size=32))
def test_r2_a_secret_is_its_bytes(one: bytes, two: bytes) -> None:
    assert Secret(one).reveal() == one
    assert Secret(one) == Secret.of(one) == Secret.of(Secret(one))
    assert (Secret(one) == Secret(two)) == (one == two)
    assert hash(Secret(one)) == hash(Secret(two))
    assert Secret(one) != one
