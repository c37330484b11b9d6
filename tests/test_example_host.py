"""The host to copy: a payer's path and a staff's week, page by page."""

from __future__ import annotations

import importlib
import re
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import autopay_core as ap
from autopay_core.movements import MovementState

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("starlette")
from starlette.testclient import TestClient

HOST = Path(__file__).parents[1] / "examples" / "host"


class Forms(HTMLParser):
    """The forms of a page, with what a browser would send."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self._select = ""
        self.feed(html)

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append({"": given.get("action", "")})
        elif tag == "input" and given.get("type") != "checkbox":
            if "name" in given:
                self.forms[-1][given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select:
            form = self.forms[-1]
            if self._select not in form or "selected" in given:
                form[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""


class Browser:
    """A person at the pages."""

    def __init__(self, firm: Any, app: Any) -> None:
        self.firm = firm
        self.client = TestClient(app)
        self.page = ""
        self.status = 0

    def look(self, path: str) -> str:
        """Open a page."""
        return self._took(self.client.get(path))

    def send(self, button: str, **typed: Any) -> str:
        """Fill the form of a page that goes to a path, and send it."""
        [form] = [
            each for each in Forms(self.page).forms if each[""] == button
        ] or [{"csrf": self.client.cookies["csrf"]}]
        return self.post(button or self.at, {**form, **typed})

    def post(self, path: str, fields: dict[str, Any]) -> str:
        fields.pop("", None)
        return self._took(self.client.post(path, data=fields))

    def _took(self, answer: Any) -> str:
        self.page, self.status = answer.text, answer.status_code
        self.at = answer.url.path
        return self.page

    @property
    def said(self) -> str:
        """What stands at the head of the page."""
        found = re.search(r'role="(?:status|alert)">(.*?)</p>', self.page)
        return found[1] if found else ""

    # -- What most tests begin with -------------------------------------------

    def connected(self, method: str = "tok_visa_good_4242") -> None:
        self.look("/payers/p-1")
        self.send("/payers/p-1/method", token=method)
        self.look("/payers/p-1/connect?by=client_name&text=harbour")
        form = next(x for x in Forms(self.page).forms if "version" in x)
        self.post("/payers/p-1/connect", {**form, "ticked": "0"})

    def set_up(self, **typed: Any) -> None:
        self.look("/payers/p-1/new")
        fields = {
            "name": "Harbour monthly",
            "frequency": "Monthly",
            "first": "2026-01-31",
            "ticked": "0",
        }
        self.send("/payers/p-1/new", **{**fields, **typed})
        assert self.status == 200, self.said
        self.send("/payers/p-1/new", ticked="0")

    def days(self, until: str) -> None:
        self.look("/")
        self.send("/day", day=until)

    def paid(self) -> None:
        self.connected()
        self.set_up()
        self.days("2026-01-31")

    def taken(self) -> list[str]:
        return [
            str(each.amount) for each in self.firm.company.gateway.captured
        ]

    def postings(self) -> list[ap.Posting]:
        return ap.read_postings(ports=self.firm.ports)


@pytest.fixture
def browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    monkeypatch.syspath_prepend(str(HOST))
    app = importlib.import_module("office.app")
    firm = importlib.import_module("office.firm")
    with firm.Firm(tmp_path) as made:
        yield Browser(made, app.app_of(made))
    for name in [each for each in sys.modules if each.startswith("office")]:
        del sys.modules[name]


def test_a_payer_is_connected_set_up_and_paid(browser: Browser) -> None:
    browser.connected()
    assert "Connected." in browser.page
    assert "client C-7" in browser.page
    browser.set_up(up_to="350.00")
    assert browser.at == "/orders/p-1-order-1"
    assert "Next dates: 2026-01-31, 2026-02-28, 2026-03-31" in browser.page

    browser.days("2026-01-31")

    assert browser.taken() == ["USD 350.00"]
    browser.look("/payers/p-1")
    assert "next on 2026-02-28" in browser.page
    browser.look("/receipts/p-1-order-1/2026-01-31")
    assert "USD 350.00 was taken from visa …4242" in browser.page
    browser.look("/runs/p-1-order-1/2026-01-31")
    assert "it got USD 40.00" in browser.page
    browser.look("/payers/p-1/statement")
    assert "Harbour monthly" in browser.page


def test_a_form_names_the_field_that_is_wrong(browser: Browser) -> None:
    browser.connected()
    for typed, said in (
        ({"up_to": "1,000.00"}, "Up to: "),
        ({"name": " "}, "Name: "),
        ({"first": ""}, "First date: "),
        ({"ticked": []}, "What is paid: "),
    ):
        browser.look("/payers/p-1/new")
        fields: dict[str, Any] = {
            "name": "Monthly",
            "frequency": "Monthly",
            "ticked": "0",
        }
        browser.send("/payers/p-1/new", **{**fields, **typed})
        assert browser.status == 422
        assert browser.said.startswith(said), browser.said
    assert browser.firm.book.of_payer("p-1") == ()


def test_what_people_type_is_shown_as_it_is(browser: Browser) -> None:
    browser.connected()
    browser.set_up(name="<script>alert(1)</script>")

    browser.look("/payers/p-1")

    assert "<script>" not in browser.page
    assert "&lt;script&gt;" in browser.page


def test_a_form_that_is_sent_twice_does_nothing_twice(
    browser: Browser,
) -> None:
    browser.connected()
    browser.look("/payers/p-1/new")
    browser.send(
        "/payers/p-1/new",
        name="Monthly",
        frequency="Monthly",
        first="2026-01-31",
        ticked="0",
    )
    [form] = [x for x in Forms(browser.page).forms if "sure" in x]
    for _ in range(2):
        browser.post("/payers/p-1/new", {**form, "ticked": "0"})
    assert len(browser.firm.book.of_payer("p-1")) == 1
    browser.days("2026-01-31")
    for _ in range(2):
        browser.look("/desk")
        browser.send("/tonight")

    assert browser.taken() == ["USD 405.50"]


def test_a_form_of_somebody_else_is_refused(browser: Browser) -> None:
    browser.look("/")
    for token in ("", "forged"):
        browser.post("/day", {"csrf": token, "day": "2026-12-31"})
        assert browser.status == 403

    assert browser.firm.today == date(2026, 1, 30)


def test_a_change_is_shown_before_it_is_done_and_done_once(
    browser: Browser,
) -> None:
    browser.connected()
    browser.set_up()
    browser.send("", command="skip", day="2026-02-28")
    assert "2026-01-31, 2026-03-31, 2026-04-30" in browser.page
    [form] = [x for x in Forms(browser.page).forms if "sure" in x]

    browser.post("/orders/p-1-order-1", dict(form))
    assert browser.said == "Done."
    browser.post("/orders/p-1-order-1", dict(form))
    assert browser.said == "Nothing was left to do."

    # A form of an older version changes nothing.
    browser.post(
        "/orders/p-1-order-1",
        {**form, "command": "limit", "up_to": "5.00", "version": "1"},
    )
    assert browser.status == 422
    [kept] = browser.firm.book.of_payer("p-1")
    assert [each.isoformat() for each in kept.version.autopay.skips] == [
        "2026-02-28"
    ]


def test_a_declined_card_is_told_and_another_one_is_charged(
    browser: Browser,
) -> None:
    browser.connected("tok_card_gone_0009")
    browser.set_up()
    browser.days("2026-01-31")
    assert browser.taken() == []
    browser.look("/care")
    assert "Error-Failed AutoPay: Harbour monthly" in browser.page
    assert "The card was reported lost." in browser.page

    browser.look("/payers/p-1")
    browser.send("/payers/p-1/method", token="tok_visa_good_4242")
    browser.look("/orders/p-1-order-1")
    browser.send("", command="method", method="tok_visa_good_4242")
    browser.send("/orders/p-1-order-1")
    browser.days("2026-02-28")

    assert browser.taken() == ["USD 405.50"]


def test_a_batch_of_which_a_line_is_refused_is_mended(
    browser: Browser,
) -> None:
    browser.paid()
    browser.firm.ledger.do("UPDATE matter SET is_closed = 1 WHERE no = 'M-2'")
    ids = [each.id for each in browser.postings()]
    browser.look("/desk")
    [form] = [x for x in Forms(browser.page).forms if "name" in x]
    for _ in range(2):
        browser.post("/desk/batch", {**form, "ticked": ids})
    assert len(re.findall("Let the ledger answer", browser.page)) == 1
    name = form["name"]
    files = [
        browser.client.post(
            f"/batches/{name}/export", data={"csrf": form["csrf"]}
        ).content
        for _ in range(2)
    ]
    assert files[0] == files[1]
    assert b'"1058"' in files[0]
    for _ in range(2):
        browser.post(f"/batches/{name}/answer", {"csrf": form["csrf"]})
    assert browser.said == "Refused: 1."
    assert {
        each.invoice: each.status.value for each in browser.postings()
    } == {
        "1042": "posted",
        "1058": "incomplete",
    }

    browser.firm.ledger.do("UPDATE matter SET is_closed = 0")
    [refused] = [x.id for x in browser.postings() if x.invoice == "1058"]
    [posted] = [x.id for x in browser.postings() if x.invoice == "1042"]
    for step, id_ in (("mend", refused), ("applied", posted)):
        browser.post(
            "/desk/step",
            {
                "csrf": form["csrf"],
                "step": step,
                "ticked": id_,
                "note": "the matter is open again",
            },
        )
        assert browser.said == "1 moved."
    # What the ledger booked stands in its balance, once.
    [(cents,)] = browser.firm.ledger.do(
        "SELECT cents FROM bill WHERE no = '1042'"
    )
    assert cents == 0


def test_an_event_that_comes_late_and_twice_is_one_movement(
    browser: Browser,
) -> None:
    browser.paid()
    browser.look("/care")
    browser.send("/care/refund", amount="5.50")
    events = list(browser.firm.company.events)
    browser.days("2026-02-03")
    company = importlib.import_module("office.company")

    for body in events:
        answer = browser.client.post(
            "/webhook",
            content=body,
            headers={"signature": company.signature(body)},
        )
        assert answer.status_code == 200
    forged = browser.client.post("/webhook", content=events[0])
    assert forged.status_code == 403

    [record] = [
        each
        for each in browser.firm.postings.runs()
        if each.state is ap.RunState.PAID
    ]
    assert [str(each.amount) for each in record.reversals] == ["USD 5.50"]
    browser.look("/receipts/p-1-order-1/2026-01-31")
    assert "USD 400.00 of it remains" in browser.page
    browser.look("/care")
    browser.send("/care/deliver")
    assert browser.said == "2 events came."
    from autopay_core.calls import list_movements

    assert list_movements(MovementState.CASE, ports=browser.firm.ports) == []


def test_two_refunds_of_one_payment_are_two_movements(
    browser: Browser,
) -> None:
    browser.paid()
    for _ in range(2):
        browser.look("/care")
        browser.send("/care/refund", amount="5.00")
        browser.look("/care")
        browser.send("/care/deliver")

    [record] = [
        each
        for each in browser.firm.postings.runs()
        if each.state is ap.RunState.PAID
    ]
    assert [str(each.amount) for each in record.reversals] == ["USD 5.00"] * 2


def test_a_hold_is_listed_and_lifted_with_a_reason(browser: Browser) -> None:
    browser.connected()
    browser.set_up()
    ap.hold(
        ap.Hold.on_payer("p-1", by="Ann", reason="asked by the payer"),
        ports=browser.firm.ports,
    )
    browser.days("2026-01-31")
    assert browser.taken() == []
    browser.look("/care")
    browser.send("/care/lift", reason="")
    assert browser.status == 422
    browser.look("/care")
    browser.send("/care/lift", reason="the payer called again")
    browser.look("/desk")
    browser.send("/tonight")

    assert browser.taken() == ["USD 405.50"]


def test_what_is_not_there_is_no_crash(browser: Browser) -> None:
    for path in ("/payers/p-9", "/orders/none", "/runs/none/2026-01-31"):
        browser.look(path)
        assert browser.status == 422
        assert browser.said


def test_a_host_that_is_started_again_goes_on(
    browser: Browser, tmp_path: Path
) -> None:
    browser.paid()
    firm = importlib.import_module("office.firm")
    app = importlib.import_module("office.app")
    with firm.Firm(tmp_path) as again:
        other = Browser(again, app.app_of(again))
        other.look("/payers/p-1")
        assert "Harbour monthly" in other.page
        other.send("/payers/p-1/method")
        other.look("/desk")
        other.send("/tonight")
        assert other.taken() == ["USD 405.50"]
