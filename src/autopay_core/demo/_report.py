"""
What a year of auto-pays came to, and whether it adds up.

Holds: `Report` and `print_report`. Imports: the core and `show`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

import attrs

from autopay_core.autopay import AutoPay
from autopay_core.charges import Captured
from autopay_core.errors import FormatError
from autopay_core.money import Money
from autopay_core.notices import Notice, NoticeKind
from autopay_core.postings import Posting, PostingView, in_view
from autopay_core.runs import RunRecord, reservations
from autopay_core.show.sentences import notice_text
from autopay_core.show.tables import (
    Table,
    allocation_table,
    autopays_table,
    postings_table,
    reasons_table,
    show,
    views_table,
)

__all__ = ["Report", "print_report"]

_SHOWN_MOST: Final = 12


@final
@attrs.frozen(kw_only=True)
class Report:
    """
    Everything that the files hold after the last day.

    Attributes:
        autopays: The firm's standing orders.
        runs: Every run, by key.
        postings: Every posting record, by id.
        notices: Every notice, oldest first.
        captured: What the gateway took, in its order.

    """

    autopays: tuple[AutoPay, ...]
    runs: tuple[RunRecord, ...]
    postings: tuple[Posting, ...]
    notices: tuple[Notice, ...]
    captured: tuple[Captured, ...]

    @property
    def checks(self) -> tuple[tuple[str, bool], ...]:
        """What must be true, and whether it is."""
        taken = {each.key: each.amount for each in self.captured}
        known = {
            each.captured.key: each.captured.amount
            for each in self.runs
            if each.captured is not None
        }
        posted: dict[str, int] = {}
        for posting in self.postings:
            run = str(posting.run)
            posted[run] = posted.get(run, 0) + posting.amount.amount_minor
        ran = {
            str(each.key): each.captured.amount.amount_minor
            for each in self.runs
            if each.captured is not None
        }
        return (
            ("the gateway took what the runs have on record", taken == known),
            ("every captured cent has its posting record", posted == ran),
            (
                "no invoice was paid beyond what was owed",
                self._paid_beyond() == (),
            ),
        )

    def _paid_beyond(self) -> tuple[str, ...]:
        """Return the invoices that got more than their first balance."""
        owed: dict[str, Money] = {}
        for run in sorted(self.runs, key=lambda each: each.charge_on):
            for line in () if run.allocation is None else run.allocation.lines:
                # The most that was ever seen of it: balances only shrink.
                number, balance = line.invoice.number, line.balance
                known = owed.setdefault(number, balance)
                owed[number] = max(known, balance)
        paid: dict[str, Money] = {}
        for each in self.postings:
            before = paid.get(each.invoice)
            paid[each.invoice] = (
                each.amount if before is None else before + each.amount
            )
        return tuple(
            number for number, amount in paid.items() if amount > owed[number]
        )


def print_report(report: Report, explain: str | None, database: Path) -> int:
    """Print what was paid and why; return 0 if everything adds up."""
    names = {str(each.id): each.name for each in report.autopays}
    run = _chosen(report.runs, explain)
    # What a declined run would have paid is no reason for anything.
    allocations = [
        each.allocation
        for each in report.runs
        if each.allocation is not None and (each.captured or not each.attempts)
    ]
    show(
        autopays_table(report.runs, "What was paid", names),
        "",
        reasons_table(allocations, "Why: the lines of all runs"),
    )
    if run is not None and run.allocation is not None:
        title = f"Why: the run {run.key} ({run.state.value})"
        show("", allocation_table(run.allocation, title))
    show("", views_table(report.postings, "Posting records by view"))
    for view in (
        PostingView.PENDING_INCOMPLETE,
        PostingView.QUEUED,
        PostingView.POSTED,
        PostingView.REMOVED,
    ):
        _show_view(report.postings, view)
    _show_failures(report.notices)
    show("", _totals(report), "")
    checks = report.checks
    for what, holds in checks:
        show(f"{'ok' if holds else 'WRONG'}: {what}")
    show(f"The posting store is {database}.")
    return 0 if all(holds for _, holds in checks) else 1


def _chosen(
    runs: Sequence[RunRecord], explain: str | None
) -> RunRecord | None:
    """Return the run that was asked for, or the one that explains most."""
    if explain is not None:
        for run in runs:
            if str(run.key) == explain:
                return run
        raise FormatError(
            "there is no such run on record",
            code="UnknownValue",
            path="--explain",
            value=explain,
        )

    def variety(run: RunRecord) -> tuple[int, str]:
        lines = () if run.allocation is None else run.allocation.lines
        reasons = {line.reason for line in lines}
        return len(reasons), run.key.nominal_on.isoformat()

    return max(runs, key=variety, default=None)


def _show_view(postings: Sequence[Posting], view: PostingView) -> None:
    some = sorted(
        in_view(postings, view), key=lambda each: (each.charged_on, each.id)
    )
    if not some:
        return
    title = f"Postings: {view.value}"
    if len(some) > _SHOWN_MOST:
        title += f", the latest {_SHOWN_MOST} of {len(some)}"
    show("", postings_table(some[-_SHOWN_MOST:], title))


def _show_failures(notices: Sequence[Notice]) -> None:
    failed = [each for each in notices if each.kind is NoticeKind.FAILED]
    if not failed:
        return
    show("", notice_text(failed[0]))
    if len(failed) > 1:
        show("", f"And {len(failed) - 1} more:")
        for each in failed[1:]:
            show(f"  {each.on} {each.autopay}: {each.detail}")


def _totals(report: Report) -> Table:
    """Show the sums that must agree, each from its own source."""
    held = [
        amount for run in report.runs for amount in reservations(run).values()
    ]
    figures = (
        ("captured by the gateway", [x.amount for x in report.captured]),
        (
            "captured by the runs on record",
            [x.captured.amount for x in report.runs if x.captured is not None],
        ),
        ("posting records", [x.amount for x in report.postings]),
        ("under way, reserved", held),
    )
    currency = report.autopays[0].limit.currency if report.autopays else "USD"
    return Table(
        title="Totals",
        header=("what", "how many", "amount"),
        rows=tuple(
            (what, str(len(amounts)), str(Money.total(amounts, currency)))
            for what, amounts in figures
        ),
        numeric=frozenset({1, 2}),
    )
