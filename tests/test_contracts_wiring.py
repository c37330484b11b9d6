"""Every numbered clause of the ports has a test in the kit, and vice versa."""

from __future__ import annotations

import inspect
import re

import pytest

from autopay_core import aio, book, ports
from autopay_core.testing import contracts
from autopay_core.testing.clauses import UNPROVEN
from autopay_core.testing.plugin import clause_of, guarantees

PAIRS = [
    (ports.MatterData, contracts.MatterDataContract),
    (ports.PaymentGateway, contracts.PaymentGatewayContract),
    (ports.TwoStepGateway, contracts.TwoStepGatewayContract),
    (ports.PostingStore, contracts.PostingStoreContract),
    (ports.Notifier, contracts.NotifierContract),
    (book.BookStore, contracts.BookStoreContract),
]
TWINS = [
    (aio.MatterData, contracts.AsyncMatterDataContract),
    (aio.PaymentGateway, contracts.AsyncPaymentGatewayContract),
    (aio.TwoStepGateway, contracts.AsyncTwoStepGatewayContract),
    (aio.PostingStore, contracts.AsyncPostingStoreContract),
    (aio.Notifier, contracts.AsyncNotifierContract),
    (book.AsyncBookStore, contracts.AsyncBookStoreContract),
]


def _clauses(port: type) -> list[str]:
    lines = port.__doc__ or ""
    return re.findall(r"^ *((?:[A-Z]{2}|PORT)-[0-9]+) ", lines, re.MULTILINE)


def _tests(contract: type) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test")]


@pytest.mark.parametrize(("port", "contract"), PAIRS)
def test_every_clause_has_a_test_and_every_test_a_clause(
    port: type, contract: type
) -> None:
    clauses = _clauses(port)
    tested = {clause_of(name) for name in _tests(contract)}

    assert tested == set(clauses)
    prefix = clauses[0].partition("-")[0]
    own = [each for each in clauses if each != "PORT-1"]
    assert own == [f"{prefix}-{n + 1}" for n in range(len(own))]
    # The book is asked from one thread.
    assert ("PORT-1" in clauses) == (port is not book.BookStore)


@pytest.mark.parametrize(("port", "contract"), PAIRS)
def test_every_test_says_its_clause_to_strangers(
    port: type, contract: type
) -> None:
    for name in _tests(contract):
        doc = inspect.getdoc(getattr(contract, name)) or ""
        assert doc.startswith(f"{clause_of(name)}: "), name


@pytest.mark.parametrize(
    ("pair", "twin"), list(zip(PAIRS, TWINS, strict=True))
)
def test_an_async_twin_has_the_same_methods_and_tests(
    pair: tuple[type, type], twin: tuple[type, type]
) -> None:
    for blocking, awaited in (pair, twin), (twin, pair):
        public = {
            name for name in dir(blocking[0]) if not name.startswith("_")
        }
        assert public <= set(dir(awaited[0]))
    assert _tests(pair[1]) == _tests(twin[1])


def test_every_clause_has_the_sentence_for_when_it_does_not_hold() -> None:
    clauses = {each for port, _ in PAIRS for each in _clauses(port)}

    assert set(UNPROVEN) == clauses
    assert all(each.endswith(".") for each in UNPROVEN.values())


def test_the_report_says_what_was_proven_and_what_follows_for_the_rest() -> (
    None
):
    lines = list(
        guarantees(
            [
                ("TestOurs", "PS-2", "passed"),
                ("TestOurs", "PS-10", "passed"),
                ("TestOurs", "PG-1", "passed"),
                ("TestOurs", "PG-1", "failed"),
                ("TestOurs", "PG-3", "skipped"),
                ("TestOurs", "PG-5", "passed"),
                ("TestOurs", "PG-5", "skipped"),
                ("TestMine", "NT-1", "failed"),
            ],
            reasons={
                ("TestOurs", "PG-1"): {"it was not given"},
                ("TestOurs", "PG-5"): {"lag was not given", "it has none"},
            },
        )
    )

    assert lines == [
        "TestMine holds nothing",
        f"    NT-1 broken. {UNPROVEN['NT-1']}",
        "TestOurs holds PS-2, PS-10",
        f"    PG-1 broken. {UNPROVEN['PG-1']}",
        f"    PG-3 not tried. {UNPROVEN['PG-3']}",
        (
            "    PG-5 tried in part: it has none; lag was not given. "
            f"{UNPROVEN['PG-5']}"
        ),
    ]


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("test_pg_1_x", "PG-1"),
        ("test_ps_15_any_history", "PS-15"),
        ("test_port_1_x", "PORT-1"),
        ("test_something", None),
        ("helper", None),
    ],
)
def test_the_clause_stands_in_the_name(name: str, clause: str | None) -> None:
    assert clause_of(name) == clause
