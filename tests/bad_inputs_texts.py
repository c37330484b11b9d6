"""
The third part of the table of bad inputs: files, exports, mail, JSON (E2).

Rows as in `bad_inputs`. What files, exports and JSON hold is tested at length
where they are; here stands what each case must get.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from autopay_core.adapters.csv import (
    CsvMapping,
    CsvMatterData,
    InvoiceColumns,
    postings_csv,
    write_postings_csv,
)
from autopay_core.adapters.smtp import compose
from autopay_core.associations import InvoiceQuery
from autopay_core.errors import (
    FormatError,
    InvalidValueError,
)
from autopay_core.money import Money
from autopay_core.notices import NoticeKind, notice_for_run
from autopay_core.postings import Posting
from autopay_core.references import RunKey
from autopay_core.runs import RunRecord
from autopay_core.serialization import Format, dumps, loads
from autopay_core.zones import run_instant, today_in
from bad_inputs import Expected, Refused
from worlds import DAY, World, bill, posting, standing_order, to_client, usd

HEADER = "invoice,client,matter,issued,balance"


def reading(
    text: str | bytes, kind: type[Any] = Money, **more: Any
) -> Callable[[], object]:
    """Read JSON."""
    return lambda: loads(text, kind, **more)


def firm_of(
    *rows: str, encoding: str = "utf-8", title: str = ""
) -> Callable[[], object]:
    """Read what client C-1 owes from a file of these rows."""

    def read() -> object:
        with tempfile.TemporaryDirectory(
            prefix=f"autopay-{os.getpid()}-"
        ) as folder:
            text = "\n".join((f"{title}{HEADER}", *rows, ""))
            (Path(folder) / "open_invoices.csv").write_bytes(
                text.encode(encoding)
            )
            matters = CsvMatterData(folder, mapping=_MAPPING)
            query = InvoiceQuery(payer="p1", associations=(to_client(),))
            page = matters.open_invoices(query)
            # What cannot be read is returned beside the others (L5).
            for each in page.unreadable[-1:]:
                raise FormatError(each.detail, code=each.code, path=each.where)
            return page.invoices

    return read


def exported(text: str) -> Callable[[], str]:
    """Write a posting's A/R message, and read it as a spreadsheet would."""

    def read() -> str:
        lines = "".join(postings_csv([posting(ar_message=text)]))
        *_, row = csv.reader(io.StringIO(lines, newline=""))
        return row[14]

    return read


def cell(place: int, **changes: Any) -> Callable[[], str]:
    """Return one cell of an export, as it stands in the file."""

    def raw() -> str:
        *_, line = postings_csv([posting(**changes)])
        return line.split(",")[place]

    return raw


def mailed(**changes: Any) -> Callable[[], dict[str, str]]:
    """Compose a mail; return its headers as a mail program reads them."""

    def headers() -> dict[str, str]:
        notice = notice_for_run(
            NoticeKind.FAILED,
            RunKey(autopay="ap-1", nominal_on=DAY),
            payer="p1",
            on=DAY,
            name="Acme",
        )
        raw = compose(
            attrs.evolve(notice, **changes),
            sender="firm@example.com",
            receiver="payer@example.com",
            domain="example.com",
            at=datetime(2026, 1, 31, tzinfo=UTC),
        )
        mail = message_from_bytes(raw, policy=policy.default)
        return {
            name: str(mail[name])
            for name in mail.keys()  # noqa: SIM118 - a message is no mapping
            if name in {"Subject", "To", "Bcc"}
        }

    return headers


_MAPPING = CsvMapping(
    currency="USD",
    invoices=InvoiceColumns(
        number="invoice",
        client="client",
        matter="matter",
        issued_on="issued",
        balance="balance",
    ),
    clients=None,
    matters=None,
)


def _exports() -> Iterator[Refused | Expected]:
    for text in (
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\u00a0=1",
        "\uff1d1",
        "a\n=1",
        "'=1",
    ):
        yield Expected(
            72,
            f"a cell that a spreadsheet would calculate: {text!a}",
            exported(text),
            # What follows a tab may land in a cell of its own.
            f"'{text}".replace("\t=", "\t'="),
        )
    yield Expected(
        72, "an amount is a number", cell(6, amount=usd("10.5")), "10.50"
    )
    yield Expected(
        73,
        "a negative amount is a number as well",
        cell(6, amount=usd("-10"), reverses="p-0"),
        "-10.00",
    )
    for text in ('a "b" c', "a,b", "a\nb", "a\r\nb", "a;b", ""):
        yield Expected(
            74,
            f"quotes, commas and lines in a text: {text!a}",
            exported(text),
            text,
        )
    yield Expected(
        76,
        "an id that looks like a path names no file",
        lambda: _files_written(posting(invoice="../../etc/passwd")),
        ["postings.csv"],
    )
    yield Refused(
        77,
        "a name of two lines",
        mailed(name="a\r\nBcc: x@example.com"),
        InvalidValueError,
        "ControlCharacter",
        "name",
    )
    for text in ("=?utf-8?q?a=0ABcc:x?=", "é" * 10):
        yield Expected(
            77,
            f"a name that would make a header: {text!a}",
            mailed(name=text),
            {
                "Subject": f"Error-Failed AutoPay: {text}",
                "To": "payer@example.com",
            },
        )


def _files_written(*postings: Posting) -> list[str]:
    with tempfile.TemporaryDirectory(
        prefix=f"autopay-{os.getpid()}-"
    ) as folder:
        write_postings_csv(postings, Path(folder) / "postings.csv")
        return sorted(each.name for each in Path(folder).rglob("*"))


def _files() -> Iterator[Refused | Expected]:
    where = "open_invoices.csv:2"
    date_, empty = "A,C-1,M-1,2026-02-30,1", ",C-1,M-1,2026-01-05,1"
    start = "A,C-1,M-1,2026-01-05"
    for number, what, row, code, column in (
        (7, "$ in a cell", f"{start},$12", "AmountFormat", ":balance"),
        (9, "mills in a cell", f"{start},1.005", "AmountScale", ":balance"),
        (34, "no number in a cell", empty, "FieldMissing", ":invoice"),
        (42, "no date in a cell", date_, "DateFormat", ":issued"),
        (67, "NUL in a file", f"{start},1\x00", "ControlCharacter", ""),
        (74, "a row cut short", "A,C-1,M-1", "RowLength", ""),
        (74, "an open quote", 'A,C-1,"M-1,x,1', "QuoteFormat", ""),
        (79, "no balance in a cell", f"{start},", "AmountFormat", ":balance"),
    ):
        yield Refused(
            number, what, firm_of(row), FormatError, code, where + column
        )
    yield Refused(
        83,
        "a file in UTF-16",
        firm_of(f"{start},1", encoding="utf-16"),
        FormatError,
        "Encoding",
        "open_invoices.csv:1",
    )
    yield Expected(
        83,
        "a file with a byte order mark",
        firm_of(f"{start},1", encoding="utf-8-sig"),
        (bill("A", "1"),),
    )
    yield Refused(
        32,
        "a number twice with two balances",
        firm_of(f"{start},1", f"{start},2"),
        FormatError,
        "ConflictingInvoice",
        "open_invoices.csv:3:invoice",
    )


def _reports() -> Iterator[Refused | Expected]:
    """Return what exports hold that were made for people."""
    start = "A,C-1,M-1,2026-01-05"
    yield Expected(
        105,
        "a title above the header",
        firm_of(f"{start},1", title="Harbour & Lane\n\nOpen invoices\n"),
        (bill("A", "1"),),
    )
    for what, rows, code, place in (
        (
            "a totals row that nobody declared",
            (f"{start},1", "Total,,,,1"),
            "FieldMissing",
            "3:client",
        ),
        (
            "a file that was cut off",
            (f"{start},1", "B,C-1,M-1,20"),
            "RowLength",
            "3",
        ),
        (
            "day and month the other way round",
            ("A,C-1,M-1,2026-05-01,1", "B,C-1,M-1,2026-25-01,1"),
            "DateOrder",
            "3:issued",
        ),
    ):
        yield Refused(
            105,
            what,
            firm_of(*rows),
            FormatError,
            code,
            f"open_invoices.csv:{place}",
        )


def _minor(text: str, currency: str = "USD") -> str:
    return _data(f'{{"amount_minor":{text},"currency":"{currency}"}}')


def _data(text: str) -> str:
    return f'{{"schema":"money","version":1,"data":{text}}}'


def _json() -> Iterator[Refused | Expected]:
    minor, good = "data.amount_minor", _minor("100")
    twice = '1,"amount_minor":9'
    for number, what, text, code, path in (
        (78, "a field too many", _minor('1,"x":1'), "UnknownField", "data.x"),
        (78, "one around it", f'{good[:-1]},"x":1}}', "UnknownField", "x"),
        (79, "no amount", _data('{"currency":"USD"}'), "FieldMissing", minor),
        (79, "null for an amount", _minor("null"), "FieldMissing", minor),
        (80, "a key twice", _minor(twice), "DuplicateKey", "amount_minor"),
        (81, "brackets without end", "[" * 100_000, "JsonTooDeep", ""),
        (81, "5,000 digits", _minor("9" * 5_000), "NumberTooLong", ""),
        (82, "a list for an object", _data("[]"), "FieldType", "data"),
        (82, "text for a number", _minor('"5"'), "FieldType", minor),
        (82, "true for a number", _minor("true"), "FieldType", minor),
        (5, "a float in JSON", _minor("1.0"), "FloatAmount", ""),
        (3, "NaN in JSON", _minor("NaN"), "NonFiniteAmount", ""),
        (11, "1e400 in JSON", _minor("1e400"), "FloatAmount", ""),
        (83, "a byte order mark", f"\ufeff{good}", "Encoding", ""),
        (83, "UTF-16", good.encode("utf-16"), "Encoding", ""),
        (83, "no UTF-8", b'{"schema":"\xff"}', "Encoding", ""),
        (
            84,
            "a newer version",
            good.replace('"version":1', '"version":2'),
            "VersionUnsupported",
            "version",
        ),
    ):
        yield Refused(number, what, reading(text), FormatError, code, path)
    yield Refused(
        39,
        "an unknown currency in JSON",
        reading(_minor("1", "XXX")),
        InvalidValueError,
        "CurrencyUnknown",
        "data.currency",
    )
    yield Refused(
        81,
        "a text longer than is asked for",
        reading(good, most=10),
        FormatError,
        "BodyTooLarge",
        "",
    )
    yield Expected(
        85,
        "an older version, with its upgrade",
        _upgraded,
        usd("1.00"),
    )
    yield Refused(
        85,
        "a state that nobody knows",
        _strange_state,
        FormatError,
        "UnknownValue",
        "data.state",
    )


def _upgraded() -> object:
    """Read what version 1 called `minor`."""

    def upgrade(data: dict[str, Any]) -> dict[str, Any]:
        return {"amount_minor": data["minor"], "currency": data["currency"]}

    newer = Format({"money": (upgrade,)})
    return newer.loads(_data('{"minor":100,"currency":"USD"}'), Money)


def _strange_state() -> object:
    world = World(bill("INV-1", "120.00"))
    world.run(standing_order())
    text = dumps(world.record)
    return loads(text.replace('"state":"paid"', '"state":"odd"'), RunRecord)


def _shown_in_new_york(on: date, at: time) -> str:
    return run_instant(on, at, "America/New_York").isoformat()


def _zones() -> Iterator[Refused | Expected]:
    for zone in ("Mars/Olympus", "", "localtime", "../etc/passwd"):
        yield Refused(
            28,
            f"a zone that is none: {zone!r}",
            partial(today_in, zone, datetime(2026, 1, 31, tzinfo=UTC)),
            InvalidValueError,
            "TimeZoneUnknown",
            "zone",
        )
    for what, on, at, instant in (
        (
            "a time that clocks skip",
            date(2026, 3, 8),
            time(2, 30),
            "2026-03-08T03:30:00-04:00",
        ),
        (
            "a time that clocks show twice",
            date(2026, 11, 1),
            time(1, 30),
            "2026-11-01T01:30:00-04:00",
        ),
    ):
        yield Expected(
            26,
            what,
            partial(_shown_in_new_york, on, at),
            instant,
        )


ROWS: list[Refused | Expected] = [
    *_exports(),
    *_files(),
    *_reports(),
    *_json(),
    *_zones(),
]
"""The rows about files, exports, mail, JSON and time zones."""
