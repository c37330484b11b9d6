"""The audit finds every way in which store, gateway and ledger disagree."""

from __future__ import annotations

import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core.adapters.memory import Fault
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.audit import (
    Code,
    Difference,
    GatewayKind,
    GatewayRow,
    LedgerKind,
    LedgerRow,
    audit,
    export_store,
    main,
    read_gateway_rows,
    read_ledger_rows,
    write_rows,
)
from autopay_core.audit.checks import CHECKS
from autopay_core.batches import (
    Batch,
    BatchAnswer,
    BatchState,
    LineRefused,
    RefusalReason,
)
from autopay_core.calls import advance_postings, attest, reverse, run
from autopay_core.charges import Captured
from autopay_core.commits import BatchFilter, OpenAmounts, Unreadable
from autopay_core.errors import InvalidValueError
from autopay_core.history import HistoryFault
from autopay_core.postings import PostingStatus, Reversal, ReversalKind
from autopay_core.references import RunKey
from autopay_core.runs import RunState
from worlds import DAY, World, bill, posting, standing_order, usd

if TYPE_CHECKING:
    from pathlib import Path

    from autopay_core.postings import Posting


AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = RunKey(autopay="ap-1", nominal_on=DAY)


class Books:
    """A world that has paid, and the exports that tell of it."""

    def __init__(self) -> None:
        self.world = World(bill("INV-1", "100"), bill("INV-2", "50"))
        self.world.run(standing_order())
        self.apply()
        [taken] = self.world.gateway.captured
        self.gateway = [
            GatewayRow(
                kind=GatewayKind.CAPTURED,
                reference=taken.reference,
                key=taken.key,
                amount=taken.amount,
            )
        ]
        self.ledger = [
            billed("INV-1", "100"),
            billed("INV-2", "50"),
            *(
                LedgerRow(
                    kind=LedgerKind.POSTING,
                    id=each.id,
                    invoice=each.invoice,
                    amount=each.amount,
                )
                for each in self.world.postings()
            ),
        ]
        self.changes: dict[str, Any] = {}

    def apply(self) -> None:
        """Post everything to the end."""
        for to in (
            PostingStatus.QUEUED,
            PostingStatus.POSTED,
            PostingStatus.APPLIED,
        ):
            moved = [
                each
                for each in self.world.postings()
                if each.status is not PostingStatus.APPLIED
            ]
            advance_postings(moved, to, ports=self.world.ports, by="ann")

    def change_store(self, **changes: Any) -> None:
        """Let the store say something else."""
        self.changes = changes

    def set_posting(self, place: int, **changes: Any) -> None:
        """Let one posting record be another one."""
        postings = list(self.world.postings())
        postings[place] = attrs.evolve(postings[place], **changes)
        self.change_store(postings=postings)

    def set_run(self, **changes: Any) -> None:
        """Let the run be another one."""
        record = attrs.evolve(self.world.record, **changes)
        self.change_store(runs=[record], open_amounts=None)

    def found(self, **options: Any) -> tuple[Difference, ...]:
        """Audit."""
        export = export_store(self.world.store)
        return audit(
            attrs.evolve(export, **self.changes),
            self.gateway,
            self.ledger,
            **options,
        )

    def codes(self, **options: Any) -> list[Code]:
        """Audit, and return the codes alone."""
        return [each.code for each in self.found(**options)]


@pytest.fixture
def books() -> Books:
    return Books()


def billed(invoice: str, amount: str) -> LedgerRow:
    return LedgerRow(
        kind=LedgerKind.BILLED, id=invoice, invoice=invoice, amount=usd(amount)
    )


def went_back(amount: str, event: str = "re-1") -> GatewayRow:
    return GatewayRow(
        kind=GatewayKind.REFUND,
        reference=event,
        of="pay-000001",
        amount=usd(amount),
    )


def reversal(amount: str, event: str = "re-1") -> Reversal:
    return Reversal(
        event=event, kind=ReversalKind.REFUND, amount=usd(amount), on=DAY
    )


def at(hour: int) -> datetime:
    return datetime(2026, 1, 31, hour, tzinfo=UTC)


# -- Agreement ---------------------------------------------------------------


def test_books_that_agree_have_no_difference(books: Books) -> None:
    assert books.found() == ()


def test_a_store_that_has_done_nothing_has_no_difference() -> None:
    export = export_store(World().store)

    assert audit(export, [], []) == ()


def test_a_part_that_a_person_attested_has_no_difference() -> None:
    world = World(bill("INV-1", "100"), bill("INV-2", "50"))
    world.gateway.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    world.clock.advance(days=1)
    world.recover()
    key = world.record.attempts[0].key
    part = Captured(key=key, amount=usd("120"), reference="st-7")
    attest(
        KEY,
        part,
        by="Ann",
        reason="the bank's statement",
        evidence="line 7",
        ports=world.ports,
    )
    export = export_store(world.store)
    gateway = [
        GatewayRow(
            kind=GatewayKind.CAPTURED,
            reference="st-7",
            key=key,
            amount=usd("120"),
        )
    ]
    ledger = [billed("INV-1", "100"), billed("INV-2", "50")]

    assert audit(export, gateway, ledger) == ()
    assert [each.amount for each in world.postings()] == [
        usd("100"),
        usd("20"),
    ]


def test_returned_money_that_is_posted_has_no_difference(
    books: Books,
) -> None:
    reverse(KEY, reversal("60"), ports=books.world.ports)
    books.apply()
    books.gateway.append(went_back("60"))
    books.ledger += [
        LedgerRow(
            kind=LedgerKind.POSTING,
            id=each.id,
            invoice=each.invoice,
            amount=each.amount,
        )
        for each in books.world.postings()
        if each.reverses is not None
    ]

    assert books.found() == ()


def test_a_declined_row_and_a_payment_by_hand_are_no_difference(
    books: Books,
) -> None:
    books.gateway.append(
        GatewayRow(
            kind=GatewayKind.DECLINED,
            reference="pay-9",
            key="ap1OTHER",
            amount=usd("1"),
        )
    )
    books.ledger += [
        billed("INV-9", "10"),
        LedgerRow(
            kind=LedgerKind.OTHER,
            id="cheque 1",
            invoice="INV-9",
            amount=usd("10"),
        ),
    ]

    assert books.found() == ()


# -- The gateway -------------------------------------------------------------


def test_a_charge_without_a_record_is_found(books: Books) -> None:
    books.gateway.append(
        GatewayRow(
            kind=GatewayKind.CAPTURED,
            reference="pay-9",
            key="ap1OTHER",
            amount=usd("3"),
        )
    )

    [found] = books.found()

    assert found.code is Code.CHARGE_WITHOUT_RECORD
    assert found.subject == "pay-9"
    assert found.amount == usd("3")


def test_a_charge_on_a_run_that_failed_is_found(books: Books) -> None:
    books.set_run(state=RunState.FAILED)
    books.changes["postings"] = ()

    codes = books.codes()

    assert Code.CHARGE_ON_UNPAID_RUN in codes


def test_a_charge_whose_run_is_still_under_way_is_found_in_time(
    books: Books,
) -> None:
    books.set_run(state=RunState.OPEN)
    books.changes["postings"] = ()
    books.ledger = books.ledger[:2]

    assert books.codes() == []
    books.world.clock.advance(hours=25)
    books.changes["now"] = books.world.clock()
    assert books.codes() == [Code.CHARGE_WITHOUT_POSTING, Code.STUCK_RUN]


def test_a_paid_run_without_a_capture_is_found(books: Books) -> None:
    books.gateway = []

    [found] = books.found()

    assert found.code is Code.PAID_WITHOUT_CAPTURE
    assert found.subject == "ap-1/2026-01-31"


def test_a_paid_run_that_has_no_capture_on_record_is_found(
    books: Books,
) -> None:
    last = attrs.evolve(books.world.record.attempts[-1], outcome=None)
    books.set_run(attempts=(last,))

    [found] = [
        each
        for each in books.found()
        if each.code is Code.PAID_WITHOUT_CAPTURE
    ]

    assert found.subject == "ap-1/2026-01-31"
    assert found.amount is None


def test_a_capture_after_the_end_of_the_export_is_not_missed(
    books: Books,
) -> None:
    books.gateway = []

    assert books.codes(gateway_until=at(12)) == []
    assert books.codes(gateway_until=at(13)) == [Code.PAID_WITHOUT_CAPTURE]


def test_another_amount_at_the_gateway_is_found(books: Books) -> None:
    books.gateway = [attrs.evolve(books.gateway[0], amount=usd("151"))]

    assert books.codes() == [Code.CAPTURE_AMOUNT]


def test_a_double_capture_is_found(books: Books) -> None:
    books.gateway.append(
        attrs.evolve(books.gateway[0], reference="pay-000002")
    )

    [found] = books.found()

    assert found.code is Code.DOUBLE_CAPTURE
    assert "pay-000001, pay-000002" in found.detail


def test_a_double_capture_that_went_back_whole_is_told_as_a_return(
    books: Books,
) -> None:
    books.gateway += [
        attrs.evolve(books.gateway[0], reference="pay-000002"),
        attrs.evolve(went_back("150"), of="pay-000002"),
    ]

    assert books.codes() == [Code.REVERSAL_NOT_RECORDED]


def test_money_that_went_back_unheard_is_found(books: Books) -> None:
    books.gateway.append(went_back("10"))

    assert books.codes() == [Code.REVERSAL_NOT_RECORDED]


def test_money_that_did_not_go_back_is_found(books: Books) -> None:
    reverse(KEY, reversal("10"), ports=books.world.ports)

    assert books.codes() == [Code.REVERSAL_WITHOUT_EVENT]


# -- Postings ----------------------------------------------------------------


def test_a_missing_posting_is_found(books: Books) -> None:
    books.change_store(postings=books.world.postings()[1:])

    found = books.found()

    assert found[0].code is Code.POSTING_MISSING
    assert found[0].amount == usd("100")


@pytest.mark.parametrize(
    "changes",
    [{"amount": usd("99")}, {"invoice": "INV-9"}],
    ids=["amount", "invoice"],
)
def test_a_posting_that_is_not_what_was_paid_is_found(
    books: Books, changes: dict[str, Any]
) -> None:
    books.set_posting(0, **changes)

    assert Code.POSTING_DIFFERS in books.codes()


def test_a_run_that_cannot_be_posted_is_found(books: Books) -> None:
    record = books.world.record
    assert record.captured is not None
    last = attrs.evolve(
        record.attempts[-1],
        outcome=attrs.evolve(record.captured, amount=usd("149")),
    )
    books.set_run(attempts=(last,))

    assert books.codes()[:1] == [Code.CAPTURE_AMOUNT]
    assert Code.POSTING_DIFFERS in books.codes()


def test_a_posting_that_nothing_explains_is_found(books: Books) -> None:
    books.change_store(
        postings=[
            *books.world.postings(),
            posting(id="p-9", status=PostingStatus.REMOVED),
        ]
    )

    assert books.codes() == [Code.POSTING_WITHOUT_CAPTURE]


def test_a_reversal_that_nothing_explains_is_found(books: Books) -> None:
    books.change_store(
        postings=[
            *books.world.postings(),
            posting(
                id="p-9",
                amount=usd("-10"),
                reverses="p-none",
                status=PostingStatus.REMOVED,
            ),
        ]
    )

    assert books.codes() == [Code.ORPHAN_REVERSAL]


def test_a_reversal_of_more_than_was_paid_is_found(books: Books) -> None:
    first = books.world.postings()[0]
    books.change_store(
        postings=[
            *books.world.postings(),
            posting(
                id="p-9",
                amount=usd("-101"),
                reverses=first.id,
                status=PostingStatus.REMOVED,
            ),
        ]
    )

    assert Code.REVERSAL_EXCEEDS in books.codes()


# -- The ledger --------------------------------------------------------------


def test_an_overpaid_invoice_is_found(books: Books) -> None:
    books.ledger[0] = billed("INV-1", "99.99")

    [found] = books.found()

    assert found.code is Code.OVERPAID
    assert found.subject == "INV-1"
    assert found.amount == usd("0.01")


def test_an_invoice_that_will_be_overpaid_is_found() -> None:
    world = World(bill("INV-1", "100"))
    world.run(standing_order())

    found = audit(
        export_store(world.store),
        None,
        [
            billed("INV-1", "100"),
            LedgerRow(
                kind=LedgerKind.OTHER,
                id="cheque",
                invoice="INV-1",
                amount=usd("30"),
            ),
        ],
    )

    assert [each.code for each in found] == [Code.OVERPAID]
    assert found[0].amount == usd("30")


def test_a_paid_invoice_that_the_ledger_lacks_is_found(books: Books) -> None:
    del books.ledger[0]

    assert books.codes() == [Code.INVOICE_NOT_IN_LEDGER]


def test_a_posting_that_only_the_ledger_has_is_found(books: Books) -> None:
    books.ledger.append(
        LedgerRow(
            kind=LedgerKind.POSTING,
            id="p-9",
            invoice="INV-9",
            amount=usd("1"),
        )
    )
    books.ledger.append(billed("INV-9", "1"))

    assert books.codes() == [Code.LEDGER_WITHOUT_POSTING]


def test_a_posting_that_the_ledger_shows_too_early_is_found(
    books: Books,
) -> None:
    books.set_posting(0, status=PostingStatus.POSTED)
    books.changes["open_amounts"] = None

    assert books.codes() == [Code.LEDGER_AHEAD]


def test_an_applied_posting_that_the_ledger_lacks_is_found(
    books: Books,
) -> None:
    del books.ledger[-1]

    assert books.codes() == [Code.LEDGER_BEHIND]


def test_another_amount_in_the_ledger_is_found(books: Books) -> None:
    books.ledger[-1] = attrs.evolve(books.ledger[-1], amount=usd("49"))

    assert books.codes() == [Code.LEDGER_AMOUNT]


def test_a_posting_that_was_applied_twice_is_found(books: Books) -> None:
    books.ledger.append(books.ledger[-1])

    assert books.codes() == [Code.OVERPAID, Code.APPLIED_TWICE]


# -- The store itself --------------------------------------------------------


def test_a_stuck_run_is_found_and_a_bank_debit_has_more_time() -> None:
    world = World(bill("INV-1", "100"))
    world.one_step.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    export = export_store(world.store)
    pending = attrs.evolve(world.record, state=RunState.PENDING)
    world.clock.advance(days=2)

    late = attrs.evolve(export, now=world.clock())
    bank = attrs.evolve(late, runs=[pending])

    assert [each.code for each in audit(late, None, None)] == [Code.STUCK_RUN]
    assert audit(bank, None, None) == ()
    assert [
        each.code for each in audit(bank, None, None, pending_seconds=3600)
    ] == [Code.STUCK_RUN]


def test_an_amount_held_back_for_nothing_is_found(books: Books) -> None:
    books.change_store(
        open_amounts=lambda clients: OpenAmounts(
            amounts={"INV-7": usd("5")}, versions={}
        )
    )

    [found] = books.found()

    assert found.code is Code.OPEN_AMOUNT
    assert found.subject == "INV-7"


def test_an_amount_that_is_not_held_back_is_found() -> None:
    world = World(bill("INV-1", "100"))
    world.one_step.script(Fault.LOSE_REQUEST)
    world.run(standing_order())
    export = attrs.evolve(
        export_store(world.store),
        open_amounts=lambda clients: OpenAmounts(),
    )

    [found] = audit(export, None, None)

    assert found.code is Code.OPEN_AMOUNT
    assert found.amount == usd("-100")


def test_a_broken_history_is_found(books: Books) -> None:
    books.change_store(
        history_faults=[HistoryFault(chain=3, seq=7, reason="changed")]
    )

    [found] = books.found()

    assert str(found) == (
        "HistoryBroken  chain 3, entry 7  The history does not fit: changed."
    )


def test_t2_a_row_that_does_not_fit_the_history_is_named(
    books: Books,
) -> None:
    fault = HistoryFault(
        chain=3, seq=7, reason="row", row="autopay_postings p-1"
    )
    books.change_store(history_faults=[fault])

    [found] = books.found()

    assert found.subject == "chain 3, entry 7, autopay_postings p-1"


# -- Batches (P5) -------------------------------------------------------------


def sent(*postings: Posting, name: str = "b-1", at: datetime = AT) -> Batch:
    """Return a batch that went to the ledger and is not answered."""
    return Batch(
        id=name,
        made_at=at,
        by="ann",
        postings=tuple(
            attrs.evolve(each, status=PostingStatus.QUEUED)
            for each in postings
        ),
        state=BatchState.EXPORTED,
        version=2,
        exported_at=at,
        exported_by="ann",
    )


def answered(batch: Batch) -> Batch:
    """Return a batch of which nothing went to the ledger after all."""
    lines = tuple(
        LineRefused(posting=each.id, reason=RefusalReason.NOT_SENT)
        for each in batch.postings
    )
    return attrs.evolve(
        batch,
        state=BatchState.ANSWERED,
        version=3,
        answer=BatchAnswer(batch=batch.id, lines=lines),
        answered_at=AT,
        answered_by="ledger",
    )


class Queue(Books):
    """Books whose postings wait in a batch."""

    def apply(self) -> None:
        advance_postings(
            self.world.postings(),
            PostingStatus.QUEUED,
            ports=self.world.ports,
            by="ann",
        )

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.ledger[:2]

    def with_batches(self, *batches: Any, **changes: Any) -> list[str]:
        self.change_store(batches=batches, **changes)
        return [str(each) for each in self.found()]


def test_p5_a_batch_that_waits_for_the_ledger_is_no_difference() -> None:
    books = Queue()

    assert books.with_batches(sent(*books.world.postings())) == []


def test_p5_a_posting_of_a_batch_that_is_not_on_record_is_found() -> None:
    books = Queue()
    first, second = books.world.postings()
    other = attrs.evolve(first, id="p-9")
    less = attrs.evolve(second, amount=usd("1"))

    found, more = books.with_batches(sent(other, less))

    assert found.startswith("BatchDiffers  b-1  USD 1.00  ")
    assert f"{second.id} on INV-2 is on record otherwise." in found
    assert more.startswith(f"BatchDiffers  b-1  {first.amount}  ")
    assert "p-9 on INV-1 is not on record." in more


def test_p5_a_posting_that_left_its_batch_is_found() -> None:
    books = Queue()
    first, second = books.world.postings()
    batch = sent(first, second)
    advance_postings(
        [second],
        PostingStatus.REMOVED,
        ports=books.world.ports,
        by="ann",
        note="by hand",
    )

    [found] = books.with_batches(batch)

    assert found.startswith(f"BatchDiffers  b-1  {second.amount}  ")
    assert f"not answered, and its posting {second.id}" in found
    assert found.endswith("on INV-2 is removed.")
    assert books.with_batches(answered(batch)) == []


def test_p5_a_posting_in_two_batches_is_found() -> None:
    books = Queue()
    first, second = books.world.postings()

    [found] = books.with_batches(sent(first, second), sent(first, name="b-2"))

    assert found.startswith(f"InTwoBatches  {first.id}  {first.amount}  ")
    assert found.endswith("It is in 2 batches that are not answered.")


def test_p5_an_answered_batch_is_compared_with_what_is_on_record() -> None:
    """Its postings are free, and may be in another batch by now."""
    books = Queue()
    first, second = books.world.postings()
    done = answered(sent(first, second))

    assert books.with_batches(done, sent(first, name="b-2")) == []
    found = books.with_batches(
        done, postings=[attrs.evolve(first, invoice="INV-7"), second]
    )
    assert any(each.startswith("BatchDiffers  b-1") for each in found)


@pytest.mark.parametrize(("days", "is_stuck"), [(9, False), (11, True)])
def test_p5_a_batch_that_nobody_answers_is_found(
    days: int, *, is_stuck: bool
) -> None:
    books = Queue()
    now = books.world.store.now()
    batch = sent(*books.world.postings(), at=now - timedelta(days=days))

    found = books.with_batches(batch)

    assert found == (
        [
            (
                "StuckBatch  b-1  It went to the ledger long ago, and is not "
                "answered."
            )
        ]
        if is_stuck
        else []
    )
    assert books.with_batches(answered(batch)) == []


def test_r6_a_batch_that_cannot_be_read_is_found() -> None:
    books = Queue()

    found = books.with_batches(
        sent(books.world.postings()[0]),
        Unreadable(key="b-2", code="FormatUnreadable"),
    )

    assert found == [
        (
            "UnreadableBatch  b-2  It cannot be read (FormatUnreadable); its "
            "lines are compared with nothing."
        )
    ]


def test_p5_batches_are_read_page_by_page() -> None:
    books = Queue()
    first = books.world.postings()[0]
    pages: list[str] = []

    class Store:
        """A store with many batches, one of which cannot be read."""

        def __getattr__(self, name: str) -> Any:
            return getattr(books.world.store, name)

        def batches(self, wanted: BatchFilter) -> Any:
            pages.append(wanted.after)
            names = [f"b-{n:03}" for n in range(70)]
            found = [each for each in names if each > wanted.after]
            return [
                Unreadable(key=each, code="FormatUnreadable")
                if each == "b-049"
                else sent(first, name=each)
                for each in found[: wanted.most]
            ]

    store: Any = Store()

    found = list(export_store(store).batches)

    assert len(found) == 70
    assert pages == ["", "b-049"]


def test_every_difference_is_what_some_check_finds() -> None:
    assert {each.code for each in CHECKS} == set(Code)


def test_differences_come_in_one_order_whatever_the_rows_order(
    books: Books,
) -> None:
    books.gateway = []
    books.ledger = books.ledger[2:]
    first = books.found()
    books.ledger.reverse()

    assert books.found() == first
    assert len(first) == 3


# -- Files -------------------------------------------------------------------


def test_rows_that_are_written_are_read_back(
    books: Books, tmp_path: Path
) -> None:
    books.gateway.append(went_back("10"))

    assert write_rows(tmp_path / "g.csv", books.gateway) == 2
    assert write_rows(tmp_path / "l.csv", books.ledger) == 4
    assert list(read_gateway_rows(tmp_path / "g.csv")) == books.gateway
    assert list(read_ledger_rows(tmp_path / "l.csv")) == books.ledger


def test_json_lines_are_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(
        '\n{"kind": "captured", "reference": "pay-1", "key": "k", '
        '"amount": "1.50", "currency": "USD", "more": 1}\n'
    )

    [row] = read_gateway_rows(path)

    assert row.amount == usd("1.50")
    assert row.of == ""


_GATEWAY = "kind,reference,key,amount,currency,of\n"


@pytest.mark.parametrize(
    ("name", "text", "code", "path"),
    [
        ("g.csv", b"\xff", "Encoding", "g.csv"),
        ("g.csv", _GATEWAY + "captured,pay-1,k,1.00\n", "ColumnCount", "2"),
        ("g.csv", _GATEWAY + 'captured,"pay', "CsvFormat", "2"),
        (
            "g.csv",
            _GATEWAY + "captured,pay-1,k,1.000,USD,\n",
            "AmountScale",
            "2",
        ),
        (
            "g.csv",
            _GATEWAY + "taken,pay-1,k,1.00,USD,\n",
            "UnknownValue",
            "2.kind",
        ),
        (
            "g.csv",
            _GATEWAY + "refund,re-1,,1.00,USD,\n",
            "FieldMissing",
            "2.of",
        ),
        (
            "g.csv",
            _GATEWAY + "captured,pay-1,k,0.00,USD,\n",
            "OutOfRange",
            "2.amount",
        ),
        ("g.csv", "kind,reference\ncaptured,pay-1\n", "FieldMissing", "2"),
        ("g.jsonl", "{}\n[1]\n", "FieldMissing", "1.kind"),
        ("g.jsonl", "\n[1]\n", "JsonFormat", "2"),
        ("g.jsonl", "[" * 100_000, "JsonFormat", "1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str | bytes, code: str, path: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(InvalidValueError) as caught:
        list(read_gateway_rows(file))

    assert caught.value.code == code
    where = caught.value.path
    assert where == path or where.startswith(f"{name}:{path}")


def test_a_ledger_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_text("kind,id,invoice,amount,currency\nbilled,x,,1.00,USD\n")

    with pytest.raises(InvalidValueError) as caught:
        list(read_ledger_rows(file))

    assert caught.value.path == "l.csv:2.invoice"


# -- The command -------------------------------------------------------------


class Shop:
    """A store in a file, and exports beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.gateway = folder / "gateway.csv"
        self.ledger = folder / "ledger.csv"
        world = World(bill("INV-1", "100"))
        with SqlitePostingStore(self.path, clock=world.clock) as store:
            ports = world.ports_with(postings=store)
            run(standing_order(), on=DAY, ports=ports)
            self.postings = list(store.postings(_everything()))
        [taken] = world.gateway.captured
        write_rows(
            self.gateway,
            [
                GatewayRow(
                    kind=GatewayKind.CAPTURED,
                    reference=taken.reference,
                    key=taken.key,
                    amount=taken.amount,
                )
            ],
        )
        write_rows(self.ledger, [billed("INV-1", "100")])

    def main(self, *more: str) -> tuple[int, str]:
        out = io.StringIO()
        status = main(
            [
                *("--sqlite", str(self.path)),
                *("--gateway", str(self.gateway)),
                *("--ledger", str(self.ledger)),
                *more,
            ],
            out=out,
        )
        return status, out.getvalue()


def _everything() -> Any:
    from autopay_core.commits import PostingFilter

    return PostingFilter()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_the_command_says_that_all_is_well(shop: Shop) -> None:
    assert shop.main() == (0, "0 differences\n")


def test_the_command_prints_differences_and_fails(shop: Shop) -> None:
    write_rows(shop.ledger, [billed("INV-1", "40")])

    status, out = shop.main()

    assert status == 1
    assert out.startswith("Overpaid  INV-1  USD 60.00  Billed USD 40.00")
    assert out.endswith("1 difference\n")


def test_the_command_prints_json_lines(shop: Shop) -> None:
    write_rows(shop.ledger, [billed("INV-1", "40")])

    status, out = shop.main("--json")

    assert status == 1
    assert json.loads(out)["code"] == "Overpaid"
    assert json.loads(out)["amount"] == "60.00"


def test_the_command_ignores_what_it_is_told_to(shop: Shop) -> None:
    write_rows(shop.ledger, [billed("INV-1", "40")])

    assert shop.main("--ignore", "Overpaid") == (0, "0 differences\n")


def test_the_command_says_what_it_did_not_compare(shop: Shop) -> None:
    out = io.StringIO()

    assert main(["--sqlite", str(shop.path)], out=out) == 0
    assert out.getvalue() == (
        "Not compared: the gateway (give --gateway).\n"
        "Not compared: the ledger (give --ledger).\n"
        "0 differences\n"
    )


def test_a_changed_history_is_found_by_the_command(shop: Shop) -> None:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(shop.path)) as database:
        database.execute("UPDATE autopay_history SET at = at + 1")
        database.commit()

    status, out = shop.main()

    assert status == 1
    assert out.startswith("HistoryBroken  chain ")


def test_the_command_refuses_a_store_that_is_not_there(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.path = tmp_path / "none.db"

    assert shop.main()[0] == 2
    assert "no such file" in capsys.readouterr().err
    assert not shop.path.exists()


def test_the_command_refuses_an_export_that_is_not_there(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.gateway.unlink()

    assert shop.main()[0] == 2
    assert "gateway.csv" in capsys.readouterr().err


def test_the_command_names_file_and_line(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.gateway.write_text(_GATEWAY + "captured,pay-1,k,1.5,XXX,\n")

    assert shop.main()[0] == 2
    assert "gateway.csv:2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--sqlite", "a", "--postgres", "b"],
        ["--sqlite", "a", "--ignore", "Nothing"],
        ["--sqlite", "a", "--gateway-until", "2026-01-31T06:00:00"],
    ],
)
def test_a_wrong_command_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_a_difference_and_stops_no_other(
    shop: Shop,
) -> None:
    database = sqlite3.connect(shop.path)
    with database:
        database.execute("UPDATE autopay_runs SET data = '{}'")
    database.close()

    status, out = shop.main("--ignore", "HistoryBroken")

    assert status == 1
    said = [line.split("  ")[0] for line in out.splitlines()]
    assert "UnreadableRun" in said
    assert "UnreadableRun  ap-1/2026-01-31  It cannot be read (" in out
    # Its posting is there, and nothing readable explains it.
    assert "PostingWithoutCapture" in said
