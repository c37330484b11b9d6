"""Secret and tokens show nowhere that they need not: rules R2, E3, T3."""

from __future__ import annotations

import copy
import pickle
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core import aio
from autopay_core.adapters.memory import Fault, memory_ports
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.calls import run
from autopay_core.charges import idempotency_key
from autopay_core.engine.dispatch import terms_of
from autopay_core.errors import InvalidValueError
from autopay_core.references import PaymentMethodRef, Secret
from autopay_core.runs import RunRecord, RunState, RunStatus
from autopay_core.serialization import dumps, loads
from worlds import (
    DAY,
    FORMS,
    KEY,
    Clock,
    World,
    awaitable,
    bill,
    standing_order,
)

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


# -- T3: a token lives as long as something may be charged with it ------------

TOKEN = "tok_t3_0123456789_hush_ab12"
T3_CARD = PaymentMethodRef(provider="acme", token=TOKEN, network="visa")


@FORMS
def test_t3_a_finished_record_holds_no_token(two_step: bool) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)

    result = world.run(standing_order(method=T3_CARD))

    record = world.record
    assert result.record == record
    assert record.state is RunState.PAID
    assert record.intent is not None
    method = record.intent.request.method
    assert TOKEN not in dumps(record)
    assert method.masked == T3_CARD.masked == "…ab12"
    assert method.fingerprint == T3_CARD.fingerprint
    assert method.network == "visa"
    assert loads(dumps(record), RunRecord) == record


@FORMS
def test_t3_a_record_under_way_keeps_what_it_is_charged_with(
    two_step: bool,
) -> None:
    world = World(bill("INV-1", "120.00"), two_step=two_step)
    world.gateway.script(Fault.LOSE_ANSWER)
    order = standing_order(method=T3_CARD)

    world.run(order)

    assert not world.record.state.is_finished
    assert world.record.intent is not None
    assert world.record.intent.request.method == T3_CARD
    assert world.run(order).status is RunStatus.PAID
    assert TOKEN not in dumps(world.record)


def test_t3_a_database_of_finished_runs_holds_no_token(
    tmp_path: Path,
) -> None:
    file = tmp_path / "postings.db"
    with SqlitePostingStore(file) as store:
        ports = attrs.evolve(
            memory_ports([bill("INV-1", "120.00")], clock=Clock()),
            postings=store,
        )
        result = run(standing_order(method=T3_CARD), on=DAY, ports=ports)
        assert result.status is RunStatus.PAID
        again = run(standing_order(method=T3_CARD), on=DAY, ports=ports)
        assert again == result

    with closing(sqlite3.connect(file)) as connection:
        texts = "\n".join(connection.iterdump())
    assert TOKEN not in texts
    assert T3_CARD.fingerprint in texts


def test_t3_a_request_of_before_requests_had_a_run_keeps_its_token() -> None:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order(method=T3_CARD))
    intent = world.record.intent
    assert intent is not None
    old = attrs.evolve(
        intent, request=attrs.evolve(intent.request, run=None, method=T3_CARD)
    )

    assert old.forgetting() is old
    assert intent.forgetting() is intent


def test_t3_nothing_is_charged_with_what_is_only_remembered() -> None:
    with pytest.raises(InvalidValueError) as caught:
        standing_order(method=T3_CARD.forgotten())

    assert caught.value.code == "PaymentMethodForgotten"
    assert TOKEN not in str(caught.value)


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
)
def test_t3_forgetting_keeps_the_fingerprint_and_shows_what_repr_shows(
    token: str,
) -> None:
    method = PaymentMethodRef(provider="acme", token=f"tok-{token}")

    forgotten = method.forgotten()

    assert forgotten.fingerprint == method.fingerprint
    assert forgotten.masked == method.masked
    assert repr(forgotten) == repr(method)
    assert forgotten.forgotten() == forgotten
