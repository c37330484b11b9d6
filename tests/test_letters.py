"""What payers get to read (N5): letters, receipts, statements."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.calls import receive
from autopay_core.charges import ChargeLine
from autopay_core.errors import InvalidValueError
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.movements import Movement, MovementKind
from autopay_core.notices import Audience, Notice, NoticeKind
from autopay_core.show.letters import (
    WORDS,
    Letter,
    Section,
    digests,
    letter,
    receipt,
    statement,
)
from worlds import CARD, DAY, FEBRUARY, World, bill, standing_order, usd

if TYPE_CHECKING:
    from autopay_core.runs import RunRecord

NASTY = "<b>&\"'$name \u202e\x00\r\nBcc: x</b>"


def notice(kind: NoticeKind = NoticeKind.PAID, **changes: Any) -> Notice:
    fields: dict[str, Any] = {
        "key": "n-1",
        "kind": kind,
        "payer": "p1",
        "autopay": "ap-1",
        "name": "Harbour Foods",
        "on": DAY,
        "amount": usd("150.00"),
        "method": "visa …4242",
        "reference": "pay-1",
        "left": usd("20.00"),
        "next_on": FEBRUARY,
        "detail": "One invoice was paid.",
        "reason": "Paid",
        "lines": (
            ChargeLine(invoice="INV-1", amount=usd("120.00")),
            ChargeLine(invoice="INV-2", amount=usd("30.00")),
        ),
    }
    return Notice(**{**fields, **changes})


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


# -- Letters ------------------------------------------------------------------


def test_n5_a_payer_reads_sentences_and_what_each_invoice_gets() -> None:
    said = letter(notice(NoticeKind.PAID_IN_PART))

    assert said.subject == "AutoPay paid in part: Harbour Foods"
    assert said.text.splitlines()[:4] == [
        "We took USD 150.00 from visa …4242 on 2026-01-31 for Harbour Foods.",
        "USD 20.00 is still owed.",
        "The next payment date is 2026-02-28.",
        "The payment reference is pay-1.",
    ]
    assert said.text.splitlines()[5:] == [
        "Invoice      Amount",
        "-------  ----------",
        "INV-1    USD 120.00",
        "INV-2     USD 30.00",
        "-------  ----------",
        "Total    USD 150.00",
    ]
    assert str(said) == f"{said.subject}\n\n{said.text}"


def test_n5_a_sentence_whose_facts_are_not_known_is_left_out() -> None:
    told = notice(next_on=None, reference="", lines=())

    assert letter(told).text.splitlines() == [
        "We took USD 150.00 from visa …4242 on 2026-01-31 for Harbour Foods.",
        "USD 20.00 is still owed.",
    ]
    nothing = attrs.evolve(told, left=usd("0.00"), method="")
    assert letter(nothing).text == ""


def test_n5_the_firm_reads_every_fact_besides() -> None:
    told = notice(
        NoticeKind.FAILED,
        reason="Declined",
        link="https://pay.example/1",
    )

    firm, payer = letter(told, Audience.FIRM), letter(told, Audience.PAYER)

    assert "Reason" in firm.text
    assert "Declined" in firm.text
    assert "Harbour Foods (ap-1)" in firm.text
    assert "Declined" not in payer.text
    assert "p1" not in payer.text.split()
    # Who acts at the link is the payer.
    assert "pay.example" not in firm.text + firm.html()
    assert Page(payer.html()).links == ["https://pay.example/1"]
    assert "https://pay.example/1" in payer.text


def test_n5_there_are_words_for_all_that_a_payer_is_told() -> None:
    """What goes to the firm alone is told by its detail."""
    for_payers = {each for each in NoticeKind if not each.is_for_firm}

    assert set(WORDS) == for_payers - {NoticeKind.GONE}
    said = letter(notice(NoticeKind.GONE, lines=()))
    assert said.text == "One invoice was paid."


@pytest.mark.parametrize("kind", list(NoticeKind))
@pytest.mark.parametrize("audience", list(Audience))
def test_n5_every_kind_says_something(
    kind: NoticeKind, audience: Audience
) -> None:
    said = letter(notice(kind, name=""), audience)

    assert said.text.strip()
    assert said.subject == f"{kind.title}: ap-1"
    assert "$" not in said.text.replace("US$", "")


def test_n5_a_host_has_words_of_its_own() -> None:
    words = {NoticeKind.PAID: ("Bezahlt: $amount.", "$$ $left")}

    assert letter(notice(lines=()), words=words).text == (
        "Bezahlt: USD 150.00.\n$ USD 20.00"
    )


@pytest.mark.parametrize(
    ("sentence", "value"),
    [("$amuont", "'amuont'"), ("5 $ more", None), ("${on", None)],
)
def test_n5_words_that_no_fact_fills_are_refused(
    sentence: str, value: str | None
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        letter(notice(), words={NoticeKind.PAID: (sentence,)})

    assert (caught.value.code, caught.value.path) == (
        "TemplateFormat",
        "words",
    )
    assert value is None or value in str(caught.value)


# -- Pages --------------------------------------------------------------------


def test_a_page_is_whole_and_says_what_the_text_says() -> None:
    said = letter(notice())
    page = Page(said.html())

    assert page.open == []
    assert page.tags[:2] == ["html", "head"]
    words = " ".join("".join(page.texts).split())
    for line in said.text.splitlines()[:2]:
        assert line in words
    assert page.texts.count(said.subject) == 2


def test_a_host_has_a_page_of_its_own() -> None:
    html = letter(notice()).html("<h1>Firm & Co</h1>$$1 $title|$body")

    assert html.startswith("<h1>Firm & Co</h1>$1 AutoPay paid: Harbour Foods|")


@pytest.mark.parametrize(
    "page", ["", "$title", "$body", "$title $body $other", "$ $title $body"]
)
def test_a_page_without_its_places_is_refused(page: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        letter(notice()).html(page)

    assert (caught.value.code, caught.value.path) == ("TemplateFormat", "page")


_TEXTS = st.text("<>&\"'${}a\u202e\x00\n ", max_size=40) | st.text(max_size=40)


@given(heading=_TEXTS, paragraph=_TEXTS, subject=_TEXTS)
def test_every_text_is_data(
    heading: str, paragraph: str, subject: str
) -> None:
    said = Letter(
        subject=subject,
        sections=(Section(heading=heading, paragraphs=(paragraph,)),),
    )

    plain = Letter(subject="s", sections=(Section(paragraphs=("p",)),))
    tags = Page(plain.html()).tags + (["h2"] if heading else [])
    assert sorted(Page(said.html()).tags) == sorted(tags)
    shown = said.html() + str(said)
    assert not set(shown) & {"\u202e", "\x00", "\r"}


def test_a_name_is_no_template() -> None:
    said = letter(notice(name="$left & <b>", lines=()))

    assert "for $left & <b>." in said.text
    assert "for $left &amp; &lt;b&gt;." in said.html()
    assert "$left" in said._repr_html_()


# -- Digests ------------------------------------------------------------------


def test_n5_each_receiver_gets_one_letter() -> None:
    told = [
        notice(),
        notice(NoticeKind.FAILED, key="n-2", reason="Declined"),
        notice(NoticeKind.PAID, key="n-3", payer="p2"),
        notice(NoticeKind.NEEDS_REVIEW, key="n-4"),
    ]

    def receiver(of: Notice, audience: Audience) -> str | None:
        if audience is Audience.FIRM:
            return "firm"
        return of.payer if of.payer == "p1" else None

    found = digests(told, receiver)

    assert set(found) == {"p1", "firm"}
    assert found["p1"].subject == "AutoPay: 2 messages"
    assert [each.heading for each in found["p1"].sections] == [
        "AutoPay paid: Harbour Foods",
        "Error-Failed AutoPay: Harbour Foods",
    ]
    assert "Reason" in found["firm"].text
    assert "Reason" not in found["p1"].text


def test_n5_a_single_message_is_no_digest() -> None:
    assert digests([notice()], lambda *_: "x") == {"x": letter(notice())}


# -- Receipts -----------------------------------------------------------------


def paid(world: World) -> RunRecord:
    world.run(standing_order(name="Harbour Foods"))
    return world.record


def moved(world: World, event: str, kind: MovementKind, amount: str) -> None:
    receive(
        Movement(
            id=event,
            kind=kind,
            amount=usd(amount),
            on=FEBRUARY,
            reference="pay-000001",
        ),
        ports=world.ports,
    )


def test_n5_a_receipt_says_what_was_taken_for_what() -> None:
    world = World(bill("INV-1", "120.00"), bill("INV-2", "50.00"))

    said = receipt(paid(world))

    assert said.subject == "Receipt: USD 170.00 on 2026-01-31"
    assert (
        f"USD 170.00 was taken from {CARD.described} on 2026-01-31 for "
        "Harbour Foods."
    ) in said.text
    assert re.search(r"INV-2 +USD 50\.00", said.text)
    assert re.search(r"Total +USD 170\.00", said.text)
    assert "pay-000001" in said.text
    assert CARD.token not in said.html() + said.text + repr(said)


def test_n5_a_receipt_says_what_went_back() -> None:
    world = World(bill("INV-1", "120.00"))
    paid(world)
    moved(world, "m-1", MovementKind.REFUNDED, "20.00")

    said = receipt(world.record)

    assert "With what went back or came again, USD 100.00 of it remains." in (
        said.text
    )
    assert re.search(r"2026-02-28 +Refunded +USD -20\.00", said.text)


def test_n5_what_took_nothing_has_no_receipt() -> None:
    world = World(bill("INV-1", "120.00"))
    world.gateway.decline(CARD.token)
    world.run(standing_order())

    with pytest.raises(InvalidValueError) as caught:
        receipt(world.record)

    assert caught.value.code == "NotCaptured"


# -- Statements ---------------------------------------------------------------


def of_world(world: World, **changes: Any) -> Letter:
    fields: dict[str, Any] = {
        "payer": "p1",
        "from_on": DAY,
        "through": FEBRUARY,
    }
    return statement(world.store.runs(), **{**fields, **changes})


def test_n5_a_statement_adds_up_what_moved_in_some_time() -> None:
    world = World(bill("INV-1", "120.00"))
    paid(world)
    moved(world, "m-1", MovementKind.REFUNDED, "20.00")

    said = of_world(world)

    assert said.subject == "Statement from 2026-01-31 to 2026-02-28"
    assert [re.split(r"  +", line) for line in said.text.splitlines()[4:]] == [
        [
            *("2026-01-31", "Payment", "Harbour Foods", "INV-1"),
            *("pay-000001", "USD 120.00"),
        ],
        [
            *("2026-02-28", "Refunded", "Harbour Foods", "INV-1"),
            *("pay-000001", "USD -20.00"),
        ],
        [
            *("----------", "--------", "-------------", "--------"),
            *("----------", "----------"),
        ],
        ["Total", "USD 100.00"],
    ]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, 2),
        ({"through": date(2026, 2, 27)}, 1),
        ({"from_on": date(2026, 2, 1)}, 1),
        ({"from_on": date(2026, 3, 1), "through": date(2026, 3, 1)}, 0),
        ({"payer": "p2"}, 0),
    ],
)
def test_n5_a_statement_has_what_is_of_its_payer_and_its_time(
    changes: dict[str, Any], lines: int
) -> None:
    world = World(bill("INV-1", "120.00"))
    paid(world)
    moved(world, "m-1", MovementKind.REFUNDED, "20.00")

    said = of_world(world, **changes)

    assert said.text.count("pay-000001") == lines
    assert ("took nothing" in said.text) == (lines == 0)


def test_n5_a_statement_adds_up_each_currency_by_itself() -> None:
    world = World(bill("INV-1", "120.00"))
    record = paid(world)
    euros = World(
        attrs.evolve(bill("INV-1", "0.00"), balance=Money.of("9.00", "EUR"))
    )
    euros.run(standing_order(id="ap-2", limit=Limit.all("EUR")))

    said = statement(
        [*euros.store.runs(), record],
        payer="p1",
        from_on=DAY,
        through=FEBRUARY,
    )

    assert [each.footer[-1] for each in said.sections[0].tables] == [
        "EUR 9.00",
        "USD 120.00",
    ]


def test_n5_a_statement_of_no_time_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        of_world(World(), through=date(2026, 1, 30))

    assert caught.value.code == "DatesOrder"


# -- E3 -----------------------------------------------------------------------


def test_e3_an_id_that_looks_like_a_card_number_is_masked_for_payers() -> None:
    number = "4111111111111111"
    world = World(bill(number, "120.00"))
    record = paid(world)
    told = notice(
        NoticeKind.PAID,
        reference=number,
        lines=(ChargeLine(invoice=number, amount=usd("120.00")),),
    )

    for said in (letter(told), receipt(record), of_world(world)):
        assert number not in said.text + said.html()
    # The firm works with what its ledger calls it.
    assert number in letter(told, Audience.FIRM).text
