"""What comes from outside: exact, visible, masked, in linear time (E2, E3)."""

from __future__ import annotations

import enum
import json
import pickle
import re
from collections import UserString
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple, NoReturn

import attrs
import pytest
from hypothesis import example, given, strategies as st

import strategies as my
from autopay_core import money as money_module
from autopay_core._checks import (
    _HIDDEN,
    StoredText,
    clean_text,
    masked_text,
    plainly,
    report_text,
    stored,
)
from autopay_core.allocation import allocate
from autopay_core.associations import (
    Association,
    covered,
    split_covered,
    split_unreadable,
    visible,
)
from autopay_core.autopay import AutoPay, Enrollment
from autopay_core.charges import (
    Captured,
    Declined,
    IdempotencyKey,
    Indeterminate,
    idempotency_key,
)
from autopay_core.errors import (
    FormatError,
    InvalidValueError,
    safe_text,
)
from autopay_core.invoices import Invoice, SearchResult, UnreadableRow
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.references import (
    DepositAccount,
    PaymentMethodRef,
    RunKey,
    Secret,
)
from autopay_core.runs import RunRecord, RunState
from autopay_core.schedules import Schedule
from autopay_core.serialization import dumps, loads
from autopay_core.serialization.reading import _distinct
from steps import growth

CARD = "4111 1111 1111 1111"
USD_9 = Money.of("9", "USD")


class Text(str):
    """Text that shows itself otherwise than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return "somebody else"

    def __repr__(self) -> str:
        return "somebody else"

    def __format__(self, _: str) -> str:
        return "somebody else"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7


class Choice(str, enum.Enum):  # noqa: UP042 - the older form is meant
    AP_1 = "ap-1"
    USD = "USD"


class Day(date):
    def isoformat(self) -> str:
        return "1999-01-01"

    @property
    def year(self) -> NoReturn:
        raise AssertionError


class Moment(datetime):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "1999-01-01T00:00:00"


class Pair(NamedTuple):
    one: Association


def invoice(**fields: Any) -> Invoice:
    usual: dict[str, Any] = {
        "number": "INV-1",
        "client": "C-1",
        "matter": "M-1",
        "issued_on": date(2026, 1, 5),
        "balance": USD_9,
    }
    return Invoice(**(usual | fields))


def autopay(**fields: Any) -> AutoPay:
    usual: dict[str, Any] = {
        "id": "ap-1",
        "payer": "p-1",
        "name": "Acme",
        "method": PaymentMethodRef(provider="acme", token="tok_8f2k41zzqx"),
        "deposit_account": DepositAccount(id="op-1"),
        "schedule": Schedule.monthly(date(2026, 1, 31)),
        "limit": Limit.all("USD"),
        "enrollments": (),
    }
    return AutoPay(**(usual | fields))


def refusal(action: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidValueError) as caught:
        action(**fields)
    return caught.value.code, caught.value.path


# -- Types are exact ---------------------------------------------------------


def test_e2_a_subclass_of_text_is_kept_as_plain_text() -> None:
    made = invoice(number=Text("INV-1"))

    assert type(made.number) is str
    assert made.number == "INV-1"
    assert repr(made) == repr(invoice())
    assert type(autopay(id=Choice.AP_1).id) is str
    assert type(autopay(name=Text("Acme")).name) is str
    key = RunKey(autopay=Choice.AP_1, nominal_on=date(2026, 1, 31))
    assert str(key) == "ap-1/2026-01-31"


def test_r2_equal_ids_make_one_idempotency_key() -> None:
    keys: set[IdempotencyKey] = {
        idempotency_key(
            Secret(b"s" * 32),
            RunKey(autopay=each, nominal_on=date(2026, 1, 31)),
            1,
        )
        for each in ("ap-1", Choice.AP_1, Text("ap-1"), StoredText("ap-1"))
    }

    assert len(keys) == 1


def test_e2_what_was_captured_is_recorded_whatever_its_types() -> None:
    outcome = Captured(key=Text("k"), amount=USD_9, reference=Text("ch_1"))

    assert (type(outcome.key), type(outcome.reference)) == (str, str)
    assert outcome == Captured(key="k", amount=USD_9, reference="ch_1")


@pytest.mark.parametrize(
    "zone",
    [UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))],
)
def test_s13_a_date_or_instant_of_another_library_becomes_a_plain_one(
    zone: timezone,
) -> None:
    made = invoice(issued_on=Day(2026, 1, 5))
    instant = plainly(Moment(2026, 1, 31, 12, 30, tzinfo=zone))

    assert type(made.issued_on) is date
    assert made == invoice()
    assert type(instant) is datetime
    assert instant == datetime(2026, 1, 31, 12, 30, tzinfo=zone)
    assert instant.isoformat() == (
        datetime(2026, 1, 31, 12, 30, tzinfo=zone).isoformat()
    )
    assert plainly(Moment(2026, 1, 31)) == datetime(2026, 1, 31)  # noqa: DTZ001


def test_s13_pendulums_dates_and_instants_become_plain_ones() -> None:
    pendulum = pytest.importorskip("pendulum")
    at = pendulum.datetime(2026, 3, 8, 2, 30, tz="America/New_York")

    made = invoice(issued_on=pendulum.date(2026, 1, 5))

    assert made == invoice()
    assert repr(made) == repr(invoice())
    assert type(plainly(at)) is datetime
    assert plainly(at) == at
    assert plainly(at).utcoffset() == at.utcoffset()


def test_s13_dates_in_a_tuple_or_a_set_become_plain_ones() -> None:
    tie = Association.to_client(payer="p-1", client="C-1")
    renewed = Enrollment(association=tie, renewals=(Day(2027, 1, 31),))
    made = autopay(
        skips=frozenset({Day(2026, 2, 28), date(2026, 3, 31)}),
        enrollments=(renewed,),
    )

    assert {type(each) for each in made.skips} == {date}
    assert made.skips == {date(2026, 2, 28), date(2026, 3, 31)}
    assert [type(each) for each in renewed.renewals] == [date]


def test_e2_a_subclass_of_tuple_becomes_a_tuple() -> None:
    tie = Association.to_client(payer="p-1", client="C-1")

    made = autopay(enrollments=Pair(tie))

    assert type(made.enrollments) is tuple
    assert type(invoice(matters=("M-1", "M-2")).matters) is tuple
    assert plainly(Pair(tie)) == (tie,)


def test_e2_a_subclass_of_a_number_or_of_a_value_is_refused() -> None:
    class Cents(enum.IntEnum):
        NINE = 9

    cheap: Any = type("Cheap", (Money,), {})(amount_minor=1, currency="USD")

    assert refusal(Money, amount_minor=Cents.NINE, currency="USD") == (
        "AmountType",
        "amount_minor",
    )
    assert refusal(invoice, balance=cheap) == ("AmountType", "balance")
    assert refusal(Captured, key="k", amount=cheap, reference="ch_1") == (
        "FieldType",
        "amount",
    )
    other: Any = type("Other", (Invoice,), {})(
        **{
            each.name: getattr(invoice(), each.name)
            for each in attrs.fields(Invoice)
        }
    )
    with pytest.raises(InvalidValueError):
        allocate([other], Limit.all("USD"))


def test_e2_a_currency_is_plain_text() -> None:
    made = Money.of(Text("9.00"), Choice.USD)

    assert made == USD_9
    assert type(made.currency) is str
    assert type(Money(amount_minor=1, currency=Choice.USD).currency) is str


def test_what_only_looks_like_text_is_refused() -> None:
    for other in (UserString("INV-1"), b"INV-1", 7):
        assert refusal(invoice, number=other) == ("FieldType", "number")
    assert refusal(invoice, matters=("M-1", Text("M-2"))) == (
        "FieldType",
        "matters[1]",
    )


# -- What nobody can see -----------------------------------------------------

UNSEEN = ["\u00ad", "\u061c", "\u3164", "\ufe0f", "\u2800", "\U000e0041"]


@pytest.mark.parametrize("mark", UNSEEN)
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (invoice, "number"),
        (invoice, "client"),
        (invoice, "matter"),
        (autopay, "id"),
        (autopay, "payer"),
    ],
)
def test_e2_a_new_id_holds_nothing_that_nobody_can_see(
    make: Any, field: str, mark: str
) -> None:
    assert refusal(make, **{field: f"A{mark}1"}) == (
        "InvisibleCharacter",
        field,
    )


@pytest.mark.parametrize("mark", UNSEEN)
def test_e2_so_do_what_ties_to_ids_and_what_finds_them(mark: str) -> None:
    for kind, fields in (
        (Association, {"payer": "p-1", "client": f"C{mark}"}),
        (SearchResult, {"client": f"C{mark}"}),
    ):
        assert refusal(kind, **fields) == ("InvisibleCharacter", "client")
    with pytest.raises(InvalidValueError):
        invoice(matters=("M-1", f"M{mark}"))


def test_e2_new_free_text_may_hold_the_forms_of_a_character() -> None:
    assert autopay(name="Acme \u2764\ufe0f").name == "Acme \u2764\ufe0f"
    assert autopay(name="\u845b\U000e0100").name
    for field in ("name", "ar_message"):
        assert refusal(autopay, **{field: "Ac\u00adme"}) == (
            "InvisibleCharacter",
            field,
        )
    assert clean_text("Ac\u00adme\U000e0041 \u2764\ufe0f") == (
        "Ac\\xadme\\U000e0041 \u2764\ufe0f"
    )


@given(st.text(max_size=200))
@example("\u2764\ufe0f")
@example("\u845b\U000e0100\u3164")
def test_e2_cleaned_text_is_let_in(text: str) -> None:
    cleaned = masked_text(clean_text(text))

    assert autopay(ar_message=cleaned).ar_message == cleaned


# -- What was stored before --------------------------------------------------


def with_old_number(text: str) -> str:
    return text.replace("INV-1", "INV-1\\u3164")


def test_e2_what_was_stored_before_is_read_and_goes_on() -> None:
    made = allocate([invoice()], Limit.all("USD"))

    old = loads(with_old_number(dumps(made)), type(made))

    [line] = old.lines
    assert line.invoice.number == "INV-1\u3164"
    # It is written as it was, changed, and allocated again.
    assert dumps(old) == with_old_number(dumps(made))
    assert attrs.evolve(line.invoice, balance=USD_9) == line.invoice
    again = allocate([line.invoice], Limit.all("USD"))
    assert again.total == USD_9
    copied = pickle.loads(pickle.dumps(line.invoice))  # noqa: S301
    assert copied == line.invoice


def test_e2_an_order_stored_before_is_read_and_edited() -> None:
    tie = Association.to_matter(payer="p-1", client="C-1", matter="M-1")
    made = autopay(id="ap-1", name="Acme", enrollments=(tie,))
    text = dumps(made).replace("ap-1", "ap\\u00ad1").replace("M-1", "M\\ufe0f")

    old = loads(text, AutoPay)

    edited = attrs.evolve(old, ar_message="x")
    assert edited.id == "ap\u00ad1"
    assert edited.enrollments[0].association.matter == "M\ufe0f"
    assert dumps(attrs.evolve(edited, ar_message="")) == text


def test_e2_what_could_never_be_is_refused_from_a_store_too() -> None:
    text = dumps(invoice())

    for bad in (
        text.replace("INV-1", "INV\\u0000"),
        text.replace("INV-1", ""),
    ):
        with pytest.raises(InvalidValueError):
            loads(bad, Invoice)
    with pytest.raises(InvalidValueError) as caught:
        stored(
            Invoice, {**attrs.asdict(invoice(), recurse=False), "client": ""}
        )
    assert caught.value.code == "FieldMissing"


def test_e2_several_matters_stored_before_are_read() -> None:
    made = invoice(matters=("M-1", "M-2"))

    old = loads(dumps(made).replace("M-2", "M\\u115f"), Invoice)

    assert old.matters == ("M-1", "M\u115f")


# -- Somebody else's text ----------------------------------------------------


def test_e3_a_decline_is_one_whatever_it_says() -> None:
    outcome = Declined(
        key="k", code=CARD, message=f"Card {CARD}\r\nhas\u202eexpired"
    )

    assert outcome.message == "Card …\\x0d\\x0ahas\\u202eexpired"
    assert "4111" not in repr(outcome)
    assert len(Declined(key="k", code="x" * 99).code) == 64
    assert (
        len(Declined(key="k", code="x", message="y" * 9_999).message) == 1000
    )
    assert Declined(key="k", code=Text("51")).code == "51"


def test_e3_a_doubt_is_kept_whatever_it_says() -> None:
    assert Indeterminate(detail=f"500: {CARD}").detail == "500: …"
    assert refusal(Indeterminate, detail=None) == ("FieldMissing", "detail")
    assert refusal(Declined, key="k", code=51) == ("FieldType", "code")


@pytest.mark.parametrize(
    "apart", ["", " ", "-", ".", "/", "_", " - ", "\u2007"]
)
def test_e3_a_card_number_is_one_however_its_groups_are_parted(
    apart: str,
) -> None:
    number = apart.join(["4111"] * 1 + ["1111"] * 3)

    assert masked_text(f"card {number} refused") == "card … refused"
    assert refusal(autopay, ar_message=f"card {number}") == (
        "PanDetected",
        "ar_message",
    )
    assert "1111" not in safe_text(number)[:-6]


def test_e3_a_number_at_the_edge_of_what_is_shown_is_masked() -> None:
    for value in ("x" * 52 + "4" * 16, b"x" * 50 + b"4" * 16):
        assert "44444" not in safe_text(value)


@given(my.card_numbers(), st.text(max_size=20), st.text(max_size=20))
def test_e3_no_card_number_is_left_in_what_is_kept(
    number: str, before: str, after: str
) -> None:
    text = f"{before}x{number}x{after}"

    assert number not in masked_text(text)
    assert number not in report_text(text)
    assert masked_text("nothing of the kind: 12-34") == (
        "nothing of the kind: 12-34"
    )


# -- JSON --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "card4111111111111111",
        "c4111_1111_1111_1111",
        "x" * 65,
        "a b",
        "\uff21",
    ],
)
def test_e3_a_name_in_json_stands_in_no_path_unless_it_is_harmless(
    name: str,
) -> None:
    whole = json.loads(dumps(USD_9))
    whole["data"][name] = 1
    text = json.dumps(whole)
    twice = f'{{"data": {{{json.dumps(name)}: 1, {json.dumps(name)}: 2}}}}'

    for bad in (text, twice):
        with pytest.raises(FormatError) as caught:
            loads(bad, Money)
        assert name not in f"{caught.value!r} {caught.value.path}"
        assert not re.search("[0-9]{8}", caught.value.path)


def test_e3_a_name_of_a_mapping_stands_in_no_path_either() -> None:
    record = RunRecord(
        key=RunKey(autopay="ap-1", nominal_on=date(2026, 1, 31)),
        payer="p-1",
        version=1,
        state=RunState.WAITING,
        charge_on=date(2026, 1, 31),
        announced={"INV-1": USD_9},
    )
    text = dumps(record).replace("INV-1", "c4111111111111111")

    with pytest.raises(InvalidValueError) as caught:
        loads(
            text.replace('"amount_minor":900', '"amount_minor":"x"'), RunRecord
        )

    assert caught.value.path == "data.announced.*.amount_minor"


@pytest.mark.parametrize(
    "bad",
    [
        '{"token": "tok_secret"',
        b'{"token": "tok_secret\xff"}',
        '"tok_secret\x01"',
    ],
)
def test_e3_what_cannot_be_read_travels_on_with_no_error(bad: Any) -> None:
    with pytest.raises(FormatError) as caught:
        loads(bad, Money)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# -- Linear ------------------------------------------------------------------


class Counted(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_e2_equal_names_in_json_take_a_step_each() -> None:
    counts: list[int] = []
    for size in (500, 2_000):
        names = [Counted(f"n{each}") for each in range(size)]
        pairs: list[tuple[str, Any]] = [(each, 1) for each in names]
        Counted.compared = 0
        with pytest.raises(FormatError):
            _distinct([*pairs, (Counted("n0"), 2), (Counted("n1"), 2)])
        counts.append(Counted.compared)

    assert counts[1] <= counts[0] + 10


class Recorded:
    """A pattern that notes how long the texts are that it is shown."""

    def __init__(self, pattern: re.Pattern[str], seen: list[int]) -> None:
        self._pattern = pattern
        self._seen = seen

    def fullmatch(self, text: str) -> re.Match[str] | None:
        self._seen.append(len(text))
        return self._pattern.fullmatch(text)


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("", "AmountTooLarge"),
        ("x", "AmountFormat"),
        (".5", "AmountTooLarge"),
        ("e9", "AmountTooLarge"),
        (".0.0", "AmountTooLarge"),
    ],
)
def test_e2_no_pattern_is_shown_an_amount_that_is_too_long_to_be_one(
    monkeypatch: pytest.MonkeyPatch, tail: str, code: str
) -> None:
    seen: list[int] = []
    for name in ("_AMOUNT", "_NUMBER"):
        pattern = getattr(money_module, name)
        monkeypatch.setattr(money_module, name, Recorded(pattern, seen))

    for size in (1_000, 4_000):
        assert refusal(
            lambda size=size: Money.of("1" * size + tail, "USD")
        ) == (
            code,
            "amount",
        )

    assert seen == []

    def refusing(size: int) -> Any:
        return lambda: refusal(lambda: Money.of("1" * size + tail, "USD"))

    assert growth(refusing, 1_000) < 1.5


def world(size: int) -> tuple[list[Invoice], list[Association]]:
    """Return as many invoices as associations, none of a whole client."""
    return [
        invoice(number=f"INV-{each}", matter=f"M-{each}")
        for each in range(size)
    ], [
        Association.to_matter(payer="p-1", client="C-1", matter=f"M-{each}")
        for each in range(0, 2 * size, 2)
    ]


def several(size: int) -> tuple[Invoice, list[Association]]:
    matters = tuple(f"M-{each}" for each in range(size))
    return invoice(matter="M-0", matters=matters), [
        Association.to_matter(payer="p-1", client="C-1", matter=each)
        for each in matters
    ]


def test_e2_enrolments_times_invoices_take_a_step_for_each_of_both() -> None:
    def splitting(size: int) -> Any:
        invoices, ties = world(size)
        return lambda: (split_covered(invoices, ties), visible(invoices, ties))

    def unreadable(size: int) -> Any:
        invoices, ties = world(size)
        rows = [
            UnreadableRow(
                number=each.number,
                client=each.client,
                matter=each.matter,
                code="AmountFormat",
                where="f.csv:2",
            )
            for each in invoices
        ]
        return lambda: split_unreadable(rows, ties)

    def together(size: int) -> Any:
        bill, ties = several(size)
        return lambda: covered(bill, ties)

    for call in (splitting, unreadable, together):
        assert 3 < growth(call, 100) < 5


@pytest.mark.parametrize("digits", ["INV-{}", "INV-{0:03}-{0}", "{}\u200a"])
def test_e2_an_allocation_takes_a_step_for_each_row(digits: str) -> None:
    """Look-alikes, contradictions and unreadable rows among them."""

    def allocating(size: int) -> Any:
        rows = [invoice(number=digits.format(each)) for each in range(size)]
        alike = [
            invoice(number=f"A{'0' * (each % 90)}1") for each in range(size)
        ]
        other = [attrs.evolve(each, matter="M-2") for each in rows[::7]]
        lost = [
            UnreadableRow(
                number=each.number, client="C-1", code="X", where="f.csv:2"
            )
            for each in rows[::5]
        ]
        opened = {f"inv-0{each}": USD_9 for each in range(size)}
        return lambda: allocate(
            [*rows, *alike, *other],
            Limit.all("USD"),
            unreadable=lost,
            open_amounts=opened,
        )

    assert 3 < growth(allocating, 100) < 5.5


def test_every_hidden_character_is_one() -> None:
    assert _HIDDEN.search("\ufffe")
    assert not _HIDDEN.search("Ää 12 ٣ 葛 …")
