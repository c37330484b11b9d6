"""Clio's bills, and everything that can go wrong with them (MD, L5, E3)."""

from __future__ import annotations

import copy
import pickle
import socket
import ssl
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

import autopay_core as ap
from autopay_core.adapters.clio import (
    ClioApp,
    ClioMatterData,
    ClioTokens,
    wire,
)
from autopay_core.adapters.clio.asking import Page
from autopay_core.adapters.clio.bills import read_bills
from autopay_core.adapters.clio.wire import Answer, Number, Wire, parsed
from autopay_core.associations import Association, InvoicePage, InvoiceQuery
from autopay_core.errors import (
    IncompleteReadError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.invoices import InvoiceStatus
from autopay_core.money import MINOR_DIGITS, Money
from autopay_core.reads import join_pages
from autopay_core.references import AccountKind
from autopay_core.testing.clio import TROUBLES, FakeClio
from worlds import Clock, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = date(2026, 1, 5)
MODES = pytest.mark.parametrize(
    "shared_for", [timedelta(minutes=15), None], ids=["pass", "by client"]
)
_MATTER = {"id": Number("3"), "display_number": "00001-Harbour"}


class Firm:
    """A firm with two clients at the make-believe Clio, and the adapter."""

    def __init__(self, company: FakeClio) -> None:
        self.company = company
        self.clock = Clock(datetime(2026, 1, 31, 2, tzinfo=UTC))
        self.kept = [ClioTokens(*company.tokens)]
        self.harbour = company.client("Harbour Foods")
        self.bakers = company.client("Bakers & Sons")
        self.lease = company.matter(self.harbour, "00001-Harbour", "Lease")
        self.merger = company.matter(self.harbour, "00002-Harbour", "Merger")
        self.will = company.matter(self.bakers, "00003-Bakers", "Will")
        for number, matter, dollars in (
            ("1042", self.lease, "310.00"),
            ("1043", self.lease, "95.50"),
            ("1044", self.merger, "20.00"),
            ("1045", self.will, "7.05"),
            ("1046", self.will, "8.00"),
        ):
            company.bill(number, matter, usd(dollars), issued_on=DAY)

    def matters(self, **more: Any) -> ClioMatterData:
        given: dict[str, Any] = {
            "app": ClioApp(*self.company.app),
            "save": self.kept.append,
            "currency": "USD",
            "base": self.company.url,
            "clock": self.clock,
            "timeout_seconds": 10.0,
        }
        return ClioMatterData(self.kept[-1], **{**given, **more})

    def asked(self, client: str | None = None) -> InvoiceQuery:
        whole = Association.to_client(
            payer="p1", client=client or self.harbour
        )
        return InvoiceQuery(payer="p1", associations=(whole,))

    def read(
        self, matters: ClioMatterData, client: str | None = None
    ) -> InvoicePage:
        return matters.open_invoices(self.asked(client))

    @property
    def lists(self) -> list[str]:
        return [e for e in self.company.requests if "/bills" in e]


@pytest.fixture
def company() -> Iterator[FakeClio]:
    with FakeClio(page_size=2) as company:
        yield company
        assert company.complaints == []


@pytest.fixture
def firm(company: FakeClio) -> Firm:
    return Firm(company)


def balances(page: InvoicePage) -> dict[str, str]:
    return {each.number: str(each.balance) for each in page.invoices}


HARBOUR = {"1042": "USD 310.00", "1043": "USD 95.50", "1044": "USD 20.00"}


# -- What is read -------------------------------------------------------------


@MODES
def test_the_open_bills_of_a_client_are_read_over_all_pages(
    firm: Firm, shared_for: timedelta | None
) -> None:
    page = firm.read(firm.matters(shared_for=shared_for))

    assert balances(page) == HARBOUR
    assert page.next_page is None
    assert page.total == 3
    assert page.unreadable == ()
    assert page.stated_at == firm.clock()
    assert page.source_rows == (3 if shared_for is None else 5)
    assert len(firm.lists) == (2 if shared_for is None else 3)


def test_fields_are_asked_for_by_name_and_only_open_bills(firm: Firm) -> None:
    firm.read(firm.matters())

    for each in firm.lists:
        assert "balance" in each
        assert "state=awaiting_payment" in each
        assert "order=id%28asc%29" in each


@pytest.mark.parametrize(
    "state", ["draft", "awaiting_approval", "paid", "void", "deleted"]
)
def test_what_is_not_open_is_left_out_also_if_the_filter_does_nothing(
    state: str,
) -> None:
    row = _row(state=state, balance=None, client=None)

    read = read_bills([_page(row)], currency="USD")

    assert read.invoices == {}
    assert read.unreadable == {}


@pytest.mark.parametrize(
    "changes", [{"state": "on_the_moon"}, {"kind": "summary_kind"}]
)
def test_a_word_that_was_never_seen_is_not_collected(
    changes: dict[str, Any],
) -> None:
    [found] = read_bills([_page(_row(**changes))], currency="USD").invoices[
        "7"
    ]

    assert found.status is InvoiceStatus.UNKNOWN


def test_a_trust_request_belongs_to_the_trust_account() -> None:
    read = read_bills([_page(_row(kind="trust_kind"))], currency="USD")

    [found] = read.invoices["7"]
    assert found.account is AccountKind.TRUST
    assert found.status is InvoiceStatus.OPEN


def test_a_bill_of_several_matters_names_them_all(firm: Firm) -> None:
    # The later matter first: the order of their ids counts.
    firm.company.bill(
        "1050", [firm.merger, firm.lease], usd("5.00"), issued_on=DAY
    )
    one = Association.to_matter(
        payer="p1", client=firm.harbour, matter="00002-Harbour"
    )
    both = Association.to_matter(
        payer="p1", client=firm.harbour, matter="00001-Harbour"
    )
    matters = firm.matters()

    def numbers(*associations: Association) -> set[str]:
        query = InvoiceQuery(payer="p1", associations=associations)
        return {e.number for e in matters.open_invoices(query).invoices}

    assert numbers(one) == {"1044"}
    assert numbers(one, both) == {"1042", "1043", "1044", "1050"}
    found = {e.number: e for e in firm.read(matters).invoices}["1050"]
    assert found.matters == ("00001-Harbour", "00002-Harbour")
    assert found.matter == "00001-Harbour"


def test_dates_totals_and_currencies_are_the_bills_own(firm: Firm) -> None:
    firm.company.bills.clear()
    firm.company.bill(
        "2001",
        firm.lease,
        Money.of("99.90", "CAD"),
        issued_on=date(2024, 2, 29),
        due_on=date(2024, 3, 31),
    )
    firm.company.pay("2001", Money.of("9.90", "CAD"))

    [found] = firm.read(firm.matters()).invoices

    assert (found.issued_on, found.due_on) == (
        date(2024, 2, 29),
        date(2024, 3, 31),
    )
    assert found.balance == Money.of("90.00", "CAD")
    assert found.total == Money.of("99.90", "CAD")


def test_a_bill_without_a_currency_has_the_configured_one() -> None:
    [found] = read_bills(
        [_page(_row(currency=None))], currency="EUR"
    ).invoices["7"]

    assert found.balance == Money.of("310.00", "EUR")


@given(
    minor=st.integers(-(10**12), 10**12),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    zeros=st.integers(0, 3),
)
def test_amounts_are_exact_however_many_zeros_a_double_shows(
    minor: int, currency: str, zeros: int
) -> None:
    money = Money(amount_minor=minor, currency=currency)
    digits = MINOR_DIGITS[currency]
    whole, rest = divmod(abs(minor), 10**digits)
    decimals = (f"{rest:0{digits}}" if digits else "") + "0" * zeros
    text = f"{'-' if minor < 0 else ''}{whole}.{decimals or '0'}"

    row = _row(balance=Number(text), currency={"code": currency})
    [found] = read_bills([_page(row)], currency="USD").invoices["7"]

    assert found.balance == money


# -- Rows that cannot be read -------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"balance": None}, "FieldMissing", "balance"),
        ({"balance": Number("310.005")}, "AmountScale", "balance"),
        ({"balance": Number("3.1e2")}, "AmountFormat", "balance"),
        ({"balance": Number("9" * 30)}, "AmountTooLarge", "balance"),
        ({"balance": Number("9" * 5000)}, "AmountTooLarge", "balance"),
        ({"balance": "1,200.00"}, "AmountFormat", "balance"),
        ({"balance": "310."}, "AmountFormat", "balance"),
        ({"balance": True}, "FieldType", "balance"),
        ({"balance": {"amount": Number("3")}}, "FieldType", "balance"),
        ({"total": "much"}, "AmountFormat", "total"),
        ({"issued_at": None}, "FieldMissing", "issued_at"),
        ({"issued_at": "2026-02-30"}, "DateFormat", "issued_at"),
        ({"issued_at": "20260105"}, "DateFormat", "issued_at"),
        ({"due_at": "2026-01-05T00:00:00Z"}, "DateFormat", "due_at"),
        ({"issued_at": "1899-12-31"}, "DateOutOfRange", "issued_on"),
        ({"number": Number("1042")}, "FieldType", "number"),
        ({"number": ""}, "FieldType", "number"),
        ({"state": None}, "FieldMissing", "state"),
        ({"state": ["awaiting_payment"]}, "FieldType", "state"),
        ({"kind": Number("1")}, "FieldType", "kind"),
        ({"matters": []}, "FieldType", "matters"),
        ({"matters": [None]}, "FieldMissing", ""),
        ({"matters": None}, "FieldMissing", "matters"),
        ({"matters": [_MATTER, _MATTER]}, "DuplicateValue", "matters"),
        ({"currency": {"code": "XXX"}}, "CurrencyUnknown", ""),
        ({"currency": {"code": None}}, "FieldMissing", "currency.code"),
        ({"client": None}, "FieldMissing", "client"),
        ({"client": {"id": "7"}}, "FieldType", "client.id"),
        ({"client": {"id": Number("-7")}}, "FieldType", "client.id"),
        ({"client": {"id": Number("7.0")}}, "FieldType", "client.id"),
    ],
)
def test_a_bill_that_cannot_be_read_keeps_back_itself_only(
    changes: dict[str, Any], code: str, where: str
) -> None:
    other = _row(id=Number("2"), number="1043")

    read = read_bills([_page(_row(**changes), other)], currency="USD")

    assert [each.number for each in read.invoices["7"]] == ["1043"]
    client = None if "client" in changes else "7"
    [lost] = read.unreadable[client]
    assert lost.code == code
    assert lost.where.startswith("bills/1:")
    assert where in lost.where
    assert lost.number == (None if "number" in changes else "1042")
    assert lost.matter == (None if "matters" in changes else "00001-Harbour")


@pytest.mark.parametrize("field", ["balance", "total", "number", "client"])
def test_a_field_that_is_not_there_is_not_taken_for_nothing(
    field: str,
) -> None:
    row = _row()
    del row[field]

    read = read_bills([_page(row)], currency="USD")

    assert not read.invoices
    assert sum(map(len, read.unreadable.values())) == 1


@pytest.mark.parametrize("row", [None, [], "x", Number("1"), {}, True])
def test_a_row_that_is_none_is_nobodys_and_says_where(row: object) -> None:
    read = read_bills([_page(_row()), _page(_row(), row)], currency="USD")

    [lost] = read.unreadable[None]
    assert lost.where.startswith("bills[page 2, row 2]")
    assert read.rows == 2


def test_two_bills_of_one_number_get_nothing(firm: Firm) -> None:
    firm.company.bill("1043", firm.will, usd("1.00"), issued_on=DAY)

    page = firm.read(firm.matters())

    assert balances(page) == {k: HARBOUR[k] for k in ("1042", "1044")}
    [lost] = page.unreadable
    assert (lost.code, lost.number) == ("NumberTwice", "1043")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("null_balance", "FieldMissing"),
        ("amount_with_groups", "AmountFormat"),
        ("missing_field", "FieldMissing"),
    ],
)
@MODES
def test_a_spoiled_row_stops_nobody_else(
    firm: Firm, trouble: str, code: str, shared_for: timedelta | None
) -> None:
    firm.company.trouble(trouble)

    page = firm.read(firm.matters(shared_for=shared_for))

    assert balances(page) == {k: HARBOUR[k] for k in ("1043", "1044")}
    [lost] = page.unreadable
    assert (lost.code, lost.number, lost.client, lost.matter) == (
        code,
        "1042",
        firm.harbour,
        "00001-Harbour",
    )


def test_a_row_without_a_client_is_told_once_and_borne(firm: Firm) -> None:
    firm.company.trouble("missing_client")

    page = firm.read(firm.matters())
    whole = firm.asked().associations

    assert balances(page) == {k: HARBOUR[k] for k in ("1043", "1044")}
    read = join_pages([page], whole)
    assert [each.number for each in read.unknown] == ["1042"]


def test_an_amount_as_text_is_read_as_it_is_written(firm: Firm) -> None:
    firm.company.trouble("amount_as_text")

    assert balances(firm.read(firm.matters())) == HARBOUR


# -- Pages that contradict each other -----------------------------------------


@MODES
def test_a_bill_that_comes_twice_counts_once(
    firm: Firm, shared_for: timedelta | None
) -> None:
    firm.company.trouble("duplicate_row")

    assert balances(firm.read(firm.matters(shared_for=shared_for))) == HARBOUR


@pytest.mark.parametrize(
    ("troubles", "code"),
    [
        (["changed_row"], "BillTwice"),
        (["lost_row"], "RowCount"),
        (["", "changed_total"], "RowCount"),
        (["page_loop"], "PageLoop"),
        (["", "page_loop"], "PageLoop"),
        (["foreign_link"], "PageLink"),
        (["other_path"], "PageLink"),
        (["truncated_json"], "ClioAnswer"),
        (["not_json"], "ClioAnswer"),
    ],
)
@MODES
def test_an_answer_that_contradicts_itself_is_refused_by_name(
    firm: Firm,
    troubles: list[str],
    code: str,
    shared_for: timedelta | None,
) -> None:
    matters = firm.matters(shared_for=shared_for)
    firm.company.trouble(*troubles)

    with pytest.raises(IncompleteReadError) as caught:
        firm.read(matters)

    assert caught.value.code == code
    assert balances(firm.read(matters)) == HARBOUR


def test_a_bill_of_another_client_than_the_one_asked_for_is_refused(
    firm: Firm,
) -> None:
    firm.company.trouble("foreign_bill")

    with pytest.raises(IncompleteReadError) as caught:
        firm.read(firm.matters(shared_for=None))

    assert caught.value.code == "ForeignBill"


def test_no_list_has_more_pages_than_were_allowed(firm: Firm) -> None:
    assert balances(firm.read(firm.matters(pages_most=3))) == HARBOUR
    with pytest.raises(IncompleteReadError) as caught:
        firm.read(firm.matters(pages_most=2))

    assert caught.value.code == "TooManyPages"
    assert len(firm.lists) == 5


def test_records_may_count_the_page_instead_of_the_list() -> None:
    with FakeClio(page_size=2, counts_pages=True) as company:
        firm = Firm(company)
        assert balances(firm.read(firm.matters())) == HARBOUR


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data": {}, "meta": {}}',
        b'{"meta": {}}',
        b'{"data": []}',
        b'{"data": [], "meta": []}',
        b'{"data": [], "meta": {"paging": []}}',
        b'{"data": [], "meta": {"records": "5"}}',
        b'{"data": [], "meta": {"records": -1}}',
        b'{"data": [], "meta": {"records": 1.5}}',
        b'{"data": [], "meta": {}, "data": []}',
        b'{"data": [NaN], "meta": {}}',
        b'{"data": [], "meta": {"x": "\xff"}}',
        b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b', "meta": {}}',
    ],
)
def test_what_is_no_page_is_never_an_empty_one(
    firm: Firm, body: bytes
) -> None:
    firm.company.say_next(body)

    with pytest.raises(IncompleteReadError) as caught:
        firm.read(firm.matters())

    assert caught.value.code == "ClioAnswer"


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1:{port}/api/v4/bills?x=1",
        "http://127.0.0.1/api/v4/bills?x=1",
        "http://localhost:{port}/api/v4/bills?x=1",
        "http://user@127.0.0.1:{port}/api/v4/bills?x=1",
        "http://127.0.0.1:{port}@evil.example/api/v4/bills?x=1",
        "http://127.0.0.1:{port}\\@evil.example/api/v4/bills?x=1",
        "http://127.0.0.1:{port}/api/v4/../v4/bills?x=1",
        "http://127.0.0.1:{port}/api/v4/bills/1?x=1",
        "http://127.0.0.1:{port}/api/v4/bills?x=1#y",
        "http://127.0.0.1:{port}/api/v4/bills?x=\u00e4",
        "http://127.0.0.1:{port}/api/v4/bills?x=1 HTTP/1.1",
        "http://127.0.0.1:x/api/v4/bills?x=1",
        "http://[::1/api/v4/bills",
        "//127.0.0.1:{port}/api/v4/bills?x=1",
        "/api/v4/bills?x=1",
        "",
    ],
)
def test_a_link_that_leads_anywhere_else_is_not_followed(link: str) -> None:
    here = Wire("http://127.0.0.1:8080", 1.0)

    found = here.target_of(link.replace("{port}", "8080"), "/api/v4/bills")

    assert found is None


def test_a_link_to_the_same_list_is_followed_with_or_without_json() -> None:
    here = Wire("https://app.clio.com", 1.0)

    for there in "/api/v4/bills", "/api/v4/bills.json":
        link = f"https://APP.clio.com:443{there}?fields=id,client{{id}}"
        assert here.target_of(link, "/api/v4/bills.json") == (
            f"{there}?fields=id,client{{id}}"
        )


# -- Lateness -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "code", "retry_after"),
    [
        ("busy", "ClioBusy", 7),
        ("failing", "ClioFailed", None),
        ("reset", "ClioUnreachable", None),
        ("cut_short", "ClioUnreachable", None),
    ],
)
@MODES
def test_what_is_only_late_is_unavailable(
    firm: Firm,
    trouble: str,
    code: str,
    retry_after: int | None,
    shared_for: timedelta | None,
) -> None:
    matters = firm.matters(shared_for=shared_for)
    firm.company.trouble(trouble)

    with pytest.raises(PortUnavailableError) as caught:
        firm.read(matters)

    assert (caught.value.code, caught.value.retry_after) == (code, retry_after)
    assert len(firm.lists) == 1
    firm.clock.advance(seconds=7)
    assert balances(firm.read(matters)) == HARBOUR


def test_nothing_is_sent_before_the_time_that_was_asked_for(
    firm: Firm,
) -> None:
    matters = firm.matters(shared_for=None)
    firm.company.trouble("busy")
    for left in 7, 6, 1:
        with pytest.raises(PortUnavailableError) as caught:
            firm.read(matters)
        assert caught.value.retry_after == left
        firm.clock.advance(seconds=1 if left == 7 else left - 1)
    assert len(firm.lists) == 1

    firm.clock.advance(seconds=1)
    assert balances(firm.read(matters)) == HARBOUR


def test_a_server_that_never_answers_is_left_alone_for_a_minute(
    firm: Firm,
) -> None:
    matters = firm.matters(timeout_seconds=0.5)
    firm.company.trouble("hang")
    for code in "ClioUnreachable", "ClioBusy":
        with pytest.raises(PortUnavailableError) as caught:
            firm.read(matters)
        assert caught.value.code == code
    assert len(firm.lists) == 1

    firm.clock.advance(minutes=1)
    # Generous now: this machine may be busy.
    matters = firm.matters()
    assert balances(firm.read(matters)) == HARBOUR


def test_an_answer_that_drips_is_ended_in_time(firm: Firm) -> None:
    firm.company.drip_seconds = 0.1
    with pytest.raises(PortUnavailableError) as caught:
        firm.read(firm.matters(timeout_seconds=0.5))

    assert caught.value.code == "ClioUnreachable"
    firm.company.drip_seconds = 0.0


def test_an_answer_of_any_size_is_not_read(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "BODY_MAX", 1_000_000)
    firm.company.say_next(b" " * 1_100_000)
    with pytest.raises(PortUnavailableError) as caught:
        firm.read(firm.matters())

    assert caught.value.code == "ClioUnreachable"


def test_no_token_goes_over_a_line_that_is_not_protected(firm: Firm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[bytes] = []

        def listen() -> None:
            line, _ = server.accept()
            with line:
                heard.append(line.recv(65_536))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        base = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(PortUnavailableError) as caught:
            firm.read(firm.matters(base=base))
        listener.join(10)

    assert caught.value.code == "ClioUnreachable"
    [first] = heard
    assert first[0] == 0x16, "no handshake of TLS"
    assert firm.company.tokens[0].encode() not in first
    context = Wire("https://app.clio.com", 1.0)._context
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_company_that_cannot_be_reached_is_unavailable(firm: Firm) -> None:
    matters = firm.matters()
    with firm.company.offline(), pytest.raises(PortUnavailableError) as caught:
        firm.read(matters)

    assert caught.value.code == "ClioUnreachable"
    assert balances(firm.read(matters)) == HARBOUR


@pytest.mark.parametrize("trouble", ["forbidden", "redirected"])
def test_what_is_refused_is_said_by_name_and_no_redirect_is_followed(
    firm: Firm, trouble: str
) -> None:
    firm.company.trouble(trouble)
    with pytest.raises(PortError) as caught:
        firm.read(firm.matters())

    assert caught.value.code == "ClioRefused"
    assert not isinstance(caught.value, PortUnavailableError)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999999", 3600),
        ("-1", None),
        ("Fri, 27 Nov 2026 04:00:00 GMT", None),
        ("\u0667", None),
        ("", None),
    ],
)
def test_a_time_to_wait_is_seconds_and_at_most_an_hour(
    header: str, seconds: int | None
) -> None:
    assert wire._seconds(header) == seconds


# -- One pass for everybody ---------------------------------------------------


def test_a_pass_serves_all_clients_until_it_is_too_old(firm: Firm) -> None:
    matters = firm.matters(shared_for=timedelta(minutes=15))
    begun = firm.clock()
    first = firm.read(matters)
    firm.company.pay("1045", usd("2.05"))
    firm.clock.advance(minutes=14, seconds=59)
    second = firm.read(matters, firm.bakers)

    assert len(firm.lists) == 3
    assert first.stated_at == second.stated_at == begun
    assert balances(second)["1045"] == "USD 7.05"

    firm.clock.advance(seconds=1)
    third = firm.read(matters, firm.bakers)
    assert third.stated_at == firm.clock()
    assert balances(third)["1045"] == "USD 5.00"


def test_balances_hold_for_the_moment_before_the_first_request(
    firm: Firm,
) -> None:
    begun = firm.clock()
    firm.company.pages_read = lambda _: firm.clock.advance(seconds=20)
    for shared_for in timedelta(minutes=15), None:
        assert firm.read(firm.matters(shared_for=shared_for)).stated_at == (
            begun
        )
        begun = firm.clock()


def test_a_pass_that_was_interrupted_goes_on_where_it_was(
    firm: Firm,
) -> None:
    matters = firm.matters()
    begun = firm.clock()
    firm.company.trouble("", "busy")
    with pytest.raises(PortUnavailableError):
        firm.read(matters)
    firm.clock.advance(seconds=7)

    page = firm.read(matters)

    assert balances(page) == HARBOUR
    assert page.stated_at == begun
    assert ["page_token" in each for each in firm.lists] == [
        False,
        True,
        True,
        True,
    ]


def test_a_pass_that_was_interrupted_for_too_long_begins_again(
    firm: Firm,
) -> None:
    matters = firm.matters(shared_for=timedelta(minutes=15))
    firm.company.trouble("", "busy")
    with pytest.raises(PortUnavailableError):
        firm.read(matters)
    firm.clock.advance(minutes=15)

    page = firm.read(matters)

    assert page.stated_at == firm.clock()
    assert balances(page) == HARBOUR
    assert len(firm.lists) == 5


def test_a_clock_that_is_set_back_makes_a_new_pass(firm: Firm) -> None:
    matters = firm.matters()
    firm.read(matters)
    firm.clock.advance(hours=-1)

    assert firm.read(matters).stated_at == firm.clock()


def test_threads_that_ask_at_once_share_one_pass(firm: Firm) -> None:
    matters = firm.matters()
    with ThreadPoolExecutor(8) as pool:
        pages = list(
            pool.map(
                lambda place: firm.read(
                    matters, firm.bakers if place % 2 else None
                ),
                range(16),
            )
        )

    assert len(firm.lists) == 3
    assert all(balances(each) == HARBOUR for each in pages[::2])


def test_client_by_client_each_read_is_of_now(firm: Firm) -> None:
    matters = firm.matters(shared_for=None)
    firm.read(matters)
    firm.company.pay("1042", usd("10.00"))
    firm.clock.advance(seconds=1)

    page = firm.read(matters)

    assert balances(page)["1042"] == "USD 300.00"
    assert page.stated_at == firm.clock()
    assert all(f"client_id={firm.harbour}" in each for each in firm.lists)


@pytest.mark.parametrize("number", ["*", "7%", "007", "x", "7 OR 1=1", "-7"])
@MODES
def test_what_is_not_an_id_is_nobodys(
    firm: Firm, number: str, shared_for: timedelta | None
) -> None:
    page = firm.read(firm.matters(shared_for=shared_for), number)

    assert page.invoices == ()
    assert page.unreadable == ()
    assert shared_for or not firm.lists


# -- Tokens -------------------------------------------------------------------


def test_an_expired_token_is_renewed_once_and_handed_to_the_host(
    firm: Firm,
) -> None:
    matters = firm.matters()
    firm.company.expire()

    assert balances(firm.read(matters)) == HARBOUR
    assert firm.kept[-1] == ClioTokens(*firm.company.tokens)
    assert len(firm.kept) == 2
    assert firm.company.requests.count("/oauth/token") == 1


def test_a_refresh_token_that_is_exchanged_is_kept_too() -> None:
    with FakeClio(rotates=True) as company:
        firm = Firm(company)
        matters = firm.matters()
        for _ in range(3):
            company.expire()
            firm.clock.advance(hours=1)
            assert balances(firm.read(matters)) == HARBOUR
            assert firm.kept[-1].reveal() == company.tokens
        assert len({each.reveal() for each in firm.kept}) == 4


def test_tokens_that_expire_between_two_pages_are_renewed(firm: Firm) -> None:
    firm.company.trouble("", "expired")

    assert balances(firm.read(firm.matters())) == HARBOUR


def test_threads_that_meet_an_expired_token_renew_it_once(firm: Firm) -> None:
    matters = firm.matters(shared_for=None)
    firm.company.expire()
    gate = threading.Barrier(4)

    def ask(_: int) -> dict[str, str]:
        gate.wait(10)
        return balances(firm.read(matters))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [HARBOUR] * 4
    assert firm.company.requests.count("/oauth/token") == 1


def test_a_refused_refresh_is_said_by_name_and_not_tried_for_everybody(
    firm: Firm,
) -> None:
    matters = firm.matters()
    firm.company.trouble("refresh_refused")
    for _ in range(5):
        with pytest.raises(PortError) as caught:
            firm.read(matters)
        assert caught.value.code == "ClioLogin"
        assert not isinstance(caught.value, PortUnavailableError)
    assert firm.company.requests.count("/oauth/token") == 1
    assert len(firm.lists) == 1

    firm.kept.append(ClioTokens(*firm.company.authorize()))
    assert balances(firm.read(firm.matters())) == HARBOUR


def test_a_new_token_that_is_not_taken_either_is_the_end(firm: Firm) -> None:
    matters = firm.matters()
    firm.company.trouble("expired", "expired")

    with pytest.raises(PortError) as caught:
        firm.read(matters)

    assert caught.value.code == "ClioLogin"
    assert firm.company.requests.count("/oauth/token") == 1
    firm.clock.advance(minutes=1)
    assert balances(firm.read(matters)) == HARBOUR


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 200, "ClioLogin"),
        (b"<html>", 200, "ClioLogin"),
        (b'{"access_token": 7}', 200, "ClioLogin"),
        (b'{"access_token": "a\\r\\nX: y"}', 200, "ClioLogin"),
        (b'{"access_token": "a", "refresh_token": ""}', 200, "ClioLogin"),
        (b'{"error": "invalid_grant"}', 401, "ClioLogin"),
        (b"", 500, "ClioFailed"),
        (b"", 429, "ClioBusy"),
    ],
)
def test_an_answer_without_a_token_gives_none(
    firm: Firm, body: bytes, status: int, code: str
) -> None:
    firm.company.expire()
    firm.company.say_next(body, status=status, token=True)
    with pytest.raises(PortError) as caught:
        firm.read(firm.matters())

    assert caught.value.code == code
    assert len(firm.kept) == 1
    assert_hidden(caught.value, *firm.company.tokens, *firm.company.app)
    assert_hidden(caught.value, firm.kept[0].reveal()[0])


def test_nothing_is_asked_until_the_host_has_kept_the_new_tokens(
    firm: Firm,
) -> None:
    kept: list[ClioTokens] = []
    is_full = True

    def save(tokens: ClioTokens) -> None:
        if is_full:
            raise OSError("disk full", tokens.reveal())
        kept.append(tokens)

    matters = firm.matters(save=save)
    firm.company.expire()
    for _ in range(2):
        with pytest.raises(PortError) as caught:
            firm.read(matters)
        assert caught.value.code == "TokensNotSaved"
        assert_hidden(caught.value, *firm.company.tokens)
    assert len(firm.lists) == 1

    is_full = False
    assert balances(firm.read(matters)) == HARBOUR
    assert [each.reveal() for each in kept] == [firm.company.tokens]
    assert firm.company.requests.count("/oauth/token") == 1


SECRETS = ("hush-access", "hush-refresh", "hush-key", "hush-secret")


def assert_hidden(error: BaseException, *secrets: str) -> None:
    """No secret in an error, what it hangs together with, or its frames."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and each not in seen:
            seen.append(each)
            todo += each.__cause__, each.__context__
    assert seen == [error], "it carries another error along"
    told = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    text = "".join(
        [
            repr(error),
            str(error),
            str(vars(error)),
            repr(pickle.dumps(error)),
            *(
                f"{frame} {frame.locals}"
                for frame in told.stack
                if "adapters/clio" in frame.filename
            ),
        ]
    )
    for secret in secrets:
        assert secret not in text


@pytest.mark.parametrize(
    "trouble", [each for each in TROUBLES if each != "hang"]
)
@MODES
def test_e3_no_trouble_shows_a_token(
    firm: Firm, trouble: str, shared_for: timedelta | None
) -> None:
    matters = firm.matters(shared_for=shared_for)
    secrets = (*firm.company.tokens, *firm.company.app)
    firm.company.trouble(trouble, trouble)
    try:
        page = firm.read(matters)
    except PortError as error:
        assert_hidden(error, *secrets, *firm.company.tokens)
    else:
        text = repr(page)
        assert not any(each in text for each in secrets)


@pytest.mark.parametrize("make", [ClioTokens, ClioApp])
def test_e3_what_opens_the_account_shows_nowhere(
    firm: Firm, make: type[Any]
) -> None:
    pair = make("hush-access", "hush-refresh")
    matters = ClioMatterData(
        ClioTokens("hush-access", "hush-refresh"),
        app=ClioApp("hush-key", "hush-secret"),
        save=lambda _: None,
        currency="USD",
    )
    for thing in pair, matters, matters._asking:
        for text in repr(thing), str(thing), f"{[thing]}", f"{thing!r:>80}":
            assert "hush" not in text
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    for write in copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="a secret is not written"):
            write(pair)
    assert "hush" not in repr(Answer(status=200, body=b"hush"))
    assert "hush" not in str(vars(matters))
    assert "hush" not in str(vars(matters._asking))
    assert pair == make("hush-access", "hush-refresh")
    assert pair != make("hush-access", "other")
    assert pair != "hush-access"
    assert hash(pair) == hash(make("x", "y"))
    assert pair.reveal() == ("hush-access", "hush-refresh")


@pytest.mark.parametrize(
    "wrong", ["", "hush a", "hush\r\nX: y", "hush\u00e4", "h" * 4097, b"hush"]
)
@pytest.mark.parametrize("make", [ClioTokens, ClioApp])
def test_e3_what_is_no_token_is_refused_and_not_shown(
    wrong: Any, make: type[Any]
) -> None:
    for given_ in ("hush-1", wrong), (wrong, "hush-2"):
        with pytest.raises(InvalidValueError) as caught:
            make(*given_)
        assert caught.value.code == "ClioTokens"
        assert_hidden(caught.value, "hush", "h" * 50)


# -- The set-up ---------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        "http://app.clio.com",
        "http://127.0.0.1.evil.example",
        "https://",
        "app.clio.com",
        "https://app.clio.com/api/v4",
        "https://user:secret@app.clio.com",
        "https://app.clio.com?x=1",
        "https://app.clio.com#x",
        "https://app.clio.com\r\n",
        "ftp://app.clio.com",
        "",
        None,
    ],
)
def test_tokens_go_over_https_or_stay_on_this_machine(
    firm: Firm, base: Any
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        firm.matters(base=base)

    assert caught.value.code == "ClioAddress"


@pytest.mark.parametrize(
    "base",
    [
        "https://app.clio.com",
        "https://eu.app.clio.com/",
        "https://ca.app.clio.com:443",
        "http://localhost:1",
        "http://[::1]:1",
    ],
)
def test_each_region_has_its_own_address(firm: Firm, base: str) -> None:
    firm.matters(base=base)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"currency": "XXX"}, "CurrencyUnknown"),
        ({"pages_most": 0}, "OutOfRange"),
        ({"timeout_seconds": 0}, "OutOfRange"),
        ({"timeout_seconds": float("nan")}, "OutOfRange"),
        ({"shared_for": timedelta(seconds=-1)}, "OutOfRange"),
        ({"shared_for": timedelta(days=2)}, "OutOfRange"),
        ({"app": ("key", "secret")}, "FieldType"),
    ],
)
def test_a_set_up_that_cannot_be_is_refused(
    firm: Firm, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        firm.matters(**more)

    assert caught.value.code == code


# -- Search -------------------------------------------------------------------


def test_a_search_goes_over_all_pages_and_a_foreign_page_is_refused(
    firm: Firm,
) -> None:
    matters = firm.matters()
    query = ap.SearchQuery(by=ap.SearchBy.MATTER_DESCRIPTION, text="e")
    found: list[str | None] = []
    while True:
        page = matters.search(query)
        found += [each.matter for each in page.results]
        if page.next_page is None:
            break
        query = attrs.evolve(query, page=page.next_page)

    assert found == ["00001-Harbour", "00002-Harbour"]
    for wrong in "2", "x:y", "-1:y", "500:y", "1:y z", "1:\u00e4", "\u0661:y":
        with pytest.raises(InvalidValueError) as caught:
            matters.search(attrs.evolve(query, page=wrong))
        assert caught.value.code == "PageFormat"


def test_search_pages_that_never_end_come_to_an_end(firm: Firm) -> None:
    matters = firm.matters(pages_most=3)
    query = ap.SearchQuery(by=ap.SearchBy.MATTER_NUMBER, text="0000")
    for place in range(2):
        link = f"{firm.company.url}/api/v4/matters?page_token={place}"
        paging = f'{{"paging": {{"next": "{link}"}}}}'
        firm.company.say_next(f'{{"data": [], "meta": {paging}}}'.encode())
        page = matters.search(query)
        assert page.next_page == f"{place + 1}:page_token={place}"
        query = attrs.evolve(query, page=page.next_page)
    link = f"{firm.company.url}/api/v4/matters?page_token=2"
    paging = f'{{"paging": {{"next": "{link}"}}}}'
    firm.company.say_next(f'{{"data": [], "meta": {paging}}}'.encode())

    with pytest.raises(IncompleteReadError) as caught:
        matters.search(query)

    assert caught.value.code == "TooManyPages"


def test_a_bill_is_found_by_its_number_unless_it_is_a_draft(
    firm: Firm,
) -> None:
    matters = firm.matters()
    for state, expected in ("awaiting_payment", 1), ("draft", 0):
        firm.company.find("1044").state = state
        query = ap.SearchQuery(by=ap.SearchBy.INVOICE_NUMBER, text="1044")
        found = matters.search(query).results
        assert len(found) == expected
        for each in found:
            assert (each.client, each.client_name, each.matter) == (
                firm.harbour,
                "Harbour Foods",
                "00002-Harbour",
            )


def test_a_row_that_cannot_be_read_is_not_found(firm: Firm) -> None:
    firm.company.say_next(
        b'{"data": [null, {"id": "7", "name": "A"}, {"id": 8, "name": 9},'
        b' {"id": 9, "name": "Acme 4111 1111 1111 1111"}], "meta": {}}'
    )
    query = ap.SearchQuery(by=ap.SearchBy.CLIENT_NAME, text="acme")

    [found] = firm.matters().search(query).results

    assert (found.client, found.client_name) == ("9", "Acme \u2026")


# -- The make-believe company -------------------------------------------------


def test_the_company_ends_by_itself() -> None:
    company = FakeClio(idle_seconds=0.1)
    for _ in range(500):
        if not company.is_running:
            break
        threading.Event().wait(0.02)
    assert not company.is_running


def test_the_company_refuses_what_the_description_does_not_know() -> None:
    with FakeClio() as company:
        way = Wire(company.url, 10.0)
        bearer = {"Authorization": f"Bearer {company.tokens[0]}"}
        for target in (
            "/api/v4/bills?fields=id,colour",
            "/api/v4/bills?fields=client{colour}",
            "/api/v4/bills?colour=red",
            "/api/v4/bills?limit=201",
            "/api/v4/invoices?fields=id",
        ):
            answer = way.send("GET", target, bearer)
            assert getattr(answer, "status", 0) in {400, 404}, target
        assert len(company.complaints) == 5
        with pytest.raises(ValueError, match="nonsense"):
            company.trouble("nonsense")


def test_numbers_of_json_stay_as_they_are_written() -> None:
    found = parsed(b'{"a": 0.10, "b": 12345678901234567890123, "c": "0.10"}')

    assert found == {
        "a": "0.10",
        "b": "12345678901234567890123",
        "c": "0.10",
    }
    assert found is not None
    assert [type(each) for each in found.values()] == [Number, Number, str]


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "id": Number("1"),
        "number": "1042",
        "issued_at": "2026-01-05",
        "due_at": None,
        "balance": Number("310.0"),
        "total": None,
        "state": "awaiting_payment",
        "kind": "revenue_kind",
        "currency": {"id": Number("1"), "code": "USD"},
        "client": {"id": Number("7")},
        "matters": [_MATTER],
        **changes,
    }


def _page(*rows: object) -> Page:
    return Page(rows=rows, records=None)
