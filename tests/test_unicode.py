"""What a person sees of a text: invisible characters, and look-alikes."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from autopay_core._unicode import INVISIBLE
from autopay_core.allocation import fold_number

_INVISIBLE = re.compile(f"[{INVISIBLE}]")


def test_most_of_what_shows_nothing_is_a_format_character() -> None:
    """
    The ranges are Unicode's property, and their categories are as expected.

    Beside format characters: joiners and fillers of scripts, variation
    selectors, and places kept free for more of them.
    """
    found = [
        chr(point)
        for point in range(sys.maxunicode + 1)
        if _INVISIBLE.match(chr(point))
    ]
    categories = {unicodedata.category(each) for each in found}
    letters = {each for each in found if unicodedata.category(each) == "Lo"}

    assert categories == {"Cf", "Mn", "Lo", "Cn"}
    assert letters == {"\u115f", "\u1160", "\u3164", "\uffa0"}
    # A format character that is none of them shows something: signs that
    # stand over numbers, joiners of hieroglyphs, marks of annotations.
    others = {
        chr(point)
        for point in range(0x3000)
        if unicodedata.category(chr(point)) == "Cf"
    } - set(found)
    assert others == set(
        "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INV-1", "inv-1"),
        ("INV-1", "INV-1 "),
        ("INV-1", "\u00a0INV-1"),
        ("INV-1", "INV - 1"),
        ("INV-1", "INV-1\u200b"),
        ("INV-1", "INV-1\u061c"),
        ("INV-1", "INV-1\ufe0f"),
        ("INV-1", "INV-1\u3164"),
        ("INV-1", "INV\u00ad-1"),
        ("INV-1", "INV-0001"),
        ("0042", "42"),
        ("7-042-1", "007-42-01"),
        ("INV-0", "INV-000"),
        ("INV-1", "\uff29\uff2e\uff36-\uff11"),
        ("INV-1", "INV-\uff10\uff11"),
        ("INV-٣", "INV-٠٣"),
        ("caf\u00e9-1", "cafe\u0301-1"),
        ("STRASSE-1", "stra\u00dfe-1"),
        ("K-1", "\u212a-1"),  # the sign for kelvin
        ("1\u0301", "1\u200b\u0301"),
    ],
)
def test_b2_what_a_person_takes_for_one_number_folds_to_one(
    one: str, other: str
) -> None:
    assert fold_number(one) == fold_number(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INV-1", "INV-10"),
        ("INV-1", "INV1"),
        ("INV-1", "INV_1"),
        ("INV-100", "INV-10"),
        ("1-0", "1-"),
        ("10-1", "1-01"),
        ("A", "Á"),
        ("3", "٣"),
    ],
)
def test_what_people_tell_apart_does_not_fold_to_one(
    one: str, other: str
) -> None:
    assert fold_number(one) != fold_number(other)


@given(st.text())
@example("\u1e9e0\u03090")
@example("\u0345\u00ad0\u0301")
def test_a_fold_folds_no_further(text: str) -> None:
    folded = fold_number(text)

    assert fold_number(folded) == folded
    assert not _INVISIBLE.search(folded)
    assert folded == "".join(folded.split())


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_plain_numbers_fold_as_all_others_do(text: str) -> None:
    # The same by way of a character that folding leaves out.
    assert fold_number(text) == fold_number(f"{text}\u200b")


@given(
    st.text(), st.sampled_from(["\u200b", "\ufe0f", " ", "\u00a0"]), st.data()
)
def test_what_shows_nothing_makes_no_other_number(
    text: str, mark: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text)))

    assert fold_number(text[:at] + mark + text[at:]) == fold_number(text)
