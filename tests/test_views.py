"""Matter data by SQL: what is refused, and by what name (MD-1 to MD-9)."""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
import traceback
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import psycopg
import pytest
import sqlalchemy
from hypothesis import example, given, strategies as st

from autopay_core.adapters.views import (
    AmountsIn,
    Answer,
    Ask,
    PostgresSource,
    SqlAlchemySource,
    SqliteSource,
    SqlMatterData,
    Statements,
)
from autopay_core.associations import Association, InvoicePage, InvoiceQuery
from autopay_core.calls import advance_postings, read_postings, sweep
from autopay_core.errors import (
    IncompleteReadError,
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.invoices import InvoiceStatus, SearchBy, SearchQuery
from autopay_core.money import Money
from autopay_core.postings import PostingStatus
from autopay_core.references import AccountKind
from views_firm import (
    STATEMENTS,
    AlchemyPostgresFirm,
    PostgresFirm,
    SqliteFirm,
)
from worlds import DAY, FEBRUARY, World, bill, standing_order, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
COLUMNS = ("number", "client", "matter", "issued_on", "balance")
ROW = ("INV-1", "C-1", "M-1", date(2026, 1, 5), Decimal("120.5000"))
READ = Statements(invoices="SELECT * FROM bills WHERE client = :client")


class Stub:
    """A database that answers what a test says."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, object]]] = []

    def read(self, work: Callable[[Ask], T], /) -> T:
        return work(self.ask)

    def ask(self, statement: str, values: Mapping[str, object]) -> Answer:
        self.asked.append((statement, dict(values)))
        return self.answers.pop(0)


def matters(
    *answers: Answer, statements: Statements = READ, **more: Any
) -> SqlMatterData:
    return SqlMatterData(
        Stub(*answers), statements, **{"currency": "USD", **more}
    )


def rows(*given: Sequence[object], columns: Sequence[str] = COLUMNS) -> Answer:
    return Answer(tuple(columns), given)


def query(*clients: str) -> InvoiceQuery:
    return InvoiceQuery(
        payer="p1",
        associations=tuple(
            Association.to_client(payer="p1", client=each)
            for each in clients or ("C-1",)
        ),
    )


def read(*given: Sequence[object], **more: Any) -> InvoicePage:
    columns = more.pop("columns", COLUMNS)
    page = matters(rows(*given, columns=columns), **more).open_invoices(
        query()
    )
    assert page.next_page is None
    return page


def with_cell(name: str, value: object) -> tuple[object, ...]:
    row: list[object] = list(ROW)
    row[COLUMNS.index(name)] = value
    return tuple(row)


# -- Rows ---------------------------------------------------------------------


def test_md_3_a_row_is_read_as_it_stands() -> None:
    [found] = read(
        (
            *ROW,
            datetime(2026, 2, 5),  # noqa: DTZ001 - as drivers give it
            Decimal(300),
            "EUR",
            "open",
            "trust",
            "M-2; M-3",
        ),
        columns=(
            *COLUMNS,
            *("DUE_ON", "Total", "currency", "status", "account", "matters"),
        ),
    ).invoices

    assert found.balance == Money.of("120.50", "EUR")
    assert found.total == Money.of("300.00", "EUR")
    assert found.due_on == date(2026, 2, 5)
    assert found.account is AccountKind.TRUST
    assert found.status is InvoiceStatus.OPEN
    assert found.matters == ("M-1", "M-2", "M-3")


def test_md_3_what_is_null_has_its_usual_value() -> None:
    columns = (*COLUMNS, "due_on", "total", "currency", "status", "matters")
    [found] = read((*ROW, *[None] * 5), columns=columns).invoices

    assert found.balance == usd("120.50")
    assert (found.due_on, found.total, found.matters) == (None, None, ())


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (Decimal("0.1"), "0.10"),
        (Decimal("-12.3400"), "-12.34"),
        (Decimal("1E+2"), "100.00"),
        (7, "7.00"),
        ("7", "7.00"),
        ("7.5", "7.50"),
        ("7.500000", "7.50"),
    ],
)
def test_md_3_an_amount_is_exact(value: object, amount: str) -> None:
    [found] = read(with_cell("balance", value)).invoices

    assert found.balance == usd(amount)


@given(st.decimals(-(10**9), 10**9, places=4))
@example(Decimal("120.5001"))
def test_md_3_no_digit_is_lost_or_made_up(value: Decimal) -> None:
    page = read(with_cell("balance", value))

    if value == value.quantize(Decimal("0.01")):
        [found] = page.invoices
        assert Decimal(found.balance.major) == value
    else:
        [lost] = page.unreadable
        assert lost.where == "row 1:balance"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("balance", 120.5, "FieldType"),
        ("balance", True, "FieldType"),
        ("balance", None, "FieldMissing"),
        ("balance", Decimal("NaN"), "FieldType"),
        ("balance", Decimal("1E+99"), "FieldType"),
        ("balance", 10**60, "AmountTooLarge"),
        ("balance", "1,200.00", "AmountFormat"),
        ("balance", "", "AmountFormat"),
        ("issued_on", None, "FieldMissing"),
        ("issued_on", 20260105, "FieldType"),
        ("issued_on", "2026-13-05", "DateFormat"),
        ("issued_on", "20260105", "DateFormat"),
        ("issued_on", datetime(2026, 1, 5, 1), "DateFormat"),  # noqa: DTZ001
        ("issued_on", datetime(2026, 1, 5, tzinfo=UTC), "DateFormat"),
    ],
)
def test_l5_a_cell_that_cannot_be_read_keeps_back_its_own_invoice(
    name: str, value: object, code: str
) -> None:
    other = ("INV-2", *ROW[1:])
    page = read(with_cell(name, value), other)

    assert [each.number for each in page.invoices] == ["INV-2"]
    [lost] = page.unreadable
    assert (lost.number, lost.client, lost.matter) == ("INV-1", "C-1", "M-1")
    assert (lost.code, lost.where) == (code, f"row 1:{name}")
    assert page.source_rows == 2


@pytest.mark.parametrize("value", [None, b"INV-1", 1.0, "", "a\nb"])
def test_l5_an_id_that_cannot_be_is_not_known(value: object) -> None:
    [lost] = read(with_cell("number", value)).unreadable

    assert (lost.number, lost.client) == (None, "C-1")


def test_l5_a_row_of_nobody_knows_is_handed_on() -> None:
    [lost] = read(with_cell("client", None)).unreadable

    assert lost.client is None


def test_a_whole_number_is_an_id() -> None:
    [found] = read(with_cell("number", 1001)).invoices

    assert found.number == "1001"


@pytest.mark.parametrize(
    ("name", "value"), [("status", "paid?"), ("account", "IOLTA")]
)
def test_l5_a_word_that_is_not_known_is_not_guessed(
    name: str, value: str
) -> None:
    [lost] = read((*ROW, value), columns=(*COLUMNS, name)).unreadable

    assert lost.code == "UnknownValue"
    assert "expected one of" in lost.detail


def test_amounts_in_cents_are_whole_numbers() -> None:
    good, bad = with_cell("balance", 12_050), with_cell("balance", "120.50")

    assert read(good, amounts=AmountsIn.MINOR).invoices[0].balance == usd(
        "120.50"
    )
    [lost] = read(bad, amounts=AmountsIn.MINOR).unreadable
    assert lost.code == "FieldType"


# -- Columns ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "code", "path"),
    [
        (COLUMNS[:4], "ColumnMissing", "balance"),
        ((*COLUMNS, "Balance"), "DuplicateColumn", "balance"),
        ((*COLUMNS, "comment"), "ColumnUnknown", "comment"),
    ],
)
def test_columns_that_are_not_those_of_invoices_are_refused(
    columns: Sequence[str], code: str, path: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        read(columns=columns)

    assert (caught.value.code, caught.value.path) == (code, path)


# -- Statements ---------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["", "DELETE FROM bills", "-- SELECT", "SELECTED", "UPDATE x SET y = 1"],
)
def test_what_does_not_read_is_no_statement(statement: str) -> None:
    cases: tuple[dict[str, Any], ...] = (
        {"invoices": statement},
        {
            "invoices": "SELECT 1",
            "searches": {SearchBy.CLIENT_NAME: statement},
        },
        {"invoices": "SELECT 1", "totals": statement or "DROP"},
        {"invoices": "SELECT 1", "stated_at": statement or "DROP"},
    )
    for fields in cases:
        with pytest.raises(InvalidValueError) as caught:
            Statements(**fields)
        assert caught.value.code == "StatementFormat"


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1", " with x as (select 1) select 1", "EXEC open_bills :client"],
)
def test_what_reads_is_a_statement(statement: str) -> None:
    assert Statements(invoices=statement).invoices == statement


def test_totals_are_of_what_is_asked_for() -> None:
    with pytest.raises(InvalidValueError) as caught:
        Statements(
            invoices="SELECT 1 WHERE x IN (:clients)", totals="SELECT count(*)"
        )

    assert caught.value.path == "totals"


def test_md_5_an_empty_query_asks_nothing() -> None:
    stub = Stub()
    page = SqlMatterData(stub, READ, currency="USD").open_invoices(
        InvoiceQuery(payer="p1", associations=())
    )

    assert (page.invoices, stub.asked) == ((), [])


def test_a_statement_is_asked_for_all_clients_or_for_each() -> None:
    many = [f"C-{place}" for place in range(501)]
    each = Stub(*[rows()] * 2)
    SqlMatterData(each, READ, currency="USD").open_invoices(
        query("C-1", "C-2")
    )
    assert [values for _, values in each.asked] == [
        {"client": "C-1"},
        {"client": "C-2"},
    ]
    together = Stub(rows(), rows())
    wanted = Statements(
        invoices="SELECT x::text FROM t WHERE c IN (:clients) OR 1 = 0"
    )
    SqlMatterData(together, wanted, currency="USD").open_invoices(query(*many))
    [(first, values), (last, rest)] = together.asked
    assert (len(values), len(rest)) == (500, 1)
    assert values["client0"] == "C-0"
    assert "x::text FROM t WHERE c IN (:client0, :client1," in first
    assert last.count(":client0") == 1
    everybody = Stub(rows())
    SqlMatterData(
        everybody, Statements(invoices="SELECT 1"), currency="USD"
    ).open_invoices(query("C-1", "C-2"))
    assert everybody.asked == [("SELECT 1", {})]


def test_a2_rows_of_clients_that_were_not_asked_for_are_handed_on() -> None:
    """The run leaves them out, counts them and tells the firm."""
    page = read(ROW, with_cell("client", "C-9"))
    assert [each.client for each in page.invoices] == ["C-1", "C-9"]

    everybody = read(
        ROW,
        with_cell("client", "C-9"),
        statements=Statements(invoices="SELECT 1"),
    )
    assert [each.client for each in everybody.invoices] == ["C-1"]


# -- Moments and totals -------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00+00:00",
        datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_b0_balances_hold_for_the_moment_that_is_stated(
    value: object,
) -> None:
    stated = attrs.evolve(READ, stated_at="SELECT loaded_at FROM copy")
    page = matters(
        Answer(("loaded_at",), [(value,)]), rows(ROW), statements=stated
    ).open_invoices(query())

    assert page.stated_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read(ROW).stated_at is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([("2026-01-31T12:00:00",)], "InstantFormat"),
        ([(datetime(2026, 1, 31),)], "InstantFormat"),  # noqa: DTZ001
        ([(None,)], "InstantFormat"),
        ([("yesterday",)], "InstantFormat"),
        ([], "FieldType"),
        ([("x",), ("y",)], "FieldType"),
    ],
)
def test_b0_what_is_no_moment_is_refused(
    given: list[tuple[object]], code: str
) -> None:
    stated = attrs.evolve(READ, stated_at="SELECT loaded_at FROM copy")

    with pytest.raises(InvalidValueError) as caught:
        matters(Answer(("x",), given), statements=stated).open_invoices(
            query()
        )

    assert (caught.value.code, caught.value.path) == (code, "stated_at")


TOTALS = attrs.evolve(READ, totals="SELECT … WHERE client = :client")


@pytest.mark.parametrize(
    ("columns", "values", "code"),
    [
        (("row_count", "control_total"), (2, Decimal("241.00")), None),
        (("row_count",), (2,), None),
        (("control_total",), ("241",), None),
        (("row_count", "control_total"), (None, None), None),
        (("row_count",), (3,), "RowCount"),
        (("control_total",), (Decimal("241.01"),), "ControlTotal"),
    ],
)
def test_b3_rows_that_are_not_what_is_stated_are_unreadable(
    columns: Sequence[str], values: tuple[object, ...], code: str | None
) -> None:
    asked = matters(
        rows(ROW, with_cell("number", "INV-2")),
        Answer(tuple(columns), [values]),
        statements=TOTALS,
    )

    if code is None:
        assert len(asked.open_invoices(query()).invoices) == 2
        return
    with pytest.raises(IncompleteReadError) as caught:
        asked.open_invoices(query())
    assert caught.value.code == code


def test_b3_a_row_that_cannot_be_read_is_missing_in_the_sum() -> None:
    """It keeps back its own invoice, and the others are paid (L5)."""
    page = matters(
        rows(ROW, ("INV-2", "C-1", "M-1", None, Decimal("120.50"))),
        Answer(("row_count", "control_total"), [(2, Decimal("241.00"))]),
        statements=TOTALS,
    ).open_invoices(query())

    assert [each.number for each in page.invoices] == ["INV-1"]
    assert [each.number for each in page.unreadable] == ["INV-2"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(("row_count",), []), "FieldType"),
        (Answer((), [()]), "FieldType"),
        (Answer(("row_count",), [("2",)]), "FieldType"),
        (Answer(("rows",), [(2,)]), "ColumnUnknown"),
    ],
)
def test_b3_totals_that_are_none_are_refused(
    answer: Answer, code: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        matters(rows(ROW), answer, statements=TOTALS).open_invoices(query())

    assert caught.value.code == code


# -- Searches -----------------------------------------------------------------

SEARCH = attrs.evolve(
    READ,
    searches={
        SearchBy.CLIENT_NAME: "SELECT … WHERE name LIKE :like",
        SearchBy.INVOICE_NUMBER: "SELECT … WHERE number = :text",
    },
)


def by_name(text: str, page: str | None = None) -> SearchQuery:
    return SearchQuery(by=SearchBy.CLIENT_NAME, text=text, page=page)


def test_md_6_a_search_is_asked_for_what_it_names() -> None:
    stub = Stub(*[Answer(("client",), [])] * 2)
    asked = SqlMatterData(stub, SEARCH, currency="USD")

    asked.search(by_name("50%_A!["))
    asked.search(SearchQuery(by=SearchBy.INVOICE_NUMBER, text="INV-1"))

    assert [values for _, values in stub.asked] == [
        {"like": "%50!%!_a!!![%"},
        {"text": "INV-1"},
    ]


def test_md_6_what_does_not_match_is_left_out_and_the_rest_paged() -> None:
    found = [(f"C-{place}", "Acme") for place in range(450)]
    answer = Answer(("CLIENT", "client_name"), [*found, ("C-x", "Other")])
    asked = matters(*[answer] * 3, statements=SEARCH)
    names: list[str] = []
    page: str | None = None
    while True:
        got = asked.search(by_name("acme", page))
        names += [str(each.client) for each in got.results]
        page = got.next_page
        if page is None:
            break

    assert names == [client for client, _ in found]


def test_md_6_a_row_that_cannot_be_read_is_not_found() -> None:
    answer = Answer(
        ("client", "client_name"),
        [(None, "Acme"), ("C-1", "Acme"), ("", "Acme")],
    )
    found = matters(answer, statements=SEARCH).search(by_name("acme"))

    assert [each.client for each in found.results] == ["C-1"]


@pytest.mark.parametrize("page", ["0", "-1", "x", "1" * 30])
def test_md_6_a_page_that_was_not_handed_out_is_refused(page: str) -> None:
    answer = Answer(("client", "client_name"), [("C-1", "Acme")])

    with pytest.raises(InvalidValueError, match="PageFormat"):
        matters(answer, statements=SEARCH).search(by_name("acme", page))


def test_md_6_a_search_without_a_statement_is_refused_by_name() -> None:
    with pytest.raises(InvalidValueError) as caught:
        matters(statements=SEARCH).search(
            SearchQuery(by=SearchBy.MATTER_NUMBER, text="M-1")
        )

    assert (caught.value.code, caught.value.path) == ("SearchUndeclared", "by")


# -- Databases ----------------------------------------------------------------


@pytest.fixture
def firm(tmp_path: Path) -> SqliteFirm:
    made = SqliteFirm(tmp_path)
    made.put(bill("INV-1", "120.00"))
    return made


def engine(firm: SqliteFirm) -> SqlAlchemySource:
    return SqlAlchemySource(
        sqlalchemy.create_engine(
            f"sqlite:///{firm.path}",
            connect_args={"timeout": 0.1},
            poolclass=sqlalchemy.NullPool,
        )
    )


def read_by(source: Any, invoices: str) -> InvoicePage:
    return SqlMatterData(
        source,
        Statements(invoices=invoices),
        currency="USD",
        amounts=AmountsIn.MINOR,
    ).open_invoices(query())


@pytest.mark.parametrize("is_engine", [False, True])
def test_md_7_a_locked_database_is_one_that_is_away(
    firm: SqliteFirm, *, is_engine: bool
) -> None:
    source = engine(firm) if is_engine else firm.source()
    database = sqlite3.connect(firm.path, isolation_level=None)
    with contextlib.closing(database):
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PortUnavailableError) as caught:
            read_by(source, STATEMENTS.invoices)

    assert caught.value.code == "DatabaseUnavailable"


@pytest.mark.parametrize("is_engine", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nothing FROM bill",
        "SELECT secret FROM",
        "SELECT 1; SELECT 2",
        "WITH x AS (SELECT 1) DELETE FROM bill",
        "WITH x AS (SELECT 1) INSERT INTO client VALUES ('1', '2')",
    ],
)
def test_md_7_a_statement_that_fails_or_writes_is_refused(
    firm: SqliteFirm, statement: str, *, is_engine: bool
) -> None:
    source = engine(firm) if is_engine else firm.source()

    with pytest.raises(PortError) as caught:
        read_by(source, statement)

    said = "".join(traceback.format_exception(caught.value))
    assert caught.value.code == "StatementRefused"
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None
    assert "sqlite3." not in said.partition("autopay_core.errors")[0]
    # Nothing was written.
    assert len(read_by(firm.source(), STATEMENTS.invoices).invoices) == 1
    with contextlib.closing(sqlite3.connect(firm.path)) as database:
        [(count,)] = database.execute("SELECT count(*) FROM client")
    assert count == 0


def test_sources_show_no_address_and_are_not_pickled(
    firm: SqliteFirm,
) -> None:
    secret = PostgresSource("postgresql://ann:hunter2@db/elite")
    shown = repr(SqlMatterData(secret, READ, currency="USD"))

    assert shown == "SqlMatterData(<PostgresSource>)"
    assert repr(engine(firm)) == "<SqlAlchemySource of sqlite>"
    assert str(firm.path) not in repr(firm.source())
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    for address in ("", None):
        with pytest.raises(InvalidValueError, match="StoreAddress"):
            PostgresSource(address)  # type: ignore[arg-type]


def test_e3_a_server_that_is_away_shows_no_password() -> None:
    source = PostgresSource(
        "host=127.0.0.1 port=1 user=ann password=hunter2", timeout_seconds=1
    )

    with pytest.raises(PortUnavailableError) as caught:
        read_by(source, "SELECT 1")

    said = "".join(
        traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        ).format()
    )
    assert "hunter2" not in said


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"

    with pytest.raises(PortUnavailableError):
        read_by(SqliteSource(missing), "SELECT 1")

    assert not missing.exists()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("of", [PostgresFirm, AlchemyPostgresFirm])
def test_a_procedure_s_rows_are_read_and_what_writes_is_refused(
    of: type[PostgresFirm],
) -> None:
    firm = of()
    firm.put(bill("INV-1", "120.00"))
    firm.do(
        "CREATE FUNCTION open_bills(who TEXT) RETURNS TABLE (number TEXT, "
        "client TEXT, matter TEXT, issued_on DATE, balance NUMERIC) "
        "LANGUAGE sql AS 'SELECT bill_no, client_no, matter_no, issued, "
        "outstanding FROM bill WHERE client_no = who AND 5 % 3 = 2'"
    )
    asked = firm.adapter(
        Statements(
            invoices="SELECT * FROM open_bills(:client) WHERE 7 % 4 = 3"
        )
    )

    [found] = asked.open_invoices(query()).invoices
    assert found.balance == usd("120.00")
    firm.do("CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'")
    for statement in (
        "WITH x AS (DELETE FROM bill RETURNING *) SELECT 1",
        "CALL nothing()",
        "CALL missing()",
    ):
        with pytest.raises(PortError, match="statement"):
            firm.adapter(Statements(invoices=statement)).open_invoices(query())
    [found] = asked.open_invoices(query()).invoices
    assert found.number == "INV-1"


def _seen_twice(source: Any, write: Callable[[], None]) -> list[object]:
    """Count the bills of a source twice in one reading."""

    def work(ask: Ask) -> list[object]:
        counted = [ask("SELECT count(*) FROM bill", {}).rows[0][0]]
        write()
        return [*counted, ask("SELECT count(*) FROM bill", {}).rows[0][0]]

    found: list[object] = source.read(work)
    return found


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("of", [PostgresFirm, AlchemyPostgresFirm])
def test_b0_all_of_one_reading_is_of_one_moment(
    of: type[PostgresFirm],
) -> None:
    firm = of()

    found = _seen_twice(firm.source(), lambda: firm.put(bill("INV-1", "1.00")))

    assert found == [0, 0]


@pytest.mark.parametrize("is_engine", [False, True])
def test_b0_all_of_one_reading_of_a_file_is_of_one_moment(
    firm: SqliteFirm, *, is_engine: bool
) -> None:
    firm.do("PRAGMA journal_mode = WAL")
    source = engine(firm) if is_engine else firm.source()

    found = _seen_twice(source, lambda: firm.put(bill("INV-2", "1.00")))

    assert found == [1, 1]


@pytest.mark.postgres
@pytest.mark.slow
def test_an_engine_that_commits_by_itself_writes_nothing() -> None:
    firm = PostgresFirm()
    firm.put(bill("INV-1", "120.00"))
    careless = SqlAlchemySource(
        sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(firm.address),
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
        )
    )

    with pytest.raises(PortError, match="statement"):
        read_by(careless, "WITH x AS (DELETE FROM bill RETURNING 1) SELECT 1")

    assert len(firm.adapter().open_invoices(query()).invoices) == 1


@pytest.mark.postgres
@pytest.mark.slow
def test_a_slow_statement_is_ended() -> None:
    with pytest.raises(PortUnavailableError, match="cannot be asked"):
        read_by(PostgresFirm().source(), "SELECT pg_sleep(30)")


# -- In a run -----------------------------------------------------------------


def test_an_order_is_paid_from_a_database_that_fails_at_times(
    firm: SqliteFirm,
) -> None:
    world = World()
    ports = attrs.evolve(
        world.ports,
        matters=SqlMatterData(
            firm.source(), STATEMENTS, currency="USD", amounts=AmountsIn.MINOR
        ),
    )
    database = sqlite3.connect(firm.path, isolation_level=None)
    order = standing_order()
    with contextlib.closing(database):
        database.execute("BEGIN EXCLUSIVE")
        [late] = sweep([order], as_of=DAY, ports=ports)
        database.execute("ROLLBACK")
    assert late.status.value == "waiting"
    list(sweep([order], as_of=DAY, ports=ports))
    assert world.taken == [usd("120.00")]

    # The ledger takes it, one row is spoilt, and another bill is due.
    for status in (PostingStatus.QUEUED, PostingStatus.APPLIED):
        advance_postings(
            read_postings(ports=ports), status, ports=ports, by="ann"
        )
    firm.put(bill("INV-1", "0.00"))
    firm.put(bill("INV-2", "30.00"))
    firm.put(bill("INV-3", "50.00"))
    firm.do("UPDATE bill SET issued = 'soon' WHERE bill_no = 'INV-3'")
    world.clock.reach(FEBRUARY)
    [paid] = sweep([order], as_of=FEBRUARY, ports=ports)

    assert world.taken == [usd("120.00"), usd("30.00")]
    assert paid.allocation is not None
    assert [each.number for each in paid.allocation.left_out] == ["INV-3"]
