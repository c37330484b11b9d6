"""
How values show themselves: a line and tables, in a notebook and in rich.

Holds: `parts_of`, and `html_of` and `rich_of`, which `_shown` asks for by name
when a notebook or rich shows a value. Imports: `show.tables`, `_checks` and
the values; rich only when it is asked for. Every text is data: its control
characters and its markup are escaped, and no payment token is shown (E3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from autopay_core._checks import clean_text
from autopay_core.allocation import Allocation
from autopay_core.autopay import AutoPay, ends_on
from autopay_core.batches import Batch
from autopay_core.commits import Decoded
from autopay_core.holds import Hold
from autopay_core.movements import Movement, MovementRecord
from autopay_core.postings import Posting
from autopay_core.runs import RunRecord, RunResult, result_of
from autopay_core.schedules import Schedule
from autopay_core.show.tables import (
    Table,
    allocation_table,
    batches_table,
    holds_table,
    movements_table,
    postings_table,
)

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["html_of", "parts_of", "rich_of"]

Part: TypeAlias = Table | str
"""A table, or a line of text."""

_DATES_MOST: Final = 12


def html_of(value: object, /) -> str:
    """
    Return a value as HTML, for a notebook.

    Text and tables only, in the colours of the page around them: what a
    notebook that nobody trusts lets through.
    """
    return "".join(
        each.html()
        if isinstance(each, Table)
        else f"<p>{escape(clean_text(each))}</p>"
        for each in parts_of(value)
    )


def rich_of(value: object, /) -> Group:
    """Return a value for rich."""
    from rich.console import Group
    from rich.text import Text

    return Group(
        *(
            each.__rich__()
            if isinstance(each, Table)
            else Text(clean_text(each))
            for each in parts_of(value)
        )
    )


def parts_of(value: object, /) -> tuple[Part, ...]:
    """Return what there is to see of a value, from top to bottom."""
    for kind, parts in _PARTS.items():
        if isinstance(value, kind):
            shown: tuple[Part, ...] = parts(value)
            return shown
    return _list([value])


def _allocation(allocation: Allocation) -> tuple[Part, ...]:
    left_out = tuple(f"Left out: {each}" for each in allocation.left_out)
    return (str(allocation), allocation_table(allocation), *left_out)


def _result(result: RunResult) -> tuple[Part, ...]:
    if result.allocation is None:
        return (str(result),)
    _, *shown = _allocation(result.allocation)
    return (str(result), *shown)


def _record(record: RunRecord) -> tuple[Part, ...]:
    return _result(result_of(record))


def _autopay(autopay: AutoPay) -> tuple[Part, ...]:
    end = ends_on(autopay)
    facts = {
        "payer": autopay.payer,
        "method": f"{autopay.method.provider} {autopay.method.masked}",
        "into": f"{autopay.deposit_account.id} "
        f"({autopay.deposit_account.kind.value})",
        "when": str(autopay.schedule),
        "how much": str(autopay.limit),
        "pays for": "; ".join(str(x.association) for x in autopay.enrollments),
        "of that": "" if autopay.selection is None else str(autopay.selection),
        "A/R message": autopay.ar_message,
        "paused": "; ".join(
            f"from {x.from_on} until {x.to_on or 'further notice'}"
            for x in autopay.pauses
        ),
        "skipped": ", ".join(map(str, sorted(autopay.skips))),
        "off from": "" if autopay.off_from is None else str(autopay.off_from),
        "ends on": "" if end is None else str(end),
    }
    rows = tuple((name, fact) for name, fact in facts.items() if fact)
    title = f"{autopay.name} ({autopay.id})"
    return (Table(title=title, header=("what", "agreed"), rows=rows),)


def _batch(batch: Batch) -> tuple[Part, ...]:
    return (str(batch), postings_table(batch.postings))


def _schedule(schedule: Schedule) -> tuple[Part, ...]:
    first = list(islice(schedule.occurrences(), _DATES_MOST + 1))
    rows = tuple(
        (str(each.nominal_on), str(each.charge_on), f"{each.charge_on:%A}")
        for each in first[:_DATES_MOST]
    )
    more = ("and so on",) if len(first) > _DATES_MOST else ()
    header = ("due", "charged", "day")
    table = Table(title="", header=header, rows=rows)
    return (str(schedule), table, *more)


def _decoded(values: Decoded[Any]) -> tuple[Part, ...]:
    """Show what could be read, and name what could not (R6)."""
    lost = tuple(map(str, values.unreadable))
    return lost if lost and not values else (*_list(values), *lost)


def _list(values: Sequence[Any]) -> tuple[Part, ...]:
    """Show values of one kind in their table, or each by itself."""
    if not values:
        return ("Nothing.",)
    for kind, table in _TABLES.items():
        if all(isinstance(each, kind) for each in values):
            return (table(values),)
    return tuple(map(str, values))


def _movements(values: Iterable[Movement]) -> Table:
    return Table(
        title="",
        header=("movement", "on", "kind", "amount", "of"),
        rows=tuple(
            (
                each.id,
                str(each.on),
                each.kind.value.replace("_", " "),
                str(each.amount),
                str(each.run or each.reference or each.key),
            )
            for each in values
        ),
        numeric=frozenset({3}),
    )


_TABLES: Final[dict[type, Any]] = {
    Posting: postings_table,
    Batch: batches_table,
    Hold: holds_table,
    MovementRecord: movements_table,
    Movement: _movements,
}

_PARTS: Final[dict[type, Any]] = {
    Allocation: _allocation,
    RunResult: _result,
    RunRecord: _record,
    AutoPay: _autopay,
    Schedule: _schedule,
    Batch: _batch,
    Decoded: _decoded,
    list: _list,
}
