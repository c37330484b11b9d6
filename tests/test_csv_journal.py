"""A journal of what was collected balances, entry by entry (P1, P5)."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

from autopay_core.adapters.csv import (
    LedgerAccount,
    journal_csv,
    write_journal_csv,
)
from autopay_core.errors import InvalidValueError, PortUnavailableError
from autopay_core.money import Money
from autopay_core.references import DepositAccount
from worlds import DAY, FEBRUARY, posting, usd

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from autopay_core.postings import Posting

OPERATING = LedgerAccount(
    deposit_account="operating-1",
    bank="1010",
    receivable="1200",
    transaction_type="CR",
    message="AutoPay",
)
TRUST = LedgerAccount(
    deposit_account="iolta", bank="1050", receivable="2100", message=""
)


def rows(
    postings: Iterable[Posting], *accounts: LedgerAccount
) -> list[dict[str, str]]:
    text = "".join(journal_csv(postings, accounts or (OPERATING, TRUST)))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_p5_a_payment_is_one_line_of_the_bank_and_one_for_each_invoice() -> (
    None
):
    first = posting(
        amount=usd("70.50"),
        ar_message="Thank you",
        payment_reference="pay-1",
        deposit_account=DepositAccount(id="operating-1"),
    )
    second = attrs.evolve(
        first, id="p-2", invoice="INV-2", amount=usd("9"), ar_message=""
    )

    bank, *others = rows([first, second])

    assert bank == {
        "entry": "pay-1",
        "date": str(first.charged_on),
        "type": "CR",
        "account": "1010",
        "debit": "79.50",
        "credit": "",
        "currency": "USD",
        "client": "",
        "matter": "",
        "invoice": "",
        "posting": "",
        "message": "AutoPay",
    }
    assert [
        (each["account"], each["debit"], each["credit"], each["invoice"])
        for each in others
    ] == [("1200", "", "70.50", "INV-1"), ("1200", "", "9.00", "INV-2")]
    assert [each["message"] for each in others] == ["Thank you", "AutoPay"]
    assert [each["posting"] for each in others] == ["p-1", "p-2"]


def test_p4_what_went_back_is_an_entry_of_its_own() -> None:
    taken = posting(
        amount=usd("70"), deposit_account=DepositAccount(id="operating-1")
    )
    back = attrs.evolve(
        taken,
        id="p-2",
        amount=usd("-20"),
        reverses="p-1",
        charged_on=FEBRUARY,
    )

    _, _, bank, line = rows([taken, back])

    assert (bank["debit"], bank["credit"]) == ("", "20.00")
    assert (line["debit"], line["credit"]) == ("20.00", "")
    assert bank["date"] == line["date"] == str(FEBRUARY)


amounts = st.tuples(
    st.integers(-(10**6), 10**6).filter(bool),
    st.sampled_from(["USD", "JPY", "KWD"]),
)


@st.composite
def some_postings(draw: st.DrawFn) -> list[Posting]:
    made: list[Posting] = []
    for place in range(draw(st.integers(0, 12))):
        minor, currency = draw(amounts)
        made.append(
            posting(
                id=f"p-{place}",
                amount=Money(amount_minor=minor, currency=currency),
                reverses="p-99" if minor < 0 else None,
                payment_reference=draw(st.sampled_from(["pay-1", "=pay"])),
                charged_on=draw(st.sampled_from([DAY, FEBRUARY])),
                deposit_account=DepositAccount(
                    id=draw(st.sampled_from(["operating-1", "iolta"]))
                ),
                ar_message=draw(st.sampled_from(["", "Thank you", "-1"])),
            )
        )
    return made


@given(some_postings())
def test_p5_debits_equal_credits_and_nothing_is_lost(
    postings: list[Posting],
) -> None:
    found = rows(postings)

    sums: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    banks: Counter[tuple[str, ...]] = Counter()
    for each in found:
        entry = (each["entry"], each["date"], each["currency"], each["type"])
        amount = Decimal(each["debit"] or 0) - Decimal(each["credit"] or 0)
        assert bool(each["debit"]) is not bool(each["credit"])
        assert "-" not in each["debit"] + each["credit"]
        sums[entry] += amount
        if not each["posting"]:
            banks[(*entry, "back" if amount < 0 else "")] += 1
    assert not any(sums.values())
    assert set(banks.values()) <= {1}
    shown = {
        each["posting"]: Decimal(each["credit"] or 0)
        - Decimal(each["debit"] or 0)
        for each in found
        if each["posting"]
    }
    assert shown == {
        str(each.id): Decimal(each.amount.major) for each in postings
    }


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        ((TRUST,), "AccountUnknown"),
        ((TRUST, OPERATING, TRUST), "DuplicateValue"),
    ],
)
def test_p5_every_deposit_account_has_one_ledger_account(
    accounts: tuple[LedgerAccount, ...], code: str, tmp_path: Path
) -> None:
    made = posting(deposit_account=DepositAccount(id="operating-1"))
    target = tmp_path / "journal.csv"
    target.write_text("as it was", "utf-8")

    with pytest.raises(InvalidValueError) as raised:
        write_journal_csv([made], accounts, target)

    assert (raised.value.code, raised.value.path) == (code, "accounts")
    assert target.read_text("utf-8") == "as it was"
    assert [each.name for each in tmp_path.iterdir()] == ["journal.csv"]


@pytest.mark.parametrize(
    "changes",
    [
        {"bank": ""},
        {"receivable": " "},
        {"deposit_account": ""},
        {"message": 1},
    ],
)
def test_e2_a_ledger_account_has_its_codes(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        attrs.evolve(OPERATING, **changes)


def test_a_journal_is_written_whole(tmp_path: Path) -> None:
    made = posting(deposit_account=DepositAccount(id="operating-1"))
    target = tmp_path / "journal.csv"

    assert write_journal_csv([made], [OPERATING], target) == 2
    assert target.read_text("utf-8-sig").count("\n") == 3
    with pytest.raises(PortUnavailableError):
        write_journal_csv([made], [OPERATING], tmp_path / "no" / "such.csv")
