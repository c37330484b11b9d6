"""
Posting records as journal entries that balance, as CSV for a ledger (P1, P5).

Holds: `LedgerAccount`, `journal_csv`, `write_journal_csv`. Imports: `writing`,
`_checks`, `errors` and the values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple, final

import attrs

from autopay_core._checks import Readable, a_text, an_id
from autopay_core.adapters.csv.writing import line_of, quoted, write_lines
from autopay_core.errors import InvalidValueError
from autopay_core.money import Money
from autopay_core.postings import Posting

__all__ = ["LedgerAccount", "journal_csv", "write_journal_csv"]

_COLUMNS: Final = (
    "entry",
    "date",
    "type",
    "account",
    "debit",
    "credit",
    "currency",
    "client",
    "matter",
    "invoice",
    "posting",
    "message",
)


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class LedgerAccount(Readable):
    """
    How the firm's ledger books what a deposit account receives.

    Attributes:
        deposit_account: Its id, as in `DepositAccount.id`.
        bank: The ledger's code of the bank account that receives the money.
        receivable: The ledger's code of the account that the invoices are
            owed on.
        transaction_type: The ledger's word for such an entry; empty for none.
        message: What stands where a posting has no A/R message.

    """

    deposit_account: str = attrs.field(validator=an_id)
    bank: str = attrs.field(validator=an_id)
    receivable: str = attrs.field(validator=an_id)
    transaction_type: str = attrs.field(default="", validator=a_text(most=64))
    message: str = attrs.field(default="", validator=a_text())


class _Entry(NamedTuple):
    """What the postings of one entry have in common."""

    reference: str
    on: date
    deposit_account: str
    currency: str
    goes_back: bool


def journal_csv(
    postings: Iterable[Posting], accounts: Iterable[LedgerAccount], /
) -> Iterator[str]:
    """
    Return posting records as entries of a journal, header first.

    One entry for each payment, and one for what went back of it on a day: the
    bank's line with the sum, which is what the bank's statement shows, and a
    line for each posting. Debits equal credits in each entry. Written as
    `postings_csv` is.

    Args:
        postings: Such as a batch has; entries come in the order of their
            first posting.
        accounts: One for each deposit account of the postings.

    Raises:
        InvalidValueError: A deposit account has none (``AccountUnknown``) or
            two (``DuplicateValue``).

    """
    known = _by_deposit_account(accounts)
    entries: dict[_Entry, list[Posting]] = {}
    for each in postings:
        entries.setdefault(_entry_of(each), []).append(each)
    yield line_of(map(quoted, _COLUMNS))
    for entry, lines in entries.items():
        if entry.deposit_account not in known:
            raise InvalidValueError(
                "no ledger account is given for this deposit account",
                code="AccountUnknown",
                path="accounts",
                value=entry.deposit_account,
            )
        yield from _written(entry, lines, known[entry.deposit_account])


def write_journal_csv(
    postings: Iterable[Posting],
    accounts: Iterable[LedgerAccount],
    path: str | os.PathLike[str],
    /,
) -> int:
    """
    Write entries of a journal to a CSV file, whole or not at all.

    Returns:
        How many lines follow the header.

    Raises:
        InvalidValueError: As `journal_csv`; nothing is written.
        PortUnavailableError: The file cannot be written; the old one stands.

    """
    return write_lines(journal_csv(postings, accounts), path)


def _by_deposit_account(
    accounts: Iterable[LedgerAccount],
) -> Mapping[str, LedgerAccount]:
    found: dict[str, LedgerAccount] = {}
    for each in accounts:
        if each.deposit_account in found:
            raise InvalidValueError(
                "a deposit account has one ledger account",
                code="DuplicateValue",
                path="accounts",
                value=each.deposit_account,
            )
        found[each.deposit_account] = each
    return found


def _entry_of(posting: Posting) -> _Entry:
    return _Entry(
        reference=posting.payment_reference,
        on=posting.charged_on,
        deposit_account=posting.deposit_account.id,
        currency=posting.amount.currency,
        goes_back=posting.amount.is_negative,
    )


def _written(
    entry: _Entry, lines: Sequence[Posting], account: LedgerAccount
) -> Iterator[str]:
    whole = Money.total((each.amount for each in lines), entry.currency)
    yield _line(entry, account.bank, whole, account, None)
    for each in lines:
        yield _line(entry, account.receivable, -each.amount, account, each)


def _line(
    entry: _Entry,
    code: str,
    debited: Money,
    account: LedgerAccount,
    posting: Posting | None,
) -> str:
    """Write a line; what is debited with less than nothing is credited."""
    amount = (-debited if debited.is_negative else debited).major
    message = "" if posting is None else posting.ar_message
    return line_of(
        (
            quoted(entry.reference),
            str(entry.on),
            quoted(account.transaction_type),
            quoted(code),
            "" if debited.is_negative else amount,
            amount if debited.is_negative else "",
            quoted(entry.currency),
            quoted("" if posting is None else posting.client),
            quoted("" if posting is None else posting.matter),
            quoted("" if posting is None else posting.invoice),
            quoted("" if posting is None else posting.id),
            quoted(message or account.message),
        )
    )
