"""
What is done for a payer: connect, set up, look, change, receipts.

A change has two steps: the first shows what it would do, the second does it
for the version that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from starlette.responses import HTMLResponse, Response

import autopay_core as ap
from autopay_core.book import OutdatedError, Payer
from autopay_core.show.letters import receipt, statement
from office.company import METHODS
from office.forms import (
    COMMANDS,
    FREQUENCIES,
    autopay_of,
    command_of,
    explained,
)
from office.web import Seen

PAYERS = {"p-1": "Harbour Foods Inc.", "p-2": "Osei & Sons"}


def _payer(seen: Seen, id_: str) -> tuple[Payer, int]:
    """Return a payer and its version; one that is not kept yet is empty."""
    if id_ not in PAYERS:
        raise ap.InvalidValueError("no such payer", code="NotInBook")
    try:
        version = seen.firm.book.payer(id_)
    except ap.InvalidValueError:
        return Payer(id=id_, name=PAYERS[id_]), 0
    return version.payer, version.number


def start(seen: Seen) -> Response:
    """Choose a payer, or the staff's pages."""
    return seen.show("start", payers=PAYERS)


def payer(seen: Seen) -> Response:
    """Show what a payer has: methods, associations, orders, payments."""
    found, version = _payer(seen, seen.path["payer"])
    looks = [
        seen.firm.book.look(each.id, on=seen.firm.today, ports=seen.firm.ports)
        for each in seen.firm.book.of_payer(str(found.id))
    ]
    runs = [
        each
        for each in seen.firm.postings.runs()
        if each.payer == found.id and each.state is ap.RunState.PAID
    ]
    return seen.show(
        "payer",
        payer=found,
        version=version,
        looks=looks,
        runs=runs,
        methods=METHODS,
    )


def save_method(seen: Seen) -> Response:
    """Keep a payment method; the company's page gave us its token."""
    found, version = _payer(seen, seen.path["payer"])
    token = str(seen.form["token"])
    seen.firm.book.save_method(
        str(found.id),
        ap.PaymentMethodRef(provider="company", token=token, network="visa"),
        label=METHODS[token],
        version=version,
        by=seen.by,
        reason="saved on the payment page",
    )
    return seen.go(f"/payers/{found.id}", "The payment method is saved.")


def connect(seen: Seen) -> Response:
    """Search by a criterion; what is found can be ticked."""
    found, version = _payer(seen, seen.path["payer"])
    by = seen.request.query_params.get("by", "client_name")
    text = seen.request.query_params.get("text", "")
    results = list(_search(seen, by, text)) if text else []
    return seen.show(
        "connect",
        payer=found,
        version=version,
        criteria=[each.value for each in ap.SearchBy],
        search_by=by,
        text=text,
        results=results,
    )


def _search(seen: Seen, by: str, text: str) -> Iterator[ap.SearchResult]:
    query = ap.SearchQuery(by=ap.SearchBy(by), text=text)
    while True:
        page = seen.firm.ports.matters.search(query)
        yield from page.results
        if page.next_page is None:
            return
        query = attrs.evolve(query, page=page.next_page)


def associate(seen: Seen) -> Response:
    """Tie a payer to what was ticked."""
    found, _ = _payer(seen, seen.path["payer"])
    by, text = str(seen.form["by"]), str(seen.form["text"])
    results = list(_search(seen, by, text))
    ticked = [int(each) for each in seen.form.getlist("ticked")]
    seen.firm.book.associate(
        str(found.id),
        [results[each] for each in ticked if each < len(results)],
        search_by=ap.SearchBy(by),
        text=text,
        version=int(seen.form["version"]),
        by=seen.by,
        reason="ticked in the search",
    )
    return seen.go(f"/payers/{found.id}", "Connected.")


def new(seen: Seen, problem: str = "", status: int = 200) -> Response:
    """Show the set-up form; again with what is wrong."""
    found, _ = _payer(seen, seen.path["payer"])
    return seen.show(
        "new",
        status,
        payer=found,
        frequencies=FREQUENCIES,
        typed=seen.form,
        ticked=seen.form.getlist("ticked") if seen.form else [],
        problem=problem,
    )


def add(seen: Seen) -> Response:
    """Show what a new order would do; add it when that was seen."""
    firm, form = seen.firm, seen.form
    found, _ = _payer(seen, seen.path["payer"])
    ticked = [str(each) for each in form.getlist("ticked")]
    kept = firm.book.of_payer(str(found.id))
    # A form that is sent twice names one id, and adds one order.
    id_ = str(form.get("id") or f"{found.id}-order-{len(kept) + 1}")
    try:
        autopay = autopay_of(form, ticked, found, id_)
        if form.get("sure") != "yes":
            outlook = firm.book.preview_new(
                autopay, as_of=firm.today, ports=firm.ports
            )
            return seen.show(
                "sure_new",
                payer=found,
                autopay=autopay,
                outlook=outlook,
                typed={**form, "id": id_},
                ticked=ticked,
            )
        firm.book.add(
            autopay, as_of=firm.today, by=seen.by, reason="set-up form"
        )
    except OutdatedError:
        return seen.go(f"/orders/{id_}", "It was there already.")
    except ap.InvalidValueError as error:
        return new(seen, explained(error), 422)
    return seen.go(f"/orders/{id_}", "The order is set up.")


def order(seen: Seen) -> Response:
    """Show an order: what it does next, and who changed what."""
    look = seen.firm.book.look(
        seen.path["order"], on=seen.firm.today, ports=seen.firm.ports
    )
    autopay = look.version.autopay
    return seen.show(
        "order",
        autopay=autopay,
        look=look,
        payer=_payer(seen, str(autopay.payer))[0],
        changes=seen.firm.book.changes(str(autopay.id)),
        commands=COMMANDS,
        runs=[
            each
            for each in seen.firm.postings.runs()
            if each.key.autopay == autopay.id
        ],
    )


def change(seen: Seen) -> Response:
    """Show what a command would change; do it when that was seen."""
    firm, form, id_ = seen.firm, seen.form, seen.path["order"]
    look = firm.book.look(id_, on=firm.today, ports=firm.ports)
    found, _ = _payer(seen, str(look.version.autopay.payer))
    command = command_of(form, found)
    if form.get("sure") != "yes":
        preview = firm.book.preview(
            id_, command, as_of=firm.today, ports=firm.ports
        )
        return seen.show(
            "sure",
            autopay=look.version.autopay,
            preview=preview,
            what=COMMANDS[str(form["command"])],
            typed=form,
        )
    done = firm.book.do(
        id_,
        command,
        as_of=firm.today,
        version=int(form["version"]),
        by=seen.by,
        reason=str(form.get("reason") or "asked by the payer"),
        ports=firm.ports,
    )
    said = "Done." if done.is_new else "Nothing was left to do."
    return seen.go(f"/orders/{id_}", said)


def run(seen: Seen) -> Response:
    """Say why a run did what it did."""
    record = _record(seen)
    return seen.show("run", record=record, said_of_it=ap.explain(record))


def show_receipt(seen: Seen) -> Response:
    """Show a payment's receipt: a page of its own."""
    return HTMLResponse(receipt(_record(seen)).html())


def show_statement(seen: Seen) -> Response:
    """Show what was taken this year, and what went back."""
    today = seen.firm.today
    return HTMLResponse(
        statement(
            seen.firm.postings.runs(),
            payer=seen.path["payer"],
            from_on=today.replace(month=1, day=1),
            through=today,
        ).html()
    )


def _record(seen: Seen) -> ap.RunRecord:
    key = seen.path["run"]
    for each in seen.firm.postings.runs():
        if str(each.key) == key:
            return each
    raise ap.InvalidValueError("no such run", code="RunNotFound")


PAGES = {
    "/": start,
    "/payers/{payer}": payer,
    "/payers/{payer}/connect": connect,
    "/payers/{payer}/new": new,
    "/payers/{payer}/statement": show_statement,
    "/orders/{order}": order,
    "/runs/{run:path}": run,
    "/receipts/{run:path}": show_receipt,
}
FORMS = {
    "/payers/{payer}/method": save_method,
    "/payers/{payer}/connect": associate,
    "/payers/{payer}/new": add,
    "/orders/{order}": change,
}
