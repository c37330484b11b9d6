"""
What will be paid when, and what is left: one picture for a controller.

Holds: `timeline`. Imports: `show.pictures`, `show.forecasts`,
`show.foreseen`, `autopay`, `holds`, `money` and `_checks`. A row for each
run, from top to bottom: its date with the year, what it pays by invoice
against the limit, and what is owed after it; between the rows stands whatever
keeps the order from running.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from autopay_core._checks import some_of
from autopay_core.autopay import ends_on
from autopay_core.holds import Hold
from autopay_core.money import Money
from autopay_core.show.forecasts import forecast_table
from autopay_core.show.foreseen import ProjectedRun, Projection
from autopay_core.show.pictures import (
    COLOURS,
    Canvas,
    Picture,
    day_text,
    shortened,
)

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

__all__ = ["timeline"]

_WIDE: Final = 480
_MARGIN: Final = 10
_LANE: Final = 92
_LANE_WIDE: Final = 176
_AMOUNT: Final = 336
_OWED: Final = 470
_OWED_LANE: Final = 348
_OWED_WIDE: Final = 52
_ROW: Final = 22
_BAR: Final = 15
_LETTER: Final = 7
_ROWS_MOST: Final = 32
_IDLE_LEAST: Final = 3
_LEGEND_MOST: Final = 12
_TITLE_MOST: Final = 46
_NOTE_MOST: Final = 76


class _Row(NamedTuple):
    """A run, or several that are shown as one."""

    on: date
    label: str
    shares: tuple[tuple[str, int], ...]
    owed: int

    @property
    def paid(self) -> int:
        return sum(amount for _, amount in self.shares)


class _Note(NamedTuple):
    """What stands between the rows."""

    on: date
    text: str


def timeline(
    forecast: Projection, /, *, holds: Iterable[Hold] = ()
) -> Picture:
    """
    Draw what *forecast* foresees, with limit, balance and what holds it up.

    Args:
        forecast: As `forecast` or `project` made it.
        holds: Those in force that keep the order, or some of its invoices,
            from being paid.

    """
    autopay, currency = forecast.autopay, forecast.autopay.limit.currency
    rows = _rows(forecast)
    is_monthly = len(rows) > _ROWS_MOST
    if is_monthly:
        rows = _by_month(rows)
    items = sorted(
        [*_idle_together(rows), *_notes(forecast)],
        key=lambda each: (each.on, isinstance(each, _Note)),
    )
    colours = _colours(rows)
    paying = sum(each.total.is_positive for each in forecast.runs)
    title = (
        f"{autopay.name}: {forecast.total} in {paying} "
        f"run{'' if paying == 1 else 's'}, {day_text(forecast.from_on)} to "
        f"{day_text(forecast.before)}"
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
        f"{forecast.total} in {paying} run{'' if paying == 1 else 's'}, "
        f"from {day_text(forecast.from_on)} until {day_text(forecast.before)}",
        kind="muted",
    )
    y = 48
    for each in holds:
        y += 18
        canvas.text(
            *(_MARGIN, y + 6),
            shortened(str(each), _NOTE_MOST),
            kind="mark",
        )
    cap = _cap(autopay, is_monthly=is_monthly)
    y = _body(canvas, items, colours, cap, currency, y + 20)
    y = _legend(canvas, rows, colours, currency, y)
    return Picture(
        title=title,
        svg=canvas.done(title, y + 8),
        table=forecast_table(forecast, title),
    )


# -- What is drawn -----------------------------------------------------------


def _rows(forecast: Projection) -> list[_Row]:
    return [
        _Row(
            on=each.occurrence.charge_on,
            label=day_text(each.occurrence.charge_on),
            shares=tuple(
                (str(line.invoice.number), line.amount.amount_minor)
                for line in each.allocation.paid
            ),
            owed=_owed_after(each),
        )
        for each in forecast.runs
    ]


def _owed_after(run: ProjectedRun) -> int:
    currency = run.total.currency
    return sum(
        line.payable.amount_minor - line.amount.amount_minor
        for line in run.allocation.lines
        if line.payable.currency == currency
    )


def _by_month(rows: Sequence[_Row]) -> list[_Row]:
    """Show the runs of a month as one, where there are too many."""
    shown: list[_Row] = []
    for _, some in groupby(rows, key=lambda each: each.on.replace(day=1)):
        month = list(some)
        shares: dict[str, int] = {}
        for row in month:
            for number, amount in row.shares:
                shares[number] = shares.get(number, 0) + amount
        on = month[0].on
        shown.append(
            _Row(
                on=on,
                label=f"{day_text(on).partition(' ')[2]} ({len(month)})",
                shares=tuple(shares.items()),
                owed=month[-1].owed,
            )
        )
    return shown


def _idle_together(rows: Sequence[_Row]) -> Iterator[_Row | _Note]:
    """Put runs one after another that pay nothing into one line."""
    for is_idle, some in groupby(rows, key=lambda each: not each.shares):
        group = list(some)
        if is_idle and len(group) >= _IDLE_LEAST:
            yield _Note(
                group[0].on,
                f"{group[0].label} to {group[-1].label}: {len(group)} dates "
                "with nothing to pay",
            )
        else:
            yield from group


def _notes(forecast: Projection) -> Iterator[_Note]:
    """Say what keeps the order from running, and where it ends."""
    autopay = forecast.autopay
    notes = [
        *(
            _Note(
                max(each.from_on, forecast.from_on),
                f"paused from {day_text(each.from_on)} "
                + (
                    "until further notice"
                    if each.to_on is None
                    else f"until {day_text(each.to_on)}"
                ),
            )
            for each in autopay.pauses
            if each.to_on is None or each.to_on > forecast.from_on
        ),
        *(_Note(on, f"{day_text(on)}: skipped") for on in autopay.skips),
    ]
    end = ends_on(autopay)
    if autopay.off_from is not None:
        off = autopay.off_from
        notes.append(_Note(off, f"{day_text(off)}: turned off"))
    elif end is not None:
        notes.append(_Note(end, f"{day_text(end)}: the auto-pay ends"))
    for each in notes:
        if forecast.from_on <= each.on <= forecast.before:
            yield each


def _cap(autopay: AutoPay, *, is_monthly: bool) -> Money | None:
    limit = autopay.limit
    return limit.per_month if is_monthly else limit.per_run


def _colours(rows: Iterable[_Row]) -> dict[str, str]:
    numbers = dict.fromkeys(
        number for each in rows for number, _ in each.shares
    )
    return {
        number: f"c{place % COLOURS}" for place, number in enumerate(numbers)
    }


# -- How it is drawn ---------------------------------------------------------


def _body(
    canvas: Canvas,
    items: Sequence[_Row | _Note],
    colours: dict[str, str],
    cap: Money | None,
    currency: str,
    y: int,
) -> int:
    """Draw the rows below *y*; return where they end."""
    rows = [each for each in items if isinstance(each, _Row)]
    cap_minor = 0 if cap is None else cap.amount_minor
    most = max([cap_minor, *(each.paid for each in rows)], default=0) or 1
    owed_most = max((each.owed + each.paid for each in rows), default=0) or 1
    for x, said, anchor in (
        (_MARGIN, "date", "start"),
        (_LANE, "paid, by invoice", "start"),
        (_AMOUNT, f"{currency}", "end"),
        (_OWED, "still owed", "end"),
    ):
        canvas.text(x, y, said, kind="muted", anchor=anchor)
    top = y + 8
    y = top
    bottom = y
    points: list[tuple[int, int]] = []
    for each in items:
        if isinstance(each, _Note):
            canvas.text(
                *(_MARGIN, y + 15),
                shortened(each.text, _NOTE_MOST),
                kind="mark",
            )
        else:
            _draw_row(canvas, each, colours, most, currency, y)
            x = _OWED_LANE + _OWED_WIDE * each.owed // owed_most
            points.append((x, y + _ROW // 2))
            bottom = y + _ROW
        y += _ROW
    if points:
        canvas.line(points, kind="edge", dashed=False)
    for x, middle in points:
        canvas.box(x - 2, middle - 2, 4, 4, kind="text", round_=2)
    if cap is not None and rows:
        x = _LANE + _LANE_WIDE * cap_minor // most
        canvas.line([(x, top - 4), (x, bottom)], kind="rule", dashed=True)
        canvas.text(
            *(x, top - 8), f"limit {_plain(cap)}", kind="mark", anchor="end"
        )
    return y


def _draw_row(
    canvas: Canvas,
    row: _Row,
    colours: dict[str, str],
    most: int,
    currency: str,
    y: int,
) -> None:
    canvas.line(
        [(_MARGIN, y), (_WIDE - _MARGIN, y)], kind="line", dashed=False
    )
    base = y + 15
    canvas.text(_MARGIN, base, row.label)
    done = 0
    for number, amount in row.shares:
        x = _LANE + _LANE_WIDE * done // most
        done += amount
        wide = max(_LANE + _LANE_WIDE * done // most - x, 1)
        said = f"{number}: {_money(amount, currency)}"
        canvas.box(
            *(x, y + 4, wide, _BAR), kind=colours[number], said=said, round_=2
        )
        if wide > _LETTER * len(number):
            canvas.text(x + 4, base, number, size=10, kind="on")
    paid = _plain(Money(amount_minor=row.paid, currency=currency))
    canvas.text(
        *(_AMOUNT, base),
        paid,
        kind="text" if row.paid else "muted",
        anchor="end",
        bold=bool(row.paid),
    )
    owed = _plain(Money(amount_minor=row.owed, currency=currency))
    canvas.text(_OWED, base, owed, kind="muted", anchor="end")


def _legend(
    canvas: Canvas,
    rows: Iterable[_Row],
    colours: dict[str, str],
    currency: str,
    y: int,
) -> int:
    """Say which colour is which invoice, and what it gets in all."""
    sums: dict[str, int] = {}
    for row in rows:
        for number, amount in row.shares:
            sums[number] = sums.get(number, 0) + amount
    y += 6
    half = _WIDE // 2
    for place, (number, amount) in enumerate(sums.items()):
        if place == _LEGEND_MOST:
            rest = list(sums)[place:]
            y += 18
            canvas.text(
                *(_MARGIN, y + 10),
                shortened(f"and {some_of(rest)}", _NOTE_MOST),
                kind="muted",
            )
            break
        if place % 2 == 0:
            y += 18
        x = _MARGIN if place % 2 == 0 else half
        canvas.box(x, y, 11, 11, kind=colours[number], round_=2)
        canvas.text(
            *(x + 17, y + 10),
            f"{shortened(number, 14)}: {_money(amount, currency)}",
        )
    return y + 18


def _money(minor: int, currency: str) -> str:
    return str(Money(amount_minor=minor, currency=currency))


def _plain(amount: Money) -> str:
    return str(amount).partition(" ")[2]
