"""Every row of the table about runs gets what it must get (E2)."""

from __future__ import annotations

import re

import pytest

from autopay_core.errors import InvalidValueError
from bad_inputs import PAN, Expected, Refused
from bad_inputs_runs import ROWS

refused = [row for row in ROWS if isinstance(row, Refused)]
expected = [row for row in ROWS if isinstance(row, Expected)]


def name(row: Refused | Expected) -> str:
    return ascii(f"{row.row}: {row.what}")


@pytest.mark.parametrize("row", refused, ids=name)
def test_a_bad_input_of_a_run_is_refused_by_name(row: Refused) -> None:
    with pytest.raises(InvalidValueError) as caught:
        row.provoke()

    error = caught.value
    assert (error.code, error.path) == (row.code, row.path)
    assert type(error) is row.error
    for shown in (str(error), error.safe_value):
        assert len(shown) < 500
        assert shown.isprintable()
        assert PAN[-9:].replace(" ", "") not in re.sub(r"\D", "", shown)


@pytest.mark.parametrize("row", expected, ids=name)
def test_a_bad_input_of_a_run_has_its_ordinary_outcome(row: Expected) -> None:
    assert row.provoke() == row.outcome


def test_no_row_about_runs_is_there_twice() -> None:
    names = [name(row) for row in ROWS]

    assert sorted(set(names)) == sorted(names)
