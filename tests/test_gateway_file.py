"""The make-believe gateway and ledger that demos and kill tests lean on."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from autopay_core.adapters.memory import (
    MemoryGateway,
    MemoryMatterData,
    MemoryNotifier,
    MemoryPostingStore,
)
from autopay_core.associations import Association, InvoiceQuery
from autopay_core.autopay import AutoPay
from autopay_core.calls import read_postings, run
from autopay_core.charges import (
    Cancelled,
    Captured,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.invoices import Invoice, SearchBy, SearchQuery
from autopay_core.limits import Limit
from autopay_core.money import Money
from autopay_core.notices import NoticeKind
from autopay_core.ports import Ports
from autopay_core.postings import PostingStatus
from autopay_core.references import (
    AccountKind,
    DepositAccount,
    MethodKind,
    PaymentMethodRef,
)
from autopay_core.schedules import Schedule
from autopay_core.testing.contracts import (
    Clock,
    PaymentGatewayContract,
    Taken,
)
from autopay_core.testing.gateway_file import DeclineRule, FileGateway
from autopay_core.testing.ledger import Ledger
from test_contracts_memory import books_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

GOOD = PaymentMethodRef(provider="kit", token="tok_good_0001")
BAD = PaymentMethodRef(provider="kit", token="tok_bad_00001")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
REQUEST = ChargeRequest(
    key="key-1",
    method=GOOD,
    amount=Money.of("80.00", "USD"),
    deposit_account=DepositAccount(id="operating"),
)
DEBIT = attrs.evolve(
    REQUEST, method=attrs.evolve(GOOD, kind=MethodKind.BANK_ACCOUNT)
)


class TestFileGateway(PaymentGatewayContract):
    @pytest.fixture
    def sandbox_clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def opened(
        self, tmp_path: Path, sandbox_clock: Clock
    ) -> Callable[[str], FileGateway]:
        """Return how to open the file for one of its accounts."""
        return lambda account: FileGateway(
            tmp_path / "gateway.db",
            clock=sandbox_clock,
            declines=[DeclineRule(token=BAD.token)],
            debit_days=2,
            capabilities=GatewayCapabilities(
                lookup_settle_seconds=0,
                honours_deadline=True,
                account=account,
                cancels=True,
                finds_references=True,
            ),
        )

    @pytest.fixture
    def gateway(self, opened: Callable[[str], FileGateway]) -> FileGateway:
        return opened("acct-1")

    @pytest.fixture
    def other_account(
        self, opened: Callable[[str], FileGateway]
    ) -> Callable[[], FileGateway]:
        return lambda: opened("acct-2")

    @pytest.fixture
    def good_method(self) -> PaymentMethodRef:
        return GOOD

    @pytest.fixture
    def declined_method(self) -> PaymentMethodRef:
        return BAD

    @pytest.fixture
    def pending_method(self) -> PaymentMethodRef:
        return DEBIT.method

    @pytest.fixture
    def other_deposit_account(self) -> DepositAccount:
        return DepositAccount(id="kit-trust", kind=AccountKind.TRUST)

    @pytest.fixture
    def taken(self, gateway: FileGateway) -> Callable[[str], list[Taken]]:
        return lambda key: books_of(gateway.taken(key))

    @pytest.fixture
    def settle(
        self, gateway: FileGateway, sandbox_clock: Clock
    ) -> Callable[[str], None]:
        def wait(key: str) -> None:
            sandbox_clock.advance(2 * 24 * 3600)
            gateway.lookup(key)

        return wait

    @pytest.fixture
    def complete(
        self, gateway: FileGateway
    ) -> Callable[[ChargeRequest, str | None], None]:
        def pay(request: ChargeRequest, reference: str | None) -> None:
            assert reference is None
            gateway._declines = ()
            gateway.charge(request)

        return pay

    @pytest.fixture
    def past(self, sandbox_clock: Clock) -> datetime:
        return sandbox_clock() - timedelta(seconds=1)

    @pytest.fixture
    def offline(
        self, gateway: FileGateway
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def cut() -> Iterator[None]:
            path = gateway._path
            gateway._path = path / "nowhere"
            yield
            gateway._path = path

        return cut


# -- Memory ------------------------------------------------------------------


def test_what_was_taken_is_known_to_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    first = FileGateway(path).charge(REQUEST)

    again = FileGateway(path)

    assert again.lookup("key-1") == first
    assert again.charge(REQUEST) == first
    assert again.captured == (first,)
    assert again.count == 1


def _charge(path: Path) -> Captured:
    outcome = FileGateway(path).charge(REQUEST)
    assert isinstance(outcome, Captured)
    return outcome


@pytest.mark.processes
def test_processes_at_once_take_the_money_once(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"

    with multiprocessing.get_context("spawn").Pool(3) as pool:
        outcomes = pool.map(_charge, [path] * 6)

    assert len(set(outcomes)) == 1
    assert FileGateway(path).captured == (outcomes[0],)


def test_another_request_under_a_key_is_refused(tmp_path: Path) -> None:
    gateway = FileGateway(tmp_path / "gateway.db")
    gateway.charge(REQUEST)

    with pytest.raises(PortError) as caught:
        gateway.charge(attrs.evolve(REQUEST, amount=Money.of("81.00", "USD")))

    assert caught.value.code == "KeyReuse"
    assert gateway.count == 1


def test_pg_11_what_was_cancelled_stays_so_for_the_next_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gateway.db"
    assert FileGateway(path).cancel("key-1", None) == Cancelled(key="key-1")

    with pytest.raises(PortUnavailableError) as caught:
        FileGateway(path).charge(REQUEST)

    assert caught.value.code == "KeyCancelled"
    assert FileGateway(path).count == 0


def test_a_payment_is_found_by_its_reference(tmp_path: Path) -> None:
    gateway = FileGateway(tmp_path / "gateway.db")
    taken = gateway.charge(REQUEST)
    assert isinstance(taken, Captured)

    assert gateway.lookup_reference(taken.reference, "key-1") == taken
    assert gateway.lookup_reference("pay-000002", "key-1") == NotFound()
    assert gateway.lookup_reference("ref-1", "key-1") == NotFound()
    assert gateway.taken("key-1") == [(REQUEST.amount, "operating")]


def test_a_file_of_before_there_were_accounts_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    taken = FileGateway(path).charge(REQUEST)
    with closing(sqlite3.connect(path)) as connection:
        for column in ("account", "deposit"):
            connection.execute(f"ALTER TABLE executed DROP COLUMN {column}")
        connection.execute("DROP TABLE cancelled")
        connection.commit()

    again = FileGateway(path)

    assert again.lookup("key-1") == taken
    assert again.charge(REQUEST) == taken
    assert isinstance(
        again.charge(attrs.evolve(REQUEST, key="key-2")), Captured
    )


def test_after_its_deadline_a_request_takes_nothing(tmp_path: Path) -> None:
    now = NOON
    gateway = FileGateway(tmp_path / "gateway.db", clock=lambda: now)
    request = attrs.evolve(REQUEST, not_after=NOON)
    gateway.charge(request)
    now = NOON + timedelta(seconds=1)

    with pytest.raises(PortUnavailableError):
        gateway.charge(attrs.evolve(request, key="key-2"))

    # What was taken in time is still told.
    assert isinstance(gateway.charge(request), Captured)
    assert isinstance(gateway.lookup("key-2"), NotFound)


def test_a_debit_is_pending_for_its_days(tmp_path: Path) -> None:
    now = NOON
    gateway = FileGateway(
        tmp_path / "gateway.db", clock=lambda: now, debit_days=2
    )

    begun = gateway.charge(DEBIT)
    now = NOON + timedelta(days=2) - timedelta(microseconds=1)
    meanwhile = gateway.lookup("key-1")
    nothing_yet = gateway.captured
    now = NOON + timedelta(days=2)
    done = gateway.lookup("key-1")

    assert isinstance(begun, Pending)
    assert meanwhile == begun
    assert nothing_yet == ()
    assert isinstance(done, Captured)
    assert done.reference == begun.reference
    assert isinstance(gateway.charge(DEBIT), Captured)


@pytest.mark.parametrize(
    ("on", "declined"),
    [
        (date(2026, 1, 30), False),
        (date(2026, 1, 31), True),
        (date(2026, 2, 1), True),
        (date(2026, 2, 2), False),
    ],
)
def test_a_rule_declines_in_its_days_only(
    tmp_path: Path, on: date, declined: bool
) -> None:
    rule = DeclineRule(
        token=GOOD.token,
        code="54",
        decline_class=DeclineClass.FIX_FIRST,
        message="Expired.",
        from_on=date(2026, 1, 31),
        before=date(2026, 2, 2),
    )
    now = datetime(on.year, on.month, on.day, tzinfo=UTC)
    gateway = FileGateway(
        tmp_path / "gateway.db", clock=lambda: now, declines=[rule]
    )

    outcome = gateway.charge(REQUEST)

    assert isinstance(outcome, Declined) is declined
    assert gateway.lookup("key-1") == outcome
    if isinstance(outcome, Declined):
        assert (outcome.code, outcome.decline_class, outcome.message) == (
            "54",
            DeclineClass.FIX_FIRST,
            "Expired.",
        )


def test_a_rule_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="token"):
        DeclineRule(token="")
    with pytest.raises(InvalidValueError, match="before"):
        DeclineRule(token="t", before=NOON)


def test_a_file_that_is_no_gateway_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_text("no database at all, and quite a long text of it" * 20)

    with pytest.raises(PortUnavailableError):
        FileGateway(path)


# -- The ledger --------------------------------------------------------------


def invoice(number: str, balance: str) -> Invoice:
    return Invoice(
        number=number,
        client="C-1",
        matter="M-1",
        issued_on=date(2026, 1, 5),
        balance=Money.of(balance, "USD"),
    )


DAY = date(2026, 1, 31)
AUTOPAY = AutoPay(
    id="ap-1",
    payer="p",
    name="Acme",
    method=GOOD,
    deposit_account=DepositAccount(id="operating"),
    schedule=Schedule.monthly(DAY),
    limit=Limit.up_to(Money.of("100.00", "USD")),
    enrollments=(Association.to_client(payer="p", client="C-1"),),
)
QUERY = InvoiceQuery(
    payer="p", associations=(Association.to_client(payer="p", client="C-1"),)
)


class Firm:
    """A ledger over two invoices, of which the older was paid."""

    def __init__(self, **options: Any) -> None:
        self.opening = MemoryMatterData(
            [invoice("INV-1", "70.00"), invoice("INV-2", "50.00")]
        )
        self.store = MemoryPostingStore(clock=lambda: NOON)
        self.options = options
        self.start()

    def start(self) -> None:
        self.ledger = Ledger(self.opening, self.store, **self.options)
        self.notifier = MemoryNotifier()
        self.ports = Ports(
            matters=self.ledger,
            gateway=MemoryGateway(clock=lambda: NOON),
            postings=self.store,
            notifier=self.notifier,
            key_secret=b"a secret of the tests, 32 bytes at least",
        )

    def pay(self) -> None:
        assert run(AUTOPAY, on=DAY, ports=self.ports).charged is not None

    def statuses(self) -> dict[str, str]:
        return {
            each.invoice: each.status.value
            for each in read_postings(ports=self.ports)
        }

    def balances(self) -> dict[str, str]:
        return {
            each.number: each.balance.major
            for each in self.ledger.open_invoices(QUERY).invoices
        }


@pytest.mark.parametrize(
    ("days", "status"),
    [
        (0, PostingStatus.PENDING),
        (1, PostingStatus.QUEUED),
        (2, PostingStatus.POSTED),
        (3, PostingStatus.POSTED),
        (4, PostingStatus.APPLIED),
        (400, PostingStatus.APPLIED),
    ],
)
def test_a_posting_is_where_its_days_say(
    days: int, status: PostingStatus
) -> None:
    firm = Firm()
    firm.pay()

    firm.ledger.advance(DAY + timedelta(days=days), ports=firm.ports)

    assert set(firm.statuses().values()) == {status.value}


def test_day_by_day_and_all_at_once_come_to_the_same() -> None:
    slow, fast = Firm(), Firm()
    for firm in (slow, fast):
        firm.pay()

    steps = [
        slow.ledger.advance(DAY + timedelta(days=days), ports=slow.ports)
        for days in (0, 1, 1, 2, 3, 4, 5)
    ]
    at_once = fast.ledger.advance(DAY + timedelta(days=5), ports=fast.ports)

    assert steps == [0, 2, 0, 2, 0, 2, 0]
    assert at_once == 6
    assert slow.balances() == fast.balances() == {"INV-2": "20.00"}


def test_balances_show_what_is_applied_and_nothing_before() -> None:
    firm = Firm()
    firm.pay()
    firm.ledger.advance(DAY + timedelta(days=3), ports=firm.ports)
    before = firm.balances()

    firm.ledger.advance(DAY + timedelta(days=4), ports=firm.ports)

    assert before == {"INV-1": "70.00", "INV-2": "50.00"}
    # Paid off, and so not open any more.
    assert firm.balances() == {"INV-2": "20.00"}


def test_a_ledger_made_again_shows_the_same() -> None:
    firm = Firm()
    firm.pay()
    firm.ledger.advance(DAY + timedelta(days=4), ports=firm.ports)

    firm.start()

    assert firm.balances() == {"INV-2": "20.00"}
    assert firm.ledger.advance(DAY + timedelta(days=9), ports=firm.ports) == 0


def test_what_the_ledger_refuses_is_told_and_stays_open() -> None:
    firm = Firm(refused={"INV-2": "closed"})
    firm.pay()

    firm.ledger.advance(DAY + timedelta(days=9), ports=firm.ports)

    assert firm.statuses() == {"INV-1": "applied", "INV-2": "incomplete"}
    assert firm.balances() == {"INV-2": "50.00"}
    [told] = [
        each
        for each in firm.notifier.sent
        if each.kind is NoticeKind.POSTING_INCOMPLETE
    ]
    assert "closed" in told.detail


def test_what_staff_enter_by_hand_is_in_the_balance_too() -> None:
    firm = Firm(by_hand=["INV-2"])
    firm.pay()

    firm.ledger.advance(DAY + timedelta(days=1), ports=firm.ports)

    assert firm.statuses() == {"INV-1": "queued", "INV-2": "removed"}
    assert firm.balances() == {"INV-1": "70.00", "INV-2": "20.00"}


def test_a_search_is_the_opening_s() -> None:
    query = SearchQuery(by=SearchBy.INVOICE_NUMBER, text="INV-1")

    assert len(Firm().ledger.search(query).results) == 1
