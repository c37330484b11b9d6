"""Every row of the table of bad inputs gets what it must get (E2)."""

from __future__ import annotations

import re

import pytest

from autopay_core.errors import AutopayError
from bad_inputs import PAN, ROWS, Expected, Refused

refused = [row for row in ROWS if isinstance(row, Refused)]
expected = [row for row in ROWS if isinstance(row, Expected)]


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
    names = [name(row) for row in ROWS]

    assert sorted(set(names)) == sorted(names)
