"""Pictures, by what they say: texts, places and classes, not pixels."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

import autopay_core as ap
from autopay_core.errors import InvalidValueError
from autopay_core.show.foreseen import Projection
from autopay_core.show.pictures import (
    COLOURS,
    Canvas,
    Picture,
    day_text,
    shortened,
)
from autopay_core.show.projection import project
from autopay_core.show.timeline import timeline
from autopay_core.show.year import year
from worlds import standing_order, usd

JANUARY = date(2026, 1, 31)
SVG = "{http://www.w3.org/2000/svg}"
NASTY = "</text><script>x</script> & \u202e\x1b[31m"


def bill(number: str, day: int, amount: str) -> ap.Invoice:
    return ap.Invoice(
        number=number,
        client="C-1",
        matter="M-1",
        issued_on=date(2026, 1, day),
        balance=usd(amount),
    )


def order(**changes: Any) -> ap.AutoPay:
    fields: dict[str, Any] = {
        "schedule": ap.Schedule.monthly(JANUARY),
        "limit": ap.Limit.up_to(usd("250.00")),
        "name": "Harbour Foods",
    }
    return standing_order(**{**fields, **changes})


def foreseen(autopay: ap.AutoPay, *bills: ap.Invoice) -> Projection:
    rows = bills or (bill("7", 2, "310.00"), bill("8", 3, "400.00"))
    return project(autopay, rows, from_on=date(2026, 1, 1))


def drawn(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)  # noqa: S314 - our own


def texts(picture: Picture) -> list[str]:
    found = drawn(picture).iter(f"{SVG}text")
    return ["".join(each.itertext()) for each in found]


def boxes(picture: Picture, kind: str) -> list[ET.Element]:
    return [
        each
        for each in drawn(picture).iter(f"{SVG}rect")
        if each.get("class") == f"ap-{kind}"
    ]


# -- The timeline ------------------------------------------------------------


def test_a_timeline_says_every_date_with_its_year_and_every_amount() -> None:
    said = texts(timeline(foreseen(order())))

    rows = said[said.index("31 Jan 2026") :]
    # Date, numbers in the bar, paid, still owed.
    assert rows[:4] == ["31 Jan 2026", "7", "250.00", "460.00"]
    assert rows[4:9] == ["28 Feb 2026", "7", "8", "250.00", "210.00"]
    assert rows[9:13] == ["31 Mar 2026", "8", "210.00", "0.00"]
    assert "limit 250.00" in said
    assert "7: USD 310.00" in said
    assert "8: USD 400.00" in said


def test_dates_with_nothing_to_pay_are_one_line() -> None:
    said = texts(timeline(foreseen(order())))

    assert "30 Apr 2026 to 31 Dec 2026: 9 dates with nothing to pay" in said


def test_a_bar_is_as_long_as_its_amount_and_says_it() -> None:
    picture = timeline(foreseen(order()))
    [first, second] = boxes(picture, "c0")[:2]

    assert int(first.get("width", "")) == 176  # The whole limit.
    assert int(second.get("width", "")) == 176 * 60 // 250
    title = second.find(f"{SVG}title")
    assert title is not None
    assert title.text == "7: USD 60.00"


def test_the_balance_line_has_a_point_for_each_run_that_is_shown() -> None:
    picture = timeline(foreseen(order()))
    [line] = [
        each
        for each in drawn(picture).iter(f"{SVG}polyline")
        if each.get("class") == "ap-edge"
    ]
    points = [
        tuple(map(int, point.split(",")))
        for point in line.get("points", "").split()
    ]

    assert len(points) == 3
    assert points == sorted(points, key=lambda each: (-each[0], each[1]))


def test_pauses_skips_and_the_end_stand_between_the_rows() -> None:
    autopay = order(
        limit=ap.Limit.up_to(usd("50.00")),
        pauses=(ap.Pause(from_on=date(2026, 4, 1), to_on=date(2026, 5, 1)),),
        skips=frozenset({date(2026, 2, 28)}),
    )
    said = texts(
        timeline(
            project(
                autopay,
                [bill("7", 2, "310.00")],
                from_on=date(2026, 1, 1),
                before=date(2027, 3, 1),
            )
        )
    )

    order_of = [
        "31 Jan 2026",
        "28 Feb 2026: skipped",
        "31 Mar 2026",
        "paused from 1 Apr 2026 until 1 May 2026",
        "31 May 2026",
        "31 Jan 2027: the auto-pay ends",
    ]
    places = [said.index(each) for each in order_of]
    assert places == sorted(places)


def test_a_pause_without_an_end_and_an_order_that_is_off_say_so() -> None:
    autopay = order(
        pauses=(ap.Pause(from_on=date(2025, 12, 1), to_on=None),),
        off_from=date(2026, 6, 1),
    )
    said = texts(timeline(foreseen(autopay)))

    assert "paused from 1 Dec 2025 until further notice" in said
    assert "1 Jun 2026: turned off" in said


def test_a_pause_that_is_over_is_not_shown() -> None:
    autopay = order(
        pauses=(ap.Pause(from_on=date(2025, 11, 1), to_on=date(2025, 12, 1)),)
    )

    assert not [
        each for each in texts(timeline(foreseen(autopay))) if "paus" in each
    ]


def test_holds_stand_at_the_top() -> None:
    hold = ap.Hold.on_invoice("8", by="Ann", reason="in dispute")
    said = texts(timeline(foreseen(order()), holds=[hold]))

    assert said[2] == "invoice:8: on hold by Ann: in dispute"


def test_without_a_limit_there_is_no_line_for_it() -> None:
    picture = timeline(foreseen(order(limit=ap.Limit.all("USD"))))

    assert "ap-rule" not in picture.svg.partition("</style>")[2]
    assert "710.00" in texts(picture)


def test_many_runs_are_shown_by_month_against_the_month_s_limit() -> None:
    weekly = order(
        schedule=ap.Schedule.weekly(date(2026, 1, 5)),
        limit=ap.Limit.up_to(usd("10.00"), per_month=usd("35.00")),
    )
    said = texts(timeline(foreseen(weekly)))

    assert said[said.index("Jan 2026 (4)") + 2] == "35.00"
    assert "limit 35.00" in said
    assert "5 Jan 2026" not in said


def test_of_many_invoices_the_colours_come_again_and_the_rest_is_named() -> (
    None
):
    bills = [bill(f"B-{n}", 1, "10.00") for n in range(10, 30)]
    picture = timeline(foreseen(order(limit=ap.Limit.all("USD")), *bills))

    assert len(boxes(picture, "c0")) > 20 // COLOURS
    assert "and B-22, B-23, B-24, B-25 and 4 more" in texts(picture)


def test_nothing_to_pay_is_a_picture_too() -> None:
    nothing = project(order(), [], from_on=date(2026, 1, 1))
    none = project(order(), [], from_on=date(2040, 1, 1))

    assert "ap-rule" not in timeline(nothing).svg.partition("</style>")[2]
    assert texts(timeline(none))[0] == "Harbour Foods"


@pytest.mark.parametrize("width", [40, 80])
def test_where_there_are_no_pictures_the_figures_are_shown(
    width: int,
) -> None:
    ahead = foreseen(order())
    picture = timeline(ahead)
    console = pytest.importorskip("rich.console")
    for value in (picture, ahead):
        shown = io.StringIO()
        console.Console(file=shown, width=width).print(value)
        assert "USD 710.00" in " ".join(shown.getvalue().split())
    assert str(picture) == str(picture.table)
    assert repr(picture).startswith("<Picture 'Harbour Foods: USD 710.00")
    assert "31 Jan" not in str(ahead)
    assert str(ahead).splitlines()[0] == f"Harbour Foods ({ahead.autopay.id})"


def test_a_notebook_gets_an_image_with_its_figures() -> None:
    picture = timeline(foreseen(order()))
    html = picture._repr_html_()
    [data] = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)

    assert base64.b64decode(data).decode() == picture.svg
    assert f'alt="{picture.title}"' in html
    assert picture.table.html() in html


@given(st.text(max_size=30).filter(lambda each: each.strip()))
def test_no_name_breaks_a_picture(number: str) -> None:
    named = attrs.evolve(foreseen(order()).autopay, ar_message="")
    object.__setattr__(named, "name", f"{number}{NASTY}")
    ahead = attrs.evolve(foreseen(order()), autopay=named)
    for picture in (timeline(ahead), year(named, JANUARY)):
        tags = {each.tag for each in drawn(picture).iter()}
        assert tags <= {
            f"{SVG}{each}"
            for each in ("svg", "title", "style", "text", "rect", "polyline")
        }
        assert "<script" not in picture._repr_html_()


# -- Colours -----------------------------------------------------------------


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4
        for each in parts
    ]
    return sum(
        share * each
        for share, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def _contrast(one: str, other: str) -> float:
    low, high = sorted([_luminance(one), _luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_in_dark(scheme: str) -> None:
    style = timeline(foreseen(order())).svg.partition("</style>")[0]
    parts = style.partition("@media")
    shown = parts[0] if scheme == "light" else parts[2]
    fills = dict(re.findall(r"\.ap-([\w]+)\{fill:(#[0-9a-f]{6})", shown))

    for text in ("text", "muted", "mark", *(f"c{n}" for n in range(COLOURS))):
        assert _contrast(fills[text], fills["card"]) >= 4.5, text
    assert fills["on"] == fills["card"]


# -- The year ----------------------------------------------------------------


def test_a_year_has_twelve_months_and_every_day_of_them() -> None:
    picture = year(order(), date(2026, 2, 14))
    said = texts(picture)

    assert [
        each for each in said if re.fullmatch(r"[A-Z]\w\w \d{4}", each)
    ] == (
        [
            f"{month} 2026"
            for month in (
                *("Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep"),
                *("Oct", "Nov", "Dec"),
            )
        ]
        + ["Jan 2027"]
    )
    assert len([each for each in said if each.isdigit()]) == 365


def test_a_day_of_a_charge_is_filled_and_where_it_moved_from_is_framed() -> (
    None
):
    rolled = order(
        schedule=ap.Schedule.monthly(
            JANUARY,
            roll=ap.Roll.PRECEDING,
            calendar=ap.BusinessCalendar(
                holidays=frozenset({date(2026, 5, 25)})
            ),
        )
    )
    picture = year(rolled, date(2026, 2, 1))
    filled = ["".join(each.itertext()) for each in boxes(picture, "c0")]

    assert "29 May 2026, for 31 May 2026" in filled
    assert "30 Jun 2026" in filled
    framed = ["".join(each.itertext()) for each in boxes(picture, "edge")]
    assert "31 May 2026: moved" in framed
    assert "framed: moved to an open day" in texts(picture)[-1]
    rows = [row for row in picture.table.rows if row[0] == "2026-05-31"]
    assert rows == [("2026-05-31", "2026-05-29", "Friday")]


def test_what_is_dropped_is_struck_out() -> None:
    paused = order(
        pauses=(ap.Pause(from_on=date(2026, 4, 1), to_on=date(2026, 5, 1)),)
    )
    picture = year(paused, JANUARY)
    struck = [
        each
        for each in drawn(picture).iter(f"{SVG}text")
        if each.get("text-decoration")
    ]

    assert ["".join(each.itertext()) for each in struck] == ["30"]
    assert ("2026-04-30", "", "paused or skipped") in picture.table.rows
    assert "struck: paused or skipped" in texts(picture)[-1]


def test_the_end_is_marked_and_named() -> None:
    picture = year(order(), date(2026, 6, 1))

    assert "ends 31 Jan 2027" in texts(picture)[-1]
    assert picture.svg.count('class="ap-rule"') == 1
    assert len(boxes(picture, "c0")) == 7  # June to December


def test_a_date_that_is_none_is_refused() -> None:
    nothing: Any = "2026-01-31"
    with pytest.raises(InvalidValueError):
        year(order(), nothing)
    with pytest.raises(InvalidValueError):
        year(nothing, JANUARY)


def test_a_picture_has_a_height() -> None:
    with pytest.raises(InvalidValueError, match="height"):
        Canvas(480).done("x", 0)


def test_a_text_without_room_is_cut_and_says_so() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
    assert day_text(JANUARY) == "31 Jan 2026"
