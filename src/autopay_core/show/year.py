"""
The twelve months of an auto-pay, as a calendar on a wall.

Holds: `year`. Imports: `show.pictures`, `show.tables`, `autopay`, `schedules`
and `_checks`. A day of a charge is filled, a day that is moved away from is
framed, what is dropped is struck out, and closed days are pale: it can be
read without any colour.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from autopay_core._checks import check_date, check_type
from autopay_core.autopay import AutoPay, ends_on, upcoming
from autopay_core.show.pictures import Canvas, Picture, day_text, shortened
from autopay_core.show.tables import Table

if TYPE_CHECKING:
    from autopay_core.schedules import Occurrence

__all__ = ["year"]

_WIDE: Final = 480
_MONTH_WIDE: Final = 158
_MONTH_HIGH: Final = 142
_CELL: Final = 21
_CELL_HIGH: Final = 17
_MARGIN: Final = 9
_TOP: Final = 52
_COLUMNS: Final = 3
_MONTHS: Final = 12
_TITLE_MOST: Final = 46
_DAY: Final = timedelta(days=1)
_WEEK: Final = "MTWTFSS"


def year(autopay: AutoPay, from_on: date, /) -> Picture:
    """
    Draw the twelve months from the one of a date, with every day of a charge.

    By the schedule and its pauses alone: nothing is read, and what an order
    ends with besides its dates is not known here.

    Args:
        autopay: The standing order.
        from_on: Any day of the first month.

    """
    check_type(autopay, AutoPay, "autopay")
    check_date(from_on, "from_on")
    first = from_on.replace(day=1)
    months = [_month_after(first, each) for each in range(_MONTHS)]
    last = _month_after(first, _MONTHS)
    runs = _runs(autopay, first, last)
    charged = {each.charge_on: each for each in runs}
    dropped = _dropped(autopay, first, last, charged)
    end = ends_on(autopay)
    title = (
        f"{autopay.name}: {len(runs)} dates from {day_text(first)} until "
        f"{day_text(last)}"
    )

    canvas = Canvas(_WIDE)
    canvas.text(
        *(_MARGIN, 24),
        shortened(autopay.name, _TITLE_MOST),
        size=15,
        bold=True,
    )
    canvas.text(
        *(_MARGIN, 42),
        shortened(f"{len(runs)} dates; {autopay.schedule}", 72),
        kind="muted",
    )
    nominal = {each.nominal_on for each in runs} - set(charged)
    for place, month in enumerate(months):
        x = _MARGIN + place % _COLUMNS * _MONTH_WIDE
        y = _TOP + place // _COLUMNS * _MONTH_HIGH
        _draw_month(canvas, autopay, month, (x, y))
        for on in _days(month):
            at = _cell(on, x, y)
            if on in charged:
                canvas.box(
                    *(at[0] - 10, at[1] - 12, 20, 15),
                    kind="c0",
                    said=_said(charged[on]),
                    round_=3,
                )
            elif on in nominal:
                canvas.box(
                    *(at[0] - 10, at[1] - 12, 20, 15),
                    kind="edge",
                    said=f"{day_text(on)}: moved",
                    round_=3,
                )
            elif on == end:
                canvas.line(
                    [(at[0] - 10, at[1] - 13), (at[0] - 10, at[1] + 4)],
                    kind="rule",
                    dashed=False,
                )
            canvas.text(
                *at,
                str(on.day),
                size=10,
                kind=_kind(autopay, on, charged),
                anchor="middle",
                bold=on in charged,
                struck=on in dropped,
            )
    y = _TOP + _MONTHS // _COLUMNS * _MONTH_HIGH + 12
    _legend(canvas, autopay, end, y, has_moved=bool(nominal))
    return Picture(
        title=title,
        svg=canvas.done(title, y + 14),
        table=_table(runs, dropped, title),
    )


def _month_after(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _days(month: date) -> list[date]:
    return [
        month + each * _DAY
        for each in range(monthrange(month.year, month.month)[1])
    ]


def _runs(autopay: AutoPay, first: date, last: date) -> list[Occurrence]:
    runs: list[Occurrence] = []
    on = first
    while (coming := upcoming(autopay, on)) is not None:
        if coming.charge_on >= last:
            break
        runs.append(coming)
        on = coming.charge_on + _DAY
    return runs


def _dropped(
    autopay: AutoPay,
    first: date,
    last: date,
    charged: dict[date, Occurrence],
) -> frozenset[date]:
    """Return the schedule's dates that a pause or a skip drops."""
    end = ends_on(autopay) or last
    return frozenset(
        each.charge_on
        for each in autopay.schedule.occurrences(
            on_or_after=first, before=min(last, end)
        )
        if each.charge_on not in charged
        and each.nominal_on not in autopay.moves
    )


def _said(run: Occurrence) -> str:
    if run.charge_on == run.nominal_on:
        return day_text(run.charge_on)
    return f"{day_text(run.charge_on)}, for {day_text(run.nominal_on)}"


def _cell(on: date, x: int, y: int) -> tuple[int, int]:
    """Return where the number of a day stands: its middle, its foot."""
    lead = on.replace(day=1).weekday()
    row = (lead + on.day - 1) // 7
    return x + on.weekday() * _CELL + _CELL // 2, y + 44 + row * _CELL_HIGH


def _draw_month(
    canvas: Canvas, autopay: AutoPay, month: date, at: tuple[int, int]
) -> None:
    del autopay
    x, y = at
    name = day_text(month).partition(" ")[2]
    canvas.text(x + 4, y + 14, name, size=12, bold=True)
    for place, letter in enumerate(_WEEK):
        canvas.text(
            *(x + place * _CELL + _CELL // 2, y + 28),
            letter,
            size=9,
            kind="muted",
            anchor="middle",
        )


def _kind(autopay: AutoPay, on: date, charged: dict[date, Occurrence]) -> str:
    if on in charged:
        return "on"
    calendar = autopay.schedule.calendar
    weekend = frozenset({6, 7}) if calendar is None else calendar.weekend
    is_closed = on.isoweekday() in weekend or (
        calendar is not None and on in calendar.holidays
    )
    return "muted" if is_closed else "text"


def _legend(
    canvas: Canvas,
    autopay: AutoPay,
    end: date | None,
    y: int,
    *,
    has_moved: bool,
) -> None:
    said = ["filled: charged"]
    if has_moved:
        said.append("framed: moved to an open day")
    if autopay.pauses or autopay.skips:
        said.append("struck: paused or skipped")
    if end is not None:
        said.append(f"ends {day_text(end)}")
    canvas.text(_MARGIN, y, "; ".join(said), size=10, kind="muted")


def _table(
    runs: list[Occurrence], dropped: frozenset[date], title: str
) -> Table:
    rows = [
        (str(each.nominal_on), str(each.charge_on), f"{each.charge_on:%A}")
        for each in runs
    ]
    rows += [(str(each), "", "paused or skipped") for each in dropped]
    return Table(
        title=title,
        header=("due", "charged", "day"),
        rows=tuple(sorted(rows)),
    )
