"""What the firm's staff do: the night, Manage Postings, holds, health."""

from __future__ import annotations

from datetime import timedelta

import attrs
from starlette.responses import Response

import autopay_core as ap
from autopay_core import calls
from autopay_core.adapters.csv import postings_csv
from autopay_core.commits import PostingFilter
from autopay_core.movements import MovementState
from office.company import parse_event, signature
from office.forms import day_of
from office.web import Seen

STEPS = {
    "mend": ap.PostingStatus.PENDING,
    "remove": ap.PostingStatus.REMOVED,
    "restore": ap.PostingStatus.PENDING,
    "applied": ap.PostingStatus.APPLIED,
}


def tonight(seen: Seen) -> Response:
    """Run what is due; yours is a job of the machine's clock."""
    results = list(
        seen.firm.book.sweep(as_of=seen.firm.today, ports=seen.firm.ports)
    )
    said = "; ".join(map(str, results)) or "Nothing was due."
    return seen.go("/desk", said)


def go_to(seen: Seen) -> Response:
    """Let days pass, with a sweep for each, as on a machine that runs."""
    firm, until = seen.firm, day_of(str(seen.form.get("day", "")), "on")
    while firm.today < until:
        firm.go_to(firm.today + timedelta(days=1))
        list(firm.book.sweep(as_of=firm.today, ports=firm.ports))
    return seen.go("/desk", f"It is {firm.today}.")


def desk(seen: Seen) -> Response:
    """Manage Postings: what was taken, on its way to the ledger."""
    asked = seen.request.query_params
    view = ap.PostingView(asked.get("view", "all"))
    wanted = attrs.evolve(
        PostingFilter.of_view(view, invoice=asked.get("invoice") or None),
        payer=asked.get("payer") or None,
    )
    return seen.show(
        "desk",
        views=[each.value for each in ap.PostingView],
        view=view.value,
        asked=asked,
        postings=calls.find_postings(wanted, ports=seen.firm.ports),
        totals=calls.posting_totals(wanted, ports=seen.firm.ports),
        batches=calls.list_batches(ports=seen.firm.ports),
    )


def _ticked(seen: Seen) -> list[ap.Posting]:
    ids = {str(each) for each in seen.form.getlist("ticked")}
    found = ap.read_postings(ports=seen.firm.ports)
    return [each for each in found if each.id in ids]


def step(seen: Seen) -> Response:
    """Move ticked postings one step, all or none."""
    to, ticked = STEPS[str(seen.form["step"])], _ticked(seen)
    if not ticked:
        return seen.go("/desk", "Tick something first.")
    done = ap.advance_postings(
        ticked,
        to,
        by=seen.by,
        note=str(seen.form.get("note", "")),
        # "Does the ledger show it?" was asked where that matters (P3).
        sure=seen.form.get("sure") == "yes",
        ports=seen.firm.ports,
    )
    if done is None:
        return seen.go("/desk", "Somebody moved them meanwhile; look again.")
    return seen.go("/desk", f"{len(done)} moved.")


def make_batch(seen: Seen) -> Response:
    """Put ticked postings into a batch, once."""
    ticked = _ticked(seen)
    if not ticked:
        return seen.go("/desk", "Tick something first.")
    # The name comes with the form: sent twice, it makes one batch.
    calls.make_batch(
        str(seen.form["name"]), ticked, by=seen.by, ports=seen.firm.ports
    )
    return seen.go("/desk", "The batch is made.")


def export(seen: Seen) -> Response:
    """Give the batch as a file; the same bytes each time."""
    batch = calls.export_batch(
        seen.path["batch"], by=seen.by, ports=seen.firm.ports
    )
    return Response(
        "".join(postings_csv(batch.postings)),
        media_type="text/csv",
        headers={
            "Content-Disposition": f'attachment; filename="{batch.id}.csv"'
        },
    )


def answer(seen: Seen) -> Response:
    """Let the make-believe ledger book a batch, and take its answer in."""
    firm = seen.firm
    [batch] = [
        each
        for each in calls.list_batches(ports=firm.ports)
        if each.id == seen.path["batch"]
    ]
    if not batch.is_closed:
        given = firm.ledger.answer(batch, firm.today)
        batch = calls.answer_batch(given, by="ledger", ports=firm.ports)
    return seen.go("/desk", f"Refused: {len(batch.refused)}.")


def care(seen: Seen) -> Response:
    """Show what somebody should look at: health, holds, cases, mails."""
    firm = seen.firm
    health = ap.health(ports=firm.ports)
    return seen.show(
        "care",
        health=health,
        troubles=health.troubles(),
        holds=calls.list_holds(ports=firm.ports),
        runs=calls.list_runs(ports=firm.ports),
        cases=calls.list_movements(MovementState.CASE, ports=firm.ports),
        mail=firm.mail[-20:],
        paid=[
            each
            for each in firm.postings.runs()
            if each.state is ap.RunState.PAID
        ],
        events=firm.company.events,
    )


def lift(seen: Seen) -> Response:
    """Lift a hold, with a reason."""
    for each in calls.list_holds(ports=seen.firm.ports):
        if each.id == seen.form["hold"]:
            ap.lift(
                each,
                by=seen.by,
                reason=str(seen.form.get("reason", "")),
                ports=seen.firm.ports,
            )
    return seen.go("/care", "Lifted.")


def refund(seen: Seen) -> Response:
    """Refund at the company's own site; its event comes later."""
    seen.firm.company.refund(
        str(seen.form["reference"]),
        ap.Money.of(str(seen.form["amount"]), "USD"),
        seen.firm.today,
    )
    return seen.go("/care", "Refunded there; its event will come, twice.")


def deliver(seen: Seen) -> Response:
    """Let the company's events come, late and twice, as to the webhook."""
    events, seen.firm.company.events[:] = seen.firm.company.events[:], []
    for body in events:
        movement = parse_event(body, signature(body))
        ap.receive(movement, ports=seen.firm.ports, by="webhook")
    return seen.go("/care", f"{len(events)} events came.")


PAGES = {"/desk": desk, "/care": care}
FORMS = {
    "/tonight": tonight,
    "/day": go_to,
    "/desk/step": step,
    "/desk/batch": make_batch,
    "/batches/{batch}/export": export,
    "/batches/{batch}/answer": answer,
    "/care/lift": lift,
    "/care/refund": refund,
    "/care/deliver": deliver,
}
