"""
Every row of the table of bad inputs gets what it must get (E2).

The table has three parts: `bad_inputs`, `bad_inputs_runs` for what needs
ports, and `bad_inputs_texts` for files, exports, mail and JSON.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bad_inputs
import bad_inputs_runs
import bad_inputs_texts
from autopay_core.allocation import Reason
from autopay_core.errors import AutopayError
from bad_inputs import PAN, Expected, Refused

TABLE = [*bad_inputs.ROWS, *bad_inputs_runs.ROWS, *bad_inputs_texts.ROWS]
CASES = 105

ELSEWHERE = {
    54: "a port's clause, which the contract kit checks (MD-4)",
    57: "there are no tenants; another firm's row is a foreign one (36)",
    93: "events are authenticated by the host before `reverse` is called",
    100: "a newer format is refused (84), a newer schema by the stores' tests",
    103: "live and test accounts are the gateway adapter's business",
    104: "live and test tokens are the gateway adapter's business",
}
"""Cases without a row, and why."""

refused = [row for row in TABLE if isinstance(row, Refused)]
expected = [row for row in TABLE if isinstance(row, Expected)]


def name(row: Refused | Expected) -> str:
    return ascii(f"{row.row}: {row.what}")


@pytest.mark.parametrize("row", refused, ids=name)
def test_a_bad_input_is_refused_by_name(row: Refused) -> None:
    with pytest.raises(AutopayError) as caught:
        row.provoke()

    error = caught.value
    assert type(error) is row.error
    assert (error.code, error.path) == (row.code, row.path)
    # Short, on one line, and without what may not be shown (E3).
    for shown in (str(error), error.safe_value):
        assert len(shown) < 500
        assert shown.isprintable()
        assert PAN[-9:].replace(" ", "") not in re.sub(r"\D", "", shown)


@pytest.mark.parametrize("row", expected, ids=name)
def test_a_bad_input_has_its_ordinary_outcome(row: Expected) -> None:
    assert row.provoke() == row.outcome


def test_no_row_of_the_table_is_there_twice() -> None:
    names = [name(row) for row in TABLE]

    assert sorted(set(names)) == sorted(names)


def test_every_case_has_a_row_or_a_reason() -> None:
    answered = {row.row for row in TABLE}

    assert answered.isdisjoint(ELSEWHERE)
    assert answered | ELSEWHERE.keys() == set(range(1, CASES + 1))


PAGE = Path(__file__).parent.parent / "docs" / "reference" / "bad-inputs.md"
"""The same table for people."""


def codes(row: Refused | Expected) -> set[str]:
    """Return the codes of what a row gets, also those of a run's end."""
    if isinstance(row, Refused):
        return {row.code}
    match row.outcome:
        case (str(), str() as code, list(), list()):
            return {code} - {""}
        case (list() as lines, list() as left_out):
            return _reasons(lines) | {code for _, code in left_out}
        case [*lines]:
            return _reasons(lines)
        case _:
            return set()


def _reasons(lines: list[object]) -> set[str]:
    return {
        part.name
        for line in lines
        if isinstance(line, tuple)
        for part in line
        if isinstance(part, Reason)
    } - {"PAID", "PART_PAID"}


def test_the_page_of_bad_inputs_says_what_each_case_gets() -> None:
    page = {
        int(found[1]): set(re.findall(r"`(\w+)`", found[2]))
        for found in re.finditer(
            r"^\| (\d+) \|.*\|([^|]*)\|$",
            PAGE.read_text("utf-8"),
            re.MULTILINE,
        )
    }
    tried: dict[int, set[str]] = {case: set() for case in ELSEWHERE}
    for row in TABLE:
        tried.setdefault(row.row, set()).update(codes(row))

    assert page == tried
