"""
Make the script, the notebook and the pictures of the first tutorial.

    python docs/tutorial/make.py

The page `first-autopay.md` is the one source. Its blocks become the cells of
a notebook, which are executed one after another, and a script. A test makes
all of them again and compares.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import autopay_core as ap
from autopay_core.show.projection import project
from autopay_core.show.timeline import timeline
from autopay_core.show.year import year

FOLDER = Path(__file__).parent
IMAGES = FOLDER.parent / "images"
PAGE = FOLDER / "first-autopay.md"
SCRIPT = FOLDER / "first_autopay.py"
NOTEBOOK = FOLDER / "first-autopay-notebook.ipynb"
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```\n")
# The page says where the other two are; they need not.
ONLY_ON_THE_PAGE = re.compile(r"(?ms)^The same text is a .*?\n\n")
WIDE = 79


class Part(NamedTuple):
    """Prose, or the code of one cell."""

    text: str
    is_code: bool


def parts(page: str) -> list[Part]:
    """Cut a page into prose and cells, in their order."""
    page = ONLY_ON_THE_PAGE.sub("", page)
    found: list[Part] = []
    for place, text in enumerate(BLOCK.split(page)):
        if place % 2 == 0:
            if text.strip():
                found.append(Part(text.strip(), is_code=False))
        elif text.startswith(">>> "):
            found += [Part(each, is_code=True) for each in session(text)]
        else:
            found.append(Part(text.strip(), is_code=True))
    return found


def session(text: str) -> list[str]:
    """Return the code of a session, a cell for each output."""
    cells: list[str] = []
    waiting = ""
    for each in doctest.DocTestParser().get_examples(text):
        waiting += each.source
        if each.want:
            cells.append(waiting.strip())
            waiting = ""
    if waiting:
        cells.append(waiting.strip())
    return cells


def last_expression(code: str) -> ast.expr | None:
    """Return what a cell ends with, if it is an expression."""
    last = ast.parse(code).body[-1]
    return last.value if isinstance(last, ast.Expr) else None


def printed(expression: ast.expr) -> ast.expr | None:
    """Return what an expression prints, if it prints one thing."""
    match expression:
        case ast.Call(func=ast.Name(id="print"), args=[one], keywords=[]):
            return one
        case _:
            return None


def as_cell(code: str) -> str:
    """Let a notebook show what a page prints."""
    last = last_expression(code)
    shown = None if last is None else printed(last)
    if last is None or shown is None:
        return code
    lines = code.splitlines()[: last.lineno - 1]
    source = ast.get_source_segment(code, shown) or ""
    return "\n".join([*lines, source])


def as_script(code: str) -> str:
    """Let a script print what a page shows."""
    last = last_expression(code)
    if last is None or isinstance(last, ast.Call):
        return code
    lines = code.splitlines()
    kept, shown = lines[: last.lineno - 1], lines[last.lineno - 1 :]
    return "\n".join([*kept, f"print({chr(10).join(shown)})"])


def script(found: list[Part]) -> str:
    """Return the script: the prose as comments, in cells of most editors."""
    said = ['"""Your first auto-pay; made from the page of that name."""']
    for each in found:
        if each.is_code:
            said.append(f"# %%\n{as_script(each.text)}")
        else:
            lines = each.text.replace("```", "").splitlines()
            comment = "\n".join(f"# {line}".rstrip() for line in lines)
            said.append(f"# %% [markdown]\n{comment}")
    return "\n\n".join(said) + "\n"


def run(code: str, names: dict[str, Any]) -> list[dict[str, object]]:
    """Execute one cell; return its outputs as a notebook keeps them."""
    tree = ast.parse(code)
    shown: Any = None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, "<cell>", "exec"), names)  # noqa: S102 - our page
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            shown = eval(compile(expression, "<cell>", "eval"), names)  # noqa: S307 - as above
    outputs: list[dict[str, object]] = []
    if said.getvalue():
        text = said.getvalue().splitlines(keepends=True)
        outputs.append(
            {"name": "stdout", "output_type": "stream", "text": text}
        )
    if shown is not None:
        plain = str(shown) if hasattr(shown, "_repr_html_") else repr(shown)
        data = {"text/plain": plain.splitlines(keepends=True)}
        if hasattr(shown, "_repr_html_"):
            html = shown._repr_html_()
            data = {"text/html": html.splitlines(keepends=True), **data}
        outputs.append(
            {
                "data": data,
                "execution_count": None,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return outputs


def notebook(found: list[Part]) -> str:
    """Return the notebook, executed cell by cell."""
    cells: list[dict[str, object]] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for place, each in enumerate(found, 1):
        cell: dict[str, object] = {"id": f"cell-{place:02d}", "metadata": {}}
        if each.is_code:
            count += 1
            code = as_cell(each.text)
            outputs = run(code, names)
            for output in outputs:
                if "execution_count" in output:
                    output["execution_count"] = count
            cell |= {
                "cell_type": "code",
                "execution_count": count,
                "outputs": outputs,
                "source": code.splitlines(keepends=True),
            }
        else:
            cell |= {
                "cell_type": "markdown",
                "source": each.text.splitlines(keepends=True),
            }
        cells.append(dict(sorted(cell.items())))
    made = {
        "cells": cells,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def busy_client() -> ap.AutoPay:
    """Return the auto-pay that the pictures show."""
    holidays = frozenset({date(2026, 5, 25), date(2026, 12, 25)})
    return ap.AutoPay(
        id="ap-2",
        payer="payer-2",
        name="Meridian Orchard, monthly",
        method=ap.PaymentMethodRef(provider="acme", token="tok_meridian_42"),
        deposit_account=ap.DepositAccount(id="operating"),
        schedule=ap.Schedule.monthly(
            date(2026, 1, 30),
            roll=ap.Roll.PRECEDING,
            calendar=ap.BusinessCalendar(holidays=holidays),
        ),
        limit=ap.Limit.up_to(ap.Money.of("500.00", "USD")),
        enrollments=(ap.Association.to_client(payer="payer-2", client="C-1"),),
        pauses=(ap.Pause(from_on=date(2026, 7, 1), to_on=date(2026, 8, 15)),),
        skips=frozenset({date(2026, 3, 30)}),
    )


def pictures() -> dict[Path, str]:
    """Draw what the pages of the documentation show."""
    invoices = [
        ap.Invoice(
            number=number,
            client="C-1",
            matter="1001-01",
            issued_on=date(2026, month, day),
            balance=ap.Money.of(amount, "USD"),
        )
        for number, month, day, amount in (
            ("B-931", 1, 5, "810.00"),
            ("B-935", 1, 12, "495.50"),
            ("B-948", 2, 9, "240.00"),
            ("B-954", 3, 2, "1120.00"),
            ("B-960", 4, 7, "380.00"),
        )
    ]
    autopay = busy_client()
    ahead = project(
        autopay,
        invoices,
        from_on=date(2026, 1, 1),
        before=date(2027, 2, 1),
    )
    return {
        IMAGES / "timeline.svg": f"{timeline(ahead).svg}\n",
        IMAGES / "year.svg": f"{year(autopay, date(2026, 1, 1)).svg}\n",
    }


def made() -> dict[Path, str]:
    """Return every file that is made, with its content."""
    found = parts(PAGE.read_text("utf-8"))
    return {
        SCRIPT: script(found),
        NOTEBOOK: notebook(found),
        **pictures(),
    }


def main() -> int:
    """Write every file."""
    for path, text in made().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
